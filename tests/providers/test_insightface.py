"""Published face networks, on tiny random ones with their inputs and outputs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from skimage import data
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.capability import FaceBox, FaceDetector, FaceIdentity, FaceLandmarker, FaceMesh, FaceSwapper, Use
from tratto.core.errors import InputError, MissingWeights, OptionError, UnsupportedFormat, WeightMismatch
from tratto.faces.points import GROUPS, five, on_template
from tratto.models import files
from tratto.models.files import find_file, published
from tratto.models.initializers import last_initializer
from tratto.providers.catalogue import open_settled, settle

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import tiny_faces


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_faces.write_all(tmp_path_factory.mktemp("buffalo_l"))


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """Nothing of this machine is found."""
    monkeypatch.setattr(files, "INSIGHTFACE", tmp_path / "nothing")
    monkeypatch.delenv("TRATTO_MODELS", raising=False)


@pytest.fixture(scope="module")
def portrait():
    return np.ascontiguousarray(data.astronaut()[0:240, 110:350])


def opened(capability, name, folder, **more):
    return open_settled(settle(Use(capability, name, {"model": str(folder), "other": "yes", **more})))


def test_the_detector_reads_its_grids(folder, portrait):
    detector = opened("face", "scrfd", folder)
    assert isinstance(detector, FaceDetector)
    picture = portrait[:120].astype(np.float32) / 255  # 240 x 120: the square is filled below
    (found,) = detector.find(picture)
    scale = 640 / 240
    centre = np.array([tiny_faces.COLUMN, tiny_faces.ROW]) * 32
    off = (scale - 1) / 2
    want = [(v - off) / scale for v in np.concatenate([centre - (64, 80), np.add(centre, (64, 80))])]
    np.testing.assert_allclose(found.box, want, atol=1e-3)
    np.testing.assert_allclose(
        found.eyes, [[(v - off) / scale for v in centre + d] for d in ((-32, -32), (32, -32))], atol=1e-3
    )
    assert found.score == pytest.approx(0.9, abs=1e-4)


def test_the_106_points_come_back_from_the_crop(folder):
    finder = opened("landmarks", "2d106", folder)
    assert isinstance(finder, FaceLandmarker)
    face = FaceBox((40.0, 30, 140, 110), 0.9, ((60.0, 50), (120.0, 50)))
    points = finder.find(np.full((200, 200, 3), 0.5, np.float32), face).points
    assert points.shape == (106, 3)
    # p = (p + 1) * 96 in a crop of 1.5 x the larger side around the box's middle
    seen = (tiny_faces.places() + 1) * 96
    np.testing.assert_allclose(points[:, :2], (seen - 95.5) / (192 / 150) + (90, 70), atol=1e-3)


def test_the_106_are_not_the_68():
    points = tiny_faces.places()
    eyes = five(points)[:2]
    np.testing.assert_allclose(eyes, [points[33:43].mean(0), points[87:97].mean(0)], atol=1e-6)
    np.testing.assert_allclose(five(points)[2:], points[[86, 52, 61]])
    # an index table of 68 points takes 36-41 and 42-47 for the eyes, which are one eye and half a brow here
    wrong = np.array([points[36:42].mean(0), points[42:48].mean(0)])
    assert np.abs(wrong - eyes).max() > 0.4
    every = sorted(i for group in GROUPS.values() for i in group)
    assert every == list(range(106))
    assert [GROUPS[n][0] for n in GROUPS] == [0, 33, 43, 52, 72, 87, 97]
    with pytest.raises(OptionError, match="68"):
        five(np.zeros((68, 2)))


def test_the_recogniser_looks_at_the_five_points(folder, portrait):
    network = opened("identity", "arcface", folder)
    assert isinstance(network, FaceIdentity)
    points = np.zeros((468, 3))
    spread = np.array([(80.0, 90), (140, 90), (110, 120), (85, 150), (135, 150)])
    for place, index in zip(spread, ((33, 133), (362, 263), (1,), (61,), (291,)), strict=True):
        points[list(index), :2] = place
    picture = portrait.astype(np.float32) / 255
    vector = network.embed(picture, FaceMesh(points, 1.0))
    assert vector.shape == (512,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    # moved with its picture, a face stays what it is
    moved = np.add(points, (20, 10, 0))
    again = network.embed(np.roll(picture, (10, 20), (0, 1)), FaceMesh(moved, 1.0))
    np.testing.assert_allclose(again, vector, atol=2e-3)


def test_the_template_of_inswapper_is_wider_by_8_pixels_in_x_only():
    np.testing.assert_allclose(on_template(128, 8.0) - on_template(112), np.tile([8.0, 0.0], (5, 1)), atol=1e-9)
    np.testing.assert_allclose(on_template(112)[0], (38.2946, 51.6963), atol=1e-9)


@pytest.mark.parametrize("half", [False, True])
def test_the_matrix_is_read_from_the_graph(tmp_path, half):
    import onnx
    from onnx import numpy_helper

    path = tiny_faces.swapper(tmp_path / "a.onnx", 128, tiny_faces.matrix())
    if half:
        model = onnx.load(str(path))
        model.graph.initializer[-1].CopyFrom(numpy_helper.from_array(tiny_faces.matrix().astype(np.float16), "buff2fs"))
        path.write_bytes(model.SerializeToString())
    np.testing.assert_allclose(last_initializer(path), tiny_faces.matrix(), atol=1e-3 if half else 0)
    for cut in (0, 10, 900, path.stat().st_size - 5):
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(InputError):
            last_initializer(broken)
    broken.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(InputError):
        last_initializer(broken)


@pytest.mark.parametrize(("name", "side", "file"), [("inswapper", 128, "inswapper_128"), ("ghost", 256, "ghost_1_256")])
def test_an_engine_swaps_inside_its_square_and_pixel_boost_is_the_same_network(folder, portrait, name, side, file):
    from tratto.faces.find import faces_of
    from tratto.jobs import Job

    picture = portrait.astype(np.float32) / 255
    mesh = faces_of(picture, Job().services())[0].mesh
    character = np.concatenate([picture[:, ::-1], np.ones((240, 240, 1), np.float32)], axis=2)
    mirrored = FaceMesh(mesh.points * (-1, 1, 1) + (239, 0, 0), 1.0)
    made = []
    for boost in (1, 2):
        engine = opened("face-swap", name, folder, recognizer=str(folder), side=boost * side)
        assert isinstance(engine, FaceSwapper)
        made.append(engine.swap(character, mirrored, picture, mesh, 0.5))
    assert made[0].shape == (240, 240, 4)
    inside = made[0][..., 3] > 0.99
    assert 0.1 < inside.mean() < 0.9
    # the tiny network adds one tint, the same everywhere, so that more pixels only make it sharper
    tint = (made[0][..., :3] - picture)[inside]
    assert tint.std(axis=0).max() < 0.06
    assert np.abs(np.median((made[1][..., :3] - picture)[inside], axis=0) - np.median(tint, axis=0)).max() < 4e-3
    if name == "inswapper":  # what the network is given is the vector through its matrix, of length 1
        raw = engine._recognizer.raw(character[..., :3], mirrored)
        latent = raw / np.linalg.norm(raw) @ tiny_faces.matrix()
        weight = np.random.default_rng(6).normal(0, 1, (512, 3)).astype(np.float32)
        want = 0.1 * np.tanh(latent / np.linalg.norm(latent) @ weight)
        np.testing.assert_allclose(np.median(tint, axis=0), want, atol=4e-3)
    assert [m.id for m in engine.info.models] == [f"{file}.onnx", "w600k_r50.onnx"]


def test_licences_are_those_of_the_published_files():
    for name in ("det_10g", "2d106det", "w600k_r50", "inswapper_128", "ghost_1_256", "ghost_2_256", "ghost_3_256"):
        known = published(f"{name}.onnx")
        assert known.commercial is name.startswith("ghost")
        assert ("non-commercial" in known.licence) is not known.commercial
        assert len(known.sha256) == (0 if known.commercial else 64)
    assert published("none.onnx") is None


def test_a_wrong_or_missing_file_gets_one_clear_line(folder, tmp_path, monkeypatch):
    with pytest.raises(MissingWeights, match=r"det_10g\.onnx"):
        find_file("", "det_10g.onnx")
    with pytest.raises(MissingWeights, match="not here"):
        find_file(str(tmp_path / "none.onnx"))
    with pytest.raises(WeightMismatch, match="5838f7fe"):
        find_file(str(folder), "det_10g.onnx")
    pickle = tmp_path / "inswapper_128.pth"
    pickle.write_bytes(b"\x80\x04")
    with pytest.raises(UnsupportedFormat, match="any program"):
        find_file(str(pickle))
    found = find_file(str(folder), "det_10g.onnx", other=True)
    assert found.licence == "unknown"
    assert not found.model.commercial_use
    # a reference is found again where the file lies, and not where another has its name
    assert find_file(found.reference, other=True).path == found.path
    files._places.clear()
    with pytest.raises(MissingWeights, match="TRATTO_MODELS"):
        find_file(found.reference, other=True)
    monkeypatch.setenv("TRATTO_MODELS", str(folder))
    assert find_file(found.reference, other=True).sha256 == found.sha256
    # a network of another form
    with pytest.raises(OptionError, match="no inswapper"):
        opened("face-swap", "inswapper", folder / "ghost_1_256.onnx", recognizer=str(folder))
    with pytest.raises(OptionError, match="detector"):
        opened("face", "scrfd", folder / "2d106det.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(InputError):
        opened("identity", "arcface", tmp_path / "text.onnx")
    for params in ({"face": 1}, {"other": "maybe"}, {"side": 100}):
        with pytest.raises(OptionError):
            settle(Use("face-swap", "inswapper", params))


def test_the_usual_place_is_looked_at(folder, monkeypatch):
    monkeypatch.setattr(files, "INSIGHTFACE", folder.parent)
    monkeypatch.setattr(files, "PACKS", (folder.name,))
    assert find_file("", "2d106det.onnx", other=True).path == folder / "2d106det.onnx"


def test_faces_by_insightface_at_the_command_line(folder, portrait, tmp_path):
    Pil.fromarray(portrait).save(tmp_path / "a.png")
    words = ["faces", str(tmp_path / "a.png"), "--insightface", str(folder)]
    run = CliRunner().invoke(app, words)
    assert run.exit_code != 0
    assert "published" in run.output
    mask, overlay = tmp_path / "mask.png", tmp_path / "over.png"
    run = CliRunner().invoke(app, [*words, "--other", "--mask", str(mask), "--overlay", str(overlay)])
    assert run.exit_code == 0, run.output
    assert "non-commercial" in run.output
    assert mask.exists()
    run = CliRunner().invoke(app, [*words, "--other", "--json", "--points"])
    (face,) = json.loads(run.stdout)["faces"]
    assert len(face["points"]) == 106
    assert face["pose"]["yaw"] is None


def test_a_job_with_inswapper_verifies_and_replays(folder, portrait, tmp_path, monkeypatch):
    Pil.fromarray(portrait).save(tmp_path / "scene.png")
    Pil.fromarray(np.ascontiguousarray(portrait[:, ::-1])).save(tmp_path / "other.png")
    words = [
        "reface", str(tmp_path / "scene.png"), "--character", str(tmp_path / "other.png"), "-o", str(tmp_path / "out"),
        "--i-have-consent", "A. Person", "--engine", "inswapper", "--param", f"model={folder}", "--param",
        f"recognizer={folder}", "--k-global", "1", "--m-global", "0",
    ]  # fmt: skip
    run = CliRunner().invoke(app, words)
    assert run.exit_code != 0
    assert "inswapper_128.onnx" in run.output
    run = CliRunner().invoke(app, [*words, "--param", "other=yes"])
    assert run.exit_code == 0, run.output
    receipt = json.loads((tmp_path / "out" / "scene.tratto" / "receipt.json").read_text())
    step = receipt["steps"][0]
    assert {"inswapper_128.onnx", "w600k_r50.onnx"} <= {m["id"] for m in step["models"]}
    assert not any(m["commercial_use"] for m in step["models"] if m["id"].endswith(".onnx"))
    assert str(folder) not in json.dumps(receipt)
    assert tratto.verify(tmp_path / "out" / "scene.png").word == "authentic"
    files._places.clear()
    monkeypatch.setenv("TRATTO_MODELS", str(folder))
    assert tratto.replay(tmp_path / "out" / "scene.png").tier == "A"
