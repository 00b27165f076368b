"""Key sets of the protocol and the arithmetic both client families are judged by."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from registry import check, check_equal


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ORDER_KEYS = _names(
    """orderId orderLinkId symbol price qty side isLeverage orderStatus createType cancelType
    rejectReason avgPrice leavesQty leavesValue cumExecQty cumExecValue cumExecFee timeInForce
    orderType stopOrderType orderIv triggerPrice takeProfit stopLoss tpslMode tpLimitPrice
    slLimitPrice tpTriggerBy slTriggerBy triggerBy lastPriceOnCreated placeType smpType smpOrderId
    createdTime updatedTime positionIdx triggerDirection smpGroup reduceOnly closeOnTrigger
    cumFeeDetail blockTradeId"""
)
ORDER_STREAM_KEYS = ORDER_KEYS | {"category", "feeCurrency", "closedPnl"}
EXECUTION_KEYS = _names(
    """symbol orderId orderLinkId side orderPrice orderQty leavesQty createType orderType
    stopOrderType execFee execId execPrice execQty execType execValue execTime feeRate tradeIv
    markIv markPrice indexPrice underlyingPrice blockTradeId closedSize isMaker seq
    feeCurrency"""
)
EXECUTION_STREAM_KEYS = EXECUTION_KEYS | {"category", "isLeverage", "execPnl"}
FAST_KEYS = _names(
    """category symbol orderId isMaker orderLinkId execId execPrice execQty side execTime
    seq"""
)
POSITION_KEYS = _names(
    """symbol side size positionValue positionStatus leverage markPrice liqPrice bustPrice
    positionIM positionIMByMp positionMM positionMMByMp positionBalance takeProfit stopLoss
    trailingStop tpslMode sessionAvgPrice unrealisedPnl curRealisedPnl cumRealisedPnl
    riskLimitValue createdTime updatedTime positionIdx riskId tradeMode autoAddMargin
    adlRankIndicator seq"""
)
WALLET_KEYS = _names(
    """accountType accountIMRate accountMMRate totalEquity totalWalletBalance totalMarginBalance
    totalAvailableBalance totalPerpUPL totalInitialMargin totalMaintenanceMargin accountLTV
    coin"""
)
COIN_KEYS = _names(
    """coin equity usdValue walletBalance locked spotHedgingQty borrowAmount accruedInterest
    totalOrderIM totalPositionIM totalPositionMM unrealisedPnl cumRealisedPnl bonus spotBorrow
    availableToWithdraw availableToBorrow marginCollateral collateralSwitch"""
)
LINEAR_TICKER_KEYS = _names(
    """symbol lastPrice indexPrice markPrice prevPrice24h price24hPcnt highPrice24h lowPrice24h
    prevPrice1h openInterest openInterestValue turnover24h volume24h fundingRate nextFundingTime
    bid1Price bid1Size ask1Price ask1Size"""
)
TICKER_STREAM_KEYS = LINEAR_TICKER_KEYS | {"tickDirection"}
FINAL = frozenset({"Filled", "Cancelled", "Rejected", "Deactivated"})

Level = tuple[Decimal, Decimal]
Book = tuple[list[Level], list[Level]]


def book_of(data: dict[str, Any]) -> Book:
    """Return (bids best first, asks best first) of a message or reply with ``b`` and ``a``."""
    bids = sorted(((Decimal(p), Decimal(q)) for p, q in data["b"]), reverse=True)
    asks = sorted((Decimal(p), Decimal(q)) for p, q in data["a"])
    return bids, asks


def check_book(book: Book, depth: int, what: str) -> None:
    """Fail unless the book has two sides, unique positive levels, and is not crossed."""
    bids, asks = book
    check(bids and asks, f"{what}: an empty side")
    check(bids[0][0] < asks[0][0], f"{what}: crossed, {bids[0][0]} against {asks[0][0]}")
    for side in book:
        check(len(side) <= depth, f"{what}: {len(side)} levels at depth {depth}")
        check(len({price for price, _ in side}) == len(side), f"{what}: a price twice")
        check(all(qty > 0 for _, qty in side), f"{what}: a level without size")


def check_same_book(found: Book, wanted: Book, depth: int, what: str) -> None:
    """Fail unless the first ``depth`` levels of both books are equal."""
    for name, one, other in zip(("bid", "ask"), found, wanted, strict=True):
        for index, (left, right) in enumerate(zip(one[:depth], other[:depth], strict=False)):
            check(left == right, f"{what}: {name} {index} is {left}, REST says {right}")
        check_equal(len(one[:depth]), len(other[:depth]), f"{what}: number of {name} levels")


def check_order_row(row: dict[str, Any], keys: Iterable[str]) -> None:
    """Fail unless an order row has every key, strings where promised, and adds up."""
    missing = sorted(set(keys) - set(row))
    check(not missing, f"order row lacks {', '.join(missing)}")
    for key in ("qty", "price", "leavesQty", "cumExecQty", "cumExecValue", "createdTime"):
        check(isinstance(row[key], str), f"order {key} is {row[key]!r}, not a string")
    left, done, total = (Decimal(row[key]) for key in ("leavesQty", "cumExecQty", "qty"))
    if row["orderStatus"] in FINAL:
        check_equal(left, Decimal(0), "leavesQty after a final state")
    else:
        check_equal(left + done, total, "leavesQty + cumExecQty")


def check_wallet_row(row: dict[str, Any]) -> Decimal:
    """Fail unless a wallet row obeys its identities; return the USDT wallet balance."""
    missing = sorted(WALLET_KEYS - set(row))
    check(not missing, f"wallet row lacks {', '.join(missing)}")
    check_equal(row["accountType"], "UNIFIED", "accountType")
    usdt = next(coin for coin in row["coin"] if coin["coin"] == "USDT")
    missing = sorted(COIN_KEYS - set(usdt))
    check(not missing, f"coin row lacks {', '.join(missing)}")
    wallet, profit = Decimal(usdt["walletBalance"]), Decimal(usdt["unrealisedPnl"])
    check_equal(Decimal(usdt["equity"]), wallet + profit, "equity")
    check_equal(Decimal(row["totalPerpUPL"]), profit, "totalPerpUPL against unrealisedPnl")
    check_equal(Decimal(row["totalMarginBalance"]), wallet + profit, "totalMarginBalance")
    margin = Decimal(row["totalInitialMargin"])
    free = Decimal(row["totalMarginBalance"]) - margin
    check_equal(Decimal(row["totalAvailableBalance"]), free, "totalAvailableBalance")
    return wallet


def cash_change(executions: Iterable[dict[str, Any]]) -> Decimal:
    """Return sales - purchases - fees of execution rows, in USDT, each execution once."""
    total = Decimal(0)
    seen: set[str] = set()
    for row in executions:
        if row["execId"] in seen:
            continue
        seen.add(row["execId"])
        if row["execType"] == "Trade":
            value = Decimal(row["execValue"])
            price, qty = Decimal(row["execPrice"]), Decimal(row["execQty"])
            check_equal(value, price * qty, "execValue")
            check_equal(Decimal(row["execFee"]), value * Decimal(row["feeRate"]), "execFee")
            total += value if row["side"] == "Sell" else -value
        total -= Decimal(row["execFee"])
    return total


def signed_size(executions: Iterable[dict[str, Any]]) -> Decimal:
    """Return bought minus sold quantity of execution rows."""
    signs = {"Buy": 1, "Sell": -1}
    return sum(
        (signs[row["side"]] * Decimal(row["execQty"]) for row in executions), start=Decimal(0)
    )


class Pacer:
    """Keeps callers under the documented order quotas, as any careful client does.

    The venue counts arrivals over a rolling second, so the pacer spends fewer and waits longer.
    """

    def __init__(self, *, per_window: int = 8, window_s: float = 1.15) -> None:
        self._per_window = per_window
        self._window_s = window_s
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)

    def reserve(self, key: str, cost: int = 1) -> float:
        """Book ``cost`` requests of quota ``key``; return the seconds to wait before sending."""
        now = time.monotonic()
        sent = self._sent[key]
        wait = 0.0
        for _ in range(cost):
            at = now
            if len(sent) >= self._per_window:
                at = max(now, sent[-self._per_window] + self._window_s)
            wait = max(wait, at - now)
            sent.append(at)
        while len(sent) > 4 * self._per_window:
            sent.popleft()
        return wait

    def exhaust(self, key: str) -> None:
        """Count a storm: nothing more of quota ``key`` before a whole window has passed."""
        self._sent[key].extend([time.monotonic()] * self._per_window)
