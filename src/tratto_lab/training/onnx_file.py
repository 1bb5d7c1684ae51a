"""Writing a network as an ONNX file, reading its weights, telling how far the file's arithmetic is from torch's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tratto.core.errors import InputError

OPSET = 17


def write_onnx(
    deployed: nn.Module,
    example: Tensor,
    names: tuple[str, Sequence[str]],
    axes: Mapping[str, Mapping[int, str]],
    path: Path,
    exact: bool = False,
) -> None:
    """Write a network of one input, its weights stored as fp16, all arithmetic in fp32.

    Parameters
    ----------
    deployed : torch.nn.Module
        In evaluation mode.
    example : Tensor
        An input.
    names : str, sequence of str
        Of the input, and of the outputs.
    axes : mapping of str to mapping of int to str
        Which axes of which input or output may have any size, and what they are called.
    path : Path
        The file to write; folders above it are made.
    exact : bool
        Whether weights that fp16 would round are stored as fp32.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The older exporter writes the smaller graph and any opset; it says itself that it is no longer the default.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deployed,
            (example,),
            str(path),
            input_names=[names[0]],
            output_names=list(names[1]),
            dynamic_axes={k: dict(v) for k, v in axes.items()},
            opset_version=OPSET,
            dynamo=False,
        )
    halve_initializers(path, exact)


def halve_initializers(path: Path, exact: bool = False) -> None:
    """Store large fp32 initialisers of an ONNX file as fp16 followed by ``Cast`` to fp32 (arithmetic stays fp32).

    With ``exact`` only those that lose nothing by it.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        rounded = values.astype(np.float16) if tensor.data_type == TensorProto.FLOAT and values.size >= 16 else None
        if rounded is None or (exact and not np.array_equal(rounded, values)):
            kept.append(tensor)
            continue
        stored = numpy_helper.from_array(rounded, tensor.name + "_fp16")
        kept.append(stored)
        casts.append(helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@torch.no_grad()
def worst_difference(path: Path, deployed: nn.Module, inputs: Sequence[Tensor]) -> float:
    """Return the largest absolute difference of any output between an ONNX file, on one thread, and torch in fp32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    worst = 0.0
    for x in inputs:
        theirs = deployed(x)
        theirs = theirs if isinstance(theirs, tuple) else (theirs,)
        for mine, other in zip(session.run(None, {entry: x.numpy()}), theirs, strict=True):
            worst = max(worst, float(np.abs(np.asarray(mine) - other.numpy()).max()))
    return worst


def weights_in(path: Path) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return the weights of an exported file by name, and those without one, of folded layers, in their order at work.

    Raises
    ------
    InputError
        If the file is not ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror or e}") from e
    except (DecodeError, ValueError) as e:
        raise InputError(f"{path} is not an ONNX file: {e}") from e
    if not graph.initializer:
        raise InputError(f"{path} is an ONNX file without weights, or none")
    named: dict[str, Tensor] = {}
    folded: list[tuple[int, Tensor]] = []
    for tensor in graph.initializer:
        values = torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        name = tensor.name.removesuffix("_fp16")
        if name.startswith("onnx::Conv_"):
            folded.append((int(name.removeprefix("onnx::Conv_")), values))
        else:
            named[name.removeprefix("network.")] = values
    return named, [values for _, values in sorted(folded, key=lambda pair: pair[0])]
