"""Widgets: pictures to slide through or to compare, a mask to paint.

:func:`picture_slider` and :func:`before_after` are plain HTML, for every page. :func:`paint_mask` needs a kernel: in
JupyterLab, or in Colab, where anywidget turns on the manager that it needs.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from string import Template

import anywidget
import traitlets
from IPython.display import HTML
from PIL import Image

from ..common.settings import listed, number
from .images import load_image, load_mask

FRONTEND = Path(__file__).parent / "frontend"


def encoded(image: Image.Image, kind: str = "png", **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def _url(image: Image.Image, kind: str = "png", **options: int) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(encoded(image, kind, **options)).decode()}"


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
