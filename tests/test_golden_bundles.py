"""Results of earlier versions stay verifiable, revertible and replayable.

The bundles below ``golden/bundles`` were written by Tratto 0.1.0, November 2026, before receipts of the second form.
"""

import hashlib
import json
from pathlib import Path

import pytest

import tratto

BUNDLES = Path(__file__).parent / "golden" / "bundles"
RESULTS = sorted(p for p in BUNDLES.glob("*/*") if p.is_file())
WHOLE = [p for p in RESULTS if p.parent.name != "restore_jpeg"]


@pytest.mark.parametrize("result", RESULTS, ids=lambda p: p.parent.name)
def test_an_old_result_is_authentic(result):
    assert tratto.verify(result).word == "authentic"


@pytest.mark.parametrize("result", WHOLE, ids=lambda p: p.parent.name)
def test_an_old_result_reverts_to_the_exact_bytes(result, tmp_path):
    receipt = json.loads((result.with_suffix(".tratto") / "receipt.json").read_text())
    tratto.revert(result, tmp_path / "original.png")
    digest = hashlib.sha256((tmp_path / "original.png").read_bytes()).hexdigest()
    assert digest == receipt["input"]["file"]["sha256"]


@pytest.mark.parametrize("result", WHOLE, ids=lambda p: p.parent.name)
def test_an_old_result_replays(result):
    replayed = tratto.replay(result)
    assert replayed.tier in ("A", "B", "C"), replayed.sentence()


def test_an_old_result_without_its_original_replays_with_it():
    original = BUNDLES / "restore_masked" / "noisy.tratto" / "original.png"
    result = BUNDLES / "restore_jpeg" / "noisy.jpg"
    assert tratto.replay(result, source=original).tier in ("A", "B", "C")
