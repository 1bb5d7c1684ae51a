"""What is refused, and how it is said: one line, the right code, everything else done and nothing destroyed."""

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.errors import OutputError


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def noisy_array(seed=0, size=(48, 64)):
    rng = np.random.default_rng(seed)
    return np.clip(128 + rng.normal(0, 25, (*size, 3)), 0, 255).astype(np.uint8)


def noisy(path, seed=0, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pil.fromarray(noisy_array(seed)).save(path, **save)
    return path


def test_one_name_that_is_too_long_stops_no_other(tmp_path):
    noisy(tmp_path / "in" / "a.png")
    # the picture's name just fits, that of its bundle does not
    noisy(tmp_path / "in" / ("L" * 251 + ".png"))
    done = run("restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm")
    assert done.exit_code == 8, done.output
    told = [line for line in done.stderr.splitlines() if "LLL" in line]
    assert len(told) == 1
    assert "longer than the file system takes" in told[0]
    assert "fault" not in done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "a.tratto"]
    again = run("restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm", "--skip-existing")
    assert again.exit_code == 8, again.output


def test_saving_under_a_name_that_is_too_long_is_an_output_error(tmp_path):
    result = tratto.restore(noisy_array(), provider="nlm")
    with pytest.raises(OutputError, match="longer than the file system takes"):
        tratto.save(result, tmp_path / ("L" * 251 + ".png"))
    assert list(tmp_path.iterdir()) == []
