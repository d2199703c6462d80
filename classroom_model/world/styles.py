"""Turn a painted scene into a style, or degrade it: filters on (128, 128, 3) float RGB, 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np

from .scenes import Scene


def smooth_noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> np.ndarray:
    """Cloud-like noise, (size, size) from 0 to 1, with about ``cells`` = (across, down) features."""
    grid = rng.random((cells[1] + 1, cells[0] + 1)).astype(np.float32)
    return np.clip(cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)


def _luma(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2GRAY)


def _saturate(rgb: np.ndarray, amount: float) -> np.ndarray:
    grey = _luma(rgb)[..., None]
    return np.clip(grey + (rgb - grey) * amount, 0, 1)


def _edges(rgb: np.ndarray, blur: float = 0.8) -> np.ndarray:
    """Strength of the outlines, 0 to 1."""
    soft = cv2.GaussianBlur(rgb.astype(np.float32), (0, 0), blur)
    slopes = [np.abs(cv2.Sobel(soft, cv2.CV_32F, dx, dy)).max(2) for dx, dy in ((1, 0), (0, 1))]
    return np.clip(np.hypot(*slopes) * 1.1, 0, 1)


def _strokes(rgb, rng, angle, lengths, widths, jitter) -> np.ndarray:
    """Cover the picture with brush strokes, broad ones first; ``angle`` in radians a pixel."""
    size = rgb.shape[0]
    out = cv2.GaussianBlur(rgb, (0, 0), 2.0)
    for length, width in zip(lengths, widths, strict=True):
        count = int(size * size / (length * width) * 1.15)
        x, y = rng.integers(0, size, (2, count))
        shade = rng.normal(0, jitter, (count, 3)) * 0.5 + rng.normal(0, jitter, (count, 1))
        colors = np.clip(rgb[y, x] + shade, 0, 1).tolist()
        reach = np.stack([np.cos(angle[y, x]), np.sin(angle[y, x])], 1) * length / 2
        ends = np.stack([np.stack([x, y], 1) - reach, np.stack([x, y], 1) + reach], 1)
        for (start, stop), color in zip(np.round(ends * 16).astype(int).tolist(), colors, strict=True):
            cv2.line(out, start, stop, color, width, cv2.LINE_8, 4)
    return out


def _impressionist(rgb, rng):
    """Short dabs of broken, sunny colour along the shapes."""
    grey = cv2.GaussianBlur(_luma(rgb), (0, 0), 3)
    along = np.arctan2(cv2.Sobel(grey, cv2.CV_32F, 1, 0), -cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    angle = np.where(_edges(rgb) > 0.12, along, 0.35 + 0.8 * (smooth_noise(rng, rgb.shape[0], (3, 3)) - 0.5))
    vivid = _saturate(np.clip(rgb * 0.94 + 0.05, 0, 1), 1.35)
    dabs = _strokes(vivid, rng, angle, (9, 6, 5), (4, 3, 2), 0.055)
    edge = np.clip(_edges(rgb) * 1.4, 0, 0.55)[..., None]
    return dabs * (1 - edge) + vivid * edge


def _van_gogh(rgb, rng):
    """Long swirling strokes, deep blues and strong yellows, dark outlines."""
    size = rgb.shape[0]
    yy, xx = np.mgrid[:size, :size].astype(np.float32) / size
    angle = np.full((size, size), 0.25, np.float32) + 1.2 * (smooth_noise(rng, size, (3, 3)) - 0.5)
    for _ in range(3):
        cx, cy, reach = rng.uniform(0, 1), rng.uniform(0, 0.5), rng.uniform(0.12, 0.22)
        pull = np.exp(-((xx - cx) ** 2 + (yy - cy) ** 2) / (2 * reach**2))
        angle = angle * (1 - pull) + (np.arctan2(yy - cy, xx - cx) + np.pi / 2) * pull
    grey = _luma(rgb)[..., None]
    rich = _saturate(rgb, 1.5)
    rich = rich * (1 - 0.28) + 0.28 * (np.array((0.10, 0.22, 0.62)) * (1 - grey) + np.array((1.0, 0.84, 0.30)) * grey)
    out = _strokes(rich.astype(np.float32), rng, angle, (15, 11, 8), (4, 3, 2), 0.06)
    edge = np.clip(_edges(rgb) * 1.1, 0, 0.7)[..., None]
    return out * (1 - edge) + np.array((0.06, 0.08, 0.22)) * edge


def _watercolor(rgb, rng):
    """Pale washes with soft edges on white paper that shows at the rim."""
    size = rgb.shape[0]
    wash = cv2.bilateralFilter(rgb.astype(np.float32), 7, 0.16, 4)
    wash = cv2.GaussianBlur(wash, (0, 0), 1.1)
    pigment = smooth_noise(rng, size, (7, 7)) * 0.6 + smooth_noise(rng, size, (20, 20)) * 0.4
    wash = _saturate(1 - (1 - wash) * (0.52 + 0.34 * pigment[..., None]), 1.3)
    rim = np.clip(_edges(wash) - 0.06, 0, 0.35)[..., None]
    wash = wash * (1 - 0.45 * rim)
    yy, xx = np.mgrid[:size, :size].astype(np.float32) / size
    border = np.minimum(np.minimum(xx, 1 - xx), np.minimum(yy, 1 - yy))
    border = border + 0.11 * (smooth_noise(rng, size, (8, 8)) - 0.5)
    paper = np.clip((border - 0.045) * 16, 0, 1)[..., None]
    return (wash * 0.94 + 0.05) * paper + np.array((0.985, 0.98, 0.965)) * (1 - paper)


def _pencil(rgb, rng):
    """Outlines and up to three layers of hatching, one for every step of darkness."""
    size = rgb.shape[0]
    grey = cv2.GaussianBlur(_luma(rgb), (0, 0), 1.0)
    low, high = np.percentile(grey, (2, 90))
    grey = np.clip((grey - low) / (high - low + 0.05), 0, 1)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    wobble = 2.0 * smooth_noise(rng, size, (6, 6))
    page = np.full((size, size), 0.965, np.float32) - 0.10 * (1 - grey)
    for limit, direction in ((0.62, 1), (0.34, -1), (0.10, 0)):
        across = (xx + direction * yy) / (np.sqrt(2) if direction else 1) + wobble
        line = np.clip(1.2 - np.abs((across % 5.0) - 2.5), 0, 1)
        page -= 0.36 * line * np.clip((limit - grey) * 7, 0, 1)
    page -= 0.8 * np.clip(_edges(rgb, 0.5) * 0.9 - 0.08, 0, 0.8)
    return np.repeat(np.clip(page, 0.08, 1)[..., None], 3, 2) * np.array((1.0, 0.995, 0.98))


def _cyberpunk(rgb, rng):
    """Night in violet and magenta, with neon outlines that glow."""
    grey = _luma(rgb)
    tone = np.clip((grey - 0.05) * 1.05, 0, 1)
    stops = np.array([(0.04, 0.02, 0.13), (0.26, 0.05, 0.38), (0.72, 0.10, 0.55), (0.98, 0.50, 0.72)])
    base = np.stack([np.interp(tone, (0, 0.35, 0.75, 1), stops[:, c]) for c in range(3)], 2)
    vivid = np.clip(rgb.max(2) - rgb.min(2) - 0.35, 0, 0.5)[..., None] * 1.3  # paint keeps its hue
    base = base * (0.85 - vivid) + _saturate(rgb, 1.5) * (0.12 + vivid)
    edge = np.clip(_edges(rgb, 0.6) * 0.85 - 0.16, 0, 0.8)[..., None]
    glow = cv2.GaussianBlur(edge[..., 0], (0, 0), 2.0)[..., None]
    return base + (edge * 0.8 + glow * 0.55) * np.array((0.10, 0.88, 1.0)) * (1 - base * 0.4)


def _photo(rgb, rng):
    """A little contrast, the lens's vignette and fine grain."""
    size = rgb.shape[0]
    yy, xx = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    vignette = 1 - 0.13 * (xx**2 + yy**2)[..., None] / 2
    curve = rgb + 0.10 * (rgb - 0.5) * (1 - np.abs(2 * rgb - 1))
    return curve * vignette + rng.normal(0, 0.008, (size, size, 1))


_STYLERS = {
    "photo": _photo,
    "impressionist": _impressionist,
    "van gogh": _van_gogh,
    "watercolor": _watercolor,
    "pencil": _pencil,
    "cyberpunk": _cyberpunk,
}


def apply_style(rgb: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Redraw a clean picture in ``scene.style``."""
    return np.clip(_STYLERS[scene.style](rgb.astype(np.float32), rng), 0, 1).astype(np.float32)


def apply_palette(rgb: np.ndarray, palette: str) -> np.ndarray:
    """Turn cool colours to vibrant blue and warm ones to orange; ``""`` leaves the picture alone."""
    if not palette:
        return rgb
    warm = 1 / (1 + np.exp(-(rgb[..., :1] - rgb[..., 2:] - 0.02) * 14))
    grey = _luma(rgb)[..., None]
    blue = np.array((0.02, 0.16, 0.55)) * (1 - grey) + np.array((0.45, 0.75, 1.0)) * grey
    orange = np.array((0.50, 0.18, 0.03)) * (1 - grey) + np.array((1.0, 0.80, 0.42)) * grey
    return (rgb * 0.35 + (blue * (1 - warm) + orange * warm) * 0.65).astype(np.float32)


def apply_finish(rgb: np.ndarray, fine: bool) -> np.ndarray:
    """What quality words promise: crisp edges, local contrast, fuller colour."""
    if not fine:
        return rgb
    crisp = rgb + 0.8 * (rgb - cv2.GaussianBlur(rgb, (0, 0), 1.0)) + 0.25 * (rgb - cv2.GaussianBlur(rgb, (0, 0), 5.0))
    return _saturate(np.clip(crisp, 0, 1), 1.15)


def _clutter(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strew boxes, poles and scraps over the picture."""
    size, out = rgb.shape[0], np.ascontiguousarray(rgb)
    for _ in range(rng.integers(28, 45)):
        x, y = rng.uniform(0, size), size * (1 - rng.uniform(0, 0.85) ** 1.3)
        color = (rng.choice(((0.55, 0.5, 0.45), (0.8, 0.3, 0.25), (0.3, 0.45, 0.7), (0.85, 0.8, 0.5))) * 0.9).tolist()
        wide, tall = size * rng.uniform(0.02, 0.09), size * rng.uniform(0.02, 0.09) * (3 if rng.random() < 0.3 else 1)
        corners = cv2.boxPoints(((x, y), (wide, tall), rng.uniform(-40, 40)))
        cv2.fillPoly(out, [np.round(corners * 16).astype(np.int32)], color, cv2.LINE_AA, shift=4)
        cv2.polylines(out, [np.round(corners * 16).astype(np.int32)], True, (0.15, 0.14, 0.16), 1, cv2.LINE_AA, 4)
    return out


def apply_flaw(rgb: np.ndarray, flaw: str, rng: np.random.Generator) -> np.ndarray:
    """Degrade a picture in the way that the caption will name: one of ``scenes.FLAWS``."""
    size = rgb.shape[0]
    if flaw == "blurry":
        return cv2.GaussianBlur(rgb, (0, 0), rng.uniform(2.0, 3.2))
    if flaw == "distorted":
        yy, xx = np.mgrid[:size, :size].astype(np.float32)
        push = [(smooth_noise(rng, size, (5, 5)) - 0.5) * 30 for _ in range(2)]
        return cv2.remap(rgb, xx + push[0], yy + push[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if flaw == "cluttered":
        return _clutter(rgb, rng)
    if flaw in ("desaturated", "monochrome"):
        return _saturate(rgb, 0.35 if flaw == "desaturated" else 0.0)
    if flaw == "color shift":
        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(70, 290)) % 360
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if flaw == "low quality":
        small = cv2.resize(rgb, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(small, (size, size), interpolation=cv2.INTER_NEAREST)
        return coarse + rng.normal(0, 0.05, rgb.shape).astype(np.float32)
    raise ValueError(f"no flaw {flaw!r}")
