"""Captions: what a network says it sees, or only what was measured.

``joycaption`` asks a LLaVA network (JoyCaption Alpha-Two is one) for type, style, era and materials; what it answers is
its guess. ``measured`` recognises nothing: it puts into words the size, the colours, how bright, sharp and grainy the
picture is, and how much of it is marked as damaged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.capability import Captioner, DescriberInfo, Use
from tratto.core.errors import OptionError, UnavailableError
from tratto.models.folders import find_folder
from tratto.providers.catalogue import AUTO, Request
from tratto.providers.catalogue import settle as settle_use
from tratto.providers.folder import missing_folder, settle_folder

Float = NDArray[np.float32]

SYSTEM = "You are a helpful image captioner."
QUESTION = (
    "Describe this picture for a restorer, in at most three sentences. Name the type of heritage it shows (building, "
    "monument, sculpture, painting, photograph, document ...), its architectural or artistic style, the era it is "
    "probably from, and the materials that can be seen. Leave out what cannot be seen, and do not mention damage."
)
#: Named colours, encoded sRGB; a pixel gets the name that lies nearest in CIELAB.
_NAMED = {
    "black": (25, 25, 25), "dark grey": (75, 75, 75), "grey": (128, 128, 128), "pale grey": (190, 190, 190),
    "white": (243, 243, 243), "brown": (110, 75, 45), "beige": (205, 185, 150), "red": (180, 40, 40),
    "orange": (225, 130, 40), "yellow": (225, 200, 60), "olive": (110, 110, 50), "green": (60, 130, 65),
    "turquoise": (60, 160, 160), "pale blue": (150, 190, 225), "blue": (45, 85, 165), "purple": (110, 60, 130),
    "pink": (230, 160, 175),
}  # fmt: skip
#: Mean chroma (CIELAB) below which a picture counts as grey.
GREY = 3.0
#: How far around their mean colour the pixels of a toned picture may lie, CIELAB, root of the mean square.
TONED = 4.0


class MeasuredCaptions:
    """Puts into words what was measured, and nothing else."""

    @property
    def info(self) -> DescriberInfo:
        """Facts about this captioner."""
        return DescriberInfo(
            "measured",
            library=f"numpy {np.__version__}",
            stand_in="a captioning network; it recognises nothing and says only what was measured",
        )

    def caption(self, picture: Float, damaged: float | None = None) -> str:
        """Describe a picture; see :class:`tratto.core.capability.Captioner`."""
        _check(picture)
        height, width = picture.shape[:2]
        small = _small(picture)
        lab = _lab(small).reshape(-1, 3)
        form = "square" if max(height, width) < 1.05 * min(height, width) else "wide" if width > height else "tall"
        parts = [f"A {form} {_kind(lab)} picture of {width}x{height} pixels", _colors(lab), _light(lab)]
        grain = _fineness(picture)
        if grain:
            parts.append(grain)
        text = ", ".join(p for p in parts if p)
        if damaged is not None and damaged > 0:
            text += f"; {_percent(damaged)} of it is marked as damaged"
        return text + "."


class SpokenCaptions:
    """What a LLaVA network says."""

    def __init__(self, folder: str) -> None:
        from tratto.backends.transformers import SpeakingNetwork, library

        found = find_folder(folder, "part")
        self._network = SpeakingNetwork(found)
        #: Facts about this captioner.
        self.info = DescriberInfo(
            "joycaption", precision=self._network.precision, library=library(), models=(found.model,)
        )

    def caption(self, picture: Float, damaged: float | None = None) -> str:
        """Describe a picture; see :class:`tratto.core.capability.Captioner`."""
        _check(picture)
        said = self._network.ask(picture, QUESTION, SYSTEM)
        if not said:
            raise OptionError("the captioning network said nothing; give the caption yourself (--caption TEXT)")
        return said


def captioner_use(text: str) -> Use[Captioner]:
    """Return the use that a text asks for: ``auto``, a name in the catalogue, or ``joycaption:FOLDER``.

    Examples
    --------
    >>> captioner_use("joycaption:somewhere").params
    {'model': 'somewhere'}
    """
    name, colon, folder = text.partition(":")
    return Use("captioner", name, {"model": folder} if colon else {})


def settle_captioner(text: str) -> str:
    """Check such a text; a folder becomes a reference that a recipe may keep.

    Raises
    ------
    OptionError
        If there is none of this name, or the folder is missing.
    UnavailableError
        If something it needs is not here.
    """
    if text == AUTO:
        return text
    use = settle_use(captioner_use(text))
    return ":".join((use.provider, *map(str, use.params.values())))


_REMEDY = "a folder with the network (joycaption:FOLDER; see docs/full-size.md)"


def missing(request: Request) -> UnavailableError | None:
    """Return why a captioner cannot be used here, or None."""
    if request.variant == "measured":
        return None
    return missing_folder(request, "the captioner joycaption", _REMEDY)


def settle(request: Request) -> dict[str, Any]:
    """Check the folder of ``joycaption``; it becomes a reference that a recipe may keep."""
    return settle_folder(request, missing(request), _REMEDY)


def open(request: Request) -> Captioner:
    """Open a captioner."""
    return MeasuredCaptions() if request.variant == "measured" else SpokenCaptions(str(request.params["model"]))


def _check(picture: Float) -> None:
    if not isinstance(picture, np.ndarray):
        raise OptionError(f"a caption needs a float32 (H, W, 3) picture as an array, got {type(picture).__name__}")
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.float32 or min(picture.shape[:2]) < 1:
        raise OptionError(f"a caption needs a float32 (H, W, 3) picture, got {picture.dtype} {picture.shape}")


def _small(picture: Float, side: int = 256) -> Float:
    import cv2

    scale = min(1.0, side / max(picture.shape[:2]))
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA), np.float32)


def _lab(rgb: Float) -> Float:
    from tratto.imaging.color import srgb_to_lab

    return np.asarray(srgb_to_lab(np.clip(rgb, 0, 1)), np.float32)


def _kind(lab: Float) -> str:
    chroma = float(np.hypot(lab[:, 1], lab[:, 2]).mean())
    if chroma < GREY:
        return "grey"
    around = lab[:, 1:] - lab[:, 1:].mean(axis=0)
    spread = float(np.sqrt((around**2).sum(axis=1).mean()))
    return "single-toned" if spread < TONED else "colour"


def _colors(lab: Float) -> str:
    """Name the colours that cover an eighth of the picture or more, the commonest first, four at most."""
    names = list(_NAMED)
    known = _lab(np.asarray(list(_NAMED.values()), np.float32)[None] / np.float32(255))[0]
    nearest = ((lab[:, None] - known[None]) ** 2).sum(axis=2).argmin(axis=1)
    share = np.bincount(nearest, minlength=len(names)) / len(nearest)
    order = [int(k) for k in np.argsort(-share, kind="stable") if share[k] >= 1 / 8][:4]
    return "mostly " + " and ".join(names[k] for k in order) if order else "of many colours"


def _light(lab: Float) -> str:
    low, middle, high = (float(v) for v in np.percentile(lab[:, 0], (5, 50, 95)))
    bright = "dark" if middle < 30 else "bright" if middle > 70 else "of middle brightness"
    contrast = "low" if high - low < 35 else "high" if high - low > 75 else "middling"
    return f"{bright} and of {contrast} contrast"


def _fineness(picture: Float) -> str:
    """Say how blurred and how noisy the picture was measured to be; nothing where that could not be measured."""
    from tratto.core.image import ColorMode, Image
    from tratto.imaging.estimate import inspect_image

    if min(picture.shape[:2]) < 64:
        return ""
    levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    seen = inspect_image(Image(np.ascontiguousarray(levels), ColorMode.RGB))
    blur, noise = seen.blur_sigma, seen.noise_sigma
    words = []
    if blur.value is not None and blur.basis != "not measurable":
        words.append("sharp" if blur.value < 0.7 else "soft" if blur.value < 2 else "blurred")
    if noise.value is not None and noise.basis != "not measurable" and noise.value > 4:
        words.append("grainy" if noise.value < 15 else "very grainy")
    return " and ".join(words)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
