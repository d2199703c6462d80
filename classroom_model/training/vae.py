"""Stage 2: the autoencoder, 192×192 pixels to 4×24×24 latents and back."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import nn

from ..world.scenes import SIZE
from .data import TrainingSet, held_out_pictures
from .loop import BUILD, EVERY, REFRESH, WEIGHTS, Length, forget_this_computer, pick_device, train

FACTOR = 8  # pixels to a latent, each way
# Stable Diffusion's upscaler has an autoencoder of factor 4, for its latents are as large as the coarse picture. Ours is
# the first foundation's, put in its folder by hand: it drew the second's world at 30.4 dB before it had seen it.
WIDTHS = {"vae": (24, 48, 96, 128), "vae_upscale": (24, 48, 96)}
ENCODED = {"vae": "latents*.npy", "vae_upscale": "latents-fine.npy"}  # what other stages keep in BUILD
READERS = {"vae": "unet", "vae_upscale": "unet_upscale"}  # what has learnt what an encoder says
HELD_OUT = 64  # scenes that the round trip is watched on
EDGES = 0.3  # what the edges' error counts beside the colours'
# For so many steps the encoder is also taught, less and less, the four principal components of each block. Left alone
# the autoencoder spends its first thousand steps on grey pictures: after 650 steps photos came back at 23.3 dB, not 18.
TAUGHT = 800
# SD 1.5's number: latents leave the encoder with standard deviation 1 / 0.18215, so code that
# has the number written in it works on both.
SCALING_FACTOR = 0.18215


def new_vae(widths: tuple[int, ...] = WIDTHS["vae"]) -> AutoencoderKL:
    """An untrained ``AutoencoderKL``; with four widths of factor 8, with three of factor 4.

    One group of channels to a norm: with eight the mean colour of a picture was normalised away, and after as
    many steps the round trip was 2 dB worse. The noise that goes with the latents begins small.
    """
    vae = AutoencoderKL(
        block_out_channels=widths,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        norm_num_groups=1,
        latent_channels=4,
        sample_size=SIZE,
        scaling_factor=SCALING_FACTOR,
    )
    with torch.no_grad():
        vae.quant_conv.weight[4:] *= 0.1
        vae.quant_conv.bias[4:] = -6
    return vae


def principal_components(images: np.ndarray, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of all blocks of ``factor`` pixels, (c,), and what maps a block to four numbers of unit power, (c, 4)."""
    blocks = F.pixel_unshuffle(to_tensor(images), factor).permute(0, 2, 3, 1).flatten(0, 2)
    mean = blocks.mean(0)
    power, directions = torch.linalg.eigh((blocks - mean).T @ (blocks - mean) / len(blocks))  # ascending
    return mean, directions[:, -4:] / power[-4:].sqrt()


def to_tensor(images: np.ndarray, device: torch.device | str = "cpu") -> torch.Tensor:
    """(n, h, w, 3) uint8 → (n, 3, h, w) float from -1 to 1, channels last in memory."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(tensor: torch.Tensor) -> np.ndarray:
    """The inverse of :func:`to_tensor`, clipped."""
    return ((tensor.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def edge_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 between horizontal and vertical differences at two scales: what makes edges crisp."""
    loss = made.new_zeros(())
    for _ in range(2):
        for dim in (-1, -2):
            loss = loss + (made.diff(dim=dim) - wanted.diff(dim=dim)).abs().mean()
        made, wanted = F.avg_pool2d(made, 2), F.avg_pool2d(wanted, 2)
    return loss


def colour_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 at four scales: what makes colours right before edges are sharp."""
    loss = (made - wanted).abs().mean()
    for size in (2, 4, 8):
        loss = loss + 0.5 * (F.avg_pool2d(made, size) - F.avg_pool2d(wanted, size)).abs().mean()
    return loss


def round_trip_psnr(vae: AutoencoderKL, images: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio (dB) of encode → decode for each picture."""
    device = next(vae.parameters()).device
    with torch.no_grad():
        back = vae.decode(vae.encode(to_tensor(images, device)).latent_dist.mode()).sample
    error = (to_images(back).astype(np.float64) - images) ** 2
    return 10 * np.log10(255**2 / error.mean((1, 2, 3)))


def vae_factor(vae: AutoencoderKL) -> int:
    """Pixels to a latent, each way."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def in_parts(images: np.ndarray, size: int = 64) -> list[np.ndarray]:
    """``images`` in batches of at most ``size``."""
    return np.array_split(images, -(-len(images) // size))


def standardise_latents(vae: AutoencoderKL, images: np.ndarray) -> None:
    """Fold into the 1×1 convolutions around the latents what gives each channel mean 0, std 1/scaling.

    The pictures do not change; every channel then enters diffusion with the same power.
    """
    device = next(vae.parameters()).device
    with torch.no_grad():
        latents = torch.cat([vae.encode(to_tensor(part, device)).latent_dist.mode() for part in in_parts(images)])
        mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * vae.config.scaling_factor
        quant, back = vae.quant_conv, vae.post_quant_conv
        quant.weight[:4] /= std[:, None, None, None]
        quant.bias[:4] = (quant.bias[:4] - mean) / std
        quant.bias[4:] -= 2 * std.log()
        back.bias += (back.weight[..., 0, 0] * mean).sum(1)
        back.weight *= std[:, None, None]


def train_vae(until: Length, batch: int, lr: float, device_name: str, name: str = "vae", every: int = EVERY) -> None:
    """Train ``name``, one of WIDTHS, on whole pictures; save fp16 weights.

    Once there is the UNet that has learnt what the encoder says, only the decoder learns on.
    Crops of 64 pixels were the quicker teacher for 6,500 steps; then they misled it: what one group of channels is
    normalised by is another mean and deviation in a crop than in a picture.
    """
    device = pick_device(device_name)
    torch.manual_seed(0)
    painted = TrainingSet(BUILD)
    held_out = held_out_pictures(BUILD)[1][:HELD_OUT]
    vae = (
        AutoencoderKL.from_pretrained(WEIGHTS / name, torch_dtype=torch.float32, disable_mmap=True)  # it is overwritten
        if (WEIGHTS / name).exists()
        else new_vae(WIDTHS[name])
    )
    vae = vae.to(device, memory_format=torch.channels_last).train()
    taught = 0 if (WEIGHTS / name).exists() else TAUGHT
    settled = (WEIGHTS / READERS[name]).exists()
    for part in (vae.encoder, vae.quant_conv):
        part.requires_grad_(not settled)
    some = painted.pictures(range(min(500, len(painted))))
    mean, directions = (part.to(device) for part in principal_components(some, vae_factor(vae)))

    def loss_at(step: int) -> torch.Tensor:
        if step % REFRESH == 0:
            painted.refresh()
        numbers = np.random.default_rng([1, step]).integers(len(painted), size=batch)
        wanted = to_tensor(painted.pictures(numbers), device)
        latents = vae.encode(wanted).latent_dist
        made = vae.decode(latents.sample()).sample.float()
        loss = colour_loss(made, wanted) + EDGES * edge_loss(made, wanted)
        loss = loss + 1e-4 * latents.kl().mean() / latents.mean[0].numel()
        if step < taught:
            blocks = F.pixel_unshuffle(wanted, vae_factor(vae)) - mean[:, None, None]
            target = torch.einsum("nchw,ck->nkhw", blocks, directions)
            loss = loss + (1 - step / taught) * F.mse_loss(latents.mean.float(), target)
        return loss

    def save() -> None:
        finished = copy.deepcopy(vae)
        if not settled:
            standardise_latents(finished, some)
            for file in BUILD.glob(ENCODED[name]):
                file.unlink()  # another encoder made them
        # fp16 on disk, as Stable Diffusion's `variant="fp16"` files are
        nn.Module.half(finished).save_pretrained(WEIGHTS / name)
        forget_this_computer(WEIGHTS / name)

    def sample(path: Path) -> None:
        print(
            f"\nround trip on {HELD_OUT} held-out pictures: {round_trip_psnr(vae, held_out).mean():.2f} dB", flush=True
        )
        with torch.no_grad():
            back = to_images(vae.decode(vae.encode(to_tensor(held_out[:12], device)).latent_dist.mode()).sample)
        Image.fromarray(np.vstack([np.hstack(held_out[:12]), np.hstack(back)])).save(path)

    train(name, vae, loss_at, until=until, batch=batch, lr=lr, device=device, save=save, sample=sample, every=every)
