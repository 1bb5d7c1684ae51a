"""The inpainter, continued: the first run was still improving when it ended. One core, about two hours.

Without its checkpoint, ``initial`` may name the exported file that ships.
"""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="inpaint_more",
    ships_as="tratto-inpaint",
    network="inpainter",
    network_options={"width": 48, "dilations": (1, 2, 4, 8, 4, 2, 1), "unshuffle": 2},
    initial="inpaint",
    steps=12_000,
    batch=8,
    data=Data(patch=112, gray_share=0.2, text_share=0.03, shrink_weights=(0.15, 0.4, 0.45)),
    workers=0,
    optim=Optim(lr=1.5e-3, lr_end=1e-5, warmup=200, ema=0.998, charbonnier=3e-2),
    seed=13,
    save_every=500,
    log_every=50,
    check_every=500,
)
