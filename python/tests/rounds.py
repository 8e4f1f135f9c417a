"""Many short lives of an interpreter, each with streams under way in a way of its own; every one must end well.

    python rounds.py ROUNDS [FIRST]

A round is a fork of this process, which has imported the engines but has no thread, and lives until its interpreter has
ended. Its number is the seed of all that it does, so `rounds.py 1 NUMBER` does it again. Prints the rounds that did not
exit with 0.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

# Their own pools would be threads that a fork leaves behind.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

#: Seconds after which a round is taken for a deadlock.
PATIENCE = 60

IMAGE = np.arange(300 * 400, dtype=np.float32).reshape(300, 400)

#: What a round leaves to the end of the interpreter.
LEFT: list[Any] = []


class Thrown(Exception):
    """What consumers throw."""


def scan(rng: random.Random) -> Any:
    """Windows of any kind."""
    # Not before: a process that was forked after the import has readers of another kind.
    import windrow as wr

    image = rng.choice([IMAGE, IMAGE[::-1, ::2], IMAGE.copy(), np.broadcast_to(np.float32(1), (300, 300))])
    if rng.random() < 0.2:
        image = image[..., None]
    window = rng.choice([(3, 3), (8, 8), (32, 32)])
    layout = rng.choice(["tensor", "tensor", "binary", "fixed-shape-tensor"])
    dtype = rng.choice([None, None, "float64"])
    return wr.scan(image, window, step=rng.choice([1, 2]), batch_rows=rng.choice([100, 1000, None]), layout=layout, dtype=dtype)


def sums(s: Any) -> pl.LazyFrame:
    """A query over every pixel."""
    pixel = pl.col("patch")
    for _ in s.patch_shape:
        pixel = pixel.arr.get(0)
    return s.lazy().select(pixel.cast(pl.Float64).sum())


def half_read(rng: random.Random) -> list[Any]:
    """Streams of several consumers, somewhere in their midst."""
    s = scan(rng)
    batches = iter(s)
    stream = pa.RecordBatchReader.from_stream(s)
    things = [s, batches, next(batches)["window"], next(batches, None), stream, stream.read_next_batch(), s.lazy()]
    things += [s.__arrow_c_stream__(), s.matrix_batches(500), s._plan.taker("patch").take(np.arange(9, dtype=np.uint64))]
    if s.schema.names[-1] == "patch" and rng.random() < 0.3:
        frames = s.lazy().collect_batches(chunk_size=100)
        things += [frames, next(frames)]
    if rng.random() < 0.2:
        things.append(duckdb.connect().from_arrow(s).limit(1).fetchall())
    return things


def exits(rng: random.Random) -> None:
    """The interpreter ends with streams half read."""
    LEFT.extend(half_read(rng))
    rng.shuffle(LEFT)
    if rng.random() < 0.5:
        # The modules' own order.
        sys.modules["left"] = LEFT.pop()


def exits_while_threads_work(rng: random.Random) -> None:
    """The interpreter ends while others are in our code, and engines' threads are in our callbacks."""
    s = scan(rng)
    jobs: list[Callable[[], object]] = [
        s.to_numpy,
        lambda: [None for _ in s],
        lambda: pa.table(s),
        lambda: sums(s).collect(engine="streaming"),
        lambda: s.lazy().collect(),
        lambda: [None for _ in s.matrix_batches(1000, order="F")],
        # Not DuckDB: a thread in one of its own queries aborts the process at this point, whatever it reads.
    ]

    def work(job: Callable[[], object]) -> None:
        try:
            for _ in range(20):
                job()
        except (RuntimeError, KeyboardInterrupt, OSError, pl.exceptions.PolarsError, pa.ArrowException):
            pass  # It was told to give up.

    for job in rng.sample(jobs, 3):
        threading.Thread(target=work, args=(job,), daemon=True).start()
    time.sleep(rng.random() * 0.1)


def goes(rng: random.Random) -> None:
    """Everything goes in any order, in cycles and on any thread."""
    for _ in range(3):
        things = half_read(rng)
        rng.shuffle(things)
        cycle: list[Any] = things[:3]
        cycle.append(cycle)
        del cycle
        threads = []
        while things:
            thing = things.pop()
            if rng.random() < 0.3:
                threads.append(threading.Thread(target=lambda kept: gc.collect(0), args=(thing,)))
                threads[-1].start()
            del thing
            if rng.random() < 0.2:
                gc.collect()
        for thread in threads:
            thread.join()


def throws(rng: random.Random) -> None:
    """Consumers throw, wherever they are."""
    s = scan(rng)

    def thrown(*_: object) -> Any:
        raise Thrown

    def in_loop() -> None:
        for _ in s:
            if rng.random() < 0.3:
                break
        thrown()

    def in_query() -> None:
        query = s.lazy().with_columns(more=pl.col("patch").map_batches(thrown, return_dtype=pl.Int8))
        query.collect(engine=rng.choice(["streaming", "in-memory"]))  # type: ignore[call-overload]

    def in_progress() -> None:
        s.write_ipc(f"/dev/shm/rounds-{os.getpid()}", progress=thrown)

    for consumer in rng.sample([in_loop, in_query, in_progress], 3):
        try:
            consumer()
        except (Thrown, pl.exceptions.ComputeError):
            pass
        else:
            raise AssertionError(f"{consumer.__name__} went on")


def is_interrupted(rng: random.Random) -> None:
    """Ctrl-C at any moment."""
    s = scan(rng)
    jobs = [s.to_numpy, lambda: [None for _ in s], lambda: [None for _ in pa.RecordBatchReader.from_stream(s)]]
    timer = threading.Timer(rng.random() * 0.02, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        while True:
            rng.choice(jobs)()
    except KeyboardInterrupt:
        pass
    timer.join()


def threads_share(rng: random.Random) -> None:
    """One stream and one scan, many readers."""
    s = scan(rng)
    batches, stream = iter(s), pa.RecordBatchReader.from_stream(s)
    counts: Counter[str] = Counter()

    def work() -> None:
        rows = sum(len(batch) for batch in batches)
        counts["batches"] += rows
        assert len(s[[0, len(s) - 1]]) == 2
        assert sums(s).collect(engine="streaming").height == 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    stream.close() if rng.random() < 0.5 else stream.read_all()
    for thread in threads:
        thread.join()
    assert counts["batches"] == len(s)


def forks(rng: random.Random) -> None:
    """A fork while threads are at work: both sides go on."""
    s = scan(rng)
    batches = iter(s)
    next(batches)
    running = threading.Thread(target=lambda: [None for _ in s], daemon=True)
    running.start()
    time.sleep(rng.random() * 0.01)
    child = os.fork()
    if not child:
        # The watch of faulthandler is a thread, and stayed behind.
        signal.alarm(PATIENCE // 2)
        good = sum(len(batch) for batch in s) == len(s) and len(s[[0, 5, 3]]) == 3 and s.to_numpy().shape == s.shape
        os._exit(0 if good else 3)
    rows = sum(len(batch) for batch in s)
    assert rows == len(s)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, f"the fork: exit {code}"
    running.join()


def spawned(s: Any) -> int:
    return sum(len(batch) for batch in s)


def spawns(rng: random.Random) -> None:
    """A new interpreter takes a scan over."""
    s = scan(rng)
    LEFT.append(iter(s))
    next(LEFT[-1])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(spawned, [s]) == [len(s)]


KINDS = [exits, exits_while_threads_work, goes, throws, is_interrupted, threads_share, forks]

#: A new interpreter takes its time, so that not every round has one.
SPAWN_EVERY = 50


def kind_of(number: int) -> Callable[[random.Random], None]:
    return spawns if number % SPAWN_EVERY == SPAWN_EVERY - 1 else KINDS[number % len(KINDS)]


def live(number: int) -> None:
    """One round, in a process of its own."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind_of(number)(random.Random(number))


def main() -> int:
    warnings.simplefilter("ignore")
    rounds, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    good, bad = Counter[str](), 0
    for number in range(first, first + rounds):
        sys.stdout.flush()
        child = os.fork()
        if not child:
            live(number)
            return 0
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        name = kind_of(number).__name__
        if code:
            bad += 1
            print(f"round {number}, {name}: exit {code}")
        else:
            good[name] += 1
    print(f"{good.total()} of {rounds} rounds ended well:", ", ".join(f"{n} {name}" for name, n in good.items()))
    return 1 if bad else 0


if __name__ == "__main__":
    # Not os._exit: the end of the interpreter is part of the round.
    sys.exit(main())
