"""Measure what an edit kept: a thin layer over scikit-image."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .images import load_image


def structure_similarity(image, other) -> float:
    """How alike the shapes of two images are: 1 the same, about 0 unrelated. Colour is ignored.

    The structural similarity index (SSIM, Wang et al. 2004) of the two images in grey, with the
    paper's Gaussian window, from ``skimage.metrics.structural_similarity``.

    Args:
        image, other: anything :func:`~img2img_helpers.load_image` takes. If their sizes differ,
            ``other`` is resized to ``image``'s.

    Raises:
        ValueError: if ``image`` is smaller than the window, 11×11 pixels.
    """
    from skimage.metrics import structural_similarity

    image, other = load_image(image).convert("L"), load_image(other).convert("L")
    if other.size != image.size:
        other = other.resize(image.size, Image.Resampling.LANCZOS)
    if min(image.size) < 11:
        raise ValueError(
            f"structure_similarity needs images of at least 11×11 pixels, not {image.width}×{image.height}."
        )
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(structural_similarity(np.asarray(image), np.asarray(other), **options))
