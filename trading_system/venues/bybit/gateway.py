"""Bybit's linear category as the system uses it: queries and raw order entry.

This is the raw gateway; inside the system only the execution engine holds it. Orders go by the
trade WebSocket or by REST, whichever :mod:`~trading_system.venues.bybit.order_ways` prefers. A
request that the stream did not send may go by REST; one whose outcome is unknown is never sent
again by any way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from trading_system.domain.errors import (
    CorruptDataError,
    Outcome,
    ValidationError,
    VenueAuthError,
    VenueError,
    VenueRateLimited,
)
from trading_system.domain.orders import BatchOutcome, OrderAck, OrderIntent, PriceChange
from trading_system.domain.ports import Clock
from trading_system.venues.bybit.batch_answers import acknowledgement, batch_outcomes
from trading_system.venues.bybit.order_bodies import (
    amend_body,
    cancel_all_bodies,
    order_body,
    reference_body,
    terms_body,
)
from trading_system.venues.bybit.order_ways import OrderWays, Way, WaysView
from trading_system.venues.bybit.position_settings import PositionSettings
from trading_system.venues.bybit.refusals import STALE_STAMP_CODE
from trading_system.venues.bybit.rest import PRIORITY_EXIT, PRIORITY_ORDER, BybitRest
from trading_system.venues.bybit.wire import MAX_BATCH, Answer

_NS_PER_S = 1_000_000_000
_LEAST_S = 0.001


class OrderChannel(Protocol):
    """A way to send order requests beside REST."""

    @property
    def is_up(self) -> bool:
        """Whether requests can be sent now."""
        ...

    async def request(self, operation: str, body: Mapping[str, Any], *, timeout_s: float) -> Answer:
        """Send one request; errors say through ``outcome`` what is known."""
        ...


class BybitGateway(PositionSettings):
    """Typed requests of the linear category.

    Parameters
    ----------
    rest : BybitRest
        Sends queries, and orders while the stream is down, slower or failing.
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
        self._ways = OrderWays(clock=clock, has_stream=trade is not None)
        rest.on_answer = self._note_rest_answer

    @property
    def order_ways(self) -> WaysView:
        """Which way orders take, and what was measured of both."""
        return self._ways.view(is_up=self._is_stream_up)

    @property
    def sent_by_stream(self) -> int:
        """Order requests that went by the trade stream."""
        return self.order_ways.stream.sent

    @property
    def sent_by_rest(self) -> int:
        """Order requests that went by REST."""
        return self.order_ways.rest.sent

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        """Send one order; the reply accepts the request, not the order."""
        answer = await self._order(
            "create",
            self._body(intent),
            timeout_s=timeout_s,
            priority=PRIORITY_EXIT if intent.reduce_only else PRIORITY_ORDER,
        )
        return acknowledgement(answer, "order.create", intent.link_id)

    async def amend(
        self,
        symbol: str,
        link_id: str,
        *,
        timeout_s: float,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
    ) -> OrderAck:
        """Change total quantity, price or trigger price of an order that is not final.

        Terms that the order has already count as done.

        Raises
        ------
        ValidationError
            If none is given; nothing was sent.
        """
        if quantity is None and price is None and trigger_price is None:
            raise ValidationError("an amendment needs a quantity, a price or a trigger price")
        body = terms_body(
            symbol, link_id, quantity=quantity, price=price, trigger_price=trigger_price
        )
        answer = await self._order("amend", body, timeout_s=timeout_s, priority=PRIORITY_ORDER)
        return acknowledgement(answer, "order.amend", link_id)

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order."""
        body = reference_body(symbol, link_id)
        await self._order("cancel", body, timeout_s=timeout_s, priority=PRIORITY_EXIT)

    async def cancel_all(self, symbol: str | None, *, timeout_s: float) -> None:
        """Ask for the cancellation of all orders of one symbol; position stops stay.

        Conditional orders need a request of their own, which is sent even if the first one
        failed. The trade WebSocket has no such request: it always goes by REST.

        Parameters
        ----------
        symbol : str or None
            None cancels those of the whole account.
        timeout_s : float
            Deadline of each request, seconds.
        """
        failure: VenueError | None = None
        for body in cancel_all_bodies(symbol):
            try:
                await self._rest.post(
                    "/v5/order/cancel-all", body, timeout_s=timeout_s, priority=PRIORITY_EXIT
                )
            except VenueError as e:
                failure = failure or e
        if failure is not None:
            raise failure

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Send orders ten at a time; each ends for itself.

        Parameters
        ----------
        timeout_s : float
            Deadline of each request of up to ten orders, seconds.
        """
        bodies = [(intent.link_id, self._body(intent)) for intent in intents]
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
        bodies = [(change.link_id, amend_body(change)) for change in changes]
        return await self._batch(
            "amend-batch", bodies, timeout_s=timeout_s, priority=PRIORITY_ORDER
        )

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Ask for the cancellation of (symbol, link id) pairs, ten at a time."""
        bodies = [(link_id, reference_body(symbol, link_id)) for symbol, link_id in orders]
        return await self._batch(
            "cancel-batch", bodies, timeout_s=timeout_s, priority=PRIORITY_EXIT
        )

    def _body(self, intent: OrderIntent) -> dict[str, Any]:
        return order_body(intent, is_hedged=intent.symbol in self.hedged)

    @property
    def _is_stream_up(self) -> bool:
        return self._trade is not None and self._trade.is_up

    def _note_rest_answer(self, elapsed_ns: int) -> None:
        self._ways.note_answer(Way.REST, elapsed_ns)

    async def _order(
        self, operation: str, body: Mapping[str, Any], *, timeout_s: float, priority: int
    ) -> Answer:
        ends_ns = self._clock.monotonic_ns() + round(timeout_s * _NS_PER_S)
        try:
            return await self._send(operation, body, timeout_s=timeout_s, priority=priority)
        except VenueAuthError as e:
            if e.code == STALE_STAMP_CODE:  # certainly not accepted; the next one shall fit
                left_s = (ends_ns - self._clock.monotonic_ns()) / _NS_PER_S
                await self._measure_clock(timeout_s=left_s)
            raise

    async def _measure_clock(self, *, timeout_s: float) -> None:
        """Measure the offset while there is time; otherwise it stays in doubt."""
        self._rest.venue_clock.doubt()
        with contextlib.suppress(VenueError, CorruptDataError, TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.synchronise_clock()

    async def _send(
        self, operation: str, body: Mapping[str, Any], *, timeout_s: float, priority: int
    ) -> Answer:
        started_ns = self._clock.monotonic_ns()
        if self._ways.choose(is_up=self._is_stream_up) is Way.STREAM:
            try:
                return await self._by_stream(operation, body, timeout_s=timeout_s)
            except VenueError as e:
                # Only what certainly never left may take the other way, which has the same key
                # and the same quota.
                same = isinstance(e, VenueAuthError | VenueRateLimited)
                if e.outcome is not Outcome.NOT_SENT or same:
                    raise
        left_s = timeout_s - (self._clock.monotonic_ns() - started_ns) / _NS_PER_S
        self._ways.note_sent(Way.REST)
        try:
            return await self._rest.post(
                f"/v5/order/{operation}", body, timeout_s=max(left_s, _LEAST_S), priority=priority
            )
        except VenueError as e:
            if e.outcome is not Outcome.REJECTED:
                self._ways.note_failure(Way.REST)
            raise

    async def _by_stream(
        self, operation: str, body: Mapping[str, Any], *, timeout_s: float
    ) -> Answer:
        assert self._trade is not None
        started_ns = self._clock.monotonic_ns()
        try:
            answer = await self._trade.request(f"order.{operation}", body, timeout_s=timeout_s)
        except VenueError as e:
            if e.outcome is not Outcome.NOT_SENT:
                self._ways.note_sent(Way.STREAM)
            if e.outcome is Outcome.REJECTED:
                self._ways.note_answer(Way.STREAM, self._clock.monotonic_ns() - started_ns)
            elif not isinstance(e, VenueRateLimited):  # it waited here, and the stream works
                self._ways.note_failure(Way.STREAM)
            raise
        self._ways.note_sent(Way.STREAM)
        self._ways.note_answer(Way.STREAM, self._clock.monotonic_ns() - started_ns)
        return answer

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
            body = {"category": "linear", "request": rows}
            try:
                answer = await self._order(operation, body, timeout_s=timeout_s, priority=priority)
            except VenueError as e:
                items += [BatchOutcome(link_id=link, order_id="", error=e) for link in links]
            else:
                outcomes = batch_outcomes(answer, f"order.{operation}", links)
                if any(isinstance(item.error, VenueRateLimited) for item in outcomes):
                    self._rest.note_over_quota(f"/v5/order/{operation}", body)
                items += outcomes
        return items


def private_topics() -> Sequence[str]:
    """Return the private topics the system lives on."""
    return ("order", "execution", "position", "wallet")
