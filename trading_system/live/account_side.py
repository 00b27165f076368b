"""The account's half of a session: gate and engine, parents, reports, and the comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from trading_system.config.settings import Settings
from trading_system.domain.orders import Fill
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.executor import Executor
from trading_system.execution.journal.store import Journal
from trading_system.live.account import AccountFeed
from trading_system.live.connection import Account, VenueConnection
from trading_system.live.feed import MarketFeed
from trading_system.live.gated_engine import engine_of
from trading_system.live.reconciler import Reconciler
from trading_system.live.venue_time import VenueTime
from trading_system.risk.portfolio import Portfolio


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSide:
    """Everything between a decision and the account, and back.

    Parameters
    ----------
    portfolio : Portfolio
        Local truth of positions and money.
    engine : ExecutionEngine
        The gate, and the way of every order.
    executor : Executor
        Works parent orders through the engine.
    reports : AccountFeed
        Applies the private stream to engine and portfolio.
    reconciler : Reconciler
        Compares the portfolio with the venue.
    """

    portfolio: Portfolio
    engine: ExecutionEngine
    executor: Executor
    reports: AccountFeed
    reconciler: Reconciler


def account_side_of(
    settings: Settings,
    connection: VenueConnection,
    *,
    account: Account,
    feed: MarketFeed,
    venue_time: VenueTime,
    journal: Journal,
    run_id: str,
    clock: Clock,
    on_booked: Callable[[Fill], None],
    on_funded: Callable[[str, Decimal], None],
) -> AccountSide:
    """Return the parts of one account, wired together; see :class:`ExecutionEngine`."""
    portfolio = Portfolio(account.wallet.wallet_balance, hedged=account.hedged)
    engine = engine_of(
        settings,
        connection,
        account=account,
        portfolio=portfolio,
        journal=journal,
        market=feed.market_view,
        clock=clock,
        run_id=run_id,
        clock_offset_ms=lambda: venue_time.offset_ms,
        on_booked=on_booked,
        on_funded=on_funded,
    )
    reports = AccountFeed(engine, drift=connection.gateway.drift)
    return AccountSide(
        portfolio=portfolio,
        engine=engine,
        executor=Executor(
            engine=engine,
            instruments=account.instruments,
            quote=feed.best_prices,
            clock=clock,
            request_timeout_s=settings.bybit.request_timeout_s,
            walk=lambda symbol, side, quantity: feed.symbols[symbol].walk(side, quantity),
        ),
        reports=reports,
        reconciler=Reconciler(
            connection.gateway,
            portfolio=portfolio,
            engine=engine,
            clock=clock,
            offset_ns=venue_time.offset_ns,
            merged=reports.fast.merged,
        ),
    )
