"""Bringing pictures home: into a folder where each picture has its licence beside it, from the moment it is there.

``FOLDER/NAME.jpg`` and ``FOLDER/NAME.jpg.json`` (its *sidecar*) are one thing. The sidecar gets its name first, then
the picture, then the journal ``.collect/journal.jsonl`` hears of it. Whatever a kill leaves in between is finished or
removed by the next run, which goes on at the page where the last one was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, OptionError, OutputError, TrattoError, UnavailableError
from tratto.core.reading import parse_json, small_text
from tratto_lab.collect.client import Broken, Client, Downloaded, Refused
from tratto_lab.collect.journal import Journal
from tratto_lab.collect.licences import FREE, Licence, licence_of
from tratto_lab.collect.sources import SOURCES, Found, Page, Source

#: What a sidecar says it is.
FORMAT = "tratto-collected/1"
#: Extensions by format; HEIF and AVIF are left out, since not every installation reads them.
EXTENSIONS = {"jpeg": ".jpg", "png": ".png", "tiff": ".tif", "webp": ".webp"}
#: So many pictures of one run may fail one after the other before it is ended.
MOST_FAILURES = 20


@dataclass(frozen=True)
class CollectPlan:
    """What to collect.

    Attributes
    ----------
    query : str
        In the language of the source.
    out : Path
        Folder; made if it is not there. It may hold what other queries and sources gave.
    limit : int
        Pictures that this query may give altogether, earlier runs counted.
    licences : tuple of str
        Families that are accepted; see :mod:`tratto_lab.collect.licences`.
    min_side : int
        Pictures with a shorter side below this are refused.
    max_megapixels : float
        Pictures above this are refused before they are decoded.
    """

    query: str
    out: Path
    limit: int
    licences: tuple[str, ...] = FREE
    min_side: int = 64
    max_megapixels: float = 100.0


@dataclass
class Collected:
    """What a run did.

    Attributes
    ----------
    kept : int
        Pictures that came in now.
    adopted : int
        Pictures that a killed run had finished but not noted.
    before : int
        Pictures that this query gave in earlier runs.
    known : int
        Pictures met again that were here already.
    same : int
        Pictures left out because their bytes are here under another name.
    refused, failed : Counter
        By reason. What failed is tried again by the next run.
    pages : int
        How many of the source's list were asked for.
    size : int
        Bytes of pictures that came in now.
    seconds : float
        From beginning to end.
    finished : bool
        True if the list of the source came to its end.
    """

    kept: int = 0
    adopted: int = 0
    before: int = 0
    known: int = 0
    same: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    size: int = 0
    seconds: float = 0.0
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        plain = {k: v for k, v in self.__dict__.items() if not isinstance(v, Counter)}
        return {**plain, "refused": dict(self.refused), "failed": dict(self.failed)}


@dataclass
class _Known:
    """What the journal tells: of all runs, and of the one that goes on."""

    files: dict[str, str] = field(default_factory=dict)  # sha256 -> file name
    ids: set[tuple[str, str]] = field(default_factory=set)  # (source, id) that are kept or the same as one kept
    refused: set[str] = field(default_factory=set)  # ids that this query and these licences refuse
    waiting: dict[str, Found] = field(default_factory=dict)  # failed, to be tried again
    mine: int = 0
    cursor: Any = None
    begun: bool = False
    finished: bool = False


def collect(
    source: Source, plan: CollectPlan, client: Client, progress: Callable[[str], None] | None = None
) -> Collected:
    """Collect pictures until the limit is reached or the source has no more.

    Parameters
    ----------
    source : Source
        Whose list is followed.
    plan : CollectPlan
        Query, limit, and which licences and sizes are taken.
    client : Client
        Fetches, at the pace it was given.
    progress : callable, optional
        Called with a line for each picture that is kept or has failed.

    Raises
    ------
    OptionError
        If the plan makes no sense.
    OutputError
        If the folder cannot be written, or another process collects into it.
    UnavailableError
        If the source does not answer, or does not accept the key. What was collected stays.
    """
    if plan.limit < 1 or plan.min_side < 1 or not plan.max_megapixels > 0:
        raise OptionError("limit, smallest side and megapixels must be above 0")
    if not plan.query.strip():
        raise OptionError("a query is needed")
    return _Run(source, plan, client, progress or (lambda line: None)).run()


class _Run:
    def __init__(self, source: Source, plan: CollectPlan, client: Client, progress: Callable[[str], None]) -> None:
        self.source, self.plan, self.client, self.progress = source, plan, client, progress
        settings = json.dumps([source.name, plan.query, sorted(plan.licences), plan.min_side, plan.max_megapixels])
        #: names this query with these licences in the journal
        self.id = hashlib.sha256(settings.encode()).hexdigest()[:12]
        self.parts = plan.out / ".collect" / "parts"
        self.done = Collected()
        self.failures = 0

    def run(self) -> Collected:
        began = time.monotonic()
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise OutputError(f"{self.plan.out}: cannot be used as a folder: {e.strerror or e}") from e
        with Journal(self.parts.parent / "journal.jsonl") as self.journal:
            # under the lock, parts can only be those of processes that are gone
            shutil.rmtree(self.parts, ignore_errors=True)
            self.parts.mkdir(exist_ok=True)
            self.known = self._remember()
            self._adopt()
            self.done.before = self.known.mine
            if not self.known.begun:
                self.journal.add(
                    event="begin", run=self.id, source=self.source.name, query=self.plan.query,
                    licences=list(self.plan.licences),
                )  # fmt: skip
            try:
                self._go()
            finally:
                self.done.seconds = time.monotonic() - began
                write_index(self.plan.out)
        return self.done

    def _remember(self) -> _Known:
        known = _Known()
        for event in self.journal.events():
            kind, mine, number = event.get("event"), event.get("run") == self.id, str(event.get("id"))
            here = event.get("source") == self.source.name
            if kind == "kept":
                # a picture that was taken away since, because it is a near duplicate perhaps, is not fetched again
                known.files[str(event["sha256"])] = str(event["file"])
                known.ids.add((str(event["source"]), number))
                known.mine += mine
                if here:
                    known.waiting.pop(number, None)
            elif kind == "same":
                known.ids.add((str(event["source"]), number))
                if here:
                    known.waiting.pop(number, None)
            elif mine and kind == "begin":
                known.begun = True
            elif mine and kind == "refused":
                known.refused.add(number)
                known.waiting.pop(number, None)
            elif mine and kind == "failed":
                known.waiting[number] = Found.from_json(event["found"])
            elif mine and kind == "page":
                known.cursor, known.finished = event["next"], bool(event["last"])
        return known

    def _adopt(self) -> None:
        """Finish or take back what a killed run left between sidecar, picture and journal."""
        noted = set(self.known.files.values())
        for sidecar in _sidecars(self.plan.out):
            name = sidecar.name.removesuffix(".json")
            if name in noted:
                continue
            try:
                about = read_sidecar(sidecar)
            except InputError:
                continue  # not ours
            picture = sidecar.with_name(name)
            source, number = str(about["source"]), str(about["id"])
            if picture.stem != file_name(source, number):
                continue  # somebody gave it another name
            if not picture.exists():
                sidecar.unlink(missing_ok=True)
            elif _sha256(picture) == about["sha256"] and about["sha256"] not in self.known.files:
                self._note_kept(source, number, name, str(about["sha256"]), str(about.get("run", "")))
                self.done.adopted += 1

    def _note_kept(self, source: str, number: str, name: str, sha256: str, run: str) -> None:
        self.journal.add(event="kept", run=run, source=source, id=number, file=name, sha256=sha256)
        self.known.files[sha256] = name
        self.known.ids.add((source, number))
        if run == self.id:
            self.known.mine += 1
            self.known.waiting.pop(number, None)

    def _full(self) -> bool:
        return self.known.mine >= self.plan.limit

    def _go(self) -> None:
        for found in list(self.known.waiting.values()):
            if self._full():
                return
            self._take(found)
        if self.known.finished:
            self.done.finished = True
            return
        cursor = self.known.cursor
        while not self._full():
            page = self._page(cursor)
            self.done.pages += 1
            for reason, count in page.passed_over.items():
                self.done.refused[reason] += count
            for found in page.found:
                if self._full():
                    return
                self._take(found)
            if page.following is not None and page.following == cursor:
                raise UnavailableError(f"{self.source.name}: the list does not go on; try again later")
            cursor = page.following
            self.journal.add(event="page", run=self.id, next=cursor, last=cursor is None)
            if cursor is None:
                self.done.finished = True
                return

    def _page(self, cursor: Any) -> Page:
        try:
            return self.source.page(self.client, self.plan.query, cursor)
        except Refused as e:
            facts = SOURCES.get(self.source.name)
            words = self.client.scrub(e.detail)
            if e.reason in ("status 401", "status 403") and facts is not None and facts.key_variable:
                raise UnavailableError(
                    f"{self.source.name} does not accept the key in {facts.key_variable} ({e.reason}: {words}); "
                    f"get one at {facts.key_from}"
                ) from None
            raise UnavailableError(f"{self.source.name} refuses the request: {e.reason}; {words}") from None
        except Broken as e:
            raise UnavailableError(
                f"{self.source.name} does not answer: {e.reason} {self.client.scrub(e.detail)}; the same command "
                "goes on from here later"
            ) from None

    def _take(self, found: Found) -> None:
        """Bring one picture home, or note why not."""
        if (self.source.name, found.id) in self.known.ids:
            self.done.known += 1
            return
        if found.id in self.known.refused:
            self.done.known += 1
            return
        licence = licence_of(found.statements)
        reason = self._unwanted(found, licence)
        if reason:
            self._refuse(found, reason)
            return
        part = self.parts / f"{hashlib.sha256(found.id.encode()).hexdigest()[:16]}.part"
        try:
            with self._opened(part) as sink:
                came = self.client.picture(found.picture, self.source.pictures, sink)
                if found.sha1 and came.sha1 != found.sha1:
                    raise Broken("not the file that was announced", f"SHA-1 {came.sha1}")
                sink.flush()
                os.fsync(sink.fileno())
            extension, width, height = self._looked_at(part)
            self._keep(found, licence, came, part, (extension, width, height))
            self.failures = 0
        except Refused as e:
            self.failures = 0
            self._refuse(found, e.reason)
        except Broken as e:
            self._fail(found, e.reason)
        finally:
            part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _opened(self, part: Path) -> Iterator[Any]:
        try:
            with open(part, "w+b") as sink:
                yield sink
        except OSError as e:
            raise OutputError(f"{part}: cannot be written: {e.strerror or e}") from e

    def _unwanted(self, found: Found, licence: Licence) -> str:
        if licence.family not in self.plan.licences:
            named = licence.id or (licence.said if licence.family == "unknown" else "")
            return f"licence {licence.family}" + (f" ({named[:60]})" if named else "")
        if found.width and found.height and min(found.width, found.height) < self.plan.min_side:
            return "too small"
        if found.width * found.height > self.plan.max_megapixels * 1e6 or found.size > self.client.policy.max_picture:
            return "too large"
        return ""

    def _looked_at(self, part: Path) -> tuple[str, int, int]:
        """Decode the file once, within limits: what cannot be decoded whole is not kept.

        Raises
        ------
        Refused, Broken
            If it is too small, too large or not a picture; if it cannot be decoded whole.
        """
        from tratto.core.errors import CorruptPicture, PictureTooLarge
        from tratto.imaging import io

        with open(part, "rb") as file:
            kind = io.sniff(file.read(64))
        if kind not in EXTENSIONS:
            raise Refused("not a picture", "the bytes are of no format that is collected")
        limits = io.Limits(
            max_pixels=int(self.plan.max_megapixels * 1e6), max_bytes=self.client.policy.max_picture, max_pages=100
        )
        try:
            image = io.read_image(part, limits)
        except PictureTooLarge as e:
            raise Refused("too large", str(e)) from e
        except CorruptPicture as e:
            # cut off on the way, perhaps: another day it may be whole
            raise Broken("a picture that cannot be decoded", str(e)) from e
        except TrattoError as e:
            raise Refused("a kind of picture that is not read", str(e)) from e
        if min(image.width, image.height) < self.plan.min_side:
            raise Refused("too small")
        return EXTENSIONS[kind], image.width, image.height

    def _keep(self, found: Found, licence: Licence, came: Downloaded, part: Path, facts: tuple[str, int, int]) -> None:
        if came.sha256 in self.known.files:
            self.journal.add(
                event="same", run=self.id, source=self.source.name, id=found.id, file=self.known.files[came.sha256]
            )
            self.known.ids.add((self.source.name, found.id))
            self.done.same += 1
            return
        extension, width, height = facts
        name = file_name(self.source.name, found.id) + extension
        about = {
            "format": FORMAT,
            "run": self.id,
            "source": self.source.name,
            "query": self.plan.query,
            "id": found.id,
            "title": found.title,
            "author": found.author,
            "credit": found.credit,
            "institution": found.institution,
            "description": found.description,
            "date": found.date,
            "licence": {"id": licence.id, "family": licence.family, "url": licence.url, "said": licence.said},
            "restrictions": found.restrictions,
            "attribution": attribution(found, licence, self.source.title),
            "page": found.page,
            "picture": found.picture,
            "sha256": came.sha256,
            "bytes": came.size,
            "width": width,
            "height": height,
            "retrieved": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        text = json.dumps(self._scrubbed(about), ensure_ascii=False, indent=1) + "\n"
        _write(self.plan.out / f"{name}.json", text, self.parts)
        try:
            os.replace(part, self.plan.out / name)
            _sync(self.plan.out)
        except OSError as e:
            raise OutputError(f"{self.plan.out / name}: cannot be written: {e.strerror or e}") from e
        self._note_kept(self.source.name, found.id, name, came.sha256, self.id)
        self.done.kept += 1
        self.done.size += came.size
        self.progress(f"{name}: {licence.id}, {width}x{height}, {found.title[:80]}")

    def _scrubbed(self, value: Any) -> Any:
        """Return JSON-able data in whose texts no key stands."""
        if isinstance(value, dict):
            return {k: self._scrubbed(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._scrubbed(v) for v in value]
        return self.client.scrub(value) if isinstance(value, str) else value

    def _refuse(self, found: Found, reason: str) -> None:
        self.journal.add(event="refused", run=self.id, source=self.source.name, id=found.id, reason=reason)
        self.known.refused.add(found.id)
        self.known.waiting.pop(found.id, None)
        self.done.refused[reason] += 1

    def _fail(self, found: Found, reason: str) -> None:
        safe = self._scrubbed(found.to_json())
        self.journal.add(event="failed", run=self.id, source=self.source.name, id=found.id, reason=reason, found=safe)
        self.known.waiting[found.id] = found
        self.done.failed[reason] += 1
        self.progress(f"{self.source.name} {found.id}: {reason}; the next run tries again")
        self.failures += 1
        if self.failures >= MOST_FAILURES:
            raise UnavailableError(
                f"{self.failures} pictures failed one after the other, the last with: {reason}; look at the connection "
                "and give the same command again"
            )


def file_name(source: str, number: str) -> str:
    """Return the name of a picture's file, without its ending: safe everywhere, and never that of another picture.

    Examples
    --------
    >>> file_name("wikimedia", "123")
    'wikimedia-123'
    """
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", number).strip("._")[:80]
    # names that differ only in case are one on some disks
    if safe != number or safe != safe.lower():
        safe = f"{safe}-{hashlib.sha256(number.encode()).hexdigest()[:10]}"
    return f"{source}-{safe}"


def attribution(found: Found, licence: Licence, source: str) -> str:
    """Return the line that names title, author, licence and source, as Creative Commons licences ask."""
    name = f"“{found.title}”" if found.title else "Untitled"
    by = f" by {found.author}" if found.author else ""
    terms = f"{licence.id} ({licence.url})" if licence.url else licence.id
    credit = f"; {found.credit}" if found.credit and found.credit != found.author else ""
    return f"{name}{by}{credit}; {terms}; via {source}: {found.page or found.picture}"


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the sidecar of a collected picture.

    Raises
    ------
    InputError
        If it cannot be read, or is none.
    """
    try:
        about = parse_json(small_text(path), path.name)
    except InputError as e:
        raise InputError(f"{path}: cannot be read as the sidecar of a collected picture: {e}") from e
    needed = {"source": str, "id": str, "sha256": str, "licence": dict}
    ok = isinstance(about, dict) and about.get("format") == FORMAT
    if not ok or any(not isinstance(about.get(k), t) for k, t in needed.items()):
        raise InputError(f"{path}: is not the sidecar of a collected picture ({FORMAT})")
    return dict(about)


def _sidecars(folder: Path) -> Iterable[Path]:
    names = sorted(e.name for e in os.scandir(folder) if e.is_file() and e.name.endswith(".json"))
    return (folder / n for n in names if n.removesuffix(".json").endswith(tuple(EXTENSIONS.values())))


def write_index(folder: Path) -> int:
    """Write ``index.jsonl`` (all sidecars, one a line) and ``ATTRIBUTION.md`` from what lies in a folder.

    Returns
    -------
    int
        How many pictures.
    """
    parts, count = folder / ".collect", 0
    index, credits = parts / "index.part", parts / "credits.part"
    try:
        with open(index, "w", encoding="utf-8") as one, open(credits, "w", encoding="utf-8") as two:
            two.write("# Where these pictures come from\n\n")
            for sidecar in _sidecars(folder):
                name = sidecar.name.removesuffix(".json")
                if not sidecar.with_name(name).is_file():
                    continue
                try:
                    about = read_sidecar(sidecar)
                except InputError:
                    continue
                one.write(json.dumps({"file": name, **about}, ensure_ascii=False) + "\n")
                two.write(f"- `{name}`: {about.get('attribution', '')}\n")
                count += 1
        os.replace(index, folder / "index.jsonl")
        os.replace(credits, folder / "ATTRIBUTION.md")
    except OSError as e:
        raise OutputError(f"{folder}: the index cannot be written: {e.strerror or e}") from e
    return count


def _write(path: Path, text: str, parts: Path) -> None:
    """Write a file so that it appears whole; what a kill leaves lies among the parts."""
    part = parts / f"{path.name}.part"
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as e:
        raise OutputError(f"{path}: cannot be written: {e.strerror or e}") from e


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
