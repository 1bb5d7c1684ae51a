"""Compare the maps and masks of a bundle with its receipt, and make the edit map again from the two pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import ReceiptError
from tratto.core.image import ColorMode, Image, Kernel
from tratto.imaging.io import expand_palette
from tratto.imaging.resample import KERNELS, enlarge_into
from tratto.imaging.scratch import allocate, release
from tratto.provenance.bundle import CONFIDENCE, EDIT_MAP, MASK, MASK_PARTS, Bundle, read_map
from tratto.provenance.edit_map import edit_map, stats_of
from tratto.provenance.findings import Findings, Seen
from tratto.provenance.receipt import array_digest, main_output, maps_of, mask_box, recoded_fraction

#: How far two computations of one Delta-E may lie apart, in steps of the map: 1/128 Delta-E. Other processors and
#: library versions round float32 colours differently; a second run on one machine differs by 0. Whether a pixel is 0
#: follows from whole samples and is compared exactly.
SLACK = 4

_BAND = 1 << 20  # pixels


def decode_maps(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Read the maps and masks; compare their samples, and what is counted in them, with the receipt."""
    (edit, confidence), mask = maps_of(bundle.receipt), bundle.receipt["mask"]
    size = bundle.receipt["outputs"].get("picture", {}).get("picture", {})
    try:
        if edit is not None:
            seen.edits = read_map(bundle, EDIT_MAP, size)
            if array_digest(seen.edits) != edit["samples_sha256"]:
                found.wrong.append(f"the samples of {EDIT_MAP} are not those the receipt names")
            if stats_of(seen.edits, edit["stats"]["alpha"]).to_json() != edit["stats"]:
                found.wrong.append(f"the edit statistics of the receipt do not follow from {EDIT_MAP}")
        if confidence is not None:
            seen.confidences = read_map(bundle, CONFIDENCE, size)
            if array_digest(seen.confidences) != confidence["samples_sha256"]:
                found.wrong.append(f"the samples of {CONFIDENCE} are not those the receipt names")
        if MASK in bundle.sealed_files:
            if mask is None:
                found.wrong.append(f"the receipt knows no mask, but there is {MASK}")
                return
            seen.mask = read_map(bundle, MASK, bundle.receipt["inputs"]["picture"]["picture"])
            if _mask_digest(seen.mask) != mask["samples_sha256"]:
                found.wrong.append(f"{MASK} is not the mask the receipt names: it was altered")
            box = mask_box(seen.mask)
            if "box" in mask and mask["box"] != (None if box is None else list(box)):
                found.wrong.append(f"receipt.mask.box: expected {box}, the box of {MASK}, got {mask['box']}")
            if int(np.count_nonzero(seen.mask)) / seen.mask.size != mask["covered"]:
                found.wrong.append(f"the share that the receipt says the mask covers does not follow from {MASK}")
            seen.parts = _mask_parts(bundle, seen.mask, found)
    except ReceiptError as e:
        found.wrong.append(str(e))


def _mask_parts(bundle: Bundle, whole: NDArray[np.uint16], found: Findings) -> list[NDArray[np.uint16]]:
    """Compare the masks per class and pass with the receipt, and their union with the whole; return them."""
    read: list[NDArray[np.uint16]] = []
    size = bundle.receipt["inputs"]["picture"]["picture"]
    parts = (bundle.receipt["mask"] or {}).get("parts", [])
    passes: NDArray[np.uint16] | None = None
    classes: NDArray[np.uint16] | None = None
    before = len(found.wrong)
    for name, facts in zip(MASK_PARTS, parts, strict=False):
        values = read_map(bundle, name, size)
        read.append(values)
        if _mask_digest(values) != facts["samples_sha256"]:
            found.wrong.append(f"{name} is not the mask the receipt names: it was altered")
        pixels = int(np.count_nonzero(values))
        if pixels != facts["pixels"] or pixels / values.size != facts["covered"]:
            found.wrong.append(f"the pixels that the receipt counts in {name} do not follow from it")
        if facts["class"] is None:
            passes = values if passes is None else np.maximum(passes, values)
        else:
            classes = values if classes is None else np.maximum(classes, values)
    if passes is not None and not np.array_equal(passes, whole):
        found.wrong.append(f"{MASK} is not what the masks of the passes make together")
    # a mask that was neither grown nor feathered is the union of its classes
    plain = all(not s["params"].get("grow") and not s["params"].get("blend") for s in bundle.receipt["steps"])
    every = {p["pass"] for p in parts if p["class"] is None} <= {p["pass"] for p in parts if p["class"] is not None}
    if classes is not None and plain and every and not np.array_equal(classes, whole):
        found.wrong.append(f"{MASK} is not what the masks of the classes make together")
    if parts and len(found.wrong) == before:
        found.checked.append(f"the {len(parts)} masks per class or pass are those the receipt names")
    return read


def _mask_digest(samples: NDArray[np.uint16]) -> str:
    """Return the digest of a mask as the work saw it (float32), band by band; see :func:`.receipt.array_digest`."""
    h = hashlib.sha256(f"tratto/array/1 float32 {samples.shape[0]}x{samples.shape[1]}\n".encode())
    for y0, y1 in _bands(samples.shape):
        h.update((samples[y0:y1].astype("<f4") / np.float32(65535)).tobytes())
        release(samples)
    return h.hexdigest()


def check_outside(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Check that the edit map is 0 where the mask is."""
    if seen.mask is None or seen.edits is None:
        return
    scale = main_output(bundle.receipt)["scale"]
    count = 0
    for y0, y1 in _bands(seen.edits.shape):
        rows = np.repeat(seen.mask[np.arange(y0, y1) // scale], scale, axis=1)
        count += int(np.count_nonzero((rows == 0) & (seen.edits[y0:y1] > 0)))
        release(seen.edits)
    if count:
        found.wrong.append(f"{EDIT_MAP} shows change in {_pixels(count)} outside {MASK}")
    else:
        found.checked.append(f"{EDIT_MAP} shows no change outside {MASK}")


def check_edit_map(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Make the edit map again from the original and the result, and compare."""
    receipt = bundle.receipt
    why = _why_not(receipt, seen)
    if seen.after_is == "lossy":
        _recoded(bundle, seen, found)
        _unchanged_blocks(bundle, seen, found)
    if why:
        found.notes.append(f"{EDIT_MAP} could not be recomputed: {why}. What it says of the picture was not compared")
        return
    if seen.before is None or seen.after is None or seen.edits is None:
        return
    out = main_output(receipt)
    stated = out["kernel"]
    if stated not in KERNELS:
        found.wrong.append("the receipt names a kernel that does not exist")
        return
    before, after = _enlarged(seen.before, out["scale"], cast(Kernel, stated)), seen.after
    if seen.after_is == "as shown":
        before = expand_palette(before, allocate)
    after = after.replace(meta=replace(after.meta, icc=before.meta.icc))
    fresh: NDArray[np.uint16] = allocate(seen.edits.shape, np.uint16)  # type: ignore[assignment]
    alpha = edit_map(before, after, fresh).alpha
    hidden, invented, far = _compare(seen.edits, fresh, seen.after_is == "exact")
    if hidden:
        found.wrong.append(f"{_pixels(hidden)} differ from the original where {EDIT_MAP} shows no change")
    if invented:
        found.wrong.append(f"{EDIT_MAP} shows change in {_pixels(invented)} that equal the original")
    if far:
        found.wrong.append(
            f"{EDIT_MAP} states another difference from the original than there is in {_pixels(far)} of the picture"
        )
    if seen.after_is == "exact" and alpha != out["maps"]["edit"]["stats"]["alpha"]:
        found.wrong.append("the receipt is wrong about whether alpha was compared")
    if not hidden and not invented and not far:
        found.checked.append(f"{EDIT_MAP}, made again from the original and the picture, is the same")


def _recoded(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Where the result is the source itself, count again how much of it the encoding changed."""
    out = main_output(bundle.receipt)
    stated = out["file"].get("recoded_fraction")
    if stated is None or seen.before is None or seen.after is None or seen.other_decoder:
        return
    if out["samples_sha256"] != bundle.receipt["inputs"]["picture"]["samples_sha256"]:
        return  # the result before the loss is not at hand
    if recoded_fraction(seen.before, seen.after) != stated:
        found.wrong.append("the receipt states another share of samples that the encoding changed than there is")
    else:
        found.checked.append("the share of samples that the encoding changed, counted again, is the same")


#: What rounding adds to half a quantisation step of a luma coefficient, and to the distance of a whole block with
#: clipped samples. Measured over ten pictures at qualities 1 to 100: at most 7.7 for the first; the second never came
#: near even without an addition.
_ROUNDING, _CLIPPED = 16.0, 24.0


def _unchanged_blocks(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Compare a JPEG with the original where the map shows no change: it may differ by its compression only.

    JPEG rounds every coefficient of an 8x8 block to a multiple of the step its own table names, so no luma coefficient
    may be further off than half a step. Where samples were clipped, which spreads over all coefficients but only brings
    them nearer, the distance of the whole block is bounded instead.
    """
    facts, out = seen.after.meta.jpeg if seen.after is not None else None, main_output(bundle.receipt)
    if facts is None or seen.before is None or seen.after is None or seen.edits is None or out["kernel"] not in KERNELS:
        return
    before = _enlarged(seen.before, out["scale"], cast(Kernel, out["kernel"]))
    if before.bits != 8 or before.mode is not seen.after.mode or before.mode not in (ColorMode.RGB, ColorMode.GRAY):
        return
    half = np.asarray(facts.tables[0], np.float64).reshape(8, 8) / 2
    off = total = 0
    height, width = seen.edits.shape[0] // 8 * 8, seen.edits.shape[1] // 8 * 8
    for y0 in range(0, height, 256):
        rows = slice(y0, min(height, y0 + 256))
        still = ~_blocks(seen.edits[rows, :width] > 0).any(axis=(2, 3))
        a, b = before.pixels[rows, :width], seen.after.pixels[rows, :width]
        extreme = (b == 0) | (b == 255)
        clipped = _blocks(extreme if b.ndim == 2 else extreme.any(axis=2)).any(axis=(2, 3))
        apart = _blocks(_luma(a) - _luma(b))
        beyond = (np.abs(_DCT @ apart @ _DCT.T) > half + _ROUNDING).any(axis=(2, 3))
        far = np.sqrt((apart**2).sum(axis=(2, 3))) > np.sqrt((half**2).sum()) + _CLIPPED
        off += int(np.count_nonzero(still & np.where(clipped, far, beyond)))
        total += int(np.count_nonzero(still))
        release(seen.edits)
    if off:
        found.wrong.append(
            f"{off} of {total} blocks of the JPEG that {EDIT_MAP} calls unchanged are further from the original than "
            "its compression explains"
        )
    elif total:
        found.checked.append(
            f"{total} blocks of the JPEG that {EDIT_MAP} calls unchanged are as near to the original in their "
            "lightness as its compression allows"
        )


_DCT = np.cos((2 * np.arange(8)[None] + 1) * np.arange(8)[:, None] * np.pi / 16) * np.where(
    np.arange(8)[:, None] == 0, np.sqrt(1 / 8), 0.5
)  # orthonormal, (frequency, sample)


def _blocks(plane: NDArray[Any]) -> NDArray[Any]:
    """Cut (H, W) into (H / 8, W / 8, 8, 8)."""
    return plane.reshape(plane.shape[0] // 8, 8, plane.shape[1] // 8, 8).transpose(0, 2, 1, 3)


def _luma(samples: NDArray[Any]) -> NDArray[np.float64]:
    wide = np.asarray(samples).astype(np.float64)
    # ITU-T T.871 (JFIF), section 7
    luma: NDArray[np.float64] = wide if wide.ndim == 2 else wide @ np.array([0.299, 0.587, 0.114])
    return luma


def _why_not(receipt: Mapping[str, Any], seen: Seen) -> str:
    if seen.before is None:
        if not seen.before_kept:
            return "the bundle holds no original"
        return "the original could not be decoded as it was then"
    if seen.after_is == "lossy":
        return (
            f"the picture is a {main_output(receipt)['file']['format'].upper()}, which lost some of the result it shows"
        )
    if seen.after is None:
        return "the picture is not at hand"
    return ""


def _compare(stored: NDArray[np.uint16], fresh: NDArray[np.uint16], exact: bool) -> tuple[int, int, int]:
    """Count the pixels whose change a map hides, invents, and states wrongly."""
    hidden = invented = far = 0
    # by colours alone, two palette entries of one colour cannot be told apart; the map counts them as 1
    least = 0 if exact else 1
    for y0, y1 in _bands(stored.shape):
        a, b = np.asarray(stored[y0:y1]).astype(np.int32), np.asarray(fresh[y0:y1]).astype(np.int32)
        hidden += int(np.count_nonzero((a == 0) & (b > 0)))
        invented += int(np.count_nonzero((a > least) & (b == 0)))
        far += int(np.count_nonzero((a > 0) & (b > 0) & (np.abs(a - b) > SLACK)))
        release(stored)
        release(fresh)
    return hidden, invented, far


def _enlarged(source: Image, scale: int, kernel: Kernel) -> Image:
    """Return what the edit map compares with, as the engine makes it."""
    if scale == 1:
        return source
    image = expand_palette(source, allocate)

    def one(samples: Any) -> Any:
        out = allocate((samples.shape[0] * scale, samples.shape[1] * scale, *samples.shape[2:]), samples.dtype)
        enlarge_into(samples, out, scale, kernel, image.max_value)  # type: ignore[arg-type]
        release(out)
        return out

    return image.replace(pixels=one(image.pixels), alpha=None if image.alpha is None else one(image.alpha))


def _bands(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    step = max(1, _BAND // shape[1])
    return [(y, min(shape[0], y + step)) for y in range(0, shape[0], step)]


def _pixels(count: int) -> str:
    return "one pixel" if count == 1 else f"{count} pixels"
