"""The full-size scorer, with a network of CLIP's own architecture, small, with random weights."""

import json

import numpy as np
import pytest

from tratto.core.errors import MissingExtra, MissingWeights, OptionError, UnsupportedFormat, WeightMismatch
from tratto.provenance.unsupported import unsupported_in_meaning

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PIECES = "<|startoftext|> <|endoftext|> a</w> house</w> a h o u s e</w> ho us hous"
WORDS = {piece: number for number, piece in enumerate(PIECES.split())}
MERGES = "#version: 0.2\nh o\nu s\nho us\nhous e</w>\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "tiny-clip"
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={
            "vocab_size": 13, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 12,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
        projection_dim=8,
    )  # fmt: skip
    transformers.CLIPModel(config).save_pretrained(path)
    (path / "vocab.json").write_text(json.dumps(WORDS))
    (path / "merges.txt").write_text(MERGES)
    (path / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer", "unk_token": "<|endoftext|>", "bos_token": "<|startoftext|>",
                "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "model_max_length": 12,
            }
        )
    )  # fmt: skip
    how = {"size": {"height": 32, "width": 32}, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    (path / "preprocessor_config.json").write_text(json.dumps(how))
    (path / "README.md").write_text("---\nlicense: mit\n---\n")
    return path


@pytest.fixture(scope="module")
def network(folder):
    from tratto.backends.clip import open_clip

    return open_clip(folder)


def pictures(count=3, side=40):
    rng = np.random.default_rng(1)
    return [rng.random((side, side + i, 3)).astype(np.float32) for i in range(count)]


def test_it_sees_what_transformers_itself_sees(folder, network):
    """Against the library's whole model, with the pictures prepared by hand: 32 x 32 needs no resizing."""
    seen = [p[:32, :32] for p in pictures()]
    mean, deviation = np.float32([0.48, 0.46, 0.41]), np.float32([0.27, 0.26, 0.28])
    batch = torch.from_numpy(np.stack([((p - mean) / deviation).transpose(2, 0, 1) for p in seen]))
    whole = transformers.CLIPModel.from_pretrained(folder).eval()
    ids = torch.tensor([[0, 2, 3, 1]])
    with torch.inference_mode():
        out = whole(input_ids=ids, pixel_values=batch)
    assert np.allclose(network.embed(seen), out.image_embeds.numpy(), atol=1e-5)
    assert np.allclose(network.embed_words("a house"), out.text_embeds[0].numpy(), atol=1e-5)


def test_rows_have_length_one_and_batches_change_nothing(network, monkeypatch):
    every = pictures(5)
    together = network.embed(every)
    assert together.shape == (5, 8)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    monkeypatch.setattr("tratto.backends.clip.BATCH", 2)
    assert np.allclose(network.embed(every), together, atol=1e-6)
    assert network.folder.licence == "mit"
    assert network.name.startswith(f"tiny-clip@{network.folder.sha256}, transformers ")


def test_a_planted_thing_is_where_it_was_planted(network):
    source = np.full((128, 160, 3), 0.5, np.float32)
    result = source.copy()
    result[64:128, 96:160] = pictures(1, 64)[0][:64, :64]
    found = unsupported_in_meaning(source, result, network)
    assert found.distance.shape == (3, 4)
    assert np.unravel_index(found.distance.argmax(), (3, 4)) in ((2, 3), (1, 3), (2, 2))
    assert found.distance[0, 0] == 0
    assert found.score > 0
    assert unsupported_in_meaning(source, source, network).score == 0


def test_pickles_and_other_networks_are_refused(folder, tmp_path):
    from tratto.backends.clip import open_clip

    with pytest.raises(OptionError, match="not here"):
        open_clip(tmp_path / "nowhere")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("model.safetensors", "preprocessor_config.json"):
        (other / name).write_bytes((folder / name).read_bytes())
    (other / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(OptionError, match="of type vit"):
        open_clip(other)
    (other / "config.json").write_bytes((folder / "config.json").read_bytes())
    (other / "model.safetensors").unlink()
    (other / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises((UnsupportedFormat, MissingWeights, OptionError)):
        open_clip(other)


def test_weights_that_do_not_fill_the_network_are_refused(folder, tmp_path):
    from safetensors.numpy import load_file, save_file

    from tratto.backends.clip import open_clip

    other = tmp_path / "half"
    other.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (other / name).write_bytes((folder / name).read_bytes())
    weights = load_file(folder / "model.safetensors")
    weights.pop("visual_projection.weight")
    save_file(weights, other / "model.safetensors")
    with pytest.raises(WeightMismatch, match="visual_projection"):
        open_clip(other)


def test_the_extra_is_named_where_it_is_missing(folder, monkeypatch):
    from tratto.backends.clip import open_clip

    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None)
    with pytest.raises(MissingExtra, match=r"tratto\[diffusion\]"):
        open_clip(folder)


def test_without_a_tokenizer_pictures_are_still_scored(folder, tmp_path):
    from tratto.backends.clip import open_clip

    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (bare / name).write_bytes((folder / name).read_bytes())
    network = open_clip(bare)
    assert network.embed(pictures(1)).shape == (1, 8)
    with pytest.raises(OptionError, match="no tokenizer"):
        network.embed_words("a house")
