"""The damage detector, sixth stage: three times as many photographs.

An hour and a half of one core. On photographs it was trained on the fifth stage is much better (scratches F1 0.74, on
others 0.51), so what it lacks is other pictures: here landscapes of endless-sky-high-dpi
(``tratto data packages``, docs/learning.md). More of the crops are intact or grey.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_told.py"))

RUN = replace(
    BASE,
    name="damage_many",
    initial="damage_told",
    steps=3_000,
    data=replace(BASE.data, intact_share=0.2, gray_share=0.4, collections={"endless-sky-high-dpi_": 0.5}),
    optim=Optim(lr=8e-4, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15, presence_weight=1.0),
    seed=18,
)
