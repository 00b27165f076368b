"""What the venue refuses, seen through pybit's HTTP client."""

from __future__ import annotations

import time
from decimal import Decimal

from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP
from registry import CaseError, case, check, check_equal
from room_pybit import SYMBOL, PybitRoom, refusal, refused

HTTP_CLIENT = "pybit HTTP"
STORM = 24


def _stranger(room: PybitRoom, key: str, secret: str, **options: object) -> HTTP:
    client = HTTP(api_key=key, api_secret=secret, max_retries=1, retry_codes={-99}, **options)
    client.endpoint = room.venue.rest
    return client


@case("bad signature", HTTP_CLIENT, code=10004)
def bad_signature(room: PybitRoom) -> int:
    client = _stranger(room, room.a.account.key, "not-the-secret")
    read = refused(client.get_wallet_balance, accountType="UNIFIED")
    sent = refused(client.cancel_all_orders, category="linear", symbol=SYMBOL)
    check_equal(read, sent, "code of GET and POST")
    return sent


@case("unknown key", HTTP_CLIENT, code=10003)
def unknown_key(room: PybitRoom) -> int:
    client = _stranger(room, "no-such-key", room.a.account.secret)
    return refused(client.get_wallet_balance, accountType="UNIFIED")


@case("stale time", HTTP_CLIENT, code=10002)
def stale_time(room: PybitRoom) -> int:
    client = _stranger(room, room.a.account.key, room.a.account.secret, recv_window=20)
    payload = client.prepare_payload("GET", {"accountType": "UNIFIED"})
    headers = client._prepare_headers(payload, client.recv_window)
    path = client.endpoint + "/v5/account/wallet-balance"
    request = client._prepare_request("GET", path, payload, headers)
    stale_at = int(headers["X-BAPI-TIMESTAMP"]) + client.recv_window
    deadline = time.monotonic() + 5
    while client.get_server_time()["time"] <= stale_at:
        check(time.monotonic() < deadline, "the venue's clock stands still")
    response = client.client.send(request, timeout=5)
    try:
        client._handle_response(response, "GET", path, payload, client.recv_window, 0)
    except InvalidRequestError as e:
        return e.status_code
    raise CaseError("a stale request was accepted")


@case("duplicate link id", HTTP_CLIENT, code=110072)
def duplicate_link_id(room: PybitRoom) -> int:
    link = room.link()
    room.rest_a_bid(orderLinkId=link)
    codes = [_place_refused(room, orderLinkId=link)]
    room.a.cancel(symbol=SYMBOL, orderLinkId=link)
    codes.append(_place_refused(room, orderLinkId=link))
    check_equal(codes[0], codes[1], "codes while open and after the cancel")
    return codes[1]


def _place_refused(room: PybitRoom, **fields: object) -> int:
    room.a.pace("create")
    wanted = {
        "category": "linear",
        "symbol": SYMBOL,
        "side": "Buy",
        "orderType": "Limit",
        "qty": room.quantity("700"),
        "price": room.away(),
    }
    before = room.a.open_ids()
    code = refused(room.a.strict.place_order, **(wanted | fields))
    check_equal(room.a.open_ids(), before, "open orders after a refusal")
    return code


@case("unknown order, cancel", HTTP_CLIENT, code=110001)
def unknown_order_cancel(room: PybitRoom) -> int:
    room.a.pace("cancel")
    return refused(
        room.a.strict.cancel_order, category="linear", symbol=SYMBOL, orderId="no-such-order"
    )


@case("unknown order, amend", HTTP_CLIENT, code=110001)
def unknown_order_amend(room: PybitRoom) -> int:
    room.a.pace("amend")
    return refused(
        room.a.strict.amend_order,
        category="linear",
        symbol=SYMBOL,
        orderLinkId="no-such-link",
        qty="1",
    )


@case("cancelled order, cancel again", HTTP_CLIENT, code=110001)
def too_late_to_cancel(room: PybitRoom) -> int:
    order_id = room.rest_a_bid()["orderId"]
    room.a.cancel(symbol=SYMBOL, orderId=order_id)
    room.a.pace("cancel")
    return refused(room.a.strict.cancel_order, category="linear", symbol=SYMBOL, orderId=order_id)


@case("reduce-only without position", HTTP_CLIENT, code=110017)
def reduce_only_without_position(room: PybitRoom) -> int:
    check_equal(room.a.position(SYMBOL), Decimal(0), "position before the case")
    return _place_refused(room, orderType="Market", reduceOnly=True)


@case("price off tick", HTTP_CLIENT, code=10001)
def price_off_tick(room: PybitRoom) -> int:
    return _place_refused(room, price=room.away() + "3")


@case("quantity too small", HTTP_CLIENT, code=10001)
def quantity_too_small(room: PybitRoom) -> int:
    return _place_refused(room, qty=str(room.steps[SYMBOL][1] / 10))


@case("quantity off step", HTTP_CLIENT, code=10001)
def quantity_off_step(room: PybitRoom) -> int:
    return _place_refused(room, qty=str(room.steps[SYMBOL][1] * Decimal("1.5")))


@case("notional too small", HTTP_CLIENT, code=110094)
def notional_too_small(room: PybitRoom) -> int:
    step = room.steps[SYMBOL][1]
    price = Decimal(4) / step
    return _place_refused(room, qty=str(step), price=str(price.quantize(Decimal(1))))


@case("no funds", HTTP_CLIENT, code=110007)
def no_funds(room: PybitRoom) -> int:
    return _place_refused(room, qty=room.quantity("3000000"))


@case("unknown symbol", HTTP_CLIENT, code=10001)
def unknown_symbol(room: PybitRoom) -> int:
    return _place_refused(room, symbol="NOSUCHUSDT")


@case("position index of hedge mode", HTTP_CLIENT, code=10001)
def hedge_position_index(room: PybitRoom) -> int:
    return _place_refused(room, positionIdx=1)


@case("storm: quota and headers", HTTP_CLIENT, code=10006)
def storm(room: PybitRoom) -> int:
    account = room.b.account
    client = _stranger(room, account.key, account.secret, return_response_headers=True)
    wanted = {"category": "linear", "symbol": SYMBOL, "orderId": "no-such-order"}
    room.b.pace("cancel", 8)
    codes = []
    for _ in range(STORM):
        refusal_seen = refusal(client.cancel_order, **wanted)
        codes.append(refusal_seen.status_code)
        _check_limit_headers(refusal_seen, codes)
    room.b.storm_over("cancel")
    check(codes[:10] == [110001] * 10, "the first ten answers", codes)
    return 10006 if 10006 in codes else codes[-1]


def _check_limit_headers(error: InvalidRequestError, codes: list[int]) -> None:
    headers = error.resp_headers
    received = int(time.time_ns() // 1_000_000)  # noqa: TID251 - compared with a wall-clock header
    check_equal(headers.get("X-Bapi-Limit"), "10", "X-Bapi-Limit")
    left = int(headers["X-Bapi-Limit-Status"])
    reset = int(headers["X-Bapi-Limit-Reset-Timestamp"])
    if error.status_code == 10006:
        check_equal(left, 0, "X-Bapi-Limit-Status of a 10006")
        check(received < reset <= received + 1500, "reset lies", reset - received, "ms ahead")
    elif len(codes) <= 10:
        check_equal(left, 10 - len(codes), "X-Bapi-Limit-Status")


@case("storm: default client waits and goes on", HTTP_CLIENT)
def storm_default_client(room: PybitRoom) -> None:
    room.b.pace("create", 8)
    ids = []
    for _ in range(13):
        answer = room.b.http.place_order(
            category="linear",
            symbol=SYMBOL,
            side="Buy",
            orderType="Limit",
            qty=room.quantity("700"),
            price=room.away(percent="3"),
        )
        ids.append(answer["result"]["orderId"])
    room.b.storm_over("create")
    room.b.pace("cancel-all")
    room.b.http.cancel_all_orders(category="linear", symbol=SYMBOL)
    check_equal(len(set(ids)), 13, "orders placed through the storm")
    waited = [text for text in room.log.take() if "rate limit" in text.lower()]
    check(waited, "the client was never told to wait")
