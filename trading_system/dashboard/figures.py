"""Figures as people read them: grouped, rounded, signed, with a dash where nothing was measured."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from trading_system.dashboard.theme import NOTHING, Kind

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400


def number(value: object) -> float | None:
    """Return ``value``, a number or a number as text, as a float; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = float(Decimal(value) if isinstance(value, str) else value)
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def plain(value: object, digits: int = 2, *, is_signed: bool = False) -> str:
    """Return ``value`` with ``digits`` decimals and grouped thousands."""
    found = number(value)
    if found is None:
        return NOTHING
    found = round(found, digits) + 0.0  # no negative zero
    return f"{found:+,.{digits}f}" if is_signed and found else f"{found:,.{digits}f}"


def exact(value: object) -> str:
    """Return a price or quantity with the decimals it came with, thousands grouped."""
    if not isinstance(value, str) or number(value) is None:
        return NOTHING if number(value) is None else f"{number(value):,.12g}"
    return f"{Decimal(value):,f}"


def sign_kind(value: object) -> Kind:
    """Return ``good`` for a gain, ``bad`` for a loss, nothing for what rounds to 0.00."""
    found = number(value)
    if found is None or not round(found, 2):
        return ""
    return "good" if found > 0 else "bad"


def side_kind(side: object) -> Kind:
    """Return the colour of a side."""
    return "buy" if side == "Buy" else "sell" if side == "Sell" else ""


def duration(seconds: object) -> str:
    """Return a length of time with its two largest units."""
    found = number(seconds)
    if found is None or found < 0:
        return NOTHING
    whole = int(found)
    if whole < _MINUTE_S:
        return f"{found:.1f} s" if found < 10 else f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02d} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S:02d} h"


def clock_time(utc_ms: object, *, has_millis: bool = False) -> str:
    """Return the UTC time of day of ``utc_ms``."""
    found = number(utc_ms)
    if found is None or not 0 < found < 253_402_300_800_000:
        return NOTHING
    shown = datetime.fromtimestamp(found / 1000, UTC)
    return shown.strftime("%H:%M:%S") + (f".{int(found) % 1000:03d}" if has_millis else "")


def micros(value: object) -> str:
    """Return microseconds with a unit that keeps them short."""
    found = number(value)
    if found is None:
        return NOTHING
    if found < 1000:
        return f"{found:.0f} µs"
    return f"{found / 1000:.1f} ms" if found < 1_000_000 else f"{found / 1_000_000:.2f} s"
