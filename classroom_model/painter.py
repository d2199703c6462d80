"""Draw a :class:`~classroom_model.scenes.Scene` as a picture, with exact masks.

Everything is drawn in daylight colours on a canvas of twice the final size, lit for the time of
day, and reduced at the end, which smooths every edge. A scene looks the same at every size.
Coordinates run from 0 to 1 across the canvas, y downwards; colours are float RGB from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from .scenes import SIZE, Scene
from .styles import apply_flaw, apply_style, smooth_noise

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
GRASS, SAND, ROCK, ASPHALT = (0.42, 0.60, 0.25), (0.90, 0.76, 0.50), (0.44, 0.44, 0.50), (0.34, 0.35, 0.38)


@dataclass
class Picture:
    """A painted scene: RGB ``image`` (size, size, 3) uint8 and ``masks`` of (size, size) bool."""

    image: np.ndarray
    masks: dict[str, np.ndarray]
    scene: Scene


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


def _ridge(rng, base, height, roughness, count=65) -> np.ndarray:
    """A line across the picture: fractal for mountains, smooth for hills."""
    x = np.linspace(-0.02, 1.02, count)
    y = np.zeros(count)
    for octave in range(1, 6):
        knots = rng.uniform(-1, 1, 2**octave + 2)
        y += np.interp(x, np.linspace(-0.05, 1.05, knots.size), knots) * roughness ** (octave - 1)
    y = (y - y.min()) / (np.ptp(y) + 1e-6)
    return np.stack([x, base - height * y], 1)


def _smooth_ridge(rng, base, height) -> np.ndarray:
    x = np.linspace(-0.02, 1.02, 65)
    y = sum(np.sin(x * rng.uniform(3, 9) + rng.uniform(0, 7)) * w for w in (1, 0.5, 0.3))
    y = (y - y.min()) / (np.ptp(y) + 1e-6)
    return np.stack([x, base - height * y], 1)


def _below(line, bottom=1.02) -> np.ndarray:
    return np.vstack([line, [[line[-1, 0], bottom], [line[0, 0], bottom]]])


def _sky(canvas: Canvas, horizon: float) -> None:
    rng, scene = canvas.rng, canvas.scene
    zenith, middle, low = canvas.sky_stops
    canvas.rgb[:] = canvas.gradient(zenith, middle, 0, horizon * 0.55)
    lower = np.arange(canvas.side) / canvas.side > horizon * 0.55
    canvas.rgb[lower] = canvas.gradient(middle, low, horizon * 0.55, horizon)[lower]
    canvas.masks["sky"] = np.ones((canvas.side, canvas.side), bool)
    stars = rng.uniform(0, 1, (40, 2)) * (1, horizon)
    x, y = rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.26)
    clouds = smooth_noise(rng, canvas.side, (5, 9)) * 0.65 + smooth_noise(rng, canvas.side, (12, 22)) * 0.35
    if canvas.night:
        for sx, sy in stars:
            canvas.ellipse(sx, sy, 0.004, 0.004, (0.9, 0.92, 1.0), alpha=0.8)
        canvas.glow(x, y, 0.11, (0.55, 0.62, 0.85), 0.35)
        canvas.ellipse(x, y, 0.05, 0.05, (0.96, 0.95, 0.86))
        canvas.ellipse(x + 0.012, y - 0.01, 0.012, 0.012, (0.86, 0.85, 0.78), alpha=0.7)
    else:
        sun = {"day": (1.0, 0.96, 0.70), "sunset": (1.0, 0.90, 0.58), "dawn": (1.0, 0.93, 0.82)}[scene.time]
        if scene.time != "day":
            y = horizon - rng.uniform(0.12, 0.22)
        canvas.glow(x, y, 0.17 if scene.time == "sunset" else 0.10, sun, 0.6)
        canvas.ellipse(x, y, 0.052, 0.052, sun)
    if scene.clouds:
        amount = np.clip((clouds - 0.52) * 4.5, 0, 1)[..., None] * 0.85
        amount = amount * canvas.masks["sky"][..., None]
        white = {"day": (1, 1, 1), "sunset": (1.0, 0.62, 0.50), "night": (0.20, 0.24, 0.38), "dawn": (1.0, 0.92, 0.92)}
        canvas.rgb += amount * (np.array(white[scene.time], np.float32) - canvas.rgb)


def _faces(canvas: Canvas, line) -> np.ndarray:
    """Which way the rock faces under a ridge: 1 towards the sun, 0 away; ribs run down each slope."""
    slope = np.gradient(line[:, 1])
    across = np.interp(np.arange(canvas.side) / canvas.side, line[:, 0], slope)
    across = cv2.GaussianBlur(across[None].astype(np.float32), (0, 0), 3 * canvas.side / 256)
    ribs = smooth_noise(canvas.rng, canvas.side, (26, 5)) - 0.5
    return np.clip(0.5 - across * 28 + ribs * 1.1, 0, 1)


def _mountains(canvas: Canvas, horizon: float, snowy: bool) -> None:
    """Two ranges; each face is light towards the sun and dark away from it."""
    rng = canvas.rng
    for depth, (height, distance) in enumerate(((0.30, 0.55), (0.24, 0.2))):
        line = _ridge(rng, horizon - 0.05, height * rng.uniform(0.8, 1.15), 0.5)
        rock = canvas.lit(ROCK, distance)
        facing = _faces(canvas, line)
        shade = (0.72 + 0.46 * facing)[..., None].astype(np.float32)
        canvas.fill(_below(line), rock * shade, "backdrop")
        if snowy:
            jag = np.where(np.arange(len(line)) % 2, 0.035, 0.0) + rng.uniform(0, 0.02, len(line))
            cap = np.maximum(line[:, 1], np.minimum(line[:, 1] + 0.075 + jag, horizon - 0.10 - 0.05 * depth + jag))
            snow = canvas.lit((0.97, 0.98, 1.0), distance * 0.5) * (0.82 + 0.18 * facing)[..., None]
            canvas.fill(np.vstack([line, np.stack([line[:, 0], cap], 1)[::-1]]), snow.astype(np.float32), "backdrop")


def _hills(canvas: Canvas, horizon: float, color, height=0.16) -> None:
    for distance, lift in ((0.5, 0.06), (0.25, 0.02)):
        line = _smooth_ridge(canvas.rng, horizon - lift + 0.03, height)
        top, bottom = canvas.lit(np.array(color) * 1.1, distance), canvas.lit(np.array(color) * 0.72, distance)
        canvas.fill(_below(line), canvas.gradient(top, bottom, horizon - height, horizon + 0.04), "backdrop")


def _dunes(canvas: Canvas, horizon: float) -> None:
    """Sand with a lit face and a shaded face under each crest."""
    rng = canvas.rng
    for distance, lift, height in ((0.4, 0.03, 0.13), (0.15, 0.0, 0.10)):
        line = _smooth_ridge(rng, horizon - lift + 0.03, height)
        canvas.fill(_below(line), canvas.lit(SAND, distance), "backdrop")
        peak = 5 + int(np.argmin(line[5:-5, 1]))
        sweep = line[peak, 0] + np.linspace(0, 0.22, 12) * rng.choice((-1, 1))
        fall = np.linspace(line[peak, 1], horizon + 0.03, 12)
        edge = np.stack([sweep, fall], 1)
        side = line[peak:] if sweep[-1] > line[peak, 0] else line[: peak + 1][::-1]
        shadow = np.vstack([side, [[side[-1, 0], horizon + 0.03]], edge[::-1]])
        canvas.fill(shadow, canvas.lit(np.array(SAND) * 0.74, distance), "backdrop")


def _ground(canvas: Canvas, horizon: float, color) -> None:
    near = np.array(color)
    canvas.fill(
        [(-0.02, horizon), (1.02, horizon), (1.02, 1.02), (-0.02, 1.02)],
        canvas.gradient(canvas.lit(near * 1.08, 0.18), canvas.lit(near * 0.72), horizon, 1.0),
        "ground",
    )
    below = (np.arange(canvas.side) / canvas.side > horizon)[:, None]
    tufts = smooth_noise(canvas.rng, canvas.side, (40, 24)) - 0.5
    canvas.rgb *= 1 + (0.22 * tufts * below)[..., None].astype(np.float32)


def _water(canvas: Canvas, horizon: float, shore: float) -> None:
    """A lake: what stands above it, mirrored, rippled and a little darker and bluer."""
    rng, row = canvas.rng, int(horizon * canvas.side)
    edge = _smooth_ridge(rng, shore, 0.035)
    mirror = np.zeros_like(canvas.rgb)
    depth = min(canvas.side - row, row)
    mirror[row : row + depth] = canvas.rgb[row - depth : row][::-1]
    yy, xx = np.mgrid[: canvas.side, : canvas.side].astype(np.float32)
    scale = canvas.side / 256
    sway = np.sin(yy / scale * 0.55 + rng.uniform(0, 6)) * 1.6 * scale
    mirror = cv2.remap(mirror, xx + sway, yy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    tone = canvas.lit((0.30, 0.52, 0.72))
    mirror = mirror * 0.62 + tone * 0.34
    lake = np.vstack([[[-0.02, horizon], [1.02, horizon]], edge[::-1]])
    canvas.fill(lake, mirror, "water")
    for _ in range(7):
        x, y = rng.uniform(0, 1), rng.uniform(horizon + 0.02, shore - 0.03)
        canvas.ellipse(x, y, rng.uniform(0.03, 0.1), 0.0035, canvas.lit((0.85, 0.93, 1.0)), alpha=0.45)


def _river(canvas: Canvas, horizon: float) -> None:
    rng = canvas.rng
    y = np.linspace(horizon, 1.02, 30)
    near = (y - horizon) / (1 - horizon)
    bend = rng.uniform(0.07, 0.14) * rng.choice((-1, 1))
    middle = rng.uniform(0.35, 0.65) + bend * np.sin(near * rng.uniform(3.5, 5.5)) * (0.3 + near)
    width = 0.012 + 0.15 * near**1.3
    banks = np.vstack([np.stack([middle - width, y], 1), np.stack([middle + width, y], 1)[::-1]])
    canvas.fill(np.add(banks, (0, 0.006)), canvas.lit((0.32, 0.40, 0.20)))
    sky = canvas.sky_stops[2] * 0.45
    canvas.fill(
        banks,
        canvas.gradient(sky + canvas.lit((0.2, 0.42, 0.6)) * 0.6, canvas.lit((0.16, 0.42, 0.66)), horizon, 1),
        "water",
    )
    for t in (0.35, 0.6, 0.85):
        i = int(t * 29)
        canvas.ellipse(middle[i], y[i], width[i] * 0.5, 0.004, canvas.lit((0.85, 0.93, 1.0)), alpha=0.5)


def _tree(canvas: Canvas, x, foot, height) -> None:
    rng, leaf = canvas.rng, np.array((0.20, 0.45, 0.16)) * canvas.rng.uniform(0.85, 1.15)
    canvas.ellipse(x, foot, height * 0.3, height * 0.045, canvas.lit((0.12, 0.2, 0.08)), alpha=0.5)
    trunk = np.array([(-0.05, 0), (0.05, 0), (0.03, -0.5), (-0.03, -0.5)]) * height + (x, foot)
    canvas.fill(trunk, canvas.lit((0.36, 0.25, 0.16)), "trees")
    blobs = [(0, -0.72, 0.27), (-0.2, -0.55, 0.2), (0.2, -0.56, 0.2), (0.02, -0.5, 0.22)]
    blobs = [(bx + rng.uniform(-0.03, 0.03), by, r) for bx, by, r in blobs]
    for shift, shade in ((0.0, 0.68), (-0.05, 1.0), (-0.1, 1.32)):
        for bx, by, r in blobs:
            r = r * (1 + 5 * shift if shift else 1) * height
            canvas.ellipse(
                x + (bx + shift) * height, foot + (by + shift) * height, r, r, canvas.lit(leaf * shade), "trees"
            )


def _pine(canvas: Canvas, x, foot, height) -> None:
    leaf = np.array((0.10, 0.36, 0.24)) * canvas.rng.uniform(0.85, 1.15)
    canvas.ellipse(x, foot, height * 0.22, height * 0.035, canvas.lit((0.1, 0.18, 0.1)), alpha=0.5)
    trunk = np.array([(-0.03, 0), (0.03, 0), (0.03, -0.2), (-0.03, -0.2)]) * height + (x, foot)
    canvas.fill(trunk, canvas.lit((0.33, 0.23, 0.15)), "trees")
    for low, high, half in ((-0.12, -0.52, 0.24), (-0.34, -0.76, 0.18), (-0.58, -1.0, 0.12)):
        tip, left, right = (
            (x, foot + high * height),
            (x - half * height, foot + low * height),
            (x + half * height, foot + low * height),
        )
        canvas.fill([tip, left, right], canvas.lit(leaf * 0.72), "trees")
        canvas.fill([tip, left, (x, foot + low * height)], canvas.lit(leaf * 1.18), "trees")


def _house(canvas: Canvas, x, foot, size) -> None:
    def at(points):
        return np.array(points) * size + (x, foot)

    roof = np.array(PAINT[canvas.scene.color]) * 0.95
    canvas.fill(at([(-0.6, 0.02), (0.95, 0.02), (0.95, 0.06), (-0.6, 0.06)]), canvas.lit((0.2, 0.25, 0.12)), alpha=0.5)
    canvas.fill(at([(-0.5, 0), (0.2, 0), (0.2, -0.55), (-0.5, -0.55)]), canvas.lit((0.95, 0.90, 0.80)), "house")
    canvas.fill(at([(0.2, 0), (0.8, 0), (0.8, -0.55), (0.2, -0.55)]), canvas.lit((0.76, 0.70, 0.62)), "house")
    canvas.fill(at([(0.55, -0.6), (0.68, -0.6), (0.68, -1.12), (0.55, -1.12)]), canvas.lit((0.55, 0.36, 0.3)), "house")
    canvas.fill(at([(0.12, -0.52), (0.88, -0.52), (0.62, -1.0), (-0.15, -1.0)]), canvas.lit(roof), "roof")
    canvas.fill(at([(-0.5, -0.55), (0.2, -0.55), (-0.15, -1.0)]), canvas.lit((0.90, 0.85, 0.75)), "house")
    canvas.fill(
        at([(-0.58, -0.5), (-0.5, -0.46), (-0.15, -0.96), (0.2, -0.46), (0.28, -0.5), (-0.15, -1.08)]),
        canvas.lit(roof * 0.8),
        "roof",
    )
    glass = (1.0, 0.82, 0.42) if canvas.night else canvas.lit((0.40, 0.58, 0.75))
    for wx in (-0.4, 0.32, 0.56):
        canvas.fill(at([(wx, -0.22), (wx + 0.17, -0.22), (wx + 0.17, -0.42), (wx, -0.42)]), glass, "house")
    canvas.fill(at([(-0.16, 0), (0.04, 0), (0.04, -0.36), (-0.16, -0.36)]), canvas.lit((0.42, 0.26, 0.16)), "house")
    if canvas.night:
        canvas.glow(x, foot - 0.2 * size, size * 0.5, (1.0, 0.72, 0.3), 0.22)


def _landscape(canvas: Canvas) -> None:
    scene, rng = canvas.scene, canvas.rng
    horizon = rng.uniform(0.46, 0.56)
    _sky(canvas, horizon)
    if scene.backdrop == "hills":
        _hills(canvas, horizon, (0.36, 0.56, 0.26))
    elif scene.backdrop == "dunes":
        _dunes(canvas, horizon)
    else:
        _mountains(canvas, horizon, scene.backdrop == "snowy mountains")
    shore = horizon + rng.uniform(0.16, 0.22)
    canvas_above = canvas.rgb.copy()
    _ground(canvas, horizon - 0.005, SAND if scene.backdrop == "dunes" else GRASS)
    if scene.water == "lake":
        canvas.rgb[: int(horizon * canvas.side)] = canvas_above[: int(horizon * canvas.side)]
        _water(canvas, horizon, shore)
    elif scene.water == "river":
        _river(canvas, horizon)
    elif scene.backdrop != "dunes":
        for _ in range(26):  # flowers
            x, y = rng.uniform(0, 1), rng.uniform(horizon + 0.15, 0.98)
            hue = ((0.95, 0.85, 0.3), (0.95, 0.95, 0.95), (0.88, 0.4, 0.5))[rng.integers(3)]
            canvas.ellipse(x, y, 0.008, 0.007, canvas.lit(hue), alpha=0.9)
    low = shore + 0.03 if scene.water == "lake" else horizon + 0.09
    if scene.foreground == "house":
        x = rng.uniform(0.2, 0.36) if rng.random() < 0.5 else rng.uniform(0.58, 0.72)
        _house(canvas, x, rng.uniform(low + 0.06, low + 0.12), rng.uniform(0.22, 0.27))
    elif scene.foreground in ("trees", "pines"):
        draw, scale = (_tree, 0.36) if scene.foreground == "trees" else (_pine, 0.42)
        side, count = rng.choice((-1, 1)), rng.integers(3, 6)
        feet = np.sort(rng.uniform(low + 0.06, 0.95, count))
        for foot in feet:
            x = 0.5 + side * rng.uniform(0.16, 0.46) if rng.random() < 0.75 else 0.5 - side * rng.uniform(0.28, 0.46)
            draw(canvas, x, foot, scale * rng.uniform(0.75, 1.0) * (0.55 + 0.55 * foot))


def _city(canvas: Canvas, horizon: float) -> None:
    rng = canvas.rng
    for distance, base_height in ((0.5, 0.34), (0.12, 0.24)):
        x = -0.05
        while x < 1.0:
            width, height = rng.uniform(0.11, 0.2), base_height * rng.uniform(0.6, 1.25)
            wall = np.array(
                ((0.66, 0.58, 0.52), (0.55, 0.58, 0.66), (0.72, 0.52, 0.42), (0.60, 0.62, 0.60))[rng.integers(4)]
            )
            top = horizon - height
            canvas.fill(
                [(x, horizon), (x + width, horizon), (x + width, top), (x, top)], canvas.lit(wall, distance), "backdrop"
            )
            canvas.fill(
                [(x + width * 0.8, horizon), (x + width, horizon), (x + width, top), (x + width * 0.8, top)],
                canvas.lit(wall * 0.75, distance),
            )
            if distance < 0.3:
                columns = np.arange(x + 0.02, x + width * 0.8 - 0.025, 0.036)
                for wy in np.arange(top + 0.025, horizon - 0.05, 0.05):
                    for wx in columns:
                        lamp = canvas.night and rng.random() < 0.55
                        glass = (1.0, 0.82, 0.42) if lamp else canvas.lit(wall * 0.55)
                        canvas.fill([(wx, wy), (wx + 0.02, wy), (wx + 0.02, wy + 0.028), (wx, wy + 0.028)], glass)
            x += width + rng.uniform(-0.01, 0.02)


def _car(canvas: Canvas, x, foot, length, facing) -> None:
    """A saloon from the side; unit coordinates run from -0.5 to 0.5 along its length."""

    def at(points):
        return np.array(points) * (facing * length, length) + (x, foot)

    paint = np.array(PAINT[canvas.scene.color])
    shine = 1.25 if canvas.scene.color != "white" else 1.04
    canvas.ellipse(x, foot + 0.012, length * 0.54, length * 0.045, (0.03, 0.03, 0.05), alpha=0.55)
    body = [
        (-0.5, -0.10),
        (-0.5, -0.19),
        (-0.47, -0.245),
        (-0.33, -0.262),
        (-0.20, -0.395),
        (-0.14, -0.42),
        (0.09, -0.42),
        (0.15, -0.395),
        (0.27, -0.262),
        (0.42, -0.235),
        (0.485, -0.19),
        (0.5, -0.12),
        (0.48, -0.07),
        (-0.46, -0.07),
    ]
    light = canvas.tint * 0.75 + 0.25  # a car keeps its colour after dark, under the street lamps
    canvas.fill(
        at(body), canvas.gradient(paint * light * shine, paint * light * 0.8, foot - 0.42 * length, foot), "car"
    )
    canvas.fill(at([(-0.5, -0.13), (0.5, -0.13), (0.48, -0.07), (-0.46, -0.07)]), paint * light * 0.62, "car")
    canvas.fill(
        at([(-0.47, -0.235), (0.43, -0.225), (0.43, -0.212), (-0.47, -0.222)]),
        np.clip(paint * light * shine + 0.16, 0, 1),
        "car",
        0.8,
    )
    glass = canvas.gradient(
        canvas.sky_stops[1] * 0.55 + 0.25, canvas.sky_stops[0] * 0.5 + 0.06, foot - 0.42 * length, foot - 0.26 * length
    )
    canvas.fill(at([(-0.28, -0.268), (-0.18, -0.375), (-0.04, -0.39), (-0.04, -0.268)]), glass, "car")
    canvas.fill(at([(-0.015, -0.268), (-0.015, -0.39), (0.09, -0.385), (0.125, -0.37), (0.215, -0.268)]), glass, "car")
    canvas.fill(at([(0.44, -0.20), (0.492, -0.17), (0.492, -0.145), (0.44, -0.155)]), (1.0, 0.96, 0.72), "car")
    canvas.fill(at([(-0.5, -0.20), (-0.465, -0.20), (-0.465, -0.155), (-0.5, -0.155)]), (0.8, 0.1, 0.1), "car")
    for wheel in (-0.29, 0.30):
        wx, wy = at([(wheel, -0.07)])[0]
        canvas.ellipse(wx, wy, length * 0.10, length * 0.10, (0.05, 0.05, 0.06), "car")
        canvas.ellipse(wx, wy, length * 0.055, length * 0.055, canvas.lit((0.75, 0.76, 0.8)) * 0.7 + 0.15, "car")
        canvas.ellipse(wx, wy, length * 0.02, length * 0.02, (0.2, 0.2, 0.22), "car")
    if canvas.night:
        lx, ly = at([(0.58, -0.15)])[0]
        canvas.glow(lx, ly, 0.06, (1.0, 0.93, 0.65), 0.5)


def _street(canvas: Canvas) -> None:
    scene, rng = canvas.scene, canvas.rng
    horizon = rng.uniform(0.5, 0.58)
    road = rng.uniform(0.64, 0.68)
    _sky(canvas, horizon)
    if scene.place == "city street":
        _city(canvas, horizon + 0.02)
        _ground(canvas, horizon, (0.66, 0.65, 0.63))
    elif scene.place == "country road":
        _hills(canvas, horizon, (0.36, 0.56, 0.26))
        _ground(canvas, horizon, GRASS)
        for _ in range(rng.integers(2, 5)):
            _tree(canvas, rng.uniform(0.02, 0.98), horizon + rng.uniform(0.04, 0.09), rng.uniform(0.15, 0.24))
    else:
        _ground(canvas, horizon - 0.04, (0.14, 0.46, 0.68))
        canvas.masks["water"] = canvas.masks.pop("ground")
        for _ in range(6):
            canvas.ellipse(
                rng.uniform(0, 1),
                rng.uniform(horizon - 0.02, horizon + 0.03),
                0.06,
                0.003,
                canvas.lit((0.9, 0.96, 1)),
                alpha=0.6,
            )
        _beach = _below(_smooth_ridge(rng, horizon + 0.07, 0.03))
        canvas.fill(_beach, canvas.lit(SAND), "ground")
    canvas.fill(
        [(-0.02, road), (1.02, road), (1.02, 1.02), (-0.02, 1.02)],
        canvas.gradient(canvas.lit(np.array(ASPHALT) * 1.15), canvas.lit(np.array(ASPHALT) * 0.8), road, 1),
        "road",
    )
    canvas.fill(
        [(-0.02, road - 0.012), (1.02, road - 0.012), (1.02, road + 0.012), (-0.02, road + 0.012)],
        canvas.lit((0.80, 0.79, 0.75)),
    )
    line, start = rng.uniform(0.92, 0.95), rng.uniform(-0.15, 0)
    for dash in np.arange(start, 1.05, 0.22):
        canvas.fill(
            [(dash, line), (dash + 0.12, line), (dash + 0.115, line + 0.022), (dash - 0.005, line + 0.022)],
            canvas.lit((0.95, 0.94, 0.88)),
        )
    length = rng.uniform(0.5, 0.66)
    _car(canvas, rng.uniform(0.40, 0.60), rng.uniform(0.83, 0.87), length, rng.choice((-1, 1)))


def paint(scene: Scene, size: int = SIZE) -> Picture:
    """Draw ``scene``; the same scene always gives the same picture.

    Photos may be drawn larger than the training size; the other styles' strokes are made for it.
    """
    canvas = Canvas(scene, np.random.default_rng(scene.layout), 2 * size)
    (_landscape if scene.subject == "landscape" else _street)(canvas)
    rgb = cv2.resize(np.clip(canvas.rgb, 0, 1), (size, size), interpolation=cv2.INTER_AREA)
    masks = {
        name: cv2.resize(mask.astype(np.uint8) * 255, (size, size), interpolation=cv2.INTER_AREA) > 127
        for name, mask in canvas.masks.items()
    }
    rgb = apply_style(rgb, scene, np.random.default_rng(scene.layout + 1))
    rgb = apply_flaw(rgb, scene.flaw, np.random.default_rng(scene.layout + 2))
    return Picture(np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8), masks, scene)
