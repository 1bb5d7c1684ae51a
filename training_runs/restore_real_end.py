"""The end of a stage of the network for real noise: the rate falls to nothing, and a decibel on a clean picture counts.

Begins with the EMA weights of restore_real.py.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_real.py"))

RUN = replace(
    BASE,
    name="restore_real_end",
    initial="restore_real",
    grow=False,
    steps=800,
    data=replace(BASE.data, mix=replace(BASE.data.mix, clean=0.06, nearly_clean=0.10)),
    optim=Optim(lr=4e-4, lr_end=1e-6, warmup=20, fft=0.0, decibels=0.002, ema=0.99),
    ships_as="tratto-restore-real",
    calibrate_on=("sigma", "noisy", "photograph", "octaves", "film", "twice"),
    seed=47,
    check_every=400,
    save_every=100,
)
