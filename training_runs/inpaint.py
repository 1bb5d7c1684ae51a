"""The embedded inpainter of thin and medium losses. One shared core, about an hour."""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="inpaint",
    ships_as="tratto-inpaint",
    network="inpainter",
    network_options={"width": 48, "dilations": (1, 2, 4, 8, 4, 2, 1), "unshuffle": 2},
    steps=3_000,
    batch=6,
    data=Data(patch=96, gray_share=0.2, text_share=0.03, shrink_weights=(0.15, 0.4, 0.45)),
    workers=0,
    optim=Optim(lr=2e-3, lr_end=1e-5, warmup=100, ema=0.995, charbonnier=3e-2),
    seed=11,
    save_every=200,
    log_every=25,
    check_every=200,
)
