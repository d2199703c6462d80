"""Make a process see the same computer everywhere: no GPU, no network, no downloaded models."""

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
NO_NETWORK = str(ROOT / "tests" / "no_network")


def isolate(environment: MutableMapping[str, str]) -> None:
    """Change ``environment`` so that processes started with it load the classroom model on the CPU."""
    ours = ("IMG2IMG_MODEL", "IMG2IMG_DEVICE")
    hub = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN")
    for name in ours + hub:
        environment.pop(name, None)
    environment["CUDA_VISIBLE_DEVICES"] = ""
    environment["HF_HOME"] = str(ROOT / "build" / "no-hub")  # empty: nothing counts as downloaded
    environment["PYTHONPATH"] = NO_NETWORK


def isolate_this_process() -> None:
    """The same for a process that runs already, such as pytest started by hand."""
    isolate(os.environ)
    sys.path.insert(0, NO_NETWORK)
    import network_block  # noqa: F401
