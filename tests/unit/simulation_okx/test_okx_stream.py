"""Requests, acknowledgements, errors, quotas and the 30-second rule of the OKX endpoints."""

import json

import pytest

from trading_system.domain.orders import Side
from trading_system.simulation.okx_server.limits import ConnectionRate, Window
from trading_system.simulation.okx_server.requests import MAX_ARGS_BYTES

BOOKS = {"channel": "books", "instId": "BTC-USDT-SWAP"}


def subscribed(client):
    return [frame["arg"]["channel"] for frame in client.take() if "event" not in frame]


def test_each_arg_has_its_own_ack_and_its_data_only_after_it(still):
    client, channel = still.open()
    args = [BOOKS, {"channel": "tickers", "instId": "ETH-USDT-SWAP"}]
    still.ask(channel, "subscribe", *args, id="a1")
    ack, book, second_ack, ticker = client.take()
    connection = ack.pop("connId")
    assert ack == {"id": "a1", "event": "subscribe", "arg": BOOKS}
    assert len(connection) == 8
    assert second_ack == {
        "id": "a1",
        "event": "subscribe",
        "arg": args[1],
        "connId": connection,
    }
    assert (book["arg"], ticker["arg"]) == tuple(args)


def test_ack_without_id_carries_none_and_repeats_unknown_keys(still):
    client, channel = still.open()
    arg = BOOKS | {"extra": "x"}
    still.ask(channel, "subscribe", arg)
    ack, snapshot = client.take()
    assert ack["arg"] == arg
    assert "id" not in ack
    assert snapshot["arg"] == BOOKS


def test_one_bad_arg_does_not_spoil_the_others(still):
    client, channel = still.open()
    still.ask(channel, "subscribe", {"channel": "books", "instId": "NO-USDT-SWAP"}, BOOKS, id="7")
    error, ack, snapshot = client.take()
    assert (error["event"], error["code"], error["id"]) == ("error", "60018", "7")
    assert (ack["event"], snapshot["action"]) == ("subscribe", "snapshot")


def test_unsubscribe_ends_the_data_and_resubscribing_gives_a_new_snapshot(rig):
    client, channel = rig.open()
    rig.ask(channel, "subscribe", BOOKS)
    rig.ask(channel, "unsubscribe", BOOKS, id="u")
    assert client.take()[-1]["event"] == "unsubscribe"
    for _ in range(30):
        rig.step(20)
    assert client.take() == []
    rig.ask(channel, "subscribe", BOOKS)
    ack, snapshot = client.take()
    assert (ack["event"], snapshot["action"]) == ("subscribe", "snapshot")
    assert snapshot["data"][0]["prevSeqId"] == -1
    rig.ask(channel, "unsubscribe", {"channel": "trades", "instId": "BTC-USDT-SWAP"})
    assert client.take()[0]["event"] == "unsubscribe"


def test_subscribing_twice_is_acknowledged_twice_and_pushed_once(still):
    client, channel = still.open()
    still.ask(channel, "subscribe", BOOKS, BOOKS)
    assert [frame.get("action") for frame in client.take()] == [None, "snapshot", None]


@pytest.mark.parametrize(
    ("path", "channel", "code"),
    [
        ("public", "books50-l2-tbt", "64003"),
        ("public", "books-l2-tbt", "64003"),
        ("public", "account", "60011"),
        ("business", "orders-algo", "60011"),
        ("public", "candle1m", "60008"),
        ("public", "trades-all", "60008"),
        ("business", "books", "60008"),
        ("private", "books", "60008"),
        ("private", "orders", "60011"),
        ("public", "nonsense", "60018"),
        ("public", "relay", "60018"),
        ("business", "candle7m", "60018"),
        ("public", "", "60012"),
    ],
)
def test_channels_that_are_not_served_get_their_code(still, path, channel, code):
    client, stream = still.open(f"/ws/v5/{path}")
    still.follow(stream, channel)
    (error,) = client.take()
    assert (error["event"], error["code"]) == ("error", code)
    assert error["msg"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pong",
        "[]",
        "1",
        '"ping"',
        "{",
        "\ud800",
        "{" * 200_000,
        "[" * 100_000,
        "x" * 200_000,
        '{"op":1}',
        '{"op":"order","args":[]}',
        '{"op":"subscribe"}',
        '{"op":"subscribe","args":{}}',
        '{"op":"subscribe","args":[]}',
        '{"op":"subscribe","args":["tickers"]}',
        '{"op":"subscribe","args":[{"channel":5}]}',
        '{"op":"subscribe","args":[{"channel":"' + "x" * 65 + '"}]}',
        '{"op":"subscribe","args":[{"channel":"a\\u0000"}]}',
        '{"op":"subscribe","id":"a-1","args":[{"channel":"books"}]}',
        '{"op":"subscribe","id":5,"args":[{"channel":"books"}]}',
        '{"op":"subscribe","id":"' + "a" * 33 + '","args":[{"channel":"books"}]}',
    ],
)
def test_malformed_requests_are_refused_and_the_connection_stays(still, text):
    client, channel = still.open()
    channel.receive(text)
    (error,) = client.take()
    assert (error["event"], error["code"]) == ("error", "60012")
    still.ask(channel, "subscribe", BOOKS)
    assert len(client.take()) == 2


def test_args_of_more_than_64_kilobytes_are_refused(still):
    client, channel = still.open()
    size = len(json.dumps(BOOKS, separators=(",", ":")))
    fitting = MAX_ARGS_BYTES // size
    still.ask(channel, "subscribe", *[BOOKS] * (fitting + 1))
    (error,) = client.take()
    assert error["code"] == "60012"
    still.ask(channel, "subscribe", *[BOOKS] * fitting)
    assert len(client.take()) == fitting + 1


def test_ping_is_answered_with_the_plain_word_at_once(still):
    client, channel = still.open()
    channel.receive("ping")
    assert client.raw == [b"pong"]


def test_login_fails_because_there_are_no_okx_accounts(still):
    client, channel = still.open()
    still.ask(channel, "login", {"apiKey": "k"}, id="l")
    assert [(row["code"], row["id"]) for row in client.take()] == [("60009", "l")]


def test_480_requests_an_hour_are_served(rig, make_rig):
    client, channel = rig.open()
    for _ in range(240):
        rig.ask(channel, "subscribe", BOOKS)
        rig.ask(channel, "unsubscribe", BOOKS)
    assert "error" not in {frame.get("event") for frame in client.take()}
    rig.ask(channel, "subscribe", BOOKS)
    assert client.take()[0]["code"] == "60014"
    rig.clock.advance(3600)
    rig.ask(channel, "subscribe", BOOKS)
    assert client.take()[0]["event"] == "subscribe"
    free = make_rig(is_limited=False)
    client, channel = free.open()
    for _ in range(482):
        free.ask(channel, "unsubscribe", BOOKS)
    assert {frame["event"] for frame in client.take()} == {"unsubscribe"}


def test_connection_without_a_subscription_is_closed_after_30_seconds(rig):
    client, channel = rig.open()
    for _ in range(29):
        rig.step(1000, market=False)
        channel.receive("ping")
    assert client.ends == []
    rig.step(1001, market=False)
    assert client.ends == [4004]
    rig.step(1000, market=False)
    assert client.ends == [4004]
    rig.ask(channel, "subscribe", BOOKS)
    assert "event" not in {key for frame in client.take() for key in frame}


def test_quiet_subscription_is_closed_without_pings_and_kept_with_them(rig):
    silent, first = rig.open()
    pinging, second = rig.open()
    for channel in (first, second):
        rig.follow(channel, "trades")
    for _ in range(45):
        rig.step(1000, market=False)
        second.receive("ping")
    assert (silent.ends, pinging.ends) == ([4004], [])


def test_data_keeps_a_connection_without_pings(rig):
    client, channel = rig.open()
    rig.follow(channel, "books")
    for _ in range(400):
        rig.step(100)
    assert client.ends == []


def test_relay_client_may_stay_silent(rig):
    client, _channel = rig.open("/ws/l2-orderbook/okx/BTC-USDT-SWAP")
    for _ in range(90):
        rig.step(1000, market=False)
    assert client.ends == []


def test_closed_client_hears_nothing_more(rig):
    client, channel = rig.open()
    rig.ask(channel, "subscribe", BOOKS)
    client.take()
    channel.close()
    for _ in range(20):
        rig.step(20)
    assert client.take() == []
    client.is_closed = True
    rig.ask(channel, "subscribe", BOOKS)
    assert client.take() == []


@pytest.mark.parametrize(
    "path",
    ["/ws/v5/x", "/ws/v5/public/", "/ws/l2-orderbook/okx/NO", "/ws/l2-orderbook/okx/", "/v5/x"],
)
def test_unknown_paths_have_no_channel(still, path):
    assert still.side.channel_of(path) is None


def test_three_new_connections_a_second_and_address(rig, make_rig):
    admitted = [rig.side.admits("/ws/v5/public", "a") for _ in range(4)]
    assert admitted == [True, True, True, False]
    assert rig.side.admits("/ws/v5/public", "b")
    assert rig.side.admits("/ws/l2-orderbook/okx/BTC-USDT-SWAP", "a")
    assert rig.side.admits("/v5/private", "a")
    rig.clock.advance(1.0)
    assert rig.side.admits("/ws/v5/business", "a")
    free = make_rig(is_limited=False)
    assert all(free.side.admits("/ws/v5/public", "a") for _ in range(10))


def test_addresses_are_bounded():
    rate = ConnectionRate()
    for number in range(3_000):
        assert rate.take(str(number), 0.0)
    assert len(rate._windows) == 1_000


def test_refused_events_do_not_extend_a_window():
    window = Window(limit=2, length_s=10)
    assert [window.take(t) for t in (0, 1, 9, 10, 10.5, 11)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_clock_set_back_does_not_silence_streams(rig):
    client, channel = rig.open()
    rig.follow(channel, "bbo-tbt")
    rig.step()
    client.take()
    rig.clock.set_utc_ns(rig.clock.utc_ns() - 3_600_000_000_000)
    rig.venue.exchange.house_market("BTCUSDT", Side.BUY, lots=20_000, now_ms=rig.now_ms)
    for _ in range(5):
        rig.step(market=False)
    assert subscribed(client) == ["bbo-tbt"]


def test_trades_nobody_followed_are_not_pushed_to_a_later_subscriber(rig):
    first, one = rig.open()
    rig.follow(one, "trades")
    first.take()
    rig.venue.exchange.house_market("BTCUSDT", Side.BUY, lots=5, now_ms=rig.now_ms)
    one.close()
    later, two = rig.open()
    rig.follow(two, "trades")
    assert subscribed(later) == []
    rig.step(50, market=False)
    assert subscribed(later) == []


def test_candle_subscriber_before_the_first_candle_gets_only_its_ack(rig):
    rig.venue.statistics._symbols["BTCUSDT"].trades.bars.clear()
    client, channel = rig.open("/ws/v5/business")
    rig.follow(channel, "candle1m")
    rig.follow(channel, "candle1D")
    assert subscribed(client) == []


def test_two_unsubscribed_of_three_leave_the_third_served(rig):
    clients = [rig.open() for _ in range(3)]
    for _, channel in clients:
        rig.ask(channel, "subscribe", BOOKS)
    for _, channel in clients[:2]:
        rig.ask(channel, "unsubscribe", BOOKS)
    for client, _ in clients:
        client.take()
    for _ in range(30):
        rig.step(20)
    assert [bool(client.take()) for client, _ in clients] == [False, False, True]
