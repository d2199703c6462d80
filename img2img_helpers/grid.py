"""Make a grid of edits on several GPUs, processes or machines at once, and go on where it was interrupted.

    python -m img2img_helpers.grid edits --image photo.jpg --prompts "a watercolor" --strengths 0.3 0.5 0.7
    accelerate launch --num_processes 2 -m img2img_helpers.grid edits --image photo.jpg ...     on two GPUs
    torchrun --nproc_per_node 2 -m img2img_helpers.grid edits --image photo.jpg ...             on a CPU

Every edit becomes a PNG in the folder as soon as it is finished, with its recipe inside; edits that are there already
are not made again. When all are there, ``overview.png`` shows them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import textwrap
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .common.writing import make_folder
from .lessons.images import example_image, example_names, load_image, prepare_image
from .lessons.pipelines import load_pipeline
from .lessons.recipes import EditPass, Recipe, provenance
from .lessons.sweep import Edit, run_edits

if TYPE_CHECKING:
    from accelerate import PartialState

MOST_SHOWN = 200  # edits in the overview


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
            continue
        kept = Recipe.load(path)
        same = all(kept.made_with.get(name) == here[name] for name in ("model", "scheduler", "image"))
        if kept.passes != (edit,) or not same:
            raise ValueError(f"{path} is from another grid, and would be lost; choose another folder.")
    return found


def make_grid(pipe, image, edits: Sequence[EditPass], folder: Path, *, max_batch: int | None = None) -> list[int]:
    """Make this process's share of what is missing in ``folder``.

    Args:
        pipe: an img2img pipeline.
        image: of a size that ``pipe`` takes.
        edits: all of the grid's, the same in every process, with one ``negative_prompt`` and number of steps.
        folder: shared by the processes.
        max_batch: as for :func:`~img2img_helpers.strength_sweep`.

    Returns:
        The numbers of the edits that this process made.

    Raises:
        ValueError: for no edits, or some that differ in what they must share, or as :func:`missing` does.
    """
    if len({(edit.negative_prompt, edit.num_inference_steps) for edit in edits}) != 1:
        raise ValueError(
            "A grid needs edits that share one negative_prompt and num_inference_steps; make a grid of each."
        )
    state, here = processes(), provenance(pipe, image)
    todo = missing(make_folder(folder), edits, here)
    state.wait_for_everyone()  # all have looked before the first one writes
    mine = todo[state.process_index :: state.num_processes]
    settings = [Edit(e.prompt, e.strength, e.guidance_scale, e.seed) for e in (edits[number] for number in mine)]
    call = {"negative_prompt": edits[0].negative_prompt, "num_inference_steps": edits[0].num_inference_steps}
    for k, picture in run_edits(pipe, image, settings, max_batch=max_batch, **call) if settings else ():
        Recipe((edits[mine[k]],), made_with=here).save(place(folder, mine[k]), picture)
    state.wait_for_everyone()
    if state.is_main_process and todo:
        _overview(folder, edits)
    return mine


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
    show_images(pictures, titles, columns=min(len(pictures), 5)).savefig(folder / "overview.png")


def _picture(source: str) -> Image.Image:
    return example_image(source) if source in example_names() else load_image(source)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0 if the grid is complete."""
    parser = argparse.ArgumentParser(prog="python -m img2img_helpers.grid", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where the edits go, and where an earlier run left some")
    parser.add_argument("--image", required=True, help="a file, an address, or the name of an example")
    parser.add_argument("--prompts", nargs="+", required=True)
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.3, 0.5, 0.7])
    parser.add_argument("--guidance-scales", nargs="+", type=float, default=[7.5])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--model", default="auto", help="as for load_pipeline")
    parser.add_argument("--max-batch", type=int)
    args = parser.parse_args(arguments)
    state = processes()
    try:
        edits = combinations(
            args.prompts,
            args.strengths,
            args.guidance_scales,
            args.seeds,
            negative_prompt=args.negative_prompt,
            num_inference_steps=args.steps,
        )
        picture = _picture(args.image)
        device = str(state.device) if state.num_processes > 1 else "auto"
        pipe = load_pipeline("img2img", args.model, device=device)
        size = pipe.unet.config.sample_size * pipe.vae_scale_factor
        made = make_grid(pipe, prepare_image(picture, size).image, edits, args.folder, max_batch=args.max_batch)
    except (ValueError, OSError) as error:
        print(error)
        return 1
    print(f"Process {state.process_index + 1} of {state.num_processes} made {len(made)} of {len(edits)} edits.")
    state.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
