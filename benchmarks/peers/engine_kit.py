"""What all product rows share: the gated engine with journal on disk, as the system wires it.

Orders are settled by a report after their answer, outside the measured time.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import protocol
import structlog
from pydantic import SecretStr

from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import (
    OrderIntent,
    OrderReport,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from trading_system.execution.engine import RECOVERY, ExecutionEngine
from trading_system.execution.journal.store import Journal
from trading_system.monitoring.latency import StageLatency
from trading_system.risk.limits import MarketView, RiskLimits
from trading_system.risk.losses import LossGuard
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.limiter import SlidingWindow
from trading_system.venues.bybit.gateway import BybitGateway
from trading_system.venues.bybit.signing import Signer
from trading_system.venues.bybit.trade_stream import BybitTradeStream

CLOCK = SystemClock()
MID = Decimal("60000.05")
PRICE = Decimal("60000.0")
BTC = Instrument(
    symbol="BTCUSDT",
    base_coin="BTC",
    quote_coin="USDT",
    tick_size=Decimal("0.1"),
    qty_step=Decimal("0.001"),
    min_price=Decimal("0.1"),
    max_price=Decimal(2_000_000),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1000),
    max_market_qty=Decimal(100),
    min_notional=Decimal(5),
)
_SECOND_ORDERS = 1_000_000


def signer() -> Signer:
    return Signer("key", SecretStr("secret"), recv_window_ms=5000)


def trade_stream(url: str, client: str) -> BybitTradeStream:
    """Return the trade socket, not yet running."""
    return BybitTradeStream(
        f"{url}/v5/trade?client={client}", signer=signer(), clock=CLOCK, jitter=random.Random(1)
    )


def intent(link_id: str, price: Decimal = PRICE) -> OrderIntent:
    """Return the one order that all clients send."""
    return OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.001"),
        price=price,
        time_in_force=TimeInForce.GTC,
        link_id=link_id,
    )


def engine(
    gateway: BybitGateway, folder: Path, market: Callable[[str], MarketView] | None = None
) -> ExecutionEngine:
    """Return the engine, past its recovery, with limits that let the benchmark through."""
    view = MarketView(mid=MID, age_s=0.01)
    journal = Journal.open(folder / "journal.sqlite", clock=CLOCK)
    journal.begin_run("0badcafe")
    found = ExecutionEngine(
        gateway=gateway,
        lookup=gateway,
        instruments={"BTCUSDT": BTC},
        limits=RiskLimits(
            collar_bps=Decimal(50),
            max_order_notional=Decimal(10_000),
            max_position_notional=Decimal(40_000),
            max_gross_notional=Decimal(50_000),
            max_book_age_s=3.5,
            duplicate_window_s=0.0,  # the same order at every tick is what is measured here
        ),
        order_rate=SlidingWindow(_SECOND_ORDERS, window_s=1.0, clock=CLOCK),
        portfolio=Portfolio(Decimal(100_000)),
        journal=journal,
        losses=LossGuard(max_daily_loss_pct=Decimal(2), max_drawdown_pct=Decimal(5)),
        market=market or (lambda _symbol: view),
        clock=CLOCK,
        latency=StageLatency(),
        run_id="0badcafe",
        clock_offset_ms=lambda: 0.5,
    )
    found.holds.clear(RECOVERY)
    return found


def settle(engine: ExecutionEngine, sent: OrderIntent) -> None:
    """Report the order as cancelled, so that it counts no more."""
    engine.on_report(
        OrderReport(
            order_id="1",
            link_id=sent.link_id,
            symbol=sent.symbol,
            side=sent.side,
            status=OrderStatus.CANCELLED,
            quantity=sent.quantity,
            filled_quantity=Decimal(0),
            average_price=None,
            price=sent.price,
            reason="",
            ts_exchange_ns=0,
        )
    )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loops where it is installed, as ``start`` does."""
    try:
        return import_module("uvloop").new_event_loop
    except ImportError:
        return None


async def questions() -> Any:
    """Yield the questions without blocking the loop."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield protocol.parsed(line)


async def becomes_true(condition: Callable[[], bool]) -> None:
    """Wait for ``condition``, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - streams have no event to wait for
            await asyncio.sleep(0.005)


def quiet() -> None:
    """Keep the system's own log lines out of the answers."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
