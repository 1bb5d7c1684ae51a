"""Every format there and back, frames, hostile files, and programs that nobody here wrote."""

import io
import json
import os
import shutil
import struct
import subprocess
import zlib
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.artifact import HARMONIC_0, Scene
from tratto.core.errors import InputError, OptionError, UnavailableError
from tratto.scene.formats import EXPORTS, file_name, gltf, read_scene, spz, turntable, write_scene
from tratto.scene.formats.frames import flipped

#: Largest differences that each format's steps allow: positions, log sizes, opacities, colours, higher harmonics.
STEPS = {
    "ply": (0, 0, 0, 0, 0),
    "splat": (0, 1e-6, 0.5 / 255, 0.5 / 255 + 1e-6, None),
    "spz": (0.5 / 4096, 1 / 32 + 1e-5, 0.5 / 255, 0.5 / 255 / 0.15 * HARMONIC_0 + 1e-6, 0.5 / 128 + 1e-6),
    "spz4": (0.5 / 4096, 1 / 32 + 1e-5, 0.5 / 255, 0.5 / 255 / 0.15 * HARMONIC_0 + 1e-6, 0.5 / 128 + 1e-6),
    "glb": (0, 1e-6, 1e-6, 0, 0),
}


@pytest.fixture
def scene(make_cloud):
    made = make_cloud(40, 3)
    return replace(made, harmonics=made.harmonics * np.float32(0.5))


def opacity(scene):
    return 1 / (1 + np.exp(-scene.opacities.astype(np.float64)))


def unit(scene):
    return scene.rotations / np.linalg.norm(scene.rotations, axis=1, keepdims=True)


def matrix(q):
    w, x, y, z = q
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def same(back, scene, steps, turn=3e-3):
    at, size, alpha, color, higher = steps
    assert np.abs(back.positions - scene.positions).max() <= at
    assert np.abs(back.scales - scene.scales).max() <= size
    assert np.abs(opacity(back) - opacity(scene)).max() <= alpha
    clipped = np.clip(scene.colors, 0, 1) if higher is None else scene.colors
    assert np.abs(back.colors - clipped).max() <= color
    # as covariances: axes that point the other way are the same ellipsoid
    shape = np.exp(2 * np.clip(scene.scales, -3, -1))
    for g in range(len(scene)):
        a, b = (matrix(unit(s)[g]) for s in (back, scene))
        assert np.abs(a * shape[g] @ a.T - b * shape[g] @ b.T).max() <= turn
    if higher is not None and scene.degree:
        assert back.degree == scene.degree
        assert np.abs(back.harmonics[:, 1:] - np.clip(scene.harmonics[:, 1:], -1, 127 / 128)).max() <= max(higher, 0.26)


@pytest.mark.parametrize("export", STEPS)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_there_and_back(tmp_path, scene, export, degree):
    scene = replace(scene, harmonics=np.clip(scene.harmonics[:, : (degree + 1) ** 2], -0.99, 0.99))
    path = tmp_path / file_name("a", export)
    write_scene(scene, path, export)
    back = read_scene(path)
    assert back.marked is (export in ("ply", "glb"))
    if back.marked:
        np.testing.assert_array_equal(back.scene.seen, scene.seen)
    same(back.scene, scene, STEPS[export])
    if STEPS[export][4] is not None and degree:
        assert np.abs(back.scene.harmonics[:, 1:] - scene.harmonics[:, 1:]).max() <= STEPS[export][4]
    if export == "ply":
        assert back.scene.digest() == scene.digest()


def test_a_scene_turned_is_seen_turned(scene):
    """Harmonics and rotations go along: a camera that is turned as well sees the same."""
    pytest.importorskip("numba")
    from tratto.scene.camera import look_at
    from tratto.scene.rasterize import render

    camera = look_at((0.5, -0.6, -2), (0, 0, 0), (40, 40), 40.0)
    first = render(scene, camera).color
    for x, y, z in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1)):
        other = render(flipped(scene, x, y, z), camera.moved(np.diag([x, y, z]))).color
        np.testing.assert_allclose(other, first, atol=2e-5)


def test_frames_by_hand(tmp_path):
    one = Scene.of_points(np.array([[1.0, 2, 3]]), np.array([[255, 0, 0]], np.uint8), 0.5)
    write_scene(one, tmp_path / "a.spz", "spz")
    body = zlib.decompress((tmp_path / "a.spz").read_bytes(), 31)
    assert body[:16] == b"NGSP" + struct.pack("<IIBBBB", 3, 1, 0, 12, 0, 0)
    assert [int.from_bytes(body[16 + 3 * i : 19 + 3 * i], "little", signed=True) for i in range(3)] == [
        4096, -8192, -12288,
    ]  # fmt: skip
    write_scene(one, tmp_path / "a.glb", "glb")
    data = (tmp_path / "a.glb").read_bytes()
    document, blob = gltf._chunks(data)
    assert np.frombuffer(blob, "<f4", 3).tolist() == [-1, -2, 3]
    assert np.frombuffer(blob, "<f4", 3, 12).tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    assert "extensionsRequired" not in document
    write_scene(one, tmp_path / "a.splat", "splat")
    row = (tmp_path / "a.splat").read_bytes()
    assert struct.unpack("<6f", row[:24]) == pytest.approx((1, 2, 3, 0.5, 0.5, 0.5))
    assert row[24:] == bytes([255, 0, 0, 128, 255, 128, 128, 128])


def hostile(tmp_path, scene):
    """Yield files that are no scenes."""
    for export in STEPS:
        path = tmp_path / file_name("whole", export)
        write_scene(scene, path, export)
        data = path.read_bytes()
        name = "v4" if export == "spz4" else export
        ending = path.suffix
        yield f"empty-{name}{ending}", b""
        yield f"cut-{name}{ending}", data[:-5]
        yield f"noise-{name}{ending}", bytes(range(256)) * 3 + b"x"
    head = (tmp_path / "whole.ply").read_bytes()
    yield "many.ply", head.replace(b"vertex 40", b"vertex 4000000000")
    yield "twice.ply", head.replace(b"property float nx", b"property float x")
    yield "list.ply", head.replace(b"property float nx", b"property list uchar int nx")
    yield "text.ply", head.replace(b"binary_little_endian", b"ascii")
    yield "no-x.ply", head.replace(b"property float x\n", b"property float q\n")
    yield "long.ply", b"ply\n" + b"comment a\n" * 100_000
    nan = bytearray(head)
    nan[-4 * 63 : -4 * 62] = struct.pack("<f", float("nan"))
    yield "nan.ply", bytes(nan)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"NGSP" + struct.pack("<IIBBBB", 3, 15_000_000, 3, 12, 0, 0)
    yield "bomb.spz", packer.compress(bomb + bytes(1000)) + packer.flush()
    yield "version.spz", zlib.compress(b"NGSP" + struct.pack("<IIBBBB", 9, 1, 0, 12, 0, 0) + bytes(40), wbits=31)
    four = bytearray((tmp_path / "whole.v4.spz").read_bytes())
    four[8:12] = struct.pack("<I", 19_000_000)
    yield "many4.spz", bytes(four)
    four = bytearray((tmp_path / "whole.v4.spz").read_bytes())
    four[40:48] = struct.pack("<Q", 2**60)
    yield "stream4.spz", bytes(four)
    glb = (tmp_path / "whole.glb").read_bytes()
    yield "many.glb", glb.replace(b'"count":40', b'"count":49')
    yield "names.glb", glb.replace(b":SCALE", b":SCALD")
    document, blob = gltf._chunks(glb)
    for key, value in (("meshes", []), ("meshes", 7), ("accessors", [{}]), ("nodes", [{"translation": [1, 0, 0]}])):
        text = json.dumps({**document, key: value}).encode()
        text += b" " * (-len(text) % 4)
        whole = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(blob))
        whole += struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob
        yield f"{key}-{type(value).__name__}{len(text)}.glb", whole
    deep = struct.pack("<4sII", b"glTF", 2, 100_028) + struct.pack("<I4s", 100_000, b"JSON") + b"[" * 100_000
    yield "deep.glb", deep + struct.pack("<I4s", 0, b"BIN\0")
    yield "a.obj", b"v 0 0 0"


def test_hostile_files_are_refused_in_one_line(tmp_path, scene):
    refused = 0
    for name, data in hostile(tmp_path, scene):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError) as error:
            read_scene(path)
        assert "\n" not in str(error.value)
        refused += 1
    assert refused > 30
    with pytest.raises(InputError):
        read_scene(tmp_path / "nowhere.ply")
    far = Scene.of_points(np.array([[3000.0, 0, 0]]), np.zeros((1, 3)), 1.0)
    with pytest.raises(OptionError):
        spz.packed(far)
    with pytest.raises(OptionError):
        write_scene(scene, tmp_path / "a.obj", "obj")


def test_films_and_meshes(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    at = rng.normal(size=(1500, 3))
    ball = Scene.of_points(0.5 * at / np.linalg.norm(at, axis=1, keepdims=True), np.full((1500, 3), 0.25), 0.04, 0.95)
    film = turntable.encoded(turntable.turned(ball, 4, 48), "webp")
    with Pil.open(io.BytesIO(film)) as opened:
        assert (opened.n_frames, opened.size) == (4, (48, 48))
        middle = np.asarray(opened.convert("RGB"))[24, 24]
    assert np.abs(middle.astype(int) - 64).max() < 12
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(UnavailableError):
        turntable.encoded([], "mp4")
    from tratto.scene.formats import mesh

    made = mesh.surface(ball, 32, 96)
    radius = np.linalg.norm(made.corners, axis=1)
    assert np.quantile(radius, 0.05) > 0.45
    assert np.quantile(radius, 0.95) < 0.62
    height, width = made.texture.shape[:2]
    at_corners = made.texture[tuple(np.floor(made.places[:, ::-1] * (height, width)).astype(int).T)]
    assert np.abs(at_corners.astype(float) / 255 - 0.25).max() < 0.06
    trimesh = pytest.importorskip("trimesh")
    read = trimesh.load(io.BytesIO(mesh.packed(made)), file_type="glb", force="mesh")
    assert read.visual.material.baseColorTexture.size == (width, height)
    assert read.volume == pytest.approx(4 / 3 * np.pi * 0.53**3, rel=0.25)  # above 0: triangles look outwards
    with pytest.raises(OptionError):
        mesh.surface(Scene.of_points(at[:50], np.zeros((50, 3)), 1e-4, 0.01), 24, 48)


def test_the_texture_of_a_mesh_has_the_colours_of_its_places():
    """A ball that is red above and blue below: trimesh reads each colour where it is, frame and texture together."""
    pytest.importorskip("numba")
    trimesh = pytest.importorskip("trimesh")
    from tratto.scene.formats import mesh

    at = np.random.default_rng(0).normal(size=(3000, 3))
    at = 0.5 * at / np.linalg.norm(at, axis=1, keepdims=True)
    colors = np.where(at[:, 1:2] < 0, [[0.9, 0.1, 0.1]], [[0.1, 0.1, 0.9]])  # y points down
    made = mesh.surface(Scene.of_points(at, colors, 0.03, 0.95), 40, 128)
    read = trimesh.load(io.BytesIO(mesh.packed(made)), file_type="glb", force="mesh")
    seen = np.asarray(read.visual.to_color().vertex_colors)[:, :3].astype(float)
    up = read.vertices[:, 1]
    assert (seen[up > 0.15, 0] > seen[up > 0.15, 2] + 80).mean() > 0.97
    assert (seen[up < -0.15, 2] > seen[up < -0.15, 0] + 80).mean() > 0.97


def transform(*arguments):
    """Run splat-transform of npm, which may lie where SPLAT_TRANSFORM says."""
    named = os.environ.get("SPLAT_TRANSFORM") or shutil.which("splat-transform")
    if not named or not shutil.which("node"):
        pytest.skip(
            "splat-transform (npm i -g @playcanvas/splat-transform) is not here; SPLAT_TRANSFORM names its file"
        )
    command = ["node", named] if named.endswith("js") else [named]
    done = subprocess.run([*command, "-w", "-q", "-g", "cpu", *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("export", ["ply", "splat", "spz", "spz4"])
def test_splat_transform_reads_what_is_written(tmp_path, scene, export):
    path = tmp_path / file_name("ours", export)
    write_scene(scene, path, export)
    transform(path, tmp_path / "theirs.ply")
    back = read_scene(tmp_path / "theirs.ply").scene
    steps = STEPS[export]
    same(back, scene, (steps[0] + 1e-6, steps[1] + 1e-5, steps[2] + 1e-5, steps[3] + 1e-5, steps[4]))


@pytest.mark.parametrize(("export", "how"), [("ply", ()), ("spz", ("--spz-version", "3")), ("spz4", ()), ("glb", ())])
def test_what_splat_transform_writes_is_read(tmp_path, scene, export, how):
    write_scene(scene, tmp_path / "ours.ply", "ply")
    path = tmp_path / file_name("theirs", export)
    transform(*how, tmp_path / "ours.ply", path)
    if export == "spz4":
        assert path.read_bytes()[:4] == b"NGSP"
    back = read_scene(path).scene
    at, size, alpha, color, _ = STEPS["spz" if export == "spz4" else export]
    # its SPZ keeps 5 bits of the first harmonics and 4 of the others
    same(back, scene, (2 * at + 1e-6, 2 * size + 1e-5, 2 * alpha + 1e-5, 2 * color + 1e-5, 0.07))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("export", ["ply", "spz"])
def test_gsply_reads_what_is_written_and_the_other_way(tmp_path, scene, export):
    gsply = pytest.importorskip("gsply")
    read, write = (gsply.plyread, gsply.plywrite) if export == "ply" else (gsply.read_spz, gsply.write_spz)
    path = tmp_path / file_name("ours", export)
    write_scene(scene, path, export)
    theirs = read(path)
    frame = (1, 1, 1) if export == "ply" else (1, -1, -1)  # it turns no frames
    expected = flipped(read_scene(path).scene, *frame)
    np.testing.assert_allclose(theirs.means, expected.positions, atol=1e-6)
    np.testing.assert_allclose(theirs.scales, expected.scales, atol=1e-5)
    np.testing.assert_allclose(theirs.sh0, expected.harmonics[:, 0], atol=1e-5)
    np.testing.assert_allclose(theirs.shN, expected.harmonics[:, 1:], atol=1e-5)
    turns = theirs.quats / np.linalg.norm(theirs.quats, axis=1, keepdims=True)
    assert (1 - np.abs((turns * unit(expected)).sum(axis=1))).max() < 1e-5
    write(tmp_path / f"theirs.{export}", theirs)
    back = read_scene(tmp_path / f"theirs.{export}").scene
    same(back, scene, tuple(2 * s + 1e-5 for s in STEPS[export]))


def test_every_field_of_a_scene_is_written():
    assert {f.name for f in fields(Scene)} == {
        "positions", "rotations", "scales", "opacities", "harmonics", "seen",
    }  # fmt: skip
    assert set(STEPS) | {"mesh", "webp", "mp4"} == set(EXPORTS)
