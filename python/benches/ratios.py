"""Ratios that the package keeps, measured in one run; each line says what was compared.

    python benches/ratios.py [SIDE]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A product of so few columns is over before BLAS has woken its threads, and on a busy machine they wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import polars as pl
import pyarrow as pa

import windrow as wr
from timing import best


def peak() -> float:
    """MiB that this process had at most so far."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def predict(s: wr.Scan, weights: np.ndarray) -> np.ndarray:
    """A linear classifier over every window."""
    out = np.empty(len(s), bool)
    row = 0
    for matrix in s.matrix_batches(8192):
        np.greater(matrix @ weights, 0, out=out[row : row + len(matrix)])
        row += len(matrix)
    return out


def predict_numpy(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same by numpy, a few lines of the image at a time."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (8, 8))
    lines = max(1, 8192 // windows.shape[1])
    parts = []
    for first in range(0, len(windows), lines):
        matrix = windows[first : first + lines].reshape(-1, 64)
        parts.append(matrix @ weights > 0)
    return np.concatenate(parts)


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 4096
    image = np.random.default_rng(0).random((side, side), np.float32)
    weights = np.random.default_rng(1).standard_normal(64).astype(np.float32)
    s = wr.scan(image, (8, 8))
    dense = s.explain().dense_bytes

    before = peak()
    ours = best(lambda: predict(s, weights), 2)
    memory = peak() - before
    theirs = best(lambda: predict_numpy(image, weights), 2)
    assert np.array_equal(predict(s, weights), predict_numpy(image, weights))
    full = len(s) * 256 / 2**20
    print(f"predict, {len(s)} windows: {ours:.2f} s, numpy's loop {theirs:.2f} s: {theirs / ours:.1f} times as fast")
    print(f"  memory: {memory:.0f} MiB more, the full matrix has {full:.0f} MiB: 1/{full / max(memory, 1):.0f}")

    drains: dict[str, Callable[[], Any]] = {
        "the Rust reader alone": lambda: s._plan.batches().drain(),
        "pyarrow, by the C stream": lambda: [None for _ in pa.RecordBatchReader.from_stream(s)],
        "a loop over batches": lambda: [None for _ in s],
    }
    # In turns, so that a busy moment of the machine hits all of them.
    rates = dict.fromkeys(drains, float("inf"))
    for _ in range(30):
        for name, drain in drains.items():
            rates[name] = min(rates[name], best(drain, 1))
    alone = next(iter(rates.values()))
    for name, seconds in rates.items():
        print(f"drain by {name}: {dense / seconds / 1e9:.1f} GB/s, {alone / seconds:.2f} of the Rust reader's rate")

    for name, part, window in [("narrow", image[: side // 4], (8, 8)), ("wide", image[:600, :600], (64, 64))]:
        few = wr.scan(part, window)
        pixel = pl.col("patch").arr.get(0).arr.sum().sum()
        lazy = best(lambda: few.lazy().select(pixel).collect(engine="streaming"))
        eager = best(lambda: pl.DataFrame(few).select(pixel))
        print(
            f"Polars, sum over the first line of {len(few)} {name} patches: lazy {lazy:.2f} s, eager {eager:.2f} s: "
            f"{eager / lazy:.1f} times as fast"
        )


if __name__ == "__main__":
    main()
