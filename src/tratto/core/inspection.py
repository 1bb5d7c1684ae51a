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
class Trait:
    """One answer of a network: a value and one standard error, in the same unit."""

    value: float
    error: float


@dataclass(frozen=True)
class Opinion:
    """What a network reads of a picture, beside the classical estimates.

    Attributes
    ----------
    noise : Trait
        Standard deviation of the noise before any compression, in 1/255 of full scale.
    grain : Trait or None
        Pixels over which that noise is spread, as the deviation of a Gaussian, 0 for white noise; None where there is
        hardly any noise.
    blur : Trait
        Standard deviation, in pixels, of the blur.
    model : str
        Id of the network and the beginning of its SHA-256.
    """

    noise: Trait
    grain: Trait | None
    blur: Trait
    model: str


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
    opinion : Opinion or None
        Of a network; None where none was asked or it cannot judge.
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
    opinion: Opinion | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary; without ``opinion`` where there is none."""
        d: dict[str, Any] = asdict(self)
        if self.opinion is None:
            del d["opinion"]
        d["noise_channels"] = list(self.noise_channels)
        d["jpeg_grid"] = None if self.jpeg_grid is None else list(self.jpeg_grid)
        d["noise_curve"] = [list(p) for p in self.noise_curve]
        return d
