import json
from dataclasses import replace

import numpy as np
import pytest

from tratto.core.errors import InputError
from tratto.imaging.paint import parse_color
from tratto_lab.evaluation import recolor as ev


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
    assert ev.grid_row(sample(), sample().before).shape == (60, 480, 3)


def test_the_grid_shows_depth_or_grey():
    one = sample()
    width = one.before.shape[1]
    place = slice(3 * width, 4 * width)
    np.testing.assert_array_equal(ev.grid_row(one, one.before)[:, place], 128)
    ramp = np.tile(np.arange(width, dtype=np.float32), (len(one.before), 1))
    deep = ev.grid_row(replace(one, depth=ramp), one.before)[:, place]
    np.testing.assert_allclose(deep[0, 0], [0, 0, 4], atol=1)
    np.testing.assert_allclose(deep[0, -1], [252, 255, 164], atol=1)


def test_what_cannot_be_measured_is_warned_of():
    empty = replace(sample(name="none #fff"), mask=np.zeros_like(sample().mask))
    flat = replace(sample(name="flat #fff"), depth=np.ones(sample().mask.shape, np.float32))
    scores = ev.evaluate([empty, flat], {"as it is": ev.untouched})
    told = ev.warnings_of(scores, [empty, flat])
    assert told == [
        "none #fff, as it is: not measurable: no pixel of the mask is above 0.5",
        "flat: the depth map is flat: every finite value is 1",
    ]


def test_folders_of_metrics_are_compared_in_the_order_of_their_steps(tmp_path):
    scores = ev.evaluate([sample()], {"as it is": ev.untouched})
    for step in (10, 9):
        ev.write_metrics(tmp_path / "run", step, scores)
    lines = ev.compare([tmp_path / "run"]).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| run/step-9_metrics", "| run/step-10_metrics"]
    with pytest.raises(InputError, match="holds no step-N"):
        ev.compare([tmp_path])


def test_a_wrong_checkpoint_is_told(tmp_path):
    with pytest.raises(InputError, match="fine-tuned run"):
        ev.checkpoint_method(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"task": "repair", "model": "m", "ip_adapter": "", "check_steps": 2}))
    head = json.dumps({"__metadata__": {"step": "12"}}).encode()
    (tmp_path / "checkpoint.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(InputError, match="run for 'repair'"):
        ev.checkpoint_method(tmp_path)


def test_a_checkpoint_paints_a_wall_on_a_tiny_model(tiny, tmp_path):
    """The run's own adapter is loaded: other weights of it give another wall."""
    pytest.importorskip("accelerate")
    from PIL import Image as Pil

    from tratto_lab.training.lora import train
    from tratto_lab.training.lora_config import LoraRun

    walls = tmp_path / "walls"
    walls.mkdir()
    rng = np.random.default_rng(0)
    for k in range(2):
        mask = np.zeros((40, 48), np.uint8)
        mask[:28] = 255
        picture = np.where(mask[..., None] > 0, 150 + rng.normal(0, 3, (40, 48, 3)), [40, 30, 20])
        Pil.fromarray(picture.clip(0, 255).astype(np.uint8)).save(walls / f"w{k}.png")
        Pil.fromarray(mask).save(walls / f"w{k}_mask.png")
    run = LoraRun(
        name="r", task="recolor", family="sd15", model=str(tiny["sd15"]), ip_adapter=str(tiny["ip-adapter"]), side=32,
        steps=2, held_out=1, check_steps=1, rank=2, alpha=2, lr=1.0, unconditional_training=True,
    )  # fmt: skip
    folder = train(run, walls, tmp_path / "out")
    step, method = ev.checkpoint_method(folder)
    assert step == 2
    room = replace(
        sample(), before=np.asarray(Pil.open(walls / "w0.png")), mask=np.asarray(Pil.open(walls / "w0_mask.png"))
    )
    painted = method(room)
    np.testing.assert_array_equal(painted[room.mask == 0], room.before[room.mask == 0])
    first = train(replace(run, name="s", steps=1, seed=5), walls, tmp_path / "out")
    other = ev.checkpoint_method(first)[1](room)
    assert (painted != other).any()
