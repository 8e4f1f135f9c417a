"""Windrow beside memcpy, numpy, scikit-image, scikit-learn and torch, in one run.

    cargo build --release --benches
    pip install -r benches/requirements.txt
    python benches/peers.py [--quick] [--json FILE] [--plot FILE]

Every case gathers the same windows into dense rows. Runs of all of them are interleaved, and the best of several counts,
since machines are noisy (windrow is timed by the clock, its peers by the processor); what is quoted are ratios within the
run. One thread each, but for `2 threads`, beside which stands what two threads of memcpy gain over one, the limit of the
machine at that time. The image lies in huge pages on both sides, since numpy asks for them.

Where windows overlap, `by id` says what windows by their ids come at, over windrow in the grid's order: as many of half
the windows by chance, in their order, and then any in no order. Where they don't, `of image` is windrow's share of what a
memcpy of the image takes, which has to be read once, whoever does it.

- memcpy: as many bytes, a batch at a time between two warm buffers: the limit
- numpy: `sliding_window_view(...).reshape`, as many windows at a time as fill 4 MiB, into fresh memory as numpy does it
- scikit-image: `view_as_windows(...).reshape`, likewise
- scikit-learn: `extract_patches_2d` of all patches at once (it has no other way; 2-D and RGB, step 1)
- torch, if it is installed: `unfold` of the Tensor method, reshaped
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from skimage.util import view_as_windows
from sklearn.feature_extraction.image import extract_patches_2d

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

ROOT = Path(__file__).resolve().parents[1]
BATCH = 4 << 20
THREADS = 2
#: So many times as many bytes are for them.
MANY = 8
#: Windows by id: half of them, by chance, in their order; any in no order.
BY_ID = ("sorted", "random")


class Rust:
    """The Rust side: `benches/drain.rs`, which does as it is told and says how long it took."""

    def __init__(self) -> None:
        folder = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "deps"
        programs = [p for p in folder.glob("drain-*") if not p.suffix and os.access(p, os.X_OK)]
        if not programs:
            raise SystemExit("build it first: cargo build --release --benches")
        newest = max(programs, key=lambda p: p.stat().st_mtime)
        self.process = subprocess.Popen([newest], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line: str) -> list[float]:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return [float(word) for word in self.process.stdout.readline().split()]

    def job(self, case: dict, threads: int, limit: int) -> tuple[int, int]:
        keys = ("dtype", "shape", "window", "step")
        rows, size = self.ask(json.dumps({key: case[key] for key in keys} | {"threads": threads, "bytes": limit}))
        return int(rows), int(size)


def timed(work: Callable[[], object]) -> float:
    """Seconds of the processor: what others do on the machine meanwhile doesn't count against a peer."""
    start = time.process_time()
    work()
    return time.process_time() - start


def chunked(view: np.ndarray, sliding: int, rows: int) -> None:
    """The first rows of the windows in `view`, copied out a batch at a time, as users of numpy do: whole lines."""
    patch = int(np.prod(view.shape[sliding:]))
    lines = view.reshape((-1,) + view.shape[sliding - 1 :]) if sliding == 1 else view
    if sliding > 2:  # the leading axes one by one
        done = 0
        for plane in view:
            take = min(rows - done, int(np.prod(plane.shape[: sliding - 1])))
            if take <= 0:
                return
            chunked(plane, sliding - 1, take)
            done += take
        return
    line = view.shape[1] if sliding == 2 else view.shape[0]
    batch = max(1, BATCH // (line * patch * view.dtype.itemsize))
    for start in range(0, -(-rows // line), batch):
        lines[start : start + batch].reshape(-1, patch)


def peers(case: dict, image: np.ndarray, rows: int) -> dict[str, Callable[[], object]]:
    window, step = case["window"], case["step"]
    sliding = len(window)
    steps = tuple(slice(None, None, s) for s in step)

    def numpy_way() -> None:
        view = sliding_window_view(image, window, axis=tuple(range(sliding)))[steps]
        if image.ndim > sliding:  # channels last in the patch
            view = np.moveaxis(view, sliding, -1)
        chunked(view, sliding, rows)

    def skimage_way() -> None:
        shape = tuple(window) + image.shape[sliding:]
        view = view_as_windows(image, shape, tuple(step) + (1,) * (image.ndim - sliding))
        if image.ndim > sliding:
            view = view[:, :, 0]
        chunked(view, sliding, rows)

    ways = {"numpy": numpy_way, "scikit-image": skimage_way}
    if sliding == 2 and step == [1, 1]:
        # It makes all rows of an image at once: as many lines of windows, about a quarter of them at a time.
        lines = -(-rows // (image.shape[1] - window[1] + 1))
        share = max(1, lines // 4)
        part = image[: share + window[0] - 1]
        ways["scikit-learn"] = lambda: [extract_patches_2d(part, tuple(window)) for _ in range(lines // share)]
    if torch is not None and image.dtype.name in ("uint8", "float32", "float64"):
        tensor = torch.from_numpy(image)

        def torch_way() -> None:
            view = tensor
            for axis, (w, s) in enumerate(zip(window, step)):
                view = view.unfold(axis, w, s)
            chunked_torch(view, sliding, rows)

        ways["torch"] = torch_way
    return ways


def chunked_torch(view, sliding: int, rows: int) -> None:
    line = int(np.prod(view.shape[1:sliding]))
    patch = int(np.prod(view.shape[sliding:]))
    batch = max(1, BATCH // (line * patch * view.element_size()))
    for start in range(0, -(-rows // line), batch):
        view[start : start + batch].reshape(-1, patch)


def cases(quick: bool) -> list[dict]:
    found = []
    dtypes = ("uint8", "float32") if quick else ("uint8", "uint16", "float32", "float64")
    for dtype in dtypes:
        size = np.dtype(dtype).itemsize
        side = 4000 if size <= 2 else 2000
        kinds = [(f"{w}x{w}", [side, side], [w, w]) for w in (3, 5, 8, 16, 32)]
        if not quick:
            kinds += [("8x8 RGB", [1500, 1500, 3], [8, 8]), ("4x4x4", [150, 150, 150], [4, 4, 4])]
        for name, shape, window in kinds:
            for step in (1, window[0]):
                case = {"name": name, "dtype": dtype, "shape": shape, "window": window, "step": [step] * len(window)}
                found.append(case)
    return found


def measure(rust: Rust, case: dict, rounds: int, limit: int) -> dict:
    image = (np.arange(int(np.prod(case["shape"]))) % 127).astype(case["dtype"]).reshape(case["shape"])
    rows, size = rust.job(case, 0, limit)
    # The peers are slower: of windows that overlap a quarter is enough to tell how much. Where they don't, the image is read
    # once, and a quarter of it would stay in the cache from round to round.
    share = max(1, rows // 4) if case["step"][0] < case["window"][0] else rows
    ways = peers(case, image, share)
    best: dict[str, float] = {}

    def note(name: str, seconds: float) -> None:
        best[name] = min(seconds, best.get(name, seconds))

    for _ in range(rounds):
        size = rust.job(case, 0, limit)[1]
        for _ in range(5):
            note("windrow", rust.ask("run")[0])
        for _ in range(3):
            note("memcpy", rust.ask("memcpy")[0])
        # Threads take a while to start, and are for more.
        size_of_two = rust.job(case, THREADS + 1, MANY * limit)[1]
        for _ in range(3):
            note("windrow, 2 threads", rust.ask("run")[0])
        for _ in range(3):
            note("memcpy2", rust.ask("memcpy2")[0])
        rust.job(case, 0, limit)
        if case["step"][0] == 1:
            for name in BY_ID:
                note(f"windrow, {name}", rust.ask(name)[0])
        else:
            note("memcpy of the image", rust.ask("image")[0])
        for name, work in ways.items():
            note(name, timed(work) * rows / share)
    memory = {name: own_peak(work) for name, work in ways.items()}
    rust.job(case, 0, limit)
    memory["windrow"] = 0
    for _ in range(4):  # the kernel counts pages a processor apart, so a single look may miss some
        Path(f"/proc/{rust.process.pid}/clear_refs").write_text("5")
        before = peak(rust.process.pid)
        rust.ask("run")
        memory["windrow"] = max(memory["windrow"], peak(rust.process.pid) - before)
    of_two = ("windrow, 2 threads", "memcpy2")
    speed = {k: (size_of_two if k in of_two else size) / s / 1e9 for k, s in best.items()}
    return case | {"rows": rows, "bytes": size, "gigabytes_a_second": speed, "peak_bytes": memory}


def own_peak(work: Callable[[], object]) -> int:
    """Bytes that `work` takes beyond what is there before, in a copy of this process."""
    ctypes.CDLL(None).malloc_trim(0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        Path("/proc/self/clear_refs").write_text("5")
        before = peak("self")
        work()
        os.write(write, str(peak("self") - before).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found = int(answer.read())
    os.waitpid(child, 0)
    return found


def peak_memory(case: dict) -> dict[str, int]:
    """Bytes that each takes beyond what it holds before the first window is made, in a process of its own.

    scikit-learn makes all rows here, as its users do."""
    found = {}
    program = (
        "import sys, json, numpy as np; sys.path.insert(0, sys.argv[1]); import peers\n"
        "case = json.loads(sys.argv[2]); image = np.zeros(case['shape'], case['dtype']); image[:] = 1\n"
        "rows = int(np.prod([(n - w) // s + 1 for n, w, s in zip(case['shape'], case['window'], case['step'])]))\n"
        "work = peers.peers(case, image, rows)[sys.argv[3]]\n"
        "if sys.argv[3] == 'scikit-learn': work = lambda: peers.extract_patches_2d(image, tuple(case['window']))\n"
        "open('/proc/self/clear_refs', 'w').write('5')\n"
        "before = peers.peak('self'); work(); print(peers.peak('self') - before)\n"
    )
    for name in ("numpy", "scikit-image", "scikit-learn"):
        command = [os.sys.executable, "-c", program, str(ROOT / "benches"), json.dumps(case), name]
        found[name] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rust = Rust()
    rust.job(case, 0, 1 << 60)
    Path(f"/proc/{rust.process.pid}/clear_refs").write_text("5")
    before = peak(rust.process.pid)
    rust.ask("run")
    found["windrow"] = peak(rust.process.pid) - before
    return found


def peak(process: int | str) -> int:
    """The most memory of a process since its peak was reset, in bytes."""
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


def plot(results: list[dict], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = ["windrow", "numpy", "scikit-image", "scikit-learn", "torch"]
    names = [n for n in names if any(n in r["gigabytes_a_second"] for r in results)]
    colors = {"windrow": "#d1495b", "numpy": "#00798c", "scikit-image": "#66a182", "scikit-learn": "#edae49", "torch": "#8d96a3"}
    shown = [r for r in results if r["step"][0] == 1 and r["dtype"] in ("uint8", "float32")]
    figure, axes = plt.subplots(figsize=(9, 0.62 * len(shown) + 1.4))
    height = 0.8 / len(names)
    for i, name in enumerate(names):
        ratios = [r["gigabytes_a_second"].get(name, 0) / r["gigabytes_a_second"]["memcpy"] for r in shown]
        axes.barh([y + i * height for y in range(len(shown))], ratios, height, label=name, color=colors[name])
    axes.axvline(1, color="#333", lw=1)
    axes.set_yticks([y + 0.4 - height / 2 for y in range(len(shown))], [f"{r['dtype']}  {r['name']}" for r in shown])
    axes.invert_yaxis()
    axes.set_xlabel("bytes of rows made a second, as a share of memcpy (one thread, step 1)")
    axes.set_title(machine(), fontsize=9, color="#555")
    axes.legend(frameon=False, loc="lower right")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores, {datetime.date.today()}, numpy {np.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes", type=int, default=64 << 20, help="bytes of rows a run, at most")
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--plot", help="write a picture here (.svg or .png)")
    args = parser.parse_args()
    rust = Rust()
    print(machine())
    print(f"{'case':26} {'GB/s':>5} {'memcpy':>6} {'share':>5} | 2 threads over 1, memcpy's | what is below | times as fast as | peak MiB")
    results = []
    for case in cases(args.quick):
        result = measure(rust, case, args.rounds, args.bytes)
        results.append(result)
        rate = dict(result["gigabytes_a_second"])
        own, limit, two, two_limit = (rate.pop(k) for k in ("windrow", "memcpy", "windrow, 2 threads", "memcpy2"))
        if (image := rate.pop("memcpy of the image", None)) is None:
            more = "by id " + " ".join(f"{rate.pop(f'windrow, {how}') / own:4.2f}" for how in BY_ID)
        else:
            more = f"of image   {own / image:4.2f}"
        times = "  ".join(f"{name} {own / peer:.1f}" for name, peer in rate.items())
        name = f"{case['dtype']} {case['name']} step {case['step'][0]}"
        peaks = "  ".join(f"{k} {v / 2**20:.0f}" for k, v in result["peak_bytes"].items() if k in ("windrow", "numpy"))
        print(f"{name:26} {own:5.1f} {limit:6.1f} {own / limit:5.2f} | {two / own:4.2f} {two_limit / limit:4.2f} | {more} | {times} | {peaks}",
              flush=True)
    memory = peak_memory({"dtype": "float32", "shape": [1000, 1000], "window": [8, 8], "step": [1, 1]})
    print("peak memory beside a float32 image of 1000x1000, all 8x8 windows:", end=" ")
    print(", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in memory.items()))
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": machine(), "results": results, "memory": memory}, indent=1) + "\n")
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
