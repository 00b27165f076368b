"""Signed queries of the account, as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

import msgspec

from trading_system.domain.errors import CorruptDataError
from trading_system.domain.events import WalletReport
from trading_system.domain.orders import Fill, Funding, OrderReport, PositionReport
from trading_system.domain.ports import Clock
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.drift import SchemaDrift
from trading_system.venues.bybit.market_queries import MarketQueries
from trading_system.venues.bybit.rest import BybitRest

_ORDERS_PAGE = 50
_EXECUTIONS_PAGE = 100
_POSITIONS_PAGE = 200
_NS_PER_MS = 1_000_000
_DAY_MS = 86_400_000
_WINDOW_MS = 7 * _DAY_MS
_RETENTION_MS = 730 * _DAY_MS
_UNIFIED = frozenset({3, 4, 5, 6})
# Rights of a key with which money can leave the account.
_MONEY_RIGHTS = frozenset({"Withdraw", "AccountTransfer", "SubMemberTransfer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRates:
    """Fractions of traded value, positive when paid."""

    taker: Decimal
    maker: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyInfo:
    """What a key may do.

    ``parent_id`` is the main account of a sub-account's key, empty for a main account's.

    Parameters
    ----------
    user_id : int
        Account the key belongs to.
    is_read_only : bool
        Whether the key can send no orders.
    permissions : Mapping[str, tuple[str, ...]]
        Rights by group, as the venue spells them.
    ips : tuple[str, ...]
        Addresses the key may be used from; empty or ``*`` is any.
    expires_at : str
        UTC time in ISO 8601, empty if the venue gave none.
    """

    user_id: int
    is_read_only: bool
    permissions: Mapping[str, tuple[str, ...]]
    ips: tuple[str, ...]
    expires_at: str
    parent_id: str = ""

    @property
    def money_rights(self) -> tuple[str, ...]:
        """Rights with which money can leave the account; a trading key should have none."""
        held = {right for group in self.permissions.values() for right in group}
        return tuple(sorted(held & _MONEY_RIGHTS))

    @property
    def is_bound_to_addresses(self) -> bool:
        """Whether the key works from listed addresses only."""
        return bool(self.ips) and "*" not in self.ips


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """Mode of the account; the system needs a unified one."""

    is_unified: bool
    margin_mode: str


class PositionMode(Enum):
    """Whether a symbol has one net position or one per direction."""

    ONE_WAY = "one_way"
    HEDGE = "hedge"


class _FeeRow(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    taker_fee_rate: str
    maker_fee_rate: str


class _KeyInfo(msgspec.Struct, frozen=True):
    userID: int  # noqa: N815 - the venue's spelling
    readOnly: int  # noqa: N815 - the venue's spelling
    permissions: dict[str, list[str] | None]
    ips: list[str] | None = None
    expiredAt: str = ""  # noqa: N815 - the venue's spelling
    parentUid: str = ""  # noqa: N815 - the venue's spelling


class _AccountInfo(msgspec.Struct, frozen=True, rename="camel"):
    unified_margin_status: int
    margin_mode: str = ""


_ORDERS = msgspec.json.Decoder(wire.Page[wire.OrderRow])
_EXECUTIONS = msgspec.json.Decoder(wire.Page[wire.ExecutionRow])
_POSITIONS = msgspec.json.Decoder(wire.Page[wire.PositionRow])
_WALLETS = msgspec.json.Decoder(wire.Page[wire.WalletRow])
_FEES = msgspec.json.Decoder(wire.Page[_FeeRow])
_KEY = msgspec.json.Decoder(_KeyInfo)
_ACCOUNT = msgspec.json.Decoder(_AccountInfo)


class AccountQueries(MarketQueries):
    """Market queries plus those that need a key.

    Attributes
    ----------
    drift : SchemaDrift
        Counts what the venue's rows tell otherwise than documented.
    """

    def __init__(self, rest: BybitRest, *, clock: Clock, timeout_s: float = 5.0) -> None:
        super().__init__(rest, clock=clock, timeout_s=timeout_s)
        self.drift = SchemaDrift()

    async def fee_rates(self, symbol: str) -> FeeRates:
        """Return the account's own fee rates for one symbol."""
        raw = await self._get(
            "/v5/account/fee-rate", {"category": "linear", "symbol": symbol}, signed=True
        )
        rows = wire.decode(raw, _FEES, what="fee rates").rows
        if not rows:
            raise CorruptDataError(f"the venue gives no fee rate for {symbol}")
        return FeeRates(
            taker=wire.needed(rows[0].taker_fee_rate, "fee rates"),
            maker=wire.needed(rows[0].maker_fee_rate, "fee rates"),
        )

    async def wallet(self) -> WalletReport:
        """Return the unified account's totals."""
        raw = await self._get("/v5/account/wallet-balance", {"accountType": "UNIFIED"}, signed=True)
        rows = wire.decode(raw, _WALLETS, what="wallet").rows
        if not rows:
            raise CorruptDataError("the venue gives no unified wallet")
        return wire.wallet_report(rows[0], self.drift, ts_exchange_ns=self._clock.utc_ns())

    async def positions(self) -> list[PositionReport]:
        """Return all open linear USDT positions."""
        rows = await self._pages(
            "/v5/position/list",
            {"category": "linear", "settleCoin": "USDT", "limit": _POSITIONS_PAGE},
            decoder=_POSITIONS,
            what="positions",
            signed=True,
        )
        return [wire.position_report(row, self.drift) for row in rows]

    async def position(self, symbol: str) -> PositionReport:
        """Return the position of one symbol, flat if there is none."""
        rows = await self._position_rows(symbol)
        return wire.position_report(rows[0], self.drift)

    async def position_mode(self, symbol: str) -> PositionMode:
        """Return whether ``symbol`` is in one-way or hedge mode."""
        rows = await self._position_rows(symbol)
        return PositionMode.HEDGE if any(r.positionIdx for r in rows) else PositionMode.ONE_WAY

    async def _position_rows(self, symbol: str) -> list[wire.PositionRow]:
        raw = await self._get(
            "/v5/position/list", {"category": "linear", "symbol": symbol}, signed=True
        )
        rows = wire.decode(raw, _POSITIONS, what=f"position {symbol}").rows
        if not rows:
            raise CorruptDataError(f"the venue gives no position row for {symbol}")
        return rows

    async def open_orders(self) -> list[OrderReport]:
        """Return all open linear USDT orders, protective stops included and marked as such."""
        rows = await self._pages(
            "/v5/order/realtime",
            {"category": "linear", "settleCoin": "USDT", "limit": _ORDERS_PAGE},
            decoder=_ORDERS,
            what="open orders",
            signed=True,
        )
        return [wire.order_report(row, self.drift) for row in rows]

    async def find_order(self, link_id: str) -> OrderReport | None:
        """Return the order of ``link_id``, open or recently closed; None if the venue has none."""
        for path in ("/v5/order/realtime", "/v5/order/history"):
            raw = await self._get(path, {"category": "linear", "orderLinkId": link_id}, signed=True)
            for row in wire.decode(raw, _ORDERS, what=f"order {link_id}").rows:
                if row.orderLinkId == link_id:
                    return wire.order_report(row, self.drift)
        return None

    async def executions(self, link_id: str) -> list[Fill]:
        """Return every trade execution of one order, newest first."""
        rows = await self._pages(
            "/v5/execution/list",
            {
                "category": "linear",
                "orderLinkId": link_id,
                "execType": "Trade",
                "limit": _EXECUTIONS_PAGE,
            },
            decoder=_EXECUTIONS,
            what=f"executions of {link_id}",
            signed=True,
        )
        return [
            wire.fill(row, self.drift)
            for row in rows
            if row.execType == "Trade" and row.orderLinkId == link_id
        ]

    async def executions_since(self, start_ms: int) -> list[Fill | Funding]:
        """Return every trade and every paid or received funding from ``start_ms`` on, oldest first.

        Parameters
        ----------
        start_ms : int
            Server time, epoch milliseconds; more than two years ago counts as two years ago.
        """
        now_ms = (self._clock.utc_ns() + self._rest.offset_ns) // _NS_PER_MS
        start_ms = max(start_ms, now_ms - _RETENTION_MS)
        rows: list[wire.ExecutionRow] = []
        while True:  # the venue answers for at most seven days at a time
            end_ms = start_ms + _WINDOW_MS
            parameters: dict[str, str | int] = {
                "category": "linear",
                "startTime": start_ms,
                "limit": _EXECUTIONS_PAGE,
            }
            if end_ms <= now_ms:
                parameters["endTime"] = end_ms - 1
            newest_first = await self._pages(
                "/v5/execution/list",
                parameters,
                decoder=_EXECUTIONS,
                what="executions",
                signed=True,
            )
            rows += reversed(newest_first)
            if end_ms > now_ms:
                return [told for row in rows if (told := self._told_by(row)) is not None]
            start_ms = end_ms

    def _told_by(self, row: wire.ExecutionRow) -> Fill | Funding | None:
        kind = wire.execution_type(row, self.drift)
        if not wire.is_counted(row):
            return None
        if kind in wire.POSITION_TRADES:
            return wire.fill(row, self.drift)
        return wire.funding(row) if kind == wire.FUNDING else None

    async def api_key_info(self) -> ApiKeyInfo:
        """Return what the key may do."""
        raw = await self._get("/v5/user/query-api", {}, signed=True)
        info = wire.decode(raw, _KEY, what="key information")
        return ApiKeyInfo(
            user_id=info.userID,
            is_read_only=info.readOnly != 0,
            permissions={
                group: tuple(rights) for group, rights in info.permissions.items() if rights
            },
            ips=tuple(info.ips or ()),
            expires_at=info.expiredAt,
            parent_id="" if info.parentUid == "0" else info.parentUid,
        )

    async def account_info(self) -> AccountInfo:
        """Return the mode of the account."""
        raw = await self._get("/v5/account/info", {}, signed=True)
        info = wire.decode(raw, _ACCOUNT, what="account information")
        return AccountInfo(
            is_unified=info.unified_margin_status in _UNIFIED, margin_mode=info.margin_mode
        )
