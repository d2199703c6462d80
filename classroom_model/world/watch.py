"""Draw a wristwatch as a studio product photograph."""

from __future__ import annotations

import cv2
import numpy as np

from .canvas import PAINT, Canvas, mix

METALS = ((0.80, 0.82, 0.86), (0.93, 0.73, 0.36))  # steel, gold
DIALS = ((0.95, 0.95, 0.93), (0.07, 0.07, 0.09), (0.08, 0.14, 0.34), (0.94, 0.88, 0.74))  # white, black, navy, cream
_LIFT = {"day": 0.5, "sunset": 0.0, "night": 0.0, "dawn": 0.3}  # how far the backdrop is bleached towards white
_TURN = np.linspace(0, 2 * np.pi, 121)[:-1]


class _Frame:
    """The watch's own coordinates: case radius 1, twelve o'clock at (0, -1), turned by ``tilt``."""

    def __init__(self, canvas: Canvas, x, y, radius, tilt) -> None:
        self.center, self.radius = np.array((x, y)), radius
        self.turn = np.array([(np.cos(tilt), np.sin(tilt)), (-np.sin(tilt), np.cos(tilt))])
        yy, xx = (np.mgrid[: canvas.side, : canvas.side].astype(np.float32) + 0.5) / canvas.side
        dx, dy = (xx - x) / radius, (yy - y) / radius
        self.u = dx * np.float32(np.cos(tilt)) + dy * np.float32(np.sin(tilt))
        self.v = dy * np.float32(np.cos(tilt)) - dx * np.float32(np.sin(tilt))

    def at(self, points) -> np.ndarray:
        return np.asarray(points, np.float64) @ self.turn * self.radius + self.center

    def disc(self, radius, x=0.0, y=0.0) -> np.ndarray:
        return self.at(np.stack([x + radius * np.cos(_TURN), y + radius * np.sin(_TURN)], 1))

    def bar(self, angle, start, stop, half_start, half_stop) -> np.ndarray:
        """A tapered bar along the clock direction ``angle``, from one radius to another."""
        out, side = np.array((np.sin(angle), -np.cos(angle))), np.array((np.cos(angle), np.sin(angle)))
        ends = [(start, -half_start), (start, half_start), (stop, half_stop), (stop, -half_stop)]
        return self.at([out * along + side * across for along, across in ends])


def _studio(canvas: Canvas, edge: float) -> None:
    """A seamless wall in the sky's colours, a spot of light on it, and a glossy table."""
    zenith, middle, low = (mix(stop, (1, 1, 1), _LIFT[canvas.scene.time]) for stop in canvas.sky_stops)
    if canvas.night:
        zenith, middle, low = zenith * 0.7, middle * 0.75, low * 0.8
    xx = np.arange(canvas.side, dtype=np.float32)[None, :, None] / canvas.side
    yy = xx.transpose(1, 0, 2)
    canvas.rgb[:] = canvas.gradient(zenith, low, 0.05, edge) * 0.6 + canvas.gradient(zenith, middle, 0, edge) * 0.4
    spot = np.exp(-((xx - 0.5) ** 2) / 0.135) * np.exp(-((yy - 0.42) ** 2) / 0.135)
    canvas.rgb += 0.45 * spot * (mix(low, canvas.tint * 0.5 + 0.5, 0.5) - canvas.rgb)
    table = mix(canvas.haze, low, 0.4) * canvas.gradient((1, 1, 1), (0.62, 0.62, 0.66), edge, 1.0)
    table += 0.22 * np.exp(-((xx - 0.5) ** 2) / 0.09) * np.exp(-((yy - edge - 0.08) ** 2) / 0.006) * (1.1 - table)
    canvas.rgb += np.clip((yy - edge) / 0.03 + 0.5, 0, 1) * (table - canvas.rgb)


def _shadows(canvas: Canvas, shape: np.ndarray, foot: float, x: float, lean: float) -> None:
    """A soft shadow behind the watch, a dark touch where it stands, and its reflection.

    The reflection is a neutral darkening, so that another strap colour changes nothing beside the strap.
    """
    side = canvas.side
    soft = cv2.GaussianBlur(cv2.resize(shape, (128, 128), interpolation=cv2.INTER_AREA), (0, 0), 5)
    soft = cv2.warpAffine(soft, np.float32([[1, 0, lean], [0, 1, 5]]), (128, 128), borderMode=cv2.BORDER_REPLICATE)
    canvas.rgb *= 1 - 0.42 * cv2.resize(soft, (side, side))[..., None]
    row = round(foot * side)
    mirror = np.zeros((side, side), np.float32)
    mirror[row:] = shape[2 * row - side : row][::-1] * np.linspace(0.5, 0.1, side - row, dtype=np.float32)[:, None]
    canvas.rgb *= 1 - cv2.GaussianBlur(mirror, (0, 0), side / 200)[..., None]
    grid = np.arange(side, dtype=np.float32) / side
    touch = np.outer(np.exp(-(((grid - foot) / 0.012) ** 2)), np.exp(-(((grid - x) / 0.1) ** 4)))
    canvas.rgb *= 1 - 0.6 * touch[..., None]


def _strap_shape(frame: _Frame, foot: float) -> np.ndarray:
    """Slightly tapered, out of the picture at the top, cut level where it stands on the table."""
    top, knee = frame.at([(-0.44, -3.4), (0.44, -3.4)]), frame.at([(0.58, 0), (-0.58, 0)])
    ends = []
    for start, stop in zip(knee, frame.at([(0.45, 3), (-0.45, 3)]), strict=True):
        ends.append(start + (stop - start) * (foot - start[1]) / (stop[1] - start[1]))
    return np.array([top[0], top[1], knee[0], ends[0], ends[1], knee[1]])


def _strap(canvas: Canvas, frame: _Frame, shape: np.ndarray) -> None:
    """Padded leather: rounded across, curving away along its length, with stitches and holes."""
    light = canvas.tint * 0.7 + 0.3  # the strap keeps its colour after dark, as the car does
    paint = np.array(PAINT[canvas.scene.color], np.float32)
    u, v = frame.u, np.abs(frame.v)
    half = 0.58 - 0.0435 * v
    rounded = 1.08 - 0.5 * np.clip(np.abs(u + 0.08) / half, 0, 1) ** 3
    away = np.clip(1.1 - 0.24 * np.clip(v - 1.1, 0, 2), 0.5, 1.1) * (1 - 0.35 * np.exp(-((v - 0.9) ** 2) / 0.03))
    sheen = np.exp(-((u + 0.2) ** 2) / 0.02 - (v - 1.45) ** 2 / 0.12)[..., None]
    texture = paint * light * (rounded * away)[..., None]
    texture += sheen * 0.22 * (1.0 - texture) * (canvas.tint * 0.5 + 0.5)
    canvas.fill(shape, texture.astype(np.float32), "strap")
    pale = paint.mean() > 0.6
    thread = (mix(paint, (0.25, 0.18, 0.14), 0.65) if pale else mix(paint, (1, 0.97, 0.9), 0.7)) * light
    for edge, end in ((-1, -1), (-1, 1), (1, -1), (1, 1)):  # a seam along each edge
        seam = np.array([(0.45, 1.04), (0.485, 1.04), (0.37, 3.0), (0.335, 3.0)]) * (edge, end)
        low = shape[:, 1].max() - 0.012
        points = frame.at(seam)
        if points[:, 1].max() > low:
            top = points[:2]
            points = np.vstack(
                [
                    top,
                    [
                        t + (p - t) * min(1.0, (low - t[1]) / (p[1] - t[1]))
                        for t, p in zip(top[::-1], points[2:], strict=True)
                    ],
                ]
            )
        canvas.fill(points, thread)
    for along in (1.45, 1.72):
        hole = frame.disc(0.05, 0, along)
        if hole[:, 1].max() < shape[:, 1].max() - 0.02:
            canvas.fill(hole, paint * light * 0.25)


def _case(canvas: Canvas, frame: _Frame, metal: np.ndarray) -> None:
    """Lugs, crown and a case whose polished ring catches the lamps twice around."""
    sheen = np.cos(2 * (np.arctan2(frame.v, frame.u) + 0.9))[..., None]
    glint = np.clip(sheen, 0, 1) ** 3 * 0.35
    outer = (metal * (0.72 + 0.28 * sheen) + glint * (1 - metal * 0.5)).astype(np.float32)
    inner = (metal * (0.66 - 0.3 * sheen)).astype(np.float32)
    lug = np.array([(0.50, 0.6), (0.50, 1.12), (0.55, 1.17), (0.63, 1.14), (0.77, 0.6)])
    ridge = np.array([(0.55, 0.7), (0.53, 1.1), (0.57, 1.13), (0.62, 0.7)])
    for edge, end in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        canvas.fill(frame.at(lug * (edge, end)), metal * (0.68 if edge < 0 else 0.48), "watch")
        canvas.fill(frame.at(ridge * (edge, end)), np.clip(metal * (1.08 if edge < 0 else 0.8), 0, 1))
    canvas.fill(frame.at([(0.9, -0.07), (1.07, -0.07), (1.07, 0.07), (0.9, 0.07)]), metal * 0.45, "watch")
    knob = [(1.04, -0.13), (1.17, -0.15), (1.2, -0.11), (1.2, 0.11), (1.17, 0.15), (1.04, 0.13)]
    canvas.fill(frame.at(knob), metal * 0.85, "watch")
    for y in (-0.075, 0.0, 0.075):
        groove = [(1.05, y - 0.014), (1.2, y - 0.014), (1.2, y + 0.014), (1.05, y + 0.014)]
        canvas.fill(frame.at(groove), metal * 0.4)
    canvas.fill(frame.disc(1.0), metal * 0.38, "watch")
    canvas.fill(frame.disc(0.98), outer, "watch")
    canvas.fill(frame.disc(0.87), inner, "watch")
    canvas.fill(frame.disc(0.81), metal * 0.25, "watch")


def _dial(canvas: Canvas, frame: _Frame, metal, face, light, moment) -> None:
    """The face with hour marks, hands at ``moment`` (in hours) and the glass over it."""
    pale = face.mean() > 0.5
    ink = np.array((0.10, 0.10, 0.13) if pale else (0.95, 0.95, 0.93), np.float32) * light
    depth = np.hypot(frame.u + 0.1, frame.v + 0.15)[..., None]
    rim = np.clip((np.hypot(frame.u - 0.05, frame.v - 0.07) - 0.66) * 5, 0, 1)[..., None]  # the case's shadow
    shade = (1.06 - 0.16 * depth**2) * (1 - 0.35 * rim)
    canvas.fill(frame.disc(0.785), (face * light * shade + (0 if pale else 0.03)).astype(np.float32), "watch")
    for hour in range(12):
        main = hour % 3 == 0
        canvas.fill(frame.bar(hour * np.pi / 6, 0.54 if main else 0.6, 0.71, *(2 * [0.045 if main else 0.03])), ink)
    hands = ((moment % 12 / 12, 0.42, 0.07), (moment % 1, 0.62, 0.055))
    for part, reach, half in hands:
        angle = 2 * np.pi * part
        canvas.fill(np.add(frame.bar(angle, -0.12, reach, half, half * 0.5), 0.006), np.zeros(3), alpha=0.22)
        canvas.fill(frame.bar(angle, -0.12, reach, half, half * 0.5), ink)
    canvas.fill(frame.bar(2 * np.pi * 0.58, -0.2, 0.66, 0.022, 0.018), np.array((0.88, 0.16, 0.12)) * light)
    canvas.fill(frame.disc(0.07), metal)
    arc = np.linspace(np.pi * 0.98, np.pi * 1.55, 30)
    outer, inner = np.stack([np.cos(arc), np.sin(arc)], 1) * 0.76, np.stack([np.cos(arc), np.sin(arc)], 1) * 0.62
    inner += np.array((0.11, 0.11)) * np.sin(np.linspace(0, np.pi, 30))[:, None] * -0.3
    canvas.fill(frame.at(np.vstack([outer, inner[::-1]])), (1, 1, 1), alpha=0.26)
    band = [(-0.34, 0.69), (-0.18, 0.74), (0.66, -0.38), (0.56, -0.52)]
    canvas.fill(frame.at(band), (1, 1, 1), alpha=0.10)


def draw_watch(canvas: Canvas) -> None:
    rng = canvas.rng
    radius, tilt = rng.uniform(0.24, 0.28), np.deg2rad(rng.uniform(-20, 20))
    x, y = rng.uniform(0.46, 0.54), rng.uniform(0.43, 0.48)
    edge, foot = rng.uniform(0.66, 0.74), rng.uniform(0.87, 0.91)
    metal, face = METALS[rng.integers(2)], DIALS[rng.integers(4)]
    moment = 10 + rng.uniform(8, 10) / 60  # about ten past ten, as in every advertisement
    light = canvas.tint * 0.55 + 0.45  # the studio's lamps
    metal = (np.array(metal) * light * 0.85 + canvas.sky_stops[2] * 0.15).astype(np.float32)
    frame = _Frame(canvas, x, y, radius, tilt)
    strap = _strap_shape(frame, foot)
    shape = np.maximum(canvas.coverage(strap), canvas.coverage(frame.disc(1.0))).astype(np.float32) / 255
    _studio(canvas, edge)
    _shadows(canvas, shape, foot, strap[3:5, 0].mean(), 5 if tilt > 0 else -5)
    _strap(canvas, frame, strap)
    _case(canvas, frame, metal)
    _dial(canvas, frame, metal, np.array(face, np.float32), light, moment)
    canvas.masks["watch"] = canvas.masks["watch"] | canvas.masks["strap"]
