"""Read whatever holds a picture: a path, an address, bytes, an array, an upload; and say in a sentence if it holds none."""

from __future__ import annotations

import base64
import binascii
import gzip
import http.client
import io
import math
import os
import urllib.error
import urllib.parse
import urllib.request
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from .http_errors import refusal

BYTES_A_PIXEL = 12  # that reading a picture takes at most: as stored, with transparency, and as RGB
MAX_DOWNLOAD = 64 * 2**20  # bytes
_SUBFILE = 254  # a tag of TIFF
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


def open_picture(source, prepare=np.asarray) -> Image.Image:
    """What ``source`` holds, as it is stored; an array after ``prepare``."""
    if isinstance(source, Image.Image):
        return _loaded(lambda: source, "this image", b"")
    if hasattr(source, "is_floating_point"):  # torch's, on whatever device, in whatever type
        source = source.detach().cpu()
        source = (source.float() if source.is_floating_point() else source).numpy()
    if hasattr(source, "__array__"):
        return from_array(prepare(np.asarray(source)))
    if callable(getattr(source, "read", None)):
        if getattr(source, "seekable", lambda: False)():
            source.seek(0)  # one that was just written, or read before, stands at its end
        source = source.read()
        if isinstance(source, str):
            raise ValueError("This file was opened as text; open it with open(path, 'rb').")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(bytes(source), "these bytes")
    if isinstance(source, (dict, tuple, list)):
        return _decode(*_uploaded(source))
    bare = _bare(source) if isinstance(source, str) else ""
    if bare.lower().startswith(("http://", "https://")):
        return _decode(_download(bare), bare)
    if bare.lower().startswith("data:"):
        return _decode(_from_data_uri(bare), "this data URI")
    if isinstance(source, (str, os.PathLike)):
        return _from_file(source)
    raise ValueError(
        f"An image cannot be made from {type(source).__name__}; give a path, a URL, bytes, a PIL image, "
        f"a NumPy array or an upload widget's value."
    )


def _bare(text: str) -> str:
    """Without what comes along when a path or an address is copied: blanks, and the quotes around a path of Windows."""
    return text.strip("\"' \t\r\n")


def _from_file(source: str | os.PathLike) -> Image.Image:
    """The picture in a file, by its path or file: address."""
    if str(source).lower().startswith("file:"):
        source = urllib.request.url2pathname(urllib.parse.urlsplit(source).path)
    if len(str(source)) > 1000:  # longer than any path
        raise ValueError(
            f"The text {str(source)[:30]!r}… is no path; give base64 as a data URI, 'data:image/png;base64,…'."
        )
    bare = _bare(str(source))
    # os.path's functions: Path's raise an error for a text that is too long for a name
    path = next((p for p in map(os.path.expanduser, (source, bare)) if os.path.exists(p)), os.path.expanduser(bare))
    path = Path(path)
    if "://" in str(source) or bare.startswith("www."):
        raise ValueError(f"An address must begin with http:// or https://, not {str(source)!r}.")
    if not bare:
        raise ValueError("The path is empty; give that of an image file.")
    if os.path.isdir(path):
        raise ValueError(f"{path.resolve().name!r} is a folder; give the path of an image file in it.")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no image file {str(source)!r}; the current folder is {Path.cwd().name!r}.")
    try:
        return _decode(path.read_bytes(), path.name)
    except OSError as error:
        raise ValueError(f"{path.name} could not be opened ({error.strerror}); copy it to another folder.") from error


def from_array(array: np.ndarray) -> Image.Image:
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
        # whole numbers wider than 8 bit that never leave 0 to 255 are 8-bit pixels in a wide type; a little more, and they
        # are such that were made brighter
        if array.dtype != np.uint16 and 255 < array.max() < 1024:
            raise ValueError(f"Pixels run from {array.min()} to {array.max()}; clip them to 0 to 255.")
        eight_bit = array.max() <= 255 and array.dtype != np.uint16
        array = array.astype(np.uint8) if eight_bit else np.round(array / 257).astype(np.uint8)
    elif array.dtype.kind == "f":
        low, high = array.min(), array.max()
        if not -0.5 / 255 <= low <= high <= 255.5 / 255:  # which round to 8 bit; nan is neither
            signed = -1.01 < low < -0.25 and high < 1.01  # a VAE's answer, once halved, is a little below 0 as well
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
            fits = not unread or fits_in_memory(image.size)  # what has been made is never refused
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


def fits_in_memory(size: tuple[int, int]) -> bool:
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
