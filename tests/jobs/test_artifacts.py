"""Results that are no picture of the source's geometry, from the engine to the report and the replay.

No task makes one yet, so the steps are of this file: one that lifts a picture into a scene, one that cuts a square out
of it, one that lays a contact sheet.
"""

import json
import sys
import types
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import jsonschema
import numpy as np
import pytest
from PIL import Image as Pil

import tratto
from tratto.core.artifact import Scene
from tratto.core.errors import OptionError, OutputError
from tratto.core.image import Mask
from tratto.core.recipe import Recipe, step_params
from tratto.core.step import BaseStep, StepRecord
from tratto.imaging.io import image_from_array
from tratto.imaging.opening import open_picture
from tratto.jobs.job import Job
from tratto.provenance.receipt import read_receipt, validate_receipt
from tratto.provenance.schema import receipt_schema
from tratto.tasks.prepared import Prepared


class Plain(BaseStep):
    """What the steps of this file have in common."""

    megapixels_per_second: float | None = 10.0

    def resolve(self, canvas, services):
        return self

    def record(self, services, basis="model"):
        return StepRecord(self.name, step_params(self), seed=services.seed, confidence_basis=basis)


@dataclass(frozen=True)
class Lift(Plain):
    """Every pixel becomes a point whose height is its lightness."""

    height: float = 1.0
    name: ClassVar[str] = "test-lift"

    def apply(self, canvas, services):
        rgb = np.asarray(canvas.image.pixels)
        y, x = np.mgrid[0 : rgb.shape[0], 0 : rgb.shape[1]].astype(np.float32)
        z = np.float32(self.height) * rgb.mean(axis=2, dtype=np.float32) / 255
        at = np.stack([x, y, z], axis=2).reshape(-1, 3)
        scene = Scene.of_points(at, rgb.reshape(-1, 3), 0.5)
        return canvas.replace(scene=scene), self.record(services)


@dataclass(frozen=True)
class Cut(Plain):
    """A square of a stated side, by nearest neighbours."""

    side: int = 512
    name: ClassVar[str] = "test-cut"

    def apply(self, canvas, services):
        px = np.asarray(canvas.image.pixels)
        rows, columns = (np.arange(self.side) * n // self.side for n in px.shape[:2])
        out = np.ascontiguousarray(px[rows][:, columns])
        sigma = np.full(out.shape[:2], 655, np.uint16)
        return canvas.replace(image=canvas.image.replace(pixels=out), sigma=sigma), self.record(services)


@dataclass(frozen=True)
class LaySheet(Plain):
    """The picture twice, side by side."""

    name: ClassVar[str] = "test-sheet"

    def apply(self, canvas, services):
        px = np.asarray(canvas.image.pixels)
        sheet = image_from_array(np.concatenate([px, 255 - px], axis=1))
        return canvas.replace(sheet=sheet), self.record(services, "not edited")


@pytest.fixture(autouse=True)
def _steps(monkeypatch):
    from tratto import steps

    module = types.ModuleType("steps_of_this_test")
    for cls in (Lift, Cut, LaySheet):
        setattr(module, cls.__name__, cls)
        monkeypatch.setitem(steps._STEPS, cls.name, ("steps_of_this_test", cls.__name__))
    monkeypatch.setitem(sys.modules, "steps_of_this_test", module)


@pytest.fixture
def photo(tmp_path):
    rng = np.random.default_rng(3)
    px = np.clip(rng.normal(128, 40, (150, 200, 3)), 0, 255).astype(np.uint8)
    path = tmp_path / "photo.png"
    Pil.fromarray(px).save(path)
    return path


def make(photo, *steps, output="picture", **how):
    job, image = Job(), open_picture(photo)
    recipe = Recipe("test", steps, 7, ("it was asked for",))
    return job.execute(recipe, image, job.inspect(image), Prepared(output=output, **how), photo)


def check_everything(path, photo, tmp_path):
    """Verify, audit, print, revert and replay a result; return the verdict."""
    verdict = tratto.verify(path)
    assert verdict.word == "authentic", verdict.reasons
    rows = tratto.audit(path.parent, replay=True)
    assert [(r.word, r.tier) for r in rows if r.path.endswith(".tratto")] == [("authentic", "A")]
    from tratto.provenance.printing import printed

    assert printed(path).startswith(b"%PDF")
    tratto.revert(path, tmp_path / "back.png")
    assert (tmp_path / "back.png").read_bytes() == photo.read_bytes()
    replayed = tratto.replay(path)
    assert (replayed.tier, replayed.same_environment) == ("A", True)
    receipt = read_receipt((path.with_suffix(".tratto") / "receipt.json").read_bytes())
    jsonschema.Draft202012Validator(receipt_schema()).validate(receipt)
    return verdict, receipt


def test_a_scene_goes_all_the_way(photo, tmp_path):
    result = make(photo, Lift(), output="scene")
    assert (result.image, result.edit_map, result.confidence) == (None, None, None)
    with pytest.raises(OptionError, match="scene"):
        result.to_numpy()
    out = tmp_path / "out"
    out.mkdir()
    saved = tratto.save(result, out / "model.ply", source=photo)
    assert {p.name for p in saved.bundle.iterdir()} == {
        "original.png", "receipt.json", "report.html", "observed.json", "seal.json",
    }  # fmt: skip
    verdict, receipt = check_everything(saved.output, photo, tmp_path)
    assert "byte by byte" in " ".join(verdict.reasons)
    assert any("made again from the receipt" in r for r in verdict.reasons)
    made = receipt["outputs"]["scene"]
    assert made["scene"]["gaussians"] == 200 * 150
    assert made["scene"]["high"][:2] == [199.0, 149.0]
    assert made["samples_sha256"] == made["file"]["decoded_samples_sha256"] == receipt["steps"][-1]["output_digest"]
    assert receipt["claim"] == {
        "status": "evidence-based restoration",
        "stamp": None,
        "regions": [
            {
                "where": "the whole result, which has another form than the source",
                "share": 1,
                "status": "evidence-based restoration",
            }
        ],
    }
    page = (saved.bundle / "report.html").read_text()
    assert "30000" in page
    assert "Edit map" not in page
    assert 'alt="The picture after"' not in page


def test_steps_after_a_scene_go_on_from_it(photo):
    result = make(photo, Lift(), LaySheet(), output="scene")
    first, second = result.records
    assert first.output_digest == second.input_digest == second.output_digest == result.main.digest()
    assert set(result.outputs) == {"scene", "sheet"}
    # a scene on the way to a picture is a link of the chain, and no output
    on_the_way = make(photo, Lift(), Cut(64))
    assert set(on_the_way.outputs) == {"picture"}
    assert on_the_way.records[1].input_digest == first.output_digest


def test_a_scene_that_was_touched_is_altered(photo, tmp_path):
    saved = tratto.save(make(photo, Lift(), output="scene"), tmp_path / "model.ply", source=photo)
    data = bytearray(saved.output.read_bytes())
    data[-1] ^= 1
    saved.output.write_bytes(data)
    assert tratto.verify(saved.output).word == "altered"
    saved.output.unlink()
    verdict = tratto.verify(saved.bundle)
    assert verdict.word == "unknown"
    assert "scene is not beside" in verdict.reasons[0]


def test_a_scene_of_other_points_is_told_from_its_own(photo, tmp_path):
    from tratto.jobs.replaying import compare_scenes

    one, two = (make(photo, Lift(h), output="scene").outputs["scene"] for h in (1.0, 1.5))
    assert compare_scenes(one, one, "").tier == "B"
    moved = compare_scenes(one, two, "test-lift")
    assert moved.tier == "B"  # at most half a unit of 199
    assert moved.max_error == pytest.approx(np.abs(one.positions - two.positions).max() / 199, rel=1e-6)
    far = replace(two, positions=two.positions + np.float32(9))
    assert compare_scenes(one, far, "").tier == "different"
    fewer = Scene(**{f.name: getattr(one, f.name)[:-1] for f in fields(Scene)})
    assert compare_scenes(one, fewer, "").tier == "different"


def test_a_scene_is_named_like_one(photo, tmp_path):
    result = make(photo, Lift(), output="scene")
    with pytest.raises(OptionError, match=r"\.ply"):
        tratto.save(result, tmp_path / "model.png")
    tratto.save(result, tmp_path / "model.ply")
    with pytest.raises(OutputError, match="exists"):
        tratto.save(result, tmp_path / "model.ply")


def test_a_job_that_makes_no_scene_says_so(photo):
    with pytest.raises(OptionError, match="scene"):
        make(photo, Cut(64), output="scene")


@pytest.mark.parametrize("side", [512, 64])
def test_a_picture_of_another_geometry_goes_all_the_way(photo, tmp_path, side):
    result = make(photo, Cut(side))
    assert result.edit_map is None
    assert result.confidence.shape == (side, side)
    out = tmp_path / "out"
    out.mkdir()
    saved = tratto.save(result, out / "square.png", source=photo)
    names = {p.name for p in saved.bundle.iterdir()}
    assert "confidence.png" in names
    assert "edit-map.png" not in names
    _, receipt = check_everything(saved.output, photo, tmp_path)
    made = receipt["outputs"]["picture"]
    assert (made["geometry"], made["scale"], made["maps"]["edit"]) == ("other", None, None)
    assert made["picture"]["width"] == made["picture"]["height"] == side
    assert "geometry" in made["maps"]["missing"]["edit"]
    assert made["maps"]["confidence"]["basis"] == "model"
    page = (saved.bundle / "report.html").read_text()
    assert "no edit map" in page
    assert f"{side} × {side}" in page
    assert 'id="compare"' not in page


def test_a_palette_picture_of_another_geometry_stays_rgb(photo, tmp_path):
    path = tmp_path / "few.png"
    Pil.open(photo).quantize(16).save(path)
    saved = tratto.save(make(path, Cut(64)), tmp_path / "square.png", source=path)
    assert tratto.verify(saved.output).word == "authentic"
    assert tratto.replay(saved.output).tier == "A"


def test_without_its_files_the_account_of_another_geometry_still_checks(photo, tmp_path):
    saved = tratto.save(make(photo, Cut(512)), tmp_path / "square.png", tratto.SaveOptions("png", keep_original=False))
    assert tratto.verify(saved.output).word == "authentic"
    assert tratto.replay(saved.output, source=photo).tier == "A"
    saved.output.unlink()
    assert tratto.verify(saved.bundle).word == "unknown"
    from tratto.provenance.printing import printed

    assert printed(saved.bundle).startswith(b"%PDF")


def test_nothing_is_blended_across_geometries(photo):
    mask = Mask(np.ones((150, 200), np.float32))
    with pytest.raises(OptionError, match="geometry"):
        make(photo, Cut(64), mask=mask)


def test_a_sheet_comes_along_and_statements_stand_in_the_receipt(photo, tmp_path):
    said = {"kind": "consent", "by": "A. Person", "text": "I agree to be shown.", "sha256": "ab" * 32}
    result = make(photo, LaySheet(), Cut(64), statements=(said,))
    out = tmp_path / "out"
    out.mkdir()
    saved = tratto.save(result, out / "square.png", source=photo)
    assert (saved.bundle / "outputs" / "sheet.png").is_file()
    _, receipt = check_everything(saved.output, photo, tmp_path)
    assert receipt["statements"] == [said]
    assert receipt["outputs"]["sheet"]["picture"]["width"] == 400
    page = (saved.bundle / "report.html").read_text()
    assert "I agree to be shown." in page
    assert 'alt="Contact sheet"' in page
    for change in ("flip", "drop"):
        sheet = saved.bundle / "outputs" / "sheet.png"
        data = bytearray(sheet.read_bytes())
        if change == "flip":
            data[100] ^= 1
            sheet.write_bytes(data)
        else:
            sheet.unlink()
        verdict = tratto.verify(saved.output)
        assert verdict.word == "altered"
        assert any("outputs/sheet.png" in r for r in verdict.reasons)


@pytest.mark.parametrize(("step", "output", "name"), [(Lift(), "scene", "model.ply"), (Cut(64), "picture", "cut.png")])
def test_such_results_are_signed_and_recorded(photo, tmp_path, monkeypatch, step, output, name):
    pytest.importorskip("c2pa")
    from tratto.ledger import Ledger, keys
    from tratto.provenance import standalone
    from tratto.provenance.notary import Notary

    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))
    keys.new_key("me", "identity")
    keys.new_key("log", "ledger", "example.org/log")
    Ledger.create(tmp_path / "log", keys.signer("log", "ledger")).close()
    session = tratto.Session(notary=Notary(keys.identity("me"), tmp_path / "log"))
    saved = session.save(make(photo, step, output=output), tmp_path / name, source=photo)
    assert saved.entry == 0
    verdict = tratto.verify(saved.output)
    assert verdict.word == "authentic", verdict.reasons
    assert any("credentials fit" in r for r in verdict.reasons)
    assert (saved.bundle / "credentials.c2pa").exists() is (output == "scene")
    assert standalone.check_bundle(str(saved.bundle))[1] == 0
    assert tratto.replay(saved.output).tier == "A"


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["outputs"]["picture"].update(scale=1),
        lambda r: r["outputs"]["picture"].update(geometry="same"),
        lambda r: r["outputs"]["picture"]["maps"]["missing"].clear(),
        lambda r: r["outputs"]["picture"]["maps"].update(confidence=None),
        lambda r: r["outputs"].pop("picture"),
        lambda r: r["claim"].update(status="existing state"),
        lambda r: r["statements"].append({"kind": "consent"}),
        lambda r: r["inputs"].update({"../x": r["inputs"]["picture"]}),
        lambda r: r["inputs"].pop("picture"),
        lambda r: r["outputs"]["picture"].update(samples_sha256="0" * 64),
    ],
)
def test_contradictions_are_refused(photo, change):
    receipt = json.loads(json.dumps(make(photo, Cut(64)).receipt))
    validate_receipt(receipt)
    change(receipt)
    with pytest.raises(tratto.TrattoError):
        validate_receipt(receipt)


def test_an_edit_map_cannot_be_left_out_where_the_geometry_is_the_source(photo):
    session = tratto.Session()
    receipt = json.loads(json.dumps(session.restore(photo, tratto.RestoreOptions(force=True, provider="nlm")).receipt))
    validate_receipt(receipt)
    maps = receipt["outputs"]["picture"]["maps"]
    maps["edit"], maps["missing"] = None, {"edit": "no reason"}
    with pytest.raises(tratto.TrattoError, match=r"maps\.edit"):
        validate_receipt(receipt)
    receipt["outputs"]["picture"].update(scale=None, geometry="other")
    with pytest.raises(tratto.TrattoError, match="scale"):
        validate_receipt(receipt)
