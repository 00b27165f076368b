"""What one matching step changed, collected first and told when the exchange is consistent."""

from __future__ import annotations

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
    """

    __slots__ = ("_accounts", "now_ms", "trades")

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.trades: list[PublicTrade] = []
        self._accounts: dict[int, _Touched] = {}

    def touch_order(self, order: OrderRecord) -> None:
        """Note that an order, its position and its wallet are to be told."""
        touched = self._touched(order.account_id)
        touched.orders[order.order_id] = order
        touched.positions[order.symbol, order.position_idx] = None

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
