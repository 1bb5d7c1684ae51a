"""Which methods ``tratto eval restore`` runs, and on which cases each of them is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tratto.core.errors import OptionError
from tratto.providers.catalogue import CATALOGUE, open_provider
from tratto.steps.denoise import OWN
from tratto_lab.evaluation.restore import (
    Case,
    Method,
    RestorePlan,
    as_the_command,
    bicubic,
    bm3d_with_sigma,
    restorer_method,
    untouched,
)

Suits = Callable[[Case], bool]
#: What stands for ``tratto restore`` itself among names of providers, and what its rows are called.
AUTO, COMMAND = "auto", "tratto restore"
#: Providers that are told how much noise there is, and so are run where that is known.
_TOLD = ("nlm",)


@dataclass(frozen=True)
class Entry:
    """A method, and whether it is meant for a case."""

    method: Method
    suits: Suits


def any_case(case: Case) -> bool:
    """Everything."""
    return True


def enlarging(case: Case) -> bool:
    """Pictures that are to become larger."""
    return case.scale > 1


def known_noise(case: Case) -> bool:
    """Noise of a known level, at one size."""
    return case.sigma is not None and case.scale == 1


def compressed(case: Case) -> bool:
    """JPEG, at one size."""
    return case.quality is not None and case.scale == 1


def of_scale(scale: int) -> Suits:
    """Pictures that are to be enlarged so many times; 1: those that keep their size."""
    return lambda case: case.scale == scale


def choose_methods(providers: Sequence[str], plan: RestorePlan, bm3d: bool = False) -> dict[str, Entry]:
    """Return what is measured: the floors everything must clear, then what was asked for.

    Parameters
    ----------
    providers : sequence of str
        Names in the table of restorers, or ``"auto"``: what ``tratto restore`` does.
    plan : RestorePlan
        What is measured; a provider is opened at each scale of it that it has.
    bm3d : bool
        Whether BM3D is among them, which is told the true sigma.

    Raises
    ------
    OptionError
        If a provider is not known or would have no row, or the command is to enlarge by 3.
    UnavailableError
        If a provider is not ready here.
    """
    entries = {"as it is": Entry(untouched, of_scale(1)), "bicubic": Entry(bicubic, enlarging)}
    scales = plan.all_scales
    for name in providers:
        if name == AUTO:
            if 3 in scales:
                raise OptionError(
                    "tratto restore enlarges by 2 or 4; name the provider that is to enlarge by 3 (--provider)"
                )
            entries[COMMAND] = Entry(as_the_command(), any_case)
            continue
        row = known(name)
        if not {1, *scales} & set(row):
            raise OptionError(f"{name} only enlarges; give {' or '.join(f'--scale {s}' for s in row)}, too")
        for scale in (s for s in (1, *scales) if s in row):
            with_sigma = name in _TOLD
            method = restorer_method(open_provider("restorer", name, scale=scale), with_sigma=with_sigma)
            entries[f"{name} x{scale}"] = Entry(method, known_noise if with_sigma else of_scale(scale))
        if name in OWN and 1 in row:
            method = restorer_method(open_provider("restorer", name, {"network": "jpeg"}))
            entries[f"{name} x1, network=jpeg"] = Entry(method, compressed)
    if bm3d:
        entries["BM3D (told)"] = Entry(bm3d_with_sigma, known_noise)
    return entries


def known(name: str) -> tuple[int, ...]:
    """Return the scales of a provider.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if name not in CATALOGUE["restorer"]:
        raise OptionError(f"no provider is called {name!r}; choose from {', '.join(CATALOGUE['restorer'])}")
    return CATALOGUE["restorer"][name].scales


def missing_rows(providers: Sequence[str], plan: RestorePlan) -> tuple[str, ...]:
    """Say of which enlargements a provider has no rows, and why."""
    asked = [*([1] if plan.keeps_size else []), *plan.all_scales]
    return tuple(
        f"{name} has no rows at x{scale}: it " + ("only enlarges." if scale == 1 else f"does not enlarge by {scale}.")
        for name in dict.fromkeys(providers)
        if name != AUTO
        for scale in asked
        if scale not in known(name)
    )
