"""A slider over strength that computes, in a thread of its own so that the page stays usable."""

from __future__ import annotations

import contextlib
import copy
import html
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ipywidgets
from PIL import Image

from ..common.devices import is_out_of_memory, out_of_memory_advice
from ..common.settings import checked, listed, short, text
from .images import load_for
from .measure import BLACK, is_black, structure_similarity
from .strength import NothingRunsError, plan_steps
from .sweep import own_copy, strength_sweep
from .widgets import StaticWidget, encoded, picture_slider

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny, DiffusionPipeline

MAX_SEED = 2**53 - 1  # the largest whole number that a browser keeps
# steps and guidance scale to start with: by whether the pipeline has an LCM-LoRA (Luo et al. 2023, section 3)
DEFAULTS = {True: (4, 1.0), False: (25, 7.5)}


class Cancelled(Exception):
    """An edit that was given up halfway."""


class StrengthExplorer(ipywidgets.VBox):
    """What :func:`strength_explorer` shows; :attr:`result` is the edit in view.

    Each setting's control is an attribute of its name, such as :attr:`num_inference_steps`.
    """

    def __init__(self, pipe: DiffusionPipeline, image: Image.Image, start: dict, preview=None) -> None:
        few = has_few_steps(pipe)
        self._pipes = {few: own_copy(pipe)}
        self._pipes[few].set_progress_bar_config(disable=True)
        # parts that wait in main memory for their turn cannot be shared between two pipelines
        if few and not self._takes_turns():
            self._pipes[False] = _all_steps(self._pipes[True])
        self._image, self._preview = image, preview
        self._made: dict[tuple, tuple[Image.Image, str]] = {}
        self._wanted: tuple | None = None
        self._at_work = threading.Lock()
        self._worker: threading.Thread | None = None  # on what was last asked for
        self.result: Image.Image | None = None

        self._controls = _controls(start | {"few_steps": few})
        vars(self).update(self._controls)
        self.few_steps.observe(lambda _: self._switch(), "value")
        for control in self._controls.values():
            control.observe(lambda _: self._ask(), "value")
        self.few_steps.layout.display = "" if len(self._pipes) > 1 else "none"
        picture = {"value": encoded(image), "format": "png", "layout": {"width": "48%", "object_fit": "contain"}}
        self._edit = ipywidgets.Image(**picture)
        self._told = ipywidgets.HTML()
        self.progress = ipywidgets.IntProgress(0, max=1, layout={"width": "100%"})
        self.cancel = ipywidgets.Button(description="Cancel", icon="stop", disabled=True)
        self.cancel.on_click(lambda _: self._give_up())
        pictures = ipywidgets.HBox(
            [ipywidgets.Image(**picture), self._edit], layout={"justify_content": "space-between"}
        )
        progress = ipywidgets.HBox([self.progress, self.cancel])
        super().__init__([*self._controls.values(), pictures, progress, self._told], layout={"max_width": "640px"})
        self._ask()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.prompt.value!r})"

    @property
    def _pipe(self) -> DiffusionPipeline:
        return self._pipes[self.few_steps.value]

    def _takes_turns(self) -> bool:
        return any(hasattr(part, "_hf_hook") for pipe in self._pipes.values() for part in pipe.components.values())

    def _switch(self) -> None:
        """Bring the other sliders to where few steps, or many, belong, before anything is asked for."""
        with contextlib.ExitStack() as held:
            for widget in (self.num_inference_steps, self.guidance_scale):
                held.enter_context(widget.hold_trait_notifications())
            self.num_inference_steps.value, self.guidance_scale.value = DEFAULTS[self.few_steps.value]

    def _ask(self) -> None:
        """Show what the settings ask for: at once if it has been made, else as soon as it is."""
        key = tuple(control.value for control in self._controls.values())
        self._wanted = key  # what runs gives up
        if key in self._made:
            self._show(key)
        elif self._takes_turns():  # with model offload a call ends by moving all parts: none may run beside it
            self._work(key)
        else:
            self._worker = threading.Thread(target=self._work, args=(key,), daemon=True)
            self._worker.start()

    def _give_up(self) -> None:
        self._wanted = None
        self._told.value = "Cancelled. Move a slider to go on."

    def _work(self, key: tuple) -> None:
        """Wait until no other edit is being made, then make this one if it is still wanted."""
        with self._at_work:
            if key != self._wanted or key in self._made:
                return
            try:
                self._made[key] = self._make(key)
            except Cancelled:
                pass
            except Exception as error:  # whatever it is, the widget says it and stays usable
                self._failed(error)
            self.cancel.disabled, self.progress.value = True, 0
            if key == self._wanted and key in self._made:
                self._show(key)

    def _failed(self, error: Exception) -> None:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        if is_out_of_memory(error):
            told = out_of_memory_advice(self._pipe, *self._image.size)
        self._told.value = f"<span role='alert'>{html.escape(told)}</span>"

    def _make(self, key: tuple) -> tuple[Image.Image, str]:
        import torch

        call = dict(zip(self._controls, key, strict=True))
        pipe, generator = self._pipes[call.pop("few_steps")], torch.Generator().manual_seed(call.pop("seed"))
        plan = plan_steps(pipe, call["strength"], call["num_inference_steps"])
        self.cancel.disabled = False
        self.progress.max, self.progress.value = plan.unet_calls, 0

        def step(_pipe, number: int, _timestep, tensors: dict) -> dict:
            if self._wanted != key:
                raise Cancelled
            self.progress.value = number + 1
            if self._preview is not None:
                self._edit.value = encoded(_decoded(self._preview, pipe, tensors["latents"]))
            return tensors

        edit = pipe(image=self._image, generator=generator, callback_on_step_end=step, **call).images[0]
        told = (
            f"<b>{plan.steps_run} of {plan.num_inference_steps} steps</b> run, from timestep {plan.start_timestep:g}, where "
            f"{plan.signal_kept:.0%} of the signal is left: {plan.unet_calls} UNet calls. "
            f"<b>{_kept(self._image, edit)}</b>"
        )
        return edit, told

    def _show(self, key: tuple) -> None:
        self.result, told = self._made[key]
        self._edit.value, self._told.value = encoded(self.result), told


def _controls(start: dict) -> dict[str, ipywidgets.DOMWidget]:
    """A control for each setting, by its name, with the value to ``start`` with."""
    scale, steps = start["guidance_scale"], start["num_inference_steps"]
    typed = {"continuous_update": False}
    kinds = {
        "strength": ("strength", ipywidgets.FloatSlider, {"min": 0, "max": 1, "step": 0.05}),
        "prompt": ("prompt", ipywidgets.Text, typed),
        "negative_prompt": ("negative prompt", ipywidgets.Text, typed),
        "guidance_scale": (
            "guidance scale", ipywidgets.FloatSlider, {"min": min(1, scale), "max": max(15, scale), "step": 0.5},
        ),
        "num_inference_steps": ("steps", ipywidgets.IntSlider, {"min": 1, "max": max(100, steps)}),
        "seed": ("seed", ipywidgets.BoundedIntText, {"min": 0, "max": MAX_SEED}),
        "few_steps": ("few steps (LCM-LoRA)", ipywidgets.Checkbox, {}),
    }  # fmt: skip
    wide = {"layout": {"width": "auto"}, "style": {"description_width": "110px"}}
    return {
        name: kind(value=start[name], description=label, **options, **wide)
        for name, (label, kind, options) in kinds.items()
    }


def _decoded(preview, pipe: DiffusionPipeline, latents) -> Image.Image:
    """What a small decoder makes of a pipeline's latents, which have unit deviation."""
    import torch

    with torch.no_grad():
        shown = preview.decode(latents.to(preview.device, preview.dtype) / preview.config.scaling_factor).sample
    return pipe.image_processor.postprocess(shown)[0]


def _kept(image: Image.Image, edit: Image.Image) -> str:
    """How much of ``image`` an edit kept; of a black one, why there is nothing to measure."""
    return BLACK if is_black(edit) else f"Structure kept: {structure_similarity(image, edit):.2f}"


def has_few_steps(pipe: DiffusionPipeline) -> bool:
    """Whether ``pipe`` is one of ``load_pipeline(few_steps=True)``, or like it: the LCM scheduler and an adapter."""
    return type(pipe.scheduler).__name__ == "LCMScheduler" and bool(getattr(pipe.unet, "peft_config", None))


def _all_steps(pipe: DiffusionPipeline) -> DiffusionPipeline:
    """``pipe`` as it was without the adapter, which stays on yours; the weights are the same."""
    from diffusers import DDIMScheduler

    full = copy.copy(pipe)
    full.unet = copy.deepcopy(pipe.unet, {id(weight): weight for weight in pipe.unet.parameters()})
    full.unet.unload_lora()
    full.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    return full


def strength_explorer(
    pipe: DiffusionPipeline,
    image,
    prompt: str,
    *,
    negative_prompt: str = "",
    strength: float = 0.5,
    seed: int = 0,
    guidance_scale: float | None = None,
    num_inference_steps: int | None = None,
    preview: AutoencoderTiny | None = None,
    precompute: Sequence[float] | None = None,
) -> StrengthExplorer | StaticWidget:
    """A slider over strength: the edit beside the original, what really runs, and how much structure is kept.

    Edits are made while the page stays usable; the latest setting wins, and what was made once is shown at once.

    Args:
        pipe: an img2img pipeline. One of ``load_pipeline(few_steps=True)`` makes edits in a fraction of the time; the
            widget then has a switch to all steps, without the LoRA.
        image: anything :func:`~img2img_helpers.load_image` takes, of a size that ``pipe`` takes.
        prompt, negative_prompt, strength, seed, guidance_scale, num_inference_steps: to start with; all can be
            changed in the widget. None for the last two is 7.5 and 25, for a pipeline of few steps 1 and 4.
        preview: a small decoder for the model's latents, such as ``AutoencoderTiny.from_pretrained("madebyollin/taesd")``
            for Stable Diffusion 1.5: the picture is then seen emerging, after each step.
        precompute: strengths to make first, with a progress bar. The slider then has these alone and needs no
            kernel: for a page, or a projector.

    Raises:
        ValueError: if the image has a size that ``pipe`` would cut, a setting is out of range, ``preview`` decodes
            nothing, or a strength to precompute runs no step.

    Example:
        >>> image = prepare_image(example_image("landscape"), 192).image
        >>> explorer = strength_explorer(pipe, image, "watercolor painting", num_inference_steps=5)
    """
    image = load_for(pipe, image)
    if not callable(getattr(preview, "decode", None)) and preview is not None:
        raise ValueError(f"preview must be a decoder, such as diffusers' AutoencoderTiny, not {short(preview)}.")
    steps, scale = DEFAULTS[has_few_steps(pipe)]
    start = {
        "prompt": text("prompt", prompt),
        "negative_prompt": text("negative_prompt", negative_prompt or ""),
        "strength": strength,
        "seed": checked("seed", seed, high=MAX_SEED),
        "guidance_scale": checked("guidance_scale", scale if guidance_scale is None else guidance_scale),
        "num_inference_steps": steps if num_inference_steps is None else num_inference_steps,
    }
    with contextlib.suppress(NothingRunsError):  # the widget says it, and a slider mends it
        plan_steps(pipe, strength, start["num_inference_steps"])
    if precompute is None:
        return StrengthExplorer(pipe, image, start, preview)
    return _precomputed(pipe, image, [checked("strength", s) for s in listed("precompute", precompute)], start)


def _precomputed(pipe, image: Image.Image, strengths: list[float], start: dict) -> StaticWidget:
    call = {name: value for name, value in start.items() if name not in ("prompt", "strength")}
    edits = strength_sweep(pipe, start["prompt"], image, strengths, **call)
    captions = []
    for strength, edit in zip(strengths, edits, strict=True):
        plan = plan_steps(pipe, strength, start["num_inference_steps"])
        captions.append(
            f"{plan.steps_run} of {start['num_inference_steps']} steps run, from timestep {plan.start_timestep:g}. "
            f"{_kept(image, edit)}"
        )
    middle = min(range(len(strengths)), key=lambda i: abs(strengths[i] - start["strength"]))
    return picture_slider(edits, [f"{s:g}" for s in strengths], captions=captions, beside=image, selected=middle)
