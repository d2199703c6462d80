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
from .measure import structure_similarity
from .strength import NothingRunsError, plan_steps
from .sweep import strength_sweep
from .widgets import StaticWidget, encoded, picture_slider

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny, DiffusionPipeline

MAX_SEED = 2**53 - 1  # the largest whole number that a browser keeps
# steps and guidance scale to start with: by whether the pipeline has an LCM-LoRA (Luo et al. 2023, section 3)
DEFAULTS = {True: (4, 1.0), False: (25, 7.5)}


class Cancelled(Exception):
    """An edit that was given up halfway."""


class StrengthExplorer(ipywidgets.VBox):
    """What :func:`strength_explorer` shows; :attr:`result` is the edit in view."""

    def __init__(self, pipe: DiffusionPipeline, image: Image.Image, start: dict, preview=None) -> None:
        few = has_few_steps(pipe)
        self._pipes = {few: _own(pipe)}
        # parts that wait in main memory for their turn cannot be shared between two pipelines
        if few and not self._takes_turns():
            self._pipes[False] = _all_steps(self._pipes[True])
        self._image, self._preview = image, preview
        self._made: dict[tuple, tuple[Image.Image, str]] = {}
        self._wanted: tuple | None = None
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self.result: Image.Image | None = None

        wide = {"layout": {"width": "auto"}, "style": {"description_width": "110px"}}
        self.few_steps = ipywidgets.Checkbox(
            few,
            description="few steps (LCM-LoRA)",
            style={"description_width": "110px"},
            layout={"display": "" if len(self._pipes) > 1 else "none"},
        )
        self.strength = ipywidgets.FloatSlider(
            start["strength"], min=0, max=1, step=0.05, description="strength", **wide
        )
        self.prompt = ipywidgets.Text(start["prompt"], description="prompt", continuous_update=False, **wide)
        self.negative_prompt = ipywidgets.Text(
            start["negative_prompt"], description="negative prompt", continuous_update=False, **wide
        )
        self.guidance_scale = ipywidgets.FloatSlider(
            start["guidance_scale"],
            min=min(1, start["guidance_scale"]),
            max=max(15, start["guidance_scale"]),
            step=0.5,
            description="guidance scale",
            **wide,
        )
        self.num_inference_steps = ipywidgets.IntSlider(
            start["num_inference_steps"], min=1, max=max(100, start["num_inference_steps"]), description="steps", **wide
        )
        self.seed = ipywidgets.BoundedIntText(start["seed"], min=0, max=MAX_SEED, description="seed", **wide)
        self.settings = (
            self.strength, self.prompt, self.negative_prompt, self.guidance_scale, self.num_inference_steps, self.seed,
            self.few_steps,
        )  # fmt: skip
        picture = {"layout": {"width": "48%", "object_fit": "contain"}}
        self._edit = ipywidgets.Image(value=encoded(image), format="png", **picture)
        self._told = ipywidgets.HTML()
        self.progress = ipywidgets.IntProgress(0, max=1, layout={"width": "100%"})
        self.cancel = ipywidgets.Button(description="Cancel", icon="stop", disabled=True)
        pictures = [ipywidgets.Image(value=encoded(image), format="png", **picture), self._edit]
        self.few_steps.observe(lambda _: self._switch(), "value")
        for widget in self.settings:
            widget.observe(lambda _: self._ask(), "value")
        self.cancel.on_click(lambda _: self._give_up())
        super().__init__(
            [
                *self.settings,
                ipywidgets.HBox(pictures, layout={"justify_content": "space-between"}),
                ipywidgets.HBox([self.progress, self.cancel]),
                self._told,
            ],
            layout={"max_width": "640px"},
        )
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
        key = tuple(widget.value for widget in self.settings)
        # with model offload a call ends by moving all parts, so that none may run beside it
        alone = self._takes_turns()
        with self._lock:
            self._wanted = key  # whatever waited before is dropped, and what runs gives up
            if not alone and key not in self._made and (self._worker is None or not self._worker.is_alive()):
                self._worker = threading.Thread(target=self._work, daemon=True)
                self._worker.start()
        if alone:
            self._work()
        if key in self._made:
            self._show(key)

    def _give_up(self) -> None:
        with self._lock:
            self._wanted = None
        self._told.value = "Cancelled. Move a slider to go on."

    def _work(self) -> None:
        while True:
            with self._lock:
                key = self._wanted
                if key is None or key in self._made:
                    self._worker, self.cancel.disabled, self.progress.value = None, True, 0
                    return
            try:
                self._made[key] = self._make(key)
            except Cancelled:
                continue
            except Exception as error:  # whatever it is, the widget says it and stays usable
                self._failed(key, error)
                continue
            if key == self._wanted:
                self._show(key)

    def _failed(self, key: tuple, error: Exception) -> None:
        with self._lock:
            if self._wanted == key:
                self._wanted = None
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        if is_out_of_memory(error):
            told = out_of_memory_advice(self._pipe, *self._image.size)
        self._told.value = f"<span role='alert'>{html.escape(told)}</span>"

    def _make(self, key: tuple) -> tuple[Image.Image, str]:
        import torch

        strength, prompt, negative_prompt, guidance_scale, steps, seed, few_steps = key
        pipe = self._pipes[few_steps]
        plan = plan_steps(pipe, strength, steps)
        self.cancel.disabled = False
        self.progress.max, self.progress.value = plan.unet_calls, 0

        def step(_pipe, number: int, _timestep, tensors: dict) -> dict:
            if self._wanted != key:
                raise Cancelled
            self.progress.value = number + 1
            if self._preview is not None:
                self._edit.value = encoded(_decoded(self._preview, pipe, tensors["latents"]))
            return tensors

        edit = pipe(
            prompt=prompt,
            negative_prompt=negative_prompt,
            image=self._image,
            strength=strength,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=step,
        ).images[0]
        kept = structure_similarity(self._image, edit)
        told = (
            f"<b>{plan.steps_run} of {steps} steps</b> run, from timestep {plan.start_timestep:g}, where "
            f"{plan.signal_kept:.0%} of the signal is left: {plan.unet_calls} UNet calls. "
            f"<b>Structure kept: {kept:.2f}</b>"
        )
        return edit, told

    def _show(self, key: tuple) -> None:
        self.result, told = self._made[key]
        self._edit.value, self._told.value = encoded(self.result), told


def _decoded(preview, pipe: DiffusionPipeline, latents) -> Image.Image:
    """What a small decoder makes of a pipeline's latents, which have unit deviation."""
    import torch

    with torch.no_grad():
        shown = preview.decode(latents.to(preview.device, preview.dtype) / preview.config.scaling_factor).sample
    return pipe.image_processor.postprocess(shown)[0]


def has_few_steps(pipe: DiffusionPipeline) -> bool:
    """Whether ``pipe`` is one of ``load_pipeline(few_steps=True)``, or like it: the LCM scheduler and an adapter."""
    return type(pipe.scheduler).__name__ == "LCMScheduler" and bool(getattr(pipe.unet, "peft_config", None))


def _own(pipe: DiffusionPipeline) -> DiffusionPipeline:
    """The same weights, another scheduler: a cell may call yours in the meantime."""
    own = copy.copy(pipe)
    own.scheduler = copy.deepcopy(pipe.scheduler)
    own.set_progress_bar_config(disable=True)
    return own


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
    prompt, negative_prompt = text("prompt", prompt), text("negative_prompt", negative_prompt or "")
    steps, scale = DEFAULTS[has_few_steps(pipe)]
    num_inference_steps = steps if num_inference_steps is None else num_inference_steps
    guidance_scale = scale if guidance_scale is None else guidance_scale
    seed = checked("seed", seed, high=MAX_SEED)
    guidance_scale = checked("guidance_scale", guidance_scale)
    with contextlib.suppress(NothingRunsError):  # the widget says it, and a slider mends it
        plan_steps(pipe, strength, num_inference_steps)
    start = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "strength": strength,
        "seed": seed,
        "guidance_scale": guidance_scale,
        "num_inference_steps": num_inference_steps,
    }
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
            f"Structure kept: {structure_similarity(image, edit):.2f}"
        )
    middle = min(range(len(strengths)), key=lambda i: abs(strengths[i] - start["strength"]))
    return picture_slider(edits, [f"{s:g}" for s in strengths], captions=captions, beside=image, selected=middle)
