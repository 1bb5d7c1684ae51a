from pathlib import Path

import pytest

from tratto.core.errors import InputError, OptionError
from tratto_lab.training.lora_config import LoraRun, load_any, lora_run, with_changes

REPAIR = {"name": "r", "task": "repair", "family": "sdxl", "model": "m"}


def test_the_shipped_runs_are_what_the_papers_of_both_jobs_ask():
    runs = Path(__file__).parents[3] / "training_runs"
    repair, recolor = load_any(runs / "lora_repair.py"), load_any(runs / "lora_recolor.py")
    for run in (repair, recolor):
        assert (run.rank, run.alpha, run.dropout, run.lr) == (8, 16, 0.1, 1e-4)
        assert run.targets == ("to_k", "to_q", "to_v", "to_out.0")
        assert 10 <= run.epochs <= 20
        assert 1 <= run.batch <= 2
    assert (repair.family, repair.task, repair.prompt) == ("sdxl", "repair", "Restore this monument: {caption}")
    assert (recolor.family, recolor.unconditional_training, recolor.color_loss) == ("sd15", True, 0.1)


def test_yaml_says_the_same_as_python(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "name: w\ntask: recolor\nfamily: sd15\nmodel: a\nip_adapter: b\nlr: 1.0e-4\ntargets: [to_q, to_k]\n"
        "color_loss: 0.1\nunconditional_training: true\ndata:\n  quality: 0.6\n"
    )
    assert load_any(path) == LoraRun(
        name="w", task="recolor", family="sd15", model="a", ip_adapter="b", lr=1e-4, targets=("to_q", "to_k"),
        color_loss=0.1, unconditional_training=True, data={"quality": 0.6},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("- a\n", InputError, "must hold the fields"),
        ("a: [", InputError, "no YAML"),
        ("name: r\nlearning_rate: 1\n", OptionError, "learning_rate"),
        ("name: r\n", OptionError, "task must.*family must.*model must"),
        ("name: r\ntask: repair\nfamily: sdxl\nmodel: m\nlr: 1e-4\n", OptionError, r"written 1\.0e-4"),
        ("name: r\ntask: repair\nfamily: sdxl\nmodel: m\ndata: 3\n", OptionError, "data"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path, text, error, words):
    path = tmp_path / "run.yml"
    path.write_text(text)
    with pytest.raises(error, match=words):
        load_any(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a/b"}, "name"),
        ({"task": "restore"}, "task"),
        ({"family": "sd3"}, "family"),
        ({"precision": "fp8"}, "precision"),
        ({"rank": 0}, "rank"),
        ({"batch": 1.5}, "batch"),
        ({"held_out": -1}, "held_out"),
        ({"dropout": 1.0}, "dropout"),
        ({"lr": 0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"targets": ()}, "targets"),
        ({"model": ""}, "model"),
        ({"color_loss": 0.1}, "color_loss"),
        ({"task": "recolor"}, "ip_adapter"),
    ],
)
def test_what_makes_no_sense_is_refused(change, words):
    with pytest.raises(OptionError, match=rf"here: .*\b{words}\b"):
        lora_run({**REPAIR, **change}, "here")


def test_fields_may_be_set_from_outside():
    run = lora_run(REPAIR, "here")
    changed = with_changes(
        run, ["steps=7", "lr=1e-3", "model=/a=b", "checkpointing=yes", "targets=to_q,to_k", "epochs=2"]
    )
    assert (changed.steps, changed.lr, changed.model, changed.checkpointing) == (7, 1e-3, "/a=b", True)
    assert changed.targets == ("to_q", "to_k")
    assert with_changes(run, []) is run
    for wrong in ("steps", "what=3", "steps=many", "checkpointing=perhaps"):
        with pytest.raises(OptionError):
            with_changes(run, [wrong])
    with pytest.raises(InputError, match="no run file"):
        load_any(Path("/no/such/run.yaml"))
