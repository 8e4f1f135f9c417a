"""Writing a patch table to Parquet and Arrow IPC: windrow beside pyarrow and Polars, on the same rows and codec.

The peers write a table that lies in memory already; windrow makes its rows as it writes them, in a process of its own,
whose start counts too. Rounds are interleaved, and the fastest of each counts.

    cargo build --release
    python -m pip install -r benches/requirements.txt
    python benches/export.py [--rounds 3] [--size 1024] [--json benches/export.json] [--plot data/export.svg]

First on one processor, then on all. At the end stand the ratios that are to hold, and whether they do.
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

    def ours(ending, *options):
        command = [WINDROW, "export", "-q", path, "--window", "8x8", "--layout", layout, "-o", out / f"windrow{ending}"]
        command += options
        return lambda: subprocess.run(command, check=True)

    def arrow_parquet():
        # With dictionaries pyarrow writes larger files, and slower.
        pq.write_table(table, out / "pyarrow.parquet", compression="zstd", compression_level=1, use_dictionary=False)

    def polars_parquet():
        frame.lazy().sink_parquet(out / "polars.parquet", compression="zstd", compression_level=1)

    def arrow_ipc(ending, codec):
        def write():
            options = pa.ipc.IpcWriteOptions(compression=codec)
            path = str(out / f"pyarrow{ending}")
            with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as to:
                to.write_table(table, max_chunksize=len(table.to_batches()[0]))

        return write

    yield "windrow.parquet", ours(".parquet")
    yield "pyarrow.parquet", arrow_parquet
    if frame is not None:
        yield "polars.parquet", polars_parquet
    yield "windrow.arrow", ours(".arrow")
    yield "pyarrow.arrow", arrow_ipc(".arrow", pa.Codec("zstd", compression_level=1))
    yield "windrow.lz4.arrow", ours(".lz4.arrow", "--compression", "lz4")
    yield "pyarrow.lz4.arrow", arrow_ipc(".lz4.arrow", "lz4")


def run(size, rounds, processors):
    """Every writer on all rows, the fastest of some rounds."""
    results = []
    os.sched_setaffinity(0, processors)
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
                    ours = best["windrow." + name.split(".", 1)[1]]
                    results.append(
                        {
                            "processors": len(processors),
                            "dtype": dtype,
                            "layout": layout,
                            "writer": name,
                            "seconds": round(seconds, 4),
                            "windrow is times as fast": round(seconds / ours, 2),
                            "dense MB/s": round(table.nbytes / seconds / 1e6),
                            "size / image": round((folder / name).stat().st_size / base, 2),
                        }
                    )
                    print(*(f"{value!s:>17}" for value in results[-1].values()), flush=True)
    return results


def targets(results):
    """What is to hold: the ratio of a writer's time to ours, or of our file to the image."""
    for processors in sorted({r["processors"] for r in results}):
        mine = [r for r in results if r["processors"] == processors]
        for r in mine:
            least = {
                ("tensor", "pyarrow.parquet"): 3.0,
                ("tensor", "polars.parquet"): 2.0,
                ("binary", "pyarrow.parquet"): 2.0,
            }.get((r["layout"], r["writer"]), 1.5 if r["writer"].startswith("pyarrow") else None)
            if least:
                name = f"{r['dtype']} {r['layout']}: times as fast as {r['writer']}"
                yield processors, name, r["windrow is times as fast"], least, r["windrow is times as fast"] >= least
            if (r["layout"], r["writer"]) == ("binary", "windrow.parquet"):
                most = {"uint8": 3.4, "float32": 1.7}[r["dtype"]]
                name = f"{r['dtype']} binary: times the image's bytes"
                yield processors, name, r["size / image"], most, r["size / image"] <= most


def plot(results, path):
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    groups = [(d, l) for d in ["uint8", "float32"] for l in ["tensor", "binary"]]
    names = ["windrow.parquet", "pyarrow.parquet", "polars.parquet", "windrow.arrow", "pyarrow.arrow"]
    colors = ["#d1495b", "#8d96a3", "#c3c8cf", "#edae49", "#66727f"]
    all_processors = sorted({r["processors"] for r in results})
    figure, axes = plt.subplots(1, len(all_processors), figsize=(10, 3.4), layout="constrained", sharey=True, squeeze=False)
    for axis, processors in zip(axes[0], all_processors, strict=True):
        for i, (name, color) in enumerate(zip(names, colors, strict=True)):
            rates = {
                (r["dtype"], r["layout"]): r["dense MB/s"]
                for r in results
                if r["writer"] == name and r["processors"] == processors
            }
            places = [g + (i - 2) * 0.16 for g in range(len(groups))]
            axis.bar(places, [rates.get(g, 0) for g in groups], 0.15, label=name, color=color)
        axis.set_xticks(range(len(groups)), [f"{d}\n{l}" for d, l in groups])
        axis.set_title(f"{processors} processor{'s' * (processors > 1)}", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("MB of rows a second")
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="pixels of a side of the image")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    everything = os.sched_getaffinity(0)
    print(f"# {len(everything)} processors; pyarrow {pa.__version__}, polars {pl.__version__}", file=sys.stderr)
    results = run(args.size, args.rounds, {min(everything)})
    if len(everything) > 1:
        results += run(args.size, args.rounds, everything)
    print()
    goals = list(targets(results))
    for processors, name, got, wanted, holds in goals:
        print(f"{processors} processors  {name:<52} {got:>6}  wanted {wanted}  {'holds' if holds else 'DOES NOT HOLD'}")
    if args.json:
        keys = ["processors", "target", "got", "wanted", "holds"]
        text = {"results": results, "targets": [dict(zip(keys, goal, strict=True)) for goal in goals]}
        args.json.write_text(json.dumps(text, indent=1) + "\n")
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
