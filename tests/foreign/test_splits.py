"""Splits that are made by themselves, in any order, and twice, are one table."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.dataset
import pytest
import tifffile
from harness import WINDROW, export, windrow
from reference import windows

WINDOW = (4, 4)
SPLITS = 5
OPTIONS = ["--window", "4x4", "--layout", "binary"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("splits") / "image.tif"
    tifffile.imwrite(path, np.random.default_rng(1).integers(0, 9, (700, 600), "uint8"), rowsperstrip=64, compression="zlib")
    return path


def command(image: Path, out: Path, split: int) -> list[str]:
    return [str(WINDROW), "export", str(image), "-q", "-o", f"{out}/", *OPTIONS, "--split", f"{split}/{SPLITS}"]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_workers_in_any_order(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    # Two at a time, one of them as if a scheduler had lost sight of it.
    for pair in [(3, 0), (1, 1), (4, 2), (0, 4)]:
        workers = [subprocess.Popen(command(image, out, split), stderr=subprocess.PIPE) for split in pair]
        assert [worker.communicate()[1] for worker in workers] == [b"", b""]
        assert [worker.returncode for worker in workers] == [0, 0]
    before = content(out)
    assert len(before) == 2 * SPLITS
    assert windrow(*command(image, out, 3)[1:]).returncode == 0
    assert content(out) == before

    rows, expected = 697 * 597, windows(np.asarray(tifffile.imread(image)), WINDOW)[1].reshape(697 * 597, -1)
    # Before it has its manifest, and after.
    for _ in range(2):
        assert duckdb.sql(f"select count(*), count(distinct \"window\") from '{out}/*.parquet'").fetchall() == [(rows, rows)]
        table = pyarrow.dataset.dataset(out).to_table()
        assert np.array_equal(table["window"].to_numpy(), np.arange(rows))
        assert np.array_equal(np.frombuffer(b"".join(table["patch"].to_pylist()), "uint8").reshape(rows, -1), expected)
        assert pl.scan_parquet(f"{out}/*.parquet").select(pl.col("window").sum()).collect().item() == rows * (rows - 1) // 2
        run = windrow("verify", out)
        assert run.returncode == 0, run.stderr
    whole = export(image, f"{tmp_path}/whole/", *OPTIONS, "--files", SPLITS)
    assert content(out) == content(Path(whole))


def test_a_worker_that_dies_is_run_again(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for split in range(SPLITS):
        worker = subprocess.Popen(command(image, out, split), stderr=subprocess.PIPE)
        time.sleep(0.004 * split)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    run = windrow("verify", out)
    if run.returncode != 0:
        assert b"splits are not there" in run.stderr or b"No such file" in run.stderr, run.stderr
    for split in range(SPLITS):
        assert windrow(*command(image, out, split)[1:]).returncode == 0
    assert windrow("verify", out, "--all").returncode == 0
    whole = export(image, f"{tmp_path}/whole/", *OPTIONS, "--files", SPLITS)
    assert content(out) == content(Path(whole))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--split", "5/5"], b"--split: 5 of 5"),
        (["--split", "x/5"], b"is not a part of so many, such as 3/16"),
        (["--split", "0/0"], b"--split: 0 splits: expected at least 1"),
        (["--split", "0/5", "--files", "5"], b"goes with all files of a folder"),
    ],
)
def test_what_is_no_split(args: list[str], message: bytes, image: Path, tmp_path: Path) -> None:
    run = windrow("export", image, "-o", f"{tmp_path}/out/", *OPTIONS, *args)
    assert run.returncode == 1 and message in run.stderr, run.stderr
    assert not os.path.exists(tmp_path / "out")


def test_a_stream_of_a_split(image: Path) -> None:
    import pyarrow as pa

    ids = []
    for split in range(3):
        run = windrow("stream", image, "--window", "4x4", "--columns", "window", "--split", f"{split}/3")
        ids.append(pa.ipc.open_stream(run.stdout).read_all()["window"].to_numpy())
    assert [len(part) % 597 for part in ids] == [0, 0, 0]
    # Strips of 64 lines.
    assert [part[0] // 597 for part in ids] == [0, 256, 448]
    assert np.array_equal(np.concatenate(ids), np.arange(697 * 597))
