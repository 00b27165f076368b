import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest
from okx_server import (
    FAST,
    SPOT,
    SWAP,
    OkxServer,
    alive,
    becomes_true,
    book_row,
    data,
    jitter,
    snapshot,
    update,
)

from trading_system.domain.errors import (
    CorruptDataError,
    ValidationError,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.orders import Side
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.clock import ManualClock, SystemClock
from trading_system.venues.link_state import LinkState
from trading_system.venues.okx.feed import OkxExtras, OkxPublicFeed

NAME = SWAP.inst_id
BOOKS = ("books", NAME)


def feed(address, *instruments, **options):
    settings = {"clock": SystemClock(), "jitter": jitter(), "timing": FAST} | options
    known = {each.inst_id: each for each in instruments or (SWAP,)}
    return OkxPublicFeed(f"ws://{address}/ws/v5/public", known, **settings)


def server(**frames):
    venue = OkxServer()
    venue.frames = {BOOKS: [snapshot()]} | frames
    return venue


async def test_books_are_in_base_currency_once_every_argument_is_confirmed():
    venue, changes = server(), []
    async with venue.running() as address:
        client = feed(address, on_change=changes.append)
        assert client.depth(NAME) is None
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            bids, asks = client.depth(NAME)
            assert bids == [(10.0, pytest.approx(0.05))]
            assert asks == [(10.02, pytest.approx(0.07))]
            assert (client.is_up, client.reconnects, client.resyncs) == (True, 0, 0)
            assert client.version(NAME) == client.book(NAME).version == 1
            assert client.received_ns(NAME) is not None
            assert client.instrument(NAME) is SWAP
            assert client.frames == 2
            assert client.refused == {}
    assert changes[0] == NAME
    assert venue.requests[0]["args"] == [{"channel": "books", "instId": NAME}]


async def test_an_instrument_that_is_not_carried_is_named():
    client = feed("localhost")
    with pytest.raises(ValidationError, match=r"NOPE.*ABC-USDT-SWAP"):
        client.depth("NOPE")


async def test_a_feed_without_instruments_or_with_another_channel_is_refused():
    with pytest.raises(ValidationError, match="at least one"):
        OkxPublicFeed("ws://localhost", {}, clock=ManualClock(), jitter=jitter())
    for channel in ("trades", "relay"):
        with pytest.raises(ValidationError, match="not a book channel"):
            feed("localhost", channel=channel)


async def test_what_a_server_adds_to_an_argument_does_not_matter():
    client = feed("localhost", clock=ManualClock())
    arg = {"channel": "books", "instId": NAME, "instType": "SWAP"}

    def answer(frame):
        return client.received(json.dumps(frame | {"arg": arg}).encode(), 1)

    client.opened()
    client._link._life.state = LinkState.SUBSCRIBING
    answer({"event": "subscribe"})
    assert client.is_up
    answer(json.loads(snapshot()))
    assert "unsubscribe" in answer(json.loads(update(98, 99)))
    assert '"subscribe"' in answer({"event": "unsubscribe"})
    assert answer(json.loads(snapshot())) is None
    assert client.depth(NAME) is None
    answer({"event": "subscribe"})
    answer(json.loads(snapshot()))
    assert client.depth(NAME)


async def test_a_feed_of_best_prices_tells_both_receivers():
    venue, tops, changes = server(), [], []
    row = book_row([("10.00", "5")], [("10.02", "7")], seqId=4)
    venue.frames = {("bbo-tbt", NAME): [data(row, channel="bbo-tbt")]}
    async with venue.running() as address:
        extras = OkxExtras(on_top=tops.append)
        client = feed(address, channel="bbo-tbt", on_change=changes.append, extras=extras)
        async with alive(client):
            await becomes_true(lambda: tops)
            assert (tops, changes) == ([client.book(NAME)], [NAME])


async def test_too_many_subscriptions_for_one_request_are_refused():
    many = {f"{'A' * 60}-{n}": SWAP for n in range(800)}
    with pytest.raises(ValidationError, match="bytes of subscriptions"):
        OkxPublicFeed("ws://localhost", many, clock=ManualClock(), jitter=jitter())


async def test_a_gap_has_the_book_subscribed_anew_on_the_same_connection():
    venue, depths = server(), []
    venue.frames = {BOOKS: [[snapshot(), update(11, 12)], [snapshot(50), update(50, 51)]]}
    async with venue.running() as address:
        client = feed(address, on_change=lambda name: depths.append(client.depth(name)))
        async with alive(client):
            await becomes_true(lambda: client.book(NAME).seq_id == 51)
        assert (client.resyncs, client.reconnects, client.book(NAME).gaps) == (1, 0, 1)
    assert venue.operations() == [("subscribe", 1), ("unsubscribe", 1), ("subscribe", 1)]
    assert depths[1] is None


async def test_data_of_the_ended_subscription_does_not_fill_the_new_book():
    venue = server()
    venue.ignores_unsubscribe = True
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await venue.push(update(98, 99))
            await becomes_true(lambda: client.resyncs == 1)
            frames = client.frames
            await venue.push(snapshot(60))
            await venue.push(update(60, 61))
            await becomes_true(lambda: client.frames == frames + 2)
            assert client.depth(NAME) is None


@pytest.mark.parametrize("wakes", ["pong", "book"])
async def test_a_renewal_without_an_answer_opens_the_connection_anew(wakes):
    venue, clock = server(), ManualClock()
    venue.ignores_unsubscribe = True
    async with venue.running() as address:
        client = feed(address, clock=clock)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await venue.push(update(98, 99))
            await becomes_true(lambda: client.resyncs == 1)
            clock.advance(11)
            await venue.push("pong" if wakes == "pong" else snapshot())
            await becomes_true(lambda: client.reconnects == 1)
        assert "not answered in time" in client.reason


async def test_an_update_before_the_snapshot_has_the_book_subscribed_anew():
    venue = server()
    venue.frames = {BOOKS: [[update(1, 2)], [snapshot()]]}
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
        assert (client.resyncs, client.reconnects) == (1, 0)


async def test_a_malformed_update_is_not_waited_out():
    venue = server()
    bad = update(10, 11, bids=[("ten", "1")])
    venue.frames = {BOOKS: [[snapshot(), bad], [snapshot(90)]]}
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.book(NAME).seq_id == 90)
        assert (client.resyncs, client.rejected, client.book(NAME).rejected) == (1, 1, 1)


async def test_endless_gaps_open_the_connection_anew():
    venue = server()
    venue.frames = {BOOKS: [snapshot(), update(98, 99)]}
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.reconnects >= 1)
        assert "too many gaps" in client.reason
        assert client.resyncs == 10


async def test_keep_alives_and_a_maintenance_reset_are_not_gaps():
    venue = server()
    frames = [snapshot(77), update(77, 77), update(77, 3, bids=[("9.99", "4")]), update(3, 8)]
    venue.frames = {BOOKS: frames}
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.book(NAME).seq_id == 8)
            assert client.book(NAME).levels(Side.BUY, 5) == [(10.0, 5.0), (9.99, 4.0)]
        assert (client.resyncs, client.book(NAME).keep_alives) == (0, 1)


async def test_a_silent_server_is_pinged_and_then_left():
    venue = server()
    venue.answers_pings = False
    async with venue.running() as address:
        client = feed(address, timing=replace(FAST, ping_s=0.03, pong_s=0.03))
        async with alive(client):
            await becomes_true(lambda: client.reconnects >= 1)
        assert "after a ping" in client.reason
    assert venue.pings >= 1


async def test_a_pong_keeps_a_quiet_connection():
    venue = server()
    async with venue.running() as address:
        client = feed(address, timing=replace(FAST, ping_s=0.01, pong_s=0.25))
        async with alive(client):
            await becomes_true(lambda: venue.pings >= 2)
            assert client.reconnects == 0
            assert client.depth(NAME)


async def test_a_subscription_that_okx_ends_unasked_is_emptied_and_made_once_more():
    venue, changes = server(), []
    async with venue.running() as address:
        client = feed(address, on_change=changes.append)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            version = client.version(NAME)
            ended = {"event": "unsubscribe", "arg": {"channel": "books", "instId": NAME}}
            await venue.push(json.dumps(ended))
            await becomes_true(lambda: client.version(NAME) == version + 2)
            assert client.depth(NAME)
            assert (client.resyncs, client.reconnects, len(changes)) == (1, 0, 3)
    assert venue.operations() == [("subscribe", 1), ("subscribe", 1)]


async def test_a_subscription_that_is_ended_again_and_again_opens_the_connection_anew():
    venue = server()
    ended = {"event": "unsubscribe", "arg": {"channel": "books", "instId": NAME}}
    venue.frames = {BOOKS: [snapshot(), json.dumps(ended)]}
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.reason)
        assert "ended books ABC-USDT-SWAP unasked" in client.reason
        assert client.resyncs == 10


async def test_an_end_that_does_not_say_of_what_opens_the_connection_anew():
    venue = server()
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await venue.push('{"event":"unsubscribe"}')
            await becomes_true(lambda: client.reconnects == 1 and client.depth(NAME))
        assert "without saying which" in client.reason


async def test_level_1_is_kept_beside_the_book_and_emptied_when_okx_ends_it():
    top = data(book_row((("10.00", "5"),), (("10.02", "7"),), seqId=9), channel="bbo-tbt")
    venue = server()
    venue.frames["bbo-tbt", NAME] = [[top], []]
    async with venue.running() as address:
        client = feed(address, extras=OkxExtras(on_top=lambda _top: None))
        async with alive(client):
            await becomes_true(lambda: client.top(NAME).is_ready)
            ended = {"event": "unsubscribe", "arg": {"channel": "bbo-tbt", "instId": NAME}}
            await venue.push(json.dumps(ended))
            await becomes_true(lambda: client.resyncs == 1)
            assert not client.top(NAME).is_ready
            assert client.depth(NAME)
    assert feed("localhost").top(NAME) is None


async def test_no_ping_is_sent_while_data_flows():
    venue = server()
    async with venue.running() as address:
        client = feed(address, timing=replace(FAST, ping_s=2.0))
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
    assert venue.pings == 0


async def test_an_unconfirmed_subscription_opens_the_connection_anew():
    venue = server()
    venue.acknowledges = False
    async with venue.running() as address:
        client = feed(address, timing=replace(FAST, ping_s=0.03, pong_s=1.0))
        async with alive(client):
            await becomes_true(lambda: client.reconnects >= 1)
        assert "not confirmed" in client.reason


@pytest.mark.parametrize(
    ("code", "words"), [("60018", "no such channel"), ("64003", "higher fee tier")]
)
async def test_a_definite_refusal_ends_the_feed_and_names_the_argument(code, words):
    venue = server()
    venue.refused = {("books", "ABC-USDT"): (code, "sorry")}
    async with venue.running() as address:
        client = feed(address, SWAP, SPOT)
        with pytest.raises(VenueRejected, match=f"books ABC-USDT: {code} sorry.*{words}"):
            async with asyncio.timeout(10):
                await client.run()
    assert list(client.refused) == ["books ABC-USDT"]
    assert client.connects == 1


async def test_all_refused_arguments_are_named():
    venue = server()
    no = ("60018", "no")
    venue.refused = {("books", "ABC-USDT"): no, BOOKS: no}
    async with venue.running() as address:
        with pytest.raises(VenueRejected, match=r"books ABC-USDT-SWAP.*books ABC-USDT"):
            async with asyncio.timeout(10):
                await feed(address, SWAP, SPOT).run()


async def test_a_passing_refusal_is_tried_three_times():
    venue = server()
    venue.refused = {BOOKS: ("60014", "slow down")}
    async with venue.running() as address:
        client = feed(address)
        with pytest.raises(VenueRejected, match="60014 slow down"):
            async with asyncio.timeout(10):
                await client.run()
    assert client.connects == 3


@pytest.mark.parametrize("operation", ["subscribe", "unsubscribe"])
async def test_a_refused_renewal_is_told(operation):
    venue = server()
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            venue.ignores_unsubscribe = operation == "unsubscribe"
            venue.refused = {BOOKS: ("60014", "no")}
            await venue.push(update(98, 99))
            await becomes_true(lambda: client.resyncs == 1)
            if operation == "unsubscribe":
                error = {"event": "error", "id": "u0", "code": "60018", "msg": "not subscribed"}
                await venue.push(json.dumps(error))
            await becomes_true(lambda: client.reason)
            venue.refused = {}
            await becomes_true(lambda: client.depth(NAME))
        assert "renewal of books ABC-USDT-SWAP refused" in client.reason


async def test_the_notice_of_a_restart_opens_a_new_connection():
    venue = server()
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await venue.push(json.dumps({"event": "notice", "code": "60000", "msg": "hello"}))
            await venue.push(json.dumps({"event": "notice", "code": "64008", "msg": "bye"}))
            await becomes_true(lambda: client.reconnects == 1 and client.depth(NAME))
        assert "64008 bye" in client.reason


GARBAGE = [
    "",
    "ping",
    "null",
    "[]",
    "3",
    "{}",
    '"pong"',
    "{",
    "[" * 5000,
    '{"event":3}',
    '{"event":"subscribe"}',
    '{"event":"error","code":"60012","msg":"what"}',
    '{"event":"error","code":60012}',
    '{"arg":{"channel":"books"},"data":[]}',
    '{"arg":{"channel":"books","instId":"OTHER"},"data":[]}',
    '{"data":[],"arg":{"instId":"ABC-USDT-SWAP","channel":"trades"}}',
    '{"arg":{"channel":"books","instId":"ABC-USDT-SWAP"},"action":"delete","data":[]}',
    '{"arg":{"channel":"books","instId":"ABC-USDT-SWAP"},"action":"update","data":[{}]}',
    '{"arg":{"channel":"books","instId":"ABC-USDT-SWAP"},"action":"update","data":{"a":1}}',
    data({"asks": [["1"]], "bids": [], "ts": "1", "prevSeqId": 10, "seqId": 11}),
    data({"asks": [], "bids": [], "ts": 5, "prevSeqId": 10, "seqId": 11}),
    b"\x00\x01",
]


@pytest.mark.parametrize("frame", GARBAGE)
async def test_garbage_opens_the_connection_anew(frame):
    venue = server()
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await venue.push(frame)
            await becomes_true(lambda: client.reconnects == 1 and client.depth(NAME))
        assert "untrusted frame" in client.reason or "unexpected frame type" in client.reason


async def test_an_oversized_frame_opens_the_connection_anew():
    venue = server()
    async with venue.running() as address:
        client = feed(address)
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            with suppress(ConnectionError):
                await venue.push(json.dumps({"x": "y" * (5 * 1024 * 1024)}))
            await becomes_true(lambda: client.reconnects == 1 and client.depth(NAME))


async def test_a_lost_connection_empties_the_books_until_the_next_snapshot():
    venue, seen = server(), []
    async with venue.running() as address:
        client = feed(address, on_change=lambda name: seen.append(client.depth(name) is not None))
        async with alive(client):
            await becomes_true(lambda: client.depth(NAME))
            await venue.sockets[0].close(code=4008)
            await becomes_true(lambda: client.reconnects == 1 and client.depth(NAME))
        assert "4008" in client.reason
    assert seen[:3] == [True, False, True]


async def test_it_gives_up_when_the_back_off_ends():
    timing = replace(FAST, backoff=Backoff(first_s=0.001, max_s=0.001, attempts=1))
    client = feed("127.0.0.1:9", timing=timing)
    with pytest.raises(VenueUnavailable, match=r"okx stream\.connect: gave up"):
        async with asyncio.timeout(10):
            await client.run()


async def test_full_channels_replace_the_book_and_outlive_a_refused_message():
    venue = server()
    good = book_row([("10.00", "5")], [("10.02", "7")], seqId=4)
    crossed = book_row([("10.03", "5")], [("10.02", "7")], seqId=5)
    last = book_row([("9.00", "1")], [("9.50", "2")], seqId=9)
    frames = [data(row, channel="books5") for row in (good, crossed, last)]
    venue.frames = {("books5", NAME): frames}
    async with venue.running() as address:
        client = feed(address, channel="books5")
        async with alive(client):
            await becomes_true(lambda: client.book(NAME).seq_id == 9)
            assert client.book(NAME).get_depth(5) == {"bids": [(9.0, 1.0)], "asks": [(9.5, 2.0)]}
        assert (client.resyncs, client.rejected, client.book(NAME).crossed) == (0, 1, 1)


async def test_other_channels_reach_their_receivers_in_base_currency():
    venue, trades, tickers, tops, instruments = server(), [], [], [], []
    trade = {"instId": NAME, "tradeId": "7", "px": "10", "sz": "3", "side": "sell", "ts": "1"}
    ticker = {"instId": NAME, "last": "10", "bidPx": "9", "bidSz": "3", "askPx": "", "ts": "2"}
    row = {
        "instId": NAME, "instType": "SWAP", "instFamily": "ABC-USDT", "ctVal": "0.1",
        "ctMult": "", "ctValCcy": "ABC", "ctType": "linear", "tickSz": "0.01", "lotSz": "1",
        "minSz": "1", "state": "suspend",
    }  # fmt: skip
    other = row | {"instId": "XYZ-USDT-SWAP", "ctVal": "nonsense"}
    top = book_row([("10.00", "5")], [("10.02", "7")], seqId=4)
    venue.frames |= {
        ("trades", NAME): [data([trade, trade | {"side": "buy"}], channel="trades")],
        ("tickers", NAME): [data(ticker, channel="tickers")],
        ("bbo-tbt", NAME): [data(top, channel="bbo-tbt")],
        ("instruments", ""): [
            json.dumps(
                {"arg": {"channel": "instruments", "instType": "SWAP"}, "data": [other, row]}
            )
        ],
    }
    extras = OkxExtras(on_top=tops.append, on_instrument=instruments.append)
    async with venue.running() as address:
        client = feed(address, on_trade=trades.append, on_ticker=tickers.append, extras=extras)
        async with alive(client):
            await becomes_true(lambda: instruments and client.is_up)
            assert client.depth(NAME)[0] == [(10.0, 0.5)]  # by the new contract value
            assert client.instrument(NAME).is_live is False
    assert [(each.side, each.quantity) for each in trades] == [
        (Side.SELL, pytest.approx(0.03)),
        (Side.BUY, pytest.approx(0.03)),
    ]
    assert (float(tickers[0].bid_qty), tickers[0].ask_price) == (0.03, None)
    assert tops[0].levels(Side.BUY, 1) == [(10.0, 5.0)]


@pytest.mark.parametrize("channel", ["trades", "tickers"])
async def test_impossible_rows_of_other_channels_open_the_connection_anew(channel):
    venue = server()
    row = {"instId": NAME, "tradeId": "7", "px": "-1", "sz": "3", "side": "buy", "ts": "1"}
    row |= {"last": "nan"}
    async with venue.running() as address:
        client = feed(address, on_trade=print, on_ticker=print)
        async with alive(client):
            await becomes_true(lambda: client.is_up)
            await venue.push(data(row, channel=channel))
            await becomes_true(lambda: client.reconnects == 1)
            await becomes_true(lambda: client.is_up)
            await venue.push(data(row, channel=channel, inst_id="OTHER"))
            await becomes_true(lambda: client.reconnects == 2)


async def test_only_single_answers_tell_which_argument_is_refused():
    client = feed("localhost", SWAP, SPOT, clock=ManualClock())

    def answer(event, name, arg=None, code="60014"):
        frame = {"event": event, "id": name, "code": code, "msg": "no"}
        return client.received(json.dumps(frame | ({"arg": arg} if arg else {})).encode(), 1)

    first, second = json.loads(client.opened())["args"]
    assert json.loads(answer("error", "all"))["args"] == [first]
    assert answer("error", "all") is None  # about another argument of the same request
    assert answer("subscribe", "all", second) is None
    assert answer("error", "s1") is None  # confirmed since: not refused
    assert answer("unsubscribe", "x", first) is None
    with pytest.raises(CorruptDataError, match="books ABC-USDT-SWAP: 60014 no"):
        answer("error", "s0")
    with pytest.raises(CorruptDataError, match="without a request"):
        answer("error", "s99")


async def test_a_confirmed_argument_makes_way_for_the_next_one():
    client = feed("localhost", SWAP, SPOT, clock=ManualClock())
    first, second = json.loads(client.opened())["args"]
    client.received(b'{"event":"error","id":"all","code":"60018","msg":"no"}', 1)
    frame = {"event": "subscribe", "id": "s0", "arg": first}
    assert json.loads(client.received(json.dumps(frame).encode(), 1))["args"] == [second]


async def test_data_of_an_unwanted_channel_opens_the_connection_anew():
    client = feed("localhost", clock=ManualClock())
    for frame in (b'{"x":1}', data([], channel="trades").encode()):
        with pytest.raises(CorruptDataError):
            client.received(frame, 1)


async def test_the_hourly_budget_of_requests_is_kept_per_connection():
    client = feed("localhost", clock=ManualClock())
    client.opened()
    arg = client._subscriptions._args[0]
    for _ in range(479):
        client._subscriptions.renew(arg)
    with pytest.raises(CorruptDataError, match="480"):
        client._subscriptions.renew(arg)
    client.opened()
    assert client._subscriptions.renew(arg)
