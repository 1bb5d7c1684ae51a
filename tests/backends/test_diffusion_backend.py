import shutil
import socket
import warnings
from dataclasses import replace

import numpy as np
import pytest

from tratto.backends import diffusion
from tratto.backends.diffusion import DiffusionFolders, DiffusionRequest, DiffusionRuntime, open_diffusion
from tratto.core.errors import MissingExtra, OptionError, UnavailableError, WeightMismatch
from tratto.models.folders import find_folder

RNG = np.random.default_rng(5)
PICTURE = RNG.random((64, 64, 3), dtype=np.float32)
HOLE = np.zeros((64, 64), bool)
HOLE[16:40, 20:48] = True
BASE = DiffusionRequest(PICTURE, HOLE, "a wall", "blurry", steps=3, seed=7)
#: Random models are hardly led by anything, and equal input gives equal bits: this is far above rounding (1e-7).
APART = 1e-5


def folders(tiny, family, **parts):
    kinds = {"lora": "adapter", "depth": "part", "ip-adapter": "image-prompt"}
    named = {"lora": f"lora-{family}", "depth": f"depth-{family}", "ip-adapter": "ip-adapter"}
    found = {k: find_folder(str(tiny[named[k]]), kinds[k]) for k in kinds if parts.get(k.replace("-", "_"))}
    adapters = ((found["lora"], float(parts["lora"])),) if "lora" in found else ()
    model = find_folder(str(tiny[family]), "pipeline")
    return DiffusionFolders(family, model, adapters, found.get("depth"), found.get("ip-adapter"))


@pytest.fixture(scope="module")
def sdxl(tiny):
    return open_diffusion(folders(tiny, "sdxl"))


@pytest.fixture(scope="module")
def plain(sdxl):
    return sdxl.run(BASE)


def test_facts_are_the_models(sdxl):
    assert (sdxl.size, sdxl.multiple) == (64, 16)
    assert (sdxl.precision, sdxl.device) == ("fp32", "cpu")
    assert sdxl.scheduler == "EulerDiscreteScheduler"
    assert sdxl.library.startswith("diffusers ")


def test_one_seed_gives_one_result_and_another_another(sdxl, plain):
    assert plain.shape == (64, 64, 3)
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(sdxl.run(BASE), plain)
    assert np.abs(sdxl.run(replace(BASE, seed=8)) - plain).max() > APART


def test_it_is_what_plain_diffusers_gives(tiny, plain):
    import torch
    from diffusers import StableDiffusionXLInpaintPipeline as Pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = Pipeline.from_pretrained(tiny["sdxl"], local_files_only=True, add_watermarker=False)
        pipe.set_progress_bar_config(disable=True)
        done = pipe(
            prompt="a wall", negative_prompt="blurry", image=PICTURE[None], mask_image=HOLE[None].astype(np.float32),
            height=64, width=64, num_inference_steps=3, guidance_scale=7.5, strength=1.0, output_type="np",
            generator=torch.Generator("cpu").manual_seed(7),
        )  # fmt: skip
    np.testing.assert_array_equal(np.asarray(done.images[0], np.float32), plain)


@pytest.mark.parametrize(
    "change",
    [{"prompt": "a gate"}, {"negative": "x"}, {"steps": 4}, {"guidance": 2.0}, {"strength": 0.7}, {"prompt": None}],
)
def test_every_setting_counts(sdxl, plain, change):
    assert np.abs(sdxl.run(replace(BASE, **change)) - plain).max() > APART


def test_the_hole_is_hidden_from_the_model_at_full_strength(sdxl, plain):
    other = np.where(HOLE[..., None], np.float32(0.5), PICTURE)
    np.testing.assert_array_equal(sdxl.run(replace(BASE, picture=other)), plain)


def test_nothing_asks_the_network(tiny, monkeypatch):
    def refuse(*args):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    open_diffusion(folders(tiny, "sd15", lora=1, depth=True, ip_adapter=True))


def test_adapters_change_the_result_by_their_scale(tiny, sdxl, plain):
    none = open_diffusion(folders(tiny, "sdxl", lora=1e-9)).run(BASE)
    full = open_diffusion(folders(tiny, "sdxl", lora=1)).run(BASE)
    assert np.abs(none - plain).max() < 1e-4
    assert np.abs(full - plain).max() > 10 * np.abs(none - plain).max() + APART


@pytest.mark.parametrize("family", ["sdxl", "sd15"])
def test_depth_and_its_scale_count(tiny, family):
    backend = open_diffusion(folders(tiny, family, depth=True))
    slope = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (64, 64)).copy()
    one = backend.run(replace(BASE, depth=slope))
    assert np.abs(backend.run(replace(BASE, depth=1 - slope)) - one).max() > APART
    assert np.abs(backend.run(replace(BASE, depth=slope, control_scale=0.2)) - one).max() > APART
    np.testing.assert_array_equal(backend.run(replace(BASE, depth=slope)), one)


def test_a_control_net_in_half_precision_alone_is_taken(tiny, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(tiny["depth-sd15"], both)
    weights = both / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, both / "diffusion_pytorch_model.fp16.safetensors")
    whole = find_folder(str(both), "part")
    assert whole.sha256 == find_folder(str(tiny["depth-sd15"]), "part").sha256
    weights.unlink()
    half = find_folder(str(both), "part")
    assert half.variant == "fp16"
    backend = open_diffusion(replace(folders(tiny, "sd15"), controlnet=half))
    assert backend.run(replace(BASE, depth=PICTURE[..., 0])).shape == (64, 64, 3)


def test_the_reference_and_its_scale_count_and_the_empty_prompt_is_in_both_branches(tiny):
    backend = open_diffusion(folders(tiny, "sd15", ip_adapter=True))
    red = np.broadcast_to(np.float32([1, 0, 0]), (64, 64, 3)).copy()
    ask = replace(BASE, prompt=None, reference=red)
    one = backend.run(ask)
    np.testing.assert_array_equal(backend.run(ask), one)
    assert np.abs(backend.run(replace(ask, reference=1 - red)) - one).max() > APART
    weak = backend.run(replace(ask, reference_scale=0.0))
    np.testing.assert_array_equal(backend.run(replace(ask, reference=1 - red, reference_scale=0.0)), weak)
    # both branches equal and no reference: guidance has nothing to lead to
    np.testing.assert_allclose(backend.run(replace(ask, reference_scale=0.0, guidance=3.0)), weak, atol=1e-5)


def test_less_memory_gives_nearly_the_same(tiny, plain):
    sliced = open_diffusion(folders(tiny, "sdxl"), DiffusionRuntime(slicing=True)).run(BASE)
    np.testing.assert_allclose(sliced, plain, atol=1e-3)
    tiled = open_diffusion(folders(tiny, "sdxl"), DiffusionRuntime(tiling=True)).run(BASE)
    np.testing.assert_allclose(tiled, plain, atol=1e-3)  # no larger than one tile
    half = open_diffusion(folders(tiny, "sdxl"), DiffusionRuntime(dtype="bf16"))
    assert half.precision == "bf16"
    assert np.abs(half.run(BASE) - plain).mean() < 0.1


def test_progress_is_told_and_can_stop_the_work(sdxl):
    told = []
    sdxl.run(BASE, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sdxl.run(BASE, stop)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"picture": PICTURE[:48]}, "its size"),
        ({"picture": PICTURE[:60], "hole": HOLE[:60]}, "multiples of 16"),
        ({"hole": HOLE.astype(np.float32)}, "bool"),
        ({"picture": np.full_like(PICTURE, np.nan)}, "no numbers"),
        ({"steps": 0}, "at least 1"),
        ({"strength": 0.1}, "at least 1"),
        ({"depth": PICTURE[..., 0]}, "a depth goes with"),
        ({"reference": PICTURE}, "a reference goes with"),
    ],
)
def test_what_does_not_fit_is_refused(sdxl, change, words):
    with pytest.raises(OptionError, match=words):
        sdxl.run(replace(BASE, **change))


def test_other_models_and_broken_folders_are_told(tiny, tmp_path):
    with pytest.raises(OptionError, match="family sd15"):
        open_diffusion(replace(folders(tiny, "sdxl"), model=find_folder(str(tiny["sd15"]), "pipeline")))
    broken = tmp_path / "broken"
    shutil.copytree(tiny["sd15"], broken)
    weights = broken / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(WeightMismatch, match="cannot be opened"):
        open_diffusion(DiffusionFolders("sd15", find_folder(str(broken), "pipeline")))
    (broken / "unet" / "config.json").write_text('{"in_channels": 3}')
    with pytest.raises(OptionError, match="no inpainting model"):
        open_diffusion(DiffusionFolders("sd15", find_folder(str(broken), "pipeline")))
    wrong = DiffusionFolders(
        "sd15", find_folder(str(tiny["sd15"]), "pipeline"), ((find_folder(str(tiny["ip-adapter"]), "adapter"), 1.0),)
    )
    with pytest.raises((WeightMismatch, OptionError)):
        open_diffusion(wrong)
    foreign = replace(wrong, adapters=((find_folder(str(tiny["lora-sdxl"]), "adapter"), 1.0),))
    with pytest.raises(WeightMismatch, match="LoRA"):
        open_diffusion(foreign)
    with pytest.raises(WeightMismatch, match="lacks weights"):
        open_diffusion(replace(wrong, adapters=(), controlnet=find_folder(str(tiny["sd15"] / "vae"), "part")))


def test_weights_that_are_not_in_the_files_are_no_random_numbers(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    for part, name in (("text_encoder", "model"), ("unet", "diffusion_pytorch_model")):
        broken = tmp_path / part
        shutil.copytree(tiny["sd15"], broken)
        weights = broken / part / f"{name}.safetensors"
        tensors = load_file(weights)
        del tensors[next(k for k in tensors if k.endswith("weight"))]
        save_file(tensors, weights, metadata={"format": "pt"})
        with pytest.raises(WeightMismatch, match=r"lacks|cannot be opened"):
            open_diffusion(DiffusionFolders("sd15", find_folder(str(broken), "pipeline")))


def test_a_gpu_that_is_not_there_is_told(tiny):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UnavailableError, match="no GPU"):
        open_diffusion(folders(tiny, "sdxl"), DiffusionRuntime(device="cuda"))
    with pytest.raises(OptionError, match="no GPU"):
        open_diffusion(folders(tiny, "sdxl"), DiffusionRuntime(offload="model"))


@pytest.mark.parametrize("wrong", [{"dtype": "fp8"}, {"device": "gpu"}, {"offload": "disk"}])
def test_a_runtime_that_does_not_exist_is_refused(wrong):
    with pytest.raises(OptionError, match="must be"):
        DiffusionRuntime(**wrong)


def test_a_missing_library_names_the_extra(tiny, monkeypatch):
    monkeypatch.setattr(diffusion, "NEEDS", ("torch", "no_such_library"))
    with pytest.raises(MissingExtra, match=r"pip install 'tratto\[diffusion\]'"):
        open_diffusion(folders(tiny, "sdxl"))
