"""The parts of a profit add up to it, exactly and whatever the mids were."""

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import InvariantViolated
from trading_system.domain.orders import Fill, Side
from trading_system.risk.attribution import ProfitAttribution, ProfitSplit
from trading_system.risk.portfolio import Portfolio

START = Decimal(10_000)
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def fill(
    number: int,
    side: Side,
    quantity: str,
    price: str,
    *,
    fee: str = "0",
    is_maker: bool = True,
    symbol: str = "BTCUSDT",
) -> Fill:
    return Fill(
        exec_id=str(number),
        order_id="o",
        link_id="l",
        symbol=symbol,
        side=side,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(fee),
        is_maker=is_maker,
        ts_exchange_ns=0,
    )


def only(held: ProfitAttribution) -> ProfitSplit:
    (split,) = held.symbols()
    return split


def test_a_round_trip_as_maker_earns_the_spread_and_what_the_mid_did() -> None:
    held = ProfitAttribution()
    held.on_fill(fill(1, Side.BUY, "2", "99", fee="-0.1"), Decimal(100))
    held.on_fill(fill(2, Side.SELL, "2", "104", fee="0.3"), Decimal(103))
    split = only(held)
    assert (split.spread_capture, split.inventory, split.fees) == (4, 6, Decimal("0.2"))
    assert (split.gross, split.total) == (10, Decimal("9.8"))


def test_a_taker_pays_the_spread() -> None:
    held = ProfitAttribution()
    held.on_fill(fill(1, Side.SELL, "1", "99", fee="2", is_maker=False), Decimal(100))
    held.on_fill(fill(2, Side.BUY, "3", "98", fee="1"), Decimal(100))
    split = only(held)
    assert split.spread_capture == -1 + 6
    assert (split.taker_quantity, split.taker_value, split.taker_fees) == (1, 99, 2)
    assert (split.maker_quantity, split.maker_value, split.maker_fees) == (3, 294, 1)


def test_without_a_mid_nothing_is_captured_and_the_fill_is_counted() -> None:
    held = ProfitAttribution()
    held.on_fill(fill(1, Side.BUY, "1", "99"), None)
    held.mark("BTCUSDT", Decimal(101))
    split = only(held)
    assert (split.spread_capture, split.inventory, split.fills, split.unmeasured) == (0, 2, 1, 1)


def test_an_open_position_has_no_profit_of_inventory_before_its_first_mark() -> None:
    held = ProfitAttribution()
    held.on_fill(fill(1, Side.BUY, "1", "99"), Decimal(100))
    assert (only(held).spread_capture, only(held).inventory) == (1, 0)


def test_an_adopted_position_counts_from_its_first_mark() -> None:
    held = ProfitAttribution()
    held.adopt("BTCUSDT", Decimal(-2))
    held.mark("BTCUSDT", Decimal(100))
    assert only(held).total == 0
    held.mark("BTCUSDT", Decimal(90))
    assert only(held).inventory == 20
    with pytest.raises(InvariantViolated, match="adopt"):
        held.adopt("BTCUSDT", Decimal(1))


def test_the_total_is_the_sum_over_the_symbols() -> None:
    held = ProfitAttribution()
    assert held.total().total == 0
    for number, symbol in enumerate(SYMBOLS):
        held.on_fill(fill(number, Side.BUY, "1", "99", fee="1", symbol=symbol), Decimal(100))
        held.on_funding(symbol, Decimal("-0.5"))
    total = held.total()
    assert [split.symbol for split in held.symbols()] == list(SYMBOLS)
    assert (total.spread_capture, total.fees, total.funding, total.fills) == (2, 2, -1, 2)
    assert total.total == sum(split.total for split in held.symbols())


@given(st.integers(min_value=0, max_value=2**32))
def test_the_parts_are_the_portfolios_profit_to_the_last_decimal(seed: int) -> None:
    rng = random.Random(seed)
    portfolio, held = Portfolio(START), ProfitAttribution()
    bought = dict.fromkeys(SYMBOLS, Decimal(0))
    paid = dict.fromkeys(SYMBOLS, Decimal(0))
    for symbol in SYMBOLS:
        if rng.random() < 0.6:
            quantity = Decimal(rng.choice([-1, 1]) * rng.randrange(1, 90)) / 1_000
            portfolio.adopt(symbol, quantity, Decimal(rng.randrange(400, 600)))
            held.adopt(symbol, quantity)
    first: dict[str, Decimal] = {}
    adopted = {p.symbol: p.quantity for p in portfolio.positions}

    def mark(symbol: str) -> Decimal:
        price = Decimal(rng.randrange(40_000, 60_000)) / 100
        portfolio.mark(symbol, price)
        held.mark(symbol, price)
        first.setdefault(symbol, price)
        return price

    for number in range(50):
        symbol = rng.choice(SYMBOLS)
        action = rng.choice(["fill", "fill", "fill", "mark", "funding"])
        if action == "mark":
            mark(symbol)
        elif action == "funding":
            amount = Decimal(rng.randrange(-100, 100)) / 100
            portfolio.book_funding(symbol, amount, f"f-{number}")
            held.on_funding(symbol, amount)
        else:
            one = fill(
                number,
                rng.choice(list(Side)),
                str(Decimal(rng.randrange(1, 90)) / 1_000),
                str(Decimal(rng.randrange(40_000, 60_000)) / 100),
                fee=str(Decimal(rng.randrange(-50, 100)) / 1_000),
                is_maker=rng.random() < 0.5,
                symbol=symbol,
            )
            portfolio.book_fill(one)
            mid = one.price + Decimal(rng.randrange(-300, 300)) / 100
            held.on_fill(one, rng.choice([mid, None]))
            bought[symbol] += one.quantity * one.side.sign
            paid[symbol] += one.quantity * one.side.sign * one.price
    for symbol in SYMBOLS:
        price = mark(symbol)
        split = next(one for one in held.symbols() if one.symbol == symbol)
        own = bought[symbol] * price - paid[symbol]
        brought = adopted.get(symbol, Decimal(0)) * (price - first[symbol])
        assert split.gross == own + brought
        assert split.fees == portfolio.position(symbol).fees
        assert split.total == split.gross - split.fees + split.funding
    assert held.total().total == portfolio.pnl
