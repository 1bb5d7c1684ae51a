"""The damage detector, ninth stage, which ships: the average of the sixth and the eighth. Some minutes; see there."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("damage_pair.py"))

RUN = replace(BASE, name="damage_mean", initial="damage_pair", blend=(("damage_many", 0.5),), steps=160, seed=23)
