"""Make a grid of edits on several GPUs, processes or machines at once, and go on where it was interrupted.

    python -m img2img_helpers.grid edits --image photo.jpg --prompts "a watercolor" --strengths 0.3 0.5 0.7
    accelerate launch --num_processes 2 -m img2img_helpers.grid edits --image photo.jpg ...     on two GPUs
    torchrun --nproc_per_node 2 -m img2img_helpers.grid edits --image photo.jpg ...             on a CPU
    python -m img2img_helpers.grid fills --task inpaint --image photo.jpg --mask-image mask.png --prompts "a crown"

Every edit becomes a PNG in the folder as soon as it is finished, with its recipe inside; edits that are there already
are not made again. When all are there, ``overview.png`` shows them.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .common.writing import make_folder, write_whole
from .lessons.images import example_image, example_mask, example_names, load_image, load_mask, prepare_image
from .lessons.models import TASKS
from .lessons.pipelines import load_pipeline
from .lessons.recipes import EditPass, Recipe, is_same, provenance
from .lessons.sweep import run_edits

if TYPE_CHECKING:
    from accelerate import PartialState

OVERVIEW = "overview.png"
MOST_SHOWN = 200  # edits in the overview
INPUTS = {"inpaint": "mask_image", "controlnet": "control_image"}  # what a task needs beside the picture
SAME = ("model", "adapters", "pipeline", "scheduler", "image", *INPUTS.values())  # in all edits of a grid


def combinations(
    prompts: Sequence[str],
    strengths: Sequence[float],
    guidance_scales: Sequence[float] = (7.5,),
    seeds: Sequence[int] = (0,),
    *,
    negative_prompt: str = "",
    num_inference_steps: int = 30,
) -> list[EditPass]:
    """Every combination, in a fixed order: the position of an edit is its file's number.

    Raises:
        ValueError: for a value that :class:`~img2img_helpers.EditPass` refuses.
    """
    return [
        EditPass(prompt, strength, seed, negative_prompt, num_inference_steps, guidance_scale)
        for prompt, guidance_scale, seed, strength in itertools.product(prompts, guidance_scales, seeds, strengths)
    ]


def place(folder: Path, number: int) -> Path:
    """Where edit ``number`` is kept, counted from 0."""
    return folder / f"edit-{number:04d}.png"


def missing(folder: Path, edits: Sequence[EditPass], here: dict[str, str]) -> list[int]:
    """The numbers of the ``edits`` that are not in ``folder`` yet.

    Raises:
        ValueError: if a file there holds another edit, or one of another picture or model.
    """
    found = []
    for number, edit in enumerate(edits):
        path = place(folder, number)
        if not path.exists():
            found.append(number)
        elif not is_same(Recipe.load(path), Recipe((edit,), made_with=here), SAME):
            raise ValueError(f"{path} is from another grid, and would be lost; choose another folder.")
    return found


def make_grid(
    pipe,
    image,
    edits: Sequence[EditPass],
    folder: Path,
    *,
    inputs: Mapping[str, Image.Image] | None = None,
    max_batch: int | None = None,
) -> list[int]:
    """Make this process's share of what is missing in ``folder``.

    Args:
        pipe: a pipeline for any task.
        image: of a size that ``pipe`` takes.
        edits: all of the grid's, the same in every process, with one ``negative_prompt`` and number of steps. A task
            that has no strength leaves it unused.
        folder: shared by the processes.
        inputs: further pictures that ``pipe`` is called with, by argument: ``mask_image``, ``control_image``.
        max_batch: of img2img, as for :func:`~img2img_helpers.strength_sweep`; other tasks make one edit at a time.

    Returns:
        The numbers of the edits that this process made.

    Raises:
        ValueError: for no edits, or some that differ in what they must share, or as :func:`missing` does.
    """
    if len({(edit.negative_prompt, edit.num_inference_steps) for edit in edits}) != 1:
        raise ValueError(
            "A grid needs edits that share one negative_prompt and num_inference_steps; make a grid of each."
        )
    state, here = processes(), provenance(pipe, image, **(inputs or {}))
    todo = missing(make_folder(folder), edits, here)
    state.wait_for_everyone()  # all have looked before the first one writes
    mine = todo[state.process_index :: state.num_processes]
    for number, picture in _pictures(pipe, image, {k: edits[k] for k in mine}, inputs or {}, max_batch):
        Recipe((edits[number],), made_with=here).save(place(folder, number), picture)
    state.wait_for_everyone()
    if state.is_main_process and (todo or not (folder / OVERVIEW).exists()):
        _overview(folder, edits)
    return mine


def _pictures(
    pipe, image, edits: Mapping[int, EditPass], inputs: Mapping, max_batch: int | None
) -> Iterator[tuple[int, Image.Image]]:
    """Each of ``edits`` with its number, as soon as it is made."""
    takes = inspect.signature(pipe.__call__).parameters
    if inputs or "strength" not in takes:
        import torch

        for number, edit in edits.items():
            call = asdict(edit) | {"generator": torch.Generator().manual_seed(edit.seed), "image": image, **inputs}
            yield number, pipe(**{name: value for name, value in call.items() if name in takes}).images[0]
    elif edits:
        numbers, some = list(edits), next(iter(edits.values()))
        made = run_edits(pipe, image, edits.values(), some.negative_prompt, some.num_inference_steps, max_batch)
        yield from ((numbers[k], picture) for k, picture in made)


def processes() -> PartialState:
    """The processes that share the grid; one if nothing launched more."""
    import torch
    from accelerate import PartialState

    # on CPUs it must be asked for; the slowest process may take hours, and the others wait
    return PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=1))


def _overview(folder: Path, edits: Sequence[EditPass]) -> None:
    from .lessons.plots import show_images

    pictures = [load_image(place(folder, number)) for number in range(min(len(edits), MOST_SHOWN))]
    titles = [
        f"{textwrap.shorten(e.prompt, 26, placeholder=' …')}\nstrength {e.strength:g}\nguidance {e.guidance_scale:g}, seed {e.seed}"
        for e in edits[:MOST_SHOWN]
    ]
    figure = show_images(pictures, titles, columns=min(len(pictures), 5))
    write_whole(folder / OVERVIEW, lambda part: figure.savefig(part, format="png"))


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m img2img_helpers.grid", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the edits go, and where an earlier run left some")
    parser.add_argument("--task", choices=TASKS, default="img2img")
    parser.add_argument("--image", required=True, help="a file, an address, or the name of an example")
    parser.add_argument("--mask-image", help="for inpaint: white or painted where the picture is to be made anew")
    parser.add_argument("--control-image", help="for controlnet: white edges on black")
    parser.add_argument("--prompts", nargs="+", required=True)
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--strengths", nargs="+", type=float, help="0.3 0.5 0.7 where the task has one")
    parser.add_argument("--guidance-scales", nargs="+", type=float, default=[7.5])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--model", default="auto", help="as for load_pipeline")
    parser.add_argument("--max-batch", type=int)
    return parser.parse_args(given)


def _prepared(args: argparse.Namespace, pipe) -> tuple[Image.Image, dict[str, Image.Image]]:
    """The picture at the model's size, and by ``pipe``'s arguments what the task needs beside it, which must be as large."""
    picture, mask, control = _picture(args.image), _mask(args.mask_image), _picture(args.control_image)
    for name, other in (("mask_image", mask), ("control_image", control)):
        if other is not None and other.size != picture.size:
            raise ValueError(f"--image and {_option(name)} differ in size; make them equal.")
    # an upscaler is given a picture of the size of its latents
    size = pipe.unet.config.sample_size * (1 if args.task == "upscale" else pipe.vae_scale_factor)
    prepared, inputs = prepare_image(picture, size), {}
    if mask is not None:
        inputs["mask_image"] = prepared.mask(mask)
    if control is not None:
        inputs["control_image"] = prepare_image(control, size).image
    return prepared.image, inputs


def _picture(source: str | None) -> Image.Image | None:
    return source and (example_image(source) if source in example_names() else load_image(source))


def _mask(source: str | None) -> Image.Image | None:
    return source and (example_mask(source) if source in example_names() else load_mask(source))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _run(args: argparse.Namespace, state: PartialState) -> tuple[int, int]:
    """How many edits this process made, and of how many; a ``ValueError`` or ``OSError`` of one sentence if it cannot."""
    needed = INPUTS.get(args.task)
    if {name for name in INPUTS.values() if getattr(args, name)} != {needed} - {None}:
        told = f"needs {_option(needed)} and nothing" if needed else "takes no picture"
        raise ValueError(f"The task {args.task!r} {told} beside --image.")
    pipe = load_pipeline(args.task, args.model, device=str(state.device) if state.num_processes > 1 else "auto")
    has_strength = "strength" in inspect.signature(pipe.__call__).parameters
    if args.strengths and not has_strength:
        raise ValueError(f"The task {args.task!r} has no strength; leave --strengths out.")
    edits = combinations(
        args.prompts,
        args.strengths or ([0.3, 0.5, 0.7] if has_strength else [1.0]),
        args.guidance_scales,
        args.seeds,
        negative_prompt=args.negative_prompt,
        num_inference_steps=args.steps,
    )
    picture, inputs = _prepared(args, pipe)
    made = make_grid(pipe, picture, edits, args.folder, inputs=inputs, max_batch=args.max_batch)
    return len(made), len(edits)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 if the grid is complete."""
    args, state = _arguments(arguments), processes()
    try:
        made, wanted = _run(args, state)
    except (ValueError, OSError) as error:
        print(error)
        return 1
    print(f"Process {state.process_index + 1} of {state.num_processes} made {made} of {wanted} edits.")
    state.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
