"""Draw a portrait: head and shoulders of somebody in a coat, perhaps with a golden crown."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import GRASS, PAINT, Canvas
from .landscape import draw_ground, draw_hills, draw_sky

SKIN = (
    (1.0, 0.85, 0.75),
    (0.97, 0.77, 0.63),
    (0.89, 0.67, 0.49),
    (0.76, 0.53, 0.37),
    (0.60, 0.40, 0.28),
    (0.45, 0.30, 0.21),
)
HAIR = ((0.13, 0.10, 0.11), (0.36, 0.22, 0.13), (0.58, 0.24, 0.10), (0.90, 0.70, 0.36), (0.66, 0.66, 0.69))
EYES = ((0.30, 0.17, 0.08), (0.18, 0.40, 0.62), (0.22, 0.46, 0.28), (0.42, 0.30, 0.12))
SHIRTS = ((0.96, 0.95, 0.92), (0.80, 0.86, 0.93), (0.95, 0.86, 0.78))
GOLD = np.array((1.0, 0.76, 0.16))


def _curve(points, closed=False, steps=8) -> np.ndarray:
    """A smooth (Catmull-Rom) line through ``points``."""
    p = np.asarray(points, np.float64)
    p = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    line = b + 0.5 * ((c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.vstack([line.reshape(-1, 2), p[-2:-1]])


def _mirrored(half) -> np.ndarray:
    """The closed smooth outline whose right half is ``half``, from top to bottom."""
    half = np.asarray(half, np.float64)
    inner = half[::-1][half[::-1, 0] > 0]
    return _curve(np.vstack([half, inner * (-1, 1)]), closed=True)


def _oval(x, y, rx, ry) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 32)
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], 1)


def _stroke(points, width) -> np.ndarray:
    """The outline of a brush stroke along ``points``, thin at both ends."""
    line = _curve(points)
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / (np.hypot(*along.T)[:, None] + 1e-9)
    swell = width / 2 * np.sin(np.pi * np.linspace(0.06, 0.94, len(line)))[:, None] ** 0.6
    return np.vstack([line + normal * swell, (line - normal * swell)[::-1]])


@dataclass
class _Sitter:
    """Who sits for us, and where; positions are in head heights from the middle of the head."""

    canvas: Canvas
    woman: bool
    skin: np.ndarray
    hair: np.ndarray
    eyes: tuple
    shirt: tuple
    cut: str  # how the hair is cut
    beard: bool
    smile: float
    part: float  # where the hair parts, and to which side it falls
    curls: np.ndarray
    x: float
    y: float
    size: float
    tilt: float
    sun: int = 1  # which side the light comes from

    def at(self, points, tilt=True) -> np.ndarray:
        """Points on the canvas; the head turns about the neck, the shoulders stay level."""
        px, py = np.asarray(points, np.float64).T
        if tilt:
            c, s = np.cos(self.tilt), np.sin(self.tilt)
            px, py = px * c - (py - 0.55) * s, px * s + (py - 0.55) * c + 0.55
        else:
            py = py - 0.06  # a short neck
        return np.stack([px * self.size + self.x, py * self.size + self.y], 1)

    def lit(self, color) -> np.ndarray:
        """``color`` under this light; like a car, a face keeps some of its colour after dark."""
        keep = (0.54, 0.48, 0.42) if self.canvas.night else (0.28, 0.28, 0.28)
        return np.asarray(color, np.float32) * (self.canvas.tint * (1 - np.float32(keep)) + np.float32(keep))

    def draw(self, points, color, mask=None, alpha=1.0, tilt=True) -> None:
        color = color if np.ndim(color) == 3 else self.lit(color)
        self.canvas.fill(self.at(points, tilt), color, mask, alpha)

    def rounded(self, color, radius, depth=0.2, fall=0.0) -> np.ndarray:
        """A texture of ``color``, bright towards the sun, darker at the rim and ``fall`` darker per head."""
        grid = (np.arange(self.canvas.side, dtype=np.float32) + 0.5) / self.canvas.side
        across = np.clip((grid - self.x) / (self.size * radius), -1.2, 1.2)
        across = 1.04 + depth * (0.75 * self.sun * across - 0.55 * across**2)
        down = 1 - fall * np.clip((grid - self.y) / self.size, -1, 2)
        return (down[:, None] * across)[..., None] * self.lit(color)

    def soften(self, texture, points, color, blur, alpha, tilt=True) -> None:
        """Blend a soft-edged patch into ``texture``, which keeps it inside whatever that will fill."""
        side, reach = self.canvas.side, blur * self.size * self.canvas.side
        xy = self.at(points, tilt)
        x0, y0 = np.clip(np.floor(xy.min(0) * side - 3 * reach), 0, side).astype(int)
        x1, y1 = np.clip(np.ceil(xy.max(0) * side + 3 * reach), 0, side).astype(int)
        if x0 < x1 and y0 < y1:
            box = np.s_[y0:y1, x0:x1]
            cover = cv2.GaussianBlur(self.canvas.coverage(xy)[box], (0, 0), reach)
            weight = cover.astype(np.float32)[..., None] * (alpha / 255)
            texture[box] += weight * (self.lit(color) - texture[box])


def _sit(canvas: Canvas) -> _Sitter:
    """Draw every random number about the person, always in the same order, so that edits leave the rest alone."""
    rng, woman = canvas.rng, canvas.scene.person == "woman"
    skin, hair, eyes, shirt = (rng.integers(len(c)) for c in (SKIN, HAIR, EYES, SHIRTS))
    hair = (0, 1, 0, 1, 4)[hair] if skin > 3 else hair  # dark skin, dark or grey hair
    cut, beard, smile = rng.integers(3), rng.random() < 0.45, rng.uniform(0.012, 0.03)
    part, curls = rng.uniform(0.05, 0.14) * rng.choice((-1, 1)), rng.uniform(-1, 1, (30, 3))
    size, top, x, tilt = rng.uniform(0.50, 0.56), rng.uniform(0.17, 0.19), rng.uniform(-1, 1), rng.uniform(-0.05, 0.05)
    cuts = ("long", "bun", "bob") if woman else ("short", "curly", "swept")
    looks = np.array(SKIN[skin]), np.array(HAIR[hair]), EYES[eyes], SHIRTS[shirt]
    place = 0.5 + 0.05 * x, top + size / 2, size, tilt
    return _Sitter(canvas, woman, *looks, cuts[cut], beard and not woman, smile, part, curls, *place)


def _background(canvas: Canvas) -> int:
    """Sky over hills and a meadow out of focus; returns the side that the light comes from."""
    horizon = canvas.rng.uniform(0.60, 0.68)
    draw_sky(canvas, horizon)
    glow = canvas.rgb[: int(horizon * canvas.side)].mean((0, 2))
    sun = 1 if glow[canvas.side // 2 :].sum() > glow[: canvas.side // 2].sum() else -1
    sky = canvas.rgb.copy()
    draw_hills(canvas, horizon, (0.36, 0.56, 0.30), 0.14)
    draw_ground(canvas, horizon + 0.03, GRASS)
    land = np.dstack([canvas.rgb, ~canvas.masks["sky"]]).astype(np.float32)
    land = cv2.resize(land, (64, 64), interpolation=cv2.INTER_AREA)  # a blur needs no more
    land = cv2.GaussianBlur(land, (0, 0), 0.8)
    land = cv2.resize(land, (canvas.side, canvas.side), interpolation=cv2.INTER_CUBIC)
    canvas.rgb = sky + np.clip(land[..., 3:], 0, 1) * (land[..., :3] - sky)  # the moon and the stars stay sharp
    return sun


def _hair_texture(p: _Sitter, dark=1.0) -> np.ndarray:
    """Hair with a sheen on the sun's side."""
    base = p.hair * dark
    texture = p.rounded(base, 0.45, 0.35, 0.12)
    sheen = np.clip(base * 1.45 + 0.10, 0, 1)
    p.soften(texture, _stroke([(-0.3, -0.2), (-0.17, -0.38), (0.1, -0.43), (0.3, -0.26)], 0.09), sheen, 0.03, 0.35)
    s = p.sun
    p.soften(texture, _stroke([(s * 0.12, -0.42), (s * 0.3, -0.25), (s * 0.38, 0.1)], 0.1), sheen, 0.025, 0.55)
    return texture


def _back_hair(p: _Sitter) -> None:
    texture = _hair_texture(p, 0.72)
    if p.cut == "bun":
        bun = _oval(p.part * 0.3, -0.54, 0.17, 0.145)
        p.draw(bun, p.rounded(p.hair * 0.85, 0.2, 0.3), "hair")
        for lift in (0.0, 0.07):
            line = [(-0.14, -0.5 - lift), (0, -0.6 - lift * 0.8), (0.13, -0.52 - lift)]
            p.draw(_stroke(line, 0.018), p.hair * 1.3 + 0.05, alpha=0.6)
    elif p.cut == "long":
        half = [(0, -0.5), (0.26, -0.43), (0.40, -0.15), (0.42, 0.2), (0.46, 0.55), (0.44, 0.9), (0.2, 0.95), (0, 0.9)]
        p.draw(_mirrored(half), texture, "hair")
    elif p.cut == "bob":
        half = [
            (0, -0.5),
            (0.27, -0.43),
            (0.41, -0.15),
            (0.45, 0.15),
            (0.45, 0.4),
            (0.36, 0.5),
            (0.15, 0.46),
            (0, 0.45),
        ]
        p.draw(_mirrored(half), texture, "hair")


def _neck(p: _Sitter) -> None:
    wide = 0.135 if p.woman else 0.18
    texture = p.rounded(p.skin * 0.96, 0.3, 0.22)
    p.soften(texture, _oval(-0.05 * p.sun, 0.42, 0.30, 0.16), p.skin * (0.66, 0.56, 0.54), 0.03, 0.85)
    half = [(0, 0.3), (wide, 0.3), (wide, 0.5), (wide + 0.05, 0.62), (wide + 0.14, 0.70), (0.1, 0.95), (0, 1.0)]
    p.draw(_mirrored(half), texture, "head", tilt=False)


def _coat(p: _Sitter) -> None:
    """Shoulders, an open collar and buttons; only this depends on the scene's colour."""
    paint = np.array(PAINT[p.canvas.scene.color])
    light, dark = np.clip(paint * 1.12 + 0.05, 0, 1), paint * 0.62
    broad = 0.74 if p.woman else 0.86
    if p.woman:  # a round neckline for her, a shirt for him
        shirt = [(-0.19, 0.70), (-0.1, 0.78), (0, 0.80), (0.1, 0.78), (0.19, 0.70), (0.3, 0.8), (0, 1.2), (-0.3, 0.8)]
    else:
        shirt = [(-0.15, 0.60), (-0.12, 0.63), (0, 0.74), (0.12, 0.63), (0.15, 0.60), (0.3, 0.7), (0, 1.2), (-0.3, 0.7)]
    p.draw(shirt, p.rounded(p.shirt, 0.4, 0.16), "coat", tilt=False)
    texture = p.rounded(paint, broad, 0.26, 0.16)
    texture *= 1.12
    for side in (-1, 1):
        fold = [(side * broad * 0.74, 0.9), (side * broad * 0.66, 1.1), (side * broad * 0.68, 1.5)]
        p.soften(texture, _stroke(fold, 0.09), dark, 0.025, 0.7, tilt=False)
        shoulder = [(side * 0.28, 0.70), (side * broad * 0.7, 0.78), (side * broad * 0.95, 0.98)]
        p.soften(texture, _stroke(shoulder, 0.06), light, 0.025, 0.75 if side == p.sun else 0.3, tilt=False)
    for side in (-1, 1):
        edge = [(0.15, 0.58), (0.30, 0.655), (broad * 0.72, 0.76), (broad * 0.94, 0.90), (broad + 0.05, 1.15)]
        half = np.vstack([_curve(edge), [(broad + 0.1, 1.6), (-0.02, 1.6), (-0.02, 0.98)], [(0.10, 0.80)]])
        p.draw(half * (side, 1), texture, "coat", tilt=False)
    p.draw(_stroke([(0.02, 0.96), (0.03, 1.2), (0.03, 1.7)], 0.022), dark, tilt=False)
    for side in (-1, 1):
        lapel = [(0.15, 0.545), (0.27, 0.62), (0.33, 0.76), (0.25, 0.79), (0.29, 0.85), (0.02, 1.06), (0.0, 0.98)]
        lapel = np.vstack([lapel, _curve([(0.07, 0.84), (0.125, 0.70)])])
        p.draw(np.add(lapel, (0.012, 0.022)) * (side, 1), dark, "coat", 0.75, tilt=False)
        p.draw(lapel * (side, 1), light if side == p.sun else paint * 0.93, "coat", tilt=False)
    for y in (1.10, 1.26):
        p.draw(_oval(0.085, y, 0.026, 0.026), paint * 0.4 + 0.08, tilt=False)
        p.draw(_oval(0.08, y - 0.006, 0.012, 0.012), light * 0.7 + 0.3, alpha=0.8, tilt=False)


def _head(p: _Sitter) -> None:
    """The face's shape and its soft shades."""
    shade, away = p.skin * (0.72, 0.62, 0.58), -p.sun
    texture = p.rounded(p.skin, 0.36, 0.22)
    blush = p.skin * 0.45 + np.array((0.95, 0.36, 0.32)) * 0.5
    for side in (-1, 1):
        p.draw(_oval(side * 0.345, 0.07, 0.05, 0.085), p.skin * (0.98 if side == p.sun else 0.8), "head")
        p.draw(_oval(side * 0.35, 0.07, 0.024, 0.05), shade, alpha=0.6)
        p.soften(texture, _oval(side * 0.2, 0.21, 0.075, 0.05), blush, 0.03, 0.62 if p.woman else 0.4)
        p.soften(texture, _oval(side * 0.15, 0.03, 0.09, 0.045), shade, 0.025, 0.4)  # the hollow of the eye
    p.soften(texture, _stroke([(-0.33, -0.1), (-0.2, -0.25), (0.2, -0.25), (0.33, -0.1)], 0.1), shade, 0.03, 0.6)
    p.soften(texture, _stroke([(away * 0.33, -0.2), (away * 0.36, 0.15), (away * 0.18, 0.46)], 0.1), shade, 0.03, 0.7)
    p.soften(
        texture, _stroke([(away * 0.045, 0.02), (away * 0.05, 0.15), (away * 0.06, 0.23)], 0.05), shade, 0.014, 0.6
    )
    glint = np.clip(p.skin * 1.12 + 0.06, 0, 1)
    p.soften(texture, _stroke([(p.sun * 0.012, 0.0), (p.sun * 0.012, 0.2)], 0.035), glint, 0.014, 0.7)
    p.soften(texture, _oval(p.sun * 0.21, 0.15, 0.06, 0.035), glint, 0.02, 0.5)
    p.soften(texture, _oval(0, 0.40, 0.07, 0.012), shade, 0.012, 0.6)  # under the lip
    jaw = [(0.32, 0.2), (0.235, 0.37), (0.11, 0.475)] if p.woman else [(0.335, 0.2), (0.275, 0.38), (0.14, 0.49)]
    p.draw(_mirrored([(0, -0.45), (0.2, -0.4), (0.32, -0.22), (0.345, 0.0), *jaw, (0, 0.5)]), texture, "head")


def _features(p: _Sitter) -> None:
    dark, brow = p.skin * (0.42, 0.30, 0.28), np.clip(p.hair * 0.7, 0.06, 0.42)
    tall, lash = (0.052, 0.026) if p.woman else (0.042, 0.018)
    plain = p.canvas.scene.style in ("van gogh", "pencil")  # they outline everything, and a busy eye would clog
    white = np.array((0.98, 0.97, 0.95)) * (1 - 0.6 * plain) + p.skin * 0.6 * plain
    for side in (-1, 1):
        x, y = side * 0.148, 0.055
        p.draw(_oval(x, y, 0.070, tall), white)
        p.draw(_oval(x, y + 0.003, 0.041, min(0.045, tall)), p.eyes)
        p.draw(_oval(x, y + 0.003, 0.021, 0.024), (0.03, 0.03, 0.04))
        p.draw(_oval(x + p.sun * 0.016, y - 0.014, 0.014, 0.014), np.ones(3), alpha=0.3 if plain else 1)
        lid = [(x - side * 0.072, y + 0.012), (x - side * 0.03, y - tall * 0.95), (x + side * 0.035, y - tall * 0.95)]
        p.draw(_stroke([*lid, (x + side * (0.095 if p.woman else 0.078), y - 0.004)], lash), (0.10, 0.06, 0.06))
        if not plain:
            p.draw(_stroke([(x - 0.05, y + tall), (x, y + tall * 1.12), (x + 0.05, y + tall)], 0.008), dark, alpha=0.5)
        arch = [(x - side * 0.085, y - 0.095), (x, y - 0.13), (x + side * 0.095, y - 0.095)]
        p.draw(_stroke(arch, 0.026 if p.woman else 0.042), brow, alpha=0.9)
        p.draw(_oval(side * 0.028, 0.243, 0.014, 0.008), dark, alpha=0.6)
    p.draw(_stroke([(-0.055, 0.232), (-0.02, 0.256), (0.02, 0.256), (0.055, 0.232)], 0.012), dark, alpha=0.55)


def _mouth(p: _Sitter) -> None:
    rose = np.array((0.80, 0.22, 0.26)) * 0.75 + p.skin * 0.2 if p.woman else p.skin * (0.78, 0.50, 0.48)
    y, up = 0.345, p.smile
    low = [(-0.1, y - up), (-0.04, y + 0.04), (0.04, y + 0.04), (0.1, y - up), (0, y)]
    p.draw(_curve(low), np.clip(rose * 1.12, 0, 1))
    top = [(0.105, y - up), (0.03, y - 0.026), (0, y - 0.018), (-0.03, y - 0.026), (-0.105, y - up)]
    seam = [(-0.115, y - up - 0.008), (-0.05, y + 0.004), (0.05, y + 0.004), (0.115, y - up - 0.008)]
    p.draw(np.vstack([_curve(top), _curve(seam)]), rose * 0.86)
    p.draw(_stroke(seam, 0.014), rose * 0.4)
    p.draw(_oval(p.sun * 0.02, y + 0.022, 0.025, 0.007), np.clip(rose * 1.3 + 0.15, 0, 1), alpha=0.7)


def _beard(p: _Sitter) -> None:
    outer = _curve([(-0.35, 0.02), (-0.345, 0.22), (-0.28, 0.42), (-0.14, 0.53), (0.0, 0.555)])
    inner = _curve([(-0.315, 0.06), (-0.285, 0.19), (-0.19, 0.27), (-0.09, 0.268), (0.0, 0.282)])
    left = np.vstack([outer, inner[::-1]])
    shape = np.vstack([outer, outer[::-1] * (-1, 1), inner * (-1, 1), inner[::-1]])
    texture = p.rounded(p.hair * 0.92, 0.36, 0.35)
    p.soften(texture, left * 0.9 * (-p.sun, 1), p.hair * 1.25 + 0.04, 0.05, 0.25)
    p.draw(shape, texture, "hair")


def _front_hair(p: _Sitter) -> None:
    """The hair around the face, above it and beside it."""
    texture, wide, part = _hair_texture(p), 0.385 if p.woman else 0.365, p.part
    turn = np.radians(np.linspace(172, 368, 40))
    outer = np.stack([wide * np.cos(turn), -0.04 + 0.475 * np.sin(turn)], 1)
    if p.woman:
        inner = [(0.33, 0.06), (0.30, -0.06), (0.24, -0.19), (part + 0.03, -0.33)]
        inner = np.vstack(
            [_curve(inner), _curve([(part - 0.03, -0.33), (-0.24, -0.19), (-0.30, -0.06), (-0.33, 0.06)])]
        )
    else:
        side = np.sign(part)
        inner = [(0.325, 0.04), (0.30, -0.10), (0.26, -0.18), (0.1, -0.215 - 0.03 * side)]
        inner = _curve([*inner, (-0.1, -0.215 + 0.03 * side), (-0.26, -0.18), (-0.30, -0.10), (-0.325, 0.04)])
    cap = np.vstack([outer, inner])
    if p.cut == "curly":
        angle = np.linspace(np.pi * 0.99, np.pi * 2.01, 15)
        for row, (reach, shade) in enumerate(((1.0, 0.75), (0.82, 1.0))):
            tone = texture * shade
            for a, (dx, dy, r) in zip(angle, p.curls[row * 15 :], strict=False):
                x, y = (0.36 * np.cos(a) + 0.02 * dx) * reach, -0.10 + (0.38 * np.sin(a) + 0.02 * dy) * reach
                p.draw(_oval(x, y, 0.085 + 0.015 * r, 0.085), tone, "hair")
                curl = [(x - 0.045, y + 0.01), (x - 0.01, y - 0.045), (x + 0.045, y - 0.01)]
                p.draw(_stroke(curl, 0.02), np.clip(p.hair * 1.4 + 0.06, 0, 1), alpha=0.55)
        return
    p.draw(cap, texture, "hair")
    if p.cut in ("long", "bob"):
        end = 0.98 if p.cut == "long" else 0.47
        for side in (-1, 1):
            outer = _curve([(0.36, -0.2), (0.42, 0.1), (0.45, end * 0.6), (0.425, end * 0.86), (0.34, end)])
            inner = _curve([(0.34, end), (0.29, end * 0.84), (0.315, end * 0.55), (0.325, 0.12), (0.29, -0.1)])
            p.draw(np.vstack([outer, inner]) * (side, 1), texture, "hair")
            for k in (0.34, 0.385):
                strand = [(k - 0.01, -0.05), (k + 0.02, end * 0.45), (k + 0.01, end * 0.85)]
                p.draw(np.multiply(_stroke(strand, 0.014), (side, 1)), p.hair * 0.55, alpha=0.5)
    elif p.cut == "swept":
        s = np.sign(part)
        quiff = [
            (-0.30, -0.22),
            (-0.33, -0.42),
            (-0.1, -0.56),
            (0.18, -0.56),
            (0.36, -0.42),
            (0.32, -0.24),
            (0.1, -0.30),
        ]
        p.draw(_curve(quiff, closed=True) * (s, 1), texture, "hair")
    for k in (-0.2, -0.08, 0.08, 0.2):  # a few strands follow the comb
        strand = [(part + k * 0.35, -0.44), (part * 0.6 + k, -0.39), (k * 1.45, -0.24)]
        p.draw(_stroke(strand, 0.014), p.hair * 0.6, alpha=0.5)
    if p.cut == "bun":
        for side in (-1, 1):
            p.draw(_oval(side * 0.355, 0.175, 0.022, 0.026), GOLD)


def _crown(p: _Sitter) -> None:
    """A golden crown with five points; its own random numbers leave the rest of the picture alone."""
    rng = np.random.default_rng(p.canvas.scene.layout + 7)
    tall, jewels = rng.uniform(0.92, 1.0), ((0.85, 0.08, 0.16), (0.12, 0.34, 0.85), (0.08, 0.60, 0.32))
    jewels = [jewels[i] for i in rng.permutation(3)]
    bright, dark = np.array((1.0, 0.92, 0.52)), GOLD * (0.62, 0.52, 0.4)
    arc = np.linspace(-1, 1, 33)
    sag = 0.075 * np.sqrt(1 - arc**2)  # we see the ring a little from above
    base, rim = np.stack([arc * 0.375, -0.30 + sag], 1), np.stack([arc * 0.39, -0.415 + sag], 1)
    tips = [(x * 0.46, -0.66 * tall - 0.05 * (1 - abs(x)) + 0.02) for x in (-1, -0.52, 0, 0.52, 1)]
    valleys = [(x, -0.46 + 0.05 * (1 - abs(x) / 0.4)) for x in (-0.32, -0.115, 0.115, 0.32)]
    p.draw(np.add(base, (0, 0.035)), p.hair * 0.3, alpha=0.5)  # its shadow on the hair
    for x in (-0.26, 0.0, 0.26):
        p.draw([(x - 0.11, -0.38), (x, -0.60), (x + 0.11, -0.38)], dark * 0.8, "crown")
    p.draw(_oval(0, -0.415, 0.39, 0.06), dark * 0.7, "crown")
    gold = p.rounded(GOLD, 0.42, 0.42, 0.0) * 1.04
    s = p.sun
    p.soften(gold, _stroke([(s * 0.17, -0.7), (s * 0.2, -0.45), (s * 0.18, -0.2)], 0.08), bright, 0.02, 0.85)
    zigzag = [q for pair in zip(tips, [*valleys, None], strict=True) for q in pair if q is not None]
    p.draw(np.vstack([zigzag, base[::-1]]), gold, "crown")
    for tip in zip(tips, valleys, strict=False):  # the points' sides that face away from the sun
        a, b = tip
        p.draw(_stroke([a, ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), b], 0.014), bright if s < 0 else dark, alpha=0.7)
    for line, width, color in ((rim, 0.022, dark), (np.subtract(rim, (0, 0.018)), 0.018, bright), (base, 0.03, dark)):
        p.draw(_stroke(line[1:-1:5], width), color, alpha=0.85)
    for i, x in enumerate((-0.74, -0.38, 0.0, 0.38, 0.74)):
        y, r, jewel = -0.357 + 0.075 * np.sqrt(1 - x**2), (0.034, 0.028)[i % 2], jewels[abs(i - 2)]
        p.draw(_oval(x * 0.385, y, r * 1.25, r * 1.25), dark)
        p.draw(_oval(x * 0.385, y, r, r), jewel)
        p.draw(_oval(x * 0.385 + s * r * 0.3, y - r * 0.35, r * 0.35, r * 0.35), np.ones(3), alpha=0.9)
    for x, y in tips:
        p.draw(_oval(x, y, 0.036, 0.036), GOLD * 0.85, "crown")
        p.draw(_oval(x + s * 0.008, y - 0.008, 0.022, 0.022), bright)


def draw_portrait(canvas: Canvas) -> None:
    person = _sit(canvas)
    person.sun = _background(canvas)
    person.x -= 0.02 * person.sun  # make room for the sun or the moon
    for draw in (_back_hair, _neck, _coat, _head, _features):
        draw(person)
    if person.beard:
        _beard(person)
    _mouth(person)
    _front_hair(person)
    if canvas.scene.crown:
        _crown(person)
