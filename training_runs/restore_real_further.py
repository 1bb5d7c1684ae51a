"""The network for real noise, on from the weights that ship: for any machine, as long as it takes.

The rate falls over the last fifth: give `steps` what there is time for. 2 200 steps were an hour of one shared core.
More of the crops are compressed than before: on pictures of JPEG quality 75 that are hardly noisy the network for JPEG
is ahead.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("restore_real_on.py"))

RUN = replace(
    BASE,
    name="restore_real_further",
    initial=str(Path(__file__).parents[1] / "src" / "tratto" / "models" / "weights" / "tratto-restore-real.onnx"),
    steps=30_000,
    data=replace(BASE.data, mix=replace(BASE.data.mix, jpeg=0.1, noise_jpeg=0.13, gaussian=0.15)),
    seed=67,
)
