"""Images in: whatever a learner has, as RGB of a size that the model takes, and back again."""

from __future__ import annotations

import base64
import binascii
import gzip
import http.client
import inspect
import io
import math
import os
import urllib.error
import urllib.parse
import urllib.request
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from ..common.answers import refusal
from ..common.settings import listed, number, short

EXAMPLES = Path(__file__).parent.parent / "examples"
FITS = ("pad", "crop", "stretch")
BYTES_A_PIXEL = 12  # that reading a picture takes at most: as stored, with transparency, and as RGB
MAX_DOWNLOAD = 64 * 2**20  # bytes
# EXIF's orientation, and what turns such a picture upright (CIPA DC-008, "Orientation")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _SUBFILE, _BITS_PER_SAMPLE, _PHOTOMETRIC = 0x0112, 254, 258, 262  # tags of EXIF and TIFF
_EXPORT = "export it as PNG or JPEG"
# What files that Pillow cannot read begin with, after how many bytes, what they are, and what to do
_OTHER_KINDS = (
    (4, b"ftyphe", "a HEIC photo", "export it as JPEG, or install pillow-heif and register its opener"),
    (4, b"ftypmif1", "a HEIC photo", "export it as JPEG, or install pillow-heif and register its opener"),
    (4, b"ftyp", "a video", "save one of its frames as PNG"),
    (4, b"JXL ", "a JPEG XL picture", _EXPORT),
    (8, b"CR\2", "a camera's RAW file", _EXPORT),
    (0, b"FUJIFILMCCD-RAW", "a camera's RAW file", _EXPORT),
    (0, b"8BPS", "a Photoshop file that Pillow cannot read", _EXPORT),
    (0, b"gimp xcf", "a GIMP project", _EXPORT),
    (0, b"%PDF", "a PDF", _EXPORT),
    (0, b"%!PS", "a PostScript file", _EXPORT),
    (0, b"v/1\1", "an OpenEXR picture", _EXPORT),
    (0, b"#?RADIANCE", "a Radiance HDR picture", _EXPORT),
    (0, b"PK\3\4", "a ZIP archive", "unpack it and give the picture in it"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it and give the picture in it"),
    (0, b"\0\5\x16\7", "what macOS keeps beside a file", "give the file of the same name without ._"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "get the picture itself with git lfs pull"),
    (0, b"<svg", "an SVG drawing", _EXPORT),
    (0, b"<!doctype html", "a web page", "give the address of the picture itself"),
    (0, b"<html", "a web page", "give the address of the picture itself"),
)
_HTTP_ADVICE = {  # besides: check the address and the connection
    401: "it wants a login: save the picture from your browser and give the file",
    403: "it lets no programs have it: save the picture from your browser and give the file",
    404: "check the address",
    410: "check the address",
}


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
    return _to_rgb(_open(source))


def load_for(pipe, source) -> Image.Image:
    """:func:`load_image`, but refusing a size that ``pipe`` would cut.

    Raises:
        ValueError: if ``pipe`` edits no images, or a side is no multiple of ``pipe.vae_scale_factor``; says what to do.
    """
    takes = inspect.signature(type(pipe).__call__).parameters.values() if callable(pipe) else ()
    if not any(each.name == "strength" or each.kind == each.VAR_KEYWORD for each in takes):
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
    """The names of the bundled example images.

    Example:
        >>> "car" in example_names()
        True
    """
    return sorted(p.stem for p in EXAMPLES.glob("*.png") if not p.stem.endswith("_mask"))


def example_image(name: str) -> Image.Image:
    """A bundled example image, 512×512 RGB; :func:`example_names` lists them.

    Example:
        >>> example_image("car").size
        (512, 512)
    """
    return load_image(_example(name, ""))


def example_mask(name: str) -> Image.Image:
    """The mask of an example's main object, 512×512 ``L``: 255 on the object, 0 elsewhere.

    Example:
        >>> example_mask("car").getextrema()
        (0, 255)
    """
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

    Example:
        >>> photo = example_image("car").resize((600, 400))
        >>> prepared = prepare_image(photo, 128)
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

    Example:
        >>> prepare_image(example_image("car").resize((600, 400)), 128, fit="crop").image.size
        (128, 128)
    """
    image = load_image(image)
    try:
        sides = [number("size", n) for n in listed("size", size)]
        sides = sides * 2 if np.ndim(size) == 0 else sides
        right = len(sides) == 2
    except ValueError:
        right = False
    if not right:
        raise ValueError(f"The size must be one number or (width, height) in pixels, such as 512, not {short(size)}.")
    if any(n < 8 or n % 8 for n in sides):
        asked, nearest = (
            "×".join(f"{n:g}" for n in pair) for pair in (sides, [max(8, round(n / 8) * 8) for n in sides])
        )
        raise ValueError(f"Width and height must be multiples of 8, not {asked}; {nearest} would work.")
    size = tuple(int(n) for n in sides)
    if fit not in FITS:
        raise ValueError(f"There is no fit {fit!r}; choose one of {', '.join(FITS)}.")
    width, height = size
    scales = width / image.width, height / image.height
    scale = min(scales) if fit == "pad" else max(scales)
    inner = size if fit == "stretch" else tuple(max(1, round(n * scale)) for n in image.size)
    if not _fits_in_memory(max(inner, size, key=math.prod)):
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


def _open(source, prepare=np.asarray) -> Image.Image:
    """What ``source`` holds, as it is stored; an array after ``prepare``."""
    if isinstance(source, Image.Image):
        return _loaded(lambda: source, "this image", b"")
    if hasattr(source, "is_floating_point"):  # torch's, on whatever device, in whatever type
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    if hasattr(source, "__array__"):
        return _from_array(prepare(np.asarray(source)))
    if callable(getattr(source, "read", None)):
        source = source.read()  # an open file
        if isinstance(source, str):
            raise ValueError("This file was opened as text; open it with open(path, 'rb').")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), "these bytes")
    if isinstance(source, (dict, tuple, list)):
        return _decode(*_uploaded(source))
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return _decode(_download(source), source)
    if isinstance(source, str) and source.lower().startswith("data:"):
        return _decode(_from_data_uri(source), "this data URI")
    if isinstance(source, (str, os.PathLike)):
        if str(source).lower().startswith("file:"):
            source = urllib.request.url2pathname(urllib.parse.urlsplit(source).path)
        if len(str(source)) > 1000:  # longer than any path
            raise ValueError(
                f"The text {str(source)[:30]!r}… is no path; give base64 as a data URI, 'data:image/png;base64,…'."
            )
        path = Path(os.path.expanduser(source))  # unlike Path's, it leaves an unknown ~user as it is
        bare = str(source).strip("\"' \n")  # as Windows copies a path, in quotes
        path = path if path.exists() else Path(os.path.expanduser(bare))
        if "://" in str(source) or bare.startswith("www."):
            raise ValueError(f"An address must begin with http:// or https://, not {str(source)!r}.")
        if not bare:
            raise ValueError("The path is empty; give that of an image file.")
        if path.is_dir():
            raise ValueError(f"{path.resolve().name!r} is a folder; give the path of an image file in it.")
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no image file {str(source)!r}; the current folder is {Path.cwd().name!r}."
            )
        try:
            return _decode(path.read_bytes(), path.name)
        except OSError as error:
            raise ValueError(
                f"{path.name} could not be opened ({error.strerror}); copy it to another folder."
            ) from error
    raise ValueError(
        f"An image cannot be made from {type(source).__name__}; give a path, a URL, bytes, a PIL image, "
        f"a NumPy array or an upload widget's value."
    )


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
    image = _upright(_open(source, _two_levels))
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_two_levels(np.asarray(image)))
    if _has_transparency(image):
        bands = np.asarray(image.convert("RGBA"))
        painted = bands[..., 3] > 127
        bright = bands[..., :3].max(2) * painted
        inside = bright > 127
        if not inside.any() and not painted.all():  # black paint on nothing is a mask too
            inside = painted
    else:
        bright = np.asarray(_to_rgb(image)).max(2)
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


def _to_rgb(image: Image.Image) -> Image.Image:
    image, profile = _upright(image), image.info.get("icc_profile")
    # as Pillow would clip, not scale, 16-bit, 32-bit and float grey
    if image.mode.startswith(("I", "F")):
        image = _scaled_to_8_bit(image)
    alpha = None
    if _has_transparency(image):
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        if alpha.getextrema()[1] == 0 and any(low < high for low, high in image.getextrema()[:3]):
            alpha = None  # a picture of which nothing can be seen: its writer left the fourth byte empty
    image = _in_srgb(image, profile)
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    image = image.copy()
    image.info.clear()  # a profile, a rotation or a transparency that has been applied
    return image


def _upright(image: Image.Image) -> Image.Image:
    """``image`` turned as its EXIF data say; where they are damaged, as it is. Pillow's own would write them anew."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of damaged data, which a learner cannot mend
            orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # Pillow raises nearly anything over damaged EXIF data
        return image
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB, by the picture's own profile if it has one that fits."""
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" in ImageCms.getProfileDescription(own).lower():
                return image.convert("RGB")
            space = own.profile.xcolor_space.strip()
            base = image.convert({"GRAY": "L", "CMYK": "CMYK"}.get(space, "RGB"))
            return ImageCms.profileToProfile(base, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):  # a damaged profile, or one of another colour space
            pass
    return image.convert("RGB")


def _has_transparency(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _scaled_to_8_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as 8-bit grey, with its transparent value, if it has one, as alpha."""
    array, tags = np.asarray(image), getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if array.dtype.kind in "iu" and 8 < bits < 16:
        array = np.round(array * (65535 / (2**bits - 1))).astype(np.uint16)
    grey = _from_array(array)
    if tags.get(_PHOTOMETRIC) == 0 and array.dtype.kind in "iu":  # WhiteIsZero, which Pillow heeds up to 8 bits only
        grey = grey.point(lambda value: 255 - value)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8)))
    return grey


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 1 and array.dtype == np.uint8:  # a file's bytes, as OpenCV encodes them
        return _decode(array.tobytes(), "this array")
    shape = array.shape
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and len(array) in (1, 3, 4):
        array = np.moveaxis(array, 0, -1)  # channels first, as in torch
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in shape:
        one = "one picture of it, such as array[0]," if array.ndim == 4 else "(height, width) or (height, width, 3)"
        raise ValueError(f"An array of shape {shape} is no image; use {one.rstrip(',')}.")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind in "iu" and array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 65535:
            raise ValueError(f"Pixels run from {array.min()} to {array.max()}; use 0 to 255 or, in 16 bit, 0 to 65535.")
        # whole numbers wider than 8 bit that never leave 0 to 255 are 8-bit pixels in a wide type
        eight_bit = array.max() <= 255 and array.dtype != np.uint16
        array = array.astype(np.uint8) if eight_bit else np.round(array / 257).astype(np.uint8)
    elif array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if not -0.5 / 255 <= low <= high <= 255.5 / 255:  # which round to 8 bit; nan is neither
            signed = -1.01 < low < 0 and high < 1.01
            advice = "divide them by 255" if high > 2 else "add 1 and halve them" if signed else "replace or clip them"
            raise ValueError(f"Pixels given as floats must lie between 0 and 1, not {low:.4g} to {high:.4g}; {advice}.")
        array = np.clip(np.round(array.astype(np.float64) * 255), 0, 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ValueError(f"An array of {array.dtype} is no image; use uint8, uint16 or floats from 0 to 1.")
    return Image.fromarray(array)


def _decode(data: bytes, name: str) -> Image.Image:
    return _loaded(lambda: Image.open(io.BytesIO(data)), name, data)


def _loaded(opened, name: str, data: bytes) -> Image.Image:
    """The picture that ``opened()`` gives, with its pixels; ``data`` is the file that it is from, if that is known."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of Pillow's limit
            image = opened()
            tile = getattr(image, "tile", [])
            unread = bool(tile or data)
            fits = not unread or _fits_in_memory(image.size)  # what has been made is never refused
            if fits:
                image.load()
                if unread:
                    _mend_transparency(image, tile[0] if tile else None, data)
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise ValueError(f"{name} has far too many pixels, more than {most} million; shrink it first.") from error
    except Exception as error:  # Pillow's readers raise nearly anything over damaged files
        raise ValueError(_unreadable(name, data)) from error
    if not fits:
        raise ValueError(
            f"{name} has {image.width}×{image.height} pixels, for which "
            f"{math.prod(image.size) * BYTES_A_PIXEL / 2**30:.1f} GiB of memory must be free; shrink it first."
        )
    if 0 in image.size:
        raise ValueError(f"{name} has {image.width}×{image.height} pixels, so there is nothing to see; take another.")
    if getattr(image, "tag_v2", {}).get(_SUBFILE, 0) & 1:  # cameras put a thumbnail in front
        raise ValueError(f"{name}: this is a camera's RAW file, of which only the preview can be read; {_EXPORT}.")
    return image


def _unreadable(name: str, data: bytes) -> str:
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1000].lower()
    for offset, mark, kind, advice in _OTHER_KINDS:
        if data[offset:].startswith(mark) or start[offset:].startswith(mark.lower()):
            return f"{name}: this is {kind}; {advice}."
    if start.startswith(b"<?xml") and b"<svg" in start:
        return f"{name}: this is an SVG drawing; {_EXPORT}."
    return f"{name} could not be read as an image; use a complete PNG, JPEG or WebP file."


def _fits_in_memory(size: tuple[int, int]) -> bool:
    import psutil

    return math.prod(size) * BYTES_A_PIXEL <= psutil.virtual_memory().available


def _mend_transparency(image: Image.Image, tile: tuple | None, data: bytes) -> None:
    """Bring a PNG's transparent value into the range that Pillow brings its pixels into, and give an animation's
    first frame, if it is smaller than the picture, a transparent surround, for Pillow leaves it black or coloured.
    """
    stored, clear = tile[3] if tile else "", image.info.get("transparency")
    if isinstance(clear, int) and stored in ("L;2", "L;4"):
        image.info["transparency"] = clear * 255 // (2 ** int(stored[-1]) - 1)
    elif isinstance(clear, tuple) and stored == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    frame = tile[1] if tile and image.format == "GIF" else None
    if image.format == "WEBP" and (at := data.find(b"ANMF")) > 0 and len(data) >= at + 20 and image.mode == "RGB":
        left, top, width, height = (int.from_bytes(data[i : i + 3], "little") for i in range(at + 8, at + 20, 3))
        frame = (2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1)  # as the format stores them
    if frame and tuple(frame) != (0, 0, *image.size):
        alpha = image.convert("RGBA").getchannel("A")
        shown = Image.new("L", image.size, 0)
        shown.paste(alpha.crop(frame), frame)
        image.putalpha(shown)


def _from_data_uri(uri: str) -> bytes:
    head, _, content = uri.partition(",")
    try:
        if head.lower().endswith(";base64"):
            return base64.b64decode("".join(urllib.parse.unquote(content).split()), validate=True)
        return urllib.parse.unquote_to_bytes(content)
    except binascii.Error as error:
        raise ValueError("This data URI is damaged: after the comma it must hold base64; copy it whole.") from error


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
            packed = answer.headers.get("Content-Encoding", "").lower() == "gzip"  # some servers do it unasked
            data = (gzip.GzipFile(fileobj=answer) if packed else answer).read(MAX_DOWNLOAD + 1)
    except urllib.error.HTTPError as error:
        said, advice = refusal(
            error.code, error.headers, _HTTP_ADVICE, "check the address and the connection, or use a file"
        )
        raise ValueError(f"{url} could not be downloaded: the server {said}; {advice}.") from error
    except (OSError, EOFError, ValueError, http.client.HTTPException) as error:
        raise ValueError(
            f"{url} could not be downloaded; check the address and the connection, or use a file."
        ) from error
    if len(data) > MAX_DOWNLOAD:
        raise ValueError(f"{url} is larger than {MAX_DOWNLOAD // 2**20} MB; use a smaller image.")
    return data
