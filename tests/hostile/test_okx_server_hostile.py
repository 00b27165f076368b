"""The OKX side of the embedded venue under requests that no OKX client would send."""

import json
import time

import pytest

pytestmark = pytest.mark.browser

BOOKS = {"channel": "books", "instId": "BTC-USDT-SWAP"}
REFUSED_PATHS = (
    "/api/v5/public/instruments",
    "/api/v5/public/instruments?instType=%00",
    "/api/v5/public/instruments?instType=SWAP&instId=" + "A" * 5000,
    "/api/v5/market/books",
    "/api/v5/market/books?instId=%ff%ed%a0%80",
    "/api/v5/market/books?instId=BTC-USDT-SWAP&sz=0",
    "/api/v5/market/books?instId=BTC-USDT-SWAP&sz=-1",
    "/api/v5/market/books?instId=BTC-USDT-SWAP&sz=1.5",
    "/api/v5/market/books?instId=BTC-USDT-SWAP&sz=%D9%A3",
    "/api/v5/market/books?instId=BTC-USDT-SWAP&sz=" + "9" * 5000,
    "/api/v5/market/candles?instId=BTC-USDT-SWAP&after=abc",
)
REFUSED_FRAMES = {
    "empty": "",
    "not an object": "[]",
    "too deep": "[" * 3500,
    "a zero byte": "\0",
    "upper case ping": "PING",
    "op of a wrong type": '{"op":1}',
    "no args": '{"op":"subscribe"}',
    "args are text": '{"op":"subscribe","args":"books"}',
    "args of mixed types": '{"op":"subscribe","args":[1,null,[],"x"]}',
    "arg without channel": '{"op":"subscribe","args":[{}]}',
    "number as instrument": '{"op":"subscribe","args":[{"channel":"books","instId":5}]}',
    "lone surrogate": '{"op":"subscribe","args":[{"channel":"books","instId":"\\ud800"}]}',
    "channel of a fee tier": '{"op":"subscribe","args":[{"channel":"books-l2-tbt",'
    '"instId":"BTC-USDT-SWAP"}]}',
    "log-in": '{"op":"login","args":[{}]}',
    "order": '{"op":"order","args":[{}]}',
    "id that is too long": '{"id":"' + "x" * 3000 + '","op":"subscribe","args":[]}',
}


@pytest.fixture
def venue(start_venue):
    return start_venue("--limits", "off")


def test_bad_parameters_are_refused_in_okx_words(venue):
    for path in REFUSED_PATHS:
        status, answer = venue.send("GET", path)
        assert status == 200, path
        assert answer["code"] != "0", path
        assert answer["data"] == [], path


def test_bad_frames_are_answered_with_an_error_and_the_venue_lives(venue):
    for name, text in REFUSED_FRAMES.items():
        link = venue.websocket("/ws/v5/public")
        link.send_frame(text)
        assert b'"event":"error"' in link.link.recv(4096), name
        link.close()
    assert venue.send("GET", "/api/v5/public/time")[1]["code"] == "0"
    assert venue.stop() == 0


def test_frames_against_the_protocol_end_only_their_connection(venue):
    for frame, options in ((b"ping", {"opcode": 2}), (b"\xff", {}), (b"a", {"size": 2**62})):
        link = venue.websocket("/ws/v5/public")
        link.send_frame(frame, **options)
        assert link.read(deadline_s=2.0)[:1] == b"\x88"
        link.close()
    assert venue.send("GET", "/api/v5/public/time")[1]["code"] == "0"


def test_subscribers_that_never_read_do_not_fill_the_memory(venue):
    before = venue.rss_bytes()
    request = json.dumps({"op": "subscribe", "args": [BOOKS]})
    links = [venue.websocket("/ws/v5/public", receive_buffer=2048) for _ in range(20)]
    for link in links:
        link.send_frame(request)
    deadline = time.monotonic() + 4.0
    while time.monotonic() < deadline:
        started = time.monotonic()
        assert venue.send("GET", "/api/v5/public/time")[0] == 200
        assert time.monotonic() - started < 1.0
    assert venue.rss_bytes() - before < 20 * 2**20
    for link in links:
        link.close()
