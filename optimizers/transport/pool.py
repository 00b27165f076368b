"""A pool of warm connections: each request is sent at most once, the most urgent first."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import weakref
from collections import deque
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import aiohttp
import structlog
from yarl import URL

from optimizers.transport.cancels import cancel_key
from optimizers.transport.exchange import Exchange, exchange, sent_size, tracing
from optimizers.transport.queue import (
    LOWEST,
    CancelLane,
    PriorityGate,
    RequestRefused,
    checked_priority,
    not_sent,
)
from trading_system.domain.errors import (
    LifecycleError,
    Outcome,
    ValidationError,
    VenueUnavailable,
)
from trading_system.domain.ports import Clock, HttpReply, HttpRequest
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.lifecycle import Component, Supervisor

TIME_PATH = "/v5/market/time"
"""Bybit's cheapest public request."""

_LOG = structlog.get_logger(__name__)
_CANCEL_SLOTS = 2
_MAX_HOSTS = 32
_RECENT_CONNECTS = 500
_IDLE_CLOSE_S = 75.0
_DNS_TTL_S = 300
_WARM_TIMEOUT_S = 5.0
_NS_PER_S = 1_000_000_000

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmConnection:
    """What one verifying request of :meth:`PooledTransport.pre_warm` found.

    Parameters
    ----------
    is_ready : bool
        Whether the host answered it with HTTP 200.
    connect_ms : float or None
        Time to open the connection, None if one was there already or none was opened.
    response_ms : float or None
        Time to the whole answer, None without one.
    reason : str or None
        Why it is not ready.
    """

    is_ready: bool
    connect_ms: float | None
    response_ms: float | None
    reason: str | None


class _Host:
    # What the transport keeps per host: its queue, its cancel lane, how it is kept warm.

    def __init__(self, *, connections: int, queue_size: int, clock: Clock) -> None:
        self.gate = PriorityGate(connections, capacity=queue_size, clock=clock)
        self.cancels = CancelLane(_CANCEL_SLOTS, clock=clock)
        self.used_ns = clock.monotonic_ns()
        self.warm_url: str | None = None

    @property
    def is_idle(self) -> bool:
        return not (
            self.gate.busy or self.gate.waiting or self.cancels.busy or self.cancels.waiting
        )

    @property
    def waiting(self) -> int:
        return self.gate.waiting + self.cancels.waiting


class PooledTransport:
    """The ``HttpTransport`` of the assembled system.

    Parameters
    ----------
    connections : int
        Connections per host, and requests under way at the same time. Cancellations may use two
        more, see :mod:`optimizers.transport.queue`.
    queue_size : int
        Requests per host that may wait for a connection before new ones are refused.
    keep_alive : bool
        False closes each connection after its answer; then nothing is kept warm.
    rewarm_s : float
        After this many seconds without a request a warmed host's connections are used once, so
        that neither end closes them. One connection is left free for whoever comes meanwhile.
    tls : ssl.SSLContext or None
        Trust of a private certificate; None verifies against the system's authorities. There is
        no way to switch the verification off.
    max_answer_bytes : int
        Largest answer that is read, after decompression.
    clock : Clock or None
        None uses the machine's clocks.

    Notes
    -----
    Nothing is retried here, not even a GET on a connection that the host has just closed: a failed
    request says through ``VenueError.outcome`` whether a byte can have left.
    """

    def __init__(
        self,
        *,
        connections: int = 5,
        queue_size: int = 100,
        keep_alive: bool = True,
        rewarm_s: float = 20.0,
        tls: ssl.SSLContext | None = None,
        max_answer_bytes: int = 16 * 1024 * 1024,
        clock: Clock | None = None,
    ) -> None:
        if rewarm_s <= 0:
            raise ValidationError(f"rewarm_s must be above 0 s, was {rewarm_s}")
        self._connections = connections
        self._queue_size = queue_size
        self._keep_alive = keep_alive
        self._rewarm_s = rewarm_s
        self._tls = tls
        self._max_answer_bytes = max_answer_bytes
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None
        self._supervisor: Supervisor | None = None
        self._warmer: asyncio.Task[None] | None = None
        self._hosts: dict[URL, _Host] = {}
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._connect_ms: deque[float] = deque(maxlen=_RECENT_CONNECTS)
        self._requests = 0
        self._failures = 0
        self._rewarms = 0
        self._bytes_received = 0
        self._bytes_sent = 0
        # The same checks as when the first request comes, but where the mistake was made.
        self._new_host()

    @property
    def connections(self) -> int:
        """Connections per host that may be in use at the same time."""
        return self._connections

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._session is not None

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection now, cancellations included."""
        return sum(host.waiting for host in self._hosts.values())

    @property
    def in_flight(self) -> int:
        """Requests under way now."""
        return sum(host.gate.busy + host.cancels.busy for host in self._hosts.values())

    @property
    def open_connections(self) -> int:
        """Sockets open now."""
        return sum(opened.fileno() != -1 for opened in self._sockets)

    @property
    def connect_ms(self) -> tuple[float, ...]:
        """Times to open the newest 500 connections, oldest first."""
        return tuple(self._connect_ms)

    @property
    def counts(self) -> dict[str, int]:
        """Requests, failures, refusals, coalesced cancellations and re-warmings so far."""
        return {
            "requests": self._requests,
            "failures": self._failures,
            "refused": sum(host.gate.refused for host in self._hosts.values()),
            "coalesced_cancels": sum(host.cancels.coalesced for host in self._hosts.values()),
            "rewarms": self._rewarms,
        }

    @property
    def bytes_received(self) -> int:
        """Bytes of all answers so far: status line, headers, decompressed body."""
        return self._bytes_received

    @property
    def bytes_sent(self) -> int:
        """Bytes of all requests so far: request line, the caller's headers, body."""
        return self._bytes_sent

    async def __aenter__(self) -> Self:
        if self._supervisor is not None:
            raise LifecycleError("the transport was opened before; make a new one")
        # The supervisor owns the session, so that it is closed in order even when a program ends
        # without closing the transport.
        self._supervisor = Supervisor(
            (Component(name="http session", start=self._open, stop=self._close),),
            name="transport",
        )
        await self._supervisor.start()
        if self._keep_alive:
            self._warmer = self._supervisor.spawn("keep connections warm", self._keep_warm())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._supervisor is not None:
            await self._supervisor.stop("the transport was closed")

    async def _open(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=self._connections + _CANCEL_SLOTS,
            ttl_dns_cache=_DNS_TTL_S,
            ssl=self._tls if self._tls is not None else True,
            socket_factory=self._new_socket,
            force_close=not self._keep_alive,
            keepalive_timeout=_IDLE_CLOSE_S if self._keep_alive else None,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            headers={"User-Agent": "trading-system"},
            trace_configs=[tracing()],
        )
        session._retry_connection = False  # noqa: SLF001 - aiohttp re-sends GETs; no option for it
        self._session = session

    async def _close(self) -> None:
        session, self._session = self._session, None
        for host in self._hosts.values():
            host.gate.close()
            host.cancels.close()
        if session is not None:
            await session.close()

    def _new_socket(self, address: AddressInfo) -> socket.socket:
        family, kind, protocol, _, _ = address
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._sockets.add(opened)
        return opened

    async def request(self, request: HttpRequest, *, priority: int, timeout_s: float) -> HttpReply:
        """Send ``request`` at most once and return the whole answer, whatever its status.

        Parameters
        ----------
        priority : int
            1 (highest) to 4 (lowest). Cancellations of orders use a lane of their own.
        timeout_s : float
            Deadline from this call on, the wait in the queue included, seconds.

        Raises
        ------
        ValidationError
            If an argument is wrong.
        RequestRefused
            If the queue is full; nothing was sent.
        VenueUnavailable
            ``outcome`` NOT_SENT if no byte can have left, UNKNOWN otherwise.
        """
        if not 0 < timeout_s < math.inf:
            raise ValidationError(f"timeout_s must be above 0 and finite, was {timeout_s}")
        url = _checked_url(request.url)
        host = self._host(url.origin())
        host.used_ns = self._clock.monotonic_ns()
        return await self._deliver(
            host, request, url, priority=checked_priority(priority), timeout_s=timeout_s
        )

    async def pre_warm(
        self, base_url: str, path: str = TIME_PATH, *, timeout_s: float = _WARM_TIMEOUT_S
    ) -> tuple[WarmConnection, ...]:
        """Open all connections to a host at the same time and prove each with a request.

        From then on the host is kept warm. Failures are in the reports, nothing is raised for them.
        """
        url = f"{base_url.rstrip('/')}{path}"
        host = self._host(_checked_url(url).origin())
        host.warm_url = url
        reports = await self._touch(host, url, self._connections, timeout_s=timeout_s)
        late = [report.reason for report in reports if not report.is_ready]
        if late:
            _LOG.warning("connections not warmed", failed=len(late), reason=late[0])
        return reports

    async def _touch(
        self, host: _Host, url: str, count: int, *, timeout_s: float
    ) -> tuple[WarmConnection, ...]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ping(host, url, timeout_s)) for _ in range(count)]
        return tuple(task.result() for task in tasks)

    async def _ping(self, host: _Host, url: str, timeout_s: float) -> WarmConnection:
        request = HttpRequest(method="GET", url=url)
        try:
            reply = await self._deliver(
                host, request, _checked_url(url), priority=LOWEST, timeout_s=timeout_s
            )
        except VenueUnavailable as e:
            return WarmConnection(is_ready=False, connect_ms=None, response_ms=None, reason=str(e))
        is_ready = reply.status == 200
        return WarmConnection(
            is_ready=is_ready,
            connect_ms=reply.timing.connect_ms,
            response_ms=reply.timing.response_ms,
            reason=None if is_ready else f"HTTP {reply.status}",
        )

    async def _keep_warm(self) -> None:
        while True:
            await asyncio.sleep(self._rewarm_s)
            now_ns = self._clock.monotonic_ns()
            for host in list(self._hosts.values()):
                has_rested = now_ns - host.used_ns >= self._rewarm_s * _NS_PER_S
                if host.warm_url is not None and has_rested and host.is_idle:
                    self._rewarms += 1
                    count = max(1, self._connections - 1)
                    await self._touch(host, host.warm_url, count, timeout_s=_WARM_TIMEOUT_S)

    def _new_host(self) -> _Host:
        return _Host(connections=self._connections, queue_size=self._queue_size, clock=self._clock)

    def _host(self, origin: URL) -> _Host:
        host = self._hosts.get(origin)
        if host is None:
            if len(self._hosts) >= _MAX_HOSTS:
                self._forget_an_idle_host()
            host = self._hosts[origin] = self._new_host()
        return host

    def _forget_an_idle_host(self) -> None:
        for origin, host in self._hosts.items():
            if host.is_idle and host.warm_url is None:
                del self._hosts[origin]
                return
        raise RequestRefused(
            f"{_MAX_HOSTS} hosts are in use",
            venue="transport",
            operation="queue",
            outcome=Outcome.NOT_SENT,
        )

    async def _deliver(
        self, host: _Host, request: HttpRequest, url: URL, *, priority: int, timeout_s: float
    ) -> HttpReply:
        session = self._session
        if session is None:
            raise not_sent("the transport is not open", operation=url.path)
        self._requests += 1
        stamps = Exchange(self._clock, self._clock.monotonic_ns())
        send = partial(self._on_wire, session, request, url, stamps=stamps)
        scope = asyncio.timeout(timeout_s)
        try:
            async with scope:
                key = cancel_key(request, url.path)
                if key is not None:
                    return await host.cancels.send(key, send)
                await host.gate.enter(priority)
                try:
                    return await send()
                finally:
                    host.gate.leave()
        except (aiohttp.ClientError, OSError, EOFError) as e:
            self._failures += 1
            if isinstance(e, VenueUnavailable):
                raise
            late = f"no answer within {timeout_s:g} s" if scope.expired() else _reason(e)
            raise VenueUnavailable(
                late, venue="transport", operation=url.path, outcome=stamps.outcome
            ) from e

    async def _on_wire(
        self, session: aiohttp.ClientSession, request: HttpRequest, url: URL, *, stamps: Exchange
    ) -> HttpReply:
        stamps.note_taken()
        try:
            return await exchange(
                session, request, url, stamps=stamps, max_bytes=self._max_answer_bytes
            )
        finally:
            self._bytes_received += stamps.bytes_received
            if stamps.outcome is Outcome.UNKNOWN:
                self._bytes_sent += sent_size(request, url)
            if stamps.connect_ms is not None:
                self._connect_ms.append(stamps.connect_ms)


def _reason(error: Exception) -> str:
    """Return what went wrong in words for people."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror}"
    return f"the connection failed: {str(error) or type(error).__name__}"


def _checked_url(url: str) -> URL:
    try:
        parsed = URL(url, encoded=True)
        is_usable = parsed.scheme in {"http", "https"} and bool(parsed.host)
        is_usable = is_usable and parsed.user is None and parsed.password is None
        _ = parsed.port
    except ValueError as e:
        raise ValidationError(f"not an address: {url[:200]!r}") from e
    if not is_usable or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise ValidationError(
            f"an address must be absolute http or https without credentials, was {url[:200]!r}"
        )
    return parsed
