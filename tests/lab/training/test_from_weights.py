"""Training goes on from what ships."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tratto.core.errors import InputError, OptionError  # noqa: E402
from tratto_lab.corpus.pack import Pack  # noqa: E402
from tratto_lab.networks.norm import Norm  # noqa: E402
from tratto_lab.training.config import Data, Optim, Run  # noqa: E402
from tratto_lab.training.from_weights import checkpoint_from, unfold  # noqa: E402
from tratto_lab.training.loop import build_network, load_ema, run  # noqa: E402
from tratto_lab.training.publish_repair import export_repair  # noqa: E402
from tratto_lab.training.samples import make_sample  # noqa: E402

FIND = Run(
    "find",
    "segmenter",
    12,
    {
        "stem": 6,
        "stages": ((3, 1, 1, 6, 1), (3, 2, 2, 8, 1)),
        "widths": (8, 10),
        "own": 6,
        "refine": 1,
        "presence": 4,
    },
    batch=2,
    data=Data(patch=48),
    optim=Optim(warmup=2, lr=3e-3, ema=0.5),
    log_every=12,
    save_every=12,
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    """A trained run's folder of runs, and its exported weights."""
    runs = tmp_path_factory.mktemp("runs")
    folder = run(FIND, photos, runs)
    export_repair(FIND, folder, photos, runs / "find.onnx")
    return runs, runs / "find.onnx"


def test_the_network_is_the_same_at_work_and_in_training(photos, made, tmp_path):
    runs, weights = made
    folder = checkpoint_from(FIND, weights, photos, tmp_path)
    before, after = build_network(FIND), build_network(FIND)
    assert load_ema(runs / FIND.name, before) == []
    assert load_ema(folder, after) == []
    x = torch.rand(4, 3, 64, 48, generator=torch.Generator().manual_seed(3))
    norms = [m for m in after.modules() if isinstance(m, Norm)]
    assert len(norms) == 8
    assert all(m.running_var.min() < 0.9 or m.running_var.max() > 1.1 for m in norms)
    with torch.no_grad():
        torch.testing.assert_close(after.eval()(x), before.eval()(x), atol=5e-3, rtol=5e-3)
    pack = Pack(tmp_path / "pack")
    samples = [make_sample(FIND, pack, 7, n).source.transpose(2, 0, 1) for n in range(16)]
    x = torch.from_numpy(np.stack(samples))
    with torch.no_grad():
        at_work, in_training = after.eval()(x), after.train()(x)[0]
    # statistics of sixteen other samples: nearly, not quite those it was given
    assert (in_training - at_work).abs().mean() < 0.2 * at_work.std()


def test_training_goes_on_from_there(photos, made, tmp_path):
    checkpoint_from(FIND, made[1], photos, tmp_path)
    assert run(FIND, photos, tmp_path) == tmp_path / "find"  # all its steps are done
    more = run(replace(FIND, name="more", initial="find", steps=3), photos, tmp_path)
    assert (more / "checkpoint.safetensors").is_file()


def test_what_does_not_fit_is_refused(photos, made, tmp_path):
    weights = made[1]
    wider = replace(FIND, network_options={**FIND.network_options, "own": 8})
    deeper = replace(FIND, network_options={**FIND.network_options, "refine": 2})
    for other in (wider, deeper):
        with pytest.raises(InputError, match="another shape"):
            checkpoint_from(other, weights, photos, tmp_path)
    with pytest.raises(OptionError, match="makes a restorer"):
        checkpoint_from(replace(FIND, network="restorer", network_options={}), weights, photos, tmp_path)
    (tmp_path / "no.onnx").write_bytes(b"\xffno")
    for name in ("no.onnx", "missing.onnx"):
        with pytest.raises(InputError, match=name):
            checkpoint_from(FIND, tmp_path / name, photos, tmp_path)
    (tmp_path / "no.onnx").write_bytes(b"")
    with pytest.raises(InputError, match="without weights"):
        checkpoint_from(FIND, tmp_path / "no.onnx", photos, tmp_path)
    assert not (tmp_path / "find").exists()
    with pytest.raises(OptionError, match="one input"):
        unfold(build_network(FIND), weights, [])
    checkpoint_from(FIND, weights, photos, tmp_path)
    with pytest.raises(OptionError, match="already"):
        checkpoint_from(FIND, weights, photos, tmp_path)


def test_the_command_says_where_it_wrote_and_what_is_wrong_in_one_line(made, photos, tmp_path, monkeypatch, capsys):
    from tratto_lab.training import from_weights

    monkeypatch.setattr(from_weights, "load_run", lambda path: FIND)
    given = ["from_weights", "find.py", "--weights", str(made[1]), "--photos", str(photos), "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", given)
    from_weights.main()
    assert f"{tmp_path / 'find'}: a run file with initial='find'" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        from_weights.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("tratto: ")
