"""Forge receipts by the thousand, and see that nothing but plain answers come of them.

Three small jobs (noise taken off, a hole filled, a wall repainted) give three bundles. Of each receipt every field is
exchanged for values of other kinds, and every parameter of every step for every wrong type; the receipt is written in
canonical form, and report and seal are made to fit it, so that no hash gives it away. Each forgery goes through
``verify``, ``replay``, ``audit`` and ``revert``.

Counted are exceptions that are not Tratto's own, and false words: *authentic*, where something is stated that the
bundle itself disproves. What nobody can disprove from a bundle (the processor, the reasons, what was asked) is left
out, see ``FREE``.

Run: ``python benchmarks/forged_receipts.py --count 3000``. Exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import collections
import copy
import itertools
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tratto.core import canonical
from tratto.core.errors import TrattoError
from tratto.core.hashing import FileFacts
from tratto.core.image import ColorMode, Image
from tratto.imaging.io import write_image
from tratto.jobs import Session
from tratto.jobs.sdk import known_models
from tratto.provenance.audit import AuditOptions, audit
from tratto.provenance.bundle import read_bundle, revert
from tratto.provenance.seal import build_seal
from tratto.provenance.verify import verify
from tratto.tasks import recolor, repair, restore

#: Values of every kind that JSON has, and some that are right in kind and wrong in size.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 7, 2**53 - 1, 0.5, -2.5, 1e300, "", "x", "0" * 64, "bicubic", "nlm",
    "not for examination", [], [0], ["x"], [[1, 2], [3, 4]], {}, {"a": 1}, {"provider": "nlm"}, "9" * 300, [None] * 50,
)  # fmt: skip
#: Beginnings of fields that a bundle cannot disprove.
FREE = (
    "environment", "warnings", "stand_ins", "recipe.asked", "recipe.resolved.reasons", "inspection", "tool",
    "outputs.picture.picture.format",  # in what the picture came, which of a result nothing depends on
)  # fmt: skip


def picture(seed: int) -> Image:
    """Return a small noisy picture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:32, 0:40]
    flat = np.stack([x * 3 + 60, y * 4 + 50, (x + y) + 90], -1)
    return Image(np.clip(flat + rng.normal(0, 14, flat.shape), 0, 255).astype(np.uint8), ColorMode.RGB)


def bundles(folder: Path) -> list[Path]:
    """Make the three jobs; return their pictures."""
    session, out = Session(), []
    mask = np.zeros((32, 40), bool)
    mask[8:20, 10:26] = True
    for name in ("restore", "repair", "recolor"):
        source = folder / f"{name}-in.png"
        write_image(picture(len(out)), source, "png")
        if name == "restore":
            result = session.restore(source, restore.RestoreOptions(force=True, provider="nlm"))
        elif name == "repair":
            result = session.repair(source, repair.RepairOptions(method="patch"), mask=mask)
        else:
            result = session.recolor(source, recolor.RecolorOptions(color="#7a8f6a"), mask=mask)
        out.append(session.save(result, folder / name / "a.png", source=source).output)
    return out


def fields(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every field, tables and lists included."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, (*at, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value[:3]):
            yield from fields(inner, (*at, i))


def exchanged(receipt: dict[str, Any], changes: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    """Return a receipt with some fields exchanged."""
    new = copy.deepcopy(receipt)
    for place, value in changes:
        holder = new
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = copy.deepcopy(value)
    return new


def forgeries(receipt: dict[str, Any], seed: int) -> Iterator[list[tuple[tuple[Any, ...], Any]]]:
    """Yield what to exchange: every step's parameter of every wrong type first, then fields in random order."""
    for i, step in enumerate(receipt["steps"]):
        for name in step["params"]:
            for value in VALUES:
                # consistently, as somebody would who wants to be believed
                yield [
                    (("steps", i, "params", name), value),
                    (("recipe", "resolved", "steps", i, "params", name), value),
                ]
    every = list(itertools.product(fields(receipt), range(len(VALUES))))
    rng = np.random.default_rng(seed)
    for k in rng.permutation(len(every)):
        place, value = every[int(k)]
        yield [(place, VALUES[value])]


def write(output: Path, good: Any, receipt: dict[str, Any], page: str) -> bool:
    """Write a forged receipt with a report and a seal that fit; False if it has no canonical form."""
    folder = output.with_suffix(".tratto")
    try:
        data = canonical.dumps(receipt)
    except TrattoError:
        return False
    page = page.replace(FileFacts.of(good.receipt_bytes).sha256, FileFacts.of(data).sha256)
    (folder / "receipt.json").write_bytes(data)
    (folder / "report.html").write_text(page, encoding="utf-8", newline="\n")
    files = dict(good.sealed_files) | {"report.html": FileFacts.of(page.encode("utf-8"))}
    (folder / "seal.json").write_bytes(canonical.dumps(build_seal(FileFacts.of(data), good.sealed_output, files)))
    return True


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay-every", type=int, default=1, help="replay each n-th forgery only")
    options = parser.parse_args()
    began, words = time.monotonic(), collections.Counter()
    foreign: list[str] = []
    false: list[str] = []
    known, session = known_models(), Session()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = bundles(folder)
        share = -(-options.count // len(made))
        done = 0
        for output in made:
            bundle = output.with_suffix(".tratto")
            good, page = read_bundle(bundle), (bundle / "report.html").read_text(encoding="utf-8")
            for number, changes in enumerate(itertools.islice(forgeries(good.receipt, options.seed), share)):
                forged = exchanged(good.receipt, changes)
                if not write(output, good, forged, page):
                    words["no canonical form"] += 1
                    continue
                done += 1
                place = ".".join(map(str, changes[0][0]))
                told = f"{output.parent.name}: {place} = {str(changes[0][1])[:40]!r}"
                same = canonical.dumps(forged) == good.receipt_bytes

                def attempt(what: str, act: Any, told: str = told) -> Any:
                    try:
                        return act()
                    except TrattoError:
                        return None
                    except Exception:
                        foreign.append(f"{what} of {told}\n{traceback.format_exc(limit=-3)}")
                        return None

                verdict = attempt("verify", lambda o=output: verify(o, known=known))
                words[getattr(verdict, "word", "refused")] += 1
                # nothing in another form (no list, an empty one) states nothing else
                empty = not changes[0][1] and changes[0][1] not in (0, False) and not _held(good.receipt, changes[0][0])
                told_apart = not same and not empty and not place.startswith(FREE)
                if verdict is not None and verdict.word == "authentic" and told_apart:
                    false.append(f"authentic: {told}")
                attempt("receipt alone", lambda b=bundle, f=folder: _alone(b, f, known))
                if number % options.replay_every == 0:
                    tier = attempt("replay", lambda b=bundle: session.replay(b))
                    words[f"replay {tier.tier}" if tier is not None else "replay refused"] += 1
                target = folder / "back.png"
                attempt("revert", lambda b=bundle, t=target: revert(b, t))
                if target.exists():
                    source = folder / f"{output.parent.name}-in.png"
                    if target.read_bytes() != source.read_bytes():
                        false.append(f"reverted to another file: {told}")
                    target.unlink()
                if number % 50 == 0:
                    asked = AuditOptions(deep=True, known=known, replay=lambda p: session.replay(p).tier)
                    rows = attempt("audit", lambda o=output, a=asked: audit(o.parent, a))
                    words["audited"] += 0 if rows is None else len(rows)
            write(output, good, good.receipt, page)
            if verify(output, known=known).word != "authentic":
                false.append(f"{output.parent.name}: the good receipt is not authentic any more")
    for line in (*foreign[:20], *false[:40]):
        print(line)
    counts = ", ".join(f"{w}: {n}" for w, n in sorted(words.items()))
    print(f"{done} forged receipts in {time.monotonic() - began:.0f} s: {counts}")
    print(f"{len(foreign)} foreign exceptions, {len(false)} false words")
    return 1 if foreign or false else 0


def _held(receipt: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        receipt = receipt[key]
    return receipt


def _alone(bundle: Path, folder: Path, known: Any) -> str:
    lone = folder / "lone.json"
    lone.write_bytes((bundle / "receipt.json").read_bytes())
    word = verify(lone, known=known).word
    if word == "authentic":
        raise AssertionError("a receipt alone was called authentic")
    return word


if __name__ == "__main__":
    sys.exit(main())
