"""The network for real noise, on from the weights that are kept in the repository, wherever its run's folder is not."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("restore_real.py"))

RUN = replace(
    BASE,
    name="restore_real_more",
    initial=str(Path(__file__).parent / "checkpoints" / "restore_real.safetensors"),
    grow=False,
    seed=43,
)
