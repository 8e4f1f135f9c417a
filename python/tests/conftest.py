"""The judge is the one of the command line's tests: windows as NumPy makes them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "foreign"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The photographs of the repository."""
    return ROOT / "data"


@pytest.fixture
def image() -> np.ndarray:
    """A small picture in which every pixel is another."""
    return np.arange(23 * 31, dtype=np.float32).reshape(23, 31)
