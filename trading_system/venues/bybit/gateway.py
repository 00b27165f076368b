"""Bybit's linear category as the system uses it: queries and raw order entry.

This is the raw gateway; inside the system only the execution engine holds it. Orders go by the
trade WebSocket while it is up, else by REST. A request that the stream did not send may go by
REST; one whose outcome is unknown is never sent again by any way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    ValidationError,
    VenueAuthError,
    VenueError,
    VenueRejected,
)
from trading_system.domain.orders import BatchOutcome, OrderAck, OrderIntent, PriceChange
from trading_system.domain.ports import Clock
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.account_queries import AccountQueries
from trading_system.venues.bybit.refusals import (
    STALE_STAMP_CODE,
    STOP_UNCHANGED_CODE,
    refusal,
    unknown,
)
from trading_system.venues.bybit.rest import PRIORITY_EXIT, PRIORITY_ORDER, BybitRest
from trading_system.venues.bybit.wire import MAX_BATCH, Answer

_NS_PER_S = 1_000_000_000
_BAD_PARAMETER = 10001
_LEAST_S = 0.001
# An amendment that changes nothing has the code of any bad parameter: only the text tells.
_UNCHANGED_TEXTS = ("not modified", "remains unchanged")


class OrderChannel(Protocol):
    """A way to send order requests beside REST."""

    @property
    def is_up(self) -> bool:
        """Whether requests can be sent now."""
        ...

    async def request(self, operation: str, body: Mapping[str, Any], *, timeout_s: float) -> Answer:
        """Send one request; errors say through ``outcome`` what is known."""
        ...


class _Created(msgspec.Struct, frozen=True):
    orderId: str  # noqa: N815 - the venue's spelling
    orderLinkId: str = ""  # noqa: N815 - the venue's spelling


class _Verdict(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


_CREATED = msgspec.json.Decoder(_Created)
_CREATED_LIST = msgspec.json.Decoder(wire.Page[_Created])
_VERDICTS = msgspec.json.Decoder(wire.Page[_Verdict])


class BybitGateway(AccountQueries):
    """Typed requests of the linear category.

    Parameters
    ----------
    rest : BybitRest
        Sends queries, and orders while the stream is down.
    clock : Clock
        For stamps and the clock offset.
    timeout_s : float
        Deadline of each query, seconds; order methods take their own.
    trade : OrderChannel or None
        The trade WebSocket, where the environment has one.
    """

    def __init__(
        self,
        rest: BybitRest,
        *,
        clock: Clock,
        timeout_s: float = 5.0,
        trade: OrderChannel | None = None,
    ) -> None:
        super().__init__(rest, clock=clock, timeout_s=timeout_s)
        self._trade = trade
        self.sent_by_stream = 0
        self.sent_by_rest = 0

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        """Send one order; the reply accepts the request, not the order."""
        answer = await self._order(
            "create",
            wire.order_body(intent),
            timeout_s=timeout_s,
            priority=PRIORITY_EXIT if intent.reduce_only else PRIORITY_ORDER,
        )
        return _ack(answer, "order.create", intent.link_id)

    async def amend(
        self,
        symbol: str,
        link_id: str,
        *,
        timeout_s: float,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
    ) -> OrderAck:
        """Change total quantity, price or both of a resting order.

        Terms that the order has already count as done.

        Raises
        ------
        ValidationError
            If neither is given; nothing was sent.
        """
        if quantity is None and price is None:
            raise ValidationError("an amendment needs a quantity or a price")
        body: dict[str, Any] = {"category": "linear", "symbol": symbol, "orderLinkId": link_id}
        if quantity is not None:
            body["qty"] = format(quantity, "f")
        if price is not None:
            body["price"] = format(price, "f")
        try:
            answer = await self._order("amend", body, timeout_s=timeout_s, priority=PRIORITY_ORDER)
        except VenueRejected as e:
            if _is_unchanged(e.code, str(e)):
                return OrderAck(order_id="", link_id=link_id)
            raise
        return _ack(answer, "order.amend", link_id)

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order."""
        body = {"category": "linear", "symbol": symbol, "orderLinkId": link_id}
        await self._order("cancel", body, timeout_s=timeout_s, priority=PRIORITY_EXIT)

    async def cancel_all(self, symbol: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of all orders of one symbol; position stops stay.

        The trade WebSocket has no such request: it always goes by REST.
        """
        body = {"category": "linear", "symbol": symbol, "orderFilter": "Order"}
        await self._rest.post(
            "/v5/order/cancel-all", body, timeout_s=timeout_s, priority=PRIORITY_EXIT
        )

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Send orders ten at a time; each ends for itself.

        Parameters
        ----------
        timeout_s : float
            Deadline of each request of up to ten orders, seconds.
        """
        bodies = [(intent.link_id, wire.order_body(intent)) for intent in intents]
        is_exit = bool(intents) and all(intent.reduce_only for intent in intents)
        priority = PRIORITY_EXIT if is_exit else PRIORITY_ORDER
        return await self._batch("create-batch", bodies, timeout_s=timeout_s, priority=priority)

    async def amend_batch(
        self, changes: Sequence[PriceChange], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Move resting orders to new prices, ten at a time; one that is there already is done.

        Parameters
        ----------
        timeout_s : float
            Deadline of each request of up to ten orders, seconds.
        """
        bodies = [(change.link_id, wire.amend_body(change)) for change in changes]
        return await self._batch(
            "amend-batch", bodies, timeout_s=timeout_s, priority=PRIORITY_ORDER
        )

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Ask for the cancellation of (symbol, link id) pairs, ten at a time."""
        bodies = [
            (link_id, {"category": "linear", "symbol": symbol, "orderLinkId": link_id})
            for symbol, link_id in orders
        ]
        return await self._batch(
            "cancel-batch", bodies, timeout_s=timeout_s, priority=PRIORITY_EXIT
        )

    async def protect(self, symbol: str, stop_price: Decimal | None, *, timeout_s: float) -> None:
        """Let a stop loss for the whole position rest at the venue; None removes it.

        It triggers on the mark price. A stop that is there already, or the removal of one from a
        flat position, counts as done.
        """
        body = {
            "category": "linear",
            "symbol": symbol,
            "tpslMode": "Full",
            "positionIdx": 0,
            "stopLoss": "0" if stop_price is None else format(stop_price, "f"),
            "slTriggerBy": "MarkPrice",
        }
        try:
            await self._rest.post(
                "/v5/position/trading-stop", body, timeout_s=timeout_s, priority=PRIORITY_EXIT
            )
        except VenueRejected as e:
            if e.code == STOP_UNCHANGED_CODE:
                return
            is_removal = stop_price is None and e.code == _BAD_PARAMETER
            if is_removal and not (await self.position(symbol)).quantity:
                return  # a flat position has no stop
            raise

    async def set_leverage(self, symbol: str, leverage: Decimal, *, timeout_s: float) -> None:
        """Set the leverage of both directions; an unchanged one counts as done."""
        text = format(leverage, "f")
        body = {
            "category": "linear",
            "symbol": symbol,
            "buyLeverage": text,
            "sellLeverage": text,
        }
        await self._rest.post(
            "/v5/position/set-leverage", body, timeout_s=timeout_s, priority=PRIORITY_ORDER
        )

    async def _order(
        self, operation: str, body: Mapping[str, Any], *, timeout_s: float, priority: int
    ) -> Answer:
        try:
            return await self._send(operation, body, timeout_s=timeout_s, priority=priority)
        except VenueAuthError as e:
            if e.code == STALE_STAMP_CODE:  # certainly not accepted; the next one shall fit
                with contextlib.suppress(VenueError, CorruptDataError):
                    await self.synchronise_clock()
            raise

    async def _send(
        self, operation: str, body: Mapping[str, Any], *, timeout_s: float, priority: int
    ) -> Answer:
        started_ns = self._clock.monotonic_ns()
        if self._trade is not None and self._trade.is_up:
            self.sent_by_stream += 1
            try:
                return await self._trade.request(f"order.{operation}", body, timeout_s=timeout_s)
            except VenueError as e:
                if e.outcome is not Outcome.NOT_SENT or isinstance(e, VenueAuthError):
                    raise
                self.sent_by_stream -= 1
        left_s = timeout_s - (self._clock.monotonic_ns() - started_ns) / _NS_PER_S
        self.sent_by_rest += 1
        return await self._rest.post(
            f"/v5/order/{operation}", body, timeout_s=max(left_s, _LEAST_S), priority=priority
        )

    async def _batch(
        self,
        operation: str,
        bodies: Sequence[tuple[str, dict[str, Any]]],
        *,
        timeout_s: float,
        priority: int,
    ) -> list[BatchOutcome]:
        items: list[BatchOutcome] = []
        for first in range(0, len(bodies), MAX_BATCH):
            part = bodies[first : first + MAX_BATCH]
            links = [link_id for link_id, _ in part]
            rows = [
                {key: value for key, value in body.items() if key != "category"} for _, body in part
            ]
            try:
                answer = await self._order(
                    operation,
                    {"category": "linear", "request": rows},
                    timeout_s=timeout_s,
                    priority=priority,
                )
            except VenueError as e:
                items += [BatchOutcome(link_id=link, order_id="", error=e) for link in links]
            else:
                items += _batch_items(answer, f"order.{operation}", links)
        return items


def private_topics() -> Sequence[str]:
    """Return the private topics the system lives on."""
    return ("order", "execution", "position", "wallet")


def _ack(answer: Answer, operation: str, link_id: str) -> OrderAck:
    try:
        created = wire.decode(answer.result, _CREATED, what="order acknowledgement")
    except CorruptDataError as e:
        raise unknown(str(e), operation=operation) from e
    return OrderAck(order_id=created.orderId, link_id=created.orderLinkId or link_id)


def _batch_items(answer: Answer, operation: str, links: Sequence[str]) -> list[BatchOutcome]:
    try:
        rows = wire.decode(answer.result, _CREATED_LIST, what="batch rows").rows
        verdicts = wire.decode(answer.extra, _VERDICTS, what="batch verdicts").rows
    except CorruptDataError as e:
        return _all_unknown(str(e), operation, links)
    if not len(rows) == len(verdicts) == len(links):
        return _all_unknown("the batch's answer has another length", operation, links)
    return [
        BatchOutcome(
            link_id=link,
            order_id=row.orderId,
            error=_verdict_error(verdict, operation),
        )
        for link, row, verdict in zip(links, rows, verdicts, strict=True)
    ]


def _verdict_error(verdict: _Verdict, operation: str) -> VenueError | None:
    is_amendment = operation == "order.amend-batch"
    if not verdict.code or (is_amendment and _is_unchanged(verdict.code, verdict.msg)):
        return None
    return refusal(verdict.code, verdict.msg, operation=operation)


def _is_unchanged(code: int | None, text: str) -> bool:
    return code == _BAD_PARAMETER and any(known in text.lower() for known in _UNCHANGED_TEXTS)


def _all_unknown(text: str, operation: str, links: Sequence[str]) -> list[BatchOutcome]:
    error = unknown(text, operation=operation)
    return [BatchOutcome(link_id=link, order_id="", error=error) for link in links]
