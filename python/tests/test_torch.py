"""What the README says for PyTorch. Without it, a stand-in runs the same lines: shards need no tensors to be counted."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import windrow as wr

README = Path(__file__).parents[1] / "README.md"
IMAGE = np.arange(60 * 70, dtype=np.float32).reshape(60, 70)


def stand_in() -> Any:
    """As much of PyTorch as the README names, with numpy's arrays for tensors."""
    torch, utils, data = (types.ModuleType(name) for name in ("torch", "torch.utils", "torch.utils.data"))
    vars(data).update(IterableDataset=object, get_worker_info=lambda: None)
    vars(utils).update(data=data)
    vars(torch).update(utils=utils, from_numpy=np.asarray)
    return torch


@pytest.fixture(params=["torch", "stand-in"])
def torch(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip("torch") if request.param == "torch" else stand_in()


def windows_class(torch: Any) -> Any:
    """The dataset of the README."""
    blocks = re.findall(r"```py\n(.*?)```", README.read_text(), re.S)
    (code,) = [block for block in blocks if "class Windows" in block]
    names: dict[str, Any] = {"torch": torch, "np": np, "wr": wr}
    exec(compile(code, str(README), "exec"), names)
    return names["Windows"]


def test_the_workers_of_a_loader_share_the_windows(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s = wr.scan(IMAGE, (5, 5))
    dataset = windows_class(torch)(s, shards=10)
    whole = np.concatenate([np.asarray(part) for part in dataset])
    np.testing.assert_array_equal(whole, s.to_numpy())
    corners: list[float] = []
    for worker in range(3):
        info = types.SimpleNamespace(id=worker, num_workers=3)
        monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda info=info: info)
        parts = [np.asarray(part)[:, 0, 0] for part in dataset]
        assert len(parts) in (3, 4)
        corners += np.concatenate(parts).tolist()
    assert sorted(corners) == whole[:, 0, 0].tolist()


def test_a_loader_with_workers() -> None:
    torch = pytest.importorskip("torch")
    s = wr.scan(IMAGE, (5, 5))
    loader = torch.utils.data.DataLoader(windows_class(torch)(s), batch_size=None, num_workers=2)
    assert sorted(torch.cat(list(loader))[:, 0, 0].tolist()) == s.to_numpy()[:, 0, 0].tolist()


def batches() -> Iterator[Any]:
    yield from wr.scan(IMAGE, (5, 5), batch_rows=1000, columns=["patch"])


read_only = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="DLPack had no read-only arrays"
)


@read_only
def test_a_batch_is_a_tensor_without_a_copy() -> None:
    torch = pytest.importorskip("torch")
    for batch in batches():
        patches = batch["patch"]
        tensor = torch.from_dlpack(patches)
        assert tensor.data_ptr() == patches.ctypes.data and tensor.shape == patches.shape


@read_only
def test_a_batch_goes_through_dlpack_without_a_copy() -> None:
    for batch in batches():
        patches = batch["patch"]
        again = np.from_dlpack(patches, copy=False)
        assert again.ctypes.data == patches.ctypes.data and not again.flags.writeable
        del batch, patches
        assert again[0, 0, 0] in IMAGE


