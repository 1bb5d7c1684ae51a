import os
import shutil
import signal
import sys
import warnings
from pathlib import Path

import pytest

from tratto.core.errors import ReceiptError
from tratto.provenance import commit
from tratto.provenance.bundle import bundle_path, open_account, recover, revert
from tratto.provenance.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork and kill are POSIX")


def hidden(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.startswith(".") and p.name != ".photo.part")


def kill_at(stage, output):
    """Make this process kill itself, as kill -9 does, at one point of a save."""

    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    rename, replace, rmtree = os.rename, os.replace, shutil.rmtree
    if stage == "filling":
        from tratto.provenance import report

        report.render_report = die
    elif stage == "moved aside":
        os.replace = lambda a, b: die() if Path(b) == output else replace(a, b)
    elif stage == "picture in place":
        os.rename = lambda a, b: die() if str(a).endswith(".part") else rename(a, b)
    else:
        shutil.rmtree = lambda path, **k: die() if str(path).endswith(".old") else rmtree(path, **k)


@pytest.fixture
def killed(make_bundle):
    """Save a picture, then save another under its name and be killed."""

    def run(stage, first=True):
        old = make_bundle() if first else None
        output = old.output if old else Path(make_bundle("other.png").output.with_name("photo.png"))
        before = output.read_bytes() if old else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads of NumPy; the child is short
            child = os.fork()
        if child == 0:
            try:
                kill_at(stage, output)
                make_bundle(masked=True)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == signal.SIGKILL
        return output, before

    return run


@pytest.mark.parametrize(
    ("stage", "left", "word", "new"),
    [
        ("filling", [".part"], "authentic", False),
        ("moved aside", [".old", ".part"], "unknown", False),
        ("picture in place", [".old", ".part"], "unknown", True),
        ("old left", [".old"], "authentic", True),
    ],
)
def test_a_killed_save_is_never_a_wrong_answer_and_is_finished_or_undone(killed, stage, left, word, new):
    output, before = killed(stage)
    assert sorted(Path(n).suffix for n in hidden(output.parent)) == left
    verdict = verify(output)
    assert verdict.word == word, verdict.reasons
    assert ("stopped halfway" in " ".join(verdict.reasons)) == (word == "unknown")
    recover(output)
    assert hidden(output.parent) == []
    verdict = verify(output)
    assert verdict.word == "authentic", verdict.reasons
    assert (output.read_bytes() != before) == new
    assert (bundle_path(output) / "mask.png").exists() == new


@pytest.mark.parametrize("stage", ["filling", "moved aside", "picture in place", "old left"])
def test_the_next_save_clears_what_a_killed_one_left(killed, make_bundle, stage):
    output, _ = killed(stage)
    made = make_bundle(generative=True)
    assert made.output == output
    assert hidden(output.parent) == []
    assert verify(output).word == "authentic"
    assert made.receipt["steps"][0]["generative"] is True


def test_a_first_save_that_was_killed_before_its_bundle_was_in_place(killed):
    output, _ = killed("picture in place", first=False)
    assert verify(output).word == "unknown"
    recover(output)
    assert verify(output).word == "authentic"
    assert hidden(output.parent) == []


def test_a_part_whose_picture_was_never_put_in_place_is_dropped(killed):
    output, _ = killed("moved aside", first=False)
    assert not output.exists()
    recover(output)
    assert hidden(output.parent) == []
    assert not bundle_path(output).exists()


def test_an_altered_part_is_not_taken_for_the_bundle(killed):
    output, _ = killed("picture in place", first=False)
    (part,) = [output.with_name(n) for n in hidden(output.parent)]
    (part / "confidence.png").write_bytes(b"x")
    recover(output)
    assert not bundle_path(output).exists()


def test_an_old_bundle_comes_back_even_if_its_picture_is_gone(killed):
    # it may hold the only copy of an original
    output, _ = killed("moved aside")
    original = next(p for p in output.parent.glob(".*old/original.png")).read_bytes()
    output.unlink()
    recover(output)
    assert (bundle_path(output) / "original.png").read_bytes() == original


def test_what_another_program_works_on_is_left_alone(killed):
    output, _ = killed("filling")
    (part,) = [output.with_name(n) for n in hidden(output.parent)]
    with commit.held(part) as mine:
        assert mine
        recover(output)
        assert part.is_dir()
    recover(output)
    assert not part.exists()


def test_only_leftovers_of_this_name_with_nothing_strange_in_them_are_touched(killed):
    output, _ = killed("filling")
    (part,) = [output.with_name(n) for n in hidden(output.parent)]
    recover(output.with_name("photo2.png"))
    recover(output.with_name("pho.png"))
    assert part.is_dir()
    (part / "thesis.txt").write_text("years of work")
    recover(output)
    assert (part / "thesis.txt").read_text() == "years of work"


def test_a_leftover_is_never_a_bundle(make_bundle, tmp_path):
    made = make_bundle()
    for ending in ("part", "old"):
        left = made.bundle.with_name(f".photo.{'0' * 12}-{'1' * 12}.{ending}")
        shutil.copytree(made.bundle, left)
        assert commit.is_leftover(left)
        for start in (left, left / "edit-map.png"):
            assert verify(start).word == "unknown"
            with pytest.raises(ReceiptError, match="left over"):
                revert(start, tmp_path / "back")
            with pytest.raises(ReceiptError, match="left over"):
                open_account(start)
    assert verify(made.output).word == "authentic"


@pytest.mark.parametrize("stem", ["x" * 240, "猫" * 82])
def test_names_as_long_as_the_disk_allows(make_bundle, stem):
    made = make_bundle(f"{stem}.png")
    assert verify(made.output).word == "authentic"
    assert hidden(made.output.parent) == []
