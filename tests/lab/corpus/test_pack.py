import json

import numpy as np
import pytest
from PIL import Image

from tratto.core.errors import InputError, OptionError, OutputError, TrattoError
from tratto_lab.corpus.pack import HELD_OUT, Pack, build_pack, is_held_out, pack_for
from tratto_lab.corpus.text_pages import render_page


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
    with pytest.raises(OptionError, match="5000 x 5000"):
        pack.crop(5000, np.random.default_rng(0))


def test_missing_things_are_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        build_pack(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InputError, match="training pack"):
        Pack(tmp_path / "empty")


@pytest.mark.parametrize("stem", [*HELD_OUT, "budgie-backgrounds_casa-mila", "x_tony-webster-97532", "casa-mila"])
def test_held_out_photographs_are_known_whatever_collection_they_came_in(stem):
    assert is_held_out(stem)
    assert not is_held_out(stem + "2")


def test_a_pack_of_other_photographs_is_not_trained_on(photos, tmp_path):
    pack = tmp_path / "pack"
    assert pack_for(photos, pack) == pack
    stamp = (pack / "samples.u8").stat().st_mtime_ns
    assert pack_for(photos, pack) == pack
    assert (pack / "samples.u8").stat().st_mtime_ns == stamp
    assert pack_for(pack, tmp_path / "another") == pack  # a pack may travel alone
    assert not (tmp_path / "another").exists()
    (photos / f"{HELD_OUT[1]}.png").write_bytes((photos / "popos_b.png").read_bytes())
    assert pack_for(photos, pack) == pack  # which is not trained on
    (photos / "c.png").write_bytes((photos / "popos_b.png").read_bytes())
    with pytest.raises(OptionError, match="other photographs"):
        pack_for(photos, pack)
    (photos / "c.png").unlink()
    Image.new("RGB", (120, 90)).save(photos / "popos_b.png")
    with pytest.raises(OptionError, match="other photographs"):
        pack_for(photos, pack)


def test_sixteen_bits_and_grey_keep_their_brightness(tmp_path):
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray((ramp >> 8).astype(np.uint8)).save(tmp_path / "grey.png")
    build_pack(tmp_path, tmp_path / "pack", text_pages=0, shrinks=(1,))
    deep, grey = (Pack(tmp_path / "pack", shrink_weights=(1, 0, 0)).picture(k) for k in range(2))
    assert np.array_equal(deep[..., 1], np.rint(ramp / 257))
    assert np.array_equal(grey, np.repeat((ramp >> 8)[..., None], 3, axis=2))


def test_what_cannot_be_read_or_written_is_named_and_leaves_no_pack(photos, tmp_path):
    (photos / "bad.png").write_text("no picture")
    with pytest.raises(TrattoError, match=r"bad\.png"):
        build_pack(photos, tmp_path / "pack")
    assert not any((tmp_path / "pack").iterdir())
    (photos / "bad.png").unlink()
    (photos / "folder.png").mkdir()
    build_pack(photos, tmp_path / "pack", text_pages=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no pack"):
        build_pack(photos, tmp_path / "file")
    (photos / "budgie_a.jpg").write_bytes((photos / "budgie_a.png").read_bytes())
    with pytest.raises(InputError, match="budgie_a"):
        build_pack(photos, tmp_path / "pack")
    samples = tmp_path / "pack/samples.u8"
    samples.write_bytes(samples.read_bytes()[:-5])
    with pytest.raises(InputError, match="its index"):
        Pack(tmp_path / "pack")
    (tmp_path / "pack/index.json").write_text("[{")
    with pytest.raises(InputError, match="cannot be read"):
        Pack(tmp_path / "pack")


def test_a_collection_is_drawn_as_often_as_told(photos, tmp_path):
    build_pack(photos, tmp_path / "pack", text_pages=0)

    def drawn(collections):
        pack = Pack(tmp_path / "pack", 0, collections=collections)
        names = [pack.crop(32, np.random.default_rng(n))[1] for n in range(200)]
        return sum(name.startswith("popos_") for name in names) / len(names)

    assert drawn({"popos_": 0}) == 0 < drawn({"popos_": 0.2}) < drawn(None) < drawn({"popos_": 5}) < 1
    assert drawn({"budgie_": 0}) == 1
    with pytest.raises(OptionError, match="begins with 'holiday_'"):
        drawn({"holiday_": 1})
    with pytest.raises(OptionError, match="no photograph"):
        drawn({"budgie_": 0, "popos_": 0})


def test_text_pages_are_seeded_and_have_ink():
    a, b = render_page(1, 0, 200, 300), render_page(1, 0, 200, 300)
    assert np.array_equal(a, b)
    assert a.shape == (200, 300, 3)
    assert a.std() > 5
    assert not np.array_equal(a, render_page(1, 1, 200, 300))
