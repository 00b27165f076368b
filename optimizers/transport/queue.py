"""Who gets the next free connection.

:class:`PriorityGate` serves waiting requests strictly by priority (1 first) and in order of arrival
inside a priority. Before all of them come exits: requests of priority 1 that close or protect a
position. Three rules beside:

* **Bypass.** While a connection is free and nobody waits, a request enters at once: no queue
  operation, no task switch.
* **Ageing.** A request that has waited ``ageing_s`` is served before all younger ones of priority 2
  to 4; one that has waited twice as long also before all younger ones of priority 1, the oldest
  first. Nothing comes before an exit. So nothing starves: exits are as few as positions.
* **Bound.** At most ``capacity`` requests wait. A further one is refused (:class:`RequestRefused`,
  nothing was sent), except of priority 1: it takes the place of the newest request of the worst
  priority waiting, which is refused instead. An exit takes the place of anything that is none, and
  is itself never refused: exits must not be locked out by queries.

:class:`CancelLane` has connections of its own, so that a cancellation never waits behind anything
but cancellations and is never refused. Cancellations of the same order that both still wait are
sent once. What waits there is therefore bounded by the number of open orders. A cancellation that
was already sent is not shared: it may have been judged before the order arrived.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from trading_system.domain.errors import (
    Outcome,
    QueueFullError,
    ValidationError,
    VenueUnavailable,
)
from trading_system.domain.ports import Clock, HttpReply

HIGHEST, LOWEST = 1, 4
"""Range of the priorities; 1 is served first."""

_EXIT = 0
_NS_PER_S = 1_000_000_000
_VENUE = "transport"


class RequestRefused(VenueUnavailable, QueueFullError):
    """The queue is full. Consequence: nothing was sent; back off."""


def not_sent(message: str, *, operation: str) -> VenueUnavailable:
    """Return the error of a request of which no byte left."""
    return VenueUnavailable(message, venue=_VENUE, operation=operation, outcome=Outcome.NOT_SENT)


def _refused(message: str) -> RequestRefused:
    return RequestRefused(message, venue=_VENUE, operation="queue", outcome=Outcome.NOT_SENT)


def checked_priority(priority: int) -> int:
    """Return ``priority`` if it is 1, 2, 3 or 4.

    Raises
    ------
    ValidationError
        Otherwise.
    """
    if isinstance(priority, bool) or priority not in range(HIGHEST, LOWEST + 1):
        raise ValidationError(f"priority must be 1 (highest) to 4, was {priority!r}")
    return priority


class _Waiter:
    __slots__ = ("level", "since_ns", "turn")

    def __init__(self, level: int, since_ns: int, turn: asyncio.Future[None]) -> None:
        self.level = level
        self.since_ns = since_ns
        self.turn = turn


class PriorityGate:
    """Lets as many requests through as there are connections, the most urgent first.

    Parameters
    ----------
    slots : int
        Requests that may be under way at the same time, at least 1.
    capacity : int or None
        Requests that may wait; None is for lanes whose bound lies elsewhere.
    clock : Clock
        Monotonic time for the ageing.
    ageing_s : float
        Seconds of waiting after which a request overtakes priorities 2 to 4.
    """

    def __init__(
        self, slots: int, *, capacity: int | None, clock: Clock, ageing_s: float = 2.0
    ) -> None:
        if slots < 1:
            raise ValidationError(f"at least one connection is needed, was {slots}")
        if capacity is not None and capacity < 1:
            raise ValidationError(f"a queue needs room for one request, capacity was {capacity}")
        self._slots = slots
        self._capacity = capacity
        self._clock = clock
        self._ageing_ns = round(ageing_s * _NS_PER_S)
        self._lines: tuple[OrderedDict[_Waiter, None], ...] = tuple(
            OrderedDict() for _ in range(LOWEST + 1)
        )
        self._busy = 0
        self._waiting = 0
        self._most_waiting = 0
        self._refused = 0
        self._entered = 0
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Requests in the queue now."""
        return self._waiting

    @property
    def most_waiting(self) -> int:
        """Requests that were in the queue at the same time at most."""
        return self._most_waiting

    @property
    def busy(self) -> int:
        """Requests under way now."""
        return self._busy

    @property
    def refused(self) -> int:
        """Requests refused so far because the queue was full."""
        return self._refused

    @property
    def entered(self) -> int:
        """Requests let through so far."""
        return self._entered

    async def enter(self, priority: int, *, is_exit: bool = False) -> None:
        """Wait for a connection; every return is paired with one :meth:`leave`.

        A cancelled caller is taken out of the queue.

        Parameters
        ----------
        is_exit : bool
            Whether the request closes or protects a position: it is served before everything else.

        Raises
        ------
        RequestRefused
            If the queue is full, or a request of priority 1 took this one's place.
        VenueUnavailable
            If the gate was closed. In both cases nothing was sent.
        """
        if self._is_closed:
            raise not_sent("the transport is closed", operation="queue")
        if self._busy < self._slots and self._waiting == 0:
            self._busy += 1
            self._entered += 1
            return
        level = _EXIT if is_exit else priority
        self._make_room(level)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(level, self._clock.monotonic_ns(), turn)
        self._lines[level][waiter] = None
        self._waiting += 1
        self._most_waiting = max(self._most_waiting, self._waiting)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # the turn came in the same moment: hand it on
            else:
                self._remove(waiter)
            raise

    def leave(self) -> None:
        """Give the connection to whoever is next."""
        assert self._busy > 0, "leave() without enter()"
        self._busy -= 1
        while self._busy < self._slots and self._waiting:
            waiter = self._next()
            self._remove(waiter)
            # A waiter whose task was cancelled before it ran again has a done future.
            if not waiter.turn.done():
                self._busy += 1
                self._entered += 1
                waiter.turn.set_result(None)

    def close(self) -> None:
        """Refuse whoever waits and all that come; what is under way is not touched."""
        self._is_closed = True
        for line in self._lines:
            for waiter in list(line):
                self._reject(waiter, not_sent("the transport was closed", operation="queue"))

    def _next(self) -> _Waiter:
        heads = [next(iter(line)) for line in self._lines if line]
        first = heads[0]
        if first.level == _EXIT or len(heads) == 1:
            return first
        now_ns = self._clock.monotonic_ns()
        patient_ns = self._ageing_ns if first.level > HIGHEST else 2 * self._ageing_ns
        oldest = min(heads, key=lambda waiter: waiter.since_ns)
        return oldest if now_ns - oldest.since_ns >= patient_ns else first

    def _make_room(self, level: int) -> None:
        if self._capacity is None or self._waiting < self._capacity:
            return
        worst = next(line for line in reversed(self._lines) if line)
        victim = next(reversed(worst))
        if victim.level == _EXIT and level == _EXIT:
            return  # only exits wait: there are as many as open positions and their stops
        self._refused += 1
        if level > HIGHEST or victim.level <= level:
            raise _refused(f"the queue is full ({self._capacity} requests wait)")
        self._reject(victim, _refused("a more urgent request took the last place in the queue"))

    def _reject(self, waiter: _Waiter, error: VenueUnavailable) -> None:
        self._remove(waiter)
        if not waiter.turn.done():
            waiter.turn.set_exception(error)

    def _remove(self, waiter: _Waiter) -> None:
        line = self._lines[waiter.level]
        if waiter in line:
            del line[waiter]
            self._waiting -= 1


class _Shared:
    # One waiting cancellation and those who asked for the same.

    __slots__ = ("error", "landed", "reply")

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.reply: HttpReply | None = None
        self.error: Exception | None = None


class CancelLane:
    """Connections for cancellations only.

    Parameters
    ----------
    slots : int
        Cancellations that may be under way at the same time.
    clock : Clock
        Monotonic time.
    """

    def __init__(self, slots: int, *, clock: Clock) -> None:
        self._gate = PriorityGate(slots, capacity=None, clock=clock)
        self._waiting: dict[Hashable, _Shared] = {}
        self._coalesced = 0

    @property
    def waiting(self) -> int:
        """Different cancellations that wait now."""
        return self._gate.waiting

    @property
    def most_waiting(self) -> int:
        """Different cancellations that waited at the same time at most."""
        return self._gate.most_waiting

    @property
    def busy(self) -> int:
        """Cancellations under way now."""
        return self._gate.busy

    @property
    def coalesced(self) -> int:
        """Cancellations so far that were answered by another one of the same order."""
        return self._coalesced

    async def send(self, key: Hashable, exchange: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        """Run ``exchange`` when a connection is free, or share that of an equal waiting one.

        If the caller whose exchange is shared is cancelled or runs out of time, one of the others
        sends its own.
        """
        while (shared := self._waiting.get(key)) is not None:
            await shared.landed.wait()
            if shared.error is not None:
                self._coalesced += 1
                raise shared.error
            if shared.reply is not None:
                self._coalesced += 1
                return shared.reply
        return await self._lead(key, exchange)

    def close(self) -> None:
        """Refuse whoever waits and all that come."""
        self._gate.close()

    async def _lead(self, key: Hashable, exchange: Callable[[], Awaitable[HttpReply]]) -> HttpReply:
        assert key not in self._waiting, "one that waits is shared, not sent twice"
        shared = self._waiting[key] = _Shared()
        try:
            try:
                await self._gate.enter(HIGHEST)
            finally:
                del self._waiting[key]
            try:
                shared.reply = await exchange()
            finally:
                self._gate.leave()
        except Exception as e:
            shared.error = e
            raise
        finally:
            # Also when cancelled: those who wait find neither and send their own.
            shared.landed.set()
        return shared.reply
