from decimal import Decimal

import pytest

from trading_system.simulation.accounts.positions import Position

D = Decimal
FREE = D(0)


def applied(position, *fills, rate=FREE):
    return [
        position.apply(lots, lot_value=D(price), fee_rate=rate, now_ms=5) for lots, price in fills
    ]


def test_opening_and_adding_realises_nothing():
    position = Position()
    changes = applied(position, (3, 10), (1, 14))
    assert (position.lots, position.entry_value, position.opened_ms) == (4, 44, 5)
    assert [change.realised for change in changes] == [0, 0]


@pytest.mark.parametrize(("sign", "profit"), [(1, 4), (-1, -4)])
def test_reduction_realises_against_the_entry(sign, profit):
    position = Position()
    _, change = applied(position, (4 * sign, 10), (-2 * sign, 12))
    assert (change.closed_lots, change.entry_value, change.exit_value) == (2, 20, 24)
    assert change.realised == profit
    assert (position.lots, position.entry_value) == (2 * sign, 20)


def test_uneven_reductions_lose_nothing():
    position = Position()
    changes = applied(position, (2, 10), (1, D("10.01")), (-1, 11), (-1, 11), (-1, 11))
    assert changes[2].entry_value == D("10.00333333")
    assert sum(change.entry_value for change in changes) == D("30.01")
    assert sum(change.realised for change in changes) == D("2.99")
    assert (position.lots, position.entry_value, position.opened_ms) == (0, 0, 0)


def test_flip_closes_everything_and_opens_the_rest():
    position = Position()
    _, change = applied(position, (2, 10), (-5, 11), rate=D("0.01"))
    assert (position.lots, position.entry_value) == (-3, 33)
    assert (change.closed_lots, change.realised) == (2, 2)
    assert (change.open_fee, change.close_fee, change.fee) == (D("0.2"), D("0.22"), D("0.55"))
    assert change.net == D("1.58")
    assert position.open_fee == D("0.33")
    assert position.session_realised == D("-0.33")
    assert position.cumulative_realised == D("1.25")


def test_a_new_session_begins_when_a_flat_position_is_opened():
    position = Position()
    applied(position, (2, 10), (-2, 12))
    assert position.session_realised == 4
    applied(position, (1, 10))
    assert (position.session_realised, position.cumulative_realised) == (0, 4)


def test_funding_counts_as_realised():
    position = Position()
    applied(position, (2, 10))
    position.add_funding(D("-0.5"))
    assert position.session_realised == position.cumulative_realised == D("-0.5")
