import asyncio

import pytest
from bybit_rig import FAST, StreamVenue, alive, becomes_true, jitter, signer

from trading_system.domain.errors import (
    Outcome,
    ValidationError,
    VenueAuthError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.runtime.clock import ManualClock, SystemClock
from trading_system.venues.bybit.trade_stream import BybitTradeStream
from trading_system.venues.link_state import LinkState

BODY = {"category": "linear", "symbol": "ABCUSDT", "orderLinkId": "x"}


def trade(url, **options):
    settings = {"signer": signer(), "clock": SystemClock(), "jitter": jitter(), "timing": FAST}
    return BybitTradeStream(url, **settings | options)


class Room:
    """A venue and a client that is logged in."""

    def __init__(self, **options):
        self.venue = StreamVenue()
        self.options = options

    async def __aenter__(self):
        self._running = self.venue.running()
        self.client = trade(await self._running.__aenter__(), **self.options)
        self._alive = alive(self.client)
        await self._alive.__aenter__()
        await becomes_true(lambda: self.client.is_up)
        return self

    async def __aexit__(self, *exc):
        try:
            await self._alive.__aexit__(*exc)
        finally:
            await self._running.__aexit__(*exc)

    async def create(self, timeout_s=5.0):
        return await self.client.request("order.create", BODY, timeout_s=timeout_s)


async def test_an_accepted_request_returns_its_answer():
    async with Room() as room:
        answer = await room.create()
        assert room.client.in_flight == 0
    assert b'"o-1"' in bytes(answer.result)
    asked = room.venue.orders()[0]
    assert (asked["op"], asked["args"]) == ("order.create", [BODY])
    assert room.client.state is LinkState.CLOSED


async def test_requests_carry_the_venues_time_the_window_and_ids_of_their_own():
    async with Room(clock=ManualClock(), offset_ns=lambda: 2_000_000_000) as room:
        await room.create()
        await room.create()
    first, second = room.venue.orders()
    assert first["header"] == {
        "X-BAPI-TIMESTAMP": "1700000002000",
        "X-BAPI-RECV-WINDOW": "5000",
    }
    assert first["reqId"] != second["reqId"]
    assert len(first["reqId"]) <= 36


async def test_answers_find_their_request_in_any_order():
    held = []

    async def hold(socket, asked):
        held.append((socket, asked))
        if len(held) == 3:
            for socket, asked in reversed(held):
                symbol = asked["args"][0]["symbol"]
                reply = {"reqId": asked["reqId"], "retCode": 0, "data": {"symbol": symbol}}
                await socket.send_json(reply | {"op": asked["op"]})

    async with Room() as room:
        room.venue.on_request = hold
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    room.client.request("order.create", {"symbol": name}, timeout_s=5)
                )
                for name in "ABC"
            ]
    assert [bytes(task.result().result) for task in tasks] == [
        f'{{"symbol": "{name}"}}'.encode() for name in "ABC"
    ]


@pytest.mark.parametrize(
    ("code", "kind", "outcome"),
    [
        (110007, VenueRejected, Outcome.REJECTED),
        (110072, VenueRejected, Outcome.REJECTED),
        (10002, VenueAuthError, Outcome.REJECTED),
        (10429, VenueUnavailable, Outcome.UNKNOWN),
        (10016, VenueUnavailable, Outcome.UNKNOWN),
    ],
)
async def test_a_refusal_is_as_typed_as_by_rest(code, kind, outcome):
    async with Room() as room:
        room.venue.on_order = lambda _asked: {"retCode": code, "retMsg": "no", "data": {}}
        with pytest.raises(kind) as caught:
            await room.create()
    assert (caught.value.outcome, caught.value.code) == (outcome, code)


async def test_a_full_quota_is_noted_and_says_when_to_come_back():
    header = {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "0",
        "X-Bapi-Limit-Reset-Timestamp": "1700000000300",
    }
    async with Room(clock=ManualClock()) as room:
        room.venue.on_order = lambda _asked: {"retCode": 10006, "header": header}
        with pytest.raises(VenueRateLimited) as caught:
            await room.create()
    assert caught.value.retry_after_s == pytest.approx(0.3)
    assert room.client.quotas["order.create"].remaining == 0


async def test_no_answer_in_time_is_unknown_and_nothing_is_sent_again():
    async with Room() as room:
        room.venue.ignores_orders = True
        with pytest.raises(VenueUnavailable) as caught:
            await room.create(timeout_s=0.05)
        room.venue.ignores_orders = False
        await room.create()
    assert caught.value.outcome is Outcome.UNKNOWN
    assert len(room.venue.orders()) == 2


async def test_an_answer_after_the_deadline_is_counted_and_dropped():
    async with Room() as room:
        room.venue.ignores_orders = True
        with pytest.raises(VenueUnavailable):
            await room.create(timeout_s=0.05)
        late = room.venue.orders()[0]["reqId"]
        await room.venue.sockets[0].send_json({"reqId": late, "op": "order.create", "retCode": 0})
        await becomes_true(lambda: room.client.unmatched == 1)


async def test_a_second_answer_to_one_request_changes_nothing():
    async def twice(socket, asked):
        for _ in range(2):
            await socket.send_json({"reqId": asked["reqId"], "op": asked["op"], "retCode": 0})

    async with Room() as room:
        room.venue.on_request = twice
        await room.create()
        await room.create()
    assert len(room.venue.orders()) == 2


async def test_a_connection_lost_after_the_write_is_unknown_and_never_sent_again():
    async def cut(socket, asked):
        await socket.close()

    async with Room() as room:
        room.venue.on_request = cut
        with pytest.raises(VenueUnavailable) as caught:
            await room.create()
        await becomes_true(lambda: room.client.connects == 2 and room.client.is_up)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert len(room.venue.orders()) == 1
    assert room.client.reason is not None


async def test_without_a_connection_nothing_is_sent():
    client = trade("ws://127.0.0.1:9/ws")
    with pytest.raises(VenueUnavailable) as caught:
        await client.request("order.create", BODY, timeout_s=1)
    assert caught.value.outcome is Outcome.NOT_SENT
    assert (client.is_up, client.requests) == (False, 0)


async def test_a_socket_that_closes_as_the_request_comes_was_not_written_to():
    async with Room() as room:
        await room.client._link._socket.close()
        with pytest.raises(VenueUnavailable) as caught:
            await room.create()
    assert caught.value.outcome is Outcome.NOT_SENT
    assert room.venue.orders() == []


async def test_the_end_of_the_stream_ends_what_waits_as_unknown():
    room = Room()
    async with asyncio.TaskGroup() as group, room:
        room.venue.ignores_orders = True
        waiting = group.create_task(_outcome(room))
        await becomes_true(room.venue.orders)
    assert waiting.result() is Outcome.UNKNOWN


async def _outcome(room):
    with pytest.raises(VenueUnavailable) as caught:
        await room.create()
    return caught.value.outcome


async def test_a_venue_that_restarts_its_stream_gets_a_new_connection():
    async with Room() as room:
        room.venue.on_order = lambda _asked: {"retCode": 10019, "retMsg": "restarting"}
        with pytest.raises(VenueUnavailable) as caught:
            await room.create()
        await becomes_true(lambda: room.client.connects == 2)
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_refused_key_ends_the_stream():
    venue = StreamVenue()
    venue.accepts_key = False
    async with venue.running() as url:
        with pytest.raises(VenueAuthError):
            async with asyncio.timeout(10):
                await trade(url).run()


@pytest.mark.parametrize(("code", "connections"), [(20001, 1), (10016, 2)])
async def test_a_log_in_that_was_done_already_is_done_and_a_failed_one_is_tried_again(
    code, connections
):
    venue = StreamVenue()
    codes = [code]

    async def answer(socket, asked):
        await socket.send_json({"op": "auth", "retCode": codes.pop(0) if codes else 0})

    venue.on_auth = answer
    async with venue.running() as url:
        client = trade(url)
        async with alive(client):
            await becomes_true(lambda: client.is_up)
    assert client.connects == connections


async def test_a_second_answer_to_a_log_in_is_nothing_new():
    async with Room() as room:
        await room.venue.sockets[0].send_json({"op": "auth", "retCode": 0})
        await room.venue.sockets[0].send_json({"op": "auth", "retCode": 10004})
        await room.create()
        assert room.client.connects == 1


async def test_late_log_ins_ask_for_the_venues_time_and_are_tried_again():
    venue = StreamVenue()
    doubts = []

    async def answer(socket, asked):
        # The clock fits after the third; then a connection is cut, and they come late again.
        is_late = venue.connections not in {4, 8}
        words = "Params Error: expires is in the past" if is_late else ""
        await socket.send_json({"op": "auth", "retCode": 10004 * is_late, "retMsg": words})

    venue.on_auth = answer
    async with venue.running() as url:
        client = trade(url, on_late=lambda: doubts.append(venue.connections))
        async with alive(client):
            await becomes_true(lambda: client.is_up and venue.connections == 4)
            await venue.sockets[-1].close()
            await becomes_true(lambda: client.is_up and venue.connections == 8)
    assert doubts == [1, 2, 3, 5, 6, 7]


async def test_log_ins_that_always_come_late_end_the_stream():
    venue = StreamVenue()

    async def answer(socket, asked):
        await socket.send_json({"op": "auth", "retCode": 10004, "retMsg": "expires is past"})

    venue.on_auth = answer
    async with venue.running() as url:
        with pytest.raises(VenueAuthError, match="the clocks differ"):
            async with asyncio.timeout(10):
                await trade(url).run()
    assert venue.connections == 4


@pytest.mark.parametrize(
    "odd",
    [
        {"header": None},
        {"header": []},
        {"header": {"X-Bapi-Limit": 10, "X-Bapi-Limit-Status": None}},
        {"retMsg": None},
        {"retMsg": 0},
    ],
)
async def test_odd_optional_fields_of_an_answer_cost_no_connection(odd):
    async with Room() as room:
        reply = {"retCode": 0, "retMsg": "OK", "data": {"orderId": "o-1"}} | odd
        room.venue.on_order = lambda _asked: reply
        await room.venue.sockets[0].send_json({"op": None, "reqId": None, **odd})
        answer = await room.create()
        assert (room.client.connects, room.client.unmatched) == (1, 1)
    assert b'"o-1"' in bytes(answer.result)


@pytest.mark.parametrize("frame", ["nonsense", "[]", '{"retCode":"0"}', "[" * 5000])
async def test_a_frame_that_cannot_be_read_drops_the_connection(frame):
    async with Room() as room:
        await room.venue.sockets[0].send_str(frame)
        await becomes_true(lambda: room.client.connects == 2)
    assert "trade stream" in room.client.reason


async def test_a_batch_beyond_its_bound_is_refused_before_anything_is_sent():
    async with Room() as room:
        with pytest.raises(ValidationError):
            await room.client.request("order.create-batch", {"request": [{}] * 11}, timeout_s=1)
    assert room.venue.orders() == []


async def test_requests_in_flight_are_bounded():
    async with Room(max_in_flight=0) as room:
        with pytest.raises(VenueUnavailable) as caught:
            await room.create()
    assert caught.value.outcome is Outcome.NOT_SENT


async def test_the_time_until_a_request_was_sent_is_told():
    heard = []
    async with Room(on_sent=heard.append) as room:
        await room.create()
    assert len(heard) == 1
    assert heard[0] >= 0
