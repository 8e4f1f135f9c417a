"""Where pixels come from: paths, and anything that is or shares memory with a numpy array."""

from __future__ import annotations

import mmap
import os
from typing import Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

#: An array, or anything that becomes one, or the path of a file.
Source: TypeAlias = Union[npt.ArrayLike, str, "os.PathLike[str]"]


def resolve(source: Source) -> npt.NDArray[Any] | str:
    """The path, absolute (a scan may be pickled and go elsewhere), or the array, without a copy where that can be."""
    if isinstance(source, str) and source.startswith(("s3://", "https://", "http://")):
        return source
    if isinstance(source, (str, os.PathLike)):
        return os.path.abspath(source)
    return plain(as_array(source))


def as_array(source: Any) -> npt.NDArray[Any]:
    """An array over the memory of `source`: numpy's, or what the array or buffer protocols or DLPack lead to."""
    if np.ma.is_masked(source):
        raise ValueError("a masked array: windows can't carry the mask; fill it first, for example with .filled(0)")
    if not isinstance(source, np.ndarray) and hasattr(source, "__dlpack__"):
        return np.from_dlpack(source)
    return source if isinstance(source, np.memmap) else np.asarray(source)


def plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array itself where its memory can be used as it is. Otherwise (foreign byte order, elements that are not
    aligned or not whole elements apart) a copy."""
    native = array.dtype.isnative
    size = max(array.itemsize, 1)
    regular = all(stride % size == 0 for stride, n in zip(array.strides, array.shape) if n > 1)
    if native and regular and array.flags.aligned:
        return array
    if isinstance(array, np.memmap):
        why = "its elements are not aligned" if native else "its byte order is not this machine's"
        raise ValueError(f"this np.memmap would have to be copied into memory, for {why}: copy it yourself to say so")
    return array.astype(array.dtype.newbyteorder("="), order="C", copy=True)


def mapped(source: npt.NDArray[Any] | str) -> bool:
    """Whether the memory of an array is a mapped file, which may be cut off while it is read."""
    owner: Any = source
    while owner is not None:
        if isinstance(owner, (np.memmap, mmap.mmap)):
            return True
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    return False
