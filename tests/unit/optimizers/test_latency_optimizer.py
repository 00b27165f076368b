from __future__ import annotations

import asyncio
import json
import random

import pytest
from delay_server import Answer, DelayServer
from signing_client import SigningClient

from optimizers.latency_optimizer import LatencyOptimizer
from optimizers.transport.pool import PooledTransport
from trading_system.config.sections import OptimizationSettings
from trading_system.domain.errors import (
    ConfigurationError,
    LifecycleError,
    OrderDenied,
    Outcome,
    ValidationError,
    VenueUnavailable,
)
from trading_system.runtime.backoff import Backoff
from trading_system.runtime.clock import ManualClock

FAST = Backoff(first_s=0.001, max_s=0.002, attempts=2)


@pytest.fixture
async def server():
    async with DelayServer() as running:
        yield running


@pytest.fixture
def client(server):
    return SigningClient(server.url)


@pytest.fixture
async def optimizer(client):
    async with LatencyOptimizer(client, retry=FAST, rng=random.Random(1)) as running:
        yield running


async def get(optimizer: LatencyOptimizer, url: str, **options):
    return await optimizer.execute_priority_request("GET", url, {}, {}, **options)


async def test_guide_example_returns_the_decoded_answer(server, optimizer):
    server.usual = Answer(body={"retCode": 0, "result": {"list": []}})
    result = await optimizer.execute_priority_request(
        method="GET",
        url=f"{server.url}/v5/market/tickers",
        params={"symbol": "BTCUSDT"},
        headers={},
        priority=1,
    )
    assert result == {"retCode": 0, "result": {"list": []}}
    assert server.seen[0].query == "symbol=BTCUSDT"


async def test_guide_benchmark_example_runs(client):
    optimizer = LatencyOptimizer(client)
    await optimizer.pre_warm_connections()
    benchmark = await optimizer.benchmark_performance(iterations=100)
    assert float(f"{benchmark['latency_stats']['p95_ms']:.2f}") > 0
    assert benchmark["performance_grade"] == "A+"
    await optimizer.cleanup()


async def test_private_path_of_the_clients_host_is_signed_over_the_query(server, optimizer, client):
    await optimizer.execute_priority_request(
        "GET", "/v5/order/realtime", {"category": "linear", "symbol": "BTCUSDT"}, None
    )
    assert client.signed == [b"category=linear&symbol=BTCUSDT"]
    assert server.seen[0].query.encode() == client.signed[0]
    assert server.seen[0].headers["X-BAPI-SIGN"] == "1"


async def test_own_authentication_headers_are_left_alone(server, optimizer, client):
    await optimizer.execute_priority_request(
        "GET", "/v5/order/realtime", None, {"X-BAPI-SIGN": "own"}
    )
    assert client.signed == []
    assert server.seen[0].headers["X-BAPI-SIGN"] == "own"


@pytest.mark.parametrize("path", ["/v5/order/create", "/v5/%6frder/create", "//v5/order/create/"])
async def test_request_that_could_change_orders_is_refused(server, optimizer, path):
    result = await optimizer.execute_priority_request("POST", f"{server.url}{path}", {}, {})
    assert result["error"].startswith("OrderDenied")
    assert result["outcome"] == "not_sent"
    assert server.seen == []
    assert optimizer.get_latency_metrics()["denied_requests"] == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_post_is_sent_once_whatever_happens(server, optimizer, status):
    server.usual = Answer(status=status, body=b"broken")
    result = await optimizer.execute_priority_request("POST", "/echo", {"a": 1}, {})
    assert (result["error"], result["text"], len(server.seen)) == (f"HTTP {status}", "broken", 1)


async def test_post_on_a_broken_connection_is_sent_once(server, optimizer):
    server.usual = Answer(drop=True)
    result = await optimizer.execute_priority_request("POST", "/echo", {"a": 1}, {})
    assert (result["outcome"], len(server.seen)) == ("unknown", 1)


@pytest.mark.parametrize("first", [Answer(status=503), Answer(drop=True), Answer(status=429)])
async def test_get_is_sent_again(server, optimizer, first):
    server.script.append(first)
    result = await get(optimizer, "/v5/market/time")
    assert (result["retCode"], len(server.seen)) == (0, 2)
    assert optimizer.get_latency_metrics()["retries"] == 1


async def test_get_is_sent_three_times_at_most_and_signed_anew(server, optimizer, client):
    server.usual = Answer(status=500, body=b"x")
    result = await get(optimizer, "/v5/order/realtime")
    assert (result["error"], result["status"], len(server.seen)) == ("HTTP 500", 500, 3)
    assert len(client.signed) == 3


@pytest.mark.parametrize("status", [301, 400, 403, 404])
async def test_definite_answer_is_not_asked_for_again(server, optimizer, status):
    server.usual = Answer(status=status, body=b"no", headers={"Location": "/other"})
    result = await get(optimizer, "/v5/market/time")
    assert (result["outcome"], result["text"], len(server.seen)) == ("rejected", "no", 1)


async def test_rate_limited_get_waits_as_the_venue_says(server, client):
    clock = ManualClock()
    reset_ms = clock.utc_ns() // 1_000_000 + 30
    limited = Answer(
        body={"retCode": 10006, "retMsg": "Too many visits!"},
        headers={"X-Bapi-Limit-Reset-Timestamp": str(reset_ms)},
    )
    server.script.append(limited)
    async with LatencyOptimizer(client, retry=FAST, clock=clock) as optimizer:
        began = asyncio.get_running_loop().time()
        result = await get(optimizer, "/v5/market/time")
        assert asyncio.get_running_loop().time() - began >= 0.03
    assert (result["retCode"], len(server.seen)) == (0, 2)


async def test_wait_beyond_the_deadline_is_not_begun(server, optimizer):
    reset = {"X-Bapi-Limit-Reset-Timestamp": "9999999999999"}
    server.usual = Answer(body={"retCode": 10006, "retMsg": "no"}, headers=reset)
    result = await get(optimizer, "/v5/market/time")
    assert (result["retCode"], len(server.seen)) == (10006, 1)


async def test_rate_limit_without_a_header_waits_the_backoff(server, optimizer):
    server.script.append(Answer(body={"retCode": 10006, "retMsg": "no"}))
    assert (await get(optimizer, "/v5/market/time"))["retCode"] == 0


async def test_answer_that_is_no_json_gives_error_and_text(server, optimizer):
    server.usual = Answer(body=b"<html>")
    result = await get(optimizer, "/v5/market/time")
    assert result["error"].startswith("not JSON")
    assert result["text"] == "<html>"


async def test_deadline_gives_an_error_and_no_exception(server, optimizer):
    server.gate.clear()
    result = await get(optimizer, "/v5/market/time", timeout=0.05)
    assert "no answer within" in result["error"]
    assert result["outcome"] == "unknown"


async def test_deadline_is_never_longer_than_request_timeout(server, client):
    server.gate.clear()
    settings = OptimizationSettings(request_timeout_s=0.05)
    async with LatencyOptimizer(client, settings=settings) as optimizer:
        result = await get(optimizer, "/v5/market/time", timeout=60.0)
    assert "no answer" in result["error"]


async def test_client_that_cannot_get_ready_gives_an_error(server, client):
    client.failure = VenueUnavailable(
        "down", venue="bybit", operation="connect", outcome=Outcome.NOT_SENT
    )
    optimizer = LatencyOptimizer(client)
    result = await get(optimizer, "/v5/market/time")
    assert "down" in result["error"]
    with pytest.raises(VenueUnavailable):
        await optimizer.pre_warm_connections()


@pytest.mark.parametrize(
    "arguments",
    [
        ("PUT", "/a", {}, {}),
        ("GET", "nonsense", {}, {}),
        ("GET", "/a", {}, {}, 0),
        ("GET", "/a", {}, {}, 5),
        ("GET", "/a", {}, {}, 1, 0.0),
        ("GET", "/a", {}, {"Host": "x"}),
    ],
)
async def test_misuse_raises(optimizer, arguments):
    with pytest.raises(ValidationError):
        await optimizer.execute_priority_request(*arguments)


async def test_batch_keeps_order_and_errors_stay_with_their_item(server, optimizer):
    server.by_path["/bad"] = Answer(status=404, body=b"gone")
    for number in range(3):
        server.by_path[f"/{number}"] = Answer(body={"number": number})
    items = [{"method": "GET", "url": f"/{number}"} for number in range(3)]
    broken = [{"method": "GET", "url": "/bad"}, {"url": "/0"}, {"method": "GET", "url": "x"}, None]
    results = await optimizer.execute_batch_requests([*broken, *reversed(items)])
    assert ["error" in result for result in results[:4]] == [True] * 4
    assert [result["number"] for result in results[4:]] == [2, 1, 0]


async def test_batch_runs_concurrently(server, client):
    server.gate.clear()
    settings = OptimizationSettings(connection_pool_size=10)
    items = [{"method": "GET", "url": f"/{number}"} for number in range(20)]
    optimizer = LatencyOptimizer(client, settings=settings)
    async with optimizer, asyncio.TaskGroup() as group:
        batch = group.create_task(optimizer.execute_batch_requests(items))
        await server.until(10)
        server.gate.set()
    assert server.most_active == 10
    assert len(batch.result()) == 20


async def test_long_batch_does_not_fill_the_queue(server, client):
    settings = OptimizationSettings(connection_pool_size=2, priority_queue_size=3)
    items = [{"method": "GET", "url": "/a"}] * 50
    async with LatencyOptimizer(client, settings=settings) as optimizer:
        results = await optimizer.execute_batch_requests(items)
    assert all("error" not in result for result in results)
    assert await optimizer.execute_batch_requests([]) == []


async def test_connection_pool_size_is_the_number_of_warm_connections(server, client):
    settings = OptimizationSettings(connection_pool_size=3)
    async with LatencyOptimizer(client, settings=settings) as optimizer:
        await optimizer.pre_warm_connections()
        assert len(optimizer.connection_reports) == 3
        assert optimizer.get_latency_metrics()["queue_status"]["active_sessions"] == 3
    assert len(server.peers) == 3


async def test_max_sessions_bounds_requests_under_way(server, client):
    optimizer = LatencyOptimizer(client)
    optimizer.max_sessions = 2
    async with optimizer, asyncio.TaskGroup() as group:
        server.gate.clear()
        for number in range(6):
            group.create_task(get(optimizer, f"/{number}"))
        await server.until(2)
        server.gate.set()
    assert server.most_active == 2


async def test_priority_queue_size_bounds_those_who_wait(server, client):
    server.gate.clear()
    settings = OptimizationSettings(connection_pool_size=1, priority_queue_size=2)
    optimizer = LatencyOptimizer(client, settings=settings)
    async with optimizer, asyncio.TaskGroup() as group:
        sent = [group.create_task(get(optimizer, f"/{n}", priority=3)) for n in range(4)]
        await server.until(1)
        assert optimizer.get_latency_metrics()["queue_status"]["queue_size"] == 2
        server.gate.set()
    failed = [task.result() for task in sent if "error" in task.result()]
    assert [result["outcome"] for result in failed] == ["not_sent"]


async def test_keep_alive_off_opens_a_connection_per_request(server, client):
    optimizer = LatencyOptimizer(client)
    optimizer.connection_keepalive = False
    async with optimizer:
        for _ in range(3):
            await get(optimizer, "/a")
    assert len(server.peers) == 3


async def test_targets_decide_what_the_figures_are_compared_with(optimizer):
    await get(optimizer, "/a")
    before = optimizer.get_latency_metrics()["target_comparison"]
    optimizer.target_response_ms = optimizer.target_connection_ms = optimizer.target_total_ms = 1e-9
    after = optimizer.get_latency_metrics()["target_comparison"]
    names = ("target_met_pct", "total_target_met_pct", "connection_target_met_pct")
    assert [before[name] for name in names] == [100.0] * 3
    assert [after[name] for name in names] == [0.0] * 3


async def test_hundred_requests_are_a_hundred_samples(optimizer):
    for _ in range(100):
        await get(optimizer, "/v5/market/time", priority=2)
    metrics = optimizer.get_latency_metrics()
    assert metrics["total_requests"] == 100
    assert metrics["by_priority"]["2"]["requests"] == 100
    assert metrics["by_endpoint"]["GET /v5/market/time"]["requests"] == 100
    assert metrics["connection_time_ms"]["samples"] == 1
    assert metrics["connection_time_ms"]["last_ms"] > 0
    assert metrics["overall_metrics"]["p95_latency_ms"] > 0


def test_every_documented_key_is_there_from_the_first_call(client_without_host):
    metrics = LatencyOptimizer(client_without_host).get_latency_metrics()
    assert (metrics["status"], metrics["total_requests"]) == ("no data yet", 0)
    assert set(metrics["overall_metrics"]) == {
        "avg_latency_ms",
        "median_latency_ms",
        "p95_latency_ms",
        "p99_latency_ms",
        "min_latency_ms",
        "max_latency_ms",
    }
    assert {"avg_latency_ms", "median_latency_ms", "p95_latency_ms", "trend"} == set(
        metrics["recent_metrics"]
    )
    assert metrics["target_comparison"]["target_response_ms"] == 200.0
    assert metrics["queue_status"]["processor_active"] is False
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.fixture
def client_without_host():
    return SigningClient("http://127.0.0.1:1")


async def test_figures_are_json_safe_with_data(optimizer):
    await get(optimizer, "/a")
    metrics = optimizer.get_latency_metrics()
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


async def test_ticker_is_asked_for_once_a_second(server, client):
    clock = ManualClock()
    server.usual = Answer(body={"retCode": 0, "result": {"list": [{"lastPrice": "1"}]}})
    async with LatencyOptimizer(client, clock=clock) as optimizer:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(optimizer.optimize_market_data_request("BTCUSDT"))
        clock.advance(0.99)
        ticker = await optimizer.optimize_market_data_request("BTCUSDT")
        assert (ticker, len(server.seen)) == ({"lastPrice": "1"}, 1)
        clock.advance(0.02)
        await optimizer.optimize_market_data_request("BTCUSDT")
    assert len(server.seen) == 2
    assert server.seen[0].query == "category=linear&symbol=BTCUSDT"


@pytest.mark.parametrize(
    "body", [{"retCode": 10001, "retMsg": "bad"}, {"retCode": 0, "result": {"list": []}}, [1]]
)
async def test_failed_ticker_is_told_and_not_remembered(server, optimizer, body):
    server.usual = Answer(body=body)
    for _ in range(2):
        assert "error" in await optimizer.optimize_market_data_request("BTCUSDT")
    assert len(server.seen) == 2


async def test_ticker_of_a_broken_host_is_an_error(server, optimizer):
    server.usual = Answer(status=404)
    assert (await optimizer.optimize_market_data_request("BTCUSDT"))["error"] == "HTTP 404"


@pytest.mark.parametrize("symbol", ["", "btcusdt", "BTC/USDT", "A" * 40, None])
async def test_no_symbol_raises(optimizer, symbol):
    with pytest.raises(ValidationError):
        await optimizer.optimize_market_data_request(symbol)


async def test_order_goes_through_the_client(server, optimizer, client):
    result = await optimizer.optimize_order_placement(
        "BTCUSDT", "Buy", 0.001, "Limit", price=60_000, reduce_only=True, stop_loss="59000"
    )
    assert result == {"order_id": "1", "status": "ACCEPTED"}
    assert client.orders == [
        {
            "symbol": "BTCUSDT",
            "side": "Buy",
            "quantity": 0.001,
            "order_type": "Limit",
            "price": 60_000,
            "reduce_only": True,
            "stop_loss": "59000",
        }
    ]
    assert (server.seen, optimizer.last_order_failure) == ([], None)


@pytest.mark.parametrize(
    ("error", "reason", "outcome"),
    [
        (OrderDenied("halted", "trading is halted"), "halted", "not_sent"),
        (
            VenueUnavailable("x", venue="v", operation="o", outcome=Outcome.UNKNOWN),
            "VenueUnavailable",
            "unknown",
        ),
        (LifecycleError("closed"), "LifecycleError", "not_sent"),
    ],
)
async def test_order_that_is_not_placed_says_why(optimizer, client, error, reason, outcome):
    client.order_failure = error
    assert await optimizer.optimize_order_placement("BTCUSDT", "Buy", 1) == {}
    assert optimizer.last_order_failure["reason"] == reason
    assert optimizer.last_order_failure["outcome"] == outcome


async def test_order_with_a_wrong_argument_raises(optimizer, client):
    client.order_failure = ValidationError("quantity")
    with pytest.raises(ValidationError):
        await optimizer.optimize_order_placement("BTCUSDT", "Buy", -1)


async def test_benchmark_counts_errors_apart(server, client):
    for number in range(30):
        server.script.append(Answer(status=500 if number % 5 == 4 else 200))
    settings = OptimizationSettings(connection_pool_size=1)
    async with LatencyOptimizer(client, settings=settings) as optimizer:
        result = await optimizer.benchmark_performance(iterations=19)
    assert (result["errors"], result["iterations_completed"]) == (4, 15)
    assert result["warm_up"] == 10
    assert len(server.seen) == 30
    assert result["split"]["connect_ms"]["samples"] == 1
    assert result["split"]["response_ms"]["samples"] == 15
    assert any("4 requests failed" in advice for advice in result["recommendations"])


async def test_benchmark_ends_early_when_nothing_answers(client_without_host):
    async with LatencyOptimizer(client_without_host) as optimizer:
        result = await optimizer.benchmark_performance()
    assert (result["iterations_completed"], result["errors"]) == (0, 5)
    assert result["performance_grade"] == "N/A"


@pytest.mark.parametrize("iterations", [0, -1, 10_001, True, 1.5])
async def test_benchmark_of_another_length_is_refused(optimizer, iterations):
    with pytest.raises(ValidationError):
        await optimizer.benchmark_performance(iterations)


async def test_after_cleanup_nothing_is_sent(server, client):
    optimizer = LatencyOptimizer(client)
    await get(optimizer, "/a")
    for _ in range(2):
        await optimizer.cleanup()
    result = await get(optimizer, "/a")
    assert "LifecycleError" in result["error"]
    assert len(server.seen) == 1


async def test_pool_of_the_caller_is_used_and_left_open(server, client):
    async with PooledTransport(connections=2) as pool:
        async with LatencyOptimizer(client, transport=pool) as optimizer:
            await optimizer.pre_warm_connections()
        assert optimizer.max_sessions == 2
        assert pool.is_open
        assert pool.open_connections == 2


async def test_client_is_made_ready_once_for_many_first_calls(server, client):
    async with LatencyOptimizer(client) as optimizer, asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(get(optimizer, "/a"))
    assert client.ready == 1


async def test_key_that_is_missing_gives_an_error(server, client):
    client.failure = None
    async with LatencyOptimizer(client) as optimizer:
        client.auth_failure = ConfigurationError("no key")
        result = await get(optimizer, "/v5/order/realtime")
    assert (result["error"], server.seen) == ("ConfigurationError: no key", [])


async def test_tickers_tell_how_often_the_cache_helped(server, client):
    server.usual = Answer(body={"retCode": 0, "result": {"list": [{"lastPrice": "1"}]}})
    async with LatencyOptimizer(client, clock=ManualClock()) as optimizer:
        for _ in range(4):
            await optimizer.optimize_market_data_request("BTCUSDT")
        cache = optimizer.get_latency_metrics()["ticker_cache"]
    assert cache == {"hits": 3, "misses": 1, "shared": 0, "hit_rate": 0.75, "size": 1}
