"""A folder of photographs becomes a scene in the page, and is looked at there, in a real browser."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

pytest.importorskip("numba", reason="needs the extra 'splat'")

sys.path.insert(0, str(Path(__file__).parent.parent / "scene"))
from shots import photographs, ring, write_transforms


def shown(tab, viewer):
    """The scene as a screenshot of its own button, (H, W, 3)."""
    with tab.expect_download() as taken:
        viewer.get_by_role("button", name="Screenshot").click()
    assert taken.value.suggested_filename == "ball.png"
    return np.asarray(Pil.open(io.BytesIO(taken.value.path().read_bytes())).convert("RGB")).astype(int)


def settled(tab, viewer):
    """The scene as it is shown when Gaussians were sorted, in another thread."""
    for _ in range(10):
        tab.wait_for_timeout(700)
        now = shown(tab, viewer)
        if (now.sum(axis=2) < 700).any():
            break
    return now


def test_a_folder_becomes_a_scene_that_is_turned_in_the_page(served, tmp_path):
    tab = served
    tab.set_viewport_size({"width": 720, "height": 600})  # drawn without a GPU
    write_transforms(tmp_path / "ball", photographs(ring()))
    (tmp_path / "ball" / ".hidden").write_text("not sent")
    tab.set_input_files("input[webkitdirectory]", str(tmp_path / "ball"))
    tab.wait_for_selector(".first-photo")
    assert "9 photographs" in tab.locator(".title-row").inner_text()
    assert [r.get_attribute("value") for r in tab.locator("input[name=task]").all()] == ["lift"]
    for name, value in {"steps": 40, "gaussians": 6000, "most": 6000}.items():
        tab.locator(f"[id$='-{name}']").fill(str(value))
    tab.locator("details", has_text="Export").locator("summary").first.click()
    tab.locator("label.check", has_text="spz").first.locator("input").check()
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.wait_for_selector("iframe.scene, .wrong:not(:empty)", timeout=120_000)
    assert tab.locator(".badge").first.inner_text() == "done"
    frame = tab.locator("iframe.scene")
    viewer = frame.content_frame
    viewer.locator("#name", has_text="ball.ply").wait_for()
    viewer.locator("#state:empty").wait_for(state="attached")
    first = settled(tab, viewer)
    there = first.sum(axis=2) < 700
    rows = np.flatnonzero(there.any(axis=1))
    widths = there[rows[0] : rows[-1] + 1].sum(axis=1)
    assert 0.02 < there.mean() < 0.7
    assert widths[: len(widths) // 6].mean() < 0.7 * widths[len(widths) // 2 :].mean()  # what stands on it is on top
    base = frame.evaluate("e => e.src").rpartition("/")[0]
    facts = json.loads(tab.request.get(f"{base}/facts.json").text())
    assert 0 < facts["seen"] < facts["gaussians"]
    viewer.get_by_label("only what photographs show").check()
    viewer.locator("#state:empty").wait_for(state="attached")
    seen = settled(tab, viewer)
    assert 0.02 < (seen.sum(axis=2) < 700).mean() <= there.mean() + 0.01  # less is shown, and the object is still there
    viewer.get_by_label("turn", exact=True).check()
    tab.wait_for_timeout(1500)
    viewer.get_by_label("turn", exact=True).uncheck()
    assert np.abs(settled(tab, viewer) - seen).mean() > 0.5
    with tab.expect_download() as taken:
        tab.get_by_role("link", name="Download spz").click()
    assert taken.value.path().read_bytes()[:2] == b"\x1f\x8b"
    tab.get_by_role("button", name="Verify", exact=True).click()
    tab.locator(".panel .verdict").wait_for()
    assert "authentic" in tab.locator(".panel .verdict").inner_text().lower()
    assert not tab.get_by_role("button", name="Undo", exact=True).count()
    from axe_playwright_python.sync_playwright import Axe

    wrong = [v["id"] for v in Axe().run(tab).response["violations"] if v["impact"] in ("serious", "critical")]
    assert wrong == []


def test_one_photograph_becomes_an_object_by_what_is_drawn(served, tmp_path):
    tab = served
    x = np.linspace(60, 220, 96)
    ground = np.repeat(np.stack([x, x[::-1], x], axis=-1)[None], 96, axis=0).astype(np.uint8)
    Pil.fromarray(ground).save(tmp_path / "mug.png")
    tab.set_input_files("input[type=file][multiple]", str(tmp_path / "mug.png"))
    tab.wait_for_selector(".canvas")
    tab.locator("input[name=task][value=lift-photo]").check()
    for name, value in {"steps": 4, "side": 64}.items():
        tab.locator(f"[id$='-{name}']").fill(str(value))
    box = tab.locator(".canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x - 80, y - 60)
    tab.mouse.down()
    for step in range(1, 9):
        tab.mouse.move(x - 80 + 160 * (step % 2), y - 60 + 15 * step, steps=4)
    tab.mouse.up()
    tab.locator(".facts", has_text="%").wait_for()
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.wait_for_selector("iframe.scene, .wrong:not(:empty)", timeout=120_000)
    assert tab.locator(".badge").first.inner_text() == "done"
    viewer = tab.locator("iframe.scene").content_frame
    viewer.locator("#name", has_text="mug.ply").wait_for()


def test_only_the_viewer_may_run_webassembly(served):
    policy = served.request.get(served.url).headers["content-security-policy"]
    assert "wasm" not in policy
    assert "blob:" not in policy.partition("script-src")[2].partition(";")[0]
