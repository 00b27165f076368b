"""Hedge mode: long and short are booked apart, limited each, and decided about as one."""

from decimal import Decimal

import pytest

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import Fill, Side, position_index
from trading_system.risk.portfolio import Portfolio

S = "BTCUSDT"


def fill(number: int, side: Side, quantity: str, price: int, **changes: object) -> Fill:
    plain: dict[str, object] = {
        "exec_id": str(number),
        "order_id": "o",
        "link_id": "l",
        "symbol": S,
        "side": side,
        "price": Decimal(price),
        "quantity": Decimal(quantity),
        "fee": Decimal(1),
        "is_maker": False,
        "ts_exchange_ns": 0,
    }
    return Fill(**plain | changes)  # type: ignore[arg-type]  # test data


@pytest.fixture
def portfolio() -> Portfolio:
    return Portfolio(Decimal(1_000), hedged=[S])


def both_sides(portfolio: Portfolio) -> None:
    portfolio.book_fill(fill(1, Side.BUY, "3", 100), is_closing=False)
    portfolio.book_fill(fill(2, Side.SELL, "1", 110), is_closing=False)


def quantities(portfolio: Portfolio) -> list[Decimal]:
    return [stake.quantity for stake in portfolio.stakes_of(S)]


def test_both_sides_are_held_at_the_same_time(portfolio: Portfolio) -> None:
    both_sides(portfolio)
    assert quantities(portfolio) == [3, -1]
    assert portfolio.position(S).quantity == 2
    assert portfolio.realised == 0


def test_gross_counts_both_sides_and_equity_both_profits(portfolio: Portfolio) -> None:
    both_sides(portfolio)
    portfolio.mark(S, Decimal(120))
    assert portfolio.gross_notional() == 480
    assert portfolio.unrealised == 60 - 10
    assert portfolio.equity == 1_000 - 2 + 50
    net = portfolio.position(S)
    assert net.unrealised(Decimal(120)) == 50
    assert (net.fees, [p.symbol for p in portfolio.positions]) == (2, [S])


def test_equal_sides_are_flat_together_and_not_apart(portfolio: Portfolio) -> None:
    portfolio.book_fill(fill(1, Side.BUY, "1", 100), is_closing=False)
    portfolio.book_fill(fill(2, Side.SELL, "1", 110), is_closing=False)
    net = portfolio.position(S)
    assert (net.quantity, net.entry_price) == (0, None)
    assert quantities(portfolio) == [1, -1]


def test_an_exit_shrinks_its_own_side_only(portfolio: Portfolio) -> None:
    both_sides(portfolio)
    assert portfolio.book_fill(fill(3, Side.SELL, "2", 130), is_closing=True) == 60
    assert portfolio.book_fill(fill(4, Side.BUY, "1", 100), is_closing=True) == 10
    assert quantities(portfolio) == [1, 0]


def test_the_venue_tells_the_side_of_a_foreign_fill(portfolio: Portfolio) -> None:
    both_sides(portfolio)
    portfolio.book_fill(fill(3, Side.SELL, "1", 130, is_closing=True))
    portfolio.book_fill(fill(4, Side.SELL, "1", 130, is_closing=False))
    assert quantities(portfolio) == [2, -2]


def test_without_a_word_a_foreign_fill_closes_what_it_can(portfolio: Portfolio) -> None:
    both_sides(portfolio)
    portfolio.book_fill(fill(3, Side.SELL, "3", 130))
    portfolio.book_fill(fill(4, Side.SELL, "2", 130))
    assert quantities(portfolio) == [0, -3]


def test_positions_of_both_sides_are_adopted_and_brought_along(portfolio: Portfolio) -> None:
    portfolio.adopt(S, Decimal(2), Decimal(100), position_idx=1)
    portfolio.adopt(S, Decimal(-1), Decimal(120), position_idx=2)
    assert portfolio.unvalued == {S}
    portfolio.mark(S, Decimal(110))
    assert not portfolio.unvalued
    assert portfolio.pnl == 0
    portfolio.mark(S, Decimal(111))
    assert portfolio.pnl == 1


@pytest.mark.parametrize(("hedged", "index"), [([S], 0), ([], 1)])
def test_an_index_of_the_other_mode_is_refused(hedged: list[str], index: int) -> None:
    with pytest.raises(InvariantViolated, match="no position with index"):
        Portfolio(Decimal(1), hedged=hedged).adopt(S, Decimal(1), Decimal(1), position_idx=index)


def test_funding_of_a_hedged_symbol_reaches_the_cash_once(portfolio: Portfolio) -> None:
    assert portfolio.book_funding(S, Decimal(5), "f-1")
    assert not portfolio.book_funding(S, Decimal(5), "f-1")
    assert portfolio.cash == 1_005


def test_side_and_purpose_name_the_stake() -> None:
    found = {
        (side, reduce_only): position_index(side, reduce_only=reduce_only, is_hedged=True)
        for side in Side
        for reduce_only in (False, True)
    }
    assert found == {
        (Side.BUY, False): 1,
        (Side.SELL, True): 1,
        (Side.SELL, False): 2,
        (Side.BUY, True): 2,
    }
    assert position_index(Side.BUY, reduce_only=True, is_hedged=False) == 0
