"""Tiny random diffusion models of the published architectures, written in the published layout.

Their sides: latents of 8, so pictures of 64. What they paint is noise; what is tested is everything around it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLInpaintPipeline,
    UNet2DConditionModel,
)
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

PAGE = "---\nlicense: {licence}\ntags:\n- tiny\n---\nRandom numbers.\n"


def tokenizer(folder: Path) -> CLIPTokenizer:
    """Letters only; a real one has merges, too."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789:.,"
    words = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(str(folder), model_max_length=77)


def text_config(width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width, intermediate_size=37, num_attention_heads=4, num_hidden_layers=3, vocab_size=1000,
        max_position_embeddings=77, projection_dim=width, hidden_act="gelu", bos_token_id=78, eos_token_id=79,
    )  # fmt: skip


def vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=4, layers_per_block=1,
        sample_size=64,
    )  # fmt: skip


def unet(xl: bool) -> UNet2DConditionModel:
    more = {}
    if xl:
        more = {
            "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "transformer_layers_per_block": (1, 2),
            "projection_class_embeddings_input_dim": 6 * 8 + 32, "use_linear_projection": True,
        }  # fmt: skip
    return UNet2DConditionModel(
        sample_size=8, in_channels=9, out_channels=4, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64 if xl else 32, attention_head_dim=(2, 4) if xl else 4, norm_num_groups=8, **more,
    )  # fmt: skip


SCHEDULE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def write_sdxl(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    names = tokenizer(folder / "words")
    one = CLIPTextModel(text_config(32))
    two = CLIPTextModelWithProjection(text_config(32))
    pipe = StableDiffusionXLInpaintPipeline(
        vae=vae(), text_encoder=one, text_encoder_2=two, tokenizer=names, tokenizer_2=names, unet=unet(True),
        scheduler=EulerDiscreteScheduler(**SCHEDULE, steps_offset=1, timestep_spacing="leading"),
        add_watermarker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder / "tiny-sdxl", safe_serialization=True)
    (folder / "tiny-sdxl" / "README.md").write_text(PAGE.format(licence="openrail++"))
    return folder / "tiny-sdxl"


def write_lightning(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """SDXL that makes pictures of words, and the U-Net of SDXL-Lightning as one file."""
    from diffusers import StableDiffusionXLPipeline

    torch.manual_seed(seed)
    names, own = tokenizer(folder / "words"), unet(True)
    more = {**own.config, "in_channels": 4}
    pipe = StableDiffusionXLPipeline(
        vae=vae(), text_encoder=CLIPTextModel(text_config(32)), tokenizer=names, tokenizer_2=names,
        text_encoder_2=CLIPTextModelWithProjection(text_config(32)), unet=UNet2DConditionModel.from_config(more),
        scheduler=EulerDiscreteScheduler(**SCHEDULE, steps_offset=1, timestep_spacing="leading"), add_watermarker=False,
    )  # fmt: skip
    path, fast = folder / "tiny-sdxl-base", folder / "sdxl_lightning_4step_unet.safetensors"
    pipe.save_pretrained(path, safe_serialization=True)
    (path / "README.md").write_text(PAGE.format(licence="openrail++"))
    save_file({k: v.contiguous() for k, v in UNet2DConditionModel.from_config(more).state_dict().items()}, fast)
    return path, fast


def write_sd15(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    pipe = StableDiffusionInpaintPipeline(
        vae=vae(), text_encoder=CLIPTextModel(text_config(32)), tokenizer=tokenizer(folder / "words"),
        unet=unet(False), scheduler=DDIMScheduler(**SCHEDULE, clip_sample=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.save_pretrained(folder / "tiny-sd15", safe_serialization=True)
    return folder / "tiny-sd15"


def write_controlnet(folder: Path, model: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    own = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True)
    config = dict(own.config)
    xl = config["addition_embed_type"] == "text_time"
    more = {}
    if xl:
        keys = ("addition_embed_type", "addition_time_embed_dim", "projection_class_embeddings_input_dim")
        more = {k: config[k] for k in (*keys, "transformer_layers_per_block", "use_linear_projection")}
    net = ControlNetModel(
        in_channels=4, block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), cross_attention_dim=config["cross_attention_dim"],
        attention_head_dim=config["attention_head_dim"], conditioning_embedding_out_channels=(8, 8, 8, 8), **more,
    )  # fmt: skip
    for p in net.controlnet_down_blocks.parameters():  # zero at the start of training: it would change nothing
        torch.nn.init.normal_(p, std=1.0)
    for p in net.controlnet_cond_embedding.parameters():
        torch.nn.init.normal_(p, std=0.5)
    path = folder / f"tiny-depth-{model.name}"
    net.save_pretrained(path, safe_serialization=True)
    return path


def write_ip_adapter(folder: Path, model: Path, seed: int = 0) -> Path:
    """IP-Adapter Plus: a resampler and a pair of layers for each cross-attention, under the published names."""
    torch.manual_seed(seed)
    own = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True)
    width = own.config.cross_attention_dim
    path = folder / "tiny-ip-adapter"
    encoder = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32, projection_dim=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=3,
            image_size=32, patch_size=8,
        )
    )  # fmt: skip
    encoder.save_pretrained(path / "image_encoder", safe_serialization=True)
    hidden = 64
    resampler = IPAdapterPlusImageProjection(
        embed_dims=32, output_dims=width, hidden_dims=hidden, depth=4, dim_head=64, heads=1, num_queries=4
    )
    published = {}
    for name, value in resampler.state_dict().items():
        words = name.split(".")
        if words[0] != "layers":
            published[f"image_proj.{name}"] = value
        elif words[2] in ("ln0", "ln1"):
            published[f"image_proj.layers.{words[1]}.0.norm{1 + int(words[2][2])}.{words[3]}"] = value
        elif words[2] == "attn" and words[3] == "to_q":
            published[f"image_proj.layers.{words[1]}.0.to_q.weight"] = value
        elif words[2] == "attn" and words[3] == "to_k":
            both = torch.cat([value, resampler.state_dict()[name.replace("to_k", "to_v")]])
            published[f"image_proj.layers.{words[1]}.0.to_kv.weight"] = both
        elif words[2] == "attn" and words[3] == "to_out":
            published[f"image_proj.layers.{words[1]}.0.to_out.weight"] = value
        elif words[2] == "ff":
            number = {"0": "0", "1.net.0.proj": "1", "1.net.2": "3"}[".".join(words[3:-1])]
            published[f"image_proj.layers.{words[1]}.1.{number}.{words[-1]}"] = value
    number = 1
    for name in own.attn_processors:
        if not name.endswith("attn2.processor"):
            continue
        size = own.get_submodule(name.removesuffix(".processor")).inner_dim
        for key in ("k", "v"):
            published[f"ip_adapter.{number}.to_{key}_ip.weight"] = torch.randn(size, width)
        number += 2
    tensors = {k: v.detach().contiguous().clone() for k, v in published.items()}
    save_file(tensors, path / "ip-adapter-plus_sd15.safetensors")
    (path / "README.md").write_text(PAGE.format(licence="apache-2.0"))
    return path


def write_lora(folder: Path, model: Path, seed: int = 0, strength: float = 0.5) -> Path:
    """LoRA weights of the layout PEFT and diffusers share, with random numbers in them."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(seed)
    own = UNet2DConditionModel.from_pretrained(model / "unet", local_files_only=True)
    own.add_adapter(LoraConfig(r=2, lora_alpha=4, target_modules=["to_k", "to_q", "to_v", "to_out.0"]))
    layers = {k: torch.randn_like(v) * strength for k, v in get_peft_model_state_dict(own).items()}
    path = folder / f"tiny-lora-{model.name}"
    kind = StableDiffusionXLInpaintPipeline if "sdxl" in model.name else StableDiffusionInpaintPipeline
    kind.save_lora_weights(path, unet_lora_layers=layers, safe_serialization=True)
    return path


def write_all(folder: Path) -> dict[str, Path]:
    """Write everything; return the folders by name."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    xl, sd = write_sdxl(folder), write_sd15(folder)
    return {
        "sdxl": xl, "sd15": sd, "depth-sdxl": write_controlnet(folder, xl), "depth-sd15": write_controlnet(folder, sd),
        "ip-adapter": write_ip_adapter(folder, sd), "lora-sdxl": write_lora(folder, xl),
        "lora-sd15": write_lora(folder, sd),
    }  # fmt: skip
