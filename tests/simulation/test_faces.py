"""Every public way to send an order, on the real venue: refused while trading is halted.

The faces' public methods are listed below by what they do; a method that is in no list fails the
test, so that a new way to send an order cannot be forgotten here.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from live_rig import BTC, ETH, VenueReader, eventually, live_settings, reader_of, running

import agents
import optimizers
import trading_system
from agents.market_maker.maker import MarketMaker
from optimizers.ai_signal_optimizer import AISignalOptimizer
from optimizers.latency_optimizer import LatencyOptimizer
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from optimizers.performance_optimizer import PerformanceOptimizer
from optimizers.volatility_calculator import VolatilityCalculator
from trading_system.api.address import read_address
from trading_system.api.app import create_app
from trading_system.api.server import control_api
from trading_system.api.tokens import Tokens
from trading_system.bybit_client import BybitClient
from trading_system.cli.main import app as cli_app
from trading_system.config.settings import Settings
from trading_system.domain.errors import OrderDenied, ValidationError
from trading_system.domain.orders import (
    BatchOutcome,
    OrderIntent,
    OrderType,
    PriceChange,
    Side,
    TimeInForce,
)
from trading_system.domain.parents import ExecutionStyle, ParentOrder
from trading_system.domain.signals import Consensus
from trading_system.enhanced_trading_engine import EnhancedTradingEngine
from trading_system.enhanced_trading_system import EnhancedTradingSystem
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.executor import Executor
from trading_system.live.client import GatedClient
from trading_system.live.parent_desk import ParentDesk
from trading_system.live.quoting import QuotingDesk
from trading_system.live.session import TradingSession
from trading_system.risk.limits import TradingState
from trading_system.strategies.trader import SignalTrader

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("processes")]

REFUSED = "halted"
API, CLI = "API", "CLI"


@dataclass(frozen=True, slots=True)
class Rig:
    """A halted or free system and everything a user can hold of it."""

    system: EnhancedTradingSystem
    settings: Settings
    venue: VenueReader

    @property
    def session(self) -> TradingSession:
        return self.system.desk.live_session()

    @property
    def client(self) -> BybitClient:
        return self.system.bybit_client

    def quote(self, quantity: str) -> OrderIntent:
        """Return a bid far enough below the market to rest there."""
        view = self.client.quote_view(ETH)
        assert view is not None
        return OrderIntent(
            symbol=ETH,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            quantity=Decimal(quantity),
            price=(view.bid * Decimal("0.998")).quantize(Decimal("0.01")),
            time_in_force=TimeInForce.POST_ONLY,
            link_id=self.client.next_link_id(),
        )

    def parent(self, quantity: str, style: ExecutionStyle = ExecutionStyle.MARKET) -> ParentOrder:
        return ParentOrder(
            symbol=ETH,
            side=Side.BUY,
            quantity=Decimal(quantity),
            style=style,
            reduce_only=False,
            max_slippage_bps=50.0,
            time_limit_s=2.0,
            purpose="test",
        )


async def batch_denial(attempt: Awaitable[list[BatchOutcome]]) -> str | None:
    """Return the reason of the gate's refusal of the only order of a batch."""
    (outcome,) = await attempt
    return str(outcome.error) if outcome.error is not None else None


Way = Callable[[Rig], Awaitable[str | None]]
"""Tries to send one order and returns why it was refused, None if it was not."""
WAYS: dict[tuple[str, str], Way] = {}


def way(face: type | str, method: str) -> Callable[[Way], Way]:
    """Note that ``method`` of ``face`` can send an order."""
    name = face if isinstance(face, str) else face.__name__

    def keep(function: Way) -> Way:
        WAYS[name, method] = function
        return function

    return keep


async def denial(attempt: Awaitable[object]) -> str | None:
    """Return the reason of the gate's refusal."""
    try:
        await attempt
    except OrderDenied as e:
        return f"{e.reason}: {e}"
    return None


def error_of(answer: dict[str, Any]) -> str | None:
    """Return the error of a cost analysis."""
    assert answer["success"] is (answer["error"] is None)
    return answer["error"]


@way(BybitClient, "place_order")
async def _client_order(rig: Rig) -> str | None:
    return await denial(rig.client.place_order(ETH, "Buy", quantity="0.11"))


async def conditional(rig: Rig, client: BybitClient | GatedClient, quantity: str) -> str | None:
    """Try to leave an order at the venue that opens a position when the market rises."""
    view = rig.client.quote_view(ETH)
    assert view is not None
    trigger = (view.ask * Decimal("1.01")).quantize(Decimal("0.01"))
    attempt = client.place_order(ETH, "Buy", quantity=quantity, trigger_price=trigger)
    return await denial(attempt)


VARIANTS: dict[str, Way] = {
    "a conditional order of the client": lambda rig: conditional(rig, rig.client, "0.41"),
    "a conditional order of the desk": lambda rig: conditional(rig, rig.session.client, "0.42"),
    "an order with exits of the client": lambda rig: with_exits(rig, rig.client, "0.43"),
    "an order with exits of the desk": lambda rig: with_exits(rig, rig.session.client, "0.44"),
}
"""Kinds of orders that the same methods can send."""


async def with_exits(rig: Rig, client: BybitClient | GatedClient, quantity: str) -> str | None:
    """Try to send a resting order that brings a take profit and a stop loss."""
    quote = rig.quote(quantity)
    assert quote.price is not None
    return await denial(
        client.place_order(
            ETH,
            "Buy",
            quantity=quantity,
            order_type="Limit",
            price=quote.price,
            take_profit=quote.price * 2,
            stop_loss=(quote.price / 2).quantize(Decimal("0.01")),
        )
    )


@way(GatedClient, "place_order")
async def _gated_order(rig: Rig) -> str | None:
    attempt = rig.session.client.place_order(
        ETH, "Buy", quantity="0.12", order_type="Limit", price="1000"
    )
    return await denial(attempt)


@way(BybitClient, "place_orders")
async def _client_orders(rig: Rig) -> str | None:
    return await batch_denial(rig.client.place_orders([rig.quote("0.31")]))


@way(QuotingDesk, "place_orders")
async def _desk_orders(rig: Rig) -> str | None:
    return await batch_denial(rig.session.client.quoting.place_orders([rig.quote("0.32")]))


@way(ExecutionEngine, "submit_batch")
async def _engine_orders(rig: Rig) -> str | None:
    attempt = rig.session.engine.submit_batch([rig.quote("0.33")], timeout_s=2.0)
    return await batch_denial(attempt)


@way(MarketMaker, "cycle")
async def _cycle(rig: Rig) -> str | None:
    return await _quoted(rig, MarketMaker.cycle)


@way(MarketMaker, "guard")
async def _guard(rig: Rig) -> str | None:
    async def cycle_first(maker: MarketMaker) -> None:  # it looks after quotes that are there
        await maker.cycle()
        await maker.guard()

    return await _quoted(rig, cycle_first)


@way(MarketMaker, "run")
async def _run(rig: Rig) -> str | None:
    async def for_a_moment(maker: MarketMaker) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await maker.run()

    return await _quoted(rig, for_a_moment)


async def _quoted(rig: Rig, work: Callable[[MarketMaker], Awaitable[object]]) -> str | None:
    maker = MarketMaker(rig.client, symbols=[ETH])  # as a user makes one
    await work(maker)
    stats = maker.collect_performance_stats()
    await maker.wind_down()
    return None if stats["requests"]["creates"] else f"{REFUSED}: nothing was asked for"


@way(BybitClient, "execute_parent")
async def _client_parent(rig: Rig) -> str | None:
    result = await rig.client.execute_parent(rig.parent("0.13"))
    assert result is not None
    return result.reason or None


@way(GatedClient, "execute_parent")
async def _gated_parent(rig: Rig) -> str | None:
    result = await rig.session.client.execute_parent(rig.parent("0.14", ExecutionStyle.PASSIVE))
    assert result is not None
    return result.reason or None


@way(Executor, "execute")
async def _executor(rig: Rig) -> str | None:
    result = await rig.session.executor.execute(rig.parent("0.15", ExecutionStyle.TWAP))
    assert result is not None
    return result.reason or None


@way(ExecutionEngine, "submit")
async def _engine(rig: Rig) -> str | None:
    engine = rig.session.engine
    intent = OrderIntent(
        symbol=ETH,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.16"),
        time_in_force=TimeInForce.IOC,
        link_id=engine.next_link_id(),
    )
    return await denial(engine.submit(intent, timeout_s=2.0))


@way(PerformanceOptimizer, "optimize_order_execution")
async def _performance(rig: Rig) -> str | None:
    optimizer = rig.system.performance_optimizer
    return error_of(await optimizer.optimize_order_execution(ETH, "Buy", "0.17", urgency="HIGH"))


@way(PerformanceOptimizer, "queue_order_execution")
async def _queue(rig: Rig) -> str | None:
    optimizer = PerformanceOptimizer(rig.client)  # as a user makes one
    return error_of(await optimizer.queue_order_execution(ETH, "Buy", "0.18", urgency="HIGH"))


@way(PerformanceOptimizer, "execute_parent")
async def _performance_parent(rig: Rig) -> str | None:
    _, answer = await rig.system.performance_optimizer.execute_parent(rig.parent("0.19"))
    return error_of(answer)


@way(LatencyOptimizer, "optimize_order_placement")
async def _latency(rig: Rig) -> str | None:
    optimizer = rig.system.latency_optimizer
    if await optimizer.optimize_order_placement(ETH, "Buy", "0.21"):
        return None
    assert optimizer.last_order_failure is not None
    return str(optimizer.last_order_failure["reason"])


@way(ParentDesk, "execute")
async def _session_parent(rig: Rig) -> str | None:
    result = await rig.session.desk.execute(rig.parent("0.22"))
    assert result is not None
    return result.reason or None


@way(EnhancedTradingSystem, "execute")
async def _system(rig: Rig) -> str | None:
    return error_of(await rig.system.execute(ETH, "Buy", "0.23", algorithm="market"))


@way(EnhancedTradingEngine, "close_position")
async def _close(rig: Rig) -> str | None:
    return await denial(EnhancedTradingEngine(rig.system).close_position(BTC))


@way(SignalTrader, "request_exit")
async def _request_exit(rig: Rig) -> str | None:
    if not rig.session.trader.request_exit(BTC):
        return None  # closed by the way above
    return await _trader_outcome(rig, BTC)


@way(SignalTrader, "consider")
async def _signal(rig: Rig) -> str | None:
    session, trader = rig.session, rig.session.trader
    await eventually(lambda: session.feed.symbols[ETH].features is not None)
    seen = session.feed.symbols[ETH].features
    assert seen is not None
    strong = Consensus(
        symbol=ETH,
        p_up=0.99,
        expected_move_bps=500.0,
        uncertainty_bps=1.0,
        agreement=1.0,
        horizon_s=10.0,
        has_quorum=True,
        votes=(),
        ts_ns=seen.ts_ns,
    )
    trader.is_accepting = True
    parents = trader.counts.parents
    trader.consider(seen, strong)
    trader.is_accepting = False  # one decision, not the strategy's own ones
    if session.own_quantity(ETH):
        return None  # the ways before opened a position: there is nothing to enter
    assert trader.counts.parents == parents + 1
    return await _trader_outcome(rig, ETH)


async def _trader_outcome(rig: Rig, symbol: str) -> str | None:
    await eventually(lambda: symbol not in rig.session.trader.busy_symbols)
    return error_of(rig.session.desk.answers[symbol])


@way(API, "POST /execute")
async def _api(rig: Rig) -> str | None:
    address = read_address(rig.settings.data_dir)
    assert address is not None
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {address.token}"}) as http,
        http.post(
            f"{address.url}/execute",
            json={"symbol": ETH, "side": "Buy", "quantity": "0.24", "algorithm": "market"},
        ) as reply,
    ):
        return error_of(await reply.json())


@way(CLI, "execute")
async def _command(rig: Rig) -> str | None:
    code, out, err = await command(
        rig.settings, "execute", "--symbol", ETH, "--side", "Buy", "--quantity", "0.25", "--json"
    )
    assert code in {0, 4}, err
    assert (code == 0) is (json.loads(out)["error"] is None)
    return error_of(json.loads(out))


CRAFTED = (
    "/v5/order/create",
    "{host}/v5/order/create",
    "{host}//v5/order/create",
    "/v5//order/create",
    "/v5/order//create",
    "/v5/order/create/",
    "/v5/order/create?category=linear",
    "/v5/order/create;version=1",
    "/v5/order;a=b/create",
    "/v5/./order/create",
    "/v5/market/../order/create",
    "/v5/order/../order/create",
    "/v5/order/create-batch",
    "/V5/ORDER/CREATE",
    "/v5/%6frder/create",
    "/v5/%256frder/create",
    "/%76%35/order/create",
    "/v5%2Forder%2Fcreate",
    "/v5/order%2fcreate",
    "/v5/order\\create",
    "/v5/position/trading-stop",
    "/v5/order/amend",
)


@way(LatencyOptimizer, "execute_priority_request")
async def _raw(rig: Rig) -> str | None:
    host = rig.client.rest_url
    reasons = [await _raw_order(rig, url.format(host=host)) for url in CRAFTED]
    return None if None in reasons else "past the gate: halted or not, always refused"


@way(LatencyOptimizer, "execute_batch_requests")
async def _raw_batch(rig: Rig) -> str | None:
    host = rig.client.rest_url
    items = [
        {"method": method, "url": url.format(host=host), "params": raw_order()}
        for url in CRAFTED
        for method in ("POST", "post")
    ]
    answers = await rig.system.latency_optimizer.execute_batch_requests(items)
    refused = all("error" in answer for answer in answers)
    return "past the gate: halted or not, always refused" if refused else None


def raw_order() -> dict[str, str]:
    return {
        "category": "linear",
        "symbol": ETH,
        "side": "Buy",
        "orderType": "Market",
        "qty": "0.26",
        "stopLoss": "1",
    }


async def _raw_order(rig: Rig, url: str) -> str | None:
    body = json.dumps(raw_order(), separators=(",", ":")).encode()
    signed = rig.client.auth_headers(body)
    for headers in (None, signed, {**signed, "X-HTTP-Method-Override": "GET"}):
        try:
            answer = await rig.system.latency_optimizer.execute_priority_request(
                "POST", url, raw_order(), headers
            )
        except ValidationError:
            continue
        if "error" not in answer:
            return None
    return "refused"


PAST_THE_GATE = {
    ("LatencyOptimizer", "execute_priority_request"),
    ("LatencyOptimizer", "execute_batch_requests"),
}
"""Refused in every state: an order there would pass the gate by."""


READS = {
    "time_operation",
    "optimize_update_interval",
    "look_up_silent",
    "resting",
    "quote_view",
    "may_open",
    "maker_fee",
    "get_volatility",
    "get_price",
    "get_performance_stats",
    "get_cache_stats",
    "get_atr",
    "collect_performance_stats",
    "cached_atr",
    "analyze_levels",
    "analyze_market_microstructure",
    "auth_headers",
    "ensure_ready",
    "features",
    "get_account_balance",
    "get_cached_price",
    "newest_executions",
    "verdict",
    "get_engine_status",
    "get_enhanced_market_data",
    "get_funding_rate",
    "get_funding_rate_history",
    "get_instrument_info",
    "get_kline_data",
    "get_latency_metrics",
    "get_liquidation_data",
    "get_market_data",
    "get_market_microstructure_summary",
    "get_microstructure",
    "get_open_interest",
    "get_open_interest_history",
    "get_optimization_metrics",
    "get_optimized_signal",
    "get_order_book",
    "get_order_book_data",
    "get_performance_summary",
    "get_position_info",
    "get_recommendations",
    "get_system_status",
    "instrument",
    "killable_orders",
    "live_orders",
    "look_up",
    "open_positions",
    "order",
    "own_quantity",
    "panel",
    "refresh",
    "resolve",
    "resting_orders",
    "settle",
    "stop_price",
    "success_rate_pct",
    "slippage_bps",
    "fees_bps",
    "test_connection",
    "trades",
    "unprotected",
}
RUNS = {
    "on_book_change",
    "note_price",
    "invalidate",
    "acquire_api_call",
    "benchmark_performance",
    "check_journal",
    "check_losses",
    "cleanup",
    "clear_cache",
    "close",
    "drain",
    "latch",
    "next_link_id",
    "note_venue",
    "on_fill",
    "on_funding",
    "on_report",
    "optimize_market_data_request",
    "pause",
    "pre_warm_connections",
    "rate_limit_api_call",
    "recover",
    "reduce_only",
    "release",
    "request_stop",
    "resume",
    "run_forever",
    "set_leverage",
    "start",
    "start_engine",
    "start_performance_monitoring",
    "start_real_time_analysis",
    "start_system",
    "stop",
    "stop_accepting",
    "stop_engine",
    "stop_performance_monitoring",
    "stop_real_time_analysis",
    "stop_system",
    "take_over",
    "throttle",
}
LESSENS = {
    *("cancel", "cancel_all", "cancel_batch", "cancel_orders"),
    *("protect", "pull", "standing_aside", "wind_down"),
    *("trail", "set_trailing_stop", "cancel_all_orders"),
}
"""Allowed in every state: they cannot open or enlarge a position."""
LAST_RESORT = {
    ("EnhancedTradingEngine", "emergency_close_all_positions"),
    ("EnhancedTradingSystem", "kill"),
    ("ExecutionEngine", "kill"),
    ("ExecutionEngine", "close_position"),
}
"""The kill switch itself: it closes positions while everything else is halted."""

Change = Callable[[Rig, PriceChange], Awaitable[list[BatchOutcome]]]
AMENDS: dict[tuple[str, str], Change] = {
    ("BybitClient", "amend_orders"): lambda rig, change: rig.client.amend_orders([change]),
    ("QuotingDesk", "amend_orders"): lambda rig, change: rig.session.client.quoting.amend_orders(
        [change]
    ),
    ("ExecutionEngine", "amend_batch"): lambda rig, change: rig.session.engine.amend_batch(
        [change], timeout_s=2.0
    ),
}
"""Every public way to move an order that rests already."""
ANALYSES = {
    *("BookProcessor", "CostSimulator", "MakerTakerModel", "MarketImpactModel"),
    *("OptimizedMarketImpact", "OptimizedSlippageModel", "SlippageModel"),
}
"""Faces that hold no key and no client: they compute from public market data."""

FACES = (
    AISignalOptimizer,
    BybitClient,
    EnhancedTradingEngine,
    EnhancedTradingSystem,
    ExecutionEngine,
    Executor,
    GatedClient,
    LatencyOptimizer,
    MarketMaker,
    MarketMicrostructureAnalyzer,
    ParentDesk,
    PerformanceOptimizer,
    QuotingDesk,
    SignalTrader,
    TradingSession,
    VolatilityCalculator,
)


def test_every_public_method_of_every_face_is_known_to_send_orders_or_not() -> None:
    for face in FACES:
        for name, _ in inspect.getmembers(face, inspect.isfunction):
            if name.startswith("_"):
                continue
            key = (face.__name__, name)
            is_known = key in {*WAYS, *AMENDS, *LAST_RESORT} or name in READS | RUNS | LESSENS
            assert is_known, f"say here whether {face.__name__}.{name} can send an order"
    known = {face.__name__ for face in FACES}
    assert known | ANALYSES >= {*agents.__all__, *optimizers.__all__, *trading_system.__all__}


def test_the_faces_that_only_compute_hold_nothing_that_could_send_an_order() -> None:
    root = Path(trading_system.__file__).parent
    folders = (root / "cost_simulator", root.parent / "optimizers" / "costs")
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    assert sources
    for path in sources:
        text = path.read_text()
        for name in ("ExecutionEngine", "GatedClient", "BybitGateway", "BybitClient", "Signer"):
            assert name not in text, f"{path.name} names {name}"


def test_every_listed_way_exists() -> None:
    methods = {
        (face.__name__, name) for face in FACES for name, _ in inspect.getmembers(face, callable)
    }
    assert {key for key in WAYS if key[0] not in {API, CLI}} <= methods
    assert methods >= {*LAST_RESORT, *AMENDS}
    names = {name for _, name in methods}
    assert names >= LESSENS | (READS - {"live_orders"}) | RUNS


def test_every_route_and_command_is_known_to_send_orders_or_not(tmp_path: Path) -> None:
    system = EnhancedTradingSystem(live_settings(tmp_path))
    api = create_app(system, system, system.inspection, tokens=Tokens.fresh())
    routes = {
        f"{method.upper()} {path}"
        for path, methods in api.openapi()["paths"].items()
        for method in methods
    }
    hidden = [
        line
        for path in Path(trading_system.__file__).parent.joinpath("api").rglob("*.py")
        for line in path.read_text().splitlines()
        if "include_in_schema" in line
    ]
    assert len(hidden) == 1, "only the document itself is not in the document"
    listed = {method for face, method in WAYS if face == API}
    reads = {route for route in routes if route.startswith("GET ")}  # they command nothing
    silent = {"POST /alerts/{alert_id}/acknowledge"} | {
        f"POST /{name}" for name in ("stop", "pause", "resume", "reduce-only", "kill")
    }
    assert "GET /status" in reads
    assert routes == listed | silent | reads
    commands = {
        command.name or command.callback.__name__ for command in cli_app.registered_commands
    }
    assert commands == {method for face, method in WAYS if face == CLI} | {
        *("start", "venue", "train", "doctor"),  # a start trades by its own gate
        *("status", "compliance", "stop", "pause", "resume", "reduce-only", "kill"),
        *("top", "alerts", "dashboard", "token", "compare", "record", "replay"),
    }


async def command(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Run one command for the running system's data directory."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trading_system", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TRADING_DATA_DIR": str(settings.data_dir)},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    settings = live_settings(
        tmp_path, strategy__name="none", risk__max_orders_per_second=50, venue__limits="off"
    )
    async with (
        running(settings) as system,
        control_api(
            system,
            system,
            system.inspection,
            host="127.0.0.1",
            port=0,
            data_dir=settings.data_dir,
        ),
    ):
        rig = Rig(system, settings, reader_of(system.desk))
        bought = await rig.client.place_order(BTC, "Buy", quantity="0.01")
        assert bought["filled_quantity"] == 0.01
        yield rig


def is_stop(row: dict[str, Any]) -> bool:
    return row["stopOrderType"] == "StopLoss" and row["closeOnTrigger"] and row["reduceOnly"]


async def trading_orders(venue: VenueReader) -> dict[str, dict[str, Any]]:
    """Return every order but the stops that protect an open position: they can only close."""
    return {key: row for key, row in (await venue.orders()).items() if not is_stop(row)}


async def test_while_halted_no_public_way_reaches_the_venue(rig: Rig) -> None:
    before = await trading_orders(rig.venue)
    assert len(before) == 1
    assert (await rig.system.kill("test"))["confirmed"] is True
    for key, attempt in WAYS.items():
        reason = await attempt(rig)
        assert reason is not None, f"{key} was not refused"
        assert key in PAST_THE_GATE or REFUSED in reason, f"{key}: {reason}"
        assert await trading_orders(rig.venue) == before, f"{key} reached the venue"
    for name, variant in VARIANTS.items():
        reason = await variant(rig)
        assert reason is not None, f"{name} was not refused"
        assert REFUSED in reason, f"{name}: {reason}"
        assert await trading_orders(rig.venue) == before, f"{name} reached the venue"
    assert rig.session.engine.sent == 1
    assert await rig.venue.positions() == {BTC: Decimal("0.01")}


async def test_while_free_the_same_ways_reach_the_venue(rig: Rig) -> None:
    await rig.system.kill("test")
    resumed = await rig.system.resume()
    assert resumed["trading_state"] == "ACTIVE"
    silent = {}
    for key, attempt in WAYS.items():
        before = set(await trading_orders(rig.venue))
        reason = await attempt(rig)
        if set(await trading_orders(rig.venue)) == before:
            silent[key] = reason
        elif reason is not None:
            raise AssertionError(f"{key} was sent, and refused: {reason}")
    for name, variant in VARIANTS.items():
        before = set(await trading_orders(rig.venue))
        assert await variant(rig) is None, name
        assert set(await trading_orders(rig.venue)) != before, f"{name} was not sent"
    # What is refused in every state, and what finds nothing left to do.
    assert set(silent) == {
        *PAST_THE_GATE,
        ("SignalTrader", "request_exit"),
        ("SignalTrader", "consider"),
    }, silent


async def test_a_resting_order_can_be_moved_only_while_trading_is_free(rig: Rig) -> None:
    intent = rig.quote("0.1")
    (placed,) = await rig.client.place_orders([intent])
    assert placed.error is None
    assert intent.price is not None
    engine = rig.session.engine
    await eventually(lambda: any(o.is_settled_in for o in engine.resting(ETH)))
    for number, (key, change) in enumerate(AMENDS.items(), start=1):
        price = intent.price - number
        wanted = PriceChange(symbol=ETH, link_id=intent.link_id, price=price)
        for state in (TradingState.HALTED, TradingState.REDUCING):
            before = await trading_orders(rig.venue)
            engine.holds.set("test", state, "a test")
            assert await batch_denial(change(rig, wanted)) is not None, f"{key} was not refused"
            assert await trading_orders(rig.venue) == before, f"{key} reached the venue"
        engine.holds.clear("test")
        assert await batch_denial(change(rig, wanted)) is None
        await eventually(lambda: all(o.is_settled_in for o in engine.resting(ETH)))
        row = (await rig.venue.orders())[placed.order_id]
        assert Decimal(row["price"]) == price, f"{key} did not move it"


async def test_a_market_maker_beside_a_halted_strategy_asks_for_nothing(tmp_path: Path) -> None:
    settings = live_settings(tmp_path, strategy__name="market-maker", venue__limits="off")
    async with running(settings) as system:
        session, venue = system.desk.live_session(), reader_of(system.desk)
        await eventually(lambda: len(session.engine.resting(ETH)) >= 2)
        assert (await system.kill("test"))["confirmed"] is True
        before, sent = await venue.orders(), session.engine.sent
        await asyncio.sleep(2.5)
        assert await venue.orders() == before
        assert session.engine.sent == sent
        await system.resume()
        await eventually(lambda: len(session.engine.resting(ETH)) >= 2, what="quoting again")


async def test_while_halted_the_last_resort_only_closes(rig: Rig) -> None:
    await rig.system.kill("test")
    before = set(await trading_orders(rig.venue))
    answer = await EnhancedTradingEngine(rig.system).emergency_close_all_positions("test")
    assert answer["flattened"] is True
    assert answer["trading_state"] == "HALTED"
    sent = [row for key, row in (await trading_orders(rig.venue)).items() if key not in before]
    assert [(row["reduceOnly"], row["side"], row["symbol"]) for row in sent] == [
        (True, "Sell", BTC)
    ]
    assert await rig.venue.positions() == {}


async def test_a_kill_survives_restarts_until_a_resume(tmp_path: Path) -> None:
    settings = live_settings(tmp_path, strategy__name="none")
    async with running(settings) as system:
        await system.kill("the operator went home")
    # The command line's own short session is a restart, too.
    code, out, err = await command(
        settings, "execute", "--symbol", ETH, "--side", "Buy", "--quantity", "0.1", "--json"
    )
    assert (code, REFUSED in json.loads(out)["error"]) == (4, True), err
    async with running(settings) as system:
        status = system.get_system_status()
        assert status["trading_state"] == "HALTED"
        assert any("the operator went home" in hold for hold in status["holds"]["reasons"])
        assert (
            await denial(system.bybit_client.place_order(ETH, "Buy", quantity="0.1"))
        ) is not None
        assert await reader_of(system.desk).orders() == {}
        await system.resume()
        sent = await system.bybit_client.place_order(ETH, "Buy", quantity="0.1")
        assert sent["filled_quantity"] == 0.1
    async with running(settings) as system:
        assert system.get_system_status()["trading_state"] == "ACTIVE"
