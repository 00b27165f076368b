import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import Fill, Side
from trading_system.risk.portfolio import Portfolio

START = Decimal(100_000)


def fill(
    exec_id: str, side: Side, quantity: str, price: str, *, fee: str = "0", symbol: str = "BTCUSDT"
) -> Fill:
    return Fill(
        exec_id=exec_id,
        order_id="o",
        link_id="l",
        symbol=symbol,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        is_maker=False,
        ts_exchange_ns=0,
    )


def test_worked_example_of_a_round_trip_ends_with_the_documented_cash() -> None:
    portfolio = Portfolio(Decimal(10_000))
    portfolio.book_fill(fill("1", Side.BUY, "2", "10.02", fee="0.011022"))
    portfolio.book_fill(fill("2", Side.BUY, "1", "10.03", fee="0.0055165"))
    assert portfolio.position("BTCUSDT").entry_price == Decimal("30.07") / 3
    portfolio.book_fill(fill("3", Side.SELL, "3", "10.00", fee="0.0165"))
    assert portfolio.cash == Decimal("9999.8969615")
    assert portfolio.position("BTCUSDT").quantity == 0
    assert portfolio.position("BTCUSDT").entry_price is None


def test_a_fill_is_booked_once() -> None:
    portfolio = Portfolio(START)
    first = fill("1", Side.BUY, "1", "100")
    assert portfolio.book_fill(first) == 0
    assert portfolio.book_fill(first) is None
    assert portfolio.position("BTCUSDT").quantity == 1
    assert portfolio.duplicate_fills == 1


def test_a_fill_through_zero_closes_and_opens() -> None:
    portfolio = Portfolio(START)
    portfolio.book_fill(fill("1", Side.BUY, "1", "100"))
    assert portfolio.book_fill(fill("2", Side.SELL, "3", "110")) == 10
    position = portfolio.position("BTCUSDT")
    assert (position.quantity, position.entry_price) == (-2, 110)
    assert (position.trades_closed, position.trades_won) == (1, 1)


def test_a_trade_is_won_only_after_its_fees() -> None:
    portfolio = Portfolio(START)
    portfolio.book_fill(fill("1", Side.SELL, "1", "100", fee="1"))
    portfolio.book_fill(fill("2", Side.BUY, "1", "99", fee="1"))
    position = portfolio.position("BTCUSDT")
    assert position.realised == 1
    assert (position.trades_closed, position.trades_won) == (1, 0)


def test_partial_reductions_belong_to_one_trade() -> None:
    portfolio = Portfolio(START)
    portfolio.book_fill(fill("1", Side.BUY, "2", "100"))
    portfolio.book_fill(fill("2", Side.SELL, "1", "90"))
    assert portfolio.position("BTCUSDT").trades_closed == 0
    portfolio.book_fill(fill("3", Side.SELL, "1", "120"))
    position = portfolio.position("BTCUSDT")
    assert (position.trades_closed, position.trades_won) == (1, 1)


@pytest.mark.parametrize(("quantity", "price"), [("0", "1"), ("1", "0"), ("-1", "1"), ("1", "-1")])
def test_an_impossible_fill_is_refused_and_not_booked(quantity: str, price: str) -> None:
    portfolio = Portfolio(START)
    with pytest.raises(InvariantViolated):
        portfolio.book_fill(fill("1", Side.BUY, quantity, price))
    assert portfolio.position("BTCUSDT").quantity == 0


def test_a_position_is_adopted_only_before_the_first_fill() -> None:
    portfolio = Portfolio(START)
    portfolio.adopt("BTCUSDT", Decimal(-2), Decimal(50))
    assert portfolio.position("BTCUSDT").unrealised(Decimal(49)) == 2
    with pytest.raises(InvariantViolated, match="adopt"):
        portfolio.adopt("BTCUSDT", Decimal(1), Decimal(50))


def test_equity_and_exposure_follow_the_marks() -> None:
    portfolio = Portfolio(START)
    portfolio.book_fill(fill("1", Side.BUY, "1", "100", fee="2"))
    assert portfolio.gross_notional() == 100
    portfolio.mark("BTCUSDT", Decimal(150))
    assert portfolio.gross_notional() == 150
    assert portfolio.unrealised == 50
    assert portfolio.pnl == 48
    portfolio.mark("BTCUSDT", Decimal(120))
    assert portfolio.peak_equity == START + 48


@given(st.integers(min_value=0, max_value=2**32))
def test_no_money_appears_or_vanishes(seed: int) -> None:
    rng = random.Random(seed)
    portfolio = Portfolio(START)
    spent, fees = Decimal(0), Decimal(0)
    for number in range(60):
        side = rng.choice((Side.BUY, Side.SELL))
        quantity = Decimal(rng.randrange(1, 50)) / 1000
        price = Decimal(rng.randrange(600_000, 700_000)) / 10
        fee = quantity * price * Decimal("0.00055")
        portfolio.book_fill(fill(str(number), side, str(quantity), str(price), fee=str(fee)))
        spent += quantity * price * side.sign
        fees += fee
    position = portfolio.position("BTCUSDT")
    held_cost = position.entry_value if position.quantity > 0 else -position.entry_value
    assert portfolio.cash == START - spent - fees + held_cost


def test_an_adopted_position_brings_no_profit_to_this_run() -> None:
    portfolio = Portfolio(START)
    portfolio.adopt("BTCUSDT", Decimal(2), Decimal(100))
    portfolio.mark("BTCUSDT", Decimal(150))
    assert (portfolio.equity, portfolio.pnl) == (START + 100, 0)
    portfolio.mark("BTCUSDT", Decimal(160))
    assert portfolio.pnl == 20
    portfolio.book_fill(fill("1", Side.SELL, "2", "140"))
    assert (portfolio.cash, portfolio.pnl) == (START + 80, -20)


def test_a_flat_position_has_no_open_profit() -> None:
    assert Portfolio(START).position("BTCUSDT").unrealised(Decimal(100)) == 0


def test_the_memory_of_executions_is_bounded() -> None:
    portfolio = Portfolio(START)
    for number in range(100_001):
        portfolio.book_fill(fill(str(number), Side.BUY, "1", "1"))
    assert portfolio.book_fill(fill("100000", Side.BUY, "1", "1")) is None
    assert portfolio.fills == 100_001


def test_funding_goes_into_cash_once() -> None:
    portfolio = Portfolio(START)
    assert portfolio.book_funding("BTCUSDT", Decimal("-1.5"), "f-1")
    assert not portfolio.book_funding("BTCUSDT", Decimal("-1.5"), "f-1")
    assert portfolio.book_funding("BTCUSDT", Decimal("0.5"), "f-2")
    assert (portfolio.cash, portfolio.funding) == (START - 1, -1)


def test_impossible_funding_is_refused() -> None:
    with pytest.raises(InvariantViolated, match="impossible amount"):
        Portfolio(START).book_funding("BTCUSDT", Decimal("NaN"), "f-1")


def test_what_is_remembered_is_never_booked() -> None:
    portfolio = Portfolio(START)
    first = fill("1", Side.BUY, "1", "100")
    assert portfolio.remember(first)
    assert portfolio.book_fill(first) is None
    assert portfolio.position("BTCUSDT").quantity == 0


def test_an_execution_that_comes_back_changed_is_counted_and_the_first_stands() -> None:
    portfolio = Portfolio(START)
    portfolio.book_fill(fill("1", Side.BUY, "1", "100"))
    assert portfolio.book_fill(fill("1", Side.BUY, "2", "100")) is None
    assert portfolio.position("BTCUSDT").quantity == 1
    assert (portfolio.duplicate_fills, portfolio.conflicting_fills) == (1, 1)


def test_drawdown_is_the_fall_from_the_peak() -> None:
    portfolio = Portfolio(START)
    portfolio.book_fill(fill("1", Side.BUY, "100", "100"))
    portfolio.mark("BTCUSDT", Decimal(350))
    portfolio.mark("BTCUSDT", Decimal(225))
    assert portfolio.drawdown_pct == 10
    assert Portfolio(Decimal(0)).drawdown_pct == 0


def test_a_loss_that_was_brought_in_is_no_drawdown() -> None:
    portfolio = Portfolio(START)
    portfolio.adopt("BTCUSDT", Decimal(100), Decimal(100))
    assert portfolio.unvalued == {"BTCUSDT"}
    portfolio.mark("BTCUSDT", Decimal(50))
    assert not portfolio.unvalued
    assert portfolio.drawdown_pct == 0
