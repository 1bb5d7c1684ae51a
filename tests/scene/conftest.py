import numpy as np
import pytest

from tratto.core.artifact import Scene


def cloud(count=60, degree=0, seed=0, spread=0.4):
    """A scene of random Gaussians about the origin."""
    rng = np.random.default_rng(seed)
    terms = (degree + 1) ** 2
    return Scene(
        rng.normal(0, spread, (count, 3)).astype(np.float32),
        rng.normal(size=(count, 4)).astype(np.float32),
        rng.uniform(-3.5, -1.5, (count, 3)).astype(np.float32),
        rng.normal(0.5, 2, count).astype(np.float32),
        rng.normal(0, 0.6, (count, terms, 3)).astype(np.float32),
        (rng.random(count) < 0.7).astype(np.uint8),
    )


@pytest.fixture
def make_cloud():
    return cloud
