"""The network for noise on more pictures, in other light and colours. One core, two hours.

The photographs are those of before, with ten of lomiri-wallpapers-16.04 and 30 textures and prints of ufoai-textures
(``tratto data packages``, docs/learning.md).
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_noise_deeper.py"))

RUN = replace(
    BASE,
    name="restore_noise_wide",
    initial="restore_noise_deeper",
    blend=(),
    steps=12_000,
    data=replace(BASE.data, exposed_share=0.4, swapped_share=0.3),
    optim=Optim(lr=6e-4, lr_end=1e-6, warmup=100, fft=0.0, decibels=0.004),
    seed=37,
)
