"""The chain of results that a picture was made from, where its source is itself a result of Tratto.

A receipt names the links of its source's chain, the nearest first: the hash of each receipt and of the file it is
about. The receipts lie in the bundle, in ``parents/HASH.json``. The seal does not hold them, for their names are hashes
that the receipt states: one that is missing, or is another one, breaks its link and nothing else, so that a broken link
is *unknown* and never *altered*.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tratto.core import canonical
from tratto.core.artifact import main_role
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts, hash_file, read_limited
from tratto.provenance.bundle import PARENTS, RECEIPT, SEAL, SUFFIX, Bundle, bundle_by_hash, bundle_path, parent_name
from tratto.provenance.receipt import main_output, read_receipt
from tratto.provenance.seal import MAX_SEAL, read_seal

#: Most links of a chain that a receipt names.
MOST_LINKS = 32
#: Most bundles beside one that are looked through for a receipt that it does not hold.
_MOST_BESIDE = 200


@dataclass(frozen=True)
class Ancestry:
    """What is known of how a source came about.

    Attributes
    ----------
    links : tuple of mapping
        As a receipt states them, the nearest first; empty: it is no result that is known.
    receipts : mapping of str to bytes
        The receipts that are at hand, by their SHA-256.
    note : str
        Why there is no link although a bundle says that the source is its result; empty otherwise.
    """

    links: tuple[Mapping[str, Any], ...] = ()
    receipts: Mapping[str, bytes] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Link:
    """One result of a chain.

    Attributes
    ----------
    role : str
        Of the input whose chain it is.
    number : int
        From 1, the nearest.
    task : str
        Which task made it.
    receipt_sha256, output_sha256 : str
        Of the receipt, and of the picture that it made, in hex.
    generative : bool
        True if a step of it may have invented detail, as far as is known.
    why : str
        Why nothing can be said of it; empty: its receipt is there, is the one named, and is about the very picture.
    """

    role: str
    number: int
    task: str
    receipt_sha256: str
    output_sha256: str
    generative: bool
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "input": self.role,
            "link": self.number,
            "task": self.task,
            "receipt_sha256": self.receipt_sha256,
            "output_sha256": self.output_sha256,
            "generative": self.generative,
            "verdict": "unknown" if self.why else "authentic",
            "why": self.why or None,
        }


def ancestry(path: Path, file: FileFacts) -> Ancestry:
    """Return the chain of a file that may be a result: the bundle beside it, or one under another name, seals it.

    Parameters
    ----------
    path : Path
        A link is followed to where the picture lies.
    file : FileFacts
        Of it.
    """
    for place in dict.fromkeys((path.absolute(), path.resolve())):
        folder = _sealing(place, file)
        if folder is not None:
            return _from_bundle(folder, file)
    return Ancestry()


def _sealing(path: Path, file: FileFacts) -> Path | None:
    """Return the bundle beside a file that seals it; None if there is none."""
    named = bundle_path(path)
    if named.is_dir() and not named.is_symlink():
        with contextlib.suppress(ReceiptError):
            if read_seal(read_limited(named / SEAL, MAX_SEAL))[1] == file:
                return named
    return bundle_by_hash(path)


def _from_bundle(folder: Path, file: FileFacts) -> Ancestry:
    try:
        sealed, _, _ = read_seal(read_limited(folder / SEAL, MAX_SEAL))
        data = read_limited(folder / RECEIPT, canonical.MAX_BYTES)
        if FileFacts.of(data) != sealed:
            raise ReceiptError(f"{RECEIPT} is not the one that was sealed")
        receipt = read_receipt(data)
        if main_role(receipt["outputs"]) != "picture":
            raise ReceiptError("it is about no picture")
    except (ReceiptError, OSError) as e:
        return Ancestry(note=f"a bundle beside the source seals it, but cannot be followed, so no link is made: {e}")
    receipts = {sealed.sha256: data}
    links = [_stated(receipt, sealed.sha256, file.sha256)]
    for link in _links(receipt, "picture")[: MOST_LINKS - 1]:
        with contextlib.suppress(ReceiptError):
            receipts[link["receipt_sha256"]] = _held(folder, link["receipt_sha256"])
        links.append({**link, "held": link["receipt_sha256"] in receipts})
    return Ancestry(tuple(links), receipts)


def _stated(receipt: Mapping[str, Any], receipt_sha256: str, output_sha256: str) -> dict[str, Any]:
    """Return what a later receipt says of this one."""
    return {
        "receipt_sha256": receipt_sha256,
        "output_sha256": output_sha256,
        "task": receipt["task"],
        "generative": any(s["generative"] for s in receipt["steps"]),
        "held": True,
    }


def _links(receipt: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = receipt["inputs"][role].get("parents", [])
    return links


def _held(folder: Path, sha256: str) -> bytes:
    """Return a receipt that a bundle holds of a link.

    Raises
    ------
    ReceiptError
        If it is not there, or has another hash.
    """
    if (folder / PARENTS).is_symlink():
        raise ReceiptError(f"{PARENTS} in the bundle is a symbolic link")
    data = read_limited(folder / parent_name(sha256), canonical.MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ReceiptError("the receipt in its place is another one")
    return data


def doubt(links: Mapping[str, tuple[Mapping[str, Any], ...]]) -> str:
    """Return what must be known of the chains of a job's inputs: which links may have invented detail; empty if none.

    Parameters
    ----------
    links : mapping of str to tuple of mapping
        By role.
    """
    notes = [
        f"link {n} of the chain of the {role} ({link['task']})"
        for role, chain in links.items()
        for n, link in enumerate(chain, 1)
        if link["generative"]
    ]
    if not notes:
        return ""
    return f"a step before may have invented detail, as its receipt says: {', '.join(notes)}; not for examination"


# --------------------------------------------------------------------------------------------------------- checking


def chain_of(bundle: Bundle) -> tuple[Link, ...]:
    """Return the chains of the inputs of a bundle's job, and of each link whether it is there and authentic.

    Parameters
    ----------
    bundle : Bundle
        Its receipt is the one that was sealed.
    """
    at_hand = _AtHand(bundle.folder)
    return tuple(link for role in sorted(bundle.receipt["inputs"]) for link in _followed(bundle, role, at_hand))


def _followed(bundle: Bundle, role: str, at_hand: _AtHand) -> Iterator[Link]:
    links = _links(bundle.receipt, role)
    after: dict[str, Any] | None = bundle.receipt["inputs"][role]  # the picture that the link before was given
    for k, link in enumerate(links):
        receipt: dict[str, Any] | None = None
        try:
            receipt = at_hand.receipt(link["receipt_sha256"])
            why = _contradicted(receipt, link, after, links[k + 1 :], full=len(links) == MOST_LINKS)
        except ReceiptError as e:
            why = str(e)
        generative = link["generative"] or (receipt is not None and any(s["generative"] for s in receipt["steps"]))
        yield Link(role, k + 1, link["task"], link["receipt_sha256"], link["output_sha256"], generative, why)
        after = None if receipt is None else receipt["inputs"]["picture"]


class _AtHand:
    """The receipts in a bundle, and in the bundles beside it; each is read once, however often it is named."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, dict[str, Any] | str] = {}
        self._beside: dict[str, Path] | None = None

    def receipt(self, sha256: str) -> dict[str, Any]:
        """Return a receipt by its hash.

        Raises
        ------
        ReceiptError
            If it is not at hand, or is none.
        """
        if sha256 not in self._read:
            try:
                self._read[sha256] = read_receipt(self._bytes(sha256))
            except ReceiptError as e:
                self._read[sha256] = str(e)
        found = self._read[sha256]
        if isinstance(found, str):
            raise ReceiptError(found)
        return found

    def _bytes(self, sha256: str) -> bytes:
        try:
            return _held(self._folder, sha256)
        except ReceiptError as e:
            why = str(e)
        if self._beside is None:
            self._beside = dict(self._hashes())
        if sha256 in self._beside:
            data = read_limited(self._beside[sha256], canonical.MAX_BYTES)
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        raise ReceiptError(f"its receipt is not at hand ({why})")

    def _hashes(self) -> Iterator[tuple[str, Path]]:
        with contextlib.suppress(OSError):
            beside = self._folder.absolute().parent.iterdir()
            for other in sorted(p for p in beside if p.suffix == SUFFIX and not p.is_symlink())[:_MOST_BESIDE]:
                with contextlib.suppress(ReceiptError):
                    yield hash_file(other / RECEIPT, limit=canonical.MAX_BYTES, links=False).sha256, other / RECEIPT


def _contradicted(
    receipt: Mapping[str, Any],
    link: Mapping[str, Any],
    after: Mapping[str, Any] | None,
    before: list[dict[str, Any]],
    full: bool,
) -> str:
    """Return how a link's receipt is not what is said of it; empty if it is.

    Parameters
    ----------
    receipt, link : mapping
        The receipt that was found, and what is said of it.
    after : mapping or None
        The input that was made from its result; None: not known.
    before : list of mapping
        The links that are named after it.
    full : bool
        True if the chain may be longer than what is named.
    """
    made = main_output(receipt)
    if "picture" not in receipt["outputs"] or made["file"] is None:
        return "its receipt is about no picture that was written"
    if after is not None:
        if after["file"] is None or after["file"]["sha256"] != link["output_sha256"]:
            return "the file that it is said to have made is not the one that was worked on"
        # signing gives the file another hash than its receipt states, and leaves the samples as they are
        if after["samples_sha256"] not in (made["samples_sha256"], made["file"]["decoded_samples_sha256"]):
            return "its receipt is about another picture"
    if (link["task"], link["generative"]) != (receipt["task"], any(s["generative"] for s in receipt["steps"])):
        return "its receipt says something else of what was done"
    stated = [e["receipt_sha256"] for e in _links(receipt, "picture")]
    named = [e["receipt_sha256"] for e in before]
    if stated != named and not (full and stated[: len(named)] == named):
        return "its receipt names another chain before it"
    return ""


def chain_words(links: tuple[Link, ...]) -> tuple[list[str], list[str]]:
    """Return what a verdict says of the chains: what was checked, and what is to be known."""
    checked, notes = [], []
    for role in dict.fromkeys(link.role for link in links):
        own = [link for link in links if link.role == role]
        head = f"the {role} was a result of Tratto itself, a chain of {len(own)} link{'s' if len(own) > 1 else ''}"
        broken = [link for link in own if link.why]
        if not broken:
            checked.append(f"{head}: each is there and authentic, by its receipt")
        else:
            notes.append(f"{head}: {len(own) - len(broken)} there and authentic, {len(broken)} unknown")
        notes += [f"link {link.number} ({link.task}) is unknown: {link.why}" for link in broken]
        notes += [
            f"link {link.number} ({link.task}) may have invented detail: not for examination"
            for link in own
            if link.generative
        ]
    return checked, notes


# ------------------------------------------------------------------------------------------------------- the report


LINEAGE_WORDS = (
    "The source was itself a result of Tratto. Its receipts lie in the folder parents of the bundle, each called by "
    "its fingerprint. Whether each is still there and authentic, tratto verify answers."
)


def lineage_rows(receipt: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the chains of a job's inputs as rows: which link, what it did, its receipt; nothing if there are none."""
    rows = []
    for role in sorted(receipt["inputs"]):
        links = _links(receipt, role)
        for n, link in enumerate(links, 1):
            invents = "may have invented detail: not for examination" if link["generative"] else "invented nothing"
            there = (
                "its receipt was there and authentic when this work was done"
                if link["held"]
                else "its receipt was not at hand when this work was done: unknown"
            )
            rows.append((f"{role}, {n} of {len(links)}", f"{link['task']}; {invents}; {there}", link["receipt_sha256"]))
    return rows
