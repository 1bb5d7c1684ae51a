"""One job: a run with its own progress, cancel, forensic flag, notary and limits, on a pool that others share."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tratto.backends.devices import check_device
from tratto.core.canvas import Canvas
from tratto.core.capability import Use
from tratto.core.errors import Cancelled, ForbiddenStep, OptionError
from tratto.core.hashing import hold
from tratto.core.image import Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.journal import Journal
from tratto.core.options import Papers, TaskOptions
from tratto.core.recipe import Recipe
from tratto.core.result import Result
from tratto.core.step import StepRecord
from tratto.engine.cost import Estimated, estimate
from tratto.engine.perform import Bounds, perform
from tratto.engine.run import forbid_drawings
from tratto.imaging.opening import check_mask_is_another, open_picture, without_stream
from tratto.imaging.scratch import allocate
from tratto.jobs.options import JobLimits, Progress, Saved, SaveOptions, silent
from tratto.providers.pool import Lender, Pool
from tratto.tasks import task_named
from tratto.tasks.prepared import Given, Prepared

if TYPE_CHECKING:
    from tratto.imaging.io import Limits
    from tratto.jobs.replaying import Replayed
    from tratto.provenance.notary import Notary

#: Role of the picture that is worked on.
PICTURE = "picture"


class JobServices(Lender):
    """The services of one run; see :class:`tratto.core.services.Services`."""

    def __init__(self, job: Job, seed: int, pins: Mapping[str, str] | None = None) -> None:
        super().__init__(job.pool, job.device, pins)
        self._job, self._seed = job, seed

    @property
    def seed(self) -> int:
        """Seed of everything random in this run."""
        return self._seed

    def scratch(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
        """Return a large array, on disk where memory would not do."""
        self._job.check_cancelled()
        return allocate(shape, dtype)

    def journal(self, key: str) -> Journal:
        """Return what an earlier run found before it was killed; see :class:`tratto.core.services.Services`."""
        base = os.environ.get("XDG_CACHE_HOME", "")
        with contextlib.suppress(RuntimeError):  # nobody's home
            folder = Path(base) if base else Path.home() / ".cache"
            return Journal(folder.expanduser() / "tratto" / "unfinished" / f"{key}.jsonl")
        return Journal(None)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report progress; raises to stop the job."""
        self._job.report(stage, done, total)

    def run(self, recipe: Recipe, canvas: Canvas) -> tuple[Canvas, tuple[StepRecord, ...]]:
        """Run a recipe inside this job; return the canvas and what was done."""
        from tratto.engine.run import run

        outcome = run(recipe, canvas, self, allow_generative=not self._job.forensic)
        return outcome.canvas, outcome.records


@dataclass(eq=False)
class Job:
    """One run of a task. Two jobs in two threads never see each other, though they share a pool.

    Attributes
    ----------
    pool : Pool
        Opened networks.
    limits : Limits or None
        Reading limits; None = defaults of :class:`tratto.imaging.io.Limits`.
    job_limits : JobLimits
        Largest result and longest estimated time.
    forensic : bool
        Refuse generative steps, providers made for drawings, lower precision and lossy formats.
    progress : callable
        ``progress(stage, done, total)``; raising stops the job.
    notary : Notary or None
        Signs what is saved, and records it in a ledger; None: results are sealed only.
    device : str
        Where networks run: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    papers : Papers
        Operator, object, reason, note and date, which stand in the receipt.

    Examples
    --------
    >>> import numpy as np
    >>> job = Job()
    >>> job.run("restore", {"picture": np.full((64, 64, 3), 90, np.uint8)}).records
    ()
    """

    pool: Pool = field(default_factory=Pool)
    limits: Limits | None = None
    job_limits: JobLimits = field(default_factory=JobLimits)
    forensic: bool = False
    progress: Progress = silent
    notary: Notary | None = None
    device: str = "auto"
    papers: Papers = field(default_factory=Papers)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    # -- progress -----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop the job, from any thread: it ends with :class:`Cancelled` within a tile, and nothing is written."""
        self._stop.set()

    def check_cancelled(self) -> None:
        """Raise Cancelled if the job was told to stop."""
        if self._stop.is_set():
            raise Cancelled("the job was cancelled; nothing was written for it")

    def report(self, stage: str, done: int, total: int) -> None:
        """Tell the caller how far a stage is; the place where a cancelled job stops."""
        self.check_cancelled()
        self.progress(stage, done, total)

    # -- planning -----------------------------------------------------------------------------------------------

    def services(self, seed: int = 0, pins: Mapping[str, str] | None = None) -> JobServices:
        """Return what steps and tasks may ask of this job."""
        return JobServices(self, seed, pins)

    def inspect(self, image: Image) -> Inspection:
        """Say what is wrong with an opened picture; a network adds its opinion where it can."""
        from tratto.imaging.estimate import inspect_image
        from tratto.providers.estimator import ask, with_opinion

        return with_opinion(image, inspect_image(image), ask(self.services()))

    def check(self, options: Any) -> None:
        """Refuse, before a picture is opened, what no picture could make possible.

        Raises
        ------
        OptionError
            If there is no such provider, or it does not offer this scale or these parameters.
        ForbiddenStep
            If forensic mode would refuse it for every picture.
        UnavailableError
            If a provider is not ready here; the message names the command that would change that.
        """
        if not isinstance(options, TaskOptions):
            raise OptionError(f"expected the options of a task, got {options!r}")
        check_device(self.device)
        # before anybody is sent for weights that a forensic job would not use
        if self.forensic and options.no_evidence:
            raise ForbiddenStep(f"forensic mode shows what is there, and {options.no_evidence}; drop --forensic")
        services = self.services()
        for arguments in options.needed():
            use: Use[Any] = services.settle(Use(**arguments))
            if self.forensic and use.fast:
                raise ForbiddenStep("forensic mode computes in full precision; drop --fast")
            if self.forensic:
                forbid_drawings(use)

    def plan(self, options: Any, image: Image, masks: Mapping[str, Mask] | None = None) -> tuple[Estimated, Inspection]:
        """Say what a job with these options and masks would do with an opened picture, and what it would cost."""
        from tratto.tasks import task_of

        inspection = self.inspect(image)
        recipe = import_module(task_of(options).module).plan(options, inspection)
        return estimate(recipe, image, self.services(recipe.seed), self.forensic, masks), inspection

    # -- running ------------------------------------------------------------------------------------------------

    def run(
        self,
        task: str,
        inputs: Mapping[str, Any],
        options: Any = None,
        page: int | None = None,
        source: Any = None,
    ) -> Result:
        """Do a job.

        Parameters
        ----------
        task : str
            A name in :data:`tratto.tasks.TASKS`.
        inputs : mapping of str to path, bytes, array, PIL picture or Image
            By role: ``"picture"`` is worked on; ``"mask"`` and others as the task says.
        options : the task's options, or None
            None: the defaults.
        page : int or None
            Which page of a picture file that has several, from 0. None: the only one.
        source : None or path or bytes
            The file the picture came from, when it is already decoded; hashed into the receipt.

        Raises
        ------
        TrattoError
            One of its kinds; see ``tratto.core.errors``.
        """
        known = task_named(task)
        module: Any = import_module(known.module)
        if options is None:
            options = known.model()
        self.check(options)
        if PICTURE not in inputs:
            raise OptionError(f"{task} needs a picture to work on, got {', '.join(inputs) or 'no input'}")
        roles = [item.role for item in known.inputs]
        if strange := [role for role in inputs if role not in roles]:  # nothing that was given is dropped in silence
            raise OptionError(f"{task} takes {', '.join(roles)}, no {', '.join(strange)}")
        inputs = {role: without_stream(given, self.limits) for role, given in inputs.items()}
        source = without_stream(source, self.limits)
        picture = inputs[PICTURE]
        if source is None and isinstance(picture, str | os.PathLike) and os.fspath(picture):
            picture = hold(Path(picture))  # counted, decoded and hashed from one reading
        given = Given({k: v for k, v in inputs.items() if k != PICTURE and v is not None}, self.limits)
        image = open_picture(picture, page, self.limits)
        origin = source if source is not None else picture
        check_mask_is_another(given.inputs.get("mask"), origin)
        inspection = self.inspect(image)
        prepared: Prepared = module.prepare(options, image, given, self.services())
        recipe = module.plan(prepared.options, inspection)
        return self.execute(recipe, image, inspection, prepared, origin, page or 0)

    def execute(
        self,
        recipe: Recipe,
        image: Image,
        inspection: Inspection,
        prepared: Prepared,
        origin: Any = None,
        page: int = 0,
        pins: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a recipe on an opened picture and account for it; what a job and its replay share.

        Parameters
        ----------
        recipe : Recipe
            As planned, or as a receipt keeps it.
        image : Image
            As it was opened.
        inspection : Inspection
            What was measured of the picture; the receipt states it.
        prepared : Prepared
            Masks and second inputs, opened.
        origin : path, bytes or None
            The file or bytes the picture came from; None for arrays.
        page : int
            Of the file the picture came from, from 0; the receipt states it.
        pins : mapping or None
            Weights that must be opened instead of the present ones: ids of models to SHA-256.
        """
        from tratto.provenance.accounting import JobContext, account

        masks = prepared.masks
        named = {} if prepared.mask is None else {"edit": prepared.mask, **masks.of_passes()}
        bounds = Bounds(self.job_limits.output_pixels, self.job_limits.minutes, self.forensic)
        services = self.services(recipe.seed, pins)
        second = {role: given.image for role, given in prepared.inputs.items()}
        outcome, final = perform(recipe, image, inspection, named, services, bounds, second)
        self.check_cancelled()
        how = JobContext(
            mask=prepared.mask,
            origin=origin,
            page=page,
            forensic=self.forensic,
            masks=masks,
            notes=prepared.notes,
            inputs=prepared.inputs,
            output=prepared.output,
            statements=(*self.papers.statements(), *prepared.statements),
        )
        result = account(recipe, outcome, final, inspection, how)
        self.check_cancelled()
        return result

    def save(
        self,
        result: Result,
        output: Path | str,
        save: SaveOptions | None = None,
        source: Any = None,
        overwrite: bool = False,
    ) -> Saved:
        """Write the picture and, beside it, the bundle; see :meth:`tratto.Session.save`."""
        from tratto.jobs import writing

        return writing.save(self, result, output, save, source, overwrite)

    def replay(self, receipt: Path | str, source: Any = None, inputs: Mapping[str, Any] | None = None) -> Replayed:
        """Do a job again from its receipt and compare; see :meth:`tratto.Session.replay`."""
        from tratto.jobs.replaying import replay

        return replay(self, receipt, source, inputs)
