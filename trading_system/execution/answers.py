"""Judging: what the venue's direct answer to a request says of the orders in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from trading_system.domain.errors import (
    InvariantViolated,
    Outcome,
    VenueAuthError,
    VenueError,
    VenueRejected,
)
from trading_system.domain.orders import BatchOutcome
from trading_system.execution.doubt import OrderDoubt
from trading_system.execution.tracking import Amendment, TrackedOrder
from trading_system.execution.transitions import OrderEvent
from trading_system.risk.limits import TradingState

_LOG = structlog.get_logger(__name__)
_ALREADY_EXISTS = frozenset({110072, 170141, 10014})
_GONE = frozenset({110001, 170213})
_STALE_STAMP = 10002


class OrderAnswers(OrderDoubt):
    """The part of the engine that judges answers; see :class:`~trading_system.execution.engine`.

    A request without an answer, and a refusal that may hide an accepted order, leave the outcome
    unknown: it is looked up, and nothing is sent again.
    """

    def _on_lost(self, orders: Iterable[TrackedOrder], error: BaseException) -> None:
        """Treat every order of a request that ended without an answer as unknown."""
        is_cancelled = isinstance(error, asyncio.CancelledError)
        reason = "cancelled while waiting for the answer" if is_cancelled else repr(error)
        for order in orders:
            self._apply(order, OrderEvent.ANSWER_LOST, reason)

    def _on_answer(self, order: TrackedOrder, answer: BatchOutcome) -> None:
        if isinstance(answer.error, VenueError):
            self._on_refusal(order, answer.error)
        else:
            self._on_accepted(order, answer.order_id)

    def _on_accepted(self, order: TrackedOrder, order_id: str) -> None:
        self._latency.record("ack", self._clock.monotonic_ns() - order.sent_ns)
        order.order_id = order.order_id or order_id
        self._apply(order, OrderEvent.ACKNOWLEDGED)

    def _on_change_refused(
        self, order: TrackedOrder, amendment: Amendment, error: VenueError
    ) -> None:
        link_id = order.intent.link_id
        if error.outcome is Outcome.UNKNOWN:
            _LOG.warning("price change unknown", link_id=link_id, error=str(error))
        else:
            self._drop_amendment(order, amendment, str(error))
        self._note_auth(error)

    async def _look_up_gone(
        self, judged: Iterable[tuple[TrackedOrder | None, BatchOutcome]], *, timeout_s: float
    ) -> None:
        """Find out how the own orders ended that the venue calls gone; the stream may be late."""
        violations = []
        try:
            async with asyncio.timeout(timeout_s):
                for order, answer in judged:
                    is_gone = isinstance(answer.error, VenueError) and answer.error.code in _GONE
                    if not is_gone or order is None or order.status.is_final:
                        continue
                    try:
                        await self.look_up(order)
                    except InvariantViolated as e:  # the alarm is raised; the others are looked up
                        violations.append(e)
        except TimeoutError:
            _LOG.warning("gone orders not looked up in time")
        if violations:
            raise violations[0]

    def _on_refusal(self, order: TrackedOrder, error: VenueError) -> None:
        is_known = isinstance(error, VenueRejected) and error.code in _ALREADY_EXISTS
        if error.outcome is Outcome.UNKNOWN:
            # An answer that did not come took at least this long: leaving it out would flatter.
            self._latency.record("ack", self._clock.monotonic_ns() - order.sent_ns)
        if is_known or error.outcome is Outcome.UNKNOWN:
            _LOG.warning("order outcome unknown", link_id=order.intent.link_id, error=str(error))
            self._apply(order, OrderEvent.ANSWER_LOST, str(error))
        else:
            self._apply(order, OrderEvent.REFUSED, str(error))
        self._note_auth(error)

    def _note_auth(self, error: VenueError) -> None:
        if isinstance(error, VenueAuthError) and error.code != _STALE_STAMP:
            _LOG.error("halted: the venue refuses the key", error=str(error))
            self._brake.holds.set("auth", TradingState.HALTED, str(error))
