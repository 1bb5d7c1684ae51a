"""Many results at once: verdicts, resuming, what changed, and a page that runs nothing."""

import json
import shutil
from datetime import UTC, datetime

import pytest

from tratto.core.canonical import dumps
from tratto.core.errors import InputError, ReceiptError
from tratto.provenance import audit as audits
from tratto.provenance.audit import (
    AuditOptions,
    AuditRow,
    audit,
    change_words,
    exit_code,
    find_bundles,
    page,
    read_audit,
    summary,
)

QUICK = AuditOptions(deep=False)


@pytest.fixture
def folder(make_bundle, tmp_path):
    for name in ("a.png", "b.png"):
        made = make_bundle(name=name)
    below = made.output.parent / "below"
    below.mkdir()
    made = make_bundle(name="c.png")
    shutil.move(made.output, below / "c.png")
    shutil.move(made.bundle, below / "c.tratto")
    # a picture that no bundle seals
    (below / "lone.png").write_bytes((made.output.parent / "a.png").read_bytes() + b"x")
    (made.output.parent / "notes.txt").write_text("not a picture")
    (made.output.parent / ".hidden").mkdir()
    shutil.copy(below / "lone.png", made.output.parent / ".hidden/x.png")
    return made.output.parent


def words(rows):
    return {r.path: r.word for r in rows}


def test_every_bundle_and_every_picture_without_one(folder):
    rows = audit(folder, QUICK)
    assert words(rows) == {
        "a.tratto": "authentic", "b.tratto": "authentic", "below/c.tratto": "authentic", "below/lone.png": "unknown",
    }  # fmt: skip
    assert exit_code(rows) == 10
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes() + b"x")
    rows = audit(folder, QUICK)
    assert words(rows)["b.tratto"] == "altered"
    assert exit_code(rows) == 9
    assert exit_code([r for r in rows if r.word == "authentic"]) == 0
    assert [b.name for b in find_bundles(folder)] == ["a.tratto", "b.tratto", "c.tratto"]
    with pytest.raises(InputError, match="not a folder"):
        audit(folder / "a.png", QUICK)


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0 a picture", b"[]", b"\n\n", b'{"asked": ""}'])
def test_a_file_that_no_audit_wrote_is_not_added_to(folder, tmp_path, data):
    other = tmp_path / "other.jpg"
    other.write_bytes(data)
    with pytest.raises(InputError, match="audit remembers"):
        audit(folder, AuditOptions(deep=False), other)
    assert other.read_bytes() == data
    other.write_bytes(b'\n{"ask')  # the first line, cut short
    audit(folder, AuditOptions(deep=False), other)
    audit(folder, AuditOptions(deep=False), other)
    with pytest.raises(InputError, match="cannot be read"):
        audit(folder, AuditOptions(deep=False), tmp_path)


def test_a_stopped_audit_goes_on(folder, tmp_path, monkeypatch):
    state = tmp_path / "state"
    asked = []
    real = audits.verify

    def counted(path, *rest):
        asked.append(path.name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(path, *rest)

    monkeypatch.setattr(audits, "verify", counted)
    with pytest.raises(KeyboardInterrupt):
        audit(folder, QUICK, state)
    with open(state, "a") as f:
        f.write('{"path": "cut sho')  # as a kill leaves it
    seen = []
    rows = audit(folder, QUICK, state, lambda done, total: seen.append((done, total)))
    assert asked == ["a.tratto", "b.tratto", "c.tratto", "c.tratto", "lone.png"]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(rows) == 4
    del asked[:]
    audit(folder, QUICK, state)
    assert asked == []
    # what changed is looked at again, and so is everything when more is asked
    (folder / "a.tratto/report.html").write_text("other")
    assert words(audit(folder, QUICK, state))["a.tratto"] == "altered"
    assert asked == ["a.tratto"]
    del asked[:]
    monkeypatch.setattr(audits, "verify", lambda path, *rest: asked.append(path.name) or real(path, *rest))
    audit(folder, AuditOptions(deep=True), state)
    assert len(asked) == 4


def test_replay_tiers_and_changes(folder):
    tiers = {"a.tratto": "A", "b.tratto": "B", "c.tratto": "A"}
    rows = audit(folder, AuditOptions(deep=False, replay=lambda p: tiers[p.name]))
    found = summary(rows)
    assert found["replay"] == {"count": 3, "rate": {"A": 2 / 3, "B": 1 / 3}}
    assert found["changes"] == []
    tiers["a.tratto"] = "C"
    (folder / "b.png").write_bytes(b"gone")
    shutil.rmtree(folder / "below")
    later = summary(audit(folder, AuditOptions(deep=False, replay=lambda p: tiers[p.name])), rows)
    assert later["changes"] == [
        {"path": "a.tratto", "before": ["authentic", "A"], "now": ["authentic", "C"]},
        {"path": "b.tratto", "before": ["authentic", None], "now": ["altered", None]},
        {"path": "below/c.tratto", "before": ["authentic", None], "now": None},
        {"path": "below/lone.png", "before": ["unknown", None], "now": None},
    ]
    assert later["items"][0]["path"] == "b.tratto"


def test_a_replay_that_cannot_run_is_told(folder):
    def no(path):
        raise ReceiptError("the bundle holds no original")

    rows = audit(folder, AuditOptions(deep=False, replay=no))
    assert rows[0].tier == "not run: the bundle holds no original"
    assert summary(rows)["replay"] == {"count": 0, "rate": {}}


def test_json_and_back(folder, tmp_path):
    rows = audit(folder, QUICK)
    path = tmp_path / "audit.json"
    path.write_bytes(dumps(summary(rows)))
    assert sorted(read_audit(path), key=lambda r: r.path) == sorted(rows, key=lambda r: r.path)
    path.write_text('{"schema":"other"}')
    with pytest.raises(ReceiptError, match="not an audit"):
        read_audit(path)


def test_the_page_escapes_and_loads_nothing():
    rows = [AuditRow("<script>x\u202e</script>.png", "altered", ('"><img src=x onerror=1>',), "0", "")]
    text = page("a&b", summary(rows), datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    assert text.count("<script") == 1  # our own
    assert "2026-03-01 12:30 UTC" in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert "a&amp;b" in text
    assert "default-src &#x27;none" not in text
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")
    assert json.loads(json.dumps(summary(rows)))["counts"] == {"altered": 1, "unknown": 0, "authentic": 0}


def test_a_page_says_equal_reasons_once_and_breaks_no_word():
    rows = [AuditRow(f"folder/scan-{n}.tratto", "authentic", ("as sealed", "unsigned"), "0") for n in range(5)]
    rows.append(AuditRow("folder/odd.tratto", "altered", ("the picture differs",), "0"))
    text = page("a", summary(rows), datetime(2026, 3, 1, tzinfo=UTC))
    assert text.count("<li>unsigned</li>") == 1
    assert "folder/<wbr>scan-<wbr>3.<wbr>tratto" in text
    assert "anywhere" not in text


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        (["authentic", None], ["altered", None], "altered"),
        (None, ["unknown", None], "new"),
        (["unknown", "B"], None, "gone"),
    ],
)
def test_a_change_is_a_sentence(before, now, word):
    said = change_words({"path": "a.tratto", "before": before, "now": now})
    assert word in said
    assert not set(said) & set("[]'")
