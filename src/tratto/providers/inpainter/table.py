"""The table of in-painters: name -> where its code is. Nothing heavy is imported before one is opened.

To add one: write a module with ``missing(variant)`` and ``open(variant)`` and add a row.
``tests/contracts/test_inpainter_contract.py`` says what it must keep.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

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
    diffusion : bool
        True for a diffusion model: it takes parameters, its weights lie in a folder that the user names, and its module
        has ``settle(variant, params)`` as well.
    """

    module: str
    about: str
    variant: str = ""
    diffusion: bool = False


class _Module(Protocol):
    def missing(self, variant: str) -> UnavailableError | None: ...

    def open(self, variant: str) -> Inpainter: ...


class _Diffusion(Protocol):
    def settle(self, variant: str, params: Mapping[str, Any]) -> dict[str, Any]: ...

    def open(self, variant: str, params: Mapping[str, Any]) -> Inpainter: ...


_HERE = "tratto.providers.inpainter."

INPAINTERS: dict[str, InpainterRow] = {
    "tratto": InpainterRow(_HERE + "network", "our own network for thin and medium losses, ONNX Runtime, fp32"),
    "patch": InpainterRow(_HERE + "classical", "copies texture from elsewhere in the picture, coarse to fine", "patch"),
    "plate": InpainterRow(_HERE + "classical", "the smoothest continuation (thin plate)", "plate"),
    "navier-stokes": InpainterRow(_HERE + "classical", "continues lines of equal brightness (OpenCV)", "navier-stokes"),
    "telea": InpainterRow(_HERE + "classical", "fast marching (OpenCV), 8 bit", "telea"),
    "biharmonic": InpainterRow(_HERE + "classical", "biharmonic equation (scikit-image)", "biharmonic"),
    "sdxl": InpainterRow(_HERE + "diffusion", "a diffusion model, SDXL: invents what fits", "sdxl", diffusion=True),
    "sd15": InpainterRow(
        _HERE + "diffusion", "a diffusion model, Stable Diffusion 1.5: invents what fits", "sd15", diffusion=True
    ),
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


def is_diffusion(name: str) -> bool:
    """Return whether an in-painter is a diffusion model, which works in windows of its own and takes parameters."""
    return name in INPAINTERS and INPAINTERS[name].diffusion


def settle_params(name: str, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check the parameters of an in-painter and complete them; paths become references that a recipe may keep.

    Raises
    ------
    OptionError
        If it takes none, or not these.
    UnavailableError
        If it is not ready here.
    """
    if not is_diffusion(name):
        if params:
            raise OptionError(f"{name} takes no parameters, got {', '.join(params)}; sdxl and sd15 do")
        return {}
    row = _row(name)
    return cast(_Diffusion, importlib.import_module(row.module)).settle(row.variant, params or {})


def choose_inpainter(provider: str, params: Mapping[str, Any] | None = None) -> str:
    """Turn ``"auto"`` into the first in-painter of fine damage that is ready here; check a name that is given.

    Parameters
    ----------
    provider : str
    params : mapping or None
        Of a diffusion model, as for :func:`settle_params`.

    Raises
    ------
    OptionError
        If there is none of this name.
    UnavailableError
        If it is not ready here; the message names the command that would change that.
    """
    if provider != "auto":
        row = _row(provider)
        if row.diffusion and params:
            settle_params(provider, params)
            return provider
        error = _module(row).missing(row.variant)
        if error is not None:
            raise error
        return provider
    for name in FINE:
        row = INPAINTERS[name]
        if _module(row).missing(row.variant) is None:
            return name
    raise UnavailableError("no in-painter is ready; run: tratto models list")


def open_inpainter(name: str, params: Mapping[str, Any] | None = None) -> Inpainter:
    """Open an in-painter by its exact name.

    Parameters
    ----------
    name : str
    params : mapping or None
        What a diffusion model has to be opened with.

    Raises
    ------
    OptionError, UnavailableError
        As in :func:`choose_inpainter`.
    """
    row = _row(name)
    if row.diffusion and params:
        return cast(_Diffusion, importlib.import_module(row.module)).open(row.variant, params)
    if params:
        raise OptionError(f"{name} takes no parameters, got {', '.join(params)}")
    module = _module(row)
    error = module.missing(row.variant)
    if error is not None:
        raise error
    return module.open(row.variant)
