"""The error of a picture that was cleaned and then enlarged holds both."""

import numpy as np
import pytest

from tratto.jobs import Session
from tratto.provenance.confidence import sigma_from_confidence
from tratto.tasks.restore import RestoreOptions


@pytest.mark.parametrize("scale", [2, 4])
def test_a_noisy_picture_is_cleaned_first_and_its_error_stays_in_the_account(scale):
    y, x = np.mgrid[0:80, 0:96]
    plane = 128 + 60 * np.sin(x / 9) * np.cos(y / 11)
    noise = np.random.default_rng(0).normal(0, 25, (80, 96, 3))
    noisy = np.clip(np.rint(plane[..., None] + noise), 0, 255).astype(np.uint8)
    session = Session()
    cleaned = session.restore(noisy, RestoreOptions())
    enlarged = session.restore(noisy, RestoreOptions(scale=scale))
    assert [r.step for r in cleaned.records] == ["denoise"]
    assert [r.step for r in enlarged.records] == ["denoise", "upscale"]
    assert [r.provider for r in enlarged.records] == ["tratto", "span"]
    one, all_ = (sigma_from_confidence(r.confidence) for r in (cleaned, enlarged))
    assert (all_ >= np.repeat(np.repeat(one, scale, 0), scale, 1) - 1e-4).all()
    truth = 128 + 60 * np.sin((np.arange(96 * scale) + 0.5) / scale / 9 - 0.5 / 9) * np.cos(
        (np.arange(80 * scale)[:, None] + 0.5) / scale / 11 - 0.5 / 11
    )
    error = np.sqrt(np.square(enlarged.image.pixels.astype(float) - truth[..., None]).mean(2)) / 255
    assert (error <= all_).mean() > 0.6
