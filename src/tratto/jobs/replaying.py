"""A job done again from its receipt, and how exactly it agrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tratto.core.artifact import Artifact, InputPicture, PictureArtifact, Scene, main_role
from tratto.core.errors import OptionError, ReceiptError, TrattoError
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.imaging import io
from tratto.imaging.io import Limits
from tratto.imaging.opening import open_picture
from tratto.imaging.scratch import allocate
from tratto.jobs.options import as_path
from tratto.steps import step_class
from tratto.tasks.prepared import Prepared

if TYPE_CHECKING:
    from tratto.imaging.io import Limits
    from tratto.jobs.job import Job
    from tratto.provenance.bundle import StoredBundle

#: Replay bounds: largest sample difference of tiers B and C, and the smallest PSNR of tier C. PSNR alone would let a
#: small patch of anything through, since it is a mean over the whole picture.
TIER_B = 2 / 255
TIER_C = 8 / 255
TIER_C_PSNR = 30.0


@dataclass(frozen=True)
class Replayed:
    """How exactly a replay agrees.

    Attributes
    ----------
    tier : str
        ``"A"`` bit-exact samples; ``"B"`` no sample differs by more than 2/255; ``"C"`` none by more than 8/255, and
        PSNR of 30 dB or more; ``"different"``; or ``"not comparable"`` when the samples differ and there is no
        picture to compare with.
    max_error : float or None
        Largest difference of a sample, colour or alpha, full scale = 1.
    psnr : float or None
        dB; None when the samples are equal or cannot be compared.
    differing_step : str
        The first step whose output digest differs; empty in tier A.
    same_environment : bool
        True if this is the environment that the receipt states: version, libraries, processor features, threads,
        runtimes and weights. Then only tier A is to be expected.
    doubt : str
        Why what lies there is not what was sealed, whatever the replay gave: the picture was altered, or the receipt.

    Examples
    --------
    >>> Replayed("A", 0.0, None).exit_code, Replayed("different", 0.5, 12.0).exit_code
    (0, 9)
    >>> Replayed("A", 0.0, None).sentence()
    'tier A: every sample is identical'
    """

    tier: str
    max_error: float | None
    psnr: float | None
    differing_step: str = ""
    same_environment: bool = False
    doubt: str = ""

    @property
    def exit_code(self) -> int:
        """0 for tier A, B and C; 9 for a different result, or if anything was altered; 10 if it cannot be compared."""
        return 9 if self.doubt else {"A": 0, "B": 0, "C": 0, "different": 9}.get(self.tier, 10)

    def sentence(self) -> str:
        """Return the verdict in words."""
        return self._agreement() + (f"; but {self.doubt}: see tratto verify" if self.doubt else "")

    def _agreement(self) -> str:
        if self.tier == "A":
            return "tier A: every sample is identical"
        where = f"; the first step that differs is {self.differing_step}" if self.differing_step else ""
        if self.same_environment:
            where += (
                "; the receipt states this very environment (version, libraries, processor, threads, weights), so "
                "every sample should have been identical: its result is not what this recipe gives"
            )
        if self.max_error is None:
            return f"the samples differ, and there is no picture to compare with{where}"
        psnr = "equal" if self.psnr is None else f"PSNR {self.psnr:.1f} dB"
        words = {
            "B": "tier B: no sample differs by more than 2/255",
            "C": "tier C: alike, no sample differs by more than 8/255",
            "different": "different: this is another result",
        }[self.tier]
        return f"{words}: largest difference {255 * self.max_error:.2f}/255, {psnr}{where}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "tier": self.tier,
            "max_error": self.max_error,
            "psnr": self.psnr,
            "differing_step": self.differing_step,
            "same_environment": self.same_environment,
            "doubt": self.doubt or None,
        }


def replay(job: Job, receipt: Path | str, source: Any = None, inputs: Mapping[str, Any] | None = None) -> Replayed:
    """Do a job again from its receipt and compare; see :meth:`tratto.Session.replay`."""
    from tratto.provenance.bundle import open_account
    from tratto.provenance.receipt import main_output

    account = open_account(as_path(receipt, "a bundle, a picture beside one, or a receipt"))
    named = dict(inputs or {})
    source = named.pop("picture", None) if source is None else source
    given = account.original if source is None else source
    if given is None:
        raise ReceiptError("the bundle holds no original; name the input file with --input FILE")
    facts = account.receipt
    page = int(facts["inputs"]["picture"]["page"])
    image = open_picture(given, page, job.limits)
    if io.digest(image) != facts["inputs"]["picture"]["samples_sha256"]:
        raise ReceiptError("this is not the picture the receipt is about: its samples have another hash")
    second = _second_inputs(account, named, job.limits)
    mask = None
    if facts["mask"] is not None:
        if account.mask is None:
            raise ReceiptError("the job had a mask, and the bundle does not hold it; replay needs the whole bundle")
        mask = Mask(account.mask)
    recipe = Recipe.from_json(facts["recipe"]["resolved"], step_class)
    prepared = Prepared(None, mask, account.masks, inputs=second, output=main_role(facts["outputs"]))
    try:
        done = job.execute(recipe, image, _inspection_of(facts), prepared, None, page, pinned_models(facts))
    except (TrattoError, MemoryError):
        raise
    except Exception as e:
        # every parameter is of the kind its field has; what is in a table of them anybody may have written
        raise ReceiptError(f"the recipe cannot be done as it stands ({type(e).__name__}: {e})") from e
    same = _same_environment(facts, done.receipt)
    if main_output(done.receipt)["samples_sha256"] == main_output(facts)["samples_sha256"]:
        return Replayed("A", 0.0, None, "", same, account.doubt)
    step = ""
    for was, now in zip(facts["steps"], done.records, strict=False):
        if was["output_digest"] != now.output_digest:
            step = f"{now.step} by {now.provider}" if now.provider else now.step
            break
    if account.output is None:
        return Replayed("not comparable", None, None, step, same, account.doubt)
    return replace(_compared(account.output, main_output(facts), done.main, step, same), doubt=account.doubt)


def _second_inputs(account: StoredBundle, given: dict[str, Any], limits: Limits | None) -> dict[str, InputPicture]:
    """Open what else the job was given, from the bundle or as named now, and check that it is the same.

    Raises
    ------
    OptionError
        If a role is named that the job knows nothing of.
    ReceiptError
        If one is missing, or is another picture.
    """
    from tratto.provenance.bundle import read_input

    stated = {role: facts for role, facts in account.receipt["inputs"].items() if role != "picture"}
    for role in given:
        if role not in stated:
            known = ", ".join(sorted(stated)) or "only the picture"
            raise OptionError(f"the job was given no {role!r}; it worked with {known}")
    opened = {}
    for role, facts in stated.items():
        page = int(facts["page"])
        if role in given:
            image = open_picture(given[role], page, limits)
        elif role in account.inputs:
            image = read_input(account.inputs[role], facts)
        else:
            raise ReceiptError(
                f"the job was also given a {role}, and the bundle does not hold it; name the file with "
                f"--input {role}=FILE"
            )
        if io.digest(image) != facts["samples_sha256"]:
            raise ReceiptError(f"this is not the {role} that the receipt names: its samples have another hash")
        opened[role] = InputPicture(image, None, page)
    return opened


def _compared(stored: Path, facts: Mapping[str, Any], fresh: Artifact, step: str, same: bool) -> Replayed:
    """Say how far the result as it was written is from that of a replay."""
    from tratto.provenance.bundle import read_artifact, read_picture

    if isinstance(fresh, Scene):
        return compare_scenes(read_artifact(stored, facts), fresh, step, same)
    if not isinstance(fresh, PictureArtifact):
        return Replayed("not comparable", None, None, step, same)
    before = read_picture(stored, facts["picture"]["width"], facts["picture"]["height"])
    return compare(before, fresh.image, step, same)


def compare_scenes(stored: Artifact, fresh: Scene, step: str, same: bool = False) -> Replayed:
    """Say how far two scenes lie apart, Gaussian by Gaussian: positions by their extent, colours by full scale."""
    if not isinstance(stored, Scene) or stored.positions.shape != fresh.positions.shape:
        return Replayed("different", 1.0, 0.0, step, same)
    size = float(np.ptp(stored.positions, axis=0).max()) or 1.0
    apart = np.concatenate(
        [
            (stored.positions.astype(np.float64) - fresh.positions) / size,
            stored.colors.astype(np.float64) - fresh.colors,
        ]
    )
    return _tiered(float(np.abs(apart).max()), float((apart**2).sum()), apart.size, step, same)


def pinned_models(receipt: dict[str, Any]) -> dict[str, str]:
    """Return the weights that a receipt names, by the ids of their models: a replay opens these."""
    return {str(m["id"]): str(m["sha256"]) for step in receipt["steps"] for m in step["models"] if m["sha256"]}


def _same_environment(stated: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether two receipts state all the same of what a sample can depend on besides the picture and recipe."""

    def of(receipt: dict[str, Any]) -> list[Any]:
        ran = [[s[k] for k in ("provider", "precision", "library", "models")] for s in receipt["steps"]]
        return [receipt["tool"], receipt["environment"], ran]

    return of(stated) == of(now)


def compare(stored: Image, fresh: Image, step: str, same: bool = False) -> Replayed:
    """Say how far a picture as it was written is from the result of a replay.

    A format that holds the result in another form (grey as RGB, a palette filled up) is turned back. A JPEG is compared
    with a JPEG: the replay's result is compressed with the tables of the stored one.
    """
    if stored.meta.format == "jpeg":
        fresh = as_jpeg(fresh, stored)
    stored, fresh = _in_one_form(stored, fresh)
    planes = [(stored.pixels, fresh.pixels)]
    if stored.alpha is not None and fresh.alpha is not None:
        planes.append((stored.alpha, fresh.alpha))
    one_kind = (stored.mode, stored.bits, stored.alpha is None) == (fresh.mode, fresh.bits, fresh.alpha is None)
    if not one_kind or any(a.shape != b.shape for a, b in planes):
        return Replayed("different", 1.0, 0.0, step, same)
    worst, squares, count = 0.0, 0.0, 0
    for a, b in planes:
        for y in range(0, a.shape[0], 256):
            apart = np.abs(a[y : y + 256].astype(np.int32) - b[y : y + 256].astype(np.int32)) / fresh.max_value
            worst, squares = max(worst, float(apart.max())), squares + float((apart**2).sum())
            count += apart.size
    return _tiered(worst, squares, count, step, same)


def _tiered(worst: float, squares: float, count: int, step: str, same: bool) -> Replayed:
    """Return the tier of a largest difference and a sum of squares, full scale = 1."""
    db = float(-10 * np.log10(squares / count)) if squares else None
    slack = 1e-9  # 2/255 in whole samples is not always the nearest number to 2/255
    alike = worst <= TIER_C + slack and (db is None or db >= TIER_C_PSNR)
    tier = "B" if worst <= TIER_B + slack else "C" if alike else "different"
    return Replayed(tier, worst, db, step, same)


def _in_one_form(stored: Image, fresh: Image) -> tuple[Image, Image]:
    from tratto.provenance.recheck import as_stated

    if ColorMode.PALETTE in (stored.mode, fresh.mode):
        # numbers of colours say nothing of how far the colours lie apart
        return io.expand_palette(stored, allocate), io.expand_palette(fresh, allocate)
    form = {"mode": fresh.mode.value, "bits": fresh.bits, "alpha": fresh.alpha is not None}
    back = as_stated(stored, form)
    return (stored if back is None else back), fresh


def as_jpeg(fresh: Image, like: Image) -> Image:
    """Return what a picture becomes in a JPEG with the quantisation tables of another one."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tratto-") as folder:
        path = Path(folder) / "again.jpg"
        named = fresh.replace(meta=replace(fresh.meta, jpeg=like.meta.jpeg))
        io.write_image(named, path, "jpeg", io.WriteOptions(strip_metadata=True, keep_tables=True))
        return io.read_image(path, _no_limits(), scratch=allocate)


def _inspection_of(receipt: dict[str, Any]) -> Inspection:
    """Rebuild the inspection a receipt states, so that a replay depends on no estimator."""
    try:
        return Inspection.from_json(receipt["inspection"])
    except ValueError as e:
        raise ReceiptError(f"the receipt's inspection is malformed: {e}") from e


def _no_limits() -> Limits:
    return Limits(max_pixels=2**40, max_side=2**31, max_bytes=2**40)
