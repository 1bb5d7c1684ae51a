"""Who tells the shape of an object in a photograph."""

import numpy as np
import pytest

from tratto.providers.shell import EXPOSURES, NetworkShell
from tratto.scene.complete import Completion
from tratto.scene.shell import SIDE
from tratto.steps.lift_photo import LiftPhoto
from tratto.tasks.lift_photo import STEPS


class Card:
    input, output = "image", "shell"


class Echo:
    """Tells of each place its brightness as depth, and the colours that it was shown as those behind."""

    def __init__(self):
        self.shown = []

    def run(self, inputs):
        picture = inputs["image"]
        self.shown.append(picture[0])
        out = np.zeros((1, 9, SIDE, SIDE), np.float32)
        out[:, :2] = picture[:, :1]
        out[:, 2:5] = picture[:, :3]
        return {"shell": out}


def teller():
    made = NetworkShell.__new__(NetworkShell)
    made._card, made._backend = Card, Echo()
    return made


@pytest.fixture
def square():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.uniform(0, 1, (SIDE, SIDE, 3)), np.ones((SIDE, SIDE, 1))], axis=-1).astype(np.float32)


def test_what_is_behind_keeps_its_colour_in_every_exposure(square):
    network = teller()
    told = network.tell(square)
    assert len(network._backend.shown) == 2 * len(EXPOSURES)
    np.testing.assert_allclose(told.behind, square[..., :3], atol=1e-5)
    expected = np.mean([square[..., 0] ** gamma for gamma in EXPOSURES], axis=0)
    np.testing.assert_allclose(told.front, expected, atol=1e-5)


def test_what_covers_nothing_is_shown_as_nothing(square):
    square[:, : SIDE // 2] = 0
    network = teller()
    network.tell(square)
    for shown in network._backend.shown[::2]:
        assert np.isfinite(shown).all()
        assert not shown[:, :, : SIDE // 2].any()


def test_a_lift_has_one_number_of_steps():
    assert STEPS == LiftPhoto().steps == Completion().steps
