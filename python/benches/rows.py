"""What it costs to choose rows, as ratios measured in one run; each line says what was compared.

    python benches/rows.py [SIDE]

SIDE is that of the image whose windows are masked and shuffled; the one that is sampled has 10⁹ windows (1 GB).
"""

from __future__ import annotations

import sys

import numpy as np

import windrow as wr
from timing import best


def drain(s: wr.Scan) -> None:
    s._plan.batches().drain()


def counts(flags: np.ndarray, window: int) -> np.ndarray:
    """How many flags each window has, by an integral image."""
    sums = np.zeros((flags.shape[0] + 1, flags.shape[1] + 1), np.int32)
    np.cumsum(flags, axis=0, out=sums[1:, 1:], dtype=np.int32)
    np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
    return sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 4103
    rng = np.random.default_rng(0)

    for dtype, shape, window in [
        ("uint8", (side, side), 8),
        ("float32", (side, side), 8),
        ("uint8", (side, side), 32),
        ("float32", (side, side), 32),
        ("uint8", (side // 2, side // 2, 3), 64),
    ]:
        image = rng.integers(0, 255, shape, dtype=np.uint8).astype(dtype)
        s = wr.scan(image, (window, window))
        rows = min(len(s), (1 << 29) // s.explain().row_bytes)
        sequential = wr.scan(image, (window, window), rows=(0, rows))
        shuffled = s.shuffle(1).shard(0, len(s) // rows)
        a = best(lambda: drain(sequential)) / len(sequential)
        b = best(lambda: drain(shuffled)) / len(shuffled)
        channels = "" if len(shape) == 2 else f"x{shape[2]}"
        print(
            f"{dtype} {window}x{window}{channels}, in shuffled order: {a / b:.2f} of the rate in the grid's order "
            f"({1e-6 / b:.2f} M rows/s)"
        )

    image = rng.integers(0, 255, (31_630, 31_630), dtype=np.uint8)
    for window in (8, 32):
        s = wr.scan(image, (window, window))
        first = wr.scan(image, (window, window), rows=(0, 100_000))
        a, b = best(lambda: drain(first), 5), best(lambda: drain(s.sample(100_000, 1)), 5)
        drawn = best(lambda: s.sample(100_000, 1))
        print(
            f"100,000 of {len(s):,} windows of {window}x{window} drawn and gathered: {a / b:.2f} of the rate of the first "
            f"100,000 ({b * 1e3:.0f} ms, {drawn / b:.0%} of it to draw)"
        )
    del image, s, first

    image = rng.integers(0, 4, (side, side), dtype=np.uint8)
    smooth = np.add.outer(np.arange(side), np.arange(side)) % 2000 < 900
    for name, mask in {"smooth": smooth, "noisy": rng.random((side, side)) < 0.5}.items():
        s = wr.scan(image, (8, 8))
        ours = best(lambda: s.mask(mask, 0.5))
        theirs = best(lambda: np.flatnonzero(counts(mask, 8) >= 32))
        assert np.array_equal(s.mask(mask, 0.5).window_ids(), np.flatnonzero(counts(mask, 8) >= 32))
        print(f"a {name} mask over {len(s):,} windows: {ours / theirs:.2f} of the time of numpy's cumulative sums ({ours:.2f} s)")
    s = wr.scan(image, (8, 8), nodata=0)
    ours = best(lambda: s.min_valid(0.75))
    theirs = best(lambda: np.flatnonzero(counts(image != 0, 8) >= 48))
    assert np.array_equal(s.min_valid(0.75).window_ids(), np.flatnonzero(counts(image != 0, 8) >= 48))
    print(f"min_valid over {len(s):,} windows: {ours / theirs:.2f} of the time of numpy's cumulative sums ({ours:.2f} s)")


if __name__ == "__main__":
    main()
