"""Windows as matrices of rows and pixels: some rows at a time, or all as one array that need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from . import _rows
from ._arrays import mapped
from ._types import Array, Valid
from ._windrow import Matrix

if TYPE_CHECKING:
    from ._table import Scan


def batches(
    scan: Scan, rows: int, order: Literal["C", "F"], dtype: npt.DTypeLike | None, lossy: bool | None
) -> Iterator[Array]:
    """Matrices of at most so many rows, all in one buffer."""
    if order not in ("C", "F"):
        raise ValueError(f"order: {order!r} is not one of C, F")
    if rows < 1:
        raise ValueError(f"rows: {rows}: expected at least 1")
    kind = scan.dtype if dtype is None else np.dtype(dtype)
    first, columns = scan._plan.first_row, prod(scan.patch_shape)
    name = None if dtype is None else kind.name
    patches = scan._plan.patches(
        first, first + len(scan), by_column=order == "F", batch_rows=rows, dtype=name, lossy=lossy
    )
    memory = np.empty(min(rows, len(scan)) * columns * kind.itemsize, np.uint8)
    pixels = memory.view(kind)

    def matrices() -> Iterator[Array]:
        while count := patches.next_into(memory):
            yield pixels[: count * columns].reshape((count, columns), order=order)

    return matrices()


def virtual(
    scan: Scan,
    rows: _rows.Rows | None,
    order: Literal["C", "F"],
    dtype: npt.DTypeLike | None,
    lossy: bool | None,
    backing: Literal["alias", "fault"] | None,
    max_resident: int | str | None,
) -> Matrix:
    """The memory of all these rows at once."""
    numbers = _rows.resolve(rows, len(scan))
    plan, first = scan._plan, scan._plan.first_row
    windows = None
    if isinstance(numbers, range):
        plan = plan.with_rows(first + numbers.start, first + numbers.stop) if len(numbers) < len(scan) else plan
    else:
        windows = scan._windows(numbers.ravel())
    return plan.matrix(
        windows=windows,
        order=order,
        dtype=None if dtype is None else np.dtype(dtype).name,
        lossy=lossy,
        backing=backing,
        max_resident=None if max_resident is None else str(max_resident),
        copy_source=mapped(scan._source),
    )


def valid_of(matrix: Matrix) -> Valid:
    """Which of its rows are windows."""
    if matrix.backing == "fault":
        return np.broadcast_to(np.True_, matrix.shape[:1])
    return np.frombuffer(matrix.valid(), np.bool_)


def target(labels: npt.ArrayLike, grid_shape: tuple[int, ...], valid: Valid, fill: Any) -> Array:
    """Labels, one a window, in the order of the rows of a matrix."""
    values, count, axes = np.asarray(labels), np.count_nonzero(valid), len(grid_shape)
    if values.shape[:axes] == grid_shape and prod(grid_shape) == count:
        values = values.reshape(count, *values.shape[axes:])
    if values.shape[:1] != (count,):
        raise ValueError(f"labels: shape {values.shape}: expected one label for each of the {count} windows")
    target = np.empty((len(valid), *values.shape[1:]), values.dtype)
    target[valid] = values
    target[~valid] = values[0] if fill is None else fill
    return target
