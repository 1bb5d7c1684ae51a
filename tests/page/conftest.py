"""A real browser for the web page; without one, or without Playwright, these tests are skipped and say why."""

import os
import re
import shutil
import subprocess
import sys
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
        # WebGL without a GPU
        drawn = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *drawn])
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


@pytest.fixture(scope="session")
def link(tmp_path_factory, browser):
    """The address of a server; its one-time link has been opened by :func:`context`."""
    pytest.importorskip("fastapi", reason="needs the extra 'server'")
    folder = tmp_path_factory.mktemp("served")
    line = [sys.executable, "-m", "tratto.cli.main", "serve", "--port", "0", "--no-open", "--data", str(folder)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        for told in process.stdout:
            if found := re.search(r"http://\S+/start/\S+", told):
                break
        yield found[0]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="session")
def context(browser, link):
    opened = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened.add_init_script("window.print = () => { window.printings = (window.printings ?? 0) + 1; };")
    first = opened.new_page()
    first.goto(link)
    first.wait_for_selector(".drop")
    first.close()
    yield opened
    opened.close()


@pytest.fixture
def served(context, link):
    """A page that has access, and fails the test where its scripts fail or break the policy."""
    page = context.new_page()
    page.set_default_timeout(30_000)
    wrong = []
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and "status of" not in m.text else None)
    page.goto(link.partition("/start/")[0] + "/")
    page.wait_for_selector(".drop")
    yield page
    page.close()
    assert wrong == []
