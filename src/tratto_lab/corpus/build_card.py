"""The card of a built data set: what it holds, under which licences, and what is missing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tratto.core.files import write_text
from tratto_lab.corpus.shards import read_index
from tratto_lab.simulate.damage import CLASSES


def write_card(out: Path, plan: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Write ``card.json`` and ``DATA_CARD.md`` from the indexes of all shards, one after the other.

    Parameters
    ----------
    out : Path
        Folder of the shards.
    plan : mapping
        As ``plan.json`` keeps it.
    folder : str
        Name of the folder the pictures came from.

    Returns
    -------
    dict
        What ``card.json`` holds.
    """
    counts: dict[str, Counter[str]] = {k: Counter() for k in ("licences", "collections", "classes", "skipped", "made")}
    pictures: dict[bytes, str] = {}
    twice: set[bytes] = set()
    shards: list[dict[str, Any]] = []
    items = size = nameless = intact = 0
    covered = 0.0
    for path in sorted(out.glob("shard-*.json")):
        index = read_index(path)
        shards.append({k: index[k] for k in ("name", "bytes", "sha256")} | {"items": len(index["items"])})
        size += index["bytes"]
        counts["made"][str(index.get("tratto"))] += len(index["items"])
        for entry in index["skipped"]:
            counts["skipped"][entry["reason"]] += 1
        for entry in index["items"]:
            items += 1
            counts["licences"][entry["licence"]] += 1
            counts["collections"][entry["collection"]] += 1
            counts["classes"].update(entry["classes"])
            covered += entry["covered"]
            intact += not entry["classes"]
            nameless += not entry["author"]
            digest = bytes.fromhex(entry["picture"])
            if pictures.setdefault(digest, entry["source"]) != entry["source"]:
                twice.add(digest)
    card: dict[str, Any] = {
        "format": "tratto-data-card/1",
        "plan": dict(plan),
        "folder": folder,
        "items": items,
        "shards": len(shards),
        "bytes": size,
        "pictures": len(pictures),
        "pictures_under_several_names": len(twice),
        "licences": dict(sorted(counts["licences"].items())),
        "collections": dict(sorted(counts["collections"].items())),
        "classes": {k: counts["classes"][k] for k in CLASSES},
        "intact": intact,
        "mean_share_damaged": round(covered / items, 6) if items else 0.0,
        "without_author": nameless,
        "skipped": dict(sorted(counts["skipped"].items())),
        "made_with_tratto": dict(sorted(counts["made"].items())),
        "sha256": hashlib.sha256("".join(s["sha256"] for s in shards).encode()).hexdigest(),
        "files": shards,
    }
    card["missing"] = _missing(card)
    write_text(out / "card.json", json.dumps(card, ensure_ascii=False, indent=1) + "\n")
    write_text(out / "DATA_CARD.md", _markdown(card))
    return card


def _missing(card: Mapping[str, Any]) -> list[str]:
    """Say what this data set does not have, so that nobody takes it for granted."""
    out = []
    for name, value in (("depth", card["plan"]["depth"]), ("captions", card["plan"]["caption"])):
        if value == "none":
            out.append(f"{name}: no provider was asked")
        elif value.get("stand_in"):
            out.append(f"real {name}: made by {value['provider']}, a stand-in for {value['stand_in']}")
    out += [f"damage of the class {kind}" for kind, count in card["classes"].items() if not count]
    if card["skipped"]:
        out.append(f"{sum(card['skipped'].values())} items that could not be made")
    if card["without_author"]:
        out.append(f"the author of {card['without_author']} items, whose source names none")
    if card["pictures_under_several_names"]:
        out.append(
            f"distinct pictures: {card['pictures_under_several_names']} are there under several names (tratto data "
            "dedupe finds these, and near-equal ones)"
        )
    out.append("real damage: all damage is simulated, and what simulation does not know is not in here")
    return out


def _table(head: str, rows: Mapping[str, Any]) -> list[str]:
    return [f"| {head} | items |", "| --- | --- |", *(f"| {k.replace('|', '/')} | {v} |" for k, v in rows.items()), ""]


def _markdown(card: Mapping[str, Any]) -> str:
    plan = card["plan"]
    alike = any("-SA-" in k or k.endswith("-SA") for k in card["licences"])
    lines = [
        "# Data card",
        "",
        f"{card['items']} items of {plan['size']}x{plan['size']} pixels from {card['pictures']} pictures, in "
        f"{card['shards']} shards, {card['bytes'] / 1e6:.1f} MB. Each item: the restored picture (a part of a real "
        "one), the same damaged by simulation, a mask for each class of damage, and its licence and attribution"
        + (", depth" if plan["depth"] != "none" else "")
        + (", a caption" if plan["caption"] != "none" else "")
        + ".",
        "",
        f"SHA-256 over the hashes of all shards: `{card['sha256']}`. Seed {plan['seed']}.",
        "",
        "## Licences",
        "",
        *_table("licence", card["licences"]),
        "Each item's JSON holds the attribution that must be shown with it or with what shows it."
        + (" Items under a share-alike licence may be passed on under the same licence only." if alike else ""),
        "",
        "## Sources",
        "",
        *_table("collection", card["collections"]),
        "`stated`: pictures without a sidecar, whose licence was stated by who built this.",
        "",
        "## Damage",
        "",
        *_table("class", card["classes"]),
        f"Intact: {card['intact']} items. Damaged pixels: {100 * card['mean_share_damaged']:.1f} % on average.",
        "",
        "## What is missing",
        "",
        *[f"- {line}" for line in card["missing"]],
        "",
    ]
    if card["skipped"]:
        lines += ["## Left out", "", *_table("reason", card["skipped"])]
    lines += ["## Files", "", "| shard | items | bytes | SHA-256 |", "| --- | --- | --- | --- |"]
    lines += [f"| {s['name']} | {s['items']} | {s['bytes']} | `{s['sha256']}` |" for s in card["files"]]
    return "\n".join(lines) + "\n"
