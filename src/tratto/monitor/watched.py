"""What is watched: one table of quantities, and how each is read from the account of a result."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from tratto.core.errors import ReceiptError, TrattoError
from tratto.core.result import CONFIDENCE_FULL
from tratto.provenance.bundle import CONFIDENCE, OBSERVED, Bundle, read_bundle, read_map
from tratto.provenance.receipt import maps_of

#: Tiers of a replay, the best first.
TIERS = ("A", "B", "C", "different", "not comparable")
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Quantity:
    """A number of each result.

    Attributes
    ----------
    name, label, unit : str
        Key in files, heading on the page, and unit, empty for plain numbers.
    group : str
        Panel of the page: ``"degradation"``, ``"output"``, ``"evidence"``.
    edges : tuple of float
        Of the bins by which drift is told; fixed, so that counts of different years can be compared.
    missing : str
        What it means that there is no number; empty: the result is left out.
    """

    name: str
    label: str
    unit: str
    group: str
    edges: tuple[float, ...]
    missing: str = ""


#: All quantities. A change of edges makes references that were kept before useless for that quantity.
WATCHED: tuple[Quantity, ...] = (
    Quantity("noise", "Noise", "1/255", "degradation", (1, 2, 3, 4, 6, 8, 11, 15, 20, 30)),
    Quantity("jpeg_quality", "JPEG quality", "", "degradation", (20, 35, 50, 65, 75, 85, 92, 97), "no JPEG"),
    Quantity("blur", "Blur", "pixels", "degradation", (0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0)),
    Quantity("upscale", "Earlier enlargement", "times", "degradation", (1.25, 1.75, 2.5, 3.5)),
    Quantity("clipped", "Clipped samples", "share", "degradation", (0.0005, 0.002, 0.01, 0.03, 0.1, 0.3)),
    Quantity("megapixels", "Size", "megapixels", "degradation", (0.1, 0.5, 1, 2, 5, 10, 20, 50)),
    Quantity("changed", "Changed pixels", "share", "output", (0.001, 0.01, 0.1, 0.3, 0.6, 0.9, 0.99)),
    Quantity("change", "Change where changed", "CIEDE2000", "output", (0.25, 0.5, 1, 1.5, 2, 3, 5, 10)),
    Quantity("error", "Expected error", "1/255", "output", (0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 10)),
    Quantity("unsupported", "Unsupported pixels", "share", "evidence", (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05)),
    Quantity("tier", "Replay", "tier", "evidence", (1, 2, 3, 4)),
)
BY_NAME = {q.name: q for q in WATCHED}


@dataclass
class Observation:
    """What is kept of a job: no picture, no name, nothing of who asked.

    Attributes
    ----------
    at : float
        When it ended, seconds since 1970.
    task, state : str
        Name of the task, and how the job ended: ``"done"``, ``"failed"`` or ``"cancelled"``.
    waited, seconds : float or None
        In the queue, and at work.
    facts : dict of str to float or None
        By the names in ``WATCHED``, and scores of steps as ``score:NAME``.
    by_file : bool
        Whether ``at`` is the time of a file, since the bundle holds no account of times: a copy may be younger.
    """

    at: float
    task: str
    state: str = "done"
    waited: float | None = None
    seconds: float | None = None
    facts: dict[str, float | None] = field(default_factory=dict)
    by_file: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return asdict(self)


def _estimate(name: str) -> Callable[[Facts], float | None]:
    return lambda receipt: receipt["inspection"][name]["value"]


def _output(receipt: Facts) -> Any:
    edit, _ = maps_of(receipt)
    return {} if edit is None else edit["stats"]


#: How each quantity is read from a receipt; those that need pixels are measured elsewhere.
_READ: dict[str, Callable[[Facts], float | None]] = {
    "noise": _estimate("noise_sigma"),
    "jpeg_quality": _estimate("jpeg_quality"),
    "blur": _estimate("blur_sigma"),
    "upscale": _estimate("upscale"),
    "clipped": lambda r: r["inspection"]["clipped_low"] + r["inspection"]["clipped_high"],
    "megapixels": lambda r: r["inspection"]["width"] * r["inspection"]["height"] / 1e6,
    "changed": lambda r: _output(r).get("changed_fraction"),
    "change": lambda r: _output(r).get("mean_changed") if _output(r).get("changed_fraction") else None,
}


def observe(folder: Path) -> Observation:
    """Return what is to be known of a result, from its bundle.

    Parameters
    ----------
    folder : Path
        A bundle.

    Raises
    ------
    ReceiptError
        If it is no bundle, or not as it was sealed.
    """
    bundle = read_bundle(folder)
    receipt: Any = bundle.receipt
    found: dict[str, float | None] = {}
    for name, read in _READ.items():
        try:
            found[name] = _number(read(receipt))
        except (KeyError, TypeError):  # the account of a scene, or of an older form
            found[name] = None
    found["error"] = _error(bundle, receipt)
    scores = [s for step in receipt.get("steps", ()) for s in (step.get("scores") or {}).items()]
    found |= {f"score:{name}": _number(v) for name, v in scores if isinstance(v, int | float)}
    at, seconds, by_file = _observed(folder)
    return Observation(at, str(receipt["task"]), seconds=seconds, facts=kept(found), by_file=by_file)


def kept(facts: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return those facts that say something: a number, or that there is none where that has a meaning."""
    return {k: v for k, v in facts.items() if v is not None or (k in BY_NAME and BY_NAME[k].missing)}


def tier_number(tier: str) -> float:
    """Return the tier of a replay as a number: 0 for A.

    Examples
    --------
    >>> tier_number("A"), tier_number("different")
    (0.0, 3.0)
    """
    return float(TIERS.index(tier) if tier in TIERS else len(TIERS) - 1)


def _number(value: Any) -> float | None:
    return round(float(value), 7) if isinstance(value, int | float) and math.isfinite(value) else None


def _error(bundle: Bundle, receipt: Any) -> float | None:
    """Return the mean of the stated one-sigma error, in 1/255, over all pixels."""
    _, stated = maps_of(receipt)
    size = receipt["outputs"].get("picture", {}).get("picture")
    if stated is None or size is None:
        return None
    try:
        confidence = read_map(bundle, CONFIDENCE, size)
    except TrattoError:
        return None
    error = 255 * CONFIDENCE_FULL * (1 - np.asarray(confidence, np.float32) / 65535)
    return _number(float(error.mean(dtype=np.float64)))


def _observed(folder: Path) -> tuple[float, float | None, bool]:
    """Return when a bundle was written, how long its steps took, and whether only a file's time tells."""
    try:
        observed = json.loads((folder / OBSERVED).read_bytes()[: 1 << 20])
        steps = [s["seconds"] for s in observed["steps"]]
        return datetime.fromisoformat(observed["written"]).timestamp(), sum(steps) if steps else None, False
    except (OSError, ValueError, KeyError, TypeError):
        try:
            return (folder / "receipt.json").stat().st_mtime, None, True
        except OSError as e:
            raise ReceiptError(f"{folder} is no bundle") from e
