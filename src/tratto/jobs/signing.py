"""Who vouches for results, as the user's options say it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tratto.provenance.notary import Notary


def notary_of(ledger: Path | None, sign: str) -> Notary | None:
    """Return who vouches for results, as ``--ledger`` and ``--sign`` say; None if nobody does.

    Raises
    ------
    InputError, MissingExtra
        If an identity was asked for that is not here, or cannot sign here. ``auto`` asks for nothing.
    """
    if sign == "none" and ledger is None:
        return None
    from tratto.ledger.keys import identity, keys_folder
    from tratto.provenance.notary import Notary

    chosen = None
    if sign == "auto":
        from tratto.provenance.credentials import available

        if (keys_folder() / "default").is_dir() and available():
            chosen = identity("default")
    elif sign != "none":
        chosen = identity(sign)
    return None if chosen is None and ledger is None else Notary(chosen, ledger)
