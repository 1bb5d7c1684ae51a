"""Warp, light, seam, mask, judges and search of face swaps, on faces drawn here and on one of public record."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from skimage import data

from tratto.core.capability import FaceSwapper, Use
from tratto.faces import mesh, region, swap
from tratto.faces.find import faces_of
from tratto.faces.judge import Consistency, Realism, Score, identity_score, potential, statistics
from tratto.faces.label import draw_label
from tratto.faces.place import face_mask, label_box, place_of
from tratto.faces.search import Plan, ranked, search, spread
from tratto.faces.swap import RANGES, Look, Painter, lay, perturbed, shaped, triangles, warp
from tratto.jobs import Job


@pytest.fixture(scope="module")
def portrait():
    return np.ascontiguousarray(data.astronaut()[0:240, 110:350]).astype(np.float32) / 255


@pytest.fixture(scope="module")
def services():
    return Job().services()


@pytest.fixture(scope="module")
def points(portrait, services):
    return faces_of(portrait, services)[0].mesh.points


@pytest.fixture(scope="module")
def target(portrait, points):
    return place_of(portrait, points, face_mask(portrait, points)[0]).target


@pytest.fixture(scope="module")
def painter(target, portrait, points, services):
    engine = services.open(Use("face-swap", "warp"))
    assert isinstance(engine, FaceSwapper)
    return Painter(target, lay(portrait, points, target), engine)


def test_the_triangles_cover_the_plane_once(points):
    found = triangles(points[:, :2])
    assert 850 < len(found) < 940
    corners = points[found, :2]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2
    hull = cv2.contourArea(cv2.convexHull(points[:, :2].astype(np.float32)))
    assert area == pytest.approx(hull, rel=1e-3)


def test_a_face_warped_onto_itself_stays(portrait, points):
    again = warp(portrait, points, points, 0.0, portrait.shape[:2])
    assert np.abs(again - portrait)[4:-4, 4:-4].max() < 2e-3
    # its own shape is its own shape, however stiff
    np.testing.assert_allclose(shaped(points, points, 1.0), points[:, :2], atol=1e-6)


def test_a_warp_moves_what_the_points_move(points):
    dots = np.zeros((240, 240, 1), np.float32)
    x, y = np.rint(points[1, :2]).astype(int)
    cv2.circle(dots, (int(x), int(y)), 3, 1.0, -1)
    moved = points.copy()
    moved[:, 0] += 6
    out = warp(dots, points, moved, 0.0, (240, 240))
    column = (out.reshape(240, 240).sum(0) * np.arange(240)).sum() / out.sum()
    assert column == pytest.approx(x + 6, abs=0.3)


def test_stiffness_brings_the_characters_shape_and_keeps_the_outline(points):
    wide = points.copy()
    wide[list(mesh.LIPS), 1] += 5  # a lower mouth
    half, whole = (shaped(wide, points, s) - points[:, :2] for s in (0.5, 1.0))
    np.testing.assert_allclose(2 * half, whole, atol=1e-9)
    assert whole[17, 1] > 2
    assert np.abs(whole[list(mesh.OVAL)]).max() < 0.05


def test_hair_is_kept_and_eyes_are_not(target):
    region = target.region
    assert 0.05 < region.kept.sum() / region.face.sum() < 0.45
    assert not region.glasses
    for i in (159, 386, 13, 1, 50, 280):  # lids, lips, nose, cheeks
        x, y = np.rint(target.points[i, :2]).astype(int)
        assert not region.kept[y, x]
    x, y = np.rint(target.points[mesh.TOP, :2]).astype(int)
    assert region.kept[y + 2, x]  # her fringe


def worn(portrait, points, color=(0.05, 0.05, 0.06)):
    """The portrait with round glasses, their bridge and their arms."""
    out, side = portrait.copy(), mesh.width(points)
    for eye, far in zip(mesh.EYES, (mesh.LEFT, mesh.RIGHT), strict=True):
        x, y = (round(v) for v in points[list(eye), :2].mean(0))
        cv2.circle(out, (x, y), round(0.16 * side), color, 3, cv2.LINE_AA)
        away = 1 if far == mesh.RIGHT else -1
        cv2.line(out, (x + away * round(0.16 * side), y), (x + away * round(0.34 * side), y), color, 3, cv2.LINE_AA)
    ends = [points[i, :2].round().astype(int).tolist() for i in (133, 362)]
    cv2.line(out, ends[0], ends[1], color, 3, cv2.LINE_AA)
    return out


@pytest.mark.parametrize("color", [(0.05, 0.05, 0.06), (0.55, 0.3, 0.02)], ids=["black", "amber"])
def test_glasses_are_seen_and_their_frame_is_kept_or_taken_off(portrait, points, services, color):
    scene, side = worn(portrait, points, color), mesh.width(points)
    mask, _, glasses = face_mask(scene, points)
    assert glasses
    bare = face_mask(scene, points, bare=True)[0]
    assert bare[mask].all()
    rims = np.zeros(mask.shape, np.uint8)
    for eye in mesh.EYES:
        x, y = points[list(eye), :2].mean(0)
        assert mask[round(y), round(x)]
        cv2.circle(rims, (round(x), round(y)), round(0.16 * side), 1, 1)
    rims = (rims > 0) & (mesh.outline(points, mask.shape) > 0)
    rims &= np.arange(len(mask))[:, None] > points[list(mesh.EYES[0]), 1].mean()  # below the brows
    assert mask[rims].mean() < 0.1
    assert bare[rims].mean() > 0.9
    swapper = services.open(Use("face-swap", "warp"))
    away = []
    for without in (False, True):
        target = place_of(scene, points, bare, without).target
        place = place_of(scene, points, bare, without)
        out = scene.copy()
        laid = lay(portrait, points, target)
        out[place.rows, place.columns] = Painter(target, laid, swapper).laid_on(Look(stiffness=0.0, grain=0.0))
        assert not (out != scene)[~bare].any()
        away.append(np.abs(out - portrait)[rims].mean())
    assert away[1] < 0.35 * away[0]


def test_a_closed_line_is_found_where_it_is_faint():
    values = np.random.default_rng(2).random((48, 20)).astype(np.float32)
    true = np.rint(9 + 4 * np.sin(np.linspace(0, 2 * np.pi, 48, endpoint=False))).astype(int)
    values[np.arange(48), true] += 1.5
    values[20:23, true[20]] = 0.5  # a gap
    path = region._closed(values)
    assert np.abs(path - true).max() <= 1
    assert abs(path[0] - path[-1]) <= 1


def test_what_a_person_drew_is_added(portrait, points):
    drawn = np.zeros(portrait.shape[:2], bool)
    drawn[:10, :10] = True
    assert face_mask(portrait, points, drawn)[0][:10, :10].all()


def test_a_face_laid_on_itself_looks_like_itself(painter, target):
    out = painter.laid_on(Look(stiffness=0.0, grain=0.0))
    assert np.abs(out - target.picture).mean() < 0.01
    assert np.abs(out - target.picture)[target.may == 0].max() == 0


def test_colour_and_light_become_those_of_the_scene(target, portrait, points, services):
    other = np.clip(portrait**1.6 * np.float32([0.9, 1.0, 0.6]), 0, 1)
    other *= np.linspace(0.6, 1.2, other.shape[1], dtype=np.float32)[None, :, None]
    other = np.clip(other, 0, 1)
    painter = Painter(target, lay(other, points, target), services.open(Use("face-swap", "warp")))
    skin = target.region.skin & (target.may > 0)
    away = [
        np.abs(painter.laid_on(look) - target.picture)[skin].mean()
        for look in (Look.raw(), Look(light=0.3), Look(light=1))
    ]
    assert away[0] > 0.08
    assert away[2] < away[1] < 0.5 * away[0]


def test_the_harmonic_field_is_the_plane_through_its_edge():
    y, x = np.mgrid[0:24, 0:24].astype(np.float32)
    plane = np.stack([0.3 * x + 0.1 * y, 0 * x, -0.2 * x], axis=2)
    known = np.zeros((24, 24), bool)
    known[[0, -1]] = known[:, [0, -1]] = True
    found = swap._harmonic(np.where(known[..., None], plane, 0).astype(np.float32), known, 0.0)
    assert np.abs(found - plane)[4:-4, 4:-4].max() < 0.5
    flat = swap._harmonic(np.full((24, 24, 3), 2.0, np.float32), known, 0.0)
    np.testing.assert_allclose(flat, 2.0, atol=1e-4)


def test_the_width_of_edges_is_that_of_the_blur_whatever_their_contrast():
    sharp = np.zeros((96, 96), np.float32)
    sharp[:, 40:] = 1
    everywhere = np.ones(sharp.shape, bool)
    for contrast in (8, 60):
        for sigma in (1.5, 2.5):
            found = swap.edge_width(contrast * cv2.GaussianBlur(sharp, (0, 0), sigma), everywhere)
            assert found == pytest.approx(sigma, rel=0.15)
    assert swap.edge_width(sharp, np.zeros(sharp.shape, bool)) is None


def test_a_face_becomes_as_soft_as_the_scene_and_no_softer(portrait, points):
    soft = cv2.GaussianBlur(portrait, (0, 0), 1.5)
    onto = [place_of(p, points, face_mask(p, points)[0]).target for p in (portrait, soft)]
    assert swap._blur_of(onto[0], lay(soft, points, onto[0])) == 0
    assert swap._blur_of(onto[1], lay(portrait, points, onto[1])) == pytest.approx(1.5, abs=0.5)


def test_what_lies_beside_a_character_does_not_come_along(target, portrait, points, services):
    green = portrait.copy()
    green[mesh.outline(points, portrait.shape[:2]) == 0] = (0, 1, 0)
    narrow = points.copy()  # a cheek that the mesh places a little too far out, as it does on turned faces
    narrow[:, 0] = points[1, 0] + 1.08 * (points[:, 0] - points[1, 0])
    painter = Painter(target, lay(green, narrow, target), services.open(Use("face-swap", "warp")))
    face, alpha = painter.paint(Look.raw())
    stray = (face[..., 1] > face[..., 0] + 0.2) & (alpha > 0.1)
    assert stray.mean() < 0.002
    # where a person drew beyond the outline, what is there is wanted
    drawn = swap.Target(target.picture, target.points, np.ones_like(target.may), target.region)
    face, alpha = Painter(drawn, lay(green, narrow, drawn), services.open(Use("face-swap", "warp"))).paint(Look.raw())
    assert ((face[..., 1] > face[..., 0] + 0.2) & (alpha > 0.5)).mean() > 0.2


def test_the_hues_of_a_stage_do_not_stay_on_the_character(target, portrait, points, services):
    stage = portrait.copy()
    half = round(points[1, 0])
    stage[:, :half] *= np.float32([0.45, 0.7, 1.0])
    stage[:, half:] *= np.float32([1.0, 0.75, 0.45])
    painter = Painter(target, lay(stage, points, target), services.open(Use("face-swap", "warp")))
    skin = target.region.skin & (target.may > 0)
    wide = [
        np.hypot(*region.lab_of(p)[skin][:, 1:].std(axis=0))
        for p in (painter.laid_on(Look.raw()), painter.laid_on(Look(light=0.3)), target.picture)
    ]
    assert wide[0] > 2 * wide[2]
    assert wide[1] < 1.4 * wide[2]


def test_noise_is_measured():
    noise = np.random.default_rng(0).normal(0, 2.5, (96, 96)).astype(np.float32) + 50
    assert swap.noise_of(noise, np.ones((96, 96), bool)) == pytest.approx(2.5, rel=0.06)


def test_judges_prefer_what_was_there(painter, target):
    own, raw = target.picture, painter.laid_on(Look.raw())
    alpha = painter.paint(Look.raw())[1]
    plastic = own.copy()
    skin = target.region.skin
    plastic[skin] = cv2.GaussianBlur(own, (0, 0), 4)[skin]
    realism, consistency = Realism(target), Consistency(target)
    assert realism.score(own, target.may).value == pytest.approx(10, abs=0.01)
    assert realism.score(plastic, target.may).value < 7
    assert consistency.score(own, alpha).value == pytest.approx(10, abs=0.2)  # noise of another part of it
    assert consistency.seam(own) == pytest.approx(1)
    red = np.where(target.may[..., None] > 0, raw * np.float32([1, 0.6, 0.6]), raw).astype(np.float32)
    assert consistency.score(red, alpha).value < 4
    touched = own.copy()
    touched[0, 0] += 0.01
    assert consistency.score(touched, alpha).value == 0


def test_a_missing_score_counts_as_neutral_and_says_so(target):
    assert identity_score(None).missing
    assert identity_score(0.0).value == 10
    assert identity_score(9.9).value == 0
    assert identity_score(0.4, 0.9).value == identity_score(0.4).value == 8
    assert identity_score(0.4, 0.4).value == 4
    assert identity_score(0.6, 0.4).value == 0
    weights = {"identity": 1.5, "realism": 4.0}
    assert potential({"identity": Score(None), "realism": Score(10.0)}, weights) == 47.5
    assert statistics(np.zeros((20, 20), np.float32), np.zeros((20, 20), bool)) is None


def _hill(look):
    return SimpleNamespace(potential=-((look.light - 0.8) ** 2) - (look.stiffness - 0.3) ** 2)


def test_the_search_is_local_seeded_and_independent_of_threads():
    from concurrent.futures import ThreadPoolExecutor

    one = list(search(_hill, Plan(seed=5)))
    with ThreadPoolExecutor(4) as pool:
        other = list(search(_hill, Plan(seed=5), pool))
    assert [(c.number, c.look, c.parent) for c in one] == [(c.number, c.look, c.parent) for c in other]
    assert [c.number for c in one] == list(range(21))
    assert list(search(_hill, Plan(seed=6)))[5].look != one[5].look
    best = ranked(one)[0]
    assert best.stage == "local"
    for c in one[9:]:
        if c.parent is not None:
            parent = one[c.parent].look
            assert abs(c.look.light - parent.light) < 0.9 * (RANGES["light"][1] - RANGES["light"][0])
    # the steps get smaller along a line
    assert len(list(search(_hill, Plan(0, 0, 0)))) == Plan(0, 0, 0).count == 1


def test_looks_stay_in_their_ranges():
    rng = np.random.default_rng(1)
    for look in [*spread(9, rng), *(perturbed(Look(), 2.0, rng) for _ in range(20))]:
        for name, (low, high) in RANGES.items():
            assert low <= getattr(look, name) <= high
        assert Look.of(look.to_json()) == look


@pytest.mark.parametrize("shape", [(1000, 1000), (40, 300), (9, 9)])
def test_the_label_fits_and_can_be_read(shape):
    picture = np.full((*shape, 3), 0.5, np.float32)
    x, y, width, height = label_box(shape)
    assert x >= 0
    assert y >= 0
    assert x + width <= shape[1]
    assert y + height <= shape[0]
    draw_label(picture, (x, y, width, height))
    if min(shape) > 100:
        assert picture.max() > 0.9
        assert picture.min() < 0.1
