"""Who renders Gaussians: our own kernels on the CPU, or gsplat on an NVIDIA GPU."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from tratto.core.capability import DescriberInfo, Rasterizer
from tratto.core.errors import MissingExtra, UnavailableError
from tratto.providers.catalogue import Request


class CpuRasterizer:
    """Our own kernels; equal bits each time on one machine, on any number of threads."""

    def __init__(self) -> None:
        from tratto.scene.rasterize import OWN

        self._own = OWN
        #: Facts about it.
        self.info = DescriberInfo("cpu", library=f"numba {version('numba')}", megapixels_per_second=0.01)

    def render(self, scene: Any, camera: Any, background: Any, constants: Any) -> Any:
        """Render a scene; see :func:`tratto.scene.rasterize.render`."""
        return self._own.render(scene, camera, background, constants)

    def backward(self, rendered: Any, color: Any, depth: Any = None, alpha: Any = None) -> Any:
        """Carry a gradient back; see :func:`tratto.scene.rasterize.backward`."""
        return self._own.backward(rendered, color, depth, alpha)


def missing(request: Request) -> UnavailableError | None:
    """Return why a rasterizer cannot be used here, or None."""
    if request.variant == "cpu":
        return None if find_spec("numba") else MissingExtra("the rasterizer on the CPU", "splat")
    from tratto.backends.gsplat import missing_gsplat

    return missing_gsplat()


def open(request: Request) -> Rasterizer:
    """Open a rasterizer."""
    if request.variant == "cpu":
        return CpuRasterizer()
    from tratto.backends.gsplat import Gsplat

    return Gsplat()
