"""Upscale pictures that are larger than the upscaler's own size."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..common.settings import RULES, checked, number
from .images import load_image

if TYPE_CHECKING:
    from diffusers import StableDiffusionUpscalePipeline


def upscale_tiles(
    pipe: StableDiffusionUpscalePipeline,
    prompt: str,
    image,
    *,
    overlap: int | None = None,
    seed: int = 0,
    batch_size: int = 4,
    **options,
) -> Image.Image:
    """Upscale ``image`` tile by tile and blend the tiles where they overlap, so that no seam shows.

    Every tile starts from its own part of one large field of noise. Two tiles therefore begin alike where
    they overlap, and what they draw there fits together.

    Args:
        pipe: the pipeline that ``load_pipeline("upscale")`` gives.
        prompt: what every tile is to be: words that fit all of the picture, such as "high quality, sharp".
        image: anything :func:`~img2img_helpers.load_image` takes, of any size. It is cut into squares of
            the pipeline's native size, ``pipe.unet.config.sample_size`` pixels; a smaller image is padded
            with its edge pixels, and the padding cut off again.
        overlap: pixels of ``image`` that neighbouring tiles share at least, from 0 to half a tile; None is a quarter.
        seed: of the field of noise; the noise of ``noise_level``, alike in all tiles, has the next one.
        batch_size: tiles in one call; less takes less memory.
        **options: go to every call of ``pipe``, for example ``num_inference_steps``, ``guidance_scale``,
            ``negative_prompt`` and ``noise_level``.

    Returns:
        An image as many times as large as ``pipe`` makes it, 4 for all the course's upscalers.

    Raises:
        ValueError: if ``overlap`` or ``batch_size`` is out of range, or an option does not fit a picture made of tiles.

    Example:
        >>> upscaler = load_pipeline("upscale", "classroom", device="cpu")
        the classroom model for upscale, float32 on cpu.
        >>> small = example_image("cottage").resize((64, 64))
        >>> upscale_tiles(upscaler, "high quality, sharp", small, num_inference_steps=2).size
        (256, 256)
    """
    import torch

    options = _options_for_tiles(pipe, prompt, options)
    negative = options.pop("negative_prompt", None)
    image, tile = load_image(image), pipe.unet.config.sample_size
    overlap = tile // 4 if overlap is None else overlap
    overlap = number("overlap", overlap, 0, tile // 2, f"half of a tile's {tile} pixels is the most", whole=True)
    batch_size, seed = number("batch_size", batch_size, 1, advice="try 4", whole=True), checked("seed", seed)
    pixels = np.asarray(image)
    margins = [(0, max(0, tile - side)) for side in pixels.shape[:2]]
    pixels = np.pad(pixels, [*margins, (0, 0)], mode="edge")
    height, width = pixels.shape[:2]
    corners = [(y, x) for y in _starts(height, tile, overlap) for x in _starts(width, tile, overlap)]
    shape = (1, pipe.vae.config.latent_channels, height, width)
    field = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(pipe.device, pipe.unet.dtype)
    scale = pipe.vae_scale_factor  # the coarse picture is as large as the latents
    ramp = np.minimum(np.arange(tile * scale) + 1, max(1, overlap * scale)) / max(1, overlap * scale)
    ramp = np.minimum(ramp, ramp[::-1])
    weight = (ramp[:, None] * ramp)[..., None]
    total, blend = np.zeros((height * scale, width * scale, 3)), np.zeros((height * scale, width * scale, 1))
    for i in range(0, len(corners), batch_size):
        part = corners[i : i + batch_size]
        made = pipe(
            prompt=[prompt] * len(part),
            negative_prompt=None if negative is None else [negative] * len(part),
            image=[Image.fromarray(pixels[y : y + tile, x : x + tile]) for y, x in part],
            latents=torch.cat([field[..., y : y + tile, x : x + tile] for y, x in part]),
            generator=[torch.Generator().manual_seed(seed + 1) for _ in part],  # roughens the coarse picture
            output_type="np",
            **options,
        ).images
        for (y, x), one in zip(part, made, strict=True):
            where = np.s_[y * scale : (y + tile) * scale, x * scale : (x + tile) * scale]
            total[where] += one * weight
            blend[where] += weight
    out = Image.fromarray(np.round(total / blend * 255).astype(np.uint8))
    return out.crop((0, 0, image.width * scale, image.height * scale))


def _options_for_tiles(pipe, prompt, options: dict) -> dict:
    """``options``, refused where ``pipe`` has no such, or where they do not fit a picture made of tiles."""
    takes = inspect.signature(type(pipe).__call__).parameters if callable(pipe) else {}
    if "noise_level" not in takes:
        raise ValueError(
            f"upscale_tiles needs an upscaling pipeline, not {type(pipe).__name__}; load_pipeline('upscale') gives one."
        )
    if unknown := sorted(set(options) - set(takes)):
        raise ValueError(f"{type(pipe).__name__} has no option {', '.join(map(repr, unknown))}; leave it out.")
    if not isinstance(prompt, str) or not isinstance(options.get("negative_prompt") or "", str):
        raise ValueError("upscale_tiles takes one prompt and one negative prompt, each a text, for all tiles.")
    if options.get("num_images_per_prompt") not in (None, 1):
        raise ValueError("upscale_tiles makes one picture; for another, call it again with another seed.")
    if taken := {"image", "latents", "generator", "output_type"} & set(options):
        raise ValueError(f"upscale_tiles sets {', '.join(sorted(taken))} itself, for each tile; leave it out.")
    options = options | {name: checked(name, options[name]) for name in RULES if name in options}
    if "noise_level" in options:
        most = pipe.config.max_noise_level
        options["noise_level"] = number("noise_level", options["noise_level"], 0, most, "20 is usual", whole=True)
    return options


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along a side: evenly spread, so that neighbours share ``overlap`` pixels or more."""
    count = 1 + -(-(side - tile) // max(1, tile - overlap))
    return [round(i * (side - tile) / max(1, count - 1)) for i in range(count)]
