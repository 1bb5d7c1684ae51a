"""Papers of a museum or a laboratory: what is stated stands in the receipt, the report and the PDF, sealed."""

import html
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pypdfium2
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core.errors import OptionError
from tratto.core.options import BadOptions, Papers
from tratto.jobs.papers import CaseFiles
from tratto.provenance.printing import printed

STATED = Papers("A. Person", "Inv. 12", "loan to a show", "second treatment", "2026-03-01")
MAGICK = next((m for m in ("magick", "/usr/bin/convert") if shutil.which(m)), None)


def noisy(path, seed=0, size=(60, 80)):
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    Pil.fromarray(np.clip(120 + rng.normal(0, 20, (*size, 3)), 0, 255).astype(np.uint8)).save(path)
    return path


def ran(*words, code=0):
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == code, result.output
    return result


def stated_in(bundle):
    return {s["kind"]: s["text"] for s in json.loads((bundle / "receipt.json").read_text())["statements"]}


def test_what_is_stated_is_sealed_and_printed(tmp_path):
    noisy(tmp_path / "a.png")
    flags = [
        "--operator",
        "A.  Person",
        "--object",
        "Inv. 12",
        "--reason",
        "loan to a show",
        "--note",
        "second treatment",
    ]
    ran(
        "restore",
        tmp_path / "a.png",
        "-o",
        tmp_path / "out",
        "--force",
        "--provider",
        "nlm",
        *flags,
        "--date",
        "2026-03-01",
    )
    bundle = tmp_path / "out/a.tratto"
    assert stated_in(bundle) == {s["kind"]: s["text"] for s in STATED.statements()}
    assert tratto.verify(bundle).word == "authentic"
    assert tratto.replay(bundle).tier == "A"
    page = (bundle / "report.html").read_text()
    document = pypdfium2.PdfDocument(printed(bundle))
    sheet = " ".join(document[0].get_textpage().get_text_range().split())
    for text in stated_in(bundle).values():
        assert text in page
        assert text in sheet
    assert "Nobody checked" not in page  # papers are no statements of others
    receipt = bundle / "receipt.json"
    receipt.write_text(receipt.read_text().replace("Inv. 12", "Inv. 13"))
    assert tratto.verify(bundle).word == "altered"


def test_papers_have_a_day_and_a_receipt_without_them_has_none(tmp_path):
    noisy(tmp_path / "a.png")
    work = ["restore", tmp_path / "a.png", "--force", "--provider", "nlm", "-o"]
    ran(*work, tmp_path / "one")
    ran(*work, tmp_path / "two", "--operator", "A. Person")
    assert stated_in(tmp_path / "one/a.tratto") == {}
    day = stated_in(tmp_path / "two/a.tratto")["date"]
    assert Papers(date=day).date == day


def test_from_python(tmp_path):
    session = tratto.Session(papers=STATED)
    result = tratto.restore(np.full((40, 40, 3), 90, np.uint8), session=session)
    assert [s["kind"] for s in result.receipt["statements"]] == ["date", "operator", "object", "reason", "note"]
    assert {s["by"] for s in result.receipt["statements"]} == {"A. Person"}


def test_a_file_for_a_folder(tmp_path):
    for name in ("a.png", "b.png", "sub/c.png"):
        noisy(tmp_path / "in" / name)
    (tmp_path / "in/case.toml").write_text(
        'operator = "A. Person"\nobject = "Inv. 1"\ndate = 2026-03-01\n'
        '[pictures."b.*"]\nobject = "Inv. 2"\nnote = "front"\n'
    )
    (tmp_path / "in/sub/case.toml").write_text('object = "Inv. 3"\n')
    result = ran("restore", tmp_path / "in", "-o", tmp_path / "out", "--reason", "loan", "--dry-run", "--json")
    assert result.stderr.count("case.toml") == 2
    told = {outcome["source"].rpartition("/")[2]: outcome["papers"] for outcome in json.loads(result.stdout)}
    common = {"operator": "A. Person", "reason": "loan", "date": "2026-03-01"}
    assert told == {
        "a.png": {**common, "object": "Inv. 1", "note": ""},
        "b.png": {**common, "object": "Inv. 2", "note": "front"},
        "c.png": {**common, "object": "Inv. 3", "note": ""},
    }
    (tmp_path / "other.toml").write_text('object = "Inv. 9"\n')
    result = ran(
        "restore", tmp_path / "in", "-o", tmp_path / "out", "--case", tmp_path / "other.toml", "--dry-run", "--json"
    )
    assert {outcome["papers"]["object"] for outcome in json.loads(result.stdout)} == {"Inv. 9"}


def test_files_above_the_folder_are_not_looked_at(tmp_path):
    picture = noisy(tmp_path / "top/in/a.png")
    (tmp_path / "top/case.toml").write_text('object = "Inv. 1"\n')
    assert CaseFiles(Papers()).of(picture, tmp_path / "top/in") == Papers()
    assert CaseFiles(STATED).of(picture, tmp_path / "top").object == "Inv. 12"


@pytest.mark.parametrize(
    "text",
    [
        'operater = "A"',
        "object = 12",
        'date = "March"',
        'pictures = "a.png"',
        '[pictures."z.png"]\ncolour = "x"',
        "object =",
    ],
)
def test_a_file_that_is_wrong_stops_all(tmp_path, text):
    noisy(tmp_path / "in/a.png")
    (tmp_path / "in/case.toml").write_text(text)
    result = CliRunner().invoke(app, ["restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")])
    assert result.exit_code in (2, 3)
    assert "case.toml" in result.output
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there(tmp_path):
    noisy(tmp_path / "a.png")
    ran("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--case", tmp_path / "no.toml", code=3)


@pytest.mark.parametrize(
    "given",
    [
        {"date": "2026-02-30"},
        {"date": "1.3.2026"},
        {"date": "20260301"},
        {"date": "2026-W09-7"},
        {"operator": "a\x1b[31m"},
        {"object": "x" * 201},
        {"note": 3},
    ],
)
def test_what_is_no_paper(given):
    with pytest.raises(BadOptions) as told:
        Papers(**given)
    assert ("YYYY-MM-DD" in str(told.value)) == ("date" in given)


# ---------------------------------------------------------------------------------------------------- numbers and proof


@pytest.fixture
def repaired(tmp_path):
    noisy(tmp_path / "a.png", size=(120, 160))
    mask = np.zeros((120, 160), np.uint8)
    mask[10:40, 20:60] = 255
    mask[80:100, 120:130] = 255
    Pil.fromarray(mask).save(tmp_path / "mask.png")
    ran(
        "repair",
        tmp_path / "a.png",
        "--mask",
        tmp_path / "mask.png",
        "-o",
        tmp_path,
        "--method",
        "telea",
        "--keep-extension",
    )
    return tmp_path / "a.png.png"


def numbered_picture(bundle):
    page = (bundle / "report.html").read_text()
    data = re.search(r'base64,([^"]*)" alt="The result with its regions numbered"', page).group(1)
    import base64

    return np.asarray(Pil.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)


def test_regions_are_numbered_on_the_picture(repaired):
    shown = numbered_picture(repaired.with_suffix(".tratto"))
    frame = np.abs(shown - (143, 45, 18)).max(axis=-1) < 60
    # columns and rows just outside of the regions hold their frames
    assert frame[10:40, 19].mean() > 0.9
    assert frame[10:40, 60].mean() > 0.9
    assert frame[9, 30:60].mean() > 0.9
    assert frame[80:100, 119].mean() > 0.9
    assert frame[60:70].mean() < 0.1


def test_no_change_outside_the_mask_is_shown_without_tratto(repaired):
    page = (repaired.with_suffix(".tratto") / "report.html").read_text()
    line = html.unescape(re.search(r"<pre>(magick .*?)</pre>", page, re.DOTALL).group(1))
    assert "a.png.tratto/mask.png" in line
    assert "Get-FileHash" in page
    if MAGICK is None:
        pytest.skip("ImageMagick is not here")

    def largest():
        command = line.replace("magick", MAGICK, 1)
        done = subprocess.run(command, shell=True, cwd=repaired.parent, capture_output=True, text=True, check=True)
        return float(done.stdout)

    assert largest() == 0
    pixels = np.asarray(Pil.open(repaired)).copy()
    pixels[5, 5, 0] ^= 1
    Pil.fromarray(pixels).save(repaired)
    assert largest() == pytest.approx(1 / 255, abs=1e-4)


def test_a_restoration_without_a_mask_has_no_such_line(tmp_path):
    noisy(tmp_path / "a.png")
    ran("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--force", "--provider", "nlm")
    assert "magick" not in (tmp_path / "out/a.tratto/report.html").read_text()


def test_errors_of_a_case_file_are_those_of_options(tmp_path):
    (tmp_path / "case.toml").write_text("operator = 3")
    with pytest.raises(OptionError):
        CaseFiles(Papers()).of(tmp_path / "a.png", tmp_path)
