"""A pool of warm connections: each request is sent at most once, the most urgent first."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import ssl
from collections import deque
from dataclasses import dataclass
from functools import lru_cache, partial
from types import TracebackType
from typing import Self

import aiohttp
import structlog
from yarl import URL

from optimizers.transport.cancels import cancel_key
from optimizers.transport.exchange import Exchange, exchange, sent_size
from optimizers.transport.hosts import Host, HostLimits
from optimizers.transport.queue import (
    HIGHEST,
    LOWEST,
    RequestRefused,
    checked_priority,
    not_sent,
)
from trading_system.domain.errors import (
    LifecycleError,
    Outcome,
    ValidationError,
    VenueError,
    VenueRateLimited,
    VenueUnavailable,
)
from trading_system.domain.ports import Clock, HttpReply, HttpRequest
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.lifecycle import Component, Supervisor

TIME_PATH = "/v5/market/time"
"""Bybit's cheapest public request."""

_LOG = structlog.get_logger(__name__)
_MAX_HOSTS = 32
_RECENT_CONNECTS = 500
_WARM_TIMEOUT_S = 5.0
_PROOF_TIMEOUT_S = 2.0
_LOOK_EVERY_S = 1.0
_FORBIDDEN = 403
_SILENCE_S = 600.0
_KNOWN_ADDRESSES = 512


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
        A warmed host whose connections were not all used for this many seconds gets a round of
        requests, so that neither end closes them; half of what the host's ``Keep-Alive`` header
        says, if that is sooner. One connection is left free for whoever comes meanwhile.
    tls : ssl.SSLContext or None
        Trust of a private certificate; None verifies against the system's authorities. There is
        no way to switch the verification off.
    max_answer_bytes : int
        Largest answer that is read, after decompression.
    clock : Clock or None
        None uses the machine's clocks.
    rng : random.Random or None
        Jitter of the back-off while a host does not answer.

    Notes
    -----
    A warmed host is looked at once a second: lost connections are opened again (with back-off
    while it does not answer), and after a request without an answer all idle ones are proved, since
    what silenced one has often silenced all. An answer of HTTP 403 from a warmed host means that
    the venue refuses this address: for ten minutes nothing more is sent to it, not even a probe.

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
        rng: random.Random | None = None,
    ) -> None:
        if rewarm_s <= 0:
            raise ValidationError(f"rewarm_s must be above 0 s, was {rewarm_s}")
        self._limits = HostLimits(
            connections=connections,
            queue_size=queue_size,
            keep_alive=keep_alive,
            rewarm_s=rewarm_s,
            tls=tls,
        )
        self._max_answer_bytes = max_answer_bytes
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._supervisor: Supervisor | None = None
        self._warmer: asyncio.Task[None] | None = None
        self._is_open = False
        self._attention = asyncio.Event()
        self._hosts: dict[URL, Host] = {}
        self._connect_ms: deque[float] = deque(maxlen=_RECENT_CONNECTS)
        self._requests = 0
        self._failures = 0
        self._opened = 0
        self._lookups = 0
        self._bytes_received = 0
        self._bytes_sent = 0
        # The same checks as when the first request comes, but where the mistake was made.
        Host(self._limits, clock=self._clock, rng=self._rng)

    @property
    def connections(self) -> int:
        """Connections per host that may be in use at the same time."""
        return self._limits.connections

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._is_open

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
        return sum(host.open_connections for host in self._hosts.values())

    @property
    def silent_for_s(self) -> float:
        """Seconds for which a host that refuses this address gets no request, 0 as a rule."""
        return max((host.silent_for_s for host in self._hosts.values()), default=0.0)

    @property
    def connect_ms(self) -> tuple[float, ...]:
        """Times to open the newest 500 connections, oldest first."""
        return tuple(self._connect_ms)

    @property
    def counts(self) -> dict[str, int]:
        """Everything counted so far, and what waited at most, over all hosts.

        ``opened`` connections, DNS ``lookups``; ``rewarms``, ``verifications`` and
        ``replacements`` are rounds of looking after a warmed host: because it was idle, because a
        request got no answer, and because connections were lost.
        """
        hosts = self._hosts.values()
        return {
            "requests": self._requests,
            "failures": self._failures,
            "opened": self._opened,
            "lookups": self._lookups,
            "refused": sum(host.gate.refused for host in hosts),
            "coalesced_cancels": sum(host.cancels.coalesced for host in hosts),
            "most_waiting": max((host.gate.most_waiting for host in hosts), default=0),
            "most_cancels_waiting": max((host.cancels.most_waiting for host in hosts), default=0),
            "rewarms": sum(host.rewarms for host in hosts),
            "verifications": sum(host.verifications for host in hosts),
            "replacements": sum(host.replacements for host in hosts),
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
        # The supervisor owns the sessions, so that they are closed in order even when a program
        # ends without closing the transport.
        self._supervisor = Supervisor(
            (Component(name="http sessions", start=self._open, stop=self._close),),
            name="transport",
        )
        await self._supervisor.start()
        if self._limits.keep_alive:
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
        self._is_open = True

    async def _close(self) -> None:
        self._is_open = False
        for host in self._hosts.values():
            await host.close()

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
        url, origin = _checked_url(request.url)
        return await self._deliver(
            await self._host(origin),
            request,
            url,
            priority=checked_priority(priority),
            timeout_s=timeout_s,
        )

    async def pre_warm(
        self, base_url: str, path: str = TIME_PATH, *, timeout_s: float = _WARM_TIMEOUT_S
    ) -> tuple[WarmConnection, ...]:
        """Open all connections to a host at the same time and prove each with a request.

        From then on the host is kept warm. Failures are in the reports, nothing is raised for them.
        """
        url = f"{base_url.rstrip('/')}{path}"
        host = await self._host(_checked_url(url)[1])
        host.warm_url = url
        count = self._limits.connections
        reports = await self._probe(host, count, timeout_s=timeout_s, queues=True)
        late = [report.reason for report in reports if not report.is_ready]
        if late:
            _LOG.warning("connections not warmed", failed=len(late), reason=late[0])
        return reports

    async def _probe(
        self, host: Host, count: int, *, timeout_s: float, queues: bool
    ) -> tuple[WarmConnection, ...]:
        # So many requests at the same time: idle connections are used first, then new ones opened.
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._ping(host, timeout_s=timeout_s, queues=queues))
                for _ in range(count)
            ]
        return tuple(task.result() for task in tasks)

    async def _ping(self, host: Host, *, timeout_s: float, queues: bool) -> WarmConnection:
        assert host.warm_url is not None
        request = HttpRequest(method="GET", url=host.warm_url)
        url, _ = _checked_url(host.warm_url)
        try:
            reply = await self._deliver(
                host, request, url, priority=LOWEST if queues else None, timeout_s=timeout_s
            )
        except VenueError as e:
            return WarmConnection(is_ready=False, connect_ms=None, response_ms=None, reason=str(e))
        host.note_idle_cut(reply.headers.get("Keep-Alive"))
        is_ready = reply.status == 200
        return WarmConnection(
            is_ready=is_ready,
            connect_ms=reply.timing.connect_ms,
            response_ms=reply.timing.response_ms,
            reason=None if is_ready else f"HTTP {reply.status}",
        )

    async def _keep_warm(self) -> None:
        look_every_s = min(_LOOK_EVERY_S, self._limits.rewarm_s)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(look_every_s):
                    await self._attention.wait()
            self._attention.clear()
            for host in list(self._hosts.values()):
                await self._look_after(host)
            await asyncio.sleep(0 if not self._attention.is_set() else look_every_s)

    async def _look_after(self, host: Host) -> None:
        if host.is_suspect or host.is_lacking():
            await self._repair(host)
        elif host.is_due():
            host.rewarms += 1
            count = max(1, self._limits.connections - 1)
            await self._probe(host, count, timeout_s=_WARM_TIMEOUT_S, queues=True)

    async def _repair(self, host: Host) -> None:
        # Past the queue, whose places belong to requests: what is under proof must not delay them.
        lost, was_suspect = host.is_lacking(), host.is_suspect
        host.verifications += was_suspect
        host.replacements += lost
        host.is_suspect = False
        reports = await self._probe(host, host.unproved(), timeout_s=_PROOF_TIMEOUT_S, queues=False)
        failed = [report.reason for report in reports if not report.is_ready]
        host.note_round(has_answered=len(failed) < len(reports))
        _LOG.info("connections proved", proved=len(reports), failed=len(failed))

    async def _host(self, origin: URL) -> Host:
        host = self._hosts.get(origin)
        if host is not None:
            return host
        if len(self._hosts) >= _MAX_HOSTS:
            await self._forget_an_idle_host()
        return self._hosts.setdefault(origin, Host(self._limits, clock=self._clock, rng=self._rng))

    async def _forget_an_idle_host(self) -> None:
        for origin, host in self._hosts.items():
            if host.is_idle and host.warm_url is None:
                del self._hosts[origin]
                await host.close()
                return
        raise RequestRefused(
            f"{_MAX_HOSTS} hosts are in use",
            venue="transport",
            operation="queue",
            outcome=Outcome.NOT_SENT,
        )

    async def _deliver(
        self, host: Host, request: HttpRequest, url: URL, *, priority: int | None, timeout_s: float
    ) -> HttpReply:
        # Without a priority the request does not queue: a proof of a connection.
        if not self._is_open:
            raise not_sent("the transport is not open", operation=url.path)
        if host.silent_for_s:
            raise _silenced(host, url)
        self._requests += 1
        stamps = Exchange(self._clock, self._clock.monotonic_ns())
        send = partial(self._on_wire, host, request, url, stamps=stamps)
        scope = asyncio.timeout(timeout_s)
        try:
            async with scope:
                if priority is None:
                    return await send()
                key = cancel_key(request, url.path)
                if key is not None:
                    return await host.cancels.send(key, send)
                await host.gate.enter(priority, is_exit=_is_exit(request, priority))
                try:
                    return await send()
                finally:
                    host.gate.leave()
        except (aiohttp.ClientError, OSError, EOFError) as e:
            self._failures += 1
            if isinstance(e, VenueUnavailable):
                raise
            if priority is not None and stamps.outcome is Outcome.UNKNOWN:
                self._suspect(host)
            late = f"no answer within {timeout_s:g} s" if scope.expired() else _reason(e)
            raise VenueUnavailable(
                late, venue="transport", operation=url.path, outcome=stamps.outcome
            ) from e

    def _suspect(self, host: Host) -> None:
        if host.warm_url is not None:
            host.is_suspect = True
            self._attention.set()

    async def _on_wire(
        self, host: Host, request: HttpRequest, url: URL, *, stamps: Exchange
    ) -> HttpReply:
        stamps.note_taken()
        host.note_request()
        try:
            reply = await exchange(
                host.session, request, url, stamps=stamps, max_bytes=self._max_answer_bytes
            )
        finally:
            self._count(request, url, stamps)
        if reply.status == _FORBIDDEN and host.warm_url is not None:
            _LOG.error("the venue refuses this address", status=reply.status, silent_s=_SILENCE_S)
            host.silence(_SILENCE_S)
        return reply

    def _count(self, request: HttpRequest, url: URL, stamps: Exchange) -> None:
        self._bytes_received += stamps.bytes_received
        if stamps.outcome is Outcome.UNKNOWN:
            self._bytes_sent += sent_size(request, url)
        if stamps.connect_ms is not None:
            self._opened += 1
            self._connect_ms.append(stamps.connect_ms)
        self._lookups += stamps.resolve_ms is not None


def _is_exit(request: HttpRequest, priority: int) -> bool:
    """Return whether the request makes the account safer: the bound of the queue is not for it."""
    return priority == HIGHEST and request.method == "POST"


def _silenced(host: Host, url: URL) -> VenueRateLimited:
    return VenueRateLimited(
        f"{url.host} refuses this address (HTTP 403); nothing is sent to it for "
        f"{host.silent_for_s:.0f} s",
        venue="transport",
        operation=url.path,
        outcome=Outcome.NOT_SENT,
        retry_after_s=host.silent_for_s,
    )


def _reason(error: Exception) -> str:
    """Return what went wrong in words for people."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror}"
    return f"the connection failed: {str(error) or type(error).__name__}"


@lru_cache(maxsize=_KNOWN_ADDRESSES)
def _checked_url(url: str) -> tuple[URL, URL]:
    """Return the address and its origin; orders go to the same few again and again."""
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
    return parsed, parsed.origin()
