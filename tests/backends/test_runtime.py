"""A runtime that is missing, one that is broken, and one that was interrupted while it loaded are three things."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

import tratto
from tratto.backends.ncnn import NcnnBackend
from tratto.backends.onnx import OnnxBackend
from tratto.backends.openvino import OpenVinoBackend
from tratto.core.errors import MissingExtra, UnavailableError

KINDS = [("onnxruntime", OnnxBackend), ("openvino", OpenVinoBackend), ("ncnn", NcnnBackend)]


def stand_in(monkeypatch, folder, package, code):
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(folder)
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(("package", "kind"), KINDS)
def test_a_broken_runtime_is_not_called_missing(monkeypatch, tmp_path, package, kind):
    stand_in(monkeypatch, tmp_path, package, "raise ImportError('libgomp.so.1: no such file')")
    with pytest.raises(UnavailableError, match=r"libgomp\.so\.1") as caught:
        kind.require()
    assert not isinstance(caught.value, MissingExtra)


@pytest.mark.parametrize(("package", "kind"), KINDS)
def test_a_missing_part_of_a_runtime_is_not_the_runtime(monkeypatch, tmp_path, package, kind):
    stand_in(monkeypatch, tmp_path, package, "import a_part_that_is_nowhere")
    with pytest.raises(UnavailableError, match="a_part_that_is_nowhere") as caught:
        kind.require()
    assert not isinstance(caught.value, MissingExtra)


@pytest.mark.parametrize(("package", "kind"), KINDS)
@pytest.mark.parametrize(
    "code",
    [
        "raise KeyboardInterrupt",
        "try:\n    raise KeyboardInterrupt\nexcept BaseException as e:\n    raise ImportError('init failed') from e",
        "raise ImportError('KeyboardInterrupt: ')",
    ],
)
def test_an_interrupt_while_a_runtime_loads_stays_one(monkeypatch, tmp_path, package, kind, code):
    stand_in(monkeypatch, tmp_path, package, code)
    with pytest.raises(KeyboardInterrupt):
        kind.require()


def test_a_runtime_that_is_not_there_names_the_extra(monkeypatch):
    from importlib.machinery import PathFinder

    for name in [n for n in sys.modules if n.split(".")[0] == "ncnn"]:
        monkeypatch.delitem(sys.modules, name)

    class Without:
        @staticmethod
        def find_spec(name, path=None, target=None):
            return None if name.split(".")[0] == "ncnn" else PathFinder.find_spec(name, path, target)

    monkeypatch.setattr(sys, "meta_path", [m for m in sys.meta_path if m is not PathFinder] + [Without])
    with pytest.raises(MissingExtra, match=r"pip install 'tratto\[upscale\]'"):
        NcnnBackend.require()


def test_ctrl_c_while_the_runtime_loads_ends_the_command(tmp_path):
    package = tmp_path / "lib" / "onnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "try:\n    raise KeyboardInterrupt\nexcept BaseException as e:\n    raise ImportError('init failed') from e\n"
    )
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for k in range(2):
        picture = np.clip(128 + rng.normal(0, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
        Pil.fromarray(picture).save(tmp_path / "in" / f"{k}.png")
    home = str(Path(tratto.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "tratto.cli.main", "restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path / "lib"), home))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert not list(tmp_path.glob("out/*.png"))
