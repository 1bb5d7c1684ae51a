"""Download the files of a hub card with nothing but the standard library.

The Hugging Face HTTP layout is spoken (``{HF_ENDPOINT}/{repo}/resolve/{revision}/{path}``) and its cache layout is
written (``models--owner--name/{blobs,refs,snapshots}``), so that other tools find what was pulled here, and Tratto what
they pulled. A download that broke off goes on where it stopped, if the server still has the same file. Every file is
hashed before it gets its final name. A token (``HF_TOKEN``) is sent to the hub's own host and to no other; only http
and https are followed, and never from https down to http.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratto._version import __version__
from tratto.core.errors import InputError, MissingWeights, OptionError, OutputError, WeightMismatch
from tratto.core.files import write_text
from tratto.core.reading import parse_json, small_text
from tratto.models.card import ModelCard
from tratto.models.store import LOCK_NAME, Weights, file_sha256, open_weights, read_lock, repo_folder

DEFAULT_ENDPOINT = "https://huggingface.co"
_CHUNK = 1 << 18
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LFS_HASH = re.compile(r"[0-9a-f]{64}")

#: ``progress(path, done_bytes, total_bytes)``; the total is 0 while it is not known. May raise to stop.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PullOptions:
    """How to download.

    Attributes
    ----------
    attempts : int
        Tries in a row without a single new byte before giving up.
    wait : float
        Seconds before the second try; doubled for each further one, at most 30.
    timeout : float
        Seconds without an answer before a connection counts as broken.
    first_attempts : int
        Tries while the hub has not answered once: it may be out of reach, and that should be known soon.
    first_timeout : float
        Seconds for each of these.
    say : callable
        Called with a sentence when something keeps the user waiting.
    """

    attempts: int = 5
    wait: float = 1.0
    timeout: float = 30.0
    first_attempts: int = 3
    first_timeout: float = 10.0
    say: Callable[[str], None] = field(default=lambda text: None)


@dataclass(frozen=True)
class Pulled:
    """What a pull did.

    Attributes
    ----------
    weights : Weights
        Where the files are, verified.
    downloaded : tuple of str
        Paths that were fetched now; the others were here.
    newly_pinned : tuple of str
        Paths whose hash no card names: it was recorded now, and is checked from now on.
    """

    weights: Weights
    downloaded: tuple[str, ...]
    newly_pinned: tuple[str, ...]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass
class _Answer:
    body: http.client.HTTPResponse
    status: int
    headers: Mapping[str, str]
    commit: str
    lfs_sha256: str
    etag: str


class _BrokenError(Exception):
    """The connection or the server failed in a way that a further try may mend."""


def endpoint() -> str:
    """Return the hub's address: ``HF_ENDPOINT``, or huggingface.co.

    Raises
    ------
    OptionError
        If it is not an http or https address.
    """
    value = (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    parts = urllib.parse.urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise OptionError(f"HF_ENDPOINT must be an http or https address, got {value!r}")
    return value


def pull(card: ModelCard, progress: Progress | None = None, options: PullOptions | None = None) -> Pulled:
    """Bring the files of a hub card to this machine.

    Parameters
    ----------
    card : ModelCard
        With a source of kind ``hub``.
    progress : callable or None
        See ``Progress``.
    options : PullOptions or None

    Returns
    -------
    Pulled

    Raises
    ------
    OptionError
        If the card does not come from a hub.
    MissingWeights
        If the hub does not have a file, does not let us have it, or cannot be reached.
    WeightMismatch
        If what arrived is not what the card, the record of the first pull or the hub itself says.
    OutputError
        If there is no room or no right to write.
    """
    if card.source.kind != "hub":
        raise OptionError(f"{card.id} does not come from a hub; there is nothing to pull")
    options = options or PullOptions()
    report = progress or (lambda path, done, total: None)
    lock = read_lock(card)
    session = _Session(card, options, report, str(lock["commit"]))
    downloaded: list[str] = []
    hashes: dict[str, str] = {}
    try:
        for path in card.files:
            expected = card.files[path] or lock["files"].get(path, "")
            there = session.present(path)
            if there is not None and expected and file_sha256(there) == expected:
                hashes[path] = expected
                report(path, there.stat().st_size, there.stat().st_size)
                continue
            hashes[path] = session.fetch(path, expected)
            downloaded.append(path)
        newly = tuple(p for p in card.files if not card.files[p] and p not in lock["files"])
        if not card.pinned:
            # Only ever added to: a recorded hash is never replaced by another one.
            _write_json(repo_folder(card) / LOCK_NAME, {"commit": session.commit, "files": {**hashes, **lock["files"]}})
        session.finish()
    except OSError as e:
        raise OutputError(f"cannot write the weights of {card.id} under {repo_folder(card)}: {e}") from e
    return Pulled(open_weights(card), tuple(downloaded), newly)


class _Session:
    """One pull: remembers the commit that the first answer named, so that all files are of one revision."""

    def __init__(self, card: ModelCard, options: PullOptions, report: Progress, locked_commit: str) -> None:
        self.card = card
        self.options = options
        self.report = report
        self.base = endpoint()
        self.folder = repo_folder(card)
        # Files without a hash of their own stay at the commit that was recorded, also when the branch moved on.
        self.commit = locked_commit if not card.pinned else ""
        if _COMMIT.fullmatch(card.source.revision):
            self.commit = card.source.revision
        self.answered = False
        self._opener = urllib.request.build_opener(_NoRedirect)

    def present(self, path: str) -> Path | None:
        """Return the file if this commit's snapshot has it."""
        if not self.commit:
            ref = self.folder / "refs" / self.card.source.revision
            with contextlib.suppress(OSError):
                self.commit = _safe(ref.read_text("utf-8").strip())
        target = self.folder / "snapshots" / self.commit / path
        return target if self.commit and target.is_file() else None

    def fetch(self, path: str, expected: str) -> str:
        """Download one file and return its SHA-256."""
        if os.environ.get("HF_HUB_OFFLINE", "0").lower() not in ("", "0", "false", "no", "off"):
            raise MissingWeights(f"{self.card.id}: {path} is not here and HF_HUB_OFFLINE forbids to fetch it; unset it")
        blobs = self.folder / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        # one name for each file of the card: the tries of different runs must find each other
        part = blobs / (path.replace("/", "--") + ".tratto.part")
        state = part.with_suffix(".json")
        resumed = part.exists()
        stated = self._download(path, part, state)
        actual = file_sha256(part)
        if resumed and actual != (expected or stated or actual):
            # Perhaps only the old first half was bad. Once, from the start.
            _remove(part, state)
            stated = self._download(path, part, state)
            actual = file_sha256(part)
        for who, wanted in (("the card or the first pull", expected), ("the hub", stated)):
            if wanted and actual != wanted:
                _remove(part, state)
                raise WeightMismatch(
                    f"{self.card.id}: {path} from {self.base} has SHA-256 {actual}, but {who} says {wanted}; nothing "
                    "was kept. Pull again; if it stays so, do not trust this source"
                )
        self._place(part, path, actual)
        _remove(state)
        return actual

    def finish(self) -> None:
        """Write the reference from the revision to its commit."""
        revision = self.card.source.revision
        if not _COMMIT.fullmatch(revision):
            _write_text(self.folder / "refs" / revision, self.commit)

    def _download(self, path: str, part: Path, state: Path) -> str:
        failures, wait = 0, self.options.wait
        while True:
            before = _size(part)
            try:
                return self._attempt(path, part, state)
            except _BrokenError as e:
                if _size(part) > before:
                    failures, wait = 0, self.options.wait
                else:
                    failures += 1
                allowed = self.options.attempts if self.answered else self.options.first_attempts
                if failures >= allowed:
                    raise MissingWeights(
                        f"{self.card.id}: cannot fetch {path} from {self.base} after {failures} tries: {e}; what has "
                        f"arrived is kept, run again: tratto models pull {self.card.id}"
                    ) from e
                pause = min(wait, 30.0)
                what = f"try {failures + 1} of {allowed}" if failures else "going on"
                self.options.say(f"{path}: {e}; {what} in {pause:.0f} s")
                time.sleep(pause)
                wait *= 2

    def _attempt(self, path: str, part: Path, state: Path) -> str:
        etag = str(_read_json(state).get("etag", ""))
        have = _size(part) if etag else 0  # else nothing says which file this is the beginning of
        answer = self._get(path, have, etag)
        with contextlib.closing(answer.body):
            self._take_commit(answer.commit)
            length = _number(answer.headers.get("Content-Length"))
            if answer.status == 206:
                start, total = _content_range(answer.headers.get("Content-Range", ""))
                if start != have:
                    raise _BrokenError(f"asked for the rest from byte {have}, got it from byte {start}")
            elif answer.status == 416:
                if answer.headers.get("Content-Range", "") == f"bytes */{have}":
                    return answer.lfs_sha256  # all of it had arrived before
                _remove(part, state)
                raise _BrokenError("the part kept here is longer than the file")
            else:
                have, total = 0, length
            if answer.etag:
                _write_json(state, {"etag": answer.etag})
            else:
                _remove(state)
            self._room(total - have, path)
            with part.open("r+b" if have else "wb") as f:
                f.seek(have)
                self._copy(answer.body, f, path, have, total)
        return answer.lfs_sha256

    def _copy(self, body: http.client.HTTPResponse, f: Any, path: str, done: int, total: int) -> None:
        self.report(path, done, total)
        while True:
            try:
                chunk = body.read1(_CHUNK)
            except (OSError, http.client.HTTPException) as e:
                raise _BrokenError(f"the connection broke at byte {done}: {e}") from e
            if not chunk:
                break
            f.write(chunk)
            done += len(chunk)
            if total and done > total:
                raise _BrokenError(f"more bytes than the {total} announced")
            self.report(path, done, total)
        if total and done < total:
            raise _BrokenError(f"the connection ended at byte {done} of {total}")

    def _get(self, path: str, have: int, etag: str) -> _Answer:
        revision = self.commit or self.card.source.revision
        quoted = urllib.parse.quote(revision, safe="")
        url = f"{self.base}/{urllib.parse.quote(self.card.source.repo)}/resolve/{quoted}/{urllib.parse.quote(path)}"
        home = urllib.parse.urlsplit(url)
        commit = lfs = tag = ""
        for _ in range(_MAX_REDIRECTS + 1):
            headers = {"User-Agent": f"tratto/{__version__}", "Accept-Encoding": "identity"}
            here = urllib.parse.urlsplit(url)
            token = os.environ.get("HF_TOKEN", "").strip()
            if token and (here.scheme, here.netloc) == (home.scheme, home.netloc):
                headers["Authorization"] = f"Bearer {token}"
            if have:
                headers["Range"] = f"bytes={have}-"
            body, status = self._open(url, headers, path)
            # The hub names commit and hash in its own answer, not in that of the storage it redirects to.
            commit = commit or _safe(body.headers.get("X-Repo-Commit", ""))
            linked = body.headers.get("X-Linked-Etag", "").strip('"')
            lfs = lfs or (linked if _LFS_HASH.fullmatch(linked) else "")
            tag = tag or linked or body.headers.get("ETag", "").strip('"')
            if status in _REDIRECTS:
                body.close()
                url = self._target(url, body.headers.get("Location", ""))
                continue
            if have and tag != etag:
                # the file changed since the part was written: take it from the start
                body.close()
                return self._get(path, 0, "")
            return _Answer(body, status, body.headers, commit, lfs, tag)
        raise MissingWeights(f"{self.card.id}: {self.base} redirects {path} more than {_MAX_REDIRECTS} times")

    def _open(self, url: str, headers: dict[str, str], path: str) -> tuple[Any, int]:
        timeout = self.options.timeout if self.answered else self.options.first_timeout
        try:
            body = self._opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
            self.answered = True
            return body, body.status
        except urllib.error.HTTPError as e:
            self.answered = True
            if e.code in _REDIRECTS or e.code == 416:
                return e, e.code
            e.close()
            if e.code in (401, 403):
                raise MissingWeights(
                    f"{self.card.id}: {self.base} does not let us have {path} ({e.code}); its licence may have to be "
                    "accepted there first, and then HF_TOKEN set to a token of that account"
                ) from e
            if e.code in (408, 425, 429) or e.code >= 500:
                raise _BrokenError(f"the server answered {e.code}") from e
            raise MissingWeights(
                f"{self.card.id}: {self.base} has no {path} in {self.card.source.repo} at "
                f"{self.commit or self.card.source.revision} (it answered {e.code})"
            ) from e
        except (OSError, http.client.HTTPException) as e:
            # urllib wraps the reason; the reason alone is what a reader wants
            raise _BrokenError(str(getattr(e, "reason", "") or e)) from e

    def _target(self, url: str, location: str) -> str:
        target = urllib.parse.urljoin(url, location)
        scheme = urllib.parse.urlsplit(target).scheme
        if not location or scheme not in ("http", "https") or (url.startswith("https:") and scheme == "http"):
            raise MissingWeights(f"{self.card.id}: {self.base} redirects to {location!r}, which is not followed")
        return target

    def _take_commit(self, commit: str) -> None:
        if commit and _COMMIT.fullmatch(self.commit) and commit != self.commit:
            raise MissingWeights(
                f"{self.card.id}: asked {self.base} for revision {self.commit}, got {commit}; run the pull again"
            )
        self.commit = commit or self.commit or self.card.source.revision.replace("/", "--")

    def _room(self, size: int, path: str) -> None:
        free = shutil.disk_usage(self.folder).free
        if size > free:
            raise OutputError(
                f"{path} needs {size / 1e9:.1f} GB under {self.folder}, where {free / 1e9:.1f} GB are free"
            )

    def _place(self, part: Path, path: str, digest: str) -> None:
        blob = self.folder / "blobs" / digest
        target = self.folder / "snapshots" / self.commit / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, blob)
        link = target.with_name(target.name + ".tratto.new")
        _remove(link)
        try:
            link.symlink_to(os.path.relpath(blob, target.parent))
        except OSError:  # Windows without the right to make links: the file itself goes there, as other tools do it
            os.replace(blob, target)
            return
        os.replace(link, target)


def _safe(name: str) -> str:
    return name if _SAFE.fullmatch(name) else ""


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _content_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", text.strip())
    if not match:
        raise _BrokenError(f"an answer with part of a file has no usable Content-Range: {text!r}")
    return int(match[1]), 0 if match[3] == "*" else int(match[3])


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(small_text(path, 16 << 20), path.name)
    except InputError:
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
