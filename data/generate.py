"""Makes the test images that are not worth keeping: good ones with the array expected of each, and broken ones.

    python data/generate.py OUT [--bad] [--large ROWSxCOLS [--only-large]]

OUT/manifest.json lists them:
    good   file, expected (an .npy beside it), reader (who said so), page, tolerance (0 but for JPEG)
    bad    file, why, args (more arguments for windrow), may_pass (True if an error is not the only right answer)
    large  file, shape, dtype
"""

from __future__ import annotations

import argparse
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numcodecs
import numpy as np
import tifffile
import zarr
import zarr.storage
from broken import make_bad, small_tiff
from PIL import Image

ROWS, COLS = 37, 53  # no multiple of any strip, tile or vector

NPY_DTYPES = ["b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
TIFF_DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"]


def pixels(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Noise over the whole range of the type, with flat rows in it so that compression has runs to find."""
    rng = np.random.default_rng([seed, *shape])
    kind = np.dtype(dtype)
    if kind.kind == "b":
        array = rng.integers(0, 2, shape).astype(kind)
    elif kind.kind == "f":
        array = rng.normal(0, 1000, shape).astype(kind)
        special = [np.nan, np.inf, -np.inf, -0.0, np.finfo(kind).tiny, np.finfo(kind).max]
        array.reshape(-1)[: len(special)] = special[: array.size]
    else:
        info = np.iinfo(kind)
        array = rng.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
        array.reshape(-1)[:2] = [info.min, info.max][: array.size]
    array[1::3] = array[1::3, ..., :1] if array.ndim > 1 else array[1::3][:1]
    return array


class Corpus:
    """The folder that is being filled, and its manifest."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.good: list[dict] = []
        self.bad: list[dict] = []
        self.large: dict | None = None

    def expect(self, file: str, array: np.ndarray, reader: str, page: int | None = None, tolerance: int = 0) -> None:
        """`file` has been written; `reader` sees `array` in it."""
        expected = f"{file}.page{page}.expected.npy" if page is not None else f"{file}.expected.npy"
        native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        np.save(self.out / expected, native)
        entry = {"file": file, "expected": expected, "reader": reader, "page": page, "tolerance": tolerance}
        self.good.append(entry)

    def break_(self, file: str, data: bytes, why: str, args: list[str] | None = None, may_pass: bool = False) -> None:
        """Writes a broken file to OUT/bad."""
        path = self.out / "bad" / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        self.bad.append({"file": f"bad/{file}", "why": why, "args": args or [], "may_pass": may_pass})

    def write_manifest(self) -> None:
        manifest = {"good": self.good, "bad": self.bad, "large": self.large}
        (self.out / "manifest.json").write_text(json.dumps(manifest, indent=1))


# -- .npy -------------------------------------------------------------------------------------------------------------


def make_npy(corpus: Corpus) -> None:
    """Every dtype, byte order, memory order and version, 1-D to 4-D. NumPy is the judge."""

    def add(name: str, array: np.ndarray, version: tuple[int, int] = (1, 0)) -> None:
        path = corpus.out / name
        with path.open("wb") as file:
            np.lib.format.write_array(file, array, version=version)
        corpus.expect(name, np.load(path), "numpy")

    for dtype in NPY_DTYPES:
        for endian in "<>" if np.dtype(dtype).itemsize > 1 else "|":
            for order in "CF":
                array = pixels((ROWS, COLS), dtype).astype(f"{endian}{dtype}", order=order)
                word = {"<": "le", ">": "be", "|": "ne"}[endian]
                add(f"npy_{dtype}_{word}_{order}.npy", array)
    for shape in [(97,), (ROWS, COLS, 3), (9, 11, 13), (5, 6, 7, 8)]:
        for order in "CF":
            for dtype in ["u1", "<f4", ">i2"]:
                name = f"npy_{len(shape)}d_{'x'.join(map(str, shape))}_{dtype.strip('<>')}_{order}.npy"
                add(name, pixels(shape, dtype.strip("<>")).astype(dtype, order=order))
    for version in [(1, 0), (2, 0), (3, 0)]:
        add(f"npy_version{version[0]}.npy", pixels((ROWS, COLS), "f4"), version)


# -- what Pillow and libpng read --------------------------------------------------------------------------------------


def png(array: np.ndarray, bits: int, interlaced: bool = False) -> bytes:
    """A gray PNG of 1, 2, 4 or 8 bits, or an RGB one of 8, also interlaced, which no encoder here offers."""
    rows, cols = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    whole = [(0, 0, 1, 1)]
    adam7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b""
    for y, x, dy, dx in adam7 if interlaced else whole:
        for row in array[y::dy, x::dx]:
            if row.size:
                digits = np.unpackbits(row.reshape(-1, 1), axis=1)[:, 8 - bits :]
                raw += b"\0" + np.packbits(digits.reshape(-1)).tobytes()
    header = struct.pack(">IIBBBBB", cols, rows, bits, 2 if channels == 3 else 0, 0, 0, int(interlaced))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def make_pillow(corpus: Corpus) -> None:
    """PNG of every kind, JPEG, and the smaller formats."""

    def add(name: str, image: Image.Image, seen_as: str | None = None, tolerance: int = 0, **options) -> None:
        """Writes with Pillow and reads with Pillow, as mode `seen_as` where a decoder is free to choose."""
        path = corpus.out / name
        image.save(path, **options)
        with Image.open(path) as seen:
            array = np.asarray(seen.convert(seen_as) if seen_as else seen)
        corpus.expect(name, array, "pillow", tolerance=tolerance)

    def add_png(name: str, data: bytes, reader: str = "libpng") -> None:
        (corpus.out / name).write_bytes(data)
        array = np.asarray(Image.open(corpus.out / name)) if reader == "pillow" else imagecodecs.png_decode(data)
        corpus.expect(name, array, reader)

    for channels, word in [(1, "gray"), (2, "la"), (3, "rgb"), (4, "rgba")]:
        shape = (ROWS, COLS) if channels == 1 else (ROWS, COLS, channels)
        for dtype in ["u1", "u2"]:
            add_png(f"png_{word}_{dtype}.png", imagecodecs.png_encode(pixels(shape, dtype, 1)))
    gray, rgb = pixels((ROWS, COLS), "u1", 2), pixels((ROWS, COLS, 3), "u1", 2)
    add_png("png_interlaced_gray.png", png(gray, 8, interlaced=True), "pillow")
    add_png("png_interlaced_rgb.png", png(rgb, 8, interlaced=True), "pillow")
    for bits in [1, 2, 4]:
        # libpng, as imagecodecs drives it, and `image` both spread 0..2^bits-1 over 0..255.
        add_png(f"png_gray_{bits}bit.png", png(gray >> (8 - bits), bits))

    indexed = Image.fromarray(rgb).quantize(200)
    add("png_palette.png", indexed, "RGB")
    add("png_palette_4bit.png", Image.fromarray(rgb).quantize(13), "RGB", bits=4)
    add("png_palette_alpha.png", indexed, "RGBA", transparency=bytes(range(200)))

    # Decoders of JPEG may differ by rounding; smooth pictures keep that to a step or two.
    y, x = np.mgrid[:ROWS, :COLS]
    smooth = np.stack([4 * y + x, 200 - y - 2 * x, 60 + 2 * y + 2 * x], axis=-1).clip(0, 255).astype(np.uint8)
    add("jpeg_gray.jpg", Image.fromarray(smooth[..., 0]), tolerance=2, quality=95)
    add("jpeg_rgb.jpg", Image.fromarray(smooth), tolerance=4, quality=95, subsampling=0)
    add("jpeg_rgb_420.jpg", Image.fromarray(smooth), tolerance=8, quality=95, subsampling=2)
    add("jpeg_progressive.jpg", Image.fromarray(smooth), tolerance=4, quality=95, subsampling=0, progressive=True)

    add("bmp_rgb.bmp", Image.fromarray(rgb))
    add("bmp_palette.bmp", indexed, "RGB")
    add("gif.gif", indexed, "RGBA")
    add("webp_lossless.webp", Image.fromarray(rgb), lossless=True)
    add("pnm_gray.pgm", Image.fromarray(gray))
    add("pnm_rgb.ppm", Image.fromarray(rgb))
    add("tga_rgb.tga", Image.fromarray(rgb))
    add("tga_rle.tga", Image.fromarray(rgb), compression="tga_rle")
    (corpus.out / "qoi_rgb.qoi").write_bytes(imagecodecs.qoi_encode(rgb))
    corpus.expect("qoi_rgb.qoi", np.asarray(Image.open(corpus.out / "qoi_rgb.qoi")), "pillow")


# -- TIFF -------------------------------------------------------------------------------------------------------------

STRIPS = {"rowsperstrip": 5}
TILES = {"tile": (16, 32)}


def make_tiff(corpus: Corpus) -> None:
    """Strips and tiles over dtype, compression, predictor, bands, byte order and page. tifffile is the judge."""

    def see(name: str, planar: bool = False) -> None:
        array = tifffile.imread(corpus.out / name)
        # windrow puts the channel last, however the file keeps it.
        corpus.expect(name, np.moveaxis(array, 0, -1) if planar else array, "tifffile")

    def add(name: str, array: np.ndarray, file: dict | None = None, **options) -> None:
        options = {"photometric": "minisblack", "metadata": None, **options}
        with tifffile.TiffWriter(corpus.out / name, **(file or {})) as tiff:
            tiff.write(array, **options)
        see(name, options.get("planarconfig") == "separate")

    def page(dtype: str) -> np.ndarray:
        return pixels((ROWS, COLS), dtype, 3)

    for layout, options in [("strips", STRIPS), ("tiles", TILES)]:
        for dtype in TIFF_DTYPES:
            add(f"tiff_{dtype}_{layout}.tif", page(dtype), **options)
        for dtype, predictor in [("u1", 2), ("u2", 2), ("u4", 2), ("i2", 2), ("f4", 3), ("f8", 3)]:
            for codec in ["zlib", "lzw", "zstd"]:
                add(f"tiff_{dtype}_{layout}_{codec}.tif", page(dtype), compression=codec, **options)
                name = f"tiff_{dtype}_{layout}_{codec}_predictor.tif"
                add(name, page(dtype), compression=codec, predictor=predictor, **options)
            add(f"tiff_{dtype}_{layout}_packbits.tif", page(dtype), compression="packbits", **options)

        for bands in [2, 3, 4, 5]:
            for dtype in ["u1", "u2", "f4"]:
                array = pixels((ROWS, COLS, bands), dtype, 4)
                color = {"photometric": "rgb" if bands in (3, 4) and dtype != "f4" else "minisblack"}
                name = f"tiff_{bands}bands_{dtype}_{layout}"
                add(f"{name}_contig.tif", array, planarconfig="contig", **color, **options)
                planes = np.moveaxis(array, -1, 0)
                add(f"{name}_separate.tif", planes, planarconfig="separate", **color, **options)
        for plan in ["contig", "separate"]:
            array = pixels((ROWS, COLS, 3), "u2", 5)
            add(
                f"tiff_rgb_{layout}_{plan}_zlib_predictor.tif",
                array if plan == "contig" else np.moveaxis(array, -1, 0),
                photometric="rgb",
                planarconfig=plan,
                compression="zlib",
                predictor=2,
                **options,
            )

        for word, file in [
            ("be", {"byteorder": ">"}),
            ("big", {"bigtiff": True}),
            ("big_be", {"bigtiff": True, "byteorder": ">"}),
        ]:
            for dtype, predictor in [("u2", 2), ("i4", 2), ("f4", 3), ("f8", 3)]:
                add(f"tiff_{dtype}_{layout}_{word}.tif", page(dtype), file, **options)
                name = f"tiff_{dtype}_{layout}_{word}_zlib_predictor.tif"
                add(name, page(dtype), file, compression="zlib", predictor=predictor, **options)

    add("tiff_one_strip.tif", page("u2"), rowsperstrip=ROWS)
    add("tiff_row_strips.tif", page("u2"), rowsperstrip=1, compression="zlib")
    add("tiff_one_tile.tif", page("u1"), tile=(64, 64), compression="lzw")
    add("tiff_one_pixel.tif", pixels((1, 1), "u1"))
    add("tiff_one_column.tif", pixels((ROWS, 1), "f4"), rowsperstrip=4)
    add("tiff_lzw_full_table.tif", pixels((200, 300), "u2", 6), compression="lzw", rowsperstrip=200)
    (corpus.out / "tiff_unbounded_strip.tif").write_bytes(small_tiff({278: (4, 2**32 - 1)}))
    see("tiff_unbounded_strip.tif")

    name = "tiff_pages.tif"
    with tifffile.TiffWriter(corpus.out / name) as tiff:
        tiff.write(pixels((ROWS, COLS), "u1", 7), metadata=None, **STRIPS)
        tiff.write(pixels((20, 30), "f4", 8), metadata=None, compression="zlib", **TILES)
        tiff.write(pixels((11, 12, 3), "u2", 9), metadata=None, photometric="rgb")
    for number in range(3):
        corpus.expect(name, tifffile.imread(corpus.out / name, key=number), "tifffile", page=number)


# -- archives ---------------------------------------------------------------------------------------------------------


def make_archives(corpus: Corpus) -> None:
    """One array each of .npz, and of Zarr in a zip archive. NumPy and zarr-python are the judges."""
    for name, save in [("npz_stored.npz", np.savez), ("npz_deflated.npz", np.savez_compressed)]:
        save(corpus.out / name, pixels((ROWS, COLS), "u2", 11))
        corpus.expect(name, np.load(corpus.out / name)["arr_0"], "numpy")

    def add(name: str, **options) -> None:
        array = pixels((ROWS, COLS), "u2", 12)
        with zarr.storage.ZipStore(corpus.out / name, mode="w") as store:
            zarr.create_array(store, shape=array.shape, dtype=array.dtype, **options)[:] = array
        with zarr.storage.ZipStore(corpus.out / name, mode="r") as store:
            corpus.expect(name, zarr.open_array(store, mode="r")[:], "zarr")

    add("zarr_v2_blosc.zip", chunks=(10, 16), compressors=numcodecs.Blosc(), zarr_format=2)
    add("zarr_v2_plain.zip", chunks=(10, 16), compressors=None, order="F", zarr_format=2)
    add("zarr_v3_zstd.zip", chunks=(10, 16))
    add("zarr_v3_shards.zip", chunks=(10, 16), shards=(20, 32))


def make_large(corpus: Corpus, rows: int, cols: int) -> None:
    """A TIFF of bytes in strips of 16 rows, written strip by strip: pixel (y, x) = (31·y + 7·x) mod 251."""
    strip = 16

    def strips() -> Iterator[np.ndarray]:
        x = 7 * np.arange(cols)
        for start in range(0, rows, strip):
            y = 31 * np.arange(start, min(start + strip, rows))
            yield ((y[:, None] + x) % 251).astype(np.uint8)

    tifffile.imwrite(
        corpus.out / "large.tif",
        strips(),
        shape=(rows, cols),
        dtype=np.uint8,
        photometric="minisblack",
        rowsperstrip=strip,
        metadata=None,
        bigtiff=rows * cols > 2**32 - 2**25,
    )
    corpus.large = {"file": "large.tif", "shape": [rows, cols], "dtype": "uint8"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="the folder to fill")
    parser.add_argument("--bad", action="store_true", help="broken files too, in OUT/bad")
    parser.add_argument("--large", metavar="ROWSxCOLS", help="one large TIFF too, OUT/large.tif")
    parser.add_argument("--only-large", action="store_true", help="nothing but the large TIFF")
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(arguments.out)
    if not arguments.only_large:
        make_npy(corpus)
        make_pillow(corpus)
        make_tiff(corpus)
        make_archives(corpus)
        if arguments.bad:
            make_bad(corpus)
    if arguments.large:
        rows, cols = map(int, arguments.large.split("x"))
        make_large(corpus, rows, cols)
    corpus.write_manifest()
    print(f"{arguments.out}: {len(corpus.good)} good, {len(corpus.bad)} bad")


if __name__ == "__main__":
    main()
