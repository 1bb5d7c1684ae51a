"""Doing a job of the queue: the product's own job in a folder, then everything that a page shows of its result."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import Cancelled, InputError, OptionError, OutputError, TrattoError
from tratto.core.files import write_text
from tratto.jobs import Session
from tratto.jobs.folder import FileOutcome, FolderJob, run_folder
from tratto.jobs.options import JobLimits
from tratto.providers.pool import Pool
from tratto.server.access import Access
from tratto.server.archive import MEDIA_TYPES
from tratto.server.offers import SENDS, Offer, http_words, offers, split
from tratto.server.pace import Pace
from tratto.server.pyramid import PREVIEWS, write_pyramid
from tratto.server.settings import Settings
from tratto.server.store import new_id
from tratto.server.uploads import bytes_below, discard, linked, without_paths
from tratto.server.worker import Claim, Lost

if TYPE_CHECKING:
    from tratto.core.image import Image
    from tratto.jobs.lifting import Lifted
    from tratto.provenance.notary import Notary

#: Says, in the folder of an attempt, that everything else in it is whole.
OUTCOME = "outcome.json"
#: Networks that stay open from job to job.
POOL = Pool()
#: Smallest number of megapixels by which time is counted: below it, what takes time is not the picture.
LEAST = 0.05
Made = tuple[dict[str, Any], int, dict[str, tuple[dict[str, Any], int]]]


def do(claim: Claim, settings: Settings) -> Made:
    """Do a job; see :data:`tratto.server.worker.Do`.

    If a process did it before and was killed before it could say so, what that one left is taken.
    """
    folder = settings.job(claim.row["id"])
    for attempt in _attempts(folder):
        if (attempt / OUTCOME).is_file():
            return _recorded(json.loads((attempt / OUTCOME).read_text("utf-8")), attempt, settings)
    for attempt in _attempts(folder):
        discard(attempt)
    if not folder.is_dir():
        raise Lost
    # what many jobs leave is known only when they are done: each asks again, so that a queue does not fill the disk
    store, owner = claim.worker.store, claim.row["owner"]
    used, quota = store.used(owner), Access(store.database).quota_of(owner, settings)
    if used > quota:
        raise OutputError(f"{used} of {quota} bytes are taken; delete uploads or jobs, and retry")
    attempt = folder / claim.token
    attempt.mkdir(mode=0o700)
    try:
        made = _Doing(claim, settings, attempt).run()
    except BaseException:
        discard(attempt)
        raise
    write_text(attempt / OUTCOME, json.dumps(made))
    return _recorded(made, attempt, settings)


def _attempts(folder: Path) -> Iterator[Path]:
    yield from (p for p in sorted(folder.iterdir()) if p.is_dir() and len(p.name) == 32) if folder.is_dir() else ()


def _recorded(made: dict[str, Any], attempt: Path, settings: Settings) -> Made:
    """Record a result in the owner's ledger, once however often this is called, and return what is told of the job."""
    from tratto.provenance.bundle import LEDGER

    result, uploads = made["result"], made["uploads"]
    if settings.ledger is not None and result.get("bundle"):
        from tratto.core.hashing import read_limited
        from tratto.ledger.proof import MAX_PROOF, read_proof
        from tratto.provenance.notary import Notary

        bundle = attempt / result["bundle"]
        proof = Notary(None, settings.ledger).complete(bundle)
        proof = proof or read_proof(read_limited(bundle / LEDGER, MAX_PROOF))
        result["entry"] = proof.index
    for upload, (_, _) in uploads.items():  # made under the attempt, and named only now
        source = attempt / "uploads" / upload
        if source.is_dir() and not settings.upload(upload).exists():
            os.rename(source, settings.upload(upload))
    return result, bytes_below(attempt.parent), {k: (facts, size) for k, (facts, size) in uploads.items()}


class _Doing:
    """One job being done in the folder of an attempt."""

    def __init__(self, claim: Claim, settings: Settings, attempt: Path) -> None:
        self.claim, self.settings, self.attempt = claim, settings, attempt
        self.request: dict[str, Any] = json.loads(claim.row["request"])
        self.offer: Offer = offers()[claim.row["task"]]
        self.inputs = attempt.parent / "inputs"
        self.pictures: dict[str, dict[str, Any]] = {}
        self.uploads: dict[str, tuple[dict[str, Any], int]] = {}
        self.groups = split(self.offer, self.request["options"])

    def run(self) -> dict[str, Any]:
        """Do it; return what is kept in ``outcome.json``."""
        from tratto.imaging.io import Limits

        settings = self.settings
        picture = self.file(self.request["inputs"]["picture"])
        limits = Limits(max_pixels=settings.pixels, max_side=settings.side)
        session = Session(
            limits=limits,
            job_limits=JobLimits(output_pixels=settings.output_pixels, minutes=settings.minutes),
            forensic=bool(self.groups.get("run", {}).get("forensic", False)),
            progress=self.claim.progress,
            notary=_signer(settings),
            device=settings.device,
            # a paused job may hold a network that only one can use; who waited for it would wait for ever
            pool=Pool() if self.claim.worker.holds_paused else POOL,
        )
        facts = json.loads((self.inputs / self.request["inputs"]["picture"] / "facts.json").read_text("utf-8"))
        megapixels = max(LEAST, facts["megapixels"])
        self.claim.pace = Pace(self.claim.worker.store.pace(self.claim.row["task"]), megapixels, time.monotonic())
        if self.offer.makes_scene:
            result = self.scene(session, picture)
        else:
            result = self.mask(session, picture) if self.offer.makes_mask else self.picture(session, picture)
        return {"result": {"attempt": self.attempt.name, **result, "pictures": self.pictures}, "uploads": self.uploads}

    def file(self, upload: str) -> Path:
        """Return the file of an input; it bears the name that it was sent with."""
        folder = self.inputs / upload / "file"
        try:
            return next(folder.iterdir())
        except (OSError, StopIteration):
            raise InputError("an input of this job is no longer there") from None

    def given(self, value: Any, number: int = 0) -> Any:
        """Return an input as a job takes it: a file, a word, a folder with a mask for each class, or several."""
        if isinstance(value, list):
            return tuple(self.given(v, i) for i, v in enumerate(value))
        if isinstance(value, dict):
            folder = self.attempt / "classes" / str(number)
            for name, upload in value.items():
                linked(self.file(upload), folder / f"{name}.png")
            return folder
        return value if value in self.stand_ins else self.file(value)

    def words(self, text: str) -> str:
        """Return a text as it is told over HTTP."""
        return http_words(without_paths(text, self.settings), self.offer)

    @property
    def stand_ins(self) -> set[str]:
        """Texts that may stand for a file."""
        return {word for item in self.offer.inputs for word in item.words}

    # -- scenes -------------------------------------------------------------------------------------------------

    def scene(self, session: Session, given: Path) -> dict[str, Any]:
        """Do a job whose result is a scene, of a ZIP file of photographs or of one; return what is told of it."""
        from tratto.jobs.lifting import check_single, lift_photo
        from tratto.jobs.viewing import scene_files
        from tratto.provenance.bundle import OUTPUTS
        from tratto.server.views import upright

        options: Any = self.offer.task.model(**self.groups["task"])
        session.check_options(options)
        out = self.attempt / "out"
        made: Lifted | tuple[str, ...]
        if self.offer.from_capture:
            made = self.capture(session, given, options, out)
        elif self.groups["run"].get("dry_run"):
            check_single(given)
            made = session.job().plan(options, session.open(given))[0].recipe.reasons
        else:
            drawn = {r: self.given(v) for r, v in self.request["inputs"].items() if r != "picture"}
            out.mkdir()
            made = lift_photo(session, given, out / f"{given.stem}.ply", options, **drawn)
        if isinstance(made, tuple):
            return {"note": "", "warnings": [], "plan": {"reasons": [self.words(r) for r in made]}}
        output, bundle, saved = made.saved.output, made.saved.bundle, made.saved
        facts = made.result.main.facts()["scene"]
        views = self.attempt / "views" / "scene"
        views.mkdir(parents=True)
        shown = scene_files(output)
        for name, data in shown.items():
            if name == "scene.ply":
                linked(output, views / name)
            else:
                (views / name).write_bytes(data)
        self.tiles("sheet", *upright(_opened(bundle / OUTPUTS / "sheet.png", 0)))
        files = {"scene": output, **dict(zip(dict.fromkeys(options.export), made.exports, strict=True))}
        scores = made.result.records[-1].scores
        note = f"{facts['gaussians']} Gaussians, {100 * facts['seen'] / facts['gaussians']:.1f} % seen in photographs"
        if "held_out_psnr" in scores:
            note += f"; photographs held out: PSNR {scores['held_out_psnr']:.2f} dB, SSIM {scores['held_out_ssim']:.4f}"
        warnings = (*made.notes, *made.result.warnings, *saved.warnings)
        return {
            "note": note, "warnings": [self.words(w) for w in warnings], "regions": [], "viewer": list(shown),
            "file": str(output.relative_to(self.attempt)), "bundle": str(bundle.relative_to(self.attempt)),
            "receipt_sha256": saved.receipt_sha256, "signed": saved.signed, "entry": saved.entry,
            "outputs": {
                role: {"name": p.name, "bytes": p.stat().st_size, "media_type": media_type(p.name)}
                for role, p in files.items()
            },
        }  # fmt: skip

    def asked(self) -> dict[str, Any]:
        """Return the task's options; services elsewhere are asked where and how the server's owner says.

        Raises
        ------
        OptionError
            If one is named that the owner has taken away since.
        """
        options, services = dict(self.groups["task"]), self.settings.services
        names = options.get(SENDS, ())
        if gone := [name for name in names if name not in services]:
            raise OptionError(f"this server no longer sends pictures to {', '.join(gone)}")
        if names:
            options["scorer_params"] = {f"{n}.{key}": value for n in names for key, value in services[n].items()}
        return options

    def capture(self, session: Session, packed: Path, options: Any, out: Path) -> Lifted | tuple[str, ...]:
        """Make a scene of a ZIP file of photographs, or say what would be done."""
        from tratto.jobs.lifting import gathered, lift_folder
        from tratto.server.child import capture_folder

        unfolded = self.attempt / "capture"
        folder = capture_folder(packed, unfolded / packed.stem, 2 * self.settings.upload_bytes)
        try:
            if self.groups["run"].get("dry_run"):
                found, _, notes = gathered(folder, options)
                return (f"{len(found.cameras)} photographs with cameras, {len(found.points)} points", *notes)
            out.mkdir()
            return lift_folder(session, folder, out / f"{packed.stem}.ply", options)
        finally:
            discard(unfolded)

    # -- pictures -----------------------------------------------------------------------------------------------

    def picture(self, session: Session, picture: Path) -> dict[str, Any]:
        """Do a job whose result is a picture, or a scene; return what is told of it."""
        from tratto.core.options import Papers, RunOptions, SaveOptions
        from tratto.imaging.opening import open_single

        roles = {i.role: i for i in self.offer.inputs[1:]}
        inputs = {r: self.given(v) for r, v in self.request["inputs"].items() if r in roles}
        inputs = {r: (v if isinstance(v, tuple) or not roles[r].repeatable else (v,)) for r, v in inputs.items()}
        every: dict[str, Any] = {role: inputs.get(role) for role in roles}
        read = partial(open_single, role="swatch", limits=session.limits)
        options = self.offer.task.model.of(self.asked(), every, read)
        self.offer.task.check(options, every)
        run = RunOptions(out=self.attempt / "out", **self.groups["run"])
        papers = Papers(**self.groups["papers"])
        kept = {r: v for r, v in inputs.items() if not roles[r].becomes}
        job = FolderJob((str(picture),), options, run, SaveOptions(**self.groups["writing"]), kept, papers)
        outcome = self.outcome(job, session)
        discard(self.attempt / "classes")
        details = outcome.details
        answer: dict[str, Any] = {
            "note": self.words(outcome.message),
            "warnings": [self.words(w) for w in details.get("warnings", [])],
        }
        if outcome.status == "planned":
            plan = {
                k: details[k] for k in ("reasons", "estimated_seconds", "width", "height", "may_change") if k in details
            }
            plan["reasons"] = [self.words(r) for r in plan.get("reasons", [])]
            return {**answer, "plan": plan}
        if outcome.output is None:
            raise OutputError("the job ended without a result")
        bundle = Path(details["bundle"])
        answer |= {
            "file": str(outcome.output.relative_to(self.attempt)), "bundle": str(bundle.relative_to(self.attempt)),
            "receipt_sha256": details["receipt_sha256"], "signed": details["signed"], "entry": details["entry"],
        }  # fmt: skip
        answer["outputs"], answer["regions"] = self.show(outcome.output, bundle)
        answer["observed"] = self.observed(session, bundle)
        return answer

    def observed(self, session: Session, bundle: Path) -> dict[str, float | None]:
        """Return what is watched of a result; of one in so many, as the owner decides, what takes as long as a job."""
        from tratto.jobs.support import measure_unsupported
        from tratto.monitor.watched import observe, tier_number

        facts: dict[str, float | None] = {}
        try:
            facts = observe(bundle).facts
            every = self.settings.check_every
            # by the job's id, which is random: the same job is checked or not, however often it is done
            if every and int(self.claim.row["id"], 16) % every == 0:
                facts["tier"] = tier_number(session.replay(bundle).tier)
                facts["unsupported"] = measure_unsupported(session.job(), bundle)["rate"]
        except (TrattoError, OSError, ValueError) as e:
            # of a scene, or without an original: the result is whole, and only less is known of it
            if isinstance(e, Cancelled):
                raise
        return facts

    def outcome(self, job: FolderJob, session: Session) -> FileOutcome:
        """Do the job; what it was stopped by comes out as it went in."""
        stopped: list[BaseException] = []

        def progress(stage: str, done: int, total: int) -> None:
            try:
                self.claim.progress(stage, done, total)
            except BaseException as e:
                stopped.append(e)
                raise

        session.progress = progress
        found = list(run_folder(job, session))
        if stopped:
            raise stopped[0]
        if len(found) != 1:
            raise OptionError(f"a job has one result, got {len(found)}; name a page of a file with several")
        if found[0].status == "failed":
            raise _error(found[0])
        return found[0]

    def show(self, output: Path, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Make tiles of the result and its maps; return facts of the outputs, and the regions."""
        from tratto.provenance.bundle import CONFIDENCE, EDIT_MAP, MASK, OUTPUTS, read_bundle, read_map, read_picture
        from tratto.provenance.receipt import main_output, maps_of
        from tratto.server.views import confidence_view, edit_view, mask_view, upright

        bundle = read_bundle(folder)
        made = main_output(bundle.receipt)
        facts = {"name": output.name, "bytes": output.stat().st_size, "media_type": media_type(output.name)}
        size = made.get("picture")
        role = "picture" if size else next(iter(bundle.receipt["outputs"]))
        if size is None:
            return {role: facts}, []
        before = self.request["inputs"]["picture"]
        page = bundle.receipt["inputs"]["picture"]["page"]
        views = self.attempt / "views"
        views.mkdir()
        if page == 0 and (self.inputs / before / "view.tiles").is_file():
            for name, shown in (("view.tiles", "before.tiles"), *((f"preview-{n}", f"before-{n}") for n in PREVIEWS)):
                linked(self.inputs / before / name, views / shown)
            earlier = json.loads((self.inputs / before / "facts.json").read_text("utf-8"))
            self.pictures["before"] = earlier["view"]
        else:
            self.tiles("before", *upright(_opened(self.file(before), page)))
        image = read_picture(output, size["width"], size["height"])
        turn = image.meta.orientation
        self.tiles("after", *upright(image))
        edit, stated = maps_of(bundle.receipt)
        maps: dict[str, NDArray[np.uint16]] = {}
        if edit is not None:
            maps["edit"] = read_map(bundle, EDIT_MAP, size)
            grid, bands, legend = edit_view(maps["edit"], turn)
            self.tiles("edit_map", grid, bands)["legend"] = legend
        if stated is not None:
            maps["confidence"] = read_map(bundle, CONFIDENCE, size)
            grid, bands, legend = confidence_view(maps["confidence"], turn)
            self.tiles("confidence_map", grid, bands)["legend"] = legend
        mask = None
        if (folder / MASK).is_file():
            mask = read_map(bundle, MASK, bundle.receipt["inputs"]["picture"]["picture"])
            self.tiles("mask", *mask_view(mask, turn))
        sheet = next((folder / OUTPUTS).glob("sheet.*"), None)
        if sheet is not None and "sheet" in bundle.receipt["outputs"]:
            self.tiles("sheet", *upright(_opened(sheet, 0)))
        width, height = self.pictures["after"]["width"], self.pictures["after"]["height"]
        regions = _regions(bundle.receipt, maps, mask, size, turn) if len(maps) == 2 else []
        return {role: {**facts, "width": width, "height": height}}, regions

    def tiles(self, role: str, grid: Any, bands: Any) -> dict[str, Any]:
        """Make the tiles of a picture."""

        def watched(y0: int, y1: int) -> Any:
            self.claim.progress("prepare the view", y1, grid.height)
            return bands(y0, y1)

        views = self.attempt / "views"
        self.pictures[role] = write_pyramid(grid, watched, views / f"{role}.tiles", views / role)
        return self.pictures[role]

    # -- masks --------------------------------------------------------------------------------------------------

    def mask(self, session: Session, picture: Path) -> dict[str, Any]:
        """Do a job whose result is a mask; return what is told of it."""
        from tratto.imaging import io
        from tratto.imaging.masks import mask_from_picture
        from tratto.jobs import masking

        job = session.job()
        image = session.open(picture, 0)
        options: Any = self.offer.task.model(**self.groups["task"])
        (self.attempt / "views").mkdir()
        if self.offer.task.name == "mask-find":
            found = masking.find_damage(job, image, options)
            if not found:
                raise OptionError("no damage was found; lower the threshold, or say which kinds you see")
            whole = np.maximum.reduce([*found.values()])
            masks = {name: self.keep_mask(values, name) for name, values in found.items()}
            note = f"damage was found: {', '.join(found)}; look at the masks before they are used"
        elif self.offer.task.name == "mask-background":
            whole, masks = masking.find_background(job, image, options), {}
            note = f"{100 * float(whole.mean(dtype=np.float64)):.3g} % of the picture is the object"
        else:
            drawn = {}
            for role in ("scribble", "scribble_not"):
                if (upload := self.request["inputs"].get(role)) is not None:
                    drawing = session.open(self.file(upload), 0)
                    drawn[role] = io.oriented(mask_from_picture(drawing), drawing.meta.orientation)
            whole, masks = masking.find_wall(job, image, options, drawn), {}
            note = f"{100 * float(whole.mean(dtype=np.float64)):.3g} % of the picture is wall"
        upload = self.keep_mask(whole, "mask")
        facts = self.uploads[upload][0]
        shown = {k: facts[k] for k in ("name", "bytes", "width", "height")}
        self.tiles("mask", *_veil(whole))
        outputs = {"mask": {**shown, "media_type": "image/png", "upload": upload}}
        return {"note": note, "warnings": [], "outputs": outputs, "masks": masks, "regions": []}

    def keep_mask(self, values: NDArray[np.float32], name: str) -> str:
        """Write a mask as an upload; return its id."""
        from tratto.core.hashing import hash_file
        from tratto.core.image import ColorMode, Image
        from tratto.imaging import io
        from tratto.imaging.masks import to_samples
        from tratto.server.views import upright

        upload = new_id()
        folder = self.attempt / "uploads" / upload
        (folder / "file").mkdir(parents=True)
        stem = Path(self.claim.row["name"]).stem[:60]
        path = folder / "file" / f"{stem}-{name}.png"
        image = Image(np.ascontiguousarray(to_samples(values)), ColorMode.GRAY)
        io.write_image(image, path, "png")
        view = write_pyramid(*upright(image), folder / "view.tiles", folder / "preview")
        digest = hash_file(path)
        facts = {
            "name": path.name, "width": view["width"], "height": view["height"], "mode": "gray",
            "bits": 8, "alpha": False, "format": "png", "pages": 1, "notes": [], "view": view,
            "megapixels": round(values.size / 1e6, 3),
            "sha256": digest.sha256, "bytes": path.stat().st_size,
        }  # fmt: skip
        write_text(folder / "facts.json", json.dumps(facts))
        self.uploads[upload] = (facts, bytes_below(folder))
        return upload


def _veil(values: NDArray[np.float32]) -> tuple[Any, Any]:
    from tratto.server.views import mask_view

    return mask_view(np.rint(values * 65535).astype(np.uint16), 1)


def _opened(path: Path, page: int) -> Image:
    from tratto.imaging.io import read_image
    from tratto.imaging.scratch import allocate

    return read_image(path, None, page, allocate)


def _regions(
    receipt: Mapping[str, Any], maps: Mapping[str, Any], mask: Any, size: Mapping[str, Any], turn: int
) -> list[dict[str, Any]]:
    """Return the regions of a result as the report lists them, with boxes as the picture is shown."""
    from tratto.provenance.report.regions import kind, regions_of
    from tratto.server.views import turned_box

    listed = []
    for number, region in enumerate(regions_of(receipt, maps["edit"], maps["confidence"], mask), 1):
        box = None if region.box is None else list(turned_box(region.box, size["width"], size["height"], turn))
        listed.append(
            {
                "index": number, "box": box, "claim": region.status, "kind": kind(receipt, region),
                "share": region.share, "changed": region.changed, "delta_e_mean": region.mean,
                "delta_e_max": region.largest, "error": region.error,
            }
        )  # fmt: skip
    return listed


def _signer(settings: Settings) -> Notary | None:
    """Return who signs; the ledger is written later, when the result is whole."""
    from tratto.jobs.signing import notary_of

    return notary_of(None, settings.sign)


def _error(outcome: FileOutcome) -> TrattoError:
    """Return the error that an outcome tells of, by its exit code."""
    from tratto.core import errors

    kinds = (
        errors.OptionError, errors.InputError, errors.OutputError, errors.UnavailableError, errors.ReceiptError,
        errors.ForbiddenStep, Cancelled,
    )  # fmt: skip
    known = {kind.exit_code: kind for kind in kinds}
    return known.get(outcome.exit_code, TrattoError)(outcome.message)


def media_type(name: str) -> str:
    """Return the media type of a result by its extension."""
    return MEDIA_TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
