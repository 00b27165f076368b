"""Order entry over the trade WebSocket: many requests in flight on one connection.

A request is written at most once. It ends in one of four ways: accepted (an answer), refused for
certain, never sent, or unknown, when the connection was lost or the deadline passed after it was
written. An unknown one is settled by a look-up, never by sending it again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    ValidationError,
    VenueAuthError,
    VenueError,
)
from trading_system.domain.ports import Clock
from trading_system.venues.bybit.budgets import Budgets, is_over_quota
from trading_system.venues.bybit.heartbeat import HEARTBEAT
from trading_system.venues.bybit.quotas import QuotaTable, reset_in_s
from trading_system.venues.bybit.refusals import (
    LATE_TOLERATED,
    is_late,
    is_no_change,
    not_sent,
    refusal,
    unknown,
)
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.wire import MAX_BATCH, Answer
from trading_system.venues.link import Link, LinkTiming, LinkView
from trading_system.venues.link_state import LinkState

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
_LEAST_S = 0.001
_AUTH_VALID_MS = 5_000
_ALREADY_IN = 20001
_RESTARTING = 10019
_NO_OFFSET: Callable[[], int] = int


class _Reply(msgspec.Struct, frozen=True):
    # Any frame of the trade stream.
    op: str | None = None
    retCode: int = 0  # noqa: N815 - the venue's spelling
    retMsg: Any = None  # noqa: N815 - the venue's spelling
    reqId: str | None = None  # noqa: N815 - the venue's spelling
    data: msgspec.Raw = msgspec.Raw(b"{}")
    retExtInfo: msgspec.Raw = msgspec.Raw(b"{}")  # noqa: N815 - the venue's spelling
    header: Any = None

    @property
    def text(self) -> str:
        return self.retMsg if isinstance(self.retMsg, str) else ""

    @property
    def headers(self) -> dict[str, str]:
        # Figures of the quota, which no request depends on.
        given = self.header if isinstance(self.header, dict) else {}
        return {name: str(value) for name, value in given.items()}


class BybitTradeStream(LinkView):
    """The trade WebSocket of one account.

    Parameters
    ----------
    url : str
        Full address including ``/v5/trade``.
    signer : Signer
        Logs in; its receive window goes with every request.
    clock : Clock
        Source of the request timestamps.
    jitter : random.Random
        Source of the back-off's jitter.
    offset_ns : Callable[[], int]
        The venue's clock minus ours, nanoseconds.
    timing : LinkTiming or None
        Patience of the connection.
    max_in_flight : int
        Most requests that may wait for an answer; beyond it they are not sent.
    on_sent : Callable[[int], None] or None
        Told how many nanoseconds a request took from the call until it was in the socket.
    budgets : Budgets or None
        Shared with REST: makes requests wait that the venue would refuse.
    on_late : Callable[[], None]
        Told that a log-in came too late: the offset is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        signer: Signer,
        clock: Clock,
        jitter: random.Random,
        offset_ns: Callable[[], int] = _NO_OFFSET,
        timing: LinkTiming | None = None,
        max_in_flight: int = 1_000,
        on_sent: Callable[[int], None] | None = None,
        budgets: Budgets | None = None,
        on_late: Callable[[], None] = lambda: None,
    ) -> None:
        self._budgets = budgets
        self._on_late = on_late
        self._late_log_ins = 0
        self._signer = signer
        self._clock = clock
        self._offset_ns = offset_ns
        self._on_sent = on_sent
        self._max_in_flight = max_in_flight
        self._decoder = msgspec.json.Decoder(_Reply)
        self._link = Link(
            url,
            self,
            clock=clock,
            jitter=jitter,
            heartbeat=HEARTBEAT,
            timing=timing,
            logs_in=True,
        )
        self._waiting: dict[str, asyncio.Future[_Reply]] = {}
        self.quotas = QuotaTable()
        self.requests = 0
        self.unmatched = 0

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return len(self._waiting)

    async def run(self) -> None:
        """Keep the connection alive until cancelled.

        Raises
        ------
        VenueAuthError
            If the venue refuses the key; reconnecting would not help.
        """
        try:
            await self._link.run()
        finally:
            self.closed("the stream was ended")

    async def request(self, operation: str, body: Mapping[str, Any], *, timeout_s: float) -> Answer:
        """Send one order request and return its answer.

        Parameters
        ----------
        operation : str
            ``order.create``, ``order.amend``, ``order.cancel`` or one of them with ``-batch``.
        body : Mapping[str, Any]
            The body of the same REST request.
        timeout_s : float
            Deadline from this call on, seconds.

        Raises
        ------
        ValidationError
            If a batch holds more than ten orders; nothing was sent.
        VenueError
            ``outcome`` NOT_SENT: nothing was written, another way may be tried. REJECTED: see
            ``code``. UNKNOWN: written, and no answer came.
        """
        if len(body.get("request", ())) > MAX_BATCH:
            raise ValidationError(f"a batch holds at most {MAX_BATCH} orders")
        if not self.is_up:
            raise not_sent("the trade stream is down", operation=operation)
        timeout_s = await self._admitted(operation, body, timeout_s)
        if len(self._waiting) >= self._max_in_flight:
            raise not_sent(f"{self.in_flight} requests are in flight", operation=operation)
        started_ns = self._clock.monotonic_ns()
        self.requests += 1
        request_id = f"{self.connects}-{self.requests}"
        reply = await self._exchange(
            request_id, operation, self._frame(request_id, operation, body), timeout_s, started_ns
        )
        return self._judge(operation, body, reply)

    async def _admitted(self, operation: str, body: Mapping[str, Any], timeout_s: float) -> float:
        """Wait for the quota, before the request is stamped; return what is left of the time."""
        if self._budgets is None:
            return timeout_s
        began_ns = self._clock.monotonic_ns()
        await self._budgets.admit(operation, body, deadline_s=timeout_s, is_http=False)
        waited_s = (self._clock.monotonic_ns() - began_ns) / _NS_PER_S
        return max(_LEAST_S, timeout_s - waited_s)

    async def _exchange(
        self, request_id: str, operation: str, text: str, timeout_s: float, started_ns: int
    ) -> _Reply:
        future: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        try:
            async with asyncio.timeout(timeout_s):
                await self._link.send(text, has_deadline=True)
                if self._on_sent is not None:
                    self._on_sent(self._clock.monotonic_ns() - started_ns)
                return await future
        except VenueError as e:  # also an OSError, as is TimeoutError
            if e.outcome is Outcome.NOT_SENT:
                raise not_sent(str(e), operation=operation) from e
            raise unknown(str(e), operation=operation) from e
        except TimeoutError as e:
            raise unknown(f"no answer within {timeout_s:g} s", operation=operation) from e
        finally:
            del self._waiting[request_id]
            if not future.cancel() and not future.cancelled():
                future.exception()  # looked at, so that the loop does not complain

    def _frame(self, request_id: str, operation: str, body: Mapping[str, Any]) -> str:
        now_ns = self._clock.utc_ns() + self._offset_ns()
        header = {
            "X-BAPI-TIMESTAMP": str(now_ns // _NS_PER_MS),
            "X-BAPI-RECV-WINDOW": str(self._signer.recv_window_ms),
        }
        request = {"reqId": request_id, "header": header, "op": operation, "args": [body]}
        return msgspec.json.encode(request).decode()

    def _judge(self, operation: str, body: Mapping[str, Any], reply: _Reply) -> Answer:
        headers = reply.headers
        self.quotas.note(operation, headers)
        if self._budgets is not None:
            self._budgets.follow(operation, body, headers)
        if reply.retCode == 0 or is_no_change(reply.retCode, reply.text, operation=operation):
            return Answer(result=reply.data, extra=reply.retExtInfo)
        now_ms = (self._clock.utc_ns() + self._offset_ns()) // _NS_PER_MS
        error = refusal(
            reply.retCode,
            reply.text,
            operation=operation,
            retry_after_s=reset_in_s(headers, now_ms=now_ms),
        )
        if self._budgets is not None and is_over_quota(error):
            self._budgets.refuse(operation, body, retry_after_s=error.retry_after_s or 0.0)
        raise error

    # --- called by the link -------------------------------------------------------------------

    def opened(self) -> str:
        """Return the log-in."""
        now_ns = self._clock.utc_ns() + self._offset_ns()
        expires_ms = now_ns // _NS_PER_MS + _AUTH_VALID_MS
        arguments = self._signer.stream_auth(expires_ms=expires_ms)
        return msgspec.json.encode({"op": "auth", "reqId": "auth", "args": arguments}).decode()

    def received(self, frame: bytes, received_ns: int) -> None:
        """Give an answer to the request that waits for it."""
        del received_ns
        try:
            reply = self._decoder.decode(frame)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as e:
            raise CorruptDataError(f"trade stream: {e}") from e
        if reply.op == "auth":
            self._on_auth(reply)
            return
        if reply.op in {"pong", "ping"}:
            return
        future = self._waiting.get(reply.reqId or "")
        if future is None:
            self.unmatched += 1
        elif not future.done():
            future.set_result(reply)
        if reply.retCode == _RESTARTING:
            raise CorruptDataError("the venue restarts its trade stream")

    def closed(self, reason: str) -> None:
        """End every written request as unknown: its answer can no longer come."""
        for future in self._waiting.values():
            if not future.done():
                text = f"the connection was lost before the answer ({reason})"
                future.set_exception(unknown(text, operation="stream.request"))

    def _on_auth(self, reply: _Reply) -> None:
        if self._link.state is not LinkState.AUTHENTICATING:
            return  # the log-in was answered before
        if reply.retCode in {0, _ALREADY_IN}:
            self._late_log_ins = 0
            self._link.prepared()
            return
        failure = refusal(reply.retCode, reply.text, operation="stream.auth")
        if not isinstance(failure, VenueAuthError):
            raise CorruptDataError(f"log-in: {failure}")
        if not is_late(reply.retCode, reply.text) or self._late_log_ins >= LATE_TOLERATED:
            raise failure
        self._late_log_ins += 1
        self._on_late()
        raise CorruptDataError(f"stream log-in came too late: {reply.retCode} {reply.text}")
