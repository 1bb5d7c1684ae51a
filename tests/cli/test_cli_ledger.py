"""Keys, ledgers, witnesses, signing, verify and audit as a user types them; and restoring that is killed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.ledger import Ledger, check, keys
from tratto.ledger.tiles import LedgerReader
from tratto.provenance.seal import entry_of
from tratto.provenance.trust import Trust
from tratto.provenance.verify import verify

#: More for a longer hunt: the benchmark sets 60.
KILLS = int(os.environ.get("TRATTO_KILLS", "3"))


pytestmark = pytest.mark.usefixtures("key_folder")


def run(*line, code=0):
    done = CliRunner().invoke(app, [str(part) for part in line])
    assert done.exit_code == code, done.output
    return done.output


def picture(path, seed=0, size=40):
    rng = np.random.default_rng(seed)
    clean = np.linspace(40, 200, size)[None, :, None] * np.ones((size, 1, 3))
    Pil.fromarray(np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)).save(path)
    return path


def test_roots_that_hold_no_certificate_are_told_from_a_finding(tmp_path):
    source, empty = picture(tmp_path / "a.png"), tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for option in ("--anchors", "--stamp-anchors"):
        # nothing in it must not mean that nobody need vouch
        assert "no certificate" in run("verify", source, option, empty, code=3)
        assert "root certificate" in run("verify", source, option, source, code=3)
        assert "cannot be read" in run("verify", source, option, tmp_path / "none.pem", code=3)
        assert "root certificate" in run("audit", tmp_path, option, source, code=3)


def test_a_key_that_cannot_be_read_is_told(tmp_path):
    run("keys", "new", "good", "--kind", "witness", "--origin", "example.net/eye")
    run("keys", "new", "bad", "--kind", "witness", "--origin", "example.net/ear")
    (tmp_path / "keys/bad/public.vkey").write_text("nonsense")
    told = run("keys", "list")
    assert "good: witness" in told
    assert "read: bad" in told
    assert [k["name"] for k in json.loads(CliRunner().invoke(app, ["keys", "list", "--json"]).stdout)] == ["good"]


def test_from_key_to_verdict(tmp_path):
    source, log, out = picture(tmp_path / "a.png"), tmp_path / "log", tmp_path / "out"
    assert "no keys" in run("keys")
    assert "nobody vouches" in run("keys", "new")
    assert "exists" not in run("keys", "new", "eye", "--kind", "witness", "--origin", "example.net/eye")
    run("keys", "new", code=4)
    run("ledger", "new", log, "--origin", "example.org/log")
    names = {k["name"]: k for k in json.loads(run("keys", "list", "--json"))}
    assert {n: k["kind"] for n, k in names.items()} == {"default": "identity", "eye": "witness", "ledger": "ledger"}
    told = run("restore", source, "-o", out, "--ledger", log)
    assert "test identity, untrusted" in told
    assert "entry 0" in told
    verdict = json.loads(run("verify", out / "a.png", "--ledger", log, "--key", names["ledger"]["public"], "--json"))
    assert verdict["verdict"] == "authentic"
    assert any("trust its key" in r for r in verdict["reasons"])
    assert any(r.startswith("untrusted: signed by default") for r in verdict["reasons"])
    # who asks for a root gets no authentic from a test identity
    root = tmp_path / "keys/default/anchor.pem"
    assert run("verify", out / "a.png", "--anchors", root, code=10).startswith(f"{out / 'a.png'}: unknown")
    assert "1 entries" in run("ledger", "show", log)
    assert "1 entries" in run("ledger", "check", log, "--since", out / "a.tratto/ledger.json")
    # the witness, by files and over HTTP
    run("witness", "watch", tmp_path / "state", log / "log.vkey", "--key-name", "eye")
    run("ledger", "request", log, "-o", tmp_path / "request")
    run("witness", "sign", tmp_path / "state", tmp_path / "request", "-o", tmp_path / "answer", "--key-name", "eye")
    run("ledger", "cosign", log, "--key", tmp_path / "keys/eye/public.vkey", "--answer", tmp_path / "answer")
    assert "example.net/eye" in run("ledger", "show", log)
    run("ledger", "add", log, out)
    told = run("verify", out / "a.png", "--key", names["eye"]["public"])
    assert "example.net/eye" in told
    run("witness", "sign", tmp_path / "state", log, "-o", tmp_path / "again", "--key-name", "eye")
    # without Tratto
    run("ledger", "verifier", "-o", tmp_path / "check.py")
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "check.py", "bundle", out / "a.tratto", names["ledger"]["public"]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("RIGHT: ")
    assert all(word in done.stdout for word in ("example.org/log", "entry 0 (from 0) of 1"))


def test_unsigned_and_refusals(tmp_path):
    source, out = picture(tmp_path / "a.png"), tmp_path / "out"
    assert "unsigned" in run("restore", source, "-o", out)
    assert "unsigned" in run("verify", out / "a.png")
    assert "tratto keys new" in run("restore", source, "-o", out / "b", "--sign", "nobody", code=3)
    assert "tratto ledger new" in run("restore", source, "-o", out / "b", "--ledger", tmp_path / "none", code=3)
    assert not (out / "b").exists()
    assert "public key" in run("verify", out / "a.png", "--key", "nonsense", code=2)
    run("verify", out / "a.png", "--ledger", tmp_path, code=3)


def test_a_ledger_without_its_key_is_told_before_any_work(tmp_path):
    source = picture(tmp_path / "a.png")
    run("ledger", "new", tmp_path / "log")
    shutil.rmtree(tmp_path / "keys")
    assert "who has it" in run("restore", source, "-o", tmp_path / "out", "--ledger", tmp_path / "log", code=3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_witness_serves_until_it_is_stopped(tmp_path, how):
    run("keys", "new", "witness", "--kind", "witness")
    run("ledger", "new", tmp_path / "log")
    run("witness", "watch", tmp_path / "state", tmp_path / "log/log.vkey")
    line = [sys.executable, "-m", "tratto.cli.main", "witness", "serve", str(tmp_path / "state"), "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment()) as server:
        url = server.stdout.readline().split()[-1]
        told = run("ledger", "cosign", tmp_path / "log", "--key", tmp_path / "keys/witness/public.vkey", "--url", url)
        assert "signed 0 entries" in told
        server.send_signal(how)
        assert server.wait(60) == 0


def test_audit(tmp_path):
    for i in range(3):
        picture(tmp_path / f"{i}.png", i)
    out = tmp_path / "out"
    run("restore", *(tmp_path / f"{i}.png" for i in range(3)), "-o", out)
    told = run("audit", out, "--replay", "-o", tmp_path / "a.json", "--html", tmp_path / "a.html")
    assert "3 authentic, 0 altered, 0 unknown" in told
    assert "3 replayed: tier A: 100.0 %" in told
    (out / "1.png").write_bytes((out / "1.png").read_bytes()[:-1])
    found = json.loads(run("audit", out, "--json", "--since", tmp_path / "a.json", code=9))
    assert found["counts"] == {"altered": 1, "unknown": 0, "authentic": 2}
    assert [c["path"] for c in found["changes"]] == ["1.tratto"]
    assert "<table>" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    "asked",
    [
        ("audit", "{folder}", "-o", "{victim}"),
        ("audit", "{folder}", "--html", "{victim}"),
        ("ledger", "request", "{folder}/log", "-o", "{victim}"),
        ("ledger", "verifier", "-o", "{victim}"),
        ("ledger", "stamp", "{folder}/log", "--query", "{victim}"),
        ("witness", "sign", "{folder}/state", "{folder}/log", "-o", "{victim}"),
    ],
    ids=lambda a: " ".join(a[:2]) + a[-2],
)
def test_no_table_and_no_proof_replaces_a_picture(tmp_path, asked):
    victim = picture(tmp_path / "a.png")
    before = victim.read_bytes()
    run("ledger", "new", tmp_path / "log")
    told = run(*(str(a).format(folder=tmp_path, victim=victim) for a in asked), code=4)
    assert "picture (png)" in told
    assert victim.read_bytes() == before


# ------------------------------------------------------------------------------------------------------------- kills


def environment():
    source = Path(sys.modules["tratto"].__file__).parents[1]
    return {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}


class Killed:
    """One ``tratto restore`` of a folder, and what it had said when it was killed."""

    def __init__(self, folder, out, log):
        self.said = {}
        line = [sys.executable, "-m", "tratto.cli.main", "restore", str(folder), "-o", str(out), "--ledger", str(log),
                "--skip-existing", "--force", "--provider", "nlm"]  # fmt: skip
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
        )
        self.first = threading.Event()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        name = None
        for line in self.process.stdout:
            self.first.set()
            if " -> " in line:
                name = line.strip().rpartition(" -> ")[2]
            elif "entry" in line and name is not None:
                self.said[name] = int(line.split()[1])
        self.first.set()

    def kill(self, after):
        self.first.wait(60)
        time.sleep(after)
        self.process.kill()
        self.join()

    def join(self):
        code = self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        return code


def test_killed_in_any_instant_nothing_acknowledged_is_lost(tmp_path):
    """Restoring a folder with a ledger is killed again and again; each round ends with a run that completes it."""
    rng = random.Random(2)
    count, folder, log = 6, tmp_path / "in", tmp_path / "log"
    folder.mkdir()
    for i in range(count):
        picture(folder / f"{i:02}.png", i)
    run("ledger", "new", log)
    key = keys.signer("ledger", "ledger")
    rounds, kills, acknowledged = [], 0, 0
    while kills < KILLS:
        out = tmp_path / f"out{len(rounds)}"
        rounds.append(out)
        for _ in range(3):
            if kills == KILLS:
                break
            job = Killed(folder, out, log)
            job.kill(rng.random() * 0.45)
            kills += 1
            acknowledged += len(job.said)
            with Ledger.open(log, key):
                pass
            assert check(log)[0] == []
            reader = LedgerReader(log)
            for name, number in job.said.items():
                bundle = Path(name).with_suffix(".tratto")
                assert reader.entry(number) == entry_of(bundle)
                verdict = verify(name, deep=False, trust=Trust((key.verifier,), log))
                assert verdict.word == "authentic", verdict.reasons
            for found in out.glob("*.png"):  # what stands there is whole
                assert verify(found, deep=False).word in ("authentic", "unknown")
                Pil.open(found).load()
        last = Killed(folder, out, log)
        assert last.join() == 0
        assert sorted(last.said) == sorted(set(last.said) - set(job.said))  # what was acknowledged is not done again
    assert kills == KILLS
    reader = LedgerReader(log)
    recorded = [reader.entry(i) for i in range(reader.size)]
    bundles = [b for out in rounds for b in sorted(out.glob("*.tratto"))]
    assert len(bundles) == count * len(rounds)
    assert sorted(recorded) == sorted(entry_of(b) for b in bundles)  # each once, and nothing else
    for out in rounds:
        assert sorted({p.name for p in out.iterdir()} - {".tratto-journal.jsonl"}) == sorted(
            [f"{i:02}.png" for i in range(count)] + [f"{i:02}.tratto" for i in range(count)]
        )
    for bundle in bundles:
        assert verify(bundle, deep=False, trust=Trust((key.verifier,), log)).word == "authentic"
    sys.stderr.write(f"{kills} kills, {acknowledged} acknowledged, {reader.size} entries\n")
