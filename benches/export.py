"""Writing a patch table to Parquet and Arrow IPC: windrow beside pyarrow and Polars, on the same rows and codec.

The peers write a table that lies in memory already; windrow makes its rows as it writes them, in a process of its own,
whose start counts too. Rounds are interleaved, and the fastest of each counts.

    cargo build --release
    python -m pip install -r benches/requirements.txt
    python benches/export.py [--rounds 3] [--size 1024] [--cpu 0] [--plot out.svg]

`--cpu 0` keeps all of them on one processor.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WINDROW = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "windrow"


def image(size, dtype, folder):
    """The photograph of `data/`, enlarged, with a sensor's noise; as float32 not on a grid of 256 values."""
    photo = Image.open(ROOT / "data" / "camera.png").convert("L")
    pixels = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC), dtype="float32")
    pixels += np.random.default_rng(0).normal(0, 1, pixels.shape).astype("float32")
    pixels = pixels.clip(0, 255).astype("uint8") if dtype == "uint8" else pixels / np.float32(255)
    path = folder / f"{dtype}.npy"
    np.save(path, pixels)
    return path, pixels.nbytes


def rows(path, layout):
    command = [WINDROW, "stream", path, "--window", "8x8", "--layout", layout]
    return pa.ipc.open_stream(io.BytesIO(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)).read_all()


def writers(path, layout, out, table):
    """What writes the rows, by name."""
    frame = pl.from_arrow(table) if layout == "tensor" else None

    def ours(ending):
        command = [WINDROW, "export", "-q", path, "--window", "8x8", "--layout", layout, "-o", out / f"windrow{ending}"]
        return lambda: subprocess.run(command, check=True)

    def arrow_parquet():
        # With dictionaries pyarrow writes larger files, and slower.
        pq.write_table(table, out / "pyarrow.parquet", compression="zstd", compression_level=1, use_dictionary=False)

    def polars_parquet():
        frame.lazy().sink_parquet(out / "polars.parquet", compression="zstd", compression_level=1)

    def arrow_ipc():
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
        with pa.OSFile(str(out / "pyarrow.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as to:
            to.write_table(table, max_chunksize=len(table.to_batches()[0]))

    yield "windrow.parquet", ours(".parquet")
    yield "pyarrow.parquet", arrow_parquet
    if frame is not None:
        yield "polars.parquet", polars_parquet
    yield "windrow.arrow", ours(".arrow")
    yield "pyarrow.arrow", arrow_ipc


def run(size, rounds):
    results = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for dtype in ["uint8", "float32"]:
            path, base = image(size, dtype, folder)
            for layout in ["tensor", "binary"]:
                table = rows(path, layout)
                best = {}
                todo = list(writers(path, layout, folder, table))
                for _ in range(rounds):
                    for name, write in todo:
                        start = time.perf_counter()
                        write()
                        best[name] = min(best.get(name, float("inf")), time.perf_counter() - start)
                for name, seconds in best.items():
                    ours = best["windrow." + name.split(".")[1]]
                    results.append(
                        {
                            "dtype": dtype,
                            "layout": layout,
                            "writer": name,
                            "seconds": round(seconds, 4),
                            "windrow is times as fast": round(seconds / ours, 2),
                            "dense MB/s": round(table.nbytes / seconds / 1e6),
                            "size / image": round((folder / name).stat().st_size / base, 2),
                        }
                    )
                    print(*(f"{value!s:>16}" for value in results[-1].values()), flush=True)
    return results


def plot(results, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    groups = [(d, l) for d in ["uint8", "float32"] for l in ["tensor", "binary"]]
    names = ["windrow.parquet", "pyarrow.parquet", "polars.parquet", "windrow.arrow", "pyarrow.arrow"]
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for i, name in enumerate(names):
        values = {(r["dtype"], r["layout"]): r["dense MB/s"] for r in results if r["writer"] == name}
        axes.bar([g + (i - 2) * 0.16 for g in range(len(groups))], [values.get(g, 0) for g in groups], 0.15, label=name)
    axes.set_xticks(range(len(groups)), [f"{d} {l}" for d, l in groups])
    axes.set_ylabel("MB of dense rows a second")
    axes.legend(frameon=False, ncols=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="pixels of a side of the image")
    parser.add_argument("--cpu", type=int, help="run everything on this processor")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    print(f"# {os.cpu_count()} processors; pyarrow {pa.__version__}, polars {pl.__version__}", file=sys.stderr)
    results = run(args.size, args.rounds)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
