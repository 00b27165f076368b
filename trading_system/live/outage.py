"""What the system does while parts of the venue cannot be reached.

A lost private stream leaves orders to look-ups, so only reducing is allowed; without market data,
or without the venue itself, nothing is. A hold ends only after both sides were compared and agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState
from trading_system.runtime.lifecycle import Spawn

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_HOLD = "venue"
_PRIVATE = "private stream"
_RETRY_S = 0.5
_POLL_S = 2.0


class OutageWatch:
    """Holds trading from the first loss until the account was reconciled again.

    Parameters
    ----------
    holds : Holds
        Receives the hold ``venue``.
    recover : Callable
        Reconciles; returns whether both sides are known to agree.
    spawn : Callable
        Starts a supervised task from a name and a coroutine.
    venue_ns : Callable
        The venue's time, UTC nanoseconds: a clock that is set meanwhile does not shift an outage.
    poll : Callable or None
        Asks the venue for what the private stream would tell; called every two seconds while only
        that stream is down.
    pause : Callable
        Sleeps between two attempts, seconds.
    """

    def __init__(
        self,
        holds: Holds,
        *,
        recover: Callable[[], Awaitable[bool]],
        spawn: Spawn,
        venue_ns: Callable[[], int],
        poll: Callable[[], Awaitable[object]] | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._pause = pause
        self._holds = holds
        self._recover = recover
        self._spawn = spawn
        self._venue_ns = venue_ns
        self._down: dict[str, str] = {}
        self._poll = poll
        self._is_recovering = False
        self._is_polling = False
        self._losses = 0
        self.polls = 0
        self.outages = 0
        self.since_ns: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether everything that was ever up is up."""
        return not self._down

    def down(self, part: str, reason: str, *, silent_s: float = 0.0) -> None:
        """Note that ``part`` was lost, and was heard last ``silent_s`` seconds ago."""
        heard_ns = self._venue_ns() - round(silent_s * _NS_PER_S)
        if not self._down and self._holds.get(_HOLD) is None:
            self.outages += 1
            self.since_ns = heard_ns
        elif self.since_ns is not None:
            self.since_ns = min(self.since_ns, heard_ns)
        self._down[part] = reason
        self._losses += 1
        self._hold()
        if self._poll is not None and self._is_private_only and not self._is_polling:
            self._is_polling = True
            self._spawn("private-polling", self._poll_forever(self._poll))

    def up(self, part: str) -> None:
        """Note that ``part`` is there; after a loss the account is reconciled first."""
        was_down = self._down.pop(part, None) is not None
        if not was_down:
            return
        if self._down:
            self._hold()
        elif not self._is_recovering:
            self._is_recovering = True
            self._spawn("outage-recovery", self._reconcile())

    def _hold(self) -> None:
        held = self._holds.get(_HOLD)
        # An outage that halted trading halts it until both sides were compared, not until some
        # parts are back.
        was_halted = held is not None and held.state is TradingState.HALTED
        reduces = self._is_private_only and not was_halted
        state = TradingState.REDUCING if reduces else TradingState.HALTED
        parts = "; ".join(f"{part}: {reason}" for part, reason in sorted(self._down.items()))
        self._holds.set(_HOLD, state, f"lost {parts}")

    @property
    def _is_private_only(self) -> bool:
        return set(self._down) == {_PRIVATE}

    async def _poll_forever(self, poll: Callable[[], Awaitable[object]]) -> None:
        try:
            while self._is_private_only:
                self.polls += 1
                await poll()
                await self._pause(_POLL_S)
        finally:
            self._is_polling = False

    async def _reconcile(self) -> None:
        try:
            while not self._down:
                losses = self._losses
                # What was read before another loss proves nothing about the time after it.
                if await self._recover() and losses == self._losses:
                    self._holds.clear(_HOLD)
                    self.since_ns = None
                    _LOG.info("the outage is over")
                    return
                await self._pause(_RETRY_S)
        finally:
            self._is_recovering = False
