"""A few of the forgeries that ``benchmarks/forged_receipts.py`` tries by the thousand."""

import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks/forged_receipts.py"


def test_forged_receipts_give_plain_answers(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--count", "90", "--replay-every", "6", "--seed", "3"])
    main = runpy.run_path(str(SCRIPT))["main"]
    assert main() == 0, capsys.readouterr().out
    assert "0 foreign exceptions, 0 false words" in capsys.readouterr().out
