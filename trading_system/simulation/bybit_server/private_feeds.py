"""The private topics: account events to the sessions that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Protocol

from trading_system.domain.instruments import Category, category_of
from trading_system.simulation.bybit_server import account_rows, order_rows
from trading_system.simulation.bybit_server.envelope import Row, encode
from trading_system.simulation.bybit_server.texts import GridText
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import (
    DcpProduct,
    ExecutionRecord,
    OrderRecord,
    PublicTrade,
)

_TOPIC_TEXTS: dict[Category, dict[str, tuple[str, ...]]] = {
    Category.LINEAR: {
        "order": ("order", "order.linear"),
        "execution": ("execution", "execution.linear"),
        "execution.fast": ("execution.fast", "execution.fast.linear"),
        "position": ("position", "position.linear"),
        "wallet": ("wallet",),
    },
    Category.SPOT: {
        "order": ("order", "order.spot"),
        "execution": ("execution", "execution.spot"),
        "execution.fast": ("execution.fast", "execution.fast.spot"),
    },
}
_SILENT = frozenset(
    {
        "order.inverse",
        "order.option",
        "execution.inverse",
        "execution.option",
        "execution.fast.inverse",
        "position.inverse",
        "position.option",
        "greeks",
        "dcp",
        "dcp.future",
        "dcp.spot",
        "dcp.option",
        "spread.order",
        "spread.execution",
    }
)
_DCP_TOPICS = {
    DcpProduct.OPTIONS: "dcp.option",
    DcpProduct.DERIVATIVES: "dcp.future",
    DcpProduct.SPOT: "dcp.spot",
}
_MS_PER_S = 1000
TOPICS = _SILENT | {
    text for kinds in _TOPIC_TEXTS.values() for texts in kinds.values() for text in texts
}
"""Every topic a client may name."""


class PrivateSubscriber(Protocol):
    """A session of one account."""

    topics: dict[str, None]

    def deliver(self, payload: bytes, text: str) -> None:
        """Queue one frame of topic ``text``, not before that topic's acknowledgement."""
        ...


class PrivateFeeds:
    """Turns the exchange's events into pushes; hears everything, encodes only what is wanted.

    Parameters
    ----------
    exchange : Exchange
        Asked for positions and wallets.
    on_trades : callable
        Receives public trades (symbol, trades).
    now_ms : callable
        The venue's time.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        on_trades: Callable[[str, list[PublicTrade]], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._on_trades = on_trades
        self._now_ms = now_ms
        self._texts = {
            symbol: GridText(instrument) for symbol, instrument in exchange.instruments.items()
        }
        self._sessions: dict[int, dict[PrivateSubscriber, None]] = {}
        self._lost: dict[tuple[int, DcpProduct], int] = {}
        self._numbers = count(1)

    def join(self, account_id: int, session: PrivateSubscriber) -> None:
        """Let a session hear its account's events."""
        self._sessions.setdefault(account_id, {})[session] = None

    def leave(self, account_id: int, session: PrivateSubscriber) -> None:
        """Forget a session; the account's disconnect protection may start to count."""
        sessions = self._sessions.get(account_id, {})
        sessions.pop(session, None)
        if not sessions:
            self._sessions.pop(account_id, None)
        self._lose(account_id, session)

    def watch(self, now_ms: int) -> None:
        """Cancel the orders of accounts whose disconnect window has passed."""
        for account_id, product in list(self._lost):
            if self._is_guarded(account_id, product):
                del self._lost[account_id, product]
            elif now_ms >= self._lost[account_id, product]:
                del self._lost[account_id, product]
                self._exchange.cancel_disconnected(account_id, product, now_ms=now_ms)

    def _is_guarded(self, account_id: int, product: DcpProduct) -> bool:
        topic = _DCP_TOPICS[product]
        return any(topic in session.topics for session in self._sessions.get(account_id, ()))

    # A lost connection that had subscribed starts the window, unless another one stands.
    def _lose(self, account_id: int, session: PrivateSubscriber) -> None:
        windows_s = self._exchange.disconnect_windows_s(account_id)
        for product, window_s in windows_s.items():
            topic = _DCP_TOPICS[product]
            if topic in session.topics and not self._is_guarded(account_id, product):
                due_ms = self._now_ms() + window_s * _MS_PER_S
                self._lost[account_id, product] = due_ms

    def on_order(self, order: OrderRecord) -> None:
        """Push an order's state."""
        texts = self._texts[order.symbol]
        self._push(
            order.account_id,
            "order",
            lambda: [order_rows.stream_order_row(order, texts)],
            category=category_of(order.symbol),
        )

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        """Push fills of one account: the fast rows first."""
        if not executions:
            return
        account_id, category = executions[0].account_id, category_of(executions[0].symbol)
        trades = [each for each in executions if each.exec_type == "Trade"]
        if trades:
            self._push(
                account_id,
                "execution.fast",
                lambda: self._execution_rows(order_rows.fast_execution_row, trades),
                category=category,
            )
        self._push(
            account_id,
            "execution",
            lambda: self._execution_rows(order_rows.stream_execution_row, executions),
            category=category,
        )

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None:
        """Push a position; spot has none."""
        if category_of(symbol) is Category.SPOT:
            return
        self._push(
            account_id,
            "position",
            lambda: [
                account_rows.stream_position_row(
                    self._exchange.position(account_id, symbol, position_idx),
                    self._texts[symbol],
                )
            ],
        )

    def on_wallet(self, account_id: int) -> None:
        """Push a wallet."""
        self._push(account_id, "wallet", lambda: [self._wallet_row(account_id)])

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        """Pass public trades on."""
        self._on_trades(symbol, trades)

    def _wallet_row(self, account_id: int) -> Row:
        view = self._exchange.wallet(account_id)
        return account_rows.wallet_row(view, coins=account_rows.coin_rows(view))

    def _execution_rows(
        self,
        make: Callable[[ExecutionRecord, GridText], Row],
        executions: Iterable[ExecutionRecord],
    ) -> list[Row]:
        return [make(each, self._texts[each.symbol]) for each in executions]

    # Each session gets each event once per topic text it subscribed; rows are encoded once.
    def _push(
        self,
        account_id: int,
        kind: str,
        rows: Callable[[], list[Row]],
        *,
        category: Category = Category.LINEAR,
    ) -> None:
        sessions = self._sessions.get(account_id)
        if not sessions:
            return
        data: bytes | None = None
        for text in _TOPIC_TEXTS[category][kind]:
            wanted = [session for session in sessions if text in session.topics]
            if not wanted:
                continue
            if data is None:
                data = encode(rows())
            head = "" if kind == "execution.fast" else f'"id":"m-{next(self._numbers)}",'
            frame = b"".join(
                (
                    f'{{{head}"topic":"{text}","creationTime":{self._now_ms()},"data":'.encode(),
                    data,
                    b"}",
                )
            )
            for session in wanted:
                session.deliver(frame, text)
