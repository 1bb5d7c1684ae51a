"""Peak memory and time of ``tratto restore`` on a large TIFF, above an empty Python process.

``python benchmarks/large_picture.py [--side 10000] [--bits 8] [--provider auto]``

The picture is made here, strip by strip: smooth colour, texture and Gaussian noise of sigma 10, seed 0. Memory is the
kernel's own peak for the process (``VmHWM``, Linux), progress is read from the library's callback.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHILD = """
import json, sys
from pathlib import Path
def peak_mb():
    # ru_maxrss would include the parent's pages at the fork
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
empty = peak_mb()
from tratto.jobs import JobLimits, SaveOptions, Session
from tratto.tasks.restore import make_options
steps = []
session = Session(progress=lambda stage, done, total: steps.append((stage, done, total)))
source, out, provider = sys.argv[1:4]
result = session.restore(source, make_options(force=True, provider=provider))
after_run = peak_mb()
session.save(result, out, SaveOptions(), source=source)
peak = peak_mb()
print(json.dumps({"empty_mb": empty, "after_run_mb": after_run, "peak_mb": peak,
                  "progress_reports": len(steps), "stages": sorted({s for s, _, _ in steps})}))
"""


def make(path: Path, side: int, bits: int) -> None:
    """Write a side x side RGB TIFF in strips without holding it in memory."""
    import tifffile

    rng = np.random.default_rng(0)
    full = 2**bits - 1
    dtype = np.uint8 if bits == 8 else np.uint16

    def strips():
        for y0 in range(0, side, 256):
            n = min(256, side - y0)
            y, x = np.mgrid[y0 : y0 + n, :side].astype(np.float32)
            base = 0.5 + 0.3 * np.sin(x / 90) * np.cos(y / 70) + 0.1 * np.sin(x * y / 9000)
            rgb = base[..., None] * np.array([1, 0.9, 0.8], np.float32)
            rgb += rng.standard_normal(rgb.shape, np.float32) * (10 / 255)
            yield np.clip(np.rint(rgb * full), 0, full).astype(dtype)

    tifffile.imwrite(path, strips(), shape=(side, side, 3), dtype=dtype, rowsperstrip=256, photometric="rgb")


def main() -> int:
    """Print one JSON line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=10000)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--provider", default="auto")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "large.tif"
        make(source, args.side, args.bits)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(source), str(Path(folder) / "out" / "large.tif"), args.provider],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            return 1
        facts = json.loads(done.stdout.splitlines()[-1])
    facts.update(
        megapixels=args.side**2 / 1e6,
        bits=args.bits,
        seconds=round(time.perf_counter() - start, 1),
        above_empty_mb=round(facts["peak_mb"] - facts["empty_mb"], 1),
    )
    sys.stdout.write(json.dumps(facts, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
