"""The network that tells shapes, on from the third run, for as long as there is time: errors still fell when it ended.

``--photos`` is the pack that ``tratto-lab data shells FOLDER -o PACK --views 20 --seed 9 --bend 0.2`` renders of
Debian's ``sweethome3d-furniture``.
"""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="shell_further",
    ships_as="tratto-shell",
    network="shell",
    network_options={"dropout": 0.15},
    initial="shell_bent",
    train_only="trunk",
    steps=20_000,
    batch=8,
    data=Data(patch=128),
    optim=Optim(lr=1e-3, lr_end=1e-5, warmup=150, weight_decay=3e-2, ema=0.998, decay_share=0.6),
    seed=35,
    save_every=200,
    log_every=50,
    check_every=500,
)
