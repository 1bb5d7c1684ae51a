import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.errors import InputError, OptionError
from tratto_lab.training.ablate_lora import ablate_runs, last_metrics, table

RUNS = sorted((Path(__file__).parents[3] / "training_runs" / "ablations").glob("recolor_*.py"))


@pytest.fixture
def walls(tmp_path):
    folder = tmp_path / "walls"
    folder.mkdir()
    for k, color in enumerate(([200, 60, 60], [60, 80, 190], [90, 170, 90])):
        noise = np.random.default_rng(k).normal(0, 3, (48, 64, 3))
        mask = np.zeros((48, 64), np.uint8)
        mask[:32] = 255
        picture = np.where(mask[..., None] > 0, color + noise, [40, 30, 20]).clip(0, 255).astype(np.uint8)
        Pil.fromarray(picture).save(folder / f"w{k}.png")
        Pil.fromarray(mask).save(folder / f"w{k}_mask.png")
    return folder


def test_the_five_runs_differ_in_one_thing_each():
    from tratto_lab.training.lora_config import load_any

    runs = {p.stem: load_any(p) for p in RUNS}
    base = runs.pop("recolor_base")
    differing = {
        name: {f for f in run.__dataclass_fields__ if getattr(run, f) != getattr(base, f)} - {"name"}
        for name, run in runs.items()
    }
    assert differing == {
        "recolor_kmeans": {"data"},
        "recolor_plain": {"data"},
        "recolor_prompt": {"unconditional_training", "prompt"},
        "recolor_color_loss": {"color_loss"},
    }
    assert runs["recolor_kmeans"].data == {"color": "kmeans"}
    assert runs["recolor_plain"].data == {"texture": False}


def test_all_ablations_run_on_a_tiny_model_and_make_one_table(tiny, walls, tmp_path):
    """That they run is all this shows: random weights learn nothing worth comparing."""
    small = [f"model={tiny['sd15']}", f"ip_adapter={tiny['ip-adapter']}", "side=32", "steps=1", "batch=1",
             "accumulate=1", "precision=no", "held_out=1", "check_steps=1", "rank=2", "alpha=2"]  # fmt: skip
    text = ablate_runs(RUNS, walls, tmp_path / "out", small)
    lines = text.splitlines()
    assert lines[0].startswith("| run | step | loss | lab_distance | delta_e_76 | delta_e_2000 |")
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {p.stem}" for p in RUNS]
    assert (tmp_path / "out" / "ablations.md").read_text() == text + "\n"
    for path in RUNS:
        step, metrics = last_metrics(tmp_path / "out" / path.stem)
        assert step == 1
        assert np.isfinite(metrics["val/lab_distance_mean"])


def test_the_table_tells_what_could_not_be_measured():
    found = [("a", 3, {"val/lab_distance_mean": 1.5, "val/lab_distance_not_measurable": 0}),
             ("b", 3, {"val/lab_distance_mean": None, "val/lab_distance_not_measurable": 2})]  # fmt: skip
    assert table(found).splitlines() == [
        "| run | step | lab_distance | not measurable |",
        "| --- | --- | --- | --- |",
        "| a | 3 | 1.5 | 0 |",
        "| b | 3 | - | 2 |",
    ]


def test_the_newest_metrics_count_and_broken_ones_are_told(tmp_path):
    with pytest.raises(InputError, match="before it validated"):
        last_metrics(tmp_path)
    for step in (9, 10):
        (tmp_path / f"step-{step}_metrics.json").write_text(json.dumps({"aggregated_metrics": {"x": step}}))
    assert last_metrics(tmp_path) == (10, {"x": 10})
    (tmp_path / "step-11_metrics.json").write_text("[]")
    with pytest.raises(InputError, match="of metrics"):
        last_metrics(tmp_path)


def test_runs_that_would_collide_or_compare_nothing_are_refused(tmp_path):
    shutil.copy(RUNS[0], tmp_path / "again.py")
    with pytest.raises(InputError, match="name of its own"):
        ablate_runs([RUNS[0], tmp_path / "again.py"], tmp_path, tmp_path)
    with pytest.raises(OptionError, match="holds nothing out"):
        ablate_runs(RUNS[:1], tmp_path, tmp_path, ["held_out=0"])
    (tmp_path / "other.py").write_text("RUN = 3\n")
    with pytest.raises(InputError, match=r"must set RUN = Run\(\.\.\.\) or LoraRun"):
        ablate_runs([tmp_path / "other.py"], tmp_path, tmp_path)
