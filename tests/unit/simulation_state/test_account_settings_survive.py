"""Hedge mode, both sides, liquidations and disconnect protection come back after a kill."""

from decimal import Decimal

import msgspec
import pytest
from state_rig import ABC, NOW, Life, X

from trading_system.domain.orders import Side
from trading_system.simulation.conditions import StopChange, StopKind
from trading_system.simulation.records import DcpProduct, OrderState, PositionMode
from trading_system.simulation.state.entries import StakeState

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def path(tmp_path):
    return tmp_path / "venue.state"


def sides(life):
    return [(view.position_idx, view.lots) for view in life.exchange.positions(1, X)]


@pytest.mark.parametrize("ends_cleanly", [True, False])
def test_both_sides_of_a_hedged_contract_survive(path, ends_cleanly):
    with Life(path) as life:
        life.exchange.switch_mode(1, PositionMode.HEDGE, symbol=X)
        life.trade(BUY, "3", position_idx=1)
        life.trade(SELL, "2", position_idx=2)
        life.trade(SELL, "1", "10.50", position_idx=1)
        stop = [StopChange(kind=StopKind.STOP_LOSS, price=D("9.7"))]
        life.exchange.set_stops(1, X, stop, now_ms=NOW + 2, position_idx=1)
        before = life.exchange.positions(1, X)
        if ends_cleanly:
            life.journal.save()
    with Life(path) as again:
        assert sides(again) == [(1, 30), (2, -20)]
        assert [view.stop_loss for view in again.exchange.positions(1, X)] == [D("9.7"), None]
        assert [view.entry_price for view in before] == [
            view.entry_price for view in again.exchange.positions(1, X)
        ]
        (order,) = again.exchange.open_orders(1)
        assert (order.position_idx, order.reduce_only) == (1, True)


def test_mode_of_a_coin_survives_without_a_position(path):
    with Life(path) as life:
        life.exchange.switch_mode(1, PositionMode.HEDGE, coin="USDT")
    with Life(path) as again:
        assert sides(again) == [(1, 0), (2, 0)]
        assert again.exchange.positions(2, X)[0].position_idx == 0


def test_liquidation_survives_with_what_the_fund_paid(path):
    with Life(path) as life:
        life.trade(SELL, "10")
        life.exchange.settle_funding(X, D(-1000), now_ms=NOW + 3)
        wallet, ledger = life.exchange.wallet(1), life.exchange.ledger(1)
        assert wallet.insurance > 0
    with Life(path) as again:
        assert again.exchange.wallet(1) == wallet
        assert again.exchange.ledger(1) == ledger
        assert again.exchange.closed_orders(1)[-1].created_by == "CreateByTakeOver_PassThrough"
        assert sum(each.change for each in ledger) == -10_000


def test_disconnect_window_survives(path):
    with Life(path) as life:
        life.exchange.accounts[1].institutional = True
        life.exchange.set_disconnect_window(1, DcpProduct.DERIVATIVES, 40)
    with Life(path) as again:
        assert again.exchange.disconnect_windows_s(1) == {DcpProduct.DERIVATIVES: 40}


def test_rejected_order_survives(path):
    with Life(path) as life:
        life.exchange.reject_next(1, "EC_Others")
        life.trade(BUY, "3", link_id="gone")
    with Life(path) as again:
        order = again.exchange.find_order(1, link_id="gone")
        assert (order.state, order.reject_reason) == (OrderState.REJECTED, "EC_Others")


def test_stake_of_version_1_is_one_way():
    state = StakeState(
        symbol=ABC.key,
        leverage=D(10),
        created_ms=0,
        updated_ms=0,
        lots=0,
        entry_value=D(0),
        open_fee=D(0),
        session_realised=D(0),
        cumulative_realised=D(0),
        opened_ms=0,
        sequence=-1,
    )
    former = msgspec.to_builtins(state)
    del former["position_idx"], former["balance"]
    assert msgspec.convert(former, StakeState) == state
