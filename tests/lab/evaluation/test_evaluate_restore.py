import json
import math

import numpy as np
import pytest
from PIL import Image

from tratto.core.capability import RestoredTile, RestorerInfo
from tratto.core.errors import InputError, OptionError
from tratto_lab.evaluation import RestorePlan, evaluate_restore, to_markdown
from tratto_lab.evaluation import restore as r


@pytest.fixture
def folder(tmp_path):
    y, x = np.mgrid[0:48, 0:52]
    for n in (1, 2, 3):
        v = 127 + 60 * np.sin(x / (2 + n)) * np.cos(y / (3 + n))
        Image.fromarray(np.stack((v, v * 0.8, 255 - v), -1).astype(np.uint8)).save(tmp_path / f"p{n}.png")
    return tmp_path


def test_noise_alone_has_the_psnr_of_its_sigma(folder):
    report = evaluate_restore(folder, {"none": r.untouched}, RestorePlan(sigmas=(25.0,), qualities=(), clean=True))
    row = report.value("none", "sigma 25")
    # 20 log10(255 / 25) = 20.17 dB; the values lie far enough from 0 and 255 that clipping adds little
    assert row.psnr == pytest.approx(20.17, abs=0.25)
    assert row.pictures == 3
    assert report.value("none", "clean").psnr == 100
    assert report.value("none", "clean").ssim == pytest.approx(1)
    assert row.interval < 0.3


def test_jpeg_and_scale_rows(folder):
    methods = {"none": r.untouched, "bicubic": r.bicubic}
    plan = RestorePlan(sigmas=(), qualities=(10, 90), scales=(2,), clean=False)
    report = evaluate_restore(folder, methods, plan, suits=lambda m, c: (m == "bicubic") == (c.scale > 1))
    assert report.value("none", "jpeg 90").psnr > report.value("none", "jpeg 10").psnr + 5
    assert report.value("bicubic", "x2").psnr > 35  # smooth waves survive halving
    with pytest.raises(OptionError, match="no row"):
        report.value("none", "x2")


class _Half:
    """A restorer that pulls towards grey and knows its error is 0.1."""

    def __init__(self, tile=256, border=None):
        self.info = RestorerInfo("half", 1, tile, overlap=8, multiple=16, border=border, has_sigma=True)
        self.shapes = []

    def restore(self, tile, noise_sigma=None):
        self.shapes.append(tile.shape)
        return RestoredTile(tile * 0.5 + 0.25, np.full(tile.shape[:2], 0.1, np.float32))


def test_restorers_get_whole_multiples_and_their_sigma_is_checked(folder):
    half = _Half(border=0)
    report = evaluate_restore(folder, {"half": r.restorer_method(half)}, RestorePlan((), (), (), True, limit=1))
    assert half.shapes == [(48, 64, 3)]
    row = report.rows[0]
    source = r.load_pictures(folder, 1)[0][1]
    error = source * 0.5 + 0.25 - source
    assert row.psnr == pytest.approx(-10 * math.log10((error**2).mean()), abs=0.05)
    rms = np.sqrt((error**2).mean(-1))
    assert row.within_one_sigma == pytest.approx((rms <= 0.1).mean(), abs=1e-6)


def test_pictures_are_cut_as_the_product_cuts_them():
    rng = np.random.default_rng(0)
    case = r.Case("clean", rng.random((96, 112, 3), dtype=np.float32), np.zeros((96, 112, 3), np.float32))
    one, four, tiled = _Half(border=0), _Half(), _Half(tile=96)
    whole, sigma = r.restorer_method(one)(case)
    np.testing.assert_allclose(whole, case.source * 0.5 + 0.25, atol=1e-6)
    np.testing.assert_allclose(sigma, 0.1, atol=1e-6)
    assert one.shapes == [(96, 112, 3)]
    np.testing.assert_allclose(r.restorer_method(four, grid=(3, 5))(case)[0], whole, atol=1e-6)
    assert four.shapes == [(144, 160, 3)]
    np.testing.assert_allclose(r.restorer_method(tiled)(case)[0], whole, atol=1e-6)
    assert len(tiled.shapes) == 4


def test_intervals_follow_students_t():
    rng = np.random.default_rng(0)
    quantiles = {2: 12.7062, 3: 4.3027, 4: 3.1824, 5: 2.7764, 6: 2.5706, 12: 2.2010, 68: 1.9960}
    for n, t in quantiles.items():
        values = rng.normal(30, 2, n)
        assert r.half_width(values) == pytest.approx(t * values.std(ddof=1) / math.sqrt(n), rel=1e-3)
    assert math.isnan(r.half_width(np.array([30.0])))


def test_sixteen_bit_grey_is_measured_as_it_is(tmp_path):
    ramp = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    (((_, picture, gray)),) = r.load_pictures(tmp_path)
    assert gray
    np.testing.assert_allclose(picture[..., 2], ramp / 65535, atol=1e-6)
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(InputError, match=r"bad\.png"):
        r.load_pictures(tmp_path)


def test_reports_read_back(folder):
    report = evaluate_restore(folder, {"none": r.untouched}, RestorePlan(sigmas=(15.0,), qualities=(), limit=2))
    data = json.loads(report.to_json())
    assert data["rows"][0]["case"] == "sigma 15"
    table = to_markdown(report)
    assert table.count("\n|") == 4
    assert f"{report.rows[0].psnr:.2f}" in table


def test_gray_pictures_are_measured_on_gray(tmp_path):
    _, x = np.mgrid[0:32, 0:32]
    Image.fromarray((128 + 50 * np.sin(x / 3)).astype(np.uint8)).save(tmp_path / "g.png")
    ((_, picture, gray),) = r.load_pictures(tmp_path)
    assert gray
    case = next(iter(r.cases_of(picture, gray, RestorePlan((), (10,), (), False))))
    assert np.ptp(case.source, axis=2).max() == 0
    tinted = picture + np.array([0.1, 0, -0.1], np.float32)
    assert r.measure(r.Case("x", picture, picture, gray=True), tinted)[0] > 50


def test_wrong_questions_are_refused(tmp_path):
    with pytest.raises(OptionError):
        RestorePlan(sigmas=(-1.0,))
    with pytest.raises(OptionError):
        RestorePlan(sigmas=(float("nan"),))
    with pytest.raises(OptionError):
        RestorePlan(scales=(5,))
    with pytest.raises(InputError):
        r.load_pictures(tmp_path)


def test_the_sheet_shows_each_case_of_the_first_picture(folder, tmp_path):
    from PIL import Image

    sheet = r.Sheet(16)
    plan = RestorePlan((25.0,), (10,), (2,), True)
    r.evaluate_restore(folder, {"as it is": r.untouched}, plan, lambda m, c: c.scale == 1, sheet=sheet)
    sheet.write(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.size == (2 * (32 + 4), 3 * (32 + 20))
        # the clean row: what came is the reference
        pixels = np.asarray(drawn)
    top = 2 * 52 + 20
    np.testing.assert_array_equal(pixels[top : top + 32, :32], pixels[top : top + 32, 36:68])


def test_an_empty_sheet_is_refused(tmp_path):
    with pytest.raises(OptionError, match="no method"):
        r.Sheet().write(tmp_path / "sheet.png")


def test_what_the_command_does_leaves_a_clean_picture_alone_and_cleans_a_noisy_one():
    y, x = np.mgrid[:96, :128]
    plane = (0.5 + 0.25 * np.sin(x / 17.0) * np.cos(y / 13.0)).astype(np.float32)
    clean = np.round(np.repeat(plane[..., None], 3, 2) * 255).astype(np.float32) / 255
    rng = np.random.default_rng(3)
    noisy = (clean + rng.normal(0, 25 / 255, clean.shape)).astype(np.float32)
    method = r.as_the_command()
    kept, _ = method(r.Case("clean", clean, clean))
    np.testing.assert_array_equal(kept, clean)
    cleaned, sigma = method(r.Case("sigma 25", noisy, clean))
    assert sigma is not None
    assert np.square(cleaned - clean).mean() < 0.1 * np.square(noisy - clean).mean()


def invoke(*arguments):
    from typer.testing import CliRunner

    from tratto.cli.main import app

    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_has_a_row_of_the_network_for_compression_alone(folder, tmp_path):
    asked = ["--sigma", 25, "--quality", 10, "--provider", "tratto"]
    done = invoke("eval", "restore", folder, *asked, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    found = {(row["case"], row["method"]): row["psnr"] for row in rows}
    assert ("jpeg 10", "tratto x1, network=jpeg") in found
    assert not any("network=jpeg" in method and "jpeg" not in case for case, method in found)
    assert (tmp_path / "out" / "sheet.png").is_file()


def test_a_provider_that_would_have_no_row_is_refused(folder):
    done = invoke("eval", "restore", folder, "--sigma", 15, "--scale", 2, "--provider", "bicubic", "--provider", "nlm")
    assert (
        "bicubic has no rows at x1: it only enlarges.\nnlm has no rows at x2: it does not enlarge by 2." in done.output
    )
    done = invoke("eval", "restore", folder, "--sigma", 15, "--provider", "bicubic")
    assert done.exit_code == 2
    assert "--scale 2" in done.stderr


def test_small_pictures_with_noise_or_blocks_are_cases_of_their_own():
    assert [s.label for s in r.SMALL] == ["x2 sigma 15", "x4 jpeg 40"]
    assert r.Small.parse("x3+JPEG20") == r.Small(3, quality=20)
    for text in ("x2", "x2+sigma", "x9+sigma5", "sigma5", "x2+jpeg200", "x2+sigma0"):
        with pytest.raises(OptionError):
            r.Small.parse(text)
    picture = np.random.default_rng(0).random((50, 42, 3), dtype=np.float32)
    plan = RestorePlan((), (), (2,), False, small=(r.Small(2, sigma=15.0), r.Small(4, quality=40)))
    assert plan.all_scales == (2, 4)
    clean, noisy, blocky = r.cases_of(picture, False, plan)
    assert noisy.source.shape == (25, 21, 3)
    assert noisy.target.shape == (50, 42, 3)
    assert (noisy.source - clean.source).std() == pytest.approx(15 / 255, rel=0.05)
    assert blocky.source.shape == (12, 10, 3)
    assert (blocky.quality, blocky.sigma, blocky.scale) == (40, None, 4)


def test_methods_run_on_the_cases_they_are_meant_for():
    from tratto_lab.evaluation import restore_methods as m

    picture = np.zeros((32, 32, 3), np.float32)
    plan = RestorePlan((25.0,), (10,), (2,), True, small=(r.Small(2, sigma=15.0), r.Small(2, quality=40)))
    cases = list(r.cases_of(picture, False, plan))
    labels = ["sigma 25", "jpeg 10", "clean", "x2", "x2 sigma 15", "x2 jpeg 40"]
    assert [c.label for c in cases] == labels
    entries = m.choose_methods(["auto", "nlm", "tratto", "bicubic"], plan, bm3d=True)
    ran = {name: [c.label for c in cases if entry.suits(c)] for name, entry in entries.items()}
    one, two = labels[:3], labels[3:]
    assert ran == {
        "as it is": one,
        "bicubic": two,
        "tratto restore": labels,
        "nlm x1": ["sigma 25"],
        "tratto x1": one,
        "tratto x2": two,
        "tratto x1, network=jpeg": ["jpeg 10"],
        "bicubic x2": two,
        "BM3D (told)": ["sigma 25"],
    }
    assert m.missing_rows(["nlm", "bicubic", "auto"], plan) == (
        "nlm has no rows at x2: it does not enlarge by 2.",
        "bicubic has no rows at x1: it only enlarges.",
    )
    with pytest.raises(OptionError, match="3"):
        m.choose_methods(["auto"], RestorePlan((), (), (3,)))


def test_further_measures_are_rows_and_columns(folder):
    far = {"mean": lambda a, b: float(np.abs(a - b).mean())}
    plan = RestorePlan(sigmas=(25.0,), qualities=(), clean=False, limit=2)
    report = evaluate_restore(folder, {"none": r.untouched}, plan, measures=far)
    # the mean of a normal error's modulus is its sigma times the root of 2 / pi
    assert report.rows[0].measures["mean"] == pytest.approx(25 / 255 * math.sqrt(2 / math.pi), rel=0.05)
    assert "| SSIM | mean | s / output MP |" in to_markdown(report)
    tiny = r.measured(far, np.zeros((20, 40, 3), np.float32), np.zeros((20, 40, 3), np.float32))
    assert tiny == {}


@pytest.mark.parametrize("small", [r.Small(2, sigma=15.0), r.Small(4, quality=20)])
def test_the_command_cleans_a_small_picture_before_it_enlarges_it(small):
    """Against enlarging it as it is, by the network that enlarges."""
    from tratto.providers.catalogue import open_provider

    y, x = np.mgrid[:192, :256]
    plane = (0.5 + 0.25 * np.sin(x / 17.0) * np.cos(y / 13.0)).astype(np.float32)
    clean = np.repeat(plane[..., None], 3, 2)
    (case,) = r.cases_of(clean, False, RestorePlan((), (), (), False, small=(small,)))
    chained, _ = r.as_the_command()(case)
    bare, _ = r.restorer_method(open_provider("restorer", "span", scale=small.scale))(case)
    assert r.measure(case, chained)[0] > r.measure(case, bare)[0] + 1
