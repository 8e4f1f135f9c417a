"""`windrow fold`: files that other programs made of windows become images that other programs read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
import zarr
from harness import DATA, MIB, WINDROW, export, measured, read_arrow, windrow
from PIL import Image
from reference import windows

CHELSEA = DATA / "chelsea.png"


def fold(values: Path, out: Path, *args: object) -> np.ndarray:
    """`windrow fold`, which must succeed; the image, read by a foreign reader."""
    run = windrow("fold", values, "-q", "-o", out, *args)
    assert run.returncode == 0, run.stderr.decode()
    assert run.stderr == b""
    return read(out)


def read(path: Path) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".zarr":
        return zarr.open_array(path, mode="r")[...]
    return tifffile.imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (61, 47), dtype=np.uint16)


@pytest.fixture(scope="module")
def scene(image: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TIFF file that lies on the earth."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    tifffile.imwrite(path, image, extratags=GEO)
    return path


#: 10 by 20 metres a pixel, in UTM zone 33.
GEO = [
    (33550, "d", 3, (10.0, 20.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 400_000.0, 5_000_000.0, 0.0), True),
    (34735, "H", 12, (1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
    (34737, "s", 0, "WGS 84|", True),
    (42113, "s", 0, "65535", True),
]


@pytest.mark.parametrize("layout", ["tensor", "fixed-shape-tensor", "binary"])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows", "folder"])
@pytest.mark.parametrize("out", ["out.npy", "out.tif", "out.png", "out.zarr"])
def test_the_way_there_and_back(kind: str, layout: str, out: str, tmp_path: Path) -> None:
    table = tmp_path / ("parts/" if kind == "folder" else f"table.{kind}")
    more = ["--files", "3"] if kind == "folder" else []
    run = windrow("export", CHELSEA, "-q", "-o", f"{table}/" if more else table, "--window", "9x7", "--step", "5x4",
                  "--edge", "shift", "--layout", layout, *more)
    assert run.returncode == 0, run.stderr.decode()
    np.testing.assert_array_equal(fold(table, tmp_path / out), np.asarray(Image.open(CHELSEA)))


def test_a_summary_says_what_was_made(tmp_path: Path) -> None:
    table = export(CHELSEA, tmp_path / "table.parquet", "--window", "9x7", "--step", "5x4")
    run = windrow("fold", table, "-o", tmp_path / "out.npy")
    assert run.returncode == 0 and "out.npy: uint8 [300, 451, 3]" in run.stderr.decode()


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.6"])
def test_parquet_of_pyarrow(image: np.ndarray, scene: Path, compression: str, version: str, tmp_path: Path) -> None:
    """A model's predictions, with pyarrow's types, pages and nulls."""
    table = read_arrow(export(scene, tmp_path / "table.parquet", "--window", "6x6", "--step", "3"))
    patches = table["patch"].combine_chunks().flatten().flatten().to_numpy().reshape(-1, 6, 6)
    keep = np.random.default_rng(0).permutation(len(patches))
    bright = patches.mean(axis=(1, 2))[keep]
    columns = dict(
        window=pa.array(keep.astype(np.int32)),
        y=table["y"].take(keep),
        x=table["x"].take(keep),
        prediction=pa.array(bright, mask=bright < 1900),
    )
    options = dict(compression=compression, version=version, data_page_size=1000, row_group_size=77)
    made = tmp_path / "made.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata(table.schema.metadata), made, **options)
    grid = tuple((n - 6) // 3 + 1 for n in image.shape)
    expected = np.full(grid, np.nan)
    np.put(expected, keep, np.where(bright < 1900, np.nan, bright))
    np.testing.assert_array_equal(fold(made, tmp_path / "out.npy"), expected)

    # What the file said is gone: another file says it, or the image and its windows do.
    pq.write_table(pa.table(columns), made, **options)
    refused = windrow("fold", made, "-o", tmp_path / "no.npy")
    assert refused.returncode == 1 and b"does not say of which windows" in refused.stderr
    assert not (tmp_path / "no.npy").exists()
    for like in (["--like", tmp_path / "table.parquet"], ["--like", scene, "--window", "6x6", "--step", "3"]):
        np.testing.assert_array_equal(fold(made, tmp_path / "out.npy", *like), expected)

    lists = [None if value < 1900 else [int(value), 1, -2] for value in bright]
    for kind in (pa.list_(pa.int16()), pa.large_list(pa.int64()), pa.list_(pa.int8(), 3)):
        some = [row and [row[0] % 100, *row[1:]] for row in lists]
        scores = pa.table({"window": keep, "scores": pa.array(some, kind)})
        pq.write_table(scores.replace_schema_metadata(table.schema.metadata), made, **options)
        cube = fold(made, tmp_path / "out.tif", "--fill", "-1")
        assert cube.shape == (*grid, 3)
        expect = np.full((*grid, 3), -1)
        for window, row in zip(keep, some):
            expect[np.unravel_index(window, grid)] = -1 if row is None else row
        np.testing.assert_array_equal(cube, expect)


@pytest.mark.parametrize("blend", ["mean", "sum", "max", "min", "last", "hann"])
def test_files_of_polars_and_duckdb(image: np.ndarray, scene: Path, blend: str, tmp_path: Path) -> None:
    table = export(scene, tmp_path / "table.parquet", "--window", "5x4", "--step", "2x3", "--edge", "shift")
    patches = pl.read_parquet(table).sample(fraction=0.7, shuffle=True, seed=1)
    args = ["--like", table, "--blend", blend, "--dtype", "float64", "--fill", "nan"]
    results = []
    for name in ("made.parquet", "made.arrow", "made.arrows", "duck.parquet"):
        made = tmp_path / name
        if name == "duck.parquet":
            duckdb.from_arrow(patches.to_arrow()).write_parquet(str(made), row_group_size=100)
        elif made.suffix == ".parquet":
            patches.write_parquet(made, row_group_size=50)
        elif made.suffix == ".arrow":
            patches.write_ipc(made, compression="lz4")
        else:
            patches.write_ipc_stream(made)
        results.append(fold(made, tmp_path / "out.npy", *args))
        # The same in passes over a few lines each.
        for out in ("out.tif", "out.npy"):
            run = windrow("fold", made, "-o", tmp_path / out, *args, "--memory", "6kB")
            assert run.returncode == 0 and b" passes, in " in run.stderr, run.stderr.decode()
            np.testing.assert_array_equal(read(tmp_path / out), results[-1])
    hits = [[[] for _ in range(image.shape[1])] for _ in range(image.shape[0])]
    for window, y, x, patch in sorted(patches.rows()):
        for i, row in enumerate(np.reshape(patch, (5, 4))):
            for j, value in enumerate(row):
                weight = np.sin(np.pi * (i + 0.5) / 5) ** 2 * np.sin(np.pi * (j + 0.5) / 4) ** 2
                hits[y + i][x + j].append((float(value), weight))
    function = dict(
        mean=lambda hit: np.mean([value for value, _ in hit]),
        sum=lambda hit: sum(value for value, _ in hit),
        max=lambda hit: max(value for value, _ in hit),
        min=lambda hit: min(value for value, _ in hit),
        last=lambda hit: hit[-1][0],
        hann=lambda hit: np.average([value for value, _ in hit], weights=[weight for _, weight in hit]),
    )[blend]
    expected = np.array([[function(cell) if cell else np.nan for cell in row] for row in hits])
    for result in results:
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_a_pipe(image: np.ndarray, scene: Path, tmp_path: Path) -> None:
    stream = subprocess.Popen([WINDROW, "stream", scene, "--window", "4x4"], stdout=subprocess.PIPE)
    run = windrow("fold", "-", "-q", "-o", tmp_path / "out.npy", stdin=stream.stdout)
    assert (run.returncode, stream.wait()) == (0, 0), run.stderr.decode()
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), image)


def test_a_pipe_in_order_needs_a_few_lines(tmp_path: Path) -> None:
    """What is finished is written; what comes after that is an error."""
    image = np.random.default_rng(0).integers(0, 256, (400, 90), np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", image)
    for args in (
        ["--window", "7x5", "--step", "3x2", "--edge", "shift"],
        ["--window", "6x6", "--pad", "3", "--step", "3"],
        ["--window", "3x3", "--dilation", "4x2"],
        # Nothing covers the last lines.
        ["--window", "4x90", "--step", "399"],
    ):
        table = tmp_path / "table.arrows"
        export(tmp_path / "image.tif", table, *args)
        whole = fold(table, tmp_path / "whole.npy")
        for out in ("out.npy", "out.tif", "out.zarr"):
            for memory in ("9kB", "20kB", "100kB"):
                with table.open("rb") as stream:
                    run = windrow("fold", "-", "-q", "-o", tmp_path / out, "--memory", memory, stdin=stream)
                assert run.returncode == 0, run.stderr.decode()
                np.testing.assert_array_equal(read(tmp_path / out), whole)
    export(tmp_path / "image.tif", table, "--window", "7x5")
    batches = list(pa.ipc.open_stream(table))
    rows = pa.Table.from_batches(batches).take(np.random.default_rng(0).permutation(394 * 86))
    with pa.ipc.new_stream(tmp_path / "shuffled.arrows", rows.schema) as writer:
        writer.write_table(rows, max_chunksize=500)
    with (tmp_path / "shuffled.arrows").open("rb") as stream:
        run = windrow("fold", "-", "-q", "-o", tmp_path / "no.npy", "--memory", "20kB", stdin=stream)
    assert run.returncode == 1 and b"a window" in run.stderr and not (tmp_path / "no.npy").exists()
    np.testing.assert_array_equal(fold(tmp_path / "shuffled.arrows", tmp_path / "out.npy", "--memory", "20kB"), image)


def geo(path: Path) -> dict[int, object]:
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        return {tag.code: tag.value for tag in tags if tag.code in (33550, 33922, 34264, 34735, 34736, 34737, 42113)}


def test_a_tiff_lies_where_the_image_lay(image: np.ndarray, scene: Path, tmp_path: Path) -> None:
    table = export(scene, tmp_path / "table.parquet", "--window", "4x6", "--step", "3x2")
    back = fold(table, tmp_path / "back.tif")
    # What no window covers is what the image calls missing.
    np.testing.assert_array_equal(back, np.pad(image[:61, :46], ((0, 0), (0, 1)), constant_values=65535))
    assert geo(tmp_path / "back.tif") == geo(scene)

    ids = np.arange(20 * 21)
    classes = pa.table({"window": ids, "class": ids.astype(np.uint8)})
    pq.write_table(classes.replace_schema_metadata(read_arrow(table).schema.metadata), tmp_path / "classes.parquet")
    grid = fold(tmp_path / "classes.parquet", tmp_path / "grid.tif")
    np.testing.assert_array_equal(grid, ids.astype(np.uint8).reshape(20, 21))
    tags = geo(tmp_path / "grid.tif")
    assert tags[33550] == (20.0, 60.0, 0.0) and tags[34735] == geo(scene)[34735]
    # A cell is around the middle of its window: 4 pixels of 20 m, 6 of 10.
    (i, j, _, x, y, _), (sx, sy, _) = tags[33922], tags[33550]
    assert (x + (0.5 - i) * sx, y - (0.5 - j) * sy) == (400_030.0, 4_999_960.0)
    # 65535 is no uint8, and so it means nothing in this file.
    assert 42113 not in tags
    fold(tmp_path / "classes.parquet", tmp_path / "filled.tif", "--fill", "7")
    assert geo(tmp_path / "filled.tif")[42113] in ("7", 7)

    moved = tmp_path / "moved.tif"
    scene_copy = tmp_path / "gone.tif"
    scene_copy.write_bytes(scene.read_bytes())
    table = export(scene_copy, tmp_path / "table.parquet", "--window", "4x6")
    scene_copy.rename(moved)
    run = windrow("fold", table, "-o", tmp_path / "lost.tif")
    assert run.returncode == 0 and b"note: only the georeference that the table has, since" in run.stderr
    # Where it lay, and in what system; the value for missing pixels is nowhere but in the image.
    assert {tag: geo(tmp_path / "lost.tif").get(tag) for tag in (33550, 33922, 42113)} == {
        33550: geo(scene)[33550],
        33922: geo(scene)[33922],
        42113: None,
    }
    fold(table, tmp_path / "found.tif", "--image", moved)
    assert geo(tmp_path / "found.tif") == geo(scene)


@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
def test_files_of_every_type(dtype: str, tmp_path: Path) -> None:
    values = (np.random.default_rng(0).integers(0, 2, (19, 23, 5)) * 3).astype(dtype)
    np.save(tmp_path / "image.npy", values)
    for window, shape in (("4x4", values.shape), ("4x4x2", values.shape)):
        for ending in ("parquet", "arrow"):
            table = export(tmp_path / "image.npy", tmp_path / f"table.{ending}", "--window", window)
            got = fold(table, tmp_path / "out.npy")
            assert got.dtype == values.dtype and got.shape == shape
            np.testing.assert_array_equal(got, values)
        got = fold(table, tmp_path / "out.tif")
        np.testing.assert_array_equal(got, values)
        got = fold(table, tmp_path / "out.zarr")
        assert got.dtype == values.dtype
        np.testing.assert_array_equal(got, values)


def test_an_array_of_zarr(image: np.ndarray, scene: Path, tmp_path: Path) -> None:
    """What it says of itself; it replaces an array, and nothing else, and is whole or not there."""
    table = export(scene, tmp_path / "table.parquet", "--window", "4x4")
    for _ in range(2):
        np.testing.assert_array_equal(fold(table, tmp_path / "out.zarr"), image)
    array = zarr.open_array(tmp_path / "out.zarr", mode="r")
    assert (array.metadata.zarr_format, array.metadata.dimension_names) == (3, ("y", "x"))
    assert [codec.to_dict()["name"] for codec in array.metadata.codecs] == ["bytes", "zstd"]
    # Our own reader has the same.
    again = export(tmp_path / "out.zarr", tmp_path / "again.parquet", "--window", "4x4")
    np.testing.assert_array_equal(fold(again, tmp_path / "again.npy"), image)
    # Chunks on all axes, of many lines each.
    wide = np.random.default_rng(0).integers(0, 9, (700, 9000), np.uint8)
    np.save(tmp_path / "wide.npy", wide)
    table = export(tmp_path / "wide.npy", tmp_path / "wide.parquet", "--window", "50x50", "--step", "50")
    np.testing.assert_array_equal(fold(table, tmp_path / "wide.zarr", "--memory", "1MB"), wide)
    assert zarr.open_array(tmp_path / "wide.zarr", mode="r").chunks == (256, 3000)
    # A group is no array: what is in it stays.
    zarr.create_group(tmp_path / "group.zarr").create_array("kept", shape=(3,), dtype="u1")[:] = 7
    assert "something else in it" in bad(tmp_path, table, out="group.zarr")
    assert zarr.open_group(tmp_path / "group.zarr", mode="r")["kept"][0] == 7
    # An error on the way leaves nothing, and what was there.
    rows = pq.read_table(table)
    broken = rows.set_column(0, "window", pa.array([*range(len(rows) - 1), 10**9], pa.uint64()))
    pq.write_table(broken, tmp_path / "broken.parquet", row_group_size=500)
    assert "no window" in bad(tmp_path, tmp_path / "broken.parquet", out="none.zarr")
    assert "no window" in bad(tmp_path, tmp_path / "broken.parquet", out="wide.zarr")
    np.testing.assert_array_equal(read(tmp_path / "wide.zarr"), wide)


def test_channels_first_and_volumes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 21, 17))
    np.save(tmp_path / "image.npy", values)
    for args in (["--window", "4x4", "--axes", "1,2"], ["--window", "2x4x4", "--step", "1x2x3", "--edge", "shift"]):
        table = export(tmp_path / "image.npy", tmp_path / "table.parquet", *args)
        # The mean of a few equal numbers may be off in its last place.
        np.testing.assert_allclose(fold(table, tmp_path / "out.npy"), values, rtol=1e-15)
        for out in ("out.npy", "out.zarr"):
            got = fold(table, tmp_path / out, "--memory", "3kB")
            np.testing.assert_allclose(got, values, rtol=1e-15)


def bad(tmp_path: Path, values: Path, *args: object, out: str = "out.npy") -> str:
    before = set(tmp_path.iterdir())
    run = windrow("fold", values, "-o", tmp_path / out, *args)
    assert run.returncode == 1, run.stderr.decode()
    text = run.stderr.decode()
    assert text.startswith("windrow: ") and text.count("\n") == 1, text
    assert set(tmp_path.iterdir()) == before
    return text


def test_bad_input_is_told(image: np.ndarray, scene: Path, tmp_path: Path) -> None:
    table = export(scene, tmp_path / "table.parquet", "--window", "4x4", "--step", "4")
    metadata = read_arrow(table).schema.metadata

    def made(metadata=metadata, **columns) -> Path:
        path = tmp_path / "made.parquet"
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
        return path

    made(window=[0], a=[1])
    for columns, part in [
        (dict(window=[0, 165], a=[1, 2]), "no window 165: there are 165, 0..165"),
        (dict(window=[0, -3], a=[1, 2]), "no window -3: ids count from 0"),
        (dict(window=[0, None], a=[1, 2]), "values: a window is null"),
        (dict(window=[0.5, 1.0], a=[1, 2]), "values: column \"window\" is no column of integers"),
        (dict(window=[0, 1], a=["x", "y"]), "column \"a\" is of type BYTE_ARRAY: expected numbers"),
        (dict(window=[0, 1], a=[[1, 2], [1]]), "values of 2 and of 1 items"),
        (dict(window=[0, 1], a=[[1, 2], [1, None]]), "a null or an empty list within a value"),
        (dict(window=[0, 1], a=[[[1, 2], [3]], [[1, 2], [3]]]), "lists of different lengths"),
        (dict(window=[0, 1], a=[b"abc", b"abc"]), "has values of 3 bytes: expected 32"),
        (dict(window=[0, 1], a=[b"abc", b"abcd"]), "has values of 3 and of 4 bytes"),
        (dict(window=[0, 1], a=[{"b": 1, "c": 2}, {"b": 1, "c": 2}]), "column \"a\" is of several"),
        (dict(window=[0, 1], a=[1, 2], b=[1, 2]), "--column: which of window, a, b?"),
        (dict(id=[0, 1], a=[1, 2]), "--column: which of id, a?"),
        (dict(id=[0, 1], patch=[1, 2]), "--column: no column \"window\": there are id, patch"),
        (dict(window=pa.array([], pa.int64()), a=pa.array([], pa.int64())), "values: none came"),
        (dict(window=[0, 1], a=pa.array([None, None], pa.int64())), "values: none came"),
    ]:
        assert part in bad(tmp_path, made(**columns)), part
    good = made(window=[0, 1], a=[1, 2])
    for args, part in [
        (["--column", "b"], "--column: no column \"b\": there are window, a"),
        (["--at", "corner"], "--at: \"corner\" is not one of patch, grid, center"),
        (["--at", "patch"], "are no patches of windows 4x4"),
        (["--blend", "median"], "--blend: \"median\" is not one of mean"),
        (["--fill", "0.5"], "--fill: 0.5 is not a int64"),
        (["--fill", "x"], "--fill: \"x\" is not a number"),
        (["--dtype", "float"], "--dtype: \"float\""),
        (["--memory", "much"], "--memory: \"much\" is not a size"),
        (["--like", scene], "scene.tif: neither Parquet nor Arrow IPC"),
        (["--window", "4x4"], "--window: goes with --like IMAGE"),
        (["--like", scene, "--window", "99x4"], "window 99 is larger than the array: 61"),
        (["--like", tmp_path / "none.parquet"], "none.parquet: cannot open"),
    ]:
        assert part in bad(tmp_path, good, *args), part
    assert "its ending is none of .npy, .tif, .png, .zarr" in bad(tmp_path, good, out="out.jpg")
    assert "is the file of values itself" in bad(tmp_path, table, out="table.parquet")
    image_copy = tmp_path / "image.tif"
    image_copy.write_bytes(scene.read_bytes())
    same = bad(tmp_path, good, "--like", image_copy, "--window", "4x4", out="image.tif")
    assert "is the image that was scanned itself" in same and image_copy.read_bytes() == scene.read_bytes()
    assert "a cell is 300" in bad(tmp_path, made(window=[0], a=[300]), "--dtype", "uint8")
    assert "1 channels of int64 are no PNG" in bad(tmp_path, good, out="out.png")
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, image[1:])
    assert "other.tif: is of shape [60, 47]" in bad(tmp_path, good, "--image", other, out="out.tif")
    for name in ("broken.parquet", "broken.arrow"):
        whole = export(scene, tmp_path / f"whole{Path(name).suffix}", "--window", "4x4").read_bytes()
        for cut in (8, 20, len(whole) // 2, len(whole) - 3):
            (tmp_path / name).write_bytes(whole[:cut])
            bad(tmp_path, tmp_path / name)


def test_metadata_of_someone_else_leads_nowhere(scene: Path, tmp_path: Path) -> None:
    table = read_arrow(export(scene, tmp_path / "table.parquet", "--window", "4x4"))
    text = table.schema.metadata[b"windrow"].decode()
    for old, new, part in [
        ('"shape":[61,47]', '"shape":[61000000000,47000000000]', "too large"),
        ('"shape":[61,47]', '"shape":[2,47]', "larger than the array"),
        ('"patch_shape":[4,4]', '"patch_shape":[4,5]', "schema metadata"),
        ('"axes":["y","x"]', '"axes":["y"]', "1 names for 2 axes"),
        ('"window_shape":[4,4]', '"window_shape":[0,4]', "expected at least 1"),
        ("{", "", "metadata \"windrow\""),
    ]:
        assert old in text, text
        broken = table.replace_schema_metadata({"windrow": text.replace(old, new, 1)})
        pq.write_table(broken, tmp_path / "broken.parquet")
        assert part in bad(tmp_path, tmp_path / "broken.parquet"), part


def test_an_image_larger_than_memory(tmp_path: Path) -> None:
    """256 MB of sums in 64 MiB: in passes, of which each reads its own row groups."""
    side = 8000
    image = np.arange(side * side, dtype=np.uint8).reshape(side, side)
    np.save(tmp_path / "image.npy", image)
    table = export(tmp_path / "image.npy", tmp_path / "table.parquet", "--window", "32x32", "--step", "16")
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
    for out in ("out.npy", "out.tif", "out.zarr"):
        run = measured("fold", table, "-q", "-o", tmp_path / out, "--memory", "64MiB", env=environment)
        assert run.code == 0, run.stderr
        # The program itself has up to 48 MiB, with a query engine in it.
        assert run.rss < 64 * MIB + 84 * MIB, run.rss
        np.testing.assert_array_equal(read(tmp_path / out), image)
    # In any order.
    shuffled = pl.read_parquet(table).sample(fraction=1, shuffle=True, seed=1)
    shuffled.write_parquet(tmp_path / "shuffled.parquet")
    args = ["--like", table, "--memory", "64MiB"]
    run = measured("fold", tmp_path / "shuffled.parquet", "-q", "-o", tmp_path / "out.npy", *args, env=environment)
    assert run.code == 0, run.stderr
    assert run.rss < 64 * MIB + 148 * MIB, run.rss
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), image)


def test_the_reference_agrees(image: np.ndarray, scene: Path, tmp_path: Path) -> None:
    corners, patches = windows(image, [4, 4], [3, 3], [2, 2], "shift", None)
    table = pa.table({"window": np.arange(len(patches)), "patch": list(patches.reshape(len(patches), -1))})
    pq.write_table(table, tmp_path / "made.parquet")
    args = ["--like", scene, "--window", "4x4", "--step", "3", "--dilation", "2", "--edge", "shift"]
    got = fold(tmp_path / "made.parquet", tmp_path / "out.npy", *args, "--fill", "0")
    assert (got == image)[got > 0].all() and (got > 0).mean() > 0.9
