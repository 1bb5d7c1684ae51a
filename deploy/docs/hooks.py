"""What the documentation site takes from elsewhere in the repository: files that pages name, and notebooks as pages."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[2]
#: A link out of docs/: ``](../benchmarks/results/x.json)``.
OUTWARD = re.compile(r"\]\(\.\./((?!\.\.)[^)#\s]+)(#[^)\s]*)?\)")
#: Where such files stand in the site.
PLACE = "repository"
#: Roles of docstrings, of which pages show the name alone.
ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):(?=<code>)")


def notebook(path: Path) -> str:
    """Return a notebook as Markdown: its words and its code."""
    parts = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    where = f"This page is the notebook `{path.relative_to(ROOT).as_posix()}`; the tests run it from top to bottom."
    return "\n\n".join([*parts, f"*{where}*"]) + "\n"


def on_config(config: Any) -> Any:
    """Name the notebooks in the navigation."""
    found = [f"notebooks/{p.stem}.md" for p in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))]
    for group in config.nav:
        for entries in group.values() if isinstance(group, dict) else ():
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and "Notebooks" in entry:
                    entry["Notebooks"] = found
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add notebooks, and the files that pages name."""
    for path in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook(path)))
    named: set[str] = set()
    for page in files.documentation_pages():
        named |= {m[1] for m in OUTWARD.finditer(page.content_string)}
    for name in sorted(named):
        path = ROOT / name
        if path.is_file() and path.suffix not in (".md", ".ipynb"):
            files.append(File.generated(config, f"{PLACE}/{name}", abs_src_path=str(path)))
        elif path.suffix == ".md":
            text = path.read_text("utf-8")
            files.append(File.generated(config, f"{PLACE}/{name}", content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links out of docs/ to where these files stand in the site."""
    up = "../" * page.file.src_uri.count("/")

    def turned(match: re.Match[str]) -> str:
        name, anchor = match[1], match[2] or ""
        path = Path(name)
        if path.suffix == ".ipynb":
            return f"]({up}notebooks/{path.stem}.md{anchor})"
        return f"]({up}{PLACE}/{name}{anchor})" if (ROOT / name).is_file() else match[0]

    return OUTWARD.sub(turned, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Show names in docstrings without their roles."""
    return ROLE.sub("", html)
