"""The page in a real browser: pictures of it for docs/page.md, and how long it takes with a large picture.

python benchmarks/page.py --pictures docs/images        what the how-to shows
python benchmarks/page.py --megapixels 100              seconds of upload, job and first tile
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pil
from playwright.sync_api import Browser, sync_playwright

EXAMPLES = Path(__file__).parent.parent / "examples"


@contextlib.contextmanager
def served(*more: str) -> Iterator[str]:
    """Serve Tratto from an empty folder; yields the one-time link."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        line = [sys.executable, "-u", "-m", "tratto.cli.main", "serve", "--port", "0", "--no-open", "--data", folder]
        process = subprocess.Popen([*line, *more], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield next(m[0] for told in process.stdout if (m := re.search(r"http://\S+/start/\S+", told)))
        finally:
            process.terminate()
            process.wait()


def old_print(path: Path) -> None:
    """Write a print with cracks, a scratch and a stain, as the laboratory simulates them."""
    from tratto_lab.simulate.damage import damage_all

    with Pil.open(EXAMPLES / "pictures" / "rocket.jpg") as shown:
        picture = np.asarray(shown.convert("RGB"), np.float32) / 255
    kinds = [("crack", 0.35), ("scratch", 0.5), ("missing", 0.25)]
    done = damage_all(picture, kinds, np.random.default_rng(11))
    Pil.fromarray((done.picture * 255).round().astype(np.uint8)).save(path)


def shot(tab: Any, path: Path, quality: int = 82) -> None:
    """Keep what is seen as WebP."""
    tab.wait_for_timeout(900)
    with Pil.open(io.BytesIO(tab.screenshot())) as seen:
        seen.convert("RGB").save(path, "WEBP", quality=quality, method=6)
    print(path, path.stat().st_size, "bytes")


def add(tab: Any, path: Path) -> None:
    tab.set_input_files("input[type=file][multiple]", str(path))
    tab.wait_for_selector(".canvas")
    tab.wait_for_timeout(600)


def pictures(browser: Browser, out: Path) -> None:
    """Walk through the jobs and keep what a conservator sees."""
    with served() as link, tempfile.TemporaryDirectory() as folder:
        scan = Path(folder, "old-print.png")
        old_print(scan)
        tab = browser.new_page(viewport={"width": 1320, "height": 860}, reduced_motion="reduce")
        tab.goto(link)
        tab.wait_for_selector(".drop")
        add(tab, scan)
        tab.locator("input[name=task][value=repair]").check()
        tab.get_by_role("button", name="Find damage").click()
        tab.locator(".facts", has_text="%").wait_for(timeout=120_000)
        shot(tab, out / "page-mask.webp")
        tab.get_by_role("button", name="Run", exact=True).click()
        tab.wait_for_selector(".compare", timeout=120_000)
        tab.get_by_label("Overlay").select_option("edit_map")
        tab.get_by_role("tab", name=re.compile("Regions")).click()
        shot(tab, out / "page-compare.webp")
        tab.evaluate("() => { location.hash = '#/'; }")
        tab.wait_for_selector(".drop")
        add(tab, EXAMPLES / "room" / "room.jpg")
        tab.locator("input[name=task][value=recolor]").check()
        tab.locator(".foot input[type=file]").set_input_files(str(EXAMPLES / "room" / "room_wall.png"))
        tab.locator(".facts", has_text="%").wait_for()
        tab.locator("#option-color").fill("#a9bcae")
        tab.get_by_role("button", name="Run", exact=True).click()
        tab.wait_for_selector(".compare", timeout=120_000)
        tab.get_by_role("button", name="Verify", exact=True).click()
        tab.wait_for_selector(".verdict")
        tab.set_viewport_size({"width": 390, "height": 844})
        tab.emulate_media(color_scheme="dark")
        tab.locator(".compare").scroll_into_view_if_needed()
        shot(tab, out / "page-phone.webp")
        tab.close()


def large(browser: Browser, megapixels: float) -> None:
    """Time a repair of a small part of a large TIFF, from the file to the first tile of the result."""
    import tifffile

    with served("--max-megapixels", str(megapixels + 1)) as link, tempfile.TemporaryDirectory(dir=".") as folder:
        width = round((megapixels * 1e6 * 1.4) ** 0.5)
        height = round(megapixels * 1e6 / width)
        grain = np.random.default_rng(0).integers(0, 24, (height, width, 1), np.uint8)
        slope = np.linspace(40, 200, width).astype(np.uint8)[None, :, None]
        tifffile.imwrite(Path(folder, "large.tif"), np.repeat(grain + slope, 3, axis=2), photometric="rgb")
        tab = browser.new_page(viewport={"width": 1440, "height": 960})
        tab.set_default_timeout(900_000)
        tab.goto(link)
        tab.wait_for_selector(".drop")
        at = time.perf_counter()

        def told(what: str) -> None:
            nonlocal at
            print(f"{what}: {time.perf_counter() - at:.2f} s")
            at = time.perf_counter()

        tab.set_input_files("input[type=file][multiple]", str(Path(folder, "large.tif")))
        tab.wait_for_selector(".canvas")
        told(f"upload of {width}x{height} until it can be drawn on")
        tab.locator("input[name=task][value=repair]").check()
        box = tab.locator(".canvas").bounding_box()
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tab.locator(".facts", has_text="%").wait_for()
        told("one dab of the brush")
        tab.get_by_role("button", name="Run", exact=True).click()
        tab.wait_for_selector(".badge")
        told("sending the mask and the job")
        tab.locator(".badge.done").wait_for()
        told("the job")
        drawn = """() => { const c = document.querySelector(".osd canvas");
          return c && c.getContext("2d").getImageData(c.width / 2, c.height / 2, 1, 1).data[3] > 0; }"""
        while not tab.evaluate(drawn):
            tab.wait_for_timeout(20)
        told("first tile of the result on the screen")
        tab.close()


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--megapixels", type=float)
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        if given.pictures:
            pictures(browser, given.pictures)
        if given.megapixels:
            large(browser, given.megapixels)
        browser.close()


if __name__ == "__main__":
    main()
