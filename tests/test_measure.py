import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.metrics import structural_similarity

from img2img_helpers import color_distance, example_image, example_mask, match_colors, structure_similarity


def test_one_for_the_same_and_less_the_more_it_is_blurred():
    image = example_image("car").resize((192, 192))
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


def _car():
    """A picture, its mask as bools, and a copy with something else inside the mask."""
    image, mask = example_image("car").resize((192, 192)), np.asarray(example_mask("car").resize((192, 192))) > 127
    changed = np.asarray(image).copy()
    changed[mask] = changed[mask][:, [2, 1, 0]] // 2
    return image, mask, Image.fromarray(changed)


def test_a_mask_says_where_to_measure():
    image, mask, changed = _car()
    assert structure_similarity(image, changed, where=~mask) == pytest.approx(1)
    assert structure_similarity(image, changed, where=mask) < structure_similarity(image, changed) < 1
    assert color_distance(image, changed, where=~mask) == 0
    assert color_distance(image, changed, where=Image.fromarray(mask)) > 20
    for measure in (structure_similarity, color_distance, match_colors):
        with pytest.raises(ValueError, match="mask is black everywhere"):
            measure(image, changed, where=np.zeros((128, 128), bool))


def test_colour_distances_that_are_known():
    black, white = (Image.new("RGB", (8, 8), name) for name in ("black", "white"))
    assert color_distance(black, white) == pytest.approx(100, abs=0.01)
    assert color_distance(white, white) == 0
    red, blue = (Image.new("RGB", (8, 8), name) for name in ("red", "blue"))
    assert color_distance(red, blue) == pytest.approx(52.88, abs=0.05)  # Sharma's reference code gives 52.88
    assert color_distance(red, blue.resize((20, 20))) == color_distance(red, blue)


def test_matched_colours_are_nearer_and_shapes_stay():
    image, mask, _ = _car()
    tinted = Image.fromarray((np.asarray(image) * (0.6, 0.8, 1)).astype(np.uint8))
    mended = match_colors(tinted, image)
    assert color_distance(mended, image) < 0.3 * color_distance(tinted, image)
    assert structure_similarity(mended, image) > 0.95
    inside = match_colors(tinted, image, where=mask)
    assert np.array_equal(np.asarray(inside)[~mask], np.asarray(tinted)[~mask])
    assert color_distance(inside, image, where=mask) < 0.3 * color_distance(tinted, image, where=mask)
    assert match_colors(tinted, image.resize((50, 40)), where=mask).size == tinted.size
