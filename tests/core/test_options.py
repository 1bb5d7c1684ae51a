"""Options written once: what a field carries, and how it is told at each door."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest

import tratto
from tratto.core.errors import OptionError
from tratto.core.options import (
    CLI,
    COMMON,
    HTTP,
    SDK,
    BadOptions,
    JobLimits,
    RunOptions,
    SaveOptions,
    entries,
    help_text,
    numbers,
    page_number,
    parameter,
    with_names,
)  # fmt: skip
from tratto.imaging.masks import DAMAGE_PROBABILITY
from tratto.jobs.options import EXTENSIONS, FORMATS
from tratto.tasks import TASKS

MODELS = [*(t.model for t in TASKS), *COMMON]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_field_says_what_it_does_and_may_be(model):
    fields = getattr(model, "model_fields", None) or model.__pydantic_fields__
    listed = entries(model)
    assert [e.name for e in listed] == list(fields)
    for entry in listed:
        assert entry.option.help.endswith(".")
        assert entry.expected
        assert set(entry.option.doors) <= {CLI, SDK, HTTP}
        for door in (CLI, SDK):
            assert "{" not in help_text(entry, door)
        assert f"{entry.name} : {entry.expected}\n" in model.__doc__


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_names_and_flags_of_a_command_are_one_each(task):
    listed = [e for model in (task.model, *COMMON) for e in entries(model, CLI)]
    names = [e.name for e in listed] + [i.role for i in task.inputs]
    flags = [e.flag for e in listed] + [f"--{i.role}" for i in task.inputs]
    assert len(set(names)) == len(names)
    assert len(set(flags)) == len(flags)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_paths_and_keys_have_no_door_to_http(model):
    for entry in entries(model, HTTP):
        assert Path not in (entry.kind, *get_args(entry.info.annotation)), entry.name
    assert not {"out", "ledger", "sign"} & {e.name for e in entries(RunOptions, HTTP)}


@pytest.mark.parametrize(
    ("index", "name", "expected"),
    [
        (0, "scale", "1, 2, 3 or 4"),
        (0, "strength", "a number from 0 to 1"),
        (0, "noise_sigma", "a number from 0 to 255"),
        (0, "seed", "a whole number from 0 to 2**53 - 1"),
        (0, "force", "true or false"),
        (1, "threshold", "a number above 0 and below 1"),
        (1, "caption", "a text of up to 2000 characters"),
        (2, "match", "seen or paint"),
        (2, "grow", "a number from -64 to 64"),
    ],
)
def test_what_a_value_must_be_follows_from_the_type(index, name, expected):
    assert next(e for e in entries(TASKS[index].model) if e.name == name).expected == expected


def test_a_text_names_options_as_the_door_calls_them():
    problem = BadOptions("{skip_existing} and {overwrite} contradict each other")
    assert str(problem) == "skip_existing and overwrite contradict each other"
    flags = {"skip_existing": "--skip-existing", "overwrite": "--overwrite"}
    assert with_names(problem.problems[0], flags.__getitem__) == "--skip-existing and --overwrite contradict each other"
    sigma = next(e for e in entries(TASKS[0].model) if e.name == "noise_sigma")
    assert "auto: it is estimated" in help_text(sigma, CLI)
    assert "None: it is estimated" in help_text(sigma, SDK)
    page = next(e for e in entries(RunOptions) if e.name == "page")
    assert "from 1" in help_text(page, CLI)
    assert "from 0" in help_text(page, HTTP)


def test_braces_of_a_user_stand_for_themselves():
    with pytest.raises(BadOptions) as caught:
        SaveOptions(format="{quality}")
    assert str(caught.value).endswith("got '{quality}'")
    assert with_names(caught.value.problems[0], "--{}".format).endswith("got '{quality}'")


def test_all_wrong_options_are_told_at_once():
    with pytest.raises(BadOptions) as caught:
        SaveOptions(format="gif", quality=0, speed=3)
    assert len(caught.value.problems) == 3
    for name in ("format", "quality", "'speed'"):
        assert name in str(caught.value)


def test_how_a_result_is_saved_is_written_as_before():
    assert tratto.SaveOptions("png", keep_original=False) == SaveOptions(format="png", quality=95, keep_original=False)
    assert dataclasses.replace(SaveOptions(), format="tiff").format == "tiff"
    assert JobLimits(10_000, 5.0) == JobLimits(output_pixels=10_000, minutes=5.0)
    assert JobLimits(minutes=float("inf")).minutes == float("inf")
    with pytest.raises(OptionError, match="strip_metadata"):
        SaveOptions(strip_metadata=True)
    with pytest.raises(OptionError, match="format"):
        SaveOptions("gif")
    with pytest.raises(dataclasses.FrozenInstanceError):
        SaveOptions().quality = 3
    formats = next(e for e in entries(SaveOptions) if e.name == "format")
    assert get_args(formats.kind) == tuple(FORMATS)
    assert set(EXTENSIONS) == set(FORMATS) - {"auto", "keep"}


@pytest.mark.parametrize("wrong", [float("nan"), 0, -1])
@pytest.mark.parametrize("name", ["output_pixels", "minutes"])
def test_a_limit_is_above_nothing(name, wrong):
    with pytest.raises(OptionError, match=name):
        JobLimits(**{name: wrong})


def test_what_text_becomes():
    assert numbers(4)("1, 2;3 4.5") == (1, 2, 3, 4.5)
    assert [parameter(t) for t in ("a=1", "b=0.5", "c=x=y", "d=")] == [("a", 1), ("b", 0.5), ("c", "x=y"), ("d", "")]
    assert [page_number(t) for t in ("1", "12", "all")] == [0, 11, "all"]
    for read, wrong in ((numbers(2), "1"), (numbers(2), "a,b"), (parameter, "a"), (parameter, "=1")):
        with pytest.raises(ValueError, match=r"."):
            read(wrong)
    for wrong in ("0", "-1", "1.5", "", "two"):
        with pytest.raises(ValueError, match=r"page|number"):
            page_number(wrong)


def test_the_least_chance_of_a_proposed_mask_is_the_detectors():
    assert TASKS[1].model().threshold == DAMAGE_PROBABILITY
