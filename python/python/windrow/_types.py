"""The types of arguments and results, by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Valid: TypeAlias = npt.NDArray[np.bool_]
Path: TypeAlias = "str | os.PathLike[str]"
Lengths: TypeAlias = "int | Sequence[int]"
Pads: TypeAlias = "int | tuple[int, int] | Sequence[tuple[int, int]]"
Edge: TypeAlias = Literal["drop", "shift", "pad"]
PadMode: TypeAlias = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
LabelAt: TypeAlias = Literal["center", "majority", "mean", "patch"]
Nodata: TypeAlias = "float | Literal['file']"
Layout: TypeAlias = Literal["tensor", "fixed-shape-tensor", "binary", "columns"]
