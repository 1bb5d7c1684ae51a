"""What goes wrong, as HTTP says it: a status, and ``{"error": {"kind", "message", "option"}}``."""

from __future__ import annotations

import errno
from typing import Any

from pydantic import BaseModel

from tratto.core import errors


class ErrorBody(BaseModel):
    """What is wrong.

    Attributes
    ----------
    kind : str
        For programs.
    message : str
        For people.
    option : str or None
        What was wrong in the request, such as ``options.grow``.
    """

    kind: str
    message: str
    option: str | None = None


class ErrorAnswer(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorBody


class Problem(Exception):
    """Ends a request.

    Parameters
    ----------
    status : int
        Of HTTP: 400 to 599.
    kind, message : str
        Name of the error for programs, and the words for people.
    option : str or None
        Which field of the request is wrong; None: none in particular.
    headers : mapping or None
        Further headers of the answer, such as ``Retry-After``.
    """

    def __init__(
        self, status: int, kind: str, message: str, option: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.option, self.headers = status, kind, message, option, headers or {}

    def body(self) -> dict[str, Any]:
        """Return the body of the answer."""
        return {"error": {"kind": self.kind, "message": self.message, "option": self.option}}


def not_found(what: str) -> Problem:
    """Return the problem of something that is not there, or is somebody else's: nobody learns which."""
    return Problem(404, "NotFound", f"there is no such {what}")


def full() -> Problem:
    """Return the problem of a disk without room."""
    return Problem(507, "DiskFull", "the server's disk is full; nothing was lost, try again when there is room")


_STATUS = {
    "UnsupportedFormat": 415, "CorruptPicture": 415, "PictureTooLarge": 413, "InputError": 415, "OptionError": 409,
    "BadOptions": 409, "ReceiptError": 409, "ForbiddenStep": 409, "UnavailableError": 409, "MissingExtra": 409,
    "MissingWeights": 409, "WeightMismatch": 409, "OutputError": 507,
}  # fmt: skip


def problem_of(kind: str, message: str) -> Problem:
    """Return the problem of an error of Tratto, by the name of its class."""
    return Problem(_STATUS.get(kind, 409), kind, message)


def problem_from(error: Exception) -> Problem | None:
    """Return what an exception means to who asked; None: it is a fault."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full()
    if isinstance(error, errors.TrattoError):
        return problem_of(type(error).__name__, str(error))
    return None
