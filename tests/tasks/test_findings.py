"""The sentences of ``inspect`` are about what ``restore`` judges by: one for each problem, and what would be done."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.inspection import Estimate, Inspection, OctaveNoise
from tratto.tasks.findings import findings, intention
from tratto.tasks.restore import RestoreOptions, plan

PICTURES = Path(__file__).parents[2] / "examples" / "pictures"
CLEAN = Inspection(
    *(100, 80, "rgb", 8, "png"), Estimate(0.5, "estimated"), (0.5,) * 3, (), Estimate(None, "not measurable"), 0,
    *(Estimate(0.8, "estimated"), Estimate(1.0, "estimated")), 0.0, 0.0,
)  # fmt: skip


def estimated(**changes):
    return replace(CLEAN, **{k: Estimate(v, "estimated") if isinstance(v, float) else v for k, v in changes.items()})


@pytest.mark.parametrize(
    ("changes", "figures", "steps"),
    [
        ({"noise_sigma": 14.0}, ["14.0"], ["denoise"]),
        ({"jpeg_quality": 30.0}, ["30"], ["denoise"]),
        ({"noise_sigma": 14.0, "jpeg_quality": 30.0, "blur_sigma": 2.0}, ["14.0", "30", "2.0"], ["denoise"]),
        ({"blur_sigma": 2.5}, ["2.5"], ["deblur"]),
        ({"jpeg_quality": 95.0}, [""], []),
    ],
)
def test_one_sentence_for_each_problem(changes, figures, steps):
    seen = estimated(**changes)
    said = findings(seen)
    assert len(said) == len(figures)
    assert all(figure in sentence for figure, sentence in zip(figures, said, strict=True))
    recipe = plan(RestoreOptions(), seen)
    assert [s.name for s in recipe.steps] == steps
    assert ("as it is" in intention(recipe, 3.0)) == (not steps)


def test_what_was_clipped_or_enlarged():
    share = 0.03
    said = findings(replace(estimated(upscale=2.0), clipped_low=share, clipped_high=0.009))
    assert len(said) == 2
    assert "3.0 %" in said[1]


def test_specks_count_where_they_are_what_counts_as_noise():
    octaves = OctaveNoise((5.0, 2.0, 1.0, 1.0), ((5.0, 2.0, 1.0, 1.0),), (False, False, False, False), specks=0.04)
    noisy = estimated(noise_sigma=20.0, octaves=octaves)
    assert len(findings(noisy)) == 2
    assert len(findings(replace(noisy, noise_sigma=Estimate(0.5, "estimated")))) == 1


def test_the_command_begins_with_the_sentences_and_says_them_to_machines():
    picture = str(PICTURES / "cat.jpg")
    shown = CliRunner().invoke(app, ["inspect", picture])
    (found,) = json.loads(CliRunner().invoke(app, ["inspect", picture, "--json"]).stdout)
    head = shown.stdout.partition("\n\n")[0]
    assert all(sentence in " ".join(head.split()) for sentence in (*found["findings"], found["restore"]["would"]))
    assert found["restore"]["steps"] == ["denoise"]
    assert found["restore"]["seconds"] > 0
    assert found["jpeg_quality"]["value"] == 25
