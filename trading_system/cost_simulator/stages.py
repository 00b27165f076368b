"""Internal latency by the stages of the users' guides, measured on every tick."""

from __future__ import annotations

from collections import deque
from typing import Final

from trading_system.monitoring.latency import LatencyRing

_NS_PER_S = 1_000_000_000
_RATE_WINDOW_S = 10

MESSAGE: Final = "message_processing"
BOOK: Final = "book_update"
LEVELS: Final = "book_levels"
IMPACT: Final = "market_impact"
MAKER_TAKER: Final = "maker_taker"
ESTIMATE: Final = "cost_models"
TOTAL: Final = "total_pipeline"
REACTION: Final = "tick_to_estimate"

GUIDE_US: Final[dict[str, float | None]] = {
    MESSAGE: 500.0,
    BOOK: 200.0,
    LEVELS: None,
    IMPACT: 300.0,
    MAKER_TAKER: 200.0,
    ESTIMATE: 700.0,
    TOTAL: 1000.0,
    REACTION: None,
}
"""The guides' figure of each stage, microseconds; None for a stage that they do not name.

``message_processing`` receipt until the message is decoded, ``book_update`` decoded until the book
changed (OKX's feed does both at once: all of it counts here), ``book_levels`` turning the book into
cumulated levels, ``maker_taker`` the fitted model (limit orders only), ``market_impact`` all other
cost models with walk and schedule, ``cost_models`` both together (the guides' model pipeline),
``total_pipeline`` all processing of a tick and of the first estimate made from it, and
``tick_to_estimate`` receipt of a tick until the estimate of a watcher who was waiting for it, the
wait for the loop included.
"""


class Stages:
    """One bounded ring of durations per stage, and the newest duration of each."""

    __slots__ = ("_newest_ns", "_rings")

    def __init__(self) -> None:
        self._rings = {stage: LatencyRing() for stage in GUIDE_US}
        self._newest_ns: dict[str, int] = {}

    def record(self, stage: str, duration_ns: int) -> None:
        """Add one duration of ``stage``, nanoseconds."""
        self._rings[stage].record(duration_ns)
        self._newest_ns[stage] = duration_ns

    def newest_us(self) -> dict[str, float | None]:
        """Return the newest duration of each stage, microseconds; None where none was measured."""
        newest = self._newest_ns
        return {
            f"{stage}_us": newest[stage] / 1000.0 if stage in newest else None for stage in GUIDE_US
        }

    def summary(self) -> dict[str, dict[str, float | int | None]]:
        """Return percentiles of each stage beside the guides' figure, microseconds."""
        answer: dict[str, dict[str, float | int | None]] = {}
        for stage, ring in self._rings.items():
            figures = ring.percentiles()
            answer[stage] = {
                "p50_us": figures.p50_us,
                "p95_us": figures.p95_us,
                "p99_us": figures.p99_us,
                "max_us": figures.max_us,
                "samples": figures.samples,
                "guide_us": GUIDE_US[stage],
            }
        return answer


class TickRate:
    """How often a book changes: mean over the last ten full seconds."""

    __slots__ = ("_first_s", "_per_second", "ticks")

    def __init__(self) -> None:
        self._first_s: int | None = None
        self._per_second: deque[list[int]] = deque(maxlen=_RATE_WINDOW_S + 1)
        self.ticks = 0

    def count(self, now_ns: int) -> None:
        """Note one tick at monotonic ``now_ns``."""
        second = now_ns // _NS_PER_S
        self.ticks += 1
        if self._first_s is None:
            self._first_s = second
        if self._per_second and self._per_second[-1][0] == second:
            self._per_second[-1][1] += 1
        else:
            self._per_second.append([second, 1])

    def per_second(self, now_ns: int) -> float | None:
        """Return ticks per second, None before the first full second."""
        now_s = now_ns // _NS_PER_S
        if self._first_s is None or now_s <= self._first_s:
            return None
        from_s = max(self._first_s, now_s - _RATE_WINDOW_S)
        ticks = sum(count for second, count in self._per_second if from_s <= second < now_s)
        return round(ticks / (now_s - from_s), 1)
