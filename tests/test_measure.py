import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.metrics import structural_similarity

from img2img_helpers import example_image, structure_similarity


def test_one_for_the_same_and_less_the_more_it_is_blurred():
    image = example_image("car").resize((128, 128))
    values = [structure_similarity(image, image.filter(ImageFilter.GaussianBlur(r))) for r in (0, 1, 2, 4)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.7


def test_it_is_scikit_images():
    one, other = (np.asarray(example_image(n).resize((64, 64)).convert("L")) for n in ("car", "cottage"))
    expected = structural_similarity(
        one, other, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert structure_similarity(one, other) == pytest.approx(expected)


def test_unrelated_noise_is_near_zero_and_colour_is_ignored():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 64, 64), dtype=np.uint8)
    assert abs(structure_similarity(one, other)) < 0.1
    image = example_image("car").resize((64, 64))
    assert structure_similarity(image, image.convert("L")) == pytest.approx(1, abs=0.01)


def test_sizes():
    image = example_image("car")
    assert structure_similarity(image, image.resize((256, 256))) > 0.9
    with pytest.raises(ValueError, match="at least 11×11 pixels, not 8×8"):
        structure_similarity(Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8)))
