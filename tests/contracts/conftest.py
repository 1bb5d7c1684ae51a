"""Tiny networks with known weights, as files for each backend, beside a plain NumPy version of the same arithmetic."""

from __future__ import annotations

import hashlib
import importlib.util
import struct
from dataclasses import replace

import numpy as np
import pytest

from tratto.models.card import ModelCard

EXTRA = {"onnxruntime": "base install", "openvino": "openvino", "ncnn": "upscale"}


def need(package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed (extra {EXTRA[package]!r})")


def convolve(x, weight, bias):
    """Slow same-size 3x3 cross-correlation with zero padding: (C, H, W) -> (O, H, W), float64."""
    _, h, w = x.shape
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((weight.shape[0], h, w)) + bias[:, None, None].astype(np.float64)
    for o in range(weight.shape[0]):
        for c in range(weight.shape[1]):
            for i in range(3):
                for j in range(3):
                    out[o] += float(weight[o, c, i, j]) * padded[c, i : i + h, j : j + w]
    return out


class Tiny:
    """Writes networks into one folder, which ``TRATTO_MODELS`` names, and makes their cards."""

    def __init__(self, folder):
        self.folder = folder
        rng = np.random.default_rng(7)
        # near the identity, so that results look like pictures
        self.weight = rng.normal(0, 0.03, (3, 3, 3, 3)).astype(np.float32)
        self.weight[np.arange(3), np.arange(3), 1, 1] += 1
        self.bias = np.array([0.01, -0.02, 0.03], np.float32)

    def card(self, card_id, names, backend, **facts):
        files = {n: hashlib.sha256((self.folder / n).read_bytes()).hexdigest() for n in names}
        base = ModelCard(
            id=card_id,
            files=files,
            licence="CC0-1.0",
            commercial_use=True,
            capability="restorer",
            backend=backend,
            tile=32,
            overlap=4,
            input="image",
            output="image_out",
            speed={"seconds_per_megapixel": 0.5},
        )
        return replace(base, **facts)

    def onnx(self, scale=1, sigma=False, name="tiny"):
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        nodes, weights = [], [numpy_helper.from_array(self.weight, "w"), numpy_helper.from_array(self.bias, "b")]
        source = "image"
        if scale > 1:
            weights.append(numpy_helper.from_array(np.array([1, 1, scale, scale], np.float32), "scales"))
            nodes.append(helper.make_node("Resize", ["image", "", "scales"], ["large"], mode="nearest"))
            source = "large"
        nodes.append(helper.make_node("Conv", [source, "w", "b"], ["image_out"], pads=[1, 1, 1, 1]))
        outputs = [helper.make_tensor_value_info("image_out", TensorProto.FLOAT, [1, 3, "oh", "ow"])]
        if sigma:
            weights.append(numpy_helper.from_array(np.full((1, 3, 1, 1), 0.01, np.float32), "ws"))
            nodes.append(helper.make_node("Conv", [source, "ws"], ["sigma"]))
            outputs.append(helper.make_tensor_value_info("sigma", TensorProto.FLOAT, [1, 1, "oh", "ow"]))
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])]
        graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, self.folder / f"{name}.onnx")
        facts = {"scale": scale, "has_sigma": sigma, "sigma_output": "sigma" if sigma else ""}
        return self.card(f"{name}-onnx", [f"{name}.onnx"], "onnx", **facts)

    def ncnn(self, name="tiny"):
        layers = [
            "7767517",
            "2 2",
            "Input image 0 1 image 0=0 1=0 2=3",
            "Convolution conv 1 1 image image_out 0=3 1=3 4=1 5=1 6=81",
        ]
        (self.folder / f"{name}.param").write_text("\n".join(layers) + "\n")
        # a four-byte tag 0 = fp32 weights, the weights, then the bias
        raw = struct.pack("<I", 0) + self.weight.tobytes() + self.bias.tobytes()
        (self.folder / f"{name}.bin").write_bytes(raw)
        return self.card(f"{name}-ncnn", [f"{name}.param", f"{name}.bin"], "ncnn")

    def reference(self, x):
        """(1, 3, H, W) -> (1, 3, H, W) float64."""
        return convolve(x[0], self.weight, self.bias)[None]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    return Tiny(tmp_path)


@pytest.fixture
def need_package():
    return need
