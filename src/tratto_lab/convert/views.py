"""From the published checkpoints of SyncDreamer and TripoSR, which are pickles, to folders of safetensors.

``python -m tratto_lab.convert.views syncdreamer syncdreamer-pretrain.ckpt OUT`` and ``... triposr model.ckpt OUT``. The
checkpoint is opened by torch's restricted unpickler (``weights_only=True``), which builds tensors and plain containers
and calls nothing else; it is opened here alone, never while a picture is worked on. Names stay as they are published;
the autoencoder goes into diffusers' layout, CLIP's image encoder into that of transformers. What is not used (CLIP's
text encoder, buffers of the schedule, losses, ViT's pooler) is left out.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tratto.core.errors import InputError, OutputError, UnsupportedFormat, WeightMismatch
from tratto_lab.training.command import run_command

#: The published files; nobody here could fetch them, so their hashes are stated by whoever converts.
PAGES = {
    "syncdreamer": "---\nlicense: apache-2.0\n---\nSyncDreamer (Liu et al. 2023), converted from its checkpoint.\n",
    "triposr": "---\nlicense: mit\n---\nTripoSR (Tochilkin et al. 2024), converted from its published checkpoint.\n",
}


def opened(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint; what is no tensor is left out.

    Raises
    ------
    InputError
        If it cannot be read.
    UnsupportedFormat
        If it would do more than give tensors.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror or e}") from e
    except Exception as e:
        text = " ".join(str(e).split())[:200]
        raise UnsupportedFormat(f"{path} holds something else than tensors, or is cut short: {text}") from e
    found = found.get("state_dict", found) if isinstance(found, Mapping) else found
    if not isinstance(found, Mapping):
        raise UnsupportedFormat(f"{path} holds a {type(found).__name__}, not the tensors of a network")
    return {str(k): v for k, v in found.items() if isinstance(v, Tensor)}


def _taken(tensors: Mapping[str, Tensor], shapes: Mapping[str, Any], what: str) -> dict[str, Tensor]:
    """Return the tensors that a network has, contiguous.

    Raises
    ------
    WeightMismatch
        If one is missing or of another shape.
    """
    lost = sorted(set(shapes) - set(tensors))
    wrong = sorted(k for k in set(shapes) & set(tensors) if tuple(tensors[k].shape) != tuple(shapes[k].shape))
    if lost or wrong:
        raise WeightMismatch(f"this is no checkpoint of {what}: {len(lost)} missing, {len(wrong)} of another shape: "
                             f"{', '.join((lost + wrong)[:3])}")  # fmt: skip
    return {k: tensors[k].contiguous().clone() for k in shapes}


def vision_names(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return CLIP's image encoder, as OpenAI names it, under the names of transformers."""
    out: dict[str, Tensor] = {}
    plain = {
        "class_embedding": "vision_model.embeddings.class_embedding",
        "positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "ln_pre.": "vision_model.pre_layrnorm.", "ln_post.": "vision_model.post_layernorm.",
    }  # fmt: skip
    inner = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
             "attn.out_proj": "self_attn.out_proj"}  # fmt: skip
    for name, value in tensors.items():
        if not name.startswith(prefix):
            continue
        own = name.removeprefix(prefix)
        if own == "proj":
            out["visual_projection.weight"] = value.T
        elif layer := re.fullmatch(
            r"transformer\.resblocks\.(\d+)\.(.+)\.?(weight|bias)", own.replace("in_proj_", "in_proj.")
        ):
            number, part, kind = layer[1], layer[2].rstrip("."), layer[3]
            base = f"vision_model.encoder.layers.{number}"
            if part == "attn.in_proj":
                for which, piece in zip("qkv", value.chunk(3), strict=True):
                    out[f"{base}.self_attn.{which}_proj.{kind}"] = piece
            else:
                out[f"{base}.{inner[part]}.{kind}"] = value
        else:
            for old, new in plain.items():
                if own.startswith(old):
                    out[new + own.removeprefix(old)] = value
    return {k: v.contiguous().clone() for k, v in out.items()}


def syncdreamer(
    tensors: Mapping[str, Tensor], out: Path, sizes: Any = None, configs: Mapping[str, Any] | None = None
) -> None:
    """Write a folder that :mod:`tratto.backends.syncdreamer` opens.

    Parameters
    ----------
    tensors : mapping
        Of the checkpoint.
    out : Path
        A new folder.
    sizes : Sizes or None
        None: those of the published weights.
    configs : mapping or None
        ``config.json`` of ``vae`` and ``clip``; None: those of the published weights.
    """
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    from transformers import CLIPVisionConfig

    from tratto.backends.syncdreamer import Sizes, SyncDreamer

    sizes, configs = sizes or Sizes(), configs or {}
    with torch.device("meta"):
        shapes = SyncDreamer(sizes).state_dict()
    own = _taken(tensors, shapes, "SyncDreamer")
    about = configs.get("vae") or {
        "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4, "latent_channels": 4, "layers_per_block": 2,
    }  # fmt: skip
    with torch.device("meta"):
        vae = AutoencoderKL(**about)
    stage = {k: v for k, v in tensors.items() if k.startswith("first_stage_model.")}
    kept = _taken(convert_ldm_vae_checkpoint(stage, vae.config), vae.state_dict(), "SyncDreamer's autoencoder")
    seen = configs.get("clip") or {
        "hidden_size": 1024, "intermediate_size": 4096, "projection_dim": 768, "num_hidden_layers": 24,
        "num_attention_heads": 16, "image_size": 224, "patch_size": 14, "hidden_act": "quick_gelu",
    }  # fmt: skip
    vision = vision_names(tensors, "clip_image_encoder.model.visual.")
    if not vision:
        raise WeightMismatch("this is no checkpoint of SyncDreamer: CLIP's image encoder is not in it")
    weights = {"": own, "vae": kept, "clip": vision}
    about = {"": sizes.to_json(), "vae": vae.to_json_string()}
    about["clip"] = CLIPVisionConfig(**seen).to_json_string(use_diff=False)
    _write(out, weights, about, PAGES["syncdreamer"])


def triposr(tensors: Mapping[str, Tensor], out: Path, sizes: Any = None) -> None:
    """Write a folder that :mod:`tratto.backends.triposr` opens; see :func:`syncdreamer`."""
    from tratto.backends.triposr import Sizes, TripoSR

    sizes = sizes or Sizes()
    with torch.device("meta"):
        shapes = TripoSR(sizes).state_dict()
    own = _taken(tensors, shapes, "TripoSR")
    _write(out, {"": own}, {"": sizes.to_json()}, PAGES["triposr"])


def _write(out: Path, weights: Mapping[str, Any], about: Mapping[str, str], page: str) -> None:
    """Write a folder whole, or not at all; ``weights`` and ``about`` (``config.json``) by part."""
    from safetensors import SafetensorError

    if out.exists():
        raise OutputError(f"{out} exists; name a new folder")
    half = out.with_name(f".{out.name}.part")
    shutil.rmtree(half, ignore_errors=True)
    try:
        for part, tensors in weights.items():
            folder = half / part
            folder.mkdir(parents=True)
            name = "diffusion_pytorch_model" if part == "vae" else "model"
            save_file(tensors, folder / f"{name}.safetensors", {"format": "pt"})
            (folder / "config.json").write_text(about[part])
        (half / "README.md").write_text(page)
        half.rename(out)
    except (OSError, SafetensorError) as e:
        shutil.rmtree(half, ignore_errors=True)
        raise OutputError(f"{out} cannot be written: {' '.join(str(e).split())[:200]}; nothing was left of it") from e


def main() -> None:
    """Convert what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=sorted(PAGES))
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    write: Any = {"syncdreamer": syncdreamer, "triposr": triposr}[given.network]
    run_command(parser, lambda: write(opened(given.checkpoint), given.out))
    print(given.out)


if __name__ == "__main__":
    main()
