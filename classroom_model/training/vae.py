"""Stage 2: the autoencoder, 128×128 pixels to 4×32×32 latents and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from PIL import Image
from torch import nn

from ..world.painter import paint
from ..world.scenes import SIZE
from .data import load_training_images, scene_at
from .loop import BUILD, WEIGHTS, pick_device, publish, train

CROP = 64
# SD 1.5's number: latents leave the encoder with standard deviation 1 / 0.18215, so code that
# has the number written in it works on both.
SCALING_FACTOR = 0.18215


def new_vae() -> AutoencoderKL:
    """An untrained ``AutoencoderKL`` of factor 4 (Stable Diffusion 1.5's has factor 8)."""
    return AutoencoderKL(
        block_out_channels=(24, 48, 96),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=SIZE,
        scaling_factor=SCALING_FACTOR,
    )


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """(n, h, w, 3) uint8 → (n, 3, h, w) float from -1 to 1, channels last in memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(tensor: torch.Tensor) -> np.ndarray:
    """The inverse of :func:`to_tensor`, clipped."""
    return ((tensor.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def _edge_loss(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 between horizontal and vertical differences at two scales: what makes edges crisp."""
    loss = made.new_zeros(())
    for _ in range(2):
        for dim in (-1, -2):
            loss = loss + (made.diff(dim=dim) - wanted.diff(dim=dim)).abs().mean()
        made, wanted = F.avg_pool2d(made, 2), F.avg_pool2d(wanted, 2)
    return loss


def round_trip_psnr(vae: AutoencoderKL, images: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio (dB) of encode → decode for each picture."""
    device = next(vae.parameters()).device
    with torch.no_grad():
        back = vae.decode(vae.encode(to_tensor(images).to(device)).latent_dist.mode()).sample
    error = (to_images(back).astype(np.float64) - images) ** 2
    return 10 * np.log10(255**2 / error.mean((1, 2, 3)))


def in_parts(images: np.ndarray, size: int = 64) -> list[np.ndarray]:
    """``images`` in batches of at most ``size``."""
    return np.array_split(images, -(-len(images) // size))


def standardise_latents(vae: AutoencoderKL, images: np.ndarray) -> None:
    """Fold into the 1×1 convolutions around the latents what gives each channel mean 0, std 1/scaling.

    The pictures do not change; every channel then enters diffusion with the same power.
    """
    device = next(vae.parameters()).device
    with torch.no_grad():
        latents = torch.cat([vae.encode(to_tensor(part).to(device)).latent_dist.mode() for part in in_parts(images)])
        mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) * vae.config.scaling_factor
        quant, back = vae.quant_conv, vae.post_quant_conv
        quant.weight[:4] /= std[:, None, None, None]
        quant.bias[:4] = (quant.bias[:4] - mean) / std
        quant.bias[4:] -= 2 * std.log()
        back.bias += (back.weight[..., 0, 0] * mean).sum(1)
        back.weight *= std[:, None, None]


def train_vae(steps: int, batch: int, lr: float, device_name: str) -> None:
    """Train on random crops, the last fifth on whole pictures; save fp16 weights for the package."""
    device = pick_device(device_name)
    torch.manual_seed(0)
    images = load_training_images(BUILD)
    held_out = np.stack([paint(scene_at(i, "held-out")).image for i in range(64)])
    vae = (
        AutoencoderKL.from_pretrained(WEIGHTS / "vae", torch_dtype=torch.float32)
        if (WEIGHTS / "vae").exists()
        else new_vae()
    )
    vae = vae.to(device, memory_format=torch.channels_last).train()
    whole_from = int(steps * 0.8)

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([1, step])
        if step < whole_from:
            picks, ys, xs = rng.integers(len(images), size=batch), *rng.integers(0, SIZE - CROP + 1, (2, batch))
            crops = [images[i, y : y + CROP, x : x + CROP] for i, y, x in zip(picks, ys, xs, strict=True)]
        else:
            crops = [images[i] for i in rng.integers(len(images), size=max(1, batch // 4))]
        wanted = to_tensor(np.stack(crops)).to(device, memory_format=torch.channels_last)
        if rng.random() < 0.5:
            wanted = wanted.flip(-1)
        latents = vae.encode(wanted).latent_dist
        made = vae.decode(latents.sample()).sample
        return (
            (made - wanted).abs().mean()
            + 0.6 * _edge_loss(made, wanted)
            + 1e-4 * latents.kl().mean() / latents.mean[0].numel()
        )

    def sample(path: Path) -> None:
        vae.eval()
        psnr = round_trip_psnr(vae, held_out)
        back = to_images(vae.decode(vae.encode(to_tensor(held_out[:12]).to(device)).latent_dist.mode()).sample)
        Image.fromarray(np.vstack([np.hstack(held_out[:12]), np.hstack(back)])).save(path)
        print(f"\nround trip on 64 held-out pictures: {psnr.mean():.2f} dB")
        vae.train()

    ema = train("vae", vae, loss_at, steps=steps, lr=lr, device=device, sample=sample, every=250)
    ema.copy_to([p for p in vae.parameters() if p.requires_grad])
    vae.eval()
    standardise_latents(vae, images[:2000])
    # fp16 on disk, as Stable Diffusion's `variant="fp16"` files are
    nn.Module.half(vae).save_pretrained(WEIGHTS / "vae")
    for file in BUILD.glob("latents*.npy"):
        file.unlink()  # another encoder made them
    publish("vae", WEIGHTS / "vae")
