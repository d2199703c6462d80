"""Make the classroom model, one command a stage; each goes on where it was stopped.

    python -m classroom_model.train paint        draw the training pictures
    python -m classroom_model.train vae          train the autoencoder
    python -m classroom_model.train text         make the tokenizer, teach the text encoder to read captions
    python -m classroom_model.train diffusion    encode the pictures, train the UNet
    python -m classroom_model.train inpaint      from the base UNet, one that fills masks
    python -m classroom_model.train control      a ControlNet for edges
    python -m classroom_model.train vae_upscale  the upscaler's own autoencoder
    python -m classroom_model.train upscale      a small UNet that makes pictures four times as large
    python -m classroom_model.train instruct     from the UNet for masks, one that edits pictures as it is told
    python -m classroom_model.train tiny         a small decoder that draws what the autoencoder's draws
    python -m classroom_model.train few_steps    an adapter with which the base UNet draws in four steps
    python -m classroom_model.train judge        the classifier that the evaluation asks what a picture shows

``--steps`` is the number of steps in all. A stage writes its weights to ``img2img_helpers/classroom/`` every 500 of them; stop
it with ``kill`` (SIGTERM) and it writes them at once. The same command goes on from the checkpoint in
``classroom_model/build/<stage>/`` or, where that is gone, from the weights. `text` and `judge` start anew.
"""

from __future__ import annotations

import argparse
import os
from importlib import import_module

from .training.loop import BUILD, EVERY, Length


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m classroom_model.train", description=__doc__.split("\n")[0])
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    paint = stages.add_parser("paint", help="draw the training pictures")
    paint.add_argument("--count", type=int, default=24_000)
    paint.add_argument("--workers", type=int, default=os.cpu_count())
    judge = stages.add_parser(
        "judge", help="train the evaluation's classifier; its rows must all be measured anew then"
    )
    judge.add_argument("--steps", type=int, default=3000)
    for name, steps, batch, lr in (
        ("vae", 40_000, 4, 1e-3),
        ("text", 2000, 64, 1e-3),
        ("diffusion", 60_000, 32, 6e-4),
        ("inpaint", 10_000, 32, 5e-4),
        ("control", 10_000, 32, 5e-4),
        ("vae_upscale", 5000, 4, 1e-3),
        ("upscale", 10_000, 64, 1e-3),
        ("instruct", 10_000, 32, 5e-4),
        ("tiny", 20_000, 8, 1e-3),
        ("few_steps", 3000, 16, 5e-4),
    ):
        stage = stages.add_parser(name, help=f"train the {name} stage")
        length = stage.add_mutually_exclusive_group()
        length.add_argument("--steps", type=int, default=steps, help="train until so many were made in all")
        length.add_argument("--minutes", type=float, help="train for so long, whatever was made before")
        if name != "text":
            stage.add_argument("--every", type=int, default=EVERY, help="steps between checkpoints")
        stage.add_argument("--batch", type=int, default=batch)
        stage.add_argument("--lr", type=float, default=lr)
        stage.add_argument("--device", default="auto", help="auto, cpu or cuda")
        if name in ("diffusion", "inpaint", "control", "upscale", "instruct", "few_steps"):
            stage.add_argument("--compile", action="store_true", help="a fifth quicker after minutes; needs a compiler")
    args = parser.parse_args()

    if args.stage == "paint":
        from .training.data import paint_training_set

        paint_training_set(BUILD, args.count, args.workers)
        return
    if args.stage == "judge":
        from .evaluation.judge import save_classifier, train_classifier

        save_classifier(train_classifier(args.steps))
        return
    module = "vae" if args.stage == "vae_upscale" else args.stage
    stage = getattr(import_module(f".training.{module}", __package__), f"train_{module}")
    options = {"compiled": args.compile} if "compile" in args else {"name": args.stage} if module == "vae" else {}
    if module != "text":
        options["every"] = args.every
    until = Length(minutes=args.minutes) if args.minutes else Length(steps=args.steps)
    stage(until, args.batch, args.lr, args.device, **options)


if __name__ == "__main__":
    main()
