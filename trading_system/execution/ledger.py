"""Own orders of this run: those at work with what they put at risk, and those that have ended."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from itertools import islice

from trading_system.domain.orders import Fill, OrderIntent, TimeInForce
from trading_system.execution.tracking import TrackedOrder, TrackedStatus

_ZERO = Decimal(0)
_NOTHING = (_ZERO, _ZERO)
_RESTING = frozenset({TimeInForce.GTC, TimeInForce.POST_ONLY})
_KEEP_ENDED = 10_000
_KEEP_FILLS = 1_000
_NS_PER_S = 1_000_000_000


class OrderLedger:
    """Orders by link id, with the exposure of those at work kept up to date by :meth:`update`.

    Only opening orders count as exposure, each at its full open quantity and at the highest price
    at which it may rest; an exit frees risk. ``newest_fills`` are executions of the account, own
    and foreign, that this run booked, oldest first.
    """

    def __init__(self) -> None:
        self._orders: dict[str, TrackedOrder] = {}
        self._live: dict[str, TrackedOrder] = {}
        self._live_of: dict[str, dict[str, TrackedOrder]] = {}
        self._ended: deque[str] = deque()
        self._counted: dict[str, tuple[Decimal, Decimal]] = {}
        self._open_quantity: dict[str, Decimal] = {}
        self.open_notional = _ZERO
        self.outcomes = dict.fromkeys(TrackedStatus, 0)
        self.newest_fills: deque[Fill] = deque(maxlen=_KEEP_FILLS)

    def __contains__(self, link_id: str) -> bool:
        """Whether the link id is known."""
        return link_id in self._orders

    def get(self, link_id: str) -> TrackedOrder | None:
        """Return one order, None if it is unknown or ended long ago."""
        return self._orders.get(link_id)

    @property
    def live(self) -> tuple[TrackedOrder, ...]:
        """Orders without a settled outcome, oldest first."""
        return tuple(self._live.values())

    @property
    def live_count(self) -> int:
        """How many orders have no settled outcome."""
        return len(self._live)

    def live_of(self, symbol: str) -> tuple[TrackedOrder, ...]:
        """Return the orders of ``symbol`` without a settled outcome, oldest first."""
        return tuple(self._live_of.get(symbol, {}).values())

    def newest_ended(self, limit: int) -> list[TrackedOrder]:
        """Return up to ``limit`` settled orders, the one settled last first."""
        return [self._orders[link_id] for link_id in islice(reversed(self._ended), limit)]

    def open_quantity(self, symbol: str) -> Decimal:
        """Return what the opening orders of ``symbol`` may still fill, base currency."""
        return self._open_quantity.get(symbol, _ZERO)

    def add(self, order: TrackedOrder) -> None:
        """Track a new order."""
        link_id, symbol = order.intent.link_id, order.intent.symbol
        assert link_id not in self._orders, link_id
        self._orders[link_id] = order
        self._live[link_id] = order
        self._live_of.setdefault(symbol, {})[link_id] = order
        self.update(order)

    def update(self, order: TrackedOrder) -> bool:
        """Take a change of ``order`` into account; return whether it has just been settled."""
        intent = order.intent
        link_id = intent.link_id
        if link_id not in self._live:
            return False
        is_settled = order.settled.is_set()
        if not intent.reduce_only and order.highest_price is not None:
            quantity = _ZERO if is_settled else order.open_quantity
            self._count(order, quantity, quantity * order.highest_price)
        if is_settled:
            self._end(order)
        return is_settled

    def discard(self, order: TrackedOrder) -> None:
        """Forget an order of which no byte was sent and nothing was written."""
        link_id = order.intent.link_id
        self._count(order, _ZERO, _ZERO)
        del self._orders[link_id]
        self._leave(order)

    def counted(self, link_id: str) -> tuple[Decimal, Decimal]:
        """Return what an order counts now: quantity (base) and value (quote currency)."""
        return self._counted.get(link_id, _NOTHING)

    def resting(self, symbol: str) -> tuple[TrackedOrder, ...]:
        """Return the opening orders of ``symbol`` that may be in the book, oldest first.

        One that has ended stays until every fill that was reported of it is booked.
        """
        return tuple(
            order
            for order in self._live_of.get(symbol, {}).values()
            if order.intent.time_in_force in _RESTING
            and order.price is not None
            and not order.intent.reduce_only
            and order.open_quantity
            and order.waiting_for is None
        )

    def opposite_price(self, intent: OrderIntent) -> Decimal | None:
        """Return the best price of the orders at work against which ``intent`` could trade.

        Conditional orders that wait outside the book are no match.
        """
        best: Decimal | None = None
        for order in self._live_of.get(intent.symbol, {}).values():
            price = order.closest_price
            if order.intent.side is intent.side or price is None or order.status.is_final:
                continue
            if order.waiting_for is not None:
                continue
            if best is None or (best - price) * intent.side.sign > 0:
                best = price
        return best

    def has_twin(self, intent: OrderIntent, *, now_ns: int, window_s: float) -> bool:
        """Return whether an order like ``intent`` is unsettled and younger than the window."""
        oldest_ns = now_ns - round(window_s * _NS_PER_S)
        return any(
            order.sent_ns >= oldest_ns
            and order.intent.side is intent.side
            and order.intent.quantity == intent.quantity
            and (intent.price is None or order.may_rest_at(intent.price))
            and order.waiting_for == intent.trigger
            and not order.intent.reduce_only
            for order in self._live_of.get(intent.symbol, {}).values()
        )

    def _count(self, order: TrackedOrder, quantity: Decimal, notional: Decimal) -> None:
        link_id, symbol = order.intent.link_id, order.intent.symbol
        before, valued = self._counted.get(link_id, _NOTHING)
        self._counted[link_id] = (quantity, notional)
        self._open_quantity[symbol] = self.open_quantity(symbol) + quantity - before
        self.open_notional += notional - valued

    def _leave(self, order: TrackedOrder) -> None:
        link_id = order.intent.link_id
        del self._live[link_id]
        del self._live_of[order.intent.symbol][link_id]
        self._counted.pop(link_id, None)

    def _end(self, order: TrackedOrder) -> None:
        link_id = order.intent.link_id
        self._leave(order)
        self.outcomes[order.status] += 1
        if len(self._ended) == _KEEP_ENDED:
            del self._orders[self._ended.popleft()]
        self._ended.append(link_id)
