import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.errors import InputError, OptionError
from tratto_lab.training.lora_data import DamagedPictures, Samples, crop_square, open_samples


@pytest.fixture
def photos(tmp_path):
    y, x = np.mgrid[0:70, 0:90]
    for k in range(3):
        px = np.stack([(3 * y + 40 * k) % 256, (2 * x) % 256, (x + y) % 256], -1).astype(np.uint8)
        Pil.fromarray(px).save(tmp_path / f"{k}.png")
    (tmp_path / "1.txt").write_text("an old\n  gate\n")
    return tmp_path


def test_pictures_are_damaged_where_the_mask_says_and_only_there(photos):
    data = open_samples("repair", photos, 64, {"severity": [0.3, 0.5]})
    assert isinstance(data, Samples)
    assert len(data) == 3
    for k in range(3):
        one = data.sample(k, np.random.default_rng(k))
        assert one["pixel_values"].shape == (64, 64, 3)
        assert one["mask"].shape == (64, 64)
        assert -1 <= one["pixel_values"].min() < one["pixel_values"].max() <= 1
        assert 0 < one["mask"].mean() < 0.9
        apart = np.abs(one["source"] - one["pixel_values"]).max(axis=2) > 0
        assert not apart[one["mask"] == 0].any()
        assert apart[one["mask"] == 1].all()
        assert one["caption"] == ("an old gate" if k == 1 else "")
        assert one["name"] == f"{k}.png"
        again = data.sample(k, np.random.default_rng(k))
        np.testing.assert_array_equal(again["source"], one["source"])


def test_crops_are_squares_of_the_shorter_side():
    picture = np.zeros((40, 60, 3), np.float32)
    picture[:, 10:50] = 1
    assert (crop_square(picture, 40, None) == 1).all()
    assert crop_square(picture, 16, None).shape == (16, 16, 3)
    assert crop_square(picture[..., :1], 80, None).shape == (80, 80, 1)
    at = [crop_square(picture, 40, np.random.default_rng(s)).mean() for s in range(20)]
    assert 0.5 <= min(at) < max(at) <= 1


def test_what_is_no_data_is_told(tmp_path, photos):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        DamagedPictures(tmp_path / "empty", 64)
    with pytest.raises(InputError, match="not a folder"):
        open_samples("repair", tmp_path / "none", 64, None)
    for wrong in ([0.5], [0.9, 0.1], "much", [0, 2]):
        with pytest.raises(OptionError, match="severity takes"):
            open_samples("repair", photos, 64, {"severity": wrong})
    with pytest.raises(OptionError, match="no option speed"):
        open_samples("repair", photos, 64, {"speed": 1})


def test_shards_are_read_item_by_item(tmp_path):
    from tratto_lab.corpus.shards import ShardWriter, encode_png

    rng = np.random.default_rng(0)
    clean = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[5:9, 6:20] = 255
    broken = np.where(mask[..., None] > 0, 255 - clean, clean).astype(np.uint8)
    members = {"restored.png": encode_png(clean), "damaged.png": encode_png(broken),
               "mask.crack.png": encode_png(mask), "txt": b"a wall", "json": b"{}"}  # fmt: skip
    writer = ShardWriter(tmp_path / "shard-000000.tar")
    for key in ("a", "b"):
        writer.add(key, members)
    writer.finish({})
    data = open_samples("repair", tmp_path, 32, None)
    assert len(data) == 2
    one = data.sample(1, np.random.default_rng(0))
    assert (one["name"], one["caption"]) == ("b", "a wall")
    np.testing.assert_allclose((one["pixel_values"] + 1) / 2, clean / 255, atol=1e-6)
    np.testing.assert_allclose((one["source"] + 1) / 2, broken / 255, atol=1e-6)
    np.testing.assert_array_equal(one["mask"] > 0, mask > 0)
    with pytest.raises(OptionError, match="take no options"):
        open_samples("repair", tmp_path, 32, {"severity": [0, 1]})
    (tmp_path / "shard-000000.tar").write_bytes(b"")
    with pytest.raises(InputError):
        data.sample(0, np.random.default_rng(0))
