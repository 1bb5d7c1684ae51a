"""A full standard output: one plain sentence and exit code 4. A closed one: no word and 141. Never a traceback."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Pil

#: Where streams are not buffered, nothing is left in them that could fail when the interpreter ends.
BUFFERED = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
COMMAND = [sys.executable, "-m", "tratto.cli.main"]


@pytest.fixture
def picture(tmp_path):
    Pil.fromarray(np.full((40, 40), 90, np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def lines(picture):
    """One of each kind: what typer itself prints, lines, and a document at the end of work."""
    yield ["--help"]
    yield ["inspect", str(picture)]
    yield ["restore", str(picture), "-o", str(picture.parent / "out"), "--dry-run", "--json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_output(picture):
    for line in lines(picture):
        with open("/dev/full", "w") as full:
            done = subprocess.run([*COMMAND, *line], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 4, (line, done.stderr)
        assert done.stderr.startswith("tratto: standard output cannot be written: ")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_closed_pipe(picture):
    for line in lines(picture):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([*COMMAND, *line], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
        os.close(write)
        assert (done.returncode, done.stderr) == (141, ""), line


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_standard_error_stops_nothing(picture):
    (picture.parent / "notes.txt").write_text("passed over, which is said")
    line = ["restore", str(picture.parent), "-o", str(picture.parent / "out")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *line], env=BUFFERED, stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert done.returncode == 0
    assert (picture.parent / "out" / "a.png").exists()


def test_the_runtime_of_the_networks_keeps_no_record(picture, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    bare = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    line = [*COMMAND, "restore", str(picture), "-o", str(tmp_path / "there.png"), "--force"]
    done = subprocess.run(line, env={**bare, "HOME": str(home)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [p for p in home.rglob("*") if "onnx" in p.name.lower() or "microsoft" in p.name.lower()]
