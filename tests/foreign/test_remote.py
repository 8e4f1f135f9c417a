"""Files in buckets and on servers are read by requests for parts of them: few, and no more than is needed."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pytest
import tifffile
from harness import MIB, assert_same, measured, patches_of, read_arrow, windrow
from PIL import Image
from reference import windows

pytestmark = pytest.mark.skipif(
    b'it needs the feature "cloud"' in windrow("info", "http://127.0.0.1:9/a.tif").stderr,
    reason="this build has no object stores: cargo build --features cloud",
)

SIDE, TILE = 4096, 256


@dataclass
class Server:
    """A server of files from memory, which counts what it is asked for, and can misbehave."""

    files: dict[str, bytes]
    url: str = ""
    requests: list[str] = field(default_factory=list)
    sent: int = 0
    ranges: bool = True
    tag: str | None = '"one"'
    # The number of the request from which on something is wrong.
    cut_from: int = 10**9
    change_from: int = 10**9
    gone_from: int = 10**9


@contextlib.contextmanager
def served(files: dict[str, bytes]) -> Iterator[Server]:
    server = Server(files)
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(False)

        def do_GET(self) -> None:
            self.answer(True)

        def answer(self, body: bool) -> None:
            asked = self.headers.get("Range")
            with lock:
                server.requests.append(f"{self.command} {asked}")
                number = len(server.requests)
            data = server.files.get(urllib.parse.unquote(self.path))
            if data is None or number >= server.gone_from:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if number >= server.change_from:
                data = data[: len(data) // 2]
            start, end = 0, len(data)
            if asked and server.ranges:
                first, last = asked.removeprefix("bytes=").split("-")
                start, end = int(first), min(int(last) + 1, len(data))
                if start >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            else:
                self.send_response(200)
            if server.tag:
                self.send_header("ETag", '"two"' if number >= server.change_from else server.tag)
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            if not body:
                return
            part = data[start:end]
            if number >= server.cut_from:
                part = part[: len(part) // 2]
                self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.write(part)
                with lock:
                    server.sent += len(part)

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{web.server_port}"
    try:
        yield server
    finally:
        web.shutdown()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cloud-optimized GeoTIFF: tiles, two overviews, and where it lies."""
    path = tmp_path_factory.mktemp("remote") / "scene.tif"
    noise = np.random.default_rng(5).integers(0, 4000, (SIDE, SIDE), dtype=np.uint16)
    place = [(33550, "d", 3, (10.0, 10.0, 0.0), True), (33922, "d", 6, (0.0, 0, 0, 500000, 4000000, 0), True)]
    with tifffile.TiffWriter(path) as tif:
        for factor in (1, 2, 4):
            options = {"subfiletype": 1} if factor > 1 else {"extratags": place}
            tif.write(
                noise[::factor, ::factor], tile=(TILE, TILE), compression="zlib", predictor=True, metadata=None, **options
            )
    return path


def rows_of(image: str | Path, out: Path, *args: object, **options: object) -> pa.Table:
    run = windrow("export", image, "-q", "-o", out, *args, **options)
    assert run.returncode == 0, run.stderr.decode()
    return read_arrow(out)


def test_few_rows_take_a_small_part_of_the_file(scene: Path, tmp_path: Path) -> None:
    data = scene.read_bytes()
    assert len(data) > 20 * MIB
    args = ["--window", "64x64", "--step", "64", "--rows", "0..10"]
    with served({"/a folder/scene.tif": data}) as server:
        url = f"{server.url}/a%20folder/scene.tif"
        assert windrow("info", url).returncode == 0
        assert server.sent < MIB // 4 and len(server.requests) <= 3, server.requests
        server.sent = 0
        server.requests.clear()
        got = rows_of(url, tmp_path / "a.arrow", *args)
        # The tags, and the first line of tiles at most.
        assert server.sent < len(data) / 10, (server.sent, len(data))
        assert len(server.requests) <= 6, server.requests
    # But for where the table says that it is from.
    assert got.equals(rows_of(scene, tmp_path / "b.arrow", *args))


@pytest.mark.parametrize("args", [[], ["--overview", "1"]], ids=["all", "overview"])
def test_every_byte_is_sent_once(args: list[str], scene: Path, tmp_path: Path) -> None:
    data = scene.read_bytes()
    args = ["--window", "64x64", "--step", "64", "--coords", "map", *args]
    with served({"/scene.tif": data}) as server:
        got = rows_of(f"{server.url}/scene.tif", tmp_path / "a.arrow", *args)
        assert server.sent < len(data) * (1.1 if len(args) == 6 else 0.15), (server.sent, len(data))
        # A line of tiles is a request or two, and not one a tile.
        assert len(server.requests) < 2 * SIDE // TILE + 10, len(server.requests)
        assert len(server.requests) == len(set(server.requests)), sorted(server.requests)
    assert got.num_rows > 0 and got.equals(rows_of(scene, tmp_path / "b.arrow", *args))


def test_memory_is_what_info_says(scene: Path) -> None:
    args = ["--window", "64x64", "--step", "8"]
    with served({"/scene.tif": scene.read_bytes()}) as server:
        url = f"{server.url}/scene.tif"
        said = json.loads(windrow("info", url, *args, "--json").stdout)["peak_bytes"]
        run = measured("stream", url, *args)
        assert run.code == 0 and run.rss < 1.25 * said, (run.rss, said)


@pytest.mark.parametrize("layout", ["strips", "strips-raw", "one-strip-raw", "tiles-raw", "planes"])
def test_layouts(layout: str, tmp_path: Path) -> None:
    array = np.random.default_rng(6).integers(0, 255, (700, 600, 3), dtype=np.uint8)
    options = {
        "strips": {"rowsperstrip": 16, "compression": "zstd"},
        "strips-raw": {"rowsperstrip": 5},
        "one-strip-raw": {"rowsperstrip": 700},
        "tiles-raw": {"tile": (64, 48)},
        "planes": {"planarconfig": "separate", "tile": (64, 64), "compression": "lzw"},
    }[layout]
    path = tmp_path / "a.tif"
    stored = np.moveaxis(array, -1, 0) if layout == "planes" else array
    tifffile.imwrite(path, stored, photometric="rgb", metadata=None, **options)
    with served({"/a.tif": path.read_bytes()}) as server:
        got = rows_of(f"{server.url}/a.tif", tmp_path / "a.arrow", "--window", "32x32", "--step", "16")
    assert_same(patches_of(got, (32, 32, 3)), windows(array, (32, 32), (16, 16))[1])


def test_other_files(tmp_path: Path) -> None:
    array = np.random.default_rng(7).integers(0, 255, (90, 80, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", a=array)
    Image.fromarray(array).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([array[..., 0], array[..., 1]]), metadata=None)
    (tmp_path / "a.bin").write_bytes(array.tobytes())
    with served({f"/{path.name}": path.read_bytes() for path in tmp_path.iterdir()}) as server:
        for name, args in [("a.npy", []), ("a.npz", []), ("a.png", []), ("a.bin", ["--raw", "u8:90x80x3"])]:
            got = rows_of(f"{server.url}/{name}", tmp_path / "a.arrow", "--window", "8x8", *args)
            assert_same(patches_of(got, (8, 8, 3)), windows(array, (8, 8))[1])
        got = rows_of(f"{server.url}/stack.tif", tmp_path / "a.arrow", "--window", "2x8x8", "--stack")
        assert got.num_rows == 83 * 73
        two = rows_of(f"{server.url}/a.npy", tmp_path / "a.arrow", f"{server.url}/a.png", "--window", "8x8")
        assert two.num_rows == 2 * 83 * 73


def refused(server: Server, name: str = "scene.tif") -> str:
    run = windrow("export", f"{server.url}/{name}", "--window", "64x64", "--step", "64", "-q", "-o", "/dev/null.arrow")
    message = run.stderr.decode()
    assert run.returncode == 1 and message.count("\n") == 1 and f"{server.url}/{name}: " in message, message
    return message


def test_what_goes_wrong_is_said(scene: Path) -> None:
    data = scene.read_bytes()
    with served({"/scene.tif": data, "/empty.tif": b"", "/text.tif": b"nothing of this kind"}) as server:
        assert "the server has no such file" in refused(server, "missing.tif")
        assert "the file is empty" in refused(server, "empty.tif")
        assert "not a TIFF file" in refused(server, "text.tif")
        server.ranges = False
        assert "no parts of them" in refused(server)
        # Nobody waits for the whole file to say so.
        assert server.sent < len(data)
    for tag in ['"one"', None]:
        with served({"/scene.tif": data}) as server:
            server.tag, server.change_from = tag, 4
            assert "the file changed while it was read" in refused(server)
        with served({"/scene.tif": data}) as server:
            server.gone_from = 4
            assert "the server has no such file" in refused(server)
    with served({"/scene.tif": data[: len(data) // 2]}) as server:
        assert "beyond the end of the file" in refused(server)


def test_a_signed_address_is_kept_to_itself(scene: Path, tmp_path: Path) -> None:
    args = ["--window", "64x64", "--step", "256"]
    local = rows_of(scene, tmp_path / "b.arrow", *args)
    signature = "?X-Amz-Algorithm=AWS4&X-Amz-Signature=s3cret%2Fs3cret"
    with served({f"/scene.tif{urllib.parse.unquote(signature)}": scene.read_bytes()}) as server:
        address = f"{server.url}/scene.tif"
        got = rows_of(f"{address}{signature}", tmp_path / "a.arrow", *args)
        assert got.equals(local)
        both = rows_of(f"{address}{signature}", tmp_path / "c.arrow", scene, *args)
        assert set(both["image"].cast(pa.string()).to_pylist()) == {address, str(scene)}
        for table in (got, both):
            assert b"s3cret" not in b"".join([*table.schema.metadata.values()])
        assert b"s3cret" not in (tmp_path / "c.arrow").read_bytes()
        run = windrow("info", f"{address}{signature}", *args)
        assert address.encode() in run.stdout and b"s3cret" not in run.stdout
        for wrong in [f"{address}{signature}x", f"{address}", f"{server.url}/none.zarr{signature}"]:
            run = windrow("export", wrong, *args, "-q", "-o", tmp_path / "d.arrow")
            message = run.stderr.decode()
            assert run.returncode == 1 and message.count("\n") == 1 and "s3cret" not in message, message
        server.gone_from = 1
        run = windrow("export", f"{address}{signature}", *args, "-q", "-o", tmp_path / "d.arrow")
        assert run.returncode == 1 and b"s3cret" not in run.stderr, run.stderr


def test_an_answer_that_is_cut_short_is_no_image(scene: Path) -> None:
    # Without a tag nobody can tell whether the rest would be of the same file: it is not asked for.
    with served({"/scene.tif": scene.read_bytes()}) as server:
        server.tag, server.cut_from = None, 3
        assert "cannot read" in refused(server)


def test_a_bucket(scene: Path, tmp_path: Path, server: str, environment: dict) -> None:
    key, secret = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    store = pyarrow.fs.S3FileSystem(access_key=key, secret_key=secret, endpoint_override=server, region="us-east-1")
    pyarrow.fs.copy_files(str(scene), "windows/scenes/scene.tif", destination_filesystem=store)
    args = ["--window", "64x64", "--step", "32", "--overview", "0"]
    got = rows_of("s3://windows/scenes/scene.tif", tmp_path / "a.arrow", *args, env=environment)
    assert got.equals(rows_of(scene, tmp_path / "b.arrow", *args))
    run = windrow("info", "s3://windows/scenes/none.tif", env=environment)
    assert run.returncode == 1 and b"cannot open: no such bucket or object" in run.stderr, run.stderr
    assert run.stderr.count(b"\n") == 1 and secret.encode() not in run.stderr
