import itertools
import json

import numpy as np
import pytest
from PIL import Image as Pil
from PIL import ImageDraw
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto_lab.corpus.dedupe import dedupe, find_pictures
from tratto_lab.corpus.shared_parts import COMMON, VOTES, candidates, corners, shared_parts, shown


def scene(seed, h=360, w=480):
    """A picture with detail at several scales: patches of grey, boxes, and grain that stays the same in every copy."""
    rng = np.random.default_rng(seed)
    out = np.zeros((h, w, 3))
    for cells, channels in ((6, 3), (24, 1), (80, 1)):
        coarse = rng.integers(0, 256, (cells * h // w + 1, cells, channels), np.uint8).repeat(3 // channels, axis=2)
        out += np.asarray(Pil.fromarray(coarse).resize((w, h), Pil.Resampling.BICUBIC), float) / 3
    for _ in range(40):
        y, x, dy, dx = rng.integers(0, h), rng.integers(0, w), rng.integers(6, 50), rng.integers(6, 50)
        out[y : y + dy, x : x + dx] = 0.5 * out[y : y + dy, x : x + dx] + rng.uniform(0, 128, 3)
    return Pil.fromarray(np.clip(out, 0, 255).astype(np.uint8))


def changed(picture, how):
    w, h = picture.size
    if how == "crop":
        return picture.crop((w // 5, h // 5, w // 5 + w // 2, h // 5 + h // 2))
    if how == "swapped":
        return Pil.fromarray(np.asarray(picture)[..., [2, 0, 1]])
    if how == "dark":
        return Pil.fromarray((255 * (np.asarray(picture) / 255.0) ** 2.2).astype(np.uint8))
    if how == "turned":
        return picture.rotate(6, Pil.Resampling.BICUBIC)
    large = picture.crop((0, 0, 3 * w // 4, h)).resize((3 * w // 2, 2 * h), Pil.Resampling.BICUBIC)
    return large


HOW = ("crop", "swapped", "dark", "turned", "enlarged crop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("parts")
    for k in range(8):
        scene(k).save(top / f"p{k}.png")
    for k, how in enumerate(HOW):
        changed(scene(k), how).save(top / f"{how}.png")
    return top


def test_what_shows_the_same_is_found_and_nothing_else(folder):
    done = dedupe(find_pictures(folder), parts=True)
    together = sorted(sorted([g.keep.name, *(p.name for p, _ in g.rest)]) for g in done.related)
    assert together == sorted(sorted([f"{how}.png", f"p{k}.png"]) for k, how in enumerate(HOW))
    assert done.groups == ()  # none of them is a copy that could stand for another
    by_name = {p.name: r for g in done.related for p, r in g.rest}
    assert {g.keep.name for g in done.related} >= {"p0.png", "enlarged crop.png"}  # most pixels, not most to be seen
    shares = [int(word) for word in by_name["crop.png"].replace("%", "").split() if word.isdigit()]
    assert shares[0] >= 97  # of the crop
    assert 20 <= shares[1] <= 30  # of the whole
    assert "p0.png" in by_name["crop.png"]
    seen = [int(word) for word in by_name["p4.png"].replace("%", "").split() if word.isdigit()]
    assert 70 <= seen[0] <= 80  # told of the picture that is listed
    assert seen[1] >= 97
    assert "turned 6 degrees" in next(r for g in done.related for p, r in g.rest if "p3.png" in (p.name, g.keep.name))
    everything = done.pictures * (done.pictures - 1) // 2
    assert done.compared_parts < everything / 3


def test_without_being_asked_nothing_is_looked_for(folder):
    assert dedupe(find_pictures(folder)).related == ()


def test_only_one_of_equal_pictures_is_named(folder, tmp_path):
    for name in ("p0.png", "crop.png"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
        (tmp_path / f"again-{name}").write_bytes((folder / name).read_bytes())
    done = dedupe(find_pictures(tmp_path), parts=True)
    assert len(done.groups) == 2
    assert [len(g.rest) for g in done.related] == [1]


def test_a_frame_in_common_is_not_the_same_picture(tmp_path):
    """Two pictures in one ornate frame share hundreds of corners, but where they overlap they differ."""
    frame = np.asarray(scene(50, 400, 520)).copy()
    for k in (1, 2):
        picture = frame.copy()
        picture[80:-80, 80:-80] = np.asarray(scene(k, 240, 360))
        Pil.fromarray(picture).save(tmp_path / f"{k}.png")
    done = dedupe(find_pictures(tmp_path), parts=True)
    assert done.compared_parts >= 1
    assert done.related == ()


def test_pages_of_one_letterhead_are_not_the_same_page(tmp_path):
    for k in range(3):
        rng = np.random.default_rng(k)
        page = Pil.new("RGB", (480, 640), (240, 236, 228))
        page.paste(scene(50, 120, 440), (20, 20))
        for row in range(32):
            words = ["".join(rng.choice(list("abdeginorstu"), int(rng.integers(2, 9)))) for _ in range(11)]
            ImageDraw.Draw(page).text((24, 150 + 15 * row), " ".join(words), fill=(30, 28, 26))
        page.save(tmp_path / f"{k}.png")
    done = dedupe(find_pictures(tmp_path), parts=True)
    assert done.compared_parts >= 1
    assert done.related == ()


def test_a_file_that_goes_away_is_told_and_the_rest_compared(folder, tmp_path, monkeypatch):
    import tratto_lab.corpus.dedupe as module

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    found = module.shared_parts

    def later(*given):
        (tmp_path / "crop.png").unlink()
        return found(*given)

    monkeypatch.setattr(module, "shared_parts", later)
    done = dedupe(find_pictures(tmp_path), parts=True)
    assert [p.name for p, _ in done.unreadable] == ["crop.png"]
    assert len(done.related) == len(HOW) - 1


def test_candidates_are_the_pairs_that_share_enough_bands():
    rng = np.random.default_rng(0)
    descriptors = rng.integers(0, 256, (60, 32), np.uint8)
    owners = np.repeat(np.arange(6), 10)
    for k in range(VOTES):  # pictures 0 and 3: one band each of three corners
        descriptors[30 + k, 4 * k : 4 * k + 4] = descriptors[k, 4 * k : 4 * k + 4]
    for k in range(VOTES - 1):  # 1 and 4: one corner too few, though one of them shares all bands
        descriptors[40 + k] = descriptors[10 + k]
    descriptors[29] = descriptors[25]  # within one picture
    assert candidates(descriptors, owners) == [(0, 3)]


def test_what_very_many_share_is_left_out():
    rng = np.random.default_rng(0)
    count = COMMON + 1
    descriptors = rng.integers(0, 256, (count * VOTES, 32), np.uint8)
    descriptors[:, :4] = np.tile(rng.integers(0, 256, (VOTES, 4), np.uint8), (count, 1))
    owners = np.repeat(np.arange(count), VOTES)
    assert candidates(descriptors, owners) == []
    fewer = (count - 1) * VOTES
    assert len(candidates(descriptors[:fewer], owners[:fewer])) == (count - 1) * (count - 2) // 2


def test_pictures_without_corners_are_in_nothing():
    for shape in ((1, 1), (1, 600), (3, 5), (40, 40), (700, 8)):
        flat = shown(np.full((*shape, 3), 0.5, np.float32))
        assert max(flat.shape) <= 512
        assert corners(flat).places.shape == (0, 2)
        noise = shown(np.random.default_rng(0).uniform(0, 1, (*shape, 3)).astype(np.float32))
        assert len(corners(noise).places) == len(corners(noise).descriptors)
    nothing = corners(np.zeros((50, 50), np.uint8))
    assert shared_parts([nothing, nothing], lambda k: np.zeros((50, 50), np.uint8)) == ([], 0)


def test_the_order_of_files_does_not_matter():
    marks = [corners(shown(np.asarray(p, np.float32) / 255)) for p in (scene(0), scene(1), changed(scene(0), "crop"))]
    pictures = [shown(np.asarray(p, np.float32) / 255) for p in (scene(0), scene(1), changed(scene(0), "crop"))]
    for order in itertools.permutations(range(3)):
        found, _ = shared_parts([marks[k] for k in order], lambda k, order=order: pictures[order[k]])
        assert [{order[s.one], order[s.two]} for s in found] == [{0, 2}]


def test_the_command_lists_them_and_moves_none(folder, tmp_path):
    run = CliRunner()
    before = sorted(folder.iterdir())
    done = run.invoke(app, ["data", "dedupe", str(folder), "--parts", "--json", "--move-to", str(tmp_path / "spare")])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert len(told["related"]) == len(HOW)
    assert {"largest", "others"} == set(told["related"][0])
    assert told["compared_parts"] >= len(HOW)
    assert sorted(folder.iterdir()) == before
    done = run.invoke(app, ["data", "dedupe", str(folder), "--parts"])
    assert "5 of pictures that share a part" in done.stdout
    assert "% of the other show the same" in done.stdout
