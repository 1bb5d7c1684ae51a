import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tratto.core.capability import Captioner, DepthEstimator, StructureDetector
from tratto.core.errors import InputError, OptionError, UnsupportedFormat, WeightMismatch
from tratto.core.image import Depth
from tratto.providers.caption import QUESTION, MeasuredCaptions, captioner_use, settle_captioner
from tratto.providers.catalogue import open_provider, open_settled, settle
from tratto.providers.depth import GeometricDepth, confident, grey_of
from tratto.providers.structure import CannyAndLines, drawn


def open_captioner(text):
    return open_settled(settle(captioner_use(text)))


def open_depth(name, folder=""):
    return open_provider("depth", name, {"model": folder} if folder else {})


def plain(color, size=(80, 120)):
    return np.broadcast_to(np.asarray(color, np.float32), (*size, 3)).copy()


# ------------------------------------------------------------------------------------------------------------ measured


def test_a_caption_says_what_was_measured_and_no_more():
    picture = plain((0.5, 0.5, 0.5), (100, 200))
    picture[:, 150:] = 1.0
    text = MeasuredCaptions().caption(picture, 0.034)
    assert text.startswith("A wide grey picture of 200x100 pixels, mostly grey and white, of middle brightness")
    assert text.endswith("; 3.4 % of it is marked as damaged.")
    for claim in ("building", "monument", "stone", "century", "style"):
        assert claim not in text
    assert "damage" not in MeasuredCaptions().caption(picture)


@pytest.mark.parametrize(
    ("color", "kind", "name"),
    [
        ((0.5, 0.5, 0.5), "grey", "grey"),
        ((180 / 255, 40 / 255, 40 / 255), "single-toned", "red"),
        ((110 / 255, 75 / 255, 45 / 255), "single-toned", "brown"),
        ((45 / 255, 85 / 255, 165 / 255), "single-toned", "blue"),
    ],
)
def test_plain_colours_have_their_names(color, kind, name):
    text = MeasuredCaptions().caption(plain(color))
    assert f"wide {kind} picture of 120x80" in text
    assert f"mostly {name}," in text


def test_the_embedded_captioner_says_that_it_is_a_stand_in():
    made = open_captioner("auto")
    assert isinstance(made, Captioner)
    assert made.info.provider == "measured"
    assert "recognises nothing" in made.info.stand_in
    with pytest.raises(OptionError, match="float32"):
        made.caption(np.zeros((4, 4), np.float32))
    with pytest.raises(OptionError, match="float32"):
        made.caption("photo.jpg")
    for wrong in ("nobody", "measured:folder", "joycaption", "joycaption:"):
        with pytest.raises(OptionError):
            settle_captioner(wrong)


# --------------------------------------------------------------------------------------------------------------- depth


def test_geometric_depth_is_far_in_the_middle():
    made = open_depth("geometric")
    assert isinstance(made, DepthEstimator)
    found = made.estimate(plain((0, 0, 0), (4, 2)))
    assert (found.unit, found.nearer_is) == ("relative", "larger")
    np.testing.assert_allclose(found.values, np.repeat([[0.75], [0.25], [0.25], [0.75]], 2, axis=1), rtol=1e-6)
    assert "no pixel" in GeometricDepth().info.stand_in
    with pytest.raises(OptionError, match="no parameter"):
        open_depth("geometric", "somewhere")
    with pytest.raises(OptionError, match="dpt, midas, geometric"):
        open_depth("guess")


def test_depth_as_a_grey_picture_has_near_in_white():
    nearer = Depth(np.array([[0.0, 1.0, 4.0]], np.float32), "relative", "larger")
    np.testing.assert_array_equal(grey_of(nearer), [[0, 16384, 65535]])
    further = Depth(np.array([[1.0, 2.0, 4.0]], np.float32), "metre", "smaller")
    np.testing.assert_array_equal(grey_of(further), [[65535, 21845, 0]])  # linear in 1 / distance
    np.testing.assert_array_equal(grey_of(Depth(np.ones((1, 2), np.float32))), [[32768, 32768]])


# ----------------------------------------------------------------------------------------------------------- structure


def test_a_square_has_four_lines_and_its_edges():
    picture = plain((0.2, 0.2, 0.2), (100, 120))
    picture[30:70, 40:90] = 0.8
    made = open_provider("structure")
    assert isinstance(made, StructureDetector)
    found = made.find(picture)
    assert found.edges.dtype == bool
    rows, columns = np.nonzero(found.edges)
    near = np.minimum(
        np.minimum(abs(rows - 29.5), abs(rows - 69.5)), np.minimum(abs(columns - 39.5), abs(columns - 89.5))
    )
    assert near.max() <= 2
    assert 150 < found.edges.sum() < 230  # the outline is 180 pixels long
    ends = found.lines[:4]
    length = np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1])
    assert np.all(np.diff(length) <= 0)
    np.testing.assert_allclose(sorted(length), [40, 40, 50, 50], atol=4)
    shown = drawn(found)
    assert set(np.unique(shown)) == {0, 128, 255}


def test_a_flat_picture_has_no_structure():
    found = CannyAndLines().find(plain((0.4, 0.4, 0.4)))
    assert not found.edges.any()
    assert found.lines.shape == (0, 4)
    with pytest.raises(OptionError, match="strong"):
        CannyAndLines(strong=1.5)


# -------------------------------------------------------------------------------------------------------- transformers


@pytest.fixture(scope="module")
def sight(tmp_path_factory):
    pytest.importorskip("torch").set_num_threads(1)
    pytest.importorskip("transformers")
    import tiny_sight

    folder = tmp_path_factory.mktemp("sight")
    made = {
        "hybrid": tiny_sight.tiny_dpt(folder / "hybrid"),
        "dpt": tiny_sight.tiny_dpt(folder / "dpt", hybrid=False),
        "anything": tiny_sight.tiny_depth_anything(folder / "anything"),
        "metric": tiny_sight.tiny_depth_anything(folder / "metric", metric=True),
        "zoe": tiny_sight.tiny_zoe(folder / "zoe"),
        "zoe-two": tiny_sight.tiny_zoe(folder / "zoe-two", heads=2),
        "llava": tiny_sight.tiny_llava(folder / "llava"),
    }
    talk = "{% for m in messages %}USER : {{ m['content'] }} {% endfor %}ASSISTANT :"
    made["talking"] = tiny_sight.tiny_llava(folder / "talking", talk)
    return made


def photo():
    rng = np.random.default_rng(0)
    return rng.uniform(0, 1, (50, 90, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["hybrid", "dpt", "anything", "metric", "zoe", "zoe-two"])
def test_depth_networks_are_opened_from_their_folders(sight, name):
    made = open_depth("dpt", str(sight[name]))
    found = made.estimate(photo())
    assert found.values.shape == (50, 90)
    assert found.values.dtype == np.float32
    assert float(found.values.std()) > 0
    assert (found.unit, found.nearer_is) == (
        ("metre", "smaller") if name.startswith(("metric", "zoe")) else ("relative", "larger")
    )
    np.testing.assert_array_equal(found.values, made.estimate(photo()).values)
    (model,) = made.info.models
    assert model.licence == "apache-2.0"
    assert len(model.sha256) == 64
    assert made.info.stand_in == ""


def test_a_picture_is_prepared_as_the_folder_says(sight):
    from tratto.backends.transformers import preparation, prepared

    how = preparation(sight["anything"])
    shown = prepared(plain((0.485, 0.456, 0.406), (60, 100)), how)
    assert shown.shape == (1, 3, 56, 98)  # 56 / 60 is the smaller change; both sides multiples of 14
    np.testing.assert_allclose(shown, 0, atol=1e-5)
    shown = prepared(plain((1.0, 0.5, 0.0), (33, 100)), preparation(sight["dpt"]))
    assert shown.shape == (1, 3, 64, 64)
    np.testing.assert_allclose(shown[0, :, 5, 5], [1, 0, -1], atol=1e-6)


def test_what_the_network_itself_gives_is_what_comes_out(sight):
    import torch
    from transformers import DPTForDepthEstimation

    from tratto.backends.transformers import preparation, prepared

    picture = np.random.default_rng(1).uniform(0, 1, (64, 64, 3)).astype(np.float32)
    network = DPTForDepthEstimation.from_pretrained(sight["hybrid"]).eval()
    with torch.inference_mode():
        want = network(torch.from_numpy(prepared(picture, preparation(sight["hybrid"])))).predicted_depth[0].numpy()
    got = open_depth("dpt", str(sight["hybrid"])).estimate(picture).values
    assert want.shape == got.shape
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_the_rim_is_mirrored_where_the_folder_says_so(sight):
    import torch
    from transformers import ZoeDepthForDepthEstimation

    from tratto.backends.transformers import preparation, prepared

    picture = photo()
    wide = np.pad(picture, ((15, 15), (20, 20), (0, 0)), "reflect")  # 3 times the root of half the side
    network = ZoeDepthForDepthEstimation.from_pretrained(sight["zoe"]).eval()
    with torch.inference_mode():
        seen = network(torch.from_numpy(prepared(wide, preparation(sight["zoe"])))).predicted_depth[0].numpy()
    want = cv2.resize(seen, (130, 80), interpolation=cv2.INTER_CUBIC)[15:65, 20:110]
    np.testing.assert_allclose(open_depth("dpt", str(sight["zoe"])).estimate(picture).values, want, atol=1e-5)


def test_midas_21_from_its_onnx_file(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    import tiny_faces
    import tiny_sight
    import tratto
    from tratto.models import files

    monkeypatch.setattr(files, "INSIGHTFACE", tmp_path / "nowhere")
    monkeypatch.delenv("TRATTO_MODELS", raising=False)
    (tmp_path / "here").mkdir()
    path = tiny_sight.tiny_midas(tmp_path / "here" / "tiny.onnx")
    picture = plain((0.485, 0.0, 0.406), (40, 60))
    picture[:, 30:, 1] = 0.8  # the network brings colours to its own zero itself; green is near
    depth, confidence = tratto.estimate_depth_confidence(picture, path)
    assert (depth.unit, depth.nearer_is, depth.values.shape) == ("relative", "larger", (40, 60))
    assert np.abs(depth.values[:, :24]).max() < 0.5
    assert depth.values[5:-5, 36:].min() > 7.5
    assert confidence[:, :20].min() > 0.9
    (model,) = tratto.estimate_depth(picture, path) and open_depth("midas", str(path)).info.models
    assert (model.id, model.licence) == ("tiny.onnx", "unknown")
    # under the name of the published file another is refused, and auto does not take it
    path.rename(tmp_path / "here" / "model-small.onnx")
    with pytest.raises(WeightMismatch, match="2d8c6cb8"):
        open_depth("midas", str(tmp_path / "here"))
    other = tiny_faces.landmarks(tmp_path / "other.onnx")
    with pytest.raises(OptionError, match="no MiDaS"):
        open_depth("midas", str(other))


def test_confidence_is_agreement_of_mirror_image_and_scales():
    picture = np.zeros((40, 60, 3), np.float32)
    picture[:, :, 0] = np.linspace(0, 1, 60)

    class Steady:
        """Sees depth in red, in a unit of its own each time."""

        times = 0

        def estimate(self, shown):
            self.times += 1
            return Depth(shown[..., 0] * self.times + 3 * self.times, "relative", "larger")

    class Unsteady(Steady):
        """Takes the left side of whatever it is shown for near."""

        def estimate(self, shown):
            w = shown.shape[1]
            half = shown[..., 0] + np.where(np.arange(w) < w / 2, 2.0, 0.0).astype(np.float32)
            return Depth(half, "relative", "larger")

    depth, confidence = confident(Steady(), picture)
    np.testing.assert_allclose(depth.values, picture[..., 0] + 3, atol=0.02)
    assert confidence.min() > 0.9
    _, doubtful = confident(Unsteady(), picture)
    assert doubtful.mean() < 0.3
    assert (doubtful >= 0).all()
    metres, exact = confident(GeometricDepth(), picture)
    assert metres.values.shape == exact.shape == (40, 60)
    with pytest.raises(OptionError):
        confident(Steady(), picture, tolerance=0)
    with pytest.raises(OptionError):
        confident(Steady(), picture, scales=(100.0,))


def test_depth_from_python(sight, tmp_path):
    import tratto
    from tratto.core.errors import MissingWeights

    shown = (255 * photo()).astype(np.uint8)
    depth = tratto.estimate_depth(shown, sight["zoe"])
    np.testing.assert_allclose(
        depth.values, open_depth("dpt", str(sight["zoe"])).estimate(shown / np.float32(255)).values
    )
    middle, confidence = tratto.estimate_depth_confidence(shown, sight["anything"])
    assert middle.values.shape == confidence.shape == (50, 90)
    assert 0 <= confidence.min() <= confidence.max() <= 1
    assert tratto.estimate_depth(shown, "geometric").unit == "relative"
    with pytest.raises(MissingWeights):
        tratto.estimate_depth(shown)
    with pytest.raises(OptionError):
        tratto.estimate_depth(shown, tmp_path)


@pytest.mark.parametrize("name", ["llava", "talking"])
def test_a_network_that_speaks_is_asked_and_answers_the_same_twice(sight, name):
    made = open_captioner(f"joycaption:{sight[name]}")
    text = made.caption(photo())
    assert text
    assert text == made.caption(photo())
    assert set(text.split()) <= {"<unk>", "USER", "ASSISTANT", ":", "stone", "arch", "wall", "of", "a", "brick"}
    assert made.info.models[0].licence == "apache-2.0"
    for word in ("type", "style", "era", "materials"):
        assert word in QUESTION


def test_the_picture_takes_as_many_places_as_it_has_patches(sight):
    from transformers import LlavaConfig

    from tratto.backends.transformers import _image_tokens

    config = LlavaConfig.from_pretrained(sight["llava"])
    assert _image_tokens(config) == 4  # 28 / 14 squared, without the class token
    config.vision_feature_select_strategy = "full"
    assert _image_tokens(config) == 5


def test_a_recipe_keeps_the_hash_of_a_captioner_and_no_path(sight):
    settled = settle_captioner(f"joycaption:{sight['llava']}")
    assert str(sight["llava"].parent) not in settled
    assert settled.startswith("joycaption:llava@")
    assert settle_captioner(settled) == settled


def test_broken_folders_are_told(sight, tmp_path):
    import shutil

    with pytest.raises(OptionError, match="not here"):
        open_depth("dpt", str(tmp_path / "nowhere"))
    with pytest.raises(OptionError, match="type llava"):
        open_depth("dpt", str(sight["llava"]))
    with pytest.raises(OptionError, match="type dpt"):
        open_captioner(f"joycaption:{sight['dpt']}")
    broken = tmp_path / "broken"
    shutil.copytree(sight["dpt"], broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightMismatch, match="cannot be used"):
        open_depth("dpt", str(broken))
    lone = tmp_path / "lone"
    shutil.copytree(sight["dpt"], lone)
    (lone / "preprocessor_config.json").unlink()
    with pytest.raises(OptionError, match="is prepared"):
        open_depth("dpt", str(lone))
    (lone / "preprocessor_config.json").write_text(json.dumps({"size": 64, "image_std": [0, 1, 1]}))
    with pytest.raises(OptionError, match="no sense"):
        open_depth("dpt", str(lone))
    pickled = tmp_path / "pickled"
    shutil.copytree(sight["dpt"], pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises((UnsupportedFormat, OptionError), match=r"pickle|no weights"):
        open_depth("dpt", str(pickled))


def test_weights_that_do_not_fill_the_network_are_refused(sight, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "partial"
    shutil.copytree(sight["dpt"], folder)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(next(k for k in tensors if k.startswith("head")))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightMismatch, match="do not fill"):
        open_depth("dpt", str(folder))


def test_describe_on_the_command_line(sight, tmp_path):
    from PIL import Image as Pil
    from typer.testing import CliRunner

    from tratto.cli.main import app

    path = tmp_path / "photo.png"
    Pil.fromarray(np.rint(photo() * 255).astype(np.uint8)).save(path)
    line = ["describe", str(path), "-o", str(tmp_path / "said")]
    done = CliRunner().invoke(app, [*line, "--depth", "geometric", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["caption"]["by"] == "measured"
    assert told["depth"]["by"] == "geometric"
    assert told == json.loads((tmp_path / "said" / "description.json").read_text())
    assert np.asarray(Pil.open(tmp_path / "said" / "depth.png")).max() == 65535
    assert (tmp_path / "said" / "caption.txt").read_text() == told["caption"]["text"] + "\n"
    assert CliRunner().invoke(app, line).exit_code == 4
    more = ["--overwrite", "--depth-model", str(sight["hybrid"]), "--captioner", f"joycaption:{sight['llava']}"]
    done = CliRunner().invoke(app, [*line, *more, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["depth"]["models"][0]["id"] == "hybrid"
    done = CliRunner().invoke(app, ["describe", str(tmp_path / "no.png")])
    assert done.exit_code == InputError.exit_code


def test_a_repair_records_who_said_what(sight, tmp_path):
    import tratto

    mask = np.zeros((50, 90), bool)
    mask[20:24, 10:40] = True
    px = np.rint(photo() * 255).astype(np.uint8)
    result = tratto.repair(px, mask=mask, method="plate", caption="auto")
    said, filled = result.records
    assert (said.step, said.provider) == ("describe", "measured")
    assert said.params["caption"].startswith("A wide colour picture of 90x50 pixels")
    assert "2.7 %" in said.params["caption"]
    assert said.input_digest == said.output_digest
    assert result.receipt["recipe"]["asked"]["steps"][0]["params"]["caption"] == "auto"
    assert any("stand-in" in w for w in result.receipt["stand_ins"])
    assert filled.step == "inpaint"
    result = tratto.repair(px, mask=mask, method="plate", caption="auto", captioner=f"joycaption:{sight['llava']}")
    assert result.records[0].models[0].id == "llava"
    assert str(sight["llava"]) not in json.dumps(result.receipt)
