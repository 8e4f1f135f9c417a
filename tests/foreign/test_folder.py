"""A table in several files: nothing is lost whenever the export ends, and what is continued is what was uninterrupted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import zlib
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.dataset as ds
import pytest
import tifffile
from harness import DATA, WINDROW, assert_same, patches_of, windrow
from reference import windows

# How often an export is killed; the run that is made every time has less time.
KILLS = int(os.environ.get("WINDROW_KILLS", "6"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("folder") / "image.npy"
    np.save(path, np.random.default_rng(3).integers(0, 2000, (700, 600), dtype=np.uint16))
    return path


def command(image: Path, out: Path, *args: object) -> list[str]:
    return ["export", str(image), "--window", "4x4", "-q", "-o", f"{out}/", *map(str, args)]


def export(image: Path, out: Path, *args: object) -> Path:
    run = windrow(*command(image, out, *args))
    assert run.returncode == 0, run.stderr.decode()
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def whole(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(image, tmp_path_factory.mktemp("folder") / "whole", "--files", 7)


def test_readers_see_one_table(image: Path, whole: Path) -> None:
    _, patches = windows(np.load(image), (4, 4))
    table = ds.dataset(whole, format="parquet").to_table()
    assert_same(patches_of(table, (4, 4)), patches)
    frame = pl.scan_parquet(whole / "*.parquet").collect()
    assert frame["window"].to_list() == list(range(len(patches)))
    count = duckdb.sql(f"""select count(*), sum("window") from '{whole}/*.parquet'""").fetchall()
    assert count == [(len(patches), sum(range(len(patches))))]


def test_the_manifest_says_what_is_there(whole: Path) -> None:
    manifest = json.loads((whole / "_metadata.json").read_text())
    assert [file["name"] for file in manifest["files"]] == [f"part-{i:05}.parquet" for i in range(7)]
    assert set(os.listdir(whole)) == {"_metadata.json"} | {file["name"] for file in manifest["files"]}
    end = 0
    for file in manifest["files"]:
        data = (whole / file["name"]).read_bytes()
        assert file["written"] == {"bytes": len(data), "crc32": zlib.crc32(data)}
        assert file["rows"][0] == end
        end = file["rows"][1]
        assert pl.scan_parquet(whole / file["name"]).select(pl.len()).collect().item() == end - file["rows"][0]
    assert end == 697 * 597
    assert manifest["table"]["window"]["window_shape"] == [4, 4]


def test_files_of_about_so_many_bytes(image: Path, tmp_path: Path) -> None:
    out = export(image, tmp_path / "out", "--file-bytes", "2MiB")
    assert len(os.listdir(out)) - 1 == -(-697 * 597 // ((2 << 20) // (32 + 24)))


def test_killed_at_any_moment_it_is_continued(image: Path, whole: Path, tmp_path: Path) -> None:
    expected, seed = content(whole), random.Random(5)
    start = time.monotonic()
    export(image, tmp_path / "timed", "--files", 7)
    took = time.monotonic() - start
    for kill in range(KILLS):
        out = tmp_path / f"{kill}"
        ends = seed.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        for _ in range(seed.randint(1, 3)):
            process = subprocess.Popen([WINDROW, *command(image, out, "--files", 7, "--resume")], stderr=subprocess.PIPE)
            time.sleep(seed.uniform(0, took))
            process.send_signal(ends)
            process.communicate()
            for name in os.listdir(out) if out.exists() else []:
                # What has its name is whole.
                if name.startswith("part-"):
                    assert (out / name).read_bytes() == expected[name]
        export(image, out, "--files", 7, "--resume")
        assert content(out) == expected


def test_what_is_broken_is_made_again(image: Path, whole: Path, tmp_path: Path) -> None:
    out = export(image, tmp_path / "out", "--files", 7)
    part = out / "part-00003.parquet"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    (out / "part-00005.parquet").unlink()
    run = windrow("verify", out)
    assert run.returncode == 1 and b"part-00003.parquet: is not as it was written" in run.stderr
    export(image, out, "--files", 7, "--resume")
    assert content(out) == content(whole)
    run = windrow("verify", out)
    assert run.returncode == 0 and b"7 files" in run.stdout, run.stderr


def changed(image: Path, y: int, x: int) -> None:
    """Another image of the same shape: one pixel is another."""
    array = np.load(image)
    array[y, x] += 1
    np.save(image, array)


def test_verify_makes_the_rows_again(image: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.npy"
    moved.write_bytes(image.read_bytes())
    out = export(moved, tmp_path / "out", "--files", 3, "--columns", "x,patch", "--dtype", "float32", "--scale", "0.5")
    moved = moved.rename(tmp_path / "elsewhere.npy")
    assert b"No such file" in windrow("verify", out).stderr
    run = windrow("verify", out, "--image", moved)
    assert run.returncode == 0 and b"; 1,000 rows" in run.stdout, run.stdout
    run = windrow("verify", out, "--image", moved, "--sample", 70)
    assert run.returncode == 0 and b"; 70 rows" in run.stdout, run.stdout
    run = windrow("verify", out, "--image", moved, "--all")
    assert run.returncode == 0 and b"; 416,109 rows" in run.stdout, run.stdout
    changed(moved, 350, 300)
    for args in [["--all"], ["--sample", "416109"]]:
        # The first window that has the pixel.
        row = 347 * 597 + 297 - 232 * 597  # Files begin with lines.
        where = f"part-00001.parquet: row {row} (window {347 * 597 + 297}: y 347, x 297): patch is not what the image says"
        run = windrow("verify", out, "--image", moved, *args)
        assert run.returncode == 1 and where in run.stderr.decode(), run.stderr
        assert b"has changed since the table was made" in run.stderr
    run = windrow("verify", out, "--image", moved, "--sample", 2)
    assert run.returncode == 1 and b"2 were compared and are the same; --all compares every one" in run.stderr, run.stderr
    np.save(moved, np.load(moved)[1:])
    run = windrow("verify", out, "--image", moved)
    assert run.returncode == 1 and b"made from another one" in run.stderr, run.stderr


def test_verify_says_where_a_table_is_not_the_image(image: Path, tmp_path: Path) -> None:
    """The files are as the manifest says, and the image is the one: the table is another one's all the same."""
    out, other = export(image, tmp_path / "out", "--files", 3), tmp_path / "other.npy"
    other.write_bytes(image.read_bytes())
    changed(other, 690, 17)
    wrong = export(other, tmp_path / "wrong", "--files", 3)
    ours, theirs = (json.loads((folder / "_metadata.json").read_text()) for folder in (out, wrong))
    ours["files"] = theirs["files"]
    for part in wrong.glob("part-*"):
        (out / part.name).write_bytes(part.read_bytes())
    (out / "_metadata.json").write_text(json.dumps(ours))
    run = windrow("verify", out, "--all")
    assert run.returncode == 1
    assert f"part-00002.parquet: row {687 * 597 + 14 - 465 * 597} (window {687 * 597 + 14}: y 687, x 14)" in run.stderr.decode()


def test_an_image_that_changed_is_never_mixed(image: Path, whole: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "copy.npy", tmp_path / "out"
    copy.write_bytes(image.read_bytes())
    export(copy, out, "--files", 7)
    expected = content(out)
    (out / "part-00006.parquet").unlink()
    # Moved, it is the same, and the table calls it what it called it.
    moved = copy.rename(tmp_path / "moved.npy")
    export(moved, out, "--files", 7, "--resume")
    assert content(out) == expected
    (out / "part-00006.parquet").unlink()
    changed(moved, 699, 599)
    run = windrow(*command(moved, out, "--files", 7, "--resume"))
    assert run.returncode == 1 and b"its image is 840128 bytes with CRC-32 " in run.stderr, run.stderr
    assert "part-00006.parquet" not in os.listdir(out)


def test_the_page_is_part_of_the_image(tmp_path: Path) -> None:
    pages = np.random.default_rng(4).integers(0, 255, (3, 40, 50), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "pages.tif", pages, photometric="minisblack")
    args = ["export", tmp_path / "pages.tif", "--window", "4x4", "-q", "-o", f"{tmp_path}/out/"]
    assert windrow(*args, "--page", 1).returncode == 0
    run = windrow(*args, "--page", 2, "--resume")
    assert run.returncode == 1 and b"its page of the image is 1, not 2" in run.stderr, run.stderr
    assert windrow("verify", tmp_path / "out", "--all").returncode == 0
    table = ds.dataset(tmp_path / "out", format="parquet").to_table()
    assert_same(patches_of(table, (4, 4)), windows(pages[1], (4, 4))[1])


def test_an_image_of_other_bytes_and_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).integers(0, 255, (40, 50), dtype=np.uint8)
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, pixels)
    out = tmp_path / "out"
    assert windrow("export", image, "--window", "4x4", "-q", "-o", f"{out}/").returncode == 0
    tifffile.imwrite(image, pixels, compression="zlib")
    assert windrow("verify", out).returncode == 1
    run = windrow("verify", out, "--all")
    assert run.returncode == 0 and b"its pixels have not" in run.stdout, run.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--files", "7"], "holds a table already"),
        (["--files", "8", "--resume"], "number of files is 7, not 8"),
        (["--files", "7", "--resume", "--layout", "binary"], "layout is tensor, not binary"),
        (["--files", "7", "--resume", "--compression", "lz4"], "compression is zstd:1, not lz4"),
        (["--files", "7", "--resume", "--step", "2"], "windows is"),
        (["--files", "0"], "expected at least 1"),
        (["--file-bytes", "0"], "expected at least 1"),
        (["--file-bytes", "1"], "at most 100000"),
    ],
)
def test_another_table_is_refused(args: list[str], message: str, image: Path, whole: Path) -> None:
    before = content(whole)
    run = windrow(*command(image, whole), *args)
    assert run.returncode == 1
    assert message in run.stderr.decode(), run.stderr
    assert content(whole) == before


def test_a_codec_has_two_names(image: Path, whole: Path) -> None:
    """The level that is nobody's choice is the one that the manifest names."""
    before = content(whole)
    export(image, whole, "--files", 7, "--resume", "--compression", "zstd")
    assert content(whole) == before


def test_pages_stay_as_small_as_a_limit_made_them(tmp_path: Path) -> None:
    """A table that was begun within a limit of memory is continued without one."""
    wide, out = tmp_path / "wide.npy", tmp_path / "out"
    np.save(wide, np.random.default_rng(6).normal(size=(40, 2048)).astype(np.float32))
    args = ["export", wide, "--window", "8x8", "-q", "--layout", "binary", "--files", 3]

    def page_bytes(folder: Path) -> int:
        return json.loads((folder / "_metadata.json").read_text())["page_bytes"]

    assert windrow(*args, "-o", f"{tmp_path}/free/").returncode == 0
    assert page_bytes(tmp_path / "free") > 4 << 20
    refused = windrow(*args, "-o", f"{out}/", "--max-memory", "1MiB")
    least = refused.stderr.decode().split("expected ")[1].split()[0].strip(",")
    assert windrow(*args, "-o", f"{out}/", "--max-memory", least).returncode == 0
    assert page_bytes(out) == 4 << 20
    before = content(out)
    (out / "part-00001.parquet").unlink()
    run = windrow(*args, "-o", f"{out}/", "--resume")
    assert run.returncode == 0 and content(out) == before, run.stderr
    assert windrow("verify", out, "--all").returncode == 0
    # The other way round there is no choice.
    run = windrow(*args, "-o", f"{tmp_path}/free/", "--resume", "--max-memory", least)
    assert run.returncode == 1 and b"its page bytes is" in run.stderr, run.stderr


@pytest.mark.parametrize("change", ["name", "rows", "none"])
def test_a_manifest_of_someone_else_leads_nowhere(change: str, image: Path, tmp_path: Path) -> None:
    out = export(image, tmp_path / "out", "--files", 3)
    manifest = json.loads((out / "_metadata.json").read_text())
    if change == "name":
        manifest["files"][1]["name"] = "../outside.parquet"
    elif change == "rows":
        manifest["files"][1]["rows"][0] += 1
    else:
        manifest["files"] = []
    (out / "_metadata.json").write_text(json.dumps(manifest))
    for args in [command(image, out, "--files", 3, "--resume"), ["verify", out]]:
        run = windrow(*args)
        assert run.returncode == 1 and b"panicked" not in run.stderr, run.stderr
    assert os.listdir(tmp_path) == ["out"]


def test_options_of_a_folder_go_with_a_folder(image: Path, tmp_path: Path) -> None:
    for args in [["--files", "2"], ["--file-bytes", "1MiB"], ["--resume"]]:
        run = windrow("export", image, "--window", "4x4", "-o", tmp_path / "a.parquet", *args)
        assert run.returncode == 1 and b"goes with a folder" in run.stderr
    assert os.listdir(tmp_path) == []


def test_files_of_nobody_are_left_alone(image: Path, tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"mine")
    run = windrow(*command(image, tmp_path))
    assert run.returncode == 1 and b"no _metadata.json" in run.stderr
    assert content(tmp_path) == {"part-00000.parquet": b"mine"}


def test_two_exports_into_one_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ["export", DATA / "camera.png", "--window", "64x64", "-q", "-o", f"{out}/", "--files", "50"]
    first = subprocess.Popen([WINDROW, *args])
    while not (out / ".windrow.lock").exists():
        assert first.poll() is None
        time.sleep(0.001)
    second = windrow(*args, "--resume")
    assert second.returncode == 1 and b"another export is writing into it" in second.stderr, second.stderr
    first.terminate()
    assert first.wait() == 1
    assert windrow(*args, "--resume").returncode == 0
    assert windrow("verify", out).returncode == 0
    assert not [name for name in os.listdir(out) if name.startswith(".")]
