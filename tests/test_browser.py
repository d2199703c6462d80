"""The widgets as a learner meets them: lessons in a real JupyterLab, and pages without a kernel, in Chromium."""

import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from img2img_helpers import before_after, example_image, picture_slider
from tests import browser as chrome

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """JupyterLab over a folder with lesson 2, and lesson 7 as far as the brush; gives its address and the folder."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / "02_strength.ipynb", folder)
    lesson = nbformat.read(ROOT / "notebooks" / "07_inpainting.ipynb", 4)
    last = next(i for i, cell in enumerate(lesson.cells) if "painter.mask" in cell.source)
    lesson.cells = lesson.cells[: last + 1]
    nbformat.write(lesson, folder / "07_inpainting.ipynb")
    with chrome.jupyterlab(folder) as address:
        yield address, folder


def drag(page, start, stop, steps=12):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*stop, steps=steps)
    page.mouse.up()


def middle(box):
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def compare_by_hand(page, root):
    """Move the divider of a comparison by mouse and by keyboard."""
    divider, box = root.locator(".divider"), root.bounding_box()
    assert abs(middle(divider.bounding_box())[0] - middle(box)[0]) < 3
    y = box["y"] + box["height"] / 3
    drag(page, (box["x"] + box["width"] / 2, y), (box["x"] + box["width"] / 4, y))
    moved = middle(divider.bounding_box())[0]
    assert abs(moved - box["x"] - box["width"] / 4) < 0.03 * box["width"]
    root.locator("input").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    assert abs(middle(divider.bounding_box())[0] - moved - box["width"] / 10) < 3


def slide_by_hand(page, root):
    """Move a picture slider by keyboard and by mouse; gives the labels seen."""

    def seen():
        shown = [image for image in root.locator("img[data-label]").all() if image.is_visible()]
        assert len(shown) == 1
        label = root.locator("output").inner_text()
        assert shown[0].get_attribute("data-label") == label
        assert shown[0].evaluate("image => image.naturalWidth") > 0
        return label

    labels, slider = [seen()], root.locator("input")
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.keyboard.press("ArrowRight")
    labels.append(seen())
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 4, middle(box)[1])
    labels.append(seen())
    drag(page, (box["x"] + 8, middle(box)[1]), (box["x"] + box["width"] - 4, middle(box)[1]))
    labels.append(seen())
    return labels


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_comparisons_and_picture_sliders_need_no_kernel(browser, tmp_path, scheme):
    car = example_image("car")
    slider = picture_slider([car, car.rotate(90), car.rotate(180)], [0.1, 0.5, 1], captions=["<a>", "b", "c"])
    comparison = before_after(car, car.rotate(180), ["as it was", "upside down"])
    page_file = tmp_path / "page.html"
    page_file.write_text(f"<!doctype html><meta charset=utf-8>{slider.data}{comparison.data}", "utf-8")
    with chrome.Watched(browser, page_file.as_uri(), color_scheme=scheme) as watched:
        watched.page.goto(page_file.as_uri())
        assert slide_by_hand(watched.page, watched.page.locator(".img2img-slider")) == ["0.5", "1", "0.1", "1"]
        assert watched.page.locator("figcaption").inner_text() == "c"
        compare_by_hand(watched.page, watched.page.locator(".img2img-compare"))


def test_lesson_2_runs_and_its_sliders_move(lab, browser):
    address, _ = lab
    with chrome.lesson(browser, address, "02_strength.ipynb") as page:
        slider = page.locator(".jp-OutputArea .img2img-slider").first
        slider.scroll_into_view_if_needed()
        labels = slide_by_hand(page, slider)
        assert labels == ["0.5", "0.8", "0.1", "1.0"]

        told, edit = page.locator(".widget-html-content").first, page.locator(".jupyter-widgets img").nth(1)
        told.scroll_into_view_if_needed()
        page.wait_for_function("told => told.innerText.includes('4 of 8 steps')", arg=told.element_handle())
        before = edit.get_attribute("src")
        handle, track = (page.locator(f".widget-slider .noUi-{part}").first for part in ("handle", "target"))
        assert float(handle.get_attribute("aria-valuetext")) == 0.5
        handle.focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.wait_for_function("told => told.innerText.includes('5 of 8 steps')", arg=told.element_handle())
        by_keys = edit.get_attribute("src")
        assert by_keys != before
        box = track.bounding_box()
        drag(page, middle(handle.bounding_box()), (box["x"] + 0.9 * box["width"], middle(box)[1]))
        page.wait_for_function("told => /[67] of 8 steps/.test(told.innerText)", arg=told.element_handle())
        assert edit.get_attribute("src") not in (before, by_keys)
        # a strength at which nothing would run is refused in a sentence
        handle.focus()
        page.keyboard.press("Home")
        page.wait_for_function("told => told.innerText.includes('use strength')", arg=told.element_handle())

        comparison = page.locator(".jp-OutputArea .img2img-compare").first
        comparison.scroll_into_view_if_needed()
        compare_by_hand(page, comparison)


def test_a_mask_painted_in_lesson_7_reaches_python(lab, browser):
    address, folder = lab
    with chrome.lesson(browser, address, "07_inpainting.ipynb") as page:
        stage, status = page.locator(".img2img-stage"), page.locator(".img2img-status")
        stage.scroll_into_view_if_needed()
        assert status.inner_text() == "0.0 % is painted"
        box = stage.bounding_box()

        def at(x, y):
            return box["x"] + x * box["width"], box["y"] + y * box["height"]

        def mask(expected):
            """What Python has, as soon as it is as ``expected``: the message takes its time."""
            for _ in range(300):
                chrome.execute(page, "painter.mask.save('mask.png')")
                with Image.open(folder / "mask.png") as stored:
                    found = np.asarray(stored)
                if expected(found):
                    return found
                page.wait_for_timeout(100)
            raise AssertionError("the mask did not reach Python")

        def press(name):
            page.locator(".img2img-tools button", has_text=re.compile(f"^{name}$")).click()

        drag(page, at(0.2, 0.5), at(0.8, 0.5))
        painted = mask(np.any)
        size = painted.shape[0]
        assert painted.shape == (size, size)
        assert set(np.unique(painted)) == {0, 255}
        assert painted[size // 2, int(0.22 * size) : int(0.78 * size)].all()
        assert not painted[: size // 4].any()
        assert not painted[-size // 4 :].any()
        press("Erase")
        drag(page, at(0.5, 0.2), at(0.5, 0.8))
        erased = mask(lambda found: not found[size // 2, size // 2])
        assert erased[size // 2, size // 4]
        press("Undo")
        mask(lambda found: np.array_equal(found, painted))
        press("Invert")
        # the rim's half-painted pixels may be either
        mask(lambda found: np.abs(255 - found.astype(int) - painted).mean() < 3)
        brush = page.locator(".img2img-tools input").first
        width = int(brush.input_value())
        brush.focus()
        page.keyboard.press("ArrowRight")
        assert int(brush.input_value()) == width + 1
        press("Clear")
        mask(lambda found: not found.any())
        chrome.execute(page, "painter.mask = mask")
        page.wait_for_function("() => !document.querySelector('.img2img-status').innerText.startsWith('0.0')")


def test_a_mask_may_be_painted_by_touch(browser, tmp_path):
    """The brush follows pointers, whatever they are: the code of the widget on a page with a stand-in for its model."""
    script = (ROOT / "img2img_helpers" / "lessons" / "frontend" / "paint_mask.js").read_text("utf-8")
    style = (ROOT / "img2img_helpers" / "lessons" / "frontend" / "paint_mask.css").read_text("utf-8")
    png = tmp_path / "car.png"
    example_image("car").save(png)
    values = "{image: 'car.png', size: [512, 512], width: 384, brush: 51, data: ''}"
    page_file = tmp_path / "page.html"
    page_file.write_text(
        f"<!doctype html><meta charset=utf-8><style>{style}</style><div id=el></div><script type=module>{script}"
        f"const values = {values}; window.values = values;"
        "render({model: {get: n => values[n], set: (n, v) => { values[n] = v }, save_changes() {}, on() {}, off() {}},"
        " el: document.getElementById('el')});</script>",
        "utf-8",
    )
    with chrome.Watched(browser, tmp_path.as_uri(), has_touch=True) as watched:
        page = watched.page
        page.goto(page_file.as_uri())
        box = page.locator(".img2img-stage canvas").bounding_box()
        page.touchscreen.tap(*middle(box))
        page.wait_for_function("() => window.values.data.startsWith('data:image/png')")
        # a disc as wide as the brush: π·51²/4 of 512² pixels
        share = float(page.locator(".img2img-status").inner_text().split()[0])
        assert abs(share - 100 * np.pi * 51**2 / 4 / 512**2) < 0.1
        # one finger paints, and another that comes and goes meanwhile neither paints nor stops it
        chrome.touch(
            page.locator(".img2img-stage canvas"),
            *(
                ("down", 1, 0.2, 0.1),
                ("down", 2, 0.2, 0.9),
                ("up", 2, 0.2, 0.9),
                ("move", 1, 0.8, 0.1),
                ("up", 1, 0.8, 0.1),
            ),
        )
        more = float(page.locator(".img2img-status").inner_text().split()[0]) - share
        assert abs(more - 100 * (np.pi * 51**2 / 4 + 0.6 * 512 * 51) / 512**2) < 0.2
