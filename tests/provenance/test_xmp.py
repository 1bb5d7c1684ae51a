"""XMP written into results, read again by Pillow (with defusedxml), tifffile and by hand."""

from dataclasses import replace

import defusedxml.ElementTree as Safe
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil

import tratto
from tratto.core.errors import ReceiptError
from tratto.core.image import ColorMode, Image, Metadata
from tratto.imaging.io import read_image, write_image
from tratto.jobs import SaveOptions, Session
from tratto.provenance import xmp
from tratto.provenance.bundle import read_bundle
from tratto.provenance.verify import verify
from tratto.tasks.restore import RestoreOptions

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
MM = "{http://ns.adobe.com/xap/1.0/mm/}"
EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
DC = "{http://purl.org/dc/elements/1.1/}"

OWN = b"""<?xpacket begin='\xef\xbb\xbf' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <r:Description r:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:m="http://ns.adobe.com/xap/1.0/mm/"
  xmlns:e="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
  xmlns:i="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" m:DocumentID="xmp.did:1" m:InstanceID="xmp.iid:old"
  i:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture">
  <dc:creator><r:Seq><r:li>J. Caf\xc3\xa9 &amp; Co.</r:li></r:Seq></dc:creator>
  <m:History><r:Seq>
   <r:li e:action="created" e:when="1999-01-01T00:00:00Z"/>
   <r:li r:parseType="Resource"><e:action>saved</e:action></r:li>
  </r:Seq></m:History>
 </r:Description></r:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def noisy(xmp_packet=None, size=(40, 48), seed=0, mode="rgb"):
    rng = np.random.default_rng(seed)
    shape = size if mode == "gray" else (*size, 3)
    pixels = np.clip(120 + rng.normal(0, 20, shape), 0, 255).astype(np.uint8)
    return Image(pixels, ColorMode(mode), meta=Metadata(xmp=xmp_packet))


def saved(tmp_path, image, fmt="png", **save):
    source = tmp_path / "in.png"
    write_image(image, source, "png")
    session = Session(forensic=save.pop("forensic", False))
    result = session.restore(source, RestoreOptions(force=True, provider=save.pop("provider", "nlm")))
    ending = {"png": ".png", "tiff": ".tif", "jpeg": ".jpg", "webp": ".webp", "bmp": ".bmp"}[fmt]
    out = tmp_path / f"out{ending}"
    return session.save(result, out, SaveOptions(format=fmt, **save), source, overwrite=True), result


def packet_of(path):
    """Return the packet as readers other than ours find it."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as f:
            return f.pages[0].tags[700].value
    with Pil.open(path) as picture:
        if path.suffix == ".png":
            return picture.info["XML:com.adobe.xmp"].encode()
        return picture.info["xmp"]


def descriptions(packet):
    root = Safe.fromstring(packet.decode("utf-8-sig").strip("\0 \n"), forbid_dtd=True)
    return [*root.iter(f"{RDF}Description")]


def one(packet, name):
    found = [d.get(name) for d in descriptions(packet) if d.get(name) is not None]
    found += [c.text for d in descriptions(packet) for c in d if c.tag == name]
    assert len(found) == 1, (name, found)
    return found[0]


def history(packet):
    found = [c for d in descriptions(packet) for c in d if c.tag == f"{MM}History"]
    assert len(found) == 1
    events = []
    for item in found[0].find(f"{RDF}Seq"):
        fields = {k: v for k, v in item.attrib.items() if k.startswith(EVENT)} | {c.tag: c.text for c in item}
        events.append({k.removeprefix(EVENT): v for k, v in fields.items()})
    return events


@pytest.mark.parametrize("fmt", ["png", "tiff", "jpeg", "webp"])
def test_every_format_carries_the_marks_and_the_packet_of_the_source(tmp_path, fmt):
    done, result = saved(tmp_path, noisy(OWN), fmt)
    packet = packet_of(done.output)
    assert one(packet, f"{EXT}DigitalSourceType") == xmp.ENHANCED
    events = history(packet)
    assert [e["action"] for e in events] == ["created", "saved", "edited"]
    assert events[0] == {"action": "created", "when": "1999-01-01T00:00:00Z"}
    assert events[2] == {
        "action": "edited",
        "changed": "/content",
        "softwareAgent": f"Tratto {tratto.__version__}",
        "parameters": "denoise by nlm; does not invent detail",
        "instanceID": one(packet, f"{MM}InstanceID"),
    }
    assert one(packet, f"{MM}DocumentID") == "xmp.did:1"
    assert [li.text for d in descriptions(packet) for li in d.iterfind(f"{DC}creator/{RDF}Seq/{RDF}li")] == [
        "J. Café & Co."
    ]
    assert result.receipt["claim"]["status"] == one(packet, "{urn:tratto:xmp:1/}Status")
    verdict = verify(done.output)
    assert verdict.word == "authentic"
    assert "the XMP of the picture" in " ".join(verdict.reasons)


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "tiff"])
def test_pillow_understands_it(tmp_path, fmt):
    done, _ = saved(tmp_path, noisy(), fmt)
    with Pil.open(done.output) as picture:
        told = picture.getxmp()["xmpmeta"]["RDF"]["Description"]
    assert told["DigitalSourceType"] == xmp.ENHANCED
    assert told["History"]["Seq"]["li"]["action"] == "edited"


def test_a_network_that_invents_nothing_is_no_generative_one(tmp_path):
    done, result = saved(tmp_path, noisy(), provider="auto", forensic=True)
    assert result.records[0].models
    assert not result.records[0].generative
    packet = packet_of(done.output)
    assert one(packet, f"{EXT}DigitalSourceType") == xmp.ENHANCED
    assert xmp.doubts(packet) == "", "our own work that invented nothing casts no doubt on what is made of it"
    report = (done.bundle / "report.html").read_text()
    assert "algorithmicallyEnhanced" in report
    assert "TrainedAlgorithmicMedia" not in report
    assert f"model {result.records[0].models[0].id}" in history(packet)[0]["parameters"]


def test_what_needed_nothing_is_not_marked(tmp_path):
    picture = tmp_path / "in.png"
    smooth = np.repeat(np.linspace(30, 220, 64).astype(np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    write_image(Image(smooth, ColorMode.RGB, meta=Metadata(xmp=OWN)), picture, "png")
    session = Session()
    result = session.restore(picture)
    assert not result.records
    session.save(result, tmp_path / "out.png", source=picture)
    assert packet_of(tmp_path / "out.png") == packet_of(picture)


def test_stripping_takes_the_source_s_words_and_leaves_the_marks(tmp_path):
    done, _ = saved(tmp_path, noisy(OWN), keep_original=False, strip_metadata=True)
    data = done.output.read_bytes()
    for word in (b"Caf", b"1999-01-01", b"xmp.did:1", b"digitalCapture", b"creator"):
        assert word not in data
    assert one(packet_of(done.output), f"{EXT}DigitalSourceType") == xmp.ENHANCED
    assert [e["action"] for e in history(packet_of(done.output))] == ["edited"]


def test_the_same_work_gives_the_same_bytes(tmp_path):
    first = saved(tmp_path, noisy(OWN))[0].output.read_bytes()
    assert saved(tmp_path, noisy(OWN))[0].output.read_bytes() == first


def test_a_second_job_appends_and_keeps_its_predecessor_s_events(tmp_path):
    done, _ = saved(tmp_path, noisy(OWN))
    session = Session()
    again = session.restore(done.output, RestoreOptions(force=True, provider="nlm"))
    session.save(again, tmp_path / "again.png", source=done.output)
    packet = packet_of(tmp_path / "again.png")
    assert [e["action"] for e in history(packet)] == ["created", "saved", "edited", "edited"]
    assert len({e.get("instanceID") for e in history(packet)[2:]}) == 2
    assert verify(tmp_path / "again.png").word == "authentic"


def receipt(generative=False, status="evidence-based restoration", stamp=None, models=()):
    step = {
        "step": "denoise",
        "provider": "nlm",
        "models": [{"id": m} for m in models],
        "generative": generative,
        "output_digest": "ab" * 32,
    }
    return {
        "tool": {"version": "0.2.0"},
        "steps": [step],
        "claim": {"status": status, "stamp": stamp},
        "outputs": {"picture": {"samples_sha256": "cd" * 32}},
    }


MADE_UP = receipt(True, "hypothetical reconstruction", "not for examination", ["net"])


def test_what_was_invented_stays_invented():
    packet, note = xmp.marked(None, MADE_UP)
    assert note == ""
    told = xmp.read_marks(packet)
    assert (told.source_type, told.status, told.stamp) == (
        xmp.MADE_UP,
        "hypothetical reconstruction",
        "not for examination",
    )
    assert told.history[0]["parameters"] == "denoise by nlm; model net; may invent detail; not for examination"
    later = xmp.read_marks(xmp.marked(packet, receipt())[0])
    assert (later.source_type, later.stamp) == (xmp.MADE_UP, "not for examination")
    assert later.status == "evidence-based restoration"
    assert "not for examination" in xmp.doubts(packet)


@pytest.mark.parametrize(
    ("step", "generative", "models", "kind"),
    [
        ("denoise", False, ["net"], xmp.ENHANCED),
        ("upscale", False, ["net"], xmp.ENHANCED),
        ("upscale", True, ["gan"], xmp.MADE_UP),
        ("inpaint", True, [], xmp.MADE_UP),
        ("inpaint", True, ["filler"], xmp.MADE_UP),
        ("repaint", True, [], xmp.ENHANCED),  # another colour for what is there
        ("describe", False, ["reader"], xmp.ENHANCED),
    ],
)
def test_what_each_kind_of_work_is_called(step, generative, models, kind):
    did = receipt(generative, models=models)
    did["steps"][0]["step"] = step
    assert xmp.source_type(did) == xmp.step_source_type(did["steps"][0]) == kind
    assert xmp.read_marks(xmp.marked(OWN, did)[0]).source_type == kind


def test_a_source_that_says_it_was_generated_goes_on_saying_so():
    kind = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    packet = OWN.replace(b"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture", kind.encode())
    assert xmp.read_marks(xmp.marked(packet, receipt())[0]).source_type == kind
    assert "trainedAlgorithmicMedia" in xmp.doubts(packet)
    assert xmp.doubts(OWN) == ""


def test_a_source_with_a_doubt_is_noted_in_the_receipt(tmp_path):
    packet, _ = xmp.marked(None, MADE_UP)
    done, result = saved(tmp_path, noisy(packet))
    assert any("not for examination" in w for w in result.receipt["warnings"])
    assert verify(done.output).word == "authentic"


def test_what_contradicts_the_receipt_is_found():
    packet, _ = xmp.marked(OWN, MADE_UP)
    assert xmp.contradicts(packet, MADE_UP) == ""
    assert xmp.contradicts(None, MADE_UP) == ""
    assert "another claim" in xmp.contradicts(packet, receipt())
    denied = packet.replace(b"compositeWithTrainedAlgorithmicMedia", b"algorithmicallyEnhanced")
    honest = {**MADE_UP, "claim": MADE_UP["claim"]}
    assert "digital source type" in xmp.contradicts(denied, honest)
    assert "history" in xmp.contradicts(packet.replace(b"may invent detail; ", b""), MADE_UP)
    assert "another claim" in xmp.contradicts(packet.replace(b"not for examination</tratto", b"fine</tratto"), MADE_UP)
    with pytest.raises(ReceiptError):
        xmp.contradicts(b"<", MADE_UP)


def test_a_forged_claim_in_the_picture_is_altered(tmp_path, make_bundle):
    """The picture of a bundle that was remade whole, with a lie in its XMP alone."""
    from tratto.core import canonical
    from tratto.core.hashing import FileFacts, hash_file
    from tratto.provenance.seal import build_seal

    done, _ = saved(tmp_path, noisy(), provider="auto")
    bundle = read_bundle(done.bundle)
    image = read_image(done.output)
    lie = image.meta.xmp.replace(b"algorithmicallyEnhanced", b"minorHumanEdits")
    write_image(image.replace(meta=replace(image.meta, xmp=lie)), done.output, "png")
    facts = hash_file(done.output)
    forged = canonical.loads(bundle.receipt_bytes)
    forged["outputs"]["picture"]["file"] |= facts.to_json()
    data = canonical.dumps(forged)
    page = (done.bundle / "report.html").read_text()
    page = page.replace(bundle.sealed_output.sha256, facts.sha256).replace(
        bundle.sealed_receipt.sha256, FileFacts.of(data).sha256
    )
    (done.bundle / "report.html").write_text(page, newline="\n")
    (done.bundle / "receipt.json").write_bytes(data)
    files = {n: hash_file(done.bundle / n) for n in bundle.sealed_files}
    (done.bundle / "seal.json").write_bytes(canonical.dumps(build_seal(FileFacts.of(data), facts, files, "")))
    verdict = verify(done.output)
    assert verdict.word == "altered"
    assert verdict.reasons == (
        "the XMP of the picture names another digital source type than follows from the receipt",
    )


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&c;</x:xmpmeta>'
)
OUTSIDE = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&f;</x:xmpmeta>'
DEEP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</x:xmpmeta>"
WIDE = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a/>" * 100_001 + b"</x:xmpmeta>"


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        (BOMB.decode().encode("utf-16"), "document type"),
        (b'<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><x:xmpmeta xmlns:x="adobe:ns:meta/"/>', "document type"),
        (DEEP, "nested deeper"),
        (WIDE, "nodes"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>&nothing;</x:xmpmeta>", "well-formed"),
        (b"<html/>", "not XMP"),
        (b"no xml at all", "well-formed"),
        (b"\xff\xfe\x00\xd8\x00\x00", "not text"),
        (b"\x80\x81", "not text"),
        (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>\0</x:xmpmeta>", "well-formed"),
    ],
)
def test_hostile_packets_are_refused_and_replaced(packet, why):
    with pytest.raises(ReceiptError, match=why):
        xmp.read_marks(packet)
    fresh, note = xmp.marked(packet, receipt())
    assert why in note
    assert one(fresh, f"{EXT}DigitalSourceType") == xmp.ENHANCED
    assert xmp.doubts(packet) == ""


def test_a_hostile_packet_is_told_when_a_result_is_saved(tmp_path):
    done, _ = saved(tmp_path, noisy(BOMB))
    assert any("XMP of the source" in w for w in done.warnings)
    assert b"DOCTYPE" not in packet_of(done.output)
    assert verify(done.output).word == "authentic"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_encoding_of_xmp_is_read(encoding):
    packet = OWN.decode("utf-8").replace("\ufeff", "").encode(encoding) + b"\0" * 7
    assert xmp.read_marks(packet).history[0]["action"] == "created"
    fresh, note = xmp.marked(packet, receipt())
    assert note == ""
    assert [e["action"] for e in history(fresh)] == ["created", "saved", "edited"]


def test_a_bare_rdf_and_an_empty_packet_are_filled():
    bare = b"<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>"
    for packet in (bare, b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", b"", None):
        fresh, note = xmp.marked(packet, receipt())
        assert note == ""
        assert one(fresh, f"{EXT}DigitalSourceType") == xmp.ENHANCED
        assert fresh.startswith(b"<?xpacket begin='\xef\xbb\xbf'")
        assert fresh.endswith(b"<?xpacket end='w'?>")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(0, len(OWN)), st.integers(0, 40))
def test_whatever_comes_the_marks_are_there(junk, at, gone):
    for packet in (junk, OWN[:at] + junk[:20] + OWN[at + gone :]):
        fresh, _ = xmp.marked(packet, receipt())
        told = xmp.read_marks(fresh)
        assert told.status == "evidence-based restoration"
        assert told.history[-1]["parameters"] == "denoise by nlm; does not invent detail"


def test_jpeg_says_what_it_cannot_hold(tmp_path):
    big = OWN.replace(b"J. Caf\xc3\xa9", b"x" * 64000)
    with pytest.raises(tratto.TrattoError, match=r"JPEG .*PNG or TIFF"):
        saved(tmp_path, noisy(big), "jpeg")
    done, _ = saved(tmp_path, noisy(big), "tiff")
    assert b"x" * 64000 in packet_of(done.output)


def test_signing_leaves_the_marks(tmp_path, monkeypatch):
    pytest.importorskip("c2pa")
    from tratto.ledger import keys
    from tratto.provenance import notary

    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))
    keys.new_key("me", "identity")
    source = tmp_path / "in.png"
    write_image(noisy(OWN), source, "png")
    session = Session(notary=notary.Notary(keys.identity("me")))
    result = session.restore(source, RestoreOptions(force=True, provider="nlm"))
    for name in ("a.png", "a.jpg", "a.tif", "a.webp"):
        done = session.save(result, tmp_path / "signed" / name, source=source, overwrite=True)
        assert [e["action"] for e in history(packet_of(done.output))] == ["created", "saved", "edited"], name
        assert verify(done.output).word == "authentic"
