"""Spot pairs of the synthetic market follow their perpetual and never disturb it."""

from decimal import Decimal

import pytest

from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.records import OrderRequest
from trading_system.simulation.venue import build_synthetic_venue, default_accounts

START_MS = 1_700_000_000_000
SYMBOL, PAIR = "BTCUSDT", "BTCUSDT.SPOT"
RUN_MS = 20_000


def built(*, has_spot, symbols=(SYMBOL,)):
    venue = build_synthetic_venue(
        symbols=symbols,
        accounts=default_accounts(seed=3),
        seed=3,
        edge_bps=25.0,
        activity=1.0,
        has_spot=has_spot,
    )
    venue.prepare(START_MS)
    return venue


@pytest.fixture(scope="module")
def played():
    venue = built(has_spot=True)
    venue.advance(START_MS + RUN_MS)
    return venue


def test_the_perpetual_is_the_same_with_and_without_spot(played):
    alone = built(has_spot=False)
    alone.advance(START_MS + RUN_MS)
    for answer in ("public_trades", "mark_price", "index_price"):
        assert getattr(played.exchange, answer)(SYMBOL) == getattr(alone.exchange, answer)(SYMBOL)
    books = [venue.exchange.book(SYMBOL) for venue in (played, alone)]
    for side in Side:
        assert books[0].top(side, 500) == books[1].top(side, 500)
    assert played.statistics.funding(SYMBOL) == alone.statistics.funding(SYMBOL)


def test_the_pair_stays_close_to_its_perpetual_and_trades_less(played):
    mids = {}
    for key in (SYMBOL, PAIR):
        book, tick = played.exchange.book(key), played.exchange.instruments[key].tick_size
        assert book.best_bid() < book.best_ask()
        mids[key] = tick * (book.best_bid() + book.best_ask()) / 2
    assert abs(mids[PAIR] / mids[SYMBOL] - 1) < 10e-4
    trades = {key: len(played.exchange.public_trades(key)) for key in mids}
    assert 0 < trades[PAIR] < trades[SYMBOL] / 2


def test_the_pair_has_two_hours_of_candles(played):
    candles = played.statistics.klines(PAIR, "1", start_ms=None, end_ms=None, limit=200)
    assert len(candles) >= 120
    assert all(candle.low <= candle.open <= candle.high for candle in candles)


def test_the_same_seed_gives_the_same_pair():
    first, second = (built(has_spot=True) for _ in range(2))
    for venue in (first, second):
        venue.advance(START_MS + 3_000)
    assert first.exchange.public_trades(PAIR) == second.exchange.public_trades(PAIR)


def test_what_accounts_buy_moves_the_pair_and_not_the_perpetual():
    played, quiet = (built(has_spot=True) for _ in range(2))
    request = OrderRequest(
        symbol=PAIR, side=Side.BUY, order_type=OrderType.MARKET, quantity=Decimal(90_000)
    )
    played.exchange.place(1, request, now_ms=START_MS)
    for venue in (played, quiet):
        venue.advance(START_MS + 5_000)
    assert played.exchange.public_trades(SYMBOL) == quiet.exchange.public_trades(SYMBOL)
    assert played.exchange.public_trades(PAIR) != quiet.exchange.public_trades(PAIR)


def test_only_perpetuals_have_funding_and_pairs_without_a_table_entry_are_left_out():
    venue = built(has_spot=True, symbols=("SOLUSDT", "ETHUSDT"))
    assert list(venue.exchange.instruments) == ["SOLUSDT", "ETHUSDT", "ETHUSDT.SPOT"]
    assert venue.market.description()["spot"] == ["ETHUSDT"]
    assert venue.statistics.funding("ETHUSDT.SPOT") == (0, 0)
    assert not venue.market.is_finished
