"""Write the classroom model as ONNX files that a browser runs.

Numbers are kept in half precision, which halves the download, and computed in single precision. What the page needs besides
the networks, its schedule, its tokenizer and PyTorch's noise, is written beside them.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from img2img_helpers.common.loading import quiet

OPSET = 17
SCHEDULE = {  # what diffusion.js takes for granted
    "prediction_type": "v_prediction",
    "timestep_spacing": "leading",
    "set_alpha_to_one": False,
    "clip_sample": False,
    "thresholding": False,
}
SMALL = 1024  # tensors of fewer numbers stay as they are
# Of each seed the numbers that an edit of four steps takes: the picture's latents, the noise, and one draw between steps.
SEEDS, DRAWS = 10, 5


class Named(nn.Module):
    """A network's call under one name, as ONNX wants it."""

    def __init__(self, module: nn.Module, call) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.call(self.module, *inputs)


def load(folder: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, torch_dtype=torch.float32, use_safetensors=True
    )


def networks(folder: Path, pipe: StableDiffusionPipeline) -> dict[str, tuple[nn.Module, dict[str, torch.Tensor]]]:
    """For each file its network and examples of its inputs, by name; the first axis of each is free.

    Beside those of ``pipe``, what its ``folder`` has for few steps and for quick decoding.
    """
    unet, vae, text = pipe.unet, pipe.vae, pipe.text_encoder
    side, width = unet.config.sample_size, text.config.hidden_size
    pixels = torch.zeros(1, 3, side * pipe.vae_scale_factor, side * pipe.vae_scale_factor)
    latents, hidden = torch.zeros(1, vae.config.latent_channels, side, side), torch.zeros(1, 77, width)
    denoising = {"latents": latents, "timestep": torch.zeros(1), "hidden": hidden}
    made = {
        "text_encoder": (Named(text, lambda m, ids: m(ids)[0]), {"ids": torch.zeros(1, 77, dtype=torch.int64)}),
        "unet": (Named(unet, lambda m, *given: m(*given).sample), denoising),
        "encoder": (Named(vae, _moments), {"pixels": pixels}),
        "decoder": (
            Named(vae, lambda m, given: m.decode(given / m.config.scaling_factor).sample),
            {"latents": latents},
        ),
    }
    if (folder / "lcm_lora").is_dir():
        quick = load(folder)
        quick.load_lora_weights(folder / "lcm_lora")
        quick.fuse_lora()
        quick.unload_lora_weights()
        made["unet_few"] = (Named(quick.unet, lambda m, *given: m(*given).sample), denoising)
    if (folder / "vae_tiny").is_dir():
        tiny = AutoencoderTiny.from_pretrained(folder / "vae_tiny", torch_dtype=torch.float32, use_safetensors=True)
        made["decoder_tiny"] = (Named(tiny, lambda m, given: m.decode(given).sample), {"latents": latents})
    for network, _ in made.values():
        if isinstance(network.module, (UNet2DConditionModel, AutoencoderKL)):
            network.module.set_attn_processor(AttnProcessor())
        network.eval().requires_grad_(False)
    return made


def _moments(vae: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """Mean and deviation of the latents, one after the other: the page draws between them, as the pipeline does."""
    found = vae.encode(pixels).latent_dist
    return torch.cat([found.mean, found.std], 1) * vae.config.scaling_factor


def write_onnx(network: nn.Module, inputs: dict[str, torch.Tensor], file: Path) -> None:
    free = {name: {0: "batch"} for name in (*inputs, "out")}
    names = {"input_names": list(inputs), "output_names": ["out"], "dynamic_axes": free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that are taken for fixed, as all but the first are
        torch.onnx.export(network, tuple(inputs.values()), file, opset_version=OPSET, dynamo=False, **names)
    model = onnx.load(file)
    halve(model)
    onnx.save(model, file)


def halve(model: onnx.ModelProto) -> None:
    """Keep large tensors in half precision, each behind a node that widens it, which the runtime does once, on loading."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for k, cast in enumerate(casts):
        model.graph.node.insert(k, cast)


def settings(folder: Path, pipe: StableDiffusionPipeline) -> dict:
    """What the page must know of the model, as JSON.

    Raises:
        ValueError: if its scheduler works otherwise than the page's.
    """
    scheduler, vae = pipe.scheduler, pipe.vae.config
    if other := {k: v for k, v in SCHEDULE.items() if scheduler.config.get(k) != v}:
        wanted = ", ".join(f"{k}={v!r}" for k, v in other.items())
        raise ValueError(f"The page's loop, in diffusion.js, wants a scheduler with {wanted}; {folder} has another.")
    return {
        "side": pipe.unet.config.sample_size,
        "channels": vae.latent_channels,
        "factor": pipe.vae_scale_factor,
        "alphas": [float(f"{a:.9g}") for a in scheduler.alphas_cumprod.tolist()],
        "steps_offset": scheduler.config.steps_offset,
        "seeds": SEEDS,
        "draws": DRAWS,
        "words": json.loads((folder / "vocabulary.json").read_text()),
        "tokenizer": json.loads(pipe.tokenizer.backend_tokenizer.to_str()),
        "pad": pipe.tokenizer.pad_token_id,
        "length": pipe.tokenizer.model_max_length,
    }


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """What PyTorch's generator draws for each seed, (SEEDS, DRAWS, *shape) float32."""
    drawn = []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        drawn.append(torch.stack([torch.randn((1, *shape), generator=generator)[0] for _ in range(DRAWS)]))
    return torch.stack(drawn).numpy()


def export(folder: Path, out: Path) -> None:
    """Write the networks of the SD-format ``folder``, ``model.json`` and ``noise.bin`` to the folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with quiet():
        pipe = load(folder)
        made, told = networks(folder, pipe), settings(folder, pipe)
    for name, (network, inputs) in made.items():
        write_onnx(network, inputs, out / f"{name}.onnx")
    (out / "model.json").write_text(json.dumps(told))
    noise((told["channels"], told["side"], told["side"])).astype("<f4").tofile(out / "noise.bin")
