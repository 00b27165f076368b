"""What the simulator needs of an exchange's book feed, and what a book looks like to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from trading_system.cost_simulator.faults import UnknownInstrumentError

Level = tuple[float, float]
_SHOWN_NAMES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class BookView:
    """One trusted two-sided book.

    Parameters
    ----------
    bids, asks : sequence of (float, float)
        Price in quote currency and size in base currency, best first.
    version : int
        Grows with every change of this book.
    sequence : int or None
        The exchange's own number of the newest message.
    ts_exchange_ns : int or None
        The exchange's time of the newest message, UTC nanoseconds.
    received_ns : int
        Monotonic receive time of the newest message.
    confirmed_ns : int
        Monotonic time at which the book was last known to be right; staleness counts from here.
    """

    bids: Sequence[Level]
    asks: Sequence[Level]
    version: int
    sequence: int | None
    ts_exchange_ns: int | None
    received_ns: int
    confirmed_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One message that changed a book.

    Parameters
    ----------
    mid : float
        Middle of the best prices after it, quote currency.
    received_ns, decoded_ns, applied_ns : int
        Monotonic times of receipt, after decoding and after the book changed. ``decoded_ns`` is
        None where the feed does both at once.
    """

    instrument: str
    mid: float
    received_ns: int
    decoded_ns: int | None
    applied_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told of ticks, and of instruments whose book was lost; both synchronous."""

    on_tick: Callable[[Tick], None]
    on_lost: Callable[[str], None]


class BookFeed(Protocol):
    """Live books of one exchange."""

    @property
    def exchange(self) -> str:
        """Name of the exchange, lower case."""
        ...

    @property
    def products(self) -> dict[str, str]:
        """Kind of each instrument served (``spot`` or ``perpetual``), by instrument."""
        ...

    def listen(self, listeners: Listeners) -> None:
        """Tell ``listeners`` from now on; called once, before :meth:`run`."""
        ...

    async def run(self) -> None:
        """Keep the books alive until cancelled."""
        ...

    def view(self, instrument: str) -> BookView | None:
        """Return the book, None while there is no trusted two-sided one."""
        ...

    def figures(self) -> dict[str, Any]:
        """Return counters of the connection, JSON-safe."""
        ...


def not_offered(exchange: str, name: str, offered: Sequence[str]) -> UnknownInstrumentError:
    """Return the error for an instrument that ``exchange`` lacks; it names some that there are."""
    shown = ", ".join(offered[:_SHOWN_NAMES])
    remedy = f"take one of {shown}" if shown else "it lists none now, try again later"
    return UnknownInstrumentError(f"{exchange} does not offer {name}; {remedy}")
