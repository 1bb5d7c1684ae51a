"""Server-sent events: what happens to jobs, from the table of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool

from tratto.server.store import Store

#: Seconds between looks at the table while somebody listens, and between signs of life.
LOOK, SIGN = 0.3, 15.0


class Pulse:
    """Tells listeners that something happened: one look at the table for all of them.

    Parameters
    ----------
    store : Store
        Whose events are looked for.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ending = asyncio.Event()
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def __enter__(self) -> Pulse:
        self._listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        return self

    def __exit__(self, *_: object) -> None:
        self._listeners -= 1

    @property
    def changed(self) -> asyncio.Event:
        """Set when something happens after now. Taken before a look at the table, so that nothing falls between."""
        return self._changed

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Wait until something happened, at most for so long."""
        try:
            await asyncio.wait_for(changed.wait(), seconds)
        except TimeoutError:
            return

    async def _watch(self) -> None:
        last = await run_in_threadpool(self.store.last_event)
        while self._listeners > 0 and not self.ending.is_set():
            await asyncio.sleep(LOOK)
            now = await run_in_threadpool(self.store.last_event)
            if now != last:
                last, changed = now, self._changed
                self._changed = asyncio.Event()
                changed.set()
        self._changed.set()
        self._changed = asyncio.Event()


async def events(
    pulse: Pulse, owner: str, after: int, job: str | None, job_json: Callable[[str], str | None], seconds: float,
    allowed: Callable[[], bool],
) -> AsyncIterator[str]:  # fmt: skip
    """Yield messages about somebody's jobs.

    Parameters
    ----------
    pulse : Pulse
        Tells when to look; shared by all listeners.
    owner : str
        Whose jobs; see :class:`tratto.server.access.Identity`.
    after : int
        The last event that the listener knows.
    job : str or None
        Of this job alone.
    job_json : callable
        Returns the job of an id as JSON; None: it is gone.
    seconds : float
        After which the stream ends.
    allowed : callable
        Whether the listener still may hear of anything; asked before each message, so that a key that was removed
        while it listened hears nothing more.
    """
    end, signed = time.monotonic() + seconds, time.monotonic()
    with pulse:
        yield "retry: 2000\n\n"
        while (left := end - time.monotonic()) > 0 and not pulse.ending.is_set():
            changed = pulse.changed
            found = await run_in_threadpool(pulse.store.events, owner, after, job)
            if found and not await run_in_threadpool(allowed):
                return
            for number, name, kind in found:
                after = number
                data = None if kind == "gone" else await run_in_threadpool(job_json, name)
                if data is None:
                    yield f'id: {number}\nevent: gone\ndata: {{"id": "{name}"}}\n\n'
                else:
                    yield f"id: {number}\nevent: job\ndata: {data}\n\n"
            if found:
                continue
            await pulse.wait(changed, min(left, SIGN))
            if time.monotonic() - signed > SIGN:
                signed = time.monotonic()
                yield ": still here\n\n"
