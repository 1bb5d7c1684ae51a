"""The network that tells shapes: what it is shown, what it costs, how it learns and ships."""

import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from tratto.core.errors import InputError, OptionError
from tratto.scene.shell import FILL, SIDE
from tratto_lab.corpus.objects import CATALOGUE, Model, Thing, things_in
from tratto_lab.corpus.shells import (
    DEPTH,
    Light,
    ShellPack,
    ShellView,
    bent,
    framed,
    held_out,
    packed,
    unpacked,
    view_of,
)
from tratto_lab.networks.shell import ShellConfig, ShellNet
from tratto_lab.training.config import Run
from tratto_lab.training.shell import ShellChecks, make_shell_sample, pair, shell_loss


def thing(name, collection="Scopia"):
    return Thing(collection, f"{collection.lower()}/{name}/{name}.obj", name, "Somebody", "CC-BY-3.0")


@pytest.fixture(scope="module")
def ball():
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("embreex")
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=3.0)
    return Model([trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)])


def test_a_ball_is_met_where_it_is(ball):
    camera = framed(ball, 30.0, 20.0, 1.0)  # so far that rays are almost parallel
    view = view_of(ball, camera, Light(1.0, 0.0, 0.0))
    v, u = (np.mgrid[0:SIDE, 0:SIDE] + 0.5 - SIDE / 2) / FILL
    half = np.sqrt(np.maximum(0.25 - u**2 - v**2, 0))
    inside = half > 0.15
    np.testing.assert_allclose(view.front[inside], -half[inside], atol=0.02)
    np.testing.assert_allclose(view.back[inside], half[inside], atol=0.02)
    np.testing.assert_allclose(view.normal[64, 64], (0, 0, -1), atol=0.1)
    assert view.alpha[64, 64] == 1
    assert view.alpha[0, 0] == 0
    np.testing.assert_allclose(view.color[64, 64], view.behind[64, 64], atol=1e-3)
    rows = np.flatnonzero((view.alpha > 0.5).any(axis=1))
    assert rows[-1] - rows[0] + 1 == pytest.approx(FILL, abs=2)


def test_a_ball_moved_is_met_where_it_lies_then():
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("embreex")
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=3.0)
    kept = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=mesh.vertices / 3.0, process=False)
    model = Model([kept])
    low = model.moved(lambda p: p * (1.0, 0.5, 1.0) + 0.3)
    np.testing.assert_allclose(low.sides, (1, 0.5, 1), atol=1e-3)
    hit = low.cast(np.array([[0.25, -2.0, 0.0]]), np.array([[0.0, 1.0, 0.0]]))
    height = 0.5 * np.sqrt(0.25 - 0.25**2)
    np.testing.assert_allclose(hit.points, [[0.25, -height, 0.0]], atol=2e-3)
    slope = np.array([0.25, -height / 0.5**2, 0.0])  # of x^2 + (y / 0.5)^2 + z^2
    np.testing.assert_allclose(hit.normals[0], slope / np.linalg.norm(slope), atol=5e-3)
    bent_ball = model.moved(bent(np.random.default_rng(2), model.sides, 0.3))
    assert bent_ball.sides.max() == pytest.approx(1)
    assert np.abs(bent_ball.vertices - low.vertices).max() > 0.05


def a_view(rng):
    plane = rng.uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)
    color = rng.uniform(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    alpha = np.zeros((SIDE, SIDE), np.float32)
    alpha[20:100, 30:90] = 1
    return ShellView(color, alpha, plane, plane + 0.25, color[..., ::-1], color * 2 - 1)


def test_a_view_is_kept_in_bytes():
    view = a_view(np.random.default_rng(0))
    data = packed(view)
    assert data.shape == (SIDE, SIDE, DEPTH)
    back = unpacked(data)
    for name, step in (("color", 1 / 255), ("behind", 1 / 255), ("normal", 1 / 127), ("front", 1e-3), ("back", 1e-3)):
        np.testing.assert_allclose(getattr(back, name), getattr(view, name), atol=step)


def test_families_and_one_collection_are_held_out():
    assert held_out(thing("mug", "KatorLegaz"))
    assert thing("car12").family == thing("car-blue").family == "car"
    kept = [held_out(thing(f"{chr(97 + i % 26)}{chr(97 + i // 26)}x")) for i in range(600)]
    assert 0.07 < np.mean(kept) < 0.16
    assert held_out(thing("chair1")) == held_out(thing("chair2"))


def test_a_catalogue_names_models_and_their_authors(tmp_path):
    path = tmp_path / "Own.sh3f"
    with zipfile.ZipFile(path, "w") as z:
        z.writestr(
            CATALOGUE, "license=CC0\nname#1=Caf\\u00e9 cup\nmodel#1=/own/cup/cup.obj\ncreator#1=Ann\nmodel#2=/no.obj"
        )
        z.writestr("own/cup/cup.obj", "")
    (found,) = things_in(path)
    assert (found.name, found.title, found.author, found.licence) == ("Own/cup", "Café cup", "Ann", "CC0")
    (tmp_path / "bad.sh3f").write_bytes(b"no zip")
    with pytest.raises(InputError):
        things_in(tmp_path / "bad.sh3f")


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    rng = np.random.default_rng(1)
    rows = [
        {"collection": "A", "path": f"a/{i}.obj", "title": "", "author": "", "licence": "CC0", "elevation": 10.0,
         "held_out": i == 3}
        for i in range(4)
    ]  # fmt: skip
    (folder / "views.u8").write_bytes(b"".join(packed(a_view(rng)).tobytes() for _ in rows))
    (folder / "index.json").write_text(json.dumps(rows))
    return folder


def test_samples_depend_on_seed_step_and_number_alone(pack):
    run, shells = Run("x", "shell", 4), ShellPack(pack)
    one, other = (make_shell_sample(run, shells, 3, 1) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    assert one[0].shape == (SIDE, SIDE, 4)
    assert one[1].shape == (SIDE, SIDE, 10)
    assert (one[0][..., :3] <= one[0][..., 3:] + 1e-5).all()  # colours are times cover
    names = {make_shell_sample(run, shells, s, 0)[2].split()[0] for s in range(40)}
    assert names == {"A/a/0.obj", "A/a/1.obj", "A/a/2.obj"}  # never the one that is held out
    with pytest.raises(InputError):
        ShellPack(pack / "nowhere")


def test_what_is_told_right_costs_nothing(pack):
    source, target = pair(unpacked(np.array(ShellPack(pack).data[0])), 10.0)
    planes = torch.from_numpy(target).permute(2, 0, 1)[None]

    def cost(change):
        told = planes[:, 1:].clone()
        change(told)
        return shell_loss(lambda _: told, torch.from_numpy(source), planes).item()

    assert cost(lambda t: None) == pytest.approx(0, abs=1e-5)
    assert cost(lambda t: t[:, 0].add_(0.1)) == pytest.approx(0.1, abs=1e-4)
    assert cost(lambda t: t[:, 2:5].add_(0.3)) == pytest.approx(0.3, abs=1e-4)
    assert cost(lambda t: t[:, 8].add_(0.5)) == pytest.approx(0.25, abs=1e-4)


def test_the_network_is_small_and_front_comes_before_back():
    torch.manual_seed(0)
    network = ShellNet()
    assert sum(p.numel() for p in network.trunk.parameters()) < 1.5e6
    with torch.no_grad():
        out = network(torch.rand(1, 4, SIDE, SIDE))
    assert out.shape == (1, 9, SIDE, SIDE)
    assert (out[:, 1] > out[:, 0]).all()
    assert out[:, 2:5].min() >= 0
    assert out[:, 2:5].max() <= 1
    with pytest.raises(OptionError):
        network(torch.rand(1, 3, SIDE, SIDE))
    with pytest.raises(OptionError):
        ShellConfig(widths=(32, 64), blocks=(1,))


def test_checks_are_made_on_what_is_held_out(pack):
    checks = ShellChecks(pack, Run("x", "shell", 4))
    assert len(checks.cases["held out"]) == 1
    scores = checks.scores(ShellNet())
    assert set(scores) == {"front", "back", "color behind", "normal degrees", "elevation degrees"}
