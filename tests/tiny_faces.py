"""Tiny random networks with the inputs, outputs and names of published face models."""

from pathlib import Path

import numpy as np

#: Where the detector "sees" one face: grid 32, this row and column, the second anchor.
ROW, COLUMN = 6, 9
#: Its five points, in strides from the anchor, and the distances to the sides of its box.
FIVE = (-1.0, -1.0, 1.0, -1.0, 0.0, 0.0, -0.8, 1.0, 0.8, 1.0)
BOX = (2.0, 2.5, 2.0, 2.5)


def _save(path: Path, nodes, inputs, outputs, constants) -> Path:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def of(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        path.stem,
        [of(n, s) for n, s in inputs],
        [of(n, s) for n, s in outputs],
        [
            numpy_helper.from_array(np.asarray(v, np.int64 if n.startswith("shape") else np.float32), n)
            for n, v in constants
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def detector(path: Path) -> Path:
    """``det_10g``: scores, boxes and points on three grids; whatever is shown, one face is seen at one place."""
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["input.1"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["none"]),
    ]
    constants, outputs = [("nothing", 0.0)], []
    for kind, wide in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            cells = 640 // stride
            values = np.zeros((cells * cells * 2, wide), np.float32)
            if stride == 32:
                values[2 * (ROW * cells + COLUMN) + 1] = {"score": 0.9, "box": BOX, "points": FIVE}[kind]
            name = f"{kind}{stride}"
            constants.append((f"at_{name}", values))
            outputs.append((name, values.shape))
            nodes.append(helper.make_node("Add", [f"at_{name}", "none"], [name]))
    return _save(path, nodes, [("input.1", (1, 3, "h", "w"))], outputs, constants)


def places() -> np.ndarray:
    """Return where the 106 points lie that :func:`landmarks` gives, in [-1, 1]."""
    from tratto.faces.points import GROUPS

    out = np.random.default_rng(3).uniform(-0.1, 0.1, (106, 2))
    for name, middle in (
        ("left_eye", (-0.3, -0.2)), ("right_eye", (0.3, -0.2)), ("mouth", (0, 0.4)), ("nose", (0, 0.1)),
        ("left_brow", (-0.3, -0.4)), ("right_brow", (0.3, -0.4)),
    ):  # fmt: skip
        out[list(GROUPS[name])] += middle
    turn = np.random.default_rng(4).permutation(33) / 33 * 2 * np.pi
    out[:33] = 0.6 * np.column_stack([np.cos(turn), np.sin(turn)])
    out[[52, 61, 86]] = (-0.25, 0.4), (0.25, 0.4), (0, 0.15)
    return out.astype(np.float32)


def landmarks(path: Path) -> Path:
    """``2d106det``: 106 points in [-1, 1]."""
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["data"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["none"]),
        helper.make_node("Add", ["places", "none"], ["fc1"]),
    ]
    constants = [("nothing", 0.0), ("places", places().reshape(1, 212))]
    return _save(path, nodes, [("data", (1, 3, 192, 192))], [("fc1", (1, 212))], constants)


def recognizer(path: Path) -> Path:
    """``w600k_r50``: 512 numbers of a picture of 112 pixels."""
    from onnx import helper

    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["small"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["683"]),
    ]
    weight = np.random.default_rng(5).normal(0, 1, (147, 512))
    return _save(path, nodes, [("input.1", (1, 3, 112, 112))], [("683", (1, 512))], [("weight", weight)])


def swapper(path: Path, side: int, emap: np.ndarray | None = None) -> Path:
    """``inswapper_128`` (its matrix is the last constant) or ``ghost_*_256``: the picture in the vector's tint."""
    from onnx import helper

    nodes = [
        helper.make_node("MatMul", ["source", "weight"], ["tint"]),
        helper.make_node("Tanh", ["tint"], ["small"]),
        helper.make_node("Reshape", ["small", "shape"], ["wide"]),
        helper.make_node("Mul", ["wide", "little"], ["less"]),
        helper.make_node("Add", ["target", "less"], ["output"]),
    ]
    weight = np.random.default_rng(6).normal(0, 1, (512, 3))
    constants = [("weight", weight), ("shape", [1, 3, 1, 1]), ("little", 0.1)]
    if emap is not None:
        constants.append(("buff2fs", emap))
    inputs = [("target", (1, 3, side, side)), ("source", (1, 512))]
    return _save(path, nodes, inputs, [("output", (1, 3, side, side))], constants)


def matrix() -> np.ndarray:
    """Return the matrix of the tiny inswapper."""
    return np.random.default_rng(7).normal(0, 0.05, (512, 512)).astype(np.float32)


def write_all(folder: Path) -> Path:
    """Write a folder as buffalo_l is, with two engines beside."""
    detector(folder / "det_10g.onnx")
    landmarks(folder / "2d106det.onnx")
    recognizer(folder / "w600k_r50.onnx")
    swapper(folder / "inswapper_128.onnx", 128, matrix())
    swapper(folder / "ghost_1_256.onnx", 256)
    return folder
