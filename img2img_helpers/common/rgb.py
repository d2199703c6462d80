"""Any picture as upright RGB in sRGB: rotation, colour profile, transparency and depth are applied."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageCms

from .pictures import from_array

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


def to_rgb(image: Image.Image) -> Image.Image:
    image, profile = upright(image), image.info.get("icc_profile")
    # as Pillow would clip, not scale, 16-bit, 32-bit and float grey
    if image.mode.startswith(("I", "F")):
        image = _scaled_to_8_bit(image)
    alpha = None
    if has_transparency(image):
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")  # Pillow knows no other way
        alpha = image.getchannel("A")
        if alpha.getextrema()[1] == 0 and any(low < high for low, high in image.getextrema()[:3]):
            alpha = None  # a picture of which nothing can be seen: its writer left the fourth byte empty
    image = _in_srgb(image, profile)
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    image.info.clear()  # a profile, a rotation or a transparency that has been applied
    return image


def upright(image: Image.Image) -> Image.Image:
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


def has_transparency(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _scaled_to_8_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as 8-bit grey, with its transparent value, if it has one, as alpha."""
    array, tags = np.asarray(image), getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if array.dtype.kind in "iu" and 8 < bits < 16:
        array = np.round(array * (65535 / (2**bits - 1))).astype(np.uint16)
    elif array.dtype.kind in "iu" and array.min() >= 0 and 255 < array.max() <= 65535:
        array = array.astype(np.uint16)  # a file's, so 16 bit however dark
    grey = from_array(array)
    if tags.get(_PHOTOMETRIC) == 0 and array.dtype.kind in "iu":  # WhiteIsZero, which Pillow heeds up to 8 bits only
        grey = grey.point(lambda value: 255 - value)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8)))
    return grey
