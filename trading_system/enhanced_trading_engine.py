"""The trading engine of the users' guides: strategy and portfolio of a running system."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from trading_system.config.settings import Settings
from trading_system.domain.instruments import plain
from trading_system.domain.ports import Clock
from trading_system.enhanced_trading_system import EnhancedTradingSystem
from trading_system.live import control
from trading_system.live.session import TradingSession


class EnhancedTradingEngine:
    """Starts and stops trading, closes positions, and says how it stands.

    Parameters
    ----------
    system : EnhancedTradingSystem or None
        The system whose strategy this is; None makes one, which :meth:`start_engine` starts.
    settings : Settings or None
        For a system of its own; None loads them from environment, ``.env`` and ``config.json``.
    clock : Clock or None
        For a system of its own; None uses the machine's clocks.
    """

    def __init__(
        self,
        system: EnhancedTradingSystem | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._is_owner = system is None
        self._system = system or EnhancedTradingSystem(settings, clock=clock)

    def _session(self) -> TradingSession:
        return self._system.desk.live_session()

    async def start_engine(self) -> None:
        """Begin trading; a system of its own is started first.

        Raises
        ------
        TradingSystemError
            If the system could not be started.
        """
        if self._is_owner and not self._system.desk.is_live:
            await self._system.start_system()
        self._session().trader.resume()

    async def stop_engine(self, reason: str = "stopped") -> None:
        """Begin no new trade; a system of its own is stopped. Idempotent."""
        if self._is_owner:
            await self._system.stop_system(reason)
        elif self._system.desk.is_live:
            self._session().trader.pause(reason)

    async def close_position(self, symbol: str) -> dict[str, Any] | Literal[False]:
        """Close this system's position of ``symbol``; return what it cost, False without one.

        The closing order passes the risk gate: while trading is halted nothing is sent. The
        answer has the keys of :meth:`EnhancedTradingSystem.execute`; ``success`` says whether
        anything was traded, ``error`` why not.

        Raises
        ------
        OrderDenied
            If trading is halted; :meth:`emergency_close_all_positions` closes all the same.
        DeadlineExceeded
            If the outcome is not known within 20 s; the closing goes on.
        """
        return await control.close(self._session(), symbol)

    async def emergency_close_all_positions(self, reason: str = "emergency") -> dict[str, Any]:
        """Halt trading, cancel every order and close every position of the traded symbols.

        The same as the kill switch with flattening; only a resume lifts the halt.
        """
        return await control.kill(self._session(), reason, flatten=True)

    def get_engine_status(self) -> dict[str, Any]:
        """Return how trading stands; every key is present from the first call."""
        desk = self._system.desk
        session = desk.session
        status = self._system.get_system_status()
        return {
            "engine_active": desk.is_live and session is not None and session.is_trading,
            "account_balance": _number(status["equity"]),
            "active_positions": len(status["position"]["local"]),
            "trades_executed": status["system_health"]["total_trades"],
            "trades_successful": _won(session),
            "success_rate": status["success_rate_pct"],
            "total_pnl": _number(status["pnl_quote"]),
            "risk_status": {
                "trading_state": status["trading_state"],
                "holds": status["holds"],
                "drawdown_pct": status["drawdown_pct"],
                "daily_pnl_pct": status["daily_pnl_pct"],
            },
            "config": {
                "strategy": desk.settings.strategy.model_dump(mode="json"),
                "risk": desk.settings.risk.model_dump(mode="json"),
            },
            "active_position_details": _details(session),
        }


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _won(session: TradingSession | None) -> int:
    return sum(p.trades_won for p in session.portfolio.positions) if session is not None else 0


def _details(session: TradingSession | None) -> list[dict[str, Any]]:
    if session is None:
        return []
    trips, stops = session.trader.trips, session.reconciler.venue_stops
    return [
        {
            "symbol": position.symbol,
            "quantity": plain(position.quantity),
            "own_quantity": plain(session.own_quantity(position.symbol)),
            "entry_mid": trips[position.symbol].entry_mid if position.symbol in trips else None,
            "best_mid": trips[position.symbol].best_mid if position.symbol in trips else None,
            "protective_stop": _text(stops.get(position.symbol)),
        }
        for position in session.portfolio.positions
        if position.quantity
    ]


def _text(price: Decimal | None) -> str | None:
    return None if price is None else plain(price)
