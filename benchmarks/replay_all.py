"""Replay 50 recipes that together cover every step and every provider that is ready here, and revert each.

``python benchmarks/replay_all.py [--side 96]``

Each recipe runs on a noisy picture made here (a different seed, mode and file format each), is written with its bundle,
replayed **in a process of its own**, verified and reverted. Prints how many reached tier A, how many verified as
authentic and how many originals came back byte for byte.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import tratto
from tratto.core.image import ColorMode, Image
from tratto.imaging import io
from tratto.jobs import SaveOptions, Session
from tratto.providers.catalogue import availability
from tratto.tasks.restore import make_options

KINDS = [("png", "rgb", 8), ("tif", "rgb", 16), ("png", "gray", 16), ("tif", "cmyk", 8), ("png", "rgb-alpha", 8)]
EXTRA: dict[str, list[dict[str, Any]]] = {
    "waifu2x": [{"noise": 0}, {"noise": 1}, {"noise": 2}, {"noise": 3}, {"noise": 1, "model": "cunet"}],
}


def picture(kind: tuple[str, str, int], side: int, seed: int) -> Image:
    """Return a noisy picture of a kind."""
    _, mode, bits = kind
    rng = np.random.default_rng(seed)
    top = 2**bits - 1
    base, _, alpha = mode.partition("-")
    channels = {"rgb": (3,), "gray": (), "cmyk": (4,)}[base]
    y, x = np.mgrid[:side, :side]
    wave = 0.5 + 0.3 * np.sin(x / (5 + seed % 7)) * np.cos(y / (4 + seed % 5))
    values = wave.reshape(side, side, *(1,) * len(channels)) + rng.normal(0, 0.08, (side, side, *channels))
    dtype = np.uint16 if bits == 16 else np.uint8
    pixels = np.clip(np.rint(values * top), 0, top).astype(dtype)
    plane = rng.integers(0, top + 1, (side, side)).astype(dtype) if alpha else None
    return Image(pixels, ColorMode(base), bits, plane)


def recipes() -> list[dict[str, Any]]:
    """Return 50 sets of options, every provider at every scale first."""
    ready = {a.name: a.ready for a in availability()}
    base = []
    for name, scales in ready.items():
        for scale in scales:
            variants = EXTRA.get(name, [{}])
            if name == "realesrgan":
                model = {2: "animevideo", 3: "animevideo", 4: "x4plus"}[scale]
                variants = [{"model": model}]
            base += [{"provider": name, "scale": scale, "params": v} for v in variants]
    tails = [{}, {"strength": 0.5}, {"kernel": "lanczos", "strength": 0.8}, {"seed": 7}]
    quick = [b for b in base if b["provider"] != "realesrgan"]
    more = ({**b, **t} for t, b in itertools.product(tails[1:], quick))
    return [*base, *itertools.islice(more, max(0, 50 - len(base)))]


def main() -> int:
    """Print the counts as JSON; return 0 if all are perfect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=96)
    args = parser.parse_args()
    session = Session()
    counts = {"recipes": 0, "tier_a": 0, "authentic": 0, "reverted": 0, "masked": 0}
    seen: set[str] = set()
    failures = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for k, fields in enumerate(recipes()):
            kind = KINDS[k % len(KINDS)]
            side = 48 if fields["provider"] in ("realesrgan", "waifu2x") else args.side
            source = root / f"{k}.{kind[0]}"
            io.write_image(picture(kind, side, k), source, "tiff" if kind[0] == "tif" else "png")
            mask = None
            if k % 4 == 3:
                mask = np.zeros((side, side), np.float32)
                mask[side // 4 : side // 2] = 1
                mask[side // 2 : side // 2 + 4] = 0.3
            result = session.restore(source, make_options(force=True, **fields), mask)
            saved = session.save(result, root / "out" / f"{k}.{kind[0]}", SaveOptions(), source=source)
            done = subprocess.run(
                [sys.executable, "-m", "tratto.cli.main", "replay", str(saved.bundle), "--json"],
                capture_output=True,
                text=True,
                check=False,
            )
            tier = json.loads(done.stdout)["tier"] if done.returncode == 0 else done.stderr.strip()
            back = tratto.revert(saved.output, root / f"{k}.back")
            seen |= {f"{r.step} by {r.provider}" for r in result.records}
            counts["recipes"] += 1
            counts["tier_a"] += tier == "A"
            counts["authentic"] += tratto.verify(saved.output).word == "authentic"
            counts["reverted"] += back.read_bytes() == source.read_bytes()
            counts["masked"] += mask is not None
            if tier != "A":
                failures.append({"recipe": fields, "kind": kind, "tier": tier})
    not_ready = sorted(a.name for a in availability("restorer") if not a.available)
    sys.stdout.write(
        json.dumps({**counts, "covered": sorted(seen), "not_ready": not_ready, "failures": failures}, indent=2) + "\n"
    )
    return 0 if counts["tier_a"] == counts["reverted"] == counts["authentic"] == counts["recipes"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
