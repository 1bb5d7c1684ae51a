"""What the ledger and the credentials must show, measured: ``make bench-ledger``.

``python benchmarks/ledger.py [--entries 1000000] [--kills 60] [--flips 10000] [--seconds 600] [--part NAME ...]
[--out FILE.json] [--work FOLDER]``

Parts: ``rate`` (durable appends beside a bare loop of write and fdatasync on the same disk, with records of the same
size), ``million`` (proofs in a ledger of that many entries), ``cuts`` (the journal cut at every byte of its last three
records), ``flips`` (every single bit of a small ledger, and of a small signed picture with its seal, receipt, maps and
proof), ``large`` (random bits of a large signed picture, its bundle and its ledger), ``forgeries`` (swapped maps,
spliced manifests, pictures saved again, rogue and expired certificates, false ledgers), ``witness`` (forks, rollbacks
and forgeries), ``sign`` (seconds per megapixel beside the bare library) and ``kills`` (``tratto restore`` of a folder
under kill -9). Counts are exact; times are of the machine that is named. ``flips`` and ``large`` go through their bits
in random order and stop after ``--seconds``; what was done, and what there was to do, is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from forgeries import flip, forgeries, large
from PIL import Image as Pil

from tratto import ledger
from tratto.core.errors import ReceiptError, TrattoError
from tratto.core.hashing import FileFacts
from tratto.ledger import Ledger, check, keys, leaf, merkle
from tratto.ledger.note import SignerKey
from tratto.ledger.proof import LedgerProof
from tratto.ledger.tiles import LedgerReader
from tratto.ledger.witness import Witness, request
from tratto.provenance import notary, standalone


def entry(i: int) -> bytes:
    """Return a record of the size and form that results have."""
    facts = [FileFacts.of(b"%d %d" % (i, k)) for k in range(3)]
    return leaf(*facts)


def median_us(run: Callable[[int], object], count: int) -> float:
    times = []
    for i in range(count):
        start = time.perf_counter()
        run(i)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1e6, 1)


def rate(work: Path, key: SignerKey, _: argparse.Namespace) -> dict[str, Any]:
    """Appends per second, alone and in batches, beside a loop that only writes and flushes; three rounds, medians."""
    frame = bytes(len(entry(0)) + 240)  # a record and its signed checkpoint, as a frame of the journal holds them
    batches = (1, 16, 64, 256, 1024)
    seen: dict[int, list[float]] = {0: [], **{b: [] for b in batches}}
    for turn in range(3):
        with open(work / "bare", "wb", buffering=0) as f:
            start = time.perf_counter()
            for _i in range(400):
                f.write(frame)
                os.fdatasync(f.fileno())
            seen[0].append(400 / (time.perf_counter() - start))
        for batch in batches:
            count = max(20, min(400, 20000 // batch))
            data = [[entry(i * batch + k) for k in range(batch)] for i in range(count)]
            with Ledger.create(work / f"rate-{turn}-{batch}", key) as log:
                start = time.perf_counter()
                for records in data:
                    log.append(records)
                seen[batch].append(count * batch / (time.perf_counter() - start))
    bare = statistics.median(seen[0])
    return {
        "bare_flushes_per_second": round(bare),
        "appends_per_second": {b: round(statistics.median(seen[b])) for b in batches},
        "ratio_to_bare": {b: round(statistics.median(seen[b]) / bare, 2) for b in batches},
        "note": "batch = records in one call, acknowledged together behind one flush",
    }


def million(work: Path, key: SignerKey, options: argparse.Namespace) -> dict[str, Any]:
    """Build a large ledger; sizes and times of proofs; consistency pairs against the stand-alone verifier."""
    n, batch, folder = options.entries, 4096, work / "million"
    build = 0.0
    with Ledger.create(folder, key) as log:
        for first in range(0, n, batch):
            data = [entry(i) for i in range(first, min(n, first + batch))]
            start = time.perf_counter()
            log.append(data)
            build += time.perf_counter() - start
    out: dict[str, Any] = {"entries": n, "batch": batch, "appends_per_second": round(n / build)}
    start = time.perf_counter()
    with Ledger.open(folder, key):
        out["open_seconds"] = round(time.perf_counter() - start, 3)
    out["bytes"] = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    reader = LedgerReader(folder, key.verifier)
    rng = random.Random(1)
    places = [rng.randrange(n) for _ in range(1000)]
    proofs = [reader.inclusion(i) for i in places]
    leaves = [reader.node(0, i) for i in places]
    root = reader.checkpoint.root
    if not all(
        merkle.included(leaf_, (i, n), p, root) and standalone.root_by_inclusion(leaf_, i, n, p) == root
        for i, p, leaf_ in zip(places, proofs, leaves, strict=True)
    ):
        raise SystemExit("a proof is wrong")
    out["proof_hashes"] = {"min": min(map(len, proofs)), "max": max(map(len, proofs))}
    out["prove_us"] = median_us(lambda i: reader.inclusion(places[i]), 1000)
    out["verify_inclusion_us"] = median_us(lambda i: merkle.included(leaves[i], (places[i], n), proofs[i], root), 1000)
    whole = LedgerProof(places[0], tuple(proofs[0]), reader.note, key.verifier)
    out["verify_with_signature_us"] = median_us(lambda i: whole.check(entry(places[0])), 300)
    out["find_ms"] = round(median_us(lambda i: reader.find(entry(places[i])), 5) / 1000, 1)

    agree = {True: 0, False: 0}
    for i in range(10_000):
        new = rng.randint(1, n)
        old = rng.randint(0, new)
        proof = merkle.consistency_proof(old, new, reader.node)
        roots = [merkle.range_root(0, old, reader.node), merkle.range_root(0, new, reader.node)]
        if i % 2:
            at = rng.randrange(len(proof) + 2)
            if at < len(proof):
                proof[at] = rng.randbytes(32)
            elif rng.random() < 0.5:
                roots[at - len(proof)] = rng.randbytes(32)
            else:
                proof.insert(rng.randrange(len(proof) + 1), rng.randbytes(32))
        ours = merkle.consistent((old, new), (roots[0], roots[1]), proof)
        if ours != standalone.grown(old, new, roots[0], roots[1], proof):
            raise SystemExit(f"the verifiers disagree about {old} and {new}")
        agree[ours] += 1
    out["consistency_pairs_that_agree"] = {"right": agree[True], "wrong": agree[False]}
    start = time.perf_counter()
    wrong, _ = check(folder, key.verifier)
    out["check_all_seconds"] = round(time.perf_counter() - start, 1)
    start = time.perf_counter()
    standalone.check_ledger(str(folder), key.verifier.text())
    out["stand_alone_seconds"] = round(time.perf_counter() - start, 1)
    out["wrong"] = wrong
    shutil.rmtree(folder)
    return out


def cuts(work: Path, key: SignerKey, _: argparse.Namespace) -> dict[str, Any]:
    """Cut the journal at every byte of its last three records, acknowledged ones and one that never was."""
    folder = work / "cuts"
    with Ledger.create(folder, key) as log:
        for i in range(5):
            log.append([entry(i)])
        before = (folder / "checkpoint").read_bytes()
        middle = (folder / "journal").read_bytes()
        log.append([entry(5)])
    data = (folder / "journal").read_bytes()
    frames, _rest = ledger.read_frames(data)
    found = {"reported": 0, "recovered": 0, "silent": 0}
    for cut in range(frames[-4].end, len(data)):
        bad = work / "cut"
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(folder, bad)
        (bad / "journal").write_bytes(data[:cut])
        reported = bool(check(bad)[0])
        try:
            Ledger.open(bad, key).close()
        except ReceiptError:
            found["reported" if reported else "silent"] += 1
        else:
            found["silent"] += 1
    unacknowledged = 0
    for cut in range(len(middle) + 1, len(data)):
        torn = work / "torn"
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(folder, torn)
        (torn / "journal").write_bytes(data[:cut])
        (torn / "checkpoint").write_bytes(before)  # the append never came so far as to publish
        with Ledger.open(torn, key) as log:
            if log.size != 5 or not log.recovered or check(torn)[0]:
                raise SystemExit(f"cut at {cut}: not recovered")
        unacknowledged += 1
    found["recovered"] = unacknowledged
    return found


def flipped(data: bytes) -> Any:
    for at in range(len(data)):
        for bit in range(8):
            yield bytes([*data[:at], data[at] ^ (1 << bit)]) + data[at + 1 :]


def flips(work: Path, key: SignerKey, options: argparse.Namespace) -> dict[str, Any]:
    """Every single bit of a small ledger; of a small signed picture, its seal, receipt, maps and proof."""
    from tratto.jobs import SaveOptions, Session
    from tratto.provenance import credentials
    from tratto.provenance.verify import verify

    folder = work / "flips"
    with Ledger.create(folder, key) as log:
        log.append([entry(0), entry(1)])
        log.append([entry(2)])
    out: dict[str, Any] = {"ledger": {"bits": 0, "missed": 0}}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "lock"):
        data = path.read_bytes()
        for bad in flipped(data):
            path.write_bytes(bad)
            out["ledger"]["bits"] += 1
            out["ledger"]["missed"] += not check(folder)[0]
        path.write_bytes(data)

    if not any(k.name == "me" for k in keys.list_keys()):
        keys.new_key("me", "identity")
    rng = np.random.default_rng(0)
    Pil.fromarray(rng.integers(90, 160, (24, 32, 3), dtype=np.uint8)).save(work / "in.png")
    session = Session(notary=notary.Notary(keys.identity("me"), folder))
    result = session.restore(work / "in.png")
    saved = session.save(result, work / "small.png", SaveOptions(), work / "in.png")
    if verify(saved.output).word != "authentic":
        raise SystemExit("the small picture is not authentic")
    files = [saved.output, *(saved.bundle / n for n in (
        "seal.json", "receipt.json", "edit-map.png", "confidence.png", "ledger.json"))]  # fmt: skip
    out["signed picture"] = {
        "bytes": saved.output.stat().st_size,
        "changed": result.receipt["outputs"]["picture"]["maps"]["edit"]["stats"],
    }
    counts = {p.name: {"bits": 0, "missed": 0} for p in files}
    asked = alone = 0
    every = [(p, at, bit) for p in files for at in range(p.stat().st_size) for bit in range(8)]
    random.Random(3).shuffle(every)
    end = time.perf_counter() + options.seconds
    for path, at, bit in every:
        if time.perf_counter() > end:
            break
        flip(path, at, bit)
        counts[path.name]["bits"] += 1
        counts[path.name]["missed"] += verify(saved.output, deep=False).word != "altered"
        if path == saved.output and counts[path.name]["bits"] % 17 == 0:
            asked += 1
            alone += credentials.read(path, "png").state == "untrusted"  # it would be trusted with a root
        flip(path, at, bit)
    out["bits there are"] = len(every)
    out["bits tried"] = sum(c["bits"] for c in counts.values())
    out["with bundle"] = counts
    out["picture alone: flips that the credentials do not cover"] = {"bits": asked, "missed": alone}
    return out


def witness(work: Path, key: SignerKey, _: argparse.Namespace) -> dict[str, Any]:
    """Random forks, rollbacks and forgeries before a witness; honest growth must pass."""
    keys.new_key("eye", "witness")
    keys.new_key("rogue", "ledger", key.verifier.name)
    rogue = keys.signer("rogue", "ledger")
    rng = random.Random(4)
    tried = {"honest": 0, "fork": 0, "rollback": 0, "forged": 0}
    caught = dict.fromkeys(tried, 0)
    for i in range(100):
        me = Witness(work / f"eye-{i}", keys.signer("eye", "witness"))
        me.watch(key.verifier)
        size, more = rng.randint(1, 700), rng.randint(0, 300)
        honest = [entry(k) for k in range(size + more)]
        place = rng.randrange(size)
        fork = [*honest[:place], b"another story", *honest[place + 1 :]]
        stories: dict[str, tuple[list[bytes], SignerKey]] = {
            "start": (honest[:size], key), "honest": (honest, key), "fork": (fork, key),
            "rollback": (honest[: rng.randrange(size)], key), "forged": (honest, rogue),
        }  # fmt: skip
        for name, (entries, signer) in stories.items():
            folder = work / f"story-{i}-{name}"
            with Ledger.create(folder, signer) as log:
                log.append(entries)
            reader = LedgerReader(folder)
            last = me.last(key.verifier.name)
            try:
                me.sign(request(reader, 0 if last is None else last.checkpoint.size))
                refused = False
            except TrattoError:
                refused = True
            if name != "start":
                tried[name] += 1
                caught[name] += refused
            shutil.rmtree(folder)
    return {"tried": tried, "refused": caught}


def sign(work: Path, key: SignerKey, _: argparse.Namespace) -> dict[str, Any]:
    """Seconds per megapixel to sign and to verify, beside the bare library with the same certificate."""
    if not any(k.name == "me" for k in keys.list_keys()):
        keys.new_key("me", "identity")
    return {f"{side}x{side}, seconds per megapixel": sign_one(work, side) for side in (512, 1024)}


def sign_one(work: Path, side: int) -> dict[str, Any]:
    import c2pa

    from tratto.core import canonical
    from tratto.jobs import SaveOptions, Session
    from tratto.provenance import credentials
    from tratto.provenance.edit_map import stats_of
    from tratto.provenance.verify import verify
    from tratto.tasks.restore import RestoreOptions

    me = keys.identity("me")
    rng = np.random.default_rng(side)
    source = work / f"{side}.png"
    smooth = np.linspace(60, 190, side)[None, :, None] * np.ones((side, 1, 3))
    Pil.fromarray(np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)).save(source)
    plain, signing = Session(), Session(notary=notary.Notary(me, None))
    result = plain.restore(source, RestoreOptions(force=True))
    mp = side * side / 1e6
    row: dict[str, Any] = {"changed": stats_of(result.edit_map, False).changed_fraction}

    def seconds(run: Callable[[], object], mp: float = mp) -> float:
        times = []
        for _i in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return round(statistics.median(times) / mp, 3)

    target, unsigned = work / f"signed-{side}.png", work / f"plain-{side}.png"
    row["save_unsigned"] = seconds(lambda: plain.save(result, unsigned, SaveOptions(), source, overwrite=True))
    row["save_signed"] = seconds(lambda: signing.save(result, target, SaveOptions(), source, overwrite=True))
    bundle = target.with_suffix(".tratto")
    data = (bundle / "receipt.json").read_bytes()
    account = credentials.SignedClaim(
        canonical.loads(data), data, (bundle / "edit-map.png", bundle / "confidence.png"), result.edit_map, None, source
    )  # fmt: skip
    row["sign_alone"] = seconds(lambda: credentials.sign(unsigned, work / "s.png", "png", account, me))

    def bare() -> None:
        definition = {
            "claim_generator_info": [{"name": "x", "version": "1"}], "format": "image/png",
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [{
                "action": "c2pa.opened", "parameters": {"ingredientIds": ["original"]}}]}}],
        }  # fmt: skip
        settings = credentials._settings(b"")
        with c2pa.Context.from_dict(settings) as context, c2pa.Builder.from_json(definition, context) as builder:
            with open(source, "rb") as f:
                builder.add_ingredient(
                    {"title": "original", "relationship": "parentOf", "label": "original"}, "image/png", f
                )
            info = c2pa.C2paSignerInfo(me.algorithm, me.chain_pem, me.private_pem, None)
            with c2pa.Signer.from_info(info) as by, open(unsigned, "rb") as a, open(work / "b.png", "w+b") as b:
                builder.sign(by, "image/png", a, b)

    row["bare_library_sign"] = seconds(bare)
    row["read_credentials"] = seconds(lambda: credentials.read(target, "png"))
    row["bare_library_read"] = seconds(lambda: credentials.read(work / "b.png", "png"))
    row["verify_quick"] = seconds(lambda: verify(target, deep=False))
    row["verify_deep"] = seconds(lambda: verify(target))
    row["verify_deep_unsigned"] = seconds(lambda: verify(unsigned))
    row["bytes"] = {"unsigned": unsigned.stat().st_size, "signed": target.stat().st_size}
    return row


def kills(work: Path, key: SignerKey, options: argparse.Namespace) -> dict[str, Any]:
    """Restore a folder under kill -9: the test of that name, with more kills."""
    test = Path(__file__).parents[1] / "tests/cli/test_cli_ledger.py"
    line = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(test), "-k", "killed"]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env={**os.environ, "TRATTO_KILLS": str(options.kills)}
    )
    said = [s for s in (done.stdout + done.stderr).splitlines() if "kills," in s]
    if done.returncode or not said:
        raise SystemExit(done.stdout + done.stderr)
    return {"passed": True, "counts": said[0].lstrip(".")}


PARTS = {f.__name__: f for f in (rate, million, cuts, flips, large, forgeries, witness, sign, kills)}


def machine() -> dict[str, Any]:
    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(s.partition(":")[2].strip() for s in lines if s.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600, help="of flips and of large, at most")
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, help="where to work: on the disk that is to be measured")
    options = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "load": os.getloadavg()}
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work = Path(folder)
        os.environ["TRATTO_KEYS"] = str(work / "keys")
        keys.new_key("log", "ledger", "bench.invalid/log")
        key = keys.signer("log", "ledger")
        for name in options.part or PARTS:
            start = time.perf_counter()
            result[name] = PARTS[name](work, key, options)
            result[name]["took_seconds"] = round(time.perf_counter() - start, 1)
            sys.stderr.write(f"{name}: {json.dumps(result[name])}\n")
    text = json.dumps(result, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
