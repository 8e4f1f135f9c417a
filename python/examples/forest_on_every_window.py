"""A random forest fitted on all windows of a photograph, whose matrix is many times the memory that the process may use.

    python examples/forest_on_every_window.py ../data/camera.png labels.png

Each pixel is one row: the 39x39 window around it as 1521 numbers of float32. That matrix is 1.5 GiB for a photograph of
512x512. The forest is scikit-learn's, unmodified; it gets an ordinary array. The whole process, interpreter and libraries
included, is held to a limit (`--limit`) by a cgroup; the usual way, with numpy, is run under the same limit first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

WINDOW = (39, 39)
COLORS = np.array([(90, 160, 255), (255, 120, 60), (90, 200, 90)], np.float32)


def labels_of(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Something to learn for every pixel: dark, middle or bright in the mean of its neighbourhood."""
    blurred = np.asarray(Image.fromarray(image).reduce(8).resize(image.shape[::-1], Image.Resampling.BICUBIC))
    return np.digitize(blurred, [70, 160]).astype(np.int8)


def fit(way: str, photograph: Path, result: Path, limit: int) -> None:
    """The whole work of one process."""
    from sklearn.ensemble import RandomForestClassifier

    import windrow as wr

    image = np.asarray(Image.open(photograph).convert("L"))
    labels = labels_of(image)
    model = RandomForestClassifier(5, max_depth=6, max_features=8, random_state=0)
    start = time.perf_counter()
    if way == "numpy":
        padded = np.pad(image, [(19, 19), (19, 19)], "reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
        X = np.asfortranarray(windows.reshape(-1, 1521).astype(np.float32))
        classes = model.fit(X, labels.ravel()).predict(X)
    else:
        s = wr.scan(image, WINDOW, edge="pad", pad=19, pad_mode="reflect")
        # A tree sorts a column at a time, so a few columns must have room.
        X = s.matrix(order="F", dtype="float32", backing="fault", max_resident=8 * len(s) * 4)
        model.fit(X, labels.ravel())
        rows = s.matrix_batches(512, dtype="float32")
        classes = np.concatenate([model.predict(matrix) for matrix in rows])
        print(f"{X.base.explain()}")
    seconds = time.perf_counter() - start
    print(f"{way}: a matrix of {X.nbytes / 2**20:.0f} MiB, {X.nbytes / limit:.1f} times what the process may take")
    print(f"fitted in {seconds:.1f} s; {(classes == labels.ravel()).mean():.1%} of all pixels get their label")
    tinted = 0.5 * image[..., None] + 0.5 * COLORS[classes.reshape(image.shape)]
    Image.fromarray(tinted.astype(np.uint8)).save(result)


def group(limit: int) -> Path | None:
    """A new cgroup below that of this process, whose processes may take `limit` bytes; None where none may be made."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root, file = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        made = Path("/sys/fs/cgroup", root, path.lstrip("/"), f"windrow-{os.getpid()}")
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / file).write_text(str(limit))
            return made
        except OSError:
            made.rmdir()
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--way", choices=["windrow", "numpy"])
    parser.add_argument("--limit", type=int, default=180, help="MiB that each process may take (default: %(default)s)")
    arguments = parser.parse_args()
    limit = arguments.limit << 20
    if arguments.way:
        return fit(arguments.way, arguments.photograph, arguments.result, limit)
    held = group(limit)
    if held is None:
        return print("skipped: no cgroup can be made here, and so nothing holds a process to its memory")
    # Both ways, each in a process of its own, since one of them does not survive.
    for way in ("numpy", "windrow"):
        command = [sys.executable, __file__, str(arguments.photograph), str(arguments.result), "--way", way]
        done = subprocess.run(
            [*command, "--limit", str(arguments.limit)],
            preexec_fn=lambda: (held / "cgroup.procs").write_text(str(os.getpid())),
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        last = (done.stderr.strip().splitlines() or ["killed for its memory"])[-1]
        print(done.stdout.strip() if done.returncode == 0 else f"{way}: failed, exit {done.returncode}: {last}")
    held.rmdir()
    if not arguments.result.exists():
        raise SystemExit("no label image was made")


if __name__ == "__main__":
    main()
