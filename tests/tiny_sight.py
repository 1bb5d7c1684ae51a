"""Tiny random networks in the layout that depth networks and LLaVA are published in, for tests."""

import json
from pathlib import Path

README = "---\nlicense: apache-2.0\n---\ntiny\n"


def _finish(folder: Path, preparation: dict) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(preparation))
    (folder / "README.md").write_text(README)
    return folder


def tiny_dpt(folder: Path, hybrid: bool = True) -> Path:
    """DPT; with the convolutional stem of DPT-Hybrid."""
    import torch
    from transformers import BitConfig, DPTConfig, DPTForDepthEstimation

    torch.manual_seed(0)
    common = {
        "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 64,
        "neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 8, "backbone_out_indices": [0, 1, 2, 3],
    }  # fmt: skip
    if hybrid:
        stem = BitConfig(
            global_padding="same", layer_type="bottleneck", depths=[1, 1, 1],
            out_features=["stage1", "stage2", "stage3"],
            embedding_dynamic_padding=True, hidden_sizes=[8, 8, 16], embedding_size=8, num_groups=2,
        )  # fmt: skip
        config = DPTConfig(
            is_hybrid=True, backbone_config=stem, backbone_featmap_shape=[1, 16, 4, 4], patch_size=16,
            neck_ignore_stages=[0, 1], **common,
        )  # fmt: skip
    else:
        config = DPTConfig(patch_size=16, **common)
    DPTForDepthEstimation(config).save_pretrained(folder)
    return _finish(folder, {"size": {"height": 64, "width": 64}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})


def tiny_depth_anything(folder: Path, metric: bool = False) -> Path:
    """Depth Anything: a DINOv2 with a DPT head."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    torch.manual_seed(0)
    seen = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=seen, reassemble_hidden_size=16, patch_size=14, neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8, head_hidden_size=8,
        depth_estimation_type="metric" if metric else "relative", max_depth=20,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    how = {"size": {"height": 56, "width": 56}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}
    return _finish(folder, {**how, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})


def tiny_zoe(folder: Path, heads: int = 1) -> Path:
    """ZoeDepth: a BEiT with a DPT head and bins of metres, for one kind of scene or two."""
    import torch
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation

    torch.manual_seed(0)
    seen = BeitConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,
        use_relative_position_bias=True,
    )  # fmt: skip
    kinds = [
        {"name": name, "n_bins": 8, "min_depth": 0.001, "max_depth": far} for name, far in (("nyu", 10), ("kitti", 80))
    ]
    config = ZoeDepthConfig(
        backbone_config=seen, neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=8, bottleneck_features=8,
        num_relative_features=8, bin_embedding_dim=8, num_attractors=[4, 2, 2, 1], bin_configurations=kinds[:heads],
        backbone_hidden_size=16, reassemble_factors=[4, 2, 1, 0.5], num_patch_transformer_layers=4,
        patch_transformer_hidden_size=128, patch_transformer_intermediate_size=32,
        patch_transformer_num_attention_heads=2,
    )  # fmt: skip
    ZoeDepthForDepthEstimation(config).save_pretrained(folder)
    how = {"size": {"height": 32, "width": 32}, "keep_aspect_ratio": True, "ensure_multiple_of": 32, "do_pad": True}
    return _finish(folder, {**how, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})


def tiny_llava(folder: Path, template: str | None = None) -> Path:
    """LLaVA: a CLIP that sees and a Llama that speaks, with a vocabulary of its own."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    words = ["<unk>", "<s>", "</s>", "<image>", "USER", "ASSISTANT", ":", "stone", "arch", "wall", "of", "a", "brick"]
    vocabulary = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="<unk>"))
    vocabulary.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=vocabulary, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    eyes = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    mouth = LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        vocab_size=len(words), bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=eyes, text_config=mouth, image_token_index=3, vision_feature_select_strategy="default",
        vision_feature_layer=-1,
    )  # fmt: skip
    network = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        network.lm_head.weight[:7] = 0  # a random network would say nothing but signs
    network.save_pretrained(folder)
    how = {"size": {"height": 28, "width": 28}}
    return _finish(folder, {**how, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})


def tiny_midas(path: Path, side: int = 32) -> Path:
    """MiDaS 2.1: a picture of one size in, its inverse depth out; what is green is near."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Sub", ["0", "mean"], ["centred"]),
        helper.make_node("Conv", ["centred", "weight"], ["seen"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["seen"], ["some"]),
        helper.make_node("Squeeze", ["some"], ["797"], axes=[1]),
    ]
    weight = np.zeros((1, 3, 3, 3), np.float32)
    weight[0, 1, 1, 1] = 10
    constants = {"mean": np.array([0.485, 0.0, 0.406], np.float32).reshape(1, 3, 1, 1), "weight": weight}
    graph = helper.make_graph(
        nodes, "midas",
        [helper.make_tensor_value_info("0", TensorProto.FLOAT, (1, 3, side, side))],
        [helper.make_tensor_value_info("797", TensorProto.FLOAT, (1, side, side))],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=6)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
