import json
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.backends.sam import missing_sam, open_sam
from tratto.core.capability import WallPrompt
from tratto.core.errors import MissingExtra, OptionError, TrattoError, UnsupportedFormat, WeightMismatch

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Segment Anything model of a few thousand random weights."""
    path = tmp_path_factory.mktemp("sam") / "sam-tiny"
    torch.manual_seed(3)
    vision = transformers.SamVisionConfig(
        hidden_size=16, output_channels=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
        mlp_ratio=2.0, window_size=4, global_attn_indexes=[1], num_pos_feats=8, mlp_dim=32,
    )  # fmt: skip
    prompt = transformers.SamPromptEncoderConfig(
        hidden_size=16, image_size=64, patch_size=8, image_embedding_size=8, mask_input_channels=4
    )
    decoder = transformers.SamMaskDecoderConfig(
        hidden_size=16, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, attention_downsample_rate=2,
        iou_head_depth=1, iou_head_hidden_dim=16,
    )  # fmt: skip
    config = transformers.SamConfig(
        vision_config=vision.to_dict(), prompt_encoder_config=prompt.to_dict(), mask_decoder_config=decoder.to_dict()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.SamModel(config)
        with torch.no_grad():
            for weights in model.parameters():  # the usual start is so small that every mask would be one half
                weights.add_(torch.randn(weights.shape) * 0.2)
        model.save_pretrained(path, safe_serialization=True)
    return path


@pytest.fixture(scope="module")
def picture():
    y, x = np.mgrid[0:30, 0:50] / 50
    return np.stack([x, y, 1 - x], -1).astype(np.float32)


def test_a_mask_has_the_pictures_size_and_repeats(folder, picture):
    sam = open_sam(folder, "cpu")
    mask = sam.find(picture, WallPrompt(points=((10, 12),)))
    assert mask.shape == (30, 50)
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() <= 1
    np.testing.assert_array_equal(mask, open_sam(folder, "cpu").find(picture, WallPrompt(points=((10, 12),))))


def test_points_their_label_and_the_box_count(folder, picture):
    sam = open_sam(folder, "cpu")
    prompts = (
        WallPrompt(points=((10, 12), (30, 5))),
        WallPrompt(points=((10, 12),), others=((30, 5),)),
        WallPrompt(box=(5, 5, 40, 20)),
        WallPrompt(points=((10, 12),), box=(5, 5, 40, 20)),
    )
    masks = [sam.find(picture, p) for p in prompts]
    for i in range(4):
        for j in range(i):
            assert np.abs(masks[i] - masks[j]).max() > 1e-6


def test_it_is_what_plain_transformers_gives(folder, picture):
    """A square picture of the model's own size needs no resizing: prepared by hand, the model says the same."""
    square = np.ascontiguousarray(np.tile(picture, (3, 2, 1))[:64, :64])
    model = transformers.SamModel.from_pretrained(folder).eval()
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((square - mean) / std).transpose(2, 0, 1))[None]
    with torch.no_grad():
        made = model(
            pixel_values=pixels, input_points=torch.tensor([[[[20.5, 30.5]]]]), input_labels=torch.tensor([[[1]]])
        )
    best = int(made.iou_scores[0, 0].argmax())
    want = torch.nn.functional.interpolate(
        made.pred_masks[0, 0, best][None, None], size=(64, 64), mode="bilinear", align_corners=False
    )
    got = open_sam(folder, "cpu").find(square, WallPrompt(points=((20, 30),)))
    np.testing.assert_allclose(got, torch.sigmoid(want)[0, 0].numpy(), atol=1e-4)
    assert np.ptp(got) > 0.01


def test_nothing_asks_the_network(folder, picture, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    open_sam(folder, "cpu").find(picture, WallPrompt(points=((1, 1),)))


def test_what_points_nowhere_is_refused(folder, picture):
    sam = open_sam(folder, "cpu")
    with pytest.raises(OptionError, match="needs a point"):
        sam.find(picture, WallPrompt(others=((1, 1),)))
    with pytest.raises(OptionError, match="50x30"):
        sam.find(picture, WallPrompt(points=((50, 1),)))
    with pytest.raises(OptionError, match="a box is"):
        sam.find(picture, WallPrompt(box=(5, 5, 4, 20)))


def test_other_folders_pickles_and_half_weights_are_told(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(TrattoError):
        open_sam(tmp_path / "none")
    other = shutil.copytree(folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "model_type": "dpt"}))
    with pytest.raises(OptionError, match="expected sam"):
        open_sam(other)
    half = shutil.copytree(folder, tmp_path / "half")
    weights = load_file(half / "model.safetensors")
    kept = {k: v for k, v in weights.items() if "mask_decoder" not in k}
    save_file(kept, half / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightMismatch, match="fill the network"):
        open_sam(half)
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises((UnsupportedFormat, OptionError)):
        open_sam(pickled)


def test_a_missing_library_names_the_extra(folder, monkeypatch):
    monkeypatch.setattr("tratto.backends.transformers.NEEDS", ("not_there_at_all",))
    assert isinstance(missing_sam(), MissingExtra)
    with pytest.raises(MissingExtra, match=r"pip install 'tratto\[diffusion\]'"):
        open_sam(folder)


def test_the_command_writes_a_mask(folder, picture, tmp_path):
    from tratto.cli.main import app

    room, out = tmp_path / "room.png", tmp_path / "wall.png"
    Pil.fromarray(np.rint(255 * picture).astype(np.uint8)).save(room)
    run = CliRunner()
    args = ["mask", "wall", str(room), "--provider", "sam", "--model", str(folder), "-o", str(out)]
    done = run.invoke(app, [*args, "--click", "10,12", "--not", "40,25"])
    assert done.exit_code == 0, done.output
    stored = np.asarray(Pil.open(out), np.float64)
    want = open_sam(folder).find(np.asarray(Pil.open(room), np.float32) / 255, WallPrompt(((10, 12),), ((40, 25),)))
    np.testing.assert_allclose(stored / (65535 if stored.max() > 255 else 255), want, atol=0.003)
    for wrong in ([*args[:-2], "-o", str(tmp_path / "b.png")], [*args[:5], "-o", str(out), "--click", "1,1"]):
        assert run.invoke(app, wrong).exit_code == 2
    auto = ["mask", "wall", str(room), "--box", "1,1,5,5", "--click", "1,1", "-o", str(tmp_path / "c.png")]
    assert run.invoke(app, auto).exit_code == 2
