"""The library as another program's: file objects in and out, Pillow, hints, and the example of a web service."""

import importlib.util
import io
import typing
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

import tratto
from tratto.core.errors import OptionError, PictureTooLarge
from tratto.imaging.io import Limits, image_from_array, read_image

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
RGB = np.clip(120 + RNG.normal(0, 20, (40, 60, 3)), 0, 255).astype(np.uint8)
WORK = {"provider": "nlm", "force": True}


def file_of(picture, fmt="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, fmt, **options)
    stream.seek(0)
    return stream


# ---------------------------------------------------------------------------------------------------- file objects


def test_file_objects_go_in(tmp_path):
    stream, mask = file_of(Pil.fromarray(RGB)), file_of(Pil.fromarray(np.full((40, 60), 255, np.uint8)))
    result = tratto.restore(stream, mask=mask, **WORK)
    assert result.receipt["inputs"]["picture"]["file"]["bytes"] == len(stream.getvalue())
    plain = tratto.restore(RGB, mask=np.full((40, 60), 255, np.uint8), **WORK)
    np.testing.assert_array_equal(result.image.pixels, plain.image.pixels)
    Pil.fromarray(RGB).save(tmp_path / "a.png")
    with open(tmp_path / "a.png", "rb") as opened:
        assert tratto.inspect(opened).width == 60
    with open(tmp_path / "a.png", encoding="latin-1") as text, pytest.raises(OptionError):
        tratto.restore(text)
    with pytest.raises(PictureTooLarge):
        tratto.restore(file_of(Pil.fromarray(RGB)), session=tratto.Session(limits=Limits(max_bytes=100)))


def test_an_archive_comes_out_that_verifies(tmp_path):
    source = file_of(Pil.fromarray(RGB)).getvalue()
    out = io.BytesIO()
    saved = tratto.save(tratto.restore(source, **WORK), out, source=source)
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path)
    assert str(saved.output) == "result.png"
    assert tratto.verify(tmp_path / saved.output).word == "authentic"
    assert tratto.revert(tmp_path / saved.bundle, tmp_path / "back.png").read_bytes() == source
    out = io.BytesIO()
    tratto.save(tratto.restore(RGB, **WORK), out, tratto.SaveOptions(format="tiff"))
    assert "result.tif" in zipfile.ZipFile(out).namelist()


# ---------------------------------------------------------------------------------------------------------- Pillow


def pil_pictures():
    palette = Pil.fromarray(RGB).quantize(16)
    clear = palette.copy()
    clear.info["transparency"] = bytes([0] + [255] * 15)
    wide = (RGB[..., 0].astype(np.uint16) << 8) + 7
    alpha = np.dstack([RGB, RGB[..., 0]])
    return {
        "1": Pil.fromarray(RGB[..., 0] > 120),
        "L": Pil.fromarray(RGB[..., 0]),
        "LA": Pil.merge("LA", [Pil.fromarray(RGB[..., 0]), Pil.fromarray(RGB[..., 1])]),
        "I;16": Pil.fromarray(wide),
        "P": palette,
        "P, clear": clear,
        "RGB": Pil.fromarray(RGB),
        "RGBA": Pil.fromarray(alpha, "RGBA"),
        "CMYK": Pil.fromarray(RGB).convert("CMYK"),
    }


@pytest.mark.parametrize("name", pil_pictures())
def test_a_picture_left_alone_comes_back_in_its_mode(name):
    given = pil_pictures()[name]
    # with a mask of nothing every sample must be as it was
    made = tratto.restore(given, mask=np.zeros((40, 60), np.float32), **WORK).to_pil()
    assert made.mode == given.mode
    assert made.convert("RGBA").tobytes() == given.convert("RGBA").tobytes()
    assert made.tobytes() == given.tobytes()


def test_colour_of_16_bits_is_rounded():
    samples = np.arange(0, 65536, 16, dtype=np.uint16)[:4095].reshape(35, 39, 3)
    made = np.asarray(image_from_array(samples).to_pil())
    np.testing.assert_array_equal(made, np.rint(samples / 257))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_kept_or_applied(orientation):
    exif = Pil.Exif()
    exif[274] = orientation
    exif[271] = "maker"
    stream = file_of(Pil.fromarray(RGB), exif=exif, icc_profile=b"", dpi=(300, 300))
    image = read_image(stream.getvalue())
    stored, upright = image.to_pil(), image.to_pil(upright=True)
    assert stored.getexif()[274] == orientation
    assert stored.getexif()[271] == "maker"
    np.testing.assert_array_equal(np.asarray(stored), RGB)
    from PIL import ImageOps

    np.testing.assert_array_equal(np.asarray(upright), np.asarray(ImageOps.exif_transpose(Pil.open(stream))))
    assert upright.getexif().get(274, 1) == 1
    again = read_image(file_of(stored, exif=stored.info["exif"], dpi=stored.info["dpi"]).getvalue())
    assert again.meta.orientation == orientation
    assert again.meta.dpi == pytest.approx((300, 300), abs=0.01)


# ----------------------------------------------------------------------------------------------------------- hints


@pytest.mark.parametrize("name", [n for n in tratto.__all__ if not n.startswith("__")])
def test_hints_can_be_asked_for(name):
    thing = getattr(tratto, name)
    typing.get_type_hints(thing)
    for of, method in vars(thing).items() if isinstance(thing, type) else ():
        if callable(method) and hasattr(method, "__annotations__") and not of.startswith("_"):
            typing.get_type_hints(method, localns={"PillowImage": Pil.Image})


def test_hints_of_a_job_are_those_of_its_options():
    import inspect

    hints = typing.get_type_hints(tratto.restore)
    assert hints["scale"] == typing.Literal[1, 2, 3, 4]
    assert hints["return"] is tratto.Result
    assert set(inspect.signature(tratto.restore).parameters) == set(hints) - {"return"}


# ----------------------------------------------------------------------------------------------------- the example


@pytest.fixture(scope="module")
def service():
    testclient = pytest.importorskip("fastapi.testclient")
    spec = importlib.util.spec_from_file_location("web_service", ROOT / "examples" / "web_service.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return testclient.TestClient(module.app)


def test_the_example_restores(service, tmp_path):
    data = file_of(Pil.fromarray(RGB)).getvalue()
    answer = service.post("/restore", files={"file": ("a.png", data)}, params={"scale": 2})
    assert answer.status_code == 200
    assert Pil.open(io.BytesIO(answer.content)).size == (120, 80)
    answer = service.post("/restore", files={"file": ("a.png", data)}, params={"account": True})
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    assert tratto.verify(tmp_path / "result.png").word == "authentic"
    assert tratto.revert(tmp_path / "result.png", tmp_path / "a.png").read_bytes() == data


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_the_example_refuses_in_one_line(service, data):
    answer = service.post("/restore", files={"file": ("a.png", data)})
    assert answer.status_code == 422
    assert "\n" not in answer.json()["detail"]
