"""`windrow stream` through a pipe into pyarrow, beside `cat` of the same bytes into the same reader; and, where the Python
package is installed, its C stream into pyarrow, beside the same reader drained in Rust (`benches/drain.rs`).

    cargo build --release --benches && cargo build --release
    python benches/pipe.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

# One thread on either side of the C stream.
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import pyarrow as pa

try:
    import windrow
except ImportError:
    windrow = None

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "windrow"


def drain(command: list) -> tuple[float, int]:
    """Seconds and rows that pyarrow takes from a command's output."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        rows = sum(batch.num_rows for batch in pa.ipc.open_stream(process.stdout))
    return time.perf_counter() - start, rows


def c_stream(rounds: int) -> None:
    from peers import Rust

    shape, window = (2000, 2000), (8, 8)
    rust = Rust()
    for dtype in ("float32", "uint8"):
        pixels = np.ones(shape, dtype)
        rows = min((2000 - 7) ** 2, (128 << 20) // (64 * pixels.itemsize))
        scan = windrow.scan(pixels, window, columns=["patch"], rows=slice(0, rows))
        case = {"dtype": dtype, "shape": shape, "window": window, "step": (1, 1)}
        assert rust.job(case, 0, rows * 64 * pixels.itemsize)[0] == rows
        best = {"kernel": float("inf"), "pyarrow": float("inf")}
        for _ in range(rounds * 5):
            best["kernel"] = min(best["kernel"], rust.ask("run")[0])
            start = time.perf_counter()
            assert sum(batch.num_rows for batch in pa.RecordBatchReader.from_stream(scan)) == rows
            best["pyarrow"] = min(best["pyarrow"], time.perf_counter() - start)
        rates = {name: rows * 64 * pixels.itemsize / seconds / 1e9 for name, seconds in best.items()}
        print(f"C stream, {dtype} 8x8, {rows} rows: pyarrow {rates['pyarrow']:.1f} GB/s, kernel {rates['kernel']:.1f} GB/s, "
              f"ratio {rates['pyarrow'] / rates['kernel']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if windrow is not None:
        c_stream(args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        image, file = Path(folder) / "image.npy", Path(folder) / "patches.arrows"
        np.save(image, np.random.default_rng(1).normal(size=(1500, 1500)).astype(np.float32))
        stream = [PROGRAM, "stream", image, "--window", "8x8"]
        with open(file, "wb") as out:
            subprocess.run(stream, check=True, stdout=out)
        size = file.stat().st_size
        best = {"windrow": float("inf"), "cat": float("inf")}
        for _ in range(args.rounds):
            for name, command in (("windrow", stream), ("cat", ["cat", file])):
                seconds, rows = drain(command)
                best[name] = min(best[name], seconds)
        rates = {name: size / seconds / 1e9 for name, seconds in best.items()}
        print(f"{rows} rows, {size / 1e6:.0f} MB: windrow {rates['windrow']:.2f} GB/s, cat {rates['cat']:.2f} GB/s, "
              f"ratio {rates['windrow'] / rates['cat']:.2f}")


if __name__ == "__main__":
    main()
