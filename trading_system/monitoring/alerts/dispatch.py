"""Tells people, without ever waiting for them where trading happens.

Each sink has a lane of its own: a bounded queue, a budget of messages per minute and at most one
thread, so that a slow or hanging sink concerns nobody else. What waits in a lane goes out as one
message. A message that failed is tried again with growing pauses together with what came
meanwhile, unless the answer only came too late. Failures are counted, said once in the
log, and never become alerts themselves.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from trading_system.config.operations import AlertSettings
from trading_system.domain.errors import AlertDeliveryError, DeadlineExceeded, QueueFullError
from trading_system.domain.ports import AlertSink, Clock
from trading_system.monitoring.alerts.book import Notice, NoticeKind
from trading_system.monitoring.alerts.figures import Severity
from trading_system.monitoring.alerts.sinks import LogSink
from trading_system.monitoring.alerts.worker import Worker

CAPACITY: Final = 64
"""Notices that wait for one sink."""

_LOG = structlog.get_logger(__name__)
_MAX_ATTEMPTS = 20
_MINUTE_NS = 60_000_000_000
_NS_PER_S = 1_000_000_000
_LISTED = 10

Pause = Callable[[asyncio.Event, float], Awaitable[None]]
"""Waits until the event is set, at most so many seconds."""


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Return when ``event`` is set or ``seconds`` are over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long sinks are waited for, all in seconds.

    ``deadline_s`` is for one message, ``flush_s`` for everything that is left at the end;
    ``first_retry_s`` and ``max_retry_s`` bound the pauses between attempts, which double.
    """

    deadline_s: float = 20.0
    flush_s: float = 3.0
    first_retry_s: float = 1.0
    max_retry_s: float = 60.0


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    attempts: int = 0


@dataclass(slots=True)
class _Attempt:
    batch: list[_Waiting]
    is_sent: bool = False


class _Lane:
    """What waits for one sink."""

    def __init__(
        self,
        sink: AlertSink,
        *,
        max_per_minute: int,
        clock: Clock,
        patience: Patience,
        pause: Pause,
        rng: random.Random,
        redact: Callable[[str], str],
        on_sent: Callable[[Sequence[str]], None],
    ) -> None:
        self._sink = sink
        self._budget = max_per_minute
        self._clock = clock
        self._patience = patience
        self._pause = pause
        self._rng = rng
        self._redact = redact
        self._on_sent = on_sent
        self._worker = Worker(f"alerts-{sink.name}")
        self._waiting: list[_Waiting] = []
        self._told_ns: deque[int] = deque(maxlen=max_per_minute)
        self._arrived = asyncio.Event()
        self._failures = 0
        self._open: _Attempt | None = None
        self.name = sink.name
        self.sent = self.failed = self.dropped = 0
        self.last_error: str | None = None

    def add(self, notice: Notice) -> None:
        """Let a notice wait; a full lane drops the oldest of the lowest severity."""
        self._waiting.append(_Waiting(notice))
        self._trim()
        self._arrived.set()

    async def run(self) -> None:
        """Send what arrives until cancelled."""
        self._arrived = asyncio.Event()
        if self._waiting:
            self._arrived.set()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                wait_s = self._wait_s()
                if wait_s > 0.0:
                    # Something more severe may arrive meanwhile, and has a place kept free.
                    await self._pause(self._arrived, wait_s)
                    self._arrived.clear()
                elif not await self._attempt(self._patience.deadline_s):
                    await self._pause(asyncio.Event(), self._retry_s())

    async def flush(self) -> None:
        """Send what is left in one message, whatever the budget says; once."""
        await self._attempt(self._patience.flush_s)

    async def _attempt(self, deadline_s: float) -> bool:
        await self._worker.idle()
        self._settle()
        if not self._waiting:
            return True
        attempt = self._open = _Attempt(self._waiting)
        self._waiting = []
        title, text = compose([one.notice for one in attempt.batch])
        title, text = self._redact(title), self._redact(text)

        def send() -> None:
            self._sink.send(title, text)
            attempt.is_sent = True

        try:
            await self._worker.run(send, deadline_s=deadline_s)
        except Exception as e:  # a sink may raise anything; it is counted and said
            self._note_failure(e)
        finally:
            # What is not known to be sent waits again; a late answer takes it back out.
            if not attempt.is_sent:
                self._keep(attempt.batch)
        self._settle()
        return attempt.is_sent

    def _settle(self) -> None:
        """Forget what the newest attempt delivered, however late; call it while idle."""
        attempt = self._open
        if attempt is None or self._worker.is_busy:
            return
        self._open = None
        if attempt.is_sent:
            done = {id(one) for one in attempt.batch}
            self._waiting = [one for one in self._waiting if id(one) not in done]
            self._note_success(attempt.batch)

    def _keep(self, batch: list[_Waiting]) -> None:
        for one in batch:
            one.attempts += 1
        kept = [one for one in batch if one.attempts < _MAX_ATTEMPTS]
        self.dropped += len(batch) - len(kept)
        self._waiting = kept + self._waiting
        self._trim()

    def _trim(self) -> None:
        while len(self._waiting) > CAPACITY:
            self._waiting.remove(min(self._waiting, key=lambda one: one.notice.severity))
            self.dropped += 1

    def _note_success(self, batch: list[_Waiting]) -> None:
        self.sent += 1
        self._failures = 0
        self._told_ns.append(self._clock.monotonic_ns())
        self._on_sent([one.notice.alert_id for one in batch])

    def _note_failure(self, error: Exception) -> None:
        self.failed += 1
        self._failures += 1
        is_told = isinstance(error, AlertDeliveryError | DeadlineExceeded | QueueFullError)
        self.last_error = self._redact(
            str(error) if is_told else f"{self.name}: {type(error).__name__}"
        )
        if self._failures == 1:
            _LOG.warning("an alert was not delivered", sink=self.name, error=self.last_error)

    def _retry_s(self) -> float:
        """Return the pause after a failure: exponential, jittered, never below half its bound."""
        bound_s = self._patience.first_retry_s * 2.0 ** min(self._failures - 1, 20)
        bound_s = min(bound_s, self._patience.max_retry_s)
        return self._rng.uniform(bound_s / 2, bound_s)

    def _wait_s(self) -> float:
        """Return how long the budget makes what waits wait, seconds.

        The last message of the budget is kept for what is critical.
        """
        worst = max(one.notice.severity for one in self._waiting)
        kept_free = 1 if worst < Severity.CRITICAL and self._budget > 1 else 0
        now_ns = self._clock.monotonic_ns()
        recent = [told for told in self._told_ns if now_ns - told < _MINUTE_NS]
        excess = len(recent) - (self._budget - kept_free)
        return 0.0 if excess < 0 else (recent[excess] + _MINUTE_NS - now_ns) / _NS_PER_S


class Dispatcher:
    """Sends notices to every sink.

    Parameters
    ----------
    settings : AlertSettings
        Smallest severity sent, and messages per minute to each sink.
    sinks : sequence of AlertSink
        Who is told, besides the log, which gets every notice.
    clock : Clock
        Pace of the messages.
    redact : callable
        Takes secrets out of every message and error.
    on_sent : callable
        Told the ids of the alerts of every delivered message.
    log : AlertSink
        Gets every notice at once, whatever its severity.
    patience : Patience
        Deadlines and pauses.
    pause : Pause
        Waits for an event, for a limited time.
    rng : random.Random
        Jitter of the pauses.
    """

    def __init__(
        self,
        settings: AlertSettings,
        *,
        sinks: Sequence[AlertSink],
        clock: Clock,
        redact: Callable[[str], str],
        on_sent: Callable[[Sequence[str]], None] | None = None,
        log: AlertSink | None = None,
        patience: Patience | None = None,
        pause: Pause = pause,
        rng: random.Random | None = None,
    ) -> None:
        self._least = Severity[settings.min_severity.upper()]
        self._log = log or LogSink()
        self._redact = redact
        self._patience = patience or Patience()
        self._lanes = [
            _Lane(
                sink,
                max_per_minute=settings.max_per_minute,
                clock=clock,
                patience=self._patience,
                pause=pause,
                rng=rng or random.Random(),
                redact=redact,
                on_sent=on_sent or _ignore,
            )
            for sink in sinks
        ]

    def offer(self, notices: Sequence[Notice]) -> None:
        """Log ``notices`` and let them wait for every sink; never blocks."""
        for notice in notices:
            title, text = compose([notice])
            self._log.send(self._redact(title), self._redact(text))
            if notice.severity >= self._least:
                for lane in self._lanes:
                    lane.add(notice)

    async def run(self) -> None:
        """Send until cancelled, and then what is left, within ``flush_s``."""
        try:
            async with asyncio.TaskGroup() as lanes:
                for lane in self._lanes:
                    lanes.create_task(lane.run(), name=f"alerts-{lane.name}")
        finally:
            await self._flush()

    def figures(self) -> dict[str, Any]:
        """Return names of the sinks, messages sent, attempts failed and notices dropped."""
        errors = [lane.last_error for lane in self._lanes if lane.last_error is not None]
        return {
            "sinks": [lane.name for lane in self._lanes],
            "sent": sum(lane.sent for lane in self._lanes),
            "failed": sum(lane.failed for lane in self._lanes),
            "dropped": sum(lane.dropped for lane in self._lanes),
            "last_error": errors[-1] if errors else None,
        }

    async def _flush(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.flush_s), asyncio.TaskGroup() as lanes:
                for lane in self._lanes:
                    lanes.create_task(lane.flush(), name=f"alerts-{lane.name}")


def compose(notices: Sequence[Notice]) -> tuple[str, str]:
    """Return title and text of one message about ``notices``, the worst first."""
    ordered = sorted(notices, key=lambda one: (one.kind is NoticeKind.CLEARED, -one.severity))
    first = ordered[0]
    if len(ordered) == 1:
        return _headline(first), _paragraph(first)
    title = f"{len(ordered)} alerts, first: {_headline(first)}"
    paragraphs = [f"{_headline(one)}\n{_paragraph(one)}" for one in ordered[:_LISTED]]
    left = [one.rule for one in ordered[_LISTED:]]
    if left:
        paragraphs.append(f"and {len(left)} more: {', '.join(dict.fromkeys(left))}")
    return title, "\n\n".join(paragraphs)


def _headline(notice: Notice) -> str:
    about = f" ({notice.subject})" if notice.subject else ""
    return f"{notice.severity.name} {notice.kind.value}: {notice.rule}{about}"


def _paragraph(notice: Notice) -> str:
    since = datetime.fromtimestamp(notice.since_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if notice.kind is NoticeKind.CLEARED:
        return f"{notice.message}\nIt began {since} and is over."
    return f"{notice.message}\nSince {since}. What to do: {notice.remedy}"


def _ignore(_alert_ids: Sequence[str]) -> None:
    """Nobody counts what was sent."""
