"""What the gate gathers for its decision."""

from dataclasses import replace
from decimal import Decimal

from engine_rig import BTC, Rig

from trading_system.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading_system.execution.gate import OrderGate
from trading_system.execution.ledger import OrderLedger
from trading_system.execution.tracking import TrackedOrder
from trading_system.risk.limits import RiskLimits, TradingState

INTENT = OrderIntent(
    symbol="BTCUSDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal("0.1"),
    price=Decimal(50_000),
    link_id="t-1",
)


def gate(rig: Rig, ledger: OrderLedger) -> OrderGate:
    return OrderGate(
        instruments={"BTCUSDT": BTC},
        limits=RiskLimits(
            collar_bps=Decimal(50),
            max_order_notional=Decimal(10_000),
            max_position_notional=Decimal(40_000),
            max_gross_notional=Decimal(50_000),
            max_book_age_s=3.5,
        ),
        order_rate=rig.order_rate,
        portfolio=rig.portfolio,
        ledger=ledger,
        market=lambda _symbol: rig.view,
        clock=rig.clock,
        clock_offset_ms=None,
    )


async def test_what_nobody_measures_refuses_nothing() -> None:
    admitted = gate(Rig(), OrderLedger()).admit(INTENT, state=TradingState.ACTIVE)
    assert admitted is INTENT


async def test_a_market_order_is_priced_inside_the_collar() -> None:
    market = replace(INTENT, order_type=OrderType.MARKET, price=None)
    admitted = gate(Rig(), OrderLedger()).admit(market, state=TradingState.ACTIVE)
    assert (admitted.price, admitted.time_in_force) == (Decimal(50_250), TimeInForce.IOC)


async def test_a_market_order_is_the_twin_of_the_collared_one_at_work() -> None:
    rig, ledger = Rig(), OrderLedger()
    sent = replace(INTENT, link_id="t-0", price=Decimal(50_250))
    ledger.add(TrackedOrder(intent=sent, sent_ns=0))
    market = replace(INTENT, order_type=OrderType.MARKET, price=None)
    assert gate(rig, ledger).exposure(market).has_twin
    assert not gate(rig, ledger).exposure(INTENT).has_twin


async def test_exits_count_as_orders_at_work_but_not_as_exposure() -> None:
    rig, ledger = Rig(), OrderLedger()
    ledger.add(TrackedOrder(intent=replace(INTENT, link_id="t-0", reduce_only=True), sent_ns=0))
    seen = gate(rig, ledger).exposure(INTENT)
    assert (seen.open_orders, seen.open_symbol_quantity, seen.open_order_notional) == (1, 0, 0)
    assert not seen.has_twin
