"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.hashing import FileFacts
from tratto.core.image import Image


@dataclass(frozen=True, eq=False)
class ReportInputs:
    """What a report is made from.

    Attributes
    ----------
    receipt : mapping
        Final, valid.
    receipt_sha256 : str
        In hex; printed, so that it can be kept elsewhere.
    source : Image
        The picture that was worked on, as it was opened.
    result : Image or None
        None if it is no picture.
    edit_map, confidence : (H, W) uint16 arrays or None
        In the geometry of ``result``; None where there is none.
    output_name : str
        File name of the picture.
    original_name : str
        File name of the input; empty to leave it out.
    original_file : str or None
        Name of the original inside the bundle.
    signed : FileFacts or None
        Of the picture file once it is signed; None: it is not.
    mask : (h, w) array or None
        Where the source was allowed to change: above 0.
    parts : tuple of (h, w) arrays
        The masks per class and pass that it is made of, in the order of ``mask.parts`` in the receipt.
    inputs : mapping of str to Image
        What else the job was given, by role.
    sheet : Image or None
        Contact sheet that came along.
    files : tuple of str
        Names of the files in the bundle's folders, such as ``inputs/texture.png``.

    Examples
    --------
    >>> import numpy as np
    >>> import tratto
    >>> result = tratto.restore(np.full((16, 16, 3), 90, np.uint8))
    >>> inputs = ReportInputs(result.receipt, "9f2c", result.image, None, None, None, "wall.ply")
    >>> inputs.signed is None
    True
    """

    receipt: Mapping[str, Any]
    receipt_sha256: str
    source: Image
    result: Image | None
    edit_map: NDArray[np.uint16] | None
    confidence: NDArray[np.uint16] | None
    output_name: str
    original_name: str = ""
    original_file: str | None = None
    signed: FileFacts | None = None
    mask: NDArray[Any] | None = None
    parts: tuple[NDArray[Any], ...] = ()
    inputs: Mapping[str, Image] = field(default_factory=dict)
    sheet: Image | None = None
    files: tuple[str, ...] = ()
