"""The embedded x2 up-scaler. One core, about 8 minutes."""

from tratto_lab.training.config import Data, Optim, Run

RUN = Run(
    name="restore_x2",
    network="upscaler",
    network_options={"scale": 2, "width": 48, "blocks": 6},
    steps=2_400,
    batch=4,
    data=Data(patch=96),
    optim=Optim(lr=1e-3, warmup=100, fft=0.0),
    save_every=250,
    check_every=1000,
)
