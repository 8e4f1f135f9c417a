"""Exports into a bucket, by a server of S3's language on this machine: whole or not at all, and continued."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from harness import BUCKET, SECRET, WINDROW, assert_same, patches_of, windrow
from reference import windows

pytestmark = pytest.mark.skipif(
    b'needs the feature "cloud"' in windrow("export", "x.npy", "--window", "8x8", "-o", "s3://b/c").stderr,
    reason="this build has no object stores: cargo build --features cloud",
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cloud") / "image.npy"
    np.save(path, np.random.default_rng(3).integers(0, 2000, (500, 400), dtype=np.uint16))
    return path


def bucket(server: str) -> pyarrow.fs.FileSystem:
    return pyarrow.fs.S3FileSystem(
        access_key="key-of-a-test", secret_key=SECRET, endpoint_override=server, region="us-east-1"
    )


def content(server: str, prefix: str) -> dict[str, bytes]:
    store = bucket(server)
    selector = pyarrow.fs.FileSelector(f"{BUCKET}/{prefix}", allow_not_found=True)
    return {info.base_name: store.open_input_file(info.path).readall() for info in store.get_file_info(selector)}


def uploads(server: str) -> int:
    """Uploads that were begun and neither ended nor taken back."""
    return urllib.request.urlopen(f"{server}/{BUCKET}?uploads").read().count(b"<UploadId>")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_file_in_a_bucket_is_the_file(ending: str, image: Path, server: str, environment: dict, tmp_path: Path) -> None:
    args = ["export", image, "--window", "16x16", "-q", "--compression", "none", "--layout", "binary"]
    local = tmp_path / f"one.{ending}"
    assert windrow(*args, "-o", local).returncode == 0
    # Many parts of 8 MiB.
    assert local.stat().st_size > 90_000_000
    run = windrow(*args, "-o", f"s3://{BUCKET}/files/one.{ending}", env=environment)
    assert run.returncode == 0, run.stderr
    assert content(server, "files")[f"one.{ending}"] == local.read_bytes()
    assert uploads(server) == 0


def test_a_table_in_a_bucket(image: Path, server: str, environment: dict, tmp_path: Path) -> None:
    args = ["export", image, "--window", "4x4", "-q", "--files", 5]
    assert windrow(*args, "-o", f"{tmp_path}/out/").returncode == 0
    local = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    target = f"s3://{BUCKET}/table"
    run = windrow(*args, "-o", target, env=environment)
    assert run.returncode == 0, run.stderr
    assert content(server, "table") == local
    table = pq.read_table(f"{BUCKET}/table", filesystem=bucket(server))
    assert_same(patches_of(table, (4, 4)), windows(np.load(image), (4, 4))[1])
    for options in [[], ["--all"]]:
        run = windrow("verify", target, *options, env=environment)
        assert run.returncode == 0 and b"5 files" in run.stdout, run.stderr
    run = windrow(*args, "-o", target, env=environment)
    assert run.returncode == 1 and b"holds a table already" in run.stderr
    # A file that is gone, and one that is another.
    store = bucket(server)
    store.delete_file(f"{BUCKET}/table/part-00001.parquet")
    with store.open_output_stream(f"{BUCKET}/table/part-00003.parquet") as file:
        file.write(b"another")
    run = windrow("verify", target, env=environment)
    assert run.returncode == 1 and b"part-00001.parquet: is not as it was written" in run.stderr, run.stderr
    assert windrow(*args, "-o", target, "--resume", env=environment).returncode == 0
    assert content(server, "table") == local


def test_killed_and_continued(image: Path, server: str, environment: dict, tmp_path: Path) -> None:
    args = ["export", image, "--window", "8x8", "-q", "--files", 6]
    assert windrow(*args, "-o", f"{tmp_path}/out/").returncode == 0
    local = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    seed = random.Random(8)
    for kill in range(4):
        target = f"s3://{BUCKET}/killed-{kill}"
        command = [WINDROW, *map(str, args), "-o", target, "--resume"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
        time.sleep(seed.uniform(0, 0.6))
        process.send_signal(seed.choice([signal.SIGKILL, signal.SIGTERM]))
        process.communicate()
        for name, data in content(server, f"killed-{kill}").items():
            assert name == "_metadata.json" or data == local[name]
        run = windrow(*args, "-o", target, "--resume", env=environment)
        assert run.returncode == 0, run.stderr
        assert content(server, f"killed-{kill}") == local


def test_two_that_continue_one_table(image: Path, server: str, environment: dict, tmp_path: Path) -> None:
    """A bucket has no locks. Both do all the work, and write the same bytes under the same names."""
    args = ["export", image, "--window", "8x8", "-q", "--files", 6]
    assert windrow(*args, "-o", f"{tmp_path}/out/").returncode == 0
    local = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    target = f"s3://{BUCKET}/two"
    command = [WINDROW, *map(str, args), "-o", target, "--resume"]
    first = subprocess.Popen(command, env=environment)
    while "_metadata.json" not in content(server, "two"):
        assert first.poll() is None
    second = subprocess.Popen(command, env=environment)
    assert (first.wait(), second.wait()) == (0, 0)
    assert content(server, "two") == local and uploads(server) == 0


def test_an_export_that_fails_leaves_nothing(image: Path, server: str, environment: dict, tmp_path: Path) -> None:
    cut = tmp_path / "cut.npy"
    cut.write_bytes(image.read_bytes())
    before, begun = content(server, "files"), uploads(server)
    command = [WINDROW, "export", cut, "--window", "16x16", "-q", "--compression", "none", "-o", f"s3://{BUCKET}/files/cut.parquet"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, env=environment)
    while uploads(server) == begun and process.poll() is None:
        pass
    os.truncate(cut, 200_000)
    _, error = process.communicate()
    assert process.returncode == 1 and b"the file changed" in error, error
    assert content(server, "files") == before and uploads(server) == begun


def test_errors_say_where_and_no_secret(image: Path, server: str, environment: dict) -> None:
    args = ["export", image, "--window", "4x4", "-q", "-o"]
    run = windrow(*args, "s3://no-such-bucket/a.parquet", env=environment)
    assert run.returncode == 1 and b"s3://no-such-bucket/a.parquet: cannot write: no such bucket" in run.stderr, run.stderr
    for bad in ["s3://", f"s3://{BUCKET}", f"s3://{BUCKET}/"]:
        run = windrow(*args, bad, env=environment)
        assert run.returncode == 1 and b"expected s3://bucket/name" in run.stderr, run.stderr
    for errors in [run.stderr, windrow("verify", "s3://no-such-bucket/a", env=environment).stderr]:
        assert errors.count(b"\n") == 1
        assert SECRET.encode() not in errors and b"key-of-a-test" not in errors
    assert json.loads(content(server, "table")["_metadata.json"])["image"]["bytes"] == image.stat().st_size
