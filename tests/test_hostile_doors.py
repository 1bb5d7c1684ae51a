"""Every hostile file through every door: one clear error, no traceback, nothing written, bounded memory."""

import importlib.util
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app


def _hostile():
    spec = importlib.util.spec_from_file_location("hostile_files", Path(__file__).with_name("test_hostile_io.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.HOSTILE


HOSTILE = _hostile()


def test_there_are_at_least_forty():
    assert len(HOSTILE) >= 40


@pytest.mark.parametrize("name", HOSTILE)
def test_through_cli_and_sdk(name, tmp_path):
    build, _ = HOSTILE[name]
    path = tmp_path / "hostile.png"
    path.write_bytes(build())
    before = path.read_bytes()
    for command in (["restore", str(path), "-o", str(tmp_path / "out")], ["inspect", str(path)]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code in (2, 3, 5), (command, done.output, done.exception)
        assert done.stderr.startswith("tratto: ")
        assert "Traceback" not in done.output
        assert "a fault in tratto" not in done.output
        assert len(done.stderr.strip().splitlines()) == 1
        assert len(done.stderr) < 1000
    for door in (tratto.restore, tratto.inspect):
        with pytest.raises(tratto.TrattoError):
            door(path)
        with pytest.raises(tratto.TrattoError):
            door(before)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["hostile.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="the address-space limit is enforced on Linux only")
def test_all_in_one_folder_within_a_memory_limit(tmp_path):
    """A folder of them with 4 GiB of address space: each is reported; a good picture among them is done."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k, name in enumerate(HOSTILE):
        (folder / f"{k:03d}.png").write_bytes(HOSTILE[name][0]())
    from PIL import Image

    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / "good.png")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))

    done = subprocess.run(
        [sys.executable, "-m", "tratto.cli.main", "restore", str(folder), "-o", str(tmp_path / "out"),
         "--provider", "nlm", "--force"],
        capture_output=True, text=True, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 8, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert "a fault in tratto" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == len(HOSTILE)
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == {"good.png", "good.tratto", ".tratto-journal.jsonl", "tratto-errors.jsonl"}


@pytest.mark.parametrize(
    "name",
    [
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "\0.png",
        "../../../../../../nowhere.png",
        "x" * 4096,
    ],
)
def test_names_that_are_no_pictures(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["restore", name, "-o", str(tmp_path / "out")])
    assert done.exit_code == 3
    assert "Traceback" not in done.output
    assert not list(tmp_path.iterdir())
    with pytest.raises(tratto.TrattoError):
        tratto.restore(name)


def test_a_symbolic_link_to_a_device_or_a_loop(tmp_path):
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name in ("zero.png", "loop.png"):
        done = CliRunner().invoke(app, ["restore", str(tmp_path / name), "-o", str(tmp_path / "out")])
        assert done.exit_code == 3, done.output
        assert not (tmp_path / "out").exists()
