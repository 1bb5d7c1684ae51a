"""What must not change comes back as it went in: modes x formats x depths x profiles x orientations, end to end.

Every combination runs twice: at strength 0 (everything must be identical) and with a 16 x 16 mask at full strength,
where everything outside must be identical and something inside must not, so that a copy of the file cannot pass.
"""

import io as stdio
import itertools

import numpy as np
import pytest
from PIL import Image as Pil
from PIL import ImageCms

import tratto
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging import io
from tratto.jobs import SaveOptions, Session
from tratto.provenance.xmp import read_marks

H, W = 40, 56
SESSION = Session()


def profile(kind):
    if kind == "none":
        return None
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB" if kind == "srgb" else "LAB"))
    return made.tobytes()


def exif_block(orientation):
    exif = Pil.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker & Söhne"
    exif[0x9286] = b"ASCII\0\0\0a note"
    return exif.tobytes()[6:]  # without the Exif\0\0 prefix


def build(mode, bits, alpha, icc, orientation, seed=0):
    rng = np.random.default_rng(seed)
    dtype = np.uint16 if bits == 16 else np.uint8
    channels = {"gray": (), "rgb": (3,), "cmyk": (4,), "palette": ()}[mode]
    top = 2**bits
    y, x = np.mgrid[:H, :W]
    smooth = (0.5 + 0.3 * np.sin(x / 6) * np.cos(y / 5)) * (top - 1)
    px = np.clip(smooth.reshape(H, W, *(1,) * len(channels)) + rng.normal(0, top / 12, (H, W, *channels)), 0, top - 1)
    return Image(
        px.astype(dtype),
        ColorMode(mode),
        bits,
        rng.integers(0, top, (H, W)).astype(dtype) if alpha else None,
        rng.integers(0, 256, (top, 4), np.uint8) | np.array([0, 0, 0, 255], np.uint8) if mode == "palette" else None,
        Metadata(
            icc=profile(icc),
            exif=exif_block(orientation),
            xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
            orientation=orientation,
            dpi=(300.0, 300.0),
        ),
    )


KINDS = [
    ("png", "gray", 8, False),
    ("png", "gray", 16, False),
    ("png", "gray", 8, True),
    ("png", "gray", 16, True),
    ("png", "gray", 1, False),
    ("png", "gray", 4, False),
    ("png", "rgb", 8, False),
    ("png", "rgb", 8, True),
    ("png", "rgb", 16, False),
    ("png", "rgb", 16, True),
    ("png", "palette", 8, False),
    ("png", "palette", 4, False),
    ("tiff", "gray", 8, False),
    ("tiff", "gray", 16, False),
    ("tiff", "rgb", 8, False),
    ("tiff", "rgb", 8, True),
    ("tiff", "rgb", 16, False),
    ("tiff", "rgb", 16, True),
    ("tiff", "cmyk", 8, False),
    ("tiff", "cmyk", 16, False),
    ("webp", "rgb", 8, False),
    ("webp", "rgb", 8, True),
    ("bmp", "rgb", 8, False),
    ("bmp", "gray", 8, False),
]
CARRIES = {
    "png": ("icc", "exif", "xmp", "dpi"),
    "tiff": ("icc", "xmp", "dpi"),
    "webp": ("icc", "exif", "xmp"),
    "bmp": (),
}
CASES = [
    (*kind, icc, orientation)
    for kind, (icc, orientation) in itertools.product(KINDS, [("none", 1), ("srgb", 6), ("lab", 3)])
    if kind[0] != "bmp" or (icc, orientation) == ("none", 1)
]


def same_picture(a, b):
    assert a.mode == b.mode
    assert a.bits == b.bits
    assert a.pixels.dtype == b.pixels.dtype
    np.testing.assert_array_equal(a.pixels, b.pixels)
    assert (a.alpha is None) == (b.alpha is None)
    if a.alpha is not None:
        np.testing.assert_array_equal(a.alpha, b.alpha)
    if a.palette is not None:
        np.testing.assert_array_equal(a.palette, b.palette)


def same_metadata(a, b, fmt, changed=False):
    for name in CARRIES[fmt]:
        if name == "xmp" and changed:  # what was done is added; see tests/provenance/test_xmp.py
            assert read_marks(b.meta.xmp).status == "evidence-based restoration"
        elif name == "dpi":
            np.testing.assert_allclose(b.meta.dpi, a.meta.dpi, rtol=1e-3)
        else:
            assert getattr(b.meta, name) == getattr(a.meta, name), name
    assert b.meta.orientation == a.meta.orientation


def square_mask():
    mask = np.zeros((H, W), np.float32)
    mask[12:28, 20:36] = 1
    return mask


def test_there_are_at_least_sixty_combinations():
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
def test_round_trip(case, tmp_path):
    fmt, mode, bits, alpha, icc, orientation = case
    built = build(mode, bits, alpha, icc, orientation)
    path = tmp_path / f"in.{ {'tiff': 'tif'}.get(fmt, fmt) }"
    io.write_image(built, path, fmt)
    source = io.read_image(path)
    same_picture(built, source)

    keep = SaveOptions(format="keep")
    none = SESSION.restore(path, tratto.RestoreOptions(strength=0.0, force=True, provider="nlm"))
    assert none.records
    out = tmp_path / f"none{path.suffix}"
    SESSION.save(none, out, keep, source=path)
    again = io.read_image(out)
    same_picture(source, again)
    same_metadata(source, again, fmt)
    assert not none.edit_map.any()

    stored = square_mask()
    shown = io.oriented(stored, source.meta.orientation)
    part = SESSION.restore(path, tratto.RestoreOptions(force=True, provider="nlm"), mask=shown)
    out = tmp_path / f"part{path.suffix}"
    SESSION.save(part, out, keep, source=path)
    again = io.read_image(out)
    assert (again.mode, again.bits) == (source.mode, source.bits)
    outside = stored == 0
    np.testing.assert_array_equal(again.pixels[outside], source.pixels[outside])
    if source.alpha is not None:
        np.testing.assert_array_equal(again.alpha, source.alpha)
    changed = again.pixels != source.pixels
    if mode != "palette" and bits > 1:
        assert changed.any()
    assert (part.edit_map[outside] == 0).all()
    same_metadata(source, again, fmt, bool(part.edit_map.any()))


REAL = {  # one of each kind among the examples
    "coins.png": (ColorMode.GRAY, 8),
    "galaxies.png": (ColorMode.RGB, 8),
    "cat.jpg": (ColorMode.RGB, 8),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_at_strength_zero(name, tmp_path, request):
    path = request.config.rootpath / "examples" / "pictures" / name
    result = SESSION.restore(path, tratto.RestoreOptions(strength=0.0, force=True, provider="nlm"))
    SESSION.save(result, tmp_path / "out.png", source=path)
    source, again = io.read_image(path), io.read_image(tmp_path / "out.png")
    same_picture(source, again)
    assert (again.mode, again.bits) == REAL[name]
    assert again.meta.icc == source.meta.icc
    assert again.meta.exif == source.meta.exif


def test_a_cmyk_jpeg_goes_to_tiff_with_every_ink(tmp_path):
    rng = np.random.default_rng(0)
    inks = np.clip(128 + rng.normal(0, 30, (H, W, 4)), 0, 255).astype(np.uint8)
    data = stdio.BytesIO()
    Pil.frombytes("CMYK", (W, H), inks.tobytes()).save(data, "JPEG", quality=95)
    (tmp_path / "inks.jpg").write_bytes(data.getvalue())
    result = SESSION.restore(tmp_path / "inks.jpg", tratto.RestoreOptions(strength=0.0, force=True, provider="nlm"))
    assert SESSION.output_format(result.image, SaveOptions()) == "tiff"
    SESSION.save(result, tmp_path / "out.tif", SaveOptions(), source=tmp_path / "inks.jpg")
    same_picture(io.read_image(tmp_path / "inks.jpg"), io.read_image(tmp_path / "out.tif"))
