"""Timing of operations: who is slow, how often, and that nothing grows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

from optimizers.execution.operations import OperationFigures, OperationTimer, kind_of
from trading_system.domain.errors import LifecycleError
from trading_system.runtime.clock import ManualClock


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.timer = OperationTimer(
            {"ticker": 0.5, "order": 1.0, "volatility": 0.1}, clock=self.clock
        )

    def take(self, name: str, seconds: float) -> None:
        with self.timer.time_operation(name):
            self.clock.advance(seconds)


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("get_ticker", "ticker"),
        ("get_order_book", "ticker"),
        ("test_connection", "ticker"),
        ("place_order", "order"),
        ("cancel_orders", "order"),
        ("set_leverage", "order"),
        ("calculate_volatility", "volatility"),
        ("get_atr", "volatility"),
        ("strategy_cycle", "other"),
    ],
)
def test_the_kind_is_read_from_the_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("name", "limit_s"), [("get_ticker", 0.5), ("place_order", 1.0), ("get_volatility", 0.1)]
)
def test_an_operation_is_slow_beyond_the_limit_of_its_kind(name: str, limit_s: float) -> None:
    rig = Rig()
    rig.take(name, limit_s)
    assert rig.timer.figures[name].slow == 0
    rig.take(name, limit_s + 0.001)
    assert rig.timer.figures[name].slow == 1
    (slow,) = rig.timer.newest_slow
    assert (slow["operation"], slow["limit_s"], slow["has_failed"]) == (name, limit_s, False)
    assert slow["duration_s"] == pytest.approx(limit_s + 0.001)


def test_what_has_no_limit_is_never_slow_and_no_call() -> None:
    rig = Rig()
    rig.take("strategy_cycle", 60.0)
    rig.take("get_ticker", 0.1)
    assert rig.timer.figures["strategy_cycle"].slow == 0
    assert rig.timer.calls == {"get_ticker": 1}


def test_a_given_kind_wins_over_the_name() -> None:
    rig = Rig()
    with rig.timer.time_operation("warm_up", kind="order"):
        rig.clock.advance(2.0)
    assert rig.timer.calls == {"warm_up": 1}
    assert rig.timer.figures["warm_up"].slow == 1


def test_it_decorates_plain_functions() -> None:
    rig = Rig()

    @rig.timer.time_operation("get_ticker")
    def read(symbol: str, *, times: int = 1) -> str:
        rig.clock.advance(0.25)
        return symbol * times

    assert read("BTC", times=2) == "BTCBTC"
    assert read.__name__ == "read"
    assert rig.timer.figures["get_ticker"].average_s == pytest.approx(0.25)


async def test_it_decorates_coroutines_that_run_at_the_same_time() -> None:
    rig = Rig()
    gate = asyncio.Event()

    @rig.timer.time_operation("place_order")
    async def place(number: int) -> int:
        await gate.wait()
        return number

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(place(number)) for number in range(3)]
        await asyncio.sleep(0)
        rig.clock.advance(2.0)
        gate.set()
    assert [task.result() for task in tasks] == [0, 1, 2]
    figures = rig.timer.figures["place_order"]
    assert (figures.count, figures.slow, figures.average_s) == (3, 3, 2.0)


async def test_failures_and_cancellations_are_measured_too() -> None:
    rig = Rig()

    @rig.timer.time_operation("place_order")
    def fail() -> None:
        rig.clock.advance(3.0)
        raise KeyError

    @rig.timer.time_operation("place_order")
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hang(), 0.001)
    figures = rig.timer.figures["place_order"]
    assert (figures.count, figures.failures, figures.slow) == (2, 2, 1)
    assert rig.timer.newest_slow[0]["has_failed"]


def test_a_block_is_measured_once() -> None:
    span = Rig().timer.time_operation("get_ticker")
    with span, pytest.raises(LifecycleError, match="get_ticker was started before"), span:
        pass


def test_averages_and_percentiles_are_those_of_the_newest_512() -> None:
    rig = Rig()
    times = [index % 97 / 1000 for index in range(700)]
    for seconds in times:
        rig.take("get_ticker", seconds)
    figures = rig.timer.figures["get_ticker"]
    empty = OperationFigures("ticker", None)
    assert (empty.count, empty.average_s, empty.p95_s) == (0, 0.0, 0.0)
    assert figures.count == 700
    assert figures.average_s == pytest.approx(np.mean(times[-512:]))
    assert figures.p95_s == pytest.approx(np.percentile(times[-512:], 95))


def test_names_and_slow_operations_are_bounded() -> None:
    rig = Rig()
    for index in range(400):
        rig.take(f"get_{index}", 0.6)
    assert len(rig.timer.figures) == 256
    assert rig.timer.figures["other operations"].count == 400 - 255
    assert len(rig.timer.newest_slow) == 100
    assert rig.timer.newest_slow[-1]["operation"] == "get_254"


def test_slow_operations_are_warned_of_but_do_not_flood_the_log() -> None:
    rig = Rig()
    with capture_logs() as lines:
        for _ in range(50):
            rig.take("get_ticker", 0.6)  # 30 s in all
        rig.take("place_order", 1.1)
    assert [line["operation"] for line in lines] == ["get_ticker"] * 3 + ["place_order"]
    assert {line["log_level"] for line in lines} == {"warning"}
    assert [line["not_reported"] for line in lines[:3]] == [0, 16, 16]
