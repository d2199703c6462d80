"""Upscaling tile by tile."""

import itertools

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionUpscalePipeline
from PIL import Image

from img2img_helpers import upscale_tiles
from img2img_helpers.lessons import tiles


@pytest.fixture(scope="module")
def upscaler(sd_folders):
    pipe = StableDiffusionUpscalePipeline.from_pretrained(sd_folders["upscale"], use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("size", [(8, 8), (20, 13), (5, 30)])
def test_any_size_comes_out_as_many_times_as_large(upscaler, size):
    image = Image.new("RGB", size, "teal")
    made = upscale_tiles(upscaler, "sharp", image, overlap=2, num_inference_steps=1, negative_prompt="blurry")
    scale = 2 ** (len(upscaler.vae.config.block_out_channels) - 1)
    assert made.size == (size[0] * scale, size[1] * scale)


def test_one_tile_is_the_pipelines_own_image(upscaler):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8))
    ours = upscale_tiles(upscaler, "sharp", image, seed=3, num_inference_steps=2)
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(4)
    plain = upscaler("sharp", image=image, latents=latents, generator=generator, num_inference_steps=2).images[0]
    assert np.abs(np.asarray(ours).astype(int) - np.asarray(plain)).max() <= 1


def test_the_batch_size_does_not_matter(upscaler):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 19, 3)).astype(np.uint8))
    one, other = (
        np.asarray(upscale_tiles(upscaler, "sharp", image, overlap=4, num_inference_steps=2, batch_size=size))
        for size in (1, 3)
    )
    assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize(
    ("side", "tile", "overlap"), [(32, 32, 8), (33, 32, 8), (128, 32, 8), (100, 32, 0), (97, 8, 4)]
)
def test_tiles_cover_the_side_and_overlap(side, tile, overlap):
    starts = tiles._starts(side, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] == side - tile
    assert all(two - one <= tile - overlap for one, two in itertools.pairwise(starts))


@pytest.mark.parametrize(("arguments", "told"), [({"overlap": 5}, "from 0 to 4"), ({"batch_size": 0}, "at least 1")])
def test_wrong_arguments_get_one_sentence(upscaler, arguments, told):
    with pytest.raises(ValueError, match=told):
        upscale_tiles(upscaler, "sharp", Image.new("RGB", (8, 8)), **arguments)
