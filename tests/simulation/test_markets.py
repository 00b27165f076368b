"""The two markets on the real exchange, in virtual time."""

import gzip
import json
import math
import os
import statistics
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from trading_system.domain.orders import OrderType, Side, TimeInForce
from trading_system.simulation.records import (
    ExecutionRecord,
    OrderRecord,
    OrderRequest,
    PublicTrade,
)
from trading_system.simulation.venue import (
    SimulatedVenue,
    build_replay_venue,
    build_synthetic_venue,
    default_accounts,
)

# Heavy work on code that its unit tests cover: measuring it here would only double the time.
pytestmark = pytest.mark.no_cover

START = 1_700_000_000_000
BTC = "BTCUSDT"
SYMBOLS = (BTC, "ETHUSDT")
PERCENTILE_90 = 1.2815515655446004

Levels = list[list[str]]


def synthetic(
    *,
    seed: int = 1,
    edge_bps: float = 25.0,
    symbols: tuple[str, ...] = (BTC,),
    activity: float = 1.0,
) -> SimulatedVenue:
    venue = build_synthetic_venue(
        symbols=symbols,
        accounts=default_accounts(seed=seed),
        seed=seed,
        edge_bps=edge_bps,
        activity=activity,
    )
    venue.prepare(START)
    return venue


def order(side: Side, quantity: str, price: str | None = None, symbol: str = BTC) -> OrderRequest:
    return OrderRequest(
        symbol=symbol,
        side=side,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
        time_in_force=TimeInForce.GTC if price is None else TimeInForce.POST_ONLY,
    )


def mid(venue: SimulatedVenue, symbol: str = BTC) -> float:
    book = venue.exchange.book(symbol)
    bid, ask = book.best_bid(), book.best_ask()
    assert bid is not None
    assert ask is not None
    assert bid < ask
    return (bid + ask) / 2


def imbalance(venue: SimulatedVenue, symbol: str = BTC) -> float:
    book = venue.exchange.book(symbol)
    bids = sum(lots for _, lots in book.top(Side.BUY, 10))
    asks = sum(lots for _, lots in book.top(Side.SELL, 10))
    return (bids - asks) / (bids + asks)


def fingerprint(venue: SimulatedVenue) -> list[object]:
    exchange = venue.exchange
    return [
        (
            exchange.book(symbol).sequence,
            exchange.book(symbol).top(Side.BUY, 1_000),
            exchange.book(symbol).top(Side.SELL, 1_000),
            list(exchange.public_trades(symbol)),
            venue.statistics.ticker(symbol),
            venue.statistics.klines(symbol, "1", start_ms=None, end_ms=None, limit=200),
        )
        for symbol in exchange.instruments
    ]


def traded_run(steps_ms: tuple[int, ...], *, seed: int = 3) -> list[object]:
    venue = synthetic(seed=seed, symbols=SYMBOLS)
    orders = {
        2_000: order(Side.BUY, "1.5"),
        5_010: order(Side.SELL, "0.7"),
        7_777: order(Side.BUY, "0.4", "64000.0"),
    }
    now_ms = turn = 0
    while now_ms < 12_000:
        target = now_ms + steps_ms[turn % len(steps_ms)]
        turn += 1
        for due_ms in sorted(due for due in orders if now_ms < due <= target):
            venue.advance(START + due_ms)
            venue.exchange.place(1, orders[due_ms], now_ms=START + due_ms)
        now_ms = target
        venue.advance(START + now_ms)
    return fingerprint(venue)


def test_the_same_seed_and_orders_give_the_same_market_whatever_the_call_pattern() -> None:
    assert traded_run((7, 3)) == traded_run((12_000,)) == traded_run((1_000,))


def test_another_seed_gives_another_market() -> None:
    assert traded_run((1_000,), seed=3) != traded_run((1_000,), seed=4)


def sampled(edge_bps: float, *, seed: int, seconds: int) -> tuple[list[float], list[float]]:
    """Return the log mid (bps) and the public book imbalance, twice a second."""
    venue = synthetic(seed=seed, edge_bps=edge_bps)
    mids, footprints = [], []
    for half in range(1, 2 * seconds + 1):
        venue.advance(START + 500 * half)
        mids.append(1e4 * math.log(mid(venue)))
        footprints.append(imbalance(venue))
    return mids, footprints


def test_a_flipped_edge_mirrors_price_and_footprints() -> None:
    mids, footprints = sampled(25.0, seed=5, seconds=120)
    mirrored, mirrored_footprints = sampled(-25.0, seed=5, seconds=120)
    moves = [after - before for before, after in zip(mids, mids[2:], strict=False)]
    opposite = [after - before for before, after in zip(mirrored, mirrored[2:], strict=False)]
    assert statistics.correlation(moves, opposite) < -0.97
    assert statistics.correlation(footprints, mirrored_footprints) < -0.95


def pooled(edge_bps: float, *, seeds: int, seconds: int) -> tuple[list[float], list[float]]:
    """Return footprints and the mid moves of the 10 s after them, over several seeds."""
    seen: list[float] = []
    moves: list[float] = []
    for seed in range(10, 10 + seeds):
        mids, footprints = sampled(edge_bps, seed=seed, seconds=seconds)
        moves += [after - before for before, after in zip(mids, mids[20:], strict=False)]
        seen += footprints[:-20]
    return seen, moves


def test_the_edge_is_the_mean_move_at_the_90th_percentile_of_the_signal() -> None:
    # The footprint is the signal plus noise: with correlation r to the signal, the mean move per
    # deviation of the footprint is r times that of the signal. Measured r is about 0.92.
    footprints, moves = pooled(25.0, seeds=4, seconds=600)
    deviation = statistics.pstdev(footprints)
    slope = statistics.linear_regression(footprints, moves).slope
    move_at_90th = slope * deviation * PERCENTILE_90
    assert move_at_90th == pytest.approx(0.92 * 25.0, rel=0.15)


def test_without_edge_the_footprints_tell_nothing() -> None:
    footprints, moves = pooled(0.0, seeds=4, seconds=600)
    assert statistics.pstdev(footprints) > 0.2
    # 2,400 s hold about 160 independent pairs: the noise of the correlation is about 0.08.
    assert abs(statistics.correlation(footprints, moves)) < 0.16
    assert 3.0 < statistics.pstdev(moves) < 9.0


def test_the_book_is_dense_tight_and_realistic_at_all_times() -> None:
    venue = synthetic(seed=2, symbols=(*SYMBOLS, "SOLUSDT"))
    spreads: list[float] = []
    notionals: list[float] = []
    for step in range(1, 600):
        venue.advance(START + 100 * step)
        for symbol in SYMBOLS:
            book, centre = venue.exchange.book(symbol), mid(venue, symbol)
            instrument = venue.exchange.instruments[symbol]
            bids, asks = book.top(Side.BUY, 50), book.top(Side.SELL, 50)
            assert min(book.depth_levels(Side.BUY), book.depth_levels(Side.SELL)) >= 200
            assert max(centre - bids[-1][0], asks[-1][0] - centre) / centre < 15e-4
            spreads.append((asks[0][0] - bids[0][0]) / centre * 1e4)
            unit = float(instrument.tick_size * instrument.qty_step)
            notionals.append(sum(price * lots for price, lots in bids[:10]) * unit)
        assert venue.exchange.book("SOLUSDT").depth_levels(Side.BUY) >= 200
    assert statistics.median(spreads) < 0.1
    assert max(spreads) < 2.5
    assert 2e5 < statistics.median(notionals) < 2e6


def test_an_own_order_moves_the_price_and_the_book_refills() -> None:
    venue, twin = synthetic(seed=6), synthetic(seed=6)
    for each in (venue, twin):
        each.advance(START + 5_000)
    placed = venue.exchange.place(1, order(Side.BUY, "14"), now_ms=START + 5_000)
    assert placed.cum_lots == 14_000
    assert float(placed.cum_value) / 14 * 10 > mid(twin) + 5  # ticks
    assert mid(venue) > mid(twin) + 3
    for each in (venue, twin):
        each.advance(START + 5_300)
    asks = [sum(lots for _, lots in v.exchange.book(BTC).top(Side.SELL, 20)) for v in (venue, twin)]
    assert asks[0] > 0.6 * asks[1]
    for each in (venue, twin):
        each.advance(START + 20_000)
    # What stays is the permanent part: 1.5 bps per million at 0.9 million.
    assert 0.3 < (mid(venue) / mid(twin) - 1) * 1e4 < 3.0


class FrameCounter:
    """Counts the frames a subscriber of the default streams would get."""

    def __init__(self, venue: SimulatedVenue) -> None:
        self.venue = venue
        self.frames = 0
        self.shown: dict[tuple[str, int], object] = {}
        venue.add_listener(self)

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        self.frames += 1

    def on_order(self, order: OrderRecord) -> None: ...
    def on_executions(self, executions: list[ExecutionRecord]) -> None: ...
    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None: ...
    def on_wallet(self, account_id: int) -> None: ...

    def push(self, now_ms: int) -> None:
        for symbol in SYMBOLS:
            for depth, every_ms in ((1, 10), (50, 20)):
                book = self.venue.exchange.book(symbol)
                shown = (book.top(Side.BUY, depth), book.top(Side.SELL, depth))
                if now_ms % every_ms == 0 and shown != self.shown.get((symbol, depth)):
                    self.shown[symbol, depth] = shown
                    self.frames += 1
            self.frames += (now_ms % 100 == 0) + (now_ms % 1_000 == 0)


def test_default_streams_stay_below_300_frames_per_second() -> None:
    venue = synthetic(seed=1, symbols=SYMBOLS)
    counter = FrameCounter(venue)
    for step in range(1, 3_001):
        venue.advance(START + 10 * step)
        counter.push(START + 10 * step)
    assert 40 < counter.frames / 30 < 200


def test_two_hours_of_history_end_at_the_start_price() -> None:
    venue = synthetic(seed=1, symbols=SYMBOLS)
    candles = venue.statistics.klines(BTC, "1", start_ms=None, end_ms=None, limit=1_000)
    assert len(candles) >= 120
    assert all(candle.volume > 0 for candle in candles[:-1])
    assert float(candles[-1].close) == pytest.approx(65_000, rel=1e-3)
    assert mid(venue) / 10 == pytest.approx(65_000, rel=1e-4)
    assert venue.statistics.ticker(BTC).open_interest > 0
    assert len(venue.statistics.open_interest_history(BTC, "5min", 50)) >= 24


def test_activity_scales_the_flow() -> None:
    counts = []
    for activity in (0.3, 3.0):
        venue = synthetic(seed=1, activity=activity)
        venue.advance(START + 60_000)
        counts.append(len(venue.exchange.public_trades(BTC)))
    assert counts[1] > 4 * counts[0]


def test_the_hidden_signal_is_in_no_description() -> None:
    told = synthetic().market.description()
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {
        "market", "symbols", "seed", "edge_bps", "edge_horizon_s", "edge_note",
        "activity", "step_ms",
    }  # fmt: skip


# Recordings.


def recording(*names: str) -> list[Path]:
    folder = os.environ.get("TRADING_TEST_DATA")
    if not folder:
        pytest.skip("TRADING_TEST_DATA names no folder of recordings")
    return [Path(folder) / "raw_ws" / f"binance_{name}.txt.gz" for name in names]


def replay(
    paths: list[Path],
    *,
    fill_model: Literal["queue", "trade-through"] = "queue",
    speed: float = 1.0,
) -> SimulatedVenue:
    venue = build_replay_venue(
        recordings=paths,
        accounts=default_accounts(seed=1),
        seed=1,
        speed=speed,
        fill_model=fill_model,
    )
    venue.prepare(START)
    return venue


class SlowBook:
    """The recorded book as two plain dicts of decimal texts, fed straight from the file."""

    def __init__(self, tick: Decimal, lot: Decimal) -> None:
        self.tick, self.lot = tick, lot
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def apply(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for side, levels in zip(self.sides, (bids, asks), strict=True):
            for price_text, quantity_text in levels:
                price, quantity = int(Decimal(price_text) / self.tick), Decimal(quantity_text)
                if quantity == 0:
                    side.pop(price, None)
                else:
                    side[price] = max(1, int(quantity / self.lot))

    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        bids, asks = self.sides
        return sorted(bids.items(), reverse=True), sorted(asks.items())


def recorded_updates(paths: list[Path]) -> Iterator[tuple[int, Levels, Levels]]:
    """Yield nanoseconds since the snapshot, bids and asks: the snapshot, then every update."""
    early: list[dict[str, Any]] = []
    origin_ns = 0
    for path in paths:
        with gzip.open(path, "rt") as stream:
            for line in stream:
                stamp, _, body = line.partition(" ")
                if '"lastUpdateId"' in body[:80]:
                    origin_ns, message = int(stamp), json.loads(body)
                    yield 0, message["bids"], message["asks"]
                    for data in early:
                        if data["u"] >= message["lastUpdateId"]:
                            yield 0, data["b"], data["a"]
                elif '"depthUpdate"' in body[:200]:
                    data = json.loads(body)["data"]
                    if origin_ns:
                        yield int(stamp) - origin_ns, data["b"], data["a"]
                    else:
                        early.append(data)


RECORDINGS = [
    ("usdm_btcusdt_20240808",),
    ("usdm_ethusdt_20240808",),
    ("spot_btcusdt_20240808", "spot_btcusdt_20240809"),
    ("spot_ethusdt_20240808", "spot_ethusdt_20240809"),
]


@pytest.mark.data
@pytest.mark.parametrize("names", RECORDINGS, ids=[names[0] for names in RECORDINGS])
def test_the_replayed_book_equals_a_slow_oracle(names: tuple[str, ...]) -> None:
    paths = recording(*names)
    # So slow that each message has a millisecond of its own: 1 ms of venue time is 100 ns.
    venue = replay(paths, speed=1e-4)
    (symbol,) = venue.exchange.instruments
    instrument, book = venue.exchange.instruments[symbol], venue.exchange.book(symbol)
    slow = SlowBook(instrument.tick_size, instrument.qty_step)
    compared = 0
    for number, (offset_ns, bids, asks) in enumerate(recorded_updates(paths)):
        slow.apply(bids, asks)
        if number % 40 == 39:
            venue.advance(START - -offset_ns // 100)
            mid(venue, symbol)
            assert (book.top(Side.BUY, 10**6), book.top(Side.SELL, 10**6)) == slow.levels()
            compared += 1
    assert compared > 70


@pytest.mark.data
def test_replayed_symbols_run_side_by_side_to_the_end() -> None:
    venue = replay(recording("usdm_btcusdt_20240808", "usdm_ethusdt_20240808"))
    for second in range(344):
        venue.advance(START + 1_000 * second)
        assert mid(venue, BTC) > 0
        assert mid(venue, "ETHUSDT") > 0
        assert not venue.market.is_finished
    venue.advance(START + 346_000)
    assert venue.market.is_finished
    for symbol in SYMBOLS:
        candles = venue.statistics.klines(symbol, "1", start_ms=None, end_ms=None, limit=99)
        assert 6 <= len(candles) <= 7
        assert all(candle.volume > 0 for candle in candles)


def touch_fills(fill_model: Literal["queue", "trade-through"]) -> int:
    """Join the touch on both sides every 2 s for two minutes; return the lots filled."""
    venue = replay(recording("usdm_btcusdt_20240808"), fill_model=fill_model)
    exchange = venue.exchange
    for second in range(2, 120, 2):
        venue.advance(START + 1_000 * second)
        exchange.cancel_all(1, now_ms=START + 1_000 * second)
        book, instrument = exchange.book(BTC), exchange.instruments[BTC]
        bid, ask = book.best_bid(), book.best_ask()
        assert bid is not None
        assert ask is not None
        for side, ticks in ((Side.BUY, bid), (Side.SELL, ask)):
            price = instrument.price_text(ticks)
            exchange.place(1, order(side, "0.010", price), now_ms=START + 1_000 * second)
    return sum(execution.lots for execution in exchange.executions(1))


@pytest.mark.data
def test_pessimistic_fills_are_fewer_than_queue_fills() -> None:
    pessimistic, by_queue = touch_fills("trade-through"), touch_fills("queue")
    assert 0 < pessimistic < by_queue
