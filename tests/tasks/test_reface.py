"""A face in a scene: the same person in two of her own pictures, the second turned, mirrored and lit otherwise."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image as Pil
from skimage import data

import tratto
from tratto.core.errors import ForbiddenStep, OptionError
from tratto.core.image import ColorMode, Image, Mask
from tratto.imaging.io import read_image
from tratto.jobs import Job
from tratto.provenance.xmp import MADE_UP, mark, read_marks, step_source_type
from tratto.tasks.prepared import Given
from tratto.tasks.reface import RefaceOptions, plan, prepare

FEW = {"k_global": 2, "m_global": 1, "k_local": 2}


def astronaut():
    return np.ascontiguousarray(data.astronaut()[0:240, 110:350])


def other_picture():
    """The same person, mirrored, leaning by 12 degrees, darker and warmer."""
    light = (astronaut()[:, ::-1] / 255.0) ** 1.4 * [1.0, 0.85, 0.7]
    turn = cv2.getRotationMatrix2D((120, 110), 12, 1.0)
    turned = cv2.warpAffine((255 * light).astype(np.uint8), turn, (240, 240), borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(turned)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reface")
    Pil.fromarray(astronaut()).save(folder / "scene.png")
    Pil.fromarray(other_picture()).save(folder / "other.png")
    return folder


@pytest.fixture(scope="module")
def done(folder):
    result = tratto.reface(folder / "scene.png", character=folder / "other.png", consent="A. Person", seed=3, **FEW)
    return result, tratto.save(result, folder / "out" / "scene.png", source=folder / "scene.png")


@pytest.fixture(autouse=True, scope="module")
def _out(folder):
    (folder / "out").mkdir()


def test_the_face_changes_and_nothing_else_does(done):
    result, _ = done
    before, after = astronaut().astype(int), result.to_numpy().astype(int)
    outside = result.mask.values == 0
    assert 0.03 < 1 - outside.mean() < 0.3
    np.testing.assert_array_equal(after[outside], before[outside])
    assert np.abs(after - before)[~outside].mean() > 3
    # she is lit as the scene is: her mean is near that of the face that was there, not the darker one's
    assert np.abs(after[~outside].mean(0) - before[~outside].mean(0)).max() < 14


def test_the_candidates_are_accounted_for(done):
    result, saved = done
    step = result.receipt["steps"][0]
    tried = step["params"]["candidates"]
    assert [c["number"] for c in tried] == [0, 1, 2, 3, 4]
    assert [c["stage"] for c in tried] == ["raw", "global", "global", "local", "local"]
    for c in tried:
        parts = {"consistency": 1.0, "realism": 4.0, "identity": 1.5}
        total = sum(w * (5.0 if c["scores"][n] is None else c["scores"][n]) for n, w in parts.items())
        assert c["potential"] == pytest.approx(total, abs=1e-3)
        assert c["numbers"]["outside"] == 0
    assert tried[step["params"]["winner"]]["potential"] == max(c["potential"] for c in tried)
    assert step["generative"] is True
    assert {m["id"] for m in step["models"]} == {"facemesh", "dlib-face"}
    observed = json.loads((saved.bundle / "observed.json").read_text())
    assert len(observed["steps"][0]["candidate_seconds"]) == 5
    sheet = read_image(saved.bundle / "outputs" / "sheet.png")
    assert sheet.width == 5 * 224
    # nothing that would tell the person by itself is written: no vector of 128 numbers
    receipt = json.loads((saved.bundle / "receipt.json").read_text())
    assert max(len(v) for v in _lists([receipt, observed])) < 32


def _lists(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from _lists(v)
    if isinstance(value, list):
        if all(isinstance(v, int | float) for v in value):
            yield value
        for v in value:
            yield from _lists(v)


def test_it_says_that_it_is_synthetic_everywhere(done, folder):
    result, saved = done
    assert result.receipt["statements"][0]["kind"] == "consent"
    assert result.receipt["statements"][0]["by"] == "A. Person"
    assert step_source_type(result.receipt["steps"][0]) == MADE_UP  # in content credentials
    marks = read_marks(read_image(saved.output).meta.xmp)
    assert marks.source_type == MADE_UP
    assert marks.stamp == "not for examination"
    assert "synthetic face" in marks.history[-1]["parameters"]
    verdict = tratto.verify(saved.output)
    assert verdict.word == "authentic"
    assert any("synthetic face" in r and "A. Person" in r for r in verdict.reasons)
    assert "synthetic face" in (saved.bundle / "report.html").read_text()
    # and alone, without its bundle, even where all metadata was to be left out
    bare = tratto.save(
        result, folder / "out" / "bare.png", tratto.SaveOptions(strip_metadata=True, keep_original=False)
    )
    alone = folder / "alone.png"
    alone.write_bytes(bare.output.read_bytes())
    assert any("synthetic face" in r for r in tratto.verify(alone).reasons)
    with pytest.raises(OptionError, match="bmp"):
        tratto.save(result, folder / "out" / "x.bmp", tratto.SaveOptions("bmp"))


def test_whatever_the_source_was_the_result_is_a_composite(done):
    result, _ = done
    said = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        b'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCreation"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    image = result.image.replace(meta=replace(result.image.meta, xmp=said))
    marked, note = mark(image, result.receipt)
    assert note == ""
    assert read_marks(marked.meta.xmp).source_type == MADE_UP


def test_a_replay_gives_the_same_samples_and_other_threads_the_same_winner(done, folder, monkeypatch):
    result, saved = done
    assert tratto.replay(saved.bundle).tier == "A"
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    again = tratto.reface(folder / "scene.png", character=folder / "other.png", consent="B", seed=3, **FEW)
    assert again.receipt["steps"][0]["params"]["candidates"] == result.receipt["steps"][0]["params"]["candidates"]
    np.testing.assert_array_equal(again.to_numpy(), result.to_numpy())


def test_without_consent_nothing_is_done(folder):
    for given in ({}, {"consent": "  "}):
        with pytest.raises(OptionError, match="consent"):
            tratto.reface(folder / "scene.png", character=folder / "other.png", **given)
    with pytest.raises(OptionError, match="consent"):
        Job().run("reface", {"picture": folder / "scene.png", "character": folder / "other.png"}, RefaceOptions())
    recipe = plan(RefaceOptions(), None)
    with pytest.raises(OptionError, match="consent"):
        recipe.steps[0].resolve(None, None)


def test_forensic_mode_refuses(folder):
    session = tratto.Session(forensic=True)
    with pytest.raises(ForbiddenStep):
        tratto.reface(folder / "scene.png", character=folder / "other.png", consent="A", session=session)


def test_bad_input_gets_one_clear_line(folder):
    empty = np.full((80, 80, 3), 120, np.uint8)
    scene, other = folder / "scene.png", folder / "other.png"
    for picture, character, more, word in (
        (scene, None, {}, "character"),
        (scene, empty, {}, "no face was found in the picture of the character"),
        (empty, other, {}, "no face was found in the scene"),
        (scene, other, {"face": 2}, "face 2"),
        (scene, [other] * 9, {}, "up to 8"),
        (scene, folder / "none.png", {}, "none.png"),
        (scene, other, {"engine": "inswapper"}, "inswapper"),
        (scene, other, {"realism": -1}, "realism"),
        (scene, other, {"mask": np.ones((3, 3))}, "3x3"),
    ):
        with pytest.raises(tratto.TrattoError, match=word):
            tratto.reface(picture, character=character, consent="A", **FEW, **more)
    inks = Image(np.zeros((40, 40, 4), np.uint8), ColorMode.CMYK)
    with pytest.raises(OptionError, match="inks"):
        tratto.reface(inks, character=other, consent="A")


def test_several_pictures_and_a_label_and_a_drawn_mask(folder):
    drawn = np.zeros((240, 240), np.float32)
    drawn[200:220, 20:60] = 1
    result = tratto.reface(
        folder / "scene.png", character=[folder / "other.png", astronaut()], consent="A", label=True, mask=drawn,
        k_global=0, m_global=0,
    )  # fmt: skip
    assert set(result.receipt["inputs"]) == {"picture", "character", "character-2"}
    assert result.mask.values[210, 40] == 1
    x, y, width, height = result.receipt["steps"][0]["params"]["label"]
    shown = result.to_numpy()[y : y + height, x : x + width]
    assert shown.max() > 180
    assert np.median(shown) < 60
    # the picture in which she looks as in the scene is the one that was laid on it
    assert any("the 2nd" in n for n in result.warnings)


def test_where_no_face_is_found_it_is_laid_in_the_mask(folder):
    scene = np.full((160, 160, 3), (120, 130, 140), np.uint8)
    mask = np.zeros((160, 160), np.float32)
    cv2.ellipse(mask, (80, 80), (36, 48), 0, 0, 360, 1.0, -1)
    result = tratto.reface(scene, character=folder / "other.png", consent="A", mask=mask, k_global=1, m_global=0)
    assert any("no face" in n for n in result.warnings)
    assert len(tratto.find_faces(result.to_numpy())) == 1


@pytest.mark.parametrize("kind", ["gray", "deep", "turned"])
def test_pictures_of_every_kind_keep_what_lies_outside(folder, kind):
    px = astronaut()
    image = {
        "gray": lambda: Image(np.ascontiguousarray(px[..., 1]), ColorMode.GRAY),
        "deep": lambda: Image(px.astype(np.uint16) * 257, ColorMode.RGB, bits=16),
        "turned": lambda: _turned(px),
    }[kind]()
    result = tratto.reface(image, character=folder / "other.png", consent="A", k_global=0, m_global=0)
    before, after = np.asarray(image.pixels), np.asarray(result.image.pixels)
    outside = result.mask.values == 0
    np.testing.assert_array_equal(after[outside], before[outside])
    assert (after != before).mean() > 0.01


def _turned(px):
    image = Image(np.ascontiguousarray(np.rot90(px)), ColorMode.RGB)
    return image.replace(meta=replace(image.meta, orientation=6))


def test_prepare_finds_faces_and_states_who_found_them(folder):
    image = Image(astronaut(), ColorMode.RGB)
    given = Given({"character": folder / "other.png"})
    prepared = prepare(RefaceOptions(consent="A"), image, given, Job().services())
    assert isinstance(prepared.mask, Mask)
    assert set(prepared.options.places) == {"character", "picture"}
    assert prepared.masks.found_by["provider"] == "facemesh"


def test_a_search_that_was_killed_goes_on_and_ends_the_same(folder, tmp_path, monkeypatch, done):
    from tratto.faces.judge import Realism

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    inputs = {"picture": folder / "scene.png", "character": folder / "other.png"}
    options = RefaceOptions(consent="A. Person", seed=3, **FEW)

    def killed(stage, number, total):
        if stage == "reface" and number >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Job(progress=killed).run("reface", inputs, options)
    (left,) = (tmp_path / "tratto" / "unfinished").iterdir()
    kept = len(left.read_text().splitlines())
    assert 3 <= kept < 5
    assert "embedding" not in left.read_text()
    judged = []
    real = Realism.score
    monkeypatch.setattr(Realism, "score", lambda self, *a: judged.append(1) or real(self, *a))
    again = Job().run("reface", inputs, options)
    assert len(judged) == 5 - kept
    assert again.receipt["steps"][0]["params"]["candidates"] == done[0].receipt["steps"][0]["params"]["candidates"]
    np.testing.assert_array_equal(again.to_numpy(), done[0].to_numpy())
    assert not left.exists()


def test_the_face_is_chosen_by_a_picture_of_the_person(folder):
    import matplotlib

    with Pil.open(f"{matplotlib.get_data_path()}/sample_data/grace_hopper.jpg") as opened:
        other = np.asarray(opened.convert("RGB").crop((90, 60, 430, 400)).resize((340, 340)))
    scene = np.zeros((340, 580, 3), np.uint8)
    scene[:, :340], scene[50:290, 340:] = other, astronaut()
    few = {"k_global": 0, "m_global": 0, "consent": "A"}
    result = tratto.reface(scene, character=folder / "other.png", face_like=astronaut(), **few)
    assert result.mask.values[:, :340].max() == 0
    assert result.mask.values[:, 340:].max() == 1
    assert set(result.receipt["inputs"]) == {"picture", "character"}
    for like, more, word in (
        (np.full((80, 80, 3), 120, np.uint8), {}, r"no face was found in the picture of \S*face.like"),
        (other, {"face": 2}, "give one of them"),
    ):
        with pytest.raises(OptionError, match=word):
            tratto.reface(scene, character=folder / "other.png", face_like=like, **few, **more)
    with pytest.raises(OptionError, match="in the scene"):
        tratto.reface(folder / "scene.png", character=folder / "other.png", face_like=other, **few)


def _both(settled):
    return settled["auto"], next(h for h in ("keep", "replace") if h != settled["auto"])


def test_glasses_of_the_scene_are_kept_or_taken_off_and_the_receipt_says_which(folder):
    scene = astronaut()
    for x, y in ((97, 97), (134, 98)):
        cv2.circle(scene, (x, y), 15, (12, 12, 14), 2, cv2.LINE_AA)
    cv2.line(scene, (112, 98), (119, 98), (12, 12, 14), 2)
    Pil.fromarray(scene).save(folder / "worn.png")
    made = {
        how: tratto.reface(folder / "worn.png", character=folder / "other.png", consent="A", glasses=how, **FEW)
        for how in ("keep", "replace", "auto")
    }
    settled = {how: m.receipt["steps"][0]["params"]["glasses"] for how, m in made.items()}
    assert settled["keep"] == "keep"
    assert settled["replace"] == "replace"
    assert settled["auto"] in {"keep", "replace"}
    best = made["keep"].receipt["steps"][0]["params"]
    known = best["candidates"][best["winner"]]["numbers"]["distance"] <= 0.5
    assert settled["auto"] == ("keep" if known else "replace")
    # not bit for bit: the cut around a larger mask is a larger one
    alike, other = (np.abs(made["auto"].to_numpy() - made[h].to_numpy().astype(float)).mean() for h in _both(settled))
    assert alike < 0.05 * other
    rim = np.zeros(scene.shape[:2], np.uint8)
    cv2.circle(rim, (97, 97), 15, 1, 1)
    below = (rim > 0) & (np.arange(len(scene))[:, None] > 102)
    same = {how: (made[how].to_numpy() == scene).all(axis=2)[below].mean() for how in ("keep", "replace")}
    assert same["keep"] > 0.9
    assert same["replace"] < 0.1
    with pytest.raises(OptionError, match="glasses"):
        tratto.reface(folder / "worn.png", character=folder / "other.png", consent="A", glasses="off")
