"""Commanding routes; the guard lets only the control token come this far."""

from __future__ import annotations

from fastapi import APIRouter, Response

from trading_system.api.answers import answer, documented
from trading_system.api.bodies import (
    AcknowledgeRequest,
    ExecuteRequest,
    KillRequest,
    ReasonRequest,
    ResumeRequest,
)
from trading_system.api.documents_live import Alert, Standing, Stopping
from trading_system.api.faults import NotReadyError
from trading_system.api.queries import AlertId
from trading_system.domain.ports import Control, Inspection, StatusSource

_NOT_READY = frozenset({"NEW", "STARTING"})
_COMMAND = documented(Standing, is_command=True)


def commanding_routes(source: StatusSource, control: Control, inspection: Inspection) -> APIRouter:
    """Return every route that changes something."""
    router = APIRouter(tags=["control"])
    _add_holds(router, source, control)
    _add_orders(router, source, control)
    _add_alerts(router, inspection)
    return router


def _add_holds(router: APIRouter, source: StatusSource, control: Control) -> None:
    @router.post("/stop", **documented(Stopping, status=202, is_command=True))
    async def stop(body: ReasonRequest) -> Response:
        """Ask for an ordered stop; works in every state."""
        control.request_stop(body.reason)
        return answer({"accepted": True, "reason": body.reason}, status=202)

    @router.post("/pause", **_COMMAND)
    async def pause(body: ReasonRequest) -> Response:
        """Begin no new trade."""
        _require_started(source)
        return answer(await control.pause(body.reason))

    @router.post("/resume", **_COMMAND)
    async def resume(body: ResumeRequest) -> Response:
        """Lift pause, reduce-only and kill."""
        _require_started(source)
        return answer(await control.resume(reset_limits=body.reset_limits))

    @router.post("/reduce-only", **_COMMAND)
    async def reduce_only(body: ReasonRequest) -> Response:
        """Let only orders through that shrink a position."""
        _require_started(source)
        return answer(await control.reduce_only(body.reason))


def _add_orders(router: APIRouter, source: StatusSource, control: Control) -> None:
    @router.post("/kill", **_COMMAND)
    async def kill(body: KillRequest) -> Response:
        """Block all orders and cancel those that are open."""
        _require_started(source)
        return answer(await control.kill(body.reason, flatten=body.flatten))

    @router.post("/execute", **_COMMAND)
    async def execute(body: ExecuteRequest) -> Response:
        """Work one parent order through the risk gate."""
        _require_started(source)
        content = await control.execute(
            body.symbol,
            body.side,
            body.quantity,
            algorithm=None if body.algorithm == "auto" else body.algorithm,
            urgency=body.urgency,
        )
        return answer(content)


def _add_alerts(router: APIRouter, inspection: Inspection) -> None:
    @router.post("/alerts/{alert_id}/acknowledge", **documented(Alert, is_command=True))
    async def acknowledge(alert_id: AlertId, body: AcknowledgeRequest) -> Response:
        """Note that somebody looks after an alert."""
        return answer(inspection.acknowledge(alert_id, note=body.note))


def _require_started(source: StatusSource) -> None:
    # Not the status: what breaks there must not keep an operator from the kill switch.
    if source.state in _NOT_READY:
        raise NotReadyError("the system is still starting; try again in a moment")
