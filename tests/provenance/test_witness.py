"""Signed notes, witnesses, proofs in bundles: forks, rollbacks and forgeries are refused."""

import json
import shutil
import threading

import pytest

from tratto.core.errors import InputError, OptionError, ReceiptError
from tratto.provenance import canonical, keys, notary, standalone
from tratto.provenance.ledger import Ledger
from tratto.provenance.note import Checkpoint, Note, VerifierKey, cosign, read_cosignatures, read_note, sign
from tratto.provenance.proof import entry_of, read_proof
from tratto.provenance.tiles import LedgerReader
from tratto.provenance.trust import Trust
from tratto.provenance.verify import verify
from tratto.provenance.witness import Refusal, Witness, ask, request, serve


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))


@pytest.fixture
def log_key():
    keys.new_key("log", "ledger", "example.org/log")
    return keys.signer("log", "ledger")


@pytest.fixture
def me(tmp_path, log_key):
    keys.new_key("eye", "witness", "example.net/eye")
    one = Witness(tmp_path / "state", keys.signer("eye", "witness"), clock=lambda: 1_700_000_000.9)
    one.watch(log_key.verifier)
    return one


def grow(folder, key, *entries):
    opened = Ledger.open(folder, key) if folder.exists() else Ledger.create(folder, key)
    with opened as log:
        log.append([e.encode() for e in entries])
    return LedgerReader(folder, key.verifier)


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
    with pytest.raises(OptionError, match="cannot sign as a ledger"):
        sign(checkpoint, me.key)
    with pytest.raises(OptionError, match="cannot sign as a witness"):
        cosign(checkpoint, log_key, 1)
    with pytest.raises(OptionError, match="not the key of a witness"):
        Witness(me.folder, log_key)
    with pytest.raises(OptionError, match="not the key of a ledger"):
        me.watch(me.key.verifier)
    with pytest.raises(OptionError, match="the key of a ledger"):
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


def test_a_growing_ledger_is_signed(tmp_path, log_key, me):
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


def test_a_fork_is_refused(tmp_path, log_key, me):
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


def test_a_rollback_is_refused(tmp_path, log_key, me):
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


def test_forgeries_are_refused(tmp_path, log_key, me):
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


def test_over_http(tmp_path, log_key, me):
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
            with pytest.raises(ReceiptError, match="does not hold a signature"):
                ask(url, reader, VerifierKey("another", 4, bytes(32)))
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(InputError, match="cannot be reached"):
        ask(url, reader, me.key.verifier)
    with pytest.raises(OptionError, match="http"):
        ask("file:///etc/passwd", reader, me.key.verifier)


# ------------------------------------------------------------------------------------------------- proofs in bundles


def test_a_bundle_and_its_ledger(make_bundle, tmp_path, log_key, me):
    made = [make_bundle(name=n) for n in ("a.png", "b.png")]
    folder = tmp_path / "log"
    Ledger.create(folder, log_key).close()
    assert [p.index for p in notary.record(folder, [m.output for m in made])] == [0, 1]
    assert [p.index for p in notary.record(folder, [m.bundle for m in made])] == [0, 1]  # once each
    assert LedgerReader(folder).size == 2
    assert notary.Notary(ledger=folder).complete(made[0].bundle) is None
    trust = Trust((log_key.verifier,), folder)
    verdict = verify(made[1].output, trust=trust)
    assert verdict.word == "authentic", verdict.reasons
    assert "the ledger example.org/log holds it as entry 1 of 2" in verdict.reasons
    assert any("you trust its key" in r for r in verdict.reasons)
    assert any("not one you named" in r for r in verify(made[1].output).reasons)
    origin, index, size, output = standalone.check_bundle(str(made[1].bundle), log_key.verifier.text())
    assert (origin, index, size) == ("example.org/log", 1, 2)
    assert output == made[1].receipt["outputs"]["picture"]["file"]["sha256"]

    # with a witness's signature
    note = LedgerReader(folder)
    answer = me.sign(request(note, 0))
    with Ledger.open(folder, log_key) as log:
        notary.name_witness(folder, me.key.verifier)
        log.add_signatures([answer])
    notary.record(folder, [made[0].bundle])
    trust = Trust((log_key.verifier, me.key.verifier), folder)
    verdict = verify(made[0].output, trust=trust)
    assert any("whose key you trust, signed this state at 2023-11-14T22:13:20+00:00" in r for r in verdict.reasons)
    assert standalone.check_bundle(str(made[0].bundle))[1] == 0
    # the signature holds until the ledger grows, also when it is opened and closed
    Ledger.open(folder, log_key).close()
    assert LedgerReader(folder).note.signed_by(me.key.verifier)


def test_every_bit_of_the_proof_counts(make_bundle, tmp_path, log_key, me):
    made = make_bundle()
    folder = tmp_path / "log"
    with Ledger.create(folder, log_key) as log:
        log.append([b"before"])
    notary.record(folder, [made.bundle])
    answer = me.sign(request(LedgerReader(folder), 0))
    with Ledger.open(folder, log_key) as log:
        notary.name_witness(folder, me.key.verifier)
        log.add_signatures([answer])
    notary.record(folder, [made.bundle])
    path = made.bundle / "ledger.json"
    data, entry = path.read_bytes(), entry_of(made.bundle)
    read_proof(data).check(entry)
    for at in range(len(data)):
        for bit in range(8):
            try:
                read_proof(bytes([*data[:at], data[at] ^ (1 << bit), *data[at + 1 :]])).check(entry)
            except ReceiptError:
                continue
            pytest.fail(f"bit {bit} of byte {at} changed unnoticed")
    path.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    assert verify(made.output, deep=False).word == "altered"
    assert notary.Notary(ledger=folder).complete(made.bundle).index == 1  # and is made again
    assert verify(made.output, deep=False).word == "authentic"


def test_a_ledger_that_was_rolled_back_or_forked_shows(make_bundle, tmp_path, log_key):
    made = make_bundle()
    folder = tmp_path / "log"
    with Ledger.create(folder, log_key) as log:
        log.append([b"a", b"b"])
    shutil.copytree(folder, tmp_path / "old")
    notary.record(folder, [made.bundle])
    assert verify(made.output, deep=False, trust=Trust(ledger=folder)).word == "authentic"
    verdict = verify(made.output, deep=False, trust=Trust(ledger=tmp_path / "old"))
    assert (verdict.word, "rolled back" in verdict.reasons[0]) == ("altered", True)
    fork = grow(tmp_path / "fork", log_key, *"abcd")
    assert fork.size == 4
    verdict = verify(made.output, deep=False, trust=Trust(ledger=tmp_path / "fork"))
    assert (verdict.word, "forked" in verdict.reasons[0]) == ("altered", True)
    keys.new_key("rogue", "ledger", "example.org/log")
    rogue = keys.signer("rogue", "ledger").verifier
    verdict = verify(made.output, deep=False, trust=Trust((rogue,), folder))
    assert (verdict.word, "another key than those you named" in verdict.reasons[0]) == ("altered", True)


def test_whoever_the_reader_names_must_vouch(make_bundle, tmp_path, log_key, me):
    made = make_bundle()
    keys.new_key("forger", "ledger", "example.org/log")
    forger = keys.signer("forger", "ledger")
    for name, key in (("theirs", forger), ("ours", log_key)):
        Ledger.create(tmp_path / name, key).close()
    notary.record(tmp_path / "theirs", [made.output])

    def said(*named, ledger=None):
        verdict = verify(made.output, deep=False, trust=Trust(named, ledger))
        return verdict.word, verdict.exit_code, verdict.reasons[0]

    # a consistent bundle with a proof of somebody's own ledger of the same name: right in itself, and worth nothing
    assert said()[0] == "authentic"
    assert said(forger.verifier)[0] == "authentic"
    assert said(log_key.verifier) == ("unknown", 10, "no ledger whose key you named is shown to hold it")
    assert said(ledger=tmp_path / "ours") == ("unknown", 10, "the ledger you named is not shown to hold it")
    nobody = "no witness whose key you named is shown to have signed a ledger that holds it"
    assert said(forger.verifier, me.key.verifier) == ("unknown", 10, nobody)
    # one of several ledgers is enough
    assert said(log_key.verifier, forger.verifier)[0] == "authentic"
    # the witness's signature under the ledger at hand counts, too
    answer = me.sign(request(LedgerReader(tmp_path / "ours"), 0))
    with Ledger.open(tmp_path / "ours", log_key) as log:
        log.add_signatures([answer])
    assert said(me.key.verifier, ledger=tmp_path / "ours")[2] == "the ledger you named is not shown to hold it"
    notary.record(tmp_path / "ours", [made.output])
    assert said(log_key.verifier)[0] == "authentic"
    assert said(log_key.verifier, me.key.verifier) == ("unknown", 10, nobody)
    answer = me.sign(request(LedgerReader(tmp_path / "ours"), 0))
    with Ledger.open(tmp_path / "ours", log_key) as log:
        log.add_signatures([answer])
    assert said(log_key.verifier, me.key.verifier)[0] == "unknown"  # the proof in the bundle is older
    assert said(log_key.verifier, me.key.verifier, ledger=tmp_path / "ours")[0] == "authentic"


def test_a_name_that_no_file_of_keys_could_hold_makes_no_key(tmp_path):
    with pytest.raises(OptionError, match="at most 255 bytes, got 256"):
        keys.new_key("long", "ledger", "ä" * 128)
    assert "long" not in [k.name for k in keys.list_keys()]
    assert not list(tmp_path.rglob("long"))
    assert keys.new_key("short", "ledger", "ä" * 127 + "x").public.startswith("ä")


@pytest.mark.parametrize("field", ["anchors", "stamp_anchors"])
@pytest.mark.parametrize(
    "pem",
    [
        b"\xff\xd8\xff\xe0 a picture",
        b"\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_roots_that_are_none_are_a_mistake_of_the_reader(field, pem):
    with pytest.raises(InputError, match="certificate in"):
        Trust(**{field: pem})


def test_what_the_ledger_does_not_know(make_bundle, tmp_path, log_key, me):
    made = make_bundle()
    folder = tmp_path / "log"
    Ledger.create(folder, log_key).close()
    trust = Trust(ledger=folder)
    assert any("knows nothing of this bundle" in r for r in verify(made.output, deep=False, trust=trust).reasons)
    lone = tmp_path / "lone.png"
    shutil.copy(made.output, lone)
    assert verify(lone, trust=trust).word == "unknown"
    notary.record(folder, [made.bundle])
    verdict = verify(lone, trust=trust)
    assert (verdict.word, "entry 0" in verdict.reasons[0]) == ("authentic", True)
    watched = Trust((me.key.verifier,), folder)
    verdict = verify(lone, trust=watched)
    assert (verdict.word, "no witness whose key you named" in verdict.reasons[0]) == ("unknown", True)
    answer = me.sign(request(LedgerReader(folder), 0))
    with Ledger.open(folder, log_key) as log:
        log.add_signatures([answer])
    assert verify(lone, trust=watched).word == "authentic"
    lone.write_bytes(lone.read_bytes() + b" ")
    assert verify(lone, trust=trust).word == "unknown"
    receipt = tmp_path / "receipt.json"
    shutil.copy(made.bundle / "receipt.json", receipt)
    verdict = verify(receipt, trust=trust)
    assert verdict.word == "unknown"  # its picture is not at hand
    assert "it is byte by byte the receipt of entry 0 in the ledger example.org/log" in verdict.reasons


def test_an_altered_bundle_is_not_recorded(make_bundle, tmp_path, log_key):
    made = make_bundle()
    folder = tmp_path / "log"
    Ledger.create(folder, log_key).close()
    (made.bundle / "report.html").write_text("other")
    with pytest.raises(ReceiptError, match="nothing was recorded"):
        notary.record(folder, [made.bundle])
    assert LedgerReader(folder).size == 0


def test_a_proof_of_another_bundle_is_refused(make_bundle, tmp_path, log_key):
    a, b = (make_bundle(name=n) for n in ("a.png", "b.png"))
    folder = tmp_path / "log"
    Ledger.create(folder, log_key).close()
    notary.record(folder, [a.bundle, b.bundle])
    seal = json.loads((a.bundle / "seal.json").read_bytes())
    shutil.copy(b.bundle / "ledger.json", a.bundle / "ledger.json")
    if entry_of(a.bundle) == entry_of(b.bundle):
        pytest.skip("the two seals happen to be equal")
    assert "does not lead" in verify(a.output, deep=False).reasons[0]
    # and a bundle that is sealed anew has no proof any more
    shutil.copy(b.bundle / "ledger.json", a.bundle / "ledger.json")
    (a.bundle / "seal.json").write_bytes(canonical.dumps(seal))
    assert verify(a.output, deep=False).word == "altered"
