"""One HTTP exchange on an aiohttp session, with the time of each of its phases."""

from __future__ import annotations

from types import SimpleNamespace

import aiohttp
from yarl import URL

from trading_system.domain.errors import Outcome, VenueUnavailable
from trading_system.domain.ports import Clock, HttpReply, HttpRequest, HttpTiming

_NS_PER_MS = 1_000_000
_FIELD = len(": \r\n")
_LINE = len("  HTTP/1.1\r\n\r\n")  # with the empty line after the headers


class Exchange:
    """The stamps of one request, monotonic nanoseconds; 0 where the phase has not happened.

    Parameters
    ----------
    clock : Clock
        Source of the stamps.
    started_ns : int
        When the caller asked for the request.

    Attributes
    ----------
    bytes_sent, bytes_received : int
        Request and status line, headers and body, as far as they came; see :func:`sent_size` and
        :func:`head_size`.
    """

    __slots__ = (
        "_clock",
        "bytes_received",
        "bytes_sent",
        "connect_ended_ns",
        "connect_started_ns",
        "connected_ns",
        "first_byte_ns",
        "resolve_ended_ns",
        "resolve_started_ns",
        "sent_ns",
        "started_ns",
        "taken_ns",
    )

    def __init__(self, clock: Clock, started_ns: int) -> None:
        self._clock = clock
        self.started_ns = started_ns
        self.taken_ns = 0
        self.connect_started_ns = 0
        self.connect_ended_ns = 0
        self.connected_ns = 0
        self.resolve_started_ns = 0
        self.resolve_ended_ns = 0
        self.sent_ns = 0
        self.first_byte_ns = 0
        self.bytes_sent = 0
        self.bytes_received = 0

    @property
    def outcome(self) -> Outcome:
        """NOT_SENT until the first byte was handed over, UNKNOWN afterwards."""
        return Outcome.UNKNOWN if self.sent_ns else Outcome.NOT_SENT

    @property
    def connect_ms(self) -> float | None:
        """Time to open the connection, None if a warm one was used or none was opened."""
        if not self.connect_ended_ns:
            return None
        return (self.connect_ended_ns - self.connect_started_ns) / _NS_PER_MS

    @property
    def resolve_ms(self) -> float | None:
        """Time to look up the host's address, None if it was known; a part of ``connect_ms``."""
        if not self.resolve_ended_ns:
            return None
        return (self.resolve_ended_ns - self.resolve_started_ns) / _NS_PER_MS

    def note_taken(self) -> None:
        """Stamp that the queue let the request through."""
        self.taken_ns = self._clock.monotonic_ns()

    def note_resolving(self) -> None:
        """Stamp that the host's address is being looked up."""
        self.resolve_started_ns = self._clock.monotonic_ns()

    def note_resolved(self) -> None:
        """Stamp that the host's address is known."""
        self.resolve_ended_ns = self._clock.monotonic_ns()

    def note_connecting(self) -> None:
        """Stamp that a new connection is being opened."""
        self.connect_started_ns = self._clock.monotonic_ns()

    def note_connected(self) -> None:
        """Stamp that the new connection is there."""
        self.connect_ended_ns = self.connected_ns = self._clock.monotonic_ns()

    def note_reused(self) -> None:
        """Stamp that a warm connection was taken."""
        self.connected_ns = self._clock.monotonic_ns()

    def note_sent(self) -> None:
        """Stamp that a part of the request was handed to the socket; the last one counts."""
        self.sent_ns = self._clock.monotonic_ns()

    def note_first_byte(self) -> None:
        """Stamp that the status line and the headers of the answer are there."""
        self.first_byte_ns = self._clock.monotonic_ns()

    def timing(self) -> HttpTiming:
        """Return the phases; called when the whole answer was read."""
        now_ns = self._clock.monotonic_ns()
        return HttpTiming(
            queue_ms=(self.taken_ns - self.started_ns) / _NS_PER_MS,
            connect_ms=self.connect_ms,
            send_ms=(self.sent_ns - self.connected_ns) / _NS_PER_MS,
            first_byte_ms=(self.first_byte_ns - self.sent_ns) / _NS_PER_MS,
            response_ms=(now_ns - self.sent_ns) / _NS_PER_MS,
            total_ms=(now_ns - self.started_ns) / _NS_PER_MS,
        )


def tracing() -> aiohttp.TraceConfig:
    """Return callbacks that stamp the :class:`Exchange` given as ``trace_request_ctx``."""
    trace = aiohttp.TraceConfig()

    async def connecting(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.note_connecting()

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.note_connected()

    async def reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.note_reused()

    async def resolving(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.note_resolving()

    async def resolved(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.note_resolved()

    async def sent(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.note_sent()

    trace.on_connection_create_start.append(connecting)
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(reused)
    trace.on_dns_resolvehost_start.append(resolving)
    trace.on_dns_resolvehost_end.append(resolved)
    # Both are told before the bytes go to the socket, so that "not stamped" means "not sent".
    trace.on_request_headers_sent.append(sent)
    trace.on_request_chunk_sent.append(sent)
    return trace


def sent_size(request: HttpRequest, url: URL) -> int:
    """Return the bytes of the request line, the caller's headers and the body.

    What the HTTP library adds (``Host``, ``Accept``, about 100 bytes) and TLS are not counted.
    """
    line = len(request.method) + len(url.raw_path_qs) + _LINE
    headers = sum(len(name) + len(value) + _FIELD for name, value in request.headers.items())
    return line + headers + len(request.body or b"")


def head_size(response: aiohttp.ClientResponse) -> int:
    """Return the bytes of the answer's status line and headers; the body adds to it as it comes.

    A body counts after decompression, so a compressed answer was shorter on the wire.
    """
    headers = sum(len(name) + len(value) + _FIELD for name, value in response.raw_headers)
    return len(f"{response.status}{response.reason or ''}") + _LINE + headers


async def exchange(
    session: aiohttp.ClientSession,
    request: HttpRequest,
    url: URL,
    *,
    stamps: Exchange,
    max_bytes: int,
) -> HttpReply:
    """Send ``request`` once and return the whole answer; redirects are not followed.

    Raises
    ------
    VenueUnavailable
        If the answer, after decompression, is larger than ``max_bytes``.
    """
    async with session.request(
        request.method,
        url,
        headers=request.headers,
        data=request.body,
        allow_redirects=False,
        trace_request_ctx=stamps,
    ) as response:
        stamps.note_first_byte()
        stamps.bytes_received = head_size(response)
        body = await _body(response.content, stamps, max_bytes=max_bytes)
        if body is None:
            response.close()
            raise VenueUnavailable(
                f"the answer is larger than {max_bytes} bytes",
                venue="transport",
                operation=url.path,
                outcome=Outcome.UNKNOWN,
            )
        return HttpReply(
            status=response.status, headers=response.headers, body=body, timing=stamps.timing()
        )


async def _body(content: aiohttp.StreamReader, stamps: Exchange, *, max_bytes: int) -> bytes | None:
    # None if it is too large; a short answer came with its headers and is there already.
    if content.is_eof():
        body = content.read_nowait()
        stamps.bytes_received += len(body)
        return body if len(body) <= max_bytes else None
    parts: list[bytes] = []
    size = 0
    async for part in content.iter_any():
        parts.append(part)
        size += len(part)
        stamps.bytes_received += len(part)
        if size > max_bytes:
            return None
    return parts[0] if len(parts) == 1 else b"".join(parts)
