"""A lazy frame gathers what its query needs, any number of times, in bounded memory."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import windrow as wr
from windrow import _polars

ENGINES = ["in-memory", "streaming"]


@pytest.fixture
def gathered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of windows of each gather."""
    counts: list[int] = []
    plain = _polars.Gather.__call__

    def counting(self: _polars.Gather, windows: pl.Series) -> pl.Series:
        counts.append(len(windows))
        return plain(self, windows)

    monkeypatch.setattr(_polars.Gather, "__call__", counting)
    return counts


@pytest.fixture(params=["narrow", "wide"])
def s(request: pytest.FixtureRequest) -> wr.Scan:
    """Small patches go through a frame without values, large ones through a file of pieces."""
    rng = np.random.default_rng(3)
    if request.param == "narrow":
        return wr.scan(rng.integers(0, 255, (300, 400), dtype=np.uint8), (4, 4))
    return wr.scan(rng.integers(0, 255, (100, 150, 3), dtype=np.uint8), (40, 40))


@pytest.mark.parametrize("engine", ENGINES)
def test_only_what_is_needed(s: wr.Scan, gathered: list[int], engine: str) -> None:
    lf = s.lazy()
    n, (height, width) = len(s), s.grid_shape

    def collect(query: pl.LazyFrame) -> tuple[pl.DataFrame, int]:
        gathered.clear()
        frame = query.collect(engine=engine)  # type: ignore[call-overload]
        return frame, sum(gathered)

    frame, count = collect(lf.select(pl.len()))
    assert (frame.item(), count) == (n, 0)
    frame, count = collect(lf.filter(pl.col("y") < 10).select(pl.len()))
    assert (frame.item(), count) == (10 * width, 0)
    for query, rows in [
        (lf.head(5), range(5)),
        (lf.tail(3), range(n - 3, n)),
        (lf.slice(1000, 7), range(1000, 1007)),
        (lf.filter((pl.col("y") == 2) & (pl.col("x") < 5)), range(2 * width, 2 * width + 5)),
        (lf.filter(pl.col("window").is_in([3, 700])), [3, 700]),
        (lf.filter(pl.col("y") == height - 1).head(2), range((height - 1) * width, (height - 1) * width + 2)),
    ]:
        frame, count = collect(query)
        np.testing.assert_array_equal(frame["patch"].to_numpy(), s[list(rows)])
        assert frame["window"].to_list() == list(rows)
        assert count == len(rows)
    frame, count = collect(lf.select("y", "x"))
    assert (frame.shape, count) == ((n, 2), 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_again_and_with_itself(s: wr.Scan, engine: str) -> None:
    lf = s.lazy().filter(pl.col("window") % 100 == 0)
    first, second = lf.collect(engine=engine), lf.collect(engine=engine)  # type: ignore[call-overload]
    assert first.equals(second)
    joined = lf.join(lf, on="window").sort("window").collect(engine=engine)  # type: ignore[call-overload]
    np.testing.assert_array_equal(joined["patch"].to_numpy(), joined["patch_right"].to_numpy())
    assert joined.height == first.height
    grouped = lf.group_by("y").agg(pl.len()).collect(engine=engine)  # type: ignore[call-overload]
    assert grouped["len"].sum() == first.height


def test_filter_on_pixels(s: wr.Scan) -> None:
    corner = pl.col("patch").arr.get(0).arr.get(0)
    corner = corner.arr.get(0) if len(s.patch_shape) == 3 else corner
    frame = s.lazy().filter(corner > 250).collect(engine="streaming")
    values = s.to_numpy().reshape(len(s), -1)[:, 0]
    assert frame["window"].to_list() == np.flatnonzero(values > 250).tolist()


def test_sinks_and_batches(s: wr.Scan, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    s.lazy().select("window", "y").sink_parquet(path)
    assert pl.scan_parquet(path).select(pl.col("window").sum()).collect().item() == len(s) * (len(s) - 1) // 2
    batches = s.lazy().collect_batches(chunk_size=1000)
    assert isinstance(batches, Iterator)
    assert sum(len(batch) for batch in batches) == len(s)


def test_expression_over_ids(s: wr.Scan) -> None:
    picks = pl.DataFrame({"label": [1, 0, 1], "id": [9, 4, 4]}, schema_overrides={"id": pl.UInt64})
    frame = picks.with_columns(patch=s.expr("id"))
    np.testing.assert_array_equal(frame["patch"].to_numpy(), s[[9, 4, 4]])
    frame = picks.lazy().with_columns(patch=s.expr(pl.col("id") + 1)).collect()
    np.testing.assert_array_equal(frame["patch"].to_numpy(), s[[10, 5, 5]])
    with pytest.raises(IndexError, match="the scan has 0 to"):
        picks.with_columns(patch=s.expr(pl.col("id") + len(s)))


def test_ids_may_be_missing() -> None:
    s = wr.scan(np.arange(100).reshape(10, 10), (3, 3))
    for ids in ([None, 3, None, 5, 3], [None], []):
        frame = pl.DataFrame({"id": ids}, schema={"id": pl.UInt64}).with_columns(patch=s.expr("id"))
        assert frame["patch"].dtype == pl.Array(pl.Int64, (3, 3))
        assert frame["patch"].to_list() == [None if i is None else s[i].tolist() for i in ids]


def test_patches_are_not_copied_and_their_memory_is_used_again() -> None:
    s = wr.scan(np.arange(300 * 300, dtype=np.float32).reshape(300, 300), (8, 8))
    taker = s._plan.taker("patch")
    addresses = set()
    for start in range(0, 50_000, 5_000):
        batch = taker.take(np.arange(start, start + 5_000, dtype=np.uint64))
        series = pl.DataFrame(batch).to_series()
        assert series.to_numpy().ctypes.data == batch["patch"].ctypes.data
        addresses.add(batch["patch"].ctypes.data)
        np.testing.assert_array_equal(series.to_numpy(), s[start : start + 5_000])
        del batch, series
    assert len(addresses) <= 2
    kept = pl.DataFrame(taker.take(np.array([7, 5], np.uint64))).to_series()
    expected = kept.to_list()
    del taker
    wr.scan(np.zeros((300, 300)), (8, 8)).to_numpy()
    assert kept.to_list() == expected == s[[7, 5]].tolist()


def test_only_stable_parts_of_polars(s: wr.Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_WARN_UNSTABLE", "1")
    with pytest.warns(match="unstable"):
        pl.DataFrame(height=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert s.lazy().filter(pl.col("y") < 3).head(5).collect(engine="streaming").height == 5
        assert pl.DataFrame({"window": [3]}).select(s.expr()).height == 1


def test_scan_of_some_columns() -> None:
    image = np.arange(100).reshape(10, 10)
    for columns in (["x"], ["patch", "y"], ["patch"], ["window"]):
        s = wr.scan(image, (3, 3), columns=columns)
        assert s.lazy().collect().equals(pl.DataFrame(s))
        assert s.lazy().collect_schema().names() == columns


@pytest.mark.parametrize("limits", [{"FRAME_ROWS": 30}, {"PIECE_BYTES": 100, "FRAME_PIECES": 5}])
def test_more_rows_than_a_frame_counts(limits: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(_polars, name, value)
    s = wr.scan(np.arange(200).reshape(10, 20), (2, 2), rows=(5, 170))
    for columns in (None, ["window", "y"]):
        s = wr.scan(np.arange(200).reshape(10, 20), (2, 2), rows=(5, 170), columns=columns)
        assert s.lazy().collect().equals(pl.DataFrame(s))
        assert s.lazy().slice(61, 40).collect(engine="streaming").equals(pl.DataFrame(s).slice(61, 40))
    assert wr.scan(np.zeros((9, 9)), (2, 2), rows=(5, 5)).lazy().collect().is_empty()


def test_plans_are_pickled() -> None:
    s = wr.scan(np.arange(100).reshape(10, 10), (3, 3))
    gather = pickle.loads(pickle.dumps(_polars.Gather(s, "patch")))
    np.testing.assert_array_equal(gather(pl.Series([5], dtype=pl.UInt64)).to_numpy(), s[[5]])


MEMORY = """
import numpy as np, polars as pl, windrow as wr
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
s = wr.scan(np.zeros((500, 500, 3), np.uint8), (64, 64))
s.lazy().head(1).collect(engine="streaming")
before = peak()
pixel = pl.col("patch").arr.get(0).arr.get(0).arr.get(0)
s.lazy().select(pixel.cast(pl.UInt64).sum()).collect(engine="streaming")
print(peak() - before, s.explain().dense_bytes // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_wide_patches_stay_in_bounded_memory() -> None:
    grown, dense = map(int, subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True).stdout.split())
    assert dense > 2_000_000 and grown < 150_000, f"{grown} KiB more for {dense} KiB of patches"


def test_without_polars() -> None:
    code = "import sys; sys.modules['polars'] = None\nimport numpy, windrow\ns = windrow.scan(numpy.zeros((3, 3)), (2, 2))\ns[0]\ns.lazy()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ImportError: Scan.lazy and Scan.expr need Polars" in run.stderr
