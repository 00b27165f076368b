"""An estimate of ``trading-system cost`` as rows for people; what is shown adds up as shown."""

from __future__ import annotations

from typing import Any, Final

Figures = list[tuple[str, str]]

_SCHEDULE_ROWS: Final = 3
_BPS_SHOWN: Final = 3
_MONEY_SHOWN: Final = 4
_PARTS: Final = ("slippage", "fees", "market_impact")
_INTERVALS: Final = {
    "volatility": "volatility: the move of the mid until the order arrives",
    "outcomes": "both outcomes of the limit order",
}


def title(answer: dict[str, Any]) -> str:
    """Return what was asked, in the unit it was asked in."""
    unit = {"quote": _quote(answer), "usd": "USD"}.get(answer["unit"], "base")
    asked = f"{plain(answer['quantity'])} {unit}"
    base = "" if answer["unit"] == "base" else f" ({plain(answer['quantity_base'])} base)"
    return (
        f"{answer['side']} {asked} {answer['instrument']}{base} on {answer['exchange']}, "
        f"{answer['order_type']}"
    )


def rows(answer: dict[str, Any]) -> Figures:
    """Return name and figure of everything a trader looks at."""
    quote, book = _quote(answer), answer["book"]
    flag = " (extrapolated)" if answer["is_extrapolated"] else ""
    limit = answer["limit"]
    fill = answer["fill_price_quote"]
    at = "-" if fill is None else f"{fill:,.10g} {quote}"
    return [
        ("mid", f"{answer['mid_price_quote']:,.10g} {quote}"),
        ("notional at the mid", f"{answer['notional_quote']:,.2f} {quote}"),
        *([("expected fill price", at)] if limit is None else _limit(answer, at)),
        ("spread and walk of the book", _money(answer, "slippage")),
        ("fees", f"{_money(answer, 'fees')}, {_tier(answer['fees'])}"),
        ("impact beyond the displayed book", _money(answer, "market_impact") + flag),
        ("net cost (mean)", _net(answer)),
        ("net cost, 10 % / 50 % / 90 %", _interval(answer)),
        ("naive sum", f"{answer['naive_sum_bps']:.3f} bps (counts impact twice)"),
        ("maker / taker", f"{answer['maker_pct']:.1f} % / {answer['taker_pct']:.1f} %"),
        ("volatility over 1 s", f"{answer['volatility_bps']:.3f} bps, {_source(answer)}"),
        *([] if limit is not None else _schedule(answer["schedule"])),
        ("book", f"{book['age_ms']:.0f} ms old, sequence {book['sequence']}"),
        ("cost models", _microseconds(answer["latency"]["cost_models_us"])),
        ("total pipeline", _microseconds(answer["latency"]["total_pipeline_us"])),
    ]


def plain(quantity: float) -> str:
    """Return a quantity without an exponent and without trailing zeros."""
    text = f"{quantity:,.12f}".rstrip("0").rstrip(".")
    return text if text != "0" else f"{quantity:.30f}".rstrip("0")


def _limit(answer: dict[str, Any], mean: str) -> Figures:
    limit, quote = answer["limit"], _quote(answer)
    if limit["maker_fill_price_quote"] is None:
        return [("expected fill price", f"{mean}: crosses whole, taken at once")]
    by = "touch probability" if limit["fitted_on"] is None else f"model ({limit['fitted_on']})"
    likely = (
        f"{limit['fill_probability']:.4%} within {limit['horizon_s']:g} s at "
        f"{limit['maker_fill_price_quote']:,.10g} {quote}, by {by}"
    )
    found = [("maker fill (assumed)", likely)]
    if limit["at_once_pct"] > 0.0:
        found.append(("taken at once", f"{limit['at_once_pct']:.1f} % crosses the book"))
    if limit["completion_price_quote"] is None:
        found.append(("otherwise", "cancelled: the figures below are those of a filled order"))
        found.append(("fill price", mean))
        return found
    completion = f"{limit['completion_price_quote']:,.10g} {quote}"
    found.append(
        ("otherwise", f"completed at the market after {limit['horizon_s']:g} s, {completion}")
    )
    found.append(("mean price of all outcomes", mean))
    return found


def _quote(answer: dict[str, Any]) -> str:
    return answer["quote_currency"] or "quote"


def _money(answer: dict[str, Any], name: str) -> str:
    return f"{answer[f'{name}_bps']:.3f} bps = {answer[f'{name}_quote']:,.4f} {_quote(answer)}"


# Of the figures as they are shown, so that the column adds up.
def _net(answer: dict[str, Any]) -> str:
    bps = sum(round(answer[f"{name}_bps"], _BPS_SHOWN) for name in _PARTS)
    money = sum(round(answer[f"{name}_quote"], _MONEY_SHOWN) for name in _PARTS)
    return f"{bps:.3f} bps = {money:,.4f} {_quote(answer)}"


def _tier(fees: dict[str, Any]) -> str:
    if fees["tier"] == "own":
        return f"own rates, {fees['source']}"
    return f"tier {fees['tier']} as of {fees['as_of']}"


def _interval(answer: dict[str, Any]) -> str:
    interval, limit = answer["interval"], answer["limit"]
    figures = " / ".join(f"{interval[f'p{level}_bps']:.3f}" for level in (10, 50, 90))
    source = _INTERVALS.get(interval["source"], f"model ({interval['fitted_on']})")
    if limit is not None and limit["unfilled"] == "cancelled":
        source = "of a filled order"
    return f"{figures} bps; interval: {source}"


def _source(answer: dict[str, Any]) -> str:
    samples = answer["volatility_samples"]
    return "given" if samples is None else f"realised over {samples} s"


def _schedule(schedule: dict[str, Any]) -> Figures:
    name = "instead, in slices at the market"
    if not schedule["steps"]:
        return [(name, f"none: {schedule['note']}")]
    steps = schedule["steps"]
    first = ", ".join(plain(step["quantity_base"]) for step in steps[:_SCHEDULE_ROWS])
    rest = ", ..." if len(steps) > _SCHEDULE_ROWS else ""
    count = "1 step" if len(steps) == 1 else f"{len(steps)} steps"
    found = [(name, f"{count} over {schedule['horizon_s']:g} s: {first}{rest} base")]
    if schedule["cost_bps"] is not None and schedule["risk_bps"] is not None:
        figure = f"{schedule['cost_bps']:.3f} bps, risk {schedule['risk_bps']:.3f} bps"
        found.append(("cost in slices", figure))
    return found


def _microseconds(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.1f} us"
