"""Every way out gives the rows that NumPy gives."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Case, cases

import windrow as wr

settings.register_profile("windrow", deadline=None, max_examples=150)
settings.load_profile("windrow")


@given(cases())
def test_to_numpy(case: Case) -> None:
    corners, patches = case.expected()
    s = wr.scan(case.array, **case.options)
    assert (len(s), s.shape, s.dtype) == (len(patches), patches.shape, patches.dtype)
    assert s.window_shape == tuple(case.window)
    np.testing.assert_array_equal(s.to_numpy(), patches)


@given(cases(), st.integers(1, 7))
def test_batches(case: Case, batch_rows: int) -> None:
    corners, patches = case.expected()
    s = wr.scan(case.array, batch_rows=batch_rows, **case.options)
    batches = list(s)
    assert [len(b) for b in batches] == [min(batch_rows, len(s) - i) for i in range(0, len(s), batch_rows)]
    if batches:
        names = batches[0].column_names
        np.testing.assert_array_equal(np.concatenate([b["window"] for b in batches]), np.arange(len(s)))
        np.testing.assert_array_equal(np.concatenate([b["patch"] for b in batches]), patches)
        for i, name in enumerate(names[1:-1]):
            np.testing.assert_array_equal(np.concatenate([b[name] for b in batches]), corners[:, i])


@given(cases())
def test_arrow_stream(case: Case) -> None:
    _, patches = case.expected()
    s = wr.scan(case.array, **case.options)
    table = pa.table(s)
    assert table.schema == pa.schema(s.schema)
    cells = table["patch"].combine_chunks()
    while isinstance(cells, (pa.FixedSizeListArray, pa.ChunkedArray)):
        cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells.flatten()
    np.testing.assert_array_equal(np.asarray(cells.to_numpy(zero_copy_only=False)), patches.reshape(-1))


@given(cases())
def test_lazy(case: Case) -> None:
    corners, patches = case.expected()
    s = wr.scan(case.array, **case.options)
    for engine in ("in-memory", "streaming"):
        frame = s.lazy().collect(engine=engine)
        np.testing.assert_array_equal(frame["patch"].to_numpy(), patches)
        for i, name in enumerate(s.columns[1:-1]):
            assert frame[name].dtype == pl.Int64
            np.testing.assert_array_equal(frame[name].to_numpy(), corners[:, i])
    assert s.lazy().collect_schema() == frame.schema
    eager = pl.DataFrame(s)
    assert eager.schema == frame.schema
    assert eager.equals(frame)


@given(cases(), st.integers(1, 50))
def test_matrices(case: Case, rows: int) -> None:
    _, patches = case.expected()
    s = wr.scan(case.array, **case.options)
    for order in ("C", "F"):
        matrices = [m.copy() for m in s.matrix_batches(rows, order=order)]
        if len(s):
            np.testing.assert_array_equal(np.concatenate(matrices), patches.reshape(len(s), -1))


@given(cases(), st.data())
def test_rows(case: Case, data: st.DataObject) -> None:
    _, patches = case.expected()
    n = len(patches)
    first = data.draw(st.integers(0, n))
    end = data.draw(st.integers(first, n))
    s = wr.scan(case.array, rows=slice(first, end), **case.options)
    np.testing.assert_array_equal(s.to_numpy(), patches[first:end])
    np.testing.assert_array_equal(s.lazy().collect()["patch"].to_numpy(), patches[first:end])
    if end > first:
        picks = data.draw(st.lists(st.integers(first - end, end - first - 1), max_size=20))
        np.testing.assert_array_equal(s[picks], patches[first:end][picks])


def test_conversion() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    s = wr.scan(image, (3, 3), dtype=np.float32, scale=1 / 255)
    np.testing.assert_allclose(s[7], (image[0:3, 7:10] / 255).astype(np.float32), rtol=1e-6)
    plain = wr.scan(image, (3, 3))
    (matrix,) = plain.matrix_batches(dtype="float64")
    np.testing.assert_array_equal(matrix, plain.to_numpy().reshape(-1, 9).astype(np.float64))
