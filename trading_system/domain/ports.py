"""What siblings need of each other; the roof connects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import (
    BatchOutcome,
    OrderAck,
    OrderIntent,
    PriceChange,
    RestingOrder,
    TrailingStop,
)
from trading_system.domain.parents import ParentOrder, ParentResult
from trading_system.domain.signals import MarketFeatures, Opinion


class Clock(Protocol):
    """Time as a parameter."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go backwards, for durations."""
        ...

    def utc_ns(self) -> int:
        """Return UTC nanoseconds since the epoch, for display and the wire."""
        ...


class OrderGateway(Protocol):
    """Something that sends orders: the raw venue client, or the risk gate in front of it."""

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        """Send ``intent``.

        Raises
        ------
        OrderDenied
            If the gate refused; nothing was sent.
        VenueError
            See ``outcome`` for what is known.
        """
        ...

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order; its fate arrives on the private stream."""
        ...

    async def cancel_all(self, symbol: str | None, *, timeout_s: float) -> None:
        """Ask for the cancellation of every order of ``symbol``, or of the account for None.

        Conditional orders are cancelled as well; stops that belong to a position stay.
        """
        ...

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Send several orders, up to ten in one request; each ends for itself, in order."""
        ...

    async def amend_batch(
        self, changes: Sequence[PriceChange], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Move resting orders to new prices, up to ten in one request; each ends for itself."""
        ...

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Ask for the cancellation of (symbol, link id) pairs, up to ten in one request."""
        ...


class StopSetter(Protocol):
    """Where stops of whole positions are set; they can only close."""

    async def protect(
        self, symbol: str, stop_price: Decimal | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        """Let a stop loss for the whole position of ``symbol`` rest at the venue; None removes it.

        The stop closes the position at market when the mark price reaches ``stop_price``.

        Parameters
        ----------
        position_idx : int
            0 in one-way mode; in hedge mode 1 for the long and 2 for the short position.
        """
        ...

    async def trail(
        self, symbol: str, stop: TrailingStop | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        """Let a trailing stop for the whole position rest at the venue; None removes it."""
        ...


class VenueGateway(OrderGateway, StopSetter, Protocol):
    """The raw venue client as the engine holds it."""

    async def amend(
        self,
        symbol: str,
        link_id: str,
        *,
        timeout_s: float,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
    ) -> OrderAck:
        """Change quantity, price or trigger price of one order that is not final."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, complete and signed; nothing below changes a byte of it.

    Parameters
    ----------
    method : str
        ``GET`` or ``POST``.
    url : str
        Absolute, query included and encoded.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTiming:
    """Where the time of one request went, milliseconds; None where the phase did not happen.

    Parameters
    ----------
    queue_ms : float
        From the call until a connection took it.
    connect_ms : float or None
        Opening a connection, None when a warm one was used.
    send_ms : float or None
        From a connection being there until the last byte was handed to the socket.
    response_ms : float
        From the last byte sent until the whole answer was read.
    total_ms : float
        From the call until the whole answer was read.
    first_byte_ms : float or None
        From the last byte sent until the answer's status line and headers were there; None where
        the transport does not tell.
    """

    queue_ms: float
    connect_ms: float | None
    send_ms: float | None
    response_ms: float
    total_ms: float
    first_byte_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """The whole answer to one request, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    timing: HttpTiming


class HttpTransport(Protocol):
    """Warm connections to one or more hosts; sends each request at most once."""

    @property
    def silent_for_s(self) -> float:
        """Seconds for which nothing is sent to a host that refuses this address, 0 as a rule."""
        ...

    async def request(self, request: HttpRequest, *, priority: int, timeout_s: float) -> HttpReply:
        """Send ``request`` and return the whole answer; redirects are not followed.

        Parameters
        ----------
        priority : int
            1 (highest) to 4 (lowest).
        timeout_s : float
            Deadline from this call on, the wait in the queue included, seconds.

        Raises
        ------
        VenueUnavailable
            ``outcome`` NOT_SENT if no byte can have left (no connection, queue full, deadline
            passed while waiting), UNKNOWN otherwise.
        """
        ...


class VenueClient(Protocol):
    """What the optimizers need of the gated client that users hold."""

    async def ensure_ready(self) -> None:
        """Connect on first use; afterwards return at once.

        Raises
        ------
        TradingSystemError
            If the venue cannot be reached or a setting is wrong.
        """
        ...

    @property
    def rest_url(self) -> str:
        """Base address of the venue's REST host, without a trailing slash."""
        ...

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        """Return the headers that sign ``payload`` (a GET's query or a POST's body)."""
        ...

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one symbol."""
        ...

    async def get_order_book_data(self, symbol: str, limit: int = 50) -> dict[str, Any]:
        """Return ``symbol``, ``bids``, ``asks`` ([price, size] texts, best first) and ``ts``."""
        ...

    def features(self, symbol: str) -> MarketFeatures | None:
        """Return the newest features of the live book, None without one."""
        ...

    async def execute_parent(self, parent: ParentOrder) -> ParentResult | None:
        """Work one parent order through the risk gate; None without a quote to start from."""
        ...

    async def place_order(self, symbol: str, side: str, **parameters: object) -> dict[str, Any]:
        """Send one order through the risk gate; see the client for parameters and result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteView:
    """What a market maker has to know of one symbol before it quotes.

    Parameters
    ----------
    bid, ask : Decimal
        Best prices of the trusted book, own orders included, quote currency.
    mid, microprice : float
        Quote currency.
    age_s : float
        Time since the book was last known to be right, seconds.
    position : Decimal
        Signed position of the account, base currency.
    """

    symbol: str
    bid: Decimal
    ask: Decimal
    mid: float
    microprice: float
    age_s: float
    position: Decimal


class QuotingVenue(Protocol):
    """What a market maker needs of the gated client: a view, and orders through the risk gate."""

    async def ensure_ready(self) -> None:
        """Connect on first use; afterwards return at once."""
        ...

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one symbol."""
        ...

    def maker_fee(self, symbol: str) -> float:
        """Return the account's maker fee as a fraction of value, negative for a rebate."""
        ...

    def quote_view(self, symbol: str) -> QuoteView | None:
        """Return the newest view, None without a trusted two-sided book."""
        ...

    def may_open(self) -> bool:
        """Return whether the gate lets orders through that open positions."""
        ...

    def resting_orders(self, symbol: str) -> tuple[RestingOrder, ...]:
        """Return the own orders of ``symbol`` without a settled outcome, oldest first."""
        ...

    def next_link_id(self) -> str:
        """Return a link id that was never used."""
        ...

    async def get_kline_data(
        self, symbol: str, interval: str = "1", limit: int = 200
    ) -> list[dict[str, Any]]:
        """Return candles, oldest first; the last one may still be open."""
        ...

    async def place_orders(self, intents: Sequence[OrderIntent]) -> list[BatchOutcome]:
        """Send orders through the gate, up to ten in one request."""
        ...

    async def amend_orders(self, changes: Sequence[PriceChange]) -> list[BatchOutcome]:
        """Move resting orders through the gate, up to ten in one request."""
        ...

    async def cancel_orders(self, orders: Sequence[tuple[str, str]]) -> list[BatchOutcome]:
        """Cancel (symbol, link id) pairs, up to ten in one request; always passes the gate."""
        ...


class SignalAgent(Protocol):
    """One specialist for one symbol; a new instance is made per symbol.

    An agent is found by an entry point of the group ``trading_system.agents`` or named by
    ``--signal module:Class``; the object there is called with the symbol.
    """

    @property
    def name(self) -> str:
        """Unique name of the agent."""
        ...

    @property
    def family(self) -> str:
        """Kind of evidence: agents of one family do not count as independent."""
        ...

    def observe(self, features: MarketFeatures) -> None:
        """See one instant; called for every decision, in time order, before :meth:`opinion`."""
        ...

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        """Return a view of the next seconds, None to abstain; at most some 100 microseconds."""
        ...

    def reset(self) -> None:
        """Drop what a gap in the market data made uncertain; keep what was learned."""
        ...


class StatusSource(Protocol):
    """Something that can say how the system is doing."""

    @property
    def state(self) -> str:
        """Where the system is in its life; cheap, and never an error: commands wait for it."""
        ...

    def get_system_status(self) -> dict[str, Any]:
        """Return the full status, JSON-safe, every documented key present."""
        ...


class Control(Protocol):
    """Commands of the control API; each returns when its effect is in force."""

    def request_stop(self, reason: str) -> None:
        """Ask for an ordered stop; returns at once, the first reason is kept."""
        ...

    async def pause(self, reason: str) -> dict[str, Any]:
        """Begin no new trade; open trades are still watched and closed."""
        ...

    async def resume(self, *, reset_limits: bool) -> dict[str, Any]:
        """Lift pause, reduce-only and kill; with ``reset_limits`` also a latched loss limit.

        Raises
        ------
        OrderDenied
            If a loss limit is latched and ``reset_limits`` is False; nothing was lifted.
        """
        ...

    async def reduce_only(self, reason: str) -> dict[str, Any]:
        """Let only orders through that shrink a position."""
        ...

    async def kill(self, reason: str, *, flatten: bool) -> dict[str, Any]:
        """Block all orders, cancel until none is open, then close positions if asked to."""
        ...

    async def execute(
        self, symbol: str, side: str, quantity: str, *, algorithm: str | None, urgency: str
    ) -> dict[str, Any]:
        """Work one parent order through the performance optimizer and return its cost analysis."""
        ...


class AlertSink(Protocol):
    """Somebody who is told of alerts; called from a worker thread, so it may block for a while."""

    @property
    def name(self) -> str:
        """How the log calls it, without any secret."""
        ...

    def send(self, title: str, text: str) -> None:
        """Deliver one message.

        Raises
        ------
        AlertDeliveryError
            If it was not delivered; the message names no secret.
        """
        ...


class Inspection(Protocol):
    """What the control API shows of a running system beside its status; reads only.

    Every answer is JSON-safe: numbers are finite, money is text, times are milliseconds since
    1970 UTC. What was not measured is None. Before the first session lists are empty.
    """

    def positions(self) -> dict[str, Any]:
        """Return the position of every traded symbol with its value, stop and both sides."""
        ...

    def orders(self) -> dict[str, Any]:
        """Return the own orders without a settled outcome, and the newest settled ones."""
        ...

    def fills(self, *, symbol: str | None, limit: int) -> dict[str, Any]:
        """Return the newest fills, newest first."""
        ...

    def signals(self, *, symbol: str | None, limit: int) -> dict[str, Any]:
        """Return the newest consensus of each symbol with every vote, and what became of it."""
        ...

    def executions(self, *, limit: int) -> dict[str, Any]:
        """Return the newest parent orders with their cost analysis, newest first."""
        ...

    def latency(self) -> dict[str, Any]:
        """Return the stages' percentiles, rolling and since the start, loop, collector, process."""
        ...

    def risk(self) -> dict[str, Any]:
        """Return each limit with what is used of it, and what holds trading."""
        ...

    def compliance_history(self) -> dict[str, Any]:
        """Return the time spent inside each target and the score over time."""
        ...

    def equity(self) -> dict[str, Any]:
        """Return the equity over the whole run, thinned out with time."""
        ...

    def alerts(self) -> dict[str, Any]:
        """Return firing and newest cleared alerts, the worst first."""
        ...

    def acknowledge(self, alert_id: str, *, note: str) -> dict[str, Any]:
        """Note that somebody looks after an alert, so that it is not sent again.

        Raises
        ------
        ValidationError
            If no such alert fires.
        """
        ...

    def market(self, symbol: str, *, depth: int) -> dict[str, Any]:
        """Return book, own orders and newest trades of one symbol.

        Raises
        ------
        ValidationError
            If the symbol is not traded here.
        """
        ...

    async def candles(self, symbol: str, *, interval: str, limit: int) -> dict[str, Any]:
        """Return candles from the venue, oldest first, and the own fills inside them.

        Raises
        ------
        ValidationError
            If the symbol is not traded here, or the interval is none of the venue's.
        VenueError, DeadlineExceeded
            If the venue did not answer.
        """
        ...

    def market_maker(self) -> dict[str, Any]:
        """Return the market maker's figures and quotes; ``active`` says whether one runs."""
        ...

    def journal(
        self, *, kind: str | None, key: str | None, before: int | None, limit: int
    ) -> dict[str, Any]:
        """Return rows of the journal, newest first, older than row ``before``.

        Raises
        ------
        ValidationError
            If there is no such kind of row.
        """
        ...

    def log(self, *, after: int, limit: int) -> dict[str, Any]:
        """Return log lines with a number above ``after``, oldest first."""
        ...
