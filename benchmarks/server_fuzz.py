"""Let schemathesis attack the whole API of a server, with every one of its checks by name.

python benchmarks/server_fuzz.py --seconds 600 --out benchmarks/results/server_fuzz.json

A server with one worker runs on a free port, with the keys of two peers who must not see each other's objects. What
is sent as a file is a small picture half of the time and a few bytes otherwise; most of the ids that are made up (not
those that are to be deleted) become those of an upload and a finished job of the first peer. Exit code 1: a check
failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tratto.server.access import SCOPES, Access, KeyLimits
from tratto.server.database import Database
from tratto.server.settings import Settings

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "missing_required_header",
    "unsupported_method", "allow_header_conformance", "use_after_free", "ensure_resource_availability", "ignored_auth",
    "object_level_authorization",
)  # fmt: skip
#: A request that its schema allows may still ask for what contradicts itself (409), be no picture (415), be too large
#: (413) or find no room (507).
CONFIG = """
[auth.wfc]
path = "peers.yaml"
peers = ["alice", "bob"]

[checks.positive_data_acceptance]
expected-statuses = ["2XX", "401", "403", "404", "409", "413", "415", "429", "507"]
"""
PEERS = """
auth:
  - name: alice
    fixedHeaders:
      - name: Authorization
        value: "Bearer {alice}"
  - name: bob
    fixedHeaders:
      - name: Authorization
        value: "Bearer {bob}"
"""
HOOKS = """
import io
import os
import re
import numpy as np
import schemathesis
from hypothesis import strategies as st
from PIL import Image

def picture(side, seed, mode):
    values = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(values).convert(mode).save(out, "PNG")
    return out.getvalue()

pictures = st.builds(picture, st.integers(8, 40), st.integers(0, 9), st.sampled_from(["RGB", "L"]))
THERE = {name: os.environ["FUZZ_" + name.upper()] for name in ("job", "upload")}

@schemathesis.hook
def map_path_parameters(context, path_parameters):
    for name, known in THERE.items():
        made = (path_parameters or {}).get(name)
        there = context.operation.method.lower() != "delete" and isinstance(made, str)
        if there and re.fullmatch("[0-7][0-9a-f]{31}", made):
            path_parameters = {**path_parameters, name: known}
    return path_parameters

@schemathesis.hook
def map_body(context, body):
    def there(value):
        if isinstance(value, dict):
            return {k: there(v) for k, v in value.items()}
        if isinstance(value, list):
            return [there(v) for v in value]
        made = isinstance(value, str) and re.fullmatch("[0-9ab][0-9a-f]{31}", value)
        return THERE["upload"] if made else value

    if isinstance(body, dict) and isinstance(body.get("inputs"), dict):
        return {**body, "inputs": there(body["inputs"])}
    return body

schemathesis.openapi.format("binary", st.one_of(pictures, st.binary(max_size=200)))
"""
SERVER = """
import sys
from tratto.server.serve import serve
from tratto.server.settings import Settings
serve(Settings.model_validate_json(sys.argv[1]), lambda link: print(link, flush=True))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--examples", type=int, default=40, help="of each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for what schemathesis reports")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tratto-fuzz-") as name:
        folder = Path(name).resolve()
        settings = Settings(
            folder=folder / "data", port=0, stream_seconds=0.5, sign="none", per_minute=10**6, decode_seconds=20
        )
        settings.make_folders()
        access = Access(Database(settings.database))
        keys = {n: access.add_key(n, SCOPES, KeyLimits()) for n in ("alice", "bob")}
        (folder / "schemathesis.toml").write_text(CONFIG)
        (folder / "peers.yaml").write_text(PEERS.format(**keys))
        (folder / "fuzz_hooks.py").write_text(HOOKS)
        log = open(folder / "server.log", "w")  # noqa: SIM115 until the process ends
        line = [sys.executable, "-c", SERVER, settings.model_dump_json()]
        server = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log)
        link = next(t.decode() for t in server.stdout or () if t.startswith(b"http://"))
        base = link.split("/start")[0]
        known = finished(base, keys["alice"])
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{base}/openapi.json", "--url", base),
            *("--checks", ",".join(CHECKS), "--max-time", str(given.seconds), "--seed", str(given.seed)),
            *("--max-examples", str(given.examples), "--request-timeout", "60", "--continue-on-failure"),
            *("--suppress-health-check", "all", "--report", "json", "--report-json-path", "report.json"),
        ]
        begun = time.monotonic()
        ran = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **known, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": path(folder)},
        )
        spent = time.monotonic() - begun
        server.terminate()
        server.wait()
        faults = [t for t in (folder / "server.log").read_text().splitlines() if "Error" in t or "Traceback" in t]
        report = json.loads((folder / "report.json").read_text())
        told = {
            "seconds": round(spent, 1), "checks": list(CHECKS), "operations": report["operations"]["tested"],
            "cases": report["test_cases"], "exit_code": ran.returncode, "faults": faults[:20],
            "operations_that_mostly_answer_404": len(report["warnings"]["missing_test_data"]),
        }  # fmt: skip
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            for file in ("report.json", "server.log"):
                if (folder / file).is_file():
                    (given.keep / file).write_bytes((folder / file).read_bytes())
    print(json.dumps(told, indent=1))
    if given.out:
        given.out.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(1 if ran.returncode or faults else 0)


def finished(base: str, key: str) -> dict[str, str]:
    """Return the ids of an upload and of a finished job, as the hooks read them."""
    import io

    import httpx
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 40)).save(out, "PNG")
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=120) as client:
        upload = client.post("/api/v1/uploads", files={"file": ("a.png", out.getvalue())}).json()["id"]
        asked = {"task": "restore", "inputs": {"picture": upload}, "options": {"scale": 2}}
        job = client.post("/api/v1/jobs", json=asked).json()
        while job["state"] not in ("done", "failed"):
            time.sleep(0.3)
            job = client.get(f"/api/v1/jobs/{job['id']}").json()
    return {"FUZZ_UPLOAD": upload, "FUZZ_JOB": job["id"]}


def path(folder: Path) -> str:
    """Return where Python looks for modules, with a folder before all others."""
    return os.pathsep.join([str(folder), os.path.abspath(os.environ.get("PYTHONPATH", ""))])


if __name__ == "__main__":
    main()
