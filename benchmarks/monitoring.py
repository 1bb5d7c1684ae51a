"""Drift of simulated months of scans, and a real Prometheus that scrapes a real server.

python benchmarks/monitoring.py --pool 1200 --seconds 600 --out benchmarks/results/monitoring.json

A month is a draw of 200 inspected scans: crops of the example pictures with the noise and the JPEG compression of a
scanner that is well. In a worse month its lamp is weak and its software saves smaller files: noise half as strong
again, qualities 25 lower. The server does jobs meanwhile, one of four of which fails.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tratto.imaging.estimate import inspect_image
from tratto.imaging.opening import open_picture
from tratto.monitor.drift import compare, counts_of
from tratto.monitor.watched import BY_NAME

ROOT = Path(__file__).parents[1]
MONTH = 200
QUANTITIES = {"noise": "noise_sigma", "jpeg_quality": "jpeg_quality", "blur": "blur_sigma", "upscale": "upscale"}


def scan(rng: np.random.Generator, pictures: list[Image.Image], worse: bool) -> dict[str, float | None]:
    """Return what inspecting one simulated scan says."""
    whole = pictures[rng.integers(len(pictures))]
    side = 128
    x, y = (int(rng.integers(0, max(1, length - side))) for length in whole.size)
    samples = np.asarray(whole.crop((x, y, x + side, y + side)), np.float32)
    samples = samples + rng.normal(0, rng.gamma(4, 1.2) * (1.5 if worse else 1), samples.shape)
    buffer = io.BytesIO()
    quality = int(np.clip(rng.normal(88 - 25 * worse, 5), 20, 99))
    Image.fromarray(np.clip(samples, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    inspection = inspect_image(open_picture(buffer.getvalue(), 0, None))
    return {name: getattr(inspection, field).value for name, field in QUANTITIES.items()}


def levels(reference: list[dict[str, Any]], month: list[dict[str, Any]]) -> dict[str, str]:
    """Return the level of each quantity."""

    def counts(name: str, scans: list[dict[str, Any]]) -> list[int]:
        return counts_of([s[name] for s in scans], BY_NAME[name].edges)

    return {name: compare(counts(name, reference), counts(name, month)).level for name in QUANTITIES}


def drift(pool: int, draws: int) -> dict[str, Any]:
    """Draw a reference month, equal months and worse ones."""
    rng = np.random.default_rng(0)
    pictures = [Image.open(p).convert("RGB") for p in sorted((ROOT / "examples" / "pictures").glob("*.*"))]
    well = [scan(rng, pictures, False) for _ in range(pool)]
    worse = [scan(rng, pictures, True) for _ in range(pool // 2)]
    reference, rest = well[:MONTH], well[MONTH:]

    def month(of: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [of[i] for i in rng.choice(len(of), MONTH, replace=False)]

    equal = [levels(reference, month(rest)) for _ in range(draws)]
    shifted = [levels(reference, month(worse)) for _ in range(draws)]
    return {
        "scans in a month": MONTH,
        "draws": draws,
        "equal months with an alert": sum("alert" in told.values() for told in equal),
        "equal months with something to look at": sum("watch" in told.values() for told in equal),
        "worse months with an alert": sum("alert" in told.values() for told in shifted),
        "worse months, alerts by quantity": {n: sum(t[n] == "alert" for t in shifted) for n in QUANTITIES},
    }


def asked(url: str, key: str = "", body: bytes | None = None, kind: str = "") -> Any:
    """Return the JSON that an address answers."""
    headers = ({"Authorization": f"Bearer {key}"} if key else {}) | ({"Content-Type": kind} if kind else {})
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        return json.loads(answer.read())


def scraped(seconds: float, port: int) -> dict[str, Any]:
    """Let Debian's Prometheus scrape a server that works; return what it knows afterwards."""
    code = "from tratto.cli.main import main; main()"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = ["--data", str(folder / "data")]

        def tratto(*line: str) -> str:
            return subprocess.run(
                [sys.executable, "-c", code, *line], capture_output=True, text=True, check=True
            ).stdout.split()[0]  # fmt: skip

        watcher = tratto("keys", "api", "add", "prometheus", "--scope", "monitor", *data)
        key = tratto("keys", "api", "add", "archive", *data)
        server = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--no-open", "--port", "0", "--check-every", "3", *data],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        prometheus = None
        try:
            base = next(line for line in server.stdout or () if line.startswith("http")).partition("/start/")[0]
            rules = folder / "rules"
            shutil.copytree(ROOT / "deploy" / "prometheus", rules)
            config = (rules / "prometheus.yml").read_text()
            config = config.replace("server:8787", base.removeprefix("http://")).replace("15s", "5s")
            (rules / "prometheus.yml").write_text(config)
            (rules / "tratto-key").write_text(watcher)
            prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={rules / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
            )  # fmt: skip
            return watch(base, key, f"http://127.0.0.1:{port}/api/v1", seconds)
        finally:
            for process in (prometheus, server):
                if process is not None:
                    process.terminate()
                    process.wait(30)


def watch(base: str, key: str, api: str, seconds: float) -> dict[str, Any]:
    """Ask for jobs while Prometheus looks; return what it saw."""
    begun, number = time.monotonic(), 0
    sent = asked(f"{base}/api/v1/uploads", key, *form((ROOT / "examples" / "pictures" / "small.png").read_bytes()))
    while time.monotonic() - begun < seconds:
        wrong = number % 4 == 3  # a mask of everything, which repair refuses
        request: dict[str, Any] = {"task": "restore", "inputs": {"picture": sent["id"]}, "options": {"force": True}}
        if wrong:
            request = {"task": "repair", "inputs": {"picture": sent["id"], "mask": sent["id"]}, "options": {}}
        asked(f"{base}/api/v1/jobs", key, json.dumps(request).encode(), "application/json")
        number += 1
        time.sleep(min(8.0, max(2.0, seconds / 40)))

    def query(text: str) -> Any:
        found = asked(f"{api}/query?{urllib.parse.urlencode({'query': text})}")["data"]["result"]
        return [(r["metric"], float(r["value"][1])) for r in found]

    targets = asked(f"{api}/targets")["data"]["activeTargets"]
    span = f"[{int(seconds)}s]"
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "jobs asked for": number,
        "target": [(t["health"], t["lastError"]) for t in targets],
        "scrapes that failed": sum(v == 0 for _, v in query(f'min_over_time(up{{job="tratto"}}{span})')),
        "scrapes": [v for _, v in query(f'count_over_time(up{{job="tratto"}}{span})')],
        "seconds of a scrape, mean": [round(v, 4) for _, v in query(f"avg_over_time(scrape_duration_seconds{span})")],
        "samples of a scrape": [v for _, v in query("scrape_samples_scraped")],
        "tratto_jobs_total": [(m["task"], m["state"], v) for m, v in query("tratto_jobs_total")],
        "rules": [(r["name"], r["health"]) for g in asked(f"{api}/rules")["data"]["groups"] for r in g["rules"]],
        "alerts": [(a["labels"]["alertname"], a["state"]) for a in asked(f"{api}/alerts")["data"]["alerts"]],
    }


def form(data: bytes) -> tuple[bytes, str]:
    """Return a form with one file, and its media type."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    return head + data + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=500)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--port", type=int, default=9394)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    told: dict[str, Any] = {"drift": drift(args.pool, args.draws)}
    print(json.dumps(told["drift"]), flush=True)
    if shutil.which("prometheus") is None:
        print("no Prometheus on this machine: apt-get install prometheus")
    elif args.seconds:
        told["prometheus"] = scraped(args.seconds, args.port)
        print(json.dumps(told["prometheus"]))
    if args.out is not None:
        args.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
