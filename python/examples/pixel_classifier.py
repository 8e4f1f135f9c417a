"""Label a few strokes, learn from the windows under them, and classify every pixel of a photograph.

    python examples/pixel_classifier.py camera.png segmented.png

Each pixel is classified by the 15x15 window around it: 225 numbers a pixel, so all windows at once would be 225 times
the photograph, four times that again as float32. Here they go by a few thousand rows at a time, in one buffer. With
`--way numpy` the same is done the usual way; both say what memory they took.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import windrow as wr

WINDOW = (15, 15)

#: Strokes of a brush over the photograph: class, then rows and columns.
STROKES = [
    ("sky", slice(20, 60), slice(20, 480)),
    ("sky", slice(100, 160), slice(330, 500)),
    ("coat", slice(170, 220), slice(80, 150)),
    ("coat", slice(230, 400), slice(50, 110)),
    ("coat", slice(250, 280), slice(40, 190)),
    ("grass", slice(420, 500), slice(20, 130)),
    ("grass", slice(430, 500), slice(330, 490)),
]
COLORS = {"sky": (90, 160, 255), "coat": (255, 120, 60), "grass": (90, 200, 90)}
CLASSES = list(COLORS)


def strokes(shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """The class of every pixel under a stroke, -1 elsewhere."""
    labels = np.full(shape, -1, np.int8)
    for name, rows, columns in STROKES:
        labels[rows, columns] = CLASSES.index(name)
    return labels


def learn(windows: wr.Scan, labels: npt.NDArray[np.int8]) -> Pipeline:
    """A classifier from 2000 windows under the strokes. Only those are gathered."""
    labelled = np.flatnonzero(labels.ravel() >= 0)
    chosen = np.sort(np.random.default_rng(0).choice(labelled, 2000, replace=False))
    pixels = windows[chosen].reshape(len(chosen), -1).astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500, class_weight="balanced"))
    return model.fit(pixels, labels.ravel()[chosen])


def classify(windows: wr.Scan, model: Pipeline) -> npt.NDArray[np.int8]:
    """The class of every window, in bounded memory."""
    classes = np.empty(len(windows), np.int8)
    row = 0
    for matrix in windows.matrix_batches(4096, dtype="float32"):
        classes[row : row + len(matrix)] = model.predict(matrix)
        row += len(matrix)
    return classes.reshape(windows.grid_shape)


def classify_numpy(image: npt.NDArray[np.uint8], model: Pipeline) -> npt.NDArray[np.int8]:
    """The same with NumPy: all windows as one matrix."""
    padded = np.pad(image, [(7, 7), (7, 7)], "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
    matrix = windows.reshape(-1, 225).astype(np.float32)
    return np.asarray(model.predict(matrix), np.int8).reshape(image.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--way", choices=["windrow", "numpy"], default="windrow")
    arguments = parser.parse_args()

    # Padded by half a window, so that there is a window around every pixel.
    windows = wr.scan(arguments.photograph, WINDOW, edge="pad", pad=7, pad_mode="reflect")
    image = np.asarray(Image.open(arguments.photograph))
    labels = strokes(image.shape)
    model = learn(windows, labels)
    before, start = peak(), time.perf_counter()
    classes = classify(windows, model) if arguments.way == "windrow" else classify_numpy(image, model)
    seconds, memory = time.perf_counter() - start, peak() - before
    print(f"{arguments.way}: {len(windows)} windows in {seconds:.2f} s, {memory / 2**20:.0f} MiB more memory")
    right = (classes == labels)[labels >= 0].mean()
    print(f"{right:.1%} of the pixels under the strokes get the class of their stroke")

    colors = np.array([COLORS[name] for name in CLASSES], np.float32)
    tinted = 0.55 * image[..., None] + 0.45 * colors[classes]
    Image.fromarray(tinted.astype(np.uint8)).save(arguments.result)


def peak() -> int:
    """The most memory that this process had so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss, this starts anew with the program that a process runs.
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
