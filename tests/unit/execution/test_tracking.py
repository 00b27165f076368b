from dataclasses import replace
from decimal import Decimal

import pytest
from engine_rig import fill, report

from trading_system.domain.orders import OrderIntent, OrderStatus, OrderType, Side
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.execution.transitions import OrderEvent

INTENT = OrderIntent(
    symbol="BTCUSDT",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal("0.1"),
    price=Decimal(50_000),
    link_id="t-1",
)


async def test_what_is_filled_but_not_booked_still_counts_as_open() -> None:
    order = TrackedOrder(intent=INTENT, sent_ns=0)
    order.apply_report(report(INTENT, OrderStatus.FILLED, INTENT.quantity))
    assert order.open_quantity == INTENT.quantity
    order.apply_fill(fill(INTENT, INTENT.quantity, Decimal(50_000)), now_ns=1)
    assert order.open_quantity == 0


async def test_a_filled_report_without_a_quantity_waits_for_the_executions() -> None:
    order = TrackedOrder(intent=INTENT, sent_ns=0)
    order.apply_report(report(INTENT, OrderStatus.FILLED, Decimal(0)))
    assert not order.settled.is_set()


async def test_an_exit_that_the_venue_shrank_with_its_position_ends_when_that_is_filled() -> None:
    exit_ = replace(INTENT, reduce_only=True)
    order, held = TrackedOrder(intent=exit_, sent_ns=0), Decimal("0.06")
    order.apply_report(replace(report(exit_, OrderStatus.NEW, Decimal(0)), quantity=held))
    assert order.open_quantity == held
    order.apply_report(replace(report(exit_, OrderStatus.FILLED, held), quantity=held))
    assert not order.settled.is_set()
    order.apply_fill(fill(exit_, held, Decimal(50_000)), now_ns=1)
    assert order.settled.is_set()
    assert order.open_quantity == 0


async def test_an_order_that_may_open_is_for_what_was_asked_whatever_a_report_says() -> None:
    order = TrackedOrder(intent=INTENT, sent_ns=0)
    order.apply_report(replace(report(INTENT, OrderStatus.NEW, Decimal(0)), quantity=Decimal(1)))
    assert order.open_quantity == INTENT.quantity


async def test_a_report_of_an_exit_without_a_quantity_shrinks_nothing() -> None:
    exit_ = replace(INTENT, reduce_only=True)
    order = TrackedOrder(intent=exit_, sent_ns=0)
    order.apply_report(replace(report(exit_, OrderStatus.NEW, Decimal(0)), quantity=Decimal(0)))
    assert order.open_quantity == INTENT.quantity


async def test_an_order_without_fills_has_no_average_price() -> None:
    assert TrackedOrder(intent=INTENT, sent_ns=0).average_price is None


async def test_a_conclusion_never_overrules_the_stream() -> None:
    order = TrackedOrder(intent=INTENT, sent_ns=0)
    order.apply_report(report(INTENT, OrderStatus.CANCELLED, Decimal(0)))
    assert not order.apply(OrderEvent.REFUSED, "late")
    assert (order.status, order.reason) == (TrackedStatus.CANCELLED, "")


@pytest.mark.parametrize("share", ["0.04", "0.06"])
async def test_the_first_fill_is_stamped_once(share: str) -> None:
    order = TrackedOrder(intent=INTENT, sent_ns=0)
    order.apply_fill(fill(INTENT, Decimal(share), Decimal(50_000)), now_ns=5)
    order.apply_fill(fill(INTENT, Decimal("0.01"), Decimal(50_000), number=2), now_ns=9)
    assert order.first_fill_ns == 5
