"""Signed REST requests with a typed outcome for every failure.

This class signs, classifies and decodes; an :class:`HttpTransport` sends. Nothing here retries:
whether a request may be sent again depends on what it was, and only the caller knows. A failed
order request says through ``VenueError.outcome`` whether it can have had an effect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec

from trading_system.domain.errors import (
    Outcome,
    VenueError,
    VenueRateLimited,
    VenueRejected,
)
from trading_system.domain.ports import Clock, HttpReply, HttpRequest, HttpTransport
from trading_system.venues.bybit.budgets import Budgets, is_over_quota
from trading_system.venues.bybit.clock_offset import TIME_PATH, VenueClock
from trading_system.venues.bybit.quotas import QuotaTable, reset_in_s
from trading_system.venues.bybit.refusals import (
    VENUE,
    is_no_change,
    no_key,
    refusal,
    unknown,
)
from trading_system.venues.bybit.session_transport import SessionTransport
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.wire import Answer, Envelope

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_BAN_S = 600.0
_RECENT = 200
_LEAST_S = 0.001

PRIORITY_EXIT = 1
"""Cancels, protective stops and orders that only shrink a position."""
PRIORITY_ORDER = 2
"""Other orders and amendments."""
PRIORITY_READ = 3
"""Queries."""


class BybitRest:
    """Requests to one Bybit host.

    Parameters
    ----------
    base_url : str
        For example ``https://api-testnet.bybit.com``.
    signer : Signer or None
        None allows public endpoints only.
    clock : Clock
        Source of the request timestamps.
    transport : HttpTransport or None
        Sends the requests. None: a plain pool of its own, open inside ``async with``.
    on_post_sent : Callable[[int], None] or None
        Told how many nanoseconds an answered POST took from the call until its last byte was
        handed to the socket, the wait for a free connection included.
    budgets : Budgets or None
        Shared with the trade stream: makes requests wait that the venue would refuse. None sends
        everything at once.

    Attributes
    ----------
    on_answer : Callable[[int], None] or None
        Told how many nanoseconds each answered request took from the call on.
    """

    def __init__(
        self,
        base_url: str,
        *,
        signer: Signer | None,
        clock: Clock,
        transport: HttpTransport | None = None,
        on_post_sent: Callable[[int], None] | None = None,
        budgets: Budgets | None = None,
    ) -> None:
        self._base_url = base_url
        self._budgets = budgets
        self._signer = signer
        self._clock = clock
        self._own: SessionTransport | None = None
        if transport is None:
            transport = self._own = SessionTransport(clock=clock)
        self._transport: HttpTransport = transport
        self._decoder = msgspec.json.Decoder(Envelope)
        self._on_post_sent = on_post_sent
        self._failed_at: deque[int] = deque(maxlen=_RECENT)
        self._banned_until_ns = clock.monotonic_ns()
        self.on_answer: Callable[[int], None] | None = None
        self.quotas = QuotaTable()
        self.requests = 0
        self.failures = 0
        self.venue_clock = VenueClock(clock)

    @property
    def offset_ns(self) -> int:
        """The venue's clock minus this machine's UTC clock, nanoseconds; 0 until it was asked."""
        return self.venue_clock.offset_ns

    @property
    def base_url(self) -> str:
        """Base address of the host."""
        return self._base_url

    @property
    def recent(self) -> tuple[int, int]:
        """Failures among the newest 200 requests, and how many requests those are."""
        oldest = self.requests - _RECENT
        return sum(number > oldest for number in self._failed_at), min(self.requests, _RECENT)

    @property
    def banned_for_s(self) -> float:
        """Seconds for which the venue wants no HTTP from this address, 0 without a ban.

        The transport may have heard of it first, from a probe of its own.
        """
        own_s = (self._banned_until_ns - self._clock.monotonic_ns()) / _NS_PER_S
        return max(0.0, own_s, self._transport.silent_for_s)

    async def __aenter__(self) -> Self:
        if self._own is not None:
            await self._own.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._own is not None:
            await self._own.__aexit__(exc_type, exc, traceback)

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        """Return the headers that sign ``payload`` now (a GET's query or a POST's body).

        Raises
        ------
        VenueAuthError
            Without a key.
        """
        return self._auth(payload, "signature")

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        timeout_s: float,
        signed: bool = False,
        priority: int = PRIORITY_READ,
    ) -> msgspec.Raw:
        """Return the raw ``result`` of a GET.

        Raises
        ------
        VenueError
            See its subclasses; a GET never changes anything.
        """
        given = params or {}
        timeout_s = await self._admitted(path, given, timeout_s)
        query = urlencode(given)
        headers = self._auth(query.encode(), path) if signed else {}
        url = f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}"
        request = HttpRequest(method="GET", url=url, headers=headers)
        answer = await self._send(request, path, given, priority=priority, timeout_s=timeout_s)
        return answer.result

    async def post(
        self, path: str, body: Mapping[str, Any], *, timeout_s: float, priority: int
    ) -> Answer:
        """Return the answer to a signed POST.

        Parameters
        ----------
        priority : int
            1 for cancels and exits, 2 for other orders.
        timeout_s : float
            Deadline from this call on, seconds.

        Raises
        ------
        VenueError
            ``outcome`` UNKNOWN means that the request can have had its effect.
        """
        timeout_s = await self._admitted(path, body, timeout_s)
        payload = msgspec.json.encode(body)
        headers = self._auth(payload, path)
        headers["Content-Type"] = "application/json"
        request = HttpRequest(
            method="POST", url=f"{self._base_url}{path}", headers=headers, body=payload
        )
        return await self._send(request, path, body, priority=priority, timeout_s=timeout_s)

    def note_over_quota(self, path: str, given: Mapping[str, Any]) -> None:
        """Note that the venue refused an item of an accepted batch for too many requests."""
        if self._budgets is not None:
            self._budgets.refuse(path, given)

    async def _admitted(self, path: str, given: Mapping[str, Any], timeout_s: float) -> float:
        """Wait for the quota, before the request is stamped; return what is left of the time."""
        if self._budgets is None or self.banned_for_s > 0:
            return timeout_s
        began_ns = self._clock.monotonic_ns()
        await self._budgets.admit(path, given, deadline_s=timeout_s, is_http=True)
        waited_s = (self._clock.monotonic_ns() - began_ns) / _NS_PER_S
        return max(_LEAST_S, timeout_s - waited_s)

    def _auth(self, payload: bytes, path: str) -> dict[str, str]:
        if self._signer is None:
            raise no_key(path)
        now_ns = self._clock.utc_ns() + self.offset_ns
        return self._signer.headers(payload, timestamp_ms=now_ns // _NS_PER_MS)

    async def _send(
        self,
        request: HttpRequest,
        path: str,
        given: Mapping[str, Any],
        *,
        priority: int,
        timeout_s: float,
    ) -> Answer:
        if self.banned_for_s > 0:  # any request now would prolong the ban
            raise self._ban(path, Outcome.NOT_SENT)
        called_ns = self._clock.monotonic_ns()
        self.requests += 1
        try:
            reply = await self._transport.request(request, priority=priority, timeout_s=timeout_s)
            if self._on_post_sent is not None and request.method == "POST":
                self._on_post_sent(_sent_ns(reply))
            if self.on_answer is not None:
                self.on_answer(round(reply.timing.total_ms * _NS_PER_MS))
            self.quotas.note(path, reply.headers)
            if self._budgets is not None:
                self._budgets.follow(path, given, reply.headers)
            answer = self._judge(path, reply)
        except VenueError as e:
            if self._budgets is not None and is_over_quota(e):
                self._budgets.refuse(path, given, retry_after_s=e.retry_after_s or 0.0)
            if not isinstance(e, VenueRejected):  # a business refusal is a working venue
                self.failures += 1
                self._failed_at.append(self.requests)
            raise
        if path == TIME_PATH:
            response_ms = reply.timing.response_ms
            self.venue_clock.read(answer.result, called_ns=called_ns, response_ms=response_ms)
        return answer

    def _judge(self, path: str, reply: HttpReply) -> Answer:
        if reply.status == 403:
            self._banned_until_ns = self._clock.monotonic_ns() + round(_BAN_S * _NS_PER_S)
            raise self._ban(path, Outcome.REJECTED)
        try:
            envelope = self._decoder.decode(reply.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as e:
            raise self._unreadable(path, reply.status) from e
        code = envelope.retCode
        if reply.status >= 500 or (reply.status != 200 and code == 0):
            raise unknown(f"HTTP {reply.status}", operation=path)
        if code == 0 or is_no_change(code, envelope.retMsg, operation=path):
            return Answer(result=envelope.result, extra=envelope.retExtInfo)
        raise refusal(
            code,
            envelope.retMsg,
            operation=path,
            retry_after_s=reset_in_s(
                reply.headers, now_ms=(self._clock.utc_ns() + self.offset_ns) // _NS_PER_MS
            ),
        )

    @staticmethod
    def _unreadable(path: str, status: int) -> VenueError:
        if status == 401:  # refused before anything was looked at
            return refusal(10007, "HTTP 401", operation=path)
        return unknown(f"HTTP {status} with an unreadable body", operation=path)

    def _ban(self, path: str, outcome: Outcome) -> VenueRateLimited:
        return VenueRateLimited(
            "the venue refuses this address (HTTP 403): too many requests, or a region it does "
            f"not serve; no HTTP for {self.banned_for_s:.0f} s",
            venue=VENUE,
            operation=path,
            outcome=outcome,
            retry_after_s=self.banned_for_s,
        )


def _sent_ns(reply: HttpReply) -> int:
    timing = reply.timing
    sent_ms = timing.queue_ms + (timing.connect_ms or 0.0) + (timing.send_ms or 0.0)
    return round(sent_ms * _NS_PER_MS)
