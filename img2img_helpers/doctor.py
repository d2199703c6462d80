"""Say whether the course will run on this computer, and what to do if not.

    python -m img2img_helpers.doctor                 checks, and a timed edit with the classroom model
    python -m img2img_helpers.doctor --model sd15    the same with another model, downloaded if need be

The exit status is 0 if the course will run. The report names no folder and no user: paste it as it is.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import re
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image

from .common.devices import pick_device
from .common.hub import hub_answers
from .lessons.images import example_image, prepare_image
from .lessons.models import MODELS
from .lessons.pipelines import load_pipeline
from .prefetch import free_for_models

LEAST_MEMORY, LEAST_DISK = 2.0, 0.2  # GB free: torch and one edit of the classroom model; notebooks and their pictures
DARK = 3  # mean of 255 below which a picture is black to the eye
PLAIN = str.maketrans({"✔": "+", "✘": "x", "–": "-", "→": ">", "…": "...", "×": "x"})
SIGNS = {True: "✔", False: "✘", None: "–"}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        fine: True or False; None for what is good to know, but keeps nobody from the course.
        told: what was found.
        advice: what to do about it, or nothing.
    """

    fine: bool | None
    told: str
    advice: str = ""


class Report(list[Finding]):
    """All findings; true if the course will run."""

    def __bool__(self) -> bool:
        return all(finding.fine is not False for finding in self)

    def __repr__(self) -> str:
        lines = [f"{SIGNS[f.fine]} {f.told}" + (f"\n  → {f.advice}" if f.advice else "") for f in self]
        end = "The course will run." if self else "The course will not run yet: see the arrows."
        return "\n".join([*lines, end])


def examine(model: str = "classroom") -> Report:
    """Check this computer: Python, packages, device, memory, disk, hub, cached models, and one timed edit.

    Args:
        model: for the edit, as for :func:`~img2img_helpers.load_pipeline`.

    Returns:
        A report that prints itself; it is true if the course will run. Nothing raises.
    """
    report = Report()
    for check in (_python, _packages, _device, _memory, _disk, _hub, _cached, lambda: _edit(model)):
        try:
            report += check()
        except Exception as error:  # a check that breaks is a finding, and the others still count
            report.append(Finding(False, f"A check failed: {_first_line(error)}", "Send this line to your instructor."))
    return report


def _first_line(error: Exception) -> str:
    """What the error says, without the folders of this computer."""
    return _without_folders((str(error).strip() or type(error).__name__).splitlines()[0])[:200]


def _without_folders(text: str) -> str:
    """``text`` with ``…/`` for the folders that it names: a file's name helps, where it lies is private."""
    home = os.path.expanduser("~")
    if os.path.dirname(home) != home:
        text = text.replace(home, "/~")  # its name may hold a blank
    start, sep = r"(?<![\w:/])(?:[A-Za-z]:)?", r"[/\\]"
    text = re.sub(rf"(['\"]){start}{sep}[^'\"]*{sep}", r"\1…/", text)  # in quotes, blanks are part of it
    return re.sub(rf"{start}{sep}[^\s'\",;]*{sep}", "…/", text)


class _Private(io.TextIOBase):
    """A stream that passes on what is printed, without folders."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(_without_folders(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def _python() -> list[Finding]:
    told = f"Python {platform.python_version()} on {platform.system()} ({platform.machine()})"
    return _told(sys.version_info >= (3, 10), told, "Install Python 3.10 or newer, then run `make course` again.")


def _packages() -> list[Finding]:
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in metadata.requires("img2img_helpers") or []]
    # what JupyterLab needs is not for Colab, and whoever lacks it elsewhere gets no JupyterLab
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    shown, bad = [], []
    for one in wanted:
        try:
            found = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            bad.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(found, prereleases=True):
            bad.append(f"{one.name} is {found}, but must be {one.specifier}")
        if one.name in ("torch", "diffusers", "transformers", "accelerate", "ipywidgets"):
            shown.append(f"{one.name} {found}")
    advice = "Run `make course`, or on Colab the lesson's first cell, again."
    return _told(not bad, "; ".join(bad) or ", ".join(shown), advice)


def _told(fine: bool | None, told: str, advice: str = "") -> list[Finding]:
    """One finding, with its ``advice`` unless all is fine."""
    return [Finding(fine, told, "" if fine else advice)]


def _device() -> list[Finding]:
    import torch

    device, why = pick_device()
    if device != "cuda":
        return _told(True, f"Device: {device} ({why}), {torch.get_num_threads()} threads")
    free, whole = torch.cuda.mem_get_info()
    told = f"Device: {torch.cuda.get_device_name()}, {free / 1e9:.1f} of {whole / 1e9:.1f} GB free"
    needed = MODELS["sd15"].memory_gb
    advice = f"Stable Diffusion 1.5 needs about {needed:g} GB: close other notebooks, or set IMG2IMG_MODEL=classroom."
    return _told(free >= needed * 1e9 or None, told, advice)


def _memory() -> list[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    free = memory.available / 1e9
    told = f"Memory: {free:.1f} of {memory.total / 1e9:.1f} GB free"
    return _told(free >= LEAST_MEMORY or None, told, "Close programs.")


def _disk() -> list[Finding]:
    free, needed = free_for_models() / 1e9, MODELS["sd15"].download_gb + 2
    told = f"Disk: {free:.1f} GB free"
    if free < LEAST_DISK:
        return _told(False, told, f"Free at least {LEAST_DISK:g} GB.")
    advice = f"Downloading Stable Diffusion 1.5 wants {needed:.1f} GB; the classroom model none."
    return _told(free >= needed or None, told, advice)


def _hub() -> list[Finding]:
    if hub_answers():
        return _told(True, "The model hub can be reached")
    command = "`python -m img2img_helpers.prefetch`"
    advice = f"The classroom model needs no internet; for others run {command} elsewhere first."
    return _told(None, "The model hub cannot be reached", advice)


def _cached() -> list[Finding]:
    from huggingface_hub import constants, scan_cache_dir

    if not Path(constants.HF_HUB_CACHE).is_dir():
        return _told(None, "Models downloaded so far: none")
    ours = {one for card in MODELS.values() for one in card.all_ids}
    found = [f"{r.repo_id} ({r.size_on_disk / 1e9:.1f} GB)" for r in scan_cache_dir().repos if r.repo_id in ours]
    return _told(None, f"Models downloaded so far: {', '.join(sorted(found)) or 'none'}")


def _edit(model: str) -> list[Finding]:
    import torch

    with redirect_stdout(_Private(sys.stdout)):  # it says where it found the model
        pipe = load_pipeline("img2img", model)
    pipe.set_progress_bar_config(disable=True)
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    image = prepare_image(example_image("landscape"), size).image
    call = {"image": image, "strength": 0.5, "num_inference_steps": 10}
    started = time.perf_counter()
    made = pipe("a lake", generator=torch.Generator().manual_seed(0), **call)
    seconds = time.perf_counter() - started
    flagged = bool((getattr(made, "nsfw_content_detected", None) or [False])[0])
    where = f"{str(pipe.dtype).removeprefix('torch.')} on {pipe._execution_device.type}"
    return [
        Finding(True, f"A test edit of {size}×{size} pixels took {seconds:.1f} s ({where})"),
        judge_color(made.images[0], flagged, lambda: _overflows(pipe, call)),
    ]


def _overflows(pipe, call: dict) -> bool:
    """Whether numbers leave the dtype's range: once more, without the last step that hides it."""
    import torch

    with torch.no_grad():
        latents = pipe("a lake", generator=torch.Generator().manual_seed(0), output_type="latent", **call).images
        decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    return not bool(torch.isfinite(decoded).all())


def judge_color(picture: Image.Image, flagged: bool, overflows) -> Finding:
    """Tell a black picture's causes apart: the safety checker, numbers out of range, or a dark picture.

    Args:
        picture: what came out.
        flagged: what the pipeline's ``nsfw_content_detected`` says of it.
        overflows: called for a black picture; says whether the decoded numbers are not finite.
    """
    mean = np.asarray(picture.convert("RGB"), float).mean((0, 1))
    told = "Colour of the result: red {:.0f}, green {:.0f}, blue {:.0f} of 255".format(*mean)
    if flagged:
        return Finding(False, f"{told}: the safety checker blackened it", "Try another prompt or seed.")
    if mean.max() >= DARK:
        return Finding(True, told)
    if overflows():
        advice = "Load with dtype='float32', or 'bfloat16' where the GPU has it."
        return Finding(False, f"{told}: numbers left the dtype's range", advice)
    told = f"{told}: it is black, though all numbers are finite"
    return Finding(False, told, "Ask for more light, or less strength.")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 if the course will run."""
    parser = argparse.ArgumentParser(prog="python -m img2img_helpers.doctor", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="classroom", help="for the test edit; default: classroom")
    report = examine(parser.parse_args(arguments).model)
    encoding = sys.stdout.encoding or "utf-8"
    try:
        repr(report).encode(encoding)
        print(report)
    except UnicodeEncodeError:  # a file on Windows
        print(repr(report).translate(PLAIN).encode(encoding, "replace").decode(encoding))
    return 0 if report else 1


if __name__ == "__main__":
    sys.exit(main())
