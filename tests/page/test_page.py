"""The page in a real browser against a real server: each job from the upload to undo, by mouse and by keys alone."""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

pytest.importorskip("fastapi", reason="needs the extra 'server'")


@pytest.fixture
def tab(served):
    return served


def room(path, size=(96, 64)):
    """A cream wall with a grey floor, and faint noise."""
    values = np.empty((size[1], size[0], 3), np.float64)
    values[:] = (236, 226, 200)
    values[48:] = (90, 92, 96)
    values += np.random.default_rng(3).normal(0, 1, values.shape)
    Pil.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)
    return path


def add(tab, *paths):
    tab.set_input_files("input[type=file][multiple]", [str(p) for p in paths])
    if len(paths) == 1:
        tab.wait_for_selector(".canvas")


def mark(tab):
    """Draw a stroke over the middle of the picture."""
    box = tab.locator(".canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x - 80, y - 60)
    tab.mouse.down()
    tab.mouse.move(x + 80, y - 40, steps=4)
    tab.mouse.up()
    tab.locator(".facts", has_text="%").wait_for()


def choose(tab, task):
    tab.locator(f"input[name=task][value={task}]").check()


def run(tab):
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.wait_for_selector(".compare, .wrong:not(:empty)")
    assert tab.locator(".badge").first.inner_text() == "done"


def opened(download):
    return Pil.open(io.BytesIO(download.path().read_bytes()))


def serious(tab):
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab).response["violations"]
    return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]


def shade(tab, at):
    """The mean colour of the comparison at a share of its width."""
    stage = np.asarray(Pil.open(io.BytesIO(tab.locator(".stage").screenshot())).convert("RGB")).astype(float)
    x, y = int(at * stage.shape[1]), stage.shape[0] // 3
    return stage[y - 4 : y + 4, x - 4 : x + 4].mean(axis=(0, 1))


@pytest.mark.parametrize("task", ["restore", "repair", "recolor"])
def test_each_job_from_upload_to_undo_by_mouse(tab, tmp_path, task):
    file = room(tmp_path / f"{task}.png")
    add(tab, file)
    choose(tab, task)
    if task == "repair":
        tab.locator(".editor select").select_option("crack")
    mark(tab)
    if task == "recolor":
        tab.get_by_label("Color", exact=True).fill("#3050a0")
    run(tab)
    # compare: every way of it, and a map over it
    for way in ("Side by side", "Blink", "Before", "After", "Slider"):
        tab.get_by_role("button", name=way, exact=True).click()
    assert tab.get_by_role("button", name="Slider").get_attribute("aria-pressed") == "true"
    tab.get_by_label("Overlay").select_option("edit_map")
    tab.wait_for_selector(".ramp")
    # regions, receipt
    if task != "restore":
        tab.get_by_role("tab", name=re.compile("Regions")).click()
        tab.locator(".region-button").first.click()
        assert tab.locator(".osd:not([hidden]) .region.chosen").count() == 1
    tab.get_by_role("tab", name="Receipt").click()
    receipt = json.loads(tab.locator("pre").text_content())
    assert receipt["task"] == task
    if task == "repair":
        assert [p["class"] for p in receipt["mask"]["parts"]] == ["crack"]
    # download, verify, undo
    tab.get_by_role("tab", name="Result").click()
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download picture").click()
    assert opened(download.value).size == (96, 64)
    with tab.expect_download() as download:
        tab.get_by_role("link", name="bundle").click()
    bundle = tmp_path / "bundle.zip"
    download.value.save_as(bundle)
    assert any(n.endswith("receipt.json") for n in zipfile.ZipFile(bundle).namelist())
    tab.get_by_role("button", name="Verify", exact=True).click()
    assert tab.locator(".verdict h2").inner_text() == "Authentic"
    for name in ("Report", "Print the report"):
        with tab.expect_popup() as shown:
            tab.get_by_role("link", name=name, exact=True).click()
        shown.value.wait_for_selector("#compare .line")  # its own script runs under either policy
        shown.value.wait_for_load_state()
        assert shown.value.evaluate("window.printings ?? 0") == int(name != "Report")
        shown.value.close()
    tab.get_by_role("button", name="Undo", exact=True).click()
    tab.wait_for_selector(".canvas")
    upload = tab.url.rpartition("/")[2]
    sha = tab.evaluate("async ([id]) => (await (await fetch(`api/v1/uploads/${id}`)).json()).sha256", [upload])
    assert sha == hashlib.sha256(file.read_bytes()).hexdigest()
    # the page for anybody's file says the same of the bundle, and other things of others
    tab.goto(tab.url.partition("#")[0] + "#/verify")
    tab.get_by_label("Picture, bundle").set_input_files(str(bundle))
    tab.wait_for_selector(".verdict.authentic")
    tab.get_by_label("Picture, bundle").set_input_files(str(file))
    tab.wait_for_selector(".verdict.unknown")


def tab_to(tab, text):
    """Press Tab until what has the focus is called so."""
    name = """() => {
      const e = document.activeElement;
      if (!e.matches("a, button, input, select, textarea, canvas")) return "";
      return [e.getAttribute("aria-label"), e.innerText, e.labels?.[0]?.innerText, e.name].join(" ");
    }"""
    for _ in range(150):
        tab.keyboard.press("Tab")
        if text in tab.evaluate(name):
            return
    raise AssertionError(f"{text} cannot be reached by Tab")


def test_a_whole_job_by_keys_alone(tab, tmp_path):
    task = "recolor"  # the last in the list of jobs, and the one that needs a mask and an option; the others by mouse
    file = room(tmp_path / "keys.png")
    tab.on("filechooser", lambda _: None)  # the browser gives choosers to us well before the key is pressed
    tab_to(tab, "Choose pictures")
    with tab.expect_file_chooser() as chooser:
        tab.keyboard.press("Enter")
    chooser.value.set_files(str(file))
    tab.wait_for_selector(".canvas")
    tab_to(tab, "Mask of keys.png")
    tab.keyboard.press("Space")
    for _ in range(6):
        tab.keyboard.press("Control+ArrowRight")
    tab.keyboard.press("Space")
    tab_to(tab, "task")  # the choice of jobs; arrows move within it
    for _ in range(3):
        if tab.locator("input[name=task]:checked").get_attribute("value") != task:
            tab.keyboard.press("ArrowDown")
    assert tab.locator("input[name=task]:checked").get_attribute("value") == task
    tab_to(tab, "Color")
    tab.keyboard.type("#3050a0")
    tab.keyboard.press("Control+Enter")
    tab.wait_for_selector(".compare")
    tab_to(tab, "Divide between before and after")
    tab.keyboard.press("End")
    assert tab.locator(".compare-slider").get_attribute("aria-valuetext") == "100 % before, 0 % after"
    tab_to(tab, "Download picture")
    with tab.expect_download() as download:
        tab.keyboard.press("Enter")
    assert opened(download.value).size == (96, 64)
    tab_to(tab, "Verify")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".verdict.authentic")
    tab_to(tab, "Undo")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".canvas")
    first = tab.url
    tab.keyboard.press("n")  # the next picture, wherever the focus is
    tab.wait_for_url(lambda url: url != first)


def test_a_reload_keeps_mask_task_options_and_job(tab, tmp_path):
    add(tab, room(tmp_path / "kept.png"))
    choose(tab, "repair")
    mark(tab)
    tab.locator("#option-grow").fill("2")
    said = tab.locator(".facts").inner_text()
    tab.wait_for_timeout(500)  # the mask is kept a moment after the last stroke
    tab.reload()
    tab.wait_for_selector(".canvas")
    assert tab.locator(".facts").inner_text() == said
    assert tab.locator("input[name=task]:checked").get_attribute("value") == "repair"
    assert tab.locator("#option-grow").input_value() == "2"
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.wait_for_selector(".badge")
    tab.reload()  # in the middle of the job
    tab.wait_for_selector(".compare")
    assert tab.locator(".badge").first.inner_text() == "done"


def test_the_slider_shows_before_to_its_left_and_after_to_its_right(tab, tmp_path):
    add(tab, room(tmp_path / "slide.png"))
    choose(tab, "recolor")
    tab.get_by_role("button", name="Invert").click()
    tab.get_by_label("Color", exact=True).fill("#3050a0")
    run(tab)
    slider = tab.locator(".compare-slider")
    shades = {}
    for value in ("0", "50", "100"):
        slider.evaluate("(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); }", value)
        tab.wait_for_timeout(300)  # tiles come, and a frame is drawn
        shades[value] = (shade(tab, 0.3), shade(tab, 0.7))
    before, after = shades["100"][1], shades["0"][0]
    assert np.linalg.norm(before - after) > 60
    for value, (left, right) in {"0": (after, after), "50": (before, after), "100": (before, before)}.items():
        assert np.linalg.norm(shades[value][0] - left) < 12
        assert np.linalg.norm(shades[value][1] - right) < 12


def test_a_mask_is_proposed_from_a_click_on_the_wall(tab, tmp_path):
    add(tab, room(tmp_path / "wall.png"))
    choose(tab, "recolor")
    tab.get_by_role("button", name="Points", exact=True).click()
    box = tab.locator(".canvas").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    tab.get_by_role("button", name="Find the wall").click()
    tab.locator(".facts", has_text="%").wait_for()
    share = float(tab.locator(".facts").inner_text().split(" %")[0])
    assert abs(share - 75) < 8  # the wall is three quarters of the picture


def cracked(path):
    """A photograph with two bright cracks across it."""
    with Pil.open(Path(__file__).parents[2] / "examples" / "pictures" / "small.png") as opened:
        values = np.asarray(opened.convert("RGB")).copy()
    y, x = np.mgrid[: values.shape[0], : values.shape[1]]
    values[np.abs(y - 60 - 10 * np.sin(x / 30)) < 1.5] = 245
    values[np.abs(x - 100 - 10 * np.sin(y / 20)) < 1] = 250
    Pil.fromarray(values).save(path)
    return path


def test_a_mask_of_the_damage_that_is_found_lies_in_the_layers_of_its_kinds(tab, tmp_path):
    add(tab, cracked(tmp_path / "cracked.png"))
    choose(tab, "repair")
    kinds = tab.locator(".editor select option").evaluate_all("(all) => all.map((o) => o.value)")
    assert {"", "crack", "stain"} <= set(kinds)
    tab.get_by_role("button", name="Find damage").click()
    tab.locator(".facts", has_text="%").wait_for()
    assert 0 < float(tab.locator(".facts").inner_text().split(" %")[0]) < 40
    asked = []
    tab.on("request", lambda r: asked.append(r) if r.method == "POST" and r.url.endswith("/jobs") else None)
    run(tab)
    mask = asked[0].post_data_json["inputs"]["mask"]
    assert set(mask) & {"crack", "fold"}
    assert set(mask) <= set(kinds)


def test_the_whole_picture_is_seen_at_first_however_it_is_shaped(tab, tmp_path):
    add(tab, room(tmp_path / "tall.png", (80, 200)))
    choose(tab, "restore")
    run(tab)
    said = tab.locator(".zoom")

    def settled():
        """What is said when the picture has come to rest."""
        seen = []
        for _ in range(100):
            seen.append(said.inner_text())
            if seen[-1] and len(seen) > 4 and len(set(seen[-4:])) == 1:
                return seen[-1]
            tab.wait_for_timeout(150)
        raise AssertionError(seen)

    for again in (False, True):
        if again:
            tab.reload()
            tab.wait_for_selector(".compare")
        first = settled()
        tab.get_by_role("button", name="Fit").click()
        assert settled() == first


def test_what_is_wrong_is_said_where_it_is(tab, tmp_path):
    add(tab, room(tmp_path / "wrong.png"))
    choose(tab, "repair")
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.locator(".submit .wrong", has_text="Mark what is damaged").wait_for()
    assert tab.evaluate("document.activeElement.className") == "canvas"
    mark(tab)
    tab.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    tab.locator("#option-page").fill("7")
    tab.get_by_role("button", name="Run", exact=True).click()
    said = tab.locator("#option-page-wrong:not(:empty)")
    said.wait_for()
    box, below = said.bounding_box(), tab.locator(".submit").bounding_box()
    assert 0 < box["y"] < box["y"] + box["height"] <= below["y"]  # the row with Run does not cover it
    tab.locator("#option-page").fill("")
    tab.get_by_role("button", name="Clear").click()
    other = tmp_path / "other.png"
    Pil.new("L", (10, 10)).save(other)
    tab.locator(".foot input[type=file]").set_input_files(str(other))
    tab.wait_for_selector(".facts.wrong")
    choose(tab, "recolor")
    tab.get_by_label("Color", exact=True).fill("#12")
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.wait_for_selector(".wrong:not(:empty)")
    assert "#/picture/" in tab.url


def given_files(tab, kind, path):
    """Give the page a file as a drop or a paste does."""
    code = """([kind, name, bytes]) => {
      const held = new DataTransfer();
      held.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
      const more = { bubbles: true, cancelable: true };
      document.body.dispatchEvent(kind === "drop" ? new DragEvent("drop", { ...more, dataTransfer: held })
        : new ClipboardEvent("paste", { ...more, clipboardData: held }));
    }"""
    tab.evaluate(code, [kind, path.name, list(path.read_bytes())])
    tab.wait_for_selector(".canvas")


def test_pictures_come_by_drop_paste_and_folder_and_are_done_together(tab, tmp_path):
    given_files(tab, "drop", room(tmp_path / "dropped.png"))
    assert tab.locator("h1").inner_text() == "dropped.png"
    given_files(tab, "paste", room(tmp_path / "pasted.png"))
    tab.locator("h1", has_text="pasted.png").wait_for()
    for upload in tab.evaluate("async () => (await (await fetch('api/v1/uploads?limit=100')).json()).uploads"):
        code = "([id]) => fetch(`api/v1/uploads/${id}`, { method: 'DELETE', headers: { 'X-Tratto-Page': '1' } })"
        tab.evaluate(code, [upload["id"]])
    (tmp_path / "scans" / "inner").mkdir(parents=True)
    room(tmp_path / "scans" / "one.png")
    room(tmp_path / "scans" / "inner" / "two.png")
    tab.goto(tab.url.partition("#")[0])
    tab.locator("input[webkitdirectory]").set_input_files(str(tmp_path / "scans"))
    tab.get_by_role("link", name=re.compile("^one.png")).wait_for()
    tab.get_by_role("link", name=re.compile("^two.png")).click()
    tab.wait_for_selector(".canvas")
    choose(tab, "restore")
    tab.get_by_label("The same for the other 1").check()
    run(tab)
    tab.get_by_role("link", name="Jobs").click()
    for name in ("one.png", "two.png"):
        tab.locator(".job-row", has_text=name).first.locator(".badge.done").wait_for()


def test_a_name_is_shown_as_text_and_a_file_that_is_no_picture_stops_no_other(tab, tmp_path):
    evil = room(tmp_path / "<img src=x onerror=document.title='owned'>.png")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"GIF89a, or not")
    add(tab, bad, evil, room(tmp_path / "good.png"))
    tab.wait_for_selector(".toast.wrong")
    tab.get_by_role("link", name=re.compile("^good.png")).wait_for()
    assert tab.locator(".picture-card b", has_text="onerror").count() == 1
    assert tab.title() != "owned"


def test_jobs_can_be_cancelled_retried_and_deleted_in_the_list(tab, tmp_path):
    add(tab, room(tmp_path / "list.png", (900, 700)))
    choose(tab, "restore")
    tab.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    tab.get_by_label("Force").check()
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.wait_for_url(re.compile("#/job/"))
    tab.get_by_role("button", name="Cancel").click()
    tab.wait_for_selector(".badge.cancelled")
    tab.get_by_role("link", name="Jobs").click()
    row = tab.locator(".job-row", has_text="list.png").first
    row.get_by_role("button", name="Retry").click()
    row.locator(".badge:not(.cancelled)").wait_for()
    row.get_by_role("button", name="Delete").click()
    tab.locator(".job-row", has_text="list.png").wait_for(state="detached")


def test_a_page_without_access_says_how_to_get_it(browser, link):
    page = browser.new_page()
    page.goto(link.partition("/start/")[0])
    page.wait_for_selector("main h1")
    assert "tratto serve" in page.locator("main").inner_text()
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_nothing_serious_is_found_by_axe_and_nothing_runs_over(tab, tmp_path, width, scheme):
    pytest.importorskip("axe_playwright_python", reason="needs the extra 'browser'")
    tab.set_viewport_size({"width": width, "height": 844})
    tab.emulate_media(color_scheme=scheme)
    assert serious(tab) == []
    add(tab, room(tmp_path / "axe.png"))
    for task in ("repair", "recolor"):
        choose(tab, task)
        tab.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert serious(tab) == []
    mark_at = tab.locator(".canvas")
    mark_at.scroll_into_view_if_needed()
    mark(tab)
    choose(tab, "repair")
    run(tab)
    wide = "document.documentElement.scrollWidth"
    assert tab.evaluate(wide) <= width
    for name in ("Regions", "Receipt"):
        tab.get_by_role("tab", name=re.compile(name)).click()
        tab.wait_for_timeout(100)
        assert serious(tab) == []
    for place in ("#/jobs", "#/verify", "#/"):
        tab.evaluate("([place]) => { location.hash = place; }", [place])
        tab.wait_for_timeout(200)
        assert serious(tab) == []
        assert tab.evaluate(wide) <= width
    tab.keyboard.press("?")
    assert serious(tab) == []


def test_the_place_that_watches_shows_what_was_done(tab, tmp_path):
    add(tab, room(tmp_path / "watched.png"))
    choose(tab, "restore")
    run(tab)
    tab.get_by_role("link", name="Monitor").click()
    tab.wait_for_selector(".monitor .plot canvas")
    assert tab.get_by_role("heading", name="Monitor").is_visible()
    assert int(tab.locator(".tile strong").first.inner_text()) >= 1
    assert tab.locator("svg.spread").count() >= 5
    tab.locator("#monitor-days").select_option("365")
    tab.wait_for_selector(".monitor .plot canvas")
    assert serious(tab) == []
    for width in (390, 1280):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.wait_for_timeout(100)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_a_face_is_put_in_and_its_candidates_are_seen(tab, tmp_path):
    from skimage import data

    portrait = np.ascontiguousarray(data.astronaut()[0:240, 110:350])
    scene, other = tmp_path / "scene.png", tmp_path / "other.png"
    Pil.fromarray(portrait).save(scene)
    Pil.fromarray(np.ascontiguousarray(portrait[:, ::-1])).save(other)
    add(tab, scene)
    choose(tab, "reface")
    tab.locator("form.panel input[type=file]").first.set_input_files([str(other), str(scene)])
    tab.locator(".field", has_text="240 × 240").wait_for()
    for group in tab.locator("form.panel summary").all():
        group.click()
    tab.locator("#option-consent").fill("A. Person")
    assert tab.locator("#option-face").count() == 1
    tab.locator("#option-k_global").fill("1")
    tab.locator("#option-m_global").fill("0")
    tab.get_by_role("button", name="Run", exact=True).click()
    tab.wait_for_selector(".compare, .wrong:not(:empty)", timeout=60_000)
    tab.get_by_role("tab", name="Candidates").click()
    sheet = tab.locator("img.sheet")
    sheet.wait_for()
    tab.wait_for_function("document.querySelector('img.sheet').naturalWidth > 400")
    assert serious(tab) == []
