"""Signed REST requests with a typed outcome for every failure.

Nothing here retries: whether a request may be sent again depends on what it was, and only the
caller knows. A failed order request says through ``VenueError.outcome`` whether it can have had
an effect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from trading_system.domain.errors import (
    Outcome,
    VenueAuthError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.ports import Clock
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.wire import Envelope

_VENUE = "bybit"
_NS_PER_MS = 1_000_000
_AUTH_CODES = frozenset({10002, 10003, 10004, 10005, 10007, 10010, 33004})
# Codes after which the venue may have acted all the same: only a look-up tells.
_UNKNOWN_CODES = frozenset(
    {429, 10000, 10016, 10019, 10403, 10429, 20003, 20006, 170001, 170005, 170007, 170032, 500000}
)
_NO_CHANGE_CODES = frozenset({110025, 110026, 110043})
_BAN_S = 600.0
_RECENT = 200


class BybitRest:
    """Keep-alive REST connection pool to one Bybit host.

    Parameters
    ----------
    base_url : str
        For example ``https://api-testnet.bybit.com``.
    signer : Signer or None
        None allows public endpoints only.
    clock : Clock
        Source of the request timestamps.
    pool_size : int
        Most connections kept to the host.
    on_post_sent : Callable[[int], None] or None
        Told how many nanoseconds passed from the request's start until its body was handed to
        the socket, the wait for a free connection included.
    """

    def __init__(
        self,
        base_url: str,
        *,
        signer: Signer | None,
        clock: Clock,
        pool_size: int = 5,
        on_post_sent: Callable[[int], None] | None = None,
    ) -> None:
        self._base_url = base_url
        self._signer = signer
        self._clock = clock
        self._pool_size = pool_size
        self._session: aiohttp.ClientSession | None = None
        self._decoder = msgspec.json.Decoder(Envelope)
        self._on_post_sent = on_post_sent
        self.requests = 0
        self.failures = 0
        self._failed_at: deque[int] = deque(maxlen=_RECENT)
        self.offset_ns = 0

    @property
    def recent(self) -> tuple[int, int]:
        """Failures among the newest 200 requests, and how many requests those are."""
        oldest = self.requests - _RECENT
        return sum(number > oldest for number in self._failed_at), min(self.requests, _RECENT)

    def _note_failure(self) -> None:
        self.failures += 1
        self._failed_at.append(self.requests)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._pool_size, keepalive_timeout=60.0, ttl_dns_cache=300
        )
        traces = [self._trace()] if self._on_post_sent is not None else []
        self._session = aiohttp.ClientSession(connector=connector, trace_configs=traces)
        return self

    def _trace(self) -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()

        async def started(
            _session: aiohttp.ClientSession,
            context: SimpleNamespace,
            _parameters: aiohttp.TraceRequestStartParams,
        ) -> None:
            context.started_ns = self._clock.monotonic_ns()

        async def sent(
            _session: aiohttp.ClientSession,
            context: SimpleNamespace,
            parameters: aiohttp.TraceRequestChunkSentParams,
        ) -> None:
            if parameters.method == "POST" and self._on_post_sent is not None:
                self._on_post_sent(self._clock.monotonic_ns() - context.started_ns)

        trace.on_request_start.append(started)
        trace.on_request_chunk_sent.append(sent)
        return trace

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        timeout_s: float,
        signed: bool = False,
    ) -> msgspec.Raw:
        """Return the raw ``result`` of a GET.

        Raises
        ------
        VenueError
            See its subclasses; a GET never changes anything.
        """
        query = urlencode(params or {})
        headers = self._auth(query.encode(), path) if signed else {}
        url = f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}"
        return await self._send("GET", path, url, headers=headers, body=None, timeout_s=timeout_s)

    async def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float) -> msgspec.Raw:
        """Return the raw ``result`` of a signed POST.

        Raises
        ------
        VenueError
            ``outcome`` UNKNOWN means that the request can have had its effect.
        """
        payload = msgspec.json.encode(body)
        headers = self._auth(payload, path)
        headers["Content-Type"] = "application/json"
        url = f"{self._base_url}{path}"
        return await self._send(
            "POST", path, url, headers=headers, body=payload, timeout_s=timeout_s
        )

    def _auth(self, payload: bytes, path: str) -> dict[str, str]:
        if self._signer is None:
            raise VenueAuthError(
                "needs an API key; set TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET",
                venue=_VENUE,
                operation=path,
                outcome=Outcome.NOT_SENT,
            )
        now_ns = self._clock.utc_ns() + self.offset_ns
        return self._signer.headers(payload, timestamp_ms=now_ns // _NS_PER_MS)

    async def _send(
        self,
        method: str,
        path: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes | None,
        timeout_s: float,
    ) -> msgspec.Raw:
        assert self._session is not None, "BybitRest is used inside its async with block"
        self.requests += 1
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.request(
                    method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                ) as response:
                    content = await response.read()
                    status, reply_headers = response.status, response.headers
            return self._result(path, status, content, reply_headers)
        except aiohttp.ClientConnectorError as e:
            self._note_failure()
            raise VenueUnavailable(
                f"cannot connect: {e}", venue=_VENUE, operation=path, outcome=Outcome.NOT_SENT
            ) from e
        except TimeoutError as e:
            self._note_failure()
            raise VenueUnavailable(
                f"no answer within {timeout_s} s",
                venue=_VENUE,
                operation=path,
                outcome=Outcome.UNKNOWN,
            ) from e
        except (aiohttp.ClientError, OSError) as e:
            if isinstance(e, VenueUnavailable | VenueRejected | VenueRateLimited | VenueAuthError):
                raise
            self._note_failure()
            raise VenueUnavailable(
                f"connection failed: {e!r}", venue=_VENUE, operation=path, outcome=Outcome.UNKNOWN
            ) from e

    def _result(
        self, path: str, status: int, content: bytes, headers: Mapping[str, str]
    ) -> msgspec.Raw:
        if status == 403:
            self._note_failure()
            raise VenueRateLimited(
                "address banned for too many requests (HTTP 403)",
                venue=_VENUE,
                operation=path,
                outcome=Outcome.REJECTED,
                retry_after_s=_BAN_S,
            )
        try:
            envelope = self._decoder.decode(content)
        except (msgspec.DecodeError, RecursionError) as e:
            self._note_failure()
            raise VenueUnavailable(
                f"HTTP {status} with an unreadable body",
                venue=_VENUE,
                operation=path,
                outcome=Outcome.UNKNOWN,
            ) from e
        if status >= 500:
            self._note_failure()
            raise VenueUnavailable(
                f"HTTP {status}", venue=_VENUE, operation=path, outcome=Outcome.UNKNOWN
            )
        if envelope.retCode == 0 or envelope.retCode in _NO_CHANGE_CODES:
            return envelope.result
        raise self._refusal(path, envelope, headers)

    def _refusal(
        self, path: str, envelope: Envelope, headers: Mapping[str, str]
    ) -> VenueRejected | VenueRateLimited | VenueAuthError | VenueUnavailable:
        code, text = envelope.retCode, f"{envelope.retCode} {envelope.retMsg}"
        if code in _UNKNOWN_CODES:
            self._note_failure()
            return VenueUnavailable(
                text, venue=_VENUE, operation=path, outcome=Outcome.UNKNOWN, code=code
            )
        if code == 10006:
            self._note_failure()
            return VenueRateLimited(
                text,
                venue=_VENUE,
                operation=path,
                outcome=Outcome.REJECTED,
                code=code,
                retry_after_s=self._reset_in_s(headers),
            )
        if code in _AUTH_CODES:
            self._note_failure()
            return VenueAuthError(
                text, venue=_VENUE, operation=path, outcome=Outcome.REJECTED, code=code
            )
        return VenueRejected(
            text, venue=_VENUE, operation=path, outcome=Outcome.REJECTED, code=code
        )

    def _reset_in_s(self, headers: Mapping[str, str]) -> float:
        stamp = headers.get("X-Bapi-Limit-Reset-Timestamp", "")
        if not (stamp.isascii() and stamp.isdigit()):
            return 1.0
        now_ms = (self._clock.utc_ns() + self.offset_ns) // _NS_PER_MS
        return max(0.0, (int(stamp) - now_ms) / 1_000)
