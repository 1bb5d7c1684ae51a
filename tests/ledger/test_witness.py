"""Signed notes, witnesses, proofs in bundles: forks, rollbacks and forgeries are refused."""

import shutil
import threading

import pytest

from tratto.core.errors import InputError, OptionError, ReceiptError
from tratto.ledger import keys
from tratto.ledger.note import Checkpoint, Note, VerifierKey, cosign, read_cosignatures, read_note, sign
from tratto.ledger.tiles import LedgerReader
from tratto.ledger.witness import Refusal, Witness, ask, request, serve

pytestmark = pytest.mark.usefixtures("key_folder")


# ------------------------------------------------------------------------------------------------------------ notes


def test_a_published_verifier_key():
    """The example of the Go module proxy's checksum database, whose key is printed in its documentation."""
    key = VerifierKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    assert (key.name, key.kind, key.hash.hex(), len(key.public)) == ("sum.golang.org", 1, "033de0ae", 32)
    assert key.text() == "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


@pytest.mark.parametrize("bad", ["", "a", "a+b", "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
                                 "a b+00000000+AA==", "x+00000000+!!"])  # fmt: skip
def test_bad_keys(bad):
    with pytest.raises(OptionError):
        VerifierKey.parse(bad)


def test_every_bit_of_a_note_counts(log_key):
    checkpoint = Checkpoint("example.org/log", 3, bytes(range(32)))
    data = Note(checkpoint, (sign(checkpoint, log_key),)).text()
    assert read_note(data).signed_by(log_key.verifier)
    for at in range(len(data)):
        for bit in range(8):
            bad = bytes([*data[:at], data[at] ^ (1 << bit), *data[at + 1 :]])
            try:
                assert not read_note(bad).signed_by(log_key.verifier), (at, bit)
            except ReceiptError:
                continue


def test_kinds_of_keys_do_not_mix(log_key, me):
    checkpoint = Checkpoint("example.org/log", 0, bytes(32))
    with pytest.raises(OptionError, match="as a ledger"):
        sign(checkpoint, me.key)
    with pytest.raises(OptionError, match="as a witness"):
        cosign(checkpoint, log_key, 1)
    with pytest.raises(OptionError, match="key of a witness"):
        Witness(me.folder, log_key)
    with pytest.raises(OptionError, match="key of a ledger"):
        me.watch(me.key.verifier)
    with pytest.raises(OptionError, match="key of a ledger"):
        keys.identity("log")


def test_keys_are_private_and_never_replaced(log_key, tmp_path):
    assert (tmp_path / "keys/log/key.pem").stat().st_mode & 0o077 == 0
    with pytest.raises(Exception, match="never replaced"):
        keys.new_key("log", "ledger")
    for bad in ("../up", "", ".hidden", "a/b", "x" * 80):
        with pytest.raises(OptionError, match="a key's name"):
            keys.new_key(bad, "ledger")
    assert [(k.name, k.kind) for k in keys.list_keys()] == [("log", "ledger")]
    with pytest.raises(InputError, match="tratto keys new"):
        keys.signer("nobody", "ledger")


# -------------------------------------------------------------------------------------------------------- witnesses


def test_a_growing_ledger_is_signed(tmp_path, log_key, me, grow):
    reader = grow(tmp_path / "log", log_key, "a", "b")
    first = me.sign(request(reader, 0))
    assert Note(reader.checkpoint, (first,)).time_of(me.key.verifier) == 1_700_000_000
    assert read_cosignatures(first.line().encode()) == (first,)
    reader = grow(tmp_path / "log", log_key, *"cdefg")
    with pytest.raises(Refusal) as e:
        me.sign(request(reader, 0))
    assert (e.value.status, e.value.known) == (409, 2)
    assert me.sign(request(reader, 2))
    assert me.sign(request(reader, 7))  # the same again is no harm
    assert me.last("example.org/log").checkpoint == reader.checkpoint


def test_a_fork_is_refused(tmp_path, log_key, me, grow):
    me.sign(request(grow(tmp_path / "log", log_key, "a", "b", "c"), 0))
    fork = grow(tmp_path / "fork", log_key, "a", "B", "c", "d")
    with pytest.raises(Refusal, match="rewritten or forked") as e:
        me.sign(request(fork, 3))
    assert e.value.status == 422
    same = grow(tmp_path / "same", log_key, "a", "b", "C")
    with pytest.raises(Refusal, match="forked") as e:
        me.sign(request(same, 3))
    assert e.value.status == 409
    assert me.last("example.org/log").checkpoint.size == 3


def test_a_rollback_is_refused(tmp_path, log_key, me, grow):
    folder = tmp_path / "log"
    grow(folder, log_key, "a", "b")
    shutil.copytree(folder, tmp_path / "old")
    me.sign(request(grow(folder, log_key, "c"), 0))
    old = LedgerReader(tmp_path / "old")
    with pytest.raises(InputError, match="rolled back"):
        request(old, 3)
    with pytest.raises(Refusal) as e:
        me.sign(request(old, 2))
    assert e.value.status == 409


def test_forgeries_are_refused(tmp_path, log_key, me, grow):
    reader = grow(tmp_path / "log", log_key, "a")
    keys.new_key("rogue", "ledger", "example.org/log")
    rogue = grow(tmp_path / "rogue", keys.signer("rogue", "ledger"), "a")
    with pytest.raises(Refusal) as e:
        me.sign(request(rogue, 0))
    assert e.value.status == 403
    keys.new_key("other", "ledger", "example.org/other")
    with pytest.raises(Refusal) as e:
        me.sign(request(grow(tmp_path / "other", keys.signer("other", "ledger"), "a"), 0))
    assert e.value.status == 404
    with pytest.raises(OptionError, match="never replaced"):
        me.watch(keys.signer("rogue", "ledger").verifier)
    good = request(reader, 0)
    for bad in (
        b"",
        b"old x\n\n",
        good.replace(b"old 0", b"old 9"),
        good[:-9] + b"AAAAAAA=\n",
        b"old 0\nxx\n" + good[6:],
    ):
        with pytest.raises(Refusal) as e:
            me.sign(bad)
        assert e.value.status in (400, 403, 409)
    assert me.last("example.org/log") is None


def test_over_http(tmp_path, log_key, me, grow):
    reader = grow(tmp_path / "log", log_key, "a", "b")
    with serve(me) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            assert ask(url, reader, me.key.verifier)
            reader = grow(tmp_path / "log", log_key, "c")
            assert ask(url, reader, me.key.verifier)  # does not know that 2 were signed; is told, and proves it
            fork = grow(tmp_path / "fork", log_key, *"xyzw")
            with pytest.raises(Refusal, match="422"):
                ask(url, fork, me.key.verifier)
            short = grow(tmp_path / "short", log_key, "a")
            with pytest.raises(InputError, match="rolled back"):
                ask(url, short, me.key.verifier)
            with pytest.raises(ReceiptError, match="a signature"):
                ask(url, reader, VerifierKey("another", 4, bytes(32)))
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(InputError, match="cannot be reached"):
        ask(url, reader, me.key.verifier)
    with pytest.raises(OptionError, match="http"):
        ask("file:///etc/passwd", reader, me.key.verifier)


def test_a_name_that_no_file_of_keys_could_hold_makes_no_key(tmp_path):
    with pytest.raises(OptionError, match="at most 255 bytes, got 256"):
        keys.new_key("long", "ledger", "ä" * 128)
    assert "long" not in [k.name for k in keys.list_keys()]
    assert not list(tmp_path.rglob("long"))
    assert keys.new_key("short", "ledger", "ä" * 127 + "x").public.startswith("ä")
