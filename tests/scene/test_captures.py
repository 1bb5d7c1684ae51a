"""Cameras as other programs hand them over: the same photographs from each, upright, and files that are none."""

import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
sys.path.insert(0, str(Path(__file__).parent))
from shots import photographs, ring, write_colmap, write_transforms

from tratto.core.errors import InputError
from tratto.scene.captures import read_capture


@pytest.fixture(scope="module")
def views():
    return photographs(ring())


KINDS = {
    "transforms": write_transforms,
    "text": lambda folder, views: write_colmap(folder, views, False),
    "binary": lambda folder, views: write_colmap(folder, views, True),
    "radial": lambda folder, views: write_colmap(folder, views, True, model=2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_gives_the_same_cameras(tmp_path, views, kind):
    KINDS[kind](tmp_path, views)
    found = read_capture(tmp_path)
    assert len(found.shots) == 9
    assert [s.path.name for s in found.shots] == [f"p{i}.png" for i in range(9)]
    corners = np.array([[0.0, 0, 0], [0.1, 0, 0], [0, -0.2, 0], [0, 0, 0.3]])
    turn = np.eye(3)
    if kind != "transforms":  # COLMAP's world has no up: ours is that of the cameras, whatever they face
        seen = [s.camera.r for s in found.shots]
        turn = np.mean([a.T @ v.camera.r for a, v in zip(seen, views, strict=True)], axis=0)
        np.testing.assert_allclose(turn @ (0, 1, 0), (0, 1, 0), atol=1e-6)  # the ring stands upright
        assert len(found.points) == 400
        inside = views[0].camera.project(found.points @ turn)[0]
        assert ((inside > 0) & (inside < 48)).all()
    for shot, view in zip(found.shots, views, strict=True):
        np.testing.assert_allclose(shot.camera.project(corners @ turn.T)[0], view.camera.project(corners)[0], atol=1e-4)


def break_transforms(folder, change):
    data = json.loads((folder / "transforms.json").read_text())
    change(data)
    (folder / "transforms.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(frames=[]),
        lambda d: d.update(frames=7),
        lambda d: d["frames"][0].update(file_path="../../etc/passwd"),
        lambda d: d["frames"][0].update(file_path="/etc/passwd"),
        lambda d: d["frames"][0].update(file_path="C:\\x.png"),
        lambda d: d["frames"][0].update(file_path="images/none"),
        lambda d: d["frames"][0].update(transform_matrix=[[1, 2], [3, 4]]),
        lambda d: d["frames"][0].update(transform_matrix=np.zeros((4, 4)).tolist()),
        lambda d: d["frames"][0].update(transform_matrix=np.diag([1, 1, 3, 1]).tolist()),
        lambda d: d["frames"][0].update(transform_matrix=np.diag([1, 1, -1, 1]).tolist()),
        lambda d: d.pop("fl_x"),
        lambda d: d.update(fl_x=-3),
        lambda d: d.update(w=10**9),
    ],
)
def test_broken_transforms_are_refused(tmp_path, views, change):
    write_transforms(tmp_path, views)
    break_transforms(tmp_path, change)
    with pytest.raises(InputError) as error:
        read_capture(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cameras.bin", b""),
        ("cameras.bin", struct.pack("<Q", 2**60)),
        ("cameras.bin", struct.pack("<QiiQQ8d", 1, 1, 5, 48, 48, *range(8))),
        ("cameras.bin", struct.pack("<QiiQQ3d", 1, 9, 0, 48, 48, 80, 24, 24)),
        ("images.bin", struct.pack("<Q", 3)),
        ("images.bin", struct.pack("<Qi7di", 1, 1, 1, 0, 0, 0, 0, 0, 0, 1) + b"x" * 9000),
        ("images.bin", struct.pack("<Qi7di", 1, 1, 1, 0, 0, 0, 0, 0, 0, 1) + b"p0.png\0" + struct.pack("<Q", 2**61)),
        ("points3D.bin", struct.pack("<Q", 2**40)),
        ("cameras.txt", b"1 PINHOLE x 48 1 2 3 4\n"),
        ("cameras.txt", b"1 FISHEYE 48 48 1 2 3 4\n"),
        ("images.txt", b"1 1 0 0 0 0 0 0 1\n\n"),
        ("images.txt", b""),
    ],
)
def test_broken_colmap_is_refused(tmp_path, views, name, data):
    write_colmap(tmp_path, views, name.endswith("bin"))
    (tmp_path / "sparse" / "0" / name).write_bytes(data)
    with pytest.raises(InputError) as error:
        read_capture(tmp_path)
    assert "\n" not in str(error.value)


def test_folders_without_cameras_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError):
            read_capture(folder)
    (tmp_path / "transforms.json").write_text("{")
    with pytest.raises(InputError):
        read_capture(tmp_path)
