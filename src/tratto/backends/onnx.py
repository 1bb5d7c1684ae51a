"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.devices import onnx_providers
from tratto.backends.runtime import require
from tratto.core.capability import ModelRef
from tratto.core.errors import InputError, OptionError, TrattoError, UnavailableError, WeightMismatch

if TYPE_CHECKING:
    from tratto.backends.open import Opening


class OnnxBackend:
    """Runs an ``.onnx`` file in fp32; see :class:`~tratto.backends.open.Backend`."""

    precision = "fp32"

    @staticmethod
    def require() -> None:
        """Raise MissingExtra unless the runtime is installed; see :func:`tratto.backends.runtime.require`."""
        require("onnxruntime", "running ONNX models (a part of the base install)", "all")

    def __init__(self, opening: Opening) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = opening.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        # Idle workers of the pool would spin and take a core from the tile reader.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            providers = onnx_providers(opening.device, opening.able)
            self._session: Any = ort.InferenceSession(opening.file(".onnx"), sess_options=options, providers=providers)
        except TrattoError:
            raise
        except Exception as e:  # the runtime's exceptions have no common base but Exception
            raise WeightMismatch(f"ONNX Runtime {ort.__version__} cannot load {opening.card.id}: {e}") from e
        self._opening = opening
        self._inputs = tuple(i.name for i in self._session.get_inputs())
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._shapes: dict[str, tuple[int, ...]] = {}
        # The arena keeps what the largest tile took. When the tile size changes it is given back, otherwise a picture
        # with many tile sizes would hold the sum of their fragments.
        self._shrink = ort.RunOptions()
        self._shrink.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        where = "" if providers[0][0].startswith("CPU") else " (CUDA)"
        #: The verified weights.
        self.model: ModelRef = opening.weights.ref
        #: Name and version.
        self.library = f"onnxruntime {ort.__version__}{where}"

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[Any]]:
        """Run the network once; see :meth:`~tratto.backends.open.Backend.run`."""
        self._opening.check(inputs, self._inputs)
        shapes = {k: v.shape for k, v in inputs.items()}
        changed, self._shapes = shapes != self._shapes, shapes
        feeds = {k: np.ascontiguousarray(v) for k, v in inputs.items()}
        try:
            values = self._session.run(self._outputs, feeds, self._shrink if changed else None)
        except Exception as e:
            text = str(e)
            if "INVALID_ARGUMENT" in text or "Invalid" in type(e).__name__:
                raise OptionError(f"{self._opening.card.id} does not take inputs of {shapes}: {text}") from e
            raise UnavailableError(f"ONNX Runtime failed on {self._opening.card.id} with {shapes}: {text}") from e
        return {k: as_float32(np.asarray(v)) for k, v in zip(self._outputs, values, strict=True)}


def as_float32(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of floating point as float32, all others as they are."""
    return np.asarray(values, np.float32) if values.dtype.kind == "f" else values


def library() -> str:
    """Return name and version of the runtime."""
    import onnxruntime as ort

    return f"onnxruntime {ort.__version__}"


class OnnxFile:
    """A network in a file of the user's own, without a model card; run in the precision it was saved in.

    Attributes
    ----------
    inputs, outputs : list of (str, list)
        Names and shapes; a side that is free is a word or None.
    facts : dict of str to str
        What the file's metadata say.

    Raises
    ------
    InputError
        If there is no such file, or it is no ONNX model.
    """

    def __init__(self, path: Path) -> None:
        OnnxBackend.require()
        import onnxruntime as ort

        if not path.is_file():
            raise InputError(f"{path}: there is no such model file")
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.use_deterministic_compute = True
        try:
            self._session: Any = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as e:  # the runtime's exceptions have no common base but Exception
            raise InputError(f"{path} cannot be opened as an ONNX model: {str(e)[:300]}") from e
        self.inputs = [(i.name, list(i.shape)) for i in self._session.get_inputs()]
        self.outputs = [(o.name, list(o.shape)) for o in self._session.get_outputs()]
        self.facts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, inputs: Mapping[str, NDArray[np.float32]], wanted: list[str]) -> dict[str, NDArray[np.float32]]:
        """Run the network once and return the outputs that are wanted.

        Raises
        ------
        OptionError
            If it cannot be run on these inputs.
        """
        try:
            values = self._session.run(wanted, dict(inputs))
        except Exception as e:  # as above
            raise OptionError(f"the model cannot be run on a picture: {str(e)[:300]}") from e
        return {k: np.asarray(v, np.float32) for k, v in zip(wanted, values, strict=True)}
