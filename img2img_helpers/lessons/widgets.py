"""Widgets: a strength slider that computes, pictures to slide through or to compare, a mask to paint.

:func:`picture_slider` and :func:`before_after` are plain HTML, for every page. The others need a kernel: in
JupyterLab, or in Colab, where anywidget turns on the manager that ``paint_mask`` needs.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import html
import io
import threading
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import anywidget
import ipywidgets
import traitlets
from IPython.display import HTML
from PIL import Image

from ..common.devices import is_out_of_memory, out_of_memory_advice
from ..common.settings import checked, listed, number, text
from .images import load_for, load_image, load_mask
from .measure import structure_similarity
from .strength import NothingRunsError, plan_steps

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

MAX_SEED = 2**53 - 1  # the largest whole number that a browser keeps
FRONTEND = Path(__file__).parent / "frontend"


def _encoded(image: Image.Image, kind: str = "png", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def _url(image: Image.Image, kind: str = "png", **options: int) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(_encoded(image, kind, **options)).decode()}"


def _small_url(image: Image.Image, width: int) -> str:
    """For looking at only, ``width`` pixels wide: no more than a sharp screen shows, and a sixth of a PNG's size."""
    shown = image.copy()
    shown.thumbnail((2 * width, 10 * width), reducing_gap=2)
    return _url(shown, "webp", quality=90)


def _screen_width(width) -> int:
    return int(number("width", width, 16, 4096, "it is in the screen's pixels"))


class StaticWidget(HTML):
    """HTML that moves by itself, without kernel and widget manager: on a page, in Colab, in a trusted JupyterLab."""

    def __init__(self, template: str, *, alt: str, markup: dict[str, str] | None = None, **values: object) -> None:
        """Fill in a file of ``frontend``: ``markup`` as it stands, ``alt`` and the other ``values`` as text."""
        texts = {name: html.escape(str(value)) for name, value in {**values, "alt": alt}.items()}
        super().__init__(Template((FRONTEND / template).read_text("utf-8")).substitute(texts | (markup or {})))
        self.alt = alt

    def __repr__(self) -> str:  # not the pictures in it, which every notebook would carry twice
        return self.alt


def before_after(
    before, after, labels: Sequence[str] = ("before", "after"), *, width: int = 480, alt: str = ""
) -> StaticWidget:
    """Two pictures on top of each other with a divider to drag, or to move with the arrow keys.

    Also works on a page without a kernel.

    Args:
        before, after: anything :func:`~img2img_helpers.load_image` takes, of one shape; the sizes may differ.
        labels: what to write on the left and on the right.
        width: on the screen, in pixels.
        alt: what is compared, for those who cannot see it.

    Raises:
        ValueError: if one picture is of another shape than the other, or there are not two labels.

    Example:
        >>> divider = before_after(example_image("landscape"), example_image("night"), ["day", "night"])
    """
    before, after, labels = load_image(before), load_image(after), listed("labels", labels)
    width = _screen_width(width)
    if len(labels) != 2 or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"before_after needs two labels, one for each picture, not {labels!r}.")
    ratio = (before.width / before.height) / (after.width / after.height)
    if not 0.98 <= ratio <= 1.02:
        raise ValueError(
            f"before_after lays two pictures on top of each other, so they must have one shape, not "
            f"{before.width}×{before.height} and {after.width}×{after.height}; restore the edit to the original's size."
        )
    left, right = labels
    return StaticWidget(
        "before_after.html",
        before=_small_url(before, width),
        after=_small_url(after, width),
        left=left,
        right=right,
        width=width,
        alt=alt or f"a comparison of two pictures: {left} and {right}",
    )


def picture_slider(
    images: Sequence,
    labels: Sequence[str],
    *,
    name: str = "strength",
    captions: Sequence[str] = (),
    beside=None,
    selected: int | None = None,
    width: int = 0,
    alt: str = "",
) -> StaticWidget:
    """Pictures that were made already, one at a time, chosen by a slider.

    Also works on a page without a kernel.

    Args:
        images: anything :func:`~img2img_helpers.load_image` takes, in the slider's order.
        labels: what the slider says at each picture, such as its strength.
        name: what the slider changes.
        captions: a line below each picture, or none.
        beside: a picture that stays in view, such as the input.
        selected: the picture to begin with, from 0; the middle one if left out.
        width: on the screen, in pixels; 320 for each picture in view if left out.
        alt: what is compared, for those who cannot see it; made from name and labels if empty.

    Raises:
        ValueError: for no images, or another number of labels or captions than of images.

    Example:
        >>> pictures = [example_image(name) for name in ("landscape", "night")]
        >>> slider = picture_slider(pictures, ["day", "night"], name="light")
    """
    images = [load_image(image) for image in listed("images", images)]
    labels = [str(label) for label in listed("labels", labels)]
    captions = [str(caption) for caption in listed("captions", captions or ())] or [""] * len(images)
    if not images or not len(images) == len(labels) == len(captions):
        raise ValueError(
            f"picture_slider needs at least one image, one label for each and one caption for each or none, not "
            f"{len(images)} images, {len(labels)} labels and {len(captions)} captions."
        )
    selected = len(images) // 2 if selected is None else selected
    selected = number("selected", selected, 0, len(images) - 1, "it counts the images from 0", whole=True)
    width = _screen_width(width or (320 if beside is None else 640))
    frames = "".join(
        f'<img src="{_small_url(image, width)}" alt="{html.escape(f"{name} {label}")}" data-label="{html.escape(label)}" '
        f'data-caption="{html.escape(caption)}"{"" if i == selected else " hidden"}>'
        for i, (image, label, caption) in enumerate(zip(images, labels, captions, strict=True))
    )
    still = "" if beside is None else f'<div><img src="{_small_url(load_image(beside), width)}" alt="the input"></div>'
    return StaticWidget(
        "picture_slider.html",
        markup={"frames": frames, "beside": still},
        name=name,
        last=len(images) - 1,
        selected=selected,
        label=labels[selected],
        caption=captions[selected],
        width=width,
        alt=alt or f"A slider over {name}: {', '.join(labels)}",
    )


class MaskPainter(anywidget.AnyWidget):
    """What :func:`paint_mask` shows; :attr:`mask` is what has been painted so far."""

    _esm = FRONTEND / "paint_mask.js"
    _css = FRONTEND / "paint_mask.css"
    image = traitlets.Unicode().tag(sync=True)
    size = traitlets.List(traitlets.Int()).tag(sync=True)
    width = traitlets.Int(384).tag(sync=True)
    brush = traitlets.Int().tag(sync=True)
    data = traitlets.Unicode("").tag(sync=True)  # the mask as a PNG whose opaque pixels are painted; "" if none are

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size[0]}×{self.size[1]})"

    @property
    def mask(self) -> Image.Image:
        """What has been painted, 255, on black, 0: mode ``L``, of exactly the image's size."""
        if not self.data:
            return Image.new("L", tuple(self.size), 0)
        return load_mask(self.data)

    @mask.setter
    def mask(self, mask) -> None:
        mask = load_mask(mask, tuple(self.size))
        drawn = Image.new("RGBA", mask.size, "white")
        drawn.putalpha(mask)
        self.data = _url(drawn)


def paint_mask(image, mask=None, *, brush: int | None = None, width: int = 384) -> MaskPainter:
    """Paint a mask on a picture, with the mouse, a pen or a finger: draw, erase, undo, clear, invert.

    Show the result as a cell's last line, paint, and read its ``mask`` in a later cell.

    Args:
        image: anything :func:`~img2img_helpers.load_image` takes.
        mask: to start from, white or opaque where painted; nothing if left out.
        brush: its width in the image's pixels, at first; a tenth of the image if left out.
        width: on the screen, in pixels.

    Raises:
        ValueError: if ``mask`` has another shape than ``image``.

    Example:
        >>> painter = paint_mask(example_image("car"), example_mask("car"))
        >>> painter.mask.size
        (512, 512)
    """
    image, width = load_image(image), _screen_width(width)
    if brush is not None:
        brush = number("brush", brush, 1, max(image.size), "it is a width in the image's pixels", whole=True)
    painter = MaskPainter(
        image=_small_url(image, width), size=list(image.size), brush=brush or max(1, max(image.size) // 10), width=width
    )
    if mask is not None:
        painter.mask = mask
    return painter


class Cancelled(Exception):
    """An edit that was given up halfway."""


class StrengthExplorer(ipywidgets.VBox):
    """What :func:`strength_explorer` shows; :attr:`result` is the edit in view."""

    def __init__(self, pipe: DiffusionPipeline, image: Image.Image, start: dict) -> None:
        # the same weights, another scheduler: a cell may call yours in the meantime
        self._pipe = copy.copy(pipe)
        self._pipe.scheduler = copy.deepcopy(pipe.scheduler)
        self._pipe.set_progress_bar_config(disable=True)
        self._image = image
        self._made: dict[tuple, tuple[Image.Image, str]] = {}
        self._wanted: tuple | None = None
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self.result: Image.Image | None = None

        wide = {"layout": {"width": "auto"}, "style": {"description_width": "110px"}}
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
            self.strength, self.prompt, self.negative_prompt, self.guidance_scale, self.num_inference_steps, self.seed
        )  # fmt: skip
        picture = {"layout": {"width": "48%", "object_fit": "contain"}}
        self._edit = ipywidgets.Image(value=_encoded(image), format="png", **picture)
        self._told = ipywidgets.HTML()
        self.progress = ipywidgets.IntProgress(0, max=1, layout={"width": "100%"})
        self.cancel = ipywidgets.Button(description="Cancel", icon="stop", disabled=True)
        pictures = [ipywidgets.Image(value=_encoded(image), format="png", **picture), self._edit]
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

    def _ask(self) -> None:
        """Show what the settings ask for: at once if it has been made, else as soon as it is."""
        key = tuple(widget.value for widget in self.settings)
        # with model offload a call ends by moving all parts, so that none may run beside it
        alone = any(hasattr(part, "_hf_hook") for part in self._pipe.components.values())
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

        strength, prompt, negative_prompt, guidance_scale, steps, seed = key
        plan = plan_steps(self._pipe, strength, steps)
        self.cancel.disabled = False
        self.progress.max, self.progress.value = plan.unet_calls, 0

        def step(_pipe, number: int, _timestep, tensors: dict) -> dict:
            if self._wanted != key:
                raise Cancelled
            self.progress.value = number + 1
            return tensors

        edit = self._pipe(
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
        self._edit.value, self._told.value = _encoded(self.result), told


def strength_explorer(
    pipe: DiffusionPipeline,
    image,
    prompt: str,
    *,
    negative_prompt: str = "",
    strength: float = 0.5,
    seed: int = 0,
    guidance_scale: float = 7.5,
    num_inference_steps: int = 25,
    precompute: Sequence[float] | None = None,
) -> StrengthExplorer | StaticWidget:
    """A slider over strength: the edit beside the original, what really runs, and how much structure is kept.

    Edits are made while the page stays usable; the latest setting wins, and what was made once is shown at once.

    Args:
        pipe: an img2img pipeline.
        image: anything :func:`~img2img_helpers.load_image` takes, of a size that ``pipe`` takes.
        prompt, negative_prompt, strength, seed, guidance_scale, num_inference_steps: to start with; all can be
            changed in the widget.
        precompute: strengths to make first, with a progress bar. The slider then has these alone and needs no
            kernel: for a page, or a projector.

    Raises:
        ValueError: if the image has a size that ``pipe`` would cut, a setting is out of range, or a strength to
            precompute runs no step.

    Example:
        >>> image = prepare_image(example_image("landscape"), 128).image
        >>> explorer = strength_explorer(pipe, image, "watercolor painting", num_inference_steps=5)
    """
    image = load_for(pipe, image)
    prompt, negative_prompt = text("prompt", prompt), text("negative_prompt", negative_prompt or "")
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
        return StrengthExplorer(pipe, image, start)
    return _precomputed(pipe, image, [checked("strength", s) for s in listed("precompute", precompute)], start)


def _precomputed(pipe, image: Image.Image, strengths: list[float], start: dict) -> StaticWidget:
    from .sweep import strength_sweep

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
