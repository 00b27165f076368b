import random
import statistics
from decimal import Decimal

import pytest

from trading_system.domain.orders import Side
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import INSTRUMENTS
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.synthetic.access import SymbolAccess
from trading_system.simulation.synthetic.derivatives import Derivatives
from trading_system.simulation.synthetic.makers import DeepMaker, TightMaker, View
from trading_system.simulation.synthetic.price import REGIMES, LatentPrice
from trading_system.simulation.synthetic.signal import (
    DRIFT_REVERSION_S,
    HORIZON_S,
    TIME_CONSTANT_S,
    HiddenSignal,
    drift_bps_per_s,
)
from trading_system.simulation.synthetic.takers import Scene, TakerCrowd


def access() -> tuple[Exchange, SymbolAccess]:
    exchange = Exchange([INSTRUMENTS["BTCUSDT"]], [], seed=1)
    price = Decimal(65000)
    exchange.set_reference("BTCUSDT", index_price=price, mark_price=price)
    return exchange, SymbolAccess(exchange, "BTCUSDT")


def view(*, signal: float = 0.0, centre: float = 650_000.0) -> View:
    return View(centre_ticks=centre, signal=signal, spread=1.0, bps_ticks=centre * 1e-4)


def tight(reach: SymbolAccess, number: int = 0) -> TightMaker:
    rng = random.Random(number)
    return TightMaker(reach, rng, number=number, layer_quote=45_000.0, orientation=1)


def test_the_signal_is_stationary_with_unit_variance() -> None:
    signal = HiddenSignal(random.Random(1))
    values = []
    for _ in range(20_000):
        signal.step(1.0)
        values.append(signal.value)
    assert statistics.pstdev(values) == pytest.approx(1.0, abs=0.06)
    lagged = statistics.correlation(values[:-10], values[10:])
    assert lagged == pytest.approx(2.718281828 ** (-10 / TIME_CONSTANT_S), abs=0.05)


def test_drift_gives_the_edge_in_a_plain_integration() -> None:
    drift, dt = drift_bps_per_s(25.0, 0.0), 0.001
    signal = 1.2815515655446004
    moved = drift * signal / (1 / DRIFT_REVERSION_S + 1 / TIME_CONSTANT_S)
    start = moved
    for _ in range(int(HORIZON_S / dt)):
        moved += (drift * signal - moved / DRIFT_REVERSION_S) * dt
        signal -= signal / TIME_CONSTANT_S * dt
    assert moved - start == pytest.approx(25.0, rel=1e-3)


def test_drift_depends_on_the_size_of_the_edge_only() -> None:
    assert drift_bps_per_s(0.0, 0.3) == 0.0
    assert drift_bps_per_s(-25.0, 0.3) == drift_bps_per_s(25.0, 0.3)
    assert drift_bps_per_s(50.0, 0.3) == pytest.approx(2 * drift_bps_per_s(25.0, 0.3))


def test_the_mirrored_price_is_the_reflection_of_the_other() -> None:
    plain = LatentPrice(100.0, random.Random(4), orientation=1)
    mirror = LatentPrice(100.0, random.Random(4), orientation=-1)
    for _ in range(500):
        plain.step(0.02, drift_bps_per_s=1.5)
        mirror.step(0.02, drift_bps_per_s=1.5)
        assert mirror.deviation_bps == -plain.deviation_bps
    assert plain.regime is mirror.regime


def test_every_regime_is_visited_and_calm_rules() -> None:
    price = LatentPrice(100.0, random.Random(2), orientation=1)
    seen = dict.fromkeys(REGIMES, 0)
    for _ in range(50_000):
        price.step(1.0, drift_bps_per_s=0.0)
        seen[price.regime] += 1
    assert min(seen.values()) > 0
    assert seen[REGIMES[0]] > seen[REGIMES[1]] > seen[REGIMES[2]]


def test_rebasing_keeps_the_next_price_at_the_anchor() -> None:
    price = LatentPrice(100.0, random.Random(2), orientation=-1)
    for _ in range(100):
        price.step(1.0, drift_bps_per_s=2.0)
    before = price.deviation_bps
    assert price.rebase() == before
    assert price.deviation_bps == 0.0
    assert price.at(price.seen_bps(10)) == 100.0


def test_tight_quotes_lean_with_the_signal() -> None:
    for signal, side in ((2.0, Side.BUY), (-2.0, Side.SELL)):
        exchange, reach = access()
        tight(reach).requote(view(signal=signal))
        book = exchange.book("BTCUSDT")
        heavy = sum(lots for _, lots in book.top(side, 10))
        light = sum(lots for _, lots in book.top(side.opposite, 10))
        assert heavy > 2 * light


def test_quotes_that_stand_right_keep_their_place_in_the_queue() -> None:
    exchange, reach = access()
    maker = tight(reach)
    maker.requote(view())
    before = {price for price, _ in exchange.book("BTCUSDT").top(Side.BUY, 50)}
    maker.requote(view(centre=650_003.0))
    after = {price for price, _ in exchange.book("BTCUSDT").top(Side.BUY, 50)}
    assert len(before & after) >= 3


def test_a_fast_maker_does_not_trade_with_a_stale_one() -> None:
    exchange, reach = access()
    tight(reach, 1).requote(view())
    tight(reach, 2).requote(view(centre=650_060.0))
    book = exchange.book("BTCUSDT")
    best_bid, best_ask = book.best_bid(), book.best_ask()
    assert best_bid is not None
    assert best_ask is not None
    assert best_bid < best_ask
    assert not exchange.public_trades("BTCUSDT")


def test_the_deep_ladder_follows_and_leaves_nothing_behind() -> None:
    exchange, reach = access()
    maker = DeepMaker(reach, random.Random(1), level_quote=50_000.0, orientation=1)
    for centre in (650_000.0, 655_000.0, 640_000.0):
        maker.requote(view(centre=centre))
        book = exchange.book("BTCUSDT")
        assert book.depth_levels(Side.BUY) == book.depth_levels(Side.SELL) == 220
        best_bid = book.best_bid()
        assert best_bid is not None
        assert 0 < centre - best_bid < 120


def test_a_ladder_near_zero_never_quotes_a_price_below_one_tick() -> None:
    exchange, reach = access()
    tight(reach).requote(view(centre=2.5))
    deep = DeepMaker(reach, random.Random(1), level_quote=50_000.0, orientation=1)
    deep.requote(view(centre=2.5))
    assert all(price >= 1 for price, _ in exchange.book("BTCUSDT").top(Side.BUY, 500))


def test_takers_lean_with_the_signal_and_come_in_clusters() -> None:
    exchange, reach = access()
    price = 650_000.0
    exchange.house_limit("BTCUSDT", Side.BUY, 649_999, 10**9, now_ms=0)
    exchange.house_limit("BTCUSDT", Side.SELL, 650_001, 10**9, now_ms=0)
    crowd = TakerCrowd(reach, random.Random(3), median_quote=2_000.0, orientation=1)
    counts = []
    for step in range(30_000):
        seen = exchange.book("BTCUSDT").sequence
        crowd.step(Scene(step * 20, 0.02, price, price * 1e-4, 1.5, 1.0))
        counts.append(exchange.book("BTCUSDT").sequence - seen)
    seconds = [sum(counts[start : start + 50]) for start in range(0, len(counts), 50)]
    sides = [trade.taker_side for trade in exchange.public_trades("BTCUSDT")]
    assert sides.count(Side.BUY) > 2 * sides.count(Side.SELL)
    assert statistics.variance(seconds) > 1.5 * statistics.mean(seconds)


def test_funding_follows_the_premium_and_stays_capped() -> None:
    exchange, _ = access()
    kept = MarketStatistics(exchange)
    figures = Derivatives(exchange, kept, "BTCUSDT", rng=random.Random(1), turnover_per_s=25_000.0)
    rates = []
    for second in range(7_200):
        for _ in range(5):
            figures.publish_reference(65_000.0, 66_300.0, time_ms=second * 1_000)
        figures.second(signed_quote=1.0, traded_quote=1.0, price=65_000.0, now_ms=second * 1_000)
        rates.append(kept.funding("BTCUSDT")[0])
    assert rates[0] == Decimal("0.0001")
    assert max(rates) == Decimal("0.0075")
    assert kept.account_ratio_history("BTCUSDT", "5min", 1)[0][1] > Decimal("0.6")
