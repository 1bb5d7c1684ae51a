"""What a picture is like: facts from the file and estimates from the samples, each saying which it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: Noise (1/255) in the octave of two pixels above which it must be even at single pixels or fall.
STRONG = 3.5
#: What the octave of four pixels has at most of that of two where noise falls clearly; white noise has half.
FALLING = 0.7

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
class OctaveNoise:
    """Noise and grain by octave: what is spread over 1, 2, 4 and 8 pixels, in 1/255 of full scale.

    The squares of the octaves add up to about the variance. White noise halves from one to the next; noise of a camera
    falls slowly, and grain is strongest at its own size.

    Attributes
    ----------
    luma : tuple of float
        One sigma per octave; 0 where the picture is too small for it.
    channels : tuple of tuple of float
        The same per channel (R, G, B; or one for gray).
    even : tuple of bool
        Per octave of luma: the calm blocks agree, as those of noise do; where they do not it is texture.
    curve : tuple of (float, float)
        (brightness in [0, 1], sigma of the octaves of 1 and 2 pixels) where a brightness has calm blocks that agree.
    screen : float or None
        Period in pixels of a print screen; None: none was found.
    tint : tuple of float
        Of a picture of one tint (sepia): constant, factor and factor of the square by which each of R, G, B follows
        from luma, all in [0, 1]; empty for others.
    specks : float
        Share of pixels that stand out from even surroundings by themselves: dust, hot pixels.
    """

    luma: tuple[float, ...]
    channels: tuple[tuple[float, ...], ...]
    even: tuple[bool, ...]
    curve: tuple[tuple[float, float], ...] = ()
    screen: float | None = None
    tint: tuple[float, ...] = ()
    specks: float = 0.0

    @property
    def sigma(self) -> float:
        """Noise of the octaves that are even, pooled over the channels; 0 unless two that follow each other are.

        Strong noise is even at single pixels, too, or falls quickly towards coarser ones: what does neither, such as
        grass and gravel from near, is texture.
        """
        if not any(a and b for a, b in zip(self.even[:3], self.even[1:3], strict=False)):
            return 0.0
        if self.luma[1] > STRONG and not self.even[0] and not self.falls:
            return 0.0
        known = [k for k in range(min(3, len(self.even))) if self.even[k]]
        total = sum(c[k] ** 2 for c in self.channels for k in known)
        return math.sqrt(total / len(self.channels))

    @property
    def falls(self) -> bool:
        """Whether there is clearly less at 4 pixels than at 2, as of noise and fine grain and hardly of any texture."""
        return self.luma[2] < FALLING * self.luma[1]

    @property
    def size(self) -> float:
        """Pixels over which the noise is spread: 1 for white noise, and where no noise is seen."""
        known = [k for k in range(min(3, len(self.even))) if k < 2 or self.even[k]] if self.sigma else []
        weight = sum(self.luma[k] ** 2 for k in known)
        # White noise has 1, 1/4 and 1/16 there: it must come out as 1.
        mean = sum(self.luma[k] ** 2 * k for k in known) / weight if weight else 0.0
        white = sum(k / 4**k for k in known) / sum(1 / 4**k for k in known) if known else 0.0
        return float(2.0 ** max(0.0, mean - white))

    @property
    def one_colour(self) -> float:
        """Luma over the rms of the channels, even octaves: 1 for grain of one colour, 0.67 for independent channels."""
        known = [k for k in range(min(3, len(self.even))) if self.even[k]]
        channels = sum(c[k] ** 2 for c in self.channels for k in known) / len(self.channels)
        return math.sqrt(sum(self.luma[k] ** 2 for k in known) / channels) if channels else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary, with what follows from the octaves beside them."""
        made = {**_plain(self), "sigma": round(self.sigma, 3), "size": round(self.size, 2)}
        if not self.tint:
            del made["tint"]
        return made


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
        1-100 on the IJG scale; ``not measurable`` with a note when no JPEG artefacts were found.
    jpeg_generations : int
        How many JPEG grids were found: 0, 1, or 2 (a re-compressed picture).
    jpeg_grid : (int, int) or None
        Row and column, each 0-7, where the first whole block of the last compression begins; None without JPEG.
    blur_sigma : Estimate
        Standard deviation, in pixels, of the Gaussian that would blur an ideal edge as much.
    upscale : Estimate
        Factor by which the picture appears to have been enlarged; 1 = native.
    clipped_low, clipped_high : float
        Fraction of samples at black and at white, 0 and full scale; of CMYK, of pixels; of one-bit pictures 0.
    opinion : Opinion or None
        Of a network; None where none was asked or it cannot judge.
    octaves : OctaveNoise or None
        Noise and grain by octave, and a print screen; None where they could not be measured.
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
    octaves: OctaveNoise | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary; without ``opinion`` and ``octaves`` where there are none."""
        made = _plain(self)
        if self.octaves is not None:
            made["octaves"] = self.octaves.to_json()
        return {k: v for k, v in made.items() if v is not None or k not in ("opinion", "octaves")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Inspection:
        """Rebuild it from :meth:`to_json`.

        Raises
        ------
        ValueError
            If it is malformed.
        """
        made: Inspection = _adapters()["Inspection"].validate_python(data)
        return made


@lru_cache(maxsize=1)
def _adapters() -> dict[str, TypeAdapter[Any]]:
    from pydantic import TypeAdapter  # the list of commands, which loads this, does without

    return {kind.__name__: TypeAdapter(kind) for kind in (Inspection, OctaveNoise)}


def _plain(value: Inspection | OctaveNoise) -> dict[str, Any]:
    """Return it as JSON has it: tables and lists."""
    made: dict[str, Any] = _adapters()[type(value).__name__].dump_python(value, mode="json")
    return made
