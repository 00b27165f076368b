"""Admission of orders: gathers what the risk decision needs, and counts what it refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import NoReturn

from trading_system.domain.errors import OrderDenied
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderIntent, OrderType, TimeInForce
from trading_system.domain.ports import Clock
from trading_system.execution.ledger import OrderLedger
from trading_system.risk.limits import (
    DenyReason,
    ExposureView,
    MarketView,
    RiskLimits,
    TradingState,
    collar_price,
    decide,
)
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow


class OrderGate:
    """Lets an intent pass or raises; a market order passes as a collared immediate-or-cancel.

    Parameters
    ----------
    instruments : Mapping[str, Instrument]
        Tradable symbols.
    limits : RiskLimits
        Hard caps.
    order_rate : SlidingWindow
        Limiter of new orders; a refused order costs no permit.
    portfolio : Portfolio
        Positions and their value.
    ledger : OrderLedger
        Orders at work.
    market : Callable[[str], MarketView]
        Newest market view of a symbol.
    clock : Clock
        Monotonic time.
    clock_offset_ms : Callable[[], float | None] or None
        Distance of the own clock from the venue's, milliseconds; None where nothing measures it.
    """

    def __init__(
        self,
        *,
        instruments: Mapping[str, Instrument],
        limits: RiskLimits,
        order_rate: SlidingWindow,
        portfolio: Portfolio,
        ledger: OrderLedger,
        market: Callable[[str], MarketView],
        clock: Clock,
        clock_offset_ms: Callable[[], float | None] | None,
    ) -> None:
        self._instruments = instruments
        self._limits = limits
        self._order_rate = order_rate
        self._portfolio = portfolio
        self._ledger = ledger
        self._market = market
        self._clock = clock
        self._clock_offset_ms = clock_offset_ms
        self.denied: dict[str, int] = {}

    def admit(self, intent: OrderIntent, *, state: TradingState) -> OrderIntent:
        """Return what may be sent for ``intent``.

        Raises
        ------
        OrderDenied
            With the first broken rule.
        """
        instrument = self._instruments.get(intent.symbol)
        market = self._market(intent.symbol)
        decision = decide(
            intent,
            state=state,
            limits=self._limits,
            instrument=instrument,
            market=market,
            exposure=self.exposure(intent),
        )
        if decision.reason is not None:
            self.deny(decision.reason, decision.detail)
        if intent.link_id in self._ledger:
            self.deny(DenyReason.LINK_ID, f"link id {intent.link_id} was used before")
        if not self._order_rate.try_acquire():
            self.deny(DenyReason.ORDER_RATE, "too many new orders in the last second")
        if intent.order_type is not OrderType.MARKET:
            return intent
        assert instrument is not None
        assert market.mid is not None
        return self._collared(intent, instrument, market.mid)

    def closing(self, intent: OrderIntent) -> OrderIntent:
        """Return what the kill switch sends to close a position: no limit may keep it from that.

        With a fresh book it stays inside the collar; without one it goes to the market, because
        an open position that nobody can price is the larger danger.
        """
        assert intent.reduce_only
        market = self._market(intent.symbol)
        is_fresh = market.age_s is not None and market.age_s <= self._limits.max_book_age_s
        if market.mid is None or not is_fresh:
            return intent
        return self._collared(intent, self._instruments[intent.symbol], market.mid)

    def deny(self, reason: DenyReason, detail: str) -> NoReturn:
        """Count a refusal and raise it.

        Raises
        ------
        OrderDenied
            Always.
        """
        self.denied[reason.value] = self.denied.get(reason.value, 0) + 1
        raise OrderDenied(reason.value, detail)

    def exposure(self, intent: OrderIntent) -> ExposureView:
        """Return what is at risk before ``intent``."""
        ledger, symbol = self._ledger, intent.symbol
        is_opening, measure = not intent.reduce_only, self._clock_offset_ms
        return ExposureView(
            position_quantity=self._portfolio.position(symbol).quantity,
            open_symbol_quantity=ledger.open_quantity(symbol),
            gross_notional=self._portfolio.gross_notional(),
            open_order_notional=ledger.open_notional,
            open_orders=ledger.live_count,
            opposite_price=ledger.opposite_price(intent) if is_opening else None,
            has_twin=is_opening
            and ledger.has_twin(
                intent,
                now_ns=self._clock.monotonic_ns(),
                window_s=self._limits.duplicate_window_s,
            ),
            clock_offset_ms=measure() if measure is not None else None,
        )

    def _collared(self, intent: OrderIntent, instrument: Instrument, mid: Decimal) -> OrderIntent:
        return replace(
            intent,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.IOC,
            price=collar_price(self._limits, instrument, side=intent.side, mid=mid),
        )
