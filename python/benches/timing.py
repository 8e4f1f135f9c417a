"""What the benchmarks time with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def best(work: Callable[[], Any], times: int = 3) -> float:
    """Seconds of the fastest of several runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def by_turns(works: dict[str, Callable[[], Any]], times: int = 3) -> dict[str, float]:
    """Seconds of the fastest of several runs of each, by turns: what else the machine does meets them all."""
    seconds = {name: float("inf") for name in works}
    for _ in range(times):
        for name, work in works.items():
            seconds[name] = min(seconds[name], best(work, 1))
    return seconds
