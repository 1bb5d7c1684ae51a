import json
import shutil

import pytest

from tratto.core import canonical
from tratto.core.errors import InputError, ReceiptError
from tratto.ledger import Ledger, keys
from tratto.ledger.proof import read_proof
from tratto.ledger.tiles import LedgerReader
from tratto.ledger.witness import request
from tratto.provenance import notary, standalone
from tratto.provenance.seal import entry_of
from tratto.provenance.trust import Trust
from tratto.provenance.verify import verify

pytestmark = pytest.mark.usefixtures("key_folder")


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
    assert "entry 1 of 2" in " ".join(verdict.reasons)
    assert any("trust its key" in r for r in verdict.reasons)
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
    assert any("2023-11-14T22:13:20+00:00" in r for r in verdict.reasons)
    assert standalone.check_bundle(str(made[0].bundle))[1] == 0
    # the signature holds until the ledger grows, also when it is opened and closed
    Ledger.open(folder, log_key).close()
    assert LedgerReader(folder).note.signed_by(me.key.verifier)


def test_the_stand_alone_check_of_a_bundle_without_ledger_and_of_its_picture(make_bundle, capsys):
    made = make_bundle()
    assert standalone.main(["bundle", str(made.bundle)]) == 10
    assert capsys.readouterr().out.startswith("UNKNOWN")
    made.output.write_bytes(made.output.read_bytes() + b"x")
    assert standalone.main(["bundle", str(made.bundle)]) == 9
    assert made.output.name in capsys.readouterr().out
    made.output.unlink()
    assert standalone.main(["bundle", str(made.bundle)]) == 10


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


def test_a_ledger_that_was_rolled_back_or_forked_shows(make_bundle, tmp_path, log_key, grow):
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
    assert (verdict.word, "another key" in verdict.reasons[0]) == ("altered", True)


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
    assert any("knows nothing" in r for r in verify(made.output, deep=False, trust=trust).reasons)
    lone = tmp_path / "lone.png"
    shutil.copy(made.output, lone)
    assert verify(lone, trust=trust).word == "unknown"
    notary.record(folder, [made.bundle])
    verdict = verify(lone, trust=trust)
    assert (verdict.word, "entry 0" in verdict.reasons[0]) == ("authentic", True)
    watched = Trust((me.key.verifier,), folder)
    verdict = verify(lone, trust=watched)
    assert (verdict.word, "no witness" in verdict.reasons[0]) == ("unknown", True)
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
    assert "entry 0 in the ledger" in " ".join(verdict.reasons)


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
