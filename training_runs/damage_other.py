"""The seventh stage of the damage detector once more, with other samples and stranger light, to be averaged with it."""

from dataclasses import replace
from pathlib import Path

from tratto_lab.training.config import load_run

BASE = load_run(Path(__file__).with_name("damage_gray.py"))

RUN = replace(
    BASE,
    name="damage_other",
    steps=2_600,
    data=replace(BASE.data, exposed_share=0.7, swapped_share=0.3),
    seed=21,
)
