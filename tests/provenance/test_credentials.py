"""Content credentials: what is signed in, who counts as trusted, and that reading calls nobody."""

import hashlib
import io
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import c2pa
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image as Pil

from tratto.core import canonical
from tratto.core.errors import MissingExtra, OptionError
from tratto.ledger import keys
from tratto.ledger.keys import Identity, Subject, certificate
from tratto.provenance import credentials
from tratto.provenance.trust import Trust
from tratto.provenance.verify import verify

NOW = datetime.now(UTC).replace(microsecond=0)


def pki(name="studio", usage=None, span=(-1, 30), organisation="Example Archive"):
    """An identity under a root of its own, and that root."""
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    days = (NOW + timedelta(days=span[0]), NOW + timedelta(days=span[1]))
    root_days = (NOW - timedelta(days=900), NOW + timedelta(days=900))
    root = certificate(
        Subject(f"{name} root", root_key.public_key(), root_days, ca=True, organisation=organisation), None, root_key
    )
    leaf = certificate(
        Subject(name, leaf_key.public_key(), days, usage=usage, organisation=organisation), root, root_key
    )
    pem = [c.public_bytes(Encoding.PEM) for c in (leaf, root)]
    private = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(name, private, b"".join(pem), "es256", False), pem[1]


@pytest.fixture(scope="module")
def studio():
    return pki()


@pytest.fixture
def test_identity(key_folder):
    keys.new_key("me", "identity")
    return keys.identity("me")


def store(path, media="image/png", anchors=b""):
    settings = c2pa.Context.from_dict(credentials._settings(anchors))
    with settings as context, open(path, "rb") as f, c2pa.Reader(media, f, None, context) as reader:
        return json.loads(reader.json())


def maps_in(path):
    """Yield title and bytes of the maps inside a picture's credentials."""
    library = credentials.need_library()
    with library.Reader(path) as reader:
        found = json.loads(reader.json())
        for ingredient in found["manifests"][found["active_manifest"]]["ingredients"]:
            if "data" in ingredient:
                out = io.BytesIO()
                reader.resource_to_stream(ingredient["data"]["identifier"], out)
                yield ingredient["title"], out.getvalue()


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "photo.tif", "photo.webp"])
def test_every_format_is_signed_and_keeps_its_samples(make_bundle, studio, name):
    identity, root = studio
    plain = make_bundle(name=f"plain.{name[6:]}")
    signed = make_bundle(name=name, save={"identity": identity})
    if not name.endswith("jpg"):
        assert np.array_equal(np.asarray(Pil.open(plain.output)), np.asarray(Pil.open(signed.output)))
    stated = signed.receipt["outputs"]["picture"]["file"]
    fmt = stated["format"]
    assert signed.output.stat().st_size > stated["bytes"]
    told = credentials.read(signed.output, fmt, root)
    assert (told.state, told.signer, told.test, told.problems) == ("trusted", "studio", False, ())
    assert told.receipt == (signed.bundle / "receipt.json").read_bytes() == canonical.dumps(signed.receipt)
    inside = dict(maps_in(signed.output))
    assert inside == {
        "Tratto edit map": (signed.bundle / "edit-map.png").read_bytes(),
        "Tratto confidence map": (signed.bundle / "confidence.png").read_bytes(),
    }
    verdict = verify(signed.output, trust=Trust(anchors=root))
    assert verdict.word == "authentic", verdict.reasons
    assert "signed by studio" in " ".join(verdict.reasons)
    assert verify(plain.output).word == "authentic"
    assert any(r.startswith("unsigned:") for r in verify(plain.output).reasons)
    # a reader who asks for a signature does not get an authentic without one
    assert verify(plain.output, trust=Trust(anchors=root)).word == "unknown"


def test_what_is_written(make_bundle, studio):
    identity, _ = studio
    made = make_bundle(save={"identity": identity})
    found = store(made.output)
    manifest = found["manifests"][found["active_manifest"]]
    ours = {a["label"]: a for a in manifest["assertions"]}
    assert set(ours) == {"c2pa.actions.v2", "org.tratto.receipt", "c2pa.ai-disclosure"}
    assert all(a.get("created") is True for a in ours.values())
    parents = [i for i in manifest["ingredients"] if i["relationship"] == "parentOf"]
    assert [p["title"] for p in parents] == ["original"]
    actions = ours["c2pa.actions.v2"]["data"]
    assert actions["allActionsIncluded"] is True
    assert [a["action"] for a in actions["actions"]] == ["c2pa.opened", "c2pa.edited"]
    assert actions["actions"][0]["parameters"]["ingredients"][0]["url"].endswith(parents[0]["label"])
    edited = actions["actions"][1]
    assert edited["digitalSourceType"].endswith("/algorithmicallyEnhanced")
    assert edited["parameters"]["org.tratto.generative"] is False
    assert edited["parameters"]["org.tratto.models"] == ["mean-3"]
    assert ours["c2pa.ai-disclosure"]["data"]["modelName"] == "mean-3"
    assert manifest["claim_generator_info"][0]["name"] == "Tratto"
    text = json.dumps(manifest)
    assert made.input.name not in text
    assert "photo" not in text


def test_the_report_tells_the_hash_of_the_signed_file(make_bundle, studio):
    signed, plain = make_bundle(save={"identity": studio[0]}), make_bundle(name="plain.png")
    text = (signed.bundle / "report.html").read_text()
    final = hashlib.sha256(signed.output.read_bytes()).hexdigest()
    assert text.count(final) == 2  # in the commands and in the table
    assert "content credentials" in text
    assert "is unsigned" in (plain.bundle / "report.html").read_text()
    assert plain.receipt["outputs"]["picture"]["file"]["sha256"] in (plain.bundle / "report.html").read_text()


def account(edits, mask=None):
    return credentials.SignedClaim({}, b"", (None, None), edits, mask)


def test_regions_are_those_of_the_mask_else_of_the_edit_map():
    edits = np.zeros((40, 60), np.uint16)
    assert credentials.regions(account(edits)) == []
    edits[4:10, 6:30] = 5
    edits[20, 50] = 1
    (one,) = credentials.regions(account(edits))
    assert one["shape"]["origin"] == {"x": 6, "y": 4}
    assert (one["shape"]["width"], one["shape"]["height"]) == (45, 17)
    mask = np.zeros((20, 30), np.float32)
    mask[2:5, 3:15] = 1
    mask[10, 25] = 0.1
    two = credentials.regions(account(edits, mask))
    assert [(r["shape"]["origin"], r["shape"]["width"], r["shape"]["height"]) for r in two] == [
        ({"x": 6, "y": 4}, 24, 6),
        ({"x": 50, "y": 20}, 2, 2),
    ]


# ------------------------------------------------------------------------------------------------------------- whom


def test_a_test_identity_is_never_trusted(make_bundle, test_identity, tmp_path):
    made = make_bundle(save={"identity": test_identity})
    own_root = (tmp_path / "keys/me/anchor.pem").read_bytes()
    verdict = verify(made.output)
    assert verdict.word == "authentic"
    assert any("signed by me" in r for r in verdict.reasons)
    verdict = verify(made.output, trust=Trust(anchors=own_root))
    assert verdict.word == "unknown"
    assert "test identity" in verdict.reasons[0]


def test_a_rogue_root_is_not_trusted(make_bundle, studio):
    rogue, _ = pki()  # the same names, another root
    made = make_bundle(save={"identity": rogue})
    told = credentials.read(made.output, "png", studio[1])
    assert (told.state, told.problems) == ("untrusted", ("signingCredential.untrusted",))
    verdict = verify(made.output, trust=Trust(anchors=studio[1]))
    assert verdict.word == "unknown"
    assert "root certificate" in verdict.reasons[0]


def test_without_roots_nobody_is_trusted(make_bundle, studio):
    made = make_bundle(save={"identity": studio[0]})
    assert credentials.read(made.output, "png").state == "untrusted"


def test_a_certificate_for_another_use_cannot_sign(make_bundle):
    wrong, _ = pki(usage=("1.3.6.1.5.5.7.3.1",))  # a web server's
    with pytest.raises(OptionError, match="cannot be signed"):
        make_bundle(save={"identity": wrong})
    none, _ = pki(usage=())
    with pytest.raises(OptionError, match="cannot be signed"):
        make_bundle(name="b.png", save={"identity": none})


def test_an_expired_certificate_cannot_sign(make_bundle):
    expired, _ = pki(span=(-30, -2))
    with pytest.raises(OptionError, match="cannot be signed"):
        make_bundle(save={"identity": expired})


def test_a_certificate_that_expires_later_is_no_longer_trusted(make_result, tmp_path, studio):
    """There is no time stamp inside, so nothing shows that it was signed in time."""
    result, source = make_result()
    told = credentials.SignedClaim(result.receipt, canonical.dumps(result.receipt), (source, source), result.edit_map)
    credentials.sign(source, tmp_path / "warm.png", "png", told, studio[0])  # loads the library
    until = datetime.now(UTC) + timedelta(seconds=3)
    brief, root = pki(span=(-1, (until - NOW).total_seconds() / 86400))
    credentials.sign(source, tmp_path / "out.png", "png", told, brief)
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()) + 1.1)
    found = credentials.read(tmp_path / "out.png", "png", root)
    assert (found.state, "signingCredential.expired" in found.problems) == ("untrusted", True)
    verdict = verify(tmp_path / "out.png", trust=Trust(anchors=root))
    assert (verdict.word, any("has expired" in r for r in verdict.reasons)) == ("unknown", True)


def test_who_cannot_sign_is_told_before_any_work(studio):
    from tratto.provenance.notary import Notary

    Notary(studio[0]).check()
    for wrong, _ in (pki(span=(-30, -2)), pki(usage=("1.3.6.1.5.5.7.3.1",))):
        with pytest.raises(OptionError, match="--sign none"):
            Notary(wrong).check()


def test_two_signatures_are_never_alike_but_the_samples_are(make_bundle, studio):
    a, b = (make_bundle(name=n, save={"identity": studio[0]}) for n in ("a.png", "b.png"))
    assert a.output.read_bytes() != b.output.read_bytes()
    assert a.receipt["outputs"]["picture"] == b.receipt["outputs"]["picture"]


# ----------------------------------------------------------------------------------------------------------- damage


def test_a_picture_alone(make_bundle, studio, tmp_path):
    made = make_bundle(save={"identity": studio[0]})
    alone = tmp_path / "alone.png"
    shutil.copy(made.output, alone)
    assert verify(alone).word == "unknown"
    assert verify(alone, trust=Trust(anchors=studio[1])).word == "authentic"
    Pil.open(alone).save(tmp_path / "again.png")
    verdict = verify(tmp_path / "again.png", trust=Trust(anchors=studio[1]))
    assert (verdict.word, verdict.reasons[0]) == ("unknown", "it bears no content credentials")
    data = bytearray(alone.read_bytes())
    at = data.rindex(b"IDAT") + 40
    data[at] ^= 1
    alone.write_bytes(data)
    assert verify(alone, trust=Trust(anchors=studio[1])).word == "altered"


def test_flips_that_the_library_misses_are_found_with_the_bundle(make_bundle, studio):
    """Fact 1: some bits of a manifest are padding. Alone, they go unnoticed; the seal covers them."""
    made = make_bundle(save={"identity": studio[0]})
    data = made.output.read_bytes()
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(300):
        at, bit = int(rng.integers(len(data))), int(rng.integers(8))
        made.output.write_bytes(bytes([*data[:at], data[at] ^ (1 << bit), *data[at + 1 :]]))
        assert verify(made.output, deep=False).word == "altered"
        missed += credentials.read(made.output, "png", studio[1]).state == "trusted"
    made.output.write_bytes(data)
    assert 0 < missed < 290
    assert verify(made.output).word == "authentic"


def chunks(data):
    at, out = 8, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big") + 12
        out.append(data[at : at + size])
        at += size
    return out


def test_a_spliced_manifest_is_found(make_bundle, studio, tmp_path):
    one = make_bundle(name="one.png", save={"identity": studio[0]})
    other = tmp_path / "other.png"
    Pil.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(other)
    (manifest,) = [c for c in chunks(one.output.read_bytes()) if c[4:8] == b"caBX"]
    data = other.read_bytes()
    head, *rest = chunks(data)
    other.write_bytes(data[:8] + head + manifest + b"".join(rest))
    verdict = verify(other, trust=Trust(anchors=studio[1]))
    assert verdict.word == "altered"
    assert "assertion.dataHash.mismatch" in verdict.reasons[0]


def test_a_signed_picture_with_another_bundle_is_found(make_bundle, studio):
    """Everything is sealed consistently, but the credentials are about another receipt."""
    one = make_bundle(name="one.png", save={"identity": studio[0]})
    two = make_bundle(name="two.png", save={"identity": studio[0]}, notes=("another",))
    assert (one.bundle / "receipt.json").read_bytes() != (two.bundle / "receipt.json").read_bytes()
    shutil.copy(two.output, one.output)
    seal = json.loads((one.bundle / "seal.json").read_bytes())
    seal["output"] = json.loads((two.bundle / "seal.json").read_bytes())["output"]
    (one.bundle / "seal.json").write_bytes(canonical.dumps(seal))
    verdict = verify(one.output)
    assert verdict.word == "altered"
    assert "another receipt" in verdict.reasons[0]


def test_stripped_credentials_are_missed(make_bundle, studio):
    made = make_bundle(save={"identity": studio[0]})
    data = made.output.read_bytes()
    stripped = data[:8] + b"".join(c for c in chunks(data) if c[4:8] != b"caBX")
    assert len(stripped) == made.receipt["outputs"]["picture"]["file"]["bytes"]  # signing had only added this chunk
    made.output.write_bytes(stripped)
    seal = json.loads((made.bundle / "seal.json").read_bytes())
    stated = made.receipt["outputs"]["picture"]["file"]
    seal["output"] = {"sha256": stated["sha256"], "bytes": stated["bytes"]}
    (made.bundle / "seal.json").write_bytes(canonical.dumps(seal))
    verdict = verify(made.output)
    assert (verdict.word, "missing from" in verdict.reasons[0]) == ("altered", True)
    # who also takes the word out of the seal still has a report that speaks of a signed file
    del seal["credentials"]
    (made.bundle / "seal.json").write_bytes(canonical.dumps(seal))
    verdict = verify(made.output)
    assert (verdict.word, verdict.reasons[0].startswith("report.html is not what follows")) == ("altered", True)


def test_a_sealed_picture_must_not_differ_without_credentials(make_bundle):
    made = make_bundle()
    seal = json.loads((made.bundle / "seal.json").read_bytes())
    made.output.write_bytes(made.output.read_bytes() + b"tail")
    from tratto.core.hashing import hash_file

    seal["output"] = hash_file(made.output).to_json()
    (made.bundle / "seal.json").write_bytes(canonical.dumps(seal))
    assert "name different files" in verify(made.output).reasons[0]


# ---------------------------------------------------------------------------------------------------------- network


@pytest.fixture
def listener():
    """A loop-back server that counts who knocks."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        stop = threading.Event()

        def listen():
            while not stop.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                seen.append(address)
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa", seen
        stop.set()
        thread.join()


def with_remote_manifest(path, url, identity):
    with c2pa.Context.from_dict(credentials._settings(b"")) as context:
        definition = {"claim_generator_info": [{"name": "x", "version": "1"}], "format": "image/png", "assertions": []}
        with c2pa.Builder.from_json(definition, context) as builder:
            builder.set_remote_url(url)
            builder.set_no_embed()
            builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.DIGITAL_CREATION)
            info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain_pem, identity.private_pem, None)
            plain = path.with_name("plain.png")
            Pil.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(plain)
            with c2pa.Signer.from_info(info) as signer, open(plain, "rb") as src, open(path, "w+b") as dst:
                builder.sign(signer, "image/png", src, dst)
    assert url.encode() in path.read_bytes()


def test_reading_calls_nobody(tmp_path, studio, listener):
    url, seen = listener
    path = tmp_path / "hostile.png"
    with_remote_manifest(path, url, studio[0])
    verdict = verify(path, trust=Trust(anchors=studio[1]))
    assert (verdict.word, "nothing was fetched" in verdict.reasons[0]) == ("unknown", True)
    assert credentials.read(path, "png", studio[1]).state == "elsewhere"
    assert seen == []


def test_the_library_would_have_called(tmp_path, studio, listener):
    """The control: with its own settings the library knocks, so that the test above can fail."""
    url, seen = listener
    path = tmp_path / "hostile.png"
    with_remote_manifest(path, url, studio[0])
    with c2pa.Context() as context, open(path, "rb") as f, pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/png", f, None, context)
    assert len(seen) >= 1


def test_signing_a_result_of_a_hostile_original_calls_nobody(make_result, tmp_path, studio, listener):
    url, seen = listener
    result, source = make_result()
    hostile = tmp_path / "hostile.png"
    with_remote_manifest(hostile, url, studio[0])
    maps = (tmp_path / "a.png", tmp_path / "b.png")
    for m in maps:
        Pil.fromarray(np.zeros((4, 4), np.uint8)).save(m)
    data = canonical.dumps(result.receipt)
    told = credentials.SignedClaim(result.receipt, data, maps, result.edit_map, None, hostile)
    credentials.sign(source, tmp_path / "out.png", "png", told, studio[0])
    assert credentials.read(tmp_path / "out.png", "png", studio[1]).state == "trusted"
    assert seen == []


# ----------------------------------------------------------------------------------------------------- other formats


def test_a_format_that_carries_none_gets_a_file_beside_it(make_result, tmp_path, studio):
    from tratto.provenance.bundle import BundleParts, write_bundle

    result, source = make_result()
    folder = tmp_path / "out"
    folder.mkdir()
    part = folder / "part"
    Pil.fromarray(np.asarray(result.image.pixels)).save(part, "bmp")
    parts = BundleParts(
        result=result, written=part, output=folder / "x.bmp", output_format="bmp", original=source,
        original_name=source.name, identity=studio[0],
    )  # fmt: skip
    write_bundle(parts)
    verdict = verify(folder / "x.bmp", trust=Trust(anchors=studio[1]))
    assert verdict.word == "authentic", verdict.reasons
    assert "signed by studio" in " ".join(verdict.reasons)
    sidecar = folder / "x.tratto/credentials.c2pa"
    assert credentials.read(folder / "x.bmp", "bmp", studio[1], sidecar.read_bytes()).state == "trusted"
    data = (folder / "x.bmp").read_bytes()
    (folder / "x.bmp").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert credentials.read(folder / "x.bmp", "bmp", studio[1], sidecar.read_bytes()).state == "broken"


def test_an_array_has_no_file_but_still_a_parent(make_result, tmp_path, studio):
    result, source = make_result()
    maps = (source, source)
    told = credentials.SignedClaim(result.receipt, canonical.dumps(result.receipt), maps, result.edit_map)
    credentials.sign(source, tmp_path / "out.png", "png", told, studio[0])
    found = store(tmp_path / "out.png")
    ingredients = found["manifests"][found["active_manifest"]]["ingredients"]
    assert [i["relationship"] for i in ingredients].count("parentOf") == 1
    assert credentials.read(tmp_path / "out.png", "png", studio[1]).state == "trusted"


def test_without_the_extra_everything_else_works(make_bundle, studio, monkeypatch):
    made = make_bundle(save={"identity": studio[0]})
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tratto\[c2pa\]'"):
        credentials.need_library()
    verdict = verify(made.output)
    assert verdict.word == "authentic"
    assert any("not checked" in r for r in verdict.reasons)
    assert verify(made.output, trust=Trust(anchors=studio[1])).word == "unknown"


def test_verify_needs_no_network_at_all(make_bundle, studio, tmp_path):
    """In a process whose sockets are taken away, verify says the same."""
    made = make_bundle(save={"identity": studio[0]})
    (tmp_path / "root.pem").write_bytes(studio[1])
    code = f"""
import socket, sys
def no(*a, **k): raise AssertionError("network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = no
from pathlib import Path
from tratto.provenance.trust import Trust
from tratto.provenance.verify import verify
v = verify({str(made.output)!r}, trust=Trust(anchors=Path({str(tmp_path / "root.pem")!r}).read_bytes()))
assert v.word == "authentic", v
"""
    line = [sys.executable, "-c", code]
    if shutil.which("unshare") and subprocess.run(["unshare", "-rn", "true"], check=False).returncode == 0:
        line = ["unshare", "-rn", *line]  # a network name space without any interface
    subprocess.run(line, check=True)


LOADS = """
import sys
from pathlib import Path
here = Path.cwd()
{how}
import c2pa.c2pa
print(str(here) in Path("/proc/self/maps").read_text(), Path.cwd() == here)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc for what was loaded")
@pytest.mark.parametrize("below", ["", "libs", "artifacts"])
def test_machine_code_in_the_current_folder_is_not_run(tmp_path, below):
    """A shared library of the name that the c2pa library looks for lies beside the pictures."""
    import _ctypes

    (tmp_path / below).mkdir(exist_ok=True)
    shutil.copy(_ctypes.__file__, tmp_path / below / "libc2pa_c.so")  # some library that can be loaded

    def run(how):
        line = [sys.executable, "-c", LOADS.format(how=how)]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)

    ours = run("from tratto.provenance.credentials import need_library; need_library()")
    assert ours.stdout == "False True\n", ours.stderr
    # the library alone is taken in: it loads what lies there, and then it may or may not notice
    assert run("").stdout != "False True\n"
