"""What a job leaves when its process is killed at the worst moment; ledger, classes, pages, templates, pause."""

import json

import numpy as np
import pytest
from PIL import Image as Pil

from .conftest import hole, picture, png, send, start


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("doing")


@pytest.fixture(scope="module")
def server(home):
    """A server whose owner has a ledger and named words."""
    pytest.importorskip("cryptography")
    pytest.importorskip("c2pa")
    from tratto.ledger import Ledger, keys

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRATTO_KEYS", str(home / "keys"))
        patch.setenv("TRATTO_PROMPTS", str(home / "prompts.toml"))
        (home / "prompts.toml").write_text('[templates]\nprint = "{words}, albumen print"\n')
        keys.new_key("ledger", "ledger", "example.org/log")
        keys.new_key("studio", "identity")
        with Ledger.create(home / "ledger", keys.signer("ledger", "ledger")):
            pass
        made = start(home / "data", ledger=home / "ledger", sign="studio")
        with made.main:
            made.alice = made.key("alice")
            yield made


def ask(server, **asked):
    answer = server.alice.post("/api/v1/jobs", json=asked)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def told(server, job):
    return server.alice.get(f"/api/v1/jobs/{job}").json()


def entries(home):
    from tratto.ledger.tiles import LedgerReader

    return LedgerReader(home / "ledger").size


def test_a_result_that_was_whole_when_its_process_was_killed_is_taken_and_recorded_once(server, home):
    from tratto.server.doing import OUTCOME, do
    from tratto.server.store import LEASE
    from tratto.server.worker import Claim, Worker

    ids = [send(server.alice, png(a))["id"] for a in (picture(), hole())]
    job = ask(server, task="repair", inputs={"picture": ids[0], "mask": {"crack": ids[1]}},
              options={"method": "telea", "template": "print", "caption": "a harbor"})  # fmt: skip
    row = server.store.claim("killed")
    worker = Worker(server.settings, do, "killed", server.store)
    do(Claim(row, worker), server.settings)  # and then it is killed: nothing of this is in the database
    assert told(server, job)["state"] == "running"
    folder = server.settings.job(job)
    before = (folder / row["token"] / OUTCOME).stat().st_mtime_ns
    assert entries(home) == 1
    server.store.orphan("killed")
    assert server.work()
    after = told(server, job)
    assert (after["state"], after["entry"], after["attempts"]) == ("done", 0, 2)
    assert after["signed"].startswith("studio")
    assert (folder / row["token"] / OUTCOME).stat().st_mtime_ns == before  # it was not done again
    assert entries(home) == 1
    receipt = server.alice.get(f"/api/v1/jobs/{job}/receipt").json()
    assert receipt["steps"][0]["params"]["caption"] == "a harbor, albumen print"
    assert receipt["mask"]["parts"][0]["class"] == "crack"
    assert LEASE > 0


def test_what_is_left_of_an_attempt_that_was_killed_goes(server):
    upload = send(server.alice, png(picture(40, 40)))
    job = ask(server, task="restore", inputs={"picture": upload["id"]})
    left = server.settings.job(job) / ("f" * 32)
    (left / "out").mkdir(parents=True)
    (left / "out" / "half.png").write_bytes(b"half")
    assert server.alice.delete(f"/api/v1/uploads/{upload['id']}").status_code == 204
    assert server.work()
    after = told(server, job)
    assert after["state"] == "done"  # the job kept the picture
    assert not left.exists()
    tile = server.alice.get(f"/api/v1/jobs/{job}/pictures/before/tiles/{after['pictures']['before']['max_level']}/0_0")
    assert tile.status_code == 200


def test_a_page_of_several_is_worked_on_and_shown(server):
    import io

    pages = [Pil.fromarray(np.full((30 + k, 40, 3), 60 * k + 20, np.uint8)) for k in range(3)]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    upload = send(server.alice, out.getvalue(), "pages.tif")
    assert upload["pages"] == 3
    one = ask(server, task="restore", inputs={"picture": upload["id"]}, options={"page": 2, "scale": 2})
    assert server.work()
    after = told(server, one)
    assert after["state"] == "done", after["error"]
    assert [after["pictures"][r]["height"] for r in ("before", "after")] == [32, 64]


def test_each_job_leaves_one_folder_and_its_size_is_counted(server):
    for job in (server.settings.folder / "jobs").iterdir():
        assert sorted(p.name == "inputs" for p in job.iterdir()) in ([True], [False, True])
    used = server.alice.get("/api/v1/me").json()["limits"]["used_bytes"]
    rows = server.store.database.rows("SELECT bytes FROM jobs UNION ALL SELECT bytes FROM uploads")
    assert used == sum(r["bytes"] for r in rows) > 10_000


def test_the_tasks_are_told_with_a_schema_that_validates_what_is_taken(server):
    import jsonschema

    tasks = server.alice.get("/api/v1/tasks").json()["tasks"]
    assert {t["name"] for t in tasks} >= {"restore", "repair", "recolor", "mask-find", "mask-wall"}
    for task in tasks:
        schema = task["options"]
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate({}, schema)
        shown = schema["properties"].values()
        groups = ("task", "writing", "papers", "run")
        assert all(s["x-group"] in groups and s["x-widget"] and s["description"] for s in shown)
        assert not {"device", "ledger", "sign", "out"} & set(schema["properties"])
    repair = next(t for t in tasks if t["name"] == "repair")
    assert "params" not in repair["options"]["properties"]  # folders of models are no business of a client
    assert server.alice.get("/api/v1/templates").json()["templates"] == [
        {"name": "print", "text": "{words}, albumen print"}
    ]
    document = server.alice.get("/openapi.json").json()
    assert len(document["components"]["schemas"]["JobRequest"]["oneOf"]) == len(tasks)
    assert json.dumps(document).count('"ErrorAnswer"') >= 1


def test_the_reference_of_the_api_is_what_the_application_says():
    from pathlib import Path

    from tratto.server.reference import page

    kept = Path(__file__).parents[2] / "docs" / "api.md"
    assert kept.read_text("utf-8") == page(), "python -m tratto.server.reference > docs/api.md"


def test_a_face_is_put_in_with_consent_and_pictures_of_the_character(server):
    from skimage import data

    portrait = np.ascontiguousarray(data.astronaut()[0:240, 110:350])
    one, other = (send(server.alice, png(a))["id"] for a in (portrait, np.ascontiguousarray(portrait[:, ::-1])))
    asked = {"task": "reface", "inputs": {"picture": one, "character": [other, one]}}
    few = {"k_global": 0, "m_global": 0}
    refused = server.alice.post("/api/v1/jobs", json={**asked, "options": few})
    assert refused.status_code == 409
    assert "consent" in refused.text
    job = ask(server, **asked, options={**few, "consent": "A. Person"})
    assert server.work()
    made = told(server, job)
    assert made["state"] == "done", made
    assert any("synthetic" in w for w in made["warnings"])
