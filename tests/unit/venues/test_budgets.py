from __future__ import annotations

import asyncio

import pytest
from bybit_rig import FakeTransport, ok, refused, rest
from virtual_time import VirtualLoop, in_virtual_time

from trading_system.domain.errors import Outcome, VenueRateLimited
from trading_system.venues.bybit.budgets import Budget, Budgets, is_exit, operation_of

SECOND = 1_000_000_000
CREATE, CANCEL, AMEND = "/v5/order/create", "/v5/order/cancel", "/v5/order/amend"
OPENING = {"category": "linear", "symbol": "BTCUSDT"}
EXIT = {**OPENING, "reduceOnly": True}


def headers(limit: int, remaining: int) -> dict[str, str]:
    return {
        "X-Bapi-Limit": str(limit),
        "X-Bapi-Limit-Status": str(remaining),
        "X-Bapi-Limit-Reset-Timestamp": "1700000000000",
    }


async def sent_at(loop: VirtualLoop, budgets: Budgets, *asks, deadline_s: float = 60.0):
    """Return when each request was admitted, seconds; None if it was not."""

    async def one(name, body):
        try:
            await budgets.admit(name, body, deadline_s=deadline_s, is_http=False)
        except VenueRateLimited:
            return None
        return round(loop.time(), 3)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(name, body)) for name, body in asks]
    return [task.result() for task in tasks]


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        (CREATE, "order/create"),
        ("order.create-batch", "order/create-batch"),
        ("/v5/position/list", "position/list"),
    ],
)
def test_both_ways_to_the_venue_have_one_name(name, operation):
    assert operation_of(name) == operation


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("order/cancel", OPENING, True),
        ("order/cancel-all", {}, True),
        ("order/cancel-batch", {"request": [{}]}, True),
        ("position/trading-stop", {}, True),
        ("order/create", EXIT, True),
        ("order/create", OPENING, False),
        ("order/create-batch", {"request": [EXIT, EXIT]}, True),
        ("order/create-batch", {"request": [EXIT, OPENING]}, False),
        ("order/amend", EXIT, False),
        ("position/list", {}, False),
    ],
)
def test_exits_are_what_can_only_make_the_account_safer(operation, body, expected):
    assert is_exit(operation, body) is expected


def test_documented_quota_is_kept_from_the_first_second_with_room_for_exits():
    async def work(loop):
        budgets = Budgets(clock=loop)
        return await sent_at(loop, budgets, *[(CREATE, OPENING)] * 10, *[(CREATE, EXIT)] * 2)

    assert in_virtual_time(work) == [0.0] * 8 + [1.02] * 2 + [0.0] * 2


def test_stream_and_rest_share_the_quota_and_categories_do_not():
    async def work(loop):
        budgets = Budgets(clock=loop)
        both = [(CREATE, OPENING)] * 4 + [("order.create", OPENING)] * 5
        return await sent_at(loop, budgets, *both, (CREATE, {"category": "spot"}))

    assert in_virtual_time(work) == [0.0] * 8 + [1.02, 0.0]


def test_rolling_second_never_holds_more_than_the_quota():
    async def work(loop):
        budgets = Budgets(clock=loop)
        return await sent_at(loop, budgets, *[(CANCEL, OPENING)] * 45)

    times = in_virtual_time(work)
    for start in times:
        assert sum(start <= at <= start + 1.0 for at in times) <= 10


def test_those_who_wait_are_served_in_order_of_arrival():
    async def work(loop):
        budgets, order = Budgets(clock=loop), []

        async def one(number):
            await budgets.admit(CREATE, OPENING, deadline_s=60, is_http=False)
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(one(number))
        return order

    assert in_virtual_time(work) == list(range(30))


def test_batch_costs_one_permit_per_order():
    async def work(loop):
        budgets = Budgets(clock=loop)
        batch = {"category": "linear", "request": [OPENING] * 5}
        return await sent_at(loop, budgets, *[("order.create-batch", batch)] * 2)

    assert in_virtual_time(work) == [0.0, 1.02]


def test_batch_above_the_whole_quota_gets_an_empty_window():
    async def work(loop):
        budgets = Budgets(clock=loop)
        batch = {"category": "linear", "request": [OPENING] * 10}
        return await sent_at(loop, budgets, *[("order.amend-batch", batch)] * 2)

    assert in_virtual_time(work) == [0.0, 1.02]


def test_wait_beyond_the_deadline_is_refused_at_once_with_nothing_sent():
    async def work(loop):
        budgets = Budgets(clock=loop)
        times = await sent_at(loop, budgets, *[(CREATE, OPENING)] * 9, deadline_s=0.5)
        with pytest.raises(VenueRateLimited) as caught:
            await budgets.admit(CREATE, OPENING, deadline_s=0.5, is_http=False)
        return times, caught.value.outcome, loop.time(), budgets.refused

    assert in_virtual_time(work) == ([0.0] * 8 + [None], Outcome.NOT_SENT, 0.0, 2)


def test_turn_that_comes_after_the_deadline_is_refused():
    async def work(loop):
        budgets = Budgets(clock=loop)
        return await sent_at(loop, budgets, *[(CREATE, OPENING)] * 17, deadline_s=1.5)

    times = in_virtual_time(work)
    assert times == [0.0] * 8 + [1.02] * 8 + [None]


def test_number_of_those_who_wait_is_bounded_but_not_for_exits():
    async def work(loop):
        budgets = Budgets(clock=loop)
        openings = await sent_at(loop, budgets, *[(CREATE, OPENING)] * 120)
        exits = await sent_at(loop, budgets, *[(CANCEL, OPENING)] * 150)
        return openings.count(None), exits.count(None)

    assert in_virtual_time(work) == (12, 0)


def test_quota_follows_the_headers_up_and_down():
    async def work(loop):
        budgets = Budgets(clock=loop)
        budgets.follow(CANCEL, OPENING, headers(40, 39))
        more = await sent_at(loop, budgets, *[(CANCEL, OPENING)] * 40)
        budgets.follow(AMEND, OPENING, headers(10, 3))
        less = await sent_at(loop, budgets, *[(AMEND, OPENING)] * 4)
        return more.count(0.0), less

    count, less = in_virtual_time(work)
    assert count == 39
    assert less == [pytest.approx(1.02), pytest.approx(1.02), pytest.approx(1.02), 2.04]


@pytest.mark.parametrize("given", [{}, headers(0, 0), headers(10**9, 1)])
def test_headers_that_say_nothing_useful_change_nothing(given):
    async def work(loop):
        budgets = Budgets(clock=loop)
        budgets.follow(CREATE, OPENING, given)
        return await sent_at(loop, budgets, *[(CREATE, OPENING)] * 8)

    assert in_virtual_time(work) == [0.0] * 8


def test_refusal_halves_the_quota_pauses_openings_and_lets_cancels_pass():
    async def work(loop):
        budgets = Budgets(clock=loop)
        budgets.refuse(CREATE, OPENING, retry_after_s=0.5)
        asks = [(CREATE, OPENING)] * 4 + [(AMEND, OPENING), (CANCEL, OPENING)]
        return await sent_at(loop, budgets, *asks), budgets.figures()["operations"]

    times, figures = in_virtual_time(work)
    assert times == [0.5] * 4 + [0.5, 0.0]
    assert figures["order/create:linear"]["permits"] == 5
    assert figures["order/create:linear"]["refusals"] == 1


def test_refusal_keeps_exits_waiting_for_one_window_at_most():
    async def work(loop):
        budgets = Budgets(clock=loop)
        asks = [(CREATE, OPENING), (CREATE, EXIT), ("/v5/order/cancel-all", OPENING)]
        for ask in asks:
            budgets.refuse(*ask, retry_after_s=60.0)
        return await sent_at(loop, budgets, *asks)

    assert in_virtual_time(work) == pytest.approx([5.0, 1.02, 1.02])


def test_refusals_of_one_window_halve_once_and_later_ones_again():
    budget = Budget(10)
    for _ in range(5):
        budget.trip(1.0, now_ns=0)
    assert budget.permits(0) == 5
    budget.trip(1.0, now_ns=SECOND)
    assert budget.permits(SECOND) == 2
    for number in range(2, 9):
        budget.trip(1.0, now_ns=number * SECOND)
    assert budget.permits(8 * SECOND) == 1


def test_halved_quota_recovers_step_by_step():
    budget = Budget(10)
    budget.trip(1.0, now_ns=0)
    assert [budget.permits(second * SECOND) for second in (0, 2, 4, 8, 10, 100)] == [
        5,
        6,
        7,
        9,
        10,
        10,
    ]


def test_address_may_send_600_requests_in_five_seconds_with_room_for_exits():
    async def work(loop):
        budgets = Budgets(clock=loop)
        for _ in range(480):
            await budgets.admit("/v5/market/time", {}, deadline_s=0.1, is_http=True)
        with pytest.raises(VenueRateLimited):
            await budgets.admit("/v5/market/time", {}, deadline_s=0.1, is_http=True)
        for _ in range(10):
            await budgets.admit(CANCEL, OPENING, deadline_s=0.1, is_http=True)
        return budgets.figures()["operations"]["address"]["used"]

    assert in_virtual_time(work) == 490


def test_rest_waits_before_the_stamp_and_tells_the_budget_what_it_heard():
    async def work(loop):
        transport = FakeTransport().answer(CREATE, ok({}), refused(10006), ok({}))
        transport.headers = headers(10, 9)
        budgets = Budgets(clock=loop)
        client = rest(transport, clock=loop, budgets=budgets)
        await client.post(CREATE, OPENING, timeout_s=5, priority=2)
        with pytest.raises(VenueRateLimited):
            await client.post(CREATE, OPENING, timeout_s=5, priority=2)
        await client.post(CREATE, OPENING, timeout_s=8, priority=2)
        stamps = [int(sent.headers["X-BAPI-TIMESTAMP"]) for sent in transport.sent]
        return stamps, transport.sent[-1].timeout_s, client.failures

    stamps, timeout_s, failures = in_virtual_time(work)
    assert stamps == [0, 0, 5000]
    assert (timeout_s, failures) == (pytest.approx(3.0), 1)
