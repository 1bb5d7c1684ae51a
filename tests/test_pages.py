"""Pages in Python: counted from 0, one at a time, and never the first one in silence."""

import io

import numpy as np
import pytest
from PIL import Image as Pil

import tratto
from tratto.core.errors import InputError, OptionError
from tratto.jobs import Session

rng = np.random.default_rng(0)
PAGES = [rng.integers(0, 256, (20 + k, 24, 3), np.uint8) for k in range(3)]


@pytest.fixture
def multi(tmp_path):
    first, *rest = [Pil.fromarray(p) for p in PAGES]
    first.save(tmp_path / "multi.tif", save_all=True, append_images=rest)
    return tmp_path / "multi.tif"


def jobs(mask):
    return [
        lambda picture, **k: tratto.restore(picture, provider="nlm", force=True, **k),
        lambda picture, **k: tratto.repair(picture, mask=mask, method="telea", **k),
        lambda picture, **k: tratto.recolor(picture, mask=mask, color="#c8d4e0", **k),
    ]


@pytest.mark.parametrize("job", range(3))
def test_a_page_of_several_must_be_named(multi, job):
    mask = np.zeros((21, 24), np.uint8)
    mask[5:15, 5:15] = 255
    do = jobs(mask)[job]
    for given in (multi, str(multi), multi.read_bytes()):
        with pytest.raises(OptionError, match="page=0"):
            do(given)
    done = do(multi, page=1)
    np.testing.assert_array_equal(done.source.pixels, PAGES[1])
    assert done.receipt["inputs"]["picture"]["page"] == 1
    with pytest.raises(InputError, match="page 3"):
        do(multi, page=3)


@pytest.mark.parametrize("page", ["all", -1, 1.0, True])
def test_what_is_no_page(multi, page):
    for given in (PAGES[0], multi):
        with pytest.raises(OptionError, match="page"):
            tratto.restore(given, provider="nlm", page=page)


@pytest.mark.parametrize("given", [PAGES[0], Pil.fromarray(PAGES[0])])
def test_an_array_has_no_pages(given):
    with pytest.raises(OptionError, match="page 7"):
        tratto.restore(given, provider="nlm", page=7)
    assert tratto.restore(given, provider="nlm", force=True, page=0).receipt["inputs"]["picture"]["page"] == 0


def test_a_file_with_one_page_needs_no_word(tmp_path):
    buffer = io.BytesIO()
    Pil.fromarray(PAGES[0]).save(buffer, "PNG")
    np.testing.assert_array_equal(Session().open(buffer.getvalue()).pixels, PAGES[0])
    np.testing.assert_array_equal(Session().open(buffer.getvalue(), np.int64(0)).pixels, PAGES[0])
