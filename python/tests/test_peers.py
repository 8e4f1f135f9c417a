"""The rows and their order are those of scikit-image and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.util import view_as_windows
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.linear_model import SGDClassifier

import windrow as wr


@pytest.mark.parametrize(("window", "step"), [((8, 8), 1), ((5, 9), 3), ((16, 16), 16)])
def test_skimage(data: Path, window: tuple[int, int], step: int) -> None:
    camera = np.asarray(Image.open(data / "camera.png"))
    expected = view_as_windows(camera, window, step)
    s = wr.scan(data / "camera.png", window, step=step)
    assert s.grid_shape == expected.shape[:2]
    np.testing.assert_array_equal(s.to_numpy(), expected.reshape(-1, *window))


def test_sklearn_patches(data: Path) -> None:
    chelsea = np.asarray(Image.open(data / "chelsea.png"))[:80, :90]
    np.testing.assert_array_equal(wr.scan(chelsea, (7, 5)).to_numpy(), extract_patches_2d(chelsea, (7, 5)))


def test_partial_fit_over_matrices() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((60, 70), np.float32)
    s = wr.scan(image, (5, 5))
    truth = s.to_numpy().reshape(len(s), -1)
    labels = truth[:, 12] > 0.5
    model = SGDClassifier(random_state=0)
    start = 0
    for matrix in s.matrix_batches(500):
        model.partial_fit(matrix, labels[start : start + len(matrix)], classes=[False, True])
        start += len(matrix)
    predicted = np.concatenate([model.predict(matrix) for matrix in s.matrix_batches(500, order="F")])
    np.testing.assert_array_equal(predicted, model.predict(truth))
    assert (predicted == labels).mean() > 0.9


def test_matrices_share_one_buffer(data: Path) -> None:
    s = wr.scan(data / "camera.png", (8, 8), step=4)
    for order in ("C", "F"):
        addresses, rows = set(), 0
        for matrix in s.matrix_batches(1000, order=order, dtype="float32"):
            assert matrix.dtype == np.float32 and matrix.flags[f"{order}_CONTIGUOUS"] and matrix.flags.writeable
            addresses.add(matrix.ctypes.data)
            rows += len(matrix)
        assert (len(addresses), rows) == (1, len(s))
    for wrong in (dict(order="K"), dict(rows=0)):
        with pytest.raises(ValueError, match="expected|one of"):
            s.matrix_batches(**wrong)
