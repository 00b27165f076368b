"""The venue in process: exchange, market and statistics on any clock, without sockets."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Literal

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.instruments import Category, Instrument
from trading_system.simulation.candles import MINUTE_MS
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.instruments import INSTRUMENTS, SPOT_INSTRUMENTS
from trading_system.simulation.live_market.market import LiveMarket
from trading_system.simulation.market import Market
from trading_system.simulation.records import (
    AccountSpec,
    ExchangeListener,
    ExecutionRecord,
    OrderRecord,
    PublicTrade,
)
from trading_system.simulation.replay.market import ReplayMarket
from trading_system.simulation.replay.recording import open_recordings
from trading_system.simulation.statistics import MarketStatistics
from trading_system.simulation.synthetic.market import SyntheticMarket

_START_BALANCE = Decimal(100_000)


class SimulatedVenue:
    """One exchange with its market; the owner moves time by :meth:`advance`.

    Parameters
    ----------
    exchange : Exchange
        Matching and accounts; its ``listener`` is taken over by the venue.
    statistics : MarketStatistics
        Klines, tickers and funding of the same exchange.
    market : Market
        Source of order flow.
    """

    def __init__(self, exchange: Exchange, statistics: MarketStatistics, market: Market) -> None:
        self.exchange = exchange
        self.statistics = statistics
        self.market = market
        self._fan_out = _FanOut(exchange, statistics)
        self._intervals_ms = {
            symbol: instrument.funding_interval_minutes * MINUTE_MS
            for symbol, instrument in exchange.instruments.items()
            if instrument.category is Category.LINEAR
        }
        self._now_ms = 0
        exchange.listener = self._fan_out

    @property
    def now_ms(self) -> int:
        """Time that the venue has reached, UTC milliseconds."""
        return self._now_ms

    def add_listener(self, listener: ExchangeListener) -> None:
        """Let ``listener`` hear every event from now on, after those added before it."""
        self._fan_out.listeners.append(listener)

    def prepare(self, now_ms: int) -> None:
        """Make the history before ``now_ms``, the first book and the first prices."""
        self._now_ms = now_ms
        self.market.prepare(now_ms)
        self.statistics.roll(now_ms)
        self._announce_funding()

    def advance(self, now_ms: int) -> None:
        """Run the market up to ``now_ms`` and settle the funding that falls due on the way.

        Time never runs backwards: an earlier ``now_ms`` does nothing.
        """
        while (due_ms := self._next_settlement_ms()) <= now_ms:
            self.market.advance(due_ms)
            self._now_ms = due_ms
            self._settle(due_ms)
        if now_ms > self._now_ms:
            self._now_ms = now_ms
            self.market.advance(now_ms)
            self.statistics.roll(now_ms)

    def _next_settlement_ms(self) -> int:
        return min(_following(self._now_ms, interval) for interval in self._intervals_ms.values())

    def _settle(self, due_ms: int) -> None:
        for symbol, interval_ms in self._intervals_ms.items():
            if due_ms % interval_ms:
                continue
            rate, _ = self.statistics.funding(symbol)
            self.exchange.settle_funding(symbol, rate, now_ms=due_ms)
            self.statistics.add_settlement(symbol, rate, due_ms)
        self._announce_funding()

    def _announce_funding(self) -> None:
        for symbol, interval_ms in self._intervals_ms.items():
            rate, _ = self.statistics.funding(symbol)
            self.statistics.set_funding(symbol, rate, _following(self._now_ms, interval_ms))


class _FanOut:
    # Keeps the candles, then tells everybody who listens.
    def __init__(self, exchange: Exchange, statistics: MarketStatistics) -> None:
        self.listeners: list[ExchangeListener] = []
        self._statistics = statistics
        self._instruments = exchange.instruments

    def on_order(self, order: OrderRecord) -> None:
        for listener in self.listeners:
            listener.on_order(order)

    def on_executions(self, executions: list[ExecutionRecord]) -> None:
        for listener in self.listeners:
            listener.on_executions(executions)

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None:
        for listener in self.listeners:
            listener.on_position(account_id, symbol, position_idx)

    def on_wallet(self, account_id: int) -> None:
        for listener in self.listeners:
            listener.on_wallet(account_id)

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        instrument = self._instruments[symbol]
        for trade in trades:
            price = instrument.ticks_to_price(trade.price_ticks)
            qty = instrument.lots_to_qty(trade.lots)
            self._statistics.add_trade(symbol, price, qty, trade.time_ms)
        for listener in self.listeners:
            listener.on_trades(symbol, trades)


def _following(time_ms: int, interval_ms: int) -> int:
    return time_ms - time_ms % interval_ms + interval_ms


def default_accounts(*, seed: int) -> tuple[AccountSpec, AccountSpec]:
    """Return two accounts on two UIDs, 100,000 USDT each, VIP 0; keys follow from ``seed``."""
    rng = random.Random(f"accounts-{seed}")
    first, second = (
        AccountSpec(
            account_id=number,
            uid=100_000_000 + number * 1_000_003 + rng.randrange(1_000_000),
            api_key=f"sim-key-{number}",
            api_secret=f"sim-secret-{number}-{rng.getrandbits(64):016x}",
            balance=_START_BALANCE,
        )
        for number in (1, 2)
    )
    return first, second


def build_synthetic_venue(
    *,
    symbols: Sequence[str],
    accounts: Sequence[AccountSpec],
    seed: int,
    edge_bps: float,
    activity: float,
    start_prices: Mapping[str, Decimal] | None = None,
    id_seed: int | None = None,
    has_spot: bool = False,
) -> SimulatedVenue:
    """Return a venue whose market is made by seeded participants.

    Parameters
    ----------
    symbols : Sequence of str
        Linear symbols of the venue's instrument table, each once.
    edge_bps : float
        Expected mid move over 10 s at the hidden signal's 90th percentile; the sign mirrors the
        market, 0 leaves noise only.
    activity : float
        Factor on all event rates, above 0 and at most 50.
    start_prices : Mapping of str to Decimal or None
        Where prices begin, quote currency; a symbol that is missing begins at its default.
    id_seed : int or None
        Decides the ids of orders and executions; None takes ``seed``.
    has_spot : bool
        Whether to list the spot pair of each symbol too, where the venue's table has one. The
        contracts' market is the same with and without.

    Raises
    ------
    ConfigurationError
        If a symbol is unknown or doubled, or a number is out of range.
    """
    unknown = [symbol for symbol in symbols if symbol not in INSTRUMENTS]
    if unknown or not symbols or len(set(symbols)) != len(symbols):
        known = ", ".join(INSTRUMENTS)
        raise ConfigurationError(
            f"symbols must be some of {known}, each once; was {','.join(symbols)!r}"
        )
    spot = [SPOT_INSTRUMENTS[each] for each in symbols if has_spot and each in SPOT_INSTRUMENTS]
    exchange = Exchange(
        [*(INSTRUMENTS[symbol] for symbol in symbols), *spot],
        accounts,
        seed=seed if id_seed is None else id_seed,
    )
    statistics = MarketStatistics(exchange)
    market = SyntheticMarket(
        exchange,
        statistics,
        seed=seed,
        edge_bps=edge_bps,
        activity=activity,
        start_prices=start_prices or {},
    )
    venue = SimulatedVenue(exchange, statistics, market)
    venue.add_listener(market.account_flow)
    return venue


def build_replay_venue(
    *,
    recordings: Sequence[Path],
    accounts: Sequence[AccountSpec],
    seed: int,
    speed: float,
    fill_model: Literal["queue", "trade-through"],
) -> SimulatedVenue:
    """Return a venue whose market is a recording; symbols come from the files.

    ``seed`` decides the ids of orders and executions only.

    Parameters
    ----------
    recordings : Sequence of Path
        Files of Binance, Bybit or OKX, folders of our own; continuations need their first file.
    speed : float
        Recorded seconds per second of venue time, positive.
    fill_model : str
        ``queue``: own orders fill by queue position; ``trade-through``: only when the recorded
        flow trades through their price.

    Raises
    ------
    ConfigurationError
        If a file is missing, damaged, of another kind or lacks its first part.
    """
    opened = open_recordings(recordings)
    exchange = Exchange([each.instrument for each in opened.found], accounts, seed=seed)
    statistics = MarketStatistics(exchange)
    market = ReplayMarket(exchange, statistics, opened, speed=speed, fill_model=fill_model)
    venue = SimulatedVenue(exchange, statistics, market)
    venue.add_listener(market.account_orders)
    return venue


def build_live_venue(
    *,
    instruments: Sequence[Instrument],
    accounts: Sequence[AccountSpec],
    seed: int,
    source: str,
    depth: int,
    fill_model: Literal["queue", "trade-through"],
) -> SimulatedVenue:
    """Return a venue whose market is a public stream; somebody else brings its messages.

    Parameters
    ----------
    instruments : Sequence of Instrument
        As the source lists them.
    source : str
        Name of the source, for the description.
    depth : int
        Levels of the followed books.
    """
    exchange = Exchange(instruments, accounts, seed=seed)
    statistics = MarketStatistics(exchange)
    market = LiveMarket(exchange, statistics, source=source, depth=depth, fill_model=fill_model)
    venue = SimulatedVenue(exchange, statistics, market)
    venue.add_listener(market.account_orders)
    return venue
