"""The way back: images of the values of windows, judged by numpy and scikit-learn."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import windrow as wr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.feature_extraction.image import extract_patches_2d, reconstruct_from_patches_2d
from strategies import Case, cases

BLENDS = ["mean", "max", "min", "last", "center-crop", "gaussian", "hann"]


@settings(max_examples=200, deadline=None)
@given(cases(), st.sampled_from(BLENDS), st.randoms(use_true_random=False), st.integers(1, 50))
def test_the_way_there_and_back_is_the_image(case: Case, blend: str, random, piece: int) -> None:
    s = wr.scan(case.array, **case.options)
    ids = list(range(len(s)))
    random.shuffle(ids)
    f = wr.Fold(s, blend=blend, fill=1)
    patches = s.to_numpy()
    for start in range(0, len(ids), piece):
        some = ids[start : start + piece]
        f.add(some, patches[some])
    if not ids:
        with pytest.raises(ValueError, match="none came yet"):
            f.finish()
        return
    image, covered = f.finish(), f.coverage() > 0
    assert image.dtype == case.array.dtype and image.shape == case.array.shape
    assert covered.shape == case.array.shape[: covered.ndim]
    close = blend in ("gaussian", "hann") and image.dtype == np.float64
    compare = np.testing.assert_allclose if close else np.testing.assert_array_equal
    compare(image[covered], case.array[covered])
    np.testing.assert_array_equal(image[~covered], np.ones((), image.dtype))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 7), st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_as_scikit_learn(height: int, width: int, more_y: int, more_x: int, seed: int) -> None:
    shape = (height + more_y, width + more_x)
    image = np.random.default_rng(seed).normal(size=shape)
    noise = np.random.default_rng(seed + 1).normal(size=((more_y + 1) * (more_x + 1), height, width))
    s = wr.scan(image, (height, width))
    np.testing.assert_allclose(wr.fold(s, noise), reconstruct_from_patches_2d(noise, shape))
    np.testing.assert_allclose(wr.fold(s, extract_patches_2d(image, (height, width))), image)


def by_numpy(shape, ids, patches, step: int, blend: str) -> np.ndarray:
    """A loop over windows of an image, blended."""
    h, w = patches.shape[1:]
    across = (shape[1] - w) // step + 1
    hits = [[[] for _ in range(shape[1])] for _ in range(shape[0])]
    for i, patch in zip(ids, patches):
        for y in range(h):
            for x in range(w):
                hits[i // across * step + y][i % across * step + x].append(patch[y, x])
    function = dict(mean=np.mean, sum=np.sum, max=np.max, min=np.min)[blend]
    return np.array([[function(cell) if cell else np.nan for cell in row] for row in hits])


@pytest.mark.parametrize("blend", ["mean", "sum", "max", "min"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_subset_in_any_order_as_numpy(blend: str, step: int) -> None:
    rng = np.random.default_rng(step)
    s = wr.scan(np.zeros((12, 15), np.float32), (4, 5), step=step)
    ids = rng.permutation(len(s))[: len(s) // 2]
    patches = rng.normal(size=(len(ids), 4, 5))
    expected = by_numpy((12, 15), ids, patches, step, blend)
    got = wr.fold(s, patches, ids, blend=blend)
    np.testing.assert_allclose(got, expected)
    np.testing.assert_allclose(wr.fold(s, patches[::-1], ids[::-1], blend=blend), expected)
    # Flat rows, and as the columns of a matrix.
    np.testing.assert_array_equal(wr.fold(s, patches.reshape(len(ids), -1), ids, blend=blend), got)
    np.testing.assert_array_equal(wr.fold(s, np.asfortranarray(patches), ids, blend=blend), got)


def test_numbers_and_scores_are_cells_of_the_grid_or_at_the_centre() -> None:
    s = wr.scan(np.zeros((9, 11, 3), np.uint8), (3, 4), step=2)
    classes = np.arange(len(s))
    np.testing.assert_array_equal(wr.fold(s, classes), classes.reshape(s.grid_shape))
    scores = np.random.default_rng(0).normal(size=(len(s), 7))
    np.testing.assert_array_equal(wr.fold(s, scores), scores.reshape(*s.grid_shape, 7))
    centre = wr.fold(s, scores, at="center")
    assert centre.shape == (9, 11, 7)
    np.testing.assert_array_equal(centre[1:8:2, 1:9:2], scores.reshape(*s.grid_shape, 7))
    assert np.isfinite(centre).sum() == scores.size
    # Patches of other channels than the image has, as a network gives them.
    logits = np.random.default_rng(0).normal(size=(len(s), 3, 4, 5))
    assert wr.fold(s, logits, blend="hann").shape == (9, 11, 5)
    assert wr.fold(s, logits[..., 0], blend="gaussian").shape == (9, 11)


def test_tables_of_any_library() -> None:
    image = np.arange(63.0).reshape(7, 9)
    s = wr.scan(image, (3, 3), step=2)
    np.testing.assert_array_equal(wr.fold(s, s), image)
    for batch in s:
        np.testing.assert_array_equal(wr.fold(s, batch), image)
    table = pa.table(s)
    np.testing.assert_array_equal(wr.fold(table.schema, table), image)
    np.testing.assert_array_equal(wr.fold(s, pl.DataFrame(s)), image)
    for layout in ("fixed-shape-tensor", "binary"):
        np.testing.assert_array_equal(wr.fold(s, pa.table(wr.scan(image, (3, 3), step=2, layout=layout))), image)

    shuffled = pl.DataFrame(s).sample(fraction=1, shuffle=True, seed=1)
    mean = shuffled.select("window", "y", "x", prediction=pl.col("patch").reshape((-1, 9)).arr.mean())
    expected = s.to_numpy().mean(axis=(1, 2)).reshape(s.grid_shape)
    np.testing.assert_allclose(wr.fold(s, mean), expected)
    np.testing.assert_allclose(wr.fold(s, mean.rename({"prediction": "mean"})), expected)
    relation = duckdb.sql("select \"window\", prediction, 1 as other from mean where prediction > 20")
    some = wr.fold(s, relation.to_arrow_table())
    np.testing.assert_allclose(some, np.where(expected > 20, expected, np.nan))
    f = wr.Fold(s, column="other", fill=9)
    f.add(relation.to_arrow_table())
    np.testing.assert_array_equal(f.finish(), np.where(expected > 20, 1, 9))
    nulls = mean.with_columns(prediction=pl.when(pl.col("prediction") > 20).then("prediction"))
    np.testing.assert_allclose(wr.fold(s, nulls), np.where(expected > 20, expected, np.nan))


def test_a_part_of_a_scan_is_folded_where_it_belongs() -> None:
    image = np.arange(48).reshape(6, 8)
    s = wr.scan(image, (2, 2))
    part = wr.scan(image, (2, 2), rows=(10, 20))
    np.testing.assert_array_equal(wr.fold(part, part.to_numpy()), wr.fold(s, s[10:20], range(10, 20)))


def test_coverage_and_out() -> None:
    s = wr.scan(np.zeros((4, 6)), (2, 2), step=2)
    f = wr.Fold(s, dtype="float32")
    f.add(np.array([0, 0, 4], np.int32), np.ones((3, 2, 2), np.uint8))
    counts = np.zeros((4, 6), int)
    counts[:2, :2], counts[2:, 2:4] = 2, 1
    np.testing.assert_array_equal(f.coverage(), counts)
    out = np.empty((4, 6), np.float32)
    assert f.finish(out) is out
    np.testing.assert_array_equal(np.isnan(out), counts == 0)
    with pytest.raises(ValueError, match=r"out: float64 \[4, 6\], but the image is float32 \[4, 6\]"):
        f.finish(np.empty((4, 6)))
    with pytest.raises(ValueError, match="C order"):
        f.finish(np.empty((6, 4), np.float32).T)


def test_files(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    s = wr.scan(image, (5, 5), step=3, edge="shift")
    f = wr.Fold(s)
    f.add(s)
    for name in ("out.npy", "out.png"):
        assert f.write(tmp_path / name) == (tmp_path / name).stat().st_size
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), image)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), image)
    for name in ("out.tif", "out.zarr"):
        f.write(tmp_path / name)
        np.testing.assert_array_equal(wr.scan(tmp_path / name, (20, 30))[0], image)
    with pytest.raises(ValueError, match="none of .npy, .tif, .png"):
        f.write(tmp_path / "out.jpg")
    for name in ("out.npy", "out.zarr"):
        with pytest.raises(FileNotFoundError):
            f.write(tmp_path / "no" / name)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float16", "float32"])
def test_types(dtype: str) -> None:
    image = np.random.default_rng(0).integers(0, 2, (6, 7)).astype(dtype)
    s = wr.scan(image, (3, 2))
    np.testing.assert_array_equal(wr.fold(s, s.to_numpy()), image)
    total = wr.fold(s, s.to_numpy(), blend="sum")
    summed = np.sum(image)
    assert total.dtype == (summed.dtype if image.dtype.kind != "f" else image.dtype)
    np.testing.assert_allclose(wr.fold(s, s.to_numpy(), dtype="float64"), image.astype("float64"))


def test_bad_values_are_told() -> None:
    s = wr.scan(np.zeros((4, 6), np.uint8), (2, 2))
    for values, ids, error, part in [
        (np.zeros(15), [15] * 15, ValueError, "no window 15: there are 15"),
        (np.zeros(2), [-1, 0], ValueError, "no window -1"),
        (np.zeros(2), [0.5, 1], ValueError, "expected integers on one axis"),
        (np.zeros(2), [1], ValueError, "2 of them for 1 windows"),
        (np.zeros(2), None, ValueError, "2 of them, but the scan has 15 windows"),
        (np.zeros((1, 3, 3)), [0], None, "3x3"),
        (np.array(["a"]), [0], TypeError, "has no pixels"),
        (pa.table({"window": [0]}), None, ValueError, "no column \"prediction\""),
        (pa.table({"window": [0], "a": [1]}), [0], TypeError, "column 'window'"),
        (pa.table({"window": pa.array([None], pa.int64()), "a": [1]}), None, ValueError, "a window is null"),
    ]:
        if error is None:
            error, options = ValueError, dict(at="patch")
        else:
            options = {}
        with pytest.raises(error, match=part):
            wr.fold(s, values, ids, **options)
    with pytest.raises(ValueError, match="blend: \"median\" is not one of mean, sum"):
        wr.Fold(s, blend="median")
    with pytest.raises(ValueError, match="at: \"corner\""):
        wr.Fold(s, at="corner")
    with pytest.raises(TypeError, match="no metadata \"windrow\""):
        wr.Fold(pa.schema([("a", pa.int8())]))
    with pytest.raises(TypeError, match="neither a Scan nor"):
        wr.Fold(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="fill: 0.5 is not a uint8"):
        wr.fold(s, np.zeros(15, np.uint8), fill=0.5)
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        wr.fold(s, pa.RecordBatchReader.from_batches(pa.schema([("window", pa.int64()), ("a", pa.int64())]), broken()))


def broken():
    yield pa.record_batch({"window": pa.array([0], pa.int64()), "a": pa.array([1], pa.int64())})
    raise ZeroDivisionError


def test_nothing_is_kept() -> None:
    s = wr.scan(np.zeros((4, 6)), (2, 2))
    values = np.zeros((15, 2, 2))
    gone = weakref.ref(values)
    f = wr.Fold(s)
    f.add(range(15), values)
    table = pa.table({"window": list(range(15)), "patch": pa.FixedSizeListArray.from_arrays(values.ravel(), 4)})
    before = pa.total_allocated_bytes()
    f.add(table)
    assert pa.total_allocated_bytes() <= before
    del values, table
    gc.collect()
    assert gone() is None
