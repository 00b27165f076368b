"""Commands on a running session; each returns when its effect is in force."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from typing import Any, Literal

from trading_system.domain.errors import OrderDenied, ValidationError
from trading_system.domain.instruments import parse_decimal, plain
from trading_system.domain.parents import ExecutionStyle, ParentOrder
from trading_system.execution.brake import LOSS_LIMIT, OPERATOR
from trading_system.live.order_requests import side_of
from trading_system.live.session import TradingSession
from trading_system.risk.limits import DenyReason, TradingState
from trading_system.runtime.deadline import within

_KILL_S = 20.0
_CLOSE_S = 20.0
_POLL_S = 0.01
_STYLES = {
    "market": ExecutionStyle.MARKET,
    "limit": ExecutionStyle.LIMIT,
    "twap": ExecutionStyle.TWAP,
}
_TIME_LIMITS_S = {"LOW": 120.0, "NORMAL": 60.0, "HIGH": 20.0}


def standing(session: TradingSession) -> dict[str, Any]:
    """Return what trading is allowed now and why not more."""
    return {
        "trading_state": session.engine.state.value,
        "paused": session.trader.paused_because,
        "holds": holds_of(session),
    }


def holds_of(session: TradingSession) -> dict[str, str]:
    """Return every source that keeps trading from being fully active, and why."""
    holds = dict(session.engine.holds.reasons)
    if session.trader.paused_because is not None:
        holds["pause"] = f"paused: {session.trader.paused_because}"
    return holds


def pause(session: TradingSession, reason: str) -> dict[str, Any]:
    """Begin no new trade; open trades are still watched and closed."""
    session.trader.pause(reason)
    return standing(session)


def resume(session: TradingSession, *, reset_limits: bool) -> dict[str, Any]:
    """Lift pause, reduce-only and kill; with ``reset_limits`` also a latched loss limit.

    Raises
    ------
    OrderDenied
        If a loss limit is latched and ``reset_limits`` is False; nothing was lifted.
    """
    engine = session.engine
    loss = engine.holds.get(LOSS_LIMIT)
    if loss is not None and not reset_limits:
        raise OrderDenied(
            LOSS_LIMIT, f"{loss.reason}; resume with --reset-limits to trade all the same"
        )
    if loss is not None:
        engine.release(LOSS_LIMIT, reason="reset by the operator")
    engine.release(OPERATOR, reason="resumed by the operator")
    session.trader.resume()
    return standing(session)


def reduce_only(session: TradingSession, reason: str) -> dict[str, Any]:
    """Let only orders through that shrink a position, restarts included.

    After a kill nothing changes: only a resume lifts that.
    """
    held = session.engine.holds.get(OPERATOR)
    if held is not None and held.state is TradingState.HALTED:
        return standing(session)
    session.engine.latch(OPERATOR, TradingState.REDUCING, f"reduce-only: {reason}")
    return standing(session)


async def kill(session: TradingSession, reason: str, *, flatten: bool) -> dict[str, Any]:
    """Block all orders, cancel until none is open, then close positions if asked to."""
    outcome = await session.engine.kill(reason, flatten=flatten, deadline_s=_KILL_S)
    return {
        **standing(session),
        "cancelled": outcome.cancelled,
        "open_orders": outcome.open_orders,
        "confirmed": outcome.is_confirmed,
        "flattened": outcome.flattened,
        "position": {
            p.symbol: plain(p.quantity) for p in session.portfolio.positions if p.quantity
        },
    }


async def execute(
    session: TradingSession,
    symbol: str,
    side: str,
    quantity: str,
    *,
    algorithm: str | None,
    urgency: str,
) -> dict[str, Any]:
    """Work one parent order through the performance optimizer and return its cost analysis.

    A market maker quotes nothing of the symbol meanwhile: own orders must not meet.

    Raises
    ------
    ValidationError
        If the order makes no sense; nothing was sent.
    """
    if symbol not in session.instruments:
        traded = ", ".join(session.instruments)
        raise ValidationError(f"{symbol} is not traded here; TRADING_SYMBOLS has {traded}")
    performance = session.optimizers.performance
    if algorithm is None:
        async with _without_quotes(session, symbol):
            answer = await performance.optimize_order_execution(
                symbol, side, quantity, urgency=urgency
            )
    else:
        parent = _parent(session, symbol, side, quantity, algorithm=algorithm, urgency=urgency)
        async with _without_quotes(session, symbol):
            _, answer = await performance.execute_parent(parent)
    return plain_answer(answer)


@asynccontextmanager
async def _without_quotes(session: TradingSession, symbol: str) -> AsyncIterator[None]:
    if session.making is None:
        yield
        return
    # Quotes that could not be cancelled stay known to the gate, which refuses to trade with them.
    async with session.making.maker.standing_aside(symbol, "an order of the operator"):
        yield


async def close(session: TradingSession, symbol: str) -> dict[str, Any] | Literal[False]:
    """Close this system's position of ``symbol``; return its cost analysis, False without one.

    A parent that is at work for the symbol comes to its end first.

    Raises
    ------
    OrderDenied
        If trading is halted; nothing was sent.
    DeadlineExceeded
        If the outcome is not known in time; the closing goes on.
    """
    if session.engine.state is TradingState.HALTED:
        raise OrderDenied(DenyReason.HALTED.value, "; ".join(session.engine.holds.reasons.values()))
    trader = session.trader
    async with within(_CLOSE_S, f"closing {symbol}"):
        await _until_idle(session, symbol)
        if not trader.request_exit(symbol):
            return False
        await _until_idle(session, symbol)
    return plain_answer(session.desk.answers[symbol])


async def _until_idle(session: TradingSession, symbol: str) -> None:
    # A parent's end is no event: it is looked for often enough not to be felt.
    while symbol in session.trader.busy_symbols:  # noqa: ASYNC110 - see above
        await asyncio.sleep(_POLL_S)


def plain_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cost analysis as plain dictionaries."""
    return {name: _plain(value) for name, value in answer.items()}


def _parent(
    session: TradingSession, symbol: str, side: str, quantity: str, *, algorithm: str, urgency: str
) -> ParentOrder:
    style, time_limit_s = _STYLES.get(algorithm), _TIME_LIMITS_S.get(urgency)
    if style is None or time_limit_s is None:
        raise ValidationError(
            f"algorithm must be one of {', '.join(_STYLES)} and urgency one of "
            f"{', '.join(_TIME_LIMITS_S)}; they were {algorithm!r} and {urgency!r}"
        )
    amount = parse_decimal(quantity)
    _ = session.instruments[symbol].qty_to_lots(amount)  # raises when it is off the grid
    return ParentOrder(
        symbol=symbol,
        side=side_of(side),
        quantity=amount,
        style=style,
        reduce_only=False,
        max_slippage_bps=session.optimizers.performance.max_slippage_bps,
        time_limit_s=time_limit_s,
        purpose=f"command: {algorithm}",
    )


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
