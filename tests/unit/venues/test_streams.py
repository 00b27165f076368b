import asyncio
import itertools
import json

import pytest
from bybit_rig import FAST, StreamVenue, alive, becomes_true, jitter, signer

from trading_system.domain.errors import (
    CorruptDataError,
    InvariantViolated,
    SequenceGapError,
    ValidationError,
    VenueAuthError,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.clock import ManualClock, SystemClock
from trading_system.venues.bybit.streams import BybitStream, StreamCallbacks
from trading_system.venues.link import LinkTiming
from trading_system.venues.link_state import LinkState

ORDER = '{"topic":"order","data":[]}'
BOOK = "orderbook.50.ABCUSDT"


class Ear:
    def __init__(self):
        self.frames = []
        self.downs = []
        self.resyncs = []
        self.ups = 0
        self.up = asyncio.Event()
        self.heard = asyncio.Event()
        self.down = asyncio.Event()
        self.errors = []

    def on_frame(self, frame, received_ns):
        self.frames.append(frame)
        self.heard.set()
        if self.errors:
            raise self.errors.pop(0)

    def on_up(self):
        self.ups += 1
        self.up.set()

    def on_down(self, reason):
        self.downs.append(reason)
        self.down.set()

    def callbacks(self):
        return StreamCallbacks(
            on_frame=self.on_frame,
            on_up=self.on_up,
            on_down=self.on_down,
            on_resync=self.resyncs.append,
        )


def stream(url, ear, *topics, **options):
    settings = {"clock": SystemClock(), "jitter": jitter(), "timing": FAST} | options
    return BybitStream(url, topics or ["order"], callbacks=ear.callbacks(), **settings)


async def test_it_logs_in_before_it_subscribes_and_delivers_frames():
    venue, ear = StreamVenue(), Ear()
    venue.frames = [ORDER]
    async with venue.running() as url:
        client = stream(url, ear, signer=signer())
        assert client.state is LinkState.IDLE
        async with alive(client):
            await ear.heard.wait()
            assert (client.is_up, client.connects, client.frames > 1) == (True, 1, True)
            assert client.last_frame_ns is not None
            assert client.reason is None
    assert venue.operations() == ["auth", "subscribe"]
    assert ear.frames == [ORDER.encode()]
    assert client.state is LinkState.CLOSED


async def test_it_pings_at_once_so_that_silence_can_be_judged():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url, alive(stream(url, ear)):
        await ear.up.wait()
        await becomes_true(lambda: {"op": "ping"} in venue.requests)


async def test_a_refused_key_ends_the_stream_with_a_typed_error():
    venue, ear = StreamVenue(), Ear()
    venue.accepts_key = False
    async with venue.running() as url:
        with pytest.raises(VenueAuthError, match="one environment"):
            async with asyncio.timeout(10):
                await stream(url, ear, signer=signer()).run()
    assert not ear.up.is_set()


async def test_a_lost_connection_is_told_opened_anew_and_logged_in_again():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url:
        client = stream(url, ear, signer=signer())
        async with alive(client):
            await ear.up.wait()
            await venue.sockets[0].close()
            await becomes_true(lambda: ear.ups == 2)
    assert client.connects == 2
    assert "closed" in client.reason
    assert venue.operations() == ["auth", "subscribe"] * 2


@pytest.mark.parametrize("frame", ['no json "op":', '{"op":{}}', '{"op":' + "[" * 5000])
async def test_a_control_frame_that_cannot_be_read_drops_the_connection(frame):
    venue, ear = StreamVenue(), Ear()
    venue.frames = [frame]
    async with venue.running() as url, alive(stream(url, ear)):
        await ear.down.wait()
    assert "control frame" in ear.downs[0]


async def test_a_binary_frame_drops_the_connection():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url, alive(stream(url, ear)):
        await ear.up.wait()
        await venue.sockets[0].send_bytes(b"{}")
        await ear.down.wait()
    assert "unexpected frame type" in ear.downs[0]


async def test_a_frame_that_cannot_be_trusted_drops_the_connection():
    venue, ear = StreamVenue(), Ear()
    venue.frames, ear.errors = [ORDER], [CorruptDataError("garbage")]
    async with venue.running() as url, alive(stream(url, ear)):
        await ear.down.wait()
    assert "garbage" in ear.downs[0]


async def test_a_duplicate_frame_is_handed_out_like_any_other():
    venue, ear = StreamVenue(), Ear()
    venue.frames = [ORDER, ORDER]
    async with venue.running() as url, alive(stream(url, ear)):
        await becomes_true(lambda: len(ear.frames) == 2)
    assert ear.downs == []


async def test_a_refused_topic_is_named_and_ends_the_stream_when_it_stays_refused():
    venue, ear = StreamVenue(), Ear()
    venue.refused_topics = {"bad"}
    async with venue.running() as url:
        client = stream(url, ear, "order", "bad", "wallet")
        with pytest.raises(VenueRejected, match=r"bad \(Invalid topic"):
            async with asyncio.timeout(10):
                await client.run()
    assert list(client.refused_topics) == ["bad"]
    assert (client.connects, ear.ups, client.is_up) == (3, 0, False)
    assert "bad" in ear.downs[0]


async def test_a_topic_that_is_accepted_at_the_second_try_is_enough():
    venue, ear = StreamVenue(), Ear()
    venue.refused_topics = {"bad"}
    async with venue.running() as url:
        client = stream(url, ear, "order", "bad")
        async with alive(client):
            await ear.down.wait()
            venue.refused_topics = set()
            await ear.up.wait()
            assert client.is_up
    assert client.refused_topics == {}


async def test_a_refusal_of_all_that_is_none_of_one_is_no_refusal():
    venue, ear = StreamVenue(), Ear()
    refusals = ["refused", "error:already subscribed"]

    async def answer(socket, asked):
        if asked["op"] == "subscribe":
            text = refusals.pop(0) if refusals else ""
            await socket.send_json(
                {"op": "subscribe", "success": not text, "ret_msg": text, "req_id": ""}
            )

    venue.answer = answer
    async with venue.running() as url, alive(stream(url, ear, "order", "wallet")):
        await ear.up.wait()
    assert ear.downs == []


async def test_an_unreachable_host_is_tried_again_with_back_off():
    ear = Ear()
    client = stream("ws://127.0.0.1:9/ws", ear)
    async with alive(client):
        await becomes_true(lambda: len(ear.downs) == 3)
    assert "cannot connect" in ear.downs[0]
    assert client.connects == 0


async def test_the_back_off_has_an_end():
    timing = LinkTiming(spacing_s=0.0, backoff=Backoff(first_s=0.001, max_s=0.001, attempts=2))
    ear = Ear()
    with pytest.raises(VenueUnavailable, match="gave up"):
        await stream("ws://127.0.0.1:9/ws", ear, timing=timing).run()
    assert len(ear.downs) == 3


async def test_a_connection_that_lasted_begins_the_back_off_anew():
    timing = LinkTiming(spacing_s=0.0, backoff=Backoff(first_s=0.001, max_s=0.001, attempts=1))
    venue, ear, clock = StreamVenue(), Ear(), ManualClock()
    async with venue.running() as url:
        client = stream(url, ear, timing=timing, clock=clock)
        async with alive(client):
            for number in range(3):
                await becomes_true(lambda n=number: ear.ups == n + 1)
                clock.advance(31)
                await venue.sockets[number].close()
            await becomes_true(lambda: ear.ups == 4)
    assert client.connects == 4


async def test_without_a_connection_there_is_nothing_to_drop_or_to_send_on():
    client = stream("ws://x", Ear())
    await client._link.drop("nothing")
    with pytest.raises(VenueUnavailable, match="no connection"):
        await client._link.send("{}")


async def test_the_log_in_is_stamped_with_the_venues_time():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url:
        client = stream(
            url,
            ear,
            clock=ManualClock(),
            signer=signer(),
            offset_ns=lambda: 3_600 * 1_000_000_000,
        )
        async with alive(client):
            await ear.up.wait()
    asked = next(r for r in venue.requests if r["op"] == "auth")
    assert asked["args"][1] == 1_700_000_000_000 + 3_600_000 + 5_000


QUICK = LinkTiming(
    ping_s=0.05, spacing_s=0.0, backoff=Backoff(first_s=0.001, max_s=0.001, attempts=99)
)


async def test_a_connection_that_never_gets_through_is_opened_anew():
    venue, ear = StreamVenue(), Ear()
    venue.is_mute = True
    async with venue.running() as url, alive(stream(url, ear, timing=QUICK)):
        await ear.down.wait()
    assert "silent" in ear.downs[0]
    assert not ear.up.is_set()


async def test_a_log_in_that_is_not_confirmed_in_time_is_begun_anew():
    venue, ear = StreamVenue(), Ear()

    async def pong_only(socket, asked):
        if asked["op"] == "ping":
            await socket.send_json({"op": "pong"})

    venue.answer = pong_only
    async with venue.running() as url, alive(stream(url, ear, timing=QUICK)):
        await ear.down.wait()
    assert "not confirmed" in ear.downs[0]


async def test_a_connection_that_falls_silent_is_opened_anew():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url, alive(stream(url, ear, timing=QUICK)):
        await ear.up.wait()
        venue.is_mute = True
        await ear.down.wait()
    assert "silent" in ear.downs[0]


async def test_attempts_keep_their_distance():
    timing = LinkTiming(spacing_s=0.02, backoff=Backoff(first_s=1e-6, max_s=1e-6, attempts=99))
    clock, starts, ear = SystemClock(), [], Ear()
    client = stream("ws://127.0.0.1:9/ws", ear, timing=timing, clock=clock)
    async with alive(client):
        for number in range(3):
            await becomes_true(lambda n=number: len(ear.downs) > n)
            starts.append(clock.monotonic_ns())
    assert min(b - a for a, b in itertools.pairwise(starts)) > 10_000_000


async def test_a_stream_that_was_cancelled_is_not_up():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url:
        client = stream(url, ear)
        async with alive(client):
            await ear.up.wait()
    assert not client.is_up


async def test_an_error_of_the_receiver_leaves_as_itself():
    venue, ear = StreamVenue(), Ear()
    venue.frames, ear.errors = [ORDER], [InvariantViolated("filled 2 of 1")]
    async with venue.running() as url:
        with pytest.raises(InvariantViolated):
            async with asyncio.timeout(10):
                await stream(url, ear).run()


def book_frame(kind="delta"):
    return json.dumps({"topic": BOOK, "type": kind, "data": {}}, separators=(",", ":"))


async def test_a_gap_renews_one_topic_without_a_new_connection():
    venue, ear = StreamVenue(), Ear()
    ear.errors = [SequenceGapError("lost"), SequenceGapError("still lost")]
    async with venue.running() as url:
        client = stream(url, ear, BOOK, "order")
        async with alive(client):
            await ear.up.wait()
            await venue.sockets[0].send_str(book_frame())
            await venue.sockets[0].send_str(book_frame())
            await becomes_true(lambda: len(venue.operations()) == 3)
            await becomes_true(lambda: len(ear.frames) == 2)
    assert venue.operations() == ["subscribe", "unsubscribe", "subscribe"]
    assert [r["args"] for r in venue.requests if r["op"] != "ping"][1:] == [[BOOK], [BOOK]]
    assert (client.connects, client.resyncs, ear.resyncs, ear.downs) == (1, 1, [BOOK], [])


async def test_a_gap_of_an_unknown_topic_drops_the_connection():
    venue, ear = StreamVenue(), Ear()
    venue.frames, ear.errors = [book_frame()], [SequenceGapError("lost")]
    async with venue.running() as url, alive(stream(url, ear, "order")):
        await ear.down.wait()
    assert "not subscribed" in ear.downs[0]


async def test_too_many_gaps_open_the_connection_anew():
    venue, ear = StreamVenue(), Ear()
    venue.frames = [book_frame()]
    ear.errors = [SequenceGapError("lost") for _ in range(11)]
    async with venue.running() as url, alive(stream(url, ear, BOOK)):
        await ear.down.wait()
    assert "too many gaps" in ear.downs[0]
    assert len(ear.resyncs) == 10


async def test_a_refused_renewal_opens_the_connection_anew():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url:
        client = stream(url, ear, BOOK)
        async with alive(client):
            await ear.up.wait()
            venue.refused_topics = {BOOK}
            assert await client.resync(BOOK)
            assert not await client.resync(BOOK)
            await ear.down.wait()
            venue.refused_topics = set()
    assert "renewal" in ear.downs[0]


async def test_a_whole_stream_can_be_asked_to_resynchronise():
    venue, ear = StreamVenue(), Ear()
    async with venue.running() as url:
        client = stream(url, ear)
        assert not await client.resync()
        async with alive(client):
            await ear.up.wait()
            assert await client.resync()
            await becomes_true(lambda: ear.ups == 2)
        with pytest.raises(ValidationError):
            await client.resync("another")
    assert "resynchronisation" in ear.downs[0]


def test_more_topics_than_one_connection_may_carry_are_refused():
    with pytest.raises(ValidationError):
        stream("ws://x", Ear(), *["x" * 100] * 211)


def test_a_reconnect_storm_is_bounded():
    delays = list(LinkTiming().backoff.delays(jitter()))
    spaced = [max(delay, LinkTiming().spacing_s) for delay in delays[:1000]]
    assert sum(elapsed <= 300 for elapsed in itertools.accumulate(spaced)) < 100
    assert min(spaced) >= 1.0


async def test_a_log_in_that_came_too_late_is_no_word_against_the_key():
    venue, ear = StreamVenue(), Ear()
    refusals = ["Params Error: request expired"]
    accept = venue.on_auth

    async def on_auth(socket, asked):
        if refusals:
            await socket.send_json({"op": "auth", "success": False, "ret_msg": refusals.pop()})
        else:
            await accept(socket, asked)

    venue.on_auth = on_auth
    doubts = []
    async with venue.running() as url:
        client = stream(url, ear, signer=signer(), on_late=lambda: doubts.append(ear.downs[:]))
        async with alive(client):
            await ear.up.wait()
    assert "too late" in ear.downs[0]
    assert doubts == [[]]


async def test_a_key_that_is_always_too_late_ends_the_stream():
    venue, ear = StreamVenue(), Ear()

    async def on_auth(socket, asked):
        await socket.send_json({"op": "auth", "success": False, "ret_msg": "request expired"})

    venue.on_auth = on_auth
    async with venue.running() as url:
        client = stream(url, ear, signer=signer(), timing=QUICK)
        with pytest.raises(VenueAuthError):
            async with asyncio.timeout(10):
                await client.run()
    assert client.connects == 4


async def test_a_log_in_that_is_answered_twice_ends_nothing():
    venue, ear = StreamVenue(), Ear()
    venue.frames = [ORDER]
    accept = venue.on_auth

    async def twice(socket, asked):
        await accept(socket, asked)
        await accept(socket, asked)

    venue.on_auth = twice
    async with venue.running() as url:
        client = stream(url, ear, signer=signer())
        async with alive(client):
            await ear.heard.wait()
            await venue.sockets[0].send_json({"op": "auth", "success": True})
            await venue.sockets[0].send_str(ORDER)
            await becomes_true(lambda: len(ear.frames) == 2)
            assert (client.is_up, client.connects, ear.downs) == (True, 1, [])


async def test_an_unanswered_subscription_is_repeated_and_then_named():
    venue, ear, clock = StreamVenue(), Ear(), ManualClock()

    async def ignore_subscriptions(socket, asked):
        if asked["op"] == "ping":
            await socket.send_json({"op": "pong"})

    venue.answer = ignore_subscriptions
    async with venue.running() as url:
        client = stream(url, ear, "order", "wallet", clock=clock)
        async with alive(client):
            for asked in (1, 2):
                await becomes_true(lambda n=asked: len(venue.operations()) == n)
                clock.advance(4.0)
                await venue.sockets[0].send_str(ORDER)
            await ear.down.wait()
    assert venue.operations() == ["subscribe"] * 2
    assert "no answer to subscribe of order, wallet" in ear.downs[0]
    assert (client.unanswered, client.unconfirmed_topics) == (2, ["order", "wallet"])


async def test_a_stream_whose_ping_brings_nothing_is_suspect_until_the_next_frame():
    venue, ear = StreamVenue(), Ear()
    timing = LinkTiming(ping_s=0.3, backoff=QUICK.backoff)
    async with venue.running() as url:
        client = stream(url, ear, timing=timing)
        async with alive(client):
            await ear.up.wait()
            venue.is_mute = True
            await becomes_true(lambda: client.state is LinkState.SUSPECT)
            assert not client.is_up
            await venue.sockets[0].send_str(ORDER)
            await becomes_true(lambda: client.state is LinkState.LIVE)
            assert client.silent_s < 0.3
    assert client.connects == 1


async def test_a_spot_stream_asks_for_ten_topics_at_a_time():
    ear = Ear()
    client = stream("ws://x/v5/public/spot", ear, *[f"t{n}" for n in range(11)])
    first = json.loads(client.opened())
    assert len(first["args"]) == 10
    answer = {"op": "subscribe", "success": True, "req_id": first["req_id"]}
    rest = json.loads(client.received(json.dumps(answer).encode(), 1))
    assert rest["args"] == ["t10"]
    assert client.unconfirmed_topics == ["t10"]
