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
    """Runs code in an interpreter of its own, which ends well or is killed by this signal.

    What numpy and windrow import when it is first needed is imported at once: code that gives its rights up may
    not be allowed to read the folder of packages any more.
    """
    head = """
        import gc, os, random, signal, sys, threading, time
        import numpy as np, numpy.ma
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


# On touch


def on_touch(s: wr.Scan, recycle: bool, order: str, **options: Any) -> np.ndarray:
    """A matrix with pages that are used again, or with fresh ones as older systems have them."""
    return np.asarray(s._plan.matrix(order=order, backing="fault", recycle=recycle, **options))


@pytest.mark.parametrize("recycle", [True, False])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_windows_made_on_touch(dtype: str, order: str, recycle: bool) -> None:
    for options in (*SCANS.values(), {"step": 3, "edge": "shift"}):
        s = wr.scan(IMAGE, (5, 4), **options)
        X = on_touch(s, recycle, order, dtype=dtype, max_resident="3MiB")
        assert X.shape == (len(s), 20) and X.dtype == dtype and X.flags[f"{order}_CONTIGUOUS"]
        np.testing.assert_array_equal(X, s.to_numpy().reshape(-1, 20))


def test_any_rows_in_any_order() -> None:
    s = wr.scan(IMAGE, (3, 3), rows=slice(500, 50_000))
    rng = np.random.default_rng(1)
    for rows in ([7, 3, 3, -1], rng.permutation(len(s)), rng.random(len(s)) < 0.1, slice(10, 4000)):
        X = s.matrix(rows, order="C", dtype="float32", backing="fault", max_resident="2MiB")
        np.testing.assert_array_equal(X, s[rows].reshape(-1, 9))
    X, valid = s.matrix([5, 1], dtype="float32")
    assert X.base.backing == "fault" and valid.all() and valid.shape == (2,)
    np.testing.assert_array_equal(s.matrix_target([1, 0]), [1, 0])
    with pytest.raises(ValueError, match="rows: backing"):
        s.matrix([5, 1], backing="alias")  # type: ignore[call-overload]


def test_the_default_is_what_fits() -> None:
    s = wr.scan(IMAGE, (4, 4), dtype="float64")
    assert s.matrix()[0].base.backing == "alias"
    assert s.matrix(order="C")[0].base.backing == "fault"
    assert s.matrix(max_resident="1MiB")[0].base.backing == "fault"
    assert "fault: pages are " in s.explain().matrix
    assert s.matrix(backing="fault").base.explain().startswith("fault: at most ")


def test_files_are_read_first(tmp_path: Path) -> None:
    path = tmp_path / "image.npy"
    np.save(path, IMAGE)
    expected = wr.scan(IMAGE, (3, 3)).to_numpy().reshape(-1, 9)
    for source in (path, np.load(path, mmap_mode="r")):
        X = wr.scan(source, (3, 3)).matrix(backing="fault", max_resident="1MiB")
        os.truncate(path, 200)
        np.testing.assert_array_equal(X, expected)
        np.save(path, IMAGE)


def test_the_limit_holds() -> None:
    run(
        """
        image = np.random.default_rng(0).integers(0, 256, (1200, 1200), dtype=np.uint8)
        s = wr.scan(image, (8, 8))
        def pss():
            rollup = open("/proc/self/smaps_rollup").read()
            return int(rollup.partition("\\nPss:")[2].split()[0]) << 10
        before, most = pss(), 0
        for recycle in (True, False):
            for order in "FC":
                X = np.asarray(s._plan.matrix(order=order, backing="fault", dtype="float32", max_resident="20MiB",
                                              recycle=recycle))
                assert X.nbytes > 340 << 20 and X.base.resident_bytes <= 20 << 20
                for row in range(0, len(X), 20_000):
                    X[row : row + 20_000].sum()
                    most = max(most, pss() - before)
                X.T[3].sum()
                most = max(most, pss() - before)
                del X
        assert 10 << 20 < most <= 84 << 20, most
        """
    )


MADE = "X = np.asarray(wr.scan(IMAGE, (4, 4))._plan.matrix(order='F', backing='fault', recycle={recycle}))\n"


@pytest.mark.parametrize("recycle", [True, False])
class TestDangers:
    """What must not go wrong silently."""

    def run(self, recycle: bool, code: str, killed_by: int = 0) -> subprocess.CompletedProcess[str]:
        return run(MADE.format(recycle=recycle) + textwrap.dedent(code), killed_by=killed_by)

    @pytest.mark.parametrize("touched", [False, True])
    def test_a_fork_does_not_read_zeros(self, recycle: bool, touched: bool) -> None:
        self.run(
            recycle,
            f"""
            if {touched}: X.sum()
            child = os.fork()
            if not child:
                X[5, 5]
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGSEGV
            assert X.sum() == wr.scan(IMAGE, (4, 4)).to_numpy().sum()
            """,
        )

    def test_a_fork_may_let_go(self, recycle: bool) -> None:
        self.run(
            recycle,
            """
            child = os.fork()
            if not child:
                del X
                gc.collect()
                sys.exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert X[0, 0] == IMAGE[0, 0]
            """,
        )

    @pytest.mark.parametrize("touched", [False, True])
    def test_a_write_ends_the_process(self, recycle: bool, touched: bool) -> None:
        code = f"import ctypes\nif {touched}: X.sum()\nctypes.memset(X.ctypes.data + 9, 7, 1)"
        self.run(recycle, code, killed_by=signal.SIGSEGV)

    def test_nobody_can_close_its_descriptor(self, recycle: bool) -> None:
        self.run(
            recycle,
            """
            expected = wr.scan(IMAGE, (4, 4)).to_numpy().reshape(-1, 16)
            os.closerange(3, 4000)
            assert (X == expected).all()
            """,
        )

    def test_pages_that_others_give_back_come_again(self, recycle: bool) -> None:
        self.run(
            recycle,
            """
            import ctypes, mmap
            libc = ctypes.CDLL(None, use_errno=True)
            expected = wr.scan(IMAGE, (4, 4)).to_numpy().reshape(-1, 16)
            for _ in range(5):
                assert (X == expected).all()
                assert libc.madvise(ctypes.c_void_p(X.ctypes.data), ctypes.c_size_t(1 << 20), mmap.MADV_DONTNEED) == 0
            assert (X == expected).all()
            """,
        )

    def test_system_calls_are_served_or_fail(self, recycle: bool, tmp_path: Path) -> None:
        """As root the system may wait for pages too. Otherwise the call fails, and nothing wrong is written."""
        path = tmp_path / "matrix"
        self.run(
            recycle,
            f"""
            expected = wr.scan(IMAGE, (4, 4)).to_numpy().reshape(-1, 16).tobytes(order="F")
            fd = os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY)
            try:
                written = os.write(fd, X.T)
                assert open({str(path)!r}, "rb").read() == expected[:written]
            except OSError as error:
                assert error.errno == 14 and "system calls can't read" in X.base.explain(), error
            """,
        )

    def test_the_end_of_the_interpreter(self, recycle: bool) -> None:
        for _ in range(5):
            self.run(
                recycle,
                """
                def read():
                    while True: X.sum()
                for _ in range(3): threading.Thread(target=read, daemon=True).start()
                time.sleep(0.05)
                """,
            )

    def test_threads_read_while_others_hold_the_interpreter(self, recycle: bool) -> None:
        self.run(
            recycle,
            """
            import ctypes
            # PyDLL keeps the lock of the interpreter while C code touches pages that are not there.
            ctypes.PyDLL(None).memcmp(ctypes.c_void_p(X.ctypes.data), ctypes.c_void_p(X.ctypes.data), X.nbytes)
            """,
        )


def test_a_handler_that_fails_ends_the_process() -> None:
    """Not a hang. Here it runs out of mappings, which others have taken."""
    done = run(
        """
        import mmap
        image = np.zeros((1200, 1200), np.uint8)
        X = wr.scan(image, (8, 8)).matrix(backing="fault", dtype="float32", max_resident="20MiB")
        taken = []
        limit = int(open("/proc/sys/vm/max_map_count").read())
        try:
            for i in range(limit):
                taken.append(mmap.mmap(-1, 4096, prot=mmap.PROT_READ if i % 2 else mmap.PROT_READ | mmap.PROT_WRITE))
        except OSError:
            pass
        rng = np.random.default_rng(0)
        flat = X.T.reshape(-1)
        for at in rng.integers(0, flat.size, 20_000):
            flat[at]
        """,
        killed_by=signal.SIGABRT,
    )
    assert "windrow: a virtual matrix can't be served any more" in done.stderr


def test_an_unprivileged_user(tmp_path: Path) -> None:
    """Pages are served to any user; where the system refuses, the error names what else there is."""
    if os.getuid() != 0:
        pytest.skip("only root becomes somebody else")
    run(
        """
        expected = wr.scan(IMAGE, (4, 4)).to_numpy().reshape(-1, 16)
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            X = wr.scan(IMAGE, (4, 4)).matrix(backing="fault", max_resident="1MiB")
        except OSError as error:
            assert "alias" in str(error) and "matrix_batches" in str(error)
        else:
            assert (X == expected).all()
        """
    )


def test_a_refusal_names_the_other_ways() -> None:
    """A filter as that of a container: userfaultfd is not permitted."""
    run(
        """
        import ctypes, struct
        libc = ctypes.CDLL(None, use_errno=True)
        number = {"x86_64": 323, "aarch64": 282}.get(os.uname().machine)
        if number is None: sys.exit()
        # Load the number of the call; EPERM for this one, everything else is allowed.
        code = struct.pack("HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 6, 0, 0, 0x50001, 6, 0, 0, 0x7FFF0000)
        memory = ctypes.create_string_buffer(code)
        program = struct.pack("HxxxxxxP", 4, ctypes.addressof(memory))
        assert libc.prctl(38, 1, 0, 0, 0) == 0
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        assert libc.prctl(22, 2, program) == 0, ctypes.get_errno()
        s = wr.scan(IMAGE, (4, 4))
        try:
            s.matrix(backing="fault")
            raise SystemExit("no error")
        except PermissionError as error:
            assert "alias" in str(error) and "matrix_batches" in str(error), error
        assert "no fault" in s.explain().matrix
        assert s.matrix()[0].base.backing == "alias"
        """
    )


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_rounds(user: str) -> None:
    """Matrices made, touched by threads and dropped in random order; processes that end with some of them alive.

    `WINDROW_ROUNDS=1000 python -m pytest tests/test_matrix.py -k rounds` takes minutes.
    """
    if user == "nobody" and os.getuid() != 0:
        pytest.skip("only root becomes somebody else")
    rounds = int(os.environ.get("WINDROW_ROUNDS", "40"))
    for first in range(0, rounds, 100):
        run(
            f"""
            if {user == "nobody"}: os.setgroups([]); os.setgid(65534); os.setuid(65534)
            import random
            s = wr.scan(IMAGE, (4, 4))
            expected = s.to_numpy().reshape(-1, 16)
            def state():
                gc.collect()
                return [len(os.listdir(f"/proc/self/{{what}}")) for what in ("task", "fd")] + [
                    len(open("/proc/self/maps").readlines()) // 20]
            def make(rng):
                backing = rng.choice(["alias", "fault", "copied"])
                order = "F" if backing == "alias" else rng.choice("CF")
                memory = s._plan.matrix(order=order, backing="fault" if backing == "copied" else backing,
                                        max_resident=rng.choice(["2MiB", "4MiB"]), recycle=backing != "copied")
                if backing == "alias":
                    return np.asarray(memory), np.flatnonzero(np.frombuffer(memory.valid(), bool))
                return np.asarray(memory), np.arange(len(s))
            def touch(X, rows, seed):
                rng = np.random.default_rng(seed)
                for row in rng.integers(0, len(rows), 5):
                    assert (X[rows[row]] == expected[row]).all()
            def one(rng):
                alive = []
                for _ in range(rng.randrange(1, 6)):
                    what = rng.random()
                    if what < 0.5 or not alive:
                        alive.append(make(rng))
                    elif what < 0.8:
                        alive.pop(rng.randrange(len(alive)))
                    threads = [threading.Thread(target=touch, args=(*pair, rng.randrange(99))) for pair in alive]
                    for thread in threads: thread.start()
                    for thread in threads: thread.join()
                return alive
            start = None
            for number in range({first}, {min(first + 100, rounds)}):
                rng = random.Random(number)
                if rng.random() < 0.3:
                    child = os.fork()
                    if not child:
                        kept = one(rng)
                        sys.exit(0) if rng.random() < 0.5 else os._exit(0)
                    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                else:
                    one(rng)
                if number == {first} + 5: start = state()
            assert start is None or state() <= [n + 1 for n in start], (start, state())
            """
        )
