"""Draw a fantasy landscape with glowing crystals."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import CELL, Canvas, mix
from .landscape import below, draw_sky
from .styles import locked_noise, smooth_noise

HUES = ((0.10, 0.80, 1.0), (0.55, 0.25, 1.0), (1.0, 0.25, 0.75), (0.15, 0.95, 0.50))  # cyan, violet, pink, green
# the colours at the top and at the horizon that each time's sky is tinted with, and how strongly
_SKY = {
    "day": ((0.46, 0.36, 0.90), (0.56, 0.95, 0.93), 0.68),
    "sunset": ((0.36, 0.08, 0.50), (1.0, 0.46, 0.38), 0.55),
    "night": ((0.06, 0.03, 0.22), (0.10, 0.26, 0.44), 0.55),
    "dawn": ((0.66, 0.54, 0.90), (1.0, 0.76, 0.82), 0.60),
}
ROCK = np.array((0.17, 0.13, 0.34), np.float32)
# where sparks float, and light glints if there is a lake: the same places in every picture
SPARKS = np.random.default_rng(11).uniform((0.05, 0.25), (0.95, 0.95), (14, 2))


def _ramp(canvas: Canvas, top, bottom, y0, y1) -> np.ndarray:
    """As ``canvas.gradient``, but a view of one column: cheap enough for every facet."""
    t = np.clip((np.arange(canvas.side) / canvas.side - y0) / max(y1 - y0, 1e-3), 0, 1)[:, None, None]
    return np.broadcast_to(mix(top, bottom, t.astype(np.float32)), (canvas.side, canvas.side, 3))


def _shine(canvas: Canvas, spots) -> None:
    """Add soft lights (x, y, rx, ry, colour, strength), summed on a coarse grid to be quick."""
    grid = (np.arange(64, dtype=np.float32) + 0.5) / 64
    total = np.zeros((64, 64, 3), np.float32)
    for x, y, rx, ry, color, strength in spots:
        column, row = np.exp(-((grid - y) ** 2) / (2 * ry**2)), np.exp(-((grid - x) ** 2) / (2 * rx**2))
        total += np.outer(column, row)[..., None].astype(np.float32) * np.asarray(color, np.float32) * strength
    light = cv2.resize(total, (canvas.side, canvas.side), interpolation=cv2.INTER_LINEAR)
    canvas.rgb += light * np.clip(1.15 - canvas.rgb, 0.1, 1)  # what is bright already gains less


def _fantastic_sky(canvas: Canvas, horizon: float) -> None:
    """The plain sky tinted, and curtains of northern light across it."""
    draw_sky(canvas, horizon)
    top, low, amount = _SKY[canvas.scene.time]
    lightness = canvas.rgb.mean(2, keepdims=True)
    bright = np.clip((lightness - lightness.min(1, keepdims=True)) * 3 - 0.25, 0, 1)  # sun, moon and clouds stay light
    canvas.rgb += amount * (1 - 0.85 * bright) * (_ramp(canvas, top, low, 0, horizon) - canvas.rgb)
    folds = smooth_noise(canvas.rng, canvas.side, (9, 2))
    x = np.linspace(0, 1, canvas.side, dtype=np.float32)[None]
    y = np.linspace(0, 1, canvas.side, dtype=np.float32)[:, None]
    crest = canvas.rng.uniform(0.2, 0.3) + 0.07 * np.sin(x * canvas.rng.uniform(4, 8) + canvas.rng.uniform(0, 6))
    veil = np.exp(-np.where(y > crest, (y - crest) / 0.035, (crest - y) / 0.13)) * (0.3 + folds)
    veil = veil[..., None] * (0.62 if canvas.night else 0.32)
    canvas.rgb += veil * (np.array((0.25, 0.95, 0.80) if canvas.night else (0.85, 0.95, 1.0), np.float32) - canvas.rgb)


def _spires(canvas: Canvas, horizon: float) -> None:
    """Two ranges of needle peaks, blue-violet, fading into the light at the horizon."""
    rng, low = canvas.rng, _SKY[canvas.scene.time][1]
    for distance, height, count in ((0.58, 0.25, 9), (0.26, 0.16, 11)):
        x = np.linspace(-0.05, 1.05, 2 * count + 1) + rng.uniform(-0.012, 0.012, 2 * count + 1)
        peak = rng.uniform(0.35, 1.0, 2 * count + 1) * np.where(np.arange(2 * count + 1) % 2, 1.0, 0.45)
        line = np.stack([x, horizon - height * peak], 1)
        color = mix(ROCK * (canvas.tint * 0.7 + 0.3), low, distance)
        foot = mix(ROCK, low, min(distance + 0.3, 1))
        canvas.fill(below(line, horizon + 0.02), _ramp(canvas, color, foot, horizon - height, horizon), "backdrop")


def _islands(canvas: Canvas, horizon: float) -> None:
    """Rocks that float in the haze, lit along their tops."""
    rng, low = canvas.rng, _SKY[canvas.scene.time][1]
    t, lit = np.linspace(1, -1, 11), mix(ROCK * (canvas.tint * 0.6 + 0.4), low, 0.35)
    for third in rng.permutation(3)[: rng.integers(0, 3)]:
        x, y, w = (third + rng.uniform(0.4, 0.6)) / 3, rng.uniform(0.16, horizon - 0.2), rng.uniform(0.055, 0.11)
        under = np.stack([t, (1 - np.abs(t)) ** 0.8 * rng.uniform(0.75, 1.5, 11)], 1) * w + (x, y)
        mound = np.stack([t[::-1], -0.28 * (1 - t**2) * rng.uniform(0.6, 1.2, 11)], 1) * w + (x, y)
        canvas.fill(under, _ramp(canvas, lit * 1.1, lit * 0.75, y, y + w), "backdrop")
        canvas.fill(under[:6], lit * 0.6, "backdrop", 0.5)  # the side away from the light
        canvas.fill(mound, mix(lit, (0.45, 0.95, 0.85), 0.4), "backdrop")


def _floor(canvas: Canvas, horizon: float, lake: bool) -> None:
    """A dark lake that mirrors the sky, or dark violet ground."""
    above, low = canvas.rgb.copy(), _SKY[canvas.scene.time][1]
    box = [(-0.02, horizon), (1.02, horizon), (1.02, 1.02), (-0.02, 1.02)]
    far, near = mix(ROCK, low, 0.32) * (canvas.tint * 0.6 + 0.4), ROCK * (canvas.tint * 0.5 + 0.2) * 0.55
    texture = _ramp(canvas, far, near, horizon, 1.0)
    if lake:
        rows = np.clip(2 * horizon * canvas.side - np.arange(canvas.side), 0, canvas.side - 1).astype(int)
        texture = texture * 0.5 + above[rows] * 0.5 * np.array((0.75, 0.82, 1.0), np.float32)
    else:
        stones = locked_noise(canvas.side, round(4 * CELL * canvas.side), 5, 7)[..., None] - 0.5
        texture = texture * (1 + 0.5 * stones)
    canvas.fill(box, texture, "ground")
    if lake:
        for x, y in SPARKS:
            if y > horizon + 0.02:
                canvas.ellipse(x, y, 0.07, 0.004, mix(low, (1, 1, 1), 0.3), alpha=0.35)


def _crystal(canvas: Canvas, foot, height, half, lean, hue, flip=1) -> None:
    """A six-sided prism with a pointed tip: three facets show, each with its own shade."""
    out, side = np.array((np.sin(lean), -np.cos(lean) * flip)), np.array((np.cos(lean), np.sin(lean) * flip))

    def at(points):
        return np.array([foot + side * (u * half) + out * (v * height) for u, v in points])

    outline = at([(-0.75, -0.03), (-1.0, 0.72), (0.05, 1.0), (1.0, 0.73), (0.75, -0.03)])
    if flip < 0:  # a reflection on the water
        canvas.fill(outline, mix(hue, (1, 1, 1), 0.12), alpha=0.42)
        return
    light, dark = mix(hue, (1, 1, 1), 0.5), hue * 0.5
    y0, y1 = foot[1] - height, foot[1]
    canvas.fill(outline, _ramp(canvas, hue * 0.95, hue * 0.55, y0, y1), "crystals")
    canvas.fill(
        at([(-0.75, -0.03), (-1.0, 0.72), (-0.38, 0.67), (-0.29, -0.03)]), _ramp(canvas, light, hue * 0.7, y0, y1)
    )
    canvas.fill(at([(0.34, -0.03), (0.45, 0.66), (1.0, 0.73), (0.75, -0.03)]), _ramp(canvas, dark, dark * 0.6, y0, y1))
    canvas.fill(at([(-1.0, 0.72), (0.05, 1.0), (-0.38, 0.67)]), mix(light, (1, 1, 1), 0.6))
    canvas.fill(at([(0.45, 0.66), (0.05, 1.0), (1.0, 0.73)]), mix(dark, (1, 1, 1), 0.25))
    if height > 0.1:  # finer than a pixel on far ones
        canvas.fill(at([(-0.38, 0.67), (0.05, 1.0), (0.45, 0.66)]), mix(hue, (1, 1, 1), 0.45))
        canvas.fill(
            at([(-0.31, 0.06), (-0.40, 0.67), (0.03, 0.97), (-0.20, 0.67), (-0.2, 0.06)]), (1, 1, 1), alpha=0.65
        )


def _cluster(canvas: Canvas, x, foot, height, hue, lake: bool) -> None:
    """Crystals that fan out of one rock, the tallest in the middle and in front."""
    rng = canvas.rng
    count = int(rng.integers(4, 6)) if height > 0.17 else 3
    spread = np.linspace(-1, 1, count) + rng.uniform(-0.12, 0.12, count)
    tall = (1 - 0.5 * np.abs(spread)) * rng.uniform(0.88, 1.0, count)
    tint = rng.uniform(-0.08, 0.12, count)
    stones = [
        (
            np.array((x + s * height * 0.17, foot + 0.012 * height)),
            h * height,
            h * height * 0.125,
            s * 0.4,
            hue * (1 - t),
        )
        for s, h, t in zip(spread, tall, tint, strict=True)
    ]
    stones = [stones[i] for i in np.argsort(tall)]
    if lake:
        for stone in stones:
            _crystal(canvas, *stone, flip=-1)
    for stone in stones:
        _crystal(canvas, *stone)
    across = np.linspace(-0.36, 0.36, 9)
    rough = rng.uniform(0.02, 0.085, 9) * (1 - (across / 0.37) ** 2)
    top, bottom = np.stack([across, 0.045 - rough], 1), np.stack([across, 0.045 + rough * 0.5], 1)
    rock = _ramp(canvas, ROCK * 0.5 + hue * 0.3, ROCK * 0.35, foot - height * 0.03, foot + height * 0.08)
    canvas.fill(np.vstack([top, bottom[::-1]]) * height + (x, foot), rock, "ground")


def _places(rng, horizon: float) -> list[tuple[float, float, float]]:
    """Where clusters stand, as (x, foot, height), far ones first; two large ones frame the view."""
    side = rng.choice((-1, 1))
    spots = [(0.5 - side * rng.uniform(0.2, 0.3), rng.uniform(0.88, 0.93), rng.uniform(0.42, 0.5))]
    spots.append((0.5 + side * rng.uniform(0.24, 0.36), rng.uniform(0.8, 0.88), rng.uniform(0.28, 0.38)))
    spots.append((0.5 + side * rng.uniform(-0.06, 0.12), rng.uniform(0.68, 0.73), rng.uniform(0.17, 0.22)))
    for i in range(rng.integers(1, 4)):
        foot = horizon + rng.uniform(0.03, 0.12)
        spots.append(((i + rng.uniform(0.2, 0.8)) / 3, foot, (foot - horizon + 0.05) * rng.uniform(0.8, 1.1)))
    return sorted(spots, key=lambda spot: spot[1])


def draw_crystals(canvas: Canvas) -> None:
    rng = canvas.rng
    horizon, lake = rng.uniform(0.5, 0.56), rng.random() < 0.55
    pair = rng.permutation(len(HUES))[:2]
    hues = np.array(HUES, np.float32)[pair if rng.random() < 0.65 else pair[[0, 0]]]
    spots = [(*spot, hues[i % 2]) for i, spot in enumerate(_places(rng, horizon))]
    _fantastic_sky(canvas, horizon)
    _spires(canvas, horizon)
    _islands(canvas, horizon)
    _floor(canvas, horizon, lake)
    halos = [(x, y - h * 0.45, h * 0.36, h * 0.48, hue, 0.75) for x, y, h, hue in spots]
    pools = [(x, y + h * 0.06, h * 0.6, h * 0.13, hue, 0.8) for x, y, h, hue in spots]
    _shine(canvas, halos + pools)
    for x, y, h, hue in spots:
        _cluster(canvas, x, y, h, hue, lake)
    _shine(canvas, [(x, y - h * 0.5, h * 0.26, h * 0.36, hue, 0.22) for x, y, h, hue in spots])
    for i, (x, y) in enumerate(SPARKS):
        canvas.ellipse(x, y, 0.013, 0.013, hues[i % 2], alpha=0.3)
        canvas.ellipse(x, y, 0.006, 0.006, mix(hues[i % 2], (1, 1, 1), 0.75))
