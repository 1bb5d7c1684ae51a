"""Ctrl-C in the middle of a folder: complete pictures stay, nothing half-written does, a second run does the rest."""

import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app

COUNT = 8
JOURNAL = ".tratto-journal.jsonl"


def command(folder, *extra):
    return [
        sys.executable,
        "-m",
        "tratto.cli.main",
        "restore",
        str(folder / "in"),
        "-o",
        str(folder / "out"),
        "--provider",
        "nlm",
        "--force",
        *extra,
    ]


def test_ctrl_c_leaves_only_complete_results(tmp_path):
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for k in range(COUNT):
        Pil.fromarray(rng.integers(0, 256, (120, 160, 3), np.uint8)).save(tmp_path / "in" / f"{k}.png")
    out = tmp_path / "out"
    # a shell that runs the tests in its background has them, and all they start, ignore interrupts
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    signal.signal(signal.SIGINT, before)
    try:
        while running.poll() is None and not (out / "0.png").exists():
            time.sleep(0.01)
        time.sleep(0.05)  # into the work on a later picture
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=180)
    finally:
        running.kill()
    made = sorted(p.stem for p in out.glob("*.png"))
    assert running.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert 1 <= len(made) < COUNT
    assert {p.name for p in out.iterdir() if p.name.startswith(".")} == {JOURNAL}
    for stem in made:
        assert tratto.verify(out / f"{stem}.png").word == "authentic"
    assert CliRunner().invoke(app, command(tmp_path, "--skip-existing")[3:]).exit_code == 0
    assert sorted({p.name for p in out.iterdir()} - {JOURNAL}) == sorted(
        f"{k}.{e}" for k in range(COUNT) for e in ("png", "tratto")
    )


def test_what_a_killed_run_leaves_is_tidied_up_by_the_next(tmp_path):
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        Pil.fromarray(rng.integers(0, 256, (120, 160, 3), np.uint8)).save(tmp_path / "in" / f"{k}.png")
    out = tmp_path / "out"
    running = subprocess.Popen(command(tmp_path), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        while running.poll() is None and not list(out.glob(".*.part")):
            time.sleep(0.001)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == -signal.SIGKILL
    assert list(out.glob(".*.part"))
    assert CliRunner().invoke(app, command(tmp_path, "--skip-existing")[3:]).exit_code == 0
    assert sorted({p.name for p in out.iterdir()} - {JOURNAL}) == sorted(
        f"{k}.{e}" for k in range(3) for e in ("png", "tratto")
    )
    for k in range(3):
        assert tratto.verify(out / f"{k}.png").word == "authentic"
