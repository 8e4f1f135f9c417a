"""What the README says for several machines: Ray, Dask and Spark run its lines, where they are installed."""

from __future__ import annotations

import pickle
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import windrow as wr

README = Path(__file__).parents[1] / "README.md"

#: What the engines warn of is not ours.
pytestmark = pytest.mark.filterwarnings("ignore")

HEIGHT, WIDTH = 200, 150


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """scene.tif, where the lines look for it."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), "uint8")
    Image.fromarray(pixels).save(tmp_path / "scene.tif")
    return pixels


def run(told: str, **names: Any) -> dict[str, Any]:
    """Runs the lines of the README that have this text, as a program would."""
    blocks = re.findall(r"```py\n(.*?)```", README.read_text(), re.S)
    (code,) = [block for block in blocks if told in block]
    names |= {"__name__": "__main__", "pa": pa, "pickle": pickle, "wr": wr}
    exec(compile(code, str(README), "exec"), names)
    return names


def test_splits_are_small_values(image: np.ndarray) -> None:
    whole = wr.scan("scene.tif", (8, 8))
    assert len(pickle.dumps(whole.splits(4)[2])) < 2000
    for s in (whole, whole.sample(1000, 3).shuffle(1), whole.mask(np.ones((HEIGHT, WIDTH), bool), "all").shuffle(5)):
        parts = [pickle.loads(pickle.dumps(split)) for split in s.splits(5)]
        assert np.array_equal(np.concatenate([part.to_numpy() for part in parts]), s.to_numpy())
        # Whoever cuts again, cuts at the same places.
        assert [len(split) for split in s.splits(5)] == [len(part) for part in parts]


def test_ray(image: np.ndarray, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
    try:
        run("windrow.ray.read_patches")
    finally:
        ray.shutdown()
    import pyarrow.parquet as pq

    made = pq.read_table(tmp_path / "means").sort_by("window")
    patches = np.lib.stride_tricks.sliding_window_view(image, (64, 64))[::32, ::32]
    assert made["window"].to_pylist() == list(range(patches.shape[0] * patches.shape[1]))
    np.testing.assert_allclose(made["mean"], patches.mean((2, 3)).ravel())


def test_dask(image: np.ndarray) -> None:
    pytest.importorskip("dask.dataframe")
    names = run("dd.from_map")
    frame = names["frame"].compute(scheduler="processes")
    assert sorted(frame["window"]) == list(range((HEIGHT - 63) * (WIDTH - 63)))
    patches = np.frombuffer(b"".join(frame.sort_values("window")["patch"]), "uint8").reshape(-1, 64, 64)
    assert np.array_equal(patches, wr.scan("scene.tif", (64, 64)).to_numpy())
    counts = frame.groupby("y").window.count()
    assert counts.to_list() == [WIDTH - 63] * (HEIGHT - 63)


def test_spark(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    pyspark = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    builder = pyspark.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
    try:
        table = run("table = tasks.mapInArrow", spark=spark, s=wr.scan("scene.tif", (64, 64), layout="binary"))["table"]
        rows = table.groupBy("y").count().orderBy("y").collect()
        assert [tuple(row) for row in rows] == [(y, WIDTH - 63) for y in range(HEIGHT - 63)]
        ten = table.where("y = 7 and x between 10 and 19").orderBy("x").collect()
        patches = np.lib.stride_tricks.sliding_window_view(image, (64, 64))[7, 10:20]
        assert [bytes(row["patch"]) for row in ten] == [patch.tobytes() for patch in patches]
        assert [row["window"] for row in ten] == [7 * (WIDTH - 63) + x for x in range(10, 20)]
    finally:
        spark.stop()
