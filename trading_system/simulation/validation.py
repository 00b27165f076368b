"""The venue's rules for requests, checked in Bybit's order with Bybit's codes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from trading_system.domain.errors import OffGridError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.accounts.account import Account, Stake
from trading_system.simulation.conditions import BookPrice, Guard, Slippage, SlippageUnit, Trigger
from trading_system.simulation.contracts import Contract
from trading_system.simulation.levels import condition, guards
from trading_system.simulation.matching.sweep import walk_cost
from trading_system.simulation.records import OrderRequest, VenueReject

ACTIVE_ORDER_LIMIT = 500
"""Resting orders per account and contract."""

RISK_LIMIT = Decimal(2_000_000)
"""Largest value of a position with its open orders, quote currency: the only risk tier."""

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_RESTING = frozenset({TimeInForce.GTC, TimeInForce.POST_ONLY})
_TICK_TOLERANCES = (1, 10_000)
_PERCENT_TOLERANCES = (Decimal("0.01"), Decimal(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """An accepted order in ticks and lots, after re-pricing and cutting."""

    price_ticks: int
    lots: int
    time_in_force: TimeInForce
    trigger: Trigger | None = None
    take_profit: Guard | None = None
    stop_loss: Guard | None = None


def price_ticks_in_range(instrument: Instrument, price: Decimal | None) -> int:
    """Return a limit price in ticks as it was asked for.

    Raises
    ------
    VenueReject
        10001 off the grid or absent, 110003 outside the instrument's range.
    """
    if price is None:
        raise VenueReject(10001, "price is required for a limit order")
    if not price.is_finite():
        raise VenueReject(10001, "price invalid")
    outside = (
        "order price is out of permissible range: "
        f"must be between {instrument.min_price} and {instrument.max_price}"
    )
    if abs(price) > instrument.max_price * 1000:
        raise VenueReject(110003, outside)
    try:
        ticks = instrument.price_to_ticks(price)
    except (OffGridError, InvalidOperation) as e:
        raise VenueReject(10001, f"price is not a multiple of {instrument.tick_size}") from e
    if ticks <= 0 or not instrument.min_price <= price <= instrument.max_price:
        raise VenueReject(110003, outside)
    return ticks


def banded_ticks(contract: Contract, side: Side, ticks: int) -> int:
    """Return a limit price re-priced to the band around the mark price."""
    band = contract.band_ticks(side)
    return min(ticks, band) if side is Side.BUY else max(ticks, band)


def limit_ticks(contract: Contract, side: Side, price: Decimal | None) -> int:
    """Return a limit price in ticks, checked and re-priced to the band."""
    return banded_ticks(contract, side, price_ticks_in_range(contract.instrument, price))


def market_ticks(contract: Contract, side: Side, slippage: Slippage | None) -> int:
    """Return the worst price of a market order: the band, and no worse than it tolerates."""
    protective = contract.protective_ticks(side)
    best = contract.book.best_ask() if side is Side.BUY else contract.book.best_bid()
    if slippage is None or best is None:
        return protective
    if slippage.unit is SlippageUnit.TICKS:
        offset = int(slippage.value)
    else:
        offset = int(best * slippage.value / 100)
    tolerated = max(1, best + side.sign * offset)
    return min(protective, tolerated) if side is Side.BUY else max(protective, tolerated)


def qty_lots(instrument: Instrument, quantity: Decimal, order_type: OrderType) -> int:
    """Return a quantity in lots.

    Raises
    ------
    VenueReject
        10001 when it is off the grid or out of range.
    """
    largest = instrument.max_qty
    if order_type is OrderType.MARKET:
        largest = instrument.max_market_qty
    if not (quantity.is_finite() and instrument.min_qty <= quantity <= largest):
        raise VenueReject(10001, f"Qty invalid: must be between {instrument.min_qty} and {largest}")
    try:
        return instrument.qty_to_lots(quantity)
    except (OffGridError, InvalidOperation) as e:
        raise VenueReject(10001, f"Qty invalid: not a multiple of {instrument.qty_step}") from e


def check_notional(contract: Contract, value: Decimal) -> None:
    """Refuse an order value below the instrument's least one (110094)."""
    least = contract.instrument.min_notional
    if value < least:
        raise VenueReject(110094, f"Order does not meet minimum order value {least}")


def new_terms(
    request: OrderRequest, *, contract: Contract, account: Account, stake: Stake
) -> Terms:
    """Check a new order against every rule and return its terms.

    A conditional order needs no margin and no place among the active orders yet: both are
    checked when it is triggered.

    Raises
    ------
    VenueReject
        With the code of the first rule broken.
    """
    if not contract.mark:
        raise VenueReject(110074, "contract is not live: it has no mark price yet")
    trigger = None if request.trigger is None else condition(contract, request.trigger)
    price_ticks = _price(request, contract)
    lots = _requested_lots(request, contract.instrument, stake)
    if not request.reduce_only:
        _check_value(request, contract, price_ticks=price_ticks, lots=lots, trigger=trigger)
    _check_link_id(request.link_id, account)
    if stake.position_idx != request.position_idx:
        raise VenueReject(10001, "position idx not match position mode")
    take_profit, stop_loss = _guards(request, contract, price_ticks, trigger)
    time_in_force = request.time_in_force
    if request.order_type is OrderType.MARKET:
        time_in_force = TimeInForce.IOC
    if request.position_idx != stake.position_idx:
        raise VenueReject(10001, "position idx not match position mode")
    if request.reduce_only and not stake.reducible(request.side):
        raise VenueReject(110017, "current position is zero, cannot fix reduce-only order qty")
    if trigger is None:
        if request.reduce_only:
            lots = min(lots, stake.reducible(request.side))
        else:
            check_margin(account, stake, side=request.side, price_ticks=price_ticks, lots=lots)
        check_room(account, stake, time_in_force)
    return Terms(
        price_ticks=price_ticks,
        lots=lots,
        time_in_force=time_in_force,
        trigger=trigger,
        take_profit=take_profit,
        stop_loss=stop_loss,
    )


def check_room(account: Account, stake: Stake, time_in_force: TimeInForce) -> None:
    """Refuse an order that may rest when the contract has no room for it (110020)."""
    resting = sum(len(each.orders) for each in account.stakes_of(stake.contract))
    if time_in_force in _RESTING and resting >= ACTIVE_ORDER_LIMIT:
        raise VenueReject(
            110020, f"not allowed to have more than {ACTIVE_ORDER_LIMIT} active orders"
        )


def check_margin(
    account: Account, stake: Stake, *, side: Side, price_ticks: int, lots: int
) -> None:
    """Refuse an order that the balance cannot back (110007) or the risk limit forbids (110090)."""
    cost = walk_cost(stake.contract.book, side, limit_ticks=price_ticks, lots=lots)
    needed = stake.entry_margin(side, lots=lots, ticklots=cost)
    if needed and needed > account.available():
        raise VenueReject(110007, "ab not enough for new order")
    check_exposure(stake, side, ticklots=cost)


def check_exposure(stake: Stake, side: Side, *, ticklots: int = 0) -> None:
    """Refuse (110090) what would take a position with its orders beyond the risk limit."""
    if stake.exposure(side, ticklots=ticklots) > RISK_LIMIT:
        raise VenueReject(110090, f"position and orders would exceed the risk limit {RISK_LIMIT}")


def margin_needed(stake: Stake, side: Side, *, price_ticks: int, lots: int) -> Decimal:
    """Return the margin a new order would take, quote currency."""
    cost = walk_cost(stake.contract.book, side, limit_ticks=price_ticks, lots=lots)
    return stake.entry_margin(side, lots=lots, ticklots=cost)


def _price(request: OrderRequest, contract: Contract) -> int:
    side = request.side
    if request.slippage is not None:
        _check_slippage(request.slippage, request.order_type)
    if request.order_type is OrderType.MARKET:
        if request.trigger is not None:
            return 0
        return market_ticks(contract, side, request.slippage)
    if request.book_price is not None:
        return banded_ticks(contract, side, _book_ticks(contract, side, request.book_price))
    if request.trigger is not None:
        return price_ticks_in_range(contract.instrument, request.price)
    return limit_ticks(contract, side, request.price)


def _check_slippage(slippage: Slippage, order_type: OrderType) -> None:
    if order_type is not OrderType.MARKET:
        raise VenueReject(10001, "slippageTolerance is for market orders only")
    value = slippage.value
    if slippage.unit is SlippageUnit.TICKS:
        low, high = _TICK_TOLERANCES
        if not low <= value <= high or value != value.to_integral_value():
            raise VenueReject(110108, f"slippageTolerance must be {low} to {high} ticks, whole")
    elif not _PERCENT_TOLERANCES[0] <= value <= _PERCENT_TOLERANCES[1]:
        low_pct, high_pct = _PERCENT_TOLERANCES
        raise VenueReject(110109, f"slippageTolerance must be {low_pct} to {high_pct} per cent")


def _book_ticks(contract: Contract, side: Side, wish: BookPrice) -> int:
    levels = contract.book.top(side if wish.is_own_side else side.opposite, wish.level)
    if len(levels) < wish.level:
        raise VenueReject(10001, f"bboLevel {wish.level}: the book is not that deep")
    return levels[-1][0]


def _requested_lots(request: OrderRequest, instrument: Instrument, stake: Stake) -> int:
    closes = request.reduce_only and request.close_on_trigger
    if not (closes and request.quantity == 0):
        return qty_lots(instrument, request.quantity, request.order_type)
    if request.trigger is not None:
        return 0
    is_market = request.order_type is OrderType.MARKET
    largest = instrument.max_market_qty if is_market else instrument.max_qty
    return min(stake.reducible(request.side), instrument.floor_lots(largest))


def _check_value(
    request: OrderRequest,
    contract: Contract,
    *,
    price_ticks: int,
    lots: int,
    trigger: Trigger | None,
) -> None:
    # A market order is valued at the mark price, a conditional one at its trigger.
    if request.order_type is OrderType.LIMIT:
        value = contract.unit * (price_ticks * lots)
    elif trigger is None:
        value = contract.value(lots)
    else:
        value = contract.unit * (trigger.price_ticks * lots)
    check_notional(contract, value)


def _guards(
    request: OrderRequest, contract: Contract, price_ticks: int, trigger: Trigger | None
) -> tuple[Guard | None, Guard | None]:
    if request.take_profit is None and request.stop_loss is None:
        return None, None
    if trigger is not None:
        raise VenueReject(110057, "a conditional order cannot have takeProfit or stopLoss")
    if request.reduce_only:
        raise VenueReject(10001, "a reduceOnly order cannot have takeProfit or stopLoss")
    return guards(
        contract,
        request.side,
        order_type=request.order_type,
        price_ticks=price_ticks,
        take_profit=request.take_profit,
        stop_loss=request.stop_loss,
        scope=request.scope,
    )


def _check_link_id(link_id: str, account: Account) -> None:
    if not link_id:
        return
    if _LINK_ID.fullmatch(link_id) is None:
        raise VenueReject(10001, "orderLinkId must be 1 to 36 characters of A-Z a-z 0-9 - _")
    if link_id in account.histories.links:
        raise VenueReject(110072, "OrderLinkedID is duplicate")
