"""Carries one checked request to its host and back: signed, timed, and sent again only if a GET."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import msgspec

from optimizers.latency.figures import LatencyFigures, Sample
from optimizers.latency.guard import Call
from optimizers.latency.sharing import SharedReads
from trading_system.domain.errors import (
    QueueFullError,
    TradingSystemError,
    VenueError,
    VenueRateLimited,
)
from trading_system.domain.ports import (
    Clock,
    HttpReply,
    HttpRequest,
    HttpTransport,
)
from trading_system.runtime.backoff import Backoff

RETRY = Backoff(first_s=0.1, max_s=1.0, attempts=2)
"""Default policy: a GET is sent three times at most."""

_RATE_LIMITED = 10006
_RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_RESET_HEADER = "X-Bapi-Limit-Reset-Timestamp"
_SHOWN_CHARACTERS = 2000
_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000


def failure(
    error: str, *, text: str = "", outcome: str = "not_sent", status: int | None = None
) -> dict[str, Any]:
    """Return the documented shape of a failed request.

    ``error`` says what happened, ``text`` is what the host answered, ``outcome`` is ``not_sent``,
    ``rejected`` or ``unknown``, ``status`` is the HTTP status if there was one.
    """
    return {"error": error, "text": text, "outcome": outcome, "status": status}


class Host(Protocol):
    """The host whose private paths are signed; a ``VenueClient`` is one."""

    @property
    def rest_url(self) -> str:
        """Base address, without a trailing slash."""
        ...

    def auth_headers(self, payload: bytes) -> dict[str, str]:
        """Return the headers that sign ``payload`` (a GET's query or a POST's body)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How one request ended.

    Parameters
    ----------
    value : Any
        The decoded answer, or the shape of :func:`failure`.
    sample : Sample or None
        Its times, None if it failed.
    body : bytes or None
        The answer as it came, None if it failed.
    """

    value: Any
    sample: Sample | None
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    value: Any
    reply: HttpReply | None = None
    may_retry: bool = False
    wait_s: float | None = None


class Courier:
    """Signs, sends, retries and records.

    Parameters
    ----------
    host : Host
        Signs requests to its own private paths.
    figures : LatencyFigures
        Told about every request once.
    backoff : Backoff
        How often and when a GET is sent again. A POST never is.
    rng : random.Random
        Jitter of the back-off.
    """

    def __init__(
        self,
        host: Host,
        *,
        figures: LatencyFigures,
        clock: Clock,
        backoff: Backoff,
        rng: random.Random,
    ) -> None:
        self._host = host
        self._figures = figures
        self._clock = clock
        self._backoff = backoff
        self._rng = rng
        self._shared: SharedReads[Delivery] = SharedReads()

    @property
    def shared(self) -> int:
        """Reads so far that were answered by another one's request."""
        return self._shared.joined

    async def deliver(
        self,
        transport: HttpTransport,
        call: Call,
        *,
        priority: int,
        timeout_s: float,
        retries: bool = True,
    ) -> Delivery:
        """Return the answer; the deadline covers all attempts and the waits between them.

        Equal public reads that overlap are sent once. Without ``retries`` nothing is shared either:
        a measurement.
        """
        key = call.sharing_key if retries else None
        send = partial(
            self._sent, transport, call, priority=priority, timeout_s=timeout_s, retries=retries
        )
        if key is None:
            return await send()
        began_ns = self._clock.monotonic_ns()
        try:
            found = await self._shared.join(key, priority=priority, patience_s=timeout_s)
        except TimeoutError:
            self._figures.record_failure()
            late = f"no answer within {timeout_s:g} s"
            return Delivery(value=failure(late, outcome="unknown"), sample=None)
        if found is None:
            return await self._shared.lead(key, send, priority=priority, patience_s=timeout_s)
        return self._joined(found, call, priority=priority, began_ns=began_ns)

    async def _sent(
        self,
        transport: HttpTransport,
        call: Call,
        *,
        priority: int,
        timeout_s: float,
        retries: bool,
    ) -> Delivery:
        loop = asyncio.get_running_loop()
        began_ns, ends = self._clock.monotonic_ns(), loop.time() + timeout_s
        is_repeatable = retries and call.method == "GET"
        delays = self._backoff.delays(self._rng) if is_repeatable else iter(())
        while True:
            left_s = max(0.001, ends - loop.time())
            attempt = await self._attempt(transport, call, priority=priority, timeout_s=left_s)
            pause_s = _pause_s(attempt, delays)
            if pause_s is None or loop.time() + pause_s >= ends:
                return self._recorded(attempt, call, priority=priority, began_ns=began_ns)
            self._figures.retries += 1
            await asyncio.sleep(pause_s)

    def _joined(self, found: Delivery, call: Call, *, priority: int, began_ns: int) -> Delivery:
        # Each caller counts, and gets a value of his own that he may change.
        if found.sample is None or found.body is None:
            self._figures.record_failure()
            return Delivery(value=dict(found.value), sample=None)
        sample = Sample(
            latency_ms=(self._clock.monotonic_ns() - began_ns) / _NS_PER_MS,
            timing=found.sample.timing,
        )
        self._figures.record(sample, endpoint=call.endpoint, priority=priority)
        return Delivery(value=msgspec.json.decode(found.body), sample=sample, body=found.body)

    async def _attempt(
        self, transport: HttpTransport, call: Call, *, priority: int, timeout_s: float
    ) -> _Attempt:
        try:
            headers = dict(call.headers)
            if call.needs_signature(self._host.rest_url):
                headers.update(self._host.auth_headers(call.payload))
            request = HttpRequest(
                method=call.method, url=str(call.url), headers=headers, body=call.body
            )
            reply = await transport.request(request, priority=priority, timeout_s=timeout_s)
        except VenueError as e:
            # Neither a full queue nor a venue that refuses this address is helped by asking again.
            may_retry = not isinstance(e, QueueFullError | VenueRateLimited)
            return _Attempt(value=failure(str(e), outcome=e.outcome.value), may_retry=may_retry)
        except TradingSystemError as e:
            return _Attempt(value=failure(f"{type(e).__name__}: {e}"))
        return self._judged(reply)

    def _judged(self, reply: HttpReply) -> _Attempt:
        text = reply.body[:_SHOWN_CHARACTERS].decode(errors="replace")
        if reply.status != 200:
            outcome = "unknown" if reply.status >= 500 else "rejected"
            error = failure(f"HTTP {reply.status}", text=text, outcome=outcome, status=reply.status)
            return _Attempt(value=error, may_retry=reply.status in _RETRIED_STATUSES)
        try:
            value = msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, RecursionError) as e:
            error = failure(f"not JSON: {e}", text=text, outcome="unknown", status=200)
            return _Attempt(value=error)
        is_limited = isinstance(value, dict) and value.get("retCode") == _RATE_LIMITED
        wait_s = self._until_reset_s(reply) if is_limited else None
        return _Attempt(value=value, reply=reply, may_retry=is_limited, wait_s=wait_s)

    def _until_reset_s(self, reply: HttpReply) -> float | None:
        stamp = reply.headers.get(_RESET_HEADER, "")
        if not (stamp.isascii() and stamp.isdigit()):
            return None
        return max(0.0, int(stamp) - self._clock.utc_ns() / _NS_PER_MS) / _MS_PER_S

    def _recorded(self, attempt: _Attempt, call: Call, *, priority: int, began_ns: int) -> Delivery:
        if attempt.reply is None:
            self._figures.record_failure()
            return Delivery(value=attempt.value, sample=None)
        sample = Sample(
            latency_ms=(self._clock.monotonic_ns() - began_ns) / _NS_PER_MS,
            timing=attempt.reply.timing,
        )
        self._figures.record(sample, endpoint=call.endpoint, priority=priority)
        return Delivery(value=attempt.value, sample=sample, body=attempt.reply.body)


def _pause_s(attempt: _Attempt, delays: Iterator[float]) -> float | None:
    # None ends the request; what the venue asked for is waited for, plus the jitter.
    if not attempt.may_retry:
        return None
    delay_s = next(delays, None)
    if delay_s is None:
        return None
    return delay_s + (attempt.wait_s or 0.0)
