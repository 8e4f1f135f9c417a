"""Two workers answer what DuckDB says of numpy's windows."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness import WINDROW
from numpy.lib.stride_tricks import sliding_window_view

WORKER, ASK = WINDROW.with_name("windrow-worker"), WINDROW.with_name("windrow-distributed")


def start() -> list[subprocess.Popen[str]]:
    listen = [str(WORKER), "--listen", "127.0.0.1:0"]
    return [subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) for _ in range(2)]


def addresses(started: list[subprocess.Popen[str]]) -> str:
    return ",".join(worker.stdout.readline().strip() for worker in started if worker.stdout)


@pytest.fixture(scope="module")
def workers() -> Iterator[str]:
    started = start()
    yield addresses(started)
    for worker in started:
        worker.terminate()
        assert worker.wait(20) == 0


@pytest.mark.parametrize(
    "sql",
    [
        "select y // 50 as block, count(*) as n, sum(total) as total, max(corner) as most from t group by block order by block",
        "select count(*) as n, avg(total) as total, min(y) as y from t where x % 3 = 1 and y between 17 and 300",
        "select y, x, total from t order by total desc, y, x limit 30",
        "select a.y as y, count(*) as n, sum(a.total - b.corner) as s from t a join t b on a.y = b.x and a.x = b.y "
        "where b.y < 200 group by a.y order by y",
    ],
)
def test_answers(sql: str, workers: str, tmp_path: Path) -> None:
    image = np.random.default_rng(5).integers(0, 256, (400, 500)).astype("uint8")
    np.save(tmp_path / "image.npy", image)
    windows = sliding_window_view(image, (16, 16))
    y, x = (axis.ravel() for axis in np.indices(windows.shape[:2]))
    total, corner = windows.sum((2, 3), dtype="int64").ravel(), windows[:, :, 15, 15].ravel().astype("int64")
    t = pa.table({"y": y, "x": x, "total": total, "corner": corner})  # noqa: F841, DuckDB finds it by its name
    expected = duckdb.sql(sql).fetchall()
    # The same table, made of windows by the workers.
    made = f"select y, x, patch_sum(patch) as total, cast(patch[16][16] as bigint) as corner from patches('{tmp_path}/image.npy', window => '16x16')"
    ours = f"with t as ({made}) {sql.replace('//', '/')}"
    run = subprocess.run([ASK, "sql", ours, "--workers", workers, "-q", "-o", tmp_path / "out.parquet"], capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    answer = pq.read_table(tmp_path / "out.parquet")
    assert [tuple(row.values()) for row in answer.to_pylist()] == [tuple(map(float, row)) for row in expected]
    assert len(expected) > 0


@pytest.mark.parametrize("wait", [0.0, 0.2, 0.6])
def test_a_killed_worker_leaves_all_rows_or_no_file(wait: float, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.random.default_rng(5).integers(0, 256, (700, 700)).astype("uint8"))
    sql = f"select y, x, patch_quantile(patch, 0.5) as q from patches('{tmp_path}/image.npy', window => '16x16')"
    started, out = start(), tmp_path / "out.parquet"
    try:
        ask = [str(ASK), "sql", sql, "--workers", addresses(started), "-q", "-o", str(out)]
        asks = subprocess.Popen(ask, stderr=subprocess.PIPE, text=True)
        time.sleep(wait)
        started[1].kill()
        _, error = asks.communicate(timeout=120)
    finally:
        for worker in started:
            worker.kill()
            worker.wait()
    if asks.returncode == 0:
        made = pq.read_table(out, columns=["y", "x"])
        assert len({(row["y"], row["x"]) for row in made.to_pylist()}) == len(made) == 685 * 685
    else:
        assert len(error.splitlines()) == 1 and error.startswith("windrow-distributed: "), error
        assert [path.name for path in tmp_path.iterdir()] == ["image.npy"]
