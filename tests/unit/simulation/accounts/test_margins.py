"""Hand-worked liquidation and bankruptcy prices, maintenance rate 0.5 %, taker fee 0.055 %."""

from decimal import Decimal

import pytest

from trading_system.domain.instruments import Category, Instrument
from trading_system.domain.orders import Side
from trading_system.simulation.accounts.account import Account
from trading_system.simulation.accounts.margins import (
    Health,
    bankruptcy_price,
    bankruptcy_ticks,
    health,
    liquidation_price,
)
from trading_system.simulation.accounts.settings import can_hedge
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import AccountSpec, PositionMode

D = Decimal


def contract(symbol="ABCUSDT", *, rate="0.005", category=Category.LINEAR):
    listed = Instrument(
        symbol=symbol,
        base_coin=symbol[:3],
        quote_coin="USDT",
        tick_size=D("0.01"),
        qty_step=D("0.1"),
        min_price=D("0.01"),
        max_price=D(1000),
        min_qty=D("0.1"),
        max_qty=D(5000),
        max_market_qty=D(1000),
        category=category,
    )
    made = Contract(listed, D(rate))
    made.mark = made.index = D(10)
    return made


@pytest.fixture
def account():
    return Account(AccountSpec(account_id=1, uid=1, api_key="k", api_secret="s", balance=D(30)))


def hold(account, listed, lots, position_idx=0):
    stake = account.stake(listed, position_idx)
    stake.position.apply(lots, lot_value=D(1), fee_rate=D(0), now_ms=1)
    return stake


@pytest.mark.parametrize(
    ("lots", "liquidation", "bankruptcy"),
    [
        # 30 + 20 (p - 10) = 0.111 p; (10 - 1.5) / 0.99945
        (200, "8.54", "8.51"),
        # 30 - 20 (p - 10) = 0.111 p; (10 + 1.5) / 1.00055
        (-200, "11.44", "11.49"),
    ],
)
def test_one_position(account, lots, liquidation, bankruptcy):
    listed = contract()
    stake = hold(account, listed, lots)
    assert liquidation_price(account, listed) == D(liquidation)
    assert bankruptcy_price(account, stake) == D(bankruptcy)
    assert bankruptcy_ticks(account, stake) * D("0.01") == D(bankruptcy)


def test_other_contracts_stand_still(account):
    listed, other = contract(), contract("XYZUSDT")
    hold(account, listed, 200)
    hold(account, other, 1000)
    # 30 - 5.55 + 20 (p - 10) = 0.111 p for the first, equity and rest standing still.
    assert liquidation_price(account, listed) == D("8.82")
    assert health(account) == Health(D(30), D("6.66"))


def test_both_sides_of_a_contract_move_together(account):
    listed = contract()
    hold(account, listed, 200, 1)
    hold(account, listed, -50, 2)
    # 30 + 15 (p - 10) = 25 p 0.00555
    assert liquidation_price(account, listed) == D("8.07")


def test_flat_contract_has_no_such_prices(account):
    listed = contract()
    assert liquidation_price(account, listed) is None
    assert bankruptcy_price(account, account.stake(listed)) is None
    assert not health(account).is_exhausted


def test_position_whose_loss_and_margin_shrink_alike_never_falls(account):
    listed = contract(rate="0.99945")
    hold(account, listed, 200)
    assert liquidation_price(account, listed) is None


def test_bankruptcy_beyond_the_range_is_kept_inside_it(account):
    listed = contract()
    stake = hold(account, listed, -200)
    account.credit(funding=D(-5000))
    assert bankruptcy_price(account, stake) is None
    assert bankruptcy_ticks(account, stake) == 1


def test_spot_is_neither_hedged_nor_switched_by_coin(account):
    pair = contract(category=Category.SPOT)
    account.modes.by_coin["USDT"] = PositionMode.HEDGE
    assert account.modes.indices(pair) == (0,)
    assert account.modes.indices(contract()) == (1, 2)
    assert not can_hedge(pair)


def test_closing_sides_are_those_against_a_hedged_position(account):
    listed = contract()
    closing = [
        (index, side)
        for index in (0, 1, 2)
        for side in Side
        if account.stake(listed, index).closes(side)
    ]
    assert closing == [(1, Side.SELL), (2, Side.BUY)]
