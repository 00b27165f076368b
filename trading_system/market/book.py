"""The trusted order book of one symbol at one depth (Bybit V5 ``orderbook`` topic).

A message is applied whole or refused whole. What a refusal means:

* malformed, mistyped, off the grid, duplicate prices, another symbol's: nothing changed; the
  update that was lost, if it was one, shows up as a gap with the next message;
* a gap in ``u``, ``u`` or ``seq`` going backwards, bid at or above ask: the book can no longer be
  right. It is emptied, ``is_ready`` becomes false, and every measure answers None until a snapshot
  comes;
* a jump of ``u`` in a stream that was not seen to step by one (see
  :class:`~trading_system.market.contiguity.Contiguity`): the book is suspect. It is kept up to
  date, but ``is_ready`` is false until level 1 confirms it or a snapshot comes.

The class keeps no time of its own and starts nothing: one call, one consistent book.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

from trading_system.domain.errors import CorruptDataError, SequenceGapError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.market import kernels, kernels_plain
from trading_system.market.contiguity import Contiguity
from trading_system.market.decode import BookMessage, Frame, decode_book

DEPTHS = (1, 50, 200, 500, 1000)
"""Depths a book can be subscribed with; 500 is no longer offered for futures."""

if kernels.IS_INTERPRETED:
    _apply_levels = kernels_plain.apply_levels
    _depth_lots = kernels_plain.depth_lots
    _imbalance = kernels_plain.imbalance
    _microprice = kernels_plain.microprice
    _walk = kernels_plain.walk
else:
    _apply_levels = kernels.apply_levels
    _depth_lots = kernels.depth_lots
    _imbalance = kernels.imbalance
    _microprice = kernels.microprice
    _walk = kernels.walk

_OK = kernels.OK
_CROSSED = kernels.CROSSED
_DELTA = kernels.DELTA
_REASONS = {
    kernels.BAD_NUMBER: "a price that is not positive or a number out of range",
    kernels.OFF_GRID: "a price or size off the instrument's grid",
    kernels.DUPLICATE: "the same price twice on one side",
    kernels.ZERO_SIZE: "a size of zero in a snapshot, or below one lot",
    kernels.CROSSED: "a bid at or above the ask",
    kernels.TOO_MANY: "more levels than a book of this depth can change",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BookWalk:
    """What an immediate order would get from the displayed book.

    Parameters
    ----------
    filled_qty, unfilled_qty : float
        Base currency; the displayed book never fills more than it shows, the rest is unfilled.
    average_price : float
        Size-weighted mean price of the filled part, quote currency.
    worst_price : float
        Price of the deepest level touched, quote currency.
    cost_bps : float or None
        Signed distance of the average from the mid, positive is a cost; None without a mid.
    """

    filled_qty: float
    unfilled_qty: float
    average_price: float
    worst_price: float
    cost_bps: float | None


class OrderBook:
    """One symbol's aggregated book, kept from one ``orderbook.DEPTH.SYMBOL`` topic.

    Parameters
    ----------
    instrument : Instrument
        Supplies the symbol and the grid; prices and sizes off the grid are refused.
    depth : int
        Subscribed depth, one of ``DEPTHS``; levels beyond it are dropped.
    contiguity : Contiguity or None
        What was learned of the stream's steps; None takes every jump of ``u`` for a loss.

    Attributes
    ----------
    messages : int
        Messages handed in, refused ones included.
    gaps : int
        Times the stream was found to have lost messages (``u`` jump, ``seq`` going backwards).
    crossed : int
        Messages refused because they would have crossed or locked the book.
    rejected : int
        Messages refused as malformed or impossible, gaps and crossings not included.
    ignored : int
        Deltas passed over while waiting for a snapshot.
    suspicions, cleared : int
        Times the book became suspect, and times level 1 confirmed it.
    """

    __slots__ = (
        "_arrays",
        "_ask_lots",
        "_ask_ticks",
        "_bid_lots",
        "_bid_ticks",
        "_book",
        "_capacity",
        "_contiguity",
        "_grid",
        "_lot_ratio",
        "_meta",
        "_packers",
        "_ready",
        "_received_ns",
        "_run_start",
        "_sequence",
        "_suspect",
        "_symbol",
        "_tick_ratio",
        "_ts_exchange_ns",
        "_update",
        "_update_id",
        "cleared",
        "crossed",
        "depth",
        "gaps",
        "ignored",
        "instrument",
        "messages",
        "rejected",
        "suspicions",
        "topic",
    )

    def __init__(
        self, instrument: Instrument, *, depth: int, contiguity: Contiguity | None = None
    ) -> None:
        if depth not in DEPTHS:
            raise ValidationError(f"book depth must be one of {DEPTHS}, was {depth}")
        self.instrument = instrument
        self.depth = depth
        self._symbol = instrument.symbol
        self.topic = f"orderbook.{depth}.{instrument.symbol}"
        self.messages = self.gaps = self.crossed = self.rejected = self.ignored = 0
        self.suspicions = self.cleared = 0
        self._contiguity = contiguity
        self._suspect = False
        self._run_start = 0  # ``u`` of the newest message that was not a step of one
        self._tick_ratio = instrument.tick_size.as_integer_ratio()
        self._lot_ratio = instrument.qty_step.as_integer_ratio()
        self._grid = (float(instrument.tick_size), float(instrument.qty_step))
        self._book, self._meta, self._update = kernels.allocate(depth)
        self._arrays = (self._book, self._meta, *self._tick_ratio)
        self._capacity = self._book.shape[1]
        self._packers: dict[int, Callable[..., None]] = {}  # at most one per message length
        self._update_id: int | None = None
        self._sequence: int | None = None
        self._ts_exchange_ns: int | None = None
        self._received_ns: int | None = None
        self._ready = False
        self._bid_ticks = self._bid_lots = self._ask_ticks = self._ask_lots = 0

    def apply_frame(self, frame: Frame, received_ns: int) -> bool:
        """Decode ``frame`` and apply it; see :meth:`apply`.

        Raises
        ------
        CorruptDataError
            If the frame is malformed; nothing changed.
        """
        try:
            message = decode_book(frame)
        except CorruptDataError:
            self.messages += 1
            self.rejected += 1
            raise
        return self.apply(message, received_ns)

    def apply(self, message: BookMessage, received_ns: int) -> bool:
        """Apply one message of this book's topic.

        Parameters
        ----------
        message : BookMessage
            A snapshot, or any message whose ``u`` is 1, replaces the book; another delta must
            have the next ``u``, or a later one where nothing shows that this stream steps by
            one, and a ``seq`` that is not lower. At depth 1 there are only snapshots, and ``u``
            may repeat or jump.
        received_ns : int
            Monotonic nanoseconds of receipt.

        Returns
        -------
        bool
            True when the book changed hands to the new state, though it may be suspect; False
            when the message is a delta and the book still waits for its snapshot.

        Raises
        ------
        SequenceGapError
            If messages were lost; the book is empty and not ready until a snapshot.
        CorruptDataError
            If the message is impossible; nothing changed, except that a message which would cross
            the book empties it like a gap.
        """
        self.messages += 1
        replaces = message.is_snapshot or message.update_id == 1
        if message.topic != self.topic or message.symbol != self._symbol:
            raise self._refusal(f"it belongs to {message.topic[:64]!r}")
        if not (replaces or self._ready):
            if self.depth == 1:
                raise self._refusal("level 1 is sent as snapshots only")
            self.ignored += 1
            return False
        if self._ready and message.update_id != 1:
            self._check_order(message)
        mode = _DELTA
        if replaces:
            mode = kernels.SNAPSHOT if message.is_snapshot else kernels.REPLACE
        best = self._write(message.levels, message.bid_count, mode)
        if replaces:
            self._begin_run(message.update_id)
        _, self._bid_ticks, self._bid_lots, self._ask_ticks, self._ask_lots = best
        self._update_id = message.update_id
        self._sequence = message.sequence
        self._ts_exchange_ns = message.ts_exchange_ns
        self._received_ns = received_ns
        self._ready = True
        return True

    def reset(self) -> None:
        """Empty the book, as after a lost connection; the next snapshot makes it ready again."""
        self._ready = self._suspect = False
        self._meta[1] = self._meta[2] = 0
        self._bid_ticks = self._bid_lots = self._ask_ticks = self._ask_lots = 0

    @property
    def is_ready(self) -> bool:
        """Whether the book is known to equal the venue's as of :attr:`update_id`."""
        return self._ready and not self._suspect

    @property
    def is_suspect(self) -> bool:
        """Whether messages may have been lost: it is kept up to date, but nothing may use it."""
        return self._suspect

    def verify(self, top: OrderBook) -> bool:
        """Clear the suspicion if level 1 shows the same best prices and sizes; return whether.

        Only a level-1 message of an equal or later ``seq`` counts: an older one says nothing.
        """
        if not (self._suspect and top.is_ready and self.agrees_with(top)):
            return False
        if (top._bid_lots, top._ask_lots) != (self._bid_lots, self._ask_lots):
            return False
        self._suspect = False
        self.cleared += 1
        if self._contiguity is not None:
            self._contiguity.confirmed()
        return True

    def agrees_with(self, top: OrderBook) -> bool | None:
        """Return whether both show the same best prices, None where ``top`` is too old to say."""
        if self._sequence is None or top._sequence is None or top._sequence < self._sequence:
            return None
        return (top._bid_ticks, top._ask_ticks) == (self._bid_ticks, self._ask_ticks)

    def distrust(self, reason: str) -> SequenceGapError:
        """Empty a book that something else proved wrong; return the error that says so."""
        if self._contiguity is not None:
            self._contiguity.refuted()
        return self._gap(reason)

    @property
    def update_id(self) -> int | None:
        """``u`` of the newest applied message, None before the first."""
        return self._update_id

    @property
    def sequence(self) -> int | None:
        """``seq`` of the newest applied message, None before the first."""
        return self._sequence

    @property
    def ts_exchange_ns(self) -> int | None:
        """Matching engine's time of the newest applied message, UTC nanoseconds."""
        return self._ts_exchange_ns

    @property
    def received_ns(self) -> int | None:
        """Monotonic receive time of the newest applied message, nanoseconds."""
        return self._received_ns

    @property
    def arrays(self) -> tuple[kernels.IntArray, kernels.IntArray, int, int]:
        """The kernels' ``book`` and ``meta``, and the tick size as numerator and denominator."""
        return self._arrays

    def age_ns(self, now_ns: int) -> int | None:
        """Return nanoseconds since the newest applied message, None before the first.

        ``now_ns`` is of the same monotonic clock as the receive times. A quiet book grows old
        without being wrong: judging staleness takes more than this.
        """
        return None if self._received_ns is None else now_ns - self._received_ns

    @property
    def best_bid_ticks(self) -> int | None:
        """Highest bid, ticks; None when there is none."""
        return self._bid_ticks or None

    @property
    def best_bid_lots(self) -> int | None:
        """Size at the highest bid, lots; None when there is none."""
        return self._bid_lots or None

    @property
    def best_ask_ticks(self) -> int | None:
        """Lowest ask, ticks; None when there is none."""
        return self._ask_ticks or None

    @property
    def best_ask_lots(self) -> int | None:
        """Size at the lowest ask, lots; None when there is none."""
        return self._ask_lots or None

    @property
    def mid(self) -> float | None:
        """Middle of best bid and ask, quote currency; None when a side is empty."""
        if not (self._bid_ticks and self._ask_ticks):
            return None
        numerator, denominator = self._tick_ratio
        return (self._bid_ticks + self._ask_ticks) * numerator / (2 * denominator)

    @property
    def spread(self) -> float | None:
        """Best ask minus best bid, quote currency, positive; None when a side is empty."""
        if not (self._bid_ticks and self._ask_ticks):
            return None
        numerator, denominator = self._tick_ratio
        return (self._ask_ticks - self._bid_ticks) * numerator / denominator

    def imbalance(self, levels: int) -> float | None:
        """Return (bids - asks) / (bids + asks), the sizes summed over the best ``levels``.

        In [-1, 1], unit weights; None when nothing rests there. With one side empty it is -1 or
        1: look at :attr:`mid` first. Fewer levels than asked for count as they are.
        """
        value: float = _imbalance(self._book, self._meta, levels)
        return None if value != value else value  # noqa: PLR0124 - NaN, the fast way

    def microprice(self) -> float | None:
        """Return the size-weighted mid of the best levels, quote currency.

        (ask * bid size + bid * ask size) / (bid size + ask size), within [bid, ask]; None when a
        side is empty. It is the martingale estimate of Stoikov (2018) only to first order: no
        spread or imbalance states are fitted.
        """
        ticks = _microprice(self._book, self._meta)
        return None if math.isnan(ticks) else self._price(ticks)

    def depth_lots(self, side: Side, levels: int) -> int:
        """Return the lots resting on the best ``levels`` of the bids (BUY) or asks (SELL)."""
        return int(_depth_lots(self._book, self._meta, _row(side), levels))

    def levels(self, side: Side, count: int) -> list[tuple[int, int]]:
        """Return up to ``count`` levels of the bids (BUY) or asks (SELL), best first.

        Each is (ticks, lots), both positive.
        """
        row = _row(side)
        shown = min(max(count, 0), int(self._meta[1 + row]))
        first = int(self._meta[0]) + 2 * row
        ticks, lots = self._book[first, :shown].tolist(), self._book[first + 1, :shown].tolist()
        return list(zip(ticks, lots, strict=True))

    def walk(self, side: Side, qty: float) -> BookWalk | None:
        """Return what an immediate order of ``side`` would get from the displayed book.

        Parameters
        ----------
        side : Side
            The order's side: a BUY consumes asks.
        qty : float
            Base currency, finite and positive; need not be on the grid.

        Returns
        -------
        BookWalk or None
            None when the opposite side is empty or the book suspect. Valid for an order that
            arrives now and alone: hidden size, other takers and replenishment are not modelled.

        Raises
        ------
        ValidationError
            If ``qty`` is not finite and positive.
        """
        if not (math.isfinite(qty) and qty > 0):
            raise ValidationError(f"quantity to walk must be finite and positive, was {qty}")
        if self._suspect:
            return None
        lot_numerator, lot_denominator = self._lot_ratio
        lots = float(qty) * lot_denominator / lot_numerator
        taken, mean_ticks, worst = _walk(self._book, self._meta, _row(side.opposite), lots)
        if not taken:
            return None
        filled = qty if taken >= lots else taken * lot_numerator / lot_denominator
        average, mid = self._price(mean_ticks), self.mid
        return BookWalk(
            filled_qty=filled,
            unfilled_qty=max(qty - filled, 0.0),
            average_price=average,
            worst_price=self._price(worst),
            cost_bps=None if mid is None else side.sign * (average - mid) / mid * 10_000,
        )

    def _price(self, ticks: float) -> float:
        numerator, denominator = self._tick_ratio
        return ticks * numerator / denominator

    def _check_order(self, message: BookMessage) -> None:
        assert self._update_id is not None
        assert self._sequence is not None
        if not message.is_snapshot:
            if self.depth == 1:
                raise self._refusal("level 1 is sent as snapshots only")
            if message.update_id != self._update_id + 1:
                self._on_jump(message.update_id, self._update_id)
        if message.sequence < self._sequence:
            raise self._gap(f"sequence {message.sequence} came after {self._sequence}")

    def _on_jump(self, update_id: int, previous: int) -> None:
        contiguity, steps = self._contiguity, previous - self._run_start
        text = f"update {update_id} came after {previous}"
        if contiguity is None or update_id < previous + 1:
            raise self._gap(text)
        contiguity.stepped(steps)
        was_strict = contiguity.is_strict
        contiguity.jumped()
        self._run_start = update_id
        if was_strict:
            raise self._gap(text)
        if not (contiguity.is_loose or self._suspect):
            self._suspect = True
            self.suspicions += 1

    def _begin_run(self, update_id: int) -> None:
        if self._contiguity is not None and self._ready and self._update_id is not None:
            self._contiguity.stepped(self._update_id - self._run_start)
        self._run_start = update_id
        self._suspect = False

    def _write(self, levels: list[float], bid_count: int, mode: int) -> kernels.Applied:
        count = len(levels) // 2
        ask_count = count - bid_count
        if bid_count > self._capacity or ask_count > self._capacity:
            raise self._refusal(_REASONS[kernels.TOO_MANY])
        pack = self._packers.get(count) or self._packer(count)
        try:
            pack(self._update, 0, *self._grid, mode, bid_count, ask_count, *levels)
        except struct.error as e:  # only a message built by hand can hold anything but pairs
            raise self._refusal("a level that is not a pair of floats") from e
        best = _apply_levels(self._book, self._meta, self._update)
        if best[0] != _OK:
            raise self._refusal(_REASONS[best[0]], is_crossing=best[0] == _CROSSED)
        return best

    def _packer(self, count: int) -> Callable[..., None]:
        packer = self._packers[count] = struct.Struct(f"={kernels.HEADER + 2 * count}d").pack_into
        return packer

    def _refusal(self, reason: str, *, is_crossing: bool = False) -> CorruptDataError:
        if is_crossing:
            self.crossed += 1
            self.reset()
        else:
            self.rejected += 1
        return CorruptDataError(f"{self.topic} refused a message with {reason}")

    def _gap(self, reason: str) -> SequenceGapError:
        self.gaps += 1
        self.reset()
        return SequenceGapError(f"{self.topic} lost messages: {reason}")


def _row(side: Side) -> int:
    return 0 if side is Side.BUY else 1
