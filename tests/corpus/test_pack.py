import json

import numpy as np
import pytest
from PIL import Image

from tratto.core.errors import InputError, OptionError
from tratto.corpus.pack import HELD_OUT, Pack, build_pack
from tratto.corpus.text_pages import render_page


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("budgie_a", "popos_b", HELD_OUT[0]):
        Image.fromarray(rng.integers(0, 256, (120, 180, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def test_pack_holds_the_pixels_and_leaves_out_the_held_out(photos, tmp_path):
    count = build_pack(photos, tmp_path / "pack", text_pages=1)
    pack = Pack(tmp_path / "pack")
    assert count == len(pack.entries) == 2 * 3 + 1
    assert HELD_OUT[0] not in {e.name for e in pack.entries}
    full = np.asarray(Image.open(photos / "budgie_a.png"))
    assert np.array_equal(pack.picture(0), full)
    half = pack.picture(1)
    assert half.shape == (60, 90, 3)
    assert np.abs(half - full.reshape(60, 2, 90, 2, 3).mean((1, 3))).max() <= 0.5
    assert all(e.licence for e in pack.entries)
    card = (tmp_path / "pack" / "DATA_CARD.md").read_text()
    assert "3 pictures, 1 megapixels" in card  # 2 x 120 x 180 and one page of 900 x 1200
    assert "| CC0-1.0 (Budgie Backgrounds collection) | budgie_a |" in card
    assert len(json.loads((tmp_path / "pack" / "index.json").read_text())[0]["sha256"]) == 64


def test_crops_are_seeded_and_come_from_where_they_say(photos, tmp_path):
    build_pack(photos, tmp_path / "pack", text_pages=0)
    pack = Pack(tmp_path / "pack")
    crop, name = pack.crop(32, np.random.default_rng(4))
    again, _ = pack.crop(32, np.random.default_rng(4))
    assert np.array_equal(crop, again)
    assert crop.shape == (32, 32, 3)
    entry, place = name.split("@")
    stem, shrink = entry.split("/")
    y, x = (int(v) for v in place.split(","))
    number = next(i for i, e in enumerate(pack.entries) if (e.name, str(e.shrink)) == (stem, shrink))
    window = pack.picture(number)[y : y + 32, x : x + 32].astype(np.float32) / 255
    views = [np.rot90(v, k) for v in (window, window[:, ::-1]) for k in range(4)]
    assert any(np.allclose(crop, v) for v in views)


def test_pictures_that_hold_no_crop_are_not_drawn(photos, tmp_path):
    build_pack(photos, tmp_path / "pack", text_pages=1)
    pack = Pack(tmp_path / "pack")
    assert min(min(e.height, e.width) for e in pack.entries) < 100  # those shrunk to a half and a third
    drawn = {pack.crop(100, np.random.default_rng(n))[1].split("@")[0] for n in range(30)}
    assert all(name.endswith("/1") for name in drawn)
    with pytest.raises(OptionError, match="no photograph of 5000 x 5000"):
        pack.crop(5000, np.random.default_rng(0))


def test_missing_things_are_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        build_pack(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InputError, match="not a training pack"):
        Pack(tmp_path / "empty")


def test_text_pages_are_seeded_and_have_ink():
    a, b = render_page(1, 0, 200, 300), render_page(1, 0, 200, 300)
    assert np.array_equal(a, b)
    assert a.shape == (200, 300, 3)
    assert a.std() > 5
    assert not np.array_equal(a, render_page(1, 1, 200, 300))
