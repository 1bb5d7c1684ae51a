"""Notebooks run from top to bottom on what the repository holds."""

import ast
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
matplotlib = pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_runs(path, monkeypatch, capsys):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.chdir(path.parent)
    notebook = json.loads(path.read_text())
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            ast.parse(source)
            exec(compile(source, f"{path.name} {cell['id']}", "exec"), names)
    figures = [plt.figure(n) for n in plt.get_fignums()]
    assert len(figures) >= 2
    assert all(f.axes for f in figures)
    plt.close("all")
    assert capsys.readouterr().out
