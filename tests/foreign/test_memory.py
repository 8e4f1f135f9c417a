"""Peak memory follows the band and the batch, not the number of rows nor the size of the file."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
import tifffile
from harness import DATA, MIB, Measured, measured, windrow

GB = 10**9

# The issue's own figure is 50; the test run that is made every time has less time.
MANY_GB = float(os.environ.get("WINDROW_MANY_GB", "5"))
SIDE, WINDOW = 1830, 64
ROW_BYTES = WINDOW * WINDOW * 4


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "image.npy"
    np.save(path, np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32))
    return path


def scan(image: Path, logical: float) -> Measured:
    """Streams the first windows of an image, so many bytes of them, into nothing."""
    rows = int(logical / ROW_BYTES)
    assert rows <= (SIDE - WINDOW + 1) ** 2
    run = measured("stream", image, "--window", f"{WINDOW}x{WINDOW}", "--rows", f"0..{rows}")
    assert run.code == 0, run.stderr
    return run


def test_memory_does_not_grow_with_the_rows(image: Path) -> None:
    # How many batches ever were in flight at once is for the scheduler to say: a scan may stay below its peak, short
    # ones above all. So the many may not be more than the most of some counts, or than what was said; and memory that
    # grows with the rows does so every time.
    one = max(scan(image, 1 * GB).rss for _ in range(8))
    many = min(scan(image, MANY_GB * GB).rss for _ in range(3))
    assert many < 1.05 * max(one, said(image)), (one, many)


def said(image: Path) -> int:
    """The peak that `windrow info` announces."""
    return json.loads(windrow("info", image, "--window", f"{WINDOW}x{WINDOW}", "--json").stdout)["peak_bytes"]


def test_memory_is_what_info_says(image: Path) -> None:
    took = max(scan(image, 2 * GB).rss for _ in range(3))
    assert abs(took - said(image)) < 0.25 * said(image), (took, said(image))


@pytest.mark.parametrize(
    ("said", "args"),
    [
        ("parquet_bytes", ["--window", "8x8", "--rows", "0..400000"]),
        ("parquet_bytes", ["--window", "64x64", "--step", "16"]),
        ("parquet_bytes", ["--window", "256x256", "--step", "16", "--layout", "binary"]),
        ("ipc_bytes", ["--window", "64x64", "--step", "16"]),
    ],
    ids=["pixels", "tiles", "large tiles", "ipc"],
)
def test_an_export_takes_what_info_says(said: str, args: list[str], image: Path, tmp_path: Path) -> None:
    info = json.loads(windrow("info", image, "--json", *args).stdout)
    expected = info["peak_bytes"] + info[said]
    out = tmp_path / ("out.parquet" if said == "parquet_bytes" else "out.arrow")
    run = measured("export", image, "-q", "-o", out, *args)
    assert run.code == 0, run.stderr
    assert abs(run.rss - expected) < 0.25 * expected, (run.rss, expected)


def test_a_file_larger_than_memory_streams_through(tmp_path: Path) -> None:
    """A TIFF of 320 MB, read in an address space of 256 MiB."""
    rows, cols = 40_000, 8_000
    command = [sys.executable, DATA / "generate.py", tmp_path, "--only-large", "--large", f"{rows}x{cols}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # An arena and a stack a thread are address space too, and have nothing to do with the image.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "2", "RAYON_NUM_THREADS": "2"}
    args = ["--window", "16x16", "--step", "16"]
    run = measured("stream", tmp_path / "large.tif", *args, address_space=256 * MIB, env=environment)
    assert run.code == 0, run.stderr
    assert run.rss < 128 * MIB


# The issue's own figure is 20.
LARGE_GB = float(os.environ.get("WINDROW_LARGE_GB", "1"))


def large(folder: Path, kind: str, gigabytes: float, width: int, chunk: int) -> Path:
    """An image of so many bytes of uint16, every chunk of which is the same one in the file."""
    rows = int(gigabytes * GB / 2 / width) // chunk * chunk
    pixels = (np.arange(chunk)[:, None] // 8 + np.arange(chunk) // 8).astype("<u2")
    if kind == "zarr":
        path = folder / "large.zarr"
        path.mkdir()
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip", "configuration": {"level": 1}}]
        grid = {"name": "regular", "configuration": {"chunk_shape": [chunk, chunk]}}
        document = {"zarr_format": 3, "node_type": "array", "shape": [rows, width], "data_type": "uint16", "fill_value": 0}
        document |= {"chunk_grid": grid, "chunk_key_encoding": {"name": "default"}, "codecs": codecs}
        (path / "zarr.json").write_text(json.dumps(document))
        (path / "chunk").write_bytes(gzip.compress(pixels.tobytes(), 1))
        for y in range(rows // chunk):
            (path / "c" / str(y)).mkdir(parents=True)
            for x in range(-(-width // chunk)):
                (path / "c" / str(y) / str(x)).hardlink_to(path / "chunk")
        return path
    path = folder / "large.tif"
    packed = zlib.compress(pixels.tobytes(), 1)
    count = rows // chunk * -(-width // chunk)
    tables = 16 + len(packed)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, rows),
        (258, 3, 1, 16),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        (322, 4, 1, chunk),
        (323, 4, 1, chunk),
        (324, 16, count, tables),
        (325, 16, count, tables + 8 * count),
    ]
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, tables + 16 * count) + packed)
        file.write(np.full(count, 16, "<u8").tobytes() + np.full(count, len(packed), "<u8").tobytes())
        file.write(struct.pack("<Q", len(tags)) + b"".join(struct.pack("<HHQQ", *tag) for tag in tags) + bytes(8))
    return path


@pytest.mark.parametrize(
    ("kind", "width", "chunk"),
    [("tif", 40_000, 256), ("zarr", 20_000, 2048), ("tif", 20_000, 2048), ("zarr", 16_000, 500)],
)
def test_many_gigabytes_stream_in_what_info_says(kind: str, width: int, chunk: int, tmp_path: Path) -> None:
    took = []
    for gigabytes in (LARGE_GB / 4, LARGE_GB):
        folder = tmp_path / str(gigabytes)
        folder.mkdir()
        image = large(folder, kind, gigabytes, width, chunk)
        args = ["--window", "8x8", "--step", "8"]
        said = json.loads(windrow("info", image, *args, "--json").stdout)
        # A row of chunks, and as little as possible besides.
        assert said["peak_bytes"] < 2 * width * chunk * 2 + 64 * MIB
        run = measured("stream", image, *args, timeout=600)
        assert run.code == 0, run.stderr
        assert abs(run.rss - said["peak_bytes"]) < 0.25 * said["peak_bytes"], (run.rss / MIB, said["peak_bytes"] / MIB)
        took.append(run.rss)
    # Four times as much of the image: what differs is how far threads are behind one another.
    assert took[1] < 1.3 * took[0], took


@pytest.mark.parametrize("args", [["--sample", "2000"], ["--sample", "4000", "--shuffle", "1"]], ids=["sample", "shuffle"])
@pytest.mark.parametrize("kind", ["tif", "zarr"])
def test_rows_in_no_order_take_what_info_says(kind: str, args: list[str], tmp_path: Path) -> None:
    image = large(tmp_path, kind, 0.3, 10_000, 256)
    args = ["--window", "8x8", *args]
    for cache in ("4MiB", "32MiB"):
        said = json.loads(windrow("info", image, *args, "--cache", cache, "--json").stdout)
        assert said["cache_bytes"] == int(cache.removesuffix("MiB")) * MIB
        run = measured("stream", image, *args, "--cache", cache, timeout=600)
        assert run.code == 0, run.stderr
        assert run.rss < 1.25 * said["peak_bytes"], (run.rss / MIB, said["peak_bytes"] / MIB)
    run = windrow("info", image, *args, "--cache", "much")
    assert run.returncode == 1 and b"--cache" in run.stderr


@pytest.mark.parametrize("budget", [24, 48, 200])
@pytest.mark.parametrize("out", ["stream", "parquet", "arrow", "folder"])
@pytest.mark.parametrize("kind", ["npy", "tif", "folder of images"])
def test_a_budget_is_kept_or_refused(budget: int, out: str, kind: str, image: Path, tmp_path: Path) -> None:
    args = ["--window", "32x32", "--step", "16"]
    if kind == "tif":
        tif = tmp_path / "image.tif"
        tifffile.imwrite(tif, np.load(image), tile=(256, 256), compression="zlib", metadata=None)
        image = tif
    elif kind != "npy":
        if out == "folder":
            pytest.skip("holds the table of one image")
        (tmp_path / "in").mkdir()
        array = np.load(image)
        for i in range(40):
            np.save(tmp_path / "in" / f"{i}.npy", array[: 100 + 40 * i : 1 + i % 3])
        image = tmp_path / "in"
    target = tmp_path / {"folder": "out/"}.get(out, f"out.{out}")
    if out == "stream":
        command = ["stream", image, *args]
    else:
        command = ["export", image, *args, "-q", "-o", f"{target}/" if out == "folder" else target]
    run = measured(*command, "--max-memory", f"{budget}MiB")
    if run.code == 0:
        assert run.rss <= budget * MIB, (run.rss / MIB, budget)
        return
    assert budget < 100 and not target.exists()
    assert run.stderr.count("\n") == 1 and "--max-memory: " in run.stderr, run.stderr
    # What it says would fit does.
    least = run.stderr.split("expected ")[1].split()[0]
    run = measured(*command, "--max-memory", least)
    assert run.code == 0 and run.rss <= int(least.removesuffix("MiB")) * MIB, (run, least)


def test_a_budget_changes_no_row(image: Path) -> None:
    args = ["stream", image, "--window", "32x32", "--step", "64"]

    def peak(*more: str) -> int:
        return json.loads(windrow("info", *args[1:], "--json", *more).stdout)["peak_bytes"]

    # A batch or two less.
    budget = int((peak() - 3 * MIB) * 1.25)
    limit = ["--max-memory", str(budget)]
    tables = [pa.ipc.open_stream(windrow(*args, *more).stdout).read_all() for more in ([], limit)]
    assert tables[0].equals(tables[1]) and tables[0].num_rows == ((SIDE - 32) // 64 + 1) ** 2
    assert peak(*limit) * 1.25 <= budget
    run = windrow(*args, "--max-memory", "much")
    assert run.returncode == 1 and b"--max-memory" in run.stderr
