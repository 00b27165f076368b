from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import INSTRUMENTS
from trading_system.simulation.records import OrderRequest
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.venue import (
    SimulatedVenue,
    build_replay_venue,
    build_synthetic_venue,
    default_accounts,
)

HOUR = 3_600_000
MIDNIGHT = 1_699_920_000_000


class QuietMarket:
    """A book of one level per side that never moves; remembers when it was advanced."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.advanced: list[int] = []

    def prepare(self, now_ms: int) -> None:
        price = Decimal(65000)
        self.exchange.set_reference("BTCUSDT", index_price=price, mark_price=price)
        self.exchange.house_limit("BTCUSDT", Side.BUY, 649_999, 10_000, now_ms=now_ms)
        self.exchange.house_limit("BTCUSDT", Side.SELL, 650_001, 10_000, now_ms=now_ms)

    def advance(self, now_ms: int) -> None:
        self.advanced.append(now_ms)

    @property
    def is_finished(self) -> bool:
        return False

    def description(self) -> dict[str, object]:
        return {"market": "quiet"}


def quiet_venue(now_ms: int) -> tuple[SimulatedVenue, QuietMarket]:
    exchange = Exchange([INSTRUMENTS["BTCUSDT"]], default_accounts(seed=1), seed=1)
    market = QuietMarket(exchange)
    venue = SimulatedVenue(exchange, MarketStatistics(exchange), market)
    venue.prepare(now_ms)
    return venue, market


def buy(venue: SimulatedVenue, quantity: str, now_ms: int) -> None:
    request = OrderRequest(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(quantity),
    )
    venue.exchange.place(1, request, now_ms=now_ms)


def test_funding_is_settled_at_every_due_time_on_the_way() -> None:
    venue, market = quiet_venue(MIDNIGHT + HOUR)
    venue.statistics.set_funding("BTCUSDT", Decimal("0.0001"), 0)
    buy(venue, "1", MIDNIGHT + HOUR)
    venue.advance(MIDNIGHT + 17 * HOUR)
    times = [time_ms for time_ms, _ in venue.statistics.funding_history("BTCUSDT", 10)]
    assert times == [MIDNIGHT + 16 * HOUR, MIDNIGHT + 8 * HOUR]
    assert venue.exchange.wallet(1).funding == Decimal(-13)
    assert market.advanced == [MIDNIGHT + 8 * HOUR, MIDNIGHT + 16 * HOUR, MIDNIGHT + 17 * HOUR]


def test_the_next_settlement_is_announced() -> None:
    venue, _ = quiet_venue(MIDNIGHT + HOUR)
    assert venue.statistics.funding("BTCUSDT")[1] == MIDNIGHT + 8 * HOUR
    venue.advance(MIDNIGHT + 8 * HOUR)
    assert venue.statistics.funding("BTCUSDT")[1] == MIDNIGHT + 16 * HOUR


def test_time_never_runs_backwards() -> None:
    venue, market = quiet_venue(MIDNIGHT)
    venue.advance(MIDNIGHT + 10)
    venue.advance(MIDNIGHT + 5)
    assert market.advanced == [MIDNIGHT + 10]


def test_own_trades_enter_the_candles() -> None:
    venue, _ = quiet_venue(MIDNIGHT)
    buy(venue, "2", MIDNIGHT + 1)
    (candle,) = venue.statistics.klines("BTCUSDT", "1", start_ms=None, end_ms=None, limit=5)
    assert (candle.volume, candle.close) == (2, Decimal("65000.1"))


def test_default_accounts_follow_from_the_seed() -> None:
    assert default_accounts(seed=1) == default_accounts(seed=1)
    first, second = default_accounts(seed=1)
    assert first.uid != second.uid
    assert first.api_secret != default_accounts(seed=2)[0].api_secret


@pytest.mark.parametrize("symbols", [[], ["BTCUSDT", "BTCUSDT"], ["NOSUCH"]])
def test_impossible_symbols_are_refused(symbols: Sequence[str]) -> None:
    with pytest.raises(ConfigurationError, match="symbols must be"):
        build_synthetic_venue(symbols=symbols, accounts=[], seed=1, edge_bps=0.0, activity=1.0)


@pytest.mark.parametrize(
    ("edge_bps", "activity"), [(float("nan"), 1.0), (1e6, 1.0), (0.0, 0.0), (0.0, 1e3)]
)
def test_numbers_out_of_range_are_refused(edge_bps: float, activity: float) -> None:
    with pytest.raises(ConfigurationError):
        build_synthetic_venue(
            symbols=["BTCUSDT"], accounts=[], seed=1, edge_bps=edge_bps, activity=activity
        )


def test_replay_needs_a_recording() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        build_replay_venue(recordings=[], accounts=[], seed=1, speed=1.0, fill_model="queue")
    with pytest.raises(ConfigurationError, match="does not exist"):
        build_replay_venue(
            recordings=[Path("missing.gz")], accounts=[], seed=1, speed=1.0, fill_model="queue"
        )
