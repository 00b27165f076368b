"""Every page of the dashboard: path, title, icon and what builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trading_system.dashboard.context import PageContext
from trading_system.dashboard.pages import alerts, cost, maker, market, overview, risk


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Parameters
    ----------
    path : str
        Address below the dashboard's own.
    title : str
        Entry of the navigation and heading.
    icon : str
        Name of a Material icon, from the wheel's own font.
    build : Callable[[PageContext], None]
        Adds the page's elements to the open content column.
    """

    path: str
    title: str
    icon: str
    build: Callable[[PageContext], None]


PAGES: Final[tuple[Page, ...]] = (
    Page("/", "Overview", "dashboard", overview.build),
    Page("/market", "Market", "candlestick_chart", market.build),
    Page("/risk", "Risk", "shield", risk.build),
    Page("/alerts", "Alerts and log", "notifications", alerts.build),
    Page("/cost", "Cost simulator", "calculate", cost.build),
    Page("/market-maker", "Market maker", "balance", maker.build),
)
