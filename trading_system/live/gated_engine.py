"""The session's engine: the gate with the limits of the settings, over one account."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from trading_system.config.settings import Settings
from trading_system.domain.orders import Fill
from trading_system.domain.ports import Clock
from trading_system.execution.engine import ExecutionEngine
from trading_system.execution.journal.store import Journal
from trading_system.live.connection import Account, VenueConnection
from trading_system.risk.limits import MarketView, RiskLimits
from trading_system.risk.losses import LossGuard
from trading_system.risk.portfolio import Portfolio
from trading_system.runtime.limiter import SlidingWindow


def engine_of(
    settings: Settings,
    connection: VenueConnection,
    *,
    account: Account,
    portfolio: Portfolio,
    journal: Journal,
    market: Callable[[str], MarketView],
    clock: Clock,
    run_id: str,
    clock_offset_ms: Callable[[], float | None],
    on_booked: Callable[[Fill], None],
    on_funded: Callable[[str, Decimal], None],
) -> ExecutionEngine:
    """Return the engine of one session; see :class:`ExecutionEngine` for the parameters."""
    risk = settings.risk
    return ExecutionEngine(
        gateway=connection.gateway,
        lookup=connection.gateway,
        instruments=account.instruments,
        limits=RiskLimits(
            collar_bps=risk.collar_bps,
            max_order_notional=risk.max_order_notional,
            max_position_notional=risk.max_position_notional,
            max_gross_notional=risk.max_gross_notional,
            max_book_age_s=risk.stale_book_s,
        ),
        order_rate=SlidingWindow(risk.max_orders_per_second, window_s=1.0, clock=clock),
        amend_rate=SlidingWindow(risk.max_amends_per_second, window_s=1.0, clock=clock),
        portfolio=portfolio,
        journal=journal,
        losses=LossGuard(
            max_daily_loss_pct=risk.max_daily_loss_pct, max_drawdown_pct=risk.max_drawdown_pct
        ),
        market=market,
        clock=clock,
        latency=connection.latency,
        run_id=run_id,
        # A request may leave, with a stamp of its own, as late as when patience with it ends.
        request_life_s=settings.bybit.recv_window_ms / 1_000 + settings.bybit.request_timeout_s,
        clock_offset_ms=clock_offset_ms,
        on_booked=on_booked,
        on_funded=on_funded,
    )
