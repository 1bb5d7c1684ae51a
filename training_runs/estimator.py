"""The degradation estimator: noise, grain and blur of a picture, with standard errors. One shared core, half an hour.

The samples are made once and kept: the spectrum of a picture takes far longer than a step of so small a network.
"""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="estimator",
    ships_as="tratto-estimator",
    network="estimator",
    steps=6_000,
    batch=128,
    data=Data(patch=224, gray_share=0.3, text_share=0.04, shrink_weights=(0.2, 0.4, 0.4), pool=16_000),
    optim=Optim(lr=2e-3, lr_end=1e-6, warmup=200, weight_decay=1e-3, ema=0.998),
    seed=21,
    save_every=1000,
    check_every=1500,
)
