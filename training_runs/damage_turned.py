"""The damage detector, tenth stage: more photographs, crops turned and stretched, damage that no longer stands upright.

An hour and a half of one core. Until here drips ran down and writing stood upright in every crop, whereas the detector
also looks at a picture mirrored and upside down; and a crop showed its photograph as it is, or by right angles. Of the
photographs, 192 more (a later edition of endless-sky-high-dpi; docs/learning.md) show forests, tunnels and trusses:
many thin lines that are no scratches.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import Optim, load_run

BASE = load_run(Path(__file__).with_name("damage_mean.py"))

RUN = replace(
    BASE,
    name="damage_turned",
    initial="damage_mean",
    blend=(),
    network_options={**BASE.network_options, "looks": 2, "closer": 1.5},
    steps=3_900,
    batch=3,
    data=replace(BASE.data, patch=256, exposed_share=0.5, swapped_share=0.15, turned_share=1.0, warped_share=0.6),
    optim=Optim(lr=8e-4, lr_end=1e-6, warmup=100, ema=0.998, slow="encoder", slow_rate=0.15, presence_weight=1.0),
    seed=24,
    save_every=200,
    check_every=650,
)
