"""Import a runtime and say truly what stands in the way if that fails."""

from __future__ import annotations

import importlib
import importlib.util
import warnings

from tratto.core.errors import MissingExtra, UnavailableError


def require(package: str, what: str, extra: str) -> None:
    """Import a runtime, so that whatever is wrong with it is said before weights are read.

    Parameters
    ----------
    package : str
        Top-level name, such as ``"onnxruntime"``.
    what : str
        What needs it, in words.
    extra : str
        The extra of Tratto that installs it.

    Raises
    ------
    MissingExtra
        If there is no such package.
    UnavailableError
        If it is there and cannot be loaded; with the cause.
    KeyboardInterrupt
        If the user stopped the program while it was loaded. Binary modules turn that into an ImportError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a binding's own deprecation warnings, not ours to mend
            importlib.import_module(package)
    except ImportError as e:
        if _interrupted(e):
            raise KeyboardInterrupt from e
        if isinstance(e, ModuleNotFoundError) and e.name == package and _absent(package):
            raise MissingExtra(what, extra) from e
        raise UnavailableError(
            f"{what} cannot be used: {package} is installed but does not load: {e}; install it again: "
            f"pip install --force-reinstall {package}"
        ) from e


def _absent(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is None
    except ValueError:  # a module without a specification is in its place
        return False


def _interrupted(error: BaseException) -> bool:
    """Return whether an interrupt lies behind an error, or is all that is left of one in its words."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        e = waiting.pop()
        if e is None or id(e) in seen:
            continue
        if isinstance(e, KeyboardInterrupt) or "KeyboardInterrupt" in str(e):
            return True
        seen.add(id(e))
        waiting += [e.__cause__, e.__context__]
    return False
