import sys
import types

import numpy as np
import pytest

from tratto.imaging.color import srgb_to_linear
from tratto_lab.corpus import rooms


def test_there_are_enough_rooms_with_names_of_their_own():
    assert len({r.name for r in rooms.ROOMS}) == len(rooms.ROOMS)
    assert sum(len(r.new) for r in rooms.ROOMS) >= 40
    assert {"plaster", "wallpaper", "stained", "glossy"} <= {r.surface for r in rooms.ROOMS}
    assert len({r.seed for r in rooms.ROOMS}) == len(rooms.ROOMS)


def test_paint_codes_are_linear_light():
    assert rooms.linear("#ff0080") == pytest.approx([1.0, 0.0, float(srgb_to_linear(np.float64(128 / 255)))])


def test_exposure_ignores_lamps():
    picture = np.full((50, 50, 3), 0.2, np.float32)
    picture[:2] = 40.0
    assert rooms.exposure(picture) == pytest.approx(3.0, rel=1e-4)


def test_pairs_come_from_the_folder_without_rendering(tmp_path):
    room = rooms.Room("tiny", "#808080", ("#ffffff", "#000000"))
    for name, value in (("old", 0.2), ("ffffff", 0.4), ("000000", 0.0)):
        np.savez_compressed(tmp_path / f"tiny_{name}.npz", picture=np.full((6, 8, 3), value, np.float16))
    np.savez_compressed(tmp_path / "tiny_mask.npz", picture=np.full((6, 8), 0.5, np.float16))
    pairs = list(rooms.room_pairs(tmp_path, (room,)))
    assert [p.name for p in pairs] == ["tiny #ffffff", "tiny #000000"]
    assert (pairs[0].mask == 128).all()
    assert (pairs[1].after == 0).all()
    np.testing.assert_allclose(srgb_to_linear(pairs[0].before / 255), 0.6, atol=0.01)
    assert (pairs[0].after == 255).all()  # twice as bright: over full scale


def test_patterns_keep_the_paint_between_their_figures():
    base = rooms.linear("#d9c9a3")
    paper = rooms._wallpaper(base, 0)
    assert np.isclose(paper, base).all(axis=2).mean() > 0.4
    stained = rooms._stains(base, 8)
    assert (stained <= np.array(base) + 1e-9).all()
    assert np.isclose(stained, base).all(axis=2).mean() > 0.4


@pytest.mark.parametrize(("library", "variant"), [("", "scalar_rgb"), ("/lib/libLLVM.so", "llvm_ad_rgb")])
def test_the_vectorised_renderer_is_used_where_its_library_was_named(monkeypatch, library, variant):
    chosen = []
    fake = types.SimpleNamespace(variant=lambda: None, set_variant=chosen.append)
    monkeypatch.setitem(sys.modules, "mitsuba", fake)
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", library)
    assert rooms._mitsuba() is fake
    assert chosen == [variant]
