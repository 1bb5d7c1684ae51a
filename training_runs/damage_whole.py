"""The damage detector, fourth stage: told by the whole picture which kinds of damage it has.

From the average that shipped before, on larger crops, a third of the damage smaller than before. What is found worst is
drawn most.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_wide.py"))

RUN = replace(
    BASE,
    name="damage_whole",
    initial="damage_average",
    network_options={"refine": 2, "presence": 64},
    steps=3_600,
    batch=3,
    data=replace(
        BASE.data,
        patch=256,
        intact_share=0.2,
        units=(0.65, 2.4),
        kinds={"crack": 2.0, "dirt": 1.5, "scratch": 2.0, "stain": 2.0},
    ),
    optim=Optim(lr=8e-4, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15),
    seed=16,
    save_every=200,
    check_every=500,
)
