"""Collecting from a server that answers in the shapes of the four collections."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image as Pil
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import InputError, OptionError, OutputError, UnavailableError
from tratto_lab.collect.client import Client, Clock, RetryPolicy
from tratto_lab.collect.journal import Journal
from tratto_lab.collect.run import CollectPlan, collect, file_name, read_sidecar, write_index
from tratto_lab.collect.sources import Found, open_source

SOURCE = str(Path(__file__).parents[3] / "src")


def go(museum, out, name="wikimedia", query="cracked wall", limit=100, key="", **plan):
    clock = Clock(sleep=lambda s: None, uniform=lambda: 0.5)
    client = Client(RetryPolicy(interval=0, contact="me@example.org"), museum.url, (key,), clock)
    families = plan.get("licences", ("cc0", "pd", "cc-by", "cc-by-sa"))
    return collect(open_source(name, key, museum.url, families), CollectPlan(query, out, limit, **plan), client)


def pictures(out):
    return sorted(p.name for p in out.iterdir() if p.suffix in (".jpg", ".png", ".tif", ".webp"))


def sound(out):
    """Check what must always hold of a folder, and return the names of its pictures."""
    names = pictures(out)
    digests = set()
    for name in names:
        about = read_sidecar(out / f"{name}.json")
        data = (out / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == about["sha256"]
        Pil.open(io.BytesIO(data)).load()
        digests.add(about["sha256"])
    assert len(digests) == len(names)
    return names


def test_wikimedia_pictures_come_with_all_that_is_said_about_them(museum, tmp_path):
    for number in range(1, 8):
        museum.commons(number)
    museum.commons(90, mime="image/gif")
    museum.commons(91, mediatype="DRAWING", mime="image/svg+xml")
    museum.commons(8, about={"ObjectName": "Mauer <i>über</i> 城牆 \u202ex", "Artist": "Łukasz &amp; Co"})
    done = go(museum, tmp_path / "out")
    assert (done.kept, done.pages, done.finished) == (8, 3, True)
    assert dict(done.refused) == {"format image/gif": 1, "no picture": 1}
    assert museum.fetched("/wikipedia/commons/90.jpg") == 0
    assert sound(tmp_path / "out") == [f"wikimedia-{n}.jpg" for n in range(1, 9)]
    about = json.loads((tmp_path / "out" / "wikimedia-8.jpg.json").read_text(encoding="utf-8"))
    assert (about["title"], about["author"]) == ("Mauer über 城牆 x", "Łukasz & Co")
    assert about["licence"] == {
        "id": "CC-BY-SA-4.0",
        "family": "cc-by-sa",
        "url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "said": "https://creativecommons.org/licenses/by-sa/4.0; CC BY-SA 4.0; cc-by-sa-4.0",
    }
    assert about["attribution"] == (
        "“Mauer über 城牆 x” by Łukasz & Co; CC-BY-SA-4.0 (https://creativecommons.org/licenses/by-sa/4.0/); "
        "via Wikimedia Commons: https://commons.wikimedia.org/wiki/File:Picture_8.jpg"
    )
    assert (about["width"], about["height"], about["query"]) == (96, 80, "cracked wall")
    index = [json.loads(line) for line in (tmp_path / "out" / "index.jsonl").read_text().splitlines()]
    assert [e["file"] for e in index] == sound(tmp_path / "out")
    assert "Łukasz & Co" in (tmp_path / "out" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    asked = museum.requests[0][1]
    assert asked["gsrsearch"] == ["cracked wall filetype:bitmap"]
    assert asked["maxlag"] == ["5"]


def test_pages_that_come_without_their_imageinfo_first_are_not_lost(museum, tmp_path):
    museum.split_pages = True
    for number in range(1, 8):
        museum.commons(number)
    done = go(museum, tmp_path)
    assert (done.kept, done.known, done.pages, sum(done.refused.values())) == (7, 3, 4, 0)
    assert len(sound(tmp_path)) == 7


def test_only_free_licences_are_taken_and_the_rest_is_counted(museum, tmp_path):
    museum.commons(1, about={"LicenseShortName": "CC0", "LicenseUrl": None, "License": "cc0"})
    museum.commons(2, about={"LicenseShortName": "Public domain", "LicenseUrl": None, "License": "pd"})
    museum.commons(3, about={"LicenseShortName": None, "LicenseUrl": None, "License": None})
    museum.commons(4, about={"LicenseShortName": "GFDL", "LicenseUrl": None, "License": "gfdl"})
    museum.commons(5, about={"LicenseUrl": "https://creativecommons.org/licenses/by-nc/4.0/"})
    nc = {"LicenseShortName": "CC BY-NC 4.0", "LicenseUrl": None, "License": "cc-by-nc-4.0"}
    museum.commons(6, about=nc)
    museum.commons(7, about={"NonFree": "true"})
    done = go(museum, tmp_path)
    assert pictures(tmp_path) == ["wikimedia-1.jpg", "wikimedia-2.jpg"]
    assert dict(done.refused) == {
        "licence missing": 1,
        "licence unknown (GFDL; gfdl)": 1,
        "licence unclear": 1,
        "licence cc-by-nc (CC-BY-NC-4.0)": 1,
        "licence unknown (https://creativecommons.org/licenses/by-sa/4.0; CC BY-SA 4.0)": 1,
    }
    for number in (3, 4, 5, 6, 7):
        assert museum.fetched(f"/wikipedia/commons/{number}.jpg") == 0
    assert go(museum, tmp_path, licences=("cc-by-nc",)).kept == 1
    assert read_sidecar(tmp_path / "wikimedia-6.jpg.json")["licence"]["family"] == "cc-by-nc"


def test_smithsonian_rows_are_read_and_the_key_stays_in_the_header(museum, tmp_path):
    museum.key = "K-smith"
    for number in range(1, 7):
        museum.smithsonian(number)
    museum.smithsonian(7, access="Usage conditions apply")
    museum.smithsonian(8, access=None)
    museum.smithsonian(9, resources=False)
    museum.smithsonian(10, content={"descriptiveNonRepeating": {"record_ID": "saam_10"}})
    done = go(museum, tmp_path, "smithsonian", "topic:Architecture", key="K-smith")
    assert (done.kept, done.finished, done.pages) == (7, True, 3)
    assert dict(done.refused) == {
        "licence unknown (Usage conditions apply)": 1,
        "licence missing": 1,
        "no picture": 1,
    }
    about = next(read_sidecar(p) for p in tmp_path.glob("*.json") if read_sidecar(p)["id"] == "saam_3#0")
    assert (about["author"], about["credit"], about["date"]) == ("Painter 3, born 1850", "Museum purchase", "1901")
    assert (about["institution"], about["licence"]["id"]) == ("Smithsonian American Art Museum", "CC0-1.0")
    assert museum.requests[0][1]["q"] == ["(topic:Architecture) AND online_media_type:Images"]
    assert not any("K-smith" in json.dumps(asked) for _, asked in museum.requests)
    assert {h.get("X-Api-Key") for (p, _), h in zip(museum.requests, museum.headers, strict=True) if "/ids/" in p} == {
        None
    }
    sound(tmp_path)


def test_europeana_items_are_read_and_the_key_is_kept_nowhere(museum, tmp_path):
    museum.key = "wskey77"
    free = "http://creativecommons.org/publicdomain/mark/1.0/"
    for number in range(1, 6):
        museum.europeana(number, [free])
    museum.europeana(6, ["http://rightsstatements.org/vocab/InC/1.0/"])
    museum.europeana(7, None)
    museum.europeana(8, [free, "http://creativecommons.org/licenses/by-nc/4.0/"])
    museum.europeana(9, [free], edmIsShownBy=[])
    museum.europeana(10, [free], title=["wskey77 in a title"])
    done = go(museum, tmp_path, "europeana", "what:fresco", key="wskey77")
    assert (done.kept, done.finished, done.pages) == (6, True, 3)
    assert done.refused["licence missing"] == 1
    assert done.refused["licence unclear"] == 1
    assert done.refused["no picture"] == 1
    asked = museum.requests[0][1]
    assert (asked["cursor"], asked["qf"], asked["reusability"], asked["media"]) == (
        ["*"], ["TYPE:IMAGE"], ["open"], ["true"],
    )  # fmt: skip
    about = read_sidecar(next(tmp_path.glob("*lod_1-*.json")))
    assert about["author"] == "Pérez Villaamil, Genaro"
    assert about["page"] == "https://www.europeana.eu/item/2022704/lod_1"
    assert about["institution"] == "Biblioteca Digital de Castilla y León"
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix != ".jpg":
            assert "wskey77" not in path.read_text(encoding="utf-8"), path
    sound(tmp_path)


def test_europeana_is_asked_for_more_when_more_is_accepted(museum, tmp_path):
    museum.key = "key-1"
    museum.europeana(1, ["http://creativecommons.org/licenses/by-nc/4.0/"])
    assert go(museum, tmp_path, "europeana", "x", key="key-1", licences=("cc-by-nc",)).kept == 1
    assert museum.requests[0][1]["reusability"] == ["open", "restricted"]


def test_mit_museum_pages_are_read_and_silence_is_refused(museum, tmp_path):
    museum.mit("2007.030.001", "111", "https://creativecommons.org/licenses/by/4.0/")
    museum.mit("2000.006.001", "222", None)
    museum.mit("GCP-00018255", "333", "https://creativecommons.org/publicdomain/mark/1.0/")
    museum.pages["/collections/object/bare"] = "<html></html>"
    museum.entries["mit"] += [{"number": "bare"}, {"number": "gone"}]
    done = go(museum, tmp_path / "a", "mit-museum", "core memory")
    assert (done.kept, done.finished) == (2, True)
    assert dict(done.refused) == {"licence missing": 1, "no picture": 1, "status 404": 1}
    about = read_sidecar(next((tmp_path / "a").glob("*2007*.json")))
    assert (about["title"], about["author"], about["date"]) == ("Core memory 2007.030.001", "Jay Forrester", "1951")
    assert about["page"] == "https://mitmuseum.mit.edu/collections/object/2007.030.001"
    assert museum.fetched("/iiifimg3/111/full/max/0/default.jpg") == 1
    named = go(museum, tmp_path / "b", "mit-museum", "object:2007.030.001, GCP-00018255")
    assert (named.kept, named.finished) == (2, True)
    assert museum.fetched("/collections/search") == 3  # the last page is empty
    with pytest.raises(OptionError, match="object number"):
        go(museum, tmp_path / "c", "mit-museum", "object:../../x")


def test_one_broken_page_of_the_mit_museum_does_not_stop_the_rest(museum, tmp_path):
    free = "https://creativecommons.org/licenses/by/4.0/"
    museum.mit("a1", "111", free)
    museum.mit("b2", "222", free)
    museum.faults["/collections/object/a1"] = [500] * 5
    done = go(museum, tmp_path / "a", "mit-museum", "object:a1,b2")
    assert (done.kept, dict(done.refused)) == (1, {"status 500": 1})
    museum.faults["/collections/object/a1"] = [500] * 5
    with pytest.raises(UnavailableError, match="status 500"):
        go(museum, tmp_path / "b", "mit-museum", "object:a1")
    assert go(museum, tmp_path / "b", "mit-museum", "object:a1").kept == 1


@pytest.mark.parametrize("key", ["abc", "two words", "line\nbreak", 'quo"te', "ключ-ключ"])
def test_what_is_no_key_is_refused_without_showing_it(key):
    with pytest.raises(OptionError, match="holds no key") as caught:
        open_source("smithsonian", key)
    assert key not in str(caught.value)


def test_mishaps_on_the_way_are_mended(museum, tmp_path):
    for number in range(1, 6):
        museum.commons(number)
    museum.faults["/w/api.php"] = [500, "maxlag", "not json", "truncate"]
    museum.faults["/wikipedia/commons/1.jpg"] = [(429, {"Retry-After": "1"}), 503]
    museum.faults["/wikipedia/commons/2.jpg"] = ["truncate"]
    done = go(museum, tmp_path)
    assert (done.kept, dict(done.failed)) == (5, {})
    assert len(sound(tmp_path)) == 5


def test_what_is_no_picture_never_appears(museum, tmp_path):
    for number in range(1, 10):
        museum.commons(number)
    path = "/wikipedia/commons/{}.jpg".format
    museum.put(path(1), b"<html>gone</html>", "text/html")
    museum.put(path(2), b"<html>gone</html>", "image/jpeg")
    museum.put(path(3), b"GIF89a" + b"\0" * 40, "image/gif")
    museum.faults[path(4)] = [f"to {museum.url}{path(4)}"] * 40
    museum.faults[path(5)] = ["to http://192.168.0.1/p.jpg"]
    huge = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    huge += _chunk(b"IDAT", zlib.compress(b"\0" * 100000)) + _chunk(b"IEND", b"")
    museum.put(path(6), huge, "image/png")
    museum.put(path(7), museum.jpeg(7, 40, 40))
    for entry in museum.entries["commons"][:8]:
        entry["imageinfo"][0]["sha1"] = ""
    done = go(museum, tmp_path)
    assert pictures(tmp_path) == ["wikimedia-8.jpg", "wikimedia-9.jpg"]
    assert dict(done.refused) == {
        "not a picture": 3,
        "too many redirects": 1,
        "where nothing may be fetched from": 1,
        "too large": 1,
        "too small": 1,
    }
    assert [p.name for p in (tmp_path / ".collect" / "parts").iterdir()] == []


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_what_failed_is_tried_again_by_the_next_run(museum, tmp_path):
    for number in range(1, 4):
        museum.commons(number)
    museum.entries["commons"][0]["imageinfo"][0]["sha1"] = "0" * 40
    whole = museum.files["/wikipedia/commons/2.jpg"]
    museum.put("/wikipedia/commons/2.jpg", whole[0][: len(whole[0]) // 2])
    museum.entries["commons"][1]["imageinfo"][0]["sha1"] = ""
    museum.faults["/wikipedia/commons/3.jpg"] = [500] * 5
    done = go(museum, tmp_path)
    assert dict(done.failed) == {
        "not the file that was announced": 1,
        "a picture that cannot be decoded": 1,
        "status 500": 1,
    }
    assert pictures(tmp_path) == []
    museum.files["/wikipedia/commons/2.jpg"] = whole
    museum.entries["commons"].clear()  # the list has moved on; what failed is remembered
    again = go(museum, tmp_path)
    assert (again.kept, dict(again.failed)) == (2, {"not the file that was announced": 1})
    assert sound(tmp_path) == ["wikimedia-2.jpg", "wikimedia-3.jpg"]
    assert museum.fetched("/w/api.php") == 1


def test_equal_files_are_kept_once(museum, tmp_path):
    data = museum.jpeg(99)
    for number in (1, 2, 3):
        museum.commons(number, data)
    done = go(museum, tmp_path)
    assert (done.kept, done.same, pictures(tmp_path)) == (1, 2, ["wikimedia-1.jpg"])
    again = go(museum, tmp_path)
    assert (again.kept, again.before, museum.fetched("/wikipedia/commons/2.jpg")) == (0, 1, 1)


def test_the_limit_counts_earlier_runs_and_other_queries_share_the_folder(museum, tmp_path):
    for number in range(1, 10):
        museum.commons(number)
    assert go(museum, tmp_path, limit=3).kept == 3
    assert go(museum, tmp_path, limit=3).kept == 0
    more = go(museum, tmp_path, limit=5)
    assert (more.kept, more.before, more.known) == (2, 3, 3)
    other = go(museum, tmp_path, query="other words", limit=2)
    assert (other.kept, other.known, other.before) == (2, 5, 0)
    assert all(museum.fetched(f"/wikipedia/commons/{n}.jpg") == 1 for n in range(1, 8))
    assert len(sound(tmp_path)) == 7


def test_what_was_moved_away_is_not_fetched_again(museum, tmp_path):
    for number in range(1, 4):
        museum.commons(number)
    go(museum, tmp_path)
    (tmp_path / "wikimedia-2.jpg").unlink()
    go(museum, tmp_path, query="again")
    assert sound(tmp_path) == ["wikimedia-1.jpg", "wikimedia-3.jpg"]
    assert len((tmp_path / "index.jsonl").read_text().splitlines()) == 2


def test_dedupe_takes_the_sidecar_along(museum, tmp_path):
    data = museum.jpeg(1)
    museum.commons(1, data)
    museum.commons(2, data + b"\0")  # another file of the same picture
    assert go(museum, tmp_path / "photos").kept == 2
    (tmp_path / "photos" / "wikimedia-1.jpg.txt").write_text("mine")
    done = CliRunner().invoke(app, ["data", "dedupe", str(tmp_path / "photos"), "--move-to", str(tmp_path / "away")])
    assert done.exit_code == 0, done.stderr
    moved = sorted(p.name for p in (tmp_path / "away").iterdir())
    assert len(moved) == 2
    assert moved[1] == f"{moved[0]}.json"
    assert len(sound(tmp_path / "photos")) == len(sound(tmp_path / "away")) == 1
    again = go(museum, tmp_path / "photos")
    assert (again.kept, again.adopted) == (0, 0)


def test_an_api_that_refuses_ends_the_run_with_a_reason(museum, tmp_path):
    museum.key = "right-one"
    with pytest.raises(UnavailableError, match="SMITHSONIAN_API_KEY") as caught:
        go(museum, tmp_path / "s", "smithsonian", key="wr0ng")
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(UnavailableError, match="EUROPEANA_API_KEY") as caught:
        go(museum, tmp_path / "e", "europeana", key="wr0ng")
    assert "wr0ng" not in str(caught.value)
    museum.faults["/w/api.php"] = [404]
    with pytest.raises(UnavailableError, match="status 404"):
        go(museum, tmp_path / "w")
    museum.faults["/w/api.php"] = [500] * 5
    with pytest.raises(UnavailableError, match="status 500"):
        go(museum, tmp_path / "w")
    museum.commons(1)
    assert go(museum, tmp_path / "w").kept == 1


def test_strange_answers_are_no_fault_of_ours(museum, tmp_path):
    for answer in (b"[]", b"3", b"{}"):
        museum.faults["/w/api.php"] = [_saying(answer)]
        with pytest.raises(UnavailableError, match="none to a query"):
            go(museum, tmp_path, query="later")
    museum.commons(1)
    assert go(museum, tmp_path, query="later").kept == 1  # what was no answer did not end the search
    for answer in (b'{"query": {"pages": {"1": 2}}}', b'{"query": {"pages": [null, {"pageid": "x"}]}}'):
        museum.commons(1)
        museum.faults["/w/api.php"] = [_saying(answer)]
        done = go(museum, tmp_path, query=answer.decode())
        assert (done.kept, done.finished) == (0, True)
    museum.faults["/w/api.php"] = [_saying(b'{"error": {"code": "badvalue", "info": "no"}}')]
    with pytest.raises(UnavailableError, match="badvalue"):
        go(museum, tmp_path, query="x")
    museum.key = "key-1"
    museum.faults["/openaccess/api/v1.0/search"] = [_saying(b'{"status": 500, "responseCode": 0}')]
    with pytest.raises(UnavailableError, match="API says no"):
        go(museum, tmp_path, "smithsonian", key="key-1")


def _saying(data):
    def say(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return say


def test_many_failures_in_a_row_end_the_run(museum, tmp_path, monkeypatch):
    monkeypatch.setattr("tratto_lab.collect.run.MOST_FAILURES", 3)
    for number in range(1, 7):
        museum.commons(number)
        museum.faults[f"/wikipedia/commons/{number}.jpg"] = [503] * 5 if number < 4 else []
    with pytest.raises(UnavailableError, match="3 pictures"):
        go(museum, tmp_path)
    assert go(museum, tmp_path).kept == 6


def test_a_journal_ends_where_a_kill_cut_it(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path) as one:
        one.add(event="a")
        one.add(event="b")
    with open(path, "ab") as file:
        file.write(b'{"event": "half')
    with Journal(path) as one:
        assert [e["event"] for e in one.events()] == ["a", "b"]
        one.add(event="c")
        assert [e["event"] for e in one.events()] == ["a", "b", "c"]
        with pytest.raises(OutputError, match="another process"):
            Journal(path)
    path.write_bytes(b'{"event": "a"}\nnonsense\n')
    with Journal(path) as one, pytest.raises(InputError, match="line 2"):
        list(one.events())


def test_what_a_kill_left_between_two_steps_is_finished(museum, tmp_path):
    for number in range(1, 4):
        museum.commons(number)
    go(museum, tmp_path)
    journal = tmp_path / ".collect" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    # as if killed after picture 2 had its name, but before the journal heard of it, while the sidecar of 3 was there
    journal.write_text("".join(lines[:2]))
    (tmp_path / "wikimedia-3.jpg").unlink()
    (tmp_path / ".collect" / "parts" / "left.part").write_bytes(b"half")
    renamed = tmp_path / "mine.jpg"
    renamed.write_bytes((tmp_path / "wikimedia-1.jpg").read_bytes())
    (tmp_path / "mine.jpg.json").write_text((tmp_path / "wikimedia-1.jpg.json").read_text())
    done = go(museum, tmp_path)
    assert (done.adopted, done.kept, done.before) == (1, 1, 2)
    assert renamed.exists()
    renamed.unlink()
    assert sound(tmp_path) == ["wikimedia-1.jpg", "wikimedia-2.jpg", "wikimedia-3.jpg"]
    assert list((tmp_path / ".collect" / "parts").iterdir()) == []
    assert museum.fetched("/wikipedia/commons/2.jpg") == 1


def test_killed_again_and_again_nothing_is_lost_or_doubled(museum, tmp_path):
    for number in range(1, 31):
        museum.commons(number, museum.jpeg(number % 27))  # three are equal to others
    museum.delay = 0.01
    out, rng = tmp_path / "out", random.Random(7)
    line = [
        sys.executable,
        "-m",
        "tratto.cli.main",
        "data",
        "collect",
        "wikimedia",
        "--query",
        "walls",
        "--out",
        str(out),
    ]
    line += ["--base-url", museum.url, "--interval", "0", "--contact", "me@example.org", "--min-side", "64"]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        before = len(museum.requests)
        deadline = time.monotonic() + 120
        stop = before + rng.randint(2, 14)
        while process.poll() is None and time.monotonic() < deadline and len(museum.requests) < stop:
            time.sleep(0.001)
        if process.poll() is None and kills < 3:
            time.sleep(rng.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            for name in pictures(out) if out.exists() else []:
                Pil.open(out / name).load()
                read_sidecar(out / f"{name}.json")
            continue
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        break
    assert kills == 3
    assert len(sound(out)) == 27
    events = [json.loads(x) for x in (out / ".collect" / "journal.jsonl").read_text().splitlines()]
    kept = [e["id"] for e in events if e["event"] == "kept"]
    same = [e["id"] for e in events if e["event"] == "same"]
    assert len(kept) == len(set(kept)) == 27
    assert sorted(kept + same, key=int) == [str(n) for n in range(1, 31)]
    # a kill costs at most the one picture that was on its way
    assert sum(museum.fetched(f"/wikipedia/commons/{n}.jpg") for n in range(1, 31)) <= 30 + kills
    assert "27 of this query" in stdout


def test_names_are_safe_and_never_two_for_one(tmp_path):
    assert file_name("wikimedia", "12") == "wikimedia-12"
    names = {file_name("x", n) for n in ("a/b", "a_b", "A_b", "../../b", "é", "e", "a" * 300, "a" * 301)}
    assert len(names) == 8
    assert all(n.isascii() and "/" not in n and len(n) < 110 for n in names)
    assert file_name("x", "../../b").startswith("x-b-")


def test_found_round_trips():
    one = Found("1", "http://x", "http://y", "t", statements=("CC0",), width=3)
    assert Found.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_bad_folders_and_plans(museum, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="used as a folder"):
        go(museum, tmp_path / "file")
    with pytest.raises(OptionError, match="query"):
        go(museum, tmp_path, query="  ")
    with pytest.raises(OptionError, match="above 0"):
        go(museum, tmp_path, limit=0)
    with pytest.raises(InputError, match="sidecar"):
        read_sidecar(tmp_path / "file")
    (tmp_path / ".collect").mkdir()
    assert write_index(tmp_path) == 0


def test_the_command(museum, tmp_path, monkeypatch):
    museum.commons(1)
    run = CliRunner().invoke
    base = ["data", "collect", "wikimedia", "--query", "x", "-o", str(tmp_path / "o"), "--base-url", museum.url]
    base += ["--interval", "0", "--min-side", "64"]
    monkeypatch.delenv("TRATTO_CONTACT", raising=False)
    refused = run(app, base)
    assert refused.exit_code == 2
    assert "--contact" in refused.stderr
    done = run(app, [*base, "--contact", "me@example.org", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["kept"] == 1
    assert json.loads(run(app, [*base, "--contact", "me", "--json"]).stdout)["before"] == 1
    monkeypatch.delenv("EUROPEANA_API_KEY", raising=False)
    keyless = run(app, ["data", "collect", "europeana", "--query", "x", "-o", str(tmp_path / "e")])
    assert (keyless.exit_code, "EUROPEANA_API_KEY" in keyless.stderr) == (2, True)
    for extra, word in [
        (["--licence", "mit"], "cc-by-sa"),
        (["--interval", "nan"], "interval"),
        (["--base-url", "http://example.org:80"], "base URL"),
        (["--limit", "20000"], "10000"),
        (["--max-bytes", "0"], "max-bytes"),
    ]:
        wrong = run(app, [*base, "--contact", "me", *extra])
        assert (wrong.exit_code, word in wrong.stderr) == (2, True), wrong.stderr
    assert run(app, ["data", "collect", "flickr", "--query", "x", "-o", "y"]).exit_code == 2


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_told_and_nothing_is_lost(museum, tmp_path, monkeypatch, call, step):
    for number in range(1, 3):
        museum.commons(number)
    real, left = getattr(os, call), [step]

    def full(*given, **named):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        failed = False
        try:
            go(museum, tmp_path)
        except OutputError as e:
            failed = "No space left on device" in str(e)
    # what only asks for a folder's entry to be written soon may fail in silence
    assert failed or call == "fsync"
    go(museum, tmp_path)
    assert sound(tmp_path) == ["wikimedia-1.jpg", "wikimedia-2.jpg"]
    assert list((tmp_path / ".collect" / "parts").iterdir()) == []
