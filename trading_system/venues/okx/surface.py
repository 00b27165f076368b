"""What every feed of OKX books offers: ready books with sizes in base currency."""

from __future__ import annotations

from collections.abc import Mapping

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side
from trading_system.venues.link import LinkView
from trading_system.venues.okx.book import OkxBook
from trading_system.venues.okx.instruments import Levels, OkxInstrument


class OkxBookView(LinkView):
    """Readings of a feed's books; every unknown instrument is a ValidationError.

    Attributes
    ----------
    resyncs : int
        Books thrown away and asked for anew without a new connection.
    """

    _books: Mapping[str, OkxBook]
    _instruments: dict[str, OkxInstrument]
    resyncs: int = 0

    @property
    def reconnects(self) -> int:
        """Connections opened after the first one."""
        return max(0, self.connects - 1)

    @property
    def frames(self) -> int:
        """Frames received so far, control frames included."""
        return self._link.frames

    def instrument(self, inst_id: str) -> OkxInstrument:
        """Return the instrument's newest description."""
        self.book(inst_id)
        return self._instruments[inst_id]

    def book(self, inst_id: str) -> OkxBook:
        """Return the book of an instrument; its sizes are contracts (SPOT: base currency)."""
        book = self._books.get(inst_id)
        if book is None:
            known = ", ".join(sorted(self._books)[:8])
            raise ValidationError(f"this feed does not carry {inst_id[:40]!r}; it has {known}")
        return book

    def depth(self, inst_id: str, count: int = 400) -> tuple[Levels, Levels] | None:
        """Return up to ``count`` bids and asks, best first, as (price, base currency).

        None while the book is not ready: never an old book.
        """
        book = self.book(inst_id)
        if not book.is_ready:
            return None
        instrument = self._instruments[inst_id]
        return (
            instrument.base_levels(book.levels(Side.BUY, count)),
            instrument.base_levels(book.levels(Side.SELL, count)),
        )

    def received_ns(self, inst_id: str) -> int | None:
        """Return the monotonic time of the newest message of a book, None before it."""
        return self.book(inst_id).received_ns

    def version(self, inst_id: str) -> int:
        """Return the number of changes of a book so far, being emptied included."""
        return self.book(inst_id).version
