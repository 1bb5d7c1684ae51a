"""What a picture is like: facts from the file and estimates from the samples, each saying which it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Basis = Literal["exact", "estimated", "not measurable"]


@dataclass(frozen=True)
class Estimate:
    """One number with its standing.

    Attributes
    ----------
    value : float or None
        None exactly when ``basis`` is ``"not measurable"``.
    basis : str
        ``"exact"`` (the file says so), ``"estimated"`` (from the samples) or ``"not measurable"``.
    note : str
        How it was obtained, or why it could not be.
    """

    value: float | None
    basis: Basis
    note: str = ""


@dataclass(frozen=True)
class Inspection:
    """Degradation estimates and facts of one picture.

    Attributes
    ----------
    noise_sigma : Estimate
        Standard deviation of the noise pooled over the colour channels, in 1/255 of full scale.
    noise_channels : tuple of float
        The same per channel (R, G, B; or one for gray; C, M, Y, K).
    noise_curve : tuple of (float, float)
        (brightness in [0, 1], sigma in 1/255) pairs over the brightness bins that had enough flat area.
    jpeg_quality : Estimate
        1-100 on the IJG scale; ``not measurable`` with a note when no trace of JPEG was found.
    jpeg_generations : int
        How many JPEG grids were found: 0, 1, or 2 (a re-compressed picture).
    jpeg_grid : (int, int) or None
        Row and column, each 0-7, where the first whole block of the last compression begins; None without JPEG.
    blur_sigma : Estimate
        Standard deviation, in pixels, of the Gaussian that would blur an ideal edge as much.
    upscale : Estimate
        Factor by which the picture appears to have been enlarged; 1 = native.
    clipped_low, clipped_high : float
        Fraction of samples at 0 and at full scale.
    """

    width: int
    height: int
    mode: str
    bits: int
    format: str
    noise_sigma: Estimate
    noise_channels: tuple[float, ...]
    noise_curve: tuple[tuple[float, float], ...]
    jpeg_quality: Estimate
    jpeg_generations: int
    blur_sigma: Estimate
    upscale: Estimate
    clipped_low: float
    clipped_high: float
    jpeg_grid: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        d: dict[str, Any] = asdict(self)
        d["noise_channels"] = list(self.noise_channels)
        d["jpeg_grid"] = None if self.jpeg_grid is None else list(self.jpeg_grid)
        d["noise_curve"] = [list(p) for p in self.noise_curve]
        return d
