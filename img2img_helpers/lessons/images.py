"""Images in: whatever a learner has, as RGB of a size that the model takes, and back again."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..common.pictures import fits_in_memory, open_picture
from ..common.rgb import has_transparency, to_rgb, upright
from ..common.settings import listed, number, short

EXAMPLES = Path(__file__).parent.parent / "examples"
FITS = ("pad", "crop", "stretch")


def load_image(source) -> Image.Image:
    """Turn what you have into an RGB ``PIL.Image``.

    Args:
        source: a path, an http(s) or file URL, a data URI, the bytes of a file, an open file, a ``PIL.Image``, an
            array or tensor (height, width), (height, width, 1, 3 or 4) or (1, 3 or 4, height, width), also as a batch
            of one, of uint8, uint16 or floats from 0 to 1, or the value of an ``ipywidgets.FileUpload`` or of Colab's
            ``files.upload()``.

    Returns:
        An upright image in sRGB: EXIF rotation and a colour profile are applied, transparency is laid on white,
        16-bit, CMYK, grey and palette images are converted.

    Raises:
        FileNotFoundError, ValueError: in one sentence, what was wrong and what works.

    Example:
        >>> load_image(example_image("car").convert("L")).mode
        'RGB'
    """
    return to_rgb(open_picture(source))


def load_for(pipe, source) -> Image.Image:
    """:func:`load_image`, but refusing a size that ``pipe`` would cut.

    Raises:
        ValueError: if ``pipe`` is not for img2img, or a side is no multiple of ``pipe.vae_scale_factor``; says what to do.
    """
    takes = inspect.signature(type(pipe).__call__).parameters if callable(pipe) else {}
    edits = "strength" in takes or any(each.kind == each.VAR_KEYWORD for each in takes.values())
    if not edits or {"mask_image", "control_image"} & takes.keys():  # which nobody here could give it
        raise ValueError(
            f"An edit needs an img2img pipeline, not {type(pipe).__name__}; load_pipeline('img2img') gives one."
        )
    image, factor = load_image(source), pipe.vae_scale_factor
    if image.width % factor or image.height % factor:
        raise ValueError(
            f"The image is {image.width}×{image.height}, but the sides must be multiples of {factor}; "
            f"use prepare_image(image, size).image."
        )
    return image


def example_names() -> list[str]:
    """The names of the bundled example images: ``cat`` and ``coffee`` are photographs, a program painted the others.

    Example:
        >>> "car" in example_names()
        True
    """
    return sorted(path.stem for path in _pictures() if not path.stem.endswith("_mask"))


def example_image(name: str) -> Image.Image:
    """A bundled example image, 512×512 RGB; :func:`example_names` lists them.

    Example:
        >>> example_image("car").size
        (512, 512)
    """
    return load_image(_example(name))


def example_mask(name: str) -> Image.Image:
    """The mask of an example's main object, 512×512 ``L``: 255 on the object, 0 elsewhere.

    Raises:
        ValueError: for ``cat``, which fills its picture and has no mask; names those that have one.

    Example:
        >>> example_mask("car").getextrema()
        (0, 255)
    """
    path = _example(name).with_name(f"{name}_mask.png")
    if not path.is_file():
        masked = ", ".join(each for each in example_names() if path.with_name(f"{each}_mask.png").is_file())
        raise ValueError(f"The example {name!r} has no mask; choose one of {masked}, or paint one with paint_mask.")
    with Image.open(path) as mask:
        return mask.convert("L")


def _pictures() -> list[Path]:
    return [path for path in EXAMPLES.iterdir() if path.suffix in (".jpg", ".png")]


def _example(name: str) -> Path:
    if name not in example_names():
        raise ValueError(f"There is no example image {name!r}; choose one of {', '.join(example_names())}.")
    return next(path for path in _pictures() if path.stem == name)


@dataclass(frozen=True)
class PreparedImage:
    """An image at a model's size, and the way back.

    Attributes:
        image: RGB, of the size asked for.
        original: the image as it came.
        fit: ``pad``, ``crop`` or ``stretch``.
        box: left, top, right, bottom of the original's content within ``image``, in its pixels; for
            ``crop`` it reaches beyond the edges.

    Example:
        >>> photo = example_image("car").resize((600, 400))
        >>> prepared = prepare_image(photo, 192)
        >>> prepared.restore(prepared.image).size
        (600, 400)
    """

    image: Image.Image
    original: Image.Image
    fit: str
    box: tuple[float, float, float, float]

    def mask(self, mask) -> Image.Image:
        """Bring a mask of the original to :attr:`image`: same place, black in the padding, nothing between 0 and 255.

        Args:
            mask: as for :func:`load_mask`, of the original's shape.
        """
        mask = load_mask(mask, self.original.size)
        left, top, right, bottom = self.box
        placed = Image.new("L", self.image.size, 0)
        placed.paste(mask.resize((round(right - left), round(bottom - top)), Image.Resampling.NEAREST), (left, top))
        return placed

    def restore(self, result) -> Image.Image:
        """Give an edit of :attr:`image` the original's exact size and aspect.

        Padding is cut off. What a crop left out is taken from the original. ``result`` may be
        larger or smaller than :attr:`image` (an upscaled edit, say).
        """
        result = load_image(result)
        scale_x, scale_y = result.width / self.image.width, result.height / self.image.height
        left, top, right, bottom = self.box
        if self.fit != "crop":
            box = (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y)
            return result.resize(self.original.size, Image.Resampling.LANCZOS, box=box)
        # where in the original, in its pixels, the prepared image lies
        wide, high = self.original.width / (right - left), self.original.height / (bottom - top)
        corner = (round(-left * wide), round(-top * high))
        end = (round((self.image.width - left) * wide), round((self.image.height - top) * high))
        shown = tuple(max(1, last - first) for first, last in zip(corner, end, strict=True))
        whole = self.original.copy()
        whole.paste(result.resize(shown, Image.Resampling.LANCZOS), corner)
        return whole


def prepare_image(image, size: int | tuple[int, int], fit: str = "pad") -> PreparedImage:
    """Bring an image to a size that the model takes.

    Args:
        image: anything :func:`load_image` takes.
        size: width and height in pixels, or one number for a square; multiples of 8.
        fit: ``pad`` shrinks the whole image into the size and continues its edge pixels outwards
            (black bars would leak into the edit); ``crop`` fills the size and cuts off the rest,
            evenly on both sides; ``stretch`` changes the aspect.

    Raises:
        ValueError: for a size that is not a positive multiple of 8 (diffusers would silently cut
            the image down to one) or an unknown ``fit``.

    Example:
        >>> prepare_image(example_image("car").resize((600, 400)), 192, fit="crop").image.size
        (192, 192)
    """
    image, size = load_image(image), _as_size(size)
    if fit not in FITS:
        raise ValueError(f"There is no fit {fit!r}; choose one of {', '.join(FITS)}.")
    width, height = size
    scales = width / image.width, height / image.height
    scale = min(scales) if fit == "pad" else max(scales)
    inner = size if fit == "stretch" else tuple(max(1, round(n * scale)) for n in image.size)
    if not fits_in_memory(max(inner, size, key=math.prod)):
        raise ValueError(
            f"To {fit} {image.width}×{image.height} pixels to {width}×{height} needs more memory than is free; choose "
            f"a smaller size{', or another fit' if inner > size else ''}."
        )
    if fit == "stretch":
        return PreparedImage(image.resize(size, Image.Resampling.LANCZOS), image, fit, (0, 0, width, height))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    box = (left, top, left + inner[0], top + inner[1])
    small = image.resize(inner, Image.Resampling.LANCZOS)
    if fit == "crop":
        return PreparedImage(small.crop((-left, -top, width - left, height - top)), image, fit, box)
    margins = ((top, height - box[3]), (left, width - box[2]), (0, 0))
    return PreparedImage(Image.fromarray(np.pad(np.asarray(small), margins, mode="edge")), image, fit, box)


def _as_size(size) -> tuple[int, int]:
    """Width and height that the model takes, by a pair of numbers or one for both."""
    try:
        sides = [number("size", n) for n in listed("size", size)]
        width, height = sides * 2 if np.ndim(size) == 0 else sides
    except ValueError as error:
        told = f"The size must be one number or (width, height) in pixels, such as 512, not {short(size)}."
        raise ValueError(told) from error
    if any(n < 8 or n % 8 for n in (width, height)):
        near = "×".join(str(max(8, round(n / 8) * 8)) for n in (width, height))
        raise ValueError(f"Width and height must be multiples of 8, not {width:g}×{height:g}; {near} would work.")
    return int(width), int(height)


def load_mask(source, size: tuple[int, int] | None = None) -> Image.Image:
    """Turn what you have into a mask: mode ``L``, 255 where it is white or painted, 0 elsewhere, nothing between.

    Args:
        source: anything :func:`load_image` takes, or what :func:`paint_mask` shows. Grey: white is inside; of two
            levels the brighter one, such as 1 of 0 and 1. Coloured: what has a bright colour is inside, and black
            outside. With transparency: what is painted is inside, and what is transparent outside.
        size: width and height that the mask is to have; one of the same shape is resized (nearest pixel).

    Raises:
        ValueError: if its shape is another than ``size``'s, or it has several levels and none is bright; says what
            to do.
    """
    if isinstance(getattr(source, "mask", None), Image.Image):  # a MaskPainter
        source = source.mask
    image = upright(open_picture(source, _two_levels))
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_two_levels(np.asarray(image)))
    if has_transparency(image):
        bands = np.asarray(image.convert("RGBA"))
        painted = bands[..., 3] > 127
        bright = bands[..., :3].max(2) * painted
        inside = bright > 127
        if not inside.any() and not painted.all():  # black paint on nothing is a mask too
            inside = painted
    else:
        bright = np.asarray(to_rgb(image)).max(2)
        inside = _two_levels(bright)
        inside = inside if inside.dtype == bool else bright > 127
    if not inside.any() and bright.any():
        raise ValueError(
            f"The mask is nowhere brighter than {bright.max()} of 255, and white is inside; if its numbers name things, "
            f"give the one you mean, such as mask == {bright.max()}."
        )
    mask = Image.fromarray(inside.astype(np.uint8) * 255)
    if size is None or mask.size == tuple(size):
        return mask
    if abs(mask.width * size[1] - mask.height * size[0]) > max(mask.width, mask.height, *size):  # a pixel of rounding
        raise ValueError(
            f"The mask is {mask.width}×{mask.height} pixels and the picture {size[0]}×{size[1]}, another shape; if you "
            f"prepared the picture, take prepared.mask(mask)."
        )
    return mask.resize(tuple(size), Image.Resampling.NEAREST)


def _two_levels(array: np.ndarray) -> np.ndarray:
    """Where ``array`` has the higher of its two levels, as bool; ``array`` itself if it is no grey of one or two."""
    if array.ndim == 3 and len(array) > 1 and array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"An array of shape {array.shape} holds {len(array)} masks; give one, such as masks[0].")
    levels = np.unique(array)
    if len(levels) > 2 or (array.ndim > 2 and 1 not in (len(array), array.shape[-1])):
        return array.astype(bool) if array.dtype.kind in "iu" and array.max(initial=0) <= 1 else array
    return array > (levels[0] if len(levels) == 2 else 0)
