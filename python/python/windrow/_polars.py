"""A scan, or a collection of images, as a Polars lazy frame.

The table is a frame of one column without values; the window ids are its row index, the coordinates expressions over
the ids, and the patches an elementwise function of the ids. So Polars' own optimizer does every pushdown: a filter on
coordinates, a slice, a join or a count leaves the function with the ids that are still wanted, and it gathers those.

Nothing here is unstable in terms of Polars: no source of our own is registered.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    import polars as pl
except ImportError as error:
    raise ImportError("Scan.lazy and Scan.expr need Polars: pip install 'windrow[polars]'") from error

from ._collection import Collection
from ._life import called_by_an_engine

if TYPE_CHECKING:
    from ._table import Scan

#: Polars counts the rows of a frame in 32 bits.
FRAME_ROWS = 2**32 - 2

#: As many rows at a time Polars hands to a function, however wide they are.
MORSEL = 100_000

#: Bytes of patches that are gathered at once, on each thread.
PIECE_BYTES = 4 << 20

#: The columns that are made of pixels.
GATHERED = ("label", "valid", "patch")

#: Pieces of one frame: each takes some hundred bytes, for as long as the lazy frame lives.
FRAME_PIECES = 1 << 13


def lazy(scan: Scan) -> pl.LazyFrame:
    """The columns of the scan as a lazy frame."""
    if scan._options["layout"] == "columns":
        # Slices of the image, and so no more than the image.
        return pl.DataFrame(scan).lazy()
    gathered = [name for name in GATHERED if name in scan.columns]
    # Two steps: a filter on coordinates is moved below the patches, but not below the coordinates themselves.
    frame = windows(scan._plan.first_row, len(scan), morsel(scan))
    if not scan._plan.is_range:
        frame = chosen(frame, scan)
    frame = frame.with_columns(**coordinates(scan))
    if gathered:
        frame = frame.with_columns(**{name: column(scan, name, "window") for name in gathered})
    return frame.select(scan.columns)


def lazy_tiles(tiles: Collection) -> pl.LazyFrame:
    """The columns of the collection as a lazy frame."""
    gathered = [name for name in GATHERED if name in tiles.columns]
    cheap = [name for name in tiles.columns if name not in gathered and name != "window"]
    frame = windows(0, len(tiles), morsel(tiles))
    if tiles._steps:
        frame = chosen(frame, tiles)
    for names in (cheap, gathered):
        if names:
            frame = frame.with_columns(**{name: taken(GatherTiles(tiles, name), "window") for name in names})
    return frame.select(tiles.columns)


def chosen(frame: pl.LazyFrame, table: Scan | Collection) -> pl.LazyFrame:
    """Window ids in the place of row numbers."""
    return frame.with_columns(pl.col("window").map_batches(Ids(table), return_dtype=pl.UInt64(), is_elementwise=True))


def morsel(table: Scan | Collection) -> int | None:
    """How many rows at a time go through a query, where Polars' own number would be too large."""
    piece = max(1, PIECE_BYTES // max(1, prod(table.patch_shape) * table.dtype.itemsize))
    return piece if piece < MORSEL and not {"patch", "valid"}.isdisjoint(table.columns) else None


def windows(first: int, count: int, piece: int | None) -> pl.LazyFrame:
    """So many ids from the first one, as the row index of frames without values. With `piece`, no more than so many at a
    time go through the query, so that patches are gathered a piece at a time too."""
    most = FRAME_ROWS if piece is None else min(FRAME_ROWS, piece * FRAME_PIECES)
    parts = []
    for start in range(0, max(count, 1), most):
        rows = min(most, count - start)
        frame = nothing(rows).lazy().with_row_index("window") if piece is None else pieces(rows, piece)
        parts.append(frame.select(pl.col("window").cast(pl.UInt64) + pl.lit(first + start, pl.UInt64)))
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def nothing(rows: int) -> pl.DataFrame:
    """A frame of so many rows and no values, which takes no memory."""
    return pl.repeat(None, rows, dtype=pl.Null, eager=True).alias("nothing").to_frame()


@lru_cache(maxsize=8)
def file(rows: int, piece: int) -> bytes:
    """An Arrow file of so many rows without values, `piece` to a batch."""
    target = BytesIO()
    nothing(rows).write_ipc(target, record_batch_size=piece)
    return target.getvalue()


def pieces(rows: int, piece: int) -> pl.LazyFrame:
    """The numbers of so many rows, `piece` at a time: a frame in memory is cut into morsels of Polars' own size, but
    those of a file are its batches."""
    return pl.scan_ipc(file(rows, piece), row_index_name="window")


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
    return {**named, **places(scan, named)}


def places(scan: Scan, starts: dict[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Where the middles of windows lie on the map, in terms of their ids; what the scan has columns for."""
    asked = [(name, terms) for name, terms in scan._plan.map or [] if name in scan.columns]
    if not asked:
        return {}
    # An axis that the window doesn't slide over is taken whole.
    y, x = (
        starts[name].cast(pl.Float64) + middle if sliding else pl.lit(middle) for name, sliding, middle in scan._plan.middles
    )
    return {name: pl.lit(a) * x + pl.lit(b) * y + pl.lit(c) for name, (a, b, c) in asked}


def patch(scan: Scan, window: str | pl.Expr) -> pl.Expr:
    """The patches of the windows with these ids."""
    return column(scan, "patch", window)


def column(scan: Scan, name: str, window: str | pl.Expr) -> pl.Expr:
    """A column that is gathered, for the windows with these ids."""
    return taken(Gather(scan, name), window)


def taken(gather: Gather | GatherTiles, window: str | pl.Expr) -> pl.Expr:
    """What `gather` makes of these ids."""
    ids = pl.col(window) if isinstance(window, str) else window
    return ids.map_batches(gather, return_dtype=gather.dtype, is_elementwise=True)


def inner(dtype: np.dtype[Any]) -> type[pl.DataType]:
    """The Polars type of a pixel."""
    name = "Boolean" if dtype.name == "bool" else dtype.name.title().replace("Ui", "UI")
    kind: type[pl.DataType] = getattr(pl, name)
    return kind


class Ids:
    """From row numbers to window ids, where rows are chosen windows or in another order."""

    def __init__(self, table: Scan | Collection) -> None:
        self.table = table

    def __reduce__(self) -> tuple[Any, ...]:
        return Ids, (self.table,)

    def __call__(self, rows: pl.Series) -> pl.Series:
        plan = self.table._tiles if isinstance(self.table, Collection) else self.table._plan
        with called_by_an_engine():
            return pl.Series(rows.name, plan.ids(np.ascontiguousarray(rows.to_numpy())), pl.UInt64)


class Gather:
    """The function under a column that is gathered: ids to values. A class, so that plans with it can be pickled."""

    dtype: pl.DataType

    def __init__(self, scan: Scan, name: str) -> None:
        self.scan, self.name = scan, name
        # Kept from call to call: it has the source open, and gathers into memory that Polars is done with.
        self.taker = scan._plan.taker(name)
        if name == "patch":
            self.dtype = pl.Array(inner(scan.dtype), scan.patch_shape)
        else:
            self.dtype = pl.DataFrame(self.taker.take(np.empty(0, np.uint64))).to_series().dtype

    def __reduce__(self) -> tuple[Any, ...]:
        return Gather, (self.scan, self.name)

    def __call__(self, windows: pl.Series) -> pl.Series:
        with called_by_an_engine():
            return self.gather(windows)

    def gather(self, windows: pl.Series) -> pl.Series:
        """The patches of these windows; null where there is none."""
        if windows.null_count():
            there = windows.is_not_null()
            places = pl.select(pl.when(there).then(there.cum_sum() - 1)).to_series()
            return self.gather(windows.drop_nulls()).gather(places)
        first, count = self.scan._plan.first_row, len(self.scan)
        ids = np.ascontiguousarray(windows.to_numpy().astype(np.uint64, copy=False))
        if self.scan._plan.is_range and len(ids) and not first <= int(ids.min()) <= int(ids.max()) < first + count:
            raise IndexError(f"windows {ids.min()} to {ids.max()}: the scan has {first} to {first + count - 1}")
        # Not a copy: the series lies where the windows were gathered.
        return pl.DataFrame(self.taker.take(ids)).to_series().alias(windows.name)


class GatherTiles:
    """The function under a column of a collection: numbers of rows to values."""

    dtype: pl.DataType

    def __init__(self, tiles: Collection, name: str) -> None:
        self.tiles, self.name = tiles, name
        self.taker = tiles._tiles.taker(name)
        self.dtype = self.gather(pl.Series(name, [], pl.UInt64)).dtype

    def __reduce__(self) -> tuple[Any, ...]:
        return GatherTiles, (self.tiles, self.name)

    def __call__(self, windows: pl.Series) -> pl.Series:
        with called_by_an_engine():
            return self.gather(windows)

    def gather(self, windows: pl.Series) -> pl.Series:
        """The values of these rows."""
        values = pl.DataFrame(self.taker.take(np.ascontiguousarray(windows.to_numpy()))).to_series()
        # Each morsel would have categories of its own.
        return (values.cast(pl.String) if self.name == "image" else values).alias(windows.name)
