"""OKX's public stream: subscribe, verify, keep the books right, hand out what changed.

A book that lost its place is subscribed anew on the same connection; a frame that cannot be read
has the connection dropped and opened anew. Callbacks are synchronous.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    SequenceGapError,
    ValidationError,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.events import TradeTick
from trading_system.domain.ports import Clock
from trading_system.runtime.limiter import SlidingWindow
from trading_system.venues.link import Heartbeat, Link, LinkTiming
from trading_system.venues.okx import wire
from trading_system.venues.okx.book import DEPTHS, FULL_CHANNELS, OkxBook
from trading_system.venues.okx.hosts import VENUE
from trading_system.venues.okx.instruments import OkxInstrument
from trading_system.venues.okx.subscriptions import DEFINITE_CODES, Subscriptions, explain, words
from trading_system.venues.okx.surface import OkxBookView
from trading_system.venues.okx.wire import OkxArg, OkxTicker

_LOG = structlog.get_logger(__name__)
_HEARTBEAT = Heartbeat(venue=VENUE, ping="ping", is_after_silence=True)
_PONG = b"pong"
_RESTART_SOON = "64008"
_RESYNCS_PER_WINDOW = 10
_RESYNC_WINDOW_S = 30.0
_REFUSALS_TOLERATED = 3
_TOP = "bbo-tbt"

OKX_TIMING = LinkTiming(ping_s=20.0, pong_s=8.0)
"""A ping after 20 s of silence, a sign of life within 8 s: OKX cuts a connection after 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OkxExtras:
    """Other channels to subscribe, each with its receiver; None leaves a channel out.

    Parameters
    ----------
    on_trade : Callable[[TradeTick], None] or None
        Told of each trade, quantity in base currency.
    on_ticker : Callable[[OkxTicker], None] or None
        Told of each ticker, sizes in base currency.
    on_top : Callable[[OkxBook], None] or None
        Told of each ``bbo-tbt`` message: a book of one level, sizes as sent.
    on_instrument : Callable[[OkxInstrument], None] or None
        Told of each changed instrument of this feed; the feed converts with it from then on.
    """

    on_trade: Callable[[TradeTick], None] | None = None
    on_ticker: Callable[[OkxTicker], None] | None = None
    on_top: Callable[[OkxBook], None] | None = None
    on_instrument: Callable[[OkxInstrument], None] | None = None


class OkxPublicFeed(OkxBookView):
    """Books of several instruments over one connection.

    Parameters
    ----------
    url : str
        Full address including the path, see ``hosts.OkxHosts.public``.
    instruments : Mapping[str, OkxInstrument]
        What to subscribe, by ``inst_id``; supplies the contract values.
    channel : str
        A book channel: ``books``, ``books5``, ``bbo-tbt``; the two ``-tbt`` channels with more
        levels need a log-in and a fee tier, so OKX refuses them here.
    clock : Clock
        Source of receive stamps.
    jitter : random.Random
        Source of the back-off's jitter.
    on_change : Callable[[str], None]
        Told the ``inst_id`` after each message that changed its book, also when it was emptied.
    on_trade, on_ticker : callables or None
        As in :class:`OkxExtras`.
    extras : OkxExtras or None
        Receivers of still other channels.
    timing : LinkTiming or None
        Patience of the connection; None: :data:`OKX_TIMING`.

    Raises
    ------
    ValidationError
        If there is no instrument, or the channel is not one of books.
    """

    def __init__(
        self,
        url: str,
        instruments: Mapping[str, OkxInstrument],
        *,
        channel: str = "books",
        clock: Clock,
        jitter: random.Random,
        on_change: Callable[[str], None] = lambda _inst_id: None,
        on_trade: Callable[[TradeTick], None] | None = None,
        on_ticker: Callable[[OkxTicker], None] | None = None,
        extras: OkxExtras | None = None,
        timing: LinkTiming | None = None,
    ) -> None:
        if channel not in DEPTHS:
            raise ValidationError(f"not a book channel: {channel!r}; there are {sorted(DEPTHS)}")
        if not instruments:
            raise ValidationError("a feed needs at least one instrument")
        more = extras or OkxExtras()
        self._instruments = dict(instruments)
        self._books = {name: OkxBook(name, channel=channel) for name in instruments}
        self._on_change = on_change
        self._on_trade = on_trade or more.on_trade
        self._on_ticker = on_ticker or more.on_ticker
        self._on_top = more.on_top
        self._on_instrument = more.on_instrument
        self._channel = channel
        self._tops: dict[str, OkxBook] = {}
        if self._on_top is not None and channel != _TOP:
            self._tops = {name: OkxBook(name, channel=_TOP) for name in instruments}
        self._subscriptions = Subscriptions(self._args(), clock=clock)
        self._fast_prefix = b'{"arg":{"channel":"' + channel.encode() + b'"'
        self._resync_rate = SlidingWindow(
            _RESYNCS_PER_WINDOW, window_s=_RESYNC_WINDOW_S, clock=clock
        )
        self._refusals_in_a_row = 0
        self.resyncs = 0
        self.rejected = 0
        self._link = Link(
            url,
            self,
            clock=clock,
            jitter=jitter,
            heartbeat=_HEARTBEAT,
            timing=timing or OKX_TIMING,
        )

    def top(self, inst_id: str) -> OkxBook | None:
        """Return the ``bbo-tbt`` book kept beside the instrument's own, None without one."""
        return self._tops.get(inst_id)

    @property
    def refused(self) -> dict[str, str]:
        """Subscriptions that OKX last refused, with its words."""
        return {words(arg): text for arg, (_, text) in self._subscriptions.refused.items()}

    async def run(self) -> None:
        """Keep the connection and the books alive until cancelled.

        Raises
        ------
        VenueRejected
            If OKX refuses a subscription for good, or on three connections in a row; the text
            names it.
        VenueUnavailable
            When the back-off has run out of attempts.
        """
        await self._link.run()

    # --- called by the link -------------------------------------------------------------------

    def opened(self) -> str:
        """Return the request for all subscriptions."""
        return self._subscriptions.start()

    def received(self, frame: bytes, received_ns: int) -> str | None:
        """Take a data frame, or act on an answer."""
        if frame.startswith(self._fast_prefix):
            return self._take_books(frame, received_ns, self._books)
        if frame == _PONG:
            self._subscriptions.check()
            return None
        envelope = wire.read_envelope(frame)
        if envelope.event:
            return self._on_event(envelope)
        self._subscriptions.check()
        if envelope.arg is None:
            raise CorruptDataError("a frame that is neither data nor an answer")
        return self._take(envelope.arg, frame, received_ns)

    def closed(self, reason: str) -> None:
        """Empty the books; give up on subscriptions that OKX refuses for good."""
        del reason
        for inst_id, book in self._books.items():
            if book.is_ready:
                book.reset()
                self._on_change(inst_id)
        for top in self._tops.values():
            top.reset()
        refused = self._subscriptions.refused
        is_definite = any(code in DEFINITE_CODES for code, _ in refused.values())
        if is_definite or self._refusals_in_a_row >= _REFUSALS_TOLERATED:
            raise VenueRejected(
                f"subscription refused: {self._named_refusals()}",
                venue=VENUE,
                operation="stream.subscribe",
                outcome=Outcome.REJECTED,
            )

    # --- control ------------------------------------------------------------------------------

    def _args(self) -> list[OkxArg]:
        channels = [self._channel]
        channels += ["trades"] if self._on_trade is not None else []
        channels += ["tickers"] if self._on_ticker is not None else []
        channels += [_TOP] if self._tops else []
        args = [OkxArg(channel, name) for channel in channels for name in self._instruments]
        if self._on_instrument is not None:
            kinds = sorted({each.inst_type for each in self._instruments.values()})
            args += [OkxArg("instruments", instType=kind.value) for kind in kinds]
        return args

    def _on_event(self, envelope: wire.Envelope) -> str | None:
        event = envelope.event
        if event == "notice" and envelope.code == _RESTART_SOON:
            raise VenueUnavailable(
                f"{explain(envelope)}: it restarts soon, connecting anew",
                venue=VENUE,
                operation="stream.notice",
                outcome=Outcome.NOT_SENT,
            )
        answer = None
        if event == "subscribe":
            answer = self._subscriptions.confirmed(envelope.arg)
        elif event == "unsubscribe" and self._subscriptions.is_unasked_end(envelope.arg):
            answer = self._resume(envelope.arg)
        elif event == "unsubscribe":
            answer = self._subscriptions.ended(envelope.arg)
        elif event == "error":
            answer = self._subscriptions.failed(envelope)
        self._subscriptions.check()
        if self._subscriptions.are_complete and not self.is_up:
            self._completed()
        return answer

    # What OKX no longer sends is no longer right, however alive the connection is.
    def _resume(self, arg: OkxArg | None) -> str:
        if arg is None:
            raise CorruptDataError("a subscription was ended without saying which")
        reason = f"OKX ended {words(arg)} unasked"
        if not self._resync_rate.try_acquire():
            raise CorruptDataError(reason)
        _LOG.warning("subscribed once more", reason=reason)
        self.resyncs += 1
        books = self._books if arg.channel == self._channel else self._tops
        book = books.get(arg.instId)
        if book is not None and book.channel == arg.channel and book.is_ready:
            book.reset()
            self._tell(book)
        return self._subscriptions.resume(arg)

    def _completed(self) -> None:
        if self._subscriptions.refused:
            self._refusals_in_a_row += 1
            raise CorruptDataError(f"subscription refused: {self._named_refusals()}")
        self._refusals_in_a_row = 0
        self._link.prepared()

    def _named_refusals(self) -> str:
        return ", ".join(f"{name}: {text}" for name, text in self.refused.items())

    # --- data ---------------------------------------------------------------------------------

    def _take(self, arg: OkxArg, frame: bytes, received_ns: int) -> str | None:
        if arg.channel == self._channel:
            return self._take_books(frame, received_ns, self._books)
        if arg.channel == _TOP and self._tops:
            return self._take_books(frame, received_ns, self._tops)
        if arg.channel == "trades" and self._on_trade is not None:
            for trade in wire.read_trades(frame).data:
                self._on_trade(wire.trade_of(trade, self._known(arg), received_ns))
        elif arg.channel == "tickers" and self._on_ticker is not None:
            for ticker in wire.read_tickers(frame).data:
                self._on_ticker(wire.ticker_of(ticker, self._known(arg), received_ns))
        elif arg.channel == "instruments" and self._on_instrument is not None:
            self._take_instruments(frame, self._on_instrument)
        else:
            raise CorruptDataError(f"data of {words(arg)}, which was not subscribed")
        return None

    def _take_instruments(self, frame: bytes, tell: Callable[[OkxInstrument], None]) -> None:
        for row in wire.read_instruments(frame).data:
            if row.inst_id in self._instruments:
                instrument = wire.instrument_of(row)
                self._instruments[row.inst_id] = instrument
                tell(instrument)

    def _known(self, arg: OkxArg) -> OkxInstrument:
        instrument = self._instruments.get(arg.instId)
        if instrument is None:
            raise CorruptDataError(f"data of {words(arg)}, which was not subscribed")
        return instrument

    def _take_books(
        self, frame: bytes, received_ns: int, books: Mapping[str, OkxBook]
    ) -> str | None:
        message = wire.read_books(frame)
        arg = message.arg
        book = books.get(arg.instId)
        if book is None or arg.channel != book.channel:
            raise CorruptDataError(f"data of {words(arg)}, which was not subscribed")
        self._subscriptions.check()
        if self._subscriptions.is_renewing(arg):
            return None  # of the subscription that is being ended
        version = book.version
        try:
            for row in message.data:
                book.apply(row, received_ns, is_snapshot=message.action == "snapshot")
            if message.data and not book.is_ready:
                raise SequenceGapError(f"{words(arg)}: an update came before the snapshot")
        except CorruptDataError as e:
            return self._on_refused(book, arg, e)
        finally:
            if book.version != version:
                self._tell(book)
        return None

    def _tell(self, book: OkxBook) -> None:
        if book is self._books.get(book.inst_id):
            self._on_change(book.inst_id)
        if book.channel == _TOP and self._on_top is not None:
            self._on_top(book)

    # The next message of a full channel replaces the book anyway.
    def _on_refused(self, book: OkxBook, arg: OkxArg, refusal: CorruptDataError) -> str | None:
        self.rejected += 1
        if book.channel in FULL_CHANNELS:
            _LOG.warning("book message refused", reason=str(refusal))
            return None
        if not self._resync_rate.try_acquire():
            raise CorruptDataError(f"too many gaps, the newest: {refusal}") from refusal
        _LOG.warning("book is subscribed anew", book=words(arg), reason=str(refusal))
        self.resyncs += 1
        if book.is_ready:  # refused whole, yet it cannot be trusted without the lost update
            book.reset()
        return self._subscriptions.renew(arg)
