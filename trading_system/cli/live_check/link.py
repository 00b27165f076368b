"""A small client of its own: the check judges a host without the parts it is to judge."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from urllib.parse import urlencode, urlsplit

import aiohttp
from yarl import URL

from trading_system.cli.live_check.observing import Observations
from trading_system.cli.live_check.transcript import Transcript
from trading_system.domain.errors import Outcome, VenueUnavailable
from trading_system.domain.ports import Clock
from trading_system.venues.bybit.hosts import Endpoints
from trading_system.venues.bybit.signing import Signer

Row: TypeAlias = dict[str, Any]
Heard: TypeAlias = tuple[bytes, Row]
"""A frame as it came, and decoded."""

QUOTA_HEADERS: Final = frozenset(
    {"x-bapi-limit", "x-bapi-limit-status", "x-bapi-limit-reset-timestamp"}
)
"""Headers that every signed answer has, lower case."""

_NS_PER_MS: Final = 1_000_000
_AUTH_MS: Final = 5_000
_GOODBYE_S: Final = 0.05
_SHOWN_BYTES: Final = 500
_MAX_FRAME: Final = 4 * 1024 * 1024
_FAILURES: Final = (aiohttp.ClientError, OSError)
_CLOSED: Final = frozenset(
    {
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSING,
        aiohttp.WSMsgType.CLOSED,
        aiohttp.WSMsgType.ERROR,
    }
)


class HostLink:
    """Requests and streams of one host, each written down and its shape noted.

    Certificates are always verified, by ``tls``.

    Parameters
    ----------
    seen : Observations
        Where shapes, codes and headers go.
    timeout_s : float
        Patience with one request or the opening of a stream, seconds.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        signer: Signer,
        *,
        clock: Clock,
        tls: ssl.SSLContext,
        transcript: Transcript,
        seen: Observations,
        timeout_s: float,
    ) -> None:
        self.endpoints = endpoints
        self.clock = clock
        self.seen = seen
        self.timeout_s = timeout_s
        self.offset_ns = 0
        self._signer = signer
        self._tls = tls
        self._transcript = transcript
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls))
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
            # The library does not wait until TLS has said goodbye; a loop that ends now would
            # leave the sockets open.
            await asyncio.sleep(_GOODBYE_S)

    def venue_ms(self) -> int:
        """Return the venue's time in UTC milliseconds, by the offset that was measured."""
        return (self.clock.utc_ns() + self.offset_ns) // _NS_PER_MS

    async def read(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        step: str = "",
        signed: bool = True,
        age_ms: int = 0,
    ) -> Row:
        """Return one answer, envelope included.

        Parameters
        ----------
        step : str
            Name for the comparison; empty leaves the answer out of it.
        age_ms : int
            How old the request claims to be.

        Raises
        ------
        VenueUnavailable
            If the host cannot be trusted, or does not answer in time with a JSON object.
        """
        text = urlencode(query or {})
        stamp_ms = self.venue_ms() - age_ms
        headers = self._signer.headers(text.encode(), timestamp_ms=stamp_ms) if signed else {}
        return await self._ask("GET", path, step=step, query=text, headers=headers)

    async def send(self, path: str, body: Row, *, step: str = "") -> Row:
        """Return the answer to one signed POST; see :meth:`read`."""
        raw = json.dumps(body, separators=(",", ":")).encode()
        headers = self._signer.headers(raw, timestamp_ms=self.venue_ms())
        headers["Content-Type"] = "application/json"
        return await self._ask("POST", path, step=step, raw=raw, headers=headers)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        step: str,
        headers: dict[str, str],
        query: str = "",
        raw: bytes | None = None,
    ) -> Row:
        assert self._session is not None, "HostLink is used inside its async with block"
        asked: Row = {"method": method, "path": path, "query": query, "headers": headers}
        if raw is not None:
            asked["body"] = json.loads(raw)
        self._transcript.write("rest", "request", asked)
        url = URL(f"{self.endpoints.rest}{path}{'?' if query else ''}{query}", encoded=True)
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self._session.request(
                    method, url, data=raw, headers=headers, allow_redirects=False
                ) as response,
            ):
                content = await response.read()
        except _FAILURES as e:
            raise self._failure(path, self.endpoints.rest, e) from e
        try:
            envelope = _object(content, path)
        except VenueUnavailable as e:
            text = content[:_SHOWN_BYTES].decode(errors="replace")
            told = {"path": path, "status": response.status, "text": text}
            self._transcript.write("rest", "answer", told)
            raise _unreadable(path, _html_text(response.status)) from e
        told = {"status": response.status, "headers": dict(response.headers), "body": envelope}
        self._transcript.write("rest", "answer", {"path": path, **told})
        if step:
            self._note(step, envelope, response, is_signed="X-BAPI-SIGN" in headers)
        return envelope

    def _note(
        self, step: str, envelope: Row, response: aiohttp.ClientResponse, *, is_signed: bool
    ) -> None:
        self.seen.note(step, envelope)
        self.seen.codes[step] = f"{response.status} {envelope.get('retCode')}"
        if is_signed:
            names = frozenset(name.lower() for name in response.headers)
            self.seen.headers[step] = names & QUOTA_HEADERS

    @asynccontextmanager
    async def stream(self, channel: str, url: str) -> AsyncIterator[HostStream]:
        """Open a WebSocket; ``channel`` names it in the comparison.

        Raises
        ------
        VenueUnavailable
            If it cannot be opened.
        """
        assert self._session is not None, "HostLink is used inside its async with block"
        try:
            async with asyncio.timeout(self.timeout_s):
                socket = await self._session.ws_connect(url, max_msg_size=_MAX_FRAME)
        except _FAILURES as e:
            raise self._failure(channel, url, e) from e
        async with socket:
            yield HostStream(self, socket, channel, self._transcript)

    def auth_args(self) -> list[str | int]:
        """Return the arguments of a stream's log-in, valid for five seconds."""
        return self._signer.stream_auth(expires_ms=self.venue_ms() + _AUTH_MS)

    def _failure(self, operation: str, url: str, cause: Exception) -> VenueUnavailable:
        host = urlsplit(url).netloc
        if isinstance(cause, aiohttp.ClientConnectorCertificateError):
            text = (
                f"the certificate of {host} is not trusted, nothing was sent to it: "
                f"{cause.certificate_error}"
            )
            return VenueUnavailable(
                text, venue="bybit", operation=operation, outcome=Outcome.NOT_SENT
            )
        return VenueUnavailable(
            f"no answer from {host}: {cause!r}",
            venue="bybit",
            operation=operation,
            outcome=Outcome.UNKNOWN,
        )


class HostStream:
    """One WebSocket, read on demand."""

    def __init__(
        self,
        link: HostLink,
        socket: aiohttp.ClientWebSocketResponse,
        channel: str,
        transcript: Transcript,
    ) -> None:
        self.link = link
        self.channel = channel
        self._socket = socket
        self._transcript = transcript
        self._numbers = 0

    async def say(self, frame: Row) -> None:
        """Send one frame."""
        self._transcript.write(self.channel, "sent", frame)
        try:
            await self._socket.send_str(json.dumps(frame))
        except _FAILURES as e:
            raise _unreadable(self.channel, f"the stream is broken: {e!r}") from e

    async def hear(self, within_s: float) -> Heard | None:
        """Return the next frame, raw and decoded; None if none comes in time.

        Raises
        ------
        VenueUnavailable
            If the host closed the stream or sent no JSON object.
        """
        try:
            async with asyncio.timeout(within_s):
                message = await self._socket.receive()
        except TimeoutError:
            return None
        if message.type in _CLOSED:
            raise _unreadable(self.channel, f"the host closed the stream: {message.data!r}")
        raw = message.data if isinstance(message.data, bytes) else str(message.data).encode()
        frame = _object(raw, self.channel)
        self._transcript.write(self.channel, "frame", frame)
        return raw, frame

    async def until(
        self, is_it: Callable[[Row], bool], *, within_s: float, also: Callable[[Heard], None]
    ) -> Row | None:
        """Return the first frame that ``is_it``, handing every frame before it to ``also``."""
        clock = self.link.clock
        end_ns = clock.monotonic_ns() + round(within_s * 1e9)
        while (left_ns := end_ns - clock.monotonic_ns()) > 0:
            heard = await self.hear(left_ns / 1e9)
            if heard is None:
                break
            if is_it(heard[1]):
                return heard[1]
            also(heard)
        return None

    async def ask(
        self, operation: str, frame: Row, *, id_key: str, also: Callable[[Heard], None]
    ) -> Row:
        """Send a request with an id of its own and return the answer to it.

        Raises
        ------
        VenueUnavailable
            If no answer comes in time; its effect is unknown.
        """
        self._numbers += 1
        given = f"{self.channel}-{self._numbers}"
        await self.say({**frame, "op": operation, id_key: given})
        reply = await self.until(
            lambda row: _answers(row, operation, id_key=id_key, given=given),
            within_s=self.link.timeout_s,
            also=also,
        )
        if reply is None:
            raise _unreadable(self.channel, f"no answer to {operation}")
        return reply


# Of a log-in and a ping not every host repeats the id.
def _answers(row: Row, operation: str, *, id_key: str, given: str) -> bool:
    if row.get(id_key) == given:
        return True
    names = {"ping": ("ping", "pong")}.get(operation, (operation,))
    return not row.get(id_key) and row.get("op") in names


def _object(content: bytes, operation: str) -> Row:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise _unreadable(operation, "the answer is no JSON") from e
    if not isinstance(found, dict):
        raise _unreadable(operation, "the answer is no JSON object")
    return found


def _html_text(status: int) -> str:
    if status == HTTPStatus.FORBIDDEN:
        return (
            "HTTP 403 without JSON: too many requests of this address (ten minutes of silence "
            "help), or the host does not serve this region"
        )
    return f"HTTP {status} without a JSON object"


def _unreadable(operation: str, message: str) -> VenueUnavailable:
    return VenueUnavailable(message, venue="bybit", operation=operation, outcome=Outcome.UNKNOWN)
