"""Which of our own networks a step names, and what holds them back."""

import numpy as np
import pytest

from tratto.core.capability import RestoredTile, RestorerInfo, Use
from tratto.core.errors import OptionError
from tratto.steps.denoise import Denoise, Limited, Tinted


def named(step, provider):
    return step.named((Use("restorer", provider),)).params


def test_our_own_providers_get_the_network_for_the_damage():
    assert named(Denoise(damage="jpeg"), "tratto") == {"network": "jpeg"}
    assert named(Denoise(), "tratto-openvino") == {"network": "noise"}
    assert named(Denoise(damage="jpeg", params={"network": "noise"}), "tratto") == {"network": "noise"}
    assert named(Denoise(damage="jpeg", params={"sigma": 4}), "nlm") == {"sigma": 4}


class Smoother:
    """Takes everything away: a restorer whose change is known."""

    info = RestorerInfo("smoother", 1, 64, 8, multiple=4)

    def restore(self, tile, noise_sigma=None):
        return RestoredTile(np.full_like(tile, 0.5))


def test_a_limit_holds_the_change_back_where_it_is_more_than_the_noise():
    rng = np.random.default_rng(0)
    tile = np.full((64, 128, 3), 0.5, np.float32)
    tile[:, :64] += rng.normal(0, 2 / 255, (64, 64, 3)).astype(np.float32)
    tile[:, 64:] += rng.normal(0, 20 / 255, (64, 64, 3)).astype(np.float32)
    limited = Limited(Smoother(), 4.0)
    out = limited.restore(tile).image
    np.testing.assert_allclose(out[:, :48], 0.5, atol=1e-6)  # all of the noise
    left = np.abs(out[:, 80:] - tile[:, 80:]).mean() / np.abs(tile[:, 80:] - 0.5).mean()
    assert left == pytest.approx((4 / 20) ** 2, rel=0.15)
    assert limited.info.overlap == 8 + 12
    assert limited.info.overlap % limited.info.multiple == 0


def test_a_picture_of_one_tint_keeps_it():
    tint = (0.1, 0.9, 0.0, 0.05, 0.8, 0.0, 0.0, 0.6, 0.2)
    luma = np.random.default_rng(1).uniform(0.2, 0.8, (16, 16)).astype(np.float32)
    c = np.reshape(tint, (3, 3))
    colour = np.stack([a + b * luma + d * luma**2 for a, b, d in c], axis=-1).astype(np.float32)
    seen = colour @ np.float32([0.299, 0.587, 0.114])
    out = Tinted(Smoother(), tint).restore(colour).image
    for k in range(3):
        want = colour[..., k] + c[k, 1] * (0.5 - seen) + c[k, 2] * (0.25 - seen**2)
        np.testing.assert_allclose(out[..., k], want, atol=1e-5)


@pytest.mark.parametrize("bad", [{"limit": 0.0}, {"limit": float("inf")}, {"tint": (1.0, 2.0)}])
def test_bad_limits_and_tints_are_refused(bad):
    with pytest.raises(OptionError, match=next(iter(bad))):
        Denoise(**bad)
