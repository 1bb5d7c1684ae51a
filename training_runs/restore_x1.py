"""The embedded scale-1 restorer: blind denoising, JPEG artefacts, mild blur. One core, about 50 minutes."""

from tratto.simulate.degrade import Mix
from tratto.training.config import Data, Optim, Run

GAUSSIAN_FIRST = Mix(clean=0.05, gaussian=0.75, jpeg=0.12, poisson=0.03, camera=0.03, blur_noise=0, mixed=0.02)

RUN = Run(
    name="restore_x1",
    network="restorer",
    steps=20_000,
    batch=6,
    # grey pictures with noise of their own came in late: an early check on one showed that they were missing
    data=Data(patch=96, warm_mix=GAUSSIAN_FIRST, warm_share=0.3, tied_share=0.2, tied_from=9_500),
    workers=1,
    optim=Optim(lr=1e-3, warmup=300),
    save_every=500,
    check_every=1000,
)
