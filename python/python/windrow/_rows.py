"""numpy's indexing, in terms of row numbers."""

from __future__ import annotations

import operator
from types import EllipsisType
from typing import Any, SupportsIndex, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from ._arguments import lengths

#: Which rows: one, a slice, or any array of row numbers or of bools.
Rows: TypeAlias = Union[SupportsIndex, slice, EllipsisType, npt.ArrayLike]

WORDS = "only integers, slices (`:`), ellipsis (`...`) and integer or boolean arrays are valid row indices"


def one(row: SupportsIndex, count: int) -> int:
    """A row number from 0, from one that may count from the end."""
    number = operator.index(row)
    if not -count <= number < count:
        raise IndexError(f"index {number} is out of bounds for axis 0 with size {count}")
    return number % count


def many(rows: Any, count: int) -> npt.NDArray[np.uint64]:
    """Row numbers from 0, from an array as numpy would take it for an index."""
    index = np.asarray(rows)
    if index.size == 0 and not isinstance(rows, np.ndarray):
        index = index.astype(np.intp)
    if index.dtype == np.bool_:
        if index.shape != (count,):
            raise IndexError(
                f"boolean index did not match indexed array along axis 0; size of axis is {count} but the shape of "
                f"the boolean index is {index.shape}"
            )
        return np.flatnonzero(index).astype(np.uint64)
    if index.dtype.kind not in "iu":
        raise IndexError(WORDS)
    if index.size == 0:
        return index.astype(np.uint64)
    low, high = int(index.min()), int(index.max())
    if low < -count or high >= count:
        wrong = low if low < -count else high
        raise IndexError(f"index {wrong} is out of bounds for axis 0 with size {count}")
    if low < 0:
        index = index.astype(np.int64)
        index = np.where(index < 0, index + count, index)
    return index.astype(np.uint64)


def stretch(rows: slice, count: int) -> range:
    """The row numbers of a slice."""
    return range(*rows.indices(count))


def resolve(rows: Rows | None, count: int) -> range | npt.NDArray[np.uint64]:
    """Row numbers from 0: a range of step 1 (start <= stop) where they are consecutive, otherwise all of them."""
    if rows is None or rows is Ellipsis:
        return range(count)
    if isinstance(rows, slice):
        rows = stretch(rows, count)
        if not rows:
            return range(0)
    if isinstance(rows, range):
        if rows and rows.step == 1 and 0 <= rows.start and rows.stop <= count:
            return rows
        rows = np.arange(rows.start, rows.stop, rows.step)
    return many(rows, count)


def bounds(rows: Any, count: int) -> tuple[int, int]:
    """First row, and one past the last."""
    if isinstance(rows, slice):
        rows = stretch(rows, count)
        if rows.step == 1 and not rows:
            return rows.start, rows.start
    if isinstance(rows, range):
        if rows.step != 1:
            raise ValueError(f"rows: a step of {rows.step}: expected consecutive rows")
        return rows.start, max(rows.start, rows.stop)
    start, stop = lengths("rows", rows)
    return start, stop


def inside(rest: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    """Indices into a patch as indices into the last axes of an array of patches."""
    if any(k is Ellipsis for k in rest):
        at = next(i for i, k in enumerate(rest) if k is Ellipsis)
        used = sum(k is not None for k in rest) - 1
        rest = (*rest[:at], *[slice(None)] * (ndim - used), *rest[at + 1 :])
    used = sum(k is not None for k in rest)
    if used > ndim:
        raise IndexError(f"too many indices: a patch is {ndim}-dimensional, but {used} were given")
    return (*rest, *[slice(None)] * (ndim - used))
