"""Market state of all symbols, fed frame by frame; decides once per drained batch.

Every frame is decoded and applied at once. The first frame of a batch schedules one synchronous
decision with ``call_soon``: it runs after the socket's buffered frames were applied, so there is
no queue, task or thread between tick and order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NoReturn

import structlog

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.instruments import Instrument
from trading_system.domain.ports import Clock
from trading_system.domain.signals import Consensus, MarketFeatures
from trading_system.live.symbol_state import BestPrices, Panel, SymbolState
from trading_system.market import decode
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import MarketView

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_RATE_WINDOW_S = 10
_FAULT_WINDOW_S = 60
_KEEP_FAULTS = 100

Decide = Callable[[MarketFeatures, Consensus | None], None]


class MarketFeed:
    """Applies public frames and calls ``decide`` once per batch and symbol.

    Parameters
    ----------
    instruments : Mapping[str, Instrument]
        Symbols to follow.
    clock : Clock
        Monotonic and UTC stamps.
    latency : StageLatency
        Receives the stages ``receive``, ``book`` and ``signal``.
    decide : Callable
        Called with features and consensus; must not block.
    call_soon : Callable
        The loop's ``call_soon``.
    panel_of : Callable[[str], Panel]
        The signal agents of a symbol.
    has_context : bool
        Whether a deeper book of each symbol is subscribed too, off the decision path.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        clock: Clock,
        latency: StageLatency,
        decide: Decide,
        call_soon: Callable[[Callable[[], None]], object],
        panel_of: Callable[[str], Panel],
        has_context: bool = False,
    ) -> None:
        self._clock = clock
        self._latency = latency
        self._decide = decide
        self._call_soon = call_soon
        self._dirty: dict[str, None] = {}
        self._is_scheduled = False
        self._failure: Exception | None = None
        self.symbols = {
            symbol: SymbolState(instrument, panel_of(symbol), has_context=has_context)
            for symbol, instrument in instruments.items()
        }
        self.rejected_frames = 0
        self._faults_ns: deque[int] = deque(maxlen=_KEEP_FAULTS)
        self.frames = 0
        self.offset_ns = 0
        self._first_s: int | None = None
        self._per_second: deque[tuple[int, int]] = deque(maxlen=_RATE_WINDOW_S + 1)

    def topics(self) -> list[str]:
        """Return the public topics this feed lives on."""
        return [
            topic
            for symbol, state in self.symbols.items()
            for topic in (
                *(book.topic for book in state.books.values()),
                f"publicTrade.{symbol}",
                f"tickers.{symbol}",
            )
        ]

    def on_frame(self, frame: bytes, received_ns: int) -> None:
        """Apply one frame.

        Raises
        ------
        CorruptDataError
            If the frame is malformed or lost its place in the sequence; the owner resubscribes.
        Exception
            What the last decision raised: a system that cannot decide must not run on.
        """
        self._count(received_ns)
        if self._failure is not None:
            raise self._failure
        try:
            topic = decode.peek_topic(frame)
            kind, _, rest = topic.partition(".")
            if kind == "orderbook":
                depth, _, symbol = rest.partition(".")
                self._on_book(self.symbols[symbol], depth, frame, received_ns)
            elif kind == "publicTrade":
                self._on_trades(self.symbols[rest], frame, received_ns)
            elif kind == "tickers":
                state = self.symbols[rest]
                state.ticker = decode.decode_ticker(frame, received_ns, previous=state.ticker)
                state.flow.on_ticker(state.ticker)
            else:
                self._on_foreign(topic)
        except KeyError as e:
            self._refuse(received_ns)
            raise CorruptDataError(f"a symbol that was not subscribed: {e}") from e
        except CorruptDataError:
            self._refuse(received_ns)
            raise

    def _refuse(self, received_ns: int) -> None:
        self.rejected_frames += 1
        self._faults_ns.append(received_ns)

    def reset(self) -> None:
        """Forget all books, as after a lost connection."""
        for state in self.symbols.values():
            state.reset()

    def reset_topic(self, topic: str) -> None:
        """Forget one book that lost its place; its snapshot is on the way."""
        kind, _, rest = topic.partition(".")
        depth, _, symbol = rest.partition(".")
        state = self.symbols.get(symbol)
        if kind != "orderbook" or state is None or depth not in state.books:
            return
        if state.books[depth] is state.book:
            state.reset_book()
        else:
            state.books[depth].reset()

    def connected(self) -> None:
        """Note that the stream was subscribed: from now on silence is a fault."""
        now_ns = self._clock.monotonic_ns()
        for state in self.symbols.values():
            state.trust.on_connected(now_ns)

    def overdue(self) -> dict[str, str]:
        """Return the topics that must be subscribed anew, and why; call it regularly."""
        now_ns = self._clock.monotonic_ns()
        due: dict[str, str] = {}
        for state in self.symbols.values():
            due |= state.trust.overdue(now_ns)
        return due

    def is_mute(self) -> bool:
        """Return whether no symbol's books were heard for so long that the stream is dead."""
        now_ns = self._clock.monotonic_ns()
        return all(state.trust.is_mute(now_ns) for state in self.symbols.values())

    def best_prices(self, symbol: str) -> BestPrices:
        """Return the newest best prices of ``symbol``."""
        return self.symbols[symbol].best_prices()

    def market_view(self, symbol: str) -> MarketView:
        """Return what the risk gate needs to know of ``symbol``."""
        state = self.symbols.get(symbol)
        if state is None:
            return MarketView(mid=None, age_s=None)
        prices, stamp_ns = state.best_prices(), state.last_message_ns()
        if prices.bid is None or prices.ask is None or stamp_ns is None:
            return MarketView(mid=None, age_s=None)
        now_ns, mid = self._clock.monotonic_ns(), (prices.bid + prices.ask) / 2
        if state.trust.is_silent(now_ns):
            return MarketView(mid=mid, age_s=None)
        return MarketView(mid=mid, age_s=(now_ns - stamp_ns) / _NS_PER_S)

    def fresh_books(self, max_age_s: float) -> int:
        """Return how many symbols have a valid book that is not older than ``max_age_s``."""
        views = (self.market_view(symbol) for symbol in self.symbols)
        return sum(v.age_s is not None and v.age_s <= max_age_s for v in views)

    def gaps(self) -> int:
        """Return sequence gaps and crossed books seen since the start, all symbols."""
        books = (book for state in self.symbols.values() for book in state.books.values())
        return sum(book.gaps + book.crossed for book in books)

    def doubts(self) -> dict[str, int]:
        """Return how often books were suspect or refuted, jumps confirmed, and level 1 silent."""
        states = self.symbols.values()
        return {
            "suspect_books": sum(state.book.suspicions for state in states),
            "confirmed_jumps": sum(state.book.confirmed_jumps for state in states),
            "refuted_books": sum(state.trust.refuted for state in states),
            "silent_topics": sum(state.trust.silences for state in states),
        }

    def recent_faults(self) -> int:
        """Return frames refused within the last minute: gaps, crossed books, malformed data."""
        oldest_ns = self._clock.monotonic_ns() - _FAULT_WINDOW_S * _NS_PER_S
        return sum(stamp_ns >= oldest_ns for stamp_ns in self._faults_ns)

    def frames_per_second(self) -> float | None:
        """Return the mean rate over the last ten full seconds until now, None before the first."""
        now_s = self._clock.monotonic_ns() // _NS_PER_S
        if self._first_s is None or now_s <= self._first_s:
            return None
        from_s = max(self._first_s, now_s - _RATE_WINDOW_S)
        frames = sum(count for second, count in self._per_second if from_s <= second < now_s)
        return round(frames / (now_s - from_s), 1)

    def _count(self, received_ns: int) -> None:
        self.frames += 1
        second = received_ns // _NS_PER_S
        if self._first_s is None:
            self._first_s = second
        if self._per_second and self._per_second[-1][0] == second:
            self._per_second[-1] = (second, self._per_second[-1][1] + 1)
        else:
            self._per_second.append((second, 1))

    def _on_book(self, state: SymbolState, depth: str, frame: bytes, received_ns: int) -> None:
        book = state.books[depth]
        suspicions = book.suspicions
        if not book.apply_frame(frame, received_ns):
            return
        if book is not state.book:
            if book is state.top and (reason := state.trust.on_top(received_ns)) is not None:
                self._on_refuted(state, reason, received_ns)
            return
        state.trust.on_book()
        if book.suspicions != suspicions:
            self._on_suspect(state, received_ns)
        if not book.is_ready:
            return
        now_ns = self._clock.monotonic_ns()
        self._latency.record("book", now_ns - received_ns)
        assert book.ts_exchange_ns is not None
        # The time spent on this frame is taken off, so that the stage ends at the receipt.
        self._latency.record(
            "receive",
            self._clock.utc_ns() + self.offset_ns - book.ts_exchange_ns - (now_ns - received_ns),
        )
        state.flow.on_book(book, received_ns)
        self._dirty[state.instrument.symbol] = None
        if not self._is_scheduled:
            self._is_scheduled = True
            self._call_soon(self._decide_batch)

    def _on_suspect(self, state: SymbolState, received_ns: int) -> None:
        self._faults_ns.append(received_ns)
        state.reset_signals()
        _LOG.warning("book suspect: its update id jumped", topic=state.book.topic)

    def _on_refuted(self, state: SymbolState, reason: str, received_ns: int) -> None:
        self._faults_ns.append(received_ns)
        state.reset_signals()
        _LOG.error("book refuted", reason=reason)

    @staticmethod
    def _on_foreign(topic: str) -> NoReturn:
        raise CorruptDataError(f"a topic that was not subscribed: {topic[:60]!r}")

    def _on_trades(self, state: SymbolState, frame: bytes, received_ns: int) -> None:
        trades = decode.decode_trades(frame, received_ns)
        for trade in trades:
            state.flow.on_trade(trade.side, trade.quantity, received_ns)
        state.trades += len(trades)
        state.newest_trades.extend(trades)

    def _decide_batch(self) -> None:
        try:
            self._decide_all()
        except Exception as e:  # the loop would only log it; the next frame stops the system
            self._failure = e

    def _decide_all(self) -> None:
        self._is_scheduled = False
        dirty, self._dirty = self._dirty, {}
        for symbol in dirty:
            state = self.symbols[symbol]
            received_ns = state.book.received_ns
            if not state.book.is_ready or received_ns is None:
                continue
            started_ns = self._clock.monotonic_ns()
            features = state.flow.features(state.book, received_ns)
            if features is None:
                continue
            consensus = state.panel.decide(features)
            elapsed_ns = self._clock.monotonic_ns() - started_ns
            self._latency.record("signal", elapsed_ns)
            state.features, state.consensus = features, consensus
            self._decide(features, consensus)
