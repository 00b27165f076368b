"""Requests and the replies, pushes and codes they must have, in process and over loopback."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from over import WAYS, Over, until
from protocol import EXECUTION_STREAM_KEYS, ORDER_STREAM_KEYS, POSITION_KEYS, check_wallet_row
from registry import case, check, check_equal, check_keys
from server_rig import READER

PLAIN = {"category": "linear", "symbol": "ABCUSDT"}
CREATE, AMEND, CANCEL = "/v5/order/create", "/v5/order/amend", "/v5/order/cancel"
BID = {**PLAIN, "side": "Buy", "orderType": "Limit", "qty": "5", "price": "9.90"}
BUY = {**PLAIN, "side": "Buy", "orderType": "Market", "qty": "3"}
CLOSE = {**PLAIN, "side": "Sell", "orderType": "Market", "qty": "3", "reduceOnly": True}
STOP = {**PLAIN, "tpslMode": "Full", "positionIdx": 0}
QUOTA_HEADERS = ("X-Bapi-Limit", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp")


def protocol_case(name: str, code: int = 0) -> Callable[[Any], Any]:
    """Register a case once for each way to the venue."""

    def register(function: Callable[[Over], Awaitable[Any]]) -> Any:
        for way in WAYS:
            case(name, f"protocol {way}", code=code, phase="own")(function)
        return function

    return register


async def _accepted(over: Over, body: dict[str, Any], path: str = CREATE) -> dict[str, Any]:
    answer = await over.post(path, body)
    check_equal((answer.status, answer.code), (200, 0), f"reply {answer.body}")
    result: dict[str, Any] = answer.body["result"]
    return result


@protocol_case("15.1 post-only: placed, amended, cancelled", code=110001)
async def life_of_an_order(over: Over) -> int:
    async with over.private("order", "wallet") as stream:
        wanted = {**BID, "timeInForce": "PostOnly", "orderLinkId": "lk-1"}
        order_id = (await _accepted(over, wanted))["orderId"]
        row = await until(stream, "order", orderId=order_id)
        check_keys(row, ORDER_STREAM_KEYS, "order push")
        found = {key: row[key] for key in ("orderStatus", "leavesValue", "rejectReason")}
        values = {"orderStatus": "New", "leavesValue": "49.5", "rejectReason": "EC_NoError"}
        check_equal(found, values, "order push")
        await _margin(stream, "4.977225")
        await _accepted(over, {**PLAIN, "orderId": order_id, "price": "9.95", "qty": "6"}, AMEND)
        row = await until(stream, "order", orderId=order_id, qty="6.0")
        check_equal((row["price"], row["leavesValue"]), ("9.95", "59.7"), "amended order")
        await _margin(stream, "6.002835")
        await _accepted(over, {**PLAIN, "orderLinkId": "lk-1"}, CANCEL)
        row = await until(stream, "order", orderStatus="Cancelled")
        reasons = (row["cancelType"], row["rejectReason"], row["leavesQty"], row["avgPrice"])
        check_equal(reasons, ("CancelByUser", "EC_PerCancelRequest", "0", ""), "cancelled order")
        await _margin(stream, "0")
    rows = await over.get("/v5/order/realtime", "category=linear&symbol=ABCUSDT")
    check_equal(rows.body["result"]["list"], [], "open orders")
    rows = await over.get("/v5/order/realtime", f"category=linear&orderId={order_id}")
    check_equal(len(rows.body["result"]["list"]), 1, "the cancelled order by its id")
    return (await over.post(CANCEL, {**PLAIN, "orderLinkId": "lk-1"})).code


async def _margin(stream: Any, wanted: str) -> None:
    row = await until(stream, "wallet")
    check_wallet_row(row)
    (coin,) = row["coin"]
    check_equal(coin["totalOrderIM"], wanted, "totalOrderIM")


@protocol_case("15.2 market buy in two executions")
async def market_buy(over: Over) -> None:
    async with over.private("order", "execution", "position", "wallet") as stream:
        order_id = (await _accepted(over, {**BUY, "orderLinkId": "lk-2"}))["orderId"]
        row = await until(stream, "execution", execPrice="10.02")
        check_keys(row, EXECUTION_STREAM_KEYS, "execution push")
    listed = await over.get("/v5/execution/list", f"category=linear&orderId={order_id}")
    fills = {row["execPrice"]: row for row in listed.body["result"]["list"]}
    fees = {price: (row["execQty"], row["execFee"]) for price, row in fills.items()}
    wanted = {"10.02": ("2.0", "0.011022"), "10.03": ("1.0", "0.0055165")}
    check_equal(fees, wanted, "executions")
    (order,) = await _listed(over, "/v5/order/realtime", f"category=linear&orderId={order_id}")
    done = (order["orderStatus"], order["avgPrice"], order["cumExecValue"], order["cumFeeDetail"])
    check_equal(done, ("Filled", "10.02333333", "30.07", {"USDT": "0.0165385"}), "order")
    (held,) = await _listed(over, "/v5/position/list", "category=linear&symbol=ABCUSDT")
    check_keys(held, POSITION_KEYS, "position")
    found = (held["side"], held["size"], held["avgPrice"], held["unrealisedPnl"])
    check_equal(found, ("Buy", "3.0", "10.02333333", "-0.04"), "position")
    (wallet,) = await _listed(over, "/v5/account/wallet-balance", "accountType=UNIFIED")
    check_equal(wallet["totalWalletBalance"], "9999.9834615", "totalWalletBalance")


async def _listed(over: Over, path: str, query: str) -> list[dict[str, Any]]:
    answer = await over.get(path, query)
    check_equal(answer.code, 0, f"reply {answer.body}")
    rows: list[dict[str, Any]] = answer.body["result"]["list"]
    return rows


@protocol_case("15.3 reduce-only close", code=110017)
async def close(over: Over) -> int:
    await _accepted(over, BUY)
    await _accepted(over, {**CLOSE, "orderLinkId": "lk-3"})
    (row,) = await _listed(over, "/v5/position/closed-pnl", "category=linear")
    found = (row["side"], row["closedSize"], row["avgExitPrice"], row["closedPnl"])
    check_equal(found, ("Sell", "3.0", "10", "-0.1030385"), "closed profit")
    (wallet,) = await _listed(over, "/v5/account/wallet-balance", "accountType=UNIFIED")
    check_equal(wallet["totalWalletBalance"], "9999.8969615", "totalWalletBalance")
    (flat,) = await _listed(over, "/v5/position/list", "category=linear&symbol=ABCUSDT")
    check_equal((flat["side"], flat["size"]), ("", "0"), "flat position")
    query = "category=linear&settleCoin=USDT"
    check_equal(await _listed(over, "/v5/position/list", query), [], "positions")
    return (await over.post(CREATE, CLOSE)).code


@protocol_case("15.4 post-only that would cross")
async def crossing(over: Over) -> None:
    wanted = {**BID, "qty": "1", "price": "10.05", "timeInForce": "PostOnly"}
    order_id = (await _accepted(over, wanted))["orderId"]
    (row,) = await _listed(over, "/v5/order/realtime", f"category=linear&orderId={order_id}")
    found = (row["orderStatus"], row["rejectReason"], row["cumExecQty"], row["leavesQty"])
    wanted_row = ("Cancelled", "EC_PostOnlyWillTakeLiquidity", "0", "0")
    check_equal(found, wanted_row, "crossing order")


@protocol_case("15.5 trade WebSocket: create, same request id, no funds", code=110007)
async def trade_socket(over: Over) -> int:
    order = {**BID, "side": "Sell", "qty": "1", "price": "10.40", "orderLinkId": "lk-5"}
    async with over.stream("/v5/trade") as stream:
        await stream.send(over.login(reqId="a1"))
        reply = await stream.receive()
        check_equal((reply["op"], reply["retCode"], reply["reqId"]), ("auth", 0, "a1"), "log-in")
        reply = await _ask(over, stream, "r1", order)
        check_equal((reply["retCode"], reply["data"]["orderLinkId"]), (0, "lk-5"), "reply")
        check_keys(reply["header"], (*QUOTA_HEADERS, "Traceid", "Timenow"), "header")
        check_equal((await _ask(over, stream, "r1", order))["retCode"], 20006, "same id again")
        await stream.send('{"op":"ping"}')
        pong = await stream.receive()
        check_equal((pong["op"], pong["retCode"]), ("pong", 0), "pong")
        large = {**BID, "qty": "5000"}
        for name in ("r2", "r3"):
            check_equal((await _ask(over, stream, name, large))["retCode"], 0, "large order")
        return int((await _ask(over, stream, "r4", large))["retCode"])


async def _ask(over: Over, stream: Any, name: str, order: dict[str, Any]) -> dict[str, Any]:
    header = {"X-BAPI-TIMESTAMP": str(over.now_ms())}
    wanted = {"reqId": name, "header": header, "op": "order.create", "args": [order]}
    await stream.send(json.dumps(wanted))
    reply: dict[str, Any] = await stream.receive()
    return reply


@protocol_case("quota: headers, and 10006 beyond it", code=10006)
async def quota(over: Over) -> int:
    for left in range(9, -1, -1):
        answer = await over.post(CREATE, BID)
        check_equal(answer.headers["X-Bapi-Limit-Status"], str(left), "X-Bapi-Limit-Status")
        check_equal(answer.headers["X-Bapi-Limit"], "10", "X-Bapi-Limit")
    answer = await over.post(CREATE, BID)
    reset_ms = int(answer.headers["X-Bapi-Limit-Reset-Timestamp"])
    check(
        answer.body["time"] < reset_ms <= answer.body["time"] + 1500, "reset time", answer.headers
    )
    return answer.code


@protocol_case("batch beyond the quota: the last are refused", code=10006)
async def batch(over: Over) -> int:
    items = [{key: value for key, value in BID.items() if key != "category"} for _ in range(12)]
    answer = await over.post("/v5/order/create-batch", {"category": "linear", "request": items})
    check_equal(answer.code, 0, "retCode of the request")
    codes = [row["code"] for row in answer.body["retExtInfo"]["list"]]
    check_equal(codes[:10], [0] * 10, "codes of the first ten")
    check_equal(len(answer.body["result"]["list"]), 12, "rows")
    check_equal(codes[10], codes[11], "codes of the last two")
    return int(codes[11])


@protocol_case("order book: snapshot, then deltas without a gap")
async def book(over: Over) -> None:
    async with over.stream("/v5/public/linear") as stream:
        await stream.send(json.dumps({"op": "subscribe", "args": ["orderbook.50.ABCUSDT"]}))
        check((await stream.receive())["success"], "not subscribed")
        first = await stream.receive()
        check_equal((first["type"], first["data"]["b"]), ("snapshot", [["10.00", "30.0"]]), "book")
        await _accepted(over, {**BID, "qty": "1"})
        second = await stream.receive()
        check_equal((second["type"], second["data"]["b"]), ("delta", [["9.90", "1.0"]]), "delta")
        check_equal(second["data"]["u"], first["data"]["u"] + 1, "u")
        check(second["data"]["seq"] > first["data"]["seq"], "seq did not grow")


@protocol_case("ticker: prices and sizes with the grid's decimals")
async def ticker(over: Over) -> None:
    (row,) = await _listed(over, "/v5/market/tickers", "category=linear&symbol=ABCUSDT")
    found = (row["bid1Price"], row["bid1Size"], row["ask1Price"], row["ask1Size"])
    check_equal(found, ("10.00", "30.0", "10.02", "2.0"), "top of the ticker")


@protocol_case("unknown topic is refused, pings are answered")
async def topics(over: Over) -> None:
    async with over.stream("/v5/public/linear") as stream:
        await stream.send('{"op":"subscribe","args":["orderbook.51.ABCUSDT"],"req_id":"x"}')
        reply = await stream.receive()
        check_equal((reply["success"], reply["req_id"]), (False, "x"), "reply")
        await stream.send('{"op":"ping","req_id":"p"}')
        pong = await stream.receive()
        check_equal((pong["op"], pong["ret_msg"], pong["success"]), ("ping", "pong", True), "pong")


@protocol_case("unknown parameters and keys are ignored")
async def unknown_keys(over: Over) -> None:
    await _accepted(over, {**BID, "somethingNew": {"a": [1]}, "another": None})
    query = "category=linear&symbol=ABCUSDT&size=7&somethingNew=1"
    check_equal(len(await _listed(over, "/v5/order/realtime", query)), 1, "open orders")


@protocol_case("wrong path, method, body, missing key: HTTP statuses")
async def statuses(over: Over) -> None:
    async def status(method: str, path: str, body: bytes = b"") -> tuple[int, int]:
        answer = await over.call(method, path, body=body)
        return answer.status, answer.code

    check_equal(await status("GET", "/v5/nowhere"), (404, 10017), "unknown path")
    check_equal(await status("GET", CREATE), (400, 10001), "wrong method")
    check_equal(await status("GET", "/v5/market/time", b"{}"), (403, 10018), "GET with a body")
    check_equal(await status("POST", CREATE, b"{}"), (401, 10007), "no credentials")


@protocol_case("late and early stamps", code=10002)
async def stamps(over: Over) -> int:
    late = await over.post(CREATE, BID, shift_ms=-5500)
    early = await over.post(CREATE, BID, shift_ms=1500)
    check_equal(late.code, early.code, "codes")
    near = [await over.post(CREATE, BID, shift_ms=shift) for shift in (-4000, 700)]
    check_equal([answer.code for answer in near], [0, 0], "codes inside the window")
    return early.code


@protocol_case("key without permission to trade", code=10005)
async def read_only(over: Over) -> int:
    return (await over.post(CREATE, BID, account=READER)).code


@protocol_case("wrong signature", code=10004)
async def signature(over: Over) -> int:
    return (await over.post(CREATE, BID, secret="other")).code


REFUSALS: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("no category", CREATE, {**BID, "category": ""}, 10001),
    ("unknown symbol", CREATE, {**BID, "symbol": "NOPE"}, 10001),
    ("unknown side", CREATE, {**BID, "side": "Up"}, 10001),
    ("no quantity", CREATE, {**BID, "qty": ""}, 10001),
    ("quantity is no number", CREATE, {**BID, "qty": "many"}, 10001),
    ("price off tick", CREATE, {**BID, "price": "9.905"}, 10001),
    ("quantity off step", CREATE, {**BID, "qty": "1.05"}, 10001),
    ("value too small", CREATE, {**BID, "qty": "0.1"}, 110094),
    ("reduce-only without position", CREATE, CLOSE, 110017),
    ("index of a hedged side", CREATE, {**BID, "positionIdx": 1}, 10001),
    ("long link id", CREATE, {**BID, "orderLinkId": "x" * 37}, 10001),
    ("rising trigger below", CREATE, {**BID, "triggerPrice": "9", "triggerDirection": 1}, 110092),
    ("falling trigger above", CREATE, {**BID, "triggerPrice": "11", "triggerDirection": 2}, 110093),
    (
        "conditional with a take profit",
        CREATE,
        {**BID, "triggerPrice": "9", "triggerDirection": 2, "takeProfit": "12"},
        110057,
    ),
    ("unknown order, amend", AMEND, {**PLAIN, "orderId": "nope", "qty": "1"}, 110001),
    ("unknown order, cancel", CANCEL, {**PLAIN, "orderId": "nope"}, 110001),
    ("cancel without an id", CANCEL, PLAIN, 10001),
    ("stop without position", "/v5/position/trading-stop", {**STOP, "stopLoss": "9"}, 10001),
    (
        "leverage unchanged",
        "/v5/position/set-leverage",
        {**PLAIN, "buyLeverage": "10", "sellLeverage": "10"},
        110043,
    ),
    (
        "leverage above the maximum",
        "/v5/position/set-leverage",
        {**PLAIN, "buyLeverage": "51", "sellLeverage": "51"},
        110013,
    ),
    ("position mode unchanged", "/v5/position/switch-mode", {**PLAIN, "mode": 0}, 110025),
    (
        "isolated margin",
        "/v5/account/set-margin-mode",
        {"setMarginMode": "ISOLATED_MARGIN"},
        3400045,
    ),
)


def _register(name: str, path: str, body: dict[str, Any], code: int) -> None:
    @protocol_case(f"refused: {name}", code)
    async def refused(over: Over) -> int:
        answer = await over.post(path, body)
        check_equal(answer.status, 200, "HTTP status")
        check(answer.body["retMsg"], "a refusal without a text")
        return answer.code


for _row in REFUSALS:
    _register(*_row)


@protocol_case("refused: link id used before", code=110072)
async def link_twice(over: Over) -> int:
    await _accepted(over, {**BID, "orderLinkId": "once"})
    return (await over.post(CREATE, {**BID, "orderLinkId": "once"})).code


@protocol_case("refused: no funds", code=110007)
async def no_funds(over: Over) -> int:
    for _ in range(2):
        await _accepted(over, {**BID, "qty": "5000"})
    return (await over.post(CREATE, {**BID, "qty": "5000"})).code


@protocol_case("refused: stop unchanged", code=34040)
async def stop_unchanged(over: Over) -> int:
    await _accepted(over, BUY)
    await _accepted(over, {**STOP, "stopLoss": "9.00"}, "/v5/position/trading-stop")
    return (await over.post("/v5/position/trading-stop", {**STOP, "stopLoss": "9.00"})).code


@protocol_case("refused: switch with an open order", code=110028)
async def switch_with_an_order(over: Over) -> int:
    await _accepted(over, BID)
    return (await over.post("/v5/position/switch-mode", {**PLAIN, "mode": 3})).code


@protocol_case("refused: switch with a position", code=110024)
async def switch_with_a_position(over: Over) -> int:
    await _accepted(over, BUY)
    return (await over.post("/v5/position/switch-mode", {**PLAIN, "mode": 3})).code


@protocol_case("hedge: a side closes, and never turns")
async def hedge(over: Over) -> None:
    await _accepted(over, {**PLAIN, "mode": 3}, "/v5/position/switch-mode")
    await _accepted(over, {**BUY, "positionIdx": 1})
    await _accepted(over, {**BUY, "side": "Sell", "qty": "5", "positionIdx": 2})
    rows = await _listed(over, "/v5/position/list", "category=linear&symbol=ABCUSDT")
    sizes = {row["positionIdx"]: Decimal(row["size"]) for row in rows}
    check_equal(sizes, {1: Decimal(3), 2: Decimal(5)}, "sides")
    await _accepted(over, {**BUY, "side": "Sell", "qty": "9", "positionIdx": 1})
    rows = await _listed(over, "/v5/position/list", "category=linear&symbol=ABCUSDT")
    sizes = {row["positionIdx"]: Decimal(row["size"]) for row in rows}
    check_equal(sizes, {1: Decimal(0), 2: Decimal(5)}, "sides after closing one")
