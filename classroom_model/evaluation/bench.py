"""What every part of the evaluation uses: the pipelines, the judge, rows of the table, sheets of pictures."""

from __future__ import annotations

import re
import textwrap
import time
import timeit
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline
from matplotlib.figure import Figure
from PIL import Image

from img2img_helpers import load_pipeline

from ..training.loop import WEIGHTS
from ..training.vae import in_parts, to_tensor
from ..world.scenes import SUBJECTS, Scene
from .judge import load_classifier, shows

LESSON = {"num_inference_steps": 30, "guidance_scale": 7.5}
BATCH = 8
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


@dataclass
class Row:
    """One line of the table; ``passed`` is None where there is no bar."""

    what: str
    measured: str
    count: str = ""
    bar: str = ""
    passed: bool | None = None


def share(what: str, hits: Sequence[bool], bar: float | None = None) -> Row:
    """The share of ``hits``, which should be at least ``bar``."""
    part = float(np.mean(hits)) if len(hits) else 0.0
    row = Row(what, f"{100 * part:.1f} %", str(len(hits)))
    return row if bar is None else replace(row, bar=f"at least {100 * bar:.0f} %", passed=part >= bar)


def table(rows: Sequence[Row]) -> str:
    """``rows`` as Markdown."""
    verdict = {True: "passed", False: "**short**", None: ""}
    lines = ["| what | bar | measured | pictures | |", "|---|---|---|---|---|"]
    told = [f"| {r.what} | {r.bar} | {r.measured} | {r.count} | {verdict[r.passed]} |" for r in rows]
    return "\n".join(lines + told)


def merged(readme: Path, new: str) -> str:
    """The table in ``readme`` with the lines of the table ``new`` in place of those on the same things, or at its end."""
    _, _, rest = (readme.read_text() if readme.exists() else "").partition(BEGIN)
    old = rest.partition(END)[0].strip().splitlines()
    head, lines = new.splitlines()[:2], new.splitlines()[2:]
    again = set(map(_thing, lines))
    return "\n".join([*head, *(line for line in old[2:] if _thing(line) not in again), *lines])


def _thing(line: str) -> str:
    """What a line of the table is about, without a figure that stands in brackets to compare with."""
    return re.sub(r" \([^()]*\d[^()]*\)", "", line.split("|")[1])


def write_table(readme: Path, text: str) -> None:
    """Put ``text`` between the markers of ``readme``, which is made if there is none."""
    old = readme.read_text() if readme.exists() else f"# The classroom model\n\n{BEGIN}\n{END}\n"
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} must hold the lines {BEGIN} and {END}; the table goes between them.")
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


@dataclass
class Bench:
    """The pipelines, the judge, and the rows of the two sheets, of edits and of other tasks, so far."""

    weights: Path = WEIGHTS
    quick: bool = False
    edits: list[list[tuple[np.ndarray | None, str]]] = field(default_factory=list)
    tasks: list[list[tuple[np.ndarray | None, str]]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.text2img, self.img2img = (task_pipe(self, task) for task in ("text2img", "img2img"))
        self.classifier = load_classifier()

    def few(self, count: int) -> int:
        return -(-count // 10) if self.quick else count

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.started:5.0f} s  {text}", flush=True)

    def draw(self, prompts: Sequence[str], images=None, *, seeds=None, negative="", **options) -> np.ndarray:
        """One picture for each prompt, (n, 192, 192, 3) uint8; picture i has the seed i unless ``seeds`` says."""
        seeds = range(len(prompts)) if seeds is None else seeds
        negatives = [negative] * len(prompts) if isinstance(negative, str) else negative
        made = []
        for i in range(0, len(prompts), BATCH):
            part = slice(i, i + BATCH)
            call = LESSON | options | {"prompt": list(prompts[part]), "negative_prompt": list(negatives[part])}
            call["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
            if images is None:
                made += self.text2img(**call).images
            else:
                made += self.img2img(image=[Image.fromarray(image) for image in images[part]], **call).images
        return np.stack([np.asarray(image) for image in made])

    def round_trip(self, images: np.ndarray) -> list[Image.Image]:
        """``images`` encoded and decoded: the most that an edit could keep of them."""
        vae, back = self.img2img.vae, []
        with torch.no_grad():
            for part in in_parts(images):
                decoded = vae.decode(vae.encode(to_tensor(part)).latent_dist.mode()).sample
                back += self.img2img.image_processor.postprocess(decoded)
        return back


def seeds(count: int) -> list[torch.Generator]:
    """A generator each, of seeds 0, 1, 2 …"""
    return [torch.Generator().manual_seed(i) for i in range(count)]


def task_pipe(bench: Bench, task: str, **options) -> DiffusionPipeline:
    """What ``load_pipeline`` gives for ``task``, without a progress bar."""
    pipe = load_pipeline(task, str(bench.weights), device="cpu", dtype="float32", **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def seconds_of(call: Callable[[], object]) -> float:
    """The least that ``call`` takes in three tries, after one that warms up."""
    call()
    return min(timeit.repeat(call, number=1, repeat=3))


def hits(scenes: Sequence[Scene], seen: dict[str, list], name: str, subjects: Sequence[str] = SUBJECTS) -> list[bool]:
    """Whether ``name`` was recognised, for the scenes of ``subjects`` that show it; prints what it was mistaken for."""
    pairs = [
        (getattr(s, name), value)
        for s, value in zip(scenes, seen[name], strict=True)
        if s.subject in subjects and shows(s, name)
    ]
    mistaken = Counter(f"{wanted} → {value}" for wanted, value in pairs if wanted != value).most_common(4)
    if mistaken:
        print(f"         {name} mistaken: " + ", ".join(f"{what} ({n})" for what, n in mistaken))
    return [wanted == value for wanted, value in pairs]


def save_sheet(rows: Sequence[Sequence[tuple[np.ndarray | None, str]]], file: Path, *, scale: float = 1.5) -> None:
    """Pictures in rows on white, each with its words below."""
    gap, words_high, dpi = 8, 36, 100
    height, width = (round(side * scale) for side in rows[0][0][0].shape[:2])
    across, down = gap + max(map(len, rows)) * (width + gap), gap + len(rows) * (height + words_high)
    # matplotlib cuts to whole pixels, and 4.64 × 100 is just below 464
    size = ((across + 0.1) / dpi, (down + 0.1) / dpi)
    figure = Figure(figsize=size, dpi=dpi, facecolor="white")
    for i, row in enumerate(rows):
        for j, (image, text) in enumerate(row):
            if image is None:
                continue
            x, y = gap + j * (width + gap), down - gap - i * (height + words_high) - height
            figure.figimage(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS), x, y)
            text = "\n".join(textwrap.wrap(text, width // 6))
            figure.text(x / across, (y - 4) / down, text, va="top", fontsize=7, linespacing=1.1)
    figure.savefig(file, dpi=dpi, pil_kwargs={"quality": 88})
