"""Draw a car on a city street, a country road or a beach road."""

from __future__ import annotations

import numpy as np

from .canvas import ASPHALT, CELL, GRASS, PAINT, SAND, Canvas
from .landscape import below, draw_ground, draw_hills, draw_sky, draw_tree, smooth_ridge


def _city(canvas: Canvas, horizon: float) -> None:
    """Two rows of houses on the grid of the latents; a near one's windows fill the cells that lie within its wall."""
    rng = canvas.rng
    walls = ((0.66, 0.58, 0.52), (0.55, 0.58, 0.66), (0.72, 0.52, 0.42), (0.60, 0.62, 0.60))
    for distance, floors in ((0.5, 8), (0.12, 6)):
        column = -1
        while column < 24:
            columns, top = int(rng.choice((3, 5))), (12 - int(rng.integers(floors - 2, floors + 2))) * CELL
            wall = np.array(walls[rng.integers(4)])
            left, right = column * CELL, (column + columns) * CELL
            canvas.fill(
                [(left, horizon), (right, horizon), (right, top), (left, top)], canvas.lit(wall, distance), "backdrop"
            )
            shaded = right - 0.35 * CELL
            canvas.fill(
                [(shaded, horizon), (right, horizon), (right, top), (shaded, top)], canvas.lit(wall * 0.7, distance)
            )
            for row in range(round(top / CELL) + 1, int((horizon - 0.05) / CELL), 2) if distance < 0.3 else ():
                for wx in range(column + 1, column + columns, 2):
                    lamp = canvas.night and (3 * row + 5 * wx) % 7 < 4
                    glass = (1.0, 0.82, 0.42) if lamp else canvas.lit(wall * 0.5)
                    x, y = wx * CELL, row * CELL
                    canvas.fill([(x, y), (x + CELL, y), (x + CELL, y + 1.25 * CELL), (x, y + 1.25 * CELL)], glass)
            column += columns


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
    light = canvas.tint * 0.6 + 0.4  # a car keeps its colour after dark, under the street lamps
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


def draw_street(canvas: Canvas) -> None:
    scene, rng = canvas.scene, canvas.rng
    horizon = rng.uniform(0.5, 0.58)
    road = rng.uniform(0.64, 0.68)
    draw_sky(canvas, horizon)
    if scene.place == "city street":
        _city(canvas, horizon + 0.02)
        draw_ground(canvas, horizon, (0.66, 0.65, 0.63))
    elif scene.place == "country road":
        draw_hills(canvas, horizon, (0.36, 0.56, 0.26))
        draw_ground(canvas, horizon, GRASS)
        for _ in range(rng.integers(1, 4)):
            draw_tree(canvas, rng.uniform(0.02, 0.98), horizon + rng.uniform(0.04, 0.09), rng.uniform(0.22, 0.3))
    else:
        draw_ground(canvas, horizon - 0.04, (0.14, 0.46, 0.68))
        canvas.masks["water"] = canvas.masks.pop("ground")
        for x, y in ((0.12, 0.015), (0.4, -0.015), (0.63, 0.02), (0.9, 0.0)):
            canvas.ellipse(x, horizon + y, 0.07, 0.005, canvas.lit((0.9, 0.96, 1)), alpha=0.6)
        beach = below(smooth_ridge(rng, horizon + 0.07, 0.03))
        canvas.fill(beach, canvas.lit(SAND), "ground")
    canvas.fill(
        [(-0.02, road), (1.02, road), (1.02, 1.02), (-0.02, 1.02)],
        canvas.gradient(canvas.lit(np.array(ASPHALT) * 1.15), canvas.lit(np.array(ASPHALT) * 0.8), road, 1),
        "road",
    )
    canvas.fill(
        [(-0.02, road - 0.012), (1.02, road - 0.012), (1.02, road + 0.012), (-0.02, road + 0.012)],
        canvas.lit((0.80, 0.79, 0.75)),
    )
    line = rng.uniform(0.93, 0.95)
    for dash in np.arange(-2, 25, 6) * CELL:
        canvas.fill(
            [(dash, line), (dash + 0.12, line), (dash + 0.115, line + 0.022), (dash - 0.005, line + 0.022)],
            canvas.lit((0.95, 0.94, 0.88)),
        )
    length = rng.uniform(0.66, 0.78)
    _car(canvas, rng.uniform(0.44, 0.56), rng.uniform(0.84, 0.88), length, rng.choice((-1, 1)))
