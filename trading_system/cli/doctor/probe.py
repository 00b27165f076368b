"""A small signed reader of its own: doctor judges the venue without the parts it is to judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from trading_system.domain.errors import Outcome, VenueRejected, VenueUnavailable
from trading_system.domain.ports import Clock

_NS_PER_MS = 1_000_000


class RequestSigner(Protocol):
    """Signs requests with one key."""

    def headers(self, payload: bytes, *, timestamp_ms: int) -> dict[str, str]:
        """Return the headers that authenticate a query string."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The ``result`` of one request, its headers, and its round trip in UTC nanoseconds."""

    result: dict[str, Any]
    headers: Mapping[str, str]
    sent_ns: int
    back_ns: int


class Probe:
    """Reads a Bybit host; changes nothing.

    Parameters
    ----------
    base_url : str
        REST host, without a trailing slash.
    timeout_s : float
        Patience with one request, seconds.
    """

    def __init__(
        self, base_url: str, *, signer: RequestSigner, clock: Clock, timeout_s: float
    ) -> None:
        self._base_url = base_url
        self._signer = signer
        self._clock = clock
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self.offset_ns = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
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

    async def read(self, path: str, *, signed: bool = True, **query: str) -> Answer:
        """Return one answer.

        Raises
        ------
        VenueUnavailable
            If the host does not answer with readable JSON in time.
        VenueRejected
            If it refuses; ``code`` says why.
        """
        text = urlencode(query)
        sent_ns = self._clock.utc_ns()
        stamp_ms = (sent_ns + self.offset_ns) // _NS_PER_MS
        headers = self._signer.headers(text.encode(), timestamp_ms=stamp_ms) if signed else {}
        content, reply = await self._fetch(f"{path}?{text}" if text else path, path, headers)
        back_ns = self._clock.utc_ns()
        return Answer(
            result=self._result(content, path), headers=reply, sent_ns=sent_ns, back_ns=back_ns
        )

    async def _fetch(
        self, target: str, path: str, headers: dict[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        assert self._session is not None, "Probe is used inside its async with block"
        url = URL(f"{self._base_url}{target}", encoded=True)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.get(url, headers=headers, allow_redirects=False) as response,
            ):
                return await response.read(), response.headers
        except (aiohttp.ClientError, OSError) as e:
            raise _unavailable(path, f"no answer from {self._base_url}: {e!r}") from e

    def _result(self, content: bytes, path: str) -> dict[str, Any]:
        try:
            envelope = json.loads(content)
            code, result = int(envelope["retCode"]), envelope["result"]
        except (ValueError, KeyError, TypeError, RecursionError) as e:
            raise _unavailable(path, "the answer is no Bybit V5 reply") from e
        if code != 0 or not isinstance(result, dict):
            raise VenueRejected(
                f"{code} {envelope.get('retMsg', '')}",
                venue="bybit",
                operation=path,
                outcome=Outcome.REJECTED,
                code=code,
            )
        return result


def _unavailable(path: str, message: str) -> VenueUnavailable:
    return VenueUnavailable(message, venue="bybit", operation=path, outcome=Outcome.NOT_SENT)
