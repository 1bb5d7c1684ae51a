"""OpenVINO on the CPU (extra ``openvino``).

Left alone, OpenVINO computes in bf16 on CPUs that can, which moves results by up to 1.5/255 on our networks. fp32 is
pinned here; bf16 must be asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.onnx import as_float32
from tratto.backends.runtime import require
from tratto.core.capability import ModelRef
from tratto.core.errors import OptionError, UnavailableError, WeightMismatch

if TYPE_CHECKING:
    from tratto.backends.open import Opening


class OpenVinoBackend:
    """Runs an ``.onnx`` file through OpenVINO; see :class:`~tratto.backends.open.Backend`."""

    @staticmethod
    def require() -> None:
        """Raise MissingExtra unless the runtime is installed; see :func:`tratto.backends.runtime.require`."""
        require("openvino", "the OpenVINO backend", "openvino")

    def __init__(self, opening: Opening) -> None:
        import openvino as ov

        core = ov.Core()
        config: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "f32" if opening.precision == "fp32" else "bf16",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": opening.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # other work may run on the same cores
        }
        try:
            network = core.read_model(opening.file(".onnx"))
            compiled = core.compile_model(network, "CPU", config)
            self._request: Any = compiled.create_infer_request()
            self._lock = threading.Lock()  # a request holds the tensors of one call
        except RuntimeError as e:
            raise WeightMismatch(f"OpenVINO {ov.__version__} cannot load {opening.card.id}: {e}") from e
        self._opening = opening
        self._inputs = tuple(i.get_any_name() for i in compiled.inputs)
        # a tensor may have several names here; the card's own is the one that callers ask for
        promised = {opening.card.output, opening.card.sigma_output}
        self._outputs = tuple(
            next((n for n in sorted(o.get_names()) if n in promised), o.get_any_name()) for o in compiled.outputs
        )
        #: The verified weights.
        self.model: ModelRef = opening.weights.ref
        #: Name and version.
        self.library = f"openvino {ov.__version__.split('-')[0]}"

    @property
    def precision(self) -> str:
        """``"fp32"`` or ``"bf16"``."""
        return self._opening.precision

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[Any]]:
        """Run the network once; see :meth:`~tratto.backends.open.Backend.run`."""
        self._opening.check(inputs, self._inputs)
        feeds = {k: np.ascontiguousarray(v) for k, v in inputs.items()}
        try:
            with self._lock:
                self._request.infer(feeds)
                return {
                    name: as_float32(np.array(self._request.get_output_tensor(i).data))
                    for i, name in enumerate(self._outputs)
                }
        except RuntimeError as e:
            shapes = {k: v.shape for k, v in inputs.items()}
            if "incompatible" in str(e) or "shape" in str(e).lower():
                raise OptionError(f"{self._opening.card.id} does not take inputs of {shapes}: {e}") from e
            raise UnavailableError(f"OpenVINO failed on {self._opening.card.id} with {shapes}: {e}") from e
