"""The damage detector's sixth stage with two more blocks that follow lines, further than those before. Some minutes.

A scratch that crosses calm and busy places was found in the calm ones alone. The new blocks begin as nothing; two runs
that are averaged later need the same beginning.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_many.py"))

RUN = replace(
    BASE,
    name="damage_deeper",
    initial="damage_many",
    network_options={**BASE.network_options, "refine": 4},
    steps=60,
    data=replace(
        BASE.data, scanned_gray_share=0.3, kinds={"crack": 1.5, "dirt": 2.0, "fold": 1.2, "scratch": 4.0, "stain": 2.0}
    ),
    optim=Optim(lr=2e-4, lr_end=1e-4, warmup=30, ema=0.9, slow="encoder", slow_rate=0.15, presence_weight=1.0),
    seed=19,
    save_every=60,
    check_every=1000,
    log_every=20,
)
