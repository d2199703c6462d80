"""Make the moving picture of a doodle that becomes a painting, anew after the model or its page changed.

After `make book`: python -m book.doodle_picture build/book

Chromium opens studio.html; a mouse draws there, and after every stroke and every answer of the model a picture is taken.
doodle.jpg is the first painting alone, for those who want nothing to move, and for paper.
"""

import argparse
import io
from pathlib import Path

from PIL import Image

from tests.browser import chromium

STATIC = Path(__file__).parent / "_static"
STRENGTH, SEED, STEPS = "0.7", "2", "all"
HILLS = "an oil painting of green hills"
HOUSE = "an oil painting of a house with a red roof and green hills"
OTHERS = (
    "a watercolor painting of a house with a red roof and green hills",
    "digital art of a house with a red roof at night in cyberpunk style",
)
# for each answer the prompt, and what is drawn before: colour, width of the brush, where it goes, in pixels of the model
SKY = [(4, 10), (188, 10), (188, 32), (4, 32), (4, 54), (188, 54), (188, 76), (4, 76), (4, 98), (188, 98)]
ROOF = [(40, 118), (64, 88), (104, 88), (124, 118), (50, 116), (66, 98), (104, 98), (112, 108), (60, 108)]
DOODLE = (
    (HILLS, [("sky", 34, SKY)]),
    (HILLS, [("forest", 34, [(1, 128), (30, 112), (70, 118), (130, 104), (191, 120)])]),
    (HILLS, [("meadow", 34, [(4, 136), (188, 136), (188, 158), (4, 158), (4, 180), (188, 180)])]),
    (HILLS, [("gold", 22, [(36, 32)]), ("snow", 20, [(126, 40), (160, 40)]), ("snow", 22, [(138, 34), (146, 34)])]),
    (HILLS, [("water", 22, [(120, 150), (102, 170), (112, 191)])]),
    (HOUSE, [("skin", 22, [(54, 126), (110, 126), (110, 140), (54, 140), (54, 132), (110, 132)])]),
    (HOUSE, [("red", 13, ROOF)]),
    (HOUSE, [("ink", 11, [(72, 136), (72, 148)]), ("water", 11, [(98, 132), (104, 132)])]),
)
# the prompt above the pictures, and of the rest what a small picture has room for
LAYOUT = """
div.live { display: flex; flex-direction: column; border-radius: 0; }
div.live .live-settings { order: -1; margin: 0 0 1rem; }
div.live .live-tools { gap: 0.3rem; }
div.live button.live-color { width: 1.35rem; height: 1.35rem; }
div.live .live-tools input { position: absolute; opacity: 0; pointer-events: none; }
:is(.live-chips, .live-row, .live-start, .live-run, .live-told, .live-keys, .live-settings details), .live-tools button:not(.live-color) { display: none !important; }
"""
EMPTY, AMID, DRAWN, ANSWERED, PAINTED = 700, 150, 250, 600, 1200  # milliseconds


def film(page) -> list[tuple[Image.Image, int]]:
    """What is seen of the studio, and for how long."""
    frames = []
    paper = page.locator(".live-paper canvas")

    def shoot(milliseconds: int) -> None:
        shot = page.locator(".live").screenshot(animations="disabled")
        frames.append((Image.open(io.BytesIO(shot)).convert("RGB"), milliseconds))

    def answered() -> None:
        page.wait_for_function("() => live.last && Number(document.querySelector('.live').dataset.made) === live.last")

    def move(point: tuple[int, int]) -> None:
        box = paper.bounding_box()
        page.mouse.move(*(box[edge] + at * box["width"] / 192 for edge, at in zip("xy", point, strict=True)), steps=5)

    page.get_by_role("button", name="Paint with the model").click()
    page.get_by_label("start from").select_option(label="an empty page")
    page.get_by_label("seed").fill(SEED)
    page.get_by_role("combobox", name="steps").select_option(STEPS)
    page.get_by_role("slider", name="strength").fill(STRENGTH)
    page.get_by_label("prompt").fill(HILLS)
    page.add_style_tag(content=LAYOUT)
    page.keyboard.press("Tab")  # the prompt is no longer framed
    answered()
    shoot(EMPTY)
    for prompt, strokes in DOODLE:
        page.get_by_label("prompt").fill(prompt)
        for color, width, points in strokes:
            page.get_by_role("button", name=color, exact=True).click()
            page.get_by_label("width of the brush").fill(str(width))
            move(points[0])
            page.mouse.down()
            for number, point in enumerate(points):
                move(point)
                if number == len(points) // 2 > 0:
                    shoot(AMID)
            page.mouse.up()
        shoot(DRAWN)
        answered()
        shoot(ANSWERED)
    frames[-1] = (frames[-1][0], PAINTED)
    for prompt in OTHERS:
        page.get_by_label("prompt").fill(prompt)
        page.keyboard.press("Enter")
        answered()
        shoot(PAINTED)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m book.doodle_picture", description=__doc__.split("\n")[0])
    parser.add_argument("site", type=Path, help="what make book has built")
    site = parser.parse_args().site.resolve()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1300, "height": 1000}, device_scale_factor=1.5)
        page.set_default_timeout(120_000)
        page.goto(f"{site.as_uri()}/studio.html")
        pictures, times = zip(*film(page), strict=True)
    pictures[times.index(PAINTED)].save(STATIC / "doodle.jpg", quality=88)
    first, *rest = pictures
    first.save(STATIC / "doodle.webp", save_all=True, append_images=rest, duration=times, loop=0, quality=92, method=6)
    print(f"{len(times)} frames, {sum(times) / 1000:.1f} s, {(STATIC / 'doodle.webp').stat().st_size} bytes")


if __name__ == "__main__":
    main()
