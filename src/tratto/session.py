"""The composition root and the SDK: opens pictures and services, plans, runs, seals, replays."""

from __future__ import annotations

import filecmp
import hashlib
import operator
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tratto.core.canvas import Canvas
from tratto.core.capability import Inpainter, Restorer
from tratto.core.errors import ForbiddenStep, InputError, OptionError, OutputError, PictureTooLarge, ReceiptError
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.inspection import Estimate, Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import Result
from tratto.core.step import StepRecord
from tratto.imaging.scratch import allocate, release
from tratto.steps import step_class

if TYPE_CHECKING:
    from tratto.engine.run import Outcome
    from tratto.imaging.io import Limits
    from tratto.provenance.audit import AuditRow
    from tratto.provenance.consistency import Known
    from tratto.provenance.notary import Notary
    from tratto.provenance.trust import Trust
    from tratto.provenance.verify import Verdict
    from tratto.tasks.recolor import RecolorOptions
    from tratto.tasks.repair import RepairOptions
    from tratto.tasks.restore import RestoreOptions

#: ``progress(stage, done, total)``; raising stops the job.
Progress = Callable[[str, int, int], None]
#: What a picture may be given as.
PictureLike = "str | os.PathLike[str] | bytes | NDArray[Any] | PilImage | Image"


#: Replay bounds: largest sample difference of tiers B and C, and the smallest PSNR of tier C. PSNR alone would let a
#: small patch of anything through, since it is a mean over the whole picture.
TIER_B = 2 / 255
TIER_C = 8 / 255
TIER_C_PSNR = 30.0


@dataclass(frozen=True)
class JobLimits:
    """What a job may cost before it is refused.

    Attributes
    ----------
    output_pixels : int
        Largest number of pixels of a result.
    minutes : float
        Longest estimated time.
    """

    output_pixels: int = 400_000_000
    minutes: float = 60.0


@dataclass(frozen=True)
class SaveOptions:
    """How a result is written.

    Attributes
    ----------
    format : str
        ``auto`` (PNG; TIFF for TIFF input and CMYK), ``keep`` (the input's), ``png``, ``tiff``, ``webp`` (lossless),
        ``jpeg`` or ``bmp``.
    quality : int
        1-100, for JPEG.
    keep_original : bool
        Keep a byte-exact copy of the input in the bundle, which is what makes ``revert`` possible.
    strip_metadata : bool
        Drop EXIF, XMP, IPTC and text from the picture and names and times from the bundle.
    """

    format: str = "auto"
    quality: int = 95
    keep_original: bool = True
    strip_metadata: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        if not 1 <= self.quality <= 100:
            raise OptionError(f"quality must lie in 1-100, got {self.quality}")
        if self.strip_metadata and self.keep_original:
            raise OptionError(
                "an untouched original still holds its metadata: strip_metadata needs keep_original=False"
            )


@dataclass(frozen=True)
class Saved:
    """What was written.

    Attributes
    ----------
    output, bundle : Path
    receipt_sha256 : str
    warnings : tuple of str
    signed : str
        Who signed the picture, as ``verify`` will say it; empty: it is unsigned.
    entry : int or None
        Its number in the ledger.
    """

    output: Path
    bundle: Path
    receipt_sha256: str
    warnings: tuple[str, ...] = ()
    signed: str = ""
    entry: int | None = None


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
    """

    tier: str
    max_error: float | None
    psnr: float | None
    differing_step: str = ""
    same_environment: bool = False

    @property
    def exit_code(self) -> int:
        """0 for tier A, B and C; 9 for a different result; 10 when it could not be compared."""
        return {"A": 0, "B": 0, "C": 0, "different": 9}.get(self.tier, 10)

    def sentence(self) -> str:
        """Return the verdict in words."""
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
        }


#: What ``SaveOptions.format`` may be, and the ending each writes.
FORMATS = {"auto": ".png", "keep": "", "png": ".png", "tiff": ".tif", "webp": ".webp", "jpeg": ".jpg", "bmp": ".bmp"}
#: Endings that mean a format.
ENDINGS = {
    "png": (".png",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
    "jpeg": (".jpg", ".jpeg"),
    "bmp": (".bmp", ".dib"),
}


@dataclass(frozen=True)
class Estimated:
    """What a job would do.

    Attributes
    ----------
    recipe : Recipe
        Resolved as far as possible without running: providers are named.
    seconds : float
        From the providers' stated speeds; this machine may differ.
    width, height : int
        Of the result.
    warnings : tuple of str
        What the user should know before: invented detail, licences, options without effect.
    """

    recipe: Recipe
    seconds: float
    width: int
    height: int
    warnings: tuple[str, ...] = ()


def _silent(stage: str, done: int, total: int) -> None:
    return None


class _JobServices:
    """The services of one job; see :class:`tratto.core.services.Services`."""

    def __init__(self, session: Session, seed: int, fast: bool, progress: Progress) -> None:
        self._session, self._seed, self._fast, self._progress = session, seed, fast, progress

    @property
    def seed(self) -> int:
        return self._seed

    @property
    def fast(self) -> bool:
        return self._fast

    def choose_restorer(self, provider: str, scale: int, params: dict[str, Any]) -> str:
        from tratto.providers.restorer import choose_restorer

        return choose_restorer(provider, scale, params)

    def open_restorer(self, provider: str, scale: int, params: dict[str, Any]) -> Restorer:
        return self._session.restorer(provider, scale, params)

    def choose_inpainter(self, provider: str) -> str:
        from tratto.providers.inpainter import choose_inpainter

        return choose_inpainter(provider)

    def open_inpainter(self, provider: str) -> Inpainter:
        return self._session.inpainter(provider)

    def scratch(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        return allocate(shape, dtype)

    def progress(self, stage: str, done: int, total: int) -> None:
        self._progress(stage, done, total)

    def run(self, recipe: Recipe, canvas: Canvas) -> tuple[Canvas, tuple[StepRecord, ...]]:
        from tratto.engine.run import run

        outcome = run(recipe, canvas, self)
        return outcome.canvas, outcome.records


@dataclass
class Session:
    """Holds what jobs share: limits, opened networks, a progress callback.

    Attributes
    ----------
    limits : Limits or None
        Reading limits; None = defaults of :class:`tratto.imaging.io.Limits`.
    job_limits : JobLimits
    forensic : bool
        Refuse generative steps and lower precision.
    progress : callable
        ``progress(stage, done, total)``.
    notary : Notary or None
        Signs what is saved, and records it in a ledger; None: results are sealed only.
    """

    limits: Limits | None = None
    job_limits: JobLimits = field(default_factory=JobLimits)
    forensic: bool = False
    progress: Progress = _silent
    notary: Notary | None = None
    _restorers: dict[str, Restorer] = field(default_factory=dict, repr=False)
    _inpainters: dict[str, Inpainter] = field(default_factory=dict, repr=False)

    # -- opening ------------------------------------------------------------------------------------------------

    def restorer(self, provider: str, scale: int, params: dict[str, Any]) -> Restorer:
        """Return an opened restorer, opening it on first use."""
        from tratto.providers.restorer import open_restorer

        key = repr((provider, scale, sorted(params.items())))
        if key not in self._restorers:
            rest = {k: v for k, v in params.items() if k != "fast"}
            self._restorers[key] = open_restorer(provider, scale, fast=bool(params.get("fast", False)), params=rest)
        return self._restorers[key]

    def inpainter(self, provider: str) -> Inpainter:
        """Return an opened in-painter, opening it on first use."""
        from tratto.providers.inpainter import open_inpainter

        if provider not in self._inpainters:
            self._inpainters[provider] = open_inpainter(provider)
        return self._inpainters[provider]

    def open(self, picture: Any, page: int | None = None) -> Image:
        """Return a picture as :class:`Image`.

        Parameters
        ----------
        picture : path, bytes, PIL picture, NumPy array or Image
            Arrays: (H, W) or (H, W, 1-4), uint8, uint16 or float in [0, 1]; two or four channels mean that the last
            is alpha.
        page : int or None
            Which page of a file that has several, from 0. (The command line counts pages from 1.) None: the only one.

        Raises
        ------
        OptionError
            If the file has several pages and none is named, or a page of something that has none is asked for.
        """
        from tratto.imaging import io

        page = _page_index(page)
        if isinstance(picture, Image):
            return picture
        if page and (isinstance(picture, np.ndarray) or hasattr(picture, "getbands")):
            what = "a NumPy array" if isinstance(picture, np.ndarray) else "a PIL picture as it stands"
            raise OptionError(f"{what} is one picture without pages, page {page} was asked for; leave page away")
        if isinstance(picture, np.ndarray):
            return io.image_from_array(picture)
        if isinstance(picture, str) and not picture:
            raise OptionError("the path of the picture is empty")
        if isinstance(picture, (str, os.PathLike, bytes, bytearray)):
            source = bytes(picture) if isinstance(picture, (bytes, bytearray)) else Path(picture)
            limits = self.limits or io.Limits()
            if page is None and (count := io.count_pages(source, limits)) > 1:
                name = "the file" if isinstance(source, bytes) else source.name
                raise OptionError(f"{name} holds {count} pages or frames; choose one with page=0 to page={count - 1}")
            return io.read_image(source, limits, page=page or 0, scratch=allocate)
        if hasattr(picture, "getbands"):
            return io.image_from_pil(picture)
        raise OptionError(
            f"a picture may be a path, bytes, a NumPy array, a PIL picture or a tratto.Image; "
            f"got {type(picture).__name__}"
        )

    def open_mask(self, mask: Any, image: Image) -> Mask:
        """Return a mask in the stored geometry of ``image``.

        A mask is drawn over the picture as a viewer shows it, that is with the EXIF orientation applied. It is read as
        grey: white may change, black must stay, grey is blended. A mask of whole numbers that holds nothing above 1
        counts as no and yes. Colours and transparency could mean one thing or its opposite, so they are refused.

        Parameters
        ----------
        mask : path, array, PIL picture, Image or Mask
            Arrays: (H, W), bool, uint8 / uint16 (full scale, or 1 in a mask of 0 and 1, may change) or float in [0, 1].
        image : Image

        Raises
        ------
        OptionError
            If the size does not fit, or it is not clear what the mask means.
        """
        from tratto.imaging import io
        from tratto.imaging.masks import mask_from_array, mask_from_picture

        if isinstance(mask, Mask):
            return _in_16_bits(mask.values)
        if isinstance(mask, (str, os.PathLike)):
            mask = io.read_image(Path(mask), self.limits or io.Limits())
        elif hasattr(mask, "getbands"):
            mask = io.image_from_pil(mask)
        if isinstance(mask, Image):
            upright = io.oriented(mask_from_picture(mask), mask.meta.orientation)
        else:
            upright = mask_from_array(np.asarray(mask))
        stored = np.ascontiguousarray(io.unoriented(upright, image.meta.orientation))
        if stored.shape != (image.height, image.width):
            raise OptionError(
                f"the mask is {upright.shape[1]}x{upright.shape[0]}, the picture as shown "
                f"{_shown(image)}; they must be of one size"
            )
        return _in_16_bits(stored)

    # -- jobs ---------------------------------------------------------------------------------------------------

    def inspect(self, picture: Any, page: int = 0) -> Inspection:
        """Say what is wrong with a picture; see :class:`tratto.Inspection`."""
        from tratto.imaging.estimate import inspect_image

        return inspect_image(self.open(picture, page))

    def estimate(self, recipe: Recipe, image: Image) -> Estimated:
        """Say what a recipe would do to this picture and how long it may take, without doing it.

        Raises
        ------
        ForbiddenStep
            If forensic mode would refuse to do it.
        """
        from tratto.engine.run import forbid_generative
        from tratto.steps.denoise import Denoise, restorer_notes

        services = _JobServices(self, recipe.seed, False, _silent)
        pixels, scale, seconds, steps = image.height * image.width, 1, 0.0, []
        notes: list[str] = []
        for step in recipe.steps:
            if not hasattr(step, "provider"):  # a step of its own, which states its own speed
                seconds += pixels * scale**2 / 1e6 / float(getattr(step, "megapixels_per_second", 1.0))
                steps.append(step)
                continue
            s = int(getattr(step, "scale", 1))
            params = getattr(step, "params", {})
            name = services.choose_restorer(getattr(step, "provider", "auto"), s, params)
            bare: Any = step
            named: Any = bare.by(name) if isinstance(step, Denoise) else replace(bare, provider=name)
            params = getattr(named, "params", {})
            info = self.restorer(name, s, {**params, "fast": bool(getattr(step, "fast", False))}).info
            if self.forensic:
                forbid_generative(info)
            groups = 2 if image.mode is ColorMode.CMYK else 1
            seconds += groups * pixels * scale**2 / 1e6 / max(info.megapixels_per_second, 1e-6)
            scale *= s
            steps.append(named)
            notes += restorer_notes(info, bool(getattr(step, "fast", False)))
        resolved = replace(recipe, steps=tuple(steps))
        return Estimated(resolved, seconds, image.width * scale, image.height * scale, tuple(dict.fromkeys(notes)))

    def check_cost(self, estimated: Estimated) -> None:
        """Refuse a job that is over the limits.

        Raises
        ------
        PictureTooLarge
            With what to do about it.
        """
        pixels = estimated.width * estimated.height
        if pixels > self.job_limits.output_pixels:
            raise PictureTooLarge(
                "the result would have {} megapixels, the limit is {}; choose a smaller scale or raise "
                "--max-output-megapixels".format(*_apart(pixels / 1e6, self.job_limits.output_pixels / 1e6))
            )
        if estimated.seconds > 60 * self.job_limits.minutes:
            raise PictureTooLarge(
                "this would take about {} minutes, the limit is {}; choose a faster --provider or raise "
                "--max-minutes".format(*_apart(estimated.seconds / 60, self.job_limits.minutes))
            )

    def restore(
        self,
        picture: Any,
        options: RestoreOptions | None = None,
        mask: Any = None,
        page: int | None = None,
        source: Any = None,
    ) -> Result:
        """Restore one picture.

        Parameters
        ----------
        picture : path, bytes, array, PIL picture or Image
        options : RestoreOptions or None
        mask : path, array, Mask or None
            Where it may change.
        page : int or None
            Which page of a file that has several, from 0; see :meth:`open`.
        source : None or path or bytes
            The file the picture came from, when ``picture`` is already decoded; hashed into the receipt.
        """
        from tratto.tasks import restore as task

        options = options or task.RestoreOptions()
        self.check_options(options)
        image = self.open(picture, page)
        inspection = self.inspect(image)
        recipe = task.plan(options, inspection)
        origin = source if source is not None else picture
        check_mask_is_another(mask, origin)
        opened = None if mask is None else self.open_mask(mask, image)
        return self.execute(recipe, image, inspection, (opened, origin, page or 0))

    def repair(
        self,
        picture: Any,
        options: RepairOptions | None = None,
        mask: Any = None,
        page: int | None = None,
        source: Any = None,
    ) -> Result:
        """Fill what a mask marks.

        Parameters
        ----------
        picture : path, bytes, array, PIL picture or Image
        options : RepairOptions or None
        mask : path, array or Mask
            White where it is damaged; see :meth:`open_mask`. Grown and feathered as the options ask.
        page : int or None
            Which page of a file that has several, from 0; see :meth:`open`.
        source : None or path or bytes
            The file the picture came from, when ``picture`` is already decoded; hashed into the receipt.

        Raises
        ------
        OptionError
            If there is no mask, or it opens all of the picture.
        """
        from tratto.imaging.wall_mask import adjust_mask
        from tratto.tasks import repair as task

        options = options or task.RepairOptions()
        self.check_options(options)
        image = self.open(picture, page)
        origin = source if source is not None else picture
        check_mask_is_another(mask, origin)
        if mask is None:
            raise OptionError("repair needs to know what is damaged: give a mask, white where it is (--mask)")
        values = adjust_mask(self.open_mask(mask, image).values, options.grow, options.blend)
        damage = _in_16_bits(values)
        inspection = self.inspect(image)
        return self.execute(task.plan(options, inspection), image, inspection, (damage, origin, page or 0))

    def recolor(
        self, picture: Any, options: RecolorOptions, mask: Any = None, page: int | None = None, source: Any = None
    ) -> Result:
        """Repaint the wall of one picture.

        Parameters
        ----------
        picture : path, bytes, array, PIL picture or Image
        options : RecolorOptions
        mask : path, array, Mask or None
            White where the wall is; None: searched from ``options.clicks``.
        page : int or None
            Which page of a file that has several, from 0; see :meth:`open`.
        source : None or path or bytes
            The file the picture came from, when ``picture`` is already decoded; hashed into the receipt.

        Raises
        ------
        OptionError
            If there is neither a mask nor a click, or the picture is not RGB.
        """
        from tratto.tasks import recolor as task

        self.check_options(options)
        image = self.open(picture, page)
        origin = source if source is not None else picture
        check_mask_is_another(mask, origin)
        wall = self.wall_mask(image, options, mask)
        inspection = self.inspect(image)
        recipe = task.plan(_in_stored_order(options, image), inspection)
        return self.execute(recipe, image, inspection, (wall, origin, page or 0))

    def wall_mask(self, image: Image, options: RecolorOptions, mask: Any = None) -> Mask:
        """Return where a wall is: the mask given, or what is found from clicks, grown and feathered as asked.

        The share of wall is in the last bits of the values; see :func:`tratto.imaging.matting.coded`.

        Parameters
        ----------
        image : Image
        options : RecolorOptions
            Its ``clicks``, ``grow``, ``feather`` and ``edge`` count.
        mask : path, array, Mask or None

        Raises
        ------
        OptionError
            If there is neither a mask nor a click.
        """
        from tratto.imaging.color import view_rgb
        from tratto.imaging.matting import coded
        from tratto.imaging.wall_mask import adjust_mask, stored_point, wall_from_points

        if mask is not None:
            values = self.open_mask(mask, image).values
        elif options.clicks:
            turn = image.meta.orientation
            points, others = (
                [stored_point(p, (image.width, image.height), turn) for p in given]
                for given in (options.clicks, options.others)
            )
            values = wall_from_points(view_rgb(image), points, others=others)
        else:
            raise OptionError("recolor needs to know the wall: give a mask, or click points on it (--mask, --click)")
        return Mask(coded(adjust_mask(values, options.grow, options.feather), options.edge))

    def perform(
        self, options: Any, picture: Any, mask: Any = None, page: int | None = None, source: Any = None
    ) -> Result:
        """Do the job that these options are for; see :meth:`restore`, :meth:`repair` and :meth:`recolor`."""
        from tratto.tasks import task_of

        done: Result = getattr(self, task_of(options).name)(picture, options, mask, page, source)
        return done

    def plan_for(self, options: Any, image: Image) -> tuple[Estimated, Inspection]:
        """Say what :meth:`perform` would do with an opened picture."""
        from importlib import import_module

        from tratto.tasks import task_of

        inspection = self.inspect(image)
        recipe = import_module(task_of(options).module).plan(options, inspection)
        return self.estimate(recipe, image), inspection

    def check_options(self, options: RestoreOptions | RepairOptions | RecolorOptions) -> None:
        """Refuse, before a picture is opened, what no picture could make possible.

        Raises
        ------
        OptionError
            If there is no such provider, or it does not offer this scale or these parameters.
        ForbiddenStep
            If in forensic mode a wall is to be repainted, a hole to be filled, or lower precision is allowed.
        UnavailableError
            If the provider is not ready here; the message names the command that would change that.
        """
        from tratto.providers.restorer import choose_restorer
        from tratto.tasks import task_of

        if task_of(options).name == "repair":
            from tratto.providers.inpainter import choose_inpainter

            choose_inpainter(options.method)
            if self.forensic:
                raise ForbiddenStep("forensic mode shows what is there, and what fills a hole is not; drop --forensic")
            return
        if task_of(options).name == "recolor":
            if self.forensic:
                raise ForbiddenStep("forensic mode shows what is there, and another paint is not; drop --forensic")
            return
        choose_restorer(options.provider, options.scale, options.params)
        if self.forensic and options.fast:
            raise ForbiddenStep("forensic mode computes in full precision; drop --fast")

    def execute(
        self, recipe: Recipe, image: Image, inspection: Inspection, given: tuple[Mask | None, Any, int]
    ) -> Result:
        """Run a recipe on an opened picture and account for it; what ``restore`` and ``replay`` share.

        Parameters
        ----------
        recipe : Recipe
        image : Image
        inspection : Inspection
        given : (Mask or None, origin, int)
            The mask, the file or bytes the picture came from (None for arrays), and the page.
        """
        from tratto.engine.run import run
        from tratto.imaging import io

        mask, origin, page = given
        fast = any(bool(getattr(s, "fast", False)) for s in recipe.steps)
        if self.forensic and fast:
            raise ForbiddenStep("forensic mode computes in full precision; drop --fast")
        self.check_cost(self.estimate(recipe, image))
        working = io.expand_palette(image) if image.mode is ColorMode.PALETTE else image
        canvas = Canvas(working, image, {} if mask is None else {"edit": mask}, inspection)
        services = _JobServices(self, recipe.seed, fast, self.progress)
        outcome = run(recipe, canvas, services, allow_generative=not self.forensic)
        final = _back_to_mode(image, outcome.baseline, outcome.canvas.image)
        return self._account(recipe, outcome, final, inspection, (mask, origin, page))

    def _account(
        self, asked: Recipe, outcome: Outcome, final: Image, inspection: Inspection, given: tuple[Mask | None, Any, int]
    ) -> Result:
        """Make the maps and the receipt of a finished run."""
        from tratto.imaging import io
        from tratto.provenance.confidence import confidence_map
        from tratto.provenance.edit_map import edit_map
        from tratto.provenance.receipt import FileFacts, ReceiptInputs, build_receipt
        from tratto.provenance.seal import hash_file

        mask, origin, page = given
        canvas = outcome.canvas
        shape = (final.height, final.width)
        edits: NDArray[np.uint16] = allocate(shape, np.uint16)  # type: ignore[assignment]
        sure: NDArray[np.uint16] = allocate(shape, np.uint16)  # type: ignore[assignment]
        scale = canvas.scale
        before = canvas.source if scale == 1 else outcome.baseline
        stats = edit_map(before, final, 1, None, edits)
        confidence_map(canvas.sigma, 1.0 if outcome.records else 0.0, sure)
        input_file = None
        if isinstance(origin, (str, os.PathLike)):
            input_file = hash_file(Path(origin))
        elif isinstance(origin, (bytes, bytearray)):
            input_file = FileFacts.of(bytes(origin))
        notes = [n for r in outcome.records for n in r.notes]
        if mask is not None:
            notes += mask_warnings(mask)
        warnings = tuple(dict.fromkeys(notes))
        receipt = build_receipt(
            ReceiptInputs(
                asked=asked,
                resolved=outcome.resolved,
                records=outcome.records,
                inspection=inspection,
                source=canvas.source,
                source_digest=io.digest(canvas.source),
                output=final,
                output_digest=io.digest(final),
                edit=stats,
                edit_map=edits,
                confidence=sure,
                kernel=outcome.kernel,
                page=page,
                input_file=input_file,
                mask=mask,
                forensic=self.forensic,
                stand_ins=tuple(w for w in warnings if "stand-in" in w),
                warnings=warnings,
            )
        )
        return Result(
            image=final,
            source=canvas.source,
            edit_map=edits,
            confidence=sure,
            inspection=inspection,
            asked=asked,
            resolved=outcome.resolved,
            records=outcome.records,
            receipt=receipt,
            warnings=warnings,
            mask=mask,
        )

    # -- writing ------------------------------------------------------------------------------------------------

    def count_pages(self, path: Path) -> int:
        """Return how many pages or frames a file has."""
        from tratto.imaging import io

        return io.count_pages(path, self.limits or io.Limits())

    @property
    def output_suffixes(self) -> tuple[str, ...]:
        """Endings that name a picture that can be written."""
        return tuple(e for group in ENDINGS.values() for e in group)

    def _format_for(self, fmt: str, mode: ColorMode | None, save: SaveOptions) -> str:
        if save.format == "keep":
            if fmt not in ENDINGS:
                raise OptionError(f"{fmt or 'an array'} cannot be written; choose --format png, tiff, webp or jpeg")
            return fmt
        if save.format == "auto":
            return "tiff" if fmt == "tiff" or mode is ColorMode.CMYK else "png"
        return save.format

    def output_format(self, image: Image, save: SaveOptions) -> str:
        """Return the format a result of this picture is written in.

        Raises
        ------
        OptionError
            If that format cannot carry the picture.
        """
        from tratto.imaging import io

        fmt = self._format_for(image.meta.format, image.mode, save)
        reason = io.writable(image, fmt)
        if reason is not None:
            raise OptionError(f"{fmt} cannot carry this picture: {reason}; choose --format tiff or png")
        return fmt

    def peek_format(self, path: Path, save: SaveOptions) -> str:
        """Return the output format for a file from its header alone."""
        from tratto.imaging import io

        with open(path, "rb") as f:
            fmt = io.sniff(f.read(64)) or ""
        mode = ColorMode.CMYK if fmt == "jpeg" and _has_four_inks(path) else None
        return self._format_for(fmt, mode, save)

    def save(
        self,
        result: Result,
        output: Path | str,
        save: SaveOptions | None = None,
        source: Any = None,
        overwrite: bool = False,
    ) -> Saved:
        """Write the picture and, beside it, the bundle with maps, receipt, seal, original and report.

        Parameters
        ----------
        result : Result
        output : path
            Its ending must be one of the format's.
        save : SaveOptions or None
            None: the format follows from the ending.
        source : path, bytes or None
            The input file, to be kept in the bundle.
        overwrite : bool
            Replace an earlier result of this name. An input is never replaced.

        Raises
        ------
        OutputError
            If it cannot be written, exists already, or is the input.
        """
        from tratto.imaging import io
        from tratto.provenance.bundle import BundleParts, bundle_path, write_bundle
        from tratto.provenance.target import check_name, check_target

        if not isinstance(result, Result):
            raise InputError(f"save needs a Result, as restore and its like give it; got {type(result).__name__}")
        output = _path(output, "the picture to write")
        if save is None:
            by_ending = {e: f for f, ends in ENDINGS.items() for e in ends}
            named = by_ending.get(output.suffix.lower())
            if named is None:
                raise OptionError(f"{output.name!r} does not end like a picture: {', '.join(by_ending)}")
            save = SaveOptions(format=named)
        fmt = self.output_format(result.image, save)
        if output.suffix.lower() not in ENDINGS[fmt]:
            raise OptionError(f"{output.name} must end with {' or '.join(ENDINGS[fmt])} to hold {fmt}")
        check_target(output)
        for name in (output, bundle_path(output)):
            check_name(name)
        if isinstance(source, (str, os.PathLike)) and output.exists() and os.path.samefile(source, output):
            raise OutputError(f"{output} is the input; an input is never overwritten")
        if not overwrite:
            for path in (output, bundle_path(output)):
                if os.path.lexists(path):
                    raise OutputError(f"{path} exists; choose another name, or replace it with overwrite=True")
        warnings = format_notes(result.image, fmt, save)
        if save.keep_original and source is None and result.receipt["input"]["file"] is not None:
            warnings.append("the bundle holds no original, so nothing can be reverted: give the input file as source")
        with io.part_folder(output) as folder:
            part = folder / "picture"
            options = io.WriteOptions(quality=save.quality, strip_metadata=save.strip_metadata, keep_tables=False)
            self.progress("write", 0, 2)
            io.write_image(result.image, part, fmt, options)
            release(result.image.pixels)
            release(result.image.alpha)
            self.progress("write", 1, 2)
            receipt = write_bundle(
                BundleParts(
                    result=result,
                    written=part,
                    output=output,
                    original=source,
                    original_name=Path(source).name if isinstance(source, (str, os.PathLike)) else "",
                    keep_original=save.keep_original,
                    strip_metadata=save.strip_metadata,
                    output_format=fmt,
                    identity=None if self.notary is None else self.notary.identity,
                    replace=overwrite,
                )
            )
            self.progress("write", 2, 2)
        from tratto.provenance.canonical import dumps

        digest = hashlib.sha256(dumps(receipt)).hexdigest()
        proof = None if self.notary is None else self.notary.record(bundle_path(output))
        entry = None if proof is None else proof.index
        signed = "" if self.notary is None else self.notary.signs_as()
        return Saved(output, bundle_path(output), digest, tuple(warnings), signed, entry)

    # -- looking back -------------------------------------------------------------------------------------------

    def replay(self, receipt: Path | str, source: Any = None) -> Replayed:
        """Do a job again from its receipt and compare.

        Parameters
        ----------
        receipt : path
            A bundle, the picture beside one, or a receipt alone.
        source : picture or None
            The original; None: the one in the bundle.

        Raises
        ------
        ReceiptError
            If there is no receipt or no original, or the original is another picture.
        """
        from tratto.imaging import io
        from tratto.provenance.bundle import open_account, read_picture

        account = open_account(_path(receipt, "a bundle, a picture beside one, or a receipt"))
        given = account.original if source is None else source
        if given is None:
            raise ReceiptError("the bundle holds no original; name the input file with --input (in Python: source=)")
        facts = account.receipt
        image = self.open(given, int(facts["input"]["page"]))
        if io.digest(image) != facts["input"]["samples_sha256"]:
            raise ReceiptError("this is not the picture the receipt is about: its samples have another hash")
        mask = None
        if facts["mask"] is not None:
            if account.mask is None:
                raise ReceiptError("the job had a mask, and the bundle does not hold it; replay needs the whole bundle")
            mask = Mask(account.mask)
        recipe = Recipe.from_json(facts["recipe"]["resolved"], step_class)
        done = self.execute(recipe, image, _inspection_of(facts), (mask, None, int(facts["input"]["page"])))
        if done.receipt["output"]["samples_sha256"] == facts["output"]["samples_sha256"]:
            return Replayed("A", 0.0, None, same_environment=_same_environment(facts, done.receipt))
        same = _same_environment(facts, done.receipt)
        step = ""
        for was, now in zip(facts["steps"], done.records, strict=False):
            if was["output_digest"] != now.output_digest:
                step = f"{now.step} by {now.provider}"
                break
        if account.output is None:
            return Replayed("not comparable", None, None, step, same)
        size = facts["output"]["picture"]
        before = read_picture(account.output, size["width"], size["height"])
        return _compare(before, done.image, step, same)


def _path(value: Any, what: str) -> Path:
    """Return a path that somebody gave.

    Raises
    ------
    InputError
        If it is something else.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise InputError(f"expected the path of {what}, got {type(value).__name__}")
    return Path(value)


def _in_16_bits(values: NDArray[Any]) -> Mask:
    """Round a mask to 16 bit, which is how a bundle keeps it, so that a replay sees exactly this mask."""
    whole = np.rint(Mask(values.astype(np.float32, copy=False)).values * np.float32(65535))
    return Mask(whole / np.float32(65535))


def _in_stored_order(options: RecolorOptions, image: Image) -> RecolorOptions:
    """Return options whose corners count in stored pixels instead of those a viewer shows."""
    from tratto.imaging.wall_mask import stored_point

    if options.corners is None:
        return options
    size, turn = (image.width, image.height), image.meta.orientation
    return options.model_copy(update={"corners": tuple(stored_point(p, size, turn) for p in options.corners)})


def _same_environment(stated: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether two receipts state all the same of what a sample can depend on besides the picture and recipe."""

    def of(receipt: dict[str, Any]) -> list[Any]:
        ran = [[s[k] for k in ("provider", "precision", "library", "models")] for s in receipt["steps"]]
        return [receipt["tool"], receipt["environment"], ran]

    return of(stated) == of(now)


def _compare(stored: Image, fresh: Image, step: str, same: bool = False) -> Replayed:
    """Say how far a picture as it was written is from the result of a replay.

    A format that holds the result in another form (grey as RGB, a palette filled up) is turned back. A JPEG is compared
    with a JPEG: the replay's result is compressed with the tables of the stored one.
    """
    if stored.meta.format == "jpeg":
        fresh = _as_jpeg(fresh, stored)
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
    db = float(-10 * np.log10(squares / count)) if squares else None
    slack = 1e-9  # 2/255 in whole samples is not always the nearest number to 2/255
    alike = worst <= TIER_C + slack and (db is None or db >= TIER_C_PSNR)
    tier = "B" if worst <= TIER_B + slack else "C" if alike else "different"
    return Replayed(tier, worst, db, step, same)


def _in_one_form(stored: Image, fresh: Image) -> tuple[Image, Image]:
    from tratto.imaging import io
    from tratto.provenance.recheck import as_stated

    if ColorMode.PALETTE in (stored.mode, fresh.mode):
        # numbers of colours say nothing of how far the colours lie apart
        return io.expand_palette(stored, allocate), io.expand_palette(fresh, allocate)
    back = as_stated(stored, {"mode": fresh.mode.value, "bits": fresh.bits})
    return (stored if back is None else back), fresh


def _as_jpeg(fresh: Image, like: Image) -> Image:
    """Return what a picture becomes in a JPEG with the quantisation tables of another one."""
    import tempfile

    from tratto.imaging import io

    with tempfile.TemporaryDirectory(prefix="tratto-") as folder:
        path = Path(folder) / "again.jpg"
        named = fresh.replace(meta=replace(fresh.meta, jpeg=like.meta.jpeg))
        io.write_image(named, path, "jpeg", io.WriteOptions(strip_metadata=True, keep_tables=True))
        return io.read_image(path, _no_limits(), scratch=allocate)


def _inspection_of(receipt: dict[str, Any]) -> Inspection:
    """Rebuild the inspection a receipt states, so that a replay depends on no estimator."""
    data = dict(receipt["inspection"])
    try:
        for name in ("noise_sigma", "jpeg_quality", "blur_sigma", "upscale"):
            data[name] = Estimate(**data[name])
        data["noise_channels"] = tuple(float(v) for v in data["noise_channels"])
        data["noise_curve"] = tuple((float(a), float(b)) for a, b in data["noise_curve"])
        return Inspection(**data)
    except (KeyError, TypeError, ValueError) as e:
        raise ReceiptError(f"the receipt's inspection is malformed: {e}") from e


def _back_to_mode(source: Image, baseline: Image, after: Image) -> Image:
    """Return the working picture in the source's mode: palette pictures get their palette back at scale 1."""
    from tratto.imaging import io

    if source.mode is not ColorMode.PALETTE or after.width != source.width:
        return after
    changed = np.zeros((after.height, after.width), bool)
    for y in range(0, after.height, 256):
        y1 = min(after.height, y + 256)
        changed[y:y1] = (after.pixels[y:y1] != baseline.pixels[y:y1]).any(axis=2)
    return source if not changed.any() else io.to_palette(after, source, changed)


def _has_four_inks(path: Path) -> bool:
    """Return whether a JPEG is CMYK, from its header; False if that cannot be read (decoding will say why)."""
    from PIL import Image as Pil

    try:
        with Pil.open(path) as picture:
            return picture.mode == "CMYK"
    except (OSError, ValueError, SyntaxError, Pil.DecompressionBombError):
        return False


def _apart(value: float, limit: float) -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to tell them apart, and either from 0."""
    for digits in range(16):
        a, b = (f"{v:.{digits}f}" for v in (value, limit))
        if a != b and all(float(text) or not v for text, v in ((a, value), (b, limit))):
            return a, b
    return repr(value), repr(limit)


def _page_index(page: Any) -> int | None:
    """Return a page as a whole number from 0; None stays None."""
    if page is None:
        return None
    try:
        index = -1 if isinstance(page, bool) else operator.index(page)
    except TypeError:
        index = -1
    if index < 0:
        raise OptionError(f"page must be a whole number from 0, one page at a time, got {page!r}")
    return index


def _shown(image: Image) -> str:
    """Return the size as a viewer shows the picture."""
    w, h = (image.height, image.width) if image.meta.orientation >= 5 else (image.width, image.height)
    return f"{w}x{h}"


def format_notes(image: Image, fmt: str, save: SaveOptions) -> list[str]:
    """Return what a user should know about writing a picture in a format: what is lost, what has no effect."""
    notes = []
    if fmt == "jpeg":
        notes.append("JPEG changes samples everywhere, outside a mask too; PNG, TIFF and WebP do not")
    elif save.quality != SaveOptions.quality:
        notes.append(f"a quality of {save.quality} has no effect: {fmt} is written without loss")
    if fmt == "bmp" and not save.strip_metadata:
        meta = image.meta
        kinds = (("EXIF", meta.exif), ("XMP", meta.xmp), ("IPTC", meta.iptc), ("text", meta.text))
        lost = ", ".join(name for name, value in kinds if value)
        if lost:
            notes.append(f"BMP has no place for {lost}: not in the result; PNG, TIFF and WebP keep what they can")
    return notes


#: A mask that lets less of the picture than this change is more often a mistake than meant.
SMALL_MASK = 0.01


def mask_warnings(mask: Mask) -> list[str]:
    """Return what a user should know about a mask: that it lets hardly anything change."""
    share = mask_share(mask)
    if share >= SMALL_MASK:
        return []
    how = "nothing at all" if share == 0 else f"only {100 * share:.2g} %"
    return [f"the mask lets {how} of the picture change; in a mask white means may change"]


def mask_share(mask: Mask) -> float:
    """Return the share of the picture that a mask opens: the mean of its values."""
    return float(mask.values.mean(dtype=np.float64))


def check_mask_is_another(mask: Any, picture: Any) -> None:
    """Refuse a mask that is the picture itself.

    Raises
    ------
    OptionError
        If both are one file, or files of equal bytes.
    """
    if not (isinstance(mask, (str, os.PathLike)) and isinstance(picture, (str, os.PathLike))):
        return
    try:
        same = os.path.samefile(mask, picture) or filecmp.cmp(mask, picture, shallow=False)
    except OSError:
        return  # opening them will say what is wrong
    if same:
        raise OptionError(f"the mask {mask} is the picture itself; name another picture, white where it may change")


def _no_limits() -> Limits:
    from tratto.imaging.io import Limits

    return Limits(max_pixels=2**40, max_side=2**31, max_bytes=2**40)


def restore(
    picture: Any,
    options: RestoreOptions | None = None,
    *,
    mask: Any = None,
    page: int | None = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Remove noise, JPEG artefacts and mild blur; enlarge two or four times.

    Parameters
    ----------
    picture : path, bytes, NumPy array, PIL picture or Image
    options : RestoreOptions or None
        Or give its fields as keywords: ``scale``, ``strength``, ``noise_sigma``, ``provider`` ...
    mask : path, array, PIL picture or Mask
        Where the picture may change; in the geometry a viewer shows. See :meth:`Session.open_mask`.
    page : int or None
        Of files with several, from 0 (the command line counts from 1); None: of a file with one page.
    session : Session or None
        To share opened networks and set limits; None makes a new one.
    **fields
        See :class:`tratto.RestoreOptions`.

    Returns
    -------
    Result
        Write it with :func:`tratto.save`.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    from tratto.tasks.restore import make_options

    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    return (session or Session()).restore(picture, options or make_options(**fields), mask, page)


def repair(
    picture: Any,
    options: RepairOptions | None = None,
    *,
    mask: Any = None,
    page: int | None = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Fill cracks, scratches, stains and missing parts; pixels outside the mask stay bit-identical.

    Parameters
    ----------
    picture : path, bytes, NumPy array, PIL picture or Image
    options : RepairOptions or None
        Or give its fields as keywords: ``method``, ``grow``, ``blend``, ``seed``.
    mask : path, array, PIL picture or Mask
        White where it is damaged; in the geometry a viewer shows.
    page : int or None
        Of files with several, from 0 (the command line counts from 1); None: of a file with one page.
    session : Session or None
    **fields
        See :class:`tratto.RepairOptions`.

    Returns
    -------
    Result
        Write it with :func:`tratto.save`.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    from tratto.tasks.repair import make_options

    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    return (session or Session()).repair(picture, options or make_options(**fields), mask, page)


def recolor(
    picture: Any,
    options: RecolorOptions | None = None,
    *,
    mask: Any = None,
    page: int | None = None,
    session: Session | None = None,
    **fields: Any,
) -> Result:
    """Repaint a wall in exactly one colour or with a wallpaper, under its own light.

    Parameters
    ----------
    picture : path, bytes, NumPy array, PIL picture or Image
        RGB.
    options : RecolorOptions or None
        Or give its fields as keywords: ``color="#c8d4e0"``, ``match``, ``was``, ``clicks`` ...
    mask : path, array or Mask
        White where the wall is; in the geometry a viewer shows. Without it the wall is searched from ``clicks``.
    page : int or None
        Of files with several, from 0 (the command line counts from 1); None: of a file with one page.
    session : Session or None
    **fields
        See :class:`tratto.RecolorOptions`.

    Returns
    -------
    Result
        Write it with :func:`tratto.save`.

    Raises
    ------
    TrattoError
        One of its kinds; see ``tratto.core.errors``.
    """
    from tratto.tasks.recolor import make_options

    if options is not None and fields:
        raise OptionError("give either options or keywords, not both")
    return (session or Session()).recolor(picture, options or make_options(**fields), mask, page)


def save(
    result: Result,
    output: Path | str,
    options: SaveOptions | None = None,
    *,
    source: Any = None,
    overwrite: bool = False,
) -> Saved:
    """Write a result and its bundle; see :meth:`Session.save`. Earlier results stay unless ``overwrite`` is true."""
    return Session().save(result, output, options, source, overwrite)


def inspect(picture: Any, page: int = 0) -> Inspection:
    """Say what is wrong with a picture: noise, JPEG quality, blur, earlier enlargement, clipping."""
    return Session().inspect(picture, page)


def replay(receipt: Path | str, source: Any = None) -> Replayed:
    """Do a job again from its receipt and say how exactly it agrees; see :meth:`Session.replay`."""
    return Session().replay(receipt, source)


def verify(path: Path | str, trust: Trust | None = None) -> Verdict:
    """Say whether a result and its account are unchanged; see ``tratto.provenance.verify``."""
    from tratto.provenance.verify import verify as check

    return check(path, known=known_models(), trust=trust)


def audit(
    folder: Path | str,
    trust: Trust | None = None,
    *,
    deep: bool = True,
    replay: bool = False,
    state: Path | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[AuditRow]:
    """Verify everything below a folder; see ``tratto.provenance.audit``.

    Parameters
    ----------
    folder : path
    trust : Trust or None
        Keys, roots and a ledger to rely on.
    deep : bool
        False compares hashes and signatures only.
    replay : bool
        Do every job again and note the tier it reaches.
    state : path or None
        A file that remembers each verdict, so that an audit that was stopped goes on.
    progress : callable or None
        Called with how many of how many are done.

    Returns
    -------
    list of AuditRow
    """
    from tratto.provenance.audit import AuditOptions
    from tratto.provenance.audit import audit as run
    from tratto.provenance.trust import Trust as Nobody

    session = Session()
    again = (lambda bundle: session.replay(bundle).tier) if replay else None
    options = AuditOptions(deep=deep, known=known_models(), trust=trust or Nobody(), replay=again)
    return run(_path(folder, "a folder"), options, None if state is None else Path(state), progress)


def known_models() -> Known:
    """Return what is known here of models and providers, for ``verify``, which lies below both and cannot ask."""
    from tratto._version import __version__
    from tratto.models.store import all_cards
    from tratto.provenance.consistency import Known, KnownModel
    from tratto.providers.inpainter import INPAINTERS
    from tratto.providers.restorer import RESTORERS

    cards = all_cards()
    return Known(
        models={i: KnownModel(c.sha256, c.licence, c.commercial_use, c.generative) for i, c in cards.items()},
        # the in-painter of the same name says of itself that it invents, which a claim of less cannot contradict
        providers=dict.fromkeys(INPAINTERS, True) | {n: row.generative for n, row in RESTORERS.items()},
        version=__version__,
    )


def revert(path: Path | str, to: Path | str) -> Path:
    """Write the exact bytes of the original; see ``tratto.provenance.bundle``."""
    from tratto.provenance.bundle import revert as undo

    return undo(_path(path, "a picture or its bundle"), _path(to, "where to write the original"))
