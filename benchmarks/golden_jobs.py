"""Twelve jobs with an older tree and this one, compared sample by sample and step by step.

    python benchmarks/golden_jobs.py OLD [NEW] [--only NAME] [--keep DIR]

OLD and NEW are checkouts (NEW: this one); both are run by this interpreter with their own ``src`` in front. Inputs are
made from the example pictures with fixed seeds. For each job the result's samples, the edit and the confidence map, the
resolved recipe and the records of all steps must be the same. Recipes are compared as this tree reads them, so that a
field that was renamed on purpose counts as the same; of a receipt's own form nothing is compared.

Prints a row per job and leaves with 1 if any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image as Pil

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class GoldenJob:
    """One command.

    Attributes
    ----------
    name : str
    line : tuple of str
        Arguments of ``tratto`` without ``-o``; names of inputs are relative to the folder of inputs.
    output : str
        Name of the picture that it writes.
    """

    name: str
    line: tuple[str, ...]
    output: str


JOBS = (
    GoldenJob("restore noise", ("restore", "noisy.png"), "noisy.png"),
    GoldenJob("restore JPEG", ("restore", "blocks.jpg"), "blocks.png"),
    GoldenJob("restore x2", ("restore", "noisy.png", "--scale", "2", "--provider", "tratto"), "noisy.png"),
    GoldenJob("restore x4", ("restore", "small.png", "--scale", "4", "--force", "--provider", "tratto"), "small.png"),
    GoldenJob("restore masked", ("restore", "noisy.png", "--mask", "half.png"), "noisy.png"),
    GoldenJob("restore strength", ("restore", "noisy.png", "--strength", "0.4"), "noisy.png"),
    GoldenJob("restore page", ("restore", "pages.tif", "--page", "2"), "pages-page-002.tif"),
    GoldenJob("restore CMYK 16", ("restore", "inks.tif", "--force"), "inks.tif"),
    GoldenJob("repair passes", ("repair", "noisy.png", "--mask", "first", "--mask", "second.png"), "noisy.png"),
    GoldenJob("repair auto", ("repair", "scratched.png", "--mask", "auto"), "scratched.png"),
    GoldenJob("recolor color", ("recolor", "room.png", "--mask", "wall.png", "--color", "#9db4c8"), "room.png"),
    GoldenJob(
        "recolor texture",
        (
            *("recolor", "room.png", "--mask", "wall.png", "--texture", "paper.png"),
            *("--corners", "20,20 150,22 150,100 20,104", "--repeat", "4,3"),
        ),
        "room.png",
    ),
)


def make_inputs(folder: Path) -> None:
    """Write the inputs of all jobs."""
    rng = np.random.default_rng(7)
    cat = Pil.open(HERE / "examples/pictures/cat.jpg").convert("RGB")
    crop = cat.resize((192, 144), Pil.Resampling.LANCZOS)
    clean = np.asarray(crop).astype(np.float32)
    noisy = np.clip(clean + rng.normal(0, 20, clean.shape), 0, 255).astype(np.uint8)
    Pil.fromarray(noisy).save(folder / "noisy.png")
    crop.save(folder / "blocks.jpg", quality=30)
    crop.resize((96, 72), Pil.Resampling.LANCZOS).save(folder / "small.png")
    half = np.zeros((144, 192), np.uint8)
    half[:, 96:] = 255
    half[:, 88:96] = 128
    Pil.fromarray(half).save(folder / "half.png")
    grey = np.asarray(crop.convert("L"))
    second = np.clip(grey.astype(np.float32) + rng.normal(0, 15, grey.shape), 0, 255).astype(np.uint8)
    with tifffile.TiffWriter(folder / "pages.tif") as tif:
        tif.write(grey, photometric="minisblack")
        tif.write(second, photometric="minisblack")
    inks = np.stack([255 - noisy[..., 0], 255 - noisy[..., 1], 255 - noisy[..., 2], grey // 3], axis=2)
    wide = inks.astype(np.uint16) * 257
    tifffile.imwrite(folder / "inks.tif", wide, photometric="separated")
    (folder / "first").mkdir()
    crack, stain = np.zeros((144, 192), np.uint8), np.zeros((144, 192), np.uint8)
    crack[30:33, 10:150] = 255
    stain[80:110, 60:90] = 255
    Pil.fromarray(crack).save(folder / "first/crack.png")
    Pil.fromarray(stain).save(folder / "first/stain.png")
    later = np.zeros((144, 192), np.uint8)
    later[50:54, 100:180] = 255
    Pil.fromarray(later).save(folder / "second.png")
    big = np.asarray(cat.resize((384, 288), Pil.Resampling.LANCZOS)).copy()
    for k in range(6):
        x = 30 + 55 * k
        big[20 : 260 - 10 * k, x : x + 3] = 250
    Pil.fromarray(big).save(folder / "scratched.png")
    room = Pil.open(HERE / "examples/room/room.jpg").convert("RGB")
    wall = Pil.open(HERE / "examples/room/room_wall.png").convert("L")
    size = (240, round(240 * room.height / room.width))
    room.resize(size, Pil.Resampling.LANCZOS).save(folder / "room.png")
    wall.resize(size, Pil.Resampling.BOX).save(folder / "wall.png")
    y, x = np.mgrid[0:32, 0:32]
    paper = np.stack([200 + 30 * ((x // 8 + y // 8) % 2), 180 + 0 * x, 150 + 40 * (x % 16 < 3)], axis=2)
    Pil.fromarray(paper.astype(np.uint8)).save(folder / "paper.png")


def loaded_from(tree: Path) -> Path:
    """Return the file that ``import tratto`` reads with a tree: without one, the installed package would answer."""
    env = {**os.environ, "PYTHONPATH": str(tree / "src")}
    line = [sys.executable, "-c", "import tratto; print(tratto.__file__)"]
    return Path(subprocess.run(line, env=env, capture_output=True, text=True, check=True).stdout.strip()).resolve()


def run(tree: Path, job: GoldenJob, inputs: Path, out: Path) -> str:
    """Run one job with a tree; return what went wrong, or nothing."""
    env = {**os.environ, "PYTHONPATH": str(tree / "src"), "TRATTO_KEYS": str(out / "no-keys")}
    line = [sys.executable, "-m", "tratto.cli.main", *job.line, "-o", str(out)]
    done = subprocess.run(line, cwd=inputs, env=env, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


def samples(path: Path) -> str:
    """Return a hash of a picture's samples as independent readers see them."""
    if path.suffix in (".tif", ".tiff"):
        values = tifffile.imread(path)
    else:
        with Pil.open(path) as picture:
            values = np.asarray(picture)
    return hashlib.sha256(f"{values.shape}{values.dtype}".encode() + np.ascontiguousarray(values).tobytes()).hexdigest()


def facts(output: Path) -> dict[str, Any]:
    """Return what is compared of a result."""
    from tratto.core.recipe import Recipe
    from tratto.steps import step_class

    bundle = output.with_suffix(".tratto")
    receipt = json.loads((bundle / "receipt.json").read_text())
    resolved = Recipe.from_json(receipt["recipe"]["resolved"], step_class).to_json()
    records = [{k: v for k, v in step.items() if k != "params"} for step in receipt["steps"]]
    return {
        "picture": samples(output),
        "edit map": samples(bundle / "edit-map.png"),
        "confidence map": samples(bundle / "confidence.png"),
        "recipe": resolved,
        "steps": records,
    }


def main() -> int:
    """Compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=HERE)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path, default=None, help="folder to leave inputs and results in")
    given = parser.parse_args()
    for tree in (given.old, given.new):
        loaded = loaded_from(tree.resolve())
        if tree.resolve() not in loaded.parents:
            sys.exit(f"{tree} is no tree of Tratto: what would run is {loaded}")
    sys.path.insert(0, str(HERE / "src"))
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="golden-") as made:
        folder = given.keep or Path(made)
        inputs = folder / "in"
        inputs.mkdir(parents=True)
        make_inputs(inputs)
        for number, job in enumerate(JOBS):
            if given.only not in job.name:
                continue
            outs = {name: folder / name / str(number) for name in ("old", "new")}
            problems = [
                f"{name}: {error}"
                for name, tree in (("old", given.old), ("new", given.new))
                if (error := run(tree.resolve(), job, inputs, outs[name]))
            ]
            if not problems:
                was, now = (facts(outs[name] / job.output) for name in ("old", "new"))
                problems = [key for key in was if was[key] != now[key]]
                steps = ", ".join(s["step"] for s in now["steps"]) or "left alone"
            wrong += bool(problems)
            print(f"{job.name:18} {'differs: ' + '; '.join(problems) if problems else 'identical (' + steps + ')'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
