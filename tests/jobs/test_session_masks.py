import json

import numpy as np
import pytest
from PIL import Image as Pil

import tratto
from tratto.core import canonical
from tratto.core.errors import InputError, OptionError
from tratto.jobs import Session
from tratto.tasks.masks import class_masks, open_masks


def picture():
    y, x = np.mgrid[0:60, 0:80]
    plane = 120 + 60 * np.sin(x / 9.0) + 40 * np.cos(y / 7.0)
    return np.clip(np.stack([plane, plane * 0.9, plane * 0.7], axis=2), 0, 255).astype(np.uint8)


def marks():
    crack = np.zeros((60, 80), np.uint8)
    crack[10:12, 5:60] = 255
    stain = np.zeros((60, 80), np.uint8)
    stain[30:40, 20:31] = 255
    return crack, stain


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Pil.fromarray(picture()).save(path)
    folder = tmp_path / "masks"
    folder.mkdir()
    for name, mask in zip(("crack", "stain"), marks(), strict=True):
        Pil.fromarray(mask).save(folder / f"{name}.png")
    return path, folder


def saved(path, mask, tmp_path, **options):
    result = tratto.repair(path, mask=mask, method="plate", **options)
    done = tratto.save(result, tmp_path / "out" / "photo.png", source=path)
    return result, done.bundle


def facts(bundle):
    return json.loads((bundle / "receipt.json").read_text())


def test_masks_by_class_are_counted_kept_verified_and_replayed(photo, tmp_path):
    path, folder = photo
    (tmp_path / "out").mkdir()
    result, bundle = saved(path, folder, tmp_path)
    mask = facts(bundle)["mask"]
    crack, stain = marks()
    assert [(p["pass"], p["class"], p["pixels"]) for p in mask["parts"]] == [(1, "crack", 110), (1, "stain", 110)]
    assert mask["parts"][0]["covered"] == 110 / 4800
    assert mask["covered"] == 220 / 4800
    kept = np.asarray(Pil.open(bundle / "mask-02.png"))
    np.testing.assert_array_equal(kept > 0, stain > 0)
    before, after = picture(), result.to_numpy()
    outside = (crack == 0) & (stain == 0)
    np.testing.assert_array_equal(after[outside], before[outside])
    assert tratto.verify(tmp_path / "out" / "photo.png").word == "authentic"
    assert any("2 masks" in line for line in tratto.verify(bundle).reasons)
    assert tratto.replay(bundle).tier == "A"


def test_a_mask_that_was_exchanged_is_told(photo, tmp_path):
    path, folder = photo
    (tmp_path / "out").mkdir()
    _, bundle = saved(path, folder, tmp_path)
    samples = np.asarray(Pil.open(bundle / "mask-01.png")).copy()
    samples[0, 0] = 65535
    Pil.fromarray(samples).save(bundle / "mask-01.png")
    verdict = tratto.verify(bundle)
    assert verdict.word == "altered"
    assert any("mask-01.png" in line for line in verdict.reasons)
    (bundle / "mask-01.png").unlink()
    assert tratto.verify(bundle).word == "altered"


def test_a_receipt_that_counts_other_pixels_is_told_even_if_it_is_sealed_again(photo, tmp_path):
    from tratto.core.hashing import FileFacts
    from tratto.provenance.seal import build_seal, read_seal

    path, folder = photo
    (tmp_path / "out").mkdir()
    _, bundle = saved(path, folder, tmp_path)
    receipt = facts(bundle)
    receipt["mask"]["parts"][0]["pixels"] = 109
    data = canonical.dumps(receipt)
    (bundle / "receipt.json").write_bytes(data)
    _, output, files = read_seal((bundle / "seal.json").read_bytes())
    (bundle / "seal.json").write_bytes(canonical.dumps(build_seal(FileFacts.of(data), output, files)))
    verdict = tratto.verify(bundle)
    assert verdict.word == "altered"
    assert any("counts in mask-01.png" in line for line in verdict.reasons)


def test_passes_each_with_its_mask_are_steps_of_the_recipe(photo, tmp_path):
    path, folder = photo
    (tmp_path / "out").mkdir()
    crack, stain = marks()
    result, bundle = saved(path, [folder / "crack.png", {"stain": folder / "stain.png"}], tmp_path, caption="A wave.")
    receipt = facts(bundle)
    assert [s["step"] for s in receipt["steps"]] == ["describe", "inpaint", "inpaint"]
    assert [s["params"].get("mask") for s in receipt["steps"]] == [None, "pass-1", "pass-2"]
    assert receipt["steps"][0]["params"]["caption"] == "A wave."
    assert [(p["pass"], p["class"]) for p in receipt["mask"]["parts"]] == [(1, None), (2, None), (2, "stain")]
    assert receipt["outputs"]["picture"]["maps"]["confidence"]["basis"] == "model"
    one = tratto.repair(path, mask=folder / "crack.png", method="plate").to_numpy()
    two = tratto.repair(one, mask=folder / "stain.png", method="plate").to_numpy()
    np.testing.assert_array_equal(result.to_numpy(), two)
    changed = result.edit_map > 0
    assert changed[crack > 0].any()
    assert changed[stain > 0].any()
    assert not changed[(crack == 0) & (stain == 0)].any()
    assert tratto.verify(bundle).word == "authentic"
    assert tratto.replay(bundle).tier == "A"


def test_soft_passes_are_blended_once(photo):
    path, _ = photo
    crack, stain = marks()
    soft = (crack / 255 * 0.5).astype(np.float32)
    alone = tratto.repair(path, mask=soft, method="plate").to_numpy()
    both = tratto.repair(path, mask=[soft, stain], method="plate").to_numpy()
    np.testing.assert_array_equal(both[crack > 0], alone[crack > 0])


def test_the_error_of_a_pass_stays_where_the_next_one_does_not_reach(photo):
    path, _ = photo
    crack, stain = marks()
    alone = tratto.repair(path, mask=crack, method="plate").confidence
    both = tratto.repair(path, mask=[crack, stain], method="plate").confidence
    np.testing.assert_array_equal(both[crack > 0], alone[crack > 0])
    assert both[stain > 0].max() < 65535


def test_what_makes_no_mask_is_refused(photo, tmp_path):
    path, folder = photo
    with pytest.raises(OptionError, match="empty"):
        tratto.repair(path, mask=[])
    with pytest.raises(OptionError, match="60 characters"):
        tratto.repair(path, mask={"": marks()[0]})
    with pytest.raises(OptionError, match="one size"):
        tratto.repair(path, mask={"crack": np.zeros((3, 3), bool)})
    with pytest.raises(OptionError, match="up to 64"):
        tratto.repair(path, mask={f"c{k}": marks()[0] for k in range(65)})
    empty = tmp_path / "none"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no \.png masks"):
        class_masks(empty)
    Pil.fromarray(marks()[0]).save(folder / "all.png")
    assert list(class_masks(folder)) == ["crack", "stain"]


def test_class_masks_are_kept_as_given_and_the_whole_is_grown(photo):
    path, folder = photo
    image = Session().open(path)
    whole, parts = open_masks(folder, image, (2.0, 0.0))
    assert [int((p.mask.values > 0).sum()) for p in parts.parts] == [110, 110]
    assert int((whole.values > 0).sum()) > 220
    assert parts.of_passes() == {}


def test_files_beside_the_masks_of_classes(photo):
    _, folder = photo
    (folder / "._crack.png").write_bytes(b"\0\5\x16\7")
    (folder / "readme.txt").write_text("by hand")
    assert sorted(class_masks(folder)) == ["crack", "stain"]
    Pil.fromarray(marks()[0]).save(folder / "Dirt.tif")
    with pytest.raises(InputError, match=r"dirt\.png"):
        class_masks(folder)


def test_a_mask_of_another_size_is_named(photo, tmp_path):
    path, folder = photo
    Pil.fromarray(marks()[1][:50]).save(folder / "stain.png")
    with pytest.raises(OptionError, match=r"stain\.png: the mask is 80x50"):
        tratto.repair(path, mask=folder, method="plate")
    with pytest.raises(OptionError, match="80x50"):
        tratto.repair(path, mask={"crack": marks()[0], "dirt": marks()[1][:50]}, method="plate")


def test_no_pass_is_the_picture_itself(tmp_path):
    path = tmp_path / "grey.png"
    Pil.fromarray(picture()[..., 0]).save(path)
    with pytest.raises(OptionError, match="the picture itself"):
        tratto.repair(path, mask=[marks()[0], path], method="plate")
    with pytest.raises(OptionError, match="the picture itself"):
        tratto.repair(path, mask={"crack": marks()[0], "stain": path}, method="plate")
