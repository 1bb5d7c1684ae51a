"""The one SQLite file of a server: its tables, and how they are read and written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, OutputError

#: Changes with the tables.
VERSION = 2
_TABLES = """
CREATE TABLE keys (name TEXT PRIMARY KEY, hash TEXT UNIQUE NOT NULL, scopes TEXT NOT NULL, quota INTEGER,
  upload_bytes INTEGER, pixels INTEGER, per_minute INTEGER, created REAL NOT NULL, expires REAL);
CREATE TABLE links (hash TEXT PRIMARY KEY, expires REAL NOT NULL);
CREATE TABLE sessions (hash TEXT PRIMARY KEY, expires REAL NOT NULL);
CREATE TABLE uploads (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL,
  facts TEXT NOT NULL, bytes INTEGER NOT NULL, created REAL NOT NULL, expires REAL NOT NULL);
CREATE INDEX uploads_of ON uploads(owner, seq);
CREATE TABLE jobs (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT NOT NULL,
  rank INTEGER NOT NULL, task TEXT NOT NULL, name TEXT NOT NULL, request TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued', wanted TEXT, progress REAL NOT NULL DEFAULT 0, stage TEXT NOT NULL DEFAULT '',
  seconds_left REAL, result TEXT, error TEXT, bytes INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  token TEXT, lease REAL, worker TEXT, created REAL NOT NULL, started REAL, finished REAL, expires REAL NOT NULL);
CREATE INDEX queue ON jobs(state, rank, seq);
CREATE INDEX jobs_of ON jobs(owner, seq);
CREATE INDEX leases ON jobs(lease) WHERE lease IS NOT NULL;
CREATE TABLE repeats (owner TEXT NOT NULL, key TEXT NOT NULL, hash TEXT NOT NULL, job TEXT NOT NULL,
  PRIMARY KEY (owner, key)) WITHOUT ROWID;
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, owner TEXT NOT NULL, kind TEXT NOT NULL,
  at REAL NOT NULL);
CREATE INDEX events_of ON events(job);
CREATE TABLE observations (seq INTEGER PRIMARY KEY, at REAL NOT NULL, task TEXT NOT NULL, state TEXT NOT NULL,
  waited REAL, seconds REAL, facts TEXT NOT NULL);
CREATE INDEX observed_at ON observations(at);
CREATE TABLE pace (task TEXT NOT NULL, stage TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (task, stage))
  WITHOUT ROWID;
"""


class Database:
    """One file, one connection for each thread.

    Attributes
    ----------
    path : Path
        Made with its tables where it is missing.

    Raises
    ------
    InputError
        If the file is no database of a server, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        try:
            with self.writing() as connection:
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                if not found:
                    for statement in _TABLES.split(";"):
                        connection.execute(statement)
                if found == 1:  # what was added since, and nothing else: an older server's data stay as they are
                    for statement in _TABLES.split(";"):
                        if "observ" in statement:
                            connection.execute(statement)
                if found in (0, 1):
                    connection.execute(f"PRAGMA user_version={VERSION}")
        except sqlite3.DatabaseError as e:
            raise InputError(f"{path} cannot be used as the database of a server: {e}") from e
        if found not in (0, 1, VERSION):
            raise InputError(f"{path} is of version {found}, this server reads {VERSION}; name another --data folder")

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of this thread."""
        made: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if made is None:
            made = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            made.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "cache_size=-2000"):
                made.execute(f"PRAGMA {pragma}")
            self._local.connection = made
        return made

    @contextmanager
    def writing(self, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Hold the one right to write; all that is done inside happens, or nothing.

        Parameters
        ----------
        durable : bool
            It outlives a power cut, too. What does not can be lost in one, but only together with all that came after
            it: a job that was accepted durably is then done again.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        connection = self.connection
        try:
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.OperationalError as e:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if "full" in str(e):
                raise OutputError(f"{self.path}: the disk is full; nothing was changed") from e
            raise

    def rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        return self.connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: Any) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        found: sqlite3.Row | None = self.connection.execute(statement, values).fetchone()
        return found

    def close(self) -> None:
        """Close the connection of this thread."""
        made = getattr(self._local, "connection", None)
        if made is not None:
            made.close()
            self._local.connection = None
