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


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What an estimate was made from, beside the book's levels.

    Parameters
    ----------
    volatility : float
        Standard deviation of the relative mid move over one second, a fraction.
    volatility_samples : int or None
        One-second returns behind a realised volatility; None for a given one.
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
        "quantity_base": estimate.quantity,
        "notional_quote": estimate.notional,
        "mid_price_quote": estimate.mid,
        "limit_price_quote": request.price,
        **_costs(estimate),
        "volatility_bps": (
            made_from.volatility * _BPS
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


def _costs(estimate: CostEstimate) -> dict[str, Any]:
    low, middle, high = estimate.interval_bps
    in_quote = {
        f"{name}_quote": value * estimate.notional / _BPS
        for name, value in (
            ("slippage", estimate.slippage_bps),
            ("fees", estimate.fees_bps),
            ("market_impact", estimate.market_impact_bps),
            ("net_cost", estimate.net_cost_bps),
        )
    }
    return {
        "fill_price_quote": estimate.fill_price,
        "slippage_bps": estimate.slippage_bps,
        "fees_bps": estimate.fees_bps,
        "market_impact_bps": estimate.market_impact_bps,
        "net_cost_bps": estimate.net_cost_bps,
        **in_quote,
        "naive_sum_bps": estimate.naive_sum_bps,
        "interval": {
            "p10_bps": low,
            "p50_bps": middle,
            "p90_bps": high,
            "source": estimate.interval_source,
        },
        "maker_pct": estimate.maker_probability * 100.0,
        "taker_pct": (1.0 - estimate.maker_probability) * 100.0,
        "temporary_impact_bps": estimate.temporary_impact_bps,
        "permanent_impact_bps": estimate.permanent_impact_bps,
        "is_extrapolated": estimate.is_extrapolated,
    }


def _fees(fees: FeeRates) -> dict[str, Any]:
    return {
        "tier": fees.tier,
        "maker_bps": fees.maker * _BPS,
        "taker_bps": fees.taker * _BPS,
        "source": fees.source,
        "as_of": fees.as_of,
    }


def _schedule(estimate: CostEstimate, horizon_s: float) -> dict[str, Any]:
    return {
        "horizon_s": horizon_s,
        "cost_bps": estimate.schedule_cost_bps,
        "risk_bps": estimate.schedule_risk_bps,
        "note": estimate.schedule_note,
        "steps": [
            {
                "start_s": step.start_s,
                "quantity_base": step.quantity,
                "remaining_base": step.remaining,
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
        "spread_bps": (ask - bid) / ((ask + bid) / 2.0) * _BPS,
        "bid_levels": len(view.bids),
        "ask_levels": len(view.asks),
        "age_ms": made_from.age_ns / _NS_PER_MS,
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
