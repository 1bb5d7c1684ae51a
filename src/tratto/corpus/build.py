"""Building a data set for repair: (damaged, depth, caption, restored, mask by class, licence) in shards.

What an item holds follows from the seed, the bytes of its picture and its number alone. The pictures are listed once
in order of their names, the seed lays items into an order, and each shard is a fixed stretch of that order. A shard
counts when its index is there; a kill therefore loses the shard that was being written and nothing else, and a build
that was killed ends with the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto._version import __version__
from tratto.core.capability import DescriberInfo
from tratto.core.errors import InputError, OptionError, OutputError, TrattoError
from tratto.core.image import Depth, Image
from tratto.corpus.collect.journal import take_lock
from tratto.corpus.collect.licences import FREE, licence_of
from tratto.corpus.collect.run import read_sidecar
from tratto.corpus.shards import ShardWriter, encode_png, read_index, write_text
from tratto.simulate.damage import CLASSES, damage_all, natural_unit

Bytes = NDArray[np.uint8]
#: What a plan says it is.
FORMAT = "tratto-build/1"
#: Rows of the result that are made at once, which bounds memory for large pictures.
_BAND = 64


@dataclass(frozen=True)
class BuildPlan:
    """What is built.

    Attributes
    ----------
    size : int
        Side of the square items, 64-2048 pixels.
    variants : int
        Items from each picture, each another part of it with other damage.
    per_shard : int
        Items in a shard.
    seed : int
    limit : int
        Items altogether; 0: all.
    licences : tuple of str
        Families that are taken; families that forbid changes cannot be.
    stated : str
        Licence of pictures that have no sidecar, as stated by who builds; empty: such pictures are left out.
    depth, caption : str
        Who estimates depth and describes, or ``"none"``; see :func:`open_tools`.
    max_megapixels : float
        Pictures above this are left out.
    """

    size: int = 512
    variants: int = 1
    per_shard: int = 256
    seed: int = 0
    limit: int = 0
    licences: tuple[str, ...] = FREE
    stated: str = ""
    depth: str = "none"
    caption: str = "none"
    max_megapixels: float = 100.0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("--size", self.size, 64, 2048),
            ("--variants", self.variants, 1, 1000),
            ("--per-shard", self.per_shard, 1, 100_000),
            ("--limit", self.limit, 0, 10**9),
            ("--seed", self.seed, 0, 2**63),
        ):
            if not low <= value <= high:
                raise OptionError(f"{name} takes {low} to {high}, got {value}")
        if not self.max_megapixels > 0:
            raise OptionError(f"--max-megapixels must be above 0, got {self.max_megapixels}")
        no_changes = [f for f in self.licences if f.endswith("-nd")]
        if no_changes:
            raise OptionError(f"{', '.join(no_changes)} forbids changed copies, and a damaged picture is one")
        if licence_of([self.stated]).family.endswith("-nd"):
            raise OptionError(f"{self.stated} forbids changed copies, and a damaged picture is one")


@dataclass(frozen=True)
class Tools:
    """What estimates depth and describes; both see the restored picture.

    Attributes
    ----------
    depth : callable or None
        ``depth(rgb) -> Depth`` of the same height and width; ``rgb`` is (H, W, 3) float32 in [0, 1].
    caption : callable or None
        ``caption(rgb) -> str``.
    depth_by, caption_by : mapping
        Who they are, for the record: provider, model, hash.
    """

    depth: Callable[[NDArray[np.float32]], Depth] | None = None
    caption: Callable[[NDArray[np.float32]], str] | None = None
    depth_by: Mapping[str, Any] = field(default_factory=dict)
    caption_by: Mapping[str, Any] = field(default_factory=dict)


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


#: Why a picture without a licence is left out.
NO_SIDECAR = "no licence: it has no sidecar"


class _Skip(Exception):
    """No item can be made of this picture."""


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
        Pictures, with sub-folders; ``NAME.json`` beside each as :mod:`tratto.corpus.collect` writes it.
    out : Path
        Folder for the shards; made if it is not there.
    plan : BuildPlan
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
    told = _told(plan, mine)
    with _own(out):
        _agree(out, told, names)
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
        totals = write_card(out, told, folder.name)
    seconds = time.monotonic() - began
    return Built(totals["items"], totals["shards"], totals["bytes"], made, len(todo), totals["skipped"], seconds)


def list_pictures(folder: Path) -> list[str]:
    """Return the names of all pictures below a folder, relative to it, in order; hidden ones are left out.

    Raises
    ------
    InputError
        If it is no folder, or holds none.
    """
    from tratto.corpus.dedupe import SUFFIXES

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    found = []
    for path in folder.rglob("*"):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = path.relative_to(folder)
            if not any(p.startswith(".") for p in name.parts):
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
    told = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    mine = {"format": FORMAT, "plan": plan, "pictures": len(names), "listing": told}
    path = out / "plan.json"
    if not path.exists():
        if any(out.glob("shard-*")):
            raise OptionError(f"{out} holds shards, but no plan.json that says how they were made; name a new folder")
        write_text(path, json.dumps(mine, indent=1) + "\n")
        return
    try:
        theirs = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
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
    told: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    try:
        for place, code in enumerate(order[first : first + job.plan.per_shard], first):
            name, variant = job.names[int(code) // job.plan.variants], int(code) % job.plan.variants
            try:
                key, members, about = make_item(job.folder, name, variant, place, job.plan, tools)
            except _Skip as e:
                skipped.append({"source": name, "variant": variant, "reason": str(e)})
                yield 1, 0
                continue
            writer.add(key, members)
            told.append(about)
            yield 1, 1
        about_all = {"tratto": __version__, "number": number, "items": told, "skipped": skipped}
        writer.finish(about_all)
    except BaseException:
        writer.give_up()
        raise


def make_item(
    folder: Path, name: str, variant: int, place: int, plan: BuildPlan, tools: Tools
) -> tuple[str, dict[str, bytes], dict[str, Any]]:
    """Make one item.

    Parameters
    ----------
    folder : Path
    name : str
        Of the picture, relative to the folder.
    variant : int
        Which of the items from this picture.
    place : int
        Its number in the data set.
    plan : BuildPlan
    tools : Tools

    Returns
    -------
    (str, dict of str to bytes, dict)
        Key, members by ending, and what the index of the shard keeps.
    """
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as e:
        raise _Skip("cannot be read") from e
    digest = hashlib.sha256(data).hexdigest()
    terms = _terms(path, digest, plan)
    image = _decoded(data, plan)
    rng = np.random.default_rng([plan.seed, variant, *(int(digest[i : i + 8], 16) for i in range(0, 32, 8))])
    restored, crop = take_square(image, plan.size, rng)
    clean = restored.astype(np.float32) / np.float32(255)
    unit = natural_unit(plan.size, plan.size) * float(rng.uniform(0.8, 1.8))
    done = damage_all(clean, draw_damage(rng), rng, unit=unit)
    damaged = np.rint(done.picture * 255).astype(np.uint8)
    masks = {k: np.rint(done.masks[k] * 255).astype(np.uint8) for k in CLASSES if k in done.masks}
    classes = {k: round(float((m > 0).mean()), 6) for k, m in masks.items()}
    meta: dict[str, Any] = {
        "format": "tratto-item/1",
        "source": name,
        "picture_sha256": digest,
        "variant": variant,
        "seed": plan.seed,
        **terms,
        "crop": crop,
        "damage": [{"class": a.name, **a.parameters} for a in done.applied],
        "classes": classes,
        "depth": "none",
        "caption": "none",
    }
    members: dict[str, bytes] = {"json": b""}
    members["restored.png"] = encode_png(restored)
    members["damaged.png"] = encode_png(damaged)
    members.update({f"mask.{k}.png": encode_png(m) for k, m in masks.items()})
    if tools.depth is not None:
        meta["depth"], members["depth.png"] = _depth(tools.depth(clean), plan.size, tools.depth_by)
    if tools.caption is not None:
        text = tools.caption(clean)
        meta["caption"] = {**tools.caption_by, "of": "restored", "text": text}
        members["txt"] = text.encode("utf-8")
    members["json"] = json.dumps(meta, ensure_ascii=False, sort_keys=True).encode("utf-8")
    licence = terms["licence"]
    about = {
        "source": name,
        "variant": variant,
        "picture": digest,
        "licence": licence["id"],
        "family": licence["family"],
        "collection": terms["collection"],
        "author": bool(terms["author"]),
        "classes": list(classes),
        "covered": round(float((np.maximum.reduce(list(masks.values())) > 0).mean()), 6) if masks else 0.0,
    }
    return f"{place:09d}-{digest[:12]}", members, about


def _terms(path: Path, digest: str, plan: BuildPlan) -> dict[str, Any]:
    """Return licence and attribution of a picture, if it may be used."""
    sidecar = path.with_name(f"{path.name}.json")
    if not sidecar.exists():
        if not plan.stated:
            raise _Skip(NO_SIDECAR)
        read = licence_of([plan.stated])
        known = read.id != ""
        licence = {
            "id": read.id or plan.stated,
            "family": read.family if known else "stated",
            "url": read.url,
            "said": plan.stated,
        }
        about: dict[str, Any] = {"licence": licence}
    else:
        try:
            about = read_sidecar(sidecar)
        except InputError as e:
            raise _Skip("no licence: its sidecar cannot be read") from e
        if about["sha256"] != digest:
            raise _Skip("its sidecar speaks of another file")
        family = str(about["licence"].get("family"))
        if family not in plan.licences:
            raise _Skip(f"licence {family}")
    names = ("title", "author", "credit", "institution", "attribution", "page", "picture", "restrictions")
    told = {k: str(about.get(k) or "") for k in names}
    return {"licence": about["licence"], "collection": str(about.get("source") or "stated"), **told}


def _decoded(data: bytes, plan: BuildPlan) -> Image:
    from tratto.imaging import io

    limits = io.Limits(max_pixels=int(plan.max_megapixels * 1e6))
    try:
        image = io.read_image(data, limits)
    except TrattoError as e:
        raise _Skip(f"cannot be decoded: {type(e).__name__}") from e
    if min(image.width, image.height) < plan.size:
        raise _Skip("smaller than an item")
    return image


def take_square(image: Image, size: int, rng: np.random.Generator) -> tuple[Bytes, dict[str, int]]:
    """Take a random square out of a picture, area-averaged by a random whole factor.

    Parameters
    ----------
    image : Image
        Both sides at least ``size``.
    size : int
    rng : numpy.random.Generator

    Returns
    -------
    ((size, size, 3) uint8, dict)
        sRGB, turned as a viewer would show it, and where it was taken: ``x``, ``y``, ``side`` in stored order,
        ``shrink``, ``orientation``.
    """
    from tratto.imaging import io
    from tratto.imaging.color import view_rgb

    most = min(image.width, image.height) // size
    shrink = min(most, int(math.exp(rng.uniform(0.0, math.log(most + 1)))))
    side = shrink * size
    x, y = int(rng.integers(image.width - side + 1)), int(rng.integers(image.height - side + 1))
    out = np.empty((size, size, 3), np.uint8)
    for top in range(0, size, _BAND):
        rows = min(_BAND, size - top)
        part = image.pixels[y + top * shrink : y + (top + rows) * shrink, x : x + side]
        seen = view_rgb(image.replace(pixels=np.ascontiguousarray(part), alpha=None))
        mean = seen.reshape(rows, shrink, size, shrink, 3).mean(axis=(1, 3), dtype=np.float32)
        out[top : top + rows] = np.rint(np.clip(mean, 0, 1) * 255)
    told = {"x": x, "y": y, "side": side, "shrink": shrink, "orientation": image.meta.orientation}
    return np.ascontiguousarray(io.oriented(out, image.meta.orientation)), told


def draw_damage(rng: np.random.Generator) -> list[tuple[str, float]]:
    """Draw which damage an item gets: none in one of twenty, else one to three classes, each with its severity."""
    if rng.uniform() < 0.05:
        return []
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    kinds = rng.choice(len(CLASSES), size=count, replace=False)
    return [(CLASSES[int(k)], float(rng.uniform(0.15, 1.0))) for k in kinds]


def _depth(depth: Depth, size: int, by: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return what is said of a depth map, and the map in 16 bits between its own lowest and highest value."""
    values = np.asarray(depth.values, np.float32)
    if values.shape != (size, size) or not np.isfinite(values).all():
        raise InputError(f"a depth map of {size}x{size} finite numbers was expected, got {values.shape}")
    low, high = float(values.min()), float(values.max())
    span = high - low if high > low else 1.0
    levels = np.rint((values - np.float32(low)) / np.float32(span) * 65535).astype(np.uint16)
    told = {**by, "of": "restored", "unit": depth.unit, "nearer_is": depth.nearer_is, "low": low, "high": low + span}
    return told, encode_png(levels)


def open_tools(plan: BuildPlan) -> Tools:
    """Open what the plan names.

    Parameters
    ----------
    plan : BuildPlan
        ``depth``: ``none``, ``geometric``, ``dpt`` or ``dpt:FOLDER``; ``caption``: ``none``, ``measured`` or
        ``joycaption:FOLDER``.

    Raises
    ------
    OptionError
        For another name.
    UnavailableError
        If what it needs is not here.
    """
    for option, name in (("--depth", plan.depth), ("--caption", plan.caption)):
        if name == "auto":
            raise OptionError(f"{option} takes a name, not auto: what that means may differ where a build goes on")
    found: dict[str, Any] = {}
    if plan.depth != "none":
        from tratto.providers.depth import open_depth

        name, _, folder = plan.depth.partition(":")
        estimator = open_depth(name, folder)
        found |= {"depth": estimator.estimate, "depth_by": _by(estimator.info)}
    if plan.caption != "none":
        from tratto.providers.caption import open_captioner

        captioner = open_captioner(plan.caption)
        found |= {"caption": captioner.caption, "caption_by": _by(captioner.info)}
    return Tools(**found)


def _by(info: DescriberInfo) -> dict[str, Any]:
    return {
        "provider": info.provider,
        "library": info.library,
        "stand_in": info.stand_in,
        "models": [m.to_json() for m in info.models],
    }


def _told(plan: BuildPlan, tools: Tools) -> dict[str, Any]:
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


def write_card(out: Path, plan: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Write ``card.json`` and ``DATA_CARD.md`` from the indexes of all shards, one after the other.

    Parameters
    ----------
    out : Path
    plan : mapping
        As ``plan.json`` keeps it.
    folder : str
        Name of the folder the pictures came from.

    Returns
    -------
    dict
        What ``card.json`` holds.
    """
    counts: dict[str, Counter[str]] = {k: Counter() for k in ("licences", "collections", "classes", "skipped", "made")}
    pictures: dict[bytes, str] = {}
    twice: set[bytes] = set()
    shards: list[dict[str, Any]] = []
    items = size = nameless = intact = 0
    covered = 0.0
    for path in sorted(out.glob("shard-*.json")):
        index = read_index(path)
        shards.append({k: index[k] for k in ("name", "bytes", "sha256")} | {"items": len(index["items"])})
        size += index["bytes"]
        counts["made"][str(index.get("tratto"))] += len(index["items"])
        for entry in index["skipped"]:
            counts["skipped"][entry["reason"]] += 1
        for entry in index["items"]:
            items += 1
            counts["licences"][entry["licence"]] += 1
            counts["collections"][entry["collection"]] += 1
            counts["classes"].update(entry["classes"])
            covered += entry["covered"]
            intact += not entry["classes"]
            nameless += not entry["author"]
            digest = bytes.fromhex(entry["picture"])
            if pictures.setdefault(digest, entry["source"]) != entry["source"]:
                twice.add(digest)
    card: dict[str, Any] = {
        "format": "tratto-data-card/1",
        "plan": dict(plan),
        "folder": folder,
        "items": items,
        "shards": len(shards),
        "bytes": size,
        "pictures": len(pictures),
        "pictures_under_several_names": len(twice),
        "licences": dict(sorted(counts["licences"].items())),
        "collections": dict(sorted(counts["collections"].items())),
        "classes": {k: counts["classes"][k] for k in CLASSES},
        "intact": intact,
        "mean_share_damaged": round(covered / items, 6) if items else 0.0,
        "without_author": nameless,
        "skipped": dict(sorted(counts["skipped"].items())),
        "made_with_tratto": dict(sorted(counts["made"].items())),
        "sha256": hashlib.sha256("".join(s["sha256"] for s in shards).encode()).hexdigest(),
        "files": shards,
    }
    card["missing"] = _missing(card)
    write_text(out / "card.json", json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    write_text(out / "DATA_CARD.md", _markdown(card))
    return card


def _missing(card: Mapping[str, Any]) -> list[str]:
    """Say what this data set does not have, so that nobody takes it for granted."""
    out = []
    for name, value in (("depth", card["plan"]["depth"]), ("captions", card["plan"]["caption"])):
        if value == "none":
            out.append(f"{name}: no provider was asked")
        elif value.get("stand_in"):
            out.append(f"real {name}: made by {value['provider']}, a stand-in for {value['stand_in']}")
    out += [f"damage of the class {kind}" for kind, count in card["classes"].items() if not count]
    if card["skipped"]:
        out.append(f"{sum(card['skipped'].values())} items that could not be made")
    if card["without_author"]:
        out.append(f"the author of {card['without_author']} items, whose source names none")
    if card["pictures_under_several_names"]:
        out.append(
            f"distinct pictures: {card['pictures_under_several_names']} are there under several names (tratto data "
            "dedupe finds these, and near-equal ones)"
        )
    out.append("real damage: all damage is simulated, and what simulation does not know is not in here")
    return out


def _table(head: str, rows: Mapping[str, Any]) -> list[str]:
    return [f"| {head} | items |", "| --- | --- |", *(f"| {k.replace('|', '/')} | {v} |" for k, v in rows.items()), ""]


def _markdown(card: Mapping[str, Any]) -> str:
    plan = card["plan"]
    alike = any("-SA-" in k or k.endswith("-SA") for k in card["licences"])
    lines = [
        "# Data card",
        "",
        f"{card['items']} items of {plan['size']}x{plan['size']} pixels from {card['pictures']} pictures, in "
        f"{card['shards']} shards, {card['bytes'] / 1e6:.1f} MB. Each item: the restored picture (a part of a real "
        "one), the same damaged by simulation, a mask for each class of damage, and its licence and attribution"
        + (", depth" if plan["depth"] != "none" else "")
        + (", a caption" if plan["caption"] != "none" else "")
        + ".",
        "",
        f"SHA-256 over the hashes of all shards: `{card['sha256']}`. Seed {plan['seed']}.",
        "",
        "## Licences",
        "",
        *_table("licence", card["licences"]),
        "Each item's JSON holds the attribution that must be shown with it or with what shows it."
        + (" Items under a share-alike licence may be passed on under the same licence only." if alike else ""),
        "",
        "## Sources",
        "",
        *_table("collection", card["collections"]),
        "`stated`: pictures without a sidecar, whose licence was stated by who built this.",
        "",
        "## Damage",
        "",
        *_table("class", card["classes"]),
        f"Intact: {card['intact']} items. Damaged pixels: {100 * card['mean_share_damaged']:.1f} % on average.",
        "",
        "## What is missing",
        "",
        *[f"- {line}" for line in card["missing"]],
        "",
    ]
    if card["skipped"]:
        lines += ["## Left out", "", *_table("reason", card["skipped"])]
    lines += ["## Files", "", "| shard | items | bytes | SHA-256 |", "| --- | --- | --- | --- |"]
    lines += [f"| {s['name']} | {s['items']} | {s['bytes']} | `{s['sha256']}` |" for s in card["files"]]
    return "\n".join(lines) + "\n"
