"""pybit with a hedged account, stops of a part, account settings, an RSA key, a demo venue."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from protocol import POSITION_KEYS
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket
from registry import CaseError, case, check, check_equal, check_keys
from room_modes import ModesRoom
from room_pybit import OTHER, PING, SYMBOL, Side, refused
from rsa_key import new_pem

CLIENT = "pybit HTTP hedge"
STREAM_CLIENT = "pybit WebSocket hedge"
HTTP_CLIENT = "pybit HTTP settings"
RSA_CLIENT = "pybit HTTP RSA"
LONG, SHORT = 1, 2


def hedge_case(name: str, code: int = 0, *, client: str = CLIENT) -> Callable[[Any], Any]:
    """Register a case of this module."""
    return case(name, client, code=code, phase="modes")


def _sides(side: Side) -> dict[int, Decimal]:
    rows = side.http.get_positions(category="linear", symbol=SYMBOL)["result"]["list"]
    for row in rows:
        check_keys(row, POSITION_KEYS, "position")
    return {row["positionIdx"]: Decimal(row["size"]) for row in rows}


def _quantity(side: Side, value_usdt: str) -> str:
    book = side.http.get_orderbook(category="linear", symbol=SYMBOL, limit=1)["result"]
    return str((Decimal(value_usdt) / Decimal(book["a"][0][0])).quantize(Decimal("0.001")))


def _level(side: Side, percent: str) -> str:
    book = side.http.get_orderbook(category="linear", symbol=SYMBOL, limit=1)["result"]
    raw = Decimal(book["b"][0][0]) * (1 + Decimal(percent) / 100)
    return str(raw.quantize(Decimal("0.1")))


def _market(side: Side, direction: str, qty: str, idx: int, **fields: Any) -> str:
    made = side.place(
        symbol=SYMBOL, side=direction, orderType="Market", qty=qty, positionIdx=idx, **fields
    )
    return str(made["orderId"])


def _mode(side: Side, mode: int) -> None:
    side.pace("switch-mode")
    side.strict.switch_position_mode(category="linear", symbol=SYMBOL, mode=mode)


@hedge_case("index of a side before the switch", code=10001)
def index_before(room: ModesRoom) -> int:
    side = room.hedge
    side.pace("create")
    fields = {"symbol": SYMBOL, "side": "Buy", "orderType": "Market", "positionIdx": LONG}
    return refused(side.strict.place_order, category="linear", qty=_quantity(side, "700"), **fields)


@hedge_case("switch to both sides", code=110025)
def switch(room: ModesRoom) -> int:
    _mode(room.hedge, 3)
    check_equal(_sides(room.hedge), {LONG: 0, SHORT: 0}, "sides")
    try:
        _mode(room.hedge, 3)
    except InvalidRequestError as e:
        return int(e.status_code)
    raise CaseError("the second switch was not refused")


@hedge_case("index 0 after the switch", code=10001)
def index_after(room: ModesRoom) -> int:
    side = room.hedge
    side.pace("create")
    fields = {"symbol": SYMBOL, "side": "Buy", "orderType": "Market", "positionIdx": 0}
    return refused(side.strict.place_order, category="linear", qty=_quantity(side, "700"), **fields)


@hedge_case("both sides at once, each closed on its own")
def both_sides(room: ModesRoom) -> None:
    side = room.hedge
    qty = _quantity(side, "2000")
    _market(side, "Buy", qty, LONG)
    _market(side, "Sell", qty, SHORT)
    check_equal(_sides(side), {LONG: Decimal(qty), SHORT: Decimal(qty)}, "sides")
    _market(side, "Sell", qty, LONG)
    check_equal(_sides(side), {LONG: 0, SHORT: Decimal(qty)}, "after closing the long side")
    _market(side, "Buy", qty, SHORT, reduceOnly=True)
    check_equal(_sides(side), {LONG: 0, SHORT: 0}, "after closing the short side")


@hedge_case("order, execution, position rows have the index", client=STREAM_CLIENT)
def streams(room: ModesRoom) -> None:
    side, qty = room.hedge, _quantity(room.hedge, "1500")
    marks = {name: room.hedge_rows.mark(name) for name in ("order", "position")}
    order_id = _market(side, "Sell", qty, SHORT)
    row = room.hedge_rows.wait(
        "order", lambda each: each["orderId"] == order_id, mark=marks["order"]
    )
    check_equal(row["positionIdx"], SHORT, "positionIdx of the order")
    room.hedge_rows.wait("execution", lambda each: each["orderId"] == order_id)
    held = room.hedge_rows.wait(
        "position",
        lambda each: each["positionIdx"] == SHORT and Decimal(each["size"]) == Decimal(qty),
        mark=marks["position"],
    )
    check_equal(held["side"], "Sell", "side of the position")
    _market(side, "Buy", qty, SHORT, reduceOnly=True)


@hedge_case("stops of one side: full, partial, trailing")
def stops_of_a_side(room: ModesRoom) -> None:
    side, qty = room.hedge, _quantity(room.hedge, "2000")
    _market(side, "Buy", qty, LONG)
    half = str((Decimal(qty) / 2).quantize(Decimal("0.001")))
    common = {"category": "linear", "symbol": SYMBOL, "positionIdx": LONG}
    side.pace("trading-stop")
    side.http.set_trading_stop(**common, tpslMode="Full", stopLoss=_level(side, "-4"))
    side.pace("trading-stop")
    side.http.set_trading_stop(
        **common,
        tpslMode="Partial",
        takeProfit=_level(side, "4"),
        tpSize=half,
        tpOrderType="Limit",
        tpLimitPrice=_level(side, "4.5"),
    )
    side.pace("trading-stop")
    side.http.set_trading_stop(**common, tpslMode="Full", trailingStop="500")
    found = side.http.get_open_orders(category="linear", symbol=SYMBOL, orderFilter="StopOrder")
    rows = found["result"]["list"]
    kinds = {row["stopOrderType"]: row for row in rows}
    check_equal(set(kinds), {"StopLoss", "PartialTakeProfit", "TrailingStop"}, "kinds of stops")
    check_equal({row["positionIdx"] for row in rows}, {LONG}, "positionIdx of the stops")
    check_equal(Decimal(kinds["PartialTakeProfit"]["qty"]), Decimal(half), "size of the part")
    _market(side, "Sell", qty, LONG, reduceOnly=True)
    found = side.http.get_open_orders(category="linear", symbol=SYMBOL, orderFilter="StopOrder")
    check_equal(found["result"]["list"], [], "stops after closing")


@hedge_case("switch with a position", code=110024)
def switch_with_a_position(room: ModesRoom) -> int:
    side, qty = room.hedge, _quantity(room.hedge, "1000")
    _market(side, "Buy", qty, LONG)
    side.pace("switch-mode")
    fields = {"category": "linear", "symbol": SYMBOL, "mode": 0}
    code = refused(side.strict.switch_position_mode, **fields)
    _market(side, "Sell", qty, LONG, reduceOnly=True)
    return code


@hedge_case("switch back")
def switch_back(room: ModesRoom) -> None:
    _mode(room.hedge, 0)
    check_equal(_sides(room.hedge), {0: 0}, "sides")


@hedge_case("pre-check of an order", client=HTTP_CLIENT)
def pre_check(room: ModesRoom) -> None:
    side = room.hedge
    side.pace("pre-check")
    found = side.http.pre_check_order(
        category="linear",
        symbol=SYMBOL,
        side="Buy",
        orderType="Limit",
        qty=_quantity(side, "5000"),
        price=_level(side, "-1"),
    )["result"]
    check(int(found["postImrE4"]) > int(found["preImrE4"]), "initial margin rates", found)
    check(int(found["postMmrE4"]) > int(found["preMmrE4"]), "maintenance margin rates", found)
    opened = side.http.get_open_orders(category="linear", symbol=SYMBOL)["result"]["list"]
    check_equal(opened, [], "orders after a pre-check")


@hedge_case("margin mode: regular", code=110026, client=HTTP_CLIENT)
def regular_margin(room: ModesRoom) -> int:
    info = room.hedge.http.get_account_info()["result"]
    check_equal(info["marginMode"], "REGULAR_MARGIN", "marginMode")
    return refused(room.hedge.strict.set_margin_mode, setMarginMode="REGULAR_MARGIN")


@hedge_case("margin mode: isolated", code=3400045, client=HTTP_CLIENT)
def isolated_margin(room: ModesRoom) -> int:
    return refused(room.hedge.strict.set_margin_mode, setMarginMode="ISOLATED_MARGIN")


@hedge_case("disconnect protection is not for everybody", client=HTTP_CLIENT)
def disconnect_protection(room: ModesRoom) -> None:
    side = room.hedge
    check_equal(side.http.query_dcp_info()["result"], {"dcpInfos": []}, "windows")
    code = refused(side.strict.set_dcp, product="DERIVATIVES", timeWindow=10)
    check(code, "an ordinary account may set a window")


@hedge_case("slippage tolerance, price from the book", client=HTTP_CLIENT)
def price_from_the_book(room: ModesRoom) -> None:
    side, qty = room.hedge, _quantity(room.hedge, "1000")
    made = side.place(
        symbol=SYMBOL,
        side="Buy",
        orderType="Market",
        qty=qty,
        slippageToleranceType="Percent",
        slippageTolerance="0.5",
    )
    check_equal(side.final(made["orderId"])["orderStatus"], "Filled", "market order")
    made = side.place(
        symbol=SYMBOL,
        side="Sell",
        orderType="Limit",
        qty=qty,
        bboSideType="Counterparty",
        bboLevel="5",
    )
    check_equal(side.final(made["orderId"])["orderStatus"], "Filled", "order at the fifth bid")
    check_equal(side.position(SYMBOL), Decimal(0), "position")


@hedge_case("signed orders", client=RSA_CLIENT)
def rsa_orders(room: ModesRoom) -> None:
    http = room.rsa_http()
    check(http.get_api_key_information()["result"]["rsaPublicKey"], "no public key is told")
    fields = {"category": "linear", "symbol": OTHER, "side": "Buy", "orderType": "Limit"}
    book = http.get_orderbook(category="linear", symbol=OTHER, limit=1)["result"]
    price = (Decimal(book["b"][0][0]) * Decimal("0.97")).quantize(Decimal("0.01"))
    made = http.place_order(qty="0.50", price=str(price), **fields)["result"]
    gone = http.cancel_order(category="linear", symbol=OTHER, orderId=made["orderId"])
    check_equal(gone["result"]["orderId"], made["orderId"], "cancelled order")
    http.client.close()


@hedge_case("signed by another key", code=10004, client=RSA_CLIENT)
def rsa_other_key(room: ModesRoom) -> int:
    http = room.rsa_http(new_pem()[0])
    http.retry_codes, http.max_retries = {-99}, 1
    code = refused(http.get_api_key_information)
    http.client.close()
    return code


@hedge_case("login with an RSA key", client="pybit WebSocket RSA")
def rsa_login(room: ModesRoom) -> None:
    client = WebSocket(
        "private",
        api_key=room.rsa.api_key,
        api_secret=room.rsa.pem,
        rsa_authentication=True,
        **PING,
    )
    room.log.wait("Authorization for", count=4)  # the room's three connections, and this one
    check(client.auth, "not logged in")
    client.exit()


def demo_case(name: str, code: int = 0) -> Callable[[Any], Any]:
    """Register a case of the venue with the profile of Bybit's demo environment."""
    return case(name, "pybit HTTP demo", code=code, phase="demo")


@demo_case("orders, wallet, private stream")
def demo_orders(room: Any) -> None:
    side: Side = room.side
    made = side.place(
        symbol=SYMBOL, side="Buy", orderType="Limit", qty="0.010", price=_level(side, "-3")
    )
    room.order_event(made["orderId"], "New")
    side.cancel(symbol=SYMBOL, orderId=made["orderId"])
    room.order_event(made["orderId"], "Cancelled")
    check(side.wallet()["coin"], "no coins")


@demo_case("what demo lacks over REST", code=404)
def demo_lacks(room: Any) -> int:
    http: HTTP = room.side.strict
    seen = set()
    for call, fields in (
        (http.get_fee_rates, {"category": "linear"}),
        (http.query_dcp_info, {}),
        (http.set_dcp, {"product": "DERIVATIVES", "timeWindow": 10}),
    ):
        try:
            call(**fields)
        except FailedRequestError as e:
            seen.add(int(e.status_code))
        else:
            raise CaseError(f"{call.__name__} was answered")
    check_equal(len(seen), 1, f"statuses {seen}")
    return seen.pop()


@demo_case("batch of spot orders", code=10001)
def demo_batches(room: Any) -> int:
    item = {"symbol": SYMBOL, "side": "Buy", "orderType": "Market", "qty": "10"}
    room.side.pace("create-batch")
    return refused(room.side.strict.place_batch_order, category="spot", request=[item])


@demo_case("no trade and no public WebSocket", code=404)
def demo_sockets(room: Any) -> int:
    statuses = {room.handshake(path) for path in ("/v5/trade", "/v5/public/linear")}
    check_equal(len(statuses), 1, f"statuses {statuses}")
    check_equal(room.handshake("/v5/private"), 101, "status of the private path")
    return int(statuses.pop())
