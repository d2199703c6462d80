"""`plan_steps` against what the pipeline really runs."""

import copy
import re

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from img2img_helpers import plan_steps
from tests.fuzz import outcome

SCHEDULERS = [
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
]
SD15 = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
STRENGTHS = [0.01, 0.05, 0.1, 0.29, 0.3, 0.5, 0.58, 0.75, 0.8, 0.99, 1.0]
STEPS = [1, 2, 4, 5, 10, 20, 30, 50, 100]


@pytest.fixture(scope="module")
def image():
    return Image.new("RGB", (16, 16), "teal")


def run(pipe, image, strength, steps) -> list[float]:
    """The timestep of each UNet call of one real img2img call, also of one that breaks off."""
    calls = []
    hook = pipe.unet.register_forward_pre_hook(
        lambda _, args, kwargs: calls.append(float(args[1] if len(args) > 1 else kwargs["timestep"])), with_kwargs=True
    )
    try:
        embeds = torch.zeros(1, 77, pipe.unet.config.cross_attention_dim)
        pipe(
            prompt_embeds=embeds,
            image=image,
            strength=strength,
            num_inference_steps=steps,
            guidance_scale=1.0,
            output_type="latent",
            generator=torch.Generator().manual_seed(0),
        )
    except (RuntimeError, IndexError, ValueError):
        assert not calls  # no timestep was left; some schedulers stumble over that, others return nothing
    finally:
        hook.remove()
    return calls


def with_scheduler(pipe, name):
    options = {"skip_prk_steps": True} if name == "PNDMScheduler" else {}
    cls = getattr(diffusers, name)
    return type(pipe).from_pipe(pipe, scheduler=cls.from_config(pipe.scheduler.config, **options))


@pytest.fixture
def no_noise_found(tiny_pipe, monkeypatch):
    """A UNet that answers nothing, at once: which timesteps it is asked about does not depend on its answer."""
    monkeypatch.setattr(tiny_pipe.unet, "forward", lambda sample, *_, **__: (torch.zeros_like(sample),))


@pytest.mark.usefixtures("no_noise_found")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_plan_is_what_the_pipeline_runs(tiny_pipe, image, name):
    pipe = with_scheduler(tiny_pipe, name)
    pipe.set_progress_bar_config(disable=True)
    compared = refused = 0
    for steps in STEPS:
        for strength in STRENGTHS:
            ran = run(pipe, image, strength, steps)
            if not ran:
                refused += 1
                check_advice(pipe, strength, steps)
                continue
            plan = plan_steps(pipe, strength, steps)
            assert plan.unet_calls == len(ran), (name, strength, steps)
            assert plan.start_timestep == pytest.approx(ran[0], abs=1e-3), (name, strength, steps)
            assert list(plan.timesteps) == pytest.approx(ran, abs=1e-3), (name, strength, steps)
            assert plan.steps_skipped + plan.steps_run == steps
            compared += 1
    assert compared > 40
    assert refused > 5 or name in ("PNDMScheduler", "DPMSolverSinglestepScheduler")


def check_advice(pipe, strength, steps):
    """Nothing would run: the error says so, and the values that it names really work."""
    with pytest.raises(ValueError, match=r"leaves 0 steps|cannot make") as caught:
        plan_steps(pipe, strength, steps)
    message = str(caught.value)
    is_lcm = "original_inference_steps" in pipe.scheduler.config  # also TCD's
    if "cannot make" in message:
        assert is_lcm
        assert steps == 100
        enough_steps = re.search(r"num_inference_steps (\d+) or fewer", message)
        assert plan_steps(pipe, 1.0, int(enough_steps[1])).steps_run >= 1
        return
    enough_strength = float(re.search(r"use strength ([\d.]+) or more", message)[1])
    assert plan_steps(pipe, enough_strength, steps).steps_run >= 1
    if enough_strength > 0.01:
        with pytest.raises(ValueError, match="leaves 0 steps"):
            plan_steps(pipe, enough_strength - 0.01, steps)
    enough_steps = re.search(r"num_inference_steps (\d+) or more", message)
    if is_lcm and strength <= 0.01:
        assert not enough_steps, "it makes at most 50 steps, and a hundredth of them is none"
    else:
        assert plan_steps(pipe, strength, int(enough_steps[1])).steps_run >= 1


@pytest.mark.parametrize("steps", [1, 3, 7, 30, 100])
def test_strength_zero_is_refused_with_a_strength_that_works(tiny_pipe, steps):
    with pytest.raises(ValueError, match="0 steps") as caught:
        plan_steps(tiny_pipe, 0.0, steps)
    assert "num_inference_steps" not in str(caught.value).split(";")[1]
    enough = float(re.search(r"use strength ([\d.]+) or more", str(caught.value))[1])
    assert plan_steps(tiny_pipe, enough, steps).steps_run >= 1


def test_facts_taught_in_lesson_3(tiny_pipe):
    def plan(name, strength, steps):
        return plan_steps(with_scheduler(tiny_pipe, name), strength, steps)

    assert plan("DDIMScheduler", 0.58, 50).steps_run == 28
    assert plan("DDIMScheduler", 0.29, 100).steps_run == 28
    assert plan("EulerDiscreteScheduler", 0.5, 30).unet_calls == 15
    assert plan("PNDMScheduler", 0.5, 30).unet_calls == 16
    assert plan("HeunDiscreteScheduler", 0.5, 30).unet_calls == 29
    assert [plan("DDIMScheduler", 0.5, n).start_timestep for n in (50, 20, 10, 5)] == [481, 451, 401, 201]
    # √ᾱ of Stable Diffusion 1.5's schedule at strength 1 (diffusers #6957)
    assert plan("DDIMScheduler", 1.0, 50).signal_kept == pytest.approx(0.076, abs=1e-3)


def test_a_plan_says_so_when_a_call_runs_though_no_step_was_asked_for(tiny_pipe):
    """PNDM begins with an extra step, which it also takes at strength 0; lesson 2 tells it."""
    plan = plan_steps(with_scheduler(tiny_pipe, "PNDMScheduler"), 0, 30)
    assert (plan.steps_run, plan.unet_calls) == (0, 1)
    assert str(plan).endswith("): 1 UNet call, though no step was asked for")
    usual = plan_steps(tiny_pipe, 0.1, 30)
    shown = "timesteps=(67, 34, 1), start_timestep=67, signal_kept="
    assert str(usual).startswith(
        f"StepPlan(strength=0.1, num_inference_steps=30, steps_skipped=27, steps_run=3, unet_calls=3, {shown}"
    )
    assert str(usual).endswith(")")


def test_a_bare_scheduler_and_a_pipeline_agree_and_stay_as_they_were(tiny_pipe):
    tiny_pipe.scheduler.set_timesteps(7)
    before = tiny_pipe.scheduler.timesteps.tolist()
    assert plan_steps(tiny_pipe, 0.6, 30) == plan_steps(tiny_pipe.scheduler, 0.6, 30)
    assert tiny_pipe.scheduler.timesteps.tolist() == before


def test_other_pipelines_have_their_own_rule():
    """Stable Diffusion 3 rounds the number of skipped steps down, not that of run steps."""
    from types import SimpleNamespace

    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = object.__new__(diffusers.StableDiffusion3Img2ImgPipeline)
    pipe.__dict__["scheduler"] = scheduler
    plan = plan_steps(pipe, 0.29, 10)
    scheduler.set_timesteps(10)
    theirs, _ = diffusers.StableDiffusion3Img2ImgPipeline.get_timesteps(
        SimpleNamespace(scheduler=scheduler), 10, 0.29, "cpu"
    )
    assert plan.timesteps == tuple(theirs.tolist())
    assert plan.steps_run == 3 == len(theirs)
    assert plan.signal_kept == pytest.approx(1 - theirs[0].item() / 1000)


def test_numpy_numbers_and_a_scheduler_that_was_on_a_gpu(tiny_pipe):
    """After an edit on a GPU, `alphas_cumprod` stays there, and `.numpy()` refuses such a tensor."""

    class OnGpu:
        def __init__(self, table):
            self.table = table

        def float(self):
            return self

        def cpu(self):
            return self.table

        def __deepcopy__(self, memo):
            return self

    plan = plan_steps(tiny_pipe, np.float32(0.5), np.int64(30))
    assert plan == plan_steps(tiny_pipe, torch.tensor(0.5), np.array(30))
    scheduler = copy.deepcopy(tiny_pipe.scheduler)
    scheduler.alphas_cumprod = OnGpu(scheduler.alphas_cumprod)
    assert plan_steps(scheduler, 0.5, 30) == plan


@pytest.mark.parametrize(
    ("strength", "steps", "told"),
    [
        (-0.1, 30, "from 0 to 1"),
        (1.2, 30, "from 0 to 1"),
        ("0.5", 30, "from 0 to 1"),
        (float("nan"), 30, "from 0 to 1"),
        (0.5, 0, "at least 1"),
        (0.5, 2.5, "whole number"),
        (True, 30, "from 0 to 1"),
        (0.5, True, "whole number"),
    ],
)
def test_wrong_values_get_one_sentence(tiny_pipe, strength, steps, told):
    with pytest.raises(ValueError, match=told) as caught:
        plan_steps(tiny_pipe, strength, steps)
    assert "\n" not in str(caught.value)


@given(st.floats(allow_nan=True) | st.floats(0, 1), st.integers(-3, 1200))
@settings(max_examples=200, deadline=None)
def test_any_numbers_get_a_plan_or_one_sentence(tiny_pipe, strength, steps):
    plan, told = outcome(plan_steps, tiny_pipe, strength, steps)
    assert "\n" not in told
    if not told:
        assert plan.steps_run + plan.steps_skipped == steps
        assert plan.steps_run == min(int(steps * strength), steps) == len(plan.timesteps) == plan.unet_calls


def test_something_else_than_a_pipeline():
    with pytest.raises(ValueError, match="needs a diffusers pipeline or scheduler, not dict"):
        plan_steps({}, 0.5, 30)


def bare(cls, scheduler):
    """A pipeline of class ``cls`` that has a scheduler and nothing else."""
    pipe = object.__new__(cls)
    pipe.__dict__["scheduler"] = scheduler
    return pipe


def test_a_latent_consistency_pipeline_runs_every_step_over_a_shorter_stretch():
    pipe = bare(diffusers.LatentConsistencyModelImg2ImgPipeline, diffusers.LCMScheduler(**SD15))
    plan = plan_steps(pipe, 0.5, 4)
    assert plan.timesteps == (499, 379, 259, 139)
    assert (plan.steps_run, plan.steps_skipped, plan.unet_calls) == (4, 0, 4)
    with pytest.raises(ValueError, match="LCMScheduler cannot make 40 steps; use num_inference_steps 25 or fewer"):
        plan_steps(pipe, 0.5, 40)


@pytest.mark.parametrize("strength", [0.3, 0.5, 0.9])
def test_a_scheduler_may_match_flows_beside_its_table_of_noise(strength):
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    plan = plan_steps(scheduler, strength, 20)
    scheduler.set_timesteps(20)
    timestep = scheduler.timesteps[plan.steps_skipped : plan.steps_skipped + 1]
    kept = scheduler.add_noise(torch.ones(1), torch.zeros(1), timestep).item()
    assert plan.signal_kept == pytest.approx(kept, abs=0.002)


@pytest.mark.parametrize(
    "name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler", "CMStochasticIterativeScheduler"]
)
def test_a_scheduler_that_does_not_tell_its_noise_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} does not tell how much noise it adds"):
        plan_steps(getattr(diffusers, name)(), 0.5, 20)


def test_what_depends_on_more_than_strength_and_steps_is_refused():
    scheduler, told = diffusers.FlowMatchEulerDiscreteScheduler, "takes its timesteps from more than strength and steps"
    with pytest.raises(ValueError, match=f"FluxImg2ImgPipeline {told}"):
        plan_steps(bare(diffusers.FluxImg2ImgPipeline, scheduler(shift=3.0)), 0.5, 4)
    with pytest.raises(ValueError, match=f"FlowMatchEulerDiscreteScheduler {told}"):
        plan_steps(scheduler(use_dynamic_shifting=True), 0.5, 4)
    assert plan_steps(scheduler(shift=3.0), 0.5, 4).steps_run == 2
