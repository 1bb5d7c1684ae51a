"""The network that tells shapes, continued: the first run was still improving when it ended. One core, an hour.

It was stopped after 12 600 steps, before the rate fell, and ``shell_bent`` went on from there. Its pack is that of
``shell``. Without its checkpoint, ``initial`` may name the exported file that ships, or what is kept in
``checkpoints``.
"""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="shell_more",
    ships_as="tratto-shell",
    network="shell",
    network_options={"dropout": 0.15},
    initial="shell",
    train_only="trunk",
    steps=20_000,
    batch=8,
    data=Data(patch=128),
    optim=Optim(lr=1e-3, lr_end=1e-5, warmup=150, weight_decay=1e-2, ema=0.998, decay_share=0.4),
    seed=32,
    save_every=200,
    log_every=50,
    check_every=500,
)
