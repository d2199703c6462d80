"""A learner's server: copies the lessons that the learner does not have yet, then is JupyterHub's usual server.

The spawner starts this in place of ``jupyterhub-singleuser``, as the learner. So it works with every spawner, and what
belongs to a learner is never written by root.
"""

import shutil
import sys
from pathlib import Path

import nbformat
from jupyterhub.singleuser import main
from nbformat.sign import NotebookNotary

LESSONS = Path(__file__).resolve().parents[2] / "notebooks"
# A kernel holds its memory until it is shut down, and JupyterLab keeps a tab, and so a kernel, for every lesson.
KERNELS = [
    "--MappingKernelManager.cull_idle_timeout=1800",
    "--MappingKernelManager.cull_interval=60",
    "--MappingKernelManager.cull_connected=True",
]


def copy_lessons(folder: Path) -> None:
    """Copy every lesson that is not in ``folder``; what is there is the learner's work, and stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for lesson in sorted(LESSONS.glob("*.ipynb")):
        own = folder / lesson.name
        if not own.exists():
            shutil.copyfile(lesson, own)  # without the permissions: the original may be read-only
            # trusted, the stored sliders move before a cell has been run
            NotebookNotary().sign(nbformat.read(own, 4))


if __name__ == "__main__":
    copy_lessons(Path.home() / "img2img-lessons")
    given = {argument.partition("=")[0] for argument in sys.argv}  # by the hub; Jupyter takes nothing twice
    sys.argv += [option for option in KERNELS if option.partition("=")[0] not in given]
    main()
