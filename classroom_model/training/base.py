"""What the stages after the base model share: its finished parts, none of which learns any more."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from .diffusion import noise_schedule
from .loop import WEIGHTS, forget_this_computer, pick_device
from .text import tokenize

PICTURES = 12_000  # of the training set: what each task is taught on


@dataclass
class Base:
    """The base model on a device, and the schedule that adds noise to its latents."""

    vae: AutoencoderKL
    tokenizer: CLIPTokenizer
    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    scheduler: DDIMScheduler  # the one that draws
    noiser: DDPMScheduler  # the one that adds noise in training
    device: torch.device

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        """Token ids, (n, 77), on the device."""
        return tokenize(self.tokenizer, texts).to(self.device)

    def embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """The text encoder's last hidden states, (n, 77, width)."""
        with torch.no_grad():
            return self.text_encoder(tokens)[0]

    def pipeline(self, cls: type[DiffusionPipeline], **parts) -> DiffusionPipeline:
        """A pipeline of these parts, ``parts`` added or in their place."""
        shared = {name: getattr(self, name) for name in ("vae", "tokenizer", "text_encoder", "unet", "scheduler")}
        if "requires_safety_checker" in inspect.signature(cls).parameters:
            shared |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipe = cls(**shared | parts)
        pipe.set_progress_bar_config(disable=True)
        return pipe


def load_base(device_name: str) -> Base:
    """The parts that were trained, in float32."""
    device = pick_device(device_name)
    options = {"memory_format": torch.channels_last}
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "vae", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(WEIGHTS / "unet", torch_dtype=torch.float32)
    text_encoder = CLIPTextModel.from_pretrained(WEIGHTS / "text_encoder", dtype=torch.float32)
    for part in (vae, unet, text_encoder):
        part.requires_grad_(False).eval()
    return Base(
        vae=vae.to(device, **options),
        tokenizer=CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer"),
        text_encoder=text_encoder.to(device),
        unet=unet.to(device, **options),
        scheduler=DDIMScheduler.from_pretrained(WEIGHTS / "scheduler"),
        noiser=DDPMScheduler(trained_betas=noise_schedule(), prediction_type="v_prediction"),
        device=device,
    )


def ready_to_train(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` on ``device``, all of it learning."""
    if device.type == "cpu":
        model.set_attn_processor(AttnProcessor())  # its backward pass is quicker there than the fused one's
    return model.requires_grad_(True).to(device, memory_format=torch.channels_last).train()


def load_part(cls: type[nn.Module], folder: str) -> nn.Module | None:
    """The weights that an earlier run of a stage has put beside the base model's, or None."""
    # not mapped from the file, which the stage overwrites: float32 weights would change under it, or be gone
    options = {"torch_dtype": torch.float32, "disable_mmap": True}
    return cls.from_pretrained(WEIGHTS / folder, **options) if (WEIGHTS / folder).exists() else None


def save_part(model: nn.Module, folder: str) -> None:
    """Save the weights of ``model`` in fp16 beside the base model's."""
    finished = copy.deepcopy(model).half()
    finished.set_default_attn_processor()
    finished.save_pretrained(WEIGHTS / folder)
    forget_this_computer(WEIGHTS / folder)
