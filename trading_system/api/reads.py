"""Reading routes: status, health, positions, orders, market, alerts, journal, figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from trading_system.api import documents as shapes
from trading_system.api import documents_live as live
from trading_system.api.answers import answer, documented
from trading_system.api.guard import ROLE_KEY
from trading_system.api.queries import (
    CandlesQuery,
    ExecutionsQuery,
    FillsQuery,
    JournalQuery,
    LogQuery,
    MarketQuery,
    PathSymbol,
    SignalsQuery,
)
from trading_system.domain.ports import Clock, Inspection, StatusSource
from trading_system.monitoring import exposition
from trading_system.runtime.cache import TtlCache

_METRICS_TTL_S: Final = 1.0


def reading_routes(source: StatusSource, inspection: Inspection, *, clock: Clock) -> APIRouter:
    """Return every route that only looks."""
    router = APIRouter(tags=["read"])
    _add_system(router, source, inspection)
    _add_trading(router, inspection)
    _add_market(router, inspection)
    _add_watch(router, inspection)
    _add_metrics(router, source, inspection, clock)
    return router


def compliance_of(status: Mapping[str, Any], history: Mapping[str, Any]) -> dict[str, Any]:
    """Return the compliance part of ``status`` with its history."""
    return {
        "performance_compliance": status["performance_compliance"],
        "targets": status["compliance_targets"],
        "state": status.get("compliance_state"),
        "time_in_compliance": history.get("time_in_compliance"),
        "history": history.get("history"),
    }


def health_of(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the health part of ``status``."""
    health = status.get("health") or {}
    return {
        "state": status["state"],
        "trading_state": status.get("trading_state"),
        "score": health.get("score"),
        "reasons": health.get("reasons", []),
        "parts": health.get("parts", {}),
        "behaviour": status.get("behaviour"),
    }


def _add_system(router: APIRouter, source: StatusSource, inspection: Inspection) -> None:
    @router.get("/status", **documented(live.StatusDocument))
    async def status() -> Response:
        """Return the whole status."""
        return answer(source.get_system_status())

    @router.get("/health", **documented(shapes.HealthDocument))
    async def health() -> Response:
        """Return the health score, every lost point, and what it makes the system do."""
        return answer(health_of(source.get_system_status()))

    @router.get("/compliance", **documented(shapes.ComplianceDocument))
    async def compliance() -> Response:
        """Return the targets, whether they are met now, and for how long they were."""
        return answer(compliance_of(source.get_system_status(), inspection.compliance_history()))

    @router.get("/whoami", **documented(shapes.WhoAmI))
    async def whoami(request: Request) -> Response:
        """Return what the token allows."""
        return answer({"role": request.scope[ROLE_KEY].value})


def _add_trading(router: APIRouter, inspection: Inspection) -> None:
    @router.get("/positions", **documented(shapes.PositionsDocument))
    async def positions() -> Response:
        """Return the position of every traded symbol."""
        return answer(inspection.positions())

    @router.get("/orders", **documented(shapes.OrdersDocument))
    async def orders() -> Response:
        """Return live and newest settled orders."""
        return answer(inspection.orders())

    @router.get("/fills", **documented(shapes.FillsDocument))
    async def fills(query: Annotated[FillsQuery, Query()]) -> Response:
        """Return the newest fills."""
        return answer(inspection.fills(symbol=query.symbol, limit=query.limit))

    @router.get("/signals", **documented(shapes.SignalsDocument))
    async def signals(query: Annotated[SignalsQuery, Query()]) -> Response:
        """Return what every agent says now, and the newest decisions."""
        return answer(inspection.signals(symbol=query.symbol, limit=query.limit))

    @router.get("/executions", **documented(shapes.ExecutionsDocument))
    async def executions(query: Annotated[ExecutionsQuery, Query()]) -> Response:
        """Return the newest parent orders with their costs."""
        return answer(inspection.executions(limit=query.limit))

    @router.get("/risk", **documented(shapes.RiskDocument))
    async def risk() -> Response:
        """Return each limit with what is used of it, and what holds trading."""
        return answer(inspection.risk())

    @router.get("/equity", **documented(shapes.EquityDocument))
    async def equity() -> Response:
        """Return the equity over the run."""
        return answer(inspection.equity())

    @router.get("/market-maker", **documented(live.MarketMakerDocument))
    async def market_maker() -> Response:
        """Return the market maker's quotes and figures."""
        return answer(inspection.market_maker())


def _add_market(router: APIRouter, inspection: Inspection) -> None:
    @router.get("/market/{symbol}", **documented(live.MarketDocument))
    async def market(symbol: PathSymbol, query: Annotated[MarketQuery, Query()]) -> Response:
        """Return book, own orders and newest trades of one symbol."""
        return answer(inspection.market(symbol, depth=query.depth))

    @router.get("/candles/{symbol}", **documented(live.CandlesDocument))
    async def candles(symbol: PathSymbol, query: Annotated[CandlesQuery, Query()]) -> Response:
        """Return candles of one symbol with the own fills inside them."""
        content = await inspection.candles(symbol, interval=query.interval, limit=query.limit)
        return answer(content)


def _add_watch(router: APIRouter, inspection: Inspection) -> None:
    @router.get("/latency", **documented(live.LatencyDocument))
    async def latency() -> Response:
        """Return the stages' percentiles, loop lag, process and queues."""
        return answer(inspection.latency())

    @router.get("/alerts", **documented(live.AlertsDocument))
    async def alerts() -> Response:
        """Return firing and newest cleared alerts, the worst first."""
        return answer(inspection.alerts())

    @router.get("/journal", **documented(live.JournalDocument))
    async def journal(query: Annotated[JournalQuery, Query()]) -> Response:
        """Return rows of the journal, newest first."""
        content = inspection.journal(
            kind=query.kind, key=query.key, before=query.before, limit=query.limit
        )
        return answer(content)

    @router.get("/log", **documented(live.LogDocument))
    async def log(query: Annotated[LogQuery, Query()]) -> Response:
        """Return log lines, oldest first."""
        return answer(inspection.log(after=query.after, limit=query.limit))


def _add_metrics(
    router: APIRouter, source: StatusSource, inspection: Inspection, clock: Clock
) -> None:
    cache: TtlCache[str, bytes] = TtlCache(capacity=1, ttl_s=_METRICS_TTL_S, clock=clock)
    described = documented(shapes.WhoAmI)
    described["responses"][200] = {
        "description": "Prometheus text, at most one second old.",
        "content": {exposition.CONTENT_TYPE.split(";")[0]: {"schema": {"type": "string"}}},
    }

    @router.get("/metrics", response_class=Response, **described)
    async def metrics() -> Response:
        """Return all figures for Prometheus."""
        text = cache.get("metrics")
        if text is None:
            text = exposition.render(
                source.get_system_status(), inspection.latency(), alerts=inspection.alerts()
            )
            cache.put("metrics", text)
        return Response(text, media_type=exposition.CONTENT_TYPE)
