"""A picture in which nothing could be measured is not called clean."""

import numpy as np
import pytest

import tratto
from tratto.core.image import ColorMode
from tratto.tasks.restore import RestoreOptions, plan

rng = np.random.default_rng(0)
ONE_BIT = tratto.Image(rng.integers(0, 2, (64, 64), np.uint8), ColorMode.GRAY, 1)


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (np.full((1, 1, 3), 7, np.uint8), "too small to measure"),
        (rng.integers(0, 256, (1, 5000, 3), np.uint8), "too small to measure"),
        (ONE_BIT, "one-bit samples carry no brightness to measure"),
    ],
)
def test_what_could_not_be_measured_is_said(picture, why):
    found = tratto.inspect(picture)
    recipe = plan(RestoreOptions(), found)
    assert recipe.steps == ()
    (told,) = recipe.reasons
    assert told.startswith("nothing could be measured (")
    assert why in told
    assert told.endswith("): left alone; --force restores it (in Python: force=True)")
    forced = plan(RestoreOptions(force=True), found)
    assert len(forced.steps) == 1
    assert forced.reasons[0].endswith("); restored because it was asked for")
    assert "left alone" in " ".join(plan(RestoreOptions(noise_sigma=0), found).reasons)
