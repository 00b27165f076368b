import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from aiohttp import web
from pydantic import SecretStr

from trading_system.domain.errors import (
    ConfigurationError,
    CorruptDataError,
    Outcome,
    VenueAuthError,
    VenueError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.hosts import endpoints
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.wire import order_body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


_ORDER = (
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit",'
    '"qty":"0.001","price":"50000"}'
)


def signer() -> Signer:
    return Signer("demoKey", SecretStr("demoSecret"), recv_window_ms=5000)


@asynccontextmanager
async def serving(handler: Handler, *, key: Signer | None = None) -> AsyncIterator[BybitRest]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with BybitRest(
            f"http://127.0.0.1:{port}", signer=key or signer(), clock=ManualClock()
        ) as rest:
            yield rest
    finally:
        await runner.cleanup()


def answering(body: str, *, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(
            text=body, status=status, headers=headers, content_type="application/json"
        )

    return handler


@pytest.mark.parametrize(
    ("payload", "sign"),
    [
        (
            "category=linear&symbol=BTCUSDT",
            "0821d920f0f1c434af59e348aa8cc1303ba28fb8518710466a624b59b4063722",
        ),
        (
            _ORDER,
            "ff782192bda250e86581bb7b3d5f72d253ceda6763102f3e0e1f451f7e2e4a74",
        ),
        ("", "b79a56ea9412d20217161941ba00263777687778e0c0effc8a917ad37e480ad1"),
    ],
)
def test_signatures_equal_the_documented_vectors(payload: str, sign: str) -> None:
    headers = signer().headers(payload.encode(), timestamp_ms=1_700_000_000_000)
    assert headers["X-BAPI-SIGN"] == sign


def test_the_stream_log_in_equals_the_documented_vector() -> None:
    assert signer().stream_auth(expires_ms=1_700_000_001_000) == [
        "demoKey",
        1_700_000_001_000,
        "f7fccdff864e566d5c956a229873f5394a29c29855a9c7fa8914dde94d91a1f6",
    ]


@pytest.mark.parametrize(
    ("body", "status", "kind", "outcome"),
    [
        ('{"retCode":110007,"retMsg":"no"}', 200, VenueRejected, Outcome.REJECTED),
        ('{"retCode":10004,"retMsg":"sign"}', 200, VenueAuthError, Outcome.REJECTED),
        ('{"retCode":10002,"retMsg":"time"}', 200, VenueAuthError, Outcome.REJECTED),
        ('{"retCode":10006,"retMsg":"rate"}', 200, VenueRateLimited, Outcome.REJECTED),
        ('{"retCode":10016,"retMsg":"internal"}', 200, VenueUnavailable, Outcome.UNKNOWN),
        ('{"retCode":0}', 503, VenueUnavailable, Outcome.UNKNOWN),
        ("<html>bad gateway</html>", 502, VenueUnavailable, Outcome.UNKNOWN),
        ("", 200, VenueUnavailable, Outcome.UNKNOWN),
        ("[" * 100_000, 200, VenueUnavailable, Outcome.UNKNOWN),
        ("banned", 403, VenueRateLimited, Outcome.REJECTED),
    ],
)
async def test_every_answer_has_a_typed_outcome(
    body: str, status: int, kind: type[VenueError], outcome: Outcome
) -> None:
    async with serving(answering(body, status=status)) as rest:
        with pytest.raises(kind) as caught:
            await rest.post("/v5/order/create", {"a": 1}, timeout_s=2)
    assert caught.value.outcome is outcome


@pytest.mark.parametrize("code", [0, 110025, 110026, 110043])
async def test_no_change_is_success(code: int) -> None:
    async with serving(answering(f'{{"retCode":{code},"result":{{"a":1}}}}')) as rest:
        assert bytes(await rest.get("/v5/x", timeout_s=2)) == b'{"a":1}'


async def test_the_rate_limit_says_when_to_come_back() -> None:
    reset = {"X-Bapi-Limit-Reset-Timestamp": "1700000000700"}
    async with serving(answering('{"retCode":10006}', headers=reset)) as rest:
        with pytest.raises(VenueRateLimited) as caught:
            await rest.get("/v5/x", timeout_s=2)
    assert caught.value.retry_after_s == pytest.approx(0.7)


async def test_no_answer_in_time_is_unknown() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(silent) as rest:
        with pytest.raises(VenueUnavailable) as caught:
            await rest.post("/v5/order/create", {}, timeout_s=0.05)
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_connection_cut_before_the_answer_is_unknown() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(cut) as rest:
        with pytest.raises(VenueUnavailable) as caught:
            await rest.post("/v5/order/create", {}, timeout_s=2)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert rest.failures == 1


async def test_a_refused_connection_was_not_sent() -> None:
    async with BybitRest("http://127.0.0.1:9", signer=signer(), clock=ManualClock()) as rest:
        with pytest.raises(VenueUnavailable) as caught:
            await rest.post("/v5/order/create", {}, timeout_s=2)
    assert caught.value.outcome is Outcome.NOT_SENT


async def test_a_signed_request_without_a_key_is_not_sent() -> None:
    async with BybitRest("http://127.0.0.1:9", signer=None, clock=ManualClock()) as rest:
        with pytest.raises(VenueAuthError, match="TRADING_BYBIT__API_KEY"):
            await rest.get("/v5/position/list", timeout_s=1, signed=True)
        assert rest.requests == 0


async def test_a_post_is_sent_once_whatever_the_answer() -> None:
    seen: list[str] = []

    async def failing(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=500, text="{}")

    async with serving(failing) as rest:
        with pytest.raises(VenueUnavailable):
            await rest.post("/v5/order/create", {}, timeout_s=2)
    assert seen == ["/v5/order/create"]


async def test_the_signed_query_is_the_one_on_the_wire() -> None:
    seen: list[tuple[str, str]] = []

    async def recording(request: web.Request) -> web.StreamResponse:
        stamp = request.headers["X-BAPI-TIMESTAMP"]
        expected = signer().headers(
            request.rel_url.raw_query_string.encode(), timestamp_ms=int(stamp)
        )
        seen.append((request.headers["X-BAPI-SIGN"], expected["X-BAPI-SIGN"]))
        return web.json_response({"retCode": 0, "result": {}})

    async with serving(recording) as rest:
        await rest.get("/v5/x", {"b": "1 2", "a": "ä%3A"}, timeout_s=2, signed=True)
    assert seen[0][0] == seen[0][1]


def test_an_environment_without_an_address_needs_overrides() -> None:
    with pytest.raises(ConfigurationError, match="TRADING_BYBIT__REST_URL"):
        endpoints("simulated", rest_url=None, ws_url=None)
    local = endpoints("simulated", rest_url="http://127.0.0.1:1/", ws_url="ws://127.0.0.1:1")
    assert local.rest == "http://127.0.0.1:1"


@pytest.mark.parametrize("environment", ["testnet", "demo", "mainnet"])
def test_known_environments_are_encrypted_and_overridable(environment: str) -> None:
    known = endpoints(environment, rest_url=None, ws_url=None)
    assert known.rest.startswith("https://")
    assert known.private_ws.startswith("wss://")
    changed = endpoints(environment, rest_url="https://x.test", ws_url=None)
    assert changed.rest == "https://x.test"


def test_an_order_body_is_spelled_as_the_venue_wants_it() -> None:
    body = order_body(
        OrderIntent(
            symbol="BTCUSDT",
            side=Side.SELL,
            order_type=OrderType.LIMIT,
            quantity=Decimal("0.010"),
            price=Decimal("1E+4"),
            time_in_force=TimeInForce.POST_ONLY,
            reduce_only=True,
            link_id="ts-1",
        )
    )
    assert body == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Sell",
        "orderType": "Limit",
        "qty": "0.010",
        "price": "10000",
        "timeInForce": "PostOnly",
        "orderLinkId": "ts-1",
        "positionIdx": 0,
        "reduceOnly": True,
    }


@pytest.mark.parametrize(
    "result",
    ["{}", '{"list":{}}', '{"list":[{"symbol":"BTCUSDT"}]}', '{"list":[]}'],
)
async def test_an_unusable_instrument_answer_is_a_typed_error(result: str) -> None:
    async with serving(answering(f'{{"retCode":0,"result":{result}}}')) as rest:
        with pytest.raises(CorruptDataError):
            await BybitGateway(rest, clock=ManualClock()).instrument("BTCUSDT")


@pytest.mark.parametrize("code", [10403, 10429, 20003, 20006, 170001, 170032, 500000])
async def test_an_overloaded_venue_may_have_acted(code: int) -> None:
    async with serving(answering(f'{{"retCode":{code},"retMsg":"busy"}}')) as rest:
        with pytest.raises(VenueUnavailable) as caught:
            await rest.post("/v5/order/create", {}, timeout_s=2)
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_an_unreadable_acknowledgement_is_unknown() -> None:
    intent = OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.001"),
        price=Decimal(50_000),
        link_id="x",
    )
    async with serving(answering('{"retCode":0,"result":[]}')) as rest:
        with pytest.raises(VenueUnavailable) as caught:
            await BybitGateway(rest, clock=ManualClock()).submit(intent, timeout_s=2)
    assert caught.value.outcome is Outcome.UNKNOWN


async def test_a_server_time_that_is_no_number_is_a_typed_error() -> None:
    async with serving(answering('{"retCode":0,"result":{"timeNano":"soon"}}')) as rest:
        with pytest.raises(CorruptDataError):
            await BybitGateway(rest, clock=ManualClock()).synchronise_clock()


async def test_failures_are_judged_over_the_newest_requests() -> None:
    bodies = ["<html>"] + ['{"retCode":0}'] * 200

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=bodies.pop(0))

    async with serving(handler) as rest:
        with pytest.raises(VenueUnavailable):
            await rest.get("/v5/x", timeout_s=2)
        assert rest.recent == (1, 1)
        for _ in range(200):
            await rest.get("/v5/x", timeout_s=2)
        assert rest.recent == (0, 200)
        assert rest.failures == 1


@pytest.mark.parametrize(
    ("refusals", "reset_ms", "is_answered"), [(1, 10, True), (9, 10, False), (1, 5_000, False)]
)
async def test_a_query_waits_out_a_full_quota_within_reason(
    refusals: int, reset_ms: int, is_answered: bool
) -> None:
    answers = ['{"retCode":10006}'] * refusals + ['{"retCode":0,"result":{"list":[]}}']
    headers = {"X-Bapi-Limit-Reset-Timestamp": str(1_700_000_000_000 + reset_ms)}

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=answers.pop(0), headers=headers)

    async with serving(handler) as rest:
        gateway = BybitGateway(rest, clock=ManualClock())
        if is_answered:
            assert await gateway.positions() == []
        else:
            with pytest.raises(VenueRateLimited):
                await gateway.positions()
