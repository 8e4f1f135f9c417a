"""Arrays come in without a copy, whatever their strides; what can't be used as it is says so or is converted."""

from __future__ import annotations

import array as stdlib_array
import gc
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import windrow as wr


def check(array: np.ndarray, source: Any | None = None) -> wr.Scan:
    s = wr.scan(array if source is None else source, (2, 3))
    expected = sliding_window_view(array, (2, 3), axis=(0, 1)).reshape(-1, 2, 3)
    np.testing.assert_array_equal(s.to_numpy(), expected.astype(s.dtype))
    return s


def sees_writes(s: wr.Scan, array: np.ndarray) -> bool:
    """Whether the scan looks at the very memory of the array."""
    before = array[0, 0]
    array[0, 0] = before + 1
    return bool(s[0][0, 0] == before + 1)


BASE = np.arange(600, dtype=np.int32).reshape(20, 30)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a.T,
        lambda a: np.asfortranarray(a),
        lambda a: a[::-1],
        lambda a: a[::-2, 5::3],
        lambda a: a[3:9, -2:3:-4],
        lambda a: a.view(np.uint16)[:, ::2],
    ],
)
def test_strides_are_taken_as_they_are(view: Any) -> None:
    array = view(BASE.copy())
    assert sees_writes(check(array), array)


def test_broadcast_and_read_only() -> None:
    check(np.broadcast_to(np.arange(7.0), (5, 7)))
    frozen = BASE.copy()
    frozen.flags.writeable = False
    check(frozen)
    lines = np.broadcast_to(np.float32(3), (100_000, 100_000))
    s = wr.scan(lines, (8, 8))
    assert len(s) == 99_993**2
    np.testing.assert_array_equal(s[-1], np.full((8, 8), 3, np.float32))


def test_rows_of_a_table_column_by_column() -> None:
    table = np.zeros((6, 7), dtype=[("a", "<f4"), ("b", "<f4")])
    table["b"] = np.arange(42).reshape(6, 7)
    field = table["b"]
    assert sees_writes(check(field), field)


@pytest.mark.parametrize("dtype", [">u2", ">f4", ">i8"])
def test_foreign_byte_order_is_converted(dtype: str) -> None:
    array = BASE.astype(dtype)
    assert check(array).dtype == array.dtype.newbyteorder("=")


def test_unaligned_is_copied() -> None:
    packed = np.zeros((6, 7), dtype=[("a", "u1"), ("b", "<f8")])
    packed["b"] = np.arange(42).reshape(6, 7)
    assert packed["b"].strides[1] == 9
    check(packed["b"])
    odd = np.frombuffer(bytes(1) + BASE.tobytes(), np.int32, offset=1).reshape(20, 30)
    assert not odd.flags.aligned
    check(odd)


def test_memmap(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    mapped = np.memmap(path, np.uint16, "w+", shape=(50, 40))
    mapped[:] = np.arange(2000).reshape(50, 40)
    assert sees_writes(check(mapped), mapped)
    for dtype, words in ((">u2", "byte order"), ("<u2", "aligned")):
        offset = 1 if dtype == "<u2" else 0
        foreign = np.memmap(path, dtype, "r", offset=offset, shape=(40, 40))
        with pytest.raises(ValueError, match=words):
            wr.scan(foreign, (2, 2))


class Interface:
    """An array of some other library."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.array.__array_interface__


class DLPack:
    """A tensor of some other library."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("wrap", [Interface, DLPack, memoryview])
def test_other_protocols(wrap: Any) -> None:
    array = BASE.copy()
    assert sees_writes(check(array, wrap(array)), array)


def test_buffers_lists_and_scalars() -> None:
    values = stdlib_array.array("d", range(10))
    s = wr.scan(values, 4)
    values[0] = 99.0
    assert s[0].tolist() == [99.0, 1.0, 2.0, 3.0]
    assert wr.scan([[1, 2], [3, 4]], (2, 2))[0].tolist() == [[1, 2], [3, 4]]
    assert wr.scan(bytearray(b"abc"), 2)[1].tobytes() == b"bc"


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 3), complex), np.zeros((3, 3), object), np.array([["a"]]), np.zeros((3, 3), "M8[s]"), [[1, "a"]], None],
    ids=str,
)
def test_what_has_no_pixels(array: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="no pixels|axes"):
        wr.scan(array, (2, 2))


def test_masked_arrays_are_refused() -> None:
    masked = np.ma.masked_equal(BASE, 7)
    with pytest.raises(ValueError, match="mask"):
        wr.scan(masked, (2, 2))
    check(masked.filled(0))
    check(BASE, np.ma.asarray(BASE))


def test_empty_arrays() -> None:
    s = wr.scan(np.zeros((0, 5)), (1, 2), edge="pad")
    assert (len(s), s.to_numpy().shape, list(s), pa.table(s).num_rows) == (0, (0, 1, 2), [], 0)
    assert s.lazy().collect().height == 0
    with pytest.raises(ValueError, match="larger than the array: 0"):
        wr.scan(np.zeros((0, 5)), (1, 2))
    with pytest.raises(IndexError):
        s[0]


def settle() -> None:
    """Let the interpreter do what was left for it to do."""
    for _ in range(3):
        gc.collect()


@pytest.mark.parametrize("order", [("s", "table"), ("table", "s")])
def test_the_base_lives_as_long_as_anything_that_needs_it(order: tuple[str, str]) -> None:
    array = Interface(np.ones((50, 60), np.float32))
    gone = weakref.ref(array)
    held: dict[str, Any] = {"s": wr.scan(array, (3, 3))}
    held["table"] = pa.RecordBatchReader.from_stream(held["s"])
    held["table"].read_next_batch()
    del array
    settle()
    assert gone() is not None
    del held[order[0]]
    settle()
    assert gone() is not None
    del held[order[1]]
    settle()
    assert gone() is None


def test_no_reference_is_lost() -> None:
    array = BASE.copy()
    before = sys.getrefcount(array)
    for _ in range(100):
        s = wr.scan(array, (2, 2))
        list(s), s[5], s.lazy().head(2).collect(), pa.table(s)
    del s
    settle()
    assert sys.getrefcount(array) == before
