"""An estimate as plain data: JSON-safe, every number with its unit in its name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from optimizers.costs.figures import CostEstimate, FeeRates
from trading_system.cost_simulator.feeds import BookView
from trading_system.cost_simulator.requests import EstimateRequest
from trading_system.domain.errors import ValidationError

_BPS = 10_000.0
_NS_PER_MS = 1_000_000
_BPS_DIGITS = 10
_QUOTE_DIGITS = 10
_PERCENT_DIGITS = 4
_PROBABILITY_DIGITS = 6
# Of any instrument's tick and lot there are fewer; the rest would be noise of binary numbers.
_PRICE_DIGITS = 14
_AMOUNT_DIGITS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What an estimate was made from, beside the book's levels.

    Parameters
    ----------
    volatility : float
        Standard deviation of the relative mid move over one second, a fraction.
    volatility_samples : int or None
        One-second returns behind a realised volatility; None for a given one.
    origin : str
        What the fitted models were fitted on.
    quote_currency : str or None
        Its name, None where the exchange's names do not tell.
    age_ns : int
        Time since the book was last known to be right.
    ticks_per_s : float or None
        Rate at which the book changes; None before the first full second.
    """

    product: str
    view: BookView
    fees: FeeRates
    volatility: float
    volatility_samples: int | None
    horizon_s: float
    origin: str
    quote_currency: str | None
    age_ns: int
    ticks_per_s: float | None


def as_answer(
    request: EstimateRequest, estimate: CostEstimate, made_from: Circumstances
) -> dict[str, Any]:
    """Return ``estimate`` with what it was made from.

    Raises
    ------
    ValidationError
        If a figure is not finite, which only a size or price beyond all reason can cause.
    """
    answer = {
        "exchange": request.exchange,
        "instrument": request.instrument,
        "product": made_from.product,
        "side": request.side.name.lower(),
        "order_type": request.order_type.value,
        "quantity": request.quantity,
        "unit": request.unit,
        "quote_currency": made_from.quote_currency,
        "quantity_base": _significant(estimate.quantity, _AMOUNT_DIGITS),
        "notional_quote": _significant(estimate.notional, _AMOUNT_DIGITS),
        "mid_price_quote": _price(estimate.mid),
        "limit_price_quote": request.price,
        **_costs(estimate, made_from.origin),
        "limit": _limit(request, estimate, made_from),
        "volatility_bps": (
            round(made_from.volatility * _BPS, _BPS_DIGITS)
            if request.volatility_bps is None
            else request.volatility_bps
        ),
        "volatility_source": "manual" if made_from.volatility_samples is None else "realised",
        "volatility_samples": made_from.volatility_samples,
        "fees": _fees(made_from.fees),
        "schedule": _schedule(estimate, made_from.horizon_s),
        "book": _book(made_from),
    }
    plain: dict[str, Any] = _plain(answer)
    return plain


# What is shown is rounded first and summed then, so that it adds up for whoever checks it.
def _costs(estimate: CostEstimate, origin: str) -> dict[str, Any]:
    low, middle, high = (round(value, _BPS_DIGITS) for value in estimate.interval_bps)
    exact = {
        "slippage": estimate.slippage_bps,
        "fees": estimate.fees_bps,
        "market_impact": estimate.market_impact_bps,
    }
    bps = {f"{name}_bps": round(value, _BPS_DIGITS) for name, value in exact.items()}
    quote = {
        f"{name}_quote": round(value * estimate.notional / _BPS, _QUOTE_DIGITS)
        for name, value in exact.items()
    }
    temporary = round(estimate.temporary_impact_bps, _BPS_DIGITS)
    permanent = round(estimate.permanent_impact_bps, _BPS_DIGITS)
    net_bps = sum(bps.values())
    maker_pct = round(estimate.maker_probability * 100.0, _PERCENT_DIGITS)
    is_model = estimate.interval_source == "model"
    return {
        "fill_price_quote": None if estimate.fill_price is None else _price(estimate.fill_price),
        **bps,
        "net_cost_bps": net_bps,
        **quote,
        "net_cost_quote": sum(quote.values()),
        "naive_sum_bps": net_bps + temporary + permanent,
        "interval": {
            "p10_bps": low,
            "p50_bps": middle,
            "p90_bps": high,
            "mean_bps": net_bps,
            "source": estimate.interval_source,
            "fitted_on": origin if is_model else None,
        },
        "maker_pct": maker_pct,
        "taker_pct": round(100.0 - maker_pct, _PERCENT_DIGITS),
        "maker_source": estimate.maker_source,
        "temporary_impact_bps": temporary,
        "permanent_impact_bps": permanent,
        "is_extrapolated": estimate.is_extrapolated,
    }


def _limit(
    request: EstimateRequest, estimate: CostEstimate, made_from: Circumstances
) -> dict[str, Any] | None:
    ends = estimate.limit
    if ends is None:
        return None
    return {
        "fill_probability": round(ends.fill_probability, _PROBABILITY_DIGITS),
        "fill_probability_source": estimate.maker_source,
        "fitted_on": made_from.origin if estimate.maker_source == "model" else None,
        "horizon_s": made_from.horizon_s,
        "at_once_pct": round(ends.at_once_share * 100.0, _PERCENT_DIGITS),
        "maker_fill_price_quote": _price_or_none(ends.maker_fill_price),
        "completion_price_quote": _price_or_none(ends.completion_price),
        "unfilled": request.unfilled,
    }


def _price_or_none(price: float | None) -> float | None:
    return None if price is None else _price(price)


def _bps_or_none(bps: float | None) -> float | None:
    return None if bps is None else round(bps, _BPS_DIGITS)


def _price(price: float) -> float:
    return _significant(price, _PRICE_DIGITS)


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _fees(fees: FeeRates) -> dict[str, Any]:
    return {
        "tier": fees.tier,
        "maker_bps": round(fees.maker * _BPS, _BPS_DIGITS),
        "taker_bps": round(fees.taker * _BPS, _BPS_DIGITS),
        "source": fees.source,
        "as_of": fees.as_of,
    }


def _schedule(estimate: CostEstimate, horizon_s: float) -> dict[str, Any]:
    return {
        "horizon_s": horizon_s,
        "cost_bps": _bps_or_none(estimate.schedule_cost_bps),
        "risk_bps": _bps_or_none(estimate.schedule_risk_bps),
        "note": estimate.schedule_note,
        "steps": [
            {
                "start_s": step.start_s,
                "quantity_base": _significant(step.quantity, _AMOUNT_DIGITS),
                "remaining_base": _significant(step.remaining, _AMOUNT_DIGITS),
            }
            for step in estimate.schedule
        ],
    }


def _book(made_from: Circumstances) -> dict[str, Any]:
    view = made_from.view
    bid, ask = view.bids[0][0], view.asks[0][0]
    exchange_ns = view.ts_exchange_ns
    return {
        "bid_price_quote": bid,
        "ask_price_quote": ask,
        "spread_bps": round((ask - bid) / ((ask + bid) / 2.0) * _BPS, _BPS_DIGITS),
        "bid_levels": len(view.bids),
        "ask_levels": len(view.asks),
        "age_ms": made_from.age_ns / _NS_PER_MS,
        "message_age_ms": (made_from.age_ns + view.confirmed_ns - view.received_ns) / _NS_PER_MS,
        "sequence": view.sequence,
        "exchange_time_ms": None if exchange_ns is None else exchange_ns // _NS_PER_MS,
        "ticks_per_s": made_from.ticks_per_s,
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, bool | str | int):
        return value
    number = float(value)
    if not math.isfinite(number):
        raise ValidationError("the costs of this trade are not finite; ask for a smaller quantity")
    return number
