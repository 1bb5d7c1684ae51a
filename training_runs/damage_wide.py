"""The damage finder, third stage: blocks that follow thin damage, more kinds of pictures, a third of them intact.

One core, an hour and a half. The photographs are those of before with Debian's lomiri-wallpapers and ufoai-textures
(``tratto data photos``).
"""

from dataclasses import replace
from pathlib import Path

from tratto.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_tune.py"))

RUN = replace(
    BASE,
    name="damage_wide",
    initial="damage_tune",
    network_options={"refine": 2},
    steps=6_000,
    data=replace(BASE.data, intact_share=0.25, exposed_share=0.5, gray_share=0.35),
    optim=Optim(lr=1.2e-3, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15),
    seed=14,
    save_every=200,
    check_every=500,
)
