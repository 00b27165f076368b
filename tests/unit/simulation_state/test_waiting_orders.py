"""Conditional orders, stops of all kinds and guards survive a killed venue."""

from decimal import Decimal

import pytest
from state_rig import NOW, Life, X

from trading_system.domain.orders import Side
from trading_system.simulation.conditions import (
    GuardRequest,
    StopChange,
    StopKind,
    StopScope,
    TriggerRequest,
)
from trading_system.simulation.records import OrderState

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def path(tmp_path):
    return tmp_path / "venue.state"


def print_at(life, ticks):
    life.exchange.recorded_trade(X, BUY, ticks, 1, now_ms=NOW + 5, at_level=False)


def test_everything_that_waits_comes_back_and_still_acts(path):
    with Life(path) as life:
        life.trade(BUY, "3", stop_loss=GuardRequest(price=D("9.7")))
        life.trade(BUY, "1", "9.9", take_profit=GuardRequest(price=D(11)), scope=StopScope.PARTIAL)
        life.trade(SELL, "2", trigger=TriggerRequest(price=D("9.8")), link_id="c-1")
        trail = StopChange(kind=StopKind.TRAILING_STOP, price=D("0.3"))
        life.exchange.set_stops(1, X, [trail], now_ms=NOW + 2)
        print_at(life, 1040)
        before = life.picture()["1"]
    with Life(path) as again:
        after = again.picture()["1"]
        assert after[2:5] == before[2:5]
        assert again.exchange.position(1, X).trailing_stop == D("0.3")
        print_at(again, 1010)
        assert again.exchange.position(1, X).lots == 0
        assert again.exchange.find_order(1, link_id="c-1").state is OrderState.UNTRIGGERED


def test_pair_is_still_bound_and_the_guard_still_handed_over(path):
    pair = {
        "take_profit": GuardRequest(price=D("10.4")),
        "stop_loss": GuardRequest(price=D("9.7")),
        "scope": StopScope.PARTIAL,
    }
    with Life(path) as life:
        life.trade(BUY, "3", **pair)
        life.trade(BUY, "2", "9.96", stop_loss=GuardRequest(price=D("9.5")))
    with Life(path) as again:
        again.exchange.house_limit(X, SELL, 996, 20, now_ms=NOW + 4)
        assert again.exchange.position(1, X).stop_loss == D("9.5")
        print_at(again, 1040)
        assert again.exchange.position(1, X).lots == 20
        (left,) = again.exchange.stop_orders(1)
        assert left.trigger.kind is StopKind.STOP_LOSS
