"""Layout columns: every pixel column is a slice of the image, for every consumer, by address."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import windrow as wr

SHAPE, WINDOW = (40, 50), (3, 4)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(2).random(SHAPE, np.float32)


def addresses(table: pa.Table) -> dict[str, int]:
    """Where the first pixel of each column lies."""
    found = {}
    for name in table.column_names:
        (chunk,) = table[name].chunks
        found[name] = chunk.buffers()[1].address + chunk.offset * 4
    return found


def expected(photo: np.ndarray) -> dict[str, int]:
    return {
        f"p_{dy}_{dx}": photo.ctypes.data + (dy * SHAPE[1] + dx) * 4 for dy in range(WINDOW[0]) for dx in range(WINDOW[1])
    }


@pytest.mark.parametrize("wrap", ["null", "column"])
def test_no_pixel_is_copied(photo: np.ndarray, wrap: str) -> None:
    s = wr.scan(photo, WINDOW, layout="columns", wrap=wrap, columns=["patch"])
    assert addresses(pa.table(s)) == expected(photo)
    for frame in (pl.DataFrame(s), s.lazy().collect()):
        assert addresses(frame.to_arrow()) == expected(photo)
    (batch,) = s
    if wrap == "column":
        assert {name: batch[name].ctypes.data for name in batch.column_names} == expected(photo)
    else:
        with pytest.raises(ValueError, match="nulls"):
            batch["p_0_0"]


def test_duckdb_reads_the_image_itself(photo: np.ndarray) -> None:
    # DuckDB tells no addresses; but what is written to the image is seen by the next query, in every column that holds it.
    table = pa.table(wr.scan(photo, WINDOW, layout="columns"))
    sums = ", ".join(f"sum({name}::double)" for name in expected(photo))
    with duckdb.connect() as connection:
        connection.register("windows", table)
        before = np.array(connection.sql(f"select {sums} from windows").fetchall()[0])
        photo[20, 20] += 64
        after = np.array(connection.sql(f"select {sums} from windows").fetchall()[0])
    np.testing.assert_allclose(after - before, 64)


def test_the_same_numbers(photo: np.ndarray) -> None:
    s = wr.scan(photo, WINDOW, layout="columns")
    dense = wr.scan(photo, WINDOW)
    assert len(s) == len(dense)
    np.testing.assert_array_equal(s[[3, 1, 4]], dense[[3, 1, 4]])
    sums = dense.to_numpy().astype(np.float64).sum(axis=0)
    names = list(expected(photo))
    frame = s.lazy().select(pl.col(names).cast(pl.Float64).sum()).collect(engine="streaming")
    np.testing.assert_allclose(np.array(frame.row(0)).reshape(WINDOW), sums)
    query = ", ".join(f"sum({name}::double)" for name in names)
    (row,) = duckdb.from_arrow(s).aggregate(query).fetchall()
    np.testing.assert_allclose(np.array(row).reshape(WINDOW), sums)
    table = pa.table(s)
    means = np.array([pc.mean(table[name].cast(pa.float64())).as_py() for name in names]).reshape(WINDOW)
    np.testing.assert_allclose(means, sums / len(s))
    bright = np.count_nonzero(dense.to_numpy()[:, 1, 2] > 0.5)
    assert table.filter(pc.field("p_1_2") > 0.5).num_rows == bright
    assert s.lazy().filter(pl.col("p_1_2") > 0.5).select(pl.len()).collect().item() == bright
    assert duckdb.from_arrow(s).filter("p_1_2 > 0.5").aggregate("count(*)").fetchall() == [(bright,)]
    windows = s.lazy().drop_nulls("window").collect()
    assert windows["window"].to_list() == list(range(len(s)))
    np.testing.assert_array_equal(windows.select(names).to_numpy().reshape(-1, *WINDOW), dense.to_numpy())
    valid = wr.scan(photo, WINDOW, layout="columns", wrap="column")
    assert valid.lazy().filter("valid").select(pl.len()).collect().item() == len(s)


def test_stored_only_on_request(photo: np.ndarray, tmp_path: Path) -> None:
    s = wr.scan(photo, WINDOW, layout="columns")
    for write in (s.write_parquet, s.write_ipc):
        with pytest.raises(ValueError, match="store_columns"):
            write(tmp_path / "table")
        assert write(tmp_path / "table", store_columns=True) > photo.nbytes
