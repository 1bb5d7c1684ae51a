"""Download the files of a hub card with ``huggingface_hub`` (the ``hub`` extra).

The library speaks to the hub and fetches; what is kept here is what it does not promise. Every file is hashed before it
gets its final name, and a hash once recorded is never replaced. A download that broke off in an earlier run goes on
where it stopped: what has arrived is kept under the name of the file's tag, which the library throws away. A token
(``HF_TOKEN``, never one that lies in a folder) is sent to the hub's own host and to no other, nothing is said of this
machine, and no redirect is followed from https down to http.

The cache layout is that of the library (``models--owner--name/{blobs,refs,snapshots}``), so that other tools find what
was pulled here, and Tratto what they pulled.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratto._version import __version__
from tratto.core.errors import MissingExtra, MissingWeights, OptionError, OutputError, TrattoError, WeightMismatch
from tratto.core.files import write_text
from tratto.models.card import ModelCard
from tratto.models.store import LOCK_NAME, Weights, file_sha256, open_weights, read_lock, repo_folder

DEFAULT_ENDPOINT = "https://huggingface.co"
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

#: ``progress(path, done_bytes, total_bytes)``; the total is 0 while it is not known. May raise to stop.
Progress = Callable[[str, int, int], None]


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


def pull(card: ModelCard, progress: Progress | None = None) -> Pulled:
    """Bring the files of a hub card to this machine.

    Parameters
    ----------
    card : ModelCard
        With a source of kind ``hub``.
    progress : callable or None
        See ``Progress``.

    Returns
    -------
    Pulled
        Where the files lie, and which of them were fetched now.

    Raises
    ------
    OptionError
        If the card does not come from a hub.
    MissingExtra
        If a file is to be fetched and ``huggingface_hub`` is not installed.
    MissingWeights
        If the hub does not have a file, does not let us have it, or cannot be reached.
    WeightMismatch
        If what arrived is not what the card, the record of the first pull or the hub itself says.
    OutputError
        If there is no room or no right to write.
    """
    if card.source.kind != "hub":
        raise OptionError(f"{card.id} does not come from a hub; there is nothing to pull")
    report = progress or (lambda path, done, total: None)
    lock = read_lock(card)
    session = _Session(card, report, str(lock["commit"]))
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
            known = {"commit": session.commit, "files": {**hashes, **lock["files"]}}
            _write(repo_folder(card) / LOCK_NAME, json.dumps(known, indent=2, sort_keys=True) + "\n")
        if not _COMMIT.fullmatch(card.source.revision):
            _write(repo_folder(card) / "refs" / card.source.revision, session.commit)
    except OSError as e:
        raise OutputError(f"cannot write the weights of {card.id} under {repo_folder(card)}: {e}") from e
    return Pulled(open_weights(card), tuple(downloaded), newly)


class _Session:
    """One pull: remembers the commit that the first answer named, so that all files are of one revision."""

    def __init__(self, card: ModelCard, report: Progress, locked_commit: str) -> None:
        self.card = card
        self.report = report
        self.base = endpoint()
        self.folder = repo_folder(card)
        # Files without a hash of their own stay at the commit that was recorded, also when the branch moved on.
        self.commit = locked_commit if not card.pinned else ""
        if _COMMIT.fullmatch(card.source.revision):
            self.commit = card.source.revision

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
        with self._mapped(path):
            facts = self._facts(path)
            self._take_commit(facts.commit_hash or "")
            stated = facts.etag if _SHA256.fullmatch(facts.etag or "") else ""
            # named by the file's tag: the beginning of another file is never gone on with
            part = blobs / f"{_safe(facts.etag or '') or 'untagged'}.tratto.part"
            if not facts.etag or (part.exists() and facts.size is not None and part.stat().st_size > facts.size):
                part.unlink(missing_ok=True)
            resumed = part.exists()
            self._download(path, part, facts)
            actual = file_sha256(part)
            if resumed and actual != (expected or stated or actual):
                # Perhaps only the old first half was bad. Once, from the start.
                part.unlink()
                self._download(path, part, facts)
                actual = file_sha256(part)
        for who, wanted in (("the card or the first pull", expected), ("the hub", stated)):
            if wanted and actual != wanted:
                part.unlink()
                raise WeightMismatch(
                    f"{self.card.id}: {path} from {self.base} has SHA-256 {actual}, but {who} says {wanted}; nothing "
                    "was kept. Pull again; if it stays so, do not trust this source"
                )
        self._place(part, path, actual)
        return actual

    def _facts(self, path: str) -> Any:
        """Ask the hub for commit, tag, size and place of a file."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        revision = self.commit or self.card.source.revision
        url = hf_hub_url(self.card.source.repo, path, revision=revision, endpoint=self.base)
        facts = get_hf_file_metadata(url, token=False, headers=self._headers(url), retry_on_errors=True)
        target = urllib.parse.urlsplit(facts.location)
        if target.scheme not in ("http", "https") or (url.startswith("https:") and target.scheme == "http"):
            raise MissingWeights(f"{self.card.id}: {self.base} redirects to {facts.location!r}, which is not followed")
        return facts

    def _headers(self, url: str) -> dict[str, str]:
        """Return what is sent with a request: who asks, and the token where the hub itself is asked."""
        headers = {"user-agent": f"tratto/{__version__}"}
        token = os.environ.get("HF_TOKEN", "").strip()
        home, here = urllib.parse.urlsplit(self.base), urllib.parse.urlsplit(url)
        if token and (here.scheme, here.netloc) == (home.scheme, home.netloc):
            headers["authorization"] = f"Bearer {token}"
        return headers

    def _download(self, path: str, part: Path, facts: Any) -> None:
        from huggingface_hub.file_download import http_get

        have = part.stat().st_size if part.exists() else 0
        free = shutil.disk_usage(self.folder).free
        if (facts.size or 0) - have > free:
            raise OutputError(
                f"{path} needs {facts.size / 1e9:.1f} GB under {self.folder}, where {free / 1e9:.1f} GB are free"
            )
        self.report(path, have, facts.size or 0)
        with part.open("ab") as f:
            http_get(
                facts.location,
                f,
                resume_size=have,
                headers=self._headers(facts.location),
                expected_size=facts.size,
                displayed_filename=path,
                tqdm_class=_bar(path, self.report),
            )

    @contextlib.contextmanager
    def _mapped(self, path: str) -> Iterator[None]:
        """Let the library report to us alone, and turn its errors into ours."""
        try:
            from huggingface_hub import logging
            from huggingface_hub.errors import HfHubHTTPError
        except ImportError:
            raise MissingExtra(f"{self.card.id}: downloading from a hub", "hub") from None
        before = logging.get_verbosity()
        logging.set_verbosity_error()
        try:
            yield
        except TrattoError:
            raise
        except HfHubHTTPError as e:
            raise self._refused(path, e.response.status_code) from e
        except Exception as e:  # whatever library is below it: its errors have no common name
            if isinstance(e, OSError) and e.errno is not None:
                raise
            raise MissingWeights(
                f"{self.card.id}: cannot fetch {path} from {self.base}: {e}; what has arrived is kept, run again: "
                f"tratto models pull {self.card.id}"
            ) from e
        finally:
            logging.set_verbosity(before)

    def _refused(self, path: str, code: int) -> MissingWeights:
        if code in (401, 403):
            return MissingWeights(
                f"{self.card.id}: {self.base} does not let us have {path} ({code}); its licence may have to be "
                "accepted there first, and then HF_TOKEN set to a token of that account"
            )
        if code in (408, 425, 429) or code >= 500:
            return MissingWeights(
                f"{self.card.id}: {self.base} answered {code} to each try to fetch {path}; what has arrived is kept, "
                f"run again: tratto models pull {self.card.id}"
            )
        return MissingWeights(
            f"{self.card.id}: {self.base} has no {path} in {self.card.source.repo} at "
            f"{self.commit or self.card.source.revision} (it answered {code})"
        )

    def _take_commit(self, commit: str) -> None:
        commit = _safe(commit)
        if commit and _COMMIT.fullmatch(self.commit) and commit != self.commit:
            raise MissingWeights(
                f"{self.card.id}: asked {self.base} for revision {self.commit}, got {commit}; run the pull again"
            )
        self.commit = commit or self.commit or self.card.source.revision.replace("/", "--")

    def _place(self, part: Path, path: str, digest: str) -> None:
        blob = self.folder / "blobs" / digest
        target = self.folder / "snapshots" / self.commit / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, blob)
        link = target.with_name(target.name + ".tratto.new")
        link.unlink(missing_ok=True)
        try:
            link.symlink_to(os.path.relpath(blob, target.parent))
        except OSError:  # Windows without the right to make links: the file itself goes there, as other tools do it
            os.replace(blob, target)
            return
        os.replace(link, target)


def _bar(path: str, report: Progress) -> type:
    """Return what the library takes for a progress bar, and is none."""

    class Bar(contextlib.nullcontext[Any]):
        def __init__(self, total: int | None = None, initial: int = 0, **_: object) -> None:
            super().__init__(self)
            self.done, self.total = initial, total or 0

        def update(self, count: int) -> None:
            self.done += count
            report(path, self.done, self.total)

    return Bar


def _safe(name: str) -> str:
    return name if _SAFE.fullmatch(name) else ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
