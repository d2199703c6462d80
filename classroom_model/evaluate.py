"""Measure the classroom model on scenes that it was not trained on, and show what it draws.

    python -m classroom_model.evaluate           about 8 minutes on two cores, and 3 more the first time
    python -m classroom_model.evaluate --quick   a tenth of the pictures; leaves README.md alone

Writes the table in ``classroom_model/README.md`` and two sheets in ``classroom_model/pictures/``; with
``--quick`` all three go to ``classroom_model/build/quick/``, with ``--weights FOLDER`` to ``build/other/``. Everything is drawn by the pipelines that
``load_pipeline`` gives a learner, with the lessons' settings; ``evaluation/judge.py`` is the judge.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .evaluation.base_model import (
    car_rows,
    cost_rows,
    judge_rows,
    prompt_sheet,
    strength_rows,
    text_rows,
    transfer_rows,
    vae_rows,
    wording_rows,
)
from .evaluation.bench import Bench, merged, save_sheet, table, write_table
from .evaluation.tasks import TASK_SECTIONS
from .training.loop import BUILD, FOLDER, WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m classroom_model.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures; leaves README.md alone")
    parser.add_argument("--tasks", action="store_true", help="only inpainting, control, upscaling; keeps other rows")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="an SD-format folder; default: the package's")
    args = parser.parse_args()
    bench, rows = Bench(args.weights, args.quick), []
    home = BUILD / "quick" if args.quick else FOLDER if bench.is_ours else BUILD / "other"
    (home / "pictures").mkdir(parents=True, exist_ok=True)
    base = [judge_rows, vae_rows, text_rows, strength_rows, car_rows, transfer_rows, wording_rows, cost_rows]
    sections = [] if args.tasks else base
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
