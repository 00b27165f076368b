"""Admission of orders: gathers what the risk decision needs, and counts what it refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, NoReturn

from trading_system.domain.errors import OrderDenied
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderIntent, OrderType, PriceChange, TimeInForce
from trading_system.domain.ports import Clock
from trading_system.execution.ledger import OrderLedger
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.risk.limits import (
    DenyReason,
    ExposureView,
    MarketView,
    RestingChange,
    RiskLimits,
    TradingState,
    collar_price,
    decide,
    decide_change,
)
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow

_AMENDS = 1000
_KEPT_FOR_EXITS = 1
_AMENDABLE = frozenset({TrackedStatus.OPEN, TrackedStatus.UNTRIGGERED})

_REMEDIES: Final = {
    DenyReason.SELF_CROSS: "; cancel it, `pause` the market maker, or give a limit short of it"
}


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
    amend_rate : SlidingWindow or None
        Limiter of price changes; likewise. None lets 1000 pass per second.
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

    Attributes
    ----------
    limits : RiskLimits
        Hard caps, for reading only.
    denied : dict of str to int
        Refusals by reason.
    order_share : float
        Part of the order rate, in (0, 1], that orders which may open a position get, less the last
        order of each window; orders that only shrink one always get all of it.
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
        amend_rate: SlidingWindow | None = None,
    ) -> None:
        self._instruments = instruments
        self.limits = limits
        self._order_rate = order_rate
        self._amend_rate = amend_rate or SlidingWindow(_AMENDS, window_s=1.0, clock=clock)
        self._portfolio = portfolio
        self._ledger = ledger
        self._market = market
        self._clock = clock
        self._clock_offset_ms = clock_offset_ms
        self.denied: dict[str, int] = {}
        self.order_share = 1.0

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
            limits=self.limits,
            instrument=instrument,
            market=market,
            exposure=self.exposure(intent),
        )
        if decision.reason is not None:
            self.deny(decision.reason, decision.detail)
        if intent.link_id in self._ledger:
            self.deny(DenyReason.LINK_ID, f"link id {intent.link_id} was used before")
        share, kept = (1.0, 0) if intent.reduce_only else (self.order_share, _KEPT_FOR_EXITS)
        if not self._order_rate.try_acquire(share=share, kept=kept):
            throttled = "" if share == 1.0 else f" for a rate throttled to {share:.0%}"
            self.deny(DenyReason.ORDER_RATE, f"too many new orders in the last second{throttled}")
        if intent.order_type is not OrderType.MARKET:
            return intent
        if intent.trigger is not None and intent.reduce_only:
            return intent  # a stop has to close through a gap: no collar may hold it
        assert instrument is not None
        assert market.mid is not None
        trades_at = market.mid if intent.trigger is None else intent.trigger.price
        return self._collared(intent, instrument, trades_at)

    def admit_change(self, change: PriceChange, *, state: TradingState) -> TrackedOrder:
        """Return the order that may be moved.

        Raises
        ------
        OrderDenied
            With the first broken rule.
        """
        order = self._amendable(change)
        moved = self._moved(order, change)
        assert order.standing_price is not None
        _, counted = self._ledger.counted(change.link_id)
        decision = decide_change(
            RestingChange(
                intent=moved,
                open_quantity=order.open_quantity,
                former_price=order.standing_price,
                counted_notional=counted,
            ),
            state=state,
            limits=self.limits,
            instrument=self._instruments[change.symbol],
            market=self._market(change.symbol),
            exposure=self._exposure_of_change(moved),
        )
        if decision.reason is not None:
            self.deny(decision.reason, decision.detail)
        if not order.stands_at(change) and not self._amend_rate.try_acquire():
            self.deny(DenyReason.AMEND_RATE, "too many price changes in the last second")
        return order

    @property
    def orders_left(self) -> int:
        """New orders that the whole rate still lets pass now."""
        return self._order_rate.available

    def closing(self, intent: OrderIntent) -> OrderIntent:
        """Return what the kill switch sends to close a position: no limit may keep it from that.

        With a fresh book it stays inside the collar; without one it goes to the market, because
        an open position that nobody can price is the larger danger.
        """
        assert intent.reduce_only
        market = self._market(intent.symbol)
        is_fresh = market.age_s is not None and market.age_s <= self.limits.max_book_age_s
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
        raise self.refusal(reason, detail)

    def refusal(self, reason: DenyReason, detail: str) -> OrderDenied:
        """Count a refusal and return it."""
        self.denied[reason.value] = self.denied.get(reason.value, 0) + 1
        return OrderDenied(reason.value, detail + _REMEDIES.get(reason, ""))

    def _amendable(self, change: PriceChange) -> TrackedOrder:
        order = self._ledger.get(change.link_id)
        if order is None or order.intent.symbol != change.symbol:
            self.deny(DenyReason.NOT_AMENDABLE, f"{change.link_id} is no own {change.symbol} order")
        if order.status not in _AMENDABLE or not order.open_quantity:
            self.deny(DenyReason.NOT_AMENDABLE, f"{change.link_id} is {order.status.value}")
        if order.amendment is not None:
            self.deny(DenyReason.NOT_AMENDABLE, f"{change.link_id} is being amended")
        if order.standing_price is None or change.symbol not in self._instruments:
            self.deny(DenyReason.NOT_AMENDABLE, f"{change.link_id} has no price to change")
        if change.trigger_price is not None and order.status is not TrackedStatus.UNTRIGGERED:
            self.deny(DenyReason.NOT_AMENDABLE, f"{change.link_id} waits for no trigger")
        return order

    @staticmethod
    def _moved(order: TrackedOrder, change: PriceChange) -> OrderIntent:
        """Return the order as it would be; one that was triggered waits for nothing any more."""
        trigger = order.waiting_for
        if trigger is not None and change.trigger_price is not None:
            trigger = replace(trigger, price=change.trigger_price)
        return replace(
            order.intent, price=change.price, trigger=trigger, take_profit=None, stop_loss=None
        )

    def _exposure_of_change(self, moved: OrderIntent) -> ExposureView:
        # Neither the number of orders nor a twin matters: no order is added.
        ledger, measure = self._ledger, self._clock_offset_ms
        return ExposureView(
            position_quantity=self._held(moved),
            open_symbol_quantity=ledger.open_quantity(moved.symbol),
            gross_notional=self._portfolio.gross_notional(),
            open_order_notional=ledger.open_notional,
            opposite_price=ledger.opposite_price(moved),
            clock_offset_ms=measure() if measure is not None else None,
        )

    def exposure(self, intent: OrderIntent) -> ExposureView:
        """Return what is at risk before ``intent``."""
        ledger, symbol = self._ledger, intent.symbol
        is_opening, measure = not intent.reduce_only, self._clock_offset_ms
        return ExposureView(
            position_quantity=self._held(intent),
            open_symbol_quantity=ledger.open_quantity(symbol),
            gross_notional=self._portfolio.gross_notional(),
            open_order_notional=ledger.open_notional,
            open_orders=ledger.live_count,
            opposite_price=ledger.opposite_price(intent) if is_opening else None,
            has_twin=is_opening
            and ledger.has_twin(
                intent,
                now_ns=self._clock.monotonic_ns(),
                window_s=self.limits.duplicate_window_s,
            ),
            clock_offset_ms=measure() if measure is not None else None,
        )

    def _held(self, intent: OrderIntent) -> Decimal:
        """Return the stake that ``intent`` works on: in hedge mode the sides do not offset."""
        return self._portfolio.stake_against(
            intent.symbol, intent.side, reduce_only=intent.reduce_only
        ).quantity

    def _collared(self, intent: OrderIntent, instrument: Instrument, mid: Decimal) -> OrderIntent:
        return replace(
            intent,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.IOC,
            price=collar_price(self.limits, instrument, side=intent.side, mid=mid),
        )
