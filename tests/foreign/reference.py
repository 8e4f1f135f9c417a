"""The windows of an array as NumPy makes them: what every row of windrow is held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Widths = Sequence[tuple[int, int]]


def same_widths(shape: Sequence[int], extent: Sequence[int], step: Sequence[int]) -> list[tuple[int, int]]:
    """TensorFlow's SAME rule, an axis at a time: ceil(n / step) windows, the odd pixel of padding at the far end."""
    widths = []
    for n, reach, stride in zip(shape, extent, step):
        count = -(-n // stride)
        total = max((count - 1) * stride + reach - n, 0)
        widths.append((total // 2, total - total // 2))
    return widths


def windows(
    array: np.ndarray,
    window: Sequence[int],
    step: Sequence[int] | None = None,
    dilation: Sequence[int] | None = None,
    edge: str = "drop",
    widths: Widths | None = None,
    **pad,
) -> tuple[np.ndarray, np.ndarray]:
    """(corners, patches): int64 of (rows, window axes), and (rows, *window, *axes that the window leaves whole).

    `widths` and `pad` go to np.pad; without widths, edge="pad" follows the SAME rule.
    """
    axes = len(window)
    step = step or (1,) * axes
    dilation = dilation or (1,) * axes
    extent = [d * (w - 1) + 1 for w, d in zip(window, dilation)]
    shape = array.shape[:axes]

    before = [0] * axes
    if edge == "pad":
        widths = list(widths or same_widths(shape, extent, step))
        before = [b for b, _ in widths]
        array = np.pad(array, widths + [(0, 0)] * (array.ndim - axes), **pad)
    starts = [list(range(0, n - reach + 1, s)) for n, reach, s in zip(array.shape, extent, step)]
    if edge == "shift":
        for axis, (n, reach) in enumerate(zip(shape, extent)):
            if starts[axis][-1] + reach < n:
                starts[axis].append(n - reach)

    view = sliding_window_view(array, extent, axis=tuple(range(axes)))
    view = view[(..., *(slice(None, None, d) for d in dilation))]
    chosen = view[np.ix_(*starts)]
    # NumPy puts the window last; the table puts the axes that are taken whole last.
    chosen = np.moveaxis(chosen, range(-axes, 0), range(axes, 2 * axes))
    patches = chosen.reshape(-1, *chosen.shape[axes:])
    corners = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, axes) - before
    return corners.astype(np.int64), patches
