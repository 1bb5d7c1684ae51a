"""Two gloo processes with half a batch each must follow one process with the whole batch."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from PIL import Image  # noqa: E402

from tratto_lab.corpus.pack import build_pack  # noqa: E402
from tratto_lab.training.config import Data, Optim, Run  # noqa: E402
from tratto_lab.training.loop import run  # noqa: E402

CONFIG = Run(
    name="pair",
    network="restorer",
    network_options={"widths": (8, 8), "encoder": (1,), "bottleneck": 1, "decoder": (1,)},
    steps=6,
    batch=4,
    data=Data(patch=16),
    optim=Optim(warmup=2),
    save_every=6,
    log_every=1,
    check_every=100,
)
CODE = (
    "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, sys.argv[1])\n"
    "from pathlib import Path; import test_two_processes as t\n"
    # threads of torch's gloo sometimes abort while the interpreter shuts down, long after all is written: leave before
    "t.run(t.CONFIG, *map(Path, sys.argv[2:5])); import os; os._exit(0)"
)


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _losses(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return np.array([r["loss"] for r in rows if "loss" in r])


def test_two_processes_follow_one(tmp_path):
    torch.set_num_threads(1)
    photos, pack = tmp_path / "photos", tmp_path / "pack"
    photos.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (120, 120, 3), np.uint8)
    Image.fromarray(picture).save(photos / "a.png")
    build_pack(photos, pack, text_pages=0)
    one = _losses(run(replace(CONFIG), photos, tmp_path / "one", pack))
    port = _free_port()
    group = []
    for rank in range(2):
        env = dict(os.environ)
        env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
        env |= {"OMP_NUM_THREADS": "1"}
        folders = [str(v) for v in (Path(__file__).parent, photos, tmp_path / "two", pack)]
        command = [sys.executable, "-c", CODE, *folders]
        group.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
    for process in group:
        _, errors = process.communicate(timeout=180)
        assert process.returncode == 0, errors
    two = _losses(tmp_path / "two" / "pair")
    # Means over half batches are added in another order: 1e-7 per step, growing with the steps.
    np.testing.assert_allclose(two, one, rtol=2e-4, atol=1e-5)
