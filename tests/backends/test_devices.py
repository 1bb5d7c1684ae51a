"""Where networks run, and any named tensors through a backend."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from tratto.backends import devices
from tratto.backends.devices import check_device, onnx_providers, torch_device
from tratto.backends.open import open_backend
from tratto.core.errors import OptionError, UnavailableError
from tratto.models.card import ModelCard, TensorSpec, parse_card

ort = pytest.importorskip("onnxruntime")
CPU = ("CPUExecutionProvider", {})


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", "", "cuda:-1"])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(OptionError, match="cuda:N"):
        check_device(device)


def test_a_gpu_is_taken_where_runtime_and_card_allow_it(monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    for device, number in (("auto", "0"), ("cuda", "0"), ("cuda:3", "3")):
        first, second = onnx_providers(device, ("cpu", "cuda"))
        assert first == ("CUDAExecutionProvider", {"device_id": number, "use_tf32": "0"})
        assert second == CPU
    assert onnx_providers("cpu", ("cpu", "cuda")) == [CPU]
    assert onnx_providers("auto", ("cpu",)) == [CPU]
    with pytest.raises(OptionError, match="cpu only"):
        onnx_providers("cuda", ("cpu",))


def test_without_a_gpu_auto_is_the_processor_and_cuda_says_how_to_mend(monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert onnx_providers("auto", ("cpu", "cuda")) == [CPU]
    for there, words in (
        ({"onnxruntime"}, r"tratto\[cuda\]"),
        ({"onnxruntime", "onnxruntime-gpu"}, "overwrite each other"),
        ({"onnxruntime-gpu"}, "no CUDA libraries"),
    ):
        monkeypatch.setattr(devices, "_installed", there.__contains__)
        with pytest.raises(UnavailableError, match=words):
            onnx_providers("cuda", ("cpu", "cuda"))


def test_torch_follows_the_same_names(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto") == torch_device("cpu") == "cpu"
    with pytest.raises(UnavailableError, match="no GPU"):
        torch_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device("auto") == "cuda"
    assert torch_device("cuda:1") == "cuda:1"


CARD = """
id = "words"
file = "words.onnx"
sha256 = "{sha}"
licence = "CC0-1.0"
commercial_use = true
capability = "text-encoder"
backend = "onnx"
paper = "none"
training_data = "none"
command = "none"
limits = "none"
devices = ["cpu"]
[tensors.tokens]
dtype = "int64"
shape = [1, "tokens"]
[tensors.weights]
dtype = "float32"
shape = [1, "tokens", 4]
"""


@pytest.fixture
def words(tmp_path, monkeypatch):
    """A network of two inputs that are no pictures: doubles the tokens, and sums the weights over them."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Add", ["tokens", "tokens"], ["doubled"]),
        helper.make_node("ReduceSum", ["weights", "axis"], ["summed"], keepdims=0),
    ]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "t"]),
        helper.make_tensor_value_info("weights", TensorProto.FLOAT, [1, "t", 4]),
    ]
    outputs = [
        helper.make_tensor_value_info("doubled", TensorProto.INT64, [1, "t"]),
        helper.make_tensor_value_info("summed", TensorProto.FLOAT, [1, 4]),
    ]
    graph = helper.make_graph(nodes, "words", inputs, outputs, [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "words.onnx")
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    return parse_card(CARD.format(sha=hashlib.sha256((tmp_path / "words.onnx").read_bytes()).hexdigest()))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_tensors_of_any_name_type_and_shape_go_through(words, runtime):
    pytest.importorskip("onnxruntime" if runtime == "onnx" else "openvino")
    backend = open_backend(words, runtime=runtime)
    tokens = np.arange(7, dtype=np.int64)[None]
    weights = np.ones((1, 7, 4), np.float32)
    out = backend.run({"tokens": tokens, "weights": weights})
    np.testing.assert_array_equal(out["doubled"], 2 * tokens)
    assert out["doubled"].dtype == np.int64
    np.testing.assert_array_equal(out["summed"], np.full((1, 4), 7, np.float32))
    for wrong in (tokens.astype(np.int32), tokens[0], np.zeros((1, 0), np.int64), np.zeros((2, 7), np.int64)):
        with pytest.raises(OptionError, match="int64"):
            backend.run({"tokens": wrong, "weights": weights})


def test_a_card_says_where_it_may_run(words):
    assert words.devices == ("cpu",)
    with pytest.raises(OptionError, match="cpu only"):
        open_backend(words, "cuda")
    with pytest.raises(OptionError, match="CPU only"):
        open_backend(words, "cuda", runtime="openvino")


@pytest.mark.parametrize(
    "tensor", ['"int64"', '{ dtype = "int64" }', '{ dtype = "int7", shape = [1] }', '{ dtype = "int64", shape = [0] }']
)
def test_a_tensor_that_makes_no_sense_is_refused(tensor):
    text = CARD.format(sha="0" * 64).partition("[tensors.tokens]")[0] + f"tensors.x = {tensor}\n"
    with pytest.raises(OptionError, match="tensors"):
        parse_card(text)
    with pytest.raises(OptionError, match=r"devices\.0: "):
        parse_card(CARD.format(sha="0" * 64).replace('["cpu"]', '["tpu"]'))


def test_specs():
    spec = TensorSpec("float32", (1, "h", 3))
    assert spec.fits("float32", (1, 9, 3))
    assert not spec.fits("float32", (1, 9, 4))
    assert not spec.fits("float64", (1, 9, 3))
    assert str(spec) == "float32 (1, h, 3)"
    card = ModelCard("a", {"a.onnx": "0" * 64}, "CC0-1.0", True, "restorer", "onnx")
    assert replace(card, devices=("cpu",)).devices == ("cpu",)
