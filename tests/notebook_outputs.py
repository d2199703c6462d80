"""Run notebooks; store their outputs, or compare them with the stored ones, images included.

    python -m tests.notebook_outputs store notebooks/*.ipynb

nbval does not look at images, so a wrong or missing picture would pass it.
"""

from __future__ import annotations

import base64
import copy
import io
import os
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from PIL import Image

from tests.isolation import ROOT, isolate

COVERS = ROOT / "book" / "covers"
NUMBER = re.compile(r"[-+]?\d+\.\d+(?:e[-+]?\d+)?")
# Between processors, threads and library builds the last bits differ, and a diffusion loop lets
# them grow; a wrong seed, strength or prompt changes a figure's mean by far more than this.
MEAN_TOLERANCE = 1.5  # of 255, over a figure
NUMBER_TOLERANCE = 0.03  # SSIM and the like; relative above 1


def execute(notebook: nbformat.NotebookNode, model: str | None = None) -> nbformat.NotebookNode:
    """A copy of ``notebook`` with fresh outputs, run from the notebooks' folder with the network cut.

    With another ``model`` than the classroom model, cells may fail and the rest is run all the same.
    """
    fresh = copy.deepcopy(notebook)
    environment = dict(os.environ)
    isolate(environment)
    if model:
        environment["IMG2IMG_MODEL"] = model
    where = {"metadata": {"path": ROOT / "notebooks"}}
    client = NotebookClient(fresh, timeout=600, kernel_name="python3", resources=where, allow_errors=bool(model))
    client.execute(env=environment)
    return fresh


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Drop what changes from run to run or breaks other viewers: timings, widget state, progress bars."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("language_info", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            kept = [o for o in cell.outputs if not _is_passing(o)]
            for output in kept:
                # without its state a widget view is only an error message in GitHub and on a page
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            cell.outputs = kept


def _is_passing(output: nbformat.NotebookNode) -> bool:
    """A warning or a progress bar: of no use once the cell has run."""
    if output.output_type == "stream":
        return output.name == "stderr"
    return "%|" in output.get("data", {}).get("text/plain", "")


def comparable(cell: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """The cell's outputs as (kind, content), the richest kind of each; printed lines joined."""
    found: list[tuple[str, str]] = []
    for output in cell.get("outputs", []):
        if _is_passing(output):
            continue
        if output.output_type == "stream":
            if found and found[-1][0] == "stdout":
                found[-1] = ("stdout", found[-1][1] + output.text)
            else:
                found.append(("stdout", output.text))
        elif output.output_type == "error":
            found.append(("error", output.ename))
        else:
            kind = next(k for k in ("image/png", "image/jpeg", "text/markdown", "text/plain") if k in output.data)
            found.append((kind, output.data[kind]))
            if kind.startswith("image/"):  # the text alternative: a wrong line in a plot is few pixels
                found.append(("alternative", output.data.get("text/plain", "")))
    return found


def differences(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """What differs between two runs of one notebook, a line each; empty if they agree."""
    return [
        f"cell {i}: {told}"
        for i, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True))
        for told in cell_differences(old, new)
    ]


def cell_differences(stored: nbformat.NotebookNode, fresh: nbformat.NotebookNode) -> list[str]:
    """What differs between two runs of one cell, a line each."""
    if stored.cell_type != "code" or "nbval-ignore-output" in stored.metadata.get("tags", []):
        return []
    old_outputs, new_outputs = comparable(stored), comparable(fresh)
    if [kind for kind, _ in old_outputs] != [kind for kind, _ in new_outputs]:
        return [f"stored {[kind for kind, _ in old_outputs]}, now {[kind for kind, _ in new_outputs]}"]
    told = []
    for (kind, old), (_, new) in zip(old_outputs, new_outputs, strict=True):
        told += (_image_difference if kind.startswith("image/") else _text_difference)(old, new)
    return told


def _image_difference(old: str, new: str) -> list[str]:
    a, b = (np.asarray(Image.open(io.BytesIO(base64.b64decode(x))).convert("RGB"), float) for x in (old, new))
    if a.shape != b.shape:
        return [f"the image was {a.shape[1]}×{a.shape[0]}, now {b.shape[1]}×{b.shape[0]}"]
    gap = np.abs(a - b).mean()
    return [f"the image differs by {gap:.2f} of 255 on average"] if gap > MEAN_TOLERANCE else []


def _text_difference(old: str, new: str) -> list[str]:
    """Decimal numbers may differ a little, everything else not at all."""
    old_numbers, new_numbers = ([float(n) for n in NUMBER.findall(t)] for t in (old, new))
    if NUMBER.sub("#", old) != NUMBER.sub("#", new):
        same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        around = slice(max(0, same - 30), same + 60)
        return [f"the text was {old[around]!r}, now {new[around]!r}"]
    far = [
        (a, b) for a, b in zip(old_numbers, new_numbers, strict=True) if abs(a - b) > NUMBER_TOLERANCE * max(1, abs(a))
    ]
    return [f"a number was {a:g}, now {b:g}" for a, b in far]


def cover(notebook: nbformat.NotebookNode) -> bytes:
    """The JPEG that stands for the lesson in the README and on the site: that of the cell tagged ``cover``."""
    (cell,) = (c for c in notebook.cells if "cover" in c.metadata.get("tags", []))
    return base64.b64decode(next(o.data["image/jpeg"] for o in cell.outputs if "image/jpeg" in o.get("data", {})))


def main() -> None:
    if len(sys.argv) < 3 or sys.argv[1] not in ("store", "compare"):
        sys.exit("usage: python -m tests.notebook_outputs store|compare notebooks/*.ipynb")
    failed = False
    for path in map(Path, sys.argv[2:]):
        notebook = nbformat.read(path, 4)
        fresh = execute(notebook)
        tidy(fresh)
        if sys.argv[1] == "store":
            nbformat.write(fresh, path)
            (COVERS / f"{path.stem}.jpg").write_bytes(cover(fresh))
            print(f"{path}: stored, {path.stat().st_size / 1e6:.1f} MB", flush=True)
        else:
            told = differences(notebook, fresh)
            failed |= bool(told)
            print("\n".join([f"{path}: {'differs' if told else 'same'}", *told]), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
