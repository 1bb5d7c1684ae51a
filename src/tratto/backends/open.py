"""Open the runtime that a model card asks for: one ``match``, one protocol."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tratto.backends.devices import check_device
from tratto.core.capability import ModelRef
from tratto.core.errors import MissingExtra, OptionError
from tratto.models.card import DEVICES, ModelCard
from tratto.models.store import Weights, open_weights

Array = NDArray[np.generic]
Tensors = dict[str, NDArray[Any]]


@runtime_checkable
class Backend(Protocol):
    """Runs one network. Deterministic: equal inputs give equal bits on one machine."""

    @property
    def library(self) -> str:
        """Name and version, such as ``"onnxruntime 1.20.0"``."""

    @property
    def precision(self) -> str:
        """What the arithmetic is done in: ``"fp32"`` or ``"bf16"``."""

    @property
    def model(self) -> ModelRef:
        """The verified weights."""

    def run(self, inputs: Mapping[str, Array]) -> Tensors:
        """Run the network once.

        Parameters
        ----------
        inputs : mapping of str to array
            By tensor name: (1, C, H, W) float32, or of the type and shape that the card states. Not changed, not kept.

        Returns
        -------
        dict of str to array
            Fresh arrays; of floating point always float32.

        Raises
        ------
        OptionError
            If a name, type or shape is not what the network takes.
        """


@dataclass(frozen=True)
class Opening:
    """What a backend needs to load a network.

    Attributes
    ----------
    card : ModelCard
        Format, tensors, tile and devices of the network.
    weights : Weights
        Verified files.
    precision : str
        ``"fp32"`` or ``"bf16"``.
    threads : int
        Cores that one run may use, at least 1.
    device : str
        See :mod:`tratto.backends.devices`.
    """

    card: ModelCard
    weights: Weights
    precision: str
    threads: int
    device: str = "cpu"

    def file(self, suffix: str) -> str:
        """Return the path of the card's one file with this suffix."""
        found = [str(p) for name, p in self.weights.paths.items() if name.endswith(suffix)]
        if len(found) != 1:
            raise OptionError(f"the card {self.card.id} must name exactly one {suffix} file, it names {len(found)}")
        return found[0]

    @property
    def able(self) -> tuple[str, ...]:
        """Kinds of devices that the card allows."""
        return self.card.devices or DEVICES

    def check(self, inputs: Mapping[str, Array], names: tuple[str, ...]) -> None:
        """Raise OptionError unless ``inputs`` are what the card promises, under exactly these names.

        An input is a float32 (1, C, H, W) array that is not empty, unless the card states another type and shape.
        """
        if set(inputs) != set(names):
            raise OptionError(f"{self.card.id} takes the inputs {', '.join(names)}; got {', '.join(inputs) or 'none'}")
        for name, value in inputs.items():
            spec = self.card.tensors.get(name)
            if spec is not None:
                if not spec.fits(value.dtype.name, value.shape):
                    raise OptionError(f"{self.card.id}: input {name} must be {spec}, got {value.dtype} {value.shape}")
                continue
            ok = value.dtype == np.float32 and value.ndim == 4 and value.shape[0] == 1 and value.size > 0
            main = name == self.card.input
            # ncnn and OpenVINO do not refuse a wrong number of channels: they return nonsense
            if not ok or (main and value.shape[1] != self.card.channels):
                raise OptionError(
                    f"{self.card.id}: input {name} must be a float32 (1, {self.card.channels if main else 'C'}, H, W) "
                    f"array that is not empty, got {value.dtype} {value.shape}"
                )


def default_threads() -> int:
    """Return how many cores this process may use; one of several that work side by side is told how many are its."""
    if (given := os.environ.get("TRATTO_THREADS", "")).isdecimal() and int(given) > 0:
        return int(given)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def open_backend(
    card: ModelCard, device: str = "auto", precision: str = "fp32", threads: int | None = None, runtime: str = ""
) -> Backend:
    """Verify a card's weights and open them.

    Parameters
    ----------
    card : ModelCard
        Names the files, their hashes and the backend.
    device : str
        ``"auto"`` (a GPU where runtime and card allow one), ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    precision : str
        ``"fp32"``, or ``"bf16"`` with OpenVINO.
    threads : int or None
        None = the cores this process may use. The result does not depend on it.
    runtime : str
        Which runtime to use where several read the format: ``"openvino"`` for an ONNX file. Empty = the card's own.

    Raises
    ------
    MissingExtra, MissingWeights, WeightMismatch
        If the runtime or a file is missing, or a file is not the one that the card names.
    OptionError
        If device, precision or runtime do not go together.
    """
    name = runtime or card.backend
    if check_device(device).startswith("cuda") and name != "onnx":
        raise OptionError(f"{name} runs {card.id} on the CPU only, not on {device}; drop --device")
    if precision not in (("fp32", "bf16") if name == "openvino" else ("fp32",)):
        raise OptionError(
            f"{name} runs {card.id} in fp32{' or bf16' if name == 'openvino' else ''}, not in {precision!r}"
        )
    if threads is not None and threads < 1:
        raise OptionError(f"threads must be at least 1, got {threads}")
    if (card.backend == "ncnn") != (name == "ncnn"):
        raise OptionError(f"{name} cannot read the weights of {card.id}, which are for {card.backend}")
    threads = threads or default_threads()
    match name:
        case "onnx":
            from tratto.backends.onnx import OnnxBackend

            return _load(OnnxBackend, card, precision, threads, device)
        case "openvino":
            from tratto.backends.openvino import OpenVinoBackend

            return _load(OpenVinoBackend, card, precision, threads)
        case "ncnn":
            from tratto.backends.ncnn import NcnnBackend

            return _load(NcnnBackend, card, precision, threads)
    raise OptionError(f"no backend runs {name!r} models; there are onnx, openvino and ncnn")


def _load(kind: type[Any], card: ModelCard, precision: str, threads: int, device: str = "cpu") -> Backend:
    kind.require()  # first, so that a missing runtime is said before gigabytes are hashed
    backend: Backend = kind(Opening(card, open_weights(card), precision, threads, device))
    return backend


#: Runtime package and Tratto extra for each kind of weights. Empty extra: no command uses such weights yet.
RUNTIMES = {
    "onnx": ("onnxruntime", "all"),
    "openvino": ("openvino", "openvino"),
    "ncnn": ("ncnn", "upscale"),
    "torch": ("torch", "torch"),
    "diffusers": ("diffusers", "diffusion"),
}


def runtime_missing(card: ModelCard, runtime: str = "") -> MissingExtra | None:
    """Return why the runtime for a card cannot be used here, or None. Imports no runtime."""
    package, extra = RUNTIMES[runtime or card.backend]
    if not extra or importlib.util.find_spec(package) is not None:
        return None
    return MissingExtra(f"{card.id} ({package})", extra)
