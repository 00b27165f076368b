"""How long each target was met, missed or not measured since the system was first judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from trading_system.domain.ports import Clock

MAX_GAP_S: Final = 10.0
"""A longer pause between two observations (a suspended machine) counts as not measured."""

_NS_PER_S = 1_000_000_000


class _Verdict(Enum):
    MET = "met"
    MISSED = "missed"
    UNMEASURED = "unmeasured"


@dataclass(slots=True)
class _Spent:
    """Nanoseconds by verdict; whole numbers add up exactly over any length of run."""

    met_ns: int = 0
    missed_ns: int = 0
    unmeasured_ns: int = 0

    def add(self, verdict: _Verdict, ns: int) -> None:
        if verdict is _Verdict.MET:
            self.met_ns += ns
        elif verdict is _Verdict.MISSED:
            self.missed_ns += ns
        else:
            self.unmeasured_ns += ns

    def figures(self) -> dict[str, float | None]:
        return {
            "met_s": _seconds(self.met_ns),
            "missed_s": _seconds(self.missed_ns),
            "unmeasured_s": _seconds(self.unmeasured_ns),
            "met_pct": _share_pct(self.met_ns, self.met_ns + self.missed_ns),
        }


class ComplianceHistory:
    """Adds up time in compliance.

    The time between two observations belongs to what the earlier one said. As everywhere in
    compliance, what was not measured is not met: it lowers ``all_met_pct``. ``met_pct`` of a single
    target is its share of the time in which it was measured, so that a target nobody could judge
    yet does not look missed; ``unmeasured_s`` beside it says how long that was.

    Parameters
    ----------
    clock : Clock
        Only its monotonic time is read.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._targets: dict[str, _Spent] = {}
        self._verdicts: dict[str, _Verdict] = {}
        self._all_met = _Spent()
        self._are_all_met = _Verdict.UNMEASURED
        self._first_ns: int | None = None
        self._last_ns = 0

    def observe(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note the rows of :func:`~trading_system.monitoring.compliance.compliance_rows` of now."""
        self._settle(self._clock.monotonic_ns())
        self._verdicts = {str(row["name"]): _verdict(row) for row in rows}
        for name in self._verdicts:
            self._targets.setdefault(name, _Spent())
        judged = [row for row in rows if row["judged"]]
        is_met = bool(judged) and all(_verdict(row) is _Verdict.MET for row in judged)
        self._are_all_met = _Verdict.MET if is_met else _Verdict.MISSED

    def figures(self) -> dict[str, Any]:
        """Return times in seconds and shares in percent; a share of no time is None.

        ``all_met_pct`` is the share of the whole time in which every judged target was measured
        and met. The time since the newest observation is not in it.
        """
        total_ns = 0 if self._first_ns is None else self._last_ns - self._first_ns
        return {
            "since_s": _seconds(total_ns),
            "all_met_pct": _share_pct(self._all_met.met_ns, total_ns),
            "targets": {name: spent.figures() for name, spent in self._targets.items()},
        }

    def _settle(self, now_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = self._last_ns = now_ns
            return
        passed_ns, self._last_ns = now_ns - self._last_ns, now_ns
        was_watching = passed_ns <= MAX_GAP_S * _NS_PER_S
        for name, verdict in self._verdicts.items():
            self._targets[name].add(verdict if was_watching else _Verdict.UNMEASURED, passed_ns)
        self._all_met.add(self._are_all_met if was_watching else _Verdict.UNMEASURED, passed_ns)


def _verdict(row: Mapping[str, Any]) -> _Verdict:
    if row["measured"] is None:
        return _Verdict.UNMEASURED
    return _Verdict.MET if row["met"] else _Verdict.MISSED


def _seconds(ns: int) -> float:
    return round(ns / _NS_PER_S, 3)


def _share_pct(part_ns: int, whole_ns: int) -> float | None:
    return round(100.0 * part_ns / whole_ns, 3) if whole_ns else None
