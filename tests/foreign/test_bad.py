"""Whatever goes wrong: one line, the right exit code, little memory, and no half file left behind."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from harness import DATA, MIB, WINDROW, Measured, corpus, export, measured, windrow

PHOTOGRAPH = DATA / "chelsea.png"
OLD = b"an older file"


def assert_one_line(text: str, *parts: str) -> None:
    """An error is one line that names what it is about."""
    assert "panicked" not in text
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    for part in parts:
        assert part in text


def assert_cheap(run: Measured) -> None:
    """Nobody believed the size that a broken header claims."""
    assert run.rss < 256 * MIB
    assert run.seconds < 2


# -- broken files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", corpus().bad, ids=lambda entry: Path(entry["file"]).name)
def test_broken_file(entry: dict, tmp_path: Path) -> None:
    image, out = corpus().path(entry["file"]), tmp_path / "out.arrow"
    window = ["--window", "1x1"] if entry["file"].endswith(".npy") else ["--window", "3x3", "--step", "2"]
    run = measured("export", image, "-q", "-o", out, *window, *entry["args"])
    assert_cheap(run)
    if entry["may_pass"] and run.code == 0:
        assert run.stderr == ""
        return
    assert run.code == 1, entry["why"]
    assert_one_line(run.stderr, image.name)
    assert os.listdir(tmp_path) == []


def test_missing_file(tmp_path: Path) -> None:
    run = windrow("info", tmp_path / "nowhere.png", "--window", "3x3")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "nowhere.png")


@pytest.mark.parametrize("name", ["folder", "folder.png", "folder.tif", "folder.npy"])
def test_a_folder_is_no_image(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    run = windrow("info", tmp_path / name, "--window", "3x3")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), name)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to root")
def test_unreadable_file(tmp_path: Path) -> None:
    image = tmp_path / "secret.npy"
    np.save(image, np.zeros((8, 8)))
    image.chmod(0)
    run = windrow("info", image, "--window", "3x3")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "secret.npy")


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["--window", "0x8"],
        ["--window", "0"],
        ["--window", "301x8"],
        ["--window", "8x452"],
        ["--window", "8x8x3x1"],
        ["--window", "18446744073709551615x8"],
        ["--window", "8x8", "--step", "0"],
        ["--window", "8x8", "--step", "2x0"],
        ["--window", "8x8", "--step=-1"],
        ["--window", "8x8", "--step", "2x2x2"],
        ["--window", "8x8", "--dilation", "0"],
        ["--window", "8x8", "--dilation", "4611686018427387904"],
        ["--window", "8x8", "--dilation", "100x1"],
        ["--window", "8x8", "--rows", "5..3"],
        ["--window", "8x8", "--rows", "0..99999999999"],
        ["--window", "8x8", "--axes", "y,q"],
        ["--window", "8x8", "--axes", "y,y"],
        ["--window", "8x8", "--axes", "y"],
        ["--window", "8x8", "--columns", "window,nonsense"],
        ["--window", "8x8", "--dtype", "int8"],
        ["--window", "8x8", "--batch-rows", "0"],
        ["--window", "8x8", "--page", "3"],
        ["--window", "8x8", "--edge", "pad", "--pad", "18446744073709551615,1x0,0"],
    ],
    ids=" ".join,
)
def test_windows_that_cannot_be(args: list[str], tmp_path: Path) -> None:
    """Well-formed or not, these end with one of the two codes and leave nothing; exit 1 says so in one line."""
    out = tmp_path / "out.parquet"
    run = measured("export", PHOTOGRAPH, "-q", "-o", out, *args)
    assert_cheap(run)
    assert run.code in (1, 2)
    assert "panicked" not in run.stderr
    assert run.stderr.startswith("error") or run.code == 1
    if run.code == 1:
        assert_one_line(run.stderr)
    assert os.listdir(tmp_path) == []


def test_too_large_a_window_says_both_numbers_and_the_axis(tmp_path: Path) -> None:
    run = windrow("info", PHOTOGRAPH, "--window", "8x452")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "452", "451", "x")


@pytest.mark.parametrize(
    "args",
    [
        ["export"],
        ["export", PHOTOGRAPH, "-o", "out.parquet", "--window", "8x8", "--nonsense"],
        ["nonsense"],
        [],
    ],
    ids=lambda args: " ".join(Path(str(arg)).name for arg in args) or "nothing",
)
def test_usage(args: list, tmp_path: Path) -> None:
    run = windrow(*args, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr
    assert b"panicked" not in run.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "args",
    [
        ["--window", "eight"],
        ["--window", "0x8"],
        ["--window", "8x8x8x8"],
        ["--window", "8x8", "--step", "-1"],
        ["--window", "8x8", "--edge", "fold"],
        ["--window", "8x8", "--batch-bytes", "much"],
        ["--window", "8x8", "--edge", "drop", "--pad", "1,1"],
        ["--window", "8x8", "--pad-value", "256", "--pad-mode", "constant"],
        ["--window", "8x8", "--columns", "window,z"],
        ["--window", "8x8", "--rows", "5..1"],
        ["--window", "8x8", "--pad-mode", "edge", "--pad-value", "1"],
        ["--window", "8x8", "--scale", "1/0"],
    ],
    ids=" ".join,
)
def test_bad_values(args: list, tmp_path: Path) -> None:
    run = windrow("export", PHOTOGRAPH, "-o", "out.parquet", *args, cwd=tmp_path)
    assert run.returncode == 1
    assert_one_line(run.stderr.decode())
    assert os.listdir(tmp_path) == []


def test_a_comma_in_the_window_gets_a_hint(tmp_path: Path) -> None:
    run = windrow("export", PHOTOGRAPH, "-o", tmp_path / "out.parquet", "--window", "8,8")
    assert run.returncode in (1, 2)
    assert b"8x8" in run.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--rows", "0:1000"], "did you mean 0..1000?"),
        (["--rows", "1000..10"], "--rows: 1000..10: the end is before the start"),
        (["--rows", "0..200000"], "130092"),
        (["--batch-rows", "0"], "--batch-rows: "),
        (["--pad", "3x"], "--pad: "),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_an_error_says(args: list[str], part: str) -> None:
    run = windrow("info", PHOTOGRAPH, "--window", "8x8", *args)
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), part)


@pytest.mark.parametrize(
    ("said", "same"),
    [
        (["--window", "8X8"], ["--window", "8x8"]),
        (["--size", "8x8"], ["--window", "8x8"]),
        (["--window-shape", "8x8", "--stride", "4"], ["--window", "8x8", "--step", "4"]),
        (["--window", "8x8", "--pad", "3"], ["--window", "8x8", "--pad", "3,3x3,3"]),
        (["--window", "8x8", "--pad", "3x1"], ["--window", "8x8", "--pad", "3,3x1,1"]),
    ],
    ids=lambda args: " ".join(args),
)
def test_other_ways_to_say_it(said: list[str], same: list[str]) -> None:
    run, other = windrow("info", PHOTOGRAPH, "--json", *said), windrow("info", PHOTOGRAPH, "--json", *same)
    assert run.returncode == 0, run.stderr
    assert run.stdout == other.stdout


def test_info_of_an_image_alone() -> None:
    run = windrow("info", PHOTOGRAPH)
    assert run.returncode == 0
    assert b"y 300, x 451, c 3  uint8" in run.stdout
    assert b"--window" in run.stdout
    assert windrow("export", PHOTOGRAPH, "-o", "out.parquet").returncode == 2


def test_a_window_of_one_axis_is_noted() -> None:
    run = windrow("info", PHOTOGRAPH, "--window", "8")
    assert run.stderr == b"note: x is not in the window and is taken whole (451); for squares say 8x8\n"
    assert windrow("info", PHOTOGRAPH, "--window", "8", "--axes", "y").stderr == b""
    assert windrow("info", PHOTOGRAPH, "--window", "8x8").stderr == b""


def test_a_terminal_gets_no_stream() -> None:
    main, terminal = pty.openpty()
    try:
        run = windrow("stream", PHOTOGRAPH, "--window", "8x8", stdout=terminal)
    finally:
        os.close(terminal)
        os.close(main)
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "standard output is a terminal: pipe it, or use export -o FILE")


# -- targets ----------------------------------------------------------------------------------------------------------


def test_target_in_no_folder(tmp_path: Path) -> None:
    run = windrow("export", PHOTOGRAPH, "-q", "-o", tmp_path / "nowhere" / "out.parquet", "--window", "8x8")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "out.parquet", f"no folder {tmp_path / 'nowhere'}")


def test_target_with_a_slash_at_its_end(tmp_path: Path) -> None:
    run = windrow("export", PHOTOGRAPH, "-q", "-o", f"{tmp_path}/out.parquet/", "--window", "8x8")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "out.parquet")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("link", [None, os.symlink, os.link], ids=["same name", "link", "hard link"])
def test_target_is_the_image(link, tmp_path: Path) -> None:
    image = tmp_path / "image.arrow"
    with image.open("wb") as file:
        np.save(file, np.zeros((16, 16)))
    before, out = image.read_bytes(), image
    if link:
        out = tmp_path / "other.arrow"
        link(image, out)
    run = windrow("export", image, "-q", "-o", out, "--window", "8x8")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "is the image itself")
    assert image.read_bytes() == before


def test_target_with_a_long_name(tmp_path: Path) -> None:
    out = tmp_path / f"{'a' * 247}.parquet"
    export(PHOTOGRAPH, out, "--window", "8x8", "--step", "8")
    assert os.listdir(tmp_path) == [out.name]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_an_old_file_keeps_its_permissions(mode: int, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(OLD)
    out.chmod(mode)
    export(PHOTOGRAPH, out, "--window", "8x8", "--step", "8")
    assert out.stat().st_mode & 0o777 == mode


def test_a_name_with_a_newline_stays_one_line(tmp_path: Path) -> None:
    out = tmp_path / "a\n\x1b[31mb.parquet"
    run = windrow("export", PHOTOGRAPH, "-o", out, "--window", "8x8", "--step", "8")
    assert run.returncode == 0
    assert_one_line(run.stderr.decode(), r"a\n\u{1b}[31mb.parquet")
    run = windrow("info", out, "--window", "8x8")
    assert_one_line(run.stderr.decode(), r"a\n\u{1b}[31mb.parquet")


def test_target_is_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.mkdir()
    run = windrow("export", PHOTOGRAPH, "-q", "-o", out, "--window", "8x8", "--step", "8")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "out.parquet")
    assert os.listdir(tmp_path) == ["out.parquet"]
    assert os.listdir(out) == []


def test_target_of_unknown_kind(tmp_path: Path) -> None:
    run = windrow("export", PHOTOGRAPH, "-q", "-o", tmp_path / "out.xlsx", "--window", "8x8")
    assert run.returncode in (1, 2)
    assert b"out.xlsx" in run.stderr
    assert b".parquet" in run.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable to root")
def test_target_in_an_unwritable_folder(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    run = windrow("export", PHOTOGRAPH, "-q", "-o", folder / "out.parquet", "--window", "8x8")
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), "out.parquet")


KINDS = [".parquet", ".arrow", ".arrows"]


@pytest.mark.parametrize("kind", KINDS)
def test_full_disk(kind: str, tmp_path: Path) -> None:
    """A write past the limit fails as it does on a full disk; the old file stays and nothing else does."""
    out = tmp_path / f"out{kind}"
    args = ["export", PHOTOGRAPH, "-q", "-o", out, "--window", "8x8", "--compression", "none"]
    run = measured(*args, file_size=MIB)
    assert run.code == 1
    assert_one_line(run.stderr, out.name)
    assert os.listdir(tmp_path) == []

    out.write_bytes(OLD)
    assert measured(*args, file_size=MIB).code == 1
    assert os.listdir(tmp_path) == [out.name]
    assert out.read_bytes() == OLD


def test_a_write_past_the_limit_is_an_error_and_no_signal(tmp_path: Path) -> None:
    """Whoever sets `ulimit -f` doesn't ignore SIGXFSZ first."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))

    out = tmp_path / "out.parquet"
    args = ["export", PHOTOGRAPH, "-q", "-o", out, "--window", "8x8", "--compression", "none"]
    run = windrow(*args, preexec_fn=limit)
    assert run.returncode == 1
    assert_one_line(run.stderr.decode(), f"{out}: cannot write: File too large (os error 27)\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_stream_into_a_full_disk() -> None:
    with open("/dev/full", "wb") as full:
        run = windrow("stream", PHOTOGRAPH, "--window", "8x8", stdout=full)
    assert run.returncode == 1
    assert_one_line(run.stderr.decode())


def test_an_export_replaces_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(OLD)
    export(PHOTOGRAPH, out, "--window", "8x8", "--step", "8")
    assert os.listdir(tmp_path) == [out.name]
    assert out.read_bytes()[:4] == b"PAR1"


# -- stopping early ---------------------------------------------------------------------------------------------------

# Close to 3 GB of rows: no machine is through with them before the signal.
LONG = ["--window", "128x128", "--compression", "zstd:9"]


def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    command = [WINDROW, "stream", PHOTOGRAPH, "--window", "32x32"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert len(run.stdout.read(1000)) == 1000
        run.stdout.close()
        assert run.wait(timeout=20) == 0
        assert run.stderr.read() == b""


def interrupted(out: Path, *signals: signal.Signals | float, args: list[str] = LONG) -> tuple[int, str]:
    """Starts a long export, waits until it writes, sends signals and sleeps between; its exit code and its words."""
    before = os.listdir(out.parent)
    command = [WINDROW, "export", PHOTOGRAPH, "-q", "-o", out, *args]

    def heard() -> None:
        # Who runs the tests may ignore it (nohup), and the program would too.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=heard) as run:
        deadline = time.monotonic() + 5
        # A file without a name would be as good: then the deadline is what is waited for.
        while os.listdir(out.parent) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert run.poll() is None, "it was over before the signal"
        for number in signals:
            if isinstance(number, float):
                time.sleep(number)
            else:
                run.send_signal(number)
        code = run.wait(timeout=20)
        return code, run.stderr.read().decode()


INTERRUPTED = (1, "windrow: interrupted: nothing was written\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_leaves_the_folder_as_it_was(number: signal.Signals, kind: str, tmp_path: Path) -> None:
    out = tmp_path / f"out{kind}"
    assert interrupted(out, number) == INTERRUPTED
    assert os.listdir(tmp_path) == []

    out.write_bytes(OLD)
    assert interrupted(out, number) == INTERRUPTED
    assert os.listdir(tmp_path) == [out.name]
    assert out.read_bytes() == OLD


# A batch takes a minute: the pipeline can't stop by itself.
SLOW = ["--window", "128x128", "--compression", "zstd:22", "--batch-bytes", "64MiB"]


@pytest.mark.parametrize("args", [LONG, SLOW], ids=["fast", "slow"])
@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, 0.05, signal.SIGTERM), (signal.SIGINT, 1.2, signal.SIGINT)],
    ids=["two at once", "two soon", "two"],
)
def test_a_second_signal_leaves_nothing_either(signals: tuple, args: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out.arrow"
    start = time.monotonic()
    if args is LONG and signals[1] == 1.2:
        signals = signals[:1]  # it is gone by then
    assert interrupted(out, *signals, args=args) == INTERRUPTED
    assert time.monotonic() - start < 10
    assert os.listdir(tmp_path) == []


def test_nohup_is_heard(tmp_path: Path) -> None:
    """A process that was started to outlive its terminal does."""
    out = tmp_path / "out.arrow"
    # The window is small enough to be through soon, and large enough not to be before the signal.
    command = ["nohup", WINDROW, "export", PHOTOGRAPH, "-q", "-o", out, "--window", "32x32", "--step", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        time.sleep(0.2)
        run.send_signal(signal.SIGHUP)
        assert run.wait(timeout=60) == 0
    assert os.listdir(tmp_path) == [out.name]


def test_a_killed_export_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(OLD)
    assert interrupted(out, signal.SIGKILL)[0] == -signal.SIGKILL
    assert out.read_bytes() == OLD
