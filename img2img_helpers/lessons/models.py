"""The models that the course runs on, as data."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.hub import settings_on_hub
from ..common.settings import quoted

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

TASKS = {  # and diffusers' class for each
    "img2img": "AutoPipelineForImage2Image",
    "text2img": "AutoPipelineForText2Image",
    "inpaint": "AutoPipelineForInpainting",
    "upscale": "StableDiffusionUpscalePipeline",
    "controlnet": "AutoPipelineForImage2Image",
    "instruct": "StableDiffusionInstructPix2PixPipeline",
}
# What a UNet was made for, by its input channels: 4 of noisy latents, and 5 of mask and masked picture, 4 of the picture to
# edit, or 3 of the coarse picture.
_MADE_FOR = {9: "inpaint", 8: "instruct", 7: "upscale"}
FEW_STEPS_TASKS = ("img2img", "text2img", "inpaint", "controlnet")  # those with the UNet that an LCM-LoRA is made for
CLASSROOM_FOLDER = Path(__file__).parent.parent / "classroom"


@dataclass(frozen=True)
class ModelCard:
    """What a learner wants to know before loading a model.

    Attributes:
        name: what ``load_pipeline(model=…)`` takes.
        title: the name that people use.
        ids: for each task, hub ids or folders that hold the same weights, tried in order.
        controlnet_ids: the ControlNets that go with ``ids["controlnet"]``, likewise.
        few_steps_ids: LCM-LoRAs, with which the model edits in four to eight steps, likewise; none if there is none.
        preview_ids: tiny autoencoders (diffusers' ``AutoencoderTiny``) that decode its latents at once, likewise.
        licence: of the weights.
        download_gb: for the task img2img, in fp16 where there is such a variant; 0 if bundled or unknown.
        memory_gb: graphics memory (or RAM on a CPU) that one edit at native size needs, roughly.
        native_size: width and height, in pixels, that the model was trained for.
        num_inference_steps: a sensible default.
        guidance_scale: a sensible default.
        checked: month in which ids and figures were last checked against their sources.

    Example:
        >>> MODELS["sd15"].native_size
        512
    """

    name: str
    title: str
    ids: dict[str, tuple[str, ...]]
    licence: str
    download_gb: float
    memory_gb: float
    native_size: int
    num_inference_steps: int
    guidance_scale: float
    checked: str
    controlnet_ids: tuple[str, ...] = ()
    few_steps_ids: tuple[str, ...] = ()
    preview_ids: tuple[str, ...] = ()

    @property
    def all_ids(self) -> tuple[str, ...]:
        """Every hub id and folder named here, whatever it is for."""
        named = (*self.ids.values(), self.controlnet_ids, self.few_steps_ids, self.preview_ids)
        return tuple(one for ids in named for one in ids)


_SD15 = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "benjamin-paine/stable-diffusion-v1-5")

MODELS: dict[str, ModelCard] = {
    "classroom": ModelCard(
        name="classroom",
        title="the classroom model",
        ids={task: (str(CLASSROOM_FOLDER),) for task in TASKS},
        controlnet_ids=(str(CLASSROOM_FOLDER / "controlnet"),),
        few_steps_ids=(str(CLASSROOM_FOLDER / "lcm_lora"),),
        preview_ids=(str(CLASSROOM_FOLDER / "vae_tiny"),),
        licence="MIT",
        download_gb=0.0,
        memory_gb=0.6,
        native_size=192,
        num_inference_steps=30,
        guidance_scale=7.5,
        checked="2026-11",
    ),
    "sd15": ModelCard(
        name="sd15",
        title="Stable Diffusion 1.5",
        ids={
            "img2img": _SD15,
            "text2img": _SD15,
            "controlnet": _SD15,
            "inpaint": ("stable-diffusion-v1-5/stable-diffusion-inpainting",),
            "instruct": ("timbrooks/instruct-pix2pix",),
            # Stability AI removed its 2.x models in November 2025; the copy is the community's
            "upscale": ("stabilityai/stable-diffusion-x4-upscaler", "sd2-community/stable-diffusion-x4-upscaler"),
        },
        controlnet_ids=("lllyasviel/control_v11p_sd15_canny", "lllyasviel/sd-controlnet-canny"),
        few_steps_ids=("latent-consistency/lcm-lora-sdv1-5",),  # 0.13 GB, CreativeML Open RAIL++-M
        preview_ids=("madebyollin/taesd",),  # 10 MB, MIT
        licence="CreativeML OpenRAIL-M",
        download_gb=2.8,
        memory_gb=3.5,
        native_size=512,
        num_inference_steps=30,
        guidance_scale=7.5,
        checked="2026-11",
    ),
}


def card_for(model: str) -> ModelCard:
    """The card of a name in :data:`MODELS`, or one made up for a hub id or a folder.

    Raises:
        ValueError: if it is none of these, or the folder holds no whole diffusers model; says what works.
    """
    if model in MODELS:
        return MODELS[model]
    if model.startswith("~"):
        model = os.path.expanduser(model)
    folder = Path(model)
    if folder.suffix.lower() in (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx"):
        raise ValueError(
            f"{model!r} is a single file, and load_pipeline takes a folder in diffusers' format; make one with "
            f"diffusers.StableDiffusionPipeline.from_single_file(…).save_pretrained('my-model')."
        )
    is_folder = bool(model) and os.path.isdir(folder)  # Path's own raises an error for a text too long for a name
    if not is_folder and (model.count("/") != 1 or model.startswith((".", "/", "~")) or model.endswith("/")):
        raise ValueError(
            f"There is no model {model!r}; choose {quoted(MODELS)}, a hub id such as "
            f"'{MODELS['sd15'].ids['img2img'][0]}', or a folder that exists."
        )
    beside = {"controlnet_ids": "controlnet", "few_steps_ids": "lcm_lora", "preview_ids": "vae_tiny"}
    return replace(
        MODELS["sd15"],
        name=model,
        title=model,
        ids=dict.fromkeys(_tasks_in(folder) if is_folder else TASKS, (model,)),
        **{ids: (str(folder / part),) for ids, part in beside.items() if (folder / part).is_dir()},
        licence="see the model's page",
        download_gb=0.0,
        checked="never",
    )


def _tasks_in(folder: Path) -> list[str]:
    """What the SD-format model in ``folder`` can do, also by the UNets that it has for single tasks."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise ValueError(f"The folder '{folder}' holds no diffusers model: it has no model_index.json.")
    try:
        parts = json.loads(index.read_text("utf-8"))
        needed = [name for name, home in parts.items() if isinstance(home, list) and home[0]]
    except (ValueError, AttributeError):
        needed = parts = None
    if not needed or "_class_name" not in parts:
        raise ValueError(
            f"The folder '{folder}' holds no diffusers model: its model_index.json is damaged; download it again."
        )
    if missing := [name for name in needed if not (folder / name).is_dir()]:
        raise ValueError(f"The folder '{folder}' is incomplete: it has no {quoted(missing)}; download it again.")
    try:
        unet = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
    except (OSError, ValueError):  # no UNet, or a damaged one: what loads the model says so
        unet = None
    tasks = _tasks_of(unet)
    return tasks + [task for task in TASKS if task not in tasks and (folder / f"unet_{task}").is_dir()]


def on_classroom(pipe: DiffusionPipeline) -> bool:
    """Whether ``pipe`` draws with the classroom model's weights, as they came or with an adapter on them.

    Example:
        >>> on_classroom(load_pipeline("img2img", "classroom", device="cpu"))
        the classroom model for img2img, float32 on cpu.
        True
    """
    unet = getattr(pipe, "unet", None)  # newer models have a transformer
    source = unet and unet.config.get("_name_or_path")  # where diffusers has loaded it from
    return bool(source) and Path(source).is_relative_to(CLASSROOM_FOLDER)


def tasks_on_hub(model_id: str) -> list[str]:
    """What a model on the hub can do, by its settings.

    Raises:
        OSError: if they are not here and can't be had.
    """
    index = settings_on_hub(model_id, "model_index.json")
    has_unet = isinstance(index, dict) and "unet" in index
    return _tasks_of(settings_on_hub(model_id, "unet/config.json") if has_unet else None)


def _tasks_of(unet: dict | None) -> list[str]:
    """What a model with a UNet of these settings, or without one, can do."""
    channels = unet.get("in_channels") if isinstance(unet, dict) else None
    if isinstance(channels, int) and channels in _MADE_FOR:
        return [_MADE_FOR[channels]]
    return list(FEW_STEPS_TASKS)


def describe_models() -> str:
    """The table of :data:`MODELS`, as Markdown that Jupyter shows as a table.

    Example:
        >>> "Stable Diffusion 1.5" in describe_models()
        True
    """
    rows = [
        "| `model=` | name | tasks | download | memory | native size | steps | guidance | licence | checked |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for card in MODELS.values():
        download = f"{card.download_gb:g} GB" if card.download_gb else "none: bundled"
        rows.append(
            f"| `{card.name}` | {card.title} | {', '.join(card.ids)} | {download} | about {card.memory_gb:g} GB "
            f"| {card.native_size}×{card.native_size} | {card.num_inference_steps} | {card.guidance_scale:g} "
            f"| {card.licence} | {card.checked} |"
        )
    return _Markdown("\n".join(rows))


class _Markdown(str):
    """A string that Jupyter renders as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)
