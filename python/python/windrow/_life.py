"""What the process goes through while engines are at work: forks, and the end of the interpreter."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import _windrow

#: After this many seconds without a call, no engine is expected to call again.
QUIET = 0.05

#: Longer than this the end of the interpreter is not held up.
PATIENCE = 5.0

_lock = threading.Lock()
_running = 0
_last = 0.0
_ending = False


@contextmanager
def called_by_an_engine() -> Iterator[None]:
    """Around everything that an engine calls from threads of its own.

    When the interpreter ends, such threads can't be stopped from outside, and one that asks for the interpreter's lock
    too late is torn down in the midst of the engine, which aborts the process. So the end waits for those that are
    under way, and the next ones are told to give up, which ends their query.
    """
    global _running, _last
    if _ending:
        _touch(0)
        raise RuntimeError("the interpreter is about to end")
    _touch(1)
    try:
        yield
    finally:
        _touch(-1)


def _touch(change: int) -> None:
    global _running, _last
    with _lock:
        _running += change
        _last = time.monotonic()


def watch() -> None:
    """Prepares for forks and for the end."""
    atexit.register(_end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """The threads of the parent did not come along, and one of them may have held the lock."""
    global _lock, _running, _last
    _lock, _running, _last = threading.Lock(), 0, 0.0
    _windrow.forked()


def _end() -> None:
    global _ending
    _ending = True
    _windrow.stop()
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and (_running or (_last and time.monotonic() - _last < QUIET) or _windrow.quiet() < QUIET):
        time.sleep(0.002)
