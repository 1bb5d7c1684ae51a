"""What strangers send: refused with a plain answer, nothing left behind, no folder of this machine named."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import start

BENCH = Path(__file__).parents[2] / "benchmarks" / "server_hostile.py"
SOME = {
    "empty", "a header that claims 65000x65000", "a wrong checksum", "a TIFF of 10000 pages", "HTML", "a pickle",
    "EXIF with a script and orientation 9", "a PNG that is a ZIP file too", "the name '../../../etc/passwd'",
}  # fmt: skip


OTHER = b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--B--\r\n'


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("server_hostile", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["server_hostile"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = start(tmp_path_factory.mktemp("hostile"), decode_seconds=20)
    with made.main:
        made.alice = made.key("alice")
        yield made


def test_hostile_files_are_refused_and_leave_nothing(bench, server):
    cases = [c for c in bench.files(1_000_000) if c.name in SOME]
    assert len(cases) == len(SOME)
    for case in cases:
        answer = server.alice.post("/api/v1/uploads", files={"file": (case.file, case.data)})
        assert answer.status_code in case.allowed, (case.name, answer.text)
        assert str(server.settings.folder) not in answer.text
        assert not list(server.settings.temporary.iterdir()), case.name
    kept = server.alice.get("/api/v1/uploads").json()["uploads"]
    assert all("/" not in u["name"] and len(u["name"]) < 120 for u in kept)


def test_a_child_that_takes_too_much_is_ended_by_the_system(server, tmp_path):
    from tratto.server import child

    where = str(Path(child.__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {where!r})\nfrom tratto.server.child import confine"
    hungry = subprocess.run(
        [sys.executable, "-c", f"{code}\nconfine(1 << 30, 5, 1000)\nbytearray(2 << 30)"], capture_output=True
    )
    assert b"MemoryError" in hungry.stderr
    busy = subprocess.run([sys.executable, "-c", f"{code}\nconfine(1 << 30, 1, 1000)\nwhile True: pass"])
    assert busy.returncode < 0


def test_hostile_archives_are_refused(bench, server):
    for case in bench.archives(1_000_000):
        if case.name in ("a ZIP file that climbs out", "a ZIP file of 10000 files", "a receipt of 100000 brackets"):
            answer = server.alice.post("/api/v1/verify", files={"file": (case.file, case.data)})
            assert answer.status_code in case.allowed, (case.name, answer.text)
    assert not list(server.settings.temporary.iterdir())


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "multipart/form-data"}, b"x", 415),
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Type": "multipart/form-data; boundary=B"}, b"--B", 400),
        ({"Content-Type": "multipart/form-data; boundary=B"}, b"nothing of the kind", 400),
        ({"Content-Type": "multipart/form-data; boundary=B"}, OTHER, 422),
    ],
)  # fmt: skip
def test_a_form_that_is_none_is_refused(server, headers, body, status):
    assert server.alice.post("/api/v1/uploads", content=body, headers=headers).status_code == status
