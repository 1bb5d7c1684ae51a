"""The standard error of SPAN is trained on top of the published picture, which no step touches."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("accelerate")

from tratto.core.errors import OptionError  # noqa: E402
from tratto_lab.convert.span import PictureOnly  # noqa: E402
from tratto_lab.networks.span import Span, SpanConfig  # noqa: E402
from tratto_lab.training.config import Data, Optim, Run, load_run  # noqa: E402
from tratto_lab.training.export import export  # noqa: E402
from tratto_lab.training.loop import build_network, load_ema, run  # noqa: E402
from tratto_lab.training.onnx_file import halve_initializers, write_onnx  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def published(path):
    """A small SPAN whose weights fit into fp16, as a file of its picture."""
    torch.manual_seed(0)
    network = Span(SpanConfig(2, 6, 4))
    with torch.no_grad():
        for name, p in network.named_parameters():
            if name.endswith("weight"):
                p.copy_(p.half().float())
    axes = {"image": {2: "height", 3: "width"}, "image_out": {2: "out_h", 3: "out_w"}}
    write_onnx(PictureOnly(network), torch.rand(1, 3, 16, 16), ("image", ("image_out",)), axes, path, exact=True)
    return network


def test_only_the_error_moves_and_the_file_holds_both(photos, tmp_path):
    theirs = published(tmp_path / "span-x2.onnx")
    config = Run(
        "head",
        "span",
        2,
        {"scale": 2, "width": 6, "sigma_width": 4},
        batch=1,
        data=Data(patch=32, text_share=0.0),
        optim=Optim(lr=1e-2, warmup=1),
        initial="span-x2.onnx",
        train_only="sigma",
    )
    assert config.scale == 2
    folder = run(config, photos, tmp_path)
    network = build_network(config)
    assert load_ema(folder, network) == []
    own, other = network.state_dict(), theirs.state_dict()
    same = {k: torch.equal(own[k], other[k]) for k in own if not k.startswith("sigma.")}
    assert all(same.values())
    assert float(own["sigma.second.weight"].abs().max()) > 0  # it began at zero
    made = export(config, folder, photos, tmp_path / "out.onnx")
    assert made.max_difference < 1e-5
    graph = onnx.load(made.path).graph
    assert [o.name for o in graph.output] == ["image_out", "sigma"]
    kinds = {t.name.removesuffix("_fp16"): t.data_type for t in graph.initializer}
    weights = [n for n in kinds if n.endswith("weight") and "sigma" not in n]
    assert len(weights) == 1 + 18 + 3
    assert {kinds[n] for n in weights} == {onnx.TensorProto.FLOAT16}


def test_only_what_loses_nothing_is_halved(tmp_path):
    from onnx import TensorProto, helper, numpy_helper

    exact = numpy_helper.from_array(np.arange(32, dtype=np.float32) / 8, "exact")
    fine = numpy_helper.from_array(np.linspace(0, 1, 32, dtype=np.float32), "fine")
    nodes = [helper.make_node("Mul", ["x", "exact"], ["y"]), helper.make_node("Add", ["y", "fine"], ["z"])]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [32]) for n in "xz"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], [exact, fine])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    halve_initializers(path, exact=True)
    kinds = {t.name: t.data_type for t in onnx.load(path).graph.initializer}
    assert kinds == {"exact_fp16": TensorProto.FLOAT16, "fine": TensorProto.FLOAT}


@pytest.mark.parametrize("scale", [2, 4])
def test_the_run_files_are_of_the_networks_that_ship(scale):
    from pathlib import Path

    from tratto.models.store import get_card

    config = load_run(Path(__file__).parents[3] / "training_runs" / f"span_x{scale}_sigma.py")
    assert (config.scale, config.card_id) == (scale, f"span-x{scale}")
    network = build_network(config)
    assert sum(p.numel() for p in network.parameters()) == get_card(config.card_id).quality["parameters"]


@pytest.mark.parametrize("options", [{"scale": 5}, {"width": 0}, {"wide": 3}])
def test_other_shapes_are_refused(options):
    with pytest.raises(OptionError):
        build_network(Run("x", "span", 1, options))
