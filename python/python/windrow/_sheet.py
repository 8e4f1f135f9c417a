"""A contact sheet: windows side by side, as a picture."""

from __future__ import annotations

import base64
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import _rows

if TYPE_CHECKING:
    from ._scan import Scan

#: Windows of a sheet, unless asked for otherwise.
COUNT = 16

#: A notebook shows no sheet of windows that have more pixels than this.
MOST_PIXELS = 1 << 20


def sheet(scan: Scan, rows: _rows.Rows | None, across: int) -> bytes:
    """The windows at these rows as a PNG file."""
    if rows is None:
        numbers = spread(len(scan))
    else:
        found = _rows.resolve(rows, len(scan))
        numbers = np.arange(found.start, found.stop, dtype=np.uint64) if isinstance(found, range) else found.ravel()
    return scan._plan.sheet(np.ascontiguousarray(numbers + np.uint64(scan._plan.first_window)), across)


def spread(count: int) -> npt.NDArray[np.uint64]:
    """Some row numbers at equal distances, each in the middle of its share, so that they don't line up at an edge."""
    shown = min(COUNT, count)
    return np.array([(2 * i + 1) * count // (2 * shown) for i in range(shown)], np.uint64)


def html(scan: Scan) -> str:
    """The facts of a scan and its sheet, for a notebook."""
    facts = scan.explain()._repr_html_()
    if not len(scan) or prod(scan.patch_shape) > MOST_PIXELS:
        return facts
    picture = base64.b64encode(sheet(scan, None, 8)).decode()
    return f"{facts}<img alt='{min(COUNT, len(scan))} of the windows' src='data:image/png;base64,{picture}'/>"
