"""Load a ready diffusers pipeline for a task, wherever the notebook runs."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.devices import is_out_of_memory, pick_device, place
from ..common.hub import from_pretrained, load_lora_weights, told_by_hub
from ..common.loading import damaged_file, quiet
from ..common.settings import quoted
from .models import FEW_STEPS_TASKS, MODELS, TASKS, ModelCard, card_for, tasks_on_hub
from .vocabulary import warn_about_unknown_words

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

DTYPES = ("float32", "float16", "bfloat16")


def load_pipeline(
    task: str = "img2img",
    model: str = "auto",
    *,
    few_steps: bool = False,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
) -> DiffusionPipeline:
    """Load a plain diffusers pipeline and say in one line what was chosen and why.

    Every call loads anew. For another task with the same weights, diffusers' own
    ``AutoPipelineForText2Image.from_pipe(pipe)`` takes no more memory: the two share all parts.

    On a GPU with too little memory the parts wait in main memory and take turns (diffusers' model CPU offload), which
    the line says; a part that you then call by hand wants its inputs on ``pipe._execution_device``.

    The classroom model's pipeline warns, once for each, of words in a prompt that it has never seen.

    Args:
        task: ``img2img``, ``text2img``, ``inpaint``, ``upscale``, ``controlnet`` or ``instruct``.
        model: a name in :data:`MODELS`, a hub id, the path of an SD-format folder, or ``auto``:
            Stable Diffusion 1.5 on a GPU, the classroom model without one or when the hub cannot
            be reached. The environment variable ``IMG2IMG_MODEL`` replaces ``auto``.
        few_steps: add the model's LCM-LoRA, by diffusers' ``pipe.load_lora_weights`` and ``LCMScheduler``: an edit then
            takes four to eight steps at a guidance scale of 1 to 2. For ``img2img``, ``text2img``, ``inpaint`` and
            ``controlnet``.
        device: ``cuda``, ``mps``, ``cpu`` or ``auto``, the first of these that is there. The
            environment variable ``IMG2IMG_DEVICE`` replaces ``auto``.
        dtype: ``float32``, ``float16``, ``bfloat16``, a ``torch.dtype``, or ``auto``: float32 on a
            CPU and for the classroom model; else on CUDA bfloat16 where the GPU has it, or float16;
            on MPS float16.

    Returns:
        A pipeline of diffusers' own class, in evaluation mode, on the device.

    Raises:
        ValueError: for a task, model, device or dtype that is not known; names those that are. For ``few_steps`` with
            another task, or with a model that has no LCM-LoRA.
        OSError: when none of a hub model's ids could be loaded; says what to do.

    Example:
        >>> pipe = load_pipeline("img2img", "classroom", device="cpu")
        the classroom model for img2img, float32 on cpu.
        >>> edit = pipe("a lake at night", image=example_image("landscape").resize((192, 192)), strength=0.6).images[0]
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; choose one of {quoted(TASKS)}.")
    if model == "auto":
        model = os.environ.get("IMG2IMG_MODEL") or "auto"
    model = str(model).removeprefix("https://huggingface.co/")  # as copied from a browser
    device, why = pick_device(device)
    automatic = model == "auto"
    if automatic:
        model = "classroom" if device == "cpu" else "sd15"
    card = card_for(model)
    _check_task(task, card, card.ids)
    if few_steps:
        _check_few_steps(task, card)
    try:
        pipe, note = _load_onto(device, card, task, dtype, few_steps)
    except OSError as error:
        if not automatic or task not in MODELS["classroom"].ids:
            raise
        print(f"{error} Using the classroom model instead.")
        card, why = MODELS["classroom"], "it needs no download"
        pipe, note = _load_onto(device, card, task, dtype, few_steps)
    loaded = str(pipe.dtype).removeprefix("torch.")
    how = f"{task} in few steps" if few_steps else task
    print(f"{card.title} for {how}, {loaded} on {device}" + (f" ({why})." if why else ".") + note)
    return pipe


def _check_task(task: str, card: ModelCard, possible: Iterable[str]) -> None:
    if task not in possible:
        others = _models_that(lambda other: task in other.ids)
        raise ValueError(
            f"The model {card.name!r} cannot do {task!r}, only {quoted(possible)}; for {task!r} use {others}."
        )


def _check_few_steps(task: str, card: ModelCard) -> None:
    if task not in FEW_STEPS_TASKS:
        raise ValueError(f"few_steps=True is for {quoted(FEW_STEPS_TASKS)}; for {task!r} leave it out.")
    if not card.few_steps_ids:
        others = _models_that(lambda other: other.few_steps_ids)
        raise ValueError(f"The model {card.name!r} has no LCM-LoRA; for few_steps=True use {others}.")


def _models_that(can: Callable[[ModelCard], object]) -> str:
    """Which of the course's models can, for the end of a sentence."""
    return "model=" + " or ".join(repr(name) for name, card in MODELS.items() if can(card))


def _pick_dtype(dtype: str | torch.dtype, device: str, card: ModelCard) -> torch.dtype:
    import torch

    name = str(dtype).removeprefix("torch.")
    if name in DTYPES:
        return getattr(torch, name)
    if dtype != "auto":
        raise ValueError(f"There is no dtype {dtype!r}; choose 'auto', {quoted(DTYPES)}.")
    if device == "cpu" or card.name == "classroom":  # the classroom model is small: nothing to save
        return torch.float32
    if device.startswith("cuda"):
        # emulated bfloat16, which `is_bf16_supported` also reports, is slow: ask for Ampere or newer
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    return torch.float16


def _load_onto(
    device: str, card: ModelCard, task: str, dtype: str | torch.dtype, few_steps: bool
) -> tuple[DiffusionPipeline, str]:
    """The pipeline on its device, and what to tell of that beyond the ordinary."""
    pipe = _load_first(card, task, _pick_dtype(dtype, device, card))
    if few_steps:
        _add_few_steps(pipe, card, task)
    weights = sum(p.nbytes for p in _parameters(pipe))
    # a quarter more than the weights, where the card says nothing larger, for what an edit computes
    note = place(pipe, device, max(card.memory_gb * 1e9, 1.25 * weights))
    if device == "cpu":
        _use_channels_last(pipe)
    if card.name == "classroom":
        warn_about_unknown_words(pipe)
    return pipe, note


def _parameters(pipe: DiffusionPipeline) -> list[torch.nn.Parameter]:
    return [p for part in pipe.components.values() if hasattr(part, "parameters") for p in part.parameters()]


def _load_first(card: ModelCard, task: str, dtype: torch.dtype) -> DiffusionPipeline:
    """Load the first of the card's ids that can be had."""
    import diffusers

    with quiet() as missing:  # before the classes are named: that imports transformers, which misses torchvision aloud
        cls = getattr(diffusers, TASKS[task])
        try:
            if card.name not in MODELS and not Path(card.name).is_dir():  # before gigabytes of a wrong model come
                _check_task(task, card, tasks_on_hub(card.name))
            parts = _task_parts(card, task, dtype)
        except OSError as error:  # the folder is incomplete, or the hub silent
            raise _not_loaded(card, task, card.ids[task], error) from error
        if task == "controlnet":
            load = partial(from_pretrained, diffusers.ControlNetModel, size="", torch_dtype=dtype)
            parts["controlnet"] = _first(card, task, card.controlnet_ids, load)
        told = card.download_gb and card.ids[task] == card.ids.get("img2img")  # what the card gives the size of
        size = f"about {card.download_gb:g} GB" if told else ""
        load = partial(from_pretrained, cls, size=size, torch_dtype=dtype, **parts)
        pipe = _first(card, task, card.ids[task], load)
    if missing:
        _tell_missing(card, pipe, missing)
    return pipe


def _tell_missing(card: ModelCard, pipe: DiffusionPipeline, notes: list[str]) -> None:
    """Warn of weights that were drawn at random; an ``OSError`` for those that are not there at all."""
    named = {one for note in notes for one in re.findall(r"[A-Z]\w+(?= LOAD REPORT| were not)", note)}
    told = (
        f"Some weights of {card.title} ({', '.join(sorted(named))}) are not in its files, so that its pictures would "
        f"be wrong; it is incomplete, or made for other versions of diffusers and transformers."
    )
    if any(p.is_meta for p in _parameters(pipe)):
        raise OSError(told)
    warnings.warn(told, stacklevel=5)


def _add_few_steps(pipe: DiffusionPipeline, card: ModelCard, task: str) -> None:
    """Let ``pipe`` edit in a few steps (Luo et al. 2023, "LCM-LoRA")."""
    from diffusers import LCMScheduler

    with quiet():  # the other scheduler's settings that this one does not have, and what PEFT says of names
        pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
        _first(card, task, card.few_steps_ids, lambda lora: load_lora_weights(pipe, lora, "0.13 GB", "lcm"))


def _task_parts(card: ModelCard, task: str, dtype: torch.dtype) -> dict:
    """Weights that a folder keeps for one task beside those that all its tasks share, as the classroom model's does."""
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

    folder, options = Path(card.ids[task][0]), {"torch_dtype": dtype, "use_safetensors": True}
    parts = {}
    if (folder / f"unet_{task}").is_dir():
        parts["unet"] = UNet2DConditionModel.from_pretrained(folder, subfolder=f"unet_{task}", **options)
        if task == "upscale":
            parts["low_res_scheduler"] = DDPMScheduler.from_pretrained(folder, subfolder="low_res_scheduler")
            # the UNet denoises at the coarse picture's own size: a VAE of factor 4, beside one of 8 a second one
            home = "vae_upscale" if (folder / "vae_upscale").is_dir() else "vae"
            # the pipeline insists on this scaling factor, and the UNet was trained for it
            parts["vae"] = AutoencoderKL.from_pretrained(folder, subfolder=home, scaling_factor=0.08333, **options)
    return parts


def _first(card: ModelCard, task: str, ids: tuple[str, ...], load: Callable[[str], object]):
    """What ``load`` makes of the first of ``ids`` that can be had."""
    last = None
    for model_id in ids:
        try:
            return load(model_id)
        except Exception as error:  # not found, no connection, a file is missing, damaged or not of this kind
            if is_out_of_memory(error):
                raise
            last = error
    raise _not_loaded(card, task, ids, last) from last


def _not_loaded(card: ModelCard, task: str, ids: tuple[str, ...], error: Exception) -> OSError:
    """One sentence that says what was tried, what happened and what to do."""
    reason, advice = told_by_hub(error)
    if Path(ids[-1]).is_dir():
        advice = "the folder must be complete and hold .safetensors weights"
        if damaged := damaged_file(Path(ids[-1])):
            reason = f"{damaged} is damaged or cut off"
            advice = "download it again, or, if you cloned the model with git, run git lfs pull"
    elif task in MODELS["classroom"].ids:
        advice += ", or use model='classroom', which needs no download"
    return OSError(f"{card.title} could not be loaded (tried {quoted(ids)}): {reason}; {advice}.")


def _use_channels_last(pipe: DiffusionPipeline) -> None:
    """Store convolution weights as CPUs like them; the numbers stay the same."""
    import torch

    for name in ("unet", "vae", "controlnet"):  # transformers have hardly a convolution
        if getattr(pipe, name, None) is not None:
            getattr(pipe, name).to(memory_format=torch.channels_last)
