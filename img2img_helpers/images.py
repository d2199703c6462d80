"""Images in: whatever a learner has, as RGB of a size that the model takes, and back again."""

from __future__ import annotations

import base64
import binascii
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
from PIL import Image, ImageCms

EXAMPLES = Path(__file__).parent / "examples"
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
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC = 0x0112, 258, 262  # tags of EXIF and TIFF


def load_image(source) -> Image.Image:
    """Turn what you have into an RGB ``PIL.Image``.

    Args:
        source: a path, an http(s) URL, a data URI, the bytes of a file, a ``PIL.Image``, a NumPy array (height,
            width) or (height, width, 1, 3 or 4) of uint8, uint16 or floats from 0 to 1, or the
            value of an ``ipywidgets.FileUpload`` or of Colab's ``files.upload()``.

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


def _open(source) -> Image.Image:
    """What ``source`` holds, as it is stored."""
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), "these bytes")
    if isinstance(source, (dict, tuple, list)):
        return _decode(*_uploaded(source))
    if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
        return _decode(_download(source), source)
    if isinstance(source, str) and source.lower().startswith("data:"):
        return _decode(_from_data_uri(source), "this data URI")
    if isinstance(source, (str, os.PathLike)):
        if len(str(source)) > 1000:  # longer than any path
            raise ValueError(
                f"The text {str(source)[:30]!r}… is no path; give base64 as a data URI, 'data:image/png;base64,…'."
            )
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


def load_mask(source, size: tuple[int, int] | None = None) -> Image.Image:
    """Turn what you have into a mask: mode ``L``, 255 where it is white or painted, 0 elsewhere, nothing between.

    Args:
        source: anything :func:`load_image` takes. Grey or coloured: white is inside. With transparency: what is
            painted is inside, and what is transparent outside. Numbers 0 and 1 count as black and white.
        size: width and height that the mask is to have; one of the same shape is resized (nearest pixel).

    Raises:
        ValueError: if its shape is another than ``size``'s; says what to do.
    """
    if isinstance(source, np.ndarray) and source.dtype.kind in "iu" and source.max(initial=0) <= 1:
        source = source.astype(bool)  # in any width of numbers
    image = _upright(_open(source))
    if _has_transparency(image):
        grey, alpha = (np.asarray(band) for band in image.convert("RGBA").convert("LA").split())
        painted = alpha > 127
        inside = painted & (grey > 127)
        if not inside.any() and not painted.all():  # black paint on nothing is a mask too
            inside = painted
    else:
        grey = np.asarray(_to_rgb(image).convert("L"))
        inside = grey > (0 if grey.max() <= 1 else 127)
    mask = Image.fromarray(inside.astype(np.uint8) * 255)
    if size is None or mask.size == tuple(size):
        return mask
    if abs(mask.width * size[1] - mask.height * size[0]) > max(mask.width, mask.height, *size):  # a pixel of rounding
        raise ValueError(
            f"The mask is {mask.width}×{mask.height} pixels and the picture {size[0]}×{size[1]}, another shape; if you "
            f"prepared the picture, take prepared.mask(mask)."
        )
    return mask.resize(tuple(size), Image.Resampling.NEAREST)


def _to_rgb(image: Image.Image) -> Image.Image:
    image, profile = _upright(image), image.info.get("icc_profile")
    # as Pillow would clip, not scale, 16-bit, 32-bit and float grey
    if image.mode.startswith(("I", "F")):
        image = _scaled_to_8_bit(image)
    alpha = None
    if _has_transparency(image):
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
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
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of Pillow's limit
            image = Image.open(io.BytesIO(data))
            fits = _fits_in_memory(image)
            if fits:
                stored = image.tile[0][3] if image.tile else ""
                image.load()
                _mend_transparency(image, stored, data)
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise ValueError(f"{name} has far too many pixels, more than {most} million; shrink it first.") from error
    except Exception as error:  # Pillow's readers raise nearly anything over damaged files
        raise ValueError(f"{name} could not be read as an image; use a complete PNG, JPEG or WebP file.") from error
    if not fits:
        raise ValueError(
            f"{name} has {image.width}×{image.height} pixels, for which "
            f"{image.width * image.height * BYTES_A_PIXEL / 2**30:.1f} GiB of memory must be free; shrink it first."
        )
    return image


def _fits_in_memory(image: Image.Image) -> bool:
    import psutil

    return image.width * image.height * BYTES_A_PIXEL <= psutil.virtual_memory().available


def _mend_transparency(image: Image.Image, stored: str, data: bytes) -> None:
    """Bring a PNG's transparent value into the range that Pillow brings its pixels into, and give a WebP animation's
    first frame, if it is smaller than the picture, a transparent surround, for Pillow leaves it black.
    """
    clear = image.info.get("transparency")
    if isinstance(clear, int) and stored in ("L;2", "L;4"):
        image.info["transparency"] = clear * 255 // (2 ** int(stored[-1]) - 1)
    elif isinstance(clear, tuple) and stored == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if image.format == "WEBP" and (at := data.find(b"ANMF")) > 0 and len(data) >= at + 20:
        left, top, width, height = (int.from_bytes(data[i : i + 3], "little") for i in range(at + 8, at + 20, 3))
        box = (2 * left, 2 * top, 2 * left + width + 1, 2 * top + height + 1)  # as the format stores them
        if image.mode == "RGB" and box != (0, 0, *image.size):
            alpha = Image.new("L", image.size, 0)
            alpha.paste(255, box)
            image.putalpha(alpha)


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
            data = answer.read(MAX_DOWNLOAD + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ValueError(
            f"{url} could not be downloaded; check the address and the connection, or use a file."
        ) from error
    if len(data) > MAX_DOWNLOAD:
        raise ValueError(f"{url} is larger than {MAX_DOWNLOAD // 2**20} MB; use a smaller image.")
    return data
