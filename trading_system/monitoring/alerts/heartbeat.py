"""A dead man's switch: reads an address as long as the system is well.

A service that expects the heartbeat raises the alarm when it stays away: when the system is not
well, and also when the process, the machine or its network is gone and can tell nobody.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from trading_system.config.operations import AlertSettings
from trading_system.domain.errors import AlertDeliveryError, DeadlineExceeded, QueueFullError
from trading_system.domain.ports import Clock
from trading_system.monitoring.alerts.worker import Worker
from trading_system.monitoring.redaction import REDACTOR

_LOG = structlog.get_logger(__name__)
_DEADLINE_S = 10.0
_READ_BYTES = 1024


class Heartbeat:
    """Reads ``heartbeat_url`` every ``heartbeat_s`` while the system is well.

    Parameters
    ----------
    settings : AlertSettings
        Address and pace; without an address nothing is done.
    clock : Clock
        Age of the newest heartbeat.
    is_well : callable
        Whether there should be a heartbeat now.
    deadline_s : float
        Patience with one heartbeat, seconds.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        settings: AlertSettings,
        *,
        clock: Clock,
        is_well: Callable[[], bool],
        deadline_s: float = _DEADLINE_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        secret = settings.heartbeat_url
        self._url = None if secret is None else secret.get_secret_value().strip()
        if self._url is not None:
            REDACTOR.add_address(self._url)
        self._every_s = settings.heartbeat_s
        self._clock = clock
        self._is_well = is_well
        self._deadline_s = deadline_s
        self._sleep = sleep
        self._worker = Worker("heartbeat")
        self._newest_ns: int | None = None
        self._sent = self._failed = self._withheld = 0
        self._is_failing = False

    async def run(self) -> None:
        """Beat until cancelled; return at once without an address."""
        while self._url is not None:
            await self.beat()
            await self._sleep(self._every_s)

    async def beat(self) -> None:
        """Send one heartbeat if the system is well; a failure is counted, never raised."""
        if self._url is None:
            return
        if not self._is_well():
            self._withheld += 1
            return
        url, patience_s = self._url, self._deadline_s
        try:
            await self._worker.run(lambda: _read(url, patience_s), deadline_s=patience_s)
        except (AlertDeliveryError, DeadlineExceeded, QueueFullError) as e:
            self._failed += 1
            if not self._is_failing:
                _LOG.warning("heartbeat failed", error=str(e))
            self._is_failing = True
        else:
            self._sent += 1
            self._newest_ns = self._clock.monotonic_ns()
            self._is_failing = False

    def figures(self) -> dict[str, Any]:
        """Return how many went out, failed and were withheld; the newest one's age in seconds."""
        newest = self._newest_ns
        age_s = None if newest is None else (self._clock.monotonic_ns() - newest) / 1e9
        return {
            "heartbeats": self._sent,
            "heartbeat_failed": self._failed,
            "heartbeat_withheld": self._withheld,
            "heartbeat_age_s": age_s,
        }


def _read(url: str, timeout_s: float) -> None:
    """Read the address in the worker thread; the error names its kind only, never the address."""
    try:
        # The settings accept http and https only.
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - see above
            answer.read(_READ_BYTES)
    except Exception as e:
        status = getattr(e, "code", None)
        what = type(e).__name__ if status is None else f"status {status}"
        if status is not None:
            e.close()  # type: ignore[attr-defined] # HTTPError is an answer that must be closed
        raise AlertDeliveryError(f"the heartbeat was not taken: {what}") from None
