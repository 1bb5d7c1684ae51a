"""The scale-1 network as it ships: tuned and untuned weights averaged, then the standard error head alone is trained.

The share was chosen on the held-out photographs: the untuned weights take JPEG traces better (27.28 against 26.99 dB
at quality 10), the tuned ones leave clean pictures alone (44.4 against 40.6 dB); at 0.7 clean pictures come back at 42.
"""

from dataclasses import replace
from pathlib import Path

from tratto.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("restore_x1_jpeg.py"))

RUN = replace(
    BASE,
    name="restore_x1_sigma",
    initial="restore_x1_jpeg",
    blend=(),
    train_only="sigma",
    calibrate_on=("sigma",),
    steps=400,
    data=replace(BASE.data, warm_mix=None, warm_share=0.0),
    optim=Optim(lr=5e-3, warmup=50, clip=10.0, ema=0.99),
    check_every=200,
)
