"""The examples in docstrings of the laboratory are true."""

import doctest
import importlib
import tempfile
from pathlib import Path

import pytest

import tratto_lab

SOURCE = Path(tratto_lab.__file__).parent
WITH_EXAMPLES = [
    ".".join(("tratto_lab", *p.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for p in sorted(SOURCE.rglob("*.py"))
    if ">>> " in p.read_text("utf-8")
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_what_examples_show_is_what_comes_out(module, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0
