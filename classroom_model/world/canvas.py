"""The canvas that scenes are drawn on: light, polygons, glows and masks.

Everything is drawn in daylight colours on a canvas of twice the final size, lit for the time of
day, and reduced at the end, which smooths every edge. A scene looks the same at every size.
Coordinates run from 0 to 1 across the canvas, y downwards; colours are float RGB from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from .scenes import SIZE, Scene

# zenith, middle and horizon of the sky; the light's tint; the haze that distance fades into
LIGHT = {
    "day": ((0.22, 0.48, 0.86), (0.48, 0.70, 0.94), (0.80, 0.90, 0.97), (1.0, 0.99, 0.95), (0.74, 0.84, 0.94)),
    "sunset": ((0.30, 0.22, 0.46), (0.88, 0.42, 0.36), (1.0, 0.76, 0.38), (1.0, 0.68, 0.52), (0.93, 0.56, 0.42)),
    "night": ((0.05, 0.07, 0.20), (0.09, 0.14, 0.33), (0.20, 0.28, 0.50), (0.34, 0.42, 0.66), (0.16, 0.22, 0.42)),
    "dawn": ((0.50, 0.56, 0.80), (0.82, 0.70, 0.82), (0.99, 0.86, 0.78), (0.86, 0.80, 0.90), (0.88, 0.78, 0.84)),
}
PAINT = {
    "red": (0.85, 0.12, 0.12),
    "blue": (0.12, 0.32, 0.86),
    "green": (0.13, 0.58, 0.26),
    "yellow": (0.97, 0.80, 0.12),
    "white": (0.94, 0.94, 0.93),
    "black": (0.12, 0.12, 0.14),
    "orange": (0.96, 0.50, 0.10),
    "purple": (0.52, 0.22, 0.68),
}
CELL = 1 / 24  # the side of a latent: windows, glints and stars keep to this grid, whatever the scene
GRASS, SAND, ROCK, ASPHALT = (0.42, 0.60, 0.25), (0.90, 0.76, 0.50), (0.44, 0.44, 0.50), (0.34, 0.35, 0.38)


def mix(a, b, amount) -> np.ndarray:
    """Colour ``a`` with a share ``amount`` of colour ``b``."""
    return np.asarray(a, np.float32) * (1 - amount) + np.asarray(b, np.float32) * amount


@dataclass
class Canvas:
    """The picture being drawn, the light on it, and what has been drawn where."""

    scene: Scene
    rng: np.random.Generator
    side: int = 2 * SIZE
    rgb: np.ndarray = field(init=False)
    masks: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rgb = np.zeros((self.side, self.side, 3), np.float32)
        zenith, middle, horizon, tint, haze = (np.array(c, np.float32) for c in LIGHT[self.scene.time])
        self.sky_stops, self.tint, self.haze = (zenith, middle, horizon), tint, haze
        self.night = self.scene.time == "night"

    def lit(self, color, distance: float = 0.0) -> np.ndarray:
        """``color`` under this light, faded towards the haze by ``distance`` (0 near, 1 far)."""
        return np.asarray(color, np.float32) * self.tint * (1 - distance) + self.haze * distance

    def coverage(self, points) -> np.ndarray:
        """How much of each pixel the polygon ``points`` covers, 0 to 1."""
        cover = np.zeros((self.side, self.side), np.uint8)
        fixed = np.round(np.asarray(points, np.float64) * self.side * 16).astype(np.int32)
        cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, shift=4)
        return cover

    def fill(self, points, color, mask: str | None = None, alpha: float = 1.0) -> None:
        """Fill a polygon with an RGB colour, or with a (side, side, 3) texture."""
        xy = np.clip(np.asarray(points) * self.side, -2, self.side + 2)
        x0, y0 = np.maximum(np.floor(xy.min(0)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(xy.max(0)).astype(int) + 2, self.side)
        if x0 >= x1 or y0 >= y1:
            return
        cover = self.coverage(points)
        box = np.s_[y0:y1, x0:x1]
        weight = cover[box].astype(np.float32)[..., None] * (alpha / 255)
        color = np.asarray(color, np.float32)
        self.rgb[box] += weight * ((color[box] if color.ndim == 3 else color) - self.rgb[box])
        if mask:
            self.masks[mask] = self.masks.get(mask, False) | (cover > 127)
            for name in self.masks:  # what is drawn later hides what was drawn before
                if name != mask:
                    self.masks[name] = self.masks[name] & ~(cover > 127)

    def gradient(self, top, bottom, y0, y1) -> np.ndarray:
        """A texture that runs from one colour at height ``y0`` to another at ``y1``."""
        ramp = np.clip((np.arange(self.side) / self.side - y0) / max(y1 - y0, 1e-3), 0, 1)[:, None, None]
        shade = np.asarray(top, np.float32) * (1 - ramp) + np.asarray(bottom, np.float32) * ramp
        return np.broadcast_to(shade, (self.side, self.side, 3)).astype(np.float32)

    def ellipse(self, x, y, rx, ry, color, mask=None, alpha=1.0) -> None:
        turn = np.linspace(0, 2 * np.pi, 36)
        self.fill(np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], 1), color, mask, alpha)

    def glow(self, x, y, radius, color, strength) -> None:
        """Add a soft light around a point."""
        yy, xx = np.mgrid[: self.side, : self.side].astype(np.float32) / self.side
        falloff = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * radius**2))[..., None]
        self.rgb += strength * falloff * (np.asarray(color, np.float32) - self.rgb * 0.6)
