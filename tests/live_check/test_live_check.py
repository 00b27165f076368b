"""The live check as a whole: venue A is the reference, venue B the host behind TLS."""

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from loopback_tls import server_context, trusting_context
from pydantic import SecretStr
from server_rig import READER, TRADER, serving
from tls_relay import tls_in_front_of

from trading_system.cli.live_check.guard import CONFIRMATION, allowed_access
from trading_system.cli.live_check.run import CheckPlan, LiveCheck, embedded_reference
from trading_system.config.settings import load_settings
from trading_system.domain.orders import Side
from trading_system.market.warm import warm
from trading_system.runtime.clock import SystemClock
from trading_system.simulation.faults.schedule import parse_schedule
from trading_system.simulation.venue import default_accounts
from trading_system.venues.bybit.hosts import Endpoints
from trading_system.venues.bybit.signing import Signer


@pytest.fixture(autouse=True, scope="module")
def _kernels():
    warm()


@asynccontextmanager
async def quiet_reference(symbol, clock):
    async with serving() as client:
        ws = client.server.ws_url
        yield (
            Endpoints(rest=client.server.rest_url, public_ws=ws, private_ws=ws, trade_ws=ws),
            Signer(TRADER.api_key, SecretStr(TRADER.api_secret), recv_window_ms=5000),
        )


@asynccontextmanager
async def host(folder, *, swaps=None, account=TRADER):
    async with serving(accounts=[account]) as client:
        context = server_context(folder)
        async with tls_in_front_of(client.server.port, context, swaps=swaps) as relay:
            client.relay, client.symbol, client.account = relay, "ABCUSDT", account
            client.patience_s = 5.0
            yield client


class Seller:
    """Sells into the first resting order as soon as there is one, and leaves bids behind."""

    def __init__(self, client):
        self.client = client
        self.has_sold = False

    def __call__(self, now_ms):
        resting = open_orders(self.client)
        if resting and not self.has_sold:
            self.has_sold = True
            order, market = resting[0], self.client.market
            market.house(Side.SELL, order.price_ticks, 300 + order.lots, now_ms)
            market.house(Side.BUY, 1000, 300, now_ms)


def settings_of(client, folder, environment="testnet"):
    nowhere = folder / "nothing"
    given = {
        "data_dir": folder / "data",
        "environment": environment,
        "symbols": client.symbol,
        "bybit.api_key": client.account.api_key,
        "bybit.api_secret": client.account.api_secret,
        "bybit.request_timeout_s": client.patience_s,
        "bybit.rest_url": f"https://127.0.0.1:{client.relay.port}",
        "bybit.ws_url": f"wss://127.0.0.1:{client.relay.port}",
    }
    return load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)


async def check(
    client,
    folder,
    *,
    tls=None,
    has_orders=True,
    environment="testnet",
    said=None,
    reference=quiet_reference,
    address="127.0.0.1",
):
    settings = settings_of(client, folder, environment)
    access = allowed_access(settings, {"TRADING_LIVE_CONFIRM": CONFIRMATION})
    if address not in access.endpoints.rest:
        rest = access.endpoints.rest.replace("127.0.0.1", address)
        access = replace(access, endpoints=replace(access.endpoints, rest=rest))
    plan = CheckPlan(
        symbol=client.symbol,
        folder=folder / "out",
        books_s=0.05,
        has_orders=has_orders,
        run_id="abcd1234",
        patience_s=2.0,
        pace_s=0.0,
        tidy_pause_s=0.02,
    )
    said = [] if said is None else said
    checking = LiveCheck(
        settings,
        plan,
        clock=SystemClock(),
        tls=tls or trusting_context(),
        say=said.append,
        reference=reference,
    )
    return await checking.run(access)


def open_orders(client):
    return client.exchange.open_orders(TRADER.account_id)


def position(client):
    return client.exchange.position(TRADER.account_id, "ABCUSDT").lots


def required(result):
    rows = result["differences"]
    return {(row["step"], row["where"]) for row in rows if row["grade"] == "required"}


async def test_a_venue_like_the_reference_is_alike_over_tls(tmp_path):
    async with host(tmp_path) as client:
        result = await check(client, tmp_path)
    assert result["is_alike"], result
    assert result["orders"]["conditional"].startswith("Untriggered > Deactivated")
    assert len(result["orders"]) == 7
    assert result["differences"] == []


async def test_two_running_markets_of_the_embedded_venue_are_alike(tmp_path):
    account = default_accounts(seed=1)[0]
    async with embedded_reference("BTCUSDT", SystemClock()) as (endpoints, _):
        port = urlsplit(endpoints.rest).port
        async with tls_in_front_of(port, server_context(tmp_path)) as relay:
            client = SimpleNamespace(relay=relay, symbol="BTCUSDT", account=account, patience_s=5.0)
            result = await check(client, tmp_path, reference=embedded_reference)
    assert result["is_alike"], result
    assert all(each["messages"] > 0 for each in result["books"].values())


async def test_nothing_is_left_at_the_host(tmp_path):
    async with host(tmp_path) as client:
        await check(client, tmp_path)
        assert (open_orders(client), position(client)) == ([], 0)


async def test_transcripts_hold_every_step_and_no_secret(tmp_path):
    async with host(tmp_path) as client:
        await check(client, tmp_path)
    text = (tmp_path / "out" / "host" / "transcript.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert {row["channel"] for row in rows} == {"rest", "public", "private", "trade"}
    assert "create-batch" in text
    assert TRADER.api_key not in text
    assert TRADER.api_secret not in text
    signs = {row["headers"].get("X-BAPI-SIGN", "***") for row in rows if row["kind"] == "request"}
    assert signs == {"***"}


async def test_a_missing_key_and_another_type_are_reported(tmp_path):
    swaps = {b'"uta":': b'"utA":', b'"cancelType":"UNKNOWN"': b'"cancelType":12345678 '}
    async with host(tmp_path, swaps=swaps) as client:
        result = await check(client, tmp_path)
    assert not result["is_alike"]
    assert required(result) == {
        ("key", "result.uta"),
        ("open order", "result.list[].cancelType"),
        ("private order", "data[].cancelType"),
    }


async def test_another_life_cycle_and_another_code_are_reported(tmp_path):
    swaps = {b"CancelByUser": b"CancelByAdmi", b'"retCode":110001': b'"retCode":110008'}
    async with host(tmp_path, swaps=swaps) as client:
        result = await check(client, tmp_path)
    found = required(result)
    assert ("cancel again", "code") in found
    assert ("order conditional", "life cycle") in found


async def test_a_certificate_that_nobody_trusts_ends_the_check_before_anything_is_sent(tmp_path):
    async with host(tmp_path) as client:
        result = await check(client, tmp_path, tls=ssl.create_default_context())
        assert client.relay.asked_bytes == 0
    assert not result["is_alike"]
    assert "certificate" in result["problems"][0]
    assert "nothing was sent" in result["problems"][0]


async def test_a_certificate_of_another_host_is_refused(tmp_path):
    async with serving() as client:
        context = server_context(tmp_path)
        port = client.server.port
        async with tls_in_front_of(port, context, address="127.0.0.2") as relay:
            client.relay, client.symbol, client.account = relay, "ABCUSDT", TRADER
            client.patience_s = 5.0
            result = await check(client, tmp_path, address="127.0.0.2")
        assert relay.asked_bytes == 0
    assert "mismatch" in result["problems"][0]


async def test_demo_gets_no_request_that_it_does_not_have(tmp_path):
    async with host(tmp_path) as client:
        result = await check(client, tmp_path, environment="demo")
    text = (tmp_path / "out" / "host" / "transcript.jsonl").read_text()
    assert result["is_alike"], result
    for absent in ("fee-rate", "query-dcp-info", '"trade"'):
        assert absent not in text


async def test_reading_alone_sends_no_order(tmp_path):
    async with host(tmp_path) as client:
        result = await check(client, tmp_path, has_orders=False)
    text = (tmp_path / "out" / "host" / "transcript.jsonl").read_text()
    assert (result["is_alike"], result["orders"], "POST" in text) == (True, {}, False)


async def test_a_key_that_may_only_read_is_enough_to_read(tmp_path):
    async with host(tmp_path, account=READER) as client:
        read = await check(client, tmp_path, has_orders=False)
        refused = await check(client, tmp_path)
    assert read["is_alike"], read
    assert "read-only" in refused["problems"][0]


async def test_an_account_in_use_is_left_alone(tmp_path):
    async with host(tmp_path) as client:
        await client.create(price="9.00", qty="5")
        result = await check(client, tmp_path)
        assert len(open_orders(client)) == 1
    assert any("no orders were sent" in text for text in result["problems"])


async def test_an_unwanted_fill_is_closed_and_said(tmp_path):
    said = []
    async with host(tmp_path) as client:
        client.market.advance = Seller(client)
        result = await check(client, tmp_path, said=said)
        assert (open_orders(client), position(client)) == ([], 0)
    assert any(text.startswith("FILLED") for text in said)
    assert not result["is_alike"]


async def test_orders_are_cancelled_after_a_request_without_an_answer(tmp_path):
    async with host(tmp_path) as client:
        arm(client, fault="drop-after-accept", path="/v5/order/create-batch")
        result = await check(client, tmp_path)
        assert open_orders(client) == []
    assert any("create-batch" in text for text in result["problems"])


async def test_orders_are_cancelled_when_the_check_is_interrupted(tmp_path):
    async with host(tmp_path) as client, asyncio.TaskGroup() as group:
        task = group.create_task(check(client, tmp_path))
        while not open_orders(client):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert open_orders(client) == []


def arm(client, **fault):
    client.server.faults.arm(parse_schedule(json.dumps([fault]), source="test"))


async def test_a_query_that_fails_is_a_problem_and_the_check_goes_on(tmp_path):
    async with host(tmp_path) as client:
        arm(client, fault="code-10016", path="/v5/market/kline")
        result = await check(client, tmp_path)
    assert ("kline", "code") in required(result)
    assert len(result["orders"]) == 7


async def test_a_page_instead_of_an_answer_is_named_with_its_status(tmp_path):
    async with host(tmp_path) as client:
        arm(client, fault="http-403", path="/v5/market/time")
        result = await check(client, tmp_path)
    assert "HTTP 403" in result["problems"][0]
    assert "region" in result["problems"][0]


async def test_an_order_that_is_rejected_later_shows_in_its_life(tmp_path):
    async with host(tmp_path) as client:
        arm(client, fault="reject-after-accept", path="/v5/trade/order.create")
        result = await check(client, tmp_path)
        assert open_orders(client) == []
    assert not result["is_alike"]


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "cut-mid-frame", "topic": "order"},
        {"fault": "drop-after-accept", "path": "/v5/trade/order.create"},
        {"fault": "drop-after-accept", "path": "/v5/order/cancel", "after": 1},
    ],
    ids=["private stream", "trade stream", "cancel"],
)
async def test_orders_are_cancelled_after_a_connection_broke(tmp_path, fault):
    async with host(tmp_path) as client:
        arm(client, **fault)
        client.patience_s = 0.5
        result = await check(client, tmp_path)
        assert open_orders(client) == []
    assert result["problems"]


async def test_what_cannot_be_cancelled_is_for_a_person(tmp_path):
    said = []
    async with host(tmp_path) as client:
        arm(client, fault="code-10016", path="/v5/order/cancel", count=None)
        result = await check(client, tmp_path, said=said)
        assert len(open_orders(client)) == 1
    assert said[-1].startswith("CHECK BY HAND")
    assert any("lc-abcd1234-1" in text for text in result["problems"])


async def test_a_key_that_may_withdraw_gets_no_further_than_its_own_query(tmp_path):
    account = replace(TRADER, can_withdraw=True)
    async with host(tmp_path, account=account) as client:
        result = await check(client, tmp_path)
    assert "may withdraw" in result["problems"][0]
    assert result["orders"] == {}


async def test_a_wrong_secret_is_named(tmp_path):
    async with host(tmp_path) as client:
        client.account = replace(TRADER, api_secret="another-secret")
        result = await check(client, tmp_path)
    assert "10004" in result["problems"][0]
