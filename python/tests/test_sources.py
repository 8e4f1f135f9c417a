"""Files of every kind, and what has to be said to open them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import windrow as wr


def check(expected: np.ndarray, path: Path | str, window: tuple[int, ...], **options: object) -> None:
    s = wr.scan(path, window, **options)
    windows = np.lib.stride_tricks.sliding_window_view(expected, window)
    for scan in [s, pickle.loads(pickle.dumps(s))]:
        np.testing.assert_array_equal(scan.to_numpy(), windows.reshape(-1, *window))


def test_raw(tmp_path: Path) -> None:
    array = (np.arange(30 * 40).reshape(30, 40) * 37).astype(">u2")
    path = tmp_path / "scene.bin"
    path.write_bytes(bytes(5) + array.tobytes())
    check(array.astype("u2"), path, (3, 4), raw="u16be:30x40@5")
    with pytest.raises(ValueError, match="30x40@0"):
        wr.scan(path, (3, 4), raw="u16be:30x40")
    with pytest.raises(ValueError, match="u16le or u16be"):
        wr.scan(path, (3, 4), raw="u16:30x40")
    with pytest.raises(ValueError, match="has no page"):
        wr.scan(path, (3, 4), raw="u16be:30x40@5", page=1)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save, tmp_path: Path) -> None:
    path = tmp_path / "scene.npz"
    arrays = {"a": np.arange(600, dtype="f4").reshape(20, 30), "labels": np.arange(600, dtype="u1").reshape(20, 30)}
    save(path, **arrays)
    check(arrays["a"], path, (3, 4), member="a")
    check(arrays["a"], path / "a", (3, 4))
    s = wr.scan(path / "a", (3, 3), labels=path / "labels")
    np.testing.assert_array_equal(s.column("label"), arrays["labels"][1:-1, 1:-1].reshape(-1))
    with pytest.raises(ValueError, match="a, labels"):
        wr.scan(path, (3, 4))


def test_stack(tmp_path: Path) -> None:
    array = np.random.default_rng(4).integers(0, 255, (5, 20, 30), dtype=np.uint8)
    path = tmp_path / "stack.tif"
    first, *others = (Image.fromarray(page) for page in array)
    first.save(path, save_all=True, append_images=others)
    check(array, path, (2, 3, 4), stack=True)
    check(array[3], path, (3, 4), page=3)
    assert wr.scan(path, (2, 3, 4), stack=True).columns == ["window", "page", "y", "x", "patch"]
    with pytest.raises(ValueError, match="not both"):
        wr.scan(path, (2, 3, 4), stack=True, page=0)


def test_zarr(tmp_path: Path) -> None:
    array = np.arange(20 * 30, dtype="<u2").reshape(20, 30)
    folder = tmp_path / "scene.zarr" / "B04"
    for y in range(2):
        for x in range(3):
            chunk = folder / "c" / str(y) / str(x)
            chunk.parent.mkdir(parents=True, exist_ok=True)
            chunk.write_bytes(array[10 * y : 10 * y + 10, 10 * x : 10 * x + 10].tobytes())
    said = {
        "zarr_format": 3, "node_type": "array", "shape": [20, 30], "data_type": "uint16", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10, 10]}},
        "chunk_key_encoding": {"name": "default"}, "dimension_names": ["lat", "lon"],
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }  # fmt: skip
    (folder / "zarr.json").write_text(json.dumps(said))
    (folder.parent / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    check(array, folder, (3, 4))
    check(array, folder.parent, (3, 4), member="B04")
    assert wr.scan(folder, (3, 4)).columns == ["window", "lat", "lon", "patch"]
    with pytest.raises(ValueError, match="it has B04"):
        wr.scan(folder.parent, (3, 4))
