"""What a setting may be: one rule and one sentence for all functions that take it."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable
from pathlib import Path

# Lowest, highest, whether whole numbers only, and what to tell whoever gives another value.
RULES = {
    "strength": (0, 1, False, "0.5 is a balanced edit"),
    "seed": (0, 2**63 - 1, True, "any whole number will do, but keep it"),
    "num_inference_steps": (1, 1000, True, "30 is a good start"),
    "guidance_scale": (0, 100, False, "7.5 is a good start"),
}


def checked(name: str, value, **changes) -> float | int:
    """The setting ``name`` as :data:`RULES` want it, but for ``changes`` of :func:`number`'s arguments."""
    low, high, whole, advice = RULES[name]
    return number(name, value, **({"low": low, "high": high, "whole": whole, "advice": advice} | changes))


def number(
    name: str, value, low: float = -math.inf, high: float = math.inf, advice: str = "", *, whole: bool = False
) -> float | int:
    """``value`` as Python's own number; NumPy's and torch's will do, truth values and texts will not.

    Raises:
        ValueError: if it is none, or out of range; says which values work.
    """
    plain = value.item() if getattr(value, "ndim", None) == 0 else value
    right = isinstance(plain, numbers.Integral if whole else numbers.Real) and not isinstance(plain, bool)
    if not right or not low <= plain <= high or abs(plain) == math.inf:  # nan is neither
        above = f" of at least {low}" if high == math.inf else f" from {low} to {high}"
        span = "" if low == -math.inf else above
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{name} must be {kind}{span}, not {short(value)}{'; ' if advice else ''}{advice}.")
    return int(plain) if whole else float(plain)


def listed(name: str, values, *, least: int = 0) -> list:
    """``values`` as a list, in which a single text or number is the only one.

    Raises:
        ValueError: if they cannot be one, or are fewer than ``least``.
    """
    if isinstance(values, (str, numbers.Real)):
        return [values]
    if not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        raise ValueError(f"{name} must be a list, not {short(values)}.")
    values = list(values)
    if len(values) < least:
        raise ValueError(f"{name} must be a list of at least {least}, not {short(values)}.")
    return values


def text(name: str, value) -> str:
    """``value``, which must be a text."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text in quotes, not {short(value)}.")
    return value


def path(name: str, value) -> Path:
    """``value`` as a path, ``~`` the home folder."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"{name} must be a path in quotes, such as 'edits/one.png', not {short(value)}.")
    return Path(os.path.expanduser(value))  # unlike Path's, it leaves an unknown ~user as it is


def short(value) -> str:
    """``value`` as it would be typed, cut where a sentence would get too long, on one line."""
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 60 else shown[:57] + "…"


def quoted(names: Iterable) -> str:
    """``names`` in quotes, for a sentence that says which there are."""
    return ", ".join(repr(str(name)) for name in names)
