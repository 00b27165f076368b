"""HTTP and WebSocket: the same numbers as Python, JSON errors with a remedy, loopback only."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from frozen_books import BIDS, FrozenFeed

from trading_system.config.settings import Settings
from trading_system.cost_simulator.routes import Pace
from trading_system.cost_simulator.server import cost_server, listening
from trading_system.cost_simulator.simulator import CostSimulator
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.clock import ManualClock

SYMBOL = "BTCUSDT"
TRADE: dict[str, Any] = {"side": "buy", "quantity": 6, "volatility_bps": 1}
QUERY = {key: str(value) for key, value in TRADE.items()}


@dataclass
class Rig:
    simulator: CostSimulator
    feed: FrozenFeed
    clock: ManualClock
    http: aiohttp.ClientSession
    url: str

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.http.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.json()

    async def post(self, body: object, kind: str = "application/json") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": kind}
        async with self.http.post(self.url + "/estimate", data=data, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    clock = ManualClock()
    feed = FrozenFeed("bybit", SYMBOL, clock=clock)
    feed.show(SYMBOL)
    async with (
        CostSimulator(Settings(), feeds=[feed], clock=clock) as simulator,
        cost_server(simulator) as url,
        aiohttp.ClientSession() as http,
    ):
        yield Rig(simulator, feed, clock, http, url)


def figures(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "latency"}


async def test_get_and_post_answer_what_python_answers(rig: Rig) -> None:
    expected = figures(rig.simulator.estimate(**TRADE))
    query = "&".join(f"{key}={value}" for key, value in QUERY.items())
    got, posted = await rig.get(f"/estimate?{query}"), await rig.post(TRADE)
    assert (got[0], posted[0]) == (200, 200)
    assert figures(got[1]) == figures(posted[1]) == expected


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({**TRADE, "quantity": "nan"}, 422, "invalid_request"),
        ({**TRADE, "quantity": -1}, 422, "invalid_request"),
        ({**TRADE, "tier": "VIP 99"}, 422, "invalid_request"),
        ({**TRADE, "instrument": "NOUSDT"}, 404, "unknown_instrument"),
        ({**TRADE, "volatility_bps": None}, 503, "volatility_unknown"),
        ([1], 422, "invalid_request"),
        (b"{", 422, "invalid_request"),
        (b"\xff\xfe", 422, "invalid_request"),
        (b"[" * 50_000, 422, "invalid_request"),
        (b" " * 70_000, 413, "refused"),
    ],
)
async def test_errors_are_json_with_a_code(rig: Rig, body: object, status: int, error: str) -> None:
    answer = await rig.post(body)
    assert (answer[0], answer[1]["error"]) == (status, error)
    assert answer[1]["message"]


async def test_a_body_that_is_not_json_by_its_name_is_refused(rig: Rig) -> None:
    assert (await rig.post(TRADE, kind="text/plain"))[0] == 422


async def test_a_key_given_twice_is_refused(rig: Rig) -> None:
    status, body = await rig.get("/estimate?side=buy&side=sell&quantity=1")
    assert (status, body["error"]) == (422, "invalid_request")


async def test_a_stale_book_is_503_and_never_an_old_number(rig: Rig) -> None:
    assert await rig.get("/health") == (200, {"is_healthy": True})
    rig.clock.advance(6)
    status, body = await rig.post(TRADE)
    assert (status, body["error"]) == (503, "book_unavailable")
    assert "net_cost_bps" not in body
    assert body["remedy"]
    assert await rig.get("/health") == (503, {"is_healthy": False})


async def test_status_and_metrics_show_the_guides_stages(rig: Rig) -> None:
    rig.simulator.estimate(**TRADE)
    status, body = await rig.get("/status")
    assert status == 200
    assert body["markets"][0]["latency"]["market_impact"]["guide_us"] == 300.0
    async with rig.http.get(rig.url + "/metrics") as answer:
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'trading_cost_book_ticks_total{exchange="bybit",instrument="BTCUSDT"} 0.0' in text
    assert 'quantile="0.95",stage="cost_models"' in text


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "127.0.0.1.evil.example"}, {"Origin": "http://localhost"}],
)
@pytest.mark.parametrize("path", ["/status", "/ws", "/estimate?side=buy&quantity=1"])
async def test_web_pages_and_foreign_names_are_refused(
    rig: Rig, headers: dict[str, str], path: str
) -> None:
    assert (await rig.get(path, **headers))[0] == 403


async def test_unknown_paths_and_methods_are_refused_in_json(rig: Rig) -> None:
    assert (await rig.get("/nothing"))[1]["error"] == "refused"
    async with rig.http.delete(rig.url + "/estimate") as answer:
        assert answer.status == 405
        assert (await answer.json())["error"] == "refused"


async def test_a_socket_gets_the_newest_book_at_most_ten_times_a_second(rig: Rig) -> None:
    async with rig.http.ws_connect(rig.url + "/ws", params=QUERY) as socket:
        first = await socket.receive_json(timeout=5)
        for size in range(1, 40):
            rig.feed.show(SYMBOL, BIDS, [(100.1, float(size))])
        second = await socket.receive_json(timeout=5)
        assert first["slippage_bps"] == pytest.approx(21.0 + 2 / 3)
        assert second["book"]["sequence"] == 1040
        rig.feed.lose(SYMBOL)
        assert (await socket.receive_json(timeout=5))["error"] == "book_unavailable"


async def test_a_message_replaces_the_request_and_a_bad_one_is_answered(rig: Rig) -> None:
    async with rig.http.ws_connect(rig.url + "/ws") as socket:
        await socket.send_json({"side": "hold"})
        assert (await socket.receive_json(timeout=5))["error"] == "invalid_request"
        await socket.send_json(TRADE)
        assert (await socket.receive_json(timeout=5))["side"] == "buy"
        await socket.send_json({**TRADE, "side": "sell"})
        sides = [(await socket.receive_json(timeout=5))["side"] for _ in range(2)]
        assert sides[-1] == "sell"
        await socket.send_bytes(b"\x00")
        async with asyncio.timeout(5):
            while not (await socket.receive()).type & aiohttp.WSMsgType.CLOSE:
                pass


async def test_a_passing_error_is_sent_and_a_lasting_one_closes_the_socket(rig: Rig) -> None:
    async with rig.http.ws_connect(rig.url + "/ws") as socket:
        await socket.send_json({**TRADE, "quantity": 1e9})
        assert (await socket.receive_json(timeout=5))["error"] == "invalid_request"
        rig.feed.show(SYMBOL, [(99.9, 1e10)], [(100.1, 1e10)])
        assert (await socket.receive_json(timeout=5))["quantity_base"] == 1e9
        await socket.send_json({**TRADE, "tier": "nobody"})
        async with asyncio.timeout(5):
            while "error" not in (answer := await socket.receive_json()):
                pass
            assert answer["error"] == "invalid_request"
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1008


@pytest.mark.parametrize("charset", ["undefined", "latin-1", "no-such"])
async def test_a_body_in_another_charset_is_refused(rig: Rig, charset: str) -> None:
    kind = f"application/json; charset={charset}"
    status, body = await rig.post(TRADE, kind=kind)
    assert (status, body["error"]) == (422, "invalid_request")
    assert (await rig.post(TRADE, kind="application/json; charset=UTF-8"))[0] == 200


async def test_a_body_that_is_not_compressed_as_it_says_is_refused(rig: Rig) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with rig.http.post(rig.url + "/estimate", data=b"no", headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "refused")


async def test_every_error_has_a_remedy(rig: Rig) -> None:
    status, body = await rig.post({**TRADE, "quantity": 1e9})
    assert (status, body["error"]) == (422, "invalid_request")
    assert body["remedy"]


async def test_watchers_are_bounded_and_leave_nothing_behind(rig: Rig) -> None:
    sockets = [await rig.http.ws_connect(rig.url + "/ws", params=QUERY) for _ in range(32)]
    assert (await rig.get("/ws"))[1]["error"] == "too_many"
    for each in sockets:
        await each.close()
    async with asyncio.timeout(5):
        while rig.simulator.status()["markets"][0]["watchers"]:
            rig.feed.show(SYMBOL)
            await asyncio.sleep(0)


async def test_a_port_in_use_and_a_foreign_host_are_refused(rig: Rig) -> None:
    port = int(rig.url.rsplit(":", 1)[1])
    with pytest.raises(ConfigurationError, match="TRADING_COST__PORT"):
        listening(port=port)
    with pytest.raises(ConfigurationError, match="loopback"):
        listening("0.0.0.0")


async def test_a_watcher_that_does_not_read_is_cut_off(rig: Rig) -> None:
    market = rig.simulator.status
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        async with cost_server(rig.simulator, pace=Pace(update_s=0.0005, patience_s=0.2)) as url:
            deaf.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
            deaf.sendall(
                b"GET /ws?side=buy&quantity=1&volatility_bps=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            has_watched = False
            async with asyncio.timeout(15):
                while not has_watched or market()["markets"][0]["watchers"]:
                    has_watched |= bool(market()["markets"][0]["watchers"])
                    rig.feed.show(SYMBOL)
                    await asyncio.sleep(0.0005)
