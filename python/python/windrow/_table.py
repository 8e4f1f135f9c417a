"""`Scan`: the table of windows as a plan, as Python users hold it."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from . import _matrix, _rows
from ._arguments import amount_of, interval, lengths, seed_of
from ._arrays import Source, resolve
from ._explain import Explain
from ._progress import Progress, watching
from ._types import Array, LabelAt, Lengths, Nodata, Path, Valid
from ._windrow import Batch, Matrix, Plan, Schema

if TYPE_CHECKING:
    import polars as pl


class Split(dict[str, "Scan"]):
    """The parts of an image, by name."""

    #: Rows that are in no part, because their windows extend over blocks of several.
    dropped: int

    def __init__(self, parts: Mapping[str, Scan], dropped: int) -> None:
        super().__init__(parts)
        self.dropped = dropped

    def __reduce__(self) -> tuple[Any, ...]:
        return Split, (dict(self), self.dropped)


class Scan:
    """A table of sliding windows, as a plan. Made by `scan`.

    As a sequence of rows it behaves like numpy's `sliding_window_view` with its grid axes flattened, in C order:
    ``s[17]``, ``s[100:200]``, ``s[[3, 1, 4]]`` and ``s[mask]`` are new arrays of the windows asked for. Iterating gives
    Arrow batches.
    """

    __slots__ = ("_matrix", "_options", "_plan", "_source", "_steps")

    _source: Array | str
    _options: Mapping[str, Any]
    _plan: Plan
    #: How the rows were chosen: methods of the plan, and what they were called with.
    _steps: tuple[tuple[Any, ...], ...]
    #: The matrix that was made last, while anybody has it.
    _matrix: weakref.ref[Matrix] | None

    def __init__(self) -> None:
        raise TypeError("a Scan is made by windrow.scan(source, window_shape, ...)")

    @classmethod
    def _make(cls, source: Array | str, options: Mapping[str, Any], steps: tuple[tuple[Any, ...], ...] = ()) -> Scan:
        self = object.__new__(cls)
        self._source = source
        self._options = options
        self._matrix = None
        self._plan = Plan(source, **options)
        self._steps = ()
        for step in steps:
            self = self._then(*step)
        return self

    def _of(self, plan: Plan, *steps: tuple[Any, ...]) -> Scan:
        """The same table with the rows of another plan, and what led to it."""
        other = object.__new__(Scan)
        other._source, other._options, other._plan = self._source, self._options, plan
        other._matrix = None
        other._steps = (*self._steps, *steps)
        return other

    def _then(self, method: str, *args: Any) -> Scan:
        if method == "split":
            name, shares, *rest = args
            parts, _ = self._plan.split(shares, *rest)
            plan = parts[[part for part, _ in shares].index(name)]
            return self._of(plan, ("split", name, shares, *rest))
        return self._of(getattr(self._plan, method)(*args), (method, *args))

    def __reduce__(self) -> tuple[Any, ...]:
        return Scan._make, (self._source, self._options, self._steps)

    # What it is

    def __len__(self) -> int:
        return self._plan.num_rows

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all windows as one array: rows, and pixels of a patch on each axis."""
        return (len(self), *self.patch_shape)

    @property
    def ndim(self) -> int:
        """The number of axes of `shape`."""
        return len(self.shape)

    @property
    def window_shape(self) -> tuple[int, ...]:
        """The window, as it was asked for."""
        return tuple(self._options["window_shape"])

    @property
    def patch_shape(self) -> tuple[int, ...]:
        """Pixels of a patch on each axis of the array: the window, and the axes that it takes whole."""
        return tuple(self._plan.patch_shape)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """Windows on each axis that the window slides over."""
        return tuple(self._plan.grid_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels in the table."""
        return np.dtype(self._plan.dtype)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self._plan.columns

    @property
    def schema(self) -> Schema:
        """The Arrow schema, for any Arrow library: ``pyarrow.schema(s.schema)``."""
        return self._plan.schema()

    def explain(self) -> Explain:
        """What this scan gives and costs. Reads no pixel."""
        return Explain._parse(*self._plan.explain())

    def __repr__(self) -> str:
        return f"<windrow.Scan of {len(self)} windows>\n{self._plan.explain()[0]}"

    def sheet(self, rows: _rows.Rows | None = None, *, across: int = 8) -> bytes:
        """A picture of the windows at these rows side by side, as a PNG file; by default 16 spread over the image."""
        from ._sheet import sheet

        return sheet(self, rows, across)

    def _repr_html_(self) -> str:
        from ._sheet import html

        return html(self)

    # Which windows, in what order

    def shuffle(self, seed: int, epoch: int = 0) -> Scan:
        """All rows in an order that looks random: a function of (seed, epoch, number of rows) that is the same in every
        language and version, and takes no memory. Of a file tiles or
        chunks are kept, `cache_bytes` of them; of a larger one they are decoded again for every batch."""
        return self._then("shuffle", seed_of(seed), *lengths("epoch", epoch))

    def sample(self, amount: float, seed: int = 0) -> Scan:
        """Some rows drawn without replacement, in the order that they have: a number of them (an int), or a share (a
        float from 0 to 1). They are those that ``shuffle(seed)`` would put first."""
        return self._then("sample", *amount_of(amount), seed_of(seed))

    def shard(self, index: int, of: int) -> Scan:
        """Part `index`, from 0, of `of` parts: together they are all rows, and no two have one in common."""
        return self._then("shard", *lengths("shard", (index, of)))

    def splits(self, of: int | None = None, *, bytes: int | str | None = None) -> list[Scan]:
        """The table in `of` parts to be read by several processes or machines, or as many as it takes for about so many
        `bytes` (or "256MiB") of rows each. Together they are all rows, in order, and no two have one in common; where they
        can, they begin where a strip or tile of the file does. A split of a file is pickled as its path and options."""
        count = None if of is None else lengths("splits", of)[0]
        rows = self._plan.splits(count, None if bytes is None else str(bytes))
        return [self._then("with_rows", *bounds) for bounds in rows]

    def skip(self, rows: int) -> Scan:
        """All but the first rows: what is left of a pass that ended there."""
        return self._then("skip", *lengths("skip", rows))

    def max_memory(self, bytes: int) -> Scan:
        """The same table, read in at most so many bytes besides Python itself: with fewer batches made ahead, smaller ones,
        and less kept. `explain` tells what came of it. A `batch_rows` or `batch_bytes` that was asked for stays; a
        `ValueError` says what it takes at the least."""
        return self._then("max_memory", *lengths("max_memory", bytes))

    def with_windows(self, ids: npt.ArrayLike) -> Scan:
        """The windows of the grid with these ids, in this order."""
        array = np.asarray(ids)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ValueError("ids: expected one axis of integers")
        if array.size and int(array.min()) < 0:
            raise ValueError(f"ids: {array.min()} is negative")
        return self._then("with_windows", np.ascontiguousarray(array, np.uint64))

    def within(self, **axes: slice | range | tuple[int | None, int | None]) -> Scan:
        """The windows that start in a box: ``within(y=(0, 100), x=slice(50, None))``."""
        return self._then("within", [(name, *interval(name, bounds)) for name, bounds in axes.items()])

    def mask(self, mask: Source, at: Literal["center", "any", "all"] | float = "center") -> Scan:
        """The windows in a region: `mask` has the axes of the window, and pixels that are not 0 are in it. A window is in
        the region by its center, by any or all of its pixels, or by at least a share of them. Reads the mask now."""
        return self._then("mask", resolve(mask), str(at))

    def min_valid(self, share: float) -> Scan:
        """The windows of which at least this share of pixels is not `nodata`. Reads the image now, once."""
        return self._then("min_valid", float(share))

    def split(self, *, block: Lengths, seed: int = 0, stratified: bool = False, **parts: float) -> Split:
        """Parts of the image that share no pixel: ``s.split(train=0.8, test=0.2, block=256)``.

        Blocks of the image are dealt to the parts. A window belongs to a part if all blocks that it extends over do; the
        others are dropped, and counted in the `dropped` of the result, a dict of scans.

        Parameters
        ----------
        block
            Pixels of a block on each window axis, or on all. At least as wide as a window.
        stratified
            Deals blocks of each class by themselves: the most frequent of the scan's labels in them.
        """
        args = ([(name, float(share)) for name, share in parts.items()], lengths("block", block), seed_of(seed), bool(stratified))
        plans, dropped = self._plan.split(*args)
        scans = {name: self._of(plan, ("split", name, *args)) for name, plan in zip(parts, plans)}
        return Split(scans, dropped)

    def per_class(self, count: int, seed: int = 0) -> Scan:
        """So many windows of every class that a label names, drawn without replacement, in the order that they have; of a
        class with fewer, all. The last of `steps` tells what each class had. Reads the labels now."""
        return self._then("per_class", *lengths("per_class", count), seed_of(seed))

    def labels(self, labels: Source, at: LabelAt = "center", *, nodata: Nodata | None = None) -> Scan:
        """The same rows with a column ``label``; see `scan`."""
        options = {**self._options, "labels": resolve(labels), "label_at": at, "label_nodata": nodata}
        return Scan._make(self._source, options, self._steps)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What was done to the rows, one thing after the other, as the metadata of files tells it."""
        steps: list[dict[str, Any]] = json.loads(self._plan.steps())
        return steps

    def window_ids(self, rows: _rows.Rows | None = None) -> npt.NDArray[np.uint64]:
        """The ids of the windows at these rows (default: all)."""
        numbers = _rows.resolve(rows, len(self))
        if isinstance(numbers, range):
            return self._plan.windows(numbers.start, numbers.stop)
        return self._windows(numbers.ravel()).reshape(numbers.shape)

    # As numpy arrays

    def __getitem__(self, key: Any) -> Array:
        """The windows at these rows, with numpy's rules. After the rows, basic indices into the patch may follow."""
        if isinstance(key, tuple):
            if not key:
                return self.to_numpy()
            rows, rest = key[0], key[1:]
            if not all(isinstance(k, (SupportsIndex, slice, type(...), type(None))) for k in rest):
                raise IndexError("only integers, slices, ellipsis and None may follow the row index")
            if rows is Ellipsis or rows is None:
                raise IndexError(_rows.WORDS)
            patches: Array = self[rows]
            return patches[rest if isinstance(rows, SupportsIndex) else (..., *_rows.inside(rest, self.ndim - 1))]
        if isinstance(key, (bool, np.bool_)) or key is None:
            raise IndexError(_rows.WORDS)
        if isinstance(key, SupportsIndex) and not isinstance(key, np.ndarray):
            row = _rows.one(key, len(self))
            return self._range(row, row + 1).reshape(self.patch_shape)
        return self.to_numpy(key)

    def to_numpy(self, rows: _rows.Rows | None = None) -> Array:
        """The windows at these rows (default: all) as one new array of shape ``(n, *patch_shape)``, in C order."""
        numbers = _rows.resolve(rows, len(self))
        if isinstance(numbers, range):
            return self._range(numbers.start, numbers.stop)
        return self._take(numbers.ravel()).reshape(*numbers.shape, *self.patch_shape)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("windows as one array are a copy")
        array = self.to_numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def _empty(self, rows: int) -> tuple[Array, npt.NDArray[np.uint8]]:
        """A new array for this many rows, and its bytes."""
        array = np.empty((rows, *self.patch_shape), self.dtype)
        return array, array.reshape(-1).view(np.uint8)

    def _range(self, start: int, stop: int) -> Array:
        array, memory = self._empty(stop - start)
        if memory.size:
            first = self._plan.first_row
            self._plan.patches(first + start, first + stop).all_into(memory)
        return array

    def _take(self, rows: npt.NDArray[np.uint64]) -> Array:
        """The windows at these rows, which are in bounds."""
        array, memory = self._empty(len(rows))
        if memory.size:
            self._plan.gather(self._windows(rows), memory)
        return array

    def _windows(self, rows: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """The ids of the windows at these rows."""
        numbers = np.ascontiguousarray(rows + np.uint64(self._plan.first_row))
        return numbers if self._plan.is_range else self._plan.ids(numbers)

    def column(self, name: str) -> Array:
        """One column as a numpy array: ``s.column("label")``. Reads pixels only for "patch" and "valid"."""
        parts = [batch[name].copy() for batch in self._plan.column(name)]
        if not parts:
            return np.empty(0, np.uint64 if name == "window" else np.int64)
        return np.concatenate(parts)

    def matrix_batches(
        self,
        rows: int = 8192,
        *,
        order: Literal["C", "F"] = "C",
        dtype: npt.DTypeLike | None = None,
        lossy: bool | None = None,
    ) -> Iterator[Array]:
        """All windows as matrices of at most `rows` rows, one a window, and a column a pixel of the patch in C order.

        Every matrix is a view of **one buffer**, which the next one overwrites: use it, or copy it, before going on.

        Parameters
        ----------
        order
            "C": the pixels of a row lie together. "F": the rows of a column do, as many estimators want them.
        dtype, lossy
            Convert pixels, as in `scan`. Default: the scan's own type.
        """
        return _matrix.batches(self, rows, order, dtype, lossy)

    @overload
    def matrix(
        self,
        rows: None = None,
        *,
        order: Literal["F"] = "F",
        dtype: npt.DTypeLike | None = None,
        lossy: bool | None = None,
        backing: Literal["alias"] | None = None,
        max_resident: int | str | None = None,
    ) -> tuple[Array, Valid]: ...
    @overload
    def matrix(
        self,
        rows: _rows.Rows | None = None,
        *,
        order: Literal["C", "F"] = "F",
        dtype: npt.DTypeLike | None = None,
        lossy: bool | None = None,
        backing: None = None,
        max_resident: int | str | None = None,
    ) -> tuple[Array, Valid]: ...
    @overload
    def matrix(
        self,
        rows: _rows.Rows | None = None,
        *,
        order: Literal["C", "F"] = "F",
        dtype: npt.DTypeLike | None = None,
        lossy: bool | None = None,
        backing: Literal["fault"],
        max_resident: int | str | None = None,
    ) -> Array: ...
    def matrix(
        self,
        rows: _rows.Rows | None = None,
        *,
        order: Literal["C", "F"] = "F",
        dtype: npt.DTypeLike | None = None,
        lossy: bool | None = None,
        backing: Literal["alias", "fault"] | None = None,
        max_resident: int | str | None = None,
    ) -> Array | tuple[Array, Valid]:
        """All windows as one ordinary array ``X`` of rows and pixels, larger than memory. Any library may read it.

        With ``backing="alias"``, ``X, valid`` are given: each column of ``X`` is mapped from one of a few shifted copies
        of the image, so rows that are no windows come with the others: those that wrap around the end of a line. Leave
        them out by ``sample_weight=valid``, and bring labels into the same order by `matrix_target`.

        With ``backing="fault"``, ``X`` alone is given, whose rows are the windows: a thread makes the parts that are
        touched, and the oldest go. Best is to read it in its order. It is not for forked processes, nor for system calls
        where the system does not allow that (``explain``), and whatever writes to it ends the process.

        ``X`` is read-only. ``X.base`` holds its memory and goes with the last view; ``X.base.explain()`` says what it is.

        Parameters
        ----------
        rows
            Only these rows, as in ``s[rows]``; for "fault", or consecutive ones.
        order
            How the elements follow one another. "alias" has "F" only.
        dtype, lossy
            Convert pixels, as in `scan`. Default: the scan's own type.
        backing
            "alias" or "fault". None: "alias" where order, rows and grid allow it and its planes fit `max_resident`,
            otherwise "fault" with a `valid` that is true for every row.
        max_resident
            The most physical memory that ``X`` may take, in bytes or as "256MiB". Default: 1 GiB.

        Raises
        ------
        ValueError
            If the windows can't be had that way, or not within `max_resident`.
        OSError
            If the system allows this process no such memory, as in many containers: "alias" needs nothing special, and
            `matrix_batches` is everywhere.
        NotImplementedError
            On other systems than Linux.
        """
        memory = _matrix.virtual(self, rows, order, dtype, lossy, backing, max_resident)
        self._matrix = weakref.ref(memory)
        X = np.asarray(memory)
        return X if backing == "fault" else (X, _matrix.valid_of(memory))

    def matrix_target(
        self, labels: npt.ArrayLike, valid: Valid | None = None, *, fill: Any = None
    ) -> Array:
        """Labels, one a window, in the order of the rows of a `matrix`.

        Parameters
        ----------
        labels
            One a row of this scan, or one a place of its grid; further axes are kept.
        valid
            Which rows of the matrix are windows, as `matrix` gave it. Default: that of the last matrix that this scan made.
        fill
            The label of rows that are no windows. Default: the first label, so that no class is added.
        """
        if valid is None:
            memory = None if self._matrix is None else self._matrix()
            if memory is None:
                raise ValueError("valid: this scan has no matrix at the moment: expected what its matrix() gave")
            valid = _matrix.valid_of(memory)
        return _matrix.target(labels, self.grid_shape, valid, fill)

    # As Arrow

    def __iter__(self) -> Iterator[Batch]:
        return self._plan.batches()

    def __arrow_c_schema__(self) -> object:
        """The schema as a capsule of the Arrow C data interface."""
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A new stream of all batches as a capsule of the Arrow C stream interface."""
        return self._plan.stream()

    # As Polars

    def lazy(self) -> pl.LazyFrame:
        """The table as a Polars lazy frame. Filters, slices and projections are applied before any pixel is gathered.

        Raises
        ------
        ImportError
            If Polars is not installed.
        """
        from ._polars import lazy

        return lazy(self)

    def expr(self, window: str | pl.Expr = "window") -> pl.Expr:
        """The patches of the windows whose ids the column `window` holds, as a Polars expression."""
        from ._polars import patch

        return patch(self, window)

    # As files

    def write_parquet(
        self, path: Path, *, compression: str = "zstd:1", store_columns: bool = False, progress: Progress = False
    ) -> int:
        """Writes the table into a Parquet file, which appears when it is whole; gives its size in bytes.

        Parameters
        ----------
        compression
            "none", "zstd", "zstd:LEVEL" (1 to 22), "lz4" or "snappy".
        store_columns
            Layout "columns" is as large as the dense table once it is on disk, and so refused unless this is True.
        progress
            True shows a bar in a terminal or notebook; a function is called with rows done and rows in all.
        """
        return self._write(self._plan.write_parquet, path, progress, compression, store_columns)

    def write_ipc(
        self,
        path: Path,
        *,
        stream: bool = False,
        compression: str = "zstd:1",
        store_columns: bool = False,
        progress: Progress = False,
    ) -> int:
        """Writes the table into an Arrow IPC file, which appears when it is whole; gives its size in bytes.

        Parameters
        ----------
        stream
            The stream format instead of the one with random access.
        compression
            "none", "zstd", "zstd:LEVEL" (1 to 22) or "lz4".
        store_columns, progress
            As in `write_parquet`.
        """
        return self._write(self._plan.write_ipc, path, progress, compression, store_columns, stream)

    def _write(self, write: Callable[..., tuple[int, int]], path: Path, progress: Progress, *options: object) -> int:
        with watching(progress, len(self)) as told:
            return write(os.fspath(path), *options, progress=told)[1]
