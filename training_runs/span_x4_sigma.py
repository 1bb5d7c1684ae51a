"""The standard error head of SPAN x4; its published picture branch is frozen. One core, a few minutes.

Starts from ``span-x4.onnx`` in the output folder, which ``python -m tratto_lab.convert.span`` writes.
"""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="span_x4_sigma",
    network="span",
    network_options={"scale": 4, "width": 48},
    initial="span-x4.onnx",
    train_only="sigma",
    ships_as="span-x4",
    steps=1_200,
    batch=4,
    data=Data(patch=192),
    optim=Optim(lr=5e-3, warmup=50, clip=10.0, ema=0.99),
    save_every=300,
    check_every=300,
)
