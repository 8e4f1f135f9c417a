"""A contact sheet: windows side by side, as a picture."""

from __future__ import annotations

import base64
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from . import _rows

if TYPE_CHECKING:
    from ._table import Scan

#: A notebook shows no sheet of windows that have more pixels than this.
MOST_PIXELS = 1 << 20


def sheet(scan: Scan, rows: _rows.Rows | None, across: int) -> bytes:
    """The windows at these rows as a PNG file."""
    if rows is None:
        return scan._plan.sheet(None, across)
    found = _rows.resolve(rows, len(scan))
    numbers = np.arange(found.start, found.stop, dtype=np.uint64) if isinstance(found, range) else found.ravel()
    return scan._plan.sheet(scan._windows(numbers), across)


def html(scan: Scan) -> str:
    """The facts of a scan and its sheet, for a notebook."""
    facts = scan.explain()._repr_html_()
    if not len(scan) or prod(scan.patch_shape) > MOST_PIXELS:
        return facts
    picture = base64.b64encode(sheet(scan, None, 8)).decode()
    return f"{facts}<img alt='some of the windows' src='data:image/png;base64,{picture}'/>"
