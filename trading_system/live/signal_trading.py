"""The session's signal trader, and what is read of it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from trading_system.config.sections import RiskSettings, StrategySettings
from trading_system.config.settings import Settings
from trading_system.domain.ports import Clock
from trading_system.live.connection import Account
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.lifecycle import Spawn
from trading_system.strategies.trader import Desk, SignalTrader

_BPS = 10_000


def signal_trader_of(
    desk: Desk,
    *,
    account: Account,
    portfolio: Portfolio,
    settings: Settings,
    clock: Clock,
    spawn: Spawn,
) -> SignalTrader:
    """Return the trader that ``settings`` describe; it accepts signals if that is the strategy."""
    strategy = settings.strategy
    trader = SignalTrader(
        desk=desk,
        portfolio=portfolio,
        instruments=account.instruments,
        costs=account.costs,
        rules=trading_rules(strategy, settings.risk),
        clock=clock,
        spawn=spawn,
    )
    trader.is_accepting = strategy.name == "signals"
    return trader


def trading_rules(strategy: StrategySettings, risk: RiskSettings) -> StrategySettings:
    """Return the strategy's rules; an entry at its worst price stays below the gate's cap."""
    worst = 1 + Decimal(str(strategy.max_slippage_bps)) / _BPS
    largest = min(strategy.entry_notional, risk.max_order_notional / worst)
    return strategy.model_copy(update={"entry_notional": largest})


def newest_slippage(trader: SignalTrader) -> Callable[[], float | None]:
    """Return a function for the trader's slippage that computes it once per ended parent.

    With a thousand parents at hand it takes over a millisecond, and is asked for all the time.
    """
    ended, newest = -1, None

    def slippage_bps() -> float | None:
        nonlocal ended, newest
        if ended != trader.counts.parents_ended:
            ended, newest = trader.counts.parents_ended, trader.slippage_bps()
        return newest

    return slippage_bps
