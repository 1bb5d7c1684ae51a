"""What a job returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Artifact, InputPicture, PictureArtifact, main_role
from tratto.core.canvas import Canvas
from tratto.core.errors import OptionError
from tratto.core.image import Image, Kernel, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.step import StepRecord

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

#: 16-bit edit map: Delta-E (CIEDE2000) = value / EDIT_MAP_SCALE
EDIT_MAP_SCALE = 512.0
#: 16-bit confidence map: one-sigma error (full scale = 1) = CONFIDENCE_FULL * (1 - value / 65535)
CONFIDENCE_FULL = 0.25


@dataclass(frozen=True, eq=False)
class MaskPart:
    """One of the masks that a job's mask was made of.

    Attributes
    ----------
    mask : Mask
        In stored order of the source.
    kind : str
        Class of damage that it marks, as given. Empty: it is the whole mask of its pass, as the step used it.
    number : int
        Pass, from 1.
    """

    mask: Mask
    kind: str = ""
    number: int = 1


@dataclass(frozen=True, eq=False)
class MaskParts:
    """What is known of a job's mask besides its values.

    Attributes
    ----------
    parts : tuple of MaskPart
        A mask per class where there were classes, and where there were several passes a mask for each.
    found_by : mapping or None
        Who proposed it: ``provider``, ``library``, ``models``, ``threshold``; None: a person gave it.
    """

    parts: tuple[MaskPart, ...] = ()
    found_by: Mapping[str, Any] | None = None

    def of_passes(self) -> dict[str, Mask]:
        """Return the masks of the passes by the names that steps know them by: ``pass-1``, ``pass-2`` ..."""
        return {pass_name(p.number): p.mask for p in self.parts if not p.kind}


def pass_name(number: int) -> str:
    """Return the name of the mask of a pass, from 1."""
    return f"pass-{number}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run of the engine leaves.

    Attributes
    ----------
    canvas : Canvas
        The working state after the last step, with the result's samples.
    resolved : Recipe
        The recipe with everything fixed that pixels or machine had to tell; what a replay runs.
    records : tuple of StepRecord
        What each step did, in order.
    baseline : Image or None
        The source (palette expanded), enlarged by the stated kernel to the size of the result: what the edit map
        compares with; None where the result has another geometry.
    kernel : str
        That kernel.
    """

    canvas: Canvas
    resolved: Recipe
    records: tuple[StepRecord, ...]
    baseline: Image | None
    kernel: Kernel = "bicubic"


@dataclass(frozen=True, eq=False)
class Result:
    """What a job made, and the account of how it came about.

    Attributes
    ----------
    outputs : mapping of str to Artifact
        By role: ``"picture"``, ``"scene"``, ``"sheet"``. The first of these that is there is the result.
    inputs : mapping of str to InputPicture
        What went in, by role; ``"picture"`` is the one that was worked on.
    inspection : Inspection
        What was measured of the source; the plan follows from it.
    asked, resolved : Recipe
        The recipe before and after :meth:`Step.resolve`.
    records : tuple of StepRecord
        What each executed step did, in order.
    edit_map : (H, W) uint16 or None
        Delta-E (CIEDE2000) between result and (resampled) source, times 512, in stored order of ``image``; None where
        the result is no picture, or has another geometry than the source.
    confidence : (H, W) uint16 or None
        65535 = sure, 0 = expected error of a quarter of full scale or more; None where the result is no picture.
    receipt : dict
        Canonical receipt, JSON-able.
    warnings : tuple of str
        Stand-ins in use, non-commercial weights and the like.
    mask : Mask or None
        Where the picture was allowed to change, in stored order of ``source``; kept so that the job can be replayed.
    masks : MaskParts
        What that mask was made of.
    parents : mapping of str to bytes
        Receipts of the results that the inputs were made from, by their SHA-256.
    """

    outputs: Mapping[str, Artifact]
    inputs: Mapping[str, InputPicture]
    inspection: Inspection
    asked: Recipe
    resolved: Recipe
    records: tuple[StepRecord, ...]
    edit_map: NDArray[np.uint16] | None = None
    confidence: NDArray[np.uint16] | None = None
    receipt: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    mask: Mask | None = None
    masks: MaskParts = field(default_factory=MaskParts)
    parents: Mapping[str, bytes] = field(default_factory=dict)

    def __repr__(self) -> str:
        done = ", ".join(f"{r.step} by {r.provider}" if r.provider else r.step for r in self.records)
        picture = self.image
        what = self.main.role if picture is None else f"{picture.width}x{picture.height} picture"
        return f"<Result: {what}; {done or 'left alone'}; receipt, outputs, warnings: see its attributes>"

    @property
    def main(self) -> Artifact:
        """The result itself, among what came along with it."""
        return self.outputs[main_role(self.outputs)]

    @property
    def source(self) -> Image:
        """The picture that was worked on, as decoded."""
        return self.inputs["picture"].image

    @property
    def image(self) -> Image | None:
        """The result in its native encoding; None where it is no picture."""
        made = self.outputs.get("picture")
        return made.image if isinstance(made, PictureArtifact) else None

    @property
    def picture(self) -> Image:
        """The result in its native encoding.

        Raises
        ------
        OptionError
            If it is no picture.
        """
        if self.image is None:
            raise OptionError(
                f"this result is a {self.main.role}, not a picture; it stands in outputs[{self.main.role!r}], and save "
                f"writes it as .{self.main.format}"
            )
        return self.image

    def to_pil(self, upright: bool = False) -> PillowImage:
        """Return the result as a Pillow picture; see :meth:`tratto.Image.to_pil`.

        Raises
        ------
        OptionError
            If it is no picture.
        """
        return self.picture.to_pil(upright)

    def to_numpy(self) -> NDArray[np.generic]:
        """Return the result's samples as an array, (H, W), (H, W, C), alpha as last channel where there is one.

        Raises
        ------
        OptionError
            If it is no picture.
        """
        image = self.picture
        px = np.asarray(image.pixels)
        if image.alpha is None:
            return px
        px = px[..., None] if px.ndim == 2 else px
        return np.concatenate([px, image.alpha[..., None]], axis=2)
