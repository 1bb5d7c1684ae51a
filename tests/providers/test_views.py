"""Views that full-size models make of one picture: networks against references, and tiny copies of them end to end."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("numba")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch

import tiny_views
import tratto
import tratto.providers.views as makers
from tratto.backends import syncdreamer, triposr
from tratto.core.errors import (
    ForbiddenStep,
    MissingWeights,
    OptionError,
    OutputError,
    UnsupportedFormat,
    WeightMismatch,
)
from tratto.jobs.lifting import lift_photo
from tratto.jobs.session import Session
from tratto.provenance.receipt import read_receipt
from tratto.providers.catalogue import open_provider, settle
from tratto.scene.generated import SYNC_AXES, cut_out, framed, sync_cameras, zero123plus_cameras
from tratto.tasks.lift_photo import LiftPhotoOptions
from tratto_lab.convert import views as convert


def spot():
    """Something on a transparent ground, (H, W, 4)."""
    picture = np.zeros((60, 50, 4), np.float32)
    picture[10:50, 10:40, :3] = np.random.default_rng(0).random((40, 30, 3))
    picture[10:50, 10:40, 3] = 1
    return picture


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    return {
        "syncdreamer": tiny_views.sync_folder(folder), "triposr": tiny_views.tripo_folder(folder),
        "zero123plus": tiny_views.zero123plus(folder),
    }  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _threads():
    """numba sets how many threads torch uses, and with them its last bits: it does so before the first of two runs."""
    from tratto.core.artifact import Scene
    from tratto.scene.rasterize import render

    render(Scene.of_points(np.zeros((1, 3)), np.ones((1, 3)), 0.1), sync_cameras(1, 16)[0])


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(makers, "FIELD_SIDE", 16)
    monkeypatch.setattr(triposr, "SAMPLES", 16)


def opened(name, folder, **params):
    if name != "triposr":
        params = {"steps": 2, **params}
    return open_provider("views", name, {"model": str(folder), **params})


# -- SyncDreamer ------------------------------------------------------------------------------------------------------


def test_all_sixteen_views_stand_at_30_degrees():
    for i, camera in enumerate(sync_cameras()):
        azimuth, elevation = np.deg2rad(22.5 * i), np.deg2rad(30)
        there = 1.5 * np.array([
            np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation),
        ])  # fmt: skip
        np.testing.assert_allclose(SYNC_AXES.T @ camera.center, there, atol=1e-12)  # z up, as the authors have it
        assert (camera.width, camera.fx, camera.cx) == (256, 280.0, 128.0)
        at, depth = camera.project(np.zeros((1, 3)))
        np.testing.assert_allclose([*at[0], depth[0]], [128, 128, 1.5], atol=1e-9)
    assert np.linalg.det(SYNC_AXES) == pytest.approx(1)


def test_the_network_has_the_names_shapes_and_numbers_of_the_published_one():
    from diffusers import AutoencoderKL
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        net = syncdreamer.SyncDreamer()
        vae = AutoencoderKL(**{**tiny_views.VAE, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2,
                               "norm_num_groups": 32})  # fmt: skip
        clip = CLIPVisionModelWithProjection(CLIPVisionConfig(
            hidden_size=1024, intermediate_size=4096, projection_dim=768, num_hidden_layers=24, patch_size=14,
            num_attention_heads=16, image_size=224,
        ))  # fmt: skip
    shapes = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    assert sum(p.numel() for m in (net, vae, clip) for p in m.parameters()) == 1_353_766_827
    for name, shape in {
        "cc_projection.weight": (768, 772), "time_embed.0.weight": (256, 256),
        "model.diffusion_model.input_blocks.0.0.weight": (320, 8, 3, 3),
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight": (1280, 768),
        "model.diffusion_model.middle_conditions.proj_context.0.weight": (512, 512, 1, 1, 1),
        "model.diffusion_model.output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        "model.diffusion_model.output_conditions.0.depth_attn.to_k.weight": (512, 256, 1, 1, 1),
        "model.diffusion_model.output_conditions.3.proj_in.0.weight": (256, 640, 1, 1),
        "model.diffusion_model.output_conditions.8.proj_out.5.weight": (320, 128, 3, 3),
        "spatial_volume.target_encoder.out_conv0.view_embed.weight": (16, 4, 1, 1),
        "spatial_volume.spatial_volume_feats.init_conv.weight": (64, 256, 3, 3, 3),
        "spatial_volume.spatial_volume_feats.conv7.conv.weight": (512, 256, 3, 3, 3),
        "spatial_volume.frustum_volume_feats.conv1.v_conv.weight": (64, 4, 1, 1, 1),
        "spatial_volume.frustum_volume_feats.up2.norm.weight": (128,),
    }.items():  # fmt: skip
        assert shapes[name] == shape, name
    conditions = {k.split(".")[3] for k in shapes if "output_conditions" in k}
    assert conditions == {str(i) for i in range(9)}  # and the middle: ten


def test_its_unet_is_that_of_stable_diffusion_where_the_volumes_say_nothing():
    from diffusers import UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    sizes = syncdreamer.Sizes(**tiny_views.SYNC)
    torch.manual_seed(1)
    own = syncdreamer.DepthUNet(sizes).eval()
    for name, p in own.named_parameters():
        if "conditions" in name and "proj_out.5" in name:
            torch.nn.init.zeros_(p)
    theirs = UNet2DConditionModel(
        sample_size=8, in_channels=8, block_out_channels=(32, 32, 64, 64), cross_attention_dim=16,
        attention_head_dim=2, norm_num_groups=8,
    ).eval()  # fmt: skip
    named = {f"model.diffusion_model.{k}": v for k, v in own.state_dict().items() if "conditions" not in k}
    theirs.load_state_dict(convert_ldm_unet_checkpoint(named, {**theirs.config, "layers_per_block": 2}))
    x, context = torch.randn(2, 8, 8, 8), torch.randn(2, 3, 16)
    volumes = {8 >> i: torch.randn(2, c, 8 >> i, 8 >> i, 8 >> i) for i, c in enumerate(sizes.volumes)}
    with torch.inference_mode():
        mine = own(x, torch.tensor([7, 981]), context, volumes)
        want = theirs(x, torch.tensor([7, 981]), encoder_hidden_states=context).sample
    torch.testing.assert_close(mine, want, atol=2e-5, rtol=1e-4)


def test_the_schedule_is_ddim_of_50_steps():
    times, alphas, before = syncdreamer.schedule()
    assert times == [t + 1 for t in range(0, 1000, 20)][::-1]
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = np.cumprod(1 - betas)
    np.testing.assert_allclose(alphas, kept[times], rtol=1e-5)
    np.testing.assert_allclose(before[:-1], kept[times[1:]], rtol=1e-5)
    np.testing.assert_allclose(before[-1], kept[0], rtol=1e-6)


def test_what_the_network_is_told_of_a_view_has_its_elevation_negated():
    net = syncdreamer.SyncDreamer(syncdreamer.Sizes(**tiny_views.SYNC))
    told = net.viewpoints(10.0).numpy()
    np.testing.assert_allclose(told[0], [np.deg2rad(-30 + 10), 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(told[1], [np.deg2rad(-20), 1, 0, 0], atol=1e-6)  # a quarter turn, of four views


def test_the_volumes_lie_where_the_cameras_look():
    sizes = syncdreamer.Sizes(**{**tiny_views.SYNC, "features": 1})
    volumes = syncdreamer.Volumes(sizes)
    matrix = volumes._projections()[1].numpy()
    seen = matrix @ [0, 0, 0, 1]
    np.testing.assert_allclose(seen / seen[2], [4, 4, 1], atol=1e-5)  # the middle of 8 by 8 latents
    np.testing.assert_allclose(seen[2], 1.5, atol=1e-6)
    kept = {}
    volumes.frustum_volume_feats.forward = lambda sampled, time, view: kept.update(own=sampled)
    ramp = torch.linspace(-0.5, 0.5, 8).expand(8, 8, 8)  # grows with x, which runs fastest
    volumes.own(ramp[None, None], torch.zeros(1, 16), torch.zeros(4, 4), 0)
    line = kept["own"][0, 0, :, 4, 4].numpy()  # the first camera stands at +x and looks along -x, 30 degrees down
    away = np.linspace(1.5 - 0.86603, 1.5 + 0.86603, 8)
    inside = np.abs(away - 1.5) < 0.4
    np.testing.assert_allclose(line[inside], (1.5 - away[inside]) * np.cos(np.deg2rad(30)), atol=0.06)


# -- Zero123++ --------------------------------------------------------------------------------------------------------


def test_zero123plus_looks_from_six_sides():
    middle = np.stack([c.center for c in zero123plus_cameras()])
    azimuths = np.rad2deg(np.arctan2(middle[:, 0], -middle[:, 2])) % 360
    np.testing.assert_allclose(azimuths, [30, 90, 150, 210, 270, 330])
    np.testing.assert_allclose(np.rad2deg(np.arcsin(-middle[:, 1] / 4)), [20, -10] * 3)
    camera = zero123plus_cameras()[0]
    assert 2 * np.rad2deg(np.arctan(160 / camera.fx)) == pytest.approx(30)


def test_reference_attention_reads_the_picture_along():
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    from tratto.backends.zero123plus import Bank, ReferenceAttention

    torch.manual_seed(0)
    layer, bank = Attention(16, heads=2, dim_head=8).eval(), Bank()
    layer.set_processor(ReferenceAttention(AttnProcessor2_0(), bank, "one"))
    picture, views = torch.randn(1, 5, 16), torch.randn(1, 7, 16)
    bank.writes = True
    with torch.inference_mode():
        layer(picture)
        bank.writes = False
        made = layer(views)
        q, k, v = (
            layer.to_q(views),
            layer.to_k(torch.cat([views, picture], 1)),
            layer.to_v(torch.cat([views, picture], 1)),
        )
        parts = [t.unflatten(-1, (2, 8)).transpose(1, 2) for t in (q, k, v)]
        weights = (parts[0] @ parts[1].transpose(-1, -2) / 8**0.5).softmax(-1)
        want = layer.to_out[0]((weights @ parts[2]).transpose(1, 2).flatten(2))
    torch.testing.assert_close(made, want, atol=1e-5, rtol=1e-4)
    assert bank.kept == {}


def test_zero123plus_gives_its_cells_row_by_row(folders):
    made = opened("zero123plus", folders["zero123plus"])
    views = made.make(spot(), 0.0, 0, lambda done, total: None)
    assert len(views) == 6
    assert views[0].color.shape == (32, 32, 3)
    assert made.info.models[0].licence == "cc-by-nc-4.0"
    assert not made.info.models[0].commercial_use
    again = opened("zero123plus", folders["zero123plus"]).make(spot(), 0.0, 0, lambda done, total: None)
    other = opened("zero123plus", folders["zero123plus"]).make(spot(), 0.0, 1, lambda done, total: None)
    np.testing.assert_array_equal(views[3].color, again[3].color)
    assert np.abs(views[3].color - other[3].color).max() > 0.01


# -- TripoSR ----------------------------------------------------------------------------------------------------------


def test_the_field_is_seen_from_where_the_cameras_stand(folders, monkeypatch):
    from tratto.scene.camera import orbit

    monkeypatch.setattr(triposr, "SAMPLES", 200)
    backend = triposr.TripoSRBackend.load(settle_folder("triposr", folders["triposr"]), "cpu")

    def ball(planes, points):
        inside = (points.norm(dim=1) < 0.5).float() * 1e4
        return inside, (points > 0).float()  # each colour where its axis is positive

    monkeypatch.setattr(backend.net, "field", ball)
    focal = 40 / np.tan(np.deg2rad(20))
    cameras = orbit((0, 0, 0), 1.9, [0, 90], 0.0, (80, 80), focal)
    (front, alpha), (right, _) = backend.run(np.full((64, 64, 3), 0.5, np.float32), cameras)
    radius = np.sqrt(alpha.sum() / np.pi)
    seen = focal * np.tan(np.arcsin(0.5 * 0.87 / 1.9))
    assert radius == pytest.approx(seen, rel=0.03)
    assert front[40, 40, 0] == 1  # the picture's camera stands at the authors' +x
    assert (front[30, 50] == [1, 1, 1]).all()  # to the right +y, up +z
    assert (front[50, 30] == [1, 0, 0]).all()
    assert right[40, 40, 1] == 1


def test_triposr_has_the_names_and_numbers_of_the_published_one():
    with torch.device("meta"):
        net = triposr.TripoSR()
    assert sum(p.numel() for p in net.parameters()) == 418_685_036
    shapes = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    for name, shape in {
        "image_tokenizer.model.embeddings.position_embeddings": (1, 197, 768),
        "image_tokenizer.model.encoder.layer.11.attention.attention.query.weight": (768, 768),
        "tokenizer.embeddings": (3, 1024, 32, 32), "post_processor.upsample.weight": (1024, 40, 2, 2),
        "backbone.transformer_blocks.15.attn2.to_k.weight": (1024, 768),
        "backbone.transformer_blocks.0.ff.net.0.proj.weight": (8192, 1024), "decoder.layers.18.weight": (4, 64),
    }.items():  # fmt: skip
        assert shapes[name] == shape, name


def test_its_eyes_are_those_of_transformers(folders):
    from safetensors.torch import load_file
    from transformers import ViTConfig, ViTModel

    sizes = triposr.Sizes(**tiny_views.TRIPO)
    tensors = load_file(folders["triposr"] / "model.safetensors")
    prefix = "image_tokenizer.model."
    own = triposr.Seer(sizes).eval()
    own.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=16,
        layer_norm_eps=1e-12,
    )  # fmt: skip
    theirs = ViTModel(config, add_pooling_layer=False).eval()
    renamed = {}
    for name, value in own.state_dict().items():
        new = name.replace("encoder.layer.", "layers.").replace("attention.attention.", "attention.")
        for a, b in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"),
                     ("attention.output.dense", "attention.o_proj"),
                     ("intermediate.dense", "mlp.fc1"), ("output.dense", "mlp.fc2")):  # fmt: skip
            new = new.replace(f".{a}.", f".{b}.")
        renamed[new] = value
    lost = theirs.load_state_dict(renamed, strict=False)
    if lost.missing_keys:
        pytest.skip("this version of transformers names the layers otherwise")
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        want = theirs(pixel_values=picture, interpolate_pos_encoding=True).last_hidden_state
        torch.testing.assert_close(own(picture), want, atol=1e-5, rtol=1e-4)


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_an_object_is_framed_by_its_alpha():
    square = framed(spot(), 256, 200, 1.0)
    there = np.abs(square - 1).max(axis=2) > 0.01
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    assert len(rows) == 200
    assert len(columns) == 150
    assert rows[0] == 28
    assert columns[0] == 53
    with pytest.raises(OptionError):
        framed(np.zeros((4, 4, 4), np.float32), 16, 12, 1.0)
    with pytest.raises(OptionError):
        framed(np.zeros((4, 4, 3), np.float32), 16, 12, 1.0)
    assert cut_out(np.ones((9, 9, 3), np.float32), 1.0).max() == 0


# -- end to end -------------------------------------------------------------------------------------------------------


def settle_folder(name, folder):
    from tratto.core.capability import Use
    from tratto.models.folders import find_folder

    use = settle(Use("views", name, {"model": str(folder)}))
    return find_folder(use.params["model"], makers._KINDS[name])


def write(path, picture):
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", ["syncdreamer", "zero123plus", "triposr"])
def test_the_whole_job_from_the_command_line_to_a_replay(folders, tmp_path, capsys, monkeypatch, name):
    from tratto.cli.main import app

    def main(words):
        with pytest.raises(SystemExit) as ended:
            app(words)
        return ended.value.code

    photo = write(tmp_path / "thing.png", spot())
    line = ["lift", str(photo), "-o", str(tmp_path / "out"), "--views", name, "--json",
            "--param", f"model={folders[name]}", "--steps", "4", "--gaussians", "150", "--side", "64"]  # fmt: skip
    line += ["--param", "steps=2"] if name != "triposr" else ["--elevation", "10"]
    assert main([*line, "--dry-run"]) == 0
    capsys.readouterr()
    assert main(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores"]["views"] == {"syncdreamer": 4, "zero123plus": 6, "triposr": 16}[name]
    assert told["scores"]["photograph_psnr"] > 0
    made = tmp_path / "out" / "thing.ply"
    verdict = tratto.verify(made)
    assert verdict.word == "authentic", verdict.reasons
    receipt = read_receipt((made.with_suffix(".tratto") / "receipt.json").read_bytes())
    step = receipt["steps"][0]
    assert step["generative"]
    assert step["provider"] == name
    for folder in (tmp_path, folders[name].parent):
        assert str(folder) not in json.dumps(receipt)
    assert [m["id"] for m in step["models"]] == [name, *([] if name == "triposr" else ["tratto-shell"])]
    assert step["models"][0]["licence"] == {"syncdreamer": "apache-2.0", "zero123plus": "cc-by-nc-4.0"}.get(name, "mit")
    assert receipt["claim"]["status"] == "hypothetical reconstruction"
    monkeypatch.setenv("TRATTO_MODELS", str(folders[name].parent))
    assert tratto.replay(made).tier == "A"
    assert main([*line, "--overwrite", "--forensic"]) == ForbiddenStep.exit_code


def test_what_was_pulled_needs_no_folder_and_keeps_its_licence(folders, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from models.test_hub import Hub
    from tratto.cli.main import app

    hub, tiny = Hub(), folders["zero123plus"]
    hub.files = {p.relative_to(tiny).as_posix(): p.read_bytes() for p in tiny.rglob("*") if p.is_file()}
    # the published folder is of an older transformers, which wrote vocabularies so
    hub.files |= {
        f"tokenizer/{name}": (tiny.parent / "words" / name).read_bytes() for name in ("vocab.json", "merges.txt")
    }
    hub.files["tokenizer/special_tokens_map.json"] = b"{}"
    for name in ("TRATTO_MODELS", "HF_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    try:
        line = ["lift", str(write(tmp_path / "thing.png", spot())), "-o", str(tmp_path / "out"), "--views",
                "zero123plus", "--elevation", "0", "--steps", "2", "--gaussians", "100", "--side", "64",
                "--param", "steps=1"]  # fmt: skip
        done = CliRunner().invoke(app, line)
        assert done.exit_code == MissingWeights.exit_code
        assert "run: tratto models pull zero123plus" in done.stderr
        assert CliRunner().invoke(app, ["models", "pull", "zero123plus"]).exit_code == 0
    finally:
        hub.close()
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert "commercial" in done.output
    (model,) = json.loads((tmp_path / "out" / "thing.tratto" / "receipt.json").read_text())["steps"][0]["models"]
    assert (model["id"], model["licence"], model["commercial_use"]) == ("zero123plus", "CC-BY-NC-4.0", False)
    assert tratto.replay(tmp_path / "out" / "thing.ply").tier == "A"


def test_what_cannot_be_done_is_one_line(folders, tmp_path):
    photo, plain = write(tmp_path / "a.png", spot()), write(tmp_path / "b.png", spot()[..., :3])
    usual = {"views": "syncdreamer", "steps": 2, "gaussians": 100, "side": 64}
    model = {"model": str(folders["syncdreamer"]), "steps": 1}
    with pytest.raises(MissingWeights, match="tratto models pull syncdreamer"):
        tratto.lift(photo, **usual)
    with pytest.raises(OptionError, match="not here"):
        tratto.lift(photo, params={"model": str(tmp_path / "nowhere")}, **usual)
    with pytest.raises(OptionError, match="-10 to 40"):
        tratto.lift(photo, params=model, elevation=60, **usual)
    with pytest.raises(OptionError):
        tratto.lift(photo, params={**model, "size": 3}, **usual)
    with pytest.raises(OptionError):
        tratto.lift(photo, params={**model, "steps": 0}, **usual)
    with pytest.raises(OptionError, match="SyncDreamer"):
        tratto.lift(photo, params={"model": str(folders["triposr"])}, **usual)
    with pytest.raises(OptionError):
        tratto.lift(photo, params={"model": str(folders["triposr"])}, **{**usual, "views": "zero123plus"})
    for wrong in ({"params": model}, {"params": model, "views": "syncdreamer", "refine": 1}):
        with pytest.raises(OptionError, match="views"):
            tratto.lift(photo, **wrong)
    mask = np.zeros((60, 50), np.float32)
    mask[10:50, 10:40] = 1
    options = LiftPhotoOptions(params=model, elevation=0, **usual)
    out = lift_photo(Session(), plain, tmp_path / "o", options, write(tmp_path / "m.png", mask))
    assert out.saved.output == tmp_path / "o" / "b.ply"
    assert out.result.resolved.steps[0].outline == "mask"
    with pytest.raises(OutputError):
        lift_photo(Session(), plain, tmp_path / "o", options)


def test_the_photograph_is_fitted_where_it_was_taken(monkeypatch):
    from tratto.core.artifact import Scene
    from tratto.core.capability import DescriberInfo
    from tratto.scene.camera import orbit
    from tratto.scene.rasterize import USUAL, render
    from tratto.scene.views import View

    # a ball with a red half towards the photograph and a green one behind, of a size that nobody states
    points = np.random.default_rng(0).normal(size=(3000, 3))
    points *= 0.4 / np.linalg.norm(points, axis=1, keepdims=True)
    colors = np.where(points[:, 2:] < 0, [[0.9, 0.1, 0.1]], [[0.1, 0.8, 0.1]])
    ball = Scene.of_points(points, colors.astype(np.float32), 0.02, 0.95)

    class Maker:
        info = DescriberInfo("triposr")

        def make(self, picture, elevation, seed, progress):
            cameras = orbit((0, 0, 0), 1.5, [22.5 * i for i in range(16)], 30.0, (64, 64), 70.0)
            seen = [(c, render(ball, c, (0, 0, 0), USUAL)) for c in cameras]
            return tuple(
                View(c, np.clip(s.color / np.maximum(s.alpha, 1e-3)[..., None], 0, 1), np.clip(s.alpha, 0, 1))
                for c, s in seen
            )

    monkeypatch.setattr(makers, "missing", lambda request: None)
    monkeypatch.setattr(makers, "settle", lambda request: {"model": "a@" + "0" * 64})
    monkeypatch.setattr(makers, "open", lambda request: Maker())
    (camera,) = orbit((0, 0, 0), 3.0, [0.0], 10.0, (96, 96), 200.0)
    shown = render(ball, camera, (0, 0, 0), USUAL)
    photo = np.concatenate([shown.color, shown.alpha[..., None]], axis=2)
    photo[..., :3] /= np.maximum(photo[..., 3:], 1e-3)
    photo = np.rint(255 * np.clip(photo, 0, 1)).astype(np.uint8)
    options = LiftPhotoOptions(views="triposr", elevation=10, steps=120, gaussians=1500, side=96)
    made = Session().run("lift-photo", {"picture": photo}, options)
    assert made.records[0].scores["photograph_psnr"] > 20
    scene = made.main
    front = scene.positions[scene.seen > 0]
    assert 0.2 < len(front) / len(scene) < 0.7
    assert (front[:, 2] < 0.15).mean() > 0.9  # those that the photograph shows lie on its side
    size = np.ptp(scene.positions[scene.opacities > 0], axis=0)
    np.testing.assert_allclose(size, 0.8, atol=0.15)  # of the world of the views, not of the photograph's


def test_broken_folders_are_told(folders, tmp_path):
    import shutil

    for name in ("syncdreamer", "triposr"):
        broken = tmp_path / name
        shutil.copytree(folders[name], broken)
        weights = broken / "model.safetensors"
        data = weights.read_bytes()
        weights.write_bytes(data[:-40])
        with pytest.raises(WeightMismatch):
            opened(name, broken).make(spot(), 0.0, 0, print)
        weights.unlink()
        if name == "syncdreamer":  # those of its parts are still there
            with pytest.raises(WeightMismatch):
                opened(name, broken).make(spot(), 0.0, 0, print)
        weights.with_suffix(".ckpt").write_bytes(data)
        shutil.rmtree(broken / "vae", ignore_errors=True)
        shutil.rmtree(broken / "clip", ignore_errors=True)
        with pytest.raises(UnsupportedFormat):
            opened(name, broken)
    (folder := tmp_path / "sizes").mkdir()
    shutil.copy(folders["triposr"] / "model.safetensors", folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "triposr", "width": -1}))
    with pytest.raises(OptionError):
        opened("triposr", folder).make(spot(), 0.0, 0, print)
    (folder / "config.json").write_text(json.dumps({"model_type": "triposr"}))
    with pytest.raises(WeightMismatch):
        opened("triposr", folder).make(spot(), 0.0, 0, print)


def test_a_converter_takes_tensors_alone(tmp_path, monkeypatch):
    checkpoint = tiny_views.tripo_checkpoint(tmp_path / "model.ckpt")
    sizes = triposr.Sizes(**tiny_views.TRIPO)
    tensors = convert.opened(checkpoint)
    convert.triposr(tensors, tmp_path / "made", sizes)
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    with pytest.raises(OutputError):
        convert.triposr(tensors, tmp_path / "made", sizes)
    with pytest.raises(WeightMismatch):
        convert.triposr(tensors, tmp_path / "full")
    with pytest.raises(WeightMismatch):
        convert.syncdreamer(tensors, tmp_path / "sync", syncdreamer.Sizes(**tiny_views.SYNC))

    class Runs:
        def __reduce__(self):
            return (print, ("a pickle that runs something",))

    torch.save({"state_dict": Runs()}, tmp_path / "evil.ckpt")
    with pytest.raises(UnsupportedFormat):
        convert.opened(tmp_path / "evil.ckpt")
    (tmp_path / "cut.ckpt").write_bytes(checkpoint.read_bytes()[:300])
    with pytest.raises(UnsupportedFormat):
        convert.opened(tmp_path / "cut.ckpt")
    with pytest.raises(Exception, match="read"):
        convert.opened(tmp_path / "nowhere.ckpt")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        convert.triposr(tensors, tmp_path / "none", sizes)
    assert not list(tmp_path.glob(".none*"))
    assert not (tmp_path / "none").exists()
