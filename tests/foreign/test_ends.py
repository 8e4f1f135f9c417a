"""However an export ends, its target holds what it held, or all of the table; and no temporary file outlives the next."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from harness import WINDROW, windrow

TARGETS = ["out.parquet", "out.arrow", "out.arrows"]

# Reads of one file fail as those of a broken disk do, after so many.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t pread64(int fd, void *out, size_t n, off64_t at) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    static int reads;
    char link[64], path[4096] = "";
    if (!real) real = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "failing.npy") && ++reads > atoi(getenv("GOOD_READS"))) {
        errno = EIO;
        return -1;
    }
    return real(fd, out, n, at);
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shim")
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    (folder / "shim.c").write_text(SHIM)
    command = ["cc", "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c", "-ldl"]
    subprocess.run(command, check=True)
    return folder / "shim.so"


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("failing") / "failing.npy"
    np.save(path, np.random.default_rng(9).integers(0, 255, (2000, 1500), dtype=np.uint8))
    return path


@pytest.mark.parametrize("target", TARGETS)
def test_a_disk_that_fails(target: str, shim: Path, failing: Path, tmp_path: Path) -> None:
    out = tmp_path / target
    out.write_bytes(b"old")
    for good in [0, 1, 5, 12]:
        environment = {**os.environ, "LD_PRELOAD": str(shim), "GOOD_READS": str(good)}
        run = windrow("export", failing, "--window", "8x8", "-q", "-o", out, env=environment)
        assert run.returncode == 1 and run.stderr.count(b"\n") == 1, run.stderr
        assert b"failing.npy" in run.stderr and b"Input/output error" in run.stderr, run.stderr
        assert out.read_bytes() == b"old" and os.listdir(tmp_path) == [target]


def test_a_folder_is_continued_when_the_disk_is_well(shim: Path, failing: Path, tmp_path: Path) -> None:
    args = ["export", failing, "--window", "8x8", "-q", "--files", 5]
    assert windrow(*args, "-o", f"{tmp_path}/whole/").returncode == 0
    environment = {**os.environ, "LD_PRELOAD": str(shim), "GOOD_READS": "15"}
    run = windrow(*args, "-o", f"{tmp_path}/out/", env=environment)
    assert run.returncode == 1 and b"Input/output error" in run.stderr
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]
    assert windrow(*args, "-o", f"{tmp_path}/out/", "--resume").returncode == 0
    for part in (tmp_path / "whole").iterdir():
        assert (tmp_path / "out" / part.name).read_bytes() == part.read_bytes()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_that_is_cut_short_on_the_way(target: str, failing: Path, tmp_path: Path) -> None:
    image, folder = tmp_path / "image.npy", tmp_path / "folder"
    folder.mkdir()
    out = folder / target
    out.write_bytes(b"old")
    shutil.copy(failing, image)
    command = [WINDROW, "export", image, "--window", "8x8", "-q", "-o", out]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    while len(os.listdir(folder)) == 1 and process.poll() is None:
        pass
    os.truncate(image, 1_000_000)
    _, error = process.communicate()
    assert process.returncode == 1 and b"image.npy: the file changed" in error, error
    assert out.read_bytes() == b"old" and os.listdir(folder) == [target]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 3 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], stderr=-3).returncode:
        pytest.skip("mounting takes rights")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("target", TARGETS)
def test_a_full_disk(target: str, failing: Path, small_disk: Path) -> None:
    out = small_disk / target
    out.write_bytes(b"old")
    run = windrow("export", failing, "--window", "8x8", "-q", "-o", out)
    assert run.returncode == 1 and b"No space left on device" in run.stderr, run.stderr
    assert out.read_bytes() == b"old" and os.listdir(small_disk) == [target]


def test_a_full_disk_and_a_folder(failing: Path, small_disk: Path, tmp_path: Path) -> None:
    args = ["export", failing, "--window", "8x8", "-q", "--files", 9]
    assert windrow(*args, "-o", f"{tmp_path}/whole/").returncode == 0
    whole = {part.name: part.read_bytes() for part in (tmp_path / "whole").iterdir()}
    run = windrow(*args, "-o", f"{small_disk}/out/")
    assert run.returncode == 1 and b"No space left on device" in run.stderr, run.stderr
    there = {part.name: part.read_bytes() for part in (small_disk / "out").glob("part-*")}
    assert there and all(whole[name] == data for name, data in there.items())
    assert not [name for name in os.listdir(small_disk / "out") if name.startswith(".")]
    # There is room again.
    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    assert windrow(*args, "-o", f"{small_disk}/out/", "--resume").returncode == 0
    assert {part.name: part.read_bytes() for part in (small_disk / "out").iterdir()} == whole
