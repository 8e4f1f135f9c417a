"""Threads, processes, the end of the interpreter and consumers that fail: nothing crashes, hangs or leaks."""

from __future__ import annotations

import concurrent.futures as futures
import gc
import multiprocessing as mp
import pickle
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import windrow as wr

IMAGE = np.arange(300 * 400, dtype=np.float32).reshape(300, 400)


def checksum(s: wr.Scan) -> float:
    return float(sum(float(matrix.sum(dtype=np.float64)) for matrix in s.matrix_batches(1000)))


EXPECTED = checksum(wr.scan(IMAGE, (3, 3)))


def test_threads_share_a_scan() -> None:
    s = wr.scan(IMAGE, (3, 3), batch_rows=5000)

    def work(seed: int) -> float:
        rng = random.Random(seed)
        for _ in range(5):
            row = rng.randrange(len(s))
            np.testing.assert_array_equal(s[row], IMAGE[row // 398 :, row % 398 :][:3, :3])
        stream = pa.RecordBatchReader.from_stream(s)
        stream.read_next_batch()
        return checksum(s)

    with futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(16))) == {EXPECTED}


def test_threads_share_a_stream() -> None:
    batches = iter(wr.scan(IMAGE, (3, 3), batch_rows=1000))
    with futures.ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda _: [batch["window"].copy() for batch in batches], range(4))
        windows = np.sort(np.concatenate([ids for part in parts for ids in part]))
    np.testing.assert_array_equal(windows, np.arange(298 * 398))


def test_spawned_processes(tmp_path: Path) -> None:
    path = tmp_path / "image.npy"
    np.save(path, IMAGE)
    for s in (wr.scan(IMAGE, (3, 3)), wr.scan(path, (3, 3))):
        with futures.ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as pool:
            assert list(pool.map(checksum, [s, s])) == [EXPECTED, EXPECTED]


def test_forked_processes_after_threads_were_at_work() -> None:
    run(
        """
        import os, warnings
        warnings.simplefilter("ignore")
        masks = [wr.scan(IMAGE, (3, 3)).mask(IMAGE > 3, at='all') for _ in range(20)]
        list(wr.scan(IMAGE, (3, 3), batch_rows=1000))
        for _ in range(5):
            child = os.fork()
            if not child:
                rows = sum(len(batch) for batch in wr.scan(IMAGE, (3, 3), batch_rows=1000))
                wr.scan(IMAGE, (3, 3)).to_numpy(); wr.scan(IMAGE, (3, 3))[[5, 3, 9]]
                wr.scan(IMAGE, (3, 3)).mask(IMAGE > 3, at='all').shuffle(1)[:100]
                os._exit(0 if rows == 298 * 398 else 3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """
    )


def test_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image.npy"
    np.save(path, IMAGE)
    monkeypatch.chdir(tmp_path)
    s = wr.scan("image.npy", (3, 3), step=2, rows=slice(100, 900), layout="binary")
    text = pickle.dumps(s)
    assert len(text) < 2000
    monkeypatch.chdir("/")
    again = pickle.loads(text)
    np.testing.assert_array_equal(again.to_numpy(), s.to_numpy())
    assert again.schema.__repr__() == s.schema.__repr__() and len(again) == 800
    flipped = pickle.loads(pickle.dumps(wr.scan(IMAGE[::-1, ::3], (3, 3))))
    np.testing.assert_array_equal(flipped[7], IMAGE[::-1, ::3][:3, 7:10])


def test_consumers_that_fail() -> None:
    s = wr.scan(IMAGE, (3, 3), batch_rows=500)
    for _ in range(50):
        with pytest.raises(ZeroDivisionError):
            for i, batch in enumerate(s):
                1 / (i - 2)
    for _ in range(50):
        stream = pa.RecordBatchReader.from_stream(s)
        stream.read_next_batch()
        stream.close()


def test_any_order_of_going() -> None:
    rng = random.Random(5)
    for _ in range(300):
        s = wr.scan(IMAGE.copy(), (3, 3), batch_rows=rng.choice([100, 5000]))
        batches = iter(s)
        batch = next(batches)
        column = batch["patch"]
        arrow = pa.record_batch(batch)
        stream = pa.RecordBatchReader.from_stream(s)
        frame = s.lazy()
        things = [s, batches, batch, column, arrow, stream, frame, s.__arrow_c_stream__(), next(batches)]
        del s, batches, batch, column, arrow, stream, frame
        rng.shuffle(things)
        while things:
            things.pop()
            if rng.random() < 0.1:
                gc.collect(0)


def run(code: str, *, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own, to its end."""
    head = "import numpy as np, windrow as wr\nIMAGE = np.zeros((300, 400), np.float32)\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code)], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


LEFT_OPEN = {
    "iterator": "it = iter(wr.scan(IMAGE, (8, 8), batch_rows=1000)); next(it)",
    "pyarrow": """
        import pyarrow as pa
        stream = pa.RecordBatchReader.from_stream(wr.scan(IMAGE, (8, 8), batch_rows=1000))
        stream.read_next_batch()
    """,
    "polars": """
        import polars as pl
        s = wr.scan(np.zeros((600, 600), np.float32), (8, 8))
        for frame in s.lazy().collect_batches(chunk_size=100):
            break
    """,
    "polars wide": """
        import polars as pl
        s = wr.scan(np.zeros((400, 400), np.float32), (40, 40))
        for frame in s.lazy().collect_batches(chunk_size=100):
            break
    """,
    "thread": """
        import threading
        s = wr.scan(np.zeros((2000, 2000), np.float32), (8, 8))
        threading.Thread(target=s.to_numpy, daemon=True).start()
        threading.Thread(target=lambda: [None for _ in s], daemon=True).start()
    """,
    "duckdb": """
        import duckdb
        result = duckdb.connect().from_arrow(wr.scan(IMAGE, (8, 8), batch_rows=1000)).limit(1).fetchall()
    """,
}


@pytest.mark.parametrize("how", LEFT_OPEN)
def test_the_interpreter_ends_while_a_stream_is_open(how: str) -> None:
    for _ in range(8):
        run(LEFT_OPEN[how])


def test_errors_keep_their_class(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        wr.scan(tmp_path / "none.npy", (2, 2))
    assert missing.value.filename == str(tmp_path / "none.npy")
    with pytest.raises(ValueError, match="no image in the folder"):
        wr.scan(tmp_path, (2, 2))
    (tmp_path / "text.txt").write_text("hello, this is no image")
    with pytest.raises(ValueError, match="text.txt"):
        wr.scan(tmp_path / "text.txt", (2, 2))
    with pytest.raises(ValueError, match="axis y: window 400 is larger"):
        wr.scan(IMAGE, (400, 2))
    with pytest.raises(IndexError, match="118604"):
        wr.scan(IMAGE, (3, 3), rows=(0, 118605))
    with pytest.raises(FileNotFoundError):
        wr.scan(IMAGE, (3, 3)).write_parquet(tmp_path / "no" / "folder.parquet")
    with pytest.raises(MemoryError):
        wr.scan(np.broadcast_to(np.float64(0), (2**40, 2**10)), (2**13, 2**10), batch_rows=2**20)[:1].shape
        next(iter(wr.scan(np.broadcast_to(np.float64(0), (2**40, 2**10)), (2**13, 2**10), batch_rows=2**20)))


def test_errors_in_mid_stream(tmp_path: Path) -> None:
    """A file that changes under a scan: through Python, and through the C stream of another library."""
    path = tmp_path / "image.npy"
    np.save(path, IMAGE)
    s = wr.scan(path, (3, 3), batch_rows=100)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises((OSError, ValueError), match="image.npy"):
        list(s)
    with pytest.raises((OSError, ValueError), match="image.npy"):
        pa.RecordBatchReader.from_stream(s).read_all()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        pa.RecordBatchReader.from_stream(s)
