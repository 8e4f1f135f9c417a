"""DataFusion reads every file, sees the same values, and skips row groups by their coordinates."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datafusion import SessionContext
from harness import assert_same, export, flat_values
from reference import windows

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]
WINDOW = (4, 5)


def noise(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, shape).astype("uint8").view("uint8").astype(dtype)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("layout", ["tensor", "fixed-shape-tensor", "binary"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_sees_the_windows(dtype: str, layout: str, ending: str, tmp_path: Path) -> None:
    array = noise((120, 90), dtype)
    np.save(tmp_path / "image.npy", array)
    path = export(tmp_path / "image.npy", tmp_path / f"out.{ending}", "--window", "4x5", "--layout", layout)
    context = SessionContext()
    stored = {"parquet": "PARQUET", "arrow": "ARROW"}[ending]
    context.sql(f"create external table t stored as {stored} location '{path}'").collect()
    table = context.sql('select "window", y, x, patch from t order by "window"').to_arrow_table()
    corners, patches = windows(array, WINDOW)
    assert_same(table["window"].to_numpy(), np.arange(len(patches), dtype=np.uint64))
    assert_same(np.stack([table["y"].to_numpy(), table["x"].to_numpy()], axis=-1), corners)
    if layout == "binary":
        values = np.frombuffer(b"".join(value.as_py() for value in table["patch"]), dtype=dtype)
    else:
        values = flat_values(table["patch"]).astype(dtype)
    assert_same(values.reshape(patches.shape), patches)


def test_a_folder_is_one_table(tmp_path: Path) -> None:
    array = noise((300, 200), "uint8")
    np.save(tmp_path / "image.npy", array)
    export(tmp_path / "image.npy", f"{tmp_path}/out/", "--window", "4x5", "--files", "4")
    context = SessionContext()
    context.register_parquet("t", f"{tmp_path}/out/")
    rows, ids = next(iter(context.sql('select count(*) n, sum("window") s from t').to_arrow_table().to_pylist()[0:1])).values()
    assert (rows, ids) == (297 * 196, sum(range(297 * 196)))


def test_row_groups_are_skipped_by_y(tmp_path: Path) -> None:
    array = noise((1803, 1402), "uint8")
    np.save(tmp_path / "image.npy", array)
    path = export(tmp_path / "image.npy", tmp_path / "out.parquet", "--window", "4x3")
    context = SessionContext()
    context.register_parquet("t", str(path))
    plan = context.sql("explain analyze select x from t where y = 1799").to_arrow_table()
    text = " ".join(pa.compute.cast(plan["plan"], pa.string()).to_pylist())
    found = re.search(r"row_groups_pruned_statistics=3 total → 1 matched", text)
    assert found, re.findall(r"row_groups_pruned_statistics=[^,]*", text)
    assert context.sql("select x from t where y = 1799").count() == 1400
