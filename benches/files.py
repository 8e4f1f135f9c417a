"""Reading files beside the readers of others, in one run: from a TIFF in deflated tiles, and from Zarr, to patches; and
some of the patches, in no order.

    cargo build --release
    pip install -r tests/requirements.txt
    python benches/files.py --rounds 5
    python benches/files.py --rounds 3 --some

Peers decode the whole array into memory, on one thread, and make no patches. windrow streams all patches (64x64, step 64:
every pixel once) as Arrow IPC to /dev/null, on one thread and on all. Bytes of pixels a second, best of all rounds; rounds
go through all cases, so that what else the machine does falls on all of them.

Of some patches (8x8, anywhere), zarr-python reads one after the other, from a TIFF through tifffile, as a loop over places
does. A shuffle is of all patches of 8x8 at step 8, all of which zarr-python would have to be asked for one by one: a hundredth
of them is, and counts a hundredfold.
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


def few(path: Path, threads: int | None, *rows: str) -> None:
    environment = {**os.environ, **({"RAYON_NUM_THREADS": str(threads)} if threads else {})}
    command = [WINDROW, "stream", path, "--window", "8x8", "--layout", "binary", *rows]
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)


def one_by_one(path: Path, places: np.ndarray) -> None:
    """What a loop reads: a slice of the array for every patch."""
    store = tifffile.imread(path, aszarr=True) if path.suffix == ".tif" else path
    array = zarr.open_array(store, mode="r")
    for y, x in places:
        array[y : y + 8, x : x + 8]


def some(tif: Path, store: Path, side: int, rounds: int) -> None:
    """Patches in no order."""
    rng = np.random.default_rng(1)
    for path, title in [(tif, "TIFF"), (store, "Zarr")]:
        for rows, count, share in [(["--sample", "2000"], 2000, 1), (["--step", "8", "--shuffle", "1"], (side // 8) ** 2, 100)]:
            places = rng.integers(0, side - 8, (count // share, 2))
            readers: dict[str, Callable[[], object]] = {
                "zarr-python, one by one": lambda: one_by_one(path, places),  # noqa: B023
                "windrow, 1 thread": lambda: few(path, 1, *rows),  # noqa: B023
                "windrow, all threads": lambda: few(path, None, *rows),  # noqa: B023
            }
            best = dict.fromkeys(readers, float("inf"))
            for _ in range(rounds):
                for name, work in readers.items():
                    took = seconds(work) * (share if name.startswith("zarr") else 1)
                    best[name] = min(best[name], took)
            print(f"{title}, {count} patches, {' '.join(rows)}")
            peer = next(iter(best.values()))
            for name, took in best.items():
                print(f"  {name:24} {took:8.2f} s  {peer / took:6.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=6144)
    parser.add_argument("--some", action="store_true", help="only patches in no order")
    args = parser.parse_args()
    numcodecs.blosc.use_threads = False
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    with tempfile.TemporaryDirectory() as folder:
        array, tif, store = scene(args.side), Path(folder) / "a.tif", Path(folder) / "a.zarr"
        tifffile.imwrite(tif, array, tile=(256, 256), compression="zlib", predictor=True, metadata=None)
        blosc = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="shuffle")
        zarr.create_array(store, shape=array.shape, chunks=(512, 512), dtype="u2", compressors=blosc)[:] = array
        if args.some:
            return some(tif, store, args.side, args.rounds)
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
