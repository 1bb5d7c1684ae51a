"""The pool: providers that were opened, shared by all jobs of a process, with a bound on what it keeps."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tratto.core.capability import Use
from tratto.core.errors import OptionError
from tratto.providers import catalogue

T = TypeVar("T")

#: How much a pool keeps open, in the weights of :class:`tratto.providers.catalogue.Row`.
MOST = 12


@dataclass
class _Entry:
    """One provider: opened by the first who asks, while the others wait for it and for nothing else."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    opened: Any = None
    weight: int = 1


class Pool:
    """Opened networks by what was asked for; those not used for longest are dropped when there are too many.

    A provider that was handed out stays usable after it was dropped. Safe to use from several threads: each network is
    opened once, and what it computes does not depend on who else uses it.

    Parameters
    ----------
    most : int
        Bound on what is kept open, see :data:`MOST`.

    Examples
    --------
    >>> pool = Pool(most=4)
    >>> pool.open(Use("restorer", "bicubic", scale=2)).info.provider
    'bicubic'
    >>> len(pool)
    1
    """

    def __init__(self, most: int = MOST) -> None:
        if most < 1:
            raise OptionError(f"a pool keeps at least one network open, got most={most}")
        self._most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        """How many providers are kept open."""
        return len(self._entries)

    def open(self, use: Use[T], device: str = catalogue.AUTO, pins: Mapping[str, str] | None = None) -> T:
        """Return an opened provider, opening it if it is not kept.

        Parameters
        ----------
        use : Use
            Settled.
        device : str
            See :class:`tratto.providers.catalogue.Request`.
        pins : mapping or None
            See :class:`tratto.providers.catalogue.Request`.

        Raises
        ------
        OptionError, UnavailableError
            If it cannot be opened.
        """
        key = f"{use.key()} {device} {sorted((pins or {}).items())}"
        with self._lock:
            entry = self._entries.setdefault(key, _Entry(weight=catalogue.row_of(use).weight))
            self._entries.move_to_end(key)
        with entry.lock:
            if entry.opened is None:
                try:
                    entry.opened = catalogue.open_settled(use, device, pins)
                except BaseException:
                    with self._lock:
                        self._entries.pop(key, None)
                    raise
        self._shrink(key)
        opened: T = entry.opened
        return opened

    def close(self) -> None:
        """Drop everything; what is in use stays usable."""
        with self._lock:
            self._entries.clear()

    def _shrink(self, newest: str) -> None:
        with self._lock:
            while len(self._entries) > 1 and sum(e.weight for e in self._entries.values()) > self._most:
                oldest = next(iter(self._entries))
                if oldest == newest:
                    return
                del self._entries[oldest]


class Lender:
    """What the services of a job do about providers: settle uses, and open them from a pool.

    Parameters
    ----------
    pool : Pool
        Keeps opened networks for others, too.
    device : str
        Where networks run; see :class:`tratto.providers.catalogue.Request`.
    pins : mapping or None
        Weights that must be opened instead of the present ones.
    """

    def __init__(self, pool: Pool, device: str = catalogue.AUTO, pins: Mapping[str, str] | None = None) -> None:
        self._pool, self._device, self._pins = pool, device, dict(pins or {})

    def settle(self, use: Use[T]) -> Use[T]:
        """Return a use whose provider is named and ready; see :meth:`tratto.core.services.Services.settle`."""
        return catalogue.settle(use, self._device, self._pins)

    def open(self, use: Use[T]) -> T:
        """Return an opened provider; see :meth:`tratto.core.services.Services.open`."""
        named = use if use.provider != catalogue.AUTO else self.settle(use)
        return self._pool.open(named, self._device, self._pins)
