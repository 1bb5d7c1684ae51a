"""Content credentials (C2PA 2.x): a signed account inside the picture file itself, by the ``c2pa`` extra.

Written are, all as *created* assertions: ``c2pa.opened`` with the original as the one parent, ``c2pa.edited`` for each
step with its regions and digital source type, ``c2pa.ai-disclosure`` where a model took part, the receipt byte by byte,
and both maps as embedded data. Six facts about the library (c2pa-python 0.38.1) shape this module:

1. A file whose manifest has a flipped bit in its padding still counts as whole. The seal and the ledger hash the whole
   signed file; of a picture alone such a flip cannot be noticed.
2. Assertions count as gathered from somewhere unless they are named in ``created_assertion_labels``.
3. Reading fetches manifests that a file merely refers to, from any address. It is switched off, and so are revocation
   queries; no host is allowed.
4. A certificate of anybody's own making gives *Valid*. Only *Trusted* counts, against roots that the reader named.
5. Importing it runs whatever ``libc2pa_c.so`` lies in the current folder. It is imported so that it looks elsewhere.
6. A certificate without the right extended key usage is refused. And no two signed files are alike (salts), so that a
   replay compares samples, not files.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import MissingExtra, OptionError, OutputError
from tratto.core.hashing import open_regular
from tratto.ledger.keys import TEST_ORGANISATION, Identity
from tratto.provenance.embedded import holds_credentials
from tratto.provenance.xmp import step_source_type

RECEIPT_LABEL = "org.tratto.receipt"
DISCLOSURE_LABEL = "c2pa.ai-disclosure"
#: Media types of the formats that carry credentials inside; others get a file beside them.
EMBEDS = {"png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff", "webp": "image/webp"}
#: Largest manifest of a sidecar that is read, in bytes.
MAX_SIDECAR = 1 << 30
#: Most regions of change that are listed; more are joined into one that holds them all.
MAX_REGIONS = 32

_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_LABELS = [
    "c2pa.actions",
    "c2pa.actions.v2",
    "c2pa.ingredient.v3",
    "c2pa.embedded-data",
    DISCLOSURE_LABEL,
    RECEIPT_LABEL,
]
_MAP_TITLES = {"edit-map": "Tratto edit map", "confidence": "Tratto confidence map"}


@dataclass(frozen=True, eq=False)
class SignedClaim:
    """What is signed into a picture.

    Attributes
    ----------
    receipt : mapping
        Of the result, final.
    receipt_bytes : bytes
        Canonical.
    maps : (Path or None, Path or None)
        Edit map and confidence map, PNG; None where there is none.
    edits : (H, W) uint16 array or None
        The edit map, from which the regions of change are told; None: everything is new.
    mask : (h, w) array or None
        Where the input was allowed to change; above 0 counts.
    original : Path, bytes or None
        The input file.
    """

    receipt: Mapping[str, Any]
    receipt_bytes: bytes
    maps: tuple[Path | None, Path | None]
    edits: NDArray[np.uint16] | None
    mask: NDArray[Any] | None = None
    original: Path | bytes | None = None


@dataclass(frozen=True)
class Credentials:
    """What a picture's credentials say, and how far they are right.

    Attributes
    ----------
    state : str
        ``"none"``; ``"elsewhere"`` (the file only refers to credentials at some address, which is never visited);
        ``"broken"`` (they do not fit the file, or are damaged); ``"unread"`` (the library cannot parse the file, and
        there are none in it as far as its container goes); ``"untrusted"`` (they fit, but their signer is not
        under a root that the reader named, or its certificate has expired); ``"trusted"``.
    signer : str
        Common name of the certificate, as it claims.
    test : bool
        True if it says of itself that it is a test identity.
    receipt : bytes or None
        The receipt inside.
    problems : tuple of str
        Codes of the specification.
    """

    state: str
    signer: str = ""
    test: bool = False
    receipt: bytes | None = None
    problems: tuple[str, ...] = field(default=())


def available() -> bool:
    """Return whether the library that signs is installed; it is not loaded."""
    return importlib.util.find_spec("c2pa") is not None


def need_library() -> Any:
    """Return the library.

    Raises
    ------
    MissingExtra
        Without the ``c2pa`` extra.
    """
    try:
        with _at_home():
            import c2pa
    except ImportError as e:
        raise MissingExtra("content credentials", "c2pa") from e
    return c2pa


@contextlib.contextmanager
def _at_home() -> Iterator[None]:
    """Keep the library from loading its machine code out of the folder that the user happens to stand in.

    When it is imported, it looks for ``libc2pa_c.so`` in the current folder before its own: whoever gives somebody a
    folder of pictures could lay a program of that name beside them. So for the time of the import the current folder,
    as the library asks for it, is its own.
    """
    spec = None if "c2pa" in sys.modules else importlib.util.find_spec("c2pa")
    if spec is None or spec.origin is None:
        yield
        return
    home = Path(spec.origin).parent
    with _IMPORT:
        before = Path.__dict__["cwd"]
        try:
            Path.cwd = classmethod(lambda cls: home)  # type: ignore[method-assign,assignment]
            yield
        finally:
            Path.cwd = before  # type: ignore[method-assign]


_IMPORT = threading.RLock()


def sign(source: Path, target: Path, format_name: str, account: SignedClaim, identity: Identity) -> bytes:
    """Sign a picture.

    Parameters
    ----------
    source : Path
        The finished picture.
    target : Path
        Where the signed one goes; of formats that carry no credentials, an exact copy.
    format_name : str
        ``"png"``, ``"jpeg"`` ...
    account : SignedClaim
        What is signed into it.
    identity : Identity
        Key and certificates to sign with.

    Returns
    -------
    bytes
        The manifest: to be kept beside the picture if its format is not in :data:`EMBEDS`.

    Raises
    ------
    OptionError
        If the identity cannot sign: its certificate has expired or is not made for this.
    OutputError
        If it cannot be written.
    MissingExtra
        Without the ``c2pa`` extra.
    """
    library = need_library()
    media = EMBEDS.get(format_name, "application/octet-stream")
    try:
        info = library.C2paSignerInfo(identity.algorithm, identity.chain_pem, identity.private_pem, None)
        with contextlib.ExitStack() as stack:
            context = stack.enter_context(library.Context.from_dict(_settings(b"")))
            builder = stack.enter_context(library.Builder.from_json(_definition(account, media), context))
            for uri, path in _labelled(account):
                builder.add_resource(uri, stack.enter_context(open(path, "rb")))
            _add_original(library, builder, account, stack)
            if format_name not in EMBEDS:
                builder.set_no_embed()
            signer = stack.enter_context(library.Signer.from_info(info))
            read = stack.enter_context(open(source, "rb"))
            write = stack.enter_context(open(target, "w+b"))
            manifest: bytes = builder.sign(signer, media, read, write)
    except library.C2paError as e:
        raise OptionError(f"the picture cannot be signed by {identity.name!r}: {e}") from e
    except OSError as e:
        raise OutputError(f"{target.name} cannot be written: {e.strerror or e}") from e
    if format_name not in EMBEDS:
        target.write_bytes(source.read_bytes())
    return manifest


def trial(identity: Identity) -> None:
    """Sign a picture of one pixel, so that an identity that cannot sign is found out before any work.

    Raises
    ------
    OptionError
        If it cannot: its certificate has expired or is not made for this.
    MissingExtra
        Without the ``c2pa`` extra.
    """
    from PIL import Image as Pil

    library = need_library()
    picture = io.BytesIO()
    Pil.new("L", (1, 1)).save(picture, "png")
    actions = {"actions": [{"action": "c2pa.created", "digitalSourceType": f"{_SOURCE}digitalCreation"}]}
    definition = {
        "claim_generator_info": [{"name": "Tratto", "version": "trial"}],
        "format": "image/png",
        "assertions": [{"label": "c2pa.actions.v2", "data": actions}],
    }
    info = library.C2paSignerInfo(identity.algorithm, identity.chain_pem, identity.private_pem, None)
    try:
        with (
            library.Context.from_dict(_settings(b"")) as context,
            library.Builder.from_json(definition, context) as builder,
            library.Signer.from_info(info) as signer,
        ):
            builder.sign(signer, "image/png", picture, io.BytesIO())
    except library.C2paError as e:
        raise OptionError(f"{identity.name!r} cannot sign pictures: {e}; use another identity, or --sign none") from e


def read(path: Path, format_name: str, anchors: bytes = b"", sidecar: bytes | None = None) -> Credentials:
    """Read and check the credentials of a picture. Nothing is fetched, whatever the file asks for.

    Parameters
    ----------
    path : Path
        Only read.
    format_name : str
        What the file is; empty: unknown, and then it is told from its first bytes.
    anchors : bytes
        Roots (PEM) that the reader trusts; empty: nobody is trusted.
    sidecar : bytes or None
        The manifest, where it does not lie in the picture.

    Raises
    ------
    ReceiptError
        If the file cannot be read.
    MissingExtra
        Without the ``c2pa`` extra.
    """
    library = need_library()
    with open_regular(path, links=True) as f, library.Context.from_dict(_settings(anchors)) as context:
        if not format_name:
            from tratto.imaging.io import sniff

            format_name = sniff(f.read(64)) or ""
            f.seek(0)
        media = EMBEDS.get(format_name)
        if media is None and sidecar is None:
            return Credentials("none")
        try:
            with library.Reader(media or "application/octet-stream", f, sidecar, context) as reader:
                return _judged(json.loads(reader.json()), reader, bool(anchors))
        except library.C2paError as e:
            return _refused(str(e), sidecar is not None or holds_credentials(path, format_name))


def _judged(store: Mapping[str, Any], reader: Any, anchored: bool) -> Credentials:
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    results = store.get("validation_results", {})
    failures = [f["code"] for f in results.get("activeManifest", {}).get("failure", [])]
    for delta in results.get("ingredientDeltas", []):
        failures += [f["code"] for f in delta.get("validationDeltas", {}).get("failure", [])]
    signature = active.get("signature_info") or {}
    signer = str(signature.get("common_name") or "")[:200]
    test = TEST_ORGANISATION in str(signature.get("issuer"))
    problems = tuple(dict.fromkeys(str(c)[:80] for c in failures))
    # who signed is one question, whether the file is as it was signed another
    serious = [c for c in failures if not c.startswith("signingCredential.")]
    state = store.get("validation_state")
    if serious or state not in ("Valid", "Trusted", "Invalid") or (state == "Invalid" and not failures):
        return Credentials("broken", signer, test, None, problems)
    # whoever trusts a test identity's root has made it himself, and nobody else should be told so
    trusted = anchored and state == "Trusted" and not failures and not test
    return Credentials("trusted" if trusted else "untrusted", signer, test, _receipt_in(active), problems)


def _receipt_in(manifest: Mapping[str, Any]) -> bytes | None:
    for assertion in manifest.get("assertions", []):
        data = assertion.get("data")
        if assertion.get("label") == RECEIPT_LABEL and isinstance(data, dict) and isinstance(data.get("receipt"), str):
            return str(data["receipt"]).encode("utf-8", "replace")
    return None


def _refused(message: str, there: bool) -> Credentials:
    """Say what it means that the library could not read a file; ``there``: credentials are in it."""
    if message.startswith("ManifestNotFound"):
        return Credentials("none")
    if message.startswith("Remote"):
        return Credentials("elsewhere", problems=(message[:200],))
    return Credentials("broken" if there else "unread", problems=(message[:200],))


def _settings(anchors: bytes) -> dict[str, Any]:
    """Return the library's settings: no network, no thumbnails, and roots only of the reader's choice."""
    settings: dict[str, Any] = {
        "version": 1,
        "core": {"allowed_network_hosts": []},
        "verify": {
            "verify_after_sign": False,
            "verify_trust": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
        "builder": {"thumbnail": {"enabled": False}, "created_assertion_labels": _LABELS},
    }
    if anchors:
        settings["trust"] = {"trust_anchors": anchors.decode("ascii", "replace"), "verify_trust_list": True}
    return settings


def _definition(account: SignedClaim, media: str) -> dict[str, Any]:
    receipt = account.receipt
    tool = {"name": "Tratto", "version": receipt["tool"]["version"]}
    changes = [{"region": [r], "description": "changed pixels, as stored"} for r in regions(account)]
    actions: list[dict[str, Any]] = [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["original"]}}]
    for i, step in enumerate(receipt["steps"]):
        actions.append(
            {
                "action": "c2pa.edited",
                "description": f"{step['step']} by {step['provider']}" if step["provider"] else step["step"],
                "softwareAgent": tool,
                "digitalSourceType": step_source_type(step),
                "parameters": {
                    "org.tratto.step": i,
                    "org.tratto.generative": step["generative"],
                    **({"org.tratto.stamp": receipt["claim"]["stamp"]} if step["generative"] else {}),
                    "org.tratto.models": [m["id"] for m in step["models"]],
                },
                **({"changes": changes} if changes else {}),
            }
        )
    assertions: list[dict[str, Any]] = [
        {"label": "c2pa.actions.v2", "data": {"actions": actions, "allActionsIncluded": True}},
        {"label": RECEIPT_LABEL, "data": {"receipt": account.receipt_bytes.decode("utf-8")}},
    ]
    models = {m["id"]: m for s in receipt["steps"] for m in s["models"]}
    if models:
        # the library does not know this assertion and carries it as it is
        data = {
            "modelType": "c2pa.types.model",
            "modelName": ", ".join(sorted(models)),
            "modelIdentifier": [{"id": i, "sha256": m["sha256"]} for i, m in sorted(models.items())],
            "generative": any(s["generative"] for s in receipt["steps"]),
            "claim": receipt["claim"]["status"],
            "stamp": receipt["claim"]["stamp"] or "",
        }
        assertions.append({"label": DISCLOSURE_LABEL, "data": data})
    maps = [
        {
            "title": _MAP_TITLES[uri],
            "format": "image/png",
            "relationship": "inputTo",
            "label": uri,
            "data": {"format": "image/png", "identifier": uri},
        }
        for uri, _ in _labelled(account)
    ]
    parent = [] if account.original is not None else [_parent("application/octet-stream")]
    return {
        "claim_generator_info": [tool],
        "title": "result",  # file names are none of the credentials' business
        "format": media,
        "ingredients": [*maps, *parent],
        "assertions": assertions,
    }


def _labelled(account: SignedClaim) -> list[tuple[str, Path]]:
    """Return the maps that there are, each with its label."""
    return [(uri, path) for uri, path in zip(_MAP_TITLES, account.maps, strict=True) if path is not None]


def _parent(media: str) -> dict[str, Any]:
    return {"title": "original", "format": media, "relationship": "parentOf", "label": "original"}


def _add_original(library: Any, builder: Any, account: SignedClaim, stack: contextlib.ExitStack) -> None:
    """Add the original as the parent; credentials that it bears itself are kept with it where they can be read."""
    if account.original is None:
        return
    media = EMBEDS.get(account.receipt["inputs"]["picture"]["picture"]["format"], "application/octet-stream")
    for kind in dict.fromkeys((media, "application/octet-stream")):
        f: BinaryIO
        if isinstance(account.original, bytes):
            f = io.BytesIO(account.original)
        else:
            f = stack.enter_context(open(account.original, "rb"))  # noqa: SIM115
        try:
            builder.add_ingredient(_parent(kind), kind, f)
        except library.C2paError:
            if kind == "application/octet-stream":
                raise
            continue
        return


def regions(account: SignedClaim) -> list[dict[str, Any]]:
    """Return the rectangles that changed, in stored pixels of the result: those of the mask, else of the edit map."""
    import cv2

    if account.edits is None or not account.edits.any():
        return []
    height, width = account.edits.shape
    boxes: list[tuple[int, int, int, int]] = []
    if account.mask is not None:
        scale = height // account.mask.shape[0]
        count, _, stats, _ = cv2.connectedComponentsWithStats((account.mask > 0).astype(np.uint8), connectivity=8)
        if count - 1 <= MAX_REGIONS:
            boxes = [(scale * int(x), scale * int(y), scale * int(w), scale * int(h)) for x, y, w, h, _ in stats[1:]]
    if not boxes:
        rows, columns = np.flatnonzero(account.edits.any(axis=1)), np.flatnonzero(account.edits.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        boxes = [(x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)]
    return [_rectangle(*box) for box in boxes if box != (0, 0, width, height) or len(boxes) == 1]


def _rectangle(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    shape = {
        "type": "rectangle",
        "unit": "pixel",
        "origin": {"x": x, "y": y},
        "width": width,
        "height": height,
        "inside": True,
    }
    return {"type": "spatial", "shape": shape}
