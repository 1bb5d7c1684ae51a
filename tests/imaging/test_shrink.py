import numpy as np
import pytest

from tratto.core.errors import OptionError
from tratto.imaging.resample import enlarge_rows, shrink


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_the_shrinking_that_published_figures_use(scale):
    from tratto_lab.simulate.degrade import downsample

    picture = np.random.default_rng(0).random((12 * scale, 15 * scale, 3), dtype=np.float32)
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(shrink(picture, scale)[inner], downsample(picture, scale)[inner], atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_ramp_stays_a_ramp(scale):
    ramp = np.linspace(0, 1, 16, dtype=np.float32)[None, :, None] * np.ones((16, 1, 1), np.float32)
    back = shrink(enlarge_rows(ramp, 0, 16 * scale, scale, "bicubic"), scale)
    np.testing.assert_allclose(back[3:-3, 3:-3], ramp[3:-3, 3:-3], atol=1e-5)


def test_other_sides_are_refused():
    for shape in ((5, 4, 1), (4, 4)):
        with pytest.raises(OptionError, match="sides"):
            shrink(np.zeros(shape, np.float32), 2)
