import numpy as np

from tratto.core.canvas import Canvas
from tratto.core.capability import ModelRef, RestorerInfo
from tratto.core.image import ColorMode, Image
from tratto.core.recipe import Recipe
from tratto.engine.notes import provider_notes
from tratto.engine.run import run
from tratto.steps.denoise import Denoise


def info(**facts):
    return RestorerInfo("some", 1, 64, 8, **facts)


def test_nothing_to_say():
    assert provider_notes(info()) == ()
    assert provider_notes(info(precision="bf16"), fast=True) == ()


def test_each_note():
    (invents,) = provider_notes(info(generative=True))
    assert "some invents detail" in invents
    assert "Not for examination" in invents
    (licence,) = provider_notes(info(models=(ModelRef("m", "0" * 64, "CC-BY-NC-4.0", False),)))
    assert "no commercial use" in licence
    (slow,) = provider_notes(info(), fast=True)
    assert "fp32" in slow
    assert "stand-in" in provider_notes(info(stand_in="a larger one"))[0]


def test_a_record_keeps_them(fake_services):
    source = Image(np.full((32, 32, 3), 100, np.uint8), ColorMode.RGB)
    outcome = run(Recipe("restore", (Denoise("dreamer"),)), Canvas(source, source), fake_services)
    assert outcome.records[0].notes == (
        "dreamer invents detail: what it adds was never in the picture. Not for examination or evidence",
    )
