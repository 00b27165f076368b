"""One WebSocket connection that stays alive: log in, subscribe, ping, watch, reconnect.

Frames are handed to a synchronous callback as they arrive; a callback that raises
``CorruptDataError`` makes the connection be dropped and opened anew, because a stream that lost a
frame cannot be trusted. Liveness is judged by one watchdog per connection: every ping must be
answered by some traffic within the deadline.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import aiohttp
import msgspec
import structlog

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    VenueAuthError,
    VenueUnavailable,
)
from trading_system.domain.ports import Clock
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.wire import PrivateFrame

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000
_PING_S = 10.0
_SILENCE_S = 25.0
_CONNECT_S = 10.0
_AUTH_VALID_MS = 5_000
_FIRST_DELAY_S = 0.2
_MAX_DELAY_S = 15.0
_STABLE_S = 30.0
_MAX_FRAME_BYTES = 4 * 1024 * 1024
_NO_OFFSET: Callable[[], int] = int
_Socket = aiohttp.ClientWebSocketResponse[Literal[False]]  # frames as bytes
_PING = '{"op":"ping"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCallbacks:
    """What a stream tells its owner, synchronously.

    Parameters
    ----------
    on_frame : Callable[[bytes, int], None]
        Called with each data frame and its monotonic receive time in nanoseconds.
    on_up : Callable[[], None]
        Called when the connection is logged in and subscribed.
    on_down : Callable[[str], None]
        Called with the reason when the connection is lost.
    """

    on_frame: Callable[[bytes, int], None]
    on_up: Callable[[], None]
    on_down: Callable[[str], None]


class BybitStream:
    """A public or private stream of Bybit V5.

    Parameters
    ----------
    url : str
        Full address including the path, for example ``ws://127.0.0.1:9000/v5/public/linear``.
    topics : Sequence[str]
        Topics subscribed after every connect.
    callbacks : StreamCallbacks
        Receiver of frames and state changes.
    clock : Clock
        Source of receive stamps.
    signer : Signer or None
        Logs in before subscribing when given.
    jitter : random.Random
        Source of the back-off's jitter.
    offset_ns : Callable[[], int]
        How far the venue's clock is ahead of ours, nanoseconds; the log-in is stamped with it.
    ping_s : float
        Seconds between pings, and until log-in and subscription must be through.
    """

    def __init__(
        self,
        url: str,
        topics: Sequence[str],
        *,
        callbacks: StreamCallbacks,
        clock: Clock,
        signer: Signer | None = None,
        jitter: random.Random,
        offset_ns: Callable[[], int] = _NO_OFFSET,
        ping_s: float = _PING_S,
    ) -> None:
        self._url = url
        self._topics = list(topics)
        self._callbacks = callbacks
        self._clock = clock
        self._signer = signer
        self._jitter = jitter
        self._offset_ns = offset_ns
        self._ping_s = ping_s
        self._control = msgspec.json.Decoder(PrivateFrame)
        self._socket: _Socket | None = None
        self._last_traffic_ns = 0
        self.is_up = False
        self.frames = 0
        self.connects = 0

    async def run(self) -> None:
        """Keep the connection alive until cancelled.

        Raises
        ------
        VenueAuthError
            If the venue refuses the key; reconnecting would not help.
        """
        delay_s = _FIRST_DELAY_S
        async with aiohttp.ClientSession() as session:
            while True:
                started_ns = self._clock.monotonic_ns()
                try:
                    reason = await self._connection(session)
                except BaseExceptionGroup as e:
                    raise e.exceptions[0] from e
                finally:
                    self.is_up = False
                self._callbacks.on_down(reason)
                _LOG.warning("stream down", url=self._url, reason=reason)
                lasted_s = (self._clock.monotonic_ns() - started_ns) / _NS_PER_S
                if lasted_s > _STABLE_S:
                    delay_s = _FIRST_DELAY_S
                await asyncio.sleep(self._jitter.uniform(delay_s / 2, delay_s))
                delay_s = min(2 * delay_s, _MAX_DELAY_S)

    async def resync(self) -> None:
        """Drop the connection so that it is opened and subscribed anew."""
        if self._socket is not None:
            await self._socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    async def _connection(self, session: aiohttp.ClientSession) -> str:
        try:
            async with asyncio.timeout(_CONNECT_S):
                socket = await session.ws_connect(
                    self._url,
                    max_msg_size=_MAX_FRAME_BYTES,
                    decode_text=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                )
        except (aiohttp.ClientError, OSError) as e:
            return f"cannot connect: {e!r}"
        self.connects += 1
        self._socket = socket
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._prepare(socket), name="subscribe")
                watchdog = group.create_task(self._watch(socket), name="watchdog")
                reason = await self._receive(socket)
                watchdog.cancel()
        except* VenueAuthError as failures:  # also a ConnectionError, so it comes first
            raise failures.exceptions[0] from None
        except* (aiohttp.ClientError, OSError, VenueUnavailable) as failures:
            reason = f"lost: {failures.exceptions[0]!r}"
        finally:
            self._socket = None
            await socket.close()
        return reason

    async def _prepare(self, socket: _Socket) -> None:
        if self._signer is not None:
            now_ns = self._clock.utc_ns() + self._offset_ns()
            expires_ms = now_ns // _NS_PER_MS + _AUTH_VALID_MS
            arguments = self._signer.stream_auth(expires_ms=expires_ms)
            await socket.send_str(msgspec.json.encode({"op": "auth", "args": arguments}).decode())
        else:
            await self._subscribe(socket)

    async def _subscribe(self, socket: _Socket) -> None:
        request = {"op": "subscribe", "req_id": f"s{self.connects}", "args": self._topics}
        await socket.send_str(msgspec.json.encode(request).decode())

    async def _watch(self, socket: _Socket) -> None:
        self._last_traffic_ns = self._clock.monotonic_ns()
        while True:
            await socket.send_str(_PING)
            await asyncio.sleep(self._ping_s)
            silent_s = (self._clock.monotonic_ns() - self._last_traffic_ns) / _NS_PER_S
            # Log-in and subscription must be through by then, or they never will be.
            if silent_s > _SILENCE_S or not self.is_up:
                await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
                return

    async def _receive(self, socket: _Socket) -> str:
        async for message in socket:
            received_ns = self._clock.monotonic_ns()
            self._last_traffic_ns = received_ns
            if message.type is not aiohttp.WSMsgType.TEXT:
                return f"unexpected frame type {message.type!r}"
            frame: bytes = message.data
            self.frames += 1
            try:
                if b'"op":' in frame[:400] and b'"topic"' not in frame[:400]:
                    await self._on_control(socket, frame)
                else:
                    self._callbacks.on_frame(frame, received_ns)
            except CorruptDataError as e:
                return f"untrusted frame: {e}"
        return f"closed with code {socket.close_code}"

    async def _on_control(self, socket: _Socket, frame: bytes) -> None:
        try:
            control = self._control.decode(frame)
        except (msgspec.DecodeError, RecursionError) as e:
            raise CorruptDataError(f"control frame: {e}") from e
        if control.op == "auth":
            if not control.success:
                raise VenueAuthError(
                    f"stream log-in refused: {control.ret_msg}",
                    venue="bybit",
                    operation="stream.auth",
                    outcome=Outcome.REJECTED,
                )
            await self._subscribe(socket)
        elif control.op == "subscribe":
            if not control.success:
                raise CorruptDataError(f"subscription refused: {control.ret_msg}")
            self.is_up = True
            self._callbacks.on_up()
