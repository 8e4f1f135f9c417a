"""Which windows, in what order, on the command line; nodata and labels; as foreign readers see it."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
import tifffile
from harness import assert_same, export, patches_of, read_arrow, windrow
from reference import windows

SHAPE, WINDOW = (90, 110), (4, 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, a mask and labels."""
    folder, rng = tmp_path_factory.mktemp("rows"), np.random.default_rng(3)
    np.save(folder / "image.npy", rng.integers(0, 2000, SHAPE, dtype=np.uint16))
    yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1]]
    np.save(folder / "mask.npy", (yy - 40) ** 2 + (xx - 60) ** 2 < 700)
    np.save(folder / "classes.npy", rng.choice(np.array([1, 2, 3, 9], np.uint8), SHAPE, p=[0.7, 0.2, 0.005, 0.095]))
    return folder


def table(folder: Path, out: Path, *args: object) -> pa.Table:
    return read_arrow(export(folder / "image.npy", out, "--window", "4x5", *args))


def ids_and_patches(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return table["window"].to_numpy(), patches_of(table, WINDOW)


@pytest.mark.parametrize("kind", [".parquet", ".arrow", ".arrows"])
def test_samples_and_orders(folder: Path, kind: str, tmp_path: Path) -> None:
    _, patches = windows(np.load(folder / "image.npy"), WINDOW)
    count = len(patches)
    sample, got = ids_and_patches(table(folder, tmp_path / f"a{kind}", "--sample", 500, "--seed", 7))
    assert len(sample) == 500 and (np.diff(sample.astype(int)) > 0).all()
    assert_same(got, patches[sample])
    order, got = ids_and_patches(table(folder, tmp_path / f"b{kind}", "--shuffle", 7))
    assert_same(np.sort(order), np.arange(count, dtype=np.uint64))
    assert_same(got, patches[order])
    # The first of a shuffle, in the order of the grid.
    assert_same(np.sort(order[:500]), sample)
    shards = [table(folder, tmp_path / f"c{i}{kind}", "--shuffle", 7, "--shard", f"{i}/3") for i in range(3)]
    assert_same(np.concatenate([shard["window"].to_numpy() for shard in shards]), order)
    skipped = table(folder, tmp_path / f"d{kind}", "--shuffle", 7, "--skip", count - 10)
    assert_same(skipped["window"].to_numpy(), order[-10:])
    other = table(folder, tmp_path / f"e{kind}", "--shuffle", 7, "--epoch", 1, "--columns", "window")
    assert (other["window"].to_numpy() != order).mean() > 0.9
    assert b'"shuffle":{"seed":7,"epoch":1,"rows":%d}' % count in other.schema.metadata[b"windrow"]


def test_masks_boxes_and_lists(folder: Path, tmp_path: Path) -> None:
    inside, _ = windows(np.load(folder / "mask.npy"), WINDOW), None
    flags = inside[1].reshape(len(inside[1]), -1)
    for at, keep in {"any": flags.any(1), "all": flags.all(1), "0.4": flags.mean(1) >= 0.4, "center": flags[:, 12]}.items():
        got = table(folder, tmp_path / "mask.parquet", "--mask", folder / "mask.npy", "--mask-at", at)
        assert_same(got["window"].to_numpy(), np.flatnonzero(keep).astype(np.uint64))
    box = table(folder, tmp_path / "box.parquet", "--within", "y=5..8,x=100..")
    assert set(box["y"].to_pylist()) == {5, 6, 7} and min(box["x"].to_pylist()) == 100 and len(box) == 18
    (tmp_path / "ids.txt").write_text("5\n900\n77\n")
    for ids in ("5,900,77", f"@{tmp_path / 'ids.txt'}"):
        assert table(folder, tmp_path / "ids.parquet", "--ids", ids)["window"].to_pylist() == [5, 900, 77]


def test_splits_and_classes(folder: Path, tmp_path: Path) -> None:
    classes = np.load(folder / "classes.npy")
    labels = ["--labels", folder / "classes.npy", "--label-nodata", 9]
    paint = {}
    for part in ("train", "test"):
        split = ["--split", "train=0.7,test=0.3", "--block", "20x22", "--part", part, "--seed", 2]
        got = table(folder, tmp_path / f"{part}.parquet", *split, "--columns", "y,x")
        paint[part] = np.zeros(SHAPE, bool)
        for y, x in zip(got["y"].to_pylist(), got["x"].to_pylist()):
            paint[part][y : y + 4, x : x + 5] = True
    assert not (paint["train"] & paint["test"]).any() and paint["train"].any() and paint["test"].any()

    out = tmp_path / "balanced.parquet"
    run = windrow("export", folder / "image.npy", "-o", out, "--window", "4x5", *labels, "--per-class", 100)
    assert run.returncode == 0
    got = read_arrow(out)
    centers = classes[2:-1, 2:-2].ravel()
    rare = int((centers == 3).sum())
    assert f"note: class 3 has {rare} windows, not 100".encode() in run.stderr
    assert_same(got["label"].to_numpy(), centers[got["window"].to_numpy()])
    assert pl.read_parquet(out).group_by("label").len().sort("label").rows() == [(1, 100), (2, 100), (3, rare)]
    majority = table(folder, tmp_path / "m.parquet", "--labels", folder / "classes.npy", "--label-at", "majority")
    _, patches = windows(classes, WINDOW)
    expected = [np.bincount(patch.ravel()).argmax() for patch in patches]
    assert majority["label"].to_pylist() == expected


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "u8", "f2", "f4", "f8", "?"])
@pytest.mark.parametrize("nulls", ["few", "all of a page", "most"])
def test_nulls_in_every_kind_of_file(dtype: str, nulls: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    share = {"few": 0.001, "all of a page": 0.3, "most": 0.95}[nulls]
    image = rng.integers(0, 2, (61, 53)).astype(dtype) if dtype == "?" else rng.integers(1, 100, (61, 53)).astype(dtype)
    none = np.dtype(dtype).type(0) if dtype != "f4" else np.float32(np.nan)
    image[rng.random(image.shape) < share] = none
    np.save(tmp_path / "image.npy", image)
    _, patches = windows(image, (3, 4))
    null = np.isnan(patches) if dtype == "f4" else patches == none
    args = ["--window", "3x4", "--nodata", "nan" if dtype == "f4" else 0]
    arrow = read_arrow(export(tmp_path / "image.npy", tmp_path / "out.arrow", *args))
    values = arrow["patch"].combine_chunks().flatten().flatten()
    np.testing.assert_array_equal(values.is_null().to_numpy(zero_copy_only=False), null.ravel())
    assert values.drop_null().to_pylist() == patches[~null].tolist()
    np.testing.assert_allclose(arrow["valid"].to_numpy(), 1 - null.reshape(len(null), -1).mean(axis=1))
    out = export(tmp_path / "image.npy", tmp_path / "out.parquet", *args)
    assert read_arrow(out).equals(arrow)
    if dtype != "f2":
        frame = pl.read_parquet(out)
        assert frame["patch"].explode().explode().null_count() == null.sum()
        assert frame["patch"].explode().explode().drop_nulls().to_list() == patches[~null].tolist()
        unnest = f"select count(v) from (select unnest(patch, recursive := true) v from '{out}')"
        assert duckdb.sql(unnest).fetchall() == [((~null).sum(),)]
    kept = read_arrow(export(tmp_path / "image.npy", tmp_path / "kept.parquet", *args, "--min-valid", 0.5))
    assert kept.equals(arrow.filter(pc.greater_equal(arrow["valid"], 0.5)))


def test_what_a_tiff_says_of_itself(folder: Path, tmp_path: Path) -> None:
    image = np.load(folder / "image.npy").astype(np.float32)
    image[10:20, 30:50] = -9999
    place = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (33922, "d", 6, (0, 0, 0, 5e5, 4e6, 0), True)]
    elsewhere = [place[0], (33922, "d", 6, (0, 0, 0, 5e5 + 10, 4e6, 0), True)]
    tifffile.imwrite(tmp_path / "image.tif", image, extratags=[(42113, "s", 0, "-9999", True), *place])
    mask = np.load(folder / "mask.npy").astype(np.uint8)
    tifffile.imwrite(tmp_path / "here.tif", mask, extratags=place)
    # The same place, by another of its pixels.
    tied = (33922, "d", 6, (2, 3, 0, 5e5 + 20, 4e6 - 30, 0), True)
    tifffile.imwrite(tmp_path / "tied.tif", mask, extratags=[place[0], tied])
    tifffile.imwrite(tmp_path / "there.tif", mask, extratags=elsewhere)
    args = ["--window", "4x5", "--nodata", "file", "--min-valid", "1", "--mask"]
    got = read_arrow(export(tmp_path / "image.tif", tmp_path / "out.parquet", *args, tmp_path / "here.tif"))
    assert patches_of(got, WINDOW).min() >= 0 and len(got) > 100
    assert read_arrow(export(tmp_path / "image.tif", tmp_path / "b.parquet", *args, tmp_path / "tied.tif"))["window"] == got["window"]
    run = windrow("export", tmp_path / "image.tif", "-o", tmp_path / "no.parquet", *args, tmp_path / "there.tif")
    assert run.returncode == 1 and b"there.tif lies elsewhere" in run.stderr
    run = windrow("info", folder / "image.npy", "--window", "4x5", "--nodata", "file")
    assert run.returncode == 1 and b"--nodata" in run.stderr and b"does not say" in run.stderr


def test_folders_are_continued_and_verified(folder: Path, tmp_path: Path) -> None:
    args = ["--mask", folder / "mask.npy", "--labels", folder / "classes.npy", "--shuffle", 5, "--sample", "0.5"]
    command = ["export", folder / "image.npy", "--window", "4x5", "-q", "-o", f"{tmp_path / 'out'}/", "--files", 4, *args]
    assert windrow(*command).returncode == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    one = table(folder, tmp_path / "one.parquet", *args)
    assert ds.dataset(tmp_path / "out", format="parquet").to_table()["window"] == one["window"]
    assert windrow("verify", tmp_path / "out", "--all").returncode == 0
    (tmp_path / "out" / "part-00002.parquet").write_bytes(b"broken")
    assert b"part-00002" in windrow("verify", tmp_path / "out").stderr
    assert windrow(*command, "--resume").returncode == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == whole
    other = windrow(*command[:-4], "--shuffle", 6, "--sample", "0.5", "--resume")
    assert other.returncode == 1 and b"its choice of rows is" in other.stderr


def test_info_tells_what_was_chosen(folder: Path) -> None:
    args = ["--window", "4x5", "--sample", 100, "--shuffle", 1]
    text = windrow("info", folder / "image.npy", *args).stdout.decode()
    assert "rows        100 of a sample of 100 (seed 0); shuffled (seed 1)" in text
    info = json.loads(windrow("info", folder / "image.npy", *args, "--json").stdout)
    assert info["rows"] == 100 and info["selection"] == ["a sample of 100 (seed 0)", "shuffled (seed 1)"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--sample", "1.5"], "--sample: a share of 1.5: expected 0 to 1"),
        (["--sample", "many"], "--sample: \"many\" is neither"),
        (["--sample", "1000000"], "--sample: 1000000 rows, without replacement, of 9222"),
        (["--shard", "3/3"], "--shard: 3 of 3"),
        (["--shard", "3"], "--shard: \"3\" is not a part of so many"),
        (["--shuffle", "x"], "--shuffle: \"x\" is not a whole number"),
        (["--skip", "1000000"], "--skip: 1000000 rows of 9222"),
        (["--ids", "5,1000000"], "no window 1000000"),
        (["--within", "5..6"], "--within: \"5..6\" is not a range"),
        (["--within", "z=5..6"], "--within: no axis \"z\""),
        (["--mask", "image.npy", "--mask-at", "2"], "--mask-at: a share of 2"),
        (["--mask", "none.npy"], "none.npy: cannot open"),
        (["--min-valid", "0.5"], "--min-valid: every pixel has a value"),
        (["--nodata", "70000"], "--nodata: 70000 is not a uint16"),
        (["--nodata", "1", "--layout", "binary"], "--layout: nodata makes single pixels null"),
        (["--per-class", "5"], "--per-class: there are no labels"),
        (["--split", "a=0.5,b=0.5", "--block", "2x2", "--part", "a"], "--block: 2 on axis y"),
        (["--split", "a=0.5,b=0.5", "--block", "20x20", "--part", "c"], "--part: no part \"c\": there are a, b"),
        (["--split", "a,b", "--block", "20x20", "--part", "a"], "--split: \"a,b\" does not name parts"),
        (["--layout", "columns", "--shuffle", "1"], "--layout: its columns are slices"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(folder: Path, args: list[str], words: str) -> None:
    run = windrow("info", "image.npy", "--window", "4x5", *args, cwd=folder)
    assert run.returncode == 1, run.stderr
    assert words in run.stderr.decode() and run.stderr.count(b"\n") == 1


def test_a_part_alone_is_misuse(folder: Path) -> None:
    for args in (["--part", "a"], ["--epoch", "1"], ["--mask-at", "all"], ["--split", "a=1"]):
        assert windrow("info", folder / "image.npy", "--window", "4x5", *args).returncode == 2
