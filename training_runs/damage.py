"""The embedded damage detector's decoder on frozen ImageNet features, on simulated damage. One core, an hour."""

from tratto_lab.training.config import FEATURES, Data, Optim, Run

RUN = Run(
    name="damage",
    ships_as="tratto-damage",
    network="segmenter",
    initial=FEATURES,
    train_only="decoder",
    steps=7_000,
    batch=8,
    data=Data(patch=128, gray_share=0.45, text_share=0.06, shrink_weights=(0.2, 0.4, 0.4)),
    workers=0,
    optim=Optim(lr=2e-3, lr_end=1e-5, warmup=100, ema=0.995),
    seed=12,
    save_every=200,
    log_every=25,
    check_every=200,
)
