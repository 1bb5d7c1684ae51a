"""Arrays, Pillow pictures, palettes, orientation, masks and digests."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps

from tratto.core.errors import InputError, OptionError, UnsupportedFormat
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import (
    digest,
    expand_palette,
    image_from_array,
    image_from_pil,
    oriented,
    read_image,
    to_eight_bits,
    to_palette,
    unoriented,
)

# ----------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("shape", "mode", "alpha"),
    [
        ((4, 5), ColorMode.GRAY, False),
        ((4, 5, 1), ColorMode.GRAY, False),
        ((4, 5, 2), ColorMode.GRAY, True),
        ((4, 5, 3), ColorMode.RGB, False),
        ((4, 5, 4), ColorMode.RGB, True),
    ],
)
def test_arrays_keep_their_samples(dtype, shape, mode, alpha):
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    image = image_from_array(array)
    assert (image.mode, image.bits) == (mode, 8 * np.dtype(dtype).itemsize)
    parts = [image.pixels] if image.alpha is None else [image.pixels, image.alpha]
    assert np.array_equal(np.dstack(parts), np.atleast_3d(array))
    assert (image.alpha is not None) is alpha


def test_float_arrays_become_sixteen_bits():
    image = image_from_array(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert image.bits == 16
    assert image.pixels.tolist() == [[0, 32768, 65535]]
    assert image_from_array(np.array([[0.0, 0.25, 1.0]], np.float64)).pixels.tolist() == [[0, 16384, 65535]]


def test_bool_and_big_endian_arrays():
    image = image_from_array(np.array([[True, False]]))
    assert (image.bits, image.pixels.tolist()) == (1, [[1, 0]])
    image = image_from_array(np.array([[1, 256]], ">u2"))
    assert image.pixels.dtype == np.uint16
    assert image.pixels.tolist() == [[1, 256]]


@pytest.mark.parametrize(
    "bad",
    [
        np.array([[0.0, np.nan]]),
        np.array([[0.0, 1.001]]),
        np.array([[-0.001, 1.0]]),
        np.array([[np.inf]]),
        np.zeros((3, 3), np.int32),
        np.zeros((3, 3), np.complex64),
        np.zeros((3, 3, 5), np.uint8),
        np.zeros((3,), np.uint8),
        np.zeros((0, 3), np.uint8),
        np.zeros((2, 2, 3), bool),
        [[1, 2]],
    ],
)
def test_bad_arrays(bad):
    with pytest.raises(InputError):
        image_from_array(bad)


# ----------------------------------------------------------------------------------------------------------- Pillow


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_samples_of_pillow(mode):
    photo = Pillow.fromarray(skimage.data.astronaut()[:30, :40])
    if mode == "P":
        picture = photo.quantize(100)
    elif mode == "I;16":
        picture = Pillow.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)
    else:
        picture = photo.convert(mode)
    image = image_from_pil(picture)
    samples = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
    assert np.array_equal(samples, np.asarray(picture))
    if mode == "P":
        assert np.array_equal(image.palette[image.pixels, :3], np.asarray(picture.convert("RGB")))


def test_pillow_metadata():
    exif = Pillow.Exif()
    exif[0x0112] = 5
    buffer = io.BytesIO()
    Pillow.new("RGB", (4, 5)).save(buffer, "PNG", exif=exif, dpi=(300, 300), icc_profile=b"profile")
    with Pillow.open(buffer) as picture:
        image = image_from_pil(picture)
    assert image.meta.orientation == 5
    assert image.meta.exif == exif.tobytes()[6:]
    assert image.meta.icc == b"profile"


def test_pillow_transparency_of_a_colour():
    picture = Pillow.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    picture.info["transparency"] = (4, 5, 6)
    assert image_from_pil(picture).alpha.tolist() == [[255, 0]]
    picture = Pillow.fromarray(np.array([[7, 8]], np.uint8))
    picture.info["transparency"] = 7
    assert image_from_pil(picture).alpha.tolist() == [[0, 255]]


@pytest.mark.parametrize("key", [1, b"\xff\x00"])
def test_pillow_transparency_of_a_palette(key):
    picture = Pillow.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.info["transparency"] = key
    image = image_from_pil(picture)
    assert image.palette.tolist()[:3] == [[10, 20, 30, 255], [40, 50, 60, 0], [70, 80, 90, 255]]


@pytest.mark.parametrize("mode", ["F", "HSV", "LAB", "YCbCr"])
def test_pillow_modes_that_are_not_taken(mode):
    with pytest.raises(UnsupportedFormat, match=mode):
        image_from_pil(Pillow.new(mode, (3, 3)))


def test_pillow_wide_integers():
    picture = Pillow.fromarray(np.array([[0, 65535]], np.int32))
    assert image_from_pil(picture).pixels.tolist() == [[0, 65535]]
    with pytest.raises(UnsupportedFormat, match="65535"):
        image_from_pil(Pillow.fromarray(np.array([[0, 65536]], np.int32)))


def test_sixteen_bit_colour_is_rounded_to_eight():
    image = Image(np.array([[[0, 128, 129], [65535, 32768, 257]]], np.uint16), ColorMode.RGB, 16)
    # 128 / 257 = 0.498, 129 / 257 = 0.502
    assert to_eight_bits(image).pixels.tolist() == [[[0, 0, 1], [255, 128, 1]]]


@pytest.mark.parametrize("bits", [1, 2, 4, 16])
def test_eight_bits(bits):
    top = (1 << bits) - 1
    values = np.arange(top + 1, dtype=np.uint16 if bits == 16 else np.uint8)[None]
    image = to_eight_bits(Image(values, ColorMode.GRAY, bits, values.copy()))
    assert np.array_equal(image.pixels[0], np.floor(values[0] * (255.0 / top) + 0.5))
    assert np.array_equal(image.alpha, image.pixels)


# --------------------------------------------------------------------------------------------------------- palettes


def palette_picture(bits: int = 4, entries: int | None = None, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    entries = entries or 1 << bits
    palette = rng.integers(0, 256, (entries, 4), dtype=np.uint8)
    palette[:, 3] = 255
    return Image(rng.integers(0, entries, (24, 30), dtype=np.uint8), ColorMode.PALETTE, bits, palette=palette)


def test_expanding_a_palette():
    image = palette_picture()
    wide = expand_palette(image)
    assert (wide.mode, wide.bits, wide.alpha) == (ColorMode.RGB, 8, None)
    assert np.array_equal(wide.pixels, image.palette[image.pixels, :3])
    palette = image.palette.copy()
    palette[3, 3] = 9
    wide = expand_palette(image.replace(palette=palette))
    assert np.array_equal(wide.alpha == 9, image.pixels == 3)
    assert expand_palette(wide) is wide
    with pytest.raises(InputError, match="out of range"):
        expand_palette(image.replace(palette=palette[:3]))


def test_unchanged_palette_picture_comes_back():
    image = palette_picture()
    back = to_palette(expand_palette(image), image, np.zeros((24, 30), bool))
    assert np.array_equal(back.pixels, image.pixels)
    assert np.array_equal(back.palette, image.palette)


def test_unchanged_pixels_keep_their_index_even_among_equal_colours():
    image = palette_picture()
    palette = image.palette.copy()
    palette[7] = palette[3]
    image = image.replace(palette=palette)
    changed = np.zeros((24, 30), bool)
    changed[5:9, 5:9] = True
    wide = expand_palette(image)
    pixels = wide.pixels.copy()
    pixels[changed] = 1, 2, 3
    back = to_palette(wide.replace(pixels=pixels), image, changed)
    assert np.array_equal(back.pixels[~changed], image.pixels[~changed])


def test_new_colours_go_into_free_slots_exactly():
    image = palette_picture(bits=8, entries=10)
    changed = np.zeros((24, 30), bool)
    changed[:10] = True
    wide = expand_palette(image)
    pixels = wide.pixels.copy()
    pixels[:10] = np.random.default_rng(5).integers(0, 256, (30, 3), dtype=np.uint8)[None]
    edited = wide.replace(pixels=pixels)
    back = to_palette(edited, image, changed)
    # 30 new colours, 246 slots: nothing is lost
    assert np.array_equal(expand_palette(back).pixels, pixels)
    assert np.array_equal(back.palette[:10], image.palette)


def test_colours_are_reduced_when_there_is_no_room():
    photo = skimage.data.astronaut()[:64, :64]
    source = image_from_pil(Pillow.fromarray(photo).quantize(16))
    source = source.replace(bits=4)
    changed = np.zeros((64, 64), bool)
    changed[:, 32:] = True
    # the right half is repainted, so most slots it used are free
    edited = expand_palette(source)
    pixels = edited.pixels.copy()
    pixels[changed] = photo[changed]
    back = to_palette(edited.replace(pixels=pixels), source, changed)
    assert len(back.palette) <= 16
    assert int(back.pixels.max()) < len(back.palette)
    assert np.array_equal(back.pixels[~changed], source.pixels[~changed])
    assert np.array_equal(expand_palette(back).pixels[~changed], edited.pixels[~changed])
    # every changed pixel has the nearest live entry: checked by brute force
    live = np.unique(back.pixels)
    distance = ((pixels[changed][:, None].astype(int) - back.palette[live, :3].astype(int)) ** 2).sum(-1)
    chosen = ((pixels[changed].astype(int) - back.palette[back.pixels[changed], :3].astype(int)) ** 2).sum(-1)
    assert np.array_equal(chosen, distance.min(axis=1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1, 2, 4, 8]), st.floats(0, 1))
def test_palette_properties(seed, bits, share):
    rng = np.random.default_rng(seed)
    image = palette_picture(bits, seed=seed)
    changed = rng.random((24, 30)) < share
    wide = expand_palette(image)
    pixels = wide.pixels.copy()
    pixels[changed] = rng.integers(0, 256, (int(changed.sum()), 3), dtype=np.uint8)
    back = to_palette(wide.replace(pixels=pixels), image, changed)
    assert np.array_equal(back.pixels[~changed], image.pixels[~changed])
    assert np.array_equal(expand_palette(back).pixels[~changed], wide.pixels[~changed])
    assert len(back.palette) <= 1 << bits


def test_to_palette_refuses_what_does_not_fit():
    image = palette_picture()
    wide = expand_palette(image)
    with pytest.raises(InputError, match="sizes differ"):
        to_palette(wide, image, np.zeros((3, 3), bool))
    with pytest.raises(InputError, match="palette source"):
        to_palette(wide, wide, np.zeros((24, 30), bool))


# ------------------------------------------------------------------------------------------------------ orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 2)])
def test_orientation_matches_pillow_and_is_undone(orientation, shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    turned = oriented(array, orientation)
    if array.ndim == 2:
        picture = Pillow.fromarray(array)
        picture.getexif()[0x0112] = orientation
        assert np.array_equal(turned, np.asarray(ImageOps.exif_transpose(picture)))
    assert np.array_equal(unoriented(turned, orientation), array)
    assert np.array_equal(oriented(unoriented(array, orientation), orientation), array)
    assert np.shares_memory(turned, array)


@pytest.mark.parametrize("orientation", [0, 9, -1])
def test_orientation_out_of_range(orientation):
    for call in (oriented, unoriented):
        with pytest.raises(OptionError, match="1-8"):
            call(np.zeros((2, 2)), orientation)


# ----------------------------------------------------------------------------------------------------------- digest


def test_digest_is_the_hash_it_says():
    image = Image(np.array([[1, 256], [2, 3]], np.uint16), ColorMode.GRAY, 16, np.array([[9, 8], [7, 6]], np.uint16))
    header = {"mode": "gray", "bits": 16, "shape": [2, 2], "alpha": True, "palette": None}
    expected = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode() + b"\0")
    expected.update(bytes([1, 0, 0, 1, 2, 0, 3, 0, 9, 0, 8, 0, 7, 0, 6, 0]))
    assert digest(image) == expected.hexdigest()


def test_digest_knows_differences_and_ignores_layout():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = Image(pixels, ColorMode.RGB)
    same = Image(np.asfortranarray(pixels), ColorMode.RGB, meta=Metadata(format="png", icc=b"x"))
    assert digest(image) == digest(same)
    seen = {digest(image), digest(image.replace(alpha=pixels[..., 0].copy()))}
    seen.add(digest(Image(pixels.reshape(4, 2, 3), ColorMode.RGB)))
    seen.add(digest(Image(pixels.reshape(2, 3, 4), ColorMode.CMYK)))
    seen.add(digest(Image(pixels[..., 0] % 2, ColorMode.GRAY, 8)))
    seen.add(digest(Image(pixels[..., 0] % 2, ColorMode.GRAY, 1)))
    one = Image(pixels[..., 0] % 2, ColorMode.PALETTE, 8, palette=np.zeros((2, 4), np.uint8))
    seen.add(digest(one))
    seen.add(digest(one.replace(palette=np.ones((2, 4), np.uint8))))
    changed = pixels.copy()
    changed[1, 3, 2] ^= 1
    seen.add(digest(Image(changed, ColorMode.RGB)))
    assert len(seen) == 9


def test_digest_in_bands(monkeypatch):
    import importlib

    module = importlib.import_module("tratto.imaging.io.digest")
    image = Image(np.arange(700, dtype=np.uint16).reshape(70, 10), ColorMode.GRAY, 16)
    whole = digest(image)
    monkeypatch.setattr(module, "rows_per_band", lambda *_: 3)
    assert module.digest(image) == whole


def test_reading_a_text_stream_is_refused():
    with pytest.raises(InputError, match="binary"):
        read_image(io.StringIO("x"))
    with pytest.raises(InputError, match="expected a path"):
        read_image(12)
