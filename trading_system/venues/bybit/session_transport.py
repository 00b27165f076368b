"""A plain keep-alive transport for tools and tests; the system injects its priority pool."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from yarl import URL

from trading_system.domain.ports import Clock, HttpReply, HttpRequest, HttpTiming
from trading_system.venues.bybit.refusals import not_sent, unknown

_NS_PER_MS = 1_000_000
_KEEPALIVE_S = 60.0
_MAX_BODY_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class _Marks:
    # Monotonic nanoseconds of one request's phases, None until they happen.
    started: int
    connecting: int | None = None
    connected: int | None = None
    sent: int | None = None


class SessionTransport:
    """An ``HttpTransport`` over one aiohttp session: first come, first served.

    Parameters
    ----------
    clock : Clock
        Source of the timings.
    pool_size : int
        Most connections kept.
    """

    def __init__(self, *, clock: Clock, pool_size: int = 5) -> None:
        self._clock = clock
        self._pool_size = pool_size
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._pool_size, keepalive_timeout=_KEEPALIVE_S, ttl_dns_cache=300
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trace_configs=[self._trace()],
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def silent_for_s(self) -> float:
        """Always 0: this transport sends whatever it is given."""
        return 0.0

    async def request(self, request: HttpRequest, *, priority: int, timeout_s: float) -> HttpReply:
        """Send ``request`` once; ``priority`` has no effect here.

        Raises
        ------
        VenueUnavailable
            ``outcome`` NOT_SENT if no byte can have left, UNKNOWN otherwise.
        """
        del priority
        operation = URL(request.url, encoded=True).path
        if self._session is None:
            raise not_sent("the transport is not open", operation=operation)
        marks = _Marks(started=self._clock.monotonic_ns())
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(self._session, request, marks)
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as e:
            raise not_sent(f"cannot connect: {e}", operation=operation) from e
        except TimeoutError as e:
            text = f"no answer within {timeout_s:g} s"
            has_left = marks.connected is not None
            raise (unknown if has_left else not_sent)(text, operation=operation) from e
        except (aiohttp.ClientError, OSError) as e:
            raise unknown(f"connection failed: {e!r}", operation=operation) from e

    async def _exchange(
        self, session: aiohttp.ClientSession, request: HttpRequest, marks: _Marks
    ) -> HttpReply:
        async with session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            trace_request_ctx=marks,
        ) as response:
            body = await response.content.read(_MAX_BODY_BYTES)
            while not response.content.at_eof() and len(body) < _MAX_BODY_BYTES:
                body += await response.content.read(_MAX_BODY_BYTES)
            if not response.content.at_eof():
                response.close()
            return HttpReply(
                status=response.status,
                headers=response.headers,
                body=body,
                timing=self._timing(marks),
            )

    def _timing(self, marks: _Marks) -> HttpTiming:
        ended = self._clock.monotonic_ns()
        connected = marks.connected if marks.connected is not None else marks.started
        sent = marks.sent if marks.sent is not None else connected
        connect_ms = None if marks.connecting is None else _ms(connected - marks.connecting)
        taken = marks.connecting if marks.connecting is not None else connected
        return HttpTiming(
            queue_ms=_ms(taken - marks.started),
            connect_ms=connect_ms,
            send_ms=None if marks.sent is None else _ms(sent - connected),
            response_ms=_ms(ended - sent),
            total_ms=_ms(ended - marks.started),
        )

    def _trace(self) -> aiohttp.TraceConfig:
        trace, now = aiohttp.TraceConfig(), self._clock.monotonic_ns

        async def connecting(
            _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
        ) -> None:
            context.trace_request_ctx.connecting = now()

        async def connected(
            _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
        ) -> None:
            context.trace_request_ctx.connected = now()

        async def sent(
            _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
        ) -> None:
            context.trace_request_ctx.sent = now()

        trace.on_connection_create_start.append(connecting)
        trace.on_connection_create_end.append(connected)
        trace.on_connection_reuseconn.append(connected)
        trace.on_request_headers_sent.append(sent)
        trace.on_request_chunk_sent.append(sent)
        return trace


def _ms(nanoseconds: int) -> float:
    return nanoseconds / _NS_PER_MS
