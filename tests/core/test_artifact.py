import hashlib
import struct
from dataclasses import fields, replace

import numpy as np
import pytest

from tratto.core.artifact import Artifact, PictureArtifact, Scene, main_role
from tratto.core.canvas import whole_scale
from tratto.core.errors import InputError, OptionError
from tratto.core.image import ColorMode, Image
from tratto.core.recipe import as_now
from tratto.imaging.artifact import Picture, Sheet
from tratto.imaging.io import digest, read_image


def scene(degree=1):
    at = np.array([[0, 1, -2], [0.5, 3, 4]], np.float32)
    made = Scene.of_points(at, np.array([[1, 2, 3], [255, 0, 9]], np.uint8), 0.1)
    sh = np.arange(2 * (degree + 1) ** 2 * 3, dtype=np.float32).reshape(2, -1, 3)
    return replace(made, harmonics=sh, seen=np.array([1, 0], np.uint8))


def picture(height=4, width=6, mode=ColorMode.GRAY):
    shape = (height, width) if mode is ColorMode.GRAY else (height, width, 4)
    return Image(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), mode)


def test_the_digest_of_a_scene_against_its_description():
    size = np.float32(np.log(np.float32(0.1)))
    rows = []
    for g, (at, seen) in enumerate([((0, 1, -2), 1), ((0.5, 3, 4), 0)]):
        sh = np.arange(12 * g, 12 * g + 12).reshape(4, 3)
        higher = sh[1:].T.ravel()  # all of red, then green, then blue
        rows.append(struct.pack("<27f", *at, 0, 0, 0, *sh[0], *higher, 0, size, size, size, 1, 0, 0, 0, seen))
    expected = hashlib.sha256(b"tratto/scene/2 2 4\n" + b"".join(sorted(rows))).hexdigest()
    assert scene().digest() == expected
    turned = Scene(**{f.name: np.ascontiguousarray(getattr(scene(), f.name)[::-1]) for f in fields(Scene)})
    assert turned.digest() == expected
    assert scene().facts() == {
        "scene": {"gaussians": 2, "degree": 1, "seen": 1, "low": [0.0, 1.0, -2.0], "high": [0.5, 3.0, 4.0]}
    }


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_scene_comes_back_from_its_file(tmp_path, degree):
    scene(degree).write(tmp_path / "a.ply")
    data = (tmp_path / "a.ply").read_bytes()
    assert data.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 2\nproperty float x\n")
    assert len(data.partition(b"end_header\n")[2]) == 2 * 4 * (15 + 3 * (degree + 1) ** 2)
    back = Scene.read(tmp_path / "a.ply", 2, degree)
    assert back.digest() == scene(degree).digest()
    for field in fields(Scene):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(scene(degree), field.name))


@pytest.mark.parametrize(
    ("data", "gaussians", "degree"),
    [
        (b"", 2, 1),
        (b"ply\n", 2, 1),
        (None, 3, 1),
        (None, 10**9, 1),
        (None, 2, 0),
        (None, 2, 9),
        ("cut", 2, 1),
        ("long", 2, 1),
        ("nan", 2, 1),
        ("neither", 2, 1),
    ],
)
def test_what_is_no_such_scene_is_refused(tmp_path, data, gaussians, degree):
    path = tmp_path / "a.ply"
    scene().write(path)
    whole = path.read_bytes()
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data == "cut":
        path.write_bytes(whole[:-1])
    elif data == "long":
        path.write_bytes(whole + b"\0")
    elif data == "nan":
        path.write_bytes(whole[:-8] + struct.pack("<f", float("nan")) + whole[-4:])
    elif data == "neither":
        path.write_bytes(whole[:-4] + struct.pack("<f", 0.5))
    with pytest.raises(InputError):
        Scene.read(path, gaussians, degree)


@pytest.mark.parametrize(
    "change",
    [
        {"positions": np.zeros((2, 3))},
        {"positions": np.full((2, 3), np.inf, np.float32)},
        {"rotations": np.zeros((2, 4), np.float32)},
        {"scales": np.zeros((3, 3), np.float32)},
        {"harmonics": np.zeros((2, 5, 3), np.float32)},
        {"seen": np.full(2, 2, np.uint8)},
    ],
)
def test_arrays_that_are_no_scene_are_refused(change):
    with pytest.raises(OptionError):
        replace(scene(), **change)


def test_an_empty_scene_is_refused():
    with pytest.raises(OptionError):
        Scene.of_points(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), 0.1)


@pytest.mark.parametrize("kind", [Picture, Sheet])
@pytest.mark.parametrize(("mode", "ending"), [(ColorMode.GRAY, "png"), (ColorMode.CMYK, "tiff")])
def test_pictures_are_artifacts(tmp_path, kind, mode, ending):
    made = kind(picture(mode=mode))
    assert isinstance(made, Artifact)
    assert isinstance(made, PictureArtifact)
    assert made.format == ending
    made.write(tmp_path / f"a.{ending}")
    assert digest(read_image(tmp_path / f"a.{ending}")) == made.digest()
    assert made.facts()["picture"]["mode"] == mode.value


def test_a_scene_is_an_artifact_and_no_picture():
    assert isinstance(scene(), Artifact)
    assert not isinstance(scene(), PictureArtifact)


def test_the_result_among_what_was_made():
    assert main_role({"sheet": 1, "scene": 2}) == "scene"
    assert main_role({"scene": 2, "picture": 1}) == "picture"
    with pytest.raises(OptionError):
        main_role({})


@pytest.mark.parametrize(
    ("size", "source", "scale"),
    [
        ((8, 12), (4, 6), 2),
        ((4, 6), (4, 6), 1),
        ((8, 6), (4, 6), None),
        ((2, 3), (4, 6), None),
        ((9, 12), (4, 6), None),
    ],
)
def test_whole_scales(size, source, scale):
    assert whole_scale(picture(*size), picture(*source)) == scale


def test_older_wordings_read_as_of_now():
    packed = "iVBORw0KGgoAAAANSUhEUg"
    assert as_now("repaint", {"texture": packed, "edge": 2}) == ("repaint", {"texture": "texture", "edge": 2})
    assert as_now("diffuse", {"texture": packed}) == ("diffuse", {"texture": "texture"})
    assert as_now("repaint", {"texture": ""}) == ("repaint", {"texture": ""})
    assert as_now("denoise", {"texture": packed}) == ("denoise", {"texture": packed})
