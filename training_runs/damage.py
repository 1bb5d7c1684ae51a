"""The embedded damage finder, trained on simulated damage. One shared core, one to two hours."""

from tratto.training.config import Data, Optim, Run

RUN = Run(
    name="damage",
    ships_as="tratto-damage",
    network="segmenter",
    network_options={"widths": (24, 40, 64, 96, 128), "unshuffle": 2, "classes": 8},
    steps=12_000,
    batch=8,
    data=Data(patch=128, gray_share=0.45, text_share=0.06, shrink_weights=(0.2, 0.4, 0.4)),
    workers=0,
    optim=Optim(lr=1e-3, lr_end=1e-5, warmup=100, ema=0.995),
    seed=12,
    save_every=100,
    log_every=25,
    check_every=200,
)
