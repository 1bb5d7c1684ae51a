"""``tratto restore`` of a folder with a ledger, killed at chosen events of the file system, then run again.

Unlike a kill after a random time, this finds the same instants on every machine and under every load. What is found is
counted through Python's audit events: everything that opens a file for writing, renames, links or removes.
"""

import os
import shutil
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.ledger import Ledger, check, keys
from tratto.ledger.tiles import LedgerReader
from tratto.provenance.seal import entry_of
from tratto.provenance.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork and kill are POSIX")

#: Kill at every one of the events instead of a choice of them.
EVERY = bool(os.environ.get("TRATTO_KILL_EVERYWHERE"))
EVENTS = {"open", "os.rename", "os.remove", "shutil.rmtree", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


pytestmark = pytest.mark.usefixtures("key_folder")


class Place:
    """Two pictures, an empty ledger, and places for results."""

    def __init__(self, folder):
        self.folder = folder
        self.pictures = folder / "in"
        self.pictures.mkdir()
        rng = np.random.default_rng(0)
        for i in range(2):
            noisy = np.clip(120 + rng.normal(0, 20, (24, 24, 3)), 0, 255).astype(np.uint8)
            Pil.fromarray(noisy).save(self.pictures / f"{i}.png")
        CliRunner().invoke(app, ["ledger", "new", str(folder / "empty")])
        self.key = keys.signer("ledger", "ledger")

    def run(self, number, kill_at=0):
        """Restore in a child process; return how it ended, and the events it went through."""
        out, log, told = (self.folder / f"{what}{number}" for what in ("out", "log", "told"))
        if not log.exists():
            shutil.copytree(self.folder / "empty", log)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads; the child is short
            child = os.fork()
        if child == 0:
            self.child(out, log, told, kill_at)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), told.read_text().splitlines()

    def child(self, out, log, told, kill_at):
        code = 99
        try:
            for fd in (1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), fd)
            note = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            seen = 0

            def hook(event, arguments):
                nonlocal seen
                if event not in EVENTS or str(self.folder) not in str(arguments[0]):
                    return
                if event == "open" and not arguments[2] & WRITES:
                    return
                seen += 1
                os.write(note, f"{event} {Path(str(arguments[0])).name} {arguments[1]}\n".encode())
                if seen == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            line = ["restore", self.pictures, "-o", out, "--ledger", log, "--skip-existing", "--force"]
            line += ["--provider", "nlm"]
            code = CliRunner().invoke(app, [str(part) for part in line]).exit_code
        finally:
            os._exit(code)

    def complete(self, number):
        """Say what is wrong with a folder that a second run has finished."""
        out, log = self.folder / f"out{number}", self.folder / f"log{number}"
        names = sorted({p.name for p in out.iterdir()} - {".tratto-journal.jsonl"})
        wrong = [] if names == ["0.png", "0.tratto", "1.png", "1.tratto"] else [f"there stand {names}"]
        with Ledger.open(log, self.key):
            pass
        wrong += check(log)[0]
        reader = LedgerReader(log)
        recorded = sorted(reader.entry(i) for i in range(reader.size))
        if recorded != sorted(entry_of(out / f"{i}.tratto") for i in range(2)):
            wrong.append(f"{len(recorded)} entries are not those of the two bundles")
        for i in range(2):
            verdict = verify(out / f"{i}.png", deep=False)
            wrong += [] if verdict.word == "authentic" else list(verdict.reasons)
        return wrong


def chosen(events):
    """Return the numbers of the events to be killed at: those that once left something behind, and some others."""
    if EVERY:
        return range(1, len(events) + 1)
    numbered = list(enumerate(events, 1))
    half_written = next(i for i, e in numbered if "edit-map.png" in e and e.startswith("os.rename"))
    between = next(i for i, e in numbered if e.startswith("os.rename") and "0.tratto" in e)
    last = max(i for i, e in numbered if e.startswith(("os.remove of", "shutil.rmtree")))
    some = np.random.default_rng(1).choice(len(events), 2, replace=False) + 1
    return sorted({half_written, between, last, *map(int, some)})


def test_a_run_after_a_kill_completes_the_folder_and_leaves_nothing_behind(tmp_path):
    place = Place(tmp_path)
    code, events = place.run(0)
    assert code == 0
    assert place.complete(0) == []
    assert len(events) > 80
    points = chosen(events)
    wrong = {}
    for number in points:
        code, _ = place.run(number, number)
        assert code == -signal.SIGKILL
        code, _ = place.run(number)
        found = place.complete(number)
        if code or found:
            wrong[number, events[number - 1]] = (code, found)
        for what in ("out", "log"):
            shutil.rmtree(tmp_path / f"{what}{number}")
    assert wrong == {}
    sys.stderr.write(f"killed at {len(points)} of {len(events)} events\n")
