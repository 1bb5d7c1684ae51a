"""In-painters: the protocol is :class:`tratto.core.capability.Inpainter`, the table is in ``table``."""

from tratto.providers.inpainter.table import (
    FINE,
    INPAINTERS,
    LARGE,
    choose_inpainter,
    is_diffusion,
    open_inpainter,
    settle_params,
)

__all__ = ["FINE", "INPAINTERS", "LARGE", "choose_inpainter", "is_diffusion", "open_inpainter", "settle_params"]
