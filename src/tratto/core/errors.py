"""The one exception tree.

::

    TrattoError                     exit 1   (base; never raised itself)
    ├── OptionError                 exit 2   an option or argument makes no sense
    ├── InputError                  exit 3   a file cannot be used as input
    │   ├── UnsupportedFormat                not on the format allow-list, or a kind of it we do not read
    │   ├── CorruptPicture                   on the list, but broken
    │   └── PictureTooLarge                  over a stated limit of pixels, bytes or pages
    ├── OutputError                 exit 4   the output cannot be written, or would overwrite something
    ├── UnavailableError            exit 5   something optional is not here; the message says how to get it
    │   ├── MissingExtra                     a Python extra is not installed
    │   ├── MissingWeights                   a weight file is not on this machine
    │   └── WeightMismatch                   a weight file is here, but is not the one its card names
    ├── ReceiptError                exit 6   a receipt, seal or bundle is malformed or does not match
    ├── ForbiddenStep               exit 7   refused by a policy (``--forensic``)
    └── Cancelled                   exit 130 the job was told to stop

Exit codes beside these: 0 done, 8 some files of several failed, 9 verify: altered, replay: different,
10 verify: unknown, replay: not comparable, 130 interrupted. Standard output that takes no more is 4,
one that nobody reads any more 141. Errors of other libraries are mapped to this tree where they enter.
A message states what was expected, what came and what to do.
"""

from __future__ import annotations


class TrattoError(Exception):
    """Base of every error that Tratto raises on purpose."""

    exit_code = 1


class OptionError(TrattoError):
    """An option or argument makes no sense."""

    exit_code = 2


class NothingToDo(OptionError):
    """There is nothing in a picture to be worked on; among many pictures it is no failure."""


class InputError(TrattoError):
    """A file cannot be used as input."""

    exit_code = 3


class UnsupportedFormat(InputError):
    """The file is not of a format, or of a kind of a format, that Tratto reads."""


class CorruptPicture(InputError):
    """The file claims a known format but breaks its rules."""


class PictureTooLarge(InputError):
    """The picture is over a stated limit of pixels, bytes or pages."""


class OutputError(TrattoError):
    """The output cannot be written, or writing it would overwrite something."""

    exit_code = 4


class UnavailableError(TrattoError):
    """Something optional is not available on this machine."""

    exit_code = 5


class MissingExtra(UnavailableError):
    """A Python extra is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the '{extra}' extra, which is not installed; run: pip install 'tratto[{extra}]'"
        )
        self.extra = extra


class MissingWeights(UnavailableError):
    """A weight file is not on this machine."""


class WeightMismatch(UnavailableError):
    """A weight file does not have the hash its card names."""


class ReceiptError(TrattoError):
    """A receipt, seal or bundle is malformed or does not match."""

    exit_code = 6


class ForbiddenStep(TrattoError):
    """A policy refuses this step."""

    exit_code = 7


class Cancelled(TrattoError):
    """The job was told to stop."""

    exit_code = 130
