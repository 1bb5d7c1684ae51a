"""The damage detector, third stage: blocks that follow thin damage, more kinds of pictures.

One core, an hour and a half. The photographs are those of before, with ten of lomiri-wallpapers-16.04 and 30 textures
and prints of ufoai-textures (``tratto data packages``, docs/learning.md). What is found worst is drawn most.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_tune.py"))

RUN = replace(
    BASE,
    name="damage_wide",
    initial="damage_tune",
    network_options={"refine": 2},
    steps=4_500,
    data=replace(
        BASE.data,
        intact_share=0.2,
        exposed_share=0.4,
        gray_share=0.35,
        kinds={"crack": 2.0, "dirt": 2.5, "scratch": 2.0},
    ),
    optim=Optim(lr=1e-3, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15),
    seed=14,
    save_every=200,
    check_every=500,
)
