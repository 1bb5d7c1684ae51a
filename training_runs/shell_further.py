"""The network that tells shapes, on from the third run, for as long as there is time: errors still fell when it ended.

``--photos`` is the pack of ``shell_bent``, rendered with ``--seed 9``.
"""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("shell_bent.py"))

RUN = replace(BASE, name="shell_further", initial="shell_bent", steps=20_000, seed=35)
