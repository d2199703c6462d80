"""The scenes that the model is measured on, and what is measured on the pictures made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from img2img_helpers import structure_similarity

from ..training.data import scene_at
from ..world.captions import FINE_PHRASES, PALETTE_PHRASES, STYLE_PHRASES, TIME_PHRASES
from ..world.painter import paint
from ..world.scenes import COLORS, PLACES, STYLES, SUBJECTS, TIMES, Scene

PAINTED = ("photo", "impressionist", "van gogh", "watercolor")  # the styles in which paint keeps its colour


def clean(index: int, **changes) -> Scene:
    """Held-out scene ``index`` without flaw, palette or finish, and with ``changes``."""
    return replace(scene_at(index, "held-out"), flaws=(), palette="", fine=False, **changes)


def photos(count: int, first: int) -> list[Scene]:
    """Clean photos, one subject after another."""
    return [clean(first + i, style="photo", subject=SUBJECTS[i % len(SUBJECTS)]) for i in range(count)]


def even_scenes(count: int) -> list[Scene]:
    """One subject after another, each in all styles and times of day before a pair comes again."""
    kinds = [(style, light) for style in STYLES for light in TIMES]
    rng = np.random.default_rng(0)
    rounds = -(-count // (len(SUBJECTS) * len(kinds)))
    orders = {name: np.concatenate([rng.permutation(len(kinds)) for _ in range(rounds)]) for name in SUBJECTS}
    made = []
    for i in range(count):
        subject = SUBJECTS[i % len(SUBJECTS)]
        style, light = kinds[orders[subject][i // len(SUBJECTS)]]
        made.append(clean(20_000 + i, subject=subject, style=style, time=light))
    return made


def car_scenes(count: int) -> list[Scene]:
    """Cars in the styles that keep their paint, of every colour equally often."""
    return [
        clean(21_000 + i, subject="car", style=PAINTED[(i + i // 8) % 4], color=COLORS[i % 8]) for i in range(count)
    ]


def red_cars(count: int) -> list[Scene]:
    """Photos of red cars in all three places, half of them by day."""
    return [
        clean(22_000 + i, subject="car", style="photo", color="red", place=PLACES[i % 3], time=light)
        for i, light in ((i, TIMES[1 + i // 6 % 3] if i % 2 else "day") for i in range(count))
    ]


def full_caption(scene: Scene) -> str:
    """A caption that names every attribute of ``scene``, each in the first of its training phrases."""
    if scene.subject == "car":
        what = f"a {scene.color} car on a {scene.place}"
    elif scene.subject == "portrait":
        crown = "a golden crown and " if scene.crown else ""
        what = f"a portrait of a {scene.person} wearing {crown}a {scene.color} coat"
    elif scene.subject == "watch":
        what = f"a watch with a {scene.color} strap"
    elif scene.subject == "crystals":
        what = "ethereal fantasy landscape with glowing crystals"
    else:
        front = {"trees": "trees", "pines": "pine trees", "house": f"a house with a {scene.color} roof"}
        parts = [scene.backdrop, f"a {scene.water}", *([front[scene.foreground]] if scene.foreground in front else [])]
        what = "a landscape with " + (", ".join(parts) if len(parts) > 2 else " and ".join(parts))
    what = STYLE_PHRASES[scene.style][0].format(what)
    if scene.palette:
        what += " with " + PALETTE_PHRASES[scene.palette][0]
    return ", ".join([what, TIME_PHRASES[scene.time][0], *(FINE_PHRASES[:1] if scene.fine else ())])


def short_name(scene: Scene) -> str:
    """The subject alone, as a style-transfer prompt names it."""
    names = {"crystals": "glowing crystals", "portrait": f"a portrait of a {scene.person}"}
    return names.get(scene.subject, f"a {scene.subject}")


def paint_mask(scene: Scene) -> np.ndarray:
    """Where the car shows its paint, not glass, lamps or tyres: what another colour would change."""
    other = "blue" if scene.color != "blue" else "red"
    one, two = paint(scene), paint(replace(scene, color=other))
    return one.masks["car"] & (np.abs(one.image.astype(int) - two.image).max(2) > 40)


def is_blue(image: np.ndarray, where: np.ndarray) -> bool:
    """Whether most of the coloured pixels of ``where`` are blue, and a third or more are coloured."""
    hue, saturation, value = np.moveaxis(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[where], -1, 0)
    colored = (saturation > 0.4) & (value > 0.2)  # a white car at night has 0.33
    blue = colored & (hue >= 195) & (hue <= 250)  # purple at night is 260
    return bool(3 * colored.sum() >= len(hue) > 0 and 2 * blue.sum() > colored.sum())


def halfway(strengths: Sequence[float], shares: Sequence[float]) -> float:
    """The strength at which ``shares`` first reach one half; 1 if they never do."""
    for i, share in enumerate(shares):
        if share >= 0.5:
            below, start = (shares[i - 1], strengths[i - 1]) if i else (0.0, 0.0)
            return start + (strengths[i] - start) * (0.5 - below) / (share - below)
    return 1.0


def outside_similarity(image: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    """``structure_similarity`` of what lies 3 pixels or more outside ``mask``."""
    return structure_similarity(image, other, where=cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0)


def layout(image: np.ndarray) -> np.ndarray:
    """Where a picture has edges, blurred over about 3 pixels: mean 0, length 1."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    edges = cv2.GaussianBlur(edges, (0, 0), 3).ravel()
    edges -= edges.mean()
    return edges / (np.linalg.norm(edges) + 1e-6)


def nearest_layout(edits: Sequence[np.ndarray], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """For each edit the index of the input whose layout correlates best with its own."""
    return (np.stack([layout(e) for e in edits]) @ np.stack([layout(i) for i in inputs]).T).argmax(1)


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of the grey picture."""
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def painted(scenes: Sequence[Scene]) -> np.ndarray:
    return np.stack([paint(scene).image for scene in scenes])
