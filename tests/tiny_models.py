"""Write the smallest real Stable-Diffusion-format folders: diffusers' own classes, random weights."""

import copy
import dataclasses
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionUpscalePipeline,
    UNet2DConditionModel,
)
from peft import LoraConfig, get_peft_model_state_dict
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from img2img_helpers.lessons.models import CLASSROOM_FOLDER, MODELS, TASKS, ModelCard

WIDTH = 8


def unet(in_channels: int = 4, **options) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        block_out_channels=(WIDTH, WIDTH),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=2,
        **options,
    )


def parts(in_channels: int = 4, vae_levels: int = 4, **unet_options) -> dict:
    """A pipeline's parts; with four levels the VAE shrinks by 8, as Stable Diffusion 1.5's, with three by 4."""
    tokenizer = CLIPTokenizer.from_pretrained(CLASSROOM_FOLDER / "tokenizer")
    text_config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return {
        "tokenizer": tokenizer,
        "text_encoder": CLIPTextModel(text_config),
        "unet": unet(in_channels, **unet_options),
        "vae": AutoencoderKL(
            block_out_channels=(WIDTH,) * vae_levels,
            down_block_types=("DownEncoderBlock2D",) * vae_levels,
            up_block_types=("UpDecoderBlock2D",) * vae_levels,
            norm_num_groups=2,
            latent_channels=4,
            sample_size=64,
        ),
        "scheduler": DDIMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
    }


def write_all(folder: Path) -> dict[str, Path]:
    torch.manual_seed(0)
    no_checker = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    folders = {
        name: folder / name
        for name in ("base", "base-fp16", "inpaint", "upscale", "controlnet", "instruct", "lcm_lora", "vae_tiny")
    }
    base = StableDiffusionPipeline(**parts(), **no_checker)
    base.save_pretrained(folders["base"])
    ControlNetModel.from_unet(base.unet, conditioning_channels=3).save_pretrained(folders["controlnet"])
    StableDiffusionInpaintPipeline(**parts(9), **no_checker).save_pretrained(folders["inpaint"])
    StableDiffusionInstructPix2PixPipeline(**parts(8), **no_checker).save_pretrained(folders["instruct"])
    upscaler = StableDiffusionUpscalePipeline(
        **parts(7, vae_levels=3, num_class_embeds=1000), low_res_scheduler=DDPMScheduler(), max_noise_level=350
    )
    upscaler.save_pretrained(folders["upscale"])
    write_lora(base, folders["lcm_lora"])
    small = {"encoder_block_out_channels": (WIDTH,) * 4, "decoder_block_out_channels": (WIDTH,) * 4}
    AutoencoderTiny(**small, num_encoder_blocks=(1,) * 4, num_decoder_blocks=(1,) * 4).save_pretrained(
        folders["vae_tiny"]
    )
    base.to(torch.float16).save_pretrained(folders["base-fp16"], variant="fp16")
    return folders


def write_lora(base: StableDiffusionPipeline, folder: Path) -> None:
    """A LoRA for the UNet of ``base``, of random numbers too: it changes pictures."""
    adapted = copy.deepcopy(base.unet)
    adapted.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    StableDiffusionPipeline.save_lora_weights(folder, get_peft_model_state_dict(adapted))


def as_sd15(folders: dict[str, Path]) -> ModelCard:
    """The card of Stable Diffusion 1.5 with these folders in place of the hub; every first id is a dead one."""
    gone = "img2img-course/this-model-has-moved"
    homes = dict.fromkeys(TASKS, folders["base"]) | {task: folders[task] for task in ("inpaint", "upscale", "instruct")}
    ids = {task: (gone, str(home)) for task, home in homes.items()}
    return dataclasses.replace(
        MODELS["sd15"],
        ids=ids,
        controlnet_ids=(gone, str(folders["controlnet"])),
        few_steps_ids=(gone, str(folders["lcm_lora"])),
        preview_ids=(str(folders["vae_tiny"]),),
    )
