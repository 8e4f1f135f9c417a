"""A bar while rows are written: in terminals by carriage returns, in notebooks by a display that is updated."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, Union

#: What a user may ask for: nothing, a bar, or a function of rows done and rows in all.
Progress: TypeAlias = Union[bool, Callable[[int, int], object]]

WIDTH = 24


@contextmanager
def watching(progress: Progress, total: int) -> Iterator[Callable[[int], object] | None]:
    """What the writer shall tell the number of its rows to, if anything."""
    if not progress:
        yield None
    elif callable(progress):
        report = progress
        yield lambda rows: report(rows, total)
    elif (display := _notebook()) is not None:
        shown = display(_Page(0, total), display_id=True)
        yield lambda rows: shown.update(_Page(rows, total))
    elif sys.stderr.isatty():
        start = time.monotonic()
        try:
            yield lambda rows: _draw(rows, total, time.monotonic() - start)
        finally:
            sys.stderr.write("\n")
    else:
        yield None


def _notebook() -> Any:
    """IPython's `display`, if a notebook is listening."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

    return display


class _Page:
    """The bar in a notebook."""

    def __init__(self, rows: int, total: int) -> None:
        self.rows, self.total = rows, total

    def __repr__(self) -> str:
        return f"{self.rows} of {self.total} rows"

    def _repr_html_(self) -> str:
        return f"<progress value='{self.rows}' max='{max(self.total, 1)}'></progress> {self!r}"


def _draw(rows: int, total: int, seconds: float) -> None:
    part = rows / total if total else 1.0
    bar = ("#" * int(part * WIDTH)).ljust(WIDTH, ".")
    left = f"{seconds / part - seconds:.0f} s left" if part > 0 else ""
    sys.stderr.write(f"\r[{bar}] {part:4.0%}  {rows} rows  {left}\x1b[K")
    sys.stderr.flush()
