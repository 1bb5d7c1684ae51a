"""The ledger on the disk: durable, append-only, every bit counted."""

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tratto import ledger
from tratto.core.errors import InputError, OptionError, OutputError, ReceiptError
from tratto.ledger import Ledger, check, keys, merkle, tiles
from tratto.ledger.note import Checkpoint, Note, sign
from tratto.ledger.tiles import LedgerReader
from tratto.provenance import standalone


@pytest.fixture
def key(log_key):
    return log_key


def entry(i):
    return b'{"n":%d}' % i + b"x" * (i % 7)


def made(folder, key, batches):
    with Ledger.create(folder, key) as log:
        n = 0
        for count in batches:
            assert log.append([entry(n + i) for i in range(count)]) == range(n, n + count)
            n += count
    return folder


def slow_root(size):
    return standalone.tree([merkle.leaf_hash(entry(i)) for i in range(size)])


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 600])
def test_roots_are_those_of_the_definition(tmp_path, key, size):
    folder = made(tmp_path / "log", key, [size] if size else [])
    reader = LedgerReader(folder, key.verifier)
    assert reader.size == size
    assert reader.checkpoint.root == slow_root(size) == reader.root(size)
    assert check(folder) == ([], reader.note)
    assert standalone.check_ledger(str(folder))[:2] == ("example.org/log", size)


def test_batches_of_any_size_give_one_ledger(tmp_path, key):
    one = made(tmp_path / "one", key, [700])
    many = made(tmp_path / "many", key, [1, 2, 253, 1, 300, 143])
    files = {p.relative_to(one).as_posix(): p.read_bytes() for p in (one / "tile").rglob("*") if p.is_file()}
    other = {p.relative_to(many).as_posix(): p.read_bytes() for p in (many / "tile").rglob("*") if p.is_file()}
    assert files == other
    assert (one / "checkpoint").read_bytes() == (many / "checkpoint").read_bytes()


def test_two_levels_of_tiles(tmp_path, key):
    size = 256 * 256 + 300
    with Ledger.create(tmp_path / "log", key) as log:
        log.append([b"%d" % i for i in range(size)])
    reader = LedgerReader(tmp_path / "log", key.verifier)
    leaves = [merkle.leaf_hash(b"%d" % i) for i in range(size)]
    assert reader.checkpoint.root == standalone.tree(leaves)
    assert (tmp_path / "log/tile/1/000").stat().st_size == 8192
    assert (tmp_path / "log/tile/2/000.p/1").read_bytes() == standalone.tree(leaves[:65536])
    for index in (0, 1, 65535, 65536, size - 1):
        proof = reader.inclusion(index)
        assert merkle.included(leaves[index], (index, size), proof, reader.checkpoint.root)
        assert reader.entry(index) == b"%d" % index
    for old in (0, 1, 255, 65536, 65537, size):
        assert merkle.consistent(
            (old, size), (standalone.tree(leaves[:old]), reader.checkpoint.root), reader.consistency(old)
        )


def test_names_of_tiles():
    assert tiles.tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tiles.tile_path("entries", 5, 17) == "tile/entries/005.p/17"
    assert tiles.tile_path(3, 1000) == "tile/3/x001/000"


def test_entries_are_found(tmp_path, key):
    reader = LedgerReader(made(tmp_path / "log", key, [300]), key.verifier)
    assert [reader.find(entry(i)) for i in (0, 255, 256, 299)] == [0, 255, 256, 299]
    assert reader.find(b"not there") is None
    assert [n for n, _ in reader.search(b'"n":29')] == [29, *range(290, 300)]
    with pytest.raises(InputError, match="has 300 entries"):
        reader.entry(300)
    with pytest.raises(InputError, match="0 to 299"):
        reader.inclusion(300)


def test_a_ledger_goes_on_where_it_was(tmp_path, key):
    folder = made(tmp_path / "log", key, [100])
    for n in range(100, 620, 130):
        with Ledger.open(folder, key) as log:
            assert not log.recovered
            assert log.size == n
            log.append([entry(n + i) for i in range(130)])
    assert LedgerReader(folder).checkpoint.root == slow_root(620)
    assert check(folder)[0] == []


def test_the_journal_is_replaced_when_it_grows(tmp_path, key, monkeypatch):
    monkeypatch.setattr("tratto.ledger.log.ROTATE", 2000)
    folder = made(tmp_path / "log", key, [50] * 12)
    assert (folder / "journal").stat().st_size < 30_000
    assert check(folder)[0] == []
    with Ledger.open(folder, key) as log:
        assert log.size == 600
        assert log.checkpoint.root == slow_root(600)


def test_limits_and_wrong_use(tmp_path, key):
    folder = made(tmp_path / "log", key, [3])
    with pytest.raises(OutputError, match="not empty"):
        Ledger.create(folder, key)
    with pytest.raises(InputError, match="tratto ledger new"):
        Ledger.open(tmp_path / "nothing", key)
    with Ledger.open(folder, key) as log:
        with pytest.raises(OptionError, match="65535"):
            log.append([b"ok", b"x" * 65536])
        assert log.append([b"x" * 65535, b""]) == range(3, 5)
        assert log.append([]) == range(5, 5)
    with pytest.raises(OutputError, match="open it again"):
        log.append([b"closed"])
    keys.new_key("other", "ledger")
    with pytest.raises(OptionError, match="to the key"):
        Ledger.open(folder, keys.signer("other", "ledger"))
    assert LedgerReader(folder).entry(3) == b"x" * 65535
    assert LedgerReader(folder).entry(4) == b""


def test_a_failed_write_acknowledges_nothing(tmp_path, key, monkeypatch):
    folder = made(tmp_path / "log", key, [3])
    with Ledger.open(folder, key) as log:

        def broken(fd):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("tratto.ledger.log.flush_data", broken)
        with pytest.raises(OutputError, match="Input/output error"):
            log.append([b"one"])
        with pytest.raises(OutputError, match="open it again"):
            log.append([b"two"])
    monkeypatch.undo()
    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))
    with Ledger.open(folder, key) as log:
        assert log.size in (3, 4)
        assert check(folder)[0] == []


# ------------------------------------------------------------------------------------------------------- damage


def copy(folder, name):
    target = folder.with_name(name)
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(folder, target))


def test_cut_all_over_the_last_three_records(tmp_path, key):
    """A cut journal is recovered without loss of what its checkpoint counts, or refused; never silently shorter.

    Every second byte, and each around the ends of records; every one in ``benchmarks/ledger.py``.
    """
    folder = made(tmp_path / "log", key, [2, 1, 1, 1])
    data = (folder / "journal").read_bytes()
    frames, rest = ledger.read_frames(data)
    assert not rest
    start = frames[-4].end
    assert start < len(data) - 300
    ends = {frame.end + k for frame in frames for k in range(-2, 3)}
    for cut in (at for at in range(start, len(data)) if at % 2 or at in ends):
        bad = copy(folder, "cut")
        (bad / "journal").write_bytes(data[:cut])
        assert check(bad)[0], cut
        with pytest.raises(ReceiptError, match="acknowledged entries"):
            Ledger.open(bad, key)


def test_a_write_that_was_cut_off_before_it_was_acknowledged_is_recovered(tmp_path, key):
    folder = made(tmp_path / "log", key, [2, 1])
    before = copy(folder, "before")
    with Ledger.open(folder, key) as log:
        log.append([entry(3)])
    whole, old = (folder / "journal").read_bytes(), (before / "journal").read_bytes()
    assert whole.startswith(old)
    for cut in {*range(len(old), len(whole), 3), len(whole) - 1, len(whole)}:
        torn = copy(before, "torn")
        (torn / "journal").write_bytes(whole[:cut])
        with Ledger.open(torn, key) as log:
            expected = 4 if cut == len(whole) else 3
            assert log.size == expected
            assert bool(log.recovered) == (len(old) < cut < len(whole))
            log.append([b"goes on"])
        assert check(torn)[0] == []
        assert LedgerReader(torn).entry(expected) == b"goes on"


def flips(data):
    for at in range(len(data)):
        yield at, bytes([*data[:at], data[at] ^ (1 << 3 * at % 8), *data[at + 1 :]])


def test_a_bit_of_every_byte_of_every_file_counts(tmp_path, key):
    """Of every byte one bit, of neighbours another; every bit of every byte in ``benchmarks/ledger.py``."""
    folder = made(tmp_path / "log", key, [2, 1])
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "lock"]
    assert len(files) == 5
    count = 0
    for path in files:
        data = path.read_bytes()
        for at, bad in flips(data):
            path.write_bytes(bad)
            wrong, _ = check(folder)
            assert wrong, (path, at)
            count += 1
        path.write_bytes(data)
    assert count > 1000
    assert check(folder)[0] == []


def test_added_missing_and_swapped_files_show(tmp_path, key):
    folder = made(tmp_path / "log", key, [600])
    a, b = folder / "tile/entries/000", folder / "tile/entries/001"
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    assert check(folder)[0]
    with pytest.raises(ReceiptError):
        LedgerReader(folder).entry(3)
    a.write_bytes(one)
    b.write_bytes(two)
    assert check(folder)[0] == []
    (folder / "tile/0/007").write_bytes(bytes(8192))
    assert check(folder)[0] == ["tile/0/007 does not belong to a ledger of 600 entries"]
    (folder / "tile/0/007").unlink()
    (folder / "tile/0/001").unlink()
    assert check(folder)[0]


def test_tiles_that_a_power_cut_took_are_made_again(tmp_path, key):
    folder = made(tmp_path / "log", key, [600])
    whole = copy(folder, "whole")
    for name in ("tile/0/000", "tile/entries/001", "tile/1/000.p/2"):
        (folder / name).write_bytes(b"")
    shutil.rmtree(folder / "tile/0/002.p")
    (folder / "checkpoint").unlink()
    (folder / "tile/0/.000.new").write_bytes(b"half")
    with Ledger.open(folder, key) as log:
        assert log.recovered == ["the checkpoint was missing and was made again from the journal"]
    assert check(folder)[0] == []
    for path in (whole / "tile").rglob("*"):
        if path.is_file():
            assert (folder / path.relative_to(whole)).read_bytes() == path.read_bytes()


def test_a_forged_or_forked_checkpoint_is_refused(tmp_path, key):
    folder = made(tmp_path / "log", key, [5, 1])
    forged = Checkpoint("example.org/log", 6, b"\x01" * 32)
    keys.new_key("rogue", "ledger", "example.org/log")
    rogue = keys.signer("rogue", "ledger")
    (folder / "checkpoint").write_bytes(Note(forged, (sign(forged, rogue),)).text())
    with pytest.raises(ReceiptError, match="the signature"):
        LedgerReader(folder)
    assert check(folder)[0]
    (folder / "checkpoint").write_bytes(Note(forged, (sign(forged, key),)).text())
    with pytest.raises(ReceiptError, match="forked"):
        Ledger.open(folder, key)
    assert any("the root" in w or "not what" in w for w in check(folder)[0])


def test_the_stand_alone_verifier_says_the_same(tmp_path, key):
    folder = made(tmp_path / "log", key, [300])
    old = copy(folder, "old") / "checkpoint"
    with Ledger.open(folder, key) as log:
        log.append([b"more"])
    script = Path(standalone.__file__)
    assert len(script.read_text().splitlines()) < 220
    assert "import tratto" not in script.read_text()
    assert "from tratto" not in script.read_text()

    def run(*line):
        return subprocess.run([sys.executable, script, *map(str, line)], capture_output=True, text=True, check=False)

    done = run("ledger", folder, key.verifier.text())
    assert (done.returncode, done.stdout.split()[:4]) == (0, ["RIGHT:", "all", "301", "entries"])
    assert {"RIGHT:", "300", "301;"} <= set(run("grown", old, folder).stdout.split())
    fork = made(tmp_path / "fork", key, [299, 2])
    with Ledger.open(fork, key) as log:
        log.append([b"another story"])
    # entry 299 is the same in both, so that the fork continues the old checkpoint; one that differs earlier does not
    assert run("grown", old, fork).returncode == 0
    with Ledger.create(tmp_path / "other", key) as log:
        log.append([b"%d" % i for i in range(301)])
    done = run("grown", old, tmp_path / "other")
    assert (done.returncode, "rolled back" in done.stdout) == (9, True)
    assert run().returncode == 2
    path = folder / "tile/entries/000"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert run("ledger", folder).returncode == 9


WRITER = """
    import sys
    from pathlib import Path
    from tratto.ledger import keys
    from tratto.ledger import Ledger
    folder, start = Path(sys.argv[1]), int(sys.argv[2])
    key = keys.signer("log", "ledger")
    with Ledger.open(folder, key) as log:
        n = log.size
        while True:
            batch = [b"%d" % (n + i) for i in range(1 + n % 9)]
            done = log.append(batch)
            n += len(batch)
            print(done.stop, flush=True)
"""


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path, key, monkeypatch):
    folder = made(tmp_path / "log", key, [])
    rng = random.Random(11)
    said = 0
    source = Path(importlib.util.find_spec("tratto").origin).parents[1]
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), str(said)],
            stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(source)},
        ) as writer:  # fmt: skip
            first = writer.stdout.readline()
            said = max(said, int(first))
            time.sleep(rng.random() * 0.05)
            os.kill(writer.pid, signal.SIGKILL)
            lines = writer.stdout.read().split(b"\n")[:-1]
            said = max([said, *(int(n) for n in lines)])
        with Ledger.open(folder, key) as log:
            assert log.size >= said
            said = log.size
    reader = LedgerReader(folder)
    assert [reader.entry(i) for i in range(reader.size)] == [b"%d" % i for i in range(reader.size)]
    assert check(folder)[0] == []
    assert reader.size > 30


def test_tiles_of_an_append_that_never_reached_the_journal_are_removed(tmp_path, key):
    folder = made(tmp_path / "log", key, [300])
    for stray in ("tile/entries/001", "tile/0/001", "tile/1/000"):
        (folder / stray).parent.mkdir(parents=True, exist_ok=True)
        (folder / stray).write_bytes(b"never said")
    assert len(check(folder)[0]) == 3
    with Ledger.open(folder, key) as log:
        assert log.size == 300
        assert sum("never acknowledged" in r for r in log.recovered) == 3
    assert check(folder)[0] == []
    assert (folder / "tile/0/000").is_file()


def test_the_stand_alone_verifier_says_in_one_line_what_it_lacks(tmp_path):
    from tratto.provenance import standalone

    source = Path(standalone.__file__).read_text()
    assert source.count("\n") < 220
    (tmp_path / "check.py").write_text(source)
    (tmp_path / "cryptography").mkdir()
    (tmp_path / "cryptography/__init__.py").write_text("raise ImportError")
    done = subprocess.run([sys.executable, "check.py", "ledger", "x"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip install cryptography" in done.stderr
