"""Order placement for the latency optimizer: by the gated client, in time, with a reason."""

from __future__ import annotations

from typing import Any

import structlog

from trading_system.domain.errors import (
    OrderDenied,
    TradingSystemError,
    ValidationError,
    VenueError,
)
from trading_system.domain.ports import VenueClient
from trading_system.runtime.deadline import within

_LOG = structlog.get_logger(__name__)
_TIMEOUT_S = 2.0


async def place(
    client: VenueClient, symbol: str, side: str, parameters: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the client's result, or an empty dict and why: ``error``, ``reason``, ``outcome``.

    Parameters
    ----------
    parameters : dict[str, Any]
        Arguments of ``place_order``; None and False are left out.

    Raises
    ------
    ValidationError
        If the client refuses an argument.
    """
    given = {
        name: value
        for name, value in parameters.items()
        if value is not None and value is not False
    }
    try:
        await client.ensure_ready()
        async with within(_TIMEOUT_S, "the order"):
            return await client.place_order(symbol, side, **given), None
    except ValidationError:
        raise
    except TradingSystemError as e:
        why = _explained(e)
        _LOG.warning("order not placed", symbol=symbol, **why)
        return {}, why


def _explained(error: TradingSystemError) -> dict[str, Any]:
    if isinstance(error, VenueError):
        outcome, reason = error.outcome.value, type(error).__name__
    elif isinstance(error, OrderDenied):
        outcome, reason = "not_sent", error.reason
    else:
        is_late = isinstance(error, TimeoutError)
        outcome, reason = ("unknown" if is_late else "not_sent"), type(error).__name__
    return {"error": str(error), "reason": reason, "outcome": outcome}
