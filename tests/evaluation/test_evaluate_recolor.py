import json

import numpy as np
import pytest

from tratto.core.errors import InputError
from tratto.evaluation import recolor as ev
from tratto.imaging.paint import parse_color


def sample(**more):
    y, x = np.mgrid[0:60, 0:80]
    light = (0.5 + 0.4 * np.sin(x / 9) * np.cos(y / 7))[..., None]
    before = np.rint(255 * light * np.array([0.8, 0.7, 0.5])).astype(np.uint8)
    after = np.rint(255 * light * np.array([0.4, 0.6, 0.8])).astype(np.uint8)
    mask = np.zeros((60, 80), np.uint8)
    mask[10:50, 10:70] = 255
    return ev.Sample(
        **{"name": "a", "before": before, "mask": mask, "reference": parse_color("#5080a0"), "after": after} | more
    )


def test_the_truth_is_at_distance_zero_and_the_source_at_correlation_one():
    s = sample()
    truth = ev.measure("truth", s, ev.truth(s))
    assert truth.render_lab == 0
    assert truth.render_delta_e == 0
    assert truth.render_psnr == 100
    assert truth.outside == 0
    same = ev.measure("same", s, s.before)
    assert same.gradient == pytest.approx(1)
    assert same.render_psnr < 20
    inverted = (255 - s.before).astype(np.uint8)
    assert ev.measure("inverted", s, inverted).gradient < -0.9
    assert ev.measure("inverted", s, inverted).outside == 60 * 80 - 40 * 60


def test_what_cannot_be_measured_is_counted():
    empty = sample(mask=np.zeros((60, 80), np.uint8))
    score = ev.measure("m", empty, empty.before)
    assert score.color.lab_distance is None
    assert score.gradient is None
    row = ev.summarise_method([score, ev.measure("m", sample(), sample().before)])
    assert (row.lab_distance.measured, row.lab_distance.left_out) == (1, 1)
    assert row.lab_distance.mean > 0
    assert ev.measure("m", sample(texture_stays=False), sample().before).gradient is None
    flat = sample(before=np.full((60, 80, 3), 9, np.uint8))
    assert ev.measure("m", flat, flat.before).gradient is None


@pytest.mark.parametrize("name", [n for n in ev.METHODS if "Tratto" not in n])
def test_baselines_stay_inside_the_mask(name):
    s = sample()
    out = ev.METHODS[name](s)
    assert out.dtype == np.uint8
    assert ev.measure(name, s, out).outside == 0
    if name in ("linear ratio", "LAB shift"):
        assert ev.measure(name, s, out).color.lab_distance < 8


def test_the_embedded_method_is_excellent_here():
    s = sample()
    score = ev.measure("t", s, ev.embedded("seen")(s))
    assert score.color.lab_distance < 0.3
    assert score.color.hue_error < 0.5
    assert score.gradient > 0.95
    assert score.outside == 0


def test_report_files_and_comparison(tmp_path):
    scores = ev.evaluate([sample(), sample(name="b")], {"as it is": ev.untouched, "LAB shift": ev.lab_shift})
    path = ev.write_metrics(tmp_path / "run", 7, scores)
    assert path.name == "step-7_metrics.json"
    data = json.loads(path.read_text())
    want = np.mean([s.color.lab_distance for s in scores if s.method == "as it is"])
    assert data["aggregated_metrics"]["val/lab_distance_mean"] == pytest.approx(want)
    table = ev.to_markdown(ev.rows_of(scores))
    assert table.count("\n| ") == 3
    assert "run/step-7_metrics" in ev.compare([path])
    with pytest.raises(InputError):
        ev.compare([tmp_path / "none.json"])
    assert ev.grid_row(sample(), sample().before).shape == (60, 400, 3)
