"""Draw a :class:`~classroom_model.world.scenes.Scene` as a picture, with exact masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Canvas
from .crystals import draw_crystals
from .landscape import draw_landscape
from .portrait import draw_portrait
from .scenes import FLAWS, SIZE, Scene
from .street import draw_street
from .styles import apply_finish, apply_flaw, apply_palette, apply_style
from .watch import draw_watch

_DRAW = {
    "landscape": draw_landscape,
    "car": draw_street,
    "portrait": draw_portrait,
    "watch": draw_watch,
    "crystals": draw_crystals,
}


@dataclass
class Picture:
    """A painted scene: RGB ``image`` (size, size, 3) uint8 and ``masks`` of (size, size) bool."""

    image: np.ndarray
    masks: dict[str, np.ndarray]


def paint(scene: Scene, size: int = SIZE) -> Picture:
    """Draw ``scene``; the same scene always gives the same picture.

    Photos may be drawn larger than the training size; the other styles' strokes are made for it.
    """
    canvas = Canvas(scene, np.random.default_rng(scene.layout), 2 * size)
    _DRAW[scene.subject](canvas)
    rgb = cv2.resize(np.clip(canvas.rgb, 0, 1), (size, size), interpolation=cv2.INTER_AREA)
    masks = {
        name: cv2.resize(mask.astype(np.uint8) * 255, (size, size), interpolation=cv2.INTER_AREA) > 127
        for name, mask in canvas.masks.items()
    }
    rgb = apply_palette(rgb, scene.palette)
    rgb = apply_style(rgb, scene)
    rgb = apply_finish(rgb, scene.fine)
    for number, flaw in enumerate(FLAWS):
        if flaw in scene.flaws:
            rgb = apply_flaw(rgb, flaw, np.random.default_rng([scene.layout, number]))
    return Picture(np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8), masks)
