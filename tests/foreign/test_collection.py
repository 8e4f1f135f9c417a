"""Many images as one table: numpy makes the rows of every one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
import tifffile
from harness import MIB, WINDROW, assert_same, export, measured, patches_of, read_arrow, windrow
from PIL import Image
from reference import windows


def mixed(folder: Path) -> dict[str, np.ndarray]:
    """Images of many sizes and formats, by name; the folder has other things too."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    images = {}
    for i, (ending, shape) in enumerate(
        [("png", (20, 31)), ("npy", (9, 8)), ("tif", (300, 200)), ("png", (8, 8)), ("bmp", (64, 40)), ("webp", (33, 17))] * 3
    ):
        name = f"{i:02}.{ending}"
        images[name] = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        if ending == "npy":
            np.save(folder / name, images[name])
        elif ending == "tif":
            tifffile.imwrite(folder / name, images[name], rowsperstrip=7, compression="zlib")
        else:
            Image.fromarray(images[name]).save(folder / name, **({"lossless": True} if ending == "webp" else {}))
    (folder / "notes.txt").write_text("no image")
    (folder / "below").mkdir()
    return images


def check(table: pa.Table, folder: Path, images: dict[str, np.ndarray], window=(8, 8), **options) -> None:
    """Every row is where it belongs."""
    corners, patches, names = [], [], []
    for name, image in images.items():
        made = windows(image, window, **options)
        corners.append(made[0])
        patches.append(made[1])
        names += [f"{folder}/{name}"] * len(made[0])
    corners, patches = np.concatenate(corners), np.concatenate(patches)
    assert table.num_rows == len(names)
    assert table["window"].to_pylist() == list(range(len(names)))
    assert table["image"].cast(pa.string()).to_pylist() == names
    assert (np.stack([table["y"].to_numpy(), table["x"].to_numpy()], axis=-1) == corners).all()
    assert_same(patches_of(table, patches.shape[1:]), patches)


@pytest.mark.parametrize("out", ["t.parquet", "t.arrow", "t.arrows"])
@pytest.mark.parametrize("layout", ["tensor", "binary"])
def test_images_of_mixed_sizes_and_formats(tmp_path: Path, out: str, layout: str) -> None:
    images = mixed(tmp_path / "in")
    path = export(tmp_path / "in", tmp_path / out, "--window", "8x8", "--layout", layout)
    table = read_arrow(path)
    assert table.column_names == ["image", "window", "y", "x", "patch"]
    assert table.schema.field("image").type == pa.dictionary(pa.int32(), pa.string())
    if layout == "binary":
        flat = b"".join(table["patch"].to_pylist())
        pixels = np.frombuffer(flat, np.uint8).reshape(-1, 8, 8, 3)
        assert_same(pixels, np.concatenate([windows(image, (8, 8))[1] for image in images.values()]))
    else:
        check(table, tmp_path / "in", images)
    info = json.loads(table.schema.metadata[b"windrow.collection"])
    assert (info["images"], info["window"]["window_shape"], info["dtype"]) == (18, [8, 8], "uint8")


@pytest.mark.parametrize("batch", ["1", "7", "1000"])
def test_batches_are_of_any_size(tmp_path: Path, batch: str) -> None:
    images = mixed(tmp_path / "in")
    args = ["--window", "5x7", "--step", "3x4", "--edge", "shift", "--batch-rows", batch]
    path = export(tmp_path / "in", tmp_path / "t.arrows", *args)
    check(read_arrow(path), tmp_path / "in", images, (5, 7), step=(3, 4), edge="shift")
    sizes = [b.num_rows for b in pa.ipc.open_stream(path)]
    assert max(sizes) <= int(batch)


def test_a_list_is_in_its_order_and_a_pattern_in_that_of_names(tmp_path: Path) -> None:
    images = mixed(tmp_path / "in")
    chosen = ["05.webp", "00.png", "02.tif"]
    paths = [tmp_path / "in" / name for name in chosen]
    run = windrow("export", *paths, "--window", "8x8", "-q", "-o", tmp_path / "t.parquet")
    assert run.returncode == 0, run.stderr
    check(read_arrow(tmp_path / "t.parquet"), tmp_path / "in", {name: images[name] for name in chosen})
    export(tmp_path / "in" / "*.png", tmp_path / "t.parquet", "--window", "8x8")
    check(read_arrow(tmp_path / "t.parquet"), tmp_path / "in", {k: v for k, v in images.items() if k.endswith("png")})


def test_columns_and_first_rows(tmp_path: Path) -> None:
    images = mixed(tmp_path / "in")
    args = ["--window", "8x8", "--columns", "x,image", "--rows", "0..700"]
    table = read_arrow(export(tmp_path / "in", tmp_path / "t.parquet", *args))
    assert table.column_names == ["x", "image"] and table.num_rows == 700
    xs = np.concatenate([windows(image, (8, 8))[0][:, 1] for image in images.values()])
    assert (table["x"].to_numpy() == xs[:700]).all()
    for columns in ["image", "window,image"]:
        table = read_arrow(export(tmp_path / "in", tmp_path / "t.parquet", "--window", "8x8", "--columns", columns))
        assert table.num_rows == len(xs) and table.column_names == columns.split(",")


@pytest.mark.parametrize(
    ("args", "chosen"),
    [
        (["--rows", "1000..9000"], lambda n: range(1000, 9000)),
        (["--rows", "70000.."], lambda n: range(70_000, n)),
        (["--skip", "5"], lambda n: range(5, n)),
        (["--shard", "2/7"], lambda n: range(n * 2 // 7, n * 3 // 7)),
        (["--rows", "100..60000", "--shard", "1/3", "--skip", "7"], lambda n: range(100 + 59900 // 3 + 7, 100 + 59900 * 2 // 3)),
        (["--sample", "500", "--seed", "4"], None),
        (["--sample", "0.3", "--shard", "1/2"], None),
        (["--within", "y=3..20,x=..9"], None),
        (["--within", "x=5..", "--sample", "0.5", "--shuffle", "3"], None),
        (["--shuffle", "7", "--epoch", "2", "--shard", "0/9"], None),
    ],
    ids=lambda value: "-".join(value).replace("--", "") if isinstance(value, list) else "",
)
def test_some_rows_of_all_images(args: list[str], chosen: object, tmp_path: Path) -> None:
    images = mixed(tmp_path / "in")
    whole = read_arrow(export(tmp_path / "in", tmp_path / "all.arrow", "--window", "8x8", "--layout", "binary"))
    for batch in ["100000", "77"]:
        out = export(tmp_path / "in", tmp_path / "t.arrow", "--window", "8x8", "--layout", "binary", *args, "--batch-rows", batch)
        table = read_arrow(out)
        ids = table["window"].to_numpy()
        # Every row is the one that has this number among all.
        assert all(
            table[name].combine_chunks().cast(pa.string() if name == "image" else table[name].type).equals(
                whole[name].take(pa.array(ids)).combine_chunks().cast(pa.string() if name == "image" else table[name].type)
            )
            for name in table.column_names
        )
        if chosen is not None:
            assert ids.tolist() == list(chosen(whole.num_rows))
        elif "--epoch" in args:
            assert len(set(ids)) == len(ids) == whole.num_rows // 9 and ids.tolist() != sorted(ids)
        elif "--within" in args:
            inside = whole["y"].to_numpy(), whole["x"].to_numpy()
            first = args[1] == "x=5.."
            keep = inside[1] >= 5 if first else (3 <= inside[0]) & (inside[0] < 20) & (inside[1] < 9)
            expected = np.flatnonzero(keep)
            assert len(ids) == (len(expected) + 1) // 2 and set(ids) < set(expected) if first else ids.tolist() == expected.tolist()
        else:
            count = 500 if "500" in args else round(whole.num_rows * 0.3 / 2)
            assert abs(len(ids) - count) <= 1 and (np.diff(ids) > 0).all()
            # From all of the images, or the half of them.
            assert len(set(table["image"].to_pylist())) >= (len(images) // 3 if "0.3" in args else 3)
        told = json.loads(table.schema.metadata[b"windrow.collection"])
        assert told["selection"], told
    info = json.loads(windrow("info", tmp_path / "in", "--window", "8x8", *args, "--json").stdout)
    assert info["rows"] == table.num_rows


def test_other_engines_read_the_column(tmp_path: Path) -> None:
    import duckdb

    images = mixed(tmp_path / "in")
    out = export(tmp_path / "in", tmp_path / "t.parquet", "--window", "8x8", "--step", "2")
    counts = {f"{tmp_path}/in/{name}": len(windows(image, (8, 8), (2, 2))[0]) for name, image in images.items()}
    frame = pl.scan_parquet(out).group_by("image").len().collect()
    assert dict(zip(frame["image"].cast(pl.String), frame["len"])) == counts
    rows = duckdb.sql(f"select image, count(*) from '{out}' group by image").fetchall()
    assert dict(rows) == counts
    one = f"{tmp_path}/in/02.tif"
    assert pl.scan_parquet(out).filter(pl.col("image") == one).collect().height == counts[one]
    assert duckdb.sql(f"select count(*) from '{out}' where image = '{one}'").fetchall() == [(counts[one],)]
    assert pa.dataset.dataset(out).to_table(filter=pa.compute.field("image") == one).num_rows == counts[one]


def test_what_does_not_agree_names_both(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((20, 20, 3), np.uint8))
    np.save(tmp_path / "b.npy", np.ones((20, 20, 3), np.uint16))
    np.save(tmp_path / "c.npy", np.zeros((20, 20, 4), np.uint8))
    np.save(tmp_path / "d.npy", np.zeros((5, 20, 3), np.uint8))

    def run(*names: str, args=()):
        paths = [tmp_path / f"{name}.npy" for name in names]
        return windrow("export", *paths, "--window", "8x8", "-q", "-o", tmp_path / "t.parquet", *args)

    error = run("a", "b").stderr.decode()
    assert "b.npy: its pixels are uint16, those of " in error and "a.npy uint8" in error, error
    error = run("a", "c").stderr.decode()
    assert "c.npy: its patches are 8x8x4, those of " in error and "a.npy 8x8x3" in error, error
    error = run("a", "d").stderr.decode()
    assert "d.npy: axis y: window 8 is larger than the array: 5" in error, error
    assert not (tmp_path / "t.parquet").exists()
    done = run("a", "b", args=["--dtype", "float32"])
    assert done.returncode == 0, done.stderr
    patches = patches_of(read_arrow(tmp_path / "t.parquet"), (8, 8, 3))
    assert patches.dtype == np.float32 and (patches[:169] == 0).all() and (patches[169:] == 1).all()


def test_what_is_of_one_image_is_refused(tmp_path: Path) -> None:
    mixed(tmp_path / "in")
    for args, text in [
        (["--ids", "1,2"], "--ids: chooses rows of one image"),
        (["--rows", "5..1000000000"], "rows 5..1000000000"),
        (["--within", "z=0..5"], 'within: no axis "z"'),
        (["--shard", "4/4"], "--shard: 4 of 4"),
        (["--layout", "columns"], "--layout: columns are slices of one image"),
        (["--labels", tmp_path / "in" / "00.png"], "--labels: are those of one image"),
        (["--columns", "image,image"], "is asked for twice"),
        (["--columns", "nothing"], 'no column "nothing"'),
    ]:
        run = windrow("export", tmp_path / "in", "--window", "8x8", "-q", "-o", tmp_path / "t.parquet", *args)
        assert run.returncode == 1 and text in run.stderr.decode(), run.stderr
    run = windrow("export", tmp_path / "in", "--window", "8x8", "-q", "-o", f"{tmp_path}/out/")
    assert run.returncode == 1 and b"is a folder, which holds the table of one image" in run.stderr
    run = windrow("export", tmp_path / "in/*.jpg", "--window", "8x8", "-q", "-o", tmp_path / "t.parquet")
    assert run.returncode == 1 and b"no file matches" in run.stderr
    run = windrow("show", tmp_path / "in", "--window", "8x8", "-o", tmp_path / "t.png")
    assert run.returncode == 1 and b"several images: expected one" in run.stderr
    bitten = tmp_path / "in" / "00.png"
    run = windrow("export", tmp_path / "in", "--window", "8x8", "--skip-bad", bitten, "-o", tmp_path / "t.parquet")
    assert run.returncode == 1 and b"is one of the images itself" in run.stderr
    export(tmp_path / "in", tmp_path / "t.parquet", "--window", "8x8", "--step", "8")
    run = windrow("fold", tmp_path / "t.parquet", "-o", tmp_path / "t.npy")
    assert run.returncode == 1 and b"several images" in run.stderr, run.stderr


def test_a_broken_image_among_good_ones(tmp_path: Path) -> None:
    images = mixed(tmp_path / "in")
    good = dict(images)
    (tmp_path / "in" / "00.png").write_bytes(b"\x89PNG\r\n\x1a\n nonsense")
    whole = (tmp_path / "in" / "04.bmp").read_bytes()
    (tmp_path / "in" / "04.bmp").write_bytes(whole[: len(whole) // 2])
    np.save(tmp_path / "in" / "07.npy", np.zeros((3, 3, 3), np.uint8))
    np.save(tmp_path / "in" / "13.npy", np.zeros((9, 9, 3), np.float32))
    (tmp_path / "in" / "99.png").symlink_to("nowhere.png")
    for name in ["00.png", "04.bmp", "07.npy", "13.npy"]:
        good.pop(name)
    out, report = tmp_path / "t.parquet", tmp_path / "bad.json"
    run = windrow("export", tmp_path / "in", "--window", "8x8", "-o", out)
    assert run.returncode == 1 and b"00.png" in run.stderr and not out.exists()
    paths = [*sorted((tmp_path / "in").glob("*.*[gyfp]")), tmp_path / "in" / "missing.png"]
    run = windrow("export", *paths, "--window", "8x8", "-o", out, "--skip-bad", report)
    assert run.returncode == 0, run.stderr
    assert b"note: " in run.stderr and b"images are left out" in run.stderr
    check(read_arrow(out), tmp_path / "in", good)
    told = json.loads(report.read_text())
    assert [Path(bad["image"]).name for bad in told["skipped"]] == [
        "00.png",
        "04.bmp",
        "07.npy",
        "13.npy",
        "99.png",
        "missing.png",
    ]
    assert all(bad["rows"] == 0 for bad in told["skipped"])
    assert "larger than the array" in told["skipped"][2]["error"] and "float32" in told["skipped"][3]["error"]
    run = windrow("export", tmp_path / "in" / "00.png", tmp_path / "in" / "07.npy", "--window", "8x8", "-o", out, "--skip-bad", report)
    assert run.returncode == 1 and b"none of the 2 images is good" in run.stderr, run.stderr


def test_a_large_file_that_breaks_in_the_middle_keeps_what_came_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    big = rng.integers(0, 256, (3000, 2000), dtype=np.uint8)
    for name in "abc":
        tifffile.imwrite(tmp_path / f"{name}.tif", big, rowsperstrip=100, compression="zlib")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        at = file.pages[0].dataoffsets[20]
    data = bytearray((tmp_path / "b.tif").read_bytes())
    data[at : at + 4000] = bytes(4000)
    (tmp_path / "b.tif").write_bytes(data)
    args = [tmp_path / "*.tif", "--window", "50x50", "--step", "50", "-q", "-o", tmp_path / "t.parquet"]
    run = windrow("export", *args)
    assert run.returncode == 1 and b"b.tif" in run.stderr
    run = windrow("export", *args, "--skip-bad", tmp_path / "bad.json")
    assert run.returncode == 0, run.stderr
    (bad,) = json.loads((tmp_path / "bad.json").read_text())["skipped"]
    table = read_arrow(tmp_path / "t.parquet")
    assert table["window"].to_pylist() == list(range(table.num_rows))
    per = pl.from_arrow(table.select(["image"])).group_by("image").len()
    per = {Path(str(image)).name: n for image, n in per.iter_rows()}
    assert per["a.tif"] == per["c.tif"] == 2400 and per.get("b.tif", 0) == bad["rows"] <= 1600
    expected = windows(big, (50, 50), (50, 50))[1]
    got = patches_of(table, (50, 50))
    assert_same(got[:2400], expected)
    assert_same(got[-2400:], expected)
    assert_same(got[2400:-2400], expected[: bad["rows"]])


def test_places_of_tiles_in_one_system(tmp_path: Path) -> None:
    import rasterio
    from rasterio.transform import Affine

    for i, epsg in enumerate([32633, 32633, 32634]):
        profile = dict(driver="GTiff", height=20, width=20, count=1, dtype="uint8", crs=f"EPSG:{epsg}")
        with rasterio.open(tmp_path / f"{i}.tif", "w", transform=Affine(10, 0, 1000 * i, 0, -10, 500), **profile) as file:
            file.write(np.zeros((1, 20, 20), np.uint8))
    args = ["--window", "10x10", "--step", "10", "--coords", "map"]
    table = read_arrow(export(tmp_path / "[01].tif", tmp_path / "t.parquet", *args))
    assert table["easting"].to_pylist() == [50, 150, 50, 150, 1050, 1150, 1050, 1150]
    run = windrow("export", tmp_path / "*.tif", *args, "-o", tmp_path / "t.parquet")
    assert run.returncode == 1 and b"its coordinates are of EPSG:32634" in run.stderr, run.stderr


def test_info_counts_from_headers(tmp_path: Path) -> None:
    images = mixed(tmp_path / "in")
    run = windrow("info", tmp_path / "in", "--window", "8x8", "--json")
    told = json.loads(run.stdout)
    assert told["rows"] == sum(len(windows(image, (8, 8))[0]) for image in images.values()) and told["images"] == 18
    assert windrow("info", tmp_path / "in", "--window", "8x8").returncode == 0


# 100,000 take half a minute to be made, and as long to be read.
MANY = int(os.environ.get("WINDROW_MANY_IMAGES", "20000"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many images of 16 by 16."""
    folder = tmp_path_factory.mktemp("tiny")
    for i in range(MANY):
        Image.fromarray(np.full((16, 16), i % 251, np.uint8)).save(folder / f"{i:06}.png", compress_level=1)
    return folder


def test_many_small_images_take_little(tiny: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    # Enough that pages are full and as many are under way as ever.
    for path in sorted(tiny.iterdir())[:10_000]:
        (few / path.name).symlink_to(path)
    out = tmp_path / "t.parquet"
    args = ["--window", "8x8", "--step", "4", "-q", "-o", out]
    some, all_of_them = measured("export", few, *args), measured("export", tiny, *args)
    assert (some.code, all_of_them.code) == (0, 0), some.stderr + all_of_them.stderr
    # Names take memory, a hundred bytes each or so in a few places; rows and pixels take none.
    assert all_of_them.rss < some.rss + 20 * MIB * MANY / 20_000, (some, all_of_them)
    told = json.loads(windrow("info", tiny, "--window", "8x8", "--step", "4", "--json").stdout)
    stream = measured("stream", tiny, "--window", "8x8", "--step", "4")
    assert stream.rss < 1.25 * told["peak_bytes"], (stream, told)
    table = read_arrow(out)
    assert table.num_rows == MANY * 9
    values = np.repeat(np.arange(MANY) % 251, 9).astype(np.uint8)
    assert (patches_of(table, (8, 8)) == values[:, None, None]).all()
    names = table["image"].cast(pa.string()).to_pylist()
    assert names[::9] == [str(path) for path in sorted(tiny.iterdir())]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_few_files_are_open_and_rows_come_at_once(tiny: Path) -> None:
    command = [WINDROW, "stream", tiny, "--window", "8x8", "--step", "1", "--layout", "binary"]
    start = time.monotonic()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE) as process:
        most, seen, done = 0, [], threading.Event()

        def look() -> None:
            nonlocal most
            while not done.is_set():
                try:
                    open_files = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{process.pid}/fd")]
                except OSError:
                    continue
                most = max(most, sum(name.endswith(".png") for name in open_files))

        watcher = threading.Thread(target=look)
        watcher.start()
        rows = 0
        for batch in pa.ipc.open_stream(process.stdout):
            seen.append(time.monotonic() - start)
            rows += batch.num_rows
        done.set()
        watcher.join()
    assert process.returncode == 0 and rows == MANY * 81
    assert 0 < most <= 32
    # The first batch is there long before the last image is opened.
    assert seen[0] < seen[-1] / 4, (seen[0], seen[-1])
