"""Statements of a source's XMP that do not hold for a result."""

import pytest

from tratto.provenance import xmp

HEAD = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<r:Description r:about='' xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' "
    "xmlns:c='http://ns.google.com/photos/1.0/container/' xmlns:g='http://ns.google.com/photos/1.0/camera/' "
    "xmlns:dcterms='http://purl.org/dc/terms/' xmlns:tiff='http://ns.adobe.com/tiff/1.0/' "
    "xmlns:exif='http://ns.adobe.com/exif/1.0/' xmlns:p='http://ns.google.com/photos/1.0/panorama/' "
    "xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:dc='http://purl.org/dc/elements/1.1/' "
    "xmlns:n='http://ns.adobe.com/xmp/note/' "
)
TAIL = "</r:Description></r:RDF></x:xmpmeta>"


def packet(attributes="", inside=""):
    return f"{HEAD}{attributes}>{inside}{TAIL}".encode()


@pytest.mark.parametrize(
    ("attributes", "inside", "word"),
    [
        ("hdrgm:Version='1.0'", "", "hdrgm:Version"),
        ("", "<hdrgm:GainMapMax>1</hdrgm:GainMapMax>", "hdrgm:GainMapMax"),
        ("", "<c:Directory><r:Seq><r:li>1</r:li></r:Seq></c:Directory>", "Directory"),
        ("g:MotionPhotoVersion='1' g:MicroVideoOffset='77'", "", "MotionPhoto"),
        ("dcterms:provenance='https://example.org/m'", "", "provenance="),
        ("", "<dcterms:provenance r:resource='https://example.org/m'/>", "provenance r:resource"),
    ],
)
def test_what_lies_beside_the_picture_is_announced_no_more(attributes, inside, word):
    given = packet(f"dc:format='image/jpeg' {attributes}", inside)
    assert word.encode() in given
    after, taken = xmp.cleaned(given, xmp.Worked(10, 10))
    assert taken
    assert word.encode() not in after
    assert b"image/jpeg" in after


def test_what_shows_it_as_it_was_goes_only_where_it_changed():
    given = packet("", "<xmp:Thumbnails><r:Alt><r:li>/9j/4AAQ</r:li></r:Alt></xmp:Thumbnails>")
    assert xmp.cleaned(given, xmp.Worked(10, 10)) == (given, [])
    after, taken = xmp.cleaned(given, xmp.Worked(10, 10, changed=True))
    assert taken == ["a thumbnail"]
    assert b"/9j/4AAQ" not in after


def test_sizes_follow_an_enlargement():
    given = packet(
        "tiff:ImageWidth='160' exif:PixelXDimension='160' p:FullPanoWidthPixels='400'",
        "<tiff:ImageLength>120</tiff:ImageLength><exif:FocalPlaneXResolution>3000/7</exif:FocalPlaneXResolution>",
    )
    after, taken = xmp.cleaned(given, xmp.Worked(320, 240, 2, changed=True))
    assert taken == []
    for word in (b'ImageWidth="320"', b'PixelXDimension="320"', b'WidthPixels="800"', b">240<", b">6000/7<"):
        assert word in after, word
    assert xmp.cleaned(given, xmp.Worked(160, 120, 1, changed=True)) == (given, [])


def test_extended_xmp_is_named_only_where_it_goes_along():
    given = packet("n:HasExtendedXMP='0123456789ABCDEF0123456789ABCDEF'")
    assert b"HasExtendedXMP" not in xmp.cleaned(given, xmp.Worked(1, 1, extended=True))[0]
    assert xmp.cleaned(given, xmp.Worked(1, 1)) == (given, [])


@pytest.mark.parametrize("given", [None, b"", b"<", b"\xff\xfe", packet()[:-9], b"<!DOCTYPE a><a/>"])
def test_what_cannot_be_read_comes_back(given):
    assert xmp.cleaned(given, xmp.Worked(1, 1, 2, True, True)) == (given, [])
