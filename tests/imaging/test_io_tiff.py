"""TIFF against tifffile and Pillow, which are used as independent writers and readers."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image as Pillow
from PIL.TiffImagePlugin import IFDRational

from tratto.core.errors import CorruptPicture, InputError, UnsupportedFormat
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import WriteOptions, count_pages, digest, read_image, write_image
from tratto.imaging.io.exif import DESCRIPTIVE, parse

SIZE = (61, 83)


def samples(channels: int, dtype: type, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = SIZE if channels == 1 else (*SIZE, channels)
    # smooth enough for predictors and long runs to matter, rough enough to hit every byte value
    steps = rng.integers(0, 9, shape)
    return (np.cumsum(steps, axis=1) * (1 if dtype is np.uint8 else 131)).astype(dtype)


LAYOUTS = {
    "strips": {"rowsperstrip": 7},
    "one-strip": {"rowsperstrip": SIZE[0]},
    "tiles": {"tile": (32, 16)},
    "large-tile": {"tile": (128, 128)},
}
CODECS = {
    "none": {},
    "deflate": {"compression": "zlib"},
    "deflate-predictor": {"compression": "zlib", "predictor": True},
    "lzw": {"compression": "lzw"},
    "lzw-predictor": {"compression": "lzw", "predictor": True},
    "packbits": {"compression": "packbits"},
    "zstd": {"compression": "zstd", "predictor": True},
    "lzma": {"compression": "lzma"},
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_layouts_and_codecs(tmp_path, codec, layout, dtype, order):
    for channels, photometric in ((1, "minisblack"), (3, "rgb")):
        array = samples(channels, dtype)
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, array, photometric=photometric, byteorder=order, **LAYOUTS[layout], **CODECS[codec])
        image = read_image(path)
        assert np.array_equal(image.pixels, array)
        assert image.pixels.dtype == dtype
        assert image.meta.extra["tiff_compression"] == codec.partition("-")[0]


@pytest.mark.parametrize("codec", ["none", "deflate-predictor", "lzw"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("big", [False, True])
def test_separate_planes_and_bigtiff(tmp_path, codec, layout, big):
    array = samples(4, np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(array, -1, 0), photometric="rgb", planarconfig="separate",
        extrasamples=["unassalpha"], bigtiff=big, byteorder=">", **LAYOUTS[layout], **CODECS[codec],
    )  # fmt: skip
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.pixels, array[..., :3])
    assert np.array_equal(image.alpha, array[..., 3])


def test_bands_inside_a_strip_join(tmp_path, monkeypatch):
    from tratto.imaging.io import tiff_read

    array = samples(3, np.uint16)
    monkeypatch.setattr(tiff_read, "rows_per_band", lambda *_: 5)
    for codec in CODECS:
        tifffile.imwrite(
            tmp_path / "a.tif", array, photometric="rgb", rowsperstrip=SIZE[0], byteorder=">", **CODECS[codec]
        )
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, array)


def test_large_deflated_strip_is_inflated_in_bands(tmp_path):
    array = np.add.outer(np.arange(3000), np.arange(3001)).astype(np.uint8)
    for predictor in (False, True):
        tifffile.imwrite(tmp_path / "a.tif", array, rowsperstrip=3000, compression="zlib", predictor=predictor)
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, array)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as seen:
        offset, size = seen.pages[0].dataoffsets[0], seen.pages[0].databytecounts[0]
    data[offset + size // 2 : offset + size] = bytes(size - size // 2)
    with pytest.raises(CorruptPicture):
        read_image(bytes(data))


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
@pytest.mark.parametrize("channels", [2, 4, 5])
def test_alpha_stays_what_it_was(tmp_path, kind, channels):
    array = samples(channels, np.uint8)
    photometric = {2: "minisblack", 4: "rgb", 5: "separated"}[channels]
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=photometric, planarconfig="contig", extrasamples=[kind])
    image = read_image(tmp_path / "a.tif")
    colours = array[..., 0] if channels == 2 else array[..., :-1]
    assert np.array_equal(image.pixels, colours)
    assert np.array_equal(image.alpha, array[..., -1])
    write_image(image, tmp_path / "b.tif", "tiff")
    with tifffile.TiffFile(tmp_path / "b.tif") as seen:
        value = {"assocalpha": 1, "unassalpha": 2, "unspecified": 0}[kind]
        assert [int(v) for v in seen.pages[0].extrasamples] == [value]
        assert np.array_equal(seen.asarray(), array)


def test_white_is_zero_is_turned_and_turned_back(tmp_path):
    array = samples(1, np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="miniswhite")
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.pixels, 255 - array)
    write_image(image, tmp_path / "b.tif", "tiff")
    with tifffile.TiffFile(tmp_path / "b.tif") as seen:
        assert seen.pages[0].photometric == 0
        assert np.array_equal(seen.asarray(), array)
    assert digest(read_image(tmp_path / "b.tif")) == digest(image)


def test_palette_keeps_its_16_bit_colours(tmp_path):
    rng = np.random.default_rng(4)
    table = rng.integers(0, 65536, (3, 256), dtype=np.uint16)
    array = rng.integers(0, 256, SIZE, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="palette", colormap=table)
    image = read_image(tmp_path / "a.tif")
    assert image.mode is ColorMode.PALETTE
    assert np.array_equal(image.pixels, array)
    assert np.array_equal(image.palette[:, :3], np.floor(table.T / 65535 * 255 + 0.5))
    write_image(image, tmp_path / "b.tif", "tiff")
    with tifffile.TiffFile(tmp_path / "b.tif") as seen:
        assert np.array_equal(seen.pages[0].colormap, table)
    other = image.palette.copy()
    other[0] = 1, 2, 3, 255
    write_image(image.replace(palette=other), tmp_path / "c.tif", "tiff")
    with tifffile.TiffFile(tmp_path / "c.tif") as seen:
        assert seen.pages[0].colormap[:, 0].tolist() == [257, 514, 771]


@pytest.mark.parametrize(
    "compression", [None, "group3", "group4", "tiff_ccitt", "packbits", "tiff_lzw", "tiff_deflate"]
)
def test_bilevel(tmp_path, compression):
    page = skimage.data.page()[:97, :203] > 128
    options = {"compression": compression} if compression else {}
    Pillow.fromarray(page).save(tmp_path / "a.tif", "TIFF", **options)
    image = read_image(tmp_path / "a.tif")
    assert (image.mode, image.bits) == (ColorMode.GRAY, 1)
    assert np.array_equal(image.pixels, page)


@pytest.mark.parametrize("bits", [2, 4])
def test_low_depths_are_read_by_pillow(tmp_path, bits):
    array = samples(1, np.uint8) % (1 << bits)
    write_image(Image(array, ColorMode.GRAY, bits), tmp_path / "a.tif", "tiff")
    with Pillow.open(tmp_path / "a.tif") as seen:
        assert np.array_equal(np.asarray(seen), array * (255 // ((1 << bits) - 1)))


@pytest.mark.parametrize("space", ["ycbcr", "rgb", "gray"])
@pytest.mark.parametrize("layout", ["strips", "tiles"])
def test_jpeg_inside(tmp_path, space, layout):
    photo = skimage.data.astronaut()[:96, :160]
    photo = photo[..., 1] if space == "gray" else photo
    where = {"rowsperstrip": 32} if layout == "strips" else {"tile": (32, 48)}
    options = {"level": 90}
    if space == "rgb":
        options |= {"colorspace": "rgb", "outcolorspace": "rgb"}
    photometric = {"ycbcr": "ycbcr", "rgb": "rgb", "gray": "minisblack"}[space]
    tifffile.imwrite(
        tmp_path / "a.tif", photo, photometric=photometric, compression="jpeg", compressionargs=options, **where
    )
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, tifffile.imread(tmp_path / "a.tif"))


def test_jpeg_inside_with_shared_tables(tmp_path):
    photo = skimage.data.astronaut()[:96, :160]
    Pillow.fromarray(photo).save(tmp_path / "a.tif", "TIFF", compression="jpeg", quality=85)
    image = read_image(tmp_path / "a.tif")
    with Pillow.open(tmp_path / "a.tif") as seen:
        assert 347 in seen.tag_v2
        assert np.array_equal(image.pixels, np.asarray(seen))


@pytest.mark.parametrize(
    ("array", "options", "why"),
    [
        (np.zeros(SIZE, np.float32), {}, "floating-point"),
        (np.zeros(SIZE, np.int16), {}, "signed integer"),
        (np.zeros(SIZE, np.uint32), {}, "32"),
        (np.zeros((*SIZE, 3), np.uint8), {"photometric": "cielab"}, "CIELab"),
        (np.zeros((*SIZE, 6), np.uint8), {"photometric": "rgb", "planarconfig": "contig"}, "3 extra samples"),
        (np.zeros(SIZE, np.uint8), {"compression": "jpegxl"}, "compression"),
        (np.zeros(SIZE, np.uint8), {"compression": "jpeg2000"}, "JPEG 2000"),
        (np.zeros((*SIZE, 4), np.uint8), {"photometric": "separated", "compression": "jpeg"}, "CMYK TIFF with JPEG"),
    ],
)
def test_what_is_not_exact_is_refused_by_name(tmp_path, array, options, why):
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    with pytest.raises(UnsupportedFormat, match=why):
        read_image(tmp_path / "a.tif")


def test_pages_leave_out_thumbnails(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for value in (1, 2, 3):
            out.write(np.full(SIZE, value, np.uint8), metadata=None)
            out.write(np.full((5, 5), 99, np.uint8), subfiletype=1, metadata=None)
    assert count_pages(tmp_path / "a.tif") == 3
    assert [int(read_image(tmp_path / "a.tif", page=n).pixels[0, 0]) for n in range(3)] == [1, 2, 3]
    with pytest.raises(InputError, match="no page 3"):
        read_image(tmp_path / "a.tif", page=3)


@pytest.mark.parametrize(
    ("unit", "value", "expected"), [("INCH", 300.0, 300.0), ("CENTIMETER", 100.0, 254.0), ("NONE", 1.0, None)]
)
def test_resolution(tmp_path, unit, value, expected):
    tifffile.imwrite(tmp_path / "a.tif", samples(1, np.uint8), resolution=(value, value), resolutionunit=unit)
    dpi = read_image(tmp_path / "a.tif").meta.dpi
    assert dpi == (None if expected is None else (expected, expected))


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits", "lzma", "zstd"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tifffile_reads_what_is_written(tmp_path, compression, dtype):
    for channels, mode in ((1, ColorMode.GRAY), (3, ColorMode.RGB), (4, ColorMode.CMYK)):
        array = samples(channels, dtype)
        image = Image(array, mode, 8 * array.itemsize)
        write_image(image, tmp_path / "a.tif", "tiff", WriteOptions(compression=compression))
        assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), array)


def test_compression_of_the_source_is_kept(tmp_path):
    for codec in ("lzw-predictor", "lzw", "packbits", "zstd", "none"):
        tifffile.imwrite(tmp_path / "a.tif", samples(3, np.uint8), photometric="rgb", **CODECS[codec])
        image = read_image(tmp_path / "a.tif")
        write_image(image, tmp_path / "b.tif", "tiff")
        with tifffile.TiffFile(tmp_path / "a.tif") as a, tifffile.TiffFile(tmp_path / "b.tif") as b:
            assert a.pages[0].compression == b.pages[0].compression
            assert a.pages[0].predictor == b.pages[0].predictor


def test_bigtiff_is_written_when_it_must(tmp_path, monkeypatch):
    from tratto.imaging.io import tiff_write

    fields = Pillow.Exif()
    fields[0x010F] = "Maker"
    fields.get_ifd(0x8769)[0x829A] = IFDRational(1, 250)
    fields.get_ifd(0x8825)[1] = "N"
    array = samples(3, np.uint16)
    image = Image(array, ColorMode.RGB, 16, meta=Metadata(exif=fields.tobytes()[6:], dpi=(300.0, 300.0)))
    monkeypatch.setattr(tiff_write, "_CLASSIC_LIMIT", 10_000)
    write_image(image, tmp_path / "a.tif", "tiff")
    assert (tmp_path / "a.tif").read_bytes()[:4] == b"II+\0"
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), array)
    back = read_image(tmp_path / "a.tif")
    assert digest(back) == digest(image)
    assert back.meta.exif == image.meta.exif
    assert back.meta.dpi == (300.0, 300.0)


# ------------------------------------------------------------------------------------------------------------- EXIF


def test_exif_of_a_foreign_tiff_becomes_a_block_and_stays(tmp_path):
    fields = Pillow.Exif()
    fields[0x010F], fields[0x013B], fields[0x0112] = "Maker", "Someone", 6
    fields.get_ifd(0x8769)[0x829A] = IFDRational(1, 250)
    fields.get_ifd(0x8825)[1] = "S"
    Pillow.fromarray(samples(3, np.uint8)).save(tmp_path / "a.tif", "TIFF", exif=fields.tobytes())
    image = read_image(tmp_path / "a.tif")
    block = parse(image.meta.exif)
    assert block.main[0x010F].data == b"Maker\0"
    assert block.main[0x0112].numbers() == (6,)
    assert set(block.main) <= DESCRIPTIVE | {0x0112}
    assert block.exif[0x829A].rationals() == ((1, 250),)
    assert block.gps[1].data == b"S\0"
    assert image.meta.orientation == 6
    for fmt in ("tiff", "png", "tiff"):
        write_image(image, tmp_path / "b", fmt)
        image = read_image(tmp_path / "b")
        assert image.meta.exif is not None
        assert parse(image.meta.exif) == block


def test_edited_directories_win_over_the_kept_block(tmp_path):
    fields = Pillow.Exif()
    fields[0x010F] = "Maker"
    image = Image(samples(1, np.uint8), ColorMode.GRAY, meta=Metadata(exif=fields.tobytes()[6:]))
    write_image(image, tmp_path / "a.tif", "tiff")
    data = (tmp_path / "a.tif").read_bytes()
    assert read_image(data).meta.exif == image.meta.exif
    # another program changes the maker in the directory, but not in our private tag
    first = data.index(b"Maker\0")
    edited = data[:first] + b"Other\0" + data[first + 6 :]
    assert parse(read_image(edited).meta.exif).main[0x010F].data == b"Other\0"


def test_bare_iptc_is_wrapped(tmp_path):
    records = b"\x1c\x02\x50\x00\x05Ansel"
    tifffile.imwrite(tmp_path / "a.tif", samples(1, np.uint8), extratags=[(33723, 7, len(records), records, True)])
    expected = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    assert read_image(tmp_path / "a.tif").meta.iptc == expected


def test_orientation_nine_is_one(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", samples(1, np.uint8), extratags=[(274, 3, 1, 9, True)])
    image = read_image(tmp_path / "a.tif")
    assert image.meta.orientation == 1
    assert image.meta.extra["notes"] == ["the orientation tag is 9, expected 1-8; taken as 1"]


def test_tile_larger_than_the_picture_and_one_pixel(tmp_path):
    for shape in ((1, 1), (1, 40), (40, 1)):
        array = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
        for options in ({"tile": (16, 16)}, {}):
            tifffile.imwrite(tmp_path / "a.tif", array, **options)
            assert np.array_equal(read_image(tmp_path / "a.tif").pixels, array)


def test_no_byte_counts_without_compression():
    array = samples(1, np.uint8)
    head = b"II*\0\x08\0\0\0"
    fields = [(256, 4, SIZE[1]), (257, 4, SIZE[0]), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8 + 2 + 12 * 6 + 4)]
    body = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in fields)
    image = read_image(io.BytesIO(head + body + bytes(4) + array.tobytes()))
    assert np.array_equal(image.pixels, array)


@pytest.mark.parametrize("compression", ["tiff_lzw", "group4", "tiff_deflate"])
def test_reversed_bits_of_libtiff(tmp_path, compression):
    page = skimage.data.page()[:64, :100] > 128
    Pillow.fromarray(page).save(tmp_path / "a.tif", "TIFF", tiffinfo={266: 2}, compression=compression)
    with tifffile.TiffFile(tmp_path / "a.tif") as seen:
        assert seen.pages[0].fillorder == 2
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, page)


def test_reversed_bits_without_compression():
    head = b"II*\0\x08\0\0\0"
    fields = [(256, 12), (257, 1), (258, 1), (259, 1), (262, 1), (266, 2), (273, 8 + 2 + 12 * 8 + 4), (279, 2)]
    body = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in fields)
    image = read_image(head + body + bytes(4) + bytes([0b00000011, 0b00001000]))
    assert image.pixels.tolist() == [[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]


def test_separate_planes_of_gray_with_alpha(tmp_path):
    array = samples(2, np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(array, -1, 0),
        photometric="miniswhite",
        planarconfig="separate",
        extrasamples=["unassalpha"],
    )
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.pixels, 255 - array[..., 0])
    assert np.array_equal(image.alpha, array[..., 1])


def test_whole_exif_tree_goes_through_the_directories(tmp_path):
    from tratto.imaging.io.exif import Entry, ExifBlock, build
    from tratto.imaging.io.tiff_read import RAW_EXIF

    block = ExifBlock(
        main={0x010E: Entry(2, 5, b"text\0"), 0x0112: Entry(3, 1, b"\3\0")},
        exif={0x9000: Entry(7, 4, b"0232"), 0x829A: Entry(5, 1, struct.pack("<II", 1, 9))},
        gps={1: Entry(2, 2, b"N\0")},
        interop={1: Entry(2, 4, b"R98\0")},
    )
    for big in (False, True):
        image = Image(samples(1, np.uint8), ColorMode.GRAY, meta=Metadata(exif=build(block), orientation=3))
        with pytest.MonkeyPatch.context() as patch:
            from tratto.imaging.io import tiff_write

            if big:
                patch.setattr(tiff_write, "_CLASSIC_LIMIT", 10)
            write_image(image, tmp_path / "a.tif", "tiff")
        data = bytearray((tmp_path / "a.tif").read_bytes())
        # without the private tag, the directories alone must give the block back
        at = data.index(struct.pack("<HH", RAW_EXIF, 7))
        data[at : at + 2] = struct.pack("<H", RAW_EXIF + 1)
        assert read_image(bytes(data)).meta.exif == build(block)


def test_sub_directory_outside_the_file_is_dropped(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", samples(1, np.uint8), extratags=[(34664, 4, 1, 2**31, True)], metadata=None)
    data = (tmp_path / "a.tif").read_bytes()
    assert data.count(struct.pack("<HH", 34664, 4)) == 1
    image = read_image(data.replace(struct.pack("<HH", 34664, 4), struct.pack("<HH", 34665, 4)))
    assert image.meta.extra["notes"] == ["the EXIF directory lies outside the file; dropped"]


def test_layers_are_noted(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", samples(1, np.uint8), extratags=[(37724, 7, 8, b"layers!!", True)])
    image = read_image(tmp_path / "a.tif")
    assert image.meta.extra["notes"] == ["the page has Photoshop layers (tag 37724); they are not carried on"]
