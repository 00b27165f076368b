"""The queries of the script; they change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from trading_system.cli.doctor.findings import CheckStatus
from trading_system.cli.doctor.probe import Answer
from trading_system.cli.doctor.venue import judge_clock, judge_key
from trading_system.cli.live_check.link import HostLink, Row
from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.instruments import Instrument
from trading_system.venues.bybit.wire import instrument

_STALE_MS: Final = 30_000
UNREADABLE: Final = (
    AttributeError,
    IndexError,
    InvalidOperation,
    KeyError,
    TypeError,
    ValueError,
)
"""What reading an answer raises where something is missing from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What orders are made from: the contract, its best bid, and the account's position index.

    ``is_clear`` says that the account has neither orders nor a position in the contract.
    """

    instrument: Instrument
    best_bid: Decimal
    position_idx: int
    is_clear: bool


async def read_all(
    link: HostLink,
    symbol: str,
    *,
    is_demo: bool,
    needs_orders: bool,
    allow_transfer: bool,
    recv_window_ms: int,
) -> Market:
    """Ask every query once and return what orders need.

    Parameters
    ----------
    is_demo : bool
        Whether to leave out what the demo environment does not have.
    needs_orders : bool
        Whether a key that may not trade is refused.
    allow_transfer : bool
        Whether a key that may move funds internally is accepted.
    recv_window_ms : int
        Clock offset beyond which there is a problem, milliseconds.

    Raises
    ------
    VenueUnavailable
        If the host does not answer, or answers without what is needed.
    VenueRejected
        If it refuses a query, or the key may do what it must not.
    """
    await _read_time(link, recv_window_ms=recv_window_ms)
    await _read_key(link, needs_orders=needs_orders, allow_transfer=allow_transfer)
    of_symbol = {"category": "linear", "symbol": symbol}
    listed = await _needed(link, "instruments-info", "instruments", of_symbol, signed=False)
    ticker = await _needed(link, "tickers", "ticker", of_symbol, signed=False)
    positions = await _needed(link, "/v5/position/list", "positions", of_symbol)
    orders = await _needed(link, "/v5/order/realtime", "open orders", of_symbol)
    for name in ("orderbook", "recent-trade", "price-limit", "funding/history", "risk-limit"):
        await _tried(link, name, name, of_symbol, signed=False)
    await _tried(link, "kline", "kline", of_symbol | {"interval": "1", "limit": "5"}, signed=False)
    for path, step in _histories(is_demo=is_demo):
        await _tried(link, path, step, of_symbol)
    await _read_account(link, is_demo=is_demo)
    # A request that claims to be old must be refused; it is the one that asks for least.
    await link.read("/v5/account/info", step="stale stamp", age_ms=_STALE_MS)
    return _market(listed, ticker, positions, orders)


async def _needed(
    link: HostLink,
    path: str,
    step: str,
    query: Mapping[str, str] | None = None,
    *,
    signed: bool = True,
) -> Row:
    full = path if path.startswith("/") else f"/v5/market/{path}"
    return await expect(link.read(full, query, step=step, signed=signed), step=step)


# The script goes on without what no later step needs.
async def _tried(
    link: HostLink,
    path: str,
    step: str,
    query: Mapping[str, str] | None = None,
    *,
    signed: bool = True,
) -> None:
    try:
        await _needed(link, path, step, query, signed=signed)
    except VenueRejected as e:
        link.seen.problems.append(str(e))


def _histories(*, is_demo: bool) -> list[tuple[str, str]]:
    paths = [
        ("/v5/order/history", "order history"),
        ("/v5/execution/list", "executions"),
        ("/v5/position/closed-pnl", "closed profits"),
    ]
    return paths if is_demo else [*paths, ("/v5/account/fee-rate", "fee rate")]


async def _read_time(link: HostLink, *, recv_window_ms: int) -> None:
    sent_ns = link.clock.utc_ns()
    row = await _needed(link, "time", "time", signed=False)
    answer = Answer(result=row["result"], headers={}, sent_ns=sent_ns, back_ns=link.clock.utc_ns())
    try:
        finding, link.offset_ns = judge_clock(answer, recv_window_ms=recv_window_ms)
    except UNREADABLE as e:
        raise _lacking("time", e) from e
    if finding.status is not CheckStatus.OK:
        link.seen.problems.append(f"clock: {finding.detail}; {finding.remedy}")


async def _read_key(link: HostLink, *, needs_orders: bool, allow_transfer: bool) -> None:
    row = await _needed(link, "/v5/user/query-api", "key")
    try:
        key = row["result"] if needs_orders else _as_if_it_could_trade(row["result"])
        finding = judge_key(key, allow_transfer=allow_transfer, now_ns=link.clock.utc_ns())
    except UNREADABLE as e:
        raise _lacking("key", e) from e
    if finding.status is CheckStatus.FAILED:
        raise VenueRejected(
            f"{finding.detail}; {finding.remedy}",
            venue="bybit",
            operation="user/query-api",
            outcome=Outcome.NOT_SENT,
        )


# For reading alone only the rights to move funds away matter.
def _as_if_it_could_trade(key: Row) -> Row:
    rights = {**key["permissions"], "ContractTrade": ["Order", "Position"]}
    return {**key, "readOnly": 0, "permissions": rights}


async def _read_account(link: HostLink, *, is_demo: bool) -> None:
    await _tried(link, "/v5/account/wallet-balance", "wallet", {"accountType": "UNIFIED"})
    await _tried(link, "/v5/account/info", "account")
    if not is_demo:
        await _tried(link, "/v5/account/query-dcp-info", "disconnect protection")


async def expect(asked: Awaitable[Row], *, step: str) -> Row:
    """Return the answer that ``asked`` brings.

    Raises
    ------
    VenueRejected
        If its code is not 0.
    """
    row = await asked
    if row.get("retCode") != 0 or not isinstance(row.get("result"), dict):
        raise VenueRejected(
            f"{row.get('retCode')} {row.get('retMsg', '')}",
            venue="bybit",
            operation=step,
            outcome=Outcome.REJECTED,
        )
    return row


def _market(listed: Row, ticker: Row, positions: Row, orders: Row) -> Market:
    try:
        rows = positions["result"]["list"]
        return Market(
            instrument=instrument(listed["result"]["list"][0]),
            best_bid=Decimal(ticker["result"]["list"][0]["bid1Price"]),
            position_idx=1 if any(int(row["positionIdx"]) for row in rows) else 0,
            is_clear=not orders["result"]["list"]
            and all(not Decimal(row["size"] or "0") for row in rows),
        )
    except (CorruptDataError, *UNREADABLE) as e:
        raise _lacking("market", e) from e


def _lacking(operation: str, cause: Exception) -> VenueUnavailable:
    return VenueUnavailable(
        f"the answer lacks what orders need: {cause!r}",
        venue="bybit",
        operation=operation,
        outcome=Outcome.NOT_SENT,
    )
