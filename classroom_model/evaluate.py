"""Measure the classroom model on scenes that it was not trained on, and show what it draws.

    python -m classroom_model.evaluate           about half an hour on two cores
    python -m classroom_model.evaluate --quick   a tenth of the pictures; leaves README.md alone

Writes the table in ``README.md`` beside the weights and the sheets in ``pictures/`` there; with ``--quick`` all go to
``classroom_model/build/quick/``. Everything is drawn by the pipelines that ``load_pipeline`` gives a learner, with the lessons'
settings; ``evaluation/judge.py`` is the judge, which has only seen the painter's pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .evaluation.base_model import (
    cost_rows,
    fidelity_rows,
    frechet_rows,
    judge_rows,
    paraphrase_rows,
    prompt_sheet,
    strength_rows,
    text_rows,
    transfer_rows,
    vae_rows,
    wording_rows,
)
from .evaluation.bench import Bench, merged, save_sheet, table, write_table
from .evaluation.instructions import instruct_rows
from .evaluation.quick import few_steps_rows, tiny_rows
from .evaluation.tasks import control_rows, inpaint_rows, upscale_rows
from .training import control, few_steps, inpaint, instruct, tiny, upscale
from .training.loop import BUILD, FOLDER, WEIGHTS

TASK_SECTIONS = {  # by the folder that a task's weights lie in
    few_steps.FOLDER: few_steps_rows,
    tiny.FOLDER: tiny_rows,
    inpaint.FOLDER: inpaint_rows,
    control.FOLDER: control_rows,
    upscale.FOLDER: upscale_rows,
    instruct.FOLDER: instruct_rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m classroom_model.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures; leaves README.md alone")
    parser.add_argument("--tasks", action="store_true", help="only what is made of the base model; keeps other rows")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="an SD-format folder; default: the package's")
    args = parser.parse_args()
    bench, rows = Bench(args.weights, args.quick), []
    home = BUILD / "quick" if args.quick else FOLDER if args.weights.resolve() == WEIGHTS.resolve() else args.weights
    (home / "pictures").mkdir(parents=True, exist_ok=True)
    drawn = [text_rows, paraphrase_rows, strength_rows, fidelity_rows, transfer_rows, wording_rows, frechet_rows]
    sections = [] if args.tasks else [judge_rows, vae_rows, *drawn, cost_rows]
    for folder, section in TASK_SECTIONS.items():
        if (args.weights / folder).is_dir():
            sections.append(section)
    for section in sections:
        new = section(bench)
        for row in new:
            bench.say(f"{row.what}: {row.measured}" + (f" ({row.bar})" if row.bar else ""))
        rows += new
    if not args.tasks:
        prompt_sheet(bench, home / "pictures" / "prompts.jpg")
        save_sheet(bench.edits, home / "pictures" / "edits.jpg")
    if bench.tasks:
        save_sheet(bench.tasks, home / "pictures" / "tasks.jpg")
    write_table(home / "README.md", merged(home / "README.md", table(rows)) if args.tasks else table(rows))
    bench.say(f"wrote {home / 'README.md'} and {home / 'pictures'}")


if __name__ == "__main__":
    main()
