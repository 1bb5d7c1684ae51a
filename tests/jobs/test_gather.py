from pathlib import Path

import pytest

from tratto.core.errors import InputError, OptionError, OutputError
from tratto.jobs.gather import Source, Target, check_targets, collisions, gather, output_path


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a.png",
        "b/c.JPG",
        "b/.hidden.png",
        "b/c.tratto/original.jpg",
        "notes.txt",
        "out/old.png",
        ".x/d.png",
    ):
        p = tmp_path / name
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_bytes(b"x")
    return tmp_path


def test_folders_keep_their_sub_folders_and_pass_over_bundles_hidden_files_and_the_output(tree):
    found = gather([str(tree)], tree / "out").sources
    assert [s.relative.as_posix() for s in found] == ["a.png", "b/c.JPG"]


def test_globs_and_repeats(tree):
    found = gather([str(tree / "*.png"), str(tree / "a.png"), str(tree / "b")], None).sources
    assert [s.path.name for s in found] == ["a.png", "c.JPG"]


def test_a_name_with_glob_characters_is_a_name_first(tmp_path):
    (tmp_path / "a[1].png").write_bytes(b"x")
    assert gather([str(tmp_path / "a[1].png")], None).sources[0].path.name == "a[1].png"


@pytest.mark.parametrize("bad", ["nowhere.png", "*.nothing", "a\0b.png", "x" * 5000])
def test_nothing_there(tree, bad, monkeypatch):
    monkeypatch.chdir(tree)
    with pytest.raises(InputError):
        gather([bad], None)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds no picture"):
        gather([str(tmp_path)], None)


def jobs_of(pairs):
    return [Target(Path(a), 0, Path(b)) for a, b in pairs]


def test_what_is_passed_over_is_counted(tree):
    (tree / "b" / "scan").write_bytes(b"x")
    found = gather([str(tree)], tree / "out")
    assert [p.name for p in found.passed_over] == ["notes.txt", "scan"]
    assert "2 files" in found.note()
    assert ".txt: 1" in found.note()
    assert "no extension: 1" in found.note()
    assert gather([str(tree / "a.png")], None).note() == ""
    assert next(p.name for p in gather([str(tree / "*")], tree / "out").passed_over) == "notes.txt"


def test_an_empty_path_is_no_path():
    with pytest.raises(OptionError, match="PATH is empty"):
        gather([""], None)


def test_inputs_of_one_name_are_found():
    jobs = jobs_of([("in/a.jpg", "out/a.png"), ("in/a.tif", "out/a.tif"), ("in/b.jpg", "out/b.png")])
    assert collisions(jobs) == {jobs[0]: jobs[1], jobs[1]: jobs[0]}
    jobs = jobs_of([("in/a.jpg", "out/a.png"), ("in/A.jpg", "out/A.png"), ("in/a.tif", "out/a.tif")])
    assert collisions(jobs) == {jobs[0]: jobs[1], jobs[1]: jobs[0], jobs[2]: jobs[0]}
    assert collisions(jobs_of([("in/a.jpg", "out/a.png"), ("in/b.jpg", "out/b.png")])) == {}


def test_an_input_is_never_overwritten_and_results_only_on_request(tree):
    source = Source(tree / "a.png", Path("a.png"))
    job = Target(source.path, 0, output_path(source, tree, ".png", None))
    for replace in (False, True):
        with pytest.raises(OutputError, match="never overwritten"):
            check_targets([job], [source], replace)
    existing = Target(source.path, 0, tree / "out" / "old.png")
    with pytest.raises(OutputError, match="exists"):
        check_targets([existing], [source], False)
    check_targets([existing], [source], True)
    (tree / "out" / "new.tratto").mkdir()
    with pytest.raises(OutputError, match=r"new\.tratto exists"):
        check_targets([Target(source.path, 0, tree / "out" / "new.tif")], [source], False)


def test_output_names():
    source = Source(Path("/in/sub/scan.v2.tif"), Path("sub/scan.v2.tif"))
    assert output_path(source, Path("out"), ".png", None) == Path("out/sub/scan.v2.png")
    assert output_path(source, Path("out"), ".png", 2) == Path("out/sub/scan.v2-page-003.png")
    assert output_path(source, Path("out"), ".png", None, True) == Path("out/sub/scan.v2.tif.png")
    assert Target(source.path, 0, Path("out/sub/scan.v2.png")).bundle == Path("out/sub/scan.v2.tratto")
