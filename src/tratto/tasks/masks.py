"""The mask of a repair: one, one per class of damage, several passes, or found by a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tratto.core.capability import DamageDetector, Use
from tratto.core.errors import InputError, NothingToDo, OptionError
from tratto.core.image import Image, Mask
from tratto.core.result import MaskPart, MaskParts
from tratto.core.services import Services
from tratto.imaging.opening import as_shown, in_16_bits, open_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tratto.imaging.io import Limits
    from tratto.imaging.rim import Rims

#: Name of the union that ``tratto mask find`` writes beside the masks of the classes.
UNION = "all"
#: What ``mask`` may be to have the damage found.
AUTO = "auto"
#: How many masks, over all passes, a job may be made of.
MOST = 64
#: Extensions of pictures with which the mask of a class would be passed over.
OTHER_EXTENSIONS = (".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
#: What nothing to repair means, whoever looked: the one sentence for it.
NOTHING = "no damage is marked, so nothing is repaired and nothing is written"
FOUND = (
    "the mask was proposed by a network that learned from simulated damage, and nobody is known to have looked at it; "
    "what it took for damage may be part of the picture, and it will have missed some"
)


def class_masks(folder: Path) -> dict[str, Path]:
    """Return the masks of a folder by class: its PNG files, without their union where there is more.

    Hidden files, such as those that other systems leave beside copies, are none.

    Raises
    ------
    InputError
        If there is none, two have one name, or the mask of a known class is no PNG file and would be passed over.
    """
    from tratto.imaging.masks import CLASSES

    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()):
        if path.suffix.lower() == ".png":
            if path.stem in found:
                raise InputError(f"{folder} holds {found[path.stem].name} and {path.name}; a class has one mask")
            found[path.stem] = path
        elif path.stem.lower() in CLASSES and path.suffix.lower() in OTHER_EXTENSIONS:
            raise InputError(f"{path}: the mask of a class is a PNG file; save it as {path.stem.lower()}.png")
    if len(found) > 1:
        found.pop(UNION, None)
    if not found:
        raise InputError(f"{folder} holds no .png masks; a folder of masks has one for each class, such as crack.png")
    return found


def holds_classes(folder: Path) -> bool:
    """Return whether a folder's masks are those of classes: one has a class's name, or is the union beside them."""
    from tratto.imaging.masks import CLASSES

    return any((folder / f"{name}.png").is_file() for name in (*CLASSES, UNION))


def open_masks(
    mask: Any,
    image: Image,
    adjust: tuple[float, float] = (0.0, 0.0),
    limits: Limits | None = None,
    rims: Rims | None = None,
) -> tuple[Mask, MaskParts]:
    """Open what a mask is made of and put it together.

    Parameters
    ----------
    mask : path, array, Mask, PIL picture, or a mapping or sequence of these
        A mapping (or a folder) has a mask for each class. A sequence has a mask, or masks by class, for each pass.
    image : Image
        The picture that may change; its size and orientation count.
    adjust : (float, float)
        Pixels to grow each pass by, and width of its feather.
    limits : Limits or None
        Sizes above which a file is refused; None: the defaults.
    rims : Rims or None
        What each pass is grown by first.

    Returns
    -------
    Mask
        Everything that may change.
    MaskParts
        Empty for a single mask without classes.

    Raises
    ------
    OptionError
        If a mask does not fit the picture, or there are none or too many.
    """
    from tratto.imaging.rim import grown_by_rims
    from tratto.imaging.wall_mask import adjust_mask

    passes = list(mask) if isinstance(mask, Sequence) and not isinstance(mask, str | bytes) else [mask]
    if not passes:
        raise OptionError("repair needs a mask; the list of passes is empty")
    parts: list[MaskPart] = []
    whole: NDArray[np.float32] | None = None
    for number, one in enumerate(passes, 1):
        given = _by_class(one)
        opened = {kind: _open_named(kind, m, image, limits) for kind, m in given.items()}
        union = np.maximum.reduce([m.values for m in opened.values()])
        if rims is not None:
            union = np.maximum(union, grown_by_rims(union > 0.5, rims))
        own = in_16_bits(adjust_mask(union, *adjust))
        if len(passes) > 1:
            parts.append(MaskPart(own, "", number))
        parts += [MaskPart(m, kind, number) for kind, m in opened.items() if kind]
        whole = own.values if whole is None else np.maximum(whole, own.values)
    if len(parts) > MOST or whole is None:
        raise OptionError(f"a job takes up to {MOST} masks over all passes, got {len(parts)}")
    return Mask(whole), MaskParts(tuple(parts))


def _open_named(kind: str, mask: Any, image: Image, limits: Limits | None) -> Mask:
    """Open a mask; where there are several, an error says which one it is of."""
    try:
        return open_mask(mask, image, limits)
    except OptionError as e:
        where = str(mask) if isinstance(mask, str | os.PathLike) else kind
        raise OptionError(f"{where}: {e}" if where else str(e)) from e


def _by_class(mask: Any) -> dict[str, Any]:
    """Return the masks of one pass by class; the empty name stands for a mask without one."""
    if isinstance(mask, str | os.PathLike) and Path(mask).is_dir():
        mask = class_masks(Path(mask))
    if not isinstance(mask, Mapping):
        return {"": mask}
    if not mask:
        raise OptionError("the masks by class are empty; give one mask at least")
    for name in mask:
        if not isinstance(name, str) or not 0 < len(name.strip()) <= 60 or not name.isprintable():
            raise OptionError(f"a class of damage is named with 1 to 60 characters, got {name!r}")
    return dict(mask)


def find_masks(image: Image, threshold: float, services: Services) -> tuple[dict[str, Mask], dict[str, Any]]:
    """Have the network that ships look for damage.

    Parameters
    ----------
    image : Image
        As it was opened; it is looked at as it is shown.
    threshold : float
        Minimum probability that counts, in (0, 1).
    services : Services
        Lends the detector.

    Returns
    -------
    dict of str to Mask
        Of the classes that were found; hard.
    dict
        Who found them, as :class:`~tratto.core.result.MaskParts` keeps it.

    Raises
    ------
    OptionError
        If nothing was found.
    UnavailableError
        If the network is not here.
    """
    from tratto.imaging import io
    from tratto.providers.damage import detector_facts, masks_of

    turn = image.meta.orientation
    detector: DamageDetector = services.open(Use("damage"))
    shown = as_shown(image)
    services.progress("find", 0, 1)
    found = masks_of(detector.find(shown), threshold)
    services.progress("find", 1, 1)
    masks = {
        kind: Mask(np.ascontiguousarray(io.unoriented(values.astype(np.float32), turn)))
        for kind, values in found.items()
        if values.any()
    }
    if not masks:
        raise NothingToDo(
            f"{NOTHING} (nothing is found at a threshold of {threshold:g}); lower it (--threshold), or say what you "
            "see (tratto mask find --kind), or draw a mask (tratto mask draw), and give that with --mask"
        )
    sizes = [list(size) for size in detector.sizes(*shown.shape[:2])]
    return masks, {**detector_facts(detector.info), "threshold": threshold, "sizes": sizes}


def found_rims(image: Image, masks: Mapping[str, Mask]) -> Rims:
    """Measure how far damage that was found reaches beyond its masks; see :func:`tratto.imaging.rim.measure_rims`.

    Parameters
    ----------
    image : Image
        As it was opened.
    masks : mapping of str to Mask
        By class, hard.
    """
    from tratto.imaging.color import view_rgb
    from tratto.imaging.rim import measure_rims

    return measure_rims(view_rgb(image), np.logical_or.reduce([m.values > 0.5 for m in masks.values()]))


def rims_note(rims: Rims) -> str:
    """Say by how much masks were grown."""
    return (
        f"the mask was grown by what the rim of the damage needs, measured across it: {rims.mean:.3g} pixels on "
        f"average, up to {rims.widest:.3g}"
    )
