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
    assert not list((folder / "out").glob(".*"))


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
    (["--skip-existing", "--overwrite"], 2, "contradict"),
    (["--scale", "4", "--max-output-megapixels", "0.001"], 3, "megapixels"),
    (["--seed", "-1"], 2, "seed"),
]


@pytest.mark.parametrize(("extra", "code", "word"), BAD, ids=[" ".join(b[0]) for b in BAD])
def test_bad_options_give_one_clear_line_and_write_nothing(folder, extra, code, word):
    done = tratto("restore", folder / "in" / "a.png", "-o", folder / "out", *extra)
    assert done.exit_code == code, done.output
    assert word in done.stderr
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
    assert done.exit_code == 2
    assert "full precision" in done.stderr
