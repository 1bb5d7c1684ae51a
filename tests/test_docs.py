"""The documentation site: it builds without a warning, its links lead somewhere, nothing comes from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("material", reason="needs the extra 'docs'")
pytest.importorskip("mkdocstrings")
ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """What a page loads, where its links lead, and the anchors that it has."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {v for k in ("id", "name") if (v := given.get(k))}
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.loads.append(given["src"])
        if tag == "link" and set((given.get("rel") or "").split()) & {
            "stylesheet",
            "preload",
            "icon",
            "preconnect",
            "modulepreload",
        }:
            self.loads.append(given["href"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {p.relative_to(folder).as_posix(): Page(p.read_text("utf-8")) for p in folder.rglob("*.html")}, folder


def test_every_page_is_in_the_site(site):
    pages, _ = site
    for name in (ROOT / "docs").glob("*.md"):
        assert f"{name.stem}.html" in pages
    for name in (ROOT / "examples" / "notebooks").glob("*.ipynb"):
        assert f"notebooks/{name.stem}.html" in pages


def test_nothing_comes_from_elsewhere(site):
    pages, folder = site
    for name, page in pages.items():
        assert [u for u in page.loads if urlsplit(u).scheme not in ("", "data") or u.startswith("//")] == [], name
    for sheet in folder.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text("utf-8")), sheet.name


def test_every_link_leads_somewhere(site):
    pages, folder = site
    missing = []
    for name, page in pages.items():
        if name == "404.html":  # its links begin at the root of a host
            continue
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = os.path.normpath(os.path.join(os.path.dirname(name), unquote(parts.path))) if parts.path else name
            target = folder / path
            there = target.is_file() or (target / "index.html").is_file()
            anchor = unquote(parts.fragment)
            if not there or (anchor and path in pages and anchor not in pages[path].anchors):
                missing.append(f"{name}: {link}")
    assert missing == []


def test_links_of_files_beside_the_site():
    wrong = []
    for name in ("README.md", "CONTRIBUTING.md", "examples/README.md", "tests/README.md"):
        text = (ROOT / name).read_text("utf-8")
        for link in re.findall(r"\]\(([^)#\s]+)", text):
            if not urlsplit(link).scheme and not ((ROOT / name).parent / unquote(link)).exists():
                wrong.append(f"{name}: {link}")
    assert wrong == []


def test_the_classes_are_made_from_docstrings(site):
    pages, _ = site
    assert {"tratto.jobs.job.Job.run", "tratto.monitor.drift.compare", "tratto.core.errors.OptionError"} <= pages[
        "classes.html"
    ].anchors
