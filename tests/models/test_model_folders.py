import hashlib
import json

import pytest

from tratto.core.errors import InputError, MissingWeights, OptionError, UnsupportedFormat, WeightMismatch
from tratto.models import folders
from tratto.models.folders import find_folder, read_licence


def pipeline(folder, half=False, pickle=False):
    """Files of the right names; what is in them does not matter here."""
    index = {"_class_name": "X", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"], "tokenizer": ["t", "T"],
             "safety_checker": ["s", "S"], "feature_extractor": [None, None]}  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps(index))
    for part in ("unet", "vae"):
        (folder / part).mkdir()
        (folder / part / "config.json").write_text("{}")
        name = "diffusion_pytorch_model" + (".fp16" if half else "") + (".bin" if pickle else ".safetensors")
        (folder / part / name).write_bytes(part.encode())
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "merges.txt").write_text("a b\n")
    return folder


def test_the_hash_is_of_what_is_read_and_of_nothing_else(tmp_path):
    one = find_folder(str(pipeline(tmp_path / "a" / "model")), "pipeline")
    assert one.name == "model"
    assert one.variant == ""
    assert one.files == (
        "model_index.json", "tokenizer/merges.txt", "unet/config.json", "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    )  # fmt: skip
    lines = "".join(f"{hashlib.sha256((one.path / f).read_bytes()).hexdigest()}  {f}\n" for f in sorted(one.files))
    assert one.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    other = pipeline(tmp_path / "b" / "model")
    (other / "README.md").write_text("---\nlicense: mit\n---\n")
    (other / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"more")
    (other / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"more")
    (other / "safety_checker").mkdir()
    (other / "safety_checker" / "model.safetensors").write_bytes(b"more")
    (other / ".cache").mkdir()
    same = find_folder(str(other), "pipeline")
    assert same.sha256 == one.sha256
    assert (one.licence, same.licence) == ("unknown", "mit")
    assert (one.model.commercial_use, same.model.commercial_use) == (False, True)
    (other / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"vaf")
    assert find_folder(str(other), "pipeline").sha256 != one.sha256


def test_half_precision_alone_is_taken_as_it_is(tmp_path):
    found = find_folder(str(pipeline(tmp_path / "m", half=True)), "pipeline")
    assert found.variant == "fp16"
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in found.files


def test_pickles_are_refused(tmp_path):
    with pytest.raises(UnsupportedFormat, match=r"diffusion_pytorch_model\.bin"):
        find_folder(str(pipeline(tmp_path / "m", pickle=True)), "pipeline")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "pytorch_lora_weights.bin").write_bytes(b"x")
    with pytest.raises(UnsupportedFormat, match="pickle"):
        find_folder(str(tmp_path / "lora"), "adapter")
    (tmp_path / "model.ckpt").write_bytes(b"x")
    with pytest.raises(UnsupportedFormat, match="pickle"):
        find_folder(str(tmp_path / "model.ckpt"), "adapter")


def test_what_is_no_such_folder_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="model_index"):
        find_folder(str(tmp_path / "empty"), "pipeline")
    with pytest.raises(OptionError, match="holds no weights"):
        find_folder(str(tmp_path / "empty"), "adapter")
    with pytest.raises(OptionError, match=r"config\.json"):
        find_folder(str(tmp_path / "empty"), "part")
    with pytest.raises(OptionError, match="image_encoder"):
        find_folder(str(tmp_path / "empty"), "image-prompt")
    with pytest.raises(OptionError, match="not here"):
        find_folder(str(tmp_path / "none"), "pipeline")
    with pytest.raises(OptionError, match="not here"):
        find_folder("", "pipeline")
    broken = pipeline(tmp_path / "m")
    (broken / "model_index.json").write_text("[1]")
    with pytest.raises(OptionError, match="no JSON object"):
        find_folder(str(broken), "pipeline")
    (broken / "model_index.json").write_text('{"unet": ["a", "b"], "vae": ["a", "b"], "text_encoder": ["a", "b"]}')
    with pytest.raises(OptionError, match="text_encoder"):
        find_folder(str(broken), "pipeline")
    (broken / "model_index.json").write_text('{"prior": ["a", "b"]}')
    with pytest.raises(OptionError, match="unet and vae"):
        find_folder(str(broken), "pipeline")


def test_a_reference_is_found_again_by_name_and_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_places", {})
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path / "shelf"))
    found = find_folder(str(pipeline(tmp_path / "shelf" / "model")), "pipeline")
    assert "/" not in found.reference
    folders._places.clear()
    assert find_folder(found.reference, "pipeline").path == tmp_path / "shelf" / "model"
    assert find_folder("model", "pipeline").reference == found.reference
    (tmp_path / "shelf" / "model" / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"other")
    with pytest.raises(WeightMismatch, match="other weights"):
        find_folder(found.reference, "pipeline")
    folders._places.clear()
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    with pytest.raises(MissingWeights, match="TRATTO_MODELS"):
        find_folder(found.reference, "pipeline")


def test_a_card_that_was_not_pulled_says_how(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("TRATTO_MODELS", raising=False)
    with pytest.raises(MissingWeights, match="tratto models pull sdxl-inpainting"):
        find_folder("sdxl-inpainting", "pipeline")


def test_an_image_prompt_is_one_adapter_and_its_encoder(tmp_path):
    base = tmp_path / "IP-Adapter" / "models"
    (base / "image_encoder").mkdir(parents=True)
    (base / "image_encoder" / "model.safetensors").write_bytes(b"e")
    (base / "image_encoder" / "config.json").write_text("{}")
    for name in ("ip-adapter_sd15.safetensors", "ip-adapter-plus_sd15.safetensors"):
        (base / name).write_bytes(name.encode())
    found = find_folder(str(tmp_path / "IP-Adapter"), "image-prompt")
    assert found.path == base
    assert found.licence == "unknown"
    (tmp_path / "IP-Adapter" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert find_folder(str(tmp_path / "IP-Adapter"), "image-prompt").licence == "apache-2.0"
    assert found.files == (
        "ip-adapter-plus_sd15.safetensors", "image_encoder/config.json", "image_encoder/model.safetensors",
    )  # fmt: skip
    (base / "ip-adapter-plus_sd15.safetensors").unlink()
    (base / "second.safetensors").write_bytes(b"x")
    with pytest.raises(OptionError, match="one adapter"):
        find_folder(str(tmp_path / "IP-Adapter"), "image-prompt")


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: openrail++\ntags:\n- a\n---\n# x\n", "openrail++"),
        ("---\ntags: a\nlicense: other\nlicense_name: my-own\n---\n", "my-own"),
        ('---\nlicense: "mit"\n---\n', "mit"),
        ("no front matter\nlicense: mit\n", "unknown"),
        ("---\ntags: a\n---\nlicense: mit\n", "unknown"),
    ],
)
def test_the_licence_is_what_the_page_states(tmp_path, text, licence):
    (tmp_path / "README.md").write_text(text)
    assert read_licence(tmp_path / "README.md") == licence


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    def refuse(self, pattern):
        raise PermissionError("no")

    model = pipeline(tmp_path / "m")
    monkeypatch.setattr("pathlib.Path.rglob", refuse)
    with pytest.raises(InputError, match="cannot look"):
        find_folder(str(model), "pipeline")
