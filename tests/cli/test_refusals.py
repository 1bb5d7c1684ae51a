"""What is refused, and how it is said: one line, the right code, everything else done and nothing destroyed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.capability import RestorerInfo
from tratto.core.errors import OptionError, OutputError
from tratto.core.options import Papers, SaveOptions
from tratto.jobs.gather import gather


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def noisy_array(seed=0, size=(48, 64)):
    rng = np.random.default_rng(seed)
    return np.clip(128 + rng.normal(0, 25, (*size, 3)), 0, 255).astype(np.uint8)


def noisy(path, seed=0, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    Pil.fromarray(noisy_array(seed)).save(path, **save)
    return path


def test_one_name_that_is_too_long_stops_no_other(tmp_path):
    noisy(tmp_path / "in" / "a.png")
    # the picture's name just fits, that of its bundle does not
    noisy(tmp_path / "in" / ("L" * 251 + ".png"))
    done = run("restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm")
    assert done.exit_code == 8, done.output
    told = [line for line in done.stderr.splitlines() if "LLL" in line]
    assert len(told) == 1
    assert "file system takes" in told[0]
    assert "fault" not in done.output
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == ["a.png", "a.tratto"]
    again = run("restore", tmp_path / "in", "-o", tmp_path / "out", "--provider", "nlm", "--skip-existing")
    assert again.exit_code == 8, again.output


def test_saving_under_a_name_that_is_too_long_is_an_output_error(tmp_path):
    result = tratto.restore(noisy_array(), provider="nlm")
    with pytest.raises(OutputError, match="file system takes"):
        tratto.save(result, tmp_path / ("L" * 251 + ".png"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def made(tmp_path):
    noisy(tmp_path / "photo.png")
    assert run("restore", tmp_path / "photo.png", "-o", tmp_path / "out", "--provider", "nlm").exit_code == 0
    return tmp_path


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_nothing_is_written_into_a_bundle(made):
    bundle = made / "out" / "photo.tratto"
    noisy(made / "original.png", seed=1)
    Pil.fromarray(np.full((48, 64), 255, np.uint8)).save(made / "mask.png")
    (made / "link").symlink_to(bundle, target_is_directory=True)
    before = contents(bundle)
    mask = ("--mask", made / "mask.png")
    for target in (bundle, bundle / "deeper", bundle / "original.png", made / "link", made / "new.tratto"):
        lines = [
            ("restore", made / "original.png", "-o", target, "--overwrite", "--provider", "nlm"),
            ("restore", made / "original.png", "-o", target, "--dry-run"),
            ("repair", made / "original.png", "-o", target, "--overwrite", *mask),
            ("recolor", made / "original.png", "-o", target, "--overwrite", "--color", "#c8d4e0", *mask),
            ("revert", made / "out" / "photo.png", "-o", target if target.suffix == ".png" else target / "back.png"),
        ]
        for line in lines:
            done = run(*line)
            assert done.exit_code == 4, (line, done.output)
            assert "bundle" in done.stderr, line
    result = tratto.restore(noisy_array(), provider="nlm")
    for name in ("original.png", "edit-map.png", "x.png"):
        with pytest.raises(OutputError, match="in the bundle"):
            tratto.save(result, bundle / name, overwrite=True)
    assert contents(bundle) == before
    assert not (made / "new.tratto").exists()
    assert run("verify", made / "out" / "photo.png").exit_code == 0


def test_a_bundle_is_no_picture_to_work_on(made):
    bundle = made / "out" / "photo.tratto"
    for named in (bundle, bundle / "original.png", bundle / "edit-map.png"):
        done = run("restore", named, "-o", made / "again")
        assert done.exit_code == 3, done.output
        assert "tratto revert" in done.stderr
    assert not (made / "again").exists()


def test_a_glob_passes_bundles_over(made):
    for pattern in ("out/*", "out/**/*.png"):
        done = run("restore", f"{made}/{pattern}", "-o", made / "again", "--provider", "nlm", "--overwrite")
        assert done.exit_code == 0, done.output
        assert sorted(p.name for p in (made / "again").iterdir()) == ["photo.png", "photo.tratto"]


def test_a_dry_run_refuses_what_forensic_mode_refuses(tmp_path, monkeypatch):
    from tratto.providers.pool import Pool

    class Inventive:
        """Tells a picture's future from its past."""

        info = RestorerInfo("inventive", 1, 64, 8, generative=True)

    noisy(tmp_path / "a.png")
    usual = Pool.open
    monkeypatch.setattr(
        Pool, "open", lambda self, use, *a: Inventive if use.capability == "restorer" else usual(self, use, *a)
    )
    line = ("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--forensic", "--provider", "tratto")
    told = []
    for extra in ((), ("--dry-run",)):
        done = run(*line, *extra)
        assert done.exit_code == 7, done.output
        told.append(done.stderr)
    assert told[0] == told[1]
    assert "cannot invent detail" in told[0]
    assert not (tmp_path / "out").exists()
    assert run(*line[:-3], "--provider", "tratto", "--dry-run").exit_code == 0


@pytest.mark.parametrize("other", ["a.png", "a.webp"])
@pytest.mark.parametrize("links", [True, False])
def test_the_second_of_two_runs_into_one_name_is_refused(tmp_path, monkeypatch, other, links):
    import os

    from tratto.imaging import io

    if not links:

        def refuse(*a, **k):
            raise PermissionError("no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    noisy(tmp_path / "a.png")
    out = tmp_path / "out"
    write, first = io.write_image, {}

    def and_meanwhile(image, path, fmt, options=None):
        write(image, path, fmt, options)
        if not first:  # a second program starts later and is done first
            first["done"] = None
            theirs = tratto.restore(noisy_array(seed=1), provider="nlm")
            tratto.save(theirs, out / other)
            first["done"] = {n: b for n, b in contents(out).items() if not n.startswith(".")}

    monkeypatch.setattr(io, "write_image", and_meanwhile)
    done = run("restore", tmp_path / "a.png", "-o", out, "--provider", "nlm")
    assert done.exit_code == 4, done.output
    assert "in the meantime" in done.stderr
    assert contents(out) == first["done"]
    assert sorted(p.name for p in out.iterdir()) == sorted([other, "a.tratto"])
    assert run("verify", out / other).exit_code == 0
    assert run("restore", tmp_path / "a.png", "-o", out, "--provider", "nlm", "--overwrite").exit_code == 0


def test_a_file_named_bmp_is_written_where_it_can_hold_the_picture(tmp_path):
    noisy(tmp_path / "a.jpg", quality=60)
    done = run("restore", tmp_path / "a.jpg", "-o", tmp_path / "e" / "x.bmp", "--provider", "nlm")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "e" / "x.bmp").read_bytes()[:2] == b"BM"
    assert run("verify", tmp_path / "e" / "x.bmp").exit_code == 0
    result = tratto.restore(noisy_array(), provider="nlm")
    tratto.save(result, tmp_path / "y.bmp")
    np.testing.assert_array_equal(np.asarray(Pil.open(tmp_path / "y.bmp")), result.to_numpy())
    Pil.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 15).save(tmp_path / "deep.png")
    done = run("restore", tmp_path / "deep.png", "-o", tmp_path / "e" / "deep.bmp", "--provider", "nlm")
    assert done.exit_code == 2, done.output
    assert "16 bits per sample" in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--max-minutes", "0.0000001", "minutes, the limit is 0.0000001;"),
        ("--max-output-megapixels", "0.001", "would have 0.003 megapixels, the limit is 0.001;"),
    ],
)
def test_a_limit_is_told_with_enough_digits(tmp_path, option, value, told):
    noisy(tmp_path / "a.png")
    done = run("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--provider", "nlm", option, value)
    assert done.exit_code == 3, done.output
    assert told in done.stderr
    assert "about 0 minutes" not in done.stderr


def test_numbers_that_are_told_differ():
    from tratto.engine.cost import apart as _apart

    assert _apart(90.4, 60) == ("90", "60")
    assert _apart(60.04, 60) == ("60.04", "60.00")
    assert _apart(0.004, 0.001) == ("0.004", "0.001")
    assert _apart(5, 0.02) == ("5.00", "0.02")


@pytest.mark.parametrize("command", [("replay",), ("revert", "-o", "back.png")])
def test_what_is_no_result_is_told_as_verify_tells_it(tmp_path, command):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    name, *rest = command
    nope = run(name, tmp_path / "nope", *rest)
    assert nope.exit_code == run("verify", tmp_path / "nope").exit_code == 3
    assert nope.stderr == run("verify", tmp_path / "nope").stderr
    none = run(name, tmp_path / "empty", *rest)
    assert none.exit_code == 6
    told = "empty is not a bundle: it holds neither receipt.json nor seal.json"
    assert none.stderr == f"tratto: {told}\n"
    assert told in run("verify", tmp_path / "empty").stdout


def test_a_quality_without_effect_and_metadata_without_a_place_are_told(tmp_path):
    exif = Pil.Exif()
    exif[0x010F] = "Maker"
    noisy(tmp_path / "a.jpg", quality=60, exif=exif)
    for extra in ((), ("--dry-run",)):
        line = ("restore", tmp_path / "a.jpg", "--provider", "nlm", "--overwrite", "--quality", "80", *extra)
        png = run(*line, "-o", tmp_path / "out")
        assert png.exit_code == 0, png.output
        assert "quality of 80" in png.stderr
        assert "no place" not in png.stderr
        jpeg = run(*line, "-o", tmp_path / "jpeg", "--format", "jpeg")
        assert "no effect" not in jpeg.stderr
        bmp = run(*line, "-o", tmp_path / "bmp", "--format", "bmp")
        assert "no place for EXIF" in bmp.stderr


def test_a_folder_whose_name_is_too_long_is_the_one_that_is_told(tmp_path):
    noisy(tmp_path / "a.png")
    done = run("restore", tmp_path / "a.png", "-o", tmp_path / ("x" * 300))
    assert done.exit_code == 4
    assert "300 bytes" in done.output


def test_a_texture_of_several_pages_is_refused_with_what_can_be_done(tmp_path):
    noisy(tmp_path / "a.png")
    Pil.fromarray(np.full((48, 64), 255, np.uint8)).save(tmp_path / "mask.png")
    pages = [Pil.new("RGB", (8, 8), (k, k, k)) for k in range(3)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    done = run(
        *("recolor", tmp_path / "a.png", "-o", tmp_path / "out"),
        *("--mask", tmp_path / "mask.png", "--texture", tmp_path / "pages.tif"),
    )
    assert done.exit_code == 2
    assert "holds 3 pages" in done.output
    assert "page=" not in done.output
    for given in (tmp_path / "pages.tif", (tmp_path / "pages.tif").read_bytes()):
        with pytest.raises(OptionError, match="texture"):
            tratto.recolor(tmp_path / "a.png", mask=tmp_path / "mask.png", texture=given)


@pytest.mark.parametrize(
    ("content", "expected"), [(None, 3), (b"", 6), (b"[1,2]", 6), (b"{}", 6), (b'{"schema":"tratto/audit/1"}', 6)]
)
def test_an_earlier_audit_that_is_none_is_told(tmp_path, content, expected):
    (tmp_path / "out").mkdir()
    if content is not None:
        (tmp_path / "old.json").write_bytes(content)
    done = run("audit", tmp_path / "out", "--since", tmp_path / "old.json")
    assert done.exit_code == expected
    assert "old.json" in done.output
    assert not any(word in done.output for word in ("indices", "Errno", "Traceback"))


def test_a_report_of_a_folder_that_is_no_bundle(tmp_path):
    (tmp_path / "plain").mkdir()
    done = run("report", tmp_path / "plain", "-o", tmp_path / "r.pdf")
    assert done.exit_code == 6
    assert "not a bundle" in done.output


def test_inspect_goes_on_after_a_path_that_is_not_there(tmp_path):
    one, two = noisy(tmp_path / "a.png"), noisy(tmp_path / "b" / "c.png")
    done = run("inspect", one, tmp_path / "none.png", two.parent, one, "--json")
    assert done.exit_code == 8
    told = {Path(item["source"]).name: item.get("exit_code", 0) for item in json.loads(done.stdout)}
    assert told == {"none.png": 3, "a.png": 0, "c.png": 0}
    assert len(json.loads(done.stdout)) == 3
    assert run("inspect", tmp_path / "none.png").exit_code == 3


def test_formats_by_the_names_of_their_extensions(tmp_path):
    photo = noisy(tmp_path / "a.png")
    for named, made in (("jpg", "a.jpg"), ("tif", "a.tif")):
        done = run("restore", photo, "-o", tmp_path / named, "--format", named, "--provider", "nlm")
        assert done.exit_code == 0, done.output
        assert (tmp_path / named / made).exists()
    assert SaveOptions(format="jpg") == SaveOptions(format="jpeg")
    with pytest.raises(OptionError, match="format"):
        SaveOptions(format="gif")


def test_a_day_that_has_not_begun_is_refused(tmp_path):
    today = datetime.now(UTC).date()
    assert Papers(date=today.isoformat()).date == today.isoformat()
    for days in (2, 400):
        with pytest.raises(OptionError, match="date"):
            Papers(date=(today + timedelta(days=days)).isoformat())


def test_what_states_papers_is_not_passed_over(tmp_path):
    photo = noisy(tmp_path / "a.png")
    (tmp_path / "case.toml").write_text('object = "Inv. 1"')
    assert gather([str(tmp_path)], None).passed_over == gather([str(tmp_path / "*")], None).passed_over == []
    (tmp_path / "b.txt").touch()
    assert [p.name for p in gather([str(photo.parent)], None).passed_over] == ["b.txt"]


def test_an_audit_says_first_that_a_picture_has_no_bundle(tmp_path):
    noisy(tmp_path / "a.png")
    (item,) = json.loads(run("audit", tmp_path, "--json").stdout)["items"]
    assert "a.tratto" in item["reasons"][0]
