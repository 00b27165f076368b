"""Reads features out of what users pass as market data, and says what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizers.signals.positioning import number_of
from trading_system.domain.signals import FEATURE_NAMES, MarketFeatures

_BPS = 10_000.0
_FRESH_NS = 3_500_000_000
_LEVELS = {"imbalance": 10, "imbalance_1": 1, "imbalance_5": 5, "imbalance_20": 20}
_BIDS = ("bid", "best_bid", "bid_price", "bid1Price")
_ASKS = ("ask", "best_ask", "ask_price", "ask1Price")
_PRICES = ("mid", "mid_price", "price", "last_price", "lastPrice", "current_price", "mark_price")
_KNOWN = frozenset(MarketFeatures._fields) - {"symbol", "ts_ns"}
_FLAGS = frozenset({"has_ticker"})
_TELLABLE = _KNOWN - _FLAGS
_QUIET: dict[str, Any] = dict.fromkeys(_TELLABLE, 0.0)
_MODEL_INPUTS = frozenset(FEATURE_NAMES)
_MID_STEP = 1e-4
_SPREAD_STEP_BPS = 1.0
_RATIO_STEP = 0.5

Levels = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Reading:
    """Features and what they could not be told from.

    Parameters
    ----------
    features : MarketFeatures or None
        None without a usable price.
    missing : frozenset of str
        Names of features that are 0 because nobody knows them.
    reason : str
        Why there are no features.
    """

    features: MarketFeatures | None
    missing: frozenset[str]
    reason: str = ""


def read(
    symbol: str,
    data: Mapping[str, Any] | MarketFeatures,
    *,
    latest: MarketFeatures | None,
    now_ns: int,
) -> Reading:
    """Return the features of ``data``.

    Parameters
    ----------
    data : MarketFeatures or mapping
        A mapping may hold feature names, ``bids`` and ``asks`` (price and size, also below
        ``order_book``), best bid and ask, or a price; numbers may be texts.
    latest : MarketFeatures or None
        Newest live features; while younger than 3.5 s they supply what ``data`` lacks.
    now_ns : int
        Monotonic time of the features read from a mapping.
    """
    if isinstance(data, MarketFeatures):
        return _checked(data)
    values = _values(data)
    if isinstance(values, str):
        return Reading(None, _MODEL_INPUTS, values)
    if latest is not None and now_ns - latest.ts_ns <= _FRESH_NS:
        values = {name: getattr(latest, name) for name in _KNOWN} | values
    if values.get("mid", 0.0) <= 0.0:
        return Reading(None, _MODEL_INPUTS, "no price in the market data")
    features = MarketFeatures(symbol=symbol, ts_ns=now_ns, **(_QUIET | values))
    return Reading(features, _MODEL_INPUTS.difference(values))


def quantised(features: MarketFeatures) -> tuple[int, int, int, int, int]:
    """Return ``features`` on a coarse grid, as the key of cached opinions.

    The grid is 1 bps of the mid, 1 bps of spread, and halves of imbalance, order flow and trade
    flow in [-1, 1]. The other features follow from these within the second or so for which an
    opinion is valid; time is left out, a cached opinion ends with its validity.
    """
    return (
        round(math.log(features.mid) / _MID_STEP),
        round(features.spread_bps / _SPREAD_STEP_BPS),
        round(features.imbalance / _RATIO_STEP),
        round(features.order_flow / _RATIO_STEP),
        round(features.trade_flow / _RATIO_STEP),
    )


def _checked(features: MarketFeatures) -> Reading:
    bad = [name for name in _TELLABLE if not math.isfinite(getattr(features, name))]
    if bad or features.mid <= 0.0:
        return Reading(None, _MODEL_INPUTS, f"{min(bad, default='mid')} is no usable number")
    return Reading(features, frozenset())


def _values(data: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return all features that ``data`` tells, or why it must not be used."""
    book = data.get("order_book") or data.get("orderbook") or data
    if not isinstance(book, Mapping):
        return "the order book is no mapping"
    bids, asks = sorted(_levels(book.get("bids")), reverse=True), sorted(_levels(book.get("asks")))
    bid = bids[0][0] if bids else _first(data, _BIDS)
    ask = asks[0][0] if asks else _first(data, _ASKS)
    values: dict[str, Any] = {}
    if bid is not None and ask is not None and bid > 0.0:
        if bid >= ask:
            return f"the book is crossed: bid {bid:g}, ask {ask:g}"
        values["mid"] = 0.5 * (bid + ask)
        values["spread_bps"] = (ask - bid) / values["mid"] * _BPS
    elif (price := _first(data, _PRICES)) is not None:
        values["mid"] = price
    if bids and asks and "spread_bps" in values:
        values |= _book_features(bids, asks, mid=values["mid"])
    for name in data.keys() & _TELLABLE:
        told = data[name]
        # Most values are floats already: the way for texts and whole numbers is longer.
        number = told if type(told) is float and math.isfinite(told) else number_of(told)
        if number is not None:
            values.setdefault(name, number)
    return values


def _book_features(bids: Levels, asks: Levels, *, mid: float) -> dict[str, float]:
    values = {}
    for name, count in _LEVELS.items():
        if name in _KNOWN:
            bid_size = math.fsum(size for _, size in bids[:count])
            ask_size = math.fsum(size for _, size in asks[:count])
            values[name] = (bid_size - ask_size) / (bid_size + ask_size)
    (bid, bid_size), (ask, ask_size) = bids[0], asks[0]
    micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    return values | {"micro_deviation_bps": (micro - mid) / mid * _BPS}


def _levels(rows: object) -> list[tuple[float, float]]:
    """Return the usable rows as given; rows are pairs or price/size mappings."""
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        return []
    found = []
    for row in rows:
        pair = (row.get("price"), row.get("size")) if isinstance(row, Mapping) else row
        if not isinstance(pair, Sequence) or len(pair) < 2:
            continue
        price, size = number_of(pair[0]), number_of(pair[1])
        if price is not None and size is not None and price > 0.0 and size > 0.0:
            found.append((price, size))
    return found


def _first(data: Mapping[str, Any], names: Iterable[str]) -> float | None:
    for name in names:
        number = number_of(data.get(name))
        if number is not None:
            return number
    return None
