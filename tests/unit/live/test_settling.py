"""Orders whose answer is overdue are looked up again and again, whatever the strategy does."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import BatchOutcome, OrderIntent, OrderType, Side
from trading_system.execution.tracking import TrackedOrder, TrackedStatus
from trading_system.live.settling import cancel_and_settle, settle_silent


class CountingEngine:
    def __init__(self) -> None:
        self.looks = 0

    async def look_up_silent(self) -> int:
        self.looks += 1
        return 0


def test_overdue_orders_are_looked_up_every_second_until_cancelled() -> None:
    engine = CountingEngine()

    async def live(_loop: VirtualLoop) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.5):
                await settle_silent(engine, fetch_missing=fetch)

    asked: list[int] = []

    async def fetch() -> None:
        asked.append(engine.looks)

    in_virtual_time(live)
    assert engine.looks == 3
    assert asked == [1, 2, 3]


def resting(number: int) -> TrackedOrder:
    intent = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(1),
        price=Decimal(10),
        link_id=f"ts-{number}",
    )
    return TrackedOrder(intent=intent, sent_ns=0, status=TrackedStatus.OPEN)


@dataclass
class LossyEngine:
    """A venue behind an engine: the first ``deaf`` cancels never get there."""

    orders: dict[str, TrackedOrder]
    deaf: int = 0
    patience_s: float = 0.0
    violation: InvariantViolated | None = None
    doubt_s: float = 11.0
    asked: list[tuple[float, list[str]]] = field(default_factory=list)

    @property
    def live_orders(self) -> tuple[TrackedOrder, ...]:
        return tuple(self.orders.values())

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        links = [link_id for _, link_id in orders]
        self.asked.append((asyncio.get_running_loop().time(), links))
        if len(self.asked) <= self.deaf:
            await asyncio.sleep(self.patience_s)
            if self.violation is not None:
                raise self.violation
            lost = InvariantViolated("stands for any error of one order")
            return [BatchOutcome(link_id=link_id, error=lost) for link_id in links]
        for link_id in links:
            self.orders.pop(link_id, None)
        return [BatchOutcome(link_id=link_id) for link_id in links]

    async def look_up(self, order: TrackedOrder) -> None:
        if self.violation is not None:
            raise self.violation


def settled(engine: LossyEngine) -> tuple[int, float]:
    async def end(loop: VirtualLoop) -> tuple[int, float]:
        left = await cancel_and_settle(engine, timeout_s=5.0)  # type: ignore[arg-type]  # a fake
        return left, loop.time()

    found: tuple[int, float] = in_virtual_time(end)
    return found


def some(count: int, **how: object) -> LossyEngine:
    orders = {f"ts-{number}": resting(number) for number in range(count)}
    return LossyEngine(orders, **how)  # type: ignore[arg-type]  # test data


def test_many_orders_are_cancelled_ten_per_period_until_none_is_left() -> None:
    engine = some(25)
    assert settled(engine) == (0, pytest.approx(2.4, abs=0.3))
    assert [len(links) for _, links in engine.asked] == [10, 10, 5]


def test_a_cancel_without_an_answer_is_asked_again_without_waiting_for_it() -> None:
    engine = some(3, deaf=2, patience_s=5.0)
    left, took_s = settled(engine)
    assert (left, len(engine.asked)) == (0, 3)
    assert took_s < 3.0


def test_a_violation_does_not_end_the_cancelling() -> None:
    engine = some(1, deaf=1, violation=InvariantViolated("two truths"))
    assert settled(engine)[0] == 0


def test_what_cannot_be_cancelled_is_counted_when_time_is_up() -> None:
    engine = some(2, deaf=99)
    assert settled(engine) == (2, pytest.approx(12.0))
    assert len(engine.asked) > 8


def test_an_ended_order_that_owes_a_fill_is_not_cancelled() -> None:
    engine = some(1)
    engine.orders["ts-0"].status = TrackedStatus.FILLED
    assert settled(engine)[0] == 1
    assert engine.asked == []


def test_without_orders_nothing_is_asked() -> None:
    engine = some(0)
    assert settled(engine) == (0, 0.0)
    assert engine.asked == []
