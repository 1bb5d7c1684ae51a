"""PNG against an independent slow encoder and against Pillow."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from tratto.core.errors import CorruptPicture, InputError, PictureTooLarge
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import Limits, count_pages, digest, encode_png16_gray, notes_of, read_image, write_image
from tratto.imaging.io.png_read import dpi_from_metre, metre_from_dpi
from tratto.imaging.io.png_write import filter_rows

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def filtered(rows: list[bytes], step: int, kind: int | None) -> bytes:
    """Filter rows one byte at a time; ``None`` goes round all five filters."""
    out, above = bytearray(), bytes(len(rows[0]))
    for y, row in enumerate(rows):
        f = y % 5 if kind is None else kind
        out.append(f)
        for i, x in enumerate(row):
            a = row[i - step] if i >= step else 0
            c = above[i - step] if i >= step else 0
            b = above[i]
            out.append((x - (0, a, b, (a + b) // 2, paeth(a, b, c))[f]) & 255)
        above = row
    return bytes(out)


def pack_rows(samples: np.ndarray, depth: int) -> list[bytes]:
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        text = "".join(format(int(v), f"0{depth}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8)))
    return rows


def encode(samples: np.ndarray, depth: int, color: int, *, interlaced=False, kind=None, before=(), split=97) -> bytes:
    """samples: (H, W, C)."""
    height, width, _ = samples.shape
    step = max(1, CHANNELS[color] * depth // 8)
    raw = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.size:
            raw += filtered(pack_rows(part, depth), step, kind)
    data = zlib.compress(raw)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced)))
    idat = b"".join(chunk(b"IDAT", data[i : i + split]) for i in range(0, len(data), split))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + idat + chunk(b"IEND")


KINDS = [(0, d) for d in (1, 2, 4, 8, 16)] + [(c, d) for c in (2, 4, 6) for d in (8, 16)]
KINDS += [(3, d) for d in (1, 2, 4, 8)]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("color", "depth"), KINDS)
def test_every_colour_type_and_depth(color, depth, interlaced):
    rng = np.random.default_rng(color * 100 + depth)
    for height, width in ((13, 11), (1, 1), (3, 5)):
        samples = rng.integers(0, 1 << depth, (height, width, CHANNELS[color]), dtype=np.uint16)
        palette = rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes() if color == 3 else b""
        before = [chunk(b"PLTE", palette)] if color == 3 else []
        data = encode(samples, depth, color, interlaced=interlaced, before=before)
        image = read_image(data)
        colors = samples[..., : {0: 1, 2: 3, 3: 1, 4: 1, 6: 3}[color]]
        assert np.array_equal(image.pixels, colors if color in (2, 6) else colors[..., 0])
        assert image.bits == depth
        assert image.pixels.dtype == (np.uint16 if depth == 16 else np.uint8)
        if color in (4, 6):
            assert np.array_equal(image.alpha, samples[..., -1])
        if color == 3:
            assert image.palette[:, :3].tobytes() == palette
        if depth == 8:
            # the test's own encoder is checked by Pillow
            with Pillow.open(io.BytesIO(data)) as seen:
                assert np.array_equal(np.asarray(seen).reshape(samples.shape), samples)


def test_bands_join_without_a_seam(monkeypatch):
    from tratto.imaging.io import png_read

    monkeypatch.setattr(png_read, "rows_per_band", lambda *_: 3)
    rng = np.random.default_rng(5)
    for color, depth in KINDS:
        samples = rng.integers(0, 1 << depth, (17, 9, CHANNELS[color]), dtype=np.uint16)
        before = [chunk(b"PLTE", bytes(3 << depth))] if color == 3 else []
        # each filter alone, so that every one of them meets a band border
        for kind in range(5):
            image = read_image(encode(samples, depth, color, kind=kind, before=before))
            got = image.pixels if image.pixels.ndim == 3 else image.pixels[..., None]
            assert np.array_equal(got, samples[..., : got.shape[2]])


def unfiltered(data: np.ndarray, above: bytes, step: int) -> list[bytes]:
    rows = []
    for line in data:
        f, row = int(line[0]), bytearray()
        for i, x in enumerate(line[1:].tolist()):
            a = row[i - step] if i >= step else 0
            c = above[i - step] if i >= step else 0
            b = above[i]
            row.append((x + (0, a, b, (a + b) // 2, paeth(a, b, c))[f]) & 255)
        above = bytes(row)
        rows.append(above)
    return rows


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from([1, 2, 3, 4, 6, 8]), st.integers(0, 2**32 - 1))
def test_filters_are_undone_by_the_slow_reference(height, pixels, step, seed):
    rng = np.random.default_rng(seed)
    smooth = rng.integers(0, 2) == 0
    rows = rng.integers(0, 256, (height, pixels * step), dtype=np.uint8)
    if smooth:
        rows = np.cumsum(rows // 60, axis=1, dtype=np.uint8)
    above = rng.integers(0, 256, pixels * step, dtype=np.uint8)
    out = filter_rows(rows, above, step)
    assert unfiltered(out, above.tobytes(), step) == [r.tobytes() for r in rows]


def test_paeth_for_all_neighbours():
    from tratto.imaging.io.png_write import _paeth

    # the predictor only depends on differences: 52 values in steps of 5, both ends included, and all their triples
    values = np.arange(0, 256, 5, dtype=np.uint8)
    a, b, c = (v.ravel() for v in np.meshgrid(values, values, values))
    expected = [paeth(*t) for t in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)]
    assert _paeth(a, b, c).tolist() == expected


def test_filter_choice_is_the_smallest_sum_of_differences():
    # a horizontal ramp: Sub leaves ones, everything else more
    row = np.arange(0, 200, dtype=np.uint8)[None]
    out = filter_rows(row, np.zeros(200, np.uint8), 1)
    assert out[0, 0] == 1
    assert out[0, 1:].tolist() == [0] + [1] * 199
    # equal to the row above: Up leaves nothing
    out = filter_rows(row, row[0], 1)
    assert out[0, 0] == 2
    assert not out[0, 1:].any()


@pytest.mark.parametrize(("depth", "color"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2)])
def test_colour_key_becomes_alpha(depth, color):
    rng = np.random.default_rng(1)
    samples = rng.integers(0, min(4, 1 << depth), (9, 8, CHANNELS[color]), dtype=np.uint16)
    key = samples[4, 4]
    image = read_image(encode(samples, depth, color, before=[chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))]))
    expected = np.where((samples == key).all(-1), 0, (1 << depth) - 1)
    assert np.array_equal(image.alpha, expected)
    assert (expected == 0).any()


def test_low_depth_alpha_goes_back_to_a_colour_key(tmp_path):
    pixels = np.array([[0, 1, 2, 3], [3, 3, 1, 2]], np.uint8)
    image = Image(pixels, ColorMode.GRAY, 2, np.where(pixels == 1, 0, 3).astype(np.uint8))
    for fmt in ("png", "tiff"):
        write_image(image, tmp_path / "a", fmt)
        back = read_image(tmp_path / "a")
        assert (back.bits, back.alpha.tolist()) == (2, [[3, 0, 3, 3], [3, 3, 0, 3]])
        assert digest(back) == digest(image)
    # half clear cannot be a key: the depth rises, the values stay what they meant
    soft = image.replace(alpha=np.full((2, 4), 1, np.uint8))
    write_image(soft, tmp_path / "b", "png")
    back = read_image(tmp_path / "b")
    assert back.bits == 8
    assert np.array_equal(back.pixels, pixels * 85)
    assert (back.alpha == 85).all()


@pytest.mark.parametrize("level", [0, 1, 4, 9])
@pytest.mark.parametrize("kind", ["photo", "pattern"])
def test_levels_and_search_strategies(tmp_path, level, kind):
    from tratto.imaging.io import WriteOptions

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    # the same noise again and again: only a search over some distance finds that
    pixels = np.tile(noise, (1, 6, 1)) if kind == "pattern" else np.cumsum(noise // 64, axis=1, dtype=np.uint8)
    write_image(Image(pixels, ColorMode.RGB), tmp_path / "a.png", "png", WriteOptions(level=level))
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, pixels)
    size = (tmp_path / "a.png").stat().st_size
    assert size > pixels.size if level == 0 else size < (0.25 if kind == "pattern" else 0.5) * pixels.size


def test_text_in_all_its_forms():
    texts = [
        chunk(b"tEXt", b"A\0caf\xe9"),
        chunk(b"zTXt", b"B\0\0" + zlib.compress(b"x" * 1000)),
        chunk(b"iTXt", b"C\0\0\0it\0T\xc3\xa0\0" + "\u5b57".encode()),
        chunk(b"iTXt", b"D\0\x01\0\0\0" + zlib.compress("\u00e9".encode())),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        chunk(b"tEXt", b"=cmd|' /C calc'!A0\0=1+1"),
    ]
    image = read_image(encode(np.zeros((2, 2, 1), np.uint16), 8, 0, before=texts))
    expected = (("A", "caf\xe9"), ("B", "x" * 1000), ("C", "\u5b57"), ("D", "\u00e9"), ("=cmd|' /C calc'!A0", "=1+1"))
    assert image.meta.text == expected
    assert image.meta.xmp == b"<x/>"


def test_language_tags_come_back(tmp_path):
    text = chunk(b"iTXt", b"C\0\0\0it\0T\xc3\xa0\0" + "\u5b57".encode())
    image = read_image(encode(np.zeros((2, 2, 1), np.uint16), 8, 0, before=[text]))
    write_image(image, tmp_path / "a.png", "png")
    assert text in (tmp_path / "a.png").read_bytes()


def test_raw_profiles_of_other_programs():
    body = b"\niptc\n      12\n" + b"8BIM\x04\x04\0\0\0\0\0\0".hex().encode() + b"\n"
    image = read_image(
        encode(
            np.zeros((2, 2, 1), np.uint16),
            8,
            0,
            before=[chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(body))],
        )
    )
    assert image.meta.iptc == b"8BIM\x04\x04\0\0\0\0\0\0"
    assert image.meta.text == ()


def test_colour_chunks_come_back(tmp_path):
    chunks = [
        chunk(b"gAMA", struct.pack(">I", 45455)),
        chunk(b"cHRM", bytes(range(32))),
        chunk(b"sBIT", b"\x05\x06\x05"),
        chunk(b"bKGD", bytes(6)),
    ]
    image = read_image(encode(np.zeros((2, 2, 3), np.uint16), 8, 2, before=chunks))
    write_image(image, tmp_path / "a.png", "png")
    data = (tmp_path / "a.png").read_bytes()
    assert all(c in data for c in chunks)
    # significant bits of three channels say nothing about a grey picture
    gray = Image(image.pixels[..., 0].copy(), ColorMode.GRAY, meta=image.meta)
    write_image(gray, tmp_path / "b.png", "png")
    data = (tmp_path / "b.png").read_bytes()
    assert chunks[0] in data
    assert b"sBIT" not in data
    assert b"bKGD" not in data


@pytest.mark.parametrize("dpi", [1, 72, 96, 150, 240, 300, 600, 1200, 2400])
def test_whole_resolutions_survive_metres(dpi):
    assert dpi_from_metre(metre_from_dpi(dpi)) == float(dpi)


@given(st.integers(1, 2**31 - 1))
def test_resolution_is_stable(per_metre):
    assert metre_from_dpi(dpi_from_metre(per_metre)) == per_metre


def test_known_resolution():
    assert metre_from_dpi(300) == 11811
    assert dpi_from_metre(2835) == 72.0
    assert dpi_from_metre(2800) == 71.12


# ------------------------------------------------------------------------------------------------------- animation


def apng(frames: list[np.ndarray], dispose=0, blend=0, default_first=True) -> bytes:
    """frames: full-size (H, W, 4)."""
    height, width, _ = frames[0].shape
    out = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))]
    out.append(chunk(b"acTL", struct.pack(">II", len(frames), 0)))
    number = 0
    if not default_first:
        out.append(chunk(b"IDAT", zlib.compress(filtered(pack_rows(frames[0] * 0, 8), 4, 0))))
    for n, frame in enumerate(frames):
        out.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, dispose, blend)))
        number += 1
        data = zlib.compress(filtered(pack_rows(frame, 8), 4, None))
        if n == 0 and default_first:
            out.append(chunk(b"IDAT", data))
        else:
            out.append(chunk(b"fdAT", struct.pack(">I", number) + data))
            number += 1
    return b"".join([*out, chunk(b"IEND")])


def test_restored_frames_stand_alone():
    """Put back to what was before (nothing), each frame shows itself alone. Pillow 13 draws them over each other."""
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (6, 7, 4), dtype=np.uint8) for _ in range(4)]
    for frame in frames:
        frame[..., 3] = np.where(frame[..., 3] < 128, 0, 255)
    data = apng(frames, dispose=2, blend=1)
    for n, frame in enumerate(frames):
        image = read_image(data, page=n)
        assert np.array_equal(image.alpha, frame[..., 3])
        assert np.array_equal(image.pixels[image.alpha > 0], frame[frame[..., 3] > 0][:, :3])


@pytest.mark.parametrize(("dispose", "blend"), [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)])
def test_animation_frames_match_pillow(dispose, blend):
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 256, (6, 7, 4), dtype=np.uint8) for _ in range(4)]
    for frame in frames:
        # fully clear or solid: the mixtures between are rounded differently by every program
        frame[..., 3] = np.where(frame[..., 3] < 128, 0, 255)
    data = apng(frames, dispose, blend)
    assert count_pages(data) == 4
    with Pillow.open(io.BytesIO(data)) as seen:
        for n in range(4):
            seen.seek(n)
            expected = np.asarray(seen.convert("RGBA"))
            image = read_image(data, page=n)
            alpha = np.full((6, 7), 255, np.uint8) if image.alpha is None else image.alpha
            assert np.array_equal(alpha, expected[..., 3])
            visible = alpha > 0
            assert np.array_equal(image.pixels[visible], expected[visible][:, :3])


def test_default_picture_outside_the_animation_is_page_zero():
    frames = [np.full((3, 3, 4), v, np.uint8) for v in (200, 100)]
    data = apng(frames, default_first=False)
    assert count_pages(data) == 3
    assert read_image(data, page=0).pixels.max() == 0
    assert (read_image(data, page=2).pixels == 100).all()
    with pytest.raises(InputError, match="no page 3"):
        read_image(data, page=3)


def test_many_frames_are_refused():
    data = apng([np.zeros((1, 1, 4), np.uint8)] * 30)
    with pytest.raises(PictureTooLarge, match="limit is 20"):
        count_pages(data, Limits(max_pages=20))


# ------------------------------------------------------------------------------------------------------------- maps


def test_map_is_readable_by_pillow(tmp_path):
    array = np.random.default_rng(0).integers(0, 65536, (301, 77), dtype=np.uint16)
    encode_png16_gray(tmp_path / "m.png", array, {"unit": "Delta-E / 100", "note": "\u03c3"}, orientation=8)
    with Pillow.open(tmp_path / "m.png") as seen:
        assert seen.mode == "I;16"
        assert np.array_equal(np.asarray(seen), array)
        assert seen.text == {"unit": "Delta-E / 100", "note": "\u03c3"}
        assert seen.getexif()[0x0112] == 8
    image = read_image(tmp_path / "m.png")
    assert (image.meta.orientation, image.bits) == (8, 16)


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 3), np.uint8), np.zeros((3, 3, 1), np.uint16), np.zeros((0, 3), np.uint16)]
)
def test_map_refuses_other_arrays(tmp_path, bad):
    from tratto.core.errors import OutputError

    with pytest.raises(OutputError, match="uint16"):
        encode_png16_gray(tmp_path / "m.png", bad, {})
    assert list(tmp_path.iterdir()) == []


def test_index_out_of_range_is_refused_both_ways(tmp_path):
    from tratto.core.errors import OutputError

    samples = np.array([[[0], [1], [2]]], np.uint16)
    data = encode(samples, 8, 3, before=[chunk(b"PLTE", bytes(6))])
    with pytest.raises(CorruptPicture, match="palette index of 2"):
        read_image(data)
    image = Image(samples[..., 0].astype(np.uint8), ColorMode.PALETTE, 8, palette=np.zeros((2, 4), np.uint8))
    with pytest.raises(OutputError, match="of 2"):
        write_image(image, tmp_path / "a.png", "png")


def test_pillow_reads_what_is_written(tmp_path):
    rng = np.random.default_rng(2)
    meta = Metadata(dpi=(300.0, 300.0), text=(("k", "v"),))
    for shape, mode in (((40, 30), "L"), ((40, 30, 3), "RGB")):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        write_image(
            Image(pixels, ColorMode.GRAY if mode == "L" else ColorMode.RGB, meta=meta), tmp_path / "a.png", "png"
        )
        with Pillow.open(tmp_path / "a.png") as seen:
            assert seen.mode == mode
            assert np.array_equal(np.asarray(seen), pixels)
            assert seen.text == {"k": "v"}


FRAME = struct.pack(">IIIIIHHBB", 0, 4, 4, 0, 0, 1, 1, 0, 0)
BROKEN = {
    "a profile that is no stream": chunk(b"iCCP", b"p\0\0nothing"),
    "a profile cut short": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(999))[:-3]),
    "a profile packed in an unknown way": chunk(b"iCCP", b"p\0\1" + zlib.compress(bytes(999))),
    "a text that is no stream": chunk(b"zTXt", b"k\0\0nothing"),
    "an international text that is no stream": chunk(b"iTXt", b"k\0\1\0\0\0nothing"),
    "an international text without fields": chunk(b"iTXt", b"k\0\1"),
    "a check sum": chunk(b"tEXt", b"k\0abc")[:-1] + b"?",
    "frames that nothing announces": chunk(b"fcTL", FRAME),
    "a frame outside the picture that nothing announces": chunk(b"fcTL", FRAME.replace(b"\4", b"\x44")),
    "data of frames that nothing announces": chunk(b"fdAT", bytes(4) + zlib.compress(bytes(20))),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_block_is_lost_and_not_the_picture(broken):
    out = io.BytesIO()
    Pillow.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(out, "PNG")
    data = out.getvalue()
    at = data.index(b"IDAT") - 4
    image = read_image(data[:at] + broken + data[at:])
    np.testing.assert_array_equal(image.pixels, np.arange(48).reshape(4, 4, 3))
    assert image.meta.icc is None
    assert image.meta.text == ()
    assert len(notes_of(image)) == 1
    assert count_pages(data[:at] + broken + data[at:]) == 1


@pytest.mark.parametrize(("color", "key"), [(0, (0x0105,)), (2, (0x0101, 0x7F02, 0x0203))])
def test_a_colour_key_is_cut_to_the_depth(color, key):
    channels = len(key)
    pixels = np.full((4, 4, channels), 200, np.uint8)
    pixels[:2] = [k & 255 for k in key]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", 4, 4, 8, color, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tRNS", struct.pack(f">{channels}H", *key))
    alpha = read_image(data + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")).alpha
    np.testing.assert_array_equal(alpha, [[0] * 4] * 2 + [[255] * 4] * 2)
