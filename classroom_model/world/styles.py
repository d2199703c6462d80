"""Turn a painted scene into a style, or degrade it: filters on (size, size, 3) float RGB, 0 to 1.

Texture depends on the place in the picture, the style and what lies under it, never on the scene's seed: strokes, hatching,
pigment and grain repeat every PERIOD pixels. Drawn anew for every picture they were entropy that says nothing, and most of
what autoencoder and UNet spent their capacity on.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from .scenes import Scene

PERIOD = 32  # pixels; four latents
HATCH = 8  # pixels between two lines of the same hatching; one latent


def smooth_noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> np.ndarray:
    """Cloud-like noise, (size, size) from 0 to 1, with about ``cells`` = (across, down) features."""
    grid = rng.random((cells[1] + 1, cells[0] + 1)).astype(np.float32)
    return np.clip(cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)


def cover(tile: np.ndarray, size: int) -> np.ndarray:
    """``tile`` repeated over a picture of ``size`` pixels, from its top left corner on."""
    times = -(-size // len(tile))
    return np.tile(tile, (times, times) + (1,) * (tile.ndim - 2))[:size, :size]


@functools.cache
def locked_noise(size: int, period: int, cells: int, seed: int) -> np.ndarray:
    """Smooth noise, (size, size) from 0 to 1, that repeats every ``period`` pixels and is the same in all pictures."""
    grid = np.tile(np.random.default_rng(seed).random((cells, cells)).astype(np.float32), (3, 3))
    tile = cv2.resize(grid, (3 * period,) * 2, interpolation=cv2.INTER_CUBIC)[period : 2 * period, period : 2 * period]
    return np.clip(cover(tile, size), 0, 1)


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


@functools.cache
def _stroke_map(size: int, length: int, height: int, slope: float, wave: float, jitter: float, ridge: float):
    """Brush strokes of ``length`` by ``height`` pixels that lie like bricks along lines of ``slope`` that sway by ``wave``.

    For each pixel where its paint is taken from, as (x, y) maps for ``cv2.remap``, and how much lighter or darker it is, (size, size, 3): by ``jitter`` from stroke to stroke, by ``ridge`` from its middle to its rim.
    """
    yy, xx = np.mgrid[:size, :size].astype(np.float32)

    def line(x):  # how far a line of strokes lies below where it begins
        return slope * x + wave * np.sin(2 * np.pi * x / PERIOD)

    along = yy - line(xx)
    row = np.floor(along / height)
    start = (row * 3 % 4) * length / 4  # no joint lies above another
    place = np.floor((xx + start) / length)
    x = (place + 0.5) * length - start
    y = (row + 0.5) * height + line(x)
    rng, number = np.random.default_rng(8), (row % (PERIOD // height), place % (PERIOD // length))
    table = rng.normal(0, jitter, (PERIOD // height, PERIOD // length, 1)) + rng.normal(
        0, 0.5 * jitter, (PERIOD // height, PERIOD // length, 3)
    )
    shade = (table - table.mean((0, 1)))[tuple(n.astype(int) for n in number)]
    across = np.cos(2 * np.pi * (along / height - row - 0.45))  # 1 in the middle, -1 where two lines of strokes touch
    across = 0.7 * across + 0.5 * np.cos(4 * np.pi * along / height)  # and the bristles' two furrows
    # half of the way to the middle: all of it would carry bits of hair onto a face
    return (x + xx) / 2, (y + yy) / 2, (shade + ridge * across[..., None]).astype(np.float32)


def _strokes(rgb: np.ndarray, *how) -> np.ndarray:
    """``rgb`` as strokes, each of much the same colour; ``how`` as for `_stroke_map`."""
    x, y, shade = _stroke_map(rgb.shape[0], *how)
    soft = cv2.GaussianBlur(rgb, (0, 0), 1.0)
    return np.clip(cv2.remap(soft, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) + shade, 0, 1)


def _impressionist(rgb):
    """Short dabs of broken, sunny colour."""
    vivid = _saturate(np.clip(rgb * 0.92 + 0.07, 0, 1), 1.35)
    dabs = _strokes(vivid, 8, 4, 0.5, 1.0, 0.05, 0.02)
    edge = np.clip(_edges(rgb) * 1.5 - 0.1, 0, 0.7)[..., None]
    return dabs * (1 - edge) + vivid * edge


def _van_gogh(rgb):
    """Long waving strokes, deep blues and strong yellows, dark outlines."""
    grey = _luma(rgb)[..., None]
    rich = _saturate(rgb, 1.5)
    rich = rich * 0.72 + 0.28 * (np.array((0.10, 0.22, 0.62)) * (1 - grey) + np.array((1.0, 0.84, 0.30)) * grey)
    out = _strokes(np.clip(rich * 1.05 + 0.04, 0, 1).astype(np.float32), 16, 8, 0.0, 4.0, 0.07, 0.05)
    edge = np.clip(_edges(rgb) * 1.0 - 0.16, 0, 0.8)[..., None]
    return out * (1 - edge) + np.array((0.06, 0.08, 0.24)) * edge


@functools.cache
def _paper_rim(size: int) -> np.ndarray:
    """How much of each pixel is painted, (size, size, 1): washes end in a wavy line before the paper does."""
    yy, xx = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size
    border = np.minimum(np.minimum(xx, 1 - xx), np.minimum(yy, 1 - yy))
    border = border + 0.06 * (smooth_noise(np.random.default_rng(4), size, (9, 9)) - 0.5)
    return np.clip((border - 0.045) * 30, 0, 1)[..., None]


def _watercolor(rgb):
    """Pale washes with soft edges, darker where a wash dries, on white paper that shows at the rim."""
    size = rgb.shape[0]
    wash = cv2.bilateralFilter(rgb.astype(np.float32), 9, 0.16, 5)
    wash = cv2.GaussianBlur(wash, (0, 0), 1.2)
    pigment = locked_noise(size, size, 7, 5)[..., None]
    paper = np.array((0.985, 0.98, 0.965))
    wash = _saturate(1 - (1 - wash) * (0.58 + 0.30 * pigment), 1.35)
    drying = np.clip(_edges(wash, 1.2) * 1.3 - 0.05, 0, 0.5)[..., None]
    wash = wash * (1 - 0.5 * drying)
    rim = _paper_rim(size)
    return (wash * 0.95 + 0.04) * rim + paper * (1 - rim)


def _pencil(rgb):
    """Outlines and up to three layers of hatching, one for every step of darkness."""
    size = rgb.shape[0]
    grey = cv2.GaussianBlur(_luma(rgb), (0, 0), 1.0)
    low, high = np.percentile(grey, (2, 90))
    grey = np.clip((grey - low) / (high - low + 0.05), 0, 1)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    page = np.full((size, size), 0.97, np.float32) - 0.16 * (1 - grey)
    for limit, across in ((0.66, xx + yy), (0.40, xx - yy), (0.16, xx + yy + HATCH / 2)):
        line = 0.5 + 0.5 * np.cos(2 * np.pi * across / HATCH)
        page -= 0.42 * line**2 * np.clip((limit - grey) * 5, 0, 1)
    page -= 0.85 * np.clip(_edges(rgb, 0.7) * 1.1 - 0.1, 0, 0.85)
    return np.repeat(np.clip(page, 0.08, 1)[..., None], 3, 2) * np.array((1.0, 0.995, 0.98))


def _cyberpunk(rgb):
    """Night in violet and magenta, with neon outlines that glow."""
    grey = _luma(rgb)
    tone = np.clip((grey - 0.05) * 1.05, 0, 1)
    stops = np.array([(0.04, 0.02, 0.13), (0.26, 0.05, 0.38), (0.72, 0.10, 0.55), (0.98, 0.50, 0.72)])
    base = np.stack([np.interp(tone, (0, 0.35, 0.75, 1), stops[:, c]) for c in range(3)], 2)
    vivid = np.clip(rgb.max(2) - rgb.min(2) - 0.35, 0, 0.5)[..., None] * 1.3  # paint keeps its hue
    base = base * (0.85 - vivid) + _saturate(rgb, 1.5) * (0.12 + vivid)
    edge = np.clip(_edges(rgb, 0.9) * 1.1 - 0.16, 0, 0.85)[..., None]
    glow = cv2.GaussianBlur(edge[..., 0], (0, 0), 3.0)[..., None]
    return base + (edge * 0.8 + glow * 0.6) * np.array((0.10, 0.88, 1.0)) * (1 - base * 0.4)


def _photo(rgb):
    """A little contrast and the lens's vignette."""
    size = rgb.shape[0]
    yy, xx = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    vignette = 1 - 0.13 * (xx**2 + yy**2)[..., None] / 2
    curve = rgb + 0.10 * (rgb - 0.5) * (1 - np.abs(2 * rgb - 1))
    return curve * vignette


_STYLERS = {
    "photo": _photo,
    "impressionist": _impressionist,
    "van gogh": _van_gogh,
    "watercolor": _watercolor,
    "pencil": _pencil,
    "cyberpunk": _cyberpunk,
}


def apply_style(rgb: np.ndarray, scene: Scene) -> np.ndarray:
    """Redraw a clean picture in ``scene.style``."""
    return np.clip(_STYLERS[scene.style](rgb.astype(np.float32)), 0, 1).astype(np.float32)


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


@functools.cache
def _scraps() -> list[tuple]:
    """The boxes, poles and scraps that clutter every picture: middle, width, height, turn, colour."""
    rng, made = np.random.default_rng(6), []
    for _ in range(26):
        x, y, turn = rng.uniform(0, 1), 1 - rng.uniform(0, 0.85) ** 1.3, rng.uniform(-40, 40)
        wide, tall = rng.uniform(0.04, 0.11), rng.uniform(0.04, 0.11) * (2.5 if rng.random() < 0.3 else 1)
        color = rng.choice(((0.55, 0.5, 0.45), (0.8, 0.3, 0.25), (0.3, 0.45, 0.7), (0.85, 0.8, 0.5)))
        made.append(((x, y), (wide, tall), turn, (color * 0.9).tolist()))
    return made


def _clutter(rgb: np.ndarray) -> np.ndarray:
    """Strew boxes, poles and scraps over the picture."""
    size, out = rgb.shape[0], np.ascontiguousarray(rgb)
    for (x, y), (wide, tall), turn, color in _scraps():
        corners = cv2.boxPoints(((x * size, y * size), (wide * size, tall * size), turn))
        corners = [np.round(corners * 16).astype(np.int32)]
        cv2.fillPoly(out, corners, color, cv2.LINE_AA, shift=4)
        cv2.polylines(out, corners, True, (0.15, 0.14, 0.16), 2, cv2.LINE_AA, 4)
    return out


def apply_flaw(rgb: np.ndarray, flaw: str, rng: np.random.Generator) -> np.ndarray:
    """Degrade a picture in the way that the caption will name: one of ``scenes.FLAWS``."""
    size = rgb.shape[0]
    if flaw == "blurry":
        return cv2.GaussianBlur(rgb, (0, 0), rng.uniform(3.0, 4.5))
    if flaw == "distorted":
        yy, xx = np.mgrid[:size, :size].astype(np.float32)
        sway = size * 0.045
        push = [sway * np.sin(2 * np.pi * (a * 2.6 + 0.3 * b) / size) for a, b in ((yy, xx), (xx, yy))]
        return cv2.remap(rgb, xx + push[0], yy + push[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if flaw == "cluttered":
        return _clutter(rgb)
    if flaw in ("desaturated", "monochrome"):
        return _saturate(rgb, 0.35 if flaw == "desaturated" else 0.0)
    if flaw == "color shift":
        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + rng.choice((90, 180, 270))) % 360
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if flaw == "low quality":  # blocks of one latent, as of a picture that was enlarged or saved too small
        small = cv2.resize(rgb, (-(-size // HATCH),) * 2, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (size, size), interpolation=cv2.INTER_NEAREST)
    raise ValueError(f"no flaw {flaw!r}")
