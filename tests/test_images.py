import base64
import io
import re
import struct
import zlib
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, features

from classroom_model.examples import EXAMPLES as PAINTED
from img2img_helpers import example_image, example_mask, example_names, load_image, paint_mask, prepare_image
from img2img_helpers.lessons import images
from img2img_helpers.lessons.images import load_mask
from img2img_helpers.lessons.measure import as_mask
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


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "PA", "La", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I", "F"]
)
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
        (np.full((4, 4), 7.0), "between 0 and 1, not 7 to 7; divide them by 255"),
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
    bomb = encoded(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="far too many pixels, more than 178 million"):
        load_image(bomb)


def test_a_large_photo_is_read_while_there_is_memory_for_it(monkeypatch):
    photo = encoded(Image.new("L", (8160, 6144), 7))  # of a 50-megapixel camera
    assert load_image(photo).size == (8160, 6144)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**29))
    with pytest.raises(ValueError, match=r"8160×6144 pixels, for which 0\.6 GiB of memory must be free; shrink it"):
        load_image(photo)
    assert load_image(Image.new("L", (8160, 6144))).size == (8160, 6144), "what has been made is never refused"


def adobe_rgb() -> bytes:
    """A profile with Adobe RGB (1998)'s primaries, white and gamma, as ICC.1:2001 lays it out."""

    def fixed(number):
        return struct.pack(">i", round(number * 65536))

    def xyz(*numbers):
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, numbers))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.19921875 * 256)) + b"\0\0"
    name = b"desc\0\0\0\0" + struct.pack(">I", 6) + b"Adobe\0" + b"\0" * 78
    tags = {
        b"desc": name,
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.60974, 0.31111, 0.01947),  # adapted to D50
        b"gXYZ": xyz(0.20528, 0.62567, 0.06087),
        b"bXYZ": xyz(0.14919, 0.06322, 0.74457),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    start, table, content = 128 + 4 + 12 * len(tags), b"", b""
    for tag, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += tag + struct.pack(">II", start + len(content), len(value))
        content += value
    header = struct.pack(">I", start + len(content)) + b"\0\0\0\0\x02\x10\0\0mntrRGB XYZ " + b"\0" * 12 + b"acsp"
    header += b"\0" * 28 + b"".join(map(fixed, (0.9642, 1, 0.8249))) + b"\0" * 48
    return header + struct.pack(">I", len(tags)) + table + content


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_another_profile_become_srgb(kind, mode):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    picture = Image.new("RGB", (16, 16), (220, 40, 40)).convert("RGB" if kind == "JPEG" else mode)
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind in ("JPEG", "AVIF") else {}
    data = encoded(picture, kind, icc_profile=adobe_rgb(), **options)
    for source in (data, Image.open(io.BytesIO(data))):
        made = load_image(source)
        assert np.abs(np.asarray(made, int)[8, 8] - (255, 35, 35)).max() <= (6 if kind in ("JPEG", "AVIF") else 2)
        assert "icc_profile" not in made.info
    for fit in images.FITS:
        prepared = prepare_image(data, 8, fit)
        for each in (prepared.image, prepared.restore(prepared.image)):
            assert "icc_profile" not in Image.open(io.BytesIO(encoded(each))).info


@pytest.mark.parametrize("profile", [b"damaged", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_a_profile_that_does_not_fit_is_left_out(picture, profile):
    assert np.array_equal(load_image(encoded(picture, icc_profile=profile)), picture)


def test_srgb_itself_changes_nothing(picture):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(load_image(encoded(picture, icc_profile=profile)), picture)


def raw_png(bits: int, kind: int, row: bytes, clear: bytes, more: dict[bytes, bytes] | None = None) -> bytes:
    """A PNG of two pixels side by side, with a transparent value."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    chunks = {b"IHDR": struct.pack(">IIBBBBB", 2, 1, bits, kind, 0, 0, 0), b"tRNS": clear, **(more or {})}
    chunks |= {b"IDAT": zlib.compress(b"\0" + row), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks.items())


@pytest.mark.parametrize(
    ("bits", "row", "clear"),
    [(1, b"\x80", 1), (2, b"\x40", 1), (4, b"\x50", 5), (8, b"\x55\0", 85), (16, b"\x55\x55\0\0", 0x5555)],
)
def test_a_transparent_grey_of_any_depth_lies_on_white(bits, row, clear):
    made = load_image(raw_png(bits, 0, row, struct.pack(">H", clear)))
    assert np.asarray(made)[0].tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize("bits", [8, 16])
def test_so_does_a_transparent_colour(bits):
    clear = (10, 20, 30) if bits == 8 else (1000, 2000, 3000)
    row = struct.pack(">6B" if bits == 8 else ">6H", *clear, 0, 0, 0)
    made = load_image(raw_png(bits, 2, row, struct.pack(">3H", *clear)))
    assert np.asarray(made)[0].tolist() == [[255] * 3, [0] * 3]


def raw_tiff(bits: int, white_is_zero: bool, data: bytes) -> bytes:
    """A grey TIFF of two pixels side by side."""
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: 0 if white_is_zero else 1, 273: 8, 277: 1, 278: 1, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag == 273 else 3, 1, value) for tag, value in tags.items())
    data += b"\0" * (len(data) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


@pytest.mark.parametrize(
    ("bits", "white_is_zero", "data"),
    [
        (8, False, b"\xff\0"),
        (8, True, b"\0\xff"),
        (12, False, b"\xff\xf0\0"),
        (16, False, b"\xff\xff\0\0"),
        (16, True, b"\0\0\xff\xff"),
    ],
)
def test_a_tiffs_white_is_white(bits, white_is_zero, data):
    made = load_image(raw_tiff(bits, white_is_zero, data))
    assert np.asarray(made)[0].tolist() == [[255] * 3, [0] * 3]


def test_an_animation_whose_first_frame_is_smaller_lies_on_white():
    frame = encoded(Image.new("RGB", (4, 2), (200, 0, 0)), "WEBP", lossless=True)[12:]

    def chunk(name, data):
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def three(number):
        return struct.pack("<I", number)[:3]

    header = chunk(b"VP8X", b"\x02\0\0\0" + three(7) + three(7)) + chunk(b"ANIM", b"\0" * 6)
    first = chunk(b"ANMF", three(1) + three(2) + three(3) + three(1) + three(100) + b"\0" + frame)
    body = b"WEBP" + header + first
    made = np.asarray(load_image(b"RIFF" + struct.pack("<I", len(body)) + body))
    assert made.shape == (8, 8, 3)
    assert made[4, 2].tolist() == [200, 0, 0]
    assert made[0, 0].tolist() == made[7, 7].tolist() == [255] * 3


def test_damaged_exif_data_spoil_no_picture(picture):
    rgb = np.asarray(picture)[0, [0, 5]].tobytes()  # red left of blue
    for exif in (b"", b"nonsense", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x01\x01"):
        made = load_image(raw_png(8, 2, rgb, b"\0\1\0\2\0\3", {b"eXIf": exif}))
        assert np.asarray(made)[0].tolist() == [[255, 0, 0], [0, 0, 255]]
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 2, 3, b"72\0\0")
    turned = b"II*\0\x08\0\0\0\x02\0" + entries + b"\0" * 4  # XResolution as text
    assert load_image(raw_png(8, 2, rgb, b"\0\1\0\2\0\3", {b"eXIf": turned})).size == (1, 2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, exif=exif)
    assert np.array_equal(load_image(data), ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def test_data_uris_and_bare_base64(picture):
    code = base64.b64encode(encoded(picture)).decode()
    for uri in (
        f"data:image/png;base64,{code}",
        f"DATA:;base64,{code[:9]}\n{code[9:]}",
        "data:," + quote(encoded(picture)),
    ):
        assert np.array_equal(load_image(uri), picture)
    with pytest.raises(ValueError, match="data URI is damaged"):
        load_image("data:image/png;base64,abc")
    with pytest.raises(ValueError, match="is no path; give base64 as a data URI") as caught:
        load_image(base64.b64encode(bytes(2000)).decode())
    assert len(str(caught.value)) < 200


def test_an_open_file_is_read_from_its_start(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    for _ in range(2):
        assert np.array_equal(load_image(file), picture)


@pytest.mark.parametrize("around", ["{}\n", " {}", "\t'{}'", '"{}" '])
def test_what_is_copied_along_with_an_address_or_path_does_no_harm(picture, tmp_path, around):
    code = base64.b64encode(encoded(picture)).decode()
    (tmp_path / "a.png").write_bytes(encoded(picture))
    for source in (f"data:image/png;base64,{code}", str(tmp_path / "a.png")):
        assert np.array_equal(load_image(around.format(source)), picture)
    with pytest.raises(ValueError, match=r"^http://127.0.0.1:9/a.png could not be downloaded"):
        load_image(around.format("http://127.0.0.1:9/a.png"))


def test_pixels_that_were_made_brighter_are_to_be_clipped(picture):
    brighter = np.asarray(picture).astype(int) + 60
    with pytest.raises(ValueError, match="Pixels run from 60 to 315; clip them to 0 to 255"):
        load_image(brighter)
    assert load_image(np.clip(brighter, 0, 255)).size == picture.size
    dark = np.full((4, 4), 771, np.uint16)  # 3 of 255, in 16 bit
    for source in (dark, Image.fromarray(dark.astype(np.int32))):
        assert load_image(source).getpixel((0, 0)) == (3, 3, 3)


def test_a_decoded_picture_a_little_below_0_is_to_be_clipped():
    with pytest.raises(ValueError, match=r"not -0\.03 to 0\.98; replace or clip them"):
        load_image(np.array([[-0.03, 0.98]]))


def gif_with_a_small_first_frame() -> bytes:
    """A screen of 8×6 of which the first frame, red, covers 2×2."""
    data = bytearray(encoded(Image.new("RGB", (2, 2), (200, 0, 0)), "GIF"))
    data[6:10] = struct.pack("<HH", 8, 6)
    return bytes(data)


def bitmap_without_alpha(*colors: tuple[int, int, int]) -> bytes:
    """A Windows bitmap that says it has transparency and leaves that byte 0, as screenshots do."""
    size = struct.pack("<IiiHHIIiiII", 108, len(colors), 1, 1, 32, 3, 4 * len(colors), 0, 0, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + b"\0" * 48
    pixels = b"".join(bytes([*color[::-1], 0]) for color in colors)
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + size + masks + pixels


def photoshop(*color: int) -> bytes:
    """A flat Photoshop document of two pixels."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, len(color), 1, 2, 8, 3) + bytes(12)
    return head + b"\0\0" + b"".join(bytes([value] * 2) for value in color)


def rgb_in_16_bit() -> bytes:
    return raw_png(16, 2, struct.pack(">6H", 51400, 0, 0, 0, 0, 51400), struct.pack(">3H", 1, 2, 3))


def palette_with_shades_of_transparency() -> bytes:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    return encoded(image, transparency=b"\xff\x80")


RED = Image.new("RGB", (8, 6), (200, 0, 0))
FILES_OF_OTHER_PROGRAMS = {
    "a phone's MPO of two pictures": (lambda: encoded(RED, "MPO", save_all=True, append_images=[RED]), (200, 0, 0)),
    "an animated PNG": (
        lambda: encoded(RED, save_all=True, append_images=[Image.new("RGB", (8, 6))]),
        (200, 0, 0),
    ),
    "an animated GIF": (
        lambda: encoded(RED, "GIF", save_all=True, append_images=[Image.new("L", (8, 6))]),
        (200, 0, 0),
    ),
    "a GIF whose first frame is smaller": (gif_with_a_small_first_frame, (200, 0, 0)),
    "a printer's CMYK JPEG": (lambda: encoded(Image.new("CMYK", (8, 6), (0, 255, 255, 55)), "JPEG"), (200, 0, 0)),
    "a CMYK TIFF": (lambda: encoded(Image.new("CMYK", (8, 6), (0, 255, 255, 55)), "TIFF"), (200, 0, 0)),
    "a scanner's JPEG in TIFF": (lambda: encoded(RED, "TIFF", compression="jpeg"), (200, 0, 0)),
    "a TIFF packed as LZW": (lambda: encoded(RED, "TIFF", compression="tiff_lzw"), (200, 0, 0)),
    "a TIFF of two pages": (
        lambda: encoded(RED, "TIFF", save_all=True, append_images=[Image.new("RGB", (3, 3))]),
        (200, 0, 0),
    ),
    "16 bit a channel": (rgb_in_16_bit, (200, 0, 0)),
    "a palette with shades of transparency": (palette_with_shades_of_transparency, (227, 127, 127)),
    "a screenshot's bitmap": (lambda: bitmap_without_alpha((200, 0, 0), (0, 0, 0)), (200, 0, 0)),
    "a bitmap of which nothing is there": (lambda: bitmap_without_alpha((200, 0, 0)), (255, 255, 255)),
    "an icon": (lambda: encoded(RED.resize((64, 64)), "ICO", sizes=[(16, 16), (64, 64)]), (200, 0, 0)),
    "a Photoshop document": (lambda: photoshop(200, 0, 0), (200, 0, 0)),
    "a PPM of 16 bit": (lambda: b"P6\n1 1\n65535\n" + struct.pack(">3H", 51400, 0, 0), (200, 0, 0)),
    "a JPEG that a film follows": (lambda: encoded(RED, "JPEG") + b"MotionPhoto" * 50, (200, 0, 0)),
    "a PNG without its end": (lambda: encoded(RED)[:-12], (200, 0, 0)),
    "a JPEG 2000": (lambda: encoded(RED, "JPEG2000"), (200, 0, 0)),
    "a resolution of 0": (lambda: encoded(RED, "JPEG", dpi=(0, 0)), (200, 0, 0)),
}


@pytest.mark.parametrize("kind", FILES_OF_OTHER_PROGRAMS)
def test_files_as_other_programs_write_them(kind):
    made, right = FILES_OF_OTHER_PROGRAMS[kind]
    pixels = np.asarray(load_image(made()), int)
    assert np.abs(pixels[0, 0] - right).max() <= (5 if "JPEG" in kind or "MPO" in kind or "resolution" in kind else 1)
    if "first frame" in kind:
        assert pixels.shape == (6, 8, 3)
        assert pixels[5, 7].tolist() == [255] * 3


def test_what_other_libraries_hold_a_picture_in(picture, tmp_path):
    path, right = tmp_path / "my picture.png", np.asarray(picture)
    picture.save(path)
    data, channels_first = path.read_bytes(), np.moveaxis(right, -1, 0)
    sources = [io.BytesIO(data), path.as_uri(), f'"{path}"', f" {path}\n", np.frombuffer(data, np.uint8), right[None]]
    sources += [
        channels_first,
        channels_first[None],
        torch.tensor(channels_first),
        torch.tensor(channels_first / 255.0),
    ]
    sources += [torch.tensor(right / 255.0, dtype=torch.bfloat16, requires_grad=True), right / 255 * 1.000001]
    sources += [right.astype(">u2") * np.uint16(257), np.asfortranarray(right), right[::-1][::-1], Image.open(path)]
    with path.open("rb") as opened:
        for source in [*sources, opened]:
            assert np.array_equal(load_image(source), picture)


def test_a_picture_that_would_not_fit_into_memory_is_refused_before_it_is_made(monkeypatch):
    thin, large = Image.new("RGB", (1, 100_000)), r"To pad 8×8 pixels to 80000×80000 needs more memory than is free"
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(ValueError, match=large):
        prepare_image(Image.new("RGB", (8, 8)), 80_000)
    with pytest.raises(ValueError, match=r"To crop 1×100000 pixels to 512×512 needs more memory .* or another fit"):
        prepare_image(thin, 512, "crop")
    assert prepare_image(thin, 512, "stretch").image.size == (512, 512)


INSIDE = np.array([[1, 1, 0, 0, 0], [0, 1, 1, 0, 0]], bool)
GREY = Image.fromarray(INSIDE.astype(np.uint8) * 255)


def colored(inside, outside=(0, 0, 0), mode="RGB") -> Image.Image:
    image = Image.new(mode, GREY.size, outside)
    image.paste(inside, mask=GREY)
    return image


def filed(array: np.ndarray, kind: str = "PNG") -> bytes:
    return encoded(Image.fromarray(array), kind)


MASKS = {
    "OpenCV's floats": INSIDE * 255.0,
    "a label map of one thing": INSIDE.astype(np.int64) * 7,
    "signs": INSIDE * 2 - 1,
    "logits' halves": INSIDE * 6.0 - 3.0,
    "with a batch": INSIDE[None],
    "with a channel": INSIDE[..., None],
    "with both": INSIDE[None, None],
    "a torch mask": torch.tensor(INSIDE)[None].float(),
    "half precision": torch.tensor(INSIDE, dtype=torch.float16),
    "colours of 0 and 1": np.repeat(INSIDE[..., None], 3, 2).astype(np.uint16),
    "two greys": INSIDE * np.uint8(100) + np.uint8(100),
    "a file of 0 and 1": filed(INSIDE.astype(np.uint8)),
    "a file of 0 and 1 in 16 bit": filed(INSIDE.astype(np.uint16)),
    "a file of 0 and 255 in 16 bit": filed(INSIDE.astype(np.uint16) * 255),
    "a TIFF of floats": filed(INSIDE.astype(np.float32), "TIFF"),
    "a TIFF of floats to 255": filed(INSIDE.astype(np.float32) * 255, "TIFF"),
    "one bit": encoded(GREY.convert("1")),
    "a fax's TIFF": encoded(GREY.convert("1"), "TIFF", compression="group4"),
    "red paint on black": colored((255, 0, 0)),
    "dark red, as Pascal VOC has it": colored((128, 0, 0)),
    "blue paint on nothing": colored((0, 0, 90, 255), (0, 0, 0, 0), "RGBA"),
    "a palette": colored((255, 255, 0)).quantize(2),
    "a GIF with transparency": encoded(colored((255, 255, 255, 255), (0, 0, 0, 0), "RGBA"), "GIF"),
    "soft edges": np.where(INSIDE, 0.9, 0.2) + np.linspace(0, 0.02, 5),
    "an open file": encoded(GREY),
    "CMYK": GREY.convert("RGB").convert("CMYK"),
}


@pytest.mark.parametrize("form", MASKS)
def test_masks_as_people_make_them(form):
    source = io.BytesIO(MASKS[form]) if form == "an open file" else MASKS[form]
    assert np.array_equal(as_mask(source, GREY.size), INSIDE)


masks = st.integers(1, 12).flatmap(
    lambda height: st.integers(1, 12).flatmap(
        lambda width: st.lists(
            st.lists(st.booleans(), min_size=width, max_size=width), min_size=height, max_size=height
        )
    )
)


@given(masks)
@settings(max_examples=60, deadline=None)
def test_a_mask_is_the_same_in_every_form(rows):
    inside = np.array(rows)
    grey = Image.fromarray(inside.astype(np.uint8) * 255)
    white, black = (Image.new("RGBA", grey.size, color) for color in ("white", "black"))
    for paint in (white, black):
        paint.putalpha(grey)
    forms = [inside, inside.astype(np.uint8), inside.astype(np.uint16), inside.astype(int), inside.astype(float)]
    forms += [inside.astype(np.uint8) * 255, inside.astype(np.uint16) * 65535, np.repeat(inside[..., None], 3, 2) * 255]
    forms += [grey, grey.convert("1"), grey.convert("RGB"), grey.convert("P"), encoded(grey), white, encoded(white)]
    forms += [] if inside.all() else [black, encoded(black)]  # black everywhere is no paint on nothing
    forms += [Image.merge("LA", (grey, Image.new("L", grey.size, 255)))]
    if inside.any():
        assert all(np.array_equal(as_mask(form, grey.size), inside) for form in forms)
    else:
        for form in forms:
            with pytest.raises(ValueError, match="mask is black everywhere"):
                as_mask(form, grey.size)


def test_a_painted_mask_is_one_itself():
    painter = paint_mask(example_image("car"), example_mask("car"))
    for form in (painter, painter.mask, painter.data):
        assert np.array_equal(load_mask(form), example_mask("car"))


def test_a_mask_of_another_shape_is_refused_and_comes_along_when_prepared():
    photo, mask = example_image("car").resize((300, 200)), example_mask("car").resize((300, 200))
    inside = np.asarray(mask) > 127
    with pytest.raises(ValueError, match=r"300×200 pixels and the picture 64×64, another shape; .*prepared\.mask"):
        as_mask(mask, (64, 64))
    assert as_mask(mask, (150, 100)).shape == (100, 150)
    for fit in images.FITS:
        prepared = prepare_image(photo, 96, fit)
        brought = prepared.mask(mask)
        assert brought.size == (96, 96)
        assert set(np.unique(brought)) == {0, 255}
        back = prepare_image(mask, 96, fit).restore(brought)  # from the prepared picture to the photo
        assert np.mean((np.asarray(back.convert("L")) > 127) == inside) > 0.97, fit
    assert prepare_image(Image.new("L", (10, 30), 255), 64).mask(np.ones((30, 10))).getpixel((0, 5)) == 0


def test_the_source_is_not_changed(picture):
    loaded = load_image(picture)
    loaded.paste((0, 0, 0), (0, 0, 6, 4))
    assert picture.getpixel((0, 0)) == (255, 0, 0)


def test_examples_and_masks():
    assert {"landscape", "car", "night", "cottage", "cat", "coffee"} <= set(example_names())
    for name in example_names():
        image = example_image(name)
        assert image.size == (512, 512)
        assert image.mode == "RGB"
    for name in set(example_names()) - {"cat"}:
        mask = example_mask(name)
        assert mask.size == (512, 512)
        assert mask.mode == "L"
        assert set(np.unique(mask)) == {0, 255}
        assert 0.02 < np.mean(np.asarray(mask) > 0) < 0.5
    inside = np.asarray(example_image("car"))[np.asarray(example_mask("car")) > 0].mean(0)
    assert inside[0] > 1.5 * inside[2], "the car in the mask is red"
    with pytest.raises(ValueError, match=r"no example image 'giraffe'; choose one of .*landscape"):
        example_image("giraffe")


@pytest.mark.parametrize("name", ["", "car_mask", "cat.jpg", "../examples/car", "SOURCES", None, 3])
def test_what_is_no_example(name):
    for function in (example_image, example_mask):
        with pytest.raises(ValueError, match="There is no example image"):
            function(name)


def test_example_photographs_name_their_sources():
    """A row each; the painter has painted the rest."""
    lines = (images.EXAMPLES / "SOURCES.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    assert {row[0] for row in rows} == {f"`{name}.jpg`" for name in set(example_names()) - set(PAINTED)}
    for file, _, photographer, source, licence, changed in rows:
        assert photographer
        assert licence == "CC0 1.0"
        # the square that the row names, of the picture that it names, give or take JPEG's rounding
        original = Image.fromarray(getattr(skimage.data, re.search(r"skimage\.data\.(\w+)", source)[1])())
        side, left, top = map(int, re.search(r"(\d+)×\1 pixels from \((\d+), (\d+)\)", changed).groups())
        square = original.resize((512, 512), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
        gap = np.abs(np.asarray(square, int) - np.asarray(example_image(file[1:-5]), int))
        assert gap.mean() < 3


def test_the_coffee_mask_is_the_cup():
    picture, cup = np.asarray(example_image("coffee"), int), np.asarray(example_mask("coffee")) > 0
    white = (picture.min(2) > 190) & (np.ptp(picture, 2) < 60)
    assert cup[white].mean() > 0.9, "its rim is nearly all that is white"
    for x, y, inside in ((260, 200, True), (160, 360, True), (330, 370, False), (60, 250, False), (425, 100, False)):
        assert cup[y, x] == inside, "coffee and handle; neither spoon nor saucer"


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


@pytest.mark.parametrize("shape", [(1366, 768), (768, 1366), (2048, 1367), (1999, 1325)])
@pytest.mark.parametrize("size", [64, 192])
def test_restoring_a_crop_covers_all_that_was_shown(shape, size):
    prepared = prepare_image(Image.new("RGB", shape, "red"), size, "crop")
    restored = np.asarray(prepared.restore(Image.new("RGB", (size, size), "blue")))
    middle = restored[:, shape[0] // 2] if shape[0] > shape[1] else restored[shape[1] // 2]
    assert (middle == (0, 0, 255)).all()


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
