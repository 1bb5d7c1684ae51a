"""A kill before each single step that reaches the disk, one after the other, and what the next run makes of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

SOURCE = str(Path(__file__).parents[3] / "src")

#: Forks a child for each try: it ends at once, without tidying up, before its nth fsync or rename. A second child then
#: does the same work to its end, and its folder is described. One line of JSON for each n, until no n is reached.
SCRIPT = """
import json, os, shutil, sys
from pathlib import Path
from tratto.imaging import io  # before the forks, so that each is quick
{imports}

def work(out):
{work}

def armed(n):
    left = [n]
    def before(real):
        def call(*given, **named):
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
            return real(*given, **named)
        return call
    os.fsync, os.replace = before(os.fsync), before(os.replace)

def child(task):
    number = os.fork()
    if number == 0:
        code = 1
        try:
            task()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

for n in range(1, 200):
    out = Path(sys.argv[1]) / str(n)
    first = child(lambda: (armed(n), work(out)))
    visible = sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) if out.exists() else []
    second = child(lambda: work(out))
    print(json.dumps({{"n": n, "first": first, "visible": visible, "second": second}}), flush=True)
    if first == 0:
        break
"""


def tries(tmp_path, imports, work):
    script = SCRIPT.format(imports=imports, work="\n".join(f"    {line}" for line in work.strip().splitlines()))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "tries")],
        env={**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows[-1]["first"] == 0
    assert {r["first"] for r in rows[:-1]} == {9}
    assert {r["second"] for r in rows} == {0}, done.stderr
    return rows


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_collecting_survives_a_kill_at_any_step(museum, tmp_path):
    for number in range(1, 5):
        museum.commons(number, museum.jpeg(min(number, 3)))  # the last two are equal
    museum.page_size = 2
    work = f"""
from tratto_lab.collect.client import Client, RetryPolicy
from tratto_lab.collect.run import CollectPlan, collect
from tratto_lab.collect.sources import open_source
collect(open_source("wikimedia", base={museum.url!r}), CollectPlan("walls", out, 10),
        Client(RetryPolicy(interval=0, contact="me"), {museum.url!r}))
"""
    (tmp_path / "tries").mkdir()
    imports = "import tratto_lab.collect.run, tratto_lab.collect.wikimedia, tratto.imaging.io.jpeg"
    rows = tries(tmp_path, imports, work)
    assert len(rows) > 20
    for row in rows:
        out = tmp_path / "tries" / str(row["n"])
        kept = sorted(p.name for p in out.glob("*.jpg"))
        assert kept == [f"wikimedia-{n}.jpg" for n in (1, 2, 3)]
        for name in kept:
            about = json.loads((out / f"{name}.json").read_text())
            assert about["sha256"] == hashlib.sha256((out / name).read_bytes()).hexdigest()
        # at the moment of the kill, no picture was there without its sidecar
        assert all(f"{n}.json" in row["visible"] for n in row["visible"] if n.endswith(".jpg"))
        events = [json.loads(x) for x in (out / ".collect" / "journal.jsonl").read_text().splitlines()]
        assert sorted(e["id"] for e in events if e["event"] in ("kept", "same")) == ["1", "2", "3", "4"]
        assert not list((out / ".collect" / "parts").iterdir())
        assert len((out / "index.jsonl").read_text().splitlines()) == 3


def test_building_survives_a_kill_at_any_step(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for number in range(5):
        Pil.fromarray(rng.integers(0, 256, (70, 70, 3)).astype(np.uint8)).save(photos / f"{number}.png")
    work = f"""
from tratto_lab.corpus.build import build
from tratto_lab.corpus.build_plan import BuildPlan
build(Path({str(photos)!r}), out, BuildPlan(size=64, per_shard=2, stated="CC0"))
"""
    (tmp_path / "tries").mkdir()
    rows = tries(tmp_path, "import cv2, tratto_lab.corpus.build, tratto.imaging.color\ncv2.setNumThreads(0)", work)
    assert len(rows) > 15
    found = set()
    for row in rows:
        out = tmp_path / "tries" / str(row["n"])
        found.add(tuple((p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in sorted(out.iterdir())))
        assert not list(out.glob(".*.part"))
    assert len(found) == 1
    assert len(next(iter(found))) == 10  # lock, plan, card, page, and three shards with their indexes
