"""A server without sockets: its application, two keys, and a worker that does one job when it is told to."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as Pil

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("python_multipart")

BASE = "http://127.0.0.1:8787"


def png(values):
    """Return an array as a PNG file."""
    out = io.BytesIO()
    Pil.fromarray(values).save(out, "PNG")
    return out.getvalue()


def picture(height=90, width=120, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 60
    clean = np.stack([120 + 60 * np.sin(5 * x), 110 + 30 * y, 90 + 50 * np.cos(4 * x * y)], -1)
    return np.clip(clean + rng.normal(0, 4, clean.shape), 0, 255).astype(np.uint8)


def hole(height=90, width=120):
    mask = np.zeros((height, width), np.uint8)
    mask[30:36, 20:70] = 255
    return mask


def start(folder, **more):
    """Return a server in a folder: ``alice`` and ``bob`` are clients with keys of their own, ``work`` does a job."""
    from starlette.testclient import TestClient

    from tratto.server.access import SCOPES, Access, KeyLimits
    from tratto.server.app import make_app
    from tratto.server.database import Database
    from tratto.server.doing import do
    from tratto.server.settings import Settings
    from tratto.server.store import Store
    from tratto.server.worker import Worker

    settings = Settings(**{"folder": folder, "stream_seconds": 0.3, "sign": "none", **more})
    app = make_app(settings)
    store = Store(Database(settings.database))
    access = Access(store.database)
    worker = Worker(settings, do, "here", store)

    main = TestClient(app, base_url=BASE)  # its life is that of the server: all others run in its loop

    def client(key=None):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        made = TestClient(app, base_url=BASE, headers=headers, follow_redirects=False)
        made.portal = main.portal
        return made

    def key(name, scopes=SCOPES, **limits):
        return client(access.add_key(name, scopes, KeyLimits(**limits)))

    return SimpleNamespace(
        main=main, settings=settings, app=app, store=store, access=access, client=client, key=key, work=worker.once
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = start(tmp_path_factory.mktemp("server"))
    with made.main:  # its life begins
        made.alice, made.bob, made.nobody = made.key("alice"), made.key("bob"), made.client()
        yield made


def send(client, data, name="scan.png"):
    answer = client.post("/api/v1/uploads", files={"file": (name, data)})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def sent(server):
    """A picture and a mask of alice."""
    return send(server.alice, png(picture()), "Röntgen 1.png"), send(server.alice, png(hole()), "mask.png")
