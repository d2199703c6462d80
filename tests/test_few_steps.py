"""How the adapter for drawing in few steps is made from the base model."""

import numpy as np
import pytest
import torch
from diffusers import LCMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

from classroom_model.training import base, data, few_steps, loop


@pytest.fixture(scope="module")
def way(parts):
    return few_steps.Way(few_steps.lcm_scheduler(parts), parts.device)


def _latents(count=2):
    return torch.randn(2, count, 4, 24, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8, 25])
def test_the_scheduler_stops_where_the_adapter_was_trained(parts, way, steps):
    scheduler = few_steps.lcm_scheduler(parts)
    scheduler.set_timesteps(steps)
    trained = set(way.timesteps.tolist())
    assert set(scheduler.timesteps.tolist()) <= trained
    pipe = parts.pipeline(StableDiffusionImg2ImgPipeline, scheduler=scheduler)
    for strength in (0.3, 0.5, 0.8):
        assert set(pipe.get_timesteps(steps, strength, parts.device)[0].tolist()) <= trained
    assert len(trained) == 50
    assert max(trained) == 999


def test_at_the_end_of_the_way_latents_stay_what_they_are(way):
    noisy, velocity = _latents()
    assert torch.equal(way.end(noisy, velocity, torch.zeros(2, dtype=torch.long)), noisy)


def test_the_consistency_function_is_the_schedulers(parts, way):
    scheduler = few_steps.lcm_scheduler(parts)
    scheduler.set_timesteps(4)
    noisy, velocity = _latents()
    for timestep in scheduler.timesteps:
        expected = scheduler.step(velocity, timestep, noisy).denoised
        assert torch.allclose(way.end(noisy, velocity, timestep.expand(2)), expected, atol=1e-5)


def test_a_true_velocity_leads_along_the_way(parts, way):
    clean, noise = _latents(len(way.timesteps))
    noisy = way.noisy(clean, noise, way.timesteps)
    velocity = parts.noiser.get_velocity(clean, noise, way.timesteps)
    assert torch.allclose(noisy, parts.noiser.add_noise(clean, noise, way.timesteps), atol=1e-5)
    before = torch.cat([torch.zeros(1, dtype=torch.long), way.timesteps[:-1]])
    nearer = way.step(noisy, velocity, way.timesteps, before)
    assert torch.allclose(nearer, way.noisy(clean, noise, before), atol=1e-5)
    assert torch.allclose(way.end(noisy, velocity, way.timesteps), clean, atol=1e-3)


def test_the_way_is_followed_to_its_end_in_few_steps(parts, way):
    """With the true velocity from everywhere to the same end, asked at timesteps that fall, and no more often than needed."""
    count = len(way.timesteps)
    clean, noise = _latents(count)
    asked = [[] for _ in range(count)]

    def true(latents, timesteps, which):
        assert torch.allclose(latents, way.noisy(clean[which], noise[which], timesteps), atol=1e-4)
        for number, timestep in zip(which.tolist(), timesteps.tolist(), strict=True):
            asked[number].append(timestep)
        return parts.noiser.get_velocity(clean[which], noise[which], timesteps)

    spots = torch.arange(count)
    end = way.follow(way.noisy(clean, noise, way.timesteps), spots, true)
    assert torch.allclose(end, way.noisy(clean, noise, torch.zeros(count, dtype=torch.long)), atol=1e-4)
    for number, timesteps in enumerate(asked):
        assert timesteps[0] == way.timesteps[number]
        assert timesteps == sorted(timesteps, reverse=True)
        assert len(timesteps) == number // few_steps.STRIDE + 1


def test_an_untrained_adapter_changes_nothing_and_alone_learns(parts, monkeypatch, tmp_path):
    monkeypatch.setattr(few_steps, "WEIGHTS", tmp_path)
    student = few_steps.with_adapter(parts.unet)
    noisy, hidden = _latents()[0], parts.embed(parts.tokenize(["a red car", ""]))
    with torch.no_grad():
        one, other = (net(noisy, torch.tensor([19, 999]), hidden).sample for net in (parts.unet, student))
    assert torch.equal(one, other)
    learning = {name for name, parameter in student.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in student.named_parameters() if "lora_" in name}
    for layer in few_steps.LAYERS:
        assert any(f".{layer}.lora_A" in name for name in learning), layer


def test_the_student_learns_from_two_places_on_each_way(workshop, monkeypatch):
    """Where it starts, and one that the base model comes by: nothing more need be computed for that."""
    data.paint_training_set(workshop / "build", 8, 1)
    passed, learnt_from = [], []
    step, end = few_steps.Way.step, few_steps.Way.end

    def seen_step(self, noisy, velocity, start, stop):
        passed.extend(zip(start.tolist(), noisy, strict=True))
        return step(self, noisy, velocity, start, stop)

    def seen_end(self, noisy, velocity, timesteps):
        learnt_from.extend(zip(timesteps.tolist(), noisy, strict=True))
        return end(self, noisy, velocity, timesteps)

    monkeypatch.setattr(few_steps.Way, "step", seen_step)
    monkeypatch.setattr(few_steps.Way, "end", seen_end)
    monkeypatch.setattr(few_steps, "train", lambda name, student, loss_at, **options: loss_at(0).backward())
    few_steps.train_few_steps(loop.Length(steps=1), batch=4, lr=1.0, device_name="cpu")
    assert len(learnt_from) == 8
    where = [
        [i for i, (t, one) in enumerate(passed) if t == at and torch.equal(one, place)] for at, place in learnt_from
    ]
    assert [found[0] for found in where[:4]] == [0, 1, 2, 3], "the starts"
    later = [found[0] for found in where[4:]]
    assert min(later) >= 4
    assert len(set(later)) == 4


def test_the_stage_trains_on_a_handful_of_pictures(workshop):
    data.paint_training_set(workshop / "build", 8, 1)
    few_steps.train_few_steps(loop.Length(steps=2), batch=2, lr=1.0, device_name="cpu")
    file = workshop / "weights" / few_steps.FOLDER / few_steps.FILE
    weights = load_file(file)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert file.stat().st_size <= 3_000_000
    assert all(tensor.any() for tensor in weights.values()), "every layer has learnt"
    assert list((workshop / "build" / "few_steps").glob("samples-*.png"))
    assert not (workshop / "build" / "few_steps" / "state.pt").exists(), "a finished stage starts anew the next time"

    parts = base.load_base("cpu")
    noisy, hidden = _latents()[0], parts.embed(parts.tokenize(["a red car", ""]))
    with torch.no_grad():
        trained = few_steps.with_adapter(parts.unet)(noisy, torch.tensor([19, 999]), hidden).sample
    settings = {"num_inference_steps": 4, "guidance_scale": 1.0, "output_type": "np"}
    picture = Image.fromarray(np.full((192, 192, 3), 128, np.uint8))
    drawn = []
    for adapted in (False, True):
        pipe = parts.pipeline(StableDiffusionPipeline)
        if adapted:
            pipe.load_lora_weights(file.parent)
            with torch.no_grad():
                assert torch.allclose(trained, pipe.unet(noisy, torch.tensor([19, 999]), hidden).sample, atol=1e-5)
        pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
        edit = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
        edit.set_progress_bar_config(disable=True)
        drawn.append(
            (
                pipe("a red car", generator=torch.Generator().manual_seed(0), **settings).images,
                edit("a red car", picture, 0.5, generator=torch.Generator().manual_seed(0), **settings).images,
            )
        )
    for plain, adapted in zip(*drawn, strict=True):
        assert np.abs(plain - adapted).max() > 0.01

    few_steps.train_few_steps(loop.Length(steps=3), batch=2, lr=1e-6, device_name="cpu")
    again = load_file(file)
    assert weights.keys() == again.keys()
    assert all(torch.allclose(weights[k].float(), again[k].float(), atol=1e-3) for k in weights), (
        "goes on from the first"
    )
