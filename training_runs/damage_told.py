"""The damage detector, fifth stage: a kind that the picture as a whole does not show is ruled out everywhere in it.

A little over an hour of one core. What says which kinds there are is trained harder, and the decoder with it.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_whole.py"))

RUN = replace(
    BASE,
    name="damage_told",
    initial="damage_whole",
    network_options={"refine": 2, "presence": 64, "strictness": 8.0, "margin": 1.0, "joint": True, "looks": 4},
    steps=3_600,
    data=replace(BASE.data, intact_share=0.15, kinds={"crack": 1.5, "dirt": 1.5, "scratch": 2.5, "stain": 2.5}),
    optim=Optim(lr=8e-4, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15, presence_weight=1.0),
    seed=17,
)
