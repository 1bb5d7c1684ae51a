"""The damage detector, eleventh stage: the average of the ninth and the tenth. Some minutes; see ``damage_pair.py``."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

MEAN = load_run(Path(__file__).with_name("damage_mean.py"))
BASE = load_run(Path(__file__).with_name("damage_turned.py"))

RUN = replace(
    BASE,
    name="damage_turned_mean",
    initial="damage_turned",
    blend=(("damage_mean", 0.4),),
    steps=150,
    batch=2,
    data=replace(BASE.data, patch=384),
    optim=MEAN.optim,
    seed=26,
    save_every=150,
    check_every=150,
)
