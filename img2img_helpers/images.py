"""Images in: whatever a learner has, as RGB of a size that the model takes, and back again."""

from __future__ import annotations

import http.client
import io
import numbers
import os
import urllib.parse
import urllib.request
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

EXAMPLES = Path(__file__).parent / "examples"
FITS = ("pad", "crop", "stretch")
MAX_PIXELS = 50_000_000  # a 50-megapixel photo; more is more likely a mistake or a decompression bomb
MAX_DOWNLOAD = 64 * 2**20  # bytes


def load_image(source) -> Image.Image:
    """Turn what you have into an RGB ``PIL.Image``.

    Args:
        source: a path, an http(s) URL, the bytes of a file, a ``PIL.Image``, a NumPy array (height,
            width) or (height, width, 1, 3 or 4) of uint8, uint16 or floats from 0 to 1, or the
            value of an ``ipywidgets.FileUpload`` or of Colab's ``files.upload()``.

    Returns:
        An upright image: EXIF rotation is applied, transparency is laid on white, 16-bit, CMYK,
        grey and palette images are converted.

    Raises:
        FileNotFoundError, ValueError: in one sentence, what was wrong and what works.
    """
    if isinstance(source, Image.Image):
        return _to_rgb(source)
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), "these bytes")
    if isinstance(source, (dict, tuple, list)):
        return _decode(*_uploaded(source))
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return _decode(_download(source), source)
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.path.expanduser(source))  # unlike Path's, it leaves an unknown ~user as it is
        if "://" in str(source):
            raise ValueError(f"An address must begin with http:// or https://, not {str(source)!r}.")
        if path.is_dir():
            raise ValueError(f"{path.resolve().name!r} is a folder; give the path of an image file in it.")
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no image file {str(source)!r}; the current folder is {Path.cwd().name!r}."
            )
        return _decode(path.read_bytes(), path.name)
    raise ValueError(
        f"An image cannot be made from {type(source).__name__}; give a path, a URL, bytes, a PIL image, "
        f"a NumPy array or an upload widget's value."
    )


def load_for(pipe, source) -> Image.Image:
    """:func:`load_image`, but refusing a size that ``pipe`` would cut.

    Raises:
        ValueError: if a side is no multiple of ``pipe.vae_scale_factor``; says what to do.
    """
    image, factor = load_image(source), pipe.vae_scale_factor
    if image.width % factor or image.height % factor:
        raise ValueError(
            f"The image is {image.width}×{image.height}, but the sides must be multiples of {factor}; "
            f"use prepare_image(image, size).image."
        )
    return image


def example_names() -> list[str]:
    """The names of the bundled example images."""
    return sorted(p.stem for p in EXAMPLES.glob("*.png") if not p.stem.endswith("_mask"))


def example_image(name: str) -> Image.Image:
    """A bundled example image, 512×512 RGB; :func:`example_names` lists them."""
    return load_image(_example(name, ""))


def example_mask(name: str) -> Image.Image:
    """The mask of an example's main object, 512×512 ``L``: 255 on the object, 0 elsewhere."""
    with Image.open(_example(name, "_mask")) as mask:
        return mask.convert("L")


def _example(name: str, kind: str) -> Path:
    if name not in example_names():
        raise ValueError(f"There is no example image {name!r}; choose one of {', '.join(example_names())}.")
    return EXAMPLES / f"{name}{kind}.png"


@dataclass(frozen=True)
class PreparedImage:
    """An image at a model's size, and the way back.

    Attributes:
        image: RGB, of the size asked for.
        original: the image as it came.
        fit: ``pad``, ``crop`` or ``stretch``.
        box: left, top, right, bottom of the original's content within ``image``, in its pixels; for
            ``crop`` it reaches beyond the edges.
    """

    image: Image.Image
    original: Image.Image
    fit: str
    box: tuple[float, float, float, float]

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
        shrink = self.original.width / (right - left)
        shown = tuple(max(1, round(n * shrink)) for n in self.image.size)
        corner = (round(-left * shrink), round(-top * shrink))
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
    """
    image = load_image(image)
    sides = (size, size) if isinstance(size, numbers.Real) else size
    if (
        not isinstance(sides, (tuple, list))
        or len(sides) != 2
        or not all(isinstance(n, numbers.Real) and np.isfinite(n) for n in sides)
    ):
        raise ValueError(f"The size must be one number or (width, height) in pixels, such as 512, not {size!r}.")
    if any(n < 8 or n % 8 for n in sides):
        asked, nearest = (
            "×".join(f"{n:g}" for n in pair) for pair in (sides, [max(8, round(n / 8) * 8) for n in sides])
        )
        raise ValueError(f"Width and height must be multiples of 8, not {asked}; {nearest} would work.")
    size = tuple(int(n) for n in sides)
    if fit not in FITS:
        raise ValueError(f"There is no fit {fit!r}; choose one of {', '.join(FITS)}.")
    width, height = size
    if fit == "stretch":
        return PreparedImage(image.resize(size, Image.Resampling.LANCZOS), image, fit, (0, 0, width, height))
    scales = width / image.width, height / image.height
    scale = min(scales) if fit == "pad" else max(scales)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    box = (left, top, left + inner[0], top + inner[1])
    small = image.resize(inner, Image.Resampling.LANCZOS)
    if fit == "crop":
        return PreparedImage(small.crop((-left, -top, width - left, height - top)), image, fit, box)
    margins = ((top, height - box[3]), (left, width - box[2]), (0, 0))
    return PreparedImage(Image.fromarray(np.pad(np.asarray(small), margins, mode="edge")), image, fit, box)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(_too_large("This image", f"{image.width}×{image.height}"))
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16-bit, 32-bit and float grey: Pillow would clip, not scale
        image = _from_array(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _too_large(name: str, pixels: str) -> str:
    return f"{name} has {pixels} pixels, more than {MAX_PIXELS // 10**6} million; shrink it first."


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"An array of shape {array.shape} is no image; use (height, width) or (height, width, 3).")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind in "iu" and array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 65535:
            raise ValueError(f"Pixels run from {array.min()} to {array.max()}; use 0 to 255 or, in 16 bit, 0 to 65535.")
        # whole numbers wider than 8 bit that never leave 0 to 255 are 8-bit pixels in a wide type
        eight_bit = array.max() <= 255 and array.dtype != np.uint16
        array = array.astype(np.uint8) if eight_bit else np.round(array / 257).astype(np.uint8)
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ValueError("Pixels given as floats must lie between 0 and 1; divide by 255 or clip them first.")
        array = np.round(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ValueError(f"An array of {array.dtype} is no image; use uint8, uint16 or floats from 0 to 1.")
    return Image.fromarray(array)


def _decode(data: bytes, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _to_rgb has a lower limit
            image = Image.open(io.BytesIO(data))
            if image.width * image.height <= MAX_PIXELS:
                image.load()
    except Image.DecompressionBombError as error:
        raise ValueError(_too_large(name, "far too many")) from error
    except Exception as error:  # Pillow's readers raise nearly anything over damaged files
        raise ValueError(f"{name} could not be read as an image; use a complete PNG, JPEG or WebP file.") from error
    return _to_rgb(image)


def _uploaded(value) -> tuple[bytes, str]:
    """The first file of an upload: ipywidgets 8 gives a tuple of dicts, Colab a dict of bytes."""
    if len(value) == 0:
        raise ValueError("No file has been uploaded yet; choose one, then run this cell again.")
    name, first = next(iter(value.items())) if isinstance(value, dict) else ("the upload", value[0])
    if isinstance(first, dict) and "content" in first:
        name, first = first.get("name", name), first["content"]
    if not isinstance(first, (bytes, bytearray, memoryview)):
        raise ValueError(
            f"An image cannot be made from a {type(value).__name__} of {type(first).__name__}; give one image."
        )
    return bytes(first), name


def _download(url: str) -> bytes:
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")  # browsers show spaces and umlauts as they are
    try:
        request = urllib.request.Request(quoted, headers={"User-Agent": "img2img-course"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            data = answer.read(MAX_DOWNLOAD + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ValueError(
            f"{url} could not be downloaded; check the address and the connection, or use a file."
        ) from error
    if len(data) > MAX_DOWNLOAD:
        raise ValueError(f"{url} is larger than {MAX_DOWNLOAD // 2**20} MB; use a smaller image.")
    return data
