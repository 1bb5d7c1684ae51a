"""What a killed run leaves for the next one."""

import os
import time

from tratto.core.journal import Journal


def test_what_was_added_is_known_to_the_next(tmp_path):
    path = tmp_path / "new" / "a.jsonl"
    one = Journal(path)
    one.add("x", {"value": 0.1 + 0.2})
    one.add("y", {"list": [1, None]})
    assert Journal(path).known == {"x": {"value": 0.1 + 0.2}, "y": {"list": [1, None]}}
    # a kill in the middle of a line loses that line
    path.write_bytes(path.read_bytes()[:-3])
    assert list(Journal(path).known) == ["x"]
    path.write_bytes(b"[1, 2\nnonsense\n")
    assert Journal(path).known == {}


def test_it_is_gone_when_the_run_ends_and_so_are_old_ones(tmp_path):
    old, path = tmp_path / "old.jsonl", tmp_path / "a.jsonl"
    old.write_text("")
    os.utime(old, (time.time() - 30 * 86400,) * 2)
    journal = Journal(path)
    journal.add("x", {})
    journal.finish()
    assert list(tmp_path.iterdir()) == []
    journal.finish()


def test_where_nothing_can_be_written_it_only_forgets(tmp_path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "a.jsonl")
    journal.add("x", {"value": 1})
    assert journal.known["x"] == {"value": 1}
    journal.finish()
