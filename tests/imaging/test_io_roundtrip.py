"""Read, write, read again: samples, mode, depth and everything beside them must come back as they went in."""

from __future__ import annotations

import io
import struct
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow
from PIL import ImageCms

from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import WriteOptions, digest, read_image, writable, write_image, write_pages
from tratto.imaging.io.exif import orientation_of, parse

XMP = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'
IPTC = b"8BIM\x04\x04\0\0\0\0\0\x0b\x1c\x02\x50\0\x06Author\0"
SIZE = (37, 53)


def profile(mode: ColorMode) -> bytes:
    """A real profile where one can be made, and an opaque one with the right colour space where not."""
    if mode in (ColorMode.RGB, ColorMode.PALETTE):
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    space = b"GRAY" if mode is ColorMode.GRAY else b"CMYK"
    return struct.pack(">I", 200) + bytes(12) + space + bytes(16) + b"acsp" + bytes(range(160))


def camera_exif(orientation: int) -> bytes:
    """A block as cameras write it: big-endian, maker note, GPS, interoperability, thumbnail directory."""
    fields = Pillow.Exif()
    fields.endian = ">"
    fields[0x010F], fields[0x0110], fields[0x0112] = "Maker", "Model 7", orientation
    fields[0x0132] = "2026:01:02 03:04:05"
    own = fields.get_ifd(0x8769)
    own[0x829A], own[0x9003], own[0x927C] = (1, 125), "2026:01:02 03:04:05", b"MakerNote\0" + bytes(range(256))
    fields.get_ifd(0x8825)[1] = "N"
    fields.get_ifd(0x8825)[2] = (45.0, 4.0, 12.5)
    block = fields.tobytes()[6:]
    # a thumbnail directory behind the main one, with its picture outside the fields
    at = 8 + 2 + 12 * struct.unpack(">H", block[8:10])[0]
    thumbnail = len(block) + len(block) % 2
    picture = b"\xff\xd8\xff\xdbthumb\xff\xd9"
    block = block[:at] + struct.pack(">I", thumbnail) + block[at + 4 :] + b"\0" * (len(block) % 2)
    directory = struct.pack(">HHHII", 2, 0x0201, 4, 1, thumbnail + 30) + struct.pack(
        ">HHII", 0x0202, 4, 1, len(picture)
    )
    return block + directory + bytes(4) + picture


def picture(mode: ColorMode, bits: int, alpha: bool, meta: Metadata, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    dtype = np.uint16 if bits == 16 else np.uint8
    channels = {ColorMode.GRAY: (), ColorMode.RGB: (3,), ColorMode.CMYK: (4,), ColorMode.PALETTE: ()}[mode]
    pixels = rng.integers(0, 1 << bits, SIZE + channels, dtype=dtype)
    plane = rng.integers(0, 1 << bits, SIZE, dtype=dtype) if alpha else None
    palette = None
    if mode is ColorMode.PALETTE:
        palette = rng.integers(0, 256, (1 << bits, 4), dtype=np.uint8)
        palette[:, 3] = 255
    return Image(pixels, mode, bits, plane, palette, meta)


KINDS = [
    *[(ColorMode.GRAY, b, False) for b in (1, 2, 4, 8, 16)],
    *[(ColorMode.GRAY, b, True) for b in (8, 16)],
    *[(ColorMode.RGB, b, a) for b in (8, 16) for a in (False, True)],
    *[(ColorMode.PALETTE, b, False) for b in (1, 2, 4, 8)],
    *[(ColorMode.CMYK, b, a) for b in (8, 16) for a in (False, True)],
]
FORMATS = {"png": None, "tiff": "deflate", "tiff-lzw": "lzw", "tiff-none": "none", "webp": None, "bmp": None}


def carried(mode: ColorMode, bits: int, alpha: bool, fmt: str) -> bool:
    """Which combinations the formats hold in their own mode and depth (written out, not asked of the code)."""
    if fmt.startswith("tiff"):
        return True
    if mode is ColorMode.CMYK:
        return False
    if fmt == "png":
        return True
    if fmt == "webp":
        return mode is ColorMode.RGB and bits == 8
    return bits in (1, 4, 8) and not (alpha and mode is ColorMode.GRAY)


MATRIX = [
    (mode, bits, alpha, fmt, icc, orientation)
    for n, (mode, bits, alpha) in enumerate(KINDS)
    for m, fmt in enumerate(FORMATS)
    if carried(mode, bits, alpha, fmt)
    for icc, orientation in (((n + m) % 2 == 0, 1 + (n + 3 * m) % 8), ((n + m) % 2 == 1, 1 + (5 * n + m + 4) % 8))
]


def test_the_matrix_is_large_enough():
    assert len(MATRIX) >= 60
    assert {m[5] for m in MATRIX} == set(range(1, 9))
    assert {m[0] for m in MATRIX} == set(ColorMode)


@pytest.mark.parametrize(
    ("mode", "bits", "alpha", "fmt", "icc", "orientation"),
    MATRIX,
    ids=[f"{m}{b}{'a' if a else ''}-{f}-{'icc' if i else 'plain'}-o{o}" for m, b, a, f, i, o in MATRIX],
)
def test_round_trip(tmp_path, mode, bits, alpha, fmt, icc, orientation):
    orientation = 1 if fmt == "bmp" else orientation
    meta = Metadata(
        icc=profile(mode) if icc else None,
        exif=camera_exif(orientation),
        xmp=XMP,
        iptc=IPTC,
        orientation=orientation,
        dpi=(300.0, 72.0),
        text=(("Title", "Caff\xe8"), ("Other", "\u5b57"), ("Title", "again\nnew line")),
    )
    image = picture(mode, bits, alpha, meta)
    name, compression = fmt.partition("-")[0], FORMATS[fmt]
    path = tmp_path / f"a.{name}"
    write_image(image, path, name, WriteOptions(compression=compression))
    back = read_image(path)
    assert np.array_equal(back.pixels, image.pixels)
    assert back.pixels.dtype == image.pixels.dtype
    assert (back.mode, back.bits) == (mode, bits)
    assert (back.alpha is None) == (image.alpha is None)
    assert image.alpha is None or np.array_equal(back.alpha, image.alpha)
    assert image.palette is None or np.array_equal(back.palette, image.palette)
    assert digest(back) == digest(image)
    assert back.meta.format == name
    # a bitmap has a place for the profile where its header is the long one, and for nothing else
    assert back.meta.icc == meta.icc
    assert back.meta.dpi == meta.dpi
    if fmt == "webp":  # the resolution stands in a longer copy of the first directory; all else is where it was
        assert back.meta.exif[8 : len(meta.exif)] == meta.exif[8:]
    elif fmt != "bmp":
        assert back.meta.exif == meta.exif
    if fmt != "bmp":
        assert back.meta.xmp == meta.xmp
        assert back.meta.iptc == (None if fmt == "webp" else meta.iptc)
    assert back.meta.orientation == orientation
    assert back.meta.text == (meta.text if fmt == "png" else ())
    assert "notes" not in back.meta.extra


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", [ColorMode.GRAY, ColorMode.RGB, ColorMode.CMYK])
def test_jpeg_keeps_metadata_and_stays_near(tmp_path, mode, orientation):
    ramp = np.add.outer(np.arange(64), np.arange(80)).astype(np.uint8)
    channels = {ColorMode.GRAY: 0, ColorMode.RGB: 3, ColorMode.CMYK: 4}[mode]
    pixels = ramp if not channels else np.dstack([ramp + 20 * c for c in range(channels)]).astype(np.uint8)
    meta = Metadata(
        icc=profile(mode),
        exif=camera_exif(orientation),
        xmp=XMP,
        iptc=IPTC,
        orientation=orientation,
        dpi=(240.0, 240.0),
    )
    path = tmp_path / "a.jpg"
    write_image(Image(pixels, mode, meta=meta), path, "jpeg", WriteOptions(quality=98))
    back = read_image(path)
    assert (back.mode, back.bits, back.pixels.shape) == (mode, 8, pixels.shape)
    # measured: 3 of 255 at quality 98 on this ramp
    assert np.abs(back.pixels.astype(int) - pixels).max() <= 4
    for key in ("icc", "exif", "xmp", "iptc", "orientation", "dpi"):
        assert getattr(back.meta, key) == getattr(meta, key), key


@pytest.mark.parametrize("fmt", ["png", "tiff", "webp", "jpeg"])
def test_orientation_without_a_block_makes_one(tmp_path, fmt):
    image = picture(ColorMode.RGB, 8, False, Metadata(orientation=6))
    write_image(image, tmp_path / "a", fmt)
    back = read_image(tmp_path / "a")
    assert back.meta.orientation == 6
    with Pillow.open(tmp_path / "a") as seen:
        # Pillow turns a TIFF as it loads it; before that the tag is there for all formats
        assert seen.getexif()[0x0112] == 6


@pytest.mark.parametrize("fmt", ["png", "tiff", "webp", "jpeg"])
def test_changed_orientation_is_patched_into_the_block(tmp_path, fmt):
    block = camera_exif(3)
    image = picture(ColorMode.RGB, 8, False, Metadata(exif=block, orientation=8))
    write_image(image, tmp_path / "a", fmt)
    back = read_image(tmp_path / "a")
    assert back.meta.orientation == 8
    assert orientation_of(parse(back.meta.exif)) == (8, None)
    assert len(back.meta.exif) == len(block)
    assert sum(a != b for a, b in zip(back.meta.exif, block, strict=True)) == 1


def test_across_formats_nothing_is_lost(tmp_path):
    meta = Metadata(
        icc=profile(ColorMode.RGB), exif=camera_exif(6), xmp=XMP, iptc=IPTC, orientation=6, dpi=(300.0, 300.0)
    )
    image = picture(ColorMode.RGB, 8, True, meta)
    for fmt in ("tiff", "png", "tiff", "png"):
        write_image(image, tmp_path / fmt, fmt)
        image = read_image(tmp_path / fmt)
    for key in ("icc", "exif", "xmp", "iptc", "orientation", "dpi"):
        assert getattr(image.meta, key) == getattr(meta, key), key
    assert digest(image) == digest(picture(ColorMode.RGB, 8, True, meta))


def test_strip_metadata_leaves_what_is_needed_to_show_the_picture(tmp_path):
    meta = Metadata(
        icc=profile(ColorMode.RGB), exif=camera_exif(6), xmp=XMP, iptc=IPTC, orientation=6, dpi=(300.0, 300.0),
        text=(("Author", "secret"),),
    )  # fmt: skip
    image = picture(ColorMode.RGB, 8, False, meta)
    for fmt in ("png", "tiff", "jpeg", "webp"):
        write_image(image, tmp_path / fmt, fmt, WriteOptions(strip_metadata=True))
        back = read_image(tmp_path / fmt)
        assert (back.meta.xmp, back.meta.iptc, back.meta.text) == (None, None, ())
        assert (back.meta.icc, back.meta.orientation) == (meta.icc, 6)
        raw = (tmp_path / fmt).read_bytes()
        for private in (b"Maker", b"secret", b"Author", b"2026:01:02"):
            assert private not in raw


@pytest.mark.parametrize(
    ("image", "fmt", "why"),
    [
        (picture(ColorMode.CMYK, 8, False, Metadata()), "png", "CMYK"),
        (picture(ColorMode.CMYK, 8, False, Metadata()), "webp", "CMYK"),
        (picture(ColorMode.CMYK, 8, True, Metadata()), "jpeg", "alpha"),
        (picture(ColorMode.RGB, 16, False, Metadata()), "jpeg", "16 bits"),
        (picture(ColorMode.RGB, 16, False, Metadata()), "webp", "16 bits"),
        (picture(ColorMode.GRAY, 16, False, Metadata()), "bmp", "16 bits"),
        (picture(ColorMode.RGB, 8, True, Metadata()), "jpeg", "alpha"),
        (picture(ColorMode.RGB, 8, False, Metadata(orientation=6)), "bmp", "orientation"),
        (picture(ColorMode.RGB, 8, True, Metadata(extra={"tiff_alpha": "associated"})), "png", "premultiplied"),
        (picture(ColorMode.RGB, 8, False, Metadata()), "heif", "does not write"),
        (picture(ColorMode.RGB, 8, False, Metadata()), "gif", "not a format"),
        (picture(ColorMode.RGB, 8, False, Metadata(exif=bytes(70000))), "jpeg", "EXIF"),
        (Image(np.zeros((1, 16384, 3), np.uint8), ColorMode.RGB), "webp", "16383"),
    ],
)
def test_writable_says_why_not(tmp_path, image, fmt, why):
    from tratto.core.errors import OutputError

    assert why in writable(image, fmt)
    with pytest.raises(OutputError, match=why):
        write_image(image, tmp_path / "a", fmt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fmt", ["webp", "bmp", "png", "tiff"])
@pytest.mark.parametrize(("mode", "bits"), [(ColorMode.GRAY, 2), (ColorMode.GRAY, 8), (ColorMode.PALETTE, 2)])
def test_colours_are_exact_where_the_mode_must_change(tmp_path, fmt, mode, bits):
    image = picture(mode, bits, False, Metadata())
    write_image(image, tmp_path / "a", fmt)
    with Pillow.open(tmp_path / "a") as seen:
        shown = np.asarray(seen.convert("RGB"))
    if image.palette is not None:
        expected = image.palette[image.pixels, :3]
    else:
        expected = np.repeat(image.pixels[..., None] * (255 // image.max_value), 3, axis=2)
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize("fmt", ["png", "tiff", "webp", "bmp"])
def test_palette_alpha_survives(tmp_path, fmt):
    image = picture(ColorMode.PALETTE, 4, False, Metadata())
    palette = image.palette.copy()
    palette[[2, 5], 3] = 0, 77
    image = image.replace(palette=palette)
    write_image(image, tmp_path / "a", fmt)
    back = read_image(tmp_path / "a")
    colours = palette[image.pixels]
    if fmt == "png":
        assert np.array_equal(back.palette, palette)
        assert np.array_equal(back.pixels, image.pixels)
    else:
        assert np.array_equal(back.pixels, colours[..., :3])
        assert np.array_equal(back.alpha, colours[..., 3])


def test_several_pages(tmp_path):
    from tratto.imaging.io import count_pages

    pages = [picture(ColorMode.RGB, 16, False, Metadata(orientation=n + 1), seed=n) for n in range(3)]
    pages.append(picture(ColorMode.GRAY, 1, False, Metadata(exif=camera_exif(1)), seed=9))
    write_pages((p for p in pages), tmp_path / "a.tif")
    assert count_pages(tmp_path / "a.tif") == 4
    for n, page in enumerate(pages):
        back = read_image(tmp_path / "a.tif", page=n)
        assert digest(back) == digest(page)
        assert back.meta.exif == page.meta.exif
        assert back.meta.orientation == page.meta.orientation


REAL = [
    "astronaut.png",
    "camera.png",
    "horse.png",
    "logo.png",
    "text.png",
    "rocket.jpg",
    "page.png",
    "chessboard_RGB.png",
]


@pytest.mark.parametrize("name", REAL)
def test_real_files(tmp_path, name):
    path = Path(skimage.data.__file__).parent / name
    image = read_image(path)
    with Pillow.open(path) as seen:
        expected = np.asarray(seen)
        icc = seen.info.get("icc_profile")
    if image.bits == 8:
        assert np.array_equal(image.pixels, expected[..., :3] if expected.ndim == 3 else expected)
    else:
        # Pillow cuts 16 bits to the upper 8
        assert np.array_equal(image.pixels >> 8, expected)
    assert image.meta.icc == icc
    for fmt in ("png", "tiff"):
        write_image(image, tmp_path / "a", fmt)
        back = read_image(tmp_path / "a")
        assert digest(back) == digest(image)
        for key in ("icc", "exif", "xmp", "orientation", "dpi"):
            assert getattr(back.meta, key) == getattr(image.meta, key), (fmt, key)
        if fmt == "png":
            comments = [b64decode(c).decode().replace("\0", "") for c in image.meta.extra.get("jpeg_comments", [])]
            assert back.meta.text == (*image.meta.text, *(("Comment", c) for c in comments))
            if image.meta.format == "png":
                told = {"notes"}  # of what a reader left out, there is nothing left to tell of the copy
                assert back.meta.extra == {k: v for k, v in image.meta.extra.items() if k not in told}


def test_reading_from_bytes_and_streams_is_the_same(tmp_path):
    image = picture(ColorMode.RGB, 8, True, Metadata())
    write_image(image, tmp_path / "a.png", "png")
    data = (tmp_path / "a.png").read_bytes()

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.inner = io.BytesIO(data)

        def readable(self):
            return True

        def read(self, n=-1):
            return self.inner.read(n)

    stream = io.BytesIO(data)
    stream.seek(17)
    for source in (data, stream, Pipe(), str(tmp_path / "a.png"), tmp_path / "a.png"):
        assert digest(read_image(source)) == digest(image)


def test_scratch_is_used_for_large_arrays_only(tmp_path, monkeypatch):
    monkeypatch.setattr("tratto.imaging.io.source.SCRATCH_FROM_BYTES", 1 << 18)  # a sixty-fourth, and so the picture
    made = []

    def scratch(shape, dtype):
        made.append((shape, np.dtype(dtype)))
        return np.memmap(tmp_path / f"s{len(made)}", dtype, "w+", shape=shape)

    big = Image(np.arange(512 * 525, dtype=np.uint32).astype(np.uint8).reshape(512, 525), ColorMode.GRAY)
    for fmt in ("tiff", "png", "bmp"):
        write_image(big, tmp_path / "big", fmt, WriteOptions(level=1))
        back = read_image(tmp_path / "big", scratch=scratch)
        assert isinstance(back.pixels, np.memmap)
        assert digest(back) == digest(big)
    assert made == [((512, 525), np.dtype(np.uint8))] * 3
    small = picture(ColorMode.GRAY, 8, False, Metadata())
    write_image(small, tmp_path / "small", "png")
    assert not isinstance(read_image(tmp_path / "small", scratch=scratch).pixels, np.memmap)


def test_non_contiguous_pixels_are_written_right(tmp_path):
    image = picture(ColorMode.RGB, 16, True, Metadata())
    turned = replace(image, pixels=image.pixels[::-1, ::2], alpha=image.alpha[::-1, ::2])
    for fmt in ("png", "tiff"):
        write_image(turned, tmp_path / "a", fmt)
        back = read_image(tmp_path / "a")
        assert np.array_equal(back.pixels, image.pixels[::-1, ::2])
        assert np.array_equal(back.alpha, image.alpha[::-1, ::2])
