"""The inpainter, on from the weights that ship: the first run was still improving when it ended. One core, two hours.

The rate falls over the last half: give `steps` what there is time for.
"""

from pathlib import Path

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="inpaint_more",
    ships_as="tratto-inpaint",
    network="inpainter",
    network_options={"width": 48, "dilations": (1, 2, 4, 8, 4, 2, 1), "unshuffle": 2},
    initial=str(Path(__file__).parents[1] / "src" / "tratto" / "models" / "weights" / "tratto-inpaint.onnx"),
    steps=6_800,
    batch=8,
    data=Data(
        patch=112,
        gray_share=0.15,
        text_share=0.03,
        exposed_share=0.3,
        swapped_share=0.1,
        shrink_weights=(0.15, 0.4, 0.45),
    ),
    workers=0,
    optim=Optim(lr=1.5e-3, lr_end=1e-5, warmup=200, ema=0.998, charbonnier=6e-2, decay_share=0.45),
    seed=13,
    save_every=500,
    log_every=50,
    check_every=500,
)
