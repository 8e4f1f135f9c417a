"""Makes a first corpus for every target: small files that other programs wrote, and texts that mean something.

    pip install -r tests/requirements.txt
    python fuzz/seed.py
    fuzz/run.sh 120 scan_tiff
"""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import tifffile
import zarr
import zarr.codecs
import zarr.storage
from numcodecs import LZ4, Blosc, GZip, Zlib, Zstd
from PIL import Image

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WINDROW = sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "target" / "debug" / "windrow"


def seed(target: str, data: bytes | str) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    data = data.encode() if isinstance(data, str) else data
    (folder / f"seed-{len(list(folder.glob('seed-*')))}").write_bytes(data)


def pixels(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (np.arange(np.prod(shape)) * 37 % 251).reshape(shape).astype(dtype)


def npy() -> None:
    for dtype, order, version in itertools.product(["u1", "<u2", ">f4", "?", "<f8"], "CF", [(1, 0), (2, 0)]):
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(pixels((5, 6), dtype), order=order), version=version)
        seed("scan_npy", file.getvalue())
        seed("npy_header", file.getvalue())


def raw() -> None:
    for text in ["u8:20x30", "u16le:10x30", ">i2:3x10x10", "f64be:5x5@400", "bool:600", "<f4:1x2x3x4@0"]:
        seed("raw_spec", text)


def images() -> None:
    for mode, shape in [("L", (7, 9)), ("RGB", (7, 9, 3)), ("RGBA", (7, 9, 4)), ("I;16", (7, 9)), ("1", (8, 8)), ("P", (8, 8))]:
        dtype = "u2" if mode == "I;16" else "u1"
        image = Image.fromarray(pixels(shape, dtype))
        image = image if mode == "I;16" else image.convert(mode)
        for kind in ["png", "jpeg"]:
            if kind == "jpeg" and mode not in ("L", "RGB"):
                continue
            for options in [{}, {"progressive": True} if kind == "jpeg" else {"optimize": True}]:
                file = io.BytesIO()
                image.save(file, kind, **options)
                seed(f"scan_{kind}", file.getvalue())


def tiffs() -> None:
    for dtype, compression, tile, big in itertools.product(
        ["u1", ">u2", "f4"], [None, "zlib", "lzw", "packbits", "zstd"], [None, (16, 16)], [False, True]
    ):
        file = io.BytesIO()
        options = {"tile": tile} if tile else {"rowsperstrip": 3}
        if compression in ("zlib", "lzw", "zstd"):
            options["predictor"] = big
        tifffile.imwrite(file, pixels((9, 10), dtype), compression=compression, bigtiff=big, metadata=None, **options)
        seed("scan_tiff", file.getvalue())
    for planar, compression in itertools.product(["contig", "separate"], [None, "jpeg"]):
        file = io.BytesIO()
        array = pixels((16, 16, 3), "u1")
        array = np.moveaxis(array, -1, 0) if planar == "separate" else array
        tifffile.imwrite(file, array, photometric="rgb", planarconfig=planar, compression=compression, metadata=None)
        seed("scan_tiff", file.getvalue())
    for compression in [None, "zlib"]:
        file = io.BytesIO()
        tifffile.imwrite(file, pixels((3, 7, 8), "u2"), compression=compression, metadata=None)
        seed("scan_stack", file.getvalue())


def archives() -> None:
    for save in [np.savez, np.savez_compressed]:
        file = io.BytesIO()
        save(file, pixels((6, 7), "u2"))
        seed("scan_npz", file.getvalue())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("a.npy", "w", force_zip64=True) as member:
            np.save(member, pixels((6, 7), "f4"))
    seed("scan_npz", file.getvalue())


def zarrs() -> None:
    codecs3 = [None, zarr.codecs.GzipCodec(), zarr.codecs.ZstdCodec(), (zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec())]
    codecs2 = [None, GZip(), Zlib(), Zstd(), LZ4()]
    codecs2 += [Blosc(c, shuffle=s) for c in ["blosclz", "lz4", "zlib", "zstd"] for s in (Blosc.NOSHUFFLE, Blosc.SHUFFLE, Blosc.BITSHUFFLE)]
    made = [(3, codec, shards) for codec in codecs3 for shards in [None, (8, 8)]] + [(2, codec, None) for codec in codecs2]
    for version, codec, shards in made:
        array = pixels((9, 11), "u2")
        with tempfile.TemporaryDirectory() as folder:
            options = {"shape": array.shape, "chunks": (4, 4), "shards": shards, "dtype": "u2", "compressors": codec}
            zarr.create_array(f"{folder}/a", zarr_format=version, **options)[:] = array
            said = json.dumps(json.loads((Path(folder) / "a" / ("zarr.json" if version == 3 else ".zarray")).read_text()))
            chunk = (Path(folder) / "a" / ("c/0/0" if version == 3 else "0.0")).read_bytes()
            seed("scan_zarr_chunks", said.encode() + b"\0" + chunk)
            with zarr.storage.ZipStore(f"{folder}/a.zip", mode="w") as store:
                zarr.create_array(store, zarr_format=version, **options)[:] = array
            seed("scan_zarr", Path(f"{folder}/a.zip").read_bytes())


def texts() -> None:
    """What a table says of itself needs the program."""
    for text in [
        "--window 3x3 --step 2",
        "--window 3x3 --edge shift --dilation 2",
        "--window 3x3 --pad 1,2x0,1 --pad-mode reflect",
        "--window 2 --axes 1",
        "--window 3x3 --rows 5..9 --layout columns --wrap column",
        "--window 3x3 --sample 0.5 --shuffle 3 --shard 1/2 --skip 3 --json",
        "--window 3x3 --within y=0..4,x=2.. --ids 3,4,5",
        "--window 3x3 --split a=0.5,b=0.5 --block 4x4 --part a --seed 5",
        "--window 3x3 --dtype float32 --scale 1/255 --offset -1 --columns y,patch --batch-rows 7",
        "--raw u16le:5x5@3 --window 2x2",
    ]:
        seed("arguments", text)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/image.npy", pixels((9, 11), "u2"))
        for args in [["--step", "2"], ["--edge", "pad", "--layout", "binary"], ["--shuffle", "3", "--sample", "9", "--dtype", "f32", "--lossy"]]:
            out = f"{folder}/a.parquet"
            subprocess.run([WINDROW, "export", f"{folder}/image.npy", "--window", "3x3", "-q", "-o", out, *args], check=True)
            seed("metadata", pq.read_schema(out).metadata[b"windrow"])
            out = f"{folder}/{len(args)}{args[0]}/"
            subprocess.run([WINDROW, "export", f"{folder}/image.npy", "--window", "3x3", "-q", "-o", out, *args], check=True)
            seed("manifest", (Path(out) / "_metadata.json").read_bytes())


if __name__ == "__main__":
    for make in [npy, raw, images, tiffs, archives, zarrs, texts]:
        make()
    for folder in sorted(CORPUS.iterdir()):
        print(folder.name, len(list(folder.iterdir())))
