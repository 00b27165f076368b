"""Whatever the venue says, in whatever order and how often: the invariants of orders hold.

A model of the venue decides what truly happens to a few orders; its acknowledgements, reports and
executions then reach the engine late, repeated and out of order, with lost answers, cancels and a
crash in between. I2: one order per intent. I4: each execution once. I5: final states absorb.
I6: the local position is the sum of all executions. I16: unknown orders count at full size.
"""

import asyncio
import random
from dataclasses import replace
from decimal import Decimal

from engine_rig import FakeVenue, Rig, fill, report, unavailable
from hypothesis import given
from hypothesis import strategies as st

from trading_system.domain.errors import OrderDenied, Outcome, VenueError
from trading_system.domain.orders import (
    Fill,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    Side,
)
from trading_system.execution.tracking import TrackedStatus

LOT = Decimal("0.01")


class Model:
    """What truly happens at the venue, and the messages that say so."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.rig = Rig(rate=1_000)
        self.pending: list[OrderReport | Fill] = []
        self.executed: list[Fill] = []
        self.final: dict[str, TrackedStatus] = {}

    @property
    def venue(self) -> FakeVenue:
        return self.rig.venue

    async def send(self) -> None:
        """Send one order; its answer may be lost, before or after the venue took it."""
        order = OrderIntent(
            symbol="BTCUSDT",
            side=self.rng.choice(list(Side)),
            order_type=OrderType.LIMIT,
            quantity=LOT * self.rng.randint(1, 4),
            price=Decimal(50_000 + self.rng.randint(-9, 9)),
            link_id=self.rig.engine.next_link_id(),
        )
        fate = self.rng.choice(["fine", "lost ack", "lost request", "refused"])
        if fate == "fine":
            self.accept(order)
        elif fate == "lost ack":
            self.accept(order)
            self.venue.failures.append(unavailable(Outcome.UNKNOWN))
        elif fate == "lost request":
            self.venue.failures.append(unavailable(Outcome.UNKNOWN))
        else:
            self.venue.failures.append(unavailable(Outcome.NOT_SENT))
        try:
            await self.rig.engine.submit(order, timeout_s=1)
        except OrderDenied:
            self.forget(order)
        except VenueError:
            pass

    def forget(self, order: OrderIntent) -> None:
        """Take back what was prepared for an order that the gate refused."""
        self.venue.failures.clear()
        self.venue.known.pop(order.link_id, None)
        self.venue.fills.pop(order.link_id, None)
        self.executed = [f for f in self.executed if f.link_id != order.link_id]
        self.pending = [m for m in self.pending if m.link_id != order.link_id]

    def accept(self, order: OrderIntent) -> None:
        """Decide an order's whole life at the venue."""
        self.pending.append(report(order, OrderStatus.NEW, Decimal(0)))
        done, lots = Decimal(0), self.rng.randint(0, int(order.quantity / LOT))
        fills = self.venue.fills.setdefault(order.link_id, [])
        for number in range(lots):
            one = fill(order, LOT, Decimal(50_000), number=number)
            fills.append(one)
            self.pending.append(one)
            self.executed.append(one)
            done += LOT
            self.pending.append(report(order, OrderStatus.PARTIALLY_FILLED, done))
        is_full = done == order.quantity
        last = report(order, OrderStatus.FILLED if is_full else OrderStatus.CANCELLED, done)
        self.pending.append(last)
        self.venue.known[order.link_id] = last

    def deliver(self) -> None:
        """Let one message arrive, any of those on the way, and perhaps keep a copy on the way."""
        if not self.pending:
            return
        message = self.rng.choice(self.pending)
        if self.rng.random() < 0.7:
            self.pending.remove(message)
        self.hand_over(message)

    def hand_over(self, message: OrderReport | Fill) -> None:
        if isinstance(message, Fill):
            self.rig.engine.on_fill(message)
        else:
            self.rig.engine.on_report(message)

    async def step(self) -> None:
        action = self.rng.choice(["send", "deliver", "deliver", "deliver", "look up", "wait"])
        if action == "send":
            await self.send()
        elif action == "deliver":
            self.deliver()
        elif action == "wait":
            self.rig.clock.advance(1.5)
        else:
            for order in self.rig.engine.live_orders[:1]:
                await self.rig.engine.look_up(order)
        self.check()

    def check(self) -> None:
        engine, booked = self.rig.engine, Decimal(0)
        sent = [order.link_id for order in self.venue.sent]
        assert len(sent) == len(set(sent))  # I2
        for link_id in sent:
            order = engine.order(link_id)
            assert order is not None
            assert order.booked_quantity <= order.intent.quantity
            before = self.final.get(link_id)
            assert before is None or order.status is before  # I5
            if order.status.is_final:
                self.final[link_id] = order.status
            if order.status is TrackedStatus.UNKNOWN:
                assert order.open_quantity == order.intent.quantity - order.booked_quantity  # I16
            booked += order.booked_quantity * order.intent.side.sign
        assert self.rig.portfolio.position("BTCUSDT").quantity == booked
        known = {one.exec_id for one in self.rig.journal.fills()}
        assert len(known) == len(self.rig.journal.fills())  # I4
        self.check_exposure()

    def check_exposure(self) -> None:
        """The exposure that is kept up to date equals the one added up from scratch."""
        live = self.rig.engine.live_orders
        ledger = self.rig.engine._ledger
        assert ledger.open_quantity("BTCUSDT") == sum(o.open_quantity for o in live)
        assert ledger.open_notional == sum(o.open_quantity * (o.intent.price or 0) for o in live)

    async def quiesce(self) -> None:
        """Let every message arrive and every unsettled order be looked up past its life."""
        for message in list(self.pending):
            self.hand_over(message)
        self.rig.clock.advance(10)
        for order in self.rig.engine.live_orders:
            await self.rig.engine.look_up(order)
        self.check()

    def position(self) -> Decimal:
        return sum((f.quantity * f.side.sign for f in self.executed), Decimal(0))


async def run(seed: int, *, steps: int) -> Model:
    model = Model(random.Random(seed))
    model.rig.journal.begin_run("0badcafe")
    for _ in range(steps):
        await model.step()
    return model


@given(st.integers(min_value=0, max_value=2**32))
def test_every_order_ends_in_one_known_outcome_and_the_position_is_right(seed: int) -> None:
    async def scenario() -> None:
        model = await run(seed, steps=60)
        await model.quiesce()
        assert model.rig.engine.live_orders == ()  # no order is lost
        assert model.rig.portfolio.position("BTCUSDT").quantity == model.position()  # I6
        assert model.rig.journal.unsettled_intents() == []
        assert model.rig.journal.verify() is None

    asyncio.run(scenario())


@given(st.integers(min_value=0, max_value=2**32))
def test_a_run_that_dies_anywhere_is_concluded_by_the_next_one(seed: int) -> None:
    async def scenario() -> None:
        dead = await run(seed, steps=seed % 40)
        dead.rig.clock.advance(10)
        sent = [order.link_id for order in dead.venue.sent]
        heir = Rig(
            journal=dead.rig.journal, run_id="00000002", venue=dead.venue, clock=dead.rig.clock
        )
        await heir.engine.recover(deadline_s=5)
        assert [order.link_id for order in dead.venue.sent] == sent  # I2: nothing is sent again
        assert heir.journal.unsettled_intents() == []
        recorded = heir.journal.fills()
        assert {f.exec_id for f in recorded} == {f.exec_id for f in dead.executed}  # I4, I6
        assert len(recorded) == len(dead.executed)
        heir.portfolio.adopt("BTCUSDT", dead.position(), Decimal(50_000))
        for message in dead.pending:
            if isinstance(message, Fill):
                heir.engine.on_fill(replace(message))
        assert heir.portfolio.position("BTCUSDT").quantity == dead.position()

    asyncio.run(scenario())
