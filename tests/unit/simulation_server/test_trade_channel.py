"""The trade WebSocket channel, frame by frame, without a socket."""

import json

import pytest
from venue_rig import X, fresh_exchange

from trading_system.runtime.clock import ManualClock
from trading_system.simulation.bybit_server.limits import FRAME_LIMIT, RequestLimits
from trading_system.simulation.bybit_server.order_desk import OrderDesk
from trading_system.simulation.bybit_server.parameters import Fields
from trading_system.simulation.bybit_server.signing import sign, stream_text
from trading_system.simulation.bybit_server.trade_stream import TradeChannel
from trading_system.simulation.faults.engine import FaultEngine

NOW = 1_700_000_000_000
ORDER = {
    "category": "linear",
    "symbol": X,
    "side": "Buy",
    "orderType": "Limit",
    "qty": "5",
    "price": "9.90",
}


class Line:
    """What the channel needs of a session; delayed things happen at once."""

    connection_id = "c1"
    address = "127.0.0.1"

    def __init__(self):
        self.sent = []
        self.is_finished = False

    def push(self, payload):
        self.sent.append(json.loads(payload))

    def later_push(self, payload):
        self.push(payload)

    def later(self, action):
        action()

    def finish(self):
        self.is_finished = True


class Client:
    def __init__(self, *, lag_ms=0):
        self.exchange = fresh_exchange()
        self.line = Line()
        limits = RequestLimits(is_enforced=True)
        desk = OrderDesk(self.exchange, limits, advance=lambda now_ms: now_ms - lag_ms)
        self.desk, self.account = desk, self.exchange.accounts[1]
        self.channel = TradeChannel(
            self.line,
            desk,
            accounts={"k": self.account},
            now_ms=lambda: NOW,
            market_ms=lambda: NOW,
            faults=FaultEngine(seed=1, clock=ManualClock()),
        )

    def ask(self, **frame):
        self.channel.receive(json.dumps(frame))
        return self.line.sent[-1]

    def auth(self, **extra):
        expires = NOW + 5000
        return self.ask(
            op="auth", args=["k", expires, sign("s", stream_text(str(expires)))], **extra
        )

    def create(self, *, stamp=NOW, **extra):
        frame = {"op": "order.create", "header": {"X-BAPI-TIMESTAMP": stamp}, "args": [ORDER]}
        return self.ask(**{**frame, **extra})


@pytest.fixture
def client():
    made = Client()
    made.auth()
    return made


def test_auth_once_and_nothing_without_it():
    client = Client()
    assert client.create()["retCode"] == 10003
    assert client.line.is_finished
    reply = client.auth(reqId="a1")
    assert (reply["reqId"], reply["retCode"], reply["connId"]) == ("a1", 0, "c1")
    assert client.auth()["retCode"] == 20001


@pytest.mark.parametrize("stamp", [NOW, str(NOW)])
@pytest.mark.parametrize("window", [5000, "5000", None])
def test_header_values_are_numbers_or_texts(client, stamp, window):
    header = {"X-BAPI-TIMESTAMP": stamp, "X-BAPI-RECV-WINDOW": window, "Referer": "me"}
    reply = client.create(header=header, reqId="r1")
    assert (reply["retCode"], reply["reqId"], reply["op"]) == (0, "r1", "order.create")
    assert all(isinstance(value, str) for value in reply["header"].values())
    assert client.exchange.find_order(1, order_id=reply["data"]["orderId"])


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"reqId": "x" * 37}, 10001),
        ({"reqId": 7}, 10001),
        ({"reqId": "taken"}, 20006),
        ({"header": None}, 10001),
        ({"header": {}}, 10001),
        ({"stamp": NOW - 6000}, 10002),
        ({"stamp": NOW + 1000}, 10002),
        ({"op": "order.replace"}, 10404),
        ({"op": "order.cancel-all"}, 10404),
        ({"op": "order.pre-check"}, 10404),
        ({"args": []}, 10001),
        ({"args": [ORDER, ORDER]}, 10001),
        ({"args": ORDER}, 10001),
        ({"args": [{**ORDER, "category": "option"}]}, 10404),
        ({"args": [{**ORDER, "category": "moon"}]}, 10404),
        ({"args": [{**ORDER, "category": None}]}, 10001),
        ({"args": [{**ORDER, "qty": "0.5"}]}, 110094),
    ],
)
def test_refusals_have_their_code_and_the_shape_of_an_answer(client, frame, code):
    client.create(reqId="taken")
    reply = client.create(**frame)
    assert (reply["retCode"], reply["data"], reply["retExtInfo"]) == (code, {}, {})
    assert len(client.exchange.open_orders(1)) == 1


def test_quota_is_shared_with_rest(client):
    for _ in range(4):
        client.desk.run("order.create", client.account, read=lambda: Fields(ORDER), now_ms=NOW)
    codes = [client.create()["retCode"] for _ in range(7)]
    assert codes == [0] * 6 + [10006]
    assert client.line.sent[-1]["header"]["X-Bapi-Limit-Status"] == "0"


def test_an_address_has_three_thousand_frames_a_second(client):
    for _ in range(FRAME_LIMIT):
        client.desk.admits("127.0.0.1", now_ms=NOW)
    assert client.create()["retCode"] == 10403
    assert client.desk.admits("127.0.0.1", now_ms=NOW + 1001)


def test_venue_that_is_behind_protects_itself():
    client = Client(lag_ms=5_000)
    client.auth()
    assert client.create()["retCode"] == 10429


def test_batch_answers_item_by_item(client):
    items = [ORDER, {**ORDER, "qty": "0.5"}]
    body = {"category": "linear", "request": items}
    reply = client.create(op="order.create-batch", args=[body])
    assert reply["retCode"] == 0
    assert [each["code"] for each in reply["retExtInfo"]["list"]] == [0, 110094]
    assert [bool(each["orderId"]) for each in reply["data"]["list"]] == [True, False]


def test_credits_left_admit_the_first_of_a_batch(client):
    body = {"category": "linear", "request": [ORDER] * 8}
    client.create(op="order.create-batch", args=[{**body, "request": [ORDER] * 5}])
    reply = client.create(op="order.create-batch", args=[body])
    codes = [each["code"] for each in reply["retExtInfo"]["list"]]
    assert codes == [0] * 5 + [10006] * 3


def test_ping_and_noise(client):
    assert client.ask(op="ping", reqId="p")["data"] == [str(NOW)]
    client.channel.receive("[]")
    assert client.line.sent[-1]["retCode"] == 10001
