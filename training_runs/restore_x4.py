"""The embedded x4 up-scaler; its trunk starts from the x2 up-scaler's. One core, about 10 minutes."""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="restore_x4",
    network="upscaler",
    network_options={"scale": 4, "width": 48, "blocks": 10},
    steps=2_400,
    batch=4,
    data=Data(patch=192),
    optim=Optim(lr=8e-4, warmup=200, fft=0.0),
    initial="restore_x2",
    save_every=250,
    check_every=1000,
)
