"""The table of restorers: name -> where its code is. Nothing heavy is imported before one is opened.

To add one: write a module with the two functions ``missing(scale, params)`` and ``open(scale, fast, params)`` and add a
row here. ``tests/contracts/test_restorer_contract.py`` says what it must keep.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from tratto.core.capability import Restorer
from tratto.core.errors import OptionError, UnavailableError


@dataclass(frozen=True)
class Provider:
    """One row of the table.

    Attributes
    ----------
    module : str
        Where ``missing`` and ``open`` are.
    scales : tuple of int
    about : str
        One line for lists.
    params : mapping of str to tuple
        Parameters it takes, with the values allowed; an empty tuple = a number from 0 to 255, full scale.
    variant : str
        Handed to the module where one serves several rows.
    generative : bool
        True if it may invent detail; never chosen by ``auto``.
    """

    module: str
    scales: tuple[int, ...]
    about: str
    params: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    variant: str = ""
    generative: bool = False


@dataclass(frozen=True)
class Availability:
    """Whether a provider can be used here.

    Attributes
    ----------
    name : str
    scales : tuple of int
        All that it offers.
    available : bool
        True if at least one of them is ready.
    ready : tuple of int
        Scales that are ready.
    generative : bool
    about, why_not, fix : str
        One line; why some scale is not ready and the command that would change that, both empty when all are.
    """

    name: str
    scales: tuple[int, ...]
    available: bool
    ready: tuple[int, ...]
    generative: bool
    about: str
    why_not: str
    fix: str


class _Module(Protocol):
    def missing(self, scale: int, params: Mapping[str, Any], variant: str) -> UnavailableError | None: ...

    def open(self, scale: int, fast: bool, params: Mapping[str, Any], variant: str) -> Restorer: ...


_HERE = "tratto.providers.restorer."

#: At x1: the network for noise or the one for JPEG traces; ``restore`` chooses by what the inspection found.
_OWN: dict[str, tuple[Any, ...]] = {"network": ("noise", "jpeg")}

RESTORERS: dict[str, Provider] = {
    "tratto": Provider(
        _HERE + "tratto", (1, 2, 4), "our own networks, ONNX Runtime, fp32", params=_OWN, variant="onnx"
    ),
    "tratto-openvino": Provider(
        _HERE + "tratto",
        (1, 2, 4),
        "our own networks, OpenVINO, fp32 (bf16 with --fast)",
        params=_OWN,
        variant="openvino",
    ),
    "span": Provider(_HERE + "span", (2, 4), "SPAN, enlarges without inventing; ONNX Runtime, fp32"),
    "nlm": Provider(_HERE + "nlm", (1,), "non-local means of OpenCV, 8 bit", params={"sigma": ()}),
    "wiener": Provider(_HERE + "wiener", (1,), "one linear filter that takes back mild blur", params={"blur": ()}),
    "bicubic": Provider(_HERE + "kernel", (2, 4), "interpolation, Keys' cubic", variant="bicubic"),
    "lanczos": Provider(_HERE + "kernel", (2, 4), "interpolation, Lanczos with three lobes", variant="lanczos"),
    "waifu2x": Provider(
        _HERE + "waifu2x",
        (1, 2),
        "waifu2x through ncnn: noise level 0-3 at x1, 'none' too at x2",
        params={"noise": ("none", 0, 1, 2, 3), "model": ("photo", "cunet", "anime")},
    ),
    "realesrgan": Provider(
        _HERE + "realesrgan",
        (2, 3, 4),
        "Real-ESRGAN through ncnn; invents detail",
        params={"model": ("x4plus", "x4plus-anime", "animevideo")},
        generative=True,
    ),
}

#: What ``auto`` tries, in this order. No generative provider is in it: inventing detail must be asked for by name.
AUTO: dict[int, tuple[str, ...]] = {
    1: ("tratto", "nlm"),
    2: ("span", "tratto", "bicubic"),
    4: ("span", "tratto", "bicubic"),
}


def _module(provider: Provider) -> _Module:
    return cast(_Module, importlib.import_module(provider.module))


def _check(name: str, scale: int, params: Mapping[str, Any]) -> Provider:
    if name not in RESTORERS:
        raise OptionError(f"no restorer is called {name!r}; choose auto, {', '.join(RESTORERS)}")
    provider = RESTORERS[name]
    if scale not in provider.scales:
        offered = ", ".join(f"x{s}" for s in provider.scales)
        able = ", ".join(n for n, p in RESTORERS.items() if scale in p.scales) or "none"
        raise OptionError(f"{name} works at {offered}, not at x{scale}; x{scale} is offered by: {able}")
    for key, value in params.items():
        if key not in provider.params:
            known = ", ".join(provider.params) or "none"
            raise OptionError(f"{name} has no parameter {key!r}; its parameters: {known}")
        allowed = provider.params[key]
        if allowed:
            if isinstance(value, bool) or value not in allowed:
                raise OptionError(f"{name}: {key} must be one of {', '.join(map(str, allowed))}; got {value!r}")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 255:
            raise OptionError(f"{name}: {key} must be a number from 0 to 255, got {value!r}")
    return provider


def choose_restorer(provider: str, scale: int, params: Mapping[str, Any] | None = None) -> str:
    """Turn ``"auto"`` into the name of the first provider that is ready here; check a name that is given.

    Parameters
    ----------
    provider : str
        ``"auto"`` or a name in ``RESTORERS``.
    scale : int
        Output side / input side.
    params : mapping or None
        Parameters for the provider; not allowed with ``auto``, which does not know whose they would be.

    Returns
    -------
    str

    Raises
    ------
    OptionError
        If there is no such provider, or it does not offer this scale or these parameters.
    UnavailableError
        If the provider is not ready here; the message names the command that would change that.
    """
    params = params or {}
    if provider != "auto":
        row = _check(provider, scale, params)
        error = _module(row).missing(scale, params, row.variant)
        if error is not None:
            raise error
        return provider
    if params:
        raise OptionError(f"parameters ({', '.join(params)}) need a provider by name, not 'auto'")
    if scale not in AUTO:
        able = ", ".join(n for n, p in RESTORERS.items() if scale in p.scales) or "no provider"
        raise OptionError(f"'auto' works at x1, x2 and x4, not at x{scale}; x{scale} is offered by: {able}")
    for name in AUTO[scale]:
        row = RESTORERS[name]
        if _module(row).missing(scale, {}, row.variant) is None:
            return name
    raise UnavailableError(f"no provider is ready for x{scale}; run: tratto models list")


def open_restorer(name: str, scale: int, fast: bool = False, params: Mapping[str, Any] | None = None) -> Restorer:
    """Open a restorer by its exact name.

    Parameters
    ----------
    name : str
        A name in ``RESTORERS``; not ``"auto"``.
    scale : int
    fast : bool
        Allow lower precision where the provider has it.
    params : mapping or None
        See ``RESTORERS[name].params``.

    Raises
    ------
    OptionError, UnavailableError
        As in :func:`choose_restorer`.
    """
    params = params or {}
    row = _check(name, scale, params)
    module = _module(row)
    error = module.missing(scale, params, row.variant)
    if error is not None:
        raise error
    return module.open(scale, fast, params, row.variant)


def availability() -> list[Availability]:
    """Say for every provider whether it is ready here, and if not, why and what would change that."""
    out = []
    for name, row in RESTORERS.items():
        module = _module(row)
        errors = {scale: module.missing(scale, {}, row.variant) for scale in row.scales}
        ready = tuple(s for s, e in errors.items() if e is None)
        first = next((e for e in errors.values() if e is not None), None)
        why, _, fix = str(first).partition("; run: ") if first is not None else ("", "", "")
        if first is not None and ready:
            why = f"x{next(s for s, e in errors.items() if e is not None)}: {why}"
        out.append(Availability(name, row.scales, bool(ready), ready, row.generative, row.about, why, fix))
    return out
