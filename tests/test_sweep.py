"""Sweeps and grids give the images of one call each."""

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from img2img_helpers import edit_grid, strength_sweep
from img2img_helpers.lessons import sweep

STRENGTHS = [0.3, 1.0, 0.55, 0.55, 0.1]
SCHEDULERS = [
    *sweep.SINGLE_STEP,
    *("PNDMScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "HeunDiscreteScheduler"),
]


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8))


@pytest.fixture
def pipe(classroom_pipe):
    before = classroom_pipe.scheduler
    yield classroom_pipe
    classroom_pipe.scheduler = before


def _one_call(pipe, image, prompt="a lake", strength=0.5, guidance_scale=7.5, seed=0, steps=10, negative_prompt=""):
    return pipe(
        prompt,
        image=image,
        strength=strength,
        guidance_scale=guidance_scale,
        negative_prompt=negative_prompt,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(seed),
    ).images[0]


def _apart(one, other):
    return np.abs(np.asarray(one, int) - np.asarray(other, int)).mean()


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("max_batch", [None, 2])
def test_a_sweep_is_one_call_each(pipe, image, name, max_batch):
    pipe.scheduler = getattr(diffusers, name).from_config(pipe.scheduler.config)
    options = {"seed": 3, "num_inference_steps": 10, "negative_prompt": "blurry", "max_batch": max_batch}
    made = strength_sweep(pipe, "a lake", image, STRENGTHS, **options)
    for strength, one in zip(STRENGTHS, made, strict=True):
        alone = _one_call(pipe, image, strength=strength, seed=3, negative_prompt="blurry")
        assert one.size == alone.size
        assert _apart(one, alone) < 0.5, strength
    assert _apart(made[0], made[1]) > 2


def test_a_single_value_is_a_list_of_one(pipe, image):
    assert len(strength_sweep(pipe, "a lake", image, 0.5, num_inference_steps=2)) == 1
    assert len(dict(edit_grid(pipe, image, "a lake", 0.5, 3, 1, num_inference_steps=2))) == 1


def test_without_guidance(pipe, image):
    made = strength_sweep(pipe, "a lake", image, [0.5, 0.8], num_inference_steps=10, guidance_scale=1)
    for strength, one in zip([0.5, 0.8], made, strict=True):
        assert _apart(one, _one_call(pipe, image, strength=strength, guidance_scale=1)) < 0.5


def test_a_grid_is_every_combination_and_streams(pipe, image):
    found = edit_grid(
        pipe, image, ["a lake", "pine trees"], [0.2, 0.8], [1.0, 7.5], [0, 5], num_inference_steps=10, max_batch=3
    )
    first = next(found)
    assert first[0].strength == 0.8
    made = dict([first, *found])
    assert len(made) == 16
    for edit, one in list(made.items())[::3]:
        alone = _one_call(pipe, image, edit.prompt, edit.strength, edit.guidance_scale, edit.seed)
        assert _apart(one, alone) < 0.5, edit


@pytest.mark.parametrize("max_batch", [1, 3])
def test_the_batch_stays_within_its_bound(pipe, image, max_batch, monkeypatch):
    sizes, forward = [], pipe.unet.forward

    def counted(sample, *args, **options):
        sizes.append(len(sample))
        return forward(sample, *args, **options)

    monkeypatch.setattr(pipe.unet, "forward", counted)
    strength_sweep(pipe, "a lake", image, [0.2, 0.4, 0.6, 0.8, 1.0], num_inference_steps=5, max_batch=max_batch)
    assert max(sizes) == 2 * max_batch, "two a picture, for guidance"
    assert sum(sizes) == 2 * (1 + 2 + 3 + 4 + 5)


def test_the_batch_that_fits_grows_with_memory(pipe, monkeypatch):
    import psutil

    pixels = torch.zeros(1, 3, 128, 128)
    counts = []
    for free in (1, 2**30, 2**36):
        monkeypatch.setattr(psutil, "virtual_memory", lambda free=free: type("Memory", (), {"available": free}))
        counts.append(sweep._batch_that_fits(pipe, pixels, guided=True))
        assert counts[-1] <= sweep._batch_that_fits(pipe, pixels, guided=False) <= 2 * counts[-1] + 1
    assert counts[0] == 1 < counts[1] < counts[2] == 32


def test_the_pipeline_is_left_as_it_was(pipe, image):
    before = _one_call(pipe, image)
    scheduler = pipe.scheduler
    strength_sweep(pipe, "a lake", image, [0.3, 0.9], num_inference_steps=4)
    assert pipe.scheduler is scheduler
    assert np.array_equal(_one_call(pipe, image), before)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda p, i: strength_sweep(p, "a lake", i, []), "no strengths; give it a list"),
        (lambda p, i: strength_sweep(p, "a lake", i, [0.5, 0.01]), "leaves 0 steps to run"),
        (lambda p, i: strength_sweep(p, "a lake", i, [1.5]), "strength must be a number from 0 to 1"),
        (
            lambda p, i: strength_sweep(p, "a lake", i, [0.5], max_batch=0),
            "max_batch must be a whole number of at least 1, not 0",
        ),
        (lambda p, i: strength_sweep(p.unet, "a lake", i, [0.5]), "needs a StableDiffusionImg2ImgPipeline, not UNet"),
        (lambda p, i: strength_sweep(p, ["a lake", "a car"], i, [0.5]), "A prompt must be a text"),
        (lambda p, i: edit_grid(p, i, []), "edit_grid got an empty list"),
        (lambda p, i: edit_grid(p, i, "a lake", [0.01]), "leaves 0 steps to run"),
    ],
)
def test_wrong_arguments_get_one_sentence_before_anything_runs(pipe, image, call, told):
    with pytest.raises(ValueError, match=told) as caught:
        call(pipe, image)
    assert "\n" not in str(caught.value)
