"""Own account: private frames to the engine."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from trading_system.domain.errors import CorruptDataError
from trading_system.execution.engine import ExecutionEngine
from trading_system.live.fast_fills import FastFills
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.drift import SchemaDrift
from trading_system.venues.bybit.position_settings import DCP_TOPIC

_FLAT = Decimal(0)

FAST_EXECUTIONS = "execution.fast"
"""Topic that tells executions first; the system can do without it."""

Stake = tuple[str, int]
"""Symbol and position index: 0 in one-way mode, 1 and 2 for long and short in hedge mode."""


class AccountFeed:
    """Applies private frames; the execution stream books, the order stream decides states.

    Parameters
    ----------
    engine : ExecutionEngine
        Receiver of reports and fills.
    drift : SchemaDrift or None
        Counts what rows tell otherwise than documented; None makes a new one.

    Attributes
    ----------
    fast : FastFills
        Executions that the fast stream told first.
    """

    def __init__(self, engine: ExecutionEngine, *, drift: SchemaDrift | None = None) -> None:
        self._engine = engine
        self.drift = drift or SchemaDrift()
        self.fast = FastFills()
        self._frame = msgspec.json.Decoder(wire.PrivateFrame)
        self._orders = msgspec.json.Decoder(list[wire.OrderRow])
        self._executions = msgspec.json.Decoder(list[wire.ExecutionRow])
        self._fast_executions = msgspec.json.Decoder(list[wire.FastExecutionRow])
        self._positions = msgspec.json.Decoder(list[wire.PositionRow])
        self._wallets = msgspec.json.Decoder(list[wire.WalletRow])
        self._handlers: dict[str, Callable[[msgspec.Raw, int], None]] = {
            "order": self._on_orders,
            "execution": self._on_executions,
            FAST_EXECUTIONS: self._on_fast_executions,
            "position": self._on_positions,
            "wallet": self._on_wallet,
            DCP_TOPIC: self._on_disconnect_notice,
        }
        self._stakes: dict[Stake, Decimal] = {}
        self.venue_positions: dict[str, Decimal] = {}
        self.equity: Decimal | None = None
        self.frames = 0

    def on_frame(self, frame: bytes, received_ns: int) -> None:
        """Apply one private frame.

        Raises
        ------
        CorruptDataError
            If the frame is malformed; the owner reconnects and reconciles.
        """
        self.frames += 1
        message = wire.decode(frame, self._frame, what="private frame")
        handler = self._handlers.get(message.topic)
        if handler is None:
            raise CorruptDataError(f"private topic that was not subscribed: {message.topic!r}")
        stamp_ns = message.creationTime * 1_000_000 if message.topic == "wallet" else received_ns
        handler(message.data, stamp_ns)

    def _on_orders(self, data: msgspec.Raw, _stamp_ns: int) -> None:
        for row in wire.decode(data, self._orders, what="order rows"):
            if not wire.is_counted(row):
                continue
            if row.orderStatus not in wire.STATUSES:
                # What it means is not known, so nothing follows from it; look-ups go on.
                self.drift.note(f"order.orderStatus: {row.orderStatus}")
                continue
            self._engine.on_report(wire.order_report(row, self.drift))

    def _on_executions(self, data: msgspec.Raw, _stamp_ns: int) -> None:
        for row in wire.decode(data, self._executions, what="execution rows"):
            if not wire.is_counted(row):
                continue
            kind = wire.execution_type(row, self.drift)
            if kind in wire.POSITION_TRADES:
                self._engine.on_fill(self.fast.merged(wire.fill(row, self.drift)))
            elif kind == wire.FUNDING:
                funding = wire.funding(row)
                self._engine.on_funding(funding.symbol, funding.amount, funding.exec_id)
            elif kind not in wire.OTHER_EXECUTIONS:
                self.drift.note(f"execution.execType: {kind}")

    def _on_fast_executions(self, data: msgspec.Raw, received_ns: int) -> None:
        for row in wire.decode(data, self._fast_executions, what="fast execution rows"):
            if wire.is_counted(row):
                what = f"execution {row.execId}"
                price, quantity = wire.needed(row.execPrice, what), wire.needed(row.execQty, what)
                self.fast.on_fast(row.execId, price, quantity, now_ns=received_ns)

    def _on_disconnect_notice(self, _data: msgspec.Raw, _stamp_ns: int) -> None:
        """Following the topic is what arms the cancellation; it carries nothing to apply."""

    def _on_positions(self, data: msgspec.Raw, _stamp_ns: int) -> None:
        for row in wire.decode(data, self._positions, what="position rows"):
            if not wire.is_counted(row):
                continue
            report = wire.position_report(row, self.drift)
            self._stakes[report.symbol, report.position_idx] = report.quantity
            self.venue_positions[report.symbol] = sum(
                (held for (symbol, _), held in self._stakes.items() if symbol == report.symbol),
                _FLAT,
            )

    def _on_wallet(self, data: msgspec.Raw, created_ns: int) -> None:
        for row in wire.decode(data, self._wallets, what="wallet rows"):
            try:
                report = wire.wallet_report(row, self.drift, ts_exchange_ns=created_ns)
            except CorruptDataError:  # counted; the equity that was known stays
                continue
            self.equity = report.equity
