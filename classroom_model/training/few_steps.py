"""Few steps: an adapter that lets the base UNet draw in four steps, without guidance, what takes it thirty with.

As for a latent consistency model (Luo et al. 2023, "Latent Consistency Models" and "LCM-LoRA"): wherever on its way from
noise to a picture the model is asked, it is to name the same end of that way, that of a guided base model.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import LCMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file

from .base import Base, load_base
from .diffusion import PREVIEW_PROMPTS, EncodedSet, draw_noise
from .loop import EVERY, PREVIEW_STEPS, WEIGHTS, Length, train

FOLDER = "lcm_lora"
FILE = "pytorch_lora_weights.safetensors"  # the name that `load_lora_weights` looks for
RANK = 10
LAYERS = (  # ends of their names: attention, feed-forward, residual blocks, and not the upsamplers: all weights must fit into 96 MB
    *("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    *("conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv"),
)
GUIDANCE = (6.0, 9.0)  # guidance scales of the teacher, of which the adapter learns the average: the lessons' 7.5
STRIDE = 6  # of the 50 timesteps that the guided base model goes at a time: from pure noise it takes nine steps
ROUND = 0.001  # where the pseudo-Huber loss goes over from squared to absolute errors
PREVIEW = tuple(PREVIEW_PROMPTS[i] for i in (0, 3, 5, 6, 10, 11))


def lcm_scheduler(base: Base) -> LCMScheduler:
    """What learners put in place of the base model's scheduler."""
    return LCMScheduler.from_config(base.scheduler.config)


def with_adapter(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy of ``unet`` with an adapter, which alone learns: that in ``WEIGHTS`` or, untrained, one that does nothing."""
    student = copy.deepcopy(unet).requires_grad_(False)
    student.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(LAYERS)))
    if (path := WEIGHTS / FOLDER / FILE).exists():
        state = {name.removeprefix("unet."): tensor.float() for name, tensor in load_file(path).items()}
        if state.keys() != get_peft_model_state_dict(student).keys():
            raise ValueError(f"{path} is an adapter of other layers; remove it to train one anew")
        set_peft_model_state_dict(student, state)
    return student


def save_adapter(student: UNet2DConditionModel) -> None:
    """Save the adapter in fp16 for ``load_lora_weights``."""
    layers = {name: tensor.half().contiguous() for name, tensor in get_peft_model_state_dict(student).items()}
    StableDiffusionPipeline.save_lora_weights(WEIGHTS / FOLDER, layers, weight_name=FILE, safe_serialization=True)


class Way:
    """The way from noise to a picture, on a device: its timesteps, and what a velocity says at each.

    ``timesteps`` are all that the LCM scheduler ever stops at, ascending; with ``num_inference_steps`` it takes some of them.
    """

    def __init__(self, scheduler: LCMScheduler, device: torch.device) -> None:
        self._scheduler = scheduler
        scheduler.set_timesteps(scheduler.config.original_inference_steps)
        self.timesteps = scheduler.timesteps.flip(0).to(device)
        self._stops = torch.cat([self.timesteps.new_zeros(1), self.timesteps])  # at 0 the way ends
        kept = scheduler.alphas_cumprod.to(device)
        self._signal, self._noise = kept.sqrt(), (1 - kept).sqrt()

    def _at(self, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._signal[timesteps][:, None, None, None], self._noise[timesteps][:, None, None, None]

    def noisy(self, clean: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        signal, sigma = self._at(timesteps)
        return signal * clean + sigma * noise

    def end(self, noisy: torch.Tensor, velocity: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The consistency function: the picture that the LCM scheduler reads from a velocity. At 0, ``noisy`` itself."""
        signal, sigma = self._at(timesteps)
        skip, out = self._scheduler.get_scalings_for_boundary_condition_discrete(timesteps[:, None, None, None].float())
        return skip * noisy + out * (signal * noisy - sigma * velocity)

    def step(
        self, noisy: torch.Tensor, velocity: torch.Tensor, start: torch.Tensor, stop: torch.Tensor
    ) -> torch.Tensor:
        """The latents at the timesteps ``stop``, by one step of DDIM from ``start``."""
        signal, sigma = self._at(start)
        return self.noisy(signal * noisy - sigma * velocity, sigma * noisy + signal * velocity, stop)

    def follow(self, noisy: torch.Tensor, spots: torch.Tensor, velocity: Callable) -> torch.Tensor:
        """The latents at 0 to which the way leads from each of ``noisy`` at the timesteps with the numbers ``spots``.

        By steps of DDIM, as few as at most STRIDE timesteps each allow; ``velocity(noisy, timesteps, which)`` is asked
        at each for those of the batch that are not there yet, ``which``.
        """
        hops, at = spots // STRIDE + 1, spots
        for hop in range(1, int(hops.max()) + 1):
            which = (hops >= hop).nonzero().flatten()
            after = spots[which] - (spots[which] + 1) * hop // hops[which]
            start, stop = self.timesteps[at[which]], self._stops[after + 1]
            moved = self.step(noisy[which], velocity(noisy[which], start, which), start, stop)
            noisy, at = noisy.index_copy(0, which, moved), at.index_copy(0, which, after)
        return noisy


def train_few_steps(
    until: Length, batch: int, lr: float, device_name: str, compiled: bool = False, every: int = EVERY
) -> None:
    """Train the adapter, the base UNet fixed; save it as ``lcm_lora``.

    The base model, guided, is followed from a noisy picture to the end, in large steps, and the student learns to name
    that end at once. In latent consistency distillation it is asked a 50th of the way further on and has itself for a
    target: that takes two thirds of the arithmetic, but what is right at the end must be handed on fifty times, and after
    678 steps of 128 pictures four steps still gave a mosaic. Every text is its picture's caption; without one, only the
    teacher is asked.

    To follow a way takes three quarters of the arithmetic. So the student learns from two places on each of the ``batch``:
    where it starts, and, as far as there are any, one of those that the base model comes by.
    """
    base = load_base(device_name)
    torch.manual_seed(0)
    device = base.device
    encoded = EncodedSet(base.vae, base.tokenizer)
    way = Way(lcm_scheduler(base), device)
    student = with_adapter(base.unet)
    if device.type == "cpu":
        student.set_attn_processor(AttnProcessor())  # see `ready_to_train`
        # GroupNorm in bf16 takes a CPU fifty times as long where channels are last
        base.unet.to(memory_format=torch.contiguous_format)
    student.to(device, memory_format=torch.channels_last).train()
    quick = torch.compile(student) if compiled else student  # the same weights
    nothing = base.embed(base.tokenize([""])).float()

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([13, step])
        picks = rng.integers(len(encoded), size=batch)
        clean, noise, _ = draw_noise(rng, encoded.latents[picks])
        spots = torch.from_numpy(rng.integers(len(way.timesteps), size=batch)).to(device)
        start = way.timesteps[spots]
        scale = torch.from_numpy(rng.uniform(*GUIDANCE, (batch, 1, 1, 1)).astype(np.float32)).to(device)
        hidden = base.embed(encoded.tokens(picks, rng, true=True)).float()
        noisy = way.noisy(clean, noise, start)

        passed = []  # where the base model is asked, the starts first: from everywhere there the way leads to the same end

        def guided(latents: torch.Tensor, timesteps: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
            passed.append((latents, timesteps, which))
            both = torch.cat([hidden[which], nothing.expand_as(hidden[which])])
            answer = base.unet(torch.cat([latents, latents]), torch.cat([timesteps, timesteps]), both).sample
            named, unnamed = answer.float().chunk(2)
            return unnamed + scale[which] * (named - unnamed)

        with torch.no_grad():
            end = way.follow(noisy, spots, guided)
        latents, timesteps, which = (torch.cat(part) for part in zip(*passed, strict=True))
        later = batch + rng.permutation(len(which) - batch)[:batch]
        drawn = torch.from_numpy(np.concatenate([np.arange(batch), later])).to(device)
        latents, timesteps, which = latents[drawn], timesteps[drawn], which[drawn]
        said = way.end(latents, quick(latents, timesteps, hidden[which]).sample.float(), timesteps)
        return (((said - end[which]) ** 2 + ROUND**2).sqrt() - ROUND).mean()

    def sample(path: Path) -> None:
        pipes = (
            (base.pipeline(StableDiffusionPipeline), {"num_inference_steps": PREVIEW_STEPS, "guidance_scale": 7.5}),
            (
                base.pipeline(StableDiffusionPipeline, unet=student, scheduler=lcm_scheduler(base)),
                {"num_inference_steps": 4, "guidance_scale": 1.0},
            ),
        )
        rows = []
        for pipe, settings in pipes:
            generators = [torch.Generator().manual_seed(0) for _ in PREVIEW]
            made = pipe(list(PREVIEW), generator=generators, **settings).images
            rows.append(np.hstack([np.asarray(image) for image in made]))
        Image.fromarray(np.vstack(rows)).save(path)

    def save() -> None:
        save_adapter(student)

    options = {"save": save, "sample": sample, "every": every}
    train("few_steps", student, loss_at, until=until, batch=batch, lr=lr, device=device, **options)
