"""A connection to a public stream that comes back by itself, and says when it does not stand."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import aiohttp
import msgspec

from trading_system.domain.ports import Clock
from trading_system.runtime.backoff import Backoff
from trading_system.simulation.replay.bybit import topic_of
from trading_system.simulation.replay.messages import BadLine

_LOGGER = logging.getLogger(__name__)
_CONNECT_S = 10.0
_PING_S = 5.0
_LARGEST_FRAME = 8 * 1024 * 1024
_NS_PER_S = 1_000_000_000
_PING = '{"op":"ping"}'
_BACKOFF = Backoff(first_s=0.5, max_s=15.0, attempts=8)


class StreamListener(Protocol):
    """Hears what happens on the stream, synchronously and in order."""

    def on_connected(self) -> None:
        """Note a new connection; snapshots follow."""
        ...

    def on_frame(self, topic: str, frame: bytes, received_ns: int) -> None:
        """Take one frame, received at UTC ``received_ns``.

        Raises
        ------
        BadLine
            If the stream cannot be trusted any more; it is opened again.
        """
        ...

    def on_lost(self, reason: str) -> None:
        """Note that the connection is lost; another one is being opened."""
        ...


class _LostError(Exception):
    # The connection is of no use any more; the text says why.
    pass


class PublicStream:
    """One public connection with its topics.

    Parameters
    ----------
    url : str
        Address of the stream.
    symbols : Sequence of str
        Followed symbols; each must be heard of within ``silence_s``, which the level-1 book's
        repetition every three seconds guarantees on a quiet market.
    channels : Sequence of str
        Topics without their symbol, for example ``publicTrade``; ``orderbook.1`` is added.
    listener : StreamListener
        Told of everything.
    silence_s : float
        Seconds without a frame of a symbol after which the connection is given up.
    backoff : Backoff
        Between attempts; after the last delay the first follows again.
    """

    def __init__(
        self,
        url: str,
        symbols: Sequence[str],
        channels: Sequence[str],
        *,
        listener: StreamListener,
        clock: Clock,
        silence_s: float = 10.0,
        backoff: Backoff = _BACKOFF,
    ) -> None:
        self._url = url
        self._symbols = tuple(symbols)
        self._channels = tuple(dict.fromkeys((*channels, "orderbook.1")))
        self._listener = listener
        self._clock = clock
        self._silence_s = silence_s
        self._backoff = backoff
        self._heard_ns: dict[str, int] = {}
        self._is_fresh = False

    async def run(self) -> None:
        """Keep the stream open until cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                for delay_s in self._backoff.delays(random.Random(self._clock.monotonic_ns())):
                    reason = await self._once(session)
                    self._listener.on_lost(reason)
                    _LOGGER.warning("the public stream %s is lost: %s", self._url, reason)
                    await asyncio.sleep(delay_s)
                    if self._is_fresh:
                        break

    async def _once(self, session: aiohttp.ClientSession) -> str:
        # One connection from beginning to end; returns why it ended.
        self._is_fresh = False
        try:
            async with asyncio.timeout(_CONNECT_S):
                socket = await session.ws_connect(
                    self._url, max_msg_size=_LARGEST_FRAME, autoping=True
                )
        except (aiohttp.ClientError, OSError, TimeoutError) as e:
            return f"{e or type(e).__name__}"
        reason = "closed"
        try:
            await self._converse(socket)
        except* (_LostError, BadLine, aiohttp.ClientError, OSError) as failures:
            reason = _first(failures)
        finally:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                await socket.close()
        return reason

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        now_ns = self._clock.monotonic_ns()
        self._heard_ns = dict.fromkeys(self._symbols, now_ns)
        self._listener.on_connected()
        for request in self._requests():
            await socket.send_str(request)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(socket), name="public stream's watch")
            await self._read(socket)
            raise _LostError("closed by the host")

    def _requests(self) -> Iterable[str]:
        # Spot takes at most ten topics per request, so one request per symbol.
        for symbol in self._symbols:
            topics = [f"{channel}.{symbol}" for channel in self._channels]
            yield msgspec.json.encode({"op": "subscribe", "args": topics}).decode()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                continue
            data = message.data
            self._take(data.encode() if isinstance(data, str) else data)

    def _take(self, frame: bytes) -> None:
        topic = topic_of(frame)
        if not topic:
            if b'"success":false' in frame[:200].replace(b" ", b""):
                raise _LostError(f"refused: {frame[:200]!r}")
            return
        self._is_fresh = True
        self._heard_ns[topic.rpartition(".")[2]] = self._clock.monotonic_ns()
        self._listener.on_frame(topic, frame, self._clock.utc_ns())

    async def _watch(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        pause_s = min(1.0, self._silence_s / 4)
        pinged_ns = self._clock.monotonic_ns()
        while True:
            await asyncio.sleep(pause_s)
            now_ns = self._clock.monotonic_ns()
            symbol, heard_ns = min(self._heard_ns.items(), key=lambda entry: entry[1])
            if now_ns - heard_ns > self._silence_s * _NS_PER_S:
                raise _LostError(f"nothing about {symbol} for {self._silence_s:g} s")
            if now_ns - pinged_ns >= _PING_S * _NS_PER_S:
                pinged_ns = now_ns
                await socket.send_str(_PING)


def _first(failures: BaseExceptionGroup[BaseException]) -> str:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return str(failure) or repr(failure)
