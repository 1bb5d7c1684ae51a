"""Pictures for the estimators: sharp, clean, native, never compressed by construction."""

import numpy as np
import pytest
from skimage import data


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
    """Photographs reduced by an even factor, which wipes out the traces of how they were stored."""
    import cv2

    whole = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    return [cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in whole]


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """Smooth shading, discs and stripes with exactly known edges: (256, 320, 3) float64 in 0-255, no noise at all."""
    y, x = np.mgrid[:256, :320].astype(float)
    base = 70 + 50 * np.sin(x / 90) * np.cos(y / 70) + y / 6
    for cy, cx, r, v in [(70, 80, 40, 90), (180, 230, 55, -45), (60, 240, 25, 60), (200, 70, 30, 50)]:
        base += v * np.clip(r - np.hypot(y - cy, x - cx) + 0.5, 0, 1)
    return np.stack([base, 0.8 * base + 20, 0.6 * base + 50], axis=2)
