"""Files as people have them: raw, .npz, PNG of 16 bits, TIFF of many pages or packed by Zstandard."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
from harness import MIB, WINDROW, assert_same, export, measured, patches_of, read_arrow, windrow
from PIL import Image
from reference import windows

SHAPE = (37, 53)


def pixels(dtype: str, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    kind = np.dtype(dtype)
    data = np.random.default_rng(5).bytes(int(np.prod(shape)) * kind.itemsize)
    array = np.frombuffer(data, kind).reshape(shape)
    return array & 1 == 1 if kind.kind == "b" else array.copy()


def check(path: Path, array: np.ndarray, tmp_path: Path, *args: object) -> None:
    window = (1,) * (array.ndim - 2) + (5, 7)
    window = window[: array.ndim]
    table = read_arrow(export(path, tmp_path / "out.arrow", "--window", "x".join(map(str, window)), "--step", "3", *args))
    _, patches = windows(array, window, step=(3,) * len(window))
    assert_same(patches_of(table, patches.shape[1:]), patches.astype(array.dtype.newbyteorder("=")))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("offset", [0, 13, 512])
def test_raw(dtype: str, order: str, offset: int, tmp_path: Path) -> None:
    array = pixels(f"{order}{dtype}")
    path = tmp_path / "scene.bin"
    path.write_bytes(bytes(offset) + array.tobytes())
    where = f"@{offset}" if offset else ""
    check(path, array, tmp_path, "--raw", f"{order}{dtype}:37x53{where}")
    if array.itemsize > 1:
        name = array.dtype.newbyteorder("=").name + {"<": "le", ">": "be"}[order]
        check(path, array, tmp_path, "--raw", f"{name}:37x53{where}")
    volume = array[:36].reshape(4, 9, 53)
    path.write_bytes(bytes(offset) + volume.tobytes())
    check(path, volume, tmp_path, "--raw", f"{order}{dtype}:4x9x53{where}")


def test_a_table_of_a_raw_file_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "scene.bin"
    pixels(">u2").tofile(path)
    args = ["export", path, "--raw", "u16be:37x53", "--window", "8x8", "-q", "-o", f"{tmp_path}/out/", "--files", 3]
    assert windrow(*args).returncode == 0
    assert windrow(*args, "--resume").returncode == 0
    run = windrow("verify", tmp_path / "out", "--all")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save, tmp_path: Path) -> None:
    arrays = {"B04": pixels("<u2"), "B08": pixels(">f4", (9, 40, 7)), "turned": np.asfortranarray(pixels("u1"))}
    path = tmp_path / "scene.npz"
    save(path, **arrays)
    for name, array in arrays.items():
        check(path / name, array, tmp_path)
        check(path, array, tmp_path, "--member", name)
    run = windrow("info", path)
    assert run.returncode == 1 and run.stderr.endswith(b"scene.npz/NAME: B04, B08, turned\n"), run.stderr
    run = windrow("info", path / "B05")
    assert run.returncode == 1 and run.stderr.endswith(b'no array "B05": it has B04, B08, turned\n'), run.stderr
    save(tmp_path / "one.npz", arrays["B04"])
    check(tmp_path / "one.npz", arrays["B04"], tmp_path)
    out = tmp_path / "folder"
    assert windrow("export", path / "B04", "--window", "8x8", "-q", "-o", f"{out}/").returncode == 0
    assert windrow("verify", out, "--all").returncode == 0


def test_a_stored_member_is_read_by_region(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    np.savez(path, a=np.zeros((12_000, 10_000), np.uint8))
    run = measured("export", path, "--window", "8x8", "--step", "100", "--batch-rows", "100", "-q", "-o", tmp_path / "out.arrow")
    assert run.code == 0 and run.rss < 60 * MIB, run


def test_an_archive_over_4_gib(tmp_path: Path) -> None:
    """Its sizes and places have 64 bits; the file has holes."""
    path = tmp_path / "large.npz"
    array = pixels("u2")
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with archive.open("a.npy", "w", force_zip64=True) as file:
            np.save(file, array)
    check(path, array, tmp_path)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_of_16_bits(channels: int, tmp_path: Path) -> None:
    array = pixels("u2", (*SHAPE, channels) if channels > 1 else SHAPE)
    path = tmp_path / "deep.png"
    if channels == 1:
        Image.fromarray(array).save(path)
        assert_same(np.asarray(Image.open(path)).astype(np.uint16), array)
    else:
        # Pillow knows no colours of 16 bits.
        import imagecodecs

        path.write_bytes(imagecodecs.png_encode(array))
    check_color(path, array, tmp_path)
    if channels == 1:
        imageio.imwrite(tmp_path / "other.png", array)
        check_color(tmp_path / "other.png", array, tmp_path)


def check_color(path: Path, array: np.ndarray, tmp_path: Path) -> None:
    table = read_arrow(export(path, tmp_path / "out.arrow", "--window", "5x7", "--step", "3"))
    _, patches = windows(array, (5, 7), step=(3, 3))
    assert_same(patches_of(table, patches.shape[1:]), patches)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("compression", [None, "zlib", "zstd"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_stack_of_pages(dtype: str, compression: str | None, channels: int, tmp_path: Path) -> None:
    array = pixels(dtype, (6, *SHAPE) if channels == 1 else (6, *SHAPE, channels))
    path = tmp_path / "stack.tif"
    photometric = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(path, array, compression=compression, photometric=photometric, rowsperstrip=5, metadata=None)
    assert len(tifffile.TiffFile(path).pages) == 6
    table = read_arrow(export(path, tmp_path / "out.arrow", "--stack", "--window", "2x5x7", "--step", "2"))
    _, patches = windows(array, (2, 5, 7), step=(2, 2, 2))
    assert table.column_names == ["window", "page", "y", "x", "patch"]
    assert_same(patches_of(table, patches.shape[1:]), patches)
    assert windrow("export", path, "--stack", "--window", "2x8x8", "-q", "-o", f"{tmp_path}/out/").returncode == 0
    run = windrow("verify", tmp_path / "out", "--all")
    assert run.returncode == 0, run.stderr


def test_pages_that_differ_are_no_stack(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels("u1"), metadata=None)
        tiff.write(pixels("u2"), metadata=None)
    run = windrow("info", path, "--stack")
    assert run.returncode == 1 and b"page 1 has 37 by 53 pixels of 1 uint16, page 0 has" in run.stderr, run.stderr


def test_a_stack_of_many_pages_is_read_page_by_page(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((400, 512, 512), np.uint8), compression="zlib", metadata=None, rowsperstrip=64)
    run = measured("export", path, "--stack", "--window", "3x64x64", "--step", "64", "--batch-rows", "64", "-q", "-o", tmp_path / "out.arrow")
    assert run.code == 0 and run.rss < 80 * MIB, run


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_tiff_packed_by_zstandard(dtype: str, predictor: bool, tile: tuple[int, int] | None, tmp_path: Path) -> None:
    array = pixels(dtype)
    path = tmp_path / "a.tif"
    options = {"tile": tile} if tile else {"rowsperstrip": 5}
    tifffile.imwrite(path, array, compression="zstd", predictor=predictor, metadata=None, **options)
    check(path, tifffile.imread(path), tmp_path)


@pytest.mark.parametrize("kind", ["bin", "npz", "tif", "zarr.zip"])
@pytest.mark.parametrize("how", ["shrinks", "changes", "vanishes"])
def test_a_file_that_changes_on_the_way(kind: str, how: str, tmp_path: Path) -> None:
    array = np.random.default_rng(9).integers(0, 255, (2000, 1500), dtype=np.uint8)
    image, folder, args = tmp_path / f"image.{kind}", tmp_path / "folder", []
    folder.mkdir()
    if kind == "bin":
        array.tofile(image)
        args = ["--raw", "u8:2000x1500"]
    elif kind == "npz":
        np.savez(image, array)
    elif kind == "tif":
        tifffile.imwrite(image, array.reshape(2, 1000, 1500), compression="zstd", metadata=None, rowsperstrip=4)
        args = ["--stack", "--axes", "y,x"]
    else:
        import zarr.storage

        with zarr.storage.ZipStore(image, mode="w") as store:
            zarr.create_array(store, shape=array.shape, chunks=(50, 1500), dtype="u1", compressors=None)[:] = array
    command = [WINDROW, "export", image, "--window", "8x8", "-q", "-o", folder / "out.arrow", *args]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    while not os.listdir(folder) and process.poll() is None:
        pass
    if how == "shrinks":
        os.truncate(image, 100_000)
    elif how == "changes":
        with image.open("r+b") as file:
            file.seek(1_000_000)
            file.write(b"other pixels")
    else:
        image.unlink()
    _, error = process.communicate()
    if how == "vanishes":
        # An open file stays what it is.
        assert process.returncode in (0, 1) and error.count(b"\n") <= 1, error
        return
    assert process.returncode == 1 and b"changed" in error and error.count(b"\n") == 1, error
    assert os.listdir(folder) == []


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_an_orientation_turns_nothing_and_is_told(kind: str, tmp_path: Path) -> None:
    y, x = np.mgrid[0:24, 0:40]
    array = np.stack([y * 9, x * 5, y + x], axis=-1).astype(np.uint8)
    path, plain = tmp_path / f"turned.{kind}", tmp_path / f"plain.{kind}"
    for orientation, name in [(6, path), (1, plain)]:
        if kind == "tif":
            tags = [(274, "H", 1, orientation, True)]
            tifffile.imwrite(name, array, photometric="rgb", metadata=None, extratags=tags)
        else:
            exif = Image.Exif()
            exif[274] = orientation
            Image.fromarray(array).save(name, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    for command in (["info"], ["info", "--window", "8x8"]):
        run = windrow(command[0], path, *command[1:])
        assert run.returncode == 0 and run.stderr.count(b"\n") == 1, run.stderr
        assert b"turned by 90 degrees clockwise (orientation 6): pixels come as they are stored" in run.stderr
        assert windrow(command[0], plain, *command[1:]).stderr == b""
    # As tifffile and Pillow have them, which leave them as they are too; but for Pillow with a TIFF.
    expected = tifffile.imread(path) if kind == "tif" else np.asarray(Image.open(path))
    assert expected.shape == (24, 40, 3)
    got = patches_of(read_arrow(export(path, tmp_path / "out.arrow", "--window", "24x40")), expected.shape)[0]
    assert np.abs(got.astype(int) - expected).max() <= (4 if kind == "jpg" else 0)
