"""Building a data set for repair: (damaged, depth, caption, restored, mask by class, licence) in shards.

What an item holds follows from the seed, the bytes of its picture and its number alone. The pictures are listed once
in order of their names, the seed lays items into an order, and each shard is a fixed stretch of that order. A shard
counts when its index is there; a kill therefore loses the shard that was being written and nothing else, and a build
that was killed ends with the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto._version import __version__
from tratto.core.errors import InputError, OptionError, OutputError
from tratto.core.files import write_text
from tratto.core.reading import parse_json, small_text
from tratto_lab.collect.journal import take_lock
from tratto_lab.corpus.build_card import write_card
from tratto_lab.corpus.build_item import Skip, make_item
from tratto_lab.corpus.build_plan import BuildPlan, Tools, open_tools
from tratto_lab.corpus.shards import ShardWriter, read_index

logger = logging.getLogger(__name__)

#: What a plan says it is.
FORMAT = "tratto-build/1"


@dataclass(frozen=True)
class Built:
    """What a build did.

    Attributes
    ----------
    items, shards, size : int
        Altogether, and their bytes.
    made_items, made_shards : int
        In this run; the others were there.
    skipped : mapping of str to int
        Items that could not be made, by reason.
    seconds : float
        Of this run.
    """

    items: int
    shards: int
    size: int
    made_items: int
    made_shards: int
    skipped: Mapping[str, int]
    seconds: float

    @property
    def items_per_second(self) -> float:
        """Items made in this run per second."""
        return self.made_items / self.seconds if self.seconds > 0 else 0.0


def build(
    folder: Path,
    out: Path,
    plan: BuildPlan,
    tools: Tools | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Built:
    """Build a data set, or go on with one.

    Parameters
    ----------
    folder : Path
        Pictures, with sub-folders; ``NAME.json`` beside each as :mod:`tratto_lab.collect` writes it.
    out : Path
        Folder for the shards; made if it is not there.
    plan : BuildPlan
        Sizes, seed and tools; a data set that was begun is gone on with by the same plan only.
    tools : Tools, optional
        In place of those that the plan names; for one worker only.
    workers : int
        Processes, each with a shard of its own.
    progress : callable, optional
        ``progress(done, total)`` in shards, and in items while one process makes a shard.

    Raises
    ------
    InputError
        If there are no pictures.
    OptionError
        If ``out`` was begun with another plan or other pictures.
    OutputError
        If it cannot be written, or another process builds there.
    """
    if workers < 1 or (tools is not None and workers > 1):
        raise OptionError(f"workers: 1 or more, and 1 where tools are given; got {workers}")
    began = time.monotonic()
    names = list_pictures(folder)
    if out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents:
        raise OptionError(f"{out} lies in {folder}: the pictures of a build would be those of the next")
    mine = tools or open_tools(plan)
    stated = _stated(plan, mine)
    with _own(out):
        _agree(out, stated, names)
        job = _Job(folder, out, plan, names)
        todo = []
        for number in range(job.shards):
            try:
                read_index(job.path(number).with_suffix(".json"))
            except InputError:
                todo.append(number)
        for part in out.glob(".*.part"):
            part.unlink(missing_ok=True)
        made = _make(job, todo, mine, workers, progress or (lambda done, total: None))
        totals = write_card(out, stated, folder.name)
    seconds = time.monotonic() - began
    return Built(totals["items"], totals["shards"], totals["bytes"], made, len(todo), totals["skipped"], seconds)


def list_pictures(folder: Path) -> list[str]:
    """Return the names of all pictures below a folder, relative to it, in order; hidden ones are left out.

    Raises
    ------
    InputError
        If it is no folder, or holds none.
    """
    from tratto_lab.corpus.dedupe import SUFFIXES

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = path.relative_to(folder)
            if any(p.startswith(".") for p in name.parts):
                continue
            if not name.as_posix().isprintable() and any("\ud800" <= c <= "\udfff" for c in name.as_posix()):
                shown = os.fsencode(name).decode("utf-8", "backslashreplace")
                logger.warning("left out, for its name is not UTF-8 and no list could hold it: %s", shown)
                continue
            found.append(name.as_posix())
    if not found:
        raise InputError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    return sorted(found)


@contextmanager
def _own(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = open(out / ".lock", "ab")  # noqa: SIM115 - closed below
    except OSError as e:
        raise OutputError(f"{out}: cannot be used as a folder: {e.strerror or e}") from e
    with lock:
        take_lock(lock, out / ".lock")
        yield


def _agree(out: Path, plan: dict[str, Any], names: list[str]) -> None:
    """Note the plan in a new folder; in one that was begun, see that it is the same."""
    listing = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    mine = {"format": FORMAT, "plan": plan, "pictures": len(names), "listing": listing}
    path = out / "plan.json"
    if not path.exists():
        if any(out.glob("shard-*")):
            raise OptionError(f"{out} holds shards, but no plan.json that says how they were made; name a new folder")
        write_text(path, json.dumps(mine, indent=1) + "\n")
        return
    try:
        theirs = parse_json(small_text(path, 1 << 30), path.name)
    except InputError as e:
        raise InputError(f"{path}: cannot be read: {e}; name a new folder") from e
    if theirs == mine:
        return
    if isinstance(theirs, dict) and theirs.get("plan") == mine["plan"]:
        raise OptionError(
            f"{out} was begun with {theirs.get('pictures')} pictures, now there are {len(names)} or others; put them "
            "back, or name a new folder"
        )
    before = theirs.get("plan", {}) if isinstance(theirs, dict) else {}
    changed = [k for k, v in plan.items() if not isinstance(before, dict) or before.get(k) != v]
    raise OptionError(f"{out} was begun with another plan ({', '.join(changed)} differ); name a new folder")


@dataclass(frozen=True)
class _Job:
    """All that a process needs to make any shard."""

    folder: Path
    out: Path
    plan: BuildPlan
    names: list[str]

    @property
    def items(self) -> int:
        every = len(self.names) * self.plan.variants
        return min(every, self.plan.limit) if self.plan.limit else every

    @property
    def shards(self) -> int:
        return -(-self.items // self.plan.per_shard)

    def path(self, number: int) -> Path:
        return self.out / f"shard-{number:06d}.tar"

    def order(self) -> NDArray[np.int64]:
        """Return what each place of the data set holds: ``picture * variants + variant``."""
        every = len(self.names) * self.plan.variants
        return np.random.default_rng([self.plan.seed, 0]).permutation(every).astype(np.int64)[: self.items]


def _make(job: _Job, todo: list[int], tools: Tools, workers: int, progress: Callable[[int, int], None]) -> int:
    """Make the shards that are missing, and return how many items they hold."""
    made = 0
    if workers == 1:
        order = job.order()
        total = sum(min(job.plan.per_shard, job.items - n * job.plan.per_shard) for n in todo)
        done = 0
        for number in todo:
            for step in _shard(job, number, order, tools):
                done += step[0]
                made += step[1]
                progress(done, total)
        return made
    from multiprocessing import get_context

    # spawned, not forked: threads of numeric libraries do not survive a fork
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (job, os.getpid())) as pool:
        for done, count in enumerate(pool.map(_whole_shard, todo), 1):
            made += count
            progress(done, len(todo))
    return made


_worker: dict[str, Any] = {}


def _start(job: _Job, parent: int) -> None:
    """Open what a worker process of `parent` keeps from shard to shard."""
    import cv2

    cv2.setNumThreads(1)
    # Idle workers would wait for a killed parent for ever. It may be gone by now, so its number was handed over.
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    _worker.update(job=job, order=job.order(), tools=open_tools(job.plan))


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _whole_shard(number: int) -> int:
    return sum(step[1] for step in _shard(_worker["job"], number, _worker["order"], _worker["tools"]))


def _shard(job: _Job, number: int, order: NDArray[np.int64], tools: Tools) -> Iterator[tuple[int, int]]:
    """Make a shard, yielding (1, 1) for each item and (1, 0) for each that was skipped."""
    first = number * job.plan.per_shard
    writer = ShardWriter(job.path(number))
    listed: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    try:
        for place, code in enumerate(order[first : first + job.plan.per_shard], first):
            name, variant = job.names[int(code) // job.plan.variants], int(code) % job.plan.variants
            try:
                key, members, about = make_item(job.folder, name, variant, place, job.plan, tools)
            except Skip as e:
                skipped.append({"source": name, "variant": variant, "reason": str(e)})
                yield 1, 0
                continue
            writer.add(key, members)
            listed.append(about)
            yield 1, 1
        about_all = {"tratto": __version__, "number": number, "items": listed, "skipped": skipped}
        writer.finish(about_all)
    except BaseException:
        writer.give_up()
        raise


def _stated(plan: BuildPlan, tools: Tools) -> dict[str, Any]:
    """Return the plan as it is kept: in place of names and folders, who estimates and describes."""
    kept = json.loads(json.dumps(asdict(plan)))
    asked: tuple[tuple[str, bool, Mapping[str, Any]], ...] = (
        ("depth", tools.depth is not None, tools.depth_by),
        ("caption", tools.caption is not None, tools.caption_by),
    )
    for name, there, by in asked:
        # the library may be another one tomorrow without anything being wrong; each item names its own
        kept[name] = {k: v for k, v in by.items() if k != "library"} if there else "none"
    return dict(kept)
