"""WebP, BMP, AVIF and HEIF; sniffing; atomic files."""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import sys
import types

import numpy as np
import pytest
import skimage.data
from PIL import Image as Pillow
from PIL import features

from tratto.core.errors import CorruptPicture, InputError, MissingExtra, OutputError, PictureTooLarge, UnsupportedFormat
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import (
    FORMATS,
    Limits,
    WriteOptions,
    atomic_file,
    count_pages,
    digest,
    read_image,
    sniff,
    write_image,
)
from tratto.imaging.io.sniff import describe_unknown


def saved(picture: Pillow.Image, fmt: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, fmt, **options)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------------------------- WebP


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_matches_pillow(lossless, mode):
    photo = skimage.data.astronaut()[:90, :70]
    pixels = photo if mode == "RGB" else np.dstack([photo, photo[..., 0]])
    data = saved(Pillow.fromarray(pixels), "WEBP", lossless=lossless, exact=True, quality=80)
    image = read_image(data)
    with Pillow.open(io.BytesIO(data)) as seen:
        expected = np.asarray(seen)
    assert np.array_equal(image.pixels, expected[..., :3])
    assert (image.alpha is None) == (mode == "RGB")
    assert image.alpha is None or np.array_equal(image.alpha, expected[..., 3])
    assert image.meta.extra["webp_lossless"] is lossless


def test_webp_animation(tmp_path):
    rng = np.random.default_rng(0)
    frames = [Pillow.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(5)]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=40)
    assert count_pages(data) == 5
    for n, frame in enumerate(frames):
        assert np.array_equal(read_image(data, page=n).pixels, np.asarray(frame))
    with pytest.raises(InputError, match="no page 5"):
        read_image(data, page=5)
    with pytest.raises(PictureTooLarge, match="limit is 4"):
        count_pages(data, Limits(max_pages=4))


def test_webp_keeps_colours_under_clear_pixels(tmp_path):
    rng = np.random.default_rng(1)
    image = Image(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), ColorMode.RGB, 8, np.zeros((9, 9), np.uint8))
    write_image(image, tmp_path / "a.webp", "webp")
    assert digest(read_image(tmp_path / "a.webp")) == digest(image)


def test_webp_lossy_is_smaller(tmp_path):
    image = Image(skimage.data.astronaut()[:128, :128].copy(), ColorMode.RGB)
    write_image(image, tmp_path / "a", "webp")
    write_image(image, tmp_path / "b", "webp", WriteOptions(lossless=False, quality=80))
    assert (tmp_path / "b").stat().st_size * 3 < (tmp_path / "a").stat().st_size
    assert read_image(tmp_path / "b").meta.extra["webp_lossless"] is False


# -------------------------------------------------------------------------------------------------------------- BMP


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_from_pillow(mode):
    photo = Pillow.fromarray(skimage.data.astronaut()[:31, :45])
    picture = photo.convert(mode) if mode != "P" else photo.quantize(200)
    image = read_image(saved(picture, "BMP", dpi=(96, 96)))
    assert image.mode is {"1": ColorMode.GRAY, "L": ColorMode.GRAY, "P": ColorMode.PALETTE}.get(mode, ColorMode.RGB)
    shown = image.palette[image.pixels, :3] if image.palette is not None else image.pixels
    assert np.array_equal(shown, np.asarray(picture.convert("RGB") if mode == "P" else picture))
    assert image.meta.dpi == (96.0, 96.0)


def bitmap(
    depth: int, compression: int, rows: bytes, width: int, height: int, extra: bytes = b"", colors: int = 0
) -> bytes:
    start = 54 + len(extra)
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, len(rows), 0, 0, colors, 0)
    return head + info + extra + rows


def test_bmp_sixteen_bits():
    words = np.array([[0x7FFF, 0x0000], [0x7C00, 0x001F]], "<u2")
    image = read_image(bitmap(16, 0, words[::-1].tobytes(), 2, 2))
    assert image.pixels.tolist() == [[[255, 255, 255], [0, 0, 0]], [[255, 0, 0], [0, 0, 255]]]
    words = np.array([[0xF800, 0x0400]], "<u2")
    image = read_image(bitmap(16, 3, words.tobytes(), 2, 1, struct.pack("<III", 0xF800, 0x07E0, 0x1F)))
    # 32 of 63 is 129.5..., rounded
    assert image.pixels.tolist() == [[[255, 0, 0], [0, 130, 0]]]


def test_bmp_thirty_two_bits_and_top_down():
    rows = bytes([1, 2, 3, 0, 4, 5, 6, 0])
    image = read_image(bitmap(32, 0, rows, 1, 2))
    assert image.alpha is None
    assert image.pixels.tolist() == [[[6, 5, 4]], [[3, 2, 1]]]
    assert read_image(bitmap(32, 0, rows, 1, -2)).pixels.tolist() == [[[3, 2, 1]], [[6, 5, 4]]]


def test_bmp_run_length():
    table = bytes([0, 0, 255, 0, 0, 255, 0, 0])
    rows = bytes([3, 1, 1, 0, 0, 0, 4, 0, 0, 0, 0, 1])
    image = read_image(bitmap(8, 1, rows, 4, 2, table, colors=2))
    assert image.mode is ColorMode.PALETTE
    assert image.palette[image.pixels, :3].tolist() == [[[255, 0, 0]] * 4, [[0, 255, 0]] * 3 + [[255, 0, 0]]]


def test_bmp_with_alpha_is_read_by_pillow(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 5, 4), dtype=np.uint8)
    icc = bytes(rng.integers(0, 256, 333, dtype=np.uint8))
    image = Image(pixels[..., :3].copy(), ColorMode.RGB, 8, pixels[..., 3].copy(), meta=Metadata(icc=icc))
    write_image(image, tmp_path / "a.bmp", "bmp")
    with Pillow.open(tmp_path / "a.bmp") as seen:
        assert np.array_equal(np.asarray(seen), pixels)
    back = read_image(tmp_path / "a.bmp")
    assert digest(back) == digest(image)
    assert back.meta.icc == icc
    assert back.meta.extra["notes"] == ["the ICC profile is malformed (no ICC header); kept as it is"]


def test_bmp_bands_join(tmp_path, monkeypatch):
    from tratto.imaging.io import bmp

    monkeypatch.setattr(bmp, "rows_per_band", lambda *_: 2)
    rng = np.random.default_rng(0)
    for bits, mode in ((1, ColorMode.GRAY), (4, ColorMode.GRAY), (8, ColorMode.RGB)):
        pixels = rng.integers(0, 1 << bits, (7, 5, 3) if mode is ColorMode.RGB else (7, 5), dtype=np.uint8)
        write_image(Image(pixels, mode, bits), tmp_path / "a.bmp", "bmp")
        assert np.array_equal(read_image(tmp_path / "a.bmp").pixels, pixels)
        with Pillow.open(tmp_path / "a.bmp") as seen:
            shown = np.asarray(seen.convert("RGB"))
        full = pixels if mode is ColorMode.RGB else np.repeat(pixels[..., None] * (255 // ((1 << bits) - 1)), 3, axis=2)
        assert np.array_equal(shown, full)


# --------------------------------------------------------------------------------------------------- AVIF and HEIF


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_matches_pillow():
    photo = skimage.data.astronaut()[:64, :80]
    exif = Pillow.Exif()
    exif[0x010F] = "Maker"
    data = saved(Pillow.fromarray(photo), "AVIF", quality=90, exif=exif)
    assert sniff(data) == "avif"
    assert count_pages(data) == 1
    image = read_image(data)
    with Pillow.open(io.BytesIO(data)) as seen:
        assert np.array_equal(image.pixels, np.asarray(seen))
    assert b"Maker" in image.meta.exif
    assert image.meta.format == "avif"
    with pytest.raises(PictureTooLarge):
        read_image(data, Limits(max_pixels=1000))
    with pytest.raises(InputError):
        read_image(data, page=1)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_of_ten_bits_is_refused():
    import imagecodecs

    deep = np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3) % 1024
    data = bytes(imagecodecs.avif_encode(deep, level=90, bitspersample=10))
    with pytest.raises(UnsupportedFormat, match="10 bits"):
        read_image(data)


def heif_file(width: int = 4, height: int = 3) -> bytes:
    """Only the boxes the header check looks at."""

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(body), kind) + body

    properties = box(b"ispe", struct.pack(">III", 0, width, height)) + box(b"pixi", b"\0\0\0\0\x03\x08\x08\x08")
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", properties)))
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta + box(b"mdat", bytes(10))


def test_heif_without_the_extra_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    assert sniff(heif_file()) == "heif"
    for call in (read_image, count_pages):
        with pytest.raises(MissingExtra, match=r"tratto\[heif\]"):
            call(heif_file())
    with pytest.raises(PictureTooLarge):
        read_image(heif_file(70_000, 70_000))


def test_heif_through_the_extra(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    exif = Pillow.Exif()
    exif[0x0112] = 6

    class Entry:
        def __init__(self, bits):
            self.info = {"bit_depth": bits, "exif": exif.tobytes(), "icc_profile": None, "xmp": b"<x/>"}

        def to_pillow(self):
            return Pillow.fromarray(pixels)

    fake = types.ModuleType("pi_heif")
    fake.open_heif = lambda fp, convert_hdr_to_8bit: [Entry(8), Entry(10)]
    monkeypatch.setitem(sys.modules, "pi_heif", fake)
    image = read_image(heif_file())
    assert np.array_equal(image.pixels, pixels)
    assert image.meta.xmp == b"<x/>"
    # the container turns the samples itself, so the tag must not turn them again
    assert image.meta.orientation == 1
    with Pillow.open(io.BytesIO(saved(Pillow.fromarray(pixels), "PNG", exif=b"Exif\0\0" + image.meta.exif))) as seen:
        assert seen.getexif()[0x0112] == 1
    assert count_pages(heif_file()) == 2
    with pytest.raises(UnsupportedFormat, match="10 bits"):
        read_image(heif_file(), page=1)


# --------------------------------------------------------------------------------------------------------- sniffing


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"II+\0", "tiff"),
        (b"MM\0+", "tiff"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\0\0\0\0AVI LIST", None),
        (b"BM" + bytes(12) + struct.pack("<I", 40), "bmp"),
        (b"BM is how this text begins, not a bitmap", None),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x1cftypisom\0\0\0\0isommp42....", None),
        (b"GIF89a", None),
        (b"<svg xmlns=", None),
        (b"", None),
    ],
)
def test_sniff(head, expected):
    assert sniff(head) == expected
    assert expected is None or expected in FORMATS


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "empty"),
        (b"GIF89a", "a GIF"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04", "a ZIP"),
        (b"\xef\xbb\xbf <SVG ", "SVG"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"\x01\x02", "01 02"),
    ],
)
def test_unknown_files_are_described(head, words):
    assert words in describe_unknown(head)


# ----------------------------------------------------------------------------------------------------- atomic files


def test_atomic_file_appears_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_file(path) as stream:
        stream.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_interrupted_writing_leaves_nothing(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic_file(path) as stream:
            stream.write(b"half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_interrupted_encoding_leaves_nothing(tmp_path, monkeypatch):
    from tratto.imaging.io.png_write import PngStream

    def stop(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(PngStream, "rows", stop)
    with pytest.raises(KeyboardInterrupt):
        write_image(Image(np.zeros((5, 5), np.uint8), ColorMode.GRAY), tmp_path / "a.png", "png")
    assert os.listdir(tmp_path) == []


def test_failing_encoder_is_an_output_error(tmp_path, monkeypatch):
    from tratto.imaging.io.png_write import PngStream

    for error in (ValueError("odd"), OSError(28, "No space left on device"), MemoryError()):

        def fail(self, rows, error=error):
            raise error

        monkeypatch.setattr(PngStream, "rows", fail)
        with pytest.raises(OutputError, match=r"odd|space|memory"):
            write_image(Image(np.zeros((5, 5), np.uint8), ColorMode.GRAY), tmp_path / "a.png", "png")
    assert os.listdir(tmp_path) == []


def test_output_folder_must_be_there(tmp_path):
    with pytest.raises(OutputError, match="No such file"), atomic_file(tmp_path / "no" / "a"):
        pass
    with pytest.raises(OutputError, match="NUL"), atomic_file(str(tmp_path / "a\0b")):
        pass


def test_long_names_and_permissions(tmp_path):
    path = tmp_path / ("x" * 250 + ".png")
    write_image(Image(np.zeros((5, 5), np.uint8), ColorMode.GRAY), path, "png")
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_broken_webp_container():
    data = saved(Pillow.new("RGB", (8, 8)), "WEBP", lossless=True)
    with pytest.raises(CorruptPicture):
        read_image(data[:12] + b"JUNK" + struct.pack("<I", 0) + data[20:])


def test_import_loads_no_decoder():
    code = (
        "import sys, tratto.imaging.io; "
        "print([m for m in ('PIL', 'imagecodecs', 'tifffile', 'cv2', 'torch', 'onnxruntime') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
