from decimal import Decimal

import pytest

from trading_system.domain.instruments import Category, Instrument
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.price_limits import MeanPremium, linear_limits, spot_limits
from trading_system.simulation.records import AccountSpec, OrderRequest

D = Decimal
X = "ABCUSDT"


@pytest.mark.parametrize(
    ("mark", "index", "premium", "highest", "lowest"),
    [
        (100, 100, 0, 105, 95),
        (100, 100, 3, 108, 95),
        (100, 100, -3, 105, 92),
        (100, 100, 9, 110, 95),
        (100, 100, -9, 105, 90),
        (100, 107, 0, 107, 95),
        (100, 93, 0, 105, 93),
        (100, 200, 0, 110, 95),
        (100, 50, 0, 105, 90),
    ],
)
def test_linear_limits_follow_the_formula(mark, index, premium, highest, lowest):
    limits = linear_limits(mark=D(mark), index=D(index), premium=D(premium))
    assert limits == (D(highest), D(lowest))


@pytest.mark.parametrize(
    ("premium", "highest", "lowest"),
    [(0, 105, 95), (3, 108, 98), (-3, 102, 92), (9, 110, 100), (-9, 100, 90)],
)
def test_spot_limits_follow_the_formula(premium, highest, lowest):
    assert spot_limits(index=D(100), premium=D(premium)) == (D(highest), D(lowest))


def test_premium_counts_one_sample_a_second_over_its_window():
    premium = MeanPremium(3)
    assert premium.mean == 0
    for now_ms, value in ((1_000, 6), (1_500, 600), (2_000, 3)):
        premium.add(D(value), now_ms=now_ms)
    assert premium.mean == D("4.5")
    for now_ms in (3_000, 4_000):
        premium.add(D(0), now_ms=now_ms)
    assert premium.mean == 1
    premium.add(D(8), now_ms=60_000)
    assert premium.mean == 8


def build(category=Category.LINEAR):
    listed = Instrument(
        symbol=X,
        base_coin="ABC",
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
    spec = AccountSpec(account_id=1, uid=1, api_key="k", api_secret="s")
    exchange = Exchange([listed], [spec], seed=1)
    exchange.house_limit(listed.key, Side.BUY, 1029, 100, now_ms=1)
    exchange.house_limit(listed.key, Side.SELL, 1031, 100, now_ms=1)
    return exchange


def test_premium_of_the_book_widens_the_limits():
    exchange = build()
    exchange.set_reference(X, index_price=D(10), mark_price=D(10))
    assert exchange.price_limits(X) == (1050, 950)
    exchange.set_reference(X, index_price=D(10), mark_price=D(10), now_ms=1_000)
    assert exchange.price_limits(X) == (1080, 950)


def test_spot_premium_is_over_the_index():
    exchange = build(Category.SPOT)
    key = f"{X}.SPOT"
    exchange.set_reference(key, index_price=D(10), mark_price=D(9), now_ms=1_000)
    assert exchange.price_limits(key) == (1080, 980)


def test_empty_book_gives_no_sample():
    exchange = build()
    exchange.house_market(X, Side.BUY, 100, now_ms=2)
    exchange.set_reference(X, index_price=D(10), mark_price=D(10), now_ms=1_000)
    assert exchange.price_limits(X) == (1050, 950)


def test_linear_order_beyond_the_limit_is_repriced():
    exchange = build()
    exchange.set_reference(X, index_price=D(10), mark_price=D(10))
    request = OrderRequest(
        symbol=X, side=Side.SELL, order_type=OrderType.LIMIT, quantity=D(1), price=D(5)
    )
    assert exchange.place(1, request, now_ms=10).price_ticks == 950
