"""The standard error head of SPAN x2; its published picture branch is frozen. One core, a few minutes.

Starts from ``span-x2.onnx`` in the output folder, which ``python -m tratto_lab.convert.span`` writes.
"""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="span_x2_sigma",
    network="span",
    network_options={"scale": 2, "width": 48},
    initial="span-x2.onnx",
    train_only="sigma",
    ships_as="span-x2",
    steps=1_200,
    batch=4,
    data=Data(patch=128),
    optim=Optim(lr=5e-3, warmup=50, clip=10.0, ema=0.99),
    save_every=300,
    check_every=300,
)
