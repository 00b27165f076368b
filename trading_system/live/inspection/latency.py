"""Where the time goes: stages, event loop, process and queues."""

from __future__ import annotations

from typing import Any

from trading_system.live.desk import TradingDesk
from trading_system.live.inspection.texts import json_safe
from trading_system.live.inspection.watching import Watching
from trading_system.monitoring.latency import WINDOW_S, StageLatency


def latency(desk: TradingDesk, watch: Watching) -> dict[str, Any]:
    """Return every stage over the last window and since the start, and what waits."""
    session = desk.session
    stages = session.latency if session is not None else StageLatency(clock=desk.clock)
    capacity = desk.settings.optimization.priority_queue_size
    return {
        "stages": {
            stage: {
                "rolling": figures["rolling"],
                "since_start": figures["since_start"],
                "histogram": figures["histogram"],
            }
            for stage, figures in stages.detail().items()
        },
        "window_s": float(WINDOW_S),
        "event_loop": None if session is None else json_safe(session.loop_lag.summary()),
        "process": None if session is None else json_safe(watch.process.figures()),
        "queues": {
            "requests": {
                "size": None if session is None else session.traffic.waiting,
                "capacity": capacity,
            },
            "journal_backlog": None if session is None else session.journal.waiting,
            "orders_live": None if session is None else session.engine.ledger.live_count,
        },
    }
