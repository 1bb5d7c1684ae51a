"""A grown network begins with the function of the smaller one."""

from __future__ import annotations

import pytest
import torch

from tratto.core.errors import OptionError
from tratto_lab.networks.grow import grow
from tratto_lab.networks.restorer import RestorerUNet, UNetConfig


def small() -> RestorerUNet:
    torch.manual_seed(0)
    network = RestorerUNet(UNetConfig(widths=(8, 16), encoder=(1,), bottleneck=3, decoder=(1,), sigma_width=4))
    torch.nn.init.normal_(network.exit.weight, std=0.05)  # untrained it would return its input
    return network


@pytest.mark.parametrize(
    "shape",
    [
        {"widths": (8, 16, 24), "encoder": (1, 2), "bottleneck": 1, "decoder": (1, 1)},
        {"widths": (8, 16, 24), "encoder": (3, 2), "bottleneck": 2, "decoder": (2, 2)},
        {"widths": (8, 16), "encoder": (2,), "bottleneck": 5, "decoder": (1,)},
    ],
)
def test_the_picture_is_the_same_and_everything_new_can_learn(shape: dict[str, object]) -> None:
    before = small()
    torch.manual_seed(1)
    after = RestorerUNet(UNetConfig(**shape, sigma_width=4))  # type: ignore[arg-type]
    new = grow(before.state_dict(), after)
    assert new
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert (before(x)[0] - after(x)[0]).abs().max() < 1e-6
        assert (before(x)[0] - x).abs().max() > 1e-3
    optimizer = torch.optim.SGD(after.parameters(), 0.1)
    start = {k: v.detach().clone() for k, v in after.named_parameters()}
    for _ in range(3):  # what begins at zero lets the layers before it learn from the second step on
        optimizer.zero_grad()
        (after(x)[0] - x.flip(2)).square().mean().backward()
        optimizer.step()
    still = [k for k, v in after.named_parameters() if k in new and torch.equal(v, start[k])]
    assert still == []


def test_what_does_not_fit_is_refused() -> None:
    weights = small().state_dict()
    narrow = RestorerUNet(UNetConfig(widths=(8, 12, 24), encoder=(1, 2), bottleneck=1, decoder=(1, 1), sigma_width=4))
    with pytest.raises(OptionError):
        grow(weights, narrow)
    shallow = RestorerUNet(UNetConfig(widths=(8, 16, 24), encoder=(1, 1), bottleneck=1, decoder=(1, 1), sigma_width=4))
    with pytest.raises(OptionError):
        grow(weights, shallow)
    four = UNetConfig(widths=(8, 16, 24, 32), encoder=(1, 2, 1), bottleneck=1, decoder=(1, 1, 1), sigma_width=4)
    with pytest.raises(OptionError, match="level"):
        grow(weights, RestorerUNet(four))
