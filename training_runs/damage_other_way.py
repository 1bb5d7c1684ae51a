"""The tenth stage of the damage finder once more, other samples, stranger light, more intact, to be averaged."""

from dataclasses import replace
from pathlib import Path

from tratto.training.config import load_run

BASE = load_run(Path(__file__).with_name("damage_turned.py"))

RUN = replace(
    BASE,
    name="damage_other_way",
    data=replace(BASE.data, exposed_share=0.8, swapped_share=0.3, intact_share=0.3),
    seed=25,
)
