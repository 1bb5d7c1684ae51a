"""The folders in a bundle, ``inputs`` and ``outputs``: what may stand there, and what is noticed."""

import copy
import hashlib
import io as streams
import json
import os
import zlib

import numpy as np
import pytest
from PIL import Image as Pil

from tratto.core import canonical
from tratto.core.artifact import InputPicture
from tratto.core.errors import OutputError, ReceiptError
from tratto.core.hashing import FileFacts
from tratto.imaging import io
from tratto.provenance.audit import _fingerprint
from tratto.provenance.bundle import BundleParts, belongs, files_in, read_bundle, recover, write_bundle
from tratto.provenance.printing import printed
from tratto.provenance.receipt import InputFacts, validate_receipt
from tratto.provenance.seal import build_seal
from tratto.provenance.verify import verify


@pytest.fixture
def bundle(make_result, tmp_path):
    """A result that was given a texture from a file and a character as an array."""

    def make(name="photo.png", **parts):
        result, source = make_result()
        paper = np.random.default_rng(5).integers(0, 256, (9, 14, 3)).astype(np.uint8)
        Pil.fromarray(paper).save(tmp_path / "paper.png")
        given = InputPicture(io.read_image(tmp_path / "paper.png"), tmp_path / "paper.png")
        drawn = InputPicture(io.image_from_array(paper[::-1].copy()))
        receipt = copy.deepcopy(result.receipt)
        for role, one in (("texture", given), ("character", drawn)):
            facts = None if one.file is None else FileFacts.of(one.file.read_bytes())
            receipt["inputs"][role] = InputFacts(one.image, io.digest(one.image), 0, facts).to_json()
        validate_receipt(receipt)
        inputs = {**result.inputs, "texture": given, "character": drawn}
        result = type(result)(**{**result.__dict__, "inputs": inputs, "receipt": receipt})
        output = tmp_path / "out" / name
        output.parent.mkdir(exist_ok=True)
        io.write_image(result.image, output, "png")
        write_bundle(
            BundleParts(result, output, output, "png", original=source, original_name=source.name, **parts),
        )
        return output, output.with_suffix(".tratto")

    return make


def reseal(folder, output, change=None):
    """Seal what lies there now, after a change of the receipt."""
    receipt = json.loads((folder / "receipt.json").read_bytes())
    if change is not None:
        change(receipt)
    (folder / "receipt.json").write_bytes(canonical.dumps(receipt))
    names = [n for n, _ in files_in(folder) if n not in ("receipt.json", "seal.json")]
    facts = {n: FileFacts.of((folder / n).read_bytes()) for n in names}
    seal = build_seal(FileFacts.of((folder / "receipt.json").read_bytes()), FileFacts.of(output.read_bytes()), facts)
    (folder / "seal.json").write_bytes(canonical.dumps(seal))


def reasons(path, word="altered"):
    verdict = verify(path)
    assert verdict.word == word, verdict.reasons
    return " / ".join(verdict.reasons)


def test_what_is_written_is_authentic(bundle):
    output, folder = bundle()
    assert sorted(n for n, _ in files_in(folder) if "/" in n) == ["inputs/character.png", "inputs/texture.png"]
    assert "made again from the receipt, is the same" in reasons(output, "authentic")
    assert read_bundle(folder).in_folder("inputs") == {
        "texture": "inputs/texture.png",
        "character": "inputs/character.png",
    }
    # any file of the bundle stands for it
    assert verify(folder / "inputs" / "texture.png").word == "authentic"


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("inputs/texture.png", True),
        ("inputs/character-2.jpeg", True),
        ("outputs/sheet.png", True),
        ("outputs/scene.ply", True),
        ("original.png", True),
        ("inputs/../seal.json", False),
        ("inputs/a/b.png", False),
        ("inputs/.hidden.png", False),
        ("inputs/Texture.png", False),
        ("inputs/texture.svg", False),
        ("inputs/texture", False),
        ("inputs/texture.png\n", False),
        ("inputs/" + "a" * 41 + ".png", False),
        ("outputs/picture.png", False),
        ("other/texture.png", False),
        ("/inputs/texture.png", False),
        ("inputs", False),
    ],
)
def test_names(name, good):
    assert belongs(name) is good


def test_every_flipped_bit_is_found(bundle):
    output, folder = bundle()
    for path in sorted((folder / "inputs").iterdir()):
        data = path.read_bytes()
        for at in range(0, len(data), max(1, len(data) // 25)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            assert f"inputs/{path.name} is not the one that was sealed" in reasons(output)
        path.write_bytes(data + b"\0")
        assert f"inputs/{path.name} is not the one that was sealed" in reasons(output)
        path.write_bytes(data)
    assert verify(output).word == "authentic"


def test_what_was_added_or_removed_is_named(bundle):
    output, folder = bundle()
    (folder / "inputs" / "mood.png").write_bytes(b"x")
    assert "inputs/mood.png was added" in reasons(output)
    (folder / "inputs" / "mood.png").rename(folder / "inputs" / "mood.exe")
    assert "does not belong" in reasons(output)
    (folder / "inputs" / "mood.exe").unlink()
    (folder / "outputs").mkdir()
    assert verify(output).word == "authentic"  # an empty folder says nothing
    (folder / "outputs" / "sheet.png").write_bytes(b"x")
    assert "outputs/sheet.png was added" in reasons(output)
    (folder / "outputs" / "sheet.png").unlink()
    (folder / "inputs" / "deep").mkdir()
    assert "'inputs/deep'" in reasons(output)
    (folder / "inputs" / "deep").rmdir()
    (folder / "inputs" / "texture.png").unlink()
    assert "inputs/texture.png was removed" in reasons(output)


def test_links_and_pipes_are_not_followed(bundle, tmp_path):
    output, folder = bundle()
    kept = folder / "inputs" / "texture.png"
    kept.rename(tmp_path / "elsewhere.png")
    kept.symlink_to(tmp_path / "elsewhere.png")
    assert "not a plain file" in reasons(output)
    kept.unlink()
    os.mkfifo(kept)
    assert "not a plain file" in reasons(output)
    kept.unlink()
    (tmp_path / "elsewhere.png").rename(kept)
    (folder / "inputs").rename(tmp_path / "moved")
    (folder / "inputs").symlink_to(tmp_path / "moved")
    assert "not a plain folder" in reasons(output)
    with pytest.raises(ReceiptError, match="plain folder"):
        read_bundle(folder)


def test_a_crowd_of_files_is_not_read_through(bundle):
    output, folder = bundle()
    for i in range(100):
        (folder / "inputs" / f"extra-{i}.png").write_bytes(b"x")
    assert "more than 64" in reasons(output)
    assert sum(1 for _ in files_in(folder)) < 80


def test_a_resealed_lie_is_found(bundle):
    zero = "0" * 64

    def lie(change):
        output, folder = bundle()
        reseal(folder, output, change)
        return reasons(output)

    def texture(receipt):
        return receipt["inputs"]["texture"]

    assert "inputs/texture.png" in lie(lambda r: texture(r)["file"].update(sha256=zero))
    assert "samples of texture.png" in lie(lambda r: texture(r).update(samples_sha256=zero))
    assert "another bits than texture.png" in lie(lambda r: texture(r)["picture"].update(bits=16))
    assert "texture.png cannot be decoded" in lie(lambda r: texture(r)["picture"].update(width=3))
    assert "nothing of inputs/texture.png" in lie(lambda r: r["inputs"].pop("texture"))
    assert "samples of character.png" in lie(lambda r: r["inputs"]["character"].update(samples_sha256=zero))


def test_another_wallpaper_of_the_same_name_is_found(bundle):
    output, folder = bundle()
    buffer = streams.BytesIO()
    Pil.fromarray(np.zeros((9, 14, 3), np.uint8)).save(buffer, "png")
    (folder / "inputs" / "texture.png").write_bytes(buffer.getvalue())
    reseal(folder, output)
    assert "different files for inputs/texture.png" in reasons(output)


def test_two_files_of_one_role_are_refused(bundle):
    output, folder = bundle()
    (folder / "inputs" / "texture.jpg").write_bytes((folder / "inputs" / "texture.png").read_bytes())
    reseal(folder, output)
    assert "one file for inputs/texture" in reasons(output)


def bomb(width, height):
    """A PNG of a few kilobytes whose header states a size that would fill the memory."""

    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("stated", "word", "reason"),
    [
        ((14, 9), "altered", "texture.png cannot be decoded as the receipt states"),
        ((60000, 60000), "unknown", "inputs texture is said to have 3600 megapixels"),
    ],
)
def test_a_huge_one_is_refused_before_it_is_decoded(bundle, stated, word, reason):
    output, folder = bundle()
    data = bomb(60000, 60000)
    (folder / "inputs" / "texture.png").write_bytes(data)

    def change(receipt):
        receipt["inputs"]["texture"]["file"] = FileFacts.of(data).to_json()
        receipt["inputs"]["texture"]["picture"].update(width=stated[0], height=stated[1])

    reseal(folder, output, change)
    assert reason in reasons(output, word)


def test_a_size_that_is_only_stated_costs_nothing(bundle, monkeypatch):
    from tratto.provenance import recheck_report

    output, folder = bundle(keep_original=False)
    reseal(folder, output, lambda r: r["inputs"]["texture"]["picture"].update(width=14000, height=14000))
    made = []
    real = recheck_report.allocate
    monkeypatch.setattr(recheck_report, "allocate", lambda shape, dtype: made.append(shape) or real(shape, dtype))
    verify(output)
    assert made
    assert max(np.prod(shape) for shape in made) <= 3 * 1400 * 1400


def test_left_out_is_said(bundle):
    output, folder = bundle(keep_original=False)
    assert not (folder / "inputs").exists()
    words = reasons(output, "authentic")
    assert "no inputs/texture" in words
    assert "holds no inputs/character" in words
    page = (folder / "report.html").read_text()
    assert "--input character=THE-CHARACTER-FILE --input texture=THE-TEXTURE-FILE" in page
    assert printed(output).startswith(b"%PDF")


def test_the_audit_looks_into_the_folders_again(bundle):
    _, folder = bundle()
    before = _fingerprint(folder)
    (folder / "inputs" / "texture.png").write_bytes(b"another")
    assert _fingerprint(folder) != before


def test_the_stand_alone_program_checks_them_too(bundle, tmp_path, monkeypatch):
    pytest.importorskip("cryptography")
    from tratto.ledger import Ledger, keys
    from tratto.provenance import notary, standalone

    monkeypatch.setenv("TRATTO_KEYS", str(tmp_path / "keys"))
    keys.new_key("log", "ledger", "example.org/log")
    Ledger.create(tmp_path / "log", keys.signer("log", "ledger")).close()
    _, folder = bundle()
    notary.record(tmp_path / "log", [folder])
    assert standalone.check_bundle(str(folder))[0] == "example.org/log"
    path = folder / "inputs" / "texture.png"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(standalone.Wrong, match=r"inputs/texture\.png"):
        standalone.check_bundle(str(folder))
    path.write_bytes(path.read_bytes()[:-1])
    seal = json.loads((folder / "seal.json").read_bytes())
    for name in ("inputs/../seal.json", "/inputs/texture.png", "other/texture.png"):
        seal["files"] = {name: seal["files"].popitem()[1]}
        (folder / "seal.json").write_bytes(canonical.dumps(seal))
        with pytest.raises(standalone.Wrong, match="was sealed"):
            standalone.check_bundle(str(folder))


def test_a_stopped_save_with_folders_is_put_right(bundle):
    output, folder = bundle()
    left = folder.with_name(f".photo.{hashlib.sha256(b'photo.tratto').hexdigest()[:12]}-{'a' * 12}.old")
    folder.rename(left)
    recover(output)
    assert verify(output).word == "authentic"
    # what holds anything strange is left alone
    folder.rename(left)
    (left / "inputs" / "notes.txt").write_text("mine")
    recover(output)
    assert (left / "inputs" / "notes.txt").exists()


def test_a_save_does_not_replace_a_folder_with_strange_files(bundle):
    _, folder = bundle()
    (folder / "inputs" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"inputs/notes\.txt"):
        bundle()
    assert (folder / "inputs" / "notes.txt").read_text() == "mine"
