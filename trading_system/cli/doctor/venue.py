"""Checks of the venue and the key; each is a pure judgement of what was read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from trading_system.cli.doctor.findings import Finding, failed, ok, warning
from trading_system.cli.doctor.probe import Answer, Probe
from trading_system.config.settings import Settings
from trading_system.domain.errors import VenueRejected, VenueUnavailable

_NS_PER_MS = 1_000_000
_MAX_OFFSET_MS = 500.0
_TRANSFER_RIGHTS = frozenset({"AccountTransfer", "SubMemberTransfer", "SubMemberTransferList"})
_NEEDED_RIGHTS = frozenset({"Order", "Position"})
_EXPIRY_DAYS = 14
# Order creation of a linear account without a VIP level, requests per second.
_NOT_OFFERED = 10017
_ORDER_QUOTA = 10
_KEY_PAGE = "the venue's API key page"
# Answers from which something is missing are a finding too, never a crash.
_UNREADABLE = (KeyError, IndexError, TypeError, ValueError, InvalidOperation)


def judge_clock(answer: Answer, *, recv_window_ms: int) -> tuple[Finding, int]:
    """Return the finding about the clock, and the offset in nanoseconds."""
    name = "clock offset"
    middle_ns = (answer.sent_ns + answer.back_ns) // 2
    offset_ns = int(answer.result["timeNano"]) - middle_ns
    offset_ms = offset_ns / _NS_PER_MS
    round_trip_ms = (answer.back_ns - answer.sent_ns) / _NS_PER_MS
    detail = f"venue is {offset_ms:+.0f} ms from this machine, round trip {round_trip_ms:.0f} ms"
    remedy = "let this machine follow network time (timedatectl set-ntp true)"
    if abs(offset_ms) > recv_window_ms:
        return failed(
            name, f"{detail}, beyond the window of {recv_window_ms} ms", remedy
        ), offset_ns
    if abs(offset_ms) > _MAX_OFFSET_MS:
        return warning(name, f"{detail}; it is corrected", remedy), offset_ns
    return ok(name, detail), offset_ns


def judge_key(key: Mapping[str, Any], *, allow_transfer: bool, now_ns: int) -> Finding:
    """Return whether the key may do what trading needs and nothing that moves funds away."""
    name = "key permissions"
    permissions: Mapping[str, list[str]] = key["permissions"]
    wallet = set(permissions.get("Wallet") or [])
    if "Withdraw" in wallet:
        return failed(
            name, "the key may withdraw funds", f"make a key without the right on {_KEY_PAGE}"
        )
    transfers = sorted(wallet & _TRANSFER_RIGHTS)
    if transfers and not allow_transfer:
        return failed(
            name,
            f"the key may move funds ({', '.join(transfers)})",
            f"remove the right on {_KEY_PAGE}, or set TRADING_BYBIT__ALLOW_TRANSFER=true",
        )
    missing = _NEEDED_RIGHTS - set(permissions.get("ContractTrade") or [])
    if int(key["readOnly"]) or missing:
        lacks = "is read-only" if int(key["readOnly"]) else f"lacks {', '.join(sorted(missing))}"
        return failed(name, f"the key {lacks}", f"allow contract trading on {_KEY_PAGE}")
    return _judge_care(name, key, now_ns=now_ns)


def _judge_care(name: str, key: Mapping[str, Any], *, now_ns: int) -> Finding:
    expires = datetime.fromisoformat(str(key["expiredAt"]))
    days = (expires - datetime.fromtimestamp(now_ns / 1e9, tz=UTC)).days
    detail = f"{account_kind(key)}, orders and positions, no withdrawal; expires in {days} days"
    if days < 0:
        return failed(name, f"the key expired {-days} days ago", f"renew it on {_KEY_PAGE}")
    if days < _EXPIRY_DAYS:
        return warning(name, detail, f"renew the key on {_KEY_PAGE}")
    if not set(key.get("ips") or ["*"]) - {"*"}:
        return warning(
            name, f"{detail}; usable from any address", f"bind it to your address on {_KEY_PAGE}"
        )
    return ok(name, detail)


def account_kind(key: Mapping[str, Any]) -> str:
    """Return whether the key belongs to a main account or a sub-account, and how it signs."""
    parent = str(key.get("parentUid") or "0")
    is_main = bool(key.get("isMaster", parent == "0"))
    kind = "main account" if is_main else f"sub-account of {parent}"
    return f"{kind}, {'RSA' if key.get('rsaPublicKey') else 'HMAC'} key"


def judge_position_mode(symbol: str, result: Mapping[str, Any]) -> Finding:
    """Return the position mode that orders will be sent for; nothing here switches it."""
    name = "position mode"
    if any(int(row["positionIdx"]) != 0 for row in result["list"]):
        return ok(
            name,
            f"{symbol} is in hedge mode: orders name their side and strategies trade the net "
            "position, but the market maker needs one-way mode",
        )
    return ok(name, f"{symbol} is one-way")


def judge_cancel_on_disconnect(result: Mapping[str, Any]) -> Finding:
    """Return whether the venue cancels this account's orders when it loses the connection."""
    name = "cancel on disconnect"
    armed = {
        str(row["product"]): str(row["timeWindow"])
        for row in result.get("dcpInfos") or []
        if str(row["dcpStatus"]).upper() == "ON"
    }
    window = armed.get("DERIVATIVES")
    if window is None:
        return ok(name, "not offered to this account; stops rest at the venue instead")
    return ok(name, f"derivatives are cancelled after {int(window)} s without connection")


def judge_balance(result: Mapping[str, Any], *, entry_notional: Decimal) -> Finding:
    """Return whether there is enough to trade with."""
    name = "balance"
    row = result["list"][0]
    equity = Decimal(row["totalEquity"] or "0")
    available = Decimal(row["totalAvailableBalance"] or "0")
    detail = f"equity {equity:.2f} USD, available {available:.2f} USD"
    if available <= 0:
        return failed(name, detail, "fund the unified account")
    if available < entry_notional:
        return warning(
            name,
            f"{detail}, below one entry of {entry_notional} USDT",
            "fund the account or lower TRADING_STRATEGY__ENTRY_NOTIONAL",
        )
    return ok(name, detail)


def judge_fees(symbol: str, result: Mapping[str, Any]) -> Finding:
    """Return the account's own fee rates."""
    row = result["list"][0]
    taker, maker = Decimal(row["takerFeeRate"]), Decimal(row["makerFeeRate"])
    detail = f"{symbol}: taker {taker * 10_000:f} bps, maker {maker * 10_000:f} bps"
    return ok("fee rates", detail)


def judge_limits(headers: Mapping[str, str], *, orders_per_second: int) -> Finding:
    """Return whether the venue's request quota leaves room for what the gate allows."""
    name = "rate limits"
    limit = headers.get("X-Bapi-Limit", "")
    left = headers.get("X-Bapi-Limit-Status", "")
    known = f"{left} of {limit} reads per second left" if limit and left else "no quota named"
    detail = f"{known}; the gate allows {orders_per_second} orders per second"
    if orders_per_second > _ORDER_QUOTA:
        return warning(
            name,
            f"{detail}, the venue documents {_ORDER_QUOTA}",
            f"set TRADING_RISK__MAX_ORDERS_PER_SECOND to at most {_ORDER_QUOTA}",
        )
    return ok(name, detail)


async def venue_findings(
    probe: Probe, settings: Settings, *, utc_ns: Callable[[], int]
) -> list[Finding]:
    """Return all checks of the venue; without an answer to the first there is only that one."""
    try:
        answer = await probe.read("/v5/market/time", signed=False)
        clock, probe.offset_ns = judge_clock(answer, recv_window_ms=settings.bybit.recv_window_ms)
    except (VenueUnavailable, VenueRejected, *_UNREADABLE) as e:
        remedy = "check the network and TRADING_BYBIT__REST_URL"
        return [failed("venue", str(e), remedy)]
    return [clock, *await _account_findings(probe, settings, utc_ns=utc_ns)]


async def _account_findings(
    probe: Probe, settings: Settings, *, utc_ns: Callable[[], int]
) -> list[Finding]:
    symbol = settings.symbols[0]

    async def key() -> Finding:
        answer = await probe.read("/v5/user/query-api")
        allowed = settings.bybit.allow_transfer
        return judge_key(answer.result, allow_transfer=allowed, now_ns=utc_ns())

    async def mode() -> Finding:
        answer = await probe.read("/v5/position/list", category="linear", symbol=symbol)
        return judge_position_mode(symbol, answer.result)

    async def balance() -> Finding:
        answer = await probe.read("/v5/account/wallet-balance", accountType="UNIFIED")
        return judge_balance(answer.result, entry_notional=settings.strategy.entry_notional)

    async def fees() -> Finding:
        try:
            answer = await probe.read("/v5/account/fee-rate", category="linear", symbol=symbol)
        except VenueRejected as e:
            if e.code != _NOT_OFFERED:
                raise
            return warning(
                "fee rates",
                "this environment has no such request; VIP 0 rates are assumed",
                "compare the report's fees_bps with your tier",
            )
        return judge_fees(symbol, answer.result)

    async def limits() -> Finding:
        answer = await probe.read("/v5/order/realtime", category="linear", symbol=symbol)
        rate = settings.risk.max_orders_per_second
        return judge_limits(answer.headers, orders_per_second=rate)

    checks: dict[str, Callable[[], Awaitable[Finding]]] = {
        "key permissions": key,
        "position mode": mode,
        "cancel on disconnect": lambda: _cancel_on_disconnect(probe),
        "balance": balance,
        "fee rates": fees,
        "rate limits": limits,
    }
    return [await _guarded(name, check) for name, check in checks.items()]


async def _cancel_on_disconnect(probe: Probe) -> Finding:
    try:
        answer = await probe.read("/v5/account/query-dcp-info")
    except VenueRejected as e:
        if e.code != _NOT_OFFERED:
            raise
        return ok("cancel on disconnect", "not offered by this environment")
    return judge_cancel_on_disconnect(answer.result)


async def _guarded(name: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        return await check()
    except VenueRejected as e:
        remedy = "correct TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET"
        return failed(name, str(e), remedy)
    except VenueUnavailable as e:
        return failed(name, str(e), "check the network and try again")
    except _UNREADABLE as e:
        return failed(name, f"the venue's answer lacks {e!r}", "check TRADING_BYBIT__REST_URL")
