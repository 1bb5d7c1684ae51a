"""A real browser for the web page; without one, or without Playwright, these tests are skipped and say why."""

import shutil
from importlib import resources
from urllib.parse import urlparse

import pytest

PAGE = resources.files("tratto").joinpath("server", "page")
TYPES = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra 'browser'")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # where the tests run as root, as in a container, Chromium has no sandbox
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def tab(browser):
    """A page that fails the test where its scripts fail or break the policy."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(20_000)
    wrong = []
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and "status of" not in m.text else None)
    yield page
    page.close()
    assert wrong == []


@pytest.fixture
def modules(tab):
    """A page from which the modules can be imported, without a server."""

    def answer(route):
        name = urlparse(route.request.url).path.lstrip("/")
        if not name:
            route.fulfill(body="<!DOCTYPE html><title>empty</title>", content_type="text/html")
        else:
            route.fulfill(body=PAGE.joinpath(name).read_text("utf-8"), content_type=TYPES[name.rpartition(".")[2]])

    tab.route("http://page.test/**", answer)
    tab.goto("http://page.test/")
    return tab
