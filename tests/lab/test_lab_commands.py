"""The laboratory stands apart: its commands come through entry points, and the product does without it."""

import subprocess
import sys

from PIL import Image as Pil
from typer.main import get_command

from tratto.cli.main import app
from tratto_lab.cli.main import app as lab_app

ADDED = {"train", "ablate", "eval", "data"}


def test_tratto_shows_the_commands_of_the_laboratory():
    group = get_command(app)
    assert set(group.list_commands(None)) >= ADDED
    assert not set(group.commands) & ADDED  # they are not its own
    assert set(get_command(lab_app).commands) == ADDED
    for name in ADDED:
        assert group.get_command(None, name).name == name


def test_a_job_loads_nothing_of_the_laboratory(tmp_path):
    Pil.new("RGB", (32, 32), (90, 120, 60)).save(tmp_path / "a.png")
    code = """
import sys, tratto.cli.main as m
assert m.app(["restore", "a.png", "-o", "out"], standalone_mode=False) in (0, None)
print([n for n in sys.modules if n.startswith("tratto_lab")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_torch_the_extra_is_named(tmp_path):
    code = "import sys; sys.modules['torch'] = None; import tratto.cli.main as m; m.main()"
    line = [sys.executable, "-c", code, "train", __file__, "--photos", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "tratto[train]" in done.stderr
