"""The network for real noise unlearns print screens: it had taken the mesh of a chair for one. A few minutes.

Print screens are no longer among what is to be removed; fine regular dots stand among the clean pictures instead.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_real_more.py"))

RUN = replace(
    BASE,
    name="restore_real_mesh",
    initial="restore_real_more",
    steps=260,
    data=replace(BASE.data, screened_share=0.08, mix=replace(BASE.data.mix, halftone=0.0)),
    optim=Optim(lr=2e-4, lr_end=1e-6, warmup=10, fft=0.0, decibels=0.0006, ema=0.98),
    seed=61,
    log_every=20,
    save_every=20,
    check_every=10_000,
)
