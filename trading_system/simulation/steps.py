"""What one matching step changed, collected first and told when the exchange is consistent."""

from __future__ import annotations

from collections.abc import Collection

from trading_system.simulation.accounts.account import LiveOrder
from trading_system.simulation.records import (
    ExchangeListener,
    ExecutionRecord,
    OrderRecord,
    PublicTrade,
)


class _Touched:
    __slots__ = ("executions", "orders", "positions")

    def __init__(self) -> None:
        self.executions: list[ExecutionRecord] = []
        self.orders: dict[str, OrderRecord] = {}
        self.positions: dict[tuple[str, int], None] = {}


class MatchingStep:
    """One atomic change of the exchange at one venue time.

    Parameters
    ----------
    now_ms : int
        Venue time, UTC milliseconds.

    Attributes
    ----------
    guarded : dict
        Orders with a take profit or stop loss that have filled, each with the lots.
    """

    __slots__ = ("_accounts", "guarded", "now_ms", "trades")

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.trades: list[PublicTrade] = []
        self.guarded: dict[str, tuple[LiveOrder, int]] = {}
        self._accounts: dict[int, _Touched] = {}

    def touch_order(self, order: OrderRecord) -> None:
        """Note that an order, its position and its wallet are to be told."""
        touched = self._touched(order.account_id)
        touched.orders[order.order_id] = order
        touched.positions[order.symbol, order.position_idx] = None

    def touch_position(self, account_id: int, symbol: str, position_idx: int) -> None:
        """Note that a position changed without an order, and its wallet with it."""
        self._touched(account_id).positions[symbol, position_idx] = None

    def touch_wallet(self, account_id: int) -> None:
        """Note that a wallet changed by itself."""
        self._touched(account_id)

    @property
    def account_ids(self) -> Collection[int]:
        """Accounts touched so far."""
        return self._accounts.keys()

    def note_guarded(self, live: LiveOrder, lots: int) -> None:
        """Note that an order with a take profit or stop loss has filled ``lots``."""
        _, before = self.guarded.get(live.record.order_id, (live, 0))
        self.guarded[live.record.order_id] = (live, before + lots)

    def add_execution(self, execution: ExecutionRecord) -> None:
        """Note a fill or a funding settlement."""
        touched = self._touched(execution.account_id)
        touched.executions.append(execution)
        touched.positions[execution.symbol, execution.position_idx] = None

    def tell(self, listener: ExchangeListener | None) -> None:
        """Tell accounts in the order they were touched, then the public trades."""
        if listener is None:
            return
        for account_id, touched in self._accounts.items():
            if touched.executions:
                listener.on_executions(touched.executions)
            for order in touched.orders.values():
                listener.on_order(order)
            for symbol, position_idx in touched.positions:
                listener.on_position(account_id, symbol, position_idx)
            listener.on_wallet(account_id)
        if self.trades:
            listener.on_trades(self.trades[0].symbol, self.trades)

    def _touched(self, account_id: int) -> _Touched:
        touched = self._accounts.get(account_id)
        if touched is None:
            touched = self._accounts[account_id] = _Touched()
        return touched
