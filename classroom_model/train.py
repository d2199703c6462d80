"""Make the classroom model, one command a stage; each goes on where it was interrupted.

    python -m classroom_model.train paint      draw the training pictures
    python -m classroom_model.train vae        train the autoencoder
    python -m classroom_model.train text       make the tokenizer, teach the text encoder to read captions
    python -m classroom_model.train diffusion  encode the pictures, train UNet and text encoder together

`vae` and `diffusion` start from the weights that the package carries, if there are any; `text` starts anew.
Each replaces them when it is finished. Working files go to ``classroom_model/build/``; delete a stage's folder there to give up an
interrupted run.
"""

from __future__ import annotations

import argparse
import os


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m classroom_model.train", description=__doc__.split("\n")[0])
    stages = parser.add_subparsers(dest="stage", required=True, metavar="paint | vae | text | diffusion")
    paint = stages.add_parser("paint", help="draw the training pictures")
    paint.add_argument("--count", type=int, default=30_000)
    paint.add_argument("--workers", type=int, default=os.cpu_count())
    for name, steps, batch, lr in (
        ("vae", 4000, 16, 1.5e-3),
        ("text", 1200, 48, 1e-3),
        ("diffusion", 7000, 32, 8e-4),
    ):
        stage = stages.add_parser(name, help=f"train the {name} stage")
        stage.add_argument("--steps", type=int, default=steps)
        stage.add_argument("--batch", type=int, default=batch)
        stage.add_argument("--lr", type=float, default=lr)
        stage.add_argument("--device", default="auto", help="auto, cpu or cuda")
    args = parser.parse_args()

    if args.stage == "paint":
        from .data import SHARD, paint_recoloured, paint_training_set
        from .loop import BUILD

        paint_training_set(BUILD, args.count, args.workers)
        paint_recoloured(BUILD, -(-args.count // SHARD // 2), args.workers)
    elif args.stage == "vae":
        from .vae import train_vae

        train_vae(args.steps, args.batch, args.lr, args.device)
    elif args.stage == "text":
        from .text import train_text

        train_text(args.steps, args.batch, args.lr, args.device)
    else:
        from .diffusion import train_diffusion

        train_diffusion(args.steps, args.batch, args.lr, args.device)


if __name__ == "__main__":
    main()
