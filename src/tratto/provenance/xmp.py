"""XMP: what a picture says of itself to programs that know nothing of Tratto.

Written into every result that a step has changed: ``Iptc4xmpExt:DigitalSourceType`` (IPTC Photo Metadata 2023.2),
``xmpMM:History`` and ``xmpMM:InstanceID`` (ISO 16684-1, XMP part 1 and 2), and the claim and its stamp in a name space
of Tratto. All of it follows from the receipt, holds no time and no name, and so is the same for the same work. What the
source's own packet held stays, its history too.

Packets come from anybody. One that declares a document type, and with it every kind of entity, is refused before
anything is expanded; so is one that is nested or branched beyond reason.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from tratto.core.errors import ReceiptError
from tratto.provenance.receipt import EXISTING, main_output

if TYPE_CHECKING:
    from xml.dom.minidom import Document, Element

    from tratto.core.image import Image

_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
#: What was made of the pixels, in the words of IPTC's controlled vocabulary: parts were put in that the source does not
#: hold ("Edited using Generative AI" to those who show it), or what it holds was estimated better. A network that
#: invents nothing belongs to the second kind.
MADE_UP, ENHANCED = f"{_SOURCE}compositeWithTrainedAlgorithmicMedia", f"{_SOURCE}algorithmicallyEnhanced"
#: Steps that show what never was, and yet put in no content: they calculate another colour for what is there.
_RECOLOURS = frozenset({"repaint"})
#: Steps that put in a face, and the words that say so in the history; those who read it need not know the steps.
_FACES = frozenset({"reface"})
SYNTHETIC = "synthetic face"
#: What a source may say of itself that no later work takes back: parts of it, or all, were never in front of a camera.
_NO_CAMERA = frozenset(
    _SOURCE + name
    for name in (
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "compositeSynthetic",
        "algorithmicMedia",
        "virtualRecording",
        "digitalCreation",
        "dataDrivenMedia",
    )
)

_META = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_MM = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_OWN = "urn:tratto:xmp:1/"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_PREFIXES = {
    "rdf": _RDF,
    "Iptc4xmpExt": _IPTC_EXT,
    "xmpMM": _MM,
    "stEvt": _EVENT,
    "tratto": _OWN,
}
_BEGIN = "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>\n"
_END = "\n<?xpacket end='w'?>"

_MAX_DEPTH, _MAX_NODES = 64, 100_000


@dataclass(frozen=True)
class Marks:
    """What a packet says of the work on its picture.

    Attributes
    ----------
    source_type : str
        IPTC digital source type; empty: none.
    history : tuple of dict
        The events of ``xmpMM:History``, each by the names of its fields.
    status, stamp : str
        The claim of the receipt and its stamp, as Tratto wrote them; empty: none.
    """

    source_type: str = ""
    history: tuple[Mapping[str, str], ...] = ()
    status: str = ""
    stamp: str = ""


def source_type(receipt: Mapping[str, Any]) -> str:
    """Return the IPTC digital source type that a receipt's steps give a picture; empty if nothing was done."""
    if not receipt["steps"]:
        return ""
    return MADE_UP if any(step_source_type(s) == MADE_UP for s in receipt["steps"]) else ENHANCED


def synthetic(receipt: Mapping[str, Any]) -> bool:
    """Return whether a receipt's steps put in a face that was never there."""
    return any(s["step"] in _FACES for s in receipt["steps"])


def step_source_type(step: Mapping[str, Any]) -> str:
    """Return the IPTC digital source type of what one step of a receipt did.

    Parameters
    ----------
    step : mapping
        An entry of the receipt's ``steps``.

    Returns
    -------
    str
        :data:`MADE_UP` for filled holes and for providers that may invent detail, else :data:`ENHANCED`.

    Examples
    --------
    >>> step_source_type({"step": "denoise", "generative": False}).rpartition("/")[2]
    'algorithmicallyEnhanced'
    """
    return MADE_UP if step["generative"] and step["step"] not in _RECOLOURS else ENHANCED


def events(receipt: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what ``xmpMM:History`` gets: one event for each step, without times."""
    agent = f"Tratto {receipt['tool']['version']}"
    out = []
    for step in receipt["steps"]:
        words = [step["step"] + (f" by {step['provider']}" if step["provider"] else "")]
        words += [f"model {m['id']}" for m in step["models"]]
        words.append("may invent detail" if step["generative"] else "does not invent detail")
        if step["generative"]:
            words.append("not for examination")
        if step["step"] in _FACES:
            words.append(SYNTHETIC)
        out.append(
            {
                "action": "edited",
                "instanceID": _instance(step["output_digest"] or main_output(receipt)["samples_sha256"]),
                "softwareAgent": agent,
                "changed": "/content",
                "parameters": "; ".join(words),
            }
        )
    return out


def _worked(receipt: Mapping[str, Any]) -> bool:
    """Return whether a step changed anything, or may have; what holds the source's samples was not worked on."""
    return bool(receipt["steps"]) and receipt["claim"]["status"] != EXISTING


def mark(image: Image, receipt: Mapping[str, Any]) -> tuple[Image, str]:
    """Return a picture whose XMP says what was done to it.

    Parameters
    ----------
    image : Image
        With the packet of its source, if there was one.
    receipt : mapping
        Of the result; says which steps worked.

    Returns
    -------
    image : Image
        The same one if no step changed anything.
    note : str
        What a user should know: that the source's packet could not be kept; empty otherwise.
    """
    if not _worked(receipt):
        return image, ""
    packet, note = marked(image.meta.xmp, receipt)
    return image.replace(meta=replace(image.meta, xmp=packet)), note


def marked(packet: bytes | None, receipt: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return a packet that says what was done, with all that the source's packet says of other things.

    Parameters
    ----------
    packet : bytes or None
        The source's.
    receipt : mapping
        With at least one step.

    Returns
    -------
    packet : bytes
        UTF-8.
    note : str
        Why the source's packet was not kept; empty if it was.
    """
    if not packet:
        return _with_marks(b"", receipt), ""
    try:
        whole = _with_marks(packet, receipt)
        # what cannot be read back as it was meant would be called a contradiction by whoever checks the result
        wrong = contradicts(whole, receipt)
    except ReceiptError as e:
        wrong = str(e)
    if not wrong:
        return whole, ""
    note = f"the XMP of the source is left out of the result: {wrong}; the original keeps it"
    return _with_marks(b"", receipt), note


def _with_marks(packet: bytes, receipt: Mapping[str, Any]) -> bytes:
    document = _document(packet)
    rdf = _rdf(document)
    before = _read(rdf)
    kept = before.source_type if before.source_type in _NO_CAMERA else source_type(receipt)
    if synthetic(receipt) and kept != f"{_SOURCE}trainedAlgorithmicMedia":
        kept = MADE_UP  # whatever else the source was, a face was put in
    history = _take_history(rdf)
    for space, name in (
        (_IPTC_EXT, "DigitalSourceType"),
        (_MM, "InstanceID"),
        (_OWN, "Status"),
        (_OWN, "Stamp"),
    ):
        _remove(rdf, space, name)
    about = next((d.getAttributeNS(_RDF, "about") for d in _descriptions(rdf)), "")
    ours = document.createElementNS(_RDF, f"{_prefix(rdf, _RDF)}:Description")
    ours.setAttributeNS(_RDF, f"{_prefix(rdf, _RDF)}:about", about)
    for prefix, space in _PREFIXES.items():
        ours.setAttributeNS(_XMLNS, f"xmlns:{prefix}", space)
    rdf.appendChild(ours)
    _property(ours, "Iptc4xmpExt:DigitalSourceType", kept)
    _property(ours, "xmpMM:InstanceID", _instance(main_output(receipt)["samples_sha256"]))
    _property(ours, "tratto:Status", receipt["claim"]["status"])
    stamp = receipt["claim"]["stamp"] or before.stamp  # what was invented before stays invented
    if stamp:
        _property(ours, "tratto:Stamp", stamp)
    sequence = _child(_child(ours, "xmpMM:History"), "rdf:Seq")
    for item in history:
        sequence.appendChild(item)
    for event in events(receipt):
        item = _child(sequence, "rdf:li")
        item.setAttributeNS(_RDF, "rdf:parseType", "Resource")
        for name, value in event.items():
            _property(item, f"stEvt:{name}", value)
    return _written(document)


def read_marks(packet: bytes | None) -> Marks:
    """Read what a packet says of the work on its picture.

    Raises
    ------
    ReceiptError
        If it cannot be read, or is made to harm.
    """
    return Marks() if not packet else _read(_rdf(_document(packet)))


#: What is said of a source whose own history holds a step that may have invented detail.
STEP_BEFORE = "the source says of itself that a step before may have invented detail: not for examination"


def doubts(packet: bytes | None) -> str:
    """Return what a source says of itself that an examiner must know: that parts of it were made up; empty if nothing.

    Parameters
    ----------
    packet : bytes or None
        From anybody; one that cannot be read says nothing.
    """
    try:
        said = read_marks(packet)
    except ReceiptError:
        return ""
    if any(SYNTHETIC in e.get("parameters", "") for e in said.history):
        return "the source says of itself that it shows a synthetic face: not for examination"
    if said.stamp or any("not for examination" in e.get("parameters", "") for e in said.history):
        return STEP_BEFORE
    if said.source_type in _NO_CAMERA:
        return (
            f"the source says of itself that it was made or changed by machine ({said.source_type.rpartition('/')[2]})"
        )
    return ""


def contradicts(packet: bytes | None, receipt: Mapping[str, Any]) -> str:
    """Return how a picture's packet contradicts its receipt; empty if it does not, or says nothing.

    Raises
    ------
    ReceiptError
        If it cannot be read, so that it neither agrees nor contradicts.
    """
    if not _worked(receipt):
        return ""
    said = read_marks(packet)
    claim = receipt["claim"]
    if said.status and (said.status != claim["status"] or (claim["stamp"] and said.stamp != claim["stamp"])):
        return "the XMP of the picture makes another claim than the receipt"
    if said.status and said.source_type not in (source_type(receipt), *_NO_CAMERA):
        return "the XMP of the picture names another digital source type than follows from the receipt"
    ours = events(receipt)
    if said.status and list(said.history[-len(ours) :]) != ours:
        return "the history in the XMP of the picture does not end with the steps of the receipt"
    return ""


def _instance(digest: str) -> str:
    """Return an instance ID that follows from samples, in the form that XMP asks for."""
    return f"xmp.iid:{uuid.UUID(bytes=bytes.fromhex(digest)[:16], version=5)}"


# ------------------------------------------------------------------------------------------------ what no longer holds

_XMP = "http://ns.adobe.com/xap/1.0/"
_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_PANO = "http://ns.google.com/photos/1.0/panorama/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_NOTE = "http://ns.adobe.com/xmp/note/"
#: Name spaces whose every property speaks of a gain map beside the picture, which no result carries.
_GAIN = ("http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/")
#: Properties that speak of what lies behind or beside the picture: a name ending in ``*`` stands for all that begin so.
_BESIDE = (
    ("http://ns.google.com/photos/1.0/container/", "Directory", "further pictures in the file"),
    (_CAMERA, "MotionPhoto*", "a film in the file"),
    (_CAMERA, "MicroVideo*", "a film in the file"),
    ("http://purl.org/dc/terms/", "provenance", "content credentials at some address"),
)
#: Properties that show the picture as it was.
_SHOWN = (
    (_XMP, "Thumbnails", "a thumbnail"),
    ("http://ns.google.com/photos/1.0/image/", "*", "a picture as it was"),
    ("http://ns.google.com/photos/1.0/depthmap/", "*", "a depth map"),
)
_SIZES = (
    ((_TIFF, "ImageWidth"), (_TIFF, "ImageLength")),
    ((_EXIF, "PixelXDimension"), (_EXIF, "PixelYDimension")),
)
_GROWING = ((_PANO, "*Pixels"), (_EXIF, "FocalPlaneXResolution"), (_EXIF, "FocalPlaneYResolution"))


@dataclass(frozen=True)
class Worked:
    """What became of a picture, as far as its XMP has to follow.

    Attributes
    ----------
    width, height, scale : int
        Of the result, and by how much it was enlarged.
    changed : bool
        True if a step changed it, so that what shows it as it was is stale.
    extended : bool
        True if its extended XMP is not carried on.
    """

    width: int
    height: int
    scale: int = 1
    changed: bool = False
    extended: bool = False


def cleaned(packet: bytes | None, worked: Worked) -> tuple[bytes | None, list[str]]:
    """Return a packet without statements that do not hold for a result, and what was taken out of it.

    Parameters
    ----------
    packet : bytes or None
        From anybody; one that cannot be read is returned as it is.
    worked : Worked
        What was done: whether samples changed, and the size of the result.

    Returns
    -------
    bytes or None
        Byte by byte the same where nothing had to go.
    list of str
        In words.
    """
    if not packet:
        return packet, []
    try:
        document = _document(packet)
        rdf = _rdf(document)
    except ReceiptError:
        return packet, []
    before = document.toxml()
    taken: list[str] = []
    rules = [*((space, "*", "a gain map") for space in _GAIN), *_BESIDE, *(_SHOWN if worked.changed else ())]
    if worked.extended:
        rules.append((_NOTE, "HasExtendedXMP", ""))
    for description in list(_descriptions(rdf)):
        for space, name, words in rules:
            if _take_out(description, space, name) and words:
                taken.append(words)
    if worked.scale != 1:
        for (space, across), (_, down) in _SIZES:
            _restate(rdf, space, across, lambda _: str(worked.width))
            _restate(rdf, space, down, lambda _: str(worked.height))
        for space, name in _GROWING:
            _restate(rdf, space, name, lambda v: _grown(v, worked.scale))
    if document.toxml() == before:
        return packet, []
    return _written(document), list(dict.fromkeys(taken))


def _fits(found: str | None, name: str) -> bool:
    text = found or ""
    if name.startswith("*"):
        return text.endswith(name[1:])
    return text.startswith(name[:-1]) if name.endswith("*") else text == name


def _take_out(description: Element, space: str, name: str) -> bool:
    found = False
    for key in list(description.attributes.keysNS()):
        if key[0] == space and _fits(key[1], name):
            description.removeAttributeNS(*key)
            found = True
    for child in list(_elements(description)):
        if child.namespaceURI == space and _fits(child.localName, name):
            description.removeChild(child)
            found = True
    return found


def _restate(rdf: Element, space: str, name: str, new: Callable[[str], str]) -> None:
    """Give the properties of a name another value, where they stand and are text."""
    for description in _descriptions(rdf):
        for key in list(description.attributes.keysNS()):
            if key[0] == space and _fits(key[1], name):
                held = description.getAttributeNodeNS(*key)
                if held is not None:
                    held.value = new(held.value)
        for child in _elements(description):
            if child.namespaceURI == space and _fits(child.localName, name) and not list(_elements(child)):
                words = new(_words(child))
                while child.firstChild is not None:
                    child.removeChild(child.firstChild)
                document = child.ownerDocument
                if document is not None:
                    child.appendChild(document.createTextNode(words))


def _grown(value: str, scale: int) -> str:
    """Return a number or a fraction, times a scale; anything else as it is."""
    top, slash, bottom = value.strip().partition("/")
    if len(top) > 18 or not top.removeprefix("-").isdecimal():
        return value
    return f"{int(top) * scale}{slash}{bottom}"


def _written(document: Document) -> bytes:
    body = "".join(node.toxml() for node in document.childNodes)
    whole = body if "<?xpacket" in body else _BEGIN + body + _END
    return whole.encode("utf-8")


# ------------------------------------------------------------------------------------------------------------ reading


def _document(packet: bytes) -> Document:
    """Parse a packet that was found harmless; an empty one gives an empty document with its root."""
    from xml.dom import minidom

    data = _text(packet).encode("utf-8")
    if not data:
        data = f"<x:xmpmeta xmlns:x='{_META}'/>".encode()
    _harmless(data)
    try:
        return minidom.parseString(data)
    except (expat.ExpatError, ValueError) as e:
        raise ReceiptError(f"it is not well-formed ({e})") from e


def _text(packet: bytes) -> str:
    """Decode a packet by its first bytes (XML 1.0, appendix F) and cut off what pads it."""
    encodings = (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
        (b"<\0\0\0", "utf-32-le"),
        (b"\0\0\0<", "utf-32-be"),
        (b"<\0", "utf-16-le"),
        (b"\0<", "utf-16-be"),
    )
    encoding = next((name for start, name in encodings if packet.startswith(start)), "utf-8-sig")
    width = 4 if "32" in encoding else 2 if "16" in encoding else 1
    try:
        text = packet[: len(packet) // width * width].decode(encoding).strip("\0 \t\r\n")
    except UnicodeDecodeError as e:
        raise ReceiptError(f"it is not text ({e.reason})") from e
    if text.startswith("<?xml "):  # it would name an encoding that is no longer true
        text = text.partition("?>")[2].lstrip()
    return text


def _harmless(data: bytes) -> None:
    """Refuse what could make a parser expand, fetch or recurse.

    Raises
    ------
    ReceiptError
        If it could.
    """
    parser = expat.ParserCreate("utf-8")
    depth = nodes = 0

    def refuse(*_: Any) -> int:
        raise ReceiptError("it declares a document type, which XMP never does")

    def start(_: str, attributes: dict[str, str]) -> None:
        nonlocal depth, nodes
        depth, nodes = depth + 1, nodes + 1 + len(attributes)
        if depth > _MAX_DEPTH or nodes > _MAX_NODES:
            raise ReceiptError(f"it is nested deeper than {_MAX_DEPTH} or has more than {_MAX_NODES} nodes")

    def end(_: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        parser.Parse(data, True)
    except expat.ExpatError as e:
        raise ReceiptError(f"it is not well-formed ({e})") from e


def _rdf(document: Document) -> Element:
    """Return the element that holds the descriptions; it is made if it is missing.

    Raises
    ------
    ReceiptError
        If the document is not XMP.
    """
    root = document.documentElement
    if root is None:
        raise ReceiptError("it is empty")
    if (root.namespaceURI, root.localName) == (_RDF, "RDF"):
        return root
    if root.namespaceURI != _META:
        raise ReceiptError(f"it is not XMP but {str(root.tagName)[:40]!r}")
    for child in _elements(root):
        if (child.namespaceURI, child.localName) == (_RDF, "RDF"):
            return child
    rdf = document.createElementNS(_RDF, "rdf:RDF")
    rdf.setAttributeNS(_XMLNS, "xmlns:rdf", _RDF)
    root.appendChild(rdf)
    return rdf


def _read(rdf: Element) -> Marks:
    def value(space: str, name: str) -> str:
        for description in _descriptions(rdf):
            if description.hasAttributeNS(space, name):
                return str(description.getAttributeNS(space, name))
            for child in _named(description, space, name):
                return str(child.getAttributeNS(_RDF, "resource")) or _words(child)
        return ""

    history = []
    for description in _descriptions(rdf):
        for found in _named(description, _MM, "History"):
            for item in _items(found):
                # the fields are elements, or attributes of the item or of a description in it
                inner = [item, *(c for c in _elements(item) if (c.namespaceURI, c.localName) == (_RDF, "Description"))]
                event = {}
                for part in inner:
                    for name, text in part.attributes.items():
                        if name.partition(":")[2] and part.getAttributeNS(_EVENT, name.partition(":")[2]) == text:
                            event[name.partition(":")[2]] = str(text)
                    event |= {str(c.localName): _words(c) for c in _elements(part) if c.namespaceURI == _EVENT}
                history.append(event)
    kind = value(_IPTC_EXT, "DigitalSourceType")
    return Marks(kind, tuple(history), value(_OWN, "Status"), value(_OWN, "Stamp"))


def _elements(parent: Element) -> Iterator[Element]:
    for node in parent.childNodes:
        if node.nodeType == node.ELEMENT_NODE:
            yield node


def _descriptions(rdf: Element) -> Iterator[Element]:
    yield from _named(rdf, _RDF, "Description")


def _named(parent: Element, space: str, name: str) -> list[Element]:
    return [c for c in _elements(parent) if (c.namespaceURI, c.localName) == (space, name)]


def _items(holder: Element) -> Iterator[Element]:
    for container in _elements(holder):
        if container.namespaceURI == _RDF and container.localName in ("Seq", "Bag"):
            yield from _named(container, _RDF, "li")


def _words(element: Element) -> str:
    return "".join(n.data for n in element.childNodes if n.nodeType in (n.TEXT_NODE, n.CDATA_SECTION_NODE)).strip()


# ------------------------------------------------------------------------------------------------------------ writing


def _take_history(rdf: Element) -> list[Element]:
    """Take the events of the source out of it, with the name spaces they were written in."""
    taken = []
    for description in list(_descriptions(rdf)):
        for found in _named(description, _MM, "History"):
            for item in list(_items(found)):
                _carry_spaces(item)
                taken.append(item)
            description.removeChild(found)
    return taken


def _carry_spaces(element: Element) -> None:
    """Declare on an element what its ancestors declare, so that it means the same elsewhere."""
    declared: dict[str, str] = {}
    node: Any = element
    while node is not None and node.nodeType == node.ELEMENT_NODE:
        for name, value in node.attributes.items():
            if name == "xmlns" or name.startswith("xmlns:"):
                declared.setdefault(name, value)
        node = node.parentNode
    used = {element.tagName.partition(":")[0]} | _prefixes_below(element)
    for name, space in declared.items():
        prefix = name.partition(":")[2]
        # what the new place declares alike needs no second declaration
        if (prefix in used or name == "xmlns") and _PREFIXES.get(prefix) != space:
            element.setAttributeNS(_XMLNS, name, space)


def _prefixes_below(element: Element) -> set[str]:
    out = set()
    for node in (element, *element.getElementsByTagName("*")):
        out.add(node.tagName.partition(":")[0])
        out |= {name.partition(":")[0] for name, _ in node.attributes.items()}
    return out


def _remove(rdf: Element, space: str, name: str) -> None:
    for description in list(_descriptions(rdf)):
        if description.hasAttributeNS(space, name):
            description.removeAttributeNS(space, name)
        for child in _named(description, space, name):
            description.removeChild(child)


def _prefix(element: Element, space: str) -> str:
    """Return the prefix under which an element's own name stands; it is in scope inside it."""
    return str(element.prefix) if element.namespaceURI == space and element.prefix else "rdf"


def _child(parent: Element, name: str) -> Element:
    document = parent.ownerDocument
    if document is None:
        raise ReceiptError("the XMP came apart while it was written")
    made: Element = document.createElementNS(_PREFIXES[name.partition(":")[0]], name)
    parent.appendChild(made)
    return made


def _property(parent: Element, name: str, value: str) -> None:
    made = _child(parent, name)
    document = parent.ownerDocument
    if document is not None:
        made.appendChild(document.createTextNode(value))
