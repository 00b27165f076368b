"""Sending: what passed the gate is journaled and sent once, alone or in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from trading_system.domain.errors import (
    InvariantViolated,
    JournalError,
    OrderDenied,
    Outcome,
    VenueError,
)
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import BatchOutcome, Fill, OrderAck, OrderIntent, PriceChange
from trading_system.domain.ports import Clock, VenueGateway
from trading_system.execution import batches
from trading_system.execution.answers import OrderAnswers
from trading_system.execution.brake import Brake
from trading_system.execution.gate import OrderGate
from trading_system.execution.journal.store import Journal
from trading_system.execution.lookup import OrderLookup
from trading_system.execution.tracking import TrackedOrder
from trading_system.execution.transitions import OrderEvent
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import DenyReason, MarketView, RiskLimits
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow


class OrderSender(OrderAnswers):
    """The part of the engine that sends; see :class:`~trading_system.execution.engine`."""

    def __init__(
        self,
        *,
        gateway: VenueGateway,
        lookup: OrderLookup,
        instruments: Mapping[str, Instrument],
        limits: RiskLimits,
        order_rate: SlidingWindow,
        amend_rate: SlidingWindow | None,
        portfolio: Portfolio,
        journal: Journal,
        brake: Brake,
        market: Callable[[str], MarketView],
        clock: Clock,
        latency: StageLatency,
        request_life_s: float,
        clock_offset_ms: Callable[[], float | None] | None,
        on_booked: Callable[[Fill], None],
        on_funded: Callable[[str, Decimal], None],
    ) -> None:
        super().__init__(
            lookup=lookup,
            portfolio=portfolio,
            journal=journal,
            brake=brake,
            clock=clock,
            latency=latency,
            request_life_s=request_life_s,
            on_booked=on_booked,
            on_funded=on_funded,
        )
        self.holds = brake.holds
        self._gateway = gateway
        self._instruments = instruments
        self._gate = OrderGate(
            instruments=instruments,
            limits=limits,
            order_rate=order_rate,
            amend_rate=amend_rate,
            portfolio=portfolio,
            ledger=self._ledger,
            market=market,
            clock=clock,
            clock_offset_ms=clock_offset_ms,
        )
        self.denied = self._gate.denied
        self.sent = 0
        self.amends_sent = 0

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        """Gate and send ``intent``; a market order is sent as a collared immediate-or-cancel.

        Raises
        ------
        OrderDenied
            The gate refused, or the journal cannot be written; nothing was sent.
        VenueRejected
            The venue refused definitely; the order is final.
        VenueError
            The outcome is unknown; the order stays tracked until :meth:`resolve` settles it.
        """
        intent = self._admitted(intent)
        try:
            self._journal.write_intent(intent)
        except JournalError as e:
            self._brake.watch_journal()
            self._gate.deny(DenyReason.JOURNAL, str(e))
        return await self._send(intent, timeout_s=timeout_s)

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Gate and send several orders, ten in one request; each ends for itself, in order.

        Each is judged with those before it counted. An outcome of ``OrderDenied`` was not sent;
        one that is unknown stays tracked until :meth:`resolve` or :meth:`look_up_silent` settles
        it.

        Parameters
        ----------
        timeout_s : float
            Deadline of each request, seconds.
        """
        outcomes: list[BatchOutcome] = []
        for part in batches.parts(intents):
            found = self._record_intents(part)
            answers = await self._send_orders(batches.passed(found), timeout_s=timeout_s)
            outcomes += batches.merged(found, answers)
        return outcomes

    async def amend_batch(
        self, changes: Sequence[PriceChange], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Gate and send new prices of resting orders, ten in one request; each ends for itself.

        Conditional orders that still wait leave one by one: the venue takes no batch of them.

        Only a confirmed order without a request under way can be moved, and only while trading is
        ACTIVE. An accepted change is under way until the venue reports the order at its new price;
        until then, and while the outcome is unknown, both prices count. A refused one leaves the
        old price. A change to the price at which the order stands is accepted and not sent.

        Parameters
        ----------
        timeout_s : float
            Deadline of each request, seconds.
        """
        outcomes: list[BatchOutcome] = []
        for part in batches.parts(changes):
            found = self._record_changes(part)
            answers = await self._send_changes(batches.passed(found), timeout_s=timeout_s)
            outcomes += batches.merged(found, answers)
        return outcomes

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        """Ask for the cancellation of one order; cancels always pass the gate.

        A refusal concludes nothing: the order may have ended in any way, which stream or look-up
        will tell.
        """
        order = self._cancelling(link_id)
        try:
            await self._gateway.cancel(symbol, link_id, timeout_s=timeout_s)
        except VenueError as e:
            if order is not None and e.outcome is not Outcome.UNKNOWN:
                self._apply(order, OrderEvent.CANCEL_FAILED, str(e))
            raise

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        """Ask for the cancellation of (symbol, link id) pairs, ten in one request.

        Cancels always pass the gate. A refusal concludes nothing; an own order that the venue says
        is gone is looked up.

        Parameters
        ----------
        timeout_s : float
            Deadline of each request, seconds.
        """
        outcomes: list[BatchOutcome] = []
        for part in batches.parts(orders):
            links = [link_id for _, link_id in part]
            known = [self._cancelling(link_id) for link_id in links]
            try:
                answers = await self._gateway.cancel_batch(part, timeout_s=timeout_s)
            except VenueError as e:
                answers = batches.all_failed(links, e)
            answers = batches.aligned(links, answers, operation="cancel-batch")
            for order, answer in zip(known, answers, strict=True):
                error = answer.error
                is_failure = isinstance(error, VenueError) and error.outcome is not Outcome.UNKNOWN
                if order is not None and is_failure:
                    self._apply(order, OrderEvent.CANCEL_FAILED, str(error))
            await self._look_up_gone(zip(known, answers, strict=True), timeout_s=timeout_s)
            outcomes += answers
        return outcomes

    async def cancel_all(self, symbol: str | None, *, timeout_s: float) -> None:
        """Ask for the cancellation of all orders of ``symbol``; always passes the gate.

        None means those of every symbol of the account, also ones that are not traded here.
        """
        await self._gateway.cancel_all(symbol, timeout_s=timeout_s)

    def _admitted(self, intent: OrderIntent) -> OrderIntent:
        started_ns = self._clock.monotonic_ns()
        intent = self._gate.admit(intent, state=self.holds.state)
        self._latency.record("gate", self._clock.monotonic_ns() - started_ns)
        return intent

    def _record_intents(self, intents: Sequence[OrderIntent]) -> list[batches.Found]:
        """Track each intent that passes, with those before it counted; record all in one commit."""
        found: list[batches.Found] = []
        try:
            found.extend(map(self._tracked, intents))
            if passed := batches.passed(found):
                self._journal.write_intents([order.intent for order in passed])
        except JournalError as e:
            self._discard(found)
            return self._all_denied(found, e)
        except BaseException:
            self._discard(found)
            raise
        return found

    def _tracked(self, intent: OrderIntent) -> batches.Found:
        try:
            admitted = self._admitted(intent)
        except OrderDenied as e:
            return BatchOutcome(link_id=intent.link_id, error=e)
        order = TrackedOrder(intent=admitted, sent_ns=self._clock.monotonic_ns())
        self._ledger.add(order)
        return order

    def _discard(self, found: Iterable[batches.Found]) -> None:
        for order in batches.passed(found):
            self._ledger.discard(order)

    def _record_changes(self, changes: Sequence[PriceChange]) -> list[batches.Found]:
        """Count each change that passes from now on at both prices; record all in one commit."""
        found: list[batches.Found] = []
        try:
            found.extend(map(self._asked, changes))
            if passed := batches.passed(found):
                self._journal.write_price_changes([batches.asked_change(order) for order in passed])
        except JournalError as e:
            self._take_back(found)
            return self._all_denied(found, e)
        except BaseException:
            self._take_back(found)
            raise
        return found

    def _asked(self, change: PriceChange) -> batches.Found:
        started_ns = self._clock.monotonic_ns()
        try:
            order = self._gate.admit_change(change, state=self.holds.state)
        except OrderDenied as e:
            return BatchOutcome(link_id=change.link_id, error=e)
        now_ns = self._clock.monotonic_ns()
        self._latency.record("gate", now_ns - started_ns)
        if order.stands_at(change):
            return BatchOutcome(link_id=change.link_id, order_id=order.order_id)
        order.ask_price(change.price, now_ns=now_ns, trigger_price=change.trigger_price)
        self._ledger.update(order)
        return order

    def _take_back(self, found: Iterable[batches.Found]) -> None:
        for order in batches.passed(found):
            order.amendment = None
            self._ledger.update(order)

    def _all_denied(
        self, found: Iterable[batches.Found], error: JournalError
    ) -> list[batches.Found]:
        self._brake.watch_journal()
        return [
            BatchOutcome(
                link_id=one.intent.link_id,
                error=self._gate.refusal(DenyReason.JOURNAL, str(error)),
            )
            if isinstance(one, TrackedOrder)
            else one
            for one in found
        ]

    def _cancelling(self, link_id: str) -> TrackedOrder | None:
        order = self._ledger.get(link_id)
        if order is not None and not order.status.is_final:  # an ended one only owes fills
            order.asked_ns = self._clock.monotonic_ns()
            self._apply(order, OrderEvent.CANCEL_SENT)
        return order

    async def _send(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        order = TrackedOrder(intent=intent, sent_ns=self._clock.monotonic_ns())
        self._ledger.add(order)
        self.sent += 1
        try:
            ack = await self._gateway.submit(intent, timeout_s=timeout_s)
        except VenueError as e:
            self._on_refusal(order, e)
            raise
        except BaseException as e:
            self._on_lost([order], e)
            raise
        self._on_accepted(order, ack.order_id)
        return ack

    async def _send_orders(
        self, orders: Sequence[TrackedOrder], *, timeout_s: float
    ) -> list[BatchOutcome]:
        if not orders:
            return []
        self.sent += len(orders)
        links = [order.intent.link_id for order in orders]
        try:
            answers = await self._gateway.submit_batch(
                [order.intent for order in orders], timeout_s=timeout_s
            )
        except VenueError as e:
            answers = batches.all_failed(links, e)
        except BaseException as e:
            self._on_lost(orders, e)
            raise
        answers = batches.aligned(links, answers, operation="create-batch")
        violations = []
        for order, answer in zip(orders, answers, strict=True):
            try:
                self._on_answer(order, answer)
            except (
                InvariantViolated
            ) as e:  # the alarm is raised; the others are judged all the same
                violations.append(e)
        if violations:
            raise violations[0]
        return answers

    async def _send_changes(
        self, orders: Sequence[TrackedOrder], *, timeout_s: float
    ) -> list[BatchOutcome]:
        if not orders:
            return []
        self.amends_sent += len(orders)
        changes = [batches.asked_change(order) for order in orders]
        asked = [order.amendment for order in orders]
        links = [change.link_id for change in changes]
        answers = await batches.ask_for_changes(self._gateway, changes, timeout_s=timeout_s)
        answers = batches.aligned(links, answers, operation="amend-batch")
        for order, amendment, answer in zip(orders, asked, answers, strict=True):
            if isinstance(answer.error, VenueError):
                assert amendment is not None
                self._on_change_refused(order, amendment, answer.error)
        await self._look_up_gone(zip(orders, answers, strict=True), timeout_s=timeout_s)
        return answers
