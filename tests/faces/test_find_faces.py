"""Finding, measuring and telling faces on a portrait of a person of public record (NASA, in scikit-image)."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage
from skimage import data
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.capability import Use
from tratto.faces import align, mesh
from tratto.jobs import Job
from tratto.jobs.faces import distance, faces_of


def run_cli(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


BOX = (172.0, 67.0, 279.0, 174.0)  # forehead to chin


@pytest.fixture(scope="module")
def portrait():
    return data.astronaut().astype(np.float32) / 255


@pytest.fixture(scope="module")
def services():
    return Job().services()


@pytest.fixture(scope="module")
def face(portrait, services):
    return faces_of(portrait, services)[0]


def placed(portrait, scale, angle=0.0, shape=(512, 512)):
    """The head on grey, at a scale and turned about its middle."""
    matrix = cv2.getRotationMatrix2D((227, 122), -angle, scale)
    matrix[:, 2] += np.array([shape[1] / 2 - 227, shape[0] / 2 - 122])
    return cv2.warpAffine(portrait, matrix, shape[::-1], flags=cv2.INTER_AREA, borderValue=(0.5,) * 3), matrix


def test_one_face_where_it_is(portrait, services):
    found = faces_of(portrait, services)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].found.box, BOX, atol=12)
    assert found[0].found.score > 0.8


@pytest.mark.parametrize("angle", [-45, -25, 25, 45])
def test_turned(portrait, services, face, angle):
    picture, matrix = placed(portrait, 1.0, angle)
    (found,) = faces_of(picture, services)
    expected = align.moved(face.mesh.points[:, :2], matrix)
    eyes = np.linalg.norm(expected[33] - expected[263])
    assert np.linalg.norm(found.mesh.points[:, :2] - expected, axis=1).mean() < 0.06 * eyes
    assert distance(found, face) < 0.35
    assert mesh.pose(found.mesh.points)[2] == pytest.approx(mesh.pose(face.mesh.points)[2] + angle, abs=6)


@pytest.mark.parametrize("width", [20, 54, 400, 480])
def test_small_to_filling(portrait, services, width):
    picture, matrix = placed(portrait, width / 107)
    found = faces_of(picture, services)
    assert len(found) == 1
    box = np.array(found[0].found.box)
    assert (box[2] - box[0]) == pytest.approx(width, rel=0.45)
    middle = align.moved(np.array([[227.0, 122]]), matrix)[0]
    assert np.linalg.norm((box[:2] + box[2:]) / 2 - middle) < 0.25 * width


def test_a_group_in_a_large_picture(portrait, services):
    picture = np.full((1200, 1600, 3), 0.4, np.float32)
    head = cv2.resize(portrait[30:230, 120:340], None, fx=0.55, fy=0.55, interpolation=cv2.INTER_AREA)
    places = [(60, 80), (500, 640), (1000, 1400), (20, 1450), (1050, 30), (640, 1100)]
    for y, x in places:
        picture[y : y + head.shape[0], x : x + head.shape[1]] = head
    found = faces_of(picture, services)
    middles = {tuple(np.round((np.array(f.found.box[:2]) + f.found.box[2:]) / 2 / 100)) for f in found}
    expected = {tuple(np.round((np.array([x, y]) + 0.55 * np.array([106, 91])) / 100)) for y, x in places}
    assert middles == expected


def test_partly_hidden(portrait, services):
    hidden = portrait.copy()
    hidden[130:175, 180:280] = 0.3  # the mouth
    assert len(faces_of(hidden, services)) == 1


@pytest.mark.parametrize("name", ["coffee", "rocket", "grass", "moon", "page"])
def test_none_is_an_answer(services, name):
    shown = getattr(data, name)()
    shown = np.repeat(shown[..., None], 3, axis=2) if shown.ndim == 2 else shown
    assert faces_of(shown.astype(np.float32) / 255, services) == ()


def test_tiny_and_flat_pictures(services):
    for shape in ((1, 1), (1, 300), (9, 7)):
        assert faces_of(np.full((*shape, 3), 0.5, np.float32), services) == ()


def test_mirrored_points_lie_mirrored(portrait, services, face):
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    (found,) = faces_of(mirrored, services)
    swapped = [263, 362, 133, 33, 1, 291, 61]  # the seven, seen from the other side
    expected = face.mesh.points[swapped, :2] * [-1, 1] + [portrait.shape[1] - 1, 0]
    eyes = np.linalg.norm(expected[0] - expected[3])
    assert np.linalg.norm(found.mesh.points[list(mesh.SEVEN), :2] - expected, axis=1).mean() < 0.05 * eyes


def test_the_same_face_after_compression_and_at_half_size(portrait, services, face):
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", np.round(portrait * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.float32) / 255
    for other in (small, decoded):
        assert distance(faces_of(other, services)[0], face) < 0.3


def test_the_vector_is_never_shown(face):
    told = face.to_json(points=True)
    assert set(told) == {"box", "score", "presence", "pose", "points"}
    assert np.shape(told["points"]) == (468, 3)
    assert str(face).count(",") < 10  # a box and a score, no 128 numbers


def test_deterministic(portrait, services):
    once = services.open(Use("face")).find(portrait)
    again = services.open(Use("face")).find(portrait)
    assert [f.box for f in once] == [f.box for f in again]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "portrait.png"
    PilImage.fromarray(data.astronaut()).save(path)
    return path


def test_the_command(picture, tmp_path):
    done = run_cli("faces", picture, "--json", "--compare", picture, "--overlay", tmp_path / "o.png", "--mask",
                   tmp_path / "m.png")  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (face,) = told["faces"]
    np.testing.assert_allclose(face["box"], BOX, atol=12)
    assert set(face["points"]) == {str(i) for i in mesh.SEVEN}
    assert told["distances"] == [[0.0]]
    assert told["compared"][0]["distances"] == [[0.0]]
    mask = np.asarray(PilImage.open(tmp_path / "m.png"))
    assert mask.shape == (512, 512)
    assert 0.01 < (mask > 0).mean() < 0.06
    overlay = np.asarray(PilImage.open(tmp_path / "o.png"))
    changed = (overlay != data.astronaut()).any(axis=2)
    assert changed[80:160, 190:270].any()
    assert not changed[300:].any()


def test_the_command_without_a_face(tmp_path):
    path = tmp_path / "coffee.png"
    PilImage.fromarray(data.coffee()).save(path)
    done = run_cli("faces", path)
    assert done.exit_code == 0
    assert "no faces" in done.stdout


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--face", "2"], 2),
        (["--face", "0"], 2),
        (["--overlay", "portrait.png"], None),
        (["--mask", "m.jpg"], None),
        (["--overlay", "same.png", "--mask", "same.png"], 2),
        (["--compare", "missing.png"], None),
    ],
)
def test_the_command_refuses(picture, tmp_path, monkeypatch, more, code):
    monkeypatch.chdir(tmp_path)
    before = picture.read_bytes()
    done = run_cli("faces", picture, *more)
    assert done.exit_code not in (0, 1)
    assert code is None or done.exit_code == code
    assert "Traceback" not in done.output
    assert picture.read_bytes() == before
    assert not (tmp_path / "same.png").exists()
