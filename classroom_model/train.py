"""Make the classroom model, one command a stage; each goes on where it was stopped.

    python -m classroom_model.train paint        draw the training pictures
    python -m classroom_model.train vae          train the autoencoder
    python -m classroom_model.train text         make the tokenizer, teach the text encoder to read captions
    python -m classroom_model.train diffusion    encode the pictures, train the UNet
    python -m classroom_model.train inpaint      from the base UNet, one that fills masks
    python -m classroom_model.train control      a ControlNet for edges
    python -m classroom_model.train vae_upscale  the upscaler's own autoencoder
    python -m classroom_model.train upscale      a small UNet that makes pictures four times as large

``--steps`` is the number of steps in all. A stage writes its weights to ``classroom_model/second/`` every 500 of them; stop
it with ``kill`` (SIGTERM) and it writes them at once. The same command goes on from the checkpoint in
``classroom_model/build/<stage>/`` or, where that is gone, from the weights. `text` starts anew.
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
        ("vae", 10_000, 16, 1.5e-3),
        ("text", 2000, 64, 1e-3),
        ("diffusion", 60_000, 32, 6e-4),
        ("inpaint", 10_000, 32, 5e-4),
        ("control", 10_000, 32, 5e-4),
        ("vae_upscale", 5000, 16, 1.5e-3),
        ("upscale", 10_000, 32, 1e-3),
    ):
        stage = stages.add_parser(name, help=f"train the {name} stage")
        stage.add_argument("--steps", type=int, default=steps)
        stage.add_argument("--batch", type=int, default=batch)
        stage.add_argument("--lr", type=float, default=lr)
        stage.add_argument("--device", default="auto", help="auto, cpu or cuda")
        if name in ("diffusion", "inpaint", "control", "upscale"):
            stage.add_argument("--compile", action="store_true", help="a fifth quicker after minutes; needs a compiler")
    args = parser.parse_args()

    if args.stage == "paint":
        from .training.data import paint_training_set
        from .training.loop import BUILD

        paint_training_set(BUILD, args.count, args.workers)
        return
    module = args.stage.partition("_")[0]
    stage = getattr(import_module(f".training.{module}", __package__), f"train_{module}")
    options = {"compiled": args.compile} if "compile" in args else {"name": args.stage} if module == "vae" else {}
    stage(args.steps, args.batch, args.lr, args.device, **options)


if __name__ == "__main__":
    main()
