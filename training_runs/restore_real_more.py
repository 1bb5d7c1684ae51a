"""The network for real noise, on from the end of its first stage: a smaller rate, which falls over the second half.

More white noise under JPEG, which it had forgotten most of; fewer clean pictures, and a decibel on them counts less:
at the end of the first stage it took faint noise for texture and left six of eight real pictures as they were.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_real_end.py"))

RUN = replace(
    BASE,
    name="restore_real_more",
    initial="restore_real_end",
    steps=2_200,
    data=replace(BASE.data, mix=replace(BASE.data.mix, clean=0.04, nearly_clean=0.05, noise_jpeg=0.08)),
    optim=Optim(lr=4e-4, lr_end=1e-6, warmup=50, fft=0.0, decibels=0.0006, ema=0.998, decay_share=0.5),
    seed=53,
    check_every=600,
    save_every=100,
)
