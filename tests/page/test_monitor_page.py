"""The page of what is watched, as one file and in the server's page."""

import pytest

from tratto.monitor.page import standalone
from tratto.monitor.summary import DAY, Reference, Span, summary
from tratto.monitor.watched import Observation

START = Span.parse("2026-09-01..2026-10-01").start


def observed(at, noise, **facts):
    return Observation(at, "restore", "done", 2.0, 5.0, {"noise": noise, **facts})


def test_the_page_stands_alone_and_is_drawn(tab, tmp_path):
    told = summary(
        [observed(START + k * 3600, float(k % 9), blur=1.0) for k in range(200)],
        Reference.of(
            "</script><b>x", Span(START, START + 4 * DAY), [observed(START + k * 3600, 1.0) for k in range(90)]
        ),
        Span(START, START + 10 * DAY),
    )
    path = tmp_path / "page.html"
    path.write_text(standalone(told, "<i>scans"))
    asked = []
    tab.on("request", lambda r: asked.append(r.url))
    tab.goto(path.as_uri())
    tab.wait_for_selector(".plot canvas")
    assert asked == [path.as_uri()]
    assert tab.locator("h1").inner_text() == "<i>scans"
    assert tab.locator("strong.alert").count() == 2  # in the table, and at its panel
    assert tab.locator("svg.spread").count() == 2
    assert tab.locator("b").count() == 0
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(tab).response["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
