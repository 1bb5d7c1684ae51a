"""What providers share that run a network from a folder which the user names, and which takes nothing else."""

from __future__ import annotations

from typing import Any

from tratto.backends.transformers import missing_transformers
from tratto.core.errors import MissingWeights, OptionError, UnavailableError
from tratto.models.folders import find_folder
from tratto.providers.catalogue import Request


def missing_folder(request: Request, what: str, remedy: str) -> UnavailableError | None:
    """Return why the network cannot be used here, or None.

    Parameters
    ----------
    request : Request
        Its parameter ``model`` names the folder.
    what : str
        The provider, for the message: "the captioner joycaption".
    remedy : str
        What is to be named, and how.
    """
    known = request.params.get("model")
    return missing_transformers(what) or (None if known else MissingWeights(f"{request.provider} needs {remedy}"))


def settle_folder(request: Request, missing: UnavailableError | None, remedy: str) -> dict[str, Any]:
    """Check the folder; it becomes a reference that a recipe may keep.

    Raises
    ------
    OptionError
        If there is no folder, or something else is given.
    UnavailableError
        ``missing``, if it is one.
    """
    if set(request.params) != {"model"} or not request.params["model"]:
        raise OptionError(f"{request.provider} needs {remedy}, and nothing else")
    if missing is not None:
        raise missing
    return {"model": find_folder(str(request.params["model"]), "part").reference}
