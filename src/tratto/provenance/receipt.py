"""The receipt: what was done to one picture, in one canonical JSON document.

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

from tratto.core.errors import ReceiptError
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import CONFIDENCE_FULL, EDIT_MAP_SCALE, MaskParts
from tratto.core.step import StepRecord
from tratto.imaging.scratch import release
from tratto.provenance import canonical
from tratto.provenance.consistency import basis_of, contradictions
from tratto.provenance.edit_map import EditStats
from tratto.provenance.schema import check, receipt_schema

SCHEMA = "tratto/receipt/1"

EXISTING = "existing state"
EVIDENCE = "evidence-based restoration"
HYPOTHETICAL = "hypothetical reconstruction"
STAMP = "not for examination"

#: Formats of results that keep every colour. Tratto writes WebP without loss only.
LOSSLESS_OUTPUT = ("png", "tiff", "webp", "bmp")

#: Libraries whose version can change a result.
LIBRARIES = ("numpy", "pillow", "tifffile", "imagecodecs", "opencv-python-headless", "onnxruntime", "openvino", "ncnn")

# the vector instructions that change which code path, and so which rounding, a runtime takes
_FLAGS = ("sse4", "avx", "fma", "f16c", "amx", "asimd", "neon", "sve", "bf16", "i8mm", "fphp")


@dataclass(frozen=True)
class FileFacts:
    """A file's SHA-256 (hex) and its size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> FileFacts:
        """Return the facts of a file with this content; for files on disk see :func:`.seal.hash_file`."""
        return cls(hashlib.sha256(data).hexdigest(), len(data))

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {"sha256": self.sha256, "bytes": self.size}


@dataclass(frozen=True)
class OutputFile:
    """The picture as it was written, before any signing.

    Attributes
    ----------
    facts : FileFacts
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
class ReceiptInputs:
    """Everything a receipt is made of.

    Attributes
    ----------
    asked, resolved : Recipe
    records : tuple of StepRecord
    inspection : Inspection
    source, output : Image
        As decoded, and the result.
    source_digest, output_digest : str
        Their sample digests (:func:`tratto.imaging.io.digest`).
    edit : EditStats
    edit_map, confidence : (H, W) uint16 arrays
    kernel : str
        How the source was enlarged for comparison; of no account at scale 1.
    page : int
        Which page of the input file.
    input_file : FileFacts or None
        None when the input was an array.
    mask : Mask or None
    masks : MaskParts
        What it was made of.
    forensic : bool
    stand_ins, warnings : tuple of str
    threads : int or None
        None: as many as this process may use.
    """

    asked: Recipe
    resolved: Recipe
    records: tuple[StepRecord, ...]
    inspection: Inspection
    source: Image
    source_digest: str
    output: Image
    output_digest: str
    edit: EditStats
    edit_map: NDArray[np.uint16]
    confidence: NDArray[np.uint16]
    kernel: str = "bicubic"
    page: int = 0
    input_file: FileFacts | None = None
    mask: Mask | None = None
    forensic: bool = False
    stand_ins: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    threads: int | None = None
    masks: MaskParts = field(default_factory=MaskParts)


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
    scale = inputs.output.width // inputs.source.width
    generative = any(r.generative for r in inputs.records)
    raw = {
        "schema": SCHEMA,
        "tool": {"name": "tratto", "version": _version()},
        "task": inputs.asked.task,
        "forensic": inputs.forensic,
        "claim": claim(generative, scale, inputs.edit.changed_fraction, inputs.kernel),
        "recipe": {"asked": inputs.asked.to_json(), "resolved": inputs.resolved.to_json()},
        "steps": [r.to_json() for r in inputs.records],
        "inspection": inputs.inspection.to_json(),
        "input": {
            "picture": picture_facts(inputs.source),
            "page": inputs.page,
            "samples_sha256": inputs.source_digest,
            "file": None if inputs.input_file is None else inputs.input_file.to_json(),
        },
        "output": {
            "picture": picture_facts(inputs.output),
            "scale": scale,
            "kernel": inputs.kernel,
            "samples_sha256": inputs.output_digest,
            "file": None,
        },
        "mask": None if inputs.mask is None else _mask_facts(inputs.mask, inputs.masks),
        "maps": {
            "edit": {
                "samples_sha256": array_digest(inputs.edit_map),
                "file_sha256": None,
                "steps_per_delta_e": int(EDIT_MAP_SCALE),
                "stats": inputs.edit.to_json(),
            },
            "confidence": {
                "samples_sha256": array_digest(inputs.confidence),
                "file_sha256": None,
                "full_error": CONFIDENCE_FULL,
                "basis": confidence_basis(inputs.records, inputs.edit),
            },
        },
        "environment": environment(inputs.threads),
        "stand_ins": list(inputs.stand_ins),
        "warnings": list(inputs.warnings),
    }
    receipt: dict[str, Any] = canonical.loads(canonical.dumps(_plain(raw)))
    validate_receipt(receipt)
    return receipt


def with_files(
    receipt: Mapping[str, Any], output: OutputFile, edit_map_sha256: str, confidence_sha256: str
) -> dict[str, Any]:
    """Return a copy of a receipt with the hashes of the files that were written.

    Parameters
    ----------
    receipt : mapping
        As from :func:`build_receipt`.
    output : OutputFile
    edit_map_sha256, confidence_sha256 : str
        Of ``edit-map.png`` and ``confidence.png``.
    """
    new: dict[str, Any] = canonical.loads(canonical.dumps(dict(receipt)))
    new["output"]["file"] = {
        **output.facts.to_json(),
        "format": output.format,
        "decoded_samples_sha256": output.decoded_digest,
        **({} if output.recoded_fraction is None else {"recoded_fraction": output.recoded_fraction}),
    }
    new["maps"]["edit"]["file_sha256"] = edit_map_sha256
    new["maps"]["confidence"]["file_sha256"] = confidence_sha256
    validate_receipt(new)
    return new


def read_receipt(data: bytes) -> dict[str, Any]:
    """Read ``receipt.json`` strictly: it must be valid and in canonical form, byte by byte.

    Raises
    ------
    ReceiptError
        If it is not.
    """
    receipt = canonical.loads(data)
    validate_receipt(receipt)
    if canonical.dumps(receipt) != data:
        raise ReceiptError(
            "the receipt is not in canonical form (RFC 8785): it was written or edited by something else"
        )
    valid: dict[str, Any] = receipt
    return valid


def validate_receipt(receipt: Any) -> None:
    """Check a receipt against the published schema and against itself.

    Raises
    ------
    ReceiptError
        Naming the place, what was expected and what came.
    """
    check(receipt, receipt_schema(), "receipt")
    out, source = receipt["output"], receipt["input"]["picture"]
    for side in ("width", "height"):
        if out["picture"][side] != source[side] * out["scale"]:
            raise ReceiptError(
                f"receipt.output.picture.{side}: expected {source[side]} times the scale {out['scale']}, "
                f"got {out['picture'][side]}"
            )
    generative = any(s["generative"] for s in receipt["steps"])
    if generative and receipt["forensic"]:
        raise ReceiptError("receipt.steps: a forensic receipt must not hold a generative step")
    stats = receipt["maps"]["edit"]["stats"]
    expected = claim(generative, out["scale"], stats["changed_fraction"], out["kernel"])
    if receipt["claim"] != expected:
        raise ReceiptError(
            f"receipt.claim: expected {expected['status']!r} as follows from the steps and the edit map, "
            f"got {receipt['claim']['status']!r} or other regions"
        )
    if not stats["mean"] <= stats["max"] or not stats["p95"] <= stats["max"]:
        raise ReceiptError("receipt.maps.edit.stats: mean and p95 cannot exceed max")
    if (
        receipt["recipe"]["asked"]["task"] != receipt["task"]
        or receipt["recipe"]["resolved"]["task"] != receipt["task"]
    ):
        raise ReceiptError("receipt.task: expected the task of the recipes")
    wrong = contradictions(receipt)
    if wrong:
        raise ReceiptError("; ".join(wrong[:10]))


def claim(generative: bool, scale: int, changed_fraction: float, kernel: str) -> dict[str, Any]:
    """Return what status a result may claim (London Charter for the computer-based visualisation of heritage, 4.4).

    Parameters
    ----------
    generative : bool
        True if any step may have invented pixels.
    scale : int
        Enlargement.
    changed_fraction : float
        Share of pixels that differ from the source (enlarged by ``kernel`` where ``scale`` > 1).
    """
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


def confidence_basis(records: Sequence[StepRecord], edit: EditStats) -> str:
    """Return where the error estimate comes from: one word for all steps."""
    return basis_of([r.confidence_basis for r in records], edit.changed_fraction)


def recoded_fraction(result: Image, decoded: Image) -> float:
    """Return the share of samples that a picture read back from a lossy file has otherwise than the result.

    Parameters
    ----------
    result : Image
        Compared as 8-bit samples, a palette by its colours, as the lossy formats hold them.
    decoded : Image

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
    file = receipt["output"]["file"]
    if file is None or file["format"] in LOSSLESS_OUTPUT:
        return False
    differs: bool = file["decoded_samples_sha256"] != receipt["output"]["samples_sha256"]
    # the same colours in another form are no loss
    return differs and file.get("recoded_fraction") != 0


def picture_facts(image: Image) -> dict[str, Any]:
    """Return what a receipt says of a picture besides its samples."""
    alpha = image.alpha is not None or (image.palette is not None and bool((image.palette[:, 3] != 255).any()))
    icc = image.meta.icc
    return {
        "width": image.width,
        "height": image.height,
        "mode": str(ColorMode(image.mode).value),
        "bits": image.bits,
        "alpha": alpha,
        "format": image.meta.format,
        "orientation": image.meta.orientation,
        "icc_sha256": None if icc is None else hashlib.sha256(icc).hexdigest(),
    }


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
    from tratto._version import __version__

    return __version__


def _mask_facts(mask: Mask, made_of: MaskParts) -> dict[str, Any]:
    facts = {
        "samples_sha256": array_digest(mask.values),
        "covered": int(np.count_nonzero(mask.values)) / mask.values.size,
    }
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
