"""The trusted order book of one symbol at one depth (Bybit V5 ``orderbook`` topic).

A message is applied whole or refused whole. What a refusal means:

* malformed, mistyped, off the grid, duplicate prices, another symbol's: nothing changed; the
  update that was lost, if it was one, shows up as a gap with the next message;
* a gap in ``u``, ``u`` or ``seq`` going backwards, bid at or above ask: the book can no longer be
  right. It is emptied, ``is_ready`` becomes false, and every measure answers None until a snapshot
  comes;
* a jump of ``u`` in a stream that was not seen to step by one (see
  :class:`~trading_system.market.contiguity.Contiguity`): the book is suspect. It is kept up to
  date, but ``is_ready`` is false until a snapshot comes: level 1 says nothing of deeper levels.

The class keeps no time of its own and starts nothing: one call, one consistent book.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from trading_system.domain.errors import CorruptDataError, SequenceGapError, ValidationError
from trading_system.domain.instruments import Instrument
from trading_system.market import kernels, kernels_plain
from trading_system.market.book_view import BookView
from trading_system.market.contiguity import Contiguity
from trading_system.market.decode import BookMessage, Frame, decode_book

DEPTHS = (1, 50, 200, 500, 1000)
"""Depths a book can be subscribed with; 500 is no longer offered for futures."""

_apply_levels = kernels_plain.apply_levels if kernels.IS_INTERPRETED else kernels.apply_levels
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


class OrderBook(BookView):
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
        Deltas passed over while waiting for a snapshot, or because they repeat the newest one.
    suspicions, confirmed_jumps : int
        Times the book became suspect, and times level 1 then showed the same best prices.
    """

    __slots__ = (
        "_capacity",
        "_contiguity",
        "_grid",
        "_is_jump_confirmed",
        "_packers",
        "_ready",
        "_run_start",
        "_symbol",
        "confirmed_jumps",
        "crossed",
        "gaps",
        "ignored",
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
        super().__init__(instrument, depth=depth)
        self._symbol = instrument.symbol
        self.topic = f"orderbook.{depth}.{instrument.symbol}"
        self.messages = self.gaps = self.crossed = self.rejected = self.ignored = 0
        self.suspicions = self.confirmed_jumps = 0
        self._is_jump_confirmed = False
        self._contiguity = contiguity
        self._run_start = 0  # ``u`` of the newest message that was not a step of one
        self._grid = (float(instrument.tick_size), float(instrument.qty_step))
        self._capacity = self._book.shape[1]
        self._packers: dict[int, Callable[..., None]] = {}  # at most one per message length
        self._ready = False

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
        if self._ready and message.update_id != 1 and not self._is_next(message):
            self.ignored += 1
            return False
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

    def learn_from(self, top: OrderBook) -> bool:
        """Learn that a jump lost nothing at level 1, once per suspicion; return whether it did so.

        Only a level-1 message of an equal or later ``seq`` counts: an older one says nothing. The
        book stays suspect, for its deeper levels may have lost something.
        """
        is_open = self._suspect and not self._is_jump_confirmed
        if not (is_open and top.is_ready and self.agrees_with(top)):
            return False
        if (top._bid_lots, top._ask_lots) != (self._bid_lots, self._ask_lots):
            return False
        self._is_jump_confirmed = True
        self.confirmed_jumps += 1
        if self._contiguity is not None:
            self._contiguity.confirmed()
        return True

    def agrees_with(self, top: OrderBook) -> bool | None:
        """Return whether both show the same best prices, None where ``top`` is too old to say."""
        if self._sequence is None or top._sequence is None or top._sequence < self._sequence:
            return None
        return self.shows_best_of(top)

    def shows_best_of(self, top: OrderBook) -> bool:
        """Return whether both show the same best prices, whichever of them is newer."""
        return (top._bid_ticks, top._ask_ticks) == (self._bid_ticks, self._ask_ticks)

    def distrust(self, reason: str) -> SequenceGapError:
        """Empty a book that something else proved wrong; return the error that says so."""
        if self._contiguity is not None:
            self._contiguity.refuted()
        return self._gap(reason)

    def _is_next(self, message: BookMessage) -> bool:
        # False for the newest delta once more, which loses nothing; raises on a loss.
        assert self._update_id is not None
        assert self._sequence is not None
        if not message.is_snapshot:
            if self.depth == 1:
                raise self._refusal("level 1 is sent as snapshots only")
            if message.update_id != self._update_id + 1:
                newest = (self._update_id, self._sequence)
                if (message.update_id, message.sequence) == newest:
                    return False
                self._on_jump(message.update_id, self._update_id)
        if message.sequence < self._sequence:
            raise self._gap(f"sequence {message.sequence} came after {self._sequence}")
        return True

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
            self._is_jump_confirmed = False
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
