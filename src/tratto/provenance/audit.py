"""Checking many results at once: every bundle and every picture below a folder, with one verdict each."""

from __future__ import annotations

import base64
import contextlib
import glob
import hashlib
import html
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, cast

from tratto.core import canonical
from tratto.core.errors import InputError, OptionError, OutputError, ReceiptError, TrattoError
from tratto.core.text import shown
from tratto.provenance.bundle import ORIGINAL_EXTENSIONS, SUFFIX, find_bundle
from tratto.provenance.commit import is_leftover
from tratto.provenance.consistency import Known
from tratto.provenance.trust import Trust
from tratto.provenance.verify import Word, verify

SCHEMA = "tratto/audit/1"
#: Worst first: the order of rows in tables.
ORDER = ("altered", "unknown", "authentic")
_MAX_STATE = 1 << 30
#: How such a file begins.
_START = b'\n{"asked": '


@dataclass(frozen=True)
class AuditOptions:
    """How to check.

    Attributes
    ----------
    deep : bool
        Decode pictures and compute maps and reports again; False compares hashes and signatures only.
    known : Known or None
        The models and providers known here; None: receipts are not compared with them.
    trust : Trust
        Keys, roots and a ledger to rely on.
    replay : callable or None
        Given a bundle, does its job again and returns the tier reached; None: nothing is replayed.
    unsupported : callable or None
        Given a bundle, returns what in its result the source does not support, by name (``rate``, ``score`` ...).
    """

    deep: bool = True
    known: Known | None = None
    trust: Trust = field(default_factory=Trust)
    replay: Callable[[Path], str] | None = None
    unsupported: Callable[[Path], dict[str, float]] | None = None


@dataclass(frozen=True)
class AuditRow:
    """The verdict on one bundle or picture.

    Attributes
    ----------
    path : str
        Below the audited folder, with ``/``.
    word : str
        ``"authentic"``, ``"altered"`` or ``"unknown"``.
    reasons : tuple of str
        In words, as :func:`tratto.verify` gives them.
    fingerprint : str
        Of names, sizes and times of its files: what resuming and comparing go by.
    tier : str
        What a replay reached; empty if there was none.
    status, stamp : str
        What its receipt claims, and the stamp of that; empty: nothing, or it was altered.
    forensic : bool
        Done in forensic mode.
    invented_before : bool
        Its source was a result of Tratto in which a step may have invented detail.
    unsupported : mapping of str to float
        What in the result its source does not support; empty: not measured.
    """

    path: str
    word: Word
    reasons: tuple[str, ...]
    fingerprint: str
    tier: str = ""
    status: str = ""
    stamp: str = ""
    forensic: bool = False
    invented_before: bool = False
    unsupported: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "path": self.path,
            "verdict": self.word,
            "reasons": list(self.reasons),
            "fingerprint": self.fingerprint,
            "tier": self.tier or None,
            "status": self.status or None,
            "stamp": self.stamp or None,
            "forensic": self.forensic,
            "invented_before": self.invented_before,
            **({"unsupported": dict(self.unsupported)} if self.unsupported else {}),
        }


def find_bundles(path: Path) -> Iterator[Path]:
    """Yield the bundles that a path stands for: a bundle, a picture that has one, or all below a folder, by name.

    Raises
    ------
    InputError
        If there is nothing at ``path``.
    ReceiptError
        If a picture has no bundle.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if path.suffix == SUFFIX or path.is_file():
        yield find_bundle(path)
        return
    yield from (p for p in find_items(path) if p.suffix == SUFFIX)


def find_items(folder: Path) -> Iterator[Path]:
    """Yield every bundle below a folder and every picture that has none beside it, in a stable order.

    Hidden folders and what stopped saves left are passed over. Folders that may not be read come last, as themselves.
    """
    extensions = {f".{e}" for e in ORIGINAL_EXTENSIONS}
    shut: list[Path] = []
    for here, folders, files in os.walk(folder, onerror=lambda e: shut.append(Path(str(e.filename)))):
        bundles = sorted(f for f in folders if f.endswith(SUFFIX) and not is_leftover(Path(f)))
        stems = {b.removesuffix(SUFFIX) for b in bundles}
        for name in bundles:
            yield Path(here) / name
        for name in sorted(files):
            path = Path(here) / name
            if path.suffix.lower() in extensions and not name.startswith(".") and path.stem not in stems:
                yield path
        folders[:] = sorted(f for f in folders if not f.endswith(SUFFIX) and not f.startswith("."))
    yield from shut  # nobody knows what is in them, and somebody has to be told


def audit(
    folder: Path, options: AuditOptions, state: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> list[AuditRow]:
    """Check everything below a folder.

    Parameters
    ----------
    folder : Path
        Searched with its sub-folders.
    options : AuditOptions
        How deep each is checked, and against what.
    state : Path or None
        A file that remembers each verdict as it is known. An audit that was interrupted goes on where it was: what
        was done is not done again while sizes and times of its files stay the same. Somebody who sets times back can
        hide from that; leave the file away for an audit of hostile files.
    progress : callable or None
        Called with how many of how many are done.

    Returns
    -------
    list of AuditRow
        One for each bundle and each picture without one.

    Raises
    ------
    InputError, OutputError
        If there is no such folder, or ``state`` cannot be written.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; for one result use: tratto verify {folder}")
    items = list(find_items(folder))
    # what was asked belongs to the answer: a quick verdict does not stand in for a deep one
    asked = hashlib.sha256(
        repr(
            (
                "invented_before",
                options.deep,
                options.replay is not None,
                options.unsupported is not None,
                options.trust,
                options.known,
            )
        ).encode()
    ).hexdigest()[:16]
    done = _remembered(state, asked)
    rows = []
    try:
        with open(os.devnull if state is None else state, "a", encoding="utf-8") as remember:
            for i, path in enumerate(items):
                name = _utf8(path.relative_to(folder).as_posix())
                print_ = _fingerprint(path)
                row = done.get((name, print_))
                if row is None:
                    row = _row(path, name, print_, options)
                    # a line that a kill cut short must not swallow the next
                    remember.write("\n" + json.dumps({"asked": asked, **row.to_json()}) + "\n")
                    remember.flush()
                rows.append(row)
                if progress is not None:
                    progress(i + 1, len(items))
    except OSError as e:
        raise OutputError(f"{state} cannot be written: {e.strerror or e}") from e
    return rows


def _row(path: Path, name: str, fingerprint: str, options: AuditOptions) -> AuditRow:
    try:
        verdict = verify(path, options.deep, options.known, options.trust)
    except TrattoError as e:
        return AuditRow(name, "unknown", (_utf8(str(e)),), fingerprint)
    tier = ""
    if options.replay is not None and path.suffix == SUFFIX and verdict.word != "altered":
        try:
            tier = options.replay(path)
        except TrattoError as e:
            tier = f"not run: {e}"
    found: dict[str, float] = {}
    if options.unsupported is not None and path.suffix == SUFFIX and verdict.word != "altered":
        with contextlib.suppress(TrattoError):  # without an original there is nothing to compare with
            found = options.unsupported(path)
    before = any(link.generative for link in verdict.chain)
    claim = (verdict.status, verdict.stamp, verdict.forensic, before)
    reasons = verdict.reasons
    if path.suffix != SUFFIX and verdict.word == "unknown":  # that there is no bundle says most, and what to do
        reasons = (*reasons[-1:], *reasons[:-1])
    return AuditRow(name, verdict.word, tuple(map(_utf8, reasons)), fingerprint, _utf8(tier), *claim, found)


def _utf8(text: str) -> str:
    """Return text with the bytes of names that are not UTF-8 as escapes, so that it can be written anywhere."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _fingerprint(path: Path) -> str:
    """Return a hash over names, sizes and times of the files that a verdict is about."""
    h = hashlib.sha256()
    files = [path]
    if path.suffix == SUFFIX:
        found = (*path.glob("*"), *path.glob("*/*"), *path.parent.glob(f"{glob.escape(path.stem)}.*"))
        files = sorted(p for p in found if p.is_file())
    for p in files:
        try:
            seen = p.stat()
        except OSError:
            continue
        h.update(
            f"{os.fsencode(p.relative_to(path.parent))!r} {seen.st_size} {seen.st_mtime_ns} {seen.st_ino}\n".encode()
        )
    return h.hexdigest()[:32]


def _remembered(state: Path | None, asked: str) -> dict[tuple[str, str], AuditRow]:
    if state is None or not state.exists():
        return {}
    rows = {}
    try:
        if state.stat().st_size > _MAX_STATE:
            raise InputError(f"{state} is too large to be what an audit remembers")
        text = state.read_bytes()
    except OSError as e:
        raise InputError(f"{state} cannot be read: {e.strerror or e}") from e
    # it will be added to, so it must not be a picture or anything else of the user's
    if text[: len(_START)] != _START[: len(text)]:
        raise InputError(f"{state} is not what an audit remembers; it was left as it is. Name a new file")
    if 0 < len(text) < len(_START):
        state.write_bytes(b"")  # the very first line was cut short: begin again
    for line in text.decode("utf-8", "replace").splitlines():
        try:
            raw = json.loads(line)
            row = row_from_json(raw)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # a line that a kill cut short
        if raw.get("asked") == asked:
            rows[row.path, row.fingerprint] = row
    return rows


def row_from_json(raw: Mapping[str, Any]) -> AuditRow:
    """Read a row; the inverse of :meth:`AuditRow.to_json`.

    Raises
    ------
    KeyError, ValueError, TypeError
        If it is none.
    """
    word = raw["verdict"]
    if word not in ORDER:
        raise ValueError(f"not a verdict: {word!r}")
    reasons = tuple(str(r) for r in raw["reasons"])
    tier, status, stamp = (str(raw.get(k) or "") for k in ("tier", "status", "stamp"))
    forensic, before = (raw.get(k) is True for k in ("forensic", "invented_before"))
    found = {str(k): float(v) for k, v in dict(raw.get("unsupported") or {}).items()}
    claim = (tier, status, stamp, forensic, before, found)
    return AuditRow(str(raw["path"]), cast(Word, word), reasons, str(raw["fingerprint"]), *claim)


#: What an audit can be narrowed to.
FILTERS: dict[str, Callable[[AuditRow], bool]] = {
    "authentic": lambda r: r.word == "authentic",
    "altered": lambda r: r.word == "altered",
    "unknown": lambda r: r.word == "unknown",
    "stamped": lambda r: bool(r.stamp),
    "forensic": lambda r: r.forensic,
    "examinable": lambda r: r.word == "authentic" and bool(r.status) and not r.stamp and not r.invented_before,
}


def narrowed(rows: Sequence[AuditRow], only: Sequence[str]) -> list[AuditRow]:
    """Return the rows that fit any of the names of :data:`FILTERS`; all if no name is given.

    Raises
    ------
    OptionError
        If there is no such name.
    """
    for name in only:
        if name not in FILTERS:
            raise OptionError(f"an audit can be narrowed to {', '.join(FILTERS)}, not to {name!r}")
    return [r for r in rows if not only or any(FILTERS[n](r) for n in only)]


def summary(rows: Sequence[AuditRow], before: Sequence[AuditRow] = ()) -> dict[str, Any]:
    """Return an audit as a JSON-able document.

    Parameters
    ----------
    rows : sequence of AuditRow
        From :func:`audit`.
    before : sequence of AuditRow
        Of an earlier audit of the same folder; what changed since is listed.

    Returns
    -------
    dict
        ``counts`` by verdict; ``claims``: how many are stamped, how many were done in forensic mode;
        ``replay``: how many were replayed, and which share reached each tier; ``changes``: path,
        before and now of each verdict or tier that differs, and what came or went; ``items``.
    """
    counts: Counter[str] = Counter(r.word for r in rows)
    tiers = Counter(r.tier for r in rows if r.tier and not r.tier.startswith("not run"))
    total = sum(tiers.values())
    then = {r.path: r for r in before}
    now = {r.path: r for r in rows}
    changes = []
    for path in sorted({*then, *now}) if before else ():
        a, b = then.get(path), now.get(path)
        # an audit that did not replay says nothing of tiers
        both = a is not None and b is not None and a.tier and b.tier
        was = None if a is None else [a.word, a.tier if both else None]
        is_ = None if b is None else [b.word, b.tier if both else None]
        if was != is_:
            changes.append({"path": path, "before": was, "now": is_})
    return {
        "schema": SCHEMA,
        "counts": {w: counts[w] for w in ORDER},
        "claims": {"stamped": sum(bool(r.stamp) for r in rows), "forensic": sum(r.forensic for r in rows)},
        "replay": {"count": total, "rate": {t: n / total for t, n in sorted(tiers.items())}},
        "changes": changes,
        "items": [r.to_json() for r in sorted(rows, key=lambda r: (ORDER.index(r.word), r.path))],
    }


def exit_code(rows: Sequence[AuditRow]) -> int:
    """Return 9 if anything is altered, else 10 if anything is unknown, else 0."""
    words = {r.word for r in rows}
    return 9 if "altered" in words else 10 if "unknown" in words else 0


def read_audit(path: Path) -> list[AuditRow]:
    """Read the rows of an audit that was written as JSON.

    Raises
    ------
    InputError
        If it cannot be read.
    ReceiptError
        If it is none.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise InputError(f"{path}: cannot be read: {e.strerror or e}; name a file that tratto audit -o wrote") from e
    try:
        raw = canonical.loads(data, _MAX_STATE)
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise ReceiptError(f"it does not say that it is of the form {SCHEMA}")
        return [row_from_json(r) for r in raw["items"]]
    except (KeyError, ValueError, TypeError, ReceiptError) as e:
        raise ReceiptError(f"{path} is not an audit written by tratto audit: {e}") from e


def page(title: str, document: Mapping[str, Any], when: datetime) -> str:
    """Return an audit as one self-contained HTML page that loads nothing; its script sorts and filters the table.

    What many items have in common is said once, above the table, and has a number there.

    Parameters
    ----------
    title : str
        Heading of the page.
    document : mapping
        As from :func:`summary`.
    when : datetime
        Of the audit.
    """
    counts, replay = document["counts"], document["replay"]
    said: Counter[tuple[str, ...]] = Counter(tuple(i["reasons"]) for i in document["items"])
    number = {reasons: n for n, (reasons, _) in enumerate(said.most_common(), 1)}
    rows = [_page_row(item, number[tuple(item["reasons"])]) for item in document["items"]]
    groups = [
        f'<tr id="r{n}"><td>{n}</td><td>{said[reasons]}</td>'
        f"<td><ul>{''.join(f'<li>{_clean(r)}</li>' for r in reasons)}</ul></td></tr>"
        for reasons, n in number.items()
    ]
    changes = "".join(f"<li>{_clean(change_words(c))}</li>" for c in document["changes"])
    tiers = ", ".join(f"{_clean(t)}: {100 * share:.1f} %" for t, share in replay["rate"].items())
    template = resources.files("tratto.provenance").joinpath("audit.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        {f"{tag}_hash": _hash_of(template, tag) for tag in ("style", "script")},
        title=_clean(title),
        date=when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        counts=f"{sum(counts.values())} items: " + ", ".join(f"{n} {w}" for w, n in counts.items()),
        replayed=f"<p>Replayed: {replay['count']}. {tiers}</p>" if replay["count"] else "",
        changed=f"<h2>Changed since the earlier audit</h2><ul>{changes}</ul>" if changes else "",
        verdicts="".join(f"<option>{word}</option>" for word in ORDER if counts[word]),
        rows="\n".join(rows),
        groups="\n".join(groups),
    )


def _hash_of(template: str, tag: str) -> str:
    """Return the hash by which a page allows what stands in it."""
    inside = template.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return "sha256-" + base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()


def _page_row(item: Mapping[str, Any], number: int) -> str:
    # a long path may be broken behind its slashes and dashes, and nowhere in a word
    path = re.sub(r"([/_.-]+)", r"\1<wbr>", _clean(item["path"]))
    first = _clean(item["reasons"][0]) if item["reasons"] else ""
    return (
        f'<tr class="{item["verdict"]}"><td>{path}</td><td>{item["verdict"]}</td>'
        f"<td>{_clean(item['tier'] or '')}</td><td>{_claim(item)}</td>"
        f'<td><a href="#r{number}">{number}</a>: {first}</td></tr>'
    )


def change_words(change: Mapping[str, Any]) -> str:
    """Return one of the changes of :func:`summary` as a sentence.

    Examples
    --------
    >>> change_words({"path": "a.tratto", "before": ["authentic", None], "now": ["altered", None]})
    'a.tratto was authentic and is altered now'
    """
    path, before, now = change["path"], change["before"], change["now"]
    if before is None:
        return f"{path} is new: {_worded(now)}"
    return (
        f"{path} is gone; it was {_worded(before)}"
        if now is None
        else f"{path} was {_worded(before)} and is {_worded(now)} now"
    )


def _claim(item: Mapping[str, Any]) -> str:
    before = "its source is not for examination" if item.get("invented_before") else None
    parts = (item.get("status"), item.get("stamp"), before, "forensic mode" if item.get("forensic") else None)
    return _clean("; ".join(str(p) for p in parts if p))


def _worded(state: Sequence[str | None]) -> str:
    return ", tier ".join(s for s in state if s)


def _clean(text: str) -> str:
    """Return text as HTML: lone surrogates of file names cannot be written, and nothing may steer what shows it."""
    return html.escape(shown(text, 2000), quote=True)
