"""A system behind the control API: remembers every command, answers as told."""

from __future__ import annotations

from typing import Any

from trading_system.domain.errors import TradingSystemError

COMPLIANCE = [
    {
        "name": "health",
        "measured": 90.0,
        "target": 80.0,
        "unit": "points, at least",
        "met": True,
        "judged": True,
    }
]


class FakeControl:
    """Implements ``StatusSource`` and ``Control``.

    Parameters
    ----------
    state : str
        State of the system shown in its status.
    failure : TradingSystemError or None
        Raised by every command but stop.
    """

    def __init__(
        self, *, state: str = "RUNNING", failure: TradingSystemError | None = None
    ) -> None:
        self.state = state
        self.failure = failure
        self.killed: dict[str, Any] = {"open_orders": 0, "confirmed": True, "flattened": True}
        self.is_met = True
        self.calls: list[tuple[Any, ...]] = []

    def get_system_status(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "performance_compliance": {"health_target_met": self.is_met},
            "compliance_targets": COMPLIANCE,
        }

    def request_stop(self, reason: str) -> None:
        self.calls.append(("stop", reason))

    async def pause(self, reason: str) -> dict[str, Any]:
        return self._done("pause", reason)

    async def resume(self, *, reset_limits: bool) -> dict[str, Any]:
        return self._done("resume", reset_limits)

    async def reduce_only(self, reason: str) -> dict[str, Any]:
        return self._done("reduce-only", reason)

    async def kill(self, reason: str, *, flatten: bool) -> dict[str, Any]:
        return {**self._done("kill", reason, flatten), **self.killed}

    async def execute(
        self, symbol: str, side: str, quantity: str, *, algorithm: str | None, urgency: str
    ) -> dict[str, Any]:
        answer = self._done("execute", symbol, side, quantity, algorithm, urgency)
        return {**answer, "success": True, "execution_metrics": {"slippage_bps": 1.5}}

    def _done(self, *call: object) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        self.calls.append(call)
        return {"state": "ACTIVE"}
