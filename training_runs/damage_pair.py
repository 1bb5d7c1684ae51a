"""The damage detector, eighth stage: the average of two runs of the seventh, and larger crops.

Some minutes. Weights of two runs from one beginning may be averaged (Wortsman et al. 2022, "Model soups"); the batch
statistics of the average must be measured again (Izmailov et al. 2018, "Averaging weights leads to wider optima"),
which some steps at a small rate do. What says which kinds a picture has at all sees more of it.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_gray.py"))

RUN = replace(
    BASE,
    name="damage_pair",
    initial="damage_gray",
    blend=(("damage_other", 0.5),),
    steps=240,
    batch=2,
    data=replace(BASE.data, patch=384),
    optim=Optim(lr=1e-4, lr_end=1e-6, warmup=20, ema=0.98, slow="encoder", slow_rate=0.15, presence_weight=1.0),
    seed=22,
    save_every=120,
    check_every=120,
)
