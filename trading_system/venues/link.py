"""One WebSocket that stays alive: connect, ping, watch, reconnect with jittered back-off.

What travels over it is the business of a :class:`LinkUser`; how a venue is kept awake is said by
its :class:`Heartbeat`. Liveness is judged by one watchdog per connection: a ping must bring some
traffic in time, and log-in and subscription must be through by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import aiohttp
import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    VenueAuthError,
    VenueUnavailable,
)
from trading_system.domain.ports import Clock
from trading_system.runtime.backoff import Backoff
from trading_system.venues.link_state import LinkLife, LinkState

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_MAX_FRAME_BYTES = 4 * 1024 * 1024
_CLOSE_S = 2.0
_UNCONFIRMED = "log-in or subscription was not confirmed in time"
_Socket = aiohttp.ClientWebSocketResponse[Literal[False]]  # frames as bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTiming:
    """Patience of a link, seconds.

    Parameters
    ----------
    connect_s : float
        For opening a connection.
    ping_s : float
        From one ping to the next, or silence before a ping; see :class:`Heartbeat`. Log-in and
        subscription must be through by the first one.
    pong_s : float or None
        From a ping to the first frame after it; silence as long as this drops the connection.
        None: as long as ``ping_s``. A venue that is pinged on a beat is suspect after half of
        ``ping_s`` and judged at the next ping.
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
    pong_s: float | None = None
    spacing_s: float = 1.0
    stable_s: float = 30.0
    send_s: float = 5.0
    backoff: Backoff = field(
        default_factory=lambda: Backoff(first_s=0.4, max_s=15.0, attempts=100_000)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """How a venue wants to be kept awake.

    Parameters
    ----------
    venue : str
        Name of the venue in every error.
    ping : str or None
        Text frame that asks for a sign of life.
        None where there is nothing to ask: silence as long as ``ping_s`` drops the connection.
        The answer is handed to the user like every frame; any frame is a sign of life.
    is_after_silence : bool
        Whether a ping is due only after ``ping_s`` without any frame; else it is sent on a beat.
    """

    venue: str
    ping: str | None
    is_after_silence: bool = False


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
    heartbeat : Heartbeat
        The venue's name and its way of being kept awake.
    timing : LinkTiming
        Patience.
    logs_in : bool
        Whether the user's first text is a log-in; :meth:`authenticated` tells of its success.

    Attributes
    ----------
    bytes_received, bytes_sent : int
        Payload of all frames so far, pings included; not the few bytes of framing, TLS, handshakes.
    """

    def __init__(
        self,
        url: str,
        user: LinkUser,
        *,
        clock: Clock,
        jitter: random.Random,
        heartbeat: Heartbeat,
        timing: LinkTiming | None = None,
        logs_in: bool = False,
    ) -> None:
        self._url = url
        self._heartbeat = heartbeat
        self._user = user
        self._clock = clock
        self._jitter = jitter
        self._timing = timing or LinkTiming()
        self._socket: _Socket | None = None
        self._drop_reason: str | None = None
        self._first = LinkState.AUTHENTICATING if logs_in else LinkState.SUBSCRIBING
        self._life = LinkLife()
        self.attempts = 0
        self.connects = 0
        self.frames = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.last_frame_ns: int | None = None
        self.reason: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether the connection is open, logged in and subscribed."""
        return self._life.state is LinkState.LIVE

    @property
    def state(self) -> LinkState:
        """Where the connection is in its life."""
        return self._life.state

    @property
    def silent_s(self) -> float:
        """Seconds since the newest frame, 0 before the first."""
        return 0.0 if self.last_frame_ns is None else self._since_s(self.last_frame_ns)

    def authenticated(self) -> None:
        """Let the user say that the log-in is through."""
        self._life.enter(LinkState.SUBSCRIBING)

    def prepared(self) -> None:
        """Let the user say that log-in and subscription are through."""
        self._life.enter(LinkState.LIVE)

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
                        raise self._not_sent(f"gave up: {self.reason}", operation="stream.connect")
                    await asyncio.sleep(max(delay_s, self._timing.spacing_s - lasted_s))
        finally:
            self._life.enter(LinkState.CLOSED)

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
            raise self._not_sent("there is no connection", operation="stream.send")
        try:
            if has_deadline:
                await self._write(socket, text)
                return
            async with asyncio.timeout(self._timing.send_s):
                await self._write(socket, text)
        except (aiohttp.ClientError, OSError) as e:
            raise VenueUnavailable(
                f"the socket failed: {e!r}",
                venue=self._heartbeat.venue,
                operation="stream.send",
                outcome=Outcome.UNKNOWN,
            ) from e

    async def _write(self, socket: _Socket, text: str) -> None:
        self.bytes_sent += len(text)  # JSON with escapes: a character is a byte
        await socket.send_str(text)

    async def drop(self, reason: str) -> None:
        """Close the connection so that it is opened anew."""
        if self._socket is not None:
            self._drop_reason = reason
            await self._socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    def _not_sent(self, message: str, *, operation: str) -> VenueUnavailable:
        return VenueUnavailable(
            message, venue=self._heartbeat.venue, operation=operation, outcome=Outcome.NOT_SENT
        )

    def _delays(self) -> Iterator[float]:
        return self._timing.backoff.delays(self._jitter)

    def _lost(self, reason: str) -> None:
        self.reason = reason
        _LOG.warning("stream down", url=self._url, reason=reason)
        self._user.closed(reason)

    async def _attempt(self, session: aiohttp.ClientSession) -> str:
        self.attempts += 1
        self._life.enter(LinkState.CONNECTING)
        try:
            async with asyncio.timeout(self._timing.connect_s):
                socket = await session.ws_connect(
                    self._url,
                    max_msg_size=_MAX_FRAME_BYTES,
                    decode_text=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                )
        except (aiohttp.ClientError, OSError, ValueError) as e:
            self._life.enter(LinkState.BACKING_OFF)
            return f"cannot connect: {_words(e)}"
        self.connects += 1
        self._socket = socket
        self._drop_reason = None
        self._life.enter(self._first)
        try:
            return await self._connection(socket)
        except BaseExceptionGroup as e:  # one failure is enough to know
            raise e.exceptions[0] from e
        finally:
            self._socket = None
            self._life.enter(LinkState.BACKING_OFF)
            with contextlib.suppress(aiohttp.ClientError, OSError):  # it is lost anyway
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
        ping = self._heartbeat.ping
        if ping is None or self._heartbeat.is_after_silence:
            reason = await self._watch_silence(socket, ping)
        else:
            reason = await self._ping_on_a_beat(socket, ping)
        await self.drop(reason)

    async def _ping_on_a_beat(self, socket: _Socket, ping: str) -> str:
        while True:
            frames = self.frames
            await self._write(socket, ping)
            await asyncio.sleep(self._timing.ping_s / 2)
            if self.frames == frames and self.is_up:
                _LOG.warning("stream suspect: a ping brought nothing", url=self._url)
                self._life.enter(LinkState.SUSPECT)
            await asyncio.sleep(self._timing.ping_s / 2)
            if self.frames == frames:
                return f"silent for {self._timing.ping_s:g} s after a ping"
            if not self.is_up:
                return _UNCONFIRMED

    async def _watch_silence(self, socket: _Socket, ping: str | None) -> str:
        opened_ns = self._clock.monotonic_ns()
        ping_s = self._timing.ping_s
        pong_s = ping_s if self._timing.pong_s is None else self._timing.pong_s
        while True:
            heard_ns = max(opened_ns, self.last_frame_ns or opened_ns)
            wait_s = ping_s - self._since_s(heard_ns)
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif ping is None:
                return f"silent for {ping_s:g} s"
            else:
                frames = self.frames
                await self._write(socket, ping)
                await asyncio.sleep(pong_s)
                if self.frames == frames:
                    return f"silent for {pong_s:g} s after a ping"
            if not self.is_up and self._since_s(opened_ns) > ping_s:
                return _UNCONFIRMED

    def _since_s(self, then_ns: int) -> float:
        return (self._clock.monotonic_ns() - then_ns) / _NS_PER_S

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
            if self._life.state is LinkState.SUSPECT:
                self._life.enter(LinkState.LIVE)
            self.bytes_received += len(message.data)
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
    def bytes_received(self) -> int:
        """Payload bytes of all frames received so far."""
        return self._link.bytes_received

    @property
    def bytes_sent(self) -> int:
        """Payload bytes of all frames sent so far, pings included."""
        return self._link.bytes_sent

    @property
    def last_frame_ns(self) -> int | None:
        """Monotonic time of the newest frame, None before the first."""
        return self._link.last_frame_ns

    @property
    def silent_s(self) -> float:
        """Seconds since the newest frame, 0 before the first."""
        return self._link.silent_s

    @property
    def reason(self) -> str | None:
        """Why the connection was last lost, None if it never was."""
        return self._link.reason


def _words(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}: {error.os_error.strerror}"
    return str(error) or type(error).__name__
