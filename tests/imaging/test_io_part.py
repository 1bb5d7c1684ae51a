"""What a killed run leaves is found and removed; what belongs to a living one stays."""

import os
import signal
import subprocess
import sys

import pytest

from tratto.core.errors import OutputError
from tratto.imaging.io import interrupted, part_folder
from tratto.imaging.io.part import sweep

HANG = """
import sys, time
from pathlib import Path
from tratto.imaging.io import part_folder
out = Path(sys.argv[1])
with part_folder(out) as folder:
    (folder / "picture").write_bytes(b"half")
    (out.parent / ("." + out.stem + ".0123456789ab.part")).mkdir()
    (out.parent / ("." + out.stem + ".0123456789ab.old")).mkdir()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def hanging(tmp_path):
    """A process in the middle of writing a.png."""
    running = subprocess.Popen([sys.executable, "-c", HANG, str(tmp_path / "a.png")], stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "ready\n"
    yield running
    running.kill()
    running.wait()
    running.stdout.close()


def hidden(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


def test_the_folder_is_gone_afterwards(tmp_path):
    with part_folder(tmp_path / "new" / "a.png") as folder:
        assert folder.parent == tmp_path / "new"
        assert not interrupted(tmp_path / "new" / "a.png")
    assert not hidden(tmp_path / "new")
    with pytest.raises(KeyboardInterrupt), part_folder(tmp_path / "a.png"):
        raise KeyboardInterrupt
    assert not hidden(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="files are told by their age there")
def test_a_living_run_is_left_in_peace_and_a_killed_one_tidied_up(tmp_path, hanging):
    before = hidden(tmp_path)
    assert len(before) == 3
    with part_folder(tmp_path / "b.png"):
        pass
    assert hidden(tmp_path) == before
    assert not interrupted(tmp_path / "a.png")
    os.kill(hanging.pid, signal.SIGKILL)
    hanging.wait()
    assert interrupted(tmp_path / "a.png")
    assert not interrupted(tmp_path / "b.png")
    (tmp_path / ".c.0123456789ab.part").mkdir()  # nobody said whose this is
    with part_folder(tmp_path / "b.png"):
        pass
    # the bundle that was moved aside is the only one: it stays until there is another
    assert hidden(tmp_path)[:2] == [".a.0123456789ab.old", ".c.0123456789ab.part"]
    with part_folder(tmp_path / "a.png"):
        (tmp_path / "a.tratto").mkdir()
    assert hidden(tmp_path) == [".c.0123456789ab.part"]


@pytest.mark.skipif(sys.platform == "win32", reason="files are told by their age there")
def test_a_bundle_moved_aside_goes_when_there_is_a_new_one(tmp_path, hanging):
    os.kill(hanging.pid, signal.SIGKILL)
    hanging.wait()
    (tmp_path / "a.tratto").mkdir()
    sweep(tmp_path)
    assert not hidden(tmp_path)
    assert (tmp_path / "a.tratto").is_dir()


def test_nothing_can_be_written_there(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for name in ("file/a.png", "file/sub/a.png"):
        with pytest.raises(OutputError, match="not a folder"), part_folder(tmp_path / name):
            pass


def test_a_folder_of_a_run_that_was_killed_before_it_said_its_name(tmp_path):
    (tmp_path / ".tratto-0123456789ab.part").mkdir()
    (tmp_path / ".tratto-0123456789ac.part").mkdir()
    (tmp_path / ".tratto-0123456789ac.part" / "of").write_text("")
    (tmp_path / ".tratto-0123456789ad.part").mkdir()
    (tmp_path / ".tratto-0123456789ad.part" / "theirs").write_text("not made here")
    with part_folder(tmp_path / "a.png"):
        pass
    left = [] if sys.platform != "win32" else [".tratto-0123456789ac.part"]
    assert hidden(tmp_path) == [*left, ".tratto-0123456789ad.part"]


def test_many_at_once_do_not_disturb_each_other(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def work(k):
        with part_folder(tmp_path / f"{k}.png") as folder:
            (folder / "picture").write_bytes(b"x" * k)
            return (folder / "picture").read_bytes() == b"x" * k and folder.is_dir()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))
    assert not hidden(tmp_path)


def fail(output, kept):
    with part_folder(output) as folder:
        for name in kept:
            (folder.parent / name).write_text("")
        raise OutputError("no")


def test_a_write_that_fails_leaves_no_folder_that_it_made(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "full").mkdir()
    for made, kept in (("a/b/x.png", []), ("there/c/x.png", []), ("full/d/x.png", ["mine"])):
        with pytest.raises(OutputError):
            fail(tmp_path / made, kept)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == [
        "full",
        "full/d",
        "full/d/mine",
        "there",
    ]
