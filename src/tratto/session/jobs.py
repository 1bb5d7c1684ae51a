"""The session: opens pictures and services, plans, runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratto.core.canvas import Canvas
from tratto.core.capability import Captioner, Inpainter, Restorer
from tratto.core.errors import ForbiddenStep, OptionError
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.recipe import Recipe
from tratto.core.result import Result
from tratto.session import cost, writing
from tratto.session.account import Circumstances, account
from tratto.session.opening import check_mask_is_another, open_inputs, open_mask, open_picture
from tratto.session.options import ENDINGS, Estimated, JobLimits, Progress, Saved, SaveOptions, silent
from tratto.session.replaying import Replayed, replay
from tratto.session.services import JobServices

if TYPE_CHECKING:
    from tratto.imaging.io import Limits
    from tratto.provenance.notary import Notary
    from tratto.tasks.recolor import RecolorOptions
    from tratto.tasks.repair import RepairOptions
    from tratto.tasks.restore import RestoreOptions


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
    progress: Progress = silent
    notary: Notary | None = None
    _restorers: dict[str, Restorer] = field(default_factory=dict, repr=False)
    _inpainters: dict[str, Inpainter] = field(default_factory=dict, repr=False)
    _captioners: dict[str, Captioner] = field(default_factory=dict, repr=False)

    # -- opening ------------------------------------------------------------------------------------------------

    def restorer(self, provider: str, scale: int, params: dict[str, Any]) -> Restorer:
        """Return an opened restorer, opening it on first use."""
        from tratto.providers.restorer import open_restorer

        key = repr((provider, scale, sorted(params.items())))
        if key not in self._restorers:
            rest = {k: v for k, v in params.items() if k != "fast"}
            self._restorers[key] = open_restorer(provider, scale, fast=bool(params.get("fast", False)), params=rest)
        return self._restorers[key]

    def inpainter(self, provider: str, params: dict[str, Any] | None = None) -> Inpainter:
        """Return an opened in-painter, opening it on first use."""
        from tratto.providers.inpainter import open_inpainter

        key = repr((provider, sorted((params or {}).items())))
        if key not in self._inpainters:
            self._inpainters[key] = open_inpainter(provider, params)
        return self._inpainters[key]

    def captioner(self, provider: str) -> Captioner:
        """Return an opened captioner, opening it on first use."""
        from tratto.providers.caption import open_captioner

        if provider not in self._captioners:
            self._captioners[provider] = open_captioner(provider)
        return self._captioners[provider]

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
        return open_picture(picture, page, self.limits)

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
        return open_mask(mask, image, self.limits)

    def inspect(self, picture: Any, page: int = 0) -> Inspection:
        """Say what is wrong with a picture; see :class:`tratto.Inspection`. A network adds its opinion where it can."""
        from tratto.imaging.estimate import inspect_image
        from tratto.providers.estimator import with_opinion

        image = self.open(picture, page)
        return with_opinion(image, inspect_image(image))

    def estimate(self, recipe: Recipe, image: Image) -> Estimated:
        """Say what a recipe would do to this picture and how long it may take, without doing it.

        Raises
        ------
        ForbiddenStep
            If forensic mode would refuse to do it.
        """
        return cost.estimate(self, recipe, image)

    def check_cost(self, estimated: Estimated) -> None:
        """Refuse a job that is over the limits.

        Raises
        ------
        PictureTooLarge
            With what to do about it.
        """
        cost.check_cost(self.job_limits, estimated)

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
        return self.execute(recipe, image, inspection, Circumstances(opened, origin, page or 0))

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
        mask : path, array or Mask, or a mapping or sequence of these, or ``"auto"``
            White where it is damaged; see :meth:`open_mask`. Grown and feathered as the options ask. A mapping, or a
            folder, has one for each class; a sequence has one, or a mapping, for each pass. ``"auto"``: a network
            proposes it.
        page : int or None
            Which page of a file that has several, from 0; see :meth:`open`.
        source : None or path or bytes
            The file the picture came from, when ``picture`` is already decoded; hashed into the receipt.

        Raises
        ------
        OptionError
            If there is no mask, or it opens all of the picture.
        """
        from tratto.session.masks import AUTO, FOUND, find_masks, open_masks
        from tratto.tasks import repair as task

        options = options or task.RepairOptions()
        self.check_options(options)
        image = self.open(picture, page)
        origin = source if source is not None else picture
        check_mask_is_another(mask, origin)
        if mask is None:
            raise OptionError("repair needs to know what is damaged: give a mask, white where it is (--mask)")
        found = None
        if isinstance(mask, str) and mask == AUTO:
            mask, found = find_masks(image, options.threshold)
        damage, masks = open_masks(mask, image, (options.grow, options.blend), self.limits)
        masks = replace(masks, found_by=found)
        inspection = self.inspect(image)
        options = options.model_copy(update={"passes": max(1, len(masks.of_passes()))})
        recipe = task.plan(options, inspection)
        notes = () if found is None else (FOUND,)
        how = Circumstances(damage, origin, page or 0, masks=masks, notes=notes)
        return self.execute(recipe, image, inspection, how)

    def recolor(
        self,
        picture: Any,
        options: RecolorOptions,
        mask: Any = None,
        page: int | None = None,
        source: Any = None,
        inputs: Mapping[str, Any] | None = None,
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
        inputs : mapping of str to picture
            ``"texture"``: the wallpaper sample, where the options name that role.

        Raises
        ------
        OptionError
            If there is neither a mask nor a click, the picture is not RGB, or the wallpaper is missing.
        """
        from tratto.tasks import recolor as task

        self.check_options(options)
        image = self.open(picture, page)
        origin = source if source is not None else picture
        check_mask_is_another(mask, origin)
        wall = self.wall_mask(image, options, mask)
        second = open_inputs(inputs, self.limits, (options.texture,) if options.texture else ())
        inspection = self.inspect(image)
        recipe = task.plan(_in_stored_order(options, image), inspection)
        return self.execute(recipe, image, inspection, Circumstances(wall, origin, page or 0, inputs=second))

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
        self,
        options: Any,
        picture: Any,
        mask: Any = None,
        page: int | None = None,
        source: Any = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Result:
        """Do the job that these options are for; see :meth:`restore`, :meth:`repair` and :meth:`recolor`."""
        from tratto.tasks import task_of

        more = {"inputs": inputs} if inputs else {}
        done: Result = getattr(self, task_of(options).name)(picture, options, mask, page, source, **more)
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
        from tratto.tasks.recolor import RecolorOptions
        from tratto.tasks.repair import RepairOptions

        if isinstance(options, RepairOptions):
            from tratto.providers.inpainter import choose_inpainter

            choose_inpainter(options.method, options.params)
            if self.forensic:
                raise ForbiddenStep("forensic mode shows what is there, and what fills a hole is not; drop --forensic")
            return
        if isinstance(options, RecolorOptions):
            if self.forensic:
                raise ForbiddenStep("forensic mode shows what is there, and another paint is not; drop --forensic")
            return
        choose_restorer(options.provider, options.scale, options.params)
        if self.forensic and options.fast:
            raise ForbiddenStep("forensic mode computes in full precision; drop --fast")

    def execute(self, recipe: Recipe, image: Image, inspection: Inspection, how: Circumstances) -> Result:
        """Run a recipe on an opened picture and account for it; what all jobs and ``replay`` share.

        Parameters
        ----------
        recipe : Recipe
        image : Image
        inspection : Inspection
        how : Circumstances
            What else the job was given: mask, origin, page, second inputs. Of ``masks``, those of the passes are shown
            to the steps by name; whether it is forensic says the session.
        """
        from tratto.engine.run import run
        from tratto.imaging import io

        fast = any(bool(getattr(s, "fast", False)) for s in recipe.steps)
        if self.forensic and fast:
            raise ForbiddenStep("forensic mode computes in full precision; drop --fast")
        self.check_cost(self.estimate(recipe, image))
        working = io.expand_palette(image) if image.mode is ColorMode.PALETTE else image
        named = {} if how.mask is None else {"edit": how.mask, **how.masks.of_passes()}
        second = {role: given.image for role, given in how.inputs.items()}
        canvas = Canvas(working, image, named, inspection, inputs=second)
        services = JobServices(self, recipe.seed, fast, self.progress)
        outcome = run(recipe, canvas, services, allow_generative=not self.forensic)
        return account(recipe, outcome, inspection, replace(how, forensic=self.forensic))

    def count_pages(self, path: Path) -> int:
        """Return how many pages or frames a file has."""
        from tratto.imaging import io

        return io.count_pages(path, self.limits or io.Limits())

    @property
    def output_suffixes(self) -> tuple[str, ...]:
        """Endings that name a picture that can be written."""
        return tuple(e for group in ENDINGS.values() for e in group)

    def output_format(self, image: Image, save: SaveOptions) -> str:
        """Return the format a result of this picture is written in.

        Raises
        ------
        OptionError
            If that format cannot carry the picture.
        """
        return writing.output_format(image, save)

    def peek_format(self, path: Path, save: SaveOptions) -> str:
        """Return the output format for a file from its header alone."""
        return writing.peek_format(path, save)

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
        return writing.save(self, result, output, save, source, overwrite)

    def replay(self, receipt: Path | str, source: Any = None, inputs: Mapping[str, Any] | None = None) -> Replayed:
        """Do a job again from its receipt and compare.

        Parameters
        ----------
        receipt : path
            A bundle, the picture beside one, or a receipt alone.
        source : picture or None
            The original; None: the one in the bundle.
        inputs : mapping of str to picture
            What else the job was given, by role, where the bundle does not hold it.

        Raises
        ------
        ReceiptError
            If there is no receipt, an input is missing, or one is another picture.
        OptionError
            If the job knows no input of a role that is given.
        """
        return replay(self, receipt, source, inputs)


def _in_stored_order(options: RecolorOptions, image: Image) -> RecolorOptions:
    """Return options whose corners count in stored pixels instead of those a viewer shows."""
    from tratto.imaging.wall_mask import stored_point

    if options.corners is None:
        return options
    size, turn = (image.width, image.height), image.meta.orientation
    return options.model_copy(update={"corners": tuple(stored_point(p, size, turn) for p in options.corners)})
