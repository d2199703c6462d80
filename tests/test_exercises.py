import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from img2img_helpers import check_edit, check_prediction, check_same_image, example_image, example_mask


@pytest.mark.parametrize(
    ("answer", "measured", "passed", "told"),
    [
        (28, 28, True, "Right: 28"),
        (29, 28, False, "29 is too high. Mind int"),
        (27, 28, False, "27 is too low"),
        (0.5, 0.52, True, "Right"),
        (..., 28, False, "Replace the three dots"),
        (None, 28, False, "Replace the three dots"),
        ("28", 28, False, "should be a number"),
        (True, 1, False, "should be a number"),
        (True, np.bool_(True), True, "Right: True"),
        (False, True, False, "Not False"),
        (1, True, False, "True or False"),
        ("B", "B", True, "Right: B"),
        ("A", "B", False, "Not A"),
        (2, "B", False, "text in quotes"),
    ],
)
def test_prediction(answer, measured, passed, told):
    feedback = check_prediction(answer, measured, tolerance=0.05, hint="Mind int.")
    assert bool(feedback) is passed
    assert told in repr(feedback)
    assert repr(feedback).startswith("✔" if passed else "✘")


@pytest.fixture(scope="module")
def car():
    return example_image("car").resize((192, 192))


def test_edit_measures_each_target_and_says_which_way(car):
    grey = car.convert("L").convert("RGB")
    assert check_edit(grey, car, saturation=(0, 0.1), structure=(0.9, 1))
    still_red = check_edit(car, car, saturation=(0, 0.1))
    assert not still_red
    assert "saturation is" in still_red.message
    assert "more strength" in still_red.message
    blurred = check_edit(car.filter(ImageFilter.GaussianBlur(8)), car, structure=(0.8, 1))
    assert not blurred
    assert "structure kept is" in blurred.message
    assert "less strength" in blurred.message
    dark = check_edit(Image.eval(car, lambda v: v // 4), car, brightness=(0.4, 1))
    assert not dark
    assert "a brighter light" in dark.message


def test_edit_of_another_size_or_none(car):
    assert "replace the three dots" in check_edit(..., car, structure=(0, 1)).message
    assert (
        f"64×64 pixels, the original {car.width}×{car.height}"
        in check_edit(car.resize((64, 64)), car, structure=(0, 1)).message
    )
    with pytest.raises(ValueError, match="cannot measure sharpness; it measures structure"):
        check_edit(car, car, sharpness=(0, 1))
    with pytest.raises(ValueError, match="needs a mask to measure color_inside"):
        check_edit(car, car, color_inside=(0, 1))
    with pytest.raises(ValueError, match="cannot measure color_above"):
        check_edit(car, car, car, color_above=(0, 1))


def test_a_black_edit_is_no_matter_of_strength(car):
    told = check_edit(Image.new("RGB", car.size), car, structure=(0.3, 1))
    assert not told
    assert "The edit is black: the safety checker did it" in repr(told)


def test_inside_and_outside_a_mask(car):
    mask = example_mask("car").resize((192, 192))
    inside = np.asarray(mask.convert("L")) > 127
    pixels = np.asarray(car).copy()
    pixels[inside] = pixels[inside][:, [2, 1, 0]]  # red to blue
    blue = Image.fromarray(pixels)
    assert check_edit(blue, car, mask, hue_inside=(195, 250), structure_outside=(1, 1), color_outside=(0, 0))
    assert check_edit(car, car, mask, hue_inside=(345, 15))
    assert not check_edit(blue, car, mask, hue_inside=(345, 15))
    still_red = check_edit(car, car, mask, hue_inside=(195, 250))
    assert not still_red
    assert "hue inside the mask is" in still_red.message
    assert "another colour in the prompt" in still_red.message
    everywhere = Image.fromarray(np.asarray(blue) // 2)
    spoilt = check_edit(everywhere, car, mask, hue_inside=(195, 250), color_outside=(0, 5))
    assert not spoilt
    assert "colour distance outside the mask is" in spoilt.message
    assert "less strength" in spoilt.message
    grey = check_edit(car.convert("L"), car, mask, hue_inside=(195, 250))
    assert not grey
    assert "no colour" in grey.message
    assert not check_edit(car, car, mask, color_inside=(20, 100))
    with pytest.raises(ValueError, match="white everywhere"):
        check_edit(car, car, Image.new("L", car.size, 255), brightness_outside=(0, 1))
    with pytest.raises(ValueError, match="needs something to measure"):
        check_edit(car, car, mask)


def test_same_image():
    tensor = torch.rand(1, 4, 8, 8)
    assert check_same_image(tensor + 5e-5, tensor)
    apart = check_same_image(tensor + 1e-2, tensor, hint="Start from the noise.")
    assert not apart
    assert "differ by up to 0.01. Start from the noise." in apart.message
    assert "shape" in check_same_image(tensor[:, :2], tensor).message
    assert "replace the three dots" in check_same_image(..., tensor).message
    assert not check_same_image(tensor * float("nan"), tensor)


def test_lists_of_images():
    one, other = np.zeros((4, 4)), np.ones((4, 4))
    assert check_same_image([one, other], [one, other])
    assert not check_same_image([other, one], [one, other])
    assert not check_same_image([one, other], [one, one])
    assert "replace the three dots" in check_same_image(..., [one, other]).message
    assert "replace the three dots" in check_same_image([one, ...], [one, other]).message
    for wrong in ([one], one, [one, other, one]):
        assert "a list of 2. Mind." in check_same_image(wrong, [one, other], hint="Mind.").message


def test_an_exercise_may_bring_its_own_hint():
    grey, color = Image.new("RGB", (16, 16), "grey"), Image.new("RGB", (16, 16), "red")
    told = check_edit(grey, color, saturation=(0.5, 1), hint="Try a lower noise level.")
    assert repr(told) == "✘ Not yet: colour saturation is 0.00, it should be at least 0.50. Try a lower noise level."
    assert "more colourful style" in repr(check_edit(grey, color, saturation=(0.5, 1)))
