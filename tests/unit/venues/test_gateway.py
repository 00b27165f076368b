import asyncio
from decimal import Decimal

import pytest
from bybit_rig import FakeTransport, gateway, listing, ok, refused, rest
from bybit_rows import FLAT, POSITION
from virtual_time import in_virtual_time

from trading_system.domain.errors import (
    Outcome,
    ValidationError,
    VenueAuthError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.orders import OrderIntent, OrderType, PriceChange, Side
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.budgets import Budgets
from trading_system.venues.bybit.gateway import BybitGateway, private_topics
from trading_system.venues.bybit.order_ways import Way
from trading_system.venues.bybit.refusals import no_key, not_sent, unknown
from trading_system.venues.bybit.wire import Answer

CREATE, CANCEL = "/v5/order/create", "/v5/order/cancel"
STOP = "/v5/position/trading-stop"
CHANGE = PriceChange(symbol="A", link_id="lk-1", price=Decimal("1E+1"))
CREATED = {"orderId": "o-1", "orderLinkId": "lk-1"}


def intent(link_id="lk-1", **changes):
    settings = {"symbol": "ABCUSDT", "side": Side.BUY, "order_type": OrderType.LIMIT}
    settings |= {"quantity": Decimal(5), "price": Decimal("9.90")} | changes
    return OrderIntent(link_id=link_id, **settings)


class FakeChannel:
    def __init__(self, *answers, clock=None, takes_s=0.0):
        self.is_up = True
        self.answers = list(answers)
        self.sent = []
        self.clock = clock
        self.takes_s = takes_s

    async def request(self, operation, body, *, timeout_s):
        self.sent.append((operation, body))
        if self.clock is not None:
            self.clock.advance(self.takes_s)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def accepted(result=b'{"orderId":"o-1"}', extra=b"{}"):
    return Answer(result=result, extra=extra)


async def test_an_order_goes_by_the_stream_while_it_is_up():
    channel, transport = FakeChannel(accepted()), FakeTransport()
    client = gateway(transport, trade=channel)
    ack = await client.submit(intent(), timeout_s=2)
    assert (ack.order_id, ack.link_id) == ("o-1", "lk-1")
    assert channel.sent[0][0] == "order.create"
    assert (transport.sent, client.sent_by_stream, client.sent_by_rest) == ([], 1, 0)


async def test_an_order_goes_by_rest_while_the_stream_is_down():
    channel, transport = FakeChannel(), FakeTransport().answer(CREATE, ok(CREATED))
    channel.is_up = False
    client = gateway(transport, trade=channel)
    await client.submit(intent(), timeout_s=2)
    assert (len(transport.sent), channel.sent) == (1, [])
    assert (client.sent_by_stream, client.sent_by_rest) == (0, 1)


async def test_what_the_stream_did_not_send_goes_by_rest_within_the_same_deadline():
    clock = ManualClock()
    channel = FakeChannel(not_sent("down", operation="x"), clock=clock, takes_s=0.5)
    transport = FakeTransport().answer(CREATE, ok(CREATED))
    client = gateway(transport, trade=channel, clock=clock)
    await client.submit(intent(), timeout_s=2)
    assert transport.sent[0].timeout_s == pytest.approx(1.5)


@pytest.mark.parametrize(
    "failure",
    [
        unknown("lost", operation="x"),
        VenueRejected("no", venue="b", operation="x", outcome=Outcome.REJECTED, code=110007),
        VenueRateLimited("full", venue="b", operation="x", outcome=Outcome.REJECTED, code=10006),
        no_key("x"),
    ],
)
async def test_nothing_else_is_sent_a_second_time(failure):
    transport = FakeTransport()
    client = gateway(transport, trade=FakeChannel(failure))
    with pytest.raises(type(failure)):
        await client.submit(intent(), timeout_s=2)
    assert transport.sent == []


@pytest.mark.parametrize(
    ("call", "path", "priority"),
    [
        (lambda c: c.submit(intent(), timeout_s=1), CREATE, 2),
        (lambda c: c.submit(intent(reduce_only=True), timeout_s=1), CREATE, 1),
        (lambda c: c.amend("A", "lk-1", price=Decimal(1), timeout_s=1), "/v5/order/amend", 2),
        (lambda c: c.cancel("A", "lk-1", timeout_s=1), CANCEL, 1),
        (lambda c: c.protect("A", Decimal(1), timeout_s=1), STOP, 1),
        (lambda c: c.cancel_batch([("A", "x")], timeout_s=1), "/v5/order/cancel-batch", 1),
        (lambda c: c.submit_batch([intent()], timeout_s=1), "/v5/order/create-batch", 2),
        (lambda c: c.amend_batch([CHANGE], timeout_s=1), "/v5/order/amend-batch", 2),
        (
            lambda c: c.submit_batch([intent(reduce_only=True)], timeout_s=1),
            "/v5/order/create-batch",
            1,
        ),
        (
            lambda c: c.set_leverage("A", Decimal(3), timeout_s=1),
            "/v5/position/set-leverage",
            2,
        ),
    ],
)
async def test_what_shrinks_risk_goes_first(call, path, priority):
    transport = FakeTransport().answer(path, ok(CREATED))
    await call(gateway(transport))
    assert [(sent.path, sent.priority) for sent in transport.sent] == [(path, priority)]


@pytest.mark.parametrize("answer", [ok([]), (502, "<html>"), "", refused(10016)])
async def test_an_unusable_acknowledgement_is_unknown_and_not_repeated(answer):
    transport = FakeTransport().answer(CREATE, answer)
    with pytest.raises(VenueUnavailable) as caught:
        await gateway(transport).submit(intent(), timeout_s=2)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert len(transport.sent) == 1


@pytest.mark.parametrize("time", [ok({"timeNano": "1700000009000000000"}), (502, ""), ok({})])
async def test_a_stale_stamp_was_not_accepted_and_sets_the_clock_for_the_next(time):
    transport = FakeTransport().answer(CREATE, refused(10002), ok(CREATED))
    transport.answer("/v5/market/time", time)
    client = gateway(transport)
    with pytest.raises(VenueAuthError) as caught:
        await client.submit(intent(), timeout_s=2)
    assert (caught.value.outcome, caught.value.code) == (Outcome.REJECTED, 10002)
    assert [sent.path for sent in transport.sent].count(CREATE) == 1
    await client.submit(intent(), timeout_s=2)
    stamp = int(transport.sent[-1].headers["X-BAPI-TIMESTAMP"])
    assert stamp == 1_700_000_000_000 + client.rest.offset_ns // 1_000_000


def test_a_stale_stamp_is_told_within_the_deadline_of_its_request():
    class Slow(FakeTransport):
        async def request(self, request, *, priority, timeout_s):
            if "time" in request.url:
                await asyncio.sleep(timeout_s)
                raise unknown("no answer", operation="time")
            return await super().request(request, priority=priority, timeout_s=timeout_s)

    async def work(loop):
        client = gateway(Slow().answer(CREATE, refused(10002)), clock=loop)
        with pytest.raises(VenueAuthError):
            await client.submit(intent(reduce_only=True), timeout_s=0.5)
        return loop.time(), client.rest.venue_clock.is_in_doubt

    assert in_virtual_time(work) == (0.5, True)


async def test_a_cancel_of_an_order_that_does_not_exist_keeps_its_code():
    transport = FakeTransport().answer(CANCEL, refused(110001))
    with pytest.raises(VenueRejected) as caught:
        await gateway(transport).cancel("A", "lk-1", timeout_s=1)
    assert caught.value.code == 110001


async def test_an_amendment_carries_only_what_changes():
    transport = FakeTransport().answer("/v5/order/amend", ok(CREATED))
    client = gateway(transport)
    await client.amend("A", "lk-1", quantity=Decimal("1E+1"), timeout_s=1)
    assert transport.sent[0].body == {
        "category": "linear",
        "symbol": "A",
        "orderLinkId": "lk-1",
        "qty": "10",
    }
    with pytest.raises(ValidationError):
        await client.amend("A", "lk-1", timeout_s=1)


async def test_cancelling_all_leaves_position_stops_alone():
    transport = FakeTransport().answer("/v5/order/cancel-all", ok({"list": []}))
    await gateway(transport, trade=FakeChannel()).cancel_all("A", timeout_s=1)
    assert [sent.body for sent in transport.sent] == [
        {"category": "linear", "symbol": "A", "orderFilter": "Order"},
        {
            "category": "linear",
            "symbol": "A",
            "orderFilter": "StopOrder",
            "stopOrderType": "Stop",
        },
    ]
    assert {sent.priority for sent in transport.sent} == {1}


async def test_the_whole_account_can_be_cancelled_at_once():
    transport = FakeTransport().answer("/v5/order/cancel-all", ok({"list": []}))
    await gateway(transport).cancel_all(None, timeout_s=1)
    assert [sent.body.get("settleCoin") for sent in transport.sent] == ["USDT", "USDT"]
    assert all("symbol" not in sent.body for sent in transport.sent)


async def test_conditional_orders_are_cancelled_even_if_the_first_request_failed():
    transport = FakeTransport().answer("/v5/order/cancel-all", refused(10016), ok({}))
    with pytest.raises(VenueUnavailable):
        await gateway(transport).cancel_all("A", timeout_s=1)
    assert len(transport.sent) == 2


@pytest.mark.parametrize(("price", "text"), [(Decimal("9.50"), "9.50"), (None, "0")])
async def test_a_stop_for_the_whole_position_rests_on_the_mark_price(price, text):
    transport = FakeTransport().answer(STOP, ok({}))
    await gateway(transport).protect("ABCUSDT", price, timeout_s=1)
    assert transport.sent[0].body == {
        "category": "linear",
        "symbol": "ABCUSDT",
        "tpslMode": "Full",
        "positionIdx": 0,
        "stopLoss": text,
        "slTriggerBy": "MarkPrice",
    }


async def test_a_stop_that_is_there_already_is_success():
    transport = FakeTransport().answer(STOP, refused(34040, "not modified"))
    await gateway(transport).protect("ABCUSDT", Decimal(1), timeout_s=1)


async def test_the_removal_of_a_stop_from_a_flat_position_is_success():
    transport = FakeTransport().answer(STOP, refused(10001, "zero position"))
    transport.answer("/v5/position/list", listing(FLAT))
    await gateway(transport).protect("ABCUSDT", None, timeout_s=1)


@pytest.mark.parametrize("price", [None, Decimal(1)])
async def test_a_refused_stop_of_an_open_position_is_told(price):
    transport = FakeTransport().answer(STOP, refused(10001, "bad"))
    transport.answer("/v5/position/list", listing(POSITION))
    with pytest.raises(VenueRejected):
        await gateway(transport).protect("ABCUSDT", price, timeout_s=1)


@pytest.mark.parametrize("code", [0, 110043])
async def test_leverage_that_is_set_already_is_success(code):
    transport = FakeTransport().answer("/v5/position/set-leverage", refused(code))
    await gateway(transport).set_leverage("A", Decimal("2.50"), timeout_s=1)
    assert transport.sent[0].body["buyLeverage"] == transport.sent[0].body["sellLeverage"] == "2.50"


async def test_a_batch_is_cut_into_tens_and_each_order_ends_for_itself():
    def answer(first, count):
        rows = ",".join(f'{{"orderId":"o-{first + n}"}}' for n in range(count))
        codes = ",".join(f'{{"code":{110001 if first + n == 11 else 0}}}' for n in range(count))
        return accepted(f'{{"list":[{rows}]}}'.encode(), f'{{"list":[{codes}]}}'.encode())

    channel = FakeChannel(answer(0, 10), answer(10, 2))
    client = gateway(FakeTransport(), trade=channel)
    items = await client.cancel_batch([("A", f"x-{n}") for n in range(12)], timeout_s=1)
    assert [len(body["request"]) for _, body in channel.sent] == [10, 2]
    assert channel.sent[0][1]["request"][0] == {"symbol": "A", "orderLinkId": "x-0"}
    assert [item.link_id for item in items if item.error is None] == [f"x-{n}" for n in range(11)]
    assert (items[11].error.code, items[11].order_id) == (110001, "o-11")


@pytest.mark.parametrize(
    "answer",
    [
        accepted(b'{"list":[]}', b'{"list":[]}'),
        accepted(b"[]"),
        accepted(b'{"list":[{"orderId":"1"}]}', b"{}"),
        unknown("lost", operation="x"),
    ],
)
async def test_a_batch_whose_answer_cannot_be_read_is_unknown_as_a_whole(answer):
    client = gateway(FakeTransport(), trade=FakeChannel(answer))
    items = await client.submit_batch([intent()], timeout_s=1)
    assert [item.error.outcome for item in items] == [Outcome.UNKNOWN]


async def test_a_batch_of_amendments_carries_new_prices_only():
    answer = accepted(b'{"list":[{"orderId":"o-1"}]}', b'{"list":[{"code":0}]}')
    channel = FakeChannel(answer)
    (outcome,) = await gateway(FakeTransport(), trade=channel).amend_batch([CHANGE], timeout_s=1)
    row = {"symbol": "A", "orderLinkId": "lk-1", "price": "10"}
    assert channel.sent == [("order.amend-batch", {"category": "linear", "request": [row]})]
    assert (outcome.link_id, outcome.order_id, outcome.error) == ("lk-1", "o-1", None)


@pytest.mark.parametrize(
    ("code", "text", "is_done"),
    [
        (10001, "order not modified: no value differs", True),
        (10001, "The order remains unchanged as the parameters match", True),
        (10001, "params error: price", False),
        (110001, "order not exists or too late to cancel", False),
    ],
)
async def test_an_amendment_that_changes_nothing_is_done(code, text, is_done):
    extra = f'{{"list":[{{"code":{code},"msg":"{text}"}}]}}'.encode()
    client = gateway(
        FakeTransport().answer("/v5/order/amend", refused(code, text)),
        trade=FakeChannel(accepted(b'{"list":[{"orderId":""}]}', extra)),
    )
    (outcome,) = await client.amend_batch([CHANGE], timeout_s=1)
    assert (outcome.error is None) is is_done
    client = gateway(FakeTransport().answer("/v5/order/amend", refused(code, text)))
    if is_done:
        assert (await client.amend("A", "lk-1", price=Decimal(1), timeout_s=1)).order_id == ""
    else:
        with pytest.raises(VenueRejected):
            await client.amend("A", "lk-1", price=Decimal(1), timeout_s=1)


async def test_an_empty_batch_sends_nothing():
    assert await gateway(FakeTransport()).submit_batch([], timeout_s=1) == []


async def test_a_refused_log_in_on_the_stream_is_not_hidden_by_rest():
    transport = FakeTransport().answer(CREATE, ok(CREATED))
    with pytest.raises(VenueAuthError):
        await gateway(transport, trade=FakeChannel(no_key("x"))).submit(intent(), timeout_s=1)
    assert transport.sent == []


def test_the_system_lives_on_four_private_topics():
    assert set(private_topics()) == {"order", "execution", "position", "wallet"}


async def test_a_slower_stream_loses_to_rest_and_the_choice_is_shown():
    clock = ManualClock()
    channel = FakeChannel(*[accepted()] * 20, clock=clock, takes_s=0.1)
    transport = FakeTransport().answer(CREATE, ok(CREATED)).answer(STOP, ok({}))
    client = gateway(transport, trade=channel, clock=clock)
    for _ in range(9):  # REST answers in 3.5 ms
        await client.protect("A", Decimal(1), timeout_s=1)
    for _ in range(7):
        await client.submit(intent(), timeout_s=1)
    await client.submit(intent(), timeout_s=1)
    view = client.order_ways
    assert (view.preferred.value, view.changes) == ("rest", 1)
    assert (view.stream.sent, view.rest.sent) == (7, 1)
    assert (view.stream.median_ms, view.rest.median_ms) == (100.0, 3.5)
    assert "slower" not in view.reason
    assert "100 ms" in view.reason


async def test_a_failing_stream_loses_to_rest_without_a_second_copy():
    clock = ManualClock()
    lost = unknown("lost", operation="x")
    channel = FakeChannel(lost, lost, accepted(), clock=clock)
    transport = FakeTransport().answer(CREATE, ok(CREATED))
    client = gateway(transport, trade=channel, clock=clock)
    for _ in range(2):
        with pytest.raises(VenueUnavailable):
            await client.submit(intent(), timeout_s=1)
    assert transport.sent == []  # what may have arrived is not sent again
    await client.submit(intent(), timeout_s=1)
    assert (len(channel.sent), len(transport.sent)) == (2, 1)
    clock.advance(16)
    await client.submit(intent(), timeout_s=1)
    assert len(channel.sent) == 3


async def test_the_own_quota_is_no_fault_of_the_stream_and_the_other_way_has_no_more_of_it():
    spent = VenueRateLimited("used up", venue="x", operation="x", outcome=Outcome.NOT_SENT)
    channel, transport = FakeChannel(spent, spent, accepted()), FakeTransport()
    client = gateway(transport, trade=channel)
    for _ in range(2):
        with pytest.raises(VenueRateLimited):
            await client.submit(intent(), timeout_s=1)
    await client.cancel("ABCUSDT", "lk-1", timeout_s=1)
    assert (client.order_ways.preferred, client.order_ways.stream.failures) == (Way.STREAM, 0)
    assert (len(channel.sent), transport.sent) == (3, [])


async def test_an_item_of_a_batch_that_was_over_the_quota_halves_it():
    clock = ManualClock()
    budgets = Budgets(clock=clock)
    answer = ok({"list": [{}, CREATED]}, extra={"list": [{"code": 10006}, {"code": 0}]})
    transport = FakeTransport().answer("/v5/order/create-batch", answer)
    client = BybitGateway(rest(transport, clock=clock, budgets=budgets), clock=clock)
    outcomes = await client.submit_batch([intent("lk-0"), intent()], timeout_s=1)
    assert [outcome.error is None for outcome in outcomes] == [False, True]
    figures = budgets.figures()["operations"]["order/create-batch:linear"]
    assert (figures["refusals"], figures["permits"]) == (1, 5)


async def test_answers_of_both_ways_are_told_apart_in_the_figures():
    channel = FakeChannel(not_sent("full", operation="x"), accepted())
    transport = FakeTransport().answer(CREATE, refused(10016))
    client = gateway(transport, trade=channel)
    with pytest.raises(VenueUnavailable):
        await client.submit(intent(), timeout_s=1)
    view = client.order_ways
    assert (view.stream.sent, view.stream.failures) == (0, 1)
    assert (view.rest.sent, view.rest.failures) == (1, 1)


async def test_a_new_order_without_an_id_is_unknown_and_an_unchanged_one_is_done():
    transport = FakeTransport().answer(CREATE, ok({}))
    with pytest.raises(VenueUnavailable):
        await gateway(transport).submit(intent(), timeout_s=1)
    answer = refused(10001, "order not modified")
    transport = FakeTransport().answer("/v5/order/amend", answer).answer(CREATE, answer)
    ack = await gateway(transport).amend("A", "lk-1", trigger_price=Decimal(9), timeout_s=1)
    assert (ack.order_id, ack.link_id) == ("", "lk-1")
    assert transport.sent[0].body["triggerPrice"] == "9"
    with pytest.raises(VenueRejected):
        await gateway(transport).submit(intent(), timeout_s=1)
