"""A folder on one process, on two and on Ray; killed at random and resumed; a manifest of many small pictures.

python benchmarks/batch.py --pictures 500 --kills 20 --rows 10000 --out benchmarks/results/batch.json

Everything that a result is made of is compared byte for byte, but for ``observed.json``, which states times, and the
seal over it. Pictures are noise on a gradient, restored by the network unless ``--provider`` names another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COMMAND = [sys.executable, "-c", "from tratto.cli.main import main; main()", "restore"]
TIMES = ("observed.json", "seal.json")


def pictures(folder: Path, count: int, side: int) -> Path:
    """Write so many noisy pictures, each another."""
    folder.mkdir(parents=True)
    ramp = np.linspace(40, 210, side)[None, :, None]
    for k in range(count):
        rng = np.random.default_rng(k)
        noisy = ramp + rng.normal(0, 8 + k % 9, (side, side, 3)) + rng.uniform(-20, 20, 3)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"{k:05}.png")
    return folder


def digest(out: Path) -> tuple[int, str]:
    """Return how many files results have that depend on no time, and a hash of them all."""
    found = sorted(p for p in out.rglob("*") if p.is_file() and p.name not in TIMES and not p.name.startswith("."))
    whole = hashlib.sha256()
    for path in found:
        whole.update(f"{path.relative_to(out)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return len(found), whole.hexdigest()


def timed(line: list[str]) -> dict[str, Any]:
    """Run a command; return its wall time, CPU time of it and all that it started, and its summary."""
    before, begun = os.times(), time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 8):
        raise SystemExit(f"{' '.join(line[3:])} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    said = done.stdout.splitlines()[-1]
    return {"seconds": round(time.perf_counter() - begun, 1), "cpu": round(cpu, 1), "said": said}


def side_by_side(folder: Path, args: argparse.Namespace, more: list[str]) -> dict[str, Any]:
    """Do one folder three times."""
    ways = {"one process": ["--jobs", "1"], "two processes": ["--jobs", "2"]}
    if not args.no_ray:
        ways["ray, two workers"] = ["--jobs", "2", "--on", "ray"]
    told: dict[str, Any] = {"pictures": args.pictures, "side": args.side}
    for name, flags in ways.items():
        out = folder / name.replace(" ", "-")
        told[name] = {**timed([*COMMAND, str(folder / "in"), "-o", str(out), *flags, *more])}
        told[name]["files"], told[name]["sha256"] = digest(out)
        print(f"{name}: {told[name]}", flush=True)
    told["same bytes"] = len({told[name]["sha256"] for name in ways}) == 1
    return told


def killed(folder: Path, args: argparse.Namespace, more: list[str], right: str) -> dict[str, Any]:
    """Kill a run at random so many times, let the last one finish, and compare."""
    rng, out = random.Random(args.seed), folder / "killed"
    line = [*COMMAND, str(folder / "in"), "-o", str(out), "--jobs", "2", *more]
    made = []
    for _ in range(args.kills):
        begun = len(list(out.glob("*.png")))
        running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # at random within the time that an even share of the folder takes, once the work is under way
        share = max(1, args.pictures // (args.kills + 1))
        until = begun + rng.randint(0, 2 * share)
        while running.poll() is None and len(list(out.glob("*.png"))) < until:
            time.sleep(0.02)
        time.sleep(rng.random() * 0.2)
        running.send_signal(signal.SIGKILL)
        running.wait()
        time.sleep(0.3)
        made.append(len(list(out.glob("*.png"))) - begun)
    last = timed(line)
    files, sha256 = digest(out)
    hidden = sorted({p.name for p in out.rglob(".*")})
    return {
        "kills": args.kills, "made between kills": made, "last run": last, "files": files,
        "same bytes": sha256 == right, "left behind": [n for n in hidden if n != ".tratto-journal.jsonl"],
    }  # fmt: skip


def watched(line: list[str]) -> dict[str, Any]:
    """Run a command and look at the memory of it and its workers ten times a second."""
    running = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    parent: list[int] = []
    workers: list[int] = []

    def look() -> None:
        while running.poll() is None:
            sizes = {pid: resident(pid) for pid in [running.pid, *children(running.pid)]}
            parent.append(sizes[running.pid])
            if len(sizes) > 1:
                workers.append(max(size for pid, size in sizes.items() if pid != running.pid))
            time.sleep(0.1)

    begun = time.perf_counter()
    thread = threading.Thread(target=look)
    thread.start()
    said, told = running.communicate()
    thread.join()

    def ends(sizes: list[int]) -> dict[str, int]:
        """Median MB of the second and the last tenth of a run, and the most."""
        tenth = max(1, len(sizes) // 10)
        early, late = sorted(sizes[tenth : 2 * tenth]), sorted(sizes[-tenth:])
        return {"early": early[len(early) // 2], "late": late[len(late) // 2], "most": max(sizes)} if early else {}

    return {
        "seconds": round(time.perf_counter() - begun, 1), "exit code": running.returncode,
        "MB of the command": ends(parent), "MB of a worker": ends(workers), "said": said.splitlines()[-1:],
        "lines of standard error": len(told.splitlines()),
    }  # fmt: skip


def resident(pid: int) -> int:
    """Return the megabytes that a process has in memory."""
    try:
        text = Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except OSError:
        return []


def manifest(folder: Path, args: argparse.Namespace, more: list[str]) -> dict[str, Any]:
    """Do a manifest of so many rows, of which one in a hundred names a file that is none."""
    source, out = pictures(folder / "small", min(args.rows, 200), 16), folder / "listed"
    names = sorted(p.name for p in source.iterdir())
    with open(folder / "list.jsonl", "w") as file:
        for k in range(args.rows):
            name = "nothing.png" if k % 100 == 99 else names[k % len(names)]
            file.write(json.dumps({"source": f"small/{name}", "out": f"{k // 100:03}/{k:05}"}) + "\n")
    line = [*COMMAND, "--manifest", str(folder / "list.jsonl"), "-o", str(out), "--jobs", "2", *more, "--no-original"]
    told = {"rows": args.rows, **watched(line)}
    errors = out / "tratto-errors.jsonl"
    told["errors in the file"] = len(errors.read_text().splitlines()) if errors.exists() else 0
    told["again"] = watched(line)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    more = ["--provider", args.provider, "--force", "--sigma", "12"] if args.provider == "auto" else [
        "--provider", args.provider
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pictures(folder / "in", args.pictures, args.side)
        told: dict[str, Any] = {"side by side": side_by_side(folder, args, more)}
        if args.kills:
            told["killed"] = killed(folder, args, more, told["side by side"]["one process"]["sha256"])
            print(f"killed: {told['killed']}", flush=True)
        if args.rows:
            told["manifest"] = manifest(folder, args, ["--provider", "nlm"])
            print(f"manifest: {told['manifest']}", flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
