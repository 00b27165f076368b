"""Every fault of the server, seen by a client over loopback."""

import asyncio
import contextlib
import re
from pathlib import Path

import aiohttp
import pytest
from server_rig import PLAIN, auth, serving, until

from trading_system.domain.orders import Side
from trading_system.simulation.faults.names import WIRE_FAULTS, Fault
from trading_system.simulation.faults.rules import FaultRule, Stage

CREATE = "/v5/order/create"
BOOK = "orderbook.50.ABCUSDT"
ORDER = {**PLAIN, "side": "Buy", "orderType": "Limit", "qty": "5", "price": "9.90"}
CODES = (Fault.CODE_10002, Fault.CODE_10006, Fault.CODE_10016)


@pytest.fixture
async def client():
    async with serving(ack_delay_ms=0.5, pump_interval_ms=1) as client:
        client.armed = set()
        yield client
        assert client.armed <= set(client.server.faults.counts())


def arm(client, fault, **fields):
    client.armed.add(fault)
    return client.server.faults.arm([FaultRule(fault=fault, **fields)])


def resting(client):
    return sorted(order.link_id for order in client.exchange.open_orders(1))


async def resent(client, **fields):
    # A client of its own: a cut keep-alive connection must not be repaired by the library.
    with contextlib.suppress(aiohttp.ClientError):
        return await client.create(price="9.90", **fields)
    return None


# REST.


@pytest.mark.parametrize(
    ("fault", "accepted"), [(Fault.DROP_BEFORE_ACCEPT, []), (Fault.DROP_AFTER_ACCEPT, ["x-1"])]
)
async def test_lost_request_or_answer_shows_as_a_broken_connection(client, fault, accepted):
    arm(client, fault, path=CREATE, link_id="x-1", delay_ms=5)
    assert (await client.create(price="9.90", orderLinkId="other"))["retCode"] == 0
    assert await resent(client, orderLinkId="x-1") is None
    assert resting(client) == ["other", *accepted]
    again = await client.create(price="9.90", orderLinkId="x-1")
    assert again["retCode"] == (110072 if accepted else 0)


@pytest.mark.parametrize("stage", list(Stage))
async def test_delay_holds_the_request_or_its_answer(client, stage):
    arm(client, Fault.DELAY, path=CREATE, delay_ms=30, stage=stage)
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(client.create(price="9.90", orderLinkId="x"))
        while not client.server.faults.counts():
            await asyncio.sleep(0.001)
        assert resting(client) == (["x"] if stage is Stage.REPLY else [])
    assert asked.result()["retCode"] == 0
    assert resting(client) == ["x"]


@pytest.mark.parametrize("code", [int(fault.removeprefix("code-")) for fault in CODES])
@pytest.mark.parametrize("stage", list(Stage))
async def test_code_replaces_the_answer_of_a_request_that_acted_or_not(client, code, stage):
    arm(client, Fault(f"code-{code}"), path=CREATE, stage=stage)
    answer = await client.create(price="9.90", orderLinkId="x")
    assert (answer["retCode"], answer["result"], client.last_status) == (code, {}, 200)
    assert resting(client) == (["x"] if stage is Stage.REPLY else [])
    if code == 10006:
        assert int(client.last_headers["X-Bapi-Limit-Reset-Timestamp"]) > client.now_ms()
        assert client.last_headers["X-Bapi-Limit-Status"] == "0"


@pytest.mark.parametrize(
    ("fault", "fields", "status", "body"),
    [
        (Fault.HTTP_403, {}, 403, "<html>"),
        (Fault.HTTP_5XX, {}, 503, ""),
        (Fault.HTTP_5XX, {"status": 500, "stage": Stage.REPLY}, 500, ""),
        (Fault.HTML_PAGE, {}, 502, "<html>"),
        (Fault.HTML_PAGE, {"status": 200}, 200, "<html>"),
    ],
)
async def test_host_in_front_of_the_venue_answers_something_else(
    client, fault, fields, status, body
):
    arm(client, fault, path="/v5/market/*", **fields)
    async with client.http.get(client.server.rest_url + "/v5/market/time") as reply:
        assert (reply.status, (await reply.text())[: len(body) or 1]) == (status, body)
    assert (await client.get("/v5/market/time"))["retCode"] == 0


async def test_order_is_accepted_and_then_rejected(client):
    arm(client, Fault.REJECT_AFTER_ACCEPT, path=CREATE, link_id="x", reason="EC_Others")
    async with client.private("order") as ws:
        answer = await client.create(price="9.90", orderLinkId="x")
        row = (await until(ws, "order"))["data"][0]
        while row["orderStatus"] == "New":
            row = (await until(ws, "order"))["data"][0]
    assert answer["retCode"] == 0
    assert (row["orderStatus"], row["rejectReason"]) == ("Rejected", "EC_Others")
    assert (await client.create(price="9.90", orderLinkId="y"))["retCode"] == 0
    assert resting(client) == ["y"]


async def test_refused_order_leaves_no_rejection_for_the_next(client):
    arm(client, Fault.REJECT_AFTER_ACCEPT, path=CREATE)
    assert (await client.create(price="-1"))["retCode"] != 0
    await client.create(price="9.90", orderLinkId="y")
    assert resting(client) == ["y"]


async def test_history_lags_while_the_fault_holds(client):
    created = await client.create(price="9.90")
    await client.post("/v5/order/cancel", {**PLAIN, "orderId": created["result"]["orderId"]})
    arm(client, Fault.HISTORY_LAG, delay_ms=60_000)
    client.server.pump()
    lagging = await client.get("/v5/order/history", "category=linear")
    client.server.faults.clear()
    client.server.pump()
    listed = await client.get("/v5/order/history", "category=linear")
    assert [len(each["result"]["list"]) for each in (lagging, listed)] == [0, 1]


async def test_skewed_clock_is_told_and_stamps_are_checked_against_it(client):
    arm(client, Fault.CLOCK_SKEW, skew_ms=-2_000)
    told = await client.get("/v5/market/time")
    assert -2_100 < told["time"] - client.now_ms() <= -1_900
    assert (await client.create(price="9.90"))["retCode"] == 10002
    answer = await client.post(CREATE, ORDER, shift_ms=-2_000)
    order = client.exchange.open_orders(1)[0]
    assert (answer["retCode"], abs(order.created_ms - client.now_ms()) < 500) == (0, True)


# Trade WebSocket.


async def trade(ws, client, operation="order.create", **fields):
    header = {"X-BAPI-TIMESTAMP": str(client.now_ms())}
    body = {**ORDER, **fields}
    request = {"op": operation, "header": header, "args": [body]}
    await ws.send_json({**request, "reqId": fields["orderLinkId"]})


async def replies(client, fault, count, *, names=("a", "b"), **fields):
    async with client.stream("/v5/trade") as ws:
        await ws.send_json(auth(client.now_ms()))
        await ws.receive_json(timeout=5)
        arm(client, fault, path="/v5/trade/order.create", link_id="a", **fields)
        for name in names:
            await trade(ws, client, orderLinkId=name)
        return [
            (reply["reqId"], reply["retCode"])
            for reply in [await ws.receive_json(timeout=5) for _ in range(count)]
        ]


TRADE = [
    (Fault.DROP_BEFORE_ACCEPT, {}, [("b", 0)], ["b"]),
    (Fault.DROP_AFTER_ACCEPT, {}, [("b", 0)], ["a", "b"]),
    (Fault.DELAY, {"delay_ms": 20}, [("b", 0), ("a", 0)], ["a", "b"]),
    (Fault.DELAY, {"delay_ms": 20, "stage": Stage.REQUEST}, [("b", 0), ("a", 0)], ["a", "b"]),
    (Fault.DUPLICATE, {}, [("a", 0), ("a", 0), ("b", 0)], ["a", "b"]),
    (Fault.REORDER, {}, [("b", 0), ("a", 0)], ["a", "b"]),
    (Fault.CODE_10016, {}, [("a", 10016), ("b", 0)], ["b"]),
    (Fault.CODE_10006, {"stage": Stage.REPLY}, [("a", 10006), ("b", 0)], ["a", "b"]),
    (Fault.REJECT_AFTER_ACCEPT, {}, [("a", 0), ("b", 0)], ["b"]),
]


@pytest.mark.parametrize(
    ("fault", "fields", "answers", "accepted"), TRADE, ids=[str(case[0]) for case in TRADE]
)
async def test_trade_stream_has_the_same_faults(client, fault, fields, answers, accepted):
    assert await replies(client, fault, len(answers), **fields) == answers
    assert resting(client) == accepted


async def test_held_reply_comes_when_no_other_follows(client):
    answers = await replies(client, Fault.REORDER, 1, names=("a",), delay_ms=5)
    assert answers == [("a", 0)]


# Streams.


async def follow(client, ws, *topics):
    await ws.send_json({"op": "subscribe", "args": list(topics)})
    assert (await ws.receive_json(timeout=5))["success"]
    return await until(ws, topics[-1])


async def touch(client, lots):
    # The book's next push is due when its interval is over.
    client.market.house(Side.BUY, 999, lots, client.now_ms())
    await asyncio.sleep(0.022)
    client.server.pump()


async def updates(client, fault, count, **fields):
    """Return the ``u`` of what follows a snapshot, three changes made."""
    async with client.stream("/v5/public/linear") as ws:
        first = (await follow(client, ws, BOOK))["data"]["u"]
        arm(client, fault, topic="orderbook.50.*", **fields)
        for lots in (1, 2, 3):
            await touch(client, lots)
        return [(await until(ws, BOOK))["data"]["u"] - first for _ in range(count)]


@pytest.mark.parametrize(
    ("fault", "fields", "steps"),
    [
        (Fault.GAP, {}, [2, 3]),
        (Fault.GAP, {"after": 1}, [1, 3]),
        (Fault.DUPLICATE, {}, [1, 1, 2, 3]),
        (Fault.REORDER, {"delay_ms": 1000}, [2, 1, 3]),
        (Fault.REORDER, {"delay_ms": 1}, [1, 2, 3]),
        (Fault.DELAY, {"delay_ms": 40}, [1, 2, 3]),
        (Fault.STALL, {"duration_s": 0.005}, [2, 3]),
    ],
)
async def test_public_pushes_are_lost_repeated_reordered_late(client, fault, fields, steps):
    assert await updates(client, fault, len(steps), **fields) == steps


async def test_private_message_is_sent_twice_or_out_of_order(client):
    async with client.private("order") as ws:
        arm(client, Fault.DUPLICATE, topic="order")
        await client.create(price="9.90", orderLinkId="a")
        first, second = [await until(ws, "order") for _ in range(2)]
        arm(client, Fault.REORDER, topic="order", delay_ms=1000)
        for name in ("b", "c"):
            await client.create(price="9.90", orderLinkId=name)
        names = [(await until(ws, "order"))["data"][0]["orderLinkId"] for _ in range(2)]
    assert first == second
    assert names == ["c", "b"]


async def test_stalled_connection_still_answers_and_another_one_is_whole(client):
    async with client.stream("/v5/public/linear") as ws:
        await follow(client, ws, BOOK)
        arm(client, Fault.STALL, path="/v5/public/linear")
        client.server.pump()
        await touch(client, 4)
        await ws.send_json({"op": "ping", "req_id": "7"})
        assert (await ws.receive_json(timeout=5))["ret_msg"] == "pong"
        async with client.stream("/v5/public/linear") as other:
            assert (await follow(client, other, BOOK))["type"] == "snapshot"
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.02)


@pytest.mark.parametrize("fields", [{"topic": "orderbook.*"}, {"path": "/v5/public/*"}])
async def test_half_open_connection_neither_answers_nor_ends(client, fields):
    async with client.http.ws_connect(
        client.server.ws_url + "/v5/public/linear", timeout=aiohttp.ClientWSTimeout(ws_close=0.01)
    ) as ws:
        await follow(client, ws, BOOK)
        arm(client, Fault.HALF_OPEN, **fields)
        client.server.pump()
        await touch(client, 4)
        await ws.ping()
        await ws.send_json({"op": "ping"})
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.03)


async def test_frame_is_cut_in_the_middle_and_the_connection_reset(client):
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(
        b"GET /v5/public/linear HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    arm(client, Fault.CUT_MID_FRAME, topic=BOOK)
    text = b'{"op":"subscribe","args":["orderbook.50.ABCUSDT"]}'
    writer.write(bytes((0x81, 0x80 | len(text))) + bytes(4) + text)
    await reader.readuntil(b'"op":"subscribe"}')
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while byte := await reader.read(1):
            received += byte
    assert isinstance(reader.exception(), ConnectionResetError)
    writer.close()
    size = int.from_bytes(received[2:4], "big")
    assert received[:2] == bytes((0x81, 126))
    assert received[4:].startswith(b'{"topic":"orderbook.50.ABCUSDT","type":"snapshot"')
    assert len(received) == 4 + size // 2


async def test_cut_strikes_an_open_connection_at_once(client):
    async with client.private("order") as ws:
        arm(client, Fault.CUT_MID_FRAME, path="/v5/private")
        client.server.pump()
        assert (await ws.receive(timeout=5)).type in {
            aiohttp.WSMsgType.ERROR,
            aiohttp.WSMsgType.CLOSED,
        }


async def test_restart_closes_everything_and_books_begin_with_one(client):
    async with client.stream("/v5/public/linear") as ws:
        assert (await follow(client, ws, BOOK))["data"]["u"] > 1
        arm(client, Fault.RESTART)
        client.server.pump()
        assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSED
    assert (await client.get("/v5/market/time"))["retCode"] == 0
    async with client.stream("/v5/public/linear") as ws:
        message = await follow(client, ws, BOOK)
        await touch(client, 4)
        change = await until(ws, BOOK)
    assert (message["type"], message["data"]["u"]) == ("snapshot", 1)
    assert (change["type"], change["data"]["u"]) == ("delta", 2)


async def test_while_it_restarts_the_service_is_away(client):
    arm(client, Fault.RESTART, duration_s=60)
    client.server.pump()
    assert (await client.get("/v5/market/time"))["retCode"] == 10016
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await client.http.ws_connect(client.server.ws_url + "/v5/private")


def test_every_fault_of_the_venue_has_a_test_above():
    named = set(re.findall(r"Fault\.([A-Z_0-9]+)", Path(__file__).read_text(encoding="utf-8")))
    assert {Fault[name] for name in named} >= set(Fault) - WIRE_FAULTS
