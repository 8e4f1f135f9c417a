"""The same questions by DataFusion in the program, and by others over the exported files: the same answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import rasterio
import tifffile
from harness import MIB, WINDROW, export, measured, read_arrow, windrow
from reference import windows

HEIGHT, WIDTH, WINDOW = 120, 90, (6, 5)

BUILT = windrow("sql", "--help").returncode == 0
pytestmark = pytest.mark.skipif(not BUILT, reason="this build has no SQL: it needs the feature datafusion")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sql") / "image.tif"
    pixels = np.random.default_rng(3).integers(0, 4000, (HEIGHT, WIDTH), "uint16")
    tifffile.imwrite(path, pixels, rowsperstrip=16, compression="zlib")
    return path


@pytest.fixture(scope="module")
def stored(image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stored")
    return {end: export(image, folder / f"t.{end}", "--window", "6x5", "--step", "2") for end in ("parquet", "arrow")}


def sql(query: str, out: Path, *tables: str) -> pa.Table:
    args = [arg for table in tables for arg in ("--table", table)]
    run = windrow("sql", query, "-q", "-o", out, *args)
    assert run.returncode == 0 and run.stderr == b"", run.stderr
    return read_arrow(out)


#: What every engine understands; of a patch, what each has a name for is told apart below.
QUERIES = [
    'select "window", y, x from t where y between 10 and 20 and x in (4, 8, 15, 16, 23, 42) order by "window"',
    "select y, count(*) as n, min(x) as a, max(x) as b from t where x > 7 group by y order by y",
    'select count(*) as n, sum("window") as s from t where not (y < 50 or x > 30)',
    'select "window" from t where (y + x) % 12 = 4 and "window" > 100 order by "window" desc limit 17',
    'select a.y, count(*) as n from t a join t b on a.y = b.x where b.y = 4 group by a.y order by a.y',
    'select "window", y from t order by y desc, x limit 9 offset 3',
    "select count(*) as n from t where y > 10000",
    'select y / 20 as block, avg(x) as mean from t group by y / 20 order by block',
]


@pytest.mark.parametrize("query", QUERIES)
def test_engines_agree(query: str, image: Path, stored: dict[str, Path], tmp_path: Path) -> None:
    table = f"t={image},window=6x5,step=2"
    answer = sql(query, tmp_path / "a.arrow", table)
    # Of the files, the same engine and another.
    for end, path in stored.items():
        assert sql(query, tmp_path / f"{end}.arrow", f"t={path}").equals(answer)
    rows = [tuple(row.values()) for row in answer.to_pylist()]
    with duckdb.connect() as other:
        # Division of integers is `//` there.
        asked = query.replace("y / 20", "y // 20")
        other.execute(f"create view t as select * from '{stored['parquet']}'")
        assert other.execute(asked).fetchall() == rows
        if "join" not in query:
            # What is read once, from the stream of the rows as they are made.
            other.execute("drop view t")
            other.register("t", streamed(image))
            assert other.execute(asked).fetchall() == rows
    frame = pl.SQLContext(t=pl.scan_parquet(stored["parquet"]))
    if " / " not in query and "join" not in query:
        assert frame.execute(query).collect().rows() == rows
    for end in ("parquet", "arrows"):
        assert sql(query, tmp_path / f"a.{end}", table).to_pylist() == answer.to_pylist()
    assert windrow("sql", query, "-q", "-o", tmp_path / "a.csv", "-t", table).returncode == 0
    csv = pl.read_csv(tmp_path / "a.csv")
    assert csv.columns == answer.column_names and csv.rows() == rows


def streamed(image: Path) -> pa.RecordBatchReader:
    """The rows as a stream of Arrow, which goes on to others by the C interface."""
    run = windrow("stream", image, "--window", "6x5", "--step", "2")
    assert run.returncode == 0, run.stderr
    return pa.ipc.open_stream(run.stdout)


def test_engines_agree_on_pixels(image: Path, tmp_path: Path) -> None:
    table = f"t={image},window=6x5,step=2"
    query = """select y / 20 as block, count(*) as n, cast(sum(patch_sum(patch)) as bigint) as total, max(patch_max(patch))
        as most, min(patch[2][3]) as one from t where x % 3 = 1 or y in (4, 40) group by block order by block"""
    rows = [tuple(row.values()) for row in sql(query, tmp_path / "a.arrow", table).to_pylist()]
    assert len(rows) == 6
    with duckdb.connect() as other:
        other.register("t", streamed(image))
        asked = """with f as (select y, x, patch, flatten(patch::usmallint[][]) as flat from t)
            select y // 20 as block, count(*), sum(list_sum(flat))::bigint, max(list_max(flat)), min(patch[2][3])
            from f where x % 3 = 1 or y in (4, 40) group by block order by block"""
        assert other.execute(asked).fetchall() == rows
    lines = [pl.col("patch").arr.get(i) for i in range(6)]
    frame = pl.LazyFrame(pl.from_arrow(streamed(image)))
    frame = frame.filter((pl.col("x") % 3 == 1) | pl.col("y").is_in([4, 40])).group_by(block=pl.col("y") // 20)
    grouped = frame.agg(
        n=pl.len(),
        total=pl.sum_horizontal(line.arr.sum().cast(pl.Int64) for line in lines).sum(),
        most=pl.max_horizontal(line.arr.max() for line in lines).max(),
        one=lines[1].arr.get(2).min(),
    )
    assert grouped.sort("block").collect().rows() == rows


def test_pixels_are_those_of_numpy(image: Path, tmp_path: Path) -> None:
    query = """select patch, patch_mean(patch) as mean, patch_std(patch) as std, patch_min(patch) as least,
        patch_max(patch) as most, patch_quantile(patch, 0.9) as q, patch_sum(patch) as total, patch[2][3] as one
        from t where y between 7 and 40 and x <> 3 order by "window" """
    answer = sql(query, tmp_path / "a.arrow", f"t={image},window=6x5")
    corners, patches = windows(np.asarray(tifffile.imread(image)), WINDOW)
    patches = patches[(corners[:, 0] >= 7) & (corners[:, 0] <= 40) & (corners[:, 1] != 3)]
    got = pl.from_arrow(answer)
    assert isinstance(got, pl.DataFrame)
    assert np.array_equal(got["patch"].to_numpy(), patches)
    flat = patches.reshape(len(patches), -1)
    assert np.array_equal(got["least"].to_numpy(), flat.min(1)) and got["least"].dtype == pl.UInt16
    assert np.array_equal(got["most"].to_numpy(), flat.max(1))
    assert np.array_equal(got["total"].to_numpy(), flat.sum(1))
    assert np.array_equal(got["one"].to_numpy(), patches[:, 1, 2])
    np.testing.assert_allclose(got["mean"].to_numpy(), flat.mean(1), rtol=1e-12)
    np.testing.assert_allclose(got["std"].to_numpy(), flat.std(1), rtol=1e-12)
    np.testing.assert_allclose(got["q"].to_numpy(), np.quantile(flat, 0.9, axis=1), rtol=1e-12)


def test_files_are_opened_as_on_the_command_line(tmp_path: Path) -> None:
    pages = np.random.default_rng(5).integers(0, 4000, (3, 20, 30), dtype="uint16")
    (tmp_path / "scene.bin").write_bytes(b"head" + pages.astype("<u2").tobytes())
    np.savez(tmp_path / "scene.npz", a=pages[0], b=pages)
    tifffile.imwrite(tmp_path / "scene.tif", pages, photometric="minisblack")
    query = "select sum(patch_sum(patch)) as total, count(*) as n from t where x < 4"
    totals = {}
    for table in ["bin,raw=u16le:3x20x30@4", "npz,member=b", "tif,stack=true"]:
        answer = sql(query, tmp_path / "a.arrow", f"t={tmp_path}/scene.{table},window=2x4x5").to_pylist()
        totals[table] = (answer[0]["total"], answer[0]["n"])
    patches = np.lib.stride_tricks.sliding_window_view(pages, (2, 4, 5))[:, :, :4]
    assert set(totals.values()) == {(patches.sum(), patches.size // 40)}, totals
    call = f"patches('{tmp_path}/scene.bin', window => '2x4x5', raw => 'u16le:3x20x30@4')"
    assert sql(f"select count(*) as n from {call}", tmp_path / "a.arrow")["n"].to_pylist() == [2 * 17 * 26]
    run = windrow("sql", "select 1 from t", "--table", f"t={tmp_path}/scene.bin,window=2x2,raw=u16")
    assert run.returncode == 1 and run.stderr.startswith(b"windrow: --raw: ") and run.stderr.count(b"\n") == 1


def test_places_on_the_map(tmp_path: Path) -> None:
    pixels = np.arange(40 * 50, dtype="uint16").reshape(40, 50)
    with rasterio.open(
        tmp_path / "scene.tif",
        "w",
        driver="GTiff",
        height=40,
        width=50,
        count=1,
        dtype="uint16",
        crs="EPSG:32633",
        transform=rasterio.Affine(10.0, 0.0, 399_960.0, 0.0, -10.0, 4_600_020.0),
    ) as file:
        file.write(pixels, 1)
    query = "select y, x, easting, northing from t where easting > 400300 and northing > 4599950 order by window"
    answer = sql(query, tmp_path / "a.arrow", f"t={tmp_path}/scene.tif,window=4x4,coords=map").to_pylist()
    inside = [(y, x) for y in range(37) for x in range(47) if 10 * (x + 2) > 340 and 10 * (y + 2) < 70]
    assert [(row["y"], row["x"]) for row in answer] == inside
    assert answer[0]["easting"] == 399_960 + 10 * (inside[0][1] + 2)


def test_labels_are_joined(image: Path, tmp_path: Path) -> None:
    pl.DataFrame({"y": [7, 9, 500], "x": [7, 12, 1], "label": ["cat", "dog", "far"]}).write_parquet(tmp_path / "l.parquet")
    query = 'select label, "window", patch from t join l using (y, x) order by label'
    answer = sql(query, tmp_path / "a.parquet", f"t={image},window=6x5", f"l={tmp_path}/l.parquet")
    assert [row["label"] for row in answer.to_pylist()] == ["cat", "dog"]
    pixels = np.asarray(tifffile.imread(image))
    assert answer["patch"][0].as_py() == pixels[7:13, 7:12].tolist()
    assert answer["patch"][1].as_py() == pixels[9:15, 12:17].tolist()


def test_what_comes_back_is_folded(image: Path, tmp_path: Path) -> None:
    query = 'select "window", y, x, patch_max(patch) as prediction from t'
    sql(query, tmp_path / "p.parquet", f"t={image},window=6x5")
    run = windrow("fold", tmp_path / "p.parquet", "--like", image, "--window", "6x5", "-q", "-o", tmp_path / "m.npy")
    assert run.returncode == 0, run.stderr
    expected = windows(np.asarray(tifffile.imread(image)), WINDOW)[1].max((1, 2)).reshape(HEIGHT - 5, WIDTH - 4)
    assert np.array_equal(np.load(tmp_path / "m.npy"), expected)


def test_on_the_terminal(image: Path) -> None:
    call = f"patches('{image}', window => '6x5', step => 2)"
    run = windrow("sql", f"select count(*) as n from {call} where y = 4")
    assert (run.returncode, run.stdout.split()) == (0, [b"n", b"43"])
    run = windrow("sql", f"select y, patch from {call}", "--limit", "3")
    lines = run.stdout.decode().splitlines()
    assert len(lines) == 4 and all(line.endswith("…") and len(line) < 80 for line in lines[1:])
    assert b"more rows" in run.stderr
    run = windrow("sql", f"explain select patch from {call} where y between 10 and 19 and x < 5")
    assert b"rows=15 of 2494, bytes=900 B" in run.stdout, run.stdout
    run = windrow("sql", f"select y from {call}", "--limit", "0")
    assert len(run.stdout.splitlines()) == 2494 + 1


@pytest.mark.parametrize(
    ("query", "tables", "message"),
    [
        ("selec", [], "SQL: Expected: an SQL statement, found: selec"),
        ("select 1; select 2", [], "SQL: "),
        ("select nope from t", ["t={image},window=6x5"], "No field named nope"),
        ("select * from t", [], "table 'datafusion.public.t' not found"),
        ("select patch_mean(y) from t", ["t={image},window=6x5"], "expected patches"),
        ("select patch_mean(patch) from t", ["t={image},window=6x5,layout=binary"], "layout binary"),
        ("select 1", ["t={image}"], "--window: expected pixels of a window"),
        ("select 1", ["t={image},window=6x5,wide=1"], '--table: no option "wide": there are window, step'),
        ("select 1", ["t={image},window=6x5,step=0"], "step 0: expected at least 1"),
        ("select 1", ["{image}"], "--table: "),
        ("select 1", ["t=/no/such.tif,window=6x5"], "/no/such.tif: cannot open"),
        ("select 1", ["t=/no/such.parquet"], "/no/such.parquet: cannot open"),
        ("select 1", ["t={image},window=600x5"], "window 600"),
        ("select sqrt('a')", [], "SQL: "),
        ("select 1/0", [], "SQL: "),
    ],
)
def test_errors_are_one_line(query: str, tables: list[str], message: str, image: Path) -> None:
    args = [arg for table in tables for arg in ("--table", table.format(image=image))]
    run = windrow("sql", query, *args)
    lines = run.stderr.decode().splitlines()
    assert run.returncode == 1 and len(lines) == 1 and message in lines[0], run.stderr
    assert lines[0].startswith("windrow: ") and "backtrace" not in lines[0].lower()


def test_a_file_is_whole_or_not_there(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    out.write_bytes(b"old")
    broken = tmp_path / "broken.tif"
    data = bytearray(image.read_bytes())
    # The last strips; tifffile writes the directory before them.
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    broken.write_bytes(data)
    run = windrow("sql", "select patch from t", "-o", out, "-t", f"t={broken},window=6x5")
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1, run.stderr
    assert out.read_bytes() == b"old" and sorted(os.listdir(tmp_path)) == ["a.parquet", "broken.tif"]
    run = windrow("sql", "select patch from t", "-o", image, "-t", f"t={image},window=6x5")
    assert run.returncode == 1 and b"ending" in run.stderr


def test_memory_is_bounded(tmp_path: Path) -> None:
    """780 MiB of rows, by way of the sink and of COPY."""
    image = tmp_path / "image.npy"
    np.save(image, np.random.default_rng(1).integers(0, 256, (1000, 830), "uint8"))
    table = f"t={image},window=32x32,layout=binary"
    base = measured("sql", "select 1").rss
    query = 'select "window", patch from t'
    for args in [
        ["sql", query, "-q", "-o", tmp_path / "a.parquet", "-t", table],
        ["sql", f"copy ({query}) to '{tmp_path}/b.parquet'", "-t", table],
    ]:
        run = measured(*args, timeout=300)
        assert run.code == 0, run.stderr
        assert run.rss < base + 480 * MIB, run.rss
    for name in ("a", "b"):
        assert pl.scan_parquet(tmp_path / f"{name}.parquet").select(pl.len()).collect().item() == 969 * 799
