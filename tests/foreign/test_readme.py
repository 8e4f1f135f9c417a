"""What the README shows to Python runs, on the file that its first command makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from harness import DATA, ROOT, export
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image


def test_reading_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (ROOT / "README.md").read_text()
    command = "windrow export data/chelsea.png --window 8x8 -o patches.parquet"
    assert command in readme
    lazily, arrays = re.findall(r"```python\n(.*?)```", readme, re.S)
    by_polars, words, by_pyarrow = arrays.partition("# pyarrow, with --layout fixed-shape-tensor:\n")
    assert words

    image = np.asarray(Image.open(DATA / "chelsea.png"))
    windows = sliding_window_view(image, (8, 8), axis=(0, 1)).transpose(0, 1, 3, 4, 2).reshape(-1, 8, 8, 3)
    assert str(windows.shape) in readme
    monkeypatch.chdir(tmp_path)
    export(DATA / "chelsea.png", Path("patches.parquet"), "--window", "8x8")
    assert value(lazily).shape == (10 * (451 - 7), 3)
    np.testing.assert_array_equal(value(by_polars), windows)
    export(DATA / "chelsea.png", Path("patches.parquet"), "--window", "8x8", "--layout", "fixed-shape-tensor")
    np.testing.assert_array_equal(value(by_pyarrow), windows)


def value(code: str) -> Any:
    """What the last line of some code gives."""
    *before, last = code.strip().splitlines()
    names: dict[str, Any] = {"pl": pl, "pq": pq}
    exec("\n".join(before), names)
    return eval(last, names)
