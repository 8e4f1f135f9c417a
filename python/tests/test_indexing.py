"""`s[...]` is what numpy's array of all windows would give, errors and all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import windrow as wr


def both(image: np.ndarray) -> tuple[wr.Scan, np.ndarray]:
    return wr.scan(image, (3, 4)), sliding_window_view(image, (3, 4)).reshape(-1, 3, 4)


KEYS: list[Any] = [
    0,
    17,
    -1,
    -588,
    np.int64(5),
    np.uint8(200),
    np.array(7),
    slice(100, 200),
    slice(None, 3),
    slice(-3, None),
    slice(10, 2),
    slice(10, 2, -1),
    slice(None, None, -7),
    slice(5, 10**9, 50),
    slice(-(10**9), 4),
    [3, 1, 4],
    [],
    [-1, 0, -588],
    (2, 0),
    np.array([[0, 5], [9, -1]]),
    np.zeros((0, 3), int),
    np.array([1, 2], np.uint64),
    np.arange(588) % 5 == 0,
    (5, 1, 2),
    (5, slice(None), 2),
    (slice(0, 9), 1),
    (slice(0, 9), ..., 1),
    (slice(0, 9), None, 1),
    ([4, 2], 0),
    ([4, 2], slice(1, 3), slice(None, None, -1)),
    ...,
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_equals_numpy(image: np.ndarray, key: Any) -> None:
    s, windows = both(image)
    got, expected = s[key], windows[key]
    assert type(got) is type(expected) or np.ndim(expected) == 0
    np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize(
    "key",
    [588, -589, 10**30, [0, 588], [-589], "a", 1.0, [1.5], np.array([True]), np.ones((588, 2), bool), (0, 3), (0, 0, 0, 0)],
    ids=str,
)
def test_fails_as_numpy(image: np.ndarray, key: Any) -> None:
    s, windows = both(image)
    with pytest.raises(IndexError):
        windows[key]
    with pytest.raises(IndexError):
        s[key]


def test_results_are_new(image: np.ndarray) -> None:
    s, _ = both(image)
    patch = s[0]
    patch[:] = -1
    assert image[0, 0] == 0 and s[0][0, 0] == 0


def test_as_an_array(image: np.ndarray) -> None:
    s, windows = both(image)
    np.testing.assert_array_equal(np.asarray(s), windows)
    assert np.asarray(s, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copy"):
        np.array(s, copy=False)


def test_ranges(image: np.ndarray) -> None:
    s, windows = both(image)
    for rows in (range(3, 9), range(9, 3, -2), range(0)):
        np.testing.assert_array_equal(s.to_numpy(rows), windows[list(rows)])
    with pytest.raises(IndexError):
        s.to_numpy(range(580, 589))
