"""Rows are windows: an image, or any N-D array, as a lazy Arrow table of its sliding windows.

>>> import numpy as np
>>> import windrow as wr
>>> s = wr.scan(np.arange(9).reshape(3, 3), window_shape=(2, 2))
>>> len(s), s.shape
(4, (4, 2, 2))
>>> s[-1]
array([[4, 5],
       [7, 8]])
>>> s.to_numpy().reshape(4, 4)
array([[0, 1, 3, 4],
       [1, 2, 4, 5],
       [3, 4, 6, 7],
       [4, 5, 7, 8]])

A scan is a plan: nothing is read until it is asked for, and any number of streams may be read from it. Arrow libraries
take it as it is: `pyarrow.table(s)`, `polars.DataFrame(s)`, `duckdb.from_arrow(s)`; `s.lazy()` is a Polars lazy frame
that gathers only what the query needs. `fold` goes the other way: from values of windows to an image.
"""

from . import _life
from ._collection import Collection
from ._explain import Explain
from ._fold import Fold, fold
from ._scan import scan
from ._table import Scan, Split
from ._windrow import Batch, Schema, __version__

__all__ = ["Batch", "Collection", "Explain", "Fold", "Scan", "Schema", "Split", "__version__", "fold", "scan"]

_life.watch()
