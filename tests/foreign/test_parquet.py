"""Parquet files of many pages and row groups, which are put together page by page: three readers see numpy's windows."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import MIB, assert_same, corners_of, export, patches_of, read_arrow
from reference import windows

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]
WINDOW = (3, 5)


def noise(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Every value of the narrow types, and both ends of all."""
    generator = np.random.default_rng(len(dtype) + sum(map(ord, dtype)))
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return generator.normal(0, 100, shape).astype(dtype)
    if kind.kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    ends = np.iinfo(kind)
    return generator.integers(ends.min, ends.max, shape, dtype=dtype, endpoint=True)


def make(array: np.ndarray, folder: Path, *args: object, window: tuple[int, ...] = WINDOW, name: str = "out") -> Path:
    np.save(folder / "image.npy", array)
    return export(folder / "image.npy", folder / f"{name}.parquet", "--window", "x".join(map(str, window)), *args)


@pytest.mark.parametrize("layout", ["tensor", "fixed-shape-tensor"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_many_pages_of_every_type(dtype: str, layout: str, tmp_path: Path) -> None:
    # More than one page of 4 MiB for bytes, and a last page that fills no group of eight; for bits, an odd number.
    array = noise((607, 605), dtype)
    path = make(array, tmp_path, "--layout", layout)
    corners, patches = windows(array, WINDOW)
    table = pq.read_table(path)
    assert_same(table["window"].to_numpy(), np.arange(len(patches), dtype=np.uint64))
    assert_same(corners_of(table), corners)
    assert_same(patches_of(table, WINDOW), patches)

    frame = pl.read_parquet(path)
    assert frame["window"].to_list() == list(range(len(patches)))
    got = frame["patch"].to_numpy().reshape(patches.shape)
    assert np.array_equal(got, patches, equal_nan=patches.dtype.kind == "f")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "bool"])
def test_duckdb_sees_the_same(dtype: str, tmp_path: Path) -> None:
    array = noise((607, 605), dtype)
    path = make(array, tmp_path, "--layout", "fixed-shape-tensor")
    _, patches = windows(array, WINDOW)
    cast = "int" if dtype == "bool" else "double"
    query = f"""select "window", list_sum(list_transform(patch, lambda p: p::{cast})) from '{path}' order by 1"""
    ids, sums = duckdb.sql(query).fetchnumpy().values()
    assert np.array_equal(ids, np.arange(len(patches)))
    assert np.allclose(sums.astype(float), patches.reshape(len(patches), -1).astype(float).sum(axis=1))


@pytest.mark.parametrize("compression", ["none", "zstd", "zstd:9", "lz4", "snappy"])
@pytest.mark.parametrize("layout", ["tensor", "binary"])
def test_codecs(layout: str, compression: str, tmp_path: Path) -> None:
    array = noise((607, 605), "uint8")
    path = make(array, tmp_path, "--layout", layout, "--compression", compression)
    _, patches = windows(array, WINDOW)
    column = pq.read_table(path)["patch"].combine_chunks()
    if layout == "binary":
        got = np.frombuffer(column.buffers()[1], dtype="uint8")[: patches.size]
    else:
        got = column.flatten().flatten().to_numpy()
    assert np.array_equal(got, patches.reshape(-1))
    assert pl.read_parquet(path, columns=["patch"]).height == len(patches)
    assert duckdb.sql(f"select count(patch) from '{path}'").fetchall() == [(len(patches),)]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("layout", ["tensor", "binary"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_a_codec_was_told_any_reader_reads(
    dtype: str, layout: str, compression: str, ending: str, tmp_path: Path
) -> None:
    """Where neighbours overlap is told to the codec, further back than it looks by itself, over several pages or batches."""
    array, window = noise((90, 2100) if dtype == "uint8" else (50, 1200), dtype), (8, 8)
    np.save(tmp_path / "image.npy", array)
    args = ["--window", "8x8", "--layout", layout, "--compression", compression]
    path = export(tmp_path / "image.npy", tmp_path / f"out.{ending}", *args)
    # All but new pixels, and what says where the others are: LZ4 does not reach the line above.
    assert path.stat().st_size < (7 if compression == "zstd" else 60) * array.nbytes
    _, patches = windows(array, window)

    table = read_arrow(path)
    if layout == "tensor":
        assert_same(patches_of(table, window), patches)
    else:
        assert b"".join(table["patch"].to_pylist()) == patches.tobytes()
    frame = pl.read_parquet(path) if ending == "parquet" else pl.read_ipc(path)
    if layout == "tensor":
        assert_same(frame["patch"].to_numpy(), patches)
    else:
        assert b"".join(frame["patch"]) == patches.tobytes()
    if ending == "parquet" and layout == "binary":
        rows = duckdb.sql(f"""select patch from '{path}' order by "window\"""").fetchall()
        assert b"".join(row[0] for row in rows) == patches.tobytes()


def test_many_row_groups(tmp_path: Path) -> None:
    """Two and a half, of which readers take what they need by the statistics of the coordinates."""
    array = noise((1803, 1402), "uint8")
    path = make(array, tmp_path, window=(4, 3))
    _, patches = windows(array, (4, 3))
    meta = pq.ParquetFile(path).metadata
    assert meta.num_rows == len(patches) == 1800 * 1400
    assert meta.num_row_groups == 3
    for i in range(meta.num_row_groups):
        group = meta.row_group(i)
        assert group.column(1).statistics.has_min_max
        assert group.column(1).has_column_index and group.column(3).has_offset_index
    table = pq.read_table(path)
    assert_same(patches_of(table, (4, 3)), patches)
    for y in [0, 748, 749, 1799]:
        expected = patches.reshape(1800, 1400, 4, 3)[y]
        # (pyarrow filters nested fixed-size lists wrongly, whoever wrote them; ids it filters well.)
        ids = pq.read_table(path, columns=["window"], filters=[("y", "==", y)])["window"].to_numpy()
        assert np.array_equal(ids, np.arange(1400) + 1400 * y)
        got = pl.scan_parquet(path).filter(pl.col("y") == y).collect()["patch"].to_numpy()
        assert np.array_equal(got, expected)


def test_few_rows_of_two_bytes(tmp_path: Path) -> None:
    """They need no dictionary of all values, which would be larger than the file."""
    for dtype in ["uint16", "int16"]:
        array = noise((20, 20), dtype)
        path = make(array, tmp_path, name=dtype)
        assert path.stat().st_size < 20_000
        assert_same(patches_of(pq.read_table(path), WINDOW), windows(array, WINDOW)[1])


def test_an_empty_table(tmp_path: Path) -> None:
    path = make(noise((9, 9), "uint8"), tmp_path, "--rows", "0..0")
    assert pq.read_table(path).num_rows == 0
    assert pl.read_parquet(path).shape == (0, 4)


@pytest.mark.parametrize("columns", ["patch", "y,window", "patch,x,window"])
def test_any_columns(columns: str, tmp_path: Path) -> None:
    array = noise((607, 605), "uint16")
    path = make(array, tmp_path, "--columns", columns)
    table = pq.read_table(path)
    assert table.column_names == columns.split(",")
    if "patch" in columns:
        assert_same(patches_of(table, WINDOW), windows(array, WINDOW)[1])
    if "x" in columns:
        assert_same(table["x"].to_numpy(), windows(array, WINDOW)[0][:, 1])


def test_stored_columns_keep_their_nulls(tmp_path: Path) -> None:
    """Layout `columns`, when it is insisted on."""
    for dtype in DTYPES:
        array = noise((307, 305), dtype)
        path = make(array, tmp_path, "--layout", "columns", "--store-columns", name=dtype)
        table = pq.read_table(path)
        assert table["window"].null_count == table.num_rows - 305 * 301 > 0
        whole = table.filter(table["window"].is_valid())
        _, patches = windows(array, WINDOW)
        for dy in range(3):
            for dx in range(5):
                assert_same(whole[f"p_{dy}_{dx}"].to_numpy(zero_copy_only=False), patches[:, dy, dx])


def test_the_same_file_for_any_number_of_threads(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", noise((1203, 902), "uint8"))
    files = []
    for threads, batch in [("1", "1000"), ("2", "70000"), ("5", "123457")]:
        out = tmp_path / f"{threads}.parquet"
        os.environ["RAYON_NUM_THREADS"] = threads
        try:
            files.append(export(tmp_path / "image.npy", out, "--window", "5x5", "--batch-rows", batch).read_bytes())
        finally:
            del os.environ["RAYON_NUM_THREADS"]
    assert files[0] == files[1] == files[2]
    assert len(files[0]) > MIB


def test_the_type_comes_back(tmp_path: Path) -> None:
    """The schema that Arrow's readers give is the one that was written, metadata included."""
    array = noise((50, 50), "uint16")
    path = make(array, tmp_path)
    other = export(tmp_path / "image.npy", tmp_path / "out.arrow", "--window", "3x5")
    assert pq.read_schema(path).equals(pa.ipc.open_file(other).schema, check_metadata=True)
