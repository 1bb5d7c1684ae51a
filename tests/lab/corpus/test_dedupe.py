import itertools
import json

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import InputError, OptionError
from tratto_lab.corpus.dedupe import dedupe, find_pictures, hamming_pairs, perceptual_hash, small_gray


def scene(seed, h=180, w=240):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 12, 3), np.uint8)
    return Pil.fromarray(coarse).resize((w, h), Pil.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "in"
    (top / "sub").mkdir(parents=True)
    for k in range(6):
        scene(k).save(top / f"p{k}.png")
    (top / "sub" / "copy.png").write_bytes((top / "p0.png").read_bytes())
    scene(1).save(top / "again.jpg", quality=70)
    scene(2).resize((120, 90), Pil.Resampling.LANCZOS).save(top / "small.png")
    scene(3).transpose(Pil.Transpose.ROTATE_90).save(top / "turned.png")
    scene(4).transpose(Pil.Transpose.FLIP_LEFT_RIGHT).save(top / "mirrored.png")
    return top


def names(groups):
    return sorted(sorted([g.keep.name, *(p.name for p, _ in g.rest)]) for g in groups)


def test_copies_are_grouped_with_their_reasons(folder):
    done = dedupe(find_pictures(folder))
    assert done.pictures == 11
    assert names(done.groups) == [["again.jpg", "p1.png"], ["copy.png", "p0.png"], ["p2.png", "small.png"]]
    by_name = {p.name: r for g in done.groups for p, r in g.rest}
    assert by_name["copy.png"].startswith("same bytes")
    assert "correlation" in by_name["small.png"]
    assert "of 64 bits" in by_name["small.png"]
    # what has more pixels stays
    assert {g.keep.name for g in done.groups} >= {"p2.png", "p0.png"}


def test_turned_and_mirrored_copies_when_asked(folder):
    done = dedupe(find_pictures(folder), turned=True)
    assert ["p3.png", "turned.png"] in names(done.groups)
    assert ["mirrored.png", "p4.png"] in names(done.groups)
    reasons = " ".join(r for g in done.groups for _, r in g.rest)
    assert "mirrored" in reasons
    assert "turned" in reasons


def test_another_colour_is_another_picture(tmp_path):
    scene(1).save(tmp_path / "a.png")
    red = np.asarray(scene(1)).astype(int) + np.array([45, 0, -45])
    Pil.fromarray(np.clip(red, 0, 255).astype(np.uint8)).save(tmp_path / "b.png")
    assert dedupe(find_pictures(tmp_path)).groups == ()


def test_a_grey_copy_is_not_the_same_picture(tmp_path):
    scene(1).save(tmp_path / "colour.jpg", quality=90)
    scene(1).convert("L").save(tmp_path / "grey.png")
    assert dedupe(find_pictures(tmp_path)).groups == ()


def test_detail_that_the_small_picture_loses_is_not_taken_for_one_colour(tmp_path):
    for k in range(3):
        stars = np.zeros((900, 1200, 3), np.uint8)
        rng = np.random.default_rng(k)
        stars[rng.integers(0, 900, 60), rng.integers(0, 1200, 60)] = 200
        Pil.fromarray(stars).save(tmp_path / f"{k}.png")
    Pil.fromarray(np.zeros((900, 1200, 3), np.uint8)).save(tmp_path / "black.png")
    assert dedupe(find_pictures(tmp_path)).groups == ()


def test_pictures_of_one_colour_are_one_only_in_one_shape(tmp_path):
    for name, shape in (("a", (1, 1)), ("b", (1, 900)), ("c", (2, 1800))):
        Pil.fromarray(np.full((*shape, 3), 90, np.uint8)).save(tmp_path / f"{name}.png")
    assert names(dedupe(find_pictures(tmp_path)).groups) == [["b.png", "c.png"]]


def test_what_goes_is_a_copy_of_what_stays(tmp_path):
    """Each of a row of tints is a copy of its neighbour, but the ends are not of each other."""
    from tratto_lab.corpus.dedupe import copies, fingerprint

    plain = np.asarray(scene(1), float)
    for k in range(12):
        tint = np.array([1 - 0.03 * k, 1.0, 1.0])
        Pil.fromarray(np.clip(plain * tint, 0, 255).astype(np.uint8)).save(tmp_path / f"{k:02}.png")
    done = dedupe(find_pictures(tmp_path))
    assert len(done.groups) >= 2
    for group in done.groups:
        kept = fingerprint(group.keep)
        for path, reason in group.rest:
            assert copies(kept, fingerprint(path))
            assert str(group.keep) in reason


def test_a_link_and_its_file_are_one(folder, tmp_path):
    (folder / "a link.png").symlink_to(folder / "p5.png")
    (folder / "a name.png").hardlink_to(folder / "p4.png")
    outside = tmp_path / "outside.png"
    scene(9).save(outside)
    (folder / "away.png").symlink_to(outside)
    paths = find_pictures(folder)
    assert folder / "a link.png" not in paths
    assert folder / "p5.png" in paths
    assert folder / "away.png" in paths
    assert len({p.resolve() for p in paths} | {folder / "a name.png"}) == 12
    done = CliRunner().invoke(app, ["data", "dedupe", str(folder), "--delete"])
    assert done.exit_code == 0, done.output
    assert (folder / "p5.png").is_file()
    assert (folder / "p4.png").is_file()


def test_what_was_moved_before_is_not_looked_at_again(folder):
    run = CliRunner()
    spare = folder / "spare"
    first = run.invoke(app, ["data", "dedupe", str(folder), "--move-to", str(spare)])
    assert first.exit_code == 0, first.output
    there = sorted(spare.rglob("*"))
    again = run.invoke(app, ["data", "dedupe", str(folder), "--move-to", str(spare)])
    assert again.exit_code == 0, again.output
    assert "0 to spare" in again.stdout
    assert sorted(spare.rglob("*")) == there


def test_flat_pictures_are_compared_by_their_colour(tmp_path):
    for name, level in (("a", 100), ("b", 100), ("c", 140)):
        Pil.fromarray(np.full((40, 50 + level % 7, 3), level, np.uint8)).save(tmp_path / f"{name}.png")
    Pil.fromarray(np.full((80, 104, 3), 100, np.uint8)).save(tmp_path / "d.png")
    assert names(dedupe(find_pictures(tmp_path)).groups) == [["a.png", "b.png", "d.png"]]


@pytest.mark.parametrize("radius", [0, 1, 4, 6])
def test_index_finds_exactly_the_pairs_within_the_radius(radius):
    rng = np.random.default_rng(radius)
    base = rng.integers(0, 2**63, 40, dtype=np.uint64)
    flips = [np.uint64(sum(1 << int(b) for b in rng.choice(64, k, replace=False))) for k in range(9)]
    hashes = np.concatenate([base, base[:9] ^ np.array(flips, np.uint64)])
    want = set()
    for (i, a), (j, b) in itertools.combinations(enumerate(hashes.tolist()), 2):
        bits = (a ^ b).bit_count()
        if bits <= radius:
            want.add((i, j, bits))
    got = list(hamming_pairs(hashes, radius))
    assert set(got) == want
    assert len(got) == len(want)  # each pair once


def test_index_compares_few_of_all_pairs():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, 5000, dtype=np.uint64)
    assert len(list(hamming_pairs(hashes, 6))) < 5


def test_radius_is_checked():
    with pytest.raises(OptionError, match="0 to 15"):
        list(hamming_pairs(np.zeros(2, np.uint64), 16))


def test_hash_survives_noise_and_brightness():
    rng = np.random.default_rng(1)
    rgb = np.asarray(scene(7), np.float32) / np.float32(255)
    noisy = np.clip(0.9 * rgb + 0.05 + rng.normal(0, 0.02, rgb.shape), 0, 1).astype(np.float32)
    a, b = perceptual_hash(small_gray(rgb)), perceptual_hash(small_gray(noisy))
    assert (a ^ b).bit_count() <= 4
    other = perceptual_hash(small_gray(np.asarray(scene(8), np.float32) / np.float32(255)))
    assert (a ^ other).bit_count() > 12
    assert bin(a).count("1") == 32  # by the median, half of the bits are set


def test_broken_files_are_told_and_passed_over(folder):
    (folder / "broken.png").write_bytes(b"no picture")
    done = dedupe(find_pictures(folder))
    assert [p.name for p, _ in done.unreadable] == ["broken.png"]
    assert "<bytes>" not in done.unreadable[0][1]
    assert len(done.groups) == 3


def test_command_touches_nothing_unless_asked(folder, tmp_path):
    run = CliRunner()
    before = sorted(p.relative_to(folder) for p in folder.rglob("*"))
    done = run.invoke(app, ["data", "dedupe", str(folder), "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["groups"]) == 3
    done = run.invoke(app, ["data", "dedupe", str(folder)])
    assert "nothing moved" in done.stdout
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == before
    done = run.invoke(app, ["data", "dedupe", str(folder), "--move-to", str(tmp_path / "spare")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "spare" / "sub" / "copy.png").exists()
    assert not (folder / "sub" / "copy.png").exists()
    assert (folder / "p0.png").exists()
    again = run.invoke(app, ["data", "dedupe", str(folder), "--delete", "--move-to", "x"])
    assert again.exit_code == 2


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        find_pictures(tmp_path)
