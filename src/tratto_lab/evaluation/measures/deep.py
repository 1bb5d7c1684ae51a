"""LPIPS and DISTS: how far apart two pictures look, by the features of networks that classify photographs.

* LPIPS: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric"; AlexNet with the
  authors' heads, version 0.1. Unlike :mod:`tratto_lab.evaluation.features` these are the true figures. With VGG-16,
  which trains better than it measures, it is a loss.
* DISTS: Ding et al. 2020, "Image Quality Assessment: Unifying Structure and Texture Similarity"; VGG-16.

Both are 0 for equal pictures and grow with the distance. Pictures are compared at the size they have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import MissingExtra, OptionError, WeightMismatch
from tratto_lab.evaluation.measures.files import open_file
from tratto_lab.evaluation.measures.pickles import read_arrays

if TYPE_CHECKING:
    from torch import Tensor

#: Smaller pictures leave nothing at the coarsest level.
MIN_SIDE = 32
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: AlexNet's convolutions: stride, padding, and whether a maximum over 3x3 comes before them.
_ALEX = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))
#: VGG-16's convolutions in each of five stages, and what DISTS compares: the picture itself and each stage.
_VGG = (2, 2, 3, 3, 3)
_WIDTHS = (3, 64, 128, 256, 512, 512)
_TINY = 1e-6


def _torch() -> Any:
    try:
        import torch
    except ImportError as e:
        raise MissingExtra("LPIPS and DISTS", "bench") from e
    return torch


def _convolutions(data: Any, body: str, count: int) -> list[tuple[Any, Any]]:
    """Return weights and shifts of a network in the package's layout (rows, columns, in, out), as torch wants them."""
    torch = _torch()
    try:
        layers = [data[body][f"Conv_{k}"] for k in range(count)]
        return [
            (
                torch.from_numpy(np.ascontiguousarray(layer["kernel"].transpose(3, 2, 0, 1), np.float32)),
                torch.from_numpy(np.ascontiguousarray(layer["bias"], np.float32)),
            )
            for layer in layers
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as e:
        raise WeightMismatch(f"the weights of {body} are not laid out as expected: {e!r}") from e


def _check(name: str, a: NDArray[np.float32], b: NDArray[np.float32]) -> None:
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or min(a.shape[:2]) < MIN_SIDE:
        raise OptionError(
            f"{name} takes two (H, W, 3) pictures of one size, sides at least {MIN_SIDE}; got {a.shape} and {b.shape}"
        )


class Lpips:
    """LPIPS, version 0.1.

    Parameters
    ----------
    body : str
        ``"alexnet"``, by which pictures are compared, or ``"vgg16"``.

    Raises
    ------
    MissingExtra
        If torch is not installed.
    MissingWeights, WeightMismatch
        If the file is not there (``tratto-lab data measures`` brings it), or is another.

    Examples
    --------
    >>> picture = np.random.default_rng(0).random((64, 64, 3), np.float32)
    >>> Lpips()(picture, picture)  # doctest: +SKIP
    0.0
    """

    def __init__(self, body: Literal["alexnet", "vgg16"] = "alexnet") -> None:
        torch = _torch()
        data = read_arrays(open_file(f"{body}.ckpt").read_bytes())
        self._levels = self._of_alexnet if body == "alexnet" else self._of_vgg
        if body == "alexnet":
            self._layers = _convolutions(data, "AlexNet_0", len(_ALEX))
            widths = [weight.shape[0] for weight, _ in self._layers]
        else:
            self._layers = _convolutions(data, "VGG16_0", sum(_VGG))
            widths = list(_WIDTHS[1:])
        self._heads = []
        for k, width in enumerate(widths):
            head = np.asarray(data[f"NetLinLayer_{k}"]["Conv_0"]["kernel"], np.float32).reshape(1, -1, 1, 1)
            if head.shape[1] != width:
                raise WeightMismatch(f"head {k} of LPIPS weighs {head.shape[1]} channels, not {width}")
            self._heads.append(torch.from_numpy(head.copy()))

    def __call__(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        """Return the distance.

        Parameters
        ----------
        a, b : ndarray
            float32 (H, W, 3) sRGB in [0, 1], sides of at least :data:`MIN_SIDE`.

        Raises
        ------
        OptionError
            If the pictures differ in shape or are too small.
        """
        _check("LPIPS", a, b)
        torch = _torch()
        pictures = (np.ascontiguousarray(np.clip(p, 0, 1).transpose(2, 0, 1), np.float32) for p in (a, b))
        with torch.inference_mode():
            return float(self.between(*(torch.from_numpy(p)[None] for p in pictures))[0])

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distances of two batches, through which gradients flow.

        Parameters
        ----------
        a, b : Tensor
            (B, 3, H, W) sRGB in [0, 1]; beyond it nothing is clipped.

        Returns
        -------
        Tensor
            (B,).
        """
        torch = _torch()
        total = torch.zeros(len(a), device=a.device)
        for x, y, head in zip(self._unit(a), self._unit(b), self._heads, strict=True):
            total = total + (((x - y) ** 2) * head).sum(1).mean((1, 2))
        return total

    def to(self, device: Any) -> Lpips:
        """Move its weights, and return it."""
        self._layers = [(weight.to(device), bias.to(device)) for weight, bias in self._layers]
        self._heads = [head.to(device) for head in self._heads]
        return self

    def _unit(self, pictures: Tensor) -> list[Tensor]:
        """Return the unit features of each level."""
        torch = _torch()
        shift, scale = (torch.tensor(v, device=pictures.device).view(1, 3, 1, 1) for v in (_SHIFT, _SCALE))
        # in a gradient the root of nothing would have no slope
        return [
            x / ((x.square().sum(1, keepdim=True) + 1e-20).sqrt() + 1e-10)
            for x in self._levels((pictures * 2 - 1 - shift) / scale)
        ]

    def _of_alexnet(self, x: Tensor) -> list[Tensor]:
        import torch.nn.functional as F  # noqa: N812 - the usual name of this module

        out = []
        for (weight, bias), (stride, padding, pooled) in zip(self._layers, _ALEX, strict=True):
            x = F.max_pool2d(x, 3, 2) if pooled else x
            x = F.relu(F.conv2d(x, weight, bias, stride=stride, padding=padding))
            out.append(x)
        return out

    def _of_vgg(self, x: Tensor) -> list[Tensor]:
        import torch.nn.functional as F  # noqa: N812 - the usual name of this module

        out = []
        layers = iter(self._layers)
        for stage, count in enumerate(_VGG):
            x = F.max_pool2d(x, 2) if stage else x
            for _ in range(count):
                weight, bias = next(layers)
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            out.append(x)
        return out


class Dists:
    """DISTS.

    Raises
    ------
    MissingExtra
        If torch is not installed.
    MissingWeights, WeightMismatch
        If a file is not there (``tratto-lab data measures`` brings it), or is another.

    Examples
    --------
    >>> picture = np.random.default_rng(0).random((64, 64, 3), np.float32)
    >>> Dists()(picture, picture) < 1e-4  # doctest: +SKIP
    True
    """

    def __init__(self) -> None:
        torch = _torch()
        data = read_arrays(open_file("vgg16.ckpt").read_bytes())
        self._layers = _convolutions(data, "VGG16_0", sum(_VGG))
        weights = torch.load(open_file("dists.pt"), map_location="cpu", weights_only=True)
        alpha, beta = weights["alpha"].float(), weights["beta"].float()
        if alpha.shape != (1, sum(_WIDTHS), 1, 1) or beta.shape != alpha.shape:
            raise WeightMismatch(f"the weights of DISTS have another shape than expected: {tuple(alpha.shape)}")
        total = alpha.sum() + beta.sum()
        self._alpha, self._beta = (torch.split(w / total, _WIDTHS, 1) for w in (alpha, beta))
        ramp = torch.tensor([0.5, 1.0, 0.5])
        self._window = (ramp[:, None] * ramp[None, :] / 4)[None, None]

    def __call__(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        """Return the distance; parameters and errors as for :class:`Lpips`."""
        _check("DISTS", a, b)
        torch = _torch()
        alike = 0.0
        with torch.inference_mode():
            for x, y, alpha, beta in zip(self._stages(a), self._stages(b), self._alpha, self._beta, strict=True):
                mx, my = (t.mean((2, 3), keepdim=True) for t in (x, y))
                vx, vy = (((t - m) ** 2).mean((2, 3), keepdim=True) for t, m in ((x, mx), (y, my)))
                both = (x * y).mean((2, 3), keepdim=True) - mx * my
                texture = (2 * mx * my + _TINY) / (mx**2 + my**2 + _TINY)
                structure = (2 * both + _TINY) / (vx + vy + _TINY)
                alike += float((alpha * texture + beta * structure).sum())
        return max(0.0, 1 - alike)  # rounding may go below what equal pictures have

    def _stages(self, picture: NDArray[np.float32]) -> list[Any]:
        """Return the picture, and the features at the end of each stage."""
        import torch.nn.functional as F  # noqa: N812 - the usual name of this module

        torch = _torch()
        plain = np.clip(picture, 0, 1).astype(np.float32)
        out = [torch.from_numpy(np.ascontiguousarray(plain.transpose(2, 0, 1)))[None]]
        x = (out[0] - torch.tensor(_MEAN).view(1, 3, 1, 1)) / torch.tensor(_DEVIATION).view(1, 3, 1, 1)
        layers = iter(self._layers)
        for stage, count in enumerate(_VGG):
            if stage:
                window = self._window.expand(x.shape[1], 1, 3, 3)
                x = (F.conv2d(x * x, window, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
            for _ in range(count):
                weight, bias = next(layers)
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            out.append(x)
        return out
