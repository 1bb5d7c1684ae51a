import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tratto.core.errors import OptionError  # noqa: E402
from tratto_lab.networks.restorer import RestorerUNet, UNetConfig, Upscaler, UpscalerConfig, bicubic_phases  # noqa: E402
from tratto_lab.networks.swin_unet import (  # noqa: E402
    BASE,
    SMALL,
    SwinUNet,
    SwinUNetConfig,
    count_parameters,
    from_windows,
    shift_mask,
    to_windows,
)

TINY = SwinUNetConfig(widths=(32, 32), encoder=(2,), bottleneck=1, decoder=(1,), window=4)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_untrained_restorer_returns_its_input():
    x = torch.rand(1, 3, 32, 48)
    picture, log_sigma = RestorerUNet()(x)
    assert torch.equal(picture, x)
    assert log_sigma.shape == (1, 1, 32, 48)


def test_parameter_count_of_the_shipped_shape():
    assert sum(p.numel() for p in RestorerUNet().parameters()) == 1_704_416


def test_untrained_upscaler_is_bicubic_inside():
    from tratto_lab.simulate.degrade import resize

    x = np.random.default_rng(0).random((12, 16, 3), dtype=np.float32)
    out, log_sigma = Upscaler(UpscalerConfig(2, 16, 1))(torch.from_numpy(x).permute(2, 0, 1)[None])
    expected = resize(x, 24, 32, "bicubic")
    np.testing.assert_allclose(out[0].detach().permute(1, 2, 0).numpy()[6:-6, 6:-6], expected[6:-6, 6:-6], atol=1e-5)
    assert log_sigma.shape == (1, 1, 24, 32)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_kernels_sum_to_one(scale):
    np.testing.assert_allclose(bicubic_phases(scale).sum((1, 2)), 1, atol=1e-6)


def test_sigma_head_sends_no_gradient_into_the_picture_branch():
    net = RestorerUNet(UNetConfig(widths=(8, 8), encoder=(1,), bottleneck=1, decoder=(1,)))
    _, log_sigma = net(torch.rand(1, 3, 16, 16))
    log_sigma.sum().backward()
    assert net.sigma.second.weight.grad is not None
    assert net.entry.weight.grad is None


def test_no_output_pixel_depends_on_the_far_end():
    # What makes exact tiling possible: no global pooling, no attention over everything.
    from tratto_lab.training.export import receptive_radius

    small = RestorerUNet(UNetConfig(widths=(8, 8), encoder=(1,), bottleneck=1, decoder=(1,)))
    radius = receptive_radius(small, 4, 128)
    assert 8 < radius < 40
    x = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        torch.nn.init.normal_(small.exit.weight)
        y = x.clone()
        y[:, :, 0] = 0  # the first row changes
        a, b = small(x)[0], small(y)[0]
    assert torch.equal(a[:, :, radius + 1 :], b[:, :, radius + 1 :])
    assert not torch.equal(a[:, :, :4], b[:, :, :4])


def test_upscaler_radius_is_the_sum_of_its_layers():
    from tratto_lab.training.export import receptive_radius

    # entry, two per block, merge, exit: 1 + 2 * 3 + 1 + 1
    assert receptive_radius(Upscaler(UpscalerConfig(2, 16, 3)), 1, 64) == 9


def test_configurations_are_checked():
    with pytest.raises(OptionError):
        UNetConfig(widths=(8, 16), encoder=(1, 1))
    with pytest.raises(OptionError):
        UpscalerConfig(scale=5)
    with pytest.raises(OptionError):
        SwinUNetConfig(widths=(30, 60), encoder=(1,), decoder=(1,))
    with pytest.raises(OptionError):
        SwinUNetConfig(skip="sum")


def test_base_has_the_size_the_design_asks_for():
    assert 30e6 < count_parameters(BASE) < 60e6
    assert count_parameters(SMALL) < 5e6


def test_windows_round_trip():
    x = torch.rand(2, 5, 8, 12)
    assert torch.equal(from_windows(to_windows(x, 4), 4, 8, 12), x)


def test_shift_mask_keeps_wrapped_tokens_apart():
    near = shift_mask(8, 8, 4, 2, torch.device("cpu"))
    assert near.shape == (4, 16, 16)
    assert near[0].all()  # the first window holds no wrapped token
    last = near[3].reshape(4, 4, 4, 4)
    assert last[0, 0, 1, 1]  # both from before the wrap
    assert not last[0, 0, 2, 0]  # rows 2 and 3 came around from the top


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"skip": "concat"},
        {"relative_bias": False},
        {"scales": (1, 2, 4), "scale_embedding": True},
        {"checkpointing": True, "residual_scale": 0.2},
    ],
)
def test_swin_unet_options_run_and_learn(change):
    from dataclasses import replace

    net = SwinUNet(replace(TINY, **change))
    x = torch.rand(1, 3, 32, 16)
    for scale in net.config.scales:
        picture, log_sigma = net(x, scale)
        assert picture.shape == (1, 3, 32 * scale, 16 * scale)
        assert log_sigma.shape == (1, 1, 32 * scale, 16 * scale)
    assert torch.equal(net(x, 1)[0], x)
    target = 1 - x
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3)
    losses = []
    for _ in range(15):
        loss = (net(x, 1)[0] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_window_attention_matches_plain_attention_on_one_window():
    from tratto_lab.networks.swin_unet import WindowAttention

    layer = WindowAttention(32, TINY, shifted=False)
    torch.nn.init.normal_(layer.bias)
    x = torch.rand(1, 32, 4, 4)
    tokens = x.flatten(2).transpose(1, 2)[0]  # (16, 32)
    q, k, v = layer.qkv(tokens).view(16, 3, 2, 16).unbind(1)
    bias = layer.bias[layer.offsets]  # (16, 16, heads)
    heads = [torch.softmax(q[:, h] @ k[:, h].T / 4 + bias[..., h], -1) @ v[:, h] for h in range(2)]
    expected = layer.out(torch.cat(heads, -1)).T.reshape(1, 32, 4, 4)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)


def test_swin_unet_says_what_sizes_it_takes():
    with pytest.raises(OptionError, match="multiples of 16"):
        SwinUNet(TINY)(torch.rand(1, 3, 24, 16))
    with pytest.raises(OptionError, match="heads"):
        SwinUNet(TINY)(torch.rand(1, 3, 16, 16), 2)
