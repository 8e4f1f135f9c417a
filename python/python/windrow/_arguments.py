"""Arguments of methods, in the words of the library."""

from __future__ import annotations

import operator
from typing import Any, SupportsIndex

import numpy as np


def lengths(name: str, value: Any) -> list[int]:
    """One number an axis, or one for all."""
    values = [value] if np.ndim(value) == 0 else list(value)
    numbers = [operator.index(v) for v in values]
    if min(numbers, default=0) < 0:
        raise ValueError(f"{name}: {min(numbers)} is negative")
    return numbers


def seed_of(seed: int) -> int:
    number = operator.index(seed)
    if not 0 <= number < 2**64:
        raise ValueError(f"seed: {number}: expected 0 to 2**64 - 1")
    return number


def interval(name: str, bounds: Any) -> tuple[int, int]:
    """First coordinate, and one past the last."""
    if isinstance(bounds, (slice, range)):
        if bounds.step not in (None, 1):
            raise ValueError(f"within: {name} has a step of {bounds.step}: expected all coordinates from one to another")
        bounds = (bounds.start, bounds.stop)
    start, stop = bounds
    least, most = -(2**63), 2**63 - 1
    return least if start is None else operator.index(start), most if stop is None else operator.index(stop)


def amount_of(amount: float) -> tuple[int | None, float]:
    """How many rows: a number of them, or a share."""
    if isinstance(amount, SupportsIndex):
        return lengths("sample", amount)[0], 0.0
    return None, float(amount)
