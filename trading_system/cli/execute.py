"""``trading-system execute``: one parent order, worked by the running system or by its own.

A session of its own is started only when no running system could be reached at all: an order that
may have left is never given to a second system.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trading_system.cli.client import call
from trading_system.cli.lock import exclusive
from trading_system.cli.output import ExitCode, NotRunningError
from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError, ValidationError
from trading_system.domain.instruments import parse_decimal

ALGORITHMS = ("auto", "market", "limit", "twap")
URGENCIES = ("LOW", "NORMAL", "HIGH")
# Beyond the longest schedule; the system itself ends a parent at its time limit.
_ANSWER_S = 900.0
_SIDES = {"buy": "Buy", "sell": "Sell"}
_MS_PER_S = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentRequest:
    """One parent order as a person asks for it.

    Parameters
    ----------
    side : str
        ``Buy`` or ``Sell``.
    quantity : str
        Base currency, as plain text.
    algorithm : str or None
        ``market``, ``limit`` or ``twap``; None lets the optimizer choose.
    urgency : str
        ``LOW``, ``NORMAL`` or ``HIGH``.
    """

    symbol: str
    side: str
    quantity: str
    algorithm: str | None
    urgency: str


class ParentDesk(Protocol):
    """Something that works a parent order; the face of ``domain.ports.Control`` that is needed."""

    async def execute(
        self, symbol: str, side: str, quantity: str, *, algorithm: str | None, urgency: str
    ) -> dict[str, Any]:
        """Work one parent order and return its cost analysis."""
        ...


StandAlone = Callable[[Settings], AbstractAsyncContextManager[ParentDesk]]
"""Starts a short session of its own for one parent; it stops with the context."""


def parent_request(
    *, symbol: str, side: str, quantity: str, algorithm: str, urgency: str
) -> ParentRequest:
    """Return the request that the command's options spell.

    Raises
    ------
    ConfigurationError
        If an option has no such value.
    """
    try:
        is_positive = parse_decimal(quantity) > 0
    except ValidationError:
        is_positive = False
    if not is_positive:
        raise ConfigurationError(
            f"--quantity must be a positive number of base currency, was {quantity[:40]!r}"
        )
    if side.lower() not in _SIDES:
        raise ConfigurationError(f"--side must be Buy or Sell, was {side!r}")
    if algorithm.lower() not in ALGORITHMS:
        raise ConfigurationError(
            f"--algo must be one of {', '.join(ALGORITHMS)}, was {algorithm!r}"
        )
    if urgency.upper() not in URGENCIES:
        raise ConfigurationError(
            f"--urgency must be one of {', '.join(URGENCIES)}, was {urgency!r}"
        )
    return ParentRequest(
        symbol=symbol.upper(),
        side=_SIDES[side.lower()],
        quantity=quantity,
        algorithm=None if algorithm.lower() == "auto" else algorithm.lower(),
        urgency=urgency.upper(),
    )


class RunningDesk:
    """The running system's desk, reached through its control API.

    Parameters
    ----------
    data_dir : Path
        Data directory of the running system.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    async def execute(
        self, symbol: str, side: str, quantity: str, *, algorithm: str | None, urgency: str
    ) -> dict[str, Any]:
        """Let the running system work one parent order."""
        body = {
            "symbol": symbol,
            "side": side,
            "quantity": quantity,
            "algorithm": algorithm or "auto",
            "urgency": urgency,
        }
        return await asyncio.to_thread(
            call, self._data_dir, "POST", "/execute", body, timeout_s=_ANSWER_S
        )


def run(
    settings: Settings, request: ParentRequest, *, stand_alone: StandAlone | None = None
) -> tuple[ExitCode, dict[str, Any]]:
    """Work ``request`` and return the exit code and its cost analysis.

    Parameters
    ----------
    stand_alone : StandAlone or None
        Used when no system runs for the data directory; None makes that an error.

    Raises
    ------
    NotRunningError
        If no system runs and there is no ``stand_alone``.
    """
    try:
        answer = asyncio.run(_work(RunningDesk(settings.data_dir), request))
    except NotRunningError:  # said only while nothing was sent
        if stand_alone is None:
            raise
        with exclusive(settings.data_dir):
            answer = asyncio.run(_work_alone(settings, request, stand_alone))
    return (ExitCode.OK if answer.get("success") is True else ExitCode.FAILED), answer


async def _work(desk: ParentDesk, request: ParentRequest) -> dict[str, Any]:
    return await desk.execute(
        request.symbol,
        request.side,
        request.quantity,
        algorithm=request.algorithm,
        urgency=request.urgency,
    )


async def _work_alone(
    settings: Settings, request: ParentRequest, stand_alone: StandAlone
) -> dict[str, Any]:
    async with stand_alone(settings) as desk:
        return await _work(desk, request)


def rows(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (what, figure) rows: six of a parent order, else all, nested keys joined by dots.

    ``--json`` has everything.
    """
    if "order_result" not in answer:
        return list(_flat(answer, ""))
    order = answer["order_result"]
    if order is None:
        return [("result", f"refused or failed: {answer['error']}")]
    price, slippage = order["average_price"], order["average_slippage_bps"]
    fees = f"{order['fees']:,.4f} USDT"
    if order["fees_bps"] is not None:
        fees += f", {order['fees_bps']:.2f} bps of traded value"
    return [
        ("result", _outcome(answer, order)),
        ("order", f"{order['side']} {order['total_quantity']:g} {order['symbol']}"),
        ("filled", f"{order['total_filled']:g} in {order['chunks_executed']} orders"),
        ("price", "n/a: nothing filled" if price is None else _against(price, order)),
        ("slippage", "n/a" if slippage is None else f"{slippage:.2f} bps, + is cost"),
        ("fees", fees),
    ]


def _outcome(answer: dict[str, Any], order: dict[str, Any]) -> str:
    if answer["success"]:
        return f"done in {order['duration_ms'] / _MS_PER_S:.2f} s"
    why = answer.get("error") or order["reason"] or "it ended outside its limits"
    return f"{'refused or failed' if not order['total_filled'] else 'partly done'}: {why}"


def _against(price: float, order: dict[str, Any]) -> str:
    mid = order["arrival_mid"]
    return f"{price:,.8g}" + ("" if mid is None else f", middle at arrival {mid:,.8g}")


def _flat(answer: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in answer.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", str(value)))
    return found
