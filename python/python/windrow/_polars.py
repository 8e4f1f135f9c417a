"""A scan as a Polars lazy frame.

The table is a frame of height n without any column; the window ids are its row index, the coordinates expressions over
the ids, and the patches an elementwise function of the ids. So Polars' own optimizer does every pushdown: a filter on
coordinates, a slice, a join or a count leaves the function with the ids that are still wanted, and it gathers those.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    import polars as pl
except ImportError as error:
    raise ImportError("Scan.lazy and Scan.expr need Polars: pip install 'windrow[polars]'") from error

from ._life import called_by_an_engine

if TYPE_CHECKING:
    from ._scan import Scan

#: Polars counts the rows of a frame in 32 bits.
FRAME_ROWS = 2**32 - 2

#: As many rows at a time Polars hands to a function, however wide they are.
MORSEL = 100_000

#: Bytes of wide patches that are gathered at once, on each thread.
PIECE_BYTES = 4 << 20


def lazy(scan: Scan) -> pl.LazyFrame:
    """The columns of the scan as a lazy frame."""
    if scan._options["layout"] == "columns":
        # Slices of the image, and so no more than the image.
        return pl.DataFrame(scan).lazy()
    pixels = "patch" in scan.columns
    piece = max(1, PIECE_BYTES // (prod(scan.patch_shape) * scan.dtype.itemsize))
    frame = pieces(scan, piece) if pixels and piece < MORSEL // 8 else frames(scan)
    # Two steps: a filter on coordinates is moved below the patches, but not below the coordinates themselves.
    frame = frame.with_columns(**coordinates(scan))
    if pixels:
        frame = frame.with_columns(patch=patch(scan, "window"))
    return frame.select(scan.columns)


def frames(scan: Scan) -> pl.LazyFrame:
    """The window ids as the row index of a frame without columns: they take no memory until they are asked for."""
    first, count = scan._plan.first_window, len(scan)
    parts = []
    for start in range(0, max(count, 1), FRAME_ROWS):
        frame = pl.DataFrame(height=min(FRAME_ROWS, count - start)).lazy().with_row_index("window")
        parts.append(frame.select(pl.col("window").cast(pl.UInt64) + pl.lit(first + start, pl.UInt64)))
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def pieces(scan: Scan, piece: int) -> pl.LazyFrame:
    """The window ids, no more than `piece` at a time, so that wide patches are gathered a piece at a time too."""
    from polars.io.plugins import register_io_source

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        first = scan._plan.first_window
        end = first + (len(scan) if n_rows is None else min(n_rows, len(scan)))
        for start in range(first, end, piece):
            with called_by_an_engine():
                ids = pl.DataFrame({"window": np.arange(start, min(start + piece, end), dtype=np.uint64)})
                ids = ids if predicate is None else ids.filter(predicate)
            yield ids

    return register_io_source(source, schema={"window": pl.UInt64()}, validate_schema=True, is_pure=True)


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


def inner(dtype: np.dtype[Any]) -> type[pl.DataType]:
    """The Polars type of a pixel."""
    name = "Boolean" if dtype.name == "bool" else dtype.name.title().replace("Ui", "UI")
    kind: type[pl.DataType] = getattr(pl, name)
    return kind


class Gather:
    """The function under the column `patch`: ids to patches. A class, so that plans with it can be pickled."""

    def __init__(self, scan: Scan, dtype: pl.Array) -> None:
        self.scan, self.dtype = scan, dtype

    def __call__(self, windows: pl.Series) -> pl.Series:
        with called_by_an_engine():
            return self.gather(windows)

    def gather(self, windows: pl.Series) -> pl.Series:
        """The patches of these windows."""
        first, count = self.scan._plan.first_window, len(self.scan)
        ids = windows.to_numpy().astype(np.uint64, copy=False)
        if len(ids) and not first <= int(ids.min()) <= int(ids.max()) < first + count:
            raise IndexError(f"windows {ids.min()} to {ids.max()}: the scan has {first} to {first + count - 1}")
        return pl.Series(windows.name, self.scan._take(ids - np.uint64(first)), dtype=self.dtype)
