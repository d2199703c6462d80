"""Stage 9: a tiny autoencoder that takes the place of the VAE where a picture is wanted at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderTiny
from PIL import Image
from torch import nn

from .base import PICTURES, load_part
from .data import TrainingSet, held_out_pictures
from .diffusion import encode, stored_latents
from .loop import BUILD, EVERY, WEIGHTS, Length, forget_this_computer, pick_device, train
from .vae import EDGES, HELD_OUT, colour_loss, edge_loss, to_images, to_tensor

FOLDER = "vae_tiny"
WIDTH = 16  # the class wants as many channels at every size
NOISE = 0.2  # the most noise, in deviations of the latents, that half of them get


def new_tiny() -> AutoencoderTiny:
    """Untrained; its decoder makes 0.59 billion multiplications for a picture of 192×192 pixels.

    More than half of them are made at full size, though only one block is there. ``scaling_factor`` stays 1, that is,
    it reads latents of unit deviation: it squeezes them to between -3 and 3, which the VAE's own, with their deviation
    of 5.5, would not survive. Pipelines divide by the factor of the VAE that they have, so that it can simply be put in
    the other's place, but for the one that follows instructions: its UNet is shown the VAE's own latents.
    """
    return AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 1, 3),
        num_decoder_blocks=(4, 4, 2, 1),
    )


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """What ``vae`` makes of ``latents`` of unit deviation, (n, 3, h, w) float from -1 to 1."""
    return vae.decode(latents / vae.config.scaling_factor).sample.float().clamp(-1, 1)


def train_tiny(until: Length, batch: int, lr: float, device_name: str, every: int = EVERY) -> None:
    """Train a small decoder to draw what the VAE's draws; save it as ``vae_tiny``.

    The VAE's picture of the very same latents, and not the painted one, is what it should draw: it has nothing that
    latents do not tell, and what they do not tell would only be noise to a learner. For the same reason it exists for
    latents with noise, which stand for those that a UNet makes and no encoder would.

    The encoder, which nothing needs but the class has, learns beside it to make the VAE's latents of painted pictures.
    """
    device = pick_device(device_name)
    torch.manual_seed(0)
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "vae", torch_dtype=torch.float32)
    vae.requires_grad_(False).to(device, memory_format=torch.channels_last).eval()
    shards = TrainingSet(BUILD, PICTURES).shards
    latents = torch.cat([stored_latents(vae, number, shard) for number, shard in enumerate(shards)])
    painted = torch.from_numpy(np.concatenate(shards)).to(device)  # 1.8 GB
    others = held_out_pictures(BUILD)[1][:HELD_OUT]
    others_latents = encode(vae, others).float()
    tiny = load_part(AutoencoderTiny, FOLDER) or new_tiny()
    tiny.requires_grad_(True).to(device, memory_format=torch.channels_last).train()

    def decoder_loss(given: torch.Tensor) -> torch.Tensor:
        wanted, made = decode(vae, given), tiny.decode(given).sample.float()
        return colour_loss(made, wanted) + EDGES * edge_loss(made, wanted)

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([13, step])
        picks = torch.from_numpy(rng.integers(len(latents), size=batch)).to(device)
        clean = latents[picks].to(torch.float32, memory_format=torch.channels_last)
        much = torch.from_numpy(NOISE * rng.random(batch) * (rng.random(batch) < 0.5)).to(device, torch.float32)
        generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
        noise = torch.randn(clean.shape, generator=generator, device=device)
        pictures = painted[picks].permute(0, 3, 1, 2).float() / 127.5 - 1  # channels last in memory
        encoder_loss = F.mse_loss(tiny.encode(pictures).latents.float(), clean)
        return decoder_loss(clean + much[:, None, None, None] * noise) + encoder_loss

    def held_out_loss() -> float:
        return float(np.mean([float(decoder_loss(part)) for part in others_latents.split(16)]))

    def sample(path: Path) -> None:
        given, pictures = others_latents[:12], others[:12]
        own = tiny.encode(to_tensor(pictures, device)).latents
        rows = [
            pictures,
            *(to_images(made) for made in (decode(vae, given), tiny.decode(given).sample, tiny.decode(own).sample)),
        ]
        Image.fromarray(np.vstack([np.hstack(row) for row in rows])).save(path)

    def save() -> None:
        nn.Module.half(copy.deepcopy(tiny)).save_pretrained(WEIGHTS / FOLDER)
        config = WEIGHTS / FOLDER / "config.json"
        settings = json.loads(config.read_text())
        del settings["block_out_channels"]  # the class adds it, and warns of it when it reads it
        config.write_text(json.dumps(settings, indent=2) + "\n")
        forget_this_computer(WEIGHTS / FOLDER)

    options = {"save": save, "held_out_loss": held_out_loss, "sample": sample, "every": every}
    train("tiny", tiny, loss_at, until=until, batch=batch, lr=lr, device=device, **options)
