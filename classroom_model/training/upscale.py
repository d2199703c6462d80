"""Stage 7: upscaling ×4. A small UNet that draws the latents of a sharp picture, shown a coarse one of their size."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionUpscalePipeline, UNet2DConditionModel
from PIL import Image
from tqdm.auto import tqdm

from ..world.captions import FINE_PHRASES
from ..world.painter import paint
from ..world.scenes import SIZE
from .base import PICTURES, load_base, load_part, ready_to_train, save_part
from .data import TrainingSet, chances, kept, scene_at
from .diffusion import CAPTION_DROPOUT, draw_noise, encode, velocity_loss
from .loop import BUILD, EVERY, PREVIEW_STEPS, WEIGHTS, Length, train
from .text import TEXT_WIDTH
from .vae import to_tensor

FOLDER, VAE = "unet_upscale", "vae_upscale"
LARGE, LARGE_SIZE, CROPS = 1000, 512, 8  # paintings, their side in pixels, and the 192-pixel crops of each
# StableDiffusionUpscalePipeline insists on this `scaling_factor`, so the latents have a smaller deviation than elsewhere
SCALING_FACTOR = 0.08333
MOST_NOISE = 350  # the highest `noise_level`, as for Stable Diffusion's upscaler
NOISE_POWER = 4  # the higher, the more levels are near the default of 20
PAINTED_SHARE, PHOTO_SHARE = 0.75, 0.5  # of each batch is painted at this size; of that are photos
GENERAL_SHARE = 0.3  # of their captions, and all of the large photos', are quality words only, as for a tile
# Most steps see windows in which there are edges: much of a whole picture is sky, which is learnt at once. Their corners are
# a texture's period apart, so that strokes stand in them as in whole pictures, which every fourth step sees.
WINDOW, CORNERS, WHOLE_EVERY = 24, range(0, 25, 8), 4  # latents


def new_unet() -> UNet2DConditionModel:
    """Without attention but in the middle: the coarse picture says where things are.

    Most of the work is done at full size, where edges are; three sizes of fewer channels cost half as much
    and drew no edge sharper than bicubic scaling does. The second condition is the noise level, embedded like
    the timestep.
    """
    return UNet2DConditionModel(
        sample_size=SIZE // 4,
        in_channels=4 + 3,
        out_channels=4,
        block_out_channels=(72, 80),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
        class_embed_type="timestep",
    )


def low_res_scheduler() -> DDPMScheduler:
    """What roughens the coarse picture; the settings of Stable Diffusion's upscaler."""
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2")


def coarse(images: np.ndarray) -> np.ndarray:
    """``images`` at a quarter of their size, each pixel the mean of sixteen."""
    size = images.shape[1] // 4
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images])


def _crops(index: int) -> np.ndarray:
    """Parts of training scene ``index`` painted large, as a clean photo."""
    rng = np.random.default_rng([11, index])
    image = paint(replace(scene_at(index), style="photo", flaws=(), palette=""), LARGE_SIZE).image
    corners = rng.integers(0, LARGE_SIZE - SIZE + 1, (CROPS, 2))
    return np.stack([image[y : y + SIZE, x : x + SIZE] for y, x in corners])


def load_crops(folder: Path, workers: int | None = None) -> np.ndarray:
    """Crops of large photos, (n, 192, 192, 3) uint8; kept in ``folder``."""

    def cut() -> np.ndarray:
        with ProcessPoolExecutor(workers) as pool:
            parts = list(tqdm(pool.map(_crops, range(LARGE), chunksize=10), total=LARGE, desc="large photos"))
        return np.concatenate(parts)

    return kept(folder / "crops.npy", LARGE * CROPS, cut)


def edges_in_windows(small: np.ndarray) -> np.ndarray:
    """How much there is to draw in each window of the coarse pictures: (n, windows), rows of sum 1."""
    grey = small.mean(-1, dtype=np.float32)
    steps = np.abs(np.diff(grey, axis=1))[:, :, :-1] + np.abs(np.diff(grey, axis=2))[:, :-1]
    found = [steps[:, y : y + WINDOW, x : x + WINDOW].mean((1, 2)) + 1e-3 for y, x in product(CORNERS, CORNERS)]
    return np.stack(found, 1) / np.sum(found, 0)[:, None]


def windows(images: torch.Tensor, at: np.ndarray) -> torch.Tensor:
    """Of each image (n, channels, h, w) the window whose upper left corner ``at`` names, (n, 2) rows and columns."""
    return torch.stack([one[:, y : y + WINDOW, x : x + WINDOW] for one, (y, x) in zip(images, at, strict=True)])


def train_upscale(
    until: Length, batch: int, lr: float, device_name: str, compiled: bool = False, every: int = EVERY
) -> None:
    """Train on pictures and their coarse versions, and on crops of larger photos; save it as ``unet_upscale``.

    From the crops, the more detailed the likelier, the model learns to upscale a picture tile by tile. ``batch`` counts
    windows of a quarter of a picture.
    """
    base = load_base(device_name)
    vae = AutoencoderKL.from_pretrained(WEIGHTS / VAE, torch_dtype=torch.float32, scaling_factor=SCALING_FACTOR)
    vae.requires_grad_(False).to(base.device, memory_format=torch.channels_last).eval()
    torch.manual_seed(0)
    device, noiser, roughener = base.device, base.noiser, low_res_scheduler()
    painted, crops = TrainingSet(BUILD, PICTURES), load_crops(BUILD)
    clean_ones = [i for i, scene in enumerate(painted.scenes) if not scene.flaws]
    likely = chances([painted.scenes[i] for i in clean_ones], PHOTO_SHARE)
    detail = crops.std((1, 2, 3), dtype=np.float32)
    shards = [*painted.shards, crops]

    def encode_all() -> np.ndarray:
        return np.concatenate([encode(vae, shard).cpu() for shard in shards])

    count = len(painted) + len(crops)
    latents = torch.from_numpy(kept(BUILD / "latents-fine.npy", count, encode_all)).to(device)
    small = np.concatenate([coarse(shard) for shard in shards])
    until_window = np.cumsum(edges_in_windows(small), 1)
    corners = np.array(list(product(CORNERS, CORNERS)))
    reading = np.random.default_rng(6)
    texts = [
        texts[0] if reading.random() > GENERAL_SHARE else str(reading.choice(FINE_PHRASES))
        for texts in painted.captions
    ] + [str(reading.choice(FINE_PHRASES)) for _ in crops]
    tokens, no_caption = base.tokenize(texts).short(), base.tokenize([""])
    unet = ready_to_train(load_part(UNet2DConditionModel, FOLDER) or new_unet(), device)
    quick_unet = torch.compile(unet) if compiled else unet  # the same weights

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([6, step])
        whole = step % WHOLE_EVERY == 0  # as many latents, in fewer pictures
        n = max(1, batch * WINDOW**2 // small.shape[1] ** 2) if whole else batch
        own = rng.choice(clean_ones, int(n * PAINTED_SHARE), p=likely)
        parts = rng.choice(len(crops), n - len(own), p=detail / detail.sum())
        picks = np.concatenate([own, len(painted) + parts])
        fine, shown = latents[picks].float(), to_tensor(small[picks], device)
        if not whole:
            at = corners[(until_window[picks] < rng.random((n, 1))).sum(1).clip(max=len(corners) - 1)]
            fine, shown = windows(fine, at), windows(shown, at)
        clean, noise, timesteps = draw_noise(rng, fine)
        levels = torch.from_numpy(np.round(MOST_NOISE * rng.random(n) ** NOISE_POWER).astype(np.int64)).to(device)
        read = tokens[picks].long()
        read[torch.from_numpy(rng.random(n) < CAPTION_DROPOUT)] = no_caption
        rough = roughener.add_noise(shown, torch.randn_like(shown), levels)
        noisy = torch.cat([noiser.add_noise(clean, noise, timesteps), rough], 1)
        predicted = quick_unet(noisy, timesteps, base.embed(read), class_labels=levels).sample
        return velocity_loss(noiser, predicted, clean, noise, timesteps)

    def sample(path: Path) -> None:
        parts = {"unet": unet, "vae": vae, "low_res_scheduler": roughener}
        pipe = base.pipeline(StableDiffusionUpscalePipeline, **parts)
        sharp = np.concatenate([np.stack([paint(scene_at(i, "held-out")).image for i in range(6)]), crops[:6]])
        small = [Image.fromarray(image) for image in coarse(sharp)]
        made = pipe(
            ["high quality, detailed, sharp"] * len(small),
            image=small,
            num_inference_steps=PREVIEW_STEPS,
            guidance_scale=1.5,
            generator=[torch.Generator().manual_seed(0) for _ in small],
        ).images
        soft = [image.resize((SIZE, SIZE), Image.Resampling.BICUBIC) for image in small]
        Image.fromarray(np.vstack([np.hstack([np.asarray(i) for i in row]) for row in (soft, made, sharp)])).save(path)

    def save() -> None:
        save_part(unet, FOLDER)
        roughener.save_pretrained(WEIGHTS / "low_res_scheduler")

    options = {"save": save, "sample": sample, "every": every}
    train("upscale", unet, loss_at, until=until, batch=batch, lr=lr, device=device, **options)
