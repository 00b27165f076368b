"""The risk gate: a deterministic decision over every order, made before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderIntent, OrderType, Side, TriggerDirection

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_BPS = Decimal(10_000)


class TradingState(Enum):
    """What the gate lets through."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class DenyReason(Enum):
    """Why the gate refused; the text is logged and shown."""

    HALTED = "halted"
    REDUCING = "reducing"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_FINITE = "not_finite"
    OFF_GRID = "off_grid"
    QUANTITY_RANGE = "quantity_range"
    MIN_NOTIONAL = "min_notional"
    PRICE_MISSING = "price_missing"
    PRICE_COLLAR = "price_collar"
    STALE_BOOK = "stale_book"
    ORDER_NOTIONAL = "order_notional"
    POSITION_NOTIONAL = "position_notional"
    GROSS_NOTIONAL = "gross_notional"
    ORDER_RATE = "order_rate"
    LINK_ID = "link_id"
    REDUCE_ONLY = "reduce_only"
    OPEN_ORDERS = "open_orders"
    DUPLICATE = "duplicate"
    SELF_CROSS = "self_cross"
    CLOCK_OFFSET = "clock_offset"
    JOURNAL = "journal"
    TRIGGER = "trigger"
    NOT_AMENDABLE = "not_amendable"
    AMEND_RATE = "amend_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Hard caps of the gate.

    Parameters
    ----------
    collar_bps : Decimal
        How far beyond the mid, in the costly direction, an order may be priced, basis points.
    max_order_notional, max_position_notional, max_gross_notional : Decimal
        Value of one order, of one symbol's position with its open orders, of everything; quote
        currency.
    max_book_age_s : float
        Oldest market data an order may be based on, seconds.
    max_open_orders : int
        Own orders that may be at work at the same time, the new one included.
    duplicate_window_s : float
        How long an unsettled opening order keeps an identical one (symbol, side, price, quantity)
        from being sent, seconds.
    max_clock_offset_ms : float
        Largest distance of the own clock from the venue's, milliseconds; not for orders that only
        reduce a position.
    """

    collar_bps: Decimal
    max_order_notional: Decimal
    max_position_notional: Decimal
    max_gross_notional: Decimal
    max_book_age_s: float
    max_open_orders: int = 50
    duplicate_window_s: float = 1.0
    max_clock_offset_ms: float = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """What the gate knows of the market at the moment of decision; None without a valid book."""

    mid: Decimal | None
    age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureView:
    """What is already at risk.

    Parameters
    ----------
    position_quantity : Decimal
        Signed position of the order's symbol, base currency.
    open_symbol_quantity : Decimal
        Quantity of resting or unresolved opening orders of the symbol, both sides, base currency.
    gross_notional : Decimal
        Absolute value of all positions, quote currency.
    open_order_notional : Decimal
        Value of all resting or unresolved opening orders, quote currency.
    open_orders : int
        Own orders at work, exits and orders of unknown outcome included.
    opposite_price : Decimal or None
        Best price of the own orders of the symbol at work on the other side.
    has_twin : bool
        Whether an identical opening order is unsettled and younger than the duplicate window.
    clock_offset_ms : float or None
        Distance of the own clock from the venue's, milliseconds; None if nothing measures it.
    """

    position_quantity: Decimal
    open_symbol_quantity: Decimal
    gross_notional: Decimal
    open_order_notional: Decimal
    open_orders: int = 0
    opposite_price: Decimal | None = None
    has_twin: bool = False
    clock_offset_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskDecision:
    """The gate's answer; ``reason`` is None when the order may pass."""

    reason: DenyReason | None
    detail: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether the order may be sent."""
        return self.reason is None


_ALLOW = RiskDecision(reason=None)


def _deny(reason: DenyReason, detail: str) -> RiskDecision:
    return RiskDecision(reason=reason, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingChange:
    """A price change as the gate sees it.

    Parameters
    ----------
    intent : OrderIntent
        The order with its new price and its whole quantity.
    open_quantity : Decimal
        What may still fill, base currency.
    former_price : Decimal
        Where it rests now, quote currency: until the change is confirmed both prices count.
    counted_notional : Decimal
        What the order counts in the exposure now, quote currency.
    """

    intent: OrderIntent
    open_quantity: Decimal
    former_price: Decimal
    counted_notional: Decimal


def collar_price(
    limits: RiskLimits, instrument: Instrument, *, side: Side, mid: Decimal
) -> Decimal:
    """Return the worst price the gate accepts for ``side``, rounded inside the collar.

    ``mid`` is where the order will trade: the market's mid, or a conditional order's trigger.
    """
    band = mid * limits.collar_bps / _BPS
    if side is Side.BUY:
        return instrument.ticks_to_price(instrument.floor_ticks(mid + band))
    return instrument.ticks_to_price(instrument.ceil_ticks(mid - band))


def decide(
    intent: OrderIntent,
    *,
    state: TradingState,
    limits: RiskLimits,
    instrument: Instrument | None,
    market: MarketView,
    exposure: ExposureView,
) -> RiskDecision:
    """Return whether ``intent`` may be sent; the first broken rule is named.

    The order rate is checked by the caller after this, so that a refused order costs no token.
    """
    if instrument is None:
        return _deny(DenyReason.UNKNOWN_SYMBOL, f"{intent.symbol} is not a configured symbol")
    # Lazy on purpose: a later check may rely on what an earlier one has established.
    return (
        _check_state(intent, state)
        or _check_form(intent, instrument)
        or _check_grid(intent, instrument)
        or _check_market(intent, limits, instrument, market)
        or _check_conduct(intent, limits, exposure)
        or _check_exposure(intent, limits, market, exposure)
        or _ALLOW
    )


def decide_change(
    change: RestingChange,
    *,
    state: TradingState,
    limits: RiskLimits,
    instrument: Instrument,
    market: MarketView,
    exposure: ExposureView,
) -> RiskDecision:
    """Return whether a resting order may be moved to another price; the first broken rule is named.

    A price change makes nothing safer that a cancel would not, so it passes in ``ACTIVE`` only.
    The rate is checked by the caller after this, so that a refused change costs no token.
    """
    if state is not TradingState.ACTIVE:
        reason = DenyReason.HALTED if state is TradingState.HALTED else DenyReason.REDUCING
        return _deny(reason, f"no price changes while {state.value}")
    intent = change.intent
    return (
        _check_form(intent, instrument)
        or _check_grid(intent, instrument)
        or _check_market(intent, limits, instrument, market)
        or _check_conduct(intent, limits, exposure)
        or _check_changed_exposure(change, limits, market, exposure)
        or _ALLOW
    )


def _check_state(intent: OrderIntent, state: TradingState) -> RiskDecision | None:
    if state is TradingState.HALTED:
        return _deny(DenyReason.HALTED, "trading is halted")
    if state is TradingState.REDUCING and not intent.reduce_only:
        return _deny(DenyReason.REDUCING, "only reduce-only orders pass while reducing")
    if not _LINK_ID.fullmatch(intent.link_id):
        return _deny(DenyReason.LINK_ID, f"link id {intent.link_id!r} is not 1-36 of [A-Za-z0-9_-]")
    return None


def _check_form(intent: OrderIntent, instrument: Instrument) -> RiskDecision | None:
    quantity, price = intent.quantity, intent.price
    if not quantity.is_finite() or quantity <= 0:
        return _deny(DenyReason.NOT_FINITE, f"quantity must be finite and positive, was {quantity}")
    if quantity % instrument.qty_step:
        return _deny(
            DenyReason.OFF_GRID, f"quantity {quantity} is no multiple of {instrument.qty_step}"
        )
    is_market = intent.order_type is OrderType.MARKET
    most = instrument.max_market_qty if is_market else instrument.max_qty
    if not instrument.min_qty <= quantity <= most:
        return _deny(
            DenyReason.QUANTITY_RANGE, f"quantity {quantity} not in {instrument.min_qty}..{most}"
        )
    if is_market:
        return None
    if price is None:
        return _deny(DenyReason.PRICE_MISSING, "a limit order needs a price")
    if not price.is_finite() or price <= 0:
        return _deny(DenyReason.NOT_FINITE, f"price must be finite and positive, was {price}")
    if price % instrument.tick_size:
        return _deny(DenyReason.OFF_GRID, f"price {price} is no multiple of {instrument.tick_size}")
    return None


def _check_grid(intent: OrderIntent, instrument: Instrument) -> RiskDecision | None:
    """Refuse a trigger price, or a price of an attached exit, between two ticks."""
    exits = [exit_ for exit_ in (intent.take_profit, intent.stop_loss) if exit_ is not None]
    prices = [price for exit_ in exits for price in (exit_.price, exit_.limit_price)]
    if intent.trigger is not None:
        prices.append(intent.trigger.price)
    for price in prices:
        if price is not None and price % instrument.tick_size:
            return _deny(
                DenyReason.OFF_GRID, f"price {price} is no multiple of {instrument.tick_size}"
            )
    return None


def _check_market(
    intent: OrderIntent, limits: RiskLimits, instrument: Instrument, market: MarketView
) -> RiskDecision | None:
    if market.mid is None or market.age_s is None:
        return _deny(DenyReason.STALE_BOOK, f"no valid {intent.symbol} book")
    if market.age_s > limits.max_book_age_s:
        return _deny(
            DenyReason.STALE_BOOK,
            f"{intent.symbol} book is {market.age_s:.1f} s old, limit {limits.max_book_age_s} s",
        )
    if (early := _check_trigger(intent, market.mid)) is not None:
        return early
    trades_at = market.mid if intent.trigger is None else intent.trigger.price
    if intent.price is not None:
        worst = collar_price(limits, instrument, side=intent.side, mid=trades_at)
        if (intent.price - worst) * intent.side.sign > 0:
            return _deny(
                DenyReason.PRICE_COLLAR,
                f"price {intent.price} beyond {worst}, {limits.collar_bps} bps from {trades_at}",
            )
    notional = intent.quantity * (intent.price or trades_at)
    if notional < instrument.min_notional and not intent.reduce_only:
        return _deny(DenyReason.MIN_NOTIONAL, f"value {notional} below {instrument.min_notional}")
    return None


def _check_trigger(intent: OrderIntent, mid: Decimal) -> RiskDecision | None:
    """Refuse a trigger, or an attached exit of an order without a price, that is reached now."""
    trigger = intent.trigger
    if trigger is not None:
        rises = trigger.direction is TriggerDirection.RISE
        if (trigger.price <= mid) if rises else (trigger.price >= mid):
            return _deny(
                DenyReason.TRIGGER,
                f"the market at {mid} has reached a trigger at {trigger.price} "
                f"({trigger.direction.name.lower()}) already",
            )
    if intent.price is not None:
        return None  # the intent itself has made sure that its exits lie around its price
    for exit_, sign in ((intent.take_profit, 1), (intent.stop_loss, -1)):
        if exit_ is not None and (exit_.price - mid) * sign * intent.side.sign <= 0:
            return _deny(
                DenyReason.TRIGGER, f"an exit at {exit_.price} is reached by the market at {mid}"
            )
    return None


def _check_conduct(
    intent: OrderIntent, limits: RiskLimits, exposure: ExposureView
) -> RiskDecision | None:
    if intent.reduce_only:
        return None  # neither clock nor own orders ever keep a position from being closed
    offset_ms = exposure.clock_offset_ms
    if offset_ms is not None and not abs(offset_ms) <= limits.max_clock_offset_ms:
        return _deny(
            DenyReason.CLOCK_OFFSET,
            f"the clock is {offset_ms:.0f} ms off, limit {limits.max_clock_offset_ms:.0f} ms",
        )
    if exposure.open_orders >= limits.max_open_orders:
        return _deny(
            DenyReason.OPEN_ORDERS,
            f"{exposure.open_orders} orders at work, limit {limits.max_open_orders}",
        )
    if exposure.has_twin:
        return _deny(
            DenyReason.DUPLICATE,
            f"an identical {intent.symbol} order of the last {limits.duplicate_window_s:g} s "
            "is unsettled",
        )
    opposite = exposure.opposite_price
    if opposite is not None and (
        intent.price is None or (intent.price - opposite) * intent.side.sign >= 0
    ):
        return _deny(DenyReason.SELF_CROSS, f"would trade with an own order at {opposite}")
    return None


def _check_exposure(
    intent: OrderIntent, limits: RiskLimits, market: MarketView, exposure: ExposureView
) -> RiskDecision | None:
    assert market.mid is not None
    held = exposure.position_quantity
    if intent.reduce_only:
        if held * intent.side.sign >= 0 or intent.quantity > abs(held):
            return _deny(
                DenyReason.REDUCE_ONLY,
                f"reduce-only {intent.side.name} {intent.quantity} against a position of {held}",
            )
        return None
    # A conditional order counts from now on, at the highest price at which it may trade.
    trades_at = max(market.mid, intent.trigger.price) if intent.trigger is not None else market.mid
    notional = intent.quantity * max(intent.price or trades_at, trades_at)
    return _check_caps(
        intent,
        limits,
        notional=notional,
        position=trades_at
        * _worst_position(held, intent.side, intent.quantity + exposure.open_symbol_quantity),
        gross=exposure.gross_notional + exposure.open_order_notional + notional,
    )


def _check_changed_exposure(
    change: RestingChange, limits: RiskLimits, market: MarketView, exposure: ExposureView
) -> RiskDecision | None:
    assert market.mid is not None
    intent, held = change.intent, exposure.position_quantity
    assert intent.price is not None
    if intent.reduce_only:
        return None  # it is counted as no exposure and the venue lets it only shrink the position
    trigger_price = intent.trigger.price if intent.trigger is not None else market.mid
    highest = max(intent.price, change.former_price, trigger_price, market.mid)
    notional = change.open_quantity * highest
    others = exposure.open_order_notional - change.counted_notional
    return _check_caps(
        intent,
        limits,
        notional=notional,
        # The open quantity of the symbol contains this order's own.
        position=market.mid * _worst_position(held, intent.side, exposure.open_symbol_quantity),
        gross=exposure.gross_notional + others + notional,
    )


def _worst_position(held: Decimal, side: Side, open_quantity: Decimal) -> Decimal:
    """Return the largest position if every open order of the symbol fills on ``side``.

    What is held may have been closed by an exit before: then nothing offsets the open orders.
    """
    return max(abs(held + side.sign * open_quantity), open_quantity)


def _check_caps(
    intent: OrderIntent,
    limits: RiskLimits,
    *,
    notional: Decimal,
    position: Decimal,
    gross: Decimal,
) -> RiskDecision | None:
    if notional > limits.max_order_notional:
        return _deny(
            DenyReason.ORDER_NOTIONAL, f"order value {notional} above {limits.max_order_notional}"
        )
    if position > limits.max_position_notional:
        return _deny(
            DenyReason.POSITION_NOTIONAL,
            f"{intent.symbol} position could reach {position}, above "
            f"{limits.max_position_notional}",
        )
    if gross > limits.max_gross_notional:
        return _deny(
            DenyReason.GROSS_NOTIONAL, f"gross value {gross} above {limits.max_gross_notional}"
        )
    return None
