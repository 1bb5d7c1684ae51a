"""The session: a thin name for a pool and the settings that its jobs begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratto.core.hashing import HeldFile
from tratto.core.image import Image, Mask
from tratto.core.inspection import Inspection
from tratto.core.options import Papers
from tratto.core.recipe import Recipe
from tratto.core.result import Result
from tratto.engine.cost import Estimated, check_cost, estimate
from tratto.imaging.io import Limits
from tratto.imaging.opening import open_mask, open_picture
from tratto.jobs import writing
from tratto.jobs.job import Job
from tratto.jobs.options import EXTENSIONS, JobLimits, Progress, Saved, SaveOptions, silent
from tratto.jobs.replaying import Replayed
from tratto.provenance.notary import Notary
from tratto.providers.pool import Pool
from tratto.tasks.doors import in_python
from tratto.tasks.recolor import RecolorOptions
from tratto.tasks.repair import RepairOptions
from tratto.tasks.restore import RestoreOptions


@dataclass(eq=False)
class Session:
    """A pool of opened networks and how the jobs on it are done. Each call is a job of its own.

    Attributes
    ----------
    limits : Limits or None
        Reading limits; None = defaults of :class:`tratto.imaging.io.Limits`.
    job_limits : JobLimits
        Largest result and longest estimated time.
    forensic : bool
        Refuse generative steps and lower precision.
    progress : callable
        ``progress(stage, done, total)``.
    notary : Notary or None
        Signs what is saved, and records it in a ledger; None: results are sealed only.
    device : str
        Where networks run: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    papers : Papers
        Operator, object, reason, note and date, which stand in the receipts.
    pool : Pool
        May be shared by several sessions.

    Examples
    --------
    >>> one = Session()
    >>> other = Session(forensic=True, pool=one.pool)
    >>> one.job().forensic, other.job().forensic
    (False, True)
    """

    limits: Limits | None = None
    job_limits: JobLimits = field(default_factory=JobLimits)
    forensic: bool = False
    progress: Progress = silent
    notary: Notary | None = None
    device: str = "auto"
    papers: Papers = field(default_factory=Papers)
    pool: Pool = field(default_factory=Pool)

    def job(self) -> Job:
        """Return a new job with these settings, to be run once; it can be cancelled by itself."""
        return Job(
            pool=self.pool,
            limits=self.limits,
            job_limits=self.job_limits,
            forensic=self.forensic,
            progress=self.progress,
            notary=self.notary,
            device=self.device,
            papers=self.papers,
        )

    # -- opening ------------------------------------------------------------------------------------------------

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
            The picture that it is for: its size and orientation are looked at.

        Raises
        ------
        OptionError
            If the size does not fit, or it is not clear what the mask means.
        """
        return open_mask(mask, image, self.limits)

    def inspect(self, picture: Any, page: int = 0) -> Inspection:
        """Say what is wrong with a picture; see :class:`tratto.Inspection`. A network adds its opinion where it can."""
        return self.job().inspect(self.open(picture, page))

    def count_pages(self, path: HeldFile | Path) -> int:
        """Return how many pages or frames a file has."""
        from tratto.imaging import io

        return io.count_pages(path, self.limits or io.Limits())

    # -- planning -----------------------------------------------------------------------------------------------

    def check_options(self, options: Any) -> None:
        """Refuse, before a picture is opened, what no picture could make possible; see :meth:`Job.check`."""
        self.job().check(options)

    def estimate(self, recipe: Recipe, image: Image) -> Estimated:
        """Say what a recipe would do to this picture and how long it may take, without doing it.

        Raises
        ------
        ForbiddenStep
            If forensic mode would refuse to do it.
        """
        return estimate(recipe, image, self.job().services(recipe.seed), self.forensic)

    def check_cost(self, estimated: Estimated) -> None:
        """Refuse a job that is over the limits.

        Raises
        ------
        PictureTooLarge
            With what to do about it.
        """
        check_cost(estimated, self.job_limits.output_pixels, self.job_limits.minutes)

    # -- jobs ---------------------------------------------------------------------------------------------------

    def run(
        self, task: str, inputs: dict[str, Any], options: Any = None, page: int | None = None, source: Any = None
    ) -> Result:
        """Do a job in one call; see :meth:`tratto.jobs.Job.run`."""
        return self.job().run(task, inputs, options, page, source)

    @in_python
    def restore(
        self,
        picture: Any,
        options: RestoreOptions | None = None,
        mask: Any = None,
        page: int | None = None,
        source: Any = None,
    ) -> Result:
        """Restore one picture; see :func:`tratto.restore`."""
        return self.run("restore", {"picture": picture, "mask": mask}, options, page, source)

    @in_python
    def repair(
        self,
        picture: Any,
        options: RepairOptions | None = None,
        mask: Any = None,
        page: int | None = None,
        source: Any = None,
    ) -> Result:
        """Fill what a mask marks; see :func:`tratto.repair`."""
        return self.run("repair", {"picture": picture, "mask": mask}, options, page, source)

    @in_python
    def recolor(
        self,
        picture: Any,
        options: RecolorOptions | None = None,
        mask: Any = None,
        page: int | None = None,
        source: Any = None,
        inputs: Mapping[str, Any] | None = None,
    ) -> Result:
        """Repaint the wall of one picture; see :func:`tratto.recolor`. ``inputs`` may hold ``"texture"``."""
        return self.run("recolor", {"picture": picture, "mask": mask, **(inputs or {})}, options, page, source)

    # -- results ------------------------------------------------------------------------------------------------

    @property
    def output_suffixes(self) -> tuple[str, ...]:
        """Extensions that name a picture that can be written."""
        return tuple(e for group in EXTENSIONS.values() for e in group)

    def output_format(self, image: Image, save: SaveOptions) -> str:
        """Return the format a result of this picture is written in.

        Raises
        ------
        OptionError
            If that format cannot carry the picture.
        """
        return writing.output_format(image, save)

    def peek_format(self, path: HeldFile | Path, save: SaveOptions) -> str:
        """Return the output format for a file from its header alone."""
        return writing.peek_format(path, save)

    @in_python
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
            As a task returned it.
        output : path
            Its extension must be one of the format's.
        save : SaveOptions or None
            None: the format follows from the extension.
        source : path, bytes or None
            The input file, to be kept in the bundle.
        overwrite : bool
            Replace an earlier result of this name. An input is never replaced.

        Raises
        ------
        OutputError
            If it cannot be written, exists already, or is the input.
        """
        return self.job().save(result, output, save, source, overwrite)

    @in_python
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
        return self.job().replay(receipt, source, inputs)
