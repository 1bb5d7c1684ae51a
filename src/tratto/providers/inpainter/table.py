"""The table of in-painters: name -> where its code is. Nothing heavy is imported before one is opened.

To add one: write a module with ``missing(variant)`` and ``open(variant)`` and add a row.
``tests/contracts/test_inpainter_contract.py`` says what it must keep.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol, cast

from tratto.core.capability import Inpainter
from tratto.core.errors import OptionError, UnavailableError


@dataclass(frozen=True)
class InpainterRow:
    """One row of the table.

    Attributes
    ----------
    module : str
        Where ``missing`` and ``open`` are.
    about : str
        One line for lists.
    variant : str
        Handed to the module where one serves several rows.
    """

    module: str
    about: str
    variant: str = ""


class _Module(Protocol):
    def missing(self, variant: str) -> UnavailableError | None: ...

    def open(self, variant: str) -> Inpainter: ...


_HERE = "tratto.providers.inpainter."

INPAINTERS: dict[str, InpainterRow] = {
    "tratto": InpainterRow(_HERE + "network", "our own network for thin and medium losses, ONNX Runtime, fp32"),
    "patch": InpainterRow(_HERE + "classical", "copies texture from elsewhere in the picture, coarse to fine", "patch"),
    "plate": InpainterRow(_HERE + "classical", "the smoothest continuation (thin plate)", "plate"),
    "navier-stokes": InpainterRow(_HERE + "classical", "continues lines of equal brightness (OpenCV)", "navier-stokes"),
    "telea": InpainterRow(_HERE + "classical", "fast marching (OpenCV), 8 bit", "telea"),
    "biharmonic": InpainterRow(_HERE + "classical", "biharmonic equation (scikit-image)", "biharmonic"),
}

#: What ``auto`` tries for fine damage, in this order; large parts always go to ``patch``.
FINE: tuple[str, ...] = ("tratto", "plate")
LARGE = "patch"


def _module(row: InpainterRow) -> _Module:
    return cast(_Module, importlib.import_module(row.module))


def _row(name: str) -> InpainterRow:
    if name not in INPAINTERS:
        raise OptionError(f"no in-painter is called {name!r}; choose auto, {', '.join(INPAINTERS)}")
    return INPAINTERS[name]


def choose_inpainter(provider: str) -> str:
    """Turn ``"auto"`` into the first in-painter of fine damage that is ready here; check a name that is given.

    Raises
    ------
    OptionError
        If there is none of this name.
    UnavailableError
        If it is not ready here; the message names the command that would change that.
    """
    if provider != "auto":
        row = _row(provider)
        error = _module(row).missing(row.variant)
        if error is not None:
            raise error
        return provider
    for name in FINE:
        row = INPAINTERS[name]
        if _module(row).missing(row.variant) is None:
            return name
    raise UnavailableError("no in-painter is ready; run: tratto models list")


def open_inpainter(name: str) -> Inpainter:
    """Open an in-painter by its exact name.

    Raises
    ------
    OptionError, UnavailableError
        As in :func:`choose_inpainter`.
    """
    row = _row(name)
    module = _module(row)
    error = module.missing(row.variant)
    if error is not None:
        raise error
    return module.open(row.variant)
