"""Decode what lies in a bundle and compute again what the receipt, the maps and the report say of it.

Hashes show that files are as they were sealed. Here it is asked whether they were true when they were sealed: the edit
map is made anew from the original and the result (:mod:`.recheck_maps`), the report from the receipt
(:mod:`.recheck_report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.artifact import Artifact, PictureArtifact, picture_facts
from tratto.core.errors import InputError, ReceiptError, UnavailableError, UnsupportedFormat
from tratto.core.image import ColorMode, Image
from tratto.core.text import shown
from tratto.imaging.io import digest, expand_palette
from tratto.imaging.io.limits import OPTION, usual_pixels
from tratto.imaging.scratch import allocate
from tratto.provenance.bundle import INPUTS, OUTPUTS, Bundle, find_original, read_artifact, read_input, read_picture
from tratto.provenance.bundle.samples import MOST_PIXELS
from tratto.provenance.findings import Findings, Seen
from tratto.provenance.receipt import EXISTING, LOSSLESS_OUTPUT, main_output
from tratto.provenance.recheck_maps import check_edit_map, check_outside, decode_maps
from tratto.provenance.recheck_report import check_observed, check_report

#: Formats whose decoders may differ in the last digit from version to version.
LOSSY = ("jpeg", "webp", "heif", "avif")


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
        check_outside(bundle, seen, found)
        check_edit_map(bundle, seen, found)
    check_observed(bundle, found)
    check_report(bundle, picture, seen, found)


def decode(bundle: Bundle, picture: Path | None, found: Findings) -> Seen:
    """Decode everything, and compare samples and facts with the receipt; parameters as of :func:`recheck`."""
    seen = Seen()
    decode_maps(bundle, seen, found)
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
