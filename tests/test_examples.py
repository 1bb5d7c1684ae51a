"""The examples in docstrings are true, and names that a package shows have one."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

import tratto

SOURCE = Path(tratto.__file__).parent
WITH_EXAMPLES = [p for p in sorted(SOURCE.rglob("*.py")) if ">>> " in p.read_text("utf-8")]
#: So many names in an ``__all__`` are without one; the number only goes down.
WITHOUT = 76


def module_of(path):
    return ".".join(("tratto", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=module_of)
def test_what_examples_show_is_what_comes_out(path):
    found = doctest.testmod(importlib.import_module(module_of(path)), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def definitions(path):
    return {n.name: n for n in ast.parse(path.read_text("utf-8")).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


def test_names_that_are_shown_have_an_example():
    without = set()
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        shown = [
            s.value for s in tree.body if isinstance(s, ast.Assign) and getattr(s.targets[0], "id", "") == "__all__"
        ]
        if not shown:
            continue
        where = dict.fromkeys(definitions(path), path)
        for line in tree.body:
            if isinstance(line, ast.ImportFrom) and (line.module or "").startswith("tratto."):
                home = SOURCE.joinpath(*line.module.split(".")[1:])
                home = home / "__init__.py" if home.is_dir() else home.with_suffix(".py")
                where |= {a.asname or a.name: home for a in line.names}
        for name in ast.literal_eval(shown[0]):
            node = definitions(where[name]).get(name) if name in where else None
            if node is not None and ">>> " not in (ast.get_docstring(node) or ""):
                without.add(f"{module_of(where[name])}.{name}")
    assert len(without) <= WITHOUT, sorted(without)
