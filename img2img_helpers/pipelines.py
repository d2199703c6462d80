"""Load a ready diffusers pipeline for a task, wherever the notebook runs."""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .answers import refusal
from .memory import GIB, free_memory, is_out_of_memory
from .models import MODELS, TASKS, ModelCard
from .vocabulary import warn_about_unknown_words

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

DTYPES = ("float32", "float16", "bfloat16")
_HUB_ADVICE = {
    401: "check the id, and if the model is private, log in with the command hf auth login",
    403: "accept the licence on the model's page, then log in with the command hf auth login",
    404: "check the id",
}


def load_pipeline(
    task: str = "img2img", model: str = "auto", *, device: str = "auto", dtype: str | torch.dtype = "auto"
) -> DiffusionPipeline:
    """Load a plain diffusers pipeline and say in one line what was chosen and why.

    Every call loads anew. For another task with the same weights, diffusers' own
    ``AutoPipelineForText2Image.from_pipe(pipe)`` takes no more memory: the two share all parts.

    On a GPU with too little memory the parts wait in main memory and take turns (diffusers' model CPU offload), which
    the line says; a part that you then call by hand wants its inputs on ``pipe._execution_device``.

    The classroom model's pipeline warns, once for each, of words in a prompt that it has never seen.

    Args:
        task: ``img2img``, ``text2img``, ``inpaint``, ``upscale`` or ``controlnet``.
        model: a name in :data:`MODELS`, a hub id, the path of an SD-format folder, or ``auto``:
            Stable Diffusion 1.5 on a GPU, the classroom model without one or when the hub cannot
            be reached. The environment variable ``IMG2IMG_MODEL`` replaces ``auto``.
        device: ``cuda``, ``mps``, ``cpu`` or ``auto``, the first of these that is there. The
            environment variable ``IMG2IMG_DEVICE`` replaces ``auto``.
        dtype: ``float32``, ``float16``, ``bfloat16``, a ``torch.dtype``, or ``auto``: float32 on a
            CPU and for the classroom model; else on CUDA bfloat16 where the GPU has it, or float16;
            on MPS float16.

    Returns:
        A pipeline of diffusers' own class, in evaluation mode, on the device.

    Raises:
        ValueError: for a task, model, device or dtype that is not known; names those that are.
        OSError: when none of a hub model's ids could be loaded; says what to do.

    Example:
        >>> pipe = load_pipeline("img2img", "classroom", device="cpu")
        the classroom model for img2img, float32 on cpu.
        >>> edit = pipe("a lake at night", image=example_image("landscape").resize((128, 128)), strength=0.6).images[0]
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r}; choose one of {_listed(TASKS)}.")
    model = os.environ.get("IMG2IMG_MODEL") or "auto" if model == "auto" else str(model)
    model = model.removeprefix("https://huggingface.co/")  # as copied from a browser
    device, why = pick_device(os.environ.get("IMG2IMG_DEVICE") or "auto" if device == "auto" else device)
    automatic = model == "auto"
    if automatic:
        model = "classroom" if device == "cpu" else "sd15"
    card = _card_for(model)
    if task not in card.ids:
        others = [name for name, other in MODELS.items() if task in other.ids]
        raise ValueError(
            f"The model {card.name!r} cannot do {task!r}, only {_listed(card.ids)}; "
            f"for {task!r} use model={' or '.join(map(repr, others))}."
        )
    try:
        pipe, note = _load_onto(device, card, task, _pick_dtype(dtype, device, card))
    except OSError as error:
        if not automatic:
            raise
        print(f"{error} Using the classroom model instead.")
        card, why = MODELS["classroom"], "it needs no download"
        pipe, note = _load_onto(device, card, task, _pick_dtype(dtype, device, card))
    if device == "cpu":
        _use_channels_last(pipe)
    if card.name == "classroom":
        warn_about_unknown_words(pipe)
    loaded = str(pipe.dtype).removeprefix("torch.")
    print(f"{card.title} for {task}, {loaded} on {device}" + (f" ({why})." if why else ".") + note)
    return pipe


def pick_device(device: str = "auto") -> tuple[str, str]:
    """Resolve ``auto`` to the best device here; returns it and, for ``auto``, the reason."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        best = next(name for name, found in there.items() if found)
        return best, {"cuda": "an NVIDIA GPU", "mps": "an Apple GPU", "cpu": "no GPU"}[best] + " was found"
    device = str(device)
    kind, _, index = device.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not there.get(kind, False) or (index and not (index.isdecimal() and int(index) < count)):
        here = _listed(name for name, found in there.items() if found)
        raise ValueError(f"This computer has no device {device!r}; it has {here}.")
    return ("cpu" if kind == "cpu" else device), ""  # torch also says cpu:0


def _pick_dtype(dtype: str | torch.dtype, device: str, card: ModelCard) -> torch.dtype:
    import torch

    name = str(dtype).removeprefix("torch.")
    if name in DTYPES:
        return getattr(torch, name)
    if dtype != "auto":
        raise ValueError(f"There is no dtype {dtype!r}; choose 'auto', {_listed(DTYPES)}.")
    if device == "cpu" or card.name == "classroom":  # the classroom model is small: nothing to save
        return torch.float32
    if device.startswith("cuda"):
        # emulated bfloat16, which `is_bf16_supported` also reports, is slow: ask for Ampere or newer
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    return torch.float16


def _card_for(model: str) -> ModelCard:
    """The card of a name in MODELS, or one made up for a hub id or a folder."""
    if model in MODELS:
        return MODELS[model]
    if model.startswith("~"):
        model = os.path.expanduser(model)
    if Path(model).suffix.lower() in (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx"):
        raise ValueError(
            f"{model!r} is a single file, and load_pipeline takes a folder in diffusers' format; make one with "
            f"diffusers.StableDiffusionPipeline.from_single_file(…).save_pretrained('my-model')."
        )
    if model and Path(model).is_dir():
        if not (Path(model) / "model_index.json").is_file():
            raise ValueError(f"The folder {model!r} holds no diffusers model: it has no model_index.json.")
    elif model.count("/") != 1 or model.startswith((".", "/", "~")) or model.endswith("/"):
        raise ValueError(
            f"There is no model {model!r}; choose {_listed(MODELS)}, a hub id such as "
            f"'{MODELS['sd15'].ids['img2img'][0]}', or a folder that exists."
        )
    sd15, tasks = MODELS["sd15"], list(TASKS)
    if Path(model).is_dir() and not (Path(model) / "unet_upscale").is_dir():
        try:
            parts = json.loads((Path(model) / "model_index.json").read_text("utf-8"))
            needed = [name for name, home in parts.items() if isinstance(home, list) and home[0]]
        except (ValueError, AttributeError):
            needed = parts = None
        if not needed or "_class_name" not in parts:
            raise ValueError(
                f"The folder {model!r} holds no diffusers model: its model_index.json is damaged; download it again."
            )
        if missing := [name for name in needed if not (Path(model) / name).is_dir()]:
            raise ValueError(f"The folder {model!r} is incomplete: it has no {_listed(missing)}; download it again.")
        if "low_res_scheduler" not in parts:
            tasks.remove("upscale")
    return ModelCard(
        name=model,
        title=model,
        ids=dict.fromkeys(tasks, (model,)),
        controlnet_ids=(str(own),) if (own := Path(model) / "controlnet").is_dir() else sd15.controlnet_ids,
        licence="see the model's page",
        download_gb=0.0,
        memory_gb=sd15.memory_gb,
        native_size=sd15.native_size,
        num_inference_steps=sd15.num_inference_steps,
        guidance_scale=sd15.guidance_scale,
        checked="never",
    )


def _load_onto(device: str, card: ModelCard, task: str, dtype: torch.dtype) -> tuple[DiffusionPipeline, str]:
    """The pipeline on its device, and what to tell of that beyond the ordinary."""
    import torch

    pipe = _load_first(card, task, dtype)
    needed = _memory_needed(pipe, card)
    if _move(pipe, device, needed):
        return pipe, ""
    torch.cuda.empty_cache()
    pipe.enable_model_cpu_offload(device=device)
    pipe.vae.enable_slicing()
    pipe.vae.enable_tiling()
    return pipe, (
        f" It needs {needed / GIB:.1f} GiB, and the GPU has less free beside what is loaded: its parts take turns "
        f"there, which is slower; delete pipelines that you no longer need, or restart other notebooks' kernels."
    )


def _move(pipe: DiffusionPipeline, device: str, needed: float) -> bool:
    """Move ``pipe`` to the device; False if a GPU has no room for it and for the ``needed`` bytes."""
    if device.startswith("cuda") and free_memory(device) < needed:
        return False
    try:
        pipe.to(device)
    except RuntimeError as error:
        if device.startswith("cuda") and is_out_of_memory(error):
            return False
        raise
    return True


def _memory_needed(pipe: DiffusionPipeline, card: ModelCard) -> float:
    """Bytes for the weights and for an edit at native size."""
    weights = sum(p.nbytes for p in _parameters(pipe))
    return max(card.memory_gb * GIB, 1.25 * weights)


def _parameters(pipe: DiffusionPipeline) -> list[torch.nn.Parameter]:
    return [p for part in pipe.components.values() if hasattr(part, "parameters") for p in part.parameters()]


def _load_first(card: ModelCard, task: str, dtype: torch.dtype) -> DiffusionPipeline:
    """Load the first of the card's ids that can be had."""
    import diffusers

    with _quiet() as missing:  # before the classes are named: that imports transformers, which misses torchvision aloud
        cls = {
            "img2img": diffusers.AutoPipelineForImage2Image,
            "text2img": diffusers.AutoPipelineForText2Image,
            "inpaint": diffusers.AutoPipelineForInpainting,
            "upscale": diffusers.StableDiffusionUpscalePipeline,
            "controlnet": diffusers.AutoPipelineForImage2Image,
        }[task]
        try:
            parts = _task_parts(card, task, dtype)
        except OSError as error:  # the folder is incomplete
            raise _not_loaded(card, card.ids[task], error) from error
        if task == "controlnet":
            parts["controlnet"] = _first_of(card, diffusers.ControlNetModel, card.controlnet_ids, dtype)
        pipe = _first_of(card, cls, card.ids[task], dtype, **parts)
    if missing:
        named = {one for note in missing for one in re.findall(r"[A-Z]\w+(?= LOAD REPORT| were not)", note)}
        told = (
            f"Some weights of {card.title} ({', '.join(sorted(named))}) are not in its files, so that its pictures would "
            f"be wrong; it is incomplete, or made for other versions of diffusers and transformers."
        )
        if any(p.is_meta for p in _parameters(pipe)):
            raise OSError(told)
        warnings.warn(told, stacklevel=4)  # drawn at random
    return pipe


def _task_parts(card: ModelCard, task: str, dtype: torch.dtype) -> dict:
    """Weights that a folder keeps for one task beside those that all its tasks share, as the classroom model's does."""
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel

    folder, options = Path(card.ids[task][0]), {"torch_dtype": dtype, "use_safetensors": True}
    parts = {}
    if (folder / f"unet_{task}").is_dir():
        parts["unet"] = UNet2DConditionModel.from_pretrained(folder, subfolder=f"unet_{task}", **options)
        if task == "upscale":
            parts["low_res_scheduler"] = DDPMScheduler.from_pretrained(folder, subfolder="low_res_scheduler")
            # the pipeline insists on this scaling factor, and the UNet was trained for it
            parts["vae"] = AutoencoderKL.from_pretrained(folder, subfolder="vae", scaling_factor=0.08333, **options)
    return parts


def _first_of(card: ModelCard, cls, ids: tuple[str, ...], dtype: torch.dtype, **parts):
    last = None
    for model_id in ids:
        try:
            return _from_pretrained(cls, model_id, dtype, card, **parts)
        except Exception as error:  # not found, no connection, a file is missing, damaged or not of this kind
            if is_out_of_memory(error):
                raise
            last = error
    raise _not_loaded(card, ids, last) from last


def _not_loaded(card: ModelCard, ids: tuple[str, ...], error: Exception) -> OSError:
    """One sentence that says what was tried, what happened and what to do."""
    reason, advice = told_by_hub(error)
    if Path(ids[-1]).is_dir():
        advice = "the folder must be complete and hold .safetensors weights"
        if damaged := _damaged(Path(ids[-1])):
            reason = f"{damaged} is damaged or cut off"
            advice = "download it again, or, if you cloned the model with git, run git lfs pull"
    else:
        advice += ", or use model='classroom', which needs no download"
    return OSError(f"{card.title} could not be loaded (tried {_listed(ids)}): {reason}; {advice}.")


def told_by_hub(error: BaseException) -> tuple[str, str]:
    """What went wrong when something was asked of the hub, and what to do."""
    cause = error
    while cause is not None:  # diffusers says less than the hub's client below it
        if (answer := getattr(cause, "response", None)) is not None:
            said, advice = refusal(answer.status_code, answer.headers, _HUB_ADVICE, "check the id")
            return f"the hub {said}", advice
        cause = cause.__cause__ or cause.__context__
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return reason, "check the internet connection and the id"


def _damaged(folder: Path) -> str:
    """The first weights file of ``folder`` that is none, such as a Git LFS pointer, by its path in there; or nothing."""
    from safetensors import SafetensorError, safe_open

    for file in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError):
            return file.relative_to(folder).as_posix()
    return ""


def _from_pretrained(cls, model_id: str, dtype: torch.dtype, card: ModelCard, **parts):
    """``from_pretrained`` with safe weights only, and half the download where an fp16 variant exists."""
    options = {"torch_dtype": dtype, "use_safetensors": True, **parts}
    if Path(model_id).is_dir():
        has_fp16 = any(Path(model_id).rglob("*.fp16.safetensors"))
        return cls.from_pretrained(model_id, **options, **({"variant": "fp16"} if has_fp16 else {}))
    variants = ({"variant": "fp16"}, {})
    for variant in variants:
        try:
            return cls.from_pretrained(model_id, local_files_only=True, **options, **variant)
        except (ValueError, OSError):  # not downloaded yet, or not in this variant
            pass
    if not hub_answers():
        raise OSError("it is not on this computer, and the hub cannot be reached")
    size = f" (about {card.download_gb:g} GB)" if model_id in card.ids["img2img"] and card.download_gb else ""
    print(f"Downloading {model_id}{size}; next time it is here already.", flush=True)
    with _download_bars():
        for variant in variants:
            try:
                return cls.from_pretrained(model_id, **options, **variant)
            except Exception as error:  # the hub's clients raise their transport library's own errors
                failure = error
                if not isinstance(error, ValueError) and not re.search("file named|variant=", str(error)):
                    break  # it is not the variant that is missing
    raise OSError(f"{type(failure).__name__}: {failure}") from failure


def hub_answers() -> bool:
    """Whether the hub can be reached; the hub's own client would retry for minutes when it cannot."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(constants.ENDPOINT, timeout=5).close()
    except urllib.error.HTTPError:
        return True  # it answered, if only to refuse this page
    except OSError as error:
        # Python from python.org on a Mac may lack certificates, which the hub's own client brings along
        return isinstance(getattr(error, "reason", None), ssl.SSLError)
    return True


def _use_channels_last(pipe: DiffusionPipeline) -> None:
    """Store convolution weights as CPUs like them; the numbers stay the same."""
    import torch

    for name in ("unet", "vae", "controlnet"):  # transformers have hardly a convolution
        if getattr(pipe, name, None) is not None:
            getattr(pipe, name).to(memory_format=torch.channels_last)


@contextmanager
def _quiet():
    """Hold back the libraries' loading bars and notes, which would push the lesson off the screen.

    Yields a list of the notes that weights were missing and have been drawn at random.
    """
    import diffusers
    import transformers

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    before = [(logger.handlers, logger.level) for logger in loggers]
    with_bars = [library for library in libraries if library.is_progress_bar_enabled()]
    heard = _MissingWeights()
    for logger, library in zip(loggers, libraries, strict=True):
        logger.handlers = [heard]
        logger.setLevel(logging.WARNING)
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield heard.notes
    finally:
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers = handlers
            logger.setLevel(level)
        for library in with_bars:
            library.enable_progress_bar()


class _MissingWeights(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage()
        if "newly initialized" in told or "MISSING" in told:
            self.notes.append(told)
        elif record.levelno >= logging.ERROR:
            print(told, file=sys.stderr)


@contextmanager
def _download_bars():
    """Let the hub's bars be seen while gigabytes arrive; :func:`_quiet` has hidden them."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    enable_progress_bars()
    try:
        yield
    finally:
        if were_disabled:
            disable_progress_bars()


def _listed(names) -> str:
    return ", ".join(repr(str(name)) for name in names)
