"""Photographs that trainings in tests are made with."""

import numpy as np
import pytest
from PIL import Image

from tratto_lab.corpus.pack import HELD_OUT


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Two to train on, of soft colours, and one that is held out."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in ("a", "b", HELD_OUT[0]):
        coarse = rng.integers(0, 256, (40, 40, 3), np.uint8)
        big = Image.fromarray(coarse).resize((540, 540), Image.Resampling.BICUBIC)
        big.save(folder / f"{name}.{'webp' if name in HELD_OUT else 'png'}", lossless=True)
    return folder


@pytest.fixture(scope="session")
def pack(photos, tmp_path_factory):
    """The pack of these photographs; nothing is written into it."""
    from tratto_lab.corpus.pack import build_pack

    folder = tmp_path_factory.mktemp("pack")
    build_pack(photos, folder, text_pages=1)
    return folder
