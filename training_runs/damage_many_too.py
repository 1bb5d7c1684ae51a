"""The damage finder, sixth stage, once more with other draws: what it is averaged with.

An hour and a quarter of one core.
"""

from dataclasses import replace
from pathlib import Path

from tratto.training.config import load_run

BASE = load_run(Path(__file__).with_name("damage_many.py"))

RUN = replace(BASE, name="damage_many_too", steps=2_400, seed=19)
