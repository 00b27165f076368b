"""What the pool keeps per host: sockets, queue, cancel lane, and when to look after them."""

from __future__ import annotations

import random
import re
import socket
import ssl
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp

from optimizers.transport.exchange import tracing
from optimizers.transport.queue import CancelLane, PriorityGate
from trading_system.domain.ports import Clock
from trading_system.runtime.backoff import Backoff

CANCEL_SLOTS = 2
"""Cancellations under way at the same time, beside the other requests."""

_IDLE_CLOSE_S = 75.0
_DNS_TTL_S = 300
_NS_PER_S = 1_000_000_000
_KEEP_ALIVE_TIMEOUT = re.compile(r"timeout=(\d{1,6})\b")
_SHARE_OF_IDLE_CUT = 0.5
# A peer that is gone without a word: the system asks after 15 s of silence, three times, and gives
# up on bytes that nobody has confirmed for 15 s.
_PROBE_AFTER_S = 15
_PROBE_EVERY_S = 5
_PROBES = 3
_UNCONFIRMED_MS = 15_000
_REPAIR = Backoff(first_s=2.0, max_s=30.0, attempts=1_000_000)

AddressInfo = tuple[int, int, int, str, tuple[object, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimits:
    """How the connections to every host are kept; see ``PooledTransport``."""

    connections: int
    queue_size: int
    keep_alive: bool
    rewarm_s: float
    tls: ssl.SSLContext | None


class Host:
    """One origin: its connections, who waits for them, and how they are kept warm.

    Parameters
    ----------
    limits : HostLimits
        Connections, queue and warmth.
    clock : Clock
        Monotonic time.
    rng : random.Random
        Jitter of the back-off while the host does not answer.

    Attributes
    ----------
    warm_url : str or None
        What proves a connection; None until the host was pre-warmed once.
    is_suspect : bool
        Whether a request got no answer since the connections were last proved.
    rewarms, replacements, verifications : int
        Rounds of use because of idleness, connections opened for lost ones, and rounds of proof
        after a request without an answer.
    """

    def __init__(self, limits: HostLimits, *, clock: Clock, rng: random.Random) -> None:
        self._limits = limits
        self._clock = clock
        self.gate = PriorityGate(limits.connections, capacity=limits.queue_size, clock=clock)
        self.cancels = CancelLane(CANCEL_SLOTS, clock=clock)
        self.warm_url: str | None = None
        self.is_suspect = False
        self.rewarms = 0
        self.replacements = 0
        self.verifications = 0
        self._session: aiohttp.ClientSession | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._requests = 0
        self._requests_before = 0
        self._silent_until_ns: int | None = None
        self._period_began_ns = clock.monotonic_ns()
        self._rewarm_ns = round(limits.rewarm_s * _NS_PER_S)
        self._rng = rng
        self._pauses: Iterator[float] | None = None
        self._repair_after_ns = self._period_began_ns

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way and nobody waits."""
        return not (
            self.gate.busy or self.gate.waiting or self.cancels.busy or self.cancels.waiting
        )

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection, cancellations included."""
        return self.gate.waiting + self.cancels.waiting

    @property
    def open_connections(self) -> int:
        """Sockets open now."""
        return sum(opened.fileno() != -1 for opened in self._sockets)

    @property
    def silent_for_s(self) -> float:
        """Seconds for which nothing may be sent to this host, 0 as a rule."""
        if self._silent_until_ns is None:
            return 0.0
        return max(0.0, (self._silent_until_ns - self._clock.monotonic_ns()) / _NS_PER_S)

    @property
    def rewarm_s(self) -> float:
        """Seconds after which an unused connection is used."""
        return self._rewarm_ns / _NS_PER_S

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections; made when they are first asked for."""
        if self._session is None:
            self._session = self._new_session()
        return self._session

    async def close(self) -> None:
        """Refuse whoever waits and close every connection."""
        self.gate.close()
        self.cancels.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def silence(self, seconds: float) -> None:
        """Let nothing be sent for so long: the venue refuses this address, and asking prolongs."""
        self._silent_until_ns = self._clock.monotonic_ns() + round(seconds * _NS_PER_S)

    def note_request(self) -> None:
        """Count a request: connections are used in turn, so as many requests use as many."""
        self._requests += 1

    def note_idle_cut(self, keep_alive: str | None) -> None:
        """Follow the time after which the host says that it closes an idle connection.

        Parameters
        ----------
        keep_alive : str or None
            Its header ``Keep-Alive``, for example ``timeout=5``.
        """
        found = _KEEP_ALIVE_TIMEOUT.search(keep_alive or "")
        if found and int(found[1]):
            cut_ns = round(int(found[1]) * _SHARE_OF_IDLE_CUT * _NS_PER_S)
            self._rewarm_ns = min(self._rewarm_ns, cut_ns)

    def is_lacking(self) -> bool:
        """Return whether a kept connection is lost and it is time to open another one."""
        is_time = self._clock.monotonic_ns() >= self._repair_after_ns
        return self._is_kept and is_time and self.open_connections < self._limits.connections

    def unproved(self) -> int:
        """Return how many requests at once use every connection that is idle, or lost.

        One while the host does not answer.
        """
        if self._pauses is not None:
            return 1
        return max(1, self._limits.connections - self.gate.busy - self.cancels.busy)

    def note_round(self, *, has_answered: bool) -> None:
        """Pause before the next attempt, ever longer, while the host does not answer."""
        if has_answered:
            self._pauses = None
            return
        if self._pauses is None:
            self._pauses = _REPAIR.delays(self._rng)
        pause_ns = round(next(self._pauses) * _NS_PER_S)
        self._repair_after_ns = self._clock.monotonic_ns() + pause_ns

    def is_due(self) -> bool:
        """Return whether a period ends in which not every connection was used."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._period_began_ns < self._rewarm_ns:
            return False
        self._period_began_ns = now_ns
        used, self._requests_before = self._requests - self._requests_before, self._requests
        return self._is_kept and self.is_idle and used < self._limits.connections

    @property
    def _is_kept(self) -> bool:
        return self.warm_url is not None and not self.silent_for_s

    def _new_session(self) -> aiohttp.ClientSession:
        limits = self._limits
        connector = aiohttp.TCPConnector(
            limit=0,
            # Twice, because connections under proof must not keep requests from new ones.
            limit_per_host=2 * limits.connections + CANCEL_SLOTS,
            ttl_dns_cache=_DNS_TTL_S,
            ssl=limits.tls if limits.tls is not None else True,
            socket_factory=self._new_socket,
            force_close=not limits.keep_alive,
            keepalive_timeout=_IDLE_CLOSE_S if limits.keep_alive else None,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            headers={"User-Agent": "trading-system"},
            trace_configs=[tracing()],
        )
        session._retry_connection = False  # noqa: SLF001 - aiohttp re-sends GETs; no option for it
        return session

    def _new_socket(self, address: AddressInfo) -> socket.socket:
        family, kind, protocol, _, _ = address
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", _PROBE_AFTER_S),
            ("TCP_KEEPINTVL", _PROBE_EVERY_S),
            ("TCP_KEEPCNT", _PROBES),
            ("TCP_USER_TIMEOUT", _UNCONFIRMED_MS),
        ):
            if hasattr(socket, name):  # not every system has them all
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._sockets.add(opened)
        return opened
