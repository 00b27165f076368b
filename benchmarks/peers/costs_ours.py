"""What single steps cost: journal, risk gate, market analysis, features, cached signals.

``features-numpy`` is the same feature vector by array expressions over the kept events, written
for this comparison; both must agree at every message.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import book_flow
import engine_kit
import features_numpy
import protocol

from optimizers.ai_signal_optimizer import AISignalOptimizer
from optimizers.market_microstructure_analyzer import MarketMicrostructureAnalyzer
from trading_system.domain.errors import OrderDenied
from trading_system.domain.orders import Side
from trading_system.domain.signals import FEATURE_NAMES
from trading_system.execution.gate import OrderGate
from trading_system.execution.journal.store import Journal
from trading_system.execution.ledger import OrderLedger
from trading_system.execution.tracking import TrackedOrder
from trading_system.market import decode
from trading_system.market.book import OrderBook
from trading_system.market.features import FlowTracker
from trading_system.market.warm import warm
from trading_system.risk.limits import MarketView, RiskLimits, TradingState
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow

_GAP_NS = 20_000_000
_RESTING = 10


def journal(count: int, folder: Path) -> list[float]:
    """Time writing an intent; afterwards the file must hold every one of them."""
    path = folder / f"journal-{time.monotonic_ns()}.sqlite"
    with Journal.open(path, clock=engine_kit.CLOCK) as held:
        held.begin_run("0badcafe")
        intents = [engine_kit.intent(f"ts-0badcafe-{number}") for number in range(count)]
        waiting = iter(intents)
        times = protocol.timed(lambda: held.write_intent(next(waiting)), count)
    with Journal.open(path, clock=engine_kit.CLOCK) as held:
        assert [found.intent for found in held.unsettled_intents()] == intents
    return times


def gate(count: int, _folder: Path) -> list[float]:
    """Time admitting an order beside ten resting ones; a wild price must still be refused."""
    view = MarketView(mid=engine_kit.MID, age_s=0.01)
    ledger = OrderLedger()
    for number in range(_RESTING):
        resting = engine_kit.intent(f"r-{number}", engine_kit.PRICE - number)
        ledger.add(TrackedOrder(intent=resting, sent_ns=0))
    held = OrderGate(
        instruments={"BTCUSDT": engine_kit.BTC},
        limits=RiskLimits(
            collar_bps=Decimal(50),
            max_order_notional=Decimal(10_000),
            max_position_notional=Decimal(40_000),
            max_gross_notional=Decimal(50_000),
            max_book_age_s=3.5,
        ),
        order_rate=SlidingWindow(1_000_000, window_s=1.0, clock=engine_kit.CLOCK),
        portfolio=Portfolio(Decimal(100_000)),
        ledger=ledger,
        market=lambda _symbol: view,
        clock=engine_kit.CLOCK,
        clock_offset_ms=lambda: 0.5,
    )
    intents = iter([engine_kit.intent(f"ts-0badcafe-{number}") for number in range(count)])
    times = protocol.timed(lambda: held.admit(next(intents), state=TradingState.ACTIVE), count)
    for wrong in (
        replace(engine_kit.intent("w"), price=engine_kit.PRICE * 2),
        replace(engine_kit.intent("w"), side=Side.SELL, price=engine_kit.PRICE),
    ):
        try:
            held.admit(wrong, state=TradingState.ACTIVE)
        except OrderDenied:
            continue
        raise AssertionError(f"let through: {wrong}")
    return times


class BookClient:
    """A venue client with one book of texts."""

    def __init__(self) -> None:
        message = protocol.parsed(book_flow.messages(50, 0)[0])["data"]
        self.book = {"symbol": "BTCUSDT", "bids": message["b"], "asks": message["a"], "ts": 1}

    async def ensure_ready(self) -> None:
        return

    async def get_order_book_data(self, _symbol: str, _limit: int) -> dict[str, Any]:
        return self.book


async def analyzer(count: int, _folder: Path) -> list[float]:
    """Time one analysis of 50 levels of text; the impact curve must equal a plain walk."""
    client = BookClient()
    held = MarketMicrostructureAnalyzer(client)  # type: ignore[arg-type] # all that it uses
    times = await protocol.timed_async(lambda: held.analyze_market_microstructure("BTCUSDT"), count)
    analysis = await held.analyze_market_microstructure("BTCUSDT")
    asks = [(float(price), float(size)) for price, size in client.book["asks"]]
    for usd, cost_bps in analysis.price_impact_curve:
        wanted = _walked(asks, float(client.book["bids"][0][0]), usd)
        assert abs(cost_bps - wanted) < 1e-6, f"{usd}: {cost_bps}, walked {wanted}"
    return times


def _walked(asks: list[tuple[float, float]], bid: float, usd: float) -> float:
    mid, left, quantity = (bid + asks[0][0]) / 2, usd, 0.0
    for price, size in asks:
        part = min(left, price * size)
        quantity, left = quantity + part / price, left - part
    assert left == 0
    return (usd / quantity - mid) / mid * 10_000


async def summary(count: int, _folder: Path) -> list[float]:
    """Time the summary after ten analyses."""
    held = MarketMicrostructureAnalyzer(BookClient())  # type: ignore[arg-type] # all that it uses
    for _ in range(10):
        await held.analyze_market_microstructure("BTCUSDT")
    return protocol.timed(lambda: held.get_market_microstructure_summary("BTCUSDT"), count)


def features(count: int, _folder: Path) -> dict[str, list[float]]:
    """Time both feature vectors after each message, 20 ms of market time apart."""
    warm()
    book, flow = OrderBook(engine_kit.BTC, depth=50), FlowTracker("BTCUSDT")
    twin = features_numpy.Tracker()
    ours: list[float] = []
    theirs: list[float] = []
    for number, line in enumerate(book_flow.messages(50, count)):
        now_ns = (number + 1) * _GAP_NS
        book.apply(decode.decode_book(line.encode()), now_ns)
        levels = features_numpy.levels(book)
        began = time.perf_counter_ns()
        flow.on_book(book, now_ns)
        mine = flow.features(book, now_ns)
        middle = time.perf_counter_ns()
        found = twin.features(levels, now_ns)
        ended = time.perf_counter_ns()
        ours.append((middle - began) / 1_000)
        theirs.append((ended - middle) / 1_000)
        for name in FEATURE_NAMES:
            value = getattr(mine, name)
            assert abs(value - found[name]) < 1e-6, f"{name}: {value}, twin {found[name]}"
    return {"us": ours, "twin_us": theirs}


_SIGNALS = AISignalOptimizer(clock=engine_kit.CLOCK)


async def cache_hit(count: int, _folder: Path) -> list[float]:
    """Time a cached consensus of 30 fields of market data, misses left out.

    Nothing is cached until the agents have learned enough to speak, which takes some seconds.
    """
    held = _SIGNALS
    data: dict[str, Any] = dict.fromkeys(FEATURE_NAMES, 0.1) | {"mid": 65_000.0}
    data |= {"spread_bps": 0.02, "volatility_bps": 1.0}
    data |= {f"other_{number}": number for number in range(30 - len(data))}
    times: list[float] = []
    before = held.get_optimization_metrics()["cache_metrics"]["hits"]
    while len(times) < count:
        began = time.perf_counter_ns()
        answer = await held.get_optimized_signal("BTCUSDT", data)
        us = (time.perf_counter_ns() - began) / 1_000
        if answer.optimization_metadata["from_cache"]:
            times.append(us)
    after = held.get_optimization_metrics()["cache_metrics"]["hits"]
    assert after - before == count, f"{after - before} hits counted, {count} seen"
    return times


STEPS = {
    "journal": journal,
    "gate": gate,
    "analyzer": analyzer,
    "summary": summary,
    "features": features,
    "cache_hit": cache_hit,
}


def main(folder: Path) -> None:
    engine_kit.quiet()
    protocol.ready()
    with asyncio.Runner() as loop:
        for question in protocol.questions():
            found: Any = STEPS[question["what"]](question["count"], folder)
            if asyncio.iscoroutine(found):
                found = loop.run(found)
            protocol.say(found if isinstance(found, dict) else {"us": found})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        main(Path(name))
