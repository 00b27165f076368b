"""How long operations take: averages, percentiles and the slow ones."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar

import numpy as np
import structlog

from trading_system.domain.errors import LifecycleError
from trading_system.domain.ports import Clock

Kind = Literal["ticker", "order", "volatility", "other"]
F = TypeVar("F", bound=Callable[..., Any])

_LOG = structlog.get_logger(__name__)
_NS_PER_S = 1_000_000_000
_KEEP_SAMPLES = 512
_KEEP_SLOW = 100
_MAX_OPERATIONS = 256
_OVERFLOW = "other operations"
_WARN_EVERY_NS = 10 * _NS_PER_S
_CALLS: frozenset[Kind] = frozenset({"ticker", "order"})


def kind_of(name: str) -> Kind:
    """Return the kind of operation that ``name`` spells.

    ``volatility`` if the name speaks of volatility or ATR, ``ticker`` for other reads
    (``get_...``, ``test_...``), ``order`` if it speaks of an order or leverage, else ``other``.
    """
    words = name.lower().split("_")
    if "volatility" in words or "atr" in words:
        return "volatility"
    if words[0] in {"get", "test"}:
        return "ticker"
    return "order" if {"order", "orders", "leverage"} & set(words) else "other"


class OperationFigures:
    """The newest durations of one operation and its counters since the start.

    Parameters
    ----------
    kind : str
        What its limit and its count as an API call depend on.
    limit_ns : int or None
        Beyond it the operation was slow; None judges nothing.
    """

    __slots__ = (
        "_sum_ns",
        "_times_ns",
        "count",
        "failures",
        "kind",
        "limit_ns",
        "slow",
        "unsaid",
        "warned_ns",
    )

    def __init__(self, kind: Kind, limit_ns: int | None) -> None:
        self.kind: Kind = kind
        self.limit_ns = limit_ns
        self.count = 0
        self.failures = 0
        self.slow = 0
        self.unsaid = 0
        self.warned_ns: int | None = None
        self._times_ns: deque[int] = deque(maxlen=_KEEP_SAMPLES)
        self._sum_ns = 0

    @property
    def average_s(self) -> float:
        """Mean of the newest durations, seconds; 0 without one."""
        return self._sum_ns / len(self._times_ns) / _NS_PER_S if self._times_ns else 0.0

    @property
    def p95_s(self) -> float:
        """95th percentile of the newest durations, seconds; 0 without one."""
        if not self._times_ns:
            return 0.0
        return float(np.percentile(self._times_ns, 95)) / _NS_PER_S

    def add(self, duration_ns: int, *, has_failed: bool) -> bool:
        """Take one duration; return whether it was slow."""
        if len(self._times_ns) == _KEEP_SAMPLES:
            self._sum_ns -= self._times_ns[0]
        self._times_ns.append(duration_ns)
        self._sum_ns += duration_ns
        self.count += 1
        self.failures += has_failed
        is_slow = self.limit_ns is not None and duration_ns > self.limit_ns
        self.slow += is_slow
        return is_slow


class TimedOperation:
    """Measures one block (``with``) or every call of a function (decorator, sync or async).

    What fails or is cancelled is measured too. As a block it is used once; the decorator serves any
    number of concurrent calls.
    """

    __slots__ = ("_kind", "_name", "_started_ns", "_timer")

    def __init__(self, timer: OperationTimer, name: str, kind: Kind | None) -> None:
        self._timer = timer
        self._name = name
        self._kind = kind
        self._started_ns: int | None = None

    def __enter__(self) -> None:
        if self._started_ns is not None:
            raise LifecycleError(f"this measurement of {self._name} was started before")
        self._started_ns = self._timer.clock.monotonic_ns()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._started_ns is not None
        duration_ns = self._timer.clock.monotonic_ns() - self._started_ns
        self._timer.record(
            self._name, duration_ns, has_failed=exc_type is not None, kind=self._kind
        )

    def __call__(self, function: F) -> F:
        """Return ``function`` with every call of it measured."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
                with self._again():
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def measured(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
                with self._again():
                    return function(*args, **kwargs)

        return measured  # type: ignore[return-value] # the wrapper has the function's signature

    def _again(self) -> TimedOperation:
        return TimedOperation(self._timer, self._name, self._kind)


class OperationTimer:
    """Measures operations by name and judges them by the limit of their kind.

    Parameters
    ----------
    limits_s : mapping
        Seconds by kind (``ticker``, ``order``, ``volatility``); a kind without a limit is never
        slow.
    clock : Clock
        Monotonic and display time.

    Attributes
    ----------
    newest_slow : deque
        The newest 100 slow operations: ``operation``, ``duration_s``, ``limit_s``, ``has_failed``
        and ``ts`` (UTC seconds).
    """

    def __init__(self, limits_s: Mapping[Kind, float], *, clock: Clock) -> None:
        self.clock = clock
        self._limits_ns = {kind: round(limit * _NS_PER_S) for kind, limit in limits_s.items()}
        self._figures: dict[str, OperationFigures] = {}
        self.newest_slow: deque[dict[str, Any]] = deque(maxlen=_KEEP_SLOW)

    @property
    def figures(self) -> Mapping[str, OperationFigures]:
        """Figures by operation, at most 256 names; those beyond share one."""
        return self._figures

    @property
    def calls(self) -> dict[str, int]:
        """Reads and orders sent, by operation: the API calls."""
        return {name: f.count for name, f in self._figures.items() if f.kind in _CALLS}

    def time_operation(self, name: str, *, kind: Kind | None = None) -> TimedOperation:
        """Return what measures ``name``; its kind is read from the name unless given."""
        return TimedOperation(self, name, kind)

    def record(
        self, name: str, duration_ns: int, *, has_failed: bool, kind: Kind | None = None
    ) -> None:
        """Take one duration of ``name``, nanoseconds, measured elsewhere."""
        figures = self._figures.get(name) or self._new(name, kind)
        if figures.add(duration_ns, has_failed=has_failed):
            self._report(name, figures, duration_ns, has_failed=has_failed)

    def _new(self, name: str, kind: Kind | None) -> OperationFigures:
        if len(self._figures) >= _MAX_OPERATIONS - 1:
            name, kind = _OVERFLOW, "other"
        known = self._figures.get(name)
        if known is None:
            kind = kind or kind_of(name)
            known = self._figures[name] = OperationFigures(kind, self._limits_ns.get(kind))
        return known

    def _report(
        self, name: str, figures: OperationFigures, duration_ns: int, *, has_failed: bool
    ) -> None:
        assert figures.limit_ns is not None
        slow = {
            "operation": name,
            "duration_s": duration_ns / _NS_PER_S,
            "limit_s": figures.limit_ns / _NS_PER_S,
            "has_failed": has_failed,
        }
        self.newest_slow.append({**slow, "ts": self.clock.utc_ns() / _NS_PER_S})
        now_ns = self.clock.monotonic_ns()
        if figures.warned_ns is not None and now_ns - figures.warned_ns < _WARN_EVERY_NS:
            figures.unsaid += 1
            return
        _LOG.warning("slow operation", **slow, not_reported=figures.unsaid)
        figures.warned_ns, figures.unsaid = now_ns, 0
