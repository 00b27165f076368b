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
        _ = self._chart.run_chart_method("setOption", {"series": [{"data": self._points}]})

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
            "grid": {"left": 8, "right": 12, "top": 12, "bottom": 4, "containLabel": True},
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


def thinned(points: Sequence[list[float]]) -> list[list[float]]:
    """Return at most about :data:`MAX_DRAWN` of ``points``, the first and the newest among them."""
    step = -(-len(points) // MAX_DRAWN) if points else 1
    kept = list(points[::step])
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept
