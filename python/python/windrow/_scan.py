"""`scan`: from an array or image file to the table of its windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from . import _rows
from ._arguments import lengths
from ._arrays import Source, resolve
from ._collection import Collection, listed
from ._table import Scan
from ._types import Edge, LabelAt, Layout, Lengths, Nodata, PadMode, Pads, Path


@overload
def scan(
    source: list[Path] | tuple[Path, ...], window_shape: Lengths, *, skip_bad: bool = False, **options: Any
) -> Collection: ...
@overload
def scan(
    source: Source,
    window_shape: Lengths,
    *,
    step: Lengths = 1,
    dilation: Lengths = 1,
    edge: Edge = "drop",
    pad: Pads | None = None,
    pad_mode: PadMode | None = None,
    pad_value: float = 0,
    axes: int | str | Sequence[int | str] | None = None,
    layout: Layout = "tensor",
    wrap: Literal["null", "column"] = "null",
    columns: Iterable[str] | None = None,
    coords: Literal["pixel", "map"] = "pixel",
    rows: slice | range | tuple[int, int] | None = None,
    dtype: npt.DTypeLike | None = None,
    scale: float | None = None,
    offset: float | None = None,
    lossy: bool = False,
    nodata: Nodata | None = None,
    labels: Source | None = None,
    label_at: LabelAt = "center",
    label_nodata: Nodata | None = None,
    batch_rows: int | None = None,
    batch_bytes: int | None = None,
    cache_bytes: int | None = None,
    page: int | None = None,
    overview: int | None = None,
    stack: bool = False,
    member: str | None = None,
    raw: str | None = None,
) -> Scan: ...
def scan(  # type: ignore[misc]  # of several images: the options of one
    source: Any,
    window_shape: Lengths,
    *,
    step: Lengths = 1,
    dilation: Lengths = 1,
    edge: Edge = "drop",
    pad: Pads | None = None,
    pad_mode: PadMode | None = None,
    pad_value: float = 0,
    axes: int | str | Sequence[int | str] | None = None,
    layout: Layout = "tensor",
    wrap: Literal["null", "column"] = "null",
    columns: Iterable[str] | None = None,
    coords: Literal["pixel", "map"] = "pixel",
    rows: slice | range | tuple[int, int] | None = None,
    dtype: npt.DTypeLike | None = None,
    scale: float | None = None,
    offset: float | None = None,
    lossy: bool = False,
    nodata: Nodata | None = None,
    labels: Source | None = None,
    label_at: LabelAt = "center",
    label_nodata: Nodata | None = None,
    batch_rows: int | None = None,
    batch_bytes: int | None = None,
    cache_bytes: int | None = None,
    page: int | None = None,
    overview: int | None = None,
    stack: bool = False,
    member: str | None = None,
    raw: str | None = None,
    skip_bad: bool = False,
) -> Scan | Collection:
    """The sliding windows of an array or image file as a lazy table. Reads no pixel.

    Parameters
    ----------
    source
        An array: numpy's in any strides, also read-only, broadcast or a `numpy.memmap`; or any object on the CPU with
        DLPack, the buffer protocol or numpy's array interface. It is not copied, and it is kept alive by every batch
        that points into it; what is written to it later is seen by batches that are made later. Arrays in foreign byte
        order are converted, which copies. Or the path of a file. A list of paths, a folder of images or a pattern such as
        "tiles/*.tif" are many images, and give a `Collection`.
    window_shape
        Pixels of a window on each window axis: the leading axes, unless `axes` names others. Axes that the window does
        not name are taken whole.
    step, dilation
        Distance between windows, and between the pixels of a window: one number, or one a window axis.
    edge
        Where the step leaves a rest: "drop" it, "shift" the last window inward, or "pad" the array.
    pad, pad_mode, pad_value
        How to pad: widths as for `numpy.pad` (None is TensorFlow's SAME), its mode (None is "constant"), and the value
        of constant padding.
    axes
        The window axes, by number or name.
    layout
        How patches are held: "tensor", nested fixed-size lists; "fixed-shape-tensor", Arrow's canonical extension;
        "binary", the same bytes; "columns", a column a pixel, ``p_0_0``, ``p_0_1``, …, that is a slice of the image: no
        pixel is copied, and Arrow streams have rows more, windows that would wrap around the end of a line.
    wrap
        What tells such rows in layout "columns": "null", all their columns are null; or "column", a column ``valid``.
    columns
        Only these columns. Without "patch", no pixel is read.
    coords
        "pixel": where windows start. "map": also where their middles lie on the map, in columns ``easting`` and
        ``northing``, or ``longitude`` and ``latitude``; the image is a GeoTIFF. `columns` may name these too.
    rows
        Only these windows: a slice or range of step 1, or (start, stop).
    dtype, scale, offset, lossy
        Convert pixels on the way to ``pixel * scale + offset`` as `dtype`. A conversion that may lose something is an
        error unless `lossy`.
    nodata
        The value of pixels that have none, NaN for every NaN, or "file" for what a TIFF says. They are null in Arrow, where
        a column ``valid`` gives the share of each patch that is not; numpy arrays have no nulls, and hold the value.
    labels, label_at, label_nodata
        A column ``label``: an array or the path of an image that has the axes of the window; what of it is the label of a
        window, "center", "majority", "mean" or "patch"; and the label of pixels that have none.
    batch_rows, batch_bytes
        The size of a batch. Default: about 2 MiB.
    cache_bytes
        How many bytes of a file are kept, decoded, where windows are read in no order: samples, shuffles, single
        windows. Default: 64 MiB.
    page, stack
        Which image of a file with several, or all pages of a TIFF as one array with an axis ``page`` in front.
    overview
        A reduced copy of the image: which overview of a TIFF file, from 0, as GDAL counts them.
    member
        The array of an archive with several, by name. As part of the path, it does for labels and masks too:
        ``"scene.npz/name"``.
    raw
        What a file without a header holds: type, byte order and shape, ``"u16le:4096x4096"``; ``"@512"`` behind it is the
        byte where it starts.
    skip_bad
        Of many images: leave out those that are broken, or unlike the first; see `Collection.skipped`.
    """
    options = dict(
        window_shape=lengths("window_shape", window_shape),
        step=lengths("step", step),
        dilation=lengths("dilation", dilation),
        edge=edge,
        pad=None if pad is None else _pads(pad),
        pad_mode="constant" if pad_mode is None else pad_mode,
        pad_value=pad_value,
        axes=None if axes is None else [axes] if isinstance(axes, (int, str)) else list(axes),
        layout=layout,
        wrap=wrap,
        columns=None if columns is None else [columns] if isinstance(columns, str) else list(columns),
        coords=coords,
        dtype=None if dtype is None else np.dtype(dtype).name,
        scale=1.0 if scale is None else float(scale),
        offset=0.0 if offset is None else float(offset),
        lossy=bool(lossy),
        nodata=nodata,
        labels=None if labels is None else resolve(labels),
        label_at=label_at,
        label_nodata=label_nodata,
        batch_rows=_count("batch_rows", batch_rows),
        batch_bytes=_count("batch_bytes", batch_bytes),
        cache_bytes=_count("cache_bytes", cache_bytes),
        page=_count("page", page),
        overview=_count("overview", overview),
        stack=bool(stack),
        member=member,
        raw=raw,
    )
    paths = listed(source, member)
    if paths is not None:
        head = None
        if rows is not None:
            start, head = (rows.start or 0, rows.stop) if isinstance(rows, (slice, range)) else rows
            if start != 0 or getattr(rows, "step", None) not in (None, 1) or (head is not None and head < 0):
                raise ValueError("rows: of several images only the first can be chosen: expected (0, stop)")
        return Collection._make(paths, options, bool(skip_bad), head)
    if skip_bad:
        raise ValueError("skip_bad: goes with several images, a folder or a pattern")
    made = Scan._make(resolve(source), options)
    return made if rows is None else made._then("with_rows", *_rows.bounds(rows, len(made)))


def _count(name: str, value: int | None) -> int | None:
    return None if value is None else lengths(name, value)[0]


def _pads(pad: Any) -> list[tuple[int, int]]:
    """Widths as `numpy.pad` takes them: one number, (before, after), or a pair an axis."""
    widths = np.asarray(pad)
    if widths.dtype.kind not in "iu" or widths.ndim > 2 or (widths.ndim and widths.shape[-1] not in (1, 2)):
        raise ValueError(f"pad: {pad!r} is neither a width, nor (before, after), nor a pair for each axis")
    if widths.size and widths.min() < 0:
        raise ValueError(f"pad: {widths.min()} is negative")
    pairs = np.broadcast_to(np.atleast_2d(widths), (*np.atleast_2d(widths).shape[:-1], 2))
    return [(int(before), int(after)) for before, after in pairs]
