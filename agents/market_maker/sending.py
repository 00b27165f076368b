"""Sends the steps of plans in batches and keeps count of what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from agents.market_maker.budget import Budget, Kind
from agents.market_maker.plan import Step, batches
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.errors import (
    CorruptDataError,
    DeadlineExceeded,
    JournalError,
    OrderDenied,
    QueueFullError,
    ValidationError,
    VenueError,
    VenueRateLimited,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import (
    BatchOutcome,
    OrderIntent,
    OrderType,
    PriceChange,
    RestingOrder,
    Side,
    TimeInForce,
)
from trading_system.domain.ports import Clock, QuotingVenue
from trading_system.runtime.deadline import within

_LOG = structlog.get_logger(__name__)
_DEADLINE_S: Final = 10.0
_NS_PER_S: Final = 1_000_000_000
_LEAST_GAP_S: Final = 0.5
_MOST_GAP_S: Final = 4.0
_FORGET_S: Final = 10.0
_GONE: Final = frozenset({110001, 170213})  # Bybit: no such order (any more)

CONTAINED: Final = (
    VenueError,
    OrderDenied,
    DeadlineExceeded,
    ValidationError,
    CorruptDataError,
    QueueFullError,
    JournalError,
)
"""Errors after which the loop goes on; anything else is a bug or a threat to money."""

T = TypeVar("T")


@dataclass(slots=True)
class RequestCounts:
    """Orders asked for, and the requests they went in."""

    creates: int = 0
    amends: int = 0
    cancels: int = 0
    calls: int = 0
    slow: int = 0
    denied: int = 0
    failed: int = 0
    denials: dict[str, int] = field(default_factory=dict)
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    # When a cancellation was asked for last, and how long until it may be asked for again.
    ns: int
    gap_s: float


@dataclass(slots=True)
class Result:
    """What became of the orders of one symbol in one step."""

    accepted: int = 0
    denied_by_rate: int = 0
    failed: int = 0
    retry_after_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether everything was accepted."""
        return not (self.denied_by_rate or self.failed)


class Sender:
    """Hands batches to the gated client, all batches of a step at the same time.

    Parameters
    ----------
    exchange : QuotingVenue
        The gated client.
    settings : PerformanceSettings
        ``batch_size`` and ``max_order_response_time``.
    budget : Budget
        Told of every request.
    clock : Clock
        Monotonic time.
    """

    def __init__(
        self,
        exchange: QuotingVenue,
        *,
        settings: PerformanceSettings,
        budget: Budget,
        clock: Clock,
    ) -> None:
        self._exchange = exchange
        self._budget = budget
        self._batch_size = settings.batch_size
        self._slow_ns = round(settings.max_order_response_time_s * _NS_PER_S)
        self._clock = clock
        self._asked: dict[str, _Asked] = {}
        self.counts = RequestCounts()

    async def send(self, steps: Sequence[tuple[Instrument, Step]]) -> dict[str, Result]:
        """Send one step per symbol and return the result of each symbol that had requests."""
        results = {instrument.symbol: Result() for instrument, step in steps if step}
        async with asyncio.TaskGroup() as group:
            self._start_cancels(group, _cancels(steps), results)
            for amends in batches(_amends(steps), self._batch_size):
                self.counts.amends += len(amends)
                keys = {change.link_id: change.symbol for change in amends}
                amend = self._exchange.amend_orders
                self._start(group, amend, amends, keys, kind=Kind.AMEND, results=results)
            for creates in batches(self._creates(steps), self._batch_size):
                self.counts.creates += len(creates)
                keys = {intent.link_id: intent.symbol for intent in creates}
                place = self._exchange.place_orders
                self._start(group, place, creates, keys, kind=Kind.CREATE, results=results)
        return results

    def start_cancels(self, group: asyncio.TaskGroup, orders: Sequence[tuple[str, str]]) -> None:
        """Ask for the cancellation of (symbol, link id) pairs in tasks of ``group``.

        Nobody waits for the answers; errors are counted.
        """
        self._start_cancels(group, orders, {symbol: Result() for symbol, _ in orders})

    def may_ask(self, link_id: str, *, is_settled_in: bool = True) -> bool:
        """Return whether the cancellation of an order may be asked for (again).

        Half a second after the last time; an order of unknown fate after 0.5, 1, 2, then 4 s.
        """
        asked = self._asked.get(link_id)
        if asked is None:
            return True
        gap_s = _LEAST_GAP_S if is_settled_in else asked.gap_s
        return self._clock.monotonic_ns() - asked.ns >= gap_s * _NS_PER_S

    def overdue(self, resting: Sequence[Sequence[RestingOrder]]) -> list[tuple[str, str]]:
        """Return (symbol, link id) of what :meth:`may_ask`, not yet or longest ago asked first."""
        settled = {order.link_id: order.is_settled_in for orders in resting for order in orders}
        due = [
            (symbol, link_id)
            for symbol, link_id in nearest_first(resting)
            if self.may_ask(link_id, is_settled_in=settled[link_id])
        ]
        never = _Asked(0, 0.0)
        return sorted(due, key=lambda pair: self._asked.get(pair[1], never).ns)

    def _start_cancels(
        self,
        group: asyncio.TaskGroup,
        orders: Sequence[tuple[str, str]],
        results: dict[str, Result],
    ) -> None:
        self._note_asked([link_id for _, link_id in orders])
        for cancels in batches(orders, self._batch_size):
            self.counts.cancels += len(cancels)
            keys = {link_id: symbol for symbol, link_id in cancels}
            cancel = self._exchange.cancel_orders
            self._start(group, cancel, cancels, keys, kind=Kind.CANCEL, results=results)

    def _note_asked(self, link_ids: Iterable[str]) -> None:
        now_ns = self._clock.monotonic_ns()
        self._asked = {
            link_id: asked
            for link_id, asked in self._asked.items()
            if now_ns - asked.ns < _FORGET_S * _NS_PER_S
        }
        for link_id in link_ids:
            before = self._asked.get(link_id)
            gap_s = _LEAST_GAP_S if before is None else min(2 * before.gap_s, _MOST_GAP_S)
            self._asked[link_id] = _Asked(now_ns, gap_s)

    def _start(
        self,
        group: asyncio.TaskGroup,
        operation: Callable[[Sequence[T]], Awaitable[list[BatchOutcome]]],
        batch: Sequence[T],
        symbols: dict[str, str],
        *,
        kind: Kind,
        results: dict[str, Result],
    ) -> None:
        # It counts from now on: whoever looks at the budget before the task has begun must see it.
        answered = self._budget.begin(kind, len(batch))
        task = group.create_task(self._call(operation, batch, symbols, results=results))
        task.add_done_callback(lambda _task: answered())

    def note(self, error: Exception) -> None:
        """Count an error that was contained."""
        if isinstance(error, OrderDenied):
            self.counts.denied += 1
            denials = self.counts.denials
            denials[error.reason] = denials.get(error.reason, 0) + 1
        else:
            self.counts.failed += 1
        self.counts.last_error = f"{type(error).__name__}: {error}"

    async def _call(
        self,
        operation: Callable[[Sequence[T]], Awaitable[list[BatchOutcome]]],
        batch: Sequence[T],
        symbols: dict[str, str],
        *,
        results: dict[str, Result],
    ) -> None:
        self.counts.calls += 1
        started_ns = self._clock.monotonic_ns()
        try:
            async with within(_DEADLINE_S, "a batch of quotes"):
                outcomes = await operation(batch)
        except CONTAINED as e:
            outcomes = [BatchOutcome(link_id=link_id, error=e) for link_id in symbols]
        self.counts.slow += self._clock.monotonic_ns() - started_ns > self._slow_ns
        refused: dict[str, str] = {}
        gone = 0
        for outcome in outcomes:
            result = results[symbols[outcome.link_id]]
            error = outcome.error
            if error is None:
                result.accepted += 1
                continue
            self.note(error)
            if isinstance(error, VenueError) and error.code in _GONE:
                gone += 1
            else:
                refused[type(error).__name__] = str(error)
            if _is_rate(error):
                result.denied_by_rate += 1
            else:
                result.failed += 1
            if isinstance(error, VenueError) and error.retry_after_s is not None:
                result.retry_after_s = max(result.retry_after_s, error.retry_after_s)
        if gone:
            _LOG.info("quotes were filled or cancelled before the request arrived", orders=gone)
        if refused:
            _LOG.info("quotes were not accepted", orders=len(batch), errors=refused)

    def _creates(self, steps: Iterable[tuple[Instrument, Step]]) -> list[OrderIntent]:
        # The tiers nearest to the market first: they are the ones an order rate should go to.
        wanted = [(quote.tier, quote, ins) for ins, step in steps for quote in step.creates]
        return [
            OrderIntent(
                symbol=instrument.symbol,
                side=quote.side,
                order_type=OrderType.LIMIT,
                quantity=instrument.lots_to_qty(quote.lots),
                price=instrument.ticks_to_price(quote.ticks),
                time_in_force=TimeInForce.POST_ONLY,
                link_id=self._exchange.next_link_id(),
            )
            for _, quote, instrument in sorted(wanted, key=lambda entry: entry[0])
        ]


def nearest_first(resting: Iterable[Sequence[RestingOrder]]) -> list[tuple[str, str]]:
    """Return (symbol, link id) of the orders of some symbols, all symbols and sides in turn."""
    places = []
    for orders in resting:
        for side in Side:
            held = [order for order in orders if order.side is side]
            held.sort(key=lambda order: -order.price * order.side.sign)
            places += [(place, order) for place, order in enumerate(held)]
    places.sort(key=lambda entry: entry[0])
    return [(order.symbol, order.link_id) for _, order in places]


def _is_rate(error: Exception) -> bool:
    # Nothing is wrong with such an order; it only came too soon.
    return isinstance(error, VenueRateLimited) or (
        isinstance(error, OrderDenied) and error.reason.endswith("_rate")
    )


def _cancels(steps: Iterable[tuple[Instrument, Step]]) -> list[tuple[str, str]]:
    return [(instrument.symbol, link) for instrument, step in steps for link in step.cancels]


def _amends(steps: Iterable[tuple[Instrument, Step]]) -> list[PriceChange]:
    # As with new orders, an amend rate should go to the tiers nearest to the market.
    moves = [(move.tier, move, instrument) for instrument, step in steps for move in step.amends]
    return [
        PriceChange(
            symbol=instrument.symbol,
            link_id=move.link_id,
            price=instrument.ticks_to_price(move.ticks),
        )
        for _, move, instrument in sorted(moves, key=lambda entry: entry[0])
    ]
