"""Bybit's linear category as the system uses it: queries and raw order entry.

This is the raw gateway; inside the system only the execution engine holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    VenueRateLimited,
    VenueUnavailable,
)
from trading_system.domain.events import WalletReport
from trading_system.domain.instruments import Instrument, parse_decimal
from trading_system.domain.orders import (
    Fill,
    OrderAck,
    OrderIntent,
    OrderReport,
    PositionReport,
)
from trading_system.domain.ports import Clock
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.rest import BybitRest

_NS_PER_MS = 1_000_000
_PAGE = 50
_MAX_PAGES = 40
_QUOTA_WAITS = 3
_MAX_QUOTA_WAIT_S = 2.0
_QUOTA_MARGIN_S = 0.05


class _Created(msgspec.Struct, frozen=True):
    orderId: str  # noqa: N815 - the venue's spelling
    orderLinkId: str = ""  # noqa: N815 - the venue's spelling


class _OrderPage(msgspec.Struct, frozen=True):
    rows: list[wire.OrderRow] = msgspec.field(name="list")
    nextPageCursor: str = ""  # noqa: N815 - the venue's spelling


class _ExecutionPage(msgspec.Struct, frozen=True):
    rows: list[wire.ExecutionRow] = msgspec.field(name="list")
    nextPageCursor: str = ""  # noqa: N815 - the venue's spelling


class _PositionPage(msgspec.Struct, frozen=True):
    rows: list[wire.PositionRow] = msgspec.field(name="list")


class _WalletPage(msgspec.Struct, frozen=True):
    rows: list[wire.WalletRow] = msgspec.field(name="list")


class _FeeRow(msgspec.Struct, frozen=True):
    symbol: str
    takerFeeRate: str  # noqa: N815 - the venue's spelling
    makerFeeRate: str  # noqa: N815 - the venue's spelling


class _FeePage(msgspec.Struct, frozen=True):
    rows: list[_FeeRow] = msgspec.field(name="list")


class _RawPage(msgspec.Struct, frozen=True):
    rows: list[dict[str, Any]] = msgspec.field(name="list")


class _Time(msgspec.Struct, frozen=True):
    timeNano: str  # noqa: N815 - the venue's spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRates:
    """Fractions of traded value, positive when paid."""

    taker: Decimal
    maker: Decimal


class BybitGateway:
    """Typed linear-category requests over one :class:`BybitRest`.

    Parameters
    ----------
    rest : BybitRest
        Open connection pool.
    clock : Clock
        For stamps and the clock offset.
    timeout_s : float
        Deadline of each query, seconds; order methods take their own.
    """

    def __init__(self, rest: BybitRest, *, clock: Clock, timeout_s: float = 5.0) -> None:
        self._rest = rest
        self._clock = clock
        self._timeout_s = timeout_s
        self._created = msgspec.json.Decoder(_Created)

    async def _get(
        self,
        path: str,
        parameters: Mapping[str, str | int] | None = None,
        *,
        timeout_s: float,
        signed: bool = False,
    ) -> msgspec.Raw:
        """Read, and wait out a full quota: a query changes nothing, so it may be repeated."""
        for _ in range(_QUOTA_WAITS):
            try:
                return await self._rest.get(path, parameters, timeout_s=timeout_s, signed=signed)
            except VenueRateLimited as e:
                if e.retry_after_s is None or e.retry_after_s > _MAX_QUOTA_WAIT_S:
                    raise
                await asyncio.sleep(e.retry_after_s + _QUOTA_MARGIN_S)
        return await self._rest.get(path, parameters, timeout_s=timeout_s, signed=signed)

    async def synchronise_clock(self) -> float:
        """Set the request clock's offset from the fastest of three samples; return it in ms."""
        best_ns: tuple[int, int] | None = None
        for _ in range(3):
            sent_ns = self._clock.utc_ns()
            raw = await self._get("/v5/market/time", timeout_s=self._timeout_s)
            back_ns = self._clock.utc_ns()
            answer = wire.decode(raw, msgspec.json.Decoder(_Time), what="server time")
            if not (answer.timeNano.isascii() and answer.timeNano.isdigit()):
                raise CorruptDataError(f"server time: not a number: {answer.timeNano[:40]!r}")
            offset_ns = int(answer.timeNano) - (sent_ns + back_ns) // 2
            if best_ns is None or back_ns - sent_ns < best_ns[0]:
                best_ns = (back_ns - sent_ns, offset_ns)
        assert best_ns is not None
        self._rest.offset_ns = best_ns[1]
        return best_ns[1] / _NS_PER_MS

    async def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of one linear symbol."""
        raw = await self._get(
            "/v5/market/instruments-info",
            {"category": "linear", "symbol": symbol},
            timeout_s=self._timeout_s,
        )
        page = wire.decode(raw, msgspec.json.Decoder(_RawPage), what="instruments")
        if not page.rows:
            raise CorruptDataError(f"the venue lists no linear symbol {symbol}")
        return wire.instrument(page.rows[0])

    async def fee_rates(self, symbol: str) -> FeeRates:
        """Return the account's own fee rates for one symbol."""
        raw = await self._get(
            "/v5/account/fee-rate",
            {"category": "linear", "symbol": symbol},
            timeout_s=self._timeout_s,
            signed=True,
        )
        page = wire.decode(raw, msgspec.json.Decoder(_FeePage), what="fee rates")
        if not page.rows:
            raise CorruptDataError(f"the venue gives no fee rate for {symbol}")
        row = page.rows[0]
        return FeeRates(
            taker=parse_decimal(row.takerFeeRate), maker=parse_decimal(row.makerFeeRate)
        )

    async def wallet(self) -> WalletReport:
        """Return the unified account's totals."""
        raw = await self._get(
            "/v5/account/wallet-balance",
            {"accountType": "UNIFIED"},
            timeout_s=self._timeout_s,
            signed=True,
        )
        page = wire.decode(raw, msgspec.json.Decoder(_WalletPage), what="wallet")
        if not page.rows:
            raise CorruptDataError("the venue gives no unified wallet")
        return wire.wallet_report(page.rows[0], ts_exchange_ns=self._clock.utc_ns())

    async def positions(self) -> list[PositionReport]:
        """Return all open linear USDT positions."""
        raw = await self._get(
            "/v5/position/list",
            {"category": "linear", "settleCoin": "USDT", "limit": 200},
            timeout_s=self._timeout_s,
            signed=True,
        )
        page = wire.decode(raw, msgspec.json.Decoder(_PositionPage), what="positions")
        return [wire.position_report(row) for row in page.rows]

    async def open_orders(self) -> list[OrderReport]:
        """Return all open linear USDT orders."""
        decoder = msgspec.json.Decoder(_OrderPage)
        found: list[OrderReport] = []
        cursor = ""
        for _ in range(_MAX_PAGES):
            parameters: dict[str, str | int] = {
                "category": "linear",
                "settleCoin": "USDT",
                "limit": _PAGE,
            }
            if cursor:
                parameters["cursor"] = cursor
            raw = await self._get(
                "/v5/order/realtime", parameters, timeout_s=self._timeout_s, signed=True
            )
            page = wire.decode(raw, decoder, what="open orders")
            found += [wire.order_report(row) for row in page.rows]
            cursor = page.nextPageCursor
            if not cursor:
                return found
        raise CorruptDataError(f"more than {_MAX_PAGES * _PAGE} open orders")

    async def find_order(self, link_id: str) -> OrderReport | None:
        """Return the order of ``link_id``, open or recently closed; None if the venue has none."""
        for path in ("/v5/order/realtime", "/v5/order/history"):
            raw = await self._get(
                path,
                {"category": "linear", "orderLinkId": link_id},
                timeout_s=self._timeout_s,
                signed=True,
            )
            page = wire.decode(raw, msgspec.json.Decoder(_OrderPage), what="order")
            if page.rows:
                return wire.order_report(page.rows[0])
        return None

    async def executions(self, link_id: str) -> list[Fill]:
        """Return the newest 100 trade executions of one order."""
        raw = await self._get(
            "/v5/execution/list",
            {"category": "linear", "orderLinkId": link_id, "execType": "Trade", "limit": 100},
            timeout_s=self._timeout_s,
            signed=True,
        )
        page = wire.decode(raw, msgspec.json.Decoder(_ExecutionPage), what="executions")
        return [wire.fill(row) for row in page.rows if row.execType == "Trade"]

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        """Send one order; the reply accepts the request, not the order."""
        raw = await self._rest.post(
            "/v5/order/create", wire.order_body(intent), timeout_s=timeout_s
        )
        try:
            created = wire.decode(raw, self._created, what="order acknowledgement")
        except CorruptDataError as e:
            raise VenueUnavailable(
                str(e), venue="bybit", operation="/v5/order/create", outcome=Outcome.UNKNOWN
            ) from e
        return OrderAck(order_id=created.orderId, link_id=created.orderLinkId or intent.link_id)

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order."""
        body = {"category": "linear", "symbol": symbol, "orderLinkId": link_id}
        await self._rest.post("/v5/order/cancel", body, timeout_s=timeout_s)

    async def cancel_all(self, symbol: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of all orders of one symbol."""
        body = {"category": "linear", "symbol": symbol}
        await self._rest.post("/v5/order/cancel-all", body, timeout_s=timeout_s)


def private_topics() -> Sequence[str]:
    """Return the private topics the system lives on."""
    return ("order", "execution", "position", "wallet")
