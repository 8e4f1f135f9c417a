"""`Collection`: many images as one table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arguments import amount_of, interval, lengths, seed_of
from ._progress import Progress, watching
from ._windrow import Batch, Schema, several
from ._windrow import Collection as Tiles

if TYPE_CHECKING:
    import polars as pl


def listed(source: Any, member: str | None) -> list[str] | None:
    """The files that are meant, if these are several: a list of paths, a folder, or a pattern. Of a folder that has a
    `member` it is the member that is meant."""
    if member is not None and isinstance(source, (str, os.PathLike)) and os.path.isdir(source):
        return None
    if isinstance(source, (str, os.PathLike)):
        found = several(os.fspath(source))
        return None if found is None else [os.fspath(path) for path in found]
    if isinstance(source, (list, tuple)) and source and all(isinstance(path, (str, os.PathLike)) for path in source):
        paths: list[str] = []
        for path in source:
            found = several(os.fspath(path))
            paths += [os.fspath(path)] if found is None else [os.fspath(file) for file in found]
        return paths
    return None


class Collection:
    """The windows of many images as one table, as a plan. Made by `scan`, of a list of paths, a folder or a pattern.

    Any Arrow library takes it as it is, and iterating gives Arrow batches. The column ``image`` says which image a window
    is of, ``window`` is the number of the row through all images, and coordinates are within the image. Reading starts
    at once: images are opened when they are near. `len` and `explain` read the headers of all.
    """

    __slots__ = ("_head", "_options", "_paths", "_skip_bad", "_steps", "_tiles")

    _head: int | None
    _options: Mapping[str, Any]
    _paths: Sequence[str]
    _skip_bad: bool
    #: How the rows were chosen: methods of the tiles, and what they were called with.
    _steps: tuple[tuple[Any, ...], ...]
    _tiles: Tiles

    def __init__(self) -> None:
        raise TypeError("a Collection is made by windrow.scan([path, path, ...], window_shape, ...)")

    @classmethod
    def _make(
        cls,
        paths: Sequence[str],
        options: Mapping[str, Any],
        skip_bad: bool,
        head: int | None = None,
        steps: tuple[tuple[Any, ...], ...] = (),
    ) -> Collection:
        self = object.__new__(cls)
        self._paths, self._options, self._skip_bad, self._head, self._steps = paths, options, skip_bad, head, ()
        for name in ("labels", "label_nodata"):
            if options[name] is not None:
                raise ValueError(f"{name}: expected one image, not several")
        self._tiles = Tiles(list(paths), dict(options), skip_bad=skip_bad, head=head)
        for step in steps:
            self = self._then(*step)
        return self

    def _then(self, method: str, *args: Any) -> Collection:
        other = object.__new__(Collection)
        other._paths, other._options, other._skip_bad, other._head = self._paths, self._options, self._skip_bad, self._head
        other._steps = (*self._steps, (method, *args))
        other._tiles = getattr(self._tiles, method)(*args)
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return Collection._make, (self._paths, self._options, self._skip_bad, self._head, self._steps)

    def __len__(self) -> int:
        return self._tiles.num_rows()

    @property
    def images(self) -> list[str]:
        """The paths of the images, in the order of the table."""
        return [os.fspath(path) for path in self._tiles.paths]

    @property
    def patch_shape(self) -> tuple[int, ...]:
        """Pixels of a patch on each axis."""
        return tuple(self._tiles.patch_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels in the table."""
        return np.dtype(self._tiles.dtype)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.schema.names

    @property
    def schema(self) -> Schema:
        """The Arrow schema, for any Arrow library."""
        return self._tiles.schema()

    @property
    def skipped(self) -> list[dict[str, Any]]:
        """With ``skip_bad``: what the pass that was started last left out so far, and why. ``rows`` is how many rows of an
        image are in the table all the same: those before the place where a large file turned out to be broken."""
        return [dict(image=image, error=error, rows=rows) for image, error, rows in self._tiles.skipped]

    def head(self, rows: int) -> Collection:
        """The first rows alone; no more images are opened than they need."""
        rows = lengths("head", rows)[0]
        if self._steps:
            return self._then("head", rows)
        return Collection._make(self._paths, self._options, self._skip_bad, min(rows, rows if self._head is None else self._head))

    # Which rows, in what order: the headers of all images are read for it.

    def within(self, **axes: slice | range | tuple[int | None, int | None]) -> Collection:
        """The rows whose windows start in a box of their image; see `Scan.within`."""
        return self._then("within", [(name, *interval(name, bounds)) for name, bounds in axes.items()])

    def sample(self, amount: float, seed: int = 0) -> Collection:
        """Some rows of all images, drawn without replacement, in the order that they have; see `Scan.sample`."""
        return self._then("sample", *amount_of(amount), seed_of(seed))

    def shuffle(self, seed: int, epoch: int = 0) -> Collection:
        """All rows in an order that looks random, through all images; see `Scan.shuffle`. A batch has rows of many images,
        each of which is opened once for it, unless it is among those that stay open, as many as `cache_bytes` hold. An
        image whose pixels are bad is an error then, also with ``skip_bad``."""
        return self._then("shuffle", seed_of(seed), *lengths("epoch", epoch))

    def shard(self, index: int, of: int) -> Collection:
        """Part `index`, from 0, of `of` parts of about the same number of rows."""
        return self._then("shard", *lengths("shard", (index, of)))

    def skip(self, rows: int) -> Collection:
        """All but the first rows."""
        return self._then("skip", *lengths("skip", rows))

    def max_memory(self, bytes: int) -> Collection:
        """The same table, read in at most so many bytes besides Python itself; see `Scan.max_memory`."""
        return self._then("max_memory", *lengths("max_memory", bytes))

    def explain(self) -> dict[str, Any]:
        """What this table gives. Reads the headers of all images."""
        facts: dict[str, Any] = json.loads(self._tiles.explain()[1])
        return facts

    def __repr__(self) -> str:
        return f"<windrow.Collection of {len(self._paths)} images: {', '.join(self.columns)}>"

    def __iter__(self) -> Iterator[Batch]:
        return self._tiles.batches()

    def __arrow_c_schema__(self) -> object:
        """The schema as a capsule of the Arrow C data interface."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A new stream of all batches as a capsule of the Arrow C stream interface."""
        return self._tiles.stream()

    def lazy(self) -> pl.LazyFrame:
        """The table as a Polars lazy frame, as `Scan.lazy` is; the column ``image`` has strings. Reads the headers of all
        images at once, and the pixels of the rows that are left where a query uses them.

        Raises
        ------
        ImportError
            If Polars is not installed.
        """
        from ._polars import lazy_tiles

        return lazy_tiles(self)

    def write_parquet(
        self, path: str | os.PathLike[str], *, compression: str = "zstd:1", progress: Progress = False
    ) -> int:
        """Writes the table into a Parquet file, which appears when it is whole; gives its size in bytes. See
        `Scan.write_parquet`; a `progress` reads the headers of all images first."""
        with watching(progress, len(self) if progress else 0) as told:
            return self._tiles.write_parquet(os.fspath(path), compression, told)[1]

    def write_ipc(
        self,
        path: str | os.PathLike[str],
        *,
        stream: bool = False,
        compression: str = "zstd:1",
        progress: Progress = False,
    ) -> int:
        """Writes the table into an Arrow IPC file, or as a stream into one; gives its size in bytes. See
        `Scan.write_ipc`."""
        with watching(progress, len(self) if progress else 0) as told:
            return self._tiles.write_ipc(os.fspath(path), compression, stream, told)[1]


__all__ = ["Collection"]
