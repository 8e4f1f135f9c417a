"""What all the tests share: the program, the corpus, and ways to look at its tables."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
WINDROW = Path(os.environ.get("WINDROW") or ROOT / TARGET / "debug" / "windrow")
MEASURE = Path(__file__).with_name("measure.py")
MIB = 2**20

# What the server of objects in the tests knows.
BUCKET = "windows"
SECRET = "top-secret-key"


def windrow(*args: object, timeout: float = 60, **options) -> subprocess.CompletedProcess:
    """Runs the program to its end, whatever that is. Output is bytes."""
    command = [str(WINDROW), *map(str, args)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, timeout=timeout, **options)


def export(image: Path, out: Path, *args: object) -> Path:
    """`windrow export`, which must succeed without a word."""
    run = windrow("export", image, "-q", "-o", out, *args)
    assert run.returncode == 0, run.stderr.decode()
    assert run.stderr == b""
    return out


@dataclass
class Measured:
    """How a run under limits ended, and what it took."""

    code: int
    stderr: str
    rss: int
    seconds: float


def measured(*args: object, address_space: int = 0, file_size: int = 0, **options) -> Measured:
    """Runs the program with its output thrown away, under limits in bytes; 0 is none."""
    options = {"stdout": subprocess.DEVNULL, "timeout": 120, **options}
    with tempfile.NamedTemporaryFile("r") as report:
        limits = [report.name, str(address_space), str(file_size)]
        command = [sys.executable, "-I", "-S", str(MEASURE), *limits, str(WINDROW), *map(str, args)]
        run = subprocess.run(command, stderr=subprocess.PIPE, **options)
        rss, seconds = report.read().split()
    return Measured(run.returncode, run.stderr.decode(), int(rss), float(seconds))


@dataclass(frozen=True)
class Corpus:
    """The generated files."""

    folder: Path
    good: list[dict]
    bad: list[dict]

    def path(self, file: str) -> Path:
        return self.folder / file

    def expected(self, file: str) -> np.ndarray:
        """The array that the foreign reader saw in a good file."""
        return np.load(self.folder / f"{file}.expected.npy")


@functools.cache
def corpus() -> Corpus:
    """Makes the files once a run, before the tests are collected, because each file is a test."""
    folder = Path(tempfile.mkdtemp(prefix="windrow-corpus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([sys.executable, DATA / "generate.py", folder, "--bad"], check=True, stdout=subprocess.DEVNULL)
    manifest = json.loads((folder / "manifest.json").read_text())
    return Corpus(folder, manifest["good"], manifest["bad"])


# -- looking at tables ------------------------------------------------------------------------------------------------


def read_arrow(path: Path) -> pa.Table:
    """A table of any of the three kinds of file, read by pyarrow."""
    if path.suffix == ".parquet":
        return pa.parquet.read_table(path)
    if path.suffix == ".arrow":
        return pa.ipc.open_file(path).read_all()
    return pa.ipc.open_stream(path).read_all()


def flat_values(column: pa.ChunkedArray) -> np.ndarray:
    """All the pixels of a column of (nested, fixed-size) lists, tensors or fixed binary, in order, as 1-D."""
    array = column.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    assert array.null_count == 0
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        array = array.flatten()
    return array.to_numpy(zero_copy_only=False)


def patches_of(table: pa.Table, shape: tuple[int, ...]) -> np.ndarray:
    """The patch column as an array of (rows, *shape)."""
    return flat_values(table["patch"]).reshape(table.num_rows, *shape)


def corners_of(table: pa.Table) -> np.ndarray:
    """The coordinate columns, whatever their names, as an array of (rows, axes)."""
    names = [name for name in table.column_names if name not in ("window", "patch")]
    return np.stack([table[name].to_numpy() for name in names], axis=-1)


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal bit for bit: NaN equals itself, 0.0 is not -0.0, and the type counts."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if got.tobytes() == expected.tobytes():
        return
    bits = np.dtype(f"u{got.dtype.itemsize}")
    differ = np.flatnonzero(np.ascontiguousarray(got).view(bits) != np.ascontiguousarray(expected).view(bits))
    first = np.unravel_index(differ[0], got.shape)
    raise AssertionError(f"{differ.size} of {got.size} differ, first at {first}: {got[first]}, not {expected[first]}")
