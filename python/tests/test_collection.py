"""Many images as one table, and where windows lie on the map."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import windrow as wr
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, TiffImagePlugin


@pytest.fixture
def images(tmp_path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    made = {}
    for i, shape in enumerate([(9, 12), (8, 8), (40, 31), (10, 8)]):
        path = tmp_path / f"{i}.{'npy' if i % 2 else 'png'}"
        made[str(path)] = rng.integers(0, 256, shape, dtype=np.uint8)
        np.save(path, made[str(path)]) if i % 2 else Image.fromarray(made[str(path)]).save(path)
    return made


def rows(images: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray]:
    patches = {name: sliding_window_view(image, (8, 8)).reshape(-1, 8, 8) for name, image in images.items()}
    names = [name for name, each in patches.items() for _ in each]
    return names, np.concatenate(list(patches.values()))


def test_a_list_a_folder_and_a_pattern(tmp_path: Path, images: dict[str, np.ndarray]) -> None:
    names, patches = rows(images)
    for source in [list(images), tmp_path, f"{tmp_path}/*.[np]*", [Path(path) for path in images]]:
        tiles = wr.scan(source, (8, 8))
        assert isinstance(tiles, wr.Collection) and tiles.images == list(images)
        assert (len(tiles), tiles.patch_shape, tiles.dtype) == (len(names), (8, 8), np.uint8)
        table = pa.table(tiles)
        assert table.column_names == tiles.columns == ["image", "window", "y", "x", "patch"]
        assert table["image"].cast(pa.string()).to_pylist() == names
        assert table["window"].to_pylist() == list(range(len(names)))
        frame = pl.DataFrame(pickle.loads(pickle.dumps(tiles)))
        assert (frame["patch"].to_numpy() == patches).all()
        assert frame["image"].cast(pl.String).to_list() == names
    assert sum(batch.num_rows for batch in tiles) == tiles.explain()["rows"] == len(names)
    assert "4 images" in repr(tiles)


def test_first_rows_columns_and_files(tmp_path: Path, images: dict[str, np.ndarray]) -> None:
    names, patches = rows(images)
    tiles = wr.scan(list(images), (8, 8), columns=["patch", "image"])
    out = tmp_path / "out"
    out.mkdir()
    size = tiles.write_parquet(out / "t.parquet")
    assert size == os.path.getsize(out / "t.parquet") and pq.read_table(out / "t.parquet").num_rows == len(names)
    told: list[tuple[int, int]] = []
    tiles.write_ipc(out / "t.arrow", progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (len(names), len(names))
    assert pa.ipc.open_file(out / "t.arrow").read_all()["image"].cast(pa.string()).to_pylist() == names
    for some in [tiles.head(7), wr.scan(list(images), (8, 8), rows=slice(7)), wr.scan(list(images), (8, 8), rows=(0, 7))]:
        assert len(some) == 7 and pa.table(some)["image"].cast(pa.string()).to_pylist() == names[:7]
    with pytest.raises(ValueError, match="is one of the images"):
        tiles.write_parquet(list(images)[0])


def test_some_rows_in_any_order(images: dict[str, np.ndarray]) -> None:
    names, patches = rows(images)
    tiles = wr.scan(list(images), (8, 8))
    assert isinstance(tiles, wr.Collection)
    whole = pa.table(tiles)
    y, x = whole["y"].to_numpy(), whole["x"].to_numpy()
    shuffled, count = tiles.shuffle(7, epoch=2), len(names)
    for some, ids in [
        (tiles.within(y=(1, 3), x=slice(None, 4)), np.flatnonzero((1 <= y) & (y < 3) & (x < 4))),
        (tiles.shard(1, 3), np.arange(count // 3, count * 2 // 3)),
        (tiles.skip(5).head(9), np.arange(5, 14)),
        (shuffled, None),
        (shuffled.shard(0, 2).head(40).max_memory(10**9), None),
        (tiles.sample(0.25, seed=3), None),
        (tiles.within(x=(2, 6)).sample(10), None),
    ]:
        for each in (some, pickle.loads(pickle.dumps(some))):
            table = pa.table(each)
            got = table["window"].to_numpy()
            assert len(each) == len(got) == len(set(got)) and (ids is None or (got == ids).all())
            frame = pl.DataFrame(table)
            assert (frame["patch"].to_numpy() == patches[got]).all()
            assert frame["image"].cast(pl.String).to_list() == [names[row] for row in got]
            assert each.lazy().select("window", "patch").collect().equals(frame.select("window", "patch"))
    assert len(shuffled) == count and (pa.table(shuffled)["window"].to_numpy() != np.arange(count)).any()
    assert len(tiles.sample(0.25, seed=3)) == round(count / 4) and len(tiles.sample(10)) == 10
    for wrong, said in [
        (lambda: tiles.within(z=(0, 1)), "no axis"),
        (lambda: shuffled.within(y=(0, 1)), "shuffled already"),
        (lambda: tiles.sample(count + 1), "without replacement"),
        (lambda: tiles.shard(3, 3), "3 of 3"),
        (lambda: tiles.skip(-1), "negative"),
        (lambda: tiles.max_memory(1), "it takes"),
    ]:
        with pytest.raises(ValueError, match=said):
            wrong()


@pytest.mark.parametrize("layout", ["tensor", "binary"])
def test_a_lazy_frame(images: dict[str, np.ndarray], layout: str) -> None:
    names, patches = rows(images)
    tiles = wr.scan(list(images), (8, 8), layout=layout)
    assert isinstance(tiles, wr.Collection)
    whole = pl.DataFrame(tiles).with_columns(pl.col("image").cast(pl.String))
    frame = pickle.loads(pickle.dumps(tiles)).lazy()
    for engine in ("in-memory", "streaming"):
        got = frame.collect(engine=engine)
        assert got.equals(whole) and got.schema == whole.schema == frame.collect_schema()
        third = frame.filter(pl.col("image") == names[-1], pl.col("y") == 1).select("window", "patch").collect(engine=engine)
        expected = whole.filter(pl.col("image") == names[-1], pl.col("y") == 1).select("window", "patch")
        assert third.equals(expected) and len(third)
        assert frame.select(pl.len()).collect(engine=engine).item() == len(names)
    few = wr.scan(list(images), (8, 8), columns=["patch", "image"]).head(7).lazy().collect()
    assert few.columns == ["patch", "image"] and (few["patch"].to_numpy() == patches[:7]).all()
    len(tiles)
    np.save(list(images)[3], np.zeros((8, 8), np.uint8))
    with pytest.raises((ValueError, pl.exceptions.ComputeError), match="when they were counted"):
        tiles.lazy().select("patch").collect()


def test_what_is_bad(tmp_path: Path, images: dict[str, np.ndarray]) -> None:
    (tmp_path / "2.png").write_bytes(b"nothing")
    np.save(tmp_path / "9.npy", np.zeros((9, 9), np.float64))
    tiles = wr.scan(tmp_path, (8, 8))
    with pytest.raises(Exception, match="2.png"):
        pa.table(tiles)
    tiles = wr.scan(tmp_path, (8, 8), skip_bad=True)
    names, _ = rows({name: image for name, image in images.items() if "2.png" not in name})
    assert pa.table(tiles)["image"].cast(pa.string()).to_pylist() == names
    assert [Path(bad["image"]).name for bad in tiles.skipped] == ["2.png", "9.npy"]
    assert "float64" in tiles.skipped[1]["error"] and len(tiles) == len(names)
    for refused, options in [
        ("labels", dict(labels=np.zeros((8, 8)))),
        ("rows", dict(rows=(5, 9))),
        ("columns are slices", dict(layout="columns")),
    ]:
        with pytest.raises(ValueError, match=refused):
            wr.scan(list(images), (8, 8), **options)
    with pytest.raises(ValueError, match="no file matches"):
        wr.scan(str(tmp_path / "*.jpg"), (8, 8))
    with pytest.raises(ValueError, match="skip_bad"):
        wr.scan(np.zeros((9, 9)), (8, 8), skip_bad=True)


def geotiff(path: Path) -> np.ndarray:
    """10 m by 20 m, whose first corner is at (500,000, 4,000,000), in EPSG:32633."""
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40), dtype=np.uint8)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, kind, value in [
        (33550, 12, (10.0, 20.0, 0.0)),
        (33922, 12, (0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0)),
        (34735, 3, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)),
    ]:
        tags.tagtype[tag] = kind
        tags[tag] = value
    Image.fromarray(pixels).save(path, tiffinfo=tags)
    return pixels


def test_middles_on_the_map(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif")
    s = wr.scan(tmp_path / "a.tif", (4, 6), step=3, edge="shift", coords="map")
    assert s.columns == ["window", "y", "x", "easting", "northing", "patch"]
    table = pa.table(s)
    y, x = table["y"].to_numpy(), table["x"].to_numpy()
    np.testing.assert_allclose(table["easting"].to_numpy(), 500_000 + 10 * (x + 3.0), rtol=1e-15)
    np.testing.assert_allclose(table["northing"].to_numpy(), 4_000_000 - 20 * (y + 2.0), rtol=1e-15)
    assert s.to_numpy().shape == (len(s), 4, 6) and s.column("easting")[0] == table["easting"][0].as_py()
    # The same in Polars, where they are expressions.
    frame = s.lazy().filter(pl.col("easting") > 500_200).collect()
    chosen = table.filter(pa.compute.greater(table["easting"], 500_200))
    assert frame.height == chosen.num_rows > 0
    assert (frame["northing"].to_numpy() == chosen["northing"].to_numpy()).all()
    assert s.shuffle(1).lazy().select("easting").collect().height == len(s)
    line = wr.scan(tmp_path / "a.tif", 4, columns=["northing", "easting"])
    assert (pl.DataFrame(line)["easting"] == 500_200.0).all()
    assert line.lazy().collect().equals(pl.DataFrame(line))
    with pytest.raises(ValueError, match="does not say where on the map"):
        wr.scan(np.zeros((9, 9)), (3, 3), coords="map")
    with pytest.raises(ValueError, match="no overview 0: page 0 has none"):
        wr.scan(tmp_path / "a.tif", (3, 3), overview=0)
