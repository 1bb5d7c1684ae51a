"""The network for real noise, for longer: what ships as tratto-restore-real. The rate falls over the last fifth."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("restore_real_mesh.py"))

RUN = replace(
    BASE,
    name="restore_real_on",
    initial="restore_real_mesh",
    steps=4_600,
    optim=replace(BASE.optim, lr=4e-4, warmup=100, decay_share=0.2, ema=0.9995),
    log_every=50,
    seed=59,
    check_every=1000,
    save_every=200,
)
