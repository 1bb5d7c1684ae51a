"""One item of a data set for repair, from one picture."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import InputError, TrattoError
from tratto.core.image import Depth, Image
from tratto_lab.collect.licences import licence_of
from tratto_lab.collect.run import read_sidecar
from tratto_lab.corpus.build_plan import BuildPlan, Tools
from tratto_lab.corpus.shards import encode_png
from tratto_lab.simulate.damage import CLASSES, damage_all, natural_unit

Bytes = NDArray[np.uint8]
#: Rows of the result that are made at once, which bounds memory for large pictures.
_BAND = 64
#: Why a picture without a licence is left out.
NO_SIDECAR = "no licence: it has no sidecar"


class Skip(Exception):
    """No item can be made of this picture."""


def make_item(
    folder: Path, name: str, variant: int, place: int, plan: BuildPlan, tools: Tools
) -> tuple[str, dict[str, bytes], dict[str, Any]]:
    """Make one item.

    Parameters
    ----------
    folder : Path
        Of the pictures.
    name : str
        Of the picture, relative to the folder.
    variant : int
        Which of the items from this picture.
    place : int
        Its number in the data set.
    plan : BuildPlan
        Size of the square, damage and licences.
    tools : Tools
        Who estimates depth, and who describes.

    Returns
    -------
    (str, dict of str to bytes, dict)
        Key, members by extension, and what the index of the shard keeps.
    """
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as e:
        raise Skip("cannot be read") from e
    digest = hashlib.sha256(data).hexdigest()
    terms = _terms(path, digest, plan)
    image = _decoded(data, plan)
    rng = np.random.default_rng([plan.seed, variant, *(int(digest[i : i + 8], 16) for i in range(0, 32, 8))])
    restored, crop = take_square(image, plan.size, rng)
    clean = restored.astype(np.float32) / np.float32(255)
    unit = natural_unit(plan.size, plan.size) * float(rng.uniform(0.8, 1.8))
    done = damage_all(clean, draw_damage(rng), rng, unit=unit)
    damaged = np.rint(done.picture * 255).astype(np.uint8)
    masks = {k: np.rint(done.masks[k] * 255).astype(np.uint8) for k in CLASSES if k in done.masks}
    classes = {k: round(float((m > 0).mean()), 6) for k, m in masks.items()}
    meta: dict[str, Any] = {
        "format": "tratto-item/1",
        "source": name,
        "picture_sha256": digest,
        "variant": variant,
        "seed": plan.seed,
        **terms,
        "crop": crop,
        "damage": [{"class": a.name, **a.parameters} for a in done.applied],
        "classes": classes,
        "depth": "none",
        "caption": "none",
    }
    members: dict[str, bytes] = {"json": b""}
    members["restored.png"] = encode_png(restored)
    members["damaged.png"] = encode_png(damaged)
    members.update({f"mask.{k}.png": encode_png(m) for k, m in masks.items()})
    if tools.depth is not None:
        meta["depth"], members["depth.png"] = _depth(tools.depth(clean), plan.size, tools.depth_by)
    if tools.caption is not None:
        text = tools.caption(clean)
        meta["caption"] = {**tools.caption_by, "of": "restored", "text": text}
        members["txt"] = text.encode("utf-8")
    members["json"] = json.dumps(meta, ensure_ascii=False, sort_keys=True).encode("utf-8")
    licence = terms["licence"]
    about = {
        "source": name,
        "variant": variant,
        "picture": digest,
        "licence": licence["id"],
        "family": licence["family"],
        "collection": terms["collection"],
        "author": bool(terms["author"]),
        "classes": list(classes),
        "covered": round(float((np.maximum.reduce(list(masks.values())) > 0).mean()), 6) if masks else 0.0,
    }
    return f"{place:09d}-{digest[:12]}", members, about


def _terms(path: Path, digest: str, plan: BuildPlan) -> dict[str, Any]:
    """Return licence and attribution of a picture, if it may be used."""
    sidecar = path.with_name(f"{path.name}.json")
    if not sidecar.exists():
        if not plan.stated:
            raise Skip(NO_SIDECAR)
        read = licence_of([plan.stated])
        known = read.id != ""
        licence = {
            "id": read.id or plan.stated,
            "family": read.family if known else "stated",
            "url": read.url,
            "said": plan.stated,
        }
        about: dict[str, Any] = {"licence": licence}
    else:
        try:
            about = read_sidecar(sidecar)
        except InputError as e:
            raise Skip("no licence: its sidecar cannot be read") from e
        if about["sha256"] != digest:
            raise Skip("its sidecar speaks of another file")
        family = str(about["licence"].get("family"))
        if family not in plan.licences:
            raise Skip(f"licence {family}")
    names = ("title", "author", "credit", "institution", "attribution", "page", "picture", "restrictions")
    texts = {k: str(about.get(k) or "") for k in names}
    return {"licence": about["licence"], "collection": str(about.get("source") or "stated"), **texts}


def _decoded(data: bytes, plan: BuildPlan) -> Image:
    from tratto.imaging import io

    limits = io.Limits(max_pixels=int(plan.max_megapixels * 1e6))
    try:
        image = io.read_image(data, limits)
    except TrattoError as e:
        raise Skip(f"cannot be decoded: {type(e).__name__}") from e
    if min(image.width, image.height) < plan.size:
        raise Skip("smaller than an item")
    return image


def take_square(image: Image, size: int, rng: np.random.Generator) -> tuple[Bytes, dict[str, int]]:
    """Take a random square out of a picture, area-averaged by a random whole factor.

    Parameters
    ----------
    image : Image
        Both sides at least ``size``.
    size : int
        Of the square, in pixels.
    rng : numpy.random.Generator
        Draws place and factor.

    Returns
    -------
    ((size, size, 3) uint8, dict)
        sRGB, turned as a viewer would show it, and where it was taken: ``x``, ``y``, ``side`` in stored order,
        ``shrink``, ``orientation``.
    """
    from tratto.imaging import io
    from tratto.imaging.color import view_rgb

    most = min(image.width, image.height) // size
    shrink = min(most, int(math.exp(rng.uniform(0.0, math.log(most + 1)))))
    side = shrink * size
    x, y = int(rng.integers(image.width - side + 1)), int(rng.integers(image.height - side + 1))
    out = np.empty((size, size, 3), np.uint8)
    for top in range(0, size, _BAND):
        rows = min(_BAND, size - top)
        part = image.pixels[y + top * shrink : y + (top + rows) * shrink, x : x + side]
        seen = view_rgb(image.replace(pixels=np.ascontiguousarray(part), alpha=None))
        mean = seen.reshape(rows, shrink, size, shrink, 3).mean(axis=(1, 3), dtype=np.float32)
        out[top : top + rows] = np.rint(np.clip(mean, 0, 1) * 255)
    place = {"x": x, "y": y, "side": side, "shrink": shrink, "orientation": image.meta.orientation}
    return np.ascontiguousarray(io.oriented(out, image.meta.orientation)), place


def draw_damage(rng: np.random.Generator) -> list[tuple[str, float]]:
    """Draw which damage an item gets: none in one of twenty, else one to three classes, each with its severity."""
    if rng.uniform() < 0.05:
        return []
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    kinds = rng.choice(len(CLASSES), size=count, replace=False)
    return [(CLASSES[int(k)], float(rng.uniform(0.15, 1.0))) for k in kinds]


def _depth(depth: Depth, size: int, by: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return what is said of a depth map, and the map in 16 bits between its own lowest and highest value."""
    values = np.asarray(depth.values, np.float32)
    if values.shape != (size, size) or not np.isfinite(values).all():
        raise InputError(f"a depth map of {size}x{size} finite numbers was expected, got {values.shape}")
    low, high = float(values.min()), float(values.max())
    span = high - low if high > low else 1.0
    levels = np.rint((values - np.float32(low)) / np.float32(span) * 65535).astype(np.uint16)
    facts = {**by, "of": "restored", "unit": depth.unit, "nearer_is": depth.nearer_is, "low": low, "high": low + span}
    return facts, encode_png(levels)
