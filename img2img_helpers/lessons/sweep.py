"""Many edits of one image at once: the same images as one call each, sooner."""

from __future__ import annotations

import copy
import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from PIL import Image

from ..common.devices import free_memory, is_out_of_memory, out_of_memory_told
from ..common.settings import checked, listed, number
from .images import load_for
from .strength import plan_steps

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline, StableDiffusionImg2ImgPipeline
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

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

    Example:
        >>> image = prepare_image(example_image("landscape"), 192).image
        >>> light, heavy = strength_sweep(pipe, "watercolor painting", image, [0.2, 0.8], num_inference_steps=10)
        >>> structure_similarity(light, image) > structure_similarity(heavy, image)
        True
    """
    edits = [Edit(prompt, strength, guidance_scale, seed) for strength in listed("strengths", strengths)]
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

    Example:
        >>> image = prepare_image(example_image("car"), 192).image
        >>> grid = edit_grid(pipe, image, ["a blue car", "a green car"], strengths=[0.4, 0.6], num_inference_steps=5)
        >>> pictures = {(edit.prompt, edit.strength): picture for edit, picture in grid}
        >>> len(pictures)
        4
    """
    given = {"prompts": prompts, "guidance_scales": guidance_scales, "seeds": seeds, "strengths": strengths}
    lists = [listed(name, values) for name, values in given.items()]
    edits = [
        Edit(prompt, strength, guidance_scale, seed)
        for prompt, guidance_scale, seed, strength in itertools.product(*lists)
    ]
    if not edits:
        raise ValueError("edit_grid got an empty list; give at least one of each: prompt, strength, guidance, seed.")
    found = run_edits(pipe, image, edits, negative_prompt, num_inference_steps, max_batch)
    return ((edits[i], made) for i, made in found)


def run_edits(pipe, image, edits, negative_prompt, num_inference_steps, max_batch) -> Iterator[tuple[int, Image.Image]]:
    """Check everything now; return an iterator over (index of an edit, its image).

    ``edits`` may be of any dataclass with the attributes of :class:`Edit`.
    """
    if type(pipe).__name__ != "StableDiffusionImg2ImgPipeline":
        raise ValueError(
            f"A sweep needs a StableDiffusionImg2ImgPipeline, not {type(pipe).__name__}; "
            f"load_pipeline('img2img') gives one."
        )
    if not all(isinstance(text, str) for text in (negative_prompt, *(edit.prompt for edit in edits))):
        raise ValueError("A prompt must be a text; edit_grid takes several, in a list.")
    if max_batch is not None:
        max_batch = number("max_batch", max_batch, 1, advice="None chooses from the free memory", whole=True)
    names = ("strength", "guidance_scale", "seed")
    edits = [replace(edit, **{name: checked(name, getattr(edit, name)) for name in names}) for edit in edits]
    pixels = pipe.image_processor.preprocess(load_for(pipe, image))
    strengths = dict.fromkeys(edit.strength for edit in edits)
    plans = {strength: plan_steps(pipe, strength, num_inference_steps) for strength in strengths}
    skipped = [plans[edit.strength].steps_skipped for edit in edits]
    max_batch = max_batch or _batch_that_fits(pipe, pixels, any(edit.guidance_scale > 1 for edit in edits))
    return _pictures(_Sweep(own_copy(pipe), edits, skipped, negative_prompt, num_inference_steps), pixels, max_batch)


def own_copy(pipe: DiffusionPipeline) -> DiffusionPipeline:
    """The same weights, another scheduler: a cell may call yours in the meantime."""
    own = copy.copy(pipe)
    own.scheduler = copy.deepcopy(pipe.scheduler)
    return own


@dataclass
class _Sweep:
    """The edits of a sweep, and what they share."""

    pipe: StableDiffusionImg2ImgPipeline
    edits: Sequence[Edit]
    skipped: Sequence[int]  # the steps that each edit leaves out
    negative_prompt: str
    num_inference_steps: int
    image: DiagonalGaussianDistribution = field(init=False)  # what encode reads: the image,
    words: dict[str, torch.Tensor] = field(init=False)  # and each prompt

    def encode(self, pixels: torch.Tensor) -> None:
        """Read the image (1, 3, height, width) and every prompt, once."""
        import torch

        pipe = self.pipe
        device, texts = pipe._execution_device, [*(edit.prompt for edit in self.edits), self.negative_prompt]
        with torch.no_grad():
            self.image = pipe.vae.encode(pixels.to(device, pipe.unet.dtype)).latent_dist
            self.words = {text: pipe.encode_prompt(text, device, 1, False)[0] for text in dict.fromkeys(texts)}

    def start(self, i: int) -> tuple[torch.Tensor, torch.Generator]:
        """The image's latents, and the generator that has drawn them and draws the noise next, as in the pipeline."""
        import torch

        generator = torch.Generator().manual_seed(self.edits[i].seed)
        return self.image.sample(generator) * self.pipe.vae.config.scaling_factor, generator


def _pictures(sweep: _Sweep, pixels: torch.Tensor, max_batch: int) -> Iterator[tuple[int, Image.Image]]:
    """Encode, then run the edits, the longest first: in batches where the scheduler allows it, else one by one."""
    pipe, (height, width) = sweep.pipe, pixels.shape[-2:]
    steps = [sweep.num_inference_steps - skip for skip in sweep.skipped]
    order = sorted(range(len(steps)), key=sweep.skipped.__getitem__)  # neighbours share most of their path
    with out_of_memory_told(pipe, width, height), pipe.progress_bar(total=sum(steps)) as bar:
        bar.set_description("edits")
        pipe.set_progress_bar_config(disable=True)  # a bar of every call
        sweep.encode(pixels)
        if type(pipe.scheduler).__name__ in SINGLE_STEP and pipe.unet.config.time_cond_proj_dim is None:
            yield from _in_batches(sweep, order, max_batch, bar)
        else:
            for i in order:
                yield i, _one_call(sweep, i)
                bar.update(steps[i])


def _in_batches(sweep: _Sweep, order: list[int], max_batch: int, bar) -> Iterator[tuple[int, Image.Image]]:
    """Run the edits in ``order``, up to ``max_batch`` at once; half as many where the memory does not suffice."""
    while order:
        part, done = order[:max_batch], bar.n
        try:
            latents = _one_path(sweep, part, bar)
        except (RuntimeError, MemoryError) as error:
            if len(part) == 1 or not is_out_of_memory(error):
                raise
            max_batch = len(part) // 2
            bar.update(done - bar.n)
            bar.write(f"Not enough memory for {len(part)} edits at once: going on with {max_batch}.", sys.stderr)
            continue
        yield from zip(part, decode(sweep.pipe, latents), strict=True)
        order = order[len(part) :]


def _one_path(sweep: _Sweep, part: list[int], bar) -> torch.Tensor:
    """Denoise the edits of ``part``, sorted by the steps they skip, along one path of timesteps; their latents.

    Each joins where its own path begins.
    """
    import torch

    pipe, scheduler, first = sweep.pipe, sweep.pipe.scheduler, sweep.skipped[part[0]]
    scheduler.set_timesteps(sweep.num_inference_steps, device=pipe._execution_device)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    denoised, generators = [], []
    for index, timestep in enumerate(scheduler.timesteps[first:], first):
        for latents, generator in (sweep.start(i) for i in part if sweep.skipped[i] == index):
            noisy = pipe.prepare_latents(latents, timestep[None], 1, 1, latents.dtype, latents.device, generator)
            denoised.append(noisy)
            generators.append(generator)
        current = torch.cat(denoised)
        wanted = _guided(sweep, part[: len(current)], scheduler.scale_model_input(current, timestep), timestep)
        extra = pipe.prepare_extra_step_kwargs(generators, 0.0)
        denoised = list(scheduler.step(wanted, timestep, current, **extra, return_dict=False)[0].split(1))
        bar.update(len(current))
    return torch.cat(denoised)


def _guided(sweep: _Sweep, part: list[int], latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
    """The UNet's answer to the latents of ``part``: to their prompts and, for those with guidance, the negative one."""
    import torch

    edits = [sweep.edits[i] for i in part]
    pushed = [k for k, edit in enumerate(edits) if edit.guidance_scale > 1]
    scales = latents.new_tensor([edits[k].guidance_scale for k in pushed])[:, None, None, None]
    texts = [sweep.negative_prompt] * len(pushed) + [edit.prompt for edit in edits]
    hidden = torch.cat([sweep.words[text] for text in texts])
    with torch.no_grad():
        answer = sweep.pipe.unet(torch.cat([latents[pushed], latents]), timestep, encoder_hidden_states=hidden).sample
    unwanted, wanted = answer[: len(pushed)], answer[len(pushed) :]
    wanted[pushed] = unwanted + scales * (wanted[pushed] - unwanted)
    return wanted


def _one_call(sweep: _Sweep, i: int) -> Image.Image:
    """The pipeline's own call, spared the encoding."""
    edit, (latents, generator) = sweep.edits[i], sweep.start(i)
    return sweep.pipe(
        prompt_embeds=sweep.words[edit.prompt],
        negative_prompt_embeds=sweep.words[sweep.negative_prompt],
        image=latents,
        strength=edit.strength,
        num_inference_steps=sweep.num_inference_steps,
        guidance_scale=edit.guidance_scale,
        generator=generator,
    ).images[0]


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
