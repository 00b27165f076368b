"""Figures as the API shows them: money as plain text, finite numbers, UTC milliseconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from trading_system.domain.instruments import plain
from trading_system.domain.orders import Side

_STEP = Decimal("0.00000001")
_NS_PER_MS = 1_000_000


def side_name(side: Side) -> str:
    """Return ``Buy`` or ``Sell``."""
    return "Buy" if side is Side.BUY else "Sell"


def money(amount: Decimal) -> str:
    """Return an amount or a derived price, rounded to 1e-8, in plain notation."""
    return plain(amount.quantize(_STEP)) if amount.is_finite() else plain(Decimal(0))


def money_or_none(amount: Decimal | None) -> str | None:
    """Return :func:`money`, None for None."""
    return None if amount is None else money(amount)


def figure(value: float | Decimal | None, *, digits: int = 6) -> float | None:
    """Return a finite rounded float; None for None and for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits)


def milliseconds(utc_ns: int) -> int:
    """Return UTC nanoseconds as whole milliseconds."""
    return utc_ns // _NS_PER_MS


def json_safe(value: object) -> object:
    """Return ``value`` with plain numbers only; what is not finite becomes None."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal):
        return money(value) if value.is_finite() else None
    if isinstance(value, Mapping):
        return {str(key): json_safe(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value)
