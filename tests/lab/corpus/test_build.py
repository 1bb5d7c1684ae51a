from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import InputError, OptionError, OutputError
from tratto.core.image import ColorMode, Depth, Image, Metadata
from tratto.providers.catalogue import open_provider
from tratto_lab.corpus.build import build, list_pictures
from tratto_lab.corpus.build_item import draw_damage, take_square
from tratto_lab.corpus.build_plan import BuildPlan, Tools
from tratto_lab.corpus.shards import Reading, Shards, verify
from tratto_lab.simulate.damage import CLASSES

SOURCE = str(Path(__file__).parents[3] / "src")
FREE = {"id": "CC-BY-SA-4.0", "family": "cc-by-sa", "url": "https://creativecommons.org/licenses/by-sa/4.0/"}


def picture(path, seed, width=100, height=80, **save):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 10, width // 10, 3)).astype(np.uint8)
    Pil.fromarray(small).resize((width, height), Pil.Resampling.BICUBIC).save(path, **save)
    return path


def sidecar(path, number, licence=FREE, **changes):
    about = {
        "format": "tratto-collected/1",
        "source": "wikimedia",
        "id": str(number),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": licence,
        "title": f"Wand {number}",
        "author": "Łucja",
        "attribution": f"“Wand {number}” by Łucja",
        "page": f"https://commons.wikimedia.org/{number}",
    } | changes
    path.with_name(f"{path.name}.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number in range(10):
        path = picture(folder / ("sub" if number % 3 == 0 else ".") / f"p{number}.png", number)
        sidecar(path, number)
    return folder


PLAN = BuildPlan(size=64, per_shard=4)


def files(out):
    return {p.name: p.read_bytes() for p in out.iterdir() if p.suffix in (".tar", ".json", ".md")}


def test_items_hold_what_they_say(photos, tmp_path):
    done = build(photos, tmp_path / "out", PLAN)
    assert (done.items, done.shards, done.made_items, done.made_shards, dict(done.skipped)) == (10, 3, 10, 3, {})
    assert done.items_per_second > 0
    seen = set()
    for item in Shards(tmp_path / "out", Reading(buffer=3)):
        assert item.restored.shape == item.damaged.shape == (64, 64, 3)
        outside = item.mask == 0
        assert (item.restored[outside] == item.damaged[outside]).all()
        assert set(item.masks) == {a["class"] for a in item.meta["damage"]}
        assert {k: round(float((m > 0).mean()), 6) for k, m in item.masks.items()} == item.meta["classes"]
        crop = item.meta["crop"]
        source = np.asarray(Pil.open(photos / item.meta["source"]))
        assert crop["shrink"] == 1
        assert (source[crop["y"] : crop["y"] + 64, crop["x"] : crop["x"] + 64] == item.restored).all()
        assert item.meta["licence"] == FREE
        assert item.meta["attribution"].endswith("by Łucja")
        assert item.meta["picture_sha256"] == hashlib.sha256((photos / item.meta["source"]).read_bytes()).hexdigest()
        assert (item.depth, item.caption, item.meta["depth"], item.meta["caption"]) == (None, None, "none", "none")
        seen.add(item.meta["source"])
    assert seen == set(list_pictures(photos))


def test_equal_plans_make_equal_bytes_and_other_seeds_others(photos, tmp_path):
    for name, plan in (("a", PLAN), ("b", PLAN), ("c", BuildPlan(size=64, per_shard=4, seed=1))):
        build(photos, tmp_path / name, plan)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a")["shard-000000.tar"] != files(tmp_path / "c")["shard-000000.tar"]


def test_what_an_item_holds_does_not_depend_on_the_other_pictures(photos, tmp_path):
    build(photos, tmp_path / "a", PLAN)
    (photos / "p1.png").rename(tmp_path / "p1.png")
    (photos / "p1.png.json").unlink()
    build(photos, tmp_path / "b", PLAN)
    one = {i.meta["source"]: i for i in Shards(tmp_path / "a")}
    two = {i.meta["source"]: i for i in Shards(tmp_path / "b")}
    assert set(one) - set(two) == {"p1.png"}
    assert all((one[k].damaged == two[k].damaged).all() for k in two)


def test_processes_make_the_same_bytes_as_one(photos, tmp_path):
    build(photos, tmp_path / "a", PLAN)
    done = build(photos, tmp_path / "b", PLAN, workers=2)
    assert (done.items, done.made_items, done.made_shards) == (10, 10, 3)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_build_goes_on(photos, tmp_path):
    out = tmp_path / "out"
    build(photos, out, PLAN)
    before = files(out)
    again = build(photos, out, PLAN)
    assert (again.items, again.made_items, again.made_shards) == (10, 0, 0)
    (out / "shard-000001.json").unlink()  # as if killed before the index was there
    (out / ".shard-000002.tar.0123.part").write_bytes(b"half")
    last = build(photos, out, PLAN)
    assert (last.items, last.made_items, last.made_shards) == (10, 4, 1)
    assert files(out) == before
    assert not list(out.glob(".*.part"))


def test_killed_again_and_again_the_bytes_are_the_same(photos, tmp_path):
    plan = BuildPlan(size=64, per_shard=3, variants=4)
    build(photos, tmp_path / "whole", plan)
    out, rng = tmp_path / "killed", random.Random(3)
    line = [sys.executable, "-m", "tratto.cli.main", "data", "build", str(photos), "-o", str(out)]
    line += ["--size", "64", "--per-shard", "3", "--variants", "4"]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    kills = 0
    for workers in ("1", "2", "1"):
        process = subprocess.Popen(
            [*line, "--workers", workers], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        there = len(list(out.glob("shard-*.json"))) if out.exists() else 0
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if kills < 2 and len(list(out.glob("shard-*.json"))) >= there + 2:
                time.sleep(rng.random() * 0.03)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.001)
        stdout, stderr = process.communicate(timeout=120)  # also the pipes: no worker outlives its parent
        if process.returncode == 0:
            break
        for item in Shards(out).raw():  # what has an index is whole
            assert "json" in item[1]
    assert process.returncode == 0, stderr
    assert kills == 2
    assert "items per second" in stdout
    assert files(out) == files(tmp_path / "whole")
    keys = [k for k, _ in Shards(out).raw()]
    assert len(keys) == len(set(keys)) == 40
    pairs = {(m["source"], m["variant"]) for m in (json.loads(x["json"]) for _, x in Shards(out).raw())}
    assert len(pairs) == 40


def test_another_plan_or_other_pictures_need_another_folder(photos, tmp_path):
    out = tmp_path / "out"
    build(photos, out, PLAN)
    with pytest.raises(OptionError, match=r"\(seed differ\)"):
        build(photos, out, BuildPlan(size=64, per_shard=4, seed=9))
    sidecar(picture(photos / "new.png", 99), 99)
    with pytest.raises(OptionError, match="10 pictures"):
        build(photos, out, PLAN)
    (out / "plan.json").write_text("nonsense")
    with pytest.raises(InputError, match="cannot be read"):
        build(photos, out, PLAN)
    (out / "plan.json").unlink()
    with pytest.raises(OptionError, match=r"no plan\.json"):
        build(photos, out, PLAN)


def test_pictures_that_cannot_or_may_not_be_used_are_counted(photos, tmp_path):
    picture(photos / "bare.png", 50)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    sidecar(photos / "broken.jpg", 51)
    sidecar(picture(photos / "small.png", 52, 60, 60), 52)
    sidecar(picture(photos / "nc.png", 53), 53, {"id": "CC-BY-NC-4.0", "family": "cc-by-nc", "url": ""})
    sidecar(picture(photos / "other.png", 54), 54, sha256="0" * 64)
    picture(photos / "odd.png", 55)
    (photos / "odd.png.json").write_text("[]")
    sidecar(picture(photos / "twin.png", 1), 56)
    (photos / ".hidden").mkdir()
    picture(photos / ".hidden" / "x.png", 57)
    done = build(photos, tmp_path / "out", PLAN)
    assert dict(done.skipped) == {
        "no licence: it has no sidecar": 1,
        "cannot be decoded: CorruptPicture": 1,
        "smaller than an item": 1,
        "licence cc-by-nc": 1,
        "its sidecar speaks of another file": 1,
        "no licence: its sidecar cannot be read": 1,
    }
    assert done.items == 11
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["pictures"] == 10
    assert card["pictures_under_several_names"] == 1
    more = build(photos, tmp_path / "more", BuildPlan(size=64, licences=("cc-by-nc",), stated="CC0"))
    assert (more.items, more.skipped["licence cc-by-sa"]) == (2, 13)


def test_the_card_counts_and_says_what_is_missing(photos, tmp_path):
    picture(photos / "bare.png", 50)
    build(photos, tmp_path / "out", BuildPlan(size=64, per_shard=4, stated="by me, for any use"))
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert (card["items"], card["shards"], card["pictures"]) == (11, 3, 11)
    assert card["licences"] == {"CC-BY-SA-4.0": 10, "by me, for any use": 1}
    assert card["collections"] == {"stated": 1, "wikimedia": 10}
    assert card["without_author"] == 1
    assert sum(s["items"] for s in card["files"]) == 11
    assert card["bytes"] == sum((tmp_path / "out" / s["name"]).stat().st_size for s in card["files"])
    digests = [hashlib.sha256((tmp_path / "out" / s["name"]).read_bytes()).hexdigest() for s in card["files"]]
    assert digests == [s["sha256"] for s in card["files"]]
    assert card["sha256"] == hashlib.sha256("".join(digests).encode()).hexdigest()
    assert "depth: no provider" in " ".join(card["missing"])
    assert "captions: no provider" in " ".join(card["missing"])
    counted = dict.fromkeys(CLASSES, 0)
    for item in Shards(tmp_path / "out"):
        for kind in item.masks:
            counted[kind] += 1
    assert card["classes"] == counted
    text = (tmp_path / "out" / "DATA_CARD.md").read_text(encoding="utf-8")
    assert "| CC-BY-SA-4.0 | 10 |" in text
    assert "share-alike" in text
    assert digests[0] in text


def test_depth_and_caption_come_from_whoever_is_asked(photos, tmp_path):
    shown = []

    def depth(rgb):
        shown.append(rgb)
        return Depth(np.linspace(1, 5, 64 * 64, dtype=np.float32).reshape(64, 64), "metre", "smaller")

    tools = Tools(depth, lambda rgb: f"mean {rgb.mean():.2f}", {"provider": "ramp"}, {"provider": "mean"})
    build(photos, tmp_path / "out", PLAN, tools)
    for item in Shards(tmp_path / "out"):
        assert item.depth is not None
        np.testing.assert_allclose(item.depth.values.ravel(), np.linspace(1, 5, 4096), atol=4 / 65535)
        assert item.depth.unit == "metre"
        assert item.caption == f"mean {item.restored.mean() / 255:.2f}"
        assert item.meta["caption"]["provider"] == "mean"
        assert item.meta["depth"]["provider"] == "ramp"
    assert shown[0].dtype == np.float32
    assert shown[0].shape == (64, 64, 3)
    with pytest.raises(InputError, match="64x64 finite"):
        build(photos, tmp_path / "bad", PLAN, Tools(lambda rgb: Depth(np.full((64, 64), np.nan, np.float32))))
    assert not list((tmp_path / "bad").glob("*shard*"))
    with pytest.raises(OptionError, match="workers"):
        build(photos, tmp_path / "x", PLAN, tools, workers=2)


def test_depth_and_caption_by_name_are_recorded_for_what_they_are(photos, tmp_path):
    plan = BuildPlan(size=64, per_shard=4, depth="geometric", caption="measured")
    build(photos, tmp_path / "a", plan)
    build(photos, tmp_path / "b", plan, workers=2)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    for item in Shards(tmp_path / "a"):
        assert item.depth is not None
        same = open_provider("depth", "geometric").estimate(item.restored.astype(np.float32) / 255)
        assert (item.depth.unit, item.depth.nearer_is) == (same.unit, same.nearer_is)
        assert np.ptp(same.values) > 0.5
        np.testing.assert_allclose(item.depth.values, same.values, atol=1e-4)  # 16 bits
        assert item.caption is not None
        assert item.caption == open_provider("captioner", "measured").caption(item.restored.astype(np.float32) / 255)
        assert item.meta["caption"]["text"] == item.caption
        assert "stand_in" in item.meta["depth"]
    card = json.loads((tmp_path / "a" / "card.json").read_text())
    assert card["plan"]["depth"]["provider"] == "geometric"
    assert any(m.startswith("real depth: made by geometric, a stand-in") for m in card["missing"])
    with pytest.raises(OptionError, match="depth, caption differ"):
        build(photos, tmp_path / "a", PLAN)


def test_squares_are_averaged_by_whole_factors_and_turned():
    pixels = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30) * 50
    shrinks = set()
    for seed in range(30):
        image = Image(pixels, ColorMode.GRAY, 16, meta=Metadata(orientation=6))
        got, told = take_square(image, 10, np.random.default_rng(seed))
        k, side = told["shrink"], told["side"]
        assert side == 10 * k
        part = pixels[told["y"] : told["y"] + side, told["x"] : told["x"] + side].astype(float) / 65535
        mean = part.reshape(10, k, 10, k).mean(axis=(1, 3)) * 255
        np.testing.assert_allclose(np.rot90(got[..., 0], 1), mean, atol=0.51)
        shrinks.add(k)
    assert shrinks == {1, 2, 3}
    palette = np.array([[10, 20, 30, 255], [40, 50, 60, 255]], np.uint8)
    paletted = Image(np.ones((12, 12), np.uint8), ColorMode.PALETTE, 8, palette=palette)
    assert (take_square(paletted, 12, np.random.default_rng(0))[0] == [40, 50, 60]).all()


def test_damage_is_drawn_within_its_bounds():
    rng = np.random.default_rng(0)
    drawn = [draw_damage(rng) for _ in range(2000)]
    assert {len(d) for d in drawn} == {0, 1, 2, 3}
    # 5 % intact: 100 of 2000, standard deviation 9.7
    assert 60 < sum(not d for d in drawn) < 140
    assert {k for d in drawn for k, _ in d} == set(CLASSES)
    assert all(0.15 <= s <= 1 for d in drawn for _, s in d)
    assert all(len({k for k, _ in d}) == len(d) for d in drawn)


def test_bad_arguments(photos, tmp_path):
    for wrong in (
        {"size": 63}, {"size": 4096}, {"variants": 0}, {"per_shard": 0}, {"limit": -1}, {"seed": -1},
        {"max_megapixels": float("nan")}, {"licences": ("cc-by-nd",)},
    ):  # fmt: skip
        with pytest.raises(OptionError):
            BuildPlan(**wrong)
    with pytest.raises(InputError, match="not a folder"):
        build(tmp_path / "nowhere", tmp_path / "out", PLAN)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        build(tmp_path / "empty", tmp_path / "out", PLAN)
    with pytest.raises(OptionError, match="lies in"):
        build(photos, photos / "out", PLAN)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="used as a folder"):
        build(photos, tmp_path / "file", PLAN)
    for wrong, word in (({"depth": "auto"}, "not auto"), ({"caption": "auto"}, "not auto"), ({"depth": "me"}, "'me'")):
        with pytest.raises(OptionError, match=word):
            build(photos, tmp_path / "o2", BuildPlan(size=64, **wrong))
    assert not (tmp_path / "o2").exists()


def test_the_commands(photos, tmp_path):
    run = CliRunner().invoke
    line = ["data", "build", str(photos), "-o", str(tmp_path / "out"), "--size", "64", "--limit", "6", "--json"]
    done = run(app, line)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["items"], told["made_items"], told["shards"]) == (6, 6, 1)
    assert told["items_per_second"] > 0
    words = run(app, line[:-1])
    assert "6 items in 1 shards" in words.stdout
    assert "none now" in words.stdout
    assert run(app, ["data", "check", str(tmp_path / "out")]).exit_code == 0
    assert verify(tmp_path / "out") == (1, ())
    with open(tmp_path / "out" / "shard-000000.tar", "r+b") as file:
        file.seek(700)
        file.write(b"\xff")
    bad = run(app, ["data", "check", str(tmp_path / "out")])
    assert (bad.exit_code, "were written" in bad.stderr) == (9, True)
    assert run(app, ["data", "check", str(photos)]).exit_code == 3
    assert run(app, [*line, "--size", "5"]).exit_code == 2
    assert run(app, [*line, "--licence", "cc-by-nd"]).exit_code == 2
    assert run(app, [*line, "--workers", "0"]).exit_code == 2


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_told_and_nothing_is_lost(photos, tmp_path, monkeypatch, call):
    build(photos, tmp_path / "whole", BuildPlan(size=64, per_shard=5))
    for step in range(1, 6):
        out, real, left = tmp_path / f"out{step}", getattr(os, call), [step]

        def full(*given, real=real, left=left, **named):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(28, "No space left on device")
            return real(*given, **named)

        failed = False
        with monkeypatch.context() as patched:
            patched.setattr(os, call, full)
            try:
                build(photos, out, BuildPlan(size=64, per_shard=5))
            except OutputError as e:
                failed = "No space left on device" in str(e)
        assert failed or call == "fsync"
        assert not list(out.glob(".*.part"))
        build(photos, out, BuildPlan(size=64, per_shard=5))
        assert files(out) == files(tmp_path / "whole")


@pytest.mark.parametrize("stated", ["cc-by-nd-4.0", "https://creativecommons.org/licenses/by-nc-nd/4.0/"])
def test_a_stated_licence_that_forbids_changes_is_refused(stated):
    with pytest.raises(OptionError, match="forbids changed copies"):
        BuildPlan(stated=stated)


def test_a_shard_that_is_gone_is_missed(photos, tmp_path):
    out = tmp_path / "out"
    build(photos, out, BuildPlan(size=64, per_shard=4))
    count, wrong = verify(out)
    assert (count, wrong) == (3, ())
    for ending in ("tar", "json"):
        (out / f"shard-000002.{ending}").unlink()
    count, wrong = verify(out)
    assert count == 2
    assert len(wrong) == 1
    assert "shard-000002.tar" in wrong[0]
    (out / "card.json").write_text("{")
    assert "data card" in verify(out)[1][0]
    (out / "card.json").unlink()
    assert "has not ended" in verify(out)[1][0]


def test_a_build_of_nothing_is_no_success(tmp_path):
    from typer.testing import CliRunner

    from tratto.cli.main import app

    (tmp_path / "own").mkdir()
    picture(tmp_path / "own" / "bare.png", 1)
    line = ["data", "build", str(tmp_path / "own"), "--size", "64", "-o"]
    done = CliRunner().invoke(app, [*line, str(tmp_path / "a")])
    assert done.exit_code == 3
    assert "--stated-licence" in done.output
    assert CliRunner().invoke(app, [*line, str(tmp_path / "b"), "--json"]).exit_code == 3
    assert CliRunner().invoke(app, [*line, str(tmp_path / "c"), "--stated-licence", "CC0"]).exit_code == 0
