"""What windrow stands on, in Rust."""

from collections.abc import Callable, Sequence
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

__all__ = ["Batch", "Batches", "Column", "Patches", "Plan", "Schema", "__version__", "forked", "stop"]

__version__: str

def stop() -> None: ...
def forked() -> None: ...
@final
class Plan:
    def __new__(
        cls,
        source: npt.NDArray[Any] | str,
        *,
        window_shape: Sequence[int],
        step: Sequence[int],
        dilation: Sequence[int],
        edge: str,
        pad: Sequence[tuple[int, int]] | None,
        pad_mode: str,
        pad_value: float,
        axes: Sequence[int | str] | None,
        layout: str,
        wrap: str,
        columns: Sequence[str] | None,
        dtype: str | None,
        scale: float,
        offset: float,
        lossy: bool,
        batch_rows: int | None,
        batch_bytes: int | None,
        page: int | None,
    ) -> Self: ...
    def with_rows(self, start: int, end: int) -> Plan: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def first_window(self) -> int: ...
    @property
    def grid_shape(self) -> list[int]: ...
    @property
    def patch_shape(self) -> list[int]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def sliding(self) -> list[tuple[str, int, int, int, int]]: ...
    def explain(self) -> tuple[str, str]: ...
    def schema(self) -> Schema: ...
    def stream(self) -> object: ...
    def batches(self) -> Batches: ...
    def patches(
        self,
        start: int,
        end: int,
        *,
        batch_rows: int | None = None,
        dtype: str | None = None,
        lossy: bool | None = None,
    ) -> Patches: ...
    def gather(self, windows: npt.NDArray[np.uint64], out: npt.NDArray[np.uint8]) -> None: ...
    def sheet(self, windows: npt.NDArray[np.uint64], across: int) -> bytes: ...
    def write_parquet(
        self, path: str, compression: str, store_columns: bool, progress: Callable[[int], object] | None
    ) -> tuple[int, int]: ...
    def write_ipc(
        self,
        path: str,
        compression: str,
        stream: bool,
        store_columns: bool,
        progress: Callable[[int], object] | None,
    ) -> tuple[int, int]: ...

@final
class Patches:
    def next_into(self, out: npt.NDArray[np.uint8], *, by_column: bool = False) -> int: ...
    def all_into(self, out: npt.NDArray[np.uint8]) -> None: ...

@final
class Schema:
    @property
    def names(self) -> list[str]: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class Batches:
    def __iter__(self) -> Self: ...
    def __next__(self) -> Batch: ...

@final
class Batch:
    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    @property
    def schema(self) -> Schema: ...
    def __len__(self) -> int: ...
    def __getitem__(self, name: str, /) -> npt.NDArray[Any]: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@final
class Column:
    @property
    def __array_interface__(self) -> dict[str, Any]: ...
