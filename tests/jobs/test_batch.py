"""Many pictures: workers, journal, manifest. Small pictures and a classical provider, so that nothing takes long."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import OutputError
from tratto.jobs import crew
from tratto.jobs.batch import crew_size
from tratto.jobs.crew import Crew, WorkerDied
from tratto.jobs.folder import FileOutcome
from tratto.jobs.journal import ERRORS, JOURNAL, Journal

#: Of a bundle, what states times, and the seal over it.
TIMES = ("observed.json", "seal.json")


pytestmark = pytest.mark.usefixtures("key_folder")


def pictures(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        rng = np.random.default_rng(k)
        noisy = np.clip(120 + rng.normal(0, 20, (24, 24, 3)), 0, 255).astype(np.uint8)
        Pil.fromarray(noisy).save(folder / f"{k:03}.png")
    return folder


def tratto(*line):
    return CliRunner().invoke(app, [str(part) for part in line])


def contents(out):
    """Return every file of the results that depends on no time, by its name."""
    return {
        str(p.relative_to(out)): p.read_bytes()
        for p in sorted(out.rglob("*"))
        if p.is_file() and p.name not in TIMES and not p.name.startswith(".")
    }


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A folder done by one process."""
    folder = tmp_path_factory.mktemp("one")
    pictures(folder / "in", 6)
    done = tratto("restore", folder / "in", "-o", folder / "out", "--provider", "nlm", "--jobs", "1")
    assert done.exit_code == 0, done.output
    return folder


def test_two_processes_make_the_same_bytes(one, tmp_path):
    done = tratto("restore", one / "in", "-o", tmp_path / "out", "--provider", "nlm", "--jobs", "2", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)) == 6
    assert contents(tmp_path / "out") == contents(one / "out")


def test_ray_makes_the_same_bytes_and_catches_errors_in_its_workers(one, tmp_path):
    pytest.importorskip("ray")
    for path in (one / "in").iterdir():
        (tmp_path / "in").mkdir(exist_ok=True)
        os.link(path, tmp_path / "in" / path.name)
    cut = (one / "in" / "000.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(cut[: len(cut) // 2])
    line = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm", "--jobs", "2", "--on", "ray"]
    # a process of its own: what Ray leaves in one stays until it ends
    code = "from tratto.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *map(str, line), "--json"], capture_output=True, check=False)
    assert done.returncode == 8, done.stderr
    told = json.loads(done.stdout)
    assert [Path(o["source"]).name for o in told if o["status"] == "failed"] == ["cut.png"]
    assert contents(tmp_path / "out") == contents(one / "out")
    again = tratto("restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm", "--jobs", "1", "--json")
    assert [o["status"] for o in json.loads(again.stdout)].count("skipped") == 6


def test_a_cluster_that_does_not_answer_is_said(one, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    done = tratto("restore", one / "in", "-o", tmp_path / "out", "--provider", "nlm", "--on", "ray")
    assert done.exit_code == 5
    assert "RAY_ADDRESS" in done.stderr


def test_a_run_that_was_killed_goes_on_and_makes_the_same_bytes(one, tmp_path):
    line = ["restore", str(one / "in"), "-o", str(tmp_path / "out"), "--provider", "nlm", "--jobs", "2"]
    code = "from tratto.cli.main import main; main()"
    running = subprocess.Popen([sys.executable, "-c", code, *line], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while running.poll() is None and not list((tmp_path / "out").glob("*.png")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.kill()
    running.wait()
    time.sleep(0.5)  # its workers learn of it by the end of their input
    done = tratto(*line, "--json")
    assert done.exit_code == 0, done.output
    assert "skipped" in {o["status"] for o in json.loads(done.stdout)}
    assert contents(tmp_path / "out") == contents(one / "out")
    assert {p.name for p in (tmp_path / "out").glob(".*")} == {JOURNAL}


def test_what_a_kill_left_half_is_made_again_whatever_is_saved_before_it(one, tmp_path):
    line = ["restore", one / "in", "-o", tmp_path / "out", "--provider", "nlm", "--jobs", "1", "--json"]
    assert tratto(*line).exit_code == 0
    journal = tmp_path / "out" / JOURNAL
    told = [entry for entry in lines(journal) if entry.get("done") not in ("002.png", "003.png") and "end" not in entry]
    journal.write_text("\n".join(map(json.dumps, told)))
    for path in (tmp_path / "out" / "003.tratto").iterdir():  # the picture stands there, its account does not
        path.unlink()
    (tmp_path / "out" / "003.tratto").rmdir()
    (tmp_path / "out" / "002.png").unlink()
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    seen = {o["source"]: o["status"] for o in json.loads(tratto(*line, "--dry-run").stdout)}
    assert [seen[name] for name in sorted(seen)] == ["skipped", "skipped", "planned", "planned", "skipped", "skipped"]
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before
    again = json.loads(tratto(*line).stdout)
    assert [o["status"] for o in again].count("done") == 2
    assert contents(tmp_path / "out") == contents(one / "out")
    assert {o["status"] for o in json.loads(tratto(*line).stdout)} == {"skipped"}


def test_a_note_of_many_pictures_is_told_once(tmp_path):
    pictures(tmp_path / "in", 21)
    mask = np.zeros((24, 24), np.uint8)
    mask[4:8, 4:20] = 255
    Pil.fromarray(mask).save(tmp_path / "mask.png")
    line = ["repair", tmp_path / "in", "-o", tmp_path / "out", "--mask", tmp_path / "mask.png", "--method", "telea"]
    done = tratto(*line, "--jobs", "1")
    assert done.exit_code == 0, done.output
    notes = [text for text in done.stderr.splitlines() if text.startswith("note")]
    assert 1 <= len(notes) < 6
    assert len(set(notes)) == len(notes)
    assert any("(and 20 more)" in text for text in notes)
    planned = tratto(*line, "--jobs", "1", "--dry-run", "--overwrite")
    assert "21 planned" in planned.stdout


def test_what_changed_is_not_taken_for_done(tmp_path):
    pictures(tmp_path / "in", 2)
    line = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm"]
    assert tratto(*line).exit_code == 0
    again = tratto(*line, "--json")
    assert [o["status"] for o in json.loads(again.stdout)] == ["skipped", "skipped"]
    assert tratto(*line, "--strength", "0.5").exit_code == 4  # other options: not what was done
    pictures(tmp_path / "in", 1)  # written again: another file, as far as anybody can tell
    assert tratto(*line).exit_code == 4
    made = tratto(*line, "--overwrite", "--json")
    assert [o["status"] for o in json.loads(made.stdout)] == ["done", "done"]


def test_a_mask_that_changed_counts_and_one_of_a_class_too(tmp_path):
    pictures(tmp_path / "in", 2)
    for name in ("000", "001"):
        mask = np.zeros((24, 24), np.uint8)
        mask[4:8, 4:20] = 255
        (tmp_path / "masks" / name).mkdir(parents=True)
        Pil.fromarray(mask).save(tmp_path / "masks" / name / "crack.png")
    line = ["repair", tmp_path / "in", "-o", tmp_path / "out", "--mask", tmp_path / "masks", "--method", "telea"]
    assert tratto(*line).exit_code == 0
    assert tratto(*line).exit_code == 0
    mask[12:14, 4:20] = 255
    Pil.fromarray(mask).save(tmp_path / "masks" / "001" / "crack.png")
    assert tratto(*line).exit_code == 4


def test_a_result_that_was_taken_away_is_made_again(tmp_path):
    pictures(tmp_path / "in", 2)
    line = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm", "--json"]
    assert tratto(*line).exit_code == 0
    (tmp_path / "out" / "000.png").unlink()
    assert {o["status"] for o in json.loads(tratto(*line, "--overwrite").stdout)} == {"done"}
    (tmp_path / "out" / "001.png").unlink()
    for path in (tmp_path / "out" / "001.tratto").iterdir():
        path.unlink()
    (tmp_path / "out" / "001.tratto").rmdir()
    assert [o["status"] for o in json.loads(tratto(*line).stdout)] == ["skipped", "done"]


def test_a_journal_knows_what_was_done_and_who_holds_it(tmp_path):
    prints = {"a": "1", "b": "1", "c": "1"}
    with Journal(tmp_path, prints, True) as journal:
        journal.begin("a")
        journal.done("a")
        journal.begin("b")
        with pytest.raises(OutputError, match="another run"):
            Journal(tmp_path, prints, False)
        assert Journal(tmp_path, prints, False, look=True).knows("b") == "begun"
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b'\n{"done": "c", "pri')  # cut short by a kill
    with Journal(tmp_path, prints, True) as journal:  # what overwrites goes on, too: nothing done twice
        assert journal.continues
        assert [journal.knows(n) for n in "abc"] == ["done", "", ""]
        journal.done("b")
        journal.end()
    with Journal(tmp_path, {**prints, "a": "2"}, False) as journal:
        assert [journal.knows(n) for n in "abc"] == ["", "done", ""]
    with Journal(tmp_path, prints, True) as journal:  # that one had ended: all is made anew
        assert [journal.knows(n) for n in "abc"] == ["", "", ""]


@pytest.mark.parametrize(("jobs", "count", "size"), [(4, 9, 4), (4, 2, 2), ("auto", 3, 1), (1, 0, 1)])
def test_how_many_workers(jobs, count, size):
    assert crew_size(jobs, count) == size


class Frail:
    """A worker that dies of one item, and of another the first time."""

    tried: list

    def __init__(self, tried):
        self.tried = tried

    def do(self, work):
        self.tried.append(work.item.source.name)
        if work.item.source.name == "bad" or self.tried.count(work.item.source.name) == 1 == self.weak(work):
            raise WorkerDied("ended with -9")
        return FileOutcome(work.item.source, None, "done")

    def weak(self, work):
        return int(work.item.source.name == "weak")

    def close(self):
        self.tried.append("closed")


def test_a_worker_that_dies_is_replaced_and_its_item_tried_once_more():
    from types import SimpleNamespace

    works = [SimpleNamespace(item=SimpleNamespace(source=Path(n))) for n in ("a", "bad", "weak", "b")]
    tried, begun, hired = [], [], []

    def hire():
        hired.append(Frail(tried))
        return hired[-1]

    made = {w.item.source.name: o for w, o in Crew(hire, 2).run(works, begun.append)}
    assert {n: o.status for n, o in made.items()} == {"a": "done", "b": "done", "weak": "done", "bad": "failed"}
    assert tried.count("bad") == crew.MOST_ATTEMPTS
    assert tried.count("closed") == len(hired) >= 4  # three of them died
    assert len(begun) == 4


def test_a_fault_in_a_worker_ends_the_run():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        crew.said("Traceback ...\nZeroDivisionError")


# -- manifests --------------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path):
    pictures(tmp_path / "in", 3)
    mask = np.zeros((24, 24), np.uint8)
    mask[4:8, 4:20] = 255
    Pil.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


ROWS = [
    {"source": "in/000.png", "options": {"provider": "nlm", "strength": 0.5}, "out": "faded/first"},
    {"source": "in/001.png"},
    {"source": "in/002.png", "task": "repair", "mask": "mask.png", "options": {"method": "telea"}, "out": "r/2.png"},
]
BAD = [
    {"source": "in/none.png"},
    {"source": "in/000.png", "options": {"strength": 7}},
    {"source": "in/000.png", "options": {"strong": 1}},
    {"source": "in/000.png", "options": "{"},
    {"source": "in/000.png", "options": [1]},
    {"source": "in/000.png", "out": "../elsewhere"},
    {"source": "in/000.png", "out": "/elsewhere"},
    {"source": "in/000.png", "task": "lift"},
    {"source": "in/000.png", "task": "repair"},
    {"source": "in/000.png", "mask": "nothing.png"},
    {"source": "in/000.png", "texture": "mask.png"},
    {"source": "http://127.0.0.1/x.png"},
    {"source": 5},
    {"src": "in/000.png"},
]


def test_a_manifest_in_either_form(listed):
    (listed / "m.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    rows = ["source,task,options,mask,out"]
    rows += [
        ",".join(
            [r["source"], r.get("task", ""), '"' + json.dumps(r["options"]).replace('"', '""') + '"' if "options" in r
             else "", r.get("mask", ""), r.get("out", "")]
        ) for r in ROWS
    ]  # fmt: skip
    (listed / "m.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    for form in ("jsonl", "csv"):
        done = tratto("restore", "--manifest", listed / f"m.{form}", "-o", listed / form, "--provider", "nlm")
        assert done.exit_code == 0, done.output
        assert {p.name for p in (listed / form).rglob("*.png") if ".tratto" not in str(p)} == {
            "first.png", "001.png", "2.png",
        }  # fmt: skip
        receipt = json.loads((listed / form / "r" / "2.tratto" / "receipt.json").read_text())
        assert receipt["task"] == "repair"
        assert not (listed / form / ERRORS).exists()
    assert contents(listed / "jsonl") == contents(listed / "csv")


def test_bad_rows_are_told_and_the_others_are_done(listed):
    (listed / "m.jsonl").write_text("\n".join([*map(json.dumps, [*BAD, ROWS[1]]), "[1]", "{", ""]))
    line = ["restore", "--manifest", listed / "m.jsonl", "-o", listed / "out", "--provider", "nlm"]
    done = tratto(*line)
    assert done.exit_code == 8
    told = lines(listed / "out" / ERRORS)
    assert len(told) == len(BAD) + 2
    assert all(set(t) == {"source", "message", "exit_code"} and t["exit_code"] for t in told)
    assert all(": row " not in t["message"] for t in told)
    assert [p.name for p in (listed / "out").rglob("*.png") if ".tratto" not in str(p)] == ["001.png"]
    assert not (listed / "elsewhere").exists()
    again = json.loads(tratto(*line, "--json").stdout)
    assert [o["status"] for o in again].count("skipped") == 1
    (listed / "m.jsonl").write_text(json.dumps(ROWS[1]))
    assert tratto(*line).exit_code == 0
    assert not (listed / "out" / ERRORS).exists()  # of this run alone


def test_rows_that_would_write_one_name_are_both_refused(listed):
    rows = [{"source": f"in/00{k}.png", "out": name} for k, name in enumerate(("x", "X", "y"))]
    rows += [{**rows[2], "out": "z", "task": None}] * 2
    (listed / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = tratto("restore", "--manifest", listed / "m.jsonl", "-o", listed / "out", "--provider", "nlm", "--json")
    told = json.loads(done.stdout)
    assert [o["status"] for o in told] == ["failed"] * 4 + ["done"]
    assert [[n for n in "12345" if n in o["message"].split(" would ")[0]] for o in told[:4]] == [
        ["1", "2"], ["1", "2"], ["4", "5"], ["4", "5"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("nothing,here\n1,2", "m.csv", 3),
        ("source;task\nin/000.png;restore", "m.csv", 3),
        ("source,out,out\nin/000.png,a,b", "m.csv", 3),
        ("", "m.csv", 3),
        ("", "m.jsonl", 3),
        ("x", "m.txt", 2),
        (b"\xff\xfe", "m.csv", 3),
    ],
)
def test_what_is_no_manifest(listed, text, name, code):
    (listed / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    done = tratto("restore", "--manifest", listed / name, "-o", listed / "out")
    assert done.exit_code == code, done.output
    assert not (listed / "out").exists()


@pytest.mark.parametrize(
    "more", [["--jobs", "0"], ["--jobs", "x"], ["--jobs", "1.5"], ["--on", "moon"], ["--manifest", "m"]]
)
def test_options_that_make_no_sense(listed, more):
    done = tratto("restore", listed / "in", "-o", listed / "out", *more)
    assert done.exit_code == 2
    assert more[0] in done.stderr
    assert not (listed / "out").exists()


def test_many_pictures_are_one_counter_and_a_summary(tmp_path):
    pictures(tmp_path / "in", 21)
    (tmp_path / "in" / "bad.png").write_bytes(b"no picture")
    done = tratto("restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm", "--jobs", "1")
    assert done.exit_code == 8
    assert len(done.stdout.splitlines()) == 1
    assert "22 pictures: 21 done, 1 failed" in done.stdout
    assert len(lines(tmp_path / "out" / ERRORS)) == 1


def test_a_run_of_which_nothing_came_leaves_no_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        Pil.fromarray(np.full((24, 24), 30000, np.uint16)).save(tmp_path / "in" / f"{name}.png")
    line = ["restore", tmp_path / "in", "--format", "bmp"]  # which has no 16 bits
    (tmp_path / "there").mkdir()
    for out in ("new", "there"):
        assert tratto(*line, "-o", tmp_path / out).exit_code == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "there"]
    assert not list((tmp_path / "there").iterdir())
