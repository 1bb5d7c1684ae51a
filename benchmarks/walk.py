"""How a picture travels through the house: moves between rooms while ``tratto restore`` does one picture.

    python benchmarks/walk.py [TREE] [--calls]

TREE is a checkout (this one unless given). A profile hook follows the command; of each function the first call that
carries the picture, what is made of it, or the path it came from counts. ``core`` (values) and ``imaging`` (pure
functions) are left out, as are readers of model cards. A move is backward if it leads to a room nearer the door; the
way back from ``provenance`` to the rooms that write and tell is not. Rooms from the door inward:
cli, batch / jobs, session / jobs, tasks, engine, steps, providers, backends, models, provenance.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image as Pil

HERE = Path(__file__).resolve().parents[1]
#: Rooms from the door inward; those of older trees beside those that took their place.
ORDER = ("cli", "batch", "session", "jobs", "tasks", "engine", "steps", "providers", "backends", "models", "provenance")

HOOK = """
import json, os, sys
from pathlib import Path
SRC, PICTURE, OUT = sys.argv[1:4]
CARRIES = {"Image", "Canvas", "Result", "Outcome", "Inspection", "Estimated", "RestoredTile", "StepRecord", "ndarray",
           "memmap", "Prepared", "ReceiptInputs", "BundleParts", "FileOutcome", "Recipe", "FolderJob", "Source",
           "RestoreOptions", "Target"}
seen, walk, files = set(), [], set()
root = os.path.join(SRC, "tratto") + os.sep

def carries(frame):
    code = frame.f_code
    for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        value = frame.f_locals.get(name)
        kind = type(value).__name__
        if kind == "ndarray" and getattr(value, "ndim", 0) < 2:
            continue
        if kind in CARRIES or (isinstance(value, (str, Path)) and str(value).startswith((PICTURE, OUT))):
            return True
    return False

def hook(frame, event, arg):
    if event != "call":
        return
    name = frame.f_code.co_filename
    if not name.startswith(root):
        return
    files.add(name)
    room = name[len(root):].split(os.sep)[0]
    if room.endswith(".py") or room in ("core", "imaging", "models") or frame.f_code in seen:
        return
    if frame.f_code.co_name.startswith(("<", "__")) or not carries(frame):
        return
    seen.add(frame.f_code)
    walk.append((room, os.path.relpath(name, root) + ":" + frame.f_code.co_qualname))

from tratto.cli.main import app
sys.argv = ["tratto", "restore", PICTURE, "-o", OUT]
sys.setprofile(hook)
try:
    app(sys.argv[1:], standalone_mode=False)
except SystemExit:
    pass
sys.setprofile(None)
print(json.dumps({"walk": walk, "files": len(files)}))
"""


def main() -> int:
    """Walk and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, nargs="?", default=HERE)
    parser.add_argument("--calls", action="store_true", help="name each function, too")
    given = parser.parse_args()
    source = given.tree.resolve() / "src"
    with tempfile.TemporaryDirectory(prefix="walk-") as made:
        picture, out = Path(made) / "walked.png", Path(made) / "out"
        rng = np.random.default_rng(3)
        noisy = np.clip(np.full((160, 200, 3), 120.0) + rng.normal(0, 20, (160, 200, 3)), 0, 255).astype(np.uint8)
        Pil.fromarray(noisy).save(picture)
        line = [sys.executable, "-c", HOOK, str(source), str(picture), str(out)]
        done = subprocess.run(line, env={"PYTHONPATH": str(source), "PATH": ""}, capture_output=True, text=True)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
    import json

    told = json.loads(done.stdout.splitlines()[-1])
    rooms: list[str] = []
    for room, name in told["walk"]:
        if given.calls:
            print(f"{room:12} {name}")
        if not rooms or rooms[-1] != room:
            rooms.append(room)
    back = [f"{a} > {b}" for a, b in pairwise(rooms) if ORDER.index(b) < ORDER.index(a) and a != "provenance"]
    print(" > ".join(rooms))
    print(f"{len(rooms) - 1} moves, {len(back)} backward ({', '.join(back)}); {told['files']} files entered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
