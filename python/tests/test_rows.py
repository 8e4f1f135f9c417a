"""Which windows, in what order: by lists of ids, in every way that a scan is read."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Case, cases

import windrow as wr

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def permutation(n: int, seed: int, epoch: int) -> Callable[[int], int]:
    """The order as the library's documentation tells it, written anew."""
    side = isqrt(n - 1) + 1 if n else 1
    h = mix((mix((mix((seed + GOLDEN) & MASK) + epoch + GOLDEN) & MASK) + n) & MASK)
    keys = [mix((h + (i + 1) * GOLDEN) & MASK) for i in range(8)]

    def get(x: int) -> int:
        while True:
            left, right = divmod(x, side)
            for i, key in enumerate(keys):
                if i % 2 == 0:
                    left = (left + (mix((right + key) & MASK) * side >> 64)) % side
                else:
                    right = (right + (mix((left + key) & MASK) * side >> 64)) % side
            x = left * side + right
            if x < n:
                return x

    return get


def test_the_order_is_fixed() -> None:
    """The vectors that stand in the Rust tests too."""
    vectors = {
        (6, 0, 0): [0, 5, 4, 1, 2, 3],
        (10, 42, 0): [6, 4, 8, 5, 7, 2],
        (1000, 1, 7): [557, 889, 1, 634, 335, 105],
        (16728996, MASK, 0): [8199959, 14567352, 16144974, 7365858, 13054253, 12939822],
        (1 << 40, 5, 1 << 33): [281285716672, 245326650731, 201813728588, 123298623466, 1094108129462, 161475281528],
    }
    for (n, seed, epoch), numbers in vectors.items():
        assert [permutation(n, seed, epoch)(i) for i in range(6)] == numbers
        if n < 1 << 30:
            s = wr.scan(np.broadcast_to(np.uint8(0), (n,)), 1).shuffle(seed, epoch)
            assert s.window_ids(slice(6)).tolist() == numbers


@given(st.integers(0, 500), st.integers(0, MASK), st.integers(0, MASK))
def test_a_shuffle_is_what_the_documentation_says(n: int, seed: int, epoch: int) -> None:
    s = wr.scan(np.zeros(n + 1, np.uint8), 1).skip(1).shuffle(seed, epoch)
    order = permutation(n, seed, epoch)
    assert s.window_ids().tolist() == [1 + order(i) for i in range(n)]


def chosen(s: wr.Scan, seed: int) -> wr.Scan:
    return [
        lambda: s.shuffle(seed),
        lambda: s.sample(0.4, seed),
        lambda: s.sample(len(s) // 2, seed).shuffle(1, epoch=3).skip(len(s) // 8),
        lambda: s.shard(1, 2).shuffle(seed).shard(0, 2),
        lambda: s.with_windows(np.random.default_rng(seed).integers(0, max(len(s), 1), 20 if len(s) else 0)),
    ][seed % 5]()


@given(cases(), st.integers(0, 99))
def test_chosen_rows_are_the_same_in_every_way(case: Case, seed: int) -> None:
    s = chosen(wr.scan(case.array, **case.options, batch_rows=7), seed)
    corners, patches = case.expected()
    ids = s.window_ids()
    assert len(ids) == len(s)
    expected, corners = patches[ids.astype(int)], corners[ids.astype(int)]
    np.testing.assert_array_equal(s.to_numpy(), expected)
    batches = list(s)
    if batches:
        np.testing.assert_array_equal(np.concatenate([b["patch"] for b in batches]), expected)
        np.testing.assert_array_equal(np.concatenate([b["window"] for b in batches]), ids)
        np.testing.assert_array_equal(s[-1], expected[-1])
        np.testing.assert_array_equal(s[[0, -1, 0]], expected[[0, -1, 0]])
        np.testing.assert_array_equal(s[len(s) // 2 :], expected[len(s) // 2 :])
    for order in ("C", "F"):
        matrices = [m.copy() for m in s.matrix_batches(5, order=order)]  # type: ignore[arg-type]
        if matrices:
            np.testing.assert_array_equal(np.concatenate(matrices), expected.reshape(len(ids), -1))
    again = pickle.loads(pickle.dumps(s))
    np.testing.assert_array_equal(again.window_ids(), ids)
    frame = s.lazy().collect()
    assert frame["window"].to_list() == ids.tolist()
    names = [name for name in frame.columns if name not in ("window", "patch")]
    np.testing.assert_array_equal(frame.select(names).to_numpy().reshape(corners.shape), corners)
    np.testing.assert_array_equal(frame["patch"].to_numpy().reshape(expected.shape), expected)


def test_polars_gathers_only_what_is_asked_for(image: np.ndarray) -> None:
    s = wr.scan(image, (4, 6)).shuffle(1).sample(100, 2)
    ids = s.window_ids()
    frame = s.lazy().filter(pl.col("y") < 5).select("window", "patch").collect()
    kept = [int(i) for i in ids if i // 26 < 5]
    assert frame["window"].to_list() == kept
    np.testing.assert_array_equal(frame["patch"].to_numpy(), wr.scan(image, (4, 6))[kept])
    assert s.lazy().select(pl.len()).collect().item() == 100
    streamed = s.lazy().slice(50, 5).collect(engine="streaming")
    assert streamed["window"].to_list() == ids[50:55].tolist()


def test_masks_and_boxes(image: np.ndarray) -> None:
    s = wr.scan(image, (3, 5))
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    disk = (yy - 11) ** 2 + (xx - 15) ** 2 < 60
    inside = np.lib.stride_tricks.sliding_window_view(disk, (3, 5)).reshape(len(s), -1)
    for at, keep in {
        "center": inside[:, 7],
        "any": inside.any(axis=1),
        "all": inside.all(axis=1),
        0.6: inside.mean(axis=1) >= 0.6,
    }.items():
        assert s.mask(disk, at).window_ids().tolist() == np.flatnonzero(keep).tolist()  # type: ignore[arg-type]
    box = s.within(y=(2, 5), x=slice(20, None))
    assert set(zip(box.column("y").tolist(), box.column("x").tolist())) == {(y, x) for y in (2, 3, 4) for x in range(20, 27)}
    assert "mask array (all)" in str(s.mask(disk, "all").explain())
    again = pickle.loads(pickle.dumps(s.mask(disk).sample(0.5)))
    assert again.steps == [{"mask": {"name": "array", "at": "center"}}, {"sample": {"count": len(again), "seed": 0}}]


def test_nodata_is_null(image: np.ndarray, tmp_path: Path) -> None:
    holes = image.copy()
    holes[5:9, 7:20] = np.nan
    s = wr.scan(holes, (3, 4), nodata=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(holes, (3, 4)).reshape(len(s), -1)
    share = (~np.isnan(windows)).mean(axis=1)
    np.testing.assert_array_equal(s.column("valid"), share)
    table = pa.table(s)
    flat = table["patch"].combine_chunks().flatten().flatten()
    assert flat.null_count == np.isnan(windows).sum()
    np.testing.assert_array_equal(flat.is_valid().to_numpy(zero_copy_only=False), ~np.isnan(windows).ravel())
    kept = s.min_valid(0.75)
    assert kept.window_ids().tolist() == np.flatnonzero(share >= 0.75).tolist()
    np.testing.assert_array_equal(kept.to_numpy(), s[share >= 0.75])
    frame = kept.lazy().collect()
    assert frame["patch"].explode().explode().null_count() == np.isnan(windows[share >= 0.75]).sum()
    np.testing.assert_array_equal(frame["valid"].to_numpy(), share[share >= 0.75])
    s.write_parquet(tmp_path / "holes.parquet")
    assert pq.read_table(tmp_path / "holes.parquet").equals(table)


def test_labels_and_balanced_classes(image: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    classes = rng.choice(np.array([0, 1, 2, 255], np.uint8), image.shape, p=[0.7, 0.2, 0.01, 0.09])
    s = wr.scan(image, (3, 5), labels=classes, label_nodata=255)
    centers = classes[1:-1, 2:-2].ravel()
    frame = s.lazy().select("window", "label").collect()
    assert frame["label"].to_list() == [None if c == 255 else int(c) for c in centers]
    drawn = s.per_class(20, seed=3)
    counts = {int(c): int(n) for c, n in zip(*np.unique(centers, return_counts=True)) if c != 255}
    assert drawn.steps[-1]["per-class"]["classes"] == [
        {"label": str(c), "windows": n, "taken": min(n, 20)} for c, n in counts.items()
    ]
    labels = drawn.column("label")
    np.testing.assert_array_equal(labels, centers[drawn.window_ids().astype(int)])
    assert {int(c): int(n) for c, n in zip(*np.unique(labels, return_counts=True))} == {c: min(n, 20) for c, n in counts.items()}
    means = wr.scan(image, (3, 5)).labels(image, at="mean").column("label")
    patches = wr.scan(image, (3, 5)).to_numpy().astype(np.float64)
    np.testing.assert_allclose(means, patches.mean(axis=(1, 2)))
    patch = pa.table(wr.scan(image, (3, 5)).labels(classes, at="patch").with_windows([5, 3]))["label"]
    np.testing.assert_array_equal(
        np.array(patch.to_pylist()), np.lib.stride_tricks.sliding_window_view(classes, (3, 5)).reshape(-1, 3, 5)[[5, 3]]
    )


def test_a_split_shares_no_pixel() -> None:
    image = np.zeros((90, 120), np.uint8)
    s = wr.scan(image, (7, 9))
    parts = s.split(train=0.6, val=0.2, test=0.2, block=(20, 24), seed=1)
    assert list(parts) == ["train", "val", "test"]
    paint = {}
    for name, part in parts.items():
        paint[name] = np.zeros(image.shape, bool)
        for y, x in zip(part.column("y"), part.column("x")):
            paint[name][y : y + 7, x : x + 9] = True
    assert not (paint["train"] & paint["test"]).any() and not (paint["train"] & paint["val"]).any()
    assert not (paint["val"] & paint["test"]).any() and all(p.any() for p in paint.values())
    assert sum(map(len, parts.values())) + parts.dropped == len(s)
    again = pickle.loads(pickle.dumps(parts))
    assert again.dropped == parts.dropped and again["val"].window_ids().tolist() == parts["val"].window_ids().tolist()


def test_files_tell_their_rows(image: np.ndarray, tmp_path: Path) -> None:
    s = wr.scan(image, (3, 5)).sample(0.5, 7).shuffle(3)
    s.write_parquet(tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table["window"].to_pylist() == s.window_ids().tolist()
    assert b'"sample"' in table.schema.metadata[b"windrow"] and b'"shuffle"' in table.schema.metadata[b"windrow"]
    s.write_ipc(tmp_path / "rows.arrow")
    assert pa.ipc.open_file(tmp_path / "rows.arrow").read_all().equals(table)


@pytest.mark.parametrize(
    ("choose", "error", "words"),
    [
        (lambda s: s.sample(10**9), ValueError, "sample: 1000000000 rows"),
        (lambda s: s.sample(1.5), ValueError, "a share of 1.5"),
        (lambda s: s.sample(-1), ValueError, "sample: -1 is negative"),
        (lambda s: s.shard(2, 2), ValueError, "shard: 2 of 2"),
        (lambda s: s.skip(10**9), ValueError, "skip: 1000000000 rows"),
        (lambda s: s.shuffle(-1), ValueError, "seed: -1: expected 0 to"),
        (lambda s: s.shuffle(1.5), TypeError, "float"),
        (lambda s: s.with_windows([-1]), ValueError, "ids: -1 is negative"),
        (lambda s: s.with_windows([10**9]), ValueError, "no window 1000000000"),
        (lambda s: s.within(z=(0, 1)), ValueError, "no axis \"z\""),
        (lambda s: s.within(y=slice(0, 9, 2)), ValueError, "a step of 2"),
        (lambda s: s.mask(np.ones((3, 3))), ValueError, "mask: array is of shape 3x3: expected 23x31"),
        (lambda s: s.mask(np.ones((23, 31)), "most"), ValueError, "mask_at: \"most\""),
        (lambda s: s.min_valid(0.5), ValueError, "expected nodata"),
        (lambda s: s.split(a=0.5, b=0.6, block=8), ValueError, "1.1 together"),
        (lambda s: s.split(a=0.5, b=0.5, block=2), ValueError, "block: 2 on axis y"),
        (lambda s: s.per_class(3), ValueError, "there are no labels"),
        (lambda s: s.labels(np.ones((2, 2))), ValueError, "labels: array is of shape 2x2"),
        (lambda s: s.labels(np.ones((23, 31)), at="best"), ValueError, "label_at: \"best\""),
        (lambda s: s.shuffle(1).mask(np.ones((23, 31))), ValueError, "shuffled already"),
    ],
)
def test_what_is_asked_for_wrongly_is_said(image: np.ndarray, choose: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("(", "\\(")):
        choose(wr.scan(image, (3, 5)))
