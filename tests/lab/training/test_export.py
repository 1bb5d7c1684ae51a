import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from tratto.core.errors import OptionError  # noqa: E402
from tratto_lab.training.config import Run  # noqa: E402
from tratto_lab.training.export import Deployed, calibrate, export, parity  # noqa: E402
from tratto_lab.training.loop import Ema, HeldOut, build_network, save_checkpoint  # noqa: E402
from tratto_lab.training.onnx_file import halve_initializers  # noqa: E402

UP = Run("up", "upscaler", 1, {"scale": 2, "width": 16, "blocks": 1})


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class _Known(HeldOut):
    """Errors of known size without photographs."""

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        target = torch.rand(1, 3, 64, 64, generator=rng) * 0.5 + 0.25
        noise = 0.05 * torch.randn(1, 3, 64, 64, generator=rng)
        self.cases = {"noise": [(target + noise, target)]}


class _Constant(torch.nn.Module):
    def forward(self, x):
        return x, torch.full_like(x[:, :1], float(np.log(0.1)))


def test_calibration_puts_the_share_within_one_sigma():
    found = calibrate(_Constant(), _Known())
    assert found.within["noise"] == pytest.approx(0.68, abs=0.005)
    # RMS of three normal errors of 0.05: its 68 % point is 0.05 * sqrt(chi2_3(0.68) / 3) = 0.05 * 1.0814
    assert found.factor * 0.1 == pytest.approx(0.05 * 1.0814, rel=0.02)
    assert len(found.curve) == 10


def test_calibration_without_photographs_is_refused():
    checks = _Known()
    checks.cases = {}
    with pytest.raises(OptionError, match="held-out"):
        calibrate(_Constant(), checks)


def test_exported_file_computes_what_torch_computes(tmp_path, monkeypatch):
    network = build_network(UP)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
    optimizer = torch.optim.AdamW(network.parameters())
    save_checkpoint(tmp_path, network, Ema(network, 0.9), optimizer, 0)

    def known(self, photos, run):
        target = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(5))
        self.cases = {"bicubic": [(torch.nn.functional.avg_pool2d(target, 2), target)]}

    monkeypatch.setattr(HeldOut, "__init__", known)
    made = export(UP, tmp_path, tmp_path, tmp_path / "up.onnx")
    assert made.max_difference < 2e-3  # what rounding the weights to fp16 costs
    assert made.path.stat().st_size == made.size_bytes < 100_000
    model = onnx.load(made.path)
    big = [t for t in model.graph.initializer if np.prod(t.dims) >= 16 and t.data_type == onnx.TensorProto.FLOAT]
    assert not big
    assert [o.name for o in model.graph.output] == ["image_out", "sigma"]
    # With the very same rounding in torch the two agree to fp32 arithmetic.
    with torch.no_grad():
        for p in network.parameters():
            if p.numel() >= 16:  # smaller ones stay as they are
                p.copy_(p.half().float())
    assert parity(made.path, Deployed(network, made.calibration.factor)) < 2e-5


def test_small_and_integer_initializers_stay(tmp_path):
    from onnx import TensorProto, helper, numpy_helper

    big = numpy_helper.from_array(np.linspace(0, 1, 32, dtype=np.float32), "big")
    small = numpy_helper.from_array(np.array([0.1], np.float32), "small")
    nodes = [helper.make_node("Mul", ["x", "big"], ["y"]), helper.make_node("Add", ["y", "small"], ["z"])]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [32]) for n in "xz"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [big, small])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    halve_initializers(path)
    kinds = {t.name: t.data_type for t in onnx.load(path).graph.initializer}
    assert kinds == {"big_fp16": TensorProto.FLOAT16, "small": TensorProto.FLOAT}
