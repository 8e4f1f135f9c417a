"""Arrays and windows of all kinds, for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@dataclass
class Case:
    """An array, and windows that fit it."""

    array: np.ndarray
    window: list[int]
    step: list[int]
    dilation: list[int]
    edge: str
    widths: list[tuple[int, int]] | None
    pad_mode: str

    @property
    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = dict(window_shape=self.window, step=self.step, dilation=self.dilation, edge=self.edge)
        if self.edge == "pad":
            options |= dict(pad=self.widths, pad_mode=self.pad_mode)
        return options

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners and patches, by NumPy."""
        from reference import windows

        pad = dict(mode=self.pad_mode) if self.edge == "pad" else {}
        return windows(self.array, self.window, self.step, self.dilation, self.edge, self.widths, **pad)


@st.composite
def arrays(draw: st.DrawFn, min_axes: int = 1) -> np.ndarray:
    """Arrays of every pixel type, transposed, reversed, sliced, broadcast, read-only."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(1, 9), min_size=min_axes, max_size=4))
    seed = draw(st.integers(0, 2**32 - 1))
    bits = np.random.default_rng(seed).integers(0, 120, shape)
    array = (bits % 2 if dtype == "bool" else bits).astype(dtype)
    for axis in range(array.ndim):
        step = draw(st.sampled_from([1, 1, 2, -1, -2]))
        array = array[(slice(None),) * axis + (slice(None, None, step),)]
    array = array.transpose(draw(st.permutations(range(array.ndim))))
    if draw(st.booleans()):
        axis = draw(st.integers(0, array.ndim))
        array = np.expand_dims(array, axis)
        array = np.broadcast_to(array, (*array.shape[:axis], draw(st.integers(1, 5)), *array.shape[axis + 1 :]))
    return array


@st.composite
def cases(draw: st.DrawFn) -> Case:
    array = draw(arrays())
    axes = draw(st.integers(1, array.ndim))
    window, step, dilation, widths = [], [], [], []
    edge = draw(st.sampled_from(["drop", "shift", "pad"]))
    same = draw(st.booleans())
    for n in array.shape[:axes]:
        before, after = (draw(st.integers(0, 4)), draw(st.integers(0, 4))) if edge == "pad" and not same else (0, 0)
        dilate = draw(st.integers(1, 3))
        most = (n + before + after - 1) // dilate + 1
        window.append(draw(st.integers(1, most)))
        step.append(draw(st.integers(1, 5)))
        dilation.append(dilate)
        widths.append((before, after))
    mode = draw(st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]))
    return Case(array, window, step, dilation, edge, widths if edge == "pad" and not same else None, mode)
