"""`windrow show`: Pillow reads the picture, and its pixels are those of the image."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from harness import DATA, export, patches_of, read_arrow, windrow
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

PHOTOGRAPH = DATA / "chelsea.png"

#: White pixels around each window.
GAP = 2


def show(image: Path, out: Path, *args: object) -> np.ndarray:
    """The sheet that the program draws, which must succeed without a word."""
    run = windrow("show", image, "-o", out, *args)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b""), run.stderr.decode()
    with Image.open(out) as sheet:
        assert (sheet.format, sheet.mode) == ("PNG", "RGB")
        return np.asarray(sheet)


def drawn(windows: np.ndarray, across: int, zoom: int = 1) -> np.ndarray:
    """The same sheet, by NumPy: windows (n, h, w, 3) with gaps between."""
    big = windows.repeat(zoom, axis=1).repeat(zoom, axis=2)
    count, height, width, _ = big.shape
    lines = -(-count // across)
    sheet = np.full((GAP + lines * (height + GAP), GAP + across * (width + GAP), 3), 255, np.uint8)
    for i, window in enumerate(big):
        top, left = GAP + i // across * (height + GAP), GAP + i % across * (width + GAP)
        sheet[top : top + height, left : left + width] = window
    return sheet


def test_sixteen_windows_spread_over_the_image(tmp_path: Path) -> None:
    image = np.asarray(Image.open(PHOTOGRAPH))
    windows = sliding_window_view(image, (64, 64), axis=(0, 1)).reshape(-1, 3, 64, 64).transpose(0, 2, 3, 1)
    middles = [(2 * i + 1) * len(windows) // 32 for i in range(16)]
    sheet = show(PHOTOGRAPH, tmp_path / "sheet.png", "--window", "64x64")
    np.testing.assert_array_equal(sheet, drawn(windows[middles], 8))


def test_rows_are_drawn_one_by_one(tmp_path: Path) -> None:
    args = ["--window", "12x16", "--step", "5", "--rows", "40..53"]
    rows = read_arrow(export(PHOTOGRAPH, tmp_path / "rows.arrow", *args))
    sheet = show(PHOTOGRAPH, tmp_path / "sheet.PNG", *args, "--across", 5)
    np.testing.assert_array_equal(sheet, drawn(patches_of(rows, (12, 16, 3)), 5, zoom=3))


@pytest.mark.parametrize("dtype", ["uint16", "int8", "float32", "float64"])
def test_other_pixels_lie_between_black_and_white(dtype: str, tmp_path: Path) -> None:
    image = np.arange(80 * 100).reshape(80, 100) % 101
    np.save(tmp_path / "image.npy", image.astype(dtype))
    sheet = show(tmp_path / "image.npy", tmp_path / "sheet.png", "--window", "50x50", "--rows", "0..1")
    # The numbers of this window, from its least to its greatest.
    window = image[:50, :50]
    tones = np.rint((window - window.min()) / np.ptp(window) * 255)
    assert np.abs(sheet[GAP:-GAP, GAP:-GAP] - tones[..., None]).max() <= 1


def test_padding_and_shifts_are_shown(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.full((60, 70), 200, np.uint8))
    args = ["--window", "50x50", "--pad", "10", "--rows", "0..1", "--pad-value", "7"]
    sheet = show(tmp_path / "image.npy", tmp_path / "sheet.png", *args)
    assert sheet[GAP, GAP].tolist() == [7, 7, 7] and sheet[GAP + 10, GAP + 10].tolist() == [200, 200, 200]


def test_the_old_picture_gives_way_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    out.write_bytes(b"an older picture")
    show(PHOTOGRAPH, out, "--window", "8x8", "--rows", "0..1")
    assert os.listdir(tmp_path) == ["sheet.png"]


@pytest.mark.parametrize(
    ("out", "args", "words"),
    [
        ("sheet.jpg", ["--window", "8x8"], "--output: "),
        ("-", ["--window", "8x8"], "--output: "),
        ("no/folder/sheet.png", ["--window", "8x8"], "sheet.png: cannot create"),
        ("sheet.png", ["--window", "8x8", "--across", "some"], "--across: "),
        ("sheet.png", ["--window", "8x8", "--rows", "0..99999"], "a contact sheet is too large: 99999 windows"),
        ("sheet.png", ["--window", "8x8", "--rows", "5..999999999"], "rows 5..999999999"),
        ("sheet.png", ["--window", "800x8"], "axis y: "),
    ],
)
def test_what_can_not_be_drawn(out: str, args: list[str], words: str, tmp_path: Path) -> None:
    run = windrow("show", PHOTOGRAPH, "-o", out, *args, cwd=tmp_path)
    text = run.stderr.decode()
    assert run.returncode == 1 and text.startswith("windrow: ") and words in text and text.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_not_over_the_image_itself(tmp_path: Path) -> None:
    image = tmp_path / "photo.png"
    image.write_bytes(PHOTOGRAPH.read_bytes())
    run = windrow("show", image, "--window", "8x8", "-o", tmp_path / "." / "photo.png")
    assert run.returncode == 1 and b"is the image itself" in run.stderr
    assert image.read_bytes() == PHOTOGRAPH.read_bytes()
