"""What ``strength`` and ``num_inference_steps`` really make a pipeline do."""

from __future__ import annotations

import copy
import inspect
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from ..common.settings import checked

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline, SchedulerMixin


class NothingRunsError(ValueError):
    """A strength and a step count that leave no step to run."""


@dataclass(frozen=True)
class StepPlan:
    """What one img2img call runs.

    Attributes:
        strength: as asked for, 0 to 1.
        num_inference_steps: as asked for.
        steps_skipped: how many of them are left out at the noisy end.
        steps_run: how many of them are run.
        unet_calls: how often the UNet is called; second-order schedulers call it nearly twice a
            step. With guidance each call carries a batch of two.
        timesteps: the timestep of each call, from noisy to clean.
        start_timestep: the first of them: how far along the noising path the image is taken.
        signal_kept: what of the image's signal is left at the start, as a factor of its latents
            from 0 to 1: √ᾱ, "sqrt_alpha_prod" in ``scheduler.add_noise``; 1 − σ for flow matching.

    Example:
        >>> plan = plan_steps(pipe, strength=0.3, num_inference_steps=50)
        >>> plan.steps_skipped, plan.steps_run
        (35, 15)
    """

    strength: float
    num_inference_steps: int
    steps_skipped: int
    steps_run: int
    unet_calls: int
    timesteps: tuple[float, ...]
    start_timestep: float
    signal_kept: float

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        calls = f"{self.unet_calls} UNet call{'s' * (self.unet_calls != 1)}"
        return f"StepPlan({shown})" + (f": {calls}, though no step was asked for" if not self.steps_run else "")


def plan_steps(
    pipeline_or_scheduler: DiffusionPipeline | SchedulerMixin, strength: float, num_inference_steps: int
) -> StepPlan:
    """Tell what an img2img call with these settings would run, without running it.

    The pipeline's own ``get_timesteps`` is asked, on a copy of its scheduler, so the answer cannot
    differ from what the call does. A bare scheduler is taken to be in Stable Diffusion 1.5's
    img2img pipeline.

    Args:
        pipeline_or_scheduler: a diffusers img2img pipeline, or a scheduler. Latent consistency pipelines run all
            steps, over a shorter stretch. Those that hand their scheduler sigmas of their own (Flux, Qwen-Image), or
            shift them by the picture's size, are refused.
        strength: 0 to 1.
        num_inference_steps: at least 1.

    Raises:
        ValueError: when a value is out of range, when the scheduler cannot make that many steps, or when the
            pipeline's timesteps depend on more than these settings, or the scheduler keeps how much noise it adds to itself.
        NothingRunsError: a ``ValueError`` for when no step would run (diffusers itself then fails
            with "cannot reshape tensor of 0 elements"); names values that would work.

    Example:
        >>> plan_steps(pipe, strength=0.5, num_inference_steps=30).unet_calls
        15
    """
    strength = checked("strength", strength)
    # how many steps are too many is the scheduler's to say
    num_inference_steps = checked("num_inference_steps", num_inference_steps, high=math.inf, advice="")
    rule = _Rule(pipeline_or_scheduler)
    try:
        timesteps, steps_run = rule.what_runs(strength, num_inference_steps)
    except ValueError as error:  # more steps than this scheduler can make
        most = rule.most_steps(strength, num_inference_steps)
        if most is None:
            raise
        raise ValueError(
            f"{type(rule.scheduler).__name__} cannot make {num_inference_steps} steps; "
            f"use num_inference_steps {most} or fewer."
        ) from error
    if len(timesteps) == 0:
        raise NothingRunsError(
            f"strength {strength:g} with num_inference_steps {num_inference_steps} leaves 0 steps to run, "
            f"which diffusers cannot do; use {rule.what_would_run(strength, num_inference_steps)}."
        )
    timesteps = tuple(t.item() for t in timesteps)
    return StepPlan(
        strength=strength,
        num_inference_steps=num_inference_steps,
        steps_skipped=num_inference_steps - int(steps_run),
        steps_run=int(steps_run),
        unet_calls=len(timesteps),
        timesteps=timesteps,
        start_timestep=timesteps[0],
        signal_kept=signal_at(rule.scheduler, timesteps[0]),
    )


class _Rule:
    """How a pipeline, for a bare scheduler Stable Diffusion 1.5's, chooses what to run; asked on a copy of the scheduler."""

    def __init__(self, source: DiffusionPipeline | SchedulerMixin) -> None:
        from diffusers import StableDiffusionImg2ImgPipeline

        is_pipeline = hasattr(source, "scheduler")
        self.scheduler = copy.deepcopy(source.scheduler if is_pipeline else source)
        if not hasattr(self.scheduler, "set_timesteps"):
            raise ValueError(f"plan_steps needs a diffusers pipeline or scheduler, not {type(source).__name__}.")
        call = type(source).__call__ if is_pipeline and callable(source) else None
        has_table = hasattr(self.scheduler, "alphas_cumprod")
        own_sigmas = call is not None and not has_table and "linspace" in inspect.getsource(call)
        if own_sigmas or self.scheduler.config.get("use_dynamic_shifting"):
            raise ValueError(
                f"{type(source).__name__} takes its timesteps from more than strength and steps, such as the picture's "
                f"size, so plan_steps cannot tell them; count them in a callback_on_step_end."
            )
        if not has_table and not _is_flow(self.scheduler):
            raise ValueError(
                f"{type(self.scheduler).__name__} does not tell how much noise it adds, so plan_steps cannot say what is left of "
                f"the picture; use another scheduler, such as DDIMScheduler."
            )
        # latent consistency: the scheduler itself is told the strength
        self.is_consistency = call is not None and "original_inference_steps" in inspect.signature(call).parameters
        self.get_timesteps = getattr(type(source), "get_timesteps", StableDiffusionImg2ImgPipeline.get_timesteps)

    def what_runs(self, strength: float, steps: int) -> tuple[torch.Tensor, int]:
        """The timestep of each call, and how many steps they are; a ``ValueError`` for too many steps."""
        from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_timesteps

        options = {"original_inference_steps": None, "strength": strength} if self.is_consistency else {}
        timesteps, count = retrieve_timesteps(self.scheduler, steps, "cpu", **options)
        if self.is_consistency:
            return timesteps, count
        return self.get_timesteps(SimpleNamespace(scheduler=self.scheduler), steps, strength, "cpu")

    def runs(self, strength: float, steps: int) -> bool:
        try:
            timesteps, steps_run = self.what_runs(strength, steps)
        except ValueError:
            return False
        return len(timesteps) > 0 and steps_run > 0

    def most_steps(self, strength: float, steps: int) -> int | None:
        """The largest number up to ``steps`` that the scheduler can make; None if there is none."""
        strength = strength if self.is_consistency else 1.0
        most = min(steps, self.scheduler.config.num_train_timesteps)
        return next((n for n in range(most, 0, -1) if self.runs(strength, n)), None)

    def what_would_run(self, strength: float, steps: int) -> str:
        """The least strength, and if there is one the least number of steps, with which something runs."""
        advice = f"strength {next(s / 100 for s in range(1, 101) if self.runs(s / 100, steps)):g} or more"
        more = range(steps + 1, self.scheduler.config.num_train_timesteps + 1)
        enough = next((n for n in more if self.runs(strength, n)), None) if strength > 0 else None
        return advice + (f", or num_inference_steps {enough} or more" if enough else "")


def _is_flow(scheduler: SchedulerMixin) -> bool:
    """Whether ``scheduler`` mixes picture and noise in straight lines, as for flow matching."""
    own = not hasattr(scheduler, "alphas_cumprod") and hasattr(scheduler, "scale_noise")
    return own or bool(scheduler.config.get("use_flow_sigmas"))


def signal_at(scheduler: SchedulerMixin, timestep: float) -> float:
    """√ᾱ at a timestep, between two whole ones interpolated; 1 − t/T for flow matching."""
    if _is_flow(scheduler):
        return 1 - timestep / scheduler.config.num_train_timesteps
    # add_noise leaves the table on the GPU that it worked on
    kept = scheduler.alphas_cumprod.float().cpu().sqrt().numpy()
    return float(np.interp(timestep, np.arange(len(kept)), kept))
