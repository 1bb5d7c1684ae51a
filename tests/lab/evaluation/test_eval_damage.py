import json

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.errors import InputError, OptionError
from tratto_lab.evaluation.damage import ANY, DamagePlan, DamageRow, evaluate_damage, to_markdown
from tratto_lab.simulate.damage import CLASSES
from tratto_lab.simulate.damage_seen import damaged


@pytest.fixture
def folder(tmp_path):
    y, x = np.mgrid[0:100, 0:120]
    for k in range(2):
        plane = np.clip(120 + 40 * np.sin((x + y * k) / 15), 0, 255)
        Pil.fromarray(np.rint(np.stack([plane] * 3, -1)).astype(np.uint8)).save(tmp_path / f"{k}.png")
    return tmp_path


def test_scores_by_hand():
    row = DamageRow("crack", 6, 2, 4)
    assert row.precision == 0.75
    assert row.recall == 0.6
    assert row.f1 == pytest.approx(2 * 0.75 * 0.6 / 1.35)
    assert DamageRow("crack", 0, 0, 0).f1 == 0


def test_who_marks_nothing_scores_nothing_and_who_marks_all_finds_all(folder):
    none = evaluate_damage(folder, lambda p: {k: np.zeros(p.shape[:2], bool) for k in CLASSES}, DamagePlan())
    assert all(r.f1 == 0 and r.hits == 0 for r in none.rows)
    assert none.intact_share == 0
    every = evaluate_damage(folder, lambda p: {k: np.ones(p.shape[:2], bool) for k in CLASSES}, DamagePlan())
    assert all(r.recall == 1 for r in every.rows if r.hits)
    assert every.intact_share == 1
    total = {r.kind: r for r in every.rows}
    assert total[ANY].hits + total[ANY].false == 2 * 8 * 100 * 120
    assert {r.kind: r.missed for r in none.rows} == {r.kind: r.hits for r in every.rows}


def test_a_finder_that_knows_the_answer_scores_one(folder):
    """What is shown intact is known; the difference from it is the damage."""
    cv2 = pytest.importorskip("cv2")
    clean = [np.asarray(Pil.open(folder / f"{k}.png"), np.float32) / 255 for k in range(2)]
    plan = DamagePlan(severity=(0.6, 0.6), limit=1)

    def knows(picture):
        changed = (np.abs(picture - clean[0]).max(axis=2) >= 0.04).astype(np.uint8)
        closed = cv2.morphologyEx(changed, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        seen = cv2.dilate(closed, np.ones((3, 3), np.uint8)) > 0
        return {kind: seen if kind == "vandalism" else np.zeros(picture.shape[:2], bool) for kind in CLASSES}

    row = {r.kind: r for r in evaluate_damage(folder, knows, plan).rows}["vandalism"]
    assert row.hits > 0
    assert row.missed <= 0.02 * row.hits


def test_the_report_says_what_was_measured(folder):
    report = evaluate_damage(folder, lambda p: dict.fromkeys(CLASSES, p[..., 0] > 0.6), DamagePlan(limit=1))
    text = to_markdown(report)
    assert "1 pictures, each damaged in 8 ways" in text
    assert text.count("\n| ") == 2 + 9
    assert json.loads(report.to_json())["rows"][-1]["kind"] == "any"
    with pytest.raises(InputError):
        evaluate_damage(folder / "nowhere", lambda p: {}, DamagePlan())
    with pytest.raises(OptionError, match="severity"):
        DamagePlan(severity=(0.9, 0.2))
    with pytest.raises(OptionError, match="1 to 8"):
        DamagePlan(kinds=9)


def test_several_kinds_at_a_time(folder):
    def nothing(picture):
        return {kind: np.zeros(picture.shape[:2], bool) for kind in CLASSES}

    one = {r.kind: r.missed for r in evaluate_damage(folder, nothing, DamagePlan(severity=(0.5, 0.5))).rows}
    report = evaluate_damage(folder, nothing, DamagePlan(severity=(0.5, 0.5), kinds=8))
    all_of_them = {r.kind: r.missed for r in report.rows}
    # every class is in each of the eight shown pictures, so far as no other lies over it
    assert all(all_of_them[kind] > 2 * one[kind] for kind in CLASSES)
    assert one[ANY] < all_of_them[ANY] <= 2 * 8 * 100 * 120
    assert "8 ways, 8 kinds of damage at a time, of" in to_markdown(report)


def test_damage_as_a_person_marks_it_is_seen_and_grown():
    clean = np.full((96, 96, 3), 0.5, np.float32)
    picture, target = damaged(clean, [("vandalism", 0.7)], np.random.default_rng(3), 1.5)
    marked = target[..., CLASSES.index("vandalism")] > 0
    changed = np.abs(picture - clean).max(axis=2)
    assert marked[changed >= 0.5].all()
    assert not marked[changed == 0].all()
    others = [k for k in range(len(CLASSES)) if CLASSES[k] != "vandalism"]
    assert not target[..., others].any()
    dark = np.zeros((96, 96, 3), np.float32)
    _, unseen = damaged(dark, [("dirt", 0.1)], np.random.default_rng(0), 1.0)
    shown, _ = damaged(dark, [("dirt", 0.1)], np.random.default_rng(0), 1.0)
    assert unseen.any() == bool((np.abs(shown - dark).max(axis=2) >= 0.05).any())


def test_what_lies_under_later_damage_is_not_to_be_found():
    clean = np.full((96, 96, 3), 0.5, np.float32)
    rng = np.random.default_rng(5)
    _, target = damaged(clean, [("scratch", 0.8), ("missing", 0.9)], rng, 1.5)
    both = (target[..., CLASSES.index("scratch")] > 0) & (target[..., CLASSES.index("missing")] > 0)
    # only the rim, where either was grown by a pixel or closed, may hold both
    assert both.sum() <= 0.2 * max(1, (target[..., CLASSES.index("missing")] > 0).sum())


def test_a_finder_that_is_told_the_kinds_is_shown_no_intact_picture(folder):
    told = []

    def listening(picture, kinds):
        told.append(kinds)
        return {kind: np.full(picture.shape[:2], kind in kinds) for kind in CLASSES}

    report = evaluate_damage(folder, listening, DamagePlan(limit=1, kinds_known=True))
    assert told == [(kind,) for kind in CLASSES]
    assert report.intact_share == 0
    assert all(row.recall == 1 for row in report.rows)
    assert "The kinds were told." in to_markdown(report)


def test_enlarged_pictures_are_damaged_at_their_new_size(folder):
    sizes = set()

    def detector(picture):
        sizes.add(picture.shape[:2])
        return dict.fromkeys(CLASSES, picture[..., 0] > 0.6)

    report = evaluate_damage(folder, detector, DamagePlan(limit=1, enlarge=2))
    assert sizes == {(200, 240)}
    assert "enlarged 2 times" in to_markdown(report)
    with pytest.raises(OptionError, match="enlarged"):
        DamagePlan(enlarge=0)
