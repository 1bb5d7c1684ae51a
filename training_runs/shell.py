"""The network that tells a two-layer shell of an object from one picture. One shared core, two hours.

``--photos`` is the pack that ``tratto-lab data shells`` renders of Debian's ``sweethome3d-furniture``.
"""

from tratto_lab.training.config import FEATURES, Data, Optim, Run

RUN = Run(
    name="shell",
    ships_as="tratto-shell",
    network="shell",
    initial=FEATURES,
    train_only="trunk",
    steps=4_000,
    batch=8,
    data=Data(patch=128),
    optim=Optim(lr=1.5e-3, lr_end=1e-5, warmup=150, weight_decay=1e-2, ema=0.995, decay_share=0.3),
    seed=31,
    save_every=100,
    log_every=50,
    check_every=250,
)
