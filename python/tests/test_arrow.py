"""Any consumer of the Arrow PyCapsule interface reads a scan as it is, any number of times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import duckdb
import nanoarrow as na
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import windrow as wr


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (120, 90), dtype=np.uint8)


@pytest.fixture
def sums(photo: np.ndarray) -> tuple[int, int, int]:
    """Of the ids, of y, of all pixels."""
    windows = sliding_window_view(photo, (5, 4))
    rows = windows.shape[0] * windows.shape[1]
    return rows * (rows - 1) // 2, int(np.arange(windows.shape[0]).sum() * windows.shape[1]), int(windows.sum(dtype=np.int64))


def test_pyarrow(photo: np.ndarray, sums: tuple[int, int, int]) -> None:
    s = wr.scan(photo, (5, 4), batch_rows=1000)
    for _ in range(2):
        table = pa.table(s)
        pixels = pc.list_flatten(pc.list_flatten(table["patch"]))
        assert (pc.sum(table["window"]).as_py(), pc.sum(table["y"]).as_py(), pc.sum(pixels).as_py()) == sums
    table.validate(full=True)
    assert table["patch"].num_chunks == -(-len(s) // 1000)
    assert pa.RecordBatchReader.from_stream(s).schema.metadata[b"windrow"].startswith(b"{")
    batch = pa.record_batch(next(iter(s)))
    assert batch.num_rows == 1000 and batch.schema == table.schema


def test_tensor_extension(photo: np.ndarray) -> None:
    table = pa.table(wr.scan(photo, (5, 4), layout="fixed-shape-tensor"))
    assert table.schema.field("patch").type == pa.fixed_shape_tensor(pa.uint8(), (5, 4), dim_names=["y", "x"])
    tensors = table["patch"].combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(tensors, sliding_window_view(photo, (5, 4)).reshape(-1, 5, 4))


def test_polars(photo: np.ndarray, sums: tuple[int, int, int]) -> None:
    s = wr.scan(photo, (5, 4))
    for frame in (pl.DataFrame(s), pl.DataFrame(s)):
        pixels = frame["patch"].to_numpy().astype(np.int64)
        assert (frame["window"].sum(), frame["y"].sum(), int(pixels.sum())) == sums


def test_duckdb(photo: np.ndarray, sums: tuple[int, int, int]) -> None:
    s = wr.scan(photo, (5, 4))
    query = "select sum(w)::bigint, sum(y)::bigint, sum(p)::bigint from (select *, list_sum(flatten(patch::utinyint[][])) p from t)"
    with duckdb.connect() as connection:
        for _ in range(2):
            connection.register("t", pa.RecordBatchReader.from_stream(s).read_all().rename_columns(["w", "y", "x", "patch"]))
            assert connection.sql(query).fetchall() == [sums]


def test_duckdb_reads_the_stream_itself(photo: np.ndarray) -> None:
    s = wr.scan(photo, (5, 4))
    with duckdb.connect() as connection:
        for _ in range(2):
            relation = connection.from_arrow(s)
            assert relation.aggregate("count(*), max(y)").fetchall() == [(len(s), 115)]


def test_pandas_and_nanoarrow(photo: np.ndarray, sums: tuple[int, int, int]) -> None:
    s = wr.scan(photo, (5, 4), columns=["window", "y"])
    frame = pd.DataFrame.from_arrow(s)
    assert (frame["window"].sum(), frame["y"].sum()) == sums[:2]
    stream = na.ArrayStream(s)
    assert sum(chunk.child(1).to_pylist()[0] >= 0 and len(chunk) for chunk in stream) == len(s)
    assert na.c_schema(s.schema).n_children == 2


def test_a_batch_is_its_memory(photo: np.ndarray) -> None:
    """Columns of a batch and their Arrow form lie at the same address, and outlive the batch."""
    batch = next(iter(wr.scan(photo, (5, 4))))
    patch, y = batch["patch"], batch["y"]
    arrow = pa.record_batch(batch)
    flat = arrow["patch"].flatten().flatten()
    assert patch.ctypes.data == flat.buffers()[1].address
    assert y.ctypes.data == arrow["y"].buffers()[1].address
    assert not patch.flags.writeable and patch.flags.c_contiguous
    expected = patch.copy()
    del batch, arrow, flat
    np.testing.assert_array_equal(patch, expected)
    with pytest.raises(KeyError, match='no column .*"q'):
        next(iter(wr.scan(photo, (5, 4))))["q"]


def test_columns_without_pixels(photo: np.ndarray) -> None:
    s = wr.scan(photo, (5, 4), columns=["x", "y"])
    assert s.columns == ["x", "y"] and pa.table(s).column_names == ["x", "y"]
    with pytest.raises(ValueError, match='no column "z"'):
        wr.scan(photo, (5, 4), columns=["z"])


def ticks_during(work: Callable[[], Any]) -> tuple[float, float]:
    """How often a second another thread gets the interpreter, alone and during the work."""

    def count(stop: threading.Event) -> float:
        ticks, start = 0, time.perf_counter()
        while not stop.is_set():
            ticks += 1
            time.sleep(0.0005)
        return ticks / (time.perf_counter() - start)

    rates = []
    for task in (lambda: time.sleep(0.3), work):
        stop, rate = threading.Event(), []
        thread = threading.Thread(target=lambda: rate.append(count(stop)))
        thread.start()
        try:
            task()
        finally:
            stop.set()
            thread.join()
        rates.append(rate[0])
    return rates[0], rates[1]


@pytest.mark.parametrize("consumer", ["iterate", "pyarrow", "to_numpy", "polars", "duckdb", "lazy"])
def test_the_interpreter_is_free_while_batches_are_made(consumer: str) -> None:
    s = wr.scan(np.zeros((1500, 1500), np.float32), (8, 8), scale=2.0, offset=1.0)
    work: dict[str, Callable[[], Any]] = {
        "iterate": lambda: [len(batch) for batch in s],
        "pyarrow": lambda: [len(batch) for batch in pa.RecordBatchReader.from_stream(s)],
        "to_numpy": s.to_numpy,
        "polars": lambda: pl.DataFrame(s),
        "duckdb": lambda: duckdb.connect().from_arrow(s).aggregate("sum(y)").fetchall(),
        "lazy": lambda: s.lazy().select(pl.col("patch").is_null().sum()).collect(engine="streaming"),
    }
    alone, during = ticks_during(work[consumer])
    print(f"{consumer}: {alone:.0f} ticks a second alone, {during:.0f} during")
    assert during > alone / 10
