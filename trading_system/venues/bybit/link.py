"""One WebSocket that stays alive: connect, ping, watch, reconnect with jittered back-off.

What travels over it is the business of a :class:`LinkUser`. Liveness is judged by one watchdog
per connection: every ping must bring some traffic before the next ping is due, and by then
log-in and subscription must be through.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol

import aiohttp
import structlog

from trading_system.domain.errors import CorruptDataError, VenueAuthError, VenueUnavailable
from trading_system.domain.ports import Clock
from trading_system.runtime.backoff import Backoff
from trading_system.venues.bybit.refusals import not_sent, unknown

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_MAX_FRAME_BYTES = 4 * 1024 * 1024
_CLOSE_S = 2.0
_PING = '{"op":"ping"}'
_Socket = aiohttp.ClientWebSocketResponse[Literal[False]]  # frames as bytes


class LinkState(Enum):
    """Where a link is in its life."""

    IDLE = "idle"
    CONNECTING = "connecting"
    PREPARING = "preparing"
    UP = "up"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTiming:
    """Patience of a link, seconds.

    Parameters
    ----------
    connect_s : float
        For opening a connection.
    ping_s : float
        From one ping to the next; silence as long as this drops the connection.
    spacing_s : float
        Shortest time from one connection attempt to the next.
    stable_s : float
        How long a connection must have lasted for the back-off to begin anew.
    send_s : float
        For handing a frame to the socket.
    backoff : Backoff
        Delays between attempts.
    """

    connect_s: float = 10.0
    ping_s: float = 10.0
    spacing_s: float = 1.0
    stable_s: float = 30.0
    send_s: float = 5.0
    backoff: Backoff = field(
        default_factory=lambda: Backoff(first_s=0.4, max_s=15.0, attempts=100_000)
    )


class LinkUser(Protocol):
    """What a link serves; every method is synchronous."""

    def opened(self) -> str | None:
        """Return the first text to send on a new connection."""
        ...

    def received(self, frame: bytes, received_ns: int) -> str | None:
        """Take one frame and its monotonic stamp; return a text to send in answer.

        Raises
        ------
        CorruptDataError
            To have the connection dropped and opened anew.
        VenueAuthError
            To end the link.
        """
        ...

    def closed(self, reason: str) -> None:
        """Learn that the connection is lost; also called for an attempt that failed."""
        ...


class Link:
    """Keeps one connection of a user alive.

    Parameters
    ----------
    url : str
        Full address including the path.
    user : LinkUser
        Receiver of frames and state changes.
    clock : Clock
        Source of receive stamps.
    jitter : random.Random
        Source of the back-off's jitter.
    timing : LinkTiming
        Patience.
    """

    def __init__(
        self,
        url: str,
        user: LinkUser,
        *,
        clock: Clock,
        jitter: random.Random,
        timing: LinkTiming | None = None,
    ) -> None:
        self._url = url
        self._user = user
        self._clock = clock
        self._jitter = jitter
        self._timing = timing or LinkTiming()
        self._socket: _Socket | None = None
        self._drop_reason: str | None = None
        self.state = LinkState.IDLE
        self.attempts = 0
        self.connects = 0
        self.frames = 0
        self.last_frame_ns: int | None = None
        self.reason: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether the connection is open, logged in and subscribed."""
        return self.state is LinkState.UP

    def prepared(self) -> None:
        """Let the user say that log-in and subscription are through."""
        self.state = LinkState.UP

    async def run(self) -> None:
        """Keep the connection alive until cancelled.

        Raises
        ------
        VenueAuthError
            If the venue refuses the key; reconnecting would not help.
        VenueUnavailable
            When the back-off has run out of attempts.
        """
        delays = self._delays()
        try:
            async with aiohttp.ClientSession() as session:
                while True:
                    started_ns = self._clock.monotonic_ns()
                    self._lost(await self._attempt(session))
                    lasted_s = (self._clock.monotonic_ns() - started_ns) / _NS_PER_S
                    if lasted_s > self._timing.stable_s:
                        delays = self._delays()
                    delay_s = next(delays, None)
                    if delay_s is None:
                        raise not_sent(f"gave up: {self.reason}", operation="stream.connect")
                    self.state = LinkState.WAITING
                    await asyncio.sleep(max(delay_s, self._timing.spacing_s - lasted_s))
        finally:
            self.state = LinkState.ENDED

    async def send(self, text: str, *, has_deadline: bool = False) -> None:
        """Hand ``text`` to the socket.

        Parameters
        ----------
        has_deadline : bool
            Whether the caller's own deadline covers this; then there is no second one.

        Raises
        ------
        VenueUnavailable
            NOT_SENT without a connection, UNKNOWN if the socket did not take it.
        """
        socket = self._socket
        if socket is None or socket.closed:
            raise not_sent("there is no connection", operation="stream.send")
        try:
            if has_deadline:
                await socket.send_str(text)
                return
            async with asyncio.timeout(self._timing.send_s):
                await socket.send_str(text)
        except (aiohttp.ClientError, OSError) as e:
            raise unknown(f"the socket failed: {e!r}", operation="stream.send") from e

    async def drop(self, reason: str) -> None:
        """Close the connection so that it is opened anew."""
        if self._socket is not None:
            self._drop_reason = reason
            await self._socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    def _delays(self) -> Iterator[float]:
        return self._timing.backoff.delays(self._jitter)

    def _lost(self, reason: str) -> None:
        self.reason = reason
        _LOG.warning("stream down", url=self._url, reason=reason)
        self._user.closed(reason)

    async def _attempt(self, session: aiohttp.ClientSession) -> str:
        self.attempts += 1
        self.state = LinkState.CONNECTING
        try:
            async with asyncio.timeout(self._timing.connect_s):
                socket = await session.ws_connect(
                    self._url,
                    max_msg_size=_MAX_FRAME_BYTES,
                    decode_text=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                )
        except (aiohttp.ClientError, OSError) as e:
            return f"cannot connect: {_words(e)}"
        self.connects += 1
        self._socket = socket
        self._drop_reason = None
        self.state = LinkState.PREPARING
        try:
            return await self._connection(socket)
        except BaseExceptionGroup as e:  # one failure is enough to know
            raise e.exceptions[0] from e
        finally:
            self._socket = None
            self.state = LinkState.WAITING
            await socket.close()

    async def _connection(self, socket: _Socket) -> str:
        reason = "closed"
        try:
            async with asyncio.TaskGroup() as group:
                watchdog = group.create_task(self._watch(socket), name="watchdog")
                reason = await self._receive(socket)
                watchdog.cancel()
        except* VenueAuthError as failures:  # also a ConnectionError, so it comes first
            raise failures.exceptions[0] from None
        except* (aiohttp.ClientError, OSError, VenueUnavailable) as failures:
            reason = f"lost: {failures.exceptions[0]!r}"
        return self._drop_reason or reason

    async def _watch(self, socket: _Socket) -> None:
        while True:
            frames = self.frames
            await socket.send_str(_PING)
            await asyncio.sleep(self._timing.ping_s)
            if self.frames == frames:
                await self.drop(f"silent for {self._timing.ping_s:g} s after a ping")
            elif self.state is not LinkState.UP:
                await self.drop("log-in or subscription was not confirmed in time")
            else:
                continue
            return

    async def _receive(self, socket: _Socket) -> str:
        first = self._user.opened()
        if first is not None:
            await self.send(first)
        async for message in socket:
            received_ns = self._clock.monotonic_ns()
            self.last_frame_ns = received_ns
            if message.type is not aiohttp.WSMsgType.TEXT:
                return f"unexpected frame type {message.type!r}"
            self.frames += 1
            try:
                answer = self._user.received(message.data, received_ns)
            except CorruptDataError as e:
                return f"untrusted frame: {e}"
            if answer is not None:
                await self.send(answer)
        return f"closed with code {socket.close_code}"


class LinkView:
    """What a stream lets its owner read of the link that it runs on."""

    _link: Link

    @property
    def state(self) -> LinkState:
        """Where the connection is in its life."""
        return self._link.state

    @property
    def is_up(self) -> bool:
        """Whether the connection is open, logged in and subscribed."""
        return self._link.is_up

    @property
    def connects(self) -> int:
        """Connections opened so far."""
        return self._link.connects

    @property
    def last_frame_ns(self) -> int | None:
        """Monotonic time of the newest frame, None before the first."""
        return self._link.last_frame_ns

    @property
    def reason(self) -> str | None:
        """Why the connection was last lost, None if it never was."""
        return self._link.reason


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}: {error.os_error.strerror}"
    return str(error) or type(error).__name__
