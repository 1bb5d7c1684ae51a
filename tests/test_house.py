"""The walls: what the base path may load, and the public surface."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.main import get_command

import tratto
from tratto.cli.main import app

SURFACE = Path(__file__).parent / "golden" / "surface.json"


def loaded_after(code):
    out = subprocess.run(
        [sys.executable, "-c", code + "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(out.stdout.splitlines()[-1]))


def test_importing_tratto_loads_nothing_heavy():
    heavy = {"torch", "numpy", "cv2", "onnxruntime", "PIL", "pydantic", "typer", "tifffile", "imagecodecs"}
    assert not loaded_after("import tratto") & heavy


def test_help_loads_no_pictures_and_no_runtime():
    heavy = {"torch", "numpy", "cv2", "onnxruntime", "tifffile", "imagecodecs", "openvino", "ncnn", "PIL"}
    code = """
import tratto.cli.main as m
try:
    m.app(['restore', '--help'], standalone_mode=False)
except SystemExit:
    pass
"""
    assert not loaded_after(code) & heavy


def test_restoring_loads_no_torch(tmp_path):
    rng = np.random.default_rng(0)
    noisy = np.clip(128 + rng.normal(0, 30, (64, 64, 3)), 0, 255).astype(np.uint8)
    Pil.fromarray(noisy).save(tmp_path / "a.png")
    code = f"""
import tratto.cli.main as m
line = ['restore', {str(tmp_path / "a.png")!r}, '-o', {str(tmp_path / "out")!r}, '--force']
code = m.app(line, standalone_mode=False)
assert code in (0, None), code
"""
    loaded = loaded_after(code)
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "openvino", "ncnn", "scipy", "skimage"}
    assert (tmp_path / "out" / "a.png").exists()


def surface():
    root = get_command(app)
    commands = {}

    def walk(command, name):
        options = []
        for p in command.params:
            options.append([sorted(p.opts + p.secondary_opts), bool(p.required)])
        commands[name] = sorted(options)
        for sub in sorted(command.list_commands(None) if hasattr(command, "list_commands") else ()):
            walk(command.get_command(None, sub), f"{name} {sub}".strip())

    walk(root, "tratto")
    return {"names": sorted(tratto.__all__), "commands": commands}


def test_public_names_and_options_are_as_pinned():
    """To change the surface on purpose, write the new one: python tests/test_house.py."""
    assert json.loads(SURFACE.read_text()) == json.loads(json.dumps(surface()))


@pytest.mark.parametrize("name", [n for n in tratto.__all__ if not n.startswith("__")])
def test_every_public_name_is_there_and_documented(name):
    assert (getattr(tratto, name).__doc__ or "").strip()


if __name__ == "__main__":
    SURFACE.parent.mkdir(exist_ok=True)
    SURFACE.write_text(json.dumps(surface(), indent=1, sort_keys=True) + "\n")
