"""One errand at a time outside the event loop, with a deadline, by a thread nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from trading_system.domain.errors import DeadlineExceeded, QueueFullError

_POLL_S = 0.05


class Worker:
    """Runs blocking jobs in a daemon thread, at most one thread at any time.

    A job that hangs keeps its thread until it returns by itself; it stops neither the event loop
    nor the end of the process, and nothing else is begun meanwhile.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a job, perhaps one past its deadline, has not returned."""
        return self._thread is not None and self._thread.is_alive()

    async def idle(self) -> None:
        """Return once no job is at work."""
        # A thread may outlive the loop it was begun by, so it sets no event of one.
        while self.is_busy:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_POLL_S)

    async def run(self, job: Callable[[], None], *, deadline_s: float) -> None:
        """Run ``job`` and return when it returned; what it raises is raised here.

        Raises
        ------
        DeadlineExceeded
            If it did not return in time; it may still take effect.
        QueueFullError
            If another job has not returned; nothing was begun.
        """
        if self.is_busy:
            raise QueueFullError(f"{self._name} is still at work")
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = loop.create_future()

        def work() -> None:
            error: Exception | None = None
            try:
                job()
            except Exception as e:  # carried over to the waiting task
                error = e
            with suppress(RuntimeError):  # the loop has ended, nobody waits any more
                loop.call_soon_threadsafe(_settle, outcome, error)

        self._thread = threading.Thread(target=work, name=self._name, daemon=True)
        self._thread.start()
        done, _ = await asyncio.wait({outcome}, timeout=deadline_s)
        if not done:
            outcome.cancel()
            raise DeadlineExceeded(f"{self._name} gave no answer within {deadline_s:g} s")
        await self.idle()  # the thread has nothing left to do but to end
        outcome.result()


def _settle(outcome: asyncio.Future[None], error: Exception | None) -> None:
    if outcome.cancelled():
        return
    if error is None:
        outcome.set_result(None)
    else:
        outcome.set_exception(error)
