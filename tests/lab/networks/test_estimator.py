import numpy as np
import pytest
import torch

from tratto.core.errors import OptionError
from tratto.imaging.estimate import SPECTRUM_SIZE
from tratto_lab.networks.estimator import (
    LOG_ERROR_MAX,
    LOG_ERROR_MIN,
    TRAITS,
    Estimator,
    EstimatorConfig,
    scaled,
    unscaled,
)
from tratto_lab.training.estimation import estimation_loss


def small(features=12) -> Estimator:
    torch.manual_seed(0)
    return Estimator(EstimatorConfig(features, (16, 8))).eval()


def test_it_takes_what_the_spectrum_gives():
    assert EstimatorConfig().features == SPECTRUM_SIZE


def test_one_answer_for_each_spectrum():
    values, logs = small()(torch.randn(5, 12, 1, 1) * 4)
    assert values.shape == logs.shape == (5, len(TRAITS))
    assert bool((values >= 0).all())
    assert bool(((logs >= LOG_ERROR_MIN) & (logs <= LOG_ERROR_MAX)).all())


def test_scales_are_undone_and_errors_follow_the_slope():
    traits = torch.tensor([[0.0, 0.0, 0.5], [25.0, 1.5, 2.0]])
    values, errors = unscaled(scaled(traits), torch.full((2, 3), 0.1))
    torch.testing.assert_close(values, traits, atol=1e-5, rtol=1e-5)
    # d/dv of 2 (exp v - 1) is 2 exp v = traits + 2
    torch.testing.assert_close(errors[:, 0], 0.1 * (traits[:, 0] + 2), atol=1e-5, rtol=1e-5)
    assert errors[:, 1:].unique().tolist() == [pytest.approx(0.1)]


@pytest.mark.parametrize("shape", [(1, 11, 1, 1), (12, 1, 1)])
def test_what_does_not_fit_is_refused(shape):
    with pytest.raises(OptionError, match="expected"):
        small()(torch.rand(shape))


@pytest.mark.parametrize("bad", [{"features": 0}, {"hidden": (8, 0)}, {"dropout": 1.0}])
def test_bad_shapes_are_refused(bad):
    with pytest.raises(OptionError, match="positive"):
        EstimatorConfig(**bad)


def test_the_loss_is_least_where_the_stated_error_is_the_true_one():
    class Fixed(torch.nn.Module):
        def __init__(self, log):
            super().__init__()
            self.log = log

        def forward(self, x):
            return torch.zeros(1, 3), torch.full((1, 3), self.log)

    noise = float(2 * np.expm1(0.5))  # 0.5 as the network has it
    target = torch.tensor([noise, 0.5, 0.5]).reshape(1, 3, 1, 1)
    unseen = torch.tensor([noise, float("nan"), 0.5]).reshape(1, 3, 1, 1)
    for true in (target, unseen):  # what cannot be known counts for nothing
        losses = {
            s: float(estimation_loss(Fixed(float(np.log(s))), torch.zeros(1, 8, 1, 1), true)) for s in (0.3, 0.5, 0.8)
        }
        assert min(losses, key=losses.get) == 0.5
        # by hand: log 0.5 + 0.5 / 0.5 + 0.2 * 0.5
        assert losses[0.5] == pytest.approx(np.log(0.5) + 1 + 0.1, abs=1e-6)
