"""The market maker asks for no more than it may, the most urgent first; nothing is forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal

import pytest
from quoting_venue import FakeQuotingVenue, VirtualTime

from agents import MarketMaker
from agents.market_maker.budget import Budget, Kind
from agents.market_maker.plan import Move, Plan, Step
from agents.market_maker.quoting import Quote
from agents.market_maker.rations import Rations
from trading_system.config.sections import MarketMakerSettings, RiskSettings
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side
from trading_system.runtime.clock import ManualClock

D = Decimal
LIMITS = {"create": 5, "amend": 10, "cancel": 10}


def budget(clock: ManualClock, *, orders: int = 5, amends: int = 10, venue: int = 10) -> Budget:
    limits = RiskSettings(max_orders_per_second=orders, max_amends_per_second=amends)
    return Budget(limits, venue_rate=venue, clock=clock)


def spend(parts: Budget, kind: Kind, count: int) -> None:
    with parts.spending(kind, count):
        pass


def moves(*tiers: int, forced: int | None = None) -> tuple[Move, ...]:
    return tuple(
        Move(f"{side.name}{tier}", side, 100, tier, tier == forced)
        for tier in tiers
        for side in Side
    )


def names(step: Step) -> list[str]:
    return [move.link_id for move in step.amends]


# --- the budget ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orders", "venue", "most", "emergency"),
    [(5, 10, 4, 5), (100, 10, 9, 10), (1, 10, 1, 1), (5, 1, 1, 1)],
)
def test_one_request_a_second_is_left_to_others_unless_there_is_but_one(
    orders, venue, most, emergency
):
    parts = budget(ManualClock(), orders=orders, venue=venue)
    assert parts.most(Kind.CREATE) == parts.free(Kind.CREATE) == most
    assert parts.free(Kind.CREATE, is_emergency=True) == emergency


def test_request_counts_until_a_second_after_its_answer():
    clock = ManualClock()
    parts = budget(clock)
    with parts.spending(Kind.CREATE, 4):
        clock.advance(5.0)
        assert parts.free(Kind.CREATE) == 0
        assert parts.wait_s(Kind.CREATE, 1) == 1.0
    assert parts.wait_s(Kind.CREATE, 1) == pytest.approx(1.0)
    clock.advance(0.999)
    assert parts.free(Kind.CREATE) == 0
    assert parts.wait_s(Kind.CREATE, 4) == pytest.approx(0.001)
    clock.advance(0.001)
    assert parts.free(Kind.CREATE) == 4


def test_request_that_fails_counts_too():
    clock = ManualClock()
    parts = budget(clock)
    with pytest.raises(TimeoutError), parts.spending(Kind.AMEND, 9):
        raise TimeoutError
    assert parts.free(Kind.AMEND) == 0
    assert parts.free(Kind.CANCEL) == 9  # each kind for itself


def test_more_than_ever_fits_waits_for_what_does():
    clock = ManualClock()
    parts = budget(clock)
    spend(parts, Kind.AMEND, 4)
    clock.advance(0.5)
    spend(parts, Kind.AMEND, 5)
    assert parts.wait_s(Kind.AMEND, 3) == pytest.approx(0.5)
    assert parts.wait_s(Kind.AMEND, 30) == pytest.approx(1.0)
    clock.advance(1.0)
    assert parts.wait_s(Kind.AMEND, 30) == 0.0


# --- what goes first -------------------------------------------------------------------------


def test_nearest_tiers_of_both_sides_and_all_symbols_go_first():
    clock = ManualClock()
    rations = Rations(budget(clock, amends=6), clock=clock)
    parts = rations.cut({"A": Step(amends=moves(2, 1, 0)), "B": Step(amends=moves(0, 1, 2))})
    assert sorted(names(parts["A"])) == ["BUY0", "BUY1", "SELL0"]
    assert sorted(names(parts["B"])) == ["BUY0", "SELL0"]
    assert rations.waits == rations.owed == 7
    assert not rations.is_complete("A")


def test_forced_move_comes_before_nearer_tiers():
    clock = ManualClock()
    rations = Rations(budget(clock, amends=3), clock=clock)
    parts = rations.cut({"A": Step(amends=moves(0, 1, 2, forced=2))})
    assert names(parts["A"]) == ["BUY2", "SELL2"]


def test_forced_move_that_does_not_fit_becomes_a_cancellation():
    clock = ManualClock()
    held = budget(clock)
    spend(held, Kind.AMEND, 9)
    rations = Rations(held, clock=clock)
    steps = {"A": Step(("X",), moves(0, forced=0)), "B": Step(amends=moves(1, forced=1))}
    parts = rations.cut(steps)
    assert parts["A"] == Step(("X", "BUY0", "SELL0"))
    assert parts["B"] == Step(("BUY1", "SELL1"))
    spend(held, Kind.CANCEL, 9)
    assert not any(rations.cut(steps).values())


def test_cancellations_of_a_pull_come_first_and_may_use_the_whole_quota():
    clock = ManualClock()
    rations = Rations(budget(clock), clock=clock)
    ordinary = tuple(f"o{n}" for n in range(6))
    pulled = tuple(f"p{n}" for n in range(10))
    steps = {"A": Step(ordinary), "B": Step(pulled)}
    parts = rations.cut(steps, pulled={"B"})
    assert parts == {"A": Step(), "B": Step(pulled)}


def test_what_waited_long_goes_before_nearer_tiers_of_today():
    clock = ManualClock()
    parts = budget(clock, amends=3)
    rations = Rations(parts, clock=clock)
    plans = {"A": Plan(Step(amends=moves(0, 2)))}
    served = []
    for _ in range(4):
        rations.begin(plans)
        step = rations.cut({"A": plans["A"].first})["A"]
        spend(parts, Kind.AMEND, len(step.amends))
        served.append(names(step))
        clock.advance(1.0)
    assert served[0] == ["BUY0", "SELL0"]
    assert ["BUY2", "SELL2"] in served


def test_place_that_needs_nothing_any_more_is_not_owed_and_loses_its_age():
    clock = ManualClock()
    parts = budget(clock)
    spend(parts, Kind.AMEND, 9)
    rations = Rations(parts, clock=clock)
    rations.cut({"A": Step(amends=moves(0))})
    rations.cut({"B": Step(amends=moves(0))})
    assert (rations.owed, rations.waits) == (4, 4)
    rations.begin({"A": Plan()})
    assert (rations.owed, rations.is_complete("A")) == (2, True)
    rations.begin({"A": Plan(Step(amends=moves(0)))})
    rations.cut({"A": Step(amends=moves(0))})
    assert (rations.owed, rations.waits) == (4, 6)


def test_what_is_owed_is_due_when_all_of_it_fits():
    clock = ManualClock()
    parts = budget(clock)
    rations = Rations(parts, clock=clock)
    assert rations.wait_s() is None
    creates = tuple(Quote(side, tier, 100, 1) for tier in range(3) for side in Side)
    step = rations.cut({"A": Step(creates=creates), "B": Step()})["A"]
    assert [quote.tier for quote in step.creates] == [0, 0, 1, 1]
    spend(parts, Kind.CREATE, 4)
    assert rations.due() == frozenset()
    assert rations.wait_s() == pytest.approx(1.0)
    clock.advance(1.0)
    assert rations.due() == {"A"}


# --- the maker with its defaults -------------------------------------------------------------


class Meter:
    """Notes when how much of what was asked for."""

    def __init__(self, venue: FakeQuotingVenue) -> None:
        self.venue = venue
        self.seen: dict[str, list[tuple[int, int]]] = {kind: [] for kind in LIMITS}

    def look(self) -> None:
        now_ns = self.venue.clock.monotonic_ns()
        for kind, size in self.venue.calls[sum(map(len, self.seen.values())) :]:
            self.seen[kind].append((now_ns, size))

    def most_in_a_second(self, kind: str) -> int:
        entries = self.seen[kind]
        return max(
            (sum(n for at, n in entries if end - 1e9 < at <= end) for end, _ in entries), default=0
        )


def market(
    time: VirtualTime, *, latency_s: float = 0.0, **settings: float
) -> tuple[FakeQuotingVenue, MarketMaker, Meter]:
    venue = FakeQuotingVenue("BTCUSDT", "ETHUSDT", clock=time.clock)
    meter = Meter(venue)

    async def latency() -> None:
        meter.look()
        await time.sleep(latency_s)

    venue.latency = latency
    chosen = MarketMakerSettings(**({"atr_multiple": 0.25} | settings))
    symbols = tuple(venue.instruments)
    mm = MarketMaker(venue, symbols=symbols, settings=chosen, clock=time.clock, pause=time.sleep)
    return venue, mm, meter


async def live(
    time: VirtualTime, mm: MarketMaker, change: Callable[[int], None], *, tenths: int
) -> None:
    async def change_all() -> None:
        for tenth in range(tenths):
            await time.sleep(0.1)
            change(tenth)
        await mm.wind_down()

    async def session() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(mm.run())
            group.create_task(change_all())

    await time.until_done(session(), limit_s=tenths * 0.2 + 20.0)


@pytest.mark.parametrize("latency_s", [0.001, 0.05, 0.4])
async def test_no_second_sees_more_requests_than_allowed_however_wild_the_market(latency_s):
    time = VirtualTime()
    venue, mm, meter = market(time, latency_s=latency_s)
    source = random.Random(5)
    mids = dict.fromkeys(venue.instruments, 60_000)

    def change(tenth: int) -> None:
        for symbol in mids:
            mids[symbol] += source.randint(-60, 60)
            venue.move(symbol, D(mids[symbol]))
            if tenth % 7 == 0:
                for order in venue.side(source.choice(list(Side)), symbol)[:2]:
                    venue.fill(order.link_id)
            venue.books[symbol].is_trusted = tenth % 90 < 85
            mm.on_book_change(symbol)

    await live(time, mm, change, tenths=300)
    for kind, limit in LIMITS.items():
        assert meter.most_in_a_second(kind) <= limit
        assert meter.seen[kind]
    assert meter.most_in_a_second("create") <= 4
    assert meter.most_in_a_second("amend") <= 9
    assert venue.orders == {}
    assert venue.crossed == 0
    stats = mm.collect_performance_stats()
    assert stats["requests"]["rate_waits"] > 0
    assert stats["errors"]["denied"] == 0


async def test_ladder_is_built_by_follow_ups_without_a_further_cycle():
    time = VirtualTime()
    venue, mm, _ = market(time, latency_s=0.01, update_interval=30.0)
    full_after = []

    def change(tenth: int) -> None:
        venue.refresh()
        if len(venue.orders) == 12:
            full_after.append(tenth)

    await live(time, mm, change, tenths=60)
    assert full_after[0] <= 25  # 4 + 4 + 4
    stats = mm.collect_performance_stats()
    assert stats["cycle_times"]["count"] == 1
    assert stats["requests"]["rate_waits"] == 8  # places, not tries
    assert stats["requests"]["owed"] == 0


async def test_every_tier_of_every_symbol_follows_a_market_that_never_stops():
    time = VirtualTime()
    venue, mm, _ = market(time, latency_s=0.01)
    changed: dict[str, int] = {}
    longest = 0
    last: dict[str, D] = {}

    def change(tenth: int) -> None:
        nonlocal longest
        for symbol in venue.instruments:
            venue.move(symbol, D(60_000 + 4 * tenth))  # 7 bps a second
            mm.on_book_change(symbol)
        for link_id, order in venue.orders.items():
            if last.get(link_id) != order.price:
                last[link_id], changed[link_id] = order.price, tenth
            longest = max(longest, tenth - changed[link_id])

    await live(time, mm, change, tenths=300)
    assert len(changed) >= 12
    assert longest <= 50  # tenths of a second, also for the outermost tier


async def test_stale_books_pull_all_within_the_quota_the_nearest_first():
    time = VirtualTime()
    venue, mm, meter = market(time, latency_s=0.01)
    left: dict[int, list[int]] = {}

    def change(tenth: int) -> None:
        if tenth < 40:
            venue.refresh()
        left[tenth] = [
            len(venue.side(side, symbol)) for symbol in venue.instruments for side in Side
        ]

    await live(time, mm, change, tenths=85)
    assert left[40] == [3, 3, 3, 3]
    assert sum(left[62]) == 2  # ten at once
    assert max(left[62]) == 1
    assert sum(left[74]) == 0
    assert meter.most_in_a_second("cancel") == 10


async def test_pull_of_twelve_quotes_keeps_to_the_venues_quota():
    time = VirtualTime()
    venue, mm, meter = market(time)
    for _ in range(3):
        await time.until_done(mm.cycle())
        time.clock.advance(1.0)
        venue.refresh()
    assert len(venue.orders) == 12
    assert await time.until_done(mm.pull("test")) is not False
    assert venue.orders == {}
    assert [n for _, n in meter.seen["cancel"]] == [5, 5, 2]
    assert meter.most_in_a_second("cancel") == 10


def test_rate_of_the_venue_must_be_positive():
    with pytest.raises(ValidationError, match="rate"):
        MarketMaker(FakeQuotingVenue(), symbols=["BTCUSDT"], venue_rate=0)
