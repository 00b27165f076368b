"""Whatever the venue says, in whatever order and how often: the invariants of orders hold.

A model of the venue takes single orders and batches, price changes and cancels, drops, delays and
refuses them as it likes, and trades. Its acknowledgements, reports and executions then reach the
engine late, repeated and out of order, with lost answers and a crash in between. I2: one order per
intent. I4: each execution once. I5: final states absorb. I6: the local position is the sum of all
executions. I16: unknown orders count at full size, and an order at every price it may rest at.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from engine_rig import FakeVenue, Rig, fill, rejected, report, unavailable
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import in_virtual_time

from trading_system.domain.errors import OrderDenied, Outcome, VenueError
from trading_system.domain.orders import (
    BatchOutcome,
    Fill,
    OrderAck,
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    PriceChange,
    Side,
)
from trading_system.execution.tracking import TrackedStatus
from trading_system.runtime.clock import ManualClock

LOT = Decimal("0.01")
LIFE_NS = 5_000_000_000
MID = Decimal(50_000)


@dataclass
class Resting:
    """An order as it truly is at the venue."""

    intent: OrderIntent
    price: Decimal
    filled: Decimal = Decimal(0)
    status: OrderStatus = OrderStatus.NEW


@dataclass
class Late:
    """A request on its way: it takes effect within its life or never."""

    sent_ns: int
    link_id: str
    take: Callable[[], None]
    price: Decimal | None = None


class ModelVenue(FakeVenue):
    """What truly happens at the venue, and the messages that say so."""

    def __init__(self, rng: random.Random, clock: ManualClock) -> None:
        super().__init__()
        self.rng = rng
        self.clock = clock
        self.stamp_ns = 0
        self.orders: dict[str, Resting] = {}
        self.pending: list[OrderReport | Fill] = []
        self.late: list[Late] = []
        self.executed: list[Fill] = []

    def live(self) -> list[Resting]:
        return [order for order in self.orders.values() if not order.status.is_final]

    def say(self, order: Resting) -> None:
        """Put the newest state of an order on the way, and into the history."""
        self.stamp_ns += 1
        told = report(order.intent, order.status, order.filled)
        told = replace(told, price=order.price, ts_exchange_ns=self.stamp_ns)
        self.known[order.intent.link_id] = told
        self.pending.append(told)

    def take(self, intent: OrderIntent) -> None:
        assert intent.link_id not in self.orders  # I2
        assert intent.price is not None
        self.orders[intent.link_id] = Resting(intent, intent.price)
        self.say(self.orders[intent.link_id])

    def move(self, change: PriceChange) -> None:
        order = self.orders[change.link_id]
        if not order.status.is_final:
            order.price = change.price
            self.say(order)

    def end(self, link_id: str) -> None:
        order = self.orders.get(link_id)
        if order is not None and not order.status.is_final:
            order.status = OrderStatus.CANCELLED
            self.say(order)

    def trade(self) -> None:
        if not self.live():
            return
        order = self.rng.choice(self.live())
        fills = self.fills.setdefault(order.intent.link_id, [])
        one = fill(order.intent, LOT, order.price, number=len(fills))
        fills.append(one)
        self.executed.append(one)
        self.pending.append(one)
        order.filled += LOT
        is_full = order.filled == order.intent.quantity
        order.status = OrderStatus.FILLED if is_full else OrderStatus.PARTIALLY_FILLED
        self.say(order)

    def release(self) -> None:
        """Let one late request take effect, unless it has died on the way."""
        if self.late:
            request = self.late.pop(self.rng.randrange(len(self.late)))
            if self.clock.monotonic_ns() - request.sent_ns <= LIFE_NS:
                request.take()

    def meet(
        self, link_id: str, take: Callable[[], None], price: Decimal | None = None
    ) -> VenueError | None:
        """Let one request meet its fate; return what its answer says."""
        fates = ["fine", "fine", "lost answer", "lost request", "late", "late but fine", "refused"]
        fate = self.rng.choice(fates)
        if fate in {"fine", "lost answer"}:
            take()
        if fate.startswith("late"):
            self.late.append(Late(self.clock.monotonic_ns(), link_id, take, price))
        if fate == "refused":
            return self.rng.choice([rejected(110079), unavailable(Outcome.NOT_SENT)])
        return None if fate.endswith("fine") else unavailable(Outcome.UNKNOWN)

    def batch(self, items: Sequence[tuple[str, VenueError | None]]) -> list[BatchOutcome]:
        """Answer a batch, perhaps with nothing, or without its last item."""
        if self.rng.random() < 0.2:
            raise unavailable(Outcome.UNKNOWN)
        told = [BatchOutcome(link_id=link_id, error=error) for link_id, error in items]
        return told[: -self.rng.randint(0, 1) or None]

    async def submit(self, intent: OrderIntent, *, timeout_s: float) -> OrderAck:
        self.sent.append(intent)
        error = self.meet(intent.link_id, lambda: self.take(intent))
        if error is not None:
            raise error
        return OrderAck(order_id=f"v-{intent.link_id}", link_id=intent.link_id)

    async def submit_batch(
        self, intents: Sequence[OrderIntent], *, timeout_s: float
    ) -> list[BatchOutcome]:
        self.sent += intents
        if self.rng.random() < 0.1:
            raise unavailable(Outcome.NOT_SENT)
        return self.batch(
            [(i.link_id, self.meet(i.link_id, lambda i=i: self.take(i))) for i in intents]
        )

    async def amend_batch(
        self, changes: Sequence[PriceChange], *, timeout_s: float
    ) -> list[BatchOutcome]:
        self.amended += changes
        return self.batch([(change.link_id, self.amend(change)) for change in changes])

    def amend(self, change: PriceChange) -> VenueError | None:
        order = self.orders.get(change.link_id)
        if order is None or order.status.is_final:
            return rejected(110001)
        return self.meet(change.link_id, lambda: self.move(change), change.price)

    async def cancel(self, symbol: str, link_id: str, *, timeout_s: float) -> None:
        self.end(link_id)

    async def cancel_batch(
        self, orders: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> list[BatchOutcome]:
        return self.batch(
            [(link, self.meet(link, lambda k=link: self.end(k))) for _, link in orders]
        )

    async def open_orders(self) -> list[OrderReport]:
        return [self.known[order.intent.link_id] for order in self.live()]


class Model:
    """An engine at that venue, and what must hold after every step."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        clock = ManualClock()
        self.venue = ModelVenue(rng, clock)
        self.rig = Rig(rate=1_000, venue=self.venue, clock=clock)
        self.final: dict[str, TrackedStatus] = {}
        self.denied = 0

    def price(self, side: Side) -> Decimal:
        return MID - side.sign * self.rng.randint(-1, 9)

    def intent(self) -> OrderIntent:
        side = self.rng.choice(list(Side))
        return OrderIntent(
            symbol="BTCUSDT",
            side=side,
            order_type=OrderType.LIMIT,
            quantity=LOT * self.rng.randint(1, 4),
            price=self.price(side),
            link_id=self.rig.engine.next_link_id(),
        )

    async def send(self) -> None:
        try:
            await self.rig.engine.submit(self.intent(), timeout_s=1)
        except OrderDenied:
            self.denied += 1
        except VenueError:
            pass

    async def send_batch(self) -> None:
        intents = [self.intent() for _ in range(self.rng.randint(1, 4))]
        outcomes = await self.rig.engine.submit_batch(intents, timeout_s=1)
        assert [one.link_id for one in outcomes] == [intent.link_id for intent in intents]

    async def amend(self) -> None:
        """Ask for new prices of some orders, whether they may be moved or not."""
        known = self.rig.engine.live_orders
        chosen = self.rng.sample(known, min(len(known), 3))
        changes = [
            PriceChange(symbol="BTCUSDT", link_id=o.intent.link_id, price=self.price(o.intent.side))
            for o in chosen
        ]
        movable = {o.intent.link_id for o in chosen if o.is_settled_in}
        before = len(self.venue.amended)
        outcomes = await self.rig.engine.amend_batch(changes, timeout_s=1)
        assert [one.link_id for one in outcomes] == [change.link_id for change in changes]
        assert {change.link_id for change in self.venue.amended[before:]} <= movable

    async def cancel(self) -> None:
        known = self.rig.engine.live_orders
        chosen = self.rng.sample(known, min(len(known), 2))
        pairs = [("BTCUSDT", order.intent.link_id) for order in chosen]
        await self.rig.engine.cancel_batch(pairs, timeout_s=1)

    def deliver(self) -> None:
        """Let one message arrive, any of those on the way, and perhaps keep a copy on the way."""
        pending = self.venue.pending
        if not pending:
            return
        message = self.rng.choice(pending)
        if self.rng.random() < 0.7:
            pending.remove(message)
        self.hand_over(message)

    def hand_over(self, message: OrderReport | Fill) -> None:
        if isinstance(message, Fill):
            self.rig.engine.on_fill(message)
        else:
            self.rig.engine.on_report(message)

    async def step(self) -> None:
        actions: dict[str, Callable[[], object]] = {
            "trade": self.venue.trade,
            "release": self.venue.release,
            "deliver": self.deliver,
            "deliver more": self.deliver,
            "deliver even more": self.deliver,
            "end": lambda: self.venue.end(self.rng.choice([*self.venue.orders, "none"])),
            "wait": lambda: self.rig.clock.advance(1.5),
        }
        requests = {
            "send": self.send,
            "batch": self.send_batch,
            "amend": self.amend,
            "amend again": self.amend,
            "cancel": self.cancel,
            "look up": self.look_up,
            "look up silent": self.rig.engine.look_up_silent,
        }
        action = self.rng.choice([*actions, *requests])
        if action in actions:
            actions[action]()
        else:
            await requests[action]()
        self.check()

    async def look_up(self) -> None:
        for order in self.rig.engine.live_orders[:1]:
            await self.rig.engine.look_up(order)

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
        assert [one.exec_id for one in self.rig.booked] == [
            one.exec_id for one in self.rig.journal.fills()
        ]
        self.check_exposure()

    def check_exposure(self) -> None:
        """What counts equals what adds up from scratch, and covers what truly rests."""
        live = self.rig.engine.live_orders
        ledger = self.rig.engine._ledger
        assert ledger.open_quantity("BTCUSDT") == sum(o.open_quantity for o in live)
        assert ledger.open_notional == sum(o.open_quantity * (o.highest_price or 0) for o in live)
        now_ns = self.rig.clock.monotonic_ns()
        under_way = {
            one.link_id: one.price for one in self.venue.late if now_ns - one.sent_ns <= LIFE_NS
        }
        for truth in self.venue.live():
            order = self.rig.engine.order(truth.intent.link_id)
            assert order is not None
            assert not order.status.is_final
            assert order.open_quantity >= truth.intent.quantity - truth.filled
            assert order.may_rest_at(truth.price)  # I16
            asked = under_way.get(truth.intent.link_id)
            assert asked is None or order.may_rest_at(asked)

    async def quiesce(self) -> None:
        """Let every message arrive and every doubt be looked up past its life."""
        self.rig.clock.advance(10)
        self.hand_over_all()
        for seconds in (61, 0):  # a confirmed order is given up after a minute of absence
            for order in self.rig.engine.live_orders:
                await self.rig.engine.look_up(order)
            self.rig.clock.advance(seconds)
        self.check()
        for truth in self.venue.live():
            found = self.rig.engine.order(truth.intent.link_id)
            assert found is not None
            assert (found.is_settled_in, found.standing_price) == (True, truth.price)
            self.venue.end(truth.intent.link_id)
        self.hand_over_all()
        self.check()

    def hand_over_all(self) -> None:
        self.rng.shuffle(self.venue.pending)
        for message in self.venue.pending:
            self.hand_over(message)

    def position(self) -> Decimal:
        return sum((f.quantity * f.side.sign for f in self.venue.executed), Decimal(0))


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
        if seed % 8:  # what still rests costs the recovery a pause
            for order in dead.venue.live():
                dead.venue.end(order.intent.link_id)
        sent = [order.link_id for order in dead.venue.sent]
        heir = Rig(
            journal=dead.rig.journal, run_id="00000002", venue=dead.venue, clock=dead.rig.clock
        )
        await heir.engine.recover(deadline_s=600)  # most cancels get lost
        assert [order.link_id for order in dead.venue.sent] == sent  # I2: nothing is sent again
        assert dead.venue.live() == heir.booked == []
        assert heir.journal.unsettled_intents() == []
        recorded = heir.journal.fills()
        assert {f.exec_id for f in recorded} == {f.exec_id for f in dead.venue.executed}  # I4, I6
        assert len(recorded) == len(dead.venue.executed)
        heir.portfolio.adopt("BTCUSDT", dead.position(), Decimal(50_000))
        for message in dead.venue.pending:
            if isinstance(message, Fill):
                heir.engine.on_fill(replace(message))
        assert heir.portfolio.position("BTCUSDT").quantity == dead.position()

    in_virtual_time(lambda _loop: scenario())
