"""The protocol server over real loopback sockets, with a hand-made book and no market flow."""

import asyncio
import io
import socket
from contextlib import suppress
from decimal import Decimal

import aiohttp
import pytest
from server_rig import PLAIN, READER, TRADER, auth, frames, serving, until

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.records import AccountSpec, OrderRequest

SLOW_BODY = (
    b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nX-BAPI-API-KEY: k\r\nX-BAPI-SIGN: s\r\n"
    b"X-BAPI-TIMESTAMP: 1\r\nContent-Length: 10\r\n\r\n{"
)


@pytest.fixture
async def client():
    async with serving() as running:
        yield running


async def test_post_only_order_lives_as_in_the_worked_example(client):
    async with client.private("order", "wallet") as ws:
        reply = await client.create(price="9.90", timeInForce="PostOnly", orderLinkId="lk-1")
        assert (reply["retCode"], reply["result"]["orderLinkId"]) == (0, "lk-1")
        order, wallet = await frames(ws, 2)
        row = order["data"][0]
        assert (row["orderStatus"], row["leavesValue"], row["tpslMode"]) == ("New", "49.5", "")
        assert wallet["data"][0]["coin"][0]["totalOrderIM"] == "4.977225"
        await client.post(
            "/v5/order/amend", {**PLAIN, "orderLinkId": "lk-1", "price": "9.95", "qty": "6"}
        )
        order, wallet = await frames(ws, 2)
        assert (order["data"][0]["price"], order["data"][0]["leavesValue"]) == ("9.95", "59.7")
        assert wallet["data"][0]["coin"][0]["totalOrderIM"] == "6.002835"
        await client.post("/v5/order/cancel", {**PLAIN, "orderLinkId": "lk-1"})
        row = (await ws.receive_json())["data"][0]
        assert (row["orderStatus"], row["cancelType"]) == ("Cancelled", "CancelByUser")
    again = await client.post("/v5/order/cancel", {**PLAIN, "orderLinkId": "lk-1"})
    assert again["retCode"] == 110001


async def test_market_buy_fills_and_closes_as_in_the_worked_example(client):
    async with client.private("execution.linear", "order", "position") as ws:
        await client.create(orderType="Market", qty="3")
        seen = {frame["topic"]: frame["data"] for frame in await frames(ws, 3)}
        assert [row["execFee"] for row in seen["execution.linear"]] == ["0.011022", "0.0055165"]
        assert seen["order"][0]["avgPrice"] == "10.02333333"
        assert seen["order"][0]["cumFeeDetail"] == {"USDT": "0.0165385"}
        position = seen["position"][0]
        assert (position["entryPrice"], position["positionIM"]) == ("10.02333333", "3.0195165")
        await client.create(side="Sell", orderType="Market", qty="3", reduceOnly=True)
        seen = {frame["topic"]: frame["data"] for frame in await frames(ws, 3)}
        assert seen["order"][0]["closedPnl"] == "-0.1030385"
        assert (seen["position"][0]["side"], seen["position"][0]["size"]) == ("", "0")
    again = await client.create(side="Sell", orderType="Market", qty="3", reduceOnly=True)
    assert again["retCode"] == 110017
    closed = await client.get("/v5/position/closed-pnl", "category=linear")
    assert closed["result"]["list"][0]["closedPnl"] == "-0.1030385"


async def test_events_between_subscribe_and_ack_follow_the_ack_in_order():
    async with serving(ack_delay_ms=100) as client, client.stream("/v5/private") as ws:
        await ws.send_json(auth(client.now_ms()))
        for topic in ("order", "execution", "position", "wallet", "execution.fast.linear"):
            await ws.send_json({"op": "subscribe", "args": [topic], "req_id": topic})
        while len([t for s in client.private_sessions() for t in s.topics]) < 5:
            await client.get("/v5/market/time")
        await client.create(orderType="Market", qty="1")
        assert [frame["op"] for frame in await frames(ws, 2)] == ["auth", "subscribe"]
        topics = [frame.get("topic") for frame in await frames(ws, 9)]
        pushes = ["order", "execution", "position", "wallet", "execution.fast.linear"]
        assert sorted(filter(None, topics)) == sorted(pushes)


async def test_book_stream_follows_orders_by_snapshot_and_delta(client):
    async with client.stream("/v5/public/linear") as ws:
        await ws.send_json({"op": "subscribe", "args": ["orderbook.50.ABCUSDT"], "req_id": 7})
        ack, snapshot = await frames(ws, 2)
        assert (ack["req_id"], ack["success"]) == (7, True)
        assert snapshot["data"]["b"] == [["10.00", "30.0"]]
        await client.create(price="9.90")
        delta = await ws.receive_json(timeout=5)
        assert delta["data"]["b"] == [["9.90", "5.0"]]
        assert delta["data"]["a"] == []
        assert delta["data"]["u"] == snapshot["data"]["u"] + 1


async def test_every_public_topic_begins_with_a_snapshot(client):
    topics = ["tickers.ABCUSDT", "kline.1.ABCUSDT", "orderbook.1.ABCUSDT", "publicTrade.ABCUSDT"]
    async with client.stream("/v5/public/linear?max_active_time=30s&x=1") as ws:
        await ws.send_json({"op": "subscribe", "args": topics, "req_id": "a"})
        ack, *first = await frames(ws, 3)
        assert ack["success"]
        assert all(frame["type"] == "snapshot" for frame in first)
        await client.create(orderType="Market", qty="2.5")
        trades = (await until(ws, "publicTrade.ABCUSDT"))["data"]
        assert [(row["p"], row["v"], row["S"]) for row in trades] == [
            ("10.02", "2.0", "Buy"),
            ("10.03", "0.5", "Buy"),
        ]
        await ws.send_json({"op": "unsubscribe", "args": topics, "req_id": "a"})
        while (await ws.receive_json(timeout=5)).get("op") != "unsubscribe":
            pass
        await client.create(orderType="Market", qty="1")
        await ws.send_json({"op": "ping"})
        assert (await ws.receive_json(timeout=5))["ret_msg"] == "pong"


async def test_trade_stream_creates_echoes_and_refuses_duplicates(client):
    async with client.stream("/v5/trade") as ws:
        stamp = client.now_ms()
        await ws.send_json(auth(stamp, reqId="a1"))
        order = {**PLAIN, "side": "Sell", "orderType": "Limit", "qty": "1", "price": "10.40"}
        request = {
            "reqId": "r1",
            "header": {"X-BAPI-TIMESTAMP": stamp},
            "op": "order.create",
            "args": [order],
        }
        await ws.send_json(request)
        await ws.send_json(request)
        await ws.send_json(
            {**request, "reqId": "r2", "args": [{**order, "qty": "4999", "price": "25"}]}
        )
        batch = {"category": "linear", "request": [order, {**order, "price": "x"}]}
        await ws.send_json({**request, "reqId": "r3", "op": "order.create-batch", "args": [batch]})
        login, first, second, third, fourth = await frames(ws, 5)
        assert (login["reqId"], login["retCode"]) == ("a1", 0)
        assert (first["reqId"], first["retCode"]) == ("r1", 0)
        assert first["header"]["X-Bapi-Limit"] == "10"
        assert [second["retCode"], third["retCode"]] == [20006, 110007]
        assert [item["code"] for item in fourth["retExtInfo"]["list"]] == [0, 10001]
        assert fourth["data"]["list"][1]["orderId"] == ""


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"secret": "wrong"}, 10004),
        ({"account": AccountSpec(account_id=9, uid=9, api_key="no", api_secret="x")}, 10003),
        ({"shift_ms": -60_000}, 10002),
        ({"shift_ms": 2_000}, 10002),
        ({"account": READER}, 10005),
    ],
)
async def test_bad_credentials_get_their_code(client, how, code):
    reply = await client.post("/v5/order/create", {**PLAIN}, **how)
    assert reply["retCode"] == code


async def test_storm_is_refused_with_a_reset_in_the_future(client):
    replies = [await client.create(price="9.90") for _ in range(12)]
    assert [reply["retCode"] for reply in replies[:10]] == [0] * 10
    assert replies[-1]["retCode"] == 10006
    assert int(client.last_headers["X-Bapi-Limit-Reset-Timestamp"]) > client.now_ms()
    assert client.last_headers["X-Bapi-Limit-Status"] == "0"


async def test_written_orders_are_read_back_at_once(client):
    created = (await client.create(price="9.90", orderLinkId="lk"))["result"]
    path = "/v5/order/realtime"
    for query in (f"orderId={created['orderId']}", "orderLinkId=lk", "settleCoin=USDT"):
        rows = (await client.get(path, f"category=linear&{query}"))["result"]["list"]
        assert [row["orderId"] for row in rows] == [created["orderId"]]
    swept = await client.post("/v5/order/cancel-all", {**PLAIN, "orderFilter": None})
    assert swept["result"] == {"list": [created], "success": "1"}
    gone = await client.get(path, f"category=linear&orderId={created['orderId']}")
    assert gone["result"]["list"][0]["orderStatus"] == "Cancelled"
    history = await client.get("/v5/order/history", "category=linear&orderStatus=Cancelled")
    assert len(history["result"]["list"]) == 1


async def test_every_query_answers_with_code_zero(client):
    linear = "category=linear&symbol=ABCUSDT"
    public = [
        ("time", ""),
        ("instruments-info", "category=spot"),
        ("instruments-info", "category=linear&limit=1000&status=PreLaunch"),
        ("instruments-info", "category=option&baseCoin=BTC"),
        ("tickers", linear),
        ("orderbook", linear),
        ("recent-trade", linear),
        ("kline", f"{linear}&interval=1"),
        ("mark-price-kline", f"{linear}&interval=1"),
        ("index-price-kline", f"{linear}&interval=1"),
        ("premium-index-price-kline", f"{linear}&interval=1"),
        ("funding/history", linear),
        ("open-interest", f"{linear}&intervalTime=5min"),
        ("account-ratio", f"{linear}&period=5min"),
        ("risk-limit", linear),
        ("price-limit", linear),
    ]
    signed = [
        ("user/query-api", ""),
        ("account/info", ""),
        ("account/wallet-balance", "accountType=UNIFIED&coin=USDT,BTC"),
        ("account/fee-rate", "category=spot"),
        ("account/transaction-log", ""),
        ("account/query-dcp-info", ""),
        ("asset/coin/query-info", ""),
        ("execution/list", "category=linear&execType=Trade"),
        ("position/list", "category=inverse"),
        ("position/list", "category=linear&settleCoin=USDT"),
    ]
    paths = [(f"/v5/market/{name}", query) for name, query in public]
    paths += [(f"/v5/{name}", query) for name, query in signed]
    for path, query in paths:
        reply = await client.get(path, query)
        assert (path, query, reply["retCode"]) == (path, query, 0)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v5/position/switch-mode", {**PLAIN, "mode": 0}, 110025),
        ("/v5/position/switch-mode", {**PLAIN, "mode": 3}, 0),
        ("/v5/position/set-leverage", {**PLAIN, "buyLeverage": "5", "sellLeverage": "5"}, 0),
        ("/v5/position/set-leverage", {**PLAIN, "buyLeverage": "10", "sellLeverage": "10"}, 110043),
        ("/v5/position/set-leverage", {**PLAIN, "buyLeverage": "99", "sellLeverage": "99"}, 110013),
        (
            "/v5/position/set-leverage",
            {**PLAIN, "buyLeverage": "5.001", "sellLeverage": "5.001"},
            10001,
        ),
        ("/v5/order/pre-check", {**PLAIN}, 10001),
        ("/v5/order/disconnected-cancel-all", {"timeWindow": 10}, 10005),
        ("/v5/position/set-auto-add-margin", {**PLAIN, "autoAddMargin": 1}, 10001),
        ("/v5/position/add-margin", {**PLAIN, "margin": "1"}, 10001),
        ("/v5/position/trading-stop", {**PLAIN, "positionIdx": 0, "takeProfit": "0"}, 34040),
        ("/v5/position/trading-stop", {**PLAIN, "takeProfit": "11"}, 10001),
        ("/v5/account/set-margin-mode", {"setMarginMode": "REGULAR_MARGIN"}, 110026),
        ("/v5/account/set-margin-mode", {"setMarginMode": "ISOLATED_MARGIN"}, 3400045),
        ("/v5/order/create", {**PLAIN, "triggerPrice": "9", "qty": "1"}, 10001),
        ("/v5/order/create", b'{"qty":NaN}', 10001),
        ("/v5/order/create", b"[" * 100_000, 10001),
        ("/v5/order/create", b"\xff\xfe", 10001),
        ("/v5/order/create-batch", {"category": "linear", "request": []}, 10001),
    ],
)
async def test_settings_and_refusals_get_their_code(client, path, body, code):
    assert (await client.post(path, body))["retCode"] == code
    assert client.last_status == 200


async def test_refused_margin_mode_gives_its_reasons(client):
    reply = await client.post("/v5/account/set-margin-mode", {"setMarginMode": "ISOLATED_MARGIN"})
    (reason,) = reply["result"]["reasons"]
    assert reason["reasonCode"] == "3400045"
    assert "REGULAR_MARGIN" in reason["reasonMsg"]


@pytest.mark.parametrize("name", ["orderbook", "recent-trade", "funding/history", "tickers"])
async def test_category_is_required_where_bybit_requires_it(client, name):
    reply = await client.get(f"/v5/market/{name}", "symbol=ABCUSDT")
    assert reply["retCode"] == 10001
    assert "linear" in reply["retMsg"]


async def test_closed_orders_are_listed_by_creation_newest_first(client):
    now_ms = client.now_ms()
    for age_ms, price in ((30, "9.90"), (20, "9.91"), (10, "9.92")):
        order = OrderRequest(
            symbol="ABCUSDT",
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            quantity=Decimal(5),
            price=Decimal(price),
            link_id=price.replace(".", "-"),
        )
        client.exchange.place(TRADER.account_id, order, now_ms=now_ms - age_ms)
    for link_id in ("9-91", "9-92", "9-90"):
        await client.post("/v5/order/cancel", {**PLAIN, "orderLinkId": link_id})
    for path, query in (("history", ""), ("realtime", "&symbol=ABCUSDT&openOnly=1")):
        reply = await client.get(f"/v5/order/{path}", f"category=linear{query}")
        assert [row["price"] for row in reply["result"]["list"]] == ["9.92", "9.91", "9.90"]


async def test_silent_stream_is_closed_and_a_pinging_one_is_kept():
    async with (
        serving(idle_timeout_s=0.3) as client,
        client.stream("/v5/private") as silent,
        client.stream("/v5/private") as alive,
        asyncio.TaskGroup() as group,
    ):
        closing = group.create_task(silent.receive(timeout=5))
        while not closing.done():
            await alive.send_json({"op": "ping"})
            assert (await alive.receive_json(timeout=5))["op"] == "pong"
        assert closing.result().type is aiohttp.WSMsgType.CLOSE


async def test_maker_and_taker_each_hear_only_their_own_fills(client):
    async with client.private("order", "execution") as maker, client.stream("/v5/private") as taker:
        await taker.send_json(auth(client.now_ms(), account=READER))
        await taker.send_json({"op": "subscribe", "args": ["execution"], "req_id": "s"})
        await frames(taker, 2)
        await client.create(price="10.01")
        sell = OrderRequest(
            symbol="ABCUSDT", side=Side.SELL, order_type=OrderType.MARKET, quantity=Decimal(5)
        )
        client.exchange.place(READER.account_id, sell, now_ms=client.now_ms())
        assert (await maker.receive_json(timeout=5))["data"][0]["orderStatus"] == "New"
        seen = [await until(ws, "execution") for ws in (maker, taker)]
        rows = [frame["data"][0] for frame in seen]
        assert [(row["side"], row["isMaker"], row["execFee"]) for row in rows] == [
            ("Buy", True, "0.01001"),
            ("Sell", False, "0.0275275"),
        ]


async def test_topics_of_a_connection_are_bounded_in_total(client):
    async with client.stream("/v5/public/inverse") as ws:
        verdicts = []
        for group in range(60):
            topics = [f"tickers.{group}{'X' * 34}{number}" for number in range(10)]
            await ws.send_json({"op": "subscribe", "args": topics})
            verdicts.append((await ws.receive_json(timeout=5))["success"])
        assert verdicts[:45] == [True] * 45
        assert verdicts[55:] == [False] * 5


async def test_transport_faults_get_their_status(client):
    url = client.server.rest_url
    async with client.http.get(f"{url}/nowhere") as reply:
        assert (reply.status, (await reply.json())["retCode"]) == (404, 10017)
    async with client.http.post(f"{url}/v5/market/time") as reply:
        assert reply.status == 400
    async with client.http.get(f"{url}/v5/account/info") as reply:
        assert reply.status == 401
    body = io.BytesIO(b" " * (5 * 1024 * 1024))
    headers = client.headers(b"")
    async with client.http.post(f"{url}/v5/order/create", data=body, headers=headers) as reply:
        assert reply.status == 413


@pytest.mark.parametrize("path", ["/v5/public/linear", "/v5/private", "/v5/trade"])
@pytest.mark.parametrize("text", ["", "x", "[]", "[" * 9_999, '{"op":[]}', '{"op":"subscribe"}'])
async def test_odd_frames_end_at_most_their_own_connection(client, path, text):
    async with client.stream(path) as ws:
        await ws.send_str(text)
        answer = await ws.receive(timeout=5)
        assert answer.type is aiohttp.WSMsgType.TEXT
    assert (await client.get("/v5/market/time"))["retCode"] == 0


async def test_oversized_and_binary_frames_close_the_connection(client):
    for payload in (b"\x00" * 100, b"x" * (2 * 1024 * 1024)):
        async with client.stream("/v5/public/linear") as ws:
            await ws.send_bytes(payload)
            assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    assert (await client.get("/v5/market/time"))["retCode"] == 0


async def test_protocol_ping_is_answered_with_its_payload(client):
    async with client.http.ws_connect(client.server.ws_url + "/v5/private", autoping=False) as ws:
        await ws.ping(b"abc")
        pong = await ws.receive(timeout=5)
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"abc")


async def test_private_stream_refuses_a_bad_signature_and_closes(client):
    async with client.stream("/v5/private") as ws:
        request = auth(client.now_ms(), req_id="q")
        request["args"][2] = "0" * 64
        await ws.send_json(request)
        answer = await ws.receive_json(timeout=5)
        assert (answer["success"], answer["op"], answer["req_id"]) == (False, "auth", "q")
        assert (await ws.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def flood(writer, payload):
    for _ in range(2_000):
        writer.write(payload)
        async with asyncio.timeout(5):
            await writer.drain()


async def test_client_that_never_reads_is_dropped():
    async with serving(max_outbox_bytes=200_000) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port, limit=1024)
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(
            b"GET /v5/public/linear HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        ping = b'{"op":"ping","req_id":"' + b"x" * 90 + b'"}'
        frame = bytes([0x81, 0x80 | len(ping)]) + b"\0\0\0\0" + ping
        with pytest.raises(ConnectionError):
            await flood(writer, frame * 200)
        writer.close()
        assert reader is not None
        assert (await client.get("/v5/market/time"))["retCode"] == 0


async def test_taken_port_is_a_configuration_error_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}") as e:
            async with serving(port=port):
                pass
        assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v5/market/time?\xff\xfe=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /v5/order/create HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v5/public/linear HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_malformed_http_gets_an_answer_and_hurts_nobody(client, raw):
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    writer.write(raw)
    async with asyncio.timeout(5):
        assert (await reader.read(100)).startswith(b"HTTP/1.")
    writer.close()
    assert (await client.get("/v5/market/time"))["retCode"] == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GET /v5/market/time HTTP/1.1\r\nHost: x\r\n",
        SLOW_BODY,
    ],
)
async def test_slow_client_is_dropped(raw):
    async with serving(header_timeout_s=0.1, body_timeout_s=0.1) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
        writer.write(raw)
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                await reader.read()  # until the server hangs up
        writer.close()
        assert (await client.get("/v5/market/time"))["retCode"] == 0


async def test_connections_beyond_the_bound_are_refused():
    async with serving(max_connections=2) as client, aiohttp.ClientSession() as others:
        url = client.server.rest_url + "/v5/market/time"
        streams = (client.stream("/v5/private"), client.stream("/v5/private"))
        async with streams[0], streams[1], others.get(url) as reply:
            assert reply.status == 503
        async with asyncio.timeout(5):
            while (await client.http.get(url)).status != 200:
                pass


async def test_leaving_the_block_closes_every_client_soon():
    async with aiohttp.ClientSession() as http, asyncio.timeout(5):
        async with serving() as client:
            reader, stuck = await asyncio.open_connection("127.0.0.1", client.server.port)
            stuck.write(b"GET /v5/market/time HTTP/1.1\r\n")
            ws = await http.ws_connect(client.server.ws_url + "/v5/public/linear")
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        assert await reader.read() == b""
        stuck.close()


async def test_protective_stop_lives_and_fires_as_the_real_one(client):
    path = "/v5/position/trading-stop"
    await client.create(orderType="Market", qty="3")
    async with client.private("order", "position") as ws:
        body = {**PLAIN, "tpslMode": "Full", "positionIdx": 0, "stopLoss": "9.70"}
        assert (await client.post(path, body))["retCode"] == 0
        order, position = [frame["data"][0] for frame in await frames(ws, 2)]
        assert (order["orderStatus"], order["stopOrderType"]) == ("Untriggered", "StopLoss")
        assert (order["createType"], order["triggerPrice"]) == ("CreateByStopLoss", "9.70")
        assert (order["triggerDirection"], order["triggerBy"]) == (2, "LastPrice")
        assert (order["side"], order["qty"], order["price"]) == ("Sell", "3.0", "0")
        assert (order["reduceOnly"], order["closeOnTrigger"]) == (True, True)
        assert position["stopLoss"] == "9.70"
        assert (await client.post(path, body))["retCode"] == 34040
        client.market.house(Side.SELL, 1000, 300, client.now_ms())
        client.market.house(Side.BUY, 960, 300, client.now_ms())
        client.market.house(Side.SELL, 960, 10, client.now_ms())
        orders = [f["data"][0] for f in await frames(ws, 4) if f["topic"] == "order"]
        assert [row["orderStatus"] for row in orders] == ["Triggered", "Filled"]
        assert {row["orderId"] for row in orders} == {order["orderId"]}
        assert orders[1]["avgPrice"] == "9.6"
    rows = await client.get("/v5/position/list", "category=linear&symbol=ABCUSDT")
    assert (rows["result"]["list"][0]["size"], rows["result"]["list"][0]["stopLoss"]) == ("0", "")


async def test_cancel_all_takes_stops_unless_it_names_plain_orders(client):
    path, every = "/v5/order/cancel-all", "category=linear&settleCoin=USDT"
    await client.create(orderType="Market", qty="3")
    await client.create(price="9.90")
    await client.post("/v5/position/trading-stop", {**PLAIN, "stopLoss": "9.70"})
    listed = (await client.get("/v5/order/realtime", every))["result"]["list"]
    assert {row["orderStatus"] for row in listed} == {"Untriggered", "New"}
    for name, expected in (("StopOrder", "Untriggered"), ("Order", "New")):
        some = await client.get("/v5/order/realtime", f"{every}&orderFilter={name}")
        assert [row["orderStatus"] for row in some["result"]["list"]] == [expected]
    typed = {**PLAIN, "orderFilter": "StopOrder", "stopOrderType": "Stop"}
    assert (await client.post(path, typed))["result"]["list"] == []
    plain = await client.post(path, {**PLAIN, "orderFilter": "Order"})
    assert len(plain["result"]["list"]) == 1
    swept = await client.post(path, {"category": "linear", "settleCoin": "USDT"})
    assert len(swept["result"]["list"]) == 1
    history = await client.get(
        "/v5/order/history", f"{every}&orderFilter=StopOrder&orderStatus=Deactivated"
    )
    assert len(history["result"]["list"]) == 1


@pytest.mark.parametrize(
    "extra",
    [
        {"tpslMode": "Partial"},
        {"positionIdx": 1},
        {"trailingStop": "-1"},
        {"slLimitPrice": "9"},
        {"slOrderType": "Limit"},
        {"slTriggerBy": "Moon"},
        {"stopLoss": "-1"},
    ],
)
async def test_unsupported_stop_is_refused_not_ignored(client, extra):
    await client.create(orderType="Market", qty="3")
    body = {**PLAIN, "stopLoss": "9.70", **extra}
    assert (await client.post("/v5/position/trading-stop", body))["retCode"] == 10001


async def test_latency_delays_requests_and_streams_without_losing_order():
    async with serving(latency="colocated", seed=5) as client, client.stream("/v5/trade") as ws:
        stamp = client.now_ms()
        await ws.send_json(auth(stamp, reqId="a"))
        order = {**PLAIN, "side": "Buy", "orderType": "Limit", "qty": "1", "price": "9.00"}
        for number in range(5):
            request = {
                "reqId": f"r{number}",
                "header": {"X-BAPI-TIMESTAMP": stamp},
                "op": "order.create",
                "args": [order],
            }
            await ws.send_json(request)
        replies = await frames(ws, 6)
        assert [reply["reqId"] for reply in replies] == ["a", "r0", "r1", "r2", "r3", "r4"]
        assert (await client.get("/v5/market/time"))["retCode"] == 0


async def test_demo_profile_has_no_trade_stream_and_no_fee_rate():
    async with serving(profile="demo") as client:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with client.stream("/v5/trade"):
                pass
        assert (await client.get("/v5/account/fee-rate", "category=linear"))["retCode"] == 10017
        assert (await client.get("/v5/account/info"))["retCode"] == 0


async def test_order_history_can_lag_behind_realtime():
    async with serving(history_lag_ms=60_000) as client:
        created = (await client.create(orderType="Market", qty="3"))["result"]
        history = await client.get("/v5/order/history", "category=linear")
        assert history["result"]["list"] == []
        query = f"category=linear&orderId={created['orderId']}"
        found = await client.get("/v5/order/realtime", query)
        assert found["result"]["list"][0]["orderStatus"] == "Filled"
