"""Ray Data on a real cluster of several processes, on this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import windrow as wr

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
import windrow.ray  # noqa: E402

# What Ray itself warns of is not ours.
pytestmark = pytest.mark.filterwarnings("ignore")

SHAPE = (300, 200)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ray") / "image.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, SHAPE, "uint8")).save(path)
    return path


def expected(image: Path) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(Image.open(image)), (8, 8))
    return windows.reshape(-1, 8, 8)


def test_rows_are_windows(cluster: None, image: Path) -> None:
    ds = windrow.ray.read_patches(image, (8, 8), override_num_blocks=7)
    assert ds.count() == 293 * 193

    def means(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert batch["patch"].shape[1:] == (8, 8) and batch["patch"].dtype == np.uint8
        # Long enough for Ray to ask for another process.
        time.sleep(0.5)
        return {"window": batch["window"], "sum": batch["patch"].sum((1, 2)), "pid": np.full(len(batch["y"]), os.getpid())}

    rows = ds.map_batches(means, batch_format="numpy").to_pandas().sort_values("window")
    assert np.array_equal(rows["window"], np.arange(293 * 193))
    assert np.array_equal(rows["sum"], expected(image).sum((1, 2)))
    assert rows["pid"].nunique() > 1, "several processes"


def test_chosen_rows_and_several_images(cluster: None, image: Path, tmp_path: Path) -> None:
    s = wr.scan(image, (8, 8), columns=["window"]).sample(1000, 3).shuffle(1)
    ids = [row["window"] for row in windrow.ray.read_patches(s, override_num_blocks=4).take_all()]
    assert sorted(ids) == sorted(id for batch in s for id in batch["window"].tolist())
    other = tmp_path / "other.png"
    Image.fromarray(np.zeros((20, 30), "uint8")).save(other)
    ds = windrow.ray.read_patches([str(image), str(other)], (8, 8), step=4, columns=["window", "y"])
    counts = {row["image"]: row["count()"] for row in ds.groupby("image").count().take_all()}
    assert counts == {str(image): 74 * 49, str(other): 4 * 6}
    with pytest.raises(ValueError, match="window_shape"):
        windrow.ray.read_patches(image)
    with pytest.raises(ValueError, match="several types"):
        windrow.ray.PatchDatasource([wr.scan(image, (8, 8)), wr.scan(image, (4, 4))])


def test_a_worker_that_is_killed_loses_and_doubles_nothing(cluster: None, image: Path, tmp_path: Path) -> None:
    marks = str(tmp_path)

    def killed_once(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        # The third of the work, and again near its end.
        for place in (20_000, 50_000):
            mark = os.path.join(marks, str(place))
            if place in batch["window"] and not os.path.exists(mark):
                Path(mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return {"window": batch["window"], "sum": batch["patch"].sum((1, 2))}

    ds = windrow.ray.read_patches(image, (8, 8), override_num_blocks=9)
    ds = ds.map_batches(killed_once, batch_format="numpy", batch_size=1000)

    def check(rows: pd.DataFrame) -> None:
        assert sorted(path.name for path in tmp_path.glob("?0000")) == ["20000", "50000"], "both were killed"
        rows = rows.sort_values("window")
        assert np.array_equal(rows["window"], np.arange(293 * 193))
        assert np.array_equal(rows["sum"], expected(image).sum((1, 2)))
        for path in tmp_path.glob("?0000"):
            path.unlink()

    check(ds.to_pandas())
    # In the task that writes, too.
    ds.write_parquet(str(tmp_path / "rows"))
    check(pd.read_parquet(tmp_path / "rows"))
