"""The recorded book as house orders, so that account orders stand in its queues."""

from __future__ import annotations

from collections.abc import Iterable

from trading_system.domain.orders import Side
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    ExecutionRecord,
    OrderRecord,
    PublicTrade,
)
from trading_system.simulation.replay.messages import Level

_MOST_ORDERS = 8
"""Most house orders that stand for one level."""


class AccountOrders:
    """Knows at which prices accounts have resting orders; an exchange listener."""

    def __init__(self) -> None:
        self._where: dict[str, tuple[str, Side, int]] = {}

    def on_order(self, order: OrderRecord) -> None:
        """Follow an order's price until it leaves the book."""
        if order.state.is_final or order.state.is_conditional:
            self._where.pop(order.order_id, None)
        else:
            self._where[order.order_id] = (order.symbol, order.side, order.price_ticks)

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        """Ignore: the order's own event follows."""

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None:
        """Ignore."""

    def on_wallet(self, account_id: int) -> None:
        """Ignore."""

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Ignore."""

    def rests_at(self, symbol: str, side: Side, price_ticks: int) -> bool:
        """Return whether an account order rests at exactly this price."""
        return bool(self._where) and (symbol, side, price_ticks) in self._where.values()

    def is_crossed_by(self, symbol: str, side: Side, price_ticks: int) -> bool:
        """Return whether an order at this price would meet an account order."""
        opposite = side.opposite
        return any(
            where == symbol and resting is opposite and side.sign * (price_ticks - ticks) >= 0
            for where, resting, ticks in self._where.values()
        )


class RecordedBook:
    """Shows one symbol's recorded book as house orders and keeps queues realistic.

    An increase of a level joins behind the account orders that rest there. A decrease that no
    trade explains is cancellations: they are taken from all house orders of the level in
    proportion to their size, so an account order advances only by its share; what rounding leaves
    over comes from behind. What accounts take from a level stays taken until the recording next
    speaks of that level.

    Parameters
    ----------
    exchange : Exchange
        The real exchange.
    symbol : str
        The symbol.
    account_orders : AccountOrders
        Where accounts rest.
    is_trade_through_only : bool
        Pessimistic fills: recorded trades and quotes at an account order's own price leave it
        alone; only a trade beyond its price fills it.
    """

    def __init__(
        self,
        exchange: Exchange,
        symbol: str,
        *,
        account_orders: AccountOrders,
        is_trade_through_only: bool,
    ) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._account_orders = account_orders
        self._is_trade_through_only = is_trade_through_only
        self._orders: dict[Side, dict[int, list[int]]] = {Side.BUY: {}, Side.SELL: {}}
        self._recorded: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
        self._unsettled: dict[tuple[Side, int], None] = {}  # a set that keeps its order
        self._now_ms = 0
        self._is_withdrawn = False

    def apply(self, bids: Iterable[Level], asks: Iterable[Level], *, now_ms: int) -> None:
        """Set levels to their recorded quantities: removals first, then the rest.

        Levels that trades or account orders left different from the recording since the last
        update are set again too.
        """
        self._now_ms = now_ms
        changes = {(Side.BUY, ticks): lots for ticks, lots in bids}
        changes.update({(Side.SELL, ticks): lots for ticks, lots in asks})
        for side, ticks in self._unsettled:
            changes.setdefault((side, ticks), self._recorded[side].get(ticks, 0))
        self._unsettled.clear()
        for (side, ticks), lots in changes.items():
            if lots == 0:
                self._remove(side, ticks)
        for (side, ticks), lots in changes.items():
            if lots:
                self._recorded[side][ticks] = lots
                self._set(side, ticks, lots)

    def replace(self, bids: Iterable[Level], asks: Iterable[Level], *, now_ms: int) -> None:
        """Show a whole recorded book: levels that it does not name are removed.

        After :meth:`withdraw` everything shown stands in front of the account orders there:
        nobody knows how far they would have moved up.
        """
        shown = {Side.BUY: list(bids), Side.SELL: list(asks)}
        for side, levels in shown.items():
            named = {ticks for ticks, _ in levels}
            levels += [(ticks, 0) for ticks in self._recorded[side] if ticks not in named]
        self.apply(shown[Side.BUY], shown[Side.SELL], now_ms=now_ms)
        self._is_withdrawn = False

    def withdraw(self) -> None:
        """Take all house orders away: nobody knows the book, so nobody may trade against it."""
        for side, orders in self._orders.items():
            for house_ids in orders.values():
                for house_id in house_ids:
                    self._exchange.house_cancel(self._symbol, house_id)
            orders.clear()
            self._recorded[side].clear()
        self._unsettled.clear()
        self._is_withdrawn = True

    def trade(self, taker_side: Side, price_ticks: int, lots: int, *, now_ms: int) -> None:
        """Play one recorded trade."""
        self._exchange.recorded_trade(
            self._symbol,
            taker_side,
            price_ticks,
            lots,
            now_ms=now_ms,
            at_level=not self._is_trade_through_only,
        )
        if price_ticks in self._orders[taker_side.opposite]:
            self._unsettled[taker_side.opposite, price_ticks] = None

    def _remove(self, side: Side, ticks: int) -> None:
        self._recorded[side].pop(ticks, None)
        for house_id in self._orders[side].pop(ticks, ()):
            self._exchange.house_cancel(self._symbol, house_id)

    def _set(self, side: Side, ticks: int, lots: int) -> None:
        orders = self._orders[side].get(ticks)
        if not orders:
            self._join(side, ticks, lots)
            return
        is_shared = self._account_orders.rests_at(self._symbol, side, ticks)
        if len(orders) == 1 and not is_shared:
            if not self._exchange.house_resize(self._symbol, orders[0], lots):
                orders.clear()
                self._join(side, ticks, lots)
            return
        self._share(side, ticks, lots, joins_behind=is_shared)

    def _share(self, side: Side, ticks: int, lots: int, *, joins_behind: bool) -> None:
        exchange, symbol = self._exchange, self._symbol
        sizes = {
            house_id: left
            for house_id in self._orders[side][ticks]
            if (left := exchange.house_lots(symbol, house_id))
        }
        self._orders[side][ticks] = list(sizes)
        total = sum(sizes.values())
        if lots > total:
            if not sizes or (joins_behind and len(sizes) < _MOST_ORDERS):
                self._join(side, ticks, lots - total)
            else:
                newest = next(reversed(sizes))
                exchange.house_resize(symbol, newest, sizes[newest] + lots - total)
            return
        cut = total - lots
        left_to_cut = cut
        for house_id, size in sizes.items():
            share = cut * size // total
            sizes[house_id] = size - share
            left_to_cut -= share
        for house_id in reversed(sizes):
            extra = min(left_to_cut, sizes[house_id])
            sizes[house_id] -= extra
            left_to_cut -= extra
        for house_id, size in sizes.items():
            exchange.house_resize(symbol, house_id, size)

    def _join(self, side: Side, ticks: int, lots: int) -> None:
        meets_account = self._account_orders.is_crossed_by(self._symbol, side, ticks)
        house_id = self._exchange.house_limit(
            self._symbol,
            side,
            ticks,
            lots,
            now_ms=self._now_ms,
            post_only=self._is_trade_through_only or not meets_account,
            in_front=self._is_withdrawn,
        )
        if house_id is not None:
            self._orders[side].setdefault(ticks, []).append(house_id)
        elif self._is_trade_through_only and meets_account:
            # An account order stands in the way and may not be filled by a quote: try again later.
            self._unsettled[side, ticks] = None
