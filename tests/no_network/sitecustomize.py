"""Python imports this at start-up where the folder is on PYTHONPATH: notebook kernels are cut off too."""

import network_block  # noqa: F401
