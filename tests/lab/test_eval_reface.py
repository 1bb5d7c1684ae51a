"""``tratto eval reface`` on one person in several of her own pictures."""

import numpy as np
from PIL import Image as Pil
from skimage import data
from typer.testing import CliRunner

from tratto_lab.cli.main import app


def test_faces_of_a_folder_are_measured_with_consent_only(tmp_path):
    portrait = np.ascontiguousarray(data.astronaut()[0:240, 110:350])
    Pil.fromarray(portrait).save(tmp_path / "a.png")
    Pil.fromarray(np.ascontiguousarray(portrait[:, ::-1])).save(tmp_path / "b.png")
    words = ["eval", "reface", str(tmp_path), "--pairs", "1", "-o", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code != 0
    assert "consent" in refused.output
    done = CliRunner().invoke(app, [*words, "--i-have-consent", "A. Person"])
    assert done.exit_code == 0, done.output
    rows = [line.split("|") for line in (tmp_path / "out" / "report.md").read_text().splitlines() if "| same |" in line]
    assert len(rows) == 1
    assert 0 <= float(rows[0][4]) < 0.6
    (tmp_path / "b.png").unlink()
    alone = CliRunner().invoke(app, ["eval", "reface", str(tmp_path), "--i-have-consent", "A. Person"])
    assert alone.exit_code != 0
    assert "two are needed" in alone.output
