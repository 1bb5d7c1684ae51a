"""The damage detector that ships: the average of its second and third stage, batch statistics measured anew.

Ten minutes of one core. Weights of a run and of its continuation may be averaged (Wortsman et al. 2022); the batch
statistics of an average must be measured again (Izmailov et al. 2018, "Averaging weights leads to wider optima"), which
a few steps at a small rate do.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_wide.py"))

RUN = replace(
    BASE,
    name="damage_average",
    initial="damage_wide",
    blend=(("damage_tune", 0.5),),
    steps=240,
    optim=Optim(lr=5e-5, lr_end=1e-6, warmup=20, ema=0.98, slow="encoder", slow_rate=0.15),
    seed=15,
    save_every=120,
    check_every=120,
)
