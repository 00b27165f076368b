"""What a connection does with its client's frames: the OKX endpoints and the relay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from zlib import crc32

from trading_system.domain.ports import Clock
from trading_system.simulation.okx_server.catalogue import (
    LOGIN_FAILED,
    TOO_FREQUENT,
    Endpoint,
    Refusal,
    Stream,
    find,
)
from trading_system.simulation.okx_server.feeds import RELAY, OkxFeeds
from trading_system.simulation.okx_server.limits import REQUESTS_PER_HOUR, Window
from trading_system.simulation.okx_server.market import OkxMarket
from trading_system.simulation.okx_server.requests import Request, read
from trading_system.simulation.okx_server.rows import Row, encode

NO_DATA_CODE = 4004
"""Close code of a connection that had no subscription or no data for 30 s."""

PATIENCE_S = 30.0
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_HOUR_S = 3600.0

End = Callable[[int, str], None]
"""Closes a connection with a code and a reason."""


class Client(Protocol):
    """What the streams need of a connected client."""

    connection_id: str
    is_closed: bool

    def push(self, payload: bytes) -> None:
        """Queue one frame."""
        ...

    def later(self, action: Callable[[], None]) -> None:
        """Run ``action`` after the acknowledgement delay, behind everything delayed before."""
        ...


class OkxChannel:
    """``/ws/v5/public``, ``business`` or ``private``: acknowledges and follows what is asked for.

    Parameters
    ----------
    end : callable
        Closes the connection with a code and a reason, behind everything queued so far.
    is_limited : bool
        Whether 480 requests an hour are the most.
    """

    def __init__(
        self,
        client: Client,
        feeds: OkxFeeds,
        market: OkxMarket,
        *,
        end: End,
        endpoint: Endpoint,
        clock: Clock,
        is_limited: bool,
    ) -> None:
        self._client = client
        self._feeds = feeds
        self._market = market
        self._end = end
        self._endpoint = endpoint
        self._clock = clock
        self._quota = Window(limit=REQUESTS_PER_HOUR, length_s=_HOUR_S) if is_limited else None
        self._connection = f"{crc32(client.connection_id.encode()):08x}"
        self._followed: dict[Stream, None] = {}
        self._alive_s = self._now_s()
        self.is_ended = False

    def push(self, payload: bytes) -> None:
        """Queue one frame of data; it keeps the connection alive."""
        self._alive_s = self._now_s()
        self._client.push(payload)

    def receive(self, text: str) -> None:
        """Handle ping, subscribe and unsubscribe; everything else is answered as an error."""
        if text == "ping":
            if self._followed:
                self._alive_s = self._now_s()
            self._client.push(b"pong")
            return
        request = read(text)
        if isinstance(request, Refusal):
            self._refuse(request, None)
        elif self._quota is not None and not self._quota.take(self._now_s()):
            message = f"Requests too frequent: at most {REQUESTS_PER_HOUR} per hour."
            self._refuse(Refusal(TOO_FREQUENT, message), request.request_id)
        elif request.operation == "login":
            self._refuse(
                Refusal(LOGIN_FAILED, "Login failed: this venue has OKX's public data only."),
                request.request_id,
            )
        else:
            self._client.later(lambda: self._serve(request))

    def sweep(self) -> None:
        """Close the connection if it had no subscription or no data for 30 s."""
        if self.is_ended or self._now_s() - self._alive_s < PATIENCE_S:
            return
        self.is_ended = True
        self._end(NO_DATA_CODE, "No subscription or no data for 30s")

    def close(self) -> None:
        """Drop every subscription."""
        self.is_ended = True
        for stream in self._followed:
            self._feeds.unsubscribe(self, stream)
        self._followed.clear()

    # One acknowledgement per arg, and the data of an arg only after its own.
    def _serve(self, request: Request) -> None:
        for arg in request.args:
            if self.is_ended or self._client.is_closed:
                return
            stream = find(
                arg,
                self._endpoint,
                instruments=self._market.contracts,
                indexes=self._market.by_index,
            )
            if isinstance(stream, Refusal):
                self._refuse(stream, request.request_id)
            elif request.operation == "subscribe":
                self._subscribe(stream, arg, request)
            else:
                self._unsubscribe(stream, arg, request)

    def _subscribe(self, stream: Stream, arg: dict[str, str], request: Request) -> None:
        self._alive_s = self._now_s()
        self._acknowledge(arg, request)
        self._followed[stream] = None
        self._feeds.subscribe(self, stream, now_ms=self._clock.utc_ns() // _NS_PER_MS)

    def _unsubscribe(self, stream: Stream, arg: dict[str, str], request: Request) -> None:
        if stream in self._followed:
            self._alive_s = self._now_s()
            del self._followed[stream]
            self._feeds.unsubscribe(self, stream)
        self._acknowledge(arg, request)

    def _acknowledge(self, arg: dict[str, str], request: Request) -> None:
        self._answer({"event": request.operation, "arg": arg}, request.request_id)

    def _refuse(self, refusal: Refusal, request_id: str | None) -> None:
        code, message = refusal
        self._answer({"event": "error", "code": code, "msg": message}, request_id)

    def _answer(self, row: Row, request_id: str | None) -> None:
        named: Row = {} if request_id is None else {"id": request_id}
        self._client.push(encode(named | row | {"connId": self._connection}))

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / _NS_PER_S


class RelayChannel:
    """``/ws/l2-orderbook/okx/INSTID``: pushes at once and listens to nothing."""

    def __init__(self, client: Client, feeds: OkxFeeds, *, name: str, clock: Clock) -> None:
        self._client = client
        self._feeds = feeds
        self._stream = Stream(RELAY, name)
        feeds.subscribe(self, self._stream, now_ms=clock.utc_ns() // _NS_PER_MS)

    def push(self, payload: bytes) -> None:
        """Queue one frame."""
        self._client.push(payload)

    def receive(self, text: str) -> None:
        """Ignore what the client says."""

    def close(self) -> None:
        """Stop pushing."""
        self._feeds.unsubscribe(self, self._stream)
