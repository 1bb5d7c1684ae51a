"""The receipt: what a job was given, what was done and what came of it, in one canonical JSON document.

Everything in it is a function of the input, the recipe and the machine's software. Times, hosts, paths and names stand
in ``observed.json`` beside it, which nothing in the receipt refers to.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto._version import __version__
from tratto.core import canonical
from tratto.core.artifact import Artifact, PictureArtifact, main_role, picture_facts
from tratto.core.canvas import whole_scale
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts
from tratto.core.image import Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE, MaskParts
from tratto.core.step import StepRecord
from tratto.imaging.scratch import release
from tratto.provenance.consistency import basis_of, contradictions
from tratto.provenance.edit_map import EditStats
from tratto.provenance.schema import check, receipt_schema

SCHEMA = "tratto/receipt/2"

EXISTING = "existing state"
EVIDENCE = "evidence-based restoration"
HYPOTHETICAL = "hypothetical reconstruction"
STAMP = "not for examination"

#: Formats of results that keep every colour. Tratto writes WebP without loss only.
LOSSLESS_OUTPUT = ("png", "tiff", "webp", "bmp", "ply")

#: Libraries whose version can change a result.
LIBRARIES = ("numpy", "pillow", "tifffile", "imagecodecs", "opencv-python-headless", "onnxruntime", "openvino", "ncnn")

# the vector instructions that change which code path, and so which rounding, a runtime takes
_FLAGS = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "neon", "sve", "bf16", "i8mm", "fphp")


@dataclass(frozen=True)
class OutputFile:
    """The picture as it was written, before any signing.

    Attributes
    ----------
    facts : FileFacts
        Hash and size of the file.
    format : str
        ``"png"``, ``"tiff"`` ...
    decoded_digest : str
        Digest of the samples that reading the file gives; the result's own unless the format is lossy.
    recoded_fraction : float or None
        Of a lossy format: the share of samples that reading the file gives otherwise than the result has them.
    """

    facts: FileFacts
    format: str
    decoded_digest: str
    recoded_fraction: float | None = None


@dataclass(frozen=True, eq=False)
class InputFacts:
    """What a receipt says of a picture that the job was given.

    Attributes
    ----------
    image : Image
        As decoded.
    digest : str
        Of its samples (:func:`tratto.imaging.io.digest`).
    page : int
        Which page of the file.
    file : FileFacts or None
        None when it was an array.
    parents : tuple of mapping
        The results that it was made from, the nearest first; see :mod:`tratto.provenance.lineage`.
    """

    image: Image
    digest: str
    page: int = 0
    file: FileFacts | None = None
    parents: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "picture": picture_facts(self.image),
            "page": self.page,
            "samples_sha256": self.digest,
            "file": None if self.file is None else self.file.to_json(),
            **({"parents": [dict(p) for p in self.parents]} if self.parents else {}),
        }


@dataclass(frozen=True, eq=False)
class ReceiptInputs:
    """Everything a receipt is made of.

    Attributes
    ----------
    asked, resolved : Recipe
        The recipe before and after it was resolved.
    records : tuple of StepRecord
        What each step did, in order.
    inspection : Inspection
        What was measured of the picture that was worked on.
    inputs : mapping of str to InputFacts
        By role; ``"picture"`` is the one that was worked on.
    outputs : mapping of str to Artifact
        What was made, by role.
    edit : EditStats or None
        How much changed; None where there is no edit map.
    edit_map, confidence : (H, W) uint16 arrays or None
        None where none can be made: of what is no picture, and the edit map of a picture of another geometry.
    kernel : str
        How the source was enlarged for comparison; of no account at scale 1.
    mask : Mask or None
        Where the picture was allowed to change; None: everywhere.
    masks : MaskParts
        What it was made of.
    statements : tuple of mapping
        ``kind``, ``by``, ``text`` and, if a document says more, its ``sha256``.
    forensic : bool
        Whether forensic mode held.
    stand_ins, warnings : tuple of str
        What stood in for something better, and what a user should know.
    threads : int or None
        None: as many as this process may use.
    """

    asked: Recipe
    resolved: Recipe
    records: tuple[StepRecord, ...]
    inspection: Inspection
    inputs: Mapping[str, InputFacts]
    outputs: Mapping[str, Artifact]
    edit: EditStats | None = None
    edit_map: NDArray[np.uint16] | None = None
    confidence: NDArray[np.uint16] | None = None
    kernel: str = "bicubic"
    mask: Mask | None = None
    masks: MaskParts = field(default_factory=MaskParts)
    statements: tuple[Mapping[str, Any], ...] = ()
    forensic: bool = False
    stand_ins: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    threads: int | None = None


def build_receipt(inputs: ReceiptInputs) -> dict[str, Any]:
    """Make the receipt of a result that has not been written to a file; :func:`with_files` adds the file hashes.

    Returns
    -------
    dict
        Valid by :func:`validate_receipt`.

    Raises
    ------
    ReceiptError
        If something in it has no JSON form, or the parts contradict each other.
    """
    generative = any(r.generative for r in inputs.records)
    main = inputs.outputs[main_role(inputs.outputs)]
    source, scale = inputs.inputs["picture"].image, None
    if isinstance(main, PictureArtifact):
        scale = whole_scale(main.image, source)
    changed = None if inputs.edit is None else inputs.edit.changed_fraction
    raw = {
        "schema": SCHEMA,
        "tool": {"name": "tratto", "version": _version()},
        "task": inputs.asked.task,
        "forensic": inputs.forensic,
        "claim": claim(generative, scale, changed, inputs.kernel),
        "recipe": {"asked": inputs.asked.to_json(), "resolved": inputs.resolved.to_json()},
        "steps": [r.to_json() for r in inputs.records],
        "inspection": inputs.inspection.to_json(),
        "inputs": {role: given.to_json() for role, given in inputs.inputs.items()},
        "outputs": {role: _made(made, inputs) for role, made in inputs.outputs.items()},
        "statements": [dict(s) for s in inputs.statements],
        "mask": None if inputs.mask is None else _mask_facts(inputs.mask, inputs.masks),
        "environment": environment(inputs.threads),
        "stand_ins": list(inputs.stand_ins),
        "warnings": list(inputs.warnings),
    }
    receipt: dict[str, Any] = canonical.loads(canonical.dumps(_plain(raw)))
    validate_receipt(receipt)
    return receipt


#: Why a picture has no edit map.
OTHER_GEOMETRY = (
    "the result has another geometry than the source, so that no pixel of one belongs to a pixel of the other"
)


def _made(made: Artifact, inputs: ReceiptInputs) -> dict[str, Any]:
    """Return what is said of an output; of the picture also how it lies over the source, and its maps."""
    facts = {**made.facts(), "samples_sha256": made.digest(), "file": None}
    if made.role != "picture" or not isinstance(made, PictureArtifact):
        return facts
    scale = whole_scale(made.image, inputs.inputs["picture"].image)
    edit = confidence = None
    if inputs.edit is not None and inputs.edit_map is not None:
        edit = {
            "samples_sha256": array_digest(inputs.edit_map),
            "file_sha256": None,
            "steps_per_delta_e": int(EDIT_MAP_SCALE),
            "stats": inputs.edit.to_json(),
        }
    if inputs.confidence is not None:
        confidence = {
            "samples_sha256": array_digest(inputs.confidence),
            "file_sha256": None,
            "full_error": CONFIDENCE_FULL,
            "basis": confidence_basis(inputs.records, inputs.edit),
        }
    missing = {} if edit is not None else {"edit": OTHER_GEOMETRY}
    if confidence is None:
        missing["confidence"] = "nothing estimated an error"
    return facts | {
        "geometry": geometry_of(scale),
        "scale": scale,
        "kernel": inputs.kernel,
        "maps": {"edit": edit, "confidence": confidence, "missing": missing},
    }


def geometry_of(scale: int | None) -> str:
    """Return how a picture that is so many times as large lies over its source."""
    return "other" if scale is None else "same" if scale == 1 else "enlarged"


def main_output(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a receipt says of the result itself, among what came along with it."""
    outputs: Mapping[str, dict[str, Any]] = receipt["outputs"]
    return outputs[main_role(outputs)]


def maps_of(receipt: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return what a receipt says of the edit map and of the confidence map of its picture; None where there is none."""
    picture = receipt["outputs"].get("picture")
    return (None, None) if picture is None else (picture["maps"]["edit"], picture["maps"]["confidence"])


def with_files(
    receipt: Mapping[str, Any],
    outputs: Mapping[str, OutputFile],
    edit_map_sha256: str | None = None,
    confidence_sha256: str | None = None,
) -> dict[str, Any]:
    """Return a copy of a receipt with the hashes of the files that were written.

    Parameters
    ----------
    receipt : mapping
        As from :func:`build_receipt`.
    outputs : mapping of str to OutputFile
        By role.
    edit_map_sha256, confidence_sha256 : str or None
        Of ``edit-map.png`` and ``confidence.png``; None where there is none.
    """
    new: dict[str, Any] = canonical.loads(canonical.dumps(dict(receipt)))
    for role, output in outputs.items():
        new["outputs"][role]["file"] = {
            **output.facts.to_json(),
            "format": output.format,
            "decoded_samples_sha256": output.decoded_digest,
            **({} if output.recoded_fraction is None else {"recoded_fraction": output.recoded_fraction}),
        }
    for facts, digest in zip(maps_of(new), (edit_map_sha256, confidence_sha256), strict=True):
        if facts is not None:
            facts["file_sha256"] = digest
    validate_receipt(new)
    return new


def read_receipt(data: bytes) -> dict[str, Any]:
    """Read ``receipt.json`` strictly: it must be valid and in canonical form, byte by byte.

    Returns
    -------
    dict
        In the present form, whichever it was written in. Hashes and seals are of ``data``.

    Raises
    ------
    ReceiptError
        If it is not.
    """
    from tratto.provenance.upgrade import upgraded

    stated = canonical.loads(data)
    receipt: dict[str, Any] = upgraded(stated)
    validate_receipt(receipt)
    if canonical.dumps(stated) != data:
        raise ReceiptError(
            "the receipt is not in canonical form (RFC 8785): it was written or edited by something else"
        )
    return receipt


def validate_receipt(receipt: Any) -> None:
    """Check a receipt, of either form, against the published schema and against itself.

    Raises
    ------
    ReceiptError
        Naming the place, what was expected and what came.
    """
    from tratto.provenance.upgrade import upgraded

    receipt = upgraded(receipt)
    check(receipt, receipt_schema(), "receipt")
    if not any(role in receipt["outputs"] for role in ("picture", "scene")):
        raise ReceiptError("receipt.outputs: expected a picture or a scene")
    generative = any(s["generative"] for s in receipt["steps"])
    if generative and receipt["forensic"]:
        raise ReceiptError("receipt.steps: a forensic receipt must not hold a generative step")
    picture = receipt["outputs"].get("picture")
    if picture is not None:
        _check_picture(picture, receipt["inputs"]["picture"]["picture"])
    edit, _ = maps_of(receipt)
    changed = None if edit is None else edit["stats"]["changed_fraction"]
    scale, kernel = (None, "") if picture is None else (picture["scale"], picture["kernel"])
    expected = claim(generative, scale, changed, kernel)
    if receipt["claim"] != expected:
        raise ReceiptError(
            f"receipt.claim: expected {expected['status']!r} as follows from the steps and the edit map, "
            f"got {receipt['claim']['status']!r} or other regions"
        )
    if (
        receipt["recipe"]["asked"]["task"] != receipt["task"]
        or receipt["recipe"]["resolved"]["task"] != receipt["task"]
    ):
        raise ReceiptError("receipt.task: expected the task of the recipes")
    wrong = contradictions(receipt)
    if wrong:
        raise ReceiptError("; ".join(wrong[:10]))


def _check_picture(out: Mapping[str, Any], source: Mapping[str, Any]) -> None:
    """Compare the size of a picture with its scale, and its maps with both.

    Raises
    ------
    ReceiptError
        Naming the place of the receipt that contradicts another.
    """
    at, scale, maps = "receipt.outputs.picture", out["scale"], out["maps"]
    sides = ("width", "height")
    whole = max(1, out["picture"]["width"] // source["width"])
    if scale is None and all(out["picture"][side] == source[side] * whole for side in sides):
        raise ReceiptError(f"{at}.scale: expected {whole}, since it is {whole} times as large as the source, got null")
    for side in sides if scale is not None else ():
        if out["picture"][side] != source[side] * scale:
            raise ReceiptError(
                f"{at}.picture.{side}: expected {source[side]} times the scale {scale}, got {out['picture'][side]}"
            )
    if out["geometry"] != geometry_of(scale):
        raise ReceiptError(f"{at}.geometry: expected {geometry_of(scale)!r} at the scale {scale}")
    if (maps["edit"] is None) != (scale is None):
        raise ReceiptError(f"{at}.maps.edit: expected a map exactly where the geometry is that of the source")
    for name in ("edit", "confidence"):
        if (maps[name] is None) != (name in maps["missing"]):
            raise ReceiptError(f"{at}.maps.missing: expected why there is no {name} map, exactly where there is none")
    if maps["edit"] is not None:
        stats = maps["edit"]["stats"]
        if not stats["mean"] <= stats["max"] or not stats["p95"] <= stats["max"]:
            raise ReceiptError(f"{at}.maps.edit.stats: mean and p95 cannot exceed max")


def claim(generative: bool, scale: int | None, changed_fraction: float | None, kernel: str) -> dict[str, Any]:
    """Return what status a result may claim (London Charter for the computer-based visualisation of heritage, 4.4).

    Parameters
    ----------
    generative : bool
        True if any step may have invented pixels.
    scale : int or None
        Enlargement; None: the result does not lie over the source.
    changed_fraction : float or None
        Share of pixels that differ from the source (enlarged by ``kernel`` where ``scale`` > 1); None as for ``scale``.
    """
    if scale is None or changed_fraction is None:
        status = HYPOTHETICAL if generative else EVIDENCE
        everything = {"where": "the whole result, which has another form than the source", "share": 1, "status": status}
        return {"status": status, "stamp": STAMP if generative else None, "regions": [everything]}
    changed_status = HYPOTHETICAL if generative else EVIDENCE
    same_status = EXISTING if scale == 1 else EVIDENCE
    same = "pixels equal to the source" if scale == 1 else f"pixels equal to the source enlarged by the {kernel} kernel"
    regions = []
    if changed_fraction < 1:
        regions.append({"where": same, "share": 1 - changed_fraction, "status": same_status})
    if changed_fraction > 0:
        regions.append(
            {"where": "changed pixels (edit map above 0)", "share": changed_fraction, "status": changed_status}
        )
    nothing = changed_fraction == 0 and not generative
    return {
        "status": same_status if nothing else changed_status,
        "stamp": STAMP if generative else None,
        "regions": regions,
    }


def confidence_basis(records: Sequence[StepRecord], edit: EditStats | None) -> str:
    """Return where the error estimate comes from: one word for all steps."""
    return basis_of([r.confidence_basis for r in records], 1.0 if edit is None else edit.changed_fraction)


def recoded_fraction(result: Image, decoded: Image) -> float:
    """Return the share of samples that a picture read back from a lossy file has otherwise than the result.

    Parameters
    ----------
    result : Image
        Compared as 8-bit samples, a palette by its colours, as the lossy formats hold them.
    decoded : Image
        As reading the file gives it.

    Returns
    -------
    float
        0-1; 1 where the two have nothing in common: another size or mode.
    """
    from tratto.imaging.io import expand_palette, to_eight_bits

    result = to_eight_bits(expand_palette(result))
    a, b = result.pixels, decoded.pixels
    if result.mode is not decoded.mode or decoded.bits != 8 or a.shape != b.shape:
        return 1.0
    count = sum(int(np.count_nonzero(a[y : y + 256] != b[y : y + 256])) for y in range(0, a.shape[0], 256))
    return count / a.size


def recoded(receipt: Mapping[str, Any]) -> bool:
    """Return whether the picture file holds other samples than the result, for its format loses something."""
    out = main_output(receipt)
    file = out["file"]
    if file is None or file["format"] in LOSSLESS_OUTPUT:
        return False
    differs: bool = file["decoded_samples_sha256"] != out["samples_sha256"]
    # the same colours in another form are no loss
    return differs and file.get("recoded_fraction") != 0


def array_digest(values: NDArray[Any]) -> str:
    """Return the SHA-256 of an array: dtype, shape and samples.

    Hashed are the ASCII line ``tratto/array/1 DTYPE ROWSxCOLUMNS`` (such as ``tratto/array/1 uint16 480x640``), a line
    feed, and the samples row by row in little-endian order. Memory stays bounded for memory-mapped arrays.
    """
    h = hashlib.sha256()
    h.update(f"tratto/array/1 {values.dtype.name} {'x'.join(map(str, values.shape))}\n".encode())
    little = values.dtype.newbyteorder("<")
    step = max(1, (1 << 22) // max(1, values[0].nbytes))
    for y0 in range(0, values.shape[0], step):
        h.update(np.ascontiguousarray(values[y0 : y0 + step], dtype=little).tobytes())
        release(values)
    return h.hexdigest()


def environment(threads: int | None = None) -> dict[str, Any]:
    """Return the software and kind of processor, without anything that names this machine or its user.

    Parameters
    ----------
    threads : int or None
        Threads the job used; None = as many as this process may use.
    """
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_flags": list(_cpu_flags()),
        "threads": threads,
        "libraries": dict(_libraries()),
    }


@lru_cache(maxsize=1)
def _cpu_flags() -> tuple[str, ...]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            for line in f:
                key, _, value = line.partition(":")
                if key.strip() in ("flags", "Features"):
                    return tuple(sorted({w for w in value.split() if w.startswith(_FLAGS)})[:200])
    except OSError:
        pass  # not Linux: the machine name has to do
    return ()


@lru_cache(maxsize=1)
def _libraries() -> tuple[tuple[str, str], ...]:
    found = []
    for name in LIBRARIES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


def _version() -> str:
    return __version__


def mask_box(values: NDArray[Any]) -> tuple[int, int, int, int] | None:
    """Return the smallest box around all that a mask lets change; None if that is nothing.

    Parameters
    ----------
    values : (H, W) array
        Above 0: may change.

    Returns
    -------
    tuple of int or None
        Column and row of its first pixel, from 0 in stored order; width; height.

    Examples
    --------
    >>> mask_box(np.array([[0, 0, 0], [0, 1, 1]]))
    (1, 1, 2, 1)
    """
    marked = values > 0
    columns, rows = np.flatnonzero(marked.any(axis=0)), np.flatnonzero(marked.any(axis=1))
    if not columns.size:
        return None
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def _mask_facts(mask: Mask, made_of: MaskParts) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "samples_sha256": array_digest(mask.values),
        "covered": int(np.count_nonzero(mask.values)) / mask.values.size,
    }
    box = mask_box(mask.values)
    if box is not None:
        facts["box"] = list(box)
    parts = []
    for part in made_of.parts:
        pixels = int(np.count_nonzero(part.mask.values))
        parts.append(
            {
                "pass": part.number,
                "class": part.kind or None,
                "samples_sha256": array_digest(part.mask.values),
                "pixels": pixels,
                "covered": pixels / part.mask.values.size,
            }
        )
    found = {} if made_of.found_by is None else {"found_by": dict(made_of.found_by)}
    return facts | ({"parts": parts} if parts else {}) | found


def _plain(value: Any) -> Any:
    """Turn NumPy scalars and tuples, which steps may leave in their parameters, into plain JSON values."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
