"""One answer about a result: authentic, altered or unknown, with reasons. Works offline and changes nothing."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tratto.core import canonical
from tratto.core.artifact import main_role
from tratto.core.errors import InputError, ReceiptError, TrattoError
from tratto.core.hashing import FileFacts, hash_file, read_limited
from tratto.core.text import shown
from tratto.imaging.io import read_image
from tratto.provenance.bundle import (
    CONFIDENCE,
    EDIT_MAP,
    INPUTS,
    MASK,
    MASK_PARTS,
    NAMES,
    OBSERVED,
    OUTPUTS,
    PARENTS,
    RECEIPT,
    SEAL,
    Bundle,
    belongs,
    bundle_by_hash,
    files_in,
    find_bundle,
    find_original,
    find_output,
    is_lone_receipt,
    unsealed,
)
from tratto.provenance.consistency import Known, compare_models
from tratto.provenance.findings import Findings
from tratto.provenance.lineage import Link, chain_of, chain_words
from tratto.provenance.receipt import main_output, maps_of, read_receipt
from tratto.provenance.recheck import recheck
from tratto.provenance.seal import EMBEDDED, MAX_SEAL, read_seal, sealed_credentials
from tratto.provenance.trust import Trust, alone, check_credentials, check_ledger, in_ledger
from tratto.provenance.upgrade import FORMS, carried

Word = Literal["authentic", "altered", "unknown"]

_EXIT: dict[str, int] = {"authentic": 0, "altered": 9, "unknown": 10}


@dataclass(frozen=True)
class Verdict:
    """What :func:`verify` found.

    Attributes
    ----------
    word : str
        ``"authentic"``: every file is exactly as it was sealed and all statements agree. ``"altered"``: something is
        not. ``"unknown"``: there is nothing to check against.
    reasons : tuple of str
        Plain sentences: what is wrong, or what was checked.
    status, stamp : str
        What the receipt claims, and its stamp (*not for examination*); empty where there is no receipt, it claims
        nothing of the kind, or something was altered.
    forensic : bool
        True if it says that the work was done in forensic mode.
    chain : tuple of Link
        The results that the job's inputs were made from, the nearest first, and of each whether it is there and
        authentic. A broken link is *unknown* and leaves ``word`` as it is, which is about this result alone.
    """

    word: Word
    reasons: tuple[str, ...]
    status: str = ""
    stamp: str = ""
    forensic: bool = False
    chain: tuple[Link, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, 9 or 10."""
        return _EXIT[self.word]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "verdict": self.word,
            "reasons": list(self.reasons),
            "exit_code": self.exit_code,
            "status": self.status or None,
            "stamp": self.stamp or None,
            "forensic": self.forensic,
            "chain": [link.to_json() for link in self.chain],
        }


def _verdict(found: Findings) -> Verdict:
    if found.wrong:
        return Verdict("altered", tuple(found.wrong))
    return Verdict("authentic", (*found.checked, *found.notes))


def verify(
    path: Path | str,
    deep: bool = True,
    known: Known | None = None,
    trust: Trust | None = None,
    bundle: Path | str | None = None,
) -> Verdict:
    """Check a result against what was sealed.

    Hashes are compared for every file of the bundle and the picture; names, form and schema of the receipt and the
    seal; what the receipt says of its steps with itself and with the models in ``known``; and, with ``deep``, that all
    this is true of the pictures: they and the maps are decoded, and their sample digests, the edit map, the edit
    statistics and the report are computed anew. What could not be compared is said in the reasons.

    What this cannot tell: who made the bundle, and whether the steps really give this result. Somebody who rebuilds
    every file of it consistently is not noticed unless the receipt's hash is kept elsewhere; a replay shows whether
    the recipe leads to the result.

    Parameters
    ----------
    path : path
        An output picture (its bundle is looked for beside it), a bundle folder, a file in one, or a receipt alone.
    deep : bool
        False compares hashes only: as strict against alteration, faster, but it trusts that the sealed files were
        consistent when they were sealed.
    known : Known or None
        The models and providers known here; None: they are not compared, and the reasons say so.
    trust : Trust or None
        Keys, roots and a ledger that the reader brings along; None: nobody is trusted. Nothing is ever fetched.
    bundle : path or None
        The bundle of the picture ``path``, wherever it lies; None: beside it. A picture that was renamed is recognised
        by its hash among the bundles beside it.

    Returns
    -------
    Verdict
        Authentic, altered or unknown, with reasons, and what the receipt claims.

    Raises
    ------
    InputError
        If ``path`` is no path, there is nothing there, or a file of the bundle or the picture may not be read here:
        that says nothing about whether it was altered.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"expected the path of a picture, a bundle or a receipt, got {type(path).__name__}")
    path, trust = Path(path), trust or Trust()
    try:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder")
    except OSError as e:
        raise _unreadable(path, e) from e
    _must_open(path, links=True)
    if bundle is None and is_lone_receipt(path):
        return _lone_receipt(path, known, trust)
    found = Findings()
    try:
        folder = find_bundle(path) if bundle is None else _named_bundle(path, Path(bundle))
    except ReceiptError as e:
        renamed = bundle_by_hash(path) if bundle is None else None
        if renamed is None:
            return _without_bundle(path, str(e), trust)
        folder = renamed
        found.notes.append(f"the picture was renamed: the bundle that seals it is {shown(folder.name)}")
    if not any(os.path.lexists(folder / n) for n in (RECEIPT, SEAL)):
        return Verdict("unknown", (f"{folder.name} is not a bundle: it holds neither {RECEIPT} nor {SEAL}",))
    for name in (*sorted(NAMES), INPUTS, OUTPUTS, PARENTS):
        _must_open(folder / name)
    read = _open(folder, found)
    if read is None:
        return Verdict("unknown", tuple(found.refused)) if found.refused and not found.wrong else _verdict(found)
    _files(read, found)
    if not found.wrong:
        check_ledger(folder, trust, found)
    _models(read.receipt, known, found)
    _claim(read.receipt, found)
    chain: tuple[Link, ...] = ()
    if not found.wrong:
        chain = chain_of(read)
        checked, notes = chain_words(chain)
        found.checked += checked
        found.notes += notes
    verdict = _claiming(_of_bundle(read, path, deep, trust, found), read.receipt)
    return verdict if verdict.word == "altered" else replace(verdict, chain=chain)


def _named_bundle(path: Path, bundle: Path) -> Path:
    """Return the bundle that a picture is to be compared with.

    Raises
    ------
    InputError
        If it is none, or the other is no picture.
    """
    if not path.is_file():
        raise InputError(f"{path}: with a bundle of its own, a picture is compared; name the picture")
    if not bundle.is_dir():
        raise InputError(f"{bundle}: there is no such bundle; a bundle is a folder whose name ends with .tratto")
    return bundle


def _of_bundle(bundle: Bundle, path: Path, deep: bool, trust: Trust, found: Findings) -> Verdict:
    """Go on with the picture, its signature and, with ``deep``, all that can be computed again."""
    folder = bundle.folder
    asked = None if path.is_dir() or folder.absolute() in path.absolute().parents else path
    picture = _picture(bundle, asked, found)
    if isinstance(picture, Verdict):
        return picture
    if found.wrong:
        return _verdict(found)
    check_credentials(bundle, picture, trust, found)
    if found.wrong:
        return _verdict(found)
    if deep:
        recheck(bundle, picture, found)
    if found.wrong or (picture is not None and not found.refused):
        return _verdict(found)
    # what is missing is the first reason, whatever else nobody vouches for
    made = main_role(bundle.receipt["outputs"])
    gone = () if picture is not None else (f"the bundle is unaltered, but its {made} is not beside it",)
    return Verdict("unknown", (*gone, *found.refused, *found.checked, *found.notes))


def _claim(receipt: Mapping[str, Any], found: Findings) -> None:
    """Say what an examiner must know first."""
    from tratto.provenance.xmp import synthetic

    claim = receipt["claim"]
    if synthetic(receipt):
        by = ", ".join(dict.fromkeys(f"by {s['by']}" for s in receipt["statements"] if s["kind"] == "consent"))
        found.notes.append(
            f"a synthetic face: it was put in by calculation; consent was stated {shown(by, 200)}"
            if by
            else "a synthetic face: it was put in by calculation, and nobody stated consent"
        )
    if claim["stamp"]:
        found.notes.append(f"{claim['stamp']}: at least one step may have invented detail ({claim['status']})")
    if receipt["forensic"]:
        found.checked.append(
            "done in forensic mode: no step of this job could invent detail, and each ran in full precision"
        )


def _claiming(verdict: Verdict, receipt: Mapping[str, Any]) -> Verdict:
    if verdict.word == "altered":
        return verdict
    claim = receipt["claim"]
    return replace(verdict, status=claim["status"], stamp=claim["stamp"] or "", forensic=receipt["forensic"])


#: Reasons to fail that lie with this machine and not with the file.
_NOT_LET = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{shown(path.name)} could not be read ({error.strerror or error}), so nothing can be said of it; check who "
        "may read it, and ask again"
    )


def _must_open(path: Path, links: bool = False) -> None:
    """Refuse a file or folder that is there and may not be read. What else may be wrong with it is found later.

    Links are followed only where the user named them.

    Raises
    ------
    InputError
        If it may not be read.
    """
    try:
        mode = (os.stat if links else os.lstat)(path).st_mode
        if stat.S_ISREG(mode):
            os.close(os.open(path, os.O_RDONLY))
        elif stat.S_ISDIR(mode):
            os.scandir(path).close()
    except OSError as e:
        if e.errno in _NOT_LET:
            raise _unreadable(path, e) from e


def _without_bundle(path: Path, why: str, trust: Trust) -> Verdict:
    """Say what is known of a picture that has no bundle."""
    if not path.is_file():
        return Verdict("unknown", (why,))
    looked = in_ledger(path, trust)
    word, reasons = alone(path, trust)
    reasons = (*reasons, *_says_of_itself(path))
    if looked is not None:
        reasons = (looked[1], *reasons)
        if looked[0] == "known" and word != "altered":
            word = "authentic"
    return Verdict(word, (*reasons, why))


def _says_of_itself(path: Path) -> tuple[str, ...]:
    """Return what a picture's XMP says of how it was made, where an examiner must know it."""
    from tratto.provenance.xmp import doubts

    try:
        doubt = doubts(read_image(path).meta.xmp)
    except TrattoError:
        return ()  # no picture that is read here
    return (doubt.replace("the source", "its XMP", 1),) if doubt else ()


_FORM = re.compile(rb'"schema"\s*:\s*"(tratto/receipt/[0-9]{1,6})"')


def _form_of(data: bytes) -> str:
    """Return the form that a receipt names for itself; empty: it is none of Tratto's."""
    found = _FORM.search(data)
    return "" if found is None else found[1].decode("ascii")


def _other_form(form: str) -> str:
    reads = " and ".join(FORMS)
    return f"its receipt is of the form {form}, this version reads {reads}; use the version of Tratto that wrote it"


def _lone_receipt(path: Path, known: Known | None, trust: Trust) -> Verdict:
    data = b""
    try:
        data = read_limited(path, canonical.MAX_BYTES)
        receipt = read_receipt(data)
    except ReceiptError as e:
        form = _form_of(data)
        if not form:
            return Verdict("unknown", (f"{shown(path.name)} is no receipt of Tratto: {e}",))
        if form not in FORMS:
            return Verdict("unknown", (_other_form(form),))
        return Verdict("altered", (f"not a valid receipt: {e}",))
    found = Findings()
    _models(receipt, known, found)
    if found.wrong:
        return _verdict(found)
    _claim(receipt, found)
    looked = in_ledger(path, trust, "receipt")
    if looked is not None:
        found.checked.append(looked[1])
    verdict = Verdict(
        "unknown",
        (
            "a well-formed receipt in canonical form, but alone: without its seal and picture nothing can be compared",
            f"it is about samples {main_output(receipt)['samples_sha256']}",
            *found.checked,
            *found.notes,
        ),
    )
    return _claiming(verdict, receipt)


def _models(receipt: Mapping[str, Any], known: Known | None, found: Findings) -> None:
    """Compare what the receipt says of its models with what is known of them."""
    if not receipt["steps"]:
        return
    if known is None:
        found.notes.append("the models in the receipt were not compared with model cards: none were given")
        return
    wrong, notes = compare_models(receipt, known)
    found.wrong += wrong
    found.notes += notes
    if not wrong and not notes:
        found.checked.append("the providers and models are as their cards here describe them")


def _open(folder: Path, found: Findings) -> Bundle | None:
    """Read receipt and seal; None if that failed."""
    _names(folder, found)
    receipt = seal = None
    data = b""
    where = ""
    try:
        seal_bytes = read_limited(folder / SEAL, MAX_SEAL)
        seal = read_seal(seal_bytes)
        where = sealed_credentials(seal_bytes)
    except ReceiptError as e:
        found.wrong.append(f"{SEAL}: {e}")
    try:
        data = read_limited(folder / RECEIPT, canonical.MAX_BYTES)
        receipt = read_receipt(data)
    except ReceiptError as e:
        form = _form_of(data)
        if form not in ("", *FORMS) and seal is not None and FileFacts.of(data) == seal[0]:
            found.refused.append(_other_form(form))  # as it was sealed, and not for this version to judge
        else:
            found.wrong.append(f"{RECEIPT}: {e}")
    if seal is None or receipt is None:
        return None
    return Bundle(folder, receipt, data, *seal, where, carried(data))


def _names(folder: Path, found: Findings) -> None:
    for name, wrong in files_in(folder):
        if wrong:
            found.wrong.append(wrong)
        elif "/" in name:
            _must_open(folder / name)


def _files(bundle: Bundle, found: Findings) -> None:
    """Compare the hash of every file with the seal, and the seal with the receipt."""
    if FileFacts.of(bundle.receipt_bytes) != bundle.sealed_receipt:
        found.wrong.append(f"{RECEIPT} is not the one that was sealed")
    for name, facts in bundle.sealed_files.items():
        if not belongs(name) or unsealed(name):
            found.wrong.append(f"the seal names {shown(name)}, which does not belong in a bundle")
            continue
        if not os.path.lexists(bundle.folder / name):
            found.wrong.append(f"{name} was removed: the seal names it, and it is not in the bundle")
            continue
        try:
            if hash_file(bundle.folder / name, limit=facts.size, links=False) != facts:
                found.wrong.append(f"{name} is not the one that was sealed")
        except ReceiptError as e:
            found.wrong.append(f"{name} is not the one that was sealed: {e}")
    for name in sorted(n for n, wrong in files_in(bundle.folder) if not wrong):
        if not unsealed(name) and name not in bundle.sealed_files:
            found.wrong.append(f"{name} was added after the bundle was sealed")
    for map_facts, name in zip(maps_of(bundle.receipt), (EDIT_MAP, CONFIDENCE), strict=True):
        sealed = bundle.sealed_files.get(name)
        if (None if sealed is None else sealed.sha256) != (None if map_facts is None else map_facts["file_sha256"]):
            found.wrong.append(f"the receipt and the seal name different files for {name}")
    if bundle.receipt["mask"] is not None and MASK not in bundle.sealed_files:
        found.wrong.append(f"the receipt names a mask, but the bundle holds no {MASK}: it was taken out")
    count = len((bundle.receipt["mask"] or {}).get("parts", ()))
    for k, name in enumerate(MASK_PARTS):
        if (k < count) != (name in bundle.sealed_files):
            how = "names more masks than the bundle holds" if k < count else "knows nothing of a mask in the bundle"
            found.wrong.append(f"the receipt {how}: {name}")
    try:
        original = find_original(bundle)
    except ReceiptError as e:
        found.wrong.append(str(e))
        return
    _folders(bundle, found)
    if original is not None:
        stated = bundle.receipt["inputs"]["picture"]["file"]
        if stated is None or bundle.sealed_files[original] != FileFacts(stated["sha256"], stated["bytes"]):
            found.wrong.append(f"the receipt and the seal name different files for {original}")
    elif bundle.receipt["inputs"]["picture"]["file"] is not None:
        found.notes.append("the bundle holds no original: it was left out or removed, and nothing can be given back")
    if OBSERVED not in bundle.sealed_files:
        found.notes.append(f"the bundle holds no {OBSERVED}: times and names were left out or removed")
    if not found.wrong:
        found.checked.append(
            f"receipt, seal and {len(bundle.sealed_files)} files of the bundle are as they were sealed"
        )


def _folders(bundle: Bundle, found: Findings) -> None:
    """Compare what came along, given or made, with the receipt."""
    receipt = bundle.receipt
    try:
        given, made = bundle.in_folder(INPUTS), bundle.in_folder(OUTPUTS)
    except ReceiptError as e:
        found.wrong.append(str(e))
        return
    stated = {r: f for r, f in receipt["inputs"].items() if r != "picture"}
    others = {r: f for r, f in receipt["outputs"].items() if r != main_role(receipt["outputs"])}
    for role, name in given.items():
        if role not in stated:
            found.wrong.append(f"the receipt knows nothing of {name}")
        elif stated[role]["file"] is not None and not _is(bundle, name, stated[role]["file"]):
            found.wrong.append(f"the receipt and the seal name different files for {name}")
    for role in sorted(set(stated) - set(given) - set(bundle.carried)):
        found.notes.append(
            f"the bundle holds no {INPUTS}/{role}: it was left out or removed; a replay must be given it"
        )
    for role in sorted({*others, *made}):
        if role not in others or role not in made or not _is(bundle, made[role], others[role]["file"]):
            found.wrong.append(f"the receipt and the seal name different files for {OUTPUTS}/{role}")


def _is(bundle: Bundle, name: str, stated: Mapping[str, Any] | None) -> bool:
    return stated is not None and bundle.sealed_files[name] == FileFacts(stated["sha256"], stated["bytes"])


def _is_export(path: Path, what: str) -> bool:
    """Return whether a file stands beside a sealed scene in another form, of which no account is kept."""
    return what == "scene" and path.suffix.lower() != ".ply"


def _of_export(path: Path) -> Verdict:
    scene = shown(path.with_suffix(".ply").name)
    return Verdict(
        "unknown",
        (
            f"{shown(path.name)} is no part of the account, as exports of a scene are not: nothing is known of it. "
            f"Verify {scene}",
        ),
    )


def _picture(bundle: Bundle, asked: Path | None, found: Findings) -> Path | Verdict | None:
    """Find the picture and compare its hash; None if there is none."""
    stated, what = main_output(bundle.receipt)["file"], main_role(bundle.receipt["outputs"])
    unsigned = stated is not None and bundle.sealed_output == FileFacts(stated["sha256"], stated["bytes"])
    # signing puts the credentials into the file, so that it is another one than the receipt knows
    if stated is None or (not unsigned and bundle.credentials != EMBEDDED):
        found.wrong.append(f"the receipt and the seal name different files for the {what}")
        return asked
    if asked is None:
        path, matches = find_output(bundle)
        if path is None:
            return None
        _must_open(path)
    else:
        path = asked
        source = bundle.receipt["inputs"]["picture"]["file"]
        sizes = {bundle.sealed_output.size, *([] if source is None else [source["bytes"]])}
        try:
            # a file of another size is another file, however long it would take to read
            if path.stat().st_size not in sizes:
                if not found.wrong and _is_export(path, what):
                    return _of_export(path)
                found.wrong.append(
                    f"the picture {shown(path.name)} is not the one that was sealed: its number of bytes is another"
                )
                return path
            facts = hash_file(path, limit=max(sizes))
        except OSError as e:
            found.wrong.append(f"the picture {shown(path.name)} cannot be read: {e.strerror or e}")
            return path
        except ReceiptError as e:
            found.wrong.append(str(e))
            return path
        matches = facts == bundle.sealed_output
        if not matches and not found.wrong and source is not None and facts.sha256 == source["sha256"]:
            return Verdict(
                "unknown", (f"{shown(path.name)} is the untouched source of this bundle, not the result it seals",)
            )
        if not matches and not found.wrong and _is_export(path, what):
            return _of_export(path)
    if matches:
        found.checked.append(f"the {what} is the one that was sealed, byte by byte")
    else:
        found.wrong.append(f"the {what} {shown(path.name)} is not the one that was sealed")
    return path
