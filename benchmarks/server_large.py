"""A picture of 100 megapixels through the server: time until it is seen, and the memory of the server's own process.

python benchmarks/server_large.py --megapixels 100 --out benchmarks/results/server_large.json

A striped 8-bit TIFF of that size is made, sent, worked on and zoomed. Told are the seconds that sending and decoding,
the job, and the first tile after the result was there take; the size of the first tiles; and by how much the peak of
the server's process (workers and the decoding children excluded) lies above what it takes when idle.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from tratto.server.access import SCOPES, Access, KeyLimits
from tratto.server.database import Database
from tratto.server.settings import Settings

SERVER = """
import sys
from tratto.server.serve import serve
from tratto.server.settings import Settings
serve(Settings.model_validate_json(sys.argv[1]), lambda link: print(link, flush=True))
"""


def memory(pid: int, field: str) -> float:
    """Return the resident memory (VmRSS) of a process, or its peak (VmHWM), in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1000
    return 0.0


def make(path: Path, width: int, height: int) -> None:
    """Write a TIFF with structure at all sizes, strip by strip."""
    import tifffile

    def strips() -> object:
        x = np.arange(width)
        rng = np.random.default_rng(0)
        for y0 in range(0, height, 64):
            y = np.arange(y0, min(height, y0 + 64))[:, None]
            base = 128 + 60 * np.sin(x / 300) * np.cos(y / 200) + 20 * np.sin((x + y) / 7)
            noise = rng.normal(0, 3, (len(y), width, 3))
            yield np.clip(base[..., None] + noise + (0, 10, -10), 0, 255).astype(np.uint8)

    tifffile.imwrite(path, strips(), shape=(height, width, 3), dtype=np.uint8, rowsperstrip=64, photometric="rgb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=4)
    parser.add_argument("--task", choices=["repair", "restore"], default="repair")
    parser.add_argument("--options", default="{}", help="of the task, as JSON")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    width = round((given.megapixels * 1e6 * 1.25) ** 0.5)
    height = round(given.megapixels * 1e6 / width)
    with tempfile.TemporaryDirectory(prefix="tratto-large-") as name:
        folder = Path(name).resolve()
        make(folder / "large.tif", width, height)
        mask = np.zeros((height, width), np.uint8)
        mask[height // 2 : height // 2 + 12, width // 4 : width // 2] = 255
        Image.fromarray(mask).save(folder / "mask.png")
        settings = Settings(folder=folder / "data", port=0, sign="none")
        settings.make_folders()
        key = Access(Database(settings.database)).add_key("large", SCOPES, KeyLimits(per_minute=10**6))
        line = [sys.executable, "-c", SERVER, settings.model_dump_json()]
        server = subprocess.Popen(line, stdout=subprocess.PIPE)
        link = next(t.decode() for t in server.stdout or () if t.startswith(b"http://"))
        base = link.split("/start")[0]
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}, timeout=900) as client:
            client.get("/api/v1/tasks")
            time.sleep(2)
            idle = memory(server.pid, "VmRSS")

            def send(path: Path) -> dict[str, object]:
                with open(path, "rb") as f:
                    answer = client.post("/api/v1/uploads", files={"file": (path.name, f)})
                if answer.status_code != 201:
                    raise SystemExit(answer.text)
                return answer.json()  # type: ignore[no-any-return]

            begun = time.perf_counter()
            picture = send(folder / "large.tif")
            sent = time.perf_counter() - begun
            inputs = {"picture": picture["id"]} | (
                {"mask": send(folder / "mask.png")["id"]} if given.task == "repair" else {}
            )
            asked = {"task": given.task, "inputs": inputs, "options": json.loads(given.options)}
            begun = time.perf_counter()
            job = client.post("/api/v1/jobs", json=asked).json()
            while job["state"] not in ("done", "failed"):
                time.sleep(0.2)
                job = client.get(f"/api/v1/jobs/{job['id']}").json()
            spent = time.perf_counter() - begun
            if job["state"] == "failed":
                raise SystemExit(job["error"]["message"])
            tiles = f"/api/v1/jobs/{job['id']}/pictures/after/tiles"
            view = job["pictures"]["after"]
            begun = time.perf_counter()
            first = client.get(f"{tiles}/{view['min_level']}/0_0")
            shown = time.perf_counter() - begun
            deep = []
            for x, y in ((0, 0), (10, 10), (20, 5), (3, 30)):
                begun = time.perf_counter()
                answer = client.get(f"{tiles}/{view['max_level']}/{x}_{y}")
                deep.append((time.perf_counter() - begun) if answer.status_code == 200 else 0.0)
            result = 0
            with client.stream("GET", f"/api/v1/jobs/{job['id']}/bundle") as stream:
                for piece in stream.iter_bytes():
                    result += len(piece)
            peak = memory(server.pid, "VmHWM")
        server.terminate()
        server.wait()
        told = {
            "megapixels": width * height / 1e6, "file_megabytes": (folder / "large.tif").stat().st_size / 1e6,
            "task": given.task, "options": json.loads(given.options), "send_and_decode_seconds": sent,
            "job_seconds": spent, "first_tile_seconds": shown,
            "first_tile_size": Image.open(io.BytesIO(first.content)).size, "deepest_tile_seconds": max(deep),
            "bundle_megabytes": result / 1e6, "server_idle_megabytes": idle, "server_peak_megabytes": peak,
            "above_idle_megabytes": peak - idle,
        }  # fmt: skip
    text = json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in told.items()}, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")
    sys.exit(0 if shown < 2 and peak - idle < 300 else 1)


if __name__ == "__main__":
    main()
