"""A line chart over time that follows the theme; drawn by ECharts from the wheel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nicegui import ui

from trading_system.dashboard.context import PageContext
from trading_system.dashboard.theme import palette

MAX_DRAWN: Final = 600
"""Points sent to the browser; of more, every n-th and the newest are."""


class LineChart:
    """One curve.

    Parameters
    ----------
    context : PageContext
        For the theme.
    label : str
        What it shows, for screen readers.
    unit : str
        Unit of the values, said in the tooltip.
    """

    def __init__(self, context: PageContext, label: str, *, unit: str) -> None:
        self._context = context
        self._unit = unit
        self._points: list[list[float]] = []
        self._chart = ui.echart(self._options()).classes("chart")
        self._chart.props["role"] = "img"
        self._chart.props["aria-label"] = label
        context.on_theme(self._redraw)

    def show(self, points: Sequence[list[float]]) -> None:
        """Show ``points``, each UTC milliseconds and a value, oldest first."""
        self._points = thinned(points)
        partial = {"series": [{"data": self._points}], "yAxis": bounds(self._points)}
        _ = self._chart.run_chart_method("setOption", partial)

    def _redraw(self) -> None:
        self._chart.options.clear()
        self._chart.options.update(self._options())
        self._chart.update()

    def _options(self) -> dict[str, Any]:
        colours = palette(is_dark=self._context.is_dark)
        label = {"color": colours.muted, "fontSize": 11}
        return {
            "animation": False,
            "useUTC": True,
            "grid": {"left": 8, "right": 26, "top": 12, "bottom": 4, "containLabel": True},
            "tooltip": {
                "trigger": "axis",
                "renderMode": "richText",
                "backgroundColor": colours.panel,
                "borderColor": colours.line,
                "textStyle": {"color": colours.ink, "fontSize": 12},
            },
            "xAxis": {
                "type": "time",
                "axisLabel": {**label, "hideOverlap": True},
                "axisLine": {"lineStyle": {"color": colours.line}},
                "splitLine": {"show": False},
            },
            "yAxis": {
                "type": "value",
                "scale": True,
                **bounds(self._points),
                "axisLabel": label,
                "splitNumber": 4,
                "splitLine": {"lineStyle": {"color": colours.line}},
            },
            "series": [
                {
                    "type": "line",
                    "name": self._unit,
                    "showSymbol": False,
                    "data": self._points,
                    "lineStyle": {"width": 1.5, "color": colours.accent},
                    "itemStyle": {"color": colours.accent},
                    "areaStyle": {"color": colours.accent, "opacity": 0.08},
                }
            ],
        }


def bounds(points: Sequence[list[float]]) -> dict[str, float | None]:
    """Return the ends of the value axis: a line that is flat gets one unit of room on each side.

    Without them an axis around one value is drawn from a third of it to one and a half.
    """
    values = [value for _, value in points]
    if not values or max(values) > min(values):
        return {"min": None, "max": None}
    return {"min": values[0] - 1.0, "max": values[0] + 1.0}


def thinned(points: Sequence[list[float]]) -> list[list[float]]:
    """Return at most about :data:`MAX_DRAWN` of ``points``, the first and the newest among them."""
    step = -(-len(points) // MAX_DRAWN) if points else 1
    kept = list(points[::step])
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept
