"""Parts of the ledger benchmark about pictures: single bits of a large signed one, and what a forger may try.

``large`` flips random single bits of a signed picture of a megapixel or more, of its seal, receipt, maps and proof,
and of the ledger, equally many of each, and asks every time whether it is noticed. ``forgeries`` tries swapped maps,
spliced manifests, pictures that were saved again, rogue and expired certificates, and ledgers that were rolled back,
forked or signed by another key. Run by ``benchmarks/ledger.py``.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from PIL import Image as Pil

from tratto.core import canonical
from tratto.core.hashing import FileFacts, hash_file
from tratto.jobs import SaveOptions, Session
from tratto.ledger import Ledger, check, keys
from tratto.ledger.keys import Identity, Subject, certificate
from tratto.ledger.note import SignerKey
from tratto.provenance import credentials, notary
from tratto.provenance.seal import build_seal, entry_of
from tratto.provenance.trust import Trust
from tratto.provenance.verify import verify
from tratto.tasks.restore import RestoreOptions

BUNDLE_FILES = ("seal.json", "receipt.json", "edit-map.png", "confidence.png", "ledger.json")


def photograph(path: Path, size: tuple[int, int], seed: int) -> Path:
    """Write a noisy picture of hills; PNG."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]] / 200
    hills = 120 + 50 * np.sin(2 * x + seed) * np.cos(3 * y) + 20 * np.sin(9 * x * y)
    noisy = hills[..., None] + rng.normal(0, 3, (*size, 3))
    Pil.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(path)
    return path


def made(work: Path, name: str, session: Session, size: tuple[int, int] = (96, 128), seed: int = 0) -> Any:
    """Restore a picture and save it; where it is large, only a part of it may change, so that its maps stay small."""
    source = photograph(work / f"in-{name}", size, seed)
    mask = np.zeros(size, np.float32)
    mask[: size[0] // 3, : size[1] // 3] = 1
    result = session.restore(source, RestoreOptions(force=True, provider="nlm"), mask)
    return session.save(result, work / name, SaveOptions(), source)


def flip(path: Path, at: int, bit: int) -> None:
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ (1 << bit)]))


def large(work: Path, key: SignerKey, options: Any) -> dict[str, Any]:
    """Random single bits of a large signed picture with its bundle, and of the ledger it stands in."""
    folder = work / "large-log"
    Ledger.create(folder, key).close()
    if not any(k.name == "me" for k in keys.list_keys()):
        keys.new_key("me", "identity")
    session = Session(notary=notary.Notary(keys.identity("me"), folder))
    with Ledger.open(folder, key) as log:
        log.append([canonical.dumps({"n": i}) for i in range(1000)])
    saved = made(work, "large.png", session, (1000, 1100))
    if verify(saved.output).word != "authentic" or check(folder)[0]:
        raise SystemExit("the large picture or its ledger is not authentic")
    groups: dict[str, list[Path]] = {"large.png": [saved.output]}
    groups |= {n: [saved.bundle / n] for n in BUNDLE_FILES}
    groups["ledger"] = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "lock")
    rng = random.Random(11)
    seen = {name: {"bits": 0, "missed": 0} for name in groups}
    end = time.perf_counter() + options.seconds
    done = 0
    while done < options.flips and time.perf_counter() < end:
        name = list(groups)[done % len(groups)]
        sizes = [p.stat().st_size for p in groups[name]]
        path = rng.choices(groups[name], sizes)[0]
        at, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        flip(path, at, bit)
        noticed = bool(check(folder)[0]) if name == "ledger" else verify(saved.output, deep=False).word == "altered"
        flip(path, at, bit)
        seen[name]["bits"] += 1
        seen[name]["missed"] += not noticed
        done += 1
    if verify(saved.output).word != "authentic" or check(folder)[0]:
        raise SystemExit("a bit was not put back")
    return {
        "megapixels": 1.1,
        "bytes": {n: sum(p.stat().st_size for p in g) for n, g in groups.items()},
        "asked": options.flips,
        "bits": done,
        "missed": sum(s["missed"] for s in seen.values()),
        "by file": seen,
    }


def identity(name: str, root_name: str, until: timedelta) -> tuple[Identity, bytes]:
    """Return an identity under a root of its own, and that root."""
    now = datetime.now(UTC).replace(microsecond=0)
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    wide = (now - timedelta(days=900), now + timedelta(days=900))
    root = certificate(Subject(root_name, root_key.public_key(), wide, ca=True, organisation="Archive"), None, root_key)
    span = (now - timedelta(days=1), now + until)
    leaf = certificate(Subject(name, leaf_key.public_key(), span, organisation="Archive"), root, root_key)
    private = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = leaf.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
    return Identity(name, private, chain, "es256", False), root.public_bytes(Encoding.PEM)


def reseal(bundle: Path, picture: Path, where: str = "embedded") -> None:
    """Make all hashes of the seal fit what lies there, as a forger would."""
    files = {
        p.name: hash_file(p) for p in bundle.iterdir() if p.name not in ("receipt.json", "seal.json", "ledger.json")
    }
    receipt = FileFacts.of((bundle / "receipt.json").read_bytes())
    (bundle / "seal.json").write_bytes(canonical.dumps(build_seal(receipt, hash_file(picture), files, where)))


def chunks(data: bytes) -> list[bytes]:
    at, out = 8, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big") + 12
        out.append(data[at : at + size])
        at += size
    return out


def forgeries(work: Path, key: SignerKey, options: Any) -> dict[str, Any]:
    """Each forgery on several pictures: how often the answer was the right one."""
    rounds = 10
    folder = work / "forge-log"
    Ledger.create(folder, key).close()
    studio, root = identity("studio", "root", timedelta(days=30))
    rogue, _ = identity("studio", "root", timedelta(days=30))  # the same names, another root
    counted: dict[str, dict[str, int]] = {}

    def count(what: str, right: bool) -> None:
        row = counted.setdefault(what, {"tried": 0, "right": 0})
        row["tried"] += 1
        row["right"] += right

    trust = Trust((key.verifier,), folder, root)
    for i in range(rounds):
        place = work / f"forge-{i}"
        place.mkdir()
        session = Session(notary=notary.Notary(studio, folder))
        one, two = made(place, "one.png", session, seed=2 * i), made(place, "two.png", session, seed=2 * i + 1)
        count("untouched: authentic", verify(one.output, trust=trust).word == "authentic")

        def forged(change: Callable[[Path, Path], None], place: Path = place, one: Any = one) -> Path:
            copy = place / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            copy.mkdir()
            shutil.copytree(one.bundle, copy / one.bundle.name)
            shutil.copy(one.output, copy / one.output.name)
            change(copy / one.output.name, copy / one.bundle.name)
            return copy / one.output.name

        def swap(picture: Path, bundle: Path) -> None:
            a, b = (bundle / n for n in ("edit-map.png", "confidence.png"))
            first, second = a.read_bytes(), b.read_bytes()
            a.write_bytes(second)
            b.write_bytes(first)

        def foreign(picture: Path, bundle: Path, two: Any = two) -> None:
            shutil.copy(two.bundle / "edit-map.png", bundle)

        for what, change in (("maps swapped", swap), ("map of another picture", foreign)):
            count(f"{what}: altered", verify(forged(change), trust=trust).word == "altered")

            def again(picture: Path, bundle: Path, change: Callable[[Path, Path], None] = change) -> None:
                change(picture, bundle)
                reseal(bundle, picture)

            count(f"{what}, sealed anew: altered", verify(forged(again), trust=trust).word == "altered")

        def splice(picture: Path, bundle: Path, two: Any = two) -> None:
            (theirs,) = (c for c in chunks(two.output.read_bytes()) if c[4:8] == b"caBX")
            data = picture.read_bytes()
            picture.write_bytes(data[:8] + b"".join(theirs if c[4:8] == b"caBX" else c for c in chunks(data)))

        def spliced_anew(picture: Path, bundle: Path) -> None:
            splice(picture, bundle)
            reseal(bundle, picture)

        count("manifest of another picture: altered", verify(forged(splice), trust=trust).word == "altered")
        count("manifest of another picture, sealed anew: altered", verify(forged(spliced_anew)).word == "altered")
        lone = place / "lone.png"
        shutil.copy(forged(splice), lone)
        count("manifest of another picture, without its bundle: altered", verify(lone, trust=trust).word == "altered")

        def save_again(picture: Path, bundle: Path) -> None:
            Pil.open(picture).save(picture)

        count("saved again, beside its bundle: altered", verify(forged(save_again), trust=trust).word == "altered")
        shutil.copy(forged(save_again), lone)
        count("saved again, without bundle and credentials: unknown", verify(lone, trust=trust).word == "unknown")

        rogues = made(place, "rogue.png", Session(notary=notary.Notary(rogue)), seed=i)
        shutil.copy(rogues.output, lone)
        seen = credentials.read(lone, "png", root)
        only = Trust(anchors=root)
        count("rogue certificate of the same names: not trusted", seen.state == "untrusted")
        count("rogue certificate, verify: unknown", verify(rogues.output, trust=only).word == "unknown")

    began = time.perf_counter()
    brief, brief_root = identity("brief", "root", timedelta(seconds=60))
    late = [made(work / f"forge-{i}", "late.png", Session(notary=notary.Notary(brief)), seed=i) for i in range(rounds)]
    trusted = [credentials.read(s.output, "png", brief_root).state == "trusted" for s in late]
    time.sleep(max(0.0, 62 - (time.perf_counter() - began)))
    for saved, before in zip(late, trusted, strict=True):
        after = verify(saved.output, trust=Trust(anchors=brief_root))
        count("certificate expired since, trusted before: unknown", before and after.word == "unknown")

    keys.new_key("other", "ledger", key.verifier.name)
    other = keys.signer("other", "ledger")
    for i in range(rounds):
        bundle = work / f"forge-{i}" / "one.tratto"
        entry = entry_of(bundle)
        stories = {
            "rolled-back ledger, without the entry": (key, [b"x"] * i),
            "forked ledger, another entry in its place": (key, [b"another"] * 40),
            "ledger forged with another key": (other, [entry]),
        }
        for what, (signer, entries) in stories.items():
            false = work / "false"
            shutil.rmtree(false, ignore_errors=True)
            with Ledger.create(false, signer) as log:
                log.append(entries)
            word = verify(bundle, trust=Trust((key.verifier,), false), deep=False).word
            count(f"{what}: altered", word == "altered")
        copy = work / "copied-log"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        note = (copy / "checkpoint").read_bytes()
        lines = note.split(b"\n")
        lines[1] = str(int(lines[1]) + 1 + i).encode()
        (copy / "checkpoint").write_bytes(b"\n".join(lines))
        count("forged checkpoint, size changed: found", bool(check(copy, key.verifier)[0]))
    return counted
