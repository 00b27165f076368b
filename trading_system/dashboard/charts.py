"""Charts of the dashboard: ECharts options in the theme's colours, and how new data gets in.

ECharts reads no CSS and does not follow a dark page by itself, so every option takes a
:class:`~trading_system.dashboard.theme.Palette`. Nothing is animated, tooltips are drawn as text
(never as HTML), numbers are rounded here because no JavaScript is sent, and every axis names its
unit. Buys and rising candles have the palette's ``buy``, sells and falling ones its ``sell``: a
pair that people with red-green blindness can tell apart.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from nicegui import ui

from trading_system.dashboard.theme import Palette, palette

Options = dict[str, Any]
Points = Sequence[Sequence[float]]

_WHOLE_OPTIONS: Final = 2
_MS_PER_S: Final = 1000
_CANDLES_SHARE: Final = "63%"
_VOLUME_SHARE: Final = "16%"
_CANDLE_GRID: Final = {"left": 16, "right": 64, "outerBoundsMode": "none"}


class Chart:
    """One chart on a page; new data is merged into it, the newest wins.

    Parameters
    ----------
    options : Callable[[Palette], dict]
        The whole chart without data, in the colours given.
    label : str
        What the chart shows, for people who do not see it.
    is_dark : bool
        Theme at first; see :meth:`repaint`.
    """

    def __init__(
        self, options: Callable[[Palette], Options], *, label: str, is_dark: bool = True
    ) -> None:
        self._make = options
        self._label = label
        self._is_dark = is_dark
        self._newest: Options = {}
        self._sends = 0
        self.element = ui.echart(self._whole()).classes("chart").style("width:100%;height:240px")

    def show(self, partial: Options) -> bool:
        """Show ``partial``, options to be merged; return whether anything was sent.

        The first times the whole options are sent, which a browser that is still loading the
        chart keeps; afterwards only what is new.
        """
        if partial == self._newest and self._sends >= _WHOLE_OPTIONS:
            return False
        self._newest = partial
        self._sends += 1
        if self._sends <= _WHOLE_OPTIONS:
            self.element.props["options"] = self._whole()
        else:
            _ = self.element.run_chart_method("setOption", partial)  # no answer is waited for
        return True

    def repaint(self, *, is_dark: bool) -> None:
        """Draw the chart in the colours of the other theme."""
        self._is_dark = is_dark
        self.element.props["options"] = self._whole()

    def _whole(self) -> Options:
        whole = merged(
            frame(palette(is_dark=self._is_dark), self._label), self._make(self._colours)
        )
        return merged(whole, self._newest)

    @property
    def _colours(self) -> Palette:
        return palette(is_dark=self._is_dark)


def merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> Options:
    """Return ``base`` with ``extra`` merged as ECharts does: by key, lists item by item."""
    result: Options = copy.deepcopy(dict(base))
    for key, value in extra.items():
        result[key] = _joined(result.get(key), value)
    return result


def _joined(old: Any, new: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(old, dict) and isinstance(new, Mapping):
        return merged(old, new)
    if _is_list_of_parts(old) and _is_list_of_parts(new):
        rest = old[len(new) :]
        return [_joined(a, b) for a, b in zip(old, new, strict=False)] + new[len(old) :] + rest
    return copy.deepcopy(new)


def _is_list_of_parts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def frame(colours: Palette, label: str) -> Options:
    """Return what all charts share: no animation, text tooltips, a description."""
    return {
        "animation": False,
        "aria": {"enabled": True, "label": {"enabled": True, "description": label}},
        "textStyle": {"color": colours.muted, "fontFamily": "inherit", "fontSize": 11},
        "tooltip": {
            "trigger": "axis",
            "renderMode": "richText",
            "confine": True,
            "transitionDuration": 0,
            "axisPointer": {"lineStyle": {"color": colours.muted}, "animation": False},
            "backgroundColor": colours.panel,
            "borderColor": colours.line,
            "borderWidth": 1,
            "padding": 8,
            "textStyle": {"color": colours.ink, "fontSize": 11},
        },
    }


def _axis(
    colours: Palette,
    kind: str,
    *,
    unit: str = "",
    **more: Any,  # noqa: ANN401 - ECharts' own values
) -> Options:
    return {
        "type": kind,
        "name": unit,
        "nameGap": 8,
        "nameTextStyle": {"color": colours.muted, "fontSize": 11},
        "axisLabel": {"color": colours.muted, "fontSize": 11, "hideOverlap": True},
        "axisLine": {"show": kind != "value", "lineStyle": {"color": colours.line}},
        "axisTick": {"show": False},
        "splitLine": {"show": kind == "value", "lineStyle": {"color": colours.line}},
        "splitNumber": 4,
        **more,
    }


def _grid(**more: Any) -> Options:  # noqa: ANN401 - ECharts' own values
    return {"left": 8, "right": 8, "top": 28, "bottom": 8, "outerBoundsMode": "same", **more}


def _legend(colours: Palette, names: Sequence[str]) -> Options:
    return {
        "data": list(names),
        "type": "scroll",
        "top": 0,
        "right": 0,
        "itemWidth": 14,
        "itemHeight": 8,
        "textStyle": {"color": colours.muted, "fontSize": 11},
        "inactiveColor": colours.line,
        "pageTextStyle": {"color": colours.muted},
    }


def _line(name: str, colour: str, **more: Any) -> Options:  # noqa: ANN401 - ECharts' own values
    return {
        "name": name,
        "type": "line",
        "showSymbol": False,
        "symbol": "circle",
        "lineStyle": {"color": colour, "width": 1.5},
        "itemStyle": {"color": colour},
        "emphasis": {"disabled": True},
        "data": [],
        **more,
    }


def candles(colours: Palette) -> Options:
    """Return candles with volume below and own fills as triangles; prices in quote currency."""
    times: Options = {"data": [], "boundaryGap": True}
    return {
        "grid": [
            {**_CANDLE_GRID, "top": 24, "height": _CANDLES_SHARE},
            {**_CANDLE_GRID, "bottom": 24, "height": _VOLUME_SHARE},
        ],
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "tooltip": {"axisPointer": {"type": "cross", "label": _pointer(colours)}},
        "xAxis": [
            _axis(colours, "category", gridIndex=0, **times) | {"axisLabel": {"show": False}},
            _axis(colours, "category", gridIndex=1, **times),
        ],
        "yAxis": [
            _axis(colours, "value", unit="price", scale=True, position="right", gridIndex=0),
            _axis(colours, "value", unit="volume", position="right", gridIndex=1)
            | {"splitNumber": 2},
        ],
        "series": [
            {
                "name": "price",
                "type": "candlestick",
                "itemStyle": {
                    "color": colours.buy,
                    "borderColor": colours.buy,
                    "color0": colours.sell,
                    "borderColor0": colours.sell,
                },
                "markLine": _last_price(colours),
                "data": [],
            },
            {
                "name": "volume",
                "type": "bar",
                "xAxisIndex": 1,
                "yAxisIndex": 1,
                "itemStyle": {"color": colours.muted, "opacity": 0.6},
                "emphasis": {"disabled": True},
                "data": [],
            },
            _fills("own buys", colours.buy, colours, rotate=0),
            _fills("own sells", colours.sell, colours, rotate=180),
        ],
    }


def _pointer(colours: Palette) -> Options:
    return {"backgroundColor": colours.line, "color": colours.ink, "fontSize": 11}


def _last_price(colours: Palette) -> Options:
    return {
        "silent": True,
        "symbol": "none",
        "lineStyle": {"color": colours.accent, "type": "dashed", "width": 1},
        "label": {
            "position": "end",
            "distance": 2,
            "color": colours.panel,
            "backgroundColor": colours.accent,
            "padding": [5, 6],
            "fontSize": 11,
        },
        "data": [],
    }


def _fills(name: str, colour: str, colours: Palette, *, rotate: int) -> Options:
    return {
        "name": name,
        "type": "scatter",
        "symbol": "triangle",
        "symbolSize": 9,
        "symbolRotate": rotate,
        "itemStyle": {"color": colour, "borderColor": colours.ink, "borderWidth": 1},
        "z": 5,
        "data": [],
    }


def candles_data(answer: Mapping[str, Any], *, precision: int = 2) -> Options:
    """Return what ``GET /candles`` answered, to be merged into :func:`candles`.

    ``precision`` is the number of decimals of the line's label. A fill outside the candles shown
    is left out.
    """
    rows = answer.get("candles", ())
    starts = [int(row["start_ms"]) for row in rows]
    labels = [clock_text(start) for start in starts]
    close = [row["close"] for row in rows]
    fills: dict[str, list[list[Any]]] = {"buy": [], "sell": []}
    for fill in answer.get("fills", ()):
        index = _index_of(starts, int(fill["time_ms"]))
        side = str(fill["side"]).lower()
        if index is not None and side in fills:
            fills[side].append([index, float(fill["price"])])
    shown = f"{close[-1]:,.{precision}f}" if close else ""
    last = [{"yAxis": close[-1], "label": {"formatter": shown}}] if close else []
    return {
        "xAxis": [{"data": labels}, {"data": labels}],
        "series": [
            {
                "data": [[r["open"], r["close"], r["low"], r["high"]] for r in rows],
                "markLine": {"data": last},
            },
            {"data": [row["volume"] for row in rows]},
            {"data": fills["buy"]},
            {"data": fills["sell"]},
        ],
    }


def _index_of(starts: Sequence[int], time_ms: int) -> int | None:
    if not starts or time_ms < starts[0]:
        return None
    width = starts[-1] - starts[-2] if len(starts) > 1 else 60 * _MS_PER_S
    if time_ms >= starts[-1] + width:
        return None
    return max(index for index, start in enumerate(starts) if start <= time_ms)


def depth(colours: Palette) -> Options:
    """Return the cumulated size of bids and asks by price, the best prices in the middle."""
    return {
        "grid": _grid(bottom=2),
        "legend": _legend(colours, ("bids", "asks")),
        "xAxis": _axis(colours, "value", nameLocation="middle", scale=True)
        | {"nameGap": 22, "splitLine": {"show": False}, "axisLabel": _inner(colours)},
        "yAxis": _axis(colours, "value", unit="size", position="right", min=0),
        "series": [
            _line("bids", colours.buy, step="start", areaStyle=_area(colours.buy)),
            _line("asks", colours.sell, step="end", areaStyle=_area(colours.sell)),
        ],
    }


def _inner(colours: Palette) -> Options:
    # Ends of an axis that follows the data fall beside the round labels and would collide.
    return {
        "color": colours.muted,
        "fontSize": 11,
        "hideOverlap": True,
        "showMinLabel": False,
        "showMaxLabel": False,
    }


def _area(colour: str) -> Options:
    return {"color": colour, "opacity": 0.18}


def depth_data(bids: Points, asks: Points, *, decimals: int = 6) -> Options:
    """Return ``[price, size]`` levels, best first, cumulated, to be merged into :func:`depth`.

    At a price stands the size that rests there or nearer to the mid.
    """
    below = _cumulated(bids, decimals)[::-1]
    above = _cumulated(asks, decimals)
    prices = [point[0] for point in (*below, *above)]
    bounds = {"min": min(prices), "max": max(prices)} if prices else {}
    return {"xAxis": bounds, "series": [{"data": below}, {"data": above}]}


def _cumulated(levels: Points, decimals: int) -> list[list[float]]:
    total = 0.0
    points = []
    for price, size in levels:
        total += size
        points.append([price, round(total, decimals)])
    return points


COST_LINES: Final = ("net cost", "slippage", "fees", "impact")
"""Lines of :func:`cost_curve`."""


def cost_curve(colours: Palette) -> Options:
    """Return costs against size, logarithmic size, costs in basis points."""
    return {
        "grid": _grid(bottom=2),
        "legend": _legend(colours, COST_LINES),
        "xAxis": _axis(colours, "log", nameLocation="middle") | {"nameGap": 22},
        "yAxis": _axis(colours, "value", unit="bps"),
        "series": [
            _line(COST_LINES[0], colours.accent, markLine=_asked(colours), z=4),
            _line(COST_LINES[1], colours.sell),
            _line(COST_LINES[2], colours.muted),
            _line(COST_LINES[3], colours.warn, lineStyle={"color": colours.warn, "type": "dashed"}),
        ],
    }


def _asked(colours: Palette) -> Options:
    return {
        "silent": True,
        "symbol": "none",
        "lineStyle": {"color": colours.ink, "type": "dotted", "width": 1},
        "label": {"formatter": "yours", "color": colours.ink, "fontSize": 11, "position": "end"},
        "data": [],
    }


def cost_curve_data(rows: Sequence[Mapping[str, Any]], *, asked: float, unit: str) -> Options:
    """Return estimates at rising sizes, to be merged into :func:`cost_curve`.

    Each row holds ``quantity`` and ``net_cost_bps``, ``slippage_bps``, ``fees_bps`` and
    ``market_impact_bps``; ``asked`` is the size of the trade looked at, in ``unit``.
    """
    keys = ("net_cost_bps", "slippage_bps", "fees_bps", "market_impact_bps")
    series = [{"data": [[row["quantity"], round(row[key], 4)] for row in rows]} for key in keys]
    series[0]["markLine"] = {"data": [{"xAxis": asked}]}  # type: ignore[assignment] # plain JSON
    sizes = [row["quantity"] for row in rows]
    bounds = {"min": min(sizes), "max": max(sizes)} if sizes else {}
    return {"xAxis": {"name": f"quantity, {unit}", **bounds}, "series": series}


def reach(colours: Palette) -> Options:
    """Return how far into the book a market order of a size reaches, both sides, bps of the mid."""
    return {
        "grid": _grid(bottom=2),
        "legend": _legend(colours, ("sell into bids", "buy from asks")),
        "xAxis": _axis(colours, "value", unit="bps from mid", nameLocation="middle", scale=True)
        | {"nameGap": 22, "splitLine": {"show": False}},
        "yAxis": _axis(colours, "value", min=0) | {"axisLine": {"show": False, "onZero": False}},
        "series": [
            _line("sell into bids", colours.buy, areaStyle=_area(colours.buy)),
            _line("buy from asks", colours.sell, areaStyle=_area(colours.sell)),
        ],
    }


def reach_data(bids: Points, asks: Points, *, unit: str) -> Options:
    """Return ``[bps from mid, size]`` points of both sides, to be merged into :func:`reach`."""
    return {"yAxis": {"name": unit}, "series": [{"data": list(bids)}, {"data": list(asks)}]}


def schedule(colours: Palette) -> Options:
    """Return what is left of an order over time, beside a straight line; time in seconds."""
    return {
        "grid": _grid(bottom=2),
        "legend": _legend(colours, ("optimal", "straight")),
        "xAxis": _axis(colours, "value", unit="seconds", nameLocation="middle", min=0)
        | {"nameGap": 22, "splitLine": {"show": False}},
        "yAxis": _axis(colours, "value", min=0),
        "series": [
            _line("optimal", colours.accent, step="end", areaStyle=_area(colours.accent)),
            _line("straight", colours.muted, lineStyle={"color": colours.muted, "type": "dashed"}),
        ],
    }


def schedule_data(
    steps: Sequence[Mapping[str, Any]], *, quantity: float, unit: str, horizon_s: float
) -> Options:
    """Return the steps of an estimate's schedule, to be merged into :func:`schedule`."""
    left = [[step["start_s"], step["remaining_base"]] for step in steps]
    end_s = left[-1][0] if left else 0.0
    if left:
        left = [[0.0, quantity], *left, [max(horizon_s, end_s), left[-1][1]]]
    straight = [[0.0, quantity], [end_s, 0.0]] if end_s > 0 else []
    return {
        "xAxis": {"max": max(horizon_s, end_s)},
        "yAxis": {"name": f"left, {unit}"},
        "series": [{"data": left}, {"data": straight}],
    }


PROFIT_PARTS: Final = ("spread", "inventory", "fees", "funding", "total")
"""Where a market maker's profit comes from, in the order shown."""


def profit_bars(colours: Palette) -> Options:
    """Return one bar for each part of the profit, earned upwards, paid downwards."""
    return {
        "grid": _grid(),
        "tooltip": {"axisPointer": {"type": "none"}},
        "xAxis": _axis(colours, "category", data=list(PROFIT_PARTS))
        | {
            "axisLabel": {"color": colours.muted, "fontSize": 11, "interval": 0},
            "axisLine": _off_zero(colours),
        },
        "yAxis": _axis(colours, "value", unit="USDT"),
        "series": [
            {
                "name": "USDT",
                "type": "bar",
                "barMaxWidth": 48,
                "emphasis": {"disabled": True},
                "label": {"show": True, "position": "top", "color": colours.ink, "fontSize": 11},
                "itemStyle": {"color": colours.accent},
                "data": [],
            }
        ],
    }


def _off_zero(colours: Palette) -> Options:
    return {"show": True, "onZero": False, "lineStyle": {"color": colours.line}}


def profit_bars_data(parts: Mapping[str, float], colours: Palette) -> Options:
    """Return signed profits by part (paid fees are negative), for :func:`profit_bars`."""
    data = [
        {
            "value": round(parts.get(name, 0.0), 2),
            "itemStyle": {"color": colours.sell if parts.get(name, 0.0) < 0 else colours.buy},
        }
        for name in PROFIT_PARTS
    ]
    return {"series": [{"data": data}]}


def profit_lines(colours: Palette) -> Options:
    """Return each part of the profit over the session, UTC."""
    tints = (colours.buy, colours.warn, colours.sell, colours.muted, colours.accent)
    return {
        "useUTC": True,
        "grid": _grid(bottom=8),
        "legend": _legend(colours, PROFIT_PARTS),
        "xAxis": _axis(colours, "time"),
        "yAxis": _axis(colours, "value", unit="USDT", scale=True),
        "series": [
            _line(name, tint, lineStyle={"color": tint, "width": 2.5 if name == "total" else 1.25})
            for name, tint in zip(PROFIT_PARTS, tints, strict=True)
        ],
    }


def profit_lines_data(series: Mapping[str, Points]) -> Options:
    """Return points ``[UTC ms, USDT]`` by part, for :func:`profit_lines`."""
    return {"series": [{"data": [list(p) for p in series.get(n, ())]} for n in PROFIT_PARTS]}


def clock_text(time_ms: int, *, seconds: bool = False) -> str:
    """Return the time of day of ``time_ms`` (milliseconds since 1970), UTC."""
    when = datetime.fromtimestamp(time_ms / _MS_PER_S, tz=UTC)
    return when.strftime("%H:%M:%S" if seconds else "%H:%M")
