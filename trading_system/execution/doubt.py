"""Doubt: an order whose outcome is not known is looked up until it is; nothing is sent again."""

from __future__ import annotations

import asyncio

import structlog

from trading_system.domain.errors import CorruptDataError, DeadlineExceeded, VenueError
from trading_system.domain.orders import OrderReport
from trading_system.execution.tracker import OrderTracker
from trading_system.execution.tracking import Amendment, TrackedOrder, TrackedStatus
from trading_system.execution.transitions import OrderEvent
from trading_system.runtime.deadline import within

_LOG = structlog.get_logger(__name__)
_LOOKUP_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 4.0)
_LOOKUP_MARGIN_S = 1.0
_RESOLVE_S = 15.0
_HISTORY_LAG_S = 60.0
_SILENCE_S = 2.0
_NS_PER_S = 1_000_000_000
_TAKEN = frozenset({TrackedStatus.OPEN, TrackedStatus.UNTRIGGERED, TrackedStatus.PENDING_CANCEL})


class OrderDoubt(OrderTracker):
    """The part of the engine that looks orders up; see :class:`~trading_system.execution.engine`.

    What the venue says of an order proves its state; that it knows none proves something only when
    the request can no longer take effect.
    """

    @property
    def doubt_s(self) -> float:
        """Seconds after which a look-up proves that a request has not reached the venue."""
        return self._request_life_s + _LOOKUP_MARGIN_S

    async def settle(self, link_id: str, *, timeout_s: float) -> TrackedOrder:
        """Wait until the order's outcome is known, looking it up when the stream is silent.

        A look-up that fails is tried again: an outage is no outcome.

        Raises
        ------
        DeadlineExceeded
            If neither stream nor look-up settled it in time; it stays tracked.
        """
        order = self._known(link_id)
        deadline_ns = self._clock.monotonic_ns() + round(timeout_s * _NS_PER_S)
        while not order.settled.is_set():
            left_s = (deadline_ns - self._clock.monotonic_ns()) / _NS_PER_S
            if left_s <= 0:
                raise DeadlineExceeded(f"order {link_id} not settled within {timeout_s} s")
            try:
                async with asyncio.timeout(min(left_s, _SILENCE_S)):
                    await order.settled.wait()
            except TimeoutError:
                await self.look_up(order)
        return order

    async def look_up(self, order: TrackedOrder) -> None:
        """Ask the venue for one order; an absence past the request's life settles it.

        A request that the venue has not processed dies with its receive window, so "not found"
        is final only after that; likewise an order that then still rests, or rests at its old
        price, will not be cancelled or amended by it any more. An order that the venue had taken
        and knows no more may have filled while its history lags: it is over only when it stays
        absent, or in a recovery, after which the venue's positions are adopted. Failed requests
        settle nothing and are logged.
        """
        link_id = order.intent.link_id
        life_s = self.doubt_s
        began_ns, amendment = self._clock.monotonic_ns(), order.amendment
        age_s = (began_ns - order.sent_ns) / _NS_PER_S
        try:
            report, is_traded = await self._query(link_id)
        except (VenueError, CorruptDataError) as e:
            _LOG.warning("look-up failed", link_id=link_id, error=str(e))
            return
        if report is not None or is_traded:
            order.absent_ns = None
        if report is not None and began_ns - order.asked_ns > life_s * _NS_PER_S:
            self._conclude_requests(order, report, amendment)
        if report is not None or age_s <= life_s or order.status.is_final:
            return  # a final order still owes the fills that were reported
        if is_traded:
            self._conclude_from_fills(order, age_s)
        elif order.status in _TAKEN:
            self._conclude_absence(order, began_ns)
        else:
            self._apply(order, OrderEvent.NEVER_REACHED, "never reached the venue")

    async def refresh(self, link_id: str) -> bool:
        """Look one order up and apply what the venue says; return whether it was found."""
        report, is_traded = await self._query(link_id)
        return report is not None or is_traded

    async def look_up_silent(self, *, silence_s: float = _SILENCE_S) -> int:
        """Look up every order that owes an answer for longer; return how many; call it regularly.

        Orders of unknown outcome, being cancelled, being amended, and final ones whose fills have
        not all arrived; a failed look-up is tried again by the next call.
        """
        now_ns = self._clock.monotonic_ns()
        silent = [
            order
            for order in self._ledger.live
            if order.is_in_doubt and now_ns - order.asked_ns >= silence_s * _NS_PER_S
        ]
        for order in silent:
            await self.look_up(order)
        return len(silent)

    async def resolve(self, link_id: str, *, timeout_s: float = _RESOLVE_S) -> TrackedOrder:
        """Conclude an unknown outcome, or price, of an order by look-ups; nothing is sent again.

        Raises
        ------
        DeadlineExceeded
            If the venue did not tell it within ``timeout_s`` seconds; it stays tracked.
        """
        order = self._known(link_id)
        attempt = 0
        async with within(timeout_s, f"the look-up of order {link_id}"):
            while order.status is TrackedStatus.UNKNOWN or (
                order.amendment is not None and not order.status.is_final
            ):
                await asyncio.sleep(_LOOKUP_DELAYS_S[min(attempt, len(_LOOKUP_DELAYS_S) - 1)])
                attempt += 1
                await self.look_up(order)
        return order

    async def _query(self, link_id: str) -> tuple[OrderReport | None, bool]:
        """Apply what the venue says of an order; return its report and whether it knows fills."""
        report = await self._lookup.find_order(link_id)
        # Executions prove an order too: a venue's order history may lag behind them.
        fills = await self._lookup.executions(link_id)
        for fill in fills:
            self.on_fill(fill)
        if report is not None:
            self.on_report(report)
        return report, bool(fills)

    def _conclude_requests(
        self, order: TrackedOrder, report: OrderReport, amendment: Amendment | None
    ) -> None:
        # The requests about the order were dead before the venue was asked.
        if amendment is not None and order.confirms_standing(report):
            self._drop_amendment(order, amendment, "the venue never took it")
        if order.status is TrackedStatus.PENDING_CANCEL and not report.status.is_final:
            self._apply(order, OrderEvent.CANCEL_FAILED, "the venue never took the cancellation")

    def _conclude_absence(self, order: TrackedOrder, now_ns: int) -> None:
        if order.absent_ns is None:
            order.absent_ns = now_ns
            _LOG.error("the venue no longer knows an order", link_id=order.intent.link_id)
        if self._is_recovering or now_ns - order.absent_ns > _HISTORY_LAG_S * _NS_PER_S:
            self._apply(order, OrderEvent.FORGOTTEN, "the venue no longer knows it")

    def _conclude_from_fills(self, order: TrackedOrder, age_s: float) -> None:
        # Executions without an order: the order history lags, or has been cleared long ago.
        if order.booked_quantity >= order.full_quantity:
            self._apply(order, OrderEvent.REPORTED_FILLED, "proven by its executions")
        elif age_s > _HISTORY_LAG_S:
            self._apply(order, OrderEvent.REPORTED_CANCELLED, "the venue keeps only its fills")
