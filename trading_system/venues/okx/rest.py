"""OKX's public REST endpoints; every failure is a typed error and nothing is retried here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    ValidationError,
    VenueError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.ports import Clock
from trading_system.venues.okx.book import OkxBook
from trading_system.venues.okx.hosts import VENUE, OkxHosts
from trading_system.venues.okx.instruments import OkxInstrument, OkxInstType
from trading_system.venues.okx.wire import (
    REFUSALS,
    BookRow,
    InstrumentRow,
    OkxTicker,
    TickerRow,
    instrument_of,
    stamp_ns,
    ticker_of,
)

T = TypeVar("T")
_MAX_BODY_BYTES = 16 * 1024 * 1024
_MAX_LEVELS = 400
_CONNECTIONS = 4
_RATE_CODES = frozenset({"50011", "50061"})
_BUSY_CODES = frozenset({"50001", "50004", "50013", "50026"})
_RETRY_S = 2.0


class _Envelope(msgspec.Struct):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _TimeRow(msgspec.Struct):
    ts: str


class OkxPublicRest:
    """Requests to one OKX host, over an own session that is open inside ``async with``.

    Parameters
    ----------
    hosts : OkxHosts
        Where to ask; see ``hosts.okx_hosts``.
    clock : Clock
        Source of receive stamps.
    timeout_s : float
        Deadline of each request, seconds.
    """

    def __init__(self, hosts: OkxHosts, *, clock: Clock, timeout_s: float = 10.0) -> None:
        if not 0 < timeout_s <= 600:
            raise ValidationError(f"a deadline is above 0 and at most 600 s, was {timeout_s}")
        self._hosts = hosts
        self._clock = clock
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        self.failures = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"x-simulated-trading": "1"} if self._hosts.is_demo else None,
        )
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

    async def time_ns(self) -> int:
        """Return OKX's clock, UTC nanoseconds (whole milliseconds).

        Raises
        ------
        VenueError
            As for every request here: VenueUnavailable if there was no useful answer,
            VenueRateLimited or VenueRejected if OKX refused.
        """
        path = "/api/v5/public/time"
        rows = await self._rows(path, {}, list[_TimeRow])
        return _checked(path, lambda: stamp_ns(_only(path, rows).ts))

    async def instruments(self, inst_type: OkxInstType) -> dict[str, OkxInstrument]:
        """Return all instruments of a kind by ``inst_id``.

        Rows that describe no tradable grid (as OKX sends before a listing) are left out.

        Raises
        ------
        VenueError
            See :meth:`time_ns`.
        """
        path = "/api/v5/public/instruments"
        rows = await self._rows(path, {"instType": str(inst_type)}, list[InstrumentRow])
        found = {}
        for row in rows:
            try:
                found[row.inst_id] = instrument_of(row)
            except CorruptDataError:
                continue  # it cannot be read, so it cannot be asked for
        return found

    async def instrument(self, inst_id: str) -> OkxInstrument:
        """Return one instrument; its kind follows from its name.

        Raises
        ------
        VenueRejected
            If OKX knows no such instrument.
        VenueError
            See :meth:`time_ns`.
        """
        path = "/api/v5/public/instruments"
        params = {"instType": str(kind_of(inst_id)), "instId": inst_id}
        rows = await self._rows(path, params, list[InstrumentRow])
        row = next((row for row in rows if row.inst_id == inst_id), None)
        if row is not None:
            found = row
            return _checked(path, lambda: instrument_of(found))
        raise VenueRejected(
            f"there is no instrument {inst_id[:40]!r}",
            venue=VENUE,
            operation=path,
            outcome=Outcome.REJECTED,
        )

    async def book(self, inst_id: str, *, size: int = 400) -> OkxBook:
        """Return the present book with up to ``size`` levels per side, sizes as sent.

        Raises
        ------
        ValidationError
            If ``size`` is not 1-400.
        VenueError
            See :meth:`time_ns`.
        """
        if not 1 <= size <= _MAX_LEVELS:
            raise ValidationError(f"a book has 1 to {_MAX_LEVELS} levels, asked for {size}")
        path = "/api/v5/market/books"
        rows = await self._rows(path, {"instId": inst_id, "sz": str(size)}, list[BookRow])
        row, book = _only(path, rows), OkxBook(inst_id)
        received_ns = self._clock.monotonic_ns()
        _checked(path, lambda: book.apply(row, received_ns, is_snapshot=True))
        return book

    async def ticker(self, instrument: OkxInstrument) -> OkxTicker:
        """Return the instrument's ticker, sizes in base currency.

        Raises
        ------
        VenueError
            See :meth:`time_ns`.
        """
        path = "/api/v5/market/ticker"
        rows = await self._rows(path, {"instId": instrument.inst_id}, list[TickerRow])
        row, received_ns = _only(path, rows), self._clock.monotonic_ns()
        return _checked(path, lambda: ticker_of(row, instrument, received_ns))

    async def _rows(self, path: str, params: Mapping[str, str], kind: type[T]) -> T:
        self.requests += 1
        try:
            envelope = _read(path, *await self._fetch(path, params))
            return _decoded(path, envelope.data, kind)
        except VenueError as e:
            if not isinstance(e, VenueRejected):
                self.failures += 1
            raise

    async def _fetch(self, path: str, params: Mapping[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            raise _unavailable(path, "the client is not open", Outcome.NOT_SENT)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.get(
                    f"{self._hosts.rest}{path}", params=params, allow_redirects=False
                ) as response,
            ):
                return response.status, await _body(path, response)
        except VenueError:  # also an OSError
            raise
        except TimeoutError as e:
            raise _unavailable(path, f"no answer within {self._timeout_s:g} s") from e
        except aiohttp.ClientConnectorError as e:
            raise _unavailable(path, f"cannot connect: {e}", Outcome.NOT_SENT) from e
        except (aiohttp.ClientError, OSError) as e:
            raise _unavailable(path, f"connection failed: {e!r}") from e


def kind_of(inst_id: str) -> OkxInstType:
    """Return the kind that a name stands for: two parts SPOT, ``-SWAP`` at the end, or FUTURES."""
    parts = inst_id.split("-")
    if len(parts) < 3:
        return OkxInstType.SPOT
    return OkxInstType.SWAP if parts[-1] == "SWAP" else OkxInstType.FUTURES


async def _body(path: str, response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for chunk in response.content.iter_chunked(1 << 16):
        parts.append(chunk)
        size += len(chunk)
        if size > _MAX_BODY_BYTES:
            response.close()
            raise _unavailable(path, f"an answer of more than {_MAX_BODY_BYTES} bytes")
    return b"".join(parts)


def _read(path: str, status: int, body: bytes) -> _Envelope:
    if status == 429:
        raise _limited(path, "HTTP 429")
    if status >= 500:
        raise _unavailable(path, f"HTTP {status}")
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except REFUSALS as e:
        raise _unavailable(path, f"HTTP {status} with an unreadable body") from e
    if envelope.code in _RATE_CODES:
        raise _limited(path, f"{envelope.code} {envelope.msg[:200]}")
    if envelope.code in _BUSY_CODES:
        raise _unavailable(path, f"{envelope.code} {envelope.msg[:200]}")
    if envelope.code != "0":
        raise VenueRejected(
            f"{envelope.code[:10]} {envelope.msg[:200]}".rstrip(),
            venue=VENUE,
            operation=path,
            outcome=Outcome.REJECTED,
            code=_number(envelope.code),
        )
    if status != 200:
        raise _unavailable(path, f"HTTP {status}")
    return envelope


def _decoded(path: str, data: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except REFUSALS as e:
        raise _unavailable(path, f"an unreadable answer: {str(e)[:200]}") from e


def _checked(path: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except CorruptDataError as e:
        raise _unavailable(path, f"an impossible answer: {e}") from e


def _only(path: str, rows: list[T]) -> T:
    if len(rows) != 1:
        raise _unavailable(path, f"{len(rows)} rows where one was asked for")
    return rows[0]


def _number(code: str) -> int | None:
    return int(code) if code.isascii() and code.isdigit() and len(code) <= 9 else None


def _unavailable(path: str, text: str, outcome: Outcome = Outcome.UNKNOWN) -> VenueUnavailable:
    return VenueUnavailable(text, venue=VENUE, operation=path, outcome=outcome)


def _limited(path: str, text: str) -> VenueRateLimited:
    return VenueRateLimited(
        text, venue=VENUE, operation=path, outcome=Outcome.REJECTED, retry_after_s=_RETRY_S
    )
