"""Folders with links to themselves, shut sub-folders, names that are not text, consoles that lack letters, no room."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import OutputError
from tratto.imaging import scratch
from tratto.jobs.gather import gather
from tratto.provenance.audit import find_items

CASE = Path(__file__).parent / "cases/png_gama_chrm.png"
BAD = os.fsdecode(b"bad\xff\xe9.png")


def tratto(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def command(*arguments, **environment):
    code = "import sys; from tratto.cli.main import main; sys.exit(main())"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, env=env, check=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(CASE, tmp_path / "in/a.png")
    return tmp_path / "in"


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_a_link_to_itself_is_one_failed_picture(folder, tmp_path):
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "round").symlink_to("round")
    result = tratto("restore", folder, "-o", tmp_path / "out")
    assert result.exit_code == 8
    assert "in a circle" in " ".join(result.output.split())
    assert (tmp_path / "out/a.png").is_file()


def shut(monkeypatch, folder):
    """Make a folder one that may not be read, also to a user who may read everything."""
    scandir, access = os.scandir, os.access

    def refuse(path="."):
        if not isinstance(path, int) and Path(os.fsdecode(path)) == folder:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    def ask(path, mode, **more):
        if not isinstance(path, int) and Path(os.fsdecode(path)) == folder:
            return False
        return access(path, mode, **more)

    monkeypatch.setattr(os, "access", ask)


def test_a_shut_folder_is_told_and_not_passed_over(folder, tmp_path, monkeypatch):
    (folder / "sub").mkdir()
    shutil.copy(CASE, folder / "sub/b.png")
    assert tratto("restore", folder, "-o", tmp_path / "first").exit_code == 0
    shut(monkeypatch, folder / "sub")
    assert folder / "sub" in [s.path for s in gather([str(folder)], None).sources]
    result = tratto("restore", folder, "-o", tmp_path / "out")
    assert result.exit_code == 8
    assert "not be read" in " ".join(result.output.split())
    assert (tmp_path / "out/a.png").is_file()
    monkeypatch.undo()
    shut(monkeypatch, tmp_path / "first/sub")
    assert tmp_path / "first/sub" in list(find_items(tmp_path / "first"))
    told = tratto("audit", tmp_path / "first", "--json")
    assert told.exit_code == 10
    assert json.loads(told.stdout)["counts"] == {"altered": 0, "unknown": 1, "authentic": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_that_are_not_text(folder, tmp_path):
    shutil.copy(CASE, folder / BAD)
    assert tratto("restore", folder, "-o", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / BAD).is_file()
    result = tratto("audit", tmp_path / "out", "-o", tmp_path / "audit.json", "--html", tmp_path / "audit.html")
    assert result.exit_code == 0
    paths = [i["path"] for i in json.loads((tmp_path / "audit.json").read_text())["items"]]
    assert "bad\\xff\\xe9.tratto" in paths


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_build_leaves_such_a_name_out_and_says_so(folder, caplog):
    from tratto_lab.corpus.build import list_pictures

    shutil.copy(CASE, folder / BAD)
    assert list_pictures(folder) == ["a.png"]
    assert "bad\\xff\\xe9.png" in caplog.text


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_console_that_lacks_a_letter_ends_nothing(tmp_path, encoding):
    names = ["a", "\u3042", "\u3044", "\u3046"]
    (tmp_path / "in").mkdir()
    for name in names:
        shutil.copy(CASE, tmp_path / "in" / f"{name}.png")
    done = command("restore", tmp_path / "in", "-o", tmp_path / "out", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert sorted(p.stem for p in (tmp_path / "out").glob("*.png")) == names
    if encoding == "cp1252":  # what looks like plain ASCII is taken for UTF-8 by the library that prints
        assert b"\\u3042" in done.stdout


def test_room_is_reserved_before_it_is_used(monkeypatch):
    """A page of a file for which there is no room would kill the process when it is written."""

    def full(descriptor, offset, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutputError, match="has no room"):
        scratch.allocate((1 << 20,), np.uint8, in_memory=0)


def test_reserved_room_is_there():
    array = scratch.allocate((1 << 21,), np.uint8, in_memory=0)
    assert not array.any()
    array[:] = 7
    scratch.release(array)
    assert int(array.sum()) == 7 << 21


# ---------------------------------------------------------------------------------------------- bundles and their names


def test_the_missing_picture_is_the_first_reason(folder, tmp_path):
    tratto("restore", folder, "-o", tmp_path / "out")
    (tmp_path / "out/a.png").unlink()
    from tratto.provenance.trust import Trust
    from tratto.provenance.verify import verify

    for trust in (Trust(), Trust(ledger=tmp_path / "no-ledger")):
        verdict = verify(tmp_path / "out/a.tratto", trust=trust)
        assert verdict.word == "unknown"
        assert "not beside" in verdict.reasons[0]
    told = tratto("audit", tmp_path / "out")
    assert told.exit_code == 10
    assert "not beside" in told.output


def test_a_renamed_picture_is_recognised_by_its_hash(folder, tmp_path):
    out = tmp_path / "out"
    tratto("restore", folder, "-o", out)
    (out / "a.png").rename(out / "other name.png")
    for asked in (out / "other name.png", out / "a.tratto"):
        result = tratto("verify", asked, "--json")
        assert json.loads(result.stdout)["verdict"] == "authentic", result.stdout
    assert any("renamed" in r for r in json.loads(tratto("verify", out / "other name.png", "--json").stdout)["reasons"])
    assert tratto("audit", out).exit_code == 0
    # one that is not the sealed one is not taken for it
    with Pil.open(out / "other name.png") as seen:
        changed = np.asarray(seen).copy()
    changed[0, 0] ^= 1
    Pil.fromarray(changed).save(out / "third.png")
    assert tratto("verify", out / "third.png").exit_code == 10


def test_a_bundle_that_lies_elsewhere_can_be_named(folder, tmp_path):
    out = tmp_path / "out"
    tratto("restore", folder, "-o", out)
    (tmp_path / "apart").mkdir()
    (out / "a.tratto").rename(tmp_path / "apart/some.tratto")
    assert tratto("verify", out / "a.png").exit_code == 10
    good = tratto("verify", out / "a.png", "--bundle", tmp_path / "apart/some.tratto")
    assert good.exit_code == 0, good.output
    assert tratto("verify", folder / "a.png", "--bundle", tmp_path / "apart/some.tratto").exit_code == 10  # its source
    shutil.copy(Path(__file__).parent / "cases/wall_p3.png", tmp_path / "x.png")
    assert tratto("verify", tmp_path / "x.png", "--bundle", tmp_path / "apart/some.tratto").exit_code == 9
    assert tratto("verify", out / "a.png", "--bundle", tmp_path / "no.tratto").exit_code == 3
