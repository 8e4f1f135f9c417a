"""Parquet and IPC from Python: the rows, the progress, the interruption."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

import windrow as wr
from windrow import _progress


def test_parquet(tmp_path: Path, image: np.ndarray) -> None:
    s = wr.scan(image, (3, 3))
    path = tmp_path / "rows.parquet"
    size = s.write_parquet(path)
    assert size == path.stat().st_size
    assert pq.read_table(path).equals(pa.table(s))
    assert pl.read_parquet(path).equals(pl.DataFrame(s))
    for compression in ("none", "zstd:9", "lz4", "snappy"):
        s.write_parquet(path, compression=compression)
        assert pq.read_table(path).num_rows == len(s)
    with pytest.raises(ValueError, match="compression"):
        s.write_parquet(path, compression="rar")


@pytest.mark.parametrize("stream", [False, True])
def test_ipc(tmp_path: Path, image: np.ndarray, stream: bool) -> None:
    s = wr.scan(image, (3, 3))
    path = str(tmp_path / "rows.arrow")
    assert s.write_ipc(path, stream=stream) == os.path.getsize(path)
    reader = ipc.open_stream(path) if stream else ipc.open_file(path)
    assert reader.read_all().equals(pa.table(s))


def test_progress_is_told(tmp_path: Path, image: np.ndarray) -> None:
    s = wr.scan(image, (3, 3), batch_rows=10)
    told: list[tuple[int, int]] = []
    s.write_parquet(tmp_path / "a", progress=lambda *rows: told.append(rows))
    assert told[-1] == (len(s), len(s))

    def refuse(done: int, total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        s.write_parquet(tmp_path / "b", progress=refuse)
    assert not (tmp_path / "b").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_in_a_terminal(tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    wr.scan(image, (3, 3)).write_ipc(tmp_path / "a", progress=True)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "[########################] 100%  609 rows" in shown and shown.endswith("\n")


def test_no_bar_elsewhere(tmp_path: Path, image: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    wr.scan(image, (3, 3)).write_ipc(tmp_path / "a", progress=True)
    assert capfd.readouterr() == ("", "")


def test_a_bar_in_a_notebook(tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = []

    class Handle:
        update = staticmethod(pages.append)

    def display(page: Any, display_id: bool) -> Handle:
        pages.append(page)
        return Handle()

    monkeypatch.setattr(_progress, "_notebook", lambda: display)
    wr.scan(image, (3, 3)).write_ipc(tmp_path / "a", progress=True)
    assert "value='0'" in pages[0]._repr_html_() and "609 of 609 rows" in pages[-1]._repr_html_()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_control_c(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    code = f"import numpy as np, windrow as wr\ns = wr.scan(np.random.default_rng(0).random((3000, 3000)), (16, 16))\nprint(1, flush=True)\ns.write_parquet({str(path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - start < 5
    assert "KeyboardInterrupt" in errors and os.listdir(tmp_path) == []


def test_memory_is_limited(tmp_path: Path) -> None:
    image = np.random.default_rng(2).integers(0, 9, (600, 700), dtype=np.uint16)
    np.save(tmp_path / "image.npy", image)
    s = wr.scan(tmp_path / "image.npy", (16, 16))
    least = int(pytest.raises(ValueError, s.max_memory, 2**20).value.args[0].split("expected ")[1].split("MiB")[0])
    for some in (s, s.shuffle(3), s.sample(500)):
        small = pickle.loads(pickle.dumps(some.max_memory((least + 4) * 2**20)))
        assert small.explain().peak_bytes < (least + 4) * 2**20 and len(small) == len(some)
        assert small.explain().batch_rows <= some.explain().batch_rows
        assert pa.table(small).equals(pa.table(some))
    kept = [wr.scan(tmp_path / "image.npy", (16, 16), cache_bytes=n).shuffle(3) for n in (0, 10**6, 10**8)]
    assert [s.explain().cache_bytes for s in kept] == [0, 10**6, 10**8]
    assert len({pa.table(s)["patch"].combine_chunks().flatten().flatten().to_numpy().tobytes() for s in kept}) == 1
    assert s.explain().cache_bytes == 0
