"""The degradation estimator: noise, JPEG and blur of a crop, with standard errors. One shared core, a quarter hour."""

from tratto.training.config import Data, Optim, Run

RUN = Run(
    name="estimator",
    ships_as="tratto-estimator",
    network="estimator",
    steps=3_000,
    batch=16,
    data=Data(patch=96, gray_share=0.15, text_share=0.04, shrink_weights=(0.2, 0.4, 0.4)),
    optim=Optim(lr=1.5e-3, lr_end=1e-5, warmup=200, ema=0.998),
    seed=21,
    save_every=500,
    check_every=1000,
)
