import asyncio

import pytest
from okx_server import SWAP, OkxServer, book_row

from trading_system.domain.errors import (
    ConfigurationError,
    Outcome,
    ValidationError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.runtime.clock import ManualClock
from trading_system.venues.okx.hosts import OkxHosts, okx_hosts
from trading_system.venues.okx.instruments import OkxInstType
from trading_system.venues.okx.rest import OkxPublicRest

TIME = "/api/v5/public/time"
BOOKS = "/api/v5/market/books"
TICKER = "/api/v5/market/ticker"
INSTRUMENTS = "/api/v5/public/instruments"
ROW = {
    "instId": SWAP.inst_id, "instType": "SWAP", "instFamily": "ABC-USDT", "ctVal": "0.01",
    "ctMult": "1", "ctValCcy": "ABC", "ctType": "linear", "tickSz": "0.01", "lotSz": "0.1",
    "minSz": "0.1", "state": "live",
}  # fmt: skip


def ok(*rows):
    return {"code": "0", "msg": "", "data": list(rows)}


def client(address, **options):
    hosts = OkxHosts(rest=f"http://{address}", ws=f"ws://{address}")
    return OkxPublicRest(hosts, clock=ManualClock(), **options)


async def ask(answers, question, **options):
    venue = OkxServer()
    venue.rest = answers
    async with venue.running() as address, client(address, **options) as rest:
        return await question(rest), venue, rest


async def test_time_is_in_nanoseconds():
    found, _, rest = await ask({TIME: ok({"ts": "1700000000123"})}, lambda rest: rest.time_ns())
    assert found == 1_700_000_000_123_000_000
    assert (rest.requests, rest.failures) == (1, 0)


async def test_instruments_that_cannot_be_read_are_left_out():
    answer = ok(ROW, ROW | {"instId": "NEW-USDT-SWAP", "tickSz": ""})
    found, venue, _ = await ask(
        {INSTRUMENTS: answer}, lambda rest: rest.instruments(OkxInstType.SWAP)
    )
    assert found == {SWAP.inst_id: SWAP}
    assert venue.queries[0][1] == {"instType": "SWAP"}


async def test_one_instrument_is_asked_for_by_kind_and_name():
    found, venue, _ = await ask(
        {INSTRUMENTS: ok(ROW)}, lambda rest: rest.instrument("ABC-USDT-SWAP")
    )
    assert found == SWAP
    assert venue.queries[0][1] == {"instType": "SWAP", "instId": "ABC-USDT-SWAP"}


async def test_an_unknown_instrument_is_refused():
    with pytest.raises(VenueRejected, match="no instrument 'NO-NO'"):
        await ask({INSTRUMENTS: ok()}, lambda rest: rest.instrument("NO-NO"))


async def test_an_instrument_that_makes_no_sense_is_an_impossible_answer():
    with pytest.raises(VenueUnavailable, match="impossible"):
        await ask(
            {INSTRUMENTS: ok(ROW | {"ctVal": "0"})}, lambda rest: rest.instrument(SWAP.inst_id)
        )


async def test_a_book_is_ready_with_or_without_a_sequence():
    row = book_row([("10", "5")], [("11", "6")])
    del row["checksum"]
    for extra in ({}, {"seqId": 8}):
        book, venue, _ = await ask({BOOKS: ok(row | extra)}, lambda rest: rest.book("X", size=5))
        assert (book.is_ready, book.best_bid, book.seq_id) == (
            True,
            (10.0, 5.0),
            extra.get("seqId"),
        )
        assert venue.queries[0][1] == {"instId": "X", "sz": "5"}


async def test_a_crossed_book_is_an_impossible_answer():
    with pytest.raises(VenueUnavailable, match="impossible"):
        await ask({BOOKS: ok(book_row([("12", "5")], [("11", "6")]))}, lambda rest: rest.book("X"))


@pytest.mark.parametrize("size", [0, 401])
async def test_the_size_of_a_book_is_checked_before_it_is_asked_for(size):
    with pytest.raises(ValidationError, match="1 to 400"):
        await client("127.0.0.1:9").book("X", size=size)


async def test_a_ticker_is_in_base_currency():
    row = {"instId": SWAP.inst_id, "last": "10", "bidPx": "9", "bidSz": "3", "ts": "7"}
    ticker, _, _ = await ask({TICKER: ok(row)}, lambda rest: rest.ticker(SWAP))
    assert float(ticker.bid_qty) == 0.03


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ({"code": "51001", "msg": "gone"}, VenueRejected, "51001 gone"),
        ((400, {"code": "50014", "msg": "need"}), VenueRejected, "50014 need"),
        ({"code": "odd", "msg": ""}, VenueRejected, "odd"),
        ({"code": "50011", "msg": "slow"}, VenueRateLimited, "50011"),
        ((429, {}), VenueRateLimited, "429"),
        ({"code": "50001", "msg": "maintenance"}, VenueUnavailable, "50001"),
        ((503, {}), VenueUnavailable, "HTTP 503"),
        ((404, ok()), VenueUnavailable, "HTTP 404"),
        ((200, b"<html>"), VenueUnavailable, "unreadable body"),
        ((200, b"[" * 9000), VenueUnavailable, "unreadable body"),
        ({"code": 0, "data": []}, VenueUnavailable, "unreadable body"),
        ({"code": "0", "data": {"a": 1}}, VenueUnavailable, "unreadable answer"),
        (ok(), VenueUnavailable, "0 rows"),
        (ok({"ts": "soon"}), VenueUnavailable, "impossible"),
        ((200, b" " * (17 * 1024 * 1024)), VenueUnavailable, "more than"),
    ],
)
async def test_every_failure_is_a_typed_error_of_okx(answer, kind, words):
    with pytest.raises(kind, match=words) as failure:
        await ask({TIME: answer}, lambda rest: rest.time_ns())
    assert (failure.value.venue, failure.value.operation) == ("okx", TIME)


async def test_a_silent_host_is_left_after_the_deadline():
    with pytest.raises(VenueUnavailable, match=r"no answer within 0\.05 s") as failure:
        await ask({TIME: (200, None)}, lambda rest: rest.time_ns(), timeout_s=0.05)
    assert failure.value.outcome is Outcome.UNKNOWN


async def test_nothing_is_sent_without_a_connection_or_a_session():
    with pytest.raises(VenueUnavailable, match="not open"):
        await client("127.0.0.1:9").time_ns()
    async with client("127.0.0.1:9") as rest:
        with pytest.raises(VenueUnavailable, match="cannot connect") as failure:
            await rest.time_ns()
    assert failure.value.outcome is Outcome.NOT_SENT
    assert rest.failures == 1


async def test_a_host_that_hangs_up_is_unavailable():
    async def hang_up(reader, writer):
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client(f"127.0.0.1:{port}") as rest:
        with pytest.raises(VenueUnavailable, match="connection failed"):
            await rest.time_ns()


@pytest.mark.parametrize("seconds", [0, -1, 601])
def test_a_deadline_is_positive_and_bounded(seconds):
    with pytest.raises(ValidationError, match="deadline"):
        client("127.0.0.1:9", timeout_s=seconds)


async def test_demo_requests_say_so():
    venue = OkxServer()
    venue.rest = {TIME: ok({"ts": "1"})}
    async with venue.running() as address:
        hosts = OkxHosts(rest=f"http://{address}", ws="", is_demo=True)
        async with OkxPublicRest(hosts, clock=ManualClock()) as rest:
            await rest.time_ns()
    assert venue.queries[0][2]["x-simulated-trading"] == "1"


def test_each_environment_has_its_hosts():
    live = okx_hosts("mainnet", rest_url=None, ws_url=None)
    assert live.public == "wss://ws.okx.com:8443/ws/v5/public"
    demo = okx_hosts("testnet", rest_url=None, ws_url=None)
    assert (demo.is_demo, demo.ws) == (True, "wss://wspap.okx.com:8443")
    local = okx_hosts("simulated", rest_url="http://h:1/", ws_url="ws://h:1/ws/v5/public")
    assert (local.rest, local.public) == ("http://h:1", "ws://h:1/ws/v5/public")
    mixed = okx_hosts("demo", rest_url="https://eea.okx.com", ws_url=None)
    assert (mixed.rest, mixed.is_demo) == ("https://eea.okx.com", False)


@pytest.mark.parametrize(
    ("environment", "words"), [("simulated", "TRADING_OKX__REST_URL"), ("moon", "no environment")]
)
def test_an_environment_without_hosts_is_refused(environment, words):
    with pytest.raises(ConfigurationError, match=words):
        okx_hosts(environment, rest_url=None, ws_url=None)
