"""Quotes keep every rule for any market, and plans lead to them whatever fails on the way."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from decimal import Decimal

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from quoting_venue import instrument

from agents.market_maker.budget import Budget, Kind
from agents.market_maker.plan import Move, Plan, Step, plan
from agents.market_maker.quoting import Quote, Quoter, QuoteSet, Scale, Silence
from agents.market_maker.rations import Rations
from trading_system.config.sections import MarketMakerSettings, RiskSettings
from trading_system.domain.orders import RestingOrder, Side
from trading_system.domain.ports import QuoteView
from trading_system.runtime.clock import ManualClock

D = Decimal
LOT = D("0.001")
TICK = D("0.1")

rules = st.builds(
    MarketMakerSettings,
    quoting=st.sampled_from(["atr", "avellaneda-stoikov"]),
    tiers=st.integers(1, 5),
    tier_spacing_bps=st.floats(0.1, 20),
    atr_multiple=st.floats(0.01, 5),
    min_edge_bps=st.floats(0, 10),
    max_half_spread_bps=st.floats(0.1, 200),
    inventory_skew=st.floats(0, 5),
    risk_aversion=st.floats(0.001, 1000),
    requote_bps=st.floats(0.1, 5),
    quote_notional=st.integers(50, 3000).map(D),
    max_inventory_notional=st.integers(100, 9000).map(D),
)
fees = st.floats(-0.0005, 0.002)
books = st.tuples(st.integers(5_000, 2_000_000), st.integers(1, 300))
positions = st.integers(-300, 300)
ranges = st.one_of(st.floats(0, 50), st.floats(0, 5_000))
scales = st.builds(Scale, ranges, st.one_of(st.floats(0, 0.001), st.floats(0, 0.01)))


def seen(book: tuple[int, int], position: int, *, age_s: float = 0.0) -> QuoteView:
    bid, ask = TICK * book[0], TICK * (book[0] + book[1])
    mid = float(bid + ask) / 2
    return QuoteView(
        symbol="BTCUSDT",
        bid=bid,
        ask=ask,
        mid=mid,
        microprice=mid,
        age_s=age_s,
        position=LOT * position,
    )


def width_is_enough(bid: int, ask: int, least_bps: float) -> bool:
    return bid < ask and (ask - bid) / ((ask + bid) / 2) >= least_bps * 1e-4 - 1e-9


@given(rules=rules, fee=fees, book=books, position=positions, scale=scales)
def test_quotes_keep_floor_touch_grid_size_and_inventory(rules, fee, book, position, scale):
    quoter = Quoter(instrument(), rules, maker_fee=fee)
    quotes = quoter.quotes(seen(book, position), scale)
    bid_touch, ask_touch = book[0], book[0] + book[1]
    floor_bps = 2e4 * fee + rules.min_edge_bps
    for bid, ask in itertools.product(quotes.bids, quotes.asks):
        assert width_is_enough(bid.ticks, ask.ticks, floor_bps)
    assert all(quote.ticks < ask_touch for quote in quotes.bids)
    assert all(quote.ticks > bid_touch for quote in quotes.asks)
    for side in (quotes.bids, quotes.asks):
        ticks = [quote.ticks for quote in side]
        assert len(set(ticks)) == len(ticks) <= rules.tiers
        assert [quote.tier for quote in side] == list(range(len(side)))
        assert ticks == sorted(ticks, reverse=side is quotes.bids)
        reach = sum(quote.lots for quote in side)
        if side:
            held = position if side is quotes.bids else -position
            assert held + reach <= quotes.limit_lots
    mid = (book[0] + book[1] / 2) / 10
    assert quotes.limit_lots * 0.001 * mid <= float(rules.max_inventory_notional) * (1 + 1e-9)
    for quote in quotes.bids + quotes.asks:
        assert quote.lots >= 1
        assert quote.ticks * quote.lots * 0.0001 >= 5 - 1e-9
        assert quote.lots * 0.001 * mid <= float(rules.quote_notional) * (1 + 1e-9)


@given(rules=rules, book=books, position=st.integers(0, 300), scale=scales)
def test_buying_and_selling_are_mirror_images_of_the_inventory(rules, book, position, scale):
    quoter = Quoter(instrument(), rules, maker_fee=0.0002)
    long = quoter.quotes(seen(book, position), scale)
    short = quoter.quotes(seen(book, -position), scale)
    assume(long.silence is None)
    assert (len(long.bids), len(long.asks)) == (len(short.asks), len(short.bids))
    if position > 0 and long.asks and short.asks:
        assert long.asks[0].ticks <= short.asks[0].ticks + 1
    if position > 0 and long.bids and short.bids:
        assert long.bids[0].ticks <= short.bids[0].ticks + 1


@given(
    rules=rules,
    book=books,
    scale=scales,
    flaw=st.sampled_from(["stale", "crossed", "age", "atr", "position", "none"]),
)
def test_nothing_is_quoted_on_a_flawed_basis(rules, book, scale, flaw):
    quoter = Quoter(instrument(), rules, maker_fee=0.0002)
    view = seen(book, 0)
    if flaw == "stale":
        view = replace(view, age_s=rules.pull_after_s + 0.001)
    elif flaw == "crossed":
        view = replace(view, bid=view.ask)
    elif flaw == "age":
        view = replace(view, age_s=math.nan)
    elif flaw == "atr":
        scale = Scale(math.nan, 0.001)
    elif flaw == "position":
        view = replace(view, position=D("nan"))
    quotes = quoter.quotes(None if flaw == "none" else view, scale)
    assert quotes.bids == quotes.asks == ()
    assert quotes.silence is not None


def resting(side: Side, ticks: int, lots: int, *, number: int, settled: bool) -> RestingOrder:
    return RestingOrder(
        link_id=f"{side.name}{number}",
        symbol="BTCUSDT",
        side=side,
        price=TICK * ticks,
        open_quantity=LOT * lots,
        is_settled_in=settled,
    )


@st.composite
def situations(draw, *, unsettled: bool):
    rules_ = draw(rules)
    fee = draw(fees)
    quoter = Quoter(instrument(), rules_, maker_fee=fee)
    book, scale = draw(books), draw(scales)
    target = quoter.quotes(seen(book, draw(positions)), scale)
    lots = max((q.lots for q in target.bids + target.asks), default=10)
    middle = book[0] + draw(st.integers(-200, 200))
    bids = draw(st.lists(st.integers(1, 400), max_size=6))
    # Own orders that already stand correctly apart, somewhere else.
    lowest = quoter.lowest_ask(max((middle - b for b in bids), default=middle))
    asks = [lowest + a for a in draw(st.lists(st.integers(0, 400), max_size=6))]
    sizes = st.one_of(st.just(lots), st.integers(1, 2 * lots))
    settled = st.booleans() if unsettled else st.just(True)
    orders = [
        resting(side, ticks, draw(sizes), number=number, settled=draw(settled))
        for side, prices in ((Side.BUY, [middle - b for b in bids]), (Side.SELL, asks))
        for number, ticks in enumerate(prices)
    ]
    return quoter, target, orders


def apply(orders: list[RestingOrder], step: Step, *, fails=frozenset()) -> list[RestingOrder]:
    moves = {move.link_id: move.ticks for move in step.amends if move.link_id not in fails}
    staying = [o for o in orders if o.link_id not in set(step.cancels) - set(fails)]
    moved = [
        replace(o, price=TICK * moves[o.link_id]) if o.link_id in moves else o for o in staying
    ]
    new = [
        resting(q.side, q.ticks, q.lots, number=100 + q.tier, settled=True)
        for q in step.creates
        if f"{q.side.name}{100 + q.tier}" not in fails
    ]
    return moved + new


def own_touch(orders: list[RestingOrder]) -> tuple[int | None, int | None]:
    bids = [int(o.price / TICK) for o in orders if o.side is Side.BUY]
    asks = [int(o.price / TICK) for o in orders if o.side is Side.SELL]
    return max(bids, default=None), min(asks, default=None)


def assert_apart(orders: list[RestingOrder], quoter: Quoter) -> None:
    bid, ask = own_touch(orders)
    if bid is not None and ask is not None:
        assert bid < ask
        assert width_is_enough(bid, ask, quoter.least_width_bps)


def finished(orders: list[RestingOrder], target: QuoteSet, quoter: Quoter) -> list[RestingOrder]:
    # A size that does not fit may wait for its room until a cancellation is confirmed.
    for round_ in range(4):
        changes = plan(target, orders, quoter)
        if not changes:
            return orders
        orders = apply(apply(orders, changes.first), changes.second)
        orders = [replace(o, link_id=f"{round_}-{n}") for n, o in enumerate(orders)]
    raise AssertionError("no end")


@given(situation=situations(unsettled=False))
@settings(max_examples=300)
def test_applied_plans_give_the_desired_quotes_and_then_nothing_to_do(situation):
    quoter, target, orders = situation
    result = finished(orders, target, quoter)
    assert_apart(result, quoter)
    tolerance = quoter.settings.requote_bps * 1e-4 * target.mid_ticks
    for side, quotes in ((Side.BUY, target.bids), (Side.SELL, target.asks)):
        held = sorted((int(o.price / TICK) for o in result if o.side is side), key=lambda t: -t)
        wanted = sorted((q.ticks for q in quotes), key=lambda t: -t)
        if target.silence is None and len(held) < len(wanted):
            # Only a partly filled or oversized order that is kept may take another one's room.
            lots = sum(int(o.open_quantity / LOT) for o in result if o.side is side)
            room = target.limit_lots - side.sign * target.position_lots
            assert lots + quotes[0].lots > room
            continue
        assert len(held) == len(wanted)
        pairs = zip(held, wanted, range(1, 1 + len(wanted)), strict=True)
        if side is Side.SELL:
            pairs = zip(held[::-1], wanted[::-1], range(1, 1 + len(wanted)), strict=True)
        assert all(abs(a - b) <= tolerance * place for a, b, place in pairs)


@given(situation=situations(unsettled=True), data=st.data())
@settings(max_examples=300)
def test_own_orders_never_meet_whatever_part_of_a_step_fails(situation, data):
    quoter, target, orders = situation
    changes = plan(target, orders, quoter)
    names = [m.link_id for m in changes.first.amends] + list(changes.first.cancels)
    names += [f"{q.side.name}{100 + q.tier}" for q in changes.first.creates]
    fails = data.draw(st.sets(st.sampled_from(names)) if names else st.just(set()))
    between = apply(orders, changes.first, fails=fails)
    assert_apart(between, quoter)
    clean = apply(orders, changes.first)
    later = [m.link_id for m in changes.second.amends]
    fails = data.draw(st.sets(st.sampled_from(later)) if later else st.just(set()))
    assert_apart(apply(clean, changes.second, fails=fails), quoter)


@given(situation=situations(unsettled=True))
def test_orders_of_unknown_fate_are_left_alone_and_hold_their_place(situation):
    quoter, target, orders = situation
    changes = plan(target, orders, quoter)
    untouchable = {o.link_id for o in orders if not o.is_settled_in}
    for step in (changes.first, changes.second):
        assert not untouchable & set(step.cancels)
        assert not untouchable & {move.link_id for move in step.amends}
    assert changes.pending == len(untouchable)
    result = apply(apply(orders, changes.first), changes.second)
    for side, quotes in ((Side.BUY, target.bids), (Side.SELL, target.asks)):
        held = sum(o.side is side for o in result)
        unsettled = sum(o.side is side and not o.is_settled_in for o in orders)
        assert held <= max(len(quotes), unsettled)


@given(situation=situations(unsettled=True))
def test_new_orders_keep_the_inventory_inside_even_if_no_cancel_succeeds(situation):
    quoter, target, orders = situation
    changes = plan(target, orders, quoter)
    for side in Side:
        new = [q for s in (changes.first, changes.second) for q in s.creates if q.side is side]
        there = sum(math.ceil(o.open_quantity / LOT) for o in orders if o.side is side)
        if new:
            reach = target.position_lots * side.sign + there + sum(q.lots for q in new)
            assert reach <= target.limit_lots


@given(situation=situations(unsettled=False), silence=st.sampled_from(Silence))
def test_silence_cancels_everything_that_can_be_cancelled(situation, silence):
    quoter, _, orders = situation
    changes = plan(QuoteSet(silence=silence), orders, quoter)
    assert set(changes.first.cancels) == {o.link_id for o in orders}
    assert changes == Plan(first=Step(cancels=changes.first.cancels))


ways = st.tuples(st.floats(0, 1.2), st.floats(0, 0.9), st.floats(0, 0.9), st.integers(1, 12))


@given(requests=st.lists(ways, min_size=5, max_size=60), limit=st.integers(1, 12))
def test_no_second_sees_more_arrivals_than_allowed_whatever_the_way_takes(requests, limit):
    clock = ManualClock()
    budget = Budget(RiskSettings(max_amends_per_second=limit), venue_rate=10, clock=clock)
    arrivals: list[int] = []
    for idle_s, there_s, back_s, wanted in requests:
        clock.advance(idle_s)
        count = min(wanted, budget.free(Kind.AMEND))
        with budget.spending(Kind.AMEND, count):
            clock.advance(there_s)
            arrivals += [clock.monotonic_ns()] * count
            clock.advance(back_s)
    most = max(1, min(limit, 10) - 1)
    for last in arrivals:
        assert sum(last - 10**9 < at <= last for at in arrivals) <= most
    clock.advance(budget.wait_s(Kind.AMEND, most) + 1e-9)
    assert budget.free(Kind.AMEND) == most


@given(situations=st.lists(situations(unsettled=True), min_size=1, max_size=3), data=st.data())
def test_what_goes_out_is_a_part_of_the_step_that_fits_and_keeps_own_orders_apart(situations, data):
    clock = ManualClock()
    rates = RiskSettings(
        max_orders_per_second=data.draw(st.integers(1, 6)),
        max_amends_per_second=data.draw(st.integers(1, 10)),
    )
    budget = Budget(rates, venue_rate=data.draw(st.integers(1, 10)), clock=clock)
    rations = Rations(budget, clock=clock)
    names = [f"S{n}" for n in range(len(situations))]
    plans = {
        name: plan(target, orders, quoter)
        for name, (quoter, target, orders) in zip(names, situations, strict=True)
    }
    rations.begin(plans)
    steps = {name: changes.first for name, changes in plans.items()}
    parts = rations.cut(steps)
    for kind, of in (
        (Kind.CANCEL, "cancels"),
        (Kind.AMEND, "amends"),
        (Kind.CREATE, "creates"),
    ):
        assert sum(len(getattr(part, of)) for part in parts.values()) <= budget.free(kind)
    for name, (quoter, _, orders) in zip(names, situations, strict=True):
        part, step = parts[name], steps[name]
        forced = {move.link_id for move in step.amends if move.is_forced}
        assert set(part.amends) <= set(step.amends)
        assert set(part.creates) <= set(step.creates)
        assert set(part.cancels) <= set(step.cancels) | forced
        assert not set(part.cancels) & {move.link_id for move in part.amends}
        assert_apart(apply(orders, part), quoter)
        assert rations.is_complete(name) == (part == step)


@given(amends=st.integers(1, 10), symbols=st.integers(1, 4), tiers=st.integers(1, 5))
def test_no_place_starves_while_all_of_them_want_to_move_all_the_time(amends, symbols, tiers):
    clock = ManualClock()
    budget = Budget(RiskSettings(max_amends_per_second=amends), venue_rate=10, clock=clock)
    rations = Rations(budget, clock=clock)
    moves = tuple(Move(f"{side}{tier}", side, 100, tier) for tier in range(tiers) for side in Side)
    creates = tuple(Quote(Side.BUY, tier, 100, 1) for tier in range(tiers))
    plans = {f"S{n}": Plan(Step(amends=moves, creates=creates)) for n in range(symbols)}
    places = symbols * tiers * 2
    longest = math.ceil(places / budget.most(Kind.AMEND)) + tiers + 1
    served = dict.fromkeys(((name, move.link_id) for name in plans for move in moves), 0)
    for second in range(1, 4 * longest):
        rations.begin(plans)
        parts = rations.cut({name: changes.first for name, changes in plans.items()})
        count = sum(len(part.amends) for part in parts.values())
        with budget.spending(Kind.AMEND, count):
            served |= {(n, m.link_id): second for n, part in parts.items() for m in part.amends}
        assert max(second - last for last in served.values()) <= longest
        clock.advance(1.0)
