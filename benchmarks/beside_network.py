"""Processor time of ``tratto restore`` beside the network, with an older tree and this one, at the same content.

    python benchmarks/beside_network.py [OLD] [--repeats N] [--profile] [--megapixels X]

OLD is a checkout; both trees are run in turns by this interpreter on one core, each time in a process of its own, on
the same photograph: an example picture, enlarged to X megapixels, with white noise of sigma 10 (PNG) or as a JPEG of
quality 35. Counted is processor time of the command, less what passed inside the run of any network, and the same by
the clock on the wall, which other work on the machine lengthens. The command is run on a picture of 64 x 64 pixels
first, in the same process: what that took (start, modules, cards, tables) is told apart, and is what the first picture
of a process pays on top.

Prints the median per tree, how often the input's file was opened, and the largest resident memory. ``--profile`` prints
where this tree's time goes instead.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pil

HERE = Path(__file__).resolve().parents[1]

HOOK = """
import builtins, cProfile, io, json, os, pstats, resource, sys, time
SMALL, PICTURE, OUT, PROFILE = sys.argv[1:5]
opened = 0

def watch(event, args):
    global opened
    if event == "open" and args[0] == PICTURE:
        opened += 1

sys.addaudithook(watch)
import onnxruntime
inside = runs = waited = 0.0

class Timed:
    def __init__(self, *args, **kwargs):
        begun = now()
        self._session = Session(*args, **kwargs)
        count(begun)

    def run(self, *args):
        global runs
        begun = now()
        try:
            return self._session.run(*args)
        finally:
            runs += 1
            count(begun)

    def __getattr__(self, name):
        return getattr(self._session, name)

def now():
    return time.process_time(), time.perf_counter()

def count(begun):
    global inside, waited
    inside += time.process_time() - begun[0]
    waited += time.perf_counter() - begun[1]

Session = onnxruntime.InferenceSession
onnxruntime.InferenceSession = Timed
from tratto.cli.main import app

def restore(picture):
    try:
        app(["restore", picture, "-o", OUT], standalone_mode=False)
    except SystemExit as e:
        if e.code:
            raise

restore(SMALL)
started = time.process_time() - inside
inside = runs = waited = 0.0
begun = now()
profile = cProfile.Profile(time.process_time)
if PROFILE:
    profile.enable()
restore(PICTURE)
profile.disable()
took, passed = (end - start for end, start in zip(now(), begun))
if PROFILE:
    out = io.StringIO()
    pstats.Stats(profile, stream=out).sort_stats(PROFILE).print_stats(60)
    print(out.getvalue(), file=sys.stderr)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(
    {"start": started, "network": inside, "runs": runs, "beside": took - inside, "wall": passed - waited,
     "opened": opened, "memory": memory}
))
"""


def photograph(megapixels: float) -> np.ndarray:
    """Return an example picture, enlarged, with noise.

    Returns
    -------
    (H, W, 3) uint8
    """
    picture = Pil.open(HERE / "examples" / "pictures" / "rocket.jpg").convert("RGB")
    by = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
    size = round(picture.width * by), round(picture.height * by)
    clean = np.asarray(picture.resize(size, Pil.Resampling.BICUBIC), np.float32)
    noise = np.random.default_rng(7).normal(0, 10, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


def measure(tree: Path, picture: Path, profile: str = "") -> dict[str, Any]:
    """Run the command once on one thread and return what was measured."""
    paths = {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="beside-") as out:
        line = [
            sys.executable,
            "-c",
            HOOK,
            str(picture.with_name(f"small{picture.suffix}")),
            str(picture),
            out,
            profile,
        ]
        if hasattr(os, "sched_setaffinity"):  # a pool of threads per core is one thread then, in both trees
            line = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *line]
        done = subprocess.run(line, env={**os.environ, **paths}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    if profile:
        print(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, nargs="?")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--profile", choices=("", "tottime", "cumtime"), nargs="?", const="tottime", default="")
    given = parser.parse_args()
    trees = {"old": given.old.resolve()} if given.old else {}
    trees["new"] = HERE
    with tempfile.TemporaryDirectory(prefix="beside-") as made:
        noisy = Pil.fromarray(photograph(given.megapixels))
        noisy.save(Path(made) / "noise.png")
        noisy.save(Path(made) / "jpeg.jpg", quality=35)
        for ending in (".png", ".jpg"):
            noisy.crop((0, 0, 64, 64)).save(Path(made) / f"small{ending}", quality=35)
        for name in ("noise.png", "jpeg.jpg"):
            picture = Path(made) / name
            if given.profile:
                measure(HERE, picture, given.profile)
                continue
            rows: dict[str, list[dict[str, Any]]] = {tree: [] for tree in trees}
            for _ in range(given.repeats):
                for tree, where in trees.items():
                    rows[tree].append(measure(where, picture))
            for tree, found in rows.items():
                middle = {key: statistics.median(f[key] for f in found) for key in found[0]}
                print(
                    f"{name:10} {tree:4} beside the network {middle['beside']:5.2f} s "
                    f"({middle['beside'] / given.megapixels:.2f} s/MP, by the clock {middle['wall']:.2f} s), "
                    f"in {middle['runs']:.0f} runs of networks "
                    f"{middle['network']:6.2f} s, start and small picture {middle['start']:.2f} s, "
                    f"file opened {middle['opened']:.0f} times, "
                    f"{middle['memory']:.0f} MiB"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
