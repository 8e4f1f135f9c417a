"""Arrays that zarr-python wrote, cell by cell, wherever they lie; zarr-python says what is in them."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import os
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.fs
import pytest
import zarr
import zarr.codecs
import zarr.storage
from harness import assert_same, export, measured, patches_of, read_arrow, windrow
from numcodecs import LZ4, BZ2, Blosc, GZip, Shuffle, Zlib, Zstd
from reference import windows

DTYPES = ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
SHAPE, CHUNK, SHARD = (37, 53), (10, 16), (20, 32)


def pixels(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Noise that a codec finds something in, and a chunk of the fill value."""
    rng = np.random.default_rng([len(dtype), *shape])
    kind = np.dtype(dtype)
    if kind.kind == "b":
        array = rng.integers(0, 2, shape).astype(kind)
    elif kind.kind == "f":
        array = rng.normal(0, 100, shape).astype(kind)
        array.reshape(-1)[:5] = [np.nan, np.inf, -np.inf, -0.0, np.finfo(kind).max]
    else:
        info = np.iinfo(kind)
        array = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
    array[1::3] = array[1::3, :1]
    array[: CHUNK[0], CHUNK[1] : 2 * CHUNK[1]] = 0
    return array


def whole(path: object, out: Path, shape: tuple[int, ...], *args: object) -> np.ndarray:
    """All cells, as the one window that has them all."""
    table = read_arrow(export(path, out, "--window", "x".join(map(str, shape)), *args))
    return patches_of(table, shape)[0]


def check(path: object, array: np.ndarray, tmp_path: Path, *args: object) -> None:
    """windrow sees what zarr-python sees, and windows over the borders of chunks are what they should be."""
    assert_same(whole(path, tmp_path / "whole.arrow", array.shape, *args), array)
    table = read_arrow(export(path, tmp_path / "out.arrow", "--window", "9x12", "--step", "7", *args))
    _, patches = windows(array, (9, 12), step=(7, 7))
    assert_same(patches_of(table, patches.shape[1:]), patches)


COMPRESSORS_3 = {
    "none": None,
    "gzip": zarr.codecs.GzipCodec(level=5),
    "zstd": zarr.codecs.ZstdCodec(level=3, checksum=True),
    "blosc-zstd-bit": zarr.codecs.BloscCodec(cname="zstd", shuffle="bitshuffle"),
    "blosc-lz4": zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle"),
    "zstd-crc32c": (zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()),
}


@pytest.mark.parametrize("sharded", [False, True], ids=["chunks", "shards"])
@pytest.mark.parametrize("compressor", COMPRESSORS_3)
@pytest.mark.parametrize("dtype", DTYPES)
def test_version_3(dtype: str, compressor: str, sharded: bool, tmp_path: Path) -> None:
    array = pixels(dtype)
    made = zarr.create_array(
        tmp_path / "a.zarr",
        shape=SHAPE,
        chunks=CHUNK,
        shards=SHARD if sharded else None,
        dtype=array.dtype,
        compressors=COMPRESSORS_3[compressor],
        zarr_format=3,
    )
    made[:] = array
    check(tmp_path / "a.zarr", zarr.open_array(tmp_path / "a.zarr")[:], tmp_path)


BLOSC = [
    Blosc(cname=cname, shuffle=shuffle, blocksize=blocksize)
    for cname in ["blosclz", "lz4", "lz4hc", "zlib", "zstd"]
    for shuffle in [Blosc.NOSHUFFLE, Blosc.SHUFFLE, Blosc.BITSHUFFLE]
    for blocksize in [0, 256]
]
COMPRESSORS_2 = [None, GZip(), Zlib(), Zstd(checksum=True), LZ4(), *BLOSC]


@pytest.mark.parametrize("compressor", COMPRESSORS_2, ids=str)
def test_version_2(compressor: object, tmp_path: Path) -> None:
    for number, (dtype, order) in enumerate(itertools.product(["|b1", "|u1", "<u2", ">u2", ">i4", "<i8", "<f2", ">f4", "<f8"], "CF")):
        array = pixels(dtype[1:])
        path = tmp_path / f"{number}.zarr"
        made = zarr.create_array(
            path, shape=SHAPE, chunks=CHUNK, dtype=dtype, compressors=compressor, order=order, zarr_format=2,
            chunk_key_encoding={"name": "v2", "separator": "/" if order == "F" else "."},
        )  # fmt: skip
        made[:] = array
        assert_same(whole(path, tmp_path / "out.arrow", SHAPE), zarr.open_array(path)[:].astype(array.dtype))


@pytest.mark.parametrize("cname", ["blosclz", "lz4", "zlib", "zstd"])
@pytest.mark.parametrize("shuffle", [Blosc.NOSHUFFLE, Blosc.SHUFFLE, Blosc.BITSHUFFLE])
def test_blosc_with_many_blocks(cname: str, shuffle: int, tmp_path: Path) -> None:
    """Large chunks of data with long runs: split streams, overlapping copies, a short last block."""
    y, x = np.mgrid[:700, :900]
    ramp = (x // 7 + y * 3).astype(np.uint32)
    for dtype in ["u1", "u2", "u4", "f8"]:
        array = ramp.astype(dtype)
        array[100:300] = np.random.default_rng(1).integers(0, 200, (200, 900))
        path = tmp_path / f"{dtype}.zarr"
        codec = Blosc(cname=cname, shuffle=shuffle, clevel=9)
        made = zarr.create_array(path, shape=array.shape, chunks=(333, 900), dtype=dtype, compressors=codec, zarr_format=2)
        made[:] = array
        assert_same(whole(path, tmp_path / "out.arrow", array.shape), array)


def test_shuffle_as_a_filter(tmp_path: Path) -> None:
    array = pixels("f4")
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=SHAPE, chunks=CHUNK, dtype="f4", filters=[Shuffle(4)], compressors=Zlib(), zarr_format=2
    )
    made[:] = array
    check(tmp_path / "a.zarr", array, tmp_path)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("sharded", [False, True], ids=["chunks", "shards"])
def test_turned_axes_and_names(order: tuple[int, ...], sharded: bool, tmp_path: Path) -> None:
    array = np.random.default_rng(2).integers(0, 60000, (12, 31, 5), dtype=np.uint16)
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=array.shape, chunks=(3, 8, 2), shards=(6, 16, 6) if sharded else None, dtype="u2",
        filters=[zarr.codecs.TransposeCodec(order=order)], dimension_names=["row", "line", "band"],
    )  # fmt: skip
    made[:] = array
    table = read_arrow(export(tmp_path / "a.zarr", tmp_path / "out.arrow", "--window", "4x9", "--step", "3"))
    _, patches = windows(array, (4, 9), step=(3, 3))
    assert_same(patches_of(table, patches.shape[1:]), patches)
    assert table.column_names == ["window", "row", "line", "patch"]


def test_names_of_axes_as_xarray_has_them(tmp_path: Path) -> None:
    for version in [2, 3]:
        made = zarr.create_array(tmp_path / f"{version}", shape=(9, 9), chunks=(4, 4), dtype="u1", zarr_format=version)
        made.attrs["_ARRAY_DIMENSIONS"] = ["lat", "lon"]
        table = read_arrow(export(tmp_path / f"{version}", tmp_path / "out.arrow", "--window", "3x3"))
        assert table.column_names == ["window", "lat", "lon", "patch"]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("f4", np.nan), ("f8", -np.inf), ("f2", 1.5), ("u8", 2**64 - 1), ("i8", -(2**63)), ("bool", True), ("u1", 7)],
    ids=str,
)
def test_chunks_that_are_not_there(dtype: str, fill: object, version: int, tmp_path: Path) -> None:
    made = zarr.create_array(
        tmp_path / "a", shape=(20, 20), chunks=(6, 7), dtype=dtype, fill_value=fill, zarr_format=version
    )
    made[5:14, 8:12] = np.ones((9, 4), dtype)
    check(tmp_path / "a", zarr.open_array(tmp_path / "a")[:], tmp_path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_zip_and_groups(version: int, packing: int, tmp_path: Path) -> None:
    path = tmp_path / "scene.zarr.zip"
    arrays = {"B04": pixels("u2"), "r10m/B08": pixels("f4")}
    with zarr.storage.ZipStore(path, mode="w", compression=packing) as store:
        group = zarr.create_group(store, zarr_format=version)
        for name, array in arrays.items():
            group.create_array(name, shape=array.shape, chunks=CHUNK, dtype=array.dtype)[:] = array
    for name, array in arrays.items():
        check(path / name, array, tmp_path)
        check(path, array, tmp_path, "--member", name)
    run = windrow("info", path)
    assert run.returncode == 1 and b"it has B04, r10m/B08" in run.stderr and run.stderr.count(b"\n") == 1, run.stderr


@pytest.mark.parametrize("version", [2, 3])
def test_a_folder_with_groups(version: int, tmp_path: Path) -> None:
    path = tmp_path / "scene.zarr"
    group = zarr.create_group(path, zarr_format=version)
    array = pixels("u2")
    for name in ["B04", "B05", "r10m/B08"]:
        group.create_array(name, shape=array.shape, chunks=CHUNK, dtype=array.dtype)[:] = array
    zarr.consolidate_metadata(path)
    check(path / "r10m" / "B08", array, tmp_path)
    check(path, array, tmp_path, "--member", "B04")
    for wrong in [path, path / "B06"]:
        run = windrow("info", wrong)
        assert run.returncode == 1 and b"it has B04, B05, r10m/B08" in run.stderr, run.stderr
    run = windrow("info", path / "r10m")
    assert run.returncode == 1 and run.stderr.endswith(b"r10m/NAME: it has B08\n"), run.stderr
    run = windrow("info", path / "r10m" / "B09")
    assert run.returncode == 1 and run.stderr.endswith(b'r10m: no array "B09": it has B08\n'), run.stderr


def test_the_table_says_what_it_was_made_of(tmp_path: Path) -> None:
    path = tmp_path / "scene.zarr"
    array = pixels("u1")
    zarr.create_group(path).create_array("B04", shape=SHAPE, chunks=CHUNK, dtype="u1")[:] = array
    run = windrow("export", path, "--member", "B04", "--window", "8x8", "-q", "-o", f"{tmp_path}/out/")
    assert run.returncode == 0, run.stderr
    run = windrow("verify", f"{tmp_path}/out", "--all")
    assert run.returncode == 0, run.stderr
    zarr.open_array(path / "B04", mode="r+")[11, 20] = 255 - array[11, 20]
    run = windrow("verify", f"{tmp_path}/out", "--all")
    assert run.returncode == 1 and run.stderr.count(b"\n") == 1, run.stderr


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ({"dtype": "c8"}, b"complex64"),
        ({"dtype": "c8", "zarr_format": 2}, b"complex"),
        ({"dtype": "M8[s]", "zarr_format": 2}, b"dates or times"),
        ({"dtype": "u2", "zarr_format": 2, "compressors": BZ2()}, b"bz2"),
        ({"dtype": "u2", "zarr_format": 2, "dtype": [("a", "u1"), ("b", "f4")]}, b"structured"),
    ],
    ids=str,
)
def test_what_is_not_read_is_named(args: dict, part: bytes, tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(8, 8), chunks=(4, 4), **args)
    run = windrow("info", tmp_path / "a")
    assert run.returncode == 1 and part in run.stderr and run.stderr.count(b"\n") == 1, run.stderr


def test_memory_is_that_of_chunks(tmp_path: Path) -> None:
    """64 MiB of cells in shards of 16: a pass takes rows of chunks, not shards."""
    array = zarr.create_array(
        tmp_path / "a", shape=(8192, 8192), chunks=(256, 256), shards=(4096, 4096), dtype="u1", compressors=zarr.codecs.ZstdCodec()
    )
    array[:] = np.random.default_rng(1).integers(0, 9, (8192, 8192), dtype=np.uint8)
    run = measured("export", tmp_path / "a", "-q", "-o", tmp_path / "out.arrow", "--window", "64x64", "--step", "64")
    assert run.code == 0 and run.rss < 100 * 2**20, run


# -- over the network -------------------------------------------------------------------------------------------------

cloudless = pytest.mark.skipif(
    b"it needs the feature" in windrow("info", "http://127.0.0.1:9/a.zarr").stderr,
    reason="this build has no object stores: cargo build --features cloud",
)


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Files, whole or a range of one, as every server that keeps data does."""

    requests: list[str] = []

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).requests.append(f"{self.path} {asked or ''}")
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            return super().do_GET()
        data, (start, end) = path.read_bytes(), asked.removeprefix("bytes=").split("-")
        first = int(start) if start else len(data) - int(end)
        last = min(int(end), len(data) - 1) if start and end else len(data) - 1
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        self.wfile.write(data[first : last + 1])


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    Ranges.requests.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@cloudless
@pytest.mark.parametrize("version", [2, 3])
def test_http(version: int, tmp_path: Path) -> None:
    path = tmp_path / "a scene.zarr"
    array = pixels("u2")
    group = zarr.create_group(path, zarr_format=version)
    shards = {"shards": SHARD} if version == 3 else {}
    group.create_array("B04", shape=SHAPE, chunks=CHUNK, dtype="u2", **shards)[:] = array
    with served(tmp_path) as url:
        export(f"{url}/a%20scene.zarr/B04", tmp_path / "out.arrow", "--window", "5x53")
        chunks = [request for request in Ranges.requests if "zarr.json" not in request and "/.z" not in request]
        # Every chunk once; and of a shard, its index.
        assert len(chunks) == len(set(chunks)), chunks
        check(f"{url}/a%20scene.zarr/B04", array, tmp_path)
        check(f"{url}/a%20scene.zarr", array, tmp_path, "--member", "B04")
        run = windrow("info", f"{url}/a%20scene.zarr/B05")
        assert run.returncode == 1 and run.stderr.count(b"\n") == 1, run.stderr
        assert b"no Zarr array or group" in run.stderr
    run = windrow("info", f"{url}/a%20scene.zarr/B04", env={**os.environ})
    assert run.returncode == 1 and b"cannot read" in run.stderr and run.stderr.count(b"\n") == 1, run.stderr


@cloudless
def test_a_bucket(tmp_path: Path, server: str, environment: dict) -> None:
    path = tmp_path / "scene.zarr"
    array = pixels("f4")
    group = zarr.create_group(path)
    group.create_array("B04", shape=SHAPE, chunks=CHUNK, shards=SHARD, dtype="f4")[:] = array
    group.create_array("r10m/B08", shape=SHAPE, chunks=CHUNK, dtype="f4")[:] = array
    key, secret = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    store = pyarrow.fs.S3FileSystem(access_key=key, secret_key=secret, endpoint_override=server, region="us-east-1")
    pyarrow.fs.copy_files(str(path), "windows/scene.zarr", destination_filesystem=store)
    for name in ["B04", "r10m/B08"]:
        out = tmp_path / "out.arrow"
        run = windrow("export", f"s3://windows/scene.zarr/{name}", "--window", "37x53", "-q", "-o", out, env=environment)
        assert run.returncode == 0, run.stderr
        assert_same(patches_of(read_arrow(out), SHAPE)[0], array)
    run = windrow("info", "s3://windows/scene.zarr", env=environment)
    assert run.returncode == 1 and b"it has B04, r10m/B08" in run.stderr, run.stderr
    run = windrow("info", "s3://nowhere/scene.zarr", env=environment)
    assert run.returncode == 1 and run.stderr.count(b"\n") == 1 and secret.encode() not in run.stderr, run.stderr
