"""RFC 3161 time stamps by an authority on this machine: OpenSSL's."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tratto.core.errors import MissingExtra, ReceiptError
from tratto.ledger import Ledger, keys, timestamp
from tratto.ledger.tiles import LedgerReader
from tratto.provenance import notary
from tratto.provenance.trust import Trust
from tratto.provenance.verify import verify

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")

CONFIG = """
[req]
distinguished_name = dn
[dn]
[tsa_ext]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
ess_cert_id_chain = no
"""


def openssl(folder, *line):
    subprocess.run([OPENSSL, *line], cwd=folder, check=True, capture_output=True)


def authority(folder):
    folder.mkdir()
    (folder / "c.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    new = ("req", "-config", "c.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    openssl(folder, *new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Root")
    openssl(folder, *new[:-2], "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=Clock")
    openssl(folder, "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", "c.cnf", "-extensions", "tsa_ext", "-days", "30", "-out", "tsa.pem")  # fmt: skip
    return folder


def answer(folder, query):
    (folder / "q.tsq").write_bytes(query)
    line = ["-queryfile", "q.tsq", "-signer", "tsa.pem", "-inkey", "tsa.key", "-out", "a.tsr"]
    openssl(folder, "ts", "-reply", "-config", "c.cnf", *line)
    return (folder / "a.tsr").read_bytes()


@pytest.fixture
def log(tmp_path, log_key):
    folder = tmp_path / "log"
    with Ledger.create(folder, log_key) as ledger:
        ledger.append([b"a"])
    return folder


def test_a_stamp_is_made_checked_and_travels_with_the_bundle(tmp_path, log, make_bundle):
    made = make_bundle()
    notary.record(log, [made.bundle])
    checkpoint = LedgerReader(log).checkpoint
    tsa = authority(tmp_path / "tsa")
    root = (tsa / "ca.pem").read_bytes()
    stamp = answer(tsa, timestamp.request(checkpoint))
    when = timestamp.accept(log, checkpoint, stamp, root)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=5)
    notary.record(log, [made.bundle])  # the proof is made again, with the stamp
    verdict = verify(made.output, deep=False, trust=Trust(stamp_anchors=root))
    assert verdict.word == "authentic"
    assert f"an authority you trust stamped this state of the ledger at {when.isoformat()}" in verdict.reasons
    assert any("time-stamp authority" in r for r in verify(made.output, deep=False).reasons)
    (made.bundle / "ledger.json").unlink()
    verdict = verify(made.output, deep=False, trust=Trust(stamp_anchors=root))
    assert (verdict.word, verdict.reasons[0]) == ("unknown", "no time stamp on it is under a root that you named")
    notary.record(log, [made.bundle])
    other = authority(tmp_path / "other")
    verdict = verify(made.output, deep=False, trust=Trust(stamp_anchors=(other / "ca.pem").read_bytes()))
    assert (verdict.word, verdict.reasons[0]) == ("unknown", "no time stamp on it is under a root that you named")
    assert any("authority under" in r for r in verdict.reasons)


def test_stamps_that_are_not_right(tmp_path, log):
    old = LedgerReader(log).checkpoint
    tsa = authority(tmp_path / "tsa")
    root = (tsa / "ca.pem").read_bytes()
    stamp = answer(tsa, timestamp.request(old))
    with Ledger.open(log, keys.signer("log", "ledger")) as ledger:
        ledger.append([b"b"])
        with pytest.raises(ReceiptError, match="not right"):
            timestamp.check(stamp, ledger.checkpoint, root)  # of another state
    with pytest.raises(ReceiptError, match="time-stamp response"):
        timestamp.check(b"nothing", old, root)
    missed = 0
    for at in range(0, len(stamp), 3):
        try:
            timestamp.check(stamp[:at] + bytes([stamp[at] ^ 1]) + stamp[at + 1 :], old, root)
            missed += 1
        except (ReceiptError, OverflowError):
            continue
    # bits outside what the authority signed: the status around it, and its unsigned certificates
    assert missed < 0.35 * len(stamp) / 3
    assert timestamp.check(stamp, old, root)


def test_without_the_extra(log, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(MissingExtra, match=r"tratto\[timestamp\]"):
        timestamp.request(LedgerReader(log).checkpoint)
