"""What an agent would see of a market, in virtual time and without sockets.

Frames are encoded by the embedded venue and go through the same decoder, book and
:class:`FlowTracker` as in live trading: there is one definition of every feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trading_system.domain.instruments import Instrument
from trading_system.domain.signals import MarketFeatures
from trading_system.market import decode
from trading_system.market.book import OrderBook
from trading_system.market.features import FlowTracker
from trading_system.simulation.bybit_server.public_feeds import PublicFeeds
from trading_system.simulation.records import ExecutionRecord, OrderRecord, PublicTrade
from trading_system.simulation.venue import (
    SimulatedVenue,
    build_replay_venue,
    build_synthetic_venue,
    default_accounts,
)

START_MS = 1_700_000_000_000
"""Virtual start of every session, UTC milliseconds."""
DEPTH = 50
_STEP_MS = 20
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticPlan:
    """Sessions on the synthetic market.

    Parameters
    ----------
    symbols : tuple of str
        Traded together in each session.
    edge_bps : float
        Mean move over 10 s at the hidden signal's 90th percentile, basis points.
    """

    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    edge_bps: float = 25.0
    activity: float = 1.0

    def venue(self, seed: int) -> SimulatedVenue:
        """Return the market of one seed, not yet prepared."""
        return build_synthetic_venue(
            symbols=self.symbols,
            accounts=default_accounts(seed=seed),
            seed=seed,
            edge_bps=self.edge_bps,
            activity=self.activity,
        )


def replay_venue(recordings: Sequence[Path]) -> SimulatedVenue:
    """Return the market of recordings at recorded speed, not yet prepared.

    Raises
    ------
    ConfigurationError
        If a file is missing, damaged or of another kind.
    """
    return build_replay_venue(
        recordings=recordings,
        accounts=default_accounts(seed=1),
        seed=1,
        speed=1.0,
        fill_model="queue",
    )


class _Desk:
    """One symbol's receiver: frames in, features out."""

    def __init__(self, instrument: Instrument) -> None:
        self.book = OrderBook(instrument, depth=DEPTH)
        self.flow = FlowTracker(instrument.symbol)
        self.now_ns = 0
        self.is_fresh = False

    def push(self, payload: bytes) -> None:
        kind = decode.peek_topic(payload).partition(".")[0]
        if kind == "orderbook":
            self.book.apply_frame(payload, self.now_ns)
            self.flow.on_book(self.book, self.now_ns)
            self.is_fresh = True
        else:
            for trade in decode.decode_trades(payload, self.now_ns):
                self.flow.on_trade(trade.side, trade.quantity, self.now_ns)


class _Trades:
    """Hands public trades to the feeds; nothing else of the exchange is public."""

    def __init__(self, feeds: PublicFeeds) -> None:
        self._feeds = feeds

    def on_trades(self, symbol: str, trades: list[PublicTrade]) -> None:
        self._feeds.add_trades(symbol, trades)

    def on_order(self, order: OrderRecord) -> None: ...

    def on_executions(self, executions: list[ExecutionRecord]) -> None: ...

    def on_position(self, account_id: int, symbol: str, position_idx: int) -> None: ...

    def on_wallet(self, account_id: int) -> None: ...


def decisions(venue: SimulatedVenue, *, seconds: float) -> Iterator[MarketFeatures]:
    """Yield the features of every decision that a live system would take.

    Parameters
    ----------
    venue : SimulatedVenue
        Not yet prepared; all its symbols are followed.
    seconds : float
        Virtual length of the session, cut short where a recording ends.
    """
    feeds = PublicFeeds(venue)
    venue.add_listener(_Trades(feeds))
    venue.prepare(START_MS)
    desks = {symbol: _Desk(each) for symbol, each in venue.exchange.instruments.items()}
    for symbol, desk in desks.items():
        for topic in (f"publicTrade.{symbol}", f"orderbook.{DEPTH}.{symbol}"):
            feeds.subscribe(desk, topic, now_ms=START_MS)
    for now_ms in range(START_MS, START_MS + round(seconds * 1_000), _STEP_MS):
        for desk in desks.values():
            desk.now_ns = (now_ms - START_MS) * _NS_PER_MS
        venue.advance(now_ms)
        feeds.pump(now_ms)
        for desk in desks.values():
            if not desk.is_fresh:
                continue
            desk.is_fresh = False
            features = desk.flow.features(desk.book, desk.now_ns)
            if features is not None:
                yield features
        if venue.market.is_finished:
            return
