"""What every degradation takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError

Picture = NDArray[np.float32]
Kernel = Literal["nearest", "bilinear", "bicubic", "area"]
KERNELS: tuple[Kernel, ...] = ("nearest", "bilinear", "bicubic", "area")


@dataclass(frozen=True)
class Applied:
    """One degradation that was applied.

    Attributes
    ----------
    name : str
        ``"gaussian"``, ``"poisson"``, ``"camera"``, ``"jpeg"``, ``"blur"``, ``"downsample"``, ``"quantize"``.
    parameters : mapping of str to float or str
        The drawn values, in the units of the function of that name.

    Examples
    --------
    >>> Applied("jpeg", {"quality": 80}).parameters["quality"]
    80
    """

    name: str
    parameters: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Degraded:
    """A degraded picture and what was done to it, in order.

    Examples
    --------
    >>> Degraded(np.zeros((4, 4, 3), np.float32)).applied
    ()
    """

    picture: Picture
    applied: tuple[Applied, ...] = ()


def check_picture(picture: Picture) -> None:
    """Raise :class:`OptionError` if it is no float32 (H, W, 3)."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.float32:
        raise OptionError(f"a picture here is float32 (H, W, 3); got {picture.dtype} {picture.shape}")
