"""Every good file of the corpus comes out with the values that a foreign reader sees in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness import DATA, assert_same, corners_of, corpus, export, patches_of, read_arrow
from PIL import Image
from reference import windows


def named(entry: dict) -> str:
    return entry["file"] if entry["page"] is None else f"{entry['file']}-page{entry['page']}"


@pytest.mark.parametrize("entry", corpus().good, ids=named)
def test_values_of_the_foreign_reader(entry: dict, tmp_path: Path) -> None:
    image = corpus().path(entry["file"])
    expected = np.load(corpus().path(entry["expected"]))
    page = [] if entry["page"] is None else ["--page", entry["page"]]
    axes = min(expected.ndim, 2)
    for width in [1, 3]:
        window = tuple(min(width, n) for n in expected.shape[:axes])
        out = tmp_path / f"{width}.arrow"
        table = read_arrow(export(image, out, "--window", "x".join(map(str, window)), *page))
        corners, patches = windows(expected, window)
        assert table.num_rows == len(patches)
        assert_same(corners_of(table), corners)
        got = patches_of(table, patches.shape[1:])
        if entry["tolerance"]:
            assert got.dtype == patches.dtype
            assert np.abs(got.astype(int) - patches.astype(int)).max() <= entry["tolerance"]
        else:
            assert_same(got, patches)


@pytest.mark.parametrize("photograph", ["camera.png", "chelsea.png"])
def test_photograph(photograph: str, tmp_path: Path) -> None:
    array = np.asarray(Image.open(DATA / photograph))
    table = read_arrow(export(DATA / photograph, tmp_path / "out.parquet", "--window", "8x8", "--step", "8"))
    corners, patches = windows(array, (8, 8), step=(8, 8))
    assert_same(corners_of(table), corners)
    assert_same(patches_of(table, patches.shape[1:]), patches)
