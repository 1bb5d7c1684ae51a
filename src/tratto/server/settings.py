"""How a server is set up by its owner."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tratto.core.errors import MissingExtra, OptionError, OutputError, UnavailableError

#: What may be sent, unless the owner says otherwise.
FORMATS = ("png", "jpeg", "tiff", "webp", "bmp", "zip")
_AGES = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}


class Settings(BaseModel):
    """What the owner of a server decides.

    Attributes
    ----------
    folder : Path
        Holds everything: the database, uploads, results.
    host, port : str, int
        Where it listens; loop-back unless the owner names another.
    names : tuple of str
        Further names it answers to, for a server behind a proxy; the Host header is compared with them.
    keep : float
        Seconds until uploads and jobs expire.
    workers : int
        Processes that do jobs.
    upload_bytes, pixels, quota : int
        Largest file, most pixels of a picture, most bytes on disk; of a key that has no limits of its own.
    per_minute : int
        Most requests a minute of a key that has no limit of its own.
    spare : int
        Bytes of the disk that stay free.
    decode_memory, decode_seconds : int
        Address space and CPU time of the process that decodes an upload.
    stream_seconds : float
        After which a stream of events ends; the client connects again.
    sign, device : str
        Identity that signs results (``auto``, ``none`` or a name); where networks run.
    ledger : Path or None
        Records each result.
    output_pixels, minutes : int, float
        Largest result and longest estimated time of a job.
    services : dict
        Services elsewhere that jobs may ask, by name, with their parameters: none unless the owner names one. Their
        keys lie in the environment of the server, never here.
    check_every : int
        Of one result in so many, how well a replay agrees and what its source does not support is measured; 0: of none.

    Examples
    --------
    >>> Settings(folder=Path("data")).keep
    604800.0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    folder: Path
    host: str = "127.0.0.1"
    port: int = Field(8787, ge=0, le=65535)
    names: tuple[str, ...] = ()
    keep: float = Field(7 * 86400.0, gt=0)
    workers: int = Field(1, ge=0, le=64)
    formats: tuple[str, ...] = FORMATS
    upload_bytes: int = 2_000_000_000
    pixels: int = 250_000_000
    side: int = 100_000
    quota: int = 50_000_000_000
    per_minute: int = 1200
    spare: int = 200_000_000
    decode_memory: int = 4 << 30
    decode_seconds: int = 120
    stream_seconds: float = 600.0
    sign: str = "auto"
    device: str = "auto"
    ledger: Path | None = None
    output_pixels: int = 400_000_000
    minutes: float = 60.0
    check_every: int = Field(0, ge=0)
    services: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The file of the store."""
        return self.folder / "tratto.db"

    @property
    def reference(self) -> Path:
        """What results are compared with; see :class:`tratto.monitor.summary.Reference`."""
        return self.folder / "reference.json"

    @property
    def kept(self) -> Path:
        """What workers that others start need to know of these settings; it holds no secret."""
        return self.folder / "settings.json"

    @property
    def temporary(self) -> Path:
        """Where files lie while they come in or are worked on."""
        return self.folder / "tmp"

    def upload(self, upload: str) -> Path:
        """Return the folder of an upload."""
        return self.folder / "uploads" / upload

    def job(self, job: str) -> Path:
        """Return the folder of a job."""
        return self.folder / "jobs" / job

    def make_folders(self) -> None:
        """Make the folders, readable by their owner alone.

        Raises
        ------
        OutputError
            If they cannot be made.
        """
        for folder in (self.folder, self.folder / "uploads", self.folder / "jobs", self.temporary):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as e:
                raise OutputError(f"{folder} cannot be a server's folder: {e.strerror or e}; name another") from e


def usual_folder() -> Path:
    """Return where a server keeps its data unless its owner says otherwise."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".local" / "share") / "tratto" / "server"


def age(text: str) -> float:
    """Return a time in seconds: ``30m``, ``12h``, ``7d`` or ``2w``.

    Raises
    ------
    OptionError
        If it is none.

    Examples
    --------
    >>> age("7d")
    604800.0
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([mhdw])", text.strip())
    if match is None or not float(match[1]):
        raise OptionError(f"a time is written 30m, 12h, 7d or 2w, got {text[:40]!r}")
    return float(match[1]) * _AGES[match[2]]


def size(text: str) -> int:
    """Return a number of bytes: ``500M``, ``20G``.

    Raises
    ------
    OptionError
        If it is none.

    Examples
    --------
    >>> size("20G")
    20000000000
    """
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,3})?)([kmgt]?)b?", text.strip().lower())
    if match is None or not float(match[1]):
        raise OptionError(f"a size is written 500M or 20G, got {text[:40]!r}")
    return int(float(match[1]) * _SIZES[match[2]])


def need_extra() -> None:
    """Refuse to go on where what the extra ``server`` installs is missing, or the system has no limits for processes.

    Raises
    ------
    MissingExtra
        Without the ``server`` extra.
    UnavailableError
        On a system without such limits.
    """
    from importlib.util import find_spec

    if os.name != "posix":
        raise UnavailableError("the server needs Linux or macOS: it bounds what the processes that decode may take")
    if any(find_spec(name) is None for name in ("fastapi", "uvicorn", "python_multipart", "prometheus_client")):
        raise MissingExtra("the server", "server")
