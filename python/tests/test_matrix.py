"""All windows as one ordinary array: equal to the materialized one, read-only, and never longer than its memory."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import windows as judged

import windrow as wr

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux has such memory")

IMAGE = np.random.default_rng(3).integers(0, 256, (90, 700), dtype=np.uint8)


def run(code: str, *, killed_by: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own, which ends well or is killed by this signal."""
    head = """
        import gc, os, signal, sys, threading, time
        import numpy as np
        import windrow as wr
        IMAGE = np.random.default_rng(3).integers(0, 256, (90, 700), dtype=np.uint8)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -killed_by, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


SCANS: dict[str, dict[str, Any]] = {
    "plain": {},
    "step and dilation": {"step": (2, 3), "dilation": (3, 2)},
    "padded": {"edge": "pad", "pad": ((3, 1), (2, 5)), "pad_mode": "reflect"},
}


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "int64"])
@pytest.mark.parametrize("name", SCANS)
def test_aliased_windows(name: str, dtype: str) -> None:
    options = SCANS[name]
    s = wr.scan(IMAGE, (5, 4), **options)
    X, valid = s.matrix(dtype=dtype, backing="alias")
    known = {"step": options.get("step"), "dilation": options.get("dilation"), "edge": options.get("edge", "drop")}
    padding = {"widths": options["pad"], "mode": options["pad_mode"]} if "pad" in options else {}
    expected = judged(IMAGE, (5, 4), **known, **padding)[1].reshape(-1, 20)
    assert X.dtype == dtype and X.flags.f_contiguous and X.shape[1] == 20
    assert valid.dtype == bool and valid.shape == X.shape[:1] and np.count_nonzero(valid) == len(s)
    np.testing.assert_array_equal(X[valid], expected)


def test_scaled_on_the_way() -> None:
    s = wr.scan(IMAGE, (3, 3), scale=1 / 128, offset=-1, rows=slice(100, 40_000))
    X, valid = s.matrix()
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X[valid], s.to_numpy().reshape(-1, 9))


def test_targets_follow_the_rows() -> None:
    s = wr.scan(IMAGE, (3, 3))
    with pytest.raises(ValueError, match="no matrix at the moment"):
        s.matrix_target(np.zeros(len(s)))
    X, valid = s.matrix(dtype="float32")
    labels = np.arange(len(s)) + 5
    y = s.matrix_target(labels)
    assert y.shape == X.shape[:1] and y.dtype == labels.dtype
    np.testing.assert_array_equal(y[valid], labels)
    assert (y[~valid] == 5).all()
    np.testing.assert_array_equal(s.matrix_target(labels.reshape(s.grid_shape), valid), y)
    assert (s.matrix_target(labels, fill=-1)[~valid] == -1).all()
    assert s.matrix_target(np.zeros((len(s), 2)), valid).shape == (len(X), 2)
    with pytest.raises(ValueError, match=r"labels: shape \(7,\)"):
        s.matrix_target(np.zeros(7))


def test_views_keep_the_memory() -> None:
    X, _ = wr.scan(IMAGE.copy(), (4, 4)).matrix()
    part = X[10:20, 3].T
    expected = part.copy()
    del X
    gc.collect()
    np.testing.assert_array_equal(part, expected)


def test_nobody_writes() -> None:
    X, _ = wr.scan(IMAGE, (4, 4)).matrix()
    with pytest.raises(ValueError, match="read-only"):
        X[0, 0] = 1
    with pytest.raises(ValueError):
        X.flags.writeable = True
    # Code that doesn't ask ends the process, before it changes anything.
    run(
        """
        import ctypes
        X, _ = wr.scan(IMAGE, (4, 4)).matrix(backing="alias")
        ctypes.memset(X.ctypes.data, 7, 1)
        """,
        killed_by=signal.SIGSEGV,
    )


def test_aliases_are_ordinary_memory(tmp_path: Path) -> None:
    """System calls read them, and forks see them."""
    s = wr.scan(IMAGE, (4, 4))
    X, _ = s.matrix()
    X.T.tofile(tmp_path / "matrix")
    np.testing.assert_array_equal(np.fromfile(tmp_path / "matrix", np.uint8), X.ravel(order="F"))
    run(
        """
        X, valid = wr.scan(IMAGE, (4, 4)).matrix(backing="alias")
        total = int(X.sum())
        child = os.fork()
        if not child:
            same = int(X.sum()) == total
            del X
            gc.collect()
            os._exit(0 if same else 3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.closerange(3, 1000)
        assert int(X.sum()) == total
        """
    )


def test_physical_memory_is_that_of_the_planes() -> None:
    run(
        """
        image = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
        def pss():
            rollup = open("/proc/self/smaps_rollup").read()
            return int(rollup.partition("\\nPss:")[2].split()[0]) << 10
        before = pss()
        X, valid = wr.scan(image, (8, 8)).matrix(dtype="float32", backing="alias")
        promised = X.base.resident_bytes
        assert promised <= 40 << 20 and X.nbytes > 250 << 20
        most = 0
        for column in X.T:
            column.sum()
            most = max(most, pss() - before)
        assert most <= promised + valid.nbytes + (16 << 20), (most, promised)
        """
    )


def test_what_can_not_be() -> None:
    s = wr.scan(IMAGE, (4, 4))
    with pytest.raises(ValueError, match="order: \"C\" is not for backing \"alias\""):
        s.matrix(order="C", backing="alias")
    with pytest.raises(ValueError, match="max_resident: 1.0 MiB do not hold"):
        s.matrix(dtype="float64", backing="alias", max_resident="1MiB")
    with pytest.raises(ValueError, match="backing: 'mirror'|backing: \"mirror\""):
        s.matrix(backing="mirror")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="max_resident: \"lots\""):
        s.matrix(max_resident="lots")
    with pytest.raises(ValueError, match="shifted"):
        wr.scan(IMAGE, (4, 4), step=3, edge="shift").matrix(backing="alias")
    with pytest.raises(ValueError, match="no window"):
        wr.scan(IMAGE, (4, 4), rows=(5, 5)).matrix()
    assert wr.scan(IMAGE, (4, 4)).explain().matrix.startswith("alias: ")


def test_nothing_is_left() -> None:
    def maps() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = None
    for _ in range(20):
        X, _ = wr.scan(IMAGE, (5, 5)).matrix()
        X[:, 7].sum()
        del X
        gc.collect()
        before = before or (maps(), descriptors())
    assert before is not None
    assert maps() <= before[0] + 3 and descriptors() == before[1]
