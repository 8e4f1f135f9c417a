"""Reading files beside the readers of others, in one run: from a TIFF in deflated tiles, and from Zarr, to patches.

    cargo build --release
    pip install -r tests/requirements.txt
    python benches/files.py --rounds 5

Peers decode the whole array into memory, on one thread, and make no patches. windrow streams all patches (64x64, step 64:
every pixel once) as Arrow IPC to /dev/null, on one thread and on all. Bytes of pixels a second, best of all rounds; rounds
go through all cases, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numcodecs.blosc
import numpy as np
import tifffile
import zarr
import zarr.codecs

WINDROW = Path(os.environ.get("WINDROW") or Path(__file__).parents[1] / "target" / "release" / "windrow")


def scene(side: int) -> np.ndarray:
    """Smooth, with some noise, as a photograph or a satellite has it."""
    y, x = np.mgrid[0:side, 0:side]
    noise = np.random.default_rng(0).integers(0, 64, (side, side))
    return ((np.sin(x / 90) + np.cos(y / 70) + 2) * 4000 + noise).astype(np.uint16)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def windrow(path: Path, threads: int | None) -> None:
    environment = {**os.environ, **({"RAYON_NUM_THREADS": str(threads)} if threads else {})}
    command = [WINDROW, "stream", path, "--window", "64x64", "--step", "64", "--layout", "binary"]
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=6144)
    args = parser.parse_args()
    numcodecs.blosc.use_threads = False
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    with tempfile.TemporaryDirectory() as folder:
        array, tif, store = scene(args.side), Path(folder) / "a.tif", Path(folder) / "a.zarr"
        tifffile.imwrite(tif, array, tile=(256, 256), compression="zlib", predictor=True, metadata=None)
        blosc = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
        zarr.create_array(store, shape=array.shape, chunks=(512, 512), dtype="u2", compressors=blosc)[:] = array
        cases: dict[str, dict[str, Callable[[], object]]] = {
            "TIFF, deflated tiles, uint16": {
                "tifffile, 1 thread": lambda: tifffile.imread(tif, maxworkers=1),
                "windrow, 1 thread": lambda: windrow(tif, 1),
                "windrow, all threads": lambda: windrow(tif, None),
            },
            "Zarr, Blosc of Zstandard, uint16": {
                "zarr-python, 1 thread": lambda: zarr.open_array(store, mode="r")[:],
                "windrow, 1 thread": lambda: windrow(store, 1),
                "windrow, all threads": lambda: windrow(store, None),
            },
        }
        for title, readers in cases.items():
            best = dict.fromkeys(readers, float("inf"))
            for _ in range(args.rounds):
                for name, work in readers.items():
                    best[name] = min(best[name], seconds(work))
            print(title)
            peer = next(iter(best.values()))
            for name, took in best.items():
                print(f"  {name:24} {array.nbytes / took / 1e6:6.0f} MB/s  {peer / took:5.2f}")


if __name__ == "__main__":
    main()
