"""The part of the script with orders: tiny, post-only, far from the market, all cancelled.

No fill is wanted. If one happens, the position is closed by a reduce-only market order and said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from trading_system.cli.live_check.link import HostLink, HostStream, Row
from trading_system.cli.live_check.reading import UNREADABLE, Market, expect
from trading_system.cli.live_check.streaming import ignore, log_in, note_push
from trading_system.domain.errors import Outcome, VenueError, VenueRejected

_FAR: Final = Decimal("0.92")
_FARTHER: Final = Decimal("0.90")
_TRIGGER: Final = Decimal("0.85")
_TRIGGER_FARTHER: Final = Decimal("0.84")
_SPARE: Final = Decimal("1.1")
_FINAL: Final = frozenset({"Cancelled", "Deactivated", "Rejected", "Filled"})
_PAGE: Final = "50"
_TIDY_ROUNDS: Final = 8
_LOOKS_WHEN_UNCERTAIN: Final = 3

Say = Callable[[str], None]


class OrderScript:
    """Sends the orders of the script and leaves none behind.

    Parameters
    ----------
    run_id : str
        Begins every link id, so that the script's orders can be told from others.
    patience_s : float
        How long to wait for an order's pushes, seconds.
    pace_s : float
        Pause before each request, seconds: quotas are for trading, not for checks.
    has_trade_stream : bool
        Whether the environment takes orders by WebSocket.
    say : callable
        Takes what a person must know at once.
    tidy_pause_s : float
        Pause between two looks for what is left, seconds.
    """

    def __init__(
        self,
        link: HostLink,
        market: Market,
        *,
        run_id: str,
        patience_s: float,
        pace_s: float,
        has_trade_stream: bool,
        say: Say,
        tidy_pause_s: float,
    ) -> None:
        self._link = link
        self._market = market
        self._prefix = f"lc-{run_id}-"
        self._patience_s = patience_s
        self._pace_s = pace_s
        self._has_trade_stream = has_trade_stream
        self._say = say
        self._names: dict[str, str] = {}
        self._numbers = 0
        self._closed = 0
        self._is_complete = False
        self._tidy_pause_s = tidy_pause_s
        symbol = market.instrument.symbol
        self._symbol = symbol
        self._of_symbol = {"category": "linear", "symbol": symbol}

    async def run(self) -> None:
        """Take every step with orders; whatever happens, cancel what rests and close what filled.

        Raises
        ------
        VenueUnavailable
            If the host does not answer; own orders were cancelled as far as it did.
        VenueRejected
            If it refuses a step.
        """
        try:
            async with AsyncExitStack() as stack:
                link = self._link
                private = await stack.enter_async_context(
                    link.stream("private", link.endpoints.private)
                )
                await log_in(private)
                await self._plain(private)
                await self._batch(private)
                await self._conditional(private)
                if self._has_trade_stream:
                    url = f"{link.endpoints.trade}"
                    trade = await stack.enter_async_context(link.stream("trade", url))
                    await self._by_stream(private, trade)
                await self._cancel_all(private)
            self._is_complete = True
        finally:
            await self.tidy()

    async def _plain(self, private: HostStream) -> None:
        name = "plain"
        given = await self._create(name)
        order_id = given["result"]["orderId"]
        await self._look(order_id, step="open order")
        amended = {"orderId": order_id, "price": self._price(_FARTHER)}
        await self._post("amend", {**self._of_symbol, **amended}, step=f"{name} amend")
        reference = {**self._of_symbol, "orderId": order_id}
        await self._post("cancel", reference, step=f"{name} cancel")
        await self._until_final(private, name)
        await self._look(order_id, step="closed order")
        await self._pause()
        again = await self._link.send("/v5/order/cancel", reference, step="cancel again")
        if again.get("retCode") == 0:
            self._link.seen.problems.append("a cancelled order was cancelled again with code 0")

    async def _batch(self, private: HostStream) -> None:
        names = ("batch first", "batch second")
        items = [self._body(name) for name in names]
        given = await self._post(
            "create-batch", {"category": "linear", "request": items}, step="create batch"
        )
        ids = [row["orderId"] for row in given["result"]["list"]]
        plain = [{"symbol": self._symbol, "orderId": each} for each in ids]
        amended = [{**each, "price": self._price(_FARTHER)} for each in plain]
        await self._post(
            "amend-batch", {"category": "linear", "request": amended}, step="amend batch"
        )
        await self._post(
            "cancel-batch", {"category": "linear", "request": plain}, step="cancel batch"
        )
        for name in names:
            await self._until_final(private, name)

    async def _conditional(self, private: HostStream) -> None:
        name = "conditional"
        trigger = {
            "triggerPrice": self._price(_TRIGGER),
            "triggerDirection": 2,
            "triggerBy": "LastPrice",
            "price": self._price(_TRIGGER_FARTHER),
        }
        given = await self._create(name, **trigger)
        order_id = given["result"]["orderId"]
        amended = {"orderId": order_id, "triggerPrice": self._price(_TRIGGER_FARTHER)}
        await self._post("amend", {**self._of_symbol, **amended}, step=f"{name} amend")
        reference = {**self._of_symbol, "orderId": order_id}
        await self._post("cancel", reference, step=f"{name} cancel")
        await self._until_final(private, name)

    async def _by_stream(self, private: HostStream, trade: HostStream) -> None:
        name, link = "by stream", self._link
        reply = await trade.ask("auth", {"args": link.auth_args()}, id_key="reqId", also=ignore)
        self._judge_trade("trade auth", reply)
        pong = await trade.ask("ping", {}, id_key="reqId", also=ignore)
        link.seen.note("trade pong", pong)
        body = {"category": "linear", **self._body(name)}
        given = await self._order(trade, "order.create", body)
        reference = {**self._of_symbol, "orderId": given["data"]["orderId"]}
        amended = {**reference, "price": self._price(_FARTHER)}
        await self._order(trade, "order.amend", amended)
        await self._order(trade, "order.cancel", reference)
        await self._until_final(private, name)

    async def _cancel_all(self, private: HostStream) -> None:
        names = ("all first", "all second")
        for name in names:
            await self._create(name)
        await self._post("cancel-all", self._of_symbol, step="cancel all")
        for name in names:
            await self._until_final(private, name)

    async def _create(self, name: str, **also: object) -> Row:
        body = {"category": "linear", **self._body(name), **also}
        return await self._post("create", body, step=f"{name} create")

    def _body(self, name: str) -> Row:
        self._numbers += 1
        link_id = f"{self._prefix}{self._numbers}"
        self._names[link_id] = name
        return {
            "symbol": self._symbol,
            "side": "Buy",
            "orderType": "Limit",
            "qty": self._quantity(),
            "price": self._price(_FAR),
            "timeInForce": "PostOnly",
            "positionIdx": self._market.position_idx,
            "orderLinkId": link_id,
        }

    def _price(self, share: Decimal) -> str:
        contract = self._market.instrument
        ticks = (self._market.best_bid * share / contract.tick_size).to_integral_value(ROUND_FLOOR)
        return f"{ticks * contract.tick_size:f}"

    # The smallest quantity that is worth enough at the lowest price it is sent at.
    def _quantity(self) -> str:
        contract = self._market.instrument
        lowest = self._market.best_bid * _TRIGGER_FARTHER
        least = max(contract.min_qty, contract.min_notional * _SPARE / lowest)
        steps = (least / contract.qty_step).to_integral_value(ROUND_CEILING)
        return f"{steps * contract.qty_step:f}"

    async def _post(self, name: str, body: Row, *, step: str) -> Row:
        await self._pause()
        row = await expect(self._link.send(f"/v5/order/{name}", body, step=step), step=step)
        items = row.get("retExtInfo", {}).get("list", []) if name.endswith("batch") else []
        refused = [item for item in items if item.get("code") != 0]
        if refused:
            raise _refused(step, str(refused[0].get("code")), str(refused[0].get("msg")))
        return row

    async def _order(self, trade: HostStream, operation: str, body: Row) -> Row:
        stamp = {"X-BAPI-TIMESTAMP": str(self._link.venue_ms())}
        asked = {"header": stamp, "args": [body]}
        await self._pause()
        reply = await trade.ask(operation, asked, id_key="reqId", also=ignore)
        self._judge_trade(f"trade {operation}", reply)
        return reply

    def _judge_trade(self, step: str, reply: Row) -> None:
        self._link.seen.note(step, reply)
        if reply.get("retCode") != 0:
            raise _refused(step, str(reply.get("retCode")), str(reply.get("retMsg")))

    async def _look(self, order_id: str, *, step: str) -> None:
        query = {"category": "linear", "orderId": order_id}
        await self._pause()
        await expect(self._link.read("/v5/order/realtime", query, step=step), step=step)

    async def _pause(self) -> None:
        await asyncio.sleep(self._pace_s)

    async def _until_final(self, private: HostStream, name: str) -> None:
        if self._is_final(name):
            return
        await private.until(
            lambda row: self._on_push(row, name), within_s=self._patience_s, also=ignore
        )
        if not self._is_final(name):
            self._link.seen.lives.setdefault(name, [])
            self._link.seen.problems.append(
                f"the final state of order {name} was not pushed within {self._patience_s:g} s"
            )

    def _on_push(self, row: Row, name: str) -> bool:
        note_push(self._link, "private", row)
        if row.get("topic") == "order":
            for each in row["data"]:
                order = self._names.get(each["orderLinkId"])
                if order is not None:
                    self._link.seen.live(order, _state(each))
        return self._is_final(name)

    def _is_final(self, name: str) -> bool:
        states = self._link.seen.lives.get(name)
        return states is not None and bool(states) and states[-1].partition(" ")[0] in _FINAL

    async def tidy(self) -> None:
        """Cancel every own order that is still open and close what was filled, and check it."""
        left: list[str] = []
        # A request without an answer may still arrive: then one clean look is not enough.
        clean_looks = 1 if self._is_complete else _LOOKS_WHEN_UNCERTAIN
        for attempt in range(_TIDY_ROUNDS):
            if attempt:
                await asyncio.sleep(self._tidy_pause_s)
            try:
                left = await self._cancel_left()
                is_flat = await self._close_filled()
            except (VenueError, *UNREADABLE) as e:
                self._say(f"cleaning up: {e!r}")
                continue
            clean_looks -= not left and is_flat
            if not clean_looks:
                return
        text = ", ".join(left) or "none seen"
        problem = f"CHECK BY HAND: orders or a position of {self._symbol} may be left ({text})"
        self._link.seen.problems.append(problem)
        self._say(problem)

    # Returns the link ids of the orders that were open before this attempt.
    async def _cancel_left(self) -> list[str]:
        query = {**self._of_symbol, "openOnly": "0", "limit": _PAGE}
        row = await expect(self._link.read("/v5/order/realtime", query), step="cleaning up")
        left = [
            each
            for each in row["result"]["list"]
            if str(each.get("orderLinkId")).startswith(self._prefix)
        ]
        for each in left:
            body = {**self._of_symbol, "orderId": each["orderId"]}
            await self._pause()
            await self._link.send("/v5/order/cancel", body)
        return [str(each["orderLinkId"]) for each in left]

    async def _close_filled(self) -> bool:
        row = await expect(
            self._link.read("/v5/position/list", self._of_symbol), step="cleaning up"
        )
        held = [each for each in row["result"]["list"] if Decimal(each["size"] or "0")]
        for each in held:
            await self._close(each)
        return not held

    async def _close(self, position: dict[str, Any]) -> None:
        self._closed += 1
        text = f"FILLED: {position['size']} {self._symbol} were bought and are sold, reduce-only"
        self._say(text)
        self._link.seen.problems.append(text)
        body = {
            **self._of_symbol,
            "side": "Sell" if position["side"] == "Buy" else "Buy",
            "orderType": "Market",
            "qty": position["size"],
            "reduceOnly": True,
            "positionIdx": int(position["positionIdx"]),
            "orderLinkId": f"{self._prefix}close-{self._closed}",
        }
        await self._pause()
        await self._link.send("/v5/order/create", body)


def _state(row: Row) -> str:
    status = str(row["orderStatus"])
    if status not in _FINAL:
        return status
    return f"{status} ({row['cancelType']}, {row['rejectReason']})"


def _refused(step: str, code: str, message: str) -> VenueRejected:
    return VenueRejected(
        f"{code} {message}", venue="bybit", operation=step, outcome=Outcome.REJECTED
    )
