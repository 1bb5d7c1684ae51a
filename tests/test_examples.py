"""Docstrings: examples are true, names that a package shows have one, and every entry says something."""

import ast
import doctest
import importlib
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import tratto

SOURCE = Path(tratto.__file__).parent
#: Sections of which each entry is described, and the line below a section's name.
DESCRIBED, RULE = ("Parameters", "Attributes", "Returns", "Yields"), re.compile(r"-{3,}")
EVERY = [p for name in ("tratto", "tratto_lab") for p in sorted((SOURCE.parent / name).rglob("*.py"))]
WITH_EXAMPLES = [p for p in sorted(SOURCE.rglob("*.py")) if ">>> " in p.read_text("utf-8")]


def module_of(path):
    return ".".join(("tratto", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=module_of)
def test_what_examples_show_is_what_comes_out(path, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = doctest.testmod(importlib.import_module(module_of(path)), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


@cache
def parsed(path):
    return ast.parse(path.read_text("utf-8"))


def definitions(path):
    return {n.name: n for n in parsed(path).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def test_names_that_are_shown_have_an_example():
    without = set()
    for path in EVERY:
        if "__all__" not in path.read_text("utf-8"):
            continue
        tree = parsed(path)
        shown = [
            s.value for s in tree.body if isinstance(s, ast.Assign) and getattr(s.targets[0], "id", "") == "__all__"
        ]
        if not shown:
            continue
        where = dict.fromkeys(definitions(path), path)
        for line in tree.body:
            if isinstance(line, ast.ImportFrom) and (line.module or "").startswith(("tratto.", "tratto_lab.")):
                home = SOURCE.parent.joinpath(*line.module.split("."))
                home = home / "__init__.py" if home.is_dir() else home.with_suffix(".py")
                where |= {a.asname or a.name: home for a in line.names}
        for name in ast.literal_eval(shown[0]):
            node = definitions(where[name]).get(name) if name in where else None
            if node is not None and ">>> " not in (ast.get_docstring(node) or ""):
                without.add(f"{where[name].relative_to(SOURCE.parent)}: {name}")
    assert not without, sorted(without)


def empty_entries(doc: str) -> Iterator[str]:
    """Yield the entries of a docstring of NumPy's form that have a name or a type and not a word.

    What has no line of its own below, farther in, is not described.
    """
    lines = [line for line in doc.splitlines() if line.strip()] + ["End", "---"]
    section = ""
    for line, below in pairwise(lines):
        if RULE.fullmatch(below.strip()):
            section = line.strip()
        elif section in DESCRIBED and not line.startswith(" ") and not below.startswith(" "):
            if not RULE.fullmatch(line):
                yield line


def test_an_entry_without_a_word_is_seen():
    given = "Parameters\n----------\na : int\nb, c : int\n    Pixels.\nd\n"
    doc = f"Do it.\n\n{given}\nReturns\n-------\nint\n\nRaises\n------\nE\n"
    assert list(empty_entries(doc)) == ["a : int", "d", "int"]


def test_every_entry_of_a_docstring_says_something():
    empty = []
    for path in EVERY:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                doc = ast.get_docstring(node) or ""
                empty += [f"{path.name} {getattr(node, 'name', '')}: {e}" for e in empty_entries(doc)]
    assert not empty
