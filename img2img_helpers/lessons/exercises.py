"""Checks for the exercises: they measure what you made and say what to try next."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..common.settings import listed, number, short
from .images import load_image
from .measure import BLACK, as_mask, color_distance, is_black, structure_similarity


@dataclass(frozen=True)
class Feedback:
    """The verdict on an exercise; true if it passed."""

    passed: bool
    message: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"{'✔' if self.passed else '✘'} {self.message}"


def check_prediction(answer, measured, *, tolerance: float = 0.0, hint: str = "") -> Feedback:
    """Compare what you predicted with what was measured.

    Args:
        answer: your prediction; ``...`` if you have none yet.
        measured: what really came out: a number, a bool or a string.
        tolerance: for numbers, how far off still counts as right, in the same unit.
        hint: said when the answer is wrong.

    Example:
        >>> check_prediction(12, measured=15, tolerance=1, hint="Count the steps that run.")
        ✘ 12 is too low. Count the steps that run.
    """
    if answer is ... or answer is None:
        return Feedback(False, "Replace the three dots with your prediction, then run this cell again.")
    if isinstance(measured, (str, bool, np.bool_)):
        kinds, named = (str, "a text in quotes") if isinstance(measured, str) else ((bool, np.bool_), "True or False")
        if not isinstance(answer, kinds):
            return Feedback(False, f"The answer should be {named}, not {answer!r}.")
        right = answer == measured
        return Feedback(bool(right), f"Right: {measured}." if right else f"Not {answer}. {hint}".strip())
    tolerance, measured = number("tolerance", tolerance, 0), number("measured", measured)
    try:
        answer = number("answer", answer)
    except ValueError:
        return Feedback(False, f"The answer should be a number, not {short(answer)}.")
    if abs(answer - measured) <= tolerance:
        return Feedback(True, f"Right: {measured:g}.")
    return Feedback(False, f"{answer:g} is too {'high' if answer > measured else 'low'}. {hint}".strip())


def check_edit(result, original, mask=None, *, hint: str = "", **ranges: tuple[float, float]) -> Feedback:
    """Measure an edit against targets.

    Args:
        result: your edit; ``...`` if you have none yet.
        original: the image that was edited.
        mask: white where the object is. Every measure can then also be taken of a part of the picture, as
            ``structure_inside`` or ``structure_outside``.
        hint: what to try if a target is missed; if left out, what usually moves that measure.
        ranges: lowest and highest value allowed of ``structure`` (SSIM against the original, 0 to 1),
            ``brightness`` (mean grey, 0 to 1), ``saturation`` (the strongest minus the weakest of red, green and blue,
            on average: 0 for grey, at most 1), ``color`` (CIEDE2000 distance from the original, 0 to 100) or ``hue``
            (of the coloured pixels, the middle one on the circle from 0 red over 120 green and 240 blue to 360; reds
            are ``(340, 20)``).

    Raises:
        ValueError: for something that cannot be measured, nothing to measure, or a part without a ``mask``.

    Example:
        >>> car = example_image("car")
        >>> check_edit(car, car, structure=(0.3, 0.8))
        ✘ Not yet: structure kept is 1.00, it should be at most 0.80. Try more strength.
    """
    if not ranges:
        raise ValueError("check_edit needs something to measure, for instance structure=(0.5, 1).")
    targets = [_target(name, pair, mask) for name, pair in ranges.items()]
    if result is ... or result is None:
        return Feedback(False, "There is no edit yet: replace the three dots, then run this cell again.")
    result, original = load_image(result), load_image(original)
    if result.size != original.size:
        return Feedback(
            False,
            f"The edit is {result.width}×{result.height} pixels, the original {original.width}×{original.height}; "
            f"give the original's size back.",
        )
    if is_black(result) and not is_black(original):
        return Feedback(False, f"Not yet. {BLACK}")
    told = []
    for measure, part, low, high in targets:
        label = measure.label + (f" {part} the mask" if part else "")
        where = _part(mask, original.size, part) if part else None
        # compare what the message shows
        found = measure.of(original, result, where=where), low, high
        value, low, high = (round(one, measure.digits) for one in found)
        shown, least, most = (f"{one:.{measure.digits}f}" for one in (value, low, high))
        if np.isnan(value):
            return Feedback(False, f"Not yet: there is no colour of which to tell the {label}. Try more strength.")
        right = low <= value <= high or (low > high and not high < value < low)  # hues go round
        if not right:
            limit, advice = (f"least {least}", measure.if_low) if value < low else (f"most {most}", measure.if_high)
            advice = hint or f"Try {advice}."
            return Feedback(False, f"Not yet: {label} is {shown}, it should be at {limit}. {advice}")
        told.append(f"{label} {shown}")
    return Feedback(True, "Done: " + ", ".join(told) + ".")


def _target(name: str, pair, mask) -> tuple[_Measure, str, float, float]:
    """What to measure, of which part (or of all), and its lowest and highest value allowed."""
    kind, _, part = name.partition("_")
    if kind not in _MEASURES or part not in ("", "inside", "outside"):
        raise ValueError(
            f"check_edit cannot measure {name}; it measures {', '.join(_MEASURES)}, "
            f"each also as …_inside and …_outside a mask."
        )
    if part and mask is None:
        raise ValueError(f"check_edit needs a mask to measure {name}; give it mask=….")
    most = _MEASURES[kind].most
    try:
        low, high = (number(name, one) for one in listed(name, pair))
        right = low <= most and (low <= high or most == 360)  # hues go round in a circle
    except ValueError:
        right = False
    if not right:
        raise ValueError(
            f"{name} must be its lowest and highest value from 0 to {most}, such as (0, {most}), not {short(pair)}."
        )
    return _MEASURES[kind], part, low, high


def _part(mask, size: tuple[int, int], part: str) -> np.ndarray:
    inside = as_mask(mask, size)
    if part == "outside" and inside.all():
        raise ValueError("The mask is white everywhere, so there is nothing outside it to measure.")
    return inside if part == "inside" else ~inside


def _brightness(original, result, where: np.ndarray | None) -> float:
    return float(_pixels(result, "L", where).mean())


def _saturation(original, result, where: np.ndarray | None) -> float:
    # not HSV's, in which a black pixel may be as saturated as a red one
    return float(np.ptp(_pixels(result, "RGB", where), axis=1).mean())


def _hue(original, result, where: np.ndarray | None) -> float:
    """The median hue in degrees of what has a colour; NaN where hardly anything has."""
    hue, saturation, value = _pixels(result, "HSV", where).T
    around = hue[(saturation > 0.3) & (value > 0.15)] * 2 * np.pi
    if len(around) < 0.1 * len(hue):
        return float("nan")
    # the middle one of a circle: turn it so that the mean is opposite to where it is cut
    mean = np.angle(np.exp(1j * around).mean())
    middle = mean + np.median(np.angle(np.exp(1j * (around - mean))))
    return float(np.degrees(middle) % 360)


def _pixels(image, mode: str, where: np.ndarray | None) -> np.ndarray:
    """The pixels of ``image`` in a colour mode, from 0 to 1, those that ``where`` marks."""
    everywhere = np.ones((image.height, image.width), bool) if where is None else where
    return np.asarray(image.convert(mode), float)[everywhere] / 255


@dataclass(frozen=True)
class _Measure:
    """One of the things that :func:`check_edit` can measure, from 0 to ``most``."""

    label: str
    if_low: str  # what to try
    if_high: str
    of: Callable[..., float]  # of original, result and, as a keyword, the part to look at
    most: float = 1
    digits: int = 2


_MEASURES = {
    "structure": _Measure("structure kept", "less strength", "more strength", structure_similarity),
    "brightness": _Measure(
        "brightness", "a brighter light in the prompt", "a darker light in the prompt, or more strength", _brightness
    ),
    "saturation": _Measure(
        "colour saturation", "a more colourful style", "a style without colour, or more strength", _saturation
    ),
    "color": _Measure(
        "colour distance",
        "more strength or guidance",
        "less strength, or match_colors afterwards",
        color_distance,
        most=100,
    ),
    "hue": _Measure("hue", *["another colour in the prompt"] * 2, _hue, most=360, digits=0),
}


def check_same_image(mine, reference, *, tolerance: float = 1e-4, hint: str = "") -> Feedback:
    """Compare two images, arrays or tensors, or lists of them, element by element.

    Args:
        mine: what you made; ``...`` if you have nothing yet.
        reference: what it should be.
        tolerance: the largest difference allowed, in the unit of the values: 0 to 255 for PIL
            images, whatever they hold for arrays and tensors.
        hint: said when they differ.

    Example:
        >>> car = example_image("car")
        >>> check_same_image(car, car)
        ✔ The same, to within 0.0001.
    """
    if mine is ... or mine is None:
        return Feedback(False, "There is nothing to compare yet: replace the three dots, then run this cell again.")
    if isinstance(reference, list) and reference:
        if not isinstance(mine, (list, tuple)) or len(mine) != len(reference):
            return Feedback(False, f"There should be a list of {len(reference)}. {hint}".strip())
        told = [
            check_same_image(one, other, tolerance=tolerance, hint=hint)
            for one, other in zip(mine, reference, strict=True)
        ]
        return next((one for one in told if not one), told[0])
    tolerance = number("tolerance", tolerance, 0)
    try:
        mine, reference = _as_array(mine), _as_array(reference)
    except (TypeError, ValueError) as error:
        raise ValueError("check_same_image compares images, or arrays or tensors of numbers; give such.") from error
    if mine.shape != reference.shape:
        return Feedback(False, f"Yours has the shape {mine.shape}, the reference {reference.shape}. {hint}".strip())
    gap = float(np.abs(mine - reference).max(initial=0))
    if np.isnan(gap) or gap > tolerance:
        return Feedback(False, f"They differ by up to {gap:.2g}. {hint}".strip())
    return Feedback(True, f"The same, to within {tolerance:g}.")


def _as_array(value) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    if isinstance(value, (str, os.PathLike)):
        value = load_image(value)
    return np.asarray(value, dtype=np.float64)
