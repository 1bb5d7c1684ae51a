import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core.errors import OutputError, ReceiptError
from tratto.core.hashing import FileFacts
from tratto.core.image import Mask
from tratto.imaging import io
from tratto.provenance import bundle as b
from tratto.provenance.bundle import bundle_path, open_account, revert
from tratto.provenance.receipt import array_digest, read_receipt
from tratto.provenance.seal import read_seal
from tratto.provenance.verify import verify


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def test_what_lies_in_a_bundle(make_bundle):
    made = make_bundle()
    assert listing(made.bundle) == [
        "confidence.png", "edit-map.png", "observed.json", "original.png", "receipt.json", "report.html", "seal.json",
    ]  # fmt: skip
    assert listing(made.output.parent) == ["photo.png", "photo.tratto"]
    receipt = read_receipt((made.bundle / "receipt.json").read_bytes())
    assert receipt == made.receipt
    assert receipt["outputs"]["picture"]["file"]["sha256"] == FileFacts.of(made.output.read_bytes()).sha256
    assert receipt["outputs"]["picture"]["file"]["format"] == "png"
    sealed_receipt, sealed_output, files = read_seal((made.bundle / "seal.json").read_bytes())
    assert sealed_receipt == FileFacts.of((made.bundle / "receipt.json").read_bytes())
    assert sealed_output == FileFacts.of(made.output.read_bytes())
    others = [n for n in listing(made.bundle) if n not in ("receipt.json", "seal.json")]
    assert files == {n: FileFacts.of((made.bundle / n).read_bytes()) for n in others}
    assert (made.bundle / "original.png").read_bytes() == made.input.read_bytes()
    observed = json.loads((made.bundle / "observed.json").read_bytes())
    assert observed["input_name"] == "input.png"
    assert observed["steps"] == [{"seconds": 0.25, "tiles": 4}]


def test_maps_come_back(make_bundle):
    made = make_bundle(orientation=6, masked=True)
    for name, want in (("edit-map.png", made.result.edit_map), ("confidence.png", made.result.confidence)):
        image = io.read_image(made.bundle / name)
        np.testing.assert_array_equal(image.pixels, want)
        assert image.meta.orientation == 6


def test_private_bundle(make_bundle):
    made = make_bundle(save={"keep_original": False, "strip_metadata": True})
    assert listing(made.bundle) == ["confidence.png", "edit-map.png", "receipt.json", "report.html", "seal.json"]
    for path in made.bundle.iterdir():
        assert b"input.png" not in path.read_bytes()
    assert verify(made.output).word == "authentic"
    with pytest.raises(ReceiptError, match="without the original"):
        revert(made.output, made.output.parent / "back.png")


def test_written_again_over_an_old_bundle(make_bundle):
    first = make_bundle()
    old = (first.bundle / "receipt.json").read_bytes()
    second = make_bundle(generative=True, save={"keep_original": False})
    assert (second.bundle / "receipt.json").read_bytes() != old
    assert "original.png" not in listing(second.bundle)
    assert listing(second.output.parent) == ["photo.png", "photo.tratto"]
    assert verify(second.output).word == "authentic"


@pytest.mark.parametrize("stage", ["report", "commit", "interrupt"])
def test_a_failure_leaves_the_old_pair_whole(make_bundle, monkeypatch, stage):
    first = make_bundle()
    before = {p: p.read_bytes() for p in [first.output, *first.bundle.iterdir()]}

    def fail(*args, **kwargs):
        raise KeyboardInterrupt if stage == "interrupt" else OSError(28, "No space left on device")

    if stage == "report":
        monkeypatch.setattr("tratto.provenance.report.render_report", fail)
    else:
        real = os.replace
        monkeypatch.setattr(os, "replace", lambda a, b: fail() if Path(b) == first.output else real(a, b))
    with pytest.raises(KeyboardInterrupt if stage == "interrupt" else OutputError):
        make_bundle(generative=True)
    left = {p: p.read_bytes() for p in [first.output, *first.bundle.iterdir()]}
    assert left == before
    hidden = [n for n in listing(first.output.parent) if n.startswith(".photo.") and n != ".photo.part"]
    assert hidden == []


def test_a_folder_that_is_no_bundle_is_never_replaced(make_bundle, tmp_path):
    folder = tmp_path / "out" / "photo.tratto"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="thesis"):
        make_bundle()
    assert (folder / "thesis.txt").read_text() == "years of work"
    (folder / "thesis.txt").unlink()
    folder.rmdir()
    folder.write_text("a file")
    with pytest.raises(OutputError, match="in the way"):
        make_bundle()


def test_input_that_changed_meanwhile_is_noticed(make_bundle, make_result, tmp_path):
    result, source = make_result()
    output = tmp_path / "photo.png"
    io.write_image(result.image, output, "png")
    source.write_bytes(source.read_bytes() + b"x")
    with pytest.raises(ReceiptError, match="changed while"):
        b.write_bundle(b.BundleParts(result, output, output, original=source, original_name=source.name))
    assert not bundle_path(output).exists()


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ({}, "photo.png"),
        ({"input_format": "jpeg"}, "photo.png"),
        ({"input_format": "tiff", "bits": 16, "scale": 2}, "photo.tif"),
        ({"input_format": "webp", "masked": True}, "photo.webp"),
        ({"changed": False, "alpha": True}, "a.b c.png"),
    ],
)
def test_revert_gives_the_exact_bytes(make_bundle, tmp_path, job, name):
    made = make_bundle(name, **job)
    for i, start in enumerate([made.output, made.bundle, made.bundle / "receipt.json"]):
        back = revert(start, tmp_path / f"back{i}")
        assert back.read_bytes() == made.input.read_bytes()
    into = tmp_path / "folder"
    into.mkdir()
    assert revert(made.output, into).name.startswith("original.")
    assert [n for n in listing(tmp_path) if n.endswith(".part")] == []


def test_revert_never_overwrites(make_bundle, tmp_path):
    made = make_bundle()
    there = tmp_path / "there"
    there.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        revert(made.output, there)
    assert there.read_bytes() == b"mine"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="exists"):
        revert(made.output, tmp_path / "dangling")
    with pytest.raises(OutputError, match="cannot be written"):
        revert(made.output, tmp_path / "no" / "folder")


def test_revert_refuses_an_altered_original(make_bundle, tmp_path):
    made = make_bundle()
    data = bytearray((made.bundle / "original.png").read_bytes())
    data[len(data) // 2] ^= 4
    (made.bundle / "original.png").write_bytes(data)
    with pytest.raises(ReceiptError, match="altered"):
        revert(made.output, tmp_path / "back")
    (made.bundle / "original.png").write_bytes(bytes(data) + b"more")
    with pytest.raises(ReceiptError, match="than the stated"):
        revert(made.output, tmp_path / "back")
    assert "back" not in listing(tmp_path)


def hostile_link(folder, secret):
    (folder / "original.png").unlink()
    (folder / "original.png").symlink_to(secret)


def hostile_pipe(folder, secret):
    (folder / "original.png").unlink()
    os.mkfifo(folder / "original.png")


def hostile_folder(folder, secret):
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()


def hostile_name(folder, secret):
    seal = json.loads((folder / "seal.json").read_bytes())
    seal["files"]["../../secret"] = seal["files"].pop("report.html")
    (folder / "seal.json").write_bytes(json.dumps(seal, sort_keys=True, separators=(",", ":")).encode())


def hostile_giant_receipt(folder, secret):
    with open(folder / "receipt.json", "wb") as f:
        f.truncate(1 << 40)


def hostile_giant_seal(folder, secret):
    with open(folder / "seal.json", "wb") as f:
        f.truncate(1 << 40)


def hostile_deep_receipt(folder, secret):
    (folder / "receipt.json").write_bytes(b"[" * 1_000_000)


def hostile_extra(folder, secret):
    (folder / "run.sh").write_text("rm -rf /")


def hostile_no_seal(folder, secret):
    (folder / "seal.json").unlink()


HOSTILE = [
    hostile_link, hostile_pipe, hostile_folder, hostile_name, hostile_giant_receipt, hostile_giant_seal,
    hostile_deep_receipt, hostile_extra, hostile_no_seal,
]  # fmt: skip


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_bundles(make_bundle, tmp_path, attack):
    made = make_bundle()
    secret = tmp_path / "secret"
    secret.write_bytes(b"do not copy")
    attack(made.bundle, secret)
    with pytest.raises(ReceiptError):
        revert(made.output, tmp_path / "back")
    with pytest.raises(ReceiptError):
        open_account(made.output)
    assert not (tmp_path / "back").exists()
    verdict = verify(made.output)
    assert (verdict.word, verdict.exit_code) == ("altered", 9)


def test_a_bundle_that_is_a_link(make_bundle, tmp_path):
    made = make_bundle()
    moved = tmp_path / "elsewhere.tratto"
    made.bundle.rename(moved)
    made.bundle.symlink_to(moved)
    with pytest.raises(ReceiptError, match="symbolic link"):
        revert(made.output, tmp_path / "back")


def test_account_for_replay(make_bundle, tmp_path):
    made = make_bundle(masked=True)
    for start in (made.output, made.bundle, made.bundle / "receipt.json"):
        account = open_account(start)
        assert account.receipt == made.receipt
        assert account.original.read_bytes() == made.input.read_bytes()
        np.testing.assert_array_equal(account.mask, made.result.mask.values)
        assert account.mask.dtype == np.float32
        assert account.output == made.output.absolute()
    alone = tmp_path / "lone.json"
    alone.write_bytes((made.bundle / "receipt.json").read_bytes())
    account = open_account(alone)
    assert (account.receipt, account.original, account.mask, account.output) == (made.receipt, None, None, None)
    made.output.write_bytes(b"another")
    assert open_account(made.bundle).output is None


def test_replay_refuses_another_mask(make_bundle):
    made = make_bundle(masked=True)
    other = np.zeros((48, 64), np.uint16)
    io.encode_png16_gray(made.bundle / "mask.png", other, {}, 1)
    with pytest.raises(ReceiptError, match="mask"):
        open_account(made.bundle)


def test_the_hash_of_a_mask_is_computed_as_the_documents_say(make_bundle):
    """With nothing but the PNG and the standard library's hash: float32, value / 65535, little-endian."""
    made = make_bundle(masked=True)
    values = np.asarray(Pil.open(made.bundle / "mask.png")).astype(np.uint16)
    samples = (values.astype("<f4") / np.float32(65535)).astype("<f4").tobytes()
    stated = made.receipt["mask"]
    assert hashlib.sha256(b"tratto/array/1 float32 48x64\n" + samples).hexdigest() == stated["samples_sha256"]
    assert stated["covered"] == 22 * 16 / (48 * 64)
    edits = np.asarray(Pil.open(made.bundle / "edit-map.png")).astype("<u2").tobytes()
    stated = made.receipt["outputs"]["picture"]["maps"]["edit"]
    assert hashlib.sha256(b"tratto/array/1 uint16 48x64\n" + edits).hexdigest() == stated["samples_sha256"]


def test_a_mask_that_16_bit_cannot_hold_is_refused(make_result, tmp_path):
    result, _ = make_result(masked=True)
    values = result.mask.values.copy()
    values[0, 0] = 1e-6
    odd = type(result)(**{**{f: getattr(result, f) for f in result.__dataclass_fields__}, "mask": Mask(values)})
    odd.receipt["mask"]["samples_sha256"] = array_digest(values)
    output = tmp_path / "p.png"
    io.write_image(odd.image, output, "png")
    with pytest.raises(ReceiptError, match="65535ths"):
        b.write_bundle(b.BundleParts(odd, output, output))
    assert not bundle_path(output).exists()


@pytest.mark.parametrize(
    ("name", "format_name", "want"),
    [
        ("x.JPG", "jpeg", "original.jpg"),
        ("x.jpeg", "jpeg", "original.jpeg"),
        ("noending", "tiff", "original.tif"),
        ("evil.sh", "png", "original.png"),
        ("../../x.png/..", "webp", "original.webp"),
    ],
)
def test_name_of_the_original(name, format_name, want):
    assert b.original_name(name, format_name) == want


def test_bundle_path():
    assert bundle_path(Path("out/a.b.png")) == Path("out/a.b.tratto")
