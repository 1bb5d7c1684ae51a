"""Workers on Ray: on a cluster that runs (``RAY_ADDRESS``), or on one that is started here for as long as it takes."""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from tratto.core.errors import MissingExtra, UnavailableError
from tratto.jobs.crew import Hand, Setup, WorkerDied, said
from tratto.jobs.folder import FileOutcome, Work, Worker


class RayWorker:
    """What runs on Ray. Errors are caught here: to Ray, every item that was tried is one that was done."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._worker: Worker | None = None

    def do(self, work: Work) -> FileOutcome | str:
        """Do one item; return its outcome, or the trace of a fault in Tratto itself."""
        try:
            self._worker = self._worker or Worker(self.setup.session())
            return self._worker.do(work)
        except Exception:
            return traceback.format_exc()


class RayHand:
    """A worker on Ray as its thread here sees it."""

    def __init__(self, ray: Any, setup: Setup) -> None:
        self._ray = ray
        kind = ray.remote(num_cpus=setup.threads, max_restarts=0, max_task_retries=0)(RayWorker)
        self._actor = kind.options(runtime_env={"env_vars": setup.environment}).remote(setup)

    def do(self, work: Work) -> FileOutcome:
        """Do one item; see :meth:`tratto.jobs.crew.Hand.do`."""
        try:
            return said(self._ray.get(self._actor.do.remote(work)))
        except self._ray.exceptions.RayError as e:
            raise WorkerDied(str(e).splitlines()[0][:200]) from None

    def close(self) -> None:
        """End it, whatever it is doing."""
        with contextlib.suppress(Exception):  # the cluster may be gone already
            self._ray.kill(self._actor)


@contextlib.contextmanager
def rays(setup: Setup, size: int) -> Iterator[Callable[[], Hand]]:
    """Connect to Ray, or start it, and give what makes a worker.

    Neither usage statistics nor a dashboard: nothing of a job leaves this machine, or the cluster that was named.

    Parameters
    ----------
    setup : Setup
        Of the sessions that workers make.
    size : int
        Workers at the same time.

    Raises
    ------
    MissingExtra, UnavailableError
        If Ray is not installed, or does not answer.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError as e:
        raise MissingExtra("--on ray", "ray") from e
    address = os.environ.get("RAY_ADDRESS", "")
    known: Any = {} if address else {"include_dashboard": False, "num_cpus": size}
    try:
        _reach(address)
        ray.init(log_to_driver=False, logging_level="error", configure_logging=True, **known)
    except Exception as e:  # what it raises has no common base
        where = f"at {address}" if address else "on this machine"
        reason = (str(e).splitlines() or [type(e).__name__])[0][:200]
        raise UnavailableError(
            f"Ray {where} does not answer: {reason}; unset RAY_ADDRESS to start one here, or drop --on ray"
        ) from e
    try:
        yield lambda: RayHand(ray, setup)
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError if nobody listens where a cluster is said to be; Ray itself would try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), 10).close()
