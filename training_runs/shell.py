"""The network that tells a two-layer shell of an object from one picture. One core, two hours.

``--photos`` is the pack that ``tratto-lab data shells FOLDER -o PACK --views 20 --seed 7`` renders of Debian's
``sweethome3d-furniture``.
"""

from tratto_lab.training.config import FEATURES, Data, Optim, Run

RUN = Run(
    name="shell",
    ships_as="tratto-shell",
    network="shell",
    network_options={"dropout": 0.15},
    initial=FEATURES,
    train_only="trunk",
    steps=14_000,
    batch=8,
    data=Data(patch=128),
    optim=Optim(lr=1.5e-3, lr_end=1e-5, warmup=150, weight_decay=3e-2, ema=0.998, decay_share=0.5),
    seed=33,
    save_every=200,
    log_every=50,
    check_every=500,
)
