from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import OrderIntent, OrderType, Side
from trading_system.risk.limits import (
    DenyReason,
    ExposureView,
    MarketView,
    RiskDecision,
    RiskLimits,
    TradingState,
    collar_price,
    decide,
)

BTC = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.1"),
    max_price=Decimal(2_000_000),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1000),
    max_market_qty=Decimal(100),
    min_notional=Decimal(5),
)
LIMITS = RiskLimits(
    collar_bps=Decimal(50),
    max_order_notional=Decimal(10_000),
    max_position_notional=Decimal(40_000),
    max_gross_notional=Decimal(50_000),
    max_book_age_s=3.5,
)
FRESH = MarketView(mid=Decimal(50_000), age_s=0.1)
FLAT = ExposureView(
    position_quantity=Decimal(0),
    open_symbol_quantity=Decimal(0),
    gross_notional=Decimal(0),
    open_order_notional=Decimal(0),
)
ORDER = OrderIntent(
    symbol="BTCUSDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal("0.1"),
    price=Decimal(50_000),
    link_id="ts-1",
)


def judge(
    intent: OrderIntent = ORDER,
    *,
    state: TradingState = TradingState.ACTIVE,
    instrument: Instrument | None = BTC,
    market: MarketView = FRESH,
    exposure: ExposureView = FLAT,
) -> RiskDecision:
    return decide(
        intent, state=state, limits=LIMITS, instrument=instrument, market=market, exposure=exposure
    )


def test_a_modest_order_passes() -> None:
    assert judge().is_allowed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": Decimal("NaN")}, DenyReason.NOT_FINITE),
        ({"quantity": Decimal("Infinity")}, DenyReason.NOT_FINITE),
        ({"quantity": Decimal(0)}, DenyReason.NOT_FINITE),
        ({"quantity": Decimal(-1)}, DenyReason.NOT_FINITE),
        ({"quantity": Decimal("0.0005")}, DenyReason.OFF_GRID),
        ({"quantity": Decimal(1001)}, DenyReason.QUANTITY_RANGE),
        ({"price": None}, DenyReason.PRICE_MISSING),
        ({"price": Decimal("NaN")}, DenyReason.NOT_FINITE),
        ({"price": Decimal(-5)}, DenyReason.NOT_FINITE),
        ({"price": Decimal("50000.05")}, DenyReason.OFF_GRID),
        ({"price": Decimal("50250.1")}, DenyReason.PRICE_COLLAR),
        ({"side": Side.SELL, "price": Decimal("49749.9")}, DenyReason.PRICE_COLLAR),
        ({"quantity": Decimal("0.001"), "price": Decimal(4000)}, DenyReason.MIN_NOTIONAL),
        ({"quantity": Decimal("0.201")}, DenyReason.ORDER_NOTIONAL),
        ({"link_id": ""}, DenyReason.LINK_ID),
        ({"link_id": "a b"}, DenyReason.LINK_ID),
        ({"link_id": "x" * 37}, DenyReason.LINK_ID),
        ({"reduce_only": True}, DenyReason.REDUCE_ONLY),
    ],
)
def test_each_broken_rule_is_named(changes: dict[str, object], reason: DenyReason) -> None:
    decision = judge(replace(ORDER, **changes))  # type: ignore[arg-type]  # test data
    assert decision.reason is reason
    assert decision.detail


def test_an_unknown_symbol_is_refused() -> None:
    assert judge(instrument=None).reason is DenyReason.UNKNOWN_SYMBOL


@pytest.mark.parametrize(
    "market", [MarketView(mid=None, age_s=1.0), MarketView(mid=Decimal(1), age_s=None)]
)
def test_no_order_leaves_without_a_book(market: MarketView) -> None:
    assert judge(market=market).reason is DenyReason.STALE_BOOK


def test_no_order_leaves_on_a_stale_book() -> None:
    stale = MarketView(mid=Decimal(50_000), age_s=3.6)
    assert judge(market=stale).reason is DenyReason.STALE_BOOK


def test_nothing_passes_a_halted_gate() -> None:
    held = replace(FLAT, position_quantity=Decimal(1))
    closing = replace(ORDER, side=Side.SELL, reduce_only=True)
    assert judge(state=TradingState.HALTED).reason is DenyReason.HALTED
    assert judge(closing, state=TradingState.HALTED, exposure=held).reason is DenyReason.HALTED


def test_reducing_lets_only_reductions_pass() -> None:
    held = replace(FLAT, position_quantity=Decimal("0.1"))
    closing = replace(ORDER, side=Side.SELL, reduce_only=True)
    assert judge(state=TradingState.REDUCING).reason is DenyReason.REDUCING
    assert judge(closing, state=TradingState.REDUCING, exposure=held).is_allowed


def test_a_reduction_larger_than_the_position_is_refused() -> None:
    held = replace(FLAT, position_quantity=Decimal("0.05"))
    closing = replace(ORDER, side=Side.SELL, reduce_only=True)
    assert judge(closing, exposure=held).reason is DenyReason.REDUCE_ONLY


def test_a_reduction_may_exceed_the_order_cap_so_that_a_position_can_be_closed() -> None:
    held = replace(FLAT, position_quantity=Decimal(1), gross_notional=Decimal(50_000))
    closing = replace(ORDER, side=Side.SELL, reduce_only=True, quantity=Decimal(1))
    assert judge(closing, exposure=held).is_allowed


def test_resting_orders_count_against_the_gross_limit() -> None:
    exposed = replace(FLAT, gross_notional=Decimal(30_000), open_order_notional=Decimal(15_001))
    assert judge(exposure=exposed).reason is DenyReason.GROSS_NOTIONAL


@pytest.mark.parametrize(
    ("held", "resting", "side", "allowed"),
    [
        ("0.7", "0", Side.BUY, True),
        ("0.701", "0", Side.BUY, False),
        ("0.5", "0.201", Side.BUY, False),
        ("0.701", "0", Side.SELL, True),
        ("-0.701", "0", Side.SELL, False),
    ],
)
def test_one_symbols_position_is_capped_with_its_open_orders(
    held: str, resting: str, side: Side, allowed: bool
) -> None:
    exposed = replace(FLAT, position_quantity=Decimal(held), open_symbol_quantity=Decimal(resting))
    decision = judge(replace(ORDER, side=side), exposure=exposed)
    assert decision.is_allowed is allowed
    assert decision.reason in {None, DenyReason.POSITION_NOTIONAL}


def test_a_market_order_is_judged_at_the_mid() -> None:
    market_order = replace(ORDER, order_type=OrderType.MARKET, price=None)
    assert judge(market_order).is_allowed
    assert judge(replace(market_order, quantity=Decimal("0.3"))).reason is DenyReason.ORDER_NOTIONAL
    assert judge(replace(market_order, quantity=Decimal(101))).reason is DenyReason.QUANTITY_RANGE


@given(
    mid=st.decimals(min_value=1, max_value=10**6, places=2),
    side=st.sampled_from(list(Side)),
)
def test_the_collar_price_is_on_the_grid_and_inside_the_band(mid: Decimal, side: Side) -> None:
    price = collar_price(LIMITS, BTC, side=side, mid=mid)
    assert price % BTC.tick_size == 0
    assert (price - mid) * side.sign <= mid * LIMITS.collar_bps / 10_000


@given(
    quantity=st.decimals(allow_nan=True, allow_infinity=True, min_value=None),
    price=st.none() | st.decimals(allow_nan=True, allow_infinity=True),
)
def test_whatever_passes_is_finite_on_grid_and_inside_every_cap(
    quantity: Decimal, price: Decimal | None
) -> None:
    intent = replace(ORDER, quantity=quantity, price=price)
    if not judge(intent).is_allowed:
        return
    assert price is not None
    assert price % BTC.tick_size == 0
    assert quantity % BTC.qty_step == 0
    assert quantity * price <= LIMITS.max_order_notional


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"open_orders": 50}, DenyReason.OPEN_ORDERS),
        ({"has_twin": True}, DenyReason.DUPLICATE),
        ({"opposite_price": Decimal(50_000)}, DenyReason.SELF_CROSS),
        ({"clock_offset_ms": -501.0}, DenyReason.CLOCK_OFFSET),
        ({"clock_offset_ms": float("nan")}, DenyReason.CLOCK_OFFSET),
    ],
)
def test_conduct_that_endangers_the_account_is_refused(
    changes: dict[str, object], reason: DenyReason
) -> None:
    decision = judge(exposure=replace(FLAT, **changes))  # type: ignore[arg-type]  # test data
    assert decision.reason is reason
    assert decision.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"open_orders": 49},
        {"opposite_price": Decimal("50000.1")},
        {"clock_offset_ms": 500.0},
    ],
)
def test_conduct_at_the_edge_of_a_rule_passes(changes: dict[str, object]) -> None:
    assert judge(exposure=replace(FLAT, **changes)).is_allowed  # type: ignore[arg-type]  # test data


def test_a_market_order_crosses_any_own_order_on_the_other_side() -> None:
    market = replace(ORDER, order_type=OrderType.MARKET, price=None)
    exposure = replace(FLAT, opposite_price=Decimal(60_000))
    assert judge(market, exposure=exposure).reason is DenyReason.SELF_CROSS


def test_neither_clock_nor_own_orders_keep_a_position_from_being_closed() -> None:
    held = replace(
        FLAT,
        position_quantity=Decimal(1),
        open_orders=99,
        has_twin=True,
        clock_offset_ms=900.0,
        opposite_price=Decimal(50_000),
    )
    assert judge(replace(ORDER, side=Side.SELL, reduce_only=True), exposure=held).is_allowed


@pytest.mark.parametrize(("quantity", "allowed"), [("0.2", True), ("0.201", False)])
def test_an_exit_may_close_what_offset_the_open_orders(quantity: str, allowed: bool) -> None:
    held = replace(FLAT, position_quantity=Decimal("0.8"), open_symbol_quantity=Decimal("0.6"))
    decision = judge(replace(ORDER, side=Side.SELL, quantity=Decimal(quantity)), exposure=held)
    assert decision.is_allowed is allowed
