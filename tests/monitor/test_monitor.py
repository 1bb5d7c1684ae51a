"""``tratto monitor`` on bundles, and the figures it makes of observations."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import InputError, OptionError, ReceiptError
from tratto.monitor.summary import DAY, Reference, Span, bin_names, histograms, summary
from tratto.monitor.watched import BY_NAME, WATCHED, Observation, observe

START = Span.parse("2026-09-01..2026-10-01").start


def tratto(*line):
    return CliRunner().invoke(app, [str(part) for part in line])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    (folder / "in").mkdir()
    for k in range(3):
        rng = np.random.default_rng(k)
        noisy = np.clip(120 + rng.normal(0, 6 + 6 * k, (64, 64, 3)), 0, 255).astype(np.uint8)
        Pil.fromarray(noisy).save(folder / "in" / f"{k}.png")
    done = tratto("restore", folder / "in", "-o", folder / "out", "--provider", "nlm", "--force")
    assert done.exit_code == 0, done.output
    return folder / "out"


def test_what_is_read_of_a_bundle(results):
    found = [observe(results / f"{k}.tratto") for k in range(3)]
    for one in found:
        receipt = json.loads((results / f"{found.index(one)}.tratto" / "receipt.json").read_text())
        assert one.task == "restore"
        assert one.facts["noise"] == receipt["inspection"]["noise_sigma"]["value"]
        assert one.facts["jpeg_quality"] is None  # which says something: no JPEG
        assert one.facts["megapixels"] == pytest.approx(0.004096)
        assert one.facts["changed"] == receipt["outputs"]["picture"]["maps"]["edit"]["stats"]["changed_fraction"]
        assert 0 < one.facts["error"] < 64
        assert one.seconds > 0
    assert sorted(one.facts["noise"] for one in found) == [one.facts["noise"] for one in found]
    assert set(found[0].facts) <= set(BY_NAME)


def test_what_has_no_account_of_times_is_dated_by_its_file_and_said(results, tmp_path):
    for name in ("0.tratto", "1.tratto"):
        shutil.copytree(results / name, tmp_path / name)
    line = ["restore", results.parent / "in" / "2.png", "-o", tmp_path, "--provider", "nlm", "--force"]
    assert tratto(*line, "--strip-metadata").exit_code == 0
    assert [observe(tmp_path / f"{k}.tratto").by_file for k in range(3)] == [False, False, True]
    assert observe(tmp_path / "2.tratto").seconds is None
    assert json.loads(tratto("monitor", tmp_path, "--json").stdout)["window"]["dated_by_file"] == 1
    assert "observed.json" in tratto("monitor", tmp_path).stdout
    assert "observed.json" not in tratto("monitor", results).stdout


def test_a_page_from_bundles(results, tmp_path):
    line = [
        "monitor",
        results,
        "--reference",
        "2020-01-01..2100-01-01",
        "--name",
        "All",
        "--unsupported",
        "--replay",
        "2",
    ]
    done = tratto(*line, "--json", "-o", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    panels = {p["name"]: p for p in told["panels"]}
    assert {"noise", "error", "unsupported", "tier"} <= set(panels)
    assert panels["tier"]["counts"][0] == 2  # done again, and equal
    assert panels["noise"]["drift"]["psi"] == 0
    assert told["states"] == {"done": 3}
    text = (tmp_path / "page.html").read_text()
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "").replace("https://github.com/leeoniya/uPlot", "")
    assert tratto(*line, "-o", tmp_path / "page.html").exit_code == 4  # never in silence
    assert tratto("monitor", results, "--check").exit_code == 0


def test_a_reference_that_was_kept_is_used_the_next_time(results, tmp_path):
    place = shutil.copytree(results, tmp_path / "copy")
    span = "2020-01-01..2100-01-01"
    assert tratto("monitor", place, "--reference", span, "--name", "Kept", "--keep").exit_code == 0
    told = json.loads(tratto("monitor", place, "--json").stdout)
    assert told["reference"]["name"] == "Kept"
    assert told["reference"]["observed"] == 3
    (place / ".tratto-reference.json").write_text("{}")
    assert tratto("monitor", place).exit_code == 3


def test_a_bundle_that_was_changed_is_told_and_left_out(results, tmp_path):
    place = shutil.copytree(results, tmp_path / "copy")
    (place / "1.tratto" / "receipt.json").write_text("{}")
    with pytest.raises(ReceiptError):
        observe(place / "1.tratto")
    done = tratto("monitor", place, "--json")
    assert done.exit_code == 8
    assert json.loads(done.stdout)["failed"] == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ([], 2),
        (["here", "--data", "x"], 2),
        (["nowhere"], 3),
        (["here", "--reference", "yesterday"], 2),
        (["here", "--reference", "2026-02-01..2026-01-01"], 2),
        (["here", "--reference", "1990-01-01..1990-02-01"], 2),
        (["here", "--reference", "none.json"], 3),
        (["here", "--window", "2026-13-01..2027-01-01"], 2),
        (["here", "--keep"], 2),
        (["here", "-o", "page.pdf"], 2),
        (["--data", "nowhere"], 3),
        (["--data", "x", "--unsupported"], 2),
        ([""], 2),
    ],
)
def test_what_makes_no_sense(results, tmp_path, monkeypatch, line, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").symlink_to(results)
    done = tratto("monitor", *line)
    assert done.exit_code == code, done.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here"]


def observed(at, noise, state="done", **facts):
    return Observation(at, "restore", state, 2.0, 5.0, {"noise": noise, **facts})


def test_the_figures_of_a_window():
    first = [observed(START + k * DAY, 2.0, **{"score:adherence": 0.5}) for k in range(10)]
    later = [observed(START + (40 + k) * DAY, 7.0, "failed" if k == 3 else "done") for k in range(10)]
    reference = Reference.of("September", Span.parse("2026-09-01..2026-10-01"), [*first, *later])
    assert reference.total == 10
    told = summary([*later, *first], reference, Span(START, START + 60 * DAY), {"queued": 1})
    assert told["states"] == {"done": 19, "failed": 1}
    assert sum(told["series"]["done"]) == 19
    assert max(v for v in told["series"]["seconds_95"] if v is not None) == 5
    assert told["scores"][0]["name"] == "adherence"
    (panel,) = told["panels"]
    assert sum(panel["counts"]) == 19
    assert len(panel["bins"]) == len(panel["counts"]) == len(BY_NAME["noise"].edges) + 2
    assert panel["drift"]["level"] == "too few"
    empty = summary([], None, Span(0, 1))
    assert empty["panels"] == []
    assert sum(empty["series"]["done"]) == 0


def test_a_reference_outlives_a_file_and_refuses_what_is_none(tmp_path):
    made = Reference.of("x", Span(START, START + DAY), [observed(START + 5, 3.0)])
    made.write(tmp_path / "r.json")
    assert Reference.read(tmp_path / "r.json") == made
    with pytest.raises(OptionError):
        Reference.of("x", Span(0, 1), [observed(START, 1.0)])
    told = json.loads((tmp_path / "r.json").read_text())
    for wrong in (
        {**told, "schema": "x"},
        {**told, "counts": {"noise": [-1]}},
        {**told, "from": "x"},
        [],
        {"schema": 1},
    ):
        (tmp_path / "w.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError):
            Reference.read(tmp_path / "w.json")
    old = Reference("x", made.span, 1, {"noise": [1, 2]})  # bins of another time are not compared
    assert summary([observed(START, 3.0)], old, made.span)["panels"][0]["drift"] is None


def test_every_quantity_has_names_for_its_bins():
    for quantity in WATCHED:
        assert len(bin_names(quantity.name)) == len(quantity.edges) + 2
        assert list(quantity.edges) == sorted(set(quantity.edges))
    assert histograms([observed(START, 2.5)])["noise"][2] == 1


@pytest.mark.parametrize("text", ["2026-09-01..2026-09-01", "2026-10-01..2026-09-01"])
def test_a_window_begins_before_it_ends(text):
    with pytest.raises(OptionError, match="before"):
        Span.parse(text)
