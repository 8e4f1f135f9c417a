"""What the documentation shows is run."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import windrow as wr

HERE = Path(__file__).parents[1]


def test_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(), re.S)
    assert len(blocks) == 8
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    s, model = names["s"], names["classes"]
    assert isinstance(s, wr.Scan) and s.shape == (299409, 8, 8)
    assert isinstance(model, np.ndarray) and len(model) == len(s)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["max.tif", "patches.arrow", "patches.parquet"]


def test_docstrings() -> None:
    # Not reached through the package: `windrow.fold` is the function.
    folding = sys.modules["windrow._fold"]
    assert doctest.testmod(folding).attempted > 8
    assert doctest.testmod(folding).failed == 0
    assert doctest.testmod(wr).attempted > 4
    assert doctest.testmod(wr).failed == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the example measures memory by resource")
def test_pixel_classifier(data: Path, tmp_path: Path) -> None:
    """Both ways paint the same picture; ours in a small part of the memory."""
    memory = {}
    for way in ("windrow", "numpy"):
        command = [sys.executable, str(HERE / "examples" / "pixel_classifier.py"), str(data / "camera.png")]
        run = subprocess.run([*command, str(tmp_path / f"{way}.png"), "--way", way], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        found = re.search(r"262144 windows in .* s, (\d+) MiB more", run.stdout)
        assert found, run.stdout
        memory[way] = int(found[1])
    pictures = [np.asarray(Image.open(tmp_path / f"{way}.png")) for way in memory]
    np.testing.assert_array_equal(*pictures)
    red, _, blue = pictures[0][[30, 30], [200, 300]].mean(axis=0)
    assert blue > red, "the sky is blue"
    assert memory["windrow"] * 10 < memory["numpy"], memory


@pytest.mark.skipif(sys.platform != "linux", reason="cgroups are Linux's")
def test_forest_on_every_window(data: Path, tmp_path: Path) -> None:
    """Under one limit numpy's way fails, and ours paints the labels."""
    example = [sys.executable, str(HERE / "examples" / "forest_on_every_window.py"), str(data / "camera.png")]
    run = subprocess.run([*example, str(tmp_path / "labels.png")], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    if run.stdout.startswith("skipped: no cgroup"):
        pytest.skip(run.stdout)
    assert run.stdout.startswith("numpy: failed"), run.stdout
    times = re.search(r"windrow: a matrix of 1521 MiB, ([\d.]+) times", run.stdout)
    right = re.search(r"([\d.]+)% of all pixels", run.stdout)
    assert times and float(times[1]) >= 8 and right and float(right[1]) > 85, run.stdout
    assert np.asarray(Image.open(tmp_path / "labels.png")).shape == (512, 512, 3)


def test_leak_free(data: Path, tmp_path: Path) -> None:
    """What is only remembered counts for nothing once no pixel is shared."""
    command = [sys.executable, str(HERE / "examples" / "leak_free.py"), str(data / "camera.png"), str(tmp_path / "all.png")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    without, guarded = (float(number) for number in re.findall(r"accuracy (\d\.\d+)", run.stdout))
    assert without > guarded + 0.1, run.stdout
    with Image.open(tmp_path / "all.png") as picture:
        assert picture.size == (3 * 512, 512)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bool", "int64"])
def test_sheet(image: np.ndarray, dtype: str) -> None:
    import io

    s = wr.scan(image.astype(dtype), (4, 6))
    assert Image.open(io.BytesIO(s.sheet())).size == (2 + 8 * (48 + 2), 2 + 2 * (32 + 2))
    assert Image.open(io.BytesIO(s.sheet([0, -1, 5], across=3))).size == (2 + 3 * 50, 36)
    page = s._repr_html_()
    assert "data:image/png;base64," in page and "<th" in page and str(len(s)) in page
    many = wr.scan(np.zeros((1000, 1000), np.uint8), (1, 1))
    with pytest.raises(ValueError, match="a contact sheet is too large: 1000000 windows"):
        many.sheet(...)
    assert "image/png" not in wr.scan(image, (4, 6), rows=(0, 0))._repr_html_()


def test_words_for_people(image: np.ndarray) -> None:
    s = wr.scan(image, (4, 6), step=2)
    explain = s.explain()
    assert repr(s).startswith("<windrow.Scan of 130 windows>\nsource ") and str(explain) in repr(s)
    assert (explain.rows, explain.grid_shape, explain.patch_shape) == (130, (10, 13), (4, 6))
    assert explain.axes == ("y", "x") and explain.columns == ("window", "y", "x", "patch")
    assert explain.dense_bytes == 130 * explain.row_bytes
    with pytest.raises(TypeError, match="windrow.scan"):
        wr.Scan()
