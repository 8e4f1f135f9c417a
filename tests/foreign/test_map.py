"""Where windows lie on the map: rasterio is the judge of transforms, systems and overviews, numpy of the arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import rasterio
import tifffile
import zarr
from harness import assert_same, export, patches_of, read_arrow, windrow
from reference import windows
from rasterio.transform import Affine

NORTH_UP = Affine(10.0, 0.0, 399_960.0, 0.0, -10.0, 4_600_020.0)
TURNED = Affine(8.66, 5.0, 399_960.25, 5.0, -8.66, 4_600_020.5)
DEGREES = Affine(1 / 3600, 0.0, 12.25, 0.0, -1 / 7200, 47.5)


def scene(path: Path, transform: Affine, crs: str | None, shape=(60, 80), seed=0, **options) -> np.ndarray:
    """A GeoTIFF written by GDAL."""
    pixels = np.random.default_rng(seed).integers(0, 1000, shape, dtype=np.uint16)
    profile = dict(driver="GTiff", height=shape[0], width=shape[1], count=1, dtype="uint16", transform=transform, crs=crs)
    with rasterio.open(path, "w", **profile, **options) as file:
        file.write(pixels, 1)
    return pixels


def middles(transform: Affine, corners: np.ndarray, extent: tuple[int, int]) -> np.ndarray:
    """The map coordinates of the middles of windows that start at these corners (y, x)."""
    y, x = (corners + np.array(extent) / 2).T
    return np.stack(transform @ (x, y), axis=-1)


def told(table: pa.Table) -> dict:
    return json.loads(table.schema.metadata[b"windrow"])["source"]["georeference"]


@pytest.mark.parametrize("out", ["t.parquet", "t.arrow", "t.arrows"])
@pytest.mark.parametrize(
    "transform, crs, names, kind",
    [
        (NORTH_UP, "EPSG:32633", ["easting", "northing"], "projected"),
        (TURNED, "EPSG:32633", ["easting", "northing"], "projected"),
        (DEGREES, "EPSG:4326", ["longitude", "latitude"], "geographic"),
        (NORTH_UP, None, ["easting", "northing"], None),
    ],
)
def test_middles_are_where_gdal_has_them(tmp_path: Path, transform, crs, names, kind, out) -> None:
    scene(tmp_path / "a.tif", transform, crs)
    args = ["--window", "8x6", "--step", "5x7", "--dilation", "1x2", "--edge", "shift"]
    table = read_arrow(export(tmp_path / "a.tif", tmp_path / out, *args, "--coords", "map"))
    assert table.column_names == ["window", "y", "x", *names, "patch"]
    assert [table.schema.field(name).type for name in names] == [pa.float64()] * 2
    with rasterio.open(tmp_path / "a.tif") as file:
        corners, _ = windows(file.read(1), (8, 6), (5, 7), (1, 2), "shift")
        expected = middles(file.transform, corners, (8, 11))
        assert list(Affine(*told(table)["transform"])) == list(file.transform)
        assert told(table).get("epsg") == (file.crs.to_epsg() if file.crs else None)
    got = np.stack([table[name].to_numpy() for name in names], axis=-1)
    np.testing.assert_allclose(got, expected, rtol=1e-15, atol=1e-9)
    assert told(table).get("crs") == kind
    assert told(table)["pixel"] == "area"


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED])
def test_pixels_may_be_points(tmp_path: Path, transform) -> None:
    scene(tmp_path / "a.tif", transform, "EPSG:25832")
    scene(tmp_path / "p.tif", transform, "EPSG:25832")
    with rasterio.open(tmp_path / "p.tif", "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")
    with rasterio.open(tmp_path / "p.tif") as file:
        assert file.tags()["AREA_OR_POINT"] == "Point"
    tables = [
        read_arrow(export(tmp_path / f"{name}.tif", tmp_path / f"{name}.parquet", "--window", "3x3", "--coords", "map"))
        for name in "ap"
    ]
    # The same place, said in another way.
    for name in ["easting", "northing"]:
        a, p = (table[name].to_numpy() for table in tables)
        np.testing.assert_allclose(a, p, rtol=1e-15)
    assert [told(table)["pixel"] for table in tables] == ["area", "point"]
    np.testing.assert_allclose(told(tables[0])["transform"], told(tables[1])["transform"], rtol=1e-15)


def test_chosen_columns_and_rows(tmp_path: Path) -> None:
    scene(tmp_path / "a.tif", TURNED, "EPSG:32633")
    out = tmp_path / "t.parquet"
    args = ["--window", "4x4", "--pad", "2", "--columns", "northing,window", "--shuffle", "3", "--sample", "500"]
    table = read_arrow(export(tmp_path / "a.tif", out, *args))
    assert table.column_names == ["northing", "window"]
    pixels = np.zeros((60, 80), np.uint16)
    corners, _ = windows(pixels, (4, 4), edge="pad", widths=[(2, 2), (2, 2)])
    expected = middles(TURNED, corners, (4, 4))[table["window"].to_numpy()][:, 1]
    np.testing.assert_allclose(table["northing"].to_numpy(), expected, rtol=1e-15)


def test_layout_columns_and_an_axis_that_is_taken_whole(tmp_path: Path) -> None:
    scene(tmp_path / "a.tif", TURNED, "EPSG:32633")
    args = ["--window", "3x4", "--step", "2", "--layout", "columns", "--store-columns"]
    table = read_arrow(export(tmp_path / "a.tif", tmp_path / "t.arrow", *args, "--coords", "map"))
    valid = np.asarray(table["window"].is_valid())
    corners, _ = windows(np.zeros((60, 80)), (3, 4), (2, 2))
    expected = middles(TURNED, corners, (3, 4))
    for i, name in enumerate(["easting", "northing"]):
        assert (np.asarray(table[name].is_valid()) == valid).all()
        np.testing.assert_allclose(table[name].to_numpy()[valid], expected[:, i], rtol=1e-15)
    table = read_arrow(export(tmp_path / "a.tif", tmp_path / "l.parquet", "--window", "10", "--coords", "map"))
    expected = TURNED @ (np.full(51, 40.0), np.arange(51) + 5.0)
    np.testing.assert_allclose(table["easting"].to_numpy(), expected[0], rtol=1e-15)


def test_what_has_no_place_says_so(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 20), np.uint8))
    np.save(tmp_path / "a.npy", np.zeros((20, 20), np.uint8))
    for name in ["a.tif", "a.npy"]:
        args = ["export", tmp_path / name, "--window", "4x4", "-o", tmp_path / "t.parquet"]
        run = windrow(*args, "--coords", "map")
        assert run.returncode == 1 and b"does not say where on the map it lies" in run.stderr
        run = windrow(*args, "--columns", "easting")
        assert run.returncode == 1 and b'no column "easting": the image does not say where on the map' in run.stderr
    # Control points alone are no transform.
    points = [0.0, 0, 0, 10, 50, 0, 20, 0, 0, 11, 51, 0, 0, 20, 0, 9, 49, 0]
    tifffile.imwrite(tmp_path / "g.tif", np.zeros((20, 20), np.uint8), extratags=[(33922, 12, 18, points, True)])
    run = windrow("export", tmp_path / "g.tif", "--window", "4x4", "-o", tmp_path / "t.parquet", "--coords", "map")
    assert run.returncode == 1 and b"ModelTransformation" in run.stderr
    scene(tmp_path / "s.tif", DEGREES, "EPSG:4326")
    run = windrow("export", tmp_path / "s.tif", "--window", "4x4", "-o", tmp_path / "t.parquet", "--columns", "easting")
    assert b'no column "easting": the table has window, y, x, longitude, latitude, patch' in run.stderr


def test_broken_tags_are_no_place_but_pixels_are_read(tmp_path: Path) -> None:
    nan = float("nan")
    for i, tie in enumerate([[0.0, 0, 0, nan, 4e6, 0], [0.0, 0, 0, 5e5]]):
        tags = [(33550, 12, 3, [10.0, 10.0, nan], True), (33922, 12, len(tie), tie, True)]
        tifffile.imwrite(tmp_path / f"{i}.tif", np.zeros((20, 20), np.uint8), extratags=tags)
        table = read_arrow(export(tmp_path / f"{i}.tif", tmp_path / "t.parquet", "--window", "4x4"))
        assert table.num_rows == 17 * 17 and "georeference" not in json.loads(table.schema.metadata[b"windrow"])["source"]


def test_a_negative_scale_is_what_gdal_takes_it_for(tmp_path: Path) -> None:
    tags = [(33550, 12, 3, [10.0, -20.0, 0.0], True), (33922, 12, 6, [2.0, 3.0, 0, 5e5, 4e6, 0], True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 20), np.uint8), extratags=tags)
    table = read_arrow(export(tmp_path / "a.tif", tmp_path / "t.parquet", "--window", "4x4"))
    with rasterio.open(tmp_path / "a.tif") as file:
        assert list(Affine(*told(table)["transform"])) == list(file.transform)


def cog(path: Path, transform: Affine = NORTH_UP, shape=(517, 700)) -> None:
    """A cloud-optimized GeoTIFF whose overviews and mask GDAL makes."""
    scene(path.with_suffix(".base.tif"), transform, "EPSG:32633", shape, nodata=7)
    from rasterio.shutil import copy

    copy(path.with_suffix(".base.tif"), path, driver="COG", blocksize=128, compress="deflate", overview_resampling="nearest")


@pytest.mark.parametrize("point", [False, True])
def test_overviews_of_a_cog(tmp_path: Path, point: bool) -> None:
    cog(tmp_path / "a.tif")
    if point:
        scene(tmp_path / "a.tif", NORTH_UP, "EPSG:32633", (517, 700), nodata=7, tiled=True, blockxsize=128, blockysize=128)
        with rasterio.open(tmp_path / "a.tif", "r+") as file:
            file.update_tags(AREA_OR_POINT="Point")
            file.build_overviews([2, 4, 8], rasterio.enums.Resampling.nearest)
    with rasterio.open(tmp_path / "a.tif") as file:
        count = len(file.overviews(1))
    assert count >= 2
    for level in range(count):
        with rasterio.open(tmp_path / "a.tif", overview_level=level) as file:
            pixels, transform = file.read(1), file.transform
        args = ["--window", "16x16", "--step", "16", "--overview", level, "--coords", "map"]
        table = read_arrow(export(tmp_path / "a.tif", tmp_path / f"{level}.parquet", *args))
        corners, patches = windows(pixels, (16, 16), (16, 16))
        assert_same(patches_of(table, (16, 16)), patches)
        expected = middles(transform, corners, (16, 16))
        np.testing.assert_allclose(table["easting"].to_numpy(), expected[:, 0], rtol=1e-14)
        np.testing.assert_allclose(table["northing"].to_numpy(), expected[:, 1], rtol=1e-14)
        info = json.loads(table.schema.metadata[b"windrow"])
        assert info["source"]["opened"]["overview"] == level
        # What pixels without a value are is known of overviews too.
        assert windrow("export", tmp_path / "a.tif", "-q", "-o", tmp_path / "n.parquet", *args, "--nodata", "file").returncode == 0
        # A result goes back to where the overview is.
        run = windrow("fold", tmp_path / f"{level}.parquet", "-o", tmp_path / "back.tif")
        assert run.returncode == 0, run.stderr
        with rasterio.open(tmp_path / "back.tif") as back:
            np.testing.assert_allclose(list(back.transform), list(transform), rtol=1e-12)
            assert back.crs.to_epsg() == 32633
            assert (back.read(1)[:16, :16] == pixels[:16, :16]).all()
    run = windrow("export", tmp_path / "a.tif", "--window", "4x4", "--overview", count, "-o", tmp_path / "t.parquet")
    assert run.returncode == 1
    assert f"no overview {count}: page 0 has {count}, counted from 0: 0 of 25".encode() in run.stderr


def test_overviews_below_a_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    levels = [rng.integers(0, 255, (256 >> i, 192 >> i), dtype=np.uint8) for i in range(3)]
    other = rng.integers(0, 255, (64, 64), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(other)
        file.write(levels[0], subifds=2)
        file.write(levels[1], subfiletype=1)
        file.write(levels[2], subfiletype=1)
    for i, level in enumerate(levels[1:]):
        args = ["--window", "5x5", "--page", 1, "--overview", i]
        table = read_arrow(export(tmp_path / "a.tif", tmp_path / "t.parquet", *args))
        assert_same(patches_of(table, (5, 5)), windows(level, (5, 5))[1])
    run = windrow("export", tmp_path / "a.tif", "--window", "4x4", "--overview", 0, "-o", tmp_path / "t.parquet")
    assert run.returncode == 1 and b"no overview 0: page 0 has none" in run.stderr
    np.save(tmp_path / "a.npy", other)
    run = windrow("export", tmp_path / "a.npy", "--window", "4x4", "--overview", 0, "-o", tmp_path / "t.parquet")
    assert run.returncode == 1 and b"no overview 0: npy files have no overviews" in run.stderr


def test_a_folder_of_an_overview_is_verified(tmp_path: Path) -> None:
    cog(tmp_path / "a.tif")
    out = f"{tmp_path}/out/"
    args = ["export", tmp_path / "a.tif", "--window", "8x8", "-q", "-o", out, "--coords", "map", "--files", 2]
    assert windrow(*args, "--overview", 1).returncode == 0
    run = windrow("verify", out, "--all")
    assert run.returncode == 0, run.stderr
    run = windrow(*args, "--overview", 1, "--resume")
    assert run.returncode == 0, run.stderr


def test_a_result_in_zarr_is_on_the_map(tmp_path: Path) -> None:
    """By the conventions of Zarr, which our own source reads too, and by what older GDALs read."""
    for name, transform, crs in [("a", NORTH_UP, "EPSG:32633"), ("b", TURNED, "EPSG:32633"), ("c", DEGREES, "EPSG:4326"), ("d", NORTH_UP, None)]:
        pixels = scene(tmp_path / f"{name}.tif", transform, crs, nodata=7)
        export(tmp_path / f"{name}.tif", tmp_path / f"{name}.parquet", "--window", "4x4", "--step", "4")
        run = windrow("fold", tmp_path / f"{name}.parquet", "-o", tmp_path / f"{name}.zarr")
        assert run.returncode == 0, run.stderr
        array = zarr.open_array(tmp_path / f"{name}.zarr", mode="r")
        about = dict(array.attrs)
        assert (about["spatial:dimensions"], tuple(about["spatial:dimensions"])) == (["y", "x"], array.metadata.dimension_names)
        np.testing.assert_allclose(about["spatial:transform"], list(transform)[:6], rtol=1e-12)
        names = [convention["name"] for convention in about["zarr_conventions"]]
        assert (about["_FillValue"], array.fill_value) == (7, 7)
        if crs is None:
            assert names == ["spatial"] and "proj:code" not in about and "_CRS" not in about
        else:
            assert names == ["spatial", "proj:"] and about["proj:code"] == crs
            system = rasterio.crs.CRS.from_user_input(about["_CRS"]["url"].replace("http://www.opengis.net/def/crs/EPSG/0/", "EPSG:"))
            assert system == rasterio.crs.CRS.from_string(crs)
        # A cell a window: the same place, in larger pixels.
        run = windrow("fold", tmp_path / f"{name}.parquet", "-o", tmp_path / "grid.zarr", "--at", "grid", "--column", "y")
        assert run.returncode == 0, run.stderr
        large = zarr.open_array(tmp_path / "grid.zarr", mode="r").attrs["spatial:transform"]
        np.testing.assert_allclose(large, list(transform @ Affine.scale(4))[:6], rtol=1e-12)
        # There and back: the array as an image, whose windows are where those of the TIFF are, and a TIFF again.
        again = read_arrow(export(tmp_path / f"{name}.zarr", tmp_path / "again.parquet", "--window", "4x4", "--step", "4", "--coords", "map"))
        names = ["longitude", "latitude"] if crs == "EPSG:4326" else ["easting", "northing"]
        corners, patches = windows(pixels, (4, 4), (4, 4))
        assert_same(patches_of(again, (4, 4)), patches)
        expected = middles(transform, corners, (4, 4))
        for number, column in enumerate(names):
            np.testing.assert_allclose(again[column].to_numpy(), expected[:, number], rtol=1e-12)
        run = windrow("fold", tmp_path / "again.parquet", "-o", tmp_path / "back.tif")
        assert run.returncode == 0 and b"note" not in run.stderr, run.stderr
        with rasterio.open(tmp_path / "back.tif") as back:
            np.testing.assert_allclose(list(back.transform), list(transform), rtol=1e-12)


def test_a_result_finds_its_place_without_the_image(tmp_path: Path) -> None:
    for name, transform, crs in [("a", NORTH_UP, "EPSG:32633"), ("b", TURNED, "EPSG:32633"), ("c", DEGREES, "EPSG:4326")]:
        scene(tmp_path / f"{name}.tif", transform, crs)
        export(tmp_path / f"{name}.tif", tmp_path / f"{name}.parquet", "--window", "4x4", "--step", "4")
        (tmp_path / f"{name}.tif").unlink()
        run = windrow("fold", tmp_path / f"{name}.parquet", "-o", tmp_path / "back.tif")
        assert run.returncode == 0, run.stderr
        with rasterio.open(tmp_path / "back.tif") as back:
            np.testing.assert_allclose(list(back.transform), list(transform), rtol=1e-12)
            assert back.crs == rasterio.crs.CRS.from_string(crs)
