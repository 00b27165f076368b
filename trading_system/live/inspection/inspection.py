"""Everything the control API shows beside the status, read from the parts of one desk.

Reads only, and computes only what is asked for. Before the first session lists are empty and
figures None; after the end what was done stays readable and nothing is shown as current.
"""

from __future__ import annotations

from typing import Any

from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.candles import Candles
from trading_system.live.inspection.executions import executions
from trading_system.live.inspection.journal import journal
from trading_system.live.inspection.latency import latency
from trading_system.live.inspection.making import market_maker
from trading_system.live.inspection.market import market
from trading_system.live.inspection.orders import fills, orders
from trading_system.live.inspection.positions import positions
from trading_system.live.inspection.risk import risk
from trading_system.live.inspection.signals import signals
from trading_system.live.inspection.texts import json_safe, money
from trading_system.live.inspection.watching import Watching, pairs
from trading_system.monitoring.log_ring import LOG, LogRing


class LiveInspection:
    """The :class:`~trading_system.domain.ports.Inspection` of one desk.

    Parameters
    ----------
    desk : TradingDesk
        Whose parts are shown.
    watch : Watching
        Health, alerts and histories of the same desk.
    log : LogRing
        The newest log lines, those of the process by default.
    """

    def __init__(self, desk: TradingDesk, watch: Watching, *, log: LogRing = LOG) -> None:
        self._desk = desk
        self._watch = watch
        self._log = log
        self._candles = Candles(desk)

    def positions(self) -> dict[str, Any]:
        """Return the position of every traded symbol with its value, stop and both sides."""
        return {"positions": positions(self._desk)}

    def orders(self) -> dict[str, Any]:
        """Return the own orders without a settled outcome, and the newest 50 settled ones."""
        return orders(self._desk.session, clock=self._desk.clock)

    def fills(self, *, symbol: str | None, limit: int) -> dict[str, Any]:
        """Return the newest of the last 1,000 fills of this run, newest first."""
        return fills(self._desk.session, symbol=symbol, limit=limit)

    def signals(self, *, symbol: str | None, limit: int) -> dict[str, Any]:
        """Return the newest consensus of each symbol with every vote, and what became of it."""
        return signals(self._desk, symbol=symbol, limit=limit)

    def executions(self, *, limit: int) -> dict[str, Any]:
        """Return the newest parent orders with their cost analysis, newest first."""
        return executions(self._desk, limit=limit)

    def latency(self) -> dict[str, Any]:
        """Return the stages' percentiles, rolling and since the start, loop, process, queues."""
        return latency(self._desk, self._watch)

    def risk(self) -> dict[str, Any]:
        """Return each limit with what is used of it, and what holds trading."""
        return risk(self._desk, self._watch)

    def compliance_history(self) -> dict[str, Any]:
        """Return the time spent inside each target and the score over time."""
        watch = self._watch
        return {
            "time_in_compliance": json_safe(watch.history.figures()),
            "history": {"scores": pairs(watch.scores.points())},
        }

    def equity(self) -> dict[str, Any]:
        """Return the equity over the whole run, thinned out with time."""
        session = self._desk.session
        return {
            "start": None if session is None else money(session.portfolio.start_cash),
            "points": pairs(self._watch.equity.points()),
        }

    def alerts(self) -> dict[str, Any]:
        """Return firing and newest cleared alerts, the worst first, and how telling goes."""
        return {**self._watch.alerts.rows(), "delivery": self._watch.delivery()}

    def acknowledge(self, alert_id: str, *, note: str) -> dict[str, Any]:
        """Note that somebody looks after an alert, so that it is not sent again.

        Raises
        ------
        ValidationError
            If no such alert fires.
        """
        return self._watch.alerts.acknowledge(alert_id, note=note)

    def market(self, symbol: str, *, depth: int) -> dict[str, Any]:
        """Return book, own orders and newest trades of one symbol.

        Raises
        ------
        ValidationError
            If the symbol is not traded here.
        """
        return market(self._desk, symbol, depth=depth)

    async def candles(self, symbol: str, *, interval: str, limit: int) -> dict[str, Any]:
        """Return candles from the venue, oldest first, and the own fills inside them.

        Raises
        ------
        ValidationError
            If the symbol is not traded here, or the interval is none of the venue's.
        VenueError
            If the venue did not answer.
        DeadlineExceeded
            If it did not answer within 5 s.
        """
        return await self._candles.read(symbol, interval=interval, limit=limit)

    def market_maker(self) -> dict[str, Any]:
        """Return the market maker's figures and quotes; ``active`` says whether one runs."""
        return market_maker(self._desk)

    def journal(
        self, *, kind: str | None, key: str | None, before: int | None, limit: int
    ) -> dict[str, Any]:
        """Return rows of the journal, newest first, older than row ``before``.

        Raises
        ------
        ValidationError
            If there is no such kind.
        """
        return journal(self._desk.session, kind=kind, key=key, before=before, limit=limit)

    def log(self, *, after: int, limit: int) -> dict[str, Any]:
        """Return log lines with a number above ``after``, oldest first."""
        return self._log.lines(after=after, limit=limit)
