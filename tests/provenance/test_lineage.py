"""The chain of results that a source was made from: what a receipt names, what verify answers, what a report shows."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

import tratto
from tratto.cli.main import app
from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.core.hashing import FileFacts
from tratto.provenance.receipt import validate_receipt
from tratto.provenance.seal import build_seal, read_seal
from tratto.provenance.verify import verify

pytestmark = pytest.mark.usefixtures("key_folder")


def run(*line, code=0):
    done = CliRunner().invoke(app, [str(part) for part in line])
    assert done.exit_code == code, done.output
    return re.sub(r"\s+", " ", done.output)


def receipt_of(picture):
    return json.loads((picture.with_suffix(".tratto") / "receipt.json").read_text())


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def clean(source, out, *more):
    run("restore", source, "-o", out, "--force", "--provider", "nlm", "--sigma", "6", *more)
    return out / source.name if out.suffix == "" else out


@pytest.fixture
def scan(tmp_path):
    return write_scan(tmp_path)


def write_scan(folder):
    rng = np.random.default_rng(0)
    hills = 120 + 60 * np.sin(np.arange(64) / 9)[None, :, None] * np.ones((64, 1, 3))
    Pil.fromarray(np.clip(hills + rng.normal(0, 15, hills.shape), 0, 255).astype(np.uint8)).save(folder / "scan.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[20:26, 10:40] = 255
    Pil.fromarray(mask).save(folder / "mask.png")
    return folder / "scan.png"


@pytest.fixture(scope="module")
def made_three(tmp_path_factory):
    """Folder with what :func:`three` hands out: made once, since no test says anything of the making."""
    folder = tmp_path_factory.mktemp("three")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRATTO_KEYS", str(folder / "keys"))
        source = write_scan(folder)
        run("repair", source, "--mask", folder / "mask.png", "-o", folder / "a")
        clean(folder / "a/scan.png", folder / "b")
        clean(folder / "b/scan.png", folder / "c")
    return folder


@pytest.fixture
def three(made_three, tmp_path):
    """A repaired picture, cleaned, and cleaned again, each in a folder of its own; a copy, to be changed."""
    shutil.copytree(made_three, tmp_path, dirs_exist_ok=True)
    return [tmp_path / f"{name}/scan.png" for name in "abc"]


def states(picture):
    return [("unknown" if link.why else "authentic") for link in verify(picture).chain]


def test_what_was_made_of_an_invention_is_not_for_examination(three, tmp_path):
    for name in "abc":
        assert json.loads(run("audit", tmp_path / name, "--only", "examinable", "--json"))["items"] == [], name
    own = clean(three[0].parent.parent / "scan.png", tmp_path / "own")
    (row,) = json.loads(run("audit", own.parent, "--only", "examinable", "--json"))["items"]
    assert row["invented_before"] is False


def test_the_receipt_names_the_parents(three):
    a, b, c = three
    assert "parents" not in receipt_of(a)["inputs"]["picture"]
    links = receipt_of(c)["inputs"]["picture"]["parents"]
    assert [e["receipt_sha256"] for e in links] == [sha(p.with_suffix(".tratto") / "receipt.json") for p in (b, a)]
    assert [e["output_sha256"] for e in links] == [sha(b), sha(a)]
    assert [(e["task"], e["generative"], e["held"]) for e in links] == [
        ("restore", False, True),
        ("repair", True, True),
    ]
    kept = sorted(p.stem for p in (c.with_suffix(".tratto") / "parents").iterdir())
    assert kept == sorted(e["receipt_sha256"] for e in links)


def test_verify_and_the_report_show_the_chain(three, tmp_path):
    c = three[2]
    verdict = verify(c)
    assert verdict.word == "authentic"
    assert states(c) == ["authentic", "authentic"]
    told = run("verify", c)
    assert "2 links" in told
    assert "link 2 (repair)" in told
    found = json.loads(CliRunner().invoke(app, ["verify", str(c), "--json"]).output)
    assert [(e["link"], e["task"], e["verdict"]) for e in found["chain"]] == [
        (1, "restore", "authentic"),
        (2, "repair", "authentic"),
    ]
    page = (c.with_suffix(".tratto") / "report.html").read_text()
    assert [f"picture, {n} of 2" in page for n in (1, 2, 3)] == [True, True, False]
    assert "What the source was made from" not in (three[0].with_suffix(".tratto") / "report.html").read_text()
    run("report", c, "-o", tmp_path / "r.pdf")
    assert tratto.replay(c).tier == "A"
    assert tratto.revert(c, tmp_path / "back.png").read_bytes() == three[1].read_bytes()


@pytest.mark.parametrize(
    ("number", "harm"), [(0, "gone"), (1, "gone"), (1, "another"), (1, "empty"), (0, "flipped"), (1, "link")]
)
def test_a_broken_link_is_unknown_and_nothing_else(three, number, harm, tmp_path):
    c = three[2]
    links = receipt_of(c)["inputs"]["picture"]["parents"]
    folder = c.with_suffix(".tratto") / "parents"
    file, other = (folder / f"{links[k]['receipt_sha256']}.json" for k in (number, 1 - number))
    data = file.read_bytes()
    file.unlink()
    if harm == "another":
        file.write_bytes(other.read_bytes())
    elif harm == "empty":
        file.write_bytes(b"")
    elif harm == "flipped":
        file.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    elif harm == "link":
        # a link in a bundle is against its rules wherever it stands
        file.symlink_to(other)
        assert verify(c).word == "altered"
        return
    verdict = verify(c)
    assert verdict.word == "authentic", verdict.reasons
    expected = ["authentic", "authentic"]
    expected[number] = "unknown"
    assert states(c) == expected
    assert f"link {number + 1} " in " ".join(verdict.reasons)
    assert "1 there and authentic, 1 unknown" in run("verify", c)


def test_the_whole_folder_may_be_left_out_and_is_looked_for_beside_it(three, tmp_path):
    c = three[2]
    shutil.rmtree(c.with_suffix(".tratto") / "parents")
    assert verify(c).word == "authentic"
    assert states(c) == ["unknown", "unknown"]
    for n, p in enumerate(three[:2]):
        shutil.copytree(p.with_suffix(".tratto"), tmp_path / f"c/{n}.tratto")
    assert states(c) == ["authentic", "authentic"]


def test_a_chain_that_was_broken_before_is_told_as_such(three, tmp_path):
    b = three[1]
    shutil.rmtree(b.with_suffix(".tratto") / "parents")
    d = clean(b, tmp_path / "d")
    assert [e["held"] for e in receipt_of(d)["inputs"]["picture"]["parents"]] == [True, False]
    assert states(d) == ["authentic", "unknown"]
    assert "not at hand when this work was done: unknown" in (d.with_suffix(".tratto") / "report.html").read_text()
    # and what is known of it still warns
    assert any("not for examination" in w for w in receipt_of(d)["warnings"])


def test_warned_of_is_a_generative_step_only_through_formats_that_carry_no_xmp(three, scan, tmp_path):
    a, _, c = three
    bare = clean(a, tmp_path / "d/scan.bmp", "--strip-metadata")
    last = clean(bare, tmp_path / "e/scan.png")
    for made in (c, last):
        (told,) = [w for w in receipt_of(made)["warnings"] if "not for examination" in w]
        assert "picture (repair)" in told
    plain = clean(clean(scan, tmp_path / "f"), tmp_path / "g")
    assert len(receipt_of(plain)["inputs"]["picture"]["parents"]) == 1
    assert not [w for w in receipt_of(plain)["warnings"] if "examination" in w or "machine" in w]


def test_a_renamed_a_linked_and_a_signed_parent_are_found(scan, tmp_path):
    run("keys", "new")
    a = clean(scan, tmp_path / "a")
    a.rename(tmp_path / "a/other.png")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/linked.png").symlink_to(tmp_path / "a/other.png")
    for k, source in enumerate((tmp_path / "a/other.png", tmp_path / "here/linked.png")):
        b = clean(source, tmp_path / f"b{k}")
        assert states(b) == ["authentic"]
        assert receipt_of(b)["inputs"]["picture"]["parents"][0]["output_sha256"] == sha(tmp_path / "a/other.png")


def test_no_link_without_evidence(scan, tmp_path):
    a = clean(scan, tmp_path / "a")
    shutil.copy(scan, tmp_path / "a/scan.jpg.png")  # beside a bundle, and not its picture
    moved = tmp_path / "moved.png"
    shutil.copy(a, moved)
    for k, source in enumerate((tmp_path / "a/scan.jpg.png", moved)):
        assert "parents" not in receipt_of(clean(source, tmp_path / f"b{k}"))["inputs"]["picture"]
    assert "parents" not in tratto.restore(a.read_bytes(), force=True).receipt["inputs"]["picture"]
    # a bundle that seals it, and whose receipt is another one: no link, and it is said
    (tmp_path / "a/scan.tratto/receipt.json").write_bytes(b"{}")
    receipt = receipt_of(clean(a, tmp_path / "c"))
    assert "parents" not in receipt["inputs"]["picture"]
    assert any("no link" in w for w in receipt["warnings"])


def test_a_second_input_has_its_chain_too(scan, tmp_path):
    paper = clean(scan, tmp_path / "a")
    made = tratto.recolor(scan, mask=tmp_path / "mask.png", texture=paper)
    assert "parents" not in made.receipt["inputs"]["picture"]
    tratto.save(made, tmp_path / "out/scan.png", source=scan)
    (link,) = verify(tmp_path / "out/scan.png").chain
    assert (link.role, link.number, link.why) == ("texture", 1, "")


def resealed(picture, receipt):
    bundle = picture.with_suffix(".tratto")
    data = canonical.dumps(receipt)
    _, output, files = read_seal((bundle / "seal.json").read_bytes())
    (bundle / "receipt.json").write_bytes(data)
    (bundle / "seal.json").write_bytes(canonical.dumps(build_seal(FileFacts.of(data), output, files)))


@pytest.mark.parametrize(
    "change",
    [
        {"generative": False},
        {"task": "recolor"},
        {"output_sha256": "0" * 64},
        {"receipt_sha256": "0" * 64},
    ],
)
def test_a_forged_statement_of_a_link_breaks_it(three, change):
    c = three[2]
    receipt = receipt_of(c)
    receipt["inputs"]["picture"]["parents"][1].update(change)
    resealed(c, receipt)
    verdict = verify(c, deep=False)
    assert verdict.word == "authentic"
    assert verdict.chain[1].why
    # what the receipt at hand says counts, not what is said of it
    assert verdict.chain[1].generative is True


def test_dropping_a_link_from_the_middle_is_noticed(three):
    c = three[2]
    receipt = receipt_of(c)
    del receipt["inputs"]["picture"]["parents"][1]
    resealed(c, receipt)
    (link,) = verify(c, deep=False).chain
    assert "another chain" in link.why


@pytest.mark.parametrize("wrong", [[], [{}], "x", None, [1], 5, [{"receipt_sha256": "../../x"}]])
def test_parents_of_a_wrong_form_are_refused(three, wrong):
    receipt = receipt_of(three[2])
    receipt["inputs"]["picture"]["parents"] = wrong
    with pytest.raises(ReceiptError):
        validate_receipt(receipt)


def test_a_chain_is_cut_at_its_bound(scan, tmp_path, monkeypatch):
    monkeypatch.setattr("tratto.provenance.lineage.MOST_LINKS", 2)
    source = scan
    for k in range(4):
        source = clean(source, tmp_path / str(k))
    assert len(receipt_of(source)["inputs"]["picture"]["parents"]) == 2
    assert states(source) == ["authentic", "authentic"]
