"""The broken files of the corpus: each one a lie that a reader must see through, or survive."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import imagecodecs

if TYPE_CHECKING:
    from generate import Corpus

FLIPS = 24  # flipped copies of each base file

# Good files to cut short and to flip bits in: one of each format and way of keeping pixels.
BASES = [
    "npy_version1.npy",
    "npy_version2.npy",
    "png_gray_u1.png",
    "png_rgb_u2.png",
    "jpeg_rgb.jpg",
    "bmp_rgb.bmp",
    "tiff_u2_strips.tif",
    "tiff_f4_tiles_zlib_predictor.tif",
    "tiff_u1_strips_lzw.tif",
    "tiff_u2_strips_big.tif",
    "tiff_u2_strips_zstd.tif",
    "npz_stored.npz",
    "npz_deflated.npz",
    "zarr_v3_shards.zip",
    "zarr_v2_blosc.zip",
]


def make_bad(corpus: Corpus) -> None:
    """Writes all of them. The good files must be there."""
    for base in BASES:
        data = (corpus.out / base).read_bytes()
        cut_short(corpus, base, data)
        flip_bits(corpus, base, data)
    lie_in_npy(corpus)
    lie_in_tiff(corpus)
    lie_in_png(corpus)
    lie_in_gif(corpus)
    lie_in_npz(corpus)
    lie_in_zarr(corpus)
    lie_in_raw(corpus)
    pretend(corpus)


def cut_short(corpus: Corpus, base: str, data: bytes) -> None:
    """Truncations: nothing, part of the magic, part of the header, part of the pixels."""
    stem, dot, ending = base.rpartition(".")
    for size in [0, 1, 4, 7, 9, 24, len(data) // 2, len(data) - len(data) // 8]:
        why = f"{base}, its first {size} of {len(data)} bytes"
        corpus.break_(f"cut_{stem}_{size}{dot}{ending}", data[:size], why)


def flip_bits(corpus: Corpus, base: str, data: bytes) -> None:
    """One bit flipped in the header, or anywhere. Some of these are sound, so that the right answer may be a table."""
    stem, dot, ending = base.rpartition(".")
    rng = random.Random(base)
    half = FLIPS // 2
    header, anywhere = rng.sample(range(64 * 8), half), rng.sample(range(64 * 8, len(data) * 8), half)
    for position in header + anywhere:
        at, bit = divmod(position, 8)
        flipped = bytearray(data)
        flipped[at] ^= 1 << bit
        why = f"{base}, bit {bit} of byte {at} flipped"
        corpus.break_(f"flip_{stem}_{at}_{bit}{dot}{ending}", bytes(flipped), why, may_pass=True)


# -- .npy -------------------------------------------------------------------------------------------------------------


def npy(header: str | bytes, data: bytes = bytes(64), version: int = 1, length: int | None = None) -> bytes:
    """An .npy file of any header, and of any length that it claims for it."""
    text = header if isinstance(header, bytes) else header.encode()
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", size) + text + data


def lie_in_npy(corpus: Corpus) -> None:
    def header(descr: str = "'|u1'", order: str = "False", shape: str = "(8, 8)") -> str:
        return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"

    lies = {
        "elements_2_60": (npy(header(shape=f"({2**30}, {2**30})")), "claims 2^60 elements"),
        "overflow_64": (npy(header(shape=f"({2**40}, {2**40})")), "claims 2^80 elements, more than 64 bits count"),
        "overflow_bytes": (npy(header("'<f8'", shape=f"({2**31}, {2**30})")), "claims 2^64 bytes, which wraps to 0"),
        "huge_number": (npy(header(shape="(99999999999999999999999999, 8)")), "a length of 27 digits"),
        "one_byte_short": (npy(header(), bytes(63)), "lacks its last byte"),
        "no_data": (npy(header(), b""), "has a header only"),
        "negative": (npy(header(shape="(-8, 8)")), "has a negative length"),
        "float_shape": (npy(header(shape="(8.0, 8)")), "has a length that is no integer"),
        "shape_no_tuple": (npy(header(shape="64")), "has a shape that is no tuple"),
        "no_axes": (npy(header(shape="()")), "has no axes"),
        "many_axes": (npy(header(shape="(" + "1, " * 5000 + ")")), "has 5000 axes"),
        "object": (npy(header("'|O'")), "holds Python objects"),
        "text_dtype": (npy(header("'<U4'"), bytes(1024)), "holds text"),
        "complex": (npy(header("'<c16'"), bytes(1024)), "holds complex numbers"),
        "datetime": (npy(header("'<M8[ns]'"), bytes(512)), "holds dates"),
        "structured": (npy(header("[('a', '<f4'), ('b', '<i2')]"), bytes(384)), "holds structs"),
        "dtype_unknown": (npy(header("'<q9'")), "has a dtype that nobody knows"),
        "dtype_size": (npy(header("'<f3'")), "has floats of 3 bytes"),
        "order_unknown": (npy(header(order="'maybe'")), "has a fortran_order that is no bool"),
        "no_shape": (npy("{'descr': '|u1', 'fortran_order': False}\n"), "lacks its shape"),
        "no_dict": (npy("[1, 2, 3]\n"), "has a header that is no dict"),
        "code": (npy("__import__('os').abort()\n"), "has code for a header"),
        "deep": (npy("(" * 100_000, version=2), "has 100000 open parentheses for a header"),
        "not_utf8": (npy(b"{'descr': '\xff\xfe', 'fortran_order': False}\n"), "has a header that is no text"),
        "unclosed": (npy("{'descr': '|u1', 'shape': (8, 8"), "has a header that stops in the middle"),
        "long_header_1": (npy(header(), length=65535), "claims a header longer than the file"),
        "long_header_2": (npy(header(), version=2, length=2**32 - 1), "claims a header of 4 GiB"),
        "version_9": (npy(header(), version=9), "is of version 9"),
    }
    for name, (data, why) in lies.items():
        corpus.break_(f"npy_{name}.npy", data, why)


# -- TIFF -------------------------------------------------------------------------------------------------------------


def small_tiff(
    change: dict[int, tuple[int, int | list[int]] | None] | None = None, next_ifd: int = 0, big: bool = False
) -> bytes:
    """A TIFF of 8×8 bytes, 0..63, in one strip, some of its tags changed: tag → (type, value), or None to leave it out.

    The one IFD stands at byte 64, the pixels at byte 0x400.
    """
    tags: dict[int, tuple[int, int | list[int]] | None] = {
        256: (3, 8),  # width
        257: (3, 8),  # length
        258: (3, 8),  # bits a sample
        259: (3, 1),  # compression: none
        262: (3, 1),  # photometric: min is black
        273: (4, 0x400),  # strip offset
        277: (3, 1),  # samples a pixel
        278: (3, 8),  # rows a strip
        279: (4, 64),  # strip bytes
    }
    tags |= change or {}
    size = 8 if big else 4
    entries, values = b"", b""
    kept = sorted((tag, value) for tag, value in tags.items() if value is not None)
    for tag, (kind, value) in kept:
        items = value if isinstance(value, list) else [value]
        data = b"".join(struct.pack({1: "<B", 3: "<H", 4: "<I", 16: "<Q"}[kind], item) for item in items)
        if len(data) > size:
            data, values = struct.pack("<Q" if big else "<I", 0x200 + len(values)), values + data
        entries += struct.pack("<HHQ" if big else "<HHI", tag, kind, len(items)) + data.ljust(size, b"\0")
    if big:
        header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 64)
        ifd = struct.pack("<Q", len(kept)) + entries + struct.pack("<Q", next_ifd)
    else:
        header = struct.pack("<2sHI", b"II", 42, 64)
        ifd = struct.pack("<H", len(kept)) + entries + struct.pack("<I", next_ifd)
    body = (header.ljust(64, b"\0") + ifd).ljust(0x200, b"\0") + values
    return body.ljust(0x400, b"\0") + bytes(range(64))


def lie_in_tiff(corpus: Corpus) -> None:
    huge = 2**31
    tiled = {273: None, 278: None, 279: None, 324: (4, 0x400), 325: (4, 64)}
    lies = {
        "huge": (small_tiff({256: (4, huge), 257: (4, huge)}), "claims 2^62 pixels"),
        "largest": (small_tiff({256: (4, 2**32 - 1), 257: (4, 2**32 - 1), 277: (3, 65535)}), "claims 2^80 samples"),
        "wide": (small_tiff({256: (4, huge)}), "claims rows of 2 GiB"),
        "zero_width": (small_tiff({256: (3, 0)}), "is 0 wide"),
        "zero_length": (small_tiff({257: (3, 0)}), "is 0 high"),
        "no_width": (small_tiff({256: None}), "does not say how wide it is"),
        "no_length": (small_tiff({257: None}), "does not say how high it is"),
        "no_offsets": (small_tiff({273: None}), "does not say where its strips are"),
        "no_strip_bytes": (small_tiff({273: (4, 0x400), 279: (4, 0)}), "has a strip of 0 bytes"),
        "few_strips": (small_tiff({278: (3, 2)}), "has one strip where its rows a strip ask for four"),
        "strip_short": (small_tiff({279: (4, 9)}), "has a strip too short for its rows"),
        "strip_beyond": (small_tiff({273: (4, 10**6)}), "has its strip beyond the end of the file"),
        "strip_huge": (small_tiff({273: (4, 10**6), 279: (4, 2**32 - 1)}), "claims a strip of 4 GiB"),
        "tile_huge": (small_tiff(tiled | {322: (4, huge), 323: (4, huge)}), "has tiles of 2^62 pixels"),
        "tile_largest": (small_tiff(tiled | {322: (4, 2**32 - 16), 323: (4, 16)}), "has tiles of 64 GiB"),
        "tile_zero": (small_tiff(tiled | {322: (3, 0), 323: (3, 16)}), "has tiles 0 wide"),
        "tile_short": (small_tiff(tiled | {322: (3, 16), 323: (3, 16)}), "has a tile too short for its pixels"),
        "bits_zero": (small_tiff({258: (3, 0)}), "has 0 bits a sample"),
        "bits_odd": (small_tiff({258: (3, 7)}), "has 7 bits a sample"),
        "bits_huge": (small_tiff({258: (3, 65535)}), "has 65535 bits a sample"),
        "no_samples": (small_tiff({277: (3, 0)}), "has 0 samples a pixel"),
        "many_samples": (small_tiff({277: (3, 65535)}), "has 65535 samples a pixel"),
        "compression": (small_tiff({259: (3, 54321)}), "is compressed in a way that nobody knows"),
        "lzma": (small_tiff({259: (3, 34925)}), "claims LZMA, which this project does not read"),
        "not_deflate": (small_tiff({259: (3, 8)}), "claims deflate, and is none"),
        "big_overflow": (
            small_tiff({273: (16, 2**64 - 32), 279: (16, 2**64 - 1)}, big=True),
            "has a strip whose end wraps around 64 bits",
        ),
        "ifd_beyond": (b"II*\0" + struct.pack("<I", 10**6) + bytes(64), "has its directory beyond the end of the file"),
        "ifd_none": (b"II*\0" + bytes(64), "has no directory"),
        "ifd_in_header": (b"II*\0" + struct.pack("<I", 2) + bytes(64), "has its directory within its header"),
        "ifd_many": (b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(64), "claims 65535 tags"),
        "big_ifd_many": (
            struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2**60) + bytes(64),
            "claims 2^60 tags",
        ),
    }
    for name, (data, why) in lies.items():
        corpus.break_(f"tiff_{name}.tif", data, why)

    offsets = bytearray(small_tiff())
    entry = 64 + 2 + 5 * 12  # strip offsets, the sixth tag
    struct.pack_into("<I", offsets, entry + 4, 2**30)
    corpus.break_("tiff_many_offsets.tif", bytes(offsets), "claims 2^30 strip offsets")

    # Some readers take this for "all rows in one strip".
    corpus.break_("tiff_zero_rows_a_strip.tif", small_tiff({278: (3, 0)}), "has 0 rows a strip", may_pass=True)

    cycles = {"self": small_tiff(next_ifd=64), "pair": bytearray(small_tiff(next_ifd=0x300))}
    first = cycles["pair"]
    first[0x300:0x400] = first[64 : 64 + 256]  # a copy of the directory ...
    struct.pack_into("<I", first, 0x300 + 2 + 9 * 12, 64)  # ... that leads back to the first
    for name, data in cycles.items():
        why = "has directories in a circle"
        corpus.break_(f"tiff_cycle_{name}.tif", bytes(data), why, may_pass=True)
        corpus.break_(f"tiff_cycle_{name}_page.tif", bytes(data), why, args=["--page", "1000000"])
    corpus.break_("tiff_no_page.tif", small_tiff(), "has one page, not eight", args=["--page", "7"])


# -- PNG and the rest -------------------------------------------------------------------------------------------------


def lie_in_png(corpus: Corpus) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(cols: int, rows: int, bits: int = 8, color: int = 0, body: bytes | None = None) -> bytes:
        pixels = zlib.compress(bytes(9 * 8)) if body is None else body
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", cols, rows, bits, color, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")

    wrong_sum = bytearray(png(8, 8))
    wrong_sum[29] ^= 1
    lies = {
        "huge": (png(2**31 - 1, 2**31 - 1), "claims 2^62 pixels"),
        "wide": (png(2**31 - 1, 1), "claims a row of 2 GiB"),
        "large": (png(100_000, 100_000), "claims 10 GB of pixels"),
        "zero": (png(0, 8), "is 0 wide"),
        "bits": (png(8, 8, bits=7), "has 7 bits a sample"),
        "color": (png(8, 8, color=5), "is of color type 5"),
        "no_palette": (png(8, 8, color=3), "lacks its palette"),
        "short": (png(8, 80), "has a tenth of its rows"),
        "not_deflate": (png(8, 8, body=b"not compressed at all"), "has pixels that do not decompress"),
        "checksum": (bytes(wrong_sum), "has a wrong checksum in its header"),
    }
    for name, (data, why) in lies.items():
        corpus.break_(f"png_{name}.png", data, why)

    # Sound as images, but not to be unpacked as a whole.
    packer = zlib.compressobj()
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(512)) + packer.flush()
    good = png(8, 8, body=zlib.compress(bytes(9 * 8)))
    for kind, head in {b"iCCP": b"icc\0\0", b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0"}.items():
        data = good[:33] + chunk(kind, head + bomb) + good[33:]
        why = f"has 512 MiB in {kind.decode()}"
        corpus.break_(f"png_bomb_{kind.decode()}.png", data, why, may_pass=True)


def lie_in_gif(corpus: Corpus) -> None:
    def gif(screen: int, frame: int) -> bytes:
        header = b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0, 0, 0)
        return header + struct.pack("<BHHHHB", 0x2C, 0, 0, frame, frame, 0) + b"\2\1\0\0\x3b"

    corpus.break_("gif_screen.gif", gif(32000, 1), "claims 4 GB of pixels")
    corpus.break_("gif_frame.gif", gif(8, 32000), "has a frame of 4 GB on a small screen")


# -- archives ---------------------------------------------------------------------------------------------------------


def zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def lie_in_npz(corpus: Corpus) -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8), }\n"
    array = npy(header)
    good, deflated = zipped({"a.npy": array}), zipped({"a.npy": array}, zipfile.ZIP_DEFLATED)

    def patched(data: bytes, *changes: tuple[int, str, int]) -> bytes:
        """Numbers in the directory changed: offset in the entry, kind, value."""
        out, entry = bytearray(data), data.rindex(b"PK\1\2")
        for at, kind, value in changes:
            struct.pack_into(kind, out, entry + at, value)
        return bytes(out)

    end = good.rindex(b"PK\5\6")
    many = bytearray(good)
    struct.pack_into("<HH", many, end + 8, 60000, 60000)
    away = bytearray(good)
    struct.pack_into("<I", away, end + 16, 2**31)
    claims = "{'descr': '|u1', 'fortran_order': False, 'shape': (65536, 65536), }\n"
    lies = {
        "empty_archive": (zipped({}), "has no member"),
        "no_array": (zipped({"a.txt": b"hello"}), "has no array"),
        "two_arrays": (zipped({"a.npy": array, "b.npy": array}), "has two arrays, and none is named"),
        "text_member": (zipped({"a.npy": b"hello, this is no array"}), "has a text for an array"),
        "empty_member": (zipped({"a.npy": b""}), "has an empty array"),
        "short_member": (zipped({"a.npy": array[:-1]}), "has an array without its last byte"),
        "short_deflated": (zipped({"a.npy": array[:-1]}, zipfile.ZIP_DEFLATED), "the same, deflated"),
        "object": (zipped({"a.npy": npy(header.replace("|u1", "|O"))}), "holds Python objects"),
        "bzip2": (zipped({"a.npy": array}, zipfile.ZIP_BZIP2), "is packed by bzip2"),
        "lzma": (zipped({"a.npy": array}, zipfile.ZIP_LZMA), "is packed by LZMA"),
        "encrypted": (patched(good, (8, "<H", 1)), "claims a password"),
        "size_huge": (patched(good, (24, "<I", 2**32 - 2), (20, "<I", 2**32 - 2)), "claims a member of 4 GiB"),
        "size_small": (patched(good, (24, "<I", 20), (20, "<I", 20)), "claims a member that ends in its header"),
        "sizes_differ": (patched(good, (24, "<I", 10_000)), "stores more than it has"),
        "deflated_huge": (patched(deflated, (24, "<I", 2**32 - 2)), "claims 4 GiB out of a hundred bytes"),
        "deflated_small": (patched(deflated, (24, "<I", 80)), "claims less than it holds"),
        "checksum": (patched(deflated, (16, "<I", 1)), "has a wrong checksum"),
        "place": (patched(good, (42, "<I", 5)), "has its member within another"),
        "place_beyond": (patched(good, (42, "<I", 2**31)), "has its member beyond the end"),
        "many_members": (bytes(many), "claims 60000 members"),
        "directory_beyond": (bytes(away), "has its directory beyond the end"),
        "bomb": (zipped({"a.npy": npy(claims, bytes(1 << 28))}, zipfile.ZIP_DEFLATED), "claims 4 GiB, and unpacks to 256 MiB"),
        "bomb_header": (zipped({"a.npy": npy(" " * (1 << 28), version=2)}, zipfile.ZIP_DEFLATED), "has a header of 256 MiB"),
    }
    for name, (data, why) in lies.items():
        corpus.break_(f"npz_{name}.npz", data, why)


def zarr_doc(**changes: object) -> dict:
    """An array of 8×8 bytes in one chunk, some of what it says changed."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [8, 8],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 8]}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "bytes"}],
        **changes,
    }


def zarr_doc_2(**changes: object) -> dict:
    doc = {"zarr_format": 2, "shape": [8, 8], "chunks": [8, 8], "dtype": "|u1", "order": "C"}
    return {**doc, "filters": None, "compressor": None, "fill_value": 0, **changes}


def lie_in_zarr(corpus: Corpus) -> None:
    pixels = bytes(range(64))

    def grid(*shape: object) -> dict:
        return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}}}

    def codecs(*names: str) -> dict:
        return {"codecs": [{"name": "bytes"}, *({"name": name, "configuration": {}} for name in names)]}

    def add(name: str, doc: object, why: str, chunk: bytes = pixels, key: str = "c/0/0") -> None:
        text = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        corpus.break_(f"zarr_{name}.zip", zipped({"zarr.json": text, key: chunk}), why)

    def add_2(name: str, doc: object, why: str, chunk: bytes = pixels) -> None:
        corpus.break_(f"zarr_{name}.zip", zipped({".zarray": json.dumps(doc).encode(), "0.0": chunk}), why)

    docs = {
        "no_json": (b"{", "has metadata that stop in the middle"),
        "not_utf8": (b"\xff\xfe", "has metadata that are no text"),
        "no_object": (b"[1, 2]", "has a list for metadata"),
        "deep": (b"[" * 100_000, "has 100000 open brackets for metadata"),
        "empty_object": (b"{}", "says nothing of itself"),
        "group": ({"zarr_format": 3, "node_type": "group"}, "is a group"),
        "format": (zarr_doc(zarr_format=4), "is of version 4"),
        "shape_none": (zarr_doc(shape=[]), "has no axes"),
        "shape_negative": (zarr_doc(shape=[-8, 8]), "has a negative length"),
        "shape_float": (zarr_doc(shape=[8.5, 8]), "has a length that is no integer"),
        "shape_huge": (zarr_doc(shape=[2**40, 2**40]), "claims 2^80 cells"),
        "shape_long": (zarr_doc(shape=[1] * 5000), "has 5000 axes"),
        "chunk_zero": (zarr_doc(**grid(0, 8)), "has chunks of no rows"),
        "chunk_axes": (zarr_doc(**grid(8)), "has chunks of one axis"),
        "chunk_huge": (zarr_doc(**grid(2**31, 2**31)), "has chunks of 2^62 cells"),
        "chunk_overflow": (zarr_doc(**grid(2**63, 2**63)), "has chunks of 2^126 cells"),
        "chunk_large": (zarr_doc(**grid(2**15, 2**15)), "has chunks of 1 GiB, and 64 bytes of one"),
        "chunk_large_zstd": (zarr_doc(**grid(2**15, 2**15), **codecs("zstd")), "the same, packed"),
        "dtype": (zarr_doc(data_type="complex64"), "holds complex numbers"),
        "dtype_text": (zarr_doc(data_type="string"), "holds text"),
        "dtype_number": (zarr_doc(data_type=7), "has a number for a type"),
        "fill": (zarr_doc(fill_value=256), "has a fill value that no byte is"),
        "fill_nan": (zarr_doc(fill_value="NaN"), "has a fill value that is no number"),
        "grid": (zarr_doc(chunk_grid={"name": "rectangular"}), "has chunks of several shapes"),
        "key": (zarr_doc(chunk_key_encoding={"name": "hash"}), "calls its chunks in a way that nobody knows"),
        "codecs_none": (zarr_doc(codecs=[]), "has no codecs"),
        "codecs_unknown": (zarr_doc(**codecs("rar")), "is packed in a way that nobody knows"),
        "codecs_many": (zarr_doc(**codecs(*["zstd"] * 1000)), "is packed a thousand times"),
        "transpose": (
            zarr_doc(codecs=[{"name": "transpose", "configuration": {"order": [0, 0]}}, {"name": "bytes"}]),
            "turns one axis twice",
        ),
        "unknown": (zarr_doc(magic={"name": "x"}), "has something that must be understood"),
        "endian": (zarr_doc(data_type="uint16", codecs=[{"name": "bytes"}]), "does not say its byte order"),
    }
    for name, (doc, why) in docs.items():
        add(name, doc, why)

    add("short", zarr_doc(), "has a chunk without its last byte", pixels[:-1])
    add("long", zarr_doc(), "has a chunk with a byte more", pixels + b"\0")
    add("empty_chunk", zarr_doc(), "has an empty chunk", b"")
    bomb = bytes(1 << 28)
    packers = {"gzip": gzip.compress(bomb, 1), "zstd": imagecodecs.zstd_encode(bomb, 1), "zlib": zlib.compress(bomb, 1)}
    for codec, packed in packers.items():
        add(f"bomb_{codec}", zarr_doc(**codecs(codec)), f"unpacks to 256 MiB by {codec}", packed)
        add(f"bomb_twice_{codec}", zarr_doc(**codecs(codec, "gzip")), "the same, packed twice", gzip.compress(packed))
        add(f"noise_{codec}", zarr_doc(**codecs(codec)), "has a chunk of noise", random.Random(7).randbytes(70))
        add(f"cut_{codec}", zarr_doc(**codecs(codec)), "has a chunk that is cut short", packed[:20])
    add("checksum", zarr_doc(**codecs("crc32c")), "has a wrong checksum", pixels + b"abcd")
    add("no_checksum", zarr_doc(**codecs("crc32c")), "has no room for a checksum", b"abc")

    def blosc(flags: int, size: int, total: int, block: int, body: bytes, length: int | None = None) -> bytes:
        length = 16 + len(body) if length is None else length
        return struct.pack("<BBBBIII", 2, 1, flags, size, total, block, length) + body

    good = struct.pack("<II", 20, 64) + pixels
    lies = {
        "header": b"\2\1\0\1",
        "version": b"\5" + blosc(0x02, 1, 64, 64, pixels)[1:],
        "length": blosc(0x02, 1, 64, 64, pixels, 1000),
        "total": blosc(0x02, 1, 2**32 - 1, 64, pixels),
        "more": blosc(0x12, 1, 65, 65, pixels + b"a"),
        "less": blosc(0x12, 1, 63, 63, pixels[1:]),
        "block_zero": blosc(0x10, 1, 64, 0, good),
        "block_huge": blosc(0x10, 1, 64, 2**32 - 1, good),
        "blocks": blosc(0x10, 1, 64, 1, good),
        "type_zero": blosc(0x11, 0, 64, 64, good),
        "codec": blosc(0xF0, 1, 64, 64, good),
        "start": blosc(0x10, 1, 64, 64, struct.pack("<II", 2**31, 64) + pixels),
        "stream": blosc(0x10, 1, 64, 64, struct.pack("<II", 20, 2**31) + pixels),
        **{
            f"codec_{codec}": blosc(0x10 | codec << 5, 1, 64, 64, struct.pack("<II", 20, 30) + random.Random(codec).randbytes(30))
            for codec in range(5)
        },
    }
    for name, chunk in lies.items():
        add(f"blosc_{name}", zarr_doc(**codecs("blosc")), f"has a Blosc chunk that lies: {name}", chunk)

    index = [{"name": "bytes", "configuration": {"endian": "little"}}]

    def sharded(inner: list[int] = [4, 4], **changes: object) -> dict:
        settings = {"chunk_shape": inner, "codecs": [{"name": "bytes"}], "index_codecs": index, **changes}
        return zarr_doc(codecs=[{"name": "sharding_indexed", "configuration": settings}])

    table = b"".join(struct.pack("<QQ", 16 * i, 16) for i in range(4))
    shards = {
        "short": (sharded(), table[:40], "has a shard shorter than its index"),
        "beyond": (sharded(), struct.pack("<QQ", 10**6, 16) * 4, "has chunks beyond the end of their shard"),
        "wraps": (sharded(), struct.pack("<QQ", 2**64 - 8, 16) * 4, "has chunks whose end wraps around 64 bits"),
        "huge": (sharded(), struct.pack("<QQ", 0, 2**63) * 4, "has a chunk of 2^63 bytes"),
        "half": (sharded(), struct.pack("<QQ", 2**64 - 1, 16) * 4, "has chunks that are half there"),
        "wrong": (sharded(), struct.pack("<QQ", 0, 15) * 4, "has chunks without their last byte"),
        "uneven": (sharded([3, 4]), pixels + table, "has shards that don't divide into chunks"),
        "zero": (sharded([0, 4]), pixels + table, "has shards of chunks of no rows"),
        "nested": (sharded(codecs=[{"name": "sharding_indexed", "configuration": {}}]), pixels + table, "has shards in shards"),
        "checksum": (sharded(index_codecs=[*index, {"name": "crc32c"}]), pixels + table + b"abcd", "has an index with a wrong checksum"),
        "packed": (sharded(index_codecs=[*index, {"name": "gzip"}]), pixels + table, "has an index that is packed"),
        "place": (sharded(index_location="middle"), pixels + table, "has its index in the middle"),
        "large": (
            zarr_doc(
                shape=[2**20, 2**20],
                **grid(2**20, 2**20),
                codecs=sharded([1, 1])["codecs"],
            ),
            table,
            "has a shard of 2^40 chunks",
        ),
    }
    for name, (doc, chunk, why) in shards.items():
        add(f"shard_{name}", doc, why, chunk)

    docs_2 = {
        "v2_order": (zarr_doc_2(order="X"), "has an order that is none"),
        "v2_dtype": (zarr_doc_2(dtype="|O"), "holds Python objects"),
        "v2_struct": (zarr_doc_2(dtype=[["a", "<f4"]]), "holds structs"),
        "v2_codec": (zarr_doc_2(compressor={"id": "lzma"}), "is packed by LZMA"),
        "v2_no_id": (zarr_doc_2(compressor={"level": 3}), "is packed by nothing that has a name"),
        "v2_filter": (zarr_doc_2(filters=[{"id": "delta", "dtype": "u1"}]), "has a filter that is not read here"),
        "v2_lz4": (zarr_doc_2(compressor={"id": "lz4"}), "claims LZ4, and is none"),
        "v2_separator": (zarr_doc_2(dimension_separator="-"), "calls its chunks in a way that nobody knows"),
        "v2_no_chunks": ({k: v for k, v in zarr_doc_2().items() if k != "chunks"}, "does not say its chunks"),
    }
    for name, (doc, why) in docs_2.items():
        add_2(name, doc, why)
    add_2("v2_lz4_bomb", zarr_doc_2(compressor={"id": "lz4"}), "claims 2 GiB of LZ4", struct.pack("<I", 2**31 - 1) + bytes(40))


def lie_in_raw(corpus: Corpus) -> None:
    """Nothing to lie with but the arguments."""
    data = bytes(range(200))
    for name, spec, why in [
        ("longer", "u8:10x19", "is longer than its array"),
        ("shorter", "u8:10x21", "is shorter than its array"),
        ("offset", "u8:10x20@1", "is shorter than its array from byte 1 on"),
        ("beyond", "u8:1x1@201", "ends before its array starts"),
        ("huge", "u8:2147483647x2147483647@0", "is shorter than 2^62 bytes"),
    ]:
        corpus.break_(f"raw_{name}.bin", data, why, args=["--raw", spec])


def pretend(corpus: Corpus) -> None:
    """Files that are not what their names say."""
    noise = random.Random(1).randbytes(4096)
    for ending in ["npy", "png", "jpg", "bmp", "tif", "gif", "webp", "pgm", "tga", "qoi", "npz", "zip"]:
        corpus.break_(f"text.{ending}", b"This is a letter, not an image.\n" * 20, "is a text")
        corpus.break_(f"noise.{ending}", noise, "is noise", may_pass=ending == "tga")
        corpus.break_(f"empty.{ending}", b"", "is empty")
    corpus.break_("unknown.xyz", noise, "is of no known format")
    corpus.break_("no_ending", noise, "is of no known format")
    corpus.break_("two words\u00e9.png", b"", "is empty and has a name with a space and an accent")
