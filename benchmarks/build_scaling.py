"""How time and memory of ``tratto data build`` and of the reader grow with the number of items.

Makes small pictures with sidecars, builds a data set from the first N of them for growing N, each in a process of its
own, and reads it back once. Prints a table; ``--out`` writes it as JSON too.

    python benchmarks/build_scaling.py --counts 500 1000 2000
    python benchmarks/build_scaling.py --counts 1000 4000 16000 40000 --intact

Pictures and items are 64x64 pixels, so the figures are about what grows with the number, not about how long a real
item takes: for that, ``tratto data build`` prints items per second. ``--intact`` draws no damage, which is most of the
work and the same for each item.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def make_pictures(folder: Path, count: int) -> None:
    """Write small pictures, each with a sidecar, in sub-folders of a thousand."""
    import cv2

    for number in range(count):
        rng = np.random.default_rng(number)
        small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        data = cv2.imencode(".png", cv2.resize(small, (64, 64), interpolation=cv2.INTER_CUBIC))[1].tobytes()
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        about = {"format": "tratto-collected/1", "source": "made", "id": str(number)}
        about |= {"sha256": hashlib.sha256(data).hexdigest(), "licence": {"id": "CC0-1.0", "family": "cc0", "url": ""}}
        path.with_name(f"{path.name}.json").write_text(json.dumps(about))


def measured(action: str, *arguments: str) -> dict[str, float]:
    """Do something in a process of its own, and return what it took."""
    done = subprocess.run([sys.executable, __file__, action, *arguments], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def usage(began: float, items: int) -> None:
    """Print what this process took."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    told = {"items": items, "wall": time.monotonic() - began, "cpu": mine.ru_utime + mine.ru_stime}
    print(json.dumps(told | {"peak_mb": mine.ru_maxrss / 1024}))


def build(pictures: str, out: str, count: str, intact: str) -> None:
    from tratto_lab.corpus import build_item
    from tratto_lab.corpus.build import build as make
    from tratto_lab.corpus.build_plan import BuildPlan

    if intact == "True":
        build_item.draw_damage = lambda rng: []
    began = time.monotonic()
    done = make(Path(pictures), Path(out), BuildPlan(size=64, limit=int(count)))
    usage(began, done.items)


def read(out: str) -> None:
    from tratto_lab.corpus.shards import Reading, Shards

    began = time.monotonic()
    usage(began, sum(1 for _ in Shards(Path(out), Reading(buffer=256)).raw()))


def resume(out: str) -> None:
    from tratto_lab.corpus.shards import Reading, Shards

    began = time.monotonic()
    whole = len(Shards(Path(out)))
    usage(began, sum(1 for _ in Shards(Path(out), Reading(buffer=256), position=whole - 1).raw()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[500, 1000, 2000, 4000])
    parser.add_argument("--intact", action="store_true", help="draw no damage")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    print("| items | build: CPU s | per item, ms | peak MB | read: CPU s | peak MB | resume at end: CPU s | disk MB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "pictures").mkdir()
        make_pictures(place / "pictures", max(asked.counts))
        for count in asked.counts:
            out = str(place / f"shards-{count}")
            built = measured("--build", str(place / "pictures"), out, str(count), str(asked.intact))
            back, last = measured("--read", out), measured("--resume", out)
            if not built["items"] == back["items"] == count or last["items"] != 1:
                raise SystemExit(f"{count} items were asked for, {built['items']} built, {back['items']} read")
            disk = sum(p.stat().st_size for p in Path(out).iterdir()) / 1e6
            rows.append({"count": count, "build": built, "read": back, "resume": last, "disk_mb": disk})
            print(
                f"| {count} | {built['cpu']:.1f} | {1000 * built['cpu'] / count:.2f} | {built['peak_mb']:.0f} | "
                f"{back['cpu']:.1f} | {back['peak_mb']:.0f} | {last['cpu']:.1f} | {disk:.0f} |",
                flush=True,
            )
    if asked.out:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
        asked.out.write_text(
            json.dumps({"date": time.strftime("%Y-%m-%d"), **machine, "intact": asked.intact, "rows": rows}, indent=1)
            + "\n"
        )


if __name__ == "__main__":
    actions = {"--build": build, "--read": read, "--resume": resume}
    if len(sys.argv) > 1 and sys.argv[1] in actions:
        actions[sys.argv[1]](*sys.argv[2:])
    else:
        main()
