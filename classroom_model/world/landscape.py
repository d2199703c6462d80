"""Draw a landscape: sky, a backdrop, water, and what stands in front."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import CELL, GRASS, PAINT, ROCK, SAND, Canvas
from .styles import locked_noise

# Where stars, flowers and glints on water are, if they are: the same places in every picture.
_PLACES = np.random.default_rng(3).uniform(0, 1, (60, 2))


def _ridge(rng, base, height, roughness, count=65) -> np.ndarray:
    """A line across the picture: fractal for mountains, smooth for hills."""
    x = np.linspace(-0.02, 1.02, count)
    y = np.zeros(count)
    for octave in range(1, 4):
        knots = rng.uniform(-1, 1, 2**octave + 2)
        y += np.interp(x, np.linspace(-0.05, 1.05, knots.size), knots) * roughness ** (octave - 1)
    y = (y - y.min()) / (np.ptp(y) + 1e-6)
    return np.stack([x, base - height * y], 1)


def smooth_ridge(rng, base, height) -> np.ndarray:
    x = np.linspace(-0.02, 1.02, 65)
    y = sum(np.sin(x * rng.uniform(3, 9) + rng.uniform(0, 7)) * w for w in (1, 0.5, 0.3))
    y = (y - y.min()) / (np.ptp(y) + 1e-6)
    return np.stack([x, base - height * y], 1)


def below(line, bottom=1.02) -> np.ndarray:
    return np.vstack([line, [[line[-1, 0], bottom], [line[0, 0], bottom]]])


def _cloud(canvas: Canvas, x, y, size, color) -> None:
    """A heap of white with a flat, shaded foot."""
    heap = np.zeros((canvas.side, canvas.side), np.float32)
    for dx, dy, r in ((-0.9, 0.0, 0.45), (-0.35, -0.3, 0.62), (0.35, -0.2, 0.55), (0.95, 0.0, 0.4), (0.0, 0.0, 0.6)):
        turn = np.linspace(0, 2 * np.pi, 32)
        puff = np.stack([x + size * (dx + r * np.cos(turn)), y + size * np.minimum(dy + r * np.sin(turn), 0.18)], 1)
        heap = np.maximum(heap, canvas.coverage(puff))
    shade = canvas.gradient(color, color * 0.82 + 0.18 * canvas.sky_stops[1], y - 0.8 * size, y + 0.2 * size)
    canvas.rgb += heap[..., None] * (0.92 / 255) * (shade - canvas.rgb)


def draw_sky(canvas: Canvas, horizon: float) -> None:
    rng, scene = canvas.rng, canvas.scene
    zenith, middle, low = canvas.sky_stops
    canvas.rgb[:] = canvas.gradient(zenith, middle, 0, horizon * 0.55)
    lower = np.arange(canvas.side) / canvas.side > horizon * 0.55
    canvas.rgb[lower] = canvas.gradient(middle, low, horizon * 0.55, horizon)[lower]
    canvas.masks["sky"] = np.ones((canvas.side, canvas.side), bool)
    x, y = rng.uniform(0.15, 0.85), rng.uniform(0.1, 0.22)
    clouds = [
        (rng.uniform(0.0, 1.0), rng.uniform(0.10, 0.30), rng.uniform(0.8, 1.2)) for _ in range(rng.integers(2, 4))
    ]
    if canvas.night:
        for sx, sy in _PLACES[:32] * (1, 0.6):
            if sy < horizon:
                canvas.ellipse(sx, sy, 0.006, 0.006, (0.9, 0.92, 1.0), alpha=0.9)
        canvas.glow(x, y, 0.11, (0.55, 0.62, 0.85), 0.35)
        canvas.ellipse(x, y, 0.06, 0.06, (0.96, 0.95, 0.86))
        canvas.ellipse(x + 0.018, y - 0.012, 0.018, 0.018, (0.86, 0.85, 0.78), alpha=0.8)
    else:
        sun = {"day": (1.0, 0.96, 0.70), "sunset": (1.0, 0.90, 0.58), "dawn": (1.0, 0.93, 0.82)}[scene.time]
        if scene.time != "day":
            y = horizon - rng.uniform(0.12, 0.22)
        canvas.glow(x, y, 0.17 if scene.time == "sunset" else 0.10, sun, 0.6)
        canvas.ellipse(x, y, 0.06, 0.06, sun)
    if scene.clouds:
        white = {"day": (1, 1, 1), "sunset": (1.0, 0.62, 0.50), "night": (0.20, 0.24, 0.38), "dawn": (1.0, 0.92, 0.92)}
        for cx, cy, size in clouds:
            _cloud(canvas, cx, cy, 0.11 * size, np.array(white[scene.time], np.float32))


def _faces(canvas: Canvas, line) -> np.ndarray:
    """Which way the rock faces under a ridge: 1 towards the sun, 0 away; ribs run down each slope."""
    slope = np.gradient(line[:, 1])
    across = np.interp(np.arange(canvas.side) / canvas.side, line[:, 0], slope)
    across = cv2.GaussianBlur(across[None].astype(np.float32), (0, 0), 3 * canvas.side / 256)
    yy, xx = np.mgrid[: canvas.side, : canvas.side] / (canvas.side * CELL)
    ribs = np.sin(2 * np.pi * (xx + 0.5 * yy) / 2) * np.sin(np.pi * yy / 2 + 1)
    return np.clip(0.5 - across * 28 + 0.22 * ribs, 0, 1)


def _mountains(canvas: Canvas, horizon: float, snowy: bool) -> None:
    """Two ranges; each face is light towards the sun and dark away from it."""
    rng = canvas.rng
    for depth, (height, distance) in enumerate(((0.30, 0.55), (0.24, 0.2))):
        line = _ridge(rng, horizon - 0.05, height * rng.uniform(0.8, 1.15), 0.5)
        rock = canvas.lit(ROCK, distance)
        facing = _faces(canvas, line)
        shade = (0.72 + 0.46 * facing)[..., None].astype(np.float32)
        canvas.fill(below(line), rock * shade, "backdrop")
        if snowy:
            jag = np.where(np.arange(len(line)) % 2, 0.035, 0.0) + rng.uniform(0, 0.02, len(line))
            cap = np.maximum(line[:, 1], np.minimum(line[:, 1] + 0.075 + jag, horizon - 0.10 - 0.05 * depth + jag))
            snow = canvas.lit((0.97, 0.98, 1.0), distance * 0.5) * (0.82 + 0.18 * facing)[..., None]
            canvas.fill(np.vstack([line, np.stack([line[:, 0], cap], 1)[::-1]]), snow.astype(np.float32), "backdrop")


def draw_hills(canvas: Canvas, horizon: float, color, height=0.16) -> None:
    for distance, lift in ((0.5, 0.06), (0.25, 0.02)):
        line = smooth_ridge(canvas.rng, horizon - lift + 0.03, height)
        top, bottom = canvas.lit(np.array(color) * 1.1, distance), canvas.lit(np.array(color) * 0.72, distance)
        canvas.fill(below(line), canvas.gradient(top, bottom, horizon - height, horizon + 0.04), "backdrop")


def _dunes(canvas: Canvas, horizon: float) -> None:
    """Sand with a lit face and a shaded face under each crest."""
    rng = canvas.rng
    for distance, lift, height in ((0.4, 0.03, 0.13), (0.15, 0.0, 0.10)):
        line = smooth_ridge(rng, horizon - lift + 0.03, height)
        canvas.fill(below(line), canvas.lit(SAND, distance), "backdrop")
        peak = 5 + int(np.argmin(line[5:-5, 1]))
        sweep = line[peak, 0] + np.linspace(0, 0.22, 12) * rng.choice((-1, 1))
        fall = np.linspace(line[peak, 1], horizon + 0.03, 12)
        edge = np.stack([sweep, fall], 1)
        side = line[peak:] if sweep[-1] > line[peak, 0] else line[: peak + 1][::-1]
        shadow = np.vstack([side, [[side[-1, 0], horizon + 0.03]], edge[::-1]])
        canvas.fill(shadow, canvas.lit(np.array(SAND) * 0.74, distance), "backdrop")


def draw_ground(canvas: Canvas, horizon: float, color) -> None:
    near = np.array(color)
    canvas.fill(
        [(-0.02, horizon), (1.02, horizon), (1.02, 1.02), (-0.02, 1.02)],
        canvas.gradient(canvas.lit(near * 1.08, 0.18), canvas.lit(near * 0.72), horizon, 1.0),
        "ground",
    )
    below = (np.arange(canvas.side) / canvas.side > horizon)[:, None]
    tufts = locked_noise(canvas.side, round(4 * CELL * canvas.side), 6, 2) - 0.5
    canvas.rgb *= 1 + (0.14 * tufts * below)[..., None].astype(np.float32)


def _water(canvas: Canvas, horizon: float, shore: float) -> None:
    """A lake: what stands above it, mirrored, rippled and a little darker and bluer."""
    rng, row = canvas.rng, int(horizon * canvas.side)
    edge = smooth_ridge(rng, shore, 0.035)
    mirror = np.zeros_like(canvas.rgb)
    depth = min(canvas.side - row, row)
    mirror[row : row + depth] = canvas.rgb[row - depth : row][::-1]
    yy, xx = np.mgrid[: canvas.side, : canvas.side].astype(np.float32)
    scale = canvas.side / 256
    sway = np.sin(2 * np.pi * yy / (CELL * canvas.side)) * 2.4 * scale
    mirror = cv2.remap(mirror, xx + sway, yy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    tone = canvas.lit((0.30, 0.52, 0.72))
    mirror = mirror * 0.62 + tone * 0.34
    lake = np.vstack([[[-0.02, horizon], [1.02, horizon]], edge[::-1]])
    canvas.fill(lake, mirror, "water")
    for x, y in _PLACES:
        if horizon + 0.02 < y < shore - 0.04:
            canvas.ellipse(x, y, 0.07, 0.005, canvas.lit((0.85, 0.93, 1.0)), alpha=0.5)


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


def draw_tree(canvas: Canvas, x, foot, height) -> None:
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
    for wx, wide in ((-0.42, 0.2), (0.34, 0.32)):
        canvas.fill(at([(wx, -0.2), (wx + wide, -0.2), (wx + wide, -0.43), (wx, -0.43)]), glass, "house")
    canvas.fill(at([(-0.16, 0), (0.04, 0), (0.04, -0.36), (-0.16, -0.36)]), canvas.lit((0.42, 0.26, 0.16)), "house")
    if canvas.night:
        canvas.glow(x, foot - 0.2 * size, size * 0.5, (1.0, 0.72, 0.3), 0.22)


def draw_landscape(canvas: Canvas) -> None:
    scene, rng = canvas.scene, canvas.rng
    horizon = rng.uniform(0.46, 0.56)
    draw_sky(canvas, horizon)
    if scene.backdrop == "hills":
        draw_hills(canvas, horizon, (0.36, 0.56, 0.26))
    elif scene.backdrop == "dunes":
        _dunes(canvas, horizon)
    else:
        _mountains(canvas, horizon, scene.backdrop == "snowy mountains")
    shore = horizon + rng.uniform(0.16, 0.22)
    canvas_above = canvas.rgb.copy()
    draw_ground(canvas, horizon - 0.005, SAND if scene.backdrop == "dunes" else GRASS)
    if scene.water == "lake":
        canvas.rgb[: int(horizon * canvas.side)] = canvas_above[: int(horizon * canvas.side)]
        _water(canvas, horizon, shore)
    elif scene.water == "river":
        _river(canvas, horizon)
    elif scene.backdrop != "dunes":
        for i, (x, y) in enumerate(_PLACES):  # flowers
            hue = ((0.95, 0.85, 0.3), (0.95, 0.95, 0.95), (0.88, 0.4, 0.5))[i % 3]
            if y > horizon + 0.15:
                canvas.ellipse(x, y, 0.012, 0.010, canvas.lit(hue), alpha=0.95)
    low = shore + 0.03 if scene.water == "lake" else horizon + 0.09
    if scene.foreground == "house":
        x = rng.uniform(0.24, 0.38) if rng.random() < 0.5 else rng.uniform(0.54, 0.66)
        _house(canvas, x, rng.uniform(low + 0.10, low + 0.16), rng.uniform(0.31, 0.37))
    elif scene.foreground in ("trees", "pines"):
        draw, scale = (draw_tree, 0.44) if scene.foreground == "trees" else (_pine, 0.52)
        side, count = rng.choice((-1, 1)), rng.integers(2, 5)
        feet = np.sort(rng.uniform(low + 0.06, 0.95, count))
        for foot in feet:
            x = 0.5 + side * rng.uniform(0.16, 0.46) if rng.random() < 0.75 else 0.5 - side * rng.uniform(0.28, 0.46)
            draw(canvas, x, foot, scale * rng.uniform(0.75, 1.0) * (0.55 + 0.55 * foot))
