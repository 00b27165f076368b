"""Market events: frozen, stamped, never edited after receipt."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_system.domain.orders import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeTick:
    """One public trade; ``side`` is the aggressor's."""

    symbol: str
    side: Side
    price: float
    quantity: float
    trade_id: str
    ts_exchange_ns: int
    ts_received_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TickerState:
    """Latest known ticker of a perpetual; None where the venue has not said."""

    symbol: str
    last_price: Decimal | None
    mark_price: Decimal | None
    index_price: Decimal | None
    funding_rate: Decimal | None
    next_funding_ms: int | None
    open_interest: Decimal | None
    ts_exchange_ns: int
    ts_received_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletReport:
    """Account totals as the venue reports them, in quote currency."""

    equity: Decimal
    wallet_balance: Decimal
    available_balance: Decimal
    ts_exchange_ns: int
