"""The API from outside: who gets in, what may be sent, what a job leaves, and what nobody else sees."""

import asyncio
import hashlib
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image as Pil

from .conftest import hole, picture, png, send, start


def kind(answer):
    return answer.status_code, answer.json()["error"]["kind"]


@pytest.fixture(scope="module")
def done(server, sent):
    """A repair of alice that is done."""
    asked = {
        "task": "repair",
        "inputs": {"picture": sent[0]["id"], "mask": sent[1]["id"]},
        "options": {"method": "telea"},
    }
    answer = server.alice.post("/api/v1/jobs", json=asked, headers={"Idempotency-Key": "one"})
    assert answer.status_code == 202, answer.text
    again = server.alice.post("/api/v1/jobs", json=asked, headers={"Idempotency-Key": "one"})
    assert again.json()["id"] == answer.json()["id"]
    asked["options"]["method"] = "patch"
    other = server.alice.post("/api/v1/jobs", json=asked, headers={"Idempotency-Key": "one"})
    assert kind(other) == (409, "KeyReused")
    assert server.work()
    assert not server.work()
    return server.alice.get(f"/api/v1/jobs/{answer.json()['id']}").json()


def test_nobody_gets_in_without_a_key(server):
    assert kind(server.nobody.get("/api/v1/me")) == (401, "Unauthorized")
    assert kind(server.client("tratto_wrong").get("/api/v1/jobs")) == (401, "Unauthorized")
    assert server.nobody.get("/api/v1/health").json()["ok"]
    assert server.alice.get("/api/v1/me").json()["name"] == "alice"


def test_a_key_that_gets_the_name_of_a_removed_one_does_not_see_what_that_one_sent(server):
    first = server.key("clerk")
    upload = send(first, png(hole()), "mask.png")["id"]
    server.access.remove_key("clerk")
    second = server.key("clerk")
    assert second.get("/api/v1/me").json()["name"] == "clerk"
    assert second.get("/api/v1/uploads").json()["uploads"] == []
    assert second.get(f"/api/v1/uploads/{upload}").status_code == 404
    assert second.delete(f"/api/v1/uploads/{upload}").status_code == 404


def test_a_link_is_good_once_and_gives_a_cookie_that_scripts_cannot_read(server):
    browser = server.client()
    link = f"/start/{server.access.new_link()}"
    answer = browser.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert server.client().get(link).status_code == 403
    assert browser.get("/api/v1/me").json()["kind"] == "page"
    # what changes something needs the page's own header, from the page's own address
    assert kind(browser.delete(f"/api/v1/jobs/{'0' * 32}")) == (403, "CrossSite")
    page = {"X-Tratto-Page": "1"}
    assert browser.delete(f"/api/v1/jobs/{'0' * 32}", headers=page).status_code == 404
    for more in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.delete(f"/api/v1/jobs/{'0' * 32}", headers=page | more).status_code == 403


def test_another_name_for_this_machine_gets_nothing(server):
    for host in ("evil.example", "127.0.0.1:9999", "127.0.0.1.evil.example:8787"):
        assert kind(server.alice.get("/api/v1/health", headers={"Host": host})) == (421, "WrongHost")


def test_every_answer_has_the_headers_that_protect_a_browser(server, sent):
    for path in ("/", "/api/v1/health", f"/api/v1/uploads/{sent[0]['id']}/file", "/nothing"):
        headers = server.alice.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"] or path == "/"
        assert "access-control-allow-origin" not in headers


def test_an_upload_is_told_as_it_is(server, sent):
    told = sent[0]
    assert (told["width"], told["height"], told["mode"], told["pages"]) == (120, 90, "rgb", 1)
    assert told["name"] == "Röntgen 1.png"
    data = server.alice.get(f"/api/v1/uploads/{told['id']}/file")
    assert hashlib.sha256(data.content).hexdigest() == told["sha256"]
    assert data.headers["content-disposition"].startswith("attachment")
    tile = server.alice.get(f"/api/v1/uploads/{told['id']}/tiles/{told['view']['max_level']}/0_0")
    shown = np.asarray(Pil.open(io.BytesIO(tile.content)), int)
    assert np.abs(shown - picture()).mean() < 3
    assert server.alice.get(f"/api/v1/uploads/{told['id']}/tiles/{told['view']['max_level']}/1_0").status_code == 404
    small = server.alice.get(f"/api/v1/uploads/{told['id']}/preview?side=320")
    assert Pil.open(io.BytesIO(small.content)).size == (120, 90)


def test_a_job_leaves_everything_a_page_shows(server, sent, done):
    assert (done["state"], done["progress"], done["error"]) == ("done", 1.0, None)
    assert set(done["pictures"]) == {"before", "after", "edit_map", "confidence_map", "mask"}
    assert done["regions"][0]["claim"] == "hypothetical reconstruction"
    x, y, w, h = done["regions"][0]["box"]
    assert x <= 20
    assert y <= 30
    assert x + w >= 70
    assert y + h >= 36
    base = f"/api/v1/jobs/{done['id']}"
    for role, view in done["pictures"].items():
        tile = server.alice.get(f"{base}/pictures/{role}/tiles/{view['max_level']}/0_0")
        assert (tile.status_code, tile.headers["content-type"]) == (200, view["type"])
        assert server.alice.get(f"{base}/pictures/{role}/preview").status_code == 200
    edits = server.alice.get(f"{base}/pictures/edit_map/tiles/{done['pictures']['edit_map']['max_level']}/0_0")
    alpha = np.asarray(Pil.open(io.BytesIO(edits.content)))[..., 3]
    assert not alpha[hole() == 0].any()  # nothing is shown where nothing changed
    assert alpha[hole() > 0].mean() > 200
    result = np.asarray(Pil.open(io.BytesIO(server.alice.get(f"{base}/result").content)))
    assert (result != picture()).any(axis=2)[hole() > 0].mean() > 0.9
    assert np.array_equal(result[hole() == 0], picture()[hole() == 0])
    assert server.alice.get(f"{base}/receipt").json()["task"] == "repair"
    report = server.alice.get(f"{base}/report")
    assert "sandbox" in report.headers["content-security-policy"]


def test_a_bundle_verifies_and_a_changed_one_does_not(server, sent, done):
    base = f"/api/v1/jobs/{done['id']}"
    assert server.alice.post(f"{base}/verify").json()["verdict"] == "authentic"
    data = server.alice.get(f"{base}/bundle").content
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert "Röntgen 1.png" in names
    assert "Röntgen 1.tratto/seal.json" in names
    told = server.bob.post("/api/v1/verify", files={"file": ("b.zip", data)}).json()
    assert (told["verdict"], told["receipt"]["task"]) == ("authentic", "repair")
    spoilt = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(spoilt, "w") as new:
        for name in names:
            kept = old.read(name)
            new.writestr(name, kept + b" " if name.endswith("report.html") else kept)
    assert (
        server.bob.post("/api/v1/verify", files={"file": ("b.zip", spoilt.getvalue())}).json()["verdict"] == "altered"
    )


def test_undo_gives_back_the_bytes_that_were_sent(server, sent, done):
    answer = server.alice.post(f"/api/v1/jobs/{done['id']}/undo")
    assert answer.status_code == 201
    assert answer.json()["sha256"] == sent[0]["sha256"]
    assert server.alice.delete(f"/api/v1/uploads/{answer.json()['id']}").status_code == 204


def test_nobody_else_sees_or_touches_it(server, sent, done):
    for path in ("", "/result", "/bundle", "/report", "/receipt", "/events", "/pictures/after/preview"):
        assert server.bob.get(f"/api/v1/jobs/{done['id']}{path}").status_code == 404
    for action in ("pause", "cancel", "retry", "verify", "undo"):
        assert server.bob.post(f"/api/v1/jobs/{done['id']}/{action}").status_code == 404
    for path in ("", "/file", "/preview", "/tiles/7/0_0"):
        assert server.bob.get(f"/api/v1/uploads/{sent[0]['id']}{path}").status_code == 404
    assert server.bob.delete(f"/api/v1/uploads/{sent[0]['id']}").status_code == 404
    asked = {"task": "restore", "inputs": {"picture": sent[0]["id"]}}
    assert server.bob.post("/api/v1/jobs", json=asked).status_code == 404
    assert server.bob.get("/api/v1/jobs").json()["jobs"] == []


def apart(coroutine):
    """Run a coroutine in a thread of its own: a browser of other tests may keep a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(coroutine())).result()


def test_a_key_that_is_removed_while_it_listens_hears_nothing_more(server):
    from tratto.server.stream import Pulse, events

    listener = server.key("listener")
    upload = send(listener, png(picture()))["id"]
    job = listener.post("/api/v1/jobs", json={"task": "restore", "inputs": {"picture": upload}}).json()["id"]
    owner = server.store.database.row("SELECT owner FROM jobs WHERE id=?", job)["owner"]

    async def heard():
        allowed = lambda: server.access.holds_key(owner)  # noqa: E731
        return [m async for m in events(Pulse(server.store), owner, 0, None, lambda name: "{}", 0.2, allowed)]

    assert sum("event: job" in m for m in apart(heard)) == 1
    assert listener.delete(f"/api/v1/jobs/{job}").status_code == 204
    server.access.remove_key("listener")
    assert not any("event:" in m for m in apart(heard))


def test_events_go_on_where_a_listener_left(server, done):
    def numbers(text):
        return [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]

    path = f"/api/v1/jobs/{done['id']}/events"
    whole = server.alice.get(path)
    assert whole.headers["content-type"].startswith("text/event-stream")
    last = numbers(whole.text)[-1]
    assert json.loads(whole.text.split("data: ")[1].splitlines()[0])["state"] == "done"
    assert numbers(server.alice.get(path, headers={"Last-Event-ID": str(last)}).text) == []
    assert numbers(server.alice.get(f"/api/v1/events?last_event_id={last - 1}").text) == [last]
    assert numbers(server.bob.get("/api/v1/events?last_event_id=0").text) == []


def test_a_search_for_damage_gives_masks_that_are_uploads(server, sent):
    asked = {
        "task": "mask-wall", "inputs": {"picture": sent[0]["id"]}, "options": {"clicks": [[100, 80]], "tolerance": 3},
    }  # fmt: skip
    job = server.alice.post("/api/v1/jobs", json=asked).json()["id"]
    assert server.work()
    told = server.alice.get(f"/api/v1/jobs/{job}").json()
    assert told["state"] == "done", told["error"]
    mask = server.alice.get(f"/api/v1/uploads/{told['outputs']['mask']['upload']}").json()
    assert (mask["width"], mask["height"], mask["mode"]) == (120, 90, "gray")
    asked = {"task": "restore", "inputs": {"picture": sent[0]["id"], "mask": mask["id"]}, "options": {"dry_run": True}}
    job = server.alice.post("/api/v1/jobs", json=asked).json()["id"]
    assert server.work()
    assert server.alice.get(f"/api/v1/jobs/{job}").json()["plan"]["width"] == 120


def frames(path, count):
    pages = [Pil.fromarray(picture(seed=n)) for n in range(count)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path.read_bytes()


def test_a_file_of_several_pages_is_asked_for_with_its_page(server, tmp_path):
    upload = send(server.alice, frames(tmp_path / "two.tif", 2), "two.tif")
    assert upload["pages"] == 2
    asked = {"task": "restore", "inputs": {"picture": upload["id"]}}
    for options in ({}, {"page": None}, {"page": 2}):
        answer = server.alice.post("/api/v1/jobs", json={**asked, "options": options})
        assert answer.status_code == 409
        assert answer.json()["error"]["option"] == "options.page"
        assert "--" not in answer.json()["error"]["message"]


def test_a_message_names_options_as_they_are_over_http(server, sent):
    from tratto.server.offers import http_words, offers

    for offer in offers().values():
        flags = [entry.flag for _, entry in offer.entries()]
        assert "--" not in http_words(", ".join(flags), offer)
    assert http_words("say it (tratto mask find --kind)", offers()["repair"]) == "say it"
    assert http_words("raise --max-minutes", offers()["restore"]) == "raise --max-minutes"  # the owner's, not theirs
    asked = {"task": "restore", "inputs": {"picture": sent[0]["id"]}, "options": {"keep_original": False, "page": 1}}
    assert server.alice.post("/api/v1/jobs", json=asked).json()["error"]["option"] == "options.page"
    flat = send(server.alice, png(np.full((40, 40, 3), 128, np.uint8)), "flat.png")
    job = server.alice.post("/api/v1/jobs", json={"task": "restore", "inputs": {"picture": flat["id"]}}).json()["id"]
    assert server.work()
    assert "--" not in server.alice.get(f"/api/v1/jobs/{job}").json()["note"]


def test_inputs_say_which_classes_of_damage_they_may_have_masks_of(server):
    told = {t["name"]: {i["role"]: i for i in t["inputs"]} for t in server.alice.get("/api/v1/tasks").json()["tasks"]}
    assert set(told["repair"]["mask"]["classes"]) >= {"crack", "stain"}
    assert told["restore"]["mask"]["classes"] == told["repair"]["picture"]["classes"] == []
    assert not any("folder" in i["help"] for inputs in told.values() for i in inputs.values())


def test_a_refused_file_is_not_called_by_a_name_that_nobody_gave_it(server):
    cut = server.alice.post("/api/v1/uploads", files={"file": ("cut.png", png(picture())[:-200])})
    small = server.key("small", pixels=1000)
    large = small.post("/api/v1/uploads", files={"file": ("large.png", png(picture()))})
    for answer, status in ((cut, 415), (large, 413)):
        assert answer.status_code == status
        assert "part0" not in answer.text
        assert "TRATTO_MAX" not in answer.text


@pytest.mark.parametrize(
    ("problem", "option"), [("a {grow} of 2", "options.grow"), ("{mask}", "inputs.mask"), ("x", None)]
)
def test_options_that_contradict_each_other_are_said_at_the_first(problem, option):
    from tratto.server.offers import _first_named, offers

    assert _first_named((problem,), offers()["repair"]) == option


@pytest.mark.parametrize(
    ("asked", "status", "option"),
    [
        ("{", 400, None),
        ("[]", 422, None),
        ('{"task": "paint"}', 422, "task"),
        ('{"task": "restore", "inputs": {}}', 422, "inputs.picture"),
        ('{"task": "restore", "inputs": {"picture": "../../x"}}', 422, "inputs.picture"),
        ('{"task": "restore", "inputs": {"picture": "PIC"}, "options": {"strength": NaN}}', 400, None),
        ('{"task": "restore", "inputs": {"picture": "PIC"}, "options": {"strength": -1}}', 422, "options.strength"),
        ('{"task": "restore", "inputs": {"picture": "PIC"}, "options": {"scale": true}}', 422, "options.scale"),
        ('{"task": "restore", "inputs": {"picture": "PIC"}, "options": {"device": "cuda"}}', 422, "options.device"),
        ('{"task": "restore", "inputs": {"picture": "PIC"}, "options": {"params": {"model": "/etc"}}}', 422, "options"),
        ('{"task": "repair", "inputs": {"picture": "PIC", "mask": "auto"}, "options": {"params": {}}}', 422, "options"),
        ('{"task": "repair", "inputs": {"picture": "PIC", "mask": {"../x": "PIC"}}}', 422, "inputs.mask.../x"),
        ('{"task": "repair", "inputs": {"picture": "PIC", "mask": []}}', 422, "inputs.mask"),
        ('{"task": "repair", "inputs": {"picture": "PIC", "mask": "auto"}, "options": {"method": "sdxl"}}', 409, None),
        ('{"task": "recolor", "inputs": {"picture": "PIC"}, "options": {"color": "#112233"}}', 409, "inputs.mask"),
        ('{"task": "restore", "inputs": {"picture": "' + "0" * 32 + '"}}', 404, None),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(server, sent, asked, status, option):
    answer = server.alice.post("/api/v1/jobs", content=asked.replace("PIC", sent[0]["id"]))
    assert answer.status_code == status, answer.text
    told = answer.json()["error"]["option"]
    assert "=FOLDER" not in answer.json()["error"]["message"]
    assert told == option or (option == "options" and told.startswith("options."))


def test_a_job_that_fails_says_why_and_can_be_done_again(server, sent):
    small = send(server.alice, png(hole(20, 20)), "small.png")
    asked = {"task": "repair", "inputs": {"picture": sent[0]["id"], "mask": small["id"]}}
    job = server.alice.post("/api/v1/jobs", json=asked).json()["id"]
    assert server.work()
    told = server.alice.get(f"/api/v1/jobs/{job}").json()
    assert (told["state"], told["error"]["kind"]) == ("failed", "OptionError")
    assert str(server.settings.folder) not in told["error"]["message"]
    assert kind(server.alice.post(f"/api/v1/jobs/{job}/resume")) == (409, "WrongState")
    assert server.alice.post(f"/api/v1/jobs/{job}/retry").json()["state"] == "queued"
    assert server.alice.post(f"/api/v1/jobs/{job}/pause").json()["state"] == "paused"
    assert not server.work()
    assert server.alice.post(f"/api/v1/jobs/{job}/cancel").json()["state"] == "cancelled"
    folder = server.settings.job(job)
    assert folder.is_dir()
    assert server.alice.delete(f"/api/v1/jobs/{job}").status_code == 204
    assert not folder.exists()
    assert server.alice.get(f"/api/v1/jobs/{job}").status_code == 404


def test_scopes_and_rates_of_a_key(server, sent):
    reader = server.key("reader", ("read",), per_minute=3)
    assert kind(reader.post("/api/v1/jobs", json={})) == (403, "Forbidden")
    assert kind(reader.post("/api/v1/verify")) == (403, "Forbidden")
    assert reader.get("/api/v1/tasks").status_code == 200
    answer = reader.get("/api/v1/tasks")
    assert kind(answer) == (429, "TooManyRequests")
    assert int(answer.headers["retry-after"]) >= 1
    server.access.remove_key("reader")
    assert reader.get("/api/v1/tasks").status_code == 401


def test_jobs_that_wait_do_not_go_beyond_the_quota_together(tmp_path):
    server = start(tmp_path)
    with server.main:
        poor = server.key("poor", quota=120_000)
        upload = send(poor, png(picture()))["id"]
        asked = {"task": "restore", "inputs": {"picture": upload}, "options": {"force": True}}
        ids = [poor.post("/api/v1/jobs", json=asked).json()["id"] for _ in range(4)]
        while server.work():
            pass
        told = [poor.get(f"/api/v1/jobs/{i}").json() for i in ids]
        assert [t["state"] for t in told] == ["done", "failed", "failed", "failed"]
        assert told[1]["error"]["kind"] == "OutputError"
        assert poor.delete(f"/api/v1/jobs/{ids[0]}").status_code == 204
        assert poor.post(f"/api/v1/jobs/{ids[1]}/retry").status_code == 200
        assert server.work()
        assert poor.get(f"/api/v1/jobs/{ids[1]}").json()["state"] == "done"


def test_quota_and_limits_of_a_key_lose_nothing(tmp_path):
    server = start(tmp_path)
    with server.main:
        poor = server.key("poor", quota=60_000)
        small = server.key("small", pixels=1000, upload_bytes=50_000)
        first = send(poor, png(picture()))
        answer = poor.post("/api/v1/uploads", files={"file": ("a.png", png(picture(400, 400)))})
        assert answer.status_code in (413, 507)
        assert poor.get(f"/api/v1/uploads/{first['id']}").status_code == 200
        assert kind(small.post("/api/v1/uploads", files={"file": ("a.png", png(picture()))})) == (
            413,
            "PictureTooLarge",
        )
        big = small.post("/api/v1/uploads", files={"file": ("a.png", bytes(60_000))})
        assert kind(big) == (413, "FileTooLarge")
        assert not list(server.settings.temporary.iterdir())


def test_what_expired_goes_with_its_files(tmp_path):
    from tratto.server.serve import expire, sweep

    server = start(tmp_path, keep=0.001)
    with server.main:
        alice = server.key("alice")
        upload = send(alice, png(picture()))
        folder = server.settings.upload(upload["id"])
        assert folder.is_dir()
        (server.settings.folder / "jobs" / "left").mkdir()
        sweep(server.settings, server.store)
        assert not (server.settings.folder / "jobs" / "left").exists()
        expire(server.settings, server.store)
        assert not folder.exists()
        assert alice.get(f"/api/v1/uploads/{upload['id']}").status_code == 404


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    roomy = start(tmp_path)
    with roomy.main:
        alice = roomy.key("alice")
        upload = send(alice, png(picture()))
        key = alice.headers["authorization"]
    full = start(tmp_path, spare=10**18)
    with full.main:
        alice = full.client(key.split()[1])
        assert kind(alice.post("/api/v1/uploads", files={"file": ("a.png", png(picture()))})) == (507, "DiskFull")
        asked = {"task": "restore", "inputs": {"picture": upload["id"]}}
        assert kind(alice.post("/api/v1/jobs", json=asked)) == (507, "DiskFull")
        assert kind(alice.post("/api/v1/verify", files={"file": ("a.png", png(picture()))})) == (507, "DiskFull")
        assert alice.get(f"/api/v1/uploads/{upload['id']}/file").status_code == 200
        assert alice.get("/api/v1/jobs").json()["jobs"] == []
        assert len(list((full.settings.folder / "jobs").iterdir())) == 0


def test_a_disk_that_fills_while_a_job_is_done_fails_it_and_it_can_be_done_again(server, sent, monkeypatch):
    import errno

    job = server.alice.post("/api/v1/jobs", json={"task": "restore", "inputs": {"picture": sent[0]["id"]}}).json()["id"]
    with monkeypatch.context() as patch:

        def write(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr("tratto.server.doing.write_pyramid", write)
        assert server.work()
    told = server.alice.get(f"/api/v1/jobs/{job}").json()
    assert (told["state"], told["error"]["kind"]) == ("failed", "OutputError")
    assert [p.name for p in server.settings.job(job).iterdir()] == ["inputs"]
    assert server.alice.post(f"/api/v1/jobs/{job}/retry").status_code == 200
    assert server.work()
    assert server.alice.get(f"/api/v1/jobs/{job}").json()["state"] == "done"
