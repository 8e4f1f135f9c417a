"""`windrow.fold` beside scikit-learn's `reconstruct_from_patches_2d` and torch's `fold`, in one run.

    pip install ./python scikit-learn      # and torch, or run the torch part with a Python that has it
    python benches/fold.py [--side 2000] [--rounds 5]

All blend the same 8x8 float32 patches of a square image, step 1, by the mean. torch gets its own layout (pixels × windows),
made beforehand, and the division by `fold` of ones is not counted. Runs are interleaved, and the best of several counts.
One thread each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import windrow as wr

try:
    from sklearn.feature_extraction.image import reconstruct_from_patches_2d
except ImportError:
    reconstruct_from_patches_2d = None
try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=2000)
    parser.add_argument("--window", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    side, window = args.side, args.window

    image = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    s = wr.scan(image, (window, window))
    patches = s.to_numpy()
    runs: dict[str, Callable[[], object]] = {
        "memory copy of the patches": patches.copy,
        "windrow, mean": lambda: wr.fold(s, patches),
    }
    for blend in ("sum", "max", "last", "center-crop", "gaussian", "hann"):
        runs[f"windrow, {blend}"] = lambda blend=blend: wr.fold(s, patches, blend=blend)
    assert np.array_equal(wr.fold(s, patches), image)
    if torch is not None:
        columns = torch.from_numpy(np.ascontiguousarray(patches.reshape(len(s), -1).T))[None]
        rows = torch.from_numpy(patches.reshape(len(s), -1))
        runs["torch, fold"] = lambda: torch.nn.functional.fold(columns, (side, side), (window, window))
        runs["torch, fold of rows"] = lambda: torch.nn.functional.fold(rows.T[None], (side, side), (window, window))
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(args.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    if reconstruct_from_patches_2d is not None:
        # A loop in Python, whose time does not depend on luck.
        start = time.perf_counter()
        reconstruct_from_patches_2d(patches, image.shape)
        best["scikit-learn, reconstruct_from_patches_2d"] = time.perf_counter() - start

    ours = best["windrow, mean"]
    print(f"{len(s)} patches of {window}x{window} float32, {patches.nbytes / 1e9:.2f} GB")
    for name, seconds in best.items():
        print(f"{name:44} {seconds:8.3f} s {patches.nbytes / seconds / 1e9:7.2f} GB/s {seconds / ours:8.2f} x windrow's mean")


if __name__ == "__main__":
    main()
