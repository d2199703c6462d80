import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from img2img_helpers import example_image, example_mask, example_names, images, load_image, prepare_image
from tests.fuzz import outcome


def encoded(image: Image.Image, format="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Image.Image:
    """Red left of blue, 6×4."""
    image = Image.new("RGB", (6, 4), (255, 0, 0))
    image.paste((0, 0, 255), (3, 0, 6, 4))
    return image


def test_every_kind_of_source_gives_the_same_image(picture, tmp_path):
    path = tmp_path / "p.png"
    picture.save(path)
    data = path.read_bytes()
    widget_8 = ({"name": "p.png", "type": "image/png", "size": len(data), "content": memoryview(data)},)
    sources = [path, str(path), data, bytearray(data), picture, np.asarray(picture), np.asarray(picture) / 255]
    for source in [*sources, widget_8, list(widget_8), {"p.png": data}, {"p.png": {"content": data}}]:
        loaded = load_image(source)
        assert loaded.mode == "RGB"
        assert np.array_equal(loaded, picture)


def test_photo_taken_sideways_is_turned_upright(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held turned: rotate by 270°
    upright = load_image(encoded(picture, exif=exif))
    assert upright.size == (4, 6)
    assert upright.getpixel((0, 0)) == (255, 0, 0)
    assert upright.getpixel((0, 5)) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode):
    assert load_image(Image.new(mode, (4, 4), 0)).getpixel((0, 0)) == (255, 255, 255)


def test_palette_with_a_transparent_colour():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert load_image(encoded(image)).getpixel((0, 0)) == (10, 200, 30)
    assert load_image(encoded(image, transparency=1)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(mode):
    assert load_image(Image.new(mode, (5, 5))).mode == "RGB"


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for source in (ramp, encoded(Image.fromarray(ramp))):
        assert np.array_equal(np.asarray(load_image(source))[..., 0].ravel(), np.arange(256))


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([(), (1,), (3,), (4,)]),
    st.sampled_from([np.uint8, np.uint16, np.float32, bool]),
)
@settings(max_examples=60, deadline=None)
def test_arrays_keep_their_size(height, width, channels, dtype):
    array = np.ones((height, width, *channels), dtype)
    assert load_image(array).size == (width, height)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere.png", "There is no image file 'nowhere.png'"),
        (b"hello", "could not be read as an image"),
        (b"", "could not be read as an image"),
        ((), "No file has been uploaded yet"),
        ({}, "No file has been uploaded yet"),
        ([1, 2], "cannot be made from a list of int"),
        (None, "cannot be made from NoneType"),
        (42, "cannot be made from int"),
        (np.zeros((2, 2, 2)), "no image"),
        (np.zeros((0, 4, 3)), "no image"),
        (np.full((4, 4), 7.0), "between 0 and 1"),
        (np.full((4, 4), np.nan), "between 0 and 1"),
        (np.full((4, 4), -1), "Pixels run from -1"),
        (np.zeros((4, 4), complex), "no image"),
        ("http://127.0.0.1:9/picture.png", "could not be downloaded"),
        ("https://example.org/picture.png", "could not be downloaded"),
        ("HTTPS://example.org/my über picture.png", "could not be downloaded"),
        ("http://[bad", "could not be downloaded"),
        (b"P5\nx y\n255\n", "could not be read as an image"),
        ("~nosuchuser/picture.png", "There is no image file"),
    ],
)
def test_what_is_no_image_gets_one_sentence(source, told):
    with pytest.raises((ValueError, FileNotFoundError), match=told) as caught:
        load_image(source)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_and_a_text_file(picture, tmp_path):
    damaged = encoded(example_image("car"))[:5000]
    with pytest.raises(ValueError, match="could not be read as an image; use a complete"):
        load_image(damaged)
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    with pytest.raises(ValueError, match=r"notes\.txt could not be read"):
        load_image(text)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_an_image_or_one_sentence(data):
    file = io.BytesIO()
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]))
    Image.new("RGB", (9, 7), "teal").save(file, format=kind)
    damaged = bytearray(file.getvalue()[: data.draw(st.integers(0, len(file.getvalue())))])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=5)):
        if place < len(damaged):
            damaged[place] = value
    image, told = outcome(load_image, bytes(damaged))
    assert told or image.mode == "RGB"
    assert "\n" not in told


def test_a_bomb_is_refused_before_it_is_unpacked():
    for side, told in ((9_000, "9000×9000 pixels, more than 50 million"), (20_000, "far too many pixels")):
        bomb = encoded(Image.new("1", (side, side)))
        assert len(bomb) < 100_000
        with pytest.raises(ValueError, match=told):
            load_image(bomb)


def test_the_source_is_not_changed(picture):
    loaded = load_image(picture)
    loaded.paste((0, 0, 0), (0, 0, 6, 4))
    assert picture.getpixel((0, 0)) == (255, 0, 0)


def test_examples_and_masks():
    assert {"landscape", "car", "night", "cottage"} <= set(example_names())
    for name in example_names():
        image, mask = example_image(name), example_mask(name)
        assert image.size == mask.size == (512, 512)
        assert image.mode == "RGB"
        assert set(np.unique(mask)) == {0, 255}
        assert 0.02 < np.mean(np.asarray(mask) > 0) < 0.5
    inside = np.asarray(example_image("car"))[np.asarray(example_mask("car")) > 0].mean(0)
    assert inside[0] > 1.5 * inside[2], "the car in the mask is red"
    with pytest.raises(ValueError, match=r"no example image 'giraffe'; choose one of .*landscape"):
        example_image("giraffe")


sizes = st.integers(1, 40).map(lambda n: n * 8)


@given(st.integers(1, 300), st.integers(1, 300), sizes, sizes, st.sampled_from(images.FITS), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_restore_gives_back_the_original_size(width, height, to_width, to_height, fit, upscaled):
    prepared = prepare_image(Image.new("RGB", (width, height), "teal"), (to_width, to_height), fit)
    assert prepared.image.size == (to_width, to_height)
    result = prepared.image.resize((to_width * upscaled, to_height * upscaled))
    restored = prepared.restore(result)
    assert restored.size == (width, height)
    assert np.abs(np.asarray(restored, int) - (0, 128, 128)).max() <= 1


@pytest.mark.parametrize("fit", images.FITS)
@pytest.mark.parametrize("shape", [(512, 512), (400, 250), (250, 400)])
def test_restore_puts_things_back_in_their_place(fit, shape):
    original = example_image("car").resize(shape)
    prepared = prepare_image(original, 256, fit)
    restored = np.asarray(prepared.restore(prepared.image), float)
    assert np.abs(restored - np.asarray(original)).mean() < 3.5  # a shift by 3 pixels gives 6.7 and more


def test_padding_continues_the_edge_and_never_is_black():
    prepared = prepare_image(Image.new("RGB", (30, 10), (200, 180, 160)), 64, "pad")
    assert np.asarray(prepared.image).min() >= 160
    assert prepared.box == (0, 21, 64, 42)


def test_cropping_keeps_the_middle_and_restores_the_sides(picture):
    wide = picture.resize((600, 200), Image.Resampling.NEAREST)
    prepared = prepare_image(wide, 96, "crop")
    blank = Image.new("RGB", (96, 96), "white")
    restored = np.asarray(prepared.restore(blank))
    assert (restored[:, 205:395] == 255).all()
    assert (restored[:, :195] == (255, 0, 0)).all()
    assert (restored[:, 405:] == (0, 0, 255)).all()


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (100, "multiples of 8, not 100×100; 96×96 would work"),
        ((128, 100), "not 128×100; 128×96 would work"),
        (0, "not 0×0; 8×8"),
        ((64.5, 64), "not 64.5×64; 64×64 would work"),
        ((64, 64, 64), "one number or .width, height. in pixels, such as 512, not .64, 64, 64"),
        ("512", "one number or .width, height. in pixels, such as 512, not '512'"),
        (None, "not None"),
        ((float("nan"), 64), "not .nan, 64"),
    ],
)
def test_wrong_sizes_name_one_that_works(picture, size, told):
    with pytest.raises(ValueError, match=told):
        prepare_image(picture, size)


@pytest.mark.parametrize("size", [np.int64(64), 64.0, (np.int64(64), 64), [64, 64]])
def test_sizes_may_come_from_numpy(picture, size):
    assert prepare_image(picture, size).image.size == (64, 64)


def test_unknown_fit(picture):
    with pytest.raises(ValueError, match="no fit 'squeeze'; choose one of pad, crop, stretch"):
        prepare_image(picture, 64, "squeeze")
