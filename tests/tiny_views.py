"""Tiny random copies of SyncDreamer, TripoSR and Zero123++: checkpoints as they are published, for tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

SYNC = {
    "image": 64, "views": 4, "channels": 32, "multiples": (1, 1, 2, 2), "heads": 2, "groups": 8, "context": 16,
    "volumes": (8, 16, 16, 16), "volume": 8, "depth": 8, "features": 8, "time": 16,
}  # fmt: skip
TRIPO = {
    "image": 64, "patch": 16, "seen": 16, "seen_layers": 2, "seen_heads": 2, "pretrained": 32, "width": 32,
    "layers": 2, "heads": 2, "plane": 4, "features": 8, "neurons": 16, "hidden": 3,
}  # fmt: skip
VAE = {
    "block_out_channels": [8, 8, 16, 16], "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4, "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 4,
}  # fmt: skip
CLIP = {
    "hidden_size": 16, "intermediate_size": 32, "projection_dim": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "hidden_act": "quick_gelu",
}  # fmt: skip


def ldm_vae(tensors: dict, levels: int = 4) -> dict:
    """Name an autoencoder of diffusers as latent diffusion does."""
    out = {}
    for name, value in tensors.items():
        new = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        new = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", new)
        new = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", new)
        new = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", new)
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        if "mid_block.attentions.0" in new:
            new = new.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            for a, b in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
                new = new.replace(f".{a}.", f".{b}.")
            value = value[..., None, None] if value.ndim == 2 else value
        out[f"first_stage_model.{new}"] = value
    return out


def openai_vision(tensors: dict) -> dict:
    """Name CLIP's image encoder of transformers as OpenAI does."""
    out, base = {}, "clip_image_encoder.model.visual."
    inner = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    plain = {"embeddings.class_embedding": "class_embedding", "embeddings.position_embedding.weight":
             "positional_embedding", "embeddings.patch_embedding.weight": "conv1.weight"}  # fmt: skip
    for name, value in tensors.items():
        own = name.removeprefix("vision_model.")
        if name == "visual_projection.weight":
            out[base + "proj"] = value.T.contiguous()
        elif own in plain:
            out[base + plain[own]] = value
        elif own.startswith(("pre_layrnorm", "post_layernorm")):
            out[base + own.replace("pre_layrnorm", "ln_pre").replace("post_layernorm", "ln_post")] = value
        elif layer := re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", own):
            number, part, kind = layer.groups()
            place = f"{base}transformer.resblocks.{number}."
            if part == "self_attn.q_proj":
                three = [tensors[name.replace("q_proj", f"{c}_proj")] for c in "qkv"]
                out[f"{place}attn.in_proj_{kind}"] = torch.cat(three)
            elif not part.startswith("self_attn.") or part == "self_attn.out_proj":
                out[f"{place}{inner[part]}.{kind}"] = value
    return out


def _loud(module: torch.nn.Module) -> dict:
    """Random numbers that let something through."""
    with torch.no_grad():
        for p in module.parameters():
            if p.ndim > 1:
                p.normal_(0, 0.6 / max(1, p[0].numel()) ** 0.5)
    return {k: v.clone() for k, v in module.state_dict().items()}


def vision_tensors() -> dict:
    """CLIP's image encoder under the names that its published files have in transformers."""
    from tratto_lab.convert.views import vision_names

    width, patches = CLIP["hidden_size"], (CLIP["image_size"] // CLIP["patch_size"]) ** 2
    torch.manual_seed(3)
    openai = {
        "class_embedding": torch.randn(width), "positional_embedding": torch.randn(1 + patches, width),
        "conv1.weight": torch.randn(width, 3, CLIP["patch_size"], CLIP["patch_size"]) * 0.05,
        "proj": torch.randn(width, CLIP["projection_dim"]) * 0.3,
    }  # fmt: skip
    norms = ["ln_pre", "ln_post"]
    for i in range(CLIP["num_hidden_layers"]):
        place = f"transformer.resblocks.{i}."
        norms += [place + "ln_1", place + "ln_2"]
        for name, a, b in (
            ("attn.in_proj_", 3 * width, width), ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 2 * width, width), ("mlp.c_proj.", width, 2 * width),
        ):  # fmt: skip
            openai |= {f"{place}{name}weight": torch.randn(a, b) * 0.2, f"{place}{name}bias": torch.zeros(a)}
    for name in norms:
        openai |= {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}
    return vision_names({f"v.{k}": v for k, v in openai.items()}, "v.")


def sync_checkpoint(path: Path) -> Path:
    """A checkpoint of SyncDreamer with all that the published one has besides."""
    from diffusers import AutoencoderKL

    from tratto.backends.syncdreamer import Sizes, SyncDreamer

    torch.manual_seed(0)
    tensors = _loud(SyncDreamer(Sizes(**SYNC)))
    tensors |= ldm_vae(_loud(AutoencoderKL(**VAE)))
    tensors |= openai_vision(vision_tensors())
    tensors |= {"betas": torch.zeros(1000), "clip_image_encoder.model.text_projection": torch.zeros(4, 4)}
    torch.save({"state_dict": tensors, "global_step": 7, "epoch": 1}, path)
    return path


def tripo_checkpoint(path: Path) -> Path:
    """A checkpoint of TripoSR, whose field is a ball in the middle if it is read without the network before it."""
    from tratto.backends.triposr import Sizes, TripoSR

    torch.manual_seed(0)
    net = TripoSR(Sizes(**TRIPO))
    tensors = _loud(net)
    tensors["decoder.layers.6.bias"] = torch.tensor([6.0, 1.0, -1.0, 0.5])
    tensors["image_tokenizer.model.pooler.dense.weight"] = torch.zeros(16, 16)
    torch.save(tensors, path)
    return path


def sync_folder(folder: Path) -> Path:
    from tratto.backends.syncdreamer import Sizes
    from tratto_lab.convert.views import opened, syncdreamer

    path = folder / "syncdreamer"
    checkpoint = sync_checkpoint(folder / "sync.ckpt")
    syncdreamer(opened(checkpoint), path, Sizes(**SYNC), {"vae": VAE, "clip": CLIP})
    return path


def tripo_folder(folder: Path) -> Path:
    from tratto.backends.triposr import Sizes
    from tratto_lab.convert.views import opened, triposr

    path = folder / "triposr"
    triposr(opened(tripo_checkpoint(folder / "tripo.ckpt")), path, Sizes(**TRIPO))
    return path


def zero123plus(folder: Path) -> Path:
    """Zero123++ in the published layout: Stable Diffusion 2's parts, an image encoder, and a ramp."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPTextModel, CLIPVisionConfig

    from tiny_diffusion import SCHEDULE, text_config, tokenizer

    torch.manual_seed(0)
    path = folder / "zero123plus"
    tokenizer(folder / "words").save_pretrained(path / "tokenizer")
    CLIPTextModel(text_config(16)).save_pretrained(path / "text_encoder")
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16, attention_head_dim=4, norm_num_groups=8, use_linear_projection=True,
    )  # fmt: skip
    unet.save_pretrained(path / "unet")
    AutoencoderKL(**VAE, sample_size=32).save_pretrained(path / "vae")
    (path / "vision_encoder").mkdir()
    save_file(vision_tensors(), path / "vision_encoder" / "model.safetensors", {"format": "pt"})
    (path / "vision_encoder" / "config.json").write_text(CLIPVisionConfig(**CLIP).to_json_string(use_diff=False))
    (path / "scheduler").mkdir()
    how = {"_class_name": "EulerAncestralDiscreteScheduler", "prediction_type": "v_prediction", **SCHEDULE}
    (path / "scheduler" / "scheduler_config.json").write_text(json.dumps({**how, "timestep_spacing": "linspace"}))
    for part, side in (("feature_extractor_vae", 32), ("feature_extractor_clip", 28)):
        (path / part).mkdir()
        how = {"size": {"height": side, "width": side}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        (path / part / "preprocessor_config.json").write_text(json.dumps(how))
    index = {
        "_class_name": "Zero123PlusPipeline", "ramping_coefficients": [i / 76 for i in range(77)],
        **{p: ["diffusers", c] for p, c in (("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL"),
                                            ("scheduler", "EulerAncestralDiscreteScheduler"))},
        **{p: ["transformers", c] for p, c in (
            ("text_encoder", "CLIPTextModel"), ("tokenizer", "CLIPTokenizer"),
            ("vision_encoder", "CLIPVisionModelWithProjection"), ("feature_extractor_vae", "CLIPImageProcessor"),
            ("feature_extractor_clip", "CLIPImageProcessor"))},
        "safety_checker": [None, None],
    }  # fmt: skip
    (path / "model_index.json").write_text(json.dumps(index))
    (path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\ntiny\n")
    return path
