import json

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.errors import OptionError
from tratto_lab.evaluation.repair import (
    RepairPlan,
    as_the_command,
    evaluate_repair,
    inpainter_method,
    to_markdown,
)


@pytest.fixture
def folder(tmp_path):
    y, x = np.mgrid[0:80, 0:96]
    for k in range(2):
        px = np.stack([0.5 + 0.3 * np.sin(x / (6 + k)), 0.5 + 0.2 * np.cos(y / 8), 0.4 + 0 * x], -1)
        Pil.fromarray(np.rint(255 * px).astype(np.uint8)).save(tmp_path / f"{k}.png")
    return tmp_path


def constant(off):
    """Fill with the truth plus a constant; the truth is known from the folder."""

    def run(picture, holes):
        return np.where(holes[..., None], np.float32(0.5 + off), picture), np.full(holes.shape, 0.3, np.float32)

    return run


def test_psnr_is_that_of_the_holes_alone(folder):
    flat = folder / "flat"
    flat.mkdir()
    Pil.fromarray(np.full((80, 96, 3), 128, np.uint8)).save(flat / "a.png")
    report = evaluate_repair(flat, {"off": constant(20 / 255)}, RepairPlan(("thin",)))
    row = report.value("off", "thin")
    # 0.5 + 20/255 rounds to 148 (147.5 to even), where the truth is 128
    assert row.psnr == pytest.approx(-20 * np.log10(20 / 255), abs=1e-6)
    assert row.changed_outside == 0
    assert row.within_one_sigma == 1
    assert row.pictures == 1


def test_a_method_that_touches_the_rest_is_told(folder):
    def careless(picture, holes):
        out = picture.copy()
        out[holes] = 0.5
        out[~holes] = np.clip(out[~holes] + 0.1, 0, 1)
        return out, None

    report = evaluate_repair(folder, {"careless": careless}, RepairPlan(("medium",), limit=1))
    row = report.value("careless", "medium")
    assert row.changed_outside > 0.8 * 80 * 96
    assert row.within_one_sigma is None


def test_ours_and_baselines_in_one_table(folder):
    methods = {
        "tratto repair": as_the_command(),
        "telea": inpainter_method("telea"),
        "patch": inpainter_method("patch"),
    }
    seen = []
    report = evaluate_repair(folder, methods, RepairPlan(limit=1), seen.append)
    assert seen == ["0"]
    assert {(r.method, r.size) for r in report.rows} == {(m, s) for m in methods for s in ("thin", "medium", "large")}
    assert all(r.changed_outside == 0 for r in report.rows)
    assert report.value("tratto repair", "thin").psnr > report.value("telea", "thin").psnr
    text = to_markdown(report)
    assert text.count("| thin |") == 3
    assert len(json.loads(report.to_json())["rows"]) == 9


def test_further_distances_are_means_over_pictures_of_what_a_file_holds(folder):
    measures = {"LPIPS": lambda a, b: float(np.abs(a - b).max())}
    plan = RepairPlan(("large",))
    report = evaluate_repair(folder, {"off": constant(0.0)}, plan, measures=measures)
    row = report.value("off", "large")
    assert 0.1 < row.measures["LPIPS"] <= 0.51
    assert f" {row.measures['LPIPS']:.4f} |" in to_markdown(report)
    assert "| LPIPS |" in to_markdown(report)
    assert json.loads(report.to_json())["rows"][0]["measures"] == dict(row.measures)
    assert "LPIPS" not in to_markdown(evaluate_repair(folder, {"off": constant(0.0)}, plan))


def test_same_holes_for_the_same_seed(folder):
    taken = []

    def spy(picture, holes):
        taken.append(holes)
        return picture, None

    evaluate_repair(folder, {"spy": spy}, RepairPlan(("thin",), seed=3))
    evaluate_repair(folder, {"spy": spy}, RepairPlan(("thin", "large"), seed=3))
    np.testing.assert_array_equal(taken[0], taken[2])
    np.testing.assert_array_equal(taken[1], taken[4])
    assert (taken[0] != taken[1]).any()


def test_plans_that_make_no_sense_are_refused():
    with pytest.raises(OptionError, match="thin, medium, large"):
        RepairPlan(("huge",))
    with pytest.raises(OptionError, match="none"):
        RepairPlan(())
