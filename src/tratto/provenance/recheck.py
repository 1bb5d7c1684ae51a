"""Decode what lies in a bundle and compute again what the receipt, the maps and the report say of it.

Hashes show that files are as they were sealed. Here it is asked whether they were true when they were sealed: the edit
map is made anew from the original and the result, the report from the receipt.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tratto._version import __version__
from tratto.core import canonical
from tratto.core.artifact import Artifact, PictureArtifact, picture_facts
from tratto.core.errors import InputError, ReceiptError, UnavailableError, UnsupportedFormat
from tratto.core.hashing import FileFacts, read_limited
from tratto.core.image import ColorMode, Image, Kernel, Metadata
from tratto.core.text import shown
from tratto.imaging.io import digest, expand_palette
from tratto.imaging.io.limits import OPTION, usual_pixels
from tratto.imaging.resample import KERNELS, enlarge_into
from tratto.imaging.scratch import allocate, release
from tratto.provenance.bundle import (
    CONFIDENCE,
    EDIT_MAP,
    INPUTS,
    MASK,
    MASK_PARTS,
    OBSERVED,
    OUTPUTS,
    REPORT,
    Bundle,
    find_original,
    read_artifact,
    read_input,
    read_map,
    read_picture,
)
from tratto.provenance.bundle.samples import MOST_PIXELS
from tratto.provenance.edit_map import edit_map, stats_of
from tratto.provenance.receipt import (
    EXISTING,
    LOSSLESS_OUTPUT,
    array_digest,
    main_output,
    maps_of,
    mask_box,
    recoded_fraction,
)
from tratto.provenance.schema import check, observed_schema

if TYPE_CHECKING:
    from tratto.provenance.report import ReportInputs

#: Formats whose decoders may differ in the last digit from version to version.
LOSSY = ("jpeg", "webp", "heif", "avif")
#: How far two computations of one Delta-E may lie apart, in steps of the map: 1/128 Delta-E. Other processors and
#: library versions round float32 colours differently; a second run on one machine differs by 0. Whether a pixel is 0
#: follows from whole samples and is compared exactly.
SLACK = 4

_MAX_REPORT = 64 << 20
_BAND = 1 << 20  # pixels


@dataclass
class Findings:
    """What a check has found so far.

    Attributes
    ----------
    wrong, checked, notes : list of str
        What contradicts, what was compared and agrees, what could not be compared.
    refused : list of str
        Why somebody the reader relies on does not vouch for it, though nothing contradicts.
    """

    wrong: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Seen:
    """What could be decoded."""

    edits: NDArray[np.uint16] | None = None
    confidences: NDArray[np.uint16] | None = None
    mask: NDArray[np.uint16] | None = None
    parts: list[NDArray[np.uint16]] = field(default_factory=list)
    inputs: dict[str, Image] = field(default_factory=dict)  # second inputs, if their samples are the stated ones
    sheet: Image | None = None
    before: Image | None = None  # the original, if its samples are the stated ones
    before_kept: bool = False  # the bundle holds one
    after: Image | None = None  # the result as the receipt describes it
    other_decoder: bool = False  # this one gives the picture other samples than the receipt names
    after_is: str = "missing"  # "exact", "as shown" (same colours, another form), "lossy" or "missing"


def recheck(bundle: Bundle, picture: Path | None, found: Findings) -> None:
    """Decode everything and compare with what the receipt states.

    Parameters
    ----------
    bundle : Bundle
        Its files are as they were sealed.
    picture : Path or None
        The sealed picture, if it is at hand.
    found : Findings
        Added to.
    """
    large = too_large(bundle.receipt)
    if large:
        found.refused.append(large)
        return
    seen = decode(bundle, picture, found)
    if not found.wrong:
        found.checked.append("the samples of the pictures and maps are those the receipt names")
    if seen.edits is not None:
        _outside(bundle, seen, found)
        _again(bundle, seen, found)
    _observed(bundle, found)
    _report(bundle, picture, seen, found)


def decode(bundle: Bundle, picture: Path | None, found: Findings) -> Seen:
    """Decode everything, and compare samples and facts with the receipt; parameters as of :func:`recheck`."""
    seen = Seen()
    _maps(bundle, seen, found)
    if picture is not None:
        _result(bundle, picture, seen, found)
    _source(bundle, seen, found)
    _inputs(bundle, seen, found)
    _outputs(bundle, seen, found)
    return seen


def too_large(receipt: Mapping[str, Any]) -> str:
    """Say that a picture is too large to be looked at here; its size is stated by whoever made the bundle."""
    most = max(MOST_PIXELS, usual_pixels())
    every = [(f"{s} {r}", f) for s in ("inputs", "outputs") for r, f in sorted(receipt[s].items()) if "picture" in f]
    for which, facts in every:
        pixels = facts["picture"]["width"] * facts["picture"]["height"]
        if pixels > most:
            return (
                f"its pictures and maps were not decoded: {which} is said to have {pixels / 1e6:.0f} megapixels, "
                f"the limit is {most / 1e6:.0f}; if you trust it, raise {OPTION} to {-(-pixels // 1_000_000)}"
            )
    return ""


# --------------------------------------------------------------------------------------------------------------- maps


def _maps(bundle: Bundle, seen: Seen, found: Findings) -> None:
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


def _outside(bundle: Bundle, seen: Seen, found: Findings) -> None:
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


def _again(bundle: Bundle, seen: Seen, found: Findings) -> None:
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


# ----------------------------------------------------------------------------------------------------------- pictures


def _marks(bundle: Bundle, image: Image, found: Findings) -> None:
    """Compare what the picture's XMP says of the work with the receipt."""
    from tratto.provenance.xmp import contradicts

    if not bundle.receipt["steps"] or bundle.receipt["claim"]["status"] == EXISTING:
        return
    try:
        wrong = contradicts(image.meta.xmp, bundle.receipt)
    except ReceiptError as e:
        found.notes.append(f"the XMP of the picture was not compared with the receipt, for it cannot be read: {e}")
        return
    if wrong:
        found.wrong.append(wrong)
    elif image.meta.xmp:
        found.checked.append("the XMP of the picture says of the work what the receipt says")


def _result(bundle: Bundle, picture: Path, seen: Seen, found: Findings) -> None:
    """Decode the picture; compare its samples with those of the file and of the result."""
    out = main_output(bundle.receipt)
    if "scene" in out:
        _made(picture, out, found)
        return
    file, facts = out["file"], out["picture"]
    image = _decode(picture, facts, 0, found)
    if image is None:
        return
    if image.meta.format != file["format"]:
        found.wrong.append(f"{shown(picture.name)} is of the format {image.meta.format}, the receipt states another")
        return
    _marks(bundle, image, found)
    same = digest(image) == file["decoded_samples_sha256"]
    if file["format"] not in LOSSLESS_OUTPUT:
        if not same:
            found.notes.append(_other_decoder(picture))
            seen.other_decoder = True
        seen.after, seen.after_is = image, "lossy"
        return
    if not same:
        found.wrong.append(f"the samples of {shown(picture.name)} are not those the receipt names")
        return
    stated = as_stated(image, facts)
    if stated is not None and digest(stated) == out["samples_sha256"]:
        seen.after, seen.after_is = stated, "exact"
    elif facts["mode"] == "palette":
        # written as RGB where a format has no palette, or with a palette filled up to its full length
        seen.after, seen.after_is = expand_palette(image, allocate), "as shown"
    else:
        found.wrong.append(
            f"the samples of {shown(picture.name)} are not those of the result, though {file['format'].upper()} "
            "loses nothing"
        )


def as_stated(image: Image, facts: Mapping[str, Any]) -> Image | None:
    """Return a decoded result in the form it had before it was written, or None if it cannot be it.

    A format that has no grey holds it as RGB, one that has no 1, 2 or 4 bits holds them as more or as a palette, and an
    alpha plane that is opaque everywhere may be left out. None of that changes a colour.

    Parameters
    ----------
    image : Image
        As the file gives it.
    facts : mapping
        ``output.picture`` of the receipt.
    """
    mode, bits = ColorMode(facts["mode"]), int(facts["bits"])
    if image.palette is not None and mode is not ColorMode.PALETTE:
        if int(image.pixels.max()) >= len(image.palette):
            return None
        image = expand_palette(image, allocate)
    if image.mode is ColorMode.RGB and mode is ColorMode.GRAY:
        px = image.pixels
        if not (np.array_equal(px[..., 0], px[..., 1]) and np.array_equal(px[..., 0], px[..., 2])):
            return None
        image = image.replace(pixels=np.ascontiguousarray(px[..., 0]), mode=ColorMode.GRAY)
    if image.mode is not mode:
        return None
    if mode is ColorMode.PALETTE and image.bits != bits:
        return image.replace(bits=bits) if int(image.pixels.max()) < 1 << bits else None
    if mode is not ColorMode.PALETTE and facts.get("alpha") and image.alpha is None:
        opaque: NDArray[Any] = allocate(image.pixels.shape[:2], image.pixels.dtype)
        opaque[...] = image.max_value
        image = image.replace(alpha=opaque)
    if bits < image.bits <= 8:
        pixels = _fewer_bits(image.pixels, image.bits, bits)
        alpha = None if image.alpha is None else _fewer_bits(image.alpha, image.bits, bits)
        if pixels is None or (image.alpha is not None and alpha is None):
            return None
        return image.replace(pixels=pixels, alpha=alpha, bits=bits)
    return image if image.bits == bits else None


def _fewer_bits(plane: NDArray[Any], have: int, bits: int) -> NDArray[np.uint8] | None:
    full, top = (1 << have) - 1, (1 << bits) - 1
    wide = plane.astype(np.uint32)
    back = (wide * top + full // 2) // full
    return back.astype(np.uint8) if np.array_equal((back * full + top // 2) // top, wide) else None


def _source(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Decode the original; compare its samples with those of the input and of the first step."""
    name = find_original(bundle)
    if name is None:
        return
    seen.before_kept = True
    source, steps = bundle.receipt["inputs"]["picture"], bundle.receipt["steps"]
    image = _decode(bundle.folder / name, source["picture"], source["page"], found)
    if image is None:
        return
    if digest(image) != source["samples_sha256"]:
        if source["picture"]["format"] in LOSSY:
            found.notes.append(_other_decoder(Path(name)))
        else:
            found.wrong.append(f"the samples of {name} are not those the receipt names")
        return
    facts = picture_facts(image)
    wrong = [k for k, v in facts.items() if source["picture"][k] != v]
    if wrong:
        found.wrong.append(f"the receipt states another {' and '.join(wrong)} than {name} has")
        return
    if image.mode is ColorMode.PALETTE and steps:
        if digest(expand_palette(image, allocate)) != steps[0]["input_digest"]:
            found.wrong.append(f"the first step did not begin with the colours of {name}")
    seen.before = image


def _inputs(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Decode what else the job was given; compare its samples and facts with the receipt."""
    files: dict[str, Path | bytes] = {r: bundle.folder / n for r, n in bundle.in_folder(INPUTS).items()}
    for role, source in sorted({**bundle.carried, **files}.items()):
        stated, name = bundle.receipt["inputs"][role], shown(source.name) if isinstance(source, Path) else role
        try:
            image = read_input(source, stated)
        except UnavailableError as e:
            found.notes.append(f"{name} was not decoded: {e}")
            continue
        except InputError as e:
            found.wrong.append(f"{name} cannot be decoded as the receipt states: {e}")
            continue
        if digest(image) != stated["samples_sha256"]:
            if stated["file"] is not None and stated["picture"]["format"] in LOSSY:
                found.notes.append(_other_decoder(Path(name)))
            else:
                found.wrong.append(f"the samples of {name} are not those the receipt names")
            continue
        # an array has no format of its own, and is kept as PNG or TIFF
        skip = {"format"} if stated["file"] is None else set()
        wrong = [k for k, v in picture_facts(image).items() if k not in skip and stated["picture"][k] != v]
        if wrong:
            found.wrong.append(f"the receipt states another {' and '.join(wrong)} than {name} has")
            continue
        seen.inputs[role] = image


def _outputs(bundle: Bundle, seen: Seen, found: Findings) -> None:
    """Decode what the job made besides the result, and compare."""
    for role, name in sorted(bundle.in_folder(OUTPUTS).items()):
        made = _made(bundle.folder / name, bundle.receipt["outputs"][role], found)
        if role == "sheet" and isinstance(made, PictureArtifact):
            seen.sheet = made.image


def _made(path: Path, stated: Mapping[str, Any], found: Findings) -> Artifact | None:
    try:
        made = read_artifact(path, stated)
    except InputError as e:
        found.wrong.append(f"{shown(path.name)} cannot be read as the receipt states: {e}")
        return None
    facts, digest = made.facts(), made.digest()
    if digest != stated["samples_sha256"] or digest != stated["file"]["decoded_samples_sha256"]:
        found.wrong.append(f"what {shown(path.name)} holds is not what the receipt names")
    elif "scene" in facts and facts["scene"] != stated["scene"]:
        found.wrong.append(f"the receipt states something else of the Gaussians than {shown(path.name)} has")
    return made


def _decode(path: Path, size: Mapping[str, Any], page: int, found: Findings) -> Image | None:
    try:
        return read_picture(path, size["width"], size["height"], page)
    except (UnavailableError, UnsupportedFormat) as e:
        found.notes.append(f"{shown(path.name)} was not decoded: {e}")
    except InputError as e:
        if isinstance(e.__cause__, MemoryError):  # that is about this machine
            found.notes.append(f"{shown(path.name)} was not decoded: {e}")
            return None
        found.wrong.append(f"{shown(path.name)} cannot be decoded as the receipt states: {e}")
    return None


def _other_decoder(path: Path) -> str:
    return f"{shown(path.name)} is the sealed file, but decodes to other samples here: another decoder version"


# ------------------------------------------------------------------------------------------------- report and observed


def _observed(bundle: Bundle, found: Findings) -> None:
    """Check the form of ``observed.json``. What it says of times nobody can check."""
    if OBSERVED not in bundle.sealed_files:
        return
    try:
        seen = read_observed(bundle)
        if len(seen["steps"]) != len(bundle.receipt["steps"]):
            raise ReceiptError("observed.steps: expected one entry for each step of the receipt")
    except ReceiptError as e:
        found.wrong.append(f"{OBSERVED}: {e}")


def read_observed(bundle: Bundle) -> dict[str, Any]:
    """Read ``observed.json`` strictly.

    Raises
    ------
    ReceiptError
        If it is not valid by its schema, or not in canonical form.
    """
    data = read_limited(bundle.folder / OBSERVED, canonical.MAX_BYTES)
    seen: dict[str, Any] = canonical.loads(data)
    check(seen, observed_schema(), "observed")
    if canonical.dumps(seen) != data:
        raise ReceiptError("it is not in canonical form (RFC 8785)")
    return seen


#: The row of a step's table that says its digital source type.
_KIND = re.compile(r"<tr><th>Digital source type</th><td>[A-Za-z]*</td></tr>")

#: What was said of the edit map before it compared colours outside sRGB.
_COMPARED_BEFORE = "The edit map compares colours as they are shown in sRGB."

#: What the line for ImageMagick leaves out, which reports of before did not say.
_LEFT_OUT = " Transparency is not compared."


def again(bundle: Bundle, seen: Seen, name: str) -> tuple[ReportInputs, frozenset[str]]:
    """Return what the report is made from, and which of its pictures cannot be shown, for what they show is not there.

    Parameters
    ----------
    bundle : Bundle
        Its files are as they were sealed.
    seen : Seen
        What could be decoded.
    name : str
        File name of the picture.

    Raises
    ------
    UnavailableError
        If a colour profile that pictures were shown through is not at hand.
    ReceiptError
        If ``observed.json`` is broken.
    """
    from tratto.provenance.report import SHOWS_AFTER, SHOWS_BEFORE, ReportInputs, input_alt

    receipt = bundle.receipt
    names = read_observed(bundle) if OBSERVED in bundle.sealed_files else None
    made = receipt["outputs"].get("picture")
    mapped = seen.edits is not None
    after = None if made is None else _to_show(seen.after, made["picture"], seen.before, mapped)
    before = _to_show(seen.before, receipt["inputs"]["picture"]["picture"], seen.after, mapped)
    second = {r: seen.inputs.get(r) for r in receipt["inputs"] if r != "picture"}
    if before is None or (after is None and made is not None):
        raise UnavailableError("the colour profile it was shown through is not at hand")
    inputs = ReportInputs(
        receipt=receipt,
        receipt_sha256=FileFacts.of(bundle.receipt_bytes).sha256,
        source=before,
        result=after,
        edit_map=seen.edits,
        confidence=seen.confidences,
        output_name=name,
        original_name=names["input_name"] if names is not None else "",
        original_file=find_original(bundle),
        signed=bundle.sealed_output if bundle.credentials else None,
        mask=seen.mask,
        parts=tuple(seen.parts),
        inputs={r: _small_blank(receipt["inputs"][r]["picture"]) if i is None else i for r, i in second.items()},
        sheet=seen.sheet,
        files=tuple(sorted(n for n in bundle.sealed_files if "/" in n)),
    )
    missing = {input_alt(role) for role, image in second.items() if image is None}
    missing |= SHOWS_BEFORE if seen.before is None else frozenset()
    missing |= SHOWS_AFTER if seen.after is None else frozenset()
    return inputs, frozenset(missing)


def _report(bundle: Bundle, picture: Path | None, seen: Seen, found: Findings) -> None:
    """Make the report again and compare."""
    from tratto.provenance.report import (
        COMPARED,
        SHOWS_AFTER,
        SHOWS_BEFORE,
        as_named,
        compare_reports,
        named_in,
        render_report,
    )

    if REPORT not in bundle.sealed_files:
        found.wrong.append(f"the seal names no {REPORT}; every bundle has one")
        return
    receipt = bundle.receipt
    if found.wrong or tuple(m is None for m in maps_of(receipt)) != (seen.edits is None, seen.confidences is None):
        return  # it would be made from statements that are wrong already
    ours = _version()
    if receipt["tool"]["version"] != ours:
        found.notes.append(
            f"{REPORT} was not compared: version {shown(receipt['tool']['version'])} wrote it, this is {ours}"
        )
        return
    try:
        stored = read_report(bundle)
        name = named_in(stored)
        inputs, skip = again(bundle, seen, name)
    except UnavailableError as e:
        found.notes.append(f"{REPORT} was not compared: {e}")
        return
    except ReceiptError as e:
        found.wrong.append(f"{REPORT} cannot be read: {e}")
        return
    if seen.after_is == "lossy":
        skip |= SHOWS_AFTER
    fresh = render_report(inputs)
    if _KIND.search(stored) is None:  # reports of before did not say it, and are no less true
        fresh = _KIND.sub("", fresh)
    if COMPARED not in stored:
        fresh = fresh.replace(COMPARED, _COMPARED_BEFORE)
    if _LEFT_OUT not in stored:
        fresh = fresh.replace(_LEFT_OUT, "")
    wrong, alike = compare_reports(stored, fresh, skip)
    if wrong:
        found.wrong.append(f"{REPORT} is not what follows from the receipt: {wrong}")
        return
    if OBSERVED in bundle.sealed_files and as_named(read_observed(bundle)["output_name"]) != name:
        found.wrong.append(f"{REPORT} and {OBSERVED} name different pictures")
        return
    found.checked.append(f"{REPORT}, made again from the receipt, is the same")
    if alike:
        found.notes.append(f"the pictures in {REPORT} are alike, not byte by byte the same: another library version")
    for some, what in ((SHOWS_BEFORE, "before"), (SHOWS_AFTER, "after")):
        if skip & some and ("picture" in receipt["outputs"] or some is SHOWS_BEFORE):
            found.notes.append(f"the pictures of the state {what} in {REPORT} could not be compared")
    if picture is not None and name != as_named(picture.name.encode("utf-8", "replace").decode("utf-8")[:500]):
        found.notes.append(f"{REPORT} calls the picture {shown(name)}: it was renamed")


def read_report(bundle: Bundle) -> str:
    """Read ``report.html``.

    Raises
    ------
    ReceiptError
        If it is too large, or not of UTF-8.
    """
    try:
        return read_limited(bundle.folder / REPORT, _MAX_REPORT).decode("utf-8")
    except UnicodeDecodeError as e:
        raise ReceiptError(f"it is not of UTF-8: {e}") from e


def _to_show(image: Image | None, facts: Mapping[str, Any], other: Image | None, mapped: bool = True) -> Image | None:
    """Return a picture as the report showed it, a black one if it is missing, None if its profile is.

    Parameters
    ----------
    image : Image or None
        As decoded; None: it is missing.
    facts : mapping
        What the receipt says of it.
    other : Image or None
        One that may have the same profile.
    mapped : bool
        True if there is an edit map of its geometry, which bounds its size: then a missing one is as large as stated.
    """
    if image is None:
        image = _blank(facts) if mapped else _small_blank(facts)
    candidates = [image.meta.icc, None if other is None else other.meta.icc, None]
    for icc in candidates:
        if (None if icc is None else hashlib.sha256(icc).hexdigest()) == facts["icc_sha256"]:
            return image.replace(meta=replace(image.meta, icc=icc, orientation=facts["orientation"]))
    return None


def _small_blank(facts: Mapping[str, Any]) -> Image:
    """Return a black picture of the size of a preview: what a receipt states of a size alone is bounded by nothing."""
    from tratto.provenance.report import PREVIEW

    factor = max(1.0, max(facts["width"], facts["height"]) / PREVIEW)
    sides = {side: max(1, round(facts[side] / factor)) for side in ("width", "height")}
    return _blank({**facts, **sides})


def _blank(facts: Mapping[str, Any]) -> Image:
    mode, bits = ColorMode(facts["mode"]), int(facts["bits"])
    channels = {ColorMode.RGB: (3,), ColorMode.CMYK: (4,)}.get(mode, ())
    pixels: Any = allocate((facts["height"], facts["width"], *channels), np.uint16 if bits == 16 else np.uint8)
    palette = np.array([[0, 0, 0, 255]], np.uint8) if mode is ColorMode.PALETTE else None
    return Image(pixels, mode, bits, palette=palette, meta=Metadata(format=facts["format"]))


def _version() -> str:
    return __version__
