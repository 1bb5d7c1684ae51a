"""Who may ask for what: keys of programs, the one-time link and the cookie of the page."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tratto.core.errors import InputError, OptionError
from tratto.server.database import Database
from tratto.server.problems import Problem
from tratto.server.settings import Settings

#: What a key may be good for: looking at its own uploads and jobs, sending and running, verifying anybody's file.
SCOPES = ("read", "run", "verify")
#: All: a key sees figures of everybody's jobs (``monitor``) only if that was said.
EVERY_SCOPE = (*SCOPES, "monitor")
#: Owner of what the page sends.
PAGE = "page"
#: Seconds for which a one-time link and a cookie are good.
LINK, COOKIE = 15 * 60.0, 30 * 86400.0
_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,40}")


@dataclass(frozen=True)
class Identity:
    """Somebody who asks.

    Attributes
    ----------
    owner : str
        ``page``, or ``key:NAME:`` and the beginning of its hash: another key that gets the name later is another owner.
    scopes : frozenset of str
        What the asker may do: names in ``EVERY_SCOPE``.
    quota, upload_bytes, pixels, per_minute : int
        Bytes of results and bytes of an upload; pixels of a picture; requests in a minute.
    """

    owner: str
    scopes: frozenset[str]
    quota: int
    upload_bytes: int
    pixels: int
    per_minute: int

    @property
    def name(self) -> str:
        """What it is called: ``page``, or the name of the key."""
        return PAGE if self.is_page else self.owner.split(":")[1]

    @property
    def is_page(self) -> bool:
        """Whether it is the page, which is let in by a cookie."""
        return self.owner == PAGE


@dataclass(frozen=True)
class KeyLimits:
    """Limits of a key; None: the server's.

    Attributes
    ----------
    quota, upload_bytes, pixels, per_minute : int or None
        Bytes of results and bytes of an upload; pixels of a picture; requests in a minute.
    expires : float or None
        Seconds since 1970.
    """

    quota: int | None = None
    upload_bytes: int | None = None
    pixels: int | None = None
    per_minute: int | None = None
    expires: float | None = None


def hashed(secret: str) -> str:
    """Return what is kept of a secret. It has 256 random bits, so that a plain hash cannot be searched."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Access:
    """Keys, links and cookies of a server.

    Parameters
    ----------
    database : Database
        Where hashes of keys and cookies are kept.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- keys -------------------------------------------------------------------------------------------------------

    def add_key(self, name: str, scopes: tuple[str, ...], limits: KeyLimits) -> str:
        """Make a key and return it; only its hash is kept, so it cannot be shown again.

        Raises
        ------
        OptionError
            If the name or a scope is none, or there is a key of that name.
        """
        if not _NAME.fullmatch(name):
            raise OptionError(f"a key is called with a-z, 0-9, - and _, at most 41 of them, got {name[:60]!r}")
        if not scopes or any(s not in EVERY_SCOPE for s in scopes):
            raise OptionError(f"a scope is one of {', '.join(EVERY_SCOPE)}, got {', '.join(scopes) or 'none'}")
        key = f"tratto_{secrets.token_urlsafe(32)}"
        with self.database.writing(durable=True) as c:
            if c.execute("SELECT 1 FROM keys WHERE name=?", (name,)).fetchone():
                raise OptionError(f"there is a key called {name!r}; remove it first, or choose another name")
            c.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(name, hashed(key), " ".join(scopes), limits.quota, limits.upload_bytes, limits.pixels),
                    *(limits.per_minute, time.time(), limits.expires),
                ),
            )
        return key

    def keys(self) -> list[dict[str, Any]]:
        """Return what is known of each key; never the key."""
        return [
            {**dict(row), "hash": row["hash"][:12], "scopes": row["scopes"].split()}
            for row in self.database.rows("SELECT * FROM keys ORDER BY name")
        ]

    def remove_key(self, name: str) -> None:
        """Make a key worthless. What was sent with it stays until it expires, and nobody sees it any more.

        Raises
        ------
        InputError
            If there is none.
        """
        with self.database.writing(durable=True) as c:
            if not c.execute("DELETE FROM keys WHERE name=?", (name,)).rowcount:
                raise InputError(f"there is no key called {name[:60]!r}; tratto keys api list shows them")

    def by_key(self, key: str, settings: Settings) -> Identity | None:
        """Return who holds a key; None: nobody."""
        row = self.database.row("SELECT * FROM keys WHERE hash=?", hashed(key))
        if row is None or (row["expires"] is not None and row["expires"] < time.time()):
            return None
        return Identity(
            f"key:{row['name']}:{row['hash'][:16]}",
            frozenset(row["scopes"].split()),
            settings.quota if row["quota"] is None else row["quota"],
            settings.upload_bytes if row["upload_bytes"] is None else row["upload_bytes"],
            settings.pixels if row["pixels"] is None else row["pixels"],
            settings.per_minute if row["per_minute"] is None else row["per_minute"],
        )

    def _key_of(self, owner: str) -> Any:
        return self.database.row("SELECT * FROM keys WHERE 'key:' || name || ':' || substr(hash, 1, 16) = ?", owner)

    def holds_key(self, owner: str) -> bool:
        """Return whether an owner's key is still good."""
        row = self._key_of(owner)
        return row is not None and (row["expires"] is None or row["expires"] >= time.time())

    def quota_of(self, owner: str, settings: Settings) -> int:
        """Return how many bytes the files of an owner may take; of a key that was removed, what the server allows."""
        row = self._key_of(owner)
        return settings.quota if row is None or row["quota"] is None else int(row["quota"])

    # -- the page ---------------------------------------------------------------------------------------------------

    def new_link(self) -> str:
        """Return the secret of a link that is good once."""
        return self._new("links", LINK)

    def use_link(self, secret: str) -> str | None:
        """Return the secret of a new cookie for a link; None: the link is no good, or was used."""
        with self.database.writing() as c:
            found = c.execute("DELETE FROM links WHERE hash=? RETURNING expires", (hashed(secret),)).fetchone()
        return None if found is None or found["expires"] < time.time() else self._new("sessions", COOKIE)

    def by_cookie(self, secret: str, settings: Settings) -> Identity | None:
        """Return the page for its cookie; None: it is no good."""
        row = self.database.row("SELECT expires FROM sessions WHERE hash=?", hashed(secret))
        if row is None or row["expires"] < time.time():
            return None
        limits = (settings.quota, settings.upload_bytes, settings.pixels)
        return Identity(PAGE, frozenset(EVERY_SCOPE), *limits, 100 * settings.per_minute)

    def _new(self, table: str, seconds: float) -> str:
        secret = secrets.token_urlsafe(32)
        with self.database.writing() as c:
            c.execute(f"INSERT INTO {table} VALUES (?, ?)", (hashed(secret), time.time() + seconds))
        return secret


@dataclass
class Rates:
    """How often each owner asks: a bucket that fills evenly and holds what is allowed in a minute."""

    _left: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, owner: str, per_minute: int) -> None:
        """Count a request.

        Raises
        ------
        Problem
            429, with the seconds to wait.
        """
        now = time.monotonic()
        with self._lock:
            left, at = self._left.get(owner, (float(per_minute), now))
            left = min(float(per_minute), left + (now - at) * per_minute / 60)
            self._left[owner] = (max(0.0, left - 1), now)
            if len(self._left) > 10_000:  # owners are few; this bounds what nobody foresaw
                self._left.clear()
        if left < 1:
            wait = max(1, round((1 - left) * 60 / per_minute))
            raise Problem(
                429, "TooManyRequests", f"more than {per_minute} requests a minute; wait {wait} s", None,
                {"Retry-After": str(wait)},
            )  # fmt: skip
