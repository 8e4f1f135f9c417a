"""Ratios that virtual matrices keep, measured in one run; each line says what was compared.

    python benches/virtual.py [SIDE] [--estimators]

A matrix of all 8x8 windows of SIDE x SIDE pixels as float32, against the same matrix in memory. With `--estimators`, the
table of estimators: the time of a fit on touch under a limit of a sixteenth, against the fit in memory.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import numpy as np

import windrow as wr
from timing import best, by_turns

#: Bytes that a block of a sum has.
BLOCK = 64 << 20


def pss() -> int:
    """Physical memory of this process, its share of what it shares."""
    return int(Path("/proc/self/smaps_rollup").read_text().partition("\nPss:")[2].split()[0]) << 10


def total(X: np.ndarray) -> float:
    """The sum by blocks, in the order of the memory."""
    flat = X.ravel(order="K") if X.flags.c_contiguous else X.T.reshape(-1)
    step = BLOCK // X.itemsize
    return float(sum(float(flat[i : i + step].sum()) for i in range(0, flat.size, step)))


def sums(s: wr.Scan) -> None:
    image_bytes = s.explain().base_bytes
    memory = np.empty((len(s), 64), np.float32, order="F")
    for start in range(0, len(s), 1 << 18):
        memory[start : start + (1 << 18)] = s[start : start + (1 << 18)].reshape(-1, 64)
    expected = total(memory)
    rate = memory.nbytes / best(lambda: total(memory))
    print(f"in memory: {memory.nbytes / 2**30:.1f} GiB, X.sum() by blocks at {rate / 1e9:.1f} GB/s")
    limit = memory.nbytes // 16 + image_bytes

    def ratio(X: np.ndarray) -> float:
        """The rate of its sums as a part of that in memory."""
        seconds = by_turns({"memory": lambda: total(memory), "matrix": lambda: total(X)})
        return X.nbytes / memory.nbytes * seconds["memory"] / seconds["matrix"]

    before = pss()
    X, valid = s.matrix(dtype="float32", backing="alias")
    first = X.nbytes / best(lambda: total(X), 1)
    print(f"  {X.base.explain()}: {ratio(X):.2f} of the rate in memory, the first time {first / rate:.2f}")
    print(f"  physical memory: {(pss() - before) / 2**20:.0f} MiB, promised {X.base.resident_bytes / 2**20:.0f}")
    del X, valid
    for name, recycle in [("remapped pages", True), ("copied pages", False)]:
        before = pss()
        X = np.asarray(s._plan.matrix(order="F", dtype="float32", backing="fault", max_resident=str(limit), recycle=recycle))
        assert abs(total(X) / expected - 1) < 1e-6
        print(f"  {X.base.explain()}: {ratio(X):.2f} of the rate in memory ({name})")
        print(f"  physical memory: {(pss() - before) / 2**20:.0f} MiB, promised {X.base.resident_bytes / 2**20:.0f}")
        del X


def forest(s: wr.Scan) -> None:
    """A random forest in F order: in memory, aliased, and on touch."""
    from sklearn.ensemble import RandomForestClassifier

    y = (s[:, 3, 3] > 127).reshape(-1).astype(np.int8)

    def fit(X: np.ndarray, y: np.ndarray, weight: Any = None) -> Callable[[], Any]:
        return lambda: RandomForestClassifier(4, max_depth=6, n_jobs=2, random_state=0).fit(X, y, weight)

    memory = np.asfortranarray(s.to_numpy().reshape(len(s), -1).astype(np.float32))
    limit = max(memory.nbytes // 8, 2 * 2 * 4 * len(s)) + s.explain().base_bytes
    alias, valid = s.matrix(dtype="float32", backing="alias")
    labels = s.matrix_target(y)
    fault = s.matrix(dtype="float32", backing="fault", max_resident=limit)
    seconds = by_turns({
        "memory": fit(memory, y),
        "fault": fit(fault, y),
        "weighted": fit(memory, y, np.ones(len(s))),
        "alias": fit(alias, labels, valid.astype(np.float64)),
    })
    print(f"RandomForest, 4 trees of depth 6, {memory.nbytes / 2**20:.0f} MiB: {seconds['memory']:.1f} s in memory")
    times, rows = seconds["alias"] / seconds["weighted"], len(alias) / len(s)
    print(f"  alias: {times:.2f} times as long with weights, {rows:.2f} times the rows")
    print(f"  {fault.base.explain()}: {seconds['fault'] / seconds['memory']:.2f} times as long")


def estimators(side: int) -> None:
    """Fits of a smaller matrix under a limit of a sixteenth, against fits in memory."""
    from sklearn import cluster, decomposition, discriminant_analysis, ensemble, linear_model, naive_bayes, neighbors
    from sklearn import neural_network, preprocessing, svm, tree

    warnings.simplefilter("ignore")
    image = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    s = wr.scan(image, (8, 8), scale=1 / 255, offset=-0.5)
    y = (s[:, 3, 3] > 0).reshape(-1).astype(np.int8)
    C = s.to_numpy().reshape(len(s), -1)
    F = np.asfortranarray(C)
    limit = C.nbytes // 16
    models: dict[str, Callable[[], Any]] = {
        "RandomForestClassifier": lambda: ensemble.RandomForestClassifier(2, max_depth=5, random_state=0),
        "ExtraTreesClassifier": lambda: ensemble.ExtraTreesClassifier(2, max_depth=5, random_state=0),
        "DecisionTreeClassifier": lambda: tree.DecisionTreeClassifier(max_depth=4, random_state=0),
        "HistGradientBoostingClassifier": lambda: ensemble.HistGradientBoostingClassifier(max_iter=5, early_stopping=False),
        "SGDClassifier(shuffle=False)": lambda: linear_model.SGDClassifier(shuffle=False, max_iter=3, tol=None),
        "MLPClassifier(shuffle=False)": lambda: neural_network.MLPClassifier((8,), shuffle=False, max_iter=2, batch_size=4096),
        "LogisticRegression": lambda: linear_model.LogisticRegression(max_iter=10),
        "KNeighborsClassifier(brute)": lambda: neighbors.KNeighborsClassifier(algorithm="brute"),
        "GaussianNB": lambda: naive_bayes.GaussianNB(),
        "StandardScaler": lambda: preprocessing.StandardScaler(),
        "PCA(4)": lambda: decomposition.PCA(4, random_state=0),
        "MiniBatchKMeans": lambda: cluster.MiniBatchKMeans(4, n_init=1, max_iter=3, random_state=0),
        "KMeans": lambda: cluster.KMeans(4, n_init=1, max_iter=3, random_state=0),
        "LinearRegression": lambda: linear_model.LinearRegression(),
        "Ridge": lambda: linear_model.Ridge(),
        "LinearSVC": lambda: svm.LinearSVC(max_iter=20),
        "LinearDiscriminantAnalysis": lambda: discriminant_analysis.LinearDiscriminantAnalysis(),
    }
    print(f"{C.nbytes / 2**20:.0f} MiB, at most {limit / 2**20:.0f} MiB of it there")
    print(f"{'estimator':32} {'order':5} {'memory s':>8} {'fault':>6} {'more MiB':>8}")
    for name, make in models.items():
        for order, dense in [("F", F), ("C", C)]:
            if order == "C" and "Tree" in name or order == "C" and name.startswith("RandomForest"):
                continue  # Rows in the order of a sort, of which one at a time is needed.
            seconds = best(lambda: make().fit(dense, y), 1)
            X = s.matrix(order=order, backing="fault", max_resident=limit + s.explain().base_bytes)  # type: ignore[call-overload]
            before = high(reset=True)
            on_touch = best(lambda: make().fit(X, y), 1)
            more = (high() - before) / 2**20
            print(f"{name:32} {order:5} {seconds:8.2f} {on_touch / seconds:6.1f} {more:8.0f}", flush=True)
            del X


def high(reset: bool = False) -> int:
    """The most memory so far, from now on if `reset`."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) << 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", nargs="?", type=int, default=2048)
    parser.add_argument("--estimators", action="store_true")
    arguments = parser.parse_args()
    if arguments.estimators:
        return estimators(min(arguments.side, 1024))
    side = arguments.side
    image = np.random.default_rng(0).integers(0, 256, (side, side), dtype=np.uint8)
    sums(wr.scan(image, (8, 8)))
    forest(wr.scan(image[: side // 2, : side // 2], (8, 8)))


if __name__ == "__main__":
    main()
