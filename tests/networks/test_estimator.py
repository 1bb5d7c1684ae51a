import numpy as np
import pytest
import torch

from tratto.core.errors import OptionError
from tratto.networks.estimator import LOG_ERROR_MAX, LOG_ERROR_MIN, TRAITS, UNITS, Estimator, EstimatorConfig
from tratto.training.estimation import estimation_loss


def small() -> Estimator:
    torch.manual_seed(0)
    return Estimator(EstimatorConfig(widths=(8, 8), blocks=1, hidden=8)).eval()


def test_one_answer_for_each_crop_of_any_size_that_fits():
    net = small()
    assert net.config.multiple == 4
    for h, w in ((8, 12), (40, 24)):
        values, logs = net(torch.rand(3, 3, h, w))
        assert values.shape == logs.shape == (3, len(TRAITS)) == (3, len(UNITS))
        assert bool((values >= 0).all())
        assert bool(((logs >= LOG_ERROR_MIN) & (logs <= LOG_ERROR_MAX)).all())


def test_brightness_does_not_matter():
    net = small()
    x = torch.rand(1, 3, 32, 32) * 0.5
    with torch.no_grad():
        a, b = net(x), net(x + 0.25)
    np.testing.assert_allclose(a[0], b[0], atol=1e-5)
    np.testing.assert_allclose(a[1], b[1], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 30, 32), (1, 1, 32, 32), (3, 32, 32)])
def test_what_does_not_fit_is_refused(shape):
    with pytest.raises(OptionError, match="multiples of 4"):
        small()(torch.rand(shape))


def test_a_shape_without_channels_is_refused():
    with pytest.raises(OptionError, match="positive"):
        EstimatorConfig(widths=(8, 0))


def test_the_loss_is_least_where_the_stated_error_is_the_true_one():
    class Fixed(torch.nn.Module):
        def __init__(self, log):
            super().__init__()
            self.log = log

        def forward(self, x):
            return torch.zeros(1, 3), torch.full((1, 3), self.log)

    target = torch.full((1, 3, 1, 1), 0.5)
    losses = {
        s: float(estimation_loss(Fixed(float(np.log(s))), torch.zeros(1, 3, 8, 8), target)) for s in (0.3, 0.5, 0.8)
    }
    assert min(losses, key=losses.get) == 0.5
    # by hand: log 0.5 + 0.5 / 0.5 + 0.1 * 0.5
    assert losses[0.5] == pytest.approx(np.log(0.5) + 1 + 0.05, abs=1e-6)


def test_it_learns_noise_from_a_few_steps():
    torch.manual_seed(1)
    net = Estimator(EstimatorConfig(widths=(12,), blocks=1, hidden=16))
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    rng = torch.Generator().manual_seed(2)

    def batch():
        sigma = torch.rand(16, 1, 1, 1, generator=rng) * 40
        x = 0.5 + torch.randn(16, 3, 16, 16, generator=rng) * sigma / 255
        target = torch.cat((sigma / UNITS[0], torch.zeros(16, 2, 1, 1)), 1)
        return x, target, sigma[:, 0, 0, 0]

    for _ in range(400):
        x, target, _ = batch()
        optimizer.zero_grad()
        estimation_loss(net, x, target).backward()
        optimizer.step()
    with torch.no_grad():
        x, _, sigma = batch()
        found = net(x)[0][:, 0] * UNITS[0]
    assert float((found - sigma).abs().mean()) < 4  # uniform guesses would be 10 off
