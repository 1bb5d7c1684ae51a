"""The damage detector as a whole, its ImageNet features at a tenth of the rate, larger crops. One core, 40 minutes."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage.py"))

RUN = replace(
    BASE,
    name="damage_tune",
    initial="damage",
    train_only="",
    steps=3_500,
    batch=4,
    data=replace(BASE.data, patch=192),
    optim=Optim(lr=1e-3, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.1),
    seed=13,
)
