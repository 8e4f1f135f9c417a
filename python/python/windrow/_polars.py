"""A scan as a Polars lazy frame.

The table is a frame of height n without any column; the window ids are its row index, the coordinates expressions over
the ids, and the patches an elementwise function of the ids. So Polars' own optimizer does every pushdown: a filter on
coordinates, a slice, a join or a count leaves the function with the ids that are still wanted, and it gathers those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

try:
    import polars as pl
except ImportError as error:
    raise ImportError("Scan.lazy and Scan.expr need Polars: pip install 'windrow[polars]'") from error

if TYPE_CHECKING:
    from ._scan import Scan

#: Polars counts the rows of a frame in 32 bits.
FRAME_ROWS = 2**32 - 2


def lazy(scan: Scan) -> pl.LazyFrame:
    """The columns of the scan as a lazy frame."""
    columns = scan.columns
    first = scan._plan.first_window
    frames = [ids(first + start, min(FRAME_ROWS, len(scan) - start)) for start in range(0, len(scan), FRAME_ROWS)]
    frame = pl.concat(frames) if len(frames) > 1 else frames[0] if frames else ids(first, 0)
    named = {name: expression.alias(name) for name, expression in coordinates(scan).items()}
    if "patch" in columns:
        named["patch"] = patch(scan, "window").alias("patch")
    return frame.select(named.get(name, pl.col(name)) for name in columns)


def ids(first: int, count: int) -> pl.LazyFrame:
    """The window ids from `first`; they take no memory until they are asked for."""
    frame = pl.DataFrame(height=count).lazy().with_row_index("window")
    return frame.select(pl.col("window").cast(pl.UInt64) + pl.lit(first, pl.UInt64))


def coordinates(scan: Scan) -> dict[str, pl.Expr]:
    """Where windows start on each axis, in terms of their ids."""
    named = {}
    stride = 1
    for name, count, start, step, last in reversed(scan._plan.sliding):
        index = (pl.col("window") // pl.lit(stride, pl.UInt64)) % pl.lit(max(count, 1), pl.UInt64)
        place = index.cast(pl.Int64) * step + start
        if count and start + (count - 1) * step != last:
            place = pl.when(index == count - 1).then(pl.lit(last, pl.Int64)).otherwise(place)
        named[name] = place
        stride *= max(count, 1)
    return named


def patch(scan: Scan, window: str | pl.Expr) -> pl.Expr:
    """The patches of the windows with these ids."""
    column = pl.col(window) if isinstance(window, str) else window
    dtype = pl.Array(inner(scan.dtype), scan.patch_shape)
    return column.map_batches(Gather(scan, dtype), return_dtype=dtype, is_elementwise=True)


def inner(dtype: np.dtype[Any]) -> pl.DataType | type[pl.DataType]:
    """The Polars type of a pixel."""
    names = {"bool": "Boolean", "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64"}
    names |= {"int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64"}
    names |= {"float16": "Float16", "float32": "Float32", "float64": "Float64"}
    kind: type[pl.DataType] = getattr(pl, names[dtype.name])
    return kind


class Gather:
    """The function under the column `patch`: ids to patches. A class, so that plans with it can be pickled."""

    def __init__(self, scan: Scan, dtype: pl.Array) -> None:
        self.scan, self.dtype = scan, dtype

    def __call__(self, windows: pl.Series) -> pl.Series:
        scan = self.scan
        wanted = windows.to_numpy().astype(np.uint64, copy=False)
        first = np.uint64(scan._plan.first_window)
        if len(wanted) and (wanted.min() < first or wanted.max() - first >= len(scan)):
            raise IndexError(f"windows {wanted.min()} to {wanted.max()} are asked for, but the scan has {len(scan)}")
        patches = scan._take(wanted - first)
        return pl.Series(windows.name, patches, dtype=self.dtype)
