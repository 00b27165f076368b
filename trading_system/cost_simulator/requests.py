"""What may be asked: one trade, read and checked once whichever way it came in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import OrderType, Side

UNITS: Final = ("base", "quote", "usd")
KEYS: Final = (
    "exchange",
    "instrument",
    "side",
    "quantity",
    "unit",
    "order_type",
    "price",
    "volatility_bps",
    "tier",
    "horizon_s",
    "unfilled",
    "maker_bps",
    "taker_bps",
)
"""Keys of a request, as in Python, in HTTP and in the options of ``cost estimate``."""

DEFAULT_INSTRUMENTS: Final = {"bybit": "BTCUSDT", "okx": "BTC-USDT-SWAP"}
"""What is meant where an exchange is named without an instrument."""

_UNFILLED: Final = ("taken", "cancelled")
_LEAST_FEE_BPS: Final = -100.0
_MOST_FEE_BPS: Final = 1000.0
_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_TYPES: Final = {"market": OrderType.MARKET, "limit": OrderType.LIMIT}
_MAX_HORIZON_S: Final = 604_800.0
_MAX_TEXT: Final = 60
_MAX_NUMBER_TEXT: Final = 40

Number = float | int | str | Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateRequest:
    """One trade to be priced.

    Parameters
    ----------
    exchange, instrument : str
        ``okx`` or ``bybit``, and the exchange's own spelling.
    quantity : float
        In ``unit``: base currency, or quote currency or USD (where prices are in a dollar or a
        dollar stablecoin, which is taken at par) converted at the mid of the moment.
    price : float or None
        Limit price, quote currency; given exactly for a limit order.
    volatility_bps : float or None
        Standard deviation of the mid move over one second; None takes the realised one.
    tier : str or None
        Fee tier; None takes the lowest.
    horizon_s : float or None
        Time over which the order may be worked, seconds; None takes the setting.
    unfilled : str
        What becomes of the part of a limit order that has not filled when the horizon ends:
        ``taken`` at the market, or ``cancelled`` (then the order is priced as it fills).
    maker_bps, taker_bps : float or None
        One's own fee rates, bps of traded value, negative = rebate; None takes the tier's.
    """

    exchange: str
    instrument: str
    side: Side
    order_type: OrderType
    quantity: float
    unit: str = "base"
    price: float | None = None
    volatility_bps: float | None = None
    tier: str | None = None
    horizon_s: float | None = None
    unfilled: str = "taken"
    maker_bps: float | None = None
    taker_bps: float | None = None


def read_request(values: Mapping[str, Any]) -> EstimateRequest:
    """Return the request that ``values`` (by :data:`KEYS`) describe; None means not given.

    Raises
    ------
    ValidationError
        One line that names the key and the remedy.
    """
    given = {key: value for key, value in values.items() if value is not None}
    unknown = sorted(str(key)[:_MAX_TEXT] for key in set(given) - set(KEYS))
    if unknown:
        raise ValidationError(
            f"{unknown[0]!r} is not a key of a request; the keys are {', '.join(KEYS)}"
        )
    order_type = _TYPES[_choice(given, "order_type", tuple(_TYPES), default="market")]
    exchange = _text(given, "exchange").lower()
    if exchange in DEFAULT_INSTRUMENTS:
        given.setdefault("instrument", DEFAULT_INSTRUMENTS[exchange])
    elif "instrument" not in given:
        raise ValidationError(
            "instrument is missing; give its name, "
            f"only {' or '.join(DEFAULT_INSTRUMENTS)} has one that is meant without"
        )
    return EstimateRequest(
        exchange=exchange,
        instrument=_text(given, "instrument").upper(),
        side=_SIDES[_choice(given, "side", tuple(_SIDES))],
        order_type=order_type,
        quantity=_needed(given, "quantity"),
        unit=_choice(given, "unit", UNITS, default="base"),
        price=_limit_price(given, order_type),
        volatility_bps=_positive(given, "volatility_bps"),
        tier=_text(given, "tier") if "tier" in given else None,
        horizon_s=_horizon(given),
        unfilled=_unfilled(given, order_type),
        maker_bps=_fee_rate(given, "maker_bps"),
        taker_bps=_fee_rate(given, "taker_bps"),
    )


def _limit_price(given: Mapping[str, Any], order_type: OrderType) -> float | None:
    price = _positive(given, "price")
    if order_type is OrderType.LIMIT and price is None:
        raise ValidationError("a limit order has no price; give price in quote currency")
    if order_type is OrderType.MARKET and price is not None:
        raise ValidationError("a market order has no price; leave it out, or ask for a limit order")
    return price


def _unfilled(given: Mapping[str, Any], order_type: OrderType) -> str:
    if order_type is OrderType.MARKET and "unfilled" in given:
        raise ValidationError(
            "a market order leaves nothing unfilled; leave unfilled out, or ask for a limit order"
        )
    return _choice(given, "unfilled", _UNFILLED, default=_UNFILLED[0])


def _fee_rate(given: Mapping[str, Any], key: str) -> float | None:
    raw = given.get(key)
    if raw is None:
        return None
    value = _number(raw)
    if value is None or not _LEAST_FEE_BPS <= value <= _MOST_FEE_BPS:
        raise ValidationError(
            f"{key} is {_shown(raw)}; give bps from {_LEAST_FEE_BPS:g} to {_MOST_FEE_BPS:g}, "
            "negative for a rebate"
        )
    return value


def _horizon(given: Mapping[str, Any]) -> float | None:
    horizon_s = _positive(given, "horizon_s")
    if horizon_s is not None and horizon_s > _MAX_HORIZON_S:
        raise ValidationError(
            f"horizon_s is {horizon_s:g}; give at most {_MAX_HORIZON_S:g} (seven days)"
        )
    return horizon_s


def _choice(
    given: Mapping[str, Any], key: str, allowed: tuple[str, ...], *, default: str | None = None
) -> str:
    value = given.get(key, default)
    if isinstance(value, str) and value.lower() in allowed:
        return value.lower()
    state = "is missing" if value is None else f"is {_shown(value)}"
    raise ValidationError(f"{key} {state}; give {' or '.join(allowed)}")


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given.get(key)
    if not (isinstance(value, str) and value.strip() and len(value) <= _MAX_TEXT):
        state = "is missing" if value is None else "is not a short text"
        raise ValidationError(f"{key} {state}; give its name")
    return value.strip()


def _needed(given: Mapping[str, Any], key: str) -> float:
    value = _positive(given, key)
    if value is None:
        raise ValidationError(f"{key} is missing; give a positive number")
    return value


def _positive(given: Mapping[str, Any], key: str) -> float | None:
    raw = given.get(key)
    if raw is None:
        return None
    value = _number(raw)
    if value is None or not (math.isfinite(value) and value > 0):
        raise ValidationError(f"{key} is {_shown(raw)}; give a positive finite number")
    return value


def _number(raw: object) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, float | int | str | Decimal):
        return None
    if isinstance(raw, str) and not _is_plain(raw):
        return None
    try:
        return float(raw)
    except (ValueError, OverflowError):
        return None


def _is_plain(text: str) -> bool:
    # Python reads 1_000 and digits of other scripts as numbers; who typed them may not mean them.
    return len(text) <= _MAX_NUMBER_TEXT and text.isascii() and "_" not in text


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | float | int | Decimal) else type(value).__name__
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."
