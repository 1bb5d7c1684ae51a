"""MVCRM: what views agree on is taken over; what one of them makes up is not."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
sys.path.insert(0, str(Path(__file__).parent))
from shots import photographs, ring, truth

from tratto.core.errors import Cancelled, OptionError
from tratto.scene.camera import orbit
from tratto.scene.measures import psnr
from tratto.scene.optimize import Settings
from tratto.scene.rasterize import PARAMETERS, render
from tratto.scene.refine import Refinement, correlation, refine


@pytest.fixture(scope="module")
def spoiled():
    """The object in other colours, its photographs as they should be, and views held out."""
    rng = np.random.default_rng(2)
    sh = truth().harmonics * 0.3 + rng.normal(0, 0.25, truth().harmonics.shape).astype(np.float32)
    views = photographs(ring())
    return replace(truth(), harmonics=sh), views, photographs(orbit((0, 0, 0), 2, [45, 200], 30, (48, 48), 80.0))


def quality(scene, views):
    return float(np.mean([psnr(render(scene, v.camera).color, v.over((0, 0, 0))) for v in views]))


def test_an_oracle_is_believed(spoiled):
    start, views, held_out = spoiled
    pictures = [v.over((0, 0, 0)) for v in views]
    cameras = [v.camera for v in views]
    made = refine(start, cameras, lambda shown, i: pictures[i], Settings(), Refinement(steps=40))
    assert quality(made, held_out) > quality(start, held_out) + 5  # measured 9 dB
    colors = refine(start, cameras, lambda shown, i: pictures[i], Settings(), Refinement(steps=0))
    assert quality(colors, held_out) > quality(start, held_out) + 4
    for name in PARAMETERS[:-1]:
        np.testing.assert_array_equal(getattr(colors, name), getattr(start, name))


def test_one_that_makes_things_up_does_no_harm(spoiled):
    start, views, held_out = spoiled
    rng = np.random.default_rng(0)
    pictures = []
    for view in views:
        picture = view.over((0, 0, 0)) * rng.uniform(0.75, 1.25, 3).astype(np.float32)
        y, x = rng.integers(12, 28, 2)
        picture[y : y + 8, x : x + 8] = rng.random((8, 8, 3))
        pictures.append(np.clip(picture, 0, 1).astype(np.float32))
    cameras = [v.camera for v in views]
    made = refine(start, cameras, lambda shown, i: pictures[i], Settings(), Refinement(steps=40))
    assert quality(made, held_out) > quality(start, held_out)


def test_one_that_does_nothing_changes_nothing(spoiled):
    start, views, _ = spoiled
    cameras = [v.camera for v in views]
    rounded = refine(start, cameras, lambda shown, i: np.round(shown * 255) / np.float32(255), Settings(), Refinement())
    assert rounded.digest() == start.digest()


@pytest.mark.parametrize("gate", [{"depth_gate": 0.1}, {"feature_gate": 0.7}])
def test_gates_leave_something(spoiled, gate):
    start, views, held_out = spoiled
    pictures = [v.over((0, 0, 0)) for v in views]
    how = Refinement(steps=0, color_rounds=2, **gate)
    made = refine(start, [v.camera for v in views], lambda shown, i: pictures[i], Settings(), how)
    assert made.digest() != start.digest()
    assert quality(made, held_out) > quality(start, held_out)


def test_what_makes_no_sense_is_refused(spoiled):
    start, views, _ = spoiled
    cameras = [v.camera for v in views]
    with pytest.raises(OptionError):
        refine(start, cameras[:1], lambda shown, i: shown, Settings(), Refinement())
    for bad in (lambda shown, i: shown[:10], lambda shown, i: shown * np.float32("nan")):
        with pytest.raises(OptionError):
            refine(start, cameras, bad, Settings(), Refinement())
    for change in ({"rounds": -1}, {"damping": 0}, {"depth_gate": 2}, {"feature_gate": 1}, {"tolerance": 0}):
        with pytest.raises(OptionError):
            Refinement(**change)

    def stop(stage, done, total):
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        refine(start, cameras, lambda shown, i: shown, Settings(), Refinement(), stop)
    assert correlation(np.zeros((9, 9, 3), np.float32), np.ones((9, 9, 3), np.float32)).min() == 1
