"""Make the classroom model, one command a stage; each goes on where it was interrupted.

    python -m classroom_model.train paint      draw the training pictures
    python -m classroom_model.train vae        train the autoencoder
    python -m classroom_model.train text       make the tokenizer, teach the text encoder to read captions
    python -m classroom_model.train diffusion  encode the pictures, train the UNet
    python -m classroom_model.train inpaint    from the base UNet, one that fills masks
    python -m classroom_model.train control    a ControlNet for edges
    python -m classroom_model.train upscale    a small UNet that makes pictures four times as large

All but `text`, which starts anew, start from the weights that the package carries, if there are any. Each
replaces them when it is finished; the last three need a finished base model. Working files go to
``classroom_model/build/``; delete a stage's folder there to give up an interrupted run.
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m classroom_model.train", description=__doc__.split("\n")[0])
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    paint = stages.add_parser("paint", help="draw the training pictures")
    paint.add_argument("--count", type=int, default=24_000)
    paint.add_argument("--workers", type=int, default=os.cpu_count())
    for name, steps, batch, lr in (
        ("vae", 4000, 16, 1.5e-3),
        ("text", 1200, 48, 1e-3),
        ("diffusion", 8000, 32, 8e-4),
        ("inpaint", 3000, 32, 5e-4),
        ("control", 2000, 32, 5e-4),
        ("upscale", 5000, 32, 1e-3),
    ):
        stage = stages.add_parser(name, help=f"train the {name} stage")
        stage.add_argument("--steps", type=int, default=steps)
        stage.add_argument("--batch", type=int, default=batch)
        stage.add_argument("--lr", type=float, default=lr)
        stage.add_argument("--device", default="auto", help="auto, cpu or cuda")
        if name not in ("vae", "text"):
            stage.add_argument("--compile", action="store_true", help="a fifth quicker after minutes; needs a compiler")
    args = parser.parse_args()

    if args.stage == "paint":
        from .training.data import paint_training_set
        from .training.loop import BUILD

        paint_training_set(BUILD, args.count, args.workers)
        return
    stage = import_module(f".training.{args.stage}", __package__)
    options = {"compiled": args.compile} if "compile" in args else {}
    getattr(stage, f"train_{args.stage}")(args.steps, args.batch, args.lr, args.device, **options)


if __name__ == "__main__":
    main()
