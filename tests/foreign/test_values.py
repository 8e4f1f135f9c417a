"""The rows are NumPy's windows, cell by cell, whatever the options, the layout, the file and the reader."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from harness import assert_same, corners_of, corpus, export, flat_values, patches_of, read_arrow, windrow
from reference import windows


@dataclass(frozen=True)
class Spec:
    """Windows, as the command line and the reference take them."""

    window: Sequence[int]
    step: Sequence[int] | None = None
    dilation: Sequence[int] | None = None
    edge: str = "drop"
    widths: Sequence[tuple[int, int]] | None = None
    pad: dict = field(default_factory=dict)

    def args(self) -> list[str]:
        args = ["--window", "x".join(map(str, self.window)), "--edge", self.edge]
        for option, numbers in [("--step", self.step), ("--dilation", self.dilation)]:
            if numbers:
                args += [option, "x".join(map(str, numbers))]
        if self.widths:
            args += ["--pad", "x".join(f"{before},{after}" for before, after in self.widths)]
        if "mode" in self.pad:
            args += ["--pad-mode", self.pad["mode"]]
        if "constant_values" in self.pad:
            args += [f"--pad-value={self.pad['constant_values']}"]
        return args

    def reference(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return windows(array, self.window, self.step, self.dilation, self.edge, self.widths, **self.pad)

    def __str__(self) -> str:
        return " ".join(self.args())


MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]

PLANE = [
    Spec((3, 3)),
    Spec((8, 8)),
    Spec((1, 1)),
    Spec((37, 53)),
    Spec((1, 53)),
    Spec((5, 2), step=(3, 7)),
    Spec((2, 4), step=(2, 4)),
    Spec((3, 3), step=(9, 9)),
    Spec((3, 5), dilation=(2, 3)),
    Spec((4, 3), step=(3, 2), dilation=(1, 4)),
    Spec((8, 8), step=(5, 8), edge="shift"),
    Spec((3, 2), step=(8, 9), dilation=(4, 2), edge="shift"),
    Spec((3, 3), edge="pad", pad={"mode": "constant"}),
    Spec((3, 3), edge="pad", widths=[(1, 2), (0, 0)], pad={"mode": "constant", "constant_values": 7}),
    *(Spec((5, 4), step=(2, 3), dilation=(1, 2), edge="pad", pad={"mode": mode}) for mode in MODES),
    # Wider than the array itself: np.pad goes back and forth.
    *(Spec((9, 9), step=(7, 5), edge="pad", widths=[(80, 45), (3, 120)], pad={"mode": mode}) for mode in MODES),
    # A window larger than the array is legal under padding.
    Spec((41, 60), step=(10, 10), edge="pad", pad={"mode": "edge"}),
]
LINE = [
    Spec((1,)),
    Spec((5,)),
    Spec((97,)),
    Spec((4,), step=(10,), edge="shift"),
    Spec((7,), dilation=(3,), edge="pad", pad={"mode": "reflect"}),
]
VOLUME = [
    Spec((2, 3, 4)),
    Spec((3, 3, 3), step=(2, 1, 4), edge="shift"),
    Spec((2, 2, 2), dilation=(3, 1, 2), edge="pad", pad={"mode": "symmetric"}),
    Spec((4, 5)),
    Spec((4,), step=(3,)),
]
FOUR = [Spec((2, 3, 2, 3)), Spec((2, 2, 3, 3), step=(2, 3, 1, 4), edge="shift"), Spec((3, 3), step=(2, 2))]

CASES = [
    *(("npy_f4_le_C.npy", spec) for spec in PLANE),
    *(("npy_u2_be_F.npy", spec) for spec in PLANE),
    *(("png_rgb_u1.png", spec) for spec in PLANE),
    *(("tiff_rgb_tiles_separate_zlib_predictor.tif", spec) for spec in PLANE),
    *(("npy_1d_97_f4_C.npy", spec) for spec in LINE),
    *(("npy_3d_9x11x13_f4_C.npy", spec) for spec in VOLUME),
    *(("npy_3d_9x11x13_i2_F.npy", spec) for spec in VOLUME),
    *(("npy_4d_5x6x7x8_u1_F.npy", spec) for spec in FOUR),
]


@pytest.mark.parametrize(("file", "spec"), CASES, ids=[f"{file} {spec}" for file, spec in CASES])
def test_rows_are_numpys_windows(file: str, spec: Spec, tmp_path: Path) -> None:
    corners, patches = spec.reference(corpus().expected(file))
    table = read_arrow(export(corpus().path(file), tmp_path / "out.arrow", *spec.args()))
    assert_same(table["window"].to_numpy(), np.arange(len(patches), dtype=np.uint64))
    assert_same(corners_of(table), corners)
    assert_same(patches_of(table, patches.shape[1:]), patches)


# -- every engine -----------------------------------------------------------------------------------------------------

DTYPES = ["b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
KINDS = [".parquet", ".arrow", ".arrows"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_engines_agree(dtype: str, kind: str, tmp_path: Path) -> None:
    file = f"npy_{dtype}_{'ne' if np.dtype(dtype).itemsize == 1 else 'le'}_C.npy"
    corners, patches = windows(corpus().expected(file), (4, 3))
    out = export(corpus().path(file), tmp_path / f"out{kind}", "--window", "4x3")

    table = read_arrow(out)
    value = pa.from_numpy_dtype(np.dtype(dtype))
    assert table.schema.names == ["window", "y", "x", "patch"]
    assert [table.schema.field(name).type for name in "yx"] == [pa.int64()] * 2
    assert table.schema.field("window").type == pa.uint64()
    patch = table.schema.field("patch").type
    assert patch.list_size == 4
    assert patch.value_type.list_size == 3
    assert patch.value_type.value_type == value
    assert_same(corners_of(table), corners)
    assert_same(patches_of(table, (4, 3)), patches)

    read = {".parquet": pl.read_parquet, ".arrow": pl.read_ipc, ".arrows": pl.read_ipc_stream}[kind]
    frame = read(out)
    assert frame.schema["window"] == pl.UInt64
    assert frame.schema["y"] == frame.schema["x"] == pl.Int64
    assert isinstance(frame.schema["patch"], pl.Array)
    assert frame.schema["patch"].shape == (4, 3)
    assert_same(frame.select("y", "x").to_numpy(), corners)
    assert_same(frame["patch"].to_numpy(), patches)

    if dtype == "f2" and kind != ".parquet":
        return  # DuckDB does not take half floats from Arrow
    seen = (duckdb.read_parquet(str(out)) if kind == ".parquet" else duckdb.from_arrow(table)).to_arrow_table()
    assert_same(corners_of(seen), corners)
    # DuckDB has no half floats: it widens them.
    assert_same(patches_of(seen, (4, 3)), patches.astype(np.float32) if dtype == "f2" else patches)


# -- what a scan can be asked for -------------------------------------------------------------------------------------

FLOATS = "npy_f4_le_C.npy"
COLOR = "png_rgb_u1.png"


@pytest.mark.parametrize("kind", KINDS)
def test_layout_binary(kind: str, tmp_path: Path) -> None:
    _, patches = windows(corpus().expected(FLOATS), (4, 3))
    args = ["--window", "4x3", "--layout", "binary"]
    table = read_arrow(export(corpus().path(FLOATS), tmp_path / f"out{kind}", *args))
    assert table.schema.field("patch").type == pa.binary(4 * 3 * 4)
    got = b"".join(table["patch"].to_pylist())
    assert got == patches.astype("<f4").tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_layout_fixed_shape_tensor(kind: str, tmp_path: Path) -> None:
    _, patches = windows(corpus().expected(COLOR), (4, 5))
    args = ["--window", "4x5", "--layout", "fixed-shape-tensor"]
    table = read_arrow(export(corpus().path(COLOR), tmp_path / f"out{kind}", *args))
    tensor = table.schema.field("patch").type
    assert isinstance(tensor, pa.FixedShapeTensorType)
    assert tensor.shape == [4, 5, 3]
    assert tensor.dim_names == ["y", "x", "c"]
    assert_same(table["patch"].combine_chunks().to_numpy_ndarray(), patches)


def test_columns(tmp_path: Path) -> None:
    image = corpus().path(COLOR)
    whole = read_arrow(export(image, tmp_path / "whole.arrow", "--window", "4x5"))
    for number, names in enumerate([["patch"], ["window"], ["x", "y"], ["y", "patch"], ["window", "y", "x", "patch"]]):
        out = tmp_path / f"{number}.parquet"
        table = read_arrow(export(image, out, "--window", "4x5", "--columns", ",".join(names)))
        assert sorted(table.column_names) == sorted(names)
        for name in names:
            assert table[name].combine_chunks() == whole[name].combine_chunks()


@pytest.mark.parametrize("rows", [(0, 0), (0, 1), (5, 5), (48, 53), (100, 731), (1660, 1666), (0, 1666)])
def test_rows(rows: tuple[int, int], tmp_path: Path) -> None:
    start, end = rows
    image = corpus().path(COLOR)
    corners, patches = windows(corpus().expected(COLOR), (4, 5))
    assert len(patches) == 34 * 49
    args = ["--window", "4x5", "--rows", f"{start}..{end}"]
    table = read_arrow(export(image, tmp_path / "out.parquet", *args))
    assert_same(table["window"].to_numpy(), np.arange(start, end, dtype=np.uint64))
    assert_same(corners_of(table), corners[start:end])
    assert_same(flat_values(table["patch"]), patches[start:end].reshape(-1))


def test_batches_do_not_change_the_rows(tmp_path: Path) -> None:
    image = corpus().path(COLOR)
    first = read_arrow(export(image, tmp_path / "first.arrow", "--window", "4x5"))
    sizes = [("--batch-rows", 1), ("--batch-rows", 7), ("--batch-rows", 10**6), ("--batch-bytes", "1KiB")]
    for number, size in enumerate(sizes):
        table = read_arrow(export(image, tmp_path / f"{number}.arrow", "--window", "4x5", *size))
        assert table.combine_chunks() == first.combine_chunks()


@pytest.mark.parametrize(
    ("kind", "compression"),
    [
        *((".parquet", name) for name in ["none", "zstd:1", "zstd:9", "lz4", "snappy"]),
        *((".arrow", name) for name in ["none", "zstd:1", "lz4"]),
        *((".arrows", name) for name in ["none", "zstd:1", "lz4"]),
    ],
)
def test_compression(kind: str, compression: str, tmp_path: Path) -> None:
    _, patches = windows(corpus().expected(COLOR), (8, 8))
    args = ["--window", "8x8", "--compression", compression]
    out = export(corpus().path(COLOR), tmp_path / f"out{kind}", *args)
    assert_same(patches_of(read_arrow(out), (8, 8, 3)), patches)
    assert_same(pl.DataFrame(read_arrow(out))["patch"].to_numpy(), patches)


def test_dtype(tmp_path: Path) -> None:
    image, array = corpus().path(COLOR), corpus().expected(COLOR)
    table = read_arrow(export(image, tmp_path / "wide.arrow", "--window", "4x5", "--dtype", "float32"))
    _, patches = windows(array.astype(np.float32), (4, 5))
    assert_same(patches_of(table, (4, 5, 3)), patches)

    args = ["--window", "4x5", "--dtype", "float32", "--scale", "0.5", "--offset=-3"]
    table = read_arrow(export(image, tmp_path / "scaled.arrow", *args))
    assert_same(patches_of(table, (4, 5, 3)), patches * np.float32(0.5) - np.float32(3))


def test_a_lossy_dtype_must_be_asked_for(tmp_path: Path) -> None:
    image, out = corpus().path("npy_f8_le_C.npy"), tmp_path / "out.arrow"
    args = ["--window", "4x5", "--dtype", "float32"]
    refused = windrow("export", image, "-o", out, *args)
    assert refused.returncode == 1
    assert b"--lossy" in refused.stderr
    assert not out.exists()
    with np.errstate(over="ignore", under="ignore"):
        _, patches = windows(corpus().expected("npy_f8_le_C.npy").astype(np.float32), (4, 5))
    assert_same(patches_of(read_arrow(export(image, out, *args, "--lossy")), (4, 5)), patches)


def test_axes_by_name(tmp_path: Path) -> None:
    image = corpus().path(COLOR)
    plain = read_arrow(export(image, tmp_path / "plain.arrow", "--window", "4x5"))
    named = read_arrow(export(image, tmp_path / "named.arrow", "--window", "4x5", "--axes", "y,x"))
    assert named == plain


def test_stream_is_the_exported_stream(tmp_path: Path) -> None:
    image = corpus().path(COLOR)
    out = export(image, tmp_path / "out.arrows", "--window", "4x5")
    run = windrow("stream", image, "--window", "4x5")
    assert run.returncode == 0
    assert run.stderr == b""
    streamed = pa.ipc.open_stream(run.stdout).read_all()
    assert streamed.schema.equals(read_arrow(out).schema, check_metadata=True)
    assert streamed == read_arrow(out)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_says_how_it_was_made(kind: str, tmp_path: Path) -> None:
    args = ["--window", "4x5", "--step", "2x3"]
    table = read_arrow(export(corpus().path(COLOR), tmp_path / f"out{kind}", *args))
    metadata = table.schema.metadata or {}
    text = b" ".join(value for key, value in metadata.items() if key.startswith(b"windrow")).decode()
    assert COLOR in text
    assert "uint8" in text


def test_info_counts_the_rows() -> None:
    for file, spec in CASES:
        run = windrow("info", corpus().path(file), "--json", *spec.args())
        assert run.returncode == 0, run.stderr
        info = json.loads(run.stdout)
        assert info["rows"] == len(spec.reference(corpus().expected(file))[0])
        assert info["peak_bytes"] > 0
