"""How well does a classifier of windows do on what it has not seen? Two answers, of which one is wrong.

    python examples/leak_free.py camera.png predicted.png

A photograph is cut into parcels, and all of a parcel is of one class, as fields and forests are on a map. The class
depends on how bright the parcel is, and by as much on what no pixel shows. A classifier learns from the 15x15 windows
around pixels. Windows overlap, so if they are split at random, nearly every pixel of a window that it is tested on was in
one that it learned from, and it need only remember. Split by blocks, with a guard band as wide as a window, no pixel is
shared. The difference of the two accuracies is what was only remembered.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

import windrow as wr

WINDOW, PARCEL, BLOCK, PER_CLASS, TESTED = (15, 15), 32, (64, 64), 3000, 4000
COLORS = np.array([(38, 70, 83), (42, 157, 143), (233, 196, 106), (231, 111, 81)], np.uint8)


def classes(photo: Image.Image) -> npt.NDArray[np.uint8]:
    """The label image: four classes of parcels, by their brightness and as much again by chance."""
    small = photo.resize((photo.width // PARCEL, photo.height // PARCEL), Image.Resampling.BOX)
    brightness = np.asarray(small, np.float32)
    value = brightness + np.random.default_rng(0).normal(0, brightness.std(), brightness.shape)
    levels = np.digitize(value, np.quantile(value, [0.25, 0.5, 0.75])).astype(np.uint8)
    return np.asarray(Image.fromarray(levels).resize(photo.size, Image.Resampling.NEAREST))


def learn(train: wr.Scan) -> RandomForestClassifier:
    """A classifier from as many windows of each class."""
    return RandomForestClassifier(60, n_jobs=-1, random_state=0).fit(pixels(train), train.column("label"))


def pixels(s: wr.Scan) -> npt.NDArray[np.float32]:
    return s.to_numpy().reshape(len(s), -1).astype(np.float32)


def accuracy(model: RandomForestClassifier, test: wr.Scan) -> float:
    return float(np.mean(model.predict(pixels(test)) == test.column("label")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("picture", type=Path, help="classes, and what is predicted with a guard band and without")
    args = parser.parse_args()

    photo = Image.open(args.photo).convert("L")
    labels = classes(photo)
    windows = wr.scan(np.asarray(photo), WINDOW, edge="pad", pad_mode="reflect", labels=labels)

    # At random: every window is in one of two parts, and shares pixels with those of the other.
    order = windows.shuffle(seed=1)
    count = 4 * len(order) // 5
    leaky = {"train": windows.with_windows(np.sort(order.window_ids(slice(count)))), "test": order.skip(count)}
    # By blocks: what extends over blocks of both parts is dropped.
    clean = windows.split(train=0.8, test=0.2, block=BLOCK, seed=1)
    dropped = clean.dropped / len(windows)
    print(f"{len(windows)} windows; split by blocks {dropped:.0%} are dropped, so that no pixel is shared")

    pictures = [COLORS[labels]]
    for name, parts in {"without a guard band": leaky, "with a guard band": clean}.items():
        model = learn(parts["train"].per_class(PER_CLASS, seed=2))
        tested = parts["test"].sample(min(TESTED, len(parts["test"])), seed=3)
        print(f"{name}: accuracy {accuracy(model, tested):.3f}")
        # Every window, a few thousand at a time in one buffer; what is predicted becomes an image, a cell a window.
        predicted = wr.Fold(windows, at="grid")
        first = 0
        for matrix in windows.matrix_batches(8192, dtype="float32"):
            predicted.add(np.arange(first, first + len(matrix)), model.predict(matrix))
            first += len(matrix)
        pictures.append(COLORS[predicted.finish()])
    Image.fromarray(np.concatenate(pictures, axis=1)).save(args.picture)


if __name__ == "__main__":
    main()
