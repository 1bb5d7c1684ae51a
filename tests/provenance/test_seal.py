import hashlib
import os

import pytest

from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts, hash_file, read_limited
from tratto.provenance.seal import build_seal, read_seal

A, B, C = (FileFacts.of(x) for x in (b"a", b"bb", b"ccc"))


def test_round_trip():
    data = canonical.dumps(build_seal(A, B, {"edit-map.png": C}))
    assert read_seal(data) == (A, B, {"edit-map.png": C})


def broken(change):
    seal = build_seal(A, B, {"edit-map.png": C})
    change(seal)
    return canonical.dumps(seal)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"schema":"tratto/seal/1"}',
        canonical.dumps(build_seal(A, B, {})) + b" ",
        broken(lambda s: s.update(schema="tratto/seal/2")),
        broken(lambda s: s.update(more=1)),
        broken(lambda s: s.update(files=[])),
        broken(lambda s: s["output"].update(bytes=-1)),
        broken(lambda s: s["output"].update(bytes=True)),
        broken(lambda s: s["output"].update(bytes=1.5)),
        broken(lambda s: s["output"].update(sha256="A" * 64)),
        broken(lambda s: s["output"].update(sha256=None)),
        broken(lambda s: s["files"].update(x={"sha256": "0" * 64})),
        broken(lambda s: s.update(output="x")),
    ],
)
def test_malformed_seals_are_refused(data):
    with pytest.raises(ReceiptError):
        read_seal(data)


def test_hash_file(tmp_path):
    path = tmp_path / "x"
    content = os.urandom(3_000_000)
    path.write_bytes(content)
    copy = []
    assert hash_file(path, copy.append) == FileFacts(hashlib.sha256(content).hexdigest(), 3_000_000)
    assert b"".join(copy) == content
    with pytest.raises(ReceiptError, match="than the stated"):
        hash_file(path, limit=2_999_999)


def test_links_folders_pipes_and_missing_files(tmp_path):
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    assert hash_file(tmp_path / "link") == FileFacts.of(b"x")
    for name, message in (
        ("link", "symbolic link"),
        (".", "not a plain file|cannot be read"),
        ("pipe", "plain file"),
        ("none", "No such"),
    ):
        with pytest.raises(ReceiptError, match=message):
            hash_file(tmp_path / name, links=False)


def test_read_limited(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    assert read_limited(tmp_path / "x", 5) == b"12345"
    with pytest.raises(ReceiptError, match="4 bytes"):
        read_limited(tmp_path / "x", 4)
