"""Measure what an edit kept, and give back colours that it lost: a thin layer over scikit-image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .images import load_image, load_mask

BLACK = (
    "The edit is black: the safety checker did it, often by mistake, or numbers overflowed. Try another seed or prompt; "
    "lesson 10 tells the two apart."
)


def is_black(picture: Image.Image) -> bool:
    return picture.getbbox() is None


def structure_similarity(image, other, where=None) -> float:
    """How alike the shapes of two images are: 1 the same, about 0 unrelated. Colour is ignored.

    The structural similarity index (SSIM, Wang et al. 2004) of the two images in grey, with the
    paper's Gaussian window, from ``skimage.metrics.structural_similarity``.

    Args:
        image, other: anything :func:`~img2img_helpers.load_image` takes. If their sizes differ,
            ``other`` is resized to ``image``'s.
        where: a mask, white where to measure; a bool array of ``image``'s height and width will do. What
            lies outside counts as unchanged, so use it for areas that are wide against the window.

    Raises:
        ValueError: if ``image`` is smaller than the window, 11×11 pixels, or ``where`` is black everywhere.

    Example:
        >>> image = example_image("landscape")
        >>> round(structure_similarity(image, image), 2)
        1.0
    """
    from skimage.metrics import structural_similarity

    image, other = _same_size(image, other)
    if min(image.size) < 11:
        raise ValueError(
            f"structure_similarity needs images of at least 11×11 pixels, not {image.width}×{image.height}."
        )
    one, two = (np.asarray(picture.convert("L")) for picture in (image, other))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    if where is None:
        return float(structural_similarity(one, two, **options))
    here = as_mask(where, image.size)
    _, local = structural_similarity(one, np.where(here, two, one), full=True, **options)
    return float(local[here].mean())


def color_distance(image, other, where=None) -> float:
    """How far apart the colours of two images look: 0 the same, about 2 just noticed, 100 black to white.

    The mean over all pixels of CIEDE2000 (ISO/CIE 11664-6), from ``skimage.color.deltaE_ciede2000``.

    Args:
        image, other: anything :func:`~img2img_helpers.load_image` takes. If their sizes differ,
            ``other`` is resized to ``image``'s.
        where: a mask, white where to measure.

    Raises:
        ValueError: if ``where`` is black everywhere.

    Example:
        >>> day, night = example_image("landscape"), example_image("night")
        >>> color_distance(day, night) > 2
        True
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    image, other = _same_size(image, other)
    apart = deltaE_ciede2000(rgb2lab(np.asarray(image)), rgb2lab(np.asarray(other)))
    return float(apart.mean() if where is None else apart[as_mask(where, image.size)].mean())


def match_colors(image, reference, where=None) -> Image.Image:
    """Give ``image`` the colours of ``reference``, its shapes staying as they are.

    Each of red, green and blue is spread as in ``reference``
    (``skimage.exposure.match_histograms``).

    Args:
        image: the image to change, anything :func:`~img2img_helpers.load_image` takes.
        reference: where the colours come from, of any size.
        where: a mask, white where to change ``image``; if ``reference`` has the same size, only its pixels
            there count.

    Raises:
        ValueError: if ``where`` is black everywhere.

    Example:
        >>> day, night = example_image("landscape"), example_image("night")
        >>> darker = match_colors(day, night)
        >>> color_distance(darker, night) < color_distance(day, night)
        True
    """
    from skimage.exposure import match_histograms

    image, reference = np.asarray(load_image(image)), np.asarray(load_image(reference))
    here = np.ones(image.shape[:2], bool) if where is None else as_mask(where, image.shape[1::-1])
    source = reference[here] if reference.shape == image.shape else reference.reshape(-1, 3)
    out = image.copy()
    out[here] = np.round(match_histograms(image[here][:, None], source[:, None], channel_axis=-1)[:, 0])
    return Image.fromarray(out)


def _same_size(image, other) -> tuple[Image.Image, Image.Image]:
    image, other = load_image(image), load_image(other)
    return image, other if other.size == image.size else other.resize(image.size, Image.Resampling.LANCZOS)


def as_mask(where, size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool, true in at least one place."""
    here = np.asarray(load_mask(where, size)) > 127
    if not here.any():
        raise ValueError("The mask is black everywhere, so there is nothing to measure; make it white where it counts.")
    return here
