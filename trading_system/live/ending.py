"""How a session's trading comes to rest before its orders are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from trading_system.execution.executor import Executor
from trading_system.live.market_making import MarketMaking
from trading_system.strategies.trader import SignalTrader

_LOG = structlog.get_logger(__name__)
_DRAIN_S = 10.0
_FLATTEN_S = 15.0
_FLATTEN_ATTEMPTS = 3
_POLL_S = 0.02


async def bring_to_rest(
    trader: SignalTrader, *, executor: Executor, making: MarketMaking | None
) -> None:
    """Start no new trades, pull quotes and give the parents at work a bounded time."""
    trader.stop_accepting()
    executor.request_stop()
    if making is not None:
        await making.wind_down()
    if not await becomes_true(lambda: not trader.busy_symbols, within_s=_DRAIN_S):
        _LOG.warning("parents still at work", symbols=sorted(trader.busy_symbols))


async def flatten(trader: SignalTrader, symbols: Iterable[str]) -> None:
    """Close the own positions; again where a late fill or a thin book left something."""
    wanted = tuple(symbols)
    for _ in range(_FLATTEN_ATTEMPTS):
        begun = [symbol for symbol in wanted if trader.request_exit(symbol)]
        if not begun:
            return
        await becomes_true(lambda: not trader.busy_symbols, within_s=_FLATTEN_S)


async def becomes_true(condition: Callable[[], bool], *, within_s: float) -> bool:
    """Poll ``condition`` for at most ``within_s`` seconds; return whether it came to hold."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within_s
    while not condition():
        if loop.time() >= ends:
            return False
        await asyncio.sleep(_POLL_S)
    return True
