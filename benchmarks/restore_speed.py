"""Speed and quality of the embedded network beside what users would pick instead, on the same pictures, in one run.

``python benchmarks/restore_speed.py [--pictures FOLDER] [--side 512] [--repeats 3] [--out FILE.json]``

Every method gets the same pictures with the same Gaussian noise (sigma 25 of 255, seed 0 per picture, not clipped, as
in the usual protocol) and is timed as a whole. Methods marked *told* are given the true sigma; the embedded network is
not. Times are medians over the repeats, then over the pictures, in seconds per megapixel; ratios are to the embedded
network. Real-ESRGAN and waifu2x at x2 / x4 enlarge; their time is per input megapixel; they are not compared by PSNR.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tratto.core.errors import UnavailableError
from tratto.imaging import io
from tratto.providers.catalogue import open_provider
from tratto_lab.evaluation.metrics import psnr
from tratto_lab.evaluation.restore import Case, restorer_method

SIGMA = 25.0
Method = Callable[[np.ndarray], np.ndarray]


def pictures(folder: Path | None, side: int) -> list[np.ndarray]:
    """Return float RGB pictures in [0, 1], at most ``side`` wide and high."""
    if folder is None:
        from skimage import data

        arrays = [data.astronaut(), data.coffee(), data.chelsea()]
    else:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".bmp", ".tif", ".webp"))
        arrays = [np.asarray(io.read_image(p).pixels) for p in files[:12]]
    return [np.asarray(a[:side, :side, :3], np.float32) / 255 for a in arrays if a.ndim == 3]


def by_provider(name: str, scale: int, fast: bool = False, params: dict[str, Any] | None = None) -> Method:
    """Return a method that runs a provider over tiles as the product does."""
    restore = restorer_method(
        open_provider("restorer", name, scale=scale, fast=fast, params=params or {}), with_sigma=True
    )

    def run(noisy: np.ndarray) -> np.ndarray:
        return restore(Case("noisy", noisy, noisy, sigma=SIGMA))[0]

    return run


def by_bm3d(noisy: np.ndarray) -> np.ndarray:
    """BM3D (Dabov et al. 2007), told the true sigma."""
    import bm3d

    return bm3d.bm3d_rgb(noisy.astype(np.float64), SIGMA / 255)


def network_gmac_per_megapixel(path: Path) -> float:
    """Count the multiply-adds of the convolutions of an ONNX network for a 256 x 256 input, per input megapixel."""
    import onnx

    model = onnx.load(str(path))
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for d, v in zip(dims, (1, 3, 256, 256), strict=True):
        d.dim_value = v
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in [*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input]
    }
    weights = {t.name: list(t.dims) for t in inferred.graph.initializer}
    casts = {n.output[0]: n.input[0] for n in inferred.graph.node if n.op_type == "Cast"}
    total = 0
    for node in inferred.graph.node:
        if node.op_type == "Conv":
            w = weights.get(casts.get(node.input[1], node.input[1]))
            o = shapes.get(node.output[0])
            if not w or not o or not all(o):
                raise SystemExit(f"cannot count {node.name}: shapes unknown")
            total += int(np.prod(w)) * o[2] * o[3]
    return total / (256 * 256) * 1e6 / 1e9


def matrix_rate() -> float:
    """Return this machine's fp32 matrix-multiply rate in GFLOP/s: best of several 1536-wide products."""
    a = np.random.default_rng(0).random((1536, 1536), np.float32)
    best = 0.0
    for _ in range(8):
        start = time.perf_counter()
        a @ a
        best = max(best, 2 * 1536**3 / (time.perf_counter() - start) / 1e9)
    return best


def methods() -> list[tuple[str, int, Callable[[], Method], int]]:
    """Return (label, scale, opener, largest side) of each method; slow ones get smaller pictures."""
    return [
        ("tratto (embedded, blind)", 1, lambda: by_provider("tratto", 1), 10**6),
        ("tratto, the network for JPEG traces", 1, lambda: by_provider("tratto", 1, params={"network": "jpeg"}), 10**6),
        ("tratto-openvino fp32 (blind)", 1, lambda: by_provider("tratto-openvino", 1), 10**6),
        ("tratto-openvino bf16, --fast (blind)", 1, lambda: by_provider("tratto-openvino", 1, fast=True), 10**6),
        ("OpenCV non-local means (told)", 1, lambda: by_provider("nlm", 1), 10**6),
        ("BM3D (told)", 1, lambda: by_bm3d, 10**6),
        ("waifu2x noise 3 (ncnn)", 1, lambda: by_provider("waifu2x", 1, params={"noise": 3}), 256),
        ("tratto x2 (embedded)", 2, lambda: by_provider("tratto", 2), 10**6),
        ("span x2 (embedded, what auto takes)", 2, lambda: by_provider("span", 2), 10**6),
        ("waifu2x x2 (ncnn)", 2, lambda: by_provider("waifu2x", 2, params={"noise": "none"}), 256),
        ("tratto x4 (embedded)", 4, lambda: by_provider("tratto", 4), 10**6),
        ("span x4 (embedded, what auto takes)", 4, lambda: by_provider("span", 4), 10**6),
        ("Real-ESRGAN x4 (ncnn)", 4, lambda: by_provider("realesrgan", 4), 128),
    ]


def measure(arrays: list[np.ndarray], repeats: int) -> list[dict[str, Any]]:
    """Run every method on every picture and return one row per method."""
    rows: list[dict[str, Any]] = []
    for label, scale, opener, side in methods():
        try:
            method = opener()
            method(arrays[0][:64, :64])
        except (UnavailableError, ImportError) as e:
            rows.append({"method": label, "missing": str(e)})
            continue
        seconds, quality = [], []
        for clean in arrays:
            clean = clean[:side, :side]
            noise = np.random.RandomState(0).normal(0, SIGMA / 255, clean.shape)
            noisy = (clean + noise).astype(np.float32)
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                out = method(noisy)
                times.append(time.perf_counter() - start)
            seconds.append(statistics.median(times) / (clean.shape[0] * clean.shape[1] / 1e6))
            if scale == 1 and "JPEG" not in label:
                quality.append(psnr(np.rint(np.clip(out, 0, 1) * 255) / 255, clean))
        rows.append(
            {
                "method": label,
                "scale": scale,
                "seconds_per_megapixel": statistics.median(seconds),
                "psnr": statistics.mean(quality) if quality else None,
            }
        )
        sys.stderr.write(f"{label}: {rows[-1]['seconds_per_megapixel']:.3f} s/MP\n")
    return rows


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=None)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    arrays = pictures(args.pictures, args.side)
    rows = measure(arrays, args.repeats)
    ours = {
        r["scale"]: r["seconds_per_megapixel"]
        for r in reversed(rows)
        if str(r["method"]).startswith("tratto") and "openvino" not in r["method"] and "missing" not in r
    }
    lines = ["| method | s per input MP | times ours | PSNR at sigma 25 |", "| --- | ---: | ---: | ---: |"]
    for r in rows:
        if "missing" in r:
            lines.append(f"| {r['method']} | not here: {r['missing'].splitlines()[0]} | | |")
            continue
        ratio = r["seconds_per_megapixel"] / ours[r["scale"]]
        quality = "" if r["psnr"] is None else f"{r['psnr']:.2f} dB"
        lines.append(f"| {r['method']} | {r['seconds_per_megapixel']:.3f} | {ratio:.1f} | {quality} |")
    rate = matrix_rate()
    from importlib import resources

    gmac = network_gmac_per_megapixel(
        Path(str(resources.files("tratto.models") / "weights" / "tratto-restore-x1.onnx"))
    )
    reached = 2 * gmac / ours[1]
    machine = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    lines += [
        "",
        f"{len(arrays)} pictures of at most {args.side} x {args.side}, {args.repeats} repeats, {machine}.",
        f"The network at x1 needs {gmac:.1f} GMAC per megapixel and reaches {reached:.0f} GFLOP/s, "
        f"{100 * reached / rate:.0f} % of this machine's measured fp32 matrix-multiply rate of {rate:.0f} GFLOP/s.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    if args.out is not None:
        args.out.write_text(
            json.dumps({"rows": rows, "matrix_gflops": rate, "gmac_per_megapixel": gmac}, indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
