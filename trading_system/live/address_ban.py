"""Holds trading while the venue refuses this machine's address: what rests there can be reduced."""

from __future__ import annotations

import structlog

from trading_system.risk.holds import Holds
from trading_system.risk.limits import TradingState

_LOG = structlog.get_logger(__name__)
BANNED = "address"
"""Source of the hold that is in force while HTTP is silent."""


def hold_while_banned(banned_for_s: float, holds: Holds) -> None:
    """Allow reducing orders only while no HTTP may be sent; the trade stream still carries them."""
    if banned_for_s <= 0:
        holds.clear(BANNED)
    elif holds.get(BANNED) is None:
        why = f"the venue refuses this address (HTTP 403); no HTTP for {banned_for_s:.0f} s"
        _LOG.error("trading held", reason=why)
        holds.set(BANNED, TradingState.REDUCING, why)
