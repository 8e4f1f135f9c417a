"""`fold` and `Fold`: the way back, from the values of windows to an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ._arrays import as_array, plain
from ._table import Scan
from ._types import Array, Path
from ._windrow import Folder

At: TypeAlias = Literal["patch", "grid", "center"]
Blend: TypeAlias = Literal["mean", "sum", "max", "min", "last", "center-crop", "gaussian", "hann"]


def fold(
    scan: Scan | Any,
    values: Any,
    ids: npt.ArrayLike | None = None,
    *,
    at: At | None = None,
    blend: Blend = "mean",
    fill: float | None = None,
    dtype: npt.DTypeLike | None = None,
    value_shape: int | Sequence[int] | None = None,
    column: str | None = None,
    out: Array | None = None,
) -> Array:
    """The image of the values of windows: patches, class scores, or a number a window.

    >>> import numpy as np
    >>> import windrow as wr
    >>> image = np.arange(20).reshape(4, 5)
    >>> s = wr.scan(image, window_shape=(2, 2))
    >>> (wr.fold(s, s.to_numpy()) == image).all()
    np.True_
    >>> wr.fold(s, s.to_numpy().max(axis=(1, 2)))
    array([[ 6,  7,  8,  9],
           [11, 12, 13, 14],
           [16, 17, 18, 19]])

    Parameters
    ----------
    scan
        The windows: a `Scan`, or an Arrow schema (or a table) with the metadata of one, as files have it.
    values
        An array with a value for each window; or any Arrow table or stream, of a column ``window`` and one of values.
        Where a value is null, the window is passed over.
    ids
        The window of each value, in any order; a window may be missing, or come twice, which counts twice. Default: all
        windows of the scan, in order.
    at
        Where values lie: "patch", at the pixels of the window; "grid", in an image with a cell a window; "center", at
        the pixel in the middle of the window. Default: "patch" for values of the window's shape, "grid" for others.
    blend
        What becomes of a cell that several windows cover: "mean" (of integers rounded to the nearest), "sum", "max",
        "min", "last" (of the highest id), "center-crop" (of the window whose centre is the nearest), or a mean weighted
        by a "gaussian" or "hann" window.
    fill
        What a cell is that no window covers. Default: what a scanned TIFF file says of missing pixels, or else NaN, or 0
        where the image is of integers.
    dtype
        The type of the image. Default: that of the values; for sums of integers int64 or uint64.
    value_shape
        The shape of a value, where `values` has patches made flat that don't have as many pixels as those of the scan.
    column
        The column of values. Default: ``prediction``, ``patch``, or the only one.
    out
        An array to write into.

    Raises
    ------
    ValueError
        If there is no such window, values are of another shape or type than expected, or a cell does not fit `dtype`.
    """
    options: dict[str, Any] = dict(at=at, blend=blend, fill=fill, dtype=dtype, value_shape=value_shape, column=column)
    folder = Fold(scan, **options)
    if _is_table(values):
        if ids is not None:
            raise TypeError("ids: a table has them in its column 'window'")
        folder.add(values)
    else:
        folder.add(folder._all(len(as_array(values))) if ids is None else ids, values)
    return folder.finish(out)


class Fold:
    """An image in the making, to which the values of windows are added batch by batch. Options are those of `fold`.

    >>> import numpy as np
    >>> import windrow as wr
    >>> s = wr.scan(np.zeros((4, 5)), window_shape=(2, 2))
    >>> f = wr.Fold(s, at="center", fill=-1)
    >>> f.add([0, 5], np.array([10, 20]))
    >>> f.add([11], np.array([30]))
    >>> f.finish()
    array([[10, -1, -1, -1, -1],
           [-1, 20, -1, -1, -1],
           [-1, -1, -1, 30, -1],
           [-1, -1, -1, -1, -1]])

    It takes a few bytes a cell of the image, and four a window, however many values are added.
    """

    __slots__ = ("_folder", "_scan")

    def __init__(
        self,
        scan: Scan | Any,
        *,
        at: At | None = None,
        blend: Blend = "mean",
        fill: float | None = None,
        dtype: npt.DTypeLike | None = None,
        value_shape: int | Sequence[int] | None = None,
        column: str | None = None,
    ) -> None:
        self._scan = scan
        shape = None if value_shape is None else [int(n) for n in np.atleast_1d(value_shape)]
        kind = None if dtype is None else np.dtype(dtype).name
        plan = scan._plan if isinstance(scan, Scan) else scan
        # numpy's own numbers are no numbers to the other side.
        fill = fill.item() if isinstance(fill, (np.generic, np.ndarray)) else fill
        page = scan._options.get("page") if isinstance(scan, Scan) else None
        self._folder = Folder(
            plan, page=page or 0, at=at, blend=blend, fill=fill, dtype=kind, value_shape=shape, column=column
        )

    def _all(self, count: int) -> npt.NDArray[np.uint64]:
        """The ids of all windows, of which there ought to be so many."""
        if not isinstance(self._scan, Scan):
            raise TypeError("ids: expected the window of each value, since a schema does not say which they are")
        if count != len(self._scan):
            raise ValueError(f"values: {count} of them, but the scan has {len(self._scan)} windows: say ids")
        return self._scan._windows(np.arange(count, dtype=np.uint64))

    def add(self, ids: npt.ArrayLike | Any, values: Any = None) -> None:
        """Adds an array of values, and the ids of their windows; or, alone, a table of any Arrow library.

        Nothing of an array is added if some of it is wrong; of a table, nothing of the batch that is wrong.
        """
        if values is None:
            self._folder.add_table(ids)
            return
        array = plain(as_array(values))
        self._folder.add(_ids(ids), array)

    def finish(self, out: Array | None = None) -> Array:
        """The image of all values so far, as a new array or in `out`. More values may be added after."""
        name, shape = self._folder.image_type()
        if out is None:
            out = np.empty(shape, name)
        if (out.dtype, list(out.shape)) != (np.dtype(name), shape):
            raise ValueError(f"out: {out.dtype} {list(out.shape)}, but the image is {name} {shape}")
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise ValueError("out: expected an array in C order that can be written")
        self._folder.image_into(out.reshape(-1).view(np.uint8))
        return out

    def write(self, path: Path) -> int:
        """Writes the image of all values so far to a file, which appears when it is whole; gives its size in bytes.

        ``.npy`` holds any image; ``.tif`` those of axes (y, x) or (y, x, c); ``.png`` those of uint8 and uint16;
        ``.zarr``, a folder of compressed chunks, any image with the names of its axes. TIFF and Zarr have the
        georeference of the image that was scanned.
        """
        return self._folder.write(os.fspath(path))

    def coverage(self) -> npt.NDArray[np.uint32]:
        """How many windows cover each cell: 0 where the image is what it was filled with."""
        counts, shape = self._folder.coverage()
        return counts.reshape(shape)


def _is_table(values: Any) -> bool:
    return hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__")


def _ids(ids: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    array = np.asarray(ids)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise ValueError(f"ids: {array.dtype} {list(array.shape)}: expected integers on one axis")
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        raise ValueError(f"ids: no window {array.min()}: ids count from 0")
    return np.ascontiguousarray(array, np.uint64)


__all__ = ["At", "Blend", "Fold", "fold"]
