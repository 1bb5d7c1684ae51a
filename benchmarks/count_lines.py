"""Count lines of code: without blank lines, comments and docstrings.

python benchmarks/count_lines.py                       # src/tratto and src/tratto_lab, room by room
python benchmarks/count_lines.py FOLDER_OR_FILE ...    # these, and their sum
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from pathlib import Path

#: Tokens that are no code.
SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


def docstring_lines(tree: ast.AST) -> set[int]:
    """Return the numbers of the lines that docstrings of modules, classes and functions take."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def count(source: str) -> int:
    """Return how many lines of a source text hold code.

    Examples
    --------
    >>> count('\"\"\"Say why.\"\"\"\\n\\n# a remark\\nx = [\\n    1,\\n]\\n')
    3
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstring_lines(ast.parse(source)))


def files_below(path: Path) -> list[Path]:
    """Return the Python files of a folder, or the file itself."""
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def total(path: Path) -> int:
    """Return the lines of code of a file, or of everything below a folder."""
    return sum(count(f.read_text(encoding="utf-8")) for f in files_below(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path)
    given = parser.parse_args().paths
    if given:
        rows = [(str(p), total(p)) for p in given]
    else:
        rows = []
        for package in (Path("src/tratto"), Path("src/tratto_lab")):
            rows += [(f"  {p}", total(p)) for p in sorted(package.iterdir()) if p.is_dir() and files_below(p)]
            rows.append((str(package), total(package)))
    for name, lines in rows:
        print(f"{lines:7}  {name}")
    if len(given) > 1:
        print(f"{sum(lines for _, lines in rows):7}  sum")


if __name__ == "__main__":
    main()
