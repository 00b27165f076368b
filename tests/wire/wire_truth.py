"""What is true at the venue, read without the wire, and whether a book may be believed.

Nothing here shares code with the system: signing, paging and the check of update ids are its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp

_OWN = "ts-"
_PAGES = 100
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class VenueRecords:
    """Own orders by link id, own executions by id, positions by symbol.

    Parameters
    ----------
    orders : dict
        Rows per link id; more than one is a duplicate.
    executions : dict
        Quantity by execution id.
    """

    orders: dict[str, list[dict[str, Any]]]
    executions: dict[str, Decimal]
    positions: dict[str, Decimal]

    @property
    def working(self) -> set[str]:
        """Link ids of orders that may still trade."""
        ends = {"Filled", "Cancelled", "Rejected", "Deactivated", "PartiallyFilledCanceled"}
        return {link for link, rows in self.orders.items() if rows[-1]["orderStatus"] not in ends}


class VenueReader:
    """Signs and reads by itself, straight from the venue.

    Parameters
    ----------
    ready : Mapping
        The venue's ready line.
    http : aiohttp.ClientSession
        Open; its owner closes it.
    """

    def __init__(self, ready: Mapping[str, Any], http: aiohttp.ClientSession) -> None:
        self._rest, self._control = str(ready["rest"]), str(ready["control"])
        self._key, self._secret = str(ready["api_key"]), str(ready["api_secret"])
        self._http = http

    async def arm(self, **rule: object) -> None:
        """Arm one fault of the venue."""
        async with self._http.post(f"{self._control}/faults", json=rule) as reply:
            assert reply.status == 200, await reply.text()

    async def disarm(self) -> None:
        """Clear all faults of the venue."""
        async with self._http.delete(f"{self._control}/faults") as reply:
            assert reply.status == 200, await reply.text()

    async def struck(self) -> dict[str, int]:
        """Return how often each fault has struck so far."""
        async with self._http.get(f"{self._control}/counts") as reply:
            counts: dict[str, int] = (await reply.json())["counts"]
        return counts

    async def records(self) -> VenueRecords:
        """Read everything of the account that this kind of test compares."""
        orders: dict[str, list[dict[str, Any]]] = {}
        past = await self._rows("/v5/order/history")
        seen = {row["orderId"] for row in past}
        now = await self._rows("/v5/order/realtime", settleCoin="USDT")
        for row in [*past, *(row for row in now if row["orderId"] not in seen)]:
            if row["orderLinkId"].startswith(_OWN):
                orders.setdefault(row["orderLinkId"], []).append(row)
        executions = {
            row["execId"]: Decimal(row["execQty"])
            for row in await self._rows("/v5/execution/list")
            if row["orderLinkId"].startswith(_OWN) and row["execType"] == "Trade"
        }
        positions = {
            row["symbol"]: Decimal(row["size"]) * (1 if row["side"] == "Buy" else -1)
            for row in await self._rows("/v5/position/list", settleCoin="USDT")
            if Decimal(row["size"])
        }
        return VenueRecords(orders, executions, positions)

    async def _rows(self, path: str, **query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES):
            given = {"category": "linear", "limit": "50", **query}
            result = await self._get(path, given | ({"cursor": cursor} if cursor else {}))
            rows += result["list"]
            cursor = result.get("nextPageCursor", "")
            if not cursor:
                return rows
        raise AssertionError(f"{path} has no end")

    async def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        text, stamp = urlencode(query), await self._venue_ms()
        sign = hmac.new(
            self._secret.encode(), f"{stamp}{self._key}5000{text}".encode(), hashlib.sha256
        )
        headers = {
            "X-BAPI-API-KEY": self._key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign.hexdigest(),
        }
        async with self._http.get(f"{self._rest}{path}?{text}", headers=headers) as reply:
            answer = await reply.json()
        assert answer["retCode"] == 0, (path, answer["retCode"], answer["retMsg"])
        result: dict[str, Any] = answer["result"]
        return result

    async def _venue_ms(self) -> str:
        async with self._http.get(f"{self._rest}/v5/market/time") as reply:
            return str((await reply.json())["time"])


@dataclass(slots=True)
class _Shown:
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    update_id: int = 0
    sequence: int = 0
    is_doubtful: bool = True
    heard_ns: int = 0


class BookOracle:
    """Judges from the frames alone whether a decision book may be used.

    A book is doubtful from a jump of its update id, or the loss of its stream, until a snapshot,
    or until level 1 shows its best prices and sizes at an equal or later ``seq``.
    """

    def __init__(self) -> None:
        self._shown: dict[str, _Shown] = {}
        self._silent_from_ns: int | None = None
        self.decisions = 0
        self.opening_orders = 0
        self.offences: Counter[str] = Counter()

    def on_frame(self, frame: bytes) -> None:
        """Take a frame before the system does."""
        if not frame.startswith((b'{"topic":"orderbook.50.', b'{"topic":"orderbook.1.')):
            return
        try:
            message = json.loads(frame)
        except ValueError:
            return
        depth, _, symbol = message["topic"].removeprefix("orderbook.").partition(".")
        shown = self._shown.setdefault(symbol, _Shown())
        shown.heard_ns = time.monotonic_ns()
        data = message["data"]
        if depth == "1":
            self._confirm(shown, data)
        else:
            _follow(shown, data, is_snapshot=message["type"] == "snapshot")

    def lost(self) -> None:
        """Note that the stream is gone."""
        for shown in self._shown.values():
            shown.is_doubtful = True

    def expect_silence(self, *, grace_s: float) -> None:
        """Note that from now on nothing arrives; ``grace_s`` later every use is an offence."""
        self._silent_from_ns = time.monotonic_ns() + round(grace_s * _NS_PER_S)

    def expect_data(self) -> None:
        """Note that frames may arrive again."""
        self._silent_from_ns = None

    def note_decision(self, symbol: str) -> None:
        """Count a decision, and whether it was one on a doubtful book."""
        self.decisions += 1
        self._judge(symbol, "decided")

    def note_opening(self, symbol: str) -> None:
        """Count an order that may open a position and that the gate let through."""
        self.opening_orders += 1
        self._judge(symbol, "ordered")

    def _judge(self, symbol: str, what: str) -> None:
        shown = self._shown.get(symbol)
        if shown is None or shown.is_doubtful:
            self.offences[f"{what} on a doubtful book"] += 1
        silent_ns = self._silent_from_ns
        is_silent = silent_ns is not None and time.monotonic_ns() > silent_ns
        if is_silent and (shown is None or shown.heard_ns < silent_ns):
            self.offences[f"{what} on a silent book"] += 1

    @staticmethod
    def _confirm(shown: _Shown, data: dict[str, Any]) -> None:
        if not shown.is_doubtful or data["seq"] < shown.sequence or not data["b"] or not data["a"]:
            return
        if not shown.bids or not shown.asks:
            return
        bid, ask = max(shown.bids, key=Decimal), min(shown.asks, key=Decimal)
        best = [[bid, shown.bids[bid]], [ask, shown.asks[ask]]]
        if best == [list(data["b"][0]), list(data["a"][0])]:
            shown.is_doubtful = False


def _follow(shown: _Shown, data: dict[str, Any], *, is_snapshot: bool) -> None:
    if is_snapshot:
        shown.bids, shown.asks, shown.is_doubtful = {}, {}, False
    elif data["u"] != shown.update_id + 1:
        shown.is_doubtful = True
    for levels, side in ((data["b"], shown.bids), (data["a"], shown.asks)):
        for price, size in levels:
            if Decimal(size):
                side[price] = size
            else:
                side.pop(price, None)
    shown.update_id, shown.sequence = data["u"], data["seq"]
