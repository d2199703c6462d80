"""Many edits of one image at once: the same images as one call each, sooner."""

from __future__ import annotations

import copy
import itertools
import numbers
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from .images import load_image
from .memory import free_memory, is_out_of_memory, out_of_memory_told
from .strength import plan_steps

if TYPE_CHECKING:
    import torch
    from diffusers import SchedulerMixin, StableDiffusionImg2ImgPipeline

# Schedulers whose step looks at nothing but the current latents, so that edits may join one by one.
SINGLE_STEP = (
    "DDIMScheduler",
    "DDPMScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "LCMScheduler",
)


@dataclass(frozen=True)
class Edit:
    """The settings of one edit in a grid; ``strength`` from 0 to 1, the others as in the pipeline's call."""

    prompt: str
    strength: float
    guidance_scale: float
    seed: int


def strength_sweep(
    pipe: StableDiffusionImg2ImgPipeline,
    prompt: str,
    image,
    strengths: Sequence[float],
    *,
    seed: int = 0,
    num_inference_steps: int = 30,
    guidance_scale: float = 7.5,
    negative_prompt: str = "",
    max_batch: int | None = None,
) -> list[Image.Image]:
    """Make one edit at many strengths, each from the noise of the same seed.

    The images are those of one call of ``pipe`` for each strength with
    ``generator=torch.Generator().manual_seed(seed)``, to within rounding. They come sooner: prompt and image are
    encoded once, and all strengths go down one path of timesteps together, each joining it where its own begins.
    Schedulers that remember earlier steps (PNDM, DPM-Solver++, UniPC, Heun) share the encoding alone.

    Args:
        pipe: a Stable Diffusion img2img pipeline.
        prompt, negative_prompt: as in the pipeline's call.
        image: anything :func:`~img2img_helpers.load_image` takes, of a size that ``pipe`` takes.
        strengths: 0 to 1 each.
        seed: of the noise.
        num_inference_steps, guidance_scale: as in the pipeline's call.
        max_batch: how many edits to hold in memory at once; chosen from the free memory if None.

    Returns:
        One image for each strength, in their order.

    Raises:
        ValueError: for another kind of pipeline, no strengths, or a value that :func:`plan_steps` refuses.
    """
    edits = [Edit(prompt, strength, guidance_scale, seed) for strength in _as_list(strengths)]
    if not edits:
        raise ValueError("strength_sweep got no strengths; give it a list such as [0.3, 0.5, 0.8].")
    made = dict(run_edits(pipe, image, edits, negative_prompt, num_inference_steps, max_batch))
    return [made[i] for i in range(len(edits))]


def edit_grid(
    pipe: StableDiffusionImg2ImgPipeline,
    image,
    prompts: str | Sequence[str],
    strengths: Sequence[float] = (0.5,),
    guidance_scales: Sequence[float] = (7.5,),
    seeds: Sequence[int] = (0,),
    *,
    num_inference_steps: int = 30,
    negative_prompt: str = "",
    max_batch: int | None = None,
) -> Iterator[tuple[Edit, Image.Image]]:
    """Make every combination of prompts, strengths, guidance scales and seeds, as :func:`strength_sweep` does.

    Args:
        pipe, image, num_inference_steps, negative_prompt, max_batch: as for :func:`strength_sweep`.
        prompts, strengths, guidance_scales, seeds: the values to combine.

    Yields:
        The settings of an edit and its image, as soon as a batch of them is finished; ``dict(edit_grid(…))``
        waits for all. The order is that of how many steps they take, the longest first.

    Raises:
        ValueError: as :func:`strength_sweep`, before anything is run.
    """
    lists = [_as_list(values) for values in (prompts, guidance_scales, seeds, strengths)]
    edits = [
        Edit(prompt, strength, guidance_scale, seed)
        for prompt, guidance_scale, seed, strength in itertools.product(*lists)
    ]
    if not edits:
        raise ValueError("edit_grid got an empty list; give at least one of each: prompt, strength, guidance, seed.")
    found = run_edits(pipe, image, edits, negative_prompt, num_inference_steps, max_batch)
    return ((edits[i], made) for i, made in found)


def run_edits(pipe, image, edits, negative_prompt, num_inference_steps, max_batch) -> Iterator[tuple[int, Image.Image]]:
    """Check everything now; return an iterator over (index of an edit, its image)."""
    if type(pipe).__name__ != "StableDiffusionImg2ImgPipeline":
        raise ValueError(
            f"A sweep needs a StableDiffusionImg2ImgPipeline, not {type(pipe).__name__}; "
            f"load_pipeline('img2img') gives one."
        )
    if not all(isinstance(text, str) for text in (negative_prompt, *(edit.prompt for edit in edits))):
        raise ValueError("A prompt must be a text; edit_grid takes several, in a list.")
    if max_batch is not None and max_batch < 1:
        raise ValueError(f"max_batch is {max_batch}, but must be at least 1; None chooses from the free memory.")
    pixels = pipe.image_processor.preprocess(load_image(image))
    strengths = dict.fromkeys(edit.strength for edit in edits)
    plans = {strength: plan_steps(pipe, strength, num_inference_steps) for strength in strengths}
    skipped = [plans[edit.strength].steps_skipped for edit in edits]
    max_batch = max_batch or _batch_that_fits(pipe, pixels, any(edit.guidance_scale > 1 for edit in edits))
    order = sorted(range(len(edits)), key=skipped.__getitem__)  # neighbours share most of their path
    return _batches(pipe, pixels, edits, skipped, order, negative_prompt, num_inference_steps, max_batch)


def _batches(pipe, pixels, edits, skipped, order, negative_prompt, num_inference_steps, max_batch):
    import torch
    from tqdm.auto import tqdm

    height, width = pixels.shape[-2:]
    total = sum(num_inference_steps - skip for skip in skipped)
    with (
        out_of_memory_told(pipe, width, height),
        tqdm(total=total, desc="edits", unit="step", disable=_wants_no_bar(pipe)) as bar,
    ):
        device, dtype = pipe._execution_device, pipe.unet.dtype
        with torch.no_grad():
            encoded = pipe.vae.encode(pixels.to(device, dtype)).latent_dist
            words = {
                text: pipe.encode_prompt(text, device, 1, False)[0]
                for text in dict.fromkeys([*(edit.prompt for edit in edits), negative_prompt])
            }
        together = type(pipe.scheduler).__name__ in SINGLE_STEP and pipe.unet.config.time_cond_proj_dim is None
        max_batch = max_batch if together else 1
        while order:
            part, done = order[:max_batch], bar.n
            starts = [_Start(pipe, encoded, edits[i].seed) for i in part]
            if not together:
                pictures = [_one_call(pipe, edits[part[0]], starts[0], words, negative_prompt, num_inference_steps)]
                bar.update(num_inference_steps - skipped[part[0]])
            else:
                try:
                    with torch.no_grad():
                        latents = _one_path(
                            pipe, edits, skipped, part, starts, words, negative_prompt, num_inference_steps, bar
                        )
                except (RuntimeError, MemoryError) as error:
                    if len(part) == 1 or not is_out_of_memory(error):
                        raise
                    max_batch = len(part) // 2
                    bar.update(done - bar.n)
                    bar.write(
                        f"Not enough memory for {len(part)} edits at once: going on with {max_batch}.", sys.stderr
                    )
                    continue
                pictures = decode(pipe, latents)
            yield from zip(part, pictures, strict=True)
            order = order[len(part) :]


class _Start:
    """The image's latents and the noise, drawn as the pipeline draws them: first the one, then the other."""

    def __init__(self, pipe, encoded, seed: int) -> None:
        import torch

        self.generator = torch.Generator().manual_seed(seed)
        self.latents = encoded.sample(self.generator) * pipe.vae.config.scaling_factor

    def noise(self) -> torch.Tensor:
        from diffusers.utils.torch_utils import randn_tensor

        like = self.latents
        return randn_tensor(like.shape, generator=self.generator, device=like.device, dtype=like.dtype)


def _one_path(pipe, edits, skipped, part, starts, words, negative_prompt, num_inference_steps, bar) -> torch.Tensor:
    """Denoise the edits of ``part``, sorted by the steps they skip, along one path of timesteps."""
    import torch

    scheduler = copy.deepcopy(pipe.scheduler)
    scheduler.set_timesteps(num_inference_steps, device=pipe._execution_device)
    waiting = copy.deepcopy(scheduler)
    _begin(scheduler, skipped[part[0]])
    guidance = torch.tensor([edits[i].guidance_scale for i in part], device=starts[0].latents.device)
    guidance = guidance.to(starts[0].latents.dtype)[:, None, None, None]
    guided = [edits[i].guidance_scale > 1 for i in part]
    current = starts[0].latents[:0]
    for index in range(skipped[part[0]], len(scheduler.timesteps)):
        timestep = scheduler.timesteps[index]
        joining = [k for k, i in enumerate(part) if skipped[i] == index]
        if joining:
            _begin(joint := copy.deepcopy(waiting), index)
            noisy = [joint.add_noise(starts[k].latents, starts[k].noise(), timestep[None]) for k in joining]
            current = torch.cat([current, *noisy])
        count = len(current)
        pushed = [k for k in range(count) if guided[k]]  # those that need an answer to the negative prompt too
        hidden = torch.cat([words[negative_prompt]] * len(pushed) + [words[edits[i].prompt] for i in part[:count]])
        seen = scheduler.scale_model_input(current, timestep)
        answer = pipe.unet(torch.cat([seen[pushed], seen]), timestep, encoder_hidden_states=hidden).sample
        unwanted, wanted = answer[: len(pushed)], answer[len(pushed) :]
        if pushed:
            wanted = wanted.clone()
            wanted[pushed] = unwanted + guidance[pushed] * (wanted[pushed] - unwanted)
        extra = pipe.prepare_extra_step_kwargs([start.generator for start in starts[:count]], 0.0)
        current = scheduler.step(wanted, timestep, current, **extra, return_dict=False)[0]
        bar.update(count)
    return current


def _one_call(pipe, edit: Edit, start: _Start, words, negative_prompt, num_inference_steps) -> Image.Image:
    """The pipeline's own call, spared the encoding."""
    shown, pipe._progress_bar_config = getattr(pipe, "_progress_bar_config", {}), {"disable": True}
    try:
        return pipe(
            prompt_embeds=words[edit.prompt],
            negative_prompt_embeds=words[negative_prompt],
            image=start.latents,
            strength=edit.strength,
            num_inference_steps=num_inference_steps,
            guidance_scale=edit.guidance_scale,
            generator=start.generator,
        ).images[0]
    finally:
        pipe._progress_bar_config = shown


def _begin(scheduler: SchedulerMixin, index: int) -> None:
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(index)


def decode(pipe: StableDiffusionImg2ImgPipeline, latents: torch.Tensor) -> list[Image.Image]:
    """Latents (n, 4, height, width) as pictures, past the safety checker if there is one, as the pipeline does it."""
    import torch

    made = []
    with torch.no_grad():
        for one in latents.split(1):  # a batch would take more memory and hardly less time
            picture = pipe.vae.decode(one / pipe.vae.config.scaling_factor, return_dict=False)[0]
            picture, flagged = pipe.run_safety_checker(picture, picture.device, picture.dtype)
            denormalize = [True] if flagged is None else [not flag for flag in flagged]
            made += pipe.image_processor.postprocess(picture, output_type="pil", do_denormalize=denormalize)
    return made


def _batch_that_fits(pipe, pixels: torch.Tensor, guided: bool) -> int:
    """How many edits half of the free memory holds: 1 to 32.

    A picture in a UNet call takes about 230 times its first layer's activations, estimated from the 0.6 GB
    that Stable Diffusion 1.5 takes at 512×512 in half precision; with guidance an edit is two of them.
    """
    free = free_memory(pipe._execution_device)
    size = pipe.unet.dtype.itemsize
    latent_pixels = pixels.shape[-1] * pixels.shape[-2] / pipe.vae_scale_factor**2
    each = 230 * latent_pixels * pipe.unet.config.block_out_channels[0] * size * (2 if guided else 1)
    return int(min(32, max(1, free / 2 // each)))


def _as_list(values) -> list:
    """A single text or number counts as a list of one."""
    return [values] if isinstance(values, (str, numbers.Real)) else list(values)


def _wants_no_bar(pipe) -> bool:
    return bool(getattr(pipe, "_progress_bar_config", {}).get("disable", False))
